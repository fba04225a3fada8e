//! From where a dataset was read, kept beside it, so that it can be read again; and why that failed last, if it did.
//!
//! What is kept names a path and the mapping, and no secret: of a database or a store, the description is read again. It is for the
//! operator, and nothing of it goes to others.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use intake::{Mapping, Misfits};
use policy::{Collection, MinPeople};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use terms::{CollectionId, Problem, Report, UtcTime};

use super::{Datasets, Publication, damaged, unreadable};

const SOURCE_FILE: &str = "source.json";
const FAILED_FILE: &str = "not-renewed.json";
const LOCK_FILE: &str = "adding.lock";

/// From where, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    path: PathBuf,
    mapping: Mapping,
}

/// A dataset that its operator should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unhealthy {
    /// The collection.
    pub collection: CollectionId,
    /// Whether it is answered from: what was there before a renewal that failed is.
    pub is_served: bool,
    /// When a renewal failed, if one did.
    pub since: Option<UtcTime>,
    /// Why; for the operator only.
    pub problem: Report,
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the dataset {} is ", self.collection)?;
        match (self.is_served, self.since) {
            (true, Some(at)) => write!(
                f,
                "stale: it could not be renewed at {at:.0}, and what was there before is answered from"
            )?,
            (true, None) => f.write_str("unhealthy, which is seen at the next look")?,
            (false, _) => f.write_str("unhealthy and not answered from")?,
        }
        write!(f, ": {}; {}", self.problem, self.problem.remedy)
    }
}

#[derive(Serialize, Deserialize)]
struct Failed {
    at: UtcTime,
    problem: Report,
}

impl Datasets {
    /// Reads the source of a dataset again, as it was read before, and publishes it as [`Datasets::publish`] does. If that fails, what was
    /// there before is still answered from, and [`Datasets::unhealthy`] says why until it succeeds.
    ///
    /// # Errors
    /// As there; `FileMissing` if it is not known from where it was read.
    pub fn renew(
        &self,
        collection: &Collection,
        now: UtcTime,
        least: Option<MinPeople>,
    ) -> Result<(Publication, Misfits), Report> {
        let folder = self.folder.join(collection.id.as_str());
        let Some(source) = read::<Source>(&folder, SOURCE_FILE)? else {
            let message = format!("from where the dataset of {} was read is not known", collection.id);
            return Err(Problem::FileMissing
                .report(message)
                .remedy("add it once more: datenraum node dataset add"));
        };
        let renewed = source
            .mapping
            .require_valid("the mapping that was kept", collection)
            .and_then(|()| self.publish(&source.mapping, &source.path, collection, now, least));
        renewed.map_err(|report| {
            let message = format!("{}: {}", source.path.display(), report.message);
            let problem = report.problem.report(message).remedy(report.remedy);
            // Whoever renews is told, whatever the disk does.
            let _ = super::write_json(
                &folder,
                FAILED_FILE,
                &Failed {
                    at: now,
                    problem: problem.clone(),
                },
            );
            problem
        })
    }

    /// The collections whose datasets can be renewed.
    ///
    /// # Errors
    /// `FileMissing` if the folder cannot be read.
    pub fn renewable(&self) -> Result<Vec<CollectionId>, Report> {
        let folders = super::folders(&self.folder)?.into_iter();
        let renewable = folders.filter(|folder| folder.join(SOURCE_FILE).is_file());
        Ok(renewable.filter_map(|folder| named(&folder)).collect())
    }

    /// What the operator should look at, by collection: datasets that are damaged, and those whose renewal failed.
    pub fn unhealthy(&self) -> Vec<Unhealthy> {
        let mut unhealthy = Vec::new();
        for folder in super::folders(&self.folder).unwrap_or_default() {
            let Some(collection) = named(&folder) else { continue };
            let is_served = self.find(&collection).is_some();
            if let Some(problem) = self.damage(&collection) {
                unhealthy.push(Unhealthy {
                    collection,
                    is_served,
                    since: None,
                    problem,
                });
            } else if let Ok(Some(Failed { at, problem })) = read(&folder, FAILED_FILE) {
                unhealthy.push(Unhealthy {
                    collection,
                    is_served,
                    since: Some(at),
                    problem,
                });
            }
        }
        unhealthy
    }
}

/// Keeps from where a dataset was read.
pub(super) fn keep(folder: &Path, path: &Path, mapping: &Mapping) -> Result<(), Report> {
    let path = std::path::absolute(path).map_err(|error| unreadable(path, &error))?;
    let source = Source {
        path,
        mapping: mapping.clone(),
    };
    super::write_json(folder, SOURCE_FILE, &source).map_err(|error| unreadable(folder, &error))?;
    match fs::remove_file(folder.join(FAILED_FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unreadable(folder, &error)),
        _ => Ok(()),
    }
}

/// Two who make a snapshot of one collection at the same time would take each other's parts away. Held until it is dropped.
pub(super) fn lock(folder: &Path) -> Result<File, Report> {
    let path = folder.join(LOCK_FILE);
    let file = File::create(&path).map_err(|error| unreadable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Problem::DataBusy.report("another command reads data for the same collection"))
        }
        Err(TryLockError::Error(error)) => Err(unreadable(&path, &error)),
    }
}

/// A dataset's folder is called like its collection.
pub(super) fn named(folder: &Path) -> Option<CollectionId> {
    folder.file_name()?.to_str()?.parse().ok()
}

fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, Report> {
    let path = folder.join(name);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| damaged(folder)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

#[cfg(test)]
mod tests;
