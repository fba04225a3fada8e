//! The last set of documents that compiled, kept beside the newest one: `<data>/in-force/`.
//!
//! The store of verified documents holds the newest set that verifies. If that set does not compile, the rules before
//! it hold, and a node that starts again must find them. So the whole store is copied whenever a new set compiles. The
//! copy is verified from the pinned root like any other, at the time at which it was made. Nothing here decides whether
//! it may still be used.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use terms::{Report, SpaceId, UtcTime};
use tracing::warn;
use trust::{Digest, Documents, SpaceStore};

use super::Current;
use crate::durable;

/// Says which copy is the one. It is replaced last, so that a crash leaves the copy before.
const MARKER: &str = "in-force.json";

/// The file of a store that says what it trusts.
const RECORD: &str = "trusted";

/// Where a store caches documents.
const FILES: &str = "files";

/// Where the copy is, and what was copied last.
#[derive(Debug)]
pub(super) struct Kept {
    store: PathBuf,
    folder: PathBuf,
    latest: Mutex<Option<Digest>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    /// Of everything that can be in the set.
    set: Digest,
    /// When the set was verified and compiled.
    at: UtcTime,
}

impl Marker {
    fn copy(&self, folder: &Path) -> PathBuf {
        folder.join(self.set.hex())
    }
}

impl Kept {
    /// A copy in `folder` of the store in `store`.
    pub(super) fn new(store: PathBuf, folder: PathBuf) -> Self {
        Self {
            store,
            folder,
            latest: Mutex::default(),
        }
    }

    /// Copies the store, which holds these documents, unless it was copied with them. A disk that fails costs no rules:
    /// it is told in the log, and tried again at the next look.
    pub(super) fn keep(&self, documents: &Documents, now: UtcTime) {
        let set = digest_of(documents);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if *latest == Some(set) {
            return;
        }
        let marker = Marker { set, at: now };
        match self.copy(&marker) {
            Ok(()) => *latest = Some(set),
            Err(error) => warn!(%error, "the rules in force are not kept for the next start"),
        }
    }

    fn copy(&self, marker: &Marker) -> io::Result<()> {
        if self
            .marker()
            .is_some_and(|known| known.set == marker.set && known.copy(&self.folder).is_dir())
        {
            return Ok(());
        }
        let copy = marker.copy(&self.folder);
        // What a crash left behind.
        if copy.exists() {
            std::fs::remove_dir_all(&copy)?;
        }
        let (from, to) = (self.store.join(FILES), copy.join(FILES));
        std::fs::create_dir_all(&to)?;
        for entry in std::fs::read_dir(&from)? {
            let entry = entry?;
            durable::write(&to.join(entry.file_name()), &std::fs::read(entry.path())?)?;
        }
        durable::sync_folder(&to)?;
        durable::write(&copy.join(RECORD), &std::fs::read(self.store.join(RECORD))?)?;
        durable::sync_folder(&copy)?;
        durable::sync_folder(&self.folder)?;
        durable::replace(&self.folder.join(MARKER), &serde_json::to_vec(marker)?)?;
        self.remove_others(&copy);
        Ok(())
    }

    fn remove_others(&self, copy: &Path) {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for other in entries
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && path != copy)
        {
            // An old copy that stays takes room and is never read.
            drop(std::fs::remove_dir_all(other));
        }
    }

    /// The rules of the copy, verified and compiled again; none if there is none that holds.
    pub(super) async fn last(&self, space: &SpaceId) -> Option<Current> {
        let current = self.read(space).await?;
        current
            .inspect_err(|report| {
                warn!(problem = %report.problem, message = report.message, "the kept rules do not hold");
            })
            .ok()
    }

    async fn read(&self, space: &SpaceId) -> Option<Result<Current, Report>> {
        let marker = self.marker()?;
        let store = SpaceStore::open(&marker.copy(&self.folder)).ok()?;
        let documents = match trust::last_good(&store, marker.at).await {
            Ok(documents) => documents,
            Err(report) => return Some(Err(report)),
        };
        // Another set than the marker says was put there by somebody else.
        let is_the_one = digest_of(&documents) == marker.set && documents.space == *space;
        is_the_one.then(|| Current::compile(&documents))
    }

    fn marker(&self) -> Option<Marker> {
        let text = std::fs::read(self.folder.join(MARKER)).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Of all that a board and those whom it delegated to signed. A new timestamp does not change it.
fn digest_of(documents: &Documents) -> Digest {
    let mut hash = Digest::hasher();
    hash.update(documents.digest.to_string().as_bytes());
    hash.update(&documents.root_version.to_le_bytes());
    for delegated in &documents.delegated {
        hash.update(delegated.role.as_str().as_bytes());
        hash.update(delegated.digest.to_string().as_bytes());
        hash.update(&[u8::from(delegated.problem.is_some())]);
    }
    hash.finish()
}
