//! One question to all nodes at once: each within the same time, and seen by whoever waits.
//!
//! Who does not answer in time is named and told to stop, and never delays what the others say. A part is asked under one name: once more if
//! its connection breaks, and on a second connection beside the first if that says nothing any more. The node answers and charges what has
//! one name once. Used by `ask.rs`; next: `node.rs`, one node's answer.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::str::FromStr;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use terms::{MemberId, Problem, Report, limit};
use tokio::time::{Instant, timeout_at};
use wire::Connection;
use wire::status::Ended;

use crate::answer::Status;
use crate::ask::Asker;
use crate::catalog::Offer;
use crate::node::{Errand, NodeAnswer, Part, Peer};
use crate::split::Leaf;

/// How long nodes may take to answer a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(u64);

/// A text that is not such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be a whole number of seconds from 1 to {}", limit::TIMEOUT_SECONDS_MAX)]
pub struct TimeoutError;

impl FromStr for Timeout {
    type Err = TimeoutError;

    fn from_str(text: &str) -> Result<Self, TimeoutError> {
        let seconds = text.parse().map_err(|_| TimeoutError)?;
        let is_allowed = (1..=limit::TIMEOUT_SECONDS_MAX).contains(&seconds);
        is_allowed.then_some(Self(seconds)).ok_or(TimeoutError)
    }
}

impl Timeout {
    /// The time, or the longest there is by itself if that is less.
    pub(crate) fn seconds_of(given: Option<Self>, most: u64) -> u64 {
        given.map_or(most, |Timeout(seconds)| seconds.min(most))
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Told what happens at nodes, while it happens.
pub type Watch<'a> = &'a (dyn Fn(&MemberId, Step<'_>) + Sync);

/// What happens at a node while a question is asked.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// It is one of those who will be asked. Told of all of them before anything else.
    Concerned,
    /// A connection to it is looked for.
    Connecting,
    /// It is asked a part of the question.
    Asked,
    /// It has answered all, or will not be asked further: how it ended, and why it did not answer.
    Ended(Status, Option<&'a Report>),
}

/// The answers of one node by leaf: of each to all that it is asked, in the order of [`Leaf::queries`].
pub(crate) type Answers = BTreeMap<usize, Vec<NodeAnswer>>;

/// What became of a question at one node: its answers, or why there are none. A node that answers only a
/// part of a question has not answered it.
pub(crate) struct Asked<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) outcome: Result<Answers, Ended>,
}

/// What every node is asked with.
#[derive(Clone, Copy)]
struct Round<'a> {
    errand: &'a Errand,
    watch: Watch<'a>,
    /// How long nodes have, and when that is over.
    seconds: u64,
    until: Instant,
}

impl Asker {
    /// Asks every node those parts that concern it, in the order of their names.
    pub(crate) async fn ask_all(
        &self,
        leaves: &[Leaf],
        errand: &Errand,
        timeout: Option<Timeout>,
        watch: Watch<'_>,
    ) -> Vec<Asked<'_>> {
        let concerned: Vec<(&Peer, Vec<(usize, &Leaf)>)> = self
            .offers()
            .iter()
            .map(|offer| (&offer.peer, parts(offer, leaves)))
            .filter(|(_, parts)| !parts.is_empty())
            .collect();
        for (peer, _) in &concerned {
            watch(&peer.member, Step::Concerned);
        }
        let each = limit::NODE_ANSWER_SECONDS_MAX * leaves.iter().flat_map(Leaf::queries).count() as u64;
        let seconds = timeout.map_or(each, |Timeout(seconds)| seconds);
        let round = Round {
            errand,
            watch,
            seconds,
            until: Instant::now() + Duration::from_secs(seconds),
        };
        let asking: FuturesUnordered<_> = concerned
            .iter()
            .map(|(peer, parts)| self.ask_node(peer, parts, round))
            .collect();
        let mut asked: Vec<Asked<'_>> = asking.collect().await;
        asked.sort_by(|a, b| a.peer.member.cmp(&b.peer.member));
        asked
    }

    async fn ask_node<'a>(&self, peer: &'a Peer, parts: &[(usize, &Leaf)], round: Round<'_>) -> Asked<'a> {
        let outcome = match self.stopped(peer) {
            Some(report) => Err(report.into()),
            // Whoever is not waited for any more is told so: what is dropped here ends at the node.
            None => timeout_at(round.until, self.ask_parts(peer, parts, round))
                .await
                .unwrap_or_else(|_| Err(late(peer, round.seconds).into())),
        };
        let why = outcome.as_ref().err().map(|ended| &ended.report);
        let status = why.map_or(Status::Answered, |report| Status::of(report.problem));
        (round.watch)(&peer.member, Step::Ended(status, why));
        Asked { peer, outcome }
    }

    /// Why a node is not asked although it is known: nothing that it says counts, and that is told.
    pub(crate) fn stopped(&self, peer: &Peer) -> Option<Report> {
        let stopped = self.rules.stops.members.contains(&peer.member);
        let message = || format!("a member of the board has stopped the member {}", peer.member);
        stopped.then(|| Problem::Stopped.report(message()))
    }

    async fn ask_parts(&self, peer: &Peer, parts: &[(usize, &Leaf)], round: Round<'_>) -> Result<Answers, Ended> {
        let mut answers = Answers::new();
        for (at, leaf) in parts {
            for query in leaf.queries() {
                let request = trust::new_request_id()?;
                let part = Part {
                    peer,
                    errand: round.errand,
                    query,
                    request: &request,
                    collection: &leaf.collection,
                    until: round.until,
                };
                answers
                    .entry(*at)
                    .or_default()
                    .push(Box::pin(self.ask_part(part, round.watch)).await?);
            }
        }
        Ok(answers)
    }

    /// Asks a node one part, and once more if the connection was lost or nothing is heard on it: under the same name, so that the node
    /// answers it once and charges it once.
    async fn ask_part(&self, part: Part<'_>, watch: Watch<'_>) -> Result<NodeAnswer, Ended> {
        let connection = self.reach(part.peer, watch).await?;
        let first = pin!(self.ask_on(&connection, part));
        let silent = pin!(connection.falls_silent(Duration::from_secs(limit::SILENCE_SECONDS_MAX)));
        match select(first, silent).await {
            Either::Left((Err(ended), _)) if is_lost(&ended) => self.ask_again(part, watch).await,
            Either::Left((outcome, _)) => outcome,
            Either::Right(((), first)) => {
                self.forget(&part.peer.member).await;
                // Only one of the two may have gone through, and nobody knows which: whichever is answered.
                match select(first, pin!(self.ask_again(part, watch))).await {
                    Either::Left((Err(ended), again)) if is_lost(&ended) => again.await,
                    Either::Right((Err(ended), first)) if is_lost(&ended) => first.await,
                    Either::Left((outcome, _)) | Either::Right((outcome, _)) => outcome,
                }
            }
        }
    }

    /// Asks what was asked before. That a node cannot tell again what it told is no refusal: the answer was lost on its way.
    async fn ask_again(&self, part: Part<'_>, watch: Watch<'_>) -> Result<NodeAnswer, Ended> {
        let connection = self.reach(part.peer, watch).await?;
        let outcome = self.ask_on(&connection, part).await;
        outcome.map_err(|ended| match ended.report.problem {
            Problem::RequestId => Ended {
                report: lost_for_good(part.peer, &ended.report),
                ..ended
            },
            _ => ended,
        })
    }

    /// Asks on a connection, which is not used again if it was lost.
    async fn ask_on(&self, connection: &Connection, part: Part<'_>) -> Result<NodeAnswer, Ended> {
        let outcome = part.ask(connection, self.clock.now()).await;
        if outcome.as_ref().is_err_and(is_lost) {
            self.forget(&part.peer.member).await;
        }
        outcome
    }

    async fn reach(&self, peer: &Peer, watch: Watch<'_>) -> Result<Connection, Report> {
        watch(&peer.member, Step::Connecting);
        let connection = self.connection(peer).await?;
        watch(&peer.member, Step::Asked);
        Ok(connection)
    }

    pub(crate) async fn forget(&self, member: &MemberId) {
        self.connections.lock().await.remove(member);
    }
}

/// The parts of a question that a node is asked.
fn parts<'a>(offer: &Offer, leaves: &'a [Leaf]) -> Vec<(usize, &'a Leaf)> {
    let parts = leaves.iter().enumerate();
    parts.filter(|(_, leaf)| offer.is_asked(leaf)).collect()
}

/// Whether a connection broke, or was renewed between a proof and its query.
pub(crate) fn is_lost(ended: &Ended) -> bool {
    matches!(ended.report.problem, Problem::Unreachable | Problem::ProofMismatch)
}

pub(crate) fn late(peer: &Peer, seconds: u64) -> Report {
    Problem::Late.report(format!("{} did not answer within {seconds} s", peer.member))
}

fn lost_for_good(peer: &Peer, told: &Report) -> Report {
    let message = format!("the connection to {} was lost; {}", peer.member, told.message);
    let remedy = "ask again: it counts as another query there";
    Problem::Unreachable.report(message).remedy(remedy)
}
