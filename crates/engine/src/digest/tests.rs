use std::sync::Arc;

use datafusion::arrow::array::{BooleanArray, Date32Array, Float64Array, Int64Array, StringArray};
use datafusion::arrow::datatypes::{Field, SchemaRef};

use super::*;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("cost", DataType::Float64, true),
        Field::new("ward", DataType::Utf8, true),
        Field::new("known", DataType::Boolean, true),
        Field::new("day", DataType::Date32, true),
    ]))
}

fn batch() -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![Some(1), None, Some(0), Some(4)])),
        Arc::new(Float64Array::from(vec![1.5, -0.0, 3.0, 4.0])),
        Arc::new(StringArray::from(vec![Some("ab"), None, Some(""), Some("c")])),
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, None])),
        Arc::new(Date32Array::from(vec![Some(1), Some(2), Some(3), None])),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn of_ward(texts: Vec<Option<&str>>) -> Digest {
    let schema = Schema::new(vec![Field::new("ward", DataType::Utf8, true)]);
    let texts: ArrayRef = Arc::new(StringArray::from(texts));
    let batch = RecordBatch::try_new(Arc::new(schema.clone()), vec![texts]).unwrap();
    digest_of(&schema, &[batch])
}

#[test]
fn another_value_null_order_name_or_number_of_rows_is_another_digest() {
    let whole = digest_of(&schema(), &[batch()]);
    let renamed = Schema::new(
        schema()
            .fields()
            .iter()
            .map(|field| {
                let name = field.name().replace("id", "di");
                field.as_ref().clone().with_name(name)
            })
            .collect::<Vec<_>>(),
    );
    assert_ne!(digest_of(&renamed, &[batch()]), whole);
    let others = [
        vec![batch().slice(0, 3)],
        vec![batch().slice(2, 2), batch().slice(0, 2)],
        vec![batch(), batch()],
        vec![],
    ];
    for other in others {
        assert_ne!(digest_of(&schema(), &other), whole);
    }
    for column in 0..5 {
        let mut columns = batch().columns().to_vec();
        columns[column] = datafusion::arrow::array::new_null_array(columns[column].data_type(), 4);
        let other = RecordBatch::try_new(schema(), columns).unwrap();
        assert_ne!(digest_of(&schema(), &[other]), whole, "{column}");
    }
}

#[test]
fn texts_that_are_cut_otherwise_or_are_missing_are_other_texts() {
    let texts = [
        vec![Some("ab"), Some("c")],
        vec![Some("a"), Some("bc")],
        vec![Some("abc"), Some("")],
        vec![Some("abc"), None],
        vec![None, Some("abc")],
        vec![Some("abc")],
    ];
    let digests: std::collections::BTreeSet<Digest> = texts.iter().cloned().map(of_ward).collect();
    assert_eq!(digests.len(), texts.len());
}

#[test]
fn however_an_answer_is_cut_and_whatever_lies_behind_its_nulls_the_digest_is_the_same() {
    let whole = digest_of(&schema(), &[batch()]);
    for at in 0..=4 {
        let cut = [batch().slice(0, at), batch().slice(at, 4 - at), batch().slice(4, 0)];
        assert_eq!(digest_of(&schema(), &cut), whole, "{at}");
    }
    let hidden = NullBuffer::from(vec![true, false, true, true]);
    let mut columns = batch().columns().to_vec();
    columns[0] = Arc::new(Int64Array::new(vec![1, 4711, 0, 4].into(), Some(hidden)));
    let other = RecordBatch::try_new(schema(), columns).unwrap();
    assert_eq!(digest_of(&schema(), &[other]), whole);
}

/// Computed with Python's hashlib from the description above.
#[test]
fn the_digest_is_the_one_that_is_described() {
    let expected = "924ef6bb808f9cee96f1ea50b8bdbc4aa2d8760ff5141dc557b94b5a0ae2b55d";
    assert_eq!(digest_of(&schema(), &[batch()]).hex(), expected);
}
