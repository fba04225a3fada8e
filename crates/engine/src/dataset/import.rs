//! A data file into a snapshot: every value is checked against the collection on the way.
//!
//! What does not fit is told as row, column, class of the value and what was expected, never the value itself.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::DFSchema;
use datafusion::logical_expr::ExprSchemable;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use policy::{Collection, Column, ColumnKind, Domain, RowFilter};
use terms::{Problem, Report};

use super::{ORDER, unreadable};
use crate::session;
use crate::sketch::SketchKey;

mod text;

/// Rows from which the type of a column that only row filters use is guessed.
const INFER_ROWS: usize = 10_000;

/// Checks `source` against `collection` and writes the snapshot to `target`, with the column to sort people by at its end.
/// Returns the number of rows.
pub(super) fn import(source: &Path, collection: &Collection, key: &SketchKey, target: &Path) -> Result<u64, Report> {
    let opened = Opened::open(source)?;
    let extras = filter_columns(collection, &opened.schema)?;
    let wanted = wanted_columns(collection, &extras, &opened.schema)?;
    let columns = collection.columns.len() + extras.len();
    let order = collection.personal.then(|| Field::new(ORDER, DataType::Int64, false));
    let fields = collection.columns.iter().map(session::field).chain(extras).chain(order);
    let stored: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let first_row = opened.first_row;
    let mut seen = Seen::new(collection);
    let mut rows = 0_u64;
    let file = File::create(target).map_err(|error| unreadable(target, &error))?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&stored), None).map_err(|e| not_written(&e))?;
    for batch in opened.batches(collection, &wanted)? {
        let batch = batch.map_err(|error| malformed(&error))?;
        let at = Place {
            first_row: first_row + rows,
        };
        let columns = stored.fields().iter().take(columns).enumerate().map(|(index, field)| {
            let raw = batch.column(index);
            match collection.columns.get(index) {
                Some(column) => checked(raw, column, collection, at),
                None => strictly(raw, field.data_type(), field.name()),
            }
        });
        let mut columns = columns.collect::<Result<Vec<_>, Report>>()?;
        if let Some(unit) = &collection.privacy_unit {
            let people = collection.columns.iter().position(|column| column.name == *unit);
            columns.extend(people.map(|at| order_of(&columns[at], key)).transpose()?);
        }
        let checked = RecordBatch::try_new(Arc::clone(&stored), columns).map_err(|e| malformed(&e))?;
        seen.count(&checked, at)?;
        rows += checked.num_rows() as u64;
        writer.write(&checked).map_err(|e| not_written(&e))?;
    }
    let file = writer.into_inner().map_err(|e| not_written(&e))?;
    file.sync_all().map_err(|error| unreadable(target, &error))?;
    Ok(rows)
}

/// The keyed hash of each person, by the text form of their key.
fn order_of(people: &ArrayRef, key: &SketchKey) -> Result<ArrayRef, Report> {
    let people = strictly(people, &DataType::Utf8, ORDER)?;
    let people: &StringArray = people.as_string::<i32>();
    let hashes = people
        .iter()
        .map(|person| key.person(person.unwrap_or_default().as_bytes()).as_order());
    Ok(Arc::new(Int64Array::from_iter_values(hashes)))
}

/// The number of the first row of a batch, as the operator counts.
#[derive(Clone, Copy)]
struct Place {
    first_row: u64,
}

impl Place {
    fn row(self, index: usize) -> u64 {
        self.first_row + index as u64
    }

    fn misfit(self, index: usize, column: &Column, class: &str) -> Report {
        let message = format!(
            "row {}, column {}: {class} where the collection expects {}",
            self.row(index),
            column.name,
            expectation(column)
        );
        Problem::DataFormat.report(message)
    }
}

fn expectation(column: &Column) -> String {
    let kind = column.kind;
    let domain = match (&column.domain, column.bounds) {
        (Some(Domain::Bins(edges)), _) => match (edges.first(), edges.last()) {
            (Some(low), Some(high)) => format!(" from {low} and below {high}"),
            _ => String::new(),
        },
        (Some(Domain::Texts(_) | Domain::Integers(_)), _) => format!(", {}", column.describe_domain()),
        (_, Some([low, high])) => format!(" from {low} to {high}"),
        _ => String::new(),
    };
    format!("{kind}{domain}")
}

/// A data file whose columns are known.
struct Opened {
    source: Source,
    schema: SchemaRef,
    /// What the operator calls the first row of data: a CSV's header is row 1.
    first_row: u64,
}

enum Source {
    Csv { file: File, format: csv::reader::Format },
    Parquet(Box<ParquetRecordBatchReaderBuilder<File>>),
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>;

impl Opened {
    fn open(path: &Path) -> Result<Self, Report> {
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv" | "CSV") => Self::csv(file, path),
            Some("parquet") => {
                let builder = ParquetRecordBatchReaderBuilder::try_new(file);
                let builder = builder.map_err(|_| broken("is not a Parquet file that can be read"))?;
                let schema = Arc::clone(builder.schema());
                Ok(Self {
                    source: Source::Parquet(Box::new(builder)),
                    schema,
                    first_row: 1,
                })
            }
            _ => Err(broken(
                "does not end in .csv or .parquet: save it as \"CSV UTF-8\", or as Parquet",
            )),
        }
    }

    fn csv(mut file: File, path: &Path) -> Result<Self, Report> {
        let start = after_byte_order_mark(&mut file).map_err(|error| unreadable(path, &error))?;
        let mut header = String::new();
        let read = BufReader::new(&file).read_line(&mut header);
        read.map_err(|_| broken("is not UTF-8 text: save it as \"CSV UTF-8\""))?;
        let delimiter = if header.contains(';') && !header.contains(',') {
            b';'
        } else {
            b','
        };
        let format = csv::reader::Format::default()
            .with_header(true)
            .with_delimiter(delimiter);
        rewind(&mut file, start).map_err(|error| unreadable(path, &error))?;
        let inferred = format.infer_schema(BufReader::new(&file), Some(INFER_ROWS));
        let (schema, _) = inferred.map_err(|error| malformed(&error))?;
        rewind(&mut file, start).map_err(|error| unreadable(path, &error))?;
        Ok(Self {
            source: Source::Csv { file, format },
            schema: Arc::new(schema),
            first_row: 2,
        })
    }

    /// Batches with the wanted columns (indices into the file's), in that order. A CSV's collection columns are text.
    fn batches(self, collection: &Collection, wanted: &[usize]) -> Result<Batches, Report> {
        let internal = |error: &dyn std::fmt::Display| Problem::DataSchema.report(error.to_string());
        let order = move |batch: Result<RecordBatch, ArrowError>, order: &[usize]| batch?.project(order);
        match self.source {
            Source::Csv { file, format } => {
                let of_collection = &wanted[..collection.columns.len()];
                let fields = self.schema.fields().iter().enumerate().map(|(index, field)| {
                    let is_text = of_collection.contains(&index);
                    let data_type = if is_text {
                        DataType::Utf8
                    } else {
                        field.data_type().clone()
                    };
                    Field::new(field.name(), data_type, true)
                });
                let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
                let reader = csv::ReaderBuilder::new(schema).with_format(format).build(file);
                let reader = reader.map_err(|error| internal(&error))?;
                let wanted = wanted.to_vec();
                Ok(Box::new(reader.map(move |batch| order(batch, &wanted))))
            }
            Source::Parquet(builder) => {
                let reader = builder.build().map_err(|error| internal(&error))?;
                let wanted = wanted.to_vec();
                Ok(Box::new(reader.map(move |batch| order(batch, &wanted))))
            }
        }
    }
}

fn after_byte_order_mark(file: &mut File) -> std::io::Result<u64> {
    let mut start = [0_u8; 3];
    let read = file.read(&mut start)?;
    let skip = if read == 3 && start == [0xEF, 0xBB, 0xBF] { 3 } else { 0 };
    rewind(file, skip)?;
    Ok(skip)
}

fn rewind(file: &mut File, start: u64) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(start)).map(drop)
}

/// The row filters that read columns of the data.
pub(super) fn sql_filters(collection: &Collection) -> impl Iterator<Item = (&str, &str)> {
    collection.filters.iter().filter_map(|(name, filter)| match filter {
        RowFilter::Sql(sql) => Some((name.as_str(), sql.as_str())),
        RowFilter::Consent(_) => None,
    })
}

/// Columns that are not in the collection but that its row filters read, with the types that they have in the file.
fn filter_columns(collection: &Collection, file: &Schema) -> Result<Vec<Field>, Report> {
    let others = file
        .fields()
        .iter()
        .filter(|field| collection.column(field.name()).is_none());
    let fields: Vec<Field> = collection
        .columns
        .iter()
        .map(session::field)
        .chain(others.map(|f| f.as_ref().clone()))
        .collect();
    let schema = Schema::new(fields);
    let df_schema = DFSchema::try_from(schema.clone()).map_err(|_| {
        Problem::DataSchema
            .report("two columns of the file have the same name")
            .remedy("rename one of them")
    })?;
    let state = session::for_running().map_err(|error| Problem::Internal.report(error.to_string()))?;
    let mut needed = BTreeSet::new();
    for (name, sql) in sql_filters(collection) {
        let unusable = || {
            let message = format!("the row filter {name} of the collection cannot be applied to this file: {sql}");
            Problem::DataSchema
                .report(message)
                .remedy("add the columns that the filter reads, as it expects them")
        };
        let expr = state.create_logical_expr(sql, &df_schema).map_err(|_| unusable())?;
        if expr.get_type(&df_schema).map_err(|_| unusable())? != DataType::Boolean {
            return Err(unusable());
        }
        needed.extend(expr.column_refs().into_iter().map(|column| column.name.clone()));
    }
    let extra = |field: &&Arc<Field>| needed.contains(field.name()) && collection.column(field.name()).is_none();
    let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
    Ok(schema.fields().iter().filter(extra).map(nullable).collect())
}

/// Where each stored column is in the file.
fn wanted_columns(collection: &Collection, extras: &[Field], file: &Schema) -> Result<Vec<usize>, Report> {
    let names = collection
        .columns
        .iter()
        .map(|c| c.name.as_str())
        .chain(extras.iter().map(|f| f.name().as_str()));
    let position = |name: &str| {
        file.index_of(name).map_err(|_| {
            let header: Vec<&str> = file.fields().iter().map(|field| field.name().as_str()).collect();
            let near = terms::text::nearest(name, header.iter().copied());
            let near = near.map_or_else(String::new, |near| format!("is it the file's column {near}?; "));
            // A first line without a known column can be a row of data, and is not repeated.
            let is_header = header.iter().any(|field| collection.column(field).is_some());
            let has = if is_header {
                format!("{near}the file has: {}", header.join(", "))
            } else {
                "the file's first line must hold the names of the columns".to_owned()
            };
            Problem::DataSchema
                .report(format!(
                    "the file has no column {name}, which the collection {} needs",
                    collection.id
                ))
                .remedy(format!("rename or add it; {has}"))
        })
    };
    names.map(position).collect()
}

/// One column of a batch in the type of the collection, every value checked.
fn checked(raw: &ArrayRef, column: &Column, collection: &Collection, at: Place) -> Result<ArrayRef, Report> {
    let is_text = matches!(raw.data_type(), DataType::Utf8);
    let typed = match (column.kind, is_text) {
        (ColumnKind::Text, true) => Arc::clone(raw),
        (_, true) => text::convert(raw.as_string::<i32>(), column, at)?,
        (_, false) => typed_column(raw, column)?,
    };
    let tells_apart = [&collection.privacy_unit, &collection.key];
    if tells_apart.contains(&&Some(column.name.clone()))
        && let Some(index) = (0..typed.len()).find(|index| typed.is_null(*index))
    {
        return Err(at.misfit(index, column, "nothing"));
    }
    check_values(&typed, column, at)?;
    Ok(if column.kind == ColumnKind::Number {
        without_minus_zero(&typed)
    } else {
        typed
    })
}

/// Arrow tells -0.0 from 0.0 when it compares and groups; people do not, and a bin from 0 must hold both.
fn without_minus_zero(numbers: &ArrayRef) -> ArrayRef {
    let numbers: &Float64Array = numbers.as_primitive();
    Arc::new(numbers.unary::<_, Float64Type>(|number| number + 0.0))
}

/// A column that has a type in the file already: only conversions that keep every value.
fn typed_column(raw: &ArrayRef, column: &Column) -> Result<ArrayRef, Report> {
    let from = raw.data_type();
    let value = match from {
        DataType::Dictionary(_, value) => value.as_ref(),
        other => other,
    };
    let fits = match column.kind {
        // Registers often number people: as text nothing of a whole number is lost.
        ColumnKind::Text => value.is_string() || value.is_integer(),
        ColumnKind::Integer => value.is_integer(),
        ColumnKind::Number => value.is_numeric(),
        ColumnKind::Boolean => *value == DataType::Boolean,
        ColumnKind::Date => matches!(value, DataType::Date32),
        ColumnKind::Timestamp => matches!(value, DataType::Timestamp(..) | DataType::Date32),
    };
    if !fits {
        let message = format!(
            "column {}: {from} where the collection expects {}",
            column.name,
            expectation(column)
        );
        return Err(Problem::DataSchema.report(message));
    }
    strictly(raw, &session::arrow_type(column.kind), &column.name)
}

fn strictly(raw: &ArrayRef, to: &DataType, name: &str) -> Result<ArrayRef, Report> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(raw, to, &strict)
        .map_err(|_| Problem::DataFormat.report(format!("column {name} has a value that does not fit {to}")))
}

fn check_values(typed: &ArrayRef, column: &Column, at: Place) -> Result<(), Report> {
    match column.kind {
        ColumnKind::Text => {
            let Some(Domain::Texts(values)) = &column.domain else {
                return Ok(());
            };
            let values: BTreeSet<&str> = values.iter().map(String::as_str).collect();
            let outside = typed
                .as_string::<i32>()
                .iter()
                .position(|v| v.is_some_and(|v| !values.contains(v)));
            outside.map_or(Ok(()), |index| {
                Err(at.misfit(index, column, "another text than those listed"))
            })
        }
        ColumnKind::Integer => {
            let numbers = typed.as_primitive::<Int64Type>().iter();
            if let Some(Domain::Integers(values)) = &column.domain {
                let outside = numbers.clone().position(|v| v.is_some_and(|v| !values.contains(&v)));
                if let Some(index) = outside {
                    return Err(at.misfit(index, column, "another number than those listed"));
                }
            }
            check_numbers(numbers.map(|v| v.map(|v| v as f64)), column, at)
        }
        ColumnKind::Number => check_numbers(typed.as_primitive::<Float64Type>().iter(), column, at),
        ColumnKind::Boolean | ColumnKind::Date | ColumnKind::Timestamp => Ok(()),
    }
}

fn check_numbers(numbers: impl Iterator<Item = Option<f64>>, column: &Column, at: Place) -> Result<(), Report> {
    let bins = match &column.domain {
        Some(Domain::Bins(edges)) => edges.first().copied().zip(edges.last().copied()),
        _ => None,
    };
    let [low, high] = column.bounds.unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
    for (index, number) in numbers.enumerate() {
        let Some(number) = number else { continue };
        if !number.is_finite() {
            return Err(at
                .misfit(index, column, "NaN or infinity")
                .remedy("leave the field empty, or write null, where a value is missing"));
        }
        let in_bins = bins.is_none_or(|(first, last)| number >= first && number < last);
        if !in_bins || number < low || number > high {
            return Err(at.misfit(index, column, "a number outside the range"));
        }
    }
    Ok(())
}

/// Counts rows per person or key, where the collection limits them.
struct Seen<'a> {
    collection: &'a Collection,
    limit: Option<(&'a str, u32)>,
    rows: HashMap<String, u32>,
}

impl<'a> Seen<'a> {
    fn new(collection: &'a Collection) -> Self {
        let people = collection.privacy_unit.as_deref().zip(collection.rows_per_person_max);
        Self {
            collection,
            limit: people.or(collection.key.as_deref().map(|key| (key, 1))),
            rows: HashMap::new(),
        }
    }

    fn count(&mut self, batch: &RecordBatch, at: Place) -> Result<(), Report> {
        let Some((unit, most)) = self.limit else { return Ok(()) };
        let Some(units) = batch.column_by_name(unit) else {
            return Ok(());
        };
        let units = strictly(units, &DataType::Utf8, unit)?;
        let units: &StringArray = units.as_string::<i32>();
        for (index, unit_value) in units.iter().enumerate() {
            let rows = self.rows.entry(unit_value.unwrap_or_default().to_owned()).or_default();
            *rows += 1;
            if *rows > most {
                return Err(self.too_many(unit, most, at.row(index)));
            }
        }
        Ok(())
    }

    fn too_many(&self, unit: &str, most: u32, row: u64) -> Report {
        if self.collection.personal {
            let message = format!(
                "row {row}, column {unit}: more than {most} rows of one person, which is what the collection allows"
            );
            return Problem::DataFormat.report(message);
        }
        let message = format!(
            "row {row}, column {unit}: the same key as in a row before, and {unit} is the key of the collection"
        );
        Problem::DataFormat
            .report(message)
            .remedy("keep one row of each key: others refer to it, and would count once for each of its rows")
    }
}

fn broken(what: &str) -> Report {
    Problem::DataSchema.report(format!("the file {what}"))
}

/// Structural errors of a file. The parser's own message can quote a cell, so only the place is taken from it.
fn malformed(error: &ArrowError) -> Report {
    let text = error.to_string();
    let line = text
        .split("line ")
        .nth(1)
        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    let place = line
        .filter(|line| !line.is_empty())
        .map_or_else(String::new, |line| format!(", line {line}"));
    broken(&format!("cannot be read as a table{place}"))
        .remedy("every row needs as many fields as the header, and the file must be UTF-8 text")
}

fn not_written(error: &parquet::errors::ParquetError) -> Report {
    Problem::DataSchema
        .report(format!("the snapshot cannot be written: {error}"))
        .remedy("check the node's disk")
}
