use super::*;
use crate::ledger::example::{Place, ask, collection, opening, permitted};

const START: i64 = 1_900_000_000;

fn at(second: i64) -> UtcTime {
    UtcTime::from_second(START + second).unwrap()
}

fn caller(person: &str) -> Caller {
    Caller {
        person: person.parse().unwrap(),
        ..opening("").caller.unwrap()
    }
}

/// Ada's query, refused at this second.
async fn refusal(problem: Problem) -> AuditEntry {
    let place = Place::new();
    let ledger = place.open().unwrap();
    ask(&ledger, "SELECT 1")
        .refused(&problem.report("no"), None)
        .await
        .unwrap();
    ledger.close().await;
    crate::audit::entries(&place.file()).unwrap().remove(0)
}

fn note(refusals: &Refusals, entry: &AuditEntry, second: i64) {
    let entry = AuditEntry {
        at: at(second),
        ..entry.clone()
    };
    refusals.note(&entry, at(second));
}

fn problem(refusals: &Refusals, person: &str, second: i64) -> Option<Problem> {
    refusals
        .require_room(&caller(person), at(second))
        .err()
        .map(|report| report.problem)
}

#[tokio::test]
async fn the_thirtieth_refusal_locks_out_until_the_oldest_is_an_hour_old() {
    let refusals = Refusals::default();
    let entry = refusal(Problem::Prohibited).await;
    for second in 0..30 {
        assert_eq!(problem(&refusals, "ada", second), None);
        note(&refusals, &entry, second);
    }
    let report = refusals.require_room(&caller("ada"), at(29)).unwrap_err();
    assert_eq!(report.problem, Problem::LockedOut);
    assert!(
        report.message.contains(&at(LOCKOUT_WINDOW_SECONDS).to_string()),
        "{report}"
    );
    assert_eq!(problem(&refusals, "bob", 29), None);
    // Set back, a clock opens nothing.
    assert_eq!(problem(&refusals, "ada", -1_000), Some(Problem::LockedOut));
    assert_eq!(
        problem(&refusals, "ada", LOCKOUT_WINDOW_SECONDS - 1),
        Some(Problem::LockedOut)
    );
    assert_eq!(problem(&refusals, "ada", LOCKOUT_WINDOW_SECONDS), None);
    note(&refusals, &entry, LOCKOUT_WINDOW_SECONDS);
    assert_eq!(
        problem(&refusals, "ada", LOCKOUT_WINDOW_SECONDS),
        Some(Problem::LockedOut)
    );
    assert_eq!(problem(&refusals, "ada", LOCKOUT_WINDOW_SECONDS + 1), None);
}

#[tokio::test]
async fn what_says_nothing_of_the_data_or_the_rules_is_not_counted() {
    for (what, counted) in [
        (Problem::NoPermission, true),
        (Problem::SqlRole, true),
        (Problem::SqlDomain, true),
        (Problem::SqlSyntax, false),
        (Problem::SqlColumn, false),
        (Problem::RequestId, false),
        (Problem::Quota, false),
        (Problem::Stopped, false),
        (Problem::LockedOut, false),
    ] {
        let refusals = Refusals::default();
        let entry = refusal(what).await;
        (0..LOCKOUT_REFUSALS_MAX).for_each(|_| note(&refusals, &entry, 0));
        assert_eq!(problem(&refusals, "ada", 0).is_some(), counted, "{what}");
    }
}

#[tokio::test]
async fn a_full_memory_refuses_whom_it_does_not_know_until_it_has_forgotten() {
    let refusals = Refusals {
        people_max: 1,
        ..Refusals::default()
    };
    note(&refusals, &refusal(Problem::Prohibited).await, 0);
    assert_eq!(problem(&refusals, "ada", 1), None);
    assert_eq!(problem(&refusals, "bob", 1), Some(Problem::Resources));
    assert_eq!(problem(&refusals, "bob", LOCKOUT_WINDOW_SECONDS), None);
}

#[tokio::test]
async fn a_lock_out_outlives_a_restart_also_what_the_engine_refused() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    for number in 0..LOCKOUT_REFUSALS_MAX {
        let entry = ask(&ledger, "SELECT 1");
        let ended = match number % 2 {
            0 => entry.refused(&Problem::Prohibited.report("no"), None).await,
            _ => {
                let entry = entry.about(&collection()).decided(permitted());
                entry.failed(&Problem::SqlDomain.report("it cuts a bin")).await
            }
        };
        ended.unwrap();
    }
    for _ in ["running", "started again"] {
        let ledger = match ledger.require_not_locked_out(&caller("ada"), at(60)) {
            Err(report) => {
                assert_eq!(report.problem, Problem::LockedOut);
                ledger.close().await;
                place.open().unwrap()
            }
            Ok(()) => panic!("ada is not locked out"),
        };
        assert!(ledger.require_not_locked_out(&caller("ada"), at(60)).is_err());
        ledger.close().await;
    }
}
