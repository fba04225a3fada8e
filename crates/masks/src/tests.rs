//! Whole sums, honest ones and others, between nodes that are driven by hand.

mod honest;
mod liars;
pub(crate) mod transcript;

use std::sync::Arc;

use terms::MemberId;
use trust::{Digest, SigningKey};

use crate::*;

/// Nodes, their keys and their numbers.
pub(crate) struct Space {
    pub(crate) plan: Arc<Plan>,
    pub(crate) signers: Vec<Arc<SigningKey>>,
    pub(crate) values: Vec<Vec<f64>>,
}

/// All messages of one sum, in the order of nodes. What is `None` was never sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spoken {
    pub(crate) keys: Vec<Message<Keys>>,
    pub(crate) shares: Vec<Message<Shares>>,
    pub(crate) masked: Vec<Message<Masked>>,
    pub(crate) survivors: Vec<Message<Survivors>>,
    pub(crate) openings: Vec<Message<Opening>>,
}

/// After which message a node falls silent.
pub(crate) type Silent = Vec<(usize, Stage)>;

/// Nodes that got to the end: the sum that each found, and where it is then.
type Followers = Vec<(Sum, Following)>;

pub(crate) fn member(place: usize) -> MemberId {
    format!("node-{place:02}").parse().unwrap()
}

pub(crate) fn terms(signers: &[Arc<SigningKey>], entries: usize) -> SumTerms {
    let participant = |(place, key): (usize, &Arc<SigningKey>)| Participant {
        member: member(place),
        key: key.public(),
    };
    SumTerms {
        request: Digest::of(b"a request"),
        roster: signers.iter().enumerate().map(participant).collect(),
        min_nodes: 3,
        bounds: vec![1_000.0; entries],
    }
}

pub(crate) fn signers(nodes: usize) -> Vec<Arc<SigningKey>> {
    (0..nodes).map(|_| Arc::new(SigningKey::generate().unwrap())).collect()
}

/// Nodes whose numbers are multiples of 1/8, so that their plain sum is exact.
pub(crate) fn space(nodes: usize, entries: usize) -> Space {
    let signers = signers(nodes);
    let plan = Arc::new(Plan::new(terms(&signers, entries)).unwrap());
    let value = |node: usize, entry: usize| ((node * 37 + entry * 11) % 1_000) as f64 / 8.0 - 50.0;
    let values = (0..nodes).map(|node| (0..entries).map(|entry| value(node, entry)).collect());
    let values = values.collect();
    Space { plan, signers, values }
}

impl Space {
    pub(crate) fn start(&self, node: usize) -> (Party<AwaitsKeys>, Message<Keys>) {
        Party::start(self.plan.clone(), &member(node), self.signers[node].clone()).unwrap()
    }

    pub(crate) fn nodes(&self) -> usize {
        self.signers.len()
    }

    /// The plain sum over some nodes.
    pub(crate) fn plain(&self, nodes: impl Iterator<Item = usize> + Clone) -> Vec<f64> {
        let entries = 0..self.plan.scales().len();
        entries
            .map(|entry| nodes.clone().map(|node| self.values[node][entry]).sum())
            .collect()
    }

    /// Runs a sum. Returns what everybody said, the client's sum, and those of the nodes that got to the end.
    pub(crate) fn run(&self, silent: &Silent) -> Result<(Spoken, Sum, Vec<Sum>), SumError> {
        let (spoken, sum, ends) = self.run_on(silent)?;
        Ok((spoken, sum, ends.into_iter().map(|(sum, _)| sum).collect()))
    }

    /// As [`Space::run`], with the nodes in the sums that follow.
    pub(crate) fn run_on(&self, silent: &Silent) -> Result<(Spoken, Sum, Followers), SumError> {
        let speaks = |node: usize, stage: Stage| !silent.iter().any(|(who, from)| *who == node && stage >= *from);
        let mut spoken = Spoken::default();
        let everybody = 0..self.nodes();
        let mut parties = Vec::new();
        for node in everybody.filter(|node| speaks(*node, Stage::Keys)) {
            let (party, message) = self.start(node);
            spoken.keys.push(message);
            parties.push((node, party));
        }
        let parties = step(parties, &mut spoken.shares, Stage::Shares, &speaks, |_, party| {
            party.share(spoken.keys.clone())
        })?;
        let parties = step(parties, &mut spoken.masked, Stage::Masked, &speaks, |node, party| {
            party.mask(spoken.shares.clone(), &self.values[node])
        })?;
        let parties = step(parties, &mut spoken.survivors, Stage::Survivors, &speaks, |_, party| {
            party.attest(spoken.masked.clone())
        })?;
        let parties = step(parties, &mut spoken.openings, Stage::Opening, &speaks, |_, party| {
            party.open(spoken.survivors.clone())
        })?;
        let sum = spoken.combine(self.plan.clone())?;
        let ends = parties
            .into_iter()
            .map(|(_, party)| party.combine(spoken.openings.clone()));
        let ends = ends.collect::<Result<_, _>>()?;
        Ok((spoken, sum, ends))
    }
}

/// Lets all who still speak take one step.
fn step<S, T, B>(
    parties: Vec<(usize, Party<S>)>,
    said: &mut Vec<Message<B>>,
    stage: Stage,
    speaks: &dyn Fn(usize, Stage) -> bool,
    take: impl Fn(usize, Party<S>) -> Result<(Party<T>, Message<B>), SumError>,
) -> Result<Vec<(usize, Party<T>)>, SumError> {
    let mut next = Vec::new();
    for (node, party) in parties.into_iter().filter(|(node, _)| speaks(*node, stage)) {
        let (party, message) = take(node, party)?;
        said.push(message);
        next.push((node, party));
    }
    Ok(next)
}

impl Spoken {
    /// What the client does.
    pub(crate) fn combine(&self, plan: Arc<Plan>) -> Result<Sum, SumError> {
        self.agreed(plan)?.combine(self.openings.clone())
    }

    pub(crate) fn agreed(&self, plan: Arc<Plan>) -> Result<Agreed, SumError> {
        let keyed = Keyed::new(plan, self.keys.clone())?;
        let delivered = keyed.shared(self.shares.clone())?.delivered(self.masked.clone())?;
        delivered.agreed(self.survivors.clone())
    }
}
