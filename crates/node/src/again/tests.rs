use futures::future::join_all;
use trust::Stopped;

use super::*;
use crate::audit::{self, Compared};
use crate::example::{HOUR, POLICY, ROWS, Sent, World, long};
use crate::ledger::{AuditEntry, Outcome};

const SQL: &str = "SELECT sum(beds) AS beds FROM beds WHERE district = 'd7'";

fn named<'a>(sql: &'a str, request: &'a str) -> Sent<'a> {
    Sent {
        request: Some(request),
        ..Sent::of(sql)
    }
}

async fn refused(world: &World, desk: &Arc<Desk>, sent: Sent<'_>) -> Report {
    world.send(desk, sent).await.unwrap_err().report
}

async fn recorded(world: &World, desk: &Desk) -> Vec<AuditEntry> {
    desk.ledger.close().await;
    let config = world.config();
    audit::verify(
        &config.ledger_file(),
        &config.audit_origin(),
        &desk.key.public(),
        &Compared::default(),
    )
    .unwrap();
    audit::entries(&config.ledger_file()).unwrap()
}

fn query_id(desk: &Desk, answer: &Answer) -> QueryId {
    let receipt = Receipt::open(&answer.receipt, &desk.key.public()).unwrap();
    receipt.query_id.clone()
}

#[tokio::test]
async fn an_id_that_is_none_or_that_the_proof_does_not_name_is_refused() {
    let world = World::new();
    let desk = world.desk().await;
    for id in ["", "a b", &"a".repeat(65)] {
        assert_eq!(refused(&world, &desk, named(SQL, id)).await.problem, Problem::RequestId);
    }
    desk.ledger.close().await;
}

#[tokio::test]
async fn an_id_that_was_used_for_another_query_purpose_or_permit_is_refused() {
    let world = World::new();
    let desk = world.desk().await;
    world.send(&desk, named(SQL, "a")).await.unwrap();
    let others = [
        named("SELECT count(*) AS n FROM beds", "a"),
        Sent {
            purpose: "ehds-53-1-c",
            ..named(SQL, "a")
        },
        Sent {
            permit: Some("study-7"),
            ..named(SQL, "a")
        },
    ];
    for other in others {
        let report = refused(&world, &desk, other).await;
        assert_eq!(report.problem, Problem::RequestId, "{report}");
        assert!(report.message.contains("for another query"), "{report}");
    }
    // And stays the first one's.
    assert!(world.send(&desk, named(SQL, "a")).await.is_ok());
    assert_eq!(recorded(&world, &desk).await.len(), 4);
}

#[tokio::test]
async fn another_person_gets_nothing_of_what_is_kept_under_the_same_id() {
    let world = World::new();
    let desk = world.desk().await;
    let adas = world.send(&desk, named(SQL, "a")).await.unwrap();
    let bob = Sent {
        person: "bob",
        ..named(SQL, "a")
    };
    let bobs = world.send(&desk, bob).await.unwrap();
    assert_ne!(query_id(&desk, &adas), query_id(&desk, &bobs));
    let other = Sent {
        person: "bob",
        ..named("SELECT count(*) AS n FROM beds", "a")
    };
    assert_eq!(refused(&world, &desk, other).await.problem, Problem::RequestId);
}

#[tokio::test]
async fn whoever_was_stopped_or_is_allowed_less_since_is_not_told_again() {
    let narrower = POLICY.replace("columns  = [\"district\", \"beds\"]", "columns  = [\"district\"]");
    let stricter = POLICY.replace("within_days = 30", "within_days = 3");
    let stopped = Stopped::Person("university".parse().unwrap(), "ada".parse().unwrap());
    type Change<'a> = Box<dyn Fn(&World) + 'a>;
    let changes: [(Problem, Change<'_>); 3] = [
        (
            Problem::Stopped,
            Box::new(|w| w.serve_stops(&[w.stop(stopped.clone(), &w.board[0])])),
        ),
        (
            Problem::NoPermission,
            Box::new(|w| w.publish(2, &w.files_with("policies/beds-open.toml", &narrower))),
        ),
        (
            Problem::RequestId,
            Box::new(|w| w.publish(2, &w.files_with("policies/beds-open.toml", &stricter))),
        ),
    ];
    for (problem, change) in changes {
        let world = World::new();
        let desk = world.desk().await;
        world.send(&desk, named(SQL, "a")).await.unwrap();
        change(&world);
        desk.governance.refresh(Some(&world)).await.unwrap();
        let report = refused(&world, &desk, named(SQL, "a")).await;
        assert_eq!(report.problem, problem, "{report}");
        let outcomes: Vec<_> = recorded(&world, &desk)
            .await
            .iter()
            .map(|entry| entry.outcome)
            .collect();
        assert_eq!(outcomes, [Outcome::Released, Outcome::Refused]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_32_one_id_a_hundred_times_at_once_is_one_query_and_one_charge() {
    let world = World::new();
    let desk = world.desk().await;
    let asked = join_all((0..100).map(|_| world.send(&desk, named(SQL, "a")))).await;
    let answers: Vec<Answer> = asked.into_iter().map(Result::unwrap).collect();
    for answer in &answers {
        assert_eq!(
            (&answer.batches, &answer.receipt),
            (&answers[0].batches, &answers[0].receipt)
        );
        assert_eq!(answer.schema, answers[0].schema);
    }
    // Five in a minute: one is spent.
    for _ in 0..4 {
        assert!(world.ask(&desk, SQL, None).await.is_ok());
    }
    assert_eq!(refused(&world, &desk, Sent::of(SQL)).await.problem, Problem::Quota);
    assert!(world.send(&desk, named(SQL, "a")).await.is_ok());
    let released = recorded(&world, &desk).await;
    assert_eq!(
        released
            .iter()
            .filter(|entry| entry.outcome == Outcome::Released)
            .count(),
        5
    );
}

#[tokio::test]
async fn a_17_after_a_restart_the_same_is_told_again_and_never_answered_again() {
    let world = World::new();
    let desk = world.desk().await;
    let rows = "SELECT district, beds FROM beds";
    let first = world.send(&desk, named(rows, "a")).await.unwrap();
    desk.ledger.close().await;
    drop(desk);
    let desk = world.desk().await;
    let again = world.send(&desk, named(rows, "a")).await.unwrap();
    assert_eq!((again.schema, again.receipt), (first.schema, first.receipt));
    assert_eq!(again.batches.iter().map(RecordBatch::num_rows).sum::<usize>(), ROWS);
    assert_eq!(again.batches, first.batches);
    assert_eq!(recorded(&world, &desk).await.len(), 1);
}

#[tokio::test]
async fn a_refusal_is_told_again_as_it_was() {
    let world = World::new();
    let desk = world.desk().await;
    let unknown = Sent {
        permit: Some("study-8"),
        ..named(SQL, "a")
    };
    let first = world.send(&desk, unknown).await.unwrap_err();
    assert_eq!(first.report.problem, Problem::PermitUnknown);
    assert_eq!(world.send(&desk, unknown).await.unwrap_err(), first);
    assert_eq!(recorded(&world, &desk).await.len(), 1);
}

#[tokio::test]
async fn of_an_answer_that_is_too_large_to_keep_the_query_is_named() {
    let world = World::new();
    let desk = world.desk().await;
    let sql = long();
    let answer = world.send_long(&desk, named(&sql, "a")).await.unwrap();
    let query_id = answer.access.opening.query_id.clone();
    // While it is on its way, after it was given up, and after a restart.
    let asked_again = refused(&world, &desk, named(&sql, "a")).await;
    assert_eq!(asked_again.problem, Problem::RequestId);
    assert!(asked_again.message.contains(query_id.as_str()), "{asked_again}");
    drop(answer);
    assert_eq!(refused(&world, &desk, named(&sql, "a")).await, asked_again);
    desk.ledger.close().await;
    drop(desk);
    let desk = world.desk().await;
    assert_eq!(refused(&world, &desk, named(&sql, "a")).await, asked_again);
    let begun = recorded(&world, &desk).await;
    assert_eq!(begun.iter().filter(|entry| entry.outcome == Outcome::Begun).count(), 1);
}

#[tokio::test]
async fn after_a_day_an_id_is_a_new_one() {
    let world = World::new();
    let desk = world.desk().await;
    let first = world.send(&desk, named(SQL, "a")).await.unwrap();
    world.advance(24 * HOUR - 1);
    world.publish(2, &world.files());
    desk.governance.refresh(Some(&world)).await.unwrap();
    assert_eq!(
        query_id(&desk, &world.send(&desk, named(SQL, "a")).await.unwrap()),
        query_id(&desk, &first)
    );
    world.advance(1);
    assert_ne!(
        query_id(&desk, &world.send(&desk, named(SQL, "a")).await.unwrap()),
        query_id(&desk, &first)
    );
}

#[tokio::test]
async fn what_was_exchanged_in_the_file_is_not_told_and_the_log_verifies_without_it() {
    let world = World::new();
    let desk = world.desk().await;
    for (sql, id) in [(SQL, "a"), ("SELECT sum(beds) AS beds FROM beds", "b")] {
        world.send(&desk, named(sql, id)).await.unwrap();
    }
    let file = rusqlite::Connection::open(world.config().ledger_file()).unwrap();
    let exchange = "UPDATE outcome SET answer = (SELECT answer FROM outcome WHERE request = 'b') WHERE request = 'a'";
    file.execute_batch(exchange).unwrap();
    assert_eq!(
        refused(&world, &desk, named(SQL, "a")).await.problem,
        Problem::AuditBroken
    );
    file.execute_batch("DROP TABLE outcome").unwrap();
    assert_eq!(recorded(&world, &desk).await.len(), 3);
    assert!(world.send(&world.desk().await, named(SQL, "a")).await.is_ok());
}
