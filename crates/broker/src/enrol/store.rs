//! Open requests in an SQLite file of the broker's own: one of each key, so many in all.
//!
//! Brokers do not share it: whoever leaves a request leaves it with all of them, and whoever fetches asks all of them.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};
use terms::{Problem, Report, UtcTime};
use trust::Verified;
use wire::{Code, Enrolment, enrolment};

/// Open requests at once. More institutions do not come to a data space in a week.
pub(super) const OPEN_MAX: i64 = 256;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS enrolment (
        -- another key under the same name is another request: strangers could else keep an institution out
        key     TEXT PRIMARY KEY,
        code    BLOB NOT NULL,
        sealed  BLOB NOT NULL,
        -- seconds since 1970, UTC
        issued  INTEGER NOT NULL,
        expires INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS enrolment_by_code ON enrolment (code);
";

const KEEP: &str = "
    INSERT INTO enrolment (key, code, sealed, issued, expires) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (key) DO UPDATE SET code = excluded.code, sealed = excluded.sealed, issued = excluded.issued,
        expires = excluded.expires
    WHERE excluded.issued >= enrolment.issued
";

/// The open requests.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    connection: Arc<Mutex<Connection>>,
}

impl Store {
    /// The store in an SQLite file, which is made if there is none.
    pub(crate) fn in_file(path: &Path) -> Result<Self, Report> {
        let opened = Connection::open(path).and_then(|connection| {
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        });
        let connection = opened.map_err(|error| failed(&error))?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Keeps a request in place of an earlier one of the same key. Those that expired or are used go.
    pub(super) async fn keep(
        &self,
        opened: Verified<Enrolment>,
        sealed: Vec<u8>,
        now: UtcTime,
        is_used: impl Fn(&Enrolment) -> bool + Send + 'static,
    ) -> Result<(), Report> {
        let code = Code::of(&sealed);
        let kept = self.with(move |db| {
            let db = db.unchecked_transaction()?;
            db.execute("DELETE FROM enrolment WHERE expires <= ?1", [now.as_second()])?;
            remove_used(&db, &is_used)?;
            let key = opened.key.to_string();
            let others = "SELECT count(*) FROM enrolment WHERE key <> ?1";
            let others: i64 = db.query_row(others, [&key], |row| row.get(0))?;
            if others >= OPEN_MAX {
                return Ok(Outcome::Full);
            }
            let (issued, expires) = (opened.issued.as_second(), opened.expires.as_second());
            let changed = db.execute(KEEP, params![key, code.bytes(), sealed, issued, expires])?;
            db.commit()?;
            Ok(if changed == 1 { Outcome::Fresh } else { Outcome::Older })
        });
        match kept.await? {
            Outcome::Fresh => Ok(()),
            Outcome::Older => Err(Problem::Answer
                .report("a later request of the same key is kept already")
                .remedy("check the clock of the node's machine")),
            Outcome::Full => Err(Problem::Resources
                .report(format!(
                    "the broker keeps {OPEN_MAX} requests for enrolment, and no more"
                ))
                .remedy("try again on another day, or send the board your name, title and key another way")),
        }
    }

    /// The sealed request with this code, be it used or expired.
    pub(super) async fn find(&self, code: Code) -> Result<Option<Vec<u8>>, Report> {
        let select = "SELECT sealed FROM enrolment WHERE code = ?1";
        self.with(move |db| db.query_row(select, [code.bytes()], |row| row.get(0)).optional())
            .await
    }

    /// Runs `work` where it may wait for the disk.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Report> {
        let connection = Arc::clone(&self.connection);
        let working = move || work(&connection.lock().unwrap_or_else(PoisonError::into_inner));
        let worked = tokio::task::spawn_blocking(working).await;
        let worked = worked.map_err(|_| Problem::Internal.report("the store of enrolments stopped"))?;
        worked.map_err(|error| failed(&error))
    }
}

/// What became of a request.
enum Outcome {
    Fresh,
    Older,
    Full,
}

fn remove_used(db: &Connection, is_used: &impl Fn(&Enrolment) -> bool) -> rusqlite::Result<()> {
    let mut select = db.prepare_cached("SELECT key, sealed FROM enrolment")?;
    let all: Vec<(String, Vec<u8>)> = select
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (key, sealed) in all {
        // What does not open any more is of no use to anybody.
        if enrolment::open(&sealed).map_or(true, |enrolment| is_used(&enrolment)) {
            db.execute("DELETE FROM enrolment WHERE key = ?1", [key])?;
        }
    }
    Ok(())
}

fn failed(error: &rusqlite::Error) -> Report {
    tracing::error!(%error, "the store of enrolments failed");
    let remedy = "check the disk of the broker and its permissions";
    Problem::Internal
        .report("requests for enrolment cannot be read or written")
        .remedy(remedy)
}
