//! The binary form of `COPY`, as batches: a header, and rows of fields with their length, where -1 is NULL. So nothing is NULL that
//! is empty, and no value is written as a text that would have to be read again.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::SchemaRef;
use terms::{Problem, Report};

use super::Kind;
use crate::source::{BATCH_BYTES, BATCH_ROWS, RECORD_BYTES_MAX};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Signature, flags, and the length of what is added to the header.
const HEADER_BYTES: usize = SIGNATURE.len() + 8;

/// From 1970-01-01 to 2000-01-01, from which PostgreSQL counts.
const DAYS: i32 = 10_957;
const MICROSECONDS: i64 = 946_684_800_000_000;

/// Rows on their way into a batch.
pub(super) struct Rows {
    schema: SchemaRef,
    columns: Vec<Cells>,
    pending: Vec<u8>,
    is_begun: bool,
    is_over: bool,
    rows: usize,
    bytes: usize,
    /// Of all batches, for messages.
    row: u64,
}

enum Cells {
    Text(StringBuilder),
    Integer(Int64Builder),
    Number(Float64Builder),
    Boolean(BooleanBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Rows {
    pub(super) fn new(schema: SchemaRef, kinds: &[Kind]) -> Self {
        let builder = |kind: &Kind| match kind {
            Kind::Text | Kind::Numeric => Cells::Text(StringBuilder::new()),
            Kind::Integer => Cells::Integer(Int64Builder::new()),
            Kind::Number => Cells::Number(Float64Builder::new()),
            Kind::Boolean => Cells::Boolean(BooleanBuilder::new()),
            Kind::Date => Cells::Date(Date32Builder::new()),
            Kind::Timestamp | Kind::Instant => {
                Cells::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(kind.arrow()))
            }
        };
        Self {
            columns: kinds.iter().map(builder).collect(),
            schema,
            pending: Vec::new(),
            is_begun: false,
            is_over: false,
            rows: 0,
            bytes: 0,
            row: 0,
        }
    }

    /// Takes what came, and gives a batch if one is full. What comes at once is mostly one row.
    pub(super) fn take(&mut self, chunk: &[u8]) -> Result<Option<RecordBatch>, Report> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(chunk);
        let mut rest = Bytes(&pending);
        if !self.is_begun {
            self.is_begun = rest.header()?;
        }
        while self.is_begun && !self.is_over && self.row(&mut rest)? {}
        let left = rest.0.len();
        if left > RECORD_BYTES_MAX {
            return Err(self.refused("is longer than a row of a table may be"));
        }
        pending.drain(..pending.len() - left);
        self.pending = pending;
        match self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
            true => self.batch().map(Some),
            false => Ok(None),
        }
    }

    /// What is left, if the end of the rows came.
    pub(super) fn finish(&mut self) -> Result<Option<RecordBatch>, Report> {
        if !self.is_over {
            return Err(Problem::SourceBroken.report("PostgreSQL ended in the middle of its rows"));
        }
        match self.rows {
            0 => Ok(None),
            _ => self.batch().map(Some),
        }
    }

    /// Reads one row if all of it is there.
    fn row(&mut self, rest: &mut Bytes<'_>) -> Result<bool, Report> {
        let Some((fields, after)) = rest.whole_row() else {
            return Ok(false);
        };
        let Some(fields) = fields else {
            self.is_over = true;
            *rest = after;
            return Ok(true);
        };
        self.row += 1;
        if fields != self.columns.len() {
            return Err(strange());
        }
        let mut cells = Bytes(&rest.0[2..]);
        for place in 0..fields {
            let cell = cells.field().ok_or_else(strange)?;
            self.bytes += cell.map_or(0, <[u8]>::len);
            if let Err(what) = self.columns[place].push(cell) {
                let name = self.schema.field(place).name();
                return Err(self.refused(&format!("column {name}: {what}")));
            }
        }
        *rest = after;
        self.rows += 1;
        Ok(true)
    }

    fn batch(&mut self) -> Result<RecordBatch, Report> {
        let columns = self.columns.iter_mut().map(Cells::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
        batch.map_err(|error| crate::source::malformed(&error))
    }

    fn refused(&self, what: &str) -> Report {
        Problem::DataFormat
            .report(format!("row {}, {what}", self.row.max(1)))
            .remedy("leave it out or change it with query, as in nullif(day, 'infinity')")
    }
}

impl Cells {
    fn push(&mut self, cell: Option<&[u8]>) -> Result<(), &'static str> {
        match self {
            Self::Text(cells) => {
                let text = cell.map(std::str::from_utf8).transpose();
                cells.append_option(text.map_err(|_| "text that is not UTF-8")?);
            }
            Self::Integer(cells) => cells.append_option(number(cell)?.map(i64::from_be_bytes)),
            Self::Number(cells) => cells.append_option(number(cell)?.map(f64::from_be_bytes)),
            Self::Boolean(cells) => cells.append_option(number(cell)?.map(|[truth]| truth != 0)),
            Self::Date(cells) => cells.append_option(number(cell)?.map(i32::from_be_bytes).map(day).transpose()?),
            Self::Timestamp(cells) => {
                cells.append_option(number(cell)?.map(i64::from_be_bytes).map(instant).transpose()?)
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(cells) => Arc::new(cells.finish()),
            Self::Integer(cells) => Arc::new(cells.finish()),
            Self::Number(cells) => Arc::new(cells.finish()),
            Self::Boolean(cells) => Arc::new(cells.finish()),
            Self::Date(cells) => Arc::new(cells.finish()),
            Self::Timestamp(cells) => Arc::new(cells.finish()),
        }
    }
}

fn number<const N: usize>(cell: Option<&[u8]>) -> Result<Option<[u8; N]>, &'static str> {
    cell.map(|cell| {
        cell.try_into()
            .map_err(|_| "a value of another length than its type has")
    })
    .transpose()
}

fn day(days: i32) -> Result<i32, &'static str> {
    match days {
        i32::MIN | i32::MAX => Err("infinity where a day is expected"),
        days => days.checked_add(DAYS).ok_or("a day too far away"),
    }
}

fn instant(microseconds: i64) -> Result<i64, &'static str> {
    match microseconds {
        i64::MIN | i64::MAX => Err("infinity where a time is expected"),
        microseconds => microseconds.checked_add(MICROSECONDS).ok_or("a time too far away"),
    }
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// Passes over the header if all of it is there.
    fn header(&mut self) -> Result<bool, Report> {
        if self.0.len() < HEADER_BYTES {
            return Ok(false);
        }
        if !self.0.starts_with(SIGNATURE) || self.0[HEADER_BYTES - 4..HEADER_BYTES] != [0; 4] {
            return Err(strange());
        }
        self.0 = &self.0[HEADER_BYTES..];
        Ok(true)
    }

    /// The number of fields of the next row, none at the end of all; and what is after it. Nothing if not all of it is there.
    fn whole_row(&self) -> Option<(Option<usize>, Bytes<'a>)> {
        let mut after = Bytes(self.0);
        let fields = i16::from_be_bytes(*after.next()?);
        let Ok(fields) = usize::try_from(fields) else {
            return Some((None, after));
        };
        for _ in 0..fields {
            after.field()?;
        }
        Some((Some(fields), after))
    }

    fn field(&mut self) -> Option<Option<&'a [u8]>> {
        let Ok(length) = usize::try_from(i32::from_be_bytes(*self.next()?)) else {
            return Some(None);
        };
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(field))
    }

    fn next<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (next, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(next)
    }
}

fn strange() -> Report {
    Problem::SourceBroken.report("PostgreSQL sends rows in another form than was asked for")
}
