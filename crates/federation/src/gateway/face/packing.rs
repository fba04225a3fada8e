//! What goes over the wire: schemas, flight infos, streams of rows, and the values that a client sends.

use std::pin::Pin;

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::sql::{Any, ProstMessageExt};
use arrow_flight::{FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use prost::Message;
use prost::bytes::Bytes;
use terms::{Problem, Report, limit};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status};
use wire::status::{Ended, to_status};

use crate::gateway::told::{self, ResultSet, unencoded};
use crate::parameters::Parameters;

pub(super) type Sent<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
pub(super) type DoGet = Result<Response<Sent<FlightData>>, Status>;
pub(super) type Info = Result<Response<FlightInfo>, Status>;

pub(in crate::gateway) fn status(report: Report) -> Status {
    to_status(&Ended::from(report))
}

pub(super) fn encoded(schema: &Schema) -> Result<Bytes, Report> {
    let message = IpcMessage::try_from(SchemaAsIpc::new(schema, &IpcWriteOptions::default()));
    Ok(message.map_err(|error| unencoded(&error))?.0)
}

pub(super) fn info(schema: Option<&Schema>, ticket: Any, descriptor: FlightDescriptor) -> Result<FlightInfo, Report> {
    let info = FlightInfo::new();
    let info = match schema {
        Some(schema) => info.try_with_schema(schema).map_err(|error| unencoded(&error))?,
        None => info,
    };
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket.encode_to_vec()));
    let info = info.with_descriptor(descriptor).with_endpoint(endpoint);
    Ok(info.with_total_records(-1).with_total_bytes(-1))
}

/// A list: its ticket is the command itself, which says nothing that the client does not know.
pub(super) fn list_info(
    batch: Result<RecordBatch, Report>,
    command: &impl ProstMessageExt,
    request: Request<FlightDescriptor>,
) -> Info {
    let info = batch.and_then(|batch| info(Some(&batch.schema()), command.as_any(), request.into_inner()));
    info.map(Response::new).map_err(status)
}

pub(super) fn list(batch: Result<RecordBatch, Report>) -> DoGet {
    let batch = batch.map_err(status)?;
    let data = FlightDataEncoderBuilder::new().with_schema(batch.schema());
    Ok(sent(data.build(stream::iter([Ok(batch)]))))
}

pub(super) fn sent(
    data: impl Stream<Item = Result<FlightData, FlightError>> + Send + 'static,
) -> Response<Sent<FlightData>> {
    let data = data.map_err(|error| match error {
        FlightError::Tonic(ended) => *ended,
        other => status(unencoded(&other)),
    });
    Response::new(data.boxed())
}

/// The rows as they are sent, with the memory that they take.
pub(super) fn encoded_answer(answer: ResultSet) -> impl Stream<Item = Result<FlightData, FlightError>> {
    let ResultSet { schema, batches, room } = answer;
    let data = FlightDataEncoderBuilder::new().with_schema(schema);
    data.build(stream::iter(batches.into_iter().map(Ok))).map(move |item| {
        let _room = &room;
        item
    })
}

/// The one set of values that a client binds.
pub(super) async fn bound(request: Request<PeekableFlightDataStream>) -> Result<Parameters, Report> {
    let unreadable = || Problem::Parameters.report("the values cannot be read");
    let mut received = 0;
    let messages = request.into_inner().map(move |message| {
        let message = message.map_err(|status| FlightError::Tonic(Box::new(status)))?;
        received += message.data_header.len() + message.data_body.len();
        match received > limit::MESSAGE_BYTES_MAX {
            true => Err(FlightError::protocol("too large")),
            false => Ok(message),
        }
    });
    // In a task of its own: what is not Arrow can make the decoder panic, and ends no more than this.
    let decoded = tokio::spawn(FlightRecordBatchStream::new_from_flight_data(messages).try_collect());
    let decoded = AbortOnDropHandle::new(decoded).await.map_err(|_| unreadable())?;
    let batches: Vec<RecordBatch> = decoded.map_err(|_: FlightError| unreadable())?;
    match batches
        .iter()
        .filter(|batch| batch.num_columns() > 0)
        .collect::<Vec<_>>()
        .as_slice()
    {
        [] => Ok(Parameters::default()),
        [batch] => Parameters::of_row(&told::plain_batch(batch)?),
        _ => Err(Problem::Parameters.report("there are several sets of values; a question is asked with one")),
    }
}
