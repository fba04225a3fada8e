//! Cases of a policy: `policies/ID.cases.toml`, requests with the decision that the board expects.
//!
//! A case decides nothing; it holds the policy to what its authors meant. The board's checks and this repository's
//! tests run them. It must never pass a case that it does not understand: an unknown key is an error.

#[cfg(test)]
pub(crate) mod shipped;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use terms::{PermitId, PolicyId, Problem, Purpose, Report, RoleName, RuleId, UtcTime};
use toml::Spanned;
use toml::value::Datetime;

use crate::decide::{AccessRequest, Asked, Caller, Decision, Refusal, decide};
use crate::grant::{Grant, Release};
use crate::rule::Policy;
use crate::rules::Rules;
use crate::source::Source;

/// Hour of the first day of a policy at which a case asks that names no time, UTC.
const HOUR: i8 = 12;

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseOutcome {
    /// The file.
    pub path: String,
    /// The line of the case's name, from 1.
    pub line: usize,
    /// What the case says.
    pub name: String,
    /// What was decided instead of what the case expects, in English; none if the case holds.
    pub failed: Option<String>,
    /// The same in German.
    pub failed_de: Option<String>,
}

/// Where the cases of a policy lie in the data space.
pub fn cases_path(policy: &PolicyId) -> String {
    format!("policies/{policy}.cases.toml")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCases {
    #[serde(default, rename = "case")]
    cases: Vec<WrittenCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCase {
    name: Spanned<String>,
    #[serde(rename = "as")]
    caller: Spanned<String>,
    roles: BTreeSet<RoleName>,
    purpose: Option<Purpose>,
    columns: BTreeSet<String>,
    #[serde(default = "aggregates")]
    release: Release,
    permit: Option<PermitId>,
    at: Option<Spanned<Datetime>>,
    #[serde(default)]
    asked: WrittenAsked,
    expect: Expected,
    rule: Option<RuleId>,
    problem: Option<Spanned<String>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAsked {
    #[serde(default)]
    minute: u32,
    #[serde(default)]
    week: u32,
    #[serde(default)]
    permit_minute: u32,
    #[serde(default)]
    permit_week: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Allow,
    Refuse,
}

fn aggregates() -> Release {
    Release::Aggregates
}

/// Runs all cases of a data space, in the order of the files.
///
/// # Errors
/// One of the `File` problems or [`Problem::PolicyInvalid`], naming file and line of what is not understood.
pub fn run_cases(rules: &Rules, files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<CaseOutcome>, Report> {
    let mut outcomes = Vec::new();
    for (path, bytes) in files {
        let Some(name) = path
            .strip_prefix("policies/")
            .and_then(|name| name.strip_suffix(".cases.toml"))
        else {
            continue;
        };
        let policy = name.parse().ok().and_then(|id: PolicyId| rules.policy(&id));
        let policy = policy.ok_or_else(|| {
            let message = format!(
                "{path}: the data space has no policy {:?}",
                name.escape_debug().to_string()
            );
            Problem::PolicyInvalid
                .report(message)
                .remedy("name the file like the policy that its cases are about")
        })?;
        let source = Source::read(path, bytes)?;
        let written: WrittenCases = source.parse()?;
        for case in written.cases {
            outcomes.push(run(rules, policy, source, case)?);
        }
    }
    Ok(outcomes)
}

fn run(rules: &Rules, policy: &Policy, source: Source<'_>, written: WrittenCase) -> Result<CaseOutcome, Report> {
    let name = written.name.get_ref().clone();
    source.require_line(written.name.span(), "name", &name)?;
    let line = source.line(written.name.span());
    let (member, person) = source.person(&format!("case {name:?}"), &written.caller)?;
    let expected = Expectation {
        policy: policy.id.clone(),
        expect: written.expect,
        rule: written.rule,
        problem: written.problem.as_ref().map(|code| problem(source, code)).transpose()?,
    };
    if expected.expect == Expected::Allow && expected.problem.is_some() {
        return Err(source.invalid(written.name.span(), "`problem` is for expect = \"refuse\""));
    }
    let at = match &written.at {
        Some(at) => source.instant("at", at)?,
        None => noon(policy).ok_or_else(|| source.invalid(written.name.span(), "the case needs `at`"))?,
    };
    let request = AccessRequest {
        caller: Caller {
            member,
            person,
            roles: written.roles,
        },
        purpose: written.purpose,
        permit: written.permit,
        collection: policy.collection.id.clone(),
        release: written.release,
        columns: written.columns,
        asked: Asked {
            minute: written.asked.minute,
            week: written.asked.week,
            permit_minute: written.asked.permit_minute,
            permit_week: written.asked.permit_week,
        },
        at,
    };
    let failed = expected.unlike(&decide(rules, &request));
    let (failed_de, failed) = failed.unzip();
    Ok(CaseOutcome {
        path: source.path().to_owned(),
        line,
        name,
        failed,
        failed_de,
    })
}

fn noon(policy: &Policy) -> Option<UtcTime> {
    let noon = policy.valid_from.at(HOUR, 0, 0, 0).to_zoned(TimeZone::UTC);
    noon.ok().map(|noon| noon.timestamp())
}

fn problem(source: Source<'_>, code: &Spanned<String>) -> Result<Problem, Report> {
    Problem::from_code(code.get_ref()).ok_or_else(|| {
        let shown: String = code.get_ref().chars().take(40).collect();
        let message = format!("there is no problem code {shown:?}");
        source
            .invalid(code.span(), message)
            .remedy("use one of docs/PROBLEMS.md, such as E_NO_PERMISSION or E_PROHIBITED")
    })
}

/// What a case expects of the policy beside which it lies.
struct Expectation {
    policy: PolicyId,
    expect: Expected,
    rule: Option<RuleId>,
    problem: Option<Problem>,
}

impl Expectation {
    /// What was decided instead, in German and in English; none if the decision is as expected.
    fn unlike(&self, decision: &Decision) -> Option<(String, String)> {
        let (allowed, by, problem) = match decision {
            Decision::Allow(grant) => (true, Some((grant.policy(), grant.rule())), None),
            Decision::Refuse(refusal) => {
                let policy = refusal.policy.as_ref().map(|(policy, _)| policy);
                (false, policy.zip(refusal.rule.as_ref()), Some(refusal.problem))
            }
        };
        let as_expected = allowed == (self.expect == Expected::Allow)
            && self.rule.as_ref().is_none_or(|rule| by == Some((&self.policy, rule)))
            && self.problem.is_none_or(|expected| problem == Some(expected));
        (!as_expected).then(|| {
            let (de, en) = decided(decision);
            (
                format!("erwartet: {}; entschieden: {de}", self.words(true)),
                format!("expected: {}; decided: {en}", self.words(false)),
            )
        })
    }

    fn words(&self, german: bool) -> String {
        let (what, through) = match (self.expect, german) {
            (Expected::Allow, true) => ("erlaubt", "durch"),
            (Expected::Allow, false) => ("allowed", "by"),
            (Expected::Refuse, true) => ("abgelehnt", "durch"),
            (Expected::Refuse, false) => ("refused", "by"),
        };
        let mut text = what.to_owned();
        if let Some(rule) = &self.rule {
            text.push_str(&format!(" {through} {rule}"));
        }
        if let Some(problem) = self.problem {
            text.push_str(&format!(" ({})", problem.code()));
        }
        text
    }
}

fn decided(decision: &Decision) -> (String, String) {
    match decision {
        Decision::Allow(grant) => allowed(grant),
        Decision::Refuse(refusal) => refused(refusal),
    }
}

fn allowed(grant: &Grant) -> (String, String) {
    let (rule, policy) = (grant.rule(), grant.policy());
    (
        format!("erlaubt durch {rule} von {policy}"),
        format!("allowed by {rule} of {policy}"),
    )
}

fn refused(refusal: &Refusal) -> (String, String) {
    let code = refusal.problem.code();
    let by = |through: &str, of: &str| match (&refusal.policy, &refusal.rule) {
        (Some((policy, _)), Some(rule)) => format!(" {through} {rule} {of} {policy}"),
        _ => String::new(),
    };
    (
        format!("abgelehnt{} ({code}): {}", by("durch", "von"), refusal.message),
        format!("refused{} ({code}): {}", by("by", "of"), refusal.message),
    )
}
