//! `board export --odrl`: policies in ODRL 2.2, for catalogues and for other data spaces. `docs/odrl.md` says what stands in
//! them. Nothing is signed here, and no node works under it.

use std::path::Path;

use policy::{PolicySummary, Rules, odrl};
use serde_json::Value;
use terms::{ExitCode, PolicyId, Problem, Report};

use super::desk::Desk;
use super::examine::rules_of;
use super::folder;
use crate::args::board::ExportArgs;
use crate::show;

/// Shows one policy, or writes as many as there are into a folder.
///
/// # Errors
/// What is not understood, with file and line; `Usage` if there is no such policy, or several and no folder for them.
pub(super) fn run(args: &ExportArgs, json: bool) -> Result<ExitCode, Report> {
    let (desk, lang) = (Desk::open(&args.place)?, args.place.lang());
    // What a policy says needs no roster; a space that was not founded yet has none.
    let mut files = desk.files;
    files.entry("members.toml".to_owned()).or_default();
    let rules = rules_of(&files)?;
    let policies = chosen(&rules, args.policy.as_ref())?;
    let Some(out) = &args.out else {
        let [(_, odrl)] = policies.as_slice() else {
            let message = "several policies do not go into one document";
            let remedy = "name one of them, or a folder for all of them with --out";
            return Err(Problem::Usage.report(message).remedy(remedy));
        };
        show::json(odrl)?;
        return Ok(ExitCode::Ok);
    };
    let mut written = Vec::new();
    for (policy, odrl) in &policies {
        written.push(write(out, policy, odrl)?);
    }
    if json {
        show::json(&serde_json::json!({ "written": written }))?;
    } else {
        let said = lang.pick("geschrieben", "written");
        written
            .iter()
            .try_for_each(|path| show::text(format!("{said}: {path}")))?;
    }
    Ok(ExitCode::Ok)
}

fn chosen(rules: &Rules, policy: Option<&PolicyId>) -> Result<Vec<(PolicyId, Value)>, Report> {
    let all: Vec<PolicyId> = rules.policies().map(|PolicySummary { id, .. }| id).collect();
    let wanted = match policy {
        Some(policy) => vec![policy.clone()],
        None => all.clone(),
    };
    let export = |policy: PolicyId| match odrl::export(rules, &policy) {
        Some(exported) => Ok((policy, exported)),
        None => {
            let near = terms::text::nearest(policy.as_str(), all.iter().map(PolicyId::as_str));
            let remedy = near.map_or_else(|| "see policies/".to_owned(), |near| format!("did you mean {near}?"));
            Err(Problem::Usage
                .report(format!("the data space has no policy {policy}"))
                .remedy(remedy))
        }
    };
    wanted.into_iter().map(export).collect()
}

fn write(out: &Path, policy: &PolicyId, odrl: &Value) -> Result<String, Report> {
    let path = out.join(format!("{policy}.jsonld"));
    folder::write(&path, format!("{odrl:#}\n").as_bytes())?;
    Ok(path.display().to_string())
}
