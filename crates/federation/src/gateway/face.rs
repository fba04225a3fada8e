//! Flight SQL: unpack, ask, pack. A ticket names a question of its connection and nothing else.
//!
//! What is not implemented here is refused by the trait's defaults: updates, transactions, ingestion, Substrait.

mod acting;
mod packing;

use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, Command, CommandGetCatalogs,
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandStatementQuery, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo,
    TicketStatementQuery,
};
use arrow_flight::{
    Action, ActionType, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, Ticket,
};
use futures::{StreamExt, TryFutureExt, stream};
use prost::Message;
use prost::bytes::Bytes;
use terms::{Problem, Report};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use self::acting::session;
pub(super) use self::packing::status;
use self::packing::{DoGet, Info, Sent, bound, encoded, encoded_answer, info, list, list_info, sent};
use super::connection::{Running, Session};
use super::door::{AUTHORIZATION, Token};
use super::options::Options;
use super::{Asked, Gateway, called, own, tables, told};
use crate::ask::Asker;
use crate::split::Description;

/// The Flight SQL face of a gateway.
#[derive(Clone, Debug)]
pub(super) struct Face {
    gateway: Arc<Gateway>,
    token: Token,
}

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
        if let Some(called) = called::parse(sql)? {
            return called.described();
        }
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

    /// The columns that the answer to a statement will have, if a descriptor is about one: nothing is kept.
    pub(super) async fn schema(&self, request: &Request<FlightDescriptor>) -> Result<Option<Bytes>, Report> {
        let command = Any::decode(&*request.get_ref().cmd).ok().map(Command::try_from);
        let sql = match command {
            Some(Ok(Command::CommandStatementQuery(query))) => query.query,
            Some(Ok(Command::CommandPreparedStatementQuery(query))) => {
                session(request)?.prepared(&query.prepared_statement_handle)?.sql
            }
            _ => return Ok(None),
        };
        let Description { schema, .. } = self.describe(session(request)?, &sql).await?;
        encoded(&told::portable(&schema)).map(Some)
    }

    async fn asker(&self) -> Result<Arc<Asker>, Report> {
        self.gateway.asker().await
    }

    async fn tables(&self, command: CommandGetTables) -> Result<RecordBatch, Report> {
        tables::tables(command, &self.asker().await?.queryable())
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
        acting::cancel_query(&request, query).map_err(status)
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Sent<arrow_flight::Result>>, Status> {
        let body = acting::act(&request).map_err(status)?.into();
        Ok(Response::new(stream::iter([Ok(arrow_flight::Result { body })]).boxed()))
    }

    async fn list_custom_actions(&self) -> Option<Vec<Result<ActionType, Status>>> {
        Some(acting::actions().map(Ok).into())
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}
