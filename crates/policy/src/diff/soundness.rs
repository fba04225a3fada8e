//! Whatever is answered now and was not, or under lesser obligations, must be said: held against the decision itself.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use terms::{Purpose, RoleName};
use trust::Digest;

use super::{diff, widens};
use crate::collection::RowFilter;
use crate::example::{Files, ada, models_table};
use crate::{AccessRequest, Asked, Decision, Duty, Grant, Overlaps, Release, Rules, Sum, Transform, Zeros, decide};

const ROLES: [&str; 4] = ["hospital", "university", "public-health-office", "public-body"];
const MEMBERS: [&str; 3] = ["gbsg", "saarland-university", "health-office"];
const PURPOSES: [&str; 4] = ["ehds-53-1-c", "ehds-53-1-d", "ehds-53-1-e", "ehds-53-1-f"];
const COLUMNS: [&str; 4] = ["age", "grade", "meno", "node"];
/// Mornings, afternoons and a clock elsewhere.
const WINDOWS: [&str; 4] = [
    "",
    "when = [{ days = [\"tue\", \"wed\"], from = 08:00:00, until = 13:00:00, zone = \"Europe/Berlin\" }]\n",
    "when = [{ days = [\"tue\"], from = 12:00:00, until = 18:00:00, zone = \"Europe/Berlin\" }]\n",
    "when = [{ days = [\"tue\", \"wed\"], from = 08:00:00, until = 13:00:00, zone = \"America/New_York\" }]\n",
];
const RELEASES: [&str; 3] = ["aggregates", "models", "rows"];
const ROWS: [&str; 3] = ["", "rows = \"research_consent\"\n", "rows = \"other\"\n"];
const DUTIES: [&str; 3] = [
    "",
    "[[permission.duty]]\naction = \"delete\"\nwithin_days = 30\n",
    "[[permission.duty]]\naction = \"delete\"\nwithin_days = 60\n",
];

/// What rows show of the columns that they have.
const TRANSFORMS: [&[(&str, &str)]; 7] = [
    &[],
    &[("age", "\"bins\"")],
    &[("grade", "{ prefix = 1 }"), ("age", "\"mask\"")],
    &[("grade", "{ prefix = 2 }")],
    &[("grade", "\"mask\""), ("meno", "\"mask\"")],
    &[("age", "\"pseudonym\"")],
    &[("age", "\"bins\""), ("grade", "\"pseudonym\""), ("meno", "\"mask\"")],
];

fn some(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::subsequence(of, 1..=of.len()).prop_map(|items| format!("{items:?}"))
}

fn assignee() -> impl Strategy<Value = String> {
    let roles = some(&ROLES).prop_map(|roles| format!("{{ roles = {roles} }}"));
    let members = some(&MEMBERS).prop_map(|members| format!("{{ members = {members} }}"));
    let persons = Just("{ persons = [\"gbsg/ada\", \"health-office/otto\"] }".to_owned());
    let both = (some(&ROLES), some(&MEMBERS))
        .prop_map(|(roles, members)| format!("{{ roles = {roles}, members = {members} }}"));
    prop_oneof![4 => roles, 1 => members, 1 => persons, 1 => both]
}

fn permission() -> impl Strategy<Value = String> {
    let what = (
        assignee(),
        some(&PURPOSES),
        prop_oneof![3 => Just("none"), 1 => Just("required")],
        some(&COLUMNS),
    );
    let release = (
        prop::option::weighted(0.4, prop::sample::select(&TRANSFORMS)),
        prop::option::weighted(0.5, models_table()),
        prop::sample::select(vec!["", ", zeros = \"protected\""]),
    );
    let how = (
        prop::sample::select(&ROWS),
        prop::sample::select(&WINDOWS),
        2..4_u32,
        prop::sample::select(vec![
            "",
            ", queries = { per_week = 1 }",
            ", queries = { per_minute = 2, per_week = 3 }",
        ]),
        prop::sample::select(&DUTIES),
    );
    (what, how, release).prop_map(
        |((assignee, purposes, permit, columns), (rows, when, people, queries, duty), (transforms, models, zeros))| {
            let release = match (transforms, models) {
                (Some(transforms), models) => format!(
                    "permit = \"required\"\nrelease = \"rows\"\n{}{}",
                    transformed(transforms, &columns),
                    models.unwrap_or_default()
                ),
                (None, Some(models)) => format!("permit = \"{permit}\"\nrelease = \"models\"\n{models}"),
                (None, None) => format!("permit = \"{permit}\"\nrelease = \"aggregates\"\n"),
            };
            format!(
                "assignee = {assignee}\npurposes = {purposes}\n{release}columns = {columns}\n{rows}{when}\
                 disclosure = {{ tier = \"statistical\", min_people = {people}{zeros}{queries} }}\n{duty}"
            )
        },
    )
}

/// Those of the columns that are there.
fn transformed(transforms: &[(&str, &str)], columns: &str) -> String {
    let there = transforms.iter().filter(|(name, _)| columns.contains(name));
    let there: Vec<String> = there.map(|(name, shown)| format!("{name} = {shown}")).collect();
    format!("transforms = {{ {} }}\n", there.join(", "))
}

fn prohibition() -> impl Strategy<Value = String> {
    let matchers = (
        prop::option::of(assignee().prop_map(|text| format!("assignee = {text}\n"))),
        prop::option::of(some(&PURPOSES).prop_map(|text| format!("purposes = {text}\n"))),
        prop::option::of(some(&COLUMNS).prop_map(|text| format!("columns = {text}\n"))),
        prop::sample::select(&WINDOWS),
        prop::option::weighted(
            0.4,
            prop::sample::select(&RELEASES).prop_map(|of| format!("release = {of:?}\n")),
        ),
    );
    let matchers = matchers.prop_map(|(a, b, c, d, e)| {
        [a, b, c, Some(d.to_owned()), e]
            .into_iter()
            .flatten()
            .collect::<String>()
    });
    matchers.prop_filter("an empty prohibition is refused at load", |text| !text.is_empty())
}

/// The rules of one policy, and the last day on which they hold.
#[derive(Clone, Debug)]
struct Drafted {
    permissions: Vec<String>,
    prohibitions: Vec<String>,
    until: &'static str,
}

impl Drafted {
    fn text(&self) -> String {
        let until = self.until;
        let mut text = format!(
            "id = \"a\"\nversion = 1\ntitle = \"t\"\ncollection = \"breast-cancer\"\nvalid_from = 2026-01-01\nvalid_until = {until}\n"
        );
        for (n, rule) in self.permissions.iter().enumerate() {
            write!(text, "[[permission]]\nid = \"may-{n}\"\n{rule}").unwrap();
        }
        for (n, rule) in self.prohibitions.iter().enumerate() {
            write!(text, "[[prohibition]]\nid = \"no-{n}\"\n{rule}").unwrap();
        }
        text
    }
}

fn drafted() -> impl Strategy<Value = Drafted> {
    let permissions = prop::collection::vec(permission(), 1..4);
    let until = prop::sample::select(vec!["2026-12-31", "2027-12-31"]);
    (permissions, prop::collection::vec(prohibition(), 0..3), until).prop_map(|(permissions, prohibitions, until)| {
        Drafted {
            permissions,
            prohibitions,
            until,
        }
    })
}

/// Another draft that differs in one thing, so that what is gained is not lost among other changes.
fn change(of: Drafted) -> impl Strategy<Value = Drafted> {
    (0..6_usize, permission(), prohibition(), 0..4_usize).prop_map(move |(what, permission, prohibition, at)| {
        let mut other = of.clone();
        let (permissions, prohibitions) = (other.permissions.len(), other.prohibitions.len());
        match what {
            0 => other.permissions.push(permission),
            1 => drop(other.permissions.remove(at % permissions)),
            2 => other.permissions[at % permissions] = permission,
            3 if prohibitions > 0 => drop(other.prohibitions.remove(at % prohibitions)),
            4 if prohibitions > 0 => other.prohibitions[at % prohibitions] = prohibition,
            3 | 4 => other.until = "2027-12-31",
            _ => other.prohibitions.push(prohibition),
        }
        other
    })
}

/// A pair of drafts of which the second is a change of the first.
fn pair() -> impl Strategy<Value = (Drafted, Drafted)> {
    drafted().prop_flat_map(|before| (Just(before.clone()), change(before)))
}

/// A roster in which institutions have any roles.
fn roster() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(some(&ROLES), 3)
}

fn request() -> impl Strategy<Value = AccessRequest> {
    let caller = (
        prop::sample::select(&MEMBERS),
        prop::sample::select(vec!["ada", "otto", "eve"]),
        prop::sample::subsequence(&ROLES, 0..=4),
    );
    let what = (
        prop::sample::select(&PURPOSES),
        prop::sample::subsequence(&COLUMNS, 0..4),
        prop::bool::weighted(0.5),
        prop::sample::select(&Release::ALL),
    );
    let when = prop::sample::select(vec![
        "2026-11-24T10:00:00Z",
        "2026-11-24T11:30:00Z",
        "2026-11-24T16:00:00Z",
        "2026-11-25T14:00:00Z",
        "2026-11-27T10:00:00Z",
        "2027-02-02T10:00:00Z",
    ]);
    (caller, what, when, (0..3_u32, 0..4_u32)).prop_map(
        |((member, person, roles), (purpose, columns, permit, release), at, (minute, week))| {
            let mut request = ada();
            request.caller.member = member.parse().unwrap();
            request.caller.person = person.parse().unwrap();
            request.caller.roles = roles.iter().map(|role| role.parse::<RoleName>().unwrap()).collect();
            request.purpose = Some(purpose.parse::<Purpose>().unwrap());
            request.columns = columns.into_iter().map(str::to_owned).collect();
            request.permit = permit.then(|| "p".parse().unwrap());
            request.at = at.parse().unwrap();
            request.asked = Asked {
                minute,
                week,
                permit_minute: minute,
                permit_week: week,
            };
            request.release = release;
            request
        },
    )
}

fn rules(policy: &str, roster: &[String], permit_until: &str) -> Rules {
    let mut files = Files::new()
        .edit(
            "collections/breast-cancer.toml",
            "[filters.research_consent]",
            "[filters.other]\nsql = \"other\"\n\n[filters.research_consent]",
        )
        .without("policies/breast-cancer-research.toml")
        .put("policies/a.toml", policy);
    let mut members: toml::Table = crate::example::MEMBERS.parse().unwrap();
    for (member, roles) in members["member"].as_array_mut().unwrap().iter_mut().zip(roster) {
        let roles: toml::Table = format!("roles = {roles}").parse().unwrap();
        member
            .as_table_mut()
            .unwrap()
            .insert("roles".to_owned(), roles["roles"].clone());
    }
    files = files.put("members.toml", &toml::to_string(&members).unwrap());
    let persons = [
        "gbsg/ada",
        "gbsg/otto",
        "saarland-university/ada",
        "saarland-university/eve",
        "health-office/otto",
    ];
    let permit = format!(
        "id = \"p\"\nspace = \"oncology\"\ntitle = \"t\"\nkind = \"data-permit\"\nissuer = \"i\"\nissued = 2026-01-01\nholder = \"gbsg\"\n\
         persons = {persons:?}\npurposes = {PURPOSES:?}\nvalid_from = 2026-01-01\nvalid_until = {permit_until}\nopt_out = \"at-query\"\n\
         [[dataset]]\ncollection = \"breast-cancer\"\ncolumns = [\"age\", \"grade\", \"meno\"]\n"
    );
    let files = files.put("permits/p.toml", &permit);
    Rules::compile_files(1, Digest::of(b""), &files.0).unwrap_or_else(|report| panic!("{report}\n{policy}"))
}

/// Whether an answer is bound by less than another: written apart from what it tests.
fn is_laxer(before: &Grant, after: &Grant, columns: &BTreeSet<String>) -> bool {
    let filter = |grant: &Grant| match grant.row_filter() {
        Some(RowFilter::Sql(sql)) => Some(sql.clone()),
        Some(RowFilter::Consent(_)) | None => None,
    };
    let delete = |grant: &Grant| {
        let days = grant.duties().filter_map(|duty| match duty {
            Duty::Delete { within_days } => Some(*within_days),
            Duty::Attribute { .. } | Duty::PublishResults { .. } => None,
        });
        days.min()
    };
    let (old, new) = (delete(before), delete(after));
    let shown = |grant: &Grant, name: &String| grant.transforms().get(name).copied();
    let shows_more = |name: &String| match (shown(before, name), shown(after, name)) {
        (None, _) | (Some(_), Some(Transform::Mask)) => false,
        (Some(Transform::Prefix(old)), Some(Transform::Prefix(new))) => new > old,
        (Some(old), new) => new != Some(old),
    };
    columns.iter().any(shows_more)
        || is_laxer_of_fits(before, after)
        || before.disclosure().zeros == Zeros::Protected && after.disclosure().zeros == Zeros::Open
        || after.tier() < before.tier()
        || filter(before).is_some() && filter(before) != filter(after)
        || old.is_some_and(|old| new.is_none_or(|new| new > old))
}

/// Of requests for models.
fn is_laxer_of_fits(before: &Grant, after: &Grant) -> bool {
    let (Some(old), Some(new)) = (before.models(), after.models()) else {
        return false;
    };
    after.release() == Release::Models
        && (old.sum == Sum::Masked && new.sum == Sum::Plain
            || new.nodes_min < old.nodes_min
            || new.parameters_share > old.parameters_share
            || new.steps_max > old.steps_max
            || old.overlaps == Overlaps::Refuse && new.overlaps == Overlaps::Allow)
}

fn gains(before: &Rules, after: &Rules, request: &AccessRequest) -> bool {
    match (decide(before, request), decide(after, request)) {
        (Decision::Refuse(_), Decision::Allow(_)) => true,
        (Decision::Allow(before), Decision::Allow(after)) => is_laxer(&before, &after, &request.columns),
        (_, Decision::Refuse(_)) => false,
    }
}

fn from() -> terms::UtcTime {
    "2026-11-24T09:00:00Z".parse().unwrap()
}

/// A permission of rows for everybody, with these transforms.
fn of_rows(transforms: usize, columns: &[&str], days: u32) -> String {
    let columns = format!("{columns:?}");
    format!(
        "assignee = {{ roles = {ROLES:?} }}\npurposes = [\"ehds-53-1-e\"]\npermit = \"required\"\nrelease = \"rows\"\n{}\
         columns = {columns}\ndisclosure = {{ tier = \"statistical\", min_people = 3 }}\n\
         [[permission.duty]]\naction = \"delete\"\nwithin_days = {days}\n",
        transformed(TRANSFORMS[transforms], &columns)
    )
}

/// One to three permissions that differ in what they show, of which columns, and in a duty.
fn shown() -> impl Strategy<Value = Drafted> {
    let one = (
        0..TRANSFORMS.len(),
        prop::sample::subsequence(&COLUMNS, 2..=4),
        1..3_u32,
    );
    prop::collection::vec(one, 1..4).prop_map(|all| Drafted {
        permissions: all
            .into_iter()
            .map(|(shown, columns, days)| of_rows(shown, &columns, days))
            .collect(),
        prohibitions: Vec::new(),
        until: "2027-12-31",
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(250) })]

    #[test]
    fn whatever_is_newly_answered_or_with_less_is_flagged(
        (before, after) in pair(),
        roles in roster(),
        requests in prop::collection::vec(request(), 120),
    ) {
        let (before, after) = (rules(&before.text(), &roles, "2027-12-31"), rules(&after.text(), &roles, "2027-12-31"));
        for (before, after) in [(&before, &after), (&after, &before)] {
            let flagged = widens(&diff(before, after, from()));
            let gained = requests.iter().find(|request| gains(before, after, request));
            prop_assert!(flagged || gained.is_none(), "{gained:?}");
        }
    }

    #[test]
    fn whatever_is_shown_of_more_columns_or_more_of_them_is_flagged(before in shown(), after in shown()) {
        let roles: Vec<String> = MEMBERS.iter().map(|_| format!("{ROLES:?}")).collect();
        let (before, after) = (rules(&before.text(), &roles, "2027-12-31"), rules(&after.text(), &roles, "2027-12-31"));
        let flagged = widens(&diff(&before, &after, from()));
        for number in 0..1_usize << COLUMNS.len() {
            let columns = COLUMNS.iter().enumerate().filter(|(at, _)| number >> at & 1 == 1);
            let mut request = ada();
            request.columns = columns.map(|(_, name)| (*name).to_owned()).collect();
            request.permit = Some("p".parse().unwrap());
            request.release = Release::Rows;
            prop_assert!(flagged || !gains(&before, &after, &request), "{request:?}");
        }
    }

    #[test]
    fn whatever_another_roster_or_permit_opens_is_flagged(
        draft in drafted(),
        roles_before in roster(),
        roles_after in roster(),
        until in prop::sample::select(vec!["2026-11-20", "2026-12-31", "2027-12-31"]),
        requests in prop::collection::vec(request(), 120),
    ) {
        let (before, after) = (rules(&draft.text(), &roles_before, until), rules(&draft.text(), &roles_after, "2026-12-31"));
        for (before, after) in [(&before, &after), (&after, &before)] {
            let flagged = widens(&diff(before, after, from()));
            let gained = requests.iter().find(|request| gains(before, after, request));
            prop_assert!(flagged || gained.is_none(), "{gained:?}");
        }
    }

    #[test]
    fn equal_rules_do_not_differ(draft in drafted(), roles in roster()) {
        let text = draft.text();
        prop_assert!(diff(&rules(&text, &roles, "2027-12-31"), &rules(&text, &roles, "2027-12-31"), from()).is_empty());
    }
}
