//! Rows about people under a data permit: the columns that the permission lists, as it shows them, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use super::bench::{Bench, Outcome, tests_folder};
use super::bytes;

const POLICY: &str = r#"
id          = "patients"
version     = 1
title       = "Rows for a secure processing environment"
collection  = "patients"
valid_from  = 2026-01-01
valid_until = 2027-12-31

[[permission]]
id       = "rows"
assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit   = "required"
release  = "rows"
columns  = ["patient_id", "age", "district", "diagnosis", "admitted_on", "discharged_at", "cost", "note", "sex"]
rows     = "consent_research"

[permission.transforms]
patient_id    = "pseudonym"
age           = "bins"
diagnosis     = { prefix = 1 }
admitted_on   = { truncate = "quarter" }
discharged_at = { truncate = "year" }
note          = "mask"

[permission.disclosure]
tier       = "statistical"
min_people = 5
"#;

fn permit(id: &str) -> Vec<u8> {
    format!(
        r#"
id          = "{id}"
space       = "enforcement"
title       = "A study"
kind        = "data-permit"
issuer      = "Health data access body"
issued      = 2026-01-02
holder      = "riverside"
persons     = ["riverside/ada"]
purposes    = ["ehds-53-1-e"]
valid_from  = 2026-01-02
valid_until = 2027-01-01
opt_out     = "at-query"

[[dataset]]
collection = "patients"
columns    = ["patient_id", "age", "district", "diagnosis", "admitted_on", "discharged_at", "cost", "note", "sex"]
"#
    )
    .into_bytes()
}

fn bench() -> Bench {
    let here = tests_folder().join("enforce");
    let read = |path: &str| fs::read(here.join("space").join(path)).unwrap();
    // Patients refer to the others.
    let collections = ["patients", "districts", "register"].map(|name| format!("collections/{name}.toml"));
    let collections = collections.map(|path| (path.clone(), read(&path)));
    let mut files = BTreeMap::from([
        ("space.toml".to_owned(), read("space.toml")),
        ("members.toml".to_owned(), read("members.toml")),
        ("policies/patients.toml".to_owned(), POLICY.as_bytes().to_vec()),
        ("permits/study.toml".to_owned(), permit("study")),
        ("permits/other.toml".to_owned(), permit("other")),
    ]);
    files.extend(collections);
    Bench::of(&files, |collection| here.join(format!("{collection}.csv")))
}

async fn rows(bench: &Bench, permit: &str, sql: &str) -> Vec<Vec<Value>> {
    let outcome = bench.ask_under("university", Some(permit), sql).await;
    bytes::without_canaries(&outcome).unwrap();
    let Outcome::Answered(released) = outcome else {
        panic!("{sql}: {}", bytes::as_json(&outcome))
    };
    bytes::is_clean(&released).unwrap();
    bytes::rows(&released)
}

async fn refused(bench: &Bench, permit: Option<&str>, sql: &str) -> String {
    match bench.ask_under("university", permit, sql).await {
        Outcome::Refused(report) => report.problem.code().to_owned(),
        Outcome::Answered(_) => panic!("answered: {sql}"),
    }
}

#[tokio::test]
async fn rows_do_not_leave_without_a_permit_nor_beyond_it() {
    let bench = bench();
    assert_eq!(
        refused(&bench, None, "SELECT sex FROM patients").await,
        "E_PERMIT_REQUIRED"
    );
    let beyond = [
        "SELECT stage FROM patients",
        "SELECT sex, emergency FROM patients",
        "SELECT * FROM patients",
    ];
    for sql in beyond {
        assert_eq!(refused(&bench, Some("study"), sql).await, "E_PERMIT_INVALID", "{sql}");
    }
}

#[tokio::test]
async fn a_person_is_a_pseudonym_and_nothing_that_a_query_can_use() {
    let bench = bench();
    for sql in [
        "SELECT sex FROM patients WHERE patient_id = 'PID-0001'",
        "SELECT sex FROM (SELECT patient_id AS p, sex FROM patients) WHERE p = 'PID-0001'",
        "SELECT patient_id, count(*) FROM patients GROUP BY patient_id",
        "SELECT max(patient_id) FROM patients",
    ] {
        let code = refused(&bench, Some("study"), sql).await;
        assert!(
            ["E_SQL_ROLE", "E_SQL_NOT_ALLOWED"].contains(&code.as_str()),
            "{sql}: {code}"
        );
    }
    let one = rows(&bench, "study", "SELECT patient_id FROM patients").await;
    let again = rows(&bench, "study", "SELECT patient_id AS person FROM patients").await;
    let other = rows(&bench, "other", "SELECT patient_id FROM patients").await;
    assert_eq!(one, again, "the same permit gives the same pseudonyms");
    let distinct = |rows: &[Vec<Value>]| -> BTreeSet<String> {
        rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
    };
    let (one, other) = (distinct(&one), distinct(&other));
    assert!(one.is_disjoint(&other), "another permit's pseudonyms cannot be matched");
    assert_eq!(one.len(), other.len());
    assert!(
        one.iter()
            .all(|name| name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit()))
    );
}

#[tokio::test]
async fn each_column_is_shown_as_the_permission_says() {
    let bench = bench();
    let rows = rows(
        &bench,
        "study",
        "SELECT age, diagnosis, admitted_on, discharged_at, note, cost FROM patients",
    )
    .await;
    let set = |at: usize| -> BTreeSet<String> { rows.iter().map(|row| row[at].to_string()).collect() };
    assert!(rows.len() > 500);
    let edges = ["18", "40", "50", "60", "70", "null"];
    assert!(set(0).iter().all(|age| edges.contains(&age.as_str())), "{:?}", set(0));
    assert!(
        set(1)
            .iter()
            .all(|code| ["\"C\"", "\"E\"", "\"I\"", "\"B\"", "null"].contains(&code.as_str()))
    );
    let quarters = ["-01-01\"", "-04-01\"", "-07-01\"", "-10-01\""];
    assert!(
        set(2)
            .iter()
            .all(|day| quarters.iter().any(|quarter| day.ends_with(quarter))),
        "{:?}",
        set(2)
    );
    assert!(set(3).iter().all(|at| at.contains("-01-01T00:00:00")), "{:?}", set(3));
    assert_eq!(set(4), BTreeSet::from(["null".to_owned()]));
    assert!(set(5).len() > 100, "what is not transformed is as it is");
}

/// Conditions see what rows show: nobody is found by what is hidden.
#[tokio::test]
async fn conditions_act_on_what_is_shown() {
    let bench = bench();
    let none = rows(&bench, "study", "SELECT sex FROM patients WHERE diagnosis = 'C50'").await;
    assert!(none.is_empty(), "prefixes of one character are no diagnosis");
    let all = rows(&bench, "study", "SELECT age FROM patients").await;
    let old = rows(&bench, "study", "SELECT age FROM patients WHERE age >= 60").await;
    let expected = all
        .iter()
        .filter(|row| row[0].as_i64().is_some_and(|age| age >= 60))
        .count();
    assert_eq!(old.len(), expected);
    assert_eq!(
        refused(&bench, Some("study"), "SELECT sex FROM patients WHERE age >= 61").await,
        "E_SQL_DOMAIN"
    );
}

#[tokio::test]
async fn aggregates_do_not_tell_what_rows_hide() {
    let bench = bench();
    for sql in [
        "SELECT avg(age) FROM patients",
        "SELECT count(note) FROM patients",
        "SELECT diagnosis, count(*) FROM patients GROUP BY diagnosis",
    ] {
        assert_eq!(refused(&bench, Some("study"), sql).await, "E_SQL_ROLE", "{sql}");
    }
    let sexes = rows(&bench, "study", "SELECT sex, count(*) AS n FROM patients GROUP BY sex").await;
    assert!(!sexes.is_empty());
}
