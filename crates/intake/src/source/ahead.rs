//! Batches of a source that is read by somebody else's clock: on a thread and in a runtime of its own, a little ahead of whoever takes
//! them and never further. Whoever waits may be in a runtime already.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};

use arrow::array::RecordBatch;
use terms::{Problem, Report};

use super::resources::Resources;
use super::{Piece, Pieces};

/// Batches that are read ahead.
const BATCHES_AHEAD: usize = 2;

/// A batch, or none after the last.
type Next = Result<Option<RecordBatch>, Report>;

/// Where batches go.
pub(super) struct Sender(SyncSender<Next>);

impl Sender {
    /// Waits until there is room for a batch; whether anybody still takes them.
    pub(super) fn takes(&self, batch: RecordBatch) -> bool {
        self.0.send(Ok(Some(batch))).is_ok()
    }
}

/// The batches that `work` sends, as rows of one table.
pub(super) fn pieces<F: Future<Output = Result<(), Report>>>(
    name: Arc<str>,
    work: impl FnOnce(Sender) -> F + Send + 'static,
) -> Result<Pieces, Report> {
    let (sender, receiver) = mpsc::sync_channel(BATCHES_AHEAD);
    let last = sender.clone();
    std::thread::Builder::new()
        .name("source".to_owned())
        .spawn(move || {
            let ended = in_a_runtime(|| work(Sender(sender)));
            // Whoever reads may have ended.
            let _ = last.send(ended.and_then(|ended| ended).map(|()| None));
        })
        .map_err(|error| Problem::Internal.report(format!("no thread: {error}")))?;
    let (row, is_over) = (1, false);
    Ok(Box::new(Taken {
        receiver,
        name,
        row,
        is_over,
    }))
}

/// What comes of the thread. One that stops without saying that it ended has not read to the end.
struct Taken {
    receiver: Receiver<Next>,
    name: Arc<str>,
    row: u64,
    is_over: bool,
}

impl Iterator for Taken {
    type Item = Result<Piece, Report>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let batch = self.receiver.recv().unwrap_or_else(|_| Err(stopped())).transpose();
        self.is_over = !matches!(batch, Some(Ok(_)));
        Some(batch?.map(|batch| {
            let first_row = self.row;
            self.row += batch.num_rows() as u64;
            Piece {
                first_row,
                file: Some(Arc::clone(&self.name)),
                batch,
                resources: Resources::default(),
            }
        }))
    }
}

/// Does `work` and waits for it.
pub(super) fn apart<T: Send + 'static, F: Future<Output = T>>(
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<T, Report> {
    std::thread::spawn(|| in_a_runtime(work))
        .join()
        .map_err(|_| stopped())?
}

fn in_a_runtime<T, F: Future<Output = T>>(work: impl FnOnce() -> F) -> Result<T, Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Problem::Internal.report(format!("no runtime: {error}")))?;
    Ok(runtime.block_on(work()))
}

fn stopped() -> Report {
    Problem::Internal.report("reading the source stopped")
}
