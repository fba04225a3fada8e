use std::collections::BTreeMap;

use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::*;

const RECEIPT: &[u8] = b"{}";

fn rules() -> policy::Rules {
    let collection = r#"
id = "beds"
title = "Beds"
personal = false
[columns.beds]
type = "integer"
role = "measure"
[columns.floor]
type = "integer"
role = "group"
bins = [0, 3, 20]
"#;
    let files = [
        ("space.toml", "id = \"town\"\ntitle = \"Town\"\n"),
        ("members.toml", ""),
        ("collections/beds.toml", collection),
    ];
    let files: BTreeMap<_, _> = files
        .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
        .into();
    policy::Rules::compile_files(1, Digest::of(b"test"), &files).unwrap()
}

async fn query(sql: &str) -> Query {
    engine::read::read(sql, &rules().collections).await.unwrap()
}

fn batch(rows: i64) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("beds", DataType::Int64, true)]);
    let beds = Int64Array::from_iter_values(0..rows);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(beds)]).unwrap()
}

fn message(metadata: &'static [u8]) -> FlightData {
    FlightData::new().with_app_metadata(metadata)
}

async fn of_rows(header: Option<&[u8]>) -> Receipts {
    Receipts::of(header.map(<[u8]>::to_vec), &query("SELECT beds FROM beds").await).unwrap()
}

#[tokio::test]
async fn rows_that_end_without_a_receipt_are_not_whole() {
    let receipts = of_rows(None).await;
    receipts.see(&message(b"")).unwrap();
    let refused = receipts.one(&[batch(3)]).unwrap_err();
    assert!(refused.contains("not whole"), "{refused}");
    assert!(of_rows(None).await.one(&[]).is_err());
}

#[tokio::test]
async fn cells_have_their_receipt_in_the_header_or_are_refused_at_once() {
    let cells = query("SELECT count(*) AS n FROM beds").await;
    assert!(Receipts::of(None, &cells).is_none());
    assert!(Receipts::of(Some(RECEIPT.to_vec()), &cells).is_some());
}

#[tokio::test]
async fn a_receipt_that_comes_twice_with_rows_or_before_the_end_is_refused() {
    let twice = of_rows(Some(RECEIPT)).await;
    twice.see(&message(RECEIPT)).unwrap();
    assert!(twice.one(&[batch(3), batch(0)]).is_err());
    let with_rows = of_rows(None).await;
    with_rows.see(&message(RECEIPT)).unwrap();
    assert!(with_rows.one(&[batch(3)]).is_err());
    let early = of_rows(None).await;
    early.see(&message(RECEIPT)).unwrap();
    assert!(early.see(&message(b"")).is_err());
}

#[tokio::test]
async fn one_receipt_is_taken_from_the_header_or_from_the_last_message() {
    let header = of_rows(Some(RECEIPT)).await;
    header.see(&message(b"")).unwrap();
    assert_eq!(header.one(&[batch(3)]), Ok(Bytes::from_static(RECEIPT)));
    let last = of_rows(None).await;
    last.see(&message(b"")).unwrap();
    last.see(&message(RECEIPT)).unwrap();
    assert_eq!(last.one(&[batch(3), batch(0)]), Ok(Bytes::from_static(RECEIPT)));
}

/// What comes of batches: how it ends, and how many of them were looked at.
async fn taken(coming: Vec<RecordBatch>, rows_max: usize) -> (Result<usize, Broken>, usize) {
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let count = |batch| {
        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(batch)
    };
    let schema = batch(0).schema();
    let batches = whole(futures::stream::iter(coming).map(count), schema, rows_max).await;
    (batches.map(|batches| batches.len()), seen.into_inner())
}

#[tokio::test]
async fn an_answer_ends_at_the_first_batch_that_there_cannot_be() {
    let (refused, seen) = taken(vec![batch(3), batch(3), batch(1), batch(1)], 6).await;
    assert!(
        matches!(refused, Err(Broken::Odd(what)) if what.contains("more rows")),
        "{refused:?}"
    );
    assert_eq!(seen, 3);
    let other = batch(1).project(&[]).unwrap();
    let (refused, seen) = taken(vec![batch(3), other, batch(1)], 6).await;
    assert!(
        matches!(refused, Err(Broken::Odd(what)) if what.contains("other columns")),
        "{refused:?}"
    );
    assert_eq!(seen, 2);
    let (taken, _) = taken(vec![batch(3), batch(3), batch(0)], 6).await;
    assert_eq!(taken.unwrap(), 3);
}

#[test]
fn what_is_compressed_is_recognised() {
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::IpcWriteOptions;
    let sent = |compression| {
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let mut messages = arrow_flight::encode::FlightDataEncoderBuilder::new()
            .with_options(options)
            .build(futures::stream::iter([Ok(batch(1_000))]));
        let mut compressed = Vec::new();
        while let Some(message) = futures::executor::block_on(messages.next()) {
            compressed.push(is_compressed(&message.unwrap()));
        }
        compressed
    };
    assert_eq!(sent(None), [false, false]);
    for compression in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        assert_eq!(sent(Some(compression)), [false, true]);
    }
}

#[tokio::test]
async fn a_range_that_is_not_declared_is_refused() {
    let query = query("SELECT bin(floor) AS g0, count(*) AS a0 FROM beds GROUP BY bin(floor)").await;
    let rules = rules();
    let collection = rules.collections.values().next().unwrap();
    let declared = |said: [Option<&str>; 2]| {
        let said: ArrayRef = Arc::new(StringArray::from(said.to_vec()));
        let counts: ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
        let batch = RecordBatch::try_from_iter_with_nullable([("g0", said, true), ("a0", counts, true)]);
        bins_are_declared(&[batch.unwrap()], &query, collection)
    };
    for said in ["[0, 20)", "[0,3)", "0", "", "[20, 99)"] {
        assert!(!declared([Some("[0, 3)"), Some(said)]), "{said}");
    }
    assert!(declared([Some("[3, 20)"), None]));
}
