//! What a client of a data space remembers across restarts, in a folder of its own.
//!
//! One file, `trusted`, holds the pinned root and its successors, the last good set of metadata, the highest
//! versions and the latest time seen. It is replaced as a whole: after a crash it is the old or the new one. A
//! file that is missing, cut short or changed is an error, never a fresh start, because a fresh start would
//! accept old documents again. `files/` caches documents by digest. Next: `refresh.rs`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sigstore_tuf::TrustedMetadataSet;
use terms::{Problem, Report, UtcTime};

use crate::digest::Digest;
use crate::durable;
use crate::tuf::refresh::RefreshError;
use crate::tuf::roles::BoardRoles;
use crate::tuf::{CLOCK_STEP_BACK_SECONDS_MAX, ROOT_BYTES_MAX};

/// Where the client of one data space keeps what it has verified.
#[derive(Clone, Debug)]
pub struct SpaceStore {
    folder: PathBuf,
}

/// Why the store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is none.
    #[error("there is no store of verified documents in the folder")]
    Missing,
    /// There is one already.
    #[error("the folder has a store of verified documents already")]
    Exists,
    /// It was cut short or changed.
    #[error("the store of verified documents is damaged")]
    Damaged,
    /// The disk or its permissions.
    #[error("the store of verified documents cannot be read or written: {kind}")]
    Io {
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// The clock says that it is earlier than it was.
    #[error("the clock says {now}, and it was {latest} before")]
    ClockBack {
        /// What the clock says.
        now: UtcTime,
        /// The latest time that was seen.
        latest: UtcTime,
    },
    /// Another process refreshed the same store meanwhile.
    #[error("another process changed the store of verified documents")]
    Changed,
}

/// The content of the file `trusted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    format: u32,
    /// Counts changes of roots and metadata, to notice another process.
    pub(crate) generation: u64,
    /// Root documents: the pinned one, then every successor.
    pub(crate) roots: Vec<String>,
    /// The last good set, whole or not at all.
    pub(crate) set: Option<MetadataSet>,
    pub(crate) floors: Floors,
    latest_seen: Option<UtcTime>,
}

/// The signed documents of one good refresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetadataSet {
    pub(crate) timestamp: String,
    pub(crate) snapshot: String,
    pub(crate) targets: String,
}

/// The versions below which nothing is accepted. That of root is the length of the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Floors {
    pub(crate) timestamp: u64,
    pub(crate) snapshot: u64,
    pub(crate) targets: u64,
    /// Of the targets document with that version.
    pub(crate) targets_digest: Option<Digest>,
}

const FORMAT: u32 = 1;

impl SpaceStore {
    /// A new store in `folder`, which is created. `root` is the pinned root document: whoever gives it decides
    /// whom this client trusts.
    ///
    /// # Errors
    /// If there is a store already, the root is not signed by its own board, or the folder cannot be written.
    pub fn create(folder: &Path, root: &[u8]) -> Result<Self, Report> {
        if root.len() as u64 > ROOT_BYTES_MAX {
            return Err(Problem::PolicySignature.report("the pinned root is larger than a root may be"));
        }
        TrustedMetadataSet::from_root(root).map_err(RefreshError::from)?;
        BoardRoles::read(root)?;
        let root = String::from_utf8(root.to_vec()).map_err(|_| StoreError::Damaged)?;
        let store = Self {
            folder: folder.to_owned(),
        };
        std::fs::create_dir_all(store.folder.join("files")).map_err(StoreError::from)?;
        let _lock = store.lock()?;
        if store.record_path().exists() {
            return Err(StoreError::Exists.into());
        }
        store.write(&Record {
            format: FORMAT,
            generation: 0,
            roots: vec![root],
            set: None,
            floors: Floors::default(),
            latest_seen: None,
        })?;
        Ok(store)
    }

    /// The store in `folder`.
    ///
    /// # Errors
    /// If there is none or it is damaged.
    pub fn open(folder: &Path) -> Result<Self, Report> {
        let store = Self {
            folder: folder.to_owned(),
        };
        store.read()?;
        Ok(store)
    }

    /// The store in `folder`, or at the very first start a new one that pins `root`.
    ///
    /// Never a fresh start where there was a store: its documents without its record are an error.
    ///
    /// # Errors
    /// As [`SpaceStore::open`] and [`SpaceStore::create`].
    pub fn open_or_create(folder: &Path, root: &[u8]) -> Result<Self, Report> {
        let files = std::fs::read_dir(folder.join("files"));
        let was_used = files.is_ok_and(|mut files| files.next().is_some());
        if was_used || folder.join("trusted").exists() {
            return Self::open(folder);
        }
        match Self::create(folder, root) {
            // Another process was first.
            Err(report) if report.problem == Problem::FolderNotEmpty => Self::open(folder),
            created => created,
        }
    }

    /// The newest root document that this client trusts.
    ///
    /// # Errors
    /// If the store is damaged.
    pub fn root(&self) -> Result<Vec<u8>, Report> {
        let record = self.read()?;
        Ok(record.roots.last().ok_or(StoreError::Damaged)?.clone().into_bytes())
    }

    /// Remembers the time durably. Returns the record and the latest time ever seen, which is what expiry is
    /// measured against.
    pub(crate) fn note_time(&self, now: UtcTime) -> Result<(Record, UtcTime), StoreError> {
        let record = self.update(|record| {
            let latest = record.latest_seen.unwrap_or(now);
            if now.as_second() + CLOCK_STEP_BACK_SECONDS_MAX < latest.as_second() {
                return Err(StoreError::ClockBack { now, latest });
            }
            record.latest_seen = Some(latest.max(now));
            Ok(())
        })?;
        let latest = record.latest_seen.unwrap_or(now);
        Ok((record, latest))
    }

    /// Changes the record under a lock. Nothing is written if nothing changed or `change` fails.
    pub(crate) fn update(
        &self,
        change: impl FnOnce(&mut Record) -> Result<(), StoreError>,
    ) -> Result<Record, StoreError> {
        let _lock = self.lock()?;
        let before = self.read()?;
        let mut after = before.clone();
        change(&mut after)?;
        if after != before {
            self.write(&after)?;
        }
        Ok(after)
    }

    /// A cached document, if it is there and still what its digest says.
    pub(crate) fn file(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = std::fs::read(self.file_path(digest)).ok()?;
        (Digest::of(&bytes) == *digest).then_some(bytes)
    }

    /// Caches a document under its digest.
    pub(crate) fn keep_file(&self, bytes: &[u8]) -> Result<(), StoreError> {
        Ok(durable::replace(&self.file_path(&Digest::of(bytes)), bytes)?)
    }

    fn read(&self) -> Result<Record, StoreError> {
        let text = match std::fs::read_to_string(self.record_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(StoreError::Damaged),
            other => other?,
        };
        let (digest, json) = text.split_once('\n').ok_or(StoreError::Damaged)?;
        if digest != Digest::of(json.as_bytes()).to_string() {
            return Err(StoreError::Damaged);
        }
        let record: Record = serde_json::from_str(json).map_err(|_| StoreError::Damaged)?;
        if record.format == FORMAT && !record.roots.is_empty() {
            Ok(record)
        } else {
            Err(StoreError::Damaged)
        }
    }

    fn write(&self, record: &Record) -> Result<(), StoreError> {
        let json = serde_json::to_string(record).map_err(|_| StoreError::Damaged)?;
        let text = format!("{}\n{json}", Digest::of(json.as_bytes()));
        Ok(durable::replace(&self.record_path(), text.as_bytes())?)
    }

    /// Held while the record is read, changed and written; never while waiting for a source.
    fn lock(&self) -> Result<File, StoreError> {
        if !self.folder.is_dir() {
            return Err(StoreError::Missing);
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join("lock"))?;
        file.lock()?;
        Ok(file)
    }

    fn record_path(&self) -> PathBuf {
        self.folder.join("trusted")
    }

    fn file_path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("files").join(digest.hex())
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        StoreError::Io { kind: error.kind() }
    }
}

impl From<StoreError> for Report {
    fn from(error: StoreError) -> Report {
        let text = error.to_string();
        match error {
            StoreError::Missing => Problem::PolicyNone
                .report(text)
                .remedy("pin the space's root document first"),
            StoreError::Exists => Problem::FolderNotEmpty.report(text),
            StoreError::Damaged => Problem::PolicyNone
                .report(text)
                .remedy("keep the folder as evidence, and pin the space's current root document in a new one"),
            StoreError::Io { .. } => Problem::PolicyNone
                .report(text)
                .remedy("check the disk and its permissions"),
            StoreError::ClockBack { .. } => Problem::PolicyExpired.report(text).remedy("set this machine's clock"),
            StoreError::Changed => Problem::PolicyNone.report(text).remedy("try again"),
        }
    }
}
