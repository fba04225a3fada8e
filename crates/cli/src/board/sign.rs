//! `board draft`, `board renew` and `board sign`: from the present files to one more signature.
//!
//! What is shown is held in memory and is what is signed. After the confirmation everything is read again, and if
//! anything is not as it was shown, nothing is signed. Nothing leaves the machine: the signature is a file.

use std::io::{self, BufRead as _, Write as _};

use policy::{Lang, Severity};
use terms::{Clock as _, ExitCode, Problem, Report, SystemClock, UtcTime};
use trust::{Digest, Draft, PublicKey, SigningKey};

use super::desk::{Desk, end_of_day};
use super::examine::Examination;
use super::paper::Paper;
use super::pending::Standing;
use super::pin::{Founding, Pins};
use super::{folder, passphrase, words};
use crate::args::board::{DraftArgs, RenewArgs, SignArgs};
use crate::show;

/// How many hex digits of a digest a person types: enough that nobody types them by habit.
const DIGITS: usize = 8;

/// Longest line that is read as a confirmation, in bytes.
const CONFIRMATION_BYTES_MAX: u64 = 256;

/// Writes down what is to be signed.
///
/// # Errors
/// What a node would refuse; `Cases`; `Changed` if there is a draft of other files.
pub(super) fn draft(args: &DraftArgs, json: bool) -> Result<ExitCode, Report> {
    let (mut desk, lang, now) = (Desk::open(&args.place)?, args.place.lang(), SystemClock.now());
    let paper = args.role.map_or(Paper::Targets, Paper::from);
    Examination::of(&desk, now)?.require_signable(lang)?;
    let delegations = desk.delegations();
    match desk.pending.drafts.get(&paper) {
        Some(draft) if !args.anew => desk.require_current(paper, draft)?,
        _ => {
            let draft = desk.draft_list(paper, &delegations, end_of_day(now, args.valid_days))?;
            desk.pending.put(paper, draft);
        }
    }
    desk.pending.write_draft(&desk.folder, paper)?;
    tell(&desk, lang, json)
}

/// Drafts the present documents again.
///
/// # Errors
/// As [`draft`].
pub(super) fn renew(args: &RenewArgs, json: bool) -> Result<ExitCode, Report> {
    let (mut desk, lang, now) = (Desk::open(&args.place)?, args.place.lang(), SystemClock.now());
    let papers = args
        .role
        .map_or_else(|| vec![Paper::Root, Paper::Targets], |role| vec![Paper::from(role)]);
    let expires = end_of_day(now, args.valid_days);
    for paper in papers {
        let draft = match paper {
            Paper::Root => desk.draft_root(&desk.board()?.clone(), expires)?,
            paper => desk.draft_list(paper, &desk.delegations(), expires)?,
        };
        desk.pending.put(paper, draft);
        desk.pending.write_draft(&desk.folder, paper)?;
    }
    tell(&desk, lang, json)
}

/// Shows what is to be signed, and signs it.
///
/// # Errors
/// `Changed` if a file is not the one that was drafted, shown or named by `--digest`; `KeyPassphrase`; `Usage` if the
/// key may not sign or the confirmation is not right. Then nothing was signed.
pub(super) fn run(args: &SignArgs, json: bool) -> Result<ExitCode, Report> {
    if args.yes && args.digest.is_empty() || json && !args.yes {
        let message = "without a question to answer, what is to be signed must be named by its digest";
        return Err(Problem::Usage
            .report(message)
            .remedy("give --digest sha256:… and --yes; `board draft` shows digests"));
    }
    let (lang, now) = (args.place.lang(), SystemClock.now());
    let on_disk = Desk::open(&args.place)?;
    let (founding, pins) = (Founding::of(&on_disk)?, Pins::of_key(&args.key.key)?);
    pins.require_same(&founding, &args.key.key)?;
    let key = passphrase::open_key(&args.key.key, args.key.passphrase_file.as_deref())?;
    let mut desk = on_disk.clone();
    let waiting = waiting(&mut desk, &key.public(), args, now)?;
    let (done, open): (Vec<Standing>, Vec<Standing>) = waiting.into_iter().partition(|paper| paper.has(&key.public()));
    if !json {
        already(&desk, &done, open.is_empty(), lang)?;
    }
    for standing in &open {
        desk.require_current(standing.paper, &standing.draft)?;
        require_named(&args.digest, &standing.draft)?;
    }
    if !json && !open.is_empty() {
        preview(&desk, &open, now, lang)?;
    } else if open.iter().any(|standing| standing.paper != Paper::Root) {
        Examination::of(&desk, now)?.require_signable(lang)?;
    }
    if !args.yes {
        open.iter().try_for_each(|standing| confirm(&standing.draft, lang))?;
    }
    on_disk.require_unchanged()?;
    for standing in &open {
        put_signature(&mut desk, standing, &key)?;
    }
    if let Err(report) = pins.remember(&founding, &args.key.key) {
        // A key on a medium that cannot be written to signs all the same.
        tracing::warn!(message = report.message, "the board is not remembered beside the key");
    }
    tell(&desk, lang, json)
}

/// The drafts that the key may sign. What the files give and nobody has drafted yet is drafted, in memory.
fn waiting(desk: &mut Desk, key: &PublicKey, args: &SignArgs, now: UtcTime) -> Result<Vec<Standing>, Report> {
    let asked = args.role.map(Paper::from);
    let expires = end_of_day(now, args.valid_days);
    for paper in Paper::ALL
        .into_iter()
        .filter(|paper| *paper != Paper::Root && asked.is_none_or(|asked| asked == *paper))
    {
        if desk.pending.drafts.contains_key(&paper) {
            continue;
        }
        let drafted = desk.draft_list(paper, &desk.delegations(), expires);
        // A role that nobody delegated has nothing to sign, unless it was asked for.
        let Ok(draft) = drafted else {
            if asked.is_some() {
                drafted?;
            }
            continue;
        };
        if desk.standing(paper, &draft)?.names(key) && desk.differs_from_signed(paper)? {
            desk.pending.put(paper, draft);
        }
    }
    let all = desk.standings()?;
    let asked_for = |standing: &Standing| asked.is_none_or(|asked| asked == standing.paper);
    let mine: Vec<Standing> = all
        .iter()
        .filter(|standing| standing.names(key) && asked_for(standing))
        .cloned()
        .collect();
    if mine.is_empty() {
        return Err(nothing_for(desk, key, asked, &all)?);
    }
    Ok(mine)
}

/// Why there is nothing that a key could sign.
fn nothing_for(desk: &Desk, key: &PublicKey, asked: Option<Paper>, drafts: &[Standing]) -> Result<Report, Report> {
    let is_of = |keys: &[PublicKey]| keys.contains(key);
    let board = desk.board()?;
    let delegations = desk.delegations();
    let known = match asked {
        Some(Paper::Root) => is_of(&board.root.keys),
        Some(Paper::Targets) => is_of(&board.targets.keys),
        Some(Paper::Delegated(role)) => {
            super::signed::keys_of(&delegations, role).is_some_and(|keys| is_of(&keys.keys))
        }
        None => is_of(&desk.keys_in_use()),
    };
    if known {
        let message = match drafts.is_empty() {
            true => "nothing is to be signed: the files are those that were signed last",
            false => "nothing that this key may sign is to be signed",
        };
        return Ok(Problem::Usage
            .report(message)
            .remedy("change the files first; before what was signed expires: datenraum board renew"));
    }
    let what = asked.map_or_else(
        || "anything of this data space".to_owned(),
        |paper| paper.name().to_owned(),
    );
    let may = match asked {
        Some(Paper::Delegated(role)) => {
            super::signed::keys_of(&delegations, role).map(|keys| desk.names.list(&keys.keys))
        }
        _ => Some(desk.names.list(&board.root.keys)),
    };
    let message = format!("the key {} may not sign {what}", desk.names.call(key));
    let may = may.unwrap_or_else(|| "nobody yet".to_owned());
    Ok(Problem::Usage.report(message).remedy(format!("those who may: {may}")))
}

fn require_named(digests: &[Digest], draft: &Draft) -> Result<(), Report> {
    if digests.is_empty() || digests.contains(&draft.digest()) {
        return Ok(());
    }
    let message = format!(
        "what is to be signed has the digest {}, not the one that was named",
        draft.digest()
    );
    Err(Problem::Changed.report(message))
}

fn already(desk: &Desk, done: &[Standing], nothing_else: bool, lang: Lang) -> Result<(), Report> {
    for standing in done {
        let (name, version) = (standing.paper.name(), standing.draft.version());
        show::text(lang.pick(
            format!("mit diesem Schlüssel schon unterschrieben: {name} Version {version}"),
            format!("signed with this key already: {name} version {version}"),
        ))?;
    }
    if nothing_else {
        for standing in done {
            show::text(words::preview(desk, standing.paper, &standing.draft, lang)?)?;
        }
    }
    Ok(())
}

/// Everything that is to be signed, and what it changes.
fn preview(desk: &Desk, open: &[Standing], now: UtcTime, lang: Lang) -> Result<(), Report> {
    if open.iter().any(|standing| standing.paper == Paper::Root) {
        show::text(lang.pick(
            "Zu unterschreiben ist auch, WER ZUM BOARD GEHÖRT. Vergleichen Sie jeden Schlüssel mit dem seiner Besitzerin \
             oder seines Besitzers.",
            "What is to be signed includes WHO IS ON THE BOARD. Compare each key with the person whose it is.",
        ))?;
    }
    for standing in open {
        show::text(words::preview(desk, standing.paper, &standing.draft, lang)?)?;
    }
    if open.iter().any(|standing| standing.paper != Paper::Root) {
        let found = Examination::of(desk, now)?;
        found.require_signable(lang)?;
        // Hints are for `board check`: here they would hide what changes.
        for lint in found.lints.iter().filter(|lint| lint.severity > Severity::Hint) {
            show::text(format!("{}: {}", lint.severity.words(lang), lint.sentence(lang)))?;
        }
        show::text(words::changes(&found.changes, lang))?;
    }
    Ok(())
}

fn confirm(draft: &Draft, lang: Lang) -> Result<(), Report> {
    let digest = draft.digest().hex();
    let name = draft.role_name();
    let prompt = lang.pick(
        format!("{name} unterschreiben? Tippen Sie die ersten {DIGITS} Zeichen des digest nach sha256: "),
        format!("sign {name}? type the first {DIGITS} characters of the digest, after sha256: "),
    );
    let mut out = io::stdout().lock();
    let asked = write!(out, "{prompt}").and_then(|()| out.flush());
    asked.map_err(|error| Problem::Internal.report(format!("the output cannot be written: {error}")))?;
    drop(out);
    let mut typed = String::new();
    let read = io::Read::take(io::stdin().lock(), CONFIRMATION_BYTES_MAX).read_line(&mut typed);
    read.map_err(|error| Problem::Usage.report(format!("the confirmation cannot be read: {error}")))?;
    show::text("")?;
    let typed = typed.trim().trim_start_matches("sha256:").to_ascii_lowercase();
    if typed.len() >= DIGITS && digest.starts_with(&typed) {
        return Ok(());
    }
    Err(Problem::Usage
        .report("that is not the beginning of the digest, so nothing was signed")
        .remedy("read it again, and sign if it is what you want; scripts give --digest sha256:… and --yes"))
}

fn put_signature(desk: &mut Desk, standing: &Standing, key: &SigningKey) -> Result<(), Report> {
    let signature = standing.draft.sign(key);
    desk.pending.write_draft(&desk.folder, standing.paper)?;
    let bytes = serde_json::to_vec_pretty(&signature).map_err(|error| Problem::Internal.report(error.to_string()))?;
    folder::write(&desk.folder.signature_file(standing.paper, &signature.keyid), &bytes)?;
    desk.pending.add(standing.paper, signature);
    Ok(())
}

/// Shows what waits for signatures, and who has signed.
///
/// # Errors
/// If a draft is of a role that is not delegated.
pub(super) fn tell(desk: &Desk, lang: Lang, json: bool) -> Result<ExitCode, Report> {
    let standings = desk.standings()?;
    if json {
        let drafts: Vec<_> = standings.iter().map(|standing| standing.json(&desk.names)).collect();
        show::json(&serde_json::json!({ "drafts": drafts }))?;
        return Ok(ExitCode::Ok);
    }
    for standing in &standings {
        show::text(words::standing(desk, standing, lang))?;
        show::text(format!("  digest {}", standing.draft.digest()))?;
    }
    if standings.iter().all(Standing::is_complete) {
        show::text(lang.pick("genug: datenraum board publish", "enough: datenraum board publish"))?;
    } else {
        let (draft, signatures) = (desk.folder.draft(), desk.folder.signatures());
        let (draft, signatures) = (draft.display(), signatures.display());
        show::text(lang.pick(
            format!(
                "Geben Sie {draft} an die anderen weiter. Unterschriften von anderen Rechnern gehören nach {signatures}, in \
                 beliebiger Reihenfolge."
            ),
            format!("Hand {draft} on to the others. Signatures from other machines go to {signatures}, in any order."),
        ))?;
    }
    Ok(ExitCode::Ok)
}
