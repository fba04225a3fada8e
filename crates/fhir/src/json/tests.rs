use proptest::prelude::*;
use serde_json::json;

use super::*;

fn refused(text: &str) -> &'static str {
    Tape::default().read(text).expect_err(text).what
}

#[test]
fn what_is_not_json_is_refused_where_it_goes_wrong() {
    for text in [
        "", " ", "{", "[", "[1", "{\"a\"", "{\"a\":", "\"a", "\"\\", "\"\\u12", "-", "1.", "1e", "tru",
    ] {
        assert_eq!(refused(text), ENDS_EARLY, "{text}");
    }
    for text in [
        "[1,]",
        "{\"a\":1,}",
        "[1 2]",
        "01",
        "+1",
        "nul1",
        "1 2",
        "{1:2}",
        "{\"a\" 1}",
        "\"\\x\"",
        "\"\t\"",
        "[01]",
    ] {
        assert_ne!(refused(text), ENDS_EARLY, "{text}");
    }
    let error = Tape::default().read("{\"a\": x}").unwrap_err();
    assert_eq!(error.at, 6);
}

#[test]
fn half_a_character_is_refused() {
    for text in [
        r#""\ud800""#,
        r#""\ud800x""#,
        r#""\ud800\n""#,
        r#""\ud800\ud800""#,
        r#""\udc00""#,
    ] {
        assert_eq!(refused(text), "has half a character", "{text}");
    }
}

#[test]
fn a_name_that_comes_twice_is_refused_however_it_is_written() {
    assert_eq!(
        refused(r#"{"id": "a", "name": {"id": 1}, "id": "b"}"#),
        "has a name twice in one object"
    );
    assert_eq!(refused(r#"{"id": 1, "\u0069d": 2}"#), "has a name twice in one object");
    let distinct = (0..NAMES_MAX)
        .map(|n| format!("\"n{n}\":0"))
        .collect::<Vec<_>>()
        .join(",");
    assert!(Tape::default().read(&format!("{{{distinct}}}")).is_ok());
    assert_eq!(
        refused(&format!("{{{distinct},\"more\":0}}")),
        "has an object with too many names"
    );
}

#[test]
fn what_is_nested_too_deeply_is_refused_before_the_stack_ends() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Tape::default().read(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(refused(&nested(DEPTH_MAX + 1)), "is nested too deeply");
    assert_eq!(refused(&"[".repeat(1_000_000)), "is nested too deeply");
}

#[test]
fn numbers_keep_the_digits_they_are_written_with() {
    let mut tape = Tape::default();
    let value = tape
        .read("[1.00, -0, 1E+2, 123456789012345678901234567890.10]")
        .unwrap();
    let shown: Vec<String> = value.elements().map(|number| format!("{:?}", number.kind())).collect();
    assert_eq!(
        shown,
        [
            "Number(\"1.00\")",
            "Number(\"-0\")",
            "Number(\"1E+2\")",
            "Number(\"123456789012345678901234567890.10\")"
        ]
    );
}

#[test]
fn a_tape_forgets_the_document_before() {
    let mut tape = Tape::default();
    assert!(tape.read("{\"a\": [1, 2, \"\\n\"]").is_err());
    let value = tape.read("{\"b\": null, \"_b\": {\"c\": \"x\"}}").unwrap();
    assert!(value.field("a").is_none() && value.field("b").is_none());
    assert!(value.has_remarks());
    assert_eq!(
        value.field("_b").and_then(|b| b.field("c")).and_then(Value::as_text),
        Some("x")
    );
}

/// The value as `serde_json` has it.
fn plain(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Null => json!(null),
        Kind::Boolean(value) => json!(value),
        Kind::Number(text) => serde_json::from_str(text).unwrap(),
        Kind::Text(text) => json!(text),
        Kind::Array => value.elements().map(plain).collect(),
        Kind::Object => serde_json::Value::Object(
            value
                .fields()
                .map(|(name, value)| (name.to_owned(), plain(value)))
                .collect(),
        ),
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        any::<String>().prop_map(|value| json!(value)),
        "[ -~]{0,20}".prop_map(|value| json!(value)),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|values| json!(values)),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|values| json!(values)),
        ]
    })
}

proptest! {
    #[test]
    fn it_reads_what_serde_json_writes(value in any_json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        // Not `value`: without a feature of its own, serde_json is a digit off with some numbers.
        let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(plain(Tape::default().read(&text).unwrap()), theirs);
    }

    /// Texts that were JSON until something happened to them: both readers take it, as the same, or neither does.
    #[test]
    fn it_takes_what_serde_json_takes_and_no_more(value in any_json(), at: prop::sample::Index, with in r#"["{}\[\],:\\0-9eE+.\-truefalsnu \t\n]{0,3}"#) {
        let text = serde_json::to_string(&value).unwrap();
        let mut letters: Vec<char> = text.chars().collect();
        let at = at.index(letters.len());
        letters.splice(at..=at, with.chars());
        let text: String = letters.into_iter().collect();
        match (Tape::default().read(&text), serde_json::from_str::<serde_json::Value>(&text)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(plain(ours), theirs),
            (Err(_), Err(_)) => {}
            // It gives numbers up that it cannot hold, and keeps the last of two.
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("number out of range"), "{error}: {text}"),
            (Err(error), Ok(_)) => prop_assert_eq!(error.what, "has a name twice in one object"),
        }
    }
}
