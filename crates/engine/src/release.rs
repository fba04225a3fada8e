//! What leaves: the checks on released cells, and arrays that hold nothing but them.
//!
//! Arrow ships what SQL hides: masked values stay behind the null bit, string views and dictionaries carry
//! filtered-out text. Every array is therefore built anew from the values that leave.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, PrimitiveArray, StringArray, UInt32Array,
};
use datafusion::arrow::compute::kernels::cmp::{gt, gt_eq};
use datafusion::arrow::compute::{
    CastOptions, SortColumn, cast_with_options, concat_batches, filter_record_batch, lexsort_to_indices, not, nullif,
    take_record_batch,
};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Float64Type, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use policy::{MinPeople, Tier};
use trust::Digest;

use crate::enforce::{CellOutput, MeasureColumns, PEOPLE, ROWS, Shape, ShapeKind};
use crate::execute::{ExecuteError, Executed};

/// Rows per batch of an answer.
const BATCH_ROWS: usize = 8_192;

/// What may leave the node.
#[derive(Clone, Debug)]
pub struct Released {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    blanked_values: u64,
    min_people: Option<MinPeople>,
}

impl Released {
    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows: cells sorted by group, or rows as they are stored.
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.batches.iter().map(|batch| batch.num_rows() as u64).sum()
    }

    /// Values blanked in released cells because too few people contribute to them. How many whole cells were left
    /// out is told to nobody: it would say whether a group that is too small to show is there at all.
    pub fn blanked_values(&self) -> u64 {
        self.blanked_values
    }

    /// The threshold that was applied, if any.
    pub fn min_people(&self) -> Option<MinPeople> {
        self.min_people
    }
}

/// The digest that a receipt names: over columns, their types and every value in order, so that whoever holds the
/// answer can compute it again, however it was cut into batches.
pub fn digest(released: &Released) -> Digest {
    digest_of(&released.schema, &released.batches)
}

/// The same over batches that arrived.
pub fn digest_of(schema: &SchemaRef, batches: &[RecordBatch]) -> Digest {
    let mut hash = Digest::hasher();
    for field in schema.fields() {
        hash.update(format!("{}\0{}\0", field.name(), field.data_type()).as_bytes());
    }
    let mut row = Vec::new();
    for batch in batches {
        for index in 0..batch.num_rows() {
            row.clear();
            batch
                .columns()
                .iter()
                .for_each(|column| value_bytes(column, index, &mut row));
            hash.update(&row);
        }
    }
    hash.finish()
}

/// A tag, then the value: fixed-width little-endian numbers, length and UTF-8 of texts.
fn value_bytes(column: &ArrayRef, index: usize, row: &mut Vec<u8>) {
    if column.is_null(index) {
        row.push(0);
        return;
    }
    row.push(1);
    match column.data_type() {
        DataType::Utf8 => {
            let text = column.as_string::<i32>().value(index);
            row.extend((text.len() as u64).to_le_bytes());
            row.extend(text.as_bytes());
        }
        DataType::Boolean => row.push(u8::from(column.as_boolean().value(index))),
        DataType::Int64 => row.extend(column.as_primitive::<Int64Type>().value(index).to_le_bytes()),
        DataType::Float64 => row.extend(column.as_primitive::<Float64Type>().value(index).to_le_bytes()),
        DataType::Date32 => row.extend(column.as_primitive::<Date32Type>().value(index).to_le_bytes()),
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            row.extend(
                column
                    .as_primitive::<TimestampMicrosecondType>()
                    .value(index)
                    .to_le_bytes(),
            );
        }
        // `rebuild` makes no other type; what arrives with one does not match any receipt.
        other => row.extend(other.to_string().as_bytes()),
    }
}

/// Applies the disclosure rules and builds what leaves. `node` is the value of the virtual column.
///
/// # Errors
/// [`ExecuteError::Engine`], for instance if a sum does not fit 64 bits.
pub fn release(executed: Executed, node: &str) -> Result<Released, ExecuteError> {
    let Executed { batches, shape } = executed;
    match shape.kind {
        ShapeKind::Rows => release_rows(&batches, shape.schema).map_err(engine),
        ShapeKind::Cells { .. } => release_cells(&batches, &shape, node).map_err(engine),
    }
}

fn engine(error: ArrowError) -> ExecuteError {
    ExecuteError::Engine(error.into())
}

fn release_rows(batches: &[RecordBatch], schema: SchemaRef) -> Result<Released, ArrowError> {
    let rebuilt = batches.iter().map(|batch| {
        let columns = batch.columns().iter().zip(schema.fields());
        let columns = columns
            .map(|(column, field)| rebuild(column, field.data_type()))
            .collect::<Result<_, _>>()?;
        new_batch(&schema, columns, batch.num_rows())
    });
    let batches = rebuilt.collect::<Result<_, _>>()?;
    Ok(Released {
        schema,
        batches,
        blanked_values: 0,
        min_people: None,
    })
}

fn release_cells(batches: &[RecordBatch], shape: &Shape, node: &str) -> Result<Released, ArrowError> {
    let ShapeKind::Cells {
        tier,
        group_columns,
        is_grouped,
        outputs,
    } = &shape.kind
    else {
        return Err(ArrowError::InvalidArgumentError("rows in place of cells".to_owned()));
    };
    let schema = Arc::clone(&shape.schema);
    let min_people = match tier {
        Tier::Open => None,
        Tier::Statistical { min_people } => Some(*min_people),
    };
    let Some(first) = batches.first() else {
        return Ok(Released {
            schema,
            batches: Vec::new(),
            blanked_values: 0,
            min_people,
        });
    };
    let all = concat_batches(&first.schema(), batches)?;
    let kept = match min_people {
        Some(k) => filter_record_batch(&all, &enough(column(&all, PEOPLE)?, k)?)?,
        // Grouped by `node` alone the plan has no groups, and gives one row even over nothing.
        None if *is_grouped => filter_record_batch(&all, &gt(column(&all, ROWS)?, &Int64Array::new_scalar(0))?)?,
        None => all.clone(),
    };
    let kept = sorted(kept, group_columns)?;
    let mut blanked = 0;
    let mut columns = Vec::with_capacity(outputs.len());
    for (output, field) in outputs.iter().zip(schema.fields()) {
        let (values, masked) = output_column(output, &kept, min_people, node)?;
        blanked += masked;
        columns.push(rebuild(&values, field.data_type())?);
    }
    let whole = new_batch(&schema, columns, kept.num_rows())?;
    // A slice would carry the whole array; small answers are one batch, large ones are rebuilt in parts.
    let batches = if whole.num_rows() <= BATCH_ROWS {
        vec![whole]
    } else {
        in_parts(&whole)?
    };
    Ok(Released {
        schema,
        batches,
        blanked_values: blanked,
        min_people,
    })
}

/// One column of the answer and how many of its values were blanked.
fn output_column(
    output: &CellOutput,
    cells: &RecordBatch,
    min_people: Option<MinPeople>,
    node: &str,
) -> Result<(ArrayRef, u64), ArrowError> {
    match output {
        CellOutput::Group(name) => Ok((Arc::clone(column(cells, name)?), 0)),
        CellOutput::Bin(name, labels) => Ok((bin_labels(column(cells, name)?, labels)?, 0)),
        CellOutput::Node => Ok((Arc::new(StringArray::from(vec![node; cells.num_rows()])), 0)),
        CellOutput::CountRows => Ok((Arc::clone(column(cells, ROWS)?), 0)),
        CellOutput::Count(measure) => masked(column(cells, &measure.known)?, measure, cells, min_people),
        CellOutput::Sum(measure) => masked(column(cells, &measure.sum)?, measure, cells, min_people),
        CellOutput::Mean(measure) => masked(&mean(measure, cells)?, measure, cells, min_people),
    }
}

fn bin_labels(bins: &ArrayRef, labels: &[String]) -> Result<ArrayRef, ArrowError> {
    let bins = rebuild(bins, &DataType::Int64)?;
    let label = |bin: i64| {
        usize::try_from(bin)
            .ok()
            .and_then(|bin| labels.get(bin))
            .map(String::as_str)
    };
    let labelled = bins.as_primitive::<Int64Type>().iter().map(|bin| bin.and_then(label));
    Ok(Arc::new(labelled.collect::<StringArray>()))
}

/// Blanks values to which fewer than `min_people` people contribute.
fn masked(
    values: &ArrayRef,
    measure: &MeasureColumns,
    cells: &RecordBatch,
    min_people: Option<MinPeople>,
) -> Result<(ArrayRef, u64), ArrowError> {
    let Some(k) = min_people else {
        return Ok((Arc::clone(values), 0));
    };
    let too_few = not(&enough(column(cells, &measure.people)?, k)?)?;
    let blanked = too_few.true_count() as u64;
    Ok((nullif(values, &too_few)?, blanked))
}

fn mean(measure: &MeasureColumns, cells: &RecordBatch) -> Result<ArrayRef, ArrowError> {
    let sums = rebuild(column(cells, &measure.sum)?, &DataType::Float64)?;
    let known = rebuild(column(cells, &measure.known)?, &DataType::Int64)?;
    let pairs = sums
        .as_primitive::<Float64Type>()
        .iter()
        .zip(known.as_primitive::<Int64Type>());
    let mean = |(sum, known): (Option<f64>, Option<i64>)| match (sum, known) {
        (Some(sum), Some(known)) if known > 0 => Some(sum / known as f64),
        _ => None,
    };
    Ok(Arc::new(pairs.map(mean).collect::<Float64Array>()))
}

fn enough(people: &ArrayRef, k: MinPeople) -> Result<BooleanArray, ArrowError> {
    gt_eq(people, &Int64Array::new_scalar(i64::from(k.get())))
}

fn sorted(cells: RecordBatch, group_columns: &[String]) -> Result<RecordBatch, ArrowError> {
    if group_columns.is_empty() || cells.num_rows() == 0 {
        return Ok(cells);
    }
    let keys = group_columns.iter().map(|name| {
        Ok(SortColumn {
            values: Arc::clone(column(&cells, name)?),
            options: None,
        })
    });
    let order: UInt32Array = lexsort_to_indices(&keys.collect::<Result<Vec<_>, ArrowError>>()?, None)?;
    take_record_batch(&cells, &order)
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    let found = batch.column_by_name(name);
    found.ok_or_else(|| ArrowError::SchemaError(format!("the plan has no column {name}")))
}

fn in_parts(whole: &RecordBatch) -> Result<Vec<RecordBatch>, ArrowError> {
    let starts = (0..whole.num_rows()).step_by(BATCH_ROWS);
    let parts = starts.map(|start| whole.slice(start, BATCH_ROWS.min(whole.num_rows() - start)));
    parts
        .map(|part| {
            let columns = part.columns().iter().map(|column| rebuild(column, column.data_type()));
            new_batch(&part.schema(), columns.collect::<Result<_, _>>()?, part.num_rows())
        })
        .collect()
}

fn new_batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &RecordBatchOptions::new().with_row_count(Some(rows)),
    )
}

/// A new array of `to` with the same values, zeros behind the nulls and nothing else in its buffers.
fn rebuild(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let typed = cast_with_options(array, to, &strict)?;
    Ok(match to {
        DataType::Utf8 => Arc::new(typed.as_string::<i32>().iter().collect::<StringArray>()),
        DataType::Boolean => Arc::new(typed.as_boolean().iter().collect::<BooleanArray>()),
        DataType::Int64 => primitive::<Int64Type>(&typed),
        DataType::Float64 => primitive::<Float64Type>(&typed),
        DataType::Date32 => primitive::<Date32Type>(&typed),
        DataType::Timestamp(TimeUnit::Microsecond, None) => primitive::<TimestampMicrosecondType>(&typed),
        other => return Err(ArrowError::NotYetImplemented(format!("releasing {other}"))),
    })
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> ArrayRef {
    Arc::new(array.as_primitive::<T>().iter().collect::<PrimitiveArray<T>>())
}
