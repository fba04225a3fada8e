//! What a board reads before it signs: `board diff`, `matrix`, `explain`. They change nothing in what is
//! signed, but for `matrix --write`. Next: `check.rs`.

use std::collections::BTreeSet;

use policy::{AccessRequest, Asked, Caller, Lang, Release, Rules, diff, explain, matrix, matrix_path};
use terms::{Clock as _, ExitCode, PolicyId, Problem, Report, SystemClock, UtcTime};

use super::desk::Desk;
use super::examine::{rules_of, with_members};
use super::folder;
use super::{signed, words};
use crate::args::board::{DiffArgs, ExplainArgs, MatrixArgs};
use crate::show;

pub(super) fn against(has_base: bool, lang: Lang) -> &'static str {
    match has_base {
        true => lang.pick(
            "gegenüber dem, was zuletzt unterschrieben wurde:",
            "against what was signed last:",
        ),
        false => lang.pick(
            "noch ist nichts unterschrieben; neu ist:",
            "nothing was signed yet; what is new:",
        ),
    }
}

/// Compares with what was signed last, or with another folder.
///
/// # Errors
/// What is not understood, with file and line.
pub(super) fn diff_files(args: &DiffArgs, json: bool) -> Result<ExitCode, Report> {
    let (desk, lang, at) = (Desk::open(&args.place)?, args.place.lang(), time(args.at.as_deref())?);
    let base = match &args.against {
        Some(dir) => Some(folder::read_space(dir)?),
        None => desk.signed.files(&desk.folder)?,
    };
    let has_base = base.is_some();
    let base = base.unwrap_or_else(|| super::examine::nothing(&desk.files));
    let changes = diff(
        &rules_of(&with_members(base))?,
        &rules_of(&with_members(desk.files))?,
        at,
    );
    if json {
        show::json(&changes)?;
        return Ok(ExitCode::Ok);
    }
    if args.against.is_none() {
        show::text(against(has_base, lang))?;
    }
    show::text(words::changes(&changes, lang))?;
    Ok(ExitCode::Ok)
}

/// Shows or writes the decision tables.
///
/// # Errors
/// `Usage` if there is no such policy.
pub(super) fn tables(args: &MatrixArgs, json: bool) -> Result<ExitCode, Report> {
    let (desk, lang) = (Desk::open(&args.place)?, args.place.lang());
    let rules = rules_of(&with_members(desk.files.clone()))?;
    let policies = chosen(&rules, args.policy.as_ref())?;
    let mut written = Vec::new();
    for policy in &policies {
        let unknown = || Problem::Internal.report(format!("the policy {policy} has no matrix"));
        if args.write {
            // What is signed and compared is English, whatever the reader speaks.
            let text = matrix(&rules, policy, Lang::En).ok_or_else(unknown)?;
            let path = matrix_path(policy);
            folder::write(&desk.folder.file(&path), text.as_bytes())?;
            written.push(path);
        } else if json {
            let text = matrix(&rules, policy, lang).ok_or_else(unknown)?;
            show::json_line(&serde_json::json!({ "policy": policy, "matrix": text }))?;
        } else {
            show::text(matrix(&rules, policy, lang).ok_or_else(unknown)?)?;
        }
    }
    if args.write && json {
        show::json(&serde_json::json!({ "written": written }))?;
    } else if args.write {
        let said = lang.pick("geschrieben", "written");
        written
            .iter()
            .try_for_each(|path| show::text(format!("{said}: {path}")))?;
    }
    Ok(ExitCode::Ok)
}

fn chosen(rules: &Rules, policy: Option<&PolicyId>) -> Result<Vec<PolicyId>, Report> {
    let all: Vec<PolicyId> = rules.policies().map(|policy| policy.id).collect();
    let Some(policy) = policy else {
        return Ok(all);
    };
    if all.contains(policy) {
        return Ok(vec![policy.clone()]);
    }
    let near = terms::text::nearest(policy.as_str(), all.iter().map(PolicyId::as_str));
    let remedy = near.map_or_else(|| "see policies/".to_owned(), |near| format!("did you mean {near}?"));
    Err(Problem::Usage
        .report(format!("the data space has no policy {policy}"))
        .remedy(remedy))
}

/// Explains one decision.
///
/// # Errors
/// What a node would refuse, with file and line.
pub(super) fn explain_one(args: ExplainArgs, json: bool) -> Result<ExitCode, Report> {
    let (desk, lang, at) = (Desk::open(&args.place)?, args.place.lang(), time(args.at.as_deref())?);
    let rules = desk.rules()?;
    let stops = signed::in_force(&desk.stops()?, &rules);
    let rules = rules.with_stops(stops);
    let (member, person) = args.caller;
    let given: BTreeSet<_> = args.roles.into_iter().collect();
    let roles = match rules.members.get(&member) {
        Some(member) if given.is_empty() => member.roles.clone(),
        _ => given,
    };
    let request = AccessRequest {
        caller: Caller { member, person, roles },
        purpose: args.purpose,
        permit: args.permit,
        collection: args.collection,
        release: match (args.rows, args.models) {
            (true, _) => Release::Rows,
            (false, true) => Release::Models,
            (false, false) => Release::Aggregates,
        },
        columns: args.columns.into_iter().collect(),
        asked: Asked::default(),
        at,
    };
    let explanation = explain(&rules, &desk.files, &request, lang);
    let code = if explanation.allowed {
        ExitCode::Ok
    } else {
        ExitCode::Refused
    };
    if json {
        show::json(&explanation)?;
        return Ok(code);
    }
    show::text(&explanation.sentence)?;
    for words in &explanation.because {
        let line = lang.pick("Zeile", "line");
        show::text(format!("  {}, {line} {}: {}", words.path, words.line, words.text))?;
    }
    for obligation in &explanation.obligations {
        show::text(format!("  - {obligation}"))?;
    }
    if let Some(remedy) = &explanation.remedy {
        show::text(format!("{}: {remedy}", lang.pick("was hilft", "what to do")))?;
    }
    Ok(code)
}

/// A time from the command line; now if there is none.
///
/// # Errors
/// `FileValue` if it is no time.
pub(crate) fn time(text: Option<&str>) -> Result<UtcTime, Report> {
    text.map_or_else(|| Ok(SystemClock.now()), node::registers::file::parse_instant)
}
