//! The one thread that writes the ledger. It takes all that is waiting, writes it in one transaction with one sync, and
//! then answers each: so many queries cost hardly more than one.
//!
//! After an error it never writes again, and the node ends: what a disk holds after a failed sync is not known, and a
//! second try that succeeds would prove nothing. Only that there is no room is no such error: the system says so before
//! anything is synced, and nothing of the transaction stays. How an answer ended whose beginning is in the file is then written as soon
//! as there is room. Next: `store.rs`, the file.

use engine::KeptValue;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use telemetry::Histogram;
use terms::{Problem, Report};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use trust::{Digest, Envelope};

use crate::ledger::AuditIndex;
use crate::ledger::disk::Disk;
use crate::ledger::entry::Release;
use crate::ledger::outcome::Named;
use crate::ledger::record::{AuditEntry, Outcome};
use crate::ledger::store::{Store, StoreError};

/// Most entries in one transaction: beyond some hundred the sync is no longer what costs, and the first would wait for
/// the last.
const BATCH_ENTRIES_MAX: usize = 512;

/// A finished query on its way to the file.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) entry: AuditEntry,
    /// What its asker calls it, if anything.
    pub(super) named: Option<Named>,
    /// What will be told.
    pub(super) end: End,
    /// The receipt of a release, signed when its index is known.
    pub(super) receipt: Option<Envelope>,
    /// Told when it is durable. Nobody waits for an abandoned query.
    pub(super) done: Option<oneshot::Sender<Result<Recorded, Report>>>,
}

/// What will be told of a finished query.
#[derive(Debug)]
pub(super) enum End {
    /// Nothing: nobody waits.
    Nothing,
    /// Why there is no answer.
    Report(Report),
    /// Something begins to leave: rows, or the sums of a fit, with what is kept of whom it is about.
    Begun(Vec<KeptValue>),
    /// An answer.
    Release(Box<Release>),
}

impl End {
    pub(super) fn answer(&self) -> Option<&[u8]> {
        match self {
            End::Release(release) => release.answer.as_deref(),
            End::Nothing | End::Report(_) | End::Begun(_) => None,
        }
    }

    /// What is kept of the values that leave.
    pub(super) fn values(&self) -> &[KeptValue] {
        match self {
            End::Release(release) => &release.values,
            End::Begun(values) => values,
            End::Nothing | End::Report(_) => &[],
        }
    }
}

/// A query that is on disk.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) index: AuditIndex,
    /// The receipt, if it was released.
    pub(super) receipt: Option<Envelope>,
}

/// Whether the ledger takes entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerState {
    /// It records.
    Recording,
    /// A write failed. It stays so until the node is started again, and the node ends.
    Failed,
}

/// The log as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerStatus {
    /// Whether it takes entries.
    pub state: LedgerState,
    /// Entries in the log.
    pub entries: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// The signed note that says so.
    pub checkpoint: String,
    /// Transactions since the ledger was opened.
    #[cfg(test)]
    pub(super) commits: u64,
}

/// The status, which the writer sets and everybody reads.
#[derive(Debug)]
pub(super) struct Board {
    status: Mutex<LedgerStatus>,
    failed: CancellationToken,
    /// How long durable writes took.
    pub(super) commit_seconds: Histogram,
}

impl Board {
    pub(super) fn new(store: &Store) -> Self {
        let (entries, root, checkpoint) = store.head();
        let status = LedgerStatus {
            state: LedgerState::Recording,
            entries,
            root: Digest::from_bytes(root),
            checkpoint,
            #[cfg(test)]
            commits: 0,
        };
        Self {
            status: Mutex::new(status),
            failed: CancellationToken::new(),
            commit_seconds: Histogram::new(telemetry::SECONDS),
        }
    }

    pub(super) fn status(&self) -> LedgerStatus {
        self.lock().clone()
    }

    pub(super) fn state(&self) -> LedgerState {
        self.lock().state
    }

    fn committed(&self, store: &Store) {
        let (entries, root, checkpoint) = store.head();
        let mut status = self.lock();
        (status.entries, status.root, status.checkpoint) = (entries, Digest::from_bytes(root), checkpoint);
        #[cfg(test)]
        {
            status.commits += 1;
        }
    }

    /// Cancelled when the ledger cannot record any more.
    pub(super) fn failed(&self) -> &CancellationToken {
        &self.failed
    }

    fn fail(&self) {
        self.lock().state = LedgerState::Failed;
        self.failed.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, LedgerStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes until nobody can send any more, and then what is still owed.
pub(super) fn run(store: Store, mut jobs: mpsc::Receiver<Job>, board: &Board, disk: &Disk) {
    let mut store = Some(store);
    // At its front, what there was no room for before.
    let mut waiting = Vec::new();
    while jobs.blocking_recv_many(&mut waiting, BATCH_ENTRIES_MAX) > 0 {
        write_all(&mut store, &mut waiting, board, disk);
    }
    if !waiting.is_empty() {
        write_all(&mut store, &mut waiting, board, disk);
    }
    for job in waiting {
        tracing::error!(query_id = %job.entry.query_id, "how an answer ended that had begun is not recorded");
    }
}

fn write_all(store: &mut Option<Store>, waiting: &mut Vec<Job>, board: &Board, disk: &Disk) {
    let outcome = match store {
        Some(open) => write(open, waiting, board, disk),
        None => Err(unavailable()),
    };
    if board.state() == LedgerState::Failed {
        *store = None;
    }
    let told = std::mem::take(waiting);
    let owed = told.into_iter().filter_map(|job| answer(job, &outcome));
    // What a ledger that failed holds, its next start finds.
    waiting.extend(owed.filter(|_| store.is_some()));
}

fn write(store: &mut Store, waiting: &mut [Job], board: &Board, disk: &Disk) -> Result<(), Report> {
    let begun = Instant::now();
    let mut appended = append(store, waiting, disk);
    if appended.as_ref().is_err_and(StoreError::is_full) && disk.reserve.give_up() {
        appended = append(store, waiting, disk);
    }
    board.commit_seconds.observe(begun.elapsed().as_secs_f64());
    match appended {
        Ok(()) => {
            board.committed(store);
            Ok(())
        }
        Err(error) if error.is_full() => {
            tracing::error!(%error, entries = waiting.len(), "no room to record; what was asked is not answered");
            Err(no_room())
        }
        Err(error) => {
            // Before anybody is told, so that whoever is told finds it so.
            board.fail();
            log(&error, waiting.len());
            Err(unavailable())
        }
    }
}

#[cfg(not(test))]
fn append(store: &mut Store, waiting: &mut [Job], _disk: &Disk) -> Result<(), StoreError> {
    store.append(waiting)
}

#[cfg(test)]
fn append(store: &mut Store, waiting: &mut [Job], disk: &Disk) -> Result<(), StoreError> {
    if disk.takes_nothing() {
        let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
        return Err(rusqlite::Error::SqliteFailure(full, None).into());
    }
    store.append(waiting)
}

/// Tells whoever waits. Gives back what is owed to the log: how an answer ended whose beginning is in it.
fn answer(job: Job, outcome: &Result<(), Report>) -> Option<Job> {
    let Job {
        entry, done, receipt, ..
    } = job;
    let Err(report) = outcome else {
        // Whoever stopped waiting is recorded all the same.
        drop(done.map(|done| {
            done.send(Ok(Recorded {
                index: AuditIndex(entry.index),
                receipt,
            }))
        }));
        return None;
    };
    if !entry.ends_begun && done.is_none() {
        tracing::error!(query_id = %entry.query_id, "an abandoned query is not recorded");
    }
    let owed = entry.ends_begun.then(|| owed(entry, report));
    drop(done.map(|done| done.send(Err(report.clone()))));
    owed
}

/// The end of an answer for which there was no room: without a receipt it was none, whatever had gone.
fn owed(mut entry: AuditEntry, why: &Report) -> Job {
    if entry.outcome == Outcome::Released {
        (entry.outcome, entry.problem, entry.message) = (Outcome::Failed, Some(why.problem), Some(why.message.clone()));
        (entry.result, entry.blanked_values) = (None, 0);
    }
    Job {
        entry,
        named: None,
        end: End::Nothing,
        receipt: None,
        done: None,
    }
}

fn log(error: &StoreError, entries: usize) {
    tracing::error!(%error, entries, "the ledger cannot record; nothing is answered any more, and the node ends");
}

/// What everybody is told once the ledger cannot record.
pub(super) fn unavailable() -> Report {
    let report = Problem::AuditUnavailable.report("the node's ledger cannot record, so nothing is answered");
    report.remedy("the node's operator: check the disk, then start the node again")
}

/// What everybody is told while the disk has no room.
pub(super) fn no_room() -> Report {
    let report = Problem::AuditUnavailable.report("the disk of the node's ledger is full, so nothing is answered");
    report.remedy("the node's operator: make room on the disk; the node then goes on by itself")
}
