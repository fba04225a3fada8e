//! What a broker tells its operator: `<data>/status.json`, replaced every few seconds while it runs, and its metrics.
//!
//! A file and not a port, so that it can be read while the broker runs, after it stopped, and by nobody else. It must never hold who asks
//! what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::{Gauge, Metrics};
use terms::{Clock, MemberId, Problem, Report, SpaceId, UtcTime};
use wire::KeyFile;

use crate::config::Config;
use crate::durable;
use crate::online::KeyRing;
use crate::relay::Relay;
use crate::roster::Roster;
use crate::witness;

/// The file in the broker's data folder.
const STATUS_FILE: &str = "status.json";

/// Largest status that is read, in bytes.
const STATUS_BYTES_MAX: u64 = 1024 * 1024;

/// How often it is written.
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// A status that is older than that is told.
const AGE_SECONDS_MAX: i64 = 60;

/// Less than that on the disk is told.
const DISK_FREE_BYTES_MIN: u64 = 1 << 30;

/// How a broker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerStatus {
    /// The data space.
    pub space: SpaceId,
    /// When this was written.
    pub at: UtcTime,
    /// Whether it was told to stop.
    pub stopping: bool,
    /// Why the published documents cannot be worked under, if they cannot.
    pub documents: Option<Report>,
    /// Tunnels that members' nodes hold.
    pub tunnels: BTreeMap<MemberId, usize>,
    /// Connections that are carried.
    pub carried: usize,
    /// Limits that are not the usual ones.
    pub limits: BTreeMap<String, u32>,
    /// Why a key file cannot be used as it is, if one cannot.
    pub key_file: Option<Report>,
    /// What is free on the disk of the data folder.
    pub disk_free_bytes: Option<u64>,
    /// Members of whose audit a checkpoint is kept that was not cosigned, and why: `contradicts` or `unproven`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audit_evidence: Vec<(String, String)>,
}

impl BrokerStatus {
    /// What the broker of this configuration wrote last.
    ///
    /// # Errors
    /// `FileMissing` if the broker never ran, `FileSyntax` if the file is not a status.
    pub fn read(config: &Config) -> Result<Self, Report> {
        let path = config.data.join(STATUS_FILE);
        let unreadable = |error: std::io::Error| {
            let report = Problem::FileMissing.report(format!("{}: {}", path.display(), error.kind()));
            report.remedy("start the broker once: datenraum broker run --config FILE")
        };
        let is_long = std::fs::metadata(&path).map_err(unreadable)?.len() > STATUS_BYTES_MAX;
        let text = std::fs::read(&path).map_err(unreadable)?;
        let read = serde_json::from_slice(&text).ok().filter(|_| !is_long);
        read.ok_or_else(|| {
            let message = format!("{} was not written by a broker of this version", path.display());
            Problem::FileSyntax.report(message).remedy("start the broker once more")
        })
    }

    /// Whether the published documents have expired.
    pub fn is_expired(&self) -> bool {
        let problem = self.documents.as_ref().map(|report| report.problem);
        problem == Some(Problem::PolicyExpired)
    }

    /// What an operator should look at, in sentences; none if all is well.
    pub fn warnings(&self, now: UtcTime) -> Vec<String> {
        let mut warnings = Vec::new();
        if now.as_second() - self.at.as_second() > AGE_SECONDS_MAX {
            warnings.push("the broker does not write its status any more: it is stopped, or it hangs".to_owned());
        }
        if let Some(report) = &self.documents {
            warnings.push(format!("the published documents: {report}; {}", report.remedy));
        }
        if let Some(report) = &self.key_file {
            warnings.push(format!("a key file is not used: {report}; {}", report.remedy));
        }
        if let Some(bytes) = self.disk_free_bytes.filter(|bytes| *bytes < DISK_FREE_BYTES_MIN) {
            warnings.push(format!("the disk of the data folder has {} MiB left", bytes >> 20));
        }
        for (member, reason) in &self.audit_evidence {
            let what = match reason.as_str() {
                "contradicts" => "contradicts the one that was cosigned",
                _ => {
                    "came once without a proof that it goes on from the one that was cosigned, from the node or from somebody else"
                }
            };
            warnings.push(format!(
                "the audit of {member} {what}: tell the board, which asks the member; see docs/operators.md, Backup and restore"
            ));
        }
        warnings
    }
}

/// What looks at the broker now and then.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) config: Config,
    pub(crate) roster: Arc<Roster>,
    pub(crate) relay: Relay,
    pub(crate) key_file: Arc<KeyFile>,
    pub(crate) online_keys: Arc<KeyRing>,
    pub(crate) clock: Arc<dyn Clock>,
    documents: Mutex<Option<Report>>,
    witnessed: Option<witness::Store>,
}

impl Watch {
    pub(crate) fn new(
        config: Config,
        roster: Arc<Roster>,
        relay: Relay,
        (key_file, online_keys): (Arc<KeyFile>, Arc<KeyRing>),
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            config,
            roster,
            relay,
            key_file,
            online_keys,
            clock,
            documents: Mutex::default(),
            witnessed: None,
        }
    }

    /// What the witness keeps as evidence is told too.
    pub(crate) fn with_witness(self, witnessed: witness::Store) -> Self {
        Self {
            witnessed: Some(witnessed),
            ..self
        }
    }

    async fn audit_evidence(&self) -> Vec<(String, String)> {
        match &self.witnessed {
            // What cannot be read is logged there, and is told by the next status.
            Some(witnessed) => witnessed.evidence(&self.config.space).await.unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// Writes the status now and then, for ever.
    pub(crate) async fn keep_writing(&self) {
        loop {
            self.write(false).await;
            tokio::time::sleep(WRITE_EVERY).await;
        }
    }

    /// Writes the status. A disk that does not take it stops nothing.
    pub(crate) async fn write(&self, stopping: bool) {
        let documents = self.roster.rules().await.err();
        self.documents().clone_from(&documents);
        let (tunnels, carried) = self.relay.held();
        let status = BrokerStatus {
            space: self.config.space.clone(),
            at: self.clock.now(),
            stopping,
            documents,
            tunnels,
            carried,
            limits: self.config.limits.changed(),
            key_file: self.key_file.problem().or_else(|| self.online_keys.problem()),
            disk_free_bytes: wire::check::disk_free_bytes(&self.config.data).ok(),
            audit_evidence: self.audit_evidence().await,
        };
        let text = serde_json::to_vec_pretty(&status).unwrap_or_default();
        if let Err(error) = durable::replace(&self.config.data.join(STATUS_FILE), &text) {
            tracing::warn!(kind = %error.kind(), "the broker's status is not told");
        }
    }

    /// Whether it serves documents that hold. One under which nothing was published yet serves.
    pub(crate) fn is_ready(&self) -> bool {
        let problem = self.documents().as_ref().map(|report| report.problem);
        matches!(problem, None | Some(Problem::PolicyNone))
    }

    fn documents(&self) -> std::sync::MutexGuard<'_, Option<Report>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has what is known elsewhere told at each reading of the metrics.
    pub(crate) fn measured(self: &Arc<Self>, metrics: &Metrics) {
        let gauge = |name: &str, help: &str| -> Gauge { metrics.register(name, help, Gauge::default()) };
        let ready = gauge("ready", "1 if the published documents hold, 0 if they have expired");
        let members = gauge(
            "members_reachable",
            "Members whose nodes are reached through the broker",
        );
        let tunnels = gauge("tunnels_open", "Tunnels that nodes hold");
        let carried = gauge("calls_carried", "Connections that the broker carries");
        let watch = Arc::downgrade(self);
        metrics.before_reading(move || {
            let Some(watch) = watch.upgrade() else { return };
            let (held, calls) = watch.relay.held();
            let count = |of: usize| i64::try_from(of).unwrap_or(i64::MAX);
            ready.set(watch.is_ready().into());
            members.set(count(held.len()));
            tunnels.set(count(held.values().sum()));
            carried.set(count(calls));
        });
    }
}

#[cfg(test)]
mod tests;
