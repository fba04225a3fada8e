//! How the sums of all nodes come about, at the data user: what kind of part each node says in a round, and the sums once all have spoken.
//!
//! As `node/src/fit/exchange.rs`, without a part of its own. Where the statement says masked, no line here sees a node's sums.

use engine::FitQuery;
use masks::{Participant, Stage, series};
use terms::{Problem, Report, limit};
use trust::{Digest, part};
use wire::v1::FitPart;

use crate::node::Peer;

/// Where the rounds have come to.
pub(super) enum Exchange {
    Plain,
    Masked(Box<series::Carrier>),
}

/// What each node's part of a round has to be.
#[derive(Clone, Copy)]
pub(super) struct Round {
    pub(super) statement: Digest,
    pub(super) step: u32,
    pub(super) kind: u8,
    /// Whether a sum can be known from it.
    pub(super) is_of_sums: bool,
    /// How long a node may take.
    pub(super) seconds: u64,
    /// So many plain numbers.
    plain: Option<usize>,
}

impl Round {
    /// Whether this can be a part. What is masked is looked at together.
    pub(super) fn admits(&self, content: &[u8]) -> bool {
        self.plain
            .is_none_or(|width| content.len() == width * size_of::<f64>() && numbers(content).all(f64::is_finite))
    }
}

impl Exchange {
    /// What the statement says.
    ///
    /// # Errors
    /// As at a node.
    pub(super) fn of(query: &FitQuery, peers: &[&Peer], statement: Digest) -> Result<Self, Report> {
        if !query.statement.masked {
            return Ok(Self::Plain);
        }
        let width = query
            .width_max()
            .ok_or_else(|| Problem::ModelFormula.report("this analysis has no masked sums"))?;
        let participant = |peer: &&Peer| Participant {
            member: peer.member.clone(),
            key: peer.key,
        };
        let roster = peers.iter().map(participant).collect();
        let plan = series::plan(statement, roster, query.nodes_min(), width)?;
        Ok(Self::Masked(Box::new(series::Carrier::start(plan))))
    }

    /// The round that is on its way.
    pub(super) fn round(&self, statement: Digest, step: u32, width: usize) -> Round {
        let (kind, is_of_sums, plain) = match self {
            Self::Plain => (part::SUMS, true, Some(width)),
            Self::Masked(carrier) => (carrier.stage().kind(), carrier.stage() >= Stage::Opening, None),
        };
        // The others wait no longer than for a step.
        let seconds = match self.may_lack_anybody() {
            true => limit::FIT_SILENCE_SECONDS_MAX,
            false => limit::NODE_ANSWER_SECONDS_MAX,
        };
        Round {
            statement,
            step,
            kind,
            is_of_sums,
            seconds,
            plain,
        }
    }

    /// Whether this round may go on without any node that says nothing.
    fn may_lack_anybody(&self) -> bool {
        self.may_lack(usize::MAX)
    }

    /// Whether it may, if so many are left.
    pub(super) fn may_lack(&self, left: usize) -> bool {
        match self {
            Self::Plain => false,
            Self::Masked(carrier) => carrier.may_lack(left),
        }
    }

    /// Whether nodes may have signed who is in the sums: then a fit over others of them would tell of those in the one and not in the other.
    pub(super) fn has_bound(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Masked(carrier) => carrier.stage() >= Stage::Survivors,
        }
    }

    /// Takes in what all said, in the order of the statement, and gives the sums of all if this was the last round of a step.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn hear(self, parts: &[FitPart], width: usize) -> Result<(Self, Option<Vec<f64>>), Report> {
        match self {
            Self::Plain => {
                let mut total = vec![0.0; width];
                for part in parts {
                    for (sum, value) in total.iter_mut().zip(numbers(&part.content)) {
                        *sum += value;
                    }
                }
                Ok((Self::Plain, Some(total)))
            }
            Self::Masked(carrier) => {
                let said: Vec<&[u8]> = parts.iter().map(|part| part.content.as_slice()).collect();
                let (carrier, sums) = carrier.hear(&said)?;
                let sums = sums.map(|mut sums| {
                    sums.truncate(width);
                    sums
                });
                Ok((Self::Masked(Box::new(carrier)), sums))
            }
        }
    }
}

fn numbers(content: &[u8]) -> impl Iterator<Item = f64> + '_ {
    let (values, _) = content.as_chunks();
    values.iter().map(|value| f64::from_le_bytes(*value))
}
