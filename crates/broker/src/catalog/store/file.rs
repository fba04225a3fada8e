//! Descriptions of one broker: one row per member in an SQLite file.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};
use terms::{Problem, Report, SpaceId};

use super::Description;

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

/// An SQLite file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    connection: Arc<Mutex<Connection>>,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, Report> {
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

    /// Keeps a description, unless a later one is kept; says whether it did.
    pub(super) async fn keep(&self, description: Description) -> Result<bool, Report> {
        let Description {
            space,
            member,
            sealed,
            issued,
        } = description;
        let kept = self
            .with(move |db| db.execute(KEEP, params![space, member, sealed, issued]))
            .await?;
        Ok(kept == 1)
    }

    /// All sealed descriptions of a data space, by member.
    pub(super) async fn all(&self, space: SpaceId) -> Result<Vec<Vec<u8>>, Report> {
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
