//! The one story of an update: fetch, verify everything from the pinned root, compare with what was trusted
//! before, and only then remember it, whole or not at all.
//!
//! A refresh that fails at any point leaves the last good set in place; [`last_good`] verifies it again without
//! a network. What `sigstore-tuf` verifies is in its documentation; what it leaves to us is commented here.

mod staging;

use std::collections::BTreeMap;
use std::sync::Arc;

use sigstore_tuf::{Error, Metadata, Repository, TargetFile, Targets, TrustedMetadataSet, Updater};
use terms::{Problem, Report, UtcTime, limit};

use crate::digest::Digest;
use crate::key::PublicKey;
use crate::tuf::draft::{Draft, TopRole};
use crate::tuf::roles::{BoardRoles, RolesError};
use crate::tuf::source::{DocumentSource, SourceError, with_repository};
use crate::tuf::store::{Floors, MetadataSet, SpaceStore, StoreError};
use crate::tuf::{SPACE_BYTES_MAX, is_document_name, updater_limits};
use crate::verified::Verified;
use staging::{Shelf, Staging};

/// How often a refresh starts again because another process refreshed the same store.
const ATTEMPTS_MAX: usize = 4;

/// The files of a data space, as its board signed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    /// Version of the targets document.
    pub version: u64,
    /// Digest of the targets document, which names every file by its own digest.
    pub digest: Digest,
    /// Until when the set may be used: the earliest expiry of the four metadata documents. A refresh moves it.
    pub expires: UtcTime,
    /// The board members' keys whose signatures on the targets document hold.
    pub signers: Vec<PublicKey>,
    /// The files by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

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
    /// An older document than one that was trusted before.
    #[error("{role} version {offered} is older than {trusted}, which is trusted already")]
    Rollback {
        /// Whose document.
        role: TopRole,
        /// The version that was served.
        offered: u64,
        /// The highest version that was trusted.
        trusted: u64,
    },
    /// Two documents with one version.
    #[error("the targets document of version {version} is not the one that is trusted with this version")]
    Equivocation {
        /// The version.
        version: u64,
    },
    /// Fewer keys signed than must.
    #[error("{role} has {valid} of {threshold} required signatures")]
    BelowThreshold {
        /// Whose document.
        role: TopRole,
        /// Signatures of distinct keys that hold.
        valid: usize,
        /// Signatures that are required.
        threshold: u16,
    },
    /// The targets document lists something that is not accepted.
    #[error("the board's list of documents {what}")]
    List {
        /// What is wrong with it.
        what: &'static str,
    },
    /// There was no good refresh yet.
    #[error("no verified set of documents is stored yet")]
    NothingYet,
}

/// Brings the store up to date with the source. Nothing is changed but the time, new roots and unused cached
/// files if it fails.
///
/// # Errors
/// The `Policy…` problems if a document does not verify; [`Problem::Unreachable`] if the source does not answer;
/// [`Problem::PolicyNone`] if it has no documents or the store is damaged.
pub async fn refresh(
    source: &dyn DocumentSource,
    store: &SpaceStore,
    now: UtcTime,
) -> Result<Verified<Documents>, Report> {
    for _ in 1..ATTEMPTS_MAX {
        match refresh_once(source, store, now).await {
            Err(RefreshError::Store(StoreError::Changed)) => {}
            done => return Ok(done?),
        }
    }
    Ok(refresh_once(source, store, now).await?)
}

/// The set of the last good refresh, verified again from the pinned root, without a source.
///
/// # Errors
/// [`Problem::PolicyExpired`] if it has expired meanwhile, [`Problem::PolicyNone`] if there is none or the store
/// is damaged.
pub async fn last_good(store: &SpaceStore, now: UtcTime) -> Result<Verified<Documents>, Report> {
    Ok(from_store(store, now).await?)
}

async fn refresh_once(
    source: &dyn DocumentSource,
    store: &SpaceStore,
    now: UtcTime,
) -> Result<Verified<Documents>, RefreshError> {
    let (record, now) = store.note_time(now)?;
    let staging = Arc::new(Staging::new(store.clone(), record)?);
    let good = with_repository(source, |repository| verify(repository, &staging, now)).await?;
    staging.commit(good.set, good.floors)?;
    Ok(Verified::new(good.documents))
}

async fn from_store(store: &SpaceStore, now: UtcTime) -> Result<Verified<Documents>, RefreshError> {
    let (record, now) = store.note_time(now)?;
    let shelf = Shelf(record.set.clone().ok_or(RefreshError::NothingYet)?);
    let staging = Arc::new(Staging::new(store.clone(), record)?);
    let good = with_repository(&shelf, |repository| verify(repository, &staging, now)).await?;
    Ok(Verified::new(good.documents))
}

struct Good {
    documents: Documents,
    set: MetadataSet,
    floors: Floors,
}

async fn verify(repository: Box<dyn Repository>, staging: &Arc<Staging>, now: UtcTime) -> Result<Good, RefreshError> {
    let updater = Updater::new(repository, &staging.pinned_root()?)?;
    let mut updater = updater.with_config(updater_limits()).with_store(Arc::clone(staging));
    // The library takes an unusable cached root for the end of the chain; for us it is a damaged store.
    staging.require_whole_chain(updater.trusted().root().version)?;
    let refreshed = updater.refresh(now).await;
    // The library only warns when a new root could not be stored.
    staging.require_roots_kept()?;
    refreshed?;
    let set = staging.set().ok_or(RefreshError::NothingYet)?;
    let (targets, expires, floors) = read_trusted(updater.trusted(), &set)?;
    require_floors(&staging.floors(), &floors)?;
    let signers = board_signers(&set, &BoardRoles::read(updater.trusted().root_bytes())?)?;
    let files = files(&updater, staging, &targets).await?;
    let digest = Digest::of(set.targets.as_bytes());
    Ok(Good {
        documents: Documents {
            version: targets.version,
            digest,
            expires,
            signers,
            files,
        },
        set,
        floors,
    })
}

/// What the library trusts now, once it is the same that we are about to store.
fn read_trusted(trusted: &TrustedMetadataSet, set: &MetadataSet) -> Result<(Targets, UtcTime, Floors), RefreshError> {
    let targets = Metadata::<Targets>::from_slice(set.targets.as_bytes())?.into_signed();
    let (Some(timestamp), Some(snapshot), Some(current)) =
        (trusted.timestamp(), trusted.snapshot(), trusted.targets_role("targets"))
    else {
        return Err(RefreshError::NothingYet);
    };
    if *current != targets {
        return Err(StoreError::Damaged.into());
    }
    let floors = Floors {
        timestamp: timestamp.version,
        snapshot: snapshot.version,
        targets: targets.version,
        targets_digest: Some(Digest::of(set.targets.as_bytes())),
    };
    let expires = trusted
        .root()
        .expires
        .min(timestamp.expires)
        .min(snapshot.expires)
        .min(targets.expires);
    Ok((targets, expires, floors))
}

/// The library compares with its cache; this compares with what was ever trusted.
fn require_floors(trusted: &Floors, offered: &Floors) -> Result<(), RefreshError> {
    let versions = [
        (TopRole::Timestamp, trusted.timestamp, offered.timestamp),
        (TopRole::Snapshot, trusted.snapshot, offered.snapshot),
        (TopRole::Targets, trusted.targets, offered.targets),
    ];
    for (role, trusted, offered) in versions {
        if offered < trusted {
            return Err(RefreshError::Rollback { role, offered, trusted });
        }
    }
    if offered.targets == trusted.targets && offered.targets_digest != trusted.targets_digest {
        return Err(RefreshError::Equivocation {
            version: offered.targets,
        });
    }
    Ok(())
}

/// Whose signatures on the list of files hold, by our own strict check as well.
fn board_signers(set: &MetadataSet, roles: &BoardRoles) -> Result<Vec<PublicKey>, RefreshError> {
    let unreadable = |_| RefreshError::List { what: "cannot be read" };
    let (draft, signatures) = Draft::parse(set.targets.as_bytes()).map_err(unreadable)?;
    let signers = draft.signers(&signatures, &roles.targets);
    let threshold = roles.targets.threshold;
    if signers.len() < usize::from(threshold) {
        return Err(RefreshError::BelowThreshold {
            role: TopRole::Targets,
            valid: signers.len(),
            threshold,
        });
    }
    Ok(signers)
}

/// Every file on the list, from the cache where it is unchanged.
async fn files(
    updater: &Updater,
    staging: &Staging,
    targets: &Targets,
) -> Result<BTreeMap<String, Vec<u8>>, RefreshError> {
    require_acceptable(targets)?;
    let mut files = BTreeMap::new();
    for (name, target) in &targets.targets {
        let cached = staging.store().file(&digest_of(target)?);
        let bytes = match cached.filter(|bytes| bytes.len() as u64 == target.length) {
            Some(bytes) => bytes,
            None => {
                let bytes = updater.download_target(target, name).await?;
                staging.store().keep_file(&bytes)?;
                bytes
            }
        };
        files.insert(name.clone(), bytes);
    }
    Ok(files)
}

fn require_acceptable(targets: &Targets) -> Result<(), RefreshError> {
    let refuse = |what| Err(RefreshError::List { what });
    // Delegated files would be missing without anybody noticing.
    if targets
        .delegations
        .as_ref()
        .is_some_and(|delegations| !delegations.roles.is_empty())
    {
        return refuse("delegates to a role, which is not supported");
    }
    if targets.targets.len() > limit::DOCUMENTS_MAX {
        return refuse("is longer than a list may be");
    }
    if !targets.targets.keys().all(|name| is_document_name(name)) {
        return refuse("has a name that is not allowed");
    }
    if targets
        .targets
        .values()
        .any(|target| target.length > limit::DOCUMENT_BYTES_MAX as u64)
    {
        return refuse("has a document that is larger than one may be");
    }
    // Cannot overflow: both factors are bounded above.
    if targets.targets.values().map(|target| target.length).sum::<u64>() > SPACE_BYTES_MAX {
        return refuse("has more bytes in all than a data space may have");
    }
    Ok(())
}

fn digest_of(target: &TargetFile) -> Result<Digest, RefreshError> {
    let hex = target.hashes.get("sha256");
    let digest = hex.and_then(|hex| Digest::from_hex(hex).ok());
    digest.ok_or(RefreshError::List {
        what: "has a document without a SHA-256 digest",
    })
}

/// The library's errors keep their causes apart; people want them in one line.
fn chain(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl From<RefreshError> for Report {
    fn from(error: RefreshError) -> Report {
        let text = error.to_string();
        match error {
            RefreshError::Tuf(error) => tuf_report(&error, text),
            RefreshError::Store(error) => error.into(),
            RefreshError::Roles(error) => error.into(),
            RefreshError::Rollback { .. } => Problem::PolicyRollback.report(text),
            RefreshError::Equivocation { .. } => Problem::PolicyEquivocation.report(text),
            RefreshError::BelowThreshold { .. } => Problem::PolicyThreshold.report(text),
            RefreshError::List { .. } => Problem::PolicyInvalid.report(text),
            RefreshError::NothingYet => Problem::PolicyNone.report(text),
        }
    }
}

fn tuf_report(error: &Error, text: String) -> Report {
    let problem = match error {
        Error::ThresholdNotMet { .. } | Error::DuplicateSignature { .. } => Problem::PolicyThreshold,
        Error::Rollback { .. } | Error::EqualVersion { .. } | Error::BadRootVersion { .. } => Problem::PolicyRollback,
        Error::Expired { .. } => Problem::PolicyExpired,
        Error::UnknownRole(_) => Problem::PolicyScope,
        Error::Malformed(what) if what.starts_with("expected _type") => Problem::PolicyScope,
        Error::UnusableKey { .. } | Error::UnsupportedScheme { .. } => Problem::PolicyInvalid,
        Error::Transport { source: None, .. } | Error::TargetNotFound(_) | Error::NotRefreshed => Problem::PolicyNone,
        Error::Transport {
            source: Some(source), ..
        } => {
            if let Some(error) = source.downcast_ref::<SourceError>() {
                return error.into();
            }
            if let Some(error) = source.downcast_ref::<RolesError>() {
                return error.clone().into();
            }
            Problem::PolicyNone
        }
        _ => Problem::PolicySignature,
    };
    problem.report(text)
}

#[cfg(test)]
mod tests;
