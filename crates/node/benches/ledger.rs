//! Durable records per second of a node's ledger, against a bare SQLite file that takes records of the same size in groups, with the
//! same durability, on the same disk, in the same run.
//!
//! Run: `cargo bench --workspace --bench ledger [-- SECONDS]`. A record is a query that ended in a release: entry, leaf hash, signed
//! checkpoint, signed receipt. The bare file gets a row of as many bytes, and a row that is replaced once a group.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program that measures, and stops if it cannot"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use node::ledger::{Ledger, LedgerPlace, Opening, Permitted, Release};
use rusqlite::Connection;
use terms::{Purpose, SystemClock, UtcTime};
use tokio::sync::oneshot;
use trust::{Digest, Receipt, SigningKey};

const ORIGIN: &str = "datenraum/oncology/gbsg";
const SQL: &str = "SELECT grade, count(*) AS people, avg(age) AS mean_age FROM breast_cancer GROUP BY grade";

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let seconds = words.first().map_or(5, |word| word.parse().unwrap());
    let time = Duration::from_secs(seconds);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!(
        "{:>8}  {:>12}  {:>12}  {:>7}",
        "at once", "ledger /s", "bare /s", "ratio"
    );
    for at_once in [1, 16, 64, 256] {
        let folder = tempfile::tempdir_in(".").unwrap();
        // By turns, so that a disk that has a bad moment has it for both.
        let mut counts = [0, 0];
        for turn in 0..2 {
            let place = folder.path().join(turn.to_string());
            std::fs::create_dir(&place).unwrap();
            let (ledger, bytes) = runtime.block_on(of_ledger(&place, at_once, time / 2));
            counts[0] += ledger;
            counts[1] += runtime.block_on(of_bare(&place, at_once, time / 2, bytes));
        }
        let per_second = counts.map(|count| count as f64 / time.as_secs_f64());
        let [ledger, bare] = per_second;
        println!("{at_once:>8}  {ledger:>12.0}  {bare:>12.0}  {:>7.2}", ledger / bare);
    }
}

/// Records for so long, from so many at once: how many, and of how many bytes each was.
async fn of_ledger(folder: &Path, at_once: usize, time: Duration) -> (u64, usize) {
    let place = LedgerPlace {
        file: folder.join("ledger.sqlite"),
        anchor: folder.join("ledger.anchor"),
    };
    let key = Arc::new(SigningKey::generate().unwrap());
    let ledger = Ledger::open(place.clone(), ORIGIN, Arc::clone(&key), Arc::new(SystemClock)).unwrap();
    let asked = ledger.clone();
    let ended = many(at_once, time, move || {
        let ledger = asked.clone();
        async move {
            let entry = ledger.open_entry(opening()).unwrap();
            let entry = entry.about(&"breast-cancer".parse().unwrap()).decided(permitted());
            entry.released(release()).await.unwrap();
        }
    });
    let count = ended.await;
    ledger.close().await;
    let bytes = Connection::open(&place.file)
        .unwrap()
        .query_row("SELECT avg(length(leaf)) FROM entry", [], |row| row.get::<_, f64>(0))
        .unwrap();
    (count, bytes as usize)
}

/// The same for a bare file.
async fn of_bare(folder: &Path, at_once: usize, time: Duration, bytes: usize) -> u64 {
    let mut file = Connection::open(folder.join("bare.sqlite")).unwrap();
    file.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE record (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, hash BLOB NOT NULL) STRICT;
         CREATE TABLE head (id INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;",
    )
    .unwrap();
    let (jobs, waiting) = mpsc::channel::<oneshot::Sender<()>>();
    let writer = std::thread::spawn(move || {
        let (leaf, note) = (vec![b'x'; bytes], "n".repeat(190));
        while let Ok(first) = waiting.recv() {
            let group: Vec<_> = std::iter::once(first).chain(waiting.try_iter()).collect();
            let transaction = file.transaction().unwrap();
            {
                let mut insert = transaction
                    .prepare_cached("INSERT INTO record (leaf, hash) VALUES (?1, ?2)")
                    .unwrap();
                for _ in &group {
                    insert.execute((&leaf, [0_u8; 32].as_slice())).unwrap();
                }
            }
            transaction
                .execute("INSERT OR REPLACE INTO head VALUES (1, ?1)", [&note])
                .unwrap();
            transaction.commit().unwrap();
            // Whoever does not wait any more need not be told.
            for asker in group {
                let _ = asker.send(());
            }
        }
    });
    let sender = jobs.clone();
    let ended = many(at_once, time, move || {
        let jobs = sender.clone();
        async move {
            let (told, tells) = oneshot::channel();
            jobs.send(told).unwrap();
            tells.await.unwrap();
        }
    });
    let count = ended.await;
    drop(jobs);
    writer.join().unwrap();
    count
}

/// Does something again and again, so many at once, and counts.
async fn many<F: Future<Output = ()> + Send + 'static>(
    at_once: usize,
    time: Duration,
    work: impl Fn() -> F + Clone + Send + 'static,
) -> u64 {
    let (count, until) = (Arc::new(AtomicU64::new(0)), Instant::now() + time);
    let tasks = (0..at_once).map(|_| {
        let (count, work) = (Arc::clone(&count), work.clone());
        tokio::spawn(async move {
            while Instant::now() < until {
                let one = work();
                one.await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    count.load(Ordering::Relaxed)
}

fn opening() -> Opening {
    Opening {
        query_id: "q-1".parse().unwrap(),
        caller: Some(policy::Caller {
            member: "saarland-university".parse().unwrap(),
            person: "ada".parse().unwrap(),
            roles: ["university".parse().unwrap()].into(),
        }),
        query: Digest::of(SQL.as_bytes()),
        sql: SQL.to_owned(),
        purpose: Some(Purpose::Statistics),
        permit: None,
        named: None,
    }
}

fn permitted() -> Permitted {
    Permitted {
        policy: "research".parse().unwrap(),
        version: 3,
        policy_digest: Digest::of(b"policy"),
        rule: "statistics".parse().unwrap(),
        joined: Vec::new(),
        permit: None,
        duties: Vec::new(),
    }
}

fn release() -> Release {
    let permitted = permitted();
    let receipt = Receipt {
        query_id: "q-1".parse().unwrap(),
        request: None,
        node: "gbsg".parse().unwrap(),
        space: "oncology".parse().unwrap(),
        query: Digest::of(SQL.as_bytes()),
        policy: permitted.policy,
        policy_version: permitted.version,
        policy_digest: permitted.policy_digest,
        permit: None,
        rule: permitted.rule,
        joined: Vec::new(),
        data: Vec::new(),
        min_people: Some(10),
        duties: Vec::new(),
        rows: 3,
        blanked_values: 0,
        kept_values: 0,
        round_to: None,
        result: Digest::of(b"result"),
        audit_index: 0,
        at: UtcTime::UNIX_EPOCH,
    };
    Release {
        values: Vec::new(),
        receipt,
        bytes: 72,
        terms: Digest::of(b"terms"),
        answer: None,
    }
}
