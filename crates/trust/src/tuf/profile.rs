//! What is demanded of a document before the library sees it: strict JSON of every repository, and of a data space
//! that the document is one of this space, of the role that was asked for, of the version that was asked for, and
//! says nothing that we do not know.

use serde::de::IgnoredAny;
use sigstore_tuf::UpdaterConfig;
use terms::{Problem, Report, SpaceId};

use crate::json::strict;
use crate::tuf::draft::{Draft, DraftError};
use crate::tuf::{ROOT_BYTES_MAX, ROOT_ROTATIONS_MAX, SNAPSHOT_BYTES_MAX, TARGETS_BYTES_MAX, TIMESTAMP_BYTES_MAX};

/// Which repositories a client follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Any that follows TUF 1.0.
    Any,
    /// That of one data space.
    Space(SpaceId),
}

/// Why a document is refused before its signatures are looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("the document {name} is not strict JSON: {what}")]
    Json { name: String, what: String },
    #[error("the document {name}: {error}")]
    Draft { name: String, error: DraftError },
    #[error("the document {name} belongs to the data space {offered}, not to {expected}")]
    Space {
        name: String,
        offered: SpaceId,
        expected: SpaceId,
    },
    #[error("the document {name} is one of the role {offered}")]
    Role { name: String, offered: &'static str },
    #[error("the document {name} has version {offered}")]
    Version { name: String, offered: u64, asked: u64 },
}

impl Profile {
    /// The limits of a client, all of them set by us.
    pub(crate) fn limits(&self) -> UpdaterConfig {
        let mut limits = UpdaterConfig::default();
        limits.max_root_rotations = ROOT_ROTATIONS_MAX;
        if let Profile::Space(_) = self {
            limits.root_max_length = ROOT_BYTES_MAX;
            limits.timestamp_max_length = TIMESTAMP_BYTES_MAX;
            limits.snapshot_max_length = SNAPSHOT_BYTES_MAX;
            limits.targets_max_length = TARGETS_BYTES_MAX;
            limits.target_max_length = terms::limit::DOCUMENT_BYTES_MAX as u64;
            // The board's own document and one delegated role.
            limits.max_delegations = 2;
        }
        limits
    }

    /// Checks the document at `path`. Files of the repository pass: their digest is what is checked.
    pub(crate) fn inspect(&self, path: &str, bytes: &[u8]) -> Result<(), Unfit> {
        let Some(name) = path.strip_prefix("metadata/") else {
            return Ok(());
        };
        match self {
            Profile::Any => strict::<IgnoredAny>(bytes, bytes.len())
                .map(|_| ())
                .map_err(|error| Unfit::Json {
                    name: name.to_owned(),
                    what: error.to_string(),
                }),
            Profile::Space(space) => inspect_of_space(space, name, bytes),
        }
    }
}

fn inspect_of_space(space: &SpaceId, name: &str, bytes: &[u8]) -> Result<(), Unfit> {
    let name_owned = || name.to_owned();
    let (draft, _) = Draft::parse(bytes).map_err(|error| Unfit::Draft {
        name: name_owned(),
        error,
    })?;
    if draft.space() != space {
        return Err(Unfit::Space {
            name: name_owned(),
            offered: draft.space().clone(),
            expected: space.clone(),
        });
    }
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let (version, role) = match stem.split_once('.') {
        Some((version, role)) => (version.parse().ok(), role),
        None => (None, stem),
    };
    if draft.role_name() != role {
        return Err(Unfit::Role {
            name: name_owned(),
            offered: draft.role_name(),
        });
    }
    match version {
        Some(asked) if asked != draft.version() => Err(Unfit::Version {
            name: name_owned(),
            offered: draft.version(),
            asked,
        }),
        _ => Ok(()),
    }
}

impl From<&Unfit> for Report {
    fn from(unfit: &Unfit) -> Report {
        let text = unfit.to_string();
        match unfit {
            Unfit::Json { .. } => Problem::PolicyInvalid.report(text),
            Unfit::Draft { error, .. } => {
                let Report { problem, .. } = error.clone().into();
                problem.report(text)
            }
            Unfit::Space { .. } | Unfit::Role { .. } => Problem::PolicyScope.report(text),
            Unfit::Version { offered, asked, .. } if offered < asked => Problem::PolicyRollback.report(text),
            Unfit::Version { .. } => Problem::PolicyInvalid.report(text),
        }
    }
}
