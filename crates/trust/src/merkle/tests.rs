use proptest::prelude::*;

use super::*;
use crate::digest::{Digest, hex};

/// RFC 6962, 2.1, as it is written there.
fn tree_hash(entries: &[Vec<u8>]) -> Hash {
    match entries {
        [] => *Digest::of(b"").bytes(),
        [entry] => leaf_hash(entry),
        _ => {
            let split = (entries.len().next_power_of_two() / 2).max(1);
            node_hash(&tree_hash(&entries[..split]), &tree_hash(&entries[split..]))
        }
    }
}

fn frontier(entries: &[Vec<u8>]) -> Frontier {
    let mut frontier = Frontier::default();
    entries.iter().for_each(|entry| frontier.append(leaf_hash(entry)));
    frontier
}

#[test]
fn peaks_that_do_not_fit_the_size_are_refused() {
    assert_eq!(
        Frontier::from_peaks(5, vec![[0; 32]]),
        Err(FrontierError { size: 5, peaks: 1 })
    );
    assert_eq!(
        Frontier::from_peaks(0, vec![[0; 32]]),
        Err(FrontierError { size: 0, peaks: 1 })
    );
}

#[test]
fn the_roots_are_those_of_the_reference_tree_of_certificate_transparency() {
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let mut frontier = Frontier::default();
    assert_eq!(
        hex(&frontier.root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    frontier.append(leaf_hash(entries[0]));
    assert_eq!(
        hex(&frontier.root()),
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    );
    entries[1..].iter().for_each(|entry| frontier.append(leaf_hash(entry)));
    assert_eq!(
        hex(&frontier.root()),
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    );
    assert_eq!(frontier.size(), 8);
}

proptest! {
    #[test]
    fn appending_gives_the_root_of_the_whole(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..70)) {
        prop_assert_eq!(frontier(&entries).root(), tree_hash(&entries));
    }

    #[test]
    fn a_stored_frontier_goes_on_where_it_was(count in 0_u8..70, more in 0_u8..9) {
        let entries: Vec<Vec<u8>> = (0..count + more).map(|n| vec![n]).collect();
        let early = frontier(&entries[..usize::from(count)]);
        let mut again = Frontier::from_peaks(early.size(), early.peaks().to_vec()).unwrap();
        entries[usize::from(count)..].iter().for_each(|entry| again.append(leaf_hash(entry)));
        prop_assert_eq!(again, frontier(&entries));
    }
}
