//! Whether a snapshot is the one that was published: by its digest, and without reading it for as long as the file was not touched.
//!
//! A snapshot of some gigabytes is not read at each start. When a digest was found to hold, the file's length, number and time of its last
//! change are kept beside it, in a file that may get lost; a file that has others is read once more.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use terms::{Problem, Report};
use trust::Digest;

use super::{unreadable, version, write_json};

/// What is kept of the last look.
const CHECKED_FILE: &str = "checked.json";

/// Enough to see that a file was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// Its length.
    pub(super) bytes: u64,
    inode: u64,
    /// Seconds and nanoseconds. Unlike the time of the last writing, nobody sets it back.
    changed: (i64, i64),
}

impl Stamp {
    /// A file as it is now.
    pub(super) fn of(path: &Path) -> Result<Self, Report> {
        let about = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        Ok(Self::of_metadata(&about))
    }

    #[cfg(unix)]
    fn of_metadata(about: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self {
            bytes: about.len(),
            inode: about.ino(),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }

    #[cfg(not(unix))]
    fn of_metadata(about: &fs::Metadata) -> Self {
        let since = |at: std::time::SystemTime| at.duration_since(std::time::UNIX_EPOCH).ok();
        let since = about.modified().ok().and_then(since).unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or_default();
        Self {
            bytes: about.len(),
            inode: 0,
            changed: (seconds, since.subsec_nanos().into()),
        }
    }
}

/// A file that was found to have a digest, as it was then.
#[derive(PartialEq, Serialize, Deserialize)]
struct Checked {
    file: String,
    content: Digest,
    stamp: Stamp,
}

/// Keeps that a snapshot has a digest, as it is now.
pub(super) fn keep(folder: &Path, file: &str, content: Digest) {
    let Ok(stamp) = Stamp::of(&folder.join(file)) else {
        return;
    };
    let checked = Checked {
        file: file.to_owned(),
        content,
        stamp,
    };
    // Without it the snapshot is read once more.
    let _ = write_json(folder, CHECKED_FILE, &checked);
}

/// The digest of a snapshot that is as it was published.
///
/// # Errors
/// `DataChanged` if it is another one; `FileMissing` if it cannot be read.
pub(super) fn require_unchanged(folder: &Path, file: &str, content: Digest, stamp: Stamp) -> Result<Digest, Report> {
    let before = fs::read(folder.join(CHECKED_FILE)).ok();
    let before: Option<Checked> = before.and_then(|text| serde_json::from_slice(&text).ok());
    let now = Checked {
        file: file.to_owned(),
        content,
        stamp,
    };
    if before == Some(now) {
        return Ok(content);
    }
    let path = folder.join(file);
    if version::content_of(&path)? != content || Stamp::of(&path)? != stamp {
        let message = format!("the snapshot in {} is not the one that was published", folder.display());
        return Err(Problem::DataChanged.report(message));
    }
    keep(folder, file, content);
    Ok(content)
}
