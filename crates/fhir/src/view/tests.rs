use serde_json::json;
use terms::Problem;

use super::*;

fn refused(definition: &str) -> String {
    let report = View::compile(definition).expect_err(definition);
    assert_eq!(report.problem, Problem::FhirView);
    report.message
}

fn with_column(column: serde_json::Value) -> String {
    json!({"resource": "Patient", "select": [{"column": [column]}]}).to_string()
}

#[test]
fn a_view_that_is_not_right_is_refused_with_the_place() {
    let id = json!([{"name": "id", "path": "id"}]);
    let cases = [
        (json!([]), "the view is no object"),
        (json!({}), "the view lacks resource"),
        (json!({"resource": "Patient"}), "the view lacks select"),
        (
            json!({"resource": "Patient", "select": []}),
            "a select that is no list of at least one",
        ),
        (
            json!({"resource": "patient?", "select": [{"column": id}]}),
            "resource is not the name of a type",
        ),
        (
            json!({"resourceType": "Library", "resource": "Patient", "select": [{"column": id}]}),
            "resourceType is \"Library\"",
        ),
        (
            json!({"resource": "Patient", "selekt": [{"column": id}]}),
            "has selekt, which is not known; did you mean select?",
        ),
        (
            json!({"resource": "Patient", "modifierExtension": [], "select": [{"column": id}]}),
            "has modifierExtension",
        ),
        (
            json!({"resource": "Patient", "select": [{"foreach": "name", "column": id}]}),
            "select[0] has foreach, which is not known; did you mean forEach?",
        ),
        (
            json!({"resource": "Patient", "select": [{"forEach": "name"}]}),
            "select[0] needs column, select or unionAll",
        ),
        (
            json!({"resource": "Patient", "select": [{"forEach": "name", "repeat": ["name"], "column": id}]}),
            "forEach and repeat at the same time",
        ),
        (
            json!({"resource": "Patient", "select": [{"repeat": "name", "column": id}]}),
            "a repeat that is no list",
        ),
        (
            json!({"resource": "Patient", "select": [{"repeat": [1], "column": id}]}),
            "repeats something other than paths",
        ),
        (
            json!({"resource": "Patient", "select": [{"column": id}, {"column": id}]}),
            "select[1].column[0] is the second one with the name id",
        ),
        (
            json!({"resource": "Patient", "where": [{"path": "id.resolve()"}], "select": [{"column": id}]}),
            "where[0] has a path that cannot be used, id.resolve(): the function resolve() is not supported",
        ),
        (
            json!({"resource": "Patient", "constant": [{"name": "c"}], "select": [{"column": id}]}),
            "constant[0] needs exactly one value",
        ),
        (
            json!({"resource": "Patient", "constant": [{"name": "c", "valueDate": "1970-13"}], "select": [{"column": id}]}),
            "constant[0] has no value that valueDate can have",
        ),
        (
            json!({"resource": "Patient", "constant": [{"name": "c", "valueCoding": {}}], "select": [{"column": id}]}),
            "constant[0] has no value that valueCoding",
        ),
        (
            json!({"resource": "Patient", "constant": [{"name": "c", "valueCode": "a"}, {"name": "c", "valueCode": "b"}], "select": [{"column": id}]}),
            "constant[1] is the second one",
        ),
        (
            json!({"resource": "Patient", "select": [{"forEach": "name", "column": [{"name": "a", "path": "Patient.id"}]}]}),
            "Patient is not the resource that is in focus",
        ),
    ];
    for (view, expected) in cases {
        let message = refused(&view.to_string());
        assert!(message.contains(expected), "{message}\n{expected}");
    }
    assert!(refused("{").contains("the view is not JSON: line 1"));
    assert!(refused(&" ".repeat(2 * 1024 * 1024)).contains("longer than"));
    let nested = |depth: usize| {
        format!(
            "{}{{\"column\": {id}}}{}",
            "{\"select\": [".repeat(depth),
            "]}".repeat(depth)
        )
    };
    assert!(
        refused(&format!("{{\"resource\": \"Patient\", \"select\": [{}]}}", nested(17)))
            .contains("is nested too deeply")
    );
}

#[test]
fn a_column_that_cannot_be_is_refused() {
    let cases = [
        (json!({"path": "id"}), "lacks name"),
        (json!({"name": "a"}), "lacks path"),
        (json!({"name": "1a", "path": "id"}), "has a name that is not a letter"),
        (json!({"name": "a\"b", "path": "id"}), "has a name that is not a letter"),
        (
            json!({"name": "a", "path": "id", "type": "Coding"}),
            "is of the type Coding",
        ),
        (
            json!({"name": "a", "path": "id", "type": 5}),
            "has a type that is no text",
        ),
        (
            json!({"name": "a", "path": "id", "collection": "yes"}),
            "neither true nor false",
        ),
        (
            json!({"name": "a", "path": "birthDate", "type": "date", "tag": [{"name": "ansi/type", "value": "INTEGER"}]}),
            "is tagged ansi/type INTEGER",
        ),
        (
            json!({"name": "a", "path": "id", "tag": [{"name": "ansi/type", "value": "DATE"}]}),
            "is tagged ansi/type DATE",
        ),
    ];
    for (column, expected) in cases {
        let message = refused(&with_column(column));
        assert!(
            message.contains("select[0].column[0]") && message.contains(expected),
            "{message}\n{expected}"
        );
    }
}

#[test]
fn the_schema_is_known_before_anything_is_read() {
    let column = |name: &str, path: &str, kind: &str| json!({"name": name, "path": path, "type": kind});
    let mut tagged = column("tagged", "birthDate", "date");
    tagged["tag"] = json!([{"name": "ansi/type", "value": "DATE"}, {"name": "other", "value": "x"}]);
    let mut list = column("given", "name.given", "string");
    list["collection"] = json!(true);
    let columns = json!([
        column("key", "id", "id"),
        column("active", "active", "boolean"),
        column("births", "multipleBirth.ofType(integer)", "integer"),
        column("weight", "weight", "decimal"),
        column("born", "birthDate", "date"),
        column("born_low", "birthDate.lowBoundary()", "date"),
        column("died", "deceased.ofType(dateTime)", "dateTime"),
        column("died_high", "deceased.ofType(dateTime).highBoundary()", "dateTime"),
        column("updated", "meta.lastUpdated", "instant"),
        column("at", "time", "time"),
        tagged,
        list
    ]);
    let view = View::compile(&json!({"resource": "Patient", "select": [{"column": columns}]}).to_string()).unwrap();
    let kinds: Vec<String> = view
        .schema()
        .fields()
        .iter()
        .map(|field| field.data_type().to_string())
        .collect();
    let expected = [
        "Utf8",
        "Boolean",
        "Int64",
        "Float64",
        "Utf8",
        "Date32",
        "Utf8",
        "Timestamp(µs, \"UTC\")",
        "Timestamp(µs, \"UTC\")",
        "Utf8",
        "Date32",
        "List(Utf8)",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(view.resource(), "Patient");
}
