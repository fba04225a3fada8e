//! Bad input: one line, one remedy, and nothing left behind.

use std::net::TcpListener;

use super::{Sandbox, datenraum};

const SPEC: &str = include_str!("../../../examples/own/spec.toml");
const COLLECTION: &str = include_str!("../../../examples/own/collections/stays.toml");
const POLICY: &str = include_str!("../../../examples/own/policies/stays-statistics.toml");
const DATA: &str = "patient_id,ward,days\np1,surgery,3\np2,surgery,4\np3,surgery,5\np4,medicine,9\n";

fn space<'a>(spec: &'a str, collection: &'a str, policy: &'a str, data: &'a str) -> (Sandbox, super::Run) {
    Sandbox::of(&[
        ("spec.toml", spec),
        ("collections/stays.toml", collection),
        ("policies/stays-statistics.toml", policy),
        ("stays.csv", data),
    ])
}

#[track_caller]
fn refused(files: (&str, &str, &str, &str), problem: &str, says: &str) {
    let (sandbox, run) = space(files.0, files.1, files.2, files.3);
    run.fails_with(problem, says);
    assert!(!sandbox.dir().exists(), "something was left behind");
}

#[test]
fn a_file_with_a_mistake_names_file_line_and_remedy() {
    let spec = SPEC.replace("threshold =", "treshold =");
    refused(
        (&spec, COLLECTION, POLICY, DATA),
        "E_FILE_KEY",
        "did you mean `threshold`",
    );
    let spec = SPEC.replace("members = 3", "members = \"three\"");
    refused((&spec, COLLECTION, POLICY, DATA), "E_FILE_VALUE", "spec.toml, line 4");
    let spec = SPEC.replace("threshold = 2", "threshold = 4");
    refused((&spec, COLLECTION, POLICY, DATA), "E_FILE_VALUE", "threshold");
    let spec = SPEC.replace("\"stays.csv\"", "\"stay.csv\"");
    refused((&spec, COLLECTION, POLICY, DATA), "E_FILE_MISSING", "stay.csv");
    let collection = COLLECTION.replace("bounds =", "bound =");
    refused((SPEC, &collection, POLICY, DATA), "E_FILE_KEY", "did you mean `bounds`");
    let policy = POLICY.replace("\"days\"", "\"day\"");
    refused((SPEC, COLLECTION, &policy, DATA), "E_POLICY_INVALID", "day");
    let policy = POLICY.replace(
        "min_people = 3",
        "dominance = { top = 11, share = 0.85 }\nmin_people = 3",
    );
    refused((SPEC, COLLECTION, &policy, DATA), "E_POLICY_INVALID", "dominance");
    let policy = POLICY.replace("\"statistical\"", "\"differential\"");
    refused((SPEC, COLLECTION, &policy, DATA), "E_POLICY_INVALID", "differential");
    let policy = POLICY.replace("min_people = 3", "min_people = 1");
    refused((SPEC, COLLECTION, &policy, DATA), "E_", "min_people");
}

#[test]
fn a_cell_that_does_not_fit_is_named_by_row_and_column_but_not_quoted() {
    let cases = [
        ("p9,surgery,SECRET-77\n", "row 6, column days: text"),
        ("p9,surgery,3.5\n", "row 6, column days: a number"),
        ("p9,surgery,400\n", "row 6, column days: a number outside"),
        ("p9,SECRET-77,3\n", "row 6, column ward: another text"),
        (",surgery,3\n", "row 6, column patient_id: nothing"),
        ("p9,surgery\n", "cannot be read as a table"),
    ];
    for (line, says) in cases {
        let data = format!("{DATA}{line}");
        let (sandbox, run) = space(SPEC, COLLECTION, POLICY, &data);
        assert!(!run.err().contains("SECRET"), "{}", run.err());
        run.fails_with("E_DATA_", says);
        assert!(!sandbox.dir().exists(), "something was left behind");
    }
    let data = DATA.replace("days", "day");
    refused(
        (SPEC, COLLECTION, POLICY, &data),
        "E_DATA_SCHEMA",
        "is it the file's column day?",
    );
}

#[test]
fn a_folder_that_is_not_empty_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("thesis.txt"), "mine").unwrap();
    let (sandbox, run) = space(SPEC, COLLECTION, POLICY, DATA);
    run.returns(0);
    let spec = sandbox.place().join("spec.toml");
    let words = [
        "sandbox",
        "up",
        spec.to_str().unwrap(),
        "--dir",
        place.path().to_str().unwrap(),
    ];
    datenraum(words).returns(2).fails_with("E_FOLDER_NOT_EMPTY", "");
    assert_eq!(
        std::fs::read_to_string(place.path().join("thesis.txt")).unwrap(),
        "mine"
    );
}

/// Five people in surgery, four in medicine, one in the eye clinic.
const WARDS: &str = "patient_id,ward,days\np1,surgery,3\np2,surgery,4\np3,surgery,5\np4,surgery,6\np5,surgery,7\n\
                     p6,medicine,2\np7,medicine,2\np8,medicine,2\np9,medicine,2\np10,eye,9\n";

#[test]
fn a_small_csv_answers_and_suppresses() {
    let (sandbox, run) = space(SPEC, COLLECTION, POLICY, WARDS);
    run.returns(0);
    let answer =
        sandbox.ask("SELECT ward, count(*) AS stays, avg(days) AS days FROM stays GROUP BY ward ORDER BY ward");
    // One person is in the eye clinic; with medicine in the answer, the total would give away what they contribute.
    assert_eq!(answer["rows"], serde_json::json!([["surgery", 5, 5.0]]));
    // Nobody is told that there are other wards.
    assert_eq!(answer["coverage"][0]["suppressed_cells"], 0);
    assert_eq!(answer["coverage"][0].get("withheld"), None);
    let all = sandbox.ask("SELECT count(*) AS stays FROM stays");
    assert_eq!(all["rows"], serde_json::json!([[10]]));
    let none = sandbox.ask("SELECT count(*) AS stays, sum(days) AS days FROM stays WHERE ward = 'eye'");
    assert_eq!(none["rows"], serde_json::json!([[0, null]]));
    // Nothing says how many people are in a cell that is withheld, or how many stays each has.
    assert_eq!(none["intervals"][0]["low"], 0.0);
    assert_eq!(none["intervals"][0]["high"], serde_json::Value::Null);
}

#[test]
fn why_a_value_is_withheld_reaches_whoever_asked() {
    let policy = POLICY.replace("min_people = 3", "dominance = { top = 1, share = 0.5 }\nmin_people = 3");
    let data = WARDS.replace("p5,surgery,7", "p5,surgery,300");
    let (sandbox, run) = space(SPEC, COLLECTION, &policy, &data);
    run.returns(0);
    let sql = "SELECT count(*) AS stays, avg(days) AS mean, sum(days) AS days, stddev(days) AS spread FROM stays";
    let answer = sandbox.ask(sql);
    assert_eq!(answer["rows"], serde_json::json!([[10, null, null, null]]));
    let coverage = &answer["coverage"][0];
    assert_eq!(coverage["suppressed_cells"], 0);
    assert_eq!(coverage["withheld"], serde_json::json!({ "dominance": 3 }));
    let open: Vec<_> = answer["intervals"].as_array().unwrap().iter().collect();
    assert_eq!(open.len(), 3, "the number of stays is whole: {open:?}");
    let table = sandbox.query(sql, &["--purpose", "ehds-53-1-e"]).returns(0);
    let footer = "values not released at clinic-a: 3 (one or a few people dominate)";
    assert!(table.out().contains(footer), "{}", table.out());
}

#[test]
fn a_port_that_is_taken_is_named() {
    let (sandbox, run) = space(SPEC, COLLECTION, POLICY, DATA);
    run.returns(0);
    sandbox.down().returns(0);
    let config = std::fs::read_to_string(sandbox.dir().join("nodes/clinic-a/node.toml")).unwrap();
    let listen = config
        .lines()
        .find_map(|line| line.strip_prefix("listen = "))
        .unwrap()
        .trim_matches('"')
        .to_owned();
    let taken = TcpListener::bind(&listen).unwrap();
    let node = sandbox.dir().join("nodes/clinic-a/node.toml");
    datenraum(["node", "run", "--config", node.to_str().unwrap()]).fails_with("E_PORT_TAKEN", &listen);
    // A sandbox takes another port instead.
    sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
    drop(taken);
    sandbox.ask("SELECT count(*) AS stays FROM stays");
}
