use std::time::Instant;

use super::*;
use crate::audit::{self, AuditSummary, Compared};
use crate::ledger::AuditIndex;
use crate::ledger::example::{ORIGIN, Place, release};

fn anchored(place: &Place) -> String {
    read(&place.anchor()).unwrap().unwrap()
}

/// What `audit verify` says of a node's folder.
fn verified(place: &Place) -> Result<AuditSummary, Report> {
    let compared = Compared {
        checkpoints: read(&place.anchor()).unwrap().into_iter().collect(),
        ..Compared::default()
    };
    audit::verify(&place.file(), ORIGIN, &place.key(), &compared)
}

/// The log does not verify and says why; the node does not start on it, and leaves it as it is.
#[track_caller]
fn refused(place: &Place, says: &str) {
    let report = verified(place).unwrap_err();
    assert_eq!(report.problem, Problem::AuditBroken, "{report}");
    assert!(report.message.contains(says), "{report}");
    not_started(place, says);
}

#[track_caller]
fn not_started(place: &Place, says: &str) {
    let before = std::fs::read(place.anchor()).ok();
    let report = place.open().unwrap_err();
    assert_eq!(report.problem, Problem::AuditBroken, "{report}");
    assert!(report.message.contains(says), "{report}");
    assert_eq!(std::fs::read(place.anchor()).ok(), before);
}

async fn tampered(sql: &str, says: &str) {
    let place = Place::with_released(6).await;
    place.tamper(sql);
    refused(&place, says);
}

#[tokio::test]
async fn a_49_a_flipped_byte_is_named_by_its_entry() {
    let flip = "UPDATE entry SET leaf = CAST(replace(CAST(leaf AS TEXT), 'SELECT 3', 'SELECT 4') AS BLOB)";
    tampered(flip, "entry 3 was changed").await;
}

#[tokio::test]
async fn a_49_a_deleted_record_is_named() {
    tampered("DELETE FROM entry WHERE idx = 2", "entry 2 is missing").await;
}

#[tokio::test]
async fn a_49_of_two_swapped_records_the_first_is_named() {
    let swap = "UPDATE entry SET idx = -1 WHERE idx = 1; UPDATE entry SET idx = 1 WHERE idx = 4;
                UPDATE entry SET idx = 4 WHERE idx = -1";
    tampered(swap, "entry 1 says that it is entry 4").await;
}

#[tokio::test]
async fn a_49_a_cut_tail_is_named_by_where_it_was_cut() {
    tampered("DELETE FROM entry WHERE idx >= 4", "ends before entry 4").await;
}

#[tokio::test]
async fn a_49_a_dropped_segment_is_named_by_its_begin() {
    tampered("DELETE FROM entry WHERE idx BETWEEN 2 AND 4", "entry 2 is missing").await;
}

#[tokio::test]
async fn a_49_a_shorter_valid_log_of_the_same_key_in_its_place_is_named_by_its_end() {
    let place = Place::with_released(3).await;
    let old = place.copy();
    place.release(3).await;
    std::fs::copy(old.file(), place.file()).unwrap();
    refused(
        &place,
        "ends before entry 3, but the checkpoint it is compared with signs 6",
    );
}

#[tokio::test]
async fn a_49_another_valid_log_of_the_same_key_in_its_place_is_refused_however_long() {
    let place = Place::with_released(3).await;
    let other = place.forgery();
    let ledger = other.open().unwrap();
    for number in 0..5 {
        release(&ledger, &format!("SELECT 'other', {number}")).await.unwrap();
    }
    ledger.close().await;
    std::fs::copy(other.file(), place.file()).unwrap();
    refused(&place, "first 3 entries are not those");
}

#[tokio::test]
async fn a_49_the_newest_record_is_named_if_it_was_changed_before_it_was_anchored() {
    let place = Place::with_released(5).await;
    let anchor = anchored(&place);
    place.release(1).await;
    write(&place.anchor(), &anchor).unwrap();
    place.rewrite(5, |leaf| leaf.replace("\"rows\":7", "\"rows\":8"));
    refused(&place, "at least one was exchanged, entry 5");
}

#[tokio::test]
async fn a_49_a_ledger_that_is_gone_is_not_begun_anew() {
    let place = Place::with_released(3).await;
    std::fs::remove_file(place.file()).unwrap();
    not_started(&place, "ends before entry 0");
}

#[tokio::test]
async fn an_anchor_that_is_gone_changed_or_of_another_log_is_refused() {
    let place = Place::with_released(3).await;
    let anchor = anchored(&place);
    for text in [
        String::new(),
        anchor.replacen('3', "2", 1),
        place.sign("datenraum/oncology/other", 0),
        anchored(&Place::with_released(3).await),
    ] {
        std::fs::write(place.anchor(), text).unwrap();
        not_started(&place, "is not the one that its anchor");
    }
    std::fs::remove_file(place.anchor()).unwrap();
    not_started(&place, "3 entries, and its anchor");
    write(&place.anchor(), &anchor).unwrap();
    place.open().unwrap().close().await;
}

#[tokio::test]
async fn a_ledger_of_the_older_form_gets_its_anchor_once() {
    let place = Place::with_released(2).await;
    place.tamper("PRAGMA user_version = 2");
    std::fs::remove_file(place.anchor()).unwrap();
    let ledger = place.open().unwrap();
    assert_eq!(anchored(&place), ledger.status().checkpoint);
    ledger.close().await;
    std::fs::remove_file(place.anchor()).unwrap();
    not_started(&place, "its anchor");
}

#[tokio::test]
async fn the_anchor_follows_within_a_second_and_is_whole_when_the_ledger_is_closed() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    let empty = anchored(&place);
    assert_eq!(empty, ledger.status().checkpoint);
    release(&ledger, "SELECT 0").await.unwrap();
    let since = Instant::now();
    while anchored(&place) == empty {
        assert!(since.elapsed() < Duration::from_secs(10), "the anchor does not follow");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    release(&ledger, "SELECT 1").await.unwrap();
    let newest = ledger.status().checkpoint;
    ledger.close().await;
    assert_eq!(anchored(&place), newest);
}

#[tokio::test]
async fn a_place_for_the_anchor_that_cannot_be_written_keeps_a_node_from_starting_but_not_from_answering() {
    let place = Place::new();
    let ledger = place.open().unwrap();
    // A folder in its place: nothing can be renamed over it.
    std::fs::remove_file(place.anchor()).unwrap();
    std::fs::create_dir(place.anchor()).unwrap();
    assert_eq!(release(&ledger, "SELECT 0").await, Ok(AuditIndex(0)));
    ledger.close().await;
    assert_eq!(place.open().unwrap_err().problem, Problem::AuditUnavailable);
}
