//! Actions on a connection besides those of Flight SQL: a question is dropped, options are set and told, all is forgotten.

use std::sync::Arc;

use arrow_flight::sql::{ActionCancelQueryRequest, ActionCancelQueryResult, Any, TicketStatementQuery};
use arrow_flight::{Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo};
use prost::Message;
use prost::bytes::Bytes;
use terms::{Problem, Report};
use tonic::Request;

use crate::gateway::actions::{
    CloseSessionResult, CloseStatus, GetSessionOptionsResult, OptionError, OptionErrorValue, SetSessionOptionsRequest,
    SetSessionOptionsResult,
};
use crate::gateway::connection::Session;
use crate::gateway::options::{NAMES, Wrong};

const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";
const SET_SESSION_OPTIONS: &str = "SetSessionOptions";
const GET_SESSION_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";

/// The state of the connection that a call came on.
pub(super) fn session<T>(request: &Request<T>) -> Result<&Arc<Session>, Report> {
    let session = request.extensions().get::<Arc<Session>>();
    session.ok_or_else(|| Problem::Internal.report("the call came on no connection"))
}

/// What can be done, for clients that ask.
pub(super) fn actions() -> [ActionType; 4] {
    [
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
    ]
    .map(|(name, description)| ActionType {
        r#type: name.to_owned(),
        description: description.to_owned(),
    })
}

/// Does what the call names, and says what came of it.
pub(super) fn act(request: &Request<Action>) -> Result<Vec<u8>, Report> {
    let Action { r#type, body } = request.get_ref().clone();
    match r#type.as_str() {
        CANCEL_FLIGHT_INFO => cancel_flight_info(request, body),
        SET_SESSION_OPTIONS => set_session_options(request, body),
        GET_SESSION_OPTIONS => get_session_options(request),
        CLOSE_SESSION => close_session(request),
        _ => Err(Problem::SqlNotAllowed.report("there is no action of that name")),
    }
}

pub(super) fn cancel_query(
    request: &Request<Action>,
    query: ActionCancelQueryRequest,
) -> Result<ActionCancelQueryResult, Report> {
    let info = FlightInfo::decode(query.info).map_err(|_| unreadable())?;
    // CANCEL_RESULT_CANCELLED or CANCEL_RESULT_NOT_CANCELLABLE.
    let result = if cancel(request, &info)? { 1 } else { 3 };
    Ok(ActionCancelQueryResult { result })
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
