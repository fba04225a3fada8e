//! `node status` and `broker status`: under which signed documents a node works, what is stopped, and what its operator should look at.
//!
//! They read what node and broker wrote down themselves, so they work whether those run or not, and ask nobody.

use std::collections::BTreeMap;

use broker::status::BrokerStatus;
use node::status::{AuditStatus, NodeStatus, Operation, Signer};
use serde::Serialize;
use terms::{ExitCode, Report, SystemClock, UtcTime};
use trust::{PublicKey, SigningKey};

use crate::args::{BrokerStatusArgs, NodeStatusArgs};
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
    let (expired, mut warnings) = (status.is_expired(now), status.warnings(now));
    // A key file that cannot be used now is something to tell, and no reason to tell nothing.
    let audit = match SigningKey::load(&config.key) {
        Ok(key) if config.ledger_file().exists() => audit_head(&config, &key.public(), &status, &mut warnings)?,
        Ok(_) => None,
        Err(error) => {
            warnings.push(format!("the audit is not looked at: {error}"));
            None
        }
    };
    warnings.extend(node::status::disk_warning(&config));
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

/// The head of the audit. Where the key file is known to hold another key than the node's, it says nothing.
fn audit_head(
    config: &node::Config,
    key: &PublicKey,
    status: &NodeStatus,
    warnings: &mut Vec<String>,
) -> Result<Option<AuditStatus>, Report> {
    let head = node::status::audit_head(config, key);
    let holds_another = status
        .operation
        .as_ref()
        .is_some_and(|operation| operation.key_file.is_some());
    match head {
        Err(report) if holds_another => {
            warnings.push(format!("the audit is not looked at: {report}"));
            Ok(None)
        }
        head => head.map(Some),
    }
}

/// Everything that `--json` shows of a broker.
#[derive(Serialize)]
struct ShownBroker<'a> {
    #[serde(flatten)]
    status: &'a BrokerStatus,
    expired: bool,
    warnings: &'a [String],
}

/// Shows how a broker is.
///
/// # Errors
/// If the configuration cannot be read or the broker never ran.
pub(crate) fn broker(args: &BrokerStatusArgs, json: bool) -> Result<ExitCode, Report> {
    let status = BrokerStatus::read(&broker::Config::load(&args.config)?)?;
    let now = terms::Clock::now(&SystemClock);
    let (expired, warnings) = (status.is_expired(), status.warnings(now));
    match json {
        true => show::json(&ShownBroker {
            status: &status,
            expired,
            warnings: &warnings,
        })?,
        false => show::text(told_of_broker(&status, &warnings, now))?,
    }
    Ok(if expired { ExitCode::Verification } else { ExitCode::Ok })
}

fn told_of_broker(status: &BrokerStatus, warnings: &[String], now: UtcTime) -> String {
    let mut lines = vec![
        ("broker", format!("of {}", status.space)),
        ("written", ago(Some(status.at), now)),
    ];
    if status.stopping {
        lines.push(("stopped", "it was told to".to_owned()));
    }
    for (member, tunnels) in &status.tunnels {
        lines.push((
            "reached",
            format!("{member}, by {}", counted(*tunnels, "tunnel", "tunnels")),
        ));
    }
    lines.push(("carried", counted(status.carried, "connection", "connections")));
    lines.extend(common(status.disk_free_bytes, &status.limits));
    lines.extend(warnings.iter().map(|warning| ("warning", warning.clone())));
    let lines = lines
        .iter()
        .map(|(name, value)| wire::status::plain(&format!("{name:<13} {value}")));
    lines.collect::<Vec<_>>().join("\n")
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
        let made_up = if dataset.synthetic { ", made up" } else { "" };
        line(
            "dataset",
            format!(
                "{}, {} rows{made_up}, of {:.0}",
                dataset.collection, dataset.rows, dataset.updated
            ),
        );
    }
    if let Some(audit) = audit {
        let entries = counted(usize::try_from(audit.entries).unwrap_or(usize::MAX), "entry", "entries");
        line("audit", format!("{entries}, root {}", audit.root));
    }
    for (name, value) in status.operation.iter().flat_map(|operation| operated(operation, now)) {
        line(name, value);
    }
    for warning in warnings {
        line("warning", warning.clone());
    }
    // What board members wrote must do nothing to a terminal but be shown.
    let shown: Vec<String> = text.lines().map(wire::status::plain).collect();
    shown.join("\n")
}

/// How it runs.
fn operated(operation: &Operation, now: UtcTime) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let ready = operation
        .unready
        .as_ref()
        .map(|report| format!("nothing is answered: {report}"));
    lines.push(("ready", ready.unwrap_or_else(|| "yes".to_owned())));
    for tunnel in &operation.tunnels {
        lines.push((
            "tunnel",
            format!(
                "to {} by {}, opened {}",
                tunnel.broker,
                tunnel.road,
                ago(Some(tunnel.since), now)
            ),
        ));
    }
    if let Some(witness) = operation.witness.as_ref().filter(|witness| witness.at.is_some()) {
        let entries = counted(
            usize::try_from(witness.entries).unwrap_or(usize::MAX),
            "entry",
            "entries",
        );
        lines.push(("cosigned", format!("{entries} by the broker, {}", ago(witness.at, now))));
    }
    if let Some(ahead) = operation.clock_ahead_seconds {
        lines.push(("clock", format!("{ahead} s ahead of the broker's")));
    }
    lines.extend(common(operation.disk_free_bytes, &operation.limits));
    lines
}

/// What is said of nodes and brokers alike.
fn common(disk_free_bytes: Option<u64>, limits: &BTreeMap<String, u32>) -> Vec<(&'static str, String)> {
    let disk = disk_free_bytes.map(|bytes| ("disk", format!("{} MiB free", bytes >> 20)));
    let limits = limits
        .iter()
        .map(|(name, value)| ("limit", format!("{name} = {value}")));
    disk.into_iter().chain(limits).collect()
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
