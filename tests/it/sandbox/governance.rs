//! A signed document that was changed on the way: the last good ones hold, and without any a node does not start.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Sandbox, datenraum, project};

fn policy_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("broker/repository/targets/policies")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_byte_changed_in_a_signed_policy_is_never_enforced() {
    let spec = project().join("examples/open/measles.toml");
    let sandbox = Sandbox::up(&spec);
    let sql = "SELECT year, sum(cases) AS cases FROM measles_weekly GROUP BY year ORDER BY year";
    let before = sandbox
        .query(sql, &["--purpose", "ehds-53-1-a", "--format", "json"])
        .returns(0)
        .json();
    sandbox.down().returns(0);

    for policy in policy_files(&sandbox.dir()) {
        let text = fs::read_to_string(&policy).unwrap();
        fs::write(&policy, text.replace("ehds-53-1-a", "ehds-53-1-f")).unwrap();
    }
    // Nodes and people go on with the documents that they verified before, and with nothing else.
    sandbox.up_again(&spec).returns(0);
    let after = sandbox
        .query(sql, &["--purpose", "ehds-53-1-a", "--format", "json"])
        .returns(0);
    assert_eq!(after.json()["rows"], before["rows"]);
    sandbox.query(sql, &["--purpose", "ehds-53-1-f"]).returns(4);
    sandbox.down().returns(0);

    // A node that never verified any does not start under the changed ones.
    let node = sandbox.dir().join("nodes/weser-ems-cities");
    fs::remove_dir_all(node.join("data/governance")).unwrap();
    sandbox.up_again(&spec).fails_with("E_POLICY_SIGNATURE", "");
    // Nor without a broker.
    datenraum(["node", "run", "--config", node.join("node.toml").to_str().unwrap()]).fails_with("E_", "");
}

#[test]
fn a_changed_audit_is_found_out() {
    let spec = project().join("examples/open/measles.toml");
    let sandbox = Sandbox::up(&spec);
    let sql = "SELECT year, sum(cases) AS cases FROM measles_weekly GROUP BY year";
    sandbox.query(sql, &["--purpose", "ehds-53-1-a"]).returns(0);
    sandbox.down().returns(0);
    let node = sandbox.dir().join("nodes/weser-ems-cities");
    let node = node.to_str().unwrap();
    datenraum(["audit", "verify", node]).returns(0);
    let export = sandbox.place().join("cities.audit");
    datenraum(["audit", "export", node, "-o", export.to_str().unwrap()]).returns(0);
    let text = fs::read_to_string(&export).unwrap();
    fs::write(&export, text.replace("\"person\":\"eva\"", "\"person\":\"eve\"")).unwrap();
    let config = fs::read_to_string(Path::new(node).join("node.toml")).unwrap();
    assert!(config.contains("weser-ems-cities"));
    let roster = fs::read_to_string(sandbox.dir().join("space/members.toml")).unwrap();
    let key = roster
        .split("[[member]]")
        .find(|member| member.contains("weser-ems-cities"))
        .unwrap();
    let key = key.lines().find_map(|line| line.trim().strip_prefix("key")).unwrap();
    let key = key.trim_start_matches([' ', '=']).trim_matches('"');
    let origin = "datenraum/district-tables/weser-ems-cities";
    let words = [
        "audit",
        "verify",
        export.to_str().unwrap(),
        "--key",
        key,
        "--origin",
        origin,
    ];
    datenraum(words).returns(6).fails_with("E_AUDIT_BROKEN", "");
}
