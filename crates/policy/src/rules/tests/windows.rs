//! Time windows as they are written.

use terms::Problem;

use super::{PATH, is_invalid};
use crate::example::Files;

const WINDOW: &str = "{ days = [\"mon\"], from = 08:00:00, until = 18:00:00, zone = \"Europe/Berlin\" }";

#[test]
fn a_window_that_no_clock_shows_is_refused() {
    let clock =
        |key: &str| format!("permission statistics: {key} must be a clock time to the minute, such as 08:00:00");
    let cases = [
        (
            "[\"mon\"]",
            "[]",
            "permission statistics: a window needs days, each once".to_owned(),
        ),
        (
            "[\"mon\"]",
            "[\"mon\", \"mon\"]",
            "permission statistics: a window needs days, each once".to_owned(),
        ),
        ("08:00:00", "08:00:30", clock("from")),
        ("18:00:00", "18:00:00.5", clock("until")),
        ("18:00:00", "2026-01-01", clock("until")),
        ("18:00:00", "2026-01-01T18:00:00Z", clock("until")),
        (
            "Europe/Berlin",
            "Europe/Saarbruecken",
            "permission statistics: there is no time zone \"Europe/Saarbruecken\"; use one such as \"Europe/Berlin\""
                .to_owned(),
        ),
    ];
    for (from, to, says) in cases {
        let when = format!("when = [{}]\npermit    =", WINDOW.replace(from, to));
        is_invalid("permit    =", &when, "permit    =", &says);
    }
}

#[test]
fn a_window_outside_the_vocabulary_is_refused() {
    let cases = [
        ("\"mon\"", "\"monday\"", Problem::FileValue),
        ("\"mon\"", "1", Problem::FileValue),
        ("08:00:00", "\"08:00\"", Problem::FileValue),
        ("zone = ", "tz = ", Problem::FileKey),
        (", zone = \"Europe/Berlin\"", "", Problem::FileKey),
    ];
    for (from, to, problem) in cases {
        let when = format!("when = [{}]\npermit    =", WINDOW.replace(from, to));
        let report = Files::new().edit(PATH, "permit    =", &when).compile().unwrap_err();
        assert_eq!(report.problem, problem, "{to}: {report}");
    }
}

#[test]
fn no_window_at_all_is_left_out_and_not_written_empty() {
    let says = "permission statistics: when is empty; leave it out for any time";
    is_invalid("permit    =", "when = []\npermit    =", "permit    =", says);
    let says = "prohibition no-insurance: when is empty; leave it out for any time";
    is_invalid("purposes = [\"ehds-54-b\"]", "when = []", "purposes = ", says);
}
