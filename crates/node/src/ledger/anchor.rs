//! The anchor: the newest checkpoint of the log once more, in a small file of its own, on another disk if the operator
//! likes. Whoever cuts the log or puts an older one in its place has to find this file too.
//!
//! It is written beside the recording, never in its way: at most a second behind while entries come, and whole when the
//! ledger is closed. It is a beginning of the log at any time. Next: `store.rs`, which opens no log that lacks it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use terms::{Problem, Report};

use crate::durable;
use crate::ledger::store::StoreError;
use crate::ledger::writer::Board;

/// How often the anchor follows the log: with the time to write it, at least once a second.
const FOLLOWS_EVERY: Duration = Duration::from_millis(500);

/// Largest anchor that is read, in bytes: a note and some hundred cosignatures.
const ANCHOR_BYTES_MAX: u64 = 32 * 1024;

/// What makes the anchor follow the log.
#[derive(Debug)]
pub(super) struct Anchoring {
    /// Dropped to stop it.
    going_on: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Anchoring {
    /// Follows what `board` shows, from `written` on, in a thread of its own.
    pub(super) fn start(path: PathBuf, written: String, board: Arc<Board>) -> Result<Self, Report> {
        let (going_on, stop) = mpsc::channel();
        let thread = std::thread::Builder::new().name("anchor".to_owned());
        let thread = thread.spawn(move || follow(&path, written, &board, &stop));
        let thread = thread.map_err(|error| Problem::Internal.report(format!("no thread for the anchor: {error}")))?;
        Ok(Self { going_on, thread })
    }

    /// Writes the last checkpoint and ends. Blocks for that long.
    pub(super) fn finish(self) {
        drop(self.going_on);
        if self.thread.join().is_err() {
            tracing::error!("the thread of the ledger's anchor did not end in order");
        }
    }
}

fn follow(path: &Path, mut written: String, board: &Board, stop: &mpsc::Receiver<()>) {
    let mut is_told = false;
    loop {
        let stopped = stop.recv_timeout(FOLLOWS_EVERY) != Err(RecvTimeoutError::Timeout);
        let note = board.status().checkpoint;
        if note != written {
            match durable::replace(path, note.as_bytes()) {
                Ok(()) => (written, is_told) = (note, false),
                Err(error) if !is_told => {
                    tracing::error!(%error, path = %path.display(), "the ledger's anchor is not written");
                    is_told = true;
                }
                Err(_) => {}
            }
        }
        if stopped {
            return;
        }
    }
}

/// The note in an anchor; none if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, StoreError> {
    let text = std::fs::File::open(path).and_then(|file| io::read_to_string(io::Read::take(file, ANCHOR_BYTES_MAX)));
    match text {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// Replaces the anchor, durably.
pub(super) fn write(path: &Path, note: &str) -> Result<(), StoreError> {
    durable::replace(path, note.as_bytes()).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::AnchorFile {
        path: path.to_owned(),
        kind: error.kind(),
    }
}

#[cfg(test)]
mod tests;
