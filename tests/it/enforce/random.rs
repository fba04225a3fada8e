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

/// A node with one of the tables.
fn bench(table: &str) -> Bench {
    let read = |ending: &str| fs::read(folder().join(format!("{table}.{ending}"))).unwrap();
    let space = tests_folder().join("enforce/space");
    let files = BTreeMap::from([
        ("space.toml".to_owned(), fs::read(space.join("space.toml")).unwrap()),
        ("members.toml".to_owned(), fs::read(space.join("members.toml")).unwrap()),
        ("collections/patients.toml".to_owned(), read("collection.toml")),
        ("policies/patients.toml".to_owned(), read("policy.toml")),
    ]);
    Bench::of(&files, |_| folder().join(format!("{table}.csv")))
}

#[tokio::test]
async fn random_queries_release_and_withhold_what_an_independent_implementation_does() {
    let text = fs::read_to_string(folder().join("cases.json")).unwrap();
    let cases: Vec<RandomCase> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
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
