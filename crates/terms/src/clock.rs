//! Time comes in as an argument. Only the outermost layer reads the system clock.

/// A point in time, UTC, nanosecond resolution.
pub type UtcTime = jiff::Timestamp;

/// Where the time comes from. Servers take one, so that tests need not wait.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The time now.
    fn now(&self) -> UtcTime;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UtcTime {
        UtcTime::now()
    }
}

/// Reads the date of an HTTP answer (RFC 9110, 5.6.7), whole seconds; none if it is none.
pub fn of_http_date(text: &str) -> Option<UtcTime> {
    let date = text.strip_suffix(" GMT")?;
    let date = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S", date).ok()?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod http_date_tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read_and_nothing_else() {
        let read = |text: &str| of_http_date(text).map(|time| time.to_string());
        assert_eq!(
            read("Sun, 06 Nov 1994 08:49:37 GMT").as_deref(),
            Some("1994-11-06T08:49:37Z")
        );
        for wrong in [
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "",
            "GMT",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
