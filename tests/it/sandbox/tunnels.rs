//! Nodes that take no connection from outside: they dial out to the broker and are reached through it.

use serde_json::json;

use super::{Sandbox, datenraum, receipts};

const SQL: &str = "SELECT count(*) AS stays FROM stays";

/// The example data space with nodes that listen nowhere.
fn behind_firewalls() -> Sandbox {
    let mut files = receipts::FILES;
    let spec = files[0].1.replace("[[node]]", "[[node]]\nreach = \"broker\"");
    files[0].1 = &spec;
    let (sandbox, run) = Sandbox::of(&files);
    run.returns(0);
    sandbox
}

#[test]
fn nodes_that_listen_nowhere_answer_through_the_broker_as_if_they_listened() {
    let (direct, run) = Sandbox::of(&receipts::FILES);
    run.returns(0);
    let sandbox = behind_firewalls();
    let config = std::fs::read_to_string(sandbox.dir().join("nodes/clinic-a/node.toml")).unwrap();
    assert!(!config.contains("listen") && config.contains("tunnels = 2"), "{config}");
    let answers = [&direct, &sandbox].map(|sandbox| sandbox.ask(SQL)["rows"].clone());
    assert_eq!(answers[0], answers[1]);
    let status = datenraum(["sandbox", "status", sandbox.dir().to_str().unwrap()]).returns(0);
    assert!(status.out().contains("through the broker"), "{}", status.out());
}

#[test]
fn a_node_that_is_reached_through_the_broker_and_is_away_is_named() {
    let sandbox = behind_firewalls();
    datenraum(["sandbox", "down", sandbox.dir().to_str().unwrap(), "--node", "clinic-a"]).returns(0);
    let run = sandbox
        .query(SQL, &["--purpose", "ehds-53-1-e", "--format", "json"])
        .returns(5);
    let away = &run.json()["coverage"][0];
    assert_eq!(
        (&away["node"], &away["status"]),
        (&json!("clinic-a"), &json!("unreachable"))
    );
    sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
    assert_eq!(sandbox.ask(SQL)["coverage"][0]["status"], "answered");
}
