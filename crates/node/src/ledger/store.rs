//! The ledger's SQLite file: opened only if what it holds verifies, and appended to in whole transactions.
//!
//! Entries and the checkpoint that signs them are written together, so the file never holds one without the other.
//! Nothing here updates or deletes an entry. An error of SQLite is told by its code only: its messages quote values.
//! Next: `writer.rs`, which owns the one [`Store`] of a process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::KeptValues;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};
use terms::{Problem, Report};
use trust::merkle::{Hash, leaf_hash};
use trust::{Checkpoint, CheckpointError, EnvelopeError, Frontier, SigningKey, Verified};

use crate::ledger::anchor;
use crate::ledger::chain::{Chain, ChainError, OTHER_KEY_REMEDY, Signer};
use crate::ledger::outcome::{self, Room};
use crate::ledger::record::AuditEntry;
use crate::ledger::values;
use crate::ledger::writer::{End, Job};

/// The form of the file, in `user_version`. Each has entries that the one before does not know; form 3
/// has the tables of `outcome.rs` and `values.rs` too, which are no part of the log; form 4, answers that begin and end;
/// form 5, queries that were only foreseen.
const SCHEMA_VERSION: i64 = 5;

/// Since this form a ledger with entries has an anchor. One of an older form gets it when it is opened.
const ANCHORED_VERSION: i64 = 3;

/// The oldest form that is read, and that becomes the newest as soon as it is written to.
const SCHEMA_VERSION_OLDEST: i64 = 1;

/// Every commit waits for the disk, and answers that are forgotten are overwritten. What SQLite would carry from its journal into the
/// file after a commit by itself, it would not say the failure of.
const PRAGMAS: &str = "
    PRAGMA trusted_schema = OFF; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA secure_delete = ON;
    PRAGMA wal_autocheckpoint = 0;";

/// After about so many bytes the journal is carried into the file, which costs two syncs.
const JOURNAL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// About so many bytes of the journal one transaction takes beside the answers in it: the pages that every one of them changes.
const JOURNAL_BYTES_EACH: usize = 32 * 1024;

const SCHEMA: &str = "
    CREATE TABLE entry (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, leaf_hash BLOB NOT NULL) STRICT;
    CREATE TABLE checkpoint (id INTEGER PRIMARY KEY CHECK (id = 1), note TEXT NOT NULL) STRICT;
    PRAGMA user_version = 5;";

/// Why a ledger file cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the ledger {} cannot be opened: {kind}", path.display())]
    File { path: PathBuf, kind: io::ErrorKind },
    #[error("the ledger {} is in use by another node", path.display())]
    InUse { path: PathBuf },
    #[error("the ledger {} is not a ledger of a node", path.display())]
    NotALedger { path: PathBuf },
    #[error("the ledger {} has the form {version}, and this program writes {SCHEMA_VERSION}", path.display())]
    OtherVersion { path: PathBuf, version: i64 },
    #[error("the ledger's anchor {} cannot be read or written: {kind}", path.display())]
    AnchorFile { path: PathBuf, kind: io::ErrorKind },
    #[error("the ledger is not the one that its anchor {} is of: {error}", path.display())]
    Anchor { path: PathBuf, error: ChainError },
    #[error("the ledger has {entries} entries, and its anchor {} is not there", path.display())]
    NoAnchor { path: PathBuf, entries: u64 },
    #[error("the ledger's database does not work: {}", reason(.0))]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("the ledger's checkpoint cannot be signed: {0}")]
    Sign(#[from] CheckpointError),
    #[error("a receipt cannot be signed: {0}")]
    Seal(#[from] EnvelopeError),
    #[error("an entry cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("what is kept of a request is not what a node keeps")]
    Outcome,
    #[error("what is kept of released values is not what a node keeps")]
    Values,
}

impl StoreError {
    /// Whether all that is wrong is that the disk has no room: then nothing of the transaction is there, and the file is as it was.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, StoreError::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }
}

impl From<StoreError> for Report {
    fn from(error: StoreError) -> Report {
        let text = error.to_string();
        match error {
            StoreError::File { .. } => Problem::FileMissing.report(text),
            StoreError::InUse { .. } => Problem::AuditUnavailable
                .report(text)
                .remedy("stop the other node, or give this one its own data folder"),
            StoreError::NotALedger { .. } => Problem::FileValue
                .report(text)
                .remedy("name the file that the node wrote"),
            StoreError::OtherVersion { .. } => Problem::FileValue
                .report(text)
                .remedy("use the version of datenraum that wrote the file, or a newer one"),
            StoreError::Sqlite(error) if is_corrupt(&error) => Problem::AuditBroken.report(text),
            StoreError::Sqlite(_) => Problem::AuditUnavailable.report(text),
            StoreError::Chain(error) => error.into(),
            StoreError::AnchorFile { .. } => Problem::AuditUnavailable
                .report(text)
                .remedy("check the disk and the permissions of the anchor's folder, then start the node again"),
            StoreError::Anchor { error, .. } if error.is_another_key() => {
                Problem::AuditBroken.report(text).remedy(OTHER_KEY_REMEDY)
            }
            StoreError::Anchor { .. } | StoreError::NoAnchor { .. } => Problem::AuditBroken.report(text).remedy(
                "keep both files as evidence and find out who changed them; then put back the ledger and the anchor that \
                 belong together. After restoring an older ledger on purpose, write its anchor anew as the operators' \
                 guide says",
            ),
            StoreError::Outcome | StoreError::Values => Problem::AuditBroken.report(text),
            StoreError::Sign(_) | StoreError::Seal(_) | StoreError::Json(_) => Problem::Internal.report(text),
        }
    }
}

/// What an error of SQLite may say: its code.
fn reason(error: &rusqlite::Error) -> String {
    match error.sqlite_error() {
        Some(code) => format!("{:?} (SQLite {})", code.code, code.extended_code),
        None => "it does not have the expected content".to_owned(),
    }
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    // `Unknown` is what SQLite says of a table or column that is not there.
    let code = error.sqlite_error_code();
    matches!(
        code,
        None | Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown)
    )
}

/// An open ledger file. One per process, and one process per file.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    origin: String,
    key: Arc<SigningKey>,
    frontier: Frontier,
    note: String,
    room: Room,
    /// About so many bytes are in the journal only.
    journal_bytes: usize,
    /// Held for as long as the file may be written.
    _lock: File,
}

impl Store {
    /// Opens or creates the file, and checks every entry in it against its checkpoint and its anchor. `each` sees them
    /// all. Afterwards the anchor says how far the log goes.
    pub(super) fn open(
        path: &Path,
        anchor: &Path,
        origin: &str,
        key: Arc<SigningKey>,
        each: impl FnMut(AuditEntry),
    ) -> Result<Store, StoreError> {
        let lock = lock(path)?;
        create_private(path)?;
        let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch(PRAGMAS)?;
        let signer = Signer {
            origin,
            key: &key.public(),
        };
        let version = schema_version(&connection, path)?;
        let anchored = Anchored::read(anchor, signer)?;
        if version == 0 {
            anchored.require_no_entries()?;
            create(&mut connection, origin, &key)?;
        }
        let chain = Chain::against(anchored.checkpoint.clone());
        let checked = read(&mut connection, chain, each).and_then(|(chain, note)| {
            chain.end(&note, signer)?;
            Ok((chain, note))
        });
        let (chain, note) = checked.map_err(|error| anchored.explain(error))?;
        if version >= ANCHORED_VERSION {
            anchored.require_for(&chain)?;
        }
        anchor::write(anchor, &note)?;
        connection.execute_batch(outcome::SCHEMA)?;
        connection.execute_batch(values::SCHEMA)?;
        connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        Ok(Store {
            room: Room::in_file(&connection)?,
            journal_bytes: 0,
            connection,
            origin: origin.to_owned(),
            key,
            frontier: chain.frontier,
            note,
            _lock: lock,
        })
    }

    /// Appends finished queries and the checkpoint over them, and what was told of those that have a name: durably, and
    /// all or none. Their indexes are set here, and receipts signed, which name them.
    pub(super) fn append(&mut self, jobs: &mut [Job]) -> Result<(), StoreError> {
        let (mut frontier, mut room) = (self.frontier.clone(), self.room);
        let mut journal_bytes = self.journal_bytes + JOURNAL_BYTES_EACH;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(job) = jobs.first() {
            room.forget(&transaction, job.entry.at)?;
        }
        for job in jobs {
            job.entry.index = frontier.size();
            if let End::Release(release) = &mut job.end {
                release.receipt.audit_index = job.entry.index;
                job.receipt = Some(release.receipt.seal(&self.key)?);
            }
            frontier.append(insert(&transaction, &job.entry)?);
            room.keep(&transaction, job)?;
            values::keep(&transaction, job)?;
            journal_bytes += job.end.answer().map_or(0, <[u8]>::len);
        }
        let note = sign(&frontier, &self.origin, &self.key)?;
        transaction
            .prepare_cached("UPDATE checkpoint SET note = ?1 WHERE id = 1")?
            .execute((&note,))?;
        transaction.commit()?;
        (self.frontier, self.note, self.room, self.journal_bytes) = (frontier, note, room, journal_bytes);
        self.carry_journal()
    }

    /// Signs the head of the log with another key too. Kept answers, whose receipts our key signed, are let go; that they were given
    /// stays known.
    pub(super) fn hand_over(&mut self, to: &SigningKey) -> Result<(), StoreError> {
        let head = head(&self.frontier, &self.origin);
        let note = head.sign(&self.origin, &self.key)? + &head.signature(&self.origin, to)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        outcome::forget_answers(&transaction)?;
        transaction.execute("UPDATE checkpoint SET note = ?1 WHERE id = 1", (&note,))?;
        transaction.commit()?;
        self.note = note;
        Ok(())
    }

    /// Carries what is in the journal into the file, once there is enough of it.
    fn carry_journal(&mut self) -> Result<(), StoreError> {
        if self.journal_bytes < JOURNAL_BYTES_MAX {
            return Ok(());
        }
        let carried = self
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()));
        match carried.map_err(StoreError::from) {
            Ok(()) => self.journal_bytes = 0,
            // All is in the journal still; tried again with the next transaction.
            Err(error) if error.is_full() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The values that were released before.
    pub(super) fn values(&self) -> Result<KeptValues, StoreError> {
        values::recall(&self.connection)
    }

    /// Entries, root and signed checkpoint, as they are on disk.
    pub(super) fn head(&self) -> (u64, Hash, String) {
        (self.frontier.size(), self.frontier.root(), self.note.clone())
    }
}

/// What an anchor says of the log.
struct Anchored<'a> {
    path: &'a Path,
    checkpoint: Option<Verified<Checkpoint>>,
}

impl<'a> Anchored<'a> {
    fn read(path: &'a Path, signer: Signer<'_>) -> Result<Self, StoreError> {
        let note = anchor::read(path)?;
        let checkpoint = note.map(|note| signer.checkpoint(&note)).transpose();
        let checkpoint = checkpoint.map_err(|error| StoreError::Anchor {
            path: path.to_owned(),
            error,
        })?;
        Ok(Self { path, checkpoint })
    }

    /// A log that is to begin cannot be anchored further on.
    fn require_no_entries(&self) -> Result<(), StoreError> {
        match self.checkpoint.as_ref().map(|anchored| anchored.size) {
            None | Some(0) => Ok(()),
            Some(known) => Err(self.explain(ChainError::ShorterThanKnown { entries: 0, known }.into())),
        }
    }

    fn require_for(&self, chain: &Chain) -> Result<(), StoreError> {
        let entries = chain.next_index();
        if entries == 0 || self.checkpoint.is_some() {
            return Ok(());
        }
        let path = self.path.to_owned();
        Err(StoreError::NoAnchor { path, entries })
    }

    /// Says of an error that the anchor found it.
    fn explain(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Chain(error @ (ChainError::ShorterThanKnown { .. } | ChainError::UnlikeKnown { .. })) => {
                let path = self.path.to_owned();
                StoreError::Anchor { path, error }
            }
            other => other,
        }
    }
}

/// Inserts an entry. Gives back the hash of its leaf.
fn insert(transaction: &Transaction<'_>, entry: &AuditEntry) -> Result<Hash, StoreError> {
    let leaf = entry.leaf()?;
    let hash = leaf_hash(&leaf);
    transaction
        .prepare_cached("INSERT INTO entry (idx, leaf, leaf_hash) VALUES (?1, ?2, ?3)")?
        .execute((entry.index.cast_signed(), &leaf, &hash[..]))?;
    Ok(hash)
}

/// Opens a ledger file to read it, whether a node is running on it or not.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let about = std::fs::metadata(path);
    about.map_err(|error| StoreError::File {
        path: path.to_owned(),
        kind: error.kind(),
    })?;
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.execute_batch("PRAGMA trusted_schema = OFF;")?;
    match schema_version(&connection, path)? {
        0 => Err(StoreError::NotALedger { path: path.to_owned() }),
        _ => Ok(connection),
    }
}

/// Reads one state of the whole log, and its checkpoint. Checks every leaf; the caller checks the end.
pub(crate) fn read(
    connection: &mut Connection,
    mut chain: Chain,
    mut each: impl FnMut(AuditEntry),
) -> Result<(Chain, String), StoreError> {
    let snapshot = connection.transaction()?;
    for_each_leaf(&snapshot, |index, leaf, stored| {
        if index != chain.next_index().cast_signed() {
            return Err(StoreError::Chain(ChainError::Missing {
                index: chain.next_index(),
            }));
        }
        each(chain.push_stored(leaf, stored)?);
        Ok(())
    })?;
    let note = stored_note(&snapshot)?;
    Ok((chain, note))
}

/// Gives the stored leaves in order, unchecked: number, bytes, and the hash that was stored with them.
pub(crate) fn for_each_leaf<E: From<StoreError>>(
    snapshot: &Connection,
    mut each: impl FnMut(i64, &[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let sqlite = |error: rusqlite::Error| E::from(StoreError::from(error));
    let mut select = snapshot
        .prepare("SELECT idx, leaf, leaf_hash FROM entry ORDER BY idx")
        .map_err(sqlite)?;
    let mut rows = select.query(()).map_err(sqlite)?;
    while let Some(row) = rows.next().map_err(sqlite)? {
        // STRICT tables hold blobs here. Whatever else is found has no bytes, and so not the stored hash.
        let leaf = row.get_ref(1).map_err(sqlite)?.as_bytes().unwrap_or_default();
        let stored = row.get_ref(2).map_err(sqlite)?.as_bytes().unwrap_or_default();
        each(row.get(0).map_err(sqlite)?, leaf, stored)?;
    }
    Ok(())
}

/// The stored hashes of the leaves from one number to another, unchecked.
pub(crate) fn leaf_hashes(snapshot: &Connection, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
    let mut select = snapshot.prepare("SELECT leaf_hash FROM entry WHERE idx >= ?1 AND idx < ?2 ORDER BY idx")?;
    let hashes = select.query_map((from.cast_signed(), to.cast_signed()), |row| row.get(0))?;
    Ok(hashes.collect::<rusqlite::Result<Vec<Hash>>>()?)
}

/// The signed note that the log ends with.
pub(crate) fn stored_note(snapshot: &Connection) -> Result<String, StoreError> {
    let note = snapshot
        .query_row("SELECT note FROM checkpoint WHERE id = 1", (), |row| row.get(0))
        .optional()?;
    note.ok_or(StoreError::Chain(ChainError::NoCheckpoint))
}

/// 0 for a file in which nothing is yet.
fn schema_version(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let version: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    match version {
        SCHEMA_VERSION_OLDEST..=SCHEMA_VERSION => Ok(version),
        0 if tables == 0 => Ok(0),
        0 => Err(StoreError::NotALedger { path: path.to_owned() }),
        _ => Err(StoreError::OtherVersion {
            path: path.to_owned(),
            version,
        }),
    }
}

/// Makes a new file a ledger: empty, and signed as empty, so that a ledger without a checkpoint is never right.
fn create(connection: &mut Connection, origin: &str, key: &SigningKey) -> Result<(), StoreError> {
    connection.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(()))?;
    let note = sign(&Frontier::default(), origin, key)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute("INSERT INTO checkpoint (id, note) VALUES (1, ?1)", (&note,))?;
    Ok(transaction.commit()?)
}

fn sign(frontier: &Frontier, origin: &str, key: &SigningKey) -> Result<String, CheckpointError> {
    head(frontier, origin).sign(origin, key)
}

fn head(frontier: &Frontier, origin: &str) -> Checkpoint {
    Checkpoint {
        origin: origin.to_owned(),
        size: frontier.size(),
        root: frontier.root(),
    }
}

/// Keeps a second node off the file. A file of its own, because closing any handle of the database itself would drop
/// SQLite's locks on it.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let unusable = |error: io::Error| StoreError::File {
        path: path.to_owned(),
        kind: error.kind(),
    };
    let file = private().create(true).truncate(false).open(name).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// Creates the file, for its owner only, if there is none. SQLite gives its other files the same mode.
pub(crate) fn create_private(path: &Path) -> Result<(), StoreError> {
    match private().create_new(true).open(path).and_then(|_| sync_folder(path)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(StoreError::File {
            path: path.to_owned(),
            kind: error.kind(),
        }),
        _ => Ok(()),
    }
}

/// Makes the name of a new file durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) && !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        Some(_) if cfg!(unix) => File::open(".")?.sync_all(),
        _ => Ok(()),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::example::ORIGIN;

    #[test]
    fn a_commit_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let key = Arc::new(SigningKey::generate().unwrap());
        let path = folder.path().join("ledger.sqlite");
        for _ in ["new", "opened again"] {
            let anchor = folder.path().join("ledger.anchor");
            let store = Store::open(&path, &anchor, ORIGIN, Arc::clone(&key), |_| ()).unwrap();
            let pragma = |name: &str| {
                store
                    .connection
                    .query_row(&format!("PRAGMA {name}"), (), |row| row.get(0))
            };
            const FULL: i64 = 2;
            assert_eq!(pragma("synchronous"), Ok(FULL));
            let mode: String = store
                .connection
                .query_row("PRAGMA journal_mode", (), |row| row.get(0))
                .unwrap();
            assert_eq!(mode, "wal");
        }
    }
}
