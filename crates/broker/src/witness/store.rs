//! What the witness remembers: the longest log of each member that it cosigned, and what contradicted it.
//!
//! In a file of the broker's own, or in the PostgreSQL that brokers share: then they are one witness. What is known is only replaced by
//! who knows what it replaces, so that of two that race one loses.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use rusqlite::{Connection, OptionalExtension, params};
use terms::{MemberId, Problem, Report, SpaceId};
use trust::merkle::Hash;

use crate::postgres::{self, Database};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA fullfsync = ON;
    CREATE TABLE IF NOT EXISTS witnessed (
        space  TEXT NOT NULL,
        member TEXT NOT NULL,
        size   INTEGER NOT NULL,
        root   BLOB NOT NULL,
        note   TEXT NOT NULL,
        PRIMARY KEY (space, member)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS witness_evidence (
        space  TEXT NOT NULL,
        member TEXT NOT NULL,
        note   TEXT NOT NULL,
        known  TEXT NOT NULL,
        reason TEXT NOT NULL,
        -- seconds since 1970, UTC
        at     INTEGER NOT NULL,
        -- the first of each kind: one is enough, and strangers cannot fill the table
        PRIMARY KEY (space, member, reason)
    ) STRICT;
";

// Both databases are asked the same; SQLite has its own sign for a numbered parameter: `in_sqlite`.
const KNOWN: &str = "SELECT size, root, note FROM witnessed WHERE space = $1 AND member = $2";

const BEGIN: &str = "
    INSERT INTO witnessed (space, member, size, root, note) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (space, member) DO NOTHING
";

const REPLACE: &str = "
    UPDATE witnessed SET size = $3, root = $4, note = $5 WHERE space = $1 AND member = $2 AND size = $6 AND root = $7
";

const KEEP: &str = "
    INSERT INTO witness_evidence (space, member, note, known, reason, at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (space, member, reason) DO NOTHING
";

const EVIDENCE: &str = "SELECT member, reason FROM witness_evidence WHERE space = $1 ORDER BY member, reason";

/// A log as it was when it was cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) note: String,
}

/// Why a checkpoint was not cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It has as many entries as the one that was cosigned, and they are others: the member signed two logs.
    Contradicts,
    /// It is longer, and came without a proof that it goes on from there. Not everybody who sends a member's checkpoint is the member.
    Unproven,
}

impl Reason {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Contradicts => "contradicts",
            Self::Unproven => "unproven",
        }
    }
}

/// A signed checkpoint that was not cosigned, beside the one that was.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    pub(super) space: String,
    pub(super) member: String,
    pub(super) note: String,
    pub(super) known: String,
    pub(super) reason: Reason,
    pub(super) at: i64,
}

/// Where it is remembered.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    File(Arc<Mutex<Connection>>),
    Shared(Database),
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
        Ok(Self::File(Arc::new(Mutex::new(connection))))
    }

    /// The longest log of the member that was cosigned.
    pub(super) async fn known(&self, space: &SpaceId, member: &MemberId) -> Result<Option<Known>, Report> {
        let (space, member) = (space.to_string(), member.to_string());
        let row: Option<(i64, Vec<u8>, String)> = match self {
            Self::File(file) => {
                let reading = move |db: &Connection| {
                    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
                    db.query_row(&in_sqlite(KNOWN), params![space, member], row).optional()
                };
                with(file, reading).await?
            }
            Self::Shared(database) => {
                let reading = postgres::work(move |connection| {
                    let known = sqlx::query_as(KNOWN).bind(space).bind(member);
                    known.fetch_optional(connection).boxed()
                });
                database.ask(reading).await.map_err(|error| postgres::lost(&error))?
            }
        };
        row.map(|(size, root, note)| {
            let root = root.try_into().ok().zip(u64::try_from(size).ok());
            let (root, size) = root.ok_or_else(|| Problem::Internal.report("what the witness remembers is no log"))?;
            Ok(Known { size, root, note })
        })
        .transpose()
    }

    /// Replaces what is known by `new`, durably, if it still is `known`; says whether it did.
    pub(super) async fn replace(
        &self,
        space: &SpaceId,
        member: &MemberId,
        known: Option<Known>,
        new: Known,
    ) -> Result<bool, Report> {
        let too_long = |_| Problem::Answer.report("no log is as long as the checkpoint says");
        let size = i64::try_from(new.size).map_err(too_long)?;
        let known = known.map(|known| (known.size.cast_signed(), known.root.to_vec()));
        let (space, member, root) = (space.to_string(), member.to_string(), new.root.to_vec());
        let replaced = match self {
            Self::File(file) => {
                let replacing = move |db: &Connection| match known {
                    None => db.execute(&in_sqlite(BEGIN), params![space, member, size, root, new.note]),
                    Some((old_size, old_root)) => db.execute(
                        &in_sqlite(REPLACE),
                        params![space, member, size, root, new.note, old_size, old_root],
                    ),
                };
                with(file, replacing).await? as u64
            }
            Self::Shared(database) => {
                let replacing = postgres::work(move |connection| {
                    let query = match &known {
                        None => sqlx::query(BEGIN),
                        Some(_) => sqlx::query(REPLACE),
                    };
                    let query = query.bind(space).bind(member).bind(size).bind(root).bind(new.note);
                    let query = match known {
                        None => query,
                        Some((old_size, old_root)) => query.bind(old_size).bind(old_root),
                    };
                    async move { Ok(query.execute(connection).await?.rows_affected()) }.boxed()
                });
                database.ask(replacing).await.map_err(|error| postgres::lost(&error))?
            }
        };
        Ok(replaced == 1)
    }

    /// Keeps evidence, unless there is some of that kind of the member.
    pub(super) async fn keep(&self, evidence: Evidence) -> Result<(), Report> {
        let Evidence {
            space,
            member,
            note,
            known,
            reason,
            at,
        } = evidence;
        let reason = reason.name();
        match self {
            Self::File(file) => {
                let keeping = move |db: &Connection| {
                    db.execute(&in_sqlite(KEEP), params![space, member, note, known, reason, at])
                };
                with(file, keeping).await?;
            }
            Self::Shared(database) => {
                let keeping = postgres::work(move |connection| {
                    let keeping = sqlx::query(KEEP).bind(space).bind(member).bind(note).bind(known);
                    let keeping = keeping.bind(reason).bind(at);
                    keeping.execute(connection).boxed()
                });
                database.ask(keeping).await.map_err(|error| postgres::lost(&error))?;
            }
        }
        Ok(())
    }

    /// Of whom there is evidence, and of which kind.
    pub(crate) async fn evidence(&self, space: &SpaceId) -> Result<Vec<(String, String)>, Report> {
        let space = space.to_string();
        match self {
            Self::File(file) => {
                let reading = move |db: &Connection| {
                    let mut evidence = db.prepare(&in_sqlite(EVIDENCE))?;
                    let rows = evidence.query_map(params![space], |row| Ok((row.get(0)?, row.get(1)?)))?;
                    rows.collect()
                };
                with(file, reading).await
            }
            Self::Shared(database) => {
                let reading = postgres::work(move |connection| {
                    sqlx::query_as(EVIDENCE).bind(space).fetch_all(connection).boxed()
                });
                database.ask(reading).await.map_err(|error| postgres::lost(&error))
            }
        }
    }
}

fn in_sqlite(sql: &str) -> String {
    sql.replace('$', "?")
}

/// Runs `work` where it may wait for the disk.
async fn with<T: Send + 'static>(
    file: &Arc<Mutex<Connection>>,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Report> {
    let connection = Arc::clone(file);
    let working = move || work(&connection.lock().unwrap_or_else(PoisonError::into_inner));
    let worked = tokio::task::spawn_blocking(working).await;
    let worked = worked.map_err(|_| Problem::Internal.report("the witness's store stopped"))?;
    worked.map_err(|error| failed(&error))
}

fn failed(error: &rusqlite::Error) -> Report {
    tracing::error!(%error, "the witness's store failed");
    Problem::Internal
        .report("what the witness remembers cannot be read or written")
        .remedy("check the disk of the broker and its permissions")
}
