//! Why there is no verified set of documents, and what a person is told of it.

use sigstore_tuf::Error;
use terms::{Problem, Report};

use crate::tuf::ROOT_ROTATIONS_MAX;
use crate::tuf::draft::{Draft, DraftError, DraftSignature};
use crate::tuf::profile::Unfit;
use crate::tuf::roles::{RoleKeys, RolesError};
use crate::tuf::source::SourceError;
use crate::tuf::store::StoreError;

/// Why there is no verified set of documents.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// A document does not verify, or the source failed.
    #[error("{}", chain(.0))]
    Tuf(#[from] Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A root names keys that cannot be trusted to be distinct.
    #[error(transparent)]
    Roles(#[from] RolesError),
    /// A document says something that none of a data space says.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// An older document than one that was trusted before.
    #[error("{role} version {offered} is older than {trusted}, which is trusted already")]
    Rollback {
        /// Whose document.
        role: String,
        /// The version that was served.
        offered: u64,
        /// The highest version that was trusted.
        trusted: u64,
    },
    /// Two documents with one version.
    #[error("the {role} document of version {version} is not the one that is trusted with this version")]
    Equivocation {
        /// Whose document.
        role: String,
        /// The version.
        version: u64,
    },
    /// Fewer keys signed than must.
    #[error("{role} has {valid} of {threshold} required signatures")]
    BelowThreshold {
        /// Whose document.
        role: String,
        /// Signatures of distinct keys that hold.
        valid: usize,
        /// Signatures that are required.
        threshold: u16,
    },
    /// More new roots than one refresh follows.
    #[error("the board has changed its keys more than {ROOT_ROTATIONS_MAX} times since the last refresh")]
    Rotations,
    /// A delegated role has no document, or none that counts.
    #[error("the role {role} {what}")]
    Delegated {
        /// The role.
        role: String,
        /// What is missing.
        what: &'static str,
    },
    /// There was no good refresh yet.
    #[error("no verified set of documents is stored yet")]
    NothingYet,
}

impl RefreshError {
    /// Refuses a document that too few distinct keys of the role signed, by our own strict check.
    pub(crate) fn require_threshold(
        role: &str,
        draft: &Draft,
        signatures: &[DraftSignature],
        keys: &RoleKeys,
    ) -> Result<Vec<crate::PublicKey>, RefreshError> {
        let signers = draft.signers(signatures, keys);
        if signers.len() >= usize::from(keys.threshold) {
            return Ok(signers);
        }
        Err(RefreshError::BelowThreshold {
            role: role.to_owned(),
            valid: signers.len(),
            threshold: keys.threshold,
        })
    }

    /// Whether nothing is known but that the source does not answer.
    pub(crate) fn is_silence(&self) -> bool {
        let RefreshError::Tuf(error) = self else { return false };
        matches!(source_of::<SourceError>(error), Some(SourceError::Unreachable { .. }))
    }

    /// What a person is told.
    pub(crate) fn report(&self) -> Report {
        let text = self.to_string();
        match self {
            RefreshError::Tuf(error) => tuf_report(error, text),
            RefreshError::Store(error) => error.clone().into(),
            RefreshError::Roles(error) => error.clone().into(),
            RefreshError::Draft(error) => error.clone().into(),
            RefreshError::Rollback { .. } => Problem::PolicyRollback.report(text),
            RefreshError::Equivocation { .. } => Problem::PolicyEquivocation.report(text),
            RefreshError::BelowThreshold { .. } => Problem::PolicyThreshold.report(text),
            RefreshError::Rotations => Problem::PolicyNone
                .report(text)
                .remedy("refresh again: every refresh goes on from where the last one stopped"),
            RefreshError::Delegated { .. } => Problem::PolicyNone
                .report(text)
                .remedy("have the role publish its document, or have the board sign the files itself"),
            RefreshError::NothingYet => Problem::PolicyNone.report(text),
        }
    }
}

impl From<RefreshError> for Report {
    fn from(error: RefreshError) -> Report {
        error.report()
    }
}

/// The library's errors keep their causes apart; people want them in one line.
fn chain(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The error of ours that the library carried.
fn source_of<T: std::error::Error + 'static>(error: &Error) -> Option<&T> {
    match error {
        Error::Transport {
            source: Some(source), ..
        } => source.downcast_ref(),
        _ => None,
    }
}

fn tuf_report(error: &Error, text: String) -> Report {
    if let Some(error) = source_of::<SourceError>(error) {
        return error.into();
    }
    if let Some(unfit) = source_of::<Unfit>(error) {
        return unfit.into();
    }
    let problem = match error {
        Error::ThresholdNotMet { .. } | Error::DuplicateSignature { .. } => Problem::PolicyThreshold,
        Error::Rollback { .. } | Error::EqualVersion { .. } | Error::BadRootVersion { .. } => Problem::PolicyRollback,
        Error::Expired { .. } => Problem::PolicyExpired,
        Error::UnknownRole(_) => Problem::PolicyScope,
        Error::Malformed(what) if what.starts_with("expected _type") => Problem::PolicyScope,
        Error::UnusableKey { .. } | Error::UnsupportedScheme { .. } => Problem::PolicyInvalid,
        Error::Transport { .. } | Error::TargetNotFound(_) | Error::NotRefreshed => Problem::PolicyNone,
        _ => Problem::PolicySignature,
    };
    problem.report(text)
}
