//! Rows on their way out: read, built anew and digested in a task of their own, hardly ahead of whoever takes them.
//!
//! However many rows there are, only a few batches of them are in memory. Whoever takes them slowly is waited for, and the time limit
//! counts only the work. To drop a stream is to end its work. It must never hand out a batch that `release.rs` has not built.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use terms::limit;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use trust::Digest;

use crate::digest::ResultDigest;
use crate::execute::ExecuteError;
use crate::release::{Leaving, Released, bytes_of, normalised};
use crate::workers;

/// Batches that lie ready while another one is being built and one is being sent: reading and sending go on at the same time.
const BATCHES_READY_MAX: usize = 1;

/// The stored rows that a plan lets through, one part after the other.
pub(crate) struct Unread(pub(crate) Vec<SendableRecordBatchStream>);

/// How much may be read.
#[derive(Clone, Copy, Debug)]
struct Limits {
    rows: usize,
    work: Duration,
    /// Bytes that are read before the first row leaves.
    ahead: u64,
}

const LIMITS: Limits = Limits {
    rows: limit::ROWS_MAX,
    work: Duration::from_secs(limit::QUERY_SECONDS_MAX),
    ahead: limit::WHOLE_ROWS_BYTES_MAX,
};

/// Rows that leave while they are read.
#[derive(Debug)]
pub struct RowStream {
    schema: SchemaRef,
    /// What was read before the first may leave.
    ahead: VecDeque<RecordBatch>,
    ready: mpsc::Receiver<RecordBatch>,
    /// One task, aborted when this is dropped.
    reading: JoinSet<Result<Digest, ExecuteError>>,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// Rows.
    Batch(RecordBatch),
    /// Nothing more: the digest of all rows.
    End(Digest),
}

impl Unread {
    /// Begins to read. What is not long is read to its end.
    pub(crate) async fn begin(self, schema: SchemaRef) -> Result<Leaving, ExecuteError> {
        self.begin_within(schema, LIMITS).await
    }

    async fn begin_within(self, schema: SchemaRef, limits: Limits) -> Result<Leaving, ExecuteError> {
        let (taken, ready) = mpsc::channel(BATCHES_READY_MAX);
        let mut reading = JoinSet::new();
        reading.spawn_on(read(self, SchemaRef::clone(&schema), limits, taken), &workers::handle());
        let mut stream = RowStream {
            schema,
            ahead: VecDeque::new(),
            ready,
            reading,
        };
        let (mut ahead, mut bytes) = (VecDeque::new(), 0);
        while bytes <= limits.ahead {
            match stream.next().await? {
                Next::Batch(batch) => {
                    bytes += bytes_of(&batch);
                    ahead.push_back(batch);
                }
                Next::End(_) => return Ok(Leaving::Whole(Released::plain(stream.schema, ahead.into()))),
            }
        }
        stream.ahead = ahead;
        Ok(Leaving::Rows(stream))
    }
}

impl RowStream {
    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows, or the end. After the end, and after an error, there is nothing more.
    ///
    /// # Errors
    /// [`ExecuteError`], none of whose texts may leave the node except through [`ExecuteError::report`].
    pub async fn next(&mut self) -> Result<Next, ExecuteError> {
        if let Some(batch) = self.ahead.pop_front() {
            return Ok(Next::Batch(batch));
        }
        if let Some(batch) = self.ready.recv().await {
            return Ok(Next::Batch(batch));
        }
        // Whether that was the end, the task says: one that was aborted or panicked has not come to it.
        match self.reading.join_next().await {
            Some(Ok(ended)) => ended.map(Next::End),
            Some(Err(_)) | None => Err(ExecuteError::Stopped),
        }
    }
}

async fn read(
    unread: Unread,
    schema: SchemaRef,
    limits: Limits,
    ready: mpsc::Sender<RecordBatch>,
) -> Result<Digest, ExecuteError> {
    let mut stored = futures::stream::iter(unread.0).flatten();
    let (mut digest, mut rows, mut worked) = (ResultDigest::new(&schema), 0, Duration::ZERO);
    loop {
        let began = Instant::now();
        let left = limits.work.saturating_sub(worked);
        if left.is_zero() {
            return Err(too_long(limits));
        }
        let batch = tokio::time::timeout(left, stored.next()).await;
        let Some(batch) = batch.map_err(|_| too_long(limits))? else {
            return Ok(digest.finish());
        };
        let batch = batch?;
        rows += batch.num_rows();
        if rows > limits.rows {
            return Err(ExecuteError::Rows { most: limits.rows });
        }
        let batch = normalised(&schema, batch.columns(), batch.num_rows());
        let batch = batch.map_err(|error| ExecuteError::Engine(error.into()))?;
        digest.add(&batch);
        worked += began.elapsed();
        if ready.send(batch).await.is_err() {
            return Err(ExecuteError::Stopped);
        }
    }
}

fn too_long(limits: Limits) -> ExecuteError {
    ExecuteError::Limit {
        what: format!("{} s", limits.work.as_secs()),
    }
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unread").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests;
