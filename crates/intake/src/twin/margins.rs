//! Answers that nodes released, by which columns of a made-up table are distributed: how often each value, bin or period of one column
//! comes, or each pair of two.
//!
//! That they were released is all that makes them safe: policy, release checks, quota and audit were applied when they left. So nothing of
//! data is read here, and nothing is worked out but shares. What was not released has no share; if the number of all rows was released too,
//! what is left of it is spread evenly over the values that are not listed.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use arrow::array::{Array as _, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use policy::{Collection, Column, ColumnKind, Domain, NODE_COLUMN};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use terms::{CollectionId, Problem, Report};

use super::Chance;
use super::part::{self, Part};
use crate::mapping::SourceForm;
use crate::source::{Opened, unreadable};

/// Longest file of an answer, in bytes: some hundred thousand groups.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Most values, or pairs of values, of one margin.
const CELLS_MAX: usize = 100_000;

/// Values that are told of by name.
const SHOWN_MAX: usize = 50;

/// What answers say of a collection.
#[derive(Debug, Default)]
pub struct Margins {
    margins: Vec<Margin>,
    origins: Vec<Origin>,
}

/// One answer, ready to be drawn from.
#[derive(Debug)]
struct Margin {
    columns: Vec<String>,
    cells: Vec<Vec<Option<Part>>>,
    /// The share of each cell and of all before it.
    up_to: Vec<u64>,
}

/// From which answer a margin is, and what is not in it: for the description of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The name of the file.
    pub file: String,
    /// Its digest.
    pub sha256: String,
    /// What it is about; nothing if it says how many rows there are.
    pub columns: Vec<String>,
    /// The sum of the counts that were released.
    pub released: u64,
    /// How many counts lack what some nodes withheld.
    pub incomplete: usize,
    /// Values and pairs without a released count, at most fifty by name.
    pub unlisted: Vec<String>,
    /// How many there are.
    pub unlisted_values: usize,
    /// How many rows are spread evenly over these; nothing if the number of all rows was not released.
    pub spread: Option<u64>,
}

impl Margins {
    /// Reads answers as `datenraum query` writes them.
    ///
    /// # Errors
    /// `FileMissing` if one cannot be read; `Margins` if it is none about one or two columns of the collection, or says what cannot be.
    pub fn read(files: &[PathBuf], collection: &Collection) -> Result<Self, Report> {
        let counted = files.iter().map(|file| Counted::read(file, collection));
        let counted = counted.collect::<Result<Vec<_>, Report>>()?;
        let (totals, counted): (Vec<_>, Vec<_>) = counted.into_iter().partition(|counted| counted.keys.is_empty());
        if let [_, second, ..] = &totals[..] {
            return Err(second.wrong("a second number of all rows"));
        }
        let total = totals.first().map(Counted::sum).transpose()?;
        let mut all = Self::default();
        all.origins.extend(totals.iter().map(|totals| Origin {
            released: total.unwrap_or_default(),
            ..totals.origin.clone()
        }));
        for counted in counted {
            if let Some(name) = counted.names().find(|name| all.about(name).is_some()) {
                return Err(counted.wrong(&format!("a second file about {name}")));
            }
            let (margin, origin) = counted.shares(total)?;
            all.margins.push(margin);
            all.origins.push(origin);
        }
        Ok(all)
    }

    /// From which answers they are.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Which margin is about a column, and which of its keys.
    pub(super) fn about(&self, column: &str) -> Option<(usize, usize)> {
        let mut margins = self.margins.iter().enumerate();
        margins.find_map(|(at, margin)| Some((at, margin.columns.iter().position(|name| name == column)?)))
    }

    /// A value, or a pair of values, of each.
    pub(super) fn draw(&self, chance: &mut Chance) -> Vec<&[Option<Part>]> {
        let mut draw = |margin: &'_ Margin| {
            let at = chance.below(margin.up_to.last().copied().unwrap_or_default());
            margin.up_to.partition_point(|up_to| *up_to <= at)
        };
        let drawn = self.margins.iter().map(|margin| &margin.cells[draw(margin)][..]);
        drawn.collect()
    }
}

/// A column that an answer is grouped by, and its values: the declared ones, or those that came.
struct Key<'a> {
    column: &'a Column,
    parts: Vec<Part>,
}

/// What an answer says: how often what comes. Values stand for their place in the key; none is a missing value.
struct Counted<'a> {
    keys: Vec<Key<'a>>,
    counts: BTreeMap<Vec<Option<usize>>, u64>,
    origin: Origin,
}

impl<'a> Counted<'a> {
    fn read(file: &Path, collection: &'a Collection) -> Result<Self, Report> {
        let (table, sha256) = Table::read(file, collection)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut counted = Self {
            keys: Vec::new(),
            counts: BTreeMap::new(),
            origin: Origin {
                file: name,
                sha256,
                columns: Vec::new(),
                released: 0,
                incomplete: table.incomplete,
                unlisted: Vec::new(),
                unlisted_values: 0,
                spread: None,
            },
        };
        let (keys, count) = counted.places(&table, collection)?;
        for (number, row) in (1..).zip(&table.rows) {
            counted.take(number, row, &keys, count)?;
        }
        Ok(counted)
    }

    /// Where the keys are, and the count.
    fn places(&mut self, table: &Table, collection: &'a Collection) -> Result<(Vec<usize>, usize), Report> {
        let (mut keys, mut others) = (Vec::new(), Vec::new());
        for (at, written) in table.names.iter().enumerate() {
            match (named(written), collection.column(named(written))) {
                (NODE_COLUMN, None) => {}
                (_, None) => others.push(at),
                (_, Some(column)) => {
                    self.keys.push(self.key(column, collection)?);
                    keys.push(at);
                }
            }
        }
        self.origin.columns = self.names().map(str::to_owned).collect();
        let repeated = (1..self.keys.len()).any(|at| self.keys[at].column.name == self.keys[at - 1].column.name);
        match &others[..] {
            _ if keys.len() > 2 || repeated => Err(self.wrong("more than two columns, or one twice")),
            [] => Err(self.wrong("no count")),
            [count] => Ok((keys, *count)),
            [_, _, ..] => {
                let known = || collection.columns.iter().map(|column| column.name.as_str());
                let others: Vec<&str> = others.iter().map(|at| table.names[*at].as_str()).collect();
                let near = others.iter().find_map(|name| terms::text::nearest(name, known()));
                let near = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
                let message = format!(
                    "{} are no columns of {}, and a count is one",
                    others.join(", "),
                    collection.id
                );
                Err(self.wrong(&message).remedy(format!(
                    "{near}ask for what is grouped by under its own name, and for one count: SELECT bin(age) AS age, count(*) AS n … GROUP BY bin(age)"
                )))
            }
        }
    }

    /// What an answer may be grouped by.
    fn key(&self, column: &'a Column, collection: &Collection) -> Result<Key<'a>, Report> {
        let is_identifier = column.roles.identifier
            || collection.privacy_unit.as_ref() == Some(&column.name)
            || collection.is_joined_along(column);
        let has_groups = column.domain.is_some() || column.kind == ColumnKind::Boolean;
        let name = &column.name;
        match (is_identifier, has_groups) {
            (true, _) => Err(self.wrong(&format!("{name} tells people, rows or places apart"))),
            (false, false) => Err(self.wrong(&format!("{name} has no declared values, bins or periods"))),
            (false, true) => Ok(Key {
                column,
                parts: part::declared(column),
            }),
        }
    }

    /// Adds a row: those of several nodes come together.
    fn take(&mut self, number: u64, row: &[Option<String>], keys: &[usize], count: usize) -> Result<(), Report> {
        let mut cell = Vec::new();
        for (key, at) in self.keys.iter_mut().zip(keys) {
            let Some(text) = &row[*at] else {
                cell.push(None);
                continue;
            };
            let Some(part) = part::named(key.column, text) else {
                let (name, domain) = (&key.column.name, key.column.describe_domain());
                let message = format!("row {number}: no value of {name} that the collection declares");
                return Err(self.wrong(&message).remedy(format!("{name} has {domain}")));
            };
            let known = key.parts.iter().position(|known| *known == part);
            cell.push(Some(known.unwrap_or_else(|| {
                key.parts.push(part);
                key.parts.len() - 1
            })));
        }
        // A count that was withheld is as one that is not there.
        let Some(text) = &row[count] else { return Ok(()) };
        let released: u64 = text.parse().map_err(|_| {
            let what = match text.parse::<f64>() {
                Ok(number) if number < 0.0 => "a negative count",
                _ => "no count",
            };
            self.wrong(&format!("row {number}: {what}"))
        })?;
        if self.counts.len() >= CELLS_MAX {
            return Err(self.wrong(&format!("more than {CELLS_MAX} groups")));
        }
        let too_large = self.too_large();
        let sum = self.counts.entry(cell).or_default();
        *sum = sum.checked_add(released).ok_or(too_large)?;
        Ok(())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.column.name.as_str())
    }

    fn sum(&self) -> Result<u64, Report> {
        let mut counts = self.counts.values();
        let sum = counts.try_fold(0_u64, |sum, count| sum.checked_add(*count));
        sum.ok_or_else(|| self.too_large())
    }

    /// The shares that are drawn by, if the number of all rows is known or not.
    fn shares(self, total: Option<u64>) -> Result<(Margin, Origin), Report> {
        let released = self.sum()?;
        let unlisted = self.unlisted()?;
        let spread = total.map(|total| total.saturating_sub(released));
        let left = spread.filter(|_| !unlisted.is_empty()).unwrap_or_default();
        let of_listed = if left > 0 { unlisted.len() as u64 } else { 1 };
        let listed = self
            .counts
            .iter()
            .map(|(cell, count)| (cell, count.checked_mul(of_listed)));
        let weighed = listed.chain(unlisted.iter().map(|cell| (cell, Some(left))));
        let mut margin = Margin {
            columns: self.names().map(str::to_owned).collect(),
            cells: Vec::new(),
            up_to: Vec::new(),
        };
        let mut up_to = 0_u64;
        for (cell, weight) in weighed {
            let sum = weight.and_then(|weight| up_to.checked_add(weight));
            up_to = sum.ok_or_else(|| self.too_large())?;
            margin.cells.push(self.parts(cell));
            margin.up_to.push(up_to);
        }
        if up_to == 0 {
            return Err(self.wrong("no count was released"));
        }
        let origin = Origin {
            released,
            unlisted: unlisted.iter().take(SHOWN_MAX).map(|cell| self.shown(cell)).collect(),
            unlisted_values: unlisted.len(),
            spread: spread.filter(|_| !unlisted.is_empty()),
            ..self.origin
        };
        Ok((margin, origin))
    }

    /// The declared values, and the missing one, without a released count. Of days nobody declares which there are.
    fn unlisted(&self) -> Result<Vec<Vec<Option<usize>>>, Report> {
        let is_open = |key: &Key<'_>| matches!(key.column.domain, Some(Domain::Calendar(_)));
        if self.keys.iter().any(is_open) {
            return Ok(Vec::new());
        }
        let mut all = vec![Vec::new()];
        for key in &self.keys {
            let places = (0..key.parts.len()).map(Some).chain([None]);
            if all.len().saturating_mul(key.parts.len() + 1) > CELLS_MAX {
                return Err(self.wrong(&format!("more than {CELLS_MAX} pairs of declared values")));
            }
            let longer = |cell: &Vec<Option<usize>>| {
                let cell = cell.clone();
                places.clone().map(move |place| [&cell[..], &[place]].concat())
            };
            all = all.iter().flat_map(longer).collect();
        }
        all.retain(|cell| !self.counts.contains_key(cell));
        Ok(all)
    }

    fn parts(&self, cell: &[Option<usize>]) -> Vec<Option<Part>> {
        let parts = self.keys.iter().zip(cell);
        parts.map(|(key, at)| at.map(|at| key.parts[at].clone())).collect()
    }

    fn shown(&self, cell: &[Option<usize>]) -> String {
        let parts = self.parts(cell);
        let parts = parts
            .iter()
            .map(|part| part.as_ref().map_or("missing".to_owned(), Part::shown));
        parts.collect::<Vec<_>>().join(" × ")
    }

    fn too_large(&self) -> Report {
        self.wrong("counts that are too large to be added up")
    }

    fn wrong(&self, what: &str) -> Report {
        wrong(&self.origin.file, what)
    }
}

fn wrong(file: &str, what: &str) -> Report {
    Problem::Margins.report(format!("{file}: {what}"))
}

/// The column's own name in that of an answer: `bin(stays.age)`, `date_trunc('month', seen)`.
fn named(written: &str) -> &str {
    let inner = ["bin(", "date_trunc("]
        .iter()
        .find_map(|begin| written.strip_prefix(begin));
    let Some(inner) = inner.and_then(|inner| inner.strip_suffix(')')) else {
        return written;
    };
    let last = inner.rsplit([',', '.']).next().unwrap_or(inner);
    last.trim()
}

/// An answer as texts.
struct Table {
    names: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
    incomplete: usize,
}

/// What is read of an answer that was written as JSON.
#[derive(Deserialize)]
struct Answer {
    columns: Vec<Named>,
    rows: Vec<Vec<Value>>,
    #[serde(default)]
    intervals: Vec<Value>,
    #[serde(default)]
    coverage: Vec<Covered>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Covered {
    #[serde(default)]
    data: Vec<Data>,
}

#[derive(Deserialize)]
struct Data {
    collection: CollectionId,
    #[serde(default)]
    synthetic: bool,
}

impl Table {
    /// Reads a file, and says its digest.
    fn read(file: &Path, collection: &Collection) -> Result<(Self, String), Report> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let mut bytes = Vec::new();
        let opened = File::open(file).and_then(|opened| opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        let read = opened.map_err(|error| unreadable(file, &error))?;
        if read as u64 > FILE_BYTES_MAX {
            return Err(wrong(&name, "longer than an answer of groups"));
        }
        let digest: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let is_json = file.extension().is_some_and(|ending| ending == "json");
        let table = match is_json {
            true => Self::of_json(&name, &bytes, collection)?,
            false => Self::of_table(file).map_err(|report| wrong(&name, &report.message))?,
        };
        match table.rows.iter().all(|row| row.len() == table.names.len()) {
            true => Ok((table, digest)),
            false => Err(wrong(&name, "rows that are longer or shorter than the header")),
        }
    }

    fn of_json(name: &str, bytes: &[u8], collection: &Collection) -> Result<Self, Report> {
        let answer: Answer = serde_json::from_slice(bytes)
            .map_err(|_| wrong(name, "no answer as datenraum query --format json writes it"))?;
        let data = || answer.coverage.iter().flat_map(|node| &node.data);
        if let Some(other) = data().find(|data| data.collection != collection.id) {
            return Err(wrong(
                name,
                &format!("an answer about {}, not {}", other.collection, collection.id),
            ));
        }
        if data().any(|data| data.synthetic) {
            return Err(wrong(name, "an answer about people who are made up themselves"));
        }
        let text = |value: Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        let rows = answer.rows.into_iter();
        Ok(Self {
            names: answer.columns.into_iter().map(|column| column.name).collect(),
            rows: rows.map(|row| row.into_iter().map(text).collect()).collect(),
            incomplete: answer.intervals.len(),
        })
    }

    /// CSV, Parquet and Arrow IPC.
    fn of_table(file: &Path) -> Result<Self, Report> {
        let opened = Opened::open(file, &SourceForm::default())?;
        let wanted: Vec<usize> = (0..opened.schema().fields().len()).collect();
        let mut rows = Vec::new();
        for piece in opened.batches(&wanted)? {
            let batch = piece?.batch;
            let texts = batch.columns().iter().map(|column| cast(column, &DataType::Utf8));
            let texts = texts.collect::<Result<Vec<_>, _>>();
            let texts = texts.map_err(|_| Problem::DataSchema.report("a column that cannot be shown"))?;
            let cell = |column: &arrow::array::ArrayRef, row: usize| {
                let texts = column.as_string::<i32>();
                // In CSV nothing stands for what is missing.
                let text = texts.is_valid(row).then(|| texts.value(row));
                text.filter(|text| !text.is_empty()).map(str::to_owned)
            };
            rows.extend((0..batch.num_rows()).map(|row| texts.iter().map(|column| cell(column, row)).collect()));
        }
        let names = opened.schema().fields().iter().map(|field| field.name().clone());
        Ok(Self {
            names: names.collect(),
            rows,
            incomplete: 0,
        })
    }
}
