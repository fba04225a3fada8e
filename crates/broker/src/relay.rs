//! Connections to nodes that take none from outside: a node holds itself reachable, somebody reaches it, and the broker hands the
//! bytes of one to the other.
//!
//! It must never look into what it carries, nor let a name in a request decide who somebody is: a tunnel belongs to whoever signed
//! for its connection with a member's key, a call to whoever proved who they are. What is carried is TLS between the two, who would
//! notice any other end.
//!
//! Next: `relay/switchboard.rs` (who holds, who waits, what is carried), `relay/flow.rs` (one direction of what is carried),
//! `relay/served.rs` (the limits of its messages).

mod flow;
mod served;
mod switchboard;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use prost::bytes::Bytes;
use terms::{MemberId, Problem, Report, limit};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};
use trust::Channel;
use wire::PeerInfo;
use wire::relay::{CALL_BYTES, open_registration, reach_query};
use wire::v1::relay_service_server::RelayService;
use wire::v1::{
    CarryRequest, CarryResponse, HoldRequest, ReachOpening, ReachRequest, ReachResponse, carry_request, reach_request,
};

use crate::callers::{Callers, key_of};
use crate::refused;
use flow::Flow;
pub(crate) use served::Served;
use switchboard::{CallId, Calling, Carrying, Held, Switchboard};

/// How often it is looked whether those whom a call connects may still be connected.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// How long a tunnel may take to take up a call before another of the same node is asked too.
const NEXT_TUNNEL_AFTER: Duration = Duration::from_secs(1);

/// Bytes of one direction, as they come.
type Coming = BoxStream<'static, Result<Bytes, Status>>;

/// The relay of one data space.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    callers: Arc<Callers>,
    switchboard: Arc<Switchboard>,
}

impl Relay {
    pub(crate) fn new(callers: Arc<Callers>) -> Self {
        Self {
            callers,
            switchboard: Arc::default(),
        }
    }

    /// Ends tunnels and calls of those who left, were stopped or whose word expired, until `stop`.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            self.switchboard.end_expired(self.callers.clock.now());
            // Documents that cannot be read name nobody who has to go; nodes have their own.
            if let Ok(rules) = self.callers.roster.rules().await {
                self.switchboard.end_revoked(&rules, self.callers.clock.now());
            }
        }
    }

    /// Takes nobody any more, and lets nodes go to another broker. What is carried goes on.
    pub(crate) fn close(&self) {
        self.switchboard.close();
    }

    /// Ends what is carried.
    pub(crate) fn end_calls(&self) {
        self.switchboard.end_calls();
    }

    /// Tunnels by member, and how many connections are carried.
    pub(crate) fn held(&self) -> (BTreeMap<MemberId, usize>, usize) {
        self.switchboard.held()
    }

    /// Registers a connection as a member's tunnel.
    async fn hold(&self, request: HoldRequest, channel: Option<Channel>) -> Result<Held, Report> {
        crate::require_space(&request.space, &self.callers.space)?;
        let rules = self.callers.roster.rules().await?;
        let registration = open_registration(&request.envelope, |member| key_of(&rules, member))?;
        crate::require_space(registration.space.as_str(), &self.callers.space)?;
        let member = &registration.member;
        let age = self.callers.clock.now().as_second() - registration.issued.as_second();
        if age.abs() > limit::PROOF_SECONDS {
            let message = format!("the registration of {member} was made {age} s ago by this broker's clock");
            return Err(Problem::TokenExpired.report(message));
        }
        let channel = channel.map(|channel| channel.digest());
        let channel = channel.filter(|channel| *channel == registration.channel);
        let Some(channel) = channel else {
            let message = format!("the registration of {member} is for another connection");
            return Err(Problem::ProofMismatch.report(message));
        };
        if rules.stops.members.contains(member) {
            let message = format!("a member of the board has stopped the member {member}");
            return Err(Problem::Stopped.report(message));
        }
        let key = key_of(&rules, member).ok_or_else(|| not_reachable(member))?;
        self.switchboard.hold(member.clone(), key, channel)
    }

    /// Connects somebody with a node: the answer is what the node says.
    async fn reach(
        &self,
        metadata: MetadataMap,
        channel: Option<Channel>,
        mut said: Streaming<ReachRequest>,
    ) -> Result<Flow<ReachResponse>, Report> {
        let first = first(&mut said).await?.part;
        let Some(reach_request::Part::Opening(ReachOpening { space, node })) = first else {
            return Err(out_of_order());
        };
        crate::require_space(&space, &self.callers.space)?;
        let node: Result<MemberId, _> = node.parse();
        let node = node.map_err(|_| Problem::Answer.report("what is to be reached is not a node's name"))?;
        let query = reach_query(&node);
        let called = self.callers.authenticate(&metadata, channel, query.as_bytes()).await?;
        if policy::queryable(&called.rules, &called.caller, self.callers.clock.now()).is_empty() {
            return Err(not_reachable(&node));
        }
        let content = |request: ReachRequest| match request.part {
            Some(reach_request::Part::Content(content)) => Ok(content),
            Some(reach_request::Part::Opening(_)) | None => Err(refused(out_of_order())),
        };
        let coming = said.map(move |request| request.and_then(content)).boxed();
        let calling = self.switchboard.call(node.clone(), called, coming)?;
        let taken_up = self.taken_up(&node, calling).await?;
        Ok(Flow::new(taken_up, |content| ReachResponse { content }))
    }

    /// Offers a call to the node's tunnels, one after the other and those that come meanwhile, until it is taken up.
    async fn taken_up(&self, node: &MemberId, mut calling: Calling) -> Result<Carrying, Report> {
        let mut changes = self.switchboard.changes();
        let mut offered = HashSet::new();
        let offering = async {
            loop {
                changes.mark_unchanged();
                let tunnels = self.switchboard.tunnels(node);
                let next = tunnels.iter().find(|tunnel| offered.insert(tunnel.channel));
                if next.is_some_and(|tunnel| !tunnel.offer(calling.id())) {
                    continue;
                }
                tokio::select! {
                    taken_up = calling.taken_up() => return taken_up,
                    () = tokio::time::sleep(NEXT_TUNNEL_AFTER) => {}
                    _ = changes.changed() => {}
                }
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(limit::CALL_SECONDS_MAX), offering).await;
        in_time.ok().flatten().ok_or_else(|| not_reachable(node))
    }

    /// A node takes up a call: the answer is what the caller says.
    async fn carry(
        &self,
        channel: Option<Channel>,
        mut said: Streaming<CarryRequest>,
    ) -> Result<Flow<CarryResponse>, Report> {
        let first = first(&mut said).await?.part;
        let Some(carry_request::Part::Call(call)) = first else {
            return Err(out_of_order());
        };
        let channel = channel.ok_or_else(|| Problem::Internal.report("the connection has no binding"))?;
        let call: Option<CallId> = <[u8; CALL_BYTES]>::try_from(&*call).ok();
        let content = |request: CarryRequest| match request.part {
            Some(carry_request::Part::Content(content)) => Ok(content),
            Some(carry_request::Part::Call(_)) | None => Err(refused(out_of_order())),
        };
        let coming = said.map(move |request| request.and_then(content)).boxed();
        let carrying = call.and_then(|call| self.switchboard.take_up(call, channel.digest(), coming));
        let carrying = carrying.ok_or_else(|| Problem::Unreachable.report("nobody waits for this call any more"))?;
        Ok(Flow::new(carrying, |content| CarryResponse { content }))
    }
}

#[tonic::async_trait]
impl RelayService for Relay {
    type HoldStream = Held;
    type CarryStream = Flow<CarryResponse>;
    type ReachStream = Flow<ReachResponse>;

    async fn hold(&self, request: Request<HoldRequest>) -> Result<Response<Held>, Status> {
        let channel = channel_of(&request);
        let held = Relay::hold(self, request.into_inner(), channel)
            .await
            .map_err(refused)?;
        Ok(Response::new(held))
    }

    async fn carry(&self, request: Request<Streaming<CarryRequest>>) -> Result<Response<Flow<CarryResponse>>, Status> {
        let channel = channel_of(&request);
        let carried = Relay::carry(self, channel, request.into_inner())
            .await
            .map_err(refused)?;
        Ok(Response::new(carried))
    }

    async fn reach(&self, request: Request<Streaming<ReachRequest>>) -> Result<Response<Flow<ReachResponse>>, Status> {
        let channel = channel_of(&request);
        let (metadata, _, said) = request.into_parts();
        let reached = Relay::reach(self, metadata, channel, said).await.map_err(refused)?;
        Ok(Response::new(reached))
    }
}

fn channel_of<T>(request: &Request<T>) -> Option<Channel> {
    request.extensions().get::<PeerInfo>().map(|peer| peer.channel)
}

/// The first message, for which nobody waits long.
async fn first<T>(said: &mut (impl Stream<Item = Result<T, Status>> + Unpin)) -> Result<T, Report> {
    let first = tokio::time::timeout(Duration::from_secs(limit::HANDSHAKE_SECONDS_MAX), said.next()).await;
    match first {
        Ok(Some(Ok(message))) => Ok(message),
        Ok(Some(Err(_)) | None) | Err(_) => Err(out_of_order()),
    }
}

fn out_of_order() -> Report {
    Problem::Answer.report("a message came out of order, twice or too late")
}

/// The same words whether a node is a member, has no tunnel or does not take the call up.
fn not_reachable(node: &MemberId) -> Report {
    Problem::Unreachable.report(format!("{node} cannot be reached through the broker"))
}
