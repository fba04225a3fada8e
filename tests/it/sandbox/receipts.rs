//! Receipts: kept by whoever asked, and held against the audit of the node that signed them.

use std::fs;
use std::path::PathBuf;

use super::{Run, Sandbox, datenraum};

pub(super) const FILES: [(&str, &str); 4] = [
    ("spec.toml", include_str!("../../../examples/own/spec.toml")),
    (
        "collections/stays.toml",
        include_str!("../../../examples/own/collections/stays.toml"),
    ),
    (
        "policies/stays-statistics.toml",
        include_str!("../../../examples/own/policies/stays-statistics.toml"),
    ),
    (
        "stays.csv",
        "patient_id,ward,days\np1,surgery,3\np2,surgery,4\np3,surgery,5\n",
    ),
];

const SQL: &str = "SELECT ward, count(*) AS stays FROM stays GROUP BY ward";

fn verify(sandbox: &Sandbox, receipt: &str) -> Run {
    let node = sandbox.dir().join("nodes/clinic-a");
    datenraum(["audit", "verify", node.to_str().unwrap(), "--receipt", receipt])
}

#[test]
fn a_receipt_is_kept_and_found_in_the_audit_and_one_that_does_not_fit_ends_with_6() {
    let (sandbox, run) = Sandbox::of(&FILES);
    run.returns(0);
    let table = sandbox.query(SQL, &["--purpose", "ehds-53-1-e"]).returns(0);
    let folder = sandbox.dir().join("people/ada/cache/receipts");
    assert!(
        table.err().contains(&format!("receipts are in {}", folder.display())),
        "{}",
        table.err()
    );
    let answer = sandbox.ask(SQL);
    assert_eq!(answer["receipts"], folder.to_str().unwrap());
    let query_id = answer["coverage"][0]["query_id"].as_str().unwrap();
    let kept = folder.join(format!("{}.json", answer["query_id"].as_str().unwrap()));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);

    let verified = verify(&sandbox, kept.to_str().unwrap()).returns(0);
    let says = format!("the receipt of query {query_id} is that of entry 1");
    assert!(verified.out().contains(&says), "{}", verified.out());

    let changed: PathBuf = sandbox.place().join("changed.json");
    let text = fs::read_to_string(&kept).unwrap();
    fs::write(&changed, text.replacen("payload\":\"ey", "payload\":\"eY", 1)).unwrap();
    verify(&sandbox, changed.to_str().unwrap())
        .returns(6)
        .fails_with("E_AUDIT_BROKEN", "changed.json");

    // One that was changed is not passed over for another in the same file, and a file without any is not enough.
    let one_of_two = text.clone() + &text.replacen("payload\":\"ey", "payload\":\"eY", 1);
    for (receipts, says) in [
        (one_of_two.as_str(), "changed.json"),
        ("", "none of its receipts is of"),
    ] {
        fs::write(&changed, receipts).unwrap();
        verify(&sandbox, changed.to_str().unwrap())
            .returns(6)
            .fails_with("E_AUDIT_BROKEN", says);
    }
    fs::write(&changed, text.repeat(2)).unwrap();
    verify(&sandbox, changed.to_str().unwrap()).returns(0);

    // The node goes back to a ledger without the entry: the receipt shows it.
    sandbox.down().returns(0);
    let data = sandbox.dir().join("nodes/clinic-a/data");
    for file in ["ledger.sqlite", "ledger.anchor"] {
        fs::remove_file(data.join(file)).unwrap();
    }
    sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
    verify(&sandbox, kept.to_str().unwrap())
        .returns(6)
        .fails_with("E_AUDIT_BROKEN", "ends before entry 1");
}
