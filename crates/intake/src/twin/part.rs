//! What one value of a made-up table is drawn from: a value, or a range, bin or period, and what is declared of a column as such parts.

use jiff::civil::Date;
use jiff::{ToSpan as _, Unit};
use policy::{Calendar, Column, ColumnKind, Domain};

use super::Chance;

/// Days and times lie in these ten years: a collection does not say which.
const FIRST_DAY: Date = jiff::civil::date(2015, 1, 1);
const DAYS: u64 = 3_653;

/// One of these is drawn, and then a value of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// This value.
    Value(String),
    /// Whole numbers: the first, and how many.
    Whole(i64, u64),
    /// Numbers from the first on, below the second.
    Range([f64; 2]),
    /// Days: the first, and how many.
    Days(Date, u64),
    /// Times on such days.
    Times(Date, u64),
}

impl Part {
    pub(super) fn draw(&self, chance: &mut Chance) -> String {
        match self {
            Part::Value(value) => value.clone(),
            Part::Whole(first, count) => first.wrapping_add_unsigned(chance.below(*count)).to_string(),
            Part::Range([low, high]) => chance.between(*low, *high).to_string(),
            Part::Days(first, count) => day(*first, *count, chance).to_string(),
            Part::Times(first, count) => {
                let day = day(*first, *count, chance);
                format!("{day}T{:02}:{:02}:00Z", chance.below(24), chance.below(60))
            }
        }
    }

    /// Any day or time.
    pub(super) fn any_day(kind: ColumnKind) -> Self {
        days_of(kind, FIRST_DAY, DAYS)
    }

    /// What nodes call it in an answer.
    pub(super) fn shown(&self) -> String {
        match self {
            Part::Value(value) => value.clone(),
            Part::Whole(first, count) => format!("{first} to {}", first.wrapping_add_unsigned(count.saturating_sub(1))),
            Part::Range([low, high]) => format!("[{low}, {high})"),
            Part::Days(first, _) | Part::Times(first, _) => first.to_string(),
        }
    }
}

/// All parts that a column declares; none if it has no end of values.
pub(super) fn declared(column: &Column) -> Vec<Part> {
    match (&column.domain, column.kind) {
        (Some(Domain::Texts(texts)), _) => texts.iter().cloned().map(Part::Value).collect(),
        (Some(Domain::Integers(numbers)), _) => {
            let fits = numbers.iter().filter(|number| within(**number as f64, column.bounds));
            fits.map(|number| Part::Value(number.to_string())).collect()
        }
        (Some(Domain::Bins(edges)), _) => edges
            .windows(2)
            .filter_map(|edge| bin(column, [edge[0], edge[1]]))
            .collect(),
        (_, ColumnKind::Boolean) => ["true", "false"].map(|value| Part::Value(value.to_owned())).to_vec(),
        (Some(Domain::Calendar(_)) | None, _) => Vec::new(),
    }
}

/// The part of a column that an answer names: a declared value, bin or period.
pub(super) fn named(column: &Column, text: &str) -> Option<Part> {
    match &column.domain {
        Some(Domain::Bins(edges)) => {
            let (low, high) = text.strip_prefix('[')?.strip_suffix(')')?.split_once(", ")?;
            let named: [f64; 2] = [low.parse().ok()?, high.parse().ok()?];
            let edge = edges.windows(2).find(|edge| *edge == &named[..])?;
            bin(column, [edge[0], edge[1]])
        }
        Some(Domain::Calendar(unit)) => {
            let first: Date = text.get(..10)?.parse().ok()?;
            let count = first.until((Unit::Day, end(*unit, first)?)).ok()?.get_days();
            Some(days_of(column.kind, first, u64::try_from(count).ok()?))
        }
        Some(Domain::Texts(_) | Domain::Integers(_)) | None => {
            let value = Part::Value(text.to_owned());
            declared(column).into_iter().find(|part| *part == value)
        }
    }
}

/// What the bounds leave of a bin.
fn bin(column: &Column, [low, high]: [f64; 2]) -> Option<Part> {
    let [least, most] = column.bounds.unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
    range(column.kind, [low.max(least), high.min(most)])
}

/// The numbers of a kind in a range, if there are any.
pub(super) fn range(kind: ColumnKind, [low, high]: [f64; 2]) -> Option<Part> {
    match kind {
        ColumnKind::Integer => whole([low, high]),
        _ => (low < high).then_some(Part::Range([low, high])),
    }
}

/// The day after the last of the period that begins with a day.
fn end(unit: Calendar, first: Date) -> Option<Date> {
    let (begins, length) = match unit {
        Calendar::Day => (true, 1.day()),
        Calendar::Week => (first.weekday() == jiff::civil::Weekday::Monday, 1.week()),
        Calendar::Month => (first.day() == 1, 1.month()),
        Calendar::Quarter => (first.day() == 1 && first.month() % 3 == 1, 3.months()),
        Calendar::Year => (first.day_of_year() == 1, 1.year()),
    };
    begins.then(|| first.checked_add(length).ok()).flatten()
}

fn days_of(kind: ColumnKind, first: Date, count: u64) -> Part {
    match kind {
        ColumnKind::Timestamp => Part::Times(first, count),
        _ => Part::Days(first, count),
    }
}

fn day(first: Date, count: u64, chance: &mut Chance) -> Date {
    let days = i64::try_from(chance.below(count)).unwrap_or_default();
    first.saturating_add(jiff::Span::new().days(days))
}

fn within(number: f64, bounds: Option<[f64; 2]>) -> bool {
    bounds.is_none_or(|[low, high]| (low..=high).contains(&number))
}

/// The whole numbers in a range.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast to an integer stops at its ends"
)]
fn whole([low, high]: [f64; 2]) -> Option<Part> {
    let count = high.ceil() - low.ceil();
    (low < high && count >= 1.0).then_some(Part::Whole(low.ceil() as i64, count as u64))
}
