//! A request whose asker named it and asks again: told once more what was told, never answered once more.
//!
//! Access is decided again first, and what is kept is believed only if its receipt is this node's and fits it. Nothing
//! here runs a query or charges for one. Next: `ledger/outcome.rs`, where outcomes are kept.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use policy::{Asked, Grant};
use terms::{Problem, QueryId, Report};
use tracing::info;
use trust::{Digest, Envelope, Receipt};
use wire::status::Ended;

use crate::delivery::{Access, Obligations};
use crate::ledger::outcome::ANSWER_BYTES_MAX;
use crate::ledger::{Kept, Opening, Permitted, Told};
use crate::query::{Answer, Asker, Desk, Refused};

/// Why a request is not told again what it was told.
enum NotAgain {
    /// It may not be: that is recorded.
    Refused(Refused),
    /// What it was told was that there is no answer.
    Told(Report),
}

impl From<Refused> for NotAgain {
    fn from(refused: Refused) -> Self {
        NotAgain::Refused(refused)
    }
}

impl From<Report> for NotAgain {
    fn from(report: Report) -> Self {
        NotAgain::Refused(report.into())
    }
}

impl Desk {
    /// Tells again what a request of this name was told, if the same is asked and may be told now.
    pub(crate) async fn answer_again(&self, asker: &Asker, sql: &str, kept: Kept) -> Result<Answer, Ended> {
        let query_id = kept.query_id.clone();
        match self.tell_again(asker, sql, kept).await {
            Ok(answer) => {
                info!(%query_id, "told again");
                Ok(answer)
            }
            Err(NotAgain::Told(report)) => Err(Ended {
                report,
                query_id: Some(query_id),
            }),
            Err(NotAgain::Refused(refused)) => Err(self.refuse(asker, sql, refused).await),
        }
    }

    async fn tell_again(&self, asker: &Asker, sql: &str, kept: Kept) -> Result<Answer, NotAgain> {
        let (current, now) = (self.governance.current()?, self.clock.now());
        self.require_may_ask(&current, &asker.caller, now)?;
        if asker.named.as_ref().is_none_or(|named| named.asked != kept.asked) {
            let message = "the request id was used for another query, purpose or permit";
            return Err(Problem::RequestId.report(message).into());
        }
        let query_id = kept.query_id;
        let (terms, receipt) = match kept.told {
            Told::Answer { terms, receipt } => (terms, receipt),
            Told::Report(report) => return Err(NotAgain::Told(report)),
            Told::Rows => return Err(not_kept(&query_id).into()),
            Told::Nothing => return Err(given_up(&query_id).into()),
        };
        // Quotas are spent already.
        let asked = |_: &_| Asked::default();
        let (_, requests, grant) = self.decide_only(&current, asker, sql, now, asked).await?;
        if terms != terms_of(&grant) {
            return Err(changed(&query_id).into());
        }
        let stream = kept.answer.ok_or_else(|| not_kept(&query_id))?;
        let (schema, batches) = self.believe(&stream, &receipt)?;
        let opening = Opening {
            named: None,
            ..asker.opening(&query_id, sql)
        };
        let access = Access {
            asked_as: asker.named.as_ref().map(|named| named.key.request.clone()),
            opening,
            requests,
            issuer_key: asker.issuer_key,
            permitted: Permitted::from(&grant),
            obligations: Obligations::of(&grant),
            // Its receipt is signed already, and says it.
            data: Vec::new(),
        };
        Ok(Answer {
            schema,
            batches,
            receipt,
            access,
        })
    }

    /// The answer in what is kept, if it is the one that this node signed for.
    fn believe(&self, stream: &[u8], receipt: &Envelope) -> Result<(SchemaRef, Vec<RecordBatch>), Report> {
        let broken = || Problem::AuditBroken.report("the answer that is kept is not the one that its receipt is for");
        let receipt = Receipt::open(receipt, &self.key.public()).map_err(|_| broken())?;
        let (schema, batches) = unpack(stream).map_err(|_| broken())?;
        if receipt.result != engine::digest_of(&schema, &batches) {
            return Err(broken());
        }
        Ok((schema, batches))
    }
}

/// What allows an answer and under which obligations it was made, in one digest: an answer is told again only under the
/// same, and if digests are computed as they were then. Another version of this program may spell it otherwise; then the answer is
/// not told again.
pub(crate) fn terms_of(grant: &Grant) -> Digest {
    let (permitted, obligations) = (Permitted::from(grant), Obligations::of(grant));
    Digest::of(format!("{} {permitted:?} {obligations:?}", engine::digest::FORM).as_bytes())
}

/// An answer as it is kept; none if it is too large for that.
pub(crate) fn pack(schema: &SchemaRef, batches: &[RecordBatch], bytes: u64) -> Option<Vec<u8>> {
    if bytes > ANSWER_BYTES_MAX as u64 {
        return None;
    }
    let stream = write(schema, batches).ok()?;
    (stream.len() <= ANSWER_BYTES_MAX).then_some(stream)
}

fn write(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.into_inner()
}

fn unpack(stream: &[u8]) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    let reader = StreamReader::try_new(stream, None)?;
    let schema = reader.schema();
    Ok((Arc::clone(&schema), reader.collect::<Result<_, _>>()?))
}

fn given_up(query_id: &QueryId) -> Report {
    Problem::RequestId.report(format!(
        "the request was asked before, and recorded as query {query_id}, which was given up when nobody waited for it"
    ))
}

fn changed(query_id: &QueryId) -> Report {
    Problem::RequestId.report(format!(
        "the request was answered before, and recorded as query {query_id}; what allows it has changed since"
    ))
}

fn not_kept(query_id: &QueryId) -> Report {
    Problem::RequestId.report(format!(
        "the request was asked before, and recorded as query {query_id}; its answer is not kept, because it is too \
         large or others needed the room"
    ))
}

#[cfg(test)]
mod tests;
