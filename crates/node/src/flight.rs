//! Flight SQL: unpack, call `query.rs`, pack. A ticket names a query and is never a right.
//!
//! What is not implemented here is refused by the trait's defaults.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::IpcWriteOptions;
use arrow::record_batch::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt, SqlInfo, TicketStatementQuery};
use arrow_flight::utils::batches_to_flight_data;
use arrow_flight::{Action, ActionType, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use prost::Message;
use terms::{Problem, Report};
use tonic::{Request, Response, Status};
use trust::Envelope;
use wire::PeerInfo;
use wire::dry_run;
use wire::status::{Ended, to_status};
use wire::v1::{DryRunRequest, QueryTicket};

use crate::delivery::{Part, deliver, deliver_rows};
use crate::query::{Answer, Answered, Arrival, Desk, unfinished};

/// The Flight SQL face of a node.
#[derive(Clone, Debug)]
pub(crate) struct Face(pub(crate) Arc<Desk>);

type DoActionStream = Pin<Box<dyn Stream<Item = Result<arrow_flight::Result, Status>> + Send>>;

type DoGetStream = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

#[tonic::async_trait]
impl FlightSqlService for Face {
    type FlightService = Face;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        if query.transaction_id.is_some() {
            return Err(status(Problem::SqlNotAllowed.report("there are no transactions")));
        }
        let arrival = arrival(&request).map_err(status)?;
        let schema = self
            .0
            .describe(arrival, &query.query)
            .await
            .map_err(|ended| to_status(&ended))?;
        let handle = QueryTicket { sql: query.query }.encode_to_vec().into();
        let ticket = TicketStatementQuery {
            statement_handle: handle,
        }
        .as_any()
        .encode_to_vec();
        let info = FlightInfo::new()
            .try_with_schema(&schema)
            .map_err(|_| status(Problem::Internal.report("the schema cannot be encoded")))?
            .with_descriptor(request.into_inner())
            // Row counts and sizes are facts about the data: not told here.
            .with_total_records(-1)
            .with_total_bytes(-1)
            .with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(ticket)));
        Ok(Response::new(info))
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let named = QueryTicket::decode(ticket.statement_handle);
        let named = named.map_err(|_| status(Problem::SqlNotAllowed.report("the ticket is not one of this node's")))?;
        let arrival = arrival(&request).map_err(status)?;
        let answer = self
            .0
            .answer(arrival, &named.sql)
            .await
            .map_err(|ended| to_status(&ended))?;
        match answer {
            Answered::Whole(answer) => {
                let Answer {
                    schema,
                    batches,
                    receipt,
                    access,
                } = *answer;
                let receipt = encode(&receipt).map_err(status)?;
                let mut response = Response::new(messages(schema, deliver(&self.0, access, batches)));
                wire::header::attach_receipt(response.metadata_mut(), &receipt);
                Ok(response)
            }
            Answered::Rows(answer) => {
                let schema = SchemaRef::clone(answer.rows.schema());
                Ok(Response::new(messages(schema, deliver_rows(&self.0, *answer))))
            }
        }
    }

    async fn list_custom_actions(&self) -> Option<Vec<Result<ActionType, Status>>> {
        Some(vec![Ok(ActionType {
            r#type: dry_run::ACTION.to_owned(),
            description: "Whether a query would be answered: see dry_run.proto".to_owned(),
        })])
    }

    async fn do_action_fallback(&self, request: Request<Action>) -> Result<Response<DoActionStream>, Status> {
        if request.get_ref().r#type != dry_run::ACTION {
            return Err(Status::invalid_argument("there is no such action"));
        }
        let asked = DryRunRequest::decode(request.get_ref().body.clone());
        let asked = asked.map_err(|_| status(Problem::SqlNotAllowed.report("the action's body cannot be read")))?;
        let arrival = arrival(&request).map_err(status)?;
        let would = self.0.foresee(arrival, &asked.sql).await;
        let would = would.map_err(|ended| to_status(&ended))?.encode();
        let told = arrow_flight::Result::new(would);
        Ok(Response::new(stream::iter([Ok(told)]).boxed()))
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}

/// An answer as messages. A receipt at the end of it is the metadata of a last batch without rows, which other clients than ours
/// read like any other.
fn messages(schema: SchemaRef, parts: impl Stream<Item = Result<Part, Ended>> + Send + 'static) -> DoGetStream {
    let signed: Arc<OnceLock<Envelope>> = Arc::default();
    let last = last(SchemaRef::clone(&schema), Arc::clone(&signed));
    let batches = parts.try_filter_map(move |part| {
        let batch = match part {
            Part::Batch(batch) => Some(batch),
            Part::Receipt(receipt) => signed.set(receipt).err().and(None),
        };
        std::future::ready(Ok(batch))
    });
    FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_options(IpcWriteOptions::default())
        .build(batches.map_err(|ended| FlightError::Tonic(Box::new(to_status(&ended)))))
        .map_err(|error| match error {
            FlightError::Tonic(ended) => *ended,
            _ => status(unfinished()),
        })
        .chain(last)
        .boxed()
}

/// The message with the receipt, if there is one once all batches have gone.
fn last(schema: SchemaRef, signed: Arc<OnceLock<Envelope>>) -> impl Stream<Item = Result<FlightData, Status>> + Send {
    stream::once(async move { signed.get().map(|receipt| with_receipt(&schema, receipt)) })
        .filter_map(std::future::ready)
}

fn with_receipt(schema: &SchemaRef, receipt: &Envelope) -> Result<FlightData, Status> {
    let receipt = encode(receipt).map_err(status)?;
    let empty = batches_to_flight_data(schema, vec![RecordBatch::new_empty(Arc::clone(schema))]);
    let message = empty.ok().and_then(|mut messages| messages.pop());
    let message = message.ok_or_else(|| status(unfinished()))?;
    Ok(message.with_app_metadata(receipt))
}

fn encode(receipt: &Envelope) -> Result<Vec<u8>, Report> {
    let encoded = serde_json::to_vec(receipt);
    encoded.map_err(|_| Problem::Internal.report("the receipt cannot be encoded"))
}

fn arrival<T>(request: &Request<T>) -> Result<Arrival<'_>, Report> {
    let peer = request.extensions().get::<PeerInfo>();
    let peer = peer.ok_or_else(|| Problem::ProofMismatch.report("the request did not come over TLS"))?;
    Ok(Arrival {
        tokens: wire::header::read(request.metadata())?,
        channel: &peer.channel,
    })
}

fn status(report: Report) -> Status {
    to_status(&Ended::from(report))
}
