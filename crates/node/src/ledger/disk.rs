//! Whether the disk has room for what is about to be recorded. Asked before a query is looked at: a disk that is nearly full costs
//! nobody an answer that was worked for, and once there is room again the node goes on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use terms::{Report, limit};

use crate::ledger::writer::no_room;

/// The disk on which a ledger is.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    /// As it was told last.
    is_full: AtomicBool,
}

impl Disk {
    /// The disk of the folder of a file.
    pub(super) fn of(file: &Path) -> Self {
        Self {
            folder: file.parent().unwrap_or(Path::new(".")).to_owned(),
            is_full: AtomicBool::new(false),
        }
    }

    /// Lets a query be looked at if what becomes of it can be recorded. The log says when that changes.
    ///
    /// # Errors
    /// `E_AUDIT_UNAVAILABLE` if there is too little room, or the disk does not say how much there is.
    pub(super) fn require_room(&self) -> Result<(), Report> {
        let free = wire::check::disk_free_bytes(&self.folder);
        let is_full = !free.as_ref().is_ok_and(|free| *free >= limit::LEDGER_ROOM_BYTES_MIN);
        if self.is_full.swap(is_full, Ordering::Relaxed) != is_full {
            tell(is_full, &free);
        }
        if is_full { Err(no_room()) } else { Ok(()) }
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
