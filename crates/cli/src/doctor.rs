//! `doctor`: everything between this machine and an answer, looked at in one run, each with what to do about it.
//!
//! It changes nothing, and works beside a running node or broker. Next: `road.rs` (the way to the broker), `machine.rs` (disk and
//! descriptors), `roles.rs` (what only a node, a broker or a person has).

mod machine;
mod road;
mod roles;

use std::path::{Path, PathBuf};

use serde::Serialize;
use terms::finding::Finding;
use terms::{ExitCode, Problem, Report};

use crate::args::DoctorArgs;
use crate::sandbox::layout::{Layout, Record};
use crate::show;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// It works, and will not for long or not for everybody.
    Warning,
    Failed,
    /// It could not be looked at, because something before it failed.
    Skipped,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
struct Check {
    /// The configuration file of whom it is about.
    of: PathBuf,
    /// What was looked at.
    check: &'static str,
    state: State,
    /// What was seen.
    told: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// A visit at one role: what was seen so far.
#[derive(Debug)]
struct Visit {
    of: PathBuf,
    checks: Vec<Check>,
}

impl Visit {
    fn at(of: &Path) -> Self {
        let (of, checks) = (of.to_owned(), Vec::new());
        Self { of, checks }
    }

    fn note(
        &mut self,
        check: &'static str,
        state: State,
        told: String,
        problem: Option<Problem>,
        remedy: Option<String>,
    ) {
        let of = self.of.clone();
        self.checks.push(Check {
            of,
            check,
            state,
            told,
            problem,
            remedy,
        });
    }

    fn ok(&mut self, check: &'static str, told: impl Into<String>) {
        self.note(check, State::Ok, told.into(), None, None);
    }

    fn warn(&mut self, check: &'static str, told: impl Into<String>, remedy: impl Into<String>) {
        self.note(check, State::Warning, told.into(), None, Some(remedy.into()));
    }

    fn failed(&mut self, check: &'static str, report: &Report) {
        let (told, remedy) = (report.message.clone(), report.remedy.to_string());
        self.note(check, State::Failed, told, Some(report.problem), Some(remedy));
    }

    fn skipped(&mut self, check: &'static str, why: impl Into<String>) {
        self.note(check, State::Skipped, why.into(), None, None);
    }

    /// Everything that is wrong with a configuration file and what it names, each under its key.
    fn findings(&mut self, findings: &[Finding], who: impl FnOnce() -> String) {
        for finding in findings {
            let (key, report) = (&finding.key, &finding.report);
            let message = match key.as_str() {
                "" => report.message.clone(),
                key => format!("{key}: {}", report.message),
            };
            self.failed("config", &report.problem.report(message).remedy(report.remedy.clone()));
        }
        if findings.is_empty() {
            self.ok("config", who());
        }
    }

    /// What is there, or nothing after its failure was noted.
    fn need<T>(&mut self, check: &'static str, outcome: Result<T, impl Into<Report>>) -> Option<T> {
        outcome.map_err(|error| self.failed(check, &error.into())).ok()
    }
}

/// Looks at everything that is named.
///
/// # Errors
/// `Usage` if nothing is named; otherwise what is wrong is told, and the first failure says what is returned.
pub(crate) async fn run(args: DoctorArgs, json: bool) -> Result<ExitCode, Report> {
    let files = files(&args)?;
    let mut checks = Vec::new();
    for file in &files {
        checks.extend(roles::visit(file).await.checks);
    }
    let failure = checks.iter().find_map(|check| check.problem);
    if json {
        show::json(&serde_json::json!({ "ok": failure.is_none(), "checks": checks }))?;
    } else {
        tell(&files, &checks)?;
    }
    Ok(failure.map_or(ExitCode::Ok, |problem| problem.exit_code()))
}

/// The configuration files to look at: those that are named, or all of a sandbox.
fn files(args: &DoctorArgs) -> Result<Vec<PathBuf>, Report> {
    if !args.config.is_empty() {
        return Ok(args.config.clone());
    }
    if let Some(dir) = &args.sandbox {
        let layout = Layout::new(dir);
        let record = Record::load(&layout)?;
        let nodes = record.nodes.iter().map(|id| layout.node_config(id));
        let people = record.person.iter().map(|person| layout.person_config(&person.id));
        return Ok(std::iter::once(layout.broker_config())
            .chain(nodes)
            .chain(people)
            .collect());
    }
    let usual = ["node.toml", "broker.toml", "person.toml"].map(PathBuf::from);
    let here: Vec<PathBuf> = usual.into_iter().filter(|file| file.is_file()).collect();
    if here.is_empty() {
        let message = "no node.toml, broker.toml or person.toml is here";
        let remedy = "name one, such as datenraum doctor /etc/datenraum/node.toml, or a sandbox with --sandbox DIR";
        return Err(Problem::Usage.report(message).remedy(remedy));
    }
    Ok(here)
}

fn tell(files: &[PathBuf], checks: &[Check]) -> Result<(), Report> {
    for file in files {
        show::text(file.display())?;
        for check in checks.iter().filter(|check| check.of == *file) {
            let mark = match check.state {
                State::Ok => "ok     ",
                State::Warning => "warning",
                State::Failed => "FAILED ",
                State::Skipped => "-      ",
            };
            let code = check.problem.map(|problem| format!(" [{problem}]")).unwrap_or_default();
            show::text(format!(
                "  {mark}  {:<11} {}{code}",
                check.check,
                wire::status::plain(&check.told)
            ))?;
            if let Some(remedy) = &check.remedy {
                show::text(format!("           {:<11} -> {}", "", wire::status::plain(remedy)))?;
            }
        }
    }
    let count = |state: State| checks.iter().filter(|check| check.state == state).count();
    show::text(format!(
        "{} looked at: {} ok, {} warnings, {} failed, {} not looked at",
        checks.len(),
        count(State::Ok),
        count(State::Warning),
        count(State::Failed),
        count(State::Skipped)
    ))
}
