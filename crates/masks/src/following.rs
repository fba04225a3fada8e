//! Sums after the first, over exactly its survivors: each says its integers under masks between each two of them, once, and that is the sum.
//!
//! Nothing of these masks can be opened: if one survivor is silent there is no sum. A mask is derived from the keys that the survivors agreed
//! on and everything they signed, from which sum it is, and from what its numbers are computed. Nodes that were led to different places have masks that
//! do not cancel; what comes out is noise, which lies outside the bounds. To take part in a sum uses the party up and gives the one of the next.

use std::fmt;
use std::sync::Arc;

use trust::Digest;
use zeroize::Zeroizing;

use crate::derivation::{adds, mask_of_following};
use crate::error::{Stage, SumError};
use crate::message::{Body, Message};
use crate::party::{encode, noise};
use crate::plan::{Plan, Seat};
use crate::primitive::{KeyPair, Secret};
use crate::view::Delivered;

/// Bytes of an entry.
const ENTRY_BYTES: usize = 16;

/// A survivor in the sum that follows.
pub struct Following {
    seat: Seat,
    /// From 1 on.
    number: u32,
    keys: Vec<(Seat, Secret)>,
    over: Survived,
}

impl Following {
    pub(crate) fn new(delivered: &Delivered, mask_pair: &KeyPair, seat: Seat) -> Result<Self, SumError> {
        let others = delivered.masked.keys().copied().filter(|other| *other != seat);
        let key = |other| Ok((other, delivered.key_of_following(mask_pair, seat, other)?));
        Ok(Self {
            seat,
            number: 1,
            keys: others.map(key).collect::<Result<_, SumError>>()?,
            over: Survived::of(delivered),
        })
    }

    /// What the node says in this sum: the integers of its numbers, under masks. `basis` is the digest of everything that they were computed
    /// from, such as all sums so far.
    ///
    /// # Errors
    /// Which entry of `values` cannot be added.
    pub(crate) fn mask(self, basis: &Digest, values: &[f64]) -> Result<(Self, Vec<u8>), SumError> {
        let entries = encode(&self.over.plan, self.seat, values)?;
        self.add(basis, entries)
    }

    /// Noise in the place of numbers: there will be no sum.
    ///
    /// # Errors
    /// [`SumError::Cryptography`].
    pub(crate) fn spoil(self, basis: &Digest) -> Result<(Self, Vec<u8>), SumError> {
        let entries = noise(&self.over.plan)?;
        self.add(basis, entries)
    }

    fn add(self, basis: &Digest, mut entries: Zeroizing<Vec<u128>>) -> Result<(Self, Vec<u8>), SumError> {
        let Self { seat, number, .. } = self;
        for (other, key) in &self.keys {
            let between = mask_of_following(key, number, basis, (seat, *other), entries.len())?;
            if adds(seat, *other) {
                between.add_to(&mut entries)
            } else {
                between.take_from(&mut entries)
            }
        }
        let masked = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        let number = number.checked_add(1).ok_or(SumError::Cryptography)?;
        Ok((Self { number, ..self }, masked))
    }

    /// Over whom the sum is.
    pub(crate) fn over(&self) -> &Survived {
        &self.over
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Following(seat {}, sum {})", self.seat.0, self.number)
    }
}

/// The survivors of the first sum, for whoever adds up what they say.
#[derive(Clone, Debug)]
pub(crate) struct Survived {
    plan: Arc<Plan>,
    nodes: usize,
}

impl Survived {
    pub(crate) fn of(delivered: &Delivered) -> Self {
        Self {
            plan: Arc::clone(&delivered.shared.keyed.plan),
            nodes: delivered.masked.len(),
        }
    }

    #[cfg(test)]
    pub(crate) fn scales(&self) -> &[crate::Scale] {
        self.plan.scales()
    }

    /// What all of them said.
    ///
    /// # Errors
    /// [`SumError::TooFew`] if one is missing; [`SumError::Form`].
    pub(crate) fn all<B: Body>(&self, said: &[&[u8]]) -> Result<Vec<Message<B>>, SumError> {
        self.require_all(B::STAGE, said)?;
        said.iter().map(|bytes| Message::from_bytes(bytes)).collect()
    }

    fn require_all(&self, stage: Stage, said: &[&[u8]]) -> Result<(), SumError> {
        let (nodes, needed) = (said.len(), self.nodes);
        let too_few = || SumError::TooFew {
            stage,
            nodes,
            needed,
            missing: Vec::new(),
        };
        (nodes == needed).then_some(()).ok_or_else(too_few)
    }

    /// The sum of what all of them said. Who said what, others have checked.
    ///
    /// # Errors
    /// [`SumError::TooFew`] if one is missing; [`SumError::Nonsense`] if they were led to different places, or one added noise.
    pub(crate) fn sum(&self, said: &[&[u8]]) -> Result<Vec<f64>, SumError> {
        let stage = Stage::Following;
        self.require_all(stage, said)?;
        let mut total = vec![0_u128; self.plan.scales().len()];
        for bytes in said {
            let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
            if entries.len() != total.len() || !rest.is_empty() {
                return Err(SumError::Form { stage });
            }
            for (total, entry) in total.iter_mut().zip(entries) {
                *total = total.wrapping_add(u128::from_le_bytes(*entry));
            }
        }
        self.plan.read(&total, self.nodes)
    }
}

#[cfg(test)]
mod tests;
