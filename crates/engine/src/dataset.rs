//! The datasets of one node: checked against their collection once, kept as Parquet snapshots of our own.
//!
//! A query never reads an operator's file, so that one replaced or broken meanwhile harms nobody. How a file is
//! checked is in `dataset/import.rs`.

mod import;
mod order;
mod shift;
mod source;
mod stamp;
mod version;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{DFSchema, DataFusionError, Result as EngineResult};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::logical_expr::{Expr, ident};
use intake::{Mapping, Misfits};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use policy::{Collection, Release};
use serde::{Deserialize, Serialize};
use terms::{CollectionId, Problem, Report, UtcTime};
use trust::{DataVersion, Digest};

use self::stamp::Stamp;
pub use self::version::{Pending, Publication};
use crate::secret::NodeSecret;
use crate::session;

pub use source::Unhealthy;

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
    content: Digest,
    /// Nobody may change a snapshot, not even we.
    stamp: Stamp,
    schema: SchemaRef,
    /// Texts as they are stored, for rows.
    table: Arc<ListingTable>,
    /// Texts as views of what is stored, which are read more quickly: for aggregates, of which no array leaves.
    views: Arc<ListingTable>,
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
    /// From 1 on; other data have another number.
    #[serde(default = "first")]
    version: u64,
    /// Of the snapshot; it is not there in those of older programs.
    content: Option<Digest>,
    /// Whether the file said of itself that it is made up.
    #[serde(default)]
    synthetic: bool,
    /// Whether each person's days were moved when it was read.
    #[serde(default)]
    days_moved: bool,
    /// Stands for what days were moved by, in this version or in the last of real people before it in which they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shift_mark: Option<Digest>,
    /// Of the file. Earlier versions did not write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

fn first() -> u64 {
    1
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

    /// Which data it is: told with every answer.
    pub fn version(&self) -> DataVersion {
        DataVersion {
            collection: self.about.collection.clone(),
            version: self.about.version,
            digest: self.content,
            synthetic: self.about.synthetic,
        }
    }

    /// Whether it is of made-up people.
    pub fn is_synthetic(&self) -> bool {
        self.about.synthetic
    }

    /// Whether each person's days are moved by a number that nobody is told.
    pub fn has_days_moved(&self) -> bool {
        self.about.days_moved
    }

    /// Whether it was checked against the collection as it is now.
    pub fn conforms_to(&self, collection: &Collection) -> bool {
        self.about.checked_against == fingerprint(collection)
    }

    pub(crate) fn table(&self, release: Release) -> Arc<dyn TableProvider> {
        match release {
            Release::Models | Release::Rows => Arc::clone(&self.table) as Arc<dyn TableProvider>,
            Release::Aggregates => Arc::clone(&self.views) as Arc<dyn TableProvider>,
        }
    }

    /// A row filter over the stored columns.
    pub(crate) fn row_filter(&self, sql: &str) -> EngineResult<Expr> {
        let schema = DFSchema::try_from(self.schema.as_ref().clone())?;
        session::row_filter(sql, &schema)
    }
}

/// The datasets of one node, one for each collection.
#[derive(Debug)]
pub struct Datasets {
    folder: PathBuf,
    secret: NodeSecret,
    by_collection: RwLock<BTreeMap<CollectionId, Arc<Dataset>>>,
    /// Those that cannot be answered from, and why.
    damaged: RwLock<BTreeMap<CollectionId, Report>>,
}

impl Datasets {
    /// Opens the datasets in `folder`, which is made if need be. One that cannot be read is not answered from, and takes none of the
    /// others with it: [`Datasets::unhealthy`].
    ///
    /// # Errors
    /// `FileMissing` if the folder cannot be read; `FileValue` if the node's secret cannot.
    pub fn open(folder: &Path) -> Result<Self, Report> {
        fs::create_dir_all(folder).map_err(|error| unreadable(folder, &error))?;
        let datasets = Self {
            folder: folder.to_owned(),
            secret: NodeSecret::open(&folder.join(SECRET_FILE))?,
            by_collection: RwLock::default(),
            damaged: RwLock::default(),
        };
        for folder in folders(folder)? {
            // Why is kept.
            let _ = datasets.take_up(&folder);
        }
        Ok(datasets)
    }

    /// Answers from the dataset in a folder from now on; or, if it cannot be read, not any more.
    fn take_up(&self, folder: &Path) -> Result<Arc<Dataset>, Report> {
        let opened = open_one(folder).map(Arc::new);
        let mut all = self.by_collection.write().unwrap_or_else(PoisonError::into_inner);
        let mut damaged = self.damaged.write().unwrap_or_else(PoisonError::into_inner);
        match &opened {
            Ok(dataset) => {
                damaged.remove(dataset.collection());
                all.insert(dataset.collection().clone(), Arc::clone(dataset));
            }
            Err(report) => {
                let Some(collection) = source::named(folder) else {
                    return opened;
                };
                all.remove(&collection);
                damaged.insert(collection, report.clone());
            }
        }
        opened
    }

    /// Why the dataset of a collection is not answered from, if it cannot be read.
    fn damage(&self, collection: &CollectionId) -> Option<Report> {
        let damaged = self.damaged.read().unwrap_or_else(PoisonError::into_inner);
        damaged.get(collection).cloned()
    }

    /// What the node recognises people by.
    pub fn secret(&self) -> &NodeSecret {
        &self.secret
    }

    /// Takes up what was added since by another process, and lets go of what was damaged; says whether there is anything new.
    ///
    /// # Errors
    /// `FileMissing` or `DataSchema` of the last that cannot be read any more; the others are taken up all the same.
    pub fn look_again(&self) -> Result<bool, Report> {
        let mut failed = None;
        let mut is_new = false;
        for folder in folders(&self.folder)? {
            if self.is_as_it_was(&folder) {
                continue;
            }
            let was = source::named(&folder).and_then(|collection| self.damage(&collection));
            match self.take_up(&folder) {
                Ok(_) => is_new = true,
                Err(report) if was.as_ref() == Some(&report) => {}
                Err(report) => failed = Some(report),
            }
        }
        failed.map_or(Ok(is_new), Err)
    }

    fn is_as_it_was(&self, folder: &Path) -> bool {
        let known = read_about(folder).and_then(|about| {
            let known = self
                .find(&about.collection)
                .filter(|known| known.about.file == about.file);
            Ok(known.zip(Some(Stamp::of(&folder.join(&about.file))?)))
        });
        matches!(known, Ok(Some((known, stamp))) if known.stamp == stamp)
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

    /// Adds a file or folder whose columns are named and written as the collection has them: [`Datasets::add_by`].
    ///
    /// # Errors
    /// As there.
    pub fn add(&self, file: &Path, collection: &Collection, now: UtcTime) -> Result<Arc<Dataset>, Report> {
        let (dataset, _) = self.add_by(&Mapping::plain(collection.id.clone()), file, collection, now)?;
        Ok(dataset)
    }

    /// Brings `file` into the collection's columns as the mapping says, checks every value and, if all fit, makes a snapshot that
    /// replaces an earlier one. If one does not fit, nothing changes. Gives back, too, what the mapping let count as missing.
    ///
    /// # Errors
    /// `DataFormat` with row, column, value class and what was expected; `DataSchema` for columns; `FileMissing`; `DataShift` if
    /// days would be moved by other numbers than before; `DataBusy` if somebody else adds to the collection.
    pub fn add_by(
        &self,
        mapping: &Mapping,
        file: &Path,
        collection: &Collection,
        now: UtcTime,
    ) -> Result<(Arc<Dataset>, Misfits), Report> {
        let (made, misfits) = self.make(mapping, file, collection, now)?;
        Ok((self.put_in_force(made)?, misfits))
    }

    /// A checked snapshot, which nobody answers from yet, and from where it is.
    fn make(
        &self,
        mapping: &Mapping,
        file: &Path,
        collection: &Collection,
        now: UtcTime,
    ) -> Result<(Made, Misfits), Report> {
        let (made, misfits) = self.snapshot(mapping, file, collection, now)?;
        source::keep(&made.folder, file, mapping)?;
        Ok((made, misfits))
    }

    /// A checked snapshot.
    fn snapshot(
        &self,
        mapping: &Mapping,
        file: &Path,
        collection: &Collection,
        now: UtcTime,
    ) -> Result<(Made, Misfits), Report> {
        let folder = self.folder.join(collection.id.as_str());
        fs::create_dir_all(&folder).map_err(|error| unreadable(&folder, &error))?;
        let lock = source::lock(&folder)?;
        let name = format!("{}.parquet", now.as_microsecond());
        let target = folder.join(&name);
        order::remove_leftovers(&folder);
        let draft = folder.join(order::DRAFT);
        let made = import::import(file, mapping, collection, &self.secret.sketch_key(), &draft)
            .and_then(|imported| order::sort(&draft, collection, &target).map(|()| imported));
        // What was written on the way is of no use; a leftover is removed before the next snapshot.
        let _ = fs::remove_file(&draft);
        let before = self.find(&collection.id);
        let made = made.and_then(|imported| {
            let shift_mark = shift::mark(&imported, before.as_deref(), &self.secret)?;
            Ok((imported, shift_mark))
        });
        let (imported, shift_mark) = made.inspect_err(|_| {
            let _ = fs::remove_file(&target);
        })?;
        let content = version::content_of(&target)?;
        let number = before
            .as_ref()
            .map_or(1, |before| before.about.version_after(content, before.content));
        let checked_against = fingerprint(collection);
        let about = About {
            collection: collection.id.clone(),
            checked_against,
            updated: now,
            rows: imported.rows,
            file: name,
            version: number,
            content: Some(content),
            synthetic: imported.is_synthetic,
            days_moved: imported.shift_mark.is_some(),
            shift_mark,
            bytes: Some(Stamp::of(&target)?.bytes),
        };
        let made = Made {
            folder,
            about,
            before,
            _lock: lock,
        };
        Ok((made, imported.misfits))
    }

    /// Answers from a snapshot from now on.
    fn put_in_force(&self, made: Made) -> Result<Arc<Dataset>, Report> {
        let Made {
            folder, about, before, ..
        } = &made;
        if let Some(content) = about.content {
            stamp::keep(folder, &about.file, content);
        }
        write_json(folder, ABOUT_FILE, about).map_err(|error| unreadable(folder, &error))?;
        version::forget_pending(folder);
        let before = before.as_ref().map(|dataset| dataset.about.file.as_str());
        remove_others(folder, [Some(&about.file), before]);
        self.take_up(folder)
    }
}

/// A checked snapshot, and what it would take the place of.
struct Made {
    folder: PathBuf,
    about: About,
    before: Option<Arc<Dataset>>,
    /// Nobody else makes one of the collection meanwhile.
    _lock: File,
}

impl About {
    /// The number of the next data: the same if they are the same.
    fn version_after(&self, next: Digest, this: Digest) -> u64 {
        match next == this {
            true => self.version,
            false => self.version + 1,
        }
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

/// The folders below this one in which a dataset is.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, Report> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let paths = entries.map(|entry| Ok(entry.map_err(|error| unreadable(folder, &error))?.path()));
    let paths = paths.collect::<Result<Vec<PathBuf>, Report>>()?;
    Ok(paths
        .into_iter()
        .filter(|path| path.join(ABOUT_FILE).is_file())
        .collect())
}

fn read_about(folder: &Path) -> Result<About, Report> {
    let text = fs::read(folder.join(ABOUT_FILE)).map_err(|error| unreadable(folder, &error))?;
    serde_json::from_slice(&text).map_err(|_| damaged(folder))
}

fn open_one(folder: &Path) -> Result<Dataset, Report> {
    let about = read_about(folder)?;
    let path = folder.join(&about.file);
    let stamp = Stamp::of(&path)?;
    if about.bytes.is_some_and(|bytes| bytes != stamp.bytes)
        || source::named(folder).as_ref() != Some(&about.collection)
    {
        return Err(damaged(folder));
    }
    let content = match about.content {
        Some(content) => stamp::require_unchanged(folder, &about.file, content, stamp)?,
        None => version::content_of(&path)?,
    };
    let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
    let schema = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|_| damaged(folder))?
        .schema()
        .clone();
    let table = |schema: &SchemaRef| listing(&path, schema).map_err(|_| damaged(folder));
    Ok(Dataset {
        content,
        about,
        stamp,
        table: Arc::new(table(&schema)?),
        views: Arc::new(table(&as_views(&schema))?),
        schema,
    })
}

fn as_views(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 => field.as_ref().clone().with_data_type(DataType::Utf8View),
        _ => field.as_ref().clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
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

fn write_json(folder: &Path, name: &str, value: &impl Serialize) -> std::io::Result<()> {
    let draft = folder.join(format!("{name}.new"));
    let file = File::create(&draft)?;
    serde_json::to_writer_pretty(&file, value)?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(name))?;
    File::open(folder)?.sync_all()
}

/// Earlier snapshots, but for the one that a node that runs still answers from until it looks again.
fn remove_others(folder: &Path, keep: [Option<&str>; 2]) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let is_snapshot = path.extension().is_some_and(|ending| ending == "parquet");
        let name = path.file_name().and_then(|name| name.to_str());
        if is_snapshot && !keep.contains(&name) {
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
