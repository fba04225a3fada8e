//! Rows become Arrow arrays.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, ListArray, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, SchemaRef};
use arrow::error::ArrowError;

use crate::rows::Cell;
use crate::view::{ColumnKind, Compiled};

/// Most rows, and about the most bytes of text, that one batch has.
const BATCH_ROWS: usize = 8 * 1024;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// A batch that is being filled.
#[derive(Debug)]
pub(crate) struct Columns {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

#[derive(Debug)]
enum Column {
    Plain(Plain),
    List { values: Plain, lengths: Vec<usize> },
}

#[derive(Debug)]
enum Plain {
    Text(StringBuilder),
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Number(Float64Builder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Columns {
    pub(crate) fn of(view: &Compiled, schema: &SchemaRef) -> Self {
        let column = |shape: &crate::view::Shape| match shape.collection {
            false => Column::Plain(Plain::of(shape.kind)),
            true => Column::List {
                values: Plain::of(shape.kind),
                lengths: Vec::new(),
            },
        };
        Self {
            schema: Arc::clone(schema),
            columns: view.columns.iter().map(column).collect(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Takes one row, a cell for each column.
    pub(crate) fn push(&mut self, row: &[Cell<'_>]) {
        for (column, cell) in self.columns.iter_mut().zip(row) {
            self.bytes += match column {
                Column::Plain(values) => values.push(cell),
                Column::List { values, lengths } => {
                    let cells: &[Cell<'_>] = if let Cell::List(cells) = cell { cells } else { &[] };
                    lengths.push(cells.len());
                    cells.iter().map(|cell| values.push(cell)).sum()
                }
            };
        }
        self.rows += 1;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The batch, after which the next one can be filled.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        self.bytes = 0;
        let arrays = self.columns.iter_mut().map(Column::finish).collect::<Result<_, _>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
    }
}

impl Column {
    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        match self {
            Column::Plain(values) => Ok(values.finish()),
            Column::List { values, lengths } => {
                let values = values.finish();
                let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
                let offsets = OffsetBuffer::from_lengths(lengths.drain(..));
                Ok(Arc::new(ListArray::try_new(field, offsets, values, None)?))
            }
        }
    }
}

impl Plain {
    fn of(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Text | ColumnKind::Written(_) => Plain::Text(StringBuilder::new()),
            ColumnKind::Boolean => Plain::Boolean(BooleanBuilder::new()),
            ColumnKind::Integer => Plain::Integer(Int64Builder::new()),
            ColumnKind::Number => Plain::Number(Float64Builder::new()),
            ColumnKind::Date => Plain::Date(Date32Builder::new()),
            ColumnKind::Timestamp => Plain::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
        }
    }

    /// Takes a value and says how many bytes it is. `rows::convert` makes only such as the column holds.
    fn push(&mut self, cell: &Cell<'_>) -> usize {
        match (self, cell) {
            (Plain::Text(values), Cell::Text(text)) => {
                values.append_value(text);
                return text.len() + size_of::<i32>();
            }
            (Plain::Boolean(values), Cell::Boolean(value)) => values.append_value(*value),
            (Plain::Integer(values), Cell::Integer(value)) => values.append_value(*value),
            (Plain::Number(values), Cell::Number(value)) => values.append_value(*value),
            (Plain::Date(values), Cell::Date(value)) => values.append_value(*value),
            (Plain::Timestamp(values), Cell::Timestamp(value)) => values.append_value(*value),
            (Plain::Text(values), _) => values.append_null(),
            (Plain::Boolean(values), _) => values.append_null(),
            (Plain::Integer(values), _) => values.append_null(),
            (Plain::Number(values), _) => values.append_null(),
            (Plain::Date(values), _) => values.append_null(),
            (Plain::Timestamp(values), _) => values.append_null(),
        }
        size_of::<i64>()
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Plain::Text(values) => Arc::new(values.finish()),
            Plain::Boolean(values) => Arc::new(values.finish()),
            Plain::Integer(values) => Arc::new(values.finish()),
            Plain::Number(values) => Arc::new(values.finish()),
            Plain::Date(values) => Arc::new(values.finish()),
            Plain::Timestamp(values) => Arc::new(values.finish()),
        }
    }
}
