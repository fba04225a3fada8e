//! What every key, mask and digest of a sum is bound to: its use, all messages before it, and two nodes.
//!
//! `docs/secure-sums.md` lists them. Nothing is derived or committed to elsewhere.

use trust::Digest;

use crate::error::SumError;
use crate::plan::{Plan, Seat};
use crate::primitive::{KEY_BYTES, KeyPair, Mask, Secret, derive, mask};
use crate::view::{Delivered, Keyed};

/// Which of a node's two secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    MaskKey,
    Seed,
}

impl Keyed {
    /// The mask between two nodes, by the key of one and what the other made known.
    pub(crate) fn mask_between(&self, private: &KeyPair, own: Seat, other: Seat) -> Result<Mask, SumError> {
        let about = about("mask between two", &self.context, own.min(other), own.max(other));
        let key = private.agree(&self.keys[&other].mask_key, &about)?;
        Ok(mask(&key, self.plan.scales().len())?)
    }

    /// The mask of one node alone.
    pub(crate) fn mask_alone(&self, seed: &Secret, seat: Seat) -> Result<Mask, SumError> {
        let key = derive(seed.as_slice(), &about("mask of one", &self.context, seat, seat))?;
        Ok(mask(&key, self.plan.scales().len())?)
    }

    /// Under which the shares of one node for another are sealed, and what the seal is about.
    pub(crate) fn box_key(
        &self,
        private: &KeyPair,
        theirs: Seat,
        from: Seat,
        to: Seat,
    ) -> Result<(Secret, Vec<u8>), SumError> {
        let about = about("sealed shares", &self.context, from, to);
        let key = private.agree(&self.keys[&theirs].box_key, &about)?;
        Ok((key, about))
    }

    pub(crate) fn share_digest(&self, kind: Kind, dealer: Seat, holder: Seat, share: &[u8; KEY_BYTES]) -> Digest {
        let label = match kind {
            Kind::MaskKey => "share of a mask key",
            Kind::Seed => "share of a seed",
        };
        digest_of(share, &about(label, &self.context, dealer, holder))
    }
}

impl Delivered {
    /// From which the masks between two survivors are derived in the sums that follow, by the mask key of one and what the other made known.
    pub(crate) fn key_of_following(&self, private: &KeyPair, own: Seat, other: Seat) -> Result<Secret, SumError> {
        let about = about("key of following sums", &self.context, own.min(other), own.max(other));
        Ok(private.agree(&self.shared.keyed.keys[&other].mask_key, &about)?)
    }
}

/// The mask between two survivors in sum `number`, for numbers that are computed from `basis`.
pub(crate) fn mask_of_following(
    key: &Secret,
    number: u32,
    basis: &Digest,
    (own, other): (Seat, Seat),
    entries: usize,
) -> Result<Mask, SumError> {
    let about = about("mask of a following sum", basis, own.min(other), own.max(other));
    let key = derive(key.as_slice(), &[about.as_slice(), &number.to_le_bytes()].concat())?;
    Ok(mask(&key, entries)?)
}

/// Whether a node adds the mask that it shares with another; the other takes it off.
pub(crate) fn adds(node: Seat, other: Seat) -> bool {
    node < other
}

/// By which a node is held to the seed of its own mask, before anybody needs it.
pub(crate) fn seed_digest(seed: &Secret, plan: &Plan, seat: Seat) -> Digest {
    digest_of(seed, &about("seed", plan.digest(), seat, seat))
}

/// The digest of a secret: it has 256 random bits, so nobody finds it by trying.
fn digest_of(secret: &[u8; KEY_BYTES], about: &[u8]) -> Digest {
    let mut hasher = Digest::hasher();
    hasher.update(about);
    hasher.update(secret);
    hasher.finish()
}

/// What a key or a digest is for: a use, everything that was said before, and two nodes. No use is the beginning of another, as its length
/// stands before it.
pub(crate) fn about(label: &str, context: &Digest, from: Seat, to: Seat) -> Vec<u8> {
    let label = label.as_bytes();
    [&[label.len() as u8], label, context.bytes(), &[from.0, to.0]].concat()
}
