//! `doctor`: what it finds on a data space that works, and which step it names on one that does not.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Run, Sandbox, datenraum, receipts};

/// One run with a configuration file; its checks by name and state.
fn looked_at(file: &Path) -> (Run, Vec<(String, String)>) {
    let run = datenraum(["doctor", "--json", file.to_str().unwrap()]);
    let seen = run.json();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    let checks = seen["checks"].as_array().unwrap();
    let states = checks
        .iter()
        .map(|check| (text(check, "check"), text(check, "state")))
        .collect();
    (run, states)
}

fn state_of<'a>(states: &'a [(String, String)], check: &str) -> &'a str {
    let found = states.iter().find(|(name, _)| name == check);
    &found.unwrap_or_else(|| panic!("no {check} in {states:?}")).1
}

fn with(file: &Path, from: &str, to: &str) -> std::path::PathBuf {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{text}");
    let changed = file.with_extension("changed.toml");
    fs::write(&changed, text.replace(from, to)).unwrap();
    changed
}

#[test]
fn each_step_to_the_broker_is_named_when_it_is_the_one_that_fails() {
    let (sandbox, run) = Sandbox::of(&receipts::FILES);
    run.returns(0);
    let dir = sandbox.dir();
    let all = datenraum(["doctor", "--sandbox", dir.to_str().unwrap()]).returns(0);
    assert!(all.out().contains(" 0 failed"), "{}", all.out());
    assert!(!all.out().contains("FAILED"), "{}", all.out());

    let file = dir.join("nodes/clinic-a/node.toml");
    let (run, states) = looked_at(&file);
    run.returns(0);
    for check in [
        "config",
        "key",
        "disk",
        "name",
        "network",
        "broker",
        "clock",
        "documents",
        "datasets",
        "address",
    ] {
        assert_eq!(state_of(&states, check), "ok", "{check} in {states:?}");
    }
    let config = node::Config::load(&file).unwrap();
    let broker = config.broker.address.to_string();

    let (run, states) = looked_at(&with(&file, &broker, "no-such-host.invalid:4443"));
    run.returns(5);
    assert_eq!(
        (state_of(&states, "name"), state_of(&states, "broker")),
        ("failed", "skipped")
    );

    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (run, states) = looked_at(&with(&file, &broker, &nobody.to_string()));
    run.returns(5);
    assert_eq!(
        (state_of(&states, "network"), state_of(&states, "broker")),
        ("failed", "skipped")
    );

    // Somebody else answers there.
    let other = trust::SigningKey::generate().unwrap().public().to_string();
    let (run, states) = looked_at(&with(&file, &config.broker.key.to_string(), &other));
    assert!(run.out().contains("opens TLS"), "{}", run.out());
    assert_ne!(run.code(), 0);
    assert_eq!(
        (state_of(&states, "network"), state_of(&states, "broker")),
        ("ok", "failed")
    );

    let (run, states) = looked_at(&with(&file, "node.key", "no.key"));
    assert_ne!(run.code(), 0);
    assert_eq!(
        (state_of(&states, "key"), state_of(&states, "broker")),
        ("failed", "ok")
    );

    // A node that is away is told to whoever wants to ask it.
    datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", "clinic-a"]).returns(0);
    let (run, states) = looked_at(&dir.join("people/ada/person.toml"));
    run.returns(5);
    assert_eq!(
        (state_of(&states, "credential"), state_of(&states, "node")),
        ("ok", "failed")
    );

    let empty = sandbox.place().join("empty");
    fs::create_dir(&empty).unwrap();
    let nothing = std::process::Command::new(env!("CARGO_BIN_EXE_datenraum"))
        .arg("doctor")
        .current_dir(&empty)
        .env_remove("DATENRAUM_SANDBOX")
        .output();
    Run(nothing.unwrap()).returns(2).fails_with("E_USAGE", "no node.toml");
}
