//! The demonstration's files, carried inside the program so that it runs anywhere.

use std::path::{Path, PathBuf};

use terms::Report;

use crate::sandbox::layout::{io_report, make_folder};

/// The German Breast Cancer Study Group's cohort.
pub(super) const GBSG: &str = include_str!("../../../../demo/data/gbsg.csv");
/// The Rotterdam tumour bank's cohort.
pub(super) const ROTTERDAM: &str = include_str!("../../../../demo/data/rotterdam.csv");
/// Position of the age in a line of both.
pub(super) const AGE: usize = 1;
/// Position of the tumour size in a line of both.
pub(super) const TUMOUR_SIZE: usize = 3;

/// The file that describes the sandbox.
const SPEC: &str = "demo/oncology.toml";

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../", $path)))),*]
    };
}

/// All files, by their paths in the project.
const FILES: &[(&str, &str)] = files![
    "demo/oncology.toml",
    "policies/oncology/collections/breast-cancer.toml",
    "policies/oncology/collections/lung-cancer.toml",
    "policies/oncology/policies/breast-cancer-models.toml",
    "policies/oncology/policies/breast-cancer-research.toml",
    "policies/oncology/policies/lung-cancer-research.toml",
    "demo/permits/relapse-models-1.toml",
    "demo/data/gbsg.csv",
    "demo/data/rotterdam.csv",
    "demo/data/lung-01.csv",
    "demo/data/lung-02.csv",
    "demo/data/lung-03.csv",
    "demo/data/lung-04.csv",
    "demo/data/lung-05.csv",
    "demo/data/lung-06.csv",
    "demo/data/lung-07.csv",
    "demo/data/lung-10.csv",
    "demo/data/lung-11.csv",
    "demo/data/lung-12.csv",
    "demo/data/lung-13.csv",
    "demo/data/lung-15.csv",
    "demo/data/lung-16.csv",
    "demo/data/lung-21.csv",
    "demo/data/lung-22.csv",
    "demo/data/lung-26.csv",
    "demo/data/lung-32.csv",
    "demo/data/lung-33.csv",
];

/// Writes the files below `folder`. Returns the path of the one that describes the sandbox.
///
/// # Errors
/// If the folder cannot be written to.
pub(super) fn unpack(folder: &Path) -> Result<PathBuf, Report> {
    for (path, text) in FILES {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            make_folder(parent)?;
        }
        std::fs::write(&path, text).map_err(|error| io_report(&path, &error))?;
    }
    Ok(folder.join(SPEC))
}
