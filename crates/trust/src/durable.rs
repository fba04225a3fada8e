//! Files that are either the old or the new one after a crash, never a part of one.
//!
//! Next: `key.rs` and `tuf/store.rs`, which write through here.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Replaces `path`, readable by its owner only: writes beside it, syncs, renames, syncs the folder.
///
/// # Errors
/// What the file system says. Then the old file is there, or none if there was none.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path)?;
    let written = write_new(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to tell; a file left behind is never read.
        let _ = std::fs::remove_file(&beside);
    }
    written.and_then(|()| sync_folder(path))
}

/// Creates `path`, readable by its owner only. Fails if it exists.
pub(crate) fn create_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_new(path, bytes)?;
    sync_folder(path)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name in the same folder that nobody else uses.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let random = getrandom::u64().map_err(io::Error::other)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{random:016x}")))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) && !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        Some(_) if cfg!(unix) => File::open(".")?.sync_all(),
        _ => Ok(()),
    }
}
