//! Documents in a folder, for one broker: what is written is there at once, and a crash leaves the old file or the new.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{Held, Shelf};
use crate::durable;
use crate::repository::RepositoryError;
use crate::repository::path::{self, DocumentPath};

/// A folder with `metadata/` and `targets/`.
#[derive(Debug)]
pub(in crate::repository) struct Folder(PathBuf);

impl Folder {
    /// The folder of a repository that is there.
    pub(in crate::repository) fn open(folder: &Path) -> Result<Self, RepositoryError> {
        newest_root_version(folder)?.ok_or(RepositoryError::Missing)?;
        Ok(Self(folder.to_owned()))
    }

    /// The folder of a new repository, which is created and must be empty.
    pub(in crate::repository) fn found(folder: &Path) -> Result<Self, RepositoryError> {
        std::fs::create_dir_all(folder)?;
        if std::fs::read_dir(folder)?.next().is_some() {
            return Err(RepositoryError::Exists);
        }
        Ok(Self(folder.to_owned()))
    }
}

impl Shelf for Folder {
    fn read(&self, path: &DocumentPath) -> Result<Option<Vec<u8>>, RepositoryError> {
        read(&self.0, path)
    }

    fn newest_root_version(&self) -> Result<Option<u64>, RepositoryError> {
        newest_root_version(&self.0)
    }

    fn lock(&self) -> Result<Box<dyn Held>, RepositoryError> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.0.join("lock"))?;
        file.lock()?;
        Ok(Box::new(Locked {
            folder: self.0.clone(),
            _lock: file,
        }))
    }
}

/// The folder, while others wait for the file `lock` in it.
struct Locked {
    folder: PathBuf,
    _lock: File,
}

impl Held for Locked {
    fn read(&mut self, path: &DocumentPath) -> Result<Option<Vec<u8>>, RepositoryError> {
        read(&self.folder, path)
    }

    fn write(&mut self, path: &DocumentPath, bytes: &[u8]) -> Result<(), RepositoryError> {
        Ok(durable::replace(&path.under(&self.folder), bytes)?)
    }

    fn newest_root_version(&mut self) -> Result<Option<u64>, RepositoryError> {
        newest_root_version(&self.folder)
    }

    fn finish(self: Box<Self>) -> Result<(), RepositoryError> {
        Ok(())
    }
}

/// A document, or more of it than anybody reads.
fn read(folder: &Path, path: &DocumentPath) -> Result<Option<Vec<u8>>, RepositoryError> {
    let file = match File::open(path.under(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(path.bytes_max() + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn newest_root_version(folder: &Path) -> Result<Option<u64>, RepositoryError> {
    let names = match std::fs::read_dir(folder.join(path::METADATA_FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        names => names?,
    };
    let mut newest = None;
    for name in names {
        newest = newest.max(name?.file_name().to_str().and_then(path::root_version));
    }
    Ok(newest)
}
