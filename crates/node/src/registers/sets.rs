//! Sets of people as they were last read, so that a query whose registers did not change costs one look at them.
//!
//! SQLite says when another connection has changed the file. A set of consents also ends at the next time at which a
//! period begins or ends.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};
use terms::{CollectionId, UtcTime};

/// Most sets that are kept. More than a node's collections and permits need at the same time.
const SETS_MAX: usize = 64;

type Persons = Arc<HashSet<String>>;

#[derive(Debug, Default)]
pub(super) struct Sets {
    seen: Option<i64>,
    opted_out: HashMap<(CollectionId, Option<i64>), Persons>,
    consenting: HashMap<(CollectionId, BTreeSet<String>), Consenting>,
}

#[derive(Debug)]
struct Consenting {
    from: i64,
    /// The set is another one from this time on.
    until: i64,
    persons: Persons,
}

impl Sets {
    /// Forgets all sets if another connection has written since they were read.
    pub(super) fn forget_if_changed(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let version: i64 = connection.query_row("PRAGMA data_version", (), |row| row.get(0))?;
        let is_full = self.opted_out.len() + self.consenting.len() >= SETS_MAX;
        if self.seen != Some(version) || is_full {
            *self = Self {
                seen: Some(version),
                ..Self::default()
            };
        }
        Ok(())
    }

    /// Who had opted out at `as_of`, from what is known at `now`.
    pub(super) fn opted_out(
        &mut self,
        connection: &Connection,
        collection: &CollectionId,
        as_of: UtcTime,
        now: UtcTime,
    ) -> rusqlite::Result<Persons> {
        // Nothing is recorded for the future: who is out now is whoever has an open entry.
        let at = (as_of < now).then(|| as_of.as_microsecond());
        let key = (collection.clone(), at);
        if let Some(known) = self.opted_out.get(&key) {
            return Ok(Arc::clone(known));
        }
        let sql = match at {
            Some(_) => {
                "SELECT person FROM opt_out WHERE collection = ?1 AND made <= ?2 AND (withdrawn IS NULL OR withdrawn > ?2)"
            }
            None => "SELECT person FROM opt_out WHERE collection = ?1 AND withdrawn IS NULL AND ?2 = 0",
        };
        let persons = read(connection, sql, (collection.as_str(), at.unwrap_or(0)))?;
        self.opted_out.insert(key, Arc::clone(&persons));
        Ok(persons)
    }

    /// Who consents to all of `codes` at `now`.
    pub(super) fn consenting(
        &mut self,
        connection: &Connection,
        collection: &CollectionId,
        codes: &BTreeSet<String>,
        now: UtcTime,
    ) -> rusqlite::Result<Persons> {
        let (key, at) = ((collection.clone(), codes.clone()), now.as_microsecond());
        if let Some(known) = self.consenting.get(&key)
            && (known.from..known.until).contains(&at)
        {
            return Ok(Arc::clone(&known.persons));
        }
        let mut all: Option<HashSet<String>> = None;
        let mut until = i64::MAX;
        for code in codes {
            let of_code = consenting_to(connection, collection, code, at)?;
            all = Some(match all {
                None => of_code,
                Some(others) => others.intersection(&of_code).cloned().collect(),
            });
            until = until.min(next_change(connection, collection, code, at)?);
        }
        let persons = Arc::new(all.unwrap_or_default());
        let kept = Consenting {
            from: at,
            until,
            persons: Arc::clone(&persons),
        };
        self.consenting.insert(key, kept);
        Ok(persons)
    }
}

/// Who has a provision that permits now, and none that denies now.
fn consenting_to(
    connection: &Connection,
    collection: &CollectionId,
    code: &str,
    at: i64,
) -> rusqlite::Result<HashSet<String>> {
    let sql = "SELECT person FROM consent WHERE collection = ?1 AND code = ?2 AND valid_from <= ?3 AND ?3 < valid_until
               GROUP BY person HAVING min(permits) = 1";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map((collection.as_str(), code, at), |row| row.get(0))?;
    rows.collect()
}

/// When a period of this code next begins or ends.
fn next_change(connection: &Connection, collection: &CollectionId, code: &str, at: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT min(edge) FROM (
                   SELECT min(valid_from) AS edge FROM consent WHERE collection = ?1 AND code = ?2 AND valid_from > ?3
                   UNION ALL
                   SELECT min(valid_until) FROM consent WHERE collection = ?1 AND code = ?2 AND valid_until > ?3)";
    let next: Option<Option<i64>> = connection
        .query_row(sql, (collection.as_str(), code, at), |row| row.get(0))
        .optional()?;
    Ok(next.flatten().unwrap_or(i64::MAX))
}

fn read(connection: &Connection, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<Persons> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(parameters, |row| row.get(0))?;
    Ok(Arc::new(rows.collect::<rusqlite::Result<_>>()?))
}
