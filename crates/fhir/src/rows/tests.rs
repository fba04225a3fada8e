use serde_json::{Value as Json, json};

use crate::View;
use crate::tests::read;

fn view(columns: Json) -> View {
    View::compile(&json!({"resource": "Patient", "select": [{"column": columns}]}).to_string()).unwrap()
}

/// The value of one column for a patient, or what was told of it.
fn value(kind: &str, path: &str, patient: Json) -> Result<Json, String> {
    let view = view(json!([{"name": "x", "path": path, "type": kind}]));
    let mut patient = patient;
    patient["resourceType"] = json!("Patient");
    let (rows, counts, skipped) = read(&view, patient.to_string().as_bytes());
    assert_eq!(counts.skipped, skipped.len() as u64);
    match skipped.first() {
        Some(skipped) => Err(skipped.reason.to_string()),
        None => Ok(rows[0]["x"].clone()),
    }
}

#[test]
fn a_value_that_the_column_cannot_hold_is_never_made_to_fit() {
    let cases = [
        (
            "boolean",
            json!("true"),
            "the column x is a text, which the column cannot hold",
        ),
        (
            "boolean",
            json!(1),
            "the column x is a number, which the column cannot hold",
        ),
        ("integer", json!(1.5), "the column x is no whole number of 64 bits"),
        (
            "integer",
            json!("1"),
            "the column x is a text, which the column cannot hold",
        ),
        (
            "decimal",
            json!("1"),
            "the column x is a text, which the column cannot hold",
        ),
        (
            "decimal",
            json!(true),
            "the column x is true or false, which the column cannot hold",
        ),
        (
            "date",
            json!("soon"),
            "the column x is no date or time of the type that the column has",
        ),
        (
            "date",
            json!("1970-02-30"),
            "the column x is no date or time of the type that the column has",
        ),
        (
            "date",
            json!("1970-06-01T12:00:00Z"),
            "the column x is no date or time of the type that the column has",
        ),
        (
            "dateTime",
            json!("12:00:00"),
            "the column x is no date or time of the type that the column has",
        ),
        (
            "instant",
            json!("1970-06"),
            "the column x is a date-time without a day or without an offset from UTC",
        ),
        (
            "instant",
            json!("1970-06-01T12:00:00"),
            "the column x is a date-time without a day or without an offset from UTC",
        ),
        (
            "string",
            json!({"a": 1}),
            "the column x is an element with parts, not a plain value",
        ),
        (
            "string",
            json!(["a", "b"]),
            "the column x has several values where one is needed; a path takes the first(), a column can say collection: true",
        ),
    ];
    for (kind, given, expected) in cases {
        assert_eq!(
            value(kind, "x", json!({"x": given})),
            Err(expected.to_owned()),
            "{kind}: {given}"
        );
    }
    let huge: Json = serde_json::from_str("{\"resourceType\": \"Patient\"}").unwrap();
    assert_eq!(value("decimal", "x", huge), Ok(Json::Null));
    let view = view(json!([{"name": "x", "path": "x", "type": "decimal"}]));
    let (_, _, skipped) = read(&view, br#"{"resourceType": "Patient", "x": 1e999}"#);
    assert!(skipped[0].reason.to_string().contains("too large"));
}

#[test]
fn a_partial_date_stays_as_it_is_written_unless_the_view_asks_for_a_boundary() {
    let born = |kind, path| value(kind, path, json!({"birthDate": "1970-06"}));
    assert_eq!(born("date", "birthDate"), Ok(json!("1970-06")));
    assert_eq!(born("date", "birthDate.lowBoundary()"), Ok(json!("1970-06-01")));
    assert_eq!(born("date", "birthDate.highBoundary()"), Ok(json!("1970-06-30")));
    let tagged = view(
        json!([{"name": "x", "path": "birthDate", "type": "date", "tag": [{"name": "ansi/type", "value": "DATE"}]}]),
    );
    let (rows, _, skipped) = read(&tagged, b"{\"resourceType\": \"Patient\", \"birthDate\": \"1970-06\"}\n{\"resourceType\": \"Patient\", \"birthDate\": \"1970-06-02\"}");
    assert_eq!(rows, [json!({"x": "1970-06-02"})]);
    assert!(
        skipped[0]
            .reason
            .to_string()
            .contains("a date without a day; a view asks for its lowBoundary() or highBoundary()")
    );
}

#[test]
fn a_date_is_the_day_that_the_calendar_showed_there() {
    let day = |path| value("date", path, json!({"start": "2024-07-19T00:30:00+02:00"}));
    assert_eq!(day("start.lowBoundary()"), Ok(json!("2024-07-19")));
    let instant = value("instant", "start", json!({"start": "2024-07-19T00:30:00.25+02:00"}));
    assert_eq!(instant, Ok(json!("2024-07-18T22:30:00.25Z")));
}

#[test]
fn numbers_are_those_that_are_written() {
    assert_eq!(value("decimal", "x", json!({"x": 0.1})), Ok(json!(0.1)));
    assert_eq!(
        value("decimal", "x + 0.2", json!({"x": 0.1})),
        Ok(json!(0.3)),
        "decimals, not floats"
    );
    assert_eq!(value("string", "x", json!({"x": 1.50})), Ok(json!("1.5")));
    let view =
        view(json!([{"name": "x", "path": "x", "type": "string"}, {"name": "y", "path": "x", "type": "decimal"}]));
    let (rows, ..) = read(&view, br#"{"resourceType": "Patient", "x": 1.50}"#);
    assert_eq!(rows, [json!({"x": "1.50", "y": 1.5})]);
    assert_eq!(value("integer", "x", json!({"x": i64::MAX})), Ok(json!(i64::MAX)));
}

#[test]
fn a_resource_that_multiplies_is_left_out_and_no_row_of_it_stays() {
    let each = |name: &str| json!({"forEach": "item", "column": [{"name": name, "path": "$this"}]});
    let view = json!({"resource": "List", "select": [each("a"), each("b"), each("c")]});
    let view = View::compile(&view.to_string()).unwrap();
    let list = |count: usize| json!({"resourceType": "List", "id": "l", "item": vec!["x"; count]}).to_string();
    let (rows, counts, skipped) = read(&view, format!("{}\n{}", list(200), list(2)).as_bytes());
    assert_eq!((rows.len(), counts.read, counts.skipped), (8, 1, 1));
    assert_eq!(
        skipped[0].to_string(),
        "line 1, List/l: multiplies beyond 134217728 bytes of rows"
    );
}

#[test]
fn a_repeat_that_does_not_end_does() {
    let view =
        json!({"resource": "Patient", "select": [{"repeat": ["$this"], "column": [{"name": "a", "path": "id"}]}]});
    let (rows, _, skipped) = read(
        &View::compile(&view.to_string()).unwrap(),
        br#"{"resourceType": "Patient", "id": "p"}"#,
    );
    assert!(rows.is_empty());
    assert!(skipped[0].reason.to_string().contains("yields too many items"));
}

#[test]
fn work_that_yields_no_row_ends_too() {
    let each = |path: &str, name: &str| json!({"forEach": path, "column": [{"name": name, "path": "$this"}]});
    let view = json!({"resource": "List", "select": [each("item", "a"), each("item", "b"), each("nothing", "c")]});
    let view = View::compile(&view.to_string()).unwrap();
    let list = json!({"resourceType": "List", "id": "l", "item": vec!["x"; 10_000]}).to_string();
    let (rows, counts, _) = read(&view, list.as_bytes());
    assert_eq!((rows.len(), counts.skipped), (0, 1));
}
