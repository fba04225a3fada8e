//! The values that this node released, to whomever, beside the log: so that the same people give the same answer, also after a
//! restart. And the node's secret, from which the key of the sketches follows that say which people those were.
//!
//! A value is written in the transaction of the audit entry of its release. There is no person in it, and nothing that has
//! not left the node. This is no part of the log: that verifies whatever becomes of this table. Next: [`engine::kept`].

use engine::{KeptValue, KeptValues, NodeSecret};
use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::ledger::store::StoreError;
use crate::ledger::writer::{End, Job};

pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS released_value (
        id INTEGER PRIMARY KEY, idx INTEGER NOT NULL, statistic TEXT NOT NULL, people INTEGER NOT NULL,
        rows INTEGER NOT NULL, sketch BLOB NOT NULL, number TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS node_secret (id INTEGER PRIMARY KEY CHECK (id = 1), bytes BLOB NOT NULL) STRICT;";

/// The values that were released before, the oldest first.
pub(super) fn recall(connection: &Connection) -> Result<KeptValues, StoreError> {
    let mut select =
        connection.prepare("SELECT statistic, people, rows, sketch, number FROM released_value ORDER BY id")?;
    let mut rows = select.query(())?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        let people: i64 = row.get(1)?;
        let sketch: Vec<u8> = row.get(3)?;
        let number: String = row.get(4)?;
        let value = KeptValue::from_parts(row.get(0)?, people.cast_unsigned(), row.get(2)?, &sketch, &number);
        values.push(value.ok_or(StoreError::Values)?);
    }
    Ok(KeptValues::recall(values))
}

/// The node's secret, made when the ledger is first opened.
pub(super) fn secret(connection: &Connection) -> Result<NodeSecret, StoreError> {
    let stored = connection.query_row("SELECT bytes FROM node_secret WHERE id = 1", (), |row| {
        row.get::<_, Vec<u8>>(0)
    });
    if let Some(bytes) = stored.optional()? {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| StoreError::Values)?;
        return Ok(bytes.into());
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| StoreError::Random)?;
    connection.execute("INSERT INTO node_secret (id, bytes) VALUES (1, ?1)", (&bytes[..],))?;
    Ok(bytes.into())
}

/// Writes the values that leave with a release.
pub(super) fn keep(transaction: &Transaction<'_>, job: &Job) -> Result<(), StoreError> {
    let End::Release(release) = &job.end else { return Ok(()) };
    let mut insert = transaction.prepare_cached(
        "INSERT INTO released_value (idx, statistic, people, rows, sketch, number) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for value in &release.values {
        let (sketch, number) = value.parts();
        let people = value.people.cast_signed();
        insert.execute((
            job.entry.index.cast_signed(),
            &value.statistic,
            people,
            value.rows,
            sketch,
            number,
        ))?;
    }
    Ok(())
}
