//! The rules one by one, on tables of a few numbers. That they agree with a second implementation is shown by random queries.

use super::*;
use crate::cells::Sketches;
use crate::sketch::Sketch;

fn rules() -> Rules {
    Rules {
        people_min: 5,
        dominance: None,
        p_percent: None,
        guards_zeros: false,
        one_row_each: false,
    }
}

fn shares(contributions: &[f64]) -> Shares {
    let mut shares = Shares::default();
    let mut sorted = contributions.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    shares.nonzero = sorted.iter().filter(|one| **one > 0.0).count() as u64;
    shares.magnitude = sorted.iter().sum();
    shares
        .largest
        .iter_mut()
        .zip(&sorted)
        .for_each(|(largest, one)| *largest = *one);
    shares
}

fn input(people: u64, contributions: &[f64]) -> Input {
    let moments = Moments {
        mean: 1.0,
        squares: 1.0,
        shares: shares(contributions),
        ..Moments::default()
    };
    Input {
        rows: people.cast_signed(),
        people,
        rest: 0,
        between: Vec::new(),
        unknown: 0,
        counts: shares(&vec![1.0; usize::try_from(people).unwrap()]),
        columns: vec![moments],
        product: 0.0,
        bins: Vec::new(),
        sketches: Sketches {
            sums: Sketch::new(64),
            bins: None,
        },
    }
}

fn cell(people: u64) -> Cell {
    Cell {
        rows: people.cast_signed(),
        people,
        failing: Vec::new(),
        inputs: vec![input(people, &vec![1.0; usize::try_from(people).unwrap()])],
    }
}

fn table(codes: Vec<Vec<u32>>, people: &[u64]) -> Table {
    Table {
        keys: Vec::new(),
        codes,
        cells: people.iter().map(|people| cell(*people)).collect(),
    }
}

fn key(values: usize) -> KeyFacts {
    KeyFacts {
        possible: Possible::Values { values, null: false },
        shares_column: false,
    }
}

fn withheld(table: &Table, keys: &[KeyFacts], rules: &Rules) -> Vec<bool> {
    judge(table, keys, &[], &[(&Function::CountRows, 0)], rules).is_withheld
}

#[test]
fn a_small_cell_takes_the_next_smallest_with_it() {
    let four = table(vec![vec![1, 2, 3, 4]], &[50, 4, 20, 30]);
    assert_eq!(withheld(&four, &[key(4)], &rules()), [false, true, true, false]);
}

#[test]
fn two_values_stand_and_fall_together() {
    let two = table(vec![vec![1, 2]], &[50, 4]);
    assert_eq!(withheld(&two, &[key(2)], &rules()), [true, true]);
}

#[test]
fn everybody_in_one_cell_is_withheld_unless_there_is_no_other() {
    let one = table(vec![vec![1]], &[50]);
    assert_eq!(withheld(&one, &[key(2)], &rules()), [true]);
    assert_eq!(withheld(&one, &[key(1)], &rules()), [false]);
}

#[test]
fn that_nobody_is_in_a_cell_is_withheld_only_where_zeros_are_protected() {
    let two = table(vec![vec![1, 2]], &[50, 40]);
    assert_eq!(withheld(&two, &[key(3)], &rules()), [false, false]);
    let protected = Rules {
        guards_zeros: true,
        ..rules()
    };
    assert_eq!(withheld(&two, &[key(3)], &protected), [false, true]);
}

#[test]
fn one_row_each_lets_people_of_small_cells_be_added_up() {
    let four = table(vec![vec![1, 2, 3, 4]], &[50, 3, 4, 30]);
    assert_eq!(withheld(&four, &[key(4)], &rules()), [false, true, true, true]);
    let one_row_each = Rules {
        one_row_each: true,
        ..rules()
    };
    assert_eq!(withheld(&four, &[key(4)], &one_row_each), [false, true, true, false]);
}

#[test]
fn who_gives_most_of_a_sum_withholds_it() {
    let sum = Function::Sum("cost".to_owned());
    let dominated = input(6, &[90.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
    let dominance = Rules {
        dominance: Some(Dominance { top: 1, share: 0.85 }),
        ..rules()
    };
    assert_eq!(primary(&sum, &dominated, &dominance), Some(Reason::Dominance));
    let p_percent = Rules {
        p_percent: Some(10),
        ..rules()
    };
    assert_eq!(primary(&sum, &dominated, &p_percent), Some(Reason::PPercent));
    assert_eq!(primary(&sum, &dominated, &rules()), None);
    // People are counted, whatever they cost.
    assert_eq!(
        primary(&Function::CountPeople("p".to_owned()), &dominated, &dominance),
        None
    );
}

#[test]
fn what_cannot_be_compared_is_withheld() {
    let sum = Function::Sum("cost".to_owned());
    let odd = input(6, &[f64::NAN; 6]);
    let dominance = Rules {
        dominance: Some(Dominance { top: 1, share: 0.85 }),
        ..rules()
    };
    assert!(primary(&sum, &odd, &dominance).is_some());
}
