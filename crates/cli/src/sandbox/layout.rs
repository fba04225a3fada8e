//! The folder of a sandbox: what lies where, what it was founded from, and who holds it.
//!
//! `board/` throw-away keys; `space/` the signed files; `broker/`; `nodes/ID/`; `members/ID/` keys of institutions
//! without a node; `people/ID/`; `sandbox.toml` what it was founded from; `sandbox.lock` held while it is up;
//! `sandbox.json` how to reach the process that holds it; `sandbox.log` what that process had to say.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use terms::{CollectionId, MemberId, PersonId, Problem, Report, SpaceId};
use trust::Digest;

use super::spec::{Board, Person};

/// The form of the folder. A folder of another form is not touched.
const FORMAT: u32 = 1;

/// How often, and how long apart, the lock is tried: `status` holds it for a moment.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The paths of a sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    folder: PathBuf,
}

/// What a sandbox was founded from, in `sandbox.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    format: u32,
    /// The data space.
    pub(crate) space: SpaceId,
    /// What people call it.
    pub(crate) title: String,
    /// Of the specification and the files that it names.
    pub(crate) fingerprint: Digest,
    /// The collections in the order of the specification.
    pub(crate) collections: Vec<CollectionId>,
    /// The nodes in the order of the specification.
    pub(crate) nodes: Vec<MemberId>,
    /// The board.
    pub(crate) board: Board,
    /// The people in the order of the specification.
    #[serde(default)]
    pub(crate) person: Vec<Person>,
}

impl Layout {
    /// The sandbox in `folder`.
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder itself.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it was founded from.
    pub(crate) fn record_file(&self) -> PathBuf {
        self.folder.join("sandbox.toml")
    }

    /// How to reach the process that hosts it.
    pub(crate) fn control_file(&self) -> PathBuf {
        self.folder.join("sandbox.json")
    }

    /// What that process had to say.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.join("sandbox.log")
    }

    /// The keys of the board.
    pub(crate) fn board(&self) -> PathBuf {
        self.folder.join("board")
    }

    /// The files of the data space, as signed.
    pub(crate) fn space(&self) -> PathBuf {
        self.folder.join("space")
    }

    /// The broker.
    pub(crate) fn broker(&self) -> PathBuf {
        self.folder.join("broker")
    }

    /// The broker's configuration.
    pub(crate) fn broker_config(&self) -> PathBuf {
        self.broker().join("broker.toml")
    }

    /// A node.
    pub(crate) fn node(&self, id: &MemberId) -> PathBuf {
        self.folder.join("nodes").join(id.as_str())
    }

    /// A node's configuration.
    pub(crate) fn node_config(&self, id: &MemberId) -> PathBuf {
        self.node(id).join("node.toml")
    }

    /// The key of an institution that runs no node.
    pub(crate) fn member_key(&self, id: &MemberId) -> PathBuf {
        self.folder.join("members").join(id.as_str()).join("member.key")
    }

    /// A person.
    pub(crate) fn person(&self, id: &PersonId) -> PathBuf {
        self.folder.join("people").join(id.as_str())
    }

    /// Who a person is, as `datenraum query` reads it.
    pub(crate) fn person_config(&self, id: &PersonId) -> PathBuf {
        self.person(id).join("person.toml")
    }

    /// The files of the data space, by name.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(crate) fn space_files(&self) -> Result<BTreeMap<String, Vec<u8>>, Report> {
        let mut files = BTreeMap::new();
        for folder in ["", "collections", "policies"] {
            let place = self.space().join(folder);
            let entries = std::fs::read_dir(&place).map_err(|error| io_report(&place, &error))?;
            for path in entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.is_file())
            {
                let bytes = std::fs::read(&path).map_err(|error| io_report(&path, &error))?;
                let name = path
                    .strip_prefix(self.space())
                    .unwrap_or(&path)
                    .to_string_lossy()
                    .replace('\\', "/");
                files.insert(name, bytes);
            }
        }
        Ok(files)
    }
}

impl Record {
    /// The record of a sandbox that is being founded.
    pub(crate) fn of(spec: &super::spec::Spec) -> Self {
        Self {
            format: FORMAT,
            space: spec.space.clone(),
            title: spec.title.clone(),
            fingerprint: spec.fingerprint,
            collections: spec.collections.clone(),
            nodes: spec.nodes.iter().map(|node| node.id.clone()).collect(),
            board: spec.board,
            person: spec.people.clone(),
        }
    }

    /// Reads the record of a sandbox.
    ///
    /// # Errors
    /// `FileMissing` if the folder is not a sandbox.
    pub(crate) fn load(layout: &Layout) -> Result<Self, Report> {
        if !layout.record_file().is_file() {
            let message = format!("{} is not the folder of a sandbox", layout.folder().display());
            let remedy = format!("datenraum sandbox up SPEC.toml --dir {}", layout.folder().display());
            return Err(Problem::FileMissing.report(message).remedy(remedy));
        }
        let record: Record = read_config(&layout.record_file())?;
        if record.format != FORMAT {
            let message = format!(
                "{} was made by another version of this program",
                layout.folder().display()
            );
            return Err(Problem::FileValue
                .report(message)
                .remedy("found the sandbox again in a new folder"));
        }
        Ok(record)
    }
}

/// Held by the process that hosts a sandbox; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock is held as long as the file is open")] File);

impl Lock {
    /// Takes the sandbox.
    ///
    /// # Errors
    /// `SandboxUp` if another process has it.
    pub(crate) fn hold(layout: &Layout) -> Result<Self, Report> {
        for _ in 0..LOCK_ATTEMPTS {
            if let Some(file) = try_lock(layout)? {
                return Ok(Self(file));
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        Err(Problem::SandboxUp.report(format!("the sandbox in {} is up", layout.folder().display())))
    }

    /// Whether a process has the sandbox.
    ///
    /// # Errors
    /// If the lock cannot be looked at.
    pub(crate) fn is_held(layout: &Layout) -> Result<bool, Report> {
        Ok(try_lock(layout)?.is_none())
    }
}

fn try_lock(layout: &Layout) -> Result<Option<File>, Report> {
    let path = layout.folder.join("sandbox.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| io_report(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(io_report(&path, &error)),
    }
}

/// Reads a configuration with its paths as they are written.
///
/// # Errors
/// A `File` problem.
pub(crate) fn read_config<T: DeserializeOwned>(path: &Path) -> Result<T, Report> {
    let text = std::fs::read_to_string(path).map_err(|error| io_report(path, &error))?;
    terms::text::parse_toml(&path.display().to_string(), &text)
}

/// Writes a configuration, whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write_config(path: &Path, about: &str, config: &impl Serialize) -> Result<(), Report> {
    let text = toml::to_string(config).map_err(|error| Problem::Internal.report(error.to_string()))?;
    write_private(
        path,
        format!("# {about}\n# Made by `datenraum sandbox up`.\n\n{text}").as_bytes(),
    )
}

/// Writes a file that only its owner can read, whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Report> {
    let beside = path.with_extension("new");
    let written = private_file(&beside).and_then(|mut file| file.write_all(bytes));
    written
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|error| io_report(path, &error))
}

/// Makes a folder, and those above it, that only their owner can enter.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn make_folder(path: &Path) -> Result<(), Report> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| io_report(path, &error))
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// What the system said about a file.
pub(crate) fn io_report(path: &Path, error: &io::Error) -> Report {
    Problem::FileMissing.report(format!("{}: {error}", path.display()))
}
