use std::time::Instant;

use futures::future::join_all;
use terms::UtcTime;
use trust::SigningKey;
use wire::Connection;
use wire::enrolment::{ENROLMENT_SECONDS_MAX, fetch, seal, send};

use super::*;
use crate::tests::world::{World, new_key, space};

fn sealed(world: &World, member: &str, key: &SigningKey, change: impl Fn(&mut Enrolment)) -> Vec<u8> {
    let mut enrolment = Enrolment {
        space: space(),
        member: member.parse().unwrap(),
        title: "A clinic".to_owned(),
        key: key.public(),
        issued: world.now(),
        expires: world.after(ENROLMENT_SECONDS_MAX),
    };
    change(&mut enrolment);
    seal(&enrolment, key).unwrap()
}

async fn fetched(connection: &Connection, sealed: &[u8], now: UtcTime) -> Result<Enrolment, Report> {
    let found = fetch(connection, &space(), Code::of(sealed), now).await?;
    Ok(Enrolment::clone(&found))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_21_a_request_that_is_not_in_order_is_not_kept() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let (key, other) = (new_key(), new_key());
    let gbsg = &world.members["gbsg"];
    let of_other = |enrolment: &mut Enrolment| enrolment.key = other.public();
    for (what, sealed, problem) in [
        (
            "another's key",
            sealed(&world, "clinic", &key, of_other),
            Problem::Answer,
        ),
        ("a member's name", sealed(&world, "gbsg", &key, |_| ()), Problem::Usage),
        ("a member's key", sealed(&world, "clinic", gbsg, |_| ()), Problem::Usage),
        (
            "too long",
            sealed(&world, "clinic", &key, |e| {
                e.expires = world.after(ENROLMENT_SECONDS_MAX + 1)
            }),
            Problem::Answer,
        ),
        (
            "expired",
            sealed(&world, "clinic", &key, |e| e.expires = world.now()),
            Problem::Answer,
        ),
        (
            "elsewhere",
            sealed(&world, "clinic", &key, |e| e.space = "cardiology".parse().unwrap()),
            Problem::Answer,
        ),
        ("no envelope", b"{}".to_vec(), Problem::Answer),
    ] {
        let refused = send(&connection, &space(), &sealed).await.unwrap_err();
        assert_eq!(refused.problem, problem, "{what}: {refused}");
        let unknown = fetched(&connection, &sealed, world.now()).await.unwrap_err();
        assert_eq!(unknown.problem, Problem::Usage, "{what}: {unknown}");
    }
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_21_a_code_is_used_up_by_the_roster_or_by_time_and_in_the_words_of_one_that_never_was() {
    let world = World::founded();
    world.publish(1, &world.files_of(&["gbsg"])).unwrap();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let late = new_key();
    let joins = sealed(&world, "archive", &world.members["archive"], |_| ());
    let waits = sealed(&world, "clinic", &late, |_| ());
    for request in [&joins, &waits] {
        send(&connection, &space(), request).await.unwrap();
    }
    let at_once = 0..LOOKS_PER_ADDRESS_MAX;
    let all = join_all(at_once.clone().map(|_| fetched(&connection, &joins, world.now()))).await;
    assert!(all.iter().all(Result::is_ok));
    let unknown = fetched(&connection, b"never sent", world.now()).await.unwrap_err();

    world.publish(2, &world.files_of(&["gbsg", "archive"])).unwrap();
    world.clock.advance(10);
    // Who asks first waits for the look at the new roster.
    assert_eq!(fetched(&connection, &joins, world.now()).await.unwrap_err(), unknown);
    let all = join_all(at_once.map(|_| fetched(&connection, &joins, world.now()))).await;
    assert!(all.into_iter().all(|fetched| fetched.unwrap_err() == unknown));
    assert_eq!(
        send(&connection, &space(), &joins).await.unwrap_err().problem,
        Problem::Usage
    );
    fetched(&connection, &waits, world.now()).await.unwrap();

    world.clock.advance(ENROLMENT_SECONDS_MAX);
    // What the broker itself says: its documents may have expired meanwhile, the code certainly has.
    assert!(fetched(&connection, &waits, world.now()).await.is_err());
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_21_a_later_request_replaces_its_own_and_nobody_elses() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let (key, stranger) = (new_key(), new_key());
    let first = sealed(&world, "clinic", &key, |_| ());
    let second = sealed(&world, "clinic", &key, |e| e.issued = world.after(1));
    let strange = sealed(&world, "clinic", &stranger, |_| ());
    for request in [&first, &second, &strange] {
        send(&connection, &space(), request).await.unwrap();
    }
    assert_eq!(
        send(&connection, &space(), &first).await.unwrap_err().problem,
        Problem::Answer
    );
    assert!(fetched(&connection, &first, world.now()).await.is_err());
    for (request, key) in [(&second, &key), (&strange, &stranger)] {
        assert_eq!(
            fetched(&connection, request, world.now()).await.unwrap().key,
            key.public()
        );
    }
    broker.stop().await.unwrap();
    // They outlive the broker.
    let broker = world.start().await;
    fetched(&broker.connect().await, &second, world.now()).await.unwrap();
    broker.stop().await.unwrap();
}

/// What a call from this address comes to.
fn of(network: u8, address: u16) -> IpAddr {
    IpAddr::from([10, network, address.to_be_bytes()[0], address.to_be_bytes()[1]])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_24_one_address_guesses_slowly_and_keeps_nobody_else_from_the_box() {
    let world = World::published();
    let broker = world.start().await;
    let (one, other) = (broker.connect().await, broker.connect().await);
    let began = Instant::now();
    // All that one address may do, over many connections.
    let guesses = (0..10 * LOOKS_PER_ADDRESS_MAX).map(|guess| {
        let connection = if guess % 2 == 0 { &one } else { &other };
        async move { fetched(connection, guess.to_string().as_bytes(), UtcTime::UNIX_EPOCH).await }
    });
    let guessed = join_all(guesses).await;
    let looked_at = |guess: &Result<Enrolment, Report>| guess.as_ref().unwrap_err().problem == Problem::Usage;
    let looked_at = guessed.iter().filter(|guess| looked_at(guess)).count();
    let seconds = began.elapsed().as_secs() as usize + 1;
    assert!(looked_at <= seconds * LOOKS_PER_ADDRESS_MAX as usize, "{looked_at}");
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_24_while_strangers_of_other_addresses_ask_without_end_an_institution_is_heard() {
    let world = World::published();
    let (_folder, enrolments) = box_of(&world).await;
    let enrolments = Arc::new(enrolments);
    let ask = |from: IpAddr, sealed: Vec<u8>| {
        let request = RequestEnrolmentRequest {
            space: space().to_string(),
            envelope: sealed,
        };
        let enrolments = Arc::clone(&enrolments);
        async move { enrolments.take(from, request).await }
    };
    let strangers: Vec<_> = (0..1_000)
        .map(|at| tokio::spawn(ask(of(1, at), sealed(&world, "stranger", &new_key(), |_| ()))))
        .collect();
    let strangers_of_one: Vec<_> = (0..20)
        .map(|_| tokio::spawn(ask(of(2, 1), sealed(&world, "stranger", &new_key(), |_| ()))))
        .collect();
    let institution = sealed(&world, "clinic", &new_key(), |_| ());
    let heard = tokio::time::timeout(Duration::from_secs(60), ask(of(3, 1), institution.clone()));
    heard.await.expect("it waits").unwrap();
    let strangers_of_one = join_all(strangers_of_one).await;
    let refused = strangers_of_one
        .iter()
        .filter(|asked| asked.as_ref().unwrap().is_err())
        .count();
    assert!(refused >= 10, "{refused}");
    join_all(strangers).await;
    let code = Code::of(&institution);
    assert!(enrolments.find(code.bytes()).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_24_who_holds_much_makes_room_and_never_who_holds_less() {
    let world = World::published();
    let (_folder, enrolments) = box_of(&world).await;
    let rules = enrolments.roster.rules().await.unwrap();
    let keep = async |from: IpAddr| {
        let sealed = sealed(&world, "clinic", &new_key(), |_| ());
        let opened = enrolment::open(&sealed).unwrap();
        let kept = enrolments
            .store
            .keep(opened, sealed.clone(), from, world.now(), Arc::clone(&rules));
        kept.await.unwrap();
        Code::of(&sealed)
    };
    let is_kept = async |code: Code| enrolments.store.find(code).await.unwrap().is_some();
    let honest = keep(of(0, 1)).await;
    // One address: its own go, the oldest first.
    let mut of_one = Vec::new();
    for _ in 0..=store::OPEN_PER_ADDRESS_MAX {
        of_one.push(keep(of(1, 1)).await);
    }
    assert!(!is_kept(of_one[0]).await && is_kept(of_one[1]).await && is_kept(honest).await);
    // Many: the box is full of theirs, and others are still let in and stay.
    for at in 0..600 {
        for _ in 0..4 {
            keep(of(2, at)).await;
        }
    }
    let later = keep(of(0, 2)).await;
    // A provider's customer with as many networks of IPv6 as they like is one.
    for at in 0..100 {
        keep(IpAddr::from([0x2001, 0xdb8, 1, at, 0, 0, 0, 1])).await;
    }
    let latest = keep(of(0, 3)).await;
    for code in [honest, later, latest] {
        assert!(is_kept(code).await);
    }
    assert!(
        is_kept(of_one[1]).await || !is_kept(of_one[2]).await,
        "the oldest of one goes first"
    );
}

/// A box with nothing in it.
async fn box_of(world: &World) -> (tempfile::TempDir, Enrolments) {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::read(world.path("root.json")).unwrap();
    let (repository, clock) = (world.repository.clone(), world.clock.clone());
    let roster = Roster::open(space(), repository, &root, &folder.path().join("governance"), clock);
    let store = Store::in_file(&folder.path().join("enrolment.sqlite")).unwrap();
    let enrolments = Enrolments::new(space(), Arc::new(roster.unwrap()), world.clock.clone(), store);
    (folder, enrolments)
}
