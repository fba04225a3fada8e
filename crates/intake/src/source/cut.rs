//! Batches of Arrow, from a server or a file, as batches that are as small as those of texts.

use arrow::array::{Array as _, ArrayRef, AsArray as _, OffsetSizeTrait, RecordBatch};
use arrow::datatypes::DataType;

use super::{BATCH_BYTES, BATCH_ROWS, RECORD_BYTES_MAX};

/// Parts of a batch whose texts take no more room than those of a file do, also where they are shared in it: a short message can name a
/// long text in each of many rows. None if a value is longer than one may be.
pub(super) fn cut(batch: &RecordBatch) -> Option<impl Iterator<Item = RecordBatch> + use<>> {
    let longest: Vec<usize> = batch.columns().iter().map(longest).collect();
    let rows = batch.num_rows();
    if longest.iter().any(|bytes| *bytes > RECORD_BYTES_MAX) {
        return None;
    }
    let of_row: usize = longest.iter().sum();
    let at_once = (BATCH_BYTES / of_row.max(1)).clamp(1, BATCH_ROWS);
    let batch = batch.clone();
    let starts = (0..rows).step_by(at_once);
    Some(starts.map(move |start| batch.slice(start, at_once.min(rows - start))))
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
