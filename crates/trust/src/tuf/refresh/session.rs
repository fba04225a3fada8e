//! One run of the TUF client workflow, the same for a data space and for any other repository.

use std::sync::Arc;

use sigstore_tuf::{Repository, Updater};
use terms::UtcTime;

use crate::tuf::profile::Profile;
use crate::tuf::refresh::staging::Staging;
use crate::tuf::refresh::{RefreshError, floors};
use crate::tuf::store::MetadataSet;

/// Root, timestamp, snapshot and targets, verified and compared with what was ever trusted. Nothing but new roots is
/// stored yet: that is the caller's to do, once it has nothing against the set.
pub(crate) async fn run(
    repository: Box<dyn Repository>,
    staging: &Arc<Staging>,
    now: UtcTime,
) -> Result<Updater, RefreshError> {
    let updater = Updater::new(repository, &staging.pinned_root()?)?;
    let limits = staging.profile().limits();
    let mut updater = updater.with_config(limits).with_store(Arc::clone(staging));
    // The library takes an unusable cached root for the end of the chain; for us it is a damaged store.
    staging.require_whole_chain(updater.trusted().root().version)?;
    let refreshed = updater.refresh(now).await;
    // The library only warns when a new root could not be stored.
    staging.require_roots_kept()?;
    if refreshed.is_err() && staging.is_at_its_last_root() {
        return Err(RefreshError::Rotations);
    }
    refreshed?;
    require_floors(staging, &staging.set())?;
    Ok(updater)
}

fn require_floors(staging: &Staging, set: &MetadataSet) -> Result<(), RefreshError> {
    let (trusted, offered) = (staging.floors(), floors::of(set)?);
    floors::require_no_rollback(&trusted, &offered)?;
    if let Profile::Space(_) = staging.profile() {
        floors::require_no_equivocation(&trusted, &offered)?;
        floors::require_single_online(staging, set)?;
    }
    Ok(())
}

/// Stores what was verified so far, under the same floors.
pub(crate) fn commit_verified(staging: &Staging) -> Result<(), RefreshError> {
    let set = staging.set();
    require_floors(staging, &set)?;
    staging.commit(set)
}
