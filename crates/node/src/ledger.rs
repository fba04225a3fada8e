//! The ledger of a node: every query, how it ended and under which text, in a log that only grows.
//!
//! No record, no answer: an end of a query is on disk, under a signed checkpoint, before anybody is told. The log is a
//! Merkle tree (RFC 6962) over the entries, so that a changed, moved, missing or cut-off entry shows. An entry must never
//! hold a value from a dataset, released or not; answers that were released lie beside the log, for a day. It must never
//! go on after a failed write.
//!
//! Reading order: here, `entry.rs` (one query), `tally.rs` (what quotas are held against), `values.rs` (what was released before), `lockout.rs`
//! (who was refused too often), `writer.rs` (the thread),
//! `store.rs` (the file), `chain.rs` (the check), `record.rs` (what is kept), `outcome.rs` (what is told again),
//! `anchor.rs` (how far the log goes, kept elsewhere), `disk.rs` (whether there is room), `handover.rs` (a new key). Reading it as an outsider: [`crate::audit`].

pub(crate) mod anchor;
pub(crate) mod chain;
mod disk;
mod entry;
#[cfg(test)]
pub(crate) mod example;
mod handover;
mod lockout;
pub(crate) mod outcome;
pub(crate) mod record;
pub(crate) mod store;
mod tally;
mod values;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use engine::KeptValues;
use policy::{Asked, Caller};
use rusqlite::Connection;
use telemetry::Histogram;
use terms::{Clock, PermitId, Problem, Purpose, QueryId, Report, UtcTime};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use trust::{Digest, SigningKey};

pub use self::entry::{Begun, Decided, Entry, Opened, Permitted, Release};
pub use self::handover::HandedOver;
pub use self::outcome::{Named, RequestKey};
pub use self::record::{AuditCaller, AuditEntry, AuditPolicy, Outcome};
pub use self::writer::{LedgerState, LedgerStatus};

use self::anchor::Anchoring;
use self::disk::Disk;
use self::lockout::Refusals;
pub(crate) use self::outcome::{Kept, Told};
use self::store::Store;
use self::tally::Tally;
pub(crate) use self::tally::{Asking, Charge};
use self::writer::{Board, Job, unavailable};

/// Most queries that are open at the same time: one for each connection that a node takes.
const OPEN_ENTRIES_MAX: usize = terms::limit::CONNECTIONS_MAX;

/// Position of an entry in the log, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditIndex(pub u64);

impl fmt::Display for AuditIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known of a query when it is asked.
#[derive(Clone)]
pub struct Opening {
    /// The query.
    pub query_id: QueryId,
    /// Who asks; none if no credential held.
    pub caller: Option<Caller>,
    /// Digest of the whole query, as the caller's proof names it.
    pub query: Digest,
    /// The SQL text. What is longer than a node parses is cut.
    pub sql: String,
    /// What for.
    pub purpose: Option<Purpose>,
    /// Under which data permit.
    pub permit: Option<PermitId>,
    /// What the asker calls the request: then what is told of it is kept, to be told again. None for what happens beside
    /// the answering of a request, such as a refusal to tell again.
    pub named: Option<Named>,
}

/// A handle to the ledger of this process. Clones share one writer.
#[derive(Clone, Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    board: Arc<Board>,
    disk: Arc<Disk>,
    clock: Arc<dyn Clock>,
    tally: Mutex<Tally>,
    /// The values that this node released.
    kept_values: KeptValues,
    refusals: Arc<Refusals>,
    /// Reads what is kept of named requests. None once the ledger is closed.
    shelf: Mutex<Option<Connection>>,
    /// None once the ledger is closed.
    writer: Mutex<Option<Writer>>,
}

/// Where a ledger is.
#[derive(Clone, Debug)]
pub struct LedgerPlace {
    /// Its file.
    pub file: PathBuf,
    /// The file of its anchor.
    pub anchor: PathBuf,
}

#[derive(Debug)]
struct Writer {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
    anchoring: Anchoring,
}

impl Writer {
    fn start(store: Store, board: Arc<Board>, disk: Arc<Disk>, anchoring: Anchoring) -> Result<Self, Report> {
        let (jobs, waiting) = mpsc::channel(OPEN_ENTRIES_MAX);
        let thread = std::thread::Builder::new().name("ledger".to_owned());
        let thread = thread.spawn(move || writer::run(store, waiting, &board, &disk));
        let thread = thread.map_err(|error| Problem::Internal.report(format!("no thread for the ledger: {error}")))?;
        Ok(Self {
            jobs,
            thread,
            anchoring,
        })
    }

    /// Waits until all that is open is recorded and anchored.
    fn finish(self) {
        drop(self.jobs);
        if self.thread.join().is_err() {
            tracing::error!("the ledger's writer did not end in order");
        }
        self.anchoring.finish();
    }
}

impl Ledger {
    /// Opens the ledger at `place`, or creates it, and checks all of it. `origin` is the name of the log and of its key in
    /// checkpoints, such as `datenraum/oncology/gbsg`. Blocks for as long as reading the file takes.
    ///
    /// # Errors
    /// `E_AUDIT_BROKEN` if the file does not hold what its checkpoint signs or its anchor says, or another key signed it;
    /// `E_AUDIT_UNAVAILABLE` if another node uses it or the database does not work; `E_FILE_*` if it is not a ledger.
    pub fn open(
        place: LedgerPlace,
        origin: &str,
        key: Arc<SigningKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Ledger, Report> {
        let (mut tally, refusals, now) = (Tally::default(), Refusals::default(), clock.now());
        let LedgerPlace { file, anchor } = place;
        let store = Store::open(&file, &anchor, origin, key, |entry| {
            tally.recall(&entry, now);
            refusals.note(&entry, now);
        })?;
        let kept_values = store.values()?;
        let shelf = store::open_to_read(&file)?;
        let board = Arc::new(Board::new(&store));
        let anchoring = Anchoring::start(anchor, board.status().checkpoint, Arc::clone(&board))?;
        let disk = Arc::new(Disk::of(&file));
        let writer = Writer::start(store, Arc::clone(&board), Arc::clone(&disk), anchoring)?;
        Ok(Ledger {
            shared: Arc::new(Shared {
                board,
                disk,
                clock,
                tally: Mutex::new(tally),
                refusals: Arc::new(refusals),
                kept_values,
                shelf: Mutex::new(Some(shelf)),
                writer: Mutex::new(Some(writer)),
            }),
        })
    }

    /// What this node released before, to compare with what is about to leave.
    pub(crate) fn kept_values(&self) -> &KeptValues {
        &self.shared.kept_values
    }

    /// Opens an entry for a query that was asked. Nothing is on disk yet; every way in which the entry ends is.
    ///
    /// # Errors
    /// `E_AUDIT_UNAVAILABLE` if the ledger failed or is closed, or its disk is full: then the query is not looked at.
    /// `E_RESOURCES` if too many queries are open.
    pub fn open_entry(&self, opening: Opening) -> Result<Entry<Opened>, Report> {
        Ok(Entry::new(opening, &self.shared, self.place()?))
    }

    /// Opens an entry about an answer that has left already: a disk that is nearly full must not keep it from being recorded.
    ///
    /// # Errors
    /// As [`Ledger::open_entry`], but for the disk.
    pub(crate) fn open_entry_of_end(&self, opening: Opening) -> Result<Entry<Opened>, Report> {
        Ok(Entry::new(opening, &self.shared, self.place_in_queue()?))
    }

    /// A place in the writer's queue, for what begins: so only while the disk has room.
    fn place(&self) -> Result<mpsc::OwnedPermit<Job>, Report> {
        self.require_recording()?;
        self.shared.disk.require_room()?;
        self.place_in_queue()
    }

    fn place_in_queue(&self) -> Result<mpsc::OwnedPermit<Job>, Report> {
        self.require_recording()?;
        let place = self.shared.jobs().ok_or_else(unavailable)?.try_reserve_owned();
        place.map_err(|error| match error {
            TrySendError::Closed(_) => unavailable(),
            TrySendError::Full(_) => too_many(),
        })
    }

    /// Refuses everything once a write has failed.
    ///
    /// # Errors
    /// `E_AUDIT_UNAVAILABLE`.
    pub(crate) fn require_recording(&self) -> Result<(), Report> {
        match self.shared.board.state() {
            LedgerState::Recording => Ok(()),
            LedgerState::Failed => Err(unavailable()),
        }
    }

    /// Lets `decide` see how often was asked, and counts one more if it says so. Nobody else's query is counted meanwhile:
    /// as many as a quota lets through are allowed, however many come at the same time. What becomes of the query
    /// afterwards gives nothing back.
    ///
    /// # Errors
    /// `E_RESOURCES` if too many people asked within a week to remember one more.
    pub(crate) fn charge<T>(
        &self,
        asking: Asking<'_>,
        now: UtcTime,
        decide: impl FnOnce(Asked) -> (T, Charge),
    ) -> Result<T, Report> {
        self.shared.tally().charge(asking, now, decide)
    }

    /// How often the caller was allowed to ask about the collection, and anybody under the permit.
    pub(crate) fn asked(&self, asking: Asking<'_>, now: UtcTime) -> Asked {
        self.shared.tally().asked(asking, now)
    }

    /// Refuses whoever was refused too often within the last hour.
    ///
    /// # Errors
    /// `E_LOCKED_OUT`, which says until when; `E_RESOURCES` if too many others were.
    pub(crate) fn require_not_locked_out(&self, caller: &Caller, now: UtcTime) -> Result<(), Report> {
        self.shared.refusals.require_room(caller, now)
    }

    /// How a request of this name ended, if one did within a day.
    ///
    /// # Errors
    /// `E_AUDIT_UNAVAILABLE` if the ledger is closed or its database does not work.
    pub(crate) async fn kept(&self, key: RequestKey, now: UtcTime) -> Result<Option<Kept>, Report> {
        let shared = Arc::clone(&self.shared);
        let found = tokio::task::spawn_blocking(move || {
            let shelf = shared.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = shelf.as_ref().ok_or_else(unavailable)?;
            Ok(outcome::find(connection, &key, now)?)
        });
        found.await.unwrap_or_else(|_| Err(unavailable()))
    }

    /// What the disk says is free from now on; at 0 it takes nothing.
    #[cfg(test)]
    pub(crate) fn pretend_free(&self, bytes: Option<u64>) {
        *self.shared.disk.pretended.lock().unwrap() = bytes;
    }

    /// The log as it is on disk.
    pub fn status(&self) -> LedgerStatus {
        self.shared.board.status()
    }

    /// Waits until the ledger cannot record any more: then the node must end.
    ///
    /// Returns what is told meanwhile.
    pub async fn failed(&self) -> Report {
        self.shared.board.failed().cancelled().await;
        unavailable()
    }

    /// How long durable writes took.
    pub(crate) fn commit_seconds(&self) -> Histogram {
        self.shared.board.commit_seconds.clone()
    }

    /// Queries that are open, or wait to be recorded.
    pub(crate) fn open_entries(&self) -> usize {
        let jobs = self.shared.jobs();
        jobs.map_or(0, |jobs| OPEN_ENTRIES_MAX - jobs.capacity())
    }

    /// Takes no more entries, waits until every open one has ended and is recorded, and lets the file go.
    pub async fn close(&self) {
        let writer = self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        drop(self.shared.shelf.lock().unwrap_or_else(PoisonError::into_inner).take());
        if tokio::task::spawn_blocking(|| writer.finish()).await.is_err() {
            tracing::error!("the ledger was not closed in order");
        }
    }
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn jobs(&self) -> Option<mpsc::Sender<Job>> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.as_ref().map(|writer| writer.jobs.clone())
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the SQL text nor who asks.
        f.debug_struct("Opening")
            .field("query_id", &self.query_id)
            .finish_non_exhaustive()
    }
}

fn too_many() -> Report {
    Problem::Resources
        .report(format!("{OPEN_ENTRIES_MAX} queries are open at this node"))
        .remedy("ask again when others have finished")
}

/// The text, or as many whole characters of it as fit.
fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

#[cfg(test)]
mod tests;
