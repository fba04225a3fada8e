use super::*;

/// Values of R 4.2: pnorm, pt, qt, pchisq, pf, qgamma.
#[test]
fn tails_and_quantiles_are_those_of_r() {
    let near = |found: f64, known: f64| assert!((found / known - 1.0).abs() < 1e-9, "{found} is not {known}");
    near(normal_quantile(0.975), 1.959_963_984_540_054);
    near(normal_two_sided(-6.0), 1.973_175_290_075_04e-9);
    near(
        t_two_sided(-12.633_311_693_337, 837.176_238_940_679_4).unwrap(),
        1.301_582_232_042_605_7e-33,
    );
    near(t_quantile(0.975, 10.0).unwrap(), 2.228_138_851_964_94);
    near(
        chi_squared_above(157.381_413_099_648, 3.0).unwrap(),
        6.733_034_218_106_341e-34,
    );
    near(
        f_above(80.200_277_520_075_36, 3.0, 916.0).unwrap(),
        4.509_970_130_308_153e-46,
    );
    near(gamma_quantile(0.025, 10.0).unwrap(), 4.795_388_696_132_58);
}

#[test]
fn without_degrees_of_freedom_there_is_no_tail() {
    assert_eq!(t_two_sided(1.0, 0.0), None);
    assert_eq!(chi_squared_above(1.0, -1.0), None);
    assert_eq!(f_above(1.0, 0.0, 3.0), None);
    assert_eq!(gamma_quantile(0.5, 0.0), None);
}
