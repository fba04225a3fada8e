//! Text cells to typed columns. Strict: what is not plainly of the kind does not fit.

use std::str::FromStr;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use jiff::civil::{Date, DateTime};
use policy::{Column, ColumnKind};
use terms::Report;

use super::Place;

/// Converts a column of text to the column's kind.
pub(super) fn convert(cells: &StringArray, column: &Column, at: Place) -> Result<ArrayRef, Report> {
    Ok(match column.kind {
        ColumnKind::Text => Arc::new(cells.clone()),
        ColumnKind::Integer => Arc::new(Int64Array::from(each(cells, column, at, |cell| {
            i64::from_str(cell).ok()
        })?)),
        ColumnKind::Number => Arc::new(Float64Array::from(each(cells, column, at, |cell| {
            f64::from_str(cell).ok()
        })?)),
        ColumnKind::Boolean => Arc::new(BooleanArray::from(each(cells, column, at, truth)?)),
        ColumnKind::Date => Arc::new(Date32Array::from(each(cells, column, at, days)?)),
        ColumnKind::Timestamp => Arc::new(TimestampMicrosecondArray::from(each(cells, column, at, microseconds)?)),
    })
}

fn each<T>(
    cells: &StringArray,
    column: &Column,
    at: Place,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<Option<T>>, Report> {
    let cell = |(index, cell): (usize, Option<&str>)| match cell.map(str::trim) {
        None | Some("") => Ok(None),
        Some(cell) => parse(cell)
            .map(Some)
            .ok_or_else(|| at.misfit(index, column, class(cell))),
    };
    cells.iter().enumerate().map(cell).collect()
}

fn truth(cell: &str) -> Option<bool> {
    match cell {
        "true" | "TRUE" | "True" | "1" => Some(true),
        "false" | "FALSE" | "False" | "0" => Some(false),
        _ => None,
    }
}

fn days(cell: &str) -> Option<i32> {
    let date = Date::from_str(cell).ok().filter(|_| cell.len() == 10)?;
    date.since(jiff::civil::date(1970, 1, 1))
        .ok()
        .map(|span| span.get_days())
}

fn microseconds(cell: &str) -> Option<i64> {
    let with_zone = jiff::Timestamp::from_str(cell).ok();
    let local = || {
        DateTime::from_str(cell)
            .ok()?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|at| at.timestamp())
    };
    with_zone.or_else(local).map(|at| at.as_microsecond())
}

/// What a value looks like, without saying what it is.
fn class(cell: &str) -> &'static str {
    if i64::from_str(cell).is_ok() {
        return "a whole number";
    }
    if f64::from_str(cell).is_ok() {
        return "a number";
    }
    if f64::from_str(&cell.replace('.', "").replace(',', ".")).is_ok() {
        return "a number with a decimal comma (a decimal point is expected)";
    }
    if truth(cell).is_some() {
        return "true or false";
    }
    if DateTime::from_str(cell).is_ok() {
        return "a date";
    }
    if jiff::fmt::strtime::parse("%d.%m.%Y", cell).is_ok() {
        return "a date that is not written like 2026-12-31";
    }
    "text"
}
