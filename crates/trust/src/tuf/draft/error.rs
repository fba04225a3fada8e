//! What is wrong with a document that somebody drafted, signed or served.

use terms::{Problem, Report, limit};

use crate::tuf::SPACE_BYTES_MAX;
use crate::tuf::delegation::DelegatedRole;
use crate::tuf::roles::RolesError;

/// Why a document cannot be drafted or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// Versions start at 1.
    #[error("version 0 is not a version: the first is 1")]
    Version,
    /// The roles could not be trusted.
    #[error(transparent)]
    Roles(#[from] RolesError),
    /// A file name that could leave its folder or not be a URL.
    #[error("{name:?} cannot be the name of a document: use a-z, 0-9, '.', '_', '-' and '/' between parts")]
    Name {
        /// The name.
        name: String,
    },
    /// A file is larger than is accepted.
    #[error("the document {name} has {bytes} bytes; up to {bytes_max} are accepted", bytes_max = limit::DOCUMENT_BYTES_MAX)]
    Size {
        /// The file.
        name: String,
        /// Its size.
        bytes: u64,
    },
    /// More files, or more bytes in all, than one space may have.
    #[error(
        "a data space may have {} documents with {SPACE_BYTES_MAX} bytes in all",
        limit::DOCUMENTS_MAX
    )]
    Total,
    /// A delegated role lists a file that is not its own.
    #[error("the role {role} signs {paths} and not {name}", paths = role.paths().join(" "))]
    Path {
        /// The role.
        role: DelegatedRole,
        /// The file.
        name: String,
    },
    /// The board lists a file that it has delegated.
    #[error("the board has delegated {name} to the role {role}, so it cannot list it as well")]
    Delegated {
        /// The role.
        role: DelegatedRole,
        /// The file.
        name: String,
    },
    /// Not a metadata document of a data space.
    #[error("the text is not a metadata document of a data space: {what}")]
    Form {
        /// What is wrong with it.
        what: String,
    },
}

impl From<DraftError> for Report {
    fn from(error: DraftError) -> Report {
        let text = error.to_string();
        match error {
            DraftError::Roles(error) => error.into(),
            DraftError::Version | DraftError::Name { .. } => Problem::PolicyInvalid.report(text),
            DraftError::Size { .. } | DraftError::Total => Problem::PolicyInvalid.report(text),
            DraftError::Path { .. } => Problem::PolicyScope.report(text),
            DraftError::Delegated { .. } => Problem::PolicyInvalid
                .report(text)
                .remedy("leave the file to the role that it is delegated to, or end the delegation"),
            DraftError::Form { .. } => Problem::PolicyInvalid
                .report(text)
                .remedy("name the file that the board drafted"),
        }
    }
}
