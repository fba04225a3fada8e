//! What the engine makes of our plan: that rows come as they are stored, so that one person after the other can be added up.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use datafusion::physical_plan::displayable;
use policy::{AccessRequest, Asked, Caller};

use super::*;
use crate::dataset::Datasets;
use crate::example;
use crate::scan::is_guarded;

const COLLECTION: &str = r#"
id = "stays"
title = "Stays"
personal = true
privacy_unit = "patient_id"
[columns.patient_id]
type = "text"
role = "identifier"
[columns.ward]
type = "text"
role = ["group", "filter"]
values = ["a", "b"]
[columns.days]
type = "integer"
role = ["measure"]
bounds = [0, 60]
"#;

const POLICY: &str = r#"
id = "research"
version = 1
title = "Research"
collection = "stays"
valid_from = 2026-01-01
valid_until = 2027-12-31
[[permission]]
id = "statistics"
assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit = "none"
release = "aggregates"
columns = ["ward", "days"]
[permission.disclosure]
tier = "statistical"
min_people = 5
"#;

#[tokio::test]
async fn the_engine_only_reads_and_keeps_the_order() {
    let rules = example::rules(&[
        ("collections/stays.toml", COLLECTION),
        ("policies/research.toml", POLICY),
    ]);
    let place = tempfile::tempdir().unwrap();
    let mut data = "patient_id,ward,days\n".to_owned();
    for row in 0..100 {
        let _ = writeln!(
            data,
            "p{},{},{}",
            row % 30,
            if row % 3 == 0 { "a" } else { "b" },
            row % 9
        );
    }
    let file = place.path().join("stays.csv");
    std::fs::write(&file, data).unwrap();
    let datasets = Datasets::open(&place.path().join("datasets")).unwrap();
    let now = "2026-11-21T11:00:00Z".parse().unwrap();
    let dataset = datasets
        .add(&file, rules.collections.values().next().unwrap(), now)
        .unwrap();

    let sql = "SELECT ward, count(*), avg(days) FROM stays WHERE ward = 'a' GROUP BY ward";
    let query = crate::read::read(sql, &rules.collections).await.unwrap();
    let request = AccessRequest {
        caller: Caller {
            member: "clinic".parse().unwrap(),
            person: "ada".parse().unwrap(),
            roles: BTreeSet::from(["university".parse().unwrap()]),
        },
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        permit: None,
        collection: query.collection().clone(),
        release: query.release(),
        columns: query.columns(),
        asked: Asked::default(),
        at: now,
    };
    let grant = policy::decide(&rules, &request).into_grant().unwrap();
    let holding = Holding {
        dataset: &dataset,
        people: &People::everybody(),
        joined: &[],
        node: "clinic",
        secret: datasets.secret(),
    };
    let plan = enforce(&query, grant, holding).unwrap();
    let physical = plan.state.create_physical_plan(&plan.plans[0]).await.unwrap();
    assert!(is_guarded(&physical));
    let shown = displayable(physical.as_ref()).indent(true).to_string();
    for step in ["AggregateExec", "SortExec", "RepartitionExec", "CoalescePartitionsExec"] {
        assert!(!shown.contains(step), "{shown}");
    }
}
