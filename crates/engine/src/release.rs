//! What leaves: arrays that hold nothing but what was released. Long lists of rows leave while they are read: `stream.rs`.
//!
//! Arrow ships what SQL hides: masked values stay behind the null bit, string views and dictionaries carry
//! filtered-out text. Every array is therefore built anew, in `normalised`, from the values that leave.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, PrimitiveArray, StringArray, UInt32Array,
    new_empty_array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{CastOptions, cast_with_options, take};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DECIMAL128_MAX_PRECISION, DataType, Date32Type, Decimal128Type, Float64Type, Int64Type,
    SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use policy::MinPeople;
use trust::Digest;

use crate::cells::{Input, Table};
use crate::digest::digest_of;
use crate::disclose::{self, Reason, Verdicts};
use crate::enforce::{CellAggregate, CellOutput, CellShape, Checks};
use crate::execute::{Computed, ExecuteError, Executed};
use crate::kept::{Full, KeptValue, KeptValues, Older, Shelf};
use crate::numbers::{self, Number};
use crate::stream::RowStream;

/// Rows per batch of an answer.
const BATCH_ROWS: usize = 8_192;

/// What may leave the node.
#[derive(Clone, Debug)]
pub struct Released {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    withheld_values: u64,
    min_people: Option<MinPeople>,
    round_to: Option<u32>,
    kept_values: u64,
    new_values: Vec<KeptValue>,
}

impl Released {
    pub(crate) fn plain(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self {
            schema,
            batches,
            withheld_values: 0,
            min_people: None,
            round_to: None,
            kept_values: 0,
            new_values: Vec::new(),
        }
    }

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

    /// The digest that a receipt names.
    pub fn digest(&self) -> Digest {
        digest_of(&self.schema, &self.batches)
    }

    /// Bytes of its values.
    pub fn bytes(&self) -> u64 {
        self.batches.iter().map(bytes_of).sum()
    }

    /// Values withheld in released cells. How many whole cells were left out is told to nobody: it would say whether a group
    /// that is too small to show is there at all.
    pub fn blanked_values(&self) -> u64 {
        self.withheld_values
    }

    /// The threshold that was applied, if any.
    pub fn min_people(&self) -> Option<MinPeople> {
        self.min_people
    }

    /// What counts were rounded to, if they were.
    pub fn round_to(&self) -> Option<u32> {
        self.round_to
    }

    /// Values that were released before, to whomever, and left again in place of newer ones.
    pub fn kept_values(&self) -> u64 {
        self.kept_values
    }

    /// Values that leave for the first time. The node keeps them before the answer leaves.
    pub fn new_values(&self) -> &[KeptValue] {
        &self.new_values
    }
}

/// How an answer leaves.
#[derive(Debug)]
pub enum Leaving {
    /// All of it is there: cells, or a few rows.
    Whole(Released),
    /// Rows that are read while they leave.
    Rows(RowStream),
}

/// Bytes of the values, offsets and masks of arrays that leave: not what memory they have reserved.
pub fn bytes_of(batch: &RecordBatch) -> u64 {
    // An array that cannot say how long it is would not have been built.
    let bytes = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0) as u64;
    batch.columns().iter().map(bytes).sum()
}

/// Applies the disclosure rules and builds what leaves, or begins to. `node` is the value of the virtual column; `kept`, what the
/// node released before.
///
/// # Errors
/// [`ExecuteError::Engine`], for instance if a sum does not fit 64 bits; [`ExecuteError::Limit`] if no more values can be kept.
pub async fn release(executed: Executed, node: &str, kept: &KeptValues) -> Result<Leaving, ExecuteError> {
    let Executed { result, schema } = executed;
    match result {
        Computed::Rows(unread) => unread.begin(schema).await,
        Computed::Cells(table, shape) => release_cells(&table, &shape, schema, node, kept).map(Leaving::Whole),
    }
}

fn engine(error: ArrowError) -> ExecuteError {
    ExecuteError::Engine(error.into())
}

fn release_cells(
    table: &Table,
    shape: &CellShape,
    schema: SchemaRef,
    node: &str,
    kept: &KeptValues,
) -> Result<Released, ExecuteError> {
    let Some(checks) = &shape.checks else {
        let all = Verdicts::all(table.cells.len(), shape.aggregates.len());
        let values = shape.aggregates.iter().map(|aggregate| open_values(aggregate, table));
        let values: Vec<Vec<Option<Number>>> = values.collect();
        let columns = columns(table, shape, &all, &values, node).map_err(engine)?;
        let batches = batches(&schema, &columns, table.cells.len()).map_err(engine)?;
        return Ok(Released::plain(schema, batches));
    };
    let functions: Vec<_> = shape
        .aggregates
        .iter()
        .map(|aggregate| (&aggregate.function, aggregate.input))
        .collect();
    let mut verdicts = disclose::judge(table, &checks.keys, &checks.excludes, &functions, &checks.rules);
    let inputs = Inputs::of(table, shape, &verdicts, checks, kept)?;
    let cells = || 0..table.cells.len();
    for cell in verdicts.released().collect::<Vec<_>>() {
        for (aggregate, reasons) in shape.aggregates.iter().zip(&mut verdicts.reasons) {
            reasons[cell] = reasons[cell].or_else(|| inputs.reason(aggregate, cell, checks));
        }
    }
    // The value and whether it is an older one, where it may leave.
    let leaving = |(at, aggregate): (usize, &CellAggregate)| {
        let value = |cell: usize| match verdicts.reasons[at][cell] {
            None if !verdicts.is_withheld[cell] => inputs.leaving(aggregate, cell, checks),
            _ => None,
        };
        cells().map(value).collect::<Vec<Option<Number>>>()
    };
    let numbers: Vec<Vec<Option<Number>>> = shape.aggregates.iter().enumerate().map(leaving).collect();
    let kept_values = shape.aggregates.iter().zip(&numbers).map(|(aggregate, numbers)| {
        let older = cells().filter(|cell| numbers[*cell].is_some() && inputs.is_older(aggregate, *cell));
        older.count() as u64
    });
    let kept_values = kept_values.sum();
    let mut columns = columns(table, shape, &verdicts, &numbers, node).map_err(engine)?;
    columns.push(withheld_column(shape, &schema, &verdicts));
    let rows = verdicts.released().count();
    Ok(Released {
        batches: batches(&schema, &columns, rows).map_err(engine)?,
        schema,
        withheld_values: verdicts.withheld_values(),
        min_people: checks.rules.min_people(),
        round_to: checks.round_to,
        kept_values,
        new_values: inputs.new,
    })
}

fn open_values(aggregate: &CellAggregate, table: &Table) -> Vec<Option<Number>> {
    let input = |cell: &crate::cells::Cell| {
        numbers::number(&aggregate.function, &cell.inputs[aggregate.input], &aggregate.edges)
    };
    table.cells.iter().map(input).collect()
}

/// The inputs of which released values are made, by input and cell: as they are, or as they were when nearly the same people
/// were in them. Which of them are new goes on the shelf.
struct Inputs {
    /// By whether they are about bins, then as said.
    inputs: HashMap<(bool, usize, usize), Input>,
    replaced: HashSet<(bool, usize, usize)>,
    new: Vec<KeptValue>,
}

impl Inputs {
    fn of(
        table: &Table,
        shape: &CellShape,
        verdicts: &Verdicts,
        checks: &Checks,
        kept: &KeptValues,
    ) -> Result<Self, ExecuteError> {
        let mut all = Self {
            inputs: HashMap::new(),
            replaced: HashSet::new(),
            new: Vec::new(),
        };
        let mut shelf = kept.shelf();
        for (at, aggregate) in shape.aggregates.iter().enumerate() {
            for cell in verdicts.released().filter(|cell| verdicts.reasons[at][*cell].is_none()) {
                all.take(
                    aggregate,
                    &table.cells[cell].inputs[aggregate.input],
                    cell,
                    checks,
                    &shelf,
                );
            }
        }
        shelf.add(&all.new).map_err(|Full| ExecuteError::Limit {
            what: "room for kept values".to_owned(),
        })?;
        Ok(all)
    }

    fn take(&mut self, aggregate: &CellAggregate, input: &Input, cell: usize, checks: &Checks, shelf: &Shelf) {
        let at = (aggregate.is_of_bins(), aggregate.input, cell);
        let sketch = match &input.sketches.bins {
            Some(sketch) if aggregate.is_of_bins() => sketch,
            _ => &input.sketches.sums,
        };
        if self.inputs.contains_key(&at) {
            return;
        }
        let (statistic, people_min) = (aggregate.statistic.clone(), checks.rules.people_min);
        let value = KeptValue::new(statistic, people_min, input.into(), sketch.clone());
        match shelf.older(&value, input) {
            Older::Nothing => {
                self.new.push(value);
                self.inputs.insert(at, input.clone());
            }
            Older::Kept(older) => {
                self.replaced.insert(at);
                self.inputs.insert(at, *older);
            }
            Older::Unsaid => {}
        }
    }

    /// Why the value may not leave after all: there is none, or the older one would not have been released.
    fn reason(&self, aggregate: &CellAggregate, cell: usize, checks: &Checks) -> Option<Reason> {
        match self.inputs.get(&(aggregate.is_of_bins(), aggregate.input, cell)) {
            None => Some(Reason::Complement),
            Some(older) if self.is_older(aggregate, cell) => disclose::older(&aggregate.function, older, &checks.rules),
            Some(_) => None,
        }
    }

    /// The value that leaves, rounded last of all.
    fn leaving(&self, aggregate: &CellAggregate, cell: usize, checks: &Checks) -> Option<Number> {
        let input = self.inputs.get(&(aggregate.is_of_bins(), aggregate.input, cell))?;
        let number = numbers::number(&aggregate.function, input, &aggregate.edges)?;
        Some(match checks.round_to {
            Some(to) => numbers::rounded(&aggregate.function, number, input.rows, to, aggregate.kind),
            None => number,
        })
    }

    /// Whether the value is an older one.
    fn is_older(&self, aggregate: &CellAggregate, cell: usize) -> bool {
        self.replaced.contains(&(aggregate.is_of_bins(), aggregate.input, cell))
    }
}

/// The columns of the answer, without the last one.
fn columns(
    table: &Table,
    shape: &CellShape,
    verdicts: &Verdicts,
    values: &[Vec<Option<Number>>],
    node: &str,
) -> Result<Vec<ArrayRef>, ArrowError> {
    let released: UInt32Array = verdicts.released().map(|cell| cell as u32).collect();
    let rows = released.len();
    let key = |at: usize| match table.keys.get(at) {
        Some(key) => take(key, &released, None),
        // No row came through the barrier. That must look like rows that are withheld.
        None if rows == 0 => Ok(new_empty_array(&DataType::Int64)),
        None => Err(ArrowError::SchemaError(format!("the plan has no key {at}"))),
    };
    let output = |output: &CellOutput| match output {
        CellOutput::Key(at) => key(*at),
        CellOutput::Bin(at, labels) => bin_labels(&key(*at)?, labels),
        CellOutput::Node => Ok(Arc::new(StringArray::from(vec![node; rows])) as ArrayRef),
        CellOutput::Aggregate(at) => {
            let values = values.get(*at).map_or(&[] as &[_], Vec::as_slice);
            number_column(verdicts.released().map(|cell| values.get(cell).copied().flatten()))
        }
    };
    shape.outputs.iter().map(output).collect()
}

/// Integers where all are; floats otherwise.
fn number_column(values: impl Iterator<Item = Option<Number>> + Clone) -> Result<ArrayRef, ArrowError> {
    if values.clone().flatten().any(|value| matches!(value, Number::Float(_))) {
        let floats = values.map(|value| value.map(Number::as_f64));
        return Ok(Arc::new(floats.collect::<Float64Array>()));
    }
    let integers = values.map(|value| match value {
        Some(Number::Integer(number)) => Some(number),
        Some(Number::Float(_)) | None => None,
    });
    // Where the column's type is narrower, what does not fit it is an error.
    let wide = integers.collect::<Decimal128Array>();
    Ok(Arc::new(wide.with_precision_and_scale(DECIMAL128_MAX_PRECISION, 0)?))
}

/// What of each row is withheld, and why: `total: dominance; mean: dominance`.
fn withheld_column(shape: &CellShape, schema: &SchemaRef, verdicts: &Verdicts) -> ArrayRef {
    let row = |cell: usize| {
        let outputs = shape.outputs.iter().zip(schema.fields());
        let withheld = outputs.filter_map(|(output, field)| match output {
            CellOutput::Aggregate(at) => {
                let reason = verdicts.reasons.get(*at)?.get(cell)?.as_ref()?;
                Some(format!("{}: {reason}", field.name()))
            }
            CellOutput::Key(_) | CellOutput::Bin(..) | CellOutput::Node => None,
        });
        let withheld: Vec<String> = withheld.collect();
        (!withheld.is_empty()).then(|| withheld.join("; "))
    };
    Arc::new(verdicts.released().map(row).collect::<StringArray>())
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

/// The rows of an answer in batches. A slice would carry the whole array; each part is built anew.
fn batches(schema: &SchemaRef, columns: &[ArrayRef], rows: usize) -> Result<Vec<RecordBatch>, ArrowError> {
    let starts = (0..rows).step_by(BATCH_ROWS);
    let parts = starts.map(|start| {
        let length = BATCH_ROWS.min(rows - start);
        let columns: Vec<ArrayRef> = columns.iter().map(|column| column.slice(start, length)).collect();
        normalised(schema, &columns, length)
    });
    parts.collect()
}

/// The one way out: every array that leaves a node is made here, anew, in the type of its column, with zeros behind the nulls and
/// nothing else in its buffers.
pub(crate) fn normalised(schema: &SchemaRef, columns: &[ArrayRef], rows: usize) -> Result<RecordBatch, ArrowError> {
    let columns = columns.iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| rebuild(column, field.data_type()));
    RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns.collect::<Result<_, _>>()?,
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
        DataType::Utf8 => Arc::new(texts(typed.as_string())?),
        DataType::Boolean => Arc::new(typed.as_boolean().iter().collect::<BooleanArray>()),
        DataType::Int64 => primitive::<Int64Type>(&typed),
        DataType::Float64 => primitive::<Float64Type>(&typed),
        DataType::Decimal128(precision, 0) => {
            let wide: Decimal128Array = typed.as_primitive::<Decimal128Type>().iter().collect();
            Arc::new(wide.with_precision_and_scale(*precision, 0)?)
        }
        DataType::Date32 => primitive::<Date32Type>(&typed),
        DataType::Timestamp(TimeUnit::Microsecond, None) => primitive::<TimestampMicrosecondType>(&typed),
        other => return Err(ArrowError::NotYetImplemented(format!("releasing {other}"))),
    })
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> ArrayRef {
    let array = array.as_primitive::<T>();
    if array.null_count() > 0 {
        return Arc::new(array.iter().collect::<PrimitiveArray<T>>());
    }
    Arc::new(PrimitiveArray::<T>::new(array.values().to_vec().into(), None))
}

fn texts(array: &StringArray) -> Result<StringArray, ArrowError> {
    if array.null_count() > 0 {
        return Ok(array.iter().collect());
    }
    // Without nulls every byte from the first offset to the last is one of a value.
    let (first, last) = (array.offsets()[0], array.offsets()[array.len()]);
    let offsets: Vec<i32> = array.offsets().iter().map(|offset| offset - first).collect();
    let bytes = array.value_data()[first as usize..last as usize].to_vec();
    StringArray::try_new(OffsetBuffer::new(offsets.into()), bytes.into(), None)
}

#[cfg(test)]
mod tests;
