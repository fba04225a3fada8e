//! `board init`: the folder of a new data space, and the draft of its first root.

use std::path::{Path, PathBuf};

use terms::{Clock as _, ExitCode, Problem, Report, SystemClock};
use trust::{BoardRoles, Draft, PublicKey, PublicKeyFile, RoleKeys};

use super::desk::{Desk, end_of_day};
use super::folder::{self, Folder, unusable};
use super::names::Names;
use super::paper::Paper;
use super::pending::Pending;
use super::sign;
use crate::args::board::InitArgs;

const MEMBERS: &str = "\
# The institutions of the data space. One block for each:
#
# [[member]]
# id    = \"saarland-university\"
# title = \"Saarland University\"
# roles = [\"university\"]               # policies name roles; \"public-body\" opens (a) to (c)
# key   = \"ed25519:…\"                  # the public key of the institution, which its operator sends
";

/// Founds a data space.
///
/// # Errors
/// `FolderNotEmpty` if there is a board already; `PolicyThreshold` if the threshold cannot be reached; a `File` problem of
/// a key.
pub(super) fn run(args: &InitArgs, json: bool) -> Result<ExitCode, Report> {
    let folder = Folder::new(&args.place.dir);
    require_new(&folder)?;
    let mut names = Names::default();
    let keys = read_members(&args.members, &mut names)?;
    let board = RoleKeys {
        keys,
        threshold: args.threshold,
    };
    let roles = BoardRoles {
        root: board.clone(),
        targets: board,
        snapshot: alone(broker_key(&args.snapshot_key)?),
        timestamp: alone(broker_key(&args.timestamp_key)?),
    };
    let draft = Draft::root(&args.space, 1, end_of_day(SystemClock.now(), args.valid_days), &roles)?;
    write_new(&folder, "space.toml", &space_file(args)?)?;
    write_new(&folder, "members.toml", MEMBERS)?;
    for inside in ["collections", "policies", "permits"] {
        let path = folder.file(inside);
        std::fs::create_dir_all(&path).map_err(|error| unusable(&path, &error))?;
    }
    names.write(&folder)?;
    let mut pending = Pending::default();
    pending.put(Paper::Root, draft);
    pending.write_draft(&folder, Paper::Root)?;
    sign::tell(&Desk::read(folder)?, args.place.lang(), json)
}

/// Public keys from files, each under its name.
///
/// # Errors
/// A `File` problem of a file; `Usage` if two have one name or one key.
pub(super) fn read_members(files: &[PathBuf], names: &mut Names) -> Result<Vec<PublicKey>, Report> {
    let mut seen: Vec<PublicKeyFile> = Vec::new();
    for path in files {
        let file = PublicKeyFile::load(path)?;
        if let Some(other) = seen
            .iter()
            .find(|other| other.name == file.name || other.key == file.key)
        {
            let message = format!(
                "{}: {} and {} have one name or one key",
                path.display(),
                file.name,
                other.name
            );
            return Err(Problem::Usage
                .report(message)
                .remedy("each person makes a key of their own, under a name of their own"));
        }
        names.add(&file)?;
        seen.push(file);
    }
    Ok(seen.into_iter().map(|file| file.key).collect())
}

fn alone(key: PublicKey) -> RoleKeys {
    RoleKeys {
        keys: vec![key],
        threshold: 1,
    }
}

fn broker_key(text: &str) -> Result<PublicKey, Report> {
    if text.starts_with("ed25519:") {
        return text
            .parse()
            .map_err(|error| Problem::FileValue.report(format!("{text}: {error}")));
    }
    Ok(PublicKeyFile::load(Path::new(text))?.key)
}

fn require_new(folder: &Folder) -> Result<(), Report> {
    let taken = ["signed", "draft", "board.toml"]
        .into_iter()
        .find(|name| folder.file(name).exists());
    match taken {
        Some(name) => Err(Problem::FolderNotEmpty
            .report(format!(
                "{} is there already: the folder has a board",
                folder.file(name).display()
            ))
            .remedy("to change who is on it: datenraum board members")),
        None => Ok(()),
    }
}

fn space_file(args: &InitArgs) -> Result<String, Report> {
    #[derive(serde::Serialize)]
    struct Space<'a> {
        id: &'a str,
        title: &'a str,
    }
    let (id, title) = (args.space.as_str(), args.title.as_str());
    let text = toml::to_string(&Space { id, title }).map_err(|error| Problem::Internal.report(error.to_string()))?;
    Ok(format!("# The name of the data space. The id never changes.\n\n{text}"))
}

/// Files that are there already stay: a board may have prepared them.
fn write_new(folder: &Folder, name: &str, text: &str) -> Result<(), Report> {
    let path = folder.file(name);
    if path.exists() {
        return Ok(());
    }
    folder::write(&path, text.as_bytes())
}
