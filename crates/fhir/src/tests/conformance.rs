//! The test files of SQL on FHIR v2. Each has resources and cases: a view, and the rows that it must yield or that it must fail.
//!
//! The rows are compared without their order, as the specification says, and each value as what its column holds: a number by its value, an
//! instant as an instant. A case that must fail may do so when the view is compiled, or by leaving a resource out: with us, one resource that
//! goes wrong does not end the reading of a file.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, SchemaRef};
use serde_json::{Value, json};

use super::{read, shared};
use crate::View;

/// What the files have: fewer, and somebody should look.
const SHAREABLE: usize = 133;
const EXPERIMENTAL: usize = 11;

#[test]
fn every_case_of_the_specification_passes() {
    let Some(folder) = shared("fhir/sql-on-fhir-v2-tests") else {
        return;
    };
    let mut passed: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    for file in files {
        let suite: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let lines: Vec<String> = suite["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(Value::to_string)
            .collect();
        for case in suite["tests"].as_array().unwrap() {
            let tags = case.get("tags").or(suite.get("tags")).unwrap();
            let tag = if tags.as_array().unwrap().contains(&json!("experimental")) {
                "experimental"
            } else {
                "shareable"
            };
            match check(case, &lines.join("\n")) {
                Ok(()) => *passed.entry(tag).or_default() += 1,
                Err(why) => failures.push(format!("{}: {}: {why}", file.display(), case["title"])),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let expected = BTreeMap::from([("shareable", SHAREABLE), ("experimental", EXPERIMENTAL)]);
    assert!(
        expected.iter().all(|(tag, count)| passed.get(tag) >= Some(count)),
        "{passed:?}"
    );
}

fn check(case: &Value, resources: &str) -> Result<(), String> {
    let must_fail = case.get("expectError") == Some(&json!(true));
    let view = match View::compile(&case["view"].to_string()) {
        Ok(view) => view,
        Err(_) if must_fail => return Ok(()),
        Err(report) => return Err(report.to_string()),
    };
    let (rows, _, skipped) = read(&view, resources.as_bytes());
    match (must_fail, skipped.first()) {
        (true, Some(_)) => return Ok(()),
        (true, None) => return Err(format!("did not fail: {rows:?}")),
        (false, Some(first)) => return Err(first.to_string()),
        (false, None) => {}
    }
    if let Some(columns) = case.get("expectColumns") {
        let names: Vec<&str> = view
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        if json!(names) != *columns {
            return Err(format!("has the columns {names:?}"));
        }
    }
    let expected = case["expect"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| as_held(row, view.schema()));
    let sorted = |mut rows: Vec<String>| {
        rows.sort();
        rows
    };
    let expected = sorted(expected.map(|row| row.to_string()).collect());
    let found = sorted(rows.iter().map(Value::to_string).collect());
    match found == expected {
        true => Ok(()),
        false => Err(format!("\n  found    {found:?}\n  expected {expected:?}")),
    }
}

/// An expected row, its values as the columns hold them, and what is not named in it null.
fn as_held(row: &Value, schema: &SchemaRef) -> Value {
    let held = |field: &arrow::datatypes::Field| {
        let value = row.get(field.name()).cloned().unwrap_or(Value::Null);
        match (field.data_type(), &value) {
            (DataType::Float64, Value::Number(number)) => json!(number.as_f64()),
            (DataType::Timestamp(..), Value::String(text)) => json!(instant(text)),
            _ => value,
        }
    };
    Value::Object(
        schema
            .fields()
            .iter()
            .map(|field| (field.name().clone(), held(field)))
            .collect(),
    )
}

/// By another reader than ours: a day is its first instant, UTC.
fn instant(text: &str) -> String {
    let day = || format!("{text}T00:00:00Z").parse::<jiff::Timestamp>();
    text.parse::<jiff::Timestamp>().or_else(|_| day()).unwrap().to_string()
}
