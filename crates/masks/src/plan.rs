//! What a masked sum is about: who takes part, of how many, what is added. Everybody works it out from the request for themselves.
//!
//! The digest of it is in every message, so nothing of one sum can be used in another. Next: [`crate::message`].

use std::fmt;

use terms::limit::{MASKED_SUM_ENTRIES_MAX, MASKED_SUM_NODES_MAX};
use terms::{MemberId, Problem, Report};
use trust::{Digest, PublicKey};

use crate::fixed::Scale;

/// Fewest nodes in a sum: of two, each knows the other's part.
pub const NODES_MIN: usize = 3;

/// A node's place in the roster of one sum, from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Seat(pub(crate) u8);

impl Seat {
    /// Where the polynomials of secrets are evaluated for this node. Never 0, where the secret is.
    pub(crate) fn coordinate(self) -> u8 {
        self.0 + 1
    }
}

/// A node that takes part, and the key that the data space's roster names for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// The institution.
    pub member: MemberId,
    /// The key with which it signs.
    pub key: PublicKey,
}

/// What is asked of [`Plan::new`].
#[derive(Clone, Debug)]
pub struct SumTerms {
    /// The digest of the request that this sum is a part of: of its text, and of a name that no other request has.
    pub request: Digest,
    /// Who takes part, in any order.
    pub roster: Vec<Participant>,
    /// How many nodes a sum must be over, by the policy.
    pub min_nodes: usize,
    /// For each entry of the vector, how large it can be at one node, in absolute terms.
    pub bounds: Vec<f64>,
}

/// Why there can be no such sum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Fewer nodes than a sum needs.
    #[error("a masked sum over {nodes} nodes, where at least {needed} are needed")]
    FewNodes {
        /// That were named.
        nodes: usize,
        /// That it takes.
        needed: usize,
    },
    /// More nodes than a sum may have.
    #[error("a masked sum over {nodes} nodes; it can have up to {MASKED_SUM_NODES_MAX}")]
    ManyNodes {
        /// That were named.
        nodes: usize,
    },
    /// The same node, or the same key, twice.
    #[error("{member} is named twice in a masked sum, or has the key of another")]
    Twice {
        /// The node.
        member: MemberId,
    },
    /// No entry, or too many.
    #[error("a masked sum of {entries} numbers; it has 1 to {MASKED_SUM_ENTRIES_MAX}")]
    Entries {
        /// That were planned.
        entries: usize,
    },
    /// A bound that is none.
    #[error("the bound of entry {index} of a masked sum is negative, too large or not a number")]
    BadBound {
        /// The entry, from 0 on.
        index: usize,
    },
}

impl From<PlanError> for Report {
    fn from(error: PlanError) -> Report {
        let problem = match error {
            PlanError::FewNodes { .. } => Problem::SumNodes,
            PlanError::ManyNodes { .. } | PlanError::Entries { .. } => Problem::Resources,
            PlanError::BadBound { .. } => Problem::SumBound,
            PlanError::Twice { .. } => Problem::Internal,
        };
        problem.report(error.to_string())
    }
}

/// A sum that can be made.
#[derive(Clone, PartialEq)]
pub struct Plan {
    roster: Vec<Participant>,
    threshold: usize,
    scales: Vec<Scale>,
    digest: Digest,
}

impl Plan {
    /// Checks the terms and works out threshold, scales and digest.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn new(terms: SumTerms) -> Result<Self, PlanError> {
        let SumTerms {
            request,
            mut roster,
            min_nodes,
            bounds,
        } = terms;
        roster.sort_by(|a, b| a.member.cmp(&b.member));
        let threshold = threshold(roster.len()).max(min_nodes).max(NODES_MIN);
        check_roster(&roster, threshold)?;
        if !(1..=MASKED_SUM_ENTRIES_MAX).contains(&bounds.len()) {
            return Err(PlanError::Entries { entries: bounds.len() });
        }
        let scale =
            |(index, bound): (usize, &f64)| Scale::for_bound(*bound, roster.len()).ok_or(PlanError::BadBound { index });
        let scales = bounds.iter().enumerate().map(scale).collect::<Result<_, _>>()?;
        let digest = digest(&request, &roster, threshold, &bounds);
        Ok(Self {
            roster,
            threshold,
            scales,
            digest,
        })
    }

    /// How many nodes must stay to the end; as many give a secret back.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// Who takes part, by member.
    pub fn roster(&self) -> &[Participant] {
        &self.roster
    }

    /// How each entry becomes an integer.
    pub fn scales(&self) -> &[Scale] {
        &self.scales
    }

    /// Of all that the sum is about. What two plans have in common when they have the same digest is everything.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    pub(crate) fn seat_of(&self, member: &MemberId) -> Option<Seat> {
        let place = self.roster.iter().position(|one| one.member == *member)?;
        u8::try_from(place).ok().map(Seat)
    }

    pub(crate) fn participant(&self, seat: Seat) -> Option<&Participant> {
        self.roster.get(usize::from(seat.0))
    }

    /// The member at a seat that is known to be one of the roster.
    pub(crate) fn member(&self, seat: Seat) -> MemberId {
        self.roster[usize::from(seat.0)].member.clone()
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, threshold, entries) = (self.roster.len(), self.threshold, self.scales.len());
        write!(
            f,
            "Plan({threshold} of {nodes} nodes, {entries} entries, {})",
            self.digest
        )
    }
}

/// More than two thirds. Two lists of survivors need this many signatures each, and only a node that colludes with the client signs both: with
/// `c` of them, 2 (t - c) of the n - c others would have to sign, which are too few as long as 2t > n + c (Bonawitz et al. 2017, section 6).
fn threshold(nodes: usize) -> usize {
    2 * nodes / 3 + 1
}

fn check_roster(roster: &[Participant], needed: usize) -> Result<(), PlanError> {
    let nodes = roster.len();
    if nodes < needed {
        return Err(PlanError::FewNodes { nodes, needed });
    }
    if nodes > MASKED_SUM_NODES_MAX {
        return Err(PlanError::ManyNodes { nodes });
    }
    for (place, one) in roster.iter().enumerate() {
        if roster[..place]
            .iter()
            .any(|other| other.member == one.member || other.key == one.key)
        {
            return Err(PlanError::Twice {
                member: one.member.clone(),
            });
        }
    }
    Ok(())
}

/// Every part has a fixed length or its length before it, so no two plans give the same bytes.
fn digest(request: &Digest, roster: &[Participant], threshold: usize, bounds: &[f64]) -> Digest {
    let mut hasher = Digest::hasher();
    hasher.update(b"datenraum masked sum v1: plan");
    hasher.update(request.bytes());
    for count in [roster.len(), threshold, bounds.len()] {
        hasher.update(&(count as u64).to_le_bytes());
    }
    for Participant { member, key } in roster {
        hasher.update(&(member.as_str().len() as u64).to_le_bytes());
        hasher.update(member.as_str().as_bytes());
        hasher.update(key.bytes());
    }
    for bound in bounds {
        hasher.update(&bound.to_le_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
