use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::*;

const BYTES_MAX: usize = 1024 * 1024;

fn refusal(bytes: &[u8]) -> JsonError {
    strict::<Value>(bytes, BYTES_MAX).unwrap_err()
}

fn is_syntax(bytes: &[u8]) -> bool {
    matches!(refusal(bytes), JsonError::Syntax { .. })
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn a_12_what_is_too_large_is_refused_before_it_is_read() {
    // Not JSON at all: only the length can have been looked at.
    let large = vec![b'x'; 100 * 1024 * 1024];
    let begun = std::time::Instant::now();
    assert_eq!(refusal(&large), JsonError::Large { bytes_max: BYTES_MAX });
    assert!(begun.elapsed() < std::time::Duration::from_millis(100));
}

#[test]
fn a_12_a_key_twice_is_refused_at_any_depth() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"a":2}"#,
        r#"[{"b":{"a":1,"a":2}}]"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"":1,"":2}"#,
    ] {
        assert!(
            matches!(refusal(text.as_bytes()), JsonError::Duplicate { .. }),
            "{text}"
        );
    }
    assert!(strict::<Value>(br#"[{"a":1},{"a":{"a":2}}]"#, BYTES_MAX).is_ok());
}

#[test]
fn a_12_deep_nesting_is_refused() {
    assert_eq!(refusal(nested(DEPTH_MAX + 1).as_bytes()), JsonError::Deep);
    assert_eq!(refusal("[".repeat(10_000).as_bytes()), JsonError::Deep);
    assert_eq!(refusal(r#"{"a":"#.repeat(10_000).as_bytes()), JsonError::Deep);
    assert!(strict::<Value>(nested(DEPTH_MAX).as_bytes(), BYTES_MAX).is_ok());
}

#[test]
fn a_12_a_byte_order_mark_and_text_that_is_not_utf_8_are_refused() {
    for bytes in [
        &b"\xef\xbb\xbf{}"[..],
        b"\"\xff\"",
        b"\"\xc0\x80\"",
        b"\"\xed\xa0\x80\"",
        b"\xff\xfe{\0}\0",
    ] {
        assert_eq!(refusal(bytes), JsonError::Encoding, "{bytes:?}");
    }
}

#[test]
fn a_12_numbers_that_are_not_finite_are_refused() {
    for text in [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "[1e400]",
        "1e99999999999",
    ] {
        assert!(is_syntax(text.as_bytes()), "{text}");
    }
}

#[test]
fn a_12_two_documents_trailing_bytes_and_no_document_are_refused() {
    for text in [
        "",
        " ",
        "{}{}",
        "{} {}",
        "{}x",
        "{},",
        "{",
        "[1,]",
        r#"{"a":1,}"#,
        "// x\n{}",
        "{}\0",
    ] {
        assert!(is_syntax(text.as_bytes()), "{text:?}");
    }
    assert!(strict::<Value>(b" {}\n", BYTES_MAX).is_ok());
}

#[test]
fn a_12_the_character_zero_is_refused_in_keys_and_texts() {
    for text in [r#""\u0000""#, r#"{"a\u0000":1}"#, r#"["x",{"a":"b\u0000"}]"#] {
        assert_eq!(refusal(text.as_bytes()), JsonError::Null, "{text}");
    }
    for text in ["\"\0\"", r#""\ud800""#] {
        assert!(is_syntax(text.as_bytes()), "{text:?}");
    }
}

#[test]
fn what_is_json_of_another_form_says_where() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Note {
        rows: u8,
    }
    let refused = |text: &str| strict::<Note>(text.as_bytes(), BYTES_MAX).unwrap_err();
    for text in [
        r#"{"rows":1,"more":2}"#,
        r#"{"rows":"1"}"#,
        r#"{"rows":-1}"#,
        "{}",
        "null",
    ] {
        assert!(matches!(refused(text), JsonError::Shape { line: 1, .. }), "{text}");
    }
    let quoting = refused(r#"{"rows":"Ada Lovelace"}"#).to_string();
    assert!(!quoting.contains("Ada"), "{quoting}");
    assert_eq!(strict::<Note>(br#"{"rows":7}"#, BYTES_MAX).unwrap().rows, 7);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_what_it_accepts_is_json(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(value) = strict::<Value>(&bytes, BYTES_MAX) {
            prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
        }
    }
}
