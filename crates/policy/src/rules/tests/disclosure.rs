//! The disclosure table: what it may say, and that all of it is held.

use terms::Problem;

use super::{OPEN, PATH, is_invalid};
use crate::example::Files;
use crate::{Disclosure, Dominance, Quota, Tier, Zeros};

const TABLE: &str = "dominance = { top = 2, share = 0.85 }\np_percent = 10\nround_to = 5\nzeros = \"protected\"\n\
                     queries = { per_minute = 30, per_week = 500 }\nmin_people = 10";

#[test]
fn numbers_outside_their_range_are_refused() {
    let says = "permission statistics: dominance needs top from 1 to 10 and share between 0 and 1";
    for value in [
        "{ top = 0, share = 0.8 }",
        "{ top = 11, share = 0.8 }",
        "{ top = 4294967295, share = 0.8 }",
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
        ("zeros = \"closed\"", Problem::FileValue),
        ("zeros = true", Problem::FileValue),
        ("noise = 1", Problem::FileKey),
    ];
    for (value, problem) in values {
        let files = Files::new().edit(PATH, "min_people", &format!("{value}\nmin_people"));
        let report = files.compile().unwrap_err();
        assert_eq!(report.problem, problem, "{value}: {report}");
    }
}

#[test]
fn the_open_tier_checks_nothing_and_may_limit_how_often() {
    for key in [
        "dominance = { top = 1, share = 0.5 }",
        "p_percent = 5",
        "round_to = 5",
        "zeros = \"protected\"",
        "zeros = \"open\"",
    ] {
        let files = Files::new().edit(OPEN, "\"open\" }", &format!("\"open\", {key} }}"));
        let report = files.compile().unwrap_err();
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
fn every_key_of_the_table_is_held() {
    let held = |table: &str| {
        let rules = Files::new().edit(PATH, "min_people = 10", table).rules();
        let policy = &rules.of_collection(&"breast-cancer".parse().unwrap())[0];
        policy.permissions[0].disclosure.clone()
    };
    let tier = Tier::Statistical {
        min_people: 10.try_into().unwrap(),
    };
    let expected = Disclosure {
        tier,
        dominance: Some(Dominance { top: 2, share: 0.85 }),
        p_percent: Some(10),
        round_to: Some(5),
        zeros: Zeros::Protected,
        queries: Quota {
            per_minute: Some(30),
            per_week: Some(500),
        },
    };
    assert_eq!(held(TABLE), expected);
    let least = Disclosure {
        tier,
        dominance: None,
        p_percent: None,
        round_to: None,
        zeros: Zeros::Open,
        queries: Quota::default(),
    };
    assert_eq!(held("min_people = 10"), least);
    assert_eq!(held("zeros = \"open\"\nmin_people = 10"), least);
}

#[test]
fn the_differential_tier_is_not_even_read() {
    let files = Files::new().edit(PATH, "\"statistical\"", "\"differential\"");
    let report = files.compile().unwrap_err();
    assert!(
        report.message.contains("does not enforce `tier = \"differential\"`"),
        "{report}"
    );
}
