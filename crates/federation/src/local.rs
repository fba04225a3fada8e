//! Tables of the asker's own: files that the rest of a query joins with what was released.
//!
//! Nothing of them is ever sent: nodes are asked for collections only, in SQL that is written anew from what the collection declares.
//! A column of a CSV is a number, a date or a yes or no only if all its values are written like one: codes such as `03401` stay text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::kernels::cast_utils::Parser;
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use arrow::csv;
use arrow::datatypes::{DataType, Date32Type, Field, Float64Type, Int64Type, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use engine::read::Collections;
use terms::{Problem, Report};

/// Largest file that is read, in bytes. All of it is held in memory.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Tables of the asker's own, by the name that the query gives them.
#[derive(Clone, Debug, Default)]
pub struct Tables(BTreeMap<String, RecordBatch>);

impl Tables {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a CSV (UTF-8, with a header) or Parquet file under a name.
    ///
    /// # Errors
    /// `Usage` if the name is none or is taken; `FileMissing`; `OwnFile` if the file is not a table.
    pub fn add(&mut self, name: &str, file: &Path) -> Result<(), Report> {
        if !is_name(name) {
            let report = Problem::Usage.report(format!("{name:?} is no name for a table of your own"));
            return Err(report.remedy("begin with a letter; use a to z, digits and _"));
        }
        if self.0.contains_key(name) {
            let report = Problem::Usage.report(format!("two tables of your own are called {name}"));
            return Err(report.remedy("give each file a name of its own"));
        }
        let rows = read(file).map_err(|failure| failure.report(file))?;
        self.0.insert(name.to_owned(), rows);
        Ok(())
    }

    /// Refuses a table that is called like a collection: it would stand in for what nodes hold.
    pub(crate) fn require_apart(&self, collections: &Collections) -> Result<(), Report> {
        let taken = collections.keys().map(terms::CollectionId::sql_name);
        let Some(name) = taken.into_iter().find(|name| self.0.contains_key(name)) else {
            return Ok(());
        };
        let report = Problem::Usage.report(format!(
            "there is a collection {name}, and a table of your own is called so too"
        ));
        Err(report.remedy(format!("call your table something else: --with my_{name}=FILE")))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &RecordBatch)> {
        self.0.iter()
    }
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(plain)
}

/// Why a file is no table.
#[derive(Debug, thiserror::Error)]
enum OwnFileError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("it is larger than {} MiB", FILE_BYTES_MAX / (1024 * 1024))]
    TooLarge,
    #[error("it does not end in .csv or .parquet")]
    Ending,
    #[error("it is not UTF-8 text")]
    NotText,
    #[error("it has no columns")]
    Empty,
    #[error("it has two columns called {0:?}")]
    TwoColumns(String),
    #[error("{0}")]
    Malformed(#[from] ArrowError),
}

impl OwnFileError {
    fn report(&self, file: &Path) -> Report {
        let problem = match self {
            OwnFileError::Io(_) => Problem::FileMissing,
            _ => Problem::OwnFile,
        };
        problem.report(format!("{}: {self}", file.display()))
    }
}

fn read(path: &Path) -> Result<RecordBatch, OwnFileError> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() > FILE_BYTES_MAX {
        return Err(OwnFileError::TooLarge);
    }
    let ending = path.extension().and_then(|ending| ending.to_str());
    let rows = match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => {
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(|error| match error.kind() {
                std::io::ErrorKind::InvalidData => OwnFileError::NotText,
                _ => OwnFileError::Io(error),
            })?;
            of_csv(text.trim_start_matches('\u{feff}'))?
        }
        Some("parquet") => of_parquet(file)?,
        _ => return Err(OwnFileError::Ending),
    };
    let schema = rows.schema();
    let mut names = BTreeSet::new();
    match schema.fields().iter().find(|field| !names.insert(field.name())) {
        Some(twice) => Err(OwnFileError::TwoColumns(twice.name().clone())),
        None if names.is_empty() => Err(OwnFileError::Empty),
        None => Ok(rows),
    }
}

fn of_parquet(file: File) -> Result<RecordBatch, OwnFileError> {
    let malformed = |error: datafusion::parquet::errors::ParquetError| ArrowError::from(error);
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(malformed)?;
    let schema = Arc::clone(builder.schema());
    let batches = builder.build().map_err(malformed)?.collect::<Result<Vec<_>, _>>()?;
    Ok(concat_batches(&schema, &batches)?)
}

fn of_csv(text: &str) -> Result<RecordBatch, OwnFileError> {
    let header = text.lines().next().unwrap_or_default();
    let delimiter = if header.contains(';') && !header.contains(',') {
        b';'
    } else {
        b','
    };
    let format = csv::reader::Format::default()
        .with_header(true)
        .with_delimiter(delimiter);
    let (named, _) = format.infer_schema(text.as_bytes(), Some(0))?;
    if named.fields().is_empty() {
        return Err(OwnFileError::Empty);
    }
    let texts = named
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), DataType::Utf8, true));
    let texts = Arc::new(Schema::new(texts.collect::<Vec<_>>()));
    let reader = csv::ReaderBuilder::new(Arc::clone(&texts))
        .with_format(format)
        .build(text.as_bytes())?;
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    let rows = concat_batches(&texts, &batches)?;
    let columns = rows.columns().iter().map(typed).collect::<Result<Vec<_>, _>>()?;
    let fields = texts.fields().iter().zip(&columns);
    let fields = fields.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true));
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        columns,
    )?)
}

/// Whether a text is written like a value of some kind.
type IsKind = fn(&str) -> bool;

/// The column as the narrowest kind as which all its values are written.
fn typed(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts: &StringArray = column.as_string::<i32>();
    let kinds: [(IsKind, DataType); 4] = [
        (is_whole, DataType::Int64),
        (is_number, DataType::Float64),
        (|text| matches!(text, "true" | "false"), DataType::Boolean),
        (is_day, DataType::Date32),
    ];
    let is_known = texts.iter().flatten().next().is_some();
    let fits = |is_kind: IsKind| is_known && texts.iter().flatten().all(is_kind);
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    match kinds.iter().find(|(is_kind, _)| fits(*is_kind)) {
        Some((_, kind)) => cast_with_options(column, kind, &strict),
        None => Ok(Arc::clone(column)),
    }
}

/// A whole number of 64 bits without a leading zero.
fn is_whole(text: &str) -> bool {
    has_no_leading_zero(text) && !text.starts_with('+') && Int64Type::parse(text).is_some()
}

fn is_number(text: &str) -> bool {
    let is_written = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    is_written && has_no_leading_zero(text) && Float64Type::parse(text).is_some_and(f64::is_finite)
}

fn has_no_leading_zero(text: &str) -> bool {
    let digits = text.trim_start_matches('-').as_bytes();
    !matches!(digits, [b'0', b'0'..=b'9', ..])
}

/// `2026-01-31`
fn is_day(text: &str) -> bool {
    text.len() == 10 && text.as_bytes()[4] == b'-' && Date32Type::parse(text).is_some()
}

#[cfg(test)]
mod tests;
