//! CSV records as columns of text. RFC 4180, with any delimiter and any end of line.
//!
//! Driven by hand, because a quote that is never closed makes a record of the rest of the file: no record is longer than is said here.

use std::io::BufRead as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use terms::{Problem, Report};

use super::stream::{ENCODING, Text, undecoded};
use super::{BATCH_BYTES, BATCH_ROWS, RECORD_BYTES_MAX, broken};
use crate::mapping::SourceForm;

/// Most columns.
const COLUMNS_MAX: usize = 10_000;

/// The names of the columns.
pub(super) struct Header {
    pub(super) schema: SchemaRef,
}

/// Reads the first line.
pub(super) fn header(text: Text, form: &SourceForm) -> Result<Header, Report> {
    let mut lines = Lines::new(text, form)?;
    lines.header()
}

/// The batches of a file, of the wanted columns.
pub(super) struct Records {
    lines: Lines,
    columns: usize,
    wanted: Vec<usize>,
    schema: SchemaRef,
    row: u64,
    is_over: bool,
}

impl Records {
    pub(super) fn new(text: Text, form: &SourceForm, wanted: &[usize]) -> Result<Self, Report> {
        let mut lines = Lines::new(text, form)?;
        let header = lines.header()?.schema;
        let fields: Vec<_> = wanted
            .iter()
            .filter_map(|column| header.fields().get(*column).cloned())
            .collect();
        Ok(Self {
            lines,
            columns: header.fields().len(),
            wanted: wanted.to_vec(),
            schema: Arc::new(Schema::new(fields)),
            row: 1,
            is_over: false,
        })
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>, Report> {
        let mut columns: Vec<StringBuilder> = self.wanted.iter().map(|_| StringBuilder::new()).collect();
        let (mut rows, mut bytes) = (0, 0);
        while rows < BATCH_ROWS && bytes < BATCH_BYTES && self.lines.next()? {
            self.row += 1;
            let fields = self.lines.fields();
            if fields != self.columns {
                let message = format!(
                    "cannot be read as a table, row {}: {fields} fields, and the header has {}",
                    self.row, self.columns
                );
                let remedy = "look there for a delimiter in a field without quotes, or a quote without its partner";
                return Err(broken(&message).remedy(remedy));
            }
            for (builder, column) in columns.iter_mut().zip(&self.wanted) {
                let field = self.lines.field(*column);
                let text = std::str::from_utf8(field).map_err(|_| {
                    let name = self
                        .schema
                        .fields()
                        .iter()
                        .zip(&self.wanted)
                        .find(|(_, at)| *at == column);
                    let name = name.map_or("", |(field, _)| field.name());
                    broken(&format!("is not UTF-8 text, row {}, column {name}", self.row)).remedy(ENCODING)
                })?;
                bytes += text.len();
                builder.append_option((!text.is_empty()).then_some(text));
            }
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        let columns = columns
            .iter_mut()
            .map(|builder| Arc::new(builder.finish()) as ArrayRef)
            .collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
        batch.map(Some).map_err(|error| super::malformed(&error))
    }
}

impl Iterator for Records {
    type Item = Result<RecordBatch, Report>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let batch = self.batch().transpose();
        self.is_over = !matches!(batch, Some(Ok(_)));
        batch
    }
}

/// One record after the other.
struct Lines {
    text: Text,
    reader: Reader,
    record: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
    /// Where the record begins, for messages.
    line: u64,
}

impl Lines {
    fn new(mut text: Text, form: &SourceForm) -> Result<Self, Report> {
        let begin = text.fill_buf().map_err(|error| undecoded(&error))?;
        let delimiter = match form.delimiter {
            Some(delimiter) => {
                u8::try_from(delimiter).map_err(|_| broken("has a delimiter that is not one ASCII character"))?
            }
            None => delimiter_of(begin),
        };
        Ok(Self {
            text,
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            record: vec![0; 4 * 1024],
            ends: vec![0; 64],
            fields: 0,
            line: 1,
        })
    }

    fn header(&mut self) -> Result<Header, Report> {
        if !self.next()? {
            return Err(broken("is empty").remedy("its first line must hold the names of the columns"));
        }
        let names =
            (0..self.fields).map(|column| std::str::from_utf8(self.field(column)).map(|name| name.trim().to_owned()));
        let names = names
            .collect::<Result<Vec<String>, _>>()
            .map_err(|_| broken("is not UTF-8 text").remedy(ENCODING))?;
        for (place, name) in names.iter().enumerate() {
            if !name.is_empty() && names[..place].contains(name) {
                let report = Problem::DataSchema.report("two columns of the file have the same name");
                return Err(report.remedy("rename one of them"));
            }
        }
        let fields = names.into_iter().map(|name| Field::new(name, DataType::Utf8, true));
        Ok(Header {
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        })
    }

    /// Reads the next record; says whether there is one.
    fn next(&mut self) -> Result<bool, Report> {
        let (mut written, mut ended) = (0, 0);
        self.line = self.reader.line();
        loop {
            let input = self.text.fill_buf().map_err(|error| undecoded(&error))?;
            let (result, read, out, ends) =
                self.reader
                    .read_record(input, &mut self.record[written..], &mut self.ends[ended..]);
            self.text.consume(read);
            written += out;
            ended += ends;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.record.len() < RECORD_BYTES_MAX => {
                    self.record.resize((self.record.len() * 2).min(RECORD_BYTES_MAX), 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < COLUMNS_MAX => {
                    self.ends.resize((self.ends.len() * 2).min(COLUMNS_MAX), 0);
                }
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    let message = format!(
                        "cannot be read as a table, line {}: a row of more than {} MiB or {COLUMNS_MAX} fields begins there",
                        self.line,
                        RECORD_BYTES_MAX >> 20
                    );
                    return Err(broken(&message).remedy("look there for a quote without its partner"));
                }
                ReadRecordResult::Record => {
                    self.fields = ended;
                    return Ok(true);
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    fn fields(&self) -> usize {
        self.fields
    }

    fn field(&self, column: usize) -> &[u8] {
        let start = match column.checked_sub(1) {
            Some(before) => self.ends[before],
            None => 0,
        };
        &self.record[start..self.ends[column]]
    }
}

/// Of those that people use, the one that is in the first line most often, outside quotes.
fn delimiter_of(begin: &[u8]) -> u8 {
    let mut counts = [(b',', 0_usize), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut is_quoted = false;
    for byte in begin {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' | b'\r' if !is_quoted => break,
            byte if !is_quoted => counts
                .iter_mut()
                .filter(|(known, _)| known == byte)
                .for_each(|(_, count)| *count += 1),
            _ => {}
        }
    }
    let most = counts.iter().rev().max_by_key(|(_, count)| *count);
    most.map_or(b',', |(delimiter, _)| *delimiter)
}
