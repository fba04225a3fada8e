//! Whether one node would answer one leaf: prove, ask, check what it says.

use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use engine::Query;
use futures::TryStreamExt;
use prost::Message;
use terms::{CollectionId, UtcTime};
use trust::{Digest, Proof};
use wire::Connection;
use wire::dry_run::{ACTION, RESPONSE_BYTES_MAX, WouldAllow};
use wire::status::Ended;
use wire::v1::DryRunRequest;

use super::{Errand, Peer, odd};

impl Errand {
    /// Asks a node whether it would answer. It says so of exactly the collections that are asked and under the permit that is named, or
    /// it is not believed.
    pub(crate) async fn ask_whether(
        &self,
        peer: &Peer,
        query: &Query,
        connection: &Connection,
        now: UtcTime,
    ) -> Result<WouldAllow, Ended> {
        let sql = query.to_string();
        let proof = Proof {
            node: peer.member.to_string(),
            query: Digest::of(sql.as_bytes()),
            purpose: self.purpose,
            permit: self.permit.clone(),
            request: None,
            channel: connection.binding()?,
        };
        let action = Action::new(ACTION, DryRunRequest { sql }.encode_to_vec());
        let request = self.accompany(action, &proof, now)?;
        let ended = |status: tonic::Status| wire::status::from_status(&status, peer.member.as_str());
        let client = FlightServiceClient::new(connection.grpc.clone());
        let mut client = client.max_decoding_message_size(2 * RESPONSE_BYTES_MAX);
        let said = client.do_action(request).await.map_err(ended)?.into_inner();
        // One more than there must be, and no more of them.
        let said = futures::StreamExt::take(said, 2).try_collect::<Vec<_>>().await;
        let would = match said.map_err(ended)?.as_slice() {
            [only] => WouldAllow::parse(&only.body),
            _ => None,
        };
        let joined = query.joins().iter().map(|join| &join.collection);
        let asked: Vec<&CollectionId> = std::iter::once(query.collection()).chain(joined).collect();
        would
            .filter(|would| would.rules.iter().map(|rule| &rule.collection).eq(asked))
            .filter(|would| would.permit == self.permit)
            .ok_or_else(|| odd(&peer.member, "it does not say rightly whether it would answer").into())
    }
}
