use super::*;

fn integers(rows: i64, sum: i128, variance: f64) -> OneColumn {
    let sum = Total {
        integer: sum,
        ..Total::default()
    };
    OneColumn { rows, sum, variance }
}

#[test]
fn one_row_has_no_variance_of_a_sample_and_none_of_nobody() {
    assert_eq!(spread(Spread::VarSamp, &[integers(1, 7, 0.0)]), None);
    assert_eq!(spread(Spread::VarPop, &[integers(1, 7, 0.0)]), Some(0.0));
    assert_eq!(spread(Spread::VarPop, &[]), None);
    assert_eq!(TwoColumns::all(&[]).statistic(Pair::CovarSamp), None);
}

#[test]
fn means_of_integers_that_differ_by_one_part_in_a_million_million_millions_do_differ() {
    // One row of 10^18 and one of 10^18 + 1: as floats they are equal.
    let far = 1_000_000_000_000_000_000;
    let nodes = [integers(1, far, 0.0), integers(1, far + 1, 0.0)];
    assert_eq!(off_sums(&nodes).1, [-0.5, 0.5]);
}

#[test]
fn equal_numbers_have_no_variance_however_they_add_up() {
    let tenths = |rows: i64, float: f64| OneColumn {
        rows,
        sum: Total {
            float,
            is_float: true,
            ..Total::default()
        },
        variance: 0.0,
    };
    // 0.1 + 0.1 + 0.1 is not 3 times 0.1.
    let nodes = [tenths(3, 0.1 + 0.1 + 0.1), tenths(1, 0.1)];
    assert_eq!(spread(Spread::VarPop, &nodes), Some(0.0));
}

#[test]
fn a_column_that_does_not_vary_has_no_correlation() {
    let node = |x: f64, y: f64| TwoColumns::of([1.0, x, y, 0.0, 0.0, 0.0]);
    let constant = TwoColumns::all(&[node(3.0, 1.0), node(3.0, 2.0)]);
    assert_eq!(constant.statistic(Pair::Corr), None);
    assert_eq!(constant.statistic(Pair::CovarPop), Some(0.0));
    let line = TwoColumns::all(&[node(1.0, 2.0), node(2.0, 4.0), node(3.0, 6.0)]);
    assert!(
        line.statistic(Pair::Corr)
            .is_some_and(|r| (1.0 - 1e-15..=1.0).contains(&r))
    );
    assert_eq!(line.part(PairPart::Products), 4.0);
}
