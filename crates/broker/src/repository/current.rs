//! What the repository announces now: which snapshot the timestamp names, and which documents that lists.
//!
//! It must never be used to decide whom to believe: the broker reads its own folder here, clients verify.

use std::collections::BTreeMap;

use trust::Draft;
use trust::tuf::TopRole;

use super::path::DocumentPath;
use super::shelf::Reading;
use super::{RepositoryError, parse_as};

/// The announced set of documents.
pub(super) struct Current {
    pub(super) timestamp: Draft,
    pub(super) snapshot: Draft,
    pub(super) snapshot_bytes: Vec<u8>,
    /// The versions of the board's document and of delegated ones, by role.
    pub(super) versions: BTreeMap<String, u64>,
}

pub(super) trait Announced: Reading {
    /// What is announced, or `None` before the first publication.
    fn current(&mut self) -> Result<Option<Current>, RepositoryError> {
        let path = DocumentPath::Timestamp;
        let Some(bytes) = self.read(&path)? else {
            return Ok(None);
        };
        let malformed = |path: &DocumentPath, role: TopRole| RepositoryError::Malformed {
            path: path.to_string(),
            role: role.as_str(),
        };
        let (timestamp, _) = parse_as(TopRole::Timestamp, &path.to_string(), &bytes)?;
        let named = timestamp.named_snapshot();
        let (version, _) = named.ok_or_else(|| malformed(&path, TopRole::Timestamp))?;
        let path = DocumentPath::Snapshot(version);
        let snapshot_bytes = self.read(&path)?;
        let snapshot_bytes = snapshot_bytes.ok_or_else(|| malformed(&path, TopRole::Snapshot))?;
        let (snapshot, _) = parse_as(TopRole::Snapshot, &path.to_string(), &snapshot_bytes)?;
        Ok(Some(Current {
            versions: snapshot.listed_versions(),
            timestamp,
            snapshot,
            snapshot_bytes,
        }))
    }
}

impl<R: Reading> Announced for R {}
