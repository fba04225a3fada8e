//! Versions of a data set, and which of them nobody answers from yet.
//!
//! Two versions that differ by fewer people than a number may be about are a way to those people: the difference of two answers. So a
//! version that differs from the one in force by so few waits, and the operator is told why (`docs/disclosure.md`, section 5). Who differs is
//! found by reading both snapshots side by side; nothing is kept of it.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::hash::Hasher as _;
use std::io::{self, Read as _};
use std::iter::Peekable;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::arrow::row::{RowConverter, SortField};
use intake::{Mapping, Misfits};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use policy::{Collection, MinPeople};
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use terms::{CollectionId, Report, UtcTime};
use trust::Digest;

use super::{Dataset, Datasets, Made, ORDER, damaged, remove_others, unreadable, write_json};

/// The file name of what is said of a version that waits.
const PENDING_FILE: &str = "pending.json";

/// Bytes that are read at once.
const PIECE_BYTES: usize = 1 << 20;

/// What became of a version.
#[derive(Debug)]
pub enum Publication {
    /// Questions are answered from it.
    InForce(Arc<Dataset>),
    /// They are still answered from the one before.
    Pending(Pending),
}

/// A version that waits. How many people differ is for the operator only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// When it was added.
    pub added: UtcTime,
    /// Its rows.
    pub rows: u64,
    /// People who are in one version only, or with other rows.
    pub differing: u32,
    /// How many it must be.
    pub least: u32,
    /// Its snapshot.
    file: String,
}

impl Datasets {
    /// As [`Datasets::add_by`]; but a version that differs from the one in force by at least one person and fewer than `least` waits. The next
    /// one is again compared with the one in force.
    ///
    /// # Errors
    /// As there.
    pub fn publish(
        &self,
        mapping: &Mapping,
        file: &Path,
        collection: &Collection,
        now: UtcTime,
        least: Option<MinPeople>,
    ) -> Result<(Publication, Misfits), Report> {
        let (made, misfits) = self.make(mapping, file, collection, now)?;
        let Some((pending, before)) = held_back(&made, least)? else {
            return Ok((Publication::InForce(self.put_in_force(made)?), misfits));
        };
        let folder = &made.folder;
        write_json(folder, PENDING_FILE, &pending).map_err(|error| unreadable(folder, &error))?;
        remove_others(folder, [Some(&before.about.file), Some(&pending.file)]);
        Ok((Publication::Pending(pending), misfits))
    }

    /// Whether what [`Datasets::publish`] would make would wait, and why. Nothing is published, and nothing kept.
    ///
    /// # Errors
    /// As there.
    pub fn foresee(
        &self,
        mapping: &Mapping,
        file: &Path,
        collection: &Collection,
        now: UtcTime,
        least: Option<MinPeople>,
    ) -> Result<Option<Pending>, Report> {
        if least.is_none() || self.find(&collection.id).is_none() {
            return Ok(None);
        }
        let (made, _) = self.snapshot(mapping, file, collection, now)?;
        let held = held_back(&made, least);
        // A leftover is removed with the next version.
        let _ = fs::remove_file(made.folder.join(&made.about.file));
        Ok(held?.map(|(pending, _)| pending))
    }

    /// The version of a collection's data that waits, if one does.
    ///
    /// # Errors
    /// `DataSchema` or `FileMissing` if what is there cannot be read.
    pub fn pending(&self, collection: &CollectionId) -> Result<Option<Pending>, Report> {
        let folder = self.folder.join(collection.as_str());
        match fs::read(folder.join(PENDING_FILE)) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| damaged(&folder)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&folder, &error)),
        }
    }
}

/// A version is in force that none has to wait for any more.
pub(super) fn forget_pending(folder: &Path) {
    // There mostly is none. Left behind it says that a version waits that does not.
    let _ = fs::remove_file(folder.join(PENDING_FILE));
}

/// Why a version waits, and what it would take the place of. One that was checked against another collection, or is not of the same kind of
/// people, is not compared: who changed between them nobody can tell.
fn held_back(made: &Made, least: Option<MinPeople>) -> Result<Option<(Pending, Arc<Dataset>)>, Report> {
    let (Some(least), Some(before)) = (least, &made.before) else {
        return Ok(None);
    };
    let is_comparable = before.schema.field_with_name(ORDER).is_ok()
        && before.about.checked_against == made.about.checked_against
        && !before.about.synthetic
        && !made.about.synthetic;
    if !is_comparable {
        return Ok(None);
    }
    let [old, new] = [&before.about.file, &made.about.file].map(|file| made.folder.join(file));
    let least = least.get();
    let differing = differing(&old, &new, least)?;
    let pending = Pending {
        added: made.about.updated,
        rows: made.about.rows,
        differing,
        least,
        file: made.about.file.clone(),
    };
    Ok((1..least).contains(&differing).then(|| (pending, Arc::clone(before))))
}

/// The digest of a snapshot.
pub(super) fn content_of(file: &Path) -> Result<Digest, Report> {
    let failed = |error: io::Error| unreadable(file, &error);
    let mut source = File::open(file).map_err(failed)?;
    let (mut digest, mut piece) = (Digest::hasher(), vec![0; PIECE_BYTES]);
    loop {
        match source.read(&mut piece).map_err(failed)? {
            0 => return Ok(digest.finish()),
            read => digest.update(&piece[..read]),
        }
    }
}

/// One person's rows: by what people are sorted, and a sum over the rows in which their order does not matter.
type Person = (i64, u128);

/// How many people are in one snapshot only, or have other rows; `enough` if it is more.
fn differing(before: &Path, after: &Path, enough: u32) -> Result<u32, Report> {
    let (mut before, mut after) = (rows(before)?.peekable(), rows(after)?.peekable());
    let (mut old, mut new) = (person(&mut before)?, person(&mut after)?);
    let mut differing = 0;
    while differing < enough {
        let (goes, comes) = match (old, new) {
            (None, None) => break,
            (Some(was), Some(is)) => (was.0 <= is.0, is.0 <= was.0),
            (was, is) => (was.is_some(), is.is_some()),
        };
        if !(goes && comes && old == new) {
            differing += 1;
        }
        if goes {
            old = person(&mut before)?;
        }
        if comes {
            new = person(&mut after)?;
        }
    }
    Ok(differing)
}

/// The next person: all rows with the same order lie together.
fn person<I: Iterator<Item = Result<Person, Report>>>(rows: &mut Peekable<I>) -> Result<Option<Person>, Report> {
    let Some(first) = rows.next() else { return Ok(None) };
    let (order, mut sum) = first?;
    let is_theirs = |row: &Result<Person, Report>| row.as_ref().map_or(true, |(other, _)| *other == order);
    while let Some(row) = rows.next_if(is_theirs) {
        sum = sum.wrapping_add(row?.1);
    }
    Ok(Some((order, sum)))
}

/// Each row of a snapshot as a person with one row.
fn rows(file: &Path) -> Result<impl Iterator<Item = Result<Person, Report>>, Report> {
    let broken = || damaged(file);
    let source = File::open(file).map_err(|error| unreadable(file, &error))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(source).and_then(ParquetRecordBatchReaderBuilder::build);
    let reader = reader.map_err(|_| broken())?;
    let folder = file.to_owned();
    Ok(reader.flat_map(move |batch| {
        let hashed = batch
            .map_err(|_| damaged(&folder))
            .and_then(|batch| hashed(&batch, &folder));
        match hashed {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(report) => vec![Err(report)],
        }
    }))
}

fn hashed(batch: &RecordBatch, file: &Path) -> Result<Vec<Person>, Report> {
    let broken = || damaged(file);
    let fields = batch.schema();
    let fields = fields
        .fields()
        .iter()
        .map(|field| SortField::new(field.data_type().clone()));
    let converter = RowConverter::new(fields.collect()).map_err(|_| broken())?;
    let rows = converter.convert_columns(batch.columns()).map_err(|_| broken())?;
    let orders = batch.column_by_name(ORDER).ok_or_else(broken)?;
    let orders = orders.as_primitive_opt::<Int64Type>().ok_or_else(broken)?;
    let hash = |row: &[u8]| {
        let mut hasher = SipHasher13::new();
        hasher.write(row);
        hasher.finish128().as_u128()
    };
    Ok(orders
        .values()
        .iter()
        .zip(&rows)
        .map(|(order, row)| (*order, hash(row.as_ref())))
        .collect())
}
