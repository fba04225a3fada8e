//! Whether the disk has room for what is about to be recorded. Asked before a query is looked at: a disk that is nearly full costs
//! nobody an answer that was worked for, and once there is room again the node goes on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use terms::{Report, limit};

use crate::ledger::writer::no_room;
use crate::reserve::Reserve;

/// The disk on which a ledger is.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    /// Room for the ends of what was begun while there was more.
    pub(super) reserve: Reserve,
    /// As it was told last.
    is_full: AtomicBool,
    /// What tests say is free.
    #[cfg(test)]
    pub(super) pretended: std::sync::Mutex<Option<u64>>,
}

impl Disk {
    /// The disk of the folder of a file.
    pub(super) fn of(file: &Path) -> Self {
        let folder = file.parent().unwrap_or(Path::new("."));
        Self {
            folder: folder.to_owned(),
            reserve: Reserve::of(folder),
            is_full: AtomicBool::new(false),
            #[cfg(test)]
            pretended: std::sync::Mutex::default(),
        }
    }

    /// Lets a query be looked at if what becomes of it can be recorded. The log says when that changes.
    ///
    /// # Errors
    /// `E_AUDIT_UNAVAILABLE` if there is too little room, or the disk does not say how much there is.
    pub(super) fn require_room(&self) -> Result<(), Report> {
        let free = self.free();
        let is_full = !free.as_ref().is_ok_and(|free| *free >= limit::LEDGER_ROOM_BYTES_MIN);
        if self.is_full.swap(is_full, Ordering::Relaxed) != is_full {
            tell(is_full, &free);
        }
        if is_full { Err(no_room()) } else { Ok(()) }
    }

    #[cfg(not(test))]
    fn free(&self) -> io::Result<u64> {
        wire::check::disk_free_bytes(&self.folder)
    }

    #[cfg(test)]
    fn free(&self) -> io::Result<u64> {
        let pretended = *self.pretended.lock().unwrap();
        pretended.map_or_else(|| wire::check::disk_free_bytes(&self.folder), Ok)
    }

    /// Whether a test says that nothing more goes onto it.
    #[cfg(test)]
    pub(super) fn takes_nothing(&self) -> bool {
        *self.pretended.lock().unwrap() == Some(0)
    }
}

fn tell(is_full: bool, free: &io::Result<u64>) {
    let needed = limit::LEDGER_ROOM_BYTES_MIN;
    match (is_full, free) {
        (false, _) => tracing::warn!("the disk of the ledger has room again; questions are answered"),
        (true, Ok(free)) => tracing::error!(free, needed, "stopped: the disk of the ledger is full"),
        (true, Err(error)) => tracing::error!(%error, "stopped: the disk of the ledger does not say how full it is"),
    }
}
