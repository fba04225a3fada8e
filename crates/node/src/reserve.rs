//! Room on the disk of a node's data that is held for what must be written when there is none left: how an answer ended that was on its
//! way, and what the board stopped. It is given up for that, and taken up again once the disk has room.
//!
//! Whatever else fills the disk can take what is given up; then what is not written is told in the log, and tried again.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use terms::limit::LEDGER_ROOM_BYTES_MIN;
use tracing::warn;

/// How much is held: the journal of the ledger and a set of documents, several times over.
const RESERVE_BYTES: u64 = 4 * 1024 * 1024;

/// The file that takes the room. Nothing is in it.
#[derive(Clone, Debug)]
pub(crate) struct Reserve {
    folder: PathBuf,
}

impl Reserve {
    /// The reserve on the disk of a node's folder.
    pub(crate) fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Holds room, unless it does or there is little. A disk that fails costs nothing here.
    pub(crate) fn take_up(&self) {
        let is_held = fs::metadata(self.file()).is_ok_and(|about| about.len() == RESERVE_BYTES);
        if is_held
            || !self
                .free()
                .is_ok_and(|free| free >= LEDGER_ROOM_BYTES_MIN + RESERVE_BYTES)
        {
            return;
        }
        if let Err(error) = self.write() {
            warn!(kind = %error.kind(), "no room is held for when the disk is full");
            self.give_up();
        }
    }

    /// Gives the room to whoever calls; false if none was held.
    pub(crate) fn give_up(&self) -> bool {
        let is_given_up = fs::remove_file(self.file()).is_ok();
        if is_given_up {
            warn!("the disk is full; the room that was held for that is given up");
        }
        is_given_up
    }

    /// Gives the room up if there is too little without it for a set of documents.
    pub(crate) fn make_room(&self) {
        if self.free().is_ok_and(|free| free < RESERVE_BYTES) {
            self.give_up();
        }
    }

    fn write(&self) -> io::Result<()> {
        let mut file = File::create(self.file())?;
        // Written and not only announced: a file with holes holds no room.
        for _ in 0..RESERVE_BYTES / 4096 {
            file.write_all(&[0xA5; 4096])?;
        }
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        wire::check::disk_free_bytes(&self.folder)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("reserve")
    }
}
