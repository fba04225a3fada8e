//! What the process takes of its machine, where the system says so in `/proc`.

use std::fs;

use crate::{Gauge, Metrics};

/// Sets the gauges of the process before each reading.
pub(crate) fn watch(metrics: &Metrics) {
    let bytes: Gauge = metrics.register(
        "process_memory_bytes",
        "Memory that the process holds",
        Gauge::default(),
    );
    let open: Gauge = metrics.register(
        "process_descriptors",
        "Files and sockets that are open",
        Gauge::default(),
    );
    metrics.before_reading(move || {
        bytes.set(memory_bytes().unwrap_or(0));
        open.set(descriptors().unwrap_or(0));
    });
}

fn memory_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn descriptors() -> Option<i64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    i64::try_from(open).ok()
}
