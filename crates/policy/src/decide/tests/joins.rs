//! Joins: every side must be allowed on its own, and what leaves is checked by the strictest of all.

use terms::Problem;

use super::{PATH, columns, says};
use crate::example::{Files, ada};
use crate::{AccessRequest, Decision, Grant, Refusal, Rules, Tier, Zeros, decide_joined};

const STAYS: &str = "id = \"stays\"\ntitle = \"Stays\"\npersonal = true\nprivacy_unit = \"pid\"\n[columns.pid]\ntype = \"text\"\n\
    role = \"identifier\"\nreferences = \"breast-cancer\"\n[columns.days]\ntype = \"integer\"\nrole = \"measure\"\n";

/// Stays that refer to the patients, under a policy with this disclosure table.
fn files(disclosure: &str) -> Files {
    let policy = format!(
        "id = \"stays-research\"\nversion = 4\ntitle = \"Stays\"\ncollection = \"stays\"\nvalid_from = 2026-01-01\nvalid_until = 2027-12-31\n\
         [[permission]]\nid = \"length\"\nassignee = {{ roles = [\"university\"] }}\npurposes = [\"ehds-53-1-e\"]\npermit = \"none\"\n\
         release = \"aggregates\"\ncolumns = [\"days\"]\n[permission.disclosure]\ntier = \"statistical\"\n{disclosure}\n"
    );
    Files::new()
        .put("collections/stays.toml", STAYS)
        .put("policies/stays-research.toml", &policy)
}

fn stays() -> AccessRequest {
    AccessRequest {
        collection: "stays".parse().unwrap(),
        columns: columns(&["days"]),
        ..ada()
    }
}

fn beds() -> AccessRequest {
    AccessRequest {
        collection: "beds".parse().unwrap(),
        columns: columns(&["district"]),
        ..ada()
    }
}

#[track_caller]
fn allow(rules: &Rules, joined: &[AccessRequest]) -> Grant {
    decide_joined(rules, &stays(), joined)
        .into_grant()
        .unwrap_or_else(|refusal| panic!("{}", refusal.message))
}

#[track_caller]
fn refuse(rules: &Rules, request: &AccessRequest, joined: &[AccessRequest]) -> Refusal {
    match decide_joined(rules, request, joined) {
        Decision::Refuse(refusal) => refusal,
        Decision::Allow(_) => panic!("allowed"),
    }
}

#[test]
fn one_side_that_is_not_allowed_refuses_the_whole() {
    let rules = files("min_people = 5").rules();
    let notes = AccessRequest {
        columns: columns(&["meno"]),
        ..ada()
    };
    let refusal = refuse(&rules, &stays(), &[beds(), notes]);
    assert_eq!(refusal.problem, Problem::NoPermission);
    assert_eq!(refusal.policy.unwrap().0.as_str(), "breast-cancer-research");
    let hidden = AccessRequest {
        columns: columns(&["pid"]),
        ..stays()
    };
    assert_eq!(
        refuse(&rules, &hidden, &[ada()]).policy.unwrap().0.as_str(),
        "stays-research"
    );
    let rules = files("min_people = 5")
        .edit(PATH, "\"ehds-54-b\"", "\"ehds-53-1-e\"")
        .rules();
    assert_eq!(refuse(&rules, &stays(), &[ada()]).problem, Problem::Prohibited);
}

#[test]
fn rules_of_which_none_is_stricter_are_not_mixed() {
    for (one, other, key) in [
        (
            "dominance = { top = 2, share = 0.8 }",
            "dominance = { top = 1, share = 0.5 }",
            "dominance",
        ),
        ("round_to = 5", "round_to = 10", "round_to"),
    ] {
        let rules = files(&format!("min_people = 5\n{one}"));
        let rules = rules
            .edit(PATH, "min_people = 10", &format!("min_people = 10\n{other}"))
            .rules();
        let refusal = refuse(&rules, &stays(), &[ada()]);
        let message = format!(
            "length of stays-research version 4 and statistics of breast-cancer-research version 3 say different things about {key}, and neither protects more"
        );
        let remedy = format!("ask about each collection alone, or ask the board to give both the same {key}");
        says(&refusal, Problem::NoPermission, Some("statistics"), &message, &remedy);
    }
}

#[test]
fn people_are_linked_under_a_permit_only_if_it_says_so() {
    let permit = |linkage: &str| {
        let more = "columns    = [\"age\", \"grade\"]\n[[dataset]]\ncollection = \"stays\"\ncolumns = [\"days\"]";
        let edits = [("columns    = [\"age\", \"grade\"]", more), ("opt_out", linkage)];
        files("min_people = 5").with_permit(&edits).rules()
    };
    let under = |request: AccessRequest| AccessRequest {
        permit: Some("p-1".parse().unwrap()),
        ..request
    };
    let refusal = refuse(&permit("opt_out"), &under(stays()), &[under(ada())]);
    assert_eq!(
        refusal.message,
        "permit p-1 does not allow to link people across collections"
    );
    assert_eq!(refusal.problem, Problem::PermitInvalid);
    let rules = permit("linkage = true\nopt_out");
    assert!(
        decide_joined(&rules, &under(stays()), &[under(ada())])
            .into_grant()
            .is_ok()
    );
}

#[test]
fn what_leaves_is_checked_by_the_strictest_of_all() {
    let rules = files("min_people = 5\np_percent = 20\nround_to = 5")
        .edit(
            PATH,
            "min_people = 10",
            "min_people = 10\np_percent = 10\nzeros = \"protected\"\ndominance = { top = 2, share = 0.8 }",
        )
        .rules();
    let grant = allow(&rules, &[ada(), beds()]);
    let made = grant.disclosure();
    assert_eq!(
        made.tier,
        Tier::Statistical {
            min_people: 10.try_into().unwrap()
        }
    );
    assert_eq!(
        (made.p_percent, made.round_to, made.zeros),
        (Some(20), Some(5), Zeros::Protected)
    );
    assert_eq!(made.dominance.map(|rule| rule.top), Some(2));
    assert_eq!(grant.rule().as_str(), "length");
    let joined = grant.joined().iter().map(|grant| grant.rule().as_str());
    assert_eq!(Vec::from_iter(joined), ["statistics", "everybody"]);
    // Each side keeps the rows that exist for it.
    assert!(grant.row_filter().is_none() && grant.joined()[0].row_filter().is_some());
}

#[test]
fn an_open_collection_adds_nothing() {
    let rules = files("min_people = 5").rules();
    assert_eq!(allow(&rules, &[beds()]).disclosure(), allow(&rules, &[]).disclosure());
}
