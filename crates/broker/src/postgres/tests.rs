//! A PostgreSQL for the tests of this crate, and brokers that share one.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use faults::Postgres;
use terms::Problem;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::tests::world::World;
use crate::tests::{SPACE, discover_as, fetch, publish};

/// Tests that run at the same time share one server, each with databases of its own.
static SERVER: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

thread_local! {
    /// What this test uses, so that it lives as long.
    static USED: std::cell::RefCell<Option<Arc<Postgres>>> = const { std::cell::RefCell::new(None) };
}

fn server() -> Option<Arc<Postgres>> {
    let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let server = match shared.upgrade() {
        Some(server) => server,
        None => Arc::new(Postgres::start().unwrap()?),
    };
    *shared = Arc::downgrade(&server);
    USED.with(|used| used.replace(Some(Arc::clone(&server))));
    Some(server)
}

/// A new database.
pub(crate) fn database() -> Option<ConnectionString> {
    Some(server()?.database().unwrap().into())
}

/// Connects, wherever this is called from.
pub(crate) fn open(store: &ConnectionString) -> Database {
    let store = store.clone();
    let opening = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Database::open(&store)).unwrap()
    });
    opening.join().unwrap()
}

#[tokio::test]
async fn a_broker_whose_database_is_not_there_does_not_start_and_says_so_without_the_password() {
    let world = World::published();
    let mut config = world.config();
    config.repository = None;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    config.store = Some(format!("postgres://broker:secret@{nobody}/space").into());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let clock = Arc::new(terms::SystemClock);
    let refused = crate::serve(config.clone(), listener, clock.clone(), CancellationToken::new()).await;
    let report = refused.unwrap_err();
    assert_eq!(report.problem, Problem::Unreachable);
    assert!(report.message.contains(&nobody.port().to_string()), "{report:?}");
    assert!(report.remedy.contains("store in broker.toml"), "{report:?}");
    assert!(!format!("{report:?}").contains("secret"), "{report:?}");

    config.store = Some("mysql://broker:secret@localhost/space".to_owned().into());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let report = crate::serve(config, listener, clock, CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(report.problem, Problem::FileValue);
    assert!(!format!("{report:?}").contains("secret"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_told_that_the_database_was_lost_and_it_comes_back_by_itself() {
    // A server of its own: others must not lose theirs.
    let Some(server) = Postgres::start().unwrap() else {
        return;
    };
    let world = World::published_in(server.database().unwrap());
    let broker = world.start().await;
    let connection = broker.connect().await;
    publish(&connection, SPACE, world.described("gbsg", "beds"))
        .await
        .unwrap();
    let before = fetch(&connection, SPACE, "timestamp.json").await.unwrap();
    server.stop().unwrap();
    world.clock.advance(6);
    let lost = fetch(&connection, SPACE, "timestamp.json").await.unwrap_err();
    assert_eq!(lost.problem, Problem::Unreachable, "an error, and never absence");
    let lost = discover_as(&world, &connection, "saarland-university", "university").await;
    let lost = lost.unwrap_err();
    assert_eq!(lost.problem, Problem::Unreachable);
    assert!(lost.message.contains("database"), "{lost:?}");
    server.resume().unwrap();
    assert_eq!(fetch(&connection, SPACE, "timestamp.json").await.unwrap(), before);
    let found = discover_as(&world, &connection, "saarland-university", "university").await;
    assert_eq!(found.unwrap().len(), 1);
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_connections_and_says_nothing_holds_nobody_for_long_and_comes_back_by_itself() {
    let Some(server) = server() else {
        return;
    };
    let store = server.database().unwrap();
    let behind = store.split_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let proxy = faults::Proxy::before(behind.parse().unwrap()).await.unwrap();
    let world = World::published_in(store.replace(&behind, &proxy.address().to_string()));
    let broker = world.start().await;
    let connection = broker.connect().await;
    let before = fetch(&connection, SPACE, "timestamp.json").await.unwrap();
    let soon = CONNECT_TIME_MAX + ANSWER_TIME_MAX + Duration::from_secs(3);
    let stop = |reason: &str| {
        let archive = trust::Stopped::Member("archive".parse().unwrap());
        let stop = trust::Stop::new(crate::tests::world::space(), archive, reason, world.now());
        stop.unwrap().seal(&world.board[0]).unwrap()
    };
    // Before anything, after the answer by which the pool finds a connection in order, and within a publication.
    for (bytes, reason) in [(0, "first"), (6, "second"), (200, "third")] {
        let (fetched, stopped) = (broker.connect().await, broker.connect().await);
        proxy.hold_after(bytes);
        let (space, stop) = (crate::tests::world::space(), stop(reason));
        let calls = async {
            tokio::join!(
                fetch(&fetched, SPACE, "timestamp.json"),
                wire::publish::stop(&stopped, &space, &stop)
            )
        };
        let (fetched, stopped) = tokio::time::timeout(2 * soon, calls).await.expect("they hang");
        for lost in [fetched.map(drop).err(), stopped.map(drop).err()].into_iter().flatten() {
            assert_eq!(lost.problem, Problem::Unreachable, "{lost}");
        }
        proxy.pass();
        assert_eq!(fetch(&connection, SPACE, "timestamp.json").await.unwrap(), before);
        wire::publish::stop(&connection, &space, &stop).await.unwrap();
    }
    // Connections that died without a word are left behind, one look after the other.
    proxy.strand();
    let again = async {
        while fetch(&connection, SPACE, "timestamp.json").await.is_err() {}
        wire::publish::stop(&connection, &crate::tests::world::space(), &stop("fourth")).await
    };
    let again = tokio::time::timeout(8 * soon, again).await;
    again.expect("it does not come back").unwrap();

    proxy.hold();
    world.clock.advance(6);
    let hanging = discover_as(&world, &connection, "saarland-university", "university");
    let (_, stopped) = tokio::join!(hanging, tokio::time::timeout(soon, broker.stop()));
    stopped.expect("the broker goes on").unwrap();
    proxy.pass();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_through_one_broker_is_had_from_the_other() {
    let Some(world) = World::published_in_postgres() else {
        return;
    };
    let (a, b) = (world.start().await, world.start_beside().await);
    let (to_a, to_b) = (a.connect().await, b.connect().await);
    let description = world.described("gbsg", "beds");
    publish(&to_a, SPACE, description.clone()).await.unwrap();
    let found = discover_as(&world, &to_b, "saarland-university", "university").await;
    assert_eq!(found, Ok(vec![description]));
    let files = world.files_of(&["gbsg", "saarland-university"]);
    let set = wire::publish::Publication {
        targets: Some(world.targets(2, &files, 2)),
        files: files.clone(),
        ..Default::default()
    };
    let space = crate::tests::world::space();
    wire::publish::documents(&to_a, &space, &set).await.unwrap();
    for name in ["2.targets.json", "timestamp.json"] {
        let through_a = fetch(&to_a, SPACE, name).await.unwrap();
        assert!(through_a.is_some());
        assert_eq!(fetch(&to_b, SPACE, name).await.unwrap(), through_a, "{name}");
    }
    a.stop().await.unwrap();
    b.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_46_a_broker_with_an_empty_database_knows_its_members_and_what_was_stopped_until_documents_expire() {
    let Some(mut world) = World::published_in_postgres() else {
        return;
    };
    let broker = world.start().await;
    let stop = trust::Stop::new(
        crate::tests::world::space(),
        trust::Stopped::Member("archive".parse().unwrap()),
        "left the data space",
        world.now(),
    );
    let stop = stop.unwrap().seal(&world.board[0]).unwrap();
    let connection = broker.connect().await;
    wire::publish::stop(&connection, &crate::tests::world::space(), &stop)
        .await
        .unwrap();
    world.clock.advance(6);
    discover_as(&world, &connection, "saarland-university", "university")
        .await
        .unwrap();
    broker.stop().await.unwrap();

    world.forget_everything();
    let broker = world.start().await;
    let connection = broker.connect().await;
    assert_eq!(fetch(&connection, SPACE, "timestamp.json").await, Ok(None));
    assert_eq!(
        discover_as(&world, &connection, "saarland-university", "university").await,
        Ok(Vec::new())
    );
    let stopped = discover_as(&world, &connection, "archive", "archive").await;
    assert_eq!(stopped.unwrap_err().problem, Problem::Stopped);
    // An old set that somebody kept is not what the broker goes back to.
    world.clock.advance(2 * crate::tests::world::HOUR);
    let expired = discover_as(&world, &connection, "saarland-university", "university").await;
    assert!(expired.is_err(), "documents that expired let nobody in");
    broker.stop().await.unwrap();
}
