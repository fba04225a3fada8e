//! The disclosure table: what it may say, and what of it this version reads without enforcing it.

use terms::Problem;
use trust::Digest;

use super::{OPEN, PATH, is_invalid};
use crate::example::Files;
use crate::{Disclosure, Dominance, Quota, Rules, Tier};

const TABLE: &str = "dominance = { top = 2, share = 0.85 }\np_percent = 10\nround_to = 5\n\
                     queries = { per_minute = 30, per_week = 500 }\nmin_people = 10";

fn read(files: &Files) -> Result<Rules, terms::Report> {
    Rules::read_files(7, Digest::of(b"targets"), &files.0)
}

#[test]
fn numbers_outside_their_range_are_refused() {
    let says = "permission statistics: dominance needs top of 1 or more and share between 0 and 1";
    for value in [
        "{ top = 0, share = 0.8 }",
        "{ top = 1, share = 0.0 }",
        "{ top = 1, share = 1.0 }",
        "{ top = 1, share = -0.5 }",
        "{ top = 1, share = nan }",
        "{ top = 1, share = inf }",
    ] {
        is_invalid(
            "min_people",
            &format!("dominance = {value}\nmin_people"),
            "min_people",
            says,
        );
    }
    for (key, values, largest) in [
        ("p_percent", ["0", "101"], "100"),
        ("round_to", ["0", "1000001"], "1000000"),
    ] {
        let says = format!("permission statistics: {key} must be from 1 to {largest}");
        for value in values {
            is_invalid(
                "min_people",
                &format!("{key} = {value}\nmin_people"),
                "min_people",
                &says,
            );
        }
    }
    let says = "permission statistics: queries needs per_minute or per_week, 1 or more";
    for value in ["{}", "{ per_minute = 0 }", "{ per_minute = 3, per_week = 0 }"] {
        is_invalid(
            "min_people",
            &format!("queries = {value}\nmin_people"),
            "min_people",
            says,
        );
    }
}

#[test]
fn keys_that_are_not_known_are_refused() {
    let values = [
        ("dominance = { top = 2 }", Problem::FileKey),
        ("dominance = { top = 2, share = 0.8, of = 3 }", Problem::FileKey),
        ("dominance = 2", Problem::FileValue),
        ("p_percent = -1", Problem::FileValue),
        ("p_percent = 1.5", Problem::FileValue),
        ("queries = { per_day = 3 }", Problem::FileKey),
        ("queries = 3", Problem::FileValue),
        ("noise = 1", Problem::FileKey),
    ];
    for (value, problem) in values {
        let files = Files::new().edit(PATH, "min_people", &format!("{value}\nmin_people"));
        let report = read(&files).unwrap_err();
        assert_eq!(report.problem, problem, "{value}: {report}");
    }
}

#[test]
fn the_open_tier_checks_nothing_and_may_limit_how_often() {
    for key in ["dominance = { top = 1, share = 0.5 }", "p_percent = 5", "round_to = 5"] {
        let files = Files::new().edit(OPEN, "\"open\" }", &format!("\"open\", {key} }}"));
        let report = read(&files).unwrap_err();
        let name = key.split(' ').next().unwrap();
        assert!(
            report
                .message
                .ends_with(&format!("permission everybody: tier \"open\" does not heed {name}")),
            "{report}"
        );
    }
    let files = Files::new().edit(OPEN, "\"open\" }", "\"open\", queries = { per_week = 9 } }");
    assert!(files.compile().is_ok());
}

#[test]
fn what_a_node_does_not_enforce_can_be_read_but_not_run() {
    let files = Files::new().edit(PATH, "min_people = 10", TABLE);
    let report = files.compile().unwrap_err();
    assert_eq!(
        report.message,
        format!("{PATH}, line 20: this version does not enforce `dominance` and would therefore not run the policy")
    );
    let rules = read(&files).unwrap();
    let policy = &rules.of_collection(&"breast-cancer".parse().unwrap())[0];
    let expected = Disclosure {
        tier: Tier::Statistical {
            min_people: 10.try_into().unwrap(),
        },
        dominance: Some(Dominance { top: 2, share: 0.85 }),
        p_percent: Some(10),
        round_to: Some(5),
        queries: Quota {
            per_minute: Some(30),
            per_week: Some(500),
        },
    };
    assert_eq!(policy.permissions[0].disclosure, expected);
    assert_eq!(expected.unenforced(), Some("dominance"));
}

#[test]
fn the_differential_tier_is_not_even_read() {
    let files = Files::new().edit(PATH, "\"statistical\"", "\"differential\"");
    for report in [files.compile().unwrap_err(), read(&files).unwrap_err()] {
        assert!(
            report.message.contains("does not enforce `tier = \"differential\"`"),
            "{report}"
        );
    }
}
