//! A broker that is away, comes back with nothing, or with what it had before: nodes go on, and forget nothing.

use std::fs;
use std::time::{Duration, Instant};

use node::status::NodeStatus;
use trust::{SigningKey, Stop, Stopped};

use super::apart::{Apart, Reach, Role, SQL, copy_folder};
use super::sound::Before;

/// So long a node that looks every second may take to have seen what its broker has.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

fn status(apart: &Apart) -> NodeStatus {
    NodeStatus::read(&apart.config()).unwrap()
}

fn until(apart: &Apart, what: &str, is_so: impl Fn(&NodeStatus) -> bool) {
    let since = Instant::now();
    while !is_so(&status(apart)) {
        assert!(since.elapsed() < SEEN_WITHIN, "{what}: {:?}", status(apart));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_46_without_a_broker_a_node_goes_on_and_an_empty_or_older_one_makes_it_forget_nothing() {
    let apart = Apart::of(Reach::Directly);
    let (folder, old) = (
        apart.sandbox.dir().join("broker"),
        apart.sandbox.place().join("old-broker"),
    );
    copy_folder(&folder, &old);
    let (broker, node) = (apart.start(Role::Broker), apart.start(Role::Node));
    tokio::task::block_in_place(|| apart.answered());
    let space = apart.config().space;
    let connection = apart.config().broker.connect("broker").await.unwrap();
    let next = apart.next_version(2, 2, "min_people = 3", "min_people = 4");
    wire::publish::documents(&connection, &space, &next).await.unwrap();
    let stopped = Stopped::Person("university".parse().unwrap(), "bob".parse().unwrap());
    let stop = Stop::new(space.clone(), stopped, "lost a key", terms::UtcTime::now()).unwrap();
    let member = SigningKey::load(&apart.sandbox.dir().join("board/member-1.key")).unwrap();
    wire::publish::stop(&connection, &space, &stop.seal(&member).unwrap())
        .await
        .unwrap();
    let holds = |status: &NodeStatus| status.documents.version == 2 && status.stops.len() == 1;
    until(&apart, "the second version and the stop", holds);
    let before = Before::of(node.id(), &apart.config());

    // Away: whoever was here before asks and is answered, and the node starts again by itself.
    drop(broker);
    tokio::task::block_in_place(|| apart.ask(&[]).returns(0));
    until(&apart, "that the broker is away", |status| status.problem.is_some());
    assert!(holds(&status(&apart)));
    drop(node);
    let node = apart.start(Role::Node);
    let person = apart.person().await;
    assert!(person.ask(SQL, None).await.refused.is_none());
    assert!(holds(&status(&apart)));

    // As it was before the second version, and with an empty catalogue.
    fs::remove_dir_all(&folder).unwrap();
    copy_folder(&old, &folder);
    let broker = apart.start(Role::Broker);
    until(&apart, "that the broker is older", |status| {
        status
            .problem
            .as_ref()
            .is_some_and(|problem| problem.problem == terms::Problem::PolicyRollback)
    });
    assert!(holds(&status(&apart)), "{:?}", status(&apart));
    assert!(person.ask(SQL, None).await.refused.is_none());
    drop(broker);

    // With nothing at all.
    fs::remove_dir_all(folder.join("repository")).unwrap();
    fs::remove_dir_all(folder.join("data")).unwrap();
    let mut broker = apart.start(Role::Broker);
    let ended = broker.ended_within(Duration::from_secs(3));
    println!("a broker without documents: {ended:?}");
    assert!(person.ask(SQL, None).await.refused.is_none());
    assert!(holds(&status(&apart)));
    drop(broker);

    // With what it should have: all is well, without a restart of the node.
    fs::remove_dir_all(&folder).unwrap();
    copy_folder(&old, &folder);
    let _broker = apart.start(Role::Broker);
    apart.listens(&apart.broker_address()).await;
    let connection = apart.config().broker.connect("broker").await.unwrap();
    // Its own numbers have to pass those that nodes know from before: until then they take nothing from it.
    for version in [3, 4] {
        let next = apart.next_version(version, 2, "min_people = 3", "min_people = 5");
        wire::publish::documents(&connection, &space, &next).await.unwrap();
    }
    until(&apart, "the newest version", |status| status.documents.version == 4);
    assert_eq!(status(&apart).stops.len(), 1);
    before.nothing_lost(Vec::new());
    let before = Before::of(node.id(), &apart.config());
    tokio::task::block_in_place(|| before.still_sound(|| drop(apart.ask(&[]).returns(0)), Vec::new()));
}

#[test]
fn a_node_that_was_there_before_its_broker_is_found_as_soon_as_that_answers() {
    let apart = Apart::of(Reach::Directly);
    apart.change_node_file("refresh_seconds = 1", "refresh_seconds = 60");
    // What the broker of the sandbox knew is not what this is about.
    fs::remove_file(apart.sandbox.dir().join("broker/data/catalog.sqlite")).unwrap();
    let _node = apart.start(Role::Node);
    std::thread::sleep(Duration::from_secs(3));
    let _broker = apart.start(Role::Broker);
    let found = apart.answered();
    assert!(found < Duration::from_secs(20), "{found:?}");
}
