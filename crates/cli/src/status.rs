//! `node status`: under which signed documents a node works, what is stopped, and what its operator should look at.
//!
//! It reads what the node wrote down itself, so it works whether the node runs or not, and asks nobody.

use node::status::{AuditStatus, NodeStatus, Signer};
use serde::Serialize;
use terms::{ExitCode, Report, SystemClock, UtcTime};
use trust::SigningKey;

use crate::args::NodeStatusArgs;
use crate::sandbox::found::counted;
use crate::show;

/// Everything that `--json` shows.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    status: &'a NodeStatus,
    expired: bool,
    warnings: &'a [String],
    audit: Option<AuditStatus>,
}

/// Shows how a node is.
///
/// # Errors
/// If the configuration cannot be read, the node never ran, or its key did not sign the head of its audit.
pub(crate) fn node(args: NodeStatusArgs, json: bool) -> Result<ExitCode, Report> {
    let config = node::Config::load(&args.config)?;
    let status = NodeStatus::read(&config)?;
    let now = terms::Clock::now(&SystemClock);
    let key = SigningKey::load(&config.key)?.public();
    let audit = match config.ledger_file().exists() {
        true => Some(node::status::audit_head(&config, &key)?),
        false => None,
    };
    let (expired, warnings) = (status.is_expired(now), status.warnings(now));
    let warnings: Vec<String> = warnings
        .into_iter()
        .chain(node::status::disk_warning(&config))
        .collect();
    if json {
        show::json(&Shown {
            status: &status,
            expired,
            warnings: &warnings,
            audit,
        })?;
    } else {
        show::text(told(&status, audit.as_ref(), &warnings, now))?;
    }
    Ok(if expired { ExitCode::Verification } else { ExitCode::Ok })
}

/// The status for people.
fn told(status: &NodeStatus, audit: Option<&AuditStatus>, warnings: &[String], now: UtcTime) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<13} {value}\n"));
    let documents = &status.documents;
    line("node", format!("{} in {}", status.member, status.space));
    line(
        "documents",
        format!("version {}, root version {}", documents.version, documents.root_version),
    );
    line("digest", documents.digest.to_string());
    let signers: Vec<String> = documents.signers.iter().map(named).collect();
    line(
        "signed by",
        format!("{} of {} board keys", documents.signers.len(), documents.board_keys),
    );
    signers.into_iter().for_each(|signer| line("", signer));
    line(
        "in force",
        format!(
            "until {:.0}; signed until {:.0}",
            documents.expires, documents.signed_until
        ),
    );
    line("last look", ago(status.looked_at, now));
    line("broker", format!("had documents {}", ago(status.refreshed_at, now)));
    if let Some(unusable) = &status.unusable {
        line(
            "offered",
            format!(
                "version {} ({}), which this node cannot work under",
                unusable.version, unusable.digest
            ),
        );
    }
    line("permits", counted(documents.permits, "permit", "permits"));
    for role in &documents.delegated {
        let signers: Vec<String> = role.signers.iter().map(named).collect();
        let state = match &role.problem {
            Some(problem) => format!("counts for nothing [{}]", problem.problem),
            None => format!(
                "version {} until {:.0}, signed by {}",
                role.version,
                role.expires,
                signers.join(", ")
            ),
        };
        line(&format!("  {}", role.role), state);
    }
    line(
        "stopped",
        counted(status.stops.len(), "stop in force", "stops in force"),
    );
    for stop in &status.stops {
        let (what, reason, at) = (&stop.stopped, &stop.reason, stop.at);
        line("", format!("{what}: {reason} ({at:.0}, {})", named(&stop.signer)));
        line("", format!("  to lift: {}", stop.digest));
    }
    line(
        "evidence",
        counted(status.evidence.len(), "refused document", "refused documents"),
    );
    for kept in &status.evidence {
        line(
            "",
            format!("{:.0} {} [{}]: {}", kept.at, kept.message, kept.problem, kept.file),
        );
    }
    for dataset in &status.datasets {
        line(
            "dataset",
            format!(
                "{}, {} rows, of {:.0}",
                dataset.collection, dataset.rows, dataset.updated
            ),
        );
    }
    if let Some(audit) = audit {
        let entries = counted(usize::try_from(audit.entries).unwrap_or(usize::MAX), "entry", "entries");
        line("audit", format!("{entries}, root {}", audit.root));
    }
    for warning in warnings {
        line("warning", warning.clone());
    }
    // What board members wrote must do nothing to a terminal but be shown.
    let shown: Vec<String> = text.lines().map(wire::status::plain).collect();
    shown.join("\n")
}

fn named(signer: &Signer) -> String {
    match &signer.name {
        Some(name) => format!("{name} ({})", signer.key),
        None => signer.key.to_string(),
    }
}

fn ago(at: Option<UtcTime>, now: UtcTime) -> String {
    let Some(at) = at else {
        return "never".to_owned();
    };
    let seconds = now.as_second() - at.as_second();
    match seconds {
        ..0 => format!("at {at:.0}, which is in the future"),
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} minutes ago", seconds / 60),
        _ => format!("at {at:.0}"),
    }
}
