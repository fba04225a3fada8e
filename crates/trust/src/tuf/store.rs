//! What a client of a data space remembers across restarts, in a folder of its own.
//!
//! One file, `trusted` (see `record`), holds the pinned root and its successors, the last good set of metadata, the
//! highest versions, the stops and the latest time seen. `files/` caches documents by digest, `evidence/` keeps
//! documents that were refused. Next: `refresh.rs`.

mod record;

use std::io;
use std::path::Path;

use sigstore_tuf::TrustedMetadataSet;
use terms::{Problem, Report, SpaceId, UtcTime};

use crate::dsse::Envelope;
use crate::stop::AcceptedStop;
use crate::tuf::draft::Draft;
use crate::tuf::evidence::{self, Evidence};
use crate::tuf::profile::Profile;
use crate::tuf::refresh::RefreshError;
use crate::tuf::roles::TopRole;
use crate::tuf::{ROOT_BYTES_MAX, ROOTS_MAX, stops};
pub(crate) use record::{Floor, Floors, MetadataSet, Record, Vault};

/// Where the client of one data space keeps what it has verified.
#[derive(Clone, Debug)]
pub struct SpaceStore {
    vault: Vault,
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
    /// It follows a repository that is not a data space, or the other way round.
    #[error("the store of verified documents follows a repository of another kind")]
    OtherKind,
    /// More changes of keys than are followed from one pinned root.
    #[error("the board has changed its keys more than {ROOTS_MAX} times since the pinned root document")]
    TooManyRoots,
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

/// A first root document, checked as far as that can be done alone: its own board signed it. Gives the data space that it is of.
///
/// # Errors
/// If it is none, or too few of its board signed it.
pub fn check_root(root: &[u8]) -> Result<SpaceId, Report> {
    if root.len() as u64 > ROOT_BYTES_MAX {
        return Err(Problem::PolicySignature.report("the pinned root is larger than a root may be"));
    }
    let (draft, signatures) = Draft::parse(root)?;
    let Some(roles) = draft.board() else {
        let message = format!("the pinned document is of the role {}, not root", draft.role_name());
        return Err(Problem::PolicyScope.report(message));
    };
    TrustedMetadataSet::from_root(root).map_err(RefreshError::from)?;
    RefreshError::require_threshold(TopRole::Root.as_str(), &draft, &signatures, &roles.root)?;
    Ok(draft.space().clone())
}

impl SpaceStore {
    /// A new store in `folder`, which is created. `root` is the pinned root document: whoever gives it decides
    /// whom this client trusts, and which data space it follows.
    ///
    /// # Errors
    /// If there is a store already, the root is not signed by its own board, or the folder cannot be written.
    pub fn create(folder: &Path, root: &[u8]) -> Result<Self, Report> {
        let space = check_root(root)?;
        let vault = Vault::create(folder, root, Profile::Space(space))?;
        Ok(Self { vault })
    }

    /// The store in `folder`.
    ///
    /// # Errors
    /// If there is none or it is damaged.
    pub fn open(folder: &Path) -> Result<Self, Report> {
        let vault = Vault::open(folder)?;
        if vault.read()?.space.is_none() {
            return Err(StoreError::OtherKind.into());
        }
        Ok(Self { vault })
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
        let record = self.vault.read()?;
        Ok(record.roots.last().ok_or(StoreError::Damaged)?.clone().into_bytes())
    }

    /// The data space that the pinned root names.
    ///
    /// # Errors
    /// If the store is damaged.
    pub fn space(&self) -> Result<SpaceId, Report> {
        Ok(self.vault.read()?.space.ok_or(StoreError::OtherKind)?)
    }

    /// The latest time at which this client looked at documents; none if it never did. It was not later than that by the clock of then.
    ///
    /// # Errors
    /// If the store is damaged.
    pub fn latest_seen(&self) -> Result<Option<UtcTime>, Report> {
        Ok(self.vault.read()?.latest_seen)
    }

    /// Remembers a stop that reached the operator as a file. From then on every refresh returns it.
    ///
    /// # Errors
    /// Why the stop is refused, or that the store cannot be written.
    pub fn accept_stop(&self, envelope: &Envelope) -> Result<AcceptedStop, Report> {
        stops::accept(&self.vault, envelope)
    }

    /// What was kept of documents that were refused, the oldest first.
    pub fn evidence(&self) -> Vec<Evidence> {
        evidence::list(self.vault.folder())
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
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
            StoreError::Damaged | StoreError::TooManyRoots => Problem::PolicyNone
                .report(text)
                .remedy("keep the folder as evidence, and pin the space's current root document in a new one"),
            StoreError::OtherKind => Problem::PolicyNone
                .report(text)
                .remedy("name the folder of the data space"),
            StoreError::Io { .. } => Problem::PolicyNone
                .report(text)
                .remedy("check the disk and its permissions"),
            StoreError::ClockBack { .. } => Problem::PolicyExpired.report(text).remedy("set this machine's clock"),
            StoreError::Changed => Problem::PolicyNone.report(text).remedy("try again"),
        }
    }
}
