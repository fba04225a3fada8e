#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use super::*;

fn arrays(x: &[Option<f64>], y: &[Option<f64>]) -> Vec<ArrayRef> {
    let array = |values: &[Option<f64>]| Arc::new(values.iter().copied().collect::<Float64Array>()) as ArrayRef;
    vec![array(x), array(y)]
}

fn one_group(x: &[Option<f64>], y: &[Option<f64>]) -> Option<f64> {
    let mut group = Group::default();
    group.update_batch(&arrays(x, y)).unwrap();
    match group.evaluate().unwrap() {
        ScalarValue::Float64(total) => total,
        _ => None,
    }
}

#[test]
fn states_are_never_handed_to_another_part() {
    assert!(Group::default().state().is_err());
    assert!(Groups(Vec::new()).state(EmitTo::All).is_err());
}

#[test]
fn a_row_counts_where_both_are_known() {
    assert_eq!(one_group(&[None, Some(1.0)], &[Some(2.0), None]), None);
    let (x, y) = ([Some(1.0), None, Some(3.0)], [Some(10.0), Some(7.0), Some(30.0)]);
    assert_eq!(one_group(&x, &y), Some(20.0));
}

#[test]
fn what_is_far_from_zero_loses_no_digit() {
    // Deviations of -1, 0 and 1 from a thousand million millions.
    let far = [1e15 - 1.0, 1e15, 1e15 + 1.0].map(Some);
    assert_eq!(one_group(&far, &far), Some(2.0));
}

#[test]
fn groups_are_apart_and_are_emitted_from_the_first() {
    let mut groups = Groups(Vec::new());
    let x = [1.0, 5.0, 3.0, 5.0].map(Some);
    groups.update_batch(&arrays(&x, &x), &[0, 1, 0, 1], None, 3).unwrap();
    let first = groups.evaluate(EmitTo::First(1)).unwrap();
    assert_eq!(
        first.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(),
        [Some(2.0)]
    );
    let rest = groups.evaluate(EmitTo::All).unwrap();
    assert_eq!(
        rest.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(),
        [Some(0.0), None]
    );
}
