//! An answer on its way to who asked: batch by batch, for as long as the access holds.
//!
//! Whether it holds is decided again, under the rules of that moment, before each batch and every few seconds in
//! between, because a slow reader can take hours. It must never hand out a batch after the access was found revoked, and
//! what was revoked is in the ledger before the reader is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use futures::{Stream, stream};
use policy::{AccessRequest, Asked, Decision, Dominance, Grant, OptOut, RowFilter, Tier, Transform, Zeros};
use terms::{Problem, Report};
use tokio::sync::OnceCell;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info};
use trust::PublicKey;
use wire::status::Ended;

use crate::ledger::{Opening, Permitted};
use crate::query::{Desk, Requests};

/// How often an access is decided again while nothing can be sent.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why an answer may leave.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// What was asked and by whom, as the ledger has it.
    pub(crate) opening: Opening,
    /// What was decided.
    pub(crate) requests: Requests,
    /// The key of the institution that vouched.
    pub(crate) issuer_key: PublicKey,
    /// What allowed it.
    pub(crate) permitted: Permitted,
    /// Under which obligations the answer was made.
    pub(crate) obligations: Obligations,
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
        now.tier <= self.tier && checks && transforms && filters && opt_outs && joined
    }
}

/// Whether an obligation that holds now is the one that held then.
fn is_kept<T: PartialEq>(then: &Option<T>, now: &Option<T>) -> bool {
    now.is_none() || now == then
}

impl Desk {
    /// Whether what was allowed is allowed now. Quotas are spent already, and a credential was good when it was shown:
    /// both are left out.
    fn still_allows(&self, access: &Access) -> Result<(), Report> {
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

/// One answer on its way.
#[derive(Debug)]
struct Delivery {
    desk: Arc<Desk>,
    access: Access,
    batches: AtomicU64,
    rows: AtomicU64,
    revoked: OnceCell<Ended>,
}

/// The batches of an answer, until they end or the access does.
pub(crate) fn deliver(
    desk: &Arc<Desk>,
    access: Access,
    batches: Vec<RecordBatch>,
) -> impl Stream<Item = Result<RecordBatch, Ended>> + Send + use<> {
    let delivery = Arc::new(Delivery {
        desk: Arc::clone(desk),
        access,
        batches: AtomicU64::new(0),
        rows: AtomicU64::new(0),
        revoked: OnceCell::new(),
    });
    let watched = Arc::clone(&delivery);
    let watch = AbortOnDropHandle::new(tokio::spawn(async move {
        while watched.require_access().await.is_ok() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }));
    stream::unfold(Some((delivery, batches.into_iter(), watch)), |state| async move {
        let (delivery, mut batches, watch) = state?;
        let batch = batches.next()?;
        if let Err(ended) = delivery.require_access().await {
            return Some((Err(ended), None));
        }
        delivery.count(&batch);
        Some((Ok(batch), Some((delivery, batches, watch))))
    })
}

impl Delivery {
    /// Once revoked, it stays so, even if the next look would allow it: the reader has been or will be told.
    async fn require_access(&self) -> Result<(), Ended> {
        if let Some(ended) = self.revoked.get() {
            return Err(ended.clone());
        }
        match self.desk.still_allows(&self.access) {
            Ok(()) => Ok(()),
            Err(why) => Err(self.revoked.get_or_init(|| self.revoke(why)).await.clone()),
        }
    }

    fn count(&self, batch: &RecordBatch) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
    }

    async fn revoke(&self, why: Report) -> Ended {
        let (batches, rows) = (self.batches.load(Ordering::Relaxed), self.rows.load(Ordering::Relaxed));
        let query_id = self.access.opening.query_id.clone();
        let told = format!(
            "after {batches} batches with {rows} rows, {} [{}]",
            why.message, why.problem
        );
        let recorded = self.record(&Problem::Revoked.report(told), rows).await;
        info!(%query_id, problem = %why.problem, batches, rows, "revoked");
        if let Err(report) = recorded {
            error!(%query_id, message = report.message, "a revocation is not recorded");
        }
        let message = format!("access was revoked while the answer was on its way: {}", why.message);
        Ended {
            report: Problem::Revoked.report(message),
            query_id: Some(query_id),
        }
    }

    async fn record(&self, report: &Report, rows: u64) -> Result<(), Report> {
        let access = &self.access;
        let entry = self.desk.ledger.open_entry(access.opening.clone())?;
        let entry = entry
            .about(&access.requests.asked.collection)
            .decided(access.permitted.clone());
        entry.revoked(report, rows).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests;
