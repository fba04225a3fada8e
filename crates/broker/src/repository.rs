//! The signed documents: a TUF 1.0 repository with consistent snapshots, in a folder or in a PostgreSQL that brokers share.
//!
//! `metadata/` has `N.root.json`, `N.targets.json`, `N.snapshot.json`, `timestamp.json` and what delegated roles signed
//! (`N.permits.json`); `targets/` has the files of the space under their digests. `metadata/stops.json` is the list of
//! stops, which only grows. Everything but the timestamp and the stops is written once and never changed after a
//! timestamp has named it. A reader sees the set before or after a publication, never a mixture.
//!
//! Reading order: this file (opening and reading), `path` (which documents can be asked for at all), `shelf` (where they are
//! kept, and who may write), `publish` (a new set, a new root, renewal), `offer` (what of it is accepted), `current` (what is
//! announced now), `stops`.

mod current;
mod offer;
mod path;
mod publish;
mod shelf;
mod stops;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;

use terms::{Problem, Report, SpaceId, UtcTime};
use trust::tuf::{DraftError, RolesError, TopRole};
use trust::{BoardRoles, DocumentSource, Draft, SourceError};

use crate::postgres::{self, Database};
use path::DocumentPath;
pub(crate) use publish::Lists;
pub use publish::{OnlineKeys, Publication, Renewal, SNAPSHOT_SECONDS, TIMESTAMP_SECONDS};
use shelf::{Folder, Reading as _, Shared, Shelf, Turn};

/// The repository of one data space.
#[derive(Clone, Debug)]
pub struct Repository {
    shelf: Arc<dyn Shelf>,
}

/// Why a repository cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// No document could have this path.
    #[error("{path:?} is not the path of a governance document")]
    Path {
        /// The path, cut short.
        path: String,
    },
    /// There is none.
    #[error("the folder is not a repository: it has no root document")]
    Missing,
    /// There is something else in the folder.
    #[error("the folder of a new repository must be empty")]
    Exists,
    /// The disk or its permissions.
    #[error("the repository cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// The database that brokers share.
    #[error("the broker's database does not answer")]
    Database(#[from] sqlx::Error),
    /// A document in the repository is larger than any client reads.
    #[error("the document {path} has more than {bytes_max} bytes")]
    TooLarge {
        /// The document.
        path: String,
        /// What clients read.
        bytes_max: u64,
    },
    /// A document is not what its name says.
    #[error("{path} is not a {role} document")]
    Malformed {
        /// The document.
        path: String,
        /// What it should be.
        role: &'static str,
    },
    /// The document could not be drafted.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// The root's roles cannot be used.
    #[error(transparent)]
    Roles(#[from] RolesError),
    /// Too few board members signed.
    #[error("{role} has {valid} of {threshold} required signatures")]
    Threshold {
        /// Whose document.
        role: &'static str,
        /// Signatures of distinct keys that hold.
        valid: usize,
        /// Signatures that are required.
        threshold: u16,
    },
    /// One key signed twice.
    #[error("the {role} document has two signatures under one key id")]
    Repeated {
        /// Whose document.
        role: &'static str,
    },
    /// The offered version does not follow the current one.
    #[error("{role} version {offered} does not follow version {current}, which is published")]
    Version {
        /// Whose document.
        role: &'static str,
        /// What was offered.
        offered: u64,
        /// What is published.
        current: u64,
    },
    /// Another document with this version is published.
    #[error("another {role} document of version {version} is published")]
    Equivocation {
        /// Whose document.
        role: &'static str,
        /// The version of both.
        version: u64,
    },
    /// Nobody would accept it.
    #[error("the {role} document expired at {expires}")]
    Expired {
        /// Whose document.
        role: &'static str,
        /// When it did.
        expires: UtcTime,
    },
    /// The files are not those that the board signed.
    #[error("the file {name} {what}")]
    Files {
        /// The file.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The board has not published anything yet.
    #[error("the board has not published anything yet")]
    NothingPublished,
    /// The document is of another data space.
    #[error("the {role} document belongs to the data space {offered}")]
    Space {
        /// Whose document.
        role: &'static str,
        /// The data space that it names.
        offered: SpaceId,
    },
    /// The document is of another role.
    #[error("the document is one of the role {offered}, not of {expected}")]
    OtherRole {
        /// Whose document it is.
        offered: &'static str,
        /// Whose was expected.
        expected: &'static str,
    },
    /// The board has not delegated the role.
    #[error("the board has not delegated the role {role}")]
    NotDelegated {
        /// The role.
        role: &'static str,
    },
    /// The broker's key is not the one that the board named.
    #[error("the root document does not let the broker's {role} key sign alone")]
    OnlineKey {
        /// Which key.
        role: &'static str,
    },
}

impl Repository {
    /// A new repository in `folder`, which is created. `root` is the board's first root document.
    ///
    /// # Errors
    /// [`Problem::FolderNotEmpty`] if there is something in the folder, [`Problem::PolicyThreshold`] if the root is
    /// not signed by its own board.
    pub fn found(folder: &Path, root: &[u8]) -> Result<Self, Report> {
        let (draft, signatures) = parse_as(TopRole::Root, "the root", root)?;
        publish::require_threshold(
            &draft,
            &signatures,
            &BoardRoles::read(root).map_err(RepositoryError::from)?.root,
        )?;
        let repository = Self::on(Folder::found(folder)?);
        let mut turn = repository.turn()?;
        turn.write(&DocumentPath::Root(draft.version()), root)?;
        turn.finish()?;
        Ok(repository)
    }

    /// The repository in `folder`.
    ///
    /// # Errors
    /// [`Problem::PolicyNone`] if there is none.
    pub fn open(folder: &Path) -> Result<Self, Report> {
        Ok(Self::on(Folder::open(folder)?))
    }

    /// The repository of `space` in a database. `root`, the board's first root document, is placed there if it has none.
    ///
    /// # Errors
    /// [`Problem::PolicyThreshold`] if the root is not signed by its own board, [`Problem::Unreachable`] if the database
    /// does not answer.
    pub(crate) fn shared(database: Database, space: &SpaceId, root: &[u8]) -> Result<Self, Report> {
        let (draft, signatures) = parse_as(TopRole::Root, "the root", root)?;
        publish::require_threshold(
            &draft,
            &signatures,
            &BoardRoles::read(root).map_err(RepositoryError::from)?.root,
        )?;
        let repository = Self::on(Shared::new(database, space.clone()));
        let mut turn = repository.turn()?;
        match turn.newest_root() {
            Err(RepositoryError::Missing) => turn.write(&DocumentPath::Root(draft.version()), root)?,
            found => drop(found?),
        }
        turn.finish()?;
        Ok(repository)
    }

    fn on(shelf: impl Shelf + 'static) -> Self {
        Self { shelf: Arc::new(shelf) }
    }

    /// Held while documents are read, signed and written, so that a board's tool and all brokers take turns.
    fn turn(&self) -> Result<Turn, RepositoryError> {
        Turn::take(self.shelf.as_ref())
    }

    /// The document at `path`: `timestamp.json`, `2.root.json`, `targets/policies/<64 hex digits>.research.toml`.
    /// `None` if there is none.
    ///
    /// # Errors
    /// [`Problem::Usage`] if no document can have this path; [`Problem::PolicyNone`] if the disk fails,
    /// [`Problem::Unreachable`] if the database does.
    pub fn document(&self, path: &str) -> Result<Option<Vec<u8>>, Report> {
        let known = DocumentPath::parse(path).ok_or_else(|| RepositoryError::Path { path: shortened(path) })?;
        Ok(shelf::require_readable(&known, self.shelf.read(&known)?)?)
    }
}

/// The broker reads its own repository the way any client does.
#[async_trait::async_trait]
impl DocumentSource for Repository {
    async fn fetch(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let bare = path.strip_prefix("metadata/").unwrap_or(path).to_owned();
        let repository = self.clone();
        let read = tokio::task::spawn_blocking(move || repository.document(&bare)).await;
        let failed = |reason: String| SourceError::Unreachable { reason };
        let found = read.map_err(|_| failed("the reader stopped".to_owned()))?;
        match found.map_err(|report| failed(report.message))? {
            Some(bytes) if bytes.len() as u64 > bytes_max => Err(SourceError::TooLarge {
                path: path.to_owned(),
                bytes_max,
            }),
            found => Ok(found),
        }
    }
}

/// A document with its signatures, if it is one of `role`.
fn parse_as(role: TopRole, path: &str, bytes: &[u8]) -> Result<(Draft, Vec<trust::DraftSignature>), RepositoryError> {
    let (draft, signatures) = Draft::parse(bytes)?;
    if draft.role() == role {
        return Ok((draft, signatures));
    }
    Err(RepositoryError::Malformed {
        path: path.to_owned(),
        role: role.as_str(),
    })
}

/// Enough of a path to recognise it by.
fn shortened(path: &str) -> String {
    path.chars().take(80).collect()
}

impl From<RepositoryError> for Report {
    fn from(error: RepositoryError) -> Report {
        let text = error.to_string();
        match error {
            RepositoryError::Path { .. } => Problem::Usage.report(text),
            RepositoryError::Missing => Problem::PolicyNone.report(text).remedy("check the repository's path"),
            RepositoryError::NothingPublished => {
                Problem::PolicyNone.report(text).remedy("publish the board's set first")
            }
            RepositoryError::Space { .. } | RepositoryError::OtherRole { .. } => Problem::PolicyScope.report(text),
            RepositoryError::NotDelegated { .. } => Problem::PolicyScope
                .report(text)
                .remedy("have the board sign a set that delegates the role"),
            RepositoryError::Exists => Problem::FolderNotEmpty.report(text),
            RepositoryError::Io(_) => Problem::PolicyNone
                .report(text)
                .remedy("check the disk and its permissions"),
            RepositoryError::Database(error) => postgres::lost(&error),
            RepositoryError::TooLarge { .. } | RepositoryError::Malformed { .. } => Problem::PolicyInvalid
                .report(text)
                .remedy("publish the set again from the board's copy"),
            RepositoryError::Draft(error) => error.into(),
            RepositoryError::Roles(error) => error.into(),
            RepositoryError::Threshold { .. } => Problem::PolicyThreshold.report(text),
            RepositoryError::Repeated { .. } => Problem::PolicyThreshold
                .report(text)
                .remedy("join the members' signatures again, one of each"),
            RepositoryError::Version { .. } => Problem::PolicyRollback.report(text).remedy("sign the next version"),
            RepositoryError::Equivocation { .. } => Problem::PolicyEquivocation.report(text),
            RepositoryError::Expired { .. } => Problem::PolicyExpired.report(text),
            RepositoryError::Files { .. } => Problem::PolicySignature.report(text),
            RepositoryError::OnlineKey { .. } => Problem::PolicyThreshold
                .report(text)
                .remedy("name the key that the root document names, or have the board sign a root that names yours"),
        }
    }
}
