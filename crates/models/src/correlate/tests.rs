use super::*;

#[test]
fn two_rows_and_no_coefficient_make_no_test() {
    assert_eq!(correlation(0.5, 2.0, 0.95), None);
    assert_eq!(correlation(f64::NAN, 20.0, 0.95), None);
    assert_eq!(correlation(1.0, 20.0, 0.95).unwrap().ci, None);
}

/// R's `cor.test(cars$speed, cars$dist)`, computed with scipy.
#[test]
fn cars_have_the_test_that_r_computes() {
    let test = correlation(0.806_894_900_689_207, 50.0, 0.95).unwrap();
    assert!((test.t - 9.463_989_990_298_252).abs() < 1e-8, "{test:?}");
    assert!((test.p / 1.489_836_496_295_669e-12 - 1.0).abs() < 1e-9, "{test:?}");
    let [low, high] = test.ci.unwrap();
    assert!(
        (low - 0.681_642_222_094_300_3).abs() < 1e-12 && (high - 0.886_203_628_526_012_8).abs() < 1e-9,
        "{test:?}"
    );
}
