//! What the operator looks at before data are published: rows, people, missing and distinct values, ranges, what did not fit, and groups
//! that are so small that no number about them will leave.
//!
//! It never shows a value: ranges are told by the collection's declared edges, groups by its declared values, and all else is counted.
//! For the operator only; nothing of it goes to anybody else. Next: `profile/html.rs`.

mod html;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use policy::{Collection, Column, ColumnKind, Domain};
use serde::Serialize;

use crate::Conforming;
use crate::conform::{Conformed, Misfits, expectation};
use crate::source::resources::Resources;

/// Distinct values of a column that are counted; more are told as "more than".
const DISTINCT_MAX: usize = 10_000;

/// A data set as the operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// The collection.
    pub collection: String,
    /// Number of rows.
    pub rows: u64,
    /// Number of people, or of keys where the collection is not about people.
    pub units: Option<u64>,
    /// Rows beyond those that one person or key may have.
    pub rows_too_many: u64,
    /// Groups are small that have fewer people than this.
    pub min_people: u32,
    /// What became of the resources, if the source is FHIR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The columns whose days are moved, each person's by a number of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shifted: Vec<String>,
    /// The columns, in the collection's order.
    pub columns: Vec<ColumnProfile>,
}

/// One column.
#[derive(Clone, Debug, Serialize)]
pub struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// What the collection expects.
    pub expected: String,
    /// Rows without a value in the source.
    pub missing: u64,
    /// Values that do not fit, by class.
    pub misfits: BTreeMap<String, MisfitProfile>,
    /// Distinct values that fit; none if there are more than are counted.
    pub distinct: Option<usize>,
    /// The declared bins between which its values lie: lower edge of the lowest, upper edge of the highest.
    pub range: Option<[f64; 2]>,
    /// Its groups, where the collection declares values or bins.
    pub groups: Vec<Group>,
}

/// Values of one class that do not fit.
#[derive(Clone, Debug, Serialize)]
pub struct MisfitProfile {
    /// How many.
    pub count: u64,
    /// Where the first is.
    pub first: String,
}

/// One declared value or bin of a column.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// The declared value, or the bin.
    pub label: String,
    /// Rows in it.
    pub rows: u64,
    /// Whether fewer people are in it than the smallest number that leaves. Nobody is fewer, too.
    pub is_small: bool,
}

/// Counts while a source is read.
#[derive(Debug)]
pub struct Counting<'a> {
    collection: &'a Collection,
    min_people: u32,
    hashing: RandomState,
    rows: u64,
    units: HashMap<u64, u32>,
    rows_too_many: u64,
    columns: Vec<Counted>,
}

#[derive(Debug)]
struct Counted {
    nulls: u64,
    distinct: HashSet<u64>,
    labels: Vec<String>,
    groups: Vec<InGroup>,
}

#[derive(Clone, Debug, Default)]
struct InGroup {
    rows: u64,
    /// The first few people, of whom more are not needed.
    people: HashSet<u64>,
}

impl<'a> Counting<'a> {
    /// Begins to count. `min_people` is the strictest minimum of the policies on the collection.
    pub fn new(collection: &'a Collection, min_people: u32) -> Self {
        let counted = |column: &Column| {
            let labels = labels(column);
            Counted {
                nulls: 0,
                distinct: HashSet::new(),
                groups: vec![InGroup::default(); labels.len()],
                labels,
            }
        };
        Self {
            collection,
            min_people,
            hashing: RandomState::new(),
            rows: 0,
            units: HashMap::new(),
            rows_too_many: 0,
            columns: collection.columns.iter().map(counted).collect(),
        }
    }

    /// Counts a batch.
    pub fn count(&mut self, batch: &Conformed) {
        let units = self.unit_column().and_then(|at| self.hashes(&batch.columns[at]));
        if let Some(units) = &units {
            let most = self.most_rows().unwrap_or(u32::MAX);
            for unit in units.iter().flatten() {
                let rows = self.units.entry(*unit).or_default();
                *rows = rows.saturating_add(1);
                self.rows_too_many += u64::from(*rows > most);
            }
        }
        for (at, column) in self.collection.columns.iter().enumerate() {
            let values = &batch.columns[at];
            let hashes = self.hashes(values);
            let counted = &mut self.columns[at];
            counted.nulls += values.null_count() as u64;
            for hash in hashes.iter().flatten().flatten() {
                if counted.distinct.len() > DISTINCT_MAX {
                    break;
                }
                counted.distinct.insert(*hash);
            }
            for (row, group) in groups_of(column, values).into_iter().enumerate() {
                let Some(group) = group.and_then(|group| counted.groups.get_mut(group)) else {
                    continue;
                };
                group.rows += 1;
                // Where nobody is counted as a person, each row is one.
                let unit = units.as_ref().map_or(Some(self.rows + row as u64), |units| units[row]);
                if group.people.len() < self.min_people as usize {
                    group.people.extend(unit);
                }
            }
        }
        self.rows += batch.rows as u64;
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The profile of all that was counted.
    pub fn finish(self, misfits: &Misfits, conforming: &Conforming) -> Profile {
        let resources = misfits.resources().clone();
        let columns = self.collection.columns.iter().zip(&self.columns);
        let columns = columns.map(|(column, counted)| {
            let misfits: BTreeMap<String, MisfitProfile> = misfits
                .by_column()
                .get(&column.name)
                .into_iter()
                .flatten()
                .map(|(class, misfit)| {
                    let misfit = MisfitProfile {
                        count: misfit.count,
                        first: misfit.first.clone(),
                    };
                    ((*class).to_owned(), misfit)
                })
                .collect();
            // What does not fit is not there either; "nothing" is what is missing already.
            let unfit: u64 = misfits
                .iter()
                .filter(|(class, _)| *class != "nothing")
                .map(|(_, misfit)| misfit.count)
                .sum();
            ColumnProfile {
                name: column.name.clone(),
                expected: expectation(column),
                missing: counted.nulls.saturating_sub(unfit),
                misfits,
                distinct: (counted.distinct.len() <= DISTINCT_MAX).then_some(counted.distinct.len()),
                range: range(column, &counted.groups),
                groups: counted
                    .labels
                    .iter()
                    .zip(&counted.groups)
                    .map(|(label, group)| Group {
                        label: label.clone(),
                        rows: group.rows,
                        is_small: group.people.len() < self.min_people as usize,
                    })
                    .collect(),
            }
        });
        Profile {
            collection: self.collection.id.to_string(),
            rows: self.rows,
            units: self.unit_column().map(|_| self.units.len() as u64),
            rows_too_many: self.rows_too_many,
            min_people: self.min_people,
            resources: Some(resources).filter(|resources| *resources != Resources::default()),
            shifted: conforming.shifted().map(str::to_owned).collect(),
            columns: columns.collect(),
        }
    }

    fn unit_column(&self) -> Option<usize> {
        let name = self.collection.privacy_unit.as_ref().or(self.collection.key.as_ref())?;
        self.collection.columns.iter().position(|column| column.name == *name)
    }

    fn most_rows(&self) -> Option<u32> {
        self.collection
            .rows_per_person_max
            .or(self.collection.key.as_ref().map(|_| 1))
    }

    /// A number for each value: the same for the same.
    fn hashes(&self, values: &ArrayRef) -> Option<Vec<Option<u64>>> {
        let texts = cast(values, &DataType::Utf8).ok()?;
        let texts = texts.as_string::<i32>();
        Some(
            texts
                .iter()
                .map(|text| text.map(|text| self.hashing.hash_one(text)))
                .collect(),
        )
    }
}

/// The declared groups of a column; none for identifiers.
fn labels(column: &Column) -> Vec<String> {
    match (&column.domain, column.kind) {
        (Some(Domain::Texts(values)), _) => values.clone(),
        (Some(Domain::Integers(values)), _) => values.iter().map(i64::to_string).collect(),
        (Some(Domain::Bins(edges)), _) => edges
            .windows(2)
            .map(|edge| format!("{} to below {}", edge[0], edge[1]))
            .collect(),
        (None, ColumnKind::Boolean) => vec!["false".to_owned(), "true".to_owned()],
        _ => Vec::new(),
    }
}

/// In which declared group each row is.
fn groups_of(column: &Column, values: &ArrayRef) -> Vec<Option<usize>> {
    let by_edge = |edges: &[f64], value: f64| {
        let above = edges.partition_point(|edge| *edge <= value);
        above.checked_sub(1).filter(|at| at + 1 < edges.len())
    };
    match (&column.domain, column.kind) {
        (Some(Domain::Texts(texts)), _) => {
            let at: HashMap<&str, usize> = texts.iter().enumerate().map(|(at, text)| (text.as_str(), at)).collect();
            values
                .as_string::<i32>()
                .iter()
                .map(|value| at.get(value?).copied())
                .collect()
        }
        (Some(Domain::Integers(numbers)), _) => {
            let at: HashMap<i64, usize> = numbers.iter().enumerate().map(|(at, number)| (*number, at)).collect();
            values
                .as_primitive::<Int64Type>()
                .iter()
                .map(|value| at.get(&value?).copied())
                .collect()
        }
        (Some(Domain::Bins(edges)), ColumnKind::Integer) => values
            .as_primitive::<Int64Type>()
            .iter()
            .map(|value| by_edge(edges, value? as f64))
            .collect(),
        (Some(Domain::Bins(edges)), ColumnKind::Number) => values
            .as_primitive::<Float64Type>()
            .iter()
            .map(|value| by_edge(edges, value?))
            .collect(),
        (None, ColumnKind::Boolean) => values.as_boolean().iter().map(|value| value.map(usize::from)).collect(),
        _ => Vec::new(),
    }
}

/// From the lower edge of the lowest bin that has rows to the upper edge of the highest.
fn range(column: &Column, groups: &[InGroup]) -> Option<[f64; 2]> {
    let Some(Domain::Bins(edges)) = &column.domain else {
        return None;
    };
    let low = groups.iter().position(|group| group.rows > 0)?;
    let high = groups.iter().rposition(|group| group.rows > 0)?;
    Some([*edges.get(low)?, *edges.get(high + 1)?])
}

impl Profile {
    /// That days are moved, if they are. By how many is nobody's to know.
    pub fn shifted_in_words(&self) -> Option<String> {
        let columns = self.shifted.join(", ");
        (!self.shifted.is_empty())
            .then(|| format!("days are moved, each person's by a number of their own; of them are made: {columns}"))
    }

    /// As a page that stands alone.
    pub fn to_html(&self) -> String {
        html::page(self)
    }
}

#[cfg(test)]
mod tests;
