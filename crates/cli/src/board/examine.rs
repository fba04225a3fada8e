//! What is right and wrong with the present files, as one list: rules as a node compiles them, findings, cases, matrices,
//! and what changes against the files that were signed last. `board check` shows it, and nobody signs over an error.

use policy::{Change, Lang, Lint, Rules, Severity, diff, lint, lint_files, matrix, matrix_path, run_cases};
use serde::Serialize;
use terms::{Problem, Report, UtcTime};
use trust::Digest;

use super::desk::Desk;
use super::folder::Files;

/// What was found.
#[derive(Debug)]
pub(super) struct Examination {
    /// What the files say.
    pub(super) rules: Rules,
    /// Findings, errors last.
    pub(super) lints: Vec<Lint>,
    /// Cases that are not decided as they say.
    pub(super) failed: Vec<FailedCase>,
    /// How many cases hold.
    pub(super) passed: usize,
    /// Stored tables that are not those of their policies.
    stale: Vec<String>,
    /// What changes; what widens first.
    pub(super) changes: Vec<Change>,
    /// Whether anything was signed before.
    pub(super) has_base: bool,
}

/// A case that is not decided as it says.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FailedCase {
    /// File and line.
    pub(super) place: String,
    /// What the case says.
    pub(super) name: String,
    /// What was decided instead, in German.
    pub(super) de: String,
    /// What was decided instead, in English.
    pub(super) en: String,
}

impl Examination {
    /// Looks at everything as of a time.
    ///
    /// # Errors
    /// What a node would refuse, or what is not understood in a case, with file and line.
    pub(super) fn of(desk: &Desk, at: UtcTime) -> Result<Self, Report> {
        let rules = desk.rules()?;
        require_own_space(desk, &rules)?;
        let mut lints = lint(&rules, at);
        lints.extend(lint_files(&rules, &desk.files));
        lints.sort_by_key(|lint| lint.severity);
        let (mut failed, mut passed) = (Vec::new(), 0);
        for outcome in run_cases(&rules, &desk.files)? {
            let Some(en) = outcome.failed else {
                passed += 1;
                continue;
            };
            failed.push(FailedCase {
                place: format!("{}, line {}", outcome.path, outcome.line),
                name: outcome.name,
                de: outcome.failed_de.unwrap_or_else(|| en.clone()),
                en,
            });
        }
        let stale = stale_tables(&rules, &desk.files);
        let base = desk.signed.files(&desk.folder)?;
        let has_base = base.is_some();
        let before = rules_of(&with_members(base.unwrap_or_else(|| nothing(&desk.files))))?;
        let changes = diff(&before, &rules, at);
        Ok(Self {
            rules,
            lints,
            failed,
            passed,
            stale,
            changes,
            has_base,
        })
    }

    /// Refuses what nobody should sign: policies that do not decide as their cases say, and tables that lie.
    ///
    /// # Errors
    /// `Cases`, with the first of them.
    pub(super) fn require_signable(&self, lang: Lang) -> Result<(), Report> {
        if let Some(case) = self.failed.first() {
            let said = lang.pick(&case.de, &case.en);
            let message = format!("{}, case {:?}: {said}", case.place, case.name);
            return Err(Problem::Cases.report(message));
        }
        let Some(path) = self.stale.first() else {
            return Ok(());
        };
        let message = lang.pick(
            format!("{path} ist nicht die Entscheidungstabelle, die das Regelwerk hat"),
            format!("{path} is not the decision table that the policy has"),
        );
        Err(Problem::Cases
            .report(message)
            .remedy("write it anew and read what changed in it: datenraum board matrix --write"))
    }

    /// Refuses what a board should mend before it signs anything. An expired policy need not wait for that.
    ///
    /// # Errors
    /// `Cases`, also if a finding is an error.
    pub(super) fn require_good(&self, lang: Lang) -> Result<(), Report> {
        self.require_signable(lang)?;
        match self.lints.iter().find(|lint| lint.severity == Severity::Error) {
            Some(lint) => Err(Problem::Cases
                .report(lint.sentence(lang))
                .remedy("mend the file that the message names, or take it away")),
            None => Ok(()),
        }
    }
}

fn stale_tables(rules: &Rules, files: &Files) -> Vec<String> {
    let tables = rules.policies().map(|policy| (matrix_path(&policy.id), policy.id));
    let stale = tables.filter(|(path, policy)| {
        let stored = files.get(path);
        stored.is_some_and(|stored| matrix(rules, policy, Lang::En).map(String::into_bytes).as_ref() != Some(stored))
    });
    stale.map(|(path, _)| path).collect()
}

/// Files as rules to be read and compared.
pub(super) fn rules_of(files: &Files) -> Result<Rules, Report> {
    Rules::compile_files(1, Digest::of(&[]), files)
}

/// Files with a roster. A space that was not founded yet has none, nor has one whose registrar's list is not here: then
/// every institution shows as new, which errs on the side of looking twice.
pub(super) fn with_members(mut files: Files) -> Files {
    files.entry("members.toml".to_owned()).or_default();
    files
}

/// The data space before anything was signed: its name, and nobody in it.
pub(super) fn nothing(files: &Files) -> Files {
    let space = files.get("space.toml").cloned().unwrap_or_default();
    [
        ("space.toml".to_owned(), space),
        ("members.toml".to_owned(), Vec::new()),
    ]
    .into()
}

/// The name in `space.toml` is part of what was signed first, and never changes.
fn require_own_space(desk: &Desk, rules: &Rules) -> Result<(), Report> {
    match desk.space() {
        Ok(space) if space != rules.space.id => {
            let message = format!(
                "space.toml is that of {}, and this board is that of {space}",
                rules.space.id
            );
            Err(Problem::PolicyScope
                .report(message)
                .remedy(format!("write id = \"{space}\" in space.toml")))
        }
        _ => Ok(()),
    }
}
