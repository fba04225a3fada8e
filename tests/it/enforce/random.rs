//! Random tables and queries (`tests/oracles/random`) against an implementation of the same rules in Python. What is released there
//! must be released here with the same number, and what is withheld there must be withheld here, for the same reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::bench::{Bench, Outcome, tests_folder};
use super::bytes;
use super::case::Answer;

/// Fewer would mean that the files are not all there.
const CASES_MIN: usize = 500;

/// The same of queries that join.
const JOINS_MIN: usize = 250;

#[derive(Deserialize)]
struct RandomCase {
    table: String,
    sql: String,
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

fn folder() -> PathBuf {
    tests_folder().join("oracles/random")
}

/// A node with one of the tables, and with what is joined to it.
fn bench(table: &str) -> Bench {
    let read = |name: &str| fs::read(folder().join(name)).unwrap();
    let space = tests_folder().join("enforce/space");
    let mut files = BTreeMap::from([
        ("space.toml".to_owned(), fs::read(space.join("space.toml")).unwrap()),
        ("members.toml".to_owned(), fs::read(space.join("members.toml")).unwrap()),
        (
            "collections/patients.toml".to_owned(),
            read(&format!("{table}.collection.toml")),
        ),
        (
            "policies/patients.toml".to_owned(),
            read(&format!("{table}.policy.toml")),
        ),
    ]);
    for other in ["places", "persons"] {
        let collection = read(&format!("{other}.collection.toml"));
        files.insert(format!("collections/{other}.toml"), collection);
        files.insert(
            format!("policies/{other}.toml"),
            read(&format!("{table}.{other}.policy.toml")),
        );
    }
    Bench::of(&files, |collection| match collection {
        "patients" => folder().join(format!("{table}.csv")),
        other => folder().join(format!("{table}.{other}.csv")),
    })
}

#[tokio::test]
async fn random_queries_release_and_withhold_what_an_independent_implementation_does() {
    compare("cases.json", CASES_MIN).await;
}

#[tokio::test]
async fn random_joins_release_and_withhold_what_an_independent_implementation_does() {
    compare("joins.json", JOINS_MIN).await;
}

async fn compare(file: &str, cases_min: usize) {
    let text = fs::read_to_string(folder().join(file)).unwrap();
    let cases: Vec<RandomCase> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= cases_min, "only {} cases", cases.len());
    let mut benches: BTreeMap<String, Bench> = BTreeMap::new();
    let mut wrong = String::new();
    for RandomCase {
        table,
        sql,
        columns,
        rows,
    } in cases
    {
        let bench = benches.entry(table.clone()).or_insert_with(|| bench(&table));
        let outcome = bench.ask("university", &sql).await;
        let compared = match &outcome {
            Outcome::Refused(report) => Err(format!("refused: {report}; {}", report.remedy)),
            Outcome::Answered(released) => bytes::is_clean(released)
                .and_then(|()| Answer { columns, rows }.compare(&bytes::columns(released), &bytes::rows(released))),
        };
        if let Err(difference) = compared {
            let _ = writeln!(wrong, "\n{table}: {sql}\n  {difference}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
