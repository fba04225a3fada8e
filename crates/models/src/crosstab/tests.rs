use super::*;

fn near(found: f64, known: f64) {
    assert!(
        (found - known).abs() <= 1e-10 * known.abs().max(1e-3),
        "{found} is not {known}"
    );
}

#[test]
fn a_table_of_one_row_or_of_nothing_makes_no_test() {
    assert_eq!(independence(&[vec![3.0, 4.0]]), None);
    assert_eq!(independence(&[vec![3.0, 4.0], vec![0.0, 0.0]]), None);
    assert_eq!(independence(&[]), None);
    assert_eq!(fisher(&[[0.0; 2]; 2]), None);
    assert_eq!(fisher(&[[FISHER_MOST; 2]; 2]), None);
    assert_eq!(odds_ratio(&[[3.0, 0.0], [1.0, 2.0]], 0.95), None);
    assert_eq!(mantel_haenszel(&[[[3.0, 0.0], [1.0, 2.0]]], 0.95), None);
}

/// tests_meta.json: heart_hospital_x_disease_chi2 (scipy).
#[test]
fn four_hospitals_have_the_chi_squared_that_scipy_computes() {
    let counts = [[188.0, 106.0], [164.0, 139.0], [51.0, 149.0], [8.0, 115.0]].map(Vec::from);
    let test = independence(&counts).unwrap();
    near(test.chi_squared, 157.381_413_099_648);
    near(test.p / 6.733_034_218_106_341e-34, 1.0);
    assert_eq!(test.df, 3.0);
    near(test.cramers_v, (157.381_413_099_648_f64 / 920.0).sqrt());
}

/// tests_meta.json: indo_outcome_by_rx (scipy).
#[test]
fn a_trial_has_the_exact_test_and_odds_ratio_that_scipy_computes() {
    let table = [[255.0, 52.0], [268.0, 27.0]];
    near(fisher(&table).unwrap(), 0.005_339_051_289_453_799);
    near(odds_ratio(&table, 0.95).unwrap().odds_ratio, 0.494_044_202_066_590_1);
}

/// R: `fisher.test(matrix(c(3,1,1,3),2))`, the lady tasting tea.
#[test]
fn the_lady_tastes_tea() {
    near(fisher(&[[3.0, 1.0], [1.0, 3.0]]).unwrap(), 0.485_714_285_714_285_7);
}

#[test]
fn one_stratum_has_its_own_odds_ratio_and_strata_of_one_ratio_have_it_together() {
    let table = [[10.0, 5.0], [4.0, 8.0]];
    let one = mantel_haenszel(&[table], 0.95).unwrap();
    near(one.common.odds_ratio, 4.0);
    let double = table.map(|row| row.map(|count| 2.0 * count));
    near(mantel_haenszel(&[table, double], 0.95).unwrap().common.odds_ratio, 4.0);
    // With one stratum the variance of Robins, Breslow and Greenland is Woolf's.
    near(
        one.common.log_std_error,
        odds_ratio(&table, 0.95).unwrap().log_std_error,
    );
}
