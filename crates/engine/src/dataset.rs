//! The datasets of one node: checked against their collection once, kept as Parquet snapshots of our own.
//!
//! A query never reads an operator's file, so that one replaced or broken meanwhile harms nobody. How a file is
//! checked is in `dataset/import.rs`.

mod import;
mod order;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::{DFSchema, DataFusionError, Result as EngineResult};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::logical_expr::{Expr, ident};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use policy::Collection;
use serde::{Deserialize, Serialize};
use terms::{CollectionId, Problem, Report, UtcTime};
use trust::Digest;

use crate::secret::NodeSecret;
use crate::session;

/// The description's file name inside a dataset's folder.
const ABOUT_FILE: &str = "dataset.json";

/// The file with the node's secret, inside the folder of all datasets.
const SECRET_FILE: &str = "node.secret";

/// The column by which a snapshot about people is sorted: a keyed hash of the person, so that all rows of one person lie
/// together, and their order says nothing. Queries cannot name it.
pub(crate) const ORDER: &str = "__order";

/// The form of snapshots. Those of another are made anew from the operator's file.
const SNAPSHOT_FORM: u32 = 2;

/// One dataset that conformed to its collection when it was added.
#[derive(Debug)]
pub struct Dataset {
    about: About,
    schema: SchemaRef,
    table: Arc<ListingTable>,
}

/// What is kept beside the data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    collection: CollectionId,
    /// Of the collection's columns as they were checked.
    checked_against: Digest,
    updated: UtcTime,
    rows: u64,
    file: String,
}

impl Dataset {
    /// The collection that it conforms to.
    pub fn collection(&self) -> &CollectionId {
        &self.about.collection
    }

    /// When its data was last changed.
    pub fn updated(&self) -> UtcTime {
        self.about.updated
    }

    /// Number of rows; for the operator only, never to be told to anybody else.
    pub fn rows(&self) -> u64 {
        self.about.rows
    }

    /// Whether it was checked against the collection as it is now.
    pub fn conforms_to(&self, collection: &Collection) -> bool {
        self.about.checked_against == fingerprint(collection)
    }

    pub(crate) fn table(&self) -> EngineResult<Arc<dyn TableProvider>> {
        Ok(Arc::clone(&self.table) as Arc<dyn TableProvider>)
    }

    /// A row filter over the stored columns.
    pub(crate) fn row_filter(&self, sql: &str) -> EngineResult<Expr> {
        let schema = DFSchema::try_from(self.schema.as_ref().clone())?;
        session::for_running()?.create_logical_expr(sql, &schema)
    }
}

/// The datasets of one node, one for each collection.
#[derive(Debug)]
pub struct Datasets {
    folder: PathBuf,
    secret: NodeSecret,
    by_collection: RwLock<BTreeMap<CollectionId, Arc<Dataset>>>,
}

impl Datasets {
    /// Opens the datasets in `folder`, which is made if need be.
    ///
    /// # Errors
    /// `FileMissing` or `DataSchema` if what is there cannot be read.
    pub fn open(folder: &Path) -> Result<Self, Report> {
        fs::create_dir_all(folder).map_err(|error| unreadable(folder, &error))?;
        let mut by_collection = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
            let path = entry.map_err(|error| unreadable(folder, &error))?.path();
            if path.join(ABOUT_FILE).is_file() {
                let dataset = open_one(&path)?;
                by_collection.insert(dataset.collection().clone(), Arc::new(dataset));
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            secret: NodeSecret::open(&folder.join(SECRET_FILE))?,
            by_collection: RwLock::new(by_collection),
        })
    }

    /// What the node recognises people by.
    pub fn secret(&self) -> &NodeSecret {
        &self.secret
    }

    /// The dataset that conforms to a collection.
    pub fn find(&self, collection: &CollectionId) -> Option<Arc<Dataset>> {
        self.by_collection
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(collection)
            .cloned()
    }

    /// All datasets, by collection.
    pub fn all(&self) -> Vec<Arc<Dataset>> {
        self.by_collection
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Checks every value of `file` (CSV with a header, or Parquet) against the collection and, if all fit, makes a
    /// snapshot that replaces an earlier one. If one does not fit, nothing changes.
    ///
    /// # Errors
    /// `DataFormat` with row, column, value class and what was expected; `DataSchema` for columns; `FileMissing`.
    pub fn add(&self, file: &Path, collection: &Collection, now: UtcTime) -> Result<Arc<Dataset>, Report> {
        let folder = self.folder.join(collection.id.as_str());
        fs::create_dir_all(&folder).map_err(|error| unreadable(&folder, &error))?;
        let name = format!("{}.parquet", now.as_microsecond());
        let target = folder.join(&name);
        order::remove_leftovers(&folder);
        let draft = folder.join(order::DRAFT);
        let made = import::import(file, collection, &self.secret.sketch_key(), &draft)
            .and_then(|rows| order::sort(&draft, collection, &target).map(|()| rows));
        // What was written on the way is of no use; a leftover is removed before the next snapshot.
        let _ = fs::remove_file(&draft);
        let rows = made.inspect_err(|_| {
            let _ = fs::remove_file(&target);
        })?;
        let checked_against = fingerprint(collection);
        let about = About {
            collection: collection.id.clone(),
            checked_against,
            updated: now,
            rows,
            file: name,
        };
        write_about(&folder, &about).map_err(|error| unreadable(&folder, &error))?;
        remove_others(&folder, &about.file);
        let dataset = Arc::new(open_one(&folder)?);
        let mut all = self.by_collection.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(collection.id.clone(), Arc::clone(&dataset));
        Ok(dataset)
    }
}

/// What of a collection the stored data depends on.
fn fingerprint(collection: &Collection) -> Digest {
    let checked: Vec<_> = collection
        .columns
        .iter()
        .map(|c| (&c.name, c.kind, &c.domain, c.bounds))
        .collect();
    let rest = (
        &collection.privacy_unit,
        collection.rows_per_person_max,
        import::sql_filters(collection).collect::<Vec<_>>(),
    );
    let key = collection.key.as_deref().unwrap_or_default();
    Digest::of(format!("{SNAPSHOT_FORM}{checked:?}{rest:?}{key}").as_bytes())
}

fn open_one(folder: &Path) -> Result<Dataset, Report> {
    let text = fs::read(folder.join(ABOUT_FILE)).map_err(|error| unreadable(folder, &error))?;
    let about: About = serde_json::from_slice(&text).map_err(|_| damaged(folder))?;
    let path = folder.join(&about.file);
    let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
    let schema = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|_| damaged(folder))?
        .schema()
        .clone();
    let table = listing(&path, &schema).map_err(|_| damaged(folder))?;
    Ok(Dataset {
        about,
        schema,
        table: Arc::new(table),
    })
}

fn listing(path: &Path, schema: &SchemaRef) -> Result<ListingTable, DataFusionError> {
    let format = ParquetFormat::default().with_force_view_types(false);
    let options = ListingOptions::new(Arc::new(format)).with_file_extension("parquet");
    let is_sorted = schema.field_with_name(ORDER).is_ok();
    let options = match is_sorted {
        true => options.with_file_sort_order(vec![vec![ident(ORDER).sort(true, false)]]),
        false => options,
    };
    let url = ListingTableUrl::parse(path.to_string_lossy())?;
    let config = ListingTableConfig::new(url)
        .with_listing_options(options)
        .with_schema(Arc::clone(schema));
    ListingTable::try_new(config)
}

fn write_about(folder: &Path, about: &About) -> std::io::Result<()> {
    let draft = folder.join("dataset.json.new");
    let file = File::create(&draft)?;
    serde_json::to_writer_pretty(&file, about)?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(ABOUT_FILE))?;
    File::open(folder)?.sync_all()
}

/// Earlier snapshots. A query that still reads one keeps its open file.
fn remove_others(folder: &Path, keep: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_snapshot = path.extension().is_some_and(|ending| ending == "parquet");
        if is_snapshot && path.file_name().is_some_and(|name| name != keep) {
            // Left behind at worst; the next snapshot tries again.
            let _ = fs::remove_file(path);
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Report {
    Problem::FileMissing.report(format!("{}: {error}", path.display()))
}

fn damaged(folder: &Path) -> Report {
    let report = Problem::DataSchema.report(format!("the dataset in {} cannot be read", folder.display()));
    report.remedy("add the data file again")
}
