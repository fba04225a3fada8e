//! One masked sum after another over the same nodes: what a node says in each round, and what follows once all have spoken.
//!
//! ```text
//! round       a node says                                  once all have spoken
//! keys        its keys of the first sum
//! shares      shares of its secrets                        numbers are wanted
//! masked      masked numbers, and keys of the next sum
//! survivors   who delivered, and shares of the next sum
//! opening     its opening                                  the sum; numbers are wanted: back to masked
//! ```
//!
//! All or nobody: in each round all nodes of the roster speak, or the series ends. So each sum is over the whole roster, and no two sums
//! differ by a node. Keys and shares depend on no number: they go before, and a sum takes three rounds. A node is a [`Hearing`] or [`Ready`];
//! whoever carries what they say, and has the sums, is a [`Carrier`].
//!
//! Nobody has to know beforehand how large numbers are: each is two entries, its part above 1/256 and the rest. A node that has a
//! number that is none, or is larger than [`NUMBER_MAX`], adds noise: then there is no sum, and nobody can tell whose fault it is.

use std::sync::Arc;

use terms::{MemberId, limit};
use trust::{Digest, SigningKey};
use zeroize::Zeroizing;

use crate::error::{Stage, SumError};
use crate::message::{Body, Message, Shares};
use crate::party::{AwaitsKeys, AwaitsMasked, AwaitsOpenings, AwaitsShares, AwaitsSurvivors, Party};
use crate::plan::{Participant, Plan, PlanError, SumTerms};
use crate::view::{Agreed, Delivered, Keyed, Shared};

/// The largest number that can be added, in absolute terms: 2^80.
pub const NUMBER_MAX: f64 = 1_208_925_819_614_629_174_706_176.0;

/// The first entry of a number counts these.
const COARSE: f64 = 1.0 / 256.0;

/// Largest rest, in absolute terms.
const REST_MAX: f64 = COARSE / 2.0;

/// A node's masked numbers take up so many bytes beside the entries, at most: heads, signatures, its keys and its name.
const BESIDE_BYTES: usize = 1_024;

/// The first of the sums over `width` numbers of each node. `request` is the digest of what they are a part of, which has a name that nothing
/// else has.
///
/// # Errors
/// See [`PlanError`].
pub fn plan(request: Digest, roster: Vec<Participant>, width: usize) -> Result<Arc<Plan>, PlanError> {
    let (nodes, entries) = (roster.len(), 2 * width);
    if nodes * (16 * entries + BESIDE_BYTES) > limit::FIT_MESSAGE_BYTES_MAX {
        return Err(PlanError::Entries { entries });
    }
    let bounds = [NUMBER_MAX, REST_MAX].into_iter().flat_map(|bound| vec![bound; width]);
    let terms = SumTerms {
        request,
        number: 0,
        min_nodes: nodes,
        bounds: bounds.collect(),
        roster,
    };
    Plan::new(terms).map(Arc::new)
}

/// What the node is at work for: itself, and from what its next numbers are computed.
#[derive(Clone, Debug)]
struct Me {
    member: MemberId,
    signer: Arc<SigningKey>,
    plan: Arc<Plan>,
    /// Of the sums so far: from them, and the request, numbers are computed.
    basis: Digest,
}

/// A node that has spoken and waits for what all said.
#[derive(Debug)]
pub struct Hearing {
    me: Me,
    waits: Waits,
}

#[derive(Debug)]
enum Waits {
    Keys(Party<AwaitsKeys>),
    Shares(Party<AwaitsShares>),
    Masked(Party<AwaitsMasked>, Party<AwaitsKeys>),
    Survivors(Party<AwaitsSurvivors>, Party<AwaitsShares>),
    Openings(Party<AwaitsOpenings>, Dealt),
}

/// A party with the shares of all.
#[derive(Debug)]
struct Dealt {
    party: Party<AwaitsShares>,
    shares: Vec<Message<Shares>>,
}

/// A node of which numbers are wanted.
#[derive(Debug)]
pub struct Ready {
    me: Me,
    next: Dealt,
}

/// What follows from what all said.
#[derive(Debug)]
pub enum Heard {
    /// The node says this.
    Say(Box<Hearing>, Vec<u8>),
    /// The first numbers are wanted.
    First(Box<Ready>),
    /// A sum; and other numbers are wanted, if there are any.
    Sum(Box<Ready>, Vec<f64>),
}

impl Hearing {
    /// A node that takes part, and what it says first.
    ///
    /// # Errors
    /// As [`Party::start`].
    pub fn start(plan: Arc<Plan>, member: MemberId, signer: Arc<SigningKey>) -> Result<(Self, Vec<u8>), SumError> {
        let (party, keys) = Party::start(Arc::clone(&plan), &member, Arc::clone(&signer))?;
        let basis = *plan.digest();
        let me = Me {
            member,
            signer,
            plan,
            basis,
        };
        Ok((me.waits(Waits::Keys(party)), keys.bytes().to_vec()))
    }

    /// Which round it is.
    pub fn stage(&self) -> Stage {
        match self.waits {
            Waits::Keys(_) => Stage::Keys,
            Waits::Shares(_) => Stage::Shares,
            Waits::Masked(..) => Stage::Masked,
            Waits::Survivors(..) => Stage::Survivors,
            Waits::Openings(..) => Stage::Opening,
        }
    }

    /// Takes in what all said in this round.
    ///
    /// # Errors
    /// What is wrong with it; [`SumError::TooFew`] if it is not of all; [`SumError::Nonsense`] if there is no sum.
    pub fn hear(self, said: &[&[u8]]) -> Result<Heard, SumError> {
        let Self { me, waits } = self;
        Ok(match waits {
            Waits::Keys(party) => {
                let (party, shares) = party.share(all(said)?)?;
                Heard::Say(Box::new(me.waits(Waits::Shares(party))), shares.bytes().to_vec())
            }
            Waits::Shares(party) => {
                let shares = all(said)?;
                let next = Dealt { party, shares };
                Heard::First(Box::new(Ready { me, next }))
            }
            Waits::Masked(party, next) => {
                let (masked, keys) = all_pairs(said)?;
                let ((party, survivors), (next, shares)) = (party.attest(masked)?, next.share(keys)?);
                let said = pair(survivors.bytes(), shares.bytes());
                Heard::Say(Box::new(me.waits(Waits::Survivors(party, next))), said)
            }
            Waits::Survivors(sum, party) => {
                let (survivors, shares) = all_pairs(said)?;
                let (sum, opening) = sum.open(survivors)?;
                let next = Dealt { party, shares };
                Heard::Say(Box::new(me.waits(Waits::Openings(sum, next))), opening.bytes().to_vec())
            }
            Waits::Openings(sum, next) => {
                let sum = joined(&sum.combine(all(said)?)?.values);
                let me = me.after(&sum);
                Heard::Sum(Box::new(Ready { me, next }), sum)
            }
        })
    }
}

impl Me {
    fn waits(self, waits: Waits) -> Hearing {
        Hearing { me: self, waits }
    }

    fn after(self, sum: &[f64]) -> Self {
        let mut basis = Digest::hasher();
        basis.update(self.basis.bytes());
        sum.iter().for_each(|number| basis.update(&number.to_le_bytes()));
        let basis = basis.finish();
        Self { basis, ..self }
    }
}

impl Ready {
    /// Masks the node's numbers: as many as were planned, or fewer, then the rest are 0.
    ///
    /// # Errors
    /// [`SumError::Length`] if there are more; what is wrong with the shares of others.
    pub fn mask(self, numbers: &[f64]) -> Result<(Hearing, Vec<u8>), SumError> {
        let Self { mut me, next } = self;
        let Dealt { party, shares } = next;
        let width = me.plan.scales().len() / 2;
        if numbers.len() > width {
            return Err(SumError::Length {
                member: me.member,
                entries: numbers.len(),
                planned: width,
            });
        }
        let can_be_added = numbers.iter().all(|number| number.abs() <= NUMBER_MAX);
        let (sum, masked) = match can_be_added {
            true => party.mask(shares, me.basis, &Zeroizing::new(in_two(numbers, width)))?,
            false => party.spoil(shares, me.basis)?,
        };
        me.plan = Arc::new(me.plan.following());
        let (next, keys) = Party::start(Arc::clone(&me.plan), &me.member, Arc::clone(&me.signer))?;
        let said = pair(masked.bytes(), keys.bytes());
        Ok((me.waits(Waits::Masked(sum, next)), said))
    }
}

/// Whoever carries what all say: what it is to be, and the sums. It has no secret.
#[derive(Debug)]
pub struct Carrier(Seen);

#[derive(Debug)]
enum Seen {
    Nothing(Arc<Plan>),
    Keys(Keyed),
    Shares(Shared),
    Masked(Delivered, Keyed),
    Survivors(Agreed, Shared),
}

impl Carrier {
    /// Before anybody has spoken.
    pub fn start(plan: Arc<Plan>) -> Self {
        Self(Seen::Nothing(plan))
    }

    /// Which round it is.
    pub fn stage(&self) -> Stage {
        match &self.0 {
            Seen::Nothing(_) => Stage::Keys,
            Seen::Keys(_) => Stage::Shares,
            Seen::Shares(_) => Stage::Masked,
            Seen::Masked(..) => Stage::Survivors,
            Seen::Survivors(..) => Stage::Opening,
        }
    }

    /// Takes in what all said in this round, and gives the sum if it was the last one of a sum.
    ///
    /// # Errors
    /// As [`Hearing::hear`].
    pub fn hear(self, said: &[&[u8]]) -> Result<(Self, Option<Vec<f64>>), SumError> {
        let seen = match self.0 {
            Seen::Nothing(plan) => Seen::Keys(Keyed::new(plan, all(said)?)?),
            Seen::Keys(keyed) => Seen::Shares(keyed.shared(all(said)?)?),
            Seen::Shares(shared) => {
                let (masked, keys) = all_pairs(said)?;
                let following = Arc::new(shared.plan().following());
                Seen::Masked(shared.delivered(masked)?, Keyed::new(following, keys)?)
            }
            Seen::Masked(delivered, keyed) => {
                let (survivors, shares) = all_pairs(said)?;
                Seen::Survivors(delivered.agreed(survivors)?, keyed.shared(shares)?)
            }
            Seen::Survivors(agreed, shared) => {
                let sum = joined(&agreed.combine(all(said)?)?.values);
                return Ok((Self(Seen::Shares(shared)), Some(sum)));
            }
        };
        Ok((Self(seen), None))
    }
}

/// Each number's coarse part, then each one's rest: both exact.
fn in_two(numbers: &[f64], width: usize) -> Vec<f64> {
    let mut entries = vec![0.0; 2 * width];
    let (coarse, rest) = entries.split_at_mut(width);
    for ((number, coarse), rest) in numbers.iter().zip(coarse).zip(rest) {
        *coarse = (number / COARSE).round_ties_even() * COARSE;
        *rest = number - *coarse;
    }
    entries
}

fn joined(entries: &[f64]) -> Vec<f64> {
    let (coarse, rest) = entries.split_at(entries.len() / 2);
    coarse.iter().zip(rest).map(|(coarse, rest)| coarse + rest).collect()
}

fn all<B: Body>(said: &[&[u8]]) -> Result<Vec<Message<B>>, SumError> {
    said.iter().map(|bytes| Message::from_bytes(bytes)).collect()
}

type Pairs<A, B> = (Vec<Message<A>>, Vec<Message<B>>);

fn all_pairs<A: Body, B: Body>(said: &[&[u8]]) -> Result<Pairs<A, B>, SumError> {
    let halves = said.iter().map(|bytes| in_halves(bytes));
    let halves = halves
        .collect::<Option<Vec<_>>>()
        .ok_or(SumError::Form { stage: A::STAGE })?;
    let (first, second): (Vec<_>, Vec<_>) = halves.into_iter().unzip();
    Ok((all(&first)?, all(&second)?))
}

/// Two messages, after the length of the first.
fn pair(first: &[u8], second: &[u8]) -> Vec<u8> {
    let length = (first.len() as u32).to_le_bytes();
    [length.as_slice(), first, second].concat()
}

fn in_halves(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests;
