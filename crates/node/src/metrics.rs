//! What a node counts. It must never hold what was asked, by whom, or what was found: sums of what was released move in large steps.

use std::sync::Arc;

use telemetry::{Coarse, Counter, Gauge, Metrics};
use tokio::sync::watch;

use crate::ledger::LedgerState;
use crate::query::Desk;
use crate::tunnel::TunnelStatus;

/// Steps of the sums over what was released: cells that were left out, rows, bytes.
const CELLS_STEP: u64 = 100;
const ROWS_STEP: u64 = 10_000;
const BYTES_STEP: u64 = 1 << 20;

/// The node's own counters, beside those of every server.
#[derive(Clone, Debug)]
pub(crate) struct NodeMetrics {
    pub(crate) all: Arc<Metrics>,
    waiting: Gauge,
    cells: Coarse,
    rows: Coarse,
    bytes: Coarse,
    /// Looks at the key file that found what cannot be used.
    pub(crate) bad_keys: Counter,
}

impl Default for NodeMetrics {
    fn default() -> Self {
        let all = Arc::new(Metrics::default());
        let coarse = |name: &str, step: u64, what: &str| {
            let sum = Coarse::new(step);
            let help = format!("{what}, rounded down to a multiple of {step}");
            all.register(name, &help, sum.shown.clone());
            sum
        };
        Self {
            waiting: all.register(
                "queries_waiting",
                "Queries that wait for others to end",
                Gauge::default(),
            ),
            cells: coarse("cells_withheld", CELLS_STEP, "Cells that were not released"),
            rows: coarse("rows_released", ROWS_STEP, "Rows that were released"),
            bytes: coarse("bytes_released", BYTES_STEP, "Bytes that were released"),
            bad_keys: all.register(
                "key_file_refused",
                "Looks at a key file that cannot be used",
                Counter::default(),
            ),
            all,
        }
    }
}

/// A query that waits, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting(Gauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl NodeMetrics {
    pub(crate) fn waits(&self) -> Waiting {
        self.waiting.inc();
        Waiting(self.waiting.clone())
    }

    pub(crate) fn released(&self, rows: u64, bytes: u64, cells_withheld: u64) {
        self.rows.add(rows);
        self.bytes.add(bytes);
        self.cells.add(cells_withheld);
    }

    /// Has what is known elsewhere told at each reading.
    pub(crate) fn watch(&self, desk: &Arc<Desk>, tunnels: watch::Receiver<Vec<TunnelStatus>>) {
        let gauge = |name: &str, help: &str| -> Gauge { self.all.register(name, help, Gauge::default()) };
        let ready = gauge("ready", "1 if the node answers, 0 if it does not");
        let expire = gauge(
            "documents_expire_seconds",
            "When the signed documents expire, in seconds since 1970",
        );
        let looked = gauge(
            "documents_looked_at_seconds",
            "When the node last looked at the documents",
        );
        let evidence = gauge(
            "evidence",
            "Refused documents that somebody had signed, kept for the board",
        );
        let tunnels_open = gauge(
            "tunnels_open",
            "Connections to the broker through which the node is reached",
        );
        let running = gauge("queries_running", "Queries that run");
        let streams = gauge("row_streams_open", "Long answers that are on their way");
        let failed = gauge(
            "ledger_failed",
            "1 if the ledger cannot record, and so nothing is answered",
        );
        let entries = gauge("ledger_entries", "Entries in the ledger");
        let open = gauge(
            "ledger_open_entries",
            "Queries that are open at the ledger, or wait to be recorded",
        );
        let commits = desk.ledger.commit_seconds();
        self.all.register(
            "ledger_commit_seconds",
            "Time that one durable write took, in seconds",
            commits,
        );
        let desk = Arc::downgrade(desk);
        self.all.before_reading(move || {
            let Some(desk) = desk.upgrade() else { return };
            let ledger = desk.ledger.status();
            ready.set(desk.unready().is_none().into());
            expire.set(desk.governance.latest().expires().as_second());
            looked.set(desk.governance.last_look().at.map_or(0, |at| at.as_second()));
            evidence.set(count(desk.governance.evidence().len()));
            tunnels_open.set(count(tunnels.borrow().len()));
            running.set(i64::from(desk.limits.queries_at_once) - count(desk.running.available_permits()));
            streams.set(i64::from(desk.limits.row_streams_at_once) - count(desk.streaming.available_permits()));
            failed.set((ledger.state == LedgerState::Failed).into());
            entries.set(ledger.entries.cast_signed());
            open.set(count(desk.ledger.open_entries()));
        });
    }
}

fn count(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}
