//! Quotas: how often one person may ask, and how often all persons of a permit together.

use terms::Problem;

use super::{PATH, allow, refuse, says};
use crate::example::{Files, ada};
use crate::{AccessRequest, Asked, Rules};

fn asked(minute: u32, week: u32) -> AccessRequest {
    AccessRequest {
        permit: Some("p-1".parse().unwrap()),
        asked: Asked {
            minute,
            week,
            ..Asked::default()
        },
        ..ada()
    }
}

/// All persons of the permit together, of whom Ada has asked nothing.
fn asked_under_permit(permit_minute: u32, permit_week: u32) -> AccessRequest {
    let asked = Asked {
        permit_minute,
        permit_week,
        ..Asked::default()
    };
    AccessRequest {
        asked,
        ..self::asked(0, 0)
    }
}

fn limited() -> Rules {
    let files = Files::new().with_permit(&[]);
    let queries = "queries = { per_minute = 3, per_week = 50 }\nmin_people = 10";
    files.edit(PATH, "min_people = 10", queries).rules()
}

#[test]
fn an_exhausted_quota_refuses_until_time_has_passed() {
    let message = "permission statistics of breast-cancer-research version 3 lets one person ask 3 times a minute and 50 times in seven days";
    for (minute, week) in [(3, 3), (0, 50), (u32::MAX, u32::MAX)] {
        let refusal = refuse(&limited(), &asked(minute, week));
        says(
            &refusal,
            Problem::Quota,
            Some("statistics"),
            message,
            Problem::Quota.next_step(),
        );
    }
    allow(&limited(), &asked(2, 49));
}

#[test]
fn a_permit_has_a_quota_of_its_own() {
    let queries = "queries = { per_minute = 3, per_week = 20 }\nopt_out";
    let rules = Files::new().with_permit(&[("opt_out", queries)]).rules();
    let message = "permit p-1 lets all its persons together ask 3 times a minute and 20 times in seven days";
    for (minute, week) in [(3, 3), (0, 20), (u32::MAX, u32::MAX)] {
        let refusal = refuse(&rules, &asked_under_permit(minute, week));
        says(&refusal, Problem::Quota, None, message, Problem::Quota.next_step());
    }
    allow(&rules, &asked_under_permit(2, 19));
}

#[test]
fn the_quota_of_a_permit_bounds_all_its_persons_and_that_of_a_permission_each() {
    let queries = "queries = { per_week = 2 }\nopt_out";
    let rules = Files::new().with_permit(&[("opt_out", queries)]).rules();
    allow(&rules, &asked(2, 2));
    let without = AccessRequest {
        permit: None,
        ..asked_under_permit(2, 2)
    };
    allow(&rules, &without);
    allow(&limited(), &asked_under_permit(u32::MAX, u32::MAX));
}

#[test]
fn another_permission_answers_once_the_first_is_exhausted() {
    let strict = "[[permission]]\nid = \"seldom\"\nassignee = { roles = [\"university\"] }\npurposes = [\"ehds-53-1-e\"]\n\
                  permit = \"none\"\nrelease = \"aggregates\"\ncolumns = [\"age\"]\n\
                  disclosure = { tier = \"statistical\", min_people = 3, queries = { per_minute = 1 } }\n[[prohibition]]";
    let rules = Files::new()
        .with_permit(&[])
        .edit(PATH, "[[prohibition]]", strict)
        .rules();
    assert_eq!(allow(&rules, &asked(0, 0)).rule().as_str(), "seldom");
    assert_eq!(allow(&rules, &asked(1, 1)).rule().as_str(), "statistics");
}
