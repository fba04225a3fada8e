//! The story of one request, top to bottom. Each step moves it forward or ends it with a reason in the ledger.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use engine::read::Collections;
use engine::{Dataset, Datasets, ExecuteError, Holding, Leaving, People, Query, Released, RowStream};
use policy::{AccessRequest, Asked, Caller, Collection, Decision, Grant};
use terms::{
    Clock, CollectionId, ExitCode, MemberId, PermitId, PolicyId, Problem, Purpose, QueryId, Report, RequestId, RuleId,
    SpaceId, UtcTime, limit,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, info, info_span, instrument};
use trust::{
    Channel, Credential, DataVersion, Digest, Envelope, Proof, ProofSeen, PublicKey, Receipt, Received, Replay,
    SigningKey, Verified,
};
use wire::NodeLimits;
use wire::header::Tokens;
use wire::status::Ended;

use crate::again::{self, terms_of};
use crate::delivery::{Access, Obligations};
use crate::governance::{Current, Governance};
use crate::ledger::{
    Asking, Begun, Charge, Decided, Entry, Ledger, Named, Opened, Opening, Permitted, Release, RequestKey,
};
use crate::metrics::NodeMetrics;
use crate::registers::Registers;
use crate::turns::{self, Turns};

/// Most bytes of duties in one receipt: with the rest of it, and encoded twice, they fit the headers of an answer.
const DUTIES_BYTES_MAX: usize = 4 * 1024;

/// Everything that answering needs. Next: `delivery.rs`, how an answer leaves,
/// `again.rs`, what is told to whoever asks again, and `query/foresee.rs`, what to whoever asks whether.
#[derive(Debug)]
pub struct Desk {
    pub(crate) space: SpaceId,
    pub(crate) member: MemberId,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) governance: Governance,
    pub(crate) datasets: Datasets,
    pub(crate) registers: Arc<Registers>,
    pub(crate) ledger: Ledger,
    pub(crate) replay: Replay,
    pub(crate) turns: Turns,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reading: Semaphore,
    pub(crate) running: Semaphore,
    /// Places for rows that leave while they are read.
    pub(crate) streaming: Arc<Semaphore>,
    /// Once the node is told to stop: nothing new is taken up.
    pub(crate) draining: CancellationToken,
    /// Ends what is still on its way when the node stops.
    pub(crate) stopping: CancellationToken,
    pub(crate) limits: NodeLimits,
    pub(crate) metrics: NodeMetrics,
}

/// How a request arrived: its tokens, unverified, and the connection it came on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) tokens: Tokens<'a>,
    pub(crate) channel: &'a Channel,
}

/// Who asks, for what, under which permit: what verified tokens say.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) caller: Caller,
    pub(crate) issuer_key: PublicKey,
    pub(crate) named: Option<Named>,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) permit: Option<PermitId>,
}

/// What becomes of a query that is answered.
#[derive(Debug)]
pub(crate) enum Answered {
    /// All of it is there.
    Whole(Box<Answer>),
    /// Its rows leave while they are read.
    Rows(Box<RowAnswer>),
}

/// What has to be decided of one query: all of it must be allowed.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    /// About the collection asked.
    pub(crate) asked: AccessRequest,
    /// About each collection that is joined.
    pub(crate) joined: Vec<AccessRequest>,
}

/// An answer, the node's signature under it, and why it may leave.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) receipt: Envelope,
    pub(crate) access: Access,
}

/// Rows that leave while they are read, and why they may. The node signs when they have left.
#[derive(Debug)]
pub(crate) struct RowAnswer {
    pub(crate) rows: RowStream,
    /// That they begin to leave is recorded.
    pub(crate) entry: Entry<Begun>,
    pub(crate) access: Access,
    /// Digest over what allowed it and under which obligations.
    pub(crate) terms: Digest,
    /// When the request came.
    pub(crate) arrived: Instant,
    pub(crate) place: OwnedSemaphorePermit,
}

/// The data that a query is answered from, as they are when it is decided.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) asked: Arc<Dataset>,
    joined: Vec<Arc<Dataset>>,
}

impl Held {
    pub(crate) fn versions(&self) -> Vec<DataVersion> {
        [&self.asked]
            .into_iter()
            .chain(&self.joined)
            .map(|dataset| dataset.version())
            .collect()
    }
}

/// Why a query may not run, and what decided that, where something did.
#[derive(Debug)]
pub(crate) struct Refused {
    report: Report,
    decided_by: Option<(PolicyId, u64, Option<RuleId>)>,
}

/// Why an allowed query has no answer.
#[derive(Debug)]
enum Unanswered {
    /// Known without reading a row: told at once and in full.
    Early(Report),
    /// Known once rows could be read: told at a step of the grid.
    Late(Report),
}

impl Desk {
    /// Answers one query; what was asked before under the same name is told again.
    #[instrument(name = "query", skip_all, fields(member = %self.member, query_id, outcome, bytes))]
    pub(crate) async fn answer(self: &Arc<Self>, arrival: Arrival<'_>, sql: &str) -> Result<Answered, Ended> {
        let answered = self.answer_named(arrival, sql).await;
        let outcome = answered
            .as_ref()
            .map_or_else(|ended| ended.report.problem.code(), |_| "answered");
        tracing::Span::current().record("outcome", outcome);
        answered
    }

    async fn answer_named(self: &Arc<Self>, arrival: Arrival<'_>, sql: &str) -> Result<Answered, Ended> {
        let arrived = Instant::now();
        self.require_open()?;
        // 1 caller
        let caller = || self.asker(arrival, sql, &*self.governance.current()?, self.clock.now());
        let asker = info_span!("caller").in_scope(caller)?;
        let Some(Named { key, .. }) = asker.named.clone() else {
            return self.answer_once(&asker, sql, arrived).await;
        };
        let turn = self.turns.wait(key.clone()).await;
        self.ledger.require_recording()?;
        if let Some(kept) = self.ledger.kept(key, self.clock.now()).await? {
            let told = self.answer_again(&asker, sql, kept).await?;
            return Ok(Answered::Whole(Box::new(told)));
        }
        let (desk, sql) = (Arc::clone(self), sql.to_owned());
        let work = async move { Box::pin(desk.answer_once(&asker, &sql, arrived)).await }.in_current_span();
        let answered = turns::see_through(turn, work).await;
        answered.unwrap_or_else(|| Err(Problem::Internal.report("answering stopped").into()))
    }

    /// Answers one query. Each step moves it forward or ends it with a reason in the ledger.
    async fn answer_once(self: &Arc<Self>, asker: &Asker, sql: &str, arrived: Instant) -> Result<Answered, Ended> {
        let _slot = self.slot().instrument(info_span!("wait")).await?;
        // What was revoked while the query waited is revoked.
        let (current, now) = (self.governance.current()?, self.clock.now());
        // 2 ledger
        let query_id = trust::new_query_id()?;
        tracing::Span::current().record("query_id", query_id.as_str());
        let ended = |report: Report| Ended {
            report,
            query_id: Some(query_id.clone()),
        };
        let opening = asker.opening(&query_id, sql);
        let entry = self.ledger.open_entry(opening.clone()).map_err(ended)?;
        if let Err(report) = self.require_may_ask(&current, &asker.caller, now) {
            return Err(refused(entry, report.into()).await);
        }
        // 3 engine: parse
        let visible = asker.visible(&current, now);
        let query = match self.read(sql, &current, &visible).instrument(info_span!("parse")).await {
            Ok(query) => query,
            Err(report) => return Err(refused(entry, report.into()).await),
        };
        let entry = entry.about(query.collection());
        // 4 facts and 5 policy: decided and charged together, so that a quota is not overrun by asking at once
        let requests = asker.requests(&query, now, |joined| self.ledger.asked(asker.asking(joined), now));
        let decided = self.ledger.charge(asker.asking(query.collection()), now, |asked| {
            match info_span!("decide").in_scope(|| decide(&current, &requests, asked)) {
                Ok(grant) => (Ok(grant), Charge::One),
                Err(refused) => (Err(refused), Charge::Free),
            }
        });
        let grant = match decided.unwrap_or_else(|report| Err(report.into())) {
            Ok(grant) => grant,
            Err(why) => return Err(refused(entry, why).await),
        };
        // 6 ledger
        let (permitted, obligations, terms) = (Permitted::from(&grant), Obligations::of(&grant), terms_of(&grant));
        let entry = entry.decided(permitted.clone());
        let held = match require_tellable(&permitted).and_then(|()| self.datasets_of(&grant)) {
            Ok(held) => held,
            Err(report) => {
                entry.failed(&report).await.map_err(ended)?;
                return Err(ended(report));
            }
        };
        let access = Access {
            asked_as: opening.named.as_ref().map(|named| named.key.request.clone()),
            opening: Opening { named: None, ..opening },
            requests,
            issuer_key: asker.issuer_key,
            permitted,
            obligations,
            data: held.versions(),
        };
        // 7 to 9 engine: enforce, execute, release
        let (desk, asked) = (Arc::clone(self), Arc::clone(&query));
        let work = async move { desk.run(&asked, grant, &held, now).await }.in_current_span();
        // Once the node stops, what runs ends here and is recorded.
        let ran = self.stopping.run_until_cancelled(engine::workers::run(work)).await;
        let ran = ran.unwrap_or_else(|| Some(Err(Unanswered::Late(stopping()))));
        let released = match ran.unwrap_or_else(|| Err(Unanswered::Late(unfinished()))) {
            Ok(Leaving::Whole(released)) => released,
            // 10 ledger: that rows begin to leave is durable before the first byte; how it ended, before the receipt
            Ok(Leaving::Rows(rows)) => return self.begin(entry, rows, access, terms, arrived).await,
            Err(Unanswered::Early(report)) => {
                entry.failed(&report).await.map_err(ended)?;
                return Err(ended(report));
            }
            Err(Unanswered::Late(report)) => {
                entry.failed(&report).await.map_err(ended)?;
                next_step(arrived).await;
                return Err(ended(report));
            }
        };
        // 10 ledger: durable before the first byte; no record, no answer
        let (schema, batches) = (Arc::clone(released.schema()), released.batches().to_vec());
        let bytes = released.bytes();
        let kept = asker.named.as_ref().and_then(|_| again::pack(&schema, &batches, bytes));
        let release = Release {
            receipt: self.receipt(&access, &released, now),
            bytes,
            terms,
            values: released.new_values().to_vec(),
            answer: kept,
        };
        let recorded = entry.released(release).instrument(info_span!("record")).await;
        let (audit_index, receipt) = recorded.map_err(ended)?;
        let (rows, blanked_values) = (released.rows(), released.blanked_values());
        self.metrics.released(rows, bytes, blanked_values);
        tracing::Span::current().record("bytes", bytes);
        info!(decision = "allow", rows, bytes, blanked_values, %audit_index, "released");
        Ok(Answered::Whole(Box::new(Answer {
            schema,
            batches,
            receipt,
            access,
        })))
    }

    /// Records that rows begin to leave.
    async fn begin(
        &self,
        entry: Entry<Decided>,
        rows: RowStream,
        access: Access,
        terms: Digest,
        arrived: Instant,
    ) -> Result<Answered, Ended> {
        let ended = |report: Report| Ended {
            report,
            query_id: Some(access.opening.query_id.clone()),
        };
        let Ok(place) = Arc::clone(&self.streaming).try_acquire_owned() else {
            let report = too_many_streams(self.limits.row_streams_at_once);
            entry.failed(&report).await.map_err(ended)?;
            return Err(ended(report));
        };
        let begun = entry
            .begun(&self.ledger, Vec::new())
            .instrument(info_span!("record"))
            .await;
        let entry = begun.map_err(ended)?;
        info!(decision = "allow", "begun");
        Ok(Answered::Rows(Box::new(RowAnswer {
            rows,
            entry,
            access,
            terms,
            arrived,
            place,
        })))
    }

    /// What the node signs about a release. The ledger sets its index.
    fn receipt(&self, access: &Access, released: &Released, at: UtcTime) -> Receipt {
        Receipt {
            min_people: released.min_people().map(policy::MinPeople::get),
            blanked_values: released.blanked_values(),
            kept_values: released.kept_values(),
            round_to: released.round_to(),
            ..self.receipt_for_rows(access, released.rows(), released.digest(), at)
        }
    }

    /// The same for rows, of which nothing is withheld, kept or rounded.
    pub(crate) fn receipt_for_rows(&self, access: &Access, rows: u64, result: Digest, at: UtcTime) -> Receipt {
        let Access { opening, permitted, .. } = access;
        let permitted = permitted.clone();
        Receipt {
            query_id: opening.query_id.clone(),
            request: access.asked_as.clone(),
            space: self.space.clone(),
            node: self.member.clone(),
            query: opening.query,
            policy: permitted.policy,
            policy_version: permitted.version,
            policy_digest: permitted.policy_digest,
            rule: permitted.rule,
            joined: permitted.joined,
            data: access.data.clone(),
            permit: permitted.permit,
            duties: permitted.duties,
            min_people: None,
            rows,
            blanked_values: 0,
            kept_values: 0,
            round_to: None,
            result,
            audit_index: 0,
            at,
        }
    }

    /// The columns that an answer would have, decided like the answer itself. Nothing is read, and nothing charged.
    pub(crate) async fn describe(&self, arrival: Arrival<'_>, sql: &str) -> Result<SchemaRef, Ended> {
        self.require_open()?;
        let (current, now) = (self.governance.current()?, self.clock.now());
        let asker = self.asker(arrival, sql, &current, now)?;
        let asked = |collection: &CollectionId| self.ledger.asked(asker.asking(collection), now);
        let decided = match self.require_may_ask(&current, &asker.caller, now) {
            Ok(()) => self.decide_only(&current, &asker, sql, now, asked).await,
            Err(report) => Err(report.into()),
        };
        match decided {
            Ok((query, _, grant)) => Ok(engine::enforce::granted_schema(&query, &grant)?),
            Err(refused) => Err(self.refuse(&asker, sql, refused).await),
        }
    }

    /// Reads a query and decides it, without running or charging it.
    pub(crate) async fn decide_only(
        &self,
        current: &Current,
        asker: &Asker,
        sql: &str,
        now: UtcTime,
        asked: impl Fn(&CollectionId) -> Asked,
    ) -> Result<(Arc<Query>, Requests, Grant), Refused> {
        let query = self.read(sql, current, &asker.visible(current, now)).await?;
        let mut requests = asker.requests(&query, now, &asked);
        requests.asked.asked = asked(query.collection());
        let grant = decide(current, &requests, requests.asked.asked)?;
        Ok((query, requests, grant))
    }

    /// Records a refusal beside the answering of a request.
    pub(crate) async fn refuse(&self, asker: &Asker, sql: &str, why: Refused) -> Ended {
        let opened = trust::new_query_id().and_then(|query_id| {
            self.ledger.open_entry(Opening {
                named: None,
                ..asker.opening(&query_id, sql)
            })
        });
        match opened {
            Ok(entry) => refused(entry, why).await,
            Err(report) => report.into(),
        }
    }

    /// A slot to run in.
    pub(crate) async fn slot(&self) -> Result<SemaphorePermit<'_>, Report> {
        let _waiting = self.metrics.waits();
        self.running.acquire().await.map_err(|_| stopping())
    }

    /// Nothing new is taken up once the node is told to stop.
    pub(crate) fn require_open(&self) -> Result<(), Report> {
        if self.draining.is_cancelled() {
            return Err(stopping());
        }
        Ok(())
    }

    /// Why the node answers nothing, if it does not.
    pub(crate) fn unready(&self) -> Option<Report> {
        let current = self.require_open().and_then(|()| self.governance.current().map(drop));
        current.and_then(|()| self.ledger.require_recording()).err()
    }

    /// Reads SQL, a few texts at a time, and each once under the same documents.
    async fn read(&self, sql: &str, current: &Current, visible: &Collections) -> Result<Arc<Query>, Report> {
        if let Some(query) = current.read.query(sql, visible) {
            return Ok(query);
        }
        let slot = self.reading.acquire().await;
        let _slot = slot.map_err(|_| stopping())?;
        let query = Arc::new(engine::read::read(sql, visible).await?);
        current.read.remember_query(sql, visible, &query);
        Ok(query)
    }

    /// Checks a credential, and its signature once under the same documents.
    fn credential(&self, text: &str, current: &Current, now: UtcTime) -> Result<Arc<Verified<Credential>>, Report> {
        // Whether it is valid now, `Proof::verify` checks.
        if let Some(credential) = current.read.credential(text) {
            return Ok(credential);
        }
        let issuer_key = |member: &MemberId| current.rules.members.get(member).map(|member| member.key);
        let credential = Arc::new(Credential::verify(text, &self.space, issuer_key, now)?);
        current.read.remember_credential(text, &credential);
        Ok(credential)
    }

    pub(crate) fn asker(
        &self,
        arrival: Arrival<'_>,
        sql: &str,
        current: &Current,
        now: UtcTime,
    ) -> Result<Asker, Report> {
        let credential = self.credential(arrival.tokens.credential, current, now)?;
        let request: Option<RequestId> = arrival.tokens.request.map(str::parse).transpose()?;
        let received = Received {
            node: self.member.as_str(),
            query: Digest::of(sql.as_bytes()),
            request: request.as_ref(),
            channel: arrival.channel,
        };
        let proof = Proof::verify(arrival.tokens.proof, &credential, received, now)?;
        self.replay.first_use(&proof, now)?;
        let issuer_key = current.rules.members.get(&credential.member).map(|member| member.key);
        let issuer_key = issuer_key.ok_or_else(|| Problem::Internal.report("the issuer left the roster"))?;
        // As the credential says them: which count, `policy` decides together with the roster.
        let caller = Caller {
            member: credential.member.clone(),
            person: credential.person.clone(),
            roles: credential.roles.clone(),
        };
        let named = proof.request.clone().map(|request| Named {
            key: RequestKey {
                member: caller.member.clone(),
                person: caller.person.clone(),
                request,
            },
            asked: asked_digest(received.query, &proof),
        });
        Ok(Asker {
            caller,
            issuer_key,
            named,
            purpose: proof.purpose,
            permit: proof.permit.clone(),
        })
    }

    /// Refuses whoever a board member has stopped, before their query is looked at; and everybody, if this node's own
    /// institution is stopped or has left the data space.
    pub(crate) fn require_admitted(&self, current: &Current, caller: &Caller) -> Result<(), Report> {
        let rules = &current.rules;
        if rules.stops.names(caller) {
            return Err(Problem::Stopped.report(rules.stops.words(caller)));
        }
        if rules.stops.members.contains(&self.member) {
            let message = format!(
                "a member of the board has stopped {}, which runs this node",
                self.member
            );
            return Err(Problem::Stopped.report(message));
        }
        if rules.members.contains_key(&self.member) {
            return Ok(());
        }
        let message = format!(
            "{}, which runs this node, is not a member of {} any more",
            self.member, self.space
        );
        Err(Problem::NoPermission.report(message).remedy("ask the other nodes"))
    }

    /// Refuses whoever may not ask anything at the moment, before their query is looked at.
    pub(crate) fn require_may_ask(&self, current: &Current, caller: &Caller, now: UtcTime) -> Result<(), Report> {
        self.require_admitted(current, caller)?;
        self.ledger.require_not_locked_out(caller, now)
    }

    /// All of it on threads that serve no network.
    async fn run(&self, query: &Query, grant: Grant, data: &Held, now: UtcTime) -> Result<Leaving, Unanswered> {
        let (people, people_joined) = people_of(&self.registers, &grant, now)?;
        let held = |dataset, people| Holding {
            dataset,
            people,
            joined: &[],
            node: self.member.as_str(),
            secret: self.datasets.secret(),
        };
        let joined: Vec<Holding<'_>> = data
            .joined
            .iter()
            .zip(&people_joined)
            .map(|(data, people)| held(data, people))
            .collect();
        let holding = Holding {
            joined: &joined,
            ..held(&data.asked, &people)
        };
        let plan = info_span!("enforce").in_scope(|| engine::enforce(query, grant, holding));
        let plan = plan.map_err(Unanswered::of_plan)?;
        let executed = engine::execute(plan).instrument(info_span!("execute")).await;
        let executed = executed.map_err(Unanswered::of_run)?;
        let releasing = engine::release(executed, self.member.as_str(), self.ledger.kept_values());
        let leaving = releasing.instrument(info_span!("release")).await;
        leaving.map_err(Unanswered::of_run)
    }

    /// The dataset asked, and each that is joined. All of them are real, or all made up.
    pub(crate) fn datasets_of(&self, grant: &Grant) -> Result<Held, Report> {
        let joined = grant.joined().iter().map(|joined| self.dataset(joined.collection()));
        let held = Held {
            asked: self.dataset(grant.collection())?,
            joined: joined.collect::<Result<_, Report>>()?,
        };
        match held
            .joined
            .iter()
            .find(|one| one.is_synthetic() != held.asked.is_synthetic())
        {
            None => Ok(held),
            Some(other) => {
                let (one, other) = (held.asked.collection(), other.collection());
                let message = format!(
                    "of {one} and {other} one is made up at {} and the other is not",
                    self.member
                );
                Err(Problem::Mixed.report(message))
            }
        }
    }

    fn dataset(&self, collection: &Collection) -> Result<Arc<Dataset>, Report> {
        let found = self.datasets.find(&collection.id);
        let none = || Problem::NoNode.report(format!("{} has no dataset of {}", self.member, collection.id));
        let dataset = found.ok_or_else(none)?;
        if dataset.conforms_to(collection) {
            return Ok(dataset);
        }
        let message = format!(
            "the dataset of {} was checked against an older collection",
            collection.id
        );
        let remedy = "ask the node's operator to add the data file again";
        Err(Problem::DataSchema.report(message).remedy(remedy))
    }
}

impl From<Report> for Unanswered {
    fn from(report: Report) -> Self {
        Unanswered::Early(report)
    }
}

impl Unanswered {
    /// What a query may not be explains itself. A plan that cannot be made does not: it has people's keys in it.
    fn of_plan(report: Report) -> Self {
        if report.problem != Problem::Internal {
            return Unanswered::Early(report);
        }
        error!(reason = report.message, "no plan");
        Unanswered::Late(unfinished())
    }

    fn of_run(failure: ExecuteError) -> Self {
        Unanswered::Late(told_of(&failure))
    }
}

/// What is told of a failure once rows could be read. A check on what may leave explains itself. Whatever else went wrong is one
/// thing to whoever asked: the engine's words can quote data, and already which limit was reached says something of it.
pub(crate) fn told_of(failure: &ExecuteError) -> Report {
    let report = failure.report();
    let explains_itself = matches!(report.problem.exit_code(), ExitCode::Refused | ExitCode::Usage);
    // Whoever is told that there are more rows than that has all of those.
    if explains_itself || matches!(failure, ExecuteError::Rows { .. }) {
        return report;
    }
    error!(reason = %failure, "query failed");
    unfinished()
}

impl Asker {
    /// The collections that the caller may query at all. Others do not exist for them: a refusal must not tell
    /// what is there.
    pub(crate) fn visible(&self, current: &Current, now: UtcTime) -> Collections {
        let queryable = policy::queryable(&current.rules, &self.caller, now);
        queryable
            .into_iter()
            .map(|open| (open.collection.id.clone(), open.collection))
            .collect()
    }

    /// The quotas that a query about this collection counts against.
    pub(crate) fn asking<'a>(&'a self, collection: &'a CollectionId) -> Asking<'a> {
        Asking {
            caller: &self.caller,
            collection,
            permit: self.permit.as_ref(),
        }
    }

    pub(crate) fn opening(&self, query_id: &QueryId, sql: &str) -> Opening {
        Opening {
            query_id: query_id.clone(),
            caller: Some(self.caller.clone()),
            query: Digest::of(sql.as_bytes()),
            sql: sql.to_owned(),
            purpose: self.purpose,
            permit: self.permit.clone(),
            named: self.named.clone(),
        }
    }

    /// The facts of a query. `asked` says how often was asked about a collection that is joined: that is not charged, and whoever may
    /// not ask about it any more may not join it either.
    fn requests(&self, query: &Query, at: UtcTime, asked: impl Fn(&CollectionId) -> Asked) -> Requests {
        let request = |collection: &CollectionId, columns, asked| AccessRequest {
            caller: self.caller.clone(),
            purpose: self.purpose,
            permit: self.permit.clone(),
            collection: collection.clone(),
            release: query.release(),
            columns,
            asked,
            at,
        };
        let joined = query.joins().iter().map(|join| {
            let asked = asked(&join.collection);
            request(&join.collection, query.joined_columns(join), asked)
        });
        Requests {
            asked: request(query.collection(), query.columns(), Asked::default()),
            joined: joined.collect(),
        }
    }
}

/// Whose rows exist, of the collection asked and of each that is joined.
pub(crate) fn people_of(registers: &Registers, grant: &Grant, now: UtcTime) -> Result<(People, Vec<People>), Report> {
    let joined = grant.joined().iter().map(|joined| registers.people(joined, now));
    Ok((registers.people(grant, now)?, joined.collect::<Result<_, Report>>()?))
}

impl From<Report> for Refused {
    fn from(report: Report) -> Self {
        let decided_by = None;
        Self { report, decided_by }
    }
}

impl From<policy::Refusal> for Refused {
    fn from(refusal: policy::Refusal) -> Self {
        let policy = refusal.policy.clone();
        Self {
            decided_by: policy.map(|(policy, version)| (policy, version, refusal.rule.clone())),
            report: refusal.into(),
        }
    }
}

pub(crate) fn decide(current: &Current, requests: &Requests, asked: Asked) -> Result<Grant, Refused> {
    let request = AccessRequest {
        asked,
        ..requests.asked.clone()
    };
    match policy::decide_joined(&current.rules, &request, &requests.joined) {
        Decision::Allow(grant) => Ok(grant),
        Decision::Refuse(refusal) => Err(refusal.into()),
    }
}

/// Ends an entry with a refusal. What is told is the refusal, or that it could not be recorded.
pub(crate) async fn refused(entry: Entry<Opened>, why: Refused) -> Ended {
    let query_id = entry.query_id().cloned();
    let Refused { report, decided_by } = why;
    let recorded = entry.refused(&report, decided_by).await;
    info!(decision = "refuse", problem = %report.problem, "decided");
    Ended {
        report: recorded.err().unwrap_or(report),
        query_id,
    }
}

/// What is asked under a name: only the same can be told again.
fn asked_digest(query: Digest, proof: &ProofSeen) -> Digest {
    let purpose = proof.purpose.map(|purpose| purpose.to_string()).unwrap_or_default();
    let permit = proof.permit.as_ref().map(PermitId::as_str).unwrap_or_default();
    Digest::of(format!("{query}\0{purpose}\0{permit}").as_bytes())
}

/// Duties are told in the receipt, which travels as a header. What cannot be told is not allowed.
pub(crate) fn require_tellable(permitted: &Permitted) -> Result<(), Report> {
    let bytes: usize = permitted.duties.iter().map(String::len).sum();
    if bytes <= DUTIES_BYTES_MAX {
        return Ok(());
    }
    let Permitted { policy, version, .. } = permitted;
    let message =
        format!("the duties of {policy} version {version} have {bytes} bytes, and a receipt tells {DUTIES_BYTES_MAX}");
    let remedy = "ask the board to shorten the duties of the policy";
    Err(Problem::PolicyInvalid.report(message).remedy(remedy))
}

/// What is told of every failure of an allowed query.
pub(crate) fn unfinished() -> Report {
    Problem::Execution.report("the node could not finish the query")
}

/// Waits for the next step of the grid that began when the request came.
pub(crate) async fn next_step(arrived: Instant) {
    let step = Duration::from_millis(limit::ERROR_GRID_MILLISECONDS);
    let steps = arrived.elapsed().as_millis() / step.as_millis() + 1;
    let steps = u32::try_from(steps).unwrap_or(u32::MAX);
    tokio::time::sleep_until(arrived + step * steps).await;
}

fn too_many_streams(most: u32) -> Report {
    Problem::Resources
        .report(format!("{most} long answers are on their way from this node"))
        .remedy("ask again when others have been read, or for fewer rows")
}

pub(crate) fn stopping() -> Report {
    let report = Problem::Unreachable.report("the node is stopping and takes nothing new");
    report.remedy("ask again in a minute; if it stays so, ask the node's operator")
}

mod foresee;
#[cfg(test)]
mod tests;
