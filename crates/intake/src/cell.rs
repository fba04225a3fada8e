//! One text as a value of a column's type. Strict: what is not plainly of the type does not fit.
//!
//! A value is never guessed at: `1.234` is one and a bit where the decimal sign is a point, and one thousand two hundred thirty-four
//! where it is a comma.

use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use policy::ColumnKind;
use serde::{Deserialize, Serialize};

/// How numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decimal {
    /// `1234.56`, as most programs write.
    #[default]
    #[serde(rename = ".")]
    Point,
    /// `1234,56` or `1.234,56`, as people write in German.
    #[serde(rename = ",")]
    Comma,
}

/// How the values of a column are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// The decimal sign.
    pub decimal: Decimal,
    /// How days and times are written, as strftime names it; none for ISO 8601.
    pub date: Option<String>,
    /// The clock by which times without a zone were written down; none for UTC.
    pub zone: Option<TimeZone>,
}

impl Written {
    /// A text as a whole number.
    pub fn integer(&self, cell: &str) -> Option<i64> {
        match self.decimal {
            Decimal::Point => i64::from_str(cell).ok(),
            Decimal::Comma => i64::from_str(&without_groups(cell)?).ok(),
        }
    }

    /// A text as a number.
    pub fn number(&self, cell: &str) -> Option<f64> {
        match self.decimal {
            Decimal::Point => f64::from_str(cell).ok(),
            Decimal::Comma => match cell.split_once(',') {
                None => f64::from_str(&without_groups(cell)?).ok(),
                Some((whole, rest)) if rest.bytes().all(|byte| byte.is_ascii_digit()) && !rest.is_empty() => {
                    f64::from_str(&format!("{}.{rest}", without_groups(whole)?)).ok()
                }
                Some(_) => None,
            },
        }
    }

    /// A text as a day, in days since 1970-01-01.
    pub fn day(&self, cell: &str) -> Option<i32> {
        let date = match &self.date {
            // Of ten characters: 2026-11-28 and nothing shorter that also counts as a date.
            None => Date::from_str(cell).ok().filter(|_| cell.len() == 10)?,
            Some(format) => strtime::parse(format, cell).ok()?.to_date().ok().filter(in_full)?,
        };
        days_of(date)
    }

    /// The day on which a point in time was, by the clock.
    pub(crate) fn day_of(&self, at: i64) -> Option<i32> {
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        days_of(zone.to_datetime(jiff::Timestamp::from_microsecond(at).ok()?).date())
    }

    /// What the clock showed, as if it were UTC in microseconds since 1970, as a point in time. A time that it showed twice or never is
    /// not guessed at.
    pub(crate) fn on_the_clock(&self, shown: i64) -> Option<i64> {
        let shown = TimeZone::UTC.to_datetime(jiff::Timestamp::from_microsecond(shown).ok()?);
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        let at = zone.to_ambiguous_zoned(shown).unambiguous().ok()?;
        Some(at.timestamp().as_microsecond())
    }

    /// A text as a point in time, in microseconds since 1970-01-01T00:00:00Z. A day alone is its first moment.
    pub fn instant(&self, cell: &str) -> Option<i64> {
        let zone = || self.zone.clone().unwrap_or(TimeZone::UTC);
        // A time that a clock showed twice or never is not guessed at.
        let on_the_clock = |local: DateTime| {
            zone()
                .to_ambiguous_zoned(local)
                .unambiguous()
                .ok()
                .map(|at| at.timestamp())
        };
        let at = match &self.date {
            None => match jiff::Timestamp::from_str(cell) {
                Ok(at) => at,
                Err(_) => on_the_clock(DateTime::from_str(cell).ok()?)?,
            },
            Some(format) => {
                let parsed = strtime::parse(format, cell).ok()?;
                parsed.to_date().ok().filter(in_full)?;
                match parsed.to_timestamp() {
                    Ok(at) => at,
                    Err(_) => {
                        let local = parsed.to_datetime().ok();
                        let local = local.or_else(|| parsed.to_date().ok().map(|day| day.at(0, 0, 0, 0)));
                        on_the_clock(local?)?
                    }
                }
            }
        };
        Some(at.as_microsecond())
    }
}

/// Whether a year has four digits: `24` where four are expected is not the year 24.
fn in_full(date: &Date) -> bool {
    date.year() >= 1000
}

/// A text as true or false.
pub fn truth(cell: &str) -> Option<bool> {
    const TRUE: [&str; 6] = ["true", "1", "t", "ja", "wahr", "yes"];
    const FALSE: [&str; 6] = ["false", "0", "f", "nein", "falsch", "no"];
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(cell));
    match (is(&TRUE), is(&FALSE)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// A day in days since 1970-01-01.
pub(crate) fn days_of(date: Date) -> Option<i32> {
    date.since(jiff::civil::date(1970, 1, 1))
        .ok()
        .map(|span| span.get_days())
}

/// A day, in days since 1970-01-01, so many days later; none if no calendar has it.
pub(crate) fn shifted_day(at: i64, shift: i32) -> Option<i64> {
    let at = at.checked_add(shift.into())?;
    i32::try_from(at).ok().and_then(date_of).map(|_| at)
}

/// A point in time, in microseconds, so many days later.
pub(crate) fn shifted_instant(at: i64, shift: i32) -> Option<i64> {
    at.checked_add(i64::from(shift) * MICROSECONDS_OF_DAY)
}

const MICROSECONDS_OF_DAY: i64 = 86_400_000_000;

/// A day of so many days since 1970-01-01.
pub(crate) fn date_of(days: i32) -> Option<Date> {
    let span = jiff::Span::new().try_days(days).ok()?;
    jiff::civil::date(1970, 1, 1).checked_add(span).ok()
}

/// A whole number without the points, spaces or apostrophes between groups of three digits; none if they stand elsewhere.
fn without_groups(cell: &str) -> Option<String> {
    let is_between = |c: char| matches!(c, '.' | ' ' | '\'' | '\u{a0}' | '\u{202f}');
    let Some(between) = cell.chars().find(|c| is_between(*c)) else {
        return Some(cell.to_owned());
    };
    let digits = cell.strip_prefix(['-', '+']).unwrap_or(cell);
    let mut groups = digits.split(between);
    let first = groups.next().unwrap_or_default();
    let of_digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let is_grouped =
        (1..=3).contains(&first.len()) && of_digits(first) && groups.all(|group| group.len() == 3 && of_digits(group));
    is_grouped.then(|| cell.replace(between, ""))
}

/// What a text looks like, without saying what it is.
pub(crate) fn class(cell: &str) -> &'static str {
    let (plain, german) = (
        Written::default(),
        Written {
            decimal: Decimal::Comma,
            ..Written::default()
        },
    );
    if plain.integer(cell).is_some() {
        return "a whole number";
    }
    if plain.number(cell).is_some() {
        return "a number";
    }
    if german.number(cell).is_some() {
        return "a number with a decimal comma (a decimal point is expected)";
    }
    if truth(cell).is_some() {
        return "true or false";
    }
    if DateTime::from_str(cell).is_ok() {
        return "a date";
    }
    if strtime::parse("%d.%m.%Y", cell).is_ok() {
        return "a date that is not written like 2026-12-31";
    }
    "text"
}

/// Whether a text can be a value of the type, as it is written.
pub(crate) fn fits(cell: &str, kind: ColumnKind, written: &Written) -> bool {
    match kind {
        ColumnKind::Text => true,
        ColumnKind::Integer => written.integer(cell).is_some(),
        ColumnKind::Number => written.number(cell).is_some_and(f64::is_finite),
        ColumnKind::Boolean => truth(cell).is_some(),
        ColumnKind::Date => written.day(cell).is_some(),
        ColumnKind::Timestamp => written.instant(cell).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn german() -> Written {
        Written {
            decimal: Decimal::Comma,
            date: Some("%d.%m.%Y".to_owned()),
            zone: Some(TimeZone::get("Europe/Berlin").unwrap()),
        }
    }

    #[test]
    fn points_that_do_not_part_groups_of_three_are_no_number() {
        for cell in [
            "1.23,4",
            "1234.567,8",
            "1.2345",
            ".123,4",
            "1,",
            ",",
            "1,2,3",
            "1.234.56",
            "1 234.567",
            "",
            "1,2e3",
            "--1",
        ] {
            assert_eq!(german().number(cell), None, "{cell}");
        }
        for cell in ["1.23", "12.34", "1,5"] {
            assert_eq!(german().integer(cell), None, "{cell}");
        }
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for (cell, number) in [
            ("1.234,56", 1234.56),
            ("1234,56", 1234.56),
            ("-0,5", -0.5),
            ("1.234", 1234.0),
            ("12 345 678,9", 12_345_678.9),
            ("7", 7.0),
        ] {
            assert_eq!(german().number(cell), Some(number), "{cell}");
        }
        assert_eq!(german().integer("1.234.567"), Some(1_234_567));
        assert_eq!(Written::default().number("1.234"), Some(1.234));
        assert_eq!(Written::default().number("1,5"), None);
    }

    #[test]
    fn days_that_do_not_exist_or_are_written_otherwise_are_none() {
        for cell in ["31.02.2024", "2024-12-31", "31.12.24", "1.1", "31/12/2024", ""] {
            assert_eq!(german().day(cell), None, "{cell}");
        }
        assert_eq!(german().day("31.12.2024"), Some(20_088));
        assert_eq!(german().day("1.1.1970"), Some(0));
        assert_eq!(Written::default().day("1970-01-02"), Some(1));
    }

    #[test]
    fn a_time_that_the_clock_showed_twice_or_never_is_not_guessed_at() {
        let written = Written {
            date: Some("%d.%m.%Y %H:%M".to_owned()),
            ..german()
        };
        assert_eq!(written.instant("27.10.2024 02:30"), None);
        assert_eq!(written.instant("31.03.2024 02:30"), None);
        assert_eq!(written.instant("01.01.1970 01:00"), Some(0));
        assert_eq!(german().instant("01.01.1970"), Some(-3_600_000_000));
        assert_eq!(
            Written::default().instant("1970-01-01T00:00:01+01:00"),
            Some(-3_599_000_000)
        );
    }

    #[test]
    fn truth_in_two_languages() {
        assert_eq!(
            ["ja", "Nein", "TRUE", "0", "wahr"].map(truth),
            [Some(true), Some(false), Some(true), Some(false), Some(true)]
        );
        assert_eq!(["j", "unbekannt", ""].map(truth), [None; 3]);
    }
}
