//! A signed data space whose broker is a map in memory.

use std::collections::BTreeMap;

use futures::executor::block_on;
use terms::{SpaceId, UtcTime};
use trust::tuf::{metadata_path, target_path};
use trust::{
    BoardRoles, Digest, DocumentSource, Documents, Draft, RoleKeys, SigningKey, SourceError, SpaceStore, Verified,
    refresh,
};

pub(crate) struct Signed {
    shelves: BTreeMap<String, Vec<u8>>,
    store: SpaceStore,
    now: UtcTime,
    _folder: tempfile::TempDir,
}

#[async_trait::async_trait]
impl DocumentSource for Signed {
    async fn fetch(&self, path: &str, _bytes_max: u64) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.shelves.get(path).cloned())
    }
}

impl Signed {
    /// Signs files as a board of one whose key is the broker's too.
    pub(crate) fn new(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let space: SpaceId = "bench".parse().unwrap();
        let (board, broker) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let role = |key: &SigningKey| RoleKeys {
            keys: vec![key.public()],
            threshold: 1,
        };
        let roles = BoardRoles {
            root: role(&board),
            targets: role(&board),
            snapshot: role(&broker),
            timestamp: role(&broker),
        };
        let now: UtcTime = "2026-11-21T12:00:00Z".parse().unwrap();
        let expires: UtcTime = "2026-11-21T12:30:00Z".parse().unwrap();
        let sign = |draft: &Draft, key: &SigningKey| draft.assemble(vec![draft.sign(key)]);
        let root = sign(&Draft::root(&space, 1, expires, &roles).unwrap(), &board);
        let targets = sign(&Draft::targets(&space, 1, expires, files, &[]).unwrap(), &board);
        let versions = [("targets".to_owned(), 1)].into();
        let snapshot = sign(&Draft::snapshot(&space, 1, expires, &versions).unwrap(), &broker);
        let timestamp = sign(&Draft::timestamp(&space, 1, expires, &snapshot).unwrap(), &broker);
        let mut shelves: BTreeMap<String, Vec<u8>> = files
            .iter()
            .map(|(name, bytes)| (target_path(name, &Digest::of(bytes)), bytes.clone()))
            .collect();
        let documents = [
            ("1.root.json", root.clone()),
            ("1.targets.json", targets),
            ("1.snapshot.json", snapshot),
            ("timestamp.json", timestamp),
        ];
        shelves.extend(documents.map(|(name, bytes)| (metadata_path(name), bytes)));
        let folder = tempfile::tempdir().unwrap();
        let store = SpaceStore::create(&folder.path().join("store"), &root).unwrap();
        Self {
            shelves,
            store,
            now,
            _folder: folder,
        }
    }

    /// Fetches and verifies everything, and stores it durably.
    pub(crate) fn verify(&self) -> Verified<Documents> {
        block_on(refresh(self, &self.store, self.now)).unwrap()
    }
}
