//! Merkle tree hashing of RFC 6962: the root of an append-only log from its leaves, one at a time.
//!
//! No signature here: [`crate::checkpoint`] signs a root.

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

    /// The roots of the complete subtrees, largest first, for storing.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }
}

#[cfg(test)]
mod tests;
