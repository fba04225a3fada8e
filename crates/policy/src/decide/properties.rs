//! What must hold for every set of rules and every request, whatever a board writes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use terms::{Purpose, RoleName};

use super::{AccessRequest, Decision, decide};
use crate::example::{Files, ada};
use crate::queryable::queryable;
use crate::{Release, Tier};

const ROLES: [&str; 3] = ["hospital", "university", "public-health-office"];
const MEMBERS: [&str; 3] = ["gbsg", "saarland-university", "health-office"];
const PURPOSES: [&str; 3] = ["ehds-53-1-a", "ehds-53-1-c", "ehds-53-1-e"];
const COLUMNS: [&str; 4] = ["age", "grade", "meno", "node"];

/// A rule as text without its id, so that ids are given where rules are put together.
type Rule = String;

/// The rules of one policy.
#[derive(Clone, Debug)]
struct Drafted {
    permissions: Vec<Rule>,
    prohibitions: Vec<Rule>,
    in_force: bool,
}

fn some(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::subsequence(of, 1..=of.len()).prop_map(|items| format!("{items:?}"))
}

fn assignee() -> impl Strategy<Value = String> {
    let roles = some(&ROLES).prop_map(|roles| format!("{{ roles = {roles} }}"));
    let members = some(&MEMBERS).prop_map(|members| format!("{{ members = {members} }}"));
    let both = (some(&ROLES), some(&MEMBERS))
        .prop_map(|(roles, members)| format!("{{ roles = {roles}, members = {members} }}"));
    prop_oneof![3 => roles, 1 => members, 1 => both]
}

fn permission() -> impl Strategy<Value = Rule> {
    let permit = prop_oneof![4 => Just("none"), 1 => Just("required")];
    (assignee(), some(&PURPOSES), permit, some(&COLUMNS), 2..6_u32).prop_map(
        |(assignee, purposes, permit, columns, people)| {
            format!(
                "assignee = {assignee}\npurposes = {purposes}\npermit = \"{permit}\"\nrelease = \"aggregates\"\n\
             columns = {columns}\ndisclosure = {{ tier = \"statistical\", min_people = {people} }}\n"
            )
        },
    )
}

fn prohibition() -> impl Strategy<Value = Rule> {
    let matchers = (
        prop::option::of(assignee().prop_map(|text| format!("assignee = {text}\n"))),
        prop::option::of(some(&PURPOSES).prop_map(|text| format!("purposes = {text}\n"))),
        prop::option::of(prop::sample::select(vec![
            "release = \"rows\"\n".to_owned(),
            "release = \"aggregates\"\n".to_owned(),
        ])),
        prop::option::of(some(&COLUMNS).prop_map(|text| format!("columns = {text}\n"))),
    );
    let matchers = matchers.prop_map(|(a, b, c, d)| [a, b, c, d].into_iter().flatten().collect::<String>());
    matchers.prop_filter("an empty prohibition is refused at load", |text| !text.is_empty())
}

fn drafted() -> impl Strategy<Value = Drafted> {
    let rules = (
        prop::collection::vec(permission(), 0..4),
        prop::collection::vec(prohibition(), 0..3),
    );
    (rules, prop::bool::weighted(0.8)).prop_map(|((permissions, prohibitions), in_force)| Drafted {
        permissions,
        prohibitions,
        in_force,
    })
}

fn request() -> impl Strategy<Value = AccessRequest> {
    let caller = (prop::sample::select(&MEMBERS), prop::sample::subsequence(&ROLES, 1..=3));
    let purpose = prop::option::weighted(0.9, prop::sample::select(&PURPOSES));
    let release = prop_oneof![5 => Just(Release::Aggregates), 1 => Just(Release::Rows)];
    let columns = prop::sample::subsequence(&COLUMNS, 0..3);
    (caller, purpose, release, columns).prop_map(|((member, roles), purpose, release, columns)| {
        let mut request = ada();
        request.caller.member = member.parse().unwrap();
        request.caller.roles = roles.iter().map(|role| role.parse::<RoleName>().unwrap()).collect();
        request.purpose = purpose.map(|purpose| purpose.parse::<Purpose>().unwrap());
        request.release = release;
        request.columns = columns.into_iter().map(str::to_owned).collect();
        request
    })
}

/// A policy file. Rules are numbered by where they stand in `drafted`, and written in that order or the other way round.
fn policy_file(id: &str, drafted: &Drafted, backwards: bool) -> String {
    let until = if drafted.in_force { "2026-12-31" } else { "2026-03-31" };
    let mut text = format!(
        "id = \"{id}\"\nversion = 1\ntitle = \"t\"\ncollection = \"breast-cancer\"\nvalid_from = 2026-01-01\nvalid_until = {until}\n"
    );
    let permissions = drafted
        .permissions
        .iter()
        .enumerate()
        .map(|(n, rule)| format!("[[permission]]\nid = \"may-{n}\"\n{rule}"));
    let prohibitions = drafted
        .prohibitions
        .iter()
        .enumerate()
        .map(|(n, rule)| format!("[[prohibition]]\nid = \"no-{n}\"\n{rule}"));
    let mut rules: Vec<String> = permissions.chain(prohibitions).collect();
    if backwards {
        rules.reverse();
    }
    rules.iter().for_each(|rule| write!(text, "{rule}").unwrap());
    text
}

/// What the data space of these policies decides, as text that leaves nothing out.
fn outcome(policies: &[(&str, &Drafted)], backwards: bool, request: &AccessRequest) -> (Option<Tier>, String) {
    let files = policies.iter().fold(
        Files::new().without("policies/breast-cancer-research.toml"),
        |files, (id, drafted)| files.put(&format!("policies/{id}.toml"), &policy_file(id, drafted, backwards)),
    );
    match decide(&files.rules(), request) {
        Decision::Allow(grant) => (
            Some(grant.tier()),
            format!("{} {} {:?}", grant.policy(), grant.rule(), grant.columns()),
        ),
        Decision::Refuse(refusal) => (None, format!("{refusal:?}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn one_more_prohibition_never_allows_more(a in drafted(), b in drafted(), more in prohibition(), request in request()) {
        let before = outcome(&[("a", &a), ("b", &b)], false, &request).0;
        let mut stricter = a.clone();
        stricter.prohibitions.push(more);
        let after = outcome(&[("a", &stricter), ("b", &b)], false, &request).0;
        prop_assert!(after.is_none() || after == before);
    }

    #[test]
    fn one_permission_less_never_allows_more(a in drafted(), b in drafted(), request in request()) {
        let before = outcome(&[("a", &a), ("b", &b)], false, &request).0;
        for n in 0..a.permissions.len() {
            let mut fewer = a.clone();
            fewer.permissions.remove(n);
            let after = outcome(&[("a", &fewer), ("b", &b)], false, &request).0;
            prop_assert!(after.is_none() || before.is_some());
        }
    }

    #[test]
    fn the_order_of_rules_in_a_file_means_nothing(a in drafted(), b in drafted(), request in request()) {
        let policies = [("a", &a), ("b", &b)];
        prop_assert_eq!(outcome(&policies, false, &request), outcome(&policies, true, &request));
    }

    #[test]
    fn the_names_and_order_of_files_mean_nothing_to_what_is_allowed(a in drafted(), b in drafted(), request in request()) {
        let before = outcome(&[("a", &a), ("b", &b)], false, &request).0;
        prop_assert_eq!(before, outcome(&[("a", &b), ("b", &a)], false, &request).0);
    }

    #[test]
    fn one_column_more_never_turns_a_refusal_into_an_answer(a in drafted(), request in request(), column in prop::sample::select(&COLUMNS)) {
        let before = outcome(&[("a", &a)], false, &request).0;
        let mut wider = request.clone();
        wider.columns.insert(column.to_owned());
        let after = outcome(&[("a", &a)], false, &wider).0;
        prop_assert!(after.is_none() || before.is_some());
    }

    #[test]
    fn whatever_is_allowed_is_listed_as_open(a in drafted(), b in drafted(), request in request()) {
        let files = Files::new().without("policies/breast-cancer-research.toml");
        let files = files.put("policies/a.toml", &policy_file("a", &a, false)).put("policies/b.toml", &policy_file("b", &b, false));
        let rules = files.rules();
        if let Decision::Allow(grant) = decide(&rules, &request) {
            let open = queryable(&rules, &request.caller, request.at);
            let open = open.iter().find(|open| open.collection.id == request.collection).unwrap();
            prop_assert!(open.purposes.contains(&request.purpose.unwrap()));
            prop_assert!(open.releases.contains(&request.release));
            prop_assert!(request.columns.is_subset(&open.columns));
            let used: BTreeSet<_> = request.columns.difference(grant.columns()).collect();
            prop_assert!(used.is_empty());
        }
    }
}
