//! How a node is reached: where it says that it takes connections, or through the broker.
//!
//! Both roads end at whoever holds the key that the roster names, or nowhere.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use terms::{MemberId, Problem, Report};
use tokio::sync::OnceCell;
use wire::relay::Carried;
use wire::{Connection, Dialer, PeerConfig, Person, Socket};

use crate::node::Peer;

/// How long the direct road may take before the other is tried beside it. Many a firewall says nothing at all.
const OTHER_ROAD_AFTER: Duration = Duration::from_millis(300);

/// What the asker needs to reach nodes.
#[derive(Debug)]
pub(crate) struct Roads {
    /// The broker at each of its addresses; none if it did not answer.
    brokers: Arc<[Broker]>,
    person: Arc<Person>,
}

/// The broker at one of its addresses. A node holds tunnels to each; some may just not be there.
#[derive(Debug)]
struct Broker {
    config: PeerConfig,
    connection: OnceCell<Connection>,
}

impl Roads {
    /// The roads of a person, of which some lead through the broker if it `answered`.
    pub(crate) fn new(person: Arc<Person>, broker: &PeerConfig, answered: Option<&Connection>) -> Self {
        let mut brokers: Vec<Broker> = broker.each().map(Broker::at).collect();
        match answered {
            None => brokers.clear(),
            // Which of several it was that answered is not known.
            Some(connection) => {
                if let [only] = brokers.as_mut_slice() {
                    only.connection = OnceCell::new_with(Some(connection.clone()));
                }
            }
        }
        let brokers = brokers.into();
        Self { brokers, person }
    }

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
        let is_road = peer.relayed && !self.brokers.is_empty();
        is_road.then(|| ThroughBroker {
            brokers: Arc::clone(&self.brokers),
            person: Arc::clone(&self.person),
            node: peer.member.clone(),
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

/// The road through the broker, at whichever address the node is held first. Each time it is taken, the broker is told anew who
/// takes it.
#[derive(Debug)]
struct ThroughBroker {
    brokers: Arc<[Broker]>,
    person: Arc<Person>,
    node: MemberId,
}

#[async_trait::async_trait]
impl Dialer for ThroughBroker {
    async fn dial(&self) -> io::Result<Socket> {
        let mut ways = Vec::new();
        for broker in self.brokers.iter() {
            ways.push(broker.reach(&self.person, &self.node));
        }
        let nobody = Problem::Unreachable.report("there is no broker");
        let carried = wire::first_of(ways, nobody, |report| report.problem != Problem::Unreachable).await;
        Ok(Socket::Carried(Box::new(carried.map_err(io::Error::other)?)))
    }
}

impl Broker {
    fn at(config: PeerConfig) -> Self {
        let connection = OnceCell::new();
        Self { config, connection }
    }

    async fn reach(&self, person: &Person, node: &MemberId) -> Result<Carried, Report> {
        let connecting = || self.config.connect("broker");
        person
            .reach(self.connection.get_or_try_init(connecting).await?, node)
            .await
    }
}

#[cfg(test)]
mod tests;
