//! How the sum comes out: shares become secrets, and the masks that these secrets make are taken off.

use std::collections::BTreeMap;

use terms::MemberId;

use crate::derivation::{Kind, adds, seed_digest};
use crate::error::SumError;
use crate::message::{Message, Opening};
use crate::plan::{Plan, Seat};
use crate::primitive::{KeyPair, Secret};
use crate::sharing::join;
use crate::view::{Agreed, Delivered};

/// The sum, and whose numbers are in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// For each entry.
    pub values: Vec<f64>,
    /// The nodes that were added.
    pub members: Vec<MemberId>,
    /// The entries before they were scaled back: the exact sum of what the nodes encoded.
    pub integers: Vec<i128>,
}

impl Agreed {
    /// Takes the masks off the sum.
    ///
    /// # Errors
    /// As [`crate::Keyed::new`]; or that a dealer's shares give another secret than it promised, or the sum is one that no numbers within their
    /// bounds have.
    pub fn combine(self, messages: Vec<Message<Opening>>) -> Result<Sum, SumError> {
        let plan = self.delivered.plan();
        plan.check_each(&messages, |message| self.check(message))?;
        let Self { delivered } = self;
        let survivors = delivered.masked.keys().copied();
        let (openings, _) = delivered.plan().gather(messages, &delivered.context, survivors)?;
        let mut total = delivered.total();
        for (place, (dealer, kind)) in delivered.to_open().enumerate() {
            let secret = delivered.secret_of(place, dealer, kind, &openings)?;
            delivered.unmask(&mut total, &secret, dealer, kind)?;
        }
        delivered.read(&total)
    }
}

impl Delivered {
    fn total(&self) -> Vec<u128> {
        let mut total = vec![0_u128; self.plan().scales().len()];
        for masked in self.masked.values() {
            let entries = total.iter_mut().zip(&masked.entries);
            entries.for_each(|(total, entry)| *total = total.wrapping_add(*entry));
        }
        total
    }

    /// Puts the opened shares of one dealer together. They are at `place` in each opening.
    fn secret_of(
        &self,
        place: usize,
        dealer: Seat,
        kind: Kind,
        openings: &BTreeMap<Seat, Opening>,
    ) -> Result<Secret, SumError> {
        let shares = openings
            .iter()
            .map(|(holder, opening)| (*holder, Secret::new(opening.0[place].1)));
        let shares: Vec<(Seat, Secret)> = shares.take(self.plan().threshold()).collect();
        let secret = join(&shares)?;
        let keys = &self.shared.keyed.keys[&dealer];
        let as_promised = match kind {
            Kind::MaskKey => KeyPair::of(&secret)?.public == keys.mask_key,
            Kind::Seed => seed_digest(&secret, self.plan(), dealer) == keys.seed_digest,
        };
        let dealer = || self.plan().member(dealer);
        as_promised
            .then_some(secret)
            .ok_or_else(|| SumError::WrongSecret { dealer: dealer() })
    }

    /// Takes off what this secret masks: the survivor's own mask, or the masks that survivors share with a node that is gone.
    fn unmask(&self, total: &mut [u128], secret: &Secret, dealer: Seat, kind: Kind) -> Result<(), SumError> {
        let keyed = &self.shared.keyed;
        if kind == Kind::Seed {
            keyed.mask_alone(secret, dealer)?.take_from(total);
            return Ok(());
        }
        let mask_key = KeyPair::of(secret)?;
        for survivor in self.masked.keys() {
            let between = keyed.mask_between(&mask_key, dealer, *survivor)?;
            if adds(*survivor, dealer) {
                between.take_from(total)
            } else {
                between.add_to(total)
            }
        }
        Ok(())
    }

    fn read(&self, total: &[u128]) -> Result<Sum, SumError> {
        Ok(Sum {
            values: self.plan().read(total, self.masked.len())?,
            members: self.members(),
            integers: total.iter().map(|sum| sum.cast_signed()).collect(),
        })
    }
}

impl Plan {
    /// The numbers that are the sum of `nodes`.
    pub(crate) fn read(&self, total: &[u128], nodes: usize) -> Result<Vec<f64>, SumError> {
        let scales = self.scales().iter().zip(total).enumerate();
        scales
            .map(|(index, (scale, sum))| scale.decode(*sum, nodes, index))
            .collect()
    }
}
