//! What a node tells its operator: `<data>/status.json`, replaced after every look at the documents.
//!
//! It is a file and not a port, so that it can be read while the node runs, after it stopped, and by nobody else. It
//! must never hold a secret, a person's key or a value of a dataset. How full the audit is, is read from the ledger
//! itself. Next: `governance.rs`, which knows most of it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use terms::{CollectionId, MemberId, Problem, Report, SpaceId, UtcTime, limit};
use trust::{Digest, PublicKey};

use crate::audit;
use crate::config::Config;
use crate::durable;
use crate::governance::{Current, Governance, StopFile};
pub use crate::tunnel::TunnelStatus;
pub use crate::witness::WitnessStatus;

/// The file in the node's data folder.
const STATUS_FILE: &str = "status.json";

/// Largest status that is read, in bytes: as many stops as a space may have.
const STATUS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What is left at least of the documents' life while a broker renews them as it should, in seconds: a timestamp is
/// valid for an hour and renewed at half of it, less the time until the broker and this node look again.
const LIFE_SECONDS_MIN: i64 = 1_800 - 150;

/// After how many missed looks a node is said not to look any more.
const MISSED_LOOKS_MAX: i64 = 4;

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The data space.
    pub space: SpaceId,
    /// The institution that runs the node.
    pub member: MemberId,
    /// When the node last looked at the documents, which is when this was written.
    pub looked_at: Option<UtcTime>,
    /// How often it looks, in seconds.
    pub refresh_seconds: u64,
    /// When the broker last had documents that verify.
    pub refreshed_at: Option<UtcTime>,
    /// Why the documents that are offered are not in force, or could not be had.
    pub problem: Option<Report>,
    /// The documents in force.
    pub documents: DocumentsStatus,
    /// The set that verifies and that this node cannot work under, if there is one.
    pub unusable: Option<SetName>,
    /// What single board members have stopped and the board has not lifted.
    pub stops: Vec<StopStatus>,
    /// The files in the node's folder of stops.
    pub stop_files: Vec<StopFile>,
    /// Documents that were refused although somebody signed them, kept in the folder `governance/evidence`.
    pub evidence: Vec<EvidenceStatus>,
    /// The datasets that the node offers.
    pub datasets: Vec<DatasetStatus>,
    /// Those that cannot be answered from, or could not be renewed.
    #[serde(default)]
    pub unhealthy: Vec<engine::Unhealthy>,
    /// How it runs.
    #[serde(default)]
    pub operation: Option<Operation>,
}

/// How a node runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Why it answers nothing, if it does not.
    pub unready: Option<Report>,
    /// How many tunnels it is to have.
    pub tunnels_wanted: usize,
    /// Those that are open.
    pub tunnels: Vec<TunnelStatus>,
    /// Limits that are not the usual ones.
    pub limits: BTreeMap<String, u32>,
    /// Why the key file cannot be used as it is, if it cannot.
    pub key_file: Option<Report>,
    /// What is free on the disk of the data folder.
    pub disk_free_bytes: Option<u64>,
    /// How far the node's clock is ahead of the broker's.
    pub clock_ahead_seconds: Option<i64>,
    /// How far the broker cosigned the audit.
    #[serde(default)]
    pub witness: Option<WitnessStatus>,
}

/// Less than that on the disk of the ledger is told.
const DISK_FREE_BYTES_MIN: u64 = 1 << 30;

/// A clock that is further off than that is told.
const CLOCK_OFF_SECONDS_MAX: i64 = 60;

impl Operation {
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(report) = &self.unready {
            warnings.push(format!("nothing is answered: {report}; {}", report.remedy));
        }
        let (open, wanted) = (self.tunnels.len(), self.tunnels_wanted);
        if open < wanted {
            warnings.push(format!(
                "{open} of {wanted} tunnels to the broker are open: look at the log for why, and at the proxy or firewall on the way"
            ));
        }
        if let Some(report) = &self.key_file {
            warnings.push(format!("the key file is not used: {report}; {}", report.remedy));
        }
        if let Some(report) = self.witness.as_ref().and_then(|witness| witness.problem.as_ref()) {
            warnings.push(format!("the audit is not cosigned: {report}; {}", report.remedy));
        }
        if let Some(bytes) = self.disk_free_bytes.filter(|bytes| *bytes < DISK_FREE_BYTES_MIN) {
            warnings.push(format!(
                "the disk of the data folder has {} MiB left: without room for the ledger nothing is answered",
                bytes >> 20
            ));
        }
        if let Some(ahead) = self
            .clock_ahead_seconds
            .filter(|ahead| ahead.abs() > CLOCK_OFF_SECONDS_MAX)
        {
            let (seconds, way) = (ahead.abs(), if ahead > 0 { "ahead of" } else { "behind" });
            warnings.push(format!(
                "the clock is {seconds} s {way} the broker's: proofs and credentials are refused; set it by NTP"
            ));
        }
        warnings
    }
}

/// The documents under which a node works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentsStatus {
    /// Version of the board's list of files.
    pub version: u64,
    /// Digest of it, as board members saw it when they signed.
    pub digest: Digest,
    /// Version of the root document.
    pub root_version: u64,
    /// The board members whose signatures hold.
    pub signers: Vec<Signer>,
    /// How many keys the board has.
    pub board_keys: usize,
    /// Until when queries are answered under these documents. Each look moves it.
    pub expires: UtcTime,
    /// Until when the board signed them, whatever the broker says.
    pub signed_until: UtcTime,
    /// How many permits there are.
    pub permits: usize,
    /// What the board has delegated.
    pub delegated: Vec<DelegatedStatus>,
}

/// A set of documents by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetName {
    /// Its version.
    pub version: u64,
    /// Its digest.
    pub digest: Digest,
}

/// Whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// The key.
    pub key: PublicKey,
    /// The person, if the operator keeps the key file: `<data>/board/*.pub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Documents that others than the board may sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegatedStatus {
    /// `permits` or `registrar`.
    pub role: String,
    /// Version of the role's document.
    pub version: u64,
    /// Until when it holds.
    pub expires: UtcTime,
    /// Whose signatures hold.
    pub signers: Vec<Signer>,
    /// Why the role's files count for nothing, if they do not.
    pub problem: Option<Report>,
}

/// One stop in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopStatus {
    /// What is stopped: `person saarland-university/ada`.
    pub stopped: String,
    /// Why, as the board member wrote it.
    pub reason: String,
    /// When it was signed.
    pub at: UtcTime,
    /// Who signed it.
    pub signer: Signer,
    /// What the board names to lift it.
    pub digest: Digest,
}

/// One refused document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceStatus {
    /// Why it was refused.
    pub problem: Problem,
    /// The same in a sentence.
    pub message: String,
    /// When.
    pub at: UtcTime,
    /// Its file in `governance/evidence`.
    pub file: String,
}

/// One dataset. Its rows are the operator's to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetStatus {
    /// The collection.
    pub collection: CollectionId,
    /// Its rows.
    pub rows: u64,
    /// When it last changed.
    pub updated: UtcTime,
    /// Whether it is of made-up people.
    #[serde(default)]
    pub synthetic: bool,
}

/// How full the audit is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditStatus {
    /// Entries in the log.
    pub entries: u64,
    /// Root of the tree over them, as the node signed it.
    pub root: Digest,
}

impl NodeStatus {
    /// What a running node knows of itself.
    pub(crate) fn of(config: &Config, governance: &Governance, datasets: &engine::Datasets) -> Self {
        let (current, look) = (governance.latest(), governance.last_look());
        let evidence = governance.evidence().into_iter().map(|kept| EvidenceStatus {
            problem: kept.problem,
            message: kept.message,
            at: kept.at,
            file: kept.name,
        });
        let described = |dataset: &std::sync::Arc<engine::Dataset>| DatasetStatus {
            collection: dataset.collection().clone(),
            rows: dataset.rows(),
            updated: dataset.updated(),
            synthetic: dataset.is_synthetic(),
        };
        let stops = current.stops.iter().map(|accepted| StopStatus {
            stopped: accepted.stop.stopped.to_string(),
            reason: accepted.stop.reason.clone(),
            at: accepted.stop.at,
            signer: signer(&accepted.signer),
            digest: accepted.digest,
        });
        Self {
            space: config.space.clone(),
            member: config.member.clone(),
            looked_at: look.at,
            refresh_seconds: config.refresh_seconds,
            refreshed_at: look.refreshed_at,
            problem: look.problem,
            documents: DocumentsStatus::of(&current),
            unusable: look.unusable.map(|(version, digest)| SetName { version, digest }),
            stops: stops.collect(),
            stop_files: look.stop_files,
            evidence: evidence.collect(),
            datasets: datasets.all().iter().map(described).collect(),
            unhealthy: datasets.unhealthy(),
            operation: None,
        }
    }

    /// Replaces the file, whole or not at all.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub(crate) fn write(&self, config: &Config) -> Result<(), Report> {
        let unwritable =
            |what: String| Problem::FileMissing.report(format!("the node's status cannot be written: {what}"));
        let text = serde_json::to_vec_pretty(self).map_err(|error| unwritable(error.to_string()))?;
        let written = durable::replace(&config.data.join(STATUS_FILE), &text);
        written.map_err(|error| unwritable(error.kind().to_string()))
    }

    /// What the node of this configuration wrote last, with the names of board members whose keys the operator keeps.
    ///
    /// # Errors
    /// `FileMissing` if the node never ran, `FileSyntax` if the file is not a status.
    pub fn read(config: &Config) -> Result<Self, Report> {
        let path = config.data.join(STATUS_FILE);
        let unreadable = |error: std::io::Error| {
            let message = format!("{}: {}", path.display(), error.kind());
            let remedy = "start the node once: datenraum node run --config FILE";
            Problem::FileMissing.report(message).remedy(remedy)
        };
        let long = std::fs::metadata(&path).map_err(unreadable)?.len() > STATUS_BYTES_MAX;
        let text = std::fs::read(&path).map_err(unreadable)?;
        let read = serde_json::from_slice::<Self>(&text).ok().filter(|_| !long);
        let mut status = read.ok_or_else(|| {
            let message = format!("{} was not written by a node of this version", path.display());
            Problem::FileSyntax.report(message).remedy("start the node once more")
        })?;
        status.name_signers(&names(&config.data.join("board")));
        Ok(status)
    }

    fn name_signers(&mut self, names: &[(PublicKey, String)]) {
        let delegated = self.documents.delegated.iter_mut().flat_map(|role| &mut role.signers);
        let signers = self.documents.signers.iter_mut().chain(delegated);
        for signer in signers.chain(self.stops.iter_mut().map(|stop| &mut stop.signer)) {
            let known = names.iter().find(|(key, _)| *key == signer.key);
            signer.name = known.map(|(_, name)| name.clone());
        }
    }

    /// Whether the documents have expired: then nothing is answered.
    pub fn is_expired(&self, now: UtcTime) -> bool {
        self.documents.expires <= now
    }

    /// What an operator should look at, in sentences; none if all is well.
    pub fn warnings(&self, now: UtcTime) -> Vec<String> {
        let mut warnings = Vec::new();
        let seconds_since = |at: UtcTime| now.as_second() - at.as_second();
        let every = i64::try_from(self.refresh_seconds).unwrap_or(i64::MAX);
        let looks = self
            .looked_at
            .is_some_and(|at| seconds_since(at) <= every.saturating_mul(MISSED_LOOKS_MAX));
        if !looks {
            warnings.push("the node does not look at the documents any more: it is stopped, or it hangs".to_owned());
        }
        let left = self.documents.expires.as_second() - now.as_second();
        if left <= 0 {
            warnings.push(format!(
                "the documents expired at {:.0}: nothing is answered until the broker has newer ones",
                self.documents.expires
            ));
        } else if left < LIFE_SECONDS_MIN {
            let minutes = left / 60;
            warnings.push(format!(
                "the broker does not renew the documents: nothing is answered from {:.0} on, in {minutes} minutes",
                self.documents.expires
            ));
        }
        if let Some(problem) = &self.problem {
            warnings.push(format!("the last look failed: {problem}; {}", problem.remedy));
        }
        for role in &self.documents.delegated {
            if let Some(problem) = &role.problem {
                warnings.push(format!(
                    "nothing that {} signed counts: {problem}; {}",
                    role.role, problem.remedy
                ));
            }
        }
        for file in &self.stop_files {
            if let Some(problem) = &file.problem {
                warnings.push(format!("the file stops/{} stops nothing: {problem}", file.file));
            }
        }
        if !self.evidence.is_empty() {
            warnings.push(
                "documents were refused although somebody signed them: give governance/evidence to the board"
                    .to_owned(),
            );
        }
        warnings.extend(self.unhealthy.iter().map(ToString::to_string));
        warnings.extend(self.operation.iter().flat_map(Operation::warnings));
        warnings
    }
}

impl DocumentsStatus {
    fn of(current: &Current) -> Self {
        let set = &current.set;
        let delegated = set.delegated.iter().map(|documents| DelegatedStatus {
            role: documents.role.as_str().to_owned(),
            version: documents.version,
            expires: documents.expires,
            signers: documents.signers.iter().map(signer).collect(),
            problem: documents.problem.clone(),
        });
        Self {
            version: set.version,
            digest: set.digest,
            root_version: set.root_version,
            signers: set.signers.iter().map(signer).collect(),
            board_keys: set.board.len(),
            expires: current.expires(),
            signed_until: set.signed_until,
            permits: current.rules.permits.len(),
            delegated: delegated.collect(),
        }
    }
}

/// The audit of the node of this configuration, as far as its signed head says; [`audit::verify`] reads all of it.
///
/// # Errors
/// `AuditBroken` if the node's key did not sign the head, `FileMissing` if there is no ledger.
pub fn audit_head(config: &Config, key: &PublicKey) -> Result<AuditStatus, Report> {
    let (entries, root) = audit::head(&config.ledger_file(), &config.audit_origin(), key)?;
    Ok(AuditStatus { entries, root })
}

/// What an operator should know of the disk on which the node's ledger is; none if there is room.
pub fn disk_warning(config: &Config) -> Option<String> {
    let free = wire::check::disk_free_bytes(config.ledger_file().parent()?).ok()?;
    let needed = limit::LEDGER_ROOM_BYTES_MIN;
    (free < needed).then(|| {
        format!(
            "the disk of the ledger is full: {free} bytes are free, and nothing is answered with fewer than {needed}"
        )
    })
}

fn signer(key: &PublicKey) -> Signer {
    Signer { key: *key, name: None }
}

/// The key files that the operator keeps of the board. What is none is left out: a name is a convenience.
fn names(folder: &Path) -> Vec<(PublicKey, String)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "pub"));
    let read = files.filter_map(|path| trust::key::PublicKeyFile::load(&path).ok());
    read.map(|file| (file.key, file.name.to_string())).collect()
}
