//! What the machine itself must have: room on its disk, and descriptors.

use std::path::Path;

use super::Visit;

/// Free bytes of a disk under which somebody should look, in bytes.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// Descriptors under which a server runs out early: one for each connection, and those of its files.
const DESCRIPTORS_MIN: u64 = 4_096;

pub(super) fn look(visit: &mut Visit, folder: &Path) {
    disk(visit, folder);
    descriptors(visit);
}

/// How much room there is where the role keeps what it keeps.
pub(super) fn disk(visit: &mut Visit, folder: &Path) {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    match wire::check::disk_free_bytes(there) {
        Err(error) => visit.skipped(
            "disk",
            format!("{} does not say how full it is: {error}", there.display()),
        ),
        Ok(free) => {
            let told = format!("{:.1} GiB free at {}", bytes_as_gib(free), folder.display());
            if free < FREE_BYTES_MIN {
                visit.warn("disk", told, "free some: what cannot be recorded is not answered");
            } else {
                visit.ok("disk", told);
            }
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn bytes_as_gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

/// How many files and connections a program of this account may have open, where the system says so.
fn descriptors(visit: &mut Visit) {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let most = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| {
            let hard = line.split_whitespace().nth(1)?;
            hard.parse::<u64>().ok()
        });
    match most {
        Some(most) if most < DESCRIPTORS_MIN => visit.warn(
            "descriptors",
            format!("a program may open {most} files and connections"),
            format!("allow at least {DESCRIPTORS_MIN}: LimitNOFILE in a systemd unit, or ulimit -n"),
        ),
        Some(most) => visit.ok(
            "descriptors",
            format!("a program may open {most} files and connections"),
        ),
        None => visit.skipped(
            "descriptors",
            "the system does not say how many files a program may open",
        ),
    }
}
