//! Where descriptions are kept: one row per member in an SQLite file.
//!
//! It must never replace a description by an older one: an old one could lead people to an address that somebody else
//! has by now. The TLS key would still stop them there.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};
use terms::{Problem, Report, SpaceId};
use trust::Verified;
use wire::NodeDescription;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS description (
        space    TEXT NOT NULL,
        member   TEXT NOT NULL,
        envelope BLOB NOT NULL,
        -- nanoseconds since 1970, UTC
        issued   INTEGER NOT NULL,
        PRIMARY KEY (space, member)
    ) STRICT;
";

const KEEP: &str = "
    INSERT INTO description (space, member, envelope, issued) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (space, member) DO UPDATE SET envelope = excluded.envelope, issued = excluded.issued
    WHERE excluded.issued >= description.issued
";

const ALL: &str = "SELECT envelope FROM description WHERE space = ?1 ORDER BY member";

/// The latest sealed description of each member.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    connection: Arc<Mutex<Connection>>,
}

impl Store {
    pub(crate) fn open(path: &Path) -> Result<Self, Report> {
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

    /// Keeps a description whose signature held, in place of an earlier one of the same member.
    pub(crate) async fn keep(&self, opened: Verified<NodeDescription>, sealed: Vec<u8>) -> Result<(), Report> {
        let dateless = |_| Problem::Answer.report("the description is dated outside of what can be kept");
        let issued = i64::try_from(opened.issued.as_nanosecond()).map_err(dateless)?;
        let (space, member) = (opened.space.to_string(), opened.member.to_string());
        let kept = self
            .with(move |db| db.execute(KEEP, params![space, member, sealed, issued]))
            .await?;
        if kept == 1 {
            return Ok(());
        }
        let message = format!("a later description of {} is kept already", opened.member);
        Err(Problem::Answer
            .report(message)
            .remedy("check the clock of the node's machine"))
    }

    /// All sealed descriptions of a data space, by member.
    pub(crate) async fn all(&self, space: SpaceId) -> Result<Vec<Vec<u8>>, Report> {
        self.with(move |db| {
            db.prepare_cached(ALL)?
                .query_map([space.as_str()], |row| row.get(0))?
                .collect()
        })
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
        let worked = worked.map_err(|_| Problem::Internal.report("the catalogue's store stopped"))?;
        worked.map_err(|error| failed(&error))
    }
}

fn failed(error: &rusqlite::Error) -> Report {
    tracing::error!(%error, "the catalogue's store failed");
    let remedy = "check the disk of the broker and its permissions";
    Problem::Internal
        .report("the catalogue cannot be read or written")
        .remedy(remedy)
}
