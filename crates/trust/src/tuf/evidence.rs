//! Documents that were refused although somebody signed them: what a board needs to find out who did.
//!
//! Kept are documents that are older than what was trusted, that carry a version which another one has, or that too few
//! signed, each if at least one key of its role signed it: else anybody could fill the folder. Nothing here decides
//! anything, and a folder that cannot be written never stops a refresh.

use std::path::Path;

use serde::{Deserialize, Serialize};
use terms::{Problem, UtcTime};

use crate::digest::Digest;
use crate::durable;
use crate::tuf::delegation::Delegation;
use crate::tuf::draft::Draft;
use crate::tuf::refresh::RefreshError;
use crate::tuf::refresh::staging::Staging;
use crate::tuf::roles::RoleKeys;
use crate::tuf::roles::TopRole;
use crate::tuf::store::Record;

/// Most documents that are kept. Further ones are not: the first are those that an attack began with.
pub const EVIDENCE_FILES_MAX: usize = 32;

/// Most of them that the broker's own keys signed, which can sign as many as they like.
pub const EVIDENCE_ONLINE_MAX: usize = 8;

/// Most bytes of evidence in all.
pub const EVIDENCE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One refused document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The file in the store's folder `evidence` that holds all of this.
    #[serde(skip)]
    pub name: String,
    /// Why the document was refused.
    pub problem: Problem,
    /// The same in a sentence.
    pub message: String,
    /// When it was refused.
    pub at: UtcTime,
    /// Whose document it is.
    pub role: String,
    /// The document as it was served.
    pub document: String,
}

/// What is in `folder`, the oldest first. What cannot be read is left out.
pub(super) fn list(folder: &Path) -> Vec<Evidence> {
    let Ok(files) = std::fs::read_dir(folder.join("evidence")) else {
        return Vec::new();
    };
    let read = |file: std::fs::DirEntry| {
        let name = file.file_name().into_string().ok()?;
        let evidence: Evidence = serde_json::from_slice(&std::fs::read(file.path()).ok()?).ok()?;
        Some(Evidence { name, ..evidence })
    };
    let mut kept: Vec<Evidence> = files.flatten().filter_map(read).collect();
    kept.sort_by(|a, b| (a.at, &a.name).cmp(&(b.at, &b.name)));
    kept
}

/// Keeps what a refused refresh leaves behind. `delegations` say who may sign for delegated roles.
pub(super) fn keep(staging: &Staging, error: &RefreshError, delegations: &[Delegation], now: UtcTime) {
    let report = error.report();
    let role = match (error, report.problem) {
        (RefreshError::Rollback { role, .. }, _)
        | (RefreshError::Equivocation { role, .. }, _)
        | (RefreshError::BelowThreshold { role, .. }, _) => Some(role.as_str()),
        (_, Problem::PolicyRollback | Problem::PolicyThreshold) => None,
        _ => return,
    };
    let record = staging.record();
    let Some((_, offered)) = staging.suspect(role) else {
        return;
    };
    let Some(role) = signed_role(&offered, &record, delegations) else {
        return;
    };
    // Two documents of one version prove something only together.
    let trusted = matches!(error, RefreshError::Equivocation { .. }).then(|| trusted_document(&record, role));
    for document in trusted.flatten().into_iter().chain([offered]) {
        let evidence = Evidence {
            name: String::new(),
            problem: report.problem,
            message: report.message.clone(),
            at: now,
            role: role.to_owned(),
            document: String::from_utf8_lossy(&document).into_owned(),
        };
        write(staging.vault().folder(), &Digest::of(&document), &evidence);
    }
}

/// The role whose document this is, if one of its keys signed it.
fn signed_role(document: &[u8], record: &Record, delegations: &[Delegation]) -> Option<&'static str> {
    let (draft, signatures) = Draft::parse(document).ok()?;
    let roles = record.newest_roles().ok()?;
    let keys: &RoleKeys = match draft.delegated_role() {
        Some(role) => &delegations.iter().find(|delegation| delegation.role == role)?.keys,
        None => roles.of(draft.role()),
    };
    (!draft.signers(&signatures, keys).is_empty()).then(|| draft.role_name())
}

fn trusted_document(record: &Record, role: &str) -> Option<Vec<u8>> {
    record.set.get(role).map(|document| document.clone().into_bytes())
}

fn write(folder: &Path, digest: &Digest, evidence: &Evidence) {
    let path = folder.join("evidence").join(format!("{}.json", digest.hex()));
    let kept = list(folder);
    let online = [TopRole::Timestamp.as_str(), TopRole::Snapshot.as_str()];
    let is_online = |evidence: &Evidence| online.contains(&evidence.role.as_str());
    let online_full = is_online(evidence) && kept.iter().filter(|kept| is_online(kept)).count() >= EVIDENCE_ONLINE_MAX;
    let bytes_kept: u64 = kept.iter().map(|kept| kept.document.len() as u64).sum();
    let bytes_full = bytes_kept + evidence.document.len() as u64 > EVIDENCE_BYTES_MAX;
    if path.exists() || kept.len() >= EVIDENCE_FILES_MAX || online_full || bytes_full {
        return;
    }
    if let Ok(bytes) = serde_json::to_vec_pretty(evidence) {
        // The refusal itself is what counts, and it has been told.
        let _ = std::fs::create_dir_all(folder.join("evidence")).and_then(|()| durable::replace(&path, &bytes));
    }
}
