//! One query in the ledger, from the moment it is asked: a type that cannot be forgotten.
//!
//! `Entry<Opened>` → refused, or only foreseen, or `Entry<Decided>` → failed or released, or begun: a long answer, whose `Entry<Begun>` → released,
//! failed or revoked is a second one in the log. After a release at once there is possibly one more entry, that it was revoked.
//! Each end is durable before it returns. An entry
//! that is dropped before its end is recorded as abandoned. It must never hold a value from a dataset.
//! Next: `writer.rs`, where entries go.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use terms::{Clock, CollectionId, ExitCode, PermitId, PolicyId, QueryId, Report, RuleId, UtcTime};
use tokio::sync::{mpsc, oneshot};
use trust::{Digest, Envelope, JoinedPolicy, Receipt};

use crate::ledger::lockout::Refusals;
use crate::ledger::outcome::Named;
use crate::ledger::record::{AuditEntry, AuditPolicy, Outcome};
use crate::ledger::writer::{End, Job, Recorded, unavailable};
use crate::ledger::{AuditIndex, Ledger, Opening, Shared, cut};

/// Longest sentence that is recorded, in bytes: several times the longest refusal, which lists what is allowed.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// A query that was asked and is not decided.
#[derive(Debug)]
pub enum Opened {}

/// A query that a policy allowed.
#[derive(Debug)]
pub enum Decided {}

/// A query that a policy allowed and whose rows leave while others are read.
#[derive(Debug)]
pub enum Begun {}

/// What allows a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permitted {
    /// The policy,
    pub policy: PolicyId,
    /// its version,
    pub version: u64,
    /// the digest of its text,
    pub policy_digest: Digest,
    /// and the permission in it.
    pub rule: RuleId,
    /// The same of each collection that is joined.
    pub joined: Vec<JoinedPolicy>,
    /// The data permit that covers the query, if it names one.
    pub permit: Option<PermitId>,
    /// What the asker is told to do or leave with the answer.
    pub duties: Vec<String>,
}

impl From<&policy::Grant> for Permitted {
    fn from(grant: &policy::Grant) -> Self {
        Self {
            policy: grant.policy().clone(),
            version: grant.version(),
            policy_digest: grant.policy_digest(),
            rule: grant.rule().clone(),
            joined: grant.joined().iter().map(joined_policy).collect(),
            permit: grant.permit().map(|permit| permit.id.clone()),
            duties: grant.duties().map(ToString::to_string).collect(),
        }
    }
}

fn joined_policy(grant: &policy::Grant) -> JoinedPolicy {
    JoinedPolicy {
        collection: grant.collection().id.clone(),
        policy: grant.policy().clone(),
        version: grant.version(),
        digest: grant.policy_digest(),
        rule: grant.rule().clone(),
    }
}

/// What leaves with a released query.
#[derive(Debug)]
pub struct Release {
    /// What the node will sign. Its index in the audit is set when it has one.
    pub receipt: Receipt,
    /// Bytes of the values.
    pub bytes: u64,
    /// Digest over what allowed it and under which obligations.
    pub terms: Digest,
    /// The values that leave for the first time.
    pub values: Vec<engine::KeptValue>,
    /// The answer as an Arrow stream, if it is to be told again to whoever asks again under the same name.
    pub answer: Option<Vec<u8>>,
}

/// A query that has not ended yet.
#[must_use = "an entry that is dropped is recorded as abandoned"]
pub struct Entry<State> {
    /// Taken when the query ends.
    open: Option<Open>,
    state: PhantomData<State>,
}

struct Open {
    entry: AuditEntry,
    named: Option<Named>,
    asked: UtcTime,
    clock: Arc<dyn Clock>,
    refusals: Arc<Refusals>,
    /// A place in the writer's queue, held from the start: recording an end never waits for room, not even in a drop.
    place: mpsc::OwnedPermit<Job>,
}

impl<State> Entry<State> {
    /// The query that this is about.
    pub fn query_id(&self) -> Option<&QueryId> {
        self.open.as_ref().map(|open| &open.entry.query_id)
    }

    async fn finish(mut self, end: End, describe: impl FnOnce(&mut AuditEntry)) -> Result<Recorded, Report> {
        let Some(mut open) = self.open.take() else {
            return Err(unavailable());
        };
        describe(&mut open.entry);
        let (done, mut recorded) = oneshot::channel();
        let writer = open.send(end, Some(done));
        tokio::select! {
            biased;
            answer = &mut recorded => answer.unwrap_or_else(|_| Err(unavailable())),
            // The writer is gone without an answer.
            () = writer.closed() => Err(unavailable()),
        }
    }
}

impl Entry<Opened> {
    pub(super) fn new(opening: Opening, shared: &Shared, place: mpsc::OwnedPermit<Job>) -> Self {
        let (clock, refusals) = (Arc::clone(&shared.clock), Arc::clone(&shared.refusals));
        let (asked, named) = (clock.now(), opening.named);
        let entry = AuditEntry {
            index: 0, // the writer sets it
            at: asked,
            query_id: opening.query_id,
            caller: opening.caller.map(Into::into),
            purpose: opening.purpose,
            permit: opening.permit,
            sql: cut(opening.sql, terms::limit::SQL_BYTES_MAX),
            query: opening.query,
            outcome: Outcome::Abandoned,
            ends_begun: false,
            collection: None,
            policy: None,
            joined: Vec::new(),
            duties: Vec::new(),
            problem: None,
            message: None,
            rows: 0,
            bytes: 0,
            blanked_values: 0,
            result: None,
            took_ms: 0,
        };
        Self {
            open: Some(Open {
                entry,
                named,
                asked,
                clock,
                refusals,
                place,
            }),
            state: PhantomData,
        }
    }

    /// The query was read: it is about this collection.
    pub fn about(mut self, collection: &CollectionId) -> Self {
        if let Some(open) = &mut self.open {
            open.entry.collection = Some(collection.clone());
        }
        self
    }

    /// The query was not allowed to run, or is not one that a node runs. `rule` is what refused, where something did.
    ///
    /// # Errors
    /// `E_AUDIT_UNAVAILABLE` if it could not be recorded. Then the caller is told that, and not the refusal.
    pub async fn refused(
        self,
        report: &Report,
        rule: Option<(PolicyId, u64, Option<RuleId>)>,
    ) -> Result<AuditIndex, Report> {
        self.refuse(Outcome::Refused, report, rule).await
    }

    /// The query would be refused, and that is told.
    ///
    /// # Errors
    /// As [`Entry::refused`].
    pub(crate) async fn would_be_refused(
        self,
        report: &Report,
        rule: Option<(PolicyId, u64, Option<RuleId>)>,
    ) -> Result<AuditIndex, Report> {
        self.refuse(Outcome::Foreseen, report, rule).await
    }

    /// The query would be allowed, and that is told. It does not run.
    ///
    /// # Errors
    /// As [`Entry::refused`].
    pub(crate) async fn would_be_allowed(self, permitted: Permitted) -> Result<AuditIndex, Report> {
        let foreseen = |entry: &mut AuditEntry| entry.outcome = Outcome::Foreseen;
        Ok(self.decided(permitted).finish(End::Nothing, foreseen).await?.index)
    }

    async fn refuse(
        self,
        outcome: Outcome,
        report: &Report,
        rule: Option<(PolicyId, u64, Option<RuleId>)>,
    ) -> Result<AuditIndex, Report> {
        let describe = |entry: &mut AuditEntry| {
            entry.policy = rule.map(|(id, version, rule)| AuditPolicy {
                id,
                version,
                digest: None,
                rule,
            });
            explain(entry, outcome, report);
        };
        Ok(self.finish(End::Report(report.clone()), describe).await?.index)
    }

    /// A policy allows the query. In memory: it becomes durable with the query's end.
    pub fn decided(mut self, permitted: Permitted) -> Entry<Decided> {
        let mut open = self.open.take();
        if let Some(open) = &mut open {
            open.entry.policy = Some(AuditPolicy {
                id: permitted.policy,
                version: permitted.version,
                digest: Some(permitted.policy_digest),
                rule: Some(permitted.rule),
            });
            open.entry.joined = permitted.joined;
            open.entry.permit = permitted.permit;
            open.entry.duties = permitted.duties;
        }
        Entry {
            open,
            state: PhantomData,
        }
    }
}

impl Entry<Decided> {
    /// The query was allowed and something refused or failed afterwards. Nothing left the node.
    ///
    /// # Errors
    /// `E_AUDIT_UNAVAILABLE` if it could not be recorded. Then the caller is told that.
    pub async fn failed(self, report: &Report) -> Result<AuditIndex, Report> {
        // The engine refuses too: what a column has no role for, or a condition that cuts through a bin.
        let outcome = match report.problem.exit_code() {
            ExitCode::Refused | ExitCode::Usage => Outcome::Refused,
            _ => Outcome::Failed,
        };
        let describe = |entry: &mut AuditEntry| explain(entry, outcome, report);
        Ok(self.finish(End::Report(report.clone()), describe).await?.index)
    }

    /// The query was released, access was revoked while the answer was on its way, and so many rows had gone.
    ///
    /// # Errors
    /// `E_AUDIT_UNAVAILABLE` if it could not be recorded.
    pub async fn revoked(self, report: &Report, rows: u64) -> Result<AuditIndex, Report> {
        let describe = |entry: &mut AuditEntry| {
            explain(entry, Outcome::Revoked, report);
            entry.rows = rows;
        };
        Ok(self.finish(End::Report(report.clone()), describe).await?.index)
    }

    /// The results are about to leave. Only when this has returned an index and the signed receipt that names it may the
    /// first byte go out.
    ///
    /// # Errors
    /// `E_AUDIT_UNAVAILABLE` if it could not be recorded. Then nothing leaves.
    pub async fn released(self, release: Release) -> Result<(AuditIndex, Envelope), Report> {
        self.release(release).await
    }
}

impl Entry<Decided> {
    /// Rows are about to leave while others are read, or sums step by step; `values` are kept of them. Only when this has returned may the first byte go out. The query is charged by
    /// this entry, whatever the next one says.
    ///
    /// # Errors
    /// `E_AUDIT_UNAVAILABLE` if it could not be recorded, `E_RESOURCES` if there is no room for its end. Then nothing leaves.
    pub(crate) async fn begun(self, ledger: &Ledger, values: Vec<engine::KeptValue>) -> Result<Entry<Begun>, Report> {
        // The place of its end is held from the start too.
        let place = match ledger.place() {
            Ok(place) => place,
            Err(report) => {
                self.failed(&report).await?;
                return Err(report);
            }
        };
        let open = self.open.as_ref().ok_or_else(unavailable)?;
        // From here on: who goes away while the beginning is written gives up an answer that had begun.
        let end = Entry {
            open: Some(Open {
                entry: AuditEntry {
                    ends_begun: true,
                    ..open.entry.clone()
                },
                named: None,
                asked: open.asked,
                clock: Arc::clone(&open.clock),
                refusals: Arc::clone(&open.refusals),
                place,
            }),
            state: PhantomData,
        };
        self.finish(End::Begun(values), |entry| entry.outcome = Outcome::Begun)
            .await?;
        Ok(end)
    }
}

impl Entry<Begun> {
    /// So many more rows and bytes are handed out now.
    pub(crate) fn hand_out(&mut self, rows: u64, bytes: u64) {
        if let Some(Open { entry, .. }) = &mut self.open {
            entry.rows += rows;
            entry.bytes += bytes;
        }
    }

    /// Rows and bytes that were handed out.
    pub(crate) fn handed_out(&self) -> (u64, u64) {
        self.open
            .as_ref()
            .map_or((0, 0), |open| (open.entry.rows, open.entry.bytes))
    }

    /// Something failed on the way.
    ///
    /// # Errors
    /// `E_AUDIT_UNAVAILABLE` if it could not be recorded.
    pub(crate) async fn failed(self, report: &Report) -> Result<AuditIndex, Report> {
        let describe = |entry: &mut AuditEntry| explain(entry, Outcome::Failed, report);
        Ok(self.finish(End::Report(report.clone()), describe).await?.index)
    }

    /// Access was revoked on the way.
    ///
    /// # Errors
    /// `E_AUDIT_UNAVAILABLE` if it could not be recorded.
    pub(crate) async fn revoked(self, report: &Report) -> Result<AuditIndex, Report> {
        let describe = |entry: &mut AuditEntry| explain(entry, Outcome::Revoked, report);
        Ok(self.finish(End::Report(report.clone()), describe).await?.index)
    }

    /// All rows are handed out. Only with the signed receipt is the answer whole.
    ///
    /// # Errors
    /// `E_AUDIT_UNAVAILABLE` if it could not be recorded. Then there is no receipt.
    pub(crate) async fn released(self, release: Release) -> Result<(AuditIndex, Envelope), Report> {
        self.release(release).await
    }
}

impl<State> Entry<State> {
    async fn release(self, release: Release) -> Result<(AuditIndex, Envelope), Report> {
        let (rows, blanked_values) = (release.receipt.rows, release.receipt.blanked_values);
        let (bytes, result) = (release.bytes, release.receipt.result);
        let describe = |entry: &mut AuditEntry| {
            entry.outcome = Outcome::Released;
            (entry.rows, entry.bytes) = (rows, bytes);
            (entry.blanked_values, entry.result) = (blanked_values, Some(result));
        };
        let Recorded { index, receipt } = self.finish(End::Release(Box::new(release)), describe).await?;
        Ok((index, receipt.ok_or_else(unavailable)?))
    }
}

impl Open {
    /// Hands the entry to the writer, without waiting.
    fn send(mut self, end: End, done: Option<oneshot::Sender<Result<Recorded, Report>>>) -> mpsc::Sender<Job> {
        self.entry.at = self.clock.now();
        let took = self.entry.at.duration_since(self.asked).as_millis();
        // A clock that was set back makes it negative.
        self.entry.took_ms = u64::try_from(took).unwrap_or(0);
        self.refusals.note(&self.entry, self.entry.at);
        self.place.send(Job {
            entry: self.entry,
            named: self.named,
            end,
            receipt: None,
            done,
        })
    }
}

fn explain(entry: &mut AuditEntry, outcome: Outcome, report: &Report) {
    entry.outcome = outcome;
    entry.problem = Some(report.problem);
    entry.message = Some(cut(report.message.clone(), MESSAGE_BYTES_MAX));
}

impl<State> Drop for Entry<State> {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            drop(open.send(End::Nothing, None));
        }
    }
}

impl<State> fmt::Debug for Entry<State> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the SQL text.
        f.debug_struct("Entry")
            .field("query_id", &self.query_id())
            .finish_non_exhaustive()
    }
}
