use std::collections::BTreeMap;

use trust::{Receipt, Stopped};

use super::*;
use crate::audit;
use crate::example::{COLLECTION, HOUR, PERMIT, POLICY, ROWS, Sent, World};
use crate::ledger::Outcome;

const SQL: &str = "SELECT sum(beds) AS beds FROM beds WHERE district = 'd7'";

fn with_permit() -> String {
    POLICY.replace("\"none\"", "\"required\"")
}

async fn problem(world: &World, desk: &Arc<Desk>, permit: Option<&str>) -> Problem {
    world.ask(desk, SQL, permit).await.unwrap_err().report.problem
}

async fn refresh(world: &World, desk: &Desk, version: u64, name: &str, text: &str) {
    let mut files = world.files_with("policies/beds-open.toml", &with_permit());
    files.insert(name.to_owned(), text.as_bytes().to_vec());
    world.publish(version, &files);
    desk.governance.refresh(Some(world)).await.unwrap();
}

/// A row filter that fails at every row, in words that quote the row.
fn failing(world: &World) -> BTreeMap<String, Vec<u8>> {
    let collection = format!("{COLLECTION}\n[filters.broken]\nsql = \"cast(district AS bigint) > 3\"\n");
    let policy = POLICY.replace("release  =", "rows     = \"broken\"\nrelease  =");
    let mut files = world.files_with("collections/beds.toml", &collection);
    files.insert("policies/beds-open.toml".to_owned(), policy.into_bytes());
    files
}

#[tokio::test]
async fn a_33_a_failure_while_rows_are_read_is_one_sentence_that_quotes_nothing_and_comes_at_a_step_of_the_grid() {
    let world = World::new();
    world.publish(2, &failing(&world));
    let desk = world.desk().await;
    for sql in [SQL, "SELECT count(*) AS n FROM beds", "SELECT district FROM beds"] {
        let asked = Instant::now();
        let ended = world.ask(&desk, sql, None).await.unwrap_err();
        assert!(asked.elapsed() >= Duration::from_millis(limit::ERROR_GRID_MILLISECONDS));
        assert_eq!(
            ended.report,
            Problem::Execution.report("the node could not finish the query")
        );
        assert!(ended.query_id.is_some());
    }
    desk.ledger.close().await;
    for entry in audit::entries(&world.config().ledger_file()).unwrap() {
        assert_eq!(
            (entry.outcome, entry.problem),
            (Outcome::Failed, Some(Problem::Execution))
        );
        assert_eq!(entry.message.as_deref(), Some("the node could not finish the query"));
    }
}

#[tokio::test]
async fn what_still_runs_when_the_node_stops_ends_and_is_recorded() {
    let world = World::new();
    let desk = world.desk().await;
    desk.stopping.cancel();
    let ended = world.ask(&desk, SQL, None).await.unwrap_err();
    assert_eq!(ended.report.problem, Problem::Unreachable);
    assert!(
        ended.report.remedy.contains("again in a minute"),
        "{}",
        ended.report.remedy
    );
    desk.ledger.close().await;
    let entries = audit::entries(&world.config().ledger_file()).unwrap();
    let recorded: Vec<_> = entries.iter().map(|entry| (entry.outcome, entry.problem)).collect();
    assert_eq!(recorded, [(Outcome::Failed, Some(Problem::Unreachable))]);
}

#[tokio::test]
async fn what_comes_between_two_steps_waits_for_the_second() {
    let step = Duration::from_millis(limit::ERROR_GRID_MILLISECONDS);
    for (since, told) in [(step / 2, step), (step * 2 + step / 4, step * 3)] {
        let arrived = Instant::now() - since;
        next_step(arrived).await;
        assert!(arrived.elapsed() >= told);
    }
}

#[tokio::test]
async fn what_a_query_may_not_be_explains_itself() {
    let world = World::new();
    let desk = world.desk().await;
    for (sql, problem, says) in [
        (
            "SELECT count(*) AS n FROM beds WHERE beds = 3",
            Problem::SqlRole,
            "the column beds cannot be",
        ),
        ("SELECT nothing FROM beds", Problem::SqlColumn, "nothing"),
        ("SELECT", Problem::SqlSyntax, ""),
    ] {
        let ended = world.ask(&desk, sql, None).await.unwrap_err();
        assert_eq!(ended.report.problem, problem, "{}", ended.report);
        assert!(ended.report.message.contains(says), "{}", ended.report);
    }
}

#[tokio::test]
async fn a_23_a_collection_that_is_not_open_to_the_asker_is_not_told_from_one_that_is_not_there() {
    let world = World::new();
    let of_wards = |text: &str| text.replace("beds\"\ntitle", "wards\"\ntitle");
    let policy = POLICY
        .replace("\"beds-open\"", "\"wards-open\"")
        .replace("\"beds\"", "\"wards\"");
    let mut files = world.files();
    files.insert("collections/wards.toml".to_owned(), of_wards(COLLECTION).into_bytes());
    let closed = policy
        .replace("[\"district\", \"wards\"]", "[\"district\", \"beds\"]")
        .replace("[\"university\"]", "[\"hospital\"]");
    files.insert("policies/wards-open.toml".to_owned(), closed.into_bytes());
    world.publish(2, &files);
    let desk = world.desk().await;
    assert!(
        desk.governance
            .latest()
            .rules
            .collections
            .contains_key(&"wards".parse().unwrap())
    );

    let told = |ended: Ended, name: &str| {
        let told = serde_json::to_string(&ended.report).unwrap();
        assert!(told.contains(name), "{told}");
        told.replace(name, "NAME")
    };
    for sql in [
        "SELECT count(*) AS n FROM NAME",
        "SELECT district FROM NAME WHERE district = 'd7'",
    ] {
        let (there, not_there) = (sql.replace("NAME", "wards"), sql.replace("NAME", "warps"));
        let asked = told(world.ask(&desk, &there, None).await.unwrap_err(), "wards");
        assert_eq!(
            asked,
            told(world.ask(&desk, &not_there, None).await.unwrap_err(), "warps")
        );
        // Nor by asking whether.
        for (sql, name) in [(&there, "wards"), (&not_there, "warps")] {
            let foreseen = world.send_whether(&desk, Sent::of(sql)).await.unwrap_err();
            assert_eq!(told(foreseen, name), asked);
        }
    }
}

#[tokio::test]
async fn the_audit_says_how_many_rows_and_bytes_left() {
    let world = World::new();
    let desk = world.desk().await;
    world.ask(&desk, "SELECT beds FROM beds", None).await.unwrap();
    world.ask(&desk, SQL, None).await.unwrap();
    desk.ledger.close().await;
    let entries = audit::entries(&world.config().ledger_file()).unwrap();
    let left: Vec<_> = entries.iter().map(|entry| (entry.rows, entry.bytes)).collect();
    let (integer, wide_sum) = (8, 16);
    assert_eq!(left, [(ROWS as u64, ROWS as u64 * integer), (1, wide_sum)]);
}

#[tokio::test]
async fn a_permit_is_needed_known_the_askers_and_not_withdrawn_at_the_next_query() {
    let world = World::new();
    world.publish(2, &world.files_with("policies/beds-open.toml", &with_permit()));
    let desk = world.desk().await;
    assert_eq!(problem(&world, &desk, None).await, Problem::PermitRequired);
    assert_eq!(problem(&world, &desk, Some("study-8")).await, Problem::PermitUnknown);

    let answer = world.ask(&desk, SQL, Some("study-7")).await.unwrap();
    let receipt = Receipt::open(&answer.receipt, &desk.key.public()).unwrap();
    assert_eq!(receipt.permit, Some("study-7".parse().unwrap()));
    assert_eq!(receipt.duties, ["delete within 30 days"]);

    let of_others = PERMIT.replace("university/ada", "university/eve");
    refresh(&world, &desk, 3, "permits/study-7.toml", &of_others).await;
    assert_eq!(problem(&world, &desk, Some("study-7")).await, Problem::PermitInvalid);
    let withdrawn = format!("withdrawn = 2026-11-21\n{PERMIT}");
    refresh(&world, &desk, 4, "permits/study-7.toml", &withdrawn).await;
    assert_eq!(problem(&world, &desk, Some("study-7")).await, Problem::PermitInvalid);
    refresh(&world, &desk, 5, "permits/study-7.toml", PERMIT).await;
    assert!(world.ask(&desk, SQL, Some("study-7")).await.is_ok());
    world.advance(10 * 24 * HOUR);
    refresh(&world, &desk, 6, "permits/study-7.toml", PERMIT).await;
    assert_eq!(problem(&world, &desk, Some("study-7")).await, Problem::PermitInvalid);

    desk.ledger.close().await;
    let entries = audit::entries(&world.config().ledger_file()).unwrap();
    let released: Vec<_> = entries
        .iter()
        .filter(|entry| entry.outcome == Outcome::Released)
        .collect();
    assert_eq!(released.len(), 2);
    assert!(
        released
            .iter()
            .all(|entry| entry.permit == Some("study-7".parse().unwrap()))
    );
    assert!(released.iter().all(|entry| entry.duties == ["delete within 30 days"]));
    let named: Vec<_> = entries
        .iter()
        .map(|entry| entry.permit.as_ref().map(PermitId::as_str))
        .collect();
    assert_eq!(named[..3], [None, Some("study-8"), Some("study-7")]);
}

#[tokio::test]
async fn a_permit_that_is_named_without_need_is_checked_all_the_same() {
    let world = World::new();
    let desk = world.desk().await;
    assert_eq!(problem(&world, &desk, Some("study-8")).await, Problem::PermitUnknown);
    let answer = world.ask(&desk, SQL, None).await.unwrap();
    assert_eq!(Receipt::open(&answer.receipt, &desk.key.public()).unwrap().permit, None);
}

#[tokio::test]
async fn a_quota_that_is_used_up_stays_so_across_a_restart_and_until_its_time_is_over() {
    let world = World::new();
    let desk = world.desk().await;
    // What is not allowed costs nothing.
    assert_eq!(problem(&world, &desk, Some("study-8")).await, Problem::PermitUnknown);
    for _ in 0..5 {
        assert!(world.ask(&desk, SQL, None).await.is_ok());
    }
    assert_eq!(problem(&world, &desk, None).await, Problem::Quota);
    desk.ledger.close().await;
    drop(desk);
    let desk = world.desk().await;
    assert_eq!(problem(&world, &desk, None).await, Problem::Quota);
    world.advance(60);
    assert!(world.ask(&desk, SQL, None).await.is_ok());
    // Six in a week.
    world.advance(60);
    assert_eq!(problem(&world, &desk, None).await, Problem::Quota);
    world.advance(7 * 24 * HOUR);
    world.publish(2, &world.files());
    desk.governance.refresh(Some(&world)).await.unwrap();
    assert!(world.ask(&desk, SQL, None).await.is_ok());
}

#[tokio::test]
async fn whoever_is_stopped_is_refused_before_the_query_is_read_and_that_is_recorded() {
    let world = World::new();
    let desk = world.desk().await;
    let person = Stopped::Person("university".parse().unwrap(), "ada".parse().unwrap());
    let mut lifted = Vec::new();
    for stopped in [person, Stopped::Member("university".parse().unwrap())] {
        let stop = world.stop(stopped, &world.board[0]);
        world.serve_stops(std::slice::from_ref(&stop));
        desk.governance.refresh(Some(&world)).await.unwrap();
        for sql in [SQL, "SELECT nothing FROM nowhere", "?"] {
            let ended = world.ask(&desk, sql, None).await.unwrap_err();
            assert_eq!(ended.report.problem, Problem::Stopped);
            assert!(!ended.report.message.contains("ada"), "{}", ended.report);
        }
        let version = desk.governance.latest().set.version + 1;
        // What was lifted before has to stay on the list.
        lifted.push(stop.digest());
        world.publish(version, &world.lifting(&lifted));
        desk.governance.refresh(Some(&world)).await.unwrap();
        assert!(world.ask(&desk, SQL, None).await.is_ok());
    }
    desk.ledger.close().await;
    let entries = audit::entries(&world.config().ledger_file()).unwrap();
    let stopped = entries.iter().filter(|entry| entry.problem == Some(Problem::Stopped));
    assert_eq!(stopped.count(), 6);
}

#[tokio::test]
async fn whoever_was_refused_thirty_times_is_not_read_any_more_for_an_hour_also_after_a_restart() {
    let world = World::new();
    let desk = world.desk().await;
    for _ in 0..limit::LOCKOUT_REFUSALS_MAX {
        assert_eq!(problem(&world, &desk, Some("study-8")).await, Problem::PermitUnknown);
    }
    for sql in [SQL, "?"] {
        let ended = world.ask(&desk, sql, None).await.unwrap_err();
        assert_eq!(ended.report.problem, Problem::LockedOut);
    }
    desk.ledger.close().await;
    drop(desk);
    let desk = world.desk().await;
    assert_eq!(problem(&world, &desk, None).await, Problem::LockedOut);
    let bob = Sent {
        person: "bob",
        ..Sent::of(SQL)
    };
    assert!(world.send(&desk, bob).await.is_ok());
    world.advance(limit::LOCKOUT_WINDOW_SECONDS);
    world.publish(2, &world.files());
    desk.governance.refresh(Some(&world)).await.unwrap();
    assert!(world.ask(&desk, SQL, None).await.is_ok());
    desk.ledger.close().await;
    let entries = audit::entries(&world.config().ledger_file()).unwrap();
    let locked_out = entries.iter().filter(|entry| entry.problem == Some(Problem::LockedOut));
    assert_eq!(locked_out.count(), 3);
}

#[tokio::test]
async fn a_permits_quota_is_shared_by_its_persons_and_stays_spent_across_a_restart() {
    let world = World::new();
    let permit = PERMIT
        .replace(
            "persons     = [\"university/ada\"]",
            "persons     = [\"university/ada\", \"university/bob\"]",
        )
        .replace("opt_out", "queries     = { per_week = 2 }\nopt_out");
    world.publish(2, &world.files_with("permits/study-7.toml", &permit));
    let desk = world.desk().await;
    let ask = |person| Sent {
        person,
        permit: Some("study-7"),
        ..Sent::of(SQL)
    };
    world.send(&desk, ask("ada")).await.unwrap();
    world.send(&desk, ask("bob")).await.unwrap();
    desk.ledger.close().await;
    drop(desk);
    let desk = world.desk().await;
    for person in ["ada", "bob"] {
        let ended = world.send(&desk, ask(person)).await.unwrap_err();
        assert_eq!(ended.report.problem, Problem::Quota, "{}", ended.report);
    }
    // Without the permit everybody has their own.
    assert!(world.ask(&desk, SQL, None).await.is_ok());
}

#[tokio::test]
async fn a_policy_with_more_duties_than_a_receipt_tells_allows_nothing() {
    let world = World::new();
    let duty = |number| format!("\n[[permission.duty]]\naction = \"attribute\"\ntext = \"{number:0>199}\"\n");
    let policy = |duties: usize| POLICY.to_owned() + &(0..duties).map(duty).collect::<String>();
    world.publish(2, &world.files_with("policies/beds-open.toml", &policy(18)));
    let desk = world.desk().await;
    let answer = world.ask(&desk, SQL, None).await.unwrap();
    // Encoded once more it is the header of an answer.
    let header = serde_json::to_vec(&answer.receipt).unwrap().len() * 4 / 3;
    assert!(header < limit_of_headers(), "{header}");
    world.publish(3, &world.files_with("policies/beds-open.toml", &policy(30)));
    desk.governance.refresh(Some(&world)).await.unwrap();
    assert_eq!(problem(&world, &desk, None).await, Problem::PolicyInvalid);
}

fn limit_of_headers() -> usize {
    usize::try_from(terms::limit::HEADER_LIST_BYTES_MAX).unwrap() - 2_048
}

#[tokio::test]
async fn a_50_a_credential_that_expired_stays_so_when_the_clock_is_set_back_and_no_proof_of_then_serves_again() {
    let world = World::new();
    let desk = world.desk().await;
    let credential = world.credential("ada");
    let ask = async || {
        let answered = world.send_with(&desk, Sent::of(SQL), &credential).await;
        answered.map(drop).map_err(|ended| ended.report.problem)
    };
    assert_eq!(ask().await, Ok(()));
    world.advance(2 * 3600);
    world.announce(1);
    desk.governance.refresh(Some(&world)).await.unwrap();
    assert_eq!(ask().await, Err(Problem::TokenExpired));
    // A little behind, by what is tolerated, time stands still; further behind nobody is answered at all.
    world.advance(-50);
    let refused = ask().await.unwrap_err();
    assert!(
        [Problem::TokenExpired, Problem::ProofMismatch].contains(&refused),
        "{refused}"
    );
    world.advance(50);
    for back in [10 * 60, 2 * 3600 - 10 * 60] {
        world.advance(-back);
        assert_eq!(ask().await, Err(Problem::PolicyExpired));
    }
    // When it is as late again as it was, whoever has a credential of now is answered.
    world.advance(2 * 3600);
    assert!(world.ask(&desk, SQL, None).await.is_ok());
    let entries = crate::audit::entries(&world.config().ledger_file()).unwrap();
    assert!(entries.is_sorted_by_key(|entry| entry.at));
}
