//! A ledger in a folder of its own, for the tests of `ledger` and `audit`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use terms::{Clock, CollectionId, Problem, Purpose, Report, UtcTime};
use trust::{Checkpoint, Digest, PublicKey, Receipt, SigningKey, Verified};

use crate::ledger::{AuditIndex, Entry, Ledger, LedgerPlace, Opened, Opening, Permitted, Release};

pub(crate) const ORIGIN: &str = "datenraum/oncology/gbsg";

/// A clock that goes on by a tenth of a second each time somebody looks.
#[derive(Debug, Default)]
pub(crate) struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> UtcTime {
        let ticks = self.0.fetch_add(1, Ordering::Relaxed);
        UtcTime::from_millisecond(1_900_000_000_000 + ticks * 100).unwrap()
    }
}

/// A ledger file and its key.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    key: Arc<SigningKey>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            key: Arc::new(SigningKey::generate().unwrap()),
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ledger.sqlite")
    }

    pub(crate) fn anchor(&self) -> PathBuf {
        self.folder.path().join("ledger.anchor")
    }

    pub(crate) fn place(&self) -> LedgerPlace {
        LedgerPlace {
            file: self.file(),
            anchor: self.anchor(),
        }
    }

    pub(crate) fn key(&self) -> PublicKey {
        self.key.public()
    }

    pub(crate) fn signing_key(&self) -> Arc<SigningKey> {
        Arc::clone(&self.key)
    }

    /// From now on the node has this key.
    pub(crate) fn use_key(&mut self, key: &Arc<SigningKey>) {
        self.key = Arc::clone(key);
    }

    /// A checkpoint of another log, signed with this key under this log's name.
    pub(crate) fn sign(&self, origin: &str, size: u64) -> String {
        let root = trust::Frontier::default().root();
        Checkpoint {
            origin: origin.to_owned(),
            size,
            root,
        }
        .sign(ORIGIN, &self.key)
        .unwrap()
    }

    /// What this node signs, right or wrong.
    pub(crate) fn seal(&self, receipt: &Receipt) -> Verified<Receipt> {
        Receipt::open(&receipt.seal(&self.key).unwrap(), &self.key()).unwrap()
    }

    pub(crate) fn open(&self) -> Result<Ledger, Report> {
        Ledger::open(
            self.place(),
            ORIGIN,
            Arc::clone(&self.key),
            Arc::new(Ticking::default()),
        )
    }

    /// A second ledger of the same node and key, elsewhere: what somebody writes who wants to replace the first.
    pub(crate) fn forgery(&self) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            key: Arc::clone(&self.key),
        }
    }

    /// The file as it is on disk now: what is left if the machine stops here.
    pub(crate) fn copy(&self) -> Self {
        let copy = self.forgery();
        for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.anchor"] {
            let from = self.folder.path().join(name);
            if from.exists() {
                std::fs::copy(from, copy.folder.path().join(name)).unwrap();
            }
        }
        copy
    }

    /// Runs SQL on the file, as somebody does who has it.
    pub(crate) fn tamper(&self, sql: &str) {
        rusqlite::Connection::open(self.file())
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }

    /// Takes the leaf `index` and stores what `change` makes of it, with the hash that fits.
    pub(crate) fn rewrite(&self, index: i64, change: impl FnOnce(String) -> String) {
        let connection = rusqlite::Connection::open(self.file()).unwrap();
        let leaf: Vec<u8> = connection
            .query_row("SELECT leaf FROM entry WHERE idx = ?1", (index,), |r| r.get(0))
            .unwrap();
        let leaf = change(String::from_utf8(leaf).unwrap()).into_bytes();
        let hash = trust::merkle::leaf_hash(&leaf);
        let update = "UPDATE entry SET leaf = ?2, leaf_hash = ?3 WHERE idx = ?1";
        connection.execute(update, (index, leaf, &hash[..])).unwrap();
    }

    /// A closed ledger of this many released queries.
    pub(crate) async fn with_released(entries: u64) -> Self {
        let place = Self::new();
        place.release(entries).await;
        place
    }

    /// Adds released queries and closes.
    pub(crate) async fn release(&self, entries: u64) -> String {
        let ledger = self.open().unwrap();
        for number in 0..entries {
            release(&ledger, &format!("SELECT {number}")).await.unwrap();
        }
        let checkpoint = ledger.status().checkpoint;
        ledger.close().await;
        checkpoint
    }
}

pub(crate) fn opening(sql: &str) -> Opening {
    Opening {
        query_id: "q-1".parse().unwrap(),
        caller: Some(policy::Caller {
            member: "saarland-university".parse().unwrap(),
            person: "ada".parse().unwrap(),
            roles: ["university".parse().unwrap()].into(),
        }),
        query: Digest::of(sql.as_bytes()),
        sql: sql.to_owned(),
        purpose: Some(Purpose::Statistics),
        permit: None,
        named: None,
    }
}

pub(crate) fn ask(ledger: &Ledger, sql: &str) -> Entry<Opened> {
    ledger.open_entry(opening(sql)).unwrap()
}

/// A whole query that ends in a release.
pub(crate) async fn release(ledger: &Ledger, sql: &str) -> Result<AuditIndex, Report> {
    let entry = ledger.open_entry(opening(sql))?;
    let entry = entry.about(&collection()).decided(permitted());
    Ok(entry.released(leaving(7)).await?.0)
}

/// An answer of so many numbers.
pub(crate) fn leaving(rows: u64) -> Release {
    let permitted = permitted();
    let receipt = Receipt {
        query_id: "q-1".parse().unwrap(),
        request: None,
        node: "gbsg".parse().unwrap(),
        space: "oncology".parse().unwrap(),
        query: Digest::of(b"query"),
        policy: permitted.policy,
        policy_version: permitted.version,
        policy_digest: permitted.policy_digest,
        permit: permitted.permit,
        rule: permitted.rule,
        joined: permitted.joined,
        data: Vec::new(),
        min_people: None,
        duties: permitted.duties,
        rows,
        blanked_values: 1,
        kept_values: 0,
        round_to: None,
        result: Digest::of(b"result"),
        audit_index: 0,
        at: UtcTime::UNIX_EPOCH,
    };
    Release {
        values: Vec::new(),
        receipt,
        bytes: rows * 8,
        terms: Digest::of(b"terms"),
        answer: None,
    }
}

pub(crate) fn collection() -> CollectionId {
    "breast-cancer".parse().unwrap()
}

pub(crate) fn permitted() -> Permitted {
    Permitted {
        policy: "research".parse().unwrap(),
        version: 3,
        policy_digest: Digest::of(b"policy"),
        rule: "statistics".parse().unwrap(),
        joined: Vec::new(),
        permit: None,
        duties: vec!["delete within 30 days".to_owned()],
    }
}

pub(crate) fn refusal() -> Report {
    Problem::Prohibited.report("a prohibition covers the request")
}
