//! `audit hand-over`: a node's ledger goes on under the new key of its institution.

use std::path::Path;
use std::sync::Arc;

use node::ledger::{HandedOver, Ledger, LedgerPlace};
use serde::Serialize;
use terms::{ExitCode, Problem, Report};
use trust::{Digest, PublicKey, SigningKey};

use super::{node_config, unwritable};
use crate::args::AuditHandOverArgs;
use crate::show;

/// What `--json` shows.
#[derive(Serialize)]
struct Shown<'a> {
    entries: u64,
    root: Digest,
    from: PublicKey,
    to: PublicKey,
    checkpoint: &'a str,
}

/// Hands a ledger over. The note that the broker cosigned under the old key is laid aside, as evidence.
///
/// # Errors
/// `Usage` if both keys are one; `AuditBroken` if the old key did not sign the ledger whole; `AuditUnavailable` while a node uses it.
pub(crate) fn run(args: AuditHandOverArgs, json: bool) -> Result<ExitCode, Report> {
    let config = node_config(&args.folder)?;
    let from = Arc::new(SigningKey::load(args.from.as_deref().unwrap_or(&config.key))?);
    let to_file = args.to.as_deref().unwrap_or(&config.key);
    let to = SigningKey::load(to_file)?;
    let place = LedgerPlace {
        file: config.ledger_file(),
        anchor: config.anchor_file(),
    };
    let handed_over = Ledger::hand_over(&place, &config.audit_origin(), Arc::clone(&from), &to)?;
    let HandedOver {
        entries,
        root,
        checkpoint,
    } = handed_over;
    if let Some(path) = &args.keep {
        std::fs::write(path, &checkpoint).map_err(|error| unwritable(path, &error))?;
    }
    lay_aside(&config.cosigned_file(), &from.public())?;
    let (from, to) = (from.public(), to.public());
    if json {
        show::json(&Shown {
            entries,
            root,
            from,
            to,
            checkpoint: &checkpoint,
        })?;
    } else {
        let file = to_file.display();
        show::text(format!(
            "handed over: {entries} entries, root {root}\n  from {from}\n  to   {to}\nnode.toml must name {file} as key before the node is \
             started again"
        ))?;
    }
    Ok(ExitCode::Ok)
}

/// Renames what the broker cosigned: the new key did not sign it.
fn lay_aside(cosigned: &Path, from: &PublicKey) -> Result<(), Report> {
    let mut aside = cosigned.as_os_str().to_owned();
    aside.push(format!(".{}", &from.key_id()[..8]));
    match std::fs::rename(cosigned, &aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let report = Problem::FileMissing.report(format!("{}: {error}", cosigned.display()));
            Err(report.remedy("the ledger is handed over; move this file away, and the broker makes a new one"))
        }
        _ => Ok(()),
    }
}
