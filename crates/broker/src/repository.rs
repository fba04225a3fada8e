//! The folder of signed documents: a TUF 1.0 repository with consistent snapshots.
//!
//! `metadata/` has `N.root.json`, `N.targets.json`, `N.snapshot.json`, `timestamp.json` and what delegated roles signed
//! (`N.permits.json`); `targets/` has the files of the space under their digests. `metadata/stops.json` is the list of
//! stops, which only grows. Everything but the timestamp and the stops is written once and never changed after a
//! timestamp has named it. A reader sees the set before or after a publication, never a mixture.
//!
//! Reading order: this file (opening and reading), `path` (which documents can be asked for at all), `publish` (a
//! new set, a new root, renewal), `offer` (what of it is accepted), `current` (what is announced now), `stops`.

mod current;
mod offer;
mod path;
mod publish;
mod stops;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use terms::{Problem, Report, SpaceId, UtcTime};
use trust::tuf::{DraftError, RolesError, TopRole};
use trust::{BoardRoles, DocumentSource, Draft, SourceError};

use crate::durable;
use path::DocumentPath;
pub use publish::{OnlineKeys, Publication, Renewal, SNAPSHOT_SECONDS, TIMESTAMP_SECONDS};

/// The repository of one data space.
#[derive(Clone, Debug)]
pub struct Repository {
    folder: PathBuf,
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
        let repository = Self {
            folder: folder.to_owned(),
        };
        repository.place_first_root(root)?;
        Ok(repository)
    }

    /// The repository in `folder`.
    ///
    /// # Errors
    /// [`Problem::PolicyNone`] if there is none.
    pub fn open(folder: &Path) -> Result<Self, Report> {
        let repository = Self {
            folder: folder.to_owned(),
        };
        repository.newest_root()?;
        Ok(repository)
    }

    /// The document at `path`: `timestamp.json`, `2.root.json`, `targets/policies/<64 hex digits>.research.toml`.
    /// `None` if there is none.
    ///
    /// # Errors
    /// [`Problem::Usage`] if no document can have this path; [`Problem::PolicyNone`] if the disk fails.
    pub fn document(&self, path: &str) -> Result<Option<Vec<u8>>, Report> {
        let known = DocumentPath::parse(path).ok_or_else(|| RepositoryError::Path { path: shortened(path) })?;
        Ok(self.read(&known)?)
    }

    fn place_first_root(&self, root: &[u8]) -> Result<(), RepositoryError> {
        let (draft, signatures) = parse_as(TopRole::Root, "the root", root)?;
        publish::require_threshold(&draft, &signatures, &BoardRoles::read(root)?.root)?;
        std::fs::create_dir_all(&self.folder)?;
        if std::fs::read_dir(&self.folder)?.next().is_some() {
            return Err(RepositoryError::Exists);
        }
        self.write(&DocumentPath::root(draft.version()), root)
    }

    /// The newest root document and its version.
    fn newest_root(&self) -> Result<(u64, Vec<u8>), RepositoryError> {
        let names = match std::fs::read_dir(self.folder.join(path::METADATA_FOLDER)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(RepositoryError::Missing),
            names => names?,
        };
        let mut newest = None;
        for name in names {
            let version = name?.file_name().to_str().and_then(path::root_version);
            newest = newest.max(version);
        }
        let version = newest.ok_or(RepositoryError::Missing)?;
        let bytes = self
            .read(&DocumentPath::root(version))?
            .ok_or(RepositoryError::Missing)?;
        Ok((version, bytes))
    }

    fn read(&self, path: &DocumentPath) -> Result<Option<Vec<u8>>, RepositoryError> {
        let file = match File::open(path.under(&self.folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let bytes_max = path.bytes_max();
        let mut bytes = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > bytes_max {
            return Err(RepositoryError::TooLarge {
                path: path.to_string(),
                bytes_max,
            });
        }
        Ok(Some(bytes))
    }

    fn write(&self, path: &DocumentPath, bytes: &[u8]) -> Result<(), RepositoryError> {
        Ok(durable::replace(&path.under(&self.folder), bytes)?)
    }

    /// Held while documents are read, signed and written, so that a board's tool and a running broker take turns.
    fn lock(&self) -> Result<File, RepositoryError> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join("lock"))?;
        file.lock()?;
        Ok(file)
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
