use futures::StreamExt;
use prost::bytes::Bytes;
use terms::{MemberId, Problem, Report};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Streaming;
use trust::{Digest, Proof, SigningKey};
use wire::description::BROKER_AUDIENCE;
use wire::header::Tokens;
use wire::relay::{self, Carried, reach_query};
use wire::v1::relay_service_client::RelayServiceClient;
use wire::v1::{HoldRequest, HoldResponse};
use wire::{Connection, Socket};

use crate::tests::world::{Running, World, new_key, space};

fn gbsg() -> MemberId {
    "gbsg".parse().unwrap()
}

/// Holds a tunnel as `member`, signed with `key`.
async fn hold(
    world: &World,
    connection: &Connection,
    member: &str,
    key: &SigningKey,
) -> Result<Streaming<HoldResponse>, Report> {
    relay::hold(connection, &space(), &member.parse().unwrap(), key, world.now()).await
}

/// Reaches a node as a person of the university, with a proof made for `query`.
async fn reach_with(world: &World, connection: &Connection, node: &str, query: &str) -> Result<Carried, Report> {
    let proof = Proof {
        node: BROKER_AUDIENCE.to_owned(),
        query: Digest::of(query.as_bytes()),
        purpose: None,
        permit: None,
        request: None,
        channel: connection.binding().unwrap(),
    };
    let proof = proof.issue(&world.person, world.now()).unwrap();
    let credential = world.credential("saarland-university", "university");
    let tokens = Tokens {
        credential: &credential,
        proof: &proof,
        request: None,
    };
    relay::reach(connection, &space(), &node.parse().unwrap(), tokens).await
}

async fn reach(world: &World, connection: &Connection, node: &str) -> Result<Carried, Report> {
    reach_with(world, connection, node, &reach_query(&node.parse().unwrap())).await
}

/// A node that says back what it hears.
async fn echo(world: &World, broker: &Running) -> Connection {
    let connection = broker.connect().await;
    let mut calls = hold(world, &connection, "gbsg", &world.members["gbsg"]).await.unwrap();
    let node = connection.clone();
    tokio::spawn(async move {
        while let Some(Ok(HoldResponse { call })) = calls.next().await {
            let carried = relay::carry(&node, call).await.unwrap();
            tokio::spawn(async move {
                let (mut coming, mut going) = tokio::io::split(carried);
                // It ends when either end does.
                let _ = tokio::io::copy(&mut coming, &mut going).await;
                let _ = going.shutdown().await;
            });
        }
    });
    connection
}

fn problem<T>(outcome: Result<T, Report>) -> Problem {
    outcome.err().unwrap().problem
}

#[tokio::test]
async fn a_41_a_tunnel_is_taken_from_whoever_holds_the_members_key_on_this_connection_and_now() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    // Another member's key, a key of nobody, and somebody who is no member.
    let archive = &world.members["archive"];
    assert_eq!(
        problem(hold(&world, &connection, "gbsg", archive).await),
        Problem::Answer
    );
    assert_eq!(
        problem(hold(&world, &connection, "gbsg", &new_key()).await),
        Problem::Answer
    );
    assert_eq!(
        problem(hold(&world, &connection, "nobody", archive).await),
        Problem::Answer
    );
    // What was said some time ago.
    let now = world.now();
    world.clock.advance(120);
    let old = relay::hold(&connection, &space(), &gbsg(), &world.members["gbsg"], now).await;
    assert_eq!(problem(old), Problem::TokenExpired);
    // Once on one connection, and then on another.
    let _held = hold(&world, &connection, "gbsg", &world.members["gbsg"]).await.unwrap();
    assert_eq!(
        problem(hold(&world, &connection, "gbsg", &world.members["gbsg"]).await),
        Problem::Answer
    );
    assert_eq!(
        problem(hold(&world, &connection, "archive", archive).await),
        Problem::Answer
    );
    let second = broker.connect().await;
    let _held_too = hold(&world, &second, "gbsg", &world.members["gbsg"]).await.unwrap();
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_registration_that_is_larger_than_any_is_not_read() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let mut relay = RelayServiceClient::new(connection.grpc.clone());
    let mut held_with = async |bytes: usize| {
        let space = space().to_string();
        let envelope = vec![b'{'; bytes];
        let held = relay.hold(HoldRequest { space, envelope }).await;
        held.err().unwrap()
    };
    let read = wire::status::from_status(&held_with(relay::REGISTRATION_BYTES_MAX).await, "the broker");
    assert_eq!(read.report.problem, Problem::Answer, "it is looked at");
    let unread = held_with(relay::HOLD_MESSAGE_BYTES_MAX).await;
    assert_eq!(unread.code(), tonic::Code::OutOfRange, "{unread:?}");
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_41_only_who_may_query_something_reaches_a_node_and_proves_it_for_that_node() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    assert_eq!(problem(reach(&world, &connection, "gbsg").await), Problem::Unreachable);
    let _node = echo(&world, &broker).await;
    let elsewhere = reach_with(&world, &connection, "gbsg", "reach archive").await;
    assert_eq!(problem(elsewhere), Problem::ProofMismatch);
    assert_eq!(
        problem(reach(&world, &connection, "archive").await),
        Problem::Unreachable
    );
    assert!(reach(&world, &connection, "gbsg").await.is_ok());
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_41_a_call_is_taken_up_once_and_by_the_node_that_is_called() {
    let world = World::published();
    let broker = world.start().await;
    let (node, other, client) = (broker.connect().await, broker.connect().await, broker.connect().await);
    let mut calls = hold(&world, &node, "gbsg", &world.members["gbsg"]).await.unwrap();
    let _held = hold(&world, &other, "archive", &world.members["archive"])
        .await
        .unwrap();
    let guessed = relay::carry(&node, Bytes::from_static(&[7; 16])).await;
    assert_eq!(problem(guessed), Problem::Unreachable);
    let reaching = async { reach(&world, &client, "gbsg").await };
    let taking_up = async {
        let call = calls.next().await.unwrap().unwrap().call;
        // Another member, and the right one on a connection that is no tunnel.
        assert_eq!(problem(relay::carry(&other, call.clone()).await), Problem::Unreachable);
        assert_eq!(problem(relay::carry(&client, call.clone()).await), Problem::Unreachable);
        let carried = relay::carry(&node, call.clone()).await.unwrap();
        assert_eq!(problem(relay::carry(&node, call).await), Problem::Unreachable);
        carried
    };
    let (reached, mut carried) = tokio::join!(reaching, taking_up);
    let mut reached = reached.unwrap();
    reached.write_all(b"who is there?").await.unwrap();
    let mut heard = [0; 13];
    carried.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"who is there?");
    // When one end goes, the other is told.
    drop(reached);
    assert!(carried.read_exact(&mut heard).await.is_err());
    broker.stop().await.unwrap();
}

/// The way to `gbsg`, whoever is expected there.
struct Astray(World, Connection);

impl std::fmt::Debug for Astray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Astray")
    }
}

#[async_trait::async_trait]
impl wire::Dialer for Astray {
    async fn dial(&self) -> std::io::Result<Socket> {
        let reached = reach(&self.0, &self.1, "gbsg").await;
        Ok(Socket::Carried(Box::new(reached.map_err(std::io::Error::other)?)))
    }
}

#[tokio::test]
async fn a_41_whoever_is_led_to_another_node_than_the_one_they_want_does_not_go_on() {
    let world = World::published();
    let broker = world.start().await;
    let (node, client) = (broker.connect().await, broker.connect().await);
    let mut calls = hold(&world, &node, "gbsg", &world.members["gbsg"]).await.unwrap();
    let tls = wire::tls::server_config(&world.members["gbsg"], "gbsg").unwrap();
    let incoming = wire::Incoming::new(None, tls);
    let door = incoming.door();
    tokio::spawn(
        wire::serve::server()
            .add_routes(tonic::service::Routes::default())
            .serve_with_incoming(incoming),
    );
    tokio::spawn(async move {
        while let Some(Ok(HoldResponse { call })) = calls.next().await {
            let carried = relay::carry(&node, call).await.unwrap();
            door.admit(Socket::Carried(Box::new(carried))).await;
        }
    });
    let wanted = world.members["archive"].public();
    let there = world.members["gbsg"].public();
    let astray = std::sync::Arc::new(Astray(world, client));
    let led_astray = wire::connect_by(astray.clone(), "archive", &wanted).await;
    assert_eq!(led_astray.unwrap_err(), wire::ConnectError::OtherKey);
    assert!(wire::connect_by(astray, "gbsg", &there).await.is_ok());
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_said_arrives_whole_in_both_directions() {
    let world = World::published();
    let broker = world.start().await;
    let _node = echo(&world, &broker).await;
    let client = broker.connect().await;
    let calls = (0..4_u8).map(|call| {
        let (world, client) = (&world, &client);
        async move {
            let (mut coming, mut going) = tokio::io::split(reach(world, client, "gbsg").await.unwrap());
            let said: Vec<u8> = (0..3_000_000_u32).map(|at| call ^ (at % 251) as u8).collect();
            let saying = async {
                going.write_all(&said).await.unwrap();
                going.shutdown().await.unwrap();
            };
            let mut heard = Vec::new();
            let (read, ()) = tokio::join!(coming.read_to_end(&mut heard), saying);
            assert_eq!(read.unwrap(), said.len());
            assert_eq!(heard, said);
        }
    });
    futures::future::join_all(calls).await;
    broker.stop().await.unwrap();
}

/// A relay without a network.
fn standing(world: &World) -> super::Relay {
    let root = std::fs::read(world.path("root.json")).unwrap();
    let folder = world.path("roster");
    let roster = crate::roster::Roster::open(space(), world.repository.clone(), &root, &folder, world.clock.clone());
    let callers = crate::callers::Callers::new(space(), std::sync::Arc::new(roster.unwrap()), world.clock.clone());
    super::Relay::new(std::sync::Arc::new(callers))
}

#[tokio::test]
async fn a_call_that_is_ended_is_let_go_also_if_nobody_takes_what_is_said() {
    let world = World::published();
    let relay = standing(&world);
    let (channel, key) = (Digest::of(b"gbsg"), world.members["gbsg"].public());
    let _held = relay.switchboard.hold(gbsg(), key, channel).unwrap();
    let called = called(&world, &relay, "ada").await;
    let endless = || futures::stream::repeat_with(|| Ok(Bytes::from_static(b"..."))).boxed();
    let mut calling = relay.switchboard.call(gbsg(), called, endless()).unwrap();
    let to_node = relay.switchboard.take_up(calling.id(), channel, endless()).unwrap();
    let to_caller = calling.taken_up().await.unwrap();
    drop(calling);
    let (_node, _caller) = (
        super::Flow::new(to_node, |content| content),
        super::Flow::new(to_caller, |content| content),
    );
    assert_eq!(relay.held().1, 1);
    // Nobody vouches for the caller any more.
    relay.switchboard.end_expired(world.after(61));
    nothing_is_carried(&relay).await;
}

/// Long before anybody would lose patience.
async fn nothing_is_carried(relay: &super::Relay) {
    let gone = async {
        while relay.held().1 > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone)
        .await
        .unwrap();
}

/// The two directions of a call that was taken up: to the node and to the caller.
async fn carried(
    world: &World,
    relay: &super::Relay,
    from_caller: super::Coming,
    from_node: super::Coming,
) -> [super::Flow<Bytes>; 2] {
    let (channel, key) = (Digest::of(b"gbsg"), world.members["gbsg"].public());
    let _held = relay.switchboard.hold(gbsg(), key, channel).unwrap();
    let called = called(world, relay, "ada").await;
    let mut calling = relay.switchboard.call(gbsg(), called, from_caller).unwrap();
    let to_node = relay.switchboard.take_up(calling.id(), channel, from_node).unwrap();
    let to_caller = calling.taken_up().await.unwrap();
    [to_node, to_caller].map(|carrying| super::Flow::new(carrying, |content| content))
}

#[tokio::test]
async fn a_call_holds_no_place_when_either_end_has_gone_although_nobody_says_anything() {
    let world = World::published();
    let relay = standing(&world);
    let silent = || futures::stream::pending().boxed();
    for left in [0, 1] {
        let mut ends = Vec::from(carried(&world, &relay, silent(), silent()).await);
        assert_eq!(relay.held().1, 1);
        drop(ends.remove(left));
        let mut stays = ends.remove(0);
        nothing_is_carried(&relay).await;
        assert!(stays.next().await.unwrap().is_err(), "it is told");
    }
}

#[tokio::test]
async fn an_end_whose_connection_broke_ends_the_call_and_one_that_said_all_does_not() {
    let world = World::published();
    let relay = standing(&world);
    let silent = || futures::stream::pending().boxed();
    let broke = futures::stream::iter([Err(tonic::Status::unknown("reset"))]).boxed();
    let [mut node, mut caller] = carried(&world, &relay, silent(), broke).await;
    assert!(caller.next().await.unwrap().is_err());
    assert!(node.next().await.unwrap().is_err());
    nothing_is_carried(&relay).await;
    let said = futures::stream::iter([Ok(Bytes::from_static(b"all"))]).boxed();
    let (answer, answered) = tokio::sync::oneshot::channel();
    let answering = futures::stream::once(async { Ok(answered.await.unwrap()) }).boxed();
    let [mut node, mut caller] = carried(&world, &relay, said, answering).await;
    assert_eq!(node.next().await.unwrap().unwrap(), "all");
    assert!(node.next().await.is_none());
    answer.send(Bytes::from_static(b"heard")).unwrap();
    assert_eq!(caller.next().await.unwrap().unwrap(), "heard");
    assert!(caller.next().await.is_none());
    nothing_is_carried(&relay).await;
}

/// A tunnel of `gbsg` without a network.
fn tunnel(world: &World, relay: &super::Relay, number: u8) -> (Digest, super::Held) {
    let (channel, key) = (Digest::of(&[number]), world.members["gbsg"].public());
    (channel, relay.switchboard.hold(gbsg(), key, channel).unwrap())
}

/// Hears of a call, before a patience ends that is longer than any single tunnel is waited for.
async fn hears(held: &mut super::Held) -> super::CallId {
    let heard = tokio::time::timeout(3 * super::NEXT_TUNNEL_AFTER, held.next()).await;
    let call = heard.unwrap().unwrap().unwrap().call;
    super::CallId::try_from(&*call).unwrap()
}

#[tokio::test]
async fn a_call_is_offered_to_other_tunnels_when_one_dies_with_it_or_does_not_take_it_up() {
    let world = World::published();
    let relay = standing(&world);
    let silent = || futures::stream::pending().boxed();
    let (_, mut dying) = tunnel(&world, &relay, 1);
    let called = called(&world, &relay, "ada").await;
    let calling = relay.switchboard.call(gbsg(), called, silent()).unwrap();
    let id = calling.id();
    let node = gbsg();
    let taking_up = async {
        assert_eq!(hears(&mut dying).await, id);
        drop(dying);
        // The node is back: on a tunnel that says nothing, and on one that it listens on.
        let (_, mut hanging) = tunnel(&world, &relay, 2);
        assert_eq!(hears(&mut hanging).await, id);
        let (channel, mut living) = tunnel(&world, &relay, 3);
        assert_eq!(hears(&mut living).await, id);
        let taken_up = relay.switchboard.take_up(id, channel, silent());
        assert!(taken_up.is_some());
        (hanging, living, taken_up)
    };
    let (carrying, tunnels) = tokio::join!(relay.taken_up(&node, calling), taking_up);
    assert!(carrying.is_ok());
    drop(tunnels);
}

#[tokio::test]
async fn whoever_left_or_was_stopped_is_cut_off() {
    let world = World::published();
    let relay = standing(&world);
    let rules = relay.callers.roster.rules().await.unwrap();
    let held = |member: &str, channel: u8| {
        let key = world.members[member].public();
        let channel = Digest::of(&[channel]);
        relay.switchboard.hold(member.parse().unwrap(), key, channel).unwrap()
    };
    let (mut gbsg, mut archive) = (held("gbsg", 1), held("archive", 2));
    relay.switchboard.end_revoked(&rules, world.now());
    assert!(futures::poll!(gbsg.next()).is_pending());
    // The next roster names the archive no more.
    world
        .publish(2, &world.files_of(&["gbsg", "saarland-university"]))
        .unwrap();
    world.clock.advance(10);
    let rules = relay.callers.roster.rules().await.unwrap();
    relay.switchboard.end_revoked(&rules, world.now());
    assert!(futures::poll!(gbsg.next()).is_pending());
    assert!(archive.next().await.is_none());
}

/// Somebody of the university, for whom it vouches for a minute.
async fn called(world: &World, relay: &super::Relay, person: &str) -> crate::callers::Called {
    crate::callers::Called {
        rules: relay.callers.roster.rules().await.unwrap(),
        caller: policy::Caller {
            member: "saarland-university".parse().unwrap(),
            person: person.parse().unwrap(),
            roles: ["university".parse().unwrap()].into(),
        },
        issuer: world.members["saarland-university"].public(),
        expires: world.after(60),
    }
}

#[tokio::test]
async fn a_ninth_tunnel_of_a_member_ends_its_oldest_and_nobody_elses() {
    let world = World::published();
    let relay = standing(&world);
    let hold = |member: &str, channel: usize| {
        let (key, channel) = (
            world.members[member].public(),
            Digest::of(format!("{member}{channel}").as_bytes()),
        );
        relay.switchboard.hold(member.parse().unwrap(), key, channel).unwrap()
    };
    let mut of_another = hold("archive", 0);
    let mut held: Vec<_> = (0..terms::limit::TUNNELS_PER_MEMBER_MAX)
        .map(|at| hold("gbsg", at))
        .collect();
    assert!(futures::poll!(held[0].next()).is_pending());
    let mut ninth = hold("gbsg", 99);
    assert!(held[0].next().await.is_none());
    for others in held.iter_mut().skip(1).chain([&mut ninth, &mut of_another]) {
        assert!(futures::poll!(others.next()).is_pending());
    }
    // That the oldest goes takes nothing from those that stay.
    drop(held.remove(0));
    assert_eq!(
        relay.switchboard.tunnels(&gbsg()).len(),
        terms::limit::TUNNELS_PER_MEMBER_MAX
    );
}

#[tokio::test]
async fn a_person_and_a_member_hold_so_many_calls_to_a_node_and_no_more() {
    let world = World::published();
    let relay = standing(&world);
    let held = ["gbsg", "archive"].map(|member| {
        let key = world.members[member].public();
        relay
            .switchboard
            .hold(member.parse().unwrap(), key, Digest::of(member.as_bytes()))
            .unwrap()
    });
    let (relay, world) = (&relay, &world);
    let call = |node: &'static str, person: String| async move {
        let called = called(world, relay, &person).await;
        relay
            .switchboard
            .call(node.parse().unwrap(), called, futures::stream::pending().boxed())
    };
    let mut calls = Vec::new();
    for _ in 0..terms::limit::CALLS_PER_CALLER_MAX {
        calls.push(call("gbsg", "ada".to_owned()).await.unwrap());
    }
    let refused = call("gbsg", "ada".to_owned()).await.err().unwrap();
    assert_eq!(
        (refused.problem, refused.message.contains("you hold")),
        (Problem::Resources, true)
    );
    // Another person may, until the member has vouched for too many.
    for at in calls.len()..terms::limit::CALLS_PER_MEMBER_MAX {
        calls.push(call("gbsg", format!("person-{at}")).await.unwrap());
    }
    let refused = call("gbsg", "eve".to_owned()).await.err().unwrap();
    assert_eq!(
        (refused.problem, refused.message.contains("saarland-university")),
        (Problem::Resources, true)
    );
    assert!(call("archive", "eve".to_owned()).await.is_ok(), "another node");
    calls.pop();
    assert!(call("gbsg", "eve".to_owned()).await.is_ok(), "a place is free again");
    drop(held);
}
