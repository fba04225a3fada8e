//! The files that a verified document lists, from the cache where they are unchanged.

use std::collections::BTreeMap;

use sigstore_tuf::{Targets, Updater};
use terms::limit;

use crate::digest::Digest;
use crate::tuf::SPACE_BYTES_MAX;
use crate::tuf::draft::{Draft, DraftError};
use crate::tuf::refresh::RefreshError;
use crate::tuf::store::Vault;

/// Adds the files of `draft` to those that are there already. A file that is there stays: it is the board's.
pub(super) async fn add(
    files: &mut BTreeMap<String, Vec<u8>>,
    draft: &Draft,
    updater: &Updater,
    vault: &Vault,
) -> Result<Vec<String>, RefreshError> {
    let role = draft.role_name();
    let targets = updater.trusted().targets_role(role).ok_or(RefreshError::NothingYet)?;
    let listed: BTreeMap<String, (u64, Digest)> = draft
        .files()
        .into_iter()
        .filter(|(name, _)| !files.contains_key(name))
        .collect();
    require_room(files, &listed)?;
    let mut added = BTreeMap::new();
    for (name, (length, digest)) in listed {
        let cached = vault.file(&digest).filter(|bytes| bytes.len() as u64 == length);
        let bytes = match cached {
            Some(bytes) => bytes,
            None => download(updater, targets, &name, vault).await?,
        };
        added.insert(name, bytes);
    }
    let names = added.keys().cloned().collect();
    files.append(&mut added);
    Ok(names)
}

async fn download(updater: &Updater, targets: &Targets, name: &str, vault: &Vault) -> Result<Vec<u8>, RefreshError> {
    let target = targets.target(name).ok_or(RefreshError::NothingYet)?;
    let bytes = updater.download_target(target, name).await?;
    vault.keep_file(&bytes)?;
    Ok(bytes)
}

/// The limits of a space hold for all of its documents together, whoever signed them.
fn require_room(files: &BTreeMap<String, Vec<u8>>, listed: &BTreeMap<String, (u64, Digest)>) -> Result<(), DraftError> {
    let here: u64 = files.values().map(|bytes| bytes.len() as u64).sum();
    // Cannot overflow: a document's list is bounded when it is read.
    let more: u64 = listed.values().map(|(length, _)| length).sum();
    if here + more > SPACE_BYTES_MAX || files.len() + listed.len() > limit::DOCUMENTS_MAX {
        return Err(DraftError::Total);
    }
    Ok(())
}
