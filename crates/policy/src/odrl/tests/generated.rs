//! Whatever a board may write comes back.

use proptest::prelude::*;

use super::require_round_trip;
use crate::example::{Files, models_table};

const ROLES: [&str; 3] = ["hospital", "university", "public-health-office"];
const MEMBERS: [&str; 3] = ["gbsg", "saarland-university", "gone-already"];
const PERSONS: [&str; 3] = ["gbsg/ada", "saarland-university/ada", "saarland-university/bo-2"];
const PERMITTED: [&str; 6] = [
    "ehds-53-1-a",
    "ehds-53-1-b",
    "ehds-53-1-c",
    "ehds-53-1-d",
    "ehds-53-1-e",
    "ehds-53-1-f",
];
const PURPOSES: [&str; 4] = ["ehds-53-1-a", "ehds-54-a", "ehds-54-c", "ehds-54-e"];
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const ZONES: [&str; 3] = ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"];

/// The names of a collection that rules may use.
#[derive(Clone, Copy, Debug)]
struct Names {
    collection: &'static str,
    columns: &'static [&'static str],
    personal: bool,
}

const BREAST_CANCER: Names = Names {
    collection: "breast-cancer",
    columns: &["age", "diagnosed_on", "grade", "meno", "relapse_free_days", "node"],
    personal: true,
};

const BEDS: Names = Names {
    collection: "beds",
    columns: &["district", "beds", "node"],
    personal: false,
};

fn some(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    let shuffled = prop::sample::subsequence(of, 1..=of.len()).prop_shuffle();
    shuffled.prop_map(|items| format!("{items:?}"))
}

/// Any line that a title or an attribution may be, with all that means something in TOML, JSON or RDF.
fn line_of_text() -> impl Strategy<Value = String> {
    let text = prop::string::string_regex("[a-zA-Z0-9ÄöüßΩ漢🙂 '\"\\\\{}\\[\\]<>@^#=:,./$%~_-]{1,40}").unwrap();
    let visible = text.prop_filter("not blank", |text| !text.trim().is_empty());
    visible.prop_map(|text| toml::Value::String(text).to_string())
}

/// `key = value` and a line's end, or nothing.
fn maybe(key: &'static str, value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::option::of(value).prop_map(move |value| value.map_or(String::new(), |value| format!("{key} = {value}\n")))
}

fn assignee() -> impl Strategy<Value = String> {
    let keys = (
        prop::option::of(some(&ROLES)),
        prop::option::of(some(&MEMBERS)),
        prop::option::of(some(&PERSONS)),
    );
    let any = keys.prop_filter("somebody", |(roles, members, persons)| {
        roles.is_some() || members.is_some() || persons.is_some()
    });
    any.prop_map(|(roles, members, persons)| {
        let keys = [("roles", roles), ("members", members), ("persons", persons)];
        let parts = keys
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key} = {}", value?)));
        format!("{{ {} }}", parts.collect::<Vec<_>>().join(", "))
    })
}

fn windows() -> impl Strategy<Value = String> {
    let clock = || (0..24_u8, 0..60_u8).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}:00"));
    let window =
        (some(&DAYS), clock(), clock(), prop::sample::select(&ZONES[..])).prop_map(|(days, from, until, zone)| {
            format!("{{ days = {days}, from = {from}, until = {until}, zone = \"{zone}\" }}")
        });
    prop::collection::vec(window, 1..3).prop_map(|windows| format!("[{}]", windows.join(", ")))
}

fn duties(table: &'static str) -> impl Strategy<Value = String> {
    let delete = prop::option::of(1..=3_660_u32)
        .prop_map(|days| days.map(|days| format!("action = \"delete\"\nwithin_days = {days}\n")));
    let publish = prop::option::of(1..=3_660_u32)
        .prop_map(|days| days.map(|days| format!("action = \"publish-results\"\nwithin_days = {days}\n")));
    let attribute = prop::option::of(line_of_text())
        .prop_map(|text| text.map(|text| format!("action = \"attribute\"\ntext = {text}\n")));
    (delete, publish, attribute).prop_map(move |(delete, publish, attribute)| {
        let duties = [publish, delete, attribute].into_iter().flatten();
        duties.map(|duty| format!("[[{table}]]\n{duty}")).collect()
    })
}

fn disclosure(personal: bool) -> impl Strategy<Value = String> {
    let quota = prop_oneof![
        Just(String::new()),
        (1..u32::MAX).prop_map(|most| format!("queries = {{ per_minute = {most} }}\n")),
        (1..u32::MAX).prop_map(|most| format!("queries = {{ per_week = {most} }}\n")),
        (1..99_u32, 1..u32::MAX)
            .prop_map(|(minute, week)| format!("queries = {{ per_week = {week}, per_minute = {minute} }}\n")),
    ];
    let share = 0.000_000_001..0.999_999_f64;
    let dominance = maybe(
        "dominance",
        (1..9_u32, share).prop_map(|(top, share)| format!("{{ top = {top}, share = {share} }}")),
    );
    let p_percent = maybe("p_percent", (1..=100_u32).prop_map(|number| number.to_string()));
    let round_to = maybe("round_to", (1..=1_000_000_u32).prop_map(|number| number.to_string()));
    let zeros = maybe(
        "zeros",
        prop::sample::select(vec!["\"open\"".to_owned(), "\"protected\"".to_owned()]),
    );
    let checks = (dominance, p_percent, round_to, zeros).prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}"));
    let statistical = (2..1_000_u32, checks, quota.clone())
        .prop_map(|(people, checks, quota)| format!("tier = \"statistical\"\nmin_people = {people}\n{checks}{quota}"));
    let open = quota.prop_map(|quota| format!("tier = \"open\"\n{quota}"));
    if personal {
        statistical.boxed()
    } else {
        prop_oneof![statistical, open].boxed()
    }
}

/// What rows can show of each of the columns.
fn transform(column: &str) -> BoxedStrategy<String> {
    let fixed = |texts: &[&str]| prop::sample::select(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    let prefix = (1..=64_u32).prop_map(|characters| format!("{{ prefix = {characters} }}"));
    match column {
        "age" => fixed(&["\"bins\"", "\"mask\"", "\"pseudonym\""]).boxed(),
        "diagnosed_on" => {
            let units = ["month", "quarter", "year"].map(|unit| format!("{{ truncate = \"{unit}\" }}"));
            prop::sample::select(units.to_vec()).boxed()
        }
        "grade" | "district" => prop_oneof![prefix, fixed(&["\"mask\"", "\"pseudonym\""])].boxed(),
        _ => fixed(&["\"mask\""]).boxed(),
    }
}

/// Transforms of some of these columns, for a permission of rows that has them all.
fn transforms(names: Names) -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let columns: Vec<&'static str> = names.columns.iter().copied().filter(|name| *name != "node").collect();
    let some = prop::sample::subsequence(columns, 0..=names.columns.len() - 1).prop_shuffle();
    some.prop_flat_map(|columns| {
        let each: Vec<_> = columns
            .into_iter()
            .map(|column| (Just(column), transform(column)))
            .collect();
        each
    })
}

fn permission(names: Names) -> impl Strategy<Value = String> {
    let release = prop::sample::select(vec!["aggregates", "models", "rows"]);
    let rows = maybe("rows", Just("\"research_consent\"".to_owned()));
    let first = (
        assignee(),
        some(&PERMITTED),
        prop::sample::select(vec!["none", "required"]),
        release,
        some(names.columns),
    );
    let second = (
        rows,
        maybe("when", windows()),
        disclosure(names.personal),
        duties("permission.duty"),
        (transforms(names), models_table(), any::<bool>()),
    );
    (first, second).prop_map(
        move |(
            (assignee, purposes, permit, release, columns),
            (rows, when, disclosure, duties, (transforms, table, with_table)),
        )| {
            let rows = if names.personal { rows } else { String::new() };
            let needs_permit = release == "rows" && disclosure.contains("statistical");
            let permit = if needs_permit { "required" } else { permit };
            let shown = match release == "rows" {
                true => transformed(&transforms, &columns),
                false => String::new(),
            };
            let may_have = release != "aggregates" && disclosure.contains("statistical");
            let models = match may_have && (with_table || release == "models") {
                true => table,
                false => String::new(),
            };
            format!(
                "assignee = {assignee}\npurposes = {purposes}\npermit = \"{permit}\"\nrelease = \"{release}\"\n\
             columns = {columns}\n{rows}{when}{models}[permission.disclosure]\n{disclosure}{shown}{duties}"
            )
        },
    )
}

fn transformed(transforms: &[(&str, String)], columns: &str) -> String {
    let listed = transforms
        .iter()
        .filter(|(name, _)| columns.contains(&format!("{name:?}")));
    let lines: String = listed.map(|(name, shown)| format!("{name} = {shown}\n")).collect();
    format!("[permission.transforms]\n{lines}")
}

fn prohibition(names: Names) -> impl Strategy<Value = String> {
    let release = prop::sample::select(["\"rows\"", "\"models\"", "\"aggregates\""].map(str::to_owned).to_vec());
    let keys = (
        maybe("assignee", assignee()),
        maybe("purposes", some(&PURPOSES)),
        maybe("release", release),
        maybe("columns", some(names.columns)),
        maybe("when", windows()),
    );
    let texts = keys.prop_map(|(assignee, purposes, release, columns, when)| {
        format!("{assignee}{purposes}{release}{columns}{when}")
    });
    texts.prop_filter("it says something", |text| !text.is_empty())
}

fn policy() -> impl Strategy<Value = String> {
    let names = prop_oneof![2 => Just(BREAST_CANCER), 1 => Just(BEDS)];
    let rules = names.prop_flat_map(|names| {
        let permissions = prop::collection::vec(permission(names), 0..3);
        (
            Just(names),
            permissions,
            prop::collection::vec(prohibition(names), 0..3),
        )
    });
    let dates = ("[0-9]{3}[1-9]-0[1-9]-[12][0-8]", 0..400_i32).prop_map(|(from, days)| {
        let first: jiff::civil::Date = from.parse().unwrap();
        let last = first.saturating_add(jiff::Span::new().days(days));
        format!("valid_from = {first}\nvalid_until = {last}\n")
    });
    (rules, line_of_text(), 1..=i64::MAX, dates, duties("duty")).prop_map(
        |((names, permissions, prohibitions), title, version, dates, duties)| {
            let head = format!(
                "id = \"generated\"\nversion = {version}\ntitle = {title}\ncollection = \"{}\"\n",
                names.collection
            );
            let numbered = |kind: &str, rules: Vec<String>| -> String {
                let rule = |(at, rule): (usize, String)| format!("[[{kind}]]\nid = \"{kind}-{at}\"\n{rule}");
                rules.into_iter().enumerate().map(rule).collect()
            };
            let (permissions, prohibitions) = (
                numbered("permission", permissions),
                numbered("prohibition", prohibitions),
            );
            format!("{head}{dates}{duties}{permissions}{prohibitions}")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_policy_says_the_same_after_export_and_import(text in policy()) {
        require_round_trip(&Files::new().put("policies/generated.toml", &text));
    }
}
