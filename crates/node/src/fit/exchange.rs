//! How the sums of all nodes come about: what a node says in each round, and what follows once all have spoken.
//!
//! Plain: one round a step, in which each says its sums. Masked: the rounds of [`masks::series`]. Which of them it is, the statement
//! says, once, in [`Planned::of`]; from there on no line has both. Next: `masks/series.rs`. The other side is `federation/src/fit/exchange.rs`.

use std::sync::Arc;

use engine::FitQuery;
use masks::{Participant, Plan, Stage, series};
use terms::{MemberId, Problem, Report};
use trust::{Digest, PublicKey, SigningKey, part};

/// How sums are to come about.
pub(super) enum Planned {
    Plain,
    Masked(Arc<Plan>),
}

/// The node has spoken and waits for what all said.
pub(super) enum Hearing {
    Plain,
    Masked(Box<series::Hearing>),
}

/// The node's sums of a step are wanted.
pub(super) enum Ready {
    Plain,
    Masked(Box<series::Ready>),
}

/// What follows from what all said.
pub(super) enum Heard {
    /// The node says this.
    Say(Hearing, Vec<u8>),
    /// Its sums of the first step are wanted.
    First(Ready),
    /// The sums of all nodes.
    Sum(Ready, Vec<f64>),
}

impl Planned {
    /// What the statement says.
    ///
    /// # Errors
    /// `E_SUM_NODES` if masked sums need more nodes, `E_RESOURCES` if they are of too many numbers; `E_MODEL_FORMULA` if the analysis has none.
    pub(super) fn of(query: &FitQuery, nodes: &[(MemberId, PublicKey)], statement: Digest) -> Result<Self, Report> {
        if !query.statement.masked {
            return Ok(Self::Plain);
        }
        let width = query
            .width_max()
            .ok_or_else(|| Problem::ModelFormula.report("this analysis has no masked sums"))?;
        let participant = |(member, key): &(MemberId, PublicKey)| Participant {
            member: member.clone(),
            key: *key,
        };
        let roster = nodes.iter().map(participant).collect();
        Ok(Self::Masked(series::plan(statement, roster, query.nodes_min(), width)?))
    }

    /// All nodes have begun.
    ///
    /// # Errors
    /// If the node has no part in it.
    pub(super) fn begin(&self, member: &MemberId, key: &Arc<SigningKey>) -> Result<Heard, Report> {
        Ok(match self {
            Self::Plain => Heard::First(Ready::Plain),
            Self::Masked(plan) => {
                let (hearing, keys) = series::Hearing::start(Arc::clone(plan), member.clone(), Arc::clone(key))?;
                Heard::Say(Hearing::Masked(Box::new(hearing)), keys)
            }
        })
    }
}

impl Hearing {
    /// What kind of part is said in this round.
    pub(super) fn kind(&self) -> u8 {
        match self {
            Self::Plain => part::SUMS,
            Self::Masked(hearing) => hearing.stage().kind(),
        }
    }

    /// Whether a sum can be known from what is said in this round.
    pub(super) fn is_of_sums(&self) -> bool {
        match self {
            Self::Plain => true,
            Self::Masked(hearing) => hearing.stage() >= Stage::Opening,
        }
    }

    /// Whether a sum can be known from now on, whoever falls silent: that is so once enough have signed who is in it.
    pub(super) fn binds(&self) -> bool {
        match self {
            Self::Plain => true,
            Self::Masked(hearing) => hearing.stage() >= Stage::Survivors,
        }
    }

    /// Whether it goes on without nodes that say nothing in this round.
    pub(super) fn may_lack(&self) -> bool {
        match self {
            Self::Plain => false,
            Self::Masked(hearing) => hearing.may_lack(),
        }
    }

    /// Takes in what all said, each under its signature, in the order of the statement.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn hear(self, said: &[&[u8]], width: usize) -> Result<Heard, Report> {
        match self {
            Self::Plain => Ok(Heard::Sum(Ready::Plain, added(said, width)?)),
            Self::Masked(hearing) => Ok(match hearing.hear(said)? {
                series::Heard::Say(hearing, said) => Heard::Say(Self::Masked(hearing), said),
                series::Heard::First(ready) => Heard::First(Ready::Masked(ready)),
                series::Heard::Sum(ready, mut sums) => {
                    sums.truncate(width);
                    Heard::Sum(Ready::Masked(ready), sums)
                }
            }),
        }
    }
}

impl Ready {
    /// The node's sums, as it says them.
    ///
    /// # Errors
    /// If plain sums have no values: masked ones are spoilt for all then, and nobody is told whose they are.
    pub(super) fn add(self, sums: &[f64]) -> Result<(Hearing, Vec<u8>), Report> {
        match self {
            Self::Plain => {
                if sums.iter().any(|sum| !sum.is_finite()) {
                    let message = "the step leads where the model has no values";
                    let report = Problem::ModelSteps.report(message);
                    return Err(report.remedy("take another link, or fewer terms"));
                }
                let content = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
                Ok((Hearing::Plain, content))
            }
            Self::Masked(ready) => {
                let (hearing, said) = ready.mask(sums)?;
                Ok((Hearing::Masked(Box::new(hearing)), said))
            }
        }
    }
}

/// Plain sums, added in the order of the statement.
fn added(said: &[&[u8]], width: usize) -> Result<Vec<f64>, Report> {
    let mut total = vec![0.0; width];
    for content in said {
        let (values, rest) = content.as_chunks();
        if values.len() != width || !rest.is_empty() {
            return Err(Problem::ModelProtocol.report("the sums of a step are not as many as they have to be"));
        }
        for (sum, value) in total.iter_mut().zip(values) {
            *sum += f64::from_le_bytes(*value);
        }
    }
    Ok(total)
}
