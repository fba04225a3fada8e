//! Merkle tree hashing of RFC 6962: the root of an append-only log from its leaves, one at a time, and the proof that a log is the
//! beginning of another.
//!
//! No signature here: [`crate::checkpoint`] signs a root.

use std::ops::Range;

use sha2::Digest as _;

/// A hash in the tree.
pub type Hash = [u8; 32];

/// The hash of one entry. RFC 6962, 2.1.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha2::Sha256::new_with_prefix([0]).chain_update(entry).finalize().into()
}

/// The hash of two neighbouring subtrees. RFC 6962, 2.1.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha2::Sha256::new_with_prefix([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The right edge of a tree: all that is needed to append and to know the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    /// One root per complete subtree, largest first: one per bit that is set in `size`.
    peaks: Vec<Hash>,
    size: u64,
}

/// Stored peaks that do not belong to a tree of the stored size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves has not {peaks} complete subtrees")]
pub struct FrontierError {
    /// Leaves in the tree.
    pub size: u64,
    /// Peaks that were given.
    pub peaks: usize,
}

impl Frontier {
    /// The frontier that was stored as [`Frontier::size`] and [`Frontier::peaks`].
    ///
    /// # Errors
    /// If there cannot be so many peaks.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Result<Self, FrontierError> {
        if u64::from(size.count_ones()) != peaks.len() as u64 {
            return Err(FrontierError {
                size,
                peaks: peaks.len(),
            });
        }
        Ok(Self { peaks, size })
    }

    /// Appends one entry by its [`leaf_hash`].
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Every complete subtree of the same size merges with the new one, smallest first.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root. That of the empty tree is the SHA-256 of nothing.
    pub fn root(&self) -> Hash {
        let joined = self
            .peaks
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right));
        joined.unwrap_or_else(|| sha2::Sha256::digest([]).into())
    }

    /// Entries so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The proof that this tree is the beginning of the one that has `leaves` too, by their hashes. RFC 6962, 2.1.2. An empty tree is
    /// the beginning of every other, and that takes no proof.
    pub fn consistency_proof(&self, leaves: &[Hash]) -> Vec<Hash> {
        let new_size = self.size + leaves.len() as u64;
        let subtrees = match self.size {
            0 => Vec::new(),
            old_size => proven_subtrees(old_size, 0..new_size, true),
        };
        subtrees
            .into_iter()
            .map(|subtree| self.subtree(subtree, leaves))
            .collect()
    }

    /// The root of a subtree: one of the peaks, or one of leaves that are not in this tree.
    fn subtree(&self, subtree: Range<u64>, leaves: &[Hash]) -> Hash {
        let Some(start) = subtree.start.checked_sub(self.size) else {
            // Each peak covers one bit of the size; those before it are the larger bits.
            let larger = (self.size >> (subtree.end - subtree.start).ilog2() >> 1).count_ones();
            return self.peaks.get(larger as usize).copied().unwrap_or_default();
        };
        let mut frontier = Frontier::default();
        let (skip, take) = (start as usize, (subtree.end - subtree.start) as usize);
        leaves
            .iter()
            .skip(skip)
            .take(take)
            .for_each(|leaf| frontier.append(*leaf));
        frontier.root()
    }

    /// The roots of the complete subtrees, largest first, for storing.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }
}

/// A log is not the beginning of another, or the proof is not of these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing proves that the {old_size} entries are the first of the {new_size}")]
pub struct Inconsistent {
    /// Leaves of the shorter tree.
    pub old_size: u64,
    /// Leaves of the longer one.
    pub new_size: u64,
}

/// Checks that the tree of `old_size` leaves with `old_root` is the beginning of the tree of `new_size` leaves with `new_root`.
/// RFC 9162, 2.1.4.2; where the sizes are the same or the old tree is empty, the proof is empty.
///
/// # Errors
/// If the proof does not show it.
pub fn require_consistent(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> Result<(), Inconsistent> {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    let is_shown = match old_size {
        0 => proof.is_empty() && *old_root == Frontier::default().root() && (new_size > 0 || new_root == old_root),
        _ if old_size == new_size => proof.is_empty() && old_root == new_root,
        _ if old_size > new_size => false,
        _ => roots_of(proof, old_size, new_size, old_root) == Some((*old_root, *new_root)),
    };
    is_shown.then_some(()).ok_or(Inconsistent { old_size, new_size })
}

/// The roots of both trees as the proof makes them; none if it is not as long as the proof for these sizes is.
fn roots_of(proof: &[Hash], old_size: u64, new_size: u64, old_root: &Hash) -> Option<(Hash, Hash)> {
    let mut path = proof.iter();
    // Step 2: a complete tree stands for itself.
    let first = if old_size.is_power_of_two() {
        old_root
    } else {
        path.next()?
    };
    // Steps 3 and 4.
    let (mut old, mut new) = (old_size - 1, new_size - 1);
    let skipped = old.trailing_ones();
    (old, new) = (old >> skipped, new >> skipped);
    // Steps 5 and 6.
    let (mut old_made, mut new_made) = (*first, *first);
    for hash in path {
        if new == 0 {
            return None;
        }
        if old & 1 == 1 || old == new {
            (old_made, new_made) = (node_hash(hash, &old_made), node_hash(hash, &new_made));
            while old & 1 == 0 && old != 0 {
                (old, new) = (old >> 1, new >> 1);
            }
        } else {
            new_made = node_hash(&new_made, hash);
        }
        (old, new) = (old >> 1, new >> 1);
    }
    (new == 0).then_some((old_made, new_made))
}

/// The subtrees of `tree` whose roots prove that it begins with its first `old_size` leaves. RFC 6962, 2.1.2: SUBPROOF, where
/// `is_old_root` says that the old tree's root is known to be that of this subtree, if it is the whole of it.
fn proven_subtrees(old_size: u64, tree: Range<u64>, is_old_root: bool) -> Vec<Range<u64>> {
    let size = tree.end - tree.start;
    if old_size == size {
        return if is_old_root { Vec::new() } else { vec![tree] };
    }
    let split = size.next_power_of_two() / 2;
    let middle = tree.start + split;
    let (mut subtrees, other) = if old_size <= split {
        (
            proven_subtrees(old_size, tree.start..middle, is_old_root),
            middle..tree.end,
        )
    } else {
        (
            proven_subtrees(old_size - split, middle..tree.end, false),
            tree.start..middle,
        )
    };
    subtrees.push(other);
    subtrees
}

#[cfg(test)]
mod tests;
