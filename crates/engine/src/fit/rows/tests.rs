use datafusion::arrow::array::{Float64Array, Int64Array};

use super::*;

#[test]
fn whoever_fails_a_condition_counts_if_the_fit_without_it_would_be_about_them() {
    let layout = Layout {
        needs: vec![Need::Number("cost".to_owned())],
        guarded: Vec::new(),
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

#[test]
fn of_whom_a_guarded_column_is_not_known_is_counted_by_people() {
    let layout = Layout {
        needs: vec![Need::Number("cost".to_owned()), Need::Number("ward".to_owned())],
        guarded: vec![1],
        groups: 0,
        is_personal: true,
    };
    // Two rows each; of the third of seven people the ward is known in one, of the fifth in none, and of the sixth the cost is not.
    let people = 0_i64..14;
    let costs = people.clone().map(|row| (row / 2 != 5).then_some(1.0));
    let wards = people.clone().map(|row| (row != 4 && row / 2 != 4).then_some(2.0));
    let columns: [ArrayRef; 3] = [
        Arc::new(Float64Array::from_iter(costs)),
        Arc::new(Float64Array::from_iter(wards)),
        Arc::new(Int64Array::from_iter_values(people.map(|row| row / 2))),
    ];
    let batch = RecordBatch::try_from_iter(["cost", "ward", "person"].into_iter().zip(columns)).unwrap();
    let mut reader = Reader::new(&layout);
    reader.add(&layout, &batch).unwrap();
    assert_eq!(
        (reader.frame.rows, reader.dropped_rows, reader.unknown[0].people),
        (9, 5, 2)
    );
}
