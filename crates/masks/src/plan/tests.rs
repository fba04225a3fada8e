use super::*;
use crate::tests::{member, signers, terms};

#[test]
fn fewer_than_three_nodes_or_than_the_policy_asks_for_have_no_sum() {
    let plan = |nodes, min_nodes| {
        Plan::new(SumTerms {
            min_nodes,
            ..terms(&signers(nodes), 1)
        })
    };
    for nodes in 0..3 {
        assert_eq!(plan(nodes, 0), Err(PlanError::FewNodes { nodes, needed: 3 }));
    }
    assert_eq!(plan(5, 6), Err(PlanError::FewNodes { nodes: 5, needed: 6 }));
    assert_eq!(plan(5, 5).unwrap().threshold(), 5);
}

#[test]
fn one_key_or_one_member_twice_is_refused() {
    let mut keys = signers(4);
    keys[2] = keys[0].clone();
    let twice = PlanError::Twice { member: member(2) };
    assert_eq!(Plan::new(terms(&keys, 1)), Err(twice));
    let mut named = terms(&signers(4), 1);
    named.roster[3].member = member(1);
    assert_eq!(Plan::new(named), Err(PlanError::Twice { member: member(1) }));
}

#[test]
fn too_many_nodes_too_many_numbers_and_none_are_refused() {
    let nodes = MASKED_SUM_NODES_MAX + 1;
    assert_eq!(
        Plan::new(terms(&signers(nodes), 1)),
        Err(PlanError::ManyNodes { nodes })
    );
    for entries in [0, MASKED_SUM_ENTRIES_MAX + 1] {
        assert_eq!(
            Plan::new(terms(&signers(3), entries)),
            Err(PlanError::Entries { entries })
        );
    }
    let mut bad = terms(&signers(3), 2);
    bad.bounds[1] = -1.0;
    assert_eq!(Plan::new(bad), Err(PlanError::BadBound { index: 1 }));
}

/// Whatever a client and as many nodes as may collude do, two lists of survivors never have enough signatures both, as each of
/// the others signs one; and together they hold too few shares to open anything alone.
#[test]
fn colluding_nodes_cannot_have_two_lists_signed() {
    for nodes in NODES_MIN..=MASKED_SUM_NODES_MAX {
        let threshold = threshold(nodes).max(NODES_MIN);
        assert!(3 * threshold > 2 * nodes && threshold <= nodes);
        let colluding = 2 * threshold - nodes - 1;
        assert!(3 * (colluding + 1) >= nodes, "fewer than a third may");
        let honest = nodes - colluding;
        assert!(2 * (threshold - colluding) > honest);
        assert!(colluding < threshold);
    }
}

#[test]
fn a_changed_word_of_the_plan_changes_its_digest() {
    let keys = signers(4);
    let digest = |change: &dyn Fn(&mut SumTerms)| {
        let mut terms = terms(&keys, 3);
        change(&mut terms);
        *Plan::new(terms).unwrap().digest()
    };
    let digests = [
        digest(&|_| {}),
        digest(&|terms| terms.request = Digest::of(b"another request")),
        digest(&|terms| terms.min_nodes = 4),
        digest(&|terms| terms.roster[0].member = member(9)),
        digest(&|terms| terms.roster[0].key = signers(1)[0].public()),
        digest(&|terms| terms.roster.truncate(3)),
        digest(&|terms| terms.bounds.truncate(2)),
        digest(&|terms| terms.bounds[2] = 999.0),
    ];
    for (place, one) in digests.iter().enumerate() {
        assert!(!digests[..place].contains(one), "{place}");
    }
    // In which order the nodes are named is no part of it.
    assert_eq!(digest(&|terms| terms.roster.reverse()), digests[0]);
}
