//! The data spaces that the repository ships for people to start from: this version must be able to run them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trust::Digest;

use crate::Rules;
use crate::example::{MEMBERS, SPACE};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The documents below a folder. What is made when a space is set up is taken from the example.
fn documents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let made = [("space.toml", SPACE), ("members.toml", MEMBERS)];
    let mut files: BTreeMap<_, _> = made.map(|(path, text)| (path.to_owned(), text.into())).into();
    if let Ok(space) = std::fs::read(folder.join("space.toml")) {
        files.insert("space.toml".to_owned(), space);
    }
    for kind in ["collections", "policies"] {
        for entry in std::fs::read_dir(folder.join(kind)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{kind}/{}", entry.file_name().to_str().unwrap());
            files.insert(path, std::fs::read(entry.path()).unwrap());
        }
    }
    files
}

#[test]
fn every_data_space_in_the_repository_can_be_run() {
    let spaces = std::fs::read_dir(repository().join("policies"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let examples = std::fs::read_dir(repository().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let folders: Vec<PathBuf> = spaces
        .chain(examples)
        .filter(|path| path.join("policies").is_dir())
        .collect();
    assert!(!folders.is_empty());
    for folder in folders {
        let rules = Rules::compile_files(1, Digest::of(b""), &documents(&folder));
        let rules = rules.unwrap_or_else(|report| panic!("{}: {report}: {}", folder.display(), report.remedy));
        assert!(rules.policies().next().is_some(), "{} has no policy", folder.display());
    }
}
