//! `query --dry-run`: every node says whether it would answer, by which rule and at what cost, and it costs nothing.

use serde_json::{Value, json};

use super::raw::Person;
use super::{Run, Sandbox, datenraum};

const SPEC: &str = r#"
space       = "clinics"
board       = { members = 3, threshold = 2 }
collections = ["collections/stays.toml", "collections/wards.toml"]
policies    = ["policies/stays-statistics.toml", "policies/wards-closed.toml"]
permits     = ["permits/study.toml"]

[[node]]
id       = "clinic-a"
roles    = ["hospital"]
datasets = [{ collection = "stays", path = "stays.csv" }]

[[node]]
id       = "clinic-b"
roles    = ["hospital"]
datasets = [{ collection = "stays", path = "stays.csv" }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]
"#;

const COLLECTION: &str = include_str!("../../../examples/own/collections/stays.toml");

const DISCLOSURE: &str = r#"min_people = 3
round_to   = 5
queries    = { per_minute = 30, per_week = 4 }

[[permission.duty]]
action      = "delete"
within_days = 30
"#;

const PERMIT: &str = r#"
id          = "study"
space       = "clinics"
title       = "A study"
kind        = "data-permit"
issuer      = "Health data access body"
issued      = 2026-01-02
holder      = "university"
persons     = ["university/ada"]
purposes    = ["ehds-53-1-e"]
valid_from  = 2026-01-02
valid_until = 2099-01-01
queries     = { per_week = 3 }
opt_out     = "at-query"

[[dataset]]
collection = "stays"
columns    = ["ward", "days"]
"#;

const SQL: &str = "SELECT ward, count(*) AS n FROM stays GROUP BY ward ORDER BY ward";
const FOR_RESEARCH: [&str; 2] = ["--purpose", "ehds-53-1-e"];

fn clinics() -> Sandbox {
    let policy = include_str!("../../../examples/own/policies/stays-statistics.toml");
    let (open, _) = policy.split_once("min_people").unwrap();
    let closed = policy
        .replace("stays-statistics", "wards-closed")
        .replace("\"stays\"", "\"wards\"")
        .replace("[\"university\"]", "[\"hospital\"]");
    let rows = (1..=20).map(|person| format!("p{person},{},{person}\n", ["surgery", "medicine"][person % 2]));
    let data = format!("patient_id,ward,days\n{}", rows.collect::<String>());
    let (sandbox, run) = Sandbox::of(&[
        ("spec.toml", SPEC),
        ("collections/stays.toml", COLLECTION),
        ("collections/wards.toml", &COLLECTION.replace("\"stays\"", "\"wards\"")),
        ("policies/stays-statistics.toml", &format!("{open}{DISCLOSURE}")),
        ("policies/wards-closed.toml", &closed),
        ("permits/study.toml", PERMIT),
        ("stays.csv", &data),
    ]);
    run.returns(0);
    sandbox
}

impl Sandbox {
    fn dry_run(&self, sql: &str, more: &[&str]) -> Run {
        self.query(sql, &[more, &["--dry-run"]].concat())
    }

    /// The nodes of the only part, as JSON.
    fn foreseen(&self, more: &[&str], code: i32) -> Vec<Value> {
        let more = [&FOR_RESEARCH[..], more, &["--format", "json"]].concat();
        let run = self.dry_run(SQL, &more).returns(code).json();
        let [part] = run["parts"].as_array().unwrap().as_slice() else {
            panic!("{run}");
        };
        assert!(part["sql"].as_str().unwrap().contains("FROM stays"), "{part}");
        assert_eq!(part["documents"], "allowed by statistics of stays-statistics version 1");
        part["nodes"].as_array().unwrap().clone()
    }
}

/// Whose quota, of which time, how many of them, and how many were used.
fn costs(node: &Value) -> Vec<(&str, &str, i64, i64)> {
    let costs = node["costs"].as_array().unwrap_or_else(|| panic!("{node}"));
    let mut all = Vec::new();
    for cost in costs {
        let text = |key: &str| cost[key].as_str().unwrap();
        let number = |key: &str| cost[key].as_i64().unwrap();
        all.push((text("quota"), text("window"), number("limit"), number("used")));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nodes_would_refuse_is_named_before_it_is_asked() {
    let sandbox = clinics();
    sandbox
        .dry_run("SELECT count(*) FROM wards", &FOR_RESEARCH)
        .returns(4)
        .fails_with("E_NO_PERMISSION", "wards");
    sandbox
        .dry_run("SELECT count(*) FROM nothing", &FOR_RESEARCH)
        .fails_with("E_SQL_COLLECTION", "nothing");
    // A node does not tell what is closed from what is not there.
    let ada = Person::of(&sandbox, "ada", "clinic-a").await;
    let mut told = Vec::new();
    for name in ["wards", "warps"] {
        let seen = ada
            .ask_whether(&format!("SELECT count(*) AS n FROM {name}"), None)
            .await;
        let message = seen.refused.unwrap().message().to_owned();
        assert!(message.contains("E_SQL_COLLECTION"), "{message}");
        told.push(message.replace(name, "NAME"));
    }
    assert_eq!(told[0], told[1]);

    let prohibited = sandbox.dry_run(SQL, &["--purpose", "ehds-54-b"]).returns(4).out();
    assert!(prohibited.contains("0 of 2 nodes would answer"), "{prohibited}");
    assert!(
        prohibited.contains("clinic-a, clinic-b would refuse: Art. 54 EHDS prohibits"),
        "{prohibited}"
    );
    assert!(
        prohibited.contains("[E_PROHIBITED]; purposes allowed: ehds-53-1-e"),
        "{prohibited}"
    );
    // The documents say the same, which is told once.
    assert!(!prohibited.contains("your documents say"), "{prohibited}");
    // What only a node checks once it has decided: that a name is taken.
    let taken = "SELECT ward AS withheld, count(*) AS n FROM stays GROUP BY ward";
    let seen = ada.ask_whether(taken, None).await;
    assert!(seen.refused.unwrap().message().contains("E_SQL_NOT_ALLOWED"));
    let named_csv = [&FOR_RESEARCH[..], &["--format", "csv"]].concat();
    sandbox
        .dry_run(SQL, &named_csv)
        .returns(2)
        .fails_with("E_USAGE", "no table of values");
}

#[test]
fn a_used_up_quota_would_refuse_and_a_node_that_is_down_leaves_what_the_documents_say() {
    let sandbox = clinics();
    let asked = |times: usize, more: &[&str]| {
        for _ in 0..times {
            sandbox.query(SQL, &[&FOR_RESEARCH[..], more].concat()).returns(0);
        }
    };
    asked(1, &[]);
    let nodes = sandbox.foreseen(&[], 0);
    assert_eq!(
        costs(&nodes[0]),
        [("person", "minute", 30, 1), ("person", "week", 4, 1)]
    );
    asked(2, &["--permit", "study"]);
    let nodes = sandbox.foreseen(&["--permit", "study"], 0);
    assert_eq!(nodes[1]["permit"], "study");
    assert_eq!(
        costs(&nodes[1])[1..],
        [("person", "week", 4, 3), ("permit", "week", 3, 2)]
    );

    let dir = sandbox.dir();
    datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", "clinic-b"]).returns(0);
    let nodes = sandbox.foreseen(&[], 3);
    assert_eq!(
        (&nodes[0]["status"], &nodes[1]["status"]),
        (&json!("allowed"), &json!("unreachable"))
    );
    assert_eq!(nodes[1]["problem"], "E_UNREACHABLE");
    let told = sandbox.dry_run(SQL, &FOR_RESEARCH).returns(3).out();
    assert!(told.contains("1 of 2 nodes would answer"), "{told}");
    assert!(told.contains("clinic-b unreachable: "), "{told}");
    let documents = "your documents say: allowed by statistics of stays-statistics version 1";
    assert!(told.contains(documents), "{told}");

    // The last of the week, at the node that is there.
    sandbox.query(SQL, &FOR_RESEARCH).returns(3);
    let told = sandbox.dry_run(SQL, &FOR_RESEARCH).returns(1).out();
    assert!(
        told.contains("clinic-a would refuse: ") && told.contains("[E_QUOTA]"),
        "{told}"
    );
    datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", "clinic-a"]).returns(0);
    let nodes = sandbox.foreseen(&[], 5);
    assert!(nodes.iter().all(|node| node["status"] == "unreachable"), "{nodes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nodes_would_allow_is_told_with_its_figures_fits_a_page_and_costs_nothing() {
    let sandbox = clinics();
    let answer = sandbox.ask(SQL);
    let nodes = sandbox.foreseen(&[], 0);
    for (node, name) in nodes.iter().zip(["clinic-a", "clinic-b"]) {
        assert_eq!((&node["node"], &node["status"]), (&json!(name), &json!("allowed")));
        let rule = json!([{ "collection": "stays", "policy": "stays-statistics", "version": 1, "rule": "statistics" }]);
        assert_eq!(node["rules"], rule);
        let checks = json!({ "tier": "statistical", "min_people": 3, "dominance": null, "p_percent": null, "round_to": 5, "zeros_protected": false });
        assert_eq!(node["checks"], checks);
        assert_eq!(node["duties"], json!(["delete within 30 days"]));
        assert_eq!(costs(node), [("person", "minute", 30, 1), ("person", "week", 4, 1)]);
    }
    let told = sandbox.dry_run(SQL, &FOR_RESEARCH).returns(0).out();
    for says in [
        "SELECT ward AS g0, count(*) AS a0 FROM stays GROUP BY ward",
        "2 of 2 nodes would answer",
        "clinic-a, clinic-b",
        "statistics of stays-statistics version 1",
        "3 people or more",
        "rounded to 5",
        "1 of 30 a minute, 1 used",
        "1 of 4 a week, 1 used",
        "your duty would be: delete within 30 days",
    ] {
        assert!(told.contains(says), "no {says} in {told}");
    }
    let widest = told.lines().map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|widest| widest <= 120), "{told}");

    let ada = Person::of(&sandbox, "ada", "clinic-a").await;
    for number in 0..100 {
        let sql = if number % 2 == 0 {
            "SELECT ward, count(*) AS n FROM stays GROUP BY ward"
        } else {
            "SELECT max(days) FROM stays"
        };
        let seen = ada.ask_whether(sql, None).await;
        assert_eq!(seen.refused.is_some(), number % 2 == 1, "{:?}", seen.refused);
    }
    assert_eq!(costs(&sandbox.foreseen(&[], 0)[0])[1], ("person", "week", 4, 1));
    assert_eq!(sandbox.ask(SQL)["rows"], answer["rows"]);

    let folder = sandbox.dir().join("nodes/clinic-a");
    let audit = datenraum(["audit".as_ref(), "show".as_ref(), folder.as_os_str()])
        .returns(0)
        .out();
    let yes = "asked whether it would be allowed: yes; nothing was read\n    ada@university, for ehds-53-1-e \
               (scientific research), under stays-statistics version 1, rule statistics";
    assert!(audit.contains(yes), "{audit}");
    let no = "asked whether it would be allowed: no [E_SQL_NOT_ALLOWED]\n    ada@university";
    assert_eq!(audit.matches(no).count(), 50, "{audit}");
    datenraum(["audit".as_ref(), "verify".as_ref(), folder.as_os_str()]).returns(0);
}
