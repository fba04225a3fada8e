//! A table of made-up people with the columns and domains of a collection: a synthetic twin of what nodes offer.
//!
//! It is made from the collection's public definition, a seed and, if somebody has them, answers that nodes released ([`Margins`]), and from
//! nothing else: every column that no answer is about is drawn for itself, evenly over what the definition allows. It must never be given
//! anything else of real data. Each row says that it is made up, in a column of its own ([`MARK`]), by which whoever reads the file later knows it.
//! Next: `twin/margins.rs` (answers), `twin/part.rs` (what a value is drawn from).

mod margins;
mod part;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Write};

use policy::{Collection, Column, ColumnKind, Domain};
use serde::Deserialize;
use terms::{Problem, Report};

pub use self::margins::{Margins, Origin};
use self::part::Part;

/// The column that says that a row is made up. A source that has it is synthetic, whatever else is in it.
pub const MARK: &str = "datenraum_synthetic";

/// Most people of a twin: a table to develop against, which a laptop makes in seconds.
pub const PEOPLE_MAX: u32 = 1_000_000;

/// Most rows of one person, where the collection allows more or says nothing.
const ROWS_PER_PERSON_MAX: u32 = 3;

/// Of so many values one is missing, where values may be.
const MISSING_ONE_IN: u64 = 20;

/// How a twin is made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Twin {
    /// How many people; where a collection is not about people, how many rows.
    pub people: u32,
    /// The same seed makes the same table.
    #[serde(default)]
    pub seed: u64,
    /// Columns beside those of the collection, with one value for all rows: what its row filters read.
    #[serde(default)]
    pub also: BTreeMap<String, String>,
}

impl Twin {
    /// Writes the table as CSV and returns its number of rows. Columns that the margins are about are distributed as these say.
    ///
    /// # Errors
    /// `Usage` if there would be nobody or too many people; `DataFormat` if a column's bounds exclude its whole domain; `FileMissing` if it
    /// cannot be written.
    pub fn write(&self, collection: &Collection, margins: &Margins, out: &mut impl Write) -> Result<u64, Report> {
        if self.people == 0 || self.people > PEOPLE_MAX {
            let message = format!("a twin has between 1 and {PEOPLE_MAX} people, not {}", self.people);
            return Err(Problem::Usage.report(message));
        }
        let columns = collection.columns.iter();
        let columns = columns.map(|column| Drawn::of(column, collection, margins));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        self.rows(collection, &columns, margins, out).map_err(|error| {
            let report = Problem::FileMissing.report(format!("the made-up table cannot be written: {}", error.kind()));
            report.remedy("name a file that is not there yet, in a folder that is")
        })
    }

    fn rows(
        &self,
        collection: &Collection,
        columns: &[Drawn<'_>],
        margins: &Margins,
        out: &mut impl Write,
    ) -> io::Result<u64> {
        let names = columns.iter().map(|drawn| drawn.column.name.as_str());
        line(out, names.chain(self.also.keys().map(String::as_str)).chain([MARK]))?;
        let rows_max = match (collection.personal, collection.rows_per_person_max) {
            (false, _) => 1,
            (true, most) => most.unwrap_or(ROWS_PER_PERSON_MAX).min(ROWS_PER_PERSON_MAX),
        };
        let mut chance = Chance(self.seed);
        let mut rows = 0;
        for unit in 1..=u64::from(self.people) {
            for _ in 0..=chance.below(u64::from(rows_max)) {
                rows += 1;
                let place = Place {
                    unit,
                    row: rows,
                    units: u64::from(self.people),
                };
                let given = margins.draw(&mut chance);
                let cells = columns.iter().map(|drawn| drawn.cell(place, &given, &mut chance));
                let cells: Vec<String> = cells.collect();
                let cells = cells.iter().map(String::as_str);
                line(out, cells.chain(self.also.values().map(String::as_str)).chain(["true"]))?;
            }
        }
        out.flush()?;
        Ok(rows)
    }
}

/// Which row is made.
#[derive(Clone, Copy)]
struct Place {
    unit: u64,
    row: u64,
    units: u64,
}

/// What a column's values are drawn from.
struct Drawn<'a> {
    column: &'a Column,
    from: From,
}

enum From {
    /// The person, or the key of a row.
    Unit,
    /// The key of another collection, as its twin of as many rows has it.
    Other,
    /// One of a kind for each row.
    Row,
    /// One of these, all as often.
    Parts(Vec<Part>),
    /// A day or time.
    Days(Part),
    /// What was drawn of an answer: which, and which of its keys.
    Given(usize, usize),
}

impl<'a> Drawn<'a> {
    fn of(column: &'a Column, collection: &Collection, margins: &Margins) -> Result<Self, Report> {
        let name = Some(&column.name);
        let from = match (&column.domain, column.kind) {
            _ if name == collection.privacy_unit.as_ref() || name == collection.key.as_ref() => From::Unit,
            _ if column.references.is_some() && column.domain.is_none() => From::Other,
            _ if let Some((margin, key)) = margins.about(&column.name) => From::Given(margin, key),
            (Some(Domain::Texts(_) | Domain::Integers(_)), _) | (_, ColumnKind::Boolean) => {
                From::Parts(part::declared(column))
            }
            (_, kind @ (ColumnKind::Date | ColumnKind::Timestamp)) => From::Days(Part::any_day(kind)),
            (_, ColumnKind::Text) => From::Row,
            (Some(Domain::Bins(_)), _) => From::Parts(part::declared(column)),
            (_, kind) => From::Parts(part::range(kind, bounds(column)).into_iter().collect()),
        };
        match &from {
            From::Parts(parts) if parts.is_empty() => Err(Problem::DataFormat.report(format!(
                "no value of column {} is in its domain and in its bounds",
                column.name
            ))),
            _ => Ok(Self { column, from }),
        }
    }

    fn cell(&self, place: Place, given: &[&[Option<Part>]], chance: &mut Chance) -> String {
        let may_be_missing = !matches!(self.from, From::Unit | From::Other | From::Given(..));
        if may_be_missing && chance.below(MISSING_ONE_IN) == 0 {
            return String::new();
        }
        let part = match &self.from {
            From::Unit => return self.key(place.unit),
            From::Other => return self.key(1 + chance.below(place.units)),
            From::Row => return self.key(place.row),
            From::Parts(parts) => chance.one_of(parts),
            From::Days(days) => Some(days),
            From::Given(margin, key) => given[*margin][*key].as_ref(),
        };
        part.map(|part| part.draw(chance)).unwrap_or_default()
    }

    fn key(&self, number: u64) -> String {
        match self.column.kind {
            ColumnKind::Text => format!("synthetic-{number:07}"),
            ColumnKind::Date => "2015-01-01".to_owned(),
            ColumnKind::Integer | ColumnKind::Number | ColumnKind::Boolean | ColumnKind::Timestamp => {
                number.to_string()
            }
        }
    }
}

/// The bounds; or 0 to 100, where nothing is said. The upper one does not belong to it, unless it is the lower.
fn bounds(column: &Column) -> [f64; 2] {
    match column.bounds {
        Some([low, high]) if low == high => [low, low.next_up()],
        bounds => bounds.unwrap_or([0.0, 100.0]),
    }
}

/// Random numbers that are the same on every machine and in every version: SplitMix64 (Steele, Lea and Flood 2014). No secret depends on them.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of 0 to `count` - 1; 0 if there is none.
    fn below(&mut self, count: u64) -> u64 {
        self.next() % count.max(1)
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
        all.get(usize::try_from(self.below(count)).ok()?)
    }

    /// One of a thousand even steps from `low` on, below `high`.
    #[expect(clippy::cast_precision_loss, reason = "a number below a thousand is exact")]
    fn between(&mut self, low: f64, high: f64) -> f64 {
        let number = low + (high - low) * (self.below(1_000) as f64 / 1_000.0);
        let short = (number * 1_000.0).round() / 1_000.0;
        match low <= short && short < high {
            true => short,
            false => number,
        }
    }
}

/// One line of CSV (RFC 4180).
fn line<'a>(out: &mut impl Write, cells: impl Iterator<Item = &'a str>) -> io::Result<()> {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        match cell.contains(['"', ',', '\n', '\r']) {
            true => write!(out, "\"{}\"", cell.replace('"', "\"\""))?,
            false => out.write_all(cell.as_bytes())?,
        }
    }
    out.write_all(b"\n")
}
