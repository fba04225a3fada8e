//! Nothing below what was ever trusted, and nothing beside it: the highest version of each role with its digest.
//!
//! The library compares with its cache; this compares with what was ever trusted.

use serde_json::Value;
use sigstore_tuf::canonical_json::to_canonical_bytes;
use sigstore_tuf::{Error, Root};

use crate::digest::Digest;
use crate::json::strict;
use crate::tuf::draft::Draft;
use crate::tuf::profile::Profile;
use crate::tuf::refresh::RefreshError;
use crate::tuf::refresh::staging::Staging;
use crate::tuf::roles::TopRole;
use crate::tuf::store::{Floor, Floors, MetadataSet, StoreError};

/// The floors that a verified set stands on.
pub(super) fn of(set: &MetadataSet) -> Result<Floors, RefreshError> {
    let entry = |(role, document): (&String, &String)| Ok((role.clone(), floor(document)?));
    set.iter().map(entry).collect()
}

/// Version and digest of what is signed, whoever reads it.
pub(super) fn floor(document: &str) -> Result<Floor, RefreshError> {
    let value: Value = strict(document.as_bytes(), document.len()).map_err(|_| StoreError::Damaged)?;
    let signed = &value["signed"];
    let version = signed["version"].as_u64().ok_or(StoreError::Damaged)?;
    let digest = Digest::of(&to_canonical_bytes(signed)?);
    Ok(Floor { version, digest })
}

/// Refuses what is older than what was trusted.
pub(super) fn require_no_rollback(trusted: &Floors, offered: &Floors) -> Result<(), RefreshError> {
    for (role, offered) in offered {
        if let Some(trusted) = trusted.get(role)
            && offered.version < trusted.version
        {
            return Err(RefreshError::Rollback {
                role: role.clone(),
                offered: offered.version,
                trusted: trusted.version,
            });
        }
    }
    Ok(())
}

/// Refuses a second document with the version of one that was trusted. TUF itself does not say that there is none.
pub(super) fn require_no_equivocation(trusted: &Floors, offered: &Floors) -> Result<(), RefreshError> {
    for (role, offered) in offered {
        if let Some(trusted) = trusted.get(role)
            && offered.version == trusted.version
            && offered.digest != trusted.digest
        {
            return Err(equivocation(role, offered.version));
        }
    }
    Ok(())
}

/// The library keeps the timestamp and the snapshot that it has when another one of the same version is offered,
/// without looking at it. The signatures of the offered timestamp held; of the snapshot, the timestamp's word is enough.
pub(super) fn require_single_online(staging: &Staging, set: &MetadataSet) -> Result<(), RefreshError> {
    let known = |role: TopRole| set.get(role.as_str()).ok_or(RefreshError::NothingYet);
    let (timestamp, snapshot) = (known(TopRole::Timestamp)?, known(TopRole::Snapshot)?);
    if let Some(offered) = staging.fetched("metadata/timestamp.json") {
        let (trusted, offered) = (floor(timestamp)?, floor(&offered)?);
        if offered.version == trusted.version && offered.digest != trusted.digest {
            return Err(equivocation(TopRole::Timestamp.as_str(), offered.version));
        }
    }
    let (timestamp, _) = Draft::parse(timestamp.as_bytes())?;
    match timestamp.named_snapshot() {
        Some((_, digest)) if digest == Digest::of(snapshot.as_bytes()) => Ok(()),
        Some((version, _)) => Err(equivocation(TopRole::Snapshot.as_str(), version)),
        None => Err(StoreError::Damaged.into()),
    }
}

/// What a new root makes void. TUF 5.3.11: whoever held the old online keys may have published versions that cannot be
/// reached again, so the exchange of these keys starts their count anew.
#[derive(Clone, Copy)]
pub(super) struct Void {
    /// The keys of the timestamp or the snapshot were exchanged.
    pub(super) online: bool,
    /// The board's keys were exchanged so far that nothing the old board signed can reach the new threshold: then no
    /// old document of it can come back, and one with a huge version need not stand in the way.
    pub(super) board: bool,
}

impl Void {
    pub(super) fn is_something(self) -> bool {
        self.online || self.board
    }

    /// Forgets floors. In a data space the broker's new keys say nothing about what the board and its committees signed:
    /// else a routine exchange would let it serve their old documents again. Both exchanges together start everything
    /// anew, which is how a data space passes a huge version of a committee.
    pub(super) fn apply(self, profile: &Profile, floors: &mut Floors) {
        let [timestamp, snapshot, targets] =
            [TopRole::Timestamp, TopRole::Snapshot, TopRole::Targets].map(TopRole::as_str);
        match (profile, self.online, self.board) {
            (Profile::Any, true, _) | (Profile::Space(_), true, true) => floors.clear(),
            (Profile::Space(_), true, false) => floors.retain(|role, _| role != timestamp && role != snapshot),
            (_, false, true) => {
                floors.remove(targets);
            }
            (_, false, false) => {}
        }
    }
}

pub(super) fn void(before: &str, after: &str) -> Result<Void, RefreshError> {
    let read = |text: &str| Ok::<_, Error>(sigstore_tuf::Metadata::<Root>::from_slice(text.as_bytes())?.into_signed());
    let (before, after) = (read(before)?, read(after)?);
    let online = [TopRole::Timestamp.as_str(), TopRole::Snapshot.as_str()];
    let targets = TopRole::Targets.as_str();
    let ((old, _), (new, threshold)) = (keys(&before, targets), keys(&after, targets));
    let common = new.iter().filter(|key| old.contains(key)).count();
    Ok(Void {
        online: online.iter().any(|role| keys(&before, role) != keys(&after, role)),
        board: common < threshold,
    })
}

/// The public keys of a role, sorted, and its threshold.
fn keys<'a>(root: &'a Root, role: &str) -> (Vec<&'a str>, usize) {
    let Some(named) = root.role(role) else {
        return (Vec::new(), 0);
    };
    let key = |id: &String| root.keys.get(id).map(|key| key.keyval.public.as_str());
    let mut keys: Vec<&str> = named.keyids.iter().filter_map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    (keys, named.threshold)
}

fn equivocation(role: &str, version: u64) -> RefreshError {
    RefreshError::Equivocation {
        role: role.to_owned(),
        version,
    }
}
