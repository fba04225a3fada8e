//! The folder in which a board works: what lies where, and how it is read and written.
//!
//! What people edit: `space.toml`, `members.toml`, `collections/`, `policies/`, `permits/`; `board.toml` says whose key
//! is which. `signed/` has what was signed: every root, the newest list of files of each role, `files/` with those very
//! files, `stops/`. `draft/` has what waits for signatures, and `signatures/` those that there are. Each file is read
//! once; what is a link or has a name that no file of a data space has is refused, so that nothing is signed by mistake.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use terms::limit::{DOCUMENT_BYTES_MAX, DOCUMENTS_MAX};
use terms::{Problem, Report};

use super::paper::Paper;

/// Files by their names in the data space, such as `policies/research.toml`.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Largest document or signature in `signed` and `draft`, in bytes: the largest list of files that clients read.
const METADATA_BYTES_MAX: u64 = trust::tuf::TARGETS_BYTES_MAX;

/// Files of a data space that are not in a folder.
const TOP: [&str; 2] = ["space.toml", "members.toml"];

/// Folders with files of a data space.
const FOLDERS: [&str; 3] = ["collections", "policies", "permits"];

/// What else is in the folder, and is not the data space's.
const ASIDE: [&str; 3] = ["signed", "draft", "board.toml"];

/// Where a board works.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// Waits until no other command of this program changes a file of the folder by what it read in it, and keeps others out.
    ///
    /// # Errors
    /// `FileMissing` if the folder cannot be locked.
    pub(crate) fn lock(&self) -> Result<File, Report> {
        let locked = File::open(&self.0).and_then(|folder| folder.lock().map(|()| folder));
        locked.map_err(|error| unusable(&self.0, &error))
    }

    /// The path of a file of the data space, or of `board.toml`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What was signed.
    pub(crate) fn signed(&self) -> PathBuf {
        self.0.join("signed")
    }

    /// The files that were signed last.
    pub(crate) fn signed_files(&self) -> PathBuf {
        self.signed().join("files")
    }

    /// The stops that board members signed here.
    pub(crate) fn stops(&self) -> PathBuf {
        self.signed().join("stops")
    }

    /// A signed document.
    pub(crate) fn signed_file(&self, paper: Paper, version: u64) -> PathBuf {
        self.signed().join(format!("{version}.{}.json", paper.name()))
    }

    /// What waits for signatures.
    pub(crate) fn draft(&self) -> PathBuf {
        self.0.join("draft")
    }

    /// A document that waits for signatures.
    pub(crate) fn draft_file(&self, paper: Paper) -> PathBuf {
        self.draft().join(format!("{}.json", paper.name()))
    }

    /// The signatures that there are.
    pub(crate) fn signatures(&self) -> PathBuf {
        self.draft().join("signatures")
    }

    /// The signature of one key.
    pub(crate) fn signature_file(&self, paper: Paper, key_id: &str) -> PathBuf {
        self.signatures().join(format!("{}.{key_id}.json", paper.name()))
    }

    /// The files of the data space, each read once.
    ///
    /// # Errors
    /// `FileMissing` if there are none; `Usage` if there is something else than files of a data space; `PolicyInvalid`
    /// if there are too many, or one is too large.
    pub(crate) fn space_files(&self) -> Result<Files, Report> {
        read_space(&self.0)
    }
}

/// The files of a data space in `dir`.
///
/// # Errors
/// As [`Folder::space_files`].
pub(crate) fn read_space(dir: &Path) -> Result<Files, Report> {
    let mut files = Files::new();
    for name in names_in(dir)? {
        let path = dir.join(&name);
        if ASIDE.contains(&name.as_str()) {
            continue;
        }
        if TOP.contains(&name.as_str()) {
            files.insert(name, read_file(&path, DOCUMENT_BYTES_MAX as u64)?);
        } else if FOLDERS.contains(&name.as_str()) {
            read_folder(&path, &name, &mut files)?;
        } else {
            let message = format!("{} is no file of a data space, so it cannot be signed", path.display());
            let remedy =
                "move it elsewhere; a data space has space.toml, members.toml, collections/, policies/ and permits/";
            return Err(Problem::Usage.report(message).remedy(remedy));
        }
    }
    if !files.contains_key("space.toml") {
        let message = format!(
            "{} is not the folder of a data space: it has no space.toml",
            dir.display()
        );
        let remedy = "name the folder with --dir, or found a data space: datenraum board init";
        return Err(Problem::FileMissing.report(message).remedy(remedy));
    }
    Ok(files)
}

fn read_folder(folder: &Path, name: &str, files: &mut Files) -> Result<(), Report> {
    if !fs::symlink_metadata(folder)
        .map_err(|error| unusable(folder, &error))?
        .is_dir()
    {
        return Err(Problem::Usage.report(format!("{} is not a folder", folder.display())));
    }
    for inner in names_in(folder)? {
        files.insert(
            format!("{name}/{inner}"),
            read_file(&folder.join(&inner), DOCUMENT_BYTES_MAX as u64)?,
        );
        if files.len() > DOCUMENTS_MAX {
            let message = format!("a data space may have {DOCUMENTS_MAX} files");
            return Err(Problem::PolicyInvalid.report(message));
        }
    }
    Ok(())
}

/// The names in a folder, in order, but for hidden ones. A folder that is not there has none.
///
/// # Errors
/// If it cannot be read, or a name is not text.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>, Report> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| unusable(folder, &error))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name: OsString = entry.map_err(|error| unusable(folder, &error))?.file_name();
        let name = name.into_string().map_err(|name| {
            let message = format!("{}: the name {name:?} is not text", folder.display());
            Problem::Usage.report(message).remedy("rename the file")
        })?;
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A file's bytes. Links are refused: what they point to changes without the folder.
///
/// # Errors
/// `Usage` if it is a link or no file; `PolicyInvalid` if it is larger than `bytes_max`; `FileMissing`.
pub(crate) fn read_file(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Report> {
    let about = fs::symlink_metadata(path).map_err(|error| unusable(path, &error))?;
    if !about.is_file() {
        let message = format!("{} is a link, a folder or a device, not a file", path.display());
        return Err(Problem::Usage
            .report(message)
            .remedy("put the file itself there, or take it away"));
    }
    let file = File::open(path).map_err(|error| unusable(path, &error))?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unusable(path, &error))?;
    if bytes.len() as u64 > bytes_max {
        let message = format!("{} has more than {bytes_max} bytes", path.display());
        return Err(Problem::PolicyInvalid.report(message));
    }
    Ok(bytes)
}

/// A document or signature in `signed` or `draft`.
///
/// # Errors
/// As [`read_file`].
pub(crate) fn read_metadata(path: &Path) -> Result<Vec<u8>, Report> {
    read_file(path, METADATA_BYTES_MAX)
}

/// Writes a file, whole or not at all, and the folders above it.
///
/// # Errors
/// `FileMissing` if the system does not let it be written.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Report> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
    // Hidden, so that a half-written file is never taken for one of the data space.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.new"));
    let written = OpenOptions::new().write(true).create(true).truncate(true).open(&beside);
    let written = written.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|error| unusable(path, &error))
}

/// Writes a set of files in place of the folder that there is.
///
/// # Errors
/// As [`write()`].
pub(crate) fn replace_folder(folder: &Path, files: &Files) -> Result<(), Report> {
    for name in files.keys() {
        write(&folder.join(name), &files[name])?;
    }
    for name in names_in(folder)? {
        remove_others(folder, &name, files)?;
    }
    Ok(())
}

fn remove_others(folder: &Path, name: &str, files: &Files) -> Result<(), Report> {
    let path = folder.join(name);
    if path.is_dir() {
        for inner in names_in(&path)? {
            if !files.contains_key(&format!("{name}/{inner}")) {
                remove(&path.join(inner))?;
            }
        }
        return Ok(());
    }
    if files.contains_key(name) {
        Ok(())
    } else {
        remove(&path)
    }
}

/// Removes a file that may be gone already.
///
/// # Errors
/// `FileMissing` if the system does not let it be removed.
pub(crate) fn remove(path: &Path) -> Result<(), Report> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(path, &error)),
        _ => Ok(()),
    }
}

/// What the system said about a path.
pub(crate) fn unusable(path: &Path, error: &io::Error) -> Report {
    Problem::FileMissing.report(format!("{}: {}", path.display(), error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("space.toml", "id"),
            ("policies/a.toml", "a"),
            (".git/config", "x"),
            ("draft/x", "y"),
        ] {
            write(&place.path().join(name), text.as_bytes()).unwrap();
        }
        place
    }

    #[test]
    fn what_is_no_file_of_a_data_space_is_refused_by_name() {
        let place = space();
        write(&place.path().join("notes.txt"), b"?").unwrap();
        let report = read_space(place.path()).unwrap_err();
        assert_eq!(report.problem, Problem::Usage);
        assert!(report.message.contains("notes.txt"), "{report}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_refused_wherever_it_points() {
        for (link, to) in [
            ("members.toml", "space.toml"),
            ("policies/b.toml", "a.toml"),
            ("permits", "policies"),
        ] {
            let place = space();
            std::os::unix::fs::symlink(to, place.path().join(link)).unwrap();
            assert_eq!(read_space(place.path()).unwrap_err().problem, Problem::Usage, "{link}");
        }
    }

    #[test]
    fn a_folder_without_space_is_not_one_of_a_data_space() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(read_space(place.path()).unwrap_err().problem, Problem::FileMissing);
        assert_eq!(
            read_space(&place.path().join("none")).unwrap_err().problem,
            Problem::FileMissing
        );
    }

    #[test]
    fn only_the_files_of_the_space_are_read() {
        let files = read_space(space().path()).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["policies/a.toml", "space.toml"]);
    }

    #[test]
    fn a_replaced_folder_has_the_new_files_only() {
        let place = tempfile::tempdir().unwrap();
        let old: Files = [
            ("a.toml".to_owned(), b"a".to_vec()),
            ("p/b.toml".to_owned(), b"b".to_vec()),
        ]
        .into();
        replace_folder(place.path(), &old).unwrap();
        let new: Files = [
            ("a.toml".to_owned(), b"c".to_vec()),
            ("p/d.toml".to_owned(), b"d".to_vec()),
        ]
        .into();
        replace_folder(place.path(), &new).unwrap();
        assert_eq!(fs::read(place.path().join("a.toml")).unwrap(), b"c");
        assert_eq!(names_in(&place.path().join("p")).unwrap(), ["d.toml"]);
    }
}
