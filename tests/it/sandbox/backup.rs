//! A backup of a running node, and what it is good for.

use std::fs;
use std::path::Path;

use super::{Run, Sandbox, datenraum, receipts};

const SQL: &str = "SELECT count(*) AS stays FROM stays";

fn backup(node: &Path, to: &Path) -> Run {
    let config = node.join("node.toml");
    datenraum([
        "node",
        "backup",
        to.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
    ])
}

fn put_back(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let beside = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&beside).unwrap();
            put_back(&entry.path(), &beside);
        } else {
            fs::copy(entry.path(), beside).unwrap();
        }
    }
}

#[test]
fn a_node_goes_on_from_its_backup_but_not_from_a_ledger_that_is_older_than_its_anchor() {
    let (sandbox, run) = Sandbox::of(&receipts::FILES);
    run.returns(0);
    let (node, spec) = (sandbox.dir().join("nodes/clinic-a"), sandbox.place().join("spec.toml"));
    let data = node.join("data");
    let asked = sandbox.ask(SQL)["rows"].clone();
    let copy = sandbox.place().join("copy");
    let told = backup(&node, &copy).returns(0).out();
    assert!(
        told.contains("verifies: 1 entry") && told.contains("is not in it"),
        "{told}"
    );
    assert!(!copy.join("node.key").exists());
    for folder in ["datasets", "governance", "in-force"] {
        assert!(copy.join("data").join(folder).is_dir(), "no {folder}");
    }
    backup(&node, &copy).fails_with("E_FOLDER_NOT_EMPTY", "a backup replaces no other");

    // More is answered, and then somebody puts the older ledger back.
    sandbox.ask(SQL);
    sandbox.down().returns(0);
    let newer = fs::read(data.join("ledger.sqlite")).unwrap();
    fs::copy(copy.join("data/ledger.sqlite"), data.join("ledger.sqlite")).unwrap();
    let refused = sandbox.up_again(&spec);
    assert_ne!(refused.code(), 0);
    assert!(
        refused.err().contains("E_AUDIT_BROKEN") && refused.err().contains("anchor"),
        "{}",
        refused.err()
    );
    fs::write(data.join("ledger.sqlite"), newer).unwrap();
    sandbox.up_again(&spec).returns(0);
    sandbox.down().returns(0);

    // The machine is lost, with its anchor.
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    put_back(&copy.join("data"), &data);
    sandbox.up_again(&spec).returns(0);
    assert_eq!(sandbox.ask(SQL)["rows"], asked);
    let verified = datenraum(["audit", "verify", node.to_str().unwrap()]).returns(0).out();
    assert!(verified.contains("2 entries"), "{verified}");
}
