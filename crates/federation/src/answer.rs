//! What a question comes back with: the pooled result, who contributed, and what suppression leaves open.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use engine::Reason;
use serde::Serialize;
use terms::{ExitCode, MemberId, PermitId, PolicyId, Problem, QueryId, Report, RuleId};
use trust::{DataVersion, Envelope, JoinedPolicy};
use wire::status::Ended;

/// The answer to one question.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The question, for the asker's own records.
    pub query_id: QueryId,
    /// The columns.
    pub schema: SchemaRef,
    /// The rows; none if no node answered.
    pub batches: Vec<RecordBatch>,
    /// What values can be into which suppressed cells would have gone, and in which bins quantiles are.
    pub intervals: Vec<Interval>,
    /// Whether such values decided which rows are here, as in `HAVING count(*) > 100`: rows can be missing, and rows can
    /// be here that would not be.
    pub rows_open: bool,
    /// Every node that was asked, in the order of their names.
    pub coverage: Vec<Coverage>,
    /// Where the receipts of what was released are; none if nothing was.
    pub receipts: Option<Receipts>,
}

/// Where receipts are kept.
#[derive(Clone, Debug)]
pub struct Receipts {
    /// The folder: one file for each query at a node, named after it.
    pub folder: PathBuf,
    /// Why not all of them are there.
    pub problem: Option<Report>,
}

/// A value of the answer that suppression leaves open, or a quantile: what is known of it is a bin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Row of the answer, from 0.
    pub row: usize,
    /// Column of the answer, by name.
    pub column: String,
    /// The least that the pooled value can be; absent if nothing is known.
    pub low: Option<f64>,
    /// The most that the pooled value can be; absent if nothing is known.
    pub high: Option<f64>,
    /// The nodes that suppressed; none where a quantile is as it would be if all rows were at one node.
    pub nodes: Vec<MemberId>,
}

/// How one node took part.
#[derive(Clone, Debug, Serialize)]
pub struct Coverage {
    /// The node.
    pub node: MemberId,
    /// What became of the question there.
    pub status: Status,
    /// Cells of the answer that the node did not release: too few people are in them, or nobody, or they would give away
    /// another cell. Which of the three is not told.
    pub suppressed_cells: u64,
    /// Values that it did not release in cells that it did: why, and how many.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub withheld: BTreeMap<Reason, u64>,
    /// Under which policy it answered.
    pub policy: Option<AppliedPolicy>,
    /// Which data it answered from, as its receipts say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataVersion>,
    /// The data permit under which it answered.
    pub permit: Option<PermitId>,
    /// What its policy asks of whoever has the answer, as its receipts say.
    pub duties: Vec<String>,
    /// Why it did not answer.
    pub problem: Option<Problem>,
    /// The same in a sentence.
    pub message: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// The query at the node, for its operator.
    pub query_id: Option<QueryId>,
    /// The node's signature under what it released, one for each part of the question.
    pub receipts: Vec<Envelope>,
}

impl Coverage {
    /// A node of which nothing else is known: it answered.
    pub(crate) fn of(node: MemberId) -> Self {
        Self {
            node,
            status: Status::Answered,
            suppressed_cells: 0,
            withheld: BTreeMap::new(),
            policy: None,
            data: Vec::new(),
            permit: None,
            duties: Vec::new(),
            problem: None,
            message: None,
            remedy: None,
            query_id: None,
            receipts: Vec::new(),
        }
    }

    /// A node that did not answer, and why.
    pub(crate) fn without(node: MemberId, Ended { report, query_id }: &Ended) -> Self {
        Self {
            status: Status::of(report.problem),
            problem: Some(report.problem),
            message: Some(report.message.clone()),
            remedy: Some(report.remedy.clone()),
            query_id: query_id.clone(),
            ..Self::of(node)
        }
    }
}

/// What became of a question at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It answered, and its receipt verified.
    Answered,
    /// Its policy does not allow the question.
    Refused,
    /// It could not be reached.
    Unreachable,
    /// It did not answer in time, and was told to stop.
    Late,
    /// It failed, or its answer did not verify.
    Failed,
}

impl Status {
    /// The status in one word.
    pub fn word(self) -> &'static str {
        match self {
            Status::Answered => "answered",
            Status::Refused => "refused",
            Status::Unreachable => "unreachable",
            Status::Late => "late",
            Status::Failed => "failed",
        }
    }

    /// What a command returns that got so far at each node.
    pub(crate) fn exit_code(nodes: impl Iterator<Item = Status> + Clone) -> ExitCode {
        let all = |status: Status| nodes.clone().all(|node| node == status);
        match nodes.clone().any(|node| node == Status::Answered) {
            true if all(Status::Answered) => ExitCode::Ok,
            true => ExitCode::Partial,
            false if all(Status::Refused) => ExitCode::Refused,
            false
                if nodes
                    .clone()
                    .all(|node| matches!(node, Status::Unreachable | Status::Late)) =>
            {
                ExitCode::Unreachable
            }
            false => ExitCode::Failed,
        }
    }

    /// What a problem at a node means for its status.
    pub fn of(problem: Problem) -> Self {
        match problem {
            Problem::PeerKey | Problem::Answer => Status::Failed,
            Problem::Unreachable => Status::Unreachable,
            Problem::Late => Status::Late,
            other => match other.exit_code() {
                ExitCode::Refused | ExitCode::Usage | ExitCode::Verification => Status::Refused,
                _ => Status::Failed,
            },
        }
    }
}

/// The policy and rule under which a node answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppliedPolicy {
    /// The policy.
    pub id: PolicyId,
    /// Its version.
    pub version: u64,
    /// The permission in it.
    pub rule: RuleId,
    /// The same of each collection that was joined.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<JoinedPolicy>,
    /// The smallest number of people that a released cell may describe, if any.
    pub min_people: Option<u32>,
    /// To multiples of what counts were rounded, and other numbers to three digits, if they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_to: Option<u32>,
    /// Values that are those of an earlier answer about nearly the same people.
    #[serde(skip_serializing_if = "is_zero")]
    pub kept_values: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Who took part in an answer, whatever was asked and in how many parts.
#[derive(Clone, Copy, Debug)]
pub struct TookPart<'a>(pub &'a [Coverage]);

impl Answer {
    /// Who took part in it.
    pub fn took_part(&self) -> TookPart<'_> {
        TookPart(&self.coverage)
    }
}

impl<'a> TookPart<'a> {
    /// What a command that ends with this answer returns: 0, or 3 if some did not answer; if none did, 4 if all
    /// refused, 5 if all were unreachable or late, else 1. Suppression does not make an answer partial.
    pub fn exit_code(self) -> ExitCode {
        Status::exit_code(self.0.iter().map(|node| node.status))
    }

    /// What whoever has the answer is asked to do or leave, each duty once.
    pub fn duties(self) -> BTreeSet<&'a str> {
        self.0
            .iter()
            .flat_map(|node| &node.duties)
            .map(String::as_str)
            .collect()
    }

    /// How many nodes answered.
    pub fn answered(self) -> usize {
        let answered = |node: &&Coverage| node.status == Status::Answered;
        self.0.iter().filter(answered).count()
    }

    /// Why nodes did not answer, and which: the same reason is told once.
    pub fn absent(self) -> BTreeMap<String, Vec<&'a str>> {
        let mut reasons: BTreeMap<String, Vec<&'a str>> = BTreeMap::new();
        for node in self.0.iter().filter(|node| node.status != Status::Answered) {
            let code = node.problem.map_or("", Problem::code);
            let message = node.message.as_deref().unwrap_or_default();
            let remedy = node.remedy.as_deref().unwrap_or_default();
            let why = format!("{}: {message} [{code}]; {remedy}", node.status.word());
            reasons.entry(why).or_default().push(node.node.as_str());
        }
        reasons
    }

    /// The nodes whose data are made up. If there is one, all that answered are.
    pub fn synthetic(self) -> Vec<&'a str> {
        let nodes = self.0.iter().filter(|node| node.data.iter().any(|data| data.synthetic));
        nodes.map(|node| node.node.as_str()).collect()
    }

    /// Cells that nodes did not release, all together.
    pub fn suppressed_cells(self) -> u64 {
        self.0.iter().map(|node| node.suppressed_cells).sum()
    }

    /// If no node answered, why the first one did not.
    pub fn nobody_answered(self) -> Option<Report> {
        if self.answered() > 0 {
            return None;
        }
        let first = self.0.first()?;
        let asked = match self.0.len() {
            1 => "1 node".to_owned(),
            several => format!("{several} nodes"),
        };
        let why = first.message.as_deref().unwrap_or_default();
        let report = first
            .problem?
            .report(format!("none of {asked} answered; {}: {why}", first.node));
        Some(report.remedy(first.remedy.clone().unwrap_or_default()))
    }
}
