//! Flight itself: what the library makes of Flight SQL, and the two calls that it leaves out, GetSchema and PollFlightInfo.

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, PollInfo, SchemaResult, Ticket,
};
use tonic::{Request, Response, Status, Streaming};

use super::face::{Face, status};

/// All calls of Flight.
#[derive(Clone, Debug)]
pub(super) struct Flight(pub(super) Face);

type Call<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl FlightService for Flight {
    type HandshakeStream = <Face as FlightService>::HandshakeStream;
    type ListFlightsStream = <Face as FlightService>::ListFlightsStream;
    type DoGetStream = <Face as FlightService>::DoGetStream;
    type DoPutStream = <Face as FlightService>::DoPutStream;
    type DoExchangeStream = <Face as FlightService>::DoExchangeStream;
    type DoActionStream = <Face as FlightService>::DoActionStream;
    type ListActionsStream = <Face as FlightService>::ListActionsStream;

    /// The columns of what a descriptor asks for. Of a list they are in its flight info, which keeps nothing.
    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Call<SchemaResult> {
        let schema = match self.0.schema(&request).await.map_err(status)? {
            Some(schema) => schema,
            None => self.get_flight_info(request).await?.into_inner().schema,
        };
        Ok(Response::new(SchemaResult { schema }))
    }

    /// The flight info at once, and nothing to poll for: a question is asked when its answer is fetched.
    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Call<PollInfo> {
        let info = self.get_flight_info(request).await?.into_inner();
        Ok(Response::new(
            PollInfo::new()
                .with_info(info)
                .try_with_progress(1.0)
                .map_err(|error| Status::internal(error.to_string()))?,
        ))
    }

    async fn handshake(&self, request: Request<Streaming<HandshakeRequest>>) -> Call<Self::HandshakeStream> {
        self.0.handshake(request).await
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Call<Self::ListFlightsStream> {
        self.0.list_flights(request).await
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Call<FlightInfo> {
        self.0.get_flight_info(request).await
    }

    async fn do_get(&self, request: Request<Ticket>) -> Call<Self::DoGetStream> {
        self.0.do_get(request).await
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Call<Self::DoPutStream> {
        self.0.do_put(request).await
    }

    async fn do_exchange(&self, request: Request<Streaming<FlightData>>) -> Call<Self::DoExchangeStream> {
        self.0.do_exchange(request).await
    }

    async fn do_action(&self, request: Request<Action>) -> Call<Self::DoActionStream> {
        self.0.do_action(request).await
    }

    async fn list_actions(&self, request: Request<Empty>) -> Call<Self::ListActionsStream> {
        self.0.list_actions(request).await
    }
}
