//! How requests ended that their askers named, so that to ask again is to be told again.
//!
//! A row here is written with the audit entry of the same query, or neither is. It is kept for a day and is no part of
//! the log: that verifies whatever becomes of this table, and what is read from it is believed only as far as receipts
//! and the log bear it out. An id is never forgotten before its day is over: beside its audit entry it costs little.
//! What is bounded are the answers that are kept with them. Next: [`crate::again`], which tells them.

use std::fmt;

use rusqlite::{Connection, OptionalExtension, Transaction};
use terms::{MemberId, PersonId, QueryId, Report, RequestId, UtcTime};
use trust::{Digest, Envelope};

use crate::ledger::store::StoreError;
use crate::ledger::writer::{End, Job};

/// Largest answer that is kept, in bytes: far more than aggregates have.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most bytes of kept answers in all: a day of them, of the size that aggregates have. The oldest make room.
const ANSWERS_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How long an outcome is kept, in seconds: longer than anybody's program goes on trying.
const OUTCOME_SECONDS: i64 = 24 * 3600;

pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS outcome (
        idx INTEGER PRIMARY KEY, member TEXT NOT NULL, person TEXT NOT NULL, request TEXT NOT NULL,
        asked BLOB NOT NULL, query_id TEXT NOT NULL, at INTEGER NOT NULL,
        told TEXT NOT NULL, answer BLOB, UNIQUE (member, person, request)) STRICT;
    CREATE INDEX IF NOT EXISTS outcome_at ON outcome (at);
    CREATE INDEX IF NOT EXISTS outcome_answer ON outcome (idx) WHERE answer IS NOT NULL;";

/// A request that its asker named. Another person's request of the same name is another request.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey {
    /// The institution that vouches for the asker.
    pub member: MemberId,
    /// The asker.
    pub person: PersonId,
    /// What they call the request.
    pub request: RequestId,
}

/// A named request, and what it is about.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its name.
    pub key: RequestKey,
    /// Digest over query, purpose and permit: under one name only one thing is asked.
    pub asked: Digest,
}

/// What was told at the end of a query.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// Nothing: nobody waited for it.
    Nothing,
    /// Why there is no answer.
    Report(Report),
    /// Rows, more of them than are kept.
    Rows,
    /// An answer.
    Answer {
        /// Digest over what allowed it, and under which obligations.
        terms: Digest,
        /// The node's signature under it.
        receipt: Envelope,
    },
}

/// The outcome of a named request.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// Digest over query, purpose and permit.
    pub(crate) asked: Digest,
    /// The query.
    pub(crate) query_id: QueryId,
    /// What was told.
    pub(crate) told: Told,
    /// The answer as an Arrow stream, if it was small enough and nobody needed the room.
    pub(crate) answer: Option<Vec<u8>>,
}

/// How many bytes of answers are kept, and how many may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) used: u64,
    pub(super) bytes_max: u64,
}

impl Room {
    /// The room in a file.
    pub(super) fn in_file(connection: &Connection) -> Result<Self, StoreError> {
        let used = connection.query_row(
            "SELECT coalesce(sum(length(answer)), 0) FROM outcome WHERE answer IS NOT NULL",
            (),
            |row| row.get::<_, i64>(0),
        )?;
        Ok(Self {
            used: used.cast_unsigned(),
            bytes_max: ANSWERS_BYTES_MAX,
        })
    }

    /// Writes down how a query ended, in the transaction of its audit entry, if its asker named it.
    pub(super) fn keep(&mut self, transaction: &Transaction<'_>, job: &Job) -> Result<(), StoreError> {
        let Some(Named { key, asked }) = &job.named else {
            return Ok(());
        };
        let (entry, answer) = (&job.entry, job.end.answer());
        let told = match (&job.end, &job.receipt) {
            (End::Release(release), Some(receipt)) => Told::Answer {
                terms: release.terms,
                receipt: receipt.clone(),
            },
            (End::Report(report), _) => Told::Report(report.clone()),
            (End::Begun(_), _) => Told::Rows,
            (End::Nothing | End::Release(_), _) => Told::Nothing,
        };
        let mut insert = transaction.prepare_cached(
            "INSERT OR IGNORE INTO outcome (idx, member, person, request, asked, query_id, at, told, answer)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        let inserted = insert.execute((
            entry.index.cast_signed(),
            key.member.as_str(),
            key.person.as_str(),
            key.request.as_str(),
            asked.bytes(),
            entry.query_id.as_str(),
            entry.at.as_second(),
            serde_json::to_string(&told)?,
            answer,
        ))?;
        if inserted > 0 {
            self.used += answer.map_or(0, |answer| answer.len() as u64);
        }
        self.make(transaction)
    }

    /// Forgets the outcomes of more than a day ago.
    pub(super) fn forget(&mut self, transaction: &Transaction<'_>, now: UtcTime) -> Result<(), StoreError> {
        let until = now.as_second() - OUTCOME_SECONDS;
        let freed: i64 = transaction
            .prepare_cached("SELECT coalesce(sum(length(answer)), 0) FROM outcome WHERE at <= ?1")?
            .query_row((until,), |row| row.get(0))?;
        transaction
            .prepare_cached("DELETE FROM outcome WHERE at <= ?1")?
            .execute((until,))?;
        self.used = self.used.saturating_sub(freed.cast_unsigned());
        Ok(())
    }

    /// Lets go of the oldest answers until the others fit. Their requests stay known.
    fn make(&mut self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        while self.used > self.bytes_max {
            let oldest = transaction
                .prepare_cached(
                    "SELECT idx, length(answer) FROM outcome WHERE answer IS NOT NULL ORDER BY idx LIMIT 1",
                )?
                .query_row((), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
                .optional()?;
            let Some((idx, bytes)) = oldest else { break };
            transaction
                .prepare_cached("UPDATE outcome SET answer = NULL WHERE idx = ?1")?
                .execute((idx,))?;
            self.used = self.used.saturating_sub(bytes.cast_unsigned());
        }
        Ok(())
    }
}

/// Lets all answers go. Their requests stay known.
pub(super) fn forget_answers(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    transaction.execute("UPDATE outcome SET answer = NULL WHERE answer IS NOT NULL", ())?;
    Ok(())
}

/// How a named request ended, if that was within a day.
pub(super) fn find(connection: &Connection, key: &RequestKey, now: UtcTime) -> Result<Option<Kept>, StoreError> {
    let row = connection
        .prepare_cached(
            "SELECT asked, query_id, told, answer FROM outcome
             WHERE member = ?1 AND person = ?2 AND request = ?3 AND at > ?4",
        )?
        .query_row(
            (
                key.member.as_str(),
                key.person.as_str(),
                key.request.as_str(),
                now.as_second() - OUTCOME_SECONDS,
            ),
            |row| {
                Ok((
                    row.get::<_, [u8; 32]>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                    row.get(3)?,
                ))
            },
        )
        .optional()?;
    let Some((asked, query_id, told, answer)) = row else {
        return Ok(None);
    };
    Ok(Some(Kept {
        asked: Digest::from_bytes(asked),
        query_id: query_id.parse().map_err(|_| StoreError::Outcome)?,
        told: serde_json::from_str(&told)?,
        answer,
    }))
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not who asks.
        f.debug_struct("RequestKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
