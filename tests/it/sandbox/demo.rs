//! The demonstration's data space against numbers that were computed without this project.

use serde_json::Value;

use super::{Sandbox, datenraum, project};

/// Relative difference that two ways of adding floating-point numbers may have.
const TOLERANCE: f64 = 1e-12;

fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE * b.abs().max(1.0),
        _ => a == b,
    }
}

#[test]
fn the_demo_space_answers_what_was_computed_independently() {
    let oracle: Value =
        serde_json::from_slice(&std::fs::read(project().join("tests/oracles/demo.json")).unwrap()).unwrap();
    let queries = oracle["queries"].as_array().unwrap();
    let spaces = queries
        .iter()
        .map(|query| query["space"].as_u64().unwrap())
        .max()
        .unwrap();
    let mut asked = 0;
    for space in 0..=spaces {
        // Values that few people tell apart would be taken for one another: a space is asked no two of them.
        let sandbox = Sandbox::up(&project().join("demo/oncology.toml"));
        for query in queries.iter().filter(|query| query["space"] == space) {
            let sql = query["sql"].as_str().unwrap();
            let answer = sandbox.ask(sql);
            the_rows_are_those_released(&answer, query, sql);
            what_is_left_out_is_told(&answer, query, sql);
            the_pooled_value_lies_in_its_interval(&answer, query, sql);
            asked += 1;
        }
    }
    assert!(asked >= 25, "only {asked} queries were compared");
}

fn the_rows_are_those_released(answer: &Value, query: &Value, sql: &str) {
    let (given, expected) = (
        answer["rows"].as_array().unwrap(),
        query["released"]["rows"].as_array().unwrap(),
    );
    assert_eq!(given.len(), expected.len(), "{sql}\n{given:?}\n{expected:?}");
    for (given, expected) in given.iter().zip(expected) {
        let mut columns = given.as_array().unwrap().iter().zip(expected.as_array().unwrap());
        assert!(columns.all(|(a, b)| same(a, b)), "{sql}: {given} instead of {expected}");
    }
}

/// By node, cells and values with their reasons; and a value is the pooled one or has an interval.
fn what_is_left_out_is_told(answer: &Value, query: &Value, sql: &str) {
    for node in answer["coverage"].as_array().unwrap() {
        let name = node["node"].as_str().unwrap();
        let cells = &query["released"]["cells_left_out"][name];
        assert_eq!(node["suppressed_cells"], cells.as_u64().unwrap_or(0), "{sql}: {name}");
        let values = query["released"]["values_left_out"].get(name);
        assert_eq!(node.get("withheld"), values, "{sql}: {name}");
    }
}

fn the_pooled_value_lies_in_its_interval(answer: &Value, query: &Value, sql: &str) {
    let keys = query["keys"].as_u64().unwrap() as usize;
    let columns: Vec<&str> = query["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_str().unwrap())
        .collect();
    let pooled = query["pooled"].as_array().unwrap();
    for (row, given) in answer["rows"].as_array().unwrap().iter().enumerate() {
        let given = given.as_array().unwrap();
        let truth = pooled
            .iter()
            .find(|truth| truth.as_array().unwrap()[..keys] == given[..keys])
            .unwrap();
        for (at, name) in columns.iter().enumerate().skip(keys) {
            let interval = answer["intervals"].as_array().unwrap().iter();
            let mut interval = interval.filter(|i| i["row"] == row && i["column"] == *name);
            match interval.next() {
                None => assert!(
                    same(&given[at], &truth[at]),
                    "{sql}: {name} of row {row} is not the pooled value"
                ),
                Some(open) => {
                    let truth = truth[at].as_f64().unwrap();
                    let low = open["low"].as_f64().unwrap_or(f64::NEG_INFINITY);
                    let high = open["high"].as_f64().unwrap_or(f64::INFINITY);
                    assert!(low <= truth && truth <= high, "{sql}: {truth} is not in {open}");
                }
            }
        }
    }
}

#[test]
fn the_tour_runs_to_its_end() {
    let place = tempfile::tempdir().unwrap();
    let run = datenraum(["demo", "--dir", place.path().join("demo").to_str().unwrap()]).returns(0);
    for said in [
        "to the last digit",
        "22 cells not released",
        "E_PROHIBITED",
        "ncctg-12 unreachable",
        "fitted again to the two files put together",
        "is whole: 4 entries",
    ] {
        assert!(run.out().contains(said), "no {said:?} in {}", run.out());
    }
    let readme = std::fs::read_to_string(project().join("README.md")).unwrap();
    let (_, block) = readme.split_once("<!-- demo -->\n```text\n").unwrap();
    let (block, _) = block.split_once("```\n<!-- /demo -->").unwrap();
    // Folders, ports, times, digests and names of fits are others in each run.
    let differs = |line: &&str| {
        ["DIR", "PORT", "Z", "sha256:", "FIT ", "The tour took"]
            .iter()
            .any(|part| line.contains(part))
    };
    for line in block.lines().filter(|line| !differs(line)) {
        assert!(
            run.out().lines().any(|said| said == line),
            "README: {line:?} is not in {}",
            run.out()
        );
    }
}

#[test]
fn one_sandbox_told_in_all_its_states() {
    let spec = project().join("demo/oncology.toml");
    let sandbox = Sandbox::up(&spec);
    let dir = sandbox.dir();
    let by_sex = "SELECT sex, count(*) AS people FROM lung_cancer GROUP BY sex";

    sandbox
        .query("SELECT count(*) FROM breast_cancr", &["--purpose", "ehds-53-1-e"])
        .fails_with(
            "E_SQL_COLLECTION",
            "did you mean breast_cancer? you may query: breast_cancer, lung_cancer",
        );
    sandbox
        .query("SELECT count(*) FROM breast_cancer", &["--purpose", "science"])
        .fails_with("E_USAGE", "ehds-53-1-e");
    sandbox
        .query("SELECT count(*) FROM breast_cancer", &[])
        .fails_with("E_NO_PERMISSION", "purpose");
    sandbox
        .query(
            "SELECT patient_id, count(*) FROM breast_cancer GROUP BY patient_id",
            &["--purpose", "ehds-53-1-e"],
        )
        .fails_with("E_SQL_ROLE", "identifies people");
    sandbox
        .query(
            "SELECT age, count(*) FROM breast_cancer GROUP BY age",
            &["--purpose", "ehds-53-1-e"],
        )
        .fails_with("E_SQL_DOMAIN", "bin(age)");
    sandbox
        .query("SELECT max(age) FROM breast_cancer", &["--purpose", "ehds-53-1-e"])
        .fails_with("E_SQL_NOT_ALLOWED", "max");
    sandbox
        .query(by_sex, &["--purpose", "ehds-54-b"])
        .returns(4)
        .fails_with("E_PROHIBITED", "ehds-53-1-e");
    sandbox
        .query("SELECT * FROM lung_cancer", &["--purpose", "ehds-53-1-e"])
        .returns(4)
        .fails_with("E_NO_PERMISSION", "aggregates");

    let dry_run = sandbox
        .query(by_sex, &["--purpose", "ehds-53-1-e", "--dry-run"])
        .returns(0)
        .out();
    assert!(
        dry_run.contains("18 of 18 nodes would answer") && dry_run.contains("5 people or more"),
        "{dry_run}"
    );

    let having = sandbox.ask("SELECT sex, count(*) AS people FROM lung_cancer GROUP BY sex HAVING count(*) > 80 ORDER BY people DESC LIMIT 1");
    assert_eq!(having["rows"], serde_json::json!([["male", 93]]));
    let computed = sandbox.ask("SELECT sex, 2 * count(*) AS twice FROM lung_cancer GROUP BY sex ORDER BY sex");
    assert_eq!(computed["rows"], serde_json::json!([["female", 112], ["male", 186]]));
    assert_eq!(
        computed["intervals"][0]["low"],
        Value::Null,
        "a computed value's interval is not known"
    );

    let csv = sandbox.place().join("answer.csv");
    let csv_words = [
        "--purpose",
        "ehds-53-1-e",
        "--format",
        "csv",
        "-o",
        csv.to_str().unwrap(),
    ];
    let run = sandbox.query(by_sex, &csv_words).returns(0);
    assert!(run.err().contains("18 of 18 nodes answered"), "{}", run.err());
    assert!(std::fs::read_to_string(csv).unwrap().starts_with("sex,people\n"));

    sandbox.up_again(&spec).returns(1).fails_with("E_SANDBOX_UP", "");
    datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", "ncctg-12"]).returns(0);
    let partial = sandbox
        .query(by_sex, &["--purpose", "ehds-53-1-e", "--format", "json"])
        .returns(3)
        .json();
    let missing: Vec<&Value> = partial["coverage"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["status"] != "answered")
        .collect();
    assert_eq!(missing.len(), 1);
    assert_eq!(
        (&missing[0]["node"], &missing[0]["status"]),
        (&"ncctg-12".into(), &"unreachable".into())
    );

    sandbox.down().returns(0);
    sandbox.down().returns(5).fails_with("E_SANDBOX_DOWN", "");
    sandbox
        .query(by_sex, &["--purpose", "ehds-53-1-e"])
        .fails_with("E_UNREACHABLE", "");
    sandbox.up_again(&spec).returns(0);
    sandbox.ask(by_sex);
    let audit = datenraum(["audit", "verify", dir.join("nodes/ncctg-01").to_str().unwrap()]).returns(0);
    assert!(audit.out().contains("is whole"), "{}", audit.out());
}
