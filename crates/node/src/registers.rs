//! The registers of a node: who has opted out, and who has consented to what. One SQLite file, read at every query.
//!
//! Nothing is forgotten: an opt-out that is withdrawn stays in the register with both times, so that a permit that names
//! an earlier state (EHDS Art. 71) finds it. Keys are those of the collection's privacy unit, as text. They never leave
//! this machine and are in no log; errors name counts and lines, never a key. Next: `registers/file.rs`, which reads
//! lists from files, and `registers/resources.rs`, which reads consents from FHIR.

pub mod file;
pub mod resources;
mod sets;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::{Grant, OptOut, RowFilter};
use rusqlite::{Connection, TransactionBehavior};
use terms::{CollectionId, Problem, Report, UtcTime};

use self::sets::Sets;

/// The form of the file, in `user_version`.
const SCHEMA_VERSION: i64 = 1;

/// Longest key of a person, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

/// How long to wait while another process writes, in seconds.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE opt_out (
        collection TEXT NOT NULL, person TEXT NOT NULL, made INTEGER NOT NULL, withdrawn INTEGER,
        CHECK (withdrawn IS NULL OR withdrawn > made)
    ) STRICT;
    CREATE UNIQUE INDEX opt_out_open ON opt_out (collection, person) WHERE withdrawn IS NULL;
    CREATE INDEX opt_out_person ON opt_out (collection, person);
    CREATE TABLE consent (
        collection TEXT NOT NULL, person TEXT NOT NULL, code TEXT NOT NULL, permits INTEGER NOT NULL,
        valid_from INTEGER NOT NULL, valid_until INTEGER NOT NULL,
        CHECK (valid_until > valid_from)
    ) STRICT;
    CREATE INDEX consent_code ON consent (collection, code);
    PRAGMA user_version = 1;";

/// The registers of one node. Several processes may open them at the same time.
#[derive(Debug)]
pub struct Registers {
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    sets: Sets,
}

/// One opt-out, as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptOutEntry {
    /// The person's key.
    pub person: String,
    /// When the person opted out.
    pub made: UtcTime,
    /// When the person withdrew that.
    pub withdrawn: Option<UtcTime>,
}

/// One provision of a person's consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provision {
    /// The person's key.
    pub person: String,
    /// The provision's code, such as an OID of the German broad consent.
    pub code: String,
    /// Whether it permits; else it denies, and a denial beats a permission.
    pub permits: bool,
    /// From this time,
    pub valid_from: UtcTime,
    /// until before this time.
    pub valid_until: UtcTime,
}

/// What a change of the register did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Entries that were made or withdrawn.
    pub changed: usize,
    /// Entries that were as asked for already.
    pub unchanged: usize,
}

impl Registers {
    /// Opens the registers at `path`, or creates them, readable by their owner alone.
    ///
    /// # Errors
    /// `FileMissing` or `FileValue` if the file cannot be used.
    pub fn open(path: &Path) -> Result<Self, Report> {
        crate::ledger::store::create_private(path).map_err(Report::from)?;
        let connection = Connection::open(path).map_err(|error| unusable(&error))?;
        connection.busy_timeout(BUSY).map_err(|error| unusable(&error))?;
        let mut open = Open {
            connection,
            sets: Sets::default(),
        };
        open.prepare().map_err(|error| unusable(&error))?;
        match open.version().map_err(|error| unusable(&error))? {
            SCHEMA_VERSION => Ok(Self { open: Mutex::new(open) }),
            _ => Err(Problem::FileValue
                .report("the registers are of another version of datenraum")
                .remedy("use the version that wrote them, or a newer one")),
        }
    }

    /// Whose rows exist for a query under `grant`, at `now`.
    ///
    /// # Errors
    /// `AuditUnavailable` if the registers cannot be read: then nothing is answered.
    pub fn people(&self, grant: &Grant, now: UtcTime) -> Result<engine::People, Report> {
        let collection = grant.collection();
        if collection.privacy_unit.is_none() {
            return Ok(engine::People::everybody());
        }
        let as_of = match grant.opt_out() {
            OptOut::AtQuery => Some(now),
            OptOut::AsOf(issued) => Some(*issued),
            OptOut::Exempt { .. } => None,
        };
        let codes = match grant.row_filter() {
            Some(RowFilter::Consent(codes)) => Some(codes),
            Some(RowFilter::Sql(_)) | None => None,
        };
        let mut open = self.lock();
        let Open { connection, sets } = &mut *open;
        let mut read = || -> rusqlite::Result<engine::People> {
            sets.forget_if_changed(connection)?;
            let opted_out = match as_of {
                Some(as_of) => sets.opted_out(connection, &collection.id, as_of, now)?,
                None => std::sync::Arc::default(),
            };
            let consenting = codes.map(|codes| sets.consenting(connection, &collection.id, codes, now));
            Ok(engine::People::without(opted_out, consenting.transpose()?))
        };
        read().map_err(|error| unusable(&error))
    }

    /// Records that people opted out at `at`. Who has opted out already stays so, with the earlier of both times.
    ///
    /// # Errors
    /// `FileValue` if a key is empty or too long, or `at` is in the future.
    pub fn opt_out<'a>(
        &self,
        collection: &CollectionId,
        persons: impl IntoIterator<Item = &'a str>,
        at: UtcTime,
        now: UtcTime,
    ) -> Result<Changed, Report> {
        require_past(at, now)?;
        self.change(persons, |transaction, person| {
            transaction.execute(
                "INSERT INTO opt_out (collection, person, made) VALUES (?1, ?2, ?3)
                 ON CONFLICT (collection, person) WHERE withdrawn IS NULL
                 DO UPDATE SET made = excluded.made WHERE excluded.made < made",
                (collection.as_str(), person, at.as_microsecond()),
            )
        })
    }

    /// Records that people withdrew their opt-out at `at`. Both times stay in the register.
    ///
    /// # Errors
    /// As [`Registers::opt_out`].
    pub fn withdraw<'a>(
        &self,
        collection: &CollectionId,
        persons: impl IntoIterator<Item = &'a str>,
        at: UtcTime,
        now: UtcTime,
    ) -> Result<Changed, Report> {
        require_past(at, now)?;
        self.change(persons, |transaction, person| {
            transaction.execute(
                "UPDATE opt_out SET withdrawn = ?3 WHERE collection = ?1 AND person = ?2 AND withdrawn IS NULL AND made < ?3",
                (collection.as_str(), person, at.as_microsecond()),
            )
        })
    }

    /// The whole register of a collection, in the order of keys and times.
    ///
    /// # Errors
    /// `AuditUnavailable` if it cannot be read.
    pub fn opt_outs(&self, collection: &CollectionId) -> Result<Vec<OptOutEntry>, Report> {
        let open = self.lock();
        let read = || {
            let sql = "SELECT person, made, withdrawn FROM opt_out WHERE collection = ?1 ORDER BY person, made";
            let mut statement = open.connection.prepare(sql)?;
            let rows = statement.query_map([collection.as_str()], |row| {
                Ok(OptOutEntry {
                    person: row.get(0)?,
                    made: time(row.get(1)?),
                    withdrawn: row.get::<_, Option<i64>>(2)?.map(time),
                })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error: rusqlite::Error| unusable(&error))
    }

    /// Replaces the consents of a collection by these, all or none.
    ///
    /// # Errors
    /// `FileValue` if a key or a period is not right.
    pub fn replace_consents(&self, collection: &CollectionId, provisions: &[Provision]) -> Result<usize, Report> {
        for (at, provision) in provisions.iter().enumerate() {
            require_key(&provision.person)?;
            if provision.valid_until <= provision.valid_from {
                let message = format!("provision {} ends before it begins", at + 1);
                return Err(Problem::FileValue.report(message));
            }
        }
        let mut open = self.lock();
        let mut write = || {
            let transaction = open
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute("DELETE FROM consent WHERE collection = ?1", [collection.as_str()])?;
            {
                let sql = "INSERT INTO consent (collection, person, code, permits, valid_from, valid_until)
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                let mut insert = transaction.prepare(sql)?;
                for provision in provisions {
                    insert.execute((
                        collection.as_str(),
                        &provision.person,
                        &provision.code,
                        provision.permits,
                        provision.valid_from.as_microsecond(),
                        provision.valid_until.as_microsecond(),
                    ))?;
                }
            }
            transaction.commit()
        };
        write().map_err(|error: rusqlite::Error| unusable(&error))?;
        open.sets = Sets::default();
        Ok(provisions.len())
    }

    /// How many people's consents are kept for a collection, by code and decision.
    ///
    /// # Errors
    /// `AuditUnavailable` if they cannot be read.
    pub fn consents(&self, collection: &CollectionId) -> Result<Vec<(String, bool, u64)>, Report> {
        let open = self.lock();
        let read = || {
            let sql = "SELECT code, permits, count(DISTINCT person) FROM consent WHERE collection = ?1
                       GROUP BY code, permits ORDER BY code, permits DESC";
            let mut statement = open.connection.prepare(sql)?;
            let rows = statement.query_map([collection.as_str()], |row| {
                let people: i64 = row.get(2)?;
                Ok((row.get(0)?, row.get(1)?, people.unsigned_abs()))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error: rusqlite::Error| unusable(&error))
    }

    fn change<'a>(
        &self,
        persons: impl IntoIterator<Item = &'a str>,
        change: impl Fn(&rusqlite::Transaction<'_>, &str) -> rusqlite::Result<usize>,
    ) -> Result<Changed, Report> {
        let persons: Vec<&str> = persons.into_iter().map(str::trim).collect();
        persons.iter().try_for_each(|person| require_key(person))?;
        let mut open = self.lock();
        let write = || {
            let transaction = open
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut done = Changed::default();
            for person in persons {
                match change(&transaction, person)? {
                    0 => done.unchanged += 1,
                    _ => done.changed += 1,
                }
            }
            transaction.commit()?;
            Ok(done)
        };
        let done = write().map_err(|error: rusqlite::Error| unusable(&error))?;
        // The connection that writes is not told of its own changes.
        open.sets = Sets::default();
        Ok(done)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn prepare(&mut self) -> rusqlite::Result<()> {
        self.connection
            .execute_batch("PRAGMA trusted_schema = OFF; PRAGMA synchronous = FULL;")?;
        if self.version()? == 0 {
            self.connection.execute_batch(SCHEMA)?;
        }
        Ok(())
    }

    fn version(&self) -> rusqlite::Result<i64> {
        self.connection.query_row("PRAGMA user_version", (), |row| row.get(0))
    }
}

fn require_past(at: UtcTime, now: UtcTime) -> Result<(), Report> {
    if at <= now {
        return Ok(());
    }
    let message = format!("{at:.0} is in the future");
    Err(Problem::FileValue
        .report(message)
        .remedy("name the time at which the person said so; leave it out for now"))
}

fn require_key(person: &str) -> Result<(), Report> {
    if !person.is_empty() && person.len() <= KEY_BYTES_MAX && !person.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("the key of a person must be 1 to {KEY_BYTES_MAX} bytes on one line");
    Err(Problem::FileValue.report(message))
}

fn time(microseconds: i64) -> UtcTime {
    UtcTime::from_microsecond(microseconds).unwrap_or(UtcTime::MIN)
}

/// SQLite's messages can quote values; its codes cannot.
fn unusable(error: &rusqlite::Error) -> Report {
    let code = error.sqlite_error_code();
    Problem::AuditUnavailable
        .report(format!(
            "the registers of opt-outs and consents cannot be used: {code:?}"
        ))
        .remedy("check the disk of the node and the file registers.sqlite")
}
