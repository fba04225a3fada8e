use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use super::example::{ORIGIN, Place, ask, collection, leaving, opening, permitted, refusal, release};
use terms::CollectionId;

use super::*;
use crate::audit::{self, Compared};

/// What opening the ledger again says.
fn reopened(place: &Place) -> Report {
    place.open().unwrap_err()
}

async fn broken_by(sql: &str) -> Report {
    let place = Place::with_released(5).await;
    place.tamper(sql);
    reopened(&place)
}

#[tokio::test]
async fn a_node_does_not_start_on_a_changed_log() {
    for (sql, says) in [
        (
            "UPDATE entry SET leaf = CAST(replace(CAST(leaf AS TEXT), 'SELECT 2', 'SELECT 9') AS BLOB)",
            "entry 2 was changed",
        ),
        ("DELETE FROM entry WHERE idx = 1", "entry 1 is missing"),
        ("DELETE FROM entry WHERE idx >= 3", "ends before entry 3"),
        (
            "INSERT INTO entry SELECT 5, leaf, leaf_hash FROM entry WHERE idx = 4",
            "entry 5 says that it is entry 4",
        ),
        ("UPDATE entry SET idx = -1 WHERE idx = 0", "entry 0 is missing"),
        ("DELETE FROM checkpoint", "has no checkpoint"),
        ("UPDATE checkpoint SET note = 'x'", "not a signed note"),
        ("DROP TABLE entry", "does not work"),
    ] {
        let report = broken_by(sql).await;
        assert_eq!(report.problem, Problem::AuditBroken, "{sql}: {report}");
        assert!(report.message.contains(says), "{sql}: {report}");
    }
}

#[tokio::test]
async fn a_node_does_not_start_on_a_log_of_another_key_or_origin() {
    let place = Place::with_released(1).await;
    let clock = || Arc::new(terms::SystemClock);
    let other = Arc::new(SigningKey::generate().unwrap());
    let report = Ledger::open(place.place(), ORIGIN, Arc::clone(&other), clock()).unwrap_err();
    assert_eq!(report.problem, Problem::AuditBroken, "{report}");
    let report = Ledger::open(place.place(), "datenraum/oncology/other", other, clock()).unwrap_err();
    assert_eq!(report.problem, Problem::AuditBroken, "{report}");
}

#[tokio::test]
async fn two_nodes_do_not_write_one_ledger() {
    let place = Place::new();
    let first = place.open().unwrap();
    assert_eq!(reopened(&place).problem, Problem::AuditUnavailable);
    first.close().await;
    place.open().unwrap().close().await;
}

#[tokio::test]
async fn a_file_that_is_no_ledger_is_left_alone() {
    let place = Place::new();
    place.tamper("CREATE TABLE patients (name TEXT)");
    assert_eq!(reopened(&place).problem, Problem::FileValue);
    let place = Place::with_released(1).await;
    place.tamper("PRAGMA user_version = 6");
    assert_eq!(reopened(&place).problem, Problem::FileValue);
    let place = Place::new();
    std::fs::write(
        place.file(),
        "no database at all, and longer than its header of a hundred bytes".repeat(9),
    )
    .unwrap();
    assert_eq!(reopened(&place).problem, Problem::AuditBroken);
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_recorded_until_the_node_starts_again() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    release(&ledger, "SELECT 0").await.unwrap();
    let (waiting, abandoned) = (ask(&ledger, "SELECT 1"), ask(&ledger, "SELECT 2"));
    place.tamper("CREATE TRIGGER full BEFORE INSERT ON entry BEGIN SELECT RAISE(ABORT, 'secret of SELECT 1'); END");

    let report = release(&ledger, "SELECT 3").await.unwrap_err();
    assert_eq!(report.problem, Problem::AuditUnavailable);
    assert!(!report.to_string().contains("SELECT"));
    place.tamper("DROP TRIGGER full");
    assert_eq!(
        ledger.open_entry(opening("SELECT 4")).unwrap_err().problem,
        Problem::AuditUnavailable
    );
    assert_eq!(
        waiting.refused(&refusal(), None).await.unwrap_err().problem,
        Problem::AuditUnavailable
    );
    drop(abandoned);
    assert_eq!(ledger.status().state, LedgerState::Failed);
    ledger.close().await;

    let ledger = place.open().unwrap();
    assert_eq!(release(&ledger, "SELECT 5").await, Ok(AuditIndex(1)));
    ledger.close().await;
}

#[tokio::test]
async fn a_closed_ledger_takes_no_queries_but_records_the_open_ones() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    let entry = ask(&ledger, "SELECT 0");
    let closing = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.close().await }
    });
    while let Ok(entry) = ledger.open_entry(opening("SELECT 1")) {
        drop(entry);
        tokio::task::yield_now().await;
    }
    assert!(entry.refused(&refusal(), None).await.is_ok());
    closing.await.unwrap();
    assert!(audit::verify(&place.file(), ORIGIN, &place.key(), &Compared::default()).is_ok());
}

#[tokio::test]
async fn too_many_open_queries_are_refused_and_none_is_lost() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    let open: Vec<_> = (0..OPEN_ENTRIES_MAX).map(|_| ask(&ledger, "SELECT 0")).collect();
    assert_eq!(
        ledger.open_entry(opening("SELECT 1")).unwrap_err().problem,
        Problem::Resources
    );
    drop(open);
    ledger.close().await;
    assert_eq!(audit::entries(&place.file()).unwrap().len(), OPEN_ENTRIES_MAX);
}

#[tokio::test]
async fn a_query_that_is_dropped_is_recorded_as_abandoned() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    drop(ask(&ledger, "SELECT 0"));
    let decided = ask(&ledger, "SELECT 1").decided(permitted());
    // Never polled: as when a client goes away.
    drop(decided.released(leaving(1)));
    // Polled once: the writer has it, although nobody waits for the answer.
    let mut sent = Box::pin(release(&ledger, "SELECT 2"));
    let _ = pin!(&mut sent).poll(&mut Context::from_waker(Waker::noop()));
    drop(sent);
    ledger.close().await;

    let entries = audit::entries(&place.file()).unwrap();
    let ends: Vec<_> = entries
        .iter()
        .map(|entry| (entry.sql.as_str(), entry.outcome))
        .collect();
    let abandoned = Outcome::Abandoned;
    assert_eq!(
        ends,
        [
            ("SELECT 0", abandoned),
            ("SELECT 1", abandoned),
            ("SELECT 2", Outcome::Released)
        ]
    );
    assert!(entries[0].policy.is_none() && entries[1].policy.is_some());
}

#[tokio::test]
async fn what_was_answered_is_recorded_whenever_the_machine_stops() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    for number in 0..20 {
        let index = match number % 3 {
            0 => ask(&ledger, "SELECT 1").refused(&refusal(), None).await,
            _ => release(&ledger, "SELECT 2").await,
        };
        assert_eq!(index, Ok(AuditIndex(number)));
        let left = place.copy();
        let against = Compared {
            checkpoints: vec![ledger.status().checkpoint],
            ..Compared::default()
        };
        let summary = audit::verify(&left.file(), ORIGIN, &place.key(), &against).unwrap();
        assert_eq!(summary.entries, number + 1);
        let again = left.open().unwrap();
        assert_eq!(again.status().root, ledger.status().root);
        again.close().await;
    }
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_queries_at_once_make_one_consistent_log() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    let ask = |number: u64| {
        let ledger = ledger.clone();
        tokio::spawn(async move { release(&ledger, &format!("SELECT {number}")).await.unwrap().0 })
    };
    let asked: Vec<_> = (0..200).map(ask).collect();
    let mut indexes = Vec::new();
    for query in asked {
        indexes.push(query.await.unwrap());
    }
    indexes.sort_unstable();
    assert_eq!(indexes, (0..200).collect::<Vec<_>>());
    let summary = audit::verify(&place.file(), ORIGIN, &place.key(), &Compared::default()).unwrap();
    assert_eq!((summary.entries, summary.checkpoint), (200, ledger.status().checkpoint));
    ledger.close().await;
}

#[tokio::test]
async fn what_waits_while_the_disk_is_slow_is_written_in_one_transaction() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    let mut slow = rusqlite::Connection::open(place.file()).unwrap();
    let held = slow
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .unwrap();

    let entries: Vec<_> = (0..200)
        .map(|number| ask(&ledger, &format!("SELECT {number}")))
        .collect();
    let report = refusal();
    let mut ends: Vec<_> = entries
        .into_iter()
        .map(|entry| Box::pin(entry.refused(&report, None)))
        .collect();
    let mut waiting = Context::from_waker(Waker::noop());
    assert!(ends[0].as_mut().poll(&mut waiting).is_pending());
    // Until the writer has taken it, and stands at the database.
    while ledger.shared.jobs().unwrap().capacity() < OPEN_ENTRIES_MAX - 199 {
        tokio::task::yield_now().await;
    }
    assert!(
        ends[1..]
            .iter_mut()
            .all(|end| end.as_mut().poll(&mut waiting).is_pending())
    );
    held.commit().unwrap();

    for (index, end) in (0..).zip(ends) {
        assert_eq!(end.await, Ok(AuditIndex(index)));
    }
    assert_eq!(ledger.status().commits, 2);
    ledger.close().await;
    assert_eq!(
        audit::verify(&place.file(), ORIGIN, &place.key(), &Compared::default())
            .unwrap()
            .entries,
        200
    );
}

#[tokio::test]
async fn a_reopened_ledger_goes_on_where_it_was() {
    let place = Place::with_released(3).await;
    let before = place.release(2).await;
    let ledger = place.open().unwrap();
    assert_eq!((ledger.status().entries, ledger.status().checkpoint), (5, before));
    assert_eq!(release(&ledger, "SELECT 5").await, Ok(AuditIndex(5)));
    ledger.close().await;
}

#[tokio::test]
async fn an_entry_says_who_asked_what_under_which_text_and_how_it_ended() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    release(&ledger, "SELECT \u{fc}\n\"\u{0}\"").await.unwrap();
    let rule = Some(("no-insurance".parse().unwrap(), 3, None));
    ask(&ledger, "SELECT 1").refused(&refusal(), rule).await.unwrap();
    let decided = ask(&ledger, "SELECT 2").decided(permitted());
    decided
        .failed(&Problem::Execution.report("it did not finish"))
        .await
        .unwrap();
    ledger.close().await;

    let [released, refused, failed] = audit::entries(&place.file()).unwrap().try_into().unwrap();
    let digest = |bytes: &[u8]| Digest::of(bytes);
    let expected = format!(
        r#"{{"index":0,"at":"2030-03-17T17:46:40.2Z","query_id":"q-1","caller":{{"member":"saarland-university","person":"ada","roles":["university"]}},"purpose":"ehds-53-1-c","permit":null,"sql":"SELECT ü\n\"\u0000\"","query":"{}","outcome":"released","collection":"breast-cancer","policy":{{"id":"research","version":3,"digest":"{}","rule":"statistics"}},"duties":["delete within 30 days"],"problem":null,"message":null,"rows":7,"bytes":56,"blanked_values":1,"result":"{}","took_ms":100}}"#,
        digest("SELECT \u{fc}\n\"\u{0}\"".as_bytes()),
        digest(b"policy"),
        digest(b"result"),
    );
    assert_eq!(String::from_utf8(released.leaf().unwrap()).unwrap(), expected);
    assert_eq!(
        (refused.outcome, refused.problem),
        (Outcome::Refused, Some(Problem::Prohibited))
    );
    assert_eq!(refused.message.as_deref(), Some("a prohibition covers the request"));
    assert_eq!(refused.policy.unwrap().rule, None);
    assert_eq!(
        (failed.outcome, failed.problem),
        (Outcome::Failed, Some(Problem::Execution))
    );
    assert_eq!((failed.index, failed.rows, failed.result), (2, 0, None));
}

fn asker() -> Caller {
    opening("").caller.unwrap()
}

fn asked(ledger: &Ledger, collection: &CollectionId, permit: Option<&PermitId>) -> Asked {
    let asking = Asking {
        caller: &asker(),
        collection,
        permit,
    };
    ledger.asked(asking, now())
}

fn now() -> UtcTime {
    UtcTime::from_second(1_900_000_000).unwrap()
}

#[tokio::test]
async fn what_was_allowed_before_a_restart_is_charged_after_it() {
    let place = Place::with_released(2).await;
    let ledger = place.open().unwrap();
    // Allowed and not finished, allowed and refused by the engine, dropped: all of them were asked.
    let decided = || ask(&ledger, "SELECT 1").about(&collection()).decided(permitted());
    decided()
        .failed(&Problem::Execution.report("it did not finish"))
        .await
        .unwrap();
    decided()
        .failed(&Problem::SqlDomain.report("it cuts a bin"))
        .await
        .unwrap();
    drop(decided());
    // Not allowed, and a revocation of what is counted already: not.
    ask(&ledger, "SELECT 1")
        .about(&collection())
        .refused(&refusal(), None)
        .await
        .unwrap();
    decided()
        .revoked(&Problem::Revoked.report("after 2 batches"), 9)
        .await
        .unwrap();
    drop(ask(&ledger, "SELECT 1").about(&collection()));
    ledger.close().await;

    let ledger = place.open().unwrap();
    let five = Asked {
        minute: 5,
        week: 5,
        ..Asked::default()
    };
    assert_eq!(asked(&ledger, &collection(), None), five);
    assert_eq!(asked(&ledger, &"beds".parse().unwrap(), None), Asked::default());
    ledger.close().await;
}

#[tokio::test]
async fn what_was_allowed_under_a_permit_before_a_restart_is_charged_to_it_after_it() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    let permit: PermitId = "study-7".parse().unwrap();
    let permitted = Permitted {
        permit: Some(permit.clone()),
        ..permitted()
    };
    for _ in 0..3 {
        let entry = ask(&ledger, "SELECT 1").about(&collection()).decided(permitted.clone());
        entry.released(leaving(1)).await.unwrap();
    }
    ledger.close().await;
    let ledger = place.open().unwrap();
    let counted = asked(&ledger, &"beds".parse().unwrap(), Some(&permit));
    assert_eq!((counted.week, counted.permit_minute, counted.permit_week), (0, 3, 3));
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_32_a_quota_is_not_overrun_by_asking_at_once() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    let ask = |_| {
        let ledger = ledger.clone();
        let decide = |asked: Asked| match asked.week < 7 {
            true => (true, Charge::One),
            false => (false, Charge::Free),
        };
        tokio::spawn(async move {
            let asking = Asking {
                caller: &asker(),
                collection: &collection(),
                permit: None,
            };
            ledger.charge(asking, now(), decide).unwrap()
        })
    };
    let asked: Vec<_> = (0..100).map(ask).collect();
    let mut allowed = 0;
    for query in asked {
        allowed += usize::from(query.await.unwrap());
    }
    assert_eq!(allowed, 7);
    ledger.close().await;
}

#[tokio::test]
async fn a_ledger_of_the_older_form_is_read_and_goes_on() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    ask(&ledger, "SELECT 0").refused(&refusal(), None).await.unwrap();
    ledger.close().await;
    place.tamper("PRAGMA user_version = 1");
    let older = audit::entries(&place.file()).unwrap();
    assert!(older[0].collection.is_none() && older[0].duties.is_empty());
    let leaf = String::from_utf8(older[0].leaf().unwrap()).unwrap();
    for later in ["collection", "duties", "bytes", "ends_begun"] {
        assert!(!leaf.contains(later), "{leaf}");
    }
    place.release(1).await;
    assert_eq!(
        audit::verify(&place.file(), ORIGIN, &place.key(), &Compared::default())
            .unwrap()
            .entries,
        2
    );
}

fn decided(ledger: &Ledger, sql: &str) -> Entry<Decided> {
    ask(ledger, sql).about(&collection()).decided(permitted())
}

/// The ledger after a long answer that came to its end, one that was given up, and one of which nothing says how it ended.
async fn with_long_answers() -> Place {
    let place = Place::new();
    let ledger = place.open().unwrap();
    let (mut whole, mut given_up) = (
        begun(&ledger, "q-1", "SELECT 0").await,
        begun(&ledger, "q-2", "SELECT 1").await,
    );
    whole.hand_out(7, 56);
    given_up.hand_out(3, 24);
    whole.released(leaving(7)).await.unwrap();
    drop(given_up);
    let going_on = begun(&ledger, "q-3", "SELECT 2").await;
    let killed = place.copy();
    drop(going_on);
    ledger.close().await;
    killed
}

async fn begun(ledger: &Ledger, query_id: &str, sql: &str) -> Entry<Begun> {
    let opening = Opening {
        query_id: query_id.parse().unwrap(),
        ..opening(sql)
    };
    let entry = ledger.open_entry(opening).unwrap();
    let entry = entry.about(&collection()).decided(permitted());
    entry.begun(ledger, Vec::new()).await.unwrap()
}

#[tokio::test]
async fn what_had_begun_before_the_machine_stopped_is_in_the_log_without_an_end_and_verifies() {
    let place = with_long_answers().await;
    let entries = audit::entries(&place.file()).unwrap();
    let said: Vec<_> = entries
        .iter()
        .map(|entry| (entry.query_id.as_str(), entry.outcome, entry.ends_begun, entry.rows))
        .collect();
    assert_eq!(
        said,
        [
            ("q-1", Outcome::Begun, false, 0),
            ("q-2", Outcome::Begun, false, 0),
            ("q-1", Outcome::Released, true, 7),
            ("q-2", Outcome::Abandoned, true, 3),
            ("q-3", Outcome::Begun, false, 0),
        ]
    );
    assert!(entries[0].result.is_none() && entries[2].result.is_some());
    let verify = || audit::verify(&place.file(), ORIGIN, &place.key(), &Compared::default()).unwrap();
    assert_eq!(verify().unended, [4]);
    // The node goes on, and does not make up an end.
    let ledger = place.open().unwrap();
    ledger.close().await;
    assert_eq!((verify().unended, verify().entries), (vec![4], 5));
}

#[tokio::test]
async fn a_long_answer_is_charged_once_whether_it_ended_or_not() {
    let place = with_long_answers().await;
    let ledger = place.open().unwrap();
    assert_eq!(asked(&ledger, &collection(), None).week, 3);
    ledger.close().await;
}

#[tokio::test]
async fn an_end_without_a_beginning_a_second_one_and_a_second_beginning_do_not_verify() {
    let place = with_long_answers().await;
    let entries = audit::entries(&place.file()).unwrap();
    let checked = |order: &[usize]| {
        let mut chain = chain::Chain::default();
        let mut entries = (0..).zip(order).map(|(index, at)| AuditEntry {
            index,
            ..entries[*at].clone()
        });
        entries.try_for_each(|entry| chain.push(&entry.leaf().unwrap()).map(drop))
    };
    let broken = |index| Err(chain::ChainError::Begun { index });
    assert_eq!(checked(&[0, 1, 3, 2, 4]), Ok(()));
    assert_eq!(checked(&[2]), broken(0));
    assert_eq!(checked(&[0, 3]), broken(1));
    assert_eq!(checked(&[0, 2, 2]), broken(2));
    assert_eq!(checked(&[0, 0]), broken(1));
}

#[tokio::test]
async fn rows_whose_end_could_not_be_recorded_do_not_begin_to_leave() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    let last = decided(&ledger, "SELECT 0");
    let open: Vec<_> = (1..OPEN_ENTRIES_MAX).map(|_| ask(&ledger, "SELECT 1")).collect();
    assert_eq!(
        last.begun(&ledger, Vec::new()).await.unwrap_err().problem,
        Problem::Resources
    );
    drop(open);
    ledger.close().await;
    assert_eq!(audit::entries(&place.file()).unwrap()[0].outcome, Outcome::Failed);
    let ledger = place.open().unwrap();
    let entry = decided(&ledger, "SELECT 0");
    place.tamper("CREATE TRIGGER full BEFORE INSERT ON entry BEGIN SELECT RAISE(ABORT, 'full'); END");
    assert_eq!(
        entry.begun(&ledger, Vec::new()).await.unwrap_err().problem,
        Problem::AuditUnavailable
    );
    ledger.close().await;
    assert_eq!(audit::entries(&place.file()).unwrap().len(), OPEN_ENTRIES_MAX);
}

#[tokio::test]
async fn who_goes_away_while_a_beginning_is_written_has_given_up_an_answer_that_had_begun() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    drop(decided(&ledger, "SELECT 0").begun(&ledger, Vec::new()));
    let mut beginning = Box::pin(decided(&ledger, "SELECT 1").begun(&ledger, Vec::new()));
    let _ = pin!(&mut beginning).poll(&mut Context::from_waker(Waker::noop()));
    drop(beginning);
    ledger.close().await;
    let entries = audit::entries(&place.file()).unwrap();
    let ends: Vec<_> = entries
        .iter()
        .map(|entry| (entry.sql.as_str(), entry.outcome, entry.ends_begun))
        .collect();
    assert_eq!(
        ends,
        [
            ("SELECT 0", Outcome::Abandoned, false),
            ("SELECT 1", Outcome::Begun, false),
            ("SELECT 1", Outcome::Abandoned, true)
        ]
    );
}

#[tokio::test]
async fn a_revocation_is_an_entry_of_its_own_beside_the_release() {
    let place = Place::with_released(1).await;
    let ledger = place.open().unwrap();
    let entry = ask(&ledger, "SELECT 0").about(&collection()).decided(permitted());
    let told = Problem::Revoked.report("after 2 batches with 16384 rows");
    assert_eq!(entry.revoked(&told, 16_384).await, Ok(AuditIndex(1)));
    ledger.close().await;
    let [released, revoked] = audit::entries(&place.file()).unwrap().try_into().unwrap();
    assert_eq!(
        (released.outcome, revoked.outcome),
        (Outcome::Released, Outcome::Revoked)
    );
    assert_eq!((revoked.rows, revoked.problem), (16_384, Some(Problem::Revoked)));
    assert_eq!(released.query_id, revoked.query_id);
}

#[tokio::test]
async fn the_longest_texts_are_cut_at_a_character_and_verify() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    let sql = format!(
        "{}{}",
        "\u{1}".repeat(terms::limit::SQL_BYTES_MAX - 1),
        "\u{fc}".repeat(9)
    );
    let report = Problem::SqlLimit.report("\u{1}".repeat(1 << 20));
    ask(&ledger, &sql).refused(&report, None).await.unwrap();
    ledger.close().await;
    assert_eq!(
        audit::entries(&place.file()).unwrap()[0].sql.len(),
        terms::limit::SQL_BYTES_MAX - 1
    );
    assert!(audit::verify(&place.file(), ORIGIN, &place.key(), &Compared::default()).is_ok());
}

#[test]
fn debug_shows_neither_sql_nor_people() {
    let text = format!("{:?}", opening("SELECT secret"));
    assert!(!text.contains("secret") && !text.contains("ada"), "{text}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    release(&ledger, "SELECT 0").await.unwrap();
    for name in [
        "ledger.sqlite",
        "ledger.sqlite-wal",
        "ledger.sqlite.lock",
        "ledger.anchor",
    ] {
        let file = place.file().with_file_name(name);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    ledger.close().await;
}
