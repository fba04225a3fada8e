use std::pin::Pin;

use futures::StreamExt as _;
use terms::PersonId;
use trust::Stopped;

use super::*;
use crate::audit;
use crate::example::{MINUTE, PERMIT, POLICY, ROWS, World};
use crate::ledger::Outcome;
use crate::query::Answer;

const SQL: &str = "SELECT district, beds FROM beds";

type Batches = Pin<Box<dyn Stream<Item = Result<RecordBatch, Ended>> + Send>>;

/// An answer of which one batch has arrived.
async fn streaming(world: &World, desk: &Arc<Desk>, permit: Option<&str>) -> Batches {
    let Answer { batches, access, .. } = world.ask(desk, SQL, permit).await.unwrap();
    let mut batches: Batches = Box::pin(deliver(desk, access, batches));
    assert!(batches.next().await.unwrap().unwrap().num_rows() < ROWS / 2);
    batches
}

async fn refresh(world: &World, desk: &Desk) {
    drop(desk.governance.refresh(Some(world)).await);
}

async fn is_revoked(batches: &mut Batches) -> Report {
    let ended = batches.next().await.unwrap().unwrap_err();
    assert_eq!(ended.report.problem, Problem::Revoked, "{}", ended.report);
    assert!(batches.next().await.is_none());
    ended.report
}

fn ada() -> Stopped {
    Stopped::Person("university".parse().unwrap(), "ada".parse::<PersonId>().unwrap())
}

#[tokio::test]
async fn a_14_a_running_stream_ends_at_the_next_batch_for_whoever_is_stopped_removed_or_allowed_less() {
    let narrower = POLICY.replace("columns  = [\"district\", \"beds\"]", "columns  = [\"district\"]");
    let aggregates = POLICY.replace("release  = \"rows\"", "release  = \"aggregates\"");
    type Change<'a> = Box<dyn Fn(&World) + 'a>;
    let changes: [(&str, Change<'_>); 7] = [
        (
            "the person is stopped",
            Box::new(|w| w.serve_stops(&[w.stop(ada(), &w.board[2])])),
        ),
        (
            "their institution is stopped",
            Box::new(|w| w.serve_stops(&[w.stop(Stopped::Member("university".parse().unwrap()), &w.board[0])])),
        ),
        (
            "the policy is stopped",
            Box::new(|w| w.serve_stops(&[w.stop(Stopped::Policy("beds-open".parse().unwrap()), &w.board[0])])),
        ),
        (
            "the node's own institution is stopped",
            Box::new(|w| w.serve_stops(&[w.stop(Stopped::Member("gbsg".parse().unwrap()), &w.board[0])])),
        ),
        (
            "their institution leaves",
            Box::new(|w| w.publish(2, &w.files_of(&["gbsg"]))),
        ),
        (
            "a column is taken away",
            Box::new(|w| w.publish(2, &w.files_with("policies/beds-open.toml", &narrower))),
        ),
        (
            "rows are not released any more",
            Box::new(|w| w.publish(2, &w.files_with("policies/beds-open.toml", &aggregates))),
        ),
    ];
    for (what, change) in changes {
        let world = World::new();
        let desk = world.desk().await;
        let mut batches = streaming(&world, &desk, None).await;
        change(&world);
        refresh(&world, &desk).await;
        is_revoked(&mut batches).await;
        desk.ledger.close().await;
        let entries = audit::entries(&world.config().ledger_file()).unwrap();
        let ends: Vec<Outcome> = entries.iter().map(|entry| entry.outcome).collect();
        assert_eq!(ends, [Outcome::Released, Outcome::Revoked], "{what}");
        let revoked = &entries[1];
        assert!(
            revoked.rows > 0 && revoked.rows < ROWS as u64,
            "{what}: {}",
            revoked.rows
        );
        assert!(
            revoked.message.as_ref().unwrap().starts_with("after 1 batches"),
            "{what}"
        );
        assert_eq!(revoked.query_id, entries[0].query_id);
    }
}

#[tokio::test]
async fn a_permit_that_is_withdrawn_expires_or_is_stopped_ends_the_stream_that_it_carried() {
    let short = PERMIT.replace("valid_until = 2026-11-30", "valid_until = 2026-11-21T12:30:00Z");
    let withdrawn = format!("withdrawn = 2026-11-21T12:00:00Z\n{short}");
    type Change<'a> = Box<dyn Fn(&World) + 'a>;
    let changes: [Change<'_>; 3] = [
        Box::new(|w| w.publish(3, &w.files_with("permits/study-7.toml", &withdrawn))),
        // At half past twelve it expires.
        Box::new(|w| w.advance(40 * MINUTE)),
        Box::new(|w| w.serve_stops(&[w.stop(Stopped::Permit("study-7".parse().unwrap()), &w.board[1])])),
    ];
    for change in changes {
        let world = World::new();
        world.publish(2, &world.files_with("permits/study-7.toml", &short));
        let desk = world.desk().await;
        let (mut with, mut without) = (
            streaming(&world, &desk, Some("study-7")).await,
            streaming(&world, &desk, None).await,
        );
        change(&world);
        refresh(&world, &desk).await;
        is_revoked(&mut with).await;
        // Who named no permit needs none, and a credential that was good when it was shown is not asked for again.
        assert!(without.next().await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_stream_goes_on_while_nothing_is_taken_away() {
    let world = World::new();
    let desk = world.desk().await;
    let mut batches = streaming(&world, &desk, None).await;
    let wider = POLICY.replace("per_week = 6", "per_week = 1");
    world.advance(30 * MINUTE);
    world.publish(2, &world.files_with("policies/beds-open.toml", &wider));
    refresh(&world, &desk).await;
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        rows += batch.unwrap().num_rows();
    }
    assert!(rows > ROWS / 2);
}

#[tokio::test]
async fn what_is_revoked_while_nobody_reads_is_recorded_and_stays_revoked() {
    let world = World::new();
    let desk = world.desk().await;
    let mut batches = streaming(&world, &desk, None).await;
    let stop = world.stop(ada(), &world.board[0]);
    world.serve_stops(std::slice::from_ref(&stop));
    refresh(&world, &desk).await;
    let recorded = async {
        while desk.ledger.status().entries < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(3 * LOOK_EVERY, recorded)
        .await
        .expect("nothing is recorded");
    // Lifted meanwhile: the reader is told all the same, and can ask again.
    world.publish(2, &world.lifting(&[stop.digest()]));
    refresh(&world, &desk).await;
    is_revoked(&mut batches).await;
    world.advance(1);
    assert!(world.ask(&desk, SQL, None).await.is_ok());
}

#[test]
fn an_answer_that_was_made_under_weaker_obligations_is_not_given_under_stronger_ones() {
    let statistical = |people: u32| Tier::Statistical {
        min_people: people.try_into().unwrap(),
    };
    let issued = "2026-11-21T12:00:00Z".parse().unwrap();
    let dominance = |share| Some(Dominance { top: 2, share });
    let made = Obligations {
        tier: statistical(10),
        dominance: dominance(0.85),
        p_percent: Some(10),
        round_to: None,
        zeros: Zeros::Open,
        transforms: [("district".to_owned(), Transform::Prefix(2))].into(),
        row_filter: Some(RowFilter::Sql("consent".to_owned())),
        opt_out: OptOut::AsOf(issued),
        joined: Vec::new(),
    };
    let weaker = Obligations {
        tier: Tier::Open,
        dominance: None,
        p_percent: None,
        transforms: BTreeMap::new(),
        row_filter: None,
        opt_out: OptOut::Exempt {
            reason: "law".to_owned(),
        },
        ..made.clone()
    };
    let stronger = [
        Obligations {
            tier: statistical(11),
            ..made.clone()
        },
        Obligations {
            row_filter: Some(RowFilter::Sql("consent AND adult".to_owned())),
            ..made.clone()
        },
        Obligations {
            opt_out: OptOut::AtQuery,
            ..made.clone()
        },
        Obligations {
            dominance: dominance(0.8),
            ..made.clone()
        },
        Obligations {
            p_percent: Some(15),
            ..made.clone()
        },
        Obligations {
            round_to: Some(5),
            ..made.clone()
        },
        Obligations {
            zeros: Zeros::Protected,
            ..made.clone()
        },
        Obligations {
            transforms: [("district".to_owned(), Transform::Mask)].into(),
            ..made.clone()
        },
    ];
    assert!(made.satisfy(&made) && made.satisfy(&weaker) && !weaker.satisfy(&made));
    assert!(stronger.iter().all(|now| !made.satisfy(now)));
}
