use std::pin::Pin;

use futures::StreamExt as _;
use terms::PersonId;
use trust::{Receipt, Stopped};

use super::*;
use crate::audit::{self, Compared};
use crate::example::{COLLECTION, MINUTE, PERMIT, POLICY, ROWS, Sent, World, long};
use crate::ledger::{AuditEntry, Outcome};
use crate::query::{Answer, Answered};

const SQL: &str = "SELECT district, beds FROM beds";

type Parts = Pin<Box<dyn Stream<Item = Result<Part, Ended>> + Send>>;

fn rows(part: Part) -> usize {
    match part {
        Part::Batch(batch) => batch.num_rows(),
        Part::Receipt(_) => 0,
    }
}

async fn on_its_way(world: &World, desk: &Arc<Desk>, sql: &str, permit: Option<&str>) -> Parts {
    let sent = Sent {
        permit,
        ..Sent::of(sql)
    };
    match world.send_any(desk, sent).await.unwrap() {
        Answered::Whole(answer) => {
            let Answer { batches, access, .. } = *answer;
            Box::pin(deliver(desk, access, batches))
        }
        Answered::Rows(answer) => Box::pin(deliver_rows(desk, *answer)),
    }
}

/// An answer of which one batch has arrived.
async fn streaming(world: &World, desk: &Arc<Desk>, sql: &str, permit: Option<&str>) -> Parts {
    let mut parts = on_its_way(world, desk, sql, permit).await;
    let first = rows(parts.next().await.unwrap().unwrap());
    assert!(0 < first && first < ROWS / 2);
    parts
}

/// What the audit says once all that is open has ended. It is whole, and says the same after the node was started again.
async fn recorded(world: &World, desk: &Arc<Desk>) -> Vec<AuditEntry> {
    desk.ledger.close().await;
    let (config, key) = (world.config(), desk.key.public());
    let verified = audit::verify(
        &config.ledger_file(),
        &config.audit_origin(),
        &key,
        &Compared::default(),
    );
    assert_eq!(verified.unwrap().unended, Vec::<u64>::new());
    audit::entries(&config.ledger_file()).unwrap()
}

fn outcomes(entries: &[AuditEntry]) -> Vec<Outcome> {
    entries.iter().map(|entry| entry.outcome).collect()
}

async fn refresh(world: &World, desk: &Desk) {
    drop(desk.governance.refresh(Some(world)).await);
}

async fn is_revoked(batches: &mut Parts) -> Report {
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
    let long = long();
    let kinds = [(SQL, Outcome::Released), (&long, Outcome::Begun)];
    for ((what, change), (sql, first)) in changes.iter().flat_map(|change| kinds.map(|kind| (change, kind))) {
        let world = World::new();
        let desk = world.desk().await;
        let mut batches = streaming(&world, &desk, sql, None).await;
        change(&world);
        refresh(&world, &desk).await;
        is_revoked(&mut batches).await;
        let entries = recorded(&world, &desk).await;
        assert_eq!(outcomes(&entries), [first, Outcome::Revoked], "{what}");
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
            streaming(&world, &desk, SQL, Some("study-7")).await,
            streaming(&world, &desk, SQL, None).await,
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
    let mut batches = streaming(&world, &desk, SQL, None).await;
    let wider = POLICY.replace("per_week = 6", "per_week = 1");
    world.advance(30 * MINUTE);
    world.publish(2, &world.files_with("policies/beds-open.toml", &wider));
    refresh(&world, &desk).await;
    let mut arrived = 0;
    while let Some(batch) = batches.next().await {
        arrived += rows(batch.unwrap());
    }
    assert!(arrived > ROWS / 2);
}

#[tokio::test]
async fn what_is_revoked_while_nobody_reads_is_recorded_and_stays_revoked() {
    let world = World::new();
    let desk = world.desk().await;
    let mut batches = streaming(&world, &desk, &long(), None).await;
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

#[tokio::test]
async fn without_the_permit_that_is_asked_for_no_row_begins_to_leave() {
    let world = World::new();
    world.publish(
        2,
        &world.files_with("policies/beds-open.toml", &POLICY.replace("\"none\"", "\"required\"")),
    );
    let desk = world.desk().await;
    let long = long();
    for permit in [None, Some("study-8")] {
        let sent = Sent {
            permit,
            ..Sent::of(&long)
        };
        let ended = world.send_any(&desk, sent).await.unwrap_err();
        assert_eq!(ended.report.problem.exit_code(), terms::ExitCode::Refused);
    }
    let entries = recorded(&world, &desk).await;
    assert_eq!(outcomes(&entries), [Outcome::Refused, Outcome::Refused]);
}

#[tokio::test]
async fn what_fails_in_the_middle_is_one_sentence_without_a_receipt_and_the_rows_that_had_gone_are_recorded() {
    // Division by zero, in the last of three batches.
    let collection = format!(
        "{COLLECTION}\n[filters.broken]\nsql = \"100000 / ({} - beds) <> 3\"\n",
        ROWS - 10
    );
    let policy = POLICY.replace("release  =", "rows     = \"broken\"\nrelease  =");
    let world = World::new();
    let mut files = world.files_with("policies/beds-open.toml", &policy);
    files.insert("collections/beds.toml".to_owned(), collection.into_bytes());
    world.publish(2, &files);
    let desk = world.desk().await;
    let mut parts = streaming(&world, &desk, &long(), None).await;
    let mut gone = 0;
    let ended = loop {
        match parts.next().await.expect("it ends without a word") {
            Ok(Part::Batch(batch)) => gone += batch.num_rows(),
            Ok(Part::Receipt(_)) => panic!("it is signed"),
            Err(ended) => break ended,
        }
    };
    assert!(gone > 0 && parts.next().await.is_none());
    assert_eq!(
        ended.report,
        Problem::Execution.report("the node could not finish the query")
    );
    drop(parts);
    let entries = recorded(&world, &desk).await;
    assert_eq!(outcomes(&entries), [Outcome::Begun, Outcome::Failed]);
    assert_eq!(entries[1].problem, Some(Problem::Execution));
    assert!(entries[1].rows > gone as u64 && entries[1].rows < ROWS as u64 && entries[1].result.is_none());
}

#[tokio::test]
async fn a_reader_who_goes_away_leaves_an_entry_with_the_rows_that_were_handed_out() {
    let world = World::new();
    let desk = world.desk().await;
    drop(streaming(&world, &desk, &long(), None).await);
    // And one who never read.
    drop(on_its_way(&world, &desk, &long(), None).await);
    let entries = recorded(&world, &desk).await;
    let (begun, abandoned) = (Outcome::Begun, Outcome::Abandoned);
    assert_eq!(outcomes(&entries), [begun, abandoned, begun, abandoned]);
    assert!(entries[1].rows > 0 && entries[1].rows < ROWS as u64 && entries[1].bytes > entries[1].rows);
    assert_eq!((entries[3].rows, &entries[3].query_id), (0, &entries[2].query_id));
}

#[tokio::test]
async fn the_first_row_leaves_after_its_entry_and_the_receipt_after_the_last_row_and_its_entry() {
    let world = World::new();
    let desk = world.desk().await;
    let long = long();
    let mut parts = on_its_way(&world, &desk, &long, None).await;
    let on_disk = || audit::entries(&world.config().ledger_file()).unwrap();
    let begun = on_disk().pop().unwrap();
    assert_eq!(
        (begun.outcome, begun.rows, begun.result, begun.sql),
        (Outcome::Begun, 0, None, long)
    );
    let mut batches = Vec::new();
    let receipt = loop {
        match parts.next().await.unwrap().unwrap() {
            Part::Batch(batch) => batches.push(batch),
            Part::Receipt(receipt) => break Receipt::open(&receipt, &desk.key.public()).unwrap(),
        }
        assert_eq!(on_disk().len(), 1);
    };
    assert!(parts.next().await.is_none());
    let released = on_disk().pop().unwrap();
    assert_eq!(released.unlike(&receipt), None);
    assert_eq!(
        (receipt.rows, receipt.audit_index, &receipt.duties[..]),
        (ROWS as u64, 1, &["delete within 30 days".to_owned()][..])
    );
    assert_eq!(released.bytes, (ROWS * 100 * 8) as u64);
    assert_eq!(receipt.result, engine::digest_of(&batches[0].schema(), &batches));
    drop(parts);
    assert_eq!(
        outcomes(&recorded(&world, &desk).await),
        [Outcome::Begun, Outcome::Released]
    );
}

#[tokio::test]
async fn a_long_answer_costs_one_query_however_it_ends_also_after_a_restart() {
    let world = World::new();
    let mut desk = world.desk().await;
    // Six in a week, five in a minute.
    for number in 0..6 {
        world.advance(MINUTE);
        let mut parts = streaming(&world, &desk, &long(), None).await;
        while number % 2 == 0 && parts.next().await.is_some() {}
        drop(parts);
        desk.ledger.close().await;
        desk = world.desk().await;
    }
    world.advance(MINUTE);
    let ended = world.send_any(&desk, Sent::of(&long())).await.unwrap_err();
    assert_eq!(ended.report.problem, Problem::Quota, "{}", ended.report);
}

#[tokio::test]
async fn a_node_that_stops_ends_what_is_on_its_way_and_says_so_in_the_ledger() {
    let world = World::new();
    let desk = world.desk().await;
    let mut parts = streaming(&world, &desk, &long(), None).await;
    desk.stopping.cancel();
    // The reader rests; the ledger does not wait for them.
    let entries = tokio::time::timeout(3 * LOOK_EVERY, recorded(&world, &desk)).await;
    let entries = entries.expect("the ledger waits for a reader");
    assert_eq!(outcomes(&entries), [Outcome::Begun, Outcome::Failed]);
    assert_eq!(
        parts.next().await.unwrap().unwrap_err().report.problem,
        Problem::Unreachable
    );
}

#[tokio::test]
async fn a_node_that_is_killed_on_the_way_leaves_a_beginning_without_an_end() {
    let world = World::new();
    let desk = world.desk().await;
    let parts = streaming(&world, &desk, &long(), None).await;
    let config = world.config();
    let verified = audit::verify(
        &config.ledger_file(),
        &config.audit_origin(),
        &desk.key.public(),
        &Compared::default(),
    );
    assert_eq!(verified.unwrap().unended, [0]);
    drop(parts);
    recorded(&world, &desk).await;
}

#[tokio::test]
async fn a_44_how_answers_on_their_way_ended_while_the_disk_was_full_is_in_the_ledger_once_there_is_room() {
    let world = World::new();
    let desk = world.desk().await;
    let mut whole = on_its_way(&world, &desk, &long(), None).await;
    let given_up = streaming(&world, &desk, &long(), None).await;
    let mut revoked = streaming(&world, &desk, &long(), None).await;
    desk.ledger.pretend_free(Some(0));
    let unsigned = loop {
        match whole.next().await.unwrap() {
            Ok(part) => assert!(matches!(part, Part::Batch(_)), "a receipt of what is not recorded"),
            Err(ended) => break ended.report,
        }
    };
    assert_eq!(unsigned.problem, Problem::AuditUnavailable);
    drop(given_up);
    world.serve_stops(&[world.stop(ada(), &world.board[2])]);
    refresh(&world, &desk).await;
    is_revoked(&mut revoked).await;
    assert_eq!(audit::entries(&world.config().ledger_file()).unwrap().len(), 3);
    // Nothing new is looked at, and nothing of the old forgotten.
    let refused = world.ask(&desk, SQL, None).await.unwrap_err();
    assert_eq!(refused.report.problem, Problem::AuditUnavailable);
    desk.ledger.pretend_free(None);
    let entries = recorded(&world, &desk).await;
    let ends: Vec<_> = entries[3..]
        .iter()
        .map(|entry| (entry.outcome, entry.ends_begun))
        .collect();
    for end in [Outcome::Failed, Outcome::Abandoned, Outcome::Revoked] {
        assert!(ends.contains(&(end, true)), "{ends:?}");
    }
    let failed = entries[3..]
        .iter()
        .find(|entry| entry.outcome == Outcome::Failed)
        .unwrap();
    assert_eq!((failed.rows, failed.result), (ROWS as u64, None));
    assert_eq!(failed.problem, Some(Problem::AuditUnavailable));
}

#[tokio::test]
async fn a_44_what_is_stopped_while_the_disk_is_nearly_full_is_stopped_and_recorded() {
    for sql in [SQL.to_owned(), long()] {
        let world = World::new();
        let desk = world.desk().await;
        let mut batches = streaming(&world, &desk, &sql, None).await;
        desk.ledger.pretend_free(Some(terms::limit::LEDGER_ROOM_BYTES_MIN / 2));
        world.serve_stops(&[world.stop(ada(), &world.board[2])]);
        refresh(&world, &desk).await;
        is_revoked(&mut batches).await;
        let entries = recorded(&world, &desk).await;
        assert_eq!(entries.last().unwrap().outcome, Outcome::Revoked);
    }
}

#[tokio::test]
async fn no_more_long_answers_than_there_are_places_are_on_their_way() {
    let world = World::new();
    let desk = world.desk().await;
    let held = Arc::clone(&desk.streaming)
        .acquire_many_owned(terms::limit::ROW_STREAMS_AT_ONCE_MAX as u32 - 1)
        .await;
    let long = long();
    let first = streaming(&world, &desk, &long, None).await;
    let ended = world.send_any(&desk, Sent::of(&long)).await.unwrap_err();
    assert_eq!(ended.report.problem, Problem::Resources);
    // What is not long needs none.
    assert!(world.ask(&desk, SQL, None).await.is_ok());
    drop((first, held));
    drop(streaming(&world, &desk, &long, None).await);
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
        models: None,
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
