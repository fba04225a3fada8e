//! Who holds a tunnel, who waits to be connected, and what is carried.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use futures::Stream;
use policy::{Caller, Rules};
use prost::bytes::Bytes;
use terms::{MemberId, Problem, Report, UtcTime, limit};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use trust::{Digest, PublicKey};
use wire::relay::CALL_BYTES;
use wire::v1::HoldResponse;

use super::{Coming, not_reachable};
use crate::callers::{Called, key_of, require_not_stopped};

pub(super) type CallId = [u8; CALL_BYTES];

/// Calls of which a tunnel's node has not heard yet.
const OFFERS_WAITING_MAX: usize = 64;

/// All tunnels and calls of a broker.
#[derive(Default)]
pub(super) struct Switchboard {
    lines: Mutex<Lines>,
    /// Tunnels came or went.
    changes: watch::Sender<()>,
}

impl std::fmt::Debug for Switchboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.lines();
        f.debug_struct("Switchboard")
            .field("members", &lines.tunnels.len())
            .field("calls", &lines.calls.len())
            .finish()
    }
}

#[derive(Default)]
struct Lines {
    tunnels: BTreeMap<MemberId, Vec<Tunnel>>,
    calls: HashMap<CallId, Call>,
    /// Once the broker is told to stop: nobody is connected any more who is not yet.
    closed: bool,
}

impl Lines {
    fn require_open(&self) -> Result<(), Report> {
        if !self.closed {
            return Ok(());
        }
        let report = Problem::Unreachable.report("the broker is stopping and takes nothing new");
        Err(report.remedy("go to another broker, or try again in a minute"))
    }
}

impl Lines {
    /// One person, and all people of one member, hold so many calls to a node and no more: a member can vouch for as many as it likes.
    fn require_room(&self, node: &MemberId, caller: &Caller) -> Result<(), Report> {
        let of_member = || {
            let calls = self.calls.values();
            calls.filter(|call| call.node == *node && call.caller.member == caller.member)
        };
        let of_person = of_member().filter(|call| call.caller.person == caller.person);
        let whose = match (of_person.count(), of_member().count()) {
            (limit::CALLS_PER_CALLER_MAX.., _) => "you hold".to_owned(),
            (_, limit::CALLS_PER_MEMBER_MAX..) => format!("the people of {} hold", caller.member),
            _ => return Ok(()),
        };
        let message = format!("{whose} too many connections to {node} through the broker");
        Err(Problem::Resources.report(message).remedy("end some of them"))
    }
}

/// A connection on which a node hears of calls, and takes them up.
#[derive(Clone, Debug)]
pub(super) struct Tunnel {
    /// Digest of the value to which the connection is bound.
    pub(super) channel: Digest,
    key: PublicKey,
    offers: mpsc::Sender<CallId>,
    ended: CancellationToken,
}

/// A call that waits or is carried.
struct Call {
    node: MemberId,
    key: PublicKey,
    caller: Caller,
    /// The key with which their institution vouches for them, and when its word ends.
    issuer: PublicKey,
    expires: UtcTime,
    /// On which tunnel it is carried.
    channel: Option<Digest>,
    /// Until it is taken up: what the caller says, and where the node's end is waited for.
    waiting: Option<(Coming, oneshot::Sender<Carrying>)>,
    ended: CancellationToken,
    place: Weak<Place>,
}

/// A call that nobody has taken up yet.
pub(super) struct Calling {
    taken_up: oneshot::Receiver<Carrying>,
    place: Arc<Place>,
}

/// One direction of a call that was taken up.
pub(super) struct Carrying {
    pub(super) coming: Coming,
    pub(super) ended: CancellationToken,
    _place: Arc<Place>,
}

/// A call's place in the list, until both directions are gone.
struct Place {
    switchboard: Arc<Switchboard>,
    id: CallId,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.switchboard.lines().calls.remove(&self.id);
    }
}

impl Calling {
    pub(super) fn id(&self) -> CallId {
        self.place.id
    }

    /// The node's end, when it takes the call up. None if the call was ended.
    pub(super) async fn taken_up(&mut self) -> Option<Carrying> {
        (&mut self.taken_up).await.ok()
    }
}

impl Tunnel {
    /// Lets the node hear of a call. One that hears of too many hears of no more.
    pub(super) fn offer(&self, call: CallId) -> bool {
        self.offers.try_send(call).is_ok()
    }
}

impl Switchboard {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a connection as a member's tunnel, once. One more than a member may have ends its oldest.
    pub(super) fn hold(self: &Arc<Self>, member: MemberId, key: PublicKey, channel: Digest) -> Result<Held, Report> {
        let mut lines = self.lines();
        lines.require_open()?;
        if lines.tunnels.values().flatten().any(|tunnel| tunnel.channel == channel) {
            let message = "this connection is registered as a tunnel already";
            return Err(Problem::Answer
                .report(message)
                .remedy("open another connection for another tunnel"));
        }
        let tunnels = lines.tunnels.entry(member.clone()).or_default();
        if tunnels.len() >= limit::TUNNELS_PER_MEMBER_MAX {
            let oldest = tunnels.remove(0);
            oldest.ended.cancel();
            tracing::warn!(%member, "the oldest tunnel ends: there are too many");
        }
        let (offers, calls) = mpsc::channel(OFFERS_WAITING_MAX);
        let ended = CancellationToken::new();
        tunnels.push(Tunnel {
            channel,
            key,
            offers,
            ended: ended.clone(),
        });
        tracing::info!(%member, tunnels = tunnels.len(), "tunnel held");
        self.changes.send_replace(());
        Ok(Held {
            calls,
            ended: Box::pin(ended.cancelled_owned()),
            tunnel: (member, channel),
            switchboard: Arc::clone(self),
        })
    }

    /// Tells when tunnels, of whichever node, came or went.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The tunnels of a node, those that carry least first.
    pub(super) fn tunnels(&self, node: &MemberId) -> Vec<Tunnel> {
        let lines = self.lines();
        let carried = |tunnel: &Tunnel| {
            let calls = lines.calls.values();
            calls.filter(|call| call.channel == Some(tunnel.channel)).count()
        };
        let tunnels = lines.tunnels.get(node).into_iter().flatten();
        let mut tunnels: Vec<_> = tunnels.map(|tunnel| (carried(tunnel), tunnel.clone())).collect();
        tunnels.retain(|(carried, _)| *carried < limit::CALLS_PER_TUNNEL_MAX);
        tunnels.sort_by_key(|(carried, _)| *carried);
        tunnels.into_iter().map(|(_, tunnel)| tunnel).collect()
    }

    /// Lets somebody wait for a node. What they say is heard once it is taken up.
    pub(super) fn call(self: &Arc<Self>, node: MemberId, called: Called, coming: Coming) -> Result<Calling, Report> {
        let Called {
            caller,
            issuer,
            expires,
            ..
        } = called;
        let id = trust::random_bytes().map_err(|_| Problem::Internal.report("the system gives no randomness"))?;
        let mut lines = self.lines();
        lines.require_open()?;
        let tunnel = lines.tunnels.get(&node).and_then(|tunnels| tunnels.first());
        let key = tunnel.ok_or_else(|| not_reachable(&node))?.key;
        lines.require_room(&node, &caller)?;
        let (sender, taken_up) = oneshot::channel();
        let place = Arc::new(Place {
            switchboard: Arc::clone(self),
            id,
        });
        let call = Call {
            node,
            key,
            caller,
            issuer,
            expires,
            channel: None,
            waiting: Some((coming, sender)),
            ended: CancellationToken::new(),
            place: Arc::downgrade(&place),
        };
        lines.calls.insert(id, call);
        Ok(Calling { taken_up, place })
    }

    /// A node takes up a call, on a tunnel of its own, once. Gets what the caller says.
    pub(super) fn take_up(self: &Arc<Self>, id: CallId, channel: Digest, coming: Coming) -> Option<Carrying> {
        let mut lines = self.lines();
        let Lines { tunnels, calls, .. } = &mut *lines;
        let call = calls.get_mut(&id)?;
        let holds = |tunnel: &&Tunnel| tunnel.channel == channel && !tunnel.ended.is_cancelled();
        let tunnel = tunnels.get(&call.node)?.iter().find(holds)?;
        let (said, caller) = call.waiting.take()?;
        (call.channel, call.key) = (Some(channel), tunnel.key);
        let (ended, place) = (call.ended.clone(), call.place.upgrade()?);
        // The last of them to go takes the list's lock.
        drop(lines);
        let carrying = |coming| Carrying {
            coming,
            ended: ended.clone(),
            _place: Arc::clone(&place),
        };
        caller.send(carrying(coming)).ok()?;
        Some(carrying(said))
    }

    /// Ends tunnels and calls of those who may not be connected any more.
    pub(super) fn end_revoked(&self, rules: &Rules, now: UtcTime) {
        let mut lines = self.lines();
        let is_gone = |member: &MemberId, key: PublicKey| {
            key_of(rules, member) != Some(key) || rules.stops.members.contains(member)
        };
        lines.tunnels.retain(|member, tunnels| {
            tunnels.retain(|tunnel| {
                let is_gone = is_gone(member, tunnel.key);
                if is_gone {
                    tracing::warn!(%member, "a tunnel ends: its member has gone, was stopped or has another key");
                    tunnel.ended.cancel();
                }
                !is_gone
            });
            !tunnels.is_empty()
        });
        for call in lines.calls.values() {
            let may_call = || {
                key_of(rules, &call.caller.member) == Some(call.issuer)
                    && require_not_stopped(rules, &call.caller).is_ok()
                    && !policy::queryable(rules, &call.caller, now).is_empty()
            };
            if is_gone(&call.node, call.key) || !may_call() {
                call.ended.cancel();
            }
        }
    }

    /// Ends calls of people for whom nobody vouches any more.
    pub(super) fn end_expired(&self, now: UtcTime) {
        let lines = self.lines();
        let expired = lines.calls.values().filter(|call| call.expires <= now);
        expired.for_each(|call| call.ended.cancel());
    }

    /// Takes nobody any more, and lets nodes go to another broker. What is carried goes on.
    pub(super) fn close(&self) {
        let mut lines = self.lines();
        lines.closed = true;
        let tunnels = lines.tunnels.values().flatten();
        tunnels.for_each(|tunnel| tunnel.ended.cancel());
    }

    /// Ends what is carried.
    pub(super) fn end_calls(&self) {
        self.lines().calls.values().for_each(|call| call.ended.cancel());
    }

    /// Tunnels by member, and calls.
    pub(super) fn held(&self) -> (BTreeMap<MemberId, usize>, usize) {
        let lines = self.lines();
        let tunnels = lines
            .tunnels
            .iter()
            .map(|(member, tunnels)| (member.clone(), tunnels.len()));
        (tunnels.collect(), lines.calls.len())
    }
}

/// A tunnel as the node holds it: the calls that come. When it is dropped, the tunnel is gone.
pub(crate) struct Held {
    calls: mpsc::Receiver<CallId>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    tunnel: (MemberId, Digest),
    switchboard: Arc<Switchboard>,
}

impl Stream for Held {
    type Item = Result<HoldResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let response = |call: CallId| {
            Ok(HoldResponse {
                call: Bytes::copy_from_slice(&call),
            })
        };
        self.calls.poll_recv(cx).map(|call| call.map(response))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (member, channel) = &self.tunnel;
        let mut lines = self.switchboard.lines();
        if let Some(tunnels) = lines.tunnels.get_mut(member) {
            tunnels.retain(|tunnel| tunnel.channel != *channel);
            tracing::info!(%member, tunnels = tunnels.len(), "tunnel gone");
            if tunnels.is_empty() {
                lines.tunnels.remove(member);
            }
        }
        self.switchboard.changes.send_replace(());
    }
}
