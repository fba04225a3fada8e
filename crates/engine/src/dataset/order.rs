//! A checked snapshot into its final order: all rows of one person together, in an order that says nothing.
//!
//! So a query adds up one person after the other and need not hold all of them in memory, and rows that leave do not
//! come in the order of identifiers. What does not fit in memory is sorted in parts on the node's own disk, beside the data.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::ident;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use policy::Collection;
use terms::{Problem, Report};

use super::ORDER;
use crate::memory;

/// Rows in one group of a snapshot: what a part of a query skips or reads as a whole.
const GROUP_ROWS: usize = 128 * 1024;

/// The file that is checked and not sorted yet.
pub(super) const DRAFT: &str = "unsorted.draft";

/// How the folder ends in which parts are sorted.
const SORTING: &str = "sorting";

/// What a snapshot that was broken off has left: parts of the data.
pub(super) fn remove_leftovers(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        // Left behind at worst; the next snapshot tries again.
        if path.extension().is_some_and(|ending| ending == SORTING) {
            let _ = fs::remove_dir_all(path);
        } else if path.file_name().is_some_and(|name| name == DRAFT) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Writes the snapshot in `draft` to `target`, sorted if it is about people.
pub(super) fn sort(draft: &Path, collection: &Collection, target: &Path) -> Result<(), Report> {
    if !collection.personal {
        return fs::rename(draft, target).map_err(|error| super::unreadable(target, &error));
    }
    let spill = target.with_extension(SORTING);
    fs::create_dir_all(&spill).map_err(|error| super::unreadable(&spill, &error))?;
    let sorted = in_a_runtime(|| sorted(draft, collection, target, &spill));
    // Parts of the data; a leftover is removed before the next snapshot.
    let _ = fs::remove_dir_all(&spill);
    sorted
}

/// The engine sorts in tasks; whoever adds a dataset may run in a runtime of their own already.
fn in_a_runtime<F: Future<Output = Result<(), Report>>>(work: impl FnOnce() -> F + Send) -> Result<(), Report> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Problem::Internal.report(format!("no runtime: {error}")))?;
        runtime.block_on(work())
    };
    std::thread::scope(|scope| scope.spawn(run).join())
        .unwrap_or_else(|_| Err(Problem::Internal.report("sorting the data stopped")))
}

async fn sorted(draft: &Path, collection: &Collection, target: &Path, spill: &Path) -> Result<(), Report> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_limit(memory::bytes_max(), 1.0)
        .with_disk_manager_builder(
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![spill.to_owned()])),
        )
        .build_arc()
        .map_err(|error| failed(&error))?;
    let config = SessionConfig::new().with_target_partitions(1);
    let context = SessionContext::new_with_config_rt(config, runtime);
    let options = ParquetReadOptions::new().file_extension("draft").skip_metadata(true);
    let frame = context.read_parquet(draft.to_string_lossy().as_ref(), options).await;
    let frame = frame.and_then(|frame| frame.sort(vec![ident(ORDER).sort(true, false)]));
    let frame = frame.map_err(|error| failed(&error))?;
    let mut batches = frame.execute_stream().await.map_err(|error| failed(&error))?;
    // A dictionary of people would be longer than what it stands for, and slower to read.
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_column_dictionary_enabled(ColumnPath::from(ORDER), false)
        .build();
    let file = File::create(target).map_err(|error| super::unreadable(target, &error))?;
    let schema = Arc::new(stored_types(&batches.schema()));
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(|e| unwritten(&e))?;
    let mut last = None;
    while let Some(batch) = batches.next().await {
        let batch = batch
            .and_then(|batch| Ok(as_stored(&batch, &schema)?))
            .map_err(|error| failed(&error))?;
        last = require_distinct(&batch, collection, last)?;
        writer.write(&batch).map_err(|e| unwritten(&e))?;
    }
    let file = writer.into_inner().map_err(|e| unwritten(&e))?;
    file.sync_all().map_err(|error| super::unreadable(target, &error))
}

/// The engine reads texts as views; snapshots hold plain ones.
fn stored_types(schema: &datafusion::arrow::datatypes::Schema) -> datafusion::arrow::datatypes::Schema {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8View => field.as_ref().clone().with_data_type(DataType::Utf8),
        _ => field.as_ref().clone(),
    });
    datafusion::arrow::datatypes::Schema::new(fields.collect::<Vec<_>>())
}

fn as_stored(
    batch: &RecordBatch,
    schema: &Arc<datafusion::arrow::datatypes::Schema>,
) -> Result<RecordBatch, datafusion::arrow::error::ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

/// Two people with one hash would be counted as one. Among a thousand million people that has a chance of one in forty; it is looked
/// for all the same. Gives back the last person of the batch.
fn require_distinct(
    batch: &RecordBatch,
    collection: &Collection,
    mut last: Option<(i64, String)>,
) -> Result<Option<(i64, String)>, Report> {
    let unit = collection.privacy_unit.as_deref().unwrap_or_default();
    let (Some(order), Some(people)) = (batch.column_by_name(ORDER), batch.column_by_name(unit)) else {
        return Err(Problem::Internal.report("the snapshot has no people to sort by"));
    };
    let people = cast(people, &DataType::Utf8).map_err(|error| failed(&error.into()))?;
    let (order, people) = (order.as_primitive::<Int64Type>(), people.as_string::<i32>());
    for row in 0..batch.num_rows() {
        match &last {
            Some((hash, person)) if *hash == order.value(row) => {
                if person != people.value(row) {
                    return Err(Problem::Internal
                        .report("two people cannot be told apart by their hashes")
                        .remedy(
                            "remove the file node.secret in the folder of the datasets and add all data files again",
                        ));
                }
            }
            Some(_) | None => last = Some((order.value(row), people.value(row).to_owned())),
        }
    }
    Ok(last)
}

/// The engine's words stay out: they can quote data.
fn failed(error: &DataFusionError) -> Report {
    let what = match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => "there is too little memory",
        DataFusionError::IoError(_) => "the disk does not take it",
        _ => "the engine failed",
    };
    Problem::DataSchema
        .report(format!("the data cannot be sorted: {what}"))
        .remedy("check the node's disk and memory, then add the data file again")
}

fn unwritten(error: &parquet::errors::ParquetError) -> Report {
    Problem::DataSchema
        .report(format!("the snapshot cannot be written: {error}"))
        .remedy("check the node's disk")
}

#[cfg(test)]
mod tests;
