//! Transforms: each fits its column, and is for rows.

use std::collections::BTreeMap;

use terms::Problem;

use super::{PATH, is_invalid};
use crate::example::{Files, ROWS_PATH, with_rows};
use crate::{Calendar, Transform};

/// A permission of rows with these transforms, over all columns but the identifier.
fn wide(transforms: &str) -> Files {
    let all = "\"age\", \"diagnosed_on\", \"grade\", \"meno\", \"relapse_free_days\", \"note\", \"node\"";
    with_rows(transforms).edit(ROWS_PATH, "\"age\", \"diagnosed_on\", \"grade\"", all)
}

#[track_caller]
fn is_refused(files: &Files, transform: &str, says: &str, remedy: &str) {
    let text = std::str::from_utf8(&files.0[ROWS_PATH]).unwrap();
    let line = text.lines().position(|line| line == transform).unwrap() + 1;
    let report = files.compile().unwrap_err();
    assert_eq!(
        report.message,
        format!("{ROWS_PATH}, line {line}: permission rows: {says}")
    );
    assert_eq!(
        (report.problem, report.remedy.as_str()),
        (Problem::PolicyInvalid, remedy)
    );
}

#[test]
fn statistics_take_no_transforms() {
    let says = "permission statistics: transforms is for release = \"rows\" only; statistics follow the declared values and \
                bins anyway";
    is_invalid(
        "rows      = \"research_consent\"",
        "transforms = { age = \"bins\" }",
        "rows      = ",
        says,
    );
    let none = Files::new().edit(PATH, "rows      =", "transforms = {}\nrows      =");
    assert!(none.compile().is_ok());
}

#[test]
fn a_transform_is_of_a_column_of_the_permission() {
    let transform = "meno = \"mask\"";
    let says = "transforms names column meno, which is not among its columns";
    is_refused(
        &with_rows(transform),
        transform,
        says,
        "add meno to columns, or take its transform away",
    );
    let transform = "gradee = \"mask\"";
    let says = "collection breast-cancer has no column \"gradee\"";
    is_refused(&with_rows(transform), transform, says, "did you mean grade?");
    let transform = "node = \"mask\"";
    let says = "column node is the institution that answered, and takes no transform";
    is_refused(&wide(transform), transform, says, "take its transform away");
}

#[test]
fn a_transform_fits_the_type_of_its_column() {
    let remedy = "use a transform for its type, or \"mask\"";
    for (transform, says) in [
        (
            "age = { truncate = \"month\" }",
            "column age: truncate needs type date or timestamp, not integer",
        ),
        (
            "age = { prefix = 3 }",
            "column age: prefix needs type text, not integer",
        ),
        (
            "diagnosed_on = { prefix = 3 }",
            "column diagnosed_on: prefix needs type text, not date",
        ),
        (
            "diagnosed_on = \"pseudonym\"",
            "column diagnosed_on: \"pseudonym\" needs type text or integer, not date",
        ),
        (
            "meno = \"pseudonym\"",
            "column meno: \"pseudonym\" needs type text or integer, not boolean",
        ),
    ] {
        is_refused(&wide(transform), transform, says, remedy);
    }
    let remedy = "declare `bins` in the collection, or use \"mask\"";
    for column in ["grade", "diagnosed_on", "relapse_free_days", "meno", "note"] {
        let transform = format!("{column} = \"bins\"");
        let says =
            format!("column {column}: \"bins\" needs declared bins of numbers, and the collection declares none");
        is_refused(&wide(&transform), &transform, &says, remedy);
    }
}

#[test]
fn dates_are_truncated_to_what_the_declared_periods_make_up() {
    for unit in ["day", "week"] {
        let transform = format!("diagnosed_on = {{ truncate = \"{unit}\" }}");
        let says = format!(
            "column diagnosed_on: truncate = \"{unit}\" is not made of whole months, which the collection declares"
        );
        is_refused(
            &wide(&transform),
            &transform,
            &says,
            "truncate to one of: month, quarter, year",
        );
    }
    for unit in ["month", "quarter", "year"] {
        assert!(
            wide(&format!("diagnosed_on = {{ truncate = \"{unit}\" }}"))
                .compile()
                .is_ok()
        );
    }
    // Where nothing is declared, any period will do.
    let undeclared = "type   = \"date\"\nrole   = [\"group\", \"filter\"]\nbins   = \"month\"";
    let files = wide("diagnosed_on = { truncate = \"week\" }");
    let files = files.edit("collections/breast-cancer.toml", undeclared, "type = \"timestamp\"");
    assert!(files.compile().is_ok());
}

#[test]
fn a_prefix_has_one_character_to_64() {
    for characters in ["0", "65", "4294967295"] {
        let transform = format!("note = {{ prefix = {characters} }}");
        let says = "column note: prefix must be from 1 to 64 characters";
        is_refused(
            &wide(&transform),
            &transform,
            says,
            "use \"mask\" to show nothing of it",
        );
    }
    for characters in ["1", "64"] {
        assert!(wide(&format!("note = {{ prefix = {characters} }}")).compile().is_ok());
    }
}

#[test]
fn a_transform_outside_the_vocabulary_is_refused() {
    for (transform, near) in [
        ("note = \"masks\"", "did you mean `mask`?"),
        ("note = { prefixes = 3 }", "did you mean `prefix`?"),
        ("diagnosed_on = { truncate = \"months\" }", "did you mean `month`?"),
    ] {
        let report = wide(transform).compile().unwrap_err();
        assert_eq!(
            (report.problem, report.remedy.as_str()),
            (Problem::FileValue, near),
            "{report}"
        );
    }
    for transform in [
        "note = \"prefix\"",
        "note = { mask = 1 }",
        "note = { prefix = -1 }",
        "note = { prefix = 3, truncate = \"month\" }",
        "note = {}",
        "note = 3",
    ] {
        let report = wide(transform).compile().unwrap_err();
        assert!(report.message.contains(ROWS_PATH), "{transform}: {report}");
    }
}

#[test]
fn transforms_are_held_by_column() {
    let files = wide(
        "age = \"bins\"\ndiagnosed_on = { truncate = \"year\" }\ngrade = { prefix = 1 }\nnote = \"mask\"\n\
         relapse_free_days = \"pseudonym\"\nmeno = \"mask\"",
    );
    let rules = files.rules();
    let policy = rules.policy(&"breast-cancer-rows".parse().unwrap()).unwrap();
    let expected = [
        ("age", Transform::Bins),
        ("diagnosed_on", Transform::Truncate(Calendar::Year)),
        ("grade", Transform::Prefix(1)),
        ("meno", Transform::Mask),
        ("note", Transform::Mask),
        ("relapse_free_days", Transform::Pseudonym),
    ];
    let expected: BTreeMap<String, Transform> = expected.map(|(name, shown)| (name.to_owned(), shown)).into();
    assert_eq!(policy.permissions[0].transforms, expected);
}
