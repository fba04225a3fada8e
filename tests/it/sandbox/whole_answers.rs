//! Answers that would be wrong without a word: a column that nodes were not asked for, and cells that nobody released.

use serde_json::{Value, json};

use super::{Sandbox, project};

/// District, week and cases of all rows of both nodes.
fn measles() -> Vec<(String, i64, i64)> {
    let file = |name: &str| std::fs::read_to_string(project().join("examples/open/data").join(name)).unwrap();
    let row = |line: &str| {
        let fields: Vec<&str> = line.trim().split(',').collect();
        (
            fields[0].to_owned(),
            fields[3].parse().unwrap(),
            fields[4].parse().unwrap(),
        )
    };
    let files = [file("cities.csv"), file("counties.csv")];
    files.iter().flat_map(|text| text.lines().skip(1).map(row)).collect()
}

#[test]
fn a_column_that_only_a_subquery_names_is_asked_for() {
    let sandbox = Sandbox::up(&project().join("examples/open/measles.toml"));
    let rows = measles();
    // `a.week` stands in the subquery only, and no other part of the question has a column of that name.
    let answer = sandbox.ask(
        "SELECT count(*) AS rows FROM measles_weekly a WHERE EXISTS (SELECT 1 FROM measles_weekly b WHERE b.cases = a.week)",
    );
    let expected = rows.iter().filter(|a| rows.iter().any(|b| b.2 == a.1)).count();
    assert!(expected > 0);
    assert_eq!(answer["rows"], json!([[expected]]));
    let answer = sandbox.ask(
        "SELECT DISTINCT district FROM measles_weekly a \
         WHERE district IN (SELECT district FROM measles_weekly b WHERE b.cases > a.week) ORDER BY district",
    );
    let is_above = |a: &(String, i64, i64)| rows.iter().any(|b| b.0 == a.0 && b.2 > a.1);
    let mut expected: Vec<Value> = rows.iter().filter(|a| is_above(a)).map(|a| json!([a.0])).collect();
    expected.dedup();
    assert!(!expected.is_empty());
    assert_eq!(answer["rows"].as_array().unwrap().len(), expected.len());
}

#[test]
fn what_is_computed_from_cells_that_are_not_all_there_is_marked() {
    let sandbox = Sandbox::up(&project().join("demo/oncology.toml"));
    // Without the cells that were not released the total is 3590 of 3668, although each cell that is there is complete.
    let total = sandbox.ask(
        "SELECT sum(people) AS people FROM (SELECT node, tumour_size, grade, count(*) AS people \
         FROM breast_cancer GROUP BY node, tumour_size, grade)",
    );
    assert_eq!(total["rows"], json!([[3590]]));
    assert_eq!(marks(&total), [(0, "people".to_owned())]);
    assert_eq!(total["intervals"][0]["high"], Value::Null);

    let by_sex = "FROM lung_cancer GROUP BY sex";
    let yes_or_no = sandbox.ask(&format!("SELECT sex, count(*) > 80 AS is_large {by_sex} ORDER BY sex"));
    let of_each = [(0, "is_large".to_owned()), (1, "is_large".to_owned())];
    assert_eq!(marks(&yes_or_no), of_each, "a yes or no that lacks cells is marked");
    assert_eq!(yes_or_no["rows_open"], false);

    // 90 women, of whom 56 are released: the condition is true, and they are not in the answer.
    let large = sandbox.ask(&format!("SELECT sex, count(*) AS people {by_sex} HAVING count(*) > 80"));
    assert_eq!(large["rows"], json!([["male", 93]]));
    assert_eq!(large["rows_open"], true);
    let first = sandbox.ask(&format!("SELECT sex {by_sex} ORDER BY count(*) DESC LIMIT 1"));
    assert_eq!(first["rows_open"], true);
    let all = sandbox.ask(&format!("SELECT sex, count(*) AS people {by_sex} ORDER BY people"));
    assert_eq!(all["rows_open"], false);
    let by_size = "FROM breast_cancer GROUP BY tumour_size";
    let whole = sandbox.ask(&format!(
        "SELECT tumour_size, count(*) AS people {by_size} HAVING count(*) > 100"
    ));
    assert_eq!((&whole["rows_open"], marks(&whole)), (&json!(false), Vec::new()));
}

/// Row and column of every value that is marked as open.
fn marks(answer: &Value) -> Vec<(u64, String)> {
    let intervals = answer["intervals"].as_array().unwrap().iter();
    let marks = intervals.map(|open| {
        (
            open["row"].as_u64().unwrap(),
            open["column"].as_str().unwrap().to_owned(),
        )
    });
    marks.collect()
}

/// Age and nodes of everybody in both cohorts.
fn cohorts() -> Vec<[f64; 2]> {
    let file = |name: &str| std::fs::read_to_string(project().join("demo/data").join(name)).unwrap();
    let people = |text: String| {
        let head: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        let at = ["age", "nodes"].map(|name| head.iter().position(|column| *column == name).unwrap());
        let row = |line: &str| {
            let fields: Vec<&str> = line.trim().split(',').collect();
            at.map(|at| fields[at].parse().unwrap())
        };
        text.lines().skip(1).map(row).collect::<Vec<[f64; 2]>>()
    };
    [file("gbsg.csv"), file("rotterdam.csv")]
        .into_iter()
        .flat_map(people)
        .collect()
}

#[test]
fn a_median_and_a_correlation_of_people_are_those_of_both_cohorts_together() {
    let sandbox = Sandbox::up(&project().join("tests/clients/gateway.toml"));
    let sql = "SELECT median(age) AS middle, corr(age, nodes) AS r, count(*) AS n FROM breast_cancer";
    let answer = sandbox.ask(sql);
    let people = cohorts();
    let n = people.len() as f64;
    let mean = |at: usize| people.iter().map(|person| person[at]).sum::<f64>() / n;
    let means = [mean(0), mean(1)];
    let products = |a: usize, b: usize| {
        let each = people
            .iter()
            .map(|person| (person[a] - means[a]) * (person[b] - means[b]));
        each.sum::<f64>()
    };
    let r = products(0, 1) / (products(0, 0) * products(1, 1)).sqrt();
    let ages = |from: f64, until: f64| {
        people
            .iter()
            .filter(|person| person[0] >= from && person[0] < until)
            .count() as f64
    };
    let middle = 50.0 + 10.0 * (n / 2.0 - ages(0.0, 50.0)) / ages(50.0, 60.0);
    let row = &answer["rows"][0];
    for (at, expected) in [(0, middle), (1, r), (2, n)] {
        let given = row[at].as_f64().unwrap();
        assert!(
            (given - expected).abs() < 1e-9 * expected.abs(),
            "{given} instead of {expected}"
        );
    }
    let bin = json!([{ "row": 0, "column": "middle", "low": 50.0, "high": 60.0, "nodes": [] }]);
    assert_eq!(answer["intervals"], bin);
    // A receipt for each of the two queries that a node was asked.
    for node in answer["coverage"].as_array().unwrap() {
        assert_eq!(node["receipts"].as_array().unwrap().len(), 2, "{node}");
        assert_eq!(node["suppressed_cells"], 0);
    }
}
