//! The story of one fit, top to bottom: as `query.rs`, with steps in the place of one answer.
//!
//! Who may fit what is decided and charged once, and recorded, durable, before the first sum leaves. Of each step the node sends what its
//! rows add, plain or masked, under its signature; where the next step is taken follows from the sums of what every node that takes part has
//! signed, never from what whoever asks says. How the fit ended, and over how many steps, is a second record, and the receipt is signed after
//! it. Next: `fit/exchange.rs`, what is said in each round.

mod exchange;

use std::sync::Arc;
use std::time::Duration;

use engine::read::Collections;
use engine::{After, Fit, FitError, FitQuery, Holding};
use futures::{Stream, StreamExt, stream};
use policy::{AccessRequest, Asked, Grant, Release as PolicyRelease};
use terms::{MemberId, Problem, Report, UtcTime, limit};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::{error, info, instrument};
use trust::{Digest, Hasher, PartOf, PublicKey};
use wire::PeerInfo;
use wire::status::{Ended, to_status};
use wire::v1::fit_reply::What as Reply;
use wire::v1::fit_request::What as Asking;
use wire::v1::fit_service_server::FitService;
use wire::v1::{FitBegun, FitPart, FitReply, FitRequest, FitStep};

use self::exchange::{Heard, Hearing, Planned, Ready};
use crate::delivery::{Access, Obligations, revoked};
use crate::governance::Current;
use crate::ledger::{Begun, Charge, Decided, Entry, Opening, Permitted, Release};
use crate::query::{Arrival, Asker, Desk, Held, Refused, Requests, decide, next_step, people_of, refused, told_of};
use crate::query::{require_tellable, stopping, unfinished};

/// The face of a node for fits.
#[derive(Clone, Debug)]
pub(crate) struct Fits(pub(crate) Arc<Desk>);

type Replies = std::pin::Pin<Box<dyn Stream<Item = Result<FitReply, Status>> + Send>>;

#[tonic::async_trait]
impl FitService for Fits {
    type FitStream = Replies;

    async fn fit(&self, request: Request<Streaming<FitRequest>>) -> Result<Response<Replies>, Status> {
        let status = |ended: Ended| to_status(&ended);
        let (metadata, extensions, mut steps) = request.into_parts();
        let tokens = wire::header::read(&metadata).map_err(|report| status(report.into()))?;
        let peer = extensions.get::<PeerInfo>();
        let peer = peer.ok_or_else(|| Problem::ProofMismatch.report("the request did not come over TLS"));
        let peer = peer.map_err(|report| status(report.into()))?;
        let Some(Asking::Opening(opening)) = next(&mut steps).await.map_err(|report| status(report.into()))? else {
            return Err(status(misplaced().into()));
        };
        let arrival = Arrival {
            tokens,
            channel: &peer.channel,
        };
        let fitting = Box::pin(self.0.fit(arrival, &opening.text)).await.map_err(status)?;
        let replies = stream::unfold(Some((fitting, steps)), |state| async move {
            let (mut fitting, mut steps) = state?;
            match fitting.reply(&mut steps).await {
                Ok(reply @ Reply::Receipt(_)) => Some((Ok(reply), None)),
                Ok(reply) => Some((Ok(reply), Some((fitting, steps)))),
                Err(ended) => Some((Err(to_status(&ended)), None)),
            }
        });
        let replies = replies.map(|reply| Ok(FitReply { what: Some(reply?) }));
        Ok(Response::new(replies.boxed()))
    }
}

/// A fit that has begun.
struct Fitting {
    desk: Arc<Desk>,
    fit: Fit,
    record: Record,
    access: Access,
    terms: Digest,
    statement: Digest,
    /// Those who take part and have not fallen silent, in the order of the statement.
    nodes: Vec<(MemberId, PublicKey)>,
    planned: Planned,
    steps_max: u32,
    /// The step that is on its way, what this node said last, and how many bytes before anything could be known from it.
    step: u32,
    said: Vec<u8>,
    early_bytes: u64,
    next: NextReply,
    /// Over all that this node said.
    result: Hasher,
    arrived: Instant,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

/// How far the ledger is told.
enum Record {
    /// That it was allowed. Nothing has left.
    Decided(Entry<Decided>),
    /// That sums begin to leave.
    Begun(Entry<Begun>),
    /// How it ended.
    Ended,
}

/// What the node says next.
enum NextReply {
    Begun,
    /// Its first part, once it hears that all have begun.
    FirstPart,
    /// What follows from what all said in this round.
    AfterRound(Hearing),
    /// Nothing.
    End,
}

impl Desk {
    /// Takes up a fit. Each step moves it forward or ends it with a reason in the ledger.
    #[instrument(name = "fit", skip_all, fields(member = %self.member, query_id))]
    async fn fit(self: &Arc<Self>, arrival: Arrival<'_>, text: &str) -> Result<Fitting, Ended> {
        let arrived = Instant::now();
        self.require_open()?;
        // 1 caller
        let asker = self.asker(arrival, text, &*self.governance.current()?, self.clock.now())?;
        let _slot = self.slot().await?;
        let (current, now) = (self.governance.current()?, self.clock.now());
        // 2 ledger
        let query_id = trust::new_query_id()?;
        tracing::Span::current().record("query_id", query_id.as_str());
        let ended = |report: Report| Ended {
            report,
            query_id: Some(query_id.clone()),
        };
        let opening = Opening {
            named: None,
            ..asker.opening(&query_id, text)
        };
        let entry = self.ledger.open_entry(opening.clone()).map_err(ended)?;
        if let Err(report) = self.require_may_ask(&current, &asker.caller, now) {
            return Err(refused(entry, report.into()).await);
        }
        // 3 engine: parse
        let read = self.read_fit(text, &asker.visible(&current, now)).await;
        let statement = Digest::of(text.as_bytes());
        let read = read.and_then(|query| {
            let nodes = self.participants(&query, &current)?;
            Ok((Planned::of(&query, &nodes, statement)?, nodes, query))
        });
        let (planned, nodes, query) = match read {
            Ok(read) => read,
            Err(report) => return Err(refused(entry, report.into()).await),
        };
        let entry = entry.about(query.collection());
        // 4 facts and 5 policy
        let requests = asker.requests_of_fit(&query, now);
        let decided = self.ledger.charge(asker.asking(query.collection()), now, |asked| {
            match decide(&current, &requests, asked).and_then(|grant| admitted(&query, grant)) {
                Ok(grant) => (Ok(grant), Charge::One),
                Err(refused) => (Err(refused), Charge::Free),
            }
        });
        let grant = match decided.unwrap_or_else(|report| Err(report.into())) {
            Ok(grant) => grant,
            Err(why) => return Err(refused(entry, why).await),
        };
        // 6 ledger
        let (permitted, obligations, terms) = (
            Permitted::from(&grant),
            Obligations::of(&grant),
            crate::again::terms_of(&grant),
        );
        let entry = entry.decided(permitted.clone());
        let held = require_tellable(&permitted).and_then(|()| self.datasets_of(&grant));
        let place = Arc::clone(&self.streaming).try_acquire_owned();
        let place =
            place.map_err(|_| Problem::Resources.report("too many fits and long answers are on their way here"));
        let (held, place) = match held.and_then(|held| Ok((held, place?))) {
            Ok(both) => both,
            Err(report) => {
                entry.failed(&report).await.map_err(ended)?;
                return Err(ended(report));
            }
        };
        let access = Access {
            asked_as: None,
            opening,
            requests,
            issuer_key: asker.issuer_key,
            permitted,
            obligations,
            data: held.versions(),
        };
        // 7 to 9 engine: enforce, read, look at whom sums would tell of
        let (desk, asked) = (Arc::clone(self), query.clone());
        let work = async move { desk.begin_fit(&asked, grant, &held, now).await };
        let ran = self.stopping.run_until_cancelled(engine::workers::run(work)).await;
        let fit = match ran
            .unwrap_or_else(|| Some(Err((stopping(), true))))
            .unwrap_or_else(|| Err((unfinished(), true)))
        {
            Ok(fit) => fit,
            Err((report, is_late)) => {
                entry.failed(&report).await.map_err(ended)?;
                if is_late {
                    next_step(arrived).await;
                }
                return Err(ended(report));
            }
        };
        Ok(Fitting {
            desk: Arc::clone(self),
            fit,
            record: Record::Decided(entry),
            access,
            terms,
            statement,
            nodes,
            planned,
            steps_max: query.statement.steps,
            step: 0,
            said: Vec::new(),
            early_bytes: 0,
            next: NextReply::Begun,
            result: Hasher::default(),
            arrived,
            until: arrived + Duration::from_secs(limit::FIT_SECONDS_MAX),
            _place: place,
        })
    }

    /// Reads a statement, a few texts at a time.
    async fn read_fit(&self, text: &str, visible: &Collections) -> Result<FitQuery, Report> {
        let slot = self.reading.acquire().await;
        let _slot = slot.map_err(|_| stopping())?;
        FitQuery::read(text, visible).await
    }

    /// Those who take part, with the keys that the roster names.
    fn participants(&self, query: &FitQuery, current: &Current) -> Result<Vec<(MemberId, PublicKey)>, Report> {
        let refuse = |message: String| Problem::ModelProtocol.report(message);
        let named = |name: &String| {
            let found = name.parse::<MemberId>().ok();
            let found = found.and_then(|member| Some((current.rules.members.get(&member)?.key, member)));
            let (key, member) = found.ok_or_else(|| refuse(format!("{name}, named in the fit, is not a member")))?;
            Ok((member, key))
        };
        let nodes: Vec<_> = query.statement.nodes.iter().map(named).collect::<Result<_, Report>>()?;
        match nodes.iter().any(|(member, _)| *member == self.member) {
            true => Ok(nodes),
            false => Err(refuse(format!("the fit does not name {}", self.member))),
        }
    }

    /// The rows of a fit in memory; or why not, and whether that was known without reading one.
    async fn begin_fit(
        &self,
        query: &FitQuery,
        grant: Grant,
        held: &Held,
        now: UtcTime,
    ) -> Result<Fit, (Report, bool)> {
        let early = |report| (report, false);
        let (people, _) = people_of(&self.registers, &grant, now).map_err(early)?;
        let holding = Holding {
            dataset: &held.asked,
            people: &people,
            joined: &[],
            node: self.member.as_str(),
            secret: self.datasets.secret(),
        };
        let plan = engine::enforce_fit(query, &grant, holding).map_err(|report| match report.problem {
            Problem::Internal => {
                error!(reason = report.message, "no plan");
                (unfinished(), true)
            }
            _ => (report, false),
        })?;
        engine::begin_fit(plan, self.ledger.kept_values())
            .await
            .map_err(|error| match error {
                FitError::Refused(report) => (report, true),
                FitError::Failed(failure) => (told_of(&failure), true),
            })
    }
}

/// The grant, if the fit keeps to what it says without a look at data.
fn admitted(query: &FitQuery, grant: Grant) -> Result<Grant, Refused> {
    match engine::fit::admit_fit(query, &grant) {
        Ok(()) => Ok(grant),
        Err(report) => Err(report.into()),
    }
}

impl Asker {
    fn requests_of_fit(&self, query: &FitQuery, at: UtcTime) -> Requests {
        Requests {
            asked: AccessRequest {
                caller: self.caller.clone(),
                purpose: self.purpose,
                permit: self.permit.clone(),
                collection: query.collection().clone(),
                release: PolicyRelease::Models,
                columns: query.columns(),
                asked: Asked::default(),
                at,
            },
            joined: Vec::new(),
        }
    }
}

impl Fitting {
    /// What the node says next.
    async fn reply(&mut self, steps: &mut Streaming<FitRequest>) -> Result<Reply, Ended> {
        let reply = match std::mem::replace(&mut self.next, NextReply::End) {
            NextReply::Begun => {
                self.next = NextReply::FirstPart;
                let query_id = self.access.opening.query_id.to_string();
                let dropped = self.fit.dropped();
                return Ok(Reply::Begun(FitBegun { query_id, dropped }));
            }
            NextReply::FirstPart => self.begin(steps).await,
            NextReply::AfterRound(hearing) => self.after_round(hearing, steps).await,
            NextReply::End => Err(unfinished()),
        };
        match reply {
            Ok(reply) => Ok(reply),
            Err(report) => Err(self.end(report).await),
        }
    }

    /// All nodes take part.
    async fn begin(&mut self, steps: &mut Streaming<FitRequest>) -> Result<Reply, Report> {
        let Asking::Go(_) = self.heard(steps).await? else {
            return Err(misplaced());
        };
        let heard = self.planned.begin(&self.desk.member, &self.desk.key)?;
        self.go_on(heard).await
    }

    /// 10 ledger: that sums begin to leave, whom they are about and over which nodes they go is durable before anything is said by which
    /// one can be known; how it ended, before the receipt.
    async fn enter(&mut self) -> Result<(), Report> {
        let nodes = self.nodes.iter().map(|(member, _)| member.as_str());
        let values = self.fit.enter(nodes, self.desk.ledger.kept_values())?;
        let Record::Decided(entry) = std::mem::replace(&mut self.record, Record::Ended) else {
            return Err(unfinished());
        };
        let mut entry = entry.begun(&self.desk.ledger, values).await?;
        entry.hand_out(0, self.early_bytes);
        self.record = Record::Begun(entry);
        info!(query_id = %self.access.opening.query_id, decision = "allow", nodes = self.nodes.len(), "begun");
        Ok(())
    }

    /// Takes in what all said in this round.
    async fn after_round(&mut self, hearing: Hearing, steps: &mut Streaming<FitRequest>) -> Result<Reply, Report> {
        let Asking::Step(step) = self.heard(steps).await? else {
            return Err(misplaced());
        };
        self.require_signed(&step, &hearing)?;
        let said: Vec<&[u8]> = step.parts.iter().map(|part| part.content.as_slice()).collect();
        let heard = hearing.hear(&said, self.fit.width())?;
        self.go_on(heard).await
    }

    /// Speaks, or goes to the next step, or ends.
    async fn go_on(&mut self, heard: Heard) -> Result<Reply, Report> {
        self.require_access()?;
        let (ready, total) = match heard {
            Heard::Say(hearing, content) => return self.say(hearing, content).await,
            Heard::First(ready) => return self.add(ready).await,
            Heard::Sum(ready, total) => (ready, total),
        };
        match self.fit.advance(total).await? {
            After::Step if self.step + 1 < self.steps_max => {
                self.step += 1;
                self.add(ready).await
            }
            After::Step => {
                let message = format!("the model has not come to its solution in {} steps", self.steps_max);
                Err(Problem::ModelSteps.report(message))
            }
            After::End => self.finish().await,
        }
    }

    /// What the node's rows add to this step.
    async fn add(&mut self, ready: Ready) -> Result<Reply, Report> {
        let sums = self.fit.sums().await.map_err(|failure| told_of(&failure))?;
        let (hearing, content) = ready.add(&sums)?;
        self.require_access()?;
        self.say(hearing, content).await
    }

    /// Says its part of a round, signed.
    async fn say(&mut self, hearing: Hearing, content: Vec<u8>) -> Result<Reply, Report> {
        if hearing.binds() && matches!(self.record, Record::Decided(_)) {
            self.enter().await?;
        }
        let part = PartOf {
            statement: self.statement,
            step: self.step,
            kind: hearing.kind(),
            member: &self.desk.member,
        };
        let signature = part.sign(&content, &self.desk.key).to_vec();
        match &mut self.record {
            Record::Decided(_) => self.early_bytes += content.len() as u64,
            Record::Begun(entry) => entry.hand_out(u64::from(hearing.is_of_sums()), content.len() as u64),
            Record::Ended => return Err(unfinished()),
        }
        self.result.update(&content);
        self.said.clone_from(&content);
        self.next = NextReply::AfterRound(hearing);
        Ok(Reply::Part(FitPart {
            node: self.desk.member.to_string(),
            content,
            signature,
        }))
    }

    /// What whoever asks says next, within the time that there is for it. Whoever has left has abandoned the fit, however their leaving
    /// reached the node.
    async fn heard(&mut self, steps: &mut Streaming<FitRequest>) -> Result<Asking, Report> {
        let seconds = Duration::from_secs(self.desk.limits.fit_step_seconds.into());
        let left = self.until.saturating_duration_since(Instant::now()).min(seconds);
        let coming = timeout(left, next(steps));
        let coming = self
            .desk
            .stopping
            .run_until_cancelled(coming)
            .await
            .ok_or_else(stopping)?;
        let late = || Problem::ModelProtocol.report("the next message of the fit did not come in time");
        let said = coming.map_err(|_| late())??;
        said.ok_or_else(|| {
            self.record = Record::Ended;
            Problem::ModelProtocol.report("whoever asked has left the fit")
        })
    }

    /// That these are the parts of all nodes, in the order of the statement, each under the node's signature; or of those who go on, where
    /// some may fall silent.
    fn require_signed(&mut self, step: &FitStep, hearing: &Hearing) -> Result<(), Report> {
        let (at, kind) = (self.step, hearing.kind());
        let odd = |what: &str| Problem::ModelProtocol.report(format!("the parts of step {at} are {what}"));
        let spoke = |(member, _): &&(MemberId, PublicKey)| step.parts.iter().any(|part| part.node == member.as_str());
        let nodes: Vec<_> = match hearing.may_lack() {
            true => self.nodes.iter().filter(spoke).cloned().collect(),
            false => self.nodes.clone(),
        };
        if step.step != at || step.parts.len() != nodes.len() {
            return Err(odd("not those of all nodes"));
        }
        for (part, (member, key)) in step.parts.iter().zip(&nodes) {
            let of = PartOf {
                statement: self.statement,
                step: at,
                kind,
                member,
            };
            let is_own = *member == self.desk.member;
            let holds = match is_own {
                true => part.content == self.said,
                false => of.verify(&part.content, &part.signature, key).is_ok(),
            };
            if part.node != member.as_str() || !holds {
                return Err(odd(&format!("not those that {member} signed")));
            }
        }
        self.nodes = nodes;
        Ok(())
    }

    /// All steps are taken: recorded, then signed.
    async fn finish(&mut self) -> Result<Reply, Report> {
        let Record::Begun(entry) = std::mem::replace(&mut self.record, Record::Ended) else {
            return Err(unfinished());
        };
        let (steps, bytes) = entry.handed_out();
        let result = std::mem::take(&mut self.result).finish();
        let receipt = trust::Receipt {
            min_people: self.fit.min_people().map(policy::MinPeople::get),
            ..self
                .desk
                .receipt_for_rows(&self.access, steps, result, self.desk.clock.now())
        };
        let release = Release {
            receipt,
            bytes,
            terms: self.terms,
            values: Vec::new(),
            answer: None,
        };
        let (audit_index, receipt) = entry.released(release).await?;
        self.desk.metrics.released(steps, bytes, 0);
        info!(query_id = %self.access.opening.query_id, steps, bytes, %audit_index, "fitted");
        let receipt = serde_json::to_vec(&receipt);
        let receipt = receipt.map_err(|_| Problem::Internal.report("the receipt cannot be encoded"))?;
        Ok(Reply::Receipt(receipt))
    }

    fn require_access(&self) -> Result<(), Report> {
        self.desk.still_allows(&self.access).map_err(|why| revoked(&why))
    }

    /// Nothing more goes out. That is recorded before it is told.
    async fn end(&mut self, why: Report) -> Ended {
        let query_id = Some(self.access.opening.query_id.clone());
        let recorded = match std::mem::replace(&mut self.record, Record::Ended) {
            Record::Ended => Ok(()),
            Record::Decided(entry) => entry.failed(&why).await.map(drop),
            Record::Begun(entry) => {
                let (steps, _) = entry.handed_out();
                let report = why.problem.report(format!("after {steps} steps, {}", why.message));
                match why.problem {
                    Problem::Revoked => entry.revoked(&report).await.map(drop),
                    _ => entry.failed(&report).await.map(drop),
                }
            }
        };
        if let Err(failed) = recorded {
            error!(message = failed.message, "the end of a fit is not recorded");
        }
        if why.problem == Problem::Execution {
            next_step(self.arrived).await;
        }
        Ended { report: why, query_id }
    }
}

/// The next message, if whoever asks is still there.
async fn next(steps: &mut Streaming<FitRequest>) -> Result<Option<Asking>, Report> {
    match steps.message().await {
        Ok(Some(FitRequest { what: Some(what) })) => Ok(Some(what)),
        Ok(Some(FitRequest { what: None })) => Err(misplaced()),
        Ok(None) => Ok(None),
        Err(status) if matches!(status.code(), Code::Cancelled | Code::Unavailable | Code::Unknown) => Ok(None),
        Err(_) => Err(Problem::ModelProtocol.report("a message of the fit cannot be read")),
    }
}

fn misplaced() -> Report {
    Problem::ModelProtocol.report("a message of the fit is not at its place")
}
