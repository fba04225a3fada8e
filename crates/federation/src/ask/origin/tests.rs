use std::collections::BTreeMap;

use trust::{DataVersion, Digest};

use super::*;
use crate::answer::Status;

fn answered(node: &str, synthetic: &[bool]) -> Coverage {
    let data = |synthetic: &bool| DataVersion {
        collection: "stays".parse().unwrap(),
        version: 1,
        digest: Digest::of(b""),
        synthetic: *synthetic,
    };
    Coverage {
        node: node.parse().unwrap(),
        status: Status::Answered,
        suppressed_cells: 0,
        withheld: BTreeMap::new(),
        policy: None,
        data: synthetic.iter().map(data).collect(),
        permit: None,
        duties: Vec::new(),
        problem: None,
        message: None,
        remedy: None,
        query_id: None,
        receipts: Vec::new(),
    }
}

#[test]
fn what_nodes_sign_decides_whatever_the_catalogue_said() {
    let mixed = [answered("a", &[false]), answered("b", &[true]), answered("c", &[false])];
    let report = require_one_kind(&mixed).unwrap_err();
    assert_eq!(report.problem, Problem::Mixed);
    assert_eq!(
        report.message,
        "the data of b are made up, and those of a, c are of real people: no answer is made from both"
    );
    assert!(
        require_one_kind(&[answered("a", &[false, true])]).is_err(),
        "also within one node"
    );
    // A node of an older program says nothing: it has no made-up data.
    for one_kind in [[false, false], [true, true]] {
        let all = [
            answered("a", &one_kind[..1]),
            answered("b", &one_kind[1..]),
            answered("old", &[]),
        ];
        require_one_kind(&all).unwrap();
    }
}
