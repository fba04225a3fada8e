use std::collections::BTreeMap;

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field, Schema};

use super::*;

const RECEIPT: &[u8] = b"{}";

async fn query(sql: &str) -> Query {
    let collection = r#"
id = "beds"
title = "Beds"
personal = false
[columns.beds]
type = "integer"
role = "measure"
"#;
    let files = [
        ("space.toml", "id = \"town\"\ntitle = \"Town\"\n"),
        ("members.toml", ""),
        ("collections/beds.toml", collection),
    ];
    let files: BTreeMap<_, _> = files
        .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
        .into();
    let rules = policy::Rules::compile_files(1, Digest::of(b"test"), &files).unwrap();
    engine::read::read(sql, &rules.collections).await.unwrap()
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
