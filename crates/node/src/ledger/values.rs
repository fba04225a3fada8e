//! The values that this node released, to whomever, beside the log: so that the same people give the same answer, also after a
//! restart.
//!
//! A value is written in the transaction of the audit entry of its release. There is no person in it. Counts, sums and
//! spreads of the same rows are kept together, also where only one of them left the node: they stay here. This is no part of
//! the log: that verifies whatever becomes of this table. Next: [`engine::kept`].

use engine::{KeptValue, KeptValues};
use rusqlite::{Connection, Transaction};

use crate::ledger::store::StoreError;
use crate::ledger::writer::Job;

pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS released_value (
        id INTEGER PRIMARY KEY, idx INTEGER NOT NULL, statistic TEXT NOT NULL, people_min INTEGER NOT NULL,
        sketch BLOB NOT NULL, numbers TEXT NOT NULL) STRICT;";

/// The values that were released before, the oldest first.
pub(super) fn recall(connection: &Connection) -> Result<KeptValues, StoreError> {
    let mut select =
        connection.prepare("SELECT statistic, people_min, sketch, numbers FROM released_value ORDER BY id")?;
    let mut rows = select.query(())?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        let people_min: i64 = row.get(1)?;
        let (sketch, numbers): (Vec<u8>, String) = (row.get(2)?, row.get(3)?);
        let value = KeptValue::from_parts(row.get(0)?, people_min.cast_unsigned(), &sketch, &numbers);
        values.push(value.ok_or(StoreError::Values)?);
    }
    Ok(KeptValues::recall(values))
}

/// Writes what is kept of the values that leave.
pub(super) fn keep(transaction: &Transaction<'_>, job: &Job) -> Result<(), StoreError> {
    if job.end.values().is_empty() {
        return Ok(());
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO released_value (idx, statistic, people_min, sketch, numbers) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for value in job.end.values() {
        let (sketch, numbers) = value.parts();
        let people_min = value.people_min.cast_signed();
        insert.execute((
            job.entry.index.cast_signed(),
            &value.statistic,
            people_min,
            sketch,
            numbers,
        ))?;
    }
    Ok(())
}
