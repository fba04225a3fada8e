//! Rows about people under a data permit, from a running node to whoever asks.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Sandbox;

const SPEC: &str = r#"
space = "clinic"
board = { members = 3, threshold = 2 }
collections = ["collections/stays.toml"]
policies = ["policies/stays-rows.toml"]
permits = ["permits/study.toml"]

[[node]]
id = "clinic-a"
roles = ["hospital"]
datasets = [{ collection = "stays", path = "stays.csv" }]

[[person]]
id = "ada"
member = "university"
roles = ["university"]
"#;

const COLLECTION: &str = r#"
id           = "stays"
title        = "Hospital stays"
personal     = true
privacy_unit = "patient_id"

[columns.patient_id]
type = "text"
role = "identifier"

[columns.ward]
type   = "text"
role   = ["group", "filter"]
values = ["surgery", "medicine"]

[columns.days]
type   = "integer"
role   = ["filter", "measure"]
bins   = [0, 10, 20, 366]
bounds = [0, 365]
"#;

const POLICY: &str = r#"
id          = "stays-rows"
version     = 1
title       = "Rows of stays for studies"
collection  = "stays"
valid_from  = 2026-01-01
valid_until = 2099-12-31

[[permission]]
id         = "rows"
assignee   = { roles = ["university"] }
purposes   = ["ehds-53-1-e"]
permit     = "required"
release    = "rows"
columns    = ["patient_id", "ward", "days"]
transforms = { patient_id = "pseudonym", days = "bins" }
disclosure = { tier = "statistical", min_people = 3 }
"#;

const PERMIT: &str = r#"
id          = "study"
space       = "clinic"
title       = "A study"
kind        = "data-permit"
issuer      = "Health data access body"
issued      = 2026-01-02
holder      = "university"
persons     = ["university/ada"]
purposes    = ["ehds-53-1-e"]
valid_from  = 2026-01-02
valid_until = 2099-01-01
opt_out     = "at-query"

[[dataset]]
collection = "stays"
columns    = ["patient_id", "ward", "days"]
"#;

#[test]
fn rows_leave_under_a_permit_as_the_permission_shows_them() {
    let rows = (1..=20).map(|person| {
        let ward = if person % 2 == 0 { "surgery" } else { "medicine" };
        format!("SECRET-{person},{ward},{person}\n")
    });
    let stays = format!("patient_id,ward,days\n{}", rows.collect::<String>());
    let (sandbox, run) = Sandbox::of(&[
        ("spec.toml", SPEC),
        ("collections/stays.toml", COLLECTION),
        ("policies/stays-rows.toml", POLICY),
        ("permits/study.toml", PERMIT),
        ("stays.csv", &stays),
    ]);
    run.returns(0);
    let sql = "SELECT patient_id AS person, ward, days FROM stays WHERE ward = 'surgery' ORDER BY days";
    let words = ["--purpose", "ehds-53-1-e", "--format", "json"];
    let without = sandbox.query(sql, &words);
    assert!(!without.out().contains("SECRET"));
    without.returns(4);
    let answer = sandbox.query(
        sql,
        &["--permit", "study", "--purpose", "ehds-53-1-e", "--format", "json"],
    );
    assert!(!answer.out().contains("SECRET"), "{}", answer.out());
    let answer = answer.returns(0).json();
    let rows = answer["rows"].as_array().unwrap();
    let column = |at: usize| -> BTreeSet<String> { rows.iter().map(|row| row[at].to_string()).collect() };
    assert_eq!(rows.len(), 10);
    assert_eq!(column(0).len(), 10, "one pseudonym for each person");
    assert_eq!(
        column(2),
        BTreeSet::from(["0".to_owned(), "10".to_owned(), "20".to_owned()])
    );
    assert!(
        rows.iter()
            .all(|row| row[0].as_str().is_some_and(|name| name.len() == 32))
    );
    assert_eq!(answer["intervals"], Value::Array(Vec::new()));
}
