use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::evaluate::{Item, Scope, all};
use super::parse::{Surroundings, parse};
use super::*;
use crate::json::{Kind, Tape};

fn compiled(path: &str) -> Result<Expr, String> {
    let constants = BTreeMap::from([
        ("use".to_owned(), Literal::Text("official".to_owned())),
        ("one".to_owned(), Literal::Number(1.into())),
    ]);
    parse(
        path,
        Surroundings {
            resource: "Patient",
            constants: &constants,
            at_root: true,
        },
    )
}

fn resource() -> Json {
    json!({"resourceType": "Patient", "id": "p1", "active": true, "gender": "female", "birthDate": "1970-06",
        "_birthDate": {"extension": [{"url": "time", "valueDateTime": "1970-06-01T12:00:00+01:00"}]},
        "name": [{"use": "official", "family": "F", "given": ["A", null], "_given": [null, {"id": "second"}]}, {"use": "old", "family": "G"}],
        "deceasedDateTime": "2020-01-02", "_gender": {"extension": [{"url": "other", "valueCode": "X"}]},
        "multipleBirthInteger": 2, "weight": "WEIGHT", "huge": "HUGE",
        "link": [{"other": {"reference": "https://a.example/fhir/Patient/p9/_history/3"}}, {"other": {"reference": "#c"}}],
        "contained": [{"resourceType": "Organization", "id": "o"}, {"resourceType": "Patient", "id": "q"}]})
}

fn shown(item: &Item<'_>) -> String {
    match item {
        Item::Text(text) | Item::Moment(text, _) => text.to_string(),
        Item::Number(number) => number.to_string(),
        Item::Boolean(value) => value.to_string(),
        Item::Element(element) => match element.value.map(|value| value.kind()) {
            None => "-".to_owned(),
            Some(Kind::Text(text) | Kind::Number(text)) => text.to_owned(),
            Some(Kind::Boolean(value)) => value.to_string(),
            Some(other) => format!("{other:?}"),
        },
    }
}

/// What a path yields, in brackets, or what is wrong.
fn yields(path: &str) -> String {
    // With digits that `json!` would not keep.
    let text = resource()
        .to_string()
        .replace("\"WEIGHT\"", "1.50")
        .replace("\"HUGE\"", &"9".repeat(40));
    let expr = compiled(path).unwrap_or_else(|wrong| panic!("{path}: {wrong}"));
    let mut tape = Tape::default();
    let resource = tape.read(&text).unwrap();
    let scope = Scope {
        resource,
        bundled: None,
        row_index: 3,
    };
    match all(&expr, Some(&Item::of(resource)), &scope) {
        Ok(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Err(wrong) => wrong.to_owned(),
    }
}

#[test]
fn what_is_not_supported_is_refused_by_its_name() {
    let cases = [
        ("", "ends where a name"),
        ("name.", "ends with a dot"),
        ("name..family", ". cannot follow a dot"),
        ("name family", "family is not expected here"),
        ("@@", "is no date or time"),
        ("@1970-13", "@1970-13 is no date or time"),
        ("'open", "does not end"),
        ("name[", "ends where"),
        ("name[-1]", "an index must be"),
        ("name[given]", "an index must be"),
        ("name[1", "] is missing at the end"),
        ("(name", ") is missing at the end"),
        ("name.where(use = 'a'", ") is missing at the end"),
        ("name.resolve()", "the function resolve() is not supported"),
        ("name.select(given)", "the function select() is not supported"),
        ("name.lowBoundary(8)", ") is expected where 8 stands"),
        ("name.first(1)", ") is expected where 1 stands"),
        ("name.extension(url)", "extension() takes a text"),
        ("name is HumanName", "the operator is is not supported"),
        ("a in b", "the operator in is not supported"),
        ("5 div 2", "the operator div is not supported"),
        ("a ~ b", "'~' means nothing here"),
        ("%unknown", "there is no constant %unknown"),
        ("$index", "$index is not supported"),
        ("Observation.name", "Observation is not the resource"),
        ("name.where(Patient.id = 'a')", "Patient is not the resource"),
        ("value.first().ofType(Quantity)", "must come straight after"),
        ("value.ofType(quantity)", "quantity is not a type"),
        ("1.99999999999999999999999999999999999", "more digits than can be kept"),
        ("{1}", "} is expected where 1 stands"),
    ];
    for (path, expected) in cases {
        let wrong = compiled(path).expect_err(path);
        assert!(wrong.contains(expected), "{path}: {wrong}");
    }
}

#[test]
fn a_long_or_deep_path_is_refused_before_the_stack_ends() {
    let deep = [
        "(".repeat(2_000),
        "-".repeat(2_000),
        format!("a{}", ".b".repeat(1_000)),
        format!("1{}", "+1".repeat(1_000)),
        format!("a{}", "[0]".repeat(500)),
        "a.where(".repeat(400),
    ];
    for path in deep {
        let wrong = compiled(&path).unwrap_err();
        assert!(
            wrong.contains("has more than 128 steps") || wrong == "is nested too deeply",
            "{path}: {wrong}"
        );
    }
    assert!(compiled(&"a".repeat(5_000)).unwrap_err().contains("longer than"));
    // The deepest that is taken can also be evaluated.
    let most = format!("{}1{}", "(".repeat(19), ")".repeat(19));
    assert_eq!(yields(&most), "[1]");
    assert_eq!(yields(&format!("name{}", ".where(true)".repeat(40))), yields("name"));
}

#[test]
fn what_goes_wrong_for_a_resource_is_a_sentence_without_a_value() {
    let cases = [
        (
            "name.family = name and true",
            "has an element with parts where a plain value is needed",
        ),
        ("gender and true", "is neither true nor false where it must be"),
        ("name.where(family)", "is neither true nor false where it must be"),
        (
            "name.family > 'A'",
            "has several values where one is needed; a path takes the first(), a column can say collection: true",
        ),
        ("gender + 1", "calculates with something that is no number"),
        ("gender < 1", "compares values of different types"),
        ("active.lowBoundary()", "asks for a boundary of something that has none"),
        (
            "gender.lowBoundary()",
            "asks for a boundary of a text that is no date or time",
        ),
        ("huge + 1", "has a number with too many digits to calculate with"),
        ("(active | weight).join()", "has something other than texts to join"),
        ("active.startsWith('t')", "looks for a text in something that is none"),
    ];
    for (path, expected) in cases {
        assert_eq!(yields(path), expected, "{path}");
    }
}

#[test]
fn paths_yield_what_the_specification_says() {
    let cases = [
        ("Patient.id", "[p1]"),
        ("name.family", "[F, G]"),
        ("name.given", "[A, -]"),
        ("name.given[1].id", "[second]"),
        ("name.given.count()", "[2]"),
        ("name.last().family", "[G]"),
        ("name.where(use = %use).family", "[F]"),
        ("name[%one].family", "[G]"),
        ("name.exists(use = 'none')", "[false]"),
        ("name.where(period.exists()).empty()", "[true]"),
        ("nothing.first()", "[]"),
        ("{}", "[]"),
        ("%rowIndex", "[3]"),
        ("name.where(family = %resource.name.first().family).use", "[official]"),
        ("`name`.`family`.first()", "[F]"),
        ("'it\\'s \\u00e4'", "[it's ä]"),
        // Choices.
        ("deceased", "[2020-01-02]"),
        ("deceased.ofType(dateTime)", "[2020-01-02]"),
        ("deceased.ofType(boolean)", "[]"),
        ("multipleBirth + 1", "[3]"),
        ("contained.ofType(Organization).id", "[o]"),
        // What is said about primitive values.
        (
            "birthDate.extension('time').value.ofType(dateTime)",
            "[1970-06-01T12:00:00+01:00]",
        ),
        ("gender.extension('other').value.ofType(code)", "[X]"),
        // Keys.
        ("getResourceKey()", "[p1]"),
        ("link.other.getReferenceKey()", "[p9]"),
        ("link.other.getReferenceKey(Patient)", "[p9]"),
        ("link.other.getReferenceKey(Group)", "[]"),
        // Moments.
        ("birthDate.lowBoundary()", "[1970-06-01]"),
        ("birthDate = @1970-06", "[true]"),
        ("birthDate = @1970-06-01", "[]"),
        ("birthDate < @1970-07", "[true]"),
        ("deceased.ofType(dateTime) > @2020-01-02T12:00:00Z", "[]"),
        ("@T12:30 < @T12:31", "[true]"),
        (
            "deceased.ofType(dateTime).lowBoundary()",
            "[2020-01-02T00:00:00.000+14:00]",
        ),
        // Numbers keep their digits.
        ("weight.lowBoundary()", "[1.495]"),
        ("weight.highBoundary()", "[1.505]"),
        ("weight = 1.5", "[true]"),
        ("-weight * 2", "[-3.00]"),
        ("weight / 0", "[]"),
        ("7 / 2 - 1.5 = 2", "[true]"),
        ("2 + 3 * 4 = 14 and 2 > 1", "[true]"),
        // Three-valued logic.
        ("nothing and false", "[false]"),
        ("nothing and true", "[]"),
        ("nothing or true", "[true]"),
        ("nothing.not()", "[]"),
        ("nothing implies true", "[true]"),
        ("true xor active", "[false]"),
        ("false and gender", "[false]"),
        ("name.family = 'F'", "[false]"),
        ("name.first().family != 'G'", "[true]"),
        // Unions, texts.
        ("(name.family | name.use | name.family).count()", "[4]"),
        ("(nothing | gender).first()", "[female]"),
        ("name.family.join('+')", "[F+G]"),
        (
            "gender.startsWith('fe') and gender.contains('mal') and gender.endsWith('e')",
            "[true]",
        ),
        ("gender & nothing & '!'", "[female!]"),
    ];
    for (path, expected) in cases {
        assert_eq!(yields(path), expected, "{path}");
    }
}
