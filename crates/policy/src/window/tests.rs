use jiff::civil::{Weekday, time};
use terms::UtcTime;

use super::{Window, WindowError};

const WORK: [Weekday; 5] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
];

fn at(text: &str) -> UtcTime {
    text.parse().unwrap()
}

#[test]
fn days_and_zones_that_are_not_there_are_refused() {
    let new = |days: &[Weekday], zone| Window::new(days.to_vec(), time(8, 0, 0, 0), time(18, 0, 0, 0), zone);
    assert_eq!(new(&[], "Europe/Berlin"), Err(WindowError::Days));
    assert_eq!(
        new(&[Weekday::Monday, Weekday::Monday], "Europe/Berlin"),
        Err(WindowError::Days)
    );
    for zone in [
        "Europe/Saarbruecken",
        "",
        "europe/berlin",
        "../../etc/localtime",
        "CEST",
    ] {
        assert!(matches!(new(&WORK, zone), Err(WindowError::Zone { .. })), "{zone}");
    }
}

#[test]
fn a_window_follows_the_clock_of_its_zone_through_summer_time() {
    let window = Window::new(WORK.to_vec(), time(8, 0, 0, 0), time(18, 0, 0, 0), "Europe/Berlin").unwrap();
    // 8 o'clock is 7 UTC in winter and 6 UTC in summer.
    for (inside, outside) in [
        ("2026-01-14T07:00:00Z", "2026-01-14T06:59:59Z"),
        ("2026-07-15T06:00:00Z", "2026-07-15T05:59:59Z"),
        ("2026-01-14T16:59:59Z", "2026-01-14T17:00:00Z"),
        ("2026-07-15T15:59:59Z", "2026-07-15T16:00:00Z"),
    ] {
        assert!(window.contains(at(inside)), "{inside}");
        assert!(!window.contains(at(outside)), "{outside}");
    }
    assert!(!window.contains(at("2026-01-17T12:00:00Z")), "a Saturday");
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
    let window = Window::new(vec![Weekday::Friday], time(22, 0, 0, 0), time(6, 0, 0, 0), "UTC").unwrap();
    for (inside, outside) in [
        ("2026-01-16T22:00:00Z", "2026-01-16T21:59:59Z"),
        ("2026-01-17T05:59:59Z", "2026-01-17T06:00:00Z"),
        ("2026-01-16T23:30:00Z", "2026-01-17T22:30:00Z"),
    ] {
        assert!(window.contains(at(inside)), "{inside}");
        assert!(!window.contains(at(outside)), "{outside}");
    }
    assert!(
        !window.contains(at("2026-01-16T05:00:00Z")),
        "the morning before belongs to Thursday"
    );
}
