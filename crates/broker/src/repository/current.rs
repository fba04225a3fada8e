//! What the repository announces now: which snapshot the timestamp names, and which targets document that names.
//!
//! It must never be used to decide whom to believe: the broker reads its own folder here, clients verify.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use trust::Draft;
use trust::tuf::TopRole;

use super::path::DocumentPath;
use super::{Repository, RepositoryError, parse_as};

/// The announced set of documents.
pub(super) struct Current {
    pub(super) timestamp: Draft,
    pub(super) snapshot: Draft,
    pub(super) snapshot_bytes: Vec<u8>,
    pub(super) targets_version: u64,
}

/// One file as a targets document lists it.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) length: u64,
    hashes: BTreeMap<String, String>,
}

impl Listed {
    /// The SHA-256 digest in hex.
    pub(super) fn sha256(&self) -> Option<&str> {
        self.hashes.get("sha256").map(String::as_str)
    }
}

#[derive(Deserialize)]
struct Document<T> {
    signed: T,
}

#[derive(Deserialize)]
struct Pointing {
    meta: BTreeMap<String, Pointed>,
}

#[derive(Deserialize)]
struct Pointed {
    version: u64,
}

#[derive(Deserialize)]
struct Listing {
    targets: BTreeMap<String, Listed>,
}

impl Repository {
    /// What is announced, or `None` before the first publication.
    pub(super) fn current(&self) -> Result<Option<Current>, RepositoryError> {
        let path = DocumentPath::Timestamp;
        let Some(bytes) = self.read(&path)? else {
            return Ok(None);
        };
        let (timestamp, _) = parse_as(TopRole::Timestamp, &path.to_string(), &bytes)?;
        let version = pointed(TopRole::Timestamp, &path, &bytes, "snapshot.json")?;
        let path = DocumentPath::Snapshot(version);
        let missing = || RepositoryError::Malformed {
            path: path.to_string(),
            role: TopRole::Snapshot,
        };
        let snapshot_bytes = self.read(&path)?.ok_or_else(missing)?;
        let (snapshot, _) = parse_as(TopRole::Snapshot, &path.to_string(), &snapshot_bytes)?;
        let targets_version = pointed(TopRole::Snapshot, &path, &snapshot_bytes, "targets.json")?;
        Ok(Some(Current {
            timestamp,
            snapshot,
            snapshot_bytes,
            targets_version,
        }))
    }
}

/// The files that a targets document lists.
pub(super) fn listed_files(targets: &[u8]) -> Result<BTreeMap<String, Listed>, RepositoryError> {
    Ok(body::<Listing>(TopRole::Targets, "the list of files", targets)?.targets)
}

/// The version of `name` that a snapshot or timestamp document points at.
fn pointed(role: TopRole, path: &DocumentPath, bytes: &[u8], name: &str) -> Result<u64, RepositoryError> {
    let path = path.to_string();
    let pointed = body::<Pointing>(role, &path, bytes)?.meta.remove(name);
    Ok(pointed.ok_or(RepositoryError::Malformed { path, role })?.version)
}

fn body<T: DeserializeOwned>(role: TopRole, path: &str, bytes: &[u8]) -> Result<T, RepositoryError> {
    let read = serde_json::from_slice::<Document<T>>(bytes);
    Ok(read
        .map_err(|_| RepositoryError::Malformed {
            path: path.to_owned(),
            role,
        })?
        .signed)
}
