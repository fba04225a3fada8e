//! Joins inside nodes, through the program: two clinics with admissions and a table of hospitals each, a third without it, and a register
//! of people at one of them. What is joined is the answer of the pooled data; both policies are in receipt and audit.

use serde_json::{Value, json};

use super::{Run, Sandbox, datenraum};

const SPEC: &str = r#"
space       = "clinic"
board       = { members = 3, threshold = 2 }
collections = ["collections/admissions.toml", "collections/hospitals.toml", "collections/register.toml"]
policies    = ["policies/admissions-policy.toml", "policies/hospitals-policy.toml", "policies/register-policy.toml"]

[[node]]
id       = "clinic-a"
roles    = ["hospital"]
datasets = [{ collection = "admissions", path = "a.csv" }, { collection = "hospitals", path = "hospitals.csv" }, { collection = "register", path = "register.csv" }]

[[node]]
id       = "clinic-b"
roles    = ["hospital"]
datasets = [{ collection = "admissions", path = "b.csv" }, { collection = "hospitals", path = "hospitals.csv" }]

[[node]]
id       = "clinic-c"
roles    = ["hospital"]
datasets = [{ collection = "admissions", path = "c.csv" }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]
"#;

const ADMISSIONS: &str = r#"
id           = "admissions"
title        = "Admissions"
personal     = true
privacy_unit = "patient_id"

[columns.patient_id]
type       = "text"
role       = "identifier"
references = "register"

[columns.hospital_id]
type       = "text"
references = "hospitals"

[columns.days]
type   = "integer"
role   = "measure"
bounds = [0, 365]
"#;

const HOSPITALS: &str = r#"
id       = "hospitals"
title    = "Hospitals"
personal = false
key      = "hospital_id"

[columns.hospital_id]
type = "text"

[columns.region]
type   = "text"
role   = ["group", "filter"]
values = ["coast", "hills"]

[columns.beds]
type   = "integer"
role   = "measure"
bounds = [0, 2000]
"#;

const REGISTER: &str = r#"
id                  = "register"
title               = "A register"
personal            = true
privacy_unit        = "person"
rows_per_person_max = 1

[columns.person]
type = "text"
role = "identifier"

[columns.smoker]
type = "boolean"
role = ["group", "filter"]
"#;

fn policy(collection: &str, columns: &str, disclosure: &str) -> String {
    format!(
        "id = \"{collection}-policy\"\nversion = 1\ntitle = \"{collection}\"\ncollection = \"{collection}\"\n\
         valid_from = 2026-01-01\nvalid_until = 2099-12-31\n[[permission]]\nid = \"of-{collection}\"\n\
         assignee = {{ roles = [\"university\"] }}\npurposes = [\"ehds-53-1-e\"]\npermit = \"none\"\nrelease = \"aggregates\"\n\
         columns = [{columns}]\n[permission.disclosure]\n{disclosure}\n"
    )
}

/// Twelve people, two admissions each: eight of them to h1 or h2, four to a hospital that is in no table.
fn admissions(clinic: &str, elsewhere: usize) -> String {
    let rows = (0..12).flat_map(|person| {
        let hospital = match person {
            _ if person < elsewhere => "h9",
            _ if person % 2 == 0 => "h1",
            _ => "h2",
        };
        (1..=2).map(move |days| format!("{clinic}{person},{hospital},{}\n", person + days))
    });
    format!("patient_id,hospital_id,days\n{}", rows.collect::<String>())
}

fn clinic() -> (Sandbox, Run) {
    let statistical = |people: u32| format!("tier = \"statistical\"\nmin_people = {people}");
    let admissions_policy = policy("admissions", r#""hospital_id", "days", "node""#, &statistical(3));
    let hospitals_policy = policy("hospitals", r#""hospital_id", "region", "beds""#, "tier = \"open\"");
    let register_policy = policy("register", r#""smoker""#, &statistical(4));
    let register: String = (0..10).map(|person| format!("a{person},{}\n", person < 5)).collect();
    Sandbox::of(&[
        ("spec.toml", SPEC),
        ("collections/admissions.toml", ADMISSIONS),
        ("collections/hospitals.toml", HOSPITALS),
        ("collections/register.toml", REGISTER),
        ("policies/admissions-policy.toml", &admissions_policy),
        ("policies/hospitals-policy.toml", &hospitals_policy),
        ("policies/register-policy.toml", &register_policy),
        (
            "hospitals.csv",
            "hospital_id,region,beds\nh1,coast,100\nh2,hills,300\nh3,hills,50\n",
        ),
        ("a.csv", &admissions("a", 0)),
        ("b.csv", &admissions("b", 4)),
        ("c.csv", &admissions("c", 0)),
        ("register.csv", &format!("person,smoker\n{register}")),
    ])
}

const REGIONS: &str = "SELECT h.region, count(*) AS n, sum(h.beds) AS beds FROM admissions a \
    LEFT JOIN hospitals h ON a.hospital_id = h.hospital_id GROUP BY h.region ORDER BY h.region NULLS LAST";

const PEOPLE: &str =
    "SELECT count(*) AS n FROM admissions a JOIN register r ON a.patient_id = r.person WHERE a.node = 'clinic-a'";

#[test]
fn nodes_join_what_they_hold_and_say_what_they_lack() {
    let (sandbox, run) = clinic();
    run.returns(0);
    let more = ["--purpose", "ehds-53-1-e", "--format", "json"];

    // Along nothing else: refused before a node is asked.
    let undeclared = "SELECT count(*) FROM admissions a JOIN register r ON a.hospital_id = r.person";
    let refused = sandbox.query(undeclared, &["--purpose", "ehds-53-1-e"]);
    assert_eq!(refused.code(), 4);
    refused.fails_with("E_SQL_NOT_ALLOWED", "not declared for it");
    let rows = "SELECT a.days, r.smoker FROM admissions a JOIN register r ON a.patient_id = r.person";
    sandbox
        .query(rows, &["--purpose", "ehds-53-1-e"])
        .fails_with("E_SQL_ROLE", "identifies people");

    // Two answer, the third has no hospitals and says so.
    let answer = sandbox.query(REGIONS, &more).returns(3).json();
    // Sums of a joined column that is the same for all in a cell are withheld, as `constant`.
    let known: Vec<Value> = answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!([row[0], row[1]]))
        .collect();
    // Of both files: ten people of h1, ten of h2, and the four of h9, of which no table knows.
    assert_eq!(
        json!(known),
        json!([["coast", 20], ["hills", 20], [null, 8]]),
        "{answer}"
    );
    let coverage = answer["coverage"].as_array().unwrap();
    let third = coverage.iter().find(|node| node["node"] == "clinic-c").unwrap();
    assert_eq!(third["problem"], "E_NO_NODE", "{third}");
    assert_eq!(third["message"], "clinic-c has no dataset of hospitals");
    assert_eq!(
        coverage[0]["policy"]["joined"][0]["rule"], "of-hospitals",
        "{}",
        coverage[0]
    );

    what_nodes_would_join_is_told_before(&sandbox, third);

    // By JOIN the four people of h9 are left out, and they are enough for that to be said.
    let inner = "SELECT sum(days) AS days FROM hospitals JOIN admissions USING (hospital_id) WHERE admissions.node <> 'clinic-c'";
    assert_eq!(sandbox.query(inner, &more).returns(0).json()["rows"], json!([[312]]));

    // The register is at one node; two of its people are missing there, fewer than the four that one of both policies asks for.
    let withheld = sandbox.query(PEOPLE, &more).returns(0).json();
    assert_eq!(withheld["coverage"][0]["suppressed_cells"], 1, "{withheld}");
    let smokers = "SELECT r.smoker, count(DISTINCT a.patient_id) AS people FROM admissions a LEFT JOIN register r ON a.patient_id = r.person \
                   WHERE a.node = 'clinic-a' GROUP BY r.smoker, a.node";
    let smokers = sandbox.query(smokers, &more).returns(0).json();
    // Two without a match are withheld, and one of the others so that they are not the difference.
    assert_eq!(smokers["rows"].as_array().unwrap().len(), 1, "{smokers}");
    assert_eq!(smokers["coverage"][0]["policy"]["min_people"], 4);

    audit_and_receipt_name_both(&sandbox, &answer);
}

#[test]
fn whoever_opts_out_of_a_register_has_no_match_there_and_counts_among_the_admissions() {
    let (sandbox, run) = clinic();
    run.returns(0);
    let config = sandbox.dir().join("nodes/clinic-a/node.toml");
    let config = config.to_str().unwrap();
    let words = [
        "node",
        "opt-out",
        "add",
        "a0",
        "a1",
        "--collection",
        "register",
        "--config",
        config,
    ];
    datenraum(words).returns(0);
    // With the two who are not in it at all four are without a match, as many as must be.
    assert_eq!(sandbox.ask(PEOPLE)["rows"], json!([[16]]));
    let all = "SELECT count(days) AS n FROM admissions WHERE node = 'clinic-a'";
    assert_eq!(sandbox.ask(all)["rows"], json!([[24]]));
}

/// Before a question is asked, each node says what it says of the question.
fn what_nodes_would_join_is_told_before(sandbox: &Sandbox, third: &Value) {
    let more = ["--purpose", "ehds-53-1-e", "--format", "json", "--dry-run"];
    let run = sandbox.query(REGIONS, &more).returns(3).json();
    let nodes = &run["parts"][0]["nodes"];
    for field in ["node", "status", "problem", "message", "remedy"] {
        assert_eq!(nodes[2][field], third[field], "{nodes}");
    }
    let rule = |collection: &str| {
        let (policy, rule) = (format!("{collection}-policy"), format!("of-{collection}"));
        json!({ "collection": collection, "policy": policy, "version": 1, "rule": rule })
    };
    assert_eq!(nodes[0]["rules"], json!([rule("admissions"), rule("hospitals")]));
    assert_eq!(nodes[0]["checks"]["min_people"], 3);
    // The register's policy asks for more people, and the stricter one holds.
    let run = sandbox.query(PEOPLE, &more).returns(0).json();
    assert_eq!(run["parts"][0]["nodes"][0]["checks"]["min_people"], 4, "{run}");
}

fn audit_and_receipt_name_both(sandbox: &Sandbox, answer: &Value) {
    let node = sandbox.dir().join("nodes/clinic-a");
    let shown = datenraum(["audit", "show", node.to_str().unwrap()]).returns(0).out();
    let both = "under admissions-policy version 1, rule of-admissions, joined to hospitals under hospitals-policy version 1, rule of-hospitals";
    assert!(shown.contains(both), "{shown}");
    assert!(
        shown.contains("FROM admissions LEFT JOIN hospitals ON admissions.hospital_id = hospitals.hospital_id GROUP BY hospitals.\"region\""),
        "{shown}"
    );
    let query_id = answer["coverage"][0]["query_id"].as_str().unwrap();
    let question = answer["query_id"].as_str().unwrap();
    let receipt = sandbox.dir().join(format!("people/ada/cache/receipts/{question}.json"));
    let words = [
        "audit",
        "verify",
        node.to_str().unwrap(),
        "--receipt",
        receipt.to_str().unwrap(),
    ];
    let verified = datenraum(words).returns(0).out();
    assert!(
        verified.contains(&format!("the receipt of query {query_id} is that of entry")),
        "{verified}"
    );
}
