//! The one story of an update: fetch, verify everything from the pinned root, compare with what was trusted
//! before, and only then remember it, whole or not at all.
//!
//! A refresh that fails at any point leaves the last good set in place; [`last_good`] verifies it again without
//! a network. What `sigstore-tuf` verifies is in its documentation; what it leaves to us is commented here.
//! Reading order: this file, `session` (the TUF workflow), `floors`, `files`, `delegated`, `staging`.

mod delegated;
mod error;
mod files;
mod floors;
pub(crate) mod session;
pub(crate) mod staging;

use std::collections::BTreeMap;
use std::sync::Arc;

use sigstore_tuf::Repository;
use terms::{Report, SpaceId, UtcTime};

use crate::digest::Digest;
use crate::key::PublicKey;
use crate::stop::AcceptedStop;
use crate::tuf::delegation::DelegatedRole;
use crate::tuf::draft::Draft;
use crate::tuf::roles::{BoardRoles, TopRole};
use crate::tuf::source::{DocumentSource, with_repository};
use crate::tuf::store::{MetadataSet, Record, SpaceStore, StoreError};
use crate::tuf::{evidence, stops};
use crate::verified::Verified;
pub use delegated::DelegatedDocuments;
pub use error::RefreshError;
use staging::{Shelf, Staging};

/// How often a refresh starts again because another process refreshed the same store.
const ATTEMPTS_MAX: usize = 4;

/// The files of a data space, as those who may have signed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    /// The data space, as the pinned root names it.
    pub space: SpaceId,
    /// Version of the root document that says who signs.
    pub root_version: u64,
    /// Version of the board's targets document.
    pub version: u64,
    /// Digest of what the board signed: [`Draft::digest`] of its targets document, which names every file of its own
    /// by its digest.
    pub digest: Digest,
    /// Until when the set may be used: the earliest expiry of the four metadata documents and of a registrar's. A
    /// refresh moves it.
    pub expires: UtcTime,
    /// Until when the board signed for its list of files, and a registrar for the members, whatever the broker says.
    pub signed_until: UtcTime,
    /// The board members' keys whose signatures on the targets document hold.
    pub signers: Vec<PublicKey>,
    /// The files by name, of the board and of delegated roles.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What the board has delegated.
    pub delegated: Vec<DelegatedDocuments>,
    /// Everything that a board member has stopped, in the order in which it came. What the board has lifted is for the
    /// reader of `space.toml` to say.
    pub stops: Vec<AcceptedStop>,
    /// Entries of the served list of stops that are none.
    pub ignored_stops: usize,
    /// The keys of the board, of which each can stop.
    pub board: Vec<PublicKey>,
}

/// Brings the store up to date with the source. Nothing is changed but the time, new roots, stops, evidence and unused
/// cached files if it fails.
///
/// # Errors
/// The `Policy…` problems if a document does not verify; [`terms::Problem::Unreachable`] if the source does not answer;
/// [`terms::Problem::PolicyNone`] if it has no documents or the store is damaged.
pub async fn refresh(
    source: &dyn DocumentSource,
    store: &SpaceStore,
    now: UtcTime,
) -> Result<Verified<Documents>, Report> {
    let refreshed = refresh_until_alone(source, store, now).await;
    if let Err(silence) = &refreshed
        && silence.is_silence()
    {
        return Err(silence.report());
    }
    // A stop counts even if everything else is refused.
    let ignored_stops = stops::receive(source, store.vault()).await;
    let mut documents = refreshed?;
    documents.ignored_stops = ignored_stops?;
    documents.stops = stops::remembered(&store.vault().read()?);
    Ok(Verified::new(documents))
}

/// The set of the last good refresh, verified again from the pinned root, without a source.
///
/// # Errors
/// [`terms::Problem::PolicyExpired`] if it has expired meanwhile, [`terms::Problem::PolicyNone`] if there is none or the
/// store is damaged.
pub async fn last_good(store: &SpaceStore, now: UtcTime) -> Result<Verified<Documents>, Report> {
    let (record, now) = store.vault().note_time(now)?;
    if record.set.is_empty() {
        return Err(RefreshError::NothingYet.into());
    }
    let shelf = Shelf(record.set.clone());
    let staging = Arc::new(Staging::new(store.vault().clone(), record)?);
    let mut documents = read(&shelf, &staging, now).await?.documents;
    documents.stops = stops::remembered(&store.vault().read()?);
    Ok(Verified::new(documents))
}

async fn refresh_until_alone(
    source: &dyn DocumentSource,
    store: &SpaceStore,
    now: UtcTime,
) -> Result<Documents, RefreshError> {
    for _ in 1..ATTEMPTS_MAX {
        match refresh_once(source, store, now).await {
            Err(RefreshError::Store(StoreError::Changed)) => {}
            done => return done,
        }
    }
    refresh_once(source, store, now).await
}

async fn refresh_once(
    source: &dyn DocumentSource,
    store: &SpaceStore,
    now: UtcTime,
) -> Result<Documents, RefreshError> {
    let (record, now) = store.vault().note_time(now)?;
    let staging = Arc::new(Staging::new(store.vault().clone(), record)?);
    match read(source, &staging, now).await {
        Ok(Good { documents, set }) => {
            staging.commit(set)?;
            Ok(documents)
        }
        Err(error) => {
            evidence::keep(&staging, &error, &[], now);
            Err(error)
        }
    }
}

struct Good {
    documents: Documents,
    set: MetadataSet,
}

async fn read(source: &dyn DocumentSource, staging: &Arc<Staging>, now: UtcTime) -> Result<Good, RefreshError> {
    let inspect = |path: &str, bytes: &[u8]| staging.inspect(path, bytes);
    with_repository(source, inspect, |repository| verify(repository, staging, now)).await
}

async fn verify(repository: Box<dyn Repository>, staging: &Arc<Staging>, now: UtcTime) -> Result<Good, RefreshError> {
    let mut updater = session::run(repository, staging, now).await?;
    let roles = BoardRoles::read(updater.trusted().root_bytes())?;
    let top = TopDocuments::read(&staging.set())?;
    let signers = top.require_thresholds(&roles)?;
    let mut files = BTreeMap::new();
    files::add(&mut files, &top.targets.0, &updater, staging.vault()).await?;
    let delegated = delegated::add(&top.targets.0, &mut files, &mut updater, staging, now).await?;
    let root = updater.trusted().root();
    let documents = Documents {
        space: top.targets.0.space().clone(),
        root_version: root.version,
        version: top.targets.0.version(),
        digest: top.targets.0.digest(),
        expires: top.expires(&delegated).min(root.expires),
        signed_until: top.signed_until(&delegated),
        signers,
        files,
        delegated,
        stops: Vec::new(),
        ignored_stops: 0,
        board: roles.targets.keys,
    };
    let set = staging.set();
    Ok(Good { documents, set })
}

type Signed = (Draft, Vec<crate::DraftSignature>);

/// The three documents under the root, as we read them ourselves.
struct TopDocuments {
    timestamp: Signed,
    snapshot: Signed,
    targets: Signed,
}

impl TopDocuments {
    fn read(set: &MetadataSet) -> Result<Self, RefreshError> {
        let read = |role: TopRole| {
            let document = set.get(role.as_str()).ok_or(RefreshError::NothingYet)?;
            Ok::<_, RefreshError>(Draft::parse(document.as_bytes())?)
        };
        Ok(Self {
            timestamp: read(TopRole::Timestamp)?,
            snapshot: read(TopRole::Snapshot)?,
            targets: read(TopRole::Targets)?,
        })
    }

    /// Whose signatures hold, by our own strict check as well. Returns those of the board.
    fn require_thresholds(&self, roles: &BoardRoles) -> Result<Vec<PublicKey>, RefreshError> {
        for (draft, signatures) in [&self.timestamp, &self.snapshot] {
            RefreshError::require_threshold(draft.role_name(), draft, signatures, roles.of(draft.role()))?;
        }
        let (draft, signatures) = &self.targets;
        RefreshError::require_threshold(draft.role_name(), draft, signatures, &roles.targets)
    }

    fn expires(&self, delegated: &[DelegatedDocuments]) -> UtcTime {
        let (timestamp, snapshot) = (self.timestamp.0.expires(), self.snapshot.0.expires());
        timestamp.min(snapshot).min(self.signed_until(delegated))
    }

    /// Without its members a space cannot be worked in, without its permits it can.
    fn signed_until(&self, delegated: &[DelegatedDocuments]) -> UtcTime {
        let registrar = delegated
            .iter()
            .filter(|documents| documents.role == DelegatedRole::Registrar && documents.problem.is_none())
            .map(|documents| documents.expires);
        registrar.fold(self.targets.0.expires(), UtcTime::min)
    }
}

impl Record {
    /// The newest root's roles.
    pub(crate) fn newest_roles(&self) -> Result<BoardRoles, RefreshError> {
        let root = self.roots.last().ok_or(StoreError::Damaged)?;
        Ok(BoardRoles::read(root.as_bytes())?)
    }
}

#[cfg(test)]
mod tests;
