//! What somebody who carries all messages, and keeps them, can make of them.

use super::*;
use crate::derivation::{Kind, adds};
use crate::plan::Seat;
use crate::primitive::{KeyPair, Secret};
use crate::sharing::join;

/// The integers of what each node adds.
pub(crate) fn encoded(space: &Space) -> Vec<Vec<u128>> {
    let encode = |values: &Vec<f64>| {
        let scaled = space.plan.scales().iter().zip(values).enumerate();
        scaled
            .map(|(index, (scale, value))| scale.encode(*value, index).unwrap())
            .collect()
    };
    space.values.iter().map(encode).collect()
}

/// What a node sent, with its own mask taken off if the openings give it. This is as far as a client gets.
fn without_own_mask(agreed: &Agreed, openings: &[Message<Opening>], masked: &Message<Masked>) -> Option<Vec<u128>> {
    let keyed = &agreed.delivered.shared.keyed;
    let mut entries = masked.body.entries.clone();
    let place = agreed
        .delivered
        .shared
        .shares
        .keys()
        .position(|seat| *seat == masked.seat)?;
    let opened = openings
        .iter()
        .map(|opening| (opening.seat, Secret::new(opening.body.0[place].1)));
    let secret = join(&opened.collect::<Vec<_>>()).ok()?;
    let kind = agreed.delivered.to_open().find(|(seat, _)| *seat == masked.seat)?.1;
    match kind {
        Kind::Seed => keyed.mask_alone(&secret, masked.seat).ok()?.take_from(&mut entries),
        // The node counts as gone: its masks with the others are known, its own is not.
        Kind::MaskKey => {
            let pair = KeyPair::of(&secret).unwrap();
            for other in agreed
                .delivered
                .shared
                .shares
                .keys()
                .filter(|other| **other != masked.seat)
            {
                let mask = keyed.mask_between(&pair, masked.seat, *other).ok()?;
                if adds(masked.seat, *other) {
                    mask.take_from(&mut entries)
                } else {
                    mask.add_to(&mut entries)
                }
            }
        }
    }
    Some(entries)
}

fn add<'a>(vectors: impl Iterator<Item = &'a Vec<u128>>, entries: usize) -> Vec<u128> {
    vectors.fold(vec![0; entries], |mut sum, vector| {
        sum.iter_mut()
            .zip(vector)
            .for_each(|(sum, entry)| *sum = sum.wrapping_add(*entry));
        sum
    })
}

/// With everything opened that is opened, no entry of any node, and of no group but that of all, is its plain one.
#[test]
fn of_no_node_and_of_no_smaller_group_do_opened_shares_give_an_entry() {
    const ENTRIES: usize = 4;
    let space = space(5, ENTRIES);
    let (spoken, ..) = space.run(&vec![]).unwrap();
    let agreed = spoken.agreed(space.plan.clone()).unwrap();
    let peeled: Vec<Vec<u128>> = spoken
        .masked
        .iter()
        .map(|masked| without_own_mask(&agreed, &spoken.openings, masked).unwrap())
        .collect();
    let plain = encoded(&space);
    for group in 1_u32..32 {
        let in_group = |node: &usize| group & (1 << node) != 0;
        let seen = add((0..5).filter(in_group).map(|node| &peeled[node]), ENTRIES);
        let true_sum = add((0..5).filter(in_group).map(|node| &plain[node]), ENTRIES);
        let as_many = seen.iter().zip(&true_sum).filter(|(seen, plain)| seen == plain).count();
        // All five are the sum itself: it shows that this attack would work if masks were not between nodes.
        assert_eq!(as_many, if group == 31 { ENTRIES } else { 0 }, "{group:b}");
    }
}

/// A client says that node 3 is gone, has its mask key opened by the others, and keeps what node 3 delivered.
#[test]
fn a_node_that_was_declared_gone_after_it_delivered_is_still_masked() {
    const ENTRIES: usize = 4;
    let space = space(5, ENTRIES);
    let everybody = 0..5;
    let (parties, keys): (Vec<_>, Vec<_>) = everybody.map(|node| space.start(node)).unzip();
    let (parties, shares): (Vec<_>, Vec<_>) = parties
        .into_iter()
        .map(|party| party.share(keys.clone()).unwrap())
        .unzip();
    let masks = parties.into_iter().zip(&space.values);
    let (mut parties, mut masked): (Vec<_>, Vec<_>) = masks
        .map(|(party, values)| party.mask(shares.clone(), values).unwrap())
        .unzip();
    let kept = masked.remove(3);
    parties.remove(3);
    let (parties, survivors): (Vec<_>, Vec<_>) = parties
        .into_iter()
        .map(|party| party.attest(masked.clone()).unwrap())
        .unzip();
    let (_, openings): (Vec<_>, Vec<_>) = parties
        .into_iter()
        .map(|party| party.open(survivors.clone()).unwrap())
        .unzip();
    let spoken = Spoken {
        keys,
        shares,
        masked,
        survivors,
        openings,
    };
    let agreed = spoken.agreed(space.plan.clone()).unwrap();
    let peeled = without_own_mask(&agreed, &spoken.openings, &kept).unwrap();
    let plain = &encoded(&space)[3];
    assert!(peeled.iter().zip(plain).all(|(peeled, plain)| peeled != plain));
    // What the others opened of node 3 is of its mask key, and nothing of its seed; of all others, the other way round.
    for opening in &spoken.openings {
        for (dealer, share) in &opening.body.0 {
            let is = |kind| {
                agreed
                    .delivered
                    .shared
                    .check_share(kind, *dealer, opening.seat, share)
                    .is_ok()
            };
            assert_eq!((is(Kind::Seed), is(Kind::MaskKey)), (dealer.0 != 3, dealer.0 == 3));
        }
    }
    assert_eq!(
        spoken.combine(space.plan.clone()).unwrap().values,
        space.plain([0, 1, 2, 4].into_iter())
    );
}

/// No number of a node, as it is added or as it is written, is in any message.
#[test]
fn no_message_holds_a_number_of_a_node() {
    let space = space(4, 16);
    let (spoken, ..) = space.run(&vec![]).unwrap();
    let said: Vec<&[u8]> = (spoken.keys.iter().map(Message::bytes))
        .chain(spoken.shares.iter().map(Message::bytes))
        .chain(spoken.masked.iter().map(Message::bytes))
        .chain(spoken.survivors.iter().map(Message::bytes))
        .chain(spoken.openings.iter().map(Message::bytes))
        .collect();
    let said = said.concat();
    let holds = |needle: &[u8]| said.windows(needle.len()).any(|window| window == needle);
    assert!(
        holds(&spoken.masked[0].body.entries[0].to_le_bytes()),
        "what is there is found"
    );
    for (values, integers) in space.values.iter().zip(encoded(&space)) {
        assert!(
            values
                .iter()
                .all(|value| !holds(&value.to_le_bytes()) && !holds(&value.to_be_bytes()))
        );
        assert!(integers.iter().all(|integer| !holds(&integer.to_le_bytes())));
    }
}

/// How far counts of bytes are from even: with 255 degrees of freedom, 255 on average, and 23 is one standard deviation.
fn chi_square(bytes: impl Iterator<Item = u8>) -> f64 {
    let mut counts = [0_u32; 256];
    let mut all = 0;
    bytes.for_each(|byte| {
        counts[usize::from(byte)] += 1;
        all += 1;
    });
    let expected = f64::from(all) / 256.0;
    counts
        .iter()
        .map(|count| (f64::from(*count) - expected).powi(2) / expected)
        .sum()
}

/// Ten standard deviations above the average: never by chance, and far below what any pattern gives.
const CHI_SQUARE_MAX: f64 = 255.0 + 10.0 * 22.6;

/// Every byte position of what each node sends is as good as even, though all its numbers are the same.
pub(crate) fn assert_even(vector: &[u128]) {
    for place in 0..16 {
        let chi_square = chi_square(vector.iter().map(|entry| entry.to_le_bytes()[place]));
        assert!(chi_square < CHI_SQUARE_MAX, "byte {place}: {chi_square}");
    }
}

#[test]
fn a_chi_square_of_numbers_without_masks_is_far_from_even() {
    let zeros = chi_square(std::iter::repeat_n(0, 8_192));
    let ramp = chi_square((0..8_192_u32).map(|number| (number % 200) as u8));
    assert!(zeros > 100.0 * CHI_SQUARE_MAX && ramp > CHI_SQUARE_MAX);
}

#[test]
fn what_a_node_sends_is_even_whatever_its_numbers_are() {
    let mut space = space(3, 8_192);
    space.values[1] = vec![0.0; 8_192];
    space.values[2] = vec![1_000.0; 8_192];
    let (spoken, ..) = space.run(&vec![]).unwrap();
    spoken
        .masked
        .iter()
        .for_each(|masked| assert_even(&masked.body.entries));
}

#[test]
fn the_same_numbers_twice_are_sent_as_unrelated_ones() {
    let space = space(3, 8_192);
    let (first, ..) = space.run(&vec![]).unwrap();
    let (second, ..) = space.run(&vec![]).unwrap();
    for (first, second) in first.masked.iter().zip(&second.masked) {
        let pairs = first.body.entries.iter().zip(&second.body.entries);
        let difference: Vec<u128> = pairs.map(|(first, second)| first.wrapping_sub(*second)).collect();
        assert!(!difference.contains(&0));
        assert_even(&difference);
    }
}

#[test]
fn a_party_shows_nothing_of_itself() {
    let (party, _) = space(3, 1).start(1);
    assert_eq!(format!("{party:?}"), "Party(seat 1 of a masked sum)");
    assert_eq!(Seat(1).coordinate(), 2);
}
