//! Where the documents of a repository are: in a folder, or in a PostgreSQL that several brokers share.
//!
//! Who signs or publishes holds a [`Turn`] from before it reads until what it wrote is in place; there is one at a time,
//! over all processes and brokers. Who only reads one document needs none. Next: `shelf/folder.rs`, `shelf/shared.rs`.

mod folder;
mod shared;

use super::RepositoryError;
use super::path::DocumentPath;
pub(super) use folder::Folder;
pub(super) use shared::Shared;

/// Where documents are.
pub(super) trait Shelf: std::fmt::Debug + Send + Sync {
    /// The document as it is published; it may be longer than anybody reads.
    fn read(&self, path: &DocumentPath) -> Result<Option<Vec<u8>>, RepositoryError>;

    /// The version of the newest root that is there; none if there is none.
    fn newest_root_version(&self) -> Result<Option<u64>, RepositoryError>;

    /// Waits until nobody else writes.
    fn lock(&self) -> Result<Box<dyn Held>, RepositoryError>;
}

/// A shelf on which nobody else writes while this is held. What is not finished may be undone.
pub(super) trait Held {
    fn read(&mut self, path: &DocumentPath) -> Result<Option<Vec<u8>>, RepositoryError>;
    fn write(&mut self, path: &DocumentPath, bytes: &[u8]) -> Result<(), RepositoryError>;
    fn newest_root_version(&mut self) -> Result<Option<u64>, RepositoryError>;
    fn finish(self: Box<Self>) -> Result<(), RepositoryError>;
}

/// Who reads several documents: in a turn, or at a glance, when others may write meanwhile.
pub(super) trait Reading {
    fn read(&mut self, path: &DocumentPath) -> Result<Option<Vec<u8>>, RepositoryError>;
    fn newest_root_version(&mut self) -> Result<Option<u64>, RepositoryError>;

    /// The newest root document and its version.
    fn newest_root(&mut self) -> Result<(u64, Vec<u8>), RepositoryError> {
        let version = self.newest_root_version()?.ok_or(RepositoryError::Missing)?;
        let bytes = self.read(&DocumentPath::Root(version))?;
        Ok((version, bytes.ok_or(RepositoryError::Missing)?))
    }
}

/// A look that waits for nobody: what it finds may be over by the time that something is written.
pub(super) struct Glance<'a>(pub(super) &'a dyn Shelf);

impl Reading for Glance<'_> {
    fn read(&mut self, path: &DocumentPath) -> Result<Option<Vec<u8>>, RepositoryError> {
        require_readable(path, self.0.read(path)?)
    }

    fn newest_root_version(&mut self) -> Result<Option<u64>, RepositoryError> {
        self.0.newest_root_version()
    }
}

/// One turn at signing and publishing.
pub(super) struct Turn(Box<dyn Held>);

impl Turn {
    pub(super) fn take(shelf: &dyn Shelf) -> Result<Self, RepositoryError> {
        shelf.lock().map(Self)
    }

    pub(super) fn write(&mut self, path: &DocumentPath, bytes: &[u8]) -> Result<(), RepositoryError> {
        self.0.write(path, bytes)
    }

    /// Puts in place what was written, and lets the next one write.
    pub(super) fn finish(self) -> Result<(), RepositoryError> {
        self.0.finish()
    }
}

impl Reading for Turn {
    fn read(&mut self, path: &DocumentPath) -> Result<Option<Vec<u8>>, RepositoryError> {
        require_readable(path, self.0.read(path)?)
    }

    fn newest_root_version(&mut self) -> Result<Option<u64>, RepositoryError> {
        self.0.newest_root_version()
    }
}

/// Refuses a document that is larger than any client reads.
pub(super) fn require_readable(
    path: &DocumentPath,
    found: Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, RepositoryError> {
    let bytes_max = path.bytes_max();
    match found {
        Some(bytes) if bytes.len() as u64 > bytes_max => Err(RepositoryError::TooLarge {
            path: path.to_string(),
            bytes_max,
        }),
        found => Ok(found),
    }
}
