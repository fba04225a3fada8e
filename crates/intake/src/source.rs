//! What an institution has, as batches of columns: files (CSV in the encodings that people have, Parquet, Arrow IPC, NDJSON, and FHIR through a
//! view; plain or compressed; one or a folder of them), and what a description names: a table of a database or of a Flight SQL server, objects of a
//! store. Read once from front to back, in memory that does not grow with the source.
//!
//! Whatever a source says of itself, a batch is bounded: no record and no expansion beyond what is said here. What is read is never
//! written. Next: `source/csv.rs`, `source/resources.rs`, `source/stream.rs`, `source/postgres.rs`, `source/flight.rs` and `source/s3.rs`.

mod ahead;
mod csv;
mod cut;
mod described;
mod flight;
mod https;
mod ipc;
mod partitions;
mod postgres;
mod reading;
pub(crate) mod resources;
mod s3;
mod stream;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use fhir::View;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use terms::{Problem, Report};

pub(crate) use self::described::Secret;
use self::resources::Resources;
use crate::mapping::SourceForm;
use partitions::Partitions;
use reading::{Counter, Reading};

/// Rows of one batch.
pub(crate) const BATCH_ROWS: usize = 8 * 1024;

/// Bytes of a batch of text after which it is full, whatever it has of rows.
pub(crate) const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Rows of one batch of Arrow that are believed whatever it holds: columns of nothing take no room, however many rows they say they have.
const ROWS_FREE: usize = 16 * 1024 * 1024;

/// Longest record, in bytes.
pub(crate) const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Marks a column of text whose values are written as programs write them, whatever the mapping says of the source: numbers, or `text`.
pub(crate) const PLAIN: &str = "plain";

/// Rows from which the types of NDJSON are found out.
const INFER_ROWS: usize = 10_000;

/// A source whose columns are known.
#[derive(Debug)]
pub struct Opened {
    content: Content,
    schema: SchemaRef,
    form: SourceForm,
    read: Counter,
}

#[derive(Debug)]
enum Content {
    Files(Vec<OneFile>),
    Postgres(Box<postgres::Table>),
    Flight(Box<flight::Table>),
}

/// Rows of one file, one after the other.
#[derive(Debug)]
pub struct Piece {
    /// The wanted columns, in the wanted order.
    pub batch: RecordBatch,
    /// What the operator calls the first row: a CSV's header is row 1.
    pub first_row: u64,
    /// The name of the file, if there are several.
    pub file: Option<Arc<str>>,
    /// Of FHIR, what became of the resources that were read for it.
    pub resources: Resources,
}

/// What comes of a source.
pub type Pieces = Box<dyn Iterator<Item = Result<Piece, Report>>>;

#[derive(Clone, Debug)]
struct OneFile {
    place: Place,
    format: Format,
    /// Where it lies, if it is one of several.
    name: Option<Arc<str>>,
    /// What the names of its folders say.
    partitions: Partitions,
    /// Of all files of the source together.
    read: Counter,
}

#[derive(Clone, Debug)]
enum Place {
    /// On this machine, as it was when it was opened.
    Here(PathBuf, Seen),
    /// In a store, in one version.
    There(s3::Object),
}

#[derive(Clone, Debug)]
enum Format {
    /// Comma-separated values, or with another delimiter.
    Csv,
    Parquet,
    Ipc,
    NdJson,
    /// FHIR resources, through a view: lines of them, or whole documents.
    Resources {
        view: View,
        is_document: bool,
    },
}

/// Enough to see that a file was exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    bytes: u64,
    changed: Option<SystemTime>,
}

impl Opened {
    /// Opens a file, or a folder: all files below it that end as data files do, in the order of their names, with the same columns;
    /// or what a description (`.toml`) names.
    ///
    /// # Errors
    /// `FileMissing` if it cannot be read; `DataSchema` if it is no table, or files of a folder have different columns; a `Source`
    /// problem if what is described cannot be had.
    pub fn open(path: &Path, form: &SourceForm) -> Result<Self, Report> {
        let view = form.view.as_deref().map(resources::view).transpose()?;
        if !described::is_description(path) {
            return Self::open_files(files(path, view.as_ref())?, form);
        }
        match (described::read(path)?, view) {
            (described::Described::S3(s3, place), view) => Self::open_files(objects(&s3, &place, view.as_ref())?, form),
            (described::Described::Postgres(..) | described::Described::Flight(..), Some(_)) => Err(Problem::FhirView
                .report("a view reads FHIR resources, and the source is a table")
                .remedy(
                    "leave out the view; what the view would do, say in the query of the source or in the mapping",
                )),
            (described::Described::Postgres(postgres, place), None) => {
                let table = postgres::Table::open(postgres, place)?;
                Ok(Self::of_table(
                    &table.schema.clone(),
                    Content::Postgres(Box::new(table)),
                    form,
                ))
            }
            (described::Described::Flight(flight, place), None) => {
                let table = flight::Table::open(flight, place)?;
                Ok(Self::of_table(
                    &table.schema.clone(),
                    Content::Flight(Box::new(table)),
                    form,
                ))
            }
        }
    }

    fn of_table(schema: &SchemaRef, content: Content, form: &SourceForm) -> Self {
        Self {
            schema: Arc::clone(schema),
            content,
            form: form.clone(),
            read: Counter::default(),
        }
    }

    fn open_files(files: Vec<OneFile>, form: &SourceForm) -> Result<Self, Report> {
        let mut schema: Option<SchemaRef> = None;
        for file in &files {
            let found = file.schema(form)?;
            match &schema {
                None => schema = Some(found),
                Some(first) if names(first) == names(&found) && types(first) == types(&found) => {}
                Some(_) => {
                    let first = files.first().map(OneFile::shown).unwrap_or_default();
                    let message = format!("{} has other columns than {first}", file.shown());
                    return Err(Problem::DataSchema
                        .report(message)
                        .remedy("put files with the same columns into the folder"));
                }
            }
        }
        let schema = schema.ok_or_else(|| Problem::DataSchema.report("there is no data file"))?;
        Ok(Self {
            content: Content::Files(files),
            schema,
            form: form.clone(),
            read: Counter::default(),
        })
    }

    /// Whether its columns have types of their own: text is text there, whatever it looks like.
    pub fn is_typed(&self) -> bool {
        !matches!(self.content, Content::Files(_))
    }

    /// Its columns. Those of a CSV file are text.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether it says of itself that it is made up.
    pub fn is_synthetic(&self) -> bool {
        self.position(crate::twin::MARK).is_some()
    }

    /// Where a column is.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.schema.index_of(name).ok()
    }

    /// The same, where case does not matter, as it does not in SQL: databases export names in capitals. Two that fit are none.
    pub fn position_in_any_case(&self, name: &str) -> Option<usize> {
        let fields = self.schema.fields().iter().enumerate();
        let mut fitting = fields.filter(|(_, field)| field.name().eq_ignore_ascii_case(name));
        let first = fitting.next().map(|(at, _)| at);
        self.position(name).or(first.filter(|_| fitting.next().is_none()))
    }

    /// How many bytes of its files were read since [`Opened::batches`] began, and how many they have, as they lie there. Of Parquet and Arrow IPC
    /// not all have to be read. Nobody knows it of a table of a server.
    pub fn bytes_read(&self) -> Option<(u64, u64)> {
        let Content::Files(files) = &self.content else {
            return None;
        };
        let all = files.iter().map(|file| match &file.place {
            Place::Here(_, seen) => seen.bytes,
            Place::There(object) => object.bytes(),
        });
        Some((self.read.bytes(), all.sum()))
    }

    /// The wanted columns (indices into [`Opened::schema`]), in that order, in batches. The same file can be read more than once,
    /// and has changed if it has another length or time.
    ///
    /// # Errors
    /// As each piece may have them: `DataSchema` if the file cannot be read on, or was changed meanwhile; a `Source` problem if
    /// the source breaks off.
    pub fn batches(&self, wanted: &[usize]) -> Result<Pieces, Report> {
        let files = match &self.content {
            Content::Files(files) => files.clone().into_iter().map({
                // What was read to find the columns, or before, is not of this time.
                let read = self.read.clone();
                read.begin();
                move |file| OneFile {
                    read: read.clone(),
                    ..file
                }
            }),
            Content::Postgres(table) => return table.pieces(wanted),
            Content::Flight(table) => return table.pieces(wanted),
        };
        let (wanted, form, schema) = (wanted.to_vec(), self.form.clone(), Arc::clone(&self.schema));
        Ok(Box::new(
            files.flat_map(move |file| file.pieces(&wanted, &form, &schema)),
        ))
    }
}

/// The encoding that the text of a source seems to have, where that is not UTF-8.
pub(crate) fn encoding_of(path: &Path) -> Result<Option<&'static str>, Report> {
    let files = match described::is_description(path) {
        false => files(path, None)?,
        true => match described::read(path)? {
            described::Described::Postgres(..) | described::Described::Flight(..) => return Ok(None),
            described::Described::S3(s3, place) => objects(&s3, &place, None)?,
        },
    };
    let text = files
        .into_iter()
        .find(|file| matches!(file.format, Format::Csv | Format::NdJson));
    text.map_or(Ok(None), |file| stream::sniff(file.open()?))
}

fn names(schema: &Schema) -> Vec<&String> {
    schema.fields().iter().map(|field| field.name()).collect()
}

fn types(schema: &Schema) -> Vec<&DataType> {
    schema.fields().iter().map(|field| field.data_type()).collect()
}

/// The objects of a store that end as data files do, in the order of their names; with a view, those of resources.
fn objects(s3: &s3::S3, place: &described::Place, view: Option<&View>) -> Result<Vec<OneFile>, Report> {
    let found = s3::objects(s3, place)?;
    let is_one = found.len() == 1;
    let has_folders = !s3.names_an_object() && view.is_none();
    let mut files = Vec::new();
    for (name, object) in found {
        if let Some(format) = Format::of(Path::new(&name), view).filter(|_| object.bytes() > 0) {
            let partitions = if has_folders {
                Partitions::of(&name)?
            } else {
                Partitions::default()
            };
            let name = (!is_one).then(|| Arc::from(name));
            let place = Place::There(object);
            files.push(OneFile {
                place,
                format,
                name,
                partitions,
                read: Counter::default(),
            });
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    if files.is_empty() {
        return Err(Problem::SourceMissing
            .report("the store has no object there that ends as a data file does")
            .remedy("such as .csv, .csv.gz, .parquet, .arrow or .ndjson; check prefix or key"));
    }
    Ok(files)
}

/// All data files at a path; with a view, those of resources.
fn files(path: &Path, view: Option<&View>) -> Result<Vec<OneFile>, Report> {
    let about = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !about.is_dir() {
        return Ok(vec![OneFile::at(path, None, view)?]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?.path();
            if entry.is_dir() {
                folders.push(entry);
            } else if Format::of(&entry, view).is_some() {
                found.push(entry);
            }
        }
    }
    found.sort();
    if found.is_empty() {
        let message = "the folder has no file that ends as a data file does";
        return Err(Problem::DataSchema
            .report(message)
            .remedy("such as .csv, .csv.gz, .parquet, .arrow or .ndjson"));
    }
    let name = |file: &Path| file.strip_prefix(path).unwrap_or(file).to_string_lossy().into_owned();
    let below = |file: &PathBuf| {
        let name = name(file);
        let partitions = if view.is_none() {
            Partitions::of(&name)?
        } else {
            Partitions::default()
        };
        let file = OneFile::at(file, Some(name.into()), view)?;
        Ok(OneFile { partitions, ..file })
    };
    found.iter().map(below).collect()
}

impl Format {
    fn of(path: &Path, view: Option<&View>) -> Option<Self> {
        let ending = ending(path)?;
        if let Some(view) = view {
            return resources::ends_so(&ending).then(|| Self::Resources {
                view: view.clone(),
                is_document: ending == "json",
            });
        }
        Some(match ending.as_str() {
            "csv" | "tsv" => Self::Csv,
            "parquet" => Self::Parquet,
            "arrow" | "ipc" | "feather" => Self::Ipc,
            "ndjson" | "jsonl" => Self::NdJson,
            _ => return None,
        })
    }
}

impl OneFile {
    fn at(path: &Path, name: Option<Arc<str>>, view: Option<&View>) -> Result<Self, Report> {
        let format = Format::of(path, view).ok_or_else(|| not_a_data_file(path, view))?;
        Ok(Self {
            place: Place::Here(path.to_owned(), Seen::of(path)?),
            format,
            name,
            partitions: Partitions::default(),
            read: Counter::default(),
        })
    }

    fn shown(&self) -> String {
        self.name.as_deref().unwrap_or("the file").to_owned()
    }

    fn open(&self) -> Result<Reading, Report> {
        match &self.place {
            Place::Here(path, _) => File::open(path)
                .map(|file| Reading::of_file(file, &self.read))
                .map_err(|error| unreadable(path, &error)),
            Place::There(object) => Ok(Reading::of_object(object, &self.read)),
        }
    }

    /// What really went wrong, where readers of formats could only say that they got nothing.
    fn cause(&self, report: Report) -> Report {
        match &self.place {
            Place::Here(..) => report,
            Place::There(object) => object.failure().unwrap_or(report),
        }
    }

    fn schema(&self, form: &SourceForm) -> Result<SchemaRef, Report> {
        let schema = self.found_schema(form).map_err(|report| self.cause(report))?;
        self.partitions.beside(&schema)
    }

    fn found_schema(&self, form: &SourceForm) -> Result<SchemaRef, Report> {
        match self.format {
            Format::Csv => csv::header(self.text(form)?, form).map(|header| header.schema),
            Format::Parquet => Ok(Arc::clone(self.parquet()?.schema())),
            Format::Ipc => Ok(ipc::Records::open(self.open()?, None)?.schema()),
            Format::NdJson => self.json_schema(form),
            Format::Resources { ref view, .. } => Ok(Arc::clone(view.schema())),
        }
    }

    fn pieces(self, wanted: &[usize], form: &SourceForm, schema: &SchemaRef) -> Pieces {
        if let Format::Resources { view, is_document } = &self.format {
            return match self.text(form) {
                Err(report) => Box::new(std::iter::once(Err(self.cause(report)))),
                Ok(text) => {
                    let file = self.clone();
                    let pieces = resources::pieces(self.name.clone(), text, view, *is_document, wanted);
                    let pieces = pieces.map(move |piece| piece.map_err(|report| file.cause(report)));
                    Box::new(pieces.chain(self.unchanged()))
                }
            };
        }
        let first_row = if matches!(self.format, Format::Csv) { 2 } else { 1 };
        let all = schema.fields().len();
        let batches = self.batches(&self.partitions.of_file(wanted, all), form, schema);
        let (partitions, wanted) = (self.partitions.clone(), wanted.to_vec());
        let name = self.name.clone();
        let mut rows = first_row;
        let label = move |batch: RecordBatch| {
            let piece = Piece {
                first_row: rows,
                file: name.clone(),
                batch,
                resources: Resources::default(),
            };
            rows += piece.batch.num_rows() as u64;
            piece
        };
        match batches {
            Err(report) => Box::new(std::iter::once(Err(self.cause(report)))),
            Ok(batches) => {
                let file = self.clone();
                let batches = batches.map(move |batch| batch.map_err(|report| file.cause(report)));
                let batches = batches.map(move |batch| partitions.insert(batch?, &wanted, all));
                Box::new(batches.map(label_each(label)).chain(self.unchanged()))
            }
        }
    }

    /// At the end of its pieces, that it was changed meanwhile, if it was.
    fn unchanged(self) -> impl Iterator<Item = Result<Piece, Report>> {
        std::iter::once_with(move || self.require_unchanged())
            .filter_map(Result::err)
            .map(Err)
    }

    fn batches(&self, wanted: &[usize], form: &SourceForm, schema: &SchemaRef) -> Result<Batches, Report> {
        match self.format {
            Format::Csv => Ok(Box::new(csv::Records::new(self.text(form)?, form, wanted)?)),
            Format::Parquet => {
                let builder = self.parquet()?;
                let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.iter().copied());
                let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
                let reader = reader.map_err(|_| broken("is not a Parquet file that can be read"))?;
                Ok(Box::new(in_order(
                    reader.map(|batch| batch.map_err(|e| malformed(&e))),
                    wanted,
                )))
            }
            Format::Ipc => {
                let reader = ipc::Records::open(self.open()?, Some(ascending(wanted)))?;
                Ok(Box::new(in_order(reader, wanted).flat_map(ipc::cut)))
            }
            Format::NdJson => {
                let reader = arrow::json::ReaderBuilder::new(Arc::new(
                    schema.project(&ascending(wanted)).map_err(|e| malformed(&e))?,
                ))
                .with_batch_size(BATCH_ROWS)
                .build(self.text(form)?);
                let reader = reader.map_err(|e| malformed(&e))?;
                Ok(Box::new(in_order(
                    reader.map(|batch| batch.map_err(|e| malformed(&e))),
                    wanted,
                )))
            }
            Format::Resources { .. } => {
                Err(Problem::Internal.report("resources come as pieces, with what was left out, and not as batches"))
            }
        }
    }

    fn parquet(&self) -> Result<ParquetRecordBatchReaderBuilder<Reading>, Report> {
        ParquetRecordBatchReaderBuilder::try_new(self.open()?)
            .map_err(|_| broken("is not a Parquet file that can be read"))
    }

    fn text(&self, form: &SourceForm) -> Result<stream::Text, Report> {
        stream::Text::open(self.open()?, form)
    }

    fn json_schema(&self, form: &SourceForm) -> Result<SchemaRef, Report> {
        let inferred = arrow::json::reader::infer_json_schema(self.text(form)?, Some(INFER_ROWS));
        let (schema, _) = inferred.map_err(|error| malformed(&error))?;
        Ok(Arc::new(schema))
    }

    fn require_unchanged(&self) -> Result<(), Report> {
        match &self.place {
            Place::Here(path, seen) if Seen::of(path)? != *seen => {}
            _ => return Ok(()),
        }
        let remedy = "wait until whoever writes it has ended, then add it again";
        Err(Problem::DataSchema
            .report(format!("{} was changed while it was read", self.shown()))
            .remedy(remedy))
    }
}

impl Seen {
    fn of(path: &Path) -> Result<Self, Report> {
        let about = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        Ok(Self {
            bytes: about.len(),
            changed: about.modified().ok(),
        })
    }
}

/// How a file's name ends, beside the ending of a compression and in small letters.
pub(crate) fn ending(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name
        .strip_suffix(".gz")
        .or_else(|| name.strip_suffix(".zst"))
        .unwrap_or(&name);
    let (_, ending) = name.rsplit_once('.')?;
    Some(ending.to_owned())
}

fn not_a_data_file(path: &Path, view: Option<&View>) -> Report {
    match (view, ending(path).as_deref()) {
        (Some(_), _) => broken("does not end as one of FHIR resources does")
            .remedy("a view reads NDJSON (.ndjson) and JSON documents such as bundles (.json), also with .gz or .zst"),
        (None, Some("json")) => broken("is a JSON document, which is no table")
            .remedy("FHIR resources become one through a view (--view); other JSON, save as NDJSON (.ndjson)"),
        (None, Some("duckdb" | "db" | "ddb")) => broken("is a database, which a node does not open")
            .remedy("write its tables to a folder, and add those: EXPORT DATABASE 'folder' (FORMAT parquet)"),
        (None, _) => broken("does not end as a data file does")
            .remedy("save it as CSV (.csv), Parquet (.parquet), Arrow IPC (.arrow) or NDJSON (.ndjson)"),
    }
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, Report>>>;

fn label_each<'a>(
    mut label: impl FnMut(RecordBatch) -> Piece + 'a,
) -> impl FnMut(Result<RecordBatch, Report>) -> Result<Piece, Report> + 'a {
    move |batch| batch.map(&mut label)
}

/// Formats that know their columns give them in the file's order.
fn ascending(wanted: &[usize]) -> Vec<usize> {
    let mut ascending = wanted.to_vec();
    ascending.sort_unstable();
    ascending.dedup();
    ascending
}

/// From the file's order to the wanted one, where a column may be wanted twice.
fn in_order<I: Iterator<Item = Result<RecordBatch, Report>>>(
    batches: I,
    wanted: &[usize],
) -> impl Iterator<Item = Result<RecordBatch, Report>> + use<I> {
    let ascending = ascending(wanted);
    let places: Vec<usize> = wanted
        .iter()
        .filter_map(|column| ascending.binary_search(column).ok())
        .collect();
    batches.map(move |batch| batch?.project(&places).map_err(|error| malformed(&error)))
}

pub(crate) fn broken(what: &str) -> Report {
    Problem::DataSchema.report(format!("the file {what}"))
}

/// Structural errors of a file. The parser's own message can quote a cell, so only the place is taken from it.
fn malformed(error: &ArrowError) -> Report {
    let text = error.to_string();
    let line = text.split("line ").nth(1);
    let line = line.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    let place = line
        .filter(|line| !line.is_empty())
        .map_or_else(String::new, |line| format!(", line {line}"));
    broken(&format!("cannot be read as a table{place}"))
}

pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Report {
    let report = Problem::FileMissing.report(format!("{}: {}", path.display(), error.kind()));
    report.remedy("check the path and who may read it")
}

#[cfg(test)]
mod tests;
