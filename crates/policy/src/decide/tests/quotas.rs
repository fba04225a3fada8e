//! Quotas: how often one person may ask.

use terms::Problem;

use super::{PATH, allow, refuse, says};
use crate::example::{Files, ada};
use crate::{AccessRequest, Asked, Rules};

fn asked(minute: u32, week: u32) -> AccessRequest {
    AccessRequest {
        permit: Some("p-1".parse().unwrap()),
        asked: Asked { minute, week },
        ..ada()
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
    let files = Files::new().with_permit(&[("opt_out", "queries = { per_week = 2 }\nopt_out")]);
    let message = "permit p-1 lets one person ask 2 times in seven days";
    let refusal = refuse(&files.rules(), &asked(2, 2));
    says(&refusal, Problem::Quota, None, message, Problem::Quota.next_step());
    allow(&files.rules(), &asked(1, 1));
    let without = AccessRequest {
        permit: None,
        ..asked(2, 2)
    };
    allow(&files.rules(), &without);
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
