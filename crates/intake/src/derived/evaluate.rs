//! The value of an expression in one row. A value that is missing makes what is worked out of it missing, as in SQL; what has no value,
//! such as a division by zero, says why.
//!
//! Days of a person can be shown later or earlier by some days (`mapping/shift.rs`). They are kept as they are as long as only days of the same
//! person meet, so that intervals and ages are right to the day, and are shown where they meet a constant or are looked at alone.

use std::borrow::Cow;
use std::cmp::Ordering;

use arrow::array::{
    Array, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use jiff::civil::Date;
use policy::ColumnKind;

use super::{Comparison, Derived, Expression, Operation};
use crate::cell::{self, Written};

/// Longest text that is made, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

const OVERFLOW: &str = "a number that is too large";
const BY_ZERO: &str = "a division by zero";
const NO_ORDER: &str = "NaN, which is neither more nor less";
const TOO_LONG: &str = "a text that is too long";
const NO_DAY: &str = "a day that is too far away";
const NO_CLOCK: &str = "a time that the clock showed twice or never";
/// What was checked before the first row.
const OTHER_KIND: &str = "a value of another type";

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Missing,
    Text(Cow<'a, str>),
    Integer(i64),
    Number(f64),
    Truth(bool),
    /// In days since 1970-01-01.
    Day(Of<i32>),
    /// In microseconds since 1970-01-01T00:00:00Z.
    Instant(Of<i64>),
}

/// A time, and whether it is one of the person's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Of<T> {
    at: T,
    is_of_person: bool,
}

/// A column of a batch.
pub(super) enum Cells {
    Text(StringArray),
    Written(StringArray),
    Integer(Int64Array),
    Number(Float64Array),
    Truth(BooleanArray),
    Day(Date32Array),
    /// And whether it is in UTC already.
    Instant(TimestampMicrosecondArray, bool),
}

/// What is looked at.
pub(super) struct Row<'a> {
    pub(super) derived: &'a Derived,
    pub(super) columns: &'a [Cells],
    pub(super) index: usize,
    pub(super) shift: i32,
}

type Made<'a> = Result<Value<'a>, &'static str>;

impl Expression {
    pub(super) fn value<'a>(&'a self, row: &Row<'a>) -> Made<'a> {
        match self {
            Self::Column(at) => row.columns[*at].value(row),
            Self::Constant(value) => Ok(value.clone()),
            Self::Case(branches, otherwise) => {
                for (condition, result) in branches {
                    if condition.value(row)? == Value::Truth(true) {
                        return result.value(row);
                    }
                }
                otherwise.value(row)
            }
            Self::Call(operation, of) => operation.value(of, row),
        }
    }
}

impl Cells {
    fn value<'a>(&'a self, row: &Row<'a>) -> Made<'a> {
        let at = row.index;
        Ok(match self {
            Self::Text(cells) if cells.is_valid(at) => {
                let text = cells.value(at).trim();
                match text.is_empty() || row.derived.missing.contains(text) {
                    true => Value::Missing,
                    false => Value::Text(text.into()),
                }
            }
            Self::Written(cells) if cells.is_valid(at) => {
                Value::Number(Written::default().number(cells.value(at)).ok_or(OTHER_KIND)?)
            }
            Self::Integer(cells) if cells.is_valid(at) => Value::Integer(cells.value(at)),
            Self::Number(cells) if cells.is_valid(at) => Value::Number(cells.value(at)),
            Self::Truth(cells) if cells.is_valid(at) => Value::Truth(cells.value(at)),
            Self::Day(cells) if cells.is_valid(at) => Value::persons_day(cells.value(at)),
            Self::Instant(cells, has_zone) if cells.is_valid(at) => {
                let shown = cells.value(at);
                Value::persons_instant(match has_zone {
                    true => shown,
                    false => row.derived.written.on_the_clock(shown).ok_or(NO_CLOCK)?,
                })
            }
            _ => Value::Missing,
        })
    }
}

impl Operation {
    fn value<'a>(self, of: &'a [Expression], row: &Row<'a>) -> Made<'a> {
        // These do not look at all that they are given.
        match self {
            Self::And => return connected(of, row, false),
            Self::Or => return connected(of, row, true),
            Self::Coalesce => {
                for part in of {
                    let value = part.value(row)?;
                    if value != Value::Missing {
                        return Ok(value);
                    }
                }
                return Ok(Value::Missing);
            }
            Self::IsOneOf => return is_one_of(of, row),
            _ => {}
        }
        let values = of.iter().map(|part| part.value(row)).collect::<Result<Vec<_>, _>>()?;
        if self == Self::IsMissing {
            return Ok(Value::Truth(values.first() == Some(&Value::Missing)));
        }
        if values.contains(&Value::Missing) {
            return Ok(Value::Missing);
        }
        self.of_values(values, of, row)
    }

    fn of_values<'a>(self, mut values: Vec<Value<'a>>, of: &[Expression], row: &Row<'a>) -> Made<'a> {
        if self == Self::Concat {
            return concat(&values);
        }
        let second = if values.len() > 1 { values.pop() } else { None };
        let first = values.pop().ok_or(OTHER_KIND)?;
        match (self, first, second) {
            (Self::Compare(is), one, Some(other)) => is.holds(&one, &other, row.shift).map(Value::Truth),
            (Self::Not, Value::Truth(truth), None) => Ok(Value::Truth(!truth)),
            (Self::Subtract, Value::Day(one), Some(Value::Day(other))) => {
                let (one, other) = both(one, other, row.shift)?;
                Ok(Value::Integer(i64::from(one) - i64::from(other)))
            }
            (Self::Add | Self::Subtract, Value::Day(day), Some(Value::Integer(days))) => {
                let days = if self == Self::Add {
                    Some(days)
                } else {
                    days.checked_neg()
                };
                let days = days.and_then(|days| i32::try_from(days).ok()).ok_or(NO_DAY)?;
                let at = day.at.checked_add(days).ok_or(NO_DAY)?;
                // So many days after a constant one are the person's, too.
                let is_of_person = day.is_of_person || of.iter().any(Expression::names_a_column);
                Ok(Value::Day(Of { at, is_of_person }))
            }
            (Self::YearsBetween, Value::Day(one), Some(Value::Day(other))) => {
                let (one, other) = both(one, other, row.shift)?;
                years_between(date(one)?, date(other)?).map(Value::Integer)
            }
            (Self::Year, Value::Day(day), None) => Ok(Value::Integer(date(day.shown(row.shift)?)?.year().into())),
            (Self::Lower, Value::Text(text), None) => bounded(text.to_lowercase()),
            (Self::Upper, Value::Text(text), None) => bounded(text.to_uppercase()),
            (Self::Trim, Value::Text(text), None) => Ok(Value::Text(text.trim().to_owned().into())),
            (Self::To(kind), value, None) => value.to(kind, &row.derived.written),
            (Self::Negate, Value::Integer(whole), None) => whole.checked_neg().map(Value::Integer).ok_or(OVERFLOW),
            (Self::Round | Self::Floor, whole @ Value::Integer(_), None) => Ok(whole),
            (Self::Add | Self::Subtract | Self::Multiply, Value::Integer(one), Some(Value::Integer(other))) => {
                let whole = match self {
                    Self::Add => one.checked_add(other),
                    Self::Subtract => one.checked_sub(other),
                    _ => one.checked_mul(other),
                };
                whole.map(Value::Integer).ok_or(OVERFLOW)
            }
            (_, one, other) => {
                let one = one.number().ok_or(OTHER_KIND)?;
                self.of_numbers(one, other.map(|other| other.number().ok_or(OTHER_KIND)).transpose()?)
            }
        }
    }

    fn of_numbers<'a>(self, one: f64, other: Option<f64>) -> Made<'a> {
        let number = match (self, other) {
            (Self::Add, Some(other)) => one + other,
            (Self::Subtract, Some(other)) => one - other,
            (Self::Multiply, Some(other)) => one * other,
            (Self::Divide, Some(0.0)) => return Err(BY_ZERO),
            (Self::Divide, Some(other)) => one / other,
            (Self::Negate, None) => -one,
            (Self::Round, None) => return whole(one.round()),
            (Self::Floor, None) => return whole(one.floor()),
            _ => return Err(OTHER_KIND),
        };
        match number.is_finite() {
            true => Ok(Value::Number(number)),
            false => Err(OVERFLOW),
        }
    }
}

fn whole<'a>(number: f64) -> Made<'a> {
    // Up to here every whole number is one of f64's.
    const MOST: f64 = 9_007_199_254_740_992.0;
    match (-MOST..=MOST).contains(&number) {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and within the range")]
        true => Ok(Value::Integer(number as i64)),
        false => Err(OVERFLOW),
    }
}

/// AND and OR, which end at the first part that decides; one that is missing decides nothing.
fn connected<'a>(of: &'a [Expression], row: &Row<'a>, decides: bool) -> Made<'a> {
    let mut is_missing = false;
    for part in of {
        match part.value(row)? {
            Value::Truth(truth) if truth == decides => return Ok(Value::Truth(decides)),
            Value::Missing => is_missing = true,
            _ => {}
        }
    }
    Ok(if is_missing {
        Value::Missing
    } else {
        Value::Truth(!decides)
    })
}

fn is_one_of<'a>(of: &'a [Expression], row: &Row<'a>) -> Made<'a> {
    let (first, others) = of.split_first().ok_or(OTHER_KIND)?;
    let first = first.value(row)?;
    let mut is_missing = first == Value::Missing;
    for other in others {
        let other = other.value(row)?;
        if other == Value::Missing || first == Value::Missing {
            is_missing = true;
        } else if Comparison::Equal.holds(&first, &other, row.shift)? {
            return Ok(Value::Truth(true));
        }
    }
    Ok(if is_missing {
        Value::Missing
    } else {
        Value::Truth(false)
    })
}

impl Comparison {
    fn holds(self, one: &Value<'_>, other: &Value<'_>, shift: i32) -> Result<bool, &'static str> {
        let order = match (one, other) {
            (Value::Text(one), Value::Text(other)) => one.cmp(other),
            (Value::Truth(one), Value::Truth(other)) => one.cmp(other),
            (Value::Integer(one), Value::Integer(other)) => one.cmp(other),
            (Value::Day(one), Value::Day(other)) => {
                let (one, other) = both(*one, *other, shift)?;
                one.cmp(&other)
            }
            (Value::Instant(one), Value::Instant(other)) => match one.is_of_person == other.is_of_person {
                true => one.at.cmp(&other.at),
                false => one.shown(shift)?.cmp(&other.shown(shift)?),
            },
            (one, other) => {
                let (one, other) = (one.number().ok_or(OTHER_KIND)?, other.number().ok_or(OTHER_KIND)?);
                one.partial_cmp(&other).ok_or(NO_ORDER)?
            }
        };
        Ok(match self {
            Self::Equal => order == Ordering::Equal,
            Self::NotEqual => order != Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
        })
    }
}

impl Of<i32> {
    fn shown(self, shift: i32) -> Result<i32, &'static str> {
        let shift = if self.is_of_person { shift } else { 0 };
        let at = cell::shifted_day(self.at.into(), shift).and_then(|at| i32::try_from(at).ok());
        at.ok_or(NO_DAY)
    }
}

impl Of<i64> {
    fn shown(self, shift: i32) -> Result<i64, &'static str> {
        let shift = if self.is_of_person { shift } else { 0 };
        cell::shifted_instant(self.at, shift).ok_or(NO_DAY)
    }
}

/// Two days beside each other: as they are if both are of the person or neither is, and as they are shown otherwise.
fn both(one: Of<i32>, other: Of<i32>, shift: i32) -> Result<(i32, i32), &'static str> {
    match one.is_of_person == other.is_of_person {
        true => Ok((one.at, other.at)),
        false => Ok((one.shown(shift)?, other.shown(shift)?)),
    }
}

impl<'a> Value<'a> {
    pub(super) fn constant_day(at: i32) -> Self {
        let is_of_person = false;
        Self::Day(Of { at, is_of_person })
    }

    fn persons_day(at: i32) -> Self {
        let is_of_person = true;
        Self::Day(Of { at, is_of_person })
    }

    fn persons_instant(at: i64) -> Self {
        let is_of_person = true;
        Self::Instant(Of { at, is_of_person })
    }

    pub(super) fn kind(&self) -> Option<ColumnKind> {
        Some(match self {
            Self::Missing => return None,
            Self::Text(_) => ColumnKind::Text,
            Self::Integer(_) => ColumnKind::Integer,
            Self::Number(_) => ColumnKind::Number,
            Self::Truth(_) => ColumnKind::Boolean,
            Self::Day(_) => ColumnKind::Date,
            Self::Instant(_) => ColumnKind::Timestamp,
        })
    }

    /// As it leaves the expression.
    pub(super) fn shown(self, shift: i32) -> Made<'a> {
        Ok(match self {
            Self::Day(day) => Self::constant_day(day.shown(shift)?),
            Self::Instant(instant) => Self::Instant(Of {
                at: instant.shown(shift)?,
                is_of_person: false,
            }),
            other => other,
        })
    }

    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(whole) => Some(*whole),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(whole) => Some(*whole as f64),
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Truth(truth) => Some(*truth),
            _ => None,
        }
    }

    pub(super) fn day(&self) -> Option<i32> {
        match self {
            Self::Day(day) => Some(day.at),
            _ => None,
        }
    }

    pub(super) fn instant(&self) -> Option<i64> {
        match self {
            Self::Instant(instant) => Some(instant.at),
            _ => None,
        }
    }

    /// Read as another type. Texts are written as the source's are.
    fn to(self, kind: ColumnKind, written: &Written) -> Made<'a> {
        match (self, kind) {
            (Self::Text(text), ColumnKind::Text) => Ok(Self::Text(text)),
            (Self::Text(text), kind) => read(&text, kind, written).ok_or_else(|| cell::class(&text)),
            (Self::Integer(whole), ColumnKind::Number) => Ok(Self::Number(whole as f64)),
            (Self::Integer(whole), ColumnKind::Text) => Ok(Self::Text(whole.to_string().into())),
            (Self::Instant(instant), ColumnKind::Date) => Ok(Self::Day(Of {
                at: written.day_of(instant.at).ok_or(NO_DAY)?,
                is_of_person: instant.is_of_person,
            })),
            (value, kind) if value.kind() == Some(kind) => Ok(value),
            _ => Err(OTHER_KIND),
        }
    }
}

fn read(text: &str, kind: ColumnKind, written: &Written) -> Option<Value<'static>> {
    Some(match kind {
        ColumnKind::Text => Value::Text(text.to_owned().into()),
        ColumnKind::Integer => Value::Integer(written.integer(text)?),
        ColumnKind::Number => Value::Number(written.number(text).filter(|number| number.is_finite())?),
        ColumnKind::Boolean => Value::Truth(cell::truth(text)?),
        ColumnKind::Date => Value::persons_day(written.day(text)?),
        ColumnKind::Timestamp => Value::persons_instant(written.instant(text)?),
    })
}

fn concat<'a>(values: &[Value<'a>]) -> Made<'a> {
    let mut whole = String::new();
    for value in values {
        let Value::Text(text) = value else {
            return Err(OTHER_KIND);
        };
        if whole.len() + text.len() > TEXT_BYTES_MAX {
            return Err(TOO_LONG);
        }
        whole.push_str(text);
    }
    Ok(Value::Text(whole.into()))
}

fn bounded<'a>(text: String) -> Made<'a> {
    match text.len() <= TEXT_BYTES_MAX {
        true => Ok(Value::Text(text.into())),
        false => Err(TOO_LONG),
    }
}

fn date(days: i32) -> Result<Date, &'static str> {
    cell::date_of(days).ok_or(NO_DAY)
}

/// Whole years, as people count their age: one more on each birthday; on 1 March for who was born on 29 February, in other years.
fn years_between(earlier: Date, later: Date) -> Result<i64, &'static str> {
    let years = i64::from(later.year()) - i64::from(earlier.year());
    let is_before = (later.month(), later.day()) < (earlier.month(), earlier.day());
    Ok(years - i64::from(is_before))
}
