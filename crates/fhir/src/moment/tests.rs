use super::*;

fn moment(text: &str) -> Moment {
    Moment::parse(text).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn what_is_no_moment_is_none() {
    for text in [
        "",
        "70",
        "19700",
        "1970-6",
        "1970-00",
        "1970-13",
        "1970-02-29",
        "1970-06-31",
        "0000",
        "1970-06-01T",
        "1970-06T12:00:00Z",
        "1970-06-01T24:00:00Z",
        "1970-06-01T12:60:00Z",
        "1970-06-01T12:00:61Z",
        "1970-06-01T12:00:00+15:00",
        "1970-06-01T12:00:00+1:00",
        "1970-06-01T12:00:00.Z",
        "1970-06-01T12:00.5Z",
        "12:00:00Z",
        "12:00:00.",
        "1970-06-01 12:00:00Z",
        " 1970",
        "+970",
        "1970-06-01-",
        "1970-06-01T12:00:00ZZ",
        "ä970",
        "19\u{e4}70",
    ] {
        assert_eq!(Moment::parse(text), None, "{text}");
    }
    assert!(Moment::of_kind("1970-06-01T12:00:00Z", MomentKind::Date).is_none());
    assert!(Moment::of_kind("12:00:00", MomentKind::DateTime).is_none());
    assert!(Moment::of_kind("1970", MomentKind::Time).is_none());
}

#[test]
fn a_moment_is_written_as_it_was() {
    for text in [
        "1970",
        "1970-06",
        "2024-02-29",
        "1970-06-01T12:30:00Z",
        "1970-06-01T12:30:00.050-03:30",
        "12:30",
        "12:30:01.5",
    ] {
        assert_eq!(moment(text).to_string(), text);
    }
}

#[test]
fn moments_compare_as_far_as_they_say_something() {
    let cases = [
        ("1970", "1971-01", Some(Ordering::Less)),
        ("1970", "1970-01", None),
        ("1970-06", "1970-05-31", Some(Ordering::Greater)),
        ("1970-06-01", "1970-06-01", Some(Ordering::Equal)),
        ("1970-06-01", "1970-06-01T00:00:00Z", None),
        (
            "1970-06-01T01:00:00+02:00",
            "1970-05-31T23:00:00Z",
            Some(Ordering::Equal),
        ),
        (
            "1970-06-01T01:00:00+02:00",
            "1970-05-31T23:00:00.001Z",
            Some(Ordering::Less),
        ),
        ("1970-06-01T01:00:00+02:00", "1970-06-01T01:00:00", None),
        ("12:30", "12:31:00", Some(Ordering::Less)),
        ("12:30", "12:30:00", None),
        ("12:30", "1970", None),
    ];
    for (this, that, expected) in cases {
        assert_eq!(moment(this).compare(&moment(that)), expected, "{this} {that}");
        assert_eq!(
            moment(that).compare(&moment(this)),
            expected.map(Ordering::reverse),
            "{that} {this}"
        );
    }
}

#[test]
fn boundaries_are_the_ends_of_what_is_left_open() {
    let kind = |text: &str| match text {
        "2010-10-10" => Some(MomentKind::DateTime),
        _ => None,
    };
    let cases = [
        ("1970", "1970-01-01", "1970-12-31"),
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("1970-06-01", "1970-06-01", "1970-06-01"),
        (
            "2010-10-10",
            "2010-10-10T00:00:00.000+14:00",
            "2010-10-10T23:59:59.999-12:00",
        ),
        (
            "2010-10-10T12:34:00Z",
            "2010-10-10T12:34:00.000Z",
            "2010-10-10T12:34:00.999Z",
        ),
        (
            "2010-10-10T12:34:00.12345Z",
            "2010-10-10T12:34:00.12345Z",
            "2010-10-10T12:34:00.12345Z",
        ),
        ("12:34", "12:34:00.000", "12:34:59.999"),
    ];
    for (text, low, high) in cases {
        let boundary = |side| moment(text).boundary(side, kind(text)).unwrap().to_string();
        assert_eq!(
            (boundary(Boundary::Low).as_str(), boundary(Boundary::High).as_str()),
            (low, high),
            "{text}"
        );
    }
}

#[test]
fn a_day_is_the_one_on_the_calendar_and_an_instant_is_one() {
    assert_eq!(moment("1970").days(), None);
    assert_eq!(moment("1970-01-02").days(), Some(1));
    assert_eq!(moment("1969-12-31").days(), Some(-1));
    assert_eq!(moment("1970-01-02T00:30:00+02:00").days(), Some(1));
    assert_eq!(moment("2024-07-19").days(), Some(19923));
    let instant = |text: &str| moment(text).instant().map(|at| at.to_string());
    assert_eq!(
        instant("1970-01-02T00:30:00+02:00").as_deref(),
        Some("1970-01-01T22:30:00Z")
    );
    assert_eq!(instant("1970-01-02").as_deref(), Some("1970-01-02T00:00:00Z"));
    assert_eq!(
        instant("1970-01-02T00:30:00"),
        None,
        "without an offset it could be any of some thirty instants"
    );
    assert_eq!(instant("1970-01"), None);
    assert_eq!(instant("12:00:00"), None);
}
