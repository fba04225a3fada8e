//! Flight SQL: unpack, call `query.rs`, pack. A ticket names a query and is never a right.
//!
//! What is not implemented here is refused by the trait's defaults.

use std::pin::Pin;
use std::sync::Arc;

use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt, SqlInfo, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use futures::{Stream, StreamExt, TryStreamExt};
use prost::Message;
use terms::{Problem, Report};
use tonic::{Request, Response, Status};
use wire::PeerInfo;
use wire::status::{Ended, to_status};
use wire::v1::QueryTicket;

use crate::delivery::deliver;
use crate::query::{Answer, Arrival, Desk, unfinished};

/// The Flight SQL face of a node.
#[derive(Clone, Debug)]
pub(crate) struct Face(pub(crate) Arc<Desk>);

type DoGetStream = Pin<Box<dyn Stream<Item = Result<arrow_flight::FlightData, Status>> + Send>>;

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
        let Answer {
            schema,
            batches,
            receipt,
            access,
        } = answer;
        let receipt = serde_json::to_vec(&receipt);
        let receipt = receipt.map_err(|_| status(Problem::Internal.report("the receipt cannot be encoded")))?;
        let batches = deliver(&self.0, access, batches);
        let data: DoGetStream = FlightDataEncoderBuilder::new()
            .with_schema(schema)
            .with_options(IpcWriteOptions::default())
            .build(batches.map_err(|ended| FlightError::Tonic(Box::new(to_status(&ended)))))
            .map_err(|error| match error {
                FlightError::Tonic(ended) => *ended,
                _ => status(unfinished()),
            })
            .boxed();
        let mut response = Response::new(data);
        wire::header::attach_receipt(response.metadata_mut(), &receipt);
        Ok(response)
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
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
