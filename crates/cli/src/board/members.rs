//! `board members` and `board delegate`: who signs, from the next version on.
//!
//! A rotated key, a lost one, somebody who joins or leaves: each is the next root, signed by enough of the old board and
//! enough of the new one. If too few of the new board have signed the files, the files are drafted again with it.

use terms::{Clock as _, ExitCode, PersonId, Problem, Report, SystemClock, UtcTime};
use trust::{BoardRoles, Delegation, PublicKey, PublicKeyFile, RoleKeys};

use super::desk::{Desk, end_of_day};
use super::init::read_members;
use super::paper::Paper;
use super::{pending, sign};
use crate::args::board::{
    DelegateArgs, MembersAddArgs, MembersChange, MembersCommand, MembersRemoveArgs, MembersReplaceArgs, MembersShowArgs,
};
use crate::show;

/// Runs one of the commands.
///
/// # Errors
/// Theirs.
pub(super) fn run(command: MembersCommand, json: bool) -> Result<ExitCode, Report> {
    match command {
        MembersCommand::Add(args) => add(&args, json),
        MembersCommand::Remove(args) => remove(&args, json),
        MembersCommand::Replace(args) => replace(&args, json),
        MembersCommand::Show(args) => show_all(&args, json),
    }
}

fn add(args: &MembersAddArgs, json: bool) -> Result<ExitCode, Report> {
    change(&args.change, json, |desk, role| {
        let file = PublicKeyFile::load(&args.file)?;
        if !desk.names.keys_of(&file.name, role).is_empty() {
            let message = format!("somebody called {} is on the board already", file.name);
            let remedy = format!(
                "a new key for {}: datenraum board members replace {} FILE.pub",
                file.name, file.name
            );
            return Err(Problem::Usage.report(message).remedy(remedy));
        }
        desk.names.add(&file)?;
        Ok(role.keys.iter().copied().chain([file.key]).collect())
    })
}

fn remove(args: &MembersRemoveArgs, json: bool) -> Result<ExitCode, Report> {
    change(&args.change, json, |desk, role| {
        let gone = member(desk, &args.name, role)?;
        Ok(role.keys.iter().copied().filter(|key| *key != gone).collect())
    })
}

fn replace(args: &MembersReplaceArgs, json: bool) -> Result<ExitCode, Report> {
    change(&args.change, json, |desk, role| {
        let old = member(desk, &args.name, role)?;
        let file = PublicKeyFile::load(&args.file)?;
        if file.name != args.name {
            let message = format!(
                "{} is a key of {}, not of {}",
                args.file.display(),
                file.name,
                args.name
            );
            let remedy = format!(
                "make the new key under the same name: datenraum board key {} --out FILE",
                args.name
            );
            return Err(Problem::Usage.report(message).remedy(remedy));
        }
        desk.names.add(&file)?;
        let swap = |key: &PublicKey| if *key == old { file.key } else { *key };
        Ok(role.keys.iter().map(swap).collect())
    })
}

/// The key of a board member.
fn member(desk: &Desk, name: &PersonId, role: &RoleKeys) -> Result<PublicKey, Report> {
    match desk.names.keys_of(name, role).as_slice() {
        [key] => Ok(*key),
        _ => {
            let message = format!("nobody called {name} is on the board");
            let remedy = format!("those who are: {}", desk.names.list(&role.keys));
            Err(Problem::Usage.report(message).remedy(remedy))
        }
    }
}

/// Drafts the next root with other keys.
fn change(
    args: &MembersChange,
    json: bool,
    keys: impl FnOnce(&mut Desk, &RoleKeys) -> Result<Vec<PublicKey>, Report>,
) -> Result<ExitCode, Report> {
    let mut desk = Desk::open(&args.place)?;
    let before = desk.board()?.clone();
    let keys = keys(&mut desk, &before.root)?;
    let board = RoleKeys {
        keys,
        threshold: args.threshold.unwrap_or(before.root.threshold),
    };
    let roles = BoardRoles {
        root: board.clone(),
        targets: board,
        ..before
    };
    let expires = end_of_day(SystemClock.now(), args.valid_days);
    let draft = desk.draft_root(&roles, expires)?;
    desk.pending.put(Paper::Root, draft);
    draft_files_again(&mut desk, &roles, expires)?;
    desk.names.write(&desk.folder)?;
    for paper in [Paper::Root, Paper::Targets] {
        desk.pending.write_draft(&desk.folder, paper)?;
    }
    sign::tell(&desk, args.place.lang(), json)
}

/// Nodes take the files only if enough of the new board signed them.
fn draft_files_again(desk: &mut Desk, roles: &BoardRoles, expires: UtcTime) -> Result<(), Report> {
    let signed = desk.signed.document(Paper::Targets);
    let holds = signed.is_none_or(|signed| signed.is_signed_by(&roles.targets));
    if holds || desk.pending.drafts.contains_key(&Paper::Targets) {
        return Ok(());
    }
    let draft = desk.draft_list(Paper::Targets, &desk.delegations(), expires)?;
    desk.pending.put(Paper::Targets, draft);
    Ok(())
}

/// Drafts who signs permits or members.
///
/// # Errors
/// `Usage` or a `File` problem of a key, `PolicyThreshold` if the threshold cannot be reached.
pub(super) fn delegate(args: &DelegateArgs, json: bool) -> Result<ExitCode, Report> {
    let mut desk = Desk::open(&args.place)?;
    let mut delegations = desk.delegations();
    let was = delegations.len();
    delegations.retain(|delegation| delegation.role != args.role);
    if args.revoke && delegations.len() == was {
        let message = format!("the board signs the files of {} itself", args.role);
        return Err(Problem::Usage
            .report(message)
            .remedy("see datenraum board members show"));
    }
    if args.revoke {
        // Nobody could sign it any more.
        let paper = Paper::Delegated(args.role);
        desk.pending.drafts.remove(&paper);
        pending::remove(&desk.folder, paper)?;
    }
    if let Some(threshold) = args.threshold.filter(|_| !args.revoke) {
        let keys = read_members(&args.members, &mut desk.names)?;
        delegations.push(Delegation {
            role: args.role,
            keys: RoleKeys { keys, threshold },
        });
    }
    let expires = end_of_day(SystemClock.now(), args.valid_days);
    let draft = desk.draft_list(Paper::Targets, &delegations, expires)?;
    desk.pending.put(Paper::Targets, draft);
    desk.names.write(&desk.folder)?;
    desk.pending.write_draft(&desk.folder, Paper::Targets)?;
    sign::tell(&desk, args.place.lang(), json)
}

fn show_all(args: &MembersShowArgs, json: bool) -> Result<ExitCode, Report> {
    let (desk, lang) = (Desk::open(&args.place)?, args.place.lang());
    let mut groups = Vec::new();
    if let Some(board) = desk.signed.board() {
        groups.push(("board".to_owned(), board.root.clone()));
    }
    let committees = desk.signed.delegations().into_iter();
    groups.extend(committees.map(|delegation| (delegation.role.to_string(), delegation.keys)));
    let first = desk.signed.roots.first().map(|root| root.draft.digest());
    if json {
        let key = |key: &PublicKey| serde_json::json!({ "name": desk.names.of(key), "key": key });
        let group = |(who, role): &(String, RoleKeys)| {
            let keys: Vec<_> = role.keys.iter().map(key).collect();
            serde_json::json!({ "who": who, "threshold": role.threshold, "keys": keys })
        };
        let groups: Vec<_> = groups.iter().map(group).collect();
        show::json(
            &serde_json::json!({ "founded_by": first, "root_version": desk.signed.roots.len(), "groups": groups }),
        )?;
        return Ok(ExitCode::Ok);
    }
    let Some(first) = first else {
        show::text(lang.pick("noch ist nichts unterschrieben", "nothing was signed yet"))?;
        return Ok(ExitCode::Ok);
    };
    show::text(lang.pick(
        format!("gegründet mit {first}; gilt: root Version {}", desk.signed.roots.len()),
        format!("founded by {first}; in force: root version {}", desk.signed.roots.len()),
    ))?;
    for (who, keys) in groups {
        let of = lang.pick("von", "of");
        show::text(format!("{who}: {} {of} {}", keys.threshold, keys.keys.len()))?;
        for key in &keys.keys {
            show::text(format!("  {:16} {key}", desk.names.call(key)))?;
        }
    }
    Ok(ExitCode::Ok)
}
