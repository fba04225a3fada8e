//! A first mapping, from the names of a source's columns and a look at their values, for the operator to read and change.
//!
//! A guess is never published by itself. Where two readings are possible (is `01/02/2024` in January or in February?) there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::{ArrayRef, AsArray as _, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use policy::{Collection, Column, ColumnKind, Domain};
use terms::Report;

use crate::cell::{Decimal, Written, fits};
use crate::mapping::{ColumnMapping, Mapping, SourceForm};
use crate::source::{Opened, encoding_of};
use crate::unit::{self, Conversion};

/// Rows that are looked at.
const SAMPLE_ROWS: usize = 10_000;

/// Ways to write days that are tried, one that fits all values and is the only one of its row is taken.
const DATES: [&[&str]; 6] = [
    &["%d.%m.%Y"],
    &["%Y%m%d"],
    &["%d/%m/%Y", "%m/%d/%Y"],
    &["%d.%m.%y"],
    &["%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"],
    &["%d.%m.%Y, %H:%M"],
];

/// What people write where nothing is known.
const MISSING: [&str; 12] = [
    "NA",
    "N/A",
    "n/a",
    "NaN",
    "NULL",
    "null",
    "k.A.",
    "k. A.",
    "-",
    ".",
    "?",
    "unbekannt",
];

/// Words of German headers and what they are in English ones.
const WORDS: [(&str, &str); 22] = [
    ("alter", "age"),
    ("geschlecht", "sex"),
    ("gewicht", "weight"),
    ("groesse", "height"),
    ("koerpergroesse", "height"),
    ("patient", "patient_id"),
    ("patienten_id", "patient_id"),
    ("patientennummer", "patient_id"),
    ("pid", "patient_id"),
    ("aufnahmedatum", "admitted_on"),
    ("aufnahme", "admitted_on"),
    ("entlassdatum", "discharged_on"),
    ("entlassung", "discharged_on"),
    ("geburtsdatum", "birth_date"),
    ("geburtsjahr", "birth_year"),
    ("station", "ward"),
    ("verweildauer", "days"),
    ("tage", "days"),
    ("diagnose", "diagnosis"),
    ("raucher", "smoker"),
    ("verstorben", "died"),
    ("hb", "haemoglobin"),
];

/// Codes that stand for a value of a collection, whatever the case.
const CODES: [(&str, &[&str]); 4] = [
    ("female", &["f", "w", "weiblich", "female"]),
    ("male", &["m", "maennlich", "männlich", "male"]),
    ("other", &["d", "divers", "other", "x"]),
    ("unknown", &["u", "unbekannt", "unknown"]),
];

/// A mapping that may be right.
#[derive(Clone, Debug)]
pub struct Guess {
    /// The mapping, of the columns that were found.
    pub mapping: Mapping,
    /// What the operator should look at, in sentences.
    pub notes: Vec<String>,
    /// Columns of the collection that were not found.
    pub absent: Vec<String>,
}

/// Looks at a source; at FHIR resources through a view.
///
/// # Errors
/// If it cannot be read as a table.
pub fn guess(path: &Path, view: Option<&str>, collection: &Collection) -> Result<Guess, Report> {
    let mut form = SourceForm {
        encoding: match view {
            // FHIR is UTF-8.
            Some(_) => None,
            None => encoding_of(path)?.map(str::to_owned),
        },
        view: view.map(str::to_owned),
        ..SourceForm::default()
    };
    let opened = Opened::open(path, &form)?;
    let mut found = BTreeMap::new();
    let mut absent = Vec::new();
    let headers: Vec<String> = opened
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    for column in &collection.columns {
        match header_of(column, &headers) {
            Some(at) => drop(found.insert(column.name.clone(), at)),
            None => absent.push(column.name.clone()),
        }
    }
    let samples = samples(&opened, &found)?;
    let mut notes = Vec::new();
    form.missing = missing_marks(collection, &samples);
    form.decimal = decimal_of(collection, &samples, &form);
    let dates = dates_of(collection, &samples, &form, &mut notes);
    form.date = most_frequent(&dates);
    let columns = collection.columns.iter().filter_map(|column| {
        let at = *found.get(&column.name)?;
        let sample = samples.get(&column.name)?;
        let mut mapping = ColumnMapping::default();
        if headers[at] != column.name {
            mapping.from = vec![headers[at].clone()];
        }
        mapping.unit = unit_of(column, &headers[at], &mut notes);
        let date = dates.get(&column.name).cloned().flatten();
        let is_day = matches!(column.kind, ColumnKind::Date | ColumnKind::Timestamp);
        mapping.date = date.filter(|date| is_day && form.date.as_ref() != Some(date));
        mapping.codes = codes_of(column, sample, &form);
        note(column, sample, &form, &mapping, &mut notes);
        (mapping != ColumnMapping::default()).then(|| (column.name.clone(), mapping))
    });
    let columns = columns.collect();
    Ok(Guess {
        mapping: Mapping {
            shift_days: None,
            collection: collection.id.clone(),
            source: form,
            columns,
        },
        notes,
        absent,
    })
}

/// The column of the source that is meant, if one is.
fn header_of(column: &Column, headers: &[String]) -> Option<usize> {
    let same = headers.iter().position(|header| *header == column.name);
    let plain: Vec<String> = headers.iter().map(|header| plain(header)).collect();
    let by = |is: &dyn Fn(&str) -> bool| {
        let mut fitting = (0..plain.len()).filter(|at| is(&plain[*at]));
        // Two that fit are none.
        fitting.next().filter(|_| fitting.next().is_none())
    };
    let translated = |header: &str| {
        WORDS
            .iter()
            .find(|(german, _)| *german == header)
            .map(|(_, english)| *english)
    };
    same.or_else(|| by(&|header| header == column.name))
        .or_else(|| by(&|header| translated(header) == Some(&column.name)))
        .or_else(|| {
            let near = terms::text::nearest(&column.name, plain.iter().map(String::as_str))?.to_owned();
            by(&|header| header == near)
        })
}

/// The unit that stands in brackets in a header, if it can be made the collection's and is another.
fn unit_of(column: &Column, header: &str, notes: &mut Vec<String>) -> Option<String> {
    let to = column.unit.as_ref().filter(|_| column.kind == ColumnKind::Number)?;
    let (_, rest) = header.split_once(['(', '['])?;
    let from = rest.trim().trim_end_matches([')', ']']).trim();
    if !unit::is_unit(from) || unit::is_same(from, to) {
        return None;
    }
    if Conversion::between(from, to, None).is_none() {
        notes.push(format!(
            "{}: its header names a unit that cannot be made {to} without more: say unit and molar_mass (g/mol), or times",
            column.name
        ));
        return None;
    }
    Some(from.to_owned())
}

/// A header as a collection would name it: without units in brackets, in small letters, with underscores.
fn plain(header: &str) -> String {
    let name = header
        .split(['(', '['])
        .next()
        .unwrap_or_default()
        .trim()
        .to_lowercase();
    let name = [("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")]
        .iter()
        .fold(name, |name, (from, to)| name.replace(from, to));
    let words = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

/// The first values of each column that was found, as text.
fn samples(opened: &Opened, found: &BTreeMap<String, usize>) -> Result<BTreeMap<String, Vec<String>>, Report> {
    let wanted: Vec<usize> = found.values().copied().collect();
    let mut samples: BTreeMap<String, Vec<String>> = found.keys().map(|name| (name.clone(), Vec::new())).collect();
    let mut rows = 0;
    for piece in opened.batches(&wanted)? {
        let batch = piece?.batch;
        for ((_, sample), column) in samples.iter_mut().zip(batch.columns()) {
            sample.extend(texts(column));
        }
        rows += batch.num_rows();
        if rows >= SAMPLE_ROWS {
            break;
        }
    }
    Ok(samples)
}

fn texts(column: &ArrayRef) -> Vec<String> {
    let cast = cast(column, &DataType::Utf8);
    let empty = || StringArray::from(Vec::<&str>::new());
    let cells = cast.map_or_else(|_| empty(), |cells| cells.as_string::<i32>().clone());
    let cells = cells.iter().flatten().map(|cell| cell.trim().to_owned());
    cells.filter(|cell| !cell.is_empty()).collect()
}

/// The marks of a missing value that stand in columns in which they are no value.
fn missing_marks(collection: &Collection, samples: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut marks = BTreeSet::<&str>::new();
    for (column, sample) in with_samples(collection, samples) {
        let is_free_text = column.kind == ColumnKind::Text && column.domain.is_none();
        let is_value = |mark: &str| match &column.domain {
            Some(Domain::Texts(values)) => values.iter().any(|value| value.eq_ignore_ascii_case(mark)),
            _ => false,
        };
        if !is_free_text {
            marks.extend(
                MISSING
                    .iter()
                    .copied()
                    .filter(|mark| !is_value(mark) && sample.iter().any(|cell| cell == mark)),
            );
        }
    }
    marks.into_iter().map(str::to_owned).collect()
}

/// A comma, if some number is only one with a comma, and none only with a point.
fn decimal_of(collection: &Collection, samples: &BTreeMap<String, Vec<String>>, form: &SourceForm) -> Decimal {
    let [point, comma] = [Decimal::Point, Decimal::Comma].map(|decimal| Written {
        decimal,
        ..Written::default()
    });
    let (mut only_comma, mut only_point) = (0, 0);
    for (column, sample) in with_samples(collection, samples) {
        if !matches!(column.kind, ColumnKind::Number | ColumnKind::Integer) {
            continue;
        }
        for cell in values(sample, form) {
            match (
                fits(cell, ColumnKind::Number, &point),
                fits(cell, ColumnKind::Number, &comma),
            ) {
                (false, true) => only_comma += 1,
                (true, false) => only_point += 1,
                _ => {}
            }
        }
    }
    if only_comma > 0 && only_point == 0 {
        Decimal::Comma
    } else {
        Decimal::Point
    }
}

/// How the days and times of each column are written; `None` for ISO 8601.
fn dates_of(
    collection: &Collection,
    samples: &BTreeMap<String, Vec<String>>,
    form: &SourceForm,
    notes: &mut Vec<String>,
) -> BTreeMap<String, Option<String>> {
    let mut dates = BTreeMap::new();
    for (column, sample) in with_samples(collection, samples) {
        if !matches!(column.kind, ColumnKind::Date | ColumnKind::Timestamp) {
            continue;
        }
        let all_fit = |date: Option<&str>| {
            let written = Written {
                date: date.map(str::to_owned),
                ..Written::default()
            };
            let mut cells = values(sample, form).peekable();
            cells.peek().is_some() && cells.all(|cell| fits(cell, column.kind, &written))
        };
        if all_fit(None) {
            dates.insert(column.name.clone(), None);
            continue;
        }
        let fitting = DATES
            .iter()
            .map(|row| row.iter().filter(|date| all_fit(Some(date))).collect::<Vec<_>>());
        let fitting = fitting.into_iter().find(|fitting| !fitting.is_empty());
        match fitting.as_deref() {
            Some([one]) => drop(dates.insert(column.name.clone(), Some((**one).to_owned()))),
            Some(_) => notes.push(format!(
                "{}: its days could begin with the day or with the month: say which with date = \"%d/%m/%Y\" or \"%m/%d/%Y\"",
                column.name
            )),
            None => {}
        }
    }
    dates
}

fn most_frequent(dates: &BTreeMap<String, Option<String>>) -> Option<String> {
    let mut counts = BTreeMap::<&String, usize>::new();
    dates
        .values()
        .flatten()
        .for_each(|date| *counts.entry(date).or_default() += 1);
    counts
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map(|(date, _)| date.clone())
}

/// Codes that are known for the collection's values.
fn codes_of(column: &Column, sample: &[String], form: &SourceForm) -> BTreeMap<String, String> {
    let Some(Domain::Texts(domain)) = &column.domain else {
        return BTreeMap::new();
    };
    let found: BTreeSet<&str> = values(sample, form).collect();
    if found.iter().all(|cell| domain.iter().any(|value| value == cell)) {
        return BTreeMap::new();
    }
    let meant = |cell: &str| {
        let same = domain.iter().find(|value| value.to_lowercase() == cell.to_lowercase());
        same.or_else(|| {
            let known = CODES
                .iter()
                .filter(|(_, codes)| codes.contains(&cell.to_lowercase().as_str()));
            known
                .filter_map(|(_, codes)| {
                    domain
                        .iter()
                        .find(|value| codes.contains(&value.to_lowercase().as_str()))
                })
                .next()
        })
    };
    let codes = found
        .iter()
        .filter_map(|cell| meant(cell).map(|value| ((*cell).to_owned(), value.clone())));
    codes.collect()
}

/// What does not fit yet, by how many kinds of values.
fn note(column: &Column, sample: &[String], form: &SourceForm, mapping: &ColumnMapping, notes: &mut Vec<String>) {
    let found: BTreeSet<&str> = values(sample, form).collect();
    let written = Written {
        decimal: form.decimal,
        date: mapping.date.clone().or_else(|| form.date.clone()),
        zone: None,
    };
    let others = match &column.domain {
        Some(Domain::Texts(domain)) => {
            let is_known =
                |cell: &&&str| domain.iter().any(|value| value == **cell) || mapping.codes.contains_key(**cell);
            found.len() - found.iter().filter(is_known).count()
        }
        _ => found.iter().filter(|cell| !fits(cell, column.kind, &written)).count(),
    };
    if others > 0 {
        notes.push(format!(
            "{}: {others} kinds of values do not fit {}: say what they are with codes, date, decimal or missing",
            column.name,
            crate::conform::expectation(column)
        ));
    }
}

fn values<'a>(sample: &'a [String], form: &'a SourceForm) -> impl Iterator<Item = &'a str> + Clone {
    let cells = sample.iter().map(String::as_str);
    cells.filter(|cell| !form.missing.iter().any(|mark| mark == cell))
}

fn with_samples<'a>(
    collection: &'a Collection,
    samples: &'a BTreeMap<String, Vec<String>>,
) -> impl Iterator<Item = (&'a Column, &'a Vec<String>)> {
    collection
        .columns
        .iter()
        .filter_map(|column| Some((column, samples.get(&column.name)?)))
}

#[cfg(test)]
mod tests;
