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
    let fifty = join_all((0..50).map(|_| fetched(&connection, &joins, world.now()))).await;
    assert!(fifty.iter().all(Result::is_ok));
    let unknown = fetched(&connection, b"never sent", world.now()).await.unwrap_err();

    world.publish(2, &world.files_of(&["gbsg", "archive"])).unwrap();
    world.clock.advance(10);
    let fifty = join_all((0..50).map(|_| fetched(&connection, &joins, world.now()))).await;
    assert!(fifty.into_iter().all(|fetched| fetched.unwrap_err() == unknown));
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

#[tokio::test(flavor = "multi_thread")]
async fn a_24_guessing_codes_is_slow_for_all_guessers_together_and_the_box_has_an_end() {
    let world = World::published();
    let broker = world.start().await;
    let (one, other) = (broker.connect().await, broker.connect().await);
    let began = Instant::now();
    let guesses = (0..2 * LOOKS_AT_ONCE_MAX).map(|guess| {
        let connection = if guess % 2 == 0 { &one } else { &other };
        async move { fetched(connection, guess.to_string().as_bytes(), UtcTime::UNIX_EPOCH).await }
    });
    assert!(join_all(guesses).await.iter().all(Result::is_err));
    assert!(began.elapsed() >= 2 * PAUSE, "{:?}", began.elapsed());
    broker.stop().await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_file(&folder.path().join("enrolment.sqlite")).unwrap();
    let keep = |key: SigningKey, is_used: bool| {
        let sealed = sealed(&world, "clinic", &key, |_| ());
        store.keep(enrolment::open(&sealed).unwrap(), sealed, world.now(), move |_| is_used)
    };
    for _ in 0..store::OPEN_MAX {
        keep(new_key(), false).await.unwrap();
    }
    assert_eq!(keep(new_key(), false).await.unwrap_err().problem, Problem::Resources);
    keep(new_key(), true).await.unwrap();
}
