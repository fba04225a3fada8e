use datafusion::arrow::array::{Float64Array, Int64Array};

use super::*;

#[test]
fn whoever_fails_a_condition_counts_if_the_fit_without_it_would_be_about_them() {
    let layout = Layout {
        needs: vec![Need::Number("cost".to_owned())],
        groups: 1,
        is_personal: true,
    };
    // Of twenty people twelve fail, and of eleven of these the cost is not known.
    let people = 0_i64..20;
    let costs = people.clone().map(|person| (person == 0 || person > 11).then_some(1.0));
    let passes = people.clone().map(|person| Some(person > 11));
    let columns: [ArrayRef; 3] = [
        Arc::new(Float64Array::from_iter(costs)),
        Arc::new(BooleanArray::from_iter(passes)),
        Arc::new(Int64Array::from_iter_values(people)),
    ];
    let batch = RecordBatch::try_from_iter(["cost", "passes", "person"].into_iter().zip(columns)).unwrap();
    let mut reader = Reader::new(&layout);
    reader.add(&layout, &batch).unwrap();
    assert_eq!((reader.frame.rows, reader.failing[0].people), (8, 1));
    assert_eq!((reader.dropped_rows, reader.dropped_people.people), (0, 0));
}
