//! Of several permissions that cover a request, the one that demands least counts; nothing is mixed from two.

use terms::Problem;

use super::{PATH, allow, columns, refuse};
use crate::example::{Files, PERMIT, ada};
use crate::{AccessRequest, Duty, Release, Rules, Tier};

/// A policy with one permission over ages for research.
fn another(id: &str, people: u32, rest: &str) -> String {
    let head =
        "version = 1\ntitle = \"t\"\ncollection = \"breast-cancer\"\nvalid_from = 2026-01-01\nvalid_until = 2026-12-31";
    let whom = "assignee = { roles = [\"university\"] }\npurposes = [\"ehds-53-1-e\"]\npermit = \"none\"";
    let what = "release = \"aggregates\"\ncolumns = [\"age\"]";
    let tier = format!("disclosure = {{ tier = \"statistical\", min_people = {people} }}");
    format!("id = \"{id}\"\n{head}\n[[permission]]\nid = \"p\"\n{whom}\n{what}\n{tier}\n{rest}\n")
}

/// Which of two policies decides, whichever of them is named first.
fn decides(one: (u32, &str), other: (u32, &str)) -> &'static str {
    let decided = |first: &str, second: &str| {
        let files = Files::new().without(PATH);
        let files = files.put(&format!("policies/{first}.toml"), &another(first, one.0, one.1));
        let files = files.put(&format!("policies/{second}.toml"), &another(second, other.0, other.1));
        allow(&files.rules(), &ada()).policy().to_string()
    };
    match (decided("a", "b").as_str(), decided("b", "a").as_str()) {
        ("a", "b") => "one",
        ("b", "a") => "other",
        _ => "first by id",
    }
}

#[test]
fn the_permission_that_demands_least_counts() {
    let filter = "rows = \"research_consent\"";
    let delete = |days: u32| format!("duty = [{{ action = \"delete\", within_days = {days} }}]");
    let publish = "duty = [{ action = \"publish-results\", within_days = 30 }]";
    let attribute = "duty = [{ action = \"attribute\", text = \"gbsg\" }]";
    let more = [
        ((3, ""), (20, "")),
        ((10, ""), (10, filter)),
        ((10, ""), (10, &delete(30))),
        ((10, ""), (10, publish)),
        ((10, ""), (10, attribute)),
        ((10, &delete(90)), (10, &delete(30))),
        ((3, filter), (20, "")),
    ];
    for (least, other) in more {
        assert_eq!(decides(least, other), "one", "{least:?} {other:?}");
    }
    assert_eq!(decides((10, ""), (10, "")), "first by id");
    assert_eq!(decides((10, filter), (10, filter)), "first by id");
}

#[test]
fn duties_of_the_policy_are_demands_of_its_permissions() {
    let strict = another("a", 10, "[[duty]]\naction = \"delete\"\nwithin_days = 30\n");
    let files = Files::new().without(PATH).put("policies/a.toml", &strict);
    let grant = allow(&files.rules(), &ada());
    let duties: Vec<&Duty> = grant.duties().collect();
    assert_eq!(duties, [&Duty::Delete { within_days: 30 }]);
    let files = files.put("policies/b.toml", &another("b", 10, ""));
    assert_eq!(allow(&files.rules(), &ada()).policy().as_str(), "b");
}

#[test]
fn two_permissions_are_never_put_together() {
    let grades = another("b", 10, "").replace("\"age\"", "\"grade\"");
    let files = Files::new().without(PATH);
    let files = files
        .put("policies/a.toml", &another("a", 10, ""))
        .put("policies/b.toml", &grades);
    let request = AccessRequest {
        columns: columns(&["age", "grade"]),
        ..ada()
    };
    assert_eq!(refuse(&files.rules(), &request).problem, Problem::NoPermission);
}

#[test]
fn duties_of_the_policy_come_before_those_of_its_permission() {
    let files = Files::new()
        .edit(
            PATH,
            "[permission.disclosure]",
            "[[permission.duty]]\naction = \"attribute\"\ntext = \"Breast cancer study group\"\n[permission.disclosure]",
        )
        .edit(PATH, "[[prohibition]]", "[[duty]]\naction = \"delete\"\nwithin_days = 90\n[[prohibition]]");
    let grant = allow(&files.rules(), &ada());
    let told: Vec<String> = grant.duties().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["delete within 90 days", "name the source: Breast cancer study group"]
    );
    assert!(matches!(grant.tier(), Tier::Statistical { .. }));
}

#[test]
fn withheld_zeros_are_a_demand() {
    let strict = another("a", 10, "").replace("min_people = 10", "min_people = 10, zeros = \"protected\"");
    let files = Files::new().without(PATH).put("policies/a.toml", &strict);
    assert_eq!(allow(&files.rules(), &ada()).policy().as_str(), "a");
    let files = files.put("policies/b.toml", &another("b", 10, ""));
    assert_eq!(allow(&files.rules(), &ada()).policy().as_str(), "b");
}

/// Permissions `a` and `b` of rows, with these transforms each.
fn of_rows(a: &str, b: &str) -> Rules {
    let permission = |id: &str, transforms: &str| {
        another(id, 10, "")
            .replace(
                "\"aggregates\"\ncolumns = [\"age\"]",
                "\"rows\"\ncolumns = [\"age\", \"diagnosed_on\", \"grade\"]",
            )
            .replace("\"none\"", &format!("\"required\"\ntransforms = {{ {transforms} }}"))
    };
    let permit = PERMIT.replace("[\"age\", \"grade\"]", "[\"age\", \"diagnosed_on\", \"grade\"]");
    let files = Files::new().without(PATH).put("permits/p-1.toml", &permit);
    let files = files.put("policies/a.toml", &permission("a", a));
    files.put("policies/b.toml", &permission("b", b)).rules()
}

fn rows(names: &[&str]) -> AccessRequest {
    AccessRequest {
        permit: Some("p-1".parse().unwrap()),
        release: Release::Rows,
        columns: columns(names),
        ..ada()
    }
}

#[test]
fn the_permission_that_shows_most_of_what_is_asked_for_counts() {
    let decides = |a: &str, b: &str, request: &AccessRequest| {
        let (as_is, swapped) = (of_rows(a, b), of_rows(b, a));
        let by = |rules: &Rules| allow(rules, request).policy().to_string();
        match (by(&as_is).as_str(), by(&swapped).as_str()) {
            ("a", "b") => "one",
            ("b", "a") => "other",
            _ => "first by id",
        }
    };
    let all = rows(&["age", "diagnosed_on", "grade"]);
    let more = [
        ("", "age = \"bins\""),
        ("age = \"bins\"", "age = \"mask\""),
        ("age = \"bins\"", "age = \"bins\", grade = \"mask\""),
        ("grade = { prefix = 3 }", "grade = { prefix = 2 }"),
        ("grade = { prefix = 1 }", "grade = \"mask\""),
        (
            "diagnosed_on = { truncate = \"month\" }",
            "diagnosed_on = { truncate = \"year\" }",
        ),
    ];
    for (one, other) in more {
        assert_eq!(decides(one, other, &all), "one", "{one} {other}");
    }
    // What is not asked for plays no part: a permission that shows less of it takes nothing away.
    let (one, other) = ("age = \"bins\"", "grade = \"mask\", diagnosed_on = \"mask\"");
    assert_eq!(decides(one, other, &all), "one");
    assert_eq!(decides(one, other, &rows(&["age"])), "other");
    assert_eq!(decides(one, other, &rows(&["grade"])), "one");
}
