//! A data space as a signed repository: The Update Framework 1.0, with Ed25519 keys.
//!
//! `root` and `targets` are the board's, `snapshot` and `timestamp` the broker's; the board may delegate its permits
//! and its members ([`delegation`]). The broker is an untrusted post office: it can delay until documents expire,
//! nothing else. Verification is `sigstore-tuf`'s; the guards that it leaves to its caller are here, in one path for
//! every repository. A data space is the stricter case (`profile`); [`client`] follows any TUF repository.
//!
//! Reading order: [`roles`] (who must sign), [`draft`] (what is signed), [`source`] (where documents come
//! from), [`store`] (what is remembered across restarts), [`mod@refresh`] (the one story of an update),
//! `stops` (what a single board member can end), [`evidence`] (what is kept of documents that were refused).

pub mod client;
pub mod delegation;
pub mod draft;
pub mod evidence;
mod profile;
pub mod refresh;
pub mod roles;
pub mod source;
mod stops;
pub mod store;

pub use client::{Downloads, TufClient};
pub use delegation::{DelegatedRole, Delegation, NotDelegable};
pub use draft::{Draft, DraftError, DraftSignature};
pub use evidence::Evidence;
pub use refresh::{DelegatedDocuments, Documents, RefreshError, last_good, refresh};
pub use roles::{BoardRoles, ROLE_KEYS_MAX, RoleKeys, RolesError, TopRole};
pub use source::{DocumentSource, STOPS_PATH, SourceError, metadata_path, target_path};
pub use store::{SpaceStore, StoreError, check_root};

/// Largest root document, in bytes: a board of a hundred with its signatures.
pub const ROOT_BYTES_MAX: u64 = 256 * 1024;

/// Largest timestamp document, in bytes. It names one file.
pub const TIMESTAMP_BYTES_MAX: u64 = 16 * 1024;

/// Largest snapshot document, in bytes. It names one file for the board and one per delegated role.
pub const SNAPSHOT_BYTES_MAX: u64 = 64 * 1024;

/// Largest targets document, in bytes: twice what the most documents need.
pub const TARGETS_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Largest sum of all documents of a space, in bytes: they are held in memory together.
pub const SPACE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most new roots in one refresh. The next refresh goes on from there.
pub const ROOT_ROTATIONS_MAX: u32 = 32;

/// How far a clock may step back without being refused, in seconds: time servers correct it by less.
pub const CLOCK_STEP_BACK_SECONDS_MAX: i64 = 60;

/// Most roots that a store keeps, from the pinned one to the newest: they are verified anew at every refresh.
pub const ROOTS_MAX: usize = 256;

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
#[cfg(test)]
pub(crate) use tests::board_accepts;
