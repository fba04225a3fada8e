use super::*;

fn sites(estimates: &[f64], errors: &[f64]) -> Vec<Estimate> {
    let pairs = estimates.iter().zip(errors);
    pairs
        .map(|(value, std_error)| Estimate {
            value: *value,
            std_error: *std_error,
        })
        .collect()
}

fn near(found: f64, known: f64) {
    assert!(
        (found - known).abs() <= 1e-10 * known.abs().max(1e-3),
        "{found} is not {known}"
    );
}

#[test]
fn one_site_or_one_without_an_error_is_not_pooled() {
    for of in [
        sites(&[1.0], &[1.0]),
        sites(&[1.0, 2.0], &[1.0, 0.0]),
        sites(&[1.0, f64::NAN], &[1.0, 1.0]),
    ] {
        assert_eq!(pooled(&of, Model::Reml, 0.95), None);
        assert_eq!(heterogeneity(&of), None);
    }
}

/// tests_meta.json: heart_meta_thalach_age_slope and heart_meta_mean_age (statsmodels).
#[test]
fn four_hospitals_have_the_pooled_estimates_that_statsmodels_computes() {
    let slopes = sites(
        &[
            -1.257_602_791_329_624_4,
            -0.800_953_054_486_601_5,
            -0.478_121_841_950_794_66,
            -0.820_830_529_665_706_4,
        ],
        &[
            0.152_218_683_755_037,
            0.128_139_551_838_807_65,
            0.234_792_252_081_779_45,
            0.250_921_813_013_474_16,
        ],
    );
    let fixed = pooled(&slopes, Model::Fixed, 0.95).unwrap();
    near(fixed.estimate, -0.903_556_754_448_742_2);
    near(fixed.std_error, 0.085_100_059_707_756_01);
    let differ = heterogeneity(&slopes).unwrap();
    near(differ.q, 9.442_884_668_946_169);
    near(differ.p, 0.023_946_799_028_794_537);
    near(differ.i_squared, 0.682_300_472_241_730_6);
    let random = pooled(&slopes, Model::DerSimonianLaird, 0.95).unwrap();
    near(random.tau_squared, 0.068_891_202_025_120_46);
    near(random.estimate, -0.866_551_220_048_839_3);
    near(random.std_error, 0.161_729_290_409_654_95);
}

/// The restricted log-likelihood, from its definition: no variance near that of REML has a larger one.
#[test]
fn reml_is_where_the_restricted_likelihood_is_largest() {
    let likelihood = |sites: &[Estimate], tau: f64| {
        let Weighted { sum, mean, weights } = weighted(sites, tau);
        let terms = weights
            .iter()
            .zip(sites)
            .map(|(w, site)| w.ln() - w * (site.value - mean).powi(2));
        0.5 * (terms.sum::<f64>() - sum.ln())
    };
    let differing = sites(&[0.1, 0.9, 0.4, 1.6], &[0.2, 0.3, 0.1, 0.4]);
    let found = pooled(&differing, Model::Reml, 0.95).unwrap().tau_squared;
    assert!(found > 0.01, "{found}");
    for share in [0.5, 0.9, 0.999, 1.001, 1.1, 2.0] {
        assert!(
            likelihood(&differing, found) > likelihood(&differing, found * share),
            "{found} {share}"
        );
    }
    let alike = sites(&[1.0, 1.01, 0.99], &[0.5, 0.4, 0.6]);
    assert_eq!(pooled(&alike, Model::Reml, 0.95).unwrap().tau_squared, 0.0);
    assert_eq!(pooled(&alike, Model::DerSimonianLaird, 0.95).unwrap().tau_squared, 0.0);
}
