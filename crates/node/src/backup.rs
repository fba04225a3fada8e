//! A copy of what a node keeps, made while it runs: whole, and checked before it is called a backup.
//!
//! The institution's key is not in it: whoever holds the backup of a node must not be able to be the node.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use terms::{Problem, Report};
use trust::PublicKey;

use crate::audit::{self, AuditSummary, Compared};
use crate::config::Config;
use crate::durable;

/// Copies ledger, anchor, registers, datasets and verified documents into the folder `to`, laid out like the node's own, and verifies the
/// copied ledger. `config_file` is where `config` was read from; it is copied too.
///
/// # Errors
/// `FolderNotEmpty`; what cannot be read or written; `AuditBroken` if the copy does not verify, and then the folder stays for a look.
pub fn backup(config: &Config, config_file: &Path, key: &PublicKey, to: &Path) -> Result<AuditSummary, Report> {
    require_new(to)?;
    let data = to.join("data");
    make_private(&data)?;
    copy(config_file, &to.join("node.toml"))?;
    copy(&config.root, &to.join("root.json"))?;
    // First the anchor: what is older than the ledger is a beginning of it.
    let anchor = data.join("ledger.anchor");
    if config.anchor_file().exists() {
        copy(&config.anchor_file(), &anchor)?;
    }
    if config.cosigned_file().exists() {
        copy(&config.cosigned_file(), &data.join("ledger.cosigned"))?;
    }
    let ledger = data.join("ledger.sqlite");
    copy_database(&config.ledger_file(), &ledger)?;
    copy_database(&config.registers_file(), &data.join("registers.sqlite"))?;
    // Datasets, verified documents, those in force, stops that came as files.
    for folder in folders_of(&config.data)? {
        copy_folder(&config.data.join(&folder), &data.join(&folder))?;
    }
    let compared = Compared {
        checkpoints: audit::anchor(&anchor)?.into_iter().collect(),
        receipts: Vec::new(),
    };
    let summary = audit::verify(&ledger, &config.audit_origin(), key, &compared)?;
    for folder in [to, data.as_path()] {
        durable::sync_folder(folder).map_err(|error| unusable(folder, &error))?;
    }
    Ok(summary)
}

fn require_new(to: &Path) -> Result<(), Report> {
    let is_new = match fs::read_dir(to) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if is_new {
        return Ok(());
    }
    let message = format!(
        "{} is not an empty folder, and a backup replaces no other",
        to.display()
    );
    Err(Problem::FolderNotEmpty.report(message))
}

/// One state of a database, whatever is written to it meanwhile. A message of SQLite could quote a value.
fn copy_database(from: &Path, to: &Path) -> Result<(), Report> {
    let copied = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|database| database.execute("VACUUM INTO ?1", [to.display().to_string()]));
    copied.map_err(|error| {
        let code = error.sqlite_error_code();
        Problem::FileMissing
            .report(format!("{} cannot be copied: {code:?}", from.display()))
            .remedy("check the disk that the backup goes to, and the permissions of both folders")
    })?;
    let file = fs::File::options().write(true).open(to);
    let kept = file.and_then(|file| {
        keep_private(&file)?;
        file.sync_all()
    });
    kept.map_err(|error| unusable(to, &error))
}

fn folders_of(data: &Path) -> Result<Vec<OsString>, Report> {
    let entries = fs::read_dir(data).map_err(|error| unusable(data, &error))?;
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    Ok(folders.map(|entry| entry.file_name()).collect())
}

/// A folder and what is in it. A node replaces files in it by others with new names: one that goes meanwhile is not needed any more.
fn copy_folder(from: &Path, to: &Path) -> Result<(), Report> {
    make_private(to)?;
    let Some(entries) = unless_gone(from, fs::read_dir(from))? else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry.map_err(|error| unusable(from, &error))?;
        let (path, beside) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => copy_folder(&path, &beside)?,
            Ok(kind) if kind.is_file() => {
                if let Some(file) = unless_gone(&path, fs::File::open(&path))? {
                    copy_open(file, &path, &beside)?;
                }
            }
            Ok(_) => {}
            Err(error) => return Err(unusable(&path, &error)),
        }
    }
    durable::sync_folder(to).map_err(|error| unusable(to, &error))
}

fn unless_gone<T>(path: &Path, found: io::Result<T>) -> Result<Option<T>, Report> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some).map_err(|error| unusable(path, &error)),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Report> {
    let file = fs::File::open(from).map_err(|error| unusable(from, &error))?;
    copy_open(file, from, to)
}

fn copy_open(mut file: fs::File, from: &Path, to: &Path) -> Result<(), Report> {
    let copied = (|| {
        let mut options = fs::File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut beside = options.open(to)?;
        io::copy(&mut file, &mut beside)?;
        beside.sync_all()
    })();
    copied.map_err(|error| unusable(from, &error))
}

fn make_private(folder: &Path) -> Result<(), Report> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| unusable(folder, &error))
}

#[cfg_attr(
    not(unix),
    allow(unused_variables, clippy::unnecessary_wraps, reason = "files have no modes")
)]
fn keep_private(file: &fs::File) -> io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(())
}

fn unusable(path: &Path, error: &io::Error) -> Report {
    Problem::FileMissing
        .report(format!("{} is not in the backup: {error}", path.display()))
        .remedy("check the disk that the backup goes to, and the permissions of both folders")
}
