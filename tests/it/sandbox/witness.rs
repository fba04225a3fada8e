//! The broker cosigns what a node recorded, and notices a node that goes back.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Sandbox, datenraum, receipts};

const SQL: &str = "SELECT count(*) AS stays FROM stays";

fn status(node: &Path) -> Value {
    let config = node.join("node.toml");
    datenraum(["--json", "node", "status", "--config", config.to_str().unwrap()])
        .returns(0)
        .json()
}

/// Waits until the status of the node is as wanted.
fn wait(node: &Path, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let status = status(node);
        if is_so(&status) {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{status}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_49_a_node_that_goes_back_to_an_older_ledger_and_anchor_is_noticed_by_the_broker() {
    let (sandbox, run) = Sandbox::of(&receipts::FILES);
    run.returns(0);
    let (node, spec) = (sandbox.dir().join("nodes/clinic-a"), sandbox.place().join("spec.toml"));
    let (data, config) = (node.join("data"), node.join("node.toml"));
    sandbox.down().returns(0);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("refresh_seconds = 30", "refresh_seconds = 1")).unwrap();
    sandbox.up_again(&spec).returns(0);
    sandbox.ask(SQL);
    wait(&node, |status| status["operation"]["witness"]["entries"] == 1);
    sandbox.down().returns(0);
    let kept =
        ["ledger.sqlite", "ledger.anchor", "ledger.cosigned"].map(|name| (name, fs::read(data.join(name)).unwrap()));

    sandbox.up_again(&spec).returns(0);
    for _ in 0..2 {
        sandbox.ask(SQL);
    }
    wait(&node, |status| status["operation"]["witness"]["entries"] == 3);
    let broker = node::Config::load(&config).unwrap().broker.key.to_string();
    let place = node.to_str().unwrap();
    let verified = datenraum(["audit", "verify", place, "--witness", &broker])
        .returns(0)
        .out();
    assert!(verified.contains("cosigned its first 3 entries"), "{verified}");
    let stranger = trust::SigningKey::generate().unwrap().public().to_string();
    datenraum(["audit", "verify", place, "--witness", &stranger]).fails_with("E_AUDIT_BROKEN", &stranger);
    sandbox.down().returns(0);

    // Ledger and anchor go back together; what was cosigned is forgotten to be put back.
    for (name, bytes) in &kept[..2] {
        fs::write(data.join(name), bytes).unwrap();
    }
    datenraum(["audit", "verify", place]).fails_with("E_AUDIT_BROKEN", "signs 3 entries");
    fs::write(data.join(kept[2].0), &kept[2].1).unwrap();
    datenraum(["audit", "verify", place]).returns(0);
    sandbox.up_again(&spec).returns(0);
    let told = wait(&node, |status| !status["operation"]["witness"]["problem"].is_null());
    let warnings = told["warnings"].to_string();
    assert!(warnings.contains("the broker cosigned 3 entries"), "{warnings}");
    // It goes on answering all the same.
    sandbox.ask(SQL);
}
