//! An answer on its way to who asked: batch by batch, for as long as the access holds.
//!
//! Whether it holds is decided again, under the rules of that moment, before each batch and every few seconds in
//! between, because a slow reader can take hours. It must never hand out a batch after the access was found revoked, and
//! what was revoked is in the ledger before the reader is told. Rows that leave while they are read are an answer only once the
//! receipt has followed them: it is the last thing that goes out, after how it ended is in the ledger.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::vec;

use arrow::record_batch::RecordBatch;
use engine::{Next, RowStream};
use futures::{Stream, stream};
use policy::{AccessRequest, Asked, Decision, Dominance, Grant, ModelRules, OptOut, RowFilter, Tier, Transform, Zeros};
use terms::{Problem, Report, RequestId};
use tokio::sync::{OnceCell, OwnedSemaphorePermit};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info};
use trust::{DataVersion, Digest, Envelope, PublicKey};
use wire::status::Ended;

use crate::ledger::{Begun, Entry, Opening, Permitted, Release};
use crate::query::{Desk, Requests, RowAnswer, next_step, told_of, unfinished};

/// How often an access is decided again while nothing can be sent.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why an answer may leave.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// What was asked and by whom, as the ledger has it.
    pub(crate) opening: Opening,
    /// What the asker calls the request, if they do: the receipt says it.
    pub(crate) asked_as: Option<RequestId>,
    /// What was decided.
    pub(crate) requests: Requests,
    /// The key of the institution that vouched.
    pub(crate) issuer_key: PublicKey,
    /// What allowed it.
    pub(crate) permitted: Permitted,
    /// Under which obligations the answer was made.
    pub(crate) obligations: Obligations,
    /// Which data it is from.
    pub(crate) data: Vec<DataVersion>,
}

/// What the engine had to do for an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Obligations {
    tier: Tier,
    dominance: Option<Dominance>,
    p_percent: Option<u32>,
    round_to: Option<u32>,
    zeros: Zeros,
    transforms: BTreeMap<String, Transform>,
    row_filter: Option<RowFilter>,
    opt_out: OptOut,
    models: Option<ModelRules>,
    /// Those of each collection that is joined.
    joined: Vec<Obligations>,
}

impl Obligations {
    pub(crate) fn of(grant: &Grant) -> Self {
        let checks = grant.disclosure();
        Self {
            tier: checks.tier,
            dominance: checks.dominance,
            p_percent: checks.p_percent,
            round_to: checks.round_to,
            zeros: checks.zeros,
            transforms: grant.transforms().clone(),
            row_filter: grant.row_filter().cloned(),
            opt_out: grant.opt_out().clone(),
            models: grant.models().cloned(),
            joined: grant.joined().iter().map(Obligations::of).collect(),
        }
    }

    /// Whether an answer that was made under these is one that may be given under `now`.
    fn satisfy(&self, now: &Obligations) -> bool {
        let filters = is_kept(&self.row_filter, &now.row_filter);
        let checks = is_kept(&self.dominance, &now.dominance)
            && is_kept(&self.p_percent, &now.p_percent)
            && is_kept(&self.round_to, &now.round_to)
            && now.zeros <= self.zeros;
        let mut transforms = now.transforms.iter();
        let transforms = transforms.all(|(column, shown)| self.transforms.get(column) == Some(shown));
        let opt_outs = matches!(now.opt_out, OptOut::Exempt { .. }) || now.opt_out == self.opt_out;
        let joined = self.joined.len() == now.joined.len()
            && self.joined.iter().zip(&now.joined).all(|(then, now)| then.satisfy(now));
        let models = now.models.is_none() || now.models == self.models;
        now.tier <= self.tier && checks && transforms && filters && opt_outs && models && joined
    }
}

/// Whether an obligation that holds now is the one that held then.
fn is_kept<T: PartialEq>(then: &Option<T>, now: &Option<T>) -> bool {
    now.is_none() || now == then
}

impl Desk {
    /// Whether what was allowed is allowed now. Quotas are spent already, and a credential was good when it was shown:
    /// both are left out.
    pub(crate) fn still_allows(&self, access: &Access) -> Result<(), Report> {
        let current = self.governance.current()?;
        let caller = &access.requests.asked.caller;
        self.require_admitted(&current, caller)?;
        let issuer = current.rules.members.get(&caller.member);
        if issuer.is_none_or(|member| member.key != access.issuer_key) {
            let message = format!("the roster no longer names the key of {}", caller.member);
            return Err(Problem::TokenIssuer.report(message));
        }
        let at = self.clock.now();
        let now = |request: &AccessRequest| AccessRequest {
            at,
            asked: Asked::default(),
            ..request.clone()
        };
        let joined: Vec<AccessRequest> = access.requests.joined.iter().map(now).collect();
        match policy::decide_joined(&current.rules, &now(&access.requests.asked), &joined) {
            Decision::Allow(grant) if access.obligations.satisfy(&Obligations::of(&grant)) => Ok(()),
            Decision::Allow(_) => {
                let message = "what is permitted now protects people better than this answer does";
                Err(Problem::NoPermission.report(message).remedy("ask again"))
            }
            Decision::Refuse(refusal) => Err(refusal.into()),
        }
    }
}

/// What of an answer goes out next.
#[derive(Debug)]
pub(crate) enum Part {
    /// Rows.
    Batch(RecordBatch),
    /// The node's signature under rows that have all gone.
    Receipt(Envelope),
}

/// One answer on its way.
#[derive(Debug)]
struct Delivery {
    desk: Arc<Desk>,
    access: Access,
    gone: Mutex<Gone>,
    ended: OnceCell<Ended>,
}

/// What has gone, and why nothing more may.
#[derive(Debug, Default)]
struct Gone {
    batches: u64,
    rows: u64,
    /// Of rows that leave while they are read: how that ends is still to be recorded.
    entry: Option<Entry<Begun>>,
    /// Of an answer that is recorded as released: what becomes of it on its way is an entry of its own.
    is_released: bool,
    /// Set once.
    stopped: Option<Report>,
}

/// Where the batches come from.
enum Source {
    Whole(vec::IntoIter<RecordBatch>),
    Rows {
        rows: Box<RowStream>,
        terms: Digest,
        arrived: Instant,
        _place: OwnedSemaphorePermit,
    },
}

/// The batches of an answer, until they end or the access does.
pub(crate) fn deliver(
    desk: &Arc<Desk>,
    access: Access,
    batches: Vec<RecordBatch>,
) -> impl Stream<Item = Result<Part, Ended>> + Send + use<> {
    let gone = Gone {
        is_released: true,
        ..Gone::default()
    };
    send(desk, access, gone, Source::Whole(batches.into_iter()))
}

/// The batches of rows while they are read, until they end or the access does; then the receipt.
pub(crate) fn deliver_rows(
    desk: &Arc<Desk>,
    answer: RowAnswer,
) -> impl Stream<Item = Result<Part, Ended>> + Send + use<> {
    let RowAnswer {
        rows,
        entry,
        access,
        terms,
        arrived,
        place,
    } = answer;
    let gone = Gone {
        entry: Some(entry),
        ..Gone::default()
    };
    let source = Source::Rows {
        rows: Box::new(rows),
        terms,
        arrived,
        _place: place,
    };
    send(desk, access, gone, source)
}

fn send(
    desk: &Arc<Desk>,
    access: Access,
    gone: Gone,
    source: Source,
) -> impl Stream<Item = Result<Part, Ended>> + Send + use<> {
    let delivery = Arc::new(Delivery {
        desk: Arc::clone(desk),
        access,
        gone: Mutex::new(gone),
        ended: OnceCell::new(),
    });
    let watch = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&delivery).watch()));
    stream::unfold(Some((delivery, source, watch)), |state| async move {
        let (delivery, mut source, watch) = state?;
        match delivery.next(&mut source).await {
            Ok(Some(Part::Batch(batch))) => Some((Ok(Part::Batch(batch)), Some((delivery, source, watch)))),
            Ok(Some(receipt)) => Some((Ok(receipt), None)),
            Ok(None) => None,
            Err(ended) => Some((Err(ended), None)),
        }
    })
}

impl Delivery {
    /// Looks after the access while nothing can be sent, until it ends or the node stops.
    async fn watch(self: Arc<Self>) {
        let stopping = self.desk.stopping.clone();
        while self.require_access().await.is_ok() {
            if stopping
                .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
                .await
                .is_none()
            {
                drop(self.end(stopping_now()).await);
                return;
            }
        }
    }

    /// What goes out next; none after the last batch of an answer that is signed for already.
    async fn next(&self, source: &mut Source) -> Result<Option<Part>, Ended> {
        let batch = match source {
            Source::Whole(batches) => match batches.next() {
                Some(batch) => batch,
                None => return Ok(None),
            },
            Source::Rows {
                rows, terms, arrived, ..
            } => match rows.next().await {
                Ok(Next::Batch(batch)) => batch,
                Ok(Next::End(result)) => return self.finish(result, *terms).await.map(Some),
                Err(failure) => {
                    let ended = self.end(told_of(&failure)).await;
                    next_step(*arrived).await;
                    return Err(ended);
                }
            },
        };
        self.require_access().await?;
        let stopped = self.gone().hand_out(&batch);
        match stopped {
            None => Ok(Some(Part::Batch(batch))),
            // Found revoked between the two.
            Some(why) => Err(self.end(why).await),
        }
    }

    /// All rows have gone. They are an answer once that is recorded and signed.
    async fn finish(&self, result: Digest, terms: Digest) -> Result<Part, Ended> {
        self.require_access().await?;
        let ended = |report: Report| Ended {
            report,
            query_id: Some(self.access.opening.query_id.clone()),
        };
        let entry = self.gone().take_entry();
        let entry = match entry {
            Ok(entry) => entry,
            Err(why) => return Err(self.end(why).await),
        };
        let (rows, bytes) = entry.handed_out();
        let receipt = self
            .desk
            .receipt_for_rows(&self.access, rows, result, self.desk.clock.now());
        let release = Release {
            receipt,
            bytes,
            terms,
            values: Vec::new(),
            answer: None,
        };
        let (audit_index, receipt) = entry.released(release).await.map_err(ended)?;
        self.desk.metrics.released(rows, bytes, 0);
        info!(query_id = %self.access.opening.query_id, rows, bytes, %audit_index, "released");
        Ok(Part::Receipt(receipt))
    }

    /// Once revoked, it stays so, even if the next look would allow it: the reader has been or will be told.
    async fn require_access(&self) -> Result<(), Ended> {
        let stopped = self.gone().stopped.clone();
        if let Some(why) = stopped {
            return Err(self.end(why).await);
        }
        match self.desk.still_allows(&self.access) {
            Ok(()) => Ok(()),
            Err(why) => Err(self.end(revoked(&why)).await),
        }
    }

    /// From here on nothing goes out. That is recorded, once, and what is told is the first reason.
    async fn end(&self, why: Report) -> Ended {
        let why = self.gone().stopped.get_or_insert(why).clone();
        self.ended.get_or_init(|| self.record(why)).await.clone()
    }

    async fn record(&self, why: Report) -> Ended {
        let query_id = self.access.opening.query_id.clone();
        let (batches, rows, entry, is_released) = {
            let mut gone = self.gone();
            (gone.batches, gone.rows, gone.entry.take(), gone.is_released)
        };
        info!(%query_id, problem = %why.problem, batches, rows, "ended on the way");
        let recorded = match entry {
            Some(entry) if why.problem == Problem::Revoked => {
                entry.revoked(&after(batches, rows, &why)).await.map(drop)
            }
            Some(entry) => entry.failed(&after(batches, rows, &why)).await.map(drop),
            None if is_released && why.problem == Problem::Revoked => {
                self.record_beside(&after(batches, rows, &why), rows).await
            }
            None => Ok(()),
        };
        if let Err(report) = recorded {
            error!(%query_id, message = report.message, "the end of an answer is not recorded");
        }
        Ended {
            report: why,
            query_id: Some(query_id),
        }
    }

    async fn record_beside(&self, report: &Report, rows: u64) -> Result<(), Report> {
        let access = &self.access;
        let entry = self.desk.ledger.open_entry_of_end(access.opening.clone())?;
        let entry = entry
            .about(&access.requests.asked.collection)
            .decided(access.permitted.clone());
        entry.revoked(report, rows).await.map(drop)
    }

    fn gone(&self) -> MutexGuard<'_, Gone> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gone {
    /// Counts a batch that goes out now, if one still may; else says why not.
    fn hand_out(&mut self, batch: &RecordBatch) -> Option<Report> {
        if self.stopped.is_some() {
            return self.stopped.clone();
        }
        self.batches += 1;
        self.rows += batch.num_rows() as u64;
        if let Some(entry) = &mut self.entry {
            entry.hand_out(batch.num_rows() as u64, engine::release::bytes_of(batch));
        }
        None
    }

    /// Whoever has the entry records the end: one of those who find that there is none.
    fn take_entry(&mut self) -> Result<Entry<Begun>, Report> {
        match &self.stopped {
            None => self.entry.take().ok_or_else(unfinished),
            Some(why) => Err(why.clone()),
        }
    }
}

pub(crate) fn revoked(why: &Report) -> Report {
    let message = format!(
        "access was revoked while the answer was on its way: {} [{}]",
        why.message, why.problem
    );
    Problem::Revoked.report(message)
}

/// What the ledger says of it.
fn after(batches: u64, rows: u64, why: &Report) -> Report {
    why.problem
        .report(format!("after {batches} batches with {rows} rows, {}", why.message))
}

fn stopping_now() -> Report {
    Problem::Unreachable.report("the node stopped while the answer was on its way")
}

#[cfg(test)]
mod tests;
