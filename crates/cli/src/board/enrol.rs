//! `board enrol`: an institution that asks to join is written into `members.toml`, by the code that it read to the board.
//!
//! The broker is believed nothing: the code commits to the request, and the request is signed with the key that it names. What is
//! written is a draft like any other edit: the board checks, signs and publishes it. It must never change what is written there already.

use policy::Lang;
use terms::{Clock as _, ExitCode, Problem, Report, RoleName, SpaceId, SystemClock};
use trust::Verified;
use wire::description::BROKER_AUDIENCE;
use wire::{Enrolment, PeerConfig, enrolment};

use super::desk::Desk;
use super::examine::{rules_of, with_members};
use super::folder::{self, Files, Folder};
use crate::args::enrolment::EnrolArgs;
use crate::show;

const ROSTER: &str = "members.toml";

/// Fetches a request, shows it, and adds the institution to the roster's text.
///
/// # Errors
/// `Answer` if the request is not what the code stands for; `PolicyInvalid` if the roster has the name or the key, or one that looks
/// the same; what the broker says. Then nothing was written.
pub(super) async fn run(args: &EnrolArgs, json: bool) -> Result<ExitCode, Report> {
    let desk = Desk::open(&args.place)?;
    let request = fetch(args, &desk.space()?).await?;
    write_into(&desk.folder, &request, &args.roles)?;
    if json {
        show::json(&serde_json::json!({
            "member": request.member, "title": request.title, "key": request.key, "roles": args.roles,
        }))?;
        return Ok(ExitCode::Ok);
    }
    show::text(said(&request, &args.roles, args.place.lang()))?;
    Ok(ExitCode::Ok)
}

/// Asks the broker at each of its addresses: each keeps what was left with it.
async fn fetch(args: &EnrolArgs, space: &SpaceId) -> Result<Verified<Enrolment>, Report> {
    let broker = PeerConfig {
        address: args.broker.clone(),
        key: args.broker_identity,
        proxy: None,
    };
    let mut refusals = Vec::new();
    for broker in broker.each() {
        let fetched = match broker.connect(BROKER_AUDIENCE).await {
            Ok(connection) => enrolment::fetch(&connection, space, args.code, SystemClock.now()).await,
            Err(report) => Err(report),
        };
        match fetched {
            Ok(request) => return Ok(request),
            Err(report) => refusals.push(report),
        }
    }
    // What one broker says tells more than that another does not answer.
    refusals.sort_by_key(|report| report.problem == Problem::Unreachable);
    let first = refusals.into_iter().next();
    Err(first.unwrap_or_else(|| Problem::Unreachable.report("the broker has no address")))
}

/// Adds the institution to the roster as it is now: others may have been added while the broker was asked.
fn write_into(folder: &Folder, request: &Enrolment, roles: &[RoleName]) -> Result<(), Report> {
    let _alone = folder.lock()?;
    let roster = roster_with(&folder.space_files()?, request, roles)?;
    folder::write(&folder.file(ROSTER), roster.as_bytes())
}

/// The roster's text with the institution at its end, if a data space with it is still in order.
fn roster_with(files: &Files, request: &Enrolment, roles: &[RoleName]) -> Result<String, Report> {
    let mut files = with_members(files.clone());
    let text = files.get(ROSTER).cloned().unwrap_or_default();
    let before = rules_of(&files)?;
    let text = String::from_utf8(text).map_err(|_| Problem::PolicyInvalid.report(format!("{ROSTER} is not text")))?;
    let roles: Vec<String> = roles.iter().map(|role| quoted(role.as_str())).collect();
    let text = format!(
        "{}\n\n[[member]]\nid    = {}\ntitle = {}\nroles = [{}]\nkey   = {}\n",
        text.trim_end(),
        quoted(request.member.as_str()),
        quoted(&request.title),
        roles.join(", "),
        quoted(&request.key.to_string())
    );
    let text = text.trim_start().to_owned();
    files.insert(ROSTER.to_owned(), text.clone().into_bytes());
    let after = rules_of(&files)?;
    let added = after.members.get(&request.member);
    let is_added = added.is_some_and(|member| member.key == request.key && member.title == request.title);
    if is_added && after.members.len() == before.members.len() + 1 {
        return Ok(text);
    }
    let message = format!("{ROSTER} does not take a member at its end");
    Err(Problem::PolicyInvalid
        .report(message)
        .remedy("write members as [[member]] tables, as in policies/oncology"))
}

/// A TOML text.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn said(request: &Enrolment, roles: &[RoleName], lang: Lang) -> String {
    let roles: Vec<&str> = roles.iter().map(RoleName::as_str).collect();
    let (member, title, key, roles) = (&request.member, &request.title, request.key, roles.join(", "));
    lang.pick(
        format!(
            "in {ROSTER} eingetragen: {member}\n  Bezeichnung  {title}\n  Rollen       {roles}\n  Schlüssel    {key}\n\
             noch gilt nichts davon: datenraum board check, draft, sign, publish"
        ),
        format!(
            "written into {ROSTER}: {member}\n  title  {title}\n  roles  {roles}\n  key    {key}\n\
             nothing of it holds yet: datenraum board check, draft, sign, publish"
        ),
    )
}

#[cfg(test)]
mod tests;
