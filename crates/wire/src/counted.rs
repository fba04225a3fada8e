//! Counts the calls of a server by what they came to. The label of a call is a word of this program, never one of the caller's.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use telemetry::{Answering, Calls, Kind};
use terms::Problem;
use tonic::codegen::http::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::status::Ended;

/// The methods that are told apart. Others do not exist here.
const METHODS: &[(&str, &str)] = &[
    ("/arrow.flight.protocol.FlightService/DoGet", "DoGet"),
    ("/arrow.flight.protocol.FlightService/GetFlightInfo", "GetFlightInfo"),
    ("/arrow.flight.protocol.FlightService/DoAction", "DoAction"),
    ("/datenraum.v1.CatalogService/PublishDescription", "PublishDescription"),
    ("/datenraum.v1.RelayService/Hold", "Hold"),
    ("/datenraum.v1.RelayService/Carry", "Carry"),
    ("/datenraum.v1.RelayService/Reach", "Reach"),
    ("/grpc.health.v1.Health/Check", "HealthCheck"),
    ("/grpc.health.v1.Health/Watch", "HealthWatch"),
];

/// Those that are open for as long as both ends are there.
const HELD: &[&str] = &["Hold", "HealthWatch"];

/// Services whose other methods are counted together.
const SERVICES: &[(&str, &str)] = &[
    ("/arrow.flight.protocol.FlightService/", "Flight"),
    ("/datenraum.v1.CatalogService/", "Catalog"),
    ("/datenraum.v1.GovernanceService/", "Governance"),
];

/// Puts the counting around a server's services.
#[derive(Clone, Debug)]
pub struct CountCalls(pub Calls);

impl<S> Layer<S> for CountCalls {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            inner,
            calls: self.0.clone(),
        }
    }
}

/// Services whose calls are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    calls: Calls,
}

impl<S, Asked, Told> Service<Request<Asked>> for Counted<S>
where
    S: Service<Request<Asked>, Response = Response<Told>>,
    S::Future: Send + 'static,
{
    type Response = Response<CountedBody<Told>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Asked>) -> Self::Future {
        let method = method(request.uri().path());
        let kind = if HELD.contains(&method) { Kind::Held } else { Kind::Work };
        let call = self.calls.begin(method, kind);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            let answering = call.end(outcome(&answer));
            Ok(answer.map(|body| CountedBody { body, answering }))
        })
    }
}

/// An answer on its way.
#[derive(Debug)]
pub struct CountedBody<B> {
    body: B,
    answering: Answering,
}

impl<B: Body + Unpin> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(status) = frame.trailers_ref().and_then(Status::from_header_map)
            && status.code() != Code::Ok
        {
            self.answering.break_off(outcome_of(&status));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn method(path: &str) -> &'static str {
    let named = METHODS.iter().find(|(known, _)| *known == path);
    let of_service = || SERVICES.iter().find(|(known, _)| path.starts_with(known));
    named.or_else(of_service).map_or("other", |(_, name)| *name)
}

/// What an answer came to. One that ends early after it began is counted where it ends.
fn outcome<Told>(answer: &Response<Told>) -> &'static str {
    match Status::from_header_map(answer.headers()) {
        Some(status) => outcome_of(&status),
        None if answer.status().is_success() => "ok",
        None => "other",
    }
}

/// The word for what ended a call: the problem's code, or the status of gRPC if it was none of ours.
pub fn outcome_of(status: &Status) -> &'static str {
    let ended = serde_json::from_slice::<Ended>(status.details());
    let problem = ended.ok().map(|ended| Problem::code(ended.report.problem));
    problem.unwrap_or(match status.code() {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::OutOfRange => "out_of_range",
        Code::ResourceExhausted => "resource_exhausted",
        Code::Unimplemented => "unimplemented",
        Code::Unavailable => "unavailable",
        Code::Internal => "internal",
        Code::NotFound => "not_found",
        _ => "other",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_caller_writes_is_no_label() {
        for path in [
            "/patient/4711",
            "/arrow.flight.protocol.FlightService",
            "//DoGet",
            "/grpc.health.v1.Health/List",
            "",
        ] {
            assert_eq!(method(path), "other", "{path}");
        }
        assert_eq!(method("/arrow.flight.protocol.FlightService/4711"), "Flight");
        assert_eq!(method("/datenraum.v1.RelayService/Hold"), "Hold");
    }

    #[test]
    fn a_refusal_is_counted_under_its_code_and_a_strange_status_under_its_kind() {
        let quota = crate::status::to_status(&Problem::Quota.report("x").into());
        assert_eq!(outcome_of(&quota), "E_QUOTA");
        assert_eq!(outcome_of(&Status::unimplemented("4711")), "unimplemented");
        let answer = Response::builder().status(200).body(()).unwrap();
        assert_eq!(outcome(&answer), "ok");
    }
}
