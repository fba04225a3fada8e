//! Messages of a server as batches that are as small as those of files.

use arrow::array::{Array as _, ArrayRef, AsArray as _, OffsetSizeTrait, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::{FlightError, Result as FlightResult};
use futures::{StreamExt as _, TryStreamExt as _};
use terms::{Problem, Report};
use tonic::Streaming;

use crate::source::{BATCH_BYTES, BATCH_ROWS, RECORD_BYTES_MAX};

/// Most rows of a message: columns of nothing take no room, however many rows they say they have.
const ROWS_MAX: usize = 16 * 1024 * 1024;

/// What a server sends of one part.
pub(super) struct Batches(FlightRecordBatchStream);

impl Batches {
    pub(super) fn new(messages: Streaming<FlightData>) -> Self {
        let messages = messages.map(|message| uncompressed(message?));
        Self(FlightRecordBatchStream::new_from_flight_data(messages))
    }

    pub(super) async fn next(&mut self) -> FlightResult<Option<RecordBatch>> {
        self.0.try_next().await
    }

    pub(super) fn schema(&self) -> Option<&SchemaRef> {
        self.0.schema()
    }
}

/// A compressed batch says how long it becomes, and is taken at its word by whoever decompresses it.
fn uncompressed(message: FlightData) -> FlightResult<FlightData> {
    let header = arrow::ipc::root_as_message(&message.data_header);
    let header = header.map_err(|_| FlightError::protocol("a message that is none"))?;
    let dictionary = header
        .header_as_dictionary_batch()
        .and_then(|dictionary| dictionary.data());
    match header.header_as_record_batch().or(dictionary) {
        Some(batch) if batch.compression().is_some() => {
            Err(FlightError::NotYetImplemented("compressed batches".to_owned()))
        }
        _ => Ok(message),
    }
}

/// Parts of a batch whose texts take no more room than those of a file do, also where they are shared in it: a short message can name a
/// long text in each of many rows.
pub(super) fn cut(batch: &RecordBatch) -> Result<impl Iterator<Item = RecordBatch> + use<>, Report> {
    let longest: Vec<usize> = batch.columns().iter().map(longest).collect();
    let rows = batch.num_rows();
    if longest.iter().any(|bytes| *bytes > RECORD_BYTES_MAX) || rows > ROWS_MAX {
        return Err(Problem::SourceBroken.report("the server sends a value or a batch that is longer than one may be"));
    }
    let of_row: usize = longest.iter().sum();
    let at_once = (BATCH_BYTES / of_row.max(1)).clamp(1, BATCH_ROWS);
    let batch = batch.clone();
    let starts = (0..rows).step_by(at_once);
    Ok(starts.map(move |start| batch.slice(start, at_once.min(rows - start))))
}

/// Bytes of the longest text of a column.
fn longest(column: &ArrayRef) -> usize {
    match column.data_type() {
        DataType::Utf8 => longest_between::<i32>(column),
        DataType::LargeUtf8 => longest_between::<i64>(column),
        DataType::Utf8View => {
            let lengths = column.as_string_view().lengths();
            lengths.max().unwrap_or_default() as usize
        }
        DataType::Dictionary(..) => longest(column.as_any_dictionary().values()),
        _ => 0,
    }
}

fn longest_between<O: OffsetSizeTrait>(column: &ArrayRef) -> usize {
    let lengths = column.as_string::<O>().offsets().lengths();
    lengths.max().unwrap_or_default()
}
