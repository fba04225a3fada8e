//! Recurring time windows: on these days of the week, from this clock time until that one, in this zone.
//!
//! A window is a question about a wall clock, so that summer time is as people expect it: in the hour that a clock
//! shows twice, both are inside or both outside. Zones are those compiled in; this crate does no I/O.

#[cfg(test)]
mod tests;

use std::fmt;

use jiff::civil::{Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use terms::UtcTime;

/// A recurring time window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    days: Vec<Weekday>,
    from: Time,
    until: Time,
    zone: TimeZone,
    zone_name: String,
}

/// Why a window cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// No day, or one twice.
    #[error("a window needs days, each once")]
    Days,
    /// Not a name of the IANA time zone database.
    #[error("there is no time zone {zone:?}; use one such as \"Europe/Berlin\"")]
    Zone {
        /// What was given, cut short.
        zone: String,
    },
}

impl Window {
    /// A window on `days` from `from` (inclusive) until `until` (exclusive). If `until` is not after `from`, it ends on
    /// the following day.
    ///
    /// # Errors
    /// If there are no days, or the zone is unknown.
    pub fn new(mut days: Vec<Weekday>, from: Time, until: Time, zone: &str) -> Result<Self, WindowError> {
        let given = days.len();
        days.sort_by_key(|day| day.to_monday_zero_offset());
        days.dedup();
        if days.is_empty() || days.len() != given {
            return Err(WindowError::Days);
        }
        let unknown = || WindowError::Zone {
            zone: zone.chars().take(40).collect(),
        };
        let found = TimeZoneDatabase::bundled().get(zone).map_err(|_| unknown())?;
        // The database does not heed case; a board should read the one spelling.
        let name = found.iana_name().filter(|name| *name == zone).ok_or_else(unknown)?;
        Ok(Self {
            days,
            from,
            until,
            zone_name: name.to_owned(),
            zone: found,
        })
    }

    /// Whether a clock in the window's zone shows a time inside it.
    pub fn contains(&self, at: UtcTime) -> bool {
        let local = self.zone.to_datetime(at);
        let (day, time) = (local.date().weekday(), local.time());
        if self.from < self.until {
            return self.days.contains(&day) && self.from <= time && time < self.until;
        }
        self.days.contains(&day) && self.from <= time || self.days.contains(&day.previous()) && time < self.until
    }

    /// Its days, from Monday.
    pub fn days(&self) -> &[Weekday] {
        &self.days
    }

    /// Its first clock time.
    pub fn from(&self) -> Time {
        self.from
    }

    /// The first clock time after it.
    pub fn until(&self) -> Time {
        self.until
    }

    /// The IANA name of its zone.
    pub fn zone(&self) -> &str {
        &self.zone_name
    }
}

/// The short name of a day, as policies write it.
pub(crate) fn day_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "mon",
        Weekday::Tuesday => "tue",
        Weekday::Wednesday => "wed",
        Weekday::Thursday => "thu",
        Weekday::Friday => "fri",
        Weekday::Saturday => "sat",
        Weekday::Sunday => "sun",
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<_> = self.days.iter().copied().map(day_name).collect();
        let (from, until) = (self.from.strftime("%H:%M"), self.until.strftime("%H:%M"));
        write!(f, "{} {from} to {until} {}", days.join(", "), self.zone_name)
    }
}
