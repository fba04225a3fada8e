//! Writes the TUF repository of a small data space, for other implementations to verify:
//!
//! ```text
//! tuf-repository DIR VERSION SIGNATURES
//! ```
//!
//! A board of three, of which two must sign, and a committee to which it has delegated its permits. The documents of
//! this version carry as many of the board's signatures as asked for, so that too few can be refused. The keys are
//! made at the first call and lie in `DIR/keys`: this is for tests, a real board keeps its keys apart.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use terms::{Clock as _, SpaceId, SystemClock, UtcTime};
use trust::tuf::{metadata_path, target_path};
use trust::{BoardRoles, DelegatedRole, Delegation, Digest, Draft, RoleKeys, SigningKey};

/// How long everything is valid, in seconds.
const VALID_SECONDS: i64 = 24 * 3600;

type Failure = Box<dyn std::error::Error>;
type Files = BTreeMap<String, Vec<u8>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.as_slice() {
        [folder, version, signatures] => Repository::open(Path::new(folder))
            .and_then(|repository| repository.write(version.parse()?, signatures.parse()?)),
        _ => Err("say tuf-repository DIR VERSION SIGNATURES".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing can be done if nobody reads it.
            let _ = writeln!(io::stderr(), "tuf-repository: {failure}");
            ExitCode::FAILURE
        }
    }
}

struct Repository {
    folder: PathBuf,
    space: SpaceId,
    board: Vec<SigningKey>,
    committee: SigningKey,
    online: SigningKey,
}

impl Repository {
    fn open(folder: &Path) -> Result<Self, Failure> {
        let keys = folder.join("keys");
        std::fs::create_dir_all(&keys)?;
        let key = |name: &str| key_in(&keys, name);
        Ok(Self {
            folder: folder.to_owned(),
            space: "oncology".parse()?,
            board: ["ana", "ben", "cleo"].into_iter().map(key).collect::<Result<_, _>>()?,
            committee: key("committee")?,
            online: key("online")?,
        })
    }

    fn write(&self, version: u64, signatures: usize) -> Result<(), Failure> {
        let expires = UtcTime::from_second(SystemClock.now().as_second() + VALID_SECONDS)?;
        let root = Draft::root(&self.space, 1, expires, &self.roles())?;
        if !self.folder.join("metadata/1.root.json").exists() {
            self.sign(&root, &self.board[..2], "1.root.json")?;
        }
        let files = Files::from([("space.toml".to_owned(), format!("version = {version}\n").into_bytes())]);
        let permits = Files::from([(
            "permits/p-1.toml".to_owned(),
            format!("permit = {version}\n").into_bytes(),
        )]);
        let delegation = Delegation {
            role: DelegatedRole::Permits,
            keys: alone(&self.committee),
        };
        let targets = Draft::targets(&self.space, version, expires, &files, &[delegation])?;
        let board = self.board.get(..signatures).ok_or("the board has three members")?;
        self.sign(&targets, board, &format!("{version}.targets.json"))?;
        let delegated = Draft::delegated(&self.space, &DelegatedRole::Permits, version, expires, &permits)?;
        self.sign(
            &delegated,
            std::slice::from_ref(&self.committee),
            &format!("{version}.permits.json"),
        )?;
        for (name, bytes) in files.iter().chain(&permits) {
            self.put(&target_path(name, &Digest::of(bytes)), bytes)?;
        }
        let versions = ["targets", "permits"].map(|role| (role.to_owned(), version)).into();
        let snapshot = Draft::snapshot(&self.space, version, expires, &versions)?;
        let online = std::slice::from_ref(&self.online);
        let snapshot = self.sign(&snapshot, online, &format!("{version}.snapshot.json"))?;
        let timestamp = Draft::timestamp(&self.space, version, expires, &snapshot)?;
        self.sign(&timestamp, online, "timestamp.json")?;
        Ok(())
    }

    fn roles(&self) -> BoardRoles {
        let board = RoleKeys {
            keys: self.board.iter().map(SigningKey::public).collect(),
            threshold: 2,
        };
        BoardRoles {
            root: board.clone(),
            targets: board,
            snapshot: alone(&self.online),
            timestamp: alone(&self.online),
        }
    }

    fn sign(&self, draft: &Draft, keys: &[SigningKey], name: &str) -> Result<Vec<u8>, Failure> {
        let document = draft.assemble(keys.iter().map(|key| draft.sign(key)).collect());
        self.put(&metadata_path(name), &document)?;
        Ok(document)
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.folder.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(path, bytes)?)
    }
}

fn alone(key: &SigningKey) -> RoleKeys {
    RoleKeys {
        keys: vec![key.public()],
        threshold: 1,
    }
}

fn key_in(folder: &Path, name: &str) -> Result<SigningKey, Failure> {
    let path = folder.join(format!("{name}.pem"));
    if !path.exists() {
        SigningKey::generate()?.save_new(&path)?;
    }
    Ok(SigningKey::load(&path)?)
}
