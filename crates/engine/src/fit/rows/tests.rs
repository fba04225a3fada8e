use datafusion::arrow::array::{Float64Array, Int64Array};

use super::*;

#[test]
fn whoever_fails_a_condition_counts_if_the_fit_without_it_would_be_about_them() {
    let layout = Layout {
        needs: vec![Need::Number("cost".to_owned())],
        groups: 1,
        guarded: Vec::new(),
        is_personal: true,
        weight: None,
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
fn whoever_has_no_weight_is_not_among_the_rows_and_is_not_missing_either() {
    let layout = Layout {
        needs: ["cost", "trials"].map(|name| Need::Number(name.to_owned())).to_vec(),
        groups: 1,
        guarded: Vec::new(),
        is_personal: true,
        weight: Some(super::super::Weighed {
            need: 1,
            may_be_zero: true,
        }),
    };
    let read = |trials: fn(i64) -> Option<f64>| {
        let people = 0_i64..20;
        let columns: [ArrayRef; 4] = [
            // Of 0 and of 10 the cost is not known.
            Arc::new(Float64Array::from_iter(
                people.clone().map(|person| (person % 10 > 0).then_some(1.0)),
            )),
            Arc::new(Float64Array::from_iter(people.clone().map(trials))),
            Arc::new(BooleanArray::from_iter(people.clone().map(|person| Some(person != 5)))),
            Arc::new(Int64Array::from_iter_values(people)),
        ];
        let names = ["cost", "trials", "passes", "person"];
        let batch = RecordBatch::try_from_iter(names.into_iter().zip(columns)).unwrap();
        let mut reader = Reader::new(&layout);
        reader.add(&layout, &batch).unwrap();
        reader
    };
    // Without weight are 0 to 7; of 19 it is not known.
    let reader = read(|person| (person != 19).then_some(if person < 8 { 0.0 } else { 2.0 }));
    assert_eq!((reader.frame.rows, reader.frame.people[0]), (10, 8));
    assert_eq!((reader.weightless.people, reader.failing[0].people), (6, 1));
    assert_eq!(reader.dropped_rows, 2);
    assert!(!reader.has_negative_weight);
    assert!(read(|person| Some(if person == 3 { -1.0 } else { 1.0 })).has_negative_weight);
    // Nobody would see whom no condition lets pass.
    assert!(!read(|person| Some(if person == 5 { -1.0 } else { 1.0 })).has_negative_weight);
}

#[test]
fn parts_that_are_put_together_take_no_more_than_their_rows() {
    let part = |people: std::ops::Range<i64>| Frame {
        columns: vec![Column::Numbers(people.clone().map(|person| person as f64).collect())],
        rows: people.clone().count(),
        people: people.collect(),
    };
    let one = together(vec![part(0..300), part(300..301), part(301..900)]).unwrap();
    assert_eq!((one.rows, one.people.len(), one.people[899]), (900, 900, 899));
    assert_eq!(one.bytes(), 900 * 16);
}

#[test]
fn of_whom_a_guarded_column_is_not_known_is_counted_by_people() {
    let layout = Layout {
        needs: ["cost", "ward"].map(|name| Need::Number(name.to_owned())).to_vec(),
        groups: 0,
        guarded: vec![1],
        is_personal: true,
        weight: None,
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
