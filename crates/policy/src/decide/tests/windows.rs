//! Recurring time windows in permissions and prohibitions.

use terms::Problem;

use super::{PATH, allow, refuse, says};
use crate::example::{Files, ada};
use crate::{AccessRequest, Rules, queryable};

/// Working hours of the week, in Berlin.
const WORK: &str = "{ days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"], from = 08:00:00, until = 18:00:00, zone = \"Europe/Berlin\" }";
const NIGHT: &str = "{ days = [\"sat\"], from = 22:00:00, until = 06:00:00, zone = \"Europe/Berlin\" }";

fn at(time: &str) -> AccessRequest {
    AccessRequest {
        at: time.parse().unwrap(),
        ..ada()
    }
}

fn permitted(windows: &str) -> Rules {
    Files::new()
        .edit(PATH, "permit    =", &format!("when = [{windows}]\npermit    ="))
        .rules()
}

fn prohibited(windows: &str) -> Rules {
    Files::new()
        .edit(PATH, "purposes = [\"ehds-54-b\"]", &format!("when = [{windows}]"))
        .rules()
}

#[test]
fn a_permission_does_not_hold_outside_its_windows() {
    let message = "permission statistics of breast-cancer-research version 3 does not hold at this time of the week";
    let remedy = "ask at: mon, tue, wed, thu, fri 08:00 to 18:00 Europe/Berlin, sat 22:00 to 06:00 Europe/Berlin";
    let rules = permitted(&format!("{WORK}, {NIGHT}"));
    // A Saturday at noon; a Monday at 18:00 in winter and in summer.
    for time in ["2026-11-21T12:00:00Z", "2026-11-23T17:00:00Z", "2026-07-06T16:00:00Z"] {
        says(
            &refuse(&rules, &at(time)),
            Problem::NoPermission,
            Some("statistics"),
            message,
            remedy,
        );
    }
    for time in [
        "2026-11-23T16:59:59Z",
        "2026-07-06T15:59:59Z",
        "2026-11-21T21:00:00Z",
        "2026-11-22T04:59:59Z",
    ] {
        allow(&rules, &at(time));
    }
}

#[test]
fn a_prohibition_holds_in_its_windows_only() {
    let rules = prohibited(WORK);
    let message = "prohibition no-insurance of breast-cancer-research version 3 covers requests at mon, tue, wed, thu, \
                   fri 08:00 to 18:00 Europe/Berlin";
    let refusal = refuse(&rules, &at("2026-11-23T07:00:00Z"));
    says(
        &refusal,
        Problem::Prohibited,
        Some("no-insurance"),
        message,
        Problem::Prohibited.next_step(),
    );
    allow(&rules, &at("2026-11-23T06:59:59Z"));
    allow(&rules, &at("2026-11-21T12:00:00Z"));
}

#[test]
fn a_prohibition_at_some_hours_closes_nothing_for_good() {
    let rules = prohibited(WORK);
    let monday = at("2026-11-23T12:00:00Z");
    assert_eq!(refuse(&rules, &monday).problem, Problem::Prohibited);
    assert_eq!(queryable(&rules, &monday.caller, monday.at).len(), 2);
}

#[test]
fn the_whole_day_is_a_window_until_the_hour_at_which_it_began() {
    let rules = permitted("{ days = [\"sat\"], from = 00:00:00, until = 00:00:00, zone = \"UTC\" }");
    for (inside, outside) in [
        ("2026-11-21T00:00:00Z", "2026-11-20T23:59:59Z"),
        ("2026-11-21T23:59:59Z", "2026-11-22T00:00:00Z"),
    ] {
        allow(&rules, &at(inside));
        assert_eq!(refuse(&rules, &at(outside)).problem, Problem::NoPermission);
    }
}
