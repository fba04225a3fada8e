//! Prohibitions: what they cover, what they do not, and that no permission lifts one.

use terms::Problem;

use super::{PATH, allow, refuse, says};
use crate::example::{Files, ada};

#[test]
fn a_prohibition_beats_a_permission() {
    let matchers = [
        (
            "purposes = [\"ehds-53-1-e\"]",
            "purpose ehds-53-1-e (scientific research)",
            Problem::Prohibited.next_step(),
        ),
        (
            "assignee = { roles = [\"university\"] }",
            "requests of role university",
            Problem::Prohibited.next_step(),
        ),
        (
            "assignee = { members = [\"saarland-university\"] }",
            "requests of member saarland-university",
            Problem::Prohibited.next_step(),
        ),
        (
            "assignee = { persons = [\"saarland-university/ada\"] }",
            "requests of 1 named person(s)",
            Problem::Prohibited.next_step(),
        ),
        ("columns = [\"age\", \"meno\"]", "column age", "leave out column age"),
        (
            "release = \"aggregates\"",
            "release of aggregates",
            Problem::Prohibited.next_step(),
        ),
    ];
    for (matcher, covers, remedy) in matchers {
        let rules = Files::new().edit(PATH, "purposes = [\"ehds-54-b\"]", matcher).rules();
        let message = format!("prohibition no-insurance of breast-cancer-research version 3 covers {covers}");
        says(
            &refuse(&rules, &ada()),
            Problem::Prohibited,
            Some("no-insurance"),
            &message,
            remedy,
        );
    }
}

#[test]
fn a_prohibition_covers_only_what_all_its_matchers_match() {
    let matchers = [
        "purposes = [\"ehds-53-1-e\"]\ncolumns = [\"meno\"]",
        "purposes = [\"ehds-53-1-c\"]",
        "release = \"rows\"",
        "assignee = { roles = [\"hospital\"] }",
        "assignee = { roles = [\"university\"], members = [\"gbsg\"] }",
    ];
    for matcher in matchers {
        allow(
            &Files::new().edit(PATH, "purposes = [\"ehds-54-b\"]", matcher).rules(),
            &ada(),
        );
    }
}

#[test]
fn leaving_a_role_out_of_a_credential_does_not_escape_a_prohibition() {
    let matcher = "assignee = { roles = [\"public-health-office\"] }";
    let rules = Files::new().edit(PATH, "purposes = [\"ehds-54-b\"]", matcher).rules();
    let mut request = ada();
    request.caller.member = "health-office".parse().unwrap();
    assert_eq!(refuse(&rules, &request).problem, Problem::Prohibited);
    let mut request = ada();
    request.caller.roles.insert("public-health-office".parse().unwrap());
    assert_eq!(
        refuse(&rules, &request).problem,
        Problem::Prohibited,
        "nor does claiming one in vain"
    );
}

#[test]
fn a_prohibition_of_another_collection_or_time_does_not_count() {
    let rules = Files::new()
        .edit(
            "policies/beds-open.toml",
            "[[permission]]",
            "[[prohibition]]\nid = \"none\"\nrelease = \"aggregates\"\n[[permission]]",
        )
        .rules();
    allow(&rules, &ada());
    let old = "id = \"old\"\nversion = 1\ntitle = \"t\"\ncollection = \"breast-cancer\"\nvalid_from = 2020-01-01\n\
               valid_until = 2020-12-31\n[[prohibition]]\nid = \"all\"\nrelease = \"aggregates\"\n";
    allow(&Files::new().put("policies/old.toml", old).rules(), &ada());
}
