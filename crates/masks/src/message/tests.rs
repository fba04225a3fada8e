use proptest::prelude::*;

use super::*;
use crate::tests::{Spoken, space};

fn spoken() -> Spoken {
    space(4, 3).run(&vec![]).unwrap().0
}

/// Reads bytes as a message of each kind; the stages that take them.
fn read_as(bytes: &[u8]) -> Vec<Stage> {
    let stages = [
        Message::<Keys>::from_bytes(bytes).map(|_| Stage::Keys),
        Message::<Shares>::from_bytes(bytes).map(|_| Stage::Shares),
        Message::<Masked>::from_bytes(bytes).map(|_| Stage::Masked),
        Message::<Survivors>::from_bytes(bytes).map(|_| Stage::Survivors),
        Message::<Opening>::from_bytes(bytes).map(|_| Stage::Opening),
    ];
    stages.into_iter().flatten().collect()
}

fn of_each_kind(spoken: &Spoken) -> [(Stage, Vec<u8>); 5] {
    [
        (Stage::Keys, spoken.keys[1].bytes().to_vec()),
        (Stage::Shares, spoken.shares[1].bytes().to_vec()),
        (Stage::Masked, spoken.masked[1].bytes().to_vec()),
        (Stage::Survivors, spoken.survivors[1].bytes().to_vec()),
        (Stage::Opening, spoken.openings[1].bytes().to_vec()),
    ]
}

#[test]
fn a_message_that_was_cut_or_goes_on_after_its_end_is_refused() {
    for (stage, bytes) in of_each_kind(&spoken()) {
        for length in 0..bytes.len() {
            assert_eq!(read_as(&bytes[..length]), [], "{stage} cut to {length}");
        }
        assert_eq!(read_as(&[bytes.as_slice(), &[0]].concat()), [], "{stage}");
    }
}

#[test]
fn another_version_kind_or_count_is_refused() {
    for (stage, bytes) in of_each_kind(&spoken()) {
        for (place, value) in [(0, 0), (0, 2), (1, 0), (1, 6)] {
            let mut changed = bytes.clone();
            changed[place] = value;
            assert_eq!(read_as(&changed), [], "{stage}: byte {place} is {value}");
        }
        // Keys have no count.
        for count in [0, 3, 5, 255].into_iter().filter(|_| stage != Stage::Keys) {
            let mut changed = bytes.clone();
            changed[HEAD_BYTES] = count;
            assert!(changed == bytes || read_as(&changed).is_empty(), "{stage}: {count}");
        }
    }
}

#[test]
fn seats_that_no_roster_has_and_rows_out_of_order_are_refused() {
    let spoken = spoken();
    let mut beyond = spoken.keys[1].bytes().to_vec();
    beyond[HEAD_BYTES - 1] = 100;
    assert_eq!(read_as(&beyond), []);
    let survivors = spoken.survivors[1].bytes();
    const ROW: usize = 1 + DIGEST_BYTES;
    let first = HEAD_BYTES + 1;
    let mut swapped = survivors.to_vec();
    swapped[first..first + 2 * ROW].rotate_left(ROW);
    assert_eq!(read_as(&swapped), []);
    let mut twice = survivors.to_vec();
    twice[first] = twice[first + ROW];
    assert_eq!(read_as(&twice), []);
}

/// As many entries as four bytes can say, in a message of a few: refused before memory is taken for them.
#[test]
fn a_count_that_the_message_cannot_hold_takes_no_memory() {
    let mut bytes = spoken().masked[1].bytes().to_vec();
    bytes[HEAD_BYTES..HEAD_BYTES + 4].copy_from_slice(&[0xff; 4]);
    assert_eq!(read_as(&bytes), []);
}

#[test]
fn messages_are_read_as_what_they_are_and_give_their_bytes_again() {
    let spoken = spoken();
    for (stage, bytes) in of_each_kind(&spoken) {
        assert_eq!(read_as(&bytes), [stage]);
    }
    for message in &spoken.masked {
        let again = Message::<Masked>::from_bytes(message.bytes()).unwrap();
        assert_eq!(again, *message);
        assert_eq!(again.bytes(), message.bytes());
    }
}

/// What `docs/secure-sums.md` says, for four nodes and three numbers.
#[test]
fn messages_are_as_large_as_the_documents_say() {
    let sizes = of_each_kind(&spoken()).map(|(_, bytes)| bytes.len());
    let around = 67 + 64;
    assert_eq!(
        sizes,
        [
            around + 96,
            around + 1 + 4 * 145,
            around + 4 + 3 * 16,
            around + 1 + 4 * 33,
            around + 1 + 4 * 33
        ]
    );
}

#[test]
fn debug_shows_no_share() {
    let spoken = spoken();
    assert_eq!(
        format!("{:?}", spoken.openings[0]),
        "Message(opening of seat 0, 264 bytes)"
    );
    assert_eq!(format!("{:?}", spoken.openings[0].body), "Opening(4 shares)");
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 1..=5_u8) {
        let mut bytes = bytes;
        if let [version, second, ..] = bytes.as_mut_slice() {
            (*version, *second) = (VERSION, kind);
        }
        read_as(&bytes);
    }

    /// The signature covers every byte.
    #[test]
    fn a_message_with_a_changed_byte_is_not_of_its_sender(at in any::<proptest::sample::Index>(), flip in 1_u8..) {
        let space = space(3, 2);
        let (_, message) = space.start(0);
        let mut bytes = message.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(changed) = Message::<Keys>::from_bytes(&bytes) {
            prop_assert!(space.plan.check(&changed).is_err());
        }
        prop_assert_eq!(space.plan.check(&message), Ok(()));
    }
}
