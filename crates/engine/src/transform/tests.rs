use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use super::*;

fn pseudonyms(key: u8) -> Pseudonyms {
    Pseudonyms {
        key: Zeroizing::new([key; 32]),
        signature: Signature::uniform(1, vec![DataType::Utf8, DataType::Int64], Volatility::Immutable),
    }
}

#[test]
fn equal_values_have_equal_pseudonyms_and_another_key_gives_others() {
    let (one, other) = (pseudonyms(1), pseudonyms(2));
    assert_eq!(one.of_text("P-1"), one.of_text("P-1"));
    assert_ne!(one.of_text("P-1"), one.of_text("P-2"));
    assert_ne!(one.of_text("P-1"), other.of_text("P-1"));
    assert_ne!(one.of_number(1), other.of_number(1));
    assert!((-1000..1000).all(|number| one.of_number(number) >= 0));
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", pseudonyms(7)), "Pseudonyms { .. }");
    assert_eq!(format!("{:?}", NodeSecret::from([7; 32])), "NodeSecret");
}

#[tokio::test]
async fn null_stays_null_and_types_stay_as_they_are() {
    let schema = Arc::new(Schema::new(vec![
        Field::new("text", DataType::Utf8, true),
        Field::new("number", DataType::Int64, true),
    ]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("a"), None])),
        Arc::new(Int64Array::from(vec![Some(1), None])),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let table = MemTable::try_new(Arc::clone(&schema), vec![vec![batch]]).unwrap();
    let context = SessionContext::new();
    let of = |name: &str| {
        ScalarUDF::new_from_impl(pseudonyms(1))
            .call(vec![ident(name)])
            .alias(name)
    };
    let frame = context.read_table(Arc::new(table)).unwrap();
    let made = frame
        .select(vec![of("text"), of("number")])
        .unwrap()
        .collect()
        .await
        .unwrap();
    let (text, number) = (made[0].column(0), made[0].column(1));
    assert_eq!(
        (text.data_type(), number.data_type()),
        (&DataType::Utf8, &DataType::Int64)
    );
    assert!(text.is_valid(0) && text.is_null(1) && number.is_valid(0) && number.is_null(1));
}
