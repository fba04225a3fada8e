//! A data space as a signed repository: The Update Framework 1.0, with Ed25519 keys.
//!
//! `root` and `targets` are the board's, `snapshot` and `timestamp` the broker's. The broker is an untrusted
//! post office: it can delay until documents expire, nothing else. Verification is `sigstore-tuf`'s; the guards
//! that it leaves to its caller are here. Delegations to further roles are refused, not skipped.
//!
//! Reading order: [`roles`] (who must sign), [`draft`] (what is signed), [`source`] (where documents come
//! from), [`store`] (what is remembered across restarts), [`mod@refresh`] (the one story of an update).

pub mod draft;
pub mod refresh;
pub mod roles;
pub mod source;
pub mod store;

pub use draft::{Draft, DraftError, DraftSignature, TopRole};
pub use refresh::{Documents, RefreshError, last_good, refresh};
pub use roles::{BoardRoles, RoleKeys, RolesError};
pub use source::{DocumentSource, SourceError, metadata_path, target_path};
pub use store::{SpaceStore, StoreError};

/// Largest root document, in bytes: a board of a hundred with its signatures.
pub const ROOT_BYTES_MAX: u64 = 256 * 1024;

/// Largest timestamp document, in bytes. It names one file.
pub const TIMESTAMP_BYTES_MAX: u64 = 16 * 1024;

/// Largest snapshot document, in bytes. It names one file, and will name one per delegated role.
pub const SNAPSHOT_BYTES_MAX: u64 = 64 * 1024;

/// Largest targets document, in bytes: twice what the most documents need.
pub const TARGETS_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Largest sum of all documents of a space, in bytes: they are held in memory together.
pub const SPACE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most new roots in one refresh. The next refresh goes on from there.
pub const ROOT_ROTATIONS_MAX: u32 = 32;

/// How far a clock may step back without being refused, in seconds: time servers correct it by less.
pub const CLOCK_STEP_BACK_SECONDS_MAX: i64 = 60;

/// The clients' limits, all of them set by us.
fn updater_limits() -> sigstore_tuf::UpdaterConfig {
    let mut limits = sigstore_tuf::UpdaterConfig::default();
    limits.root_max_length = ROOT_BYTES_MAX;
    limits.timestamp_max_length = TIMESTAMP_BYTES_MAX;
    limits.snapshot_max_length = SNAPSHOT_BYTES_MAX;
    limits.targets_max_length = TARGETS_BYTES_MAX;
    limits.target_max_length = terms::limit::DOCUMENT_BYTES_MAX as u64;
    limits.max_root_rotations = ROOT_ROTATIONS_MAX;
    limits.max_delegations = 1;
    limits
}

/// Checks the name of a document: `/`-separated parts of `a-z`, `0-9`, `.`, `_` and `-`, none of them a way up.
fn is_document_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    let part_ok = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed);
    name.len() <= DOCUMENT_NAME_BYTES_MAX && name.split('/').all(part_ok) && !name.contains("..")
}

/// Longest name of a document, in bytes: fits a file system with a digest before it.
const DOCUMENT_NAME_BYTES_MAX: usize = 160;

#[cfg(test)]
mod tests;
