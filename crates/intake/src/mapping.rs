//! What the operator writes down: from where a data set is read, and how each of its columns becomes one of the collection.
//!
//! A mapping is a short TOML file. Columns that it does not name have the collection's name in the source, too.

mod ags;
mod descends;
mod shift;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use policy::{Collection, Column, ColumnKind};
use serde::{Deserialize, Serialize};
use terms::{CollectionId, Problem, Report};

pub use self::ags::Ags;
pub(crate) use self::ags::Keys;
pub(crate) use self::descends::Descendants;
pub use self::descends::DescendsFrom;
pub use self::shift::ShiftDays;
pub(crate) use self::shift::Shifts;
use crate::cell::{Decimal, Written};
use crate::derived;
use crate::source::resources::is_file_name;
use crate::unit::{self, Conversion};

/// The share of FHIR resources that may be left out where nothing is said: one in a hundred.
pub const LEFT_OUT_MAX: f64 = 0.01;

/// A data set's way into its collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The collection.
    pub collection: CollectionId,
    /// How the source is written.
    #[serde(default, skip_serializing_if = "SourceForm::is_usual")]
    pub source: SourceForm,
    /// How the days of people are moved, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift_days: Option<ShiftDays>,
    /// By the collection's names, what differs.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnMapping>,
}

/// How a source is written, as far as its files do not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceForm {
    /// Of FHIR resources, through which view they become rows: the name of a ready-made one, or the file of a ViewDefinition beside the
    /// mapping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// Of FHIR resources, the largest share that may be left out because something is wrong with them: [`LEFT_OUT_MAX`] where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out_max: Option<f64>,
    /// The encoding of text, as the WHATWG names it: `utf-8` where nothing is said, `windows-1252`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// What stands between two fields of a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// The decimal sign.
    #[serde(default, skip_serializing_if = "is_point")]
    pub decimal: Decimal,
    /// How days and times are written, as strftime names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The clock by which times were written down, as the IANA names it: `Europe/Berlin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Texts that stand for a missing value, beside the empty field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// How a column of the collection comes about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnMapping {
    /// The source's column; several are joined by `/`, for a key of more than one part.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "one_or_more")]
    pub from: Vec<String>,
    /// The same text in every row, in place of a column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// An expression over the source's columns, in place of one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derived: Option<String>,
    /// The decimal sign, where it is not the source's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal: Option<Decimal>,
    /// How days and times are written, where not as in the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The unit of its numbers, which become those of the collection's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The source's column that says in which unit each number is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_column: Option<String>,
    /// Of the substance, in g/mol, where a mass is made an amount or the other way round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub molar_mass: Option<f64>,
    /// What a number is multiplied by, before `plus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<f64>,
    /// What is added to a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plus: Option<f64>,
    /// The source's codes and what they are in the collection. A code that is not there does not fit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub codes: BTreeMap<String, String>,
    /// The same as `codes`, in a CSV file with the columns `from` and `to`, beside the mapping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codes_file: Option<PathBuf>,
    /// Whether the code is one of these concepts or descends from one, in place of the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descends_from: Option<DescendsFrom>,
    /// The district key (AGS) that the text is, in full and at one level and date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ags: Option<Ags>,
    /// Of a day, only this part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<DayPart>,
    /// What becomes of values that do not fit.
    #[serde(default, skip_serializing_if = "OnMisfit::is_usual")]
    pub misfits: OnMisfit,
}

/// What becomes of a value that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMisfit {
    /// The whole data set is refused.
    #[default]
    Refuse,
    /// It counts as missing; the operator is told how many did.
    Missing,
}

/// A part of a day, as a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DayPart {
    /// The year.
    Year,
}

impl OnMisfit {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl SourceForm {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

fn is_point(decimal: &Decimal) -> bool {
    *decimal == Decimal::Point
}

impl Mapping {
    /// The mapping of a source whose columns have the collection's names and are written as programs write them.
    pub fn plain(collection: CollectionId) -> Self {
        Self {
            collection,
            source: SourceForm::default(),
            shift_days: None,
            columns: BTreeMap::new(),
        }
    }

    /// Reads a mapping from a file, and the files of codes that it names.
    ///
    /// # Errors
    /// `FileMissing` or a problem of the text with file and line; what [`Mapping::require_valid`] finds.
    pub fn load(path: &Path, collection: &Collection) -> Result<Self, Report> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Problem::FileMissing.report(format!("{name}: {}", error.kind())))?;
        let mut mapping: Self = terms::text::parse_toml(&name, &text)?;
        // What is kept of a mapping is read again from anywhere.
        let beside = std::path::absolute(path.parent().unwrap_or(Path::new("")));
        let beside = beside.map_err(|error| Problem::FileMissing.report(format!("{name}: {}", error.kind())))?;
        if let Some(view) = mapping.source.view.as_mut().filter(|view| is_file_name(view)) {
            *view = beside.join(&*view).to_string_lossy().into_owned();
        }
        if let Some(shift) = &mut mapping.shift_days {
            shift.secret = beside.join(&shift.secret);
        }
        for column in mapping.columns.values_mut() {
            if let Some(file) = column.codes_file.take() {
                column.codes.extend(read_codes(&beside.join(file))?);
            }
            if let Some(descends_from) = &mut column.descends_from {
                descends_from.ancestors = beside.join(&descends_from.ancestors);
            }
            if let Some(changes) = column.ags.as_mut().and_then(|ags| ags.changes.as_mut()) {
                *changes = beside.join(&*changes);
            }
        }
        mapping.require_valid(&name, collection)?;
        Ok(mapping)
    }

    /// As a file for people.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// Checks what the form alone does not: that it is of this collection, that its columns are the collection's, and that what is
    /// said of a column fits its type.
    ///
    /// # Errors
    /// [`Problem::FileValue`] or [`Problem::FileKey`] naming the column.
    pub fn require_valid(&self, file: &str, collection: &Collection) -> Result<(), Report> {
        if self.collection != collection.id {
            let message = format!("{file} is a mapping to {}, not to {}", self.collection, collection.id);
            return Err(Problem::FileValue
                .report(message)
                .remedy("name that collection, or give another mapping"));
        }
        self.written(None)
            .map_err(|what| Problem::FileValue.report(format!("{file}: {what}")))?;
        if let Some(encoding) = &self.source.encoding
            && encoding_rs::Encoding::for_label(encoding.as_bytes()).is_none()
        {
            let message = format!("{file}: {encoding:?} is no encoding");
            return Err(Problem::FileValue
                .report(message)
                .remedy("use one such as utf-8, windows-1252 or iso-8859-15"));
        }
        if self
            .source
            .left_out_max
            .is_some_and(|share| !(0.0..=1.0).contains(&share))
        {
            let message = format!("{file}: left_out_max is a share, from 0 to 1");
            return Err(Problem::FileValue
                .report(message)
                .remedy("write 0.02 for two in a hundred"));
        }
        for (name, mapping) in &self.columns {
            let Some(column) = collection.column(name) else {
                let known = collection.columns.iter().map(|column| column.name.as_str());
                let report = Problem::FileKey.report(format!("{file}: {} has no column {name}", collection.id));
                return Err(match terms::text::nearest(name, known) {
                    Some(near) => report.remedy(format!("did you mean {near}?")),
                    None => report.remedy("remove it: only columns of the collection are kept"),
                });
            };
            mapping
                .require_fits(column.kind)
                .and_then(|()| mapping.require_units(column))
                .and_then(|()| self.written(Some(mapping)).map(drop))
                .map_err(|what| Problem::FileValue.report(format!("{file}, column {name}: {what}")))?;
        }
        let shift = self
            .shift_days
            .as_ref()
            .map(|shift| shift.require_fits(self, collection));
        shift
            .transpose()
            .map(drop)
            .map_err(|what| Problem::FileValue.report(format!("{file}: {what}")))
    }

    /// What is said of a column, or nothing.
    pub fn column(&self, name: &str) -> ColumnMapping {
        self.columns.get(name).cloned().unwrap_or_default()
    }

    /// How the values of a column are written; of the source, if none is given.
    pub(crate) fn written(&self, column: Option<&ColumnMapping>) -> Result<Written, String> {
        let zone =
            self.source.time_zone.as_deref().map(|name| {
                TimeZone::get(name).map_err(|_| format!("{name:?} is no time zone, such as Europe/Berlin"))
            });
        let date = column
            .and_then(|column| column.date.clone())
            .or_else(|| self.source.date.clone());
        if let Some(date) = &date {
            let made = jiff::fmt::strtime::format(date, jiff::civil::date(2024, 12, 31).at(0, 0, 0, 0));
            made.map_err(|_| format!("{date:?} is no way to write dates, such as %d.%m.%Y"))?;
        }
        Ok(Written {
            decimal: column.and_then(|column| column.decimal).unwrap_or(self.source.decimal),
            date,
            zone: zone.transpose()?,
        })
    }
}

impl ColumnMapping {
    fn require_fits(&self, kind: ColumnKind) -> Result<(), String> {
        if let Some(derived) = &self.derived {
            return self.require_derived(derived);
        }
        let is_number = matches!(kind, ColumnKind::Integer | ColumnKind::Number);
        if !self.from.is_empty() && self.value.is_some() {
            return Err("it has both from and value".to_owned());
        }
        if self.from.len() > 1 && kind != ColumnKind::Text {
            return Err(format!(
                "several columns make a text, and the collection expects {kind}"
            ));
        }
        if (self.times.is_some() || self.plus.is_some()) && kind != ColumnKind::Number {
            return Err(format!(
                "times and plus are for numbers, and the collection expects {kind}"
            ));
        }
        let factors = [self.times, self.plus].into_iter().flatten();
        if factors.clone().any(|factor| !factor.is_finite()) || self.times == Some(0.0) {
            return Err("times and plus must be finite, and times not zero".to_owned());
        }
        let steps = [
            ("descends_from", self.descends_from.is_some(), ColumnKind::Boolean),
            ("ags", self.ags.is_some(), ColumnKind::Text),
            ("part", self.part.is_some(), ColumnKind::Integer),
        ];
        for (key, _, wanted) in steps.iter().filter(|(_, is_there, _)| *is_there) {
            if kind != *wanted {
                return Err(format!("{key} makes {wanted}, and the collection expects {kind}"));
            }
            if self.from.len() > 1 || self.value.is_some() || !self.codes.is_empty() {
                return Err(format!(
                    "{key} goes with one column in from, and not with value or codes"
                ));
            }
        }
        if self.decimal.is_some() && !is_number {
            return Err(format!("decimal is for numbers, and the collection expects {kind}"));
        }
        let is_day = matches!(kind, ColumnKind::Date | ColumnKind::Timestamp) || self.part.is_some();
        if self.date.is_some() && !is_day {
            return Err(format!("date is for days and times, and the collection expects {kind}"));
        }
        Ok(())
    }
}

impl ColumnMapping {
    /// All that an expression needs besides itself is how the texts that it reads are written.
    fn require_derived(&self, derived: &str) -> Result<(), String> {
        let alone = Self {
            derived: self.derived.clone(),
            decimal: self.decimal,
            date: self.date.clone(),
            misfits: self.misfits,
            ..Self::default()
        };
        if *self != alone {
            return Err(
                "derived goes with decimal, date and misfits, and with nothing else: the rest, say in the expression"
                    .to_owned(),
            );
        }
        derived::require_valid(derived)
    }

    /// The unit that is stated can be made the collection's.
    fn require_units(&self, column: &Column) -> Result<(), String> {
        if self.unit.is_none() && self.unit_column.is_none() {
            return match self.molar_mass {
                Some(_) => Err("molar_mass is for a unit or unit_column, and it has neither".to_owned()),
                None => Ok(()),
            };
        }
        if column.kind != ColumnKind::Number {
            return Err(format!(
                "units are for numbers, and the collection expects {}",
                column.kind
            ));
        }
        if self.unit.is_some() && self.unit_column.is_some() {
            return Err("it has both unit and unit_column".to_owned());
        }
        if self.times.is_some() || self.plus.is_some() {
            return Err("it has times or plus beside a unit: one of both says what a number becomes".to_owned());
        }
        if self.molar_mass.is_some_and(|mass| !mass.is_finite() || mass <= 0.0) {
            return Err("molar_mass is in g/mol and more than zero".to_owned());
        }
        let Some(to) = &column.unit else {
            return Err("the collection names no unit to which it could be converted".to_owned());
        };
        if !unit::is_unit(to) {
            return Err(format!(
                "the collection's unit {to:?} is none of UCUM, so nothing can be converted to it"
            ));
        }
        match &self.unit {
            Some(from) if !unit::is_unit(from) => Err(format!("{from:?} is no unit, such as g/dL or 10*9/L (UCUM)")),
            Some(from) if Conversion::between(from, to, self.molar_mass).is_none() => Err(format!(
                "{from} cannot be converted to {to}; between mass and amount of substance say molar_mass, in g/mol"
            )),
            _ => Ok(()),
        }
    }
}

/// Codes from a CSV file with the columns `from` and `to`.
fn read_codes(path: &Path) -> Result<BTreeMap<String, String>, Report> {
    let wrong = |what: &str| {
        let message = format!("{}: {what}", path.display());
        Problem::FileValue
            .report(message)
            .remedy("write a CSV file whose first line is from,to")
    };
    let opened = crate::Opened::open(path, &SourceForm::default())?;
    let (Some(from), Some(to)) = (opened.position("from"), opened.position("to")) else {
        return Err(wrong("it has no columns from and to"));
    };
    let mut codes = BTreeMap::new();
    for piece in opened.batches(&[from, to])? {
        let batch = piece?.batch;
        let [from, to] = [0, 1].map(|at| arrow::array::AsArray::as_string::<i32>(batch.column(at)).clone());
        for (from, to) in from.iter().zip(&to) {
            let (Some(from), Some(to)) = (from, to) else {
                return Err(wrong("a line has a code without a partner"));
            };
            if codes
                .insert(from.to_owned(), to.to_owned())
                .is_some_and(|before| before != to)
            {
                return Err(wrong("a code stands there twice, with two partners"));
            }
        }
    }
    Ok(codes)
}

/// A list, of which one entry is written as a text.
mod one_or_more {
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }

    pub(super) fn serialize<S: Serializer>(names: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        match names {
            [one] => one.serialize(serializer),
            more => more.serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        Ok(match OneOrMore::deserialize(deserializer)? {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(more) => more,
        })
    }
}

#[cfg(test)]
mod tests;
