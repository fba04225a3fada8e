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

fn leaves(from: u64, to: u64) -> Vec<Hash> {
    (from..to).map(|entry| leaf_hash(&entry.to_be_bytes())).collect()
}

fn tree(size: u64) -> Frontier {
    let mut frontier = Frontier::default();
    leaves(0, size).into_iter().for_each(|leaf| frontier.append(leaf));
    frontier
}

#[test]
fn every_tree_is_proven_to_be_the_beginning_of_every_longer_one_and_of_no_other() {
    for old_size in 0..=70 {
        for new_size in old_size..=70 {
            let (old, new) = (tree(old_size), tree(new_size));
            let proof = old.consistency_proof(&leaves(old_size, new_size));
            let check = |old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]| require_consistent(old, new, proof);
            let (old_root, new_root) = (old.root(), new.root());
            let at = format!("{old_size} of {new_size}");
            assert_eq!(
                check((old_size, &old_root), (new_size, &new_root), &proof),
                Ok(()),
                "{at}"
            );

            let refused = Err(Inconsistent { old_size, new_size });
            assert_eq!(
                check((old_size, &[1; 32]), (new_size, &new_root), &proof),
                refused,
                "{at}"
            );
            if old_size > 0 {
                assert_eq!(
                    check((old_size, &old_root), (new_size, &[1; 32]), &proof),
                    refused,
                    "{at}"
                );
            }
            let longer = [&proof[..], &[[1; 32]]].concat();
            assert_eq!(
                check((old_size, &old_root), (new_size, &new_root), &longer),
                refused,
                "{at}"
            );
            if let Some((_, shorter)) = proof.split_last() {
                assert_eq!(
                    check((old_size, &old_root), (new_size, &new_root), shorter),
                    refused,
                    "{at}"
                );
            }
            for changed in 0..proof.len() {
                let mut other = proof.clone();
                other[changed][0] ^= 1;
                assert_eq!(
                    check((old_size, &old_root), (new_size, &new_root), &other),
                    refused,
                    "{at}"
                );
            }
        }
    }
}

#[test]
fn a_proof_of_other_sizes_and_a_tree_that_got_shorter_are_refused() {
    let (seven, ten) = (tree(7).root(), tree(10).root());
    let proof = tree(7).consistency_proof(&leaves(7, 10));
    // Not 9 for 10: a proof does not say how many leaves are under the last hash. The checkpoint that is signed says it with the root.
    for (old_size, new_size) in [(6, 10), (8, 10), (10, 7), (0, 10), (7, u64::MAX), (u64::MAX, u64::MAX)] {
        assert_eq!(
            require_consistent((old_size, &seven), (new_size, &ten), &proof),
            Err(Inconsistent { old_size, new_size })
        );
    }
    assert!(require_consistent((10, &ten), (7, &seven), &[]).is_err());
}

#[test]
fn a_tree_with_another_leaf_has_no_proof() {
    let mut forked = tree(11);
    forked.append(leaf_hash(b"another"));
    leaves(12, 20).into_iter().for_each(|leaf| forked.append(leaf));
    let (old, honest) = (tree(13), tree(20));
    let proof = old.consistency_proof(&leaves(13, 20));
    assert_eq!(
        require_consistent((13, &old.root()), (20, &honest.root()), &proof),
        Ok(())
    );
    assert!(require_consistent((13, &old.root()), (20, &forked.root()), &proof).is_err());
}

#[test]
fn the_proofs_are_those_of_the_reference_tree_of_certificate_transparency() {
    // RFC 6962, 2.1.3: with seven leaves, from 3: [c, d, g, l]; from 4: [l]; from 6: [i, j, k].
    let leaf = leaves(0, 7);
    let (g, h) = (node_hash(&leaf[0], &leaf[1]), node_hash(&leaf[2], &leaf[3]));
    let (i, j) = (node_hash(&leaf[4], &leaf[5]), leaf[6]);
    let (k, l) = (node_hash(&g, &h), node_hash(&i, &j));
    let proof = |size: u64| tree(size).consistency_proof(&leaves(size, 7));
    assert_eq!(proof(3), [leaf[2], leaf[3], g, l]);
    assert_eq!(proof(4), [l]);
    assert_eq!(proof(6), [i, j, k]);
}
