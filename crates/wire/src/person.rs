//! A person as a broker sees them: the proofs that accompany their calls to it.
//!
//! A proof holds on one connection. If that was renewed between the proof and the call, the call is made once more.

use std::sync::Arc;
use std::time::Duration;

use terms::{Clock, MemberId, Problem, Report, SpaceId, limit};
use tonic::Request;
use trust::{Channel, Digest, Proof, SigningKey};

use crate::connect::Connection;
use crate::description::{BROKER_AUDIENCE, DISCOVER_QUERY};
use crate::header::{self, Tokens};
use crate::relay::{self, Carried};
use crate::status::from_status;
use crate::v1::DiscoverRequest;
use crate::v1::catalog_service_client::CatalogServiceClient;

/// Somebody who may call a broker, with key and credential.
#[derive(Debug)]
pub struct Person {
    /// The data space.
    pub space: SpaceId,
    /// The person's key.
    pub key: Arc<SigningKey>,
    /// The institution's word for the person.
    pub credential: String,
    /// For the time in proofs.
    pub clock: Arc<dyn Clock>,
}

impl Person {
    /// The sealed descriptions of the nodes that the person may know of, unverified.
    ///
    /// # Errors
    /// Why the broker does not tell them, or [`Problem::Unreachable`].
    pub async fn discover(&self, broker: &Connection) -> Result<Vec<Vec<u8>>, Report> {
        let channel = broker.binding()?;
        let outcome = self.discover_on(broker, channel).await;
        match renewed(broker, channel, &outcome)? {
            Some(renewed) => self.discover_on(broker, renewed).await,
            None => outcome,
        }
    }

    /// Reaches a node through the broker. What comes is not yet known to be that node.
    ///
    /// # Errors
    /// As [`relay::reach`].
    pub async fn reach(&self, broker: &Connection, node: &MemberId) -> Result<Carried, Report> {
        let channel = broker.binding()?;
        let outcome = self.reach_on(broker, node, channel).await;
        match renewed(broker, channel, &outcome)? {
            Some(renewed) => self.reach_on(broker, node, renewed).await,
            None => outcome,
        }
    }

    async fn discover_on(&self, broker: &Connection, channel: Channel) -> Result<Vec<Vec<u8>>, Report> {
        let asked = DiscoverRequest {
            space: self.space.to_string(),
        };
        let proof = self.prove(channel, DISCOVER_QUERY)?;
        let mut request = Request::new(asked);
        header::attach(request.metadata_mut(), self.tokens(&proof))?;
        let mut catalog = CatalogServiceClient::new(broker.grpc.clone());
        let seconds = limit::CATALOG_SECONDS_MAX;
        let response = tokio::time::timeout(Duration::from_secs(seconds), catalog.discover(request)).await;
        let late = |_| Problem::Unreachable.report(format!("the broker did not answer within {seconds} s"));
        let response = response.map_err(late)?;
        let response = response.map_err(|status| from_status(&status, "the broker").report)?;
        Ok(response.into_inner().envelopes)
    }

    async fn reach_on(&self, broker: &Connection, node: &MemberId, channel: Channel) -> Result<Carried, Report> {
        let proof = self.prove(channel, relay::reach_query(node).as_bytes())?;
        relay::reach(broker, &self.space, node, self.tokens(&proof)).await
    }

    fn tokens<'a>(&'a self, proof: &'a str) -> Tokens<'a> {
        Tokens {
            credential: &self.credential,
            proof,
            request: None,
        }
    }

    fn prove(&self, channel: Channel, query: &[u8]) -> Result<String, Report> {
        let proof = Proof {
            node: BROKER_AUDIENCE.to_owned(),
            query: Digest::of(query),
            purpose: None,
            permit: None,
            request: None,
            channel,
        };
        let issued = proof.issue(&self.key, self.clock.now());
        issued.map_err(|error| Problem::TokenMalformed.report(error.to_string()))
    }
}

/// What a call that failed is to be bound to instead, if the connection was renewed meanwhile.
fn renewed<T>(broker: &Connection, before: Channel, outcome: &Result<T, Report>) -> Result<Option<Channel>, Report> {
    let now = broker.binding()?;
    Ok((outcome.is_err() && now != before).then_some(now))
}
