//! Flight SQL: unpack, ask, pack. A ticket names a question of its connection and nothing else.
//!
//! What is not implemented here is refused by the trait's defaults: updates, transactions, ingestion, Substrait.

use std::pin::Pin;
use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandGetCatalogs,
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandStatementQuery, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo,
    TicketStatementQuery,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightData, FlightDescriptor,
    FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage, SchemaAsIpc, Ticket,
};
use futures::{Stream, StreamExt, TryFutureExt, TryStreamExt, stream};
use prost::Message;
use prost::bytes::Bytes;
use terms::{Problem, Report, limit};
use tokio_util::task::AbortOnDropHandle;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};
use wire::status::{Ended, to_status};

use super::actions::{
    CloseSessionResult, CloseStatus, GetSessionOptionsResult, OptionError, OptionErrorValue, SetSessionOptionsRequest,
    SetSessionOptionsResult,
};
use super::connection::{Running, Session};
use super::door::{AUTHORIZATION, Token};
use super::options::{NAMES, Options, Wrong};
use super::told::{self, ResultSet, unencoded};
use super::{Asked, Gateway, own, tables};
use crate::ask::Asker;
use crate::parameters::Parameters;
use crate::split::Description;

const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";
const SET_SESSION_OPTIONS: &str = "SetSessionOptions";
const GET_SESSION_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";

/// The Flight SQL face of a gateway.
#[derive(Clone, Debug)]
pub(super) struct Face {
    gateway: Arc<Gateway>,
    token: Token,
}

type Sent<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type DoGet = Result<Response<Sent<FlightData>>, Status>;
type Info = Result<Response<FlightInfo>, Status>;

impl Face {
    pub(super) fn new(gateway: Arc<Gateway>, token: Token) -> Self {
        Self { gateway, token }
    }

    fn options(&self, session: &Session, headers: &MetadataMap) -> Result<Options, Report> {
        let of_call = Options::of_headers(headers)?;
        Ok(of_call.or(&session.options()).or(&self.gateway.defaults))
    }

    /// Keeps a question, and says where its answer is fetched. `schema` is what is known of it before.
    fn keep(
        &self,
        asked: Asked,
        schema: Option<&Schema>,
        request: Request<FlightDescriptor>,
    ) -> Result<FlightInfo, Report> {
        let session = session(&request)?;
        let options = self.options(session, request.metadata())?;
        let statement_handle = session.keep(asked, options)?.into();
        let ticket = TicketStatementQuery { statement_handle }.as_any();
        info(schema, ticket, request.into_inner())
    }

    /// Asks the question of a ticket, and sends the answer until it ends or is not wanted any more. Who drops what is sent drops
    /// the question, and the memory of the answer.
    fn deliver(&self, session: Arc<Session>, running: Running) -> Response<Sent<FlightData>> {
        let gateway = Arc::clone(&self.gateway);
        let Running {
            asked,
            options,
            unwanted,
            done,
        } = running;
        let answer = async move {
            let answer = gateway.ask(&session, &options, asked).await;
            let answer = answer.and_then(|answer| answer.within(&gateway.room));
            answer
                .map(encoded_answer)
                .map_err(|report| FlightError::from(status(report)))
        };
        let was_unwanted = unwanted.clone();
        let ended = stream::once(async move { was_unwanted.is_cancelled() }).filter_map(|is_cancelled| async move {
            is_cancelled.then(|| Err(FlightError::from(Status::cancelled("the question was cancelled"))))
        });
        let data = answer.try_flatten_stream().take_until(unwanted.cancelled_owned());
        sent(data.chain(ended).map(move |item| {
            let _running = &done;
            item
        }))
    }

    async fn describe(&self, session: &Session, sql: &str) -> Result<Description, Report> {
        match own::plan(sql, &session.last()).await? {
            Some(own) => own.describe(),
            None => self.asker().await?.describe(sql).await,
        }
    }

    async fn prepare(
        &self,
        sql: String,
        request: &Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Report> {
        let session = session(request)?;
        let Description { schema, parameters } = self.describe(session, &sql).await?;
        let handle = session.prepare(Asked::without_values(sql))?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.into(),
            dataset_schema: encoded(&told::portable(&schema))?,
            parameter_schema: encoded(&told::portable(&parameters))?,
        })
    }

    async fn asker(&self) -> Result<Arc<Asker>, Report> {
        self.gateway.asker().await
    }

    async fn tables(&self, command: CommandGetTables) -> Result<RecordBatch, Report> {
        tables::tables(command, &self.asker().await?.queryable())
    }
}

/// The state of the connection that a call came on.
fn session<T>(request: &Request<T>) -> Result<&Arc<Session>, Report> {
    let session = request.extensions().get::<Arc<Session>>();
    session.ok_or_else(|| Problem::Internal.report("the call came on no connection"))
}

fn status(report: Report) -> Status {
    to_status(&Ended::from(report))
}

fn encoded(schema: &Schema) -> Result<Bytes, Report> {
    let message = IpcMessage::try_from(SchemaAsIpc::new(schema, &IpcWriteOptions::default()));
    Ok(message.map_err(|error| unencoded(&error))?.0)
}

fn info(schema: Option<&Schema>, ticket: Any, descriptor: FlightDescriptor) -> Result<FlightInfo, Report> {
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
fn list_info(
    batch: Result<RecordBatch, Report>,
    command: &impl ProstMessageExt,
    request: Request<FlightDescriptor>,
) -> Info {
    let info = batch.and_then(|batch| info(Some(&batch.schema()), command.as_any(), request.into_inner()));
    info.map(Response::new).map_err(status)
}

fn list(batch: Result<RecordBatch, Report>) -> DoGet {
    let batch = batch.map_err(status)?;
    let data = FlightDataEncoderBuilder::new().with_schema(batch.schema());
    Ok(sent(data.build(stream::iter([Ok(batch)]))))
}

fn sent(data: impl Stream<Item = Result<FlightData, FlightError>> + Send + 'static) -> Response<Sent<FlightData>> {
    let data = data.map_err(|error| match error {
        FlightError::Tonic(ended) => *ended,
        other => status(unencoded(&other)),
    });
    Response::new(data.boxed())
}

/// The rows as they are sent, with the memory that they take.
fn encoded_answer(answer: ResultSet) -> impl Stream<Item = Result<FlightData, FlightError>> {
    let ResultSet { schema, batches, room } = answer;
    let data = FlightDataEncoderBuilder::new().with_schema(schema);
    data.build(stream::iter(batches.into_iter().map(Ok))).map(move |item| {
        let _room = &room;
        item
    })
}

/// The one set of values that a client binds.
async fn bound(request: Request<PeekableFlightDataStream>) -> Result<Parameters, Report> {
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

#[tonic::async_trait]
impl FlightSqlService for Face {
    type FlightService = Face;

    /// Only who has the token comes here; they are told the header to send from now on.
    async fn do_handshake(
        &self,
        _request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Sent<HandshakeResponse>>, Status> {
        let answer = HandshakeResponse {
            protocol_version: 0,
            payload: Bytes::new(),
        };
        let mut response = Response::new(stream::iter([Ok(answer)]).boxed() as Sent<_>);
        let bearer = self.token.as_bearer().parse();
        let bearer = bearer.map_err(|_| status(Problem::Internal.report("the token is no header")))?;
        response.metadata_mut().insert(AUTHORIZATION, bearer);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        if query.transaction_id.is_some() {
            return Err(status(Problem::SqlNotAllowed.report("there are no transactions")));
        }
        let described = async {
            let Description { schema, .. } = self.describe(session(&request)?, &query.query).await?;
            self.keep(
                Asked::without_values(query.query),
                Some(&told::portable(&schema)),
                request,
            )
        };
        described.await.map(Response::new).map_err(status)
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, request: Request<Ticket>) -> DoGet {
        let session = session(&request).map_err(status)?;
        let running = session.fetch(&ticket.statement_handle).map_err(status)?;
        Ok(self.deliver(Arc::clone(session), running))
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        if query.transaction_id.is_some() {
            return Err(status(Problem::SqlNotAllowed.report("there are no transactions")));
        }
        self.prepare(query.query, &request).await.map_err(status)
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        session(&request)
            .map_err(status)?
            .close(&query.prepared_statement_handle);
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let handle = query.prepared_statement_handle;
        let session = Arc::clone(session(&request).map_err(status)?);
        let parameters = bound(request).await.map_err(status)?;
        let set = session.with_prepared(&handle, |asked| asked.parameters = parameters);
        set.map_err(status)?;
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(handle),
        })
    }

    /// Without columns: the client has the planned ones since it prepared the statement, and takes those of the answer, in which it is
    /// said who took part.
    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let asked = session(&request).and_then(|session| session.prepared(&query.prepared_statement_handle));
        let info = asked.and_then(|asked| self.keep(asked, None, request));
        info.map(Response::new).map_err(status)
    }

    async fn get_flight_info_catalogs(&self, query: CommandGetCatalogs, request: Request<FlightDescriptor>) -> Info {
        list_info(tables::catalogs(query), &query, request)
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, _request: Request<Ticket>) -> DoGet {
        list(tables::catalogs(query))
    }

    async fn get_flight_info_schemas(&self, query: CommandGetDbSchemas, request: Request<FlightDescriptor>) -> Info {
        list_info(tables::schemas(query.clone()), &query, request)
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, _request: Request<Ticket>) -> DoGet {
        list(tables::schemas(query))
    }

    async fn get_flight_info_tables(&self, query: CommandGetTables, request: Request<FlightDescriptor>) -> Info {
        list_info(self.tables(query.clone()).await, &query, request)
    }

    async fn do_get_tables(&self, query: CommandGetTables, _request: Request<Ticket>) -> DoGet {
        list(self.tables(query).await)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list_info(tables::types(query), &query, request)
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, _request: Request<Ticket>) -> DoGet {
        list(tables::types(query))
    }

    async fn get_flight_info_sql_info(&self, query: CommandGetSqlInfo, request: Request<FlightDescriptor>) -> Info {
        list_info(tables::sql_info(query.clone()), &query, request)
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, _request: Request<Ticket>) -> DoGet {
        list(tables::sql_info(query))
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list_info(tables::column_types(query), &query, request)
    }

    async fn do_get_xdbc_type_info(&self, query: CommandGetXdbcTypeInfo, _request: Request<Ticket>) -> DoGet {
        list(tables::column_types(query))
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list_info(Ok(tables::primary_keys()), &query, request)
    }

    async fn do_get_primary_keys(&self, _query: CommandGetPrimaryKeys, _request: Request<Ticket>) -> DoGet {
        list(Ok(tables::primary_keys()))
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list_info(Ok(tables::foreign_keys()), &query, request)
    }

    async fn do_get_exported_keys(&self, _query: CommandGetExportedKeys, _request: Request<Ticket>) -> DoGet {
        list(Ok(tables::foreign_keys()))
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list_info(Ok(tables::foreign_keys()), &query, request)
    }

    async fn do_get_imported_keys(&self, _query: CommandGetImportedKeys, _request: Request<Ticket>) -> DoGet {
        list(Ok(tables::foreign_keys()))
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Info {
        list_info(Ok(tables::foreign_keys()), &query, request)
    }

    async fn do_get_cross_reference(&self, _query: CommandGetCrossReference, _request: Request<Ticket>) -> DoGet {
        list(Ok(tables::foreign_keys()))
    }

    async fn do_action_cancel_query(
        &self,
        query: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let info = FlightInfo::decode(query.info).map_err(|_| status(unreadable()))?;
        // CANCEL_RESULT_CANCELLED or CANCEL_RESULT_NOT_CANCELLABLE.
        let result = if cancel(&request, &info).map_err(status)? { 1 } else { 3 };
        Ok(ActionCancelQueryResult { result })
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Sent<arrow_flight::Result>>, Status> {
        let Action { r#type, body } = request.get_ref().clone();
        let done = match r#type.as_str() {
            CANCEL_FLIGHT_INFO => cancel_flight_info(&request, body),
            SET_SESSION_OPTIONS => set_session_options(&request, body),
            GET_SESSION_OPTIONS => get_session_options(&request),
            CLOSE_SESSION => close_session(&request),
            _ => Err(Problem::SqlNotAllowed.report("there is no action of that name")),
        };
        let body = done.map_err(status)?.into();
        Ok(Response::new(stream::iter([Ok(arrow_flight::Result { body })]).boxed()))
    }

    async fn list_custom_actions(&self) -> Option<Vec<Result<ActionType, Status>>> {
        let actions = [
            (
                CANCEL_FLIGHT_INFO,
                "Drops a question that waits or runs, or its answer on its way.",
            ),
            (
                SET_SESSION_OPTIONS,
                "Sets purpose, permit, minimum_nodes or timeout_seconds for this connection.",
            ),
            (GET_SESSION_OPTIONS, "Tells what is set."),
            (
                CLOSE_SESSION,
                "Forgets all that was set, prepared and asked on this connection.",
            ),
        ];
        let action = |(name, description): (&str, &str)| ActionType {
            r#type: name.to_owned(),
            description: description.to_owned(),
        };
        Some(actions.map(|named| Ok(action(named))).into())
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}

fn unreadable() -> Report {
    Problem::SqlNotAllowed.report("the call cannot be read")
}

/// Drops the question that a flight info names. Whether there was one.
fn cancel(request: &Request<Action>, info: &FlightInfo) -> Result<bool, Report> {
    let session = session(request)?;
    let tickets = info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref());
    let handles = tickets.filter_map(|ticket| {
        let ticket: Option<TicketStatementQuery> = Any::decode(&*ticket.ticket).ok()?.unpack().ok()?;
        Some(ticket?.statement_handle)
    });
    Ok(handles.fold(false, |any, handle| any | session.cancel(&handle)))
}

fn cancel_flight_info(request: &Request<Action>, body: Bytes) -> Result<Vec<u8>, Report> {
    let CancelFlightInfoRequest { info } = Message::decode(body).map_err(|_| unreadable())?;
    let cancelled = cancel(request, &info.ok_or_else(unreadable)?)?;
    let status = match cancelled {
        true => CancelStatus::Cancelled,
        false => CancelStatus::NotCancellable,
    };
    Ok(CancelFlightInfoResult { status: status as i32 }.encode_to_vec())
}

/// Sets all options that can be set, and tells of each other one why not.
fn set_session_options(request: &Request<Action>, body: Bytes) -> Result<Vec<u8>, Report> {
    let SetSessionOptionsRequest { session_options } = Message::decode(body).map_err(|_| unreadable())?;
    let session = session(request)?;
    let mut options = session.options();
    let errors = session_options.into_iter().filter_map(|(name, value)| {
        let value = match options.set(&name, &value.text()).err()? {
            Wrong::Name => OptionErrorValue::InvalidName,
            Wrong::Value(_) => OptionErrorValue::InvalidValue,
        };
        Some((name, OptionError { value: value as i32 }))
    });
    let errors = errors.collect();
    session.set(options);
    Ok(SetSessionOptionsResult { errors }.encode_to_vec())
}

fn get_session_options(request: &Request<Action>) -> Result<Vec<u8>, Report> {
    let options = session(request)?.options();
    let set = NAMES
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), options.value(name)?.into())));
    let session_options = set.collect();
    Ok(GetSessionOptionsResult { session_options }.encode_to_vec())
}

fn close_session(request: &Request<Action>) -> Result<Vec<u8>, Report> {
    session(request)?.end();
    let status = CloseStatus::Closed as i32;
    Ok(CloseSessionResult { status }.encode_to_vec())
}
