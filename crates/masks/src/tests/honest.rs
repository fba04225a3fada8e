//! Nodes that do what they should, and some that fall silent.

use proptest::prelude::*;

use super::*;

const STAGES: [Stage; 5] = [
    Stage::Keys,
    Stage::Shares,
    Stage::Masked,
    Stage::Survivors,
    Stage::Opening,
];

#[test]
fn one_more_silent_node_than_the_threshold_allows_and_nothing_is_opened() {
    let space = space(7, 3);
    let too_many = 7 - space.plan.threshold() + 1;
    for stage in STAGES {
        let silent: Silent = (0..too_many).map(|node| (node, stage)).collect();
        let error = space.run(&silent).unwrap_err();
        let missing: Vec<MemberId> = (0..too_many).map(member).collect();
        let (nodes, needed) = (7 - too_many, space.plan.threshold());
        assert_eq!(
            error,
            SumError::TooFew {
                stage,
                nodes,
                needed,
                missing
            }
        );
    }
}

#[test]
fn a_node_without_a_part_in_the_sum_or_with_another_key_cannot_start() {
    let space = space(3, 1);
    let refused =
        |node, key: &Arc<SigningKey>| Party::start(space.plan.clone(), &member(node), key.clone()).unwrap_err();
    assert_eq!(
        refused(9, &space.signers[0]),
        SumError::NotTakingPart { member: member(9) }
    );
    assert_eq!(
        refused(0, &space.signers[1]),
        SumError::NotTakingPart { member: member(0) }
    );
}

#[test]
fn a_number_that_is_none_or_outside_its_bound_ends_the_part_of_its_node() {
    let mut space = space(3, 4);
    for (value, error) in [
        (f64::NAN, SumError::NotFinite { index: 2 }),
        (f64::INFINITY, SumError::NotFinite { index: 2 }),
        (-1_000.5, SumError::Bound { index: 2 }),
    ] {
        space.values[1][2] = value;
        assert_eq!(space.run(&vec![]).unwrap_err(), error);
    }
}

#[test]
fn a_vector_of_another_length_is_refused() {
    let mut space = space(3, 4);
    space.values[1].pop();
    let error = SumError::Length {
        member: member(1),
        entries: 3,
        planned: 4,
    };
    assert_eq!(space.run(&vec![]).unwrap_err(), error);
}

#[test]
fn client_and_nodes_have_the_plain_sum() {
    let space = space(4, 5);
    let (_, sum, sums) = space.run(&vec![]).unwrap();
    assert_eq!(sum.values, space.plain(0..4));
    assert_eq!(sum.members, (0..4).map(member).collect::<Vec<_>>());
    assert_eq!(sums, vec![sum; 4]);
}

#[test]
fn whoever_falls_silent_at_any_stage_is_left_out_or_counted_whole() {
    let space = space(10, 3);
    let spare = 10 - space.plan.threshold();
    for stage in STAGES {
        // Not only the first, so that masks between the gone and others on either side of them are taken off.
        let silent: Silent = [1, 4, 9].into_iter().take(spare).map(|node| (node, stage)).collect();
        assert_eq!(silent.len(), spare);
        let (_, sum, sums) = space.run(&silent).unwrap();
        let delivered = |node: &usize| stage > Stage::Masked || silent.iter().all(|(gone, _)| gone != node);
        let counted = (0..10).filter(delivered);
        assert_eq!(sum.values, space.plain(counted.clone()), "{stage}");
        assert_eq!(sum.members, counted.map(member).collect::<Vec<_>>());
        assert_eq!(sums, vec![sum; 10 - spare]);
    }
}

#[test]
fn nodes_that_fall_silent_one_after_the_other_do_not_disturb_the_sum() {
    let space = space(20, 2);
    let silent = vec![
        (3, Stage::Keys),
        (0, Stage::Shares),
        (19, Stage::Masked),
        (7, Stage::Masked),
        (8, Stage::Survivors),
        (11, Stage::Opening),
    ];
    let (_, sum, _) = space.run(&silent).unwrap();
    assert_eq!(
        sum.values,
        space.plain((0..20).filter(|node| ![3, 0, 19, 7].contains(node)))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(18))]

    /// Bit for bit: the masked sum is that of the integers, whatever the numbers, bounds and who falls silent.
    #[test]
    fn a_masked_sum_is_the_plain_one(
        (nodes, seed, gone) in (3..=20_usize).prop_flat_map(|nodes| (Just(nodes), any::<u64>(), 0..=nodes)),
        bounds in proptest::collection::vec((-40..200_i32).prop_map(|exponent| 1.7 * 2_f64.powi(exponent)), 1..6),
    ) {
        let signers = signers(nodes);
        let plan = Arc::new(Plan::new(SumTerms { bounds: bounds.clone(), ..terms(&signers, 1) }).unwrap());
        // Numbers from a seed: splitmix64, between -1 and 1, times the bound.
        let mut state = seed;
        let mut number = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed ^ (mixed >> 27)) as f64 / u64::MAX as f64 * 2.0 - 1.0
        };
        let values: Vec<Vec<f64>> = (0..nodes).map(|_| bounds.iter().map(|bound| number() * bound).collect()).collect();
        let silent: Silent = if gone < nodes && nodes > plan.threshold() { vec![(gone, Stage::Masked)] } else { vec![] };
        let space = Space { plan, signers, values };
        let (_, sum, sums) = space.run(&silent).unwrap();
        let counted = (0..nodes).filter(|node| silent.is_empty() || *node != gone);
        for (entry, scale) in space.plan.scales().iter().enumerate() {
            let integers = counted.clone().map(|node| scale.encode(space.values[node][entry], entry).unwrap().cast_signed());
            let plain: i128 = integers.sum();
            prop_assert_eq!(sum.integers[entry], plain);
            let exact = plain as f64 * 2_f64.powi(-scale.fraction_bits());
            prop_assert_eq!(sum.values[entry].to_bits(), exact.to_bits());
        }
        prop_assert!(sums.iter().all(|other| *other == sum));
    }
}
