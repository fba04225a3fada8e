//! A board of three (two must sign), a broker that serves whatever a test puts on its shelves, and a client.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;
use serde_json::Value;
use terms::{Problem, Report, SpaceId, UtcTime};

use crate::tuf::*;
use crate::{PublicKey, SigningKey};

const HOUR: i64 = 3600;

pub(super) fn noon() -> UtcTime {
    after(0)
}

pub(super) fn after(seconds: i64) -> UtcTime {
    let noon: UtcTime = "2026-11-21T12:00:00Z".parse().unwrap();
    UtcTime::from_second(noon.as_second() + seconds).unwrap()
}

pub(super) fn files(policy: &str) -> BTreeMap<String, Vec<u8>> {
    [
        ("space.toml".to_owned(), b"space".to_vec()),
        ("policies/research.toml".to_owned(), policy.into()),
    ]
    .into()
}

pub(super) struct World {
    folder: tempfile::TempDir,
    /// What the broker serves; `None` breaks off.
    shelves: Mutex<BTreeMap<String, Option<Vec<u8>>>>,
    online: AtomicUsize,
    /// What the broker's snapshots list besides the board's document.
    listed: Mutex<BTreeMap<String, u64>>,
    /// What the board's next documents delegate.
    delegations: Mutex<Vec<Delegation>>,
    lives: Lives,
    /// Members of the board, and how many must sign.
    board: (usize, u16),
}

/// The data space of these tests.
pub(super) fn oncology() -> SpaceId {
    "oncology".parse().unwrap()
}

/// How long documents are valid, in hours. A timestamp: one.
pub(super) struct Lives {
    pub(super) root: i64,
    pub(super) targets: i64,
    pub(super) snapshot: i64,
}

#[async_trait::async_trait]
impl DocumentSource for World {
    async fn fetch(&self, path: &str, _bytes_max: u64) -> Result<Option<Vec<u8>>, SourceError> {
        match self.shelves.lock().unwrap().get(path) {
            None => Ok(None),
            Some(Some(bytes)) => Ok(Some(bytes.clone())),
            Some(None) => Err(SourceError::Unreachable {
                reason: "connection reset".to_owned(),
            }),
        }
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_lives(Lives {
            root: 1000,
            targets: 800,
            snapshot: 100,
        })
    }

    pub(super) fn with_lives(lives: Lives) -> Self {
        Self::founded(lives, (3, 2))
    }

    /// A board of five, of which three must sign.
    pub(super) fn of_five() -> Self {
        let lives = Lives {
            root: 1000,
            targets: 800,
            snapshot: 100,
        };
        Self::founded(lives, (5, 3))
    }

    fn founded(lives: Lives, board: (usize, u16)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self {
            folder,
            shelves: Mutex::default(),
            online: AtomicUsize::new(9),
            listed: Mutex::default(),
            delegations: Mutex::default(),
            lives,
            board,
        };
        let root = world.sign_root(1, &world.roles(), &world.quorum());
        SpaceStore::create(&world.folder("store"), &root).unwrap();
        world
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Opened anew each time: every step of a test is a restart.
    pub(super) fn store(&self) -> SpaceStore {
        SpaceStore::open(&self.folder("store")).unwrap()
    }

    fn try_store(&self) -> Result<SpaceStore, Problem> {
        SpaceStore::open(&self.folder("store")).map_err(|report| report.problem)
    }

    pub(super) fn signing_key(number: usize) -> SigningKey {
        SigningKey::from_seed(&[u8::try_from(number).unwrap() + 1; 32]).unwrap()
    }

    pub(super) fn key(&self, number: usize) -> PublicKey {
        Self::signing_key(number).public()
    }

    pub(super) fn roles(&self) -> BoardRoles {
        let board = RoleKeys {
            keys: (0..self.board.0).map(|n| self.key(n)).collect(),
            threshold: self.board.1,
        };
        let broker = RoleKeys {
            keys: vec![self.key(9)],
            threshold: 1,
        };
        BoardRoles {
            root: board.clone(),
            targets: board,
            snapshot: broker.clone(),
            timestamp: broker,
        }
    }

    /// As many of the board as must sign.
    pub(super) fn quorum(&self) -> Vec<usize> {
        (0..self.board.1.into()).collect()
    }

    pub(super) fn online_key(&self, number: usize) {
        self.online.store(number, Ordering::Relaxed);
    }

    fn sign(&self, draft: &Draft, signers: &[usize], name: &str) -> Vec<u8> {
        let signatures = signers.iter().map(|n| draft.sign(&Self::signing_key(*n))).collect();
        let document = draft.assemble(signatures);
        self.put(&metadata_path(name), document.clone());
        document
    }

    pub(super) fn sign_root(&self, version: u64, roles: &BoardRoles, signers: &[usize]) -> Vec<u8> {
        let draft = Draft::root(&oncology(), version, after(self.lives.root * HOUR), roles).unwrap();
        self.sign(&draft, signers, &format!("{version}.root.json"))
    }

    pub(super) fn sign_targets(&self, version: u64, files: &BTreeMap<String, Vec<u8>>, signers: &[usize]) -> Vec<u8> {
        for (name, bytes) in files {
            self.put(&target_path(name, &crate::Digest::of(bytes)), bytes.clone());
        }
        let delegations = self.delegations.lock().unwrap().clone();
        let expires = after(self.lives.targets * HOUR);
        let draft = Draft::targets(&oncology(), version, expires, files, &delegations).unwrap();
        self.sign(&draft, signers, &format!("{version}.targets.json"))
    }

    pub(super) fn sign_timestamp(&self, version: u64, snapshot: u64, seconds: i64) -> Vec<u8> {
        let snapshot = self.get(&format!("metadata/{snapshot}.snapshot.json"));
        let draft = Draft::timestamp(&oncology(), version, after(seconds), &snapshot).unwrap();
        self.sign(&draft, &[self.online.load(Ordering::Relaxed)], "timestamp.json")
    }

    /// The broker says that these versions are current.
    pub(super) fn publish(&self, targets: u64, snapshot: u64, timestamp: u64) {
        let mut versions = self.listed.lock().unwrap().clone();
        versions.insert("targets".to_owned(), targets);
        let expires = after(self.lives.snapshot * HOUR);
        let draft = Draft::snapshot(&oncology(), snapshot, expires, &versions).unwrap();
        self.sign(
            &draft,
            &[self.online.load(Ordering::Relaxed)],
            &format!("{snapshot}.snapshot.json"),
        );
        self.sign_timestamp(timestamp, snapshot, HOUR);
    }

    pub(super) fn publish_files(&self, version: u64, policy: &str) {
        self.sign_targets(version, &files(policy), &self.quorum());
        self.publish(version, version, version);
    }

    /// A targets document that no draft would make, signed and published all the same.
    pub(super) fn sign_edited_targets(&self, version: u64, edit: impl FnOnce(&mut Value)) {
        let plain = self.sign_targets(version, &files("a"), &[]);
        let signed = self.sign_edited(&plain, edit);
        self.put(&format!("metadata/{version}.targets.json"), signed);
        self.publish(version, version, version);
    }

    /// A root, signed as it must be, in which one person stands under two key ids and could sign alone from now on.
    pub(super) fn root_with_alias(&self, version: u64) -> Vec<u8> {
        let plain = self.sign_root(version, &self.roles(), &[]);
        let (own, alias) = (self.key(0).key_id(), "ab".repeat(32));
        let mut document: Value = serde_json::from_slice(&self.sign_edited(&plain, |root| {
            root["keys"][&alias] = root["keys"][&own].clone();
            for role in ["root", "targets"] {
                root["roles"][role]["keyids"]
                    .as_array_mut()
                    .unwrap()
                    .push(alias.clone().into());
            }
        }))
        .unwrap();
        let signatures = document["signatures"].as_array_mut().unwrap();
        let first = signatures.iter().find(|signature| signature["keyid"] == own.as_str());
        let mut second = first.unwrap().clone();
        second["keyid"] = alias.into();
        signatures.push(second);
        document.to_string().into_bytes()
    }

    /// A document that no draft would make, signed by two of the board.
    pub(super) fn sign_edited(&self, document: &[u8], edit: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut document: Value = serde_json::from_slice(document).unwrap();
        edit(&mut document["signed"]);
        sign_value(&document["signed"], &self.quorum())
    }

    /// From now on the board's documents delegate `role` to these keys, of which `threshold` must sign.
    pub(super) fn delegate(&self, role: DelegatedRole, keys: &[usize], threshold: u16) {
        let keys = keys.iter().map(|n| self.key(*n)).collect();
        let delegation = Delegation {
            role,
            keys: RoleKeys { keys, threshold },
        };
        let mut delegations = self.delegations.lock().unwrap();
        delegations.retain(|known| known.role != role);
        delegations.push(delegation);
    }

    /// From now on the board's documents delegate nothing.
    pub(super) fn undelegate(&self) {
        self.delegations.lock().unwrap().clear();
    }

    /// The document of a delegated role, signed and listed in the broker's next snapshot.
    pub(super) fn sign_delegated(
        &self,
        role: DelegatedRole,
        version: u64,
        (files, hours): (&BTreeMap<String, Vec<u8>>, i64),
        signers: &[usize],
    ) -> Vec<u8> {
        for (name, bytes) in files {
            self.put(&target_path(name, &crate::Digest::of(bytes)), bytes.clone());
        }
        let draft = Draft::delegated(&oncology(), &role, version, after(hours * HOUR), files).unwrap();
        self.list(role, version);
        self.sign(&draft, signers, &format!("{version}.{role}.json"))
    }

    /// The broker's next snapshots list this version of the role's document.
    pub(super) fn list(&self, role: DelegatedRole, version: u64) {
        self.listed.lock().unwrap().insert(role.to_string(), version);
    }

    pub(super) fn put(&self, path: &str, bytes: Vec<u8>) {
        self.shelves.lock().unwrap().insert(path.to_owned(), Some(bytes));
    }

    pub(super) fn get(&self, path: &str) -> Vec<u8> {
        self.shelves.lock().unwrap()[path].clone().unwrap()
    }

    pub(super) fn try_get(&self, path: &str) -> Option<Vec<u8>> {
        self.shelves.lock().unwrap().get(path).cloned().flatten()
    }

    pub(super) fn take(&self, path: &str) -> Vec<u8> {
        self.shelves.lock().unwrap().remove(path).unwrap().unwrap()
    }

    /// A client that starts now, from the first root.
    pub(super) fn newcomer(&self) -> Result<Documents, Report> {
        let folder = tempfile::tempdir().unwrap();
        let store = SpaceStore::create(folder.path(), &self.get("metadata/1.root.json"))?;
        block_on(refresh(self, &store, noon())).map(crate::Verified::into_inner)
    }

    pub(super) fn break_off(&self, path: &str) {
        self.shelves.lock().unwrap().insert(path.to_owned(), None);
    }

    /// Changes one digit, so that the document stays readable.
    pub(super) fn flip(&self, path: &str) {
        let mut bytes = self.get(path);
        let place = bytes.iter().rposition(u8::is_ascii_hexdigit).unwrap();
        bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
        self.put(path, bytes);
    }

    pub(super) fn refresh(&self, seconds: i64) -> Result<Documents, Report> {
        let store = SpaceStore::open(&self.folder("store"))?;
        let done = block_on(refresh(self, &store, after(seconds)));
        done.map(crate::Verified::into_inner)
    }

    pub(super) fn accept(&self, seconds: i64) -> Documents {
        self.refresh(seconds).unwrap()
    }

    pub(super) fn refuse(&self, seconds: i64) -> Problem {
        self.refresh(seconds).unwrap_err().problem
    }

    pub(super) fn last_good(&self, seconds: i64) -> Result<Documents, Problem> {
        let done = block_on(last_good(&self.try_store()?, after(seconds)));
        done.map(crate::Verified::into_inner).map_err(|report| report.problem)
    }
}

/// Anything at all, with the signatures of these keys.
pub(super) fn sign_value(signed: &Value, signers: &[usize]) -> Vec<u8> {
    // A number with a fraction has no canonical form; then it is signed as it is written.
    let canonical = sigstore_tuf::canonical_json::to_canonical_bytes(signed);
    let canonical = canonical.unwrap_or_else(|_| signed.to_string().into_bytes());
    let signature = |number: &usize| {
        let key = World::signing_key(*number);
        let sig = crate::digest::hex(key.sign(&canonical).bytes());
        serde_json::json!({ "keyid": key.public().key_id(), "sig": sig })
    };
    let signatures: Vec<Value> = signers.iter().map(signature).collect();
    serde_json::json!({ "signed": signed, "signatures": signatures })
        .to_string()
        .into_bytes()
}
