//! What must hold for every set of rules and every request, whatever a board writes.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use terms::{Purpose, RoleName};
use trust::stop::Stopped;

use super::{AccessRequest, Decision, decide};
use crate::example::{Files, PERMIT, ada, models_table};
use crate::queryable::queryable;
use crate::{Asked, Duty, Grant, ModelRules, Overlaps, Release, Stops, Sum, Tier, Transform, Zeros};

const ROLES: [&str; 3] = ["hospital", "university", "public-health-office"];
const MEMBERS: [&str; 3] = ["gbsg", "saarland-university", "health-office"];
const PURPOSES: [&str; 3] = ["ehds-53-1-a", "ehds-53-1-d", "ehds-53-1-e"];
const COLUMNS: [&str; 4] = ["age", "grade", "meno", "node"];
/// Saturday noon, which [`ada`] asks at, is inside; Monday is not.
const WEEKEND: &str =
    "when = [{ days = [\"sat\", \"sun\"], from = 08:00:00, until = 20:00:00, zone = \"Europe/Berlin\" }]\n";
/// What a permission of rows shows of one of its columns.
const TRANSFORMS: [(&str, &str); 4] = [
    ("age", "\"bins\""),
    ("age", "\"mask\""),
    ("grade", "{ prefix = 1 }"),
    ("meno", "\"mask\""),
];
const MONDAY: &str = "2026-11-23T12:00:00Z";

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

/// A line that is there now and then.
fn perhaps(line: impl Into<String>, share: f64) -> impl Strategy<Value = String> {
    let line = line.into();
    prop::option::weighted(share, Just(line)).prop_map(Option::unwrap_or_default)
}

fn assignee() -> impl Strategy<Value = String> {
    let roles = some(&ROLES).prop_map(|roles| format!("{{ roles = {roles} }}"));
    let members = some(&MEMBERS).prop_map(|members| format!("{{ members = {members} }}"));
    let both = (some(&ROLES), some(&MEMBERS))
        .prop_map(|(roles, members)| format!("{{ roles = {roles}, members = {members} }}"));
    prop_oneof![3 => roles, 1 => members, 1 => both]
}

fn permission() -> impl Strategy<Value = Rule> {
    let permit = prop_oneof![3 => Just("none"), 1 => Just("required")];
    let whom = (assignee(), some(&PURPOSES), permit, some(&COLUMNS));
    let duties = prop::option::weighted(0.4, 1..4_u32).prop_map(|months| {
        months.map_or(String::new(), |months| {
            format!("duty = [{{ action = \"delete\", within_days = {} }}]\n", months * 30)
        })
    });
    let quota = perhaps(", queries = { per_minute = 2 }", 0.2);
    let zeros = perhaps(", zeros = \"protected\"", 0.2);
    let shown = prop::option::weighted(0.3, prop::sample::select(&TRANSFORMS));
    let models = prop::option::weighted(0.4, models_table());
    let terms = (
        perhaps("rows = \"research_consent\"\n", 0.3),
        perhaps(WEEKEND, 0.2),
        duties,
        (quota, zeros, shown, models),
        2..6_u32,
    );
    (whom, terms).prop_map(
        |((assignee, purposes, permit, columns), (rows, when, duties, (quota, zeros, shown, models), people))| {
            let release = match shown {
                Some((name, shown)) if columns.contains(name) => {
                    let models = models.unwrap_or_default();
                    format!("permit = \"required\"\nrelease = \"rows\"\ntransforms = {{ {name} = {shown} }}\n{models}")
                }
                _ => match models {
                    Some(models) => format!("permit = \"{permit}\"\nrelease = \"models\"\n{models}"),
                    None => format!("permit = \"{permit}\"\nrelease = \"aggregates\"\n"),
                },
            };
            format!(
                "assignee = {assignee}\npurposes = {purposes}\n{release}columns = {columns}\n{rows}{when}{duties}\
                 disclosure = {{ tier = \"statistical\", min_people = {people}{zeros}{quota} }}\n"
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
            "release = \"models\"\n".to_owned(),
            "release = \"aggregates\"\n".to_owned(),
        ])),
        prop::option::of(some(&COLUMNS).prop_map(|text| format!("columns = {text}\n"))),
        prop::option::weighted(0.2, Just(WEEKEND.to_owned())),
    );
    let matchers = matchers.prop_map(|(a, b, c, d, e)| [a, b, c, d, e].into_iter().flatten().collect::<String>());
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

/// Permissions without prohibitions: more is allowed, so that less can be seen.
fn permitting() -> impl Strategy<Value = Drafted> {
    prop::collection::vec(permission(), 1..5).prop_map(|permissions| Drafted {
        permissions,
        prohibitions: Vec::new(),
        in_force: true,
    })
}

fn request() -> impl Strategy<Value = AccessRequest> {
    let caller = (prop::sample::select(&MEMBERS), prop::sample::subsequence(&ROLES, 1..=3));
    let purpose = prop::option::weighted(0.9, prop::sample::select(&PURPOSES));
    let release = prop_oneof![4 => Just(Release::Aggregates), 2 => Just(Release::Models), 1 => Just(Release::Rows)];
    let columns = prop::sample::subsequence(&COLUMNS, 0..3);
    let now = (0..4_u32, prop::bool::weighted(0.2), prop::bool::weighted(0.3));
    (caller, purpose, release, columns, now).prop_map(
        |((member, roles), purpose, release, columns, (minute, monday, permit))| {
            let mut request = ada();
            request.caller.member = member.parse().unwrap();
            request.caller.roles = roles.iter().map(|role| role.parse::<RoleName>().unwrap()).collect();
            request.purpose = purpose.map(|purpose| purpose.parse::<Purpose>().unwrap());
            request.release = release;
            request.columns = columns.into_iter().map(str::to_owned).collect();
            request.asked = Asked {
                minute,
                week: minute,
                permit_minute: minute,
                permit_week: minute,
            };
            if monday {
                request.at = MONDAY.parse().unwrap();
            }
            request.permit = permit.then(|| "p-1".parse().unwrap());
            request
        },
    )
}

/// The permit of everybody for everything that these tests ask.
fn wide_permit() -> String {
    let persons = "[\"saarland-university/ada\", \"gbsg/ada\", \"health-office/ada\"]";
    PERMIT
        .replace("[\"saarland-university/ada\"]", persons)
        .replace("[\"ehds-53-1-e\"]", &format!("{PURPOSES:?}"))
        .replace("[\"age\", \"grade\"]", "[\"age\", \"grade\", \"meno\"]")
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

/// What an answer is bound by, least first: as boards compare permissions.
type Bound = (Tier, bool, Vec<u8>, Option<BoundFit>, Zeros, Option<Reverse<u32>>);

/// What a fit is bound by: whose sums are seen, nodes, parameters in 10,000ths, steps, overlaps.
type BoundFit = (Sum, u32, Reverse<u32>, Reverse<u32>, Overlaps);

fn bound_fit(rules: &ModelRules) -> BoundFit {
    let share = (rules.parameters_share * 10_000.0).round() as u32;
    (
        rules.sum,
        rules.nodes_min,
        Reverse(share),
        Reverse(rules.steps_max),
        rules.overlaps,
    )
}

fn bound(grant: &Grant, request: &AccessRequest) -> Bound {
    let days = grant.duties().filter_map(|duty| match duty {
        Duty::Delete { within_days } => Some(Reverse(*within_days)),
        Duty::Attribute { .. } | Duty::PublishResults { .. } => None,
    });
    let asked = grant
        .transforms()
        .iter()
        .filter(|(name, _)| request.columns.contains(*name));
    // No permission of these tests transforms two columns.
    let shown = asked.map(|(_, shown)| match shown {
        Transform::Bins | Transform::Truncate(_) | Transform::Pseudonym => 1,
        Transform::Prefix(_) => 2,
        Transform::Mask => 3,
    });
    (
        grant.tier(),
        grant.row_filter().is_some(),
        shown.collect(),
        grant
            .models()
            .filter(|_| request.release == Release::Models)
            .map(bound_fit),
        grant.disclosure().zeros,
        days.max(),
    )
}

fn space(policies: &[(&str, &Drafted)], backwards: bool) -> Files {
    policies.iter().fold(
        Files::new()
            .without("policies/breast-cancer-research.toml")
            .put("permits/p-1.toml", &wide_permit()),
        |files, (id, drafted)| files.put(&format!("policies/{id}.toml"), &policy_file(id, drafted, backwards)),
    )
}

/// What the data space of these policies decides, as text that leaves nothing out.
fn outcome(policies: &[(&str, &Drafted)], backwards: bool, request: &AccessRequest) -> (Option<Bound>, String) {
    match decide(&space(policies, backwards).rules(), request) {
        Decision::Allow(grant) => (
            Some(bound(&grant, request)),
            format!("{} {} {:?}", grant.policy(), grant.rule(), grant.columns()),
        ),
        Decision::Refuse(refusal) => (None, format!("{refusal:?}")),
    }
}

/// Whether `after` allows nothing that `before` does not.
fn no_more(before: Option<Bound>, after: Option<Bound>) -> bool {
    match (before, after) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(before), Some(after)) => before <= after,
    }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn one_more_prohibition_never_allows_more(a in drafted(), b in drafted(), more in prohibition(), request in request()) {
        let before = outcome(&[("a", &a), ("b", &b)], false, &request).0;
        let mut stricter = a.clone();
        stricter.prohibitions.push(more);
        let after = outcome(&[("a", &stricter), ("b", &b)], false, &request).0;
        // A prohibition of rows takes away models that come with rows, and then another permission answers.
        prop_assert!(no_more(before.clone(), after.clone()));
        prop_assert!(request.release == Release::Models || after.is_none() || after == before);
    }

    #[test]
    fn one_permission_less_never_allows_more(a in drafted(), b in permitting(), request in request()) {
        let before = outcome(&[("a", &a), ("b", &b)], false, &request).0;
        for n in 0..a.permissions.len() {
            let mut fewer = a.clone();
            fewer.permissions.remove(n);
            prop_assert!(no_more(before.clone(), outcome(&[("a", &fewer), ("b", &b)], false, &request).0));
        }
        for n in 0..b.permissions.len() {
            let mut fewer = b.clone();
            fewer.permissions.remove(n);
            prop_assert!(no_more(before.clone(), outcome(&[("a", &a), ("b", &fewer)], false, &request).0));
        }
    }

    #[test]
    fn one_permission_more_never_allows_less(a in permitting(), b in drafted(), more in permission(), request in request()) {
        let before = outcome(&[("a", &a), ("b", &b)], false, &request).0;
        let mut wider = b.clone();
        wider.permissions.push(more);
        prop_assert!(no_more(outcome(&[("a", &a), ("b", &wider)], false, &request).0, before));
    }

    #[test]
    fn a_stop_never_allows_more(a in drafted(), b in permitting(), request in request(), what in 0..5_usize) {
        let rules = space(&[("a", &a), ("b", &b)], false).rules();
        let before = decide(&rules, &request).into_grant().ok();
        let mut stops = Stops::default();
        stops.add(match what {
            0 => Stopped::Policy("a".parse().unwrap()),
            1 => Stopped::Policy("b".parse().unwrap()),
            2 => Stopped::Permit("p-1".parse().unwrap()),
            3 => Stopped::Member(MEMBERS[request.asked.minute as usize % 3].parse().unwrap()),
            _ => Stopped::Person(request.caller.member.clone(), request.caller.person.clone()),
        });
        let after = decide(&rules.with_stops(stops), &request).into_grant().ok();
        let bound_of = |grant: &Grant| bound(grant, &request);
        prop_assert!(no_more(before.as_ref().map(bound_of), after.as_ref().map(bound_of)));
        prop_assert!(what != 4 || after.is_none());
        prop_assert!(what != 2 || after.is_none() || request.permit.is_none());
        prop_assert!(what > 1 || after.is_none_or(|grant| grant.policy().as_str() != ["a", "b"][what]));
    }

    #[test]
    fn a_prohibition_that_names_one_thing_beats_a_permission_of_everything(mut request in request(), which in 0..7_usize) {
        request.purpose = Some(Purpose::Research);
        request.release = Release::Aggregates;
        request.columns.insert("age".to_owned());
        request.at = ada().at;
        let role = request.caller.roles.first().unwrap().clone();
        let member = request.caller.member.clone();
        let person = format!("{member}/{}", request.caller.person);
        let prohibition = match which {
            0 => format!("assignee = {{ roles = [\"{role}\"] }}\n"),
            1 => format!("assignee = {{ members = [\"{member}\"] }}\n"),
            2 => format!("assignee = {{ persons = [\"{person}\"] }}\n"),
            3 => "purposes = [\"ehds-53-1-e\"]\n".to_owned(),
            4 => "release = \"aggregates\"\n".to_owned(),
            5 => "columns = [\"age\", \"note\"]\n".to_owned(),
            _ => WEEKEND.to_owned(),
        };
        let everything = format!(
            "assignee = {{ members = {MEMBERS:?} }}\npurposes = {PURPOSES:?}\npermit = \"none\"\nrelease = \"aggregates\"\n\
             columns = {COLUMNS:?}\ndisclosure = {{ tier = \"statistical\", min_people = 2 }}\n"
        );
        let open = Drafted { permissions: vec![everything], prohibitions: Vec::new(), in_force: true };
        prop_assert!(outcome(&[("a", &open)], false, &request).0.is_some());
        let closing = Drafted { permissions: Vec::new(), prohibitions: vec![prohibition], in_force: true };
        for ids in [("a", "b"), ("b", "a")] {
            let (allowed, says) = outcome(&[(ids.0, &open), (ids.1, &closing)], false, &request);
            prop_assert!(allowed.is_none() && says.contains("Prohibited"), "{}", says);
        }
    }

    #[test]
    fn a_permit_that_has_ended_never_allows(a in permitting(), mut request in request(), seconds in 0..100_000_i64, withdrawn: bool) {
        request.permit = Some("p-1".parse().unwrap());
        let ended = request.at.checked_sub(jiff::SignedDuration::from_secs(seconds)).unwrap();
        let permit = match withdrawn {
            true => wide_permit().replace("opt_out", &format!("withdrawn = {ended}\nopt_out")),
            false => wide_permit().replace("valid_until = 2026-12-31", &format!("valid_until = {ended}")),
        };
        let files = space(&[("a", &a)], false).put("permits/p-1.toml", &permit);
        prop_assert!(decide(&files.rules(), &request).into_grant().is_err());
    }

    #[test]
    fn a_permit_allows_nothing_beyond_its_permission(a in drafted(), b in permitting(), mut request in request(), acting: bool) {
        request.permit = Some("p-1".parse().unwrap());
        let permit = match acting {
            true => wide_permit().replace("opt_out", "acts_for = \"Ministry\"\nopt_out"),
            false => wide_permit(),
        };
        let files = space(&[("a", &a), ("b", &b)], false).put("permits/p-1.toml", &permit);
        // The same permissions for everybody, permit or not; without one there are statistics only.
        request.release = Release::Aggregates;
        let freed = |rule: &Rule| {
            let rule = rule.replace("\"required\"", "\"none\"").replace("\"rows\"", "\"aggregates\"").replace("\"models\"", "\"aggregates\"");
            let lines = rule.lines().filter(|line| !line.starts_with("transforms") && !line.starts_with("models"));
            lines.map(|line| format!("{line}\n")).collect()
        };
        let free = |drafted: &Drafted| Drafted {
            permissions: drafted.permissions.iter().map(freed).collect(),
            ..drafted.clone()
        };
        let under = decide(&files.rules(), &request).into_grant().ok().map(|grant| bound(&grant, &request));
        let (a, b) = (free(&a), free(&b));
        request.permit = None;
        let alone = outcome(&[("a", &a), ("b", &b)], false, &request).0;
        let reserved = request.purpose.is_some_and(Purpose::is_reserved_to_public_bodies);
        prop_assert!(reserved && acting || no_more(alone, under));
    }

    #[test]
    fn the_order_of_rules_in_a_file_means_nothing(a in drafted(), b in drafted(), request in request()) {
        let policies = [("a", &a), ("b", &b)];
        prop_assert_eq!(outcome(&policies, false, &request), outcome(&policies, true, &request));
    }

    #[test]
    fn the_names_and_order_of_files_mean_nothing_to_what_is_allowed(a in drafted(), b in drafted(), request in request()) {
        prop_assert_eq!(outcome(&[("a", &a), ("b", &b)], false, &request).0, outcome(&[("a", &b), ("b", &a)], false, &request).0);
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
        let rules = space(&[("a", &a), ("b", &b)], false).rules();
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
