//! How a node is reached: where it says that it takes connections, or through the broker.
//!
//! Both roads end at whoever holds the key that the roster names, or nowhere.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use terms::{Clock, Problem, Report, SpaceId};
use trust::{Digest, Proof, SigningKey};
use wire::description::BROKER_AUDIENCE;
use wire::header::Tokens;
use wire::{Connection, Dialer, Socket, relay};

use crate::node::Peer;

/// How long the direct road may take before the other is tried beside it. Many a firewall says nothing at all.
const OTHER_ROAD_AFTER: Duration = Duration::from_millis(300);

/// What the asker needs to reach nodes.
#[derive(Clone, Debug)]
pub(crate) struct Roads {
    /// The broker, if it answered.
    pub(crate) broker: Option<Connection>,
    pub(crate) space: SpaceId,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) credential: String,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Roads {
    /// A connection to the node, by whichever road leads there first; the direct one has a start.
    pub(crate) async fn connect(&self, peer: &Peer) -> Result<Connection, Report> {
        let name = peer.member.as_str();
        match (&peer.address, self.through_broker(peer)) {
            (Some(address), None) => wire::connect(address, name, &peer.key).await,
            (None, Some(road)) => relayed(road, peer).await,
            (None, None) => {
                let message = format!("{name} is reached through the broker only, which does not answer");
                Err(Problem::Unreachable.report(message))
            }
            (Some(address), Some(road)) => {
                let mut direct = std::pin::pin!(wire::connect(address, name, &peer.key));
                let other = std::pin::pin!(relayed(road, peer));
                if let Ok(direct) = tokio::time::timeout(OTHER_ROAD_AFTER, &mut direct).await {
                    return either(direct, other).await;
                }
                match select(direct, other).await {
                    Either::Left((direct, other)) => either(direct, other).await,
                    Either::Right((Ok(connection), _)) => Ok(connection),
                    Either::Right((other, direct)) => either(direct.await, std::future::ready(other)).await,
                }
            }
        }
    }

    fn through_broker(&self, peer: &Peer) -> Option<ThroughBroker> {
        let broker = self.broker.clone().filter(|_| peer.relayed)?;
        Some(ThroughBroker {
            broker,
            roads: self.clone(),
            peer: peer.clone(),
        })
    }
}

/// The direct connection, or the other. That another key answers on the direct road is told if neither leads there.
async fn either(
    direct: Result<Connection, Report>,
    other: impl Future<Output = Result<Connection, Report>>,
) -> Result<Connection, Report> {
    match direct {
        Err(wrong) if wrong.problem == Problem::PeerKey => other.await.map_err(|_| wrong),
        Err(_) => other.await,
        Ok(connection) => Ok(connection),
    }
}

async fn relayed(road: ThroughBroker, peer: &Peer) -> Result<Connection, Report> {
    let name = peer.member.as_str();
    let connected = wire::connect_by(Arc::new(road), name, &peer.key).await;
    connected.map_err(|error| error.report(name, "the broker's relay"))
}

/// The road through the broker. Each time it is taken, the broker is told anew who takes it.
#[derive(Debug)]
struct ThroughBroker {
    broker: Connection,
    roads: Roads,
    peer: Peer,
}

#[async_trait::async_trait]
impl Dialer for ThroughBroker {
    async fn dial(&self) -> io::Result<Socket> {
        let Self { broker, roads, peer } = self;
        let proof = Proof {
            node: BROKER_AUDIENCE.to_owned(),
            query: Digest::of(relay::reach_query(&peer.member).as_bytes()),
            purpose: None,
            permit: None,
            request: None,
            channel: broker.binding().map_err(io::Error::other)?,
        };
        let proof = proof.issue(&roads.key, roads.clock.now()).map_err(io::Error::other)?;
        let tokens = Tokens {
            credential: &roads.credential,
            proof: &proof,
            request: None,
        };
        let carried = relay::reach(broker, &roads.space, &peer.member, tokens).await;
        Ok(Socket::Carried(Box::new(carried.map_err(io::Error::other)?)))
    }
}
