//! One masked sum after another over the same nodes: what a node says in each round, and what follows once all have spoken.
//!
//! ```text
//! round       a node says                   once all have spoken
//! keys        its keys
//! shares      shares of its secrets         numbers are wanted
//! masked      masked numbers
//! survivors   who delivered
//! opening     its opening                   the first sum; numbers are wanted
//! following   masked numbers                a sum; numbers are wanted, as often as it goes on
//! ```
//!
//! In the first three rounds nodes may fall silent, as long as so many are left as the plan's threshold says. From then on it is all or nobody: who
//! delivered speaks in each round, or the series ends. So no two sums of it differ by a node. A node is a [`Hearing`] or [`Ready`]; whoever carries what they say, and has the sums, is a [`Carrier`].
//!
//! Nobody has to know beforehand how large numbers are: each is two entries, its part above 1/256 and the rest. A node that has a
//! number that is none, or is larger than [`NUMBER_MAX`], adds noise: then there is no sum, and nobody can tell whose fault it is.

use std::sync::Arc;

use terms::{MemberId, limit};
use trust::{Digest, SigningKey};
use zeroize::Zeroizing;

use crate::error::{Stage, SumError};
use crate::following::{Following, Survived};
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

/// A node's masked numbers take up so many bytes beside the entries, at most: head, signatures and its name.
const BESIDE_BYTES: usize = 1_024;

/// Of sums over `width` numbers of each node, at most, in which as many nodes stay as the threshold says, and `nodes_min`. `request` is the digest of what they are a part of, which has a name that nothing
/// else has.
///
/// # Errors
/// See [`PlanError`].
pub fn plan(request: Digest, roster: Vec<Participant>, nodes_min: usize, width: usize) -> Result<Arc<Plan>, PlanError> {
    let (nodes, entries) = (roster.len(), 2 * width);
    if nodes * (16 * entries + BESIDE_BYTES) > limit::FIT_MESSAGE_BYTES_MAX {
        return Err(PlanError::Entries { entries });
    }
    let bounds = [NUMBER_MAX, REST_MAX].into_iter().flat_map(|bound| vec![bound; width]);
    let terms = SumTerms {
        request,
        min_nodes: nodes_min,
        bounds: bounds.collect(),
        roster,
    };
    Plan::new(terms).map(Arc::new)
}

/// Who the node is, and from what its next numbers are computed.
#[derive(Clone, Debug)]
struct Me {
    member: MemberId,
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
    Masked(Party<AwaitsMasked>),
    Survivors(Party<AwaitsSurvivors>),
    Openings(Party<AwaitsOpenings>),
    Following(Following),
}

/// A node of which numbers are wanted.
#[derive(Debug)]
pub struct Ready {
    me: Me,
    next: Next,
}

/// For which sum.
#[derive(Debug)]
enum Next {
    /// The first, with the shares of all.
    First(Box<Party<AwaitsShares>>, Vec<Message<Shares>>),
    Following(Following),
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
        let (party, keys) = Party::start(Arc::clone(&plan), &member, signer)?;
        let basis = *plan.digest();
        let me = Me { member, plan, basis };
        Ok((me.waits(Waits::Keys(party)), keys.bytes().to_vec()))
    }

    /// Which round it is.
    pub fn stage(&self) -> Stage {
        match self.waits {
            Waits::Keys(_) => Stage::Keys,
            Waits::Shares(_) => Stage::Shares,
            Waits::Masked(_) => Stage::Masked,
            Waits::Survivors(_) => Stage::Survivors,
            Waits::Openings(_) => Stage::Opening,
            Waits::Following(_) => Stage::Following,
        }
    }

    /// Whether it goes on without nodes that say nothing in this round.
    pub fn may_lack(&self) -> bool {
        may_lack(&self.me.plan, self.stage())
    }

    /// Takes in what all said in this round.
    ///
    /// # Errors
    /// What is wrong with it; [`SumError::TooFew`] if it is not of enough, or of all who delivered; [`SumError::Nonsense`] if there is no sum.
    pub fn hear(self, said: &[&[u8]]) -> Result<Heard, SumError> {
        let Self { me, waits } = self;
        Ok(match waits {
            Waits::Keys(party) => {
                let (party, shares) = party.share(all(said)?)?;
                me.says(Waits::Shares(party), shares.bytes())
            }
            Waits::Shares(party) => {
                let next = Next::First(Box::new(party), all(said)?);
                Heard::First(Box::new(Ready { me, next }))
            }
            Waits::Masked(party) => {
                let (party, survivors) = party.attest(all(said)?)?;
                me.says(Waits::Survivors(party), survivors.bytes())
            }
            Waits::Survivors(party) => {
                let survivors = party.over().all(said)?;
                let (party, opening) = party.open(survivors)?;
                me.says(Waits::Openings(party), opening.bytes())
            }
            Waits::Openings(party) => {
                let openings = party.over().all(said)?;
                let (sum, following) = party.combine(openings)?;
                me.has(joined(&sum.values), following)
            }
            Waits::Following(following) => me.has(joined(&following.over().sum(said)?), following),
        })
    }
}

impl Me {
    fn waits(self, waits: Waits) -> Hearing {
        Hearing { me: self, waits }
    }

    fn says(self, waits: Waits, said: &[u8]) -> Heard {
        Heard::Say(Box::new(self.waits(waits)), said.to_vec())
    }

    fn has(self, sum: Vec<f64>, following: Following) -> Heard {
        let mut basis = Digest::hasher();
        basis.update(self.basis.bytes());
        sum.iter().for_each(|number| basis.update(&number.to_le_bytes()));
        let (basis, next) = (basis.finish(), Next::Following(following));
        let me = Self { basis, ..self };
        Heard::Sum(Box::new(Ready { me, next }), sum)
    }
}

impl Ready {
    /// Masks the node's numbers: as many as were planned, or fewer, then the rest are 0.
    ///
    /// # Errors
    /// [`SumError::Length`] if there are more; what is wrong with the shares of others.
    pub fn mask(self, numbers: &[f64]) -> Result<(Hearing, Vec<u8>), SumError> {
        let Self { me, next } = self;
        let width = me.plan.scales().len() / 2;
        if numbers.len() > width {
            return Err(SumError::Length {
                member: me.member,
                entries: numbers.len(),
                planned: width,
            });
        }
        let can_be_added = numbers.iter().all(|number| number.abs() <= NUMBER_MAX);
        let entries = can_be_added.then(|| Zeroizing::new(in_two(numbers, width)));
        let (waits, said) = match next {
            Next::First(party, shares) => {
                let (party, masked) = match entries {
                    Some(entries) => party.mask(shares, &entries)?,
                    None => party.spoil(shares)?,
                };
                (Waits::Masked(party), masked.bytes().to_vec())
            }
            Next::Following(following) => {
                let (following, masked) = match entries {
                    Some(entries) => following.mask(&me.basis, &entries)?,
                    None => following.spoil(&me.basis)?,
                };
                (Waits::Following(following), masked)
            }
        };
        Ok((me.waits(waits), said))
    }
}

/// Whoever carries what all say: what it is to be, and the sums. It has no secret.
#[derive(Debug)]
pub struct Carrier {
    plan: Arc<Plan>,
    seen: Seen,
}

#[derive(Debug)]
enum Seen {
    Nothing,
    Keys(Keyed),
    Shares(Shared),
    Masked(Delivered),
    Survivors(Agreed),
    Following(Survived),
}

impl Carrier {
    /// Before anybody has spoken.
    pub fn start(plan: Arc<Plan>) -> Self {
        let seen = Seen::Nothing;
        Self { plan, seen }
    }

    /// Which round it is.
    pub fn stage(&self) -> Stage {
        match &self.seen {
            Seen::Nothing => Stage::Keys,
            Seen::Keys(_) => Stage::Shares,
            Seen::Shares(_) => Stage::Masked,
            Seen::Masked(_) => Stage::Survivors,
            Seen::Survivors(_) => Stage::Opening,
            Seen::Following(_) => Stage::Following,
        }
    }

    /// Whether it goes on without nodes that say nothing in this round, if so many are left.
    pub fn may_lack(&self, left: usize) -> bool {
        may_lack(&self.plan, self.stage()) && left >= self.plan.threshold()
    }

    /// Takes in what all said in this round, and gives the sum if it was the last one of a sum.
    ///
    /// # Errors
    /// As [`Hearing::hear`].
    pub fn hear(self, said: &[&[u8]]) -> Result<(Self, Option<Vec<f64>>), SumError> {
        let Self { plan, seen } = self;
        let mut sum = None;
        let seen = match seen {
            Seen::Nothing => Seen::Keys(Keyed::new(Arc::clone(&plan), all(said)?)?),
            Seen::Keys(keyed) => Seen::Shares(keyed.shared(all(said)?)?),
            Seen::Shares(shared) => Seen::Masked(shared.delivered(all(said)?)?),
            Seen::Masked(delivered) => {
                let survivors = Survived::of(&delivered).all(said)?;
                Seen::Survivors(delivered.agreed(survivors)?)
            }
            Seen::Survivors(agreed) => {
                let survived = Survived::of(&agreed.delivered);
                sum = Some(joined(&agreed.combine(survived.all(said)?)?.values));
                Seen::Following(survived)
            }
            Seen::Following(survived) => {
                sum = Some(joined(&survived.sum(said)?));
                Seen::Following(survived)
            }
        };
        Ok((Self { plan, seen }, sum))
    }
}

/// Until it is signed who is in the first sum, and with it in all.
fn may_lack(plan: &Plan, stage: Stage) -> bool {
    stage < Stage::Survivors && plan.threshold() < plan.roster().len()
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

#[cfg(test)]
mod tests;
