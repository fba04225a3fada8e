//! Whether a question would be answered: each node is asked, and the asker's own documents are told beside it.
//!
//! Nothing is read and nothing charged. What a node says here is what it knows now; it decides again when the question is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::Query;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::Serialize;
use terms::{ExitCode, MemberId, Report, limit};
use wire::Connection;
use wire::dry_run::WouldAllow;
use wire::status::Ended;

use super::{Asker, Question};
use crate::answer::Status;
use crate::catalog::Offer;
use crate::fan_out::{Timeout, is_lost, late};
use crate::node::{Errand, Peer};
use crate::parameters::Parameters;
use crate::split::Leaf;

/// What would become of a question.
#[derive(Clone, Debug, Serialize)]
pub struct DryRun {
    /// One for each part of the question that nodes run.
    pub parts: Vec<DryRunPart>,
}

/// One part of a question that nodes run.
#[derive(Clone, Debug, Serialize)]
pub struct DryRunPart {
    /// The SQL that each node would be asked.
    pub sql: String,
    /// What the documents that the asker holds say about it.
    pub documents: String,
    /// What each node says, in the order of their names.
    pub nodes: Vec<Foreseen>,
}

/// What one node says.
#[derive(Clone, Debug, Serialize)]
pub struct Foreseen {
    /// The node.
    pub node: MemberId,
    /// What it would do.
    #[serde(flatten)]
    pub would: Would,
}

/// What a node would do with a part of a question.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Would {
    /// It would answer, under this and at this cost.
    Allowed(Box<WouldAllow>),
    /// It would refuse.
    Refused(Ended),
    /// It could not be reached.
    Unreachable(Ended),
    /// It failed, or what it says cannot be.
    Failed(Ended),
}

impl Would {
    fn of(said: Result<WouldAllow, Ended>) -> Self {
        match said.map_err(|ended| (Status::of(ended.report.problem), ended)) {
            Ok(would) => Would::Allowed(Box::new(would)),
            Err((Status::Refused, ended)) => Would::Refused(ended),
            Err((Status::Unreachable | Status::Late, ended)) => Would::Unreachable(ended),
            Err((Status::Answered | Status::Failed, ended)) => Would::Failed(ended),
        }
    }

    /// Why it would not answer, if it would not.
    pub fn not(&self) -> Option<(Status, &Ended)> {
        match self {
            Would::Allowed(_) => None,
            Would::Refused(ended) => Some((Status::Refused, ended)),
            Would::Unreachable(ended) => Some((Status::Unreachable, ended)),
            Would::Failed(ended) => Some((Status::Failed, ended)),
        }
    }
}

impl DryRun {
    /// As [`crate::TookPart::exit_code`], of nodes that would answer all their parts.
    pub fn exit_code(&self) -> ExitCode {
        let mut nodes: BTreeMap<&MemberId, Status> = BTreeMap::new();
        for Foreseen { node, would } in self.parts.iter().flat_map(|part| &part.nodes) {
            let status = nodes.entry(node).or_insert(Status::Answered);
            *status = would.not().map_or(*status, |(not, _)| not);
        }
        Status::exit_code(nodes.values().copied())
    }
}

impl Asker {
    /// Asks all nodes whether they would answer. Costs nothing.
    ///
    /// # Errors
    /// If the question cannot be asked. What a node says is no error.
    pub async fn dry_run(&self, question: &Question) -> Result<DryRun, Report> {
        let (split, errand) = self.prepare(question, &Parameters::default()).await?;
        let leaves = split.leaves.iter();
        let parts: Vec<(&Leaf, &Query)> = leaves
            .flat_map(|leaf| leaf.queries().map(move |query| (leaf, query)))
            .collect();
        let asking: FuturesUnordered<_> = self
            .peers
            .iter()
            .map(|offer| self.ask_node_whether(offer, &parts, &errand, question.timeout))
            .collect();
        let mut said: Vec<(usize, Foreseen)> = asking.collect::<Vec<_>>().await.into_iter().flatten().collect();
        said.sort_by(|(_, a), (_, b)| a.node.cmp(&b.node));
        let part = |(at, (_, query)): (usize, &(&Leaf, &Query))| DryRunPart {
            sql: query.to_string(),
            documents: self.documents_say(query, question),
            nodes: said
                .extract_if(.., |(of, _)| *of == at)
                .map(|(_, foreseen)| foreseen)
                .collect(),
        };
        Ok(DryRun {
            parts: parts.iter().enumerate().map(part).collect(),
        })
    }

    /// Asks one node about all parts that concern it, one after the other.
    async fn ask_node_whether(
        &self,
        offer: &Offer,
        parts: &[(&Leaf, &Query)],
        errand: &Errand,
        timeout: Option<Timeout>,
    ) -> Vec<(usize, Foreseen)> {
        let peer = &offer.peer;
        let mut said = Vec::new();
        let concerning = parts.iter().enumerate().filter(|(_, (leaf, _))| offer.is_asked(leaf));
        for (at, (_, query)) in concerning {
            let ask = |connection| async move {
                let now = self.clock.now();
                errand.ask_whether(peer, query, &connection, now).await
            };
            let would = match self.stopped(peer) {
                Some(report) => Err(report.into()),
                None => self.ask_in_time(peer, timeout, ask).await,
            };
            let foreseen = Foreseen {
                node: peer.member.clone(),
                would: Would::of(would),
            };
            said.push((at, foreseen));
        }
        said
    }

    /// Asks on an open connection, and once more if that was lost.
    async fn ask_in_time<Asking>(
        &self,
        peer: &Peer,
        timeout: Option<Timeout>,
        ask: impl Fn(Connection) -> Asking,
    ) -> Result<WouldAllow, Ended>
    where
        Asking: Future<Output = Result<WouldAllow, Ended>>,
    {
        let asked = async {
            match ask(self.connection(peer).await?).await {
                Err(ended) if is_lost(&ended) => {
                    self.forget(&peer.member).await;
                    ask(self.connection(peer).await?).await
                }
                outcome => outcome,
            }
        };
        let seconds = Timeout::seconds_of(timeout, limit::NODE_DRY_RUN_SECONDS_MAX);
        let in_time = tokio::time::timeout(Duration::from_secs(seconds), asked).await;
        in_time.unwrap_or_else(|_| Err(late(peer, seconds).into()))
    }

    /// What the documents that the asker holds say about a part. Nodes decide for themselves.
    fn documents_say(&self, query: &Query, question: &Question) -> String {
        match self.decide(query, question) {
            policy::Decision::Allow(grant) => {
                let (rule, policy, version) = (grant.rule(), grant.policy(), grant.version());
                format!("allowed by {rule} of {policy} version {version}")
            }
            policy::Decision::Refuse(refusal) => {
                let policy::Refusal {
                    problem,
                    message,
                    remedy,
                    ..
                } = refusal;
                format!("refused: {message} [{problem}]; {remedy}")
            }
        }
    }
}
