//! The one file of a store, `trusted`, and the lock under which it changes.
//!
//! It is replaced as a whole: after a crash it is the old or the new one. A file that is missing, cut short or changed
//! is an error, never a fresh start, because a fresh start would accept old documents again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use terms::{SpaceId, UtcTime};

use super::StoreError;
use crate::digest::Digest;
use crate::dsse::Envelope;
use crate::durable;
use crate::tuf::CLOCK_STEP_BACK_SECONDS_MAX;
use crate::tuf::profile::Profile;

const FORMAT: u32 = 2;

/// The content of the file `trusted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    format: u32,
    /// Counts changes of roots and metadata, to notice another process.
    pub(crate) generation: u64,
    /// The data space that is followed; none for any other TUF repository.
    pub(crate) space: Option<SpaceId>,
    /// Root documents: the pinned one, then every successor.
    pub(crate) roots: Vec<String>,
    /// The last good set: of a data space whole or not at all, of any other repository what verified.
    pub(crate) set: MetadataSet,
    pub(crate) floors: Floors,
    /// Stops of board members, each verified when it came.
    pub(crate) stops: Vec<Envelope>,
    pub(super) latest_seen: Option<UtcTime>,
}

/// Signed documents by role: `timestamp`, `snapshot`, `targets` and the delegated roles.
pub(crate) type MetadataSet = BTreeMap<String, String>;

/// By role, the version below which nothing is accepted. That of root is the length of the chain.
pub(crate) type Floors = BTreeMap<String, Floor>;

/// The highest version that was trusted, and which document had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Floor {
    pub(crate) version: u64,
    /// Of what is signed in it.
    pub(crate) digest: Digest,
}

/// A folder with a record.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    folder: PathBuf,
}

impl Record {
    pub(crate) fn profile(&self) -> Profile {
        self.space.clone().map_or(Profile::Any, Profile::Space)
    }
}

impl Vault {
    /// A new record that pins `root`, which was verified.
    pub(crate) fn create(folder: &Path, root: &[u8], profile: Profile) -> Result<Self, StoreError> {
        let root = String::from_utf8(root.to_vec()).map_err(|_| StoreError::Damaged)?;
        let vault = Self {
            folder: folder.to_owned(),
        };
        std::fs::create_dir_all(folder.join("files"))?;
        let _lock = vault.lock()?;
        if vault.record_path().exists() {
            return Err(StoreError::Exists);
        }
        vault.write(&Record {
            format: FORMAT,
            generation: 0,
            space: match profile {
                Profile::Any => None,
                Profile::Space(space) => Some(space),
            },
            roots: vec![root],
            set: MetadataSet::new(),
            floors: Floors::new(),
            stops: Vec::new(),
            latest_seen: None,
        })?;
        Ok(vault)
    }

    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let vault = Self {
            folder: folder.to_owned(),
        };
        vault.read()?;
        Ok(vault)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Remembers the time durably. Returns the record and the latest time ever seen, which is what expiry is
    /// measured against.
    pub(crate) fn note_time(&self, now: UtcTime) -> Result<(Record, UtcTime), StoreError> {
        let record = self.update(|record| {
            let latest = record.latest_seen.unwrap_or(now);
            if now.as_second().saturating_add(CLOCK_STEP_BACK_SECONDS_MAX) < latest.as_second() {
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

    pub(crate) fn read(&self) -> Result<Record, StoreError> {
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
