//! Sums that follow a first one, between nodes that are driven by hand.

use proptest::prelude::*;

use super::*;
use crate::tests::transcript::{assert_even, encoded};
use crate::tests::{Silent, Space, member, space};

fn basis() -> Digest {
    Digest::of(b"all sums so far")
}

/// The survivors of a first sum.
fn survivors(space: &Space, silent: &Silent) -> Vec<Following> {
    let (_, _, ends) = space.run_on(silent).unwrap();
    ends.into_iter().map(|(_, following)| following).collect()
}

/// What each says, all from the same basis.
fn said(space: &Space, nodes: Vec<Following>) -> (Vec<Following>, Vec<Vec<u8>>) {
    let mask = |one: Following| {
        let values = &space.values[usize::from(one.seat.0)];
        one.mask(&basis(), values).unwrap()
    };
    nodes.into_iter().map(mask).unzip()
}

fn slices(said: &[Vec<u8>]) -> Vec<&[u8]> {
    said.iter().map(Vec::as_slice).collect()
}

fn entries(said: &[u8]) -> Vec<u128> {
    let (entries, rest) = said.as_chunks::<ENTRY_BYTES>();
    assert!(rest.is_empty());
    entries.iter().map(|bytes| u128::from_le_bytes(*bytes)).collect()
}

#[test]
fn without_one_survivor_or_with_one_twice_there_is_no_sum() {
    let space = space(4, 3);
    let (nodes, said) = said(&space, survivors(&space, &vec![]));
    let over = nodes[0].over();
    for gone in 0..4 {
        let mut fewer = said.clone();
        fewer.remove(gone);
        assert!(matches!(
            over.sum(&slices(&fewer)),
            Err(SumError::TooFew {
                nodes: 3,
                needed: 4,
                ..
            })
        ));
        fewer.push(fewer[0].clone());
        assert!(matches!(over.sum(&slices(&fewer)), Err(SumError::Nonsense { .. })));
    }
    let more = [said.clone(), said.clone()].concat();
    assert!(matches!(over.sum(&slices(&more)), Err(SumError::TooFew { .. })));
}

#[test]
fn what_is_no_vector_of_the_planned_length_is_refused() {
    let space = space(3, 3);
    let (nodes, said) = said(&space, survivors(&space, &vec![]));
    for length in [0, 16, 47, 49, 64] {
        let mut odd = said.clone();
        odd[1].resize(length, 0);
        let error = nodes[0].over().sum(&slices(&odd)).unwrap_err();
        assert_eq!(
            error,
            SumError::Form {
                stage: Stage::Following
            }
        );
    }
}

#[test]
fn masks_of_nodes_that_were_led_to_different_places_do_not_cancel() {
    let space = space(4, 3);
    for elsewhere in 0..4 {
        let nodes = survivors(&space, &vec![]);
        let mask = |(place, one): (usize, Following)| {
            let basis = if place == elsewhere {
                Digest::of(b"elsewhere")
            } else {
                basis()
            };
            one.mask(&basis, &space.values[place]).unwrap()
        };
        let (nodes, said): (Vec<_>, Vec<_>) = nodes.into_iter().enumerate().map(mask).unzip();
        assert!(matches!(
            nodes[0].over().sum(&slices(&said)),
            Err(SumError::Nonsense { .. })
        ));
    }
}

/// A node that speaks for another sum than the others, from the same basis.
#[test]
fn masks_of_different_sums_do_not_cancel() {
    let space = space(3, 3);
    let mut nodes = survivors(&space, &vec![]);
    let (ahead, _) = nodes.remove(2).mask(&basis(), &space.values[2]).unwrap();
    nodes.push(ahead);
    let (nodes, said) = said(&space, nodes);
    assert!(matches!(
        nodes[0].over().sum(&slices(&said)),
        Err(SumError::Nonsense { .. })
    ));
}

/// Of two runs of the same sum, or of one whose survivors others are, nothing fits together.
#[test]
fn survivors_of_different_first_sums_have_no_sum_together() {
    let space = space(4, 3);
    let here = survivors(&space, &vec![]);
    let again = survivors(&space, &vec![]);
    let fewer = survivors(&space, &vec![(0, Stage::Masked)]);
    let (here, by_here) = said(&space, here);
    let (_, by_again) = said(&space, again);
    let (there, by_fewer) = said(&space, fewer);
    let mixed = [&by_here[..3], &by_again[3..]].concat();
    assert!(matches!(
        here[0].over().sum(&slices(&mixed)),
        Err(SumError::Nonsense { .. })
    ));
    let mixed = [&by_here[1..3], &by_fewer[2..]].concat();
    assert!(matches!(
        there[0].over().sum(&slices(&mixed)),
        Err(SumError::Nonsense { .. })
    ));
}

#[test]
fn noise_of_one_is_noticed_and_names_nobody() {
    let space = space(3, 3);
    let mut nodes = survivors(&space, &vec![]);
    let (_, noise) = nodes.remove(1).spoil(&basis()).unwrap();
    let (nodes, mut said) = said(&space, nodes);
    said.insert(1, noise);
    assert!(matches!(
        nodes[0].over().sum(&slices(&said)),
        Err(SumError::Nonsense { .. })
    ));
}

#[test]
fn a_number_outside_its_bound_is_refused_by_its_node() {
    let space = space(3, 2);
    let refused = survivors(&space, &vec![]).remove(0).mask(&basis(), &[1.0, 1_000.5]);
    assert_eq!(refused.unwrap_err(), SumError::Bound { index: 1 });
    let refused = survivors(&space, &vec![]).remove(1).mask(&basis(), &[1.0]);
    assert_eq!(
        refused.unwrap_err(),
        SumError::Length {
            member: member(1),
            entries: 1,
            planned: 2
        }
    );
}

/// With the keys of all pairs but one, what those two say is theirs together, and of neither alone.
#[test]
fn whoever_lacks_the_key_of_one_honest_pair_has_the_sum_of_that_pair_and_no_more() {
    const ENTRIES: usize = 4;
    let space = space(5, ENTRIES);
    let nodes = survivors(&space, &vec![]);
    let (one, other) = (1, 3);
    let known = |place: usize| -> Vec<u128> {
        let mut known = vec![0_u128; ENTRIES];
        let pair = (Seat(one), Seat(other));
        let seat = nodes[place].seat;
        for (with, key) in nodes[place]
            .keys
            .iter()
            .filter(|(with, _)| (seat, *with) != pair && (*with, seat) != pair)
        {
            let mask = mask_of_following(key, 1, &basis(), (seat, *with), ENTRIES).unwrap();
            if adds(seat, *with) {
                mask.add_to(&mut known)
            } else {
                mask.take_from(&mut known)
            }
        }
        known
    };
    let known: Vec<Vec<u128>> = (0..5).map(known).collect();
    let plain = encoded(&space);
    let (_, said) = said(&space, nodes);
    let peel = |place: usize| -> Vec<u128> {
        let pairs = entries(&said[place]).into_iter().zip(&known[place]);
        pairs.map(|(entry, known)| entry.wrapping_sub(*known)).collect()
    };
    let (of_one, of_other) = (peel(one.into()), peel(other.into()));
    for place in [0, 2, 4] {
        assert_eq!(peel(place), plain[place], "all pairs of node {place} are known");
    }
    for at in 0..ENTRIES {
        let (mine, theirs) = (plain[usize::from(one)][at], plain[usize::from(other)][at]);
        assert!(of_one[at] != mine && of_other[at] != theirs);
        assert_eq!(of_one[at].wrapping_add(of_other[at]), mine.wrapping_add(theirs));
    }
}

#[test]
fn what_a_survivor_says_is_even_whatever_its_numbers_are_and_unrelated_to_what_it_said_before() {
    const ENTRIES: usize = 8_192;
    let mut space = space(3, ENTRIES);
    space.values[1] = vec![0.0; ENTRIES];
    space.values[2] = vec![1_000.0; ENTRIES];
    let (nodes, first) = said(&space, survivors(&space, &vec![]));
    let (_, second) = said(&space, nodes);
    for (first, second) in first.iter().zip(&second) {
        let (first, second) = (entries(first), entries(second));
        let difference: Vec<u128> = first
            .iter()
            .zip(&second)
            .map(|(one, other)| one.wrapping_sub(*other))
            .collect();
        [&first, &second, &difference]
            .into_iter()
            .for_each(|vector| assert_even(vector));
    }
}

#[test]
fn a_survivor_shows_nothing_of_itself() {
    let nodes = survivors(&space(3, 1), &vec![]);
    assert_eq!(format!("{:?}", nodes[1]), "Following(seat 1, sum 1)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(18))]

    /// Bit for bit, whoever fell silent before, in as many sums as there are.
    #[test]
    fn a_following_sum_is_that_of_the_integers(
        (nodes, gone) in (3..=12_usize).prop_flat_map(|nodes| (Just(nodes), 0..nodes)),
        sums in 1..4_usize,
    ) {
        let space = space(nodes, 3);
        let silent: Silent = if nodes > space.plan.threshold() { vec![(gone, Stage::Masked)] } else { vec![] };
        let mut survivors = survivors(&space, &silent);
        let plain = encoded(&space);
        for _ in 0..sums {
            let counted: Vec<usize> = survivors.iter().map(|one| usize::from(one.seat.0)).collect();
            prop_assert_eq!(counted.contains(&gone), silent.is_empty());
            let said;
            (survivors, said) = self::said(&space, survivors);
            let total = survivors[0].over().sum(&slices(&said)).unwrap();
            for (at, scale) in space.plan.scales().iter().enumerate() {
                let exact: i128 = counted.iter().map(|node| plain[*node][at].cast_signed()).sum();
                let masked = said.iter().map(|said| entries(said)[at]).fold(0, u128::wrapping_add);
                prop_assert_eq!(masked.cast_signed(), exact);
                prop_assert_eq!(total[at].to_bits(), (exact as f64 * 2_f64.powi(-scale.fraction_bits())).to_bits());
            }
        }
    }
}
