//! The relay as a service: what registers a connection is small, what is carried is not, and each has a limit of its own.

use std::convert::Infallible;
use std::task::{Context, Poll};

use tonic::body::Body as Answer;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{Body, BoxFuture, Service, StdError};
use tonic::server::NamedService;
use wire::relay::{HOLD_MESSAGE_BYTES_MAX, RELAY_MESSAGE_BYTES_MAX};
use wire::v1::relay_service_server::RelayServiceServer;

use super::Relay;

/// The path of the method that everybody may call who has proved nothing yet.
const HOLD: &str = "/datenraum.v1.RelayService/Hold";

/// Takes calls for the relay.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    holds: RelayServiceServer<Relay>,
    carries: RelayServiceServer<Relay>,
}

impl Served {
    pub(crate) fn new(relay: Relay) -> Self {
        let limited = |bytes| RelayServiceServer::new(relay.clone()).max_decoding_message_size(bytes);
        Self {
            holds: limited(HOLD_MESSAGE_BYTES_MAX),
            carries: limited(RELAY_MESSAGE_BYTES_MAX),
        }
    }
}

impl NamedService for Served {
    const NAME: &'static str = RelayServiceServer::<Relay>::NAME;
}

impl<B> Service<Request<B>> for Served
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match request.uri().path() {
            HOLD => self.holds.call(request),
            _ => self.carries.call(request),
        }
    }
}
