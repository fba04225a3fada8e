//! What the fold must refuse, and that it loses nobody at the border of two batches and no digits far from zero.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};

use super::*;
use crate::cells::Table;
use crate::enforce::cells::Layout;

/// Person, text key, value.
type Line = (i64, Option<&'static str>, f64);

fn batch(lines: &[Line]) -> RecordBatch {
    let keys: StringArray = lines.iter().map(|line| line.1).collect();
    let people = Int64Array::from_iter_values(lines.iter().map(|line| line.0));
    let values = Float64Array::from_iter_values(lines.iter().map(|line| line.2));
    let columns: [(&str, ArrayRef); 3] = [
        ("key", Arc::new(keys)),
        ("person", Arc::new(people)),
        ("value", Arc::new(values)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn fold() -> Fold {
    let layout = Layout {
        keys: 1,
        person: Some(1),
        groups: Vec::new(),
        spread: Vec::new(),
        filters: Vec::new(),
        inputs: vec![InputLayout::of_sums(vec![2])],
    };
    Fold::new(Arc::new(layout), Some(64))
}

fn folded(batches: &[&[Line]]) -> Result<Cells, CellsError> {
    let mut fold = fold();
    for lines in batches {
        fold.add(&batch(lines))?;
    }
    Ok(fold.finish())
}

fn table(batches: &[&[Line]]) -> Table {
    folded(batches).unwrap().table(false).unwrap()
}

#[test]
fn people_that_do_not_come_in_their_order_are_an_error() {
    let [one, two] = [(1, Some("a"), 1.0), (2, Some("a"), 1.0)];
    for batches in [&[&[two, one][..]][..], &[&[one, two], &[one]]] {
        assert!(matches!(folded(batches), Err(CellsError::Unordered)));
    }
    assert!(folded(&[&[one, two], &[two]]).is_ok());
}

#[test]
fn a_person_whose_rows_go_on_in_the_next_batch_is_one_person_with_one_contribution() {
    let table = table(&[
        &[(1, Some("a"), 2.0), (2, Some("a"), 3.0), (2, Some("b"), 1.0)],
        &[(2, Some("a"), 4.0), (2, Some("a"), 5.0), (3, Some("b"), 6.0)],
    ]);
    let of = |cell: usize| (table.cells[cell].rows, table.cells[cell].people);
    assert_eq!([of(0), of(1)], [(4, 2), (2, 2)]);
    let input = &table.cells[0].inputs[0];
    assert_eq!((input.rows, input.people), (4, 2));
    assert_eq!(input.columns[0].shares.largest[..3], [12.0, 2.0, 0.0]);
    assert_eq!(input.columns[0].total.as_f64(), 14.0);
}

#[test]
fn keys_are_told_apart_by_all_their_bytes_and_null_is_one() {
    let keys = [
        None,
        Some(""),
        Some("a"),
        Some("\0a"),
        Some("Nord-Süd"),
        Some("Nord-Sud"),
        Some("1234567"),
    ];
    let lines: Vec<Line> = (0..70).map(|at| (at, keys[at as usize % keys.len()], 1.0)).collect();
    let table = table(&[&lines]);
    assert_eq!(table.cells.len(), keys.len());
    assert!(table.cells.iter().all(|cell| cell.people == 10));
}

/// Against sums of exact integers: far from zero, and with an outlier as the first value.
#[test]
fn spreads_keep_their_digits() {
    let offsets = [0.0, 1e9, 1e12, -1e15];
    for offset in offsets {
        for first in [0_i64, 1_000_000] {
            let steps: Vec<i64> = [first].into_iter().chain((0..5_000).map(|at| at * 7 % 13)).collect();
            let lines = (0_i64..)
                .zip(&steps)
                .map(|(at, step)| (at / 3, Some("a"), offset + *step as f64));
            let lines: Vec<Line> = lines.collect();
            let (early, late) = lines.split_at(1_500);
            let input = &table(&[early, late]).cells[0].inputs[0];
            let (rows, sum): (i128, i128) = (steps.len() as i128, steps.iter().copied().map(i128::from).sum());
            let squares: i128 = steps.iter().map(|step| i128::from(*step).pow(2)).sum();
            let exact = (rows * squares - sum * sum) as f64 / rows as f64;
            let found = input.columns[0].squares;
            assert!((found / exact - 1.0).abs() < 1e-12, "{offset} {first}: {found} {exact}");
        }
    }
}

#[test]
fn equal_values_have_no_spread_at_all() {
    let lines: Vec<Line> = (0..5_000).map(|at| (at / 4, Some("a"), 0.1)).collect();
    assert_eq!(table(&[&lines]).cells[0].inputs[0].columns[0].squares, 0.0);
}

#[test]
fn parts_together_are_the_whole() {
    let lines: Vec<Line> = (0..900)
        .map(|at| {
            (
                at / 3,
                [Some("a"), None, Some("a longer key")][at as usize % 3],
                at as f64,
            )
        })
        .collect();
    let whole = table(&[&lines]);
    let (early, late) = lines.split_at(300);
    let mut parts = folded(&[late]).unwrap();
    parts.merge(folded(&[early]).unwrap()).unwrap();
    let parts = parts.table(false).unwrap();
    assert_eq!(whole.codes, parts.codes);
    assert_eq!(whole.keys, parts.keys);
    for (one, other) in whole.cells.iter().zip(&parts.cells) {
        assert_eq!((one.rows, one.people), (other.rows, other.people));
        let [one, other] = [&one.inputs[0], &other.inputs[0]];
        assert_eq!(one.sketches.sums, other.sketches.sums);
        assert!((one.columns[0].squares / other.columns[0].squares - 1.0).abs() < 1e-13);
    }
}
