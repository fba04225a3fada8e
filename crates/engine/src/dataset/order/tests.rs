use datafusion::arrow::array::{Int64Array, StringArray};
use datafusion::arrow::datatypes::{Field, Schema};

use super::*;
use crate::example;

const COLLECTION: &str = r#"
id = "stays"
title = "Stays"
personal = true
privacy_unit = "patient_id"
[columns.patient_id]
type = "text"
role = "identifier"
"#;

fn stays() -> Arc<Collection> {
    let rules = example::rules(&[("collections/stays.toml", COLLECTION)]);
    Arc::clone(&rules.collections[&"stays".parse().unwrap()])
}

fn rows(rows: &[(i64, &str)]) -> RecordBatch {
    let (order, people): (Vec<i64>, Vec<&str>) = rows.iter().copied().unzip();
    let schema = Schema::new(vec![
        Field::new(ORDER, DataType::Int64, false),
        Field::new("patient_id", DataType::Utf8, true),
    ]);
    let columns: Vec<datafusion::arrow::array::ArrayRef> =
        vec![Arc::new(Int64Array::from(order)), Arc::new(StringArray::from(people))];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

#[test]
fn two_people_with_one_hash_are_not_taken_for_one_also_across_batches() {
    let stays = stays();
    let last = require_distinct(&rows(&[(1, "anna"), (1, "anna"), (2, "bert")]), &stays, None).unwrap();
    assert_eq!(last, Some((2, "bert".to_owned())));
    let refused = require_distinct(&rows(&[(2, "carl")]), &stays, last).unwrap_err();
    assert_eq!(refused.problem, Problem::Internal);
    assert!(refused.remedy.contains("node.secret"), "{}", refused.remedy);
    assert!(!refused.message.contains("carl"), "{}", refused.message);
}

#[test]
fn what_the_engine_says_about_data_that_it_cannot_sort_is_not_repeated() {
    let data = || DataFusionError::Execution("cannot cast 'Anna Muster'".to_owned());
    let full = || DataFusionError::ResourcesExhausted("for 'Anna Muster'".to_owned());
    for (error, says) in [
        (data(), "the engine failed"),
        (full().context("Anna Muster"), "too little memory"),
    ] {
        let report = failed(&error);
        assert_eq!(report.problem, Problem::DataSchema);
        assert!(report.message.contains(says), "{}", report.message);
        assert!(!report.message.contains("Anna"), "{}", report.message);
        assert!(report.remedy.contains("add the data file again"), "{}", report.remedy);
    }
}
