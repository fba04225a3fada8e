//! One node's answer to one leaf: connect, prove, ask, decode, check the receipt.
//!
//! Nothing of an answer is used unless its columns are those asked for and the node's receipt matches it.

mod dry_run;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightData, Ticket};
use datafusion::common::ScalarValue;
use engine::enforce::WITHHELD_COLUMN;
use engine::query::{Function, GroupKey, NODE_COLUMN, Output, OutputSource};
use engine::{Query, Reason};
use futures::{Stream, StreamExt, TryStreamExt};
use policy::{Collection, Domain};
use prost::Message;
use prost::bytes::Bytes;
use terms::{MemberId, PermitId, Problem, Purpose, Report, RequestId, SpaceId, UtcTime, limit};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tonic::Request;
use trust::{Digest, Envelope, Proof, PublicKey, Receipt, SigningKey, Verified};
use wire::Connection;
use wire::header::Tokens;
use wire::status::Ended;
use wire::v1::QueryTicket;

/// How long after nobody waits any more a node ends a query of which it was not told that.
const TIMEOUT_LEEWAY: Duration = Duration::from_secs(1);

/// A node as the catalogue and the roster describe it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Peer {
    pub(crate) member: MemberId,
    /// Where it takes connections, if it does.
    pub(crate) address: Option<String>,
    /// Whether it is also reached through the broker.
    pub(crate) relayed: bool,
    pub(crate) key: PublicKey,
}

/// Who asks and for what; the same at every node.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) space: SpaceId,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) credential: String,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) permit: Option<PermitId>,
}

impl Errand {
    /// The request with what a node believes: who asks, and the proof that they ask exactly this.
    pub(crate) fn accompany<T>(&self, message: T, proof: &Proof, now: UtcTime) -> Result<Request<T>, Report> {
        let issued = proof
            .issue(&self.key, now)
            .map_err(|error| Problem::TokenMalformed.report(error.to_string()))?;
        let mut request = Request::new(message);
        let tokens = Tokens {
            credential: &self.credential,
            proof: &issued,
            request: proof.request.as_ref().map(RequestId::as_str),
        };
        wire::header::attach(request.metadata_mut(), tokens)?;
        Ok(request)
    }
}

/// One node's answer to one leaf, with its signature under it.
#[derive(Debug)]
pub(crate) struct NodeAnswer {
    pub(crate) told: Told,
    pub(crate) receipt: Verified<Receipt>,
    pub(crate) envelope: Envelope,
}

/// What one node released for one leaf: all that pooling needs.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) batches: Vec<RecordBatch>,
    /// For each row, which aggregates of the query were withheld in it, by their number, and why.
    pub(crate) withheld: Vec<BTreeMap<usize, Reason>>,
    /// The smallest number of people in a released cell, if there is one.
    pub(crate) min_people: Option<u32>,
    /// To multiples of what counts were rounded, if they were.
    pub(crate) round_to: Option<u32>,
}

impl Told {
    /// Takes in the cells of an answer that [`require_sound`] has passed. None unless exactly what is missing is named as withheld.
    pub(crate) fn of(
        batches: Vec<RecordBatch>,
        query: &Query,
        min_people: Option<u32>,
        round_to: Option<u32>,
    ) -> Option<Self> {
        let withheld = withheld(&batches, query, min_people.is_some())?;
        Some(Self {
            batches,
            withheld,
            min_people,
            round_to,
        })
    }
}

/// One part of a question for one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) errand: &'a Errand,
    pub(crate) query: &'a Query,
    /// What this part is called: asked again under the same name, it is answered once.
    pub(crate) request: &'a RequestId,
    pub(crate) collection: &'a Collection,
    /// When nobody waits for the answer any more.
    pub(crate) until: Instant,
}

impl Part<'_> {
    /// Asks the node. To ask again, on another connection, is not to ask twice.
    pub(crate) async fn ask(self, connection: &Connection, now: UtcTime) -> Result<NodeAnswer, Ended> {
        let Part {
            peer,
            errand,
            query,
            request: name,
            collection,
            until,
        } = self;
        let sql = query.to_string();
        let digest = Digest::of(sql.as_bytes());
        let proof = Proof {
            node: peer.member.to_string(),
            query: digest,
            purpose: errand.purpose,
            permit: errand.permit.clone(),
            request: Some(name.clone()),
            channel: connection.binding()?,
        };
        let handle = QueryTicket { sql }.encode_to_vec().into();
        let ticket = TicketStatementQuery {
            statement_handle: handle,
        };
        let mut request = errand.accompany(Ticket::new(ticket.as_any().encode_to_vec()), &proof, now)?;
        // The node knows it too, in case that it is not heard from here.
        request.set_timeout(until.saturating_duration_since(Instant::now()) + TIMEOUT_LEEWAY);

        let ended = |status: &tonic::Status| wire::status::from_status(status, peer.member.as_str());
        let mut client = FlightServiceClient::new(connection.grpc.clone())
            .max_decoding_message_size(limit::ANSWER_MESSAGE_BYTES_MAX);
        let response = client.do_get(request).await.map_err(|status| ended(&status))?;
        let receipts = Receipts::of(wire::header::receipt(response.metadata()), query);
        let receipts = receipts.ok_or_else(|| odd(&peer.member, "it came without a receipt"))?;
        let mut received = 0;
        let seen = receipts.clone();
        let stream = response.into_inner().map(move |message| {
            let message = message.map_err(|status| FlightError::Tonic(Box::new(status)))?;
            received += message.data_header.len() + message.data_body.len() + message.app_metadata.len();
            if received > limit::ANSWER_BYTES_MAX {
                return Err(FlightError::protocol("too large"));
            }
            if is_compressed(&message) {
                return Err(FlightError::protocol("compressed"));
            }
            seen.see(&message)?;
            Ok(message)
        });
        let schema = engine::enforce::answer_schema(query, collection)?;
        let batches = FlightRecordBatchStream::new_from_flight_data(stream);
        // In a task of its own: what a hostile node sends can make the decoder panic, and ends no more than this.
        let decoded = tokio::spawn(whole(batches, Arc::clone(&schema), rows_max(query)));
        let decoded = AbortOnDropHandle::new(decoded).await;
        let decoded = decoded.map_err(|_| odd(&peer.member, "it cannot be decoded"))?;
        let batches = decoded.map_err(|broken| match broken {
            Broken::Flight(FlightError::Tonic(status)) => ended(&status),
            Broken::Flight(_) => odd(&peer.member, "it is too large or cannot be decoded").into(),
            Broken::Odd(what) => odd(&peer.member, what).into(),
        })?;
        let envelope = receipts.one(&batches).map_err(|what| odd(&peer.member, what))?;
        self.check(batches, &schema, &envelope, digest)
    }

    /// Nothing of an answer is used unless its columns, cells and receipt are as they must be.
    fn check(
        self,
        batches: Vec<RecordBatch>,
        schema: &SchemaRef,
        envelope: &[u8],
        digest: Digest,
    ) -> Result<NodeAnswer, Ended> {
        let Part {
            peer,
            errand,
            query,
            request: name,
            collection,
            ..
        } = self;
        require_sound(&batches, schema, query, &peer.member)?;
        let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let envelope = Envelope::parse(envelope).map_err(|_| odd(&peer.member, "its receipt cannot be read"))?;
        let receipt = Receipt::open(&envelope, &peer.key)?;
        let matches = receipt.node == peer.member
            && receipt.space == errand.space
            && receipt.query == digest
            && receipt.request.as_ref() == Some(name)
            && receipt.permit == errand.permit
            && receipt.rows == rows
            && receipt.result == engine::digest_of(schema, &batches);
        if !matches {
            return Err(odd(&peer.member, "its receipt is for something else").into());
        }
        if !bins_are_declared(&batches, query, collection) {
            return Err(odd(&peer.member, "it has a range of values that is not declared").into());
        }
        if !counts_are_sound(&batches, query, &receipt) {
            return Err(odd(&peer.member, "it counts fewer than its receipt says that a cell has").into());
        }
        let told = Told::of(batches, query, receipt.min_people, receipt.round_to)
            .ok_or_else(|| odd(&peer.member, "it does not say rightly what is withheld"))?;
        Ok(NodeAnswer {
            told,
            receipt,
            envelope,
        })
    }
}

/// The receipt of an answer: in its header, or, of rows that leave while they are read, in its last message. In one of the two and once.
#[derive(Clone, Debug)]
struct Receipts {
    header: Option<Bytes>,
    /// What the last message brought.
    last: Arc<Mutex<Option<Bytes>>>,
}

impl Receipts {
    /// None if the answer cannot have one. Cells are signed before the first of them leaves.
    fn of(header: Option<Vec<u8>>, query: &Query) -> Option<Self> {
        let comes_last = matches!(query, Query::Rows(_));
        (header.is_some() || comes_last).then(|| Self {
            header: header.map(Bytes::from),
            last: Arc::default(),
        })
    }

    /// Looks at the next message. After one with a receipt there is none.
    fn see(&self, message: &FlightData) -> Result<(), FlightError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some() {
            return Err(FlightError::protocol("it goes on after its receipt"));
        }
        *last = (!message.app_metadata.is_empty()).then(|| message.app_metadata.clone());
        Ok(())
    }

    /// The one receipt, when all messages were seen.
    fn one(self, batches: &[RecordBatch]) -> Result<Bytes, &'static str> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (self.header, last) {
            (Some(receipt), None) => Ok(receipt),
            (None, Some(receipt)) if batches.last().is_some_and(|batch| batch.num_rows() == 0) => Ok(receipt),
            (None, Some(_)) => Err("its receipt comes with rows"),
            (Some(_), Some(_)) => Err("it has two receipts"),
            (None, None) => Err("it ended before its receipt came, and is not whole"),
        }
    }
}

/// No node compresses what it sends. Of what is compressed nobody knows how large it is.
fn is_compressed(message: &FlightData) -> bool {
    let Ok(message) = arrow::ipc::root_as_message(&message.data_header) else {
        return false;
    };
    let dictionary = message.header_as_dictionary_batch();
    let batch = message.header_as_record_batch();
    let batch = batch.or_else(|| dictionary.and_then(|dictionary| dictionary.data()));
    batch.is_some_and(|batch| batch.compression().is_some())
}

/// Why an answer is not taken in to its end.
#[derive(Debug)]
enum Broken {
    Flight(FlightError),
    Odd(&'static str),
}

/// All batches of an answer. It ends at the first that there cannot be.
async fn whole(
    mut coming: impl Stream<Item = Result<RecordBatch, FlightError>> + Unpin,
    schema: SchemaRef,
    rows_max: usize,
) -> Result<Vec<RecordBatch>, Broken> {
    let (mut batches, mut rows) = (Vec::new(), 0);
    while let Some(batch) = coming.try_next().await.map_err(Broken::Flight)? {
        rows = rows_with(rows, &batch, &schema, rows_max).map_err(Broken::Odd)?;
        batches.push(batch);
    }
    Ok(batches)
}

/// How many rows there are with the next batch. It must have the columns asked for, and with it there must be no more rows than a node
/// releases.
fn rows_with(rows: usize, batch: &RecordBatch, schema: &SchemaRef, rows_max: usize) -> Result<usize, &'static str> {
    if batch.schema() != *schema {
        return Err("it has other columns than those asked for");
    }
    let rows = rows.saturating_add(batch.num_rows());
    match rows > rows_max {
        true => Err("it has more rows than a node releases"),
        false => Ok(rows),
    }
}

fn rows_max(query: &Query) -> usize {
    match query {
        Query::Release(_) => limit::GROUPS_MAX,
        Query::Rows(_) => limit::ROWS_MAX,
    }
}

/// Whether an answer's columns and cells are as they must be.
pub(crate) fn require_sound(
    batches: &[RecordBatch],
    schema: &SchemaRef,
    query: &Query,
    node: &MemberId,
) -> Result<(), Report> {
    let mut taken = batches.iter();
    let taken = taken.try_fold(0, |rows, batch| rows_with(rows, batch, schema, rows_max(query)));
    taken.map_err(|what| odd(node, what))?;
    if !is_sound(batches, query, node) {
        return Err(odd(node, "it has a cell twice, or speaks for another node"));
    }
    Ok(())
}

/// A node speaks for itself only, and says each cell once: otherwise it would be counted twice.
fn is_sound(batches: &[RecordBatch], query: &Query, node: &MemberId) -> bool {
    let (groups, node_columns): (Vec<usize>, Vec<usize>) = match query {
        Query::Rows(query) => {
            let named = query
                .columns
                .iter()
                .enumerate()
                .filter(|(_, (column, _))| column == NODE_COLUMN);
            (Vec::new(), named.map(|(at, _)| at).collect())
        }
        Query::Release(query) => {
            let groups = query
                .outputs
                .iter()
                .enumerate()
                .filter_map(|(at, output)| match output.source {
                    OutputSource::Group(group) => Some((at, query.groups[group].column() == NODE_COLUMN)),
                    OutputSource::Aggregate(_) => None,
                });
            let groups: Vec<(usize, bool)> = groups.collect();
            let node_columns = groups
                .iter()
                .filter(|(_, is_node)| *is_node)
                .map(|(at, _)| *at)
                .collect();
            (groups.iter().map(|(at, _)| *at).collect(), node_columns)
        }
    };
    let speaks_for_itself = node_columns.iter().all(|at| {
        let names = batches
            .iter()
            .flat_map(|batch| batch.column(*at).as_string::<i32>().iter());
        names.into_iter().all(|name| name == Some(node.as_str()))
    });
    let mut seen = HashSet::new();
    let mut says_once = |batch: &RecordBatch, row: usize| {
        let key: Result<Vec<_>, _> = groups
            .iter()
            .map(|at| ScalarValue::try_from_array(batch.column(*at), row))
            .collect();
        key.is_ok_and(|key| seen.insert(key))
    };
    let is_release = matches!(query, Query::Release(_));
    let each_once = |batch: &RecordBatch| (0..batch.num_rows()).all(|row| says_once(batch, row));
    speaks_for_itself && (!is_release || batches.iter().all(each_once))
}

/// Whether nothing but declared bins, and none, is said to be a bin.
fn bins_are_declared(batches: &[RecordBatch], query: &Query, collection: &Collection) -> bool {
    let Query::Release(query) = query else { return true };
    let labels_of = |output: &Output| match output.source {
        OutputSource::Group(at) => match &query.groups[at] {
            GroupKey::Bin(column) => match collection.column(column).and_then(|column| column.domain.as_ref()) {
                Some(Domain::Bins(edges)) => Some(engine::bin_labels(edges)),
                _ => Some(Vec::new()),
            },
            _ => None,
        },
        OutputSource::Aggregate(_) => None,
    };
    let labels: Vec<_> = query.outputs.iter().map(labels_of).collect();
    let is_declared = |(column, labels): (&ArrayRef, &Option<Vec<String>>)| {
        let Some(labels) = labels else { return true };
        let mut said = column.as_string::<i32>().iter().flatten();
        said.all(|label| labels.iter().any(|known| known == label))
    };
    let mut columns = batches.iter().flat_map(|batch| batch.columns().iter().zip(&labels));
    columns.all(is_declared)
}

/// A count is a number of people or rows, and of no fewer people than the receipt says that a cell has; rounded, or from an
/// earlier answer under a smaller minimum, it may be less.
fn counts_are_sound(batches: &[RecordBatch], query: &Query, receipt: &Receipt) -> bool {
    let Query::Release(query) = query else { return true };
    let is_of_now = receipt.round_to.is_none() && receipt.kept_values == 0;
    let least = receipt.min_people.filter(|_| is_of_now).map_or(0, i64::from);
    let is_count = |output: &Output| match output.source {
        OutputSource::Aggregate(at) => matches!(
            query.aggregates[at].function,
            Function::CountRows | Function::Count(_) | Function::CountPeople(_)
        ),
        OutputSource::Group(_) => false,
    };
    let is_sound = |batch: &RecordBatch| {
        let counts = batch.columns().iter().zip(&query.outputs);
        let counts = counts.filter(|(_, output)| is_count(output));
        counts.into_iter().all(|(column, _)| {
            let counts = column.as_primitive_opt::<Int64Type>();
            counts.is_some_and(|counts| counts.iter().flatten().all(|count| count >= least))
        })
    };
    batches.iter().all(is_sound)
}

/// What each row says of the values that are withheld in it. None unless exactly those that are missing are named.
fn withheld(batches: &[RecordBatch], query: &Query, is_guarded: bool) -> Option<Vec<BTreeMap<usize, Reason>>> {
    let rows = batches
        .iter()
        .flat_map(|batch| (0..batch.num_rows()).map(move |row| (batch, row)));
    let Query::Release(query) = query else {
        return Some(rows.map(|_| BTreeMap::new()).collect());
    };
    let of_row = |(batch, row): (&RecordBatch, usize)| {
        let mut named = named(batch, row)?;
        let mut reasons = BTreeMap::new();
        for (column, output) in batch.columns().iter().zip(&query.outputs) {
            let OutputSource::Aggregate(at) = output.source else {
                continue;
            };
            match (column.is_null(row), named.remove(output.name.as_str())) {
                (true, Some(reason)) => drop(reasons.insert(at, reason)),
                // Without a minimum of people a number that is missing is data.
                (true, None) if !is_guarded => {}
                (false, None) => {}
                (true, None) | (false, Some(_)) => return None,
            }
        }
        named.is_empty().then_some(reasons)
    };
    rows.map(of_row).collect()
}

/// Columns and reasons of a row's last column: `a1: dominance; a2: few-people`.
fn named(batch: &RecordBatch, row: usize) -> Option<BTreeMap<&str, Reason>> {
    let Some(column) = batch.column_by_name(WITHHELD_COLUMN) else {
        return Some(BTreeMap::new());
    };
    let text = match column.is_null(row) {
        true => return Some(BTreeMap::new()),
        false => column.as_string_opt::<i32>()?.value(row),
    };
    let parts = text.split("; ").map(|part| part.split_once(": "));
    let parts = parts.map(|part| part.and_then(|(name, code)| Some((name, Reason::of_code(code)?))));
    parts.collect()
}

fn odd(node: &MemberId, what: &str) -> Report {
    Problem::Answer.report(format!("the answer of {node} was left out: {what}"))
}

#[cfg(test)]
mod tests;
