use std::sync::Arc;

use terms::{Problem, limit};
use trust::Stopped;
use wire::dry_run::{Cost, Quota, Tier, Window, WouldAllow};
use wire::status::Ended;

use super::super::Desk;
use crate::audit;
use crate::example::{PERMIT, POLICY, Sent, World};
use crate::ledger::{AuditEntry, Outcome};

const SQL: &str = "SELECT sum(beds) AS beds FROM beds WHERE district = 'd7'";

async fn whether(world: &World, desk: &Arc<Desk>, sent: Sent<'_>) -> Result<WouldAllow, Ended> {
    world.send_whether(desk, sent).await
}

async fn entries(world: &World, desk: &Desk) -> Vec<AuditEntry> {
    desk.ledger.close().await;
    audit::entries(&world.config().ledger_file()).unwrap()
}

fn used(would: &WouldAllow) -> Vec<(Quota, Window, u32, u32)> {
    let cost = |cost: &Cost| (cost.quota, cost.window, cost.limit, cost.used);
    would.costs.iter().map(cost).collect()
}

#[tokio::test]
async fn what_would_be_refused_is_refused_in_the_words_of_the_query() {
    let world = World::new();
    let desk = world.desk().await;
    let of = Sent::of;
    let refused = [
        (of("SELECT count(*) AS n FROM wards"), Problem::SqlCollection),
        (of("SELECT nothing FROM beds"), Problem::SqlColumn),
        (of("SELECT"), Problem::SqlSyntax),
        (of("SELECT count(*) AS n FROM beds WHERE beds = 3"), Problem::SqlRole),
        (of("SELECT max(district) AS n FROM beds"), Problem::SqlNotAllowed),
        (
            Sent {
                purpose: "ehds-54-b",
                ..of(SQL)
            },
            Problem::Prohibited,
        ),
        (
            Sent {
                purpose: "ehds-53-1-c",
                ..of(SQL)
            },
            Problem::Reserved,
        ),
        (
            Sent {
                permit: Some("study-8"),
                ..of(SQL)
            },
            Problem::PermitUnknown,
        ),
    ];
    for (sent, problem) in refused {
        let foreseen = whether(&world, &desk, sent).await.unwrap_err();
        let seen = world.send(&desk, sent).await.unwrap_err();
        assert_eq!(foreseen.report, seen.report);
        assert_eq!(foreseen.report.problem, problem, "{}", foreseen.report);
    }
    for foreseen in entries(&world, &desk).await.iter().step_by(2) {
        assert_eq!(foreseen.outcome, Outcome::Foreseen);
        assert!(foreseen.problem.is_some() && foreseen.message.is_some() && foreseen.caller.is_some());
    }
}

#[tokio::test]
async fn whoever_is_stopped_or_locked_out_is_told_that_and_nothing_of_the_query() {
    let world = World::new();
    let desk = world.desk().await;
    for _ in 0..limit::LOCKOUT_REFUSALS_MAX {
        let refused = world.ask(&desk, SQL, Some("study-8")).await.unwrap_err();
        assert_eq!(refused.report.problem, Problem::PermitUnknown);
    }
    for sql in [SQL, "SELECT nothing FROM nowhere", "?"] {
        let told = whether(&world, &desk, Sent::of(sql)).await.unwrap_err();
        assert_eq!(told.report.problem, Problem::LockedOut);
    }
    let person = Stopped::Person("university".parse().unwrap(), "ada".parse().unwrap());
    world.serve_stops(&[world.stop(person, &world.board[0])]);
    desk.governance.refresh(Some(&world)).await.unwrap();
    let told = whether(&world, &desk, Sent::of(SQL)).await.unwrap_err();
    assert_eq!(told.report.problem, Problem::Stopped);
}

#[tokio::test]
async fn a_policy_with_more_duties_than_a_receipt_tells_would_allow_nothing() {
    let world = World::new();
    let duty = |number| format!("\n[[permission.duty]]\naction = \"attribute\"\ntext = \"{number:0>199}\"\n");
    let policy = POLICY.to_owned() + &(0..30).map(duty).collect::<String>();
    world.publish(2, &world.files_with("policies/beds-open.toml", &policy));
    let desk = world.desk().await;
    let told = whether(&world, &desk, Sent::of(SQL)).await.unwrap_err();
    assert_eq!(told.report.problem, Problem::PolicyInvalid);
}

#[tokio::test]
async fn a_used_up_quota_would_refuse_and_until_then_its_figures_are_told() {
    let world = World::new();
    let desk = world.desk().await;
    for asked in 0..5 {
        let would = whether(&world, &desk, Sent::of(SQL)).await.unwrap();
        let (minute, week) = (
            (Quota::Person, Window::Minute, 5, asked),
            (Quota::Person, Window::Week, 6, asked),
        );
        assert_eq!(used(&would), [minute, week]);
        world.ask(&desk, SQL, None).await.unwrap();
    }
    let told = whether(&world, &desk, Sent::of(SQL)).await.unwrap_err();
    assert_eq!(told.report.problem, Problem::Quota);
    // Another's is another's.
    let bob = Sent {
        person: "bob",
        ..Sent::of(SQL)
    };
    assert_eq!(used(&whether(&world, &desk, bob).await.unwrap())[0].3, 0);
}

#[tokio::test]
async fn a_permits_own_quota_is_told_to_those_whom_it_names() {
    let world = World::new();
    let permit = PERMIT
        .replace("[\"university/ada\"]", "[\"university/ada\", \"university/bob\"]")
        .replace("opt_out", "queries     = { per_week = 2 }\nopt_out");
    world.publish(2, &world.files_with("permits/study-7.toml", &permit));
    let desk = world.desk().await;
    let under = |person| Sent {
        person,
        permit: Some("study-7"),
        ..Sent::of(SQL)
    };
    let told = whether(&world, &desk, under("eve")).await.unwrap_err();
    assert_eq!(told.report.problem, Problem::PermitInvalid);
    world.send(&desk, under("bob")).await.unwrap();
    let would = whether(&world, &desk, under("ada")).await.unwrap();
    assert_eq!(would.permit, Some("study-7".parse().unwrap()));
    assert_eq!(used(&would)[2], (Quota::Permit, Window::Week, 2, 1));
    world.send(&desk, under("bob")).await.unwrap();
    let told = whether(&world, &desk, under("ada")).await.unwrap_err();
    assert_eq!(told.report.problem, Problem::Quota);
}

#[tokio::test]
async fn what_would_be_allowed_is_told_with_its_rule_checks_and_duties_and_recorded() {
    let world = World::new();
    let desk = world.desk().await;
    let would = whether(&world, &desk, Sent::of(SQL)).await.unwrap();
    let [rule] = would.rules.as_slice() else {
        panic!("{would:?}");
    };
    assert_eq!((rule.collection.as_str(), rule.policy.as_str()), ("beds", "beds-open"));
    assert_eq!((rule.version, rule.rule.as_str()), (1, "universities"));
    assert_eq!((would.checks.tier, would.checks.min_people), (Tier::Open, None));
    assert_eq!(would.duties, ["delete within 30 days"]);
    assert_eq!(WouldAllow::parse(&would.clone().encode()), Some(would.clone()));

    let entries = entries(&world, &desk).await;
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}");
    };
    assert_eq!((entry.outcome, &entry.query_id), (Outcome::Foreseen, &would.query_id));
    assert_eq!(entry.caller.as_ref().unwrap().person.as_str(), "ada");
    assert_eq!(entry.policy.as_ref().unwrap().rule, Some(rule.rule.clone()));
    assert_eq!((entry.sql.as_str(), entry.rows, entry.bytes), (SQL, 0, 0));
    assert_eq!((entry.problem, entry.result), (None, None));
}

/// The tables beside the log, in which what was released is kept.
fn kept(world: &World) -> [i64; 2] {
    let ledger = rusqlite::Connection::open(world.config().ledger_file()).unwrap();
    ["outcome", "released_value"].map(|table| {
        let count = format!("SELECT count(*) FROM {table}");
        ledger.query_row(&count, (), |row| row.get(0)).unwrap()
    })
}

#[tokio::test]
async fn a_hundred_dry_runs_cost_nothing_also_after_a_restart() {
    let world = World::new();
    let mut desk = world.desk().await;
    // Asked before, under a name: what is kept of it stays all that is kept.
    let named = Sent {
        request: Some("first"),
        ..Sent::of(SQL)
    };
    world.send(&desk, named).await.unwrap();
    let before = kept(&world);
    assert_eq!(before[0], 1);
    for number in 0..100 {
        let name = format!("dry-{number}");
        let sent = Sent {
            request: Some(&name),
            permit: (number % 2 == 0).then_some("study-8"),
            ..Sent::of(SQL)
        };
        let would = whether(&world, &desk, sent).await;
        assert_eq!(would.is_ok(), number % 2 == 1);
        if number == 60 {
            desk.ledger.close().await;
            drop(desk);
            desk = world.desk().await;
        }
    }
    assert_eq!(kept(&world), before);
    desk.ledger.close().await;
    drop(desk);
    let desk = world.desk().await;
    let would = whether(&world, &desk, Sent::of(SQL)).await.unwrap();
    assert_eq!(used(&would).iter().map(|quota| quota.3).collect::<Vec<_>>(), [1, 1]);
    // All that is left of the quota is there, and nobody is locked out.
    for _ in 1..5 {
        world.ask(&desk, SQL, None).await.unwrap();
    }
    let refused = world.ask(&desk, SQL, None).await.unwrap_err();
    assert_eq!(refused.report.problem, Problem::Quota);
    // A name that only a dry run had is free.
    world.advance(60);
    let named = Sent {
        request: Some("dry-1"),
        ..Sent::of(SQL)
    };
    world.send(&desk, named).await.unwrap();
    let foreseen = entries(&world, &desk).await;
    let foreseen = foreseen.iter().filter(|entry| entry.outcome == Outcome::Foreseen);
    assert_eq!(foreseen.count(), 101);
}
