//! Dates, times and date-times of FHIR, which may be partial: `1970`, `1970-06`, `1970-06-01`, `1970-06-01T12:30:00.5+02:00`, `12:30:00`.
//!
//! A partial moment is never completed in silence. It compares as far as it says something, and has a lowest and a highest boundary,
//! which a view asks for by name. FHIRPath: comparison of dates, `lowBoundary()`, `highBoundary()`.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::Offset;

/// What a text that holds a moment is declared to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MomentKind {
    Date,
    DateTime,
    Time,
}

/// Which end of what a partial value leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    Low,
    High,
}

/// A moment, as far as it is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    date: Option<Day>,
    time: Option<Clock>,
    /// Minutes east of UTC.
    offset: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Day {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Clock {
    hour: i8,
    minute: Option<i8>,
    second: Option<i8>,
    /// Nanoseconds, and how many digits were written.
    fraction: Option<(i32, usize)>,
}

impl Moment {
    /// Reads any moment: with a date, a time, or both.
    pub(crate) fn parse(text: &str) -> Option<Moment> {
        let is_time = text.as_bytes().get(2) == Some(&b':');
        match is_time {
            true => Some(Moment {
                date: None,
                time: Some(Clock::parse(text)?),
                offset: None,
            }),
            false => Moment::parse_date(text),
        }
    }

    /// Reads a moment of this kind and no other.
    pub(crate) fn of_kind(text: &str, kind: MomentKind) -> Option<Moment> {
        let moment = Moment::parse(text)?;
        let fits = match kind {
            MomentKind::Date => moment.time.is_none(),
            MomentKind::DateTime => moment.date.is_some(),
            MomentKind::Time => moment.date.is_none(),
        };
        fits.then_some(moment)
    }

    fn parse_date(text: &str) -> Option<Moment> {
        let Some((date, rest)) = text.split_once('T') else {
            return Some(Moment {
                date: Some(Day::parse(text)?),
                time: None,
                offset: None,
            });
        };
        let date = Day::parse(date)?;
        date.day?;
        let at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
        Some(Moment {
            date: Some(date),
            time: Some(Clock::parse(&rest[..at])?),
            offset: match &rest[at..] {
                "" => None,
                text => Some(parse_offset(text)?),
            },
        })
    }

    pub(crate) fn has_time(&self) -> bool {
        self.time.is_some()
    }

    /// The day that its calendar shows, as days since 1970; nothing if it says no day.
    pub(crate) fn days(&self) -> Option<i32> {
        let noon = self.date?.civil()?.to_datetime(civil::Time::midnight());
        let seconds = Offset::UTC.to_timestamp(noon).ok()?.as_second();
        i32::try_from(seconds.div_euclid(24 * 3600)).ok()
    }

    /// The instant, if it says one; a day alone is its first instant, UTC.
    pub(crate) fn instant(&self) -> Option<Timestamp> {
        let date = self.date?.civil()?;
        let (time, offset) = match self.time {
            None => (civil::Time::midnight(), 0),
            Some(clock) => (clock.civil()?, self.offset?),
        };
        let local = Offset::UTC.to_timestamp(date.to_datetime(time)).ok()?;
        local.checked_sub(jiff::SignedDuration::from_mins(offset.into())).ok()
    }

    /// Its lowest or highest complete moment. What has a date and is declared a date, or says no time and is not declared a date-time,
    /// stays a date. A date-time without an offset is that of the first or last place on earth.
    pub(crate) fn boundary(&self, side: Boundary, kind: Option<MomentKind>) -> Option<Moment> {
        let date = match self.date {
            Some(day) => Some(day.boundary(side)?),
            None => None,
        };
        let is_date = date.is_some() && self.time.is_none() && kind != Some(MomentKind::DateTime);
        let time = match (is_date, self.time) {
            (true, _) => None,
            (false, time) => Some(time.map_or(Clock::whole_day(side), |clock| clock.boundary(side))),
        };
        let anywhere = match side {
            Boundary::Low => 14 * 60,
            Boundary::High => -12 * 60,
        };
        let offset = (date.is_some() && time.is_some()).then(|| self.offset.unwrap_or(anywhere));
        Some(Moment { date, time, offset })
    }

    /// How it lies to another; nothing if they do not say enough, or are not of one kind.
    pub(crate) fn compare(&self, other: &Moment) -> Option<Ordering> {
        if let (Some(_), Some(_)) = (self.offset, other.offset)
            && let (Some(this), Some(that)) = (self.minute_precise(), other.minute_precise())
        {
            return this.compare_parts(&that);
        }
        if self.time.is_some() && other.time.is_some() && self.offset.is_some() != other.offset.is_some() {
            return None;
        }
        self.compare_parts(other)
    }

    /// The same in UTC, if it says at least a minute.
    fn minute_precise(&self) -> Option<Moment> {
        let clock = self.time?;
        clock.minute?;
        let utc = Offset::UTC.to_datetime(self.instant()?);
        Some(Moment {
            date: Some(Day {
                year: utc.year(),
                month: Some(utc.month()),
                day: Some(utc.day()),
            }),
            time: Some(Clock {
                hour: utc.hour(),
                minute: Some(utc.minute()),
                ..clock
            }),
            offset: Some(0),
        })
    }

    fn compare_parts(&self, other: &Moment) -> Option<Ordering> {
        for (this, that) in self.parts().into_iter().zip(other.parts()) {
            match (this, that) {
                (None, None) => continue,
                (Some(this), Some(that)) if this == that => continue,
                (Some(this), Some(that)) => return Some(this.cmp(&that)),
                _ => return None,
            }
        }
        Some(Ordering::Equal)
    }

    /// Year to second; the second with its fraction is one part, as in FHIRPath.
    fn parts(&self) -> [Option<i64>; 6] {
        let (date, time) = (self.date, self.time);
        let second = |clock: Clock| {
            let nanoseconds = clock.fraction.map_or(0, |(nanoseconds, _)| nanoseconds);
            clock
                .second
                .map(|second| i64::from(second) * 1_000_000_000 + i64::from(nanoseconds))
        };
        [
            date.map(|day| day.year.into()),
            date.and_then(|day| day.month).map(Into::into),
            date.and_then(|day| day.day).map(Into::into),
            time.map(|clock| clock.hour.into()),
            time.and_then(|clock| clock.minute).map(Into::into),
            time.and_then(second),
        ]
    }
}

impl Day {
    fn parse(text: &str) -> Option<Day> {
        let mut parts = text.splitn(3, '-');
        let year = digits(parts.next()?, 4)?;
        let month = part(parts.next())?;
        let day = part(parts.next())?;
        let parsed = Day {
            year: i16::try_from(year).ok()?,
            month,
            day,
        };
        // Whether there is such a day; what is not said is the first.
        let filled = Day {
            month: Some(month.unwrap_or(1)),
            day: Some(day.unwrap_or(1)),
            ..parsed
        };
        filled.civil().filter(|_| year > 0).map(|_| parsed)
    }

    fn civil(self) -> Option<civil::Date> {
        civil::Date::new(self.year, self.month?, self.day?).ok()
    }

    fn boundary(self, side: Boundary) -> Option<Day> {
        let month = self.month.unwrap_or(if side == Boundary::Low { 1 } else { 12 });
        let first = civil::Date::new(self.year, month, 1).ok()?;
        let last = if side == Boundary::Low {
            1
        } else {
            first.days_in_month()
        };
        Some(Day {
            month: Some(month),
            day: Some(self.day.unwrap_or(last)),
            ..self
        })
    }
}

impl Clock {
    fn parse(text: &str) -> Option<Clock> {
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) => (whole, Some(parse_fraction(fraction)?)),
            None => (text, None),
        };
        let mut parts = whole.splitn(3, ':');
        let hour = i8::try_from(digits(parts.next()?, 2)?).ok()?;
        let minute = part(parts.next())?;
        // A leap second is kept as the second before it.
        let second = part(parts.next())?.map(|second: i8| if second == 60 { 59 } else { second });
        let is_time = hour < 24 && minute.unwrap_or(0) < 60 && second.unwrap_or(0) < 60;
        (is_time && (fraction.is_none() || second.is_some())).then_some(Clock {
            hour,
            minute,
            second,
            fraction,
        })
    }

    fn civil(self) -> Option<civil::Time> {
        let nanoseconds = self.fraction.map_or(0, |(nanoseconds, _)| nanoseconds);
        civil::Time::new(self.hour, self.minute?, self.second.unwrap_or(0), nanoseconds).ok()
    }

    fn whole_day(side: Boundary) -> Clock {
        let empty = Clock {
            hour: if side == Boundary::Low { 0 } else { 23 },
            minute: None,
            second: None,
            fraction: None,
        };
        empty.boundary(side)
    }

    fn boundary(self, side: Boundary) -> Clock {
        let sixtieth = if side == Boundary::Low { 0 } else { 59 };
        let thousandth = if side == Boundary::Low { 0 } else { 999_000_000 };
        Clock {
            minute: Some(self.minute.unwrap_or(sixtieth)),
            second: Some(self.second.unwrap_or(sixtieth)),
            fraction: Some(self.fraction.unwrap_or((thousandth, 3))),
            ..self
        }
    }
}

/// A part of two digits, which may be missing: then it is `Some(None)`.
fn part(text: Option<&str>) -> Option<Option<i8>> {
    match text {
        None => Some(None),
        Some(text) => Some(Some(i8::try_from(digits(text, 2)?).ok()?)),
    }
}

fn digits(text: &str, count: usize) -> Option<u32> {
    let are_digits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    are_digits.then(|| text.parse().ok())?
}

fn parse_fraction(text: &str) -> Option<(i32, usize)> {
    let count = text.len().min(9);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: i32 = format!("{:0<9}", &text[..count]).parse().ok()?;
    Some((nanoseconds, count))
}

fn parse_offset(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let minutes = i32::try_from(digits(hours, 2)? * 60 + digits(minutes, 2)?).ok()?;
    let signed = if text.starts_with('-') { -minutes } else { minutes };
    (minutes <= 14 * 60).then_some(signed)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(day) = self.date {
            write!(f, "{:04}", day.year)?;
            day.month.map_or(Ok(()), |month| write!(f, "-{month:02}"))?;
            day.day.map_or(Ok(()), |day| write!(f, "-{day:02}"))?;
        }
        if let Some(clock) = self.time {
            f.write_str(if self.date.is_some() { "T" } else { "" })?;
            write!(f, "{:02}", clock.hour)?;
            clock.minute.map_or(Ok(()), |minute| write!(f, ":{minute:02}"))?;
            clock.second.map_or(Ok(()), |second| write!(f, ":{second:02}"))?;
            if let Some((nanoseconds, count)) = clock.fraction {
                write!(f, ".{}", &format!("{nanoseconds:09}")[..count])?;
            }
        }
        match self.offset {
            None => Ok(()),
            Some(0) => f.write_str("Z"),
            Some(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
            }
        }
    }
}
