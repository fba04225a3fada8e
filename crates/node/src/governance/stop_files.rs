//! Stops that reached the operator as files, by mail or on a stick: `<data>/stops/*.json`.
//!
//! A broker that holds stops back must not be able to keep a node from obeying one. Each file is read at every look and
//! checked like a stop that the broker serves; it can be removed once it was taken, and what it stopped stays stopped.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use terms::{Problem, Report};
use tracing::warn;
use trust::{AcceptedStop, Digest, Envelope, SpaceStore};

/// Most files that are looked at: a board stops less in a year.
const FILES_MAX: usize = 1_024;

/// Largest file, in bytes: a stop has a tenth of it.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// A file in the folder of stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopFile {
    /// Its name.
    pub file: String,
    /// The stop in it, by the digest that the board names to lift it.
    pub stop: Option<Digest>,
    /// Why it stops nothing.
    pub problem: Option<Report>,
}

/// Takes every stop in the folder. A file that is none is told, and spoils no other.
pub(super) fn accept_all(folder: &Path, store: &SpaceStore) -> Vec<StopFile> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        // There is no folder until somebody needs one.
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".json") && !name.starts_with('.'))
        .collect();
    names.sort();
    names.truncate(FILES_MAX);
    let accepted = names.into_iter().map(|file| match accept(&folder.join(&file), store) {
        Ok(accepted) => StopFile {
            file,
            stop: Some(accepted.digest),
            problem: None,
        },
        Err(report) => {
            warn!(file, problem = %report.problem, message = report.message, "a file stops nothing");
            StopFile {
                file,
                stop: None,
                problem: Some(report),
            }
        }
    });
    accepted.collect()
}

fn accept(path: &Path, store: &SpaceStore) -> Result<AcceptedStop, Report> {
    let unreadable =
        |error: std::io::Error| Problem::FileMissing.report(format!("it cannot be read: {}", error.kind()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Problem::PolicyInvalid.report(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    let envelope = Envelope::parse(&bytes);
    let envelope = envelope.map_err(|error| Problem::PolicyInvalid.report(format!("it is no stop: {error}")))?;
    store.accept_stop(&envelope)
}
