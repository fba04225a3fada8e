//! The story of one fit at the data user: whom to ask, one statement for all, step after step, and who took part.
//!
//! The client carries what nodes sign from one to all others and adds it up as they do. It chooses neither the first step nor any other: a
//! node finds the next one itself. If a node drops out, the fit begins again without it, from the start, and only if that was asked for. Where
//! sums are masked it goes on without it, as long as nobody has signed who is in the sums; from then on it ends, and is not begun again without a
//! node: both together would tell of that node. Next: `fit/exchange.rs`, what is said in each round.

mod exchange;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::FitQuery;
use futures::channel::mpsc;
use futures::future::join_all;
use models::rounds::Next;
use models::statement::Missing;
use models::{Fitted, Statement};
use policy::{AccessRequest, Asked, Release, Sum};
use terms::{MemberId, PermitId, Problem, Purpose, Report, limit};
use tokio::time::timeout;
use tonic::Streaming;
use trust::{Digest, Envelope, Hasher, PartOf, Proof, Receipt, Verified};
use wire::Connection;
use wire::status::Ended;
use wire::v1::fit_reply::What as Reply;
use wire::v1::fit_request::What as Asking;
use wire::v1::fit_service_client::FitServiceClient;
use wire::v1::{FitBegun, FitGo, FitOpening, FitPart, FitReply, FitRequest, FitStep};

use self::exchange::{Exchange, Round};
use crate::analyses::{self, Evidence};
use crate::answer::{AppliedPolicy, Coverage, Status};
use crate::ask::Asker;
use crate::fan_out::is_lost;
use crate::node::{Errand, Peer};
use crate::receipts;

/// Steps that are asked for if nothing is said and the policy allows more.
const STEPS: u32 = 25;

/// Messages to a node that lie ready.
const MESSAGES_READY: usize = 2;

/// A model that is asked for.
#[derive(Clone, Debug)]
pub struct FitQuestion {
    /// The collection, by its id or its name in SQL.
    pub collection: String,
    /// `glm`, …
    pub analysis: String,
    /// What is said of the analysis: `formula`, `family`, ….
    pub options: BTreeMap<String, String>,
    /// Which rows, as a condition in SQL; all if nothing is said.
    pub condition: Option<String>,
    /// Which nodes; all that offer the collection if nothing is said.
    pub nodes: Option<Vec<MemberId>>,
    /// Whether the fit may go on, from the start, without nodes that refuse, fail or cannot be reached.
    pub without_missing: bool,
    /// Most steps; as many as the policy allows, and 25 at most, if nothing is said.
    pub steps: Option<u32>,
    /// What it is for.
    pub purpose: Option<Purpose>,
    /// The data permit, where one is needed.
    pub permit: Option<PermitId>,
}

impl FitQuestion {
    /// The steps that are asked for; for rounds of a training, one more than these.
    fn steps(&self) -> Option<u32> {
        let rounds = || {
            let rounds = self.options.get("rounds").filter(|_| self.analysis == "train")?;
            rounds.trim().parse::<u32>().ok()?.checked_add(1)
        };
        self.steps.or_else(rounds)
    }
}

/// What comes of a fit.
#[derive(Debug)]
pub struct FitAnswer {
    /// The model; or why there is none.
    pub fitted: Result<Fitted, Report>,
    /// Rows that nodes left out because a column is not known; none where too few people are in them to say so.
    pub dropped: BTreeMap<MemberId, Option<u64>>,
    /// What was asked, and who took part.
    pub evidence: Evidence,
}

/// What all nodes are asked.
struct Plan {
    query: FitQuery,
    text: String,
    errand: Errand,
}

/// A fit that has begun at one node.
struct Open<'a> {
    peer: &'a Peer,
    steps: mpsc::Sender<FitRequest>,
    replies: Streaming<FitReply>,
    begun: FitBegun,
    /// Over all that the node has said.
    said: Hasher,
    /// In which there were sums.
    parts: u64,
}

/// What is known of the nodes before a fit has ended.
#[derive(Default)]
struct Known {
    dropped: BTreeMap<MemberId, Option<u64>>,
    /// Who fell silent, and the fit goes on.
    left_out: BTreeMap<MemberId, Ended>,
}

/// How a node ended its part in a fit.
struct Signed {
    receipt: Verified<Receipt>,
    envelope: Envelope,
}

/// What became of one try with certain nodes.
enum Tried {
    Fitted(Fitted, Vec<Signed>),
    /// The model has no solution, whoever takes part.
    Unsolvable(Report),
    /// These nodes do not take part.
    Missing(BTreeMap<MemberId, Ended>),
    /// These nodes are gone, and without them it cannot be tried again: their masked sums could be told from both.
    Lost(BTreeMap<MemberId, Ended>),
}

impl Asker {
    /// Fits a model over all nodes.
    ///
    /// # Errors
    /// If the fit cannot be asked. What happens at a node is no error but in the answer's coverage.
    pub async fn fit(&self, question: &FitQuestion) -> Result<FitAnswer, Report> {
        let mut peers = self.peers_for(question)?;
        let mut missing: BTreeMap<MemberId, Ended> = BTreeMap::new();
        let mut questions = Vec::new();
        loop {
            let plan = match (self.plan(question, &peers).await, missing.values().next()) {
                (Ok(plan), _) => plan,
                // Why the others do not take part says more than that too few are left.
                (Err(_), Some(first)) => {
                    let why = Err(first.report.clone());
                    return self.answered(why, questions, Vec::new(), missing).await;
                }
                (Err(report), None) => return Err(report),
            };
            questions.push(plan.text.clone());
            let mut known = Known::default();
            let tried = self.attempt(&plan, &peers, &mut known).await;
            peers.retain(|peer| !known.left_out.contains_key(&peer.member));
            missing.extend(known.left_out);
            match tried {
                Tried::Fitted(fitted, signed) => {
                    let answer = self.answered(Ok(fitted), questions, signed, missing);
                    return Ok(FitAnswer {
                        dropped: known.dropped,
                        ..answer.await?
                    });
                }
                Tried::Unsolvable(report) => {
                    return self.answered(Err(report), questions, Vec::new(), missing).await;
                }
                Tried::Lost(gone) => {
                    let why = gone.values().next().map(|ended| ended.report.clone());
                    let why = lost(why.unwrap_or_else(|| Problem::NoNode.report("no node takes part")));
                    missing.extend(gone);
                    return self.answered(Err(why), questions, Vec::new(), missing).await;
                }
                Tried::Missing(gone) => {
                    peers.retain(|peer| !gone.contains_key(&peer.member));
                    let may_go_on = question.without_missing && !peers.is_empty();
                    let first = gone.values().next().map(|ended| ended.report.clone());
                    missing.extend(gone);
                    if !may_go_on {
                        let why = self.why_none(first, &peers, question);
                        return self.answered(Err(why), questions, Vec::new(), missing).await;
                    }
                }
            }
        }
    }

    fn why_none(&self, first: Option<Report>, left: &[&Peer], question: &FitQuestion) -> Report {
        let first = first.unwrap_or_else(|| Problem::NoNode.report("no node takes part"));
        if left.is_empty() || question.without_missing {
            return first;
        }
        let remedy = format!(
            "{}; or let the fit go on without nodes that do not take part (without_missing)",
            first.remedy.trim_end_matches('.')
        );
        first.remedy(remedy)
    }

    /// How many nodes a fit would ask.
    pub(crate) fn nodes_of(&self, question: &FitQuestion) -> Result<usize, Report> {
        self.peers_for(question).map(|peers| peers.len())
    }

    fn peers_for(&self, question: &FitQuestion) -> Result<Vec<&Peer>, Report> {
        let collection = analyses::collection_of(self, &question.collection)?;
        let offers = self
            .offers()
            .iter()
            .filter(|offer| offer.offered(&collection.id).is_some());
        let offering: Vec<&Peer> = offers.map(|offer| &offer.peer).collect();
        let Some(named) = &question.nodes else {
            if offering.is_empty() {
                let message = format!("no node offers {} to you", collection.sql_name());
                return Err(Problem::NoNode.report(message));
            }
            return Ok(offering);
        };
        let find = |member: &MemberId| {
            let found = offering.iter().find(|peer| peer.member == *member).copied();
            found.ok_or_else(|| {
                let names = offering.iter().map(|peer| peer.member.as_str());
                let report = Problem::NoNode.report(format!("{member} offers no {} to you", collection.sql_name()));
                match terms::text::nearest(member.as_str(), names) {
                    Some(nearest) => report.remedy(format!("the nearest is {nearest}")),
                    None => report,
                }
            })
        };
        named.iter().map(find).collect()
    }

    /// One statement for all nodes. What is decided here, from the asker's own documents, nodes decide for themselves.
    async fn plan(&self, question: &FitQuestion, peers: &[&Peer]) -> Result<Plan, Report> {
        let collection = analyses::collection_of(self, &question.collection)?;
        let visible = self.visible();
        let statement = Statement {
            analysis: question.analysis.clone(),
            options: question.options.clone(),
            nodes: peers.iter().map(|peer| peer.member.to_string()).collect(),
            masked: false,
            missing: Missing::Refused,
            steps: question.steps().unwrap_or(STEPS),
            fit: fit_name()?,
            rows: String::new(),
        };
        let condition = question.condition.as_deref().unwrap_or_default();
        // The collection may be one that the asker cannot query: then the refusal says why.
        let mut known = visible.clone();
        known.insert(collection.id.clone(), Arc::clone(collection));
        let mut query = FitQuery::compose(statement, collection, condition, &known).await?;
        let request = AccessRequest {
            caller: self.caller().clone(),
            purpose: question.purpose,
            permit: question.permit.clone(),
            collection: collection.id.clone(),
            release: Release::Models,
            columns: query.columns(),
            asked: Asked::default(),
            at: self.clock.now(),
        };
        let grant = policy::decide(self.rules(), &request).into_grant()?;
        if let Some(rules) = grant.models() {
            let steps = question.steps().unwrap_or(STEPS.min(rules.steps_max));
            let missing = match question.without_missing {
                true => Missing::Allowed,
                false => Missing::Refused,
            };
            query = query.with(rules.sum == Sum::Masked, missing, steps)?;
        }
        engine::fit::admit_fit(&query, &grant)?;
        let text = query.statement.to_string();
        Ok(Plan {
            query,
            text,
            errand: self.errand(question.purpose, question.permit.clone()),
        })
    }

    /// One fit with certain nodes, from the start.
    async fn attempt(&self, plan: &Plan, peers: &[&Peer], known: &mut Known) -> Tried {
        let opened = join_all(peers.iter().map(|peer| self.open_fit(plan, peer))).await;
        let mut open = match all_of(peers, opened) {
            Ok(open) => open,
            Err(missing) => return Tried::Missing(missing),
        };
        let statement = Digest::of(plan.text.as_bytes());
        let mut exchange = match Exchange::of(&plan.query, peers, statement) {
            Ok(exchange) => exchange,
            Err(report) => return Tried::Unsolvable(report),
        };
        open.iter_mut().for_each(|one| one.say(Asking::Go(FitGo {})));
        let dropped = &mut known.dropped;
        dropped.extend(open.iter().map(|one| (one.peer.member.clone(), one.begun.dropped)));
        let (mut step, mut at) = (plan.query.start(), 0);
        while at < plan.query.statement.steps {
            let round = exchange.round(statement, at, step.width());
            let said = join_all(open.iter_mut().map(|one| one.part(round))).await;
            let (left, parts, gone) = told_apart(open, said);
            open = left;
            if !gone.is_empty() {
                if exchange.has_bound() {
                    return Tried::Lost(gone);
                }
                if !exchange.may_lack(open.len()) {
                    return Tried::Missing(gone);
                }
                known.left_out.extend(gone);
            }
            let heard = exchange.hear(&parts, step.width());
            let told = FitStep { step: at, parts };
            open.iter_mut().for_each(|one| one.say(Asking::Step(told.clone())));
            // The nodes find the same, and record it.
            let total = match heard {
                Err(report) => return Tried::Unsolvable(report),
                Ok((next, total)) => {
                    exchange = next;
                    total
                }
            };
            let Some(total) = total else { continue };
            let here = Arc::clone(&step);
            // Whoever else is served here does not wait for a heavy step.
            let next = engine::workers::run(async move { here.next(&total) }).await;
            let next =
                next.unwrap_or_else(|| Err(Problem::Internal.report("the next step of the fit cannot be found")));
            match next {
                Err(report) => return Tried::Unsolvable(report),
                Ok(Next::Done(fitted)) => {
                    let signed = join_all(open.iter_mut().map(|one| one.receipt(plan))).await;
                    let (_, signed, gone) = told_apart(open, signed);
                    return match (gone.is_empty(), exchange.has_bound()) {
                        (true, _) => Tried::Fitted(fitted, signed),
                        (false, true) => Tried::Lost(gone),
                        (false, false) => Tried::Missing(gone),
                    };
                }
                Ok(Next::Step(next)) => (step, at) = (next, at + 1),
            }
        }
        let message = format!(
            "the model has not come to its solution in {} steps",
            plan.query.statement.steps
        );
        Tried::Unsolvable(Problem::ModelSteps.report(message))
    }

    /// Opens the fit at a node; once more if its connection was lost.
    async fn open_fit<'a>(&self, plan: &Plan, peer: &'a Peer) -> Result<Open<'a>, Ended> {
        if let Some(stopped) = self.stopped(peer) {
            return Err(stopped.into());
        }
        let connection = self.connection(peer).await?;
        match self.open_on(plan, peer, &connection).await {
            Err(ended) if is_lost(&ended) => {
                self.forget(&peer.member).await;
                let connection = self.connection(peer).await?;
                self.open_on(plan, peer, &connection).await
            }
            opened => opened,
        }
    }

    async fn open_on<'a>(&self, plan: &Plan, peer: &'a Peer, connection: &Connection) -> Result<Open<'a>, Ended> {
        let proof = Proof {
            node: peer.member.to_string(),
            query: Digest::of(plan.text.as_bytes()),
            purpose: plan.errand.purpose,
            permit: plan.errand.permit.clone(),
            request: None,
            channel: connection.binding()?,
        };
        let (mut steps, coming) = mpsc::channel(MESSAGES_READY);
        let text = plan.text.clone();
        let opening = FitRequest {
            what: Some(Asking::Opening(FitOpening { text })),
        };
        let gone = || Ended::from(Problem::Unreachable.report(format!("{} has gone away", peer.member)));
        steps.try_send(opening).map_err(|_| gone())?;
        let request = plan.errand.accompany(coming, &proof, self.clock.now())?;
        let mut client = FitServiceClient::new(connection.grpc.clone())
            .max_decoding_message_size(limit::FIT_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limit::FIT_MESSAGE_BYTES_MAX);
        let opening = timeout(Duration::from_secs(limit::NODE_ANSWER_SECONDS_MAX), client.fit(request));
        let response = opening.await.map_err(|_| late(peer))?;
        let response = response.map_err(|status| wire::status::from_status(&status, peer.member.as_str()))?;
        let mut open = Open {
            peer,
            steps,
            replies: response.into_inner(),
            begun: FitBegun::default(),
            said: Hasher::default(),
            parts: 0,
        };
        open.begun = match open.next().await? {
            Reply::Begun(begun) => begun,
            Reply::Part(_) | Reply::Receipt(_) => return Err(odd(peer, "it does not begin").into()),
        };
        Ok(open)
    }

    async fn answered(
        &self,
        fitted: Result<Fitted, Report>,
        questions: Vec<String>,
        signed: Vec<Signed>,
        missing: BTreeMap<MemberId, Ended>,
    ) -> Result<FitAnswer, Report> {
        let query_id = trust::new_query_id()?;
        let envelopes: Vec<&Envelope> = signed.iter().map(|one| &one.envelope).collect();
        let kept = receipts::keep(self.data_folder(), &query_id, &envelopes).await;
        let mut coverage: Vec<Coverage> = signed.iter().map(took_part).collect();
        coverage.extend(
            missing
                .iter()
                .map(|(member, ended)| Coverage::without(member.clone(), ended)),
        );
        coverage.sort_by(|one, other| one.node.cmp(&other.node));
        crate::ask::origin::require_one_kind(&coverage)?;
        Ok(FitAnswer {
            fitted,
            dropped: BTreeMap::new(),
            evidence: Evidence {
                questions,
                query_ids: vec![query_id],
                coverage,
                receipts: kept.into_iter().collect(),
            },
        })
    }
}

impl Open<'_> {
    /// What the node says next.
    async fn next(&mut self) -> Result<Reply, Ended> {
        self.next_within(limit::NODE_ANSWER_SECONDS_MAX).await
    }

    async fn next_within(&mut self, seconds: u64) -> Result<Reply, Ended> {
        let coming = timeout(Duration::from_secs(seconds), self.replies.message()).await;
        let message = coming.map_err(|_| crate::fan_out::late(self.peer, seconds))?;
        let message = message.map_err(|status| wire::status::from_status(&status, self.peer.member.as_str()))?;
        let reply = message.and_then(|reply| reply.what);
        reply.ok_or_else(|| odd(self.peer, "it ended without a receipt").into())
    }

    /// What it says in a round, under its signature.
    async fn part(&mut self, round: Round) -> Result<FitPart, Ended> {
        let Reply::Part(part) = self.next_within(round.seconds).await? else {
            return Err(odd(self.peer, "it says something else than its part of a step").into());
        };
        let of = PartOf {
            statement: round.statement,
            step: round.step,
            kind: round.kind,
            member: &self.peer.member,
        };
        let holds = part.node == self.peer.member.as_str()
            && round.admits(&part.content)
            && of.verify(&part.content, &part.signature, &self.peer.key).is_ok();
        if !holds {
            return Err(odd(self.peer, "its sums are not as they must be").into());
        }
        self.said.update(&part.content);
        self.parts += u64::from(round.is_of_sums);
        Ok(part)
    }

    /// Says something to the node. Why it does not listen any more, it says itself: that is read next.
    fn say(&mut self, what: Asking) {
        drop(self.steps.try_send(FitRequest { what: Some(what) }));
    }

    async fn receipt(&mut self, plan: &Plan) -> Result<Signed, Ended> {
        let peer = self.peer;
        let Reply::Receipt(receipt) = self.next().await? else {
            return Err(odd(peer, "it goes on where the fit has ended").into());
        };
        let envelope = Envelope::parse(&receipt).map_err(|_| odd(peer, "its receipt cannot be read"))?;
        let receipt = Receipt::open(&envelope, &peer.key)?;
        let matches = receipt.node == peer.member
            && receipt.space == plan.errand.space
            && receipt.query == Digest::of(plan.text.as_bytes())
            && receipt.permit == plan.errand.permit
            && receipt.rows == self.parts
            && receipt.result == std::mem::take(&mut self.said).finish();
        if !matches {
            return Err(odd(peer, "its receipt is for something else").into());
        }
        Ok(Signed { receipt, envelope })
    }
}

/// The nodes that gave something, with it, and those that gave nothing.
fn told_apart<'a, T>(
    nodes: Vec<Open<'a>>,
    outcomes: Vec<Result<T, Ended>>,
) -> (Vec<Open<'a>>, Vec<T>, BTreeMap<MemberId, Ended>) {
    let (mut left, mut all, mut gone) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (node, outcome) in nodes.into_iter().zip(outcomes) {
        match outcome {
            Ok(one) => {
                left.push(node);
                all.push(one);
            }
            Err(ended) => {
                gone.insert(node.peer.member.clone(), ended);
            }
        }
    }
    (left, all, gone)
}

/// What all nodes gave; or those that gave nothing.
fn all_of<T>(peers: &[&Peer], outcomes: Vec<Result<T, Ended>>) -> Result<Vec<T>, BTreeMap<MemberId, Ended>> {
    let (mut all, mut missing) = (Vec::new(), BTreeMap::new());
    for (peer, outcome) in peers.iter().zip(outcomes) {
        match outcome {
            Ok(one) => all.push(one),
            Err(ended) => {
                missing.insert(peer.member.clone(), ended);
            }
        }
    }
    if missing.is_empty() { Ok(all) } else { Err(missing) }
}

fn took_part(signed: &Signed) -> Coverage {
    let receipt = &signed.receipt;
    Coverage {
        status: Status::Answered,
        policy: Some(AppliedPolicy {
            id: receipt.policy.clone(),
            version: receipt.policy_version,
            rule: receipt.rule.clone(),
            joined: receipt.joined.clone(),
            min_people: receipt.min_people,
            round_to: receipt.round_to,
            kept_values: 0,
        }),
        data: receipt.data.clone(),
        permit: receipt.permit.clone(),
        duties: receipt.duties.iter().map(|duty| wire::status::plain(duty)).collect(),
        query_id: Some(receipt.query_id.clone()),
        receipts: vec![signed.envelope.clone()],
        ..Coverage::of(receipt.node.clone())
    }
}

fn lost(why: Report) -> Report {
    if why.problem == Problem::ModelDisclosure {
        return why;
    }
    let message = format!(
        "{}; the masked fit had begun, and is not begun again without a node",
        why.message
    );
    let report = why.problem.report(message);
    report.remedy("ask again when all these nodes answer: without one of them, both fits together would tell of it")
}

fn fit_name() -> Result<String, Report> {
    let name = trust::new_query_id()?;
    Ok(Digest::of(name.as_str().as_bytes()).hex()[..32].to_owned())
}

fn late(peer: &Peer) -> Ended {
    crate::fan_out::late(peer, limit::NODE_ANSWER_SECONDS_MAX).into()
}

fn odd(peer: &Peer, what: &str) -> Report {
    Problem::Answer.report(format!("the fit at {} cannot be used: {what}", peer.member))
}
