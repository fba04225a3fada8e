//! A batch of a source in the columns of a collection: renamed, converted, in the collection's unit and codes, every value checked.
//!
//! What does not fit becomes missing here and is counted by column and class; whether that refuses the data set is for the caller to
//! ask: [`Misfits::require_allowed`]. A value is never repeated.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use policy::{Collection, Column, ColumnKind, Domain};
use terms::{Problem, Report};

use crate::cell::{self, Written};
use crate::derived::{self, Derived};
use crate::mapping::{ColumnMapping, DayPart, Descendants, Keys, LEFT_OUT_MAX, Mapping, OnMisfit, Shifts, SourceForm};
use crate::source::resources::Resources;
use crate::source::{Opened, PLAIN, Piece};
use crate::unit::{Conversion, Conversions};

/// What turns the batches of one source into those of a collection.
#[derive(Debug)]
pub struct Conforming {
    columns: Vec<Rule>,
    wanted: Vec<usize>,
    shifting: Option<Shifting>,
}

/// By how many days those of the person of each row are moved.
#[derive(Debug)]
struct Shifting {
    shifts: Shifts,
    /// Which column tells people apart.
    person: usize,
}

/// How one column comes about.
#[derive(Debug)]
struct Rule {
    column: Column,
    mapping: ColumnMapping,
    written: Written,
    missing: BTreeSet<String>,
    /// Where its sources are among the wanted columns.
    sources: Vec<usize>,
    /// Tells people or keys apart: must be there.
    is_needed: bool,
    /// Its days are moved.
    is_shifted: bool,
    units: Units,
    derived: Option<Derived>,
    /// What its mapping's files say of codes.
    descendants: Option<Descendants>,
    keys: Option<Keys>,
}

/// In which unit its numbers are.
#[derive(Debug)]
enum Units {
    /// In the collection's, but for what the mapping multiplies and adds.
    Same,
    /// All in one other.
    One(Conversion),
    /// As another of the wanted columns says.
    Each(usize, Conversions),
}

/// Rows in the collection's columns.
#[derive(Debug)]
pub struct Conformed {
    /// The collection's columns, in its order.
    pub columns: Vec<ArrayRef>,
    /// Number of rows.
    pub rows: usize,
}

/// What did not fit.
#[derive(Clone, Debug, Default)]
pub struct Misfits {
    /// What became of the resources, if the source is FHIR.
    resources: Resources,
    by_column: BTreeMap<String, BTreeMap<&'static str, Misfit>>,
    pieces: u64,
}

/// Values of one class in one column that did not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// How many.
    pub count: u64,
    /// Where the first is, as the operator counts.
    pub first: String,
    /// The batch that it is in, and the row of that.
    at: (u64, usize),
}

impl Misfits {
    /// By column and class.
    pub fn by_column(&self) -> &BTreeMap<String, BTreeMap<&'static str, Misfit>> {
        &self.by_column
    }

    /// Refuses a source with misfits in a column whose mapping does not let them count as missing.
    ///
    /// # Errors
    /// [`Problem::DataFormat`] naming one of them by row, column and class.
    pub fn require_allowed(&self, conforming: &Conforming) -> Result<(), Report> {
        let refusing = conforming
            .columns
            .iter()
            .filter(|rule| rule.mapping.misfits == OnMisfit::Refuse || rule.is_needed);
        let misfits = refusing.flat_map(|rule| {
            let classes = self.by_column.get(&rule.column.name).into_iter().flatten();
            classes.map(move |(class, misfit)| (rule, class, misfit))
        });
        if let Some((rule, class, misfit)) = misfits.min_by_key(|(_, _, misfit)| misfit.at) {
            return Err(rule.refusal(class, &misfit.first));
        }
        Ok(())
    }

    /// What became of the resources, if the source is FHIR.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Refuses a source, read to its end, of which more resources were left out than its mapping lets.
    ///
    /// # Errors
    /// [`Problem::FhirResource`] with how many, and the first of them.
    pub fn require_few_left_out(&self, form: &SourceForm) -> Result<(), Report> {
        let most = form.left_out_max.unwrap_or(LEFT_OUT_MAX);
        if self.resources.share_left_out() <= most {
            return Ok(());
        }
        let first = self.resources.named.first().map_or("", String::as_str);
        let message = format!(
            "{}; that is more than the share of {most} that may be left out; the first is {first}",
            self.resources.summary()
        );
        let remedy = "mend them in the source; or, if nobody is missed, raise left_out_max under [source] in a mapping";
        Err(Problem::FhirResource.report(message).remedy(remedy))
    }

    fn count(&mut self, column: &Column, class: &'static str, piece: &Piece, index: usize) {
        let classes = self.by_column.entry(column.name.clone()).or_default();
        let misfit = classes.entry(class).or_insert_with(|| Misfit {
            count: 0,
            first: place(piece, index),
            at: (self.pieces, index),
        });
        misfit.count += 1;
    }
}

/// Where a row is, as the operator counts.
pub fn place(piece: &Piece, index: usize) -> String {
    let row = piece.first_row + index as u64;
    match &piece.file {
        Some(file) => format!("row {row} of {file}"),
        None => format!("row {row}"),
    }
}

impl Conforming {
    /// Finds where each column of the collection is in the source.
    ///
    /// # Errors
    /// [`Problem::DataSchema`] naming a column that is not there, with what is near; what is wrong with the mapping.
    pub fn new(opened: &Opened, mapping: &Mapping, collection: &Collection) -> Result<Self, Report> {
        let mut columns = Vec::new();
        let mut wanted = Vec::new();
        for column in &collection.columns {
            let of_column = mapping.column(&column.name);
            let mut sources = Vec::new();
            let unfit = |what| Problem::FileValue.report(format!("column {}: {what}", column.name));
            if of_column.value.is_none() {
                let named = match (&of_column.derived, &of_column.from[..]) {
                    (Some(derived), _) => derived::columns(derived).map_err(unfit)?,
                    (None, []) => vec![column.name.clone()],
                    (None, from) => from.to_vec(),
                };
                for name in &named {
                    let position = opened
                        .position_in_any_case(name)
                        .ok_or_else(|| absent(name, &column.name, opened, collection))?;
                    sources.push(wanted.len());
                    wanted.push(position);
                }
            }
            let written = mapping
                .written(Some(&of_column))
                .map_err(|what| Problem::FileValue.report(what))?;
            let missing: BTreeSet<String> = mapping.source.missing.iter().cloned().collect();
            let derived = of_column.derived.as_ref().map(|text| {
                let schema = opened.schema();
                let found: Vec<_> = sources.iter().map(|at| (*at, schema.field(wanted[*at]))).collect();
                Derived::bind(text, &found, column.kind, &written, &missing)
            });
            let derived = derived.transpose().map_err(unfit)?;
            let is_plain = |at: &usize| opened.schema().field(wanted[*at]).metadata().contains_key(PLAIN);
            let written = match sources.iter().any(is_plain) {
                true => Written::default(),
                false => written,
            };
            let units = match (&of_column.unit, &of_column.unit_column, &column.unit) {
                (Some(from), _, Some(to)) => {
                    let conversion = Conversion::between(from, to, of_column.molar_mass);
                    let none = || Problem::FileValue.report(format!("{from} cannot be converted to {to}"));
                    Units::One(conversion.ok_or_else(none)?)
                }
                (None, Some(name), Some(to)) => {
                    let position = opened.position(name);
                    wanted.push(position.ok_or_else(|| absent(name, &column.name, opened, collection))?);
                    Units::Each(wanted.len() - 1, Conversions::new(to, of_column.molar_mass))
                }
                _ => Units::Same,
            };
            let looked_up = |report: Report| {
                report
                    .problem
                    .report(format!("column {}: {}", column.name, report.message))
                    .remedy(report.remedy)
            };
            let descendants = of_column.descends_from.as_ref().map(|of| of.look_up()).transpose();
            let keys = of_column.ags.as_ref().map(|ags| ags.look_up()).transpose();
            let tells_apart = [&collection.privacy_unit, &collection.key];
            let is_shifted = mapping
                .shift_days
                .as_ref()
                .is_some_and(|shift| shift.moves(column, mapping));
            columns.push(Rule {
                is_shifted,
                is_needed: tells_apart.contains(&&Some(column.name.clone())),
                column: column.clone(),
                descendants: descendants.map_err(looked_up)?,
                keys: keys.map_err(looked_up)?,
                derived,
                missing,
                mapping: of_column,
                written,
                sources,
                units,
            });
        }
        let mut conforming = Self {
            columns,
            wanted,
            shifting: None,
        };
        if let Some(shift) = &mapping.shift_days {
            let moved = shift.sources(mapping, collection);
            conforming.require_no_text_of_days(&moved.map_err(|what| Problem::FileValue.report(what))?)?;
            let shifts = shift.look_up()?;
            let person = conforming.columns.iter().position(|rule| rule.column.name == shift.key);
            conforming.shifting = person.map(|person| Shifting { shifts, person });
        }
        Ok(conforming)
    }

    /// Refuses a column that is derived from the text of a day that is moved elsewhere.
    fn require_no_text_of_days(&self, moved: &BTreeSet<String>) -> Result<(), Report> {
        for rule in self.columns.iter().filter(|rule| rule.is_shifted) {
            let mut texts = rule.derived.iter().flat_map(Derived::texts);
            if let Some(text) = texts.find(|text| moved.contains(&text.to_ascii_lowercase())) {
                let message = format!(
                    "column {}: derived reads {text} as a text, and shift_days moves the days in it",
                    rule.column.name
                );
                return Err(Problem::FileValue
                    .report(message)
                    .remedy("read it by CAST(x AS date), or name the column in unshifted"));
            }
        }
        Ok(())
    }

    /// A keyed hash of what days are moved by, if they are: the same for as long as each person's are moved as before.
    pub fn shift_mark(&self) -> Option<[u8; 32]> {
        self.shifting.as_ref().map(|shifting| shifting.shifts.mark())
    }

    /// The columns whose days are moved.
    pub fn shifted(&self) -> impl Iterator<Item = &str> {
        let shifted = self
            .columns
            .iter()
            .filter(|rule| rule.is_shifted && rule.is_made_of_days());
        shifted.map(|rule| rule.column.name.as_str())
    }

    /// The columns to read of the source: indices into [`Opened::schema`].
    pub fn wanted(&self) -> &[usize] {
        &self.wanted
    }

    /// One batch, of [`Conforming::wanted`] columns at its beginning. What does not fit is missing and counted.
    ///
    /// # Errors
    /// [`Problem::DataSchema`] if a column has a type from which its values cannot be had whole.
    pub fn conform(&self, piece: &Piece, misfits: &mut Misfits) -> Result<Conformed, Report> {
        misfits.pieces += 1;
        misfits.resources.add(&piece.resources);
        let mut people = None;
        if let Some(shifting) = &self.shifting {
            let keys = self.columns[shifting.person].conform(piece, None, misfits)?;
            let shifts = shifting.of(&keys)?;
            people = Some((shifting.person, keys, shifts));
        }
        let columns = self.columns.iter().enumerate().map(|(at, rule)| match &people {
            Some((person, keys, _)) if at == *person => Ok(Arc::clone(keys)),
            people => {
                let shifts = people.as_ref().map(|(.., shifts)| shifts.as_slice());
                rule.conform(piece, shifts.filter(|_| rule.is_shifted), misfits)
            }
        });
        Ok(Conformed {
            columns: columns.collect::<Result<_, _>>()?,
            rows: piece.batch.num_rows(),
        })
    }
}

impl Shifting {
    /// For each row; none where it is not said whose it is.
    fn of(&self, people: &ArrayRef) -> Result<Vec<Option<i32>>, Report> {
        let people = cast(people, &DataType::Utf8);
        let people = people.map_err(|_| Problem::Internal.report("a key of a person that is no text"))?;
        let people = people.as_string::<i32>().iter();
        Ok(people
            .map(|person| person.map(|person| self.shifts.of(person)))
            .collect())
    }
}

impl Rule {
    fn is_made_of_days(&self) -> bool {
        self.derived.as_ref().is_none_or(Derived::reads_days)
    }

    /// `shifts` are by how many days its own are moved, row by row.
    fn conform(
        &self,
        piece: &Piece,
        shifts: Option<&[Option<i32>]>,
        misfits: &mut Misfits,
    ) -> Result<ArrayRef, Report> {
        if let Some(derived) = &self.derived {
            let misfit = |index, why| misfits.count(&self.column, why, piece, index);
            return self.finish(derived.column(&piece.batch, shifts, misfit)?, piece, misfits);
        }
        let typed = match self.text(&piece.batch)? {
            Some(cells) if self.mapping.part == Some(DayPart::Year) => {
                let days = self.days(&cells, piece, misfits);
                years(&self.shifted(days, shifts, piece, misfits))
            }
            Some(cells) => self.shifted(self.parse(&cells, piece, misfits), shifts, piece, misfits),
            None => {
                let raw = piece.batch.column(self.sources.first().copied().unwrap_or_default());
                let typed = self.by_its_clock(raw.data_type(), self.typed(raw)?, piece, misfits);
                self.shifted(typed, shifts, piece, misfits)
            }
        };
        self.finish(typed, piece, misfits)
    }

    /// In the collection's unit, and checked.
    fn finish(&self, typed: ArrayRef, piece: &Piece, misfits: &mut Misfits) -> Result<ArrayRef, Report> {
        let typed = self.in_units(typed, piece, misfits)?;
        let checked = self.check(typed, piece, misfits);
        if self.is_needed && checked.null_count() > 0 {
            let absent = (0..checked.len()).filter(|index| checked.is_null(*index));
            absent.for_each(|index| misfits.count(&self.column, "nothing", piece, index));
        }
        Ok(checked)
    }

    /// Its cells as text, if that is what they are.
    fn text(&self, batch: &RecordBatch) -> Result<Option<StringArray>, Report> {
        if let Some(value) = &self.mapping.value {
            let cells = std::iter::repeat_n(Some(value.as_str()), batch.num_rows());
            return Ok(Some(cells.collect()));
        }
        let sources: Vec<&ArrayRef> = self.sources.iter().map(|at| batch.column(*at)).collect();
        match &sources[..] {
            [one] if is_text(one.data_type()) => Ok(Some(self.cast(one, &DataType::Utf8)?.as_string::<i32>().clone())),
            [one] if self.mapping.part.is_some() && is_day(one.data_type()) => {
                let days = self.cast(one, &DataType::Date32)?;
                Ok(Some(self.cast(&days, &DataType::Utf8)?.as_string::<i32>().clone()))
            }
            [one] if self.is_of_codes() => Ok(Some(self.cast(one, &DataType::Utf8)?.as_string::<i32>().clone())),
            [_] => Ok(None),
            several => {
                let parts = several.iter().map(|part| self.cast(part, &DataType::Utf8));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                let joined = (0..batch.num_rows()).map(|row| {
                    let parts = parts.iter().map(|part| part.as_string::<i32>());
                    // A key with a missing part is no key.
                    let parts: Option<Vec<&str>> = parts
                        .map(|part| part.is_valid(row).then(|| part.value(row).trim()))
                        .collect();
                    parts.map(|parts| parts.join("/"))
                });
                Ok(Some(joined.collect()))
            }
        }
    }

    /// Whether its source is codes, which are read as texts also where they are numbers.
    fn is_of_codes(&self) -> bool {
        !self.mapping.codes.is_empty() || self.mapping.descends_from.is_some() || self.mapping.ags.is_some()
    }

    /// Texts in the column's type.
    fn parse(&self, cells: &StringArray, piece: &Piece, misfits: &mut Misfits) -> ArrayRef {
        let (kind, written) = (self.column.kind, &self.written);
        let mut each = Each {
            rule: self,
            piece,
            misfits,
        };
        if let Some(descendants) = &self.descendants {
            return Arc::new(
                each.cell(cells, |cell| descendants.holds(cell))
                    .collect::<BooleanArray>(),
            );
        }
        if let Some(keys) = &self.keys {
            return Arc::new(each.cell(cells, |cell| keys.key(cell)).collect::<StringArray>());
        }
        match kind {
            ColumnKind::Text if self.mapping.codes.is_empty() && self.missing.is_empty() => Arc::new(cells.clone()),
            ColumnKind::Text => Arc::new(each.cell(cells, |cell| Some(cell.to_owned())).collect::<StringArray>()),
            ColumnKind::Integer => Arc::new(each.cell(cells, |cell| written.integer(cell)).collect::<Int64Array>()),
            ColumnKind::Number => Arc::new(each.cell(cells, |cell| written.number(cell)).collect::<Float64Array>()),
            ColumnKind::Boolean => Arc::new(each.cell(cells, cell::truth).collect::<BooleanArray>()),
            ColumnKind::Date => Arc::new(each.cell(cells, |cell| written.day(cell)).collect::<Date32Array>()),
            ColumnKind::Timestamp => Arc::new(
                each.cell(cells, |cell| written.instant(cell))
                    .collect::<TimestampMicrosecondArray>(),
            ),
        }
    }

    /// Texts as days, of which only a part is kept. One that was made a text by us is written as ISO 8601 has it.
    fn days(&self, cells: &StringArray, piece: &Piece, misfits: &mut Misfits) -> ArrayRef {
        let mut each = Each {
            rule: self,
            piece,
            misfits,
        };
        let day = |cell: &str| self.written.day(cell).or_else(|| Written::default().day(cell));
        Arc::new(each.cell(cells, day).collect::<Date32Array>())
    }

    /// Days and times, moved.
    fn shifted(
        &self,
        typed: ArrayRef,
        shifts: Option<&[Option<i32>]>,
        piece: &Piece,
        misfits: &mut Misfits,
    ) -> ArrayRef {
        let Some(shifts) = shifts else { return typed };
        let mut moved = |index: usize, at: Option<i64>| {
            let (at, shift) = at.zip(shifts[index])?;
            let moved = match typed.data_type() {
                DataType::Date32 => cell::shifted_day(at, shift),
                _ => cell::shifted_instant(at, shift),
            };
            if moved.is_none() {
                misfits.count(&self.column, "a day that is too far away", piece, index);
            }
            moved
        };
        match typed.data_type() {
            DataType::Date32 => {
                let days = typed.as_primitive::<Date32Type>().iter().enumerate();
                let days = days.map(|(index, day)| moved(index, day.map(i64::from)));
                Arc::new(
                    days.map(|day| day.and_then(|day| i32::try_from(day).ok()))
                        .collect::<Date32Array>(),
                )
            }
            DataType::Timestamp(..) => {
                let times = typed.as_primitive::<TimestampMicrosecondType>().iter().enumerate();
                Arc::new(
                    times
                        .map(|(index, at)| moved(index, at))
                        .collect::<TimestampMicrosecondArray>(),
                )
            }
            _ => typed.clone(),
        }
    }

    /// A column that has a type in the file already: only conversions that keep every value.
    fn typed(&self, raw: &ArrayRef) -> Result<ArrayRef, Report> {
        let from = raw.data_type();
        let value = match from {
            DataType::Dictionary(_, value) => value.as_ref(),
            other => other,
        };
        let fits = match self.column.kind {
            // Registers often number people: as text nothing of a whole number is lost.
            ColumnKind::Text => value.is_integer(),
            ColumnKind::Integer => value.is_integer(),
            ColumnKind::Number => value.is_numeric(),
            ColumnKind::Boolean => *value == DataType::Boolean,
            ColumnKind::Date => *value == DataType::Date32,
            ColumnKind::Timestamp => matches!(value, DataType::Timestamp(..) | DataType::Date32),
        };
        if *value == DataType::Null || fits {
            return self.cast(raw, &arrow_type(self.column.kind));
        }
        let message = format!(
            "column {}: {from} where the collection expects {}",
            self.column.name,
            expectation(&self.column)
        );
        Err(Problem::DataSchema.report(message))
    }

    /// Times without a zone, by the clock by which they were written down.
    fn by_its_clock(&self, from: &DataType, typed: ArrayRef, piece: &Piece, misfits: &mut Misfits) -> ArrayRef {
        let has_zone = matches!(from, DataType::Timestamp(_, Some(_)));
        if self.column.kind != ColumnKind::Timestamp || self.written.zone.is_none() || has_zone {
            return typed;
        }
        let times = typed.as_primitive::<TimestampMicrosecondType>();
        let at = |(index, time): (usize, Option<i64>)| {
            let at = self.written.on_the_clock(time?);
            if at.is_none() {
                misfits.count(
                    &self.column,
                    "a time that the clock showed twice or never",
                    piece,
                    index,
                );
            }
            at
        };
        Arc::new(times.iter().enumerate().map(at).collect::<TimestampMicrosecondArray>())
    }

    fn cast(&self, raw: &ArrayRef, to: &DataType) -> Result<ArrayRef, Report> {
        let misfit = |_| {
            Problem::DataFormat.report(format!(
                "column {} has a value that does not fit {to}",
                self.column.name
            ))
        };
        cast(raw, to).map_err(misfit)
    }

    /// Numbers in the collection's unit. Arrow tells -0.0 from 0.0 when it compares and groups; people do not, and a bin from 0
    /// must hold both.
    fn in_units(&self, typed: ArrayRef, piece: &Piece, misfits: &mut Misfits) -> Result<ArrayRef, Report> {
        if self.column.kind != ColumnKind::Number {
            return Ok(typed);
        }
        let (times, plus) = (self.mapping.times.unwrap_or(1.0), self.mapping.plus.unwrap_or(0.0));
        let numbers: &Float64Array = typed.as_primitive();
        Ok(Arc::new(match &self.units {
            Units::Same => numbers.unary::<_, Float64Type>(|number| number * times + plus),
            Units::One(conversion) => numbers.unary::<_, Float64Type>(|number| conversion.of(number) + 0.0),
            Units::Each(at, conversions) => {
                let units = self.cast(piece.batch.column(*at), &DataType::Utf8)?;
                let units: &StringArray = units.as_string::<i32>();
                let converted = numbers.iter().zip(units).enumerate().map(|(index, (number, unit))| {
                    let number = number?;
                    let unit = unit.map(str::trim).filter(|unit| !unit.is_empty());
                    let conversion = unit.and_then(|unit| conversions.from(unit));
                    if conversion.is_none() {
                        let class = if unit.is_some() { NO_CONVERSION } else { NO_UNIT };
                        misfits.count(&self.column, class, piece, index);
                    }
                    Some(conversion?.of(number) + 0.0)
                });
                converted.collect()
            }
        }))
    }

    /// Values outside what the collection declares become missing.
    fn check(&self, typed: ArrayRef, piece: &Piece, misfits: &mut Misfits) -> ArrayRef {
        let column = &self.column;
        let mut outside = |index: usize, class: &'static str| misfits.count(column, class, piece, index);
        match (column.kind, &column.domain) {
            (ColumnKind::Text, Some(Domain::Texts(values))) => {
                let values: BTreeSet<&str> = values.iter().map(String::as_str).collect();
                let keep = |(index, value): (usize, Option<&str>)| {
                    let is_outside = value.is_some_and(|value| !values.contains(value));
                    is_outside.then(|| outside(index, "another text than those listed"));
                    !is_outside
                };
                let kept: Vec<bool> = typed.as_string::<i32>().iter().enumerate().map(keep).collect();
                without(typed, &kept)
            }
            (ColumnKind::Integer, domain) => {
                let listed = match domain {
                    Some(Domain::Integers(values)) => Some(values),
                    _ => None,
                };
                let keep = |(index, value): (usize, Option<i64>)| {
                    let Some(value) = value else { return true };
                    let class = match listed {
                        Some(values) if !values.contains(&value) => Some("another number than those listed"),
                        _ => class_of_number(value as f64, column),
                    };
                    class.inspect(|class| outside(index, class)).is_none()
                };
                let kept: Vec<bool> = typed.as_primitive::<Int64Type>().iter().enumerate().map(keep).collect();
                without(typed, &kept)
            }
            (ColumnKind::Number, _) => {
                let keep = |(index, value): (usize, Option<f64>)| {
                    let class = value.and_then(|value| class_of_number(value, column));
                    class.inspect(|class| outside(index, class)).is_none()
                };
                let kept: Vec<bool> = typed
                    .as_primitive::<Float64Type>()
                    .iter()
                    .enumerate()
                    .map(keep)
                    .collect();
                without(typed, &kept)
            }
            _ => typed,
        }
    }

    fn refusal(&self, class: &str, first: &str) -> Report {
        let column = &self.column;
        let message = format!(
            "{first}, column {}: {class} where the collection expects {}",
            column.name,
            expectation(column)
        );
        let report = Problem::DataFormat.report(message);
        match class {
            NOT_FINITE => report.remedy("leave the field empty, or write null, where a value is missing"),
            NO_CONVERSION => report.remedy(
                "give numbers of other units a column of their own, or say molar_mass, in g/mol; or let them count as missing: misfits = \"missing\"",
            ),
            NO_CODE => report.remedy("add the code to codes in the mapping, or to its file; or let it count as missing: misfits = \"missing\""),
            _ => report,
        }
    }
}

/// One cell after the other.
struct Each<'a> {
    rule: &'a Rule,
    piece: &'a Piece,
    misfits: &'a mut Misfits,
}

impl Each<'_> {
    fn cell<'c, T>(
        &'c mut self,
        cells: &'c StringArray,
        parse: impl Fn(&str) -> Option<T> + 'c,
    ) -> impl Iterator<Item = Option<T>> + 'c {
        cells.iter().enumerate().map(move |(index, cell)| {
            let cell = cell
                .map(str::trim)
                .filter(|cell| !cell.is_empty() && !self.rule.missing.contains(*cell))?;
            let coded = match self.rule.mapping.codes.get(cell) {
                Some(code) => Cow::Borrowed(code.as_str()),
                None if self.rule.mapping.codes.is_empty() => Cow::Borrowed(cell),
                None => {
                    self.misfits.count(&self.rule.column, NO_CODE, self.piece, index);
                    return None;
                }
            };
            let parsed = parse(&coded);
            if parsed.is_none() {
                let class = match self.rule.mapping.ags {
                    Some(_) => NO_AGS,
                    None => cell::class(&coded),
                };
                self.misfits.count(&self.rule.column, class, self.piece, index);
            }
            parsed
        })
    }
}

const NO_AGS: &str = "what is no district key (AGS) of that level and date";

const NO_CODE: &str = "a code that the mapping does not have";

const NO_UNIT: &str = "a number without a unit";

const NO_CONVERSION: &str = "a number in a unit that is not known or of another kind";

const NOT_FINITE: &str = "NaN or infinity";

fn class_of_number(number: f64, column: &Column) -> Option<&'static str> {
    if !number.is_finite() {
        return Some(NOT_FINITE);
    }
    let in_bins = match &column.domain {
        Some(Domain::Bins(edges)) => match (edges.first(), edges.last()) {
            (Some(first), Some(last)) => number >= *first && number < *last,
            _ => true,
        },
        _ => true,
    };
    let [low, high] = column.bounds.unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
    (!in_bins || number < low || number > high).then_some("a number outside the range")
}

/// The years of days.
fn years(days: &ArrayRef) -> ArrayRef {
    let days = days.as_primitive::<Date32Type>();
    let year = |day: Option<i32>| cell::date_of(day?).map(|day| i64::from(day.year()));
    Arc::new(days.iter().map(year).collect::<Int64Array>())
}

/// The column without the values that are not kept.
fn without(typed: ArrayRef, kept: &[bool]) -> ArrayRef {
    if kept.iter().all(|kept| *kept) {
        return typed;
    }
    let drop: BooleanArray = kept.iter().map(|kept| Some(!kept)).collect();
    arrow::compute::nullif(&typed, &drop).unwrap_or(typed)
}

fn is_day(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Timestamp(..))
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => value.is_string(),
        other => other.is_string(),
    }
}

/// Only where every value is kept.
pub(crate) fn cast(raw: &ArrayRef, to: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(raw, to, &strict)
}

/// As Arrow stores it.
pub fn arrow_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Integer => DataType::Int64,
        ColumnKind::Number => DataType::Float64,
        ColumnKind::Boolean => DataType::Boolean,
        ColumnKind::Date => DataType::Date32,
        ColumnKind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

/// What a column may hold, in words.
pub fn expectation(column: &Column) -> String {
    let kind = column.kind;
    let domain = match (&column.domain, column.bounds) {
        (Some(Domain::Bins(edges)), _) => match (edges.first(), edges.last()) {
            (Some(low), Some(high)) => format!(" from {low} and below {high}"),
            _ => String::new(),
        },
        (Some(Domain::Texts(_) | Domain::Integers(_)), _) => format!(", {}", column.describe_domain()),
        (_, Some([low, high])) => format!(" from {low} to {high}"),
        _ => String::new(),
    };
    format!("{kind}{domain}")
}

/// What each FHIR resource has, and hardly any table.
const RESOURCE_TYPE: &str = "resourceType";

fn absent(name: &str, column: &str, opened: &Opened, collection: &Collection) -> Report {
    let header: Vec<&str> = opened
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let same = header.iter().copied().find(|field| field.eq_ignore_ascii_case(name));
    let near = same.or_else(|| terms::text::nearest(name, header.iter().copied()));
    let near = near.map_or_else(String::new, |near| format!("is it the file's column {near}?; "));
    // A first line without a known column can be a row of data, and is not repeated.
    let is_header = header.iter().any(|field| collection.column(field).is_some());
    let has = match is_header {
        true => format!("{near}the file has: {}", header.join(", ")),
        false => "the file's first line must hold the names of the columns".to_owned(),
    };
    let message = match name == column {
        true => format!(
            "the file has no column {name}, which the collection {} needs",
            collection.id
        ),
        false => format!("the file has no column {name}, from which the mapping makes {column}"),
    };
    let report = Problem::DataSchema.report(message);
    match header.contains(&RESOURCE_TYPE) {
        true => report.remedy("the file has FHIR resources: read them through a view, such as --view diagnosis"),
        false => report.remedy(format!("rename or add it, or name it in a mapping; {has}")),
    }
}

#[cfg(test)]
mod tests;
