//! A data file into a snapshot: every value is checked against the collection on the way.
//!
//! How a file is read and brought into the collection's columns is the crate `intake`. Here is what needs the engine: the columns
//! that only row filters read, rows of one person, and what people are sorted by.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::ExprSchemable;
use intake::{Conforming, Mapping, Misfits, Opened, Piece};
use parquet::arrow::ArrowWriter;
use policy::{Collection, RowFilter};
use terms::{Problem, Report};

use super::{ORDER, unreadable};
use crate::session;
use crate::sketch::SketchKey;

/// What was read.
pub(super) struct Imported {
    pub(super) rows: u64,
    /// What the mapping lets count as missing.
    pub(super) misfits: Misfits,
    /// Whether the source says that it is made up.
    pub(super) is_synthetic: bool,
    /// By what days were moved, if they were: [`Conforming::shift_mark`].
    pub(super) shift_mark: Option<[u8; 32]>,
}

/// Checks `source` against `collection` and writes the snapshot to `target`, with the column to sort people by at its end.
pub(super) fn import(
    source: &Path,
    mapping: &Mapping,
    collection: &Collection,
    key: &SketchKey,
    target: &Path,
) -> Result<Imported, Report> {
    let opened = Opened::open(source, &mapping.source)?;
    let conforming = Conforming::new(&opened, mapping, collection)?;
    let extras = filter_columns(collection, &opened)?;
    let positions = extras.iter().filter_map(|extra| opened.position(extra.name()));
    let wanted: Vec<usize> = conforming.wanted().iter().copied().chain(positions).collect();
    let order = collection.personal.then(|| Field::new(ORDER, DataType::Int64, false));
    let fields = collection
        .columns
        .iter()
        .map(session::field)
        .chain(extras.iter().cloned())
        .chain(order);
    let stored: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut seen = Seen::new(collection, key);
    let mut misfits = Misfits::default();
    let mut rows = 0_u64;
    let file = File::create(target).map_err(|error| unreadable(target, &error))?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&stored), None).map_err(|e| not_written(&e))?;
    for piece in opened.batches(&wanted)? {
        let piece = piece?;
        let mut columns = conforming.conform(&piece, &mut misfits)?.columns;
        misfits.require_allowed(&conforming)?;
        for (at, extra) in extras.iter().enumerate() {
            let raw = piece.batch.column(conforming.wanted().len() + at);
            columns.push(strictly(raw, extra.data_type(), extra.name())?);
        }
        if let Some(unit) = &collection.privacy_unit {
            let people = collection.columns.iter().position(|column| column.name == *unit);
            columns.extend(people.map(|at| order_of(&columns[at], key)).transpose()?);
        }
        let checked = RecordBatch::try_new(Arc::clone(&stored), columns);
        let checked =
            checked.map_err(|error| Problem::Internal.report(format!("columns of different lengths: {error}")))?;
        seen.count(&checked, &piece)?;
        rows += checked.num_rows() as u64;
        writer.write(&checked).map_err(|e| not_written(&e))?;
    }
    misfits.require_few_left_out(&mapping.source)?;
    let file = writer.into_inner().map_err(|e| not_written(&e))?;
    file.sync_all().map_err(|error| unreadable(target, &error))?;
    Ok(Imported {
        rows,
        misfits,
        is_synthetic: opened.is_synthetic(),
        shift_mark: conforming.shift_mark(),
    })
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

/// The row filters that read columns of the data.
pub(super) fn sql_filters(collection: &Collection) -> impl Iterator<Item = (&str, &str)> {
    collection.filters.iter().filter_map(|(name, filter)| match filter {
        RowFilter::Sql(sql) => Some((name.as_str(), sql.as_str())),
        RowFilter::Consent(_) => None,
    })
}

/// Columns that are not in the collection but that its row filters read, with the types that they have in the file.
fn filter_columns(collection: &Collection, opened: &Opened) -> Result<Vec<Field>, Report> {
    if sql_filters(collection).next().is_none() {
        return Ok(Vec::new());
    }
    let file = with_types(opened)?;
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
    let mut needed = BTreeSet::new();
    for (name, sql) in sql_filters(collection) {
        let unusable = || {
            let message = format!("the row filter {name} of the collection cannot be applied to this file: {sql}");
            Problem::DataSchema
                .report(message)
                .remedy("add the columns that the filter reads, as it expects them")
        };
        let expr = session::row_filter(sql, &df_schema).map_err(|_| unusable())?;
        if expr.get_type(&df_schema).map_err(|_| unusable())? != DataType::Boolean {
            return Err(unusable());
        }
        needed.extend(expr.column_refs().into_iter().map(|column| column.name.clone()));
    }
    let extra = |field: &&Arc<Field>| needed.contains(field.name()) && collection.column(field.name()).is_none();
    let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
    Ok(schema.fields().iter().filter(extra).map(nullable).collect())
}

/// The file's columns. What is text in all of its first rows and reads as something else is that.
fn with_types(opened: &Opened) -> Result<Schema, Report> {
    if opened.is_typed() {
        return Ok(opened.schema().as_ref().clone());
    }
    let all: Vec<usize> = (0..opened.schema().fields().len()).collect();
    let first = opened.batches(&all)?.next().transpose()?;
    let typed = opened.schema().fields().iter().enumerate().map(|(at, field)| {
        let texts = first
            .as_ref()
            .map(|first| first.batch.column(at))
            .and_then(|column| column.as_string_opt::<i32>());
        let data_type = texts.map_or_else(|| field.data_type().clone(), type_of);
        field.as_ref().clone().with_data_type(data_type)
    });
    Ok(Schema::new(typed.collect::<Vec<_>>()))
}

/// The type that all texts read as.
fn type_of(texts: &StringArray) -> DataType {
    let all = |is: &dyn Fn(&str) -> bool| texts.null_count() < texts.len() && texts.iter().flatten().all(is);
    if all(&|text| i64::from_str(text).is_ok()) {
        DataType::Int64
    } else if all(&|text| f64::from_str(text).is_ok()) {
        DataType::Float64
    } else if all(&|text| matches!(text, "true" | "false" | "TRUE" | "FALSE" | "True" | "False")) {
        DataType::Boolean
    } else if all(&|text| text.len() == 10 && jiff::civil::Date::from_str(text).is_ok()) {
        DataType::Date32
    } else {
        DataType::Utf8
    }
}

fn strictly(raw: &ArrayRef, to: &DataType, name: &str) -> Result<ArrayRef, Report> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(raw, to, &strict)
        .map_err(|_| Problem::DataFormat.report(format!("column {name} has a value that does not fit {to}")))
}

/// Counts rows per person or key, where the collection limits them: by hashes, which are shorter than what institutions call people.
struct Seen<'a> {
    collection: &'a Collection,
    limit: Option<(&'a str, u32)>,
    key: &'a SketchKey,
    rows: HashMap<i64, u32>,
}

impl<'a> Seen<'a> {
    fn new(collection: &'a Collection, key: &'a SketchKey) -> Self {
        let people = collection.privacy_unit.as_deref().zip(collection.rows_per_person_max);
        Self {
            collection,
            limit: people.or(collection.key.as_deref().map(|key| (key, 1))),
            key,
            rows: HashMap::new(),
        }
    }

    fn count(&mut self, batch: &RecordBatch, piece: &Piece) -> Result<(), Report> {
        let Some((unit, most)) = self.limit else { return Ok(()) };
        let Some(units) = batch.column_by_name(unit) else {
            return Ok(());
        };
        let units = order_of(units, self.key)?;
        for (index, unit_value) in units.as_primitive::<Int64Type>().values().iter().enumerate() {
            let rows = self.rows.entry(*unit_value).or_default();
            *rows += 1;
            if *rows > most {
                return Err(self.too_many(unit, most, &intake::conform::place(piece, index)));
            }
        }
        Ok(())
    }

    fn too_many(&self, unit: &str, most: u32, row: &str) -> Report {
        if self.collection.personal {
            let message = format!(
                "{row}, column {unit}: more than {most} rows of one person, which is what the collection allows"
            );
            return Problem::DataFormat.report(message);
        }
        let message =
            format!("{row}, column {unit}: the same key as in a row before, and {unit} is the key of the collection");
        Problem::DataFormat
            .report(message)
            .remedy("keep one row of each key: others refer to it, and would count once for each of its rows")
    }
}

fn not_written(error: &parquet::errors::ParquetError) -> Report {
    Problem::DataSchema
        .report(format!("the snapshot cannot be written: {error}"))
        .remedy("check the node's disk")
}
