use super::*;
use crate::ledger::Outcome;
use crate::ledger::example::{ORIGIN, Place, ask, collection, leaving, permitted, release};

fn verified(place: &Place) -> Result<AuditSummary, Report> {
    verify(&place.file(), ORIGIN, &place.key(), &Compared::default())
}

fn exported(place: &Place) -> Vec<u8> {
    let mut lines = Vec::new();
    export(&place.file(), &mut lines).unwrap();
    lines
}

fn refusal(result: Result<AuditSummary, Report>) -> String {
    let report = result.unwrap_err();
    assert_eq!(report.problem, Problem::AuditBroken, "{report}");
    report.message
}

/// Changes the file, and gives what the check of it and of its export say.
async fn broken_by(tamper: impl FnOnce(&Place)) -> (String, String) {
    let place = Place::with_released(5).await;
    tamper(&place);
    let of_export = verify_export(&exported(&place)[..], ORIGIN, &place.key(), &Compared::default());
    (refusal(verified(&place)), refusal(of_export))
}

fn against(note: &str) -> Compared {
    Compared {
        checkpoints: vec![note.to_owned()],
        ..Compared::default()
    }
}

#[tokio::test]
async fn a_flipped_byte_names_its_entry() {
    let flip =
        "UPDATE entry SET leaf = CAST(replace(CAST(leaf AS TEXT), 'SELECT 3', 'SELECT 4') AS BLOB) WHERE idx = 3";
    let (of_file, of_export) = broken_by(|place| place.tamper(flip)).await;
    assert!(of_file.contains("entry 3 was changed"), "{of_file}");
    assert!(of_export.contains("not those that its checkpoint signs"), "{of_export}");
}

#[tokio::test]
async fn a_byte_that_is_flipped_with_its_hash_does_not_fit_the_checkpoint() {
    let change = |leaf: String| leaf.replace("SELECT 3", "SELECT 4");
    let (of_file, of_export) = broken_by(|place| place.rewrite(3, change)).await;
    assert!(of_file.contains("not those that its checkpoint signs"), "{of_file}");
    assert_eq!(of_file, of_export);
}

#[tokio::test]
async fn another_spelling_of_an_entry_is_not_an_entry() {
    for change in [
        |leaf: String| leaf.replace("\"index\":2", "\"index\": 2"),
        |leaf: String| leaf.replace("\"permit\":null,", ""),
        |leaf: String| leaf.replace("\"index\":2", "\"index\":2,\"index\":2"),
        |leaf: String| leaf.replace("\"index\":2", "\"index\":2,\"more\":1"),
        |_| String::new(),
    ] {
        let (of_file, of_export) = broken_by(|place| place.rewrite(2, change)).await;
        assert!(of_file.contains("entry 2 is not an audit entry"), "{of_file}");
        assert_eq!(of_file, of_export);
    }
}

#[tokio::test]
async fn a_deleted_row_names_the_gap() {
    let (of_file, of_export) = broken_by(|place| place.tamper("DELETE FROM entry WHERE idx = 2")).await;
    assert!(of_file.contains("entry 2 is missing"), "{of_file}");
    assert!(of_export.contains("entry 2 says that it is entry 3"), "{of_export}");
}

#[tokio::test]
async fn swapped_rows_name_the_first() {
    let swap = "UPDATE entry SET idx = -1 WHERE idx = 1; UPDATE entry SET idx = 1 WHERE idx = 3;
                UPDATE entry SET idx = 3 WHERE idx = -1";
    let (of_file, of_export) = broken_by(|place| place.tamper(swap)).await;
    assert!(of_file.contains("entry 1 says that it is entry 3"), "{of_file}");
    assert_eq!(of_file, of_export);
}

#[tokio::test]
async fn a_cut_tail_is_noticed() {
    let (of_file, of_export) = broken_by(|place| place.tamper("DELETE FROM entry WHERE idx >= 4")).await;
    assert!(
        of_file.contains("ends before entry 4, but its checkpoint signs 5"),
        "{of_file}"
    );
    assert_eq!(of_file, of_export);
}

#[tokio::test]
async fn an_entry_that_nobody_signed_is_noticed() {
    let append = |place: &Place| {
        place.tamper("INSERT INTO entry SELECT 5, leaf, leaf_hash FROM entry WHERE idx = 4");
        place.rewrite(5, |leaf| leaf.replace("\"index\":4", "\"index\":5"));
    };
    let (of_file, of_export) = broken_by(append).await;
    assert!(of_file.contains("goes on with entry 5"), "{of_file}");
    assert_eq!(of_file, of_export);
}

#[tokio::test]
async fn a_log_cut_off_with_its_checkpoint_is_refused_by_whoever_kept_a_newer_one() {
    let place = Place::with_released(3).await;
    let old = place.copy();
    let kept = place.release(2).await;
    assert_eq!(verified(&old).unwrap().entries, 3);

    let of_file = refusal(verify(&old.file(), ORIGIN, &old.key(), &against(&kept)));
    assert!(
        of_file.contains("ends before entry 3, but the checkpoint it is compared with signs 5"),
        "{of_file}"
    );
    let of_export = refusal(verify_export(&exported(&old)[..], ORIGIN, &old.key(), &against(&kept)));
    assert_eq!(of_export, of_file);
}

#[tokio::test]
async fn a_rewritten_log_is_refused_by_whoever_kept_an_older_checkpoint() {
    let place = Place::with_released(2).await;
    let kept = verified(&place).unwrap().checkpoint;
    let forged = place.forgery();
    let ledger = forged.open().unwrap();
    for sql in ["SELECT 0", "SELECT forged", "SELECT 2"] {
        release(&ledger, sql).await.unwrap();
    }
    ledger.close().await;
    let of_forgery = verified(&forged).unwrap().checkpoint;
    // Longer than the checkpoint that was kept.
    let message = refusal(verify(&forged.file(), ORIGIN, &forged.key(), &against(&kept)));
    assert!(message.contains("first 2 entries are not those"), "{message}");
    // Exactly as long.
    place.release(1).await;
    let message = refusal(verify(&place.file(), ORIGIN, &place.key(), &against(&of_forgery)));
    assert!(message.contains("first 3 entries are not those"), "{message}");

    let summary = verify(&place.file(), ORIGIN, &place.key(), &against(&kept));
    assert_eq!(summary.unwrap().entries, 3);
}

/// A log of three releases, and the receipt of the second.
async fn with_receipt() -> (Place, Receipt) {
    let place = Place::new();
    let ledger = place.open().unwrap();
    release(&ledger, "SELECT 0").await.unwrap();
    let mut second = leaving(7);
    second.receipt.query = Digest::of(b"SELECT 1");
    let entry = ask(&ledger, "SELECT 1").about(&collection()).decided(permitted());
    let (_, envelope) = entry.released(second).await.unwrap();
    release(&ledger, "SELECT 2").await.unwrap();
    ledger.close().await;
    let receipt = Receipt::open(&envelope, &place.key()).unwrap();
    (place, receipt.into_inner())
}

fn with(place: &Place, receipt: &Receipt) -> Result<AuditSummary, Report> {
    let compared = Compared {
        receipts: vec![place.seal(receipt)],
        ..Compared::default()
    };
    let of_file = verify(&place.file(), ORIGIN, &place.key(), &compared);
    assert_eq!(
        verify_export(&exported(place)[..], ORIGIN, &place.key(), &compared),
        of_file
    );
    of_file
}

#[tokio::test]
async fn a_receipt_that_says_something_else_than_its_entry_names_what() {
    let (place, receipt) = with_receipt().await;
    type Change = fn(&mut Receipt);
    let changes: [(&str, Change); 12] = [
        ("query id", |r| r.query_id = "q-2".parse().unwrap()),
        ("query digest", |r| r.query = Digest::of(b"SELECT 2")),
        ("policy", |r| r.policy = "other".parse().unwrap()),
        ("policy version", |r| r.policy_version = 4),
        ("policy digest", |r| r.policy_digest = Digest::of(b"other")),
        ("rule", |r| r.rule = "other".parse().unwrap()),
        ("permit", |r| r.permit = Some("study-7".parse().unwrap())),
        ("duties", |r| r.duties.clear()),
        ("rows", |r| r.rows = 8),
        ("blanked values", |r| r.blanked_values = 0),
        ("result digest", |r| r.result = Digest::of(b"other")),
        // Another entry.
        ("query digest", |r| r.audit_index = 0),
    ];
    for (field, change) in changes {
        let mut other = receipt.clone();
        change(&mut other);
        let message = refusal(with(&place, &other));
        assert!(
            message.contains(&format!("does not have the {field} of entry")),
            "{message}"
        );
    }
    let mut beyond = receipt.clone();
    beyond.audit_index = 3;
    assert!(refusal(with(&place, &beyond)).contains("ends before entry 3, which the receipt"));
    let mut of_another = receipt.clone();
    of_another.node = "other".parse().unwrap();
    assert!(refusal(with(&place, &of_another)).contains("of another log"));
    assert_eq!(with(&place, &receipt).unwrap().entries, 3);
}

#[tokio::test]
async fn another_key_another_origin_and_a_strange_checkpoint_are_refused() {
    let (place, other) = (Place::with_released(1).await, Place::with_released(1).await);
    let strange = verified(&other).unwrap().checkpoint;
    refusal(verify(&place.file(), ORIGIN, &other.key(), &Compared::default()));
    refusal(verify(
        &place.file(),
        "datenraum/oncology/other",
        &place.key(),
        &Compared::default(),
    ));
    refusal(verify(&place.file(), ORIGIN, &place.key(), &against(&strange)));
    refusal(verify(&place.file(), ORIGIN, &place.key(), &against("")));
    let of_another_log = place.sign("datenraum/oncology/other", 0);
    let message = refusal(verify(&place.file(), ORIGIN, &place.key(), &against(&of_another_log)));
    assert!(
        message.contains("belongs to the log \"datenraum/oncology/other\""),
        "{message}"
    );
}

#[tokio::test]
async fn broken_exports_are_refused() {
    let place = Place::with_released(2).await;
    let good = String::from_utf8(exported(&place)).unwrap();
    let without_end = &good[..good.rfind("{\"checkpoint\"").unwrap()];
    let long_line = "x".repeat(2 * LEAF_BYTES_MAX);
    for text in [
        "",
        "\n",
        without_end,
        &format!("{good}\n"),
        &format!("{good}{good}"),
        &good[..good.len() - 9],
        &long_line,
    ] {
        refusal(verify_export(
            text.as_bytes(),
            ORIGIN,
            &place.key(),
            &Compared::default(),
        ));
    }
    assert!(verify_export(good.as_bytes(), ORIGIN, &place.key(), &Compared::default()).is_ok());
}

#[tokio::test]
async fn what_is_no_ledger_is_told_apart() {
    let place = Place::new();
    assert_eq!(verified(&place).unwrap_err().problem, Problem::FileMissing);
    assert_eq!(entries(&place.file()).unwrap_err().problem, Problem::FileMissing);
    place.tamper("CREATE TABLE patients (name TEXT)");
    assert_eq!(verified(&place).unwrap_err().problem, Problem::FileValue);
    assert_eq!(
        export(&place.file(), &mut Vec::new()).unwrap_err().problem,
        Problem::FileValue
    );
}

#[tokio::test]
async fn an_empty_log_verifies_and_is_exported() {
    let place = Place::with_released(0).await;
    let summary = verified(&place).unwrap();
    assert_eq!(
        (summary.entries, summary.root, summary.first_at),
        (0, Digest::of(b""), None)
    );
    assert_eq!(
        verify_export(&exported(&place)[..], ORIGIN, &place.key(), &Compared::default()),
        Ok(summary)
    );
}

#[tokio::test]
async fn the_audit_is_read_while_the_node_goes_on() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    for number in 0..5 {
        release(&ledger, "SELECT 1").await.unwrap();
        let summary = verified(&place).unwrap();
        assert_eq!(
            (summary.entries, &summary.checkpoint),
            (number + 1, &ledger.status().checkpoint)
        );
        assert_eq!(
            verify_export(&exported(&place)[..], ORIGIN, &place.key(), &Compared::default()),
            Ok(summary)
        );
    }
    drop(ask(&ledger, "SELECT 2"));
    ledger.close().await;
    let all = entries(&place.file()).unwrap();
    let summary = verified(&place).unwrap();
    assert_eq!((summary.first_at, summary.last_at), (Some(all[0].at), Some(all[5].at)));
    assert_eq!(all[5].outcome, Outcome::Abandoned);
}
