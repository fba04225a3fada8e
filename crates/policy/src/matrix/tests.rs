//! What the matrix says is what is decided: held to brute force over requests, on a roster of its own.

mod shipped;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use terms::{PolicyId, Purpose, RuleId, UtcTime};

use super::kinds::Kind;
use super::layout::WIDTH;
use super::reach::{Given, GivenBy, Reach};
use crate::cases::shipped as repository;
use crate::example::{Files, with_rows};
use crate::{AccessRequest, Asked, Caller, Decision, Lang, Release, Rules, decide, matrix};

const PATH: &str = "policies/breast-cancer-research.toml";

const HEAD: &str = r#"
id          = "breast-cancer-research"
version     = 1
title       = "Of the tests"
collection  = "breast-cancer"
valid_from  = 2026-01-05
valid_until = 2026-01-20
"#;

/// Permissions that differ in everything that a cell can say.
const PERMISSIONS: [&str; 10] = [
    r#"assignee = { roles = ["university"] }
purposes = ["ehds-53-1-c", "ehds-53-1-e"]
permit = "none"
release = "aggregates"
columns = ["age", "grade"]
disclosure = { tier = "statistical", min_people = 10 }"#,
    r#"assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit = "required"
release = "aggregates"
columns = ["age", "grade", "node"]
disclosure = { tier = "statistical", min_people = 3 }"#,
    r#"assignee = { roles = ["university", "hospital"] }
purposes = ["ehds-53-1-e", "ehds-53-1-d"]
permit = "none"
release = "aggregates"
columns = ["meno"]
when = [{ days = ["mon", "fri"], from = 22:00:00, until = 06:00:00, zone = "Europe/Berlin" }]
disclosure = { tier = "statistical", min_people = 5 }"#,
    r#"assignee = { members = ["gbsg"], roles = ["hospital"] }
purposes = ["ehds-53-1-a"]
permit = "none"
release = "aggregates"
columns = ["age"]
disclosure = { tier = "statistical", min_people = 5 }"#,
    r#"assignee = { persons = ["gbsg/ada", "health-office/otto"] }
purposes = ["ehds-53-1-e"]
permit = "none"
release = "aggregates"
columns = []
disclosure = { tier = "statistical", min_people = 5 }"#,
    r#"assignee = { roles = ["public-body"] }
purposes = ["ehds-53-1-a", "ehds-53-1-b"]
permit = "required"
release = "aggregates"
columns = ["age", "meno"]
disclosure = { tier = "statistical", min_people = 4 }"#,
    r#"assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e", "ehds-53-1-d"]
permit = "required"
release = "rows"
columns = ["age", "grade", "meno"]
transforms = { age = "bins" }
disclosure = { tier = "statistical", min_people = 10, zeros = "protected" }"#,
    r#"assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e", "ehds-53-1-d"]
permit = "required"
release = "rows"
columns = ["age", "grade", "node"]
transforms = { grade = { prefix = 1 } }
disclosure = { tier = "statistical", min_people = 10 }"#,
    r#"assignee = { roles = ["university", "hospital"] }
purposes = ["ehds-53-1-e", "ehds-53-1-d"]
permit = "required"
release = "rows"
columns = ["age", "grade", "meno"]
transforms = { grade = "mask", meno = "mask" }
disclosure = { tier = "statistical", min_people = 10 }"#,
    r#"assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e", "ehds-53-1-d"]
permit = "none"
release = "models"
columns = ["age", "grade"]
disclosure = { tier = "statistical", min_people = 10 }
models = { sum = "masked" }"#,
];

const PROHIBITIONS: [&str; 9] = [
    "columns = [\"grade\"]",
    "purposes = [\"ehds-53-1-e\"]\ncolumns = [\"age\"]",
    "assignee = { members = [\"gbsg\"] }",
    "assignee = { roles = [\"hospital\"] }\npurposes = [\"ehds-53-1-e\"]",
    "release = \"rows\"",
    "when = [{ days = [\"tue\"], from = 09:00:00, until = 17:00:00, zone = \"America/New_York\" }]",
    "assignee = { persons = [\"gbsg/ada\"] }\ncolumns = [\"age\", \"meno\"]",
    "release = \"models\"",
    "release = \"rows\"\ncolumns = [\"grade\"]",
];

/// Another policy of the collection, in force for a part of the time, that gives more and forbids something.
const OTHER: &str = r#"
id          = "another"
version     = 1
title       = "Beside it"
collection  = "breast-cancer"
valid_from  = 2026-01-12
valid_until = 2026-12-31

[[permission]]
id = "less-demanding"
assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit = "none"
release = "aggregates"
columns = ["grade"]
disclosure = { tier = "statistical", min_people = 2 }

[[prohibition]]
id = "no-node"
columns = ["node"]
"#;

fn policy(permissions: &[usize], prohibitions: &[usize]) -> String {
    let permissions = permissions
        .iter()
        .map(|at| format!("\n[[permission]]\nid = \"p{at}\"\n{}\n", PERMISSIONS[*at]));
    let prohibitions = prohibitions
        .iter()
        .map(|at| format!("\n[[prohibition]]\nid = \"f{at}\"\n{}\n", PROHIBITIONS[*at]));
    std::iter::once(HEAD.to_owned())
        .chain(permissions)
        .chain(prohibitions)
        .collect()
}

fn id() -> PolicyId {
    "breast-cancer-research".parse().unwrap()
}

/// The files with a roster in which somebody of this kind is, and with a permit for them.
fn beside(files: &Files, kind: &Kind) -> (Rules, Caller) {
    let caller = Caller {
        member: kind.member.clone().unwrap_or_else(|| "elsewhere".parse().unwrap()),
        person: kind.person.clone().unwrap_or_else(|| "nobody-special".parse().unwrap()),
        roles: kind.roles.clone(),
    };
    let roles: Vec<&str> = kind.roles.iter().map(terms::RoleName::as_str).collect();
    let acts_for = if kind.public { "acts_for = [\"ministry\"]" } else { "" };
    let Caller { member, person, .. } = &caller;
    let members = format!(
        "[[member]]\nid = \"{member}\"\ntitle = \"It\"\nroles = {roles:?}\n{acts_for}\n\
         key = \"ed25519:PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw\"\n\
         [[member]]\nid = \"ministry\"\ntitle = \"Ministry\"\nroles = [\"public-body\"]\n\
         key = \"ed25519:_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU\"\n"
    );
    let permit = format!(
        "id = \"project\"\nspace = \"oncology\"\ntitle = \"Project\"\nkind = \"data-permit\"\nissuer = \"Access body\"\n\
         issued = 2025-01-01\nholder = \"{member}\"\npersons = [\"{member}/{person}\"]\n\
         purposes = [\"ehds-53-1-a\", \"ehds-53-1-b\", \"ehds-53-1-c\", \"ehds-53-1-d\", \"ehds-53-1-e\", \"ehds-53-1-f\"]\n\
         valid_from = 2025-01-01\nvalid_until = 2030-01-01\nopt_out = \"at-query\"\n\
         [[dataset]]\ncollection = \"breast-cancer\"\ncolumns = [\"age\", \"grade\", \"meno\"]\n"
    );
    let files = files
        .clone()
        .put("members.toml", &members)
        .put("permits/project.toml", &permit);
    (files.rules(), caller)
}

/// All sets of the columns that the rules name.
fn column_sets() -> Vec<BTreeSet<String>> {
    let names = ["age", "grade", "meno", "node"];
    (0..16_usize)
        .map(|bits| {
            let chosen = names.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
            chosen.map(|(_, name)| (*name).to_owned()).collect()
        })
        .collect()
}

/// Every fourth hour of the days on which the policy is in force.
fn hours() -> Vec<UtcTime> {
    let first: UtcTime = "2026-01-05T00:30:00Z".parse().unwrap();
    (0..16 * 6)
        .map(|watch| first + SignedDuration::from_hours(4 * watch))
        .collect()
}

/// What was granted: by which rule, when, over which columns.
type Granted = (GivenBy, UtcTime, BTreeSet<String>);

fn everything_granted(rules: &Rules, caller: &Caller, purpose: Purpose) -> Vec<Granted> {
    let mut all = Vec::new();
    for release in Release::ALL {
        for with_permit in [false, true] {
            for columns in column_sets() {
                for at in hours() {
                    let request = AccessRequest {
                        caller: caller.clone(),
                        purpose: Some(purpose),
                        permit: with_permit.then(|| "project".parse().unwrap()),
                        collection: "breast-cancer".parse().unwrap(),
                        release,
                        columns: columns.clone(),
                        asked: Asked::default(),
                        at,
                    };
                    if let Decision::Allow(grant) = decide(rules, &request) {
                        let by = GivenBy {
                            policy: grant.policy().clone(),
                            permission: grant.rule().clone(),
                            release,
                            with_permit,
                        };
                        all.push((by, at, columns.clone()));
                    }
                }
            }
        }
    }
    all
}

fn columns_of(rules: &Rules, rule: &RuleId) -> BTreeSet<String> {
    let policy = rules.policy(&id()).unwrap();
    let permission = policy.permissions.iter().find(|permission| permission.id == *rule);
    permission.unwrap().columns.clone()
}

/// Holds one cell to everything that is granted.
fn check(rules: &Rules, cell: &[Given], granted: &[Granted], place: &str) {
    let own = |by: &GivenBy| by.policy == id();
    for (by, _, columns) in granted.iter().filter(|(by, ..)| own(by)) {
        let given = cell.iter().find(|given| {
            let same = (&given.by.permission, given.by.release) == (&by.permission, by.release);
            same && (by.with_permit || !given.by.with_permit)
        });
        let given = given.unwrap_or_else(|| panic!("{place}: {by:?} grants {columns:?} and is not in {cell:?}"));
        assert!(
            given.without.is_disjoint(columns),
            "{place}: {given:?} grants {columns:?}"
        );
    }
    for given in cell {
        let by_it = || granted.iter().filter(|(by, ..)| *by == given.by);
        assert!(by_it().next().is_some(), "{place}: {given:?} is never granted");
        if !own(&given.by) {
            continue;
        }
        // All its columns are granted together, at the times at which anything is, by it or by what demands less.
        let most: BTreeSet<String> = columns_of(rules, &given.by.permission)
            .difference(&given.without)
            .cloned()
            .collect();
        let times: BTreeSet<UtcTime> = granted
            .iter()
            .filter(|(by, _, columns)| {
                (by.release, by.with_permit) == (given.by.release, given.by.with_permit) && *columns == most
            })
            .map(|(_, at, _)| *at)
            .collect();
        assert!(!times.is_empty(), "{place}: {given:?} grants {most:?} at no time");
        if given.always {
            assert_eq!(times.len(), hours().len(), "{place}: {given:?} is not always");
        }
    }
}

#[test]
fn every_cell_is_what_is_decided_for_everybody_of_its_kind() {
    let mut cells = 0;
    let pairs = [
        [0, 1],
        [0, 2],
        [1, 2],
        [2, 4],
        [3, 4],
        [0, 5],
        [3, 5],
        [0, 6],
        [6, 7],
        [6, 8],
        [7, 8],
        [6, 9],
        [1, 9],
    ];
    for (number, permissions) in pairs.iter().enumerate() {
        for first in 0..PROHIBITIONS.len() {
            let prohibitions = [first, (first + 1 + number) % PROHIBITIONS.len()];
            let prohibitions = &prohibitions[..1 + usize::from(prohibitions[0] != prohibitions[1])];
            let mut files = Files::new().put(PATH, &policy(permissions, prohibitions));
            if (first + number) % 3 == 0 {
                files = files.put("policies/another.toml", OTHER);
            }
            let rules = files.rules();
            let policy = rules.policy(&id()).unwrap();
            // A few kinds of each space, other ones in each, so that the test ends soon.
            let rows = Reach::of(&rules, policy).unwrap().rows();
            for row in rows.iter().skip((first + number) % 3).step_by(3) {
                let (rules, caller) = beside(&files, &row.kind);
                let (purpose, cell) = &row.cells[(first * 5 + number + cells) % 6];
                let granted = everything_granted(&rules, &caller, *purpose);
                let place = format!("{permissions:?} {prohibitions:?} {:?} {purpose}", row.kind);
                check(&rules, cell, &granted, &place);
                cells += 1;
            }
        }
    }
    assert!(cells > 50, "{cells}");
}

#[test]
fn nobody_who_is_of_no_kind_gets_anything() {
    let all: Vec<usize> = (0..PERMISSIONS.len()).collect();
    let rules = Files::new().put(PATH, &policy(&all, &[])).rules();
    let rows = Reach::of(&rules, rules.policy(&id()).unwrap()).unwrap().rows();
    let last = rows.last().unwrap();
    assert_eq!(last.kind, Kind::default());
    assert!(last.cells.iter().all(|(_, given)| given.is_empty()));
}

#[test]
fn what_is_open_at_some_hours_or_without_some_columns_says_so() {
    let text = |permissions: &[usize], prohibitions: &[usize], lang| {
        matrix(
            &Files::new().put(PATH, &policy(permissions, prohibitions)).rules(),
            &id(),
            lang,
        )
        .unwrap()
    };
    assert!(text(&[2], &[], Lang::En).contains("at times"));
    assert!(text(&[2], &[], Lang::De).contains("zeitweise"));
    assert!(!text(&[0], &[], Lang::En).contains("at times"));
    assert!(text(&[0], &[5], Lang::En).contains("at times"));
    assert!(text(&[0], &[0], Lang::En).contains("without"));
    assert!(text(&[1], &[], Lang::En).contains("with permit"));
    assert!(text(&[0], &[2], Lang::En).contains("member gbsg"));
}

#[test]
fn the_matrix_depends_on_the_rules_alone() {
    let files = Files::new();
    let before = matrix(&files.rules(), &id(), Lang::En).unwrap();
    let others = "[[member]]\nid = \"alone\"\ntitle = \"Alone\"\nroles = []\n\
                  key = \"ed25519:_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU\"\n";
    let mut stops = crate::Stops::default();
    stops.policies.insert(id());
    let rules = files.put("members.toml", others).rules().with_stops(stops);
    assert_eq!(matrix(&rules, &id(), Lang::En).unwrap(), before);
    assert_eq!(matrix(&rules, &"nothing".parse().unwrap(), Lang::En), None);
}

#[test]
fn no_line_is_wider_than_a_page_in_either_language() {
    let long = format!("\"{}\", \"{}\"", "word ".repeat(30).trim(), "x".repeat(180));
    let files = Files::new().edit("collections/breast-cancer.toml", "\"1\", \"2\", \"3\"", &long);
    let mut all = vec![files.rules()];
    all.extend(repository::all().iter().map(repository::Shipped::rules));
    for rules in all {
        for policy in rules.policies() {
            for lang in [Lang::De, Lang::En] {
                let text = matrix(&rules, &policy.id, lang).unwrap();
                for line in text.lines() {
                    assert!(line.chars().count() <= WIDTH && line == line.trim_end(), "{line}");
                }
            }
        }
    }
}

fn rows_in_words(transforms: &str, lang: Lang) -> String {
    let rules = with_rows(transforms).rules();
    let text = matrix(&rules, &"breast-cancer-rows".parse().unwrap(), lang).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn rows_under_a_data_permit_say_what_is_shown_of_each_column_and_how_statistics_are_checked() {
    let transforms = "age = \"bins\"\ndiagnosed_on = { truncate = \"quarter\" }\ngrade = { prefix = 1 }";
    let en = rows_in_words(transforms, Lang::En);
    let de = rows_in_words(transforms, Lang::De);
    for (text, says) in [
        (
            &en,
            "of age: only the range; of diagnosed_on: only the quarter; of grade: only the first character",
        ),
        (
            &en,
            "single rows under a data permit only, without checks of numbers; of statistics: no number about fewer than 10",
        ),
        (
            &de,
            "von age: nur der Bereich; von diagnosed_on: nur das Quartal; von grade: nur das erste Zeichen",
        ),
        (
            &de,
            "einzelne Zeilen nur unter einer Datengenehmigung, ohne Prüfung von Zahlen; für Statistik: keine Zahl über",
        ),
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    // Nobody is told that rows come from ten people on.
    assert!(en.contains("rows [1]") && !en.contains("rows from"), "{en}");
    // Where values are shown as they are, nothing is said of them.
    assert!(!rows_in_words("", Lang::En).contains("of age:"));
}

#[test]
fn withheld_zeros_are_said_in_both_languages() {
    let policy = policy(&[6], &[]).replace("transforms = { age = \"bins\" }\n", "");
    let rules = Files::new().put(PATH, &policy).rules();
    let text = |lang| {
        let text = matrix(&rules, &id(), lang).unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(text(Lang::En).contains("nor that nobody is in a cell"));
    assert!(text(Lang::De).contains("auch nicht, dass niemand in einer Zelle ist"));
    let open = Files::new().rules();
    assert!(!matrix(&open, &id(), Lang::En).unwrap().contains("nobody is in a cell"));
}
