//! The place where a sandbox is built before it is put in place. It goes away with whatever was built if it is not
//! finished.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use terms::{Problem, Report};

use crate::sandbox::layout::{io_report, make_folder};

/// Marks a folder as a building site, and is locked while somebody builds.
const MARK: &str = ".founding";

/// A folder beside the one that is wanted.
#[derive(Debug)]
pub(super) struct Site {
    folder: PathBuf,
    finished: bool,
    _mark: File,
}

impl Site {
    /// Makes room for building what will be `target`. What an interrupted attempt left behind is cleared away.
    pub(super) fn clear(target: &Path) -> Result<Self, Report> {
        require_empty(target)?;
        let mut name = target
            .file_name()
            .map_or_else(|| "sandbox".into(), std::ffi::OsStr::to_os_string);
        name.push(".new");
        let folder = target.with_file_name(name);
        if folder.exists() {
            clear_abandoned(&folder)?;
        }
        make_folder(&folder)?;
        let mark = mark(&folder)?;
        Ok(Self {
            folder,
            finished: false,
            _mark: mark,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts what was built in place.
    pub(super) fn finish(mut self, target: &Path) -> Result<(), Report> {
        let put = std::fs::remove_file(self.folder.join(MARK)).and_then(|()| match std::fs::remove_dir(target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => std::fs::rename(&self.folder, target),
        });
        put.map_err(|error| io_report(target, &error))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !self.finished {
            // The error that ended the building is the one to tell.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn require_empty(target: &Path) -> Result<(), Report> {
    match std::fs::read_dir(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_report(target, &error)),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Problem::FolderNotEmpty.report(format!("{} has files in it", target.display()))),
        },
    }
}

/// Removes a building site that nobody builds on, and nothing else.
fn clear_abandoned(folder: &Path) -> Result<(), Report> {
    if !folder.join(MARK).is_file() {
        return Err(Problem::FolderNotEmpty.report(format!("{} is in the way", folder.display())));
    }
    let _unused = mark(folder)?;
    std::fs::remove_dir_all(folder).map_err(|error| io_report(folder, &error))
}

fn mark(folder: &Path) -> Result<File, Report> {
    let path = folder.join(MARK);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| io_report(&path, &error))?;
    let taken = || Problem::SandboxUp.report(format!("another process is building {}", folder.display()));
    file.try_lock().map_err(|_| taken().remedy("wait until it is done"))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_anything_in_it_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("a");
        std::fs::create_dir(&target).unwrap();
        std::fs::write(target.join("mine"), "x").unwrap();
        assert_eq!(Site::clear(&target).unwrap_err().problem, Problem::FolderNotEmpty);
        std::fs::create_dir(place.path().join("b.new")).unwrap();
        assert_eq!(
            Site::clear(&place.path().join("b")).unwrap_err().problem,
            Problem::FolderNotEmpty
        );
    }

    #[test]
    fn what_is_not_finished_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("a");
        let site = Site::clear(&target).unwrap();
        std::fs::write(site.folder().join("half"), "x").unwrap();
        assert_eq!(Site::clear(&target).unwrap_err().problem, Problem::SandboxUp);
        drop(site);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_an_interrupted_process_left_behind_is_cleared_away() {
        let place = tempfile::tempdir().unwrap();
        let left = place.path().join("a.new");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join(MARK), "").unwrap();
        std::fs::write(left.join("half"), "x").unwrap();
        let target = place.path().join("a");
        Site::clear(&target).unwrap().finish(&target).unwrap();
        assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
    }
}
