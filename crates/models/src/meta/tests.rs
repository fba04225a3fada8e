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

/// `known_answers.py` beside this crate, from the likelihood of the mixed model: three estimates of tests_meta.json, and the 13 trials of BCG
/// against tuberculosis, for which R's metafor has an estimate of −0.7145, an error of 0.1798 and a variance of 0.3132 (Viechtbauer 2010).
#[test]
fn reml_is_that_of_the_mixed_model() {
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
    let ages = sites(
        &[
            47.826_530_612_244_895,
            54.438_943_894_389_44,
            59.35,
            55.317_073_170_731_71,
        ],
        &[
            0.455_594_151_870_396,
            0.519_257_589_944_059_2,
            0.552_370_405_911_317,
            0.814_397_719_564_082_7,
        ],
    );
    let odds = sites(
        &[
            0.044_109_750_424_395_83,
            0.051_986_209_599_354_71,
            0.055_882_650_028_590_206,
            0.008_997_385_781_704_576,
        ],
        &[
            0.016_332_079_604_324_864,
            0.013_668_777_851_375_546,
            0.021_310_978_564_831_416,
            0.039_996_027_796_823_16,
        ],
    );
    // With BCG and without, ill and well.
    let trials = [
        [4.0, 119.0, 11.0, 128.0],
        [6.0, 300.0, 29.0, 274.0],
        [3.0, 228.0, 11.0, 209.0],
        [62.0, 13536.0, 248.0, 12619.0],
        [33.0, 5036.0, 47.0, 5761.0],
        [180.0, 1361.0, 372.0, 1079.0],
        [8.0, 2537.0, 10.0, 619.0],
        [505.0, 87886.0, 499.0, 87892.0],
        [29.0, 7470.0, 45.0, 7232.0],
        [17.0, 1699.0, 65.0, 1600.0],
        [186.0, 50448.0, 141.0, 27197.0],
        [5.0, 2493.0, 3.0, 2338.0],
        [27.0, 16886.0, 29.0, 17825.0],
    ];
    let trials = trials.map(|[ill, well, others_ill, others_well]: [f64; 4]| {
        let (all, others) = (ill + well, others_ill + others_well);
        Estimate {
            value: (ill / all / (others_ill / others)).ln(),
            std_error: (1.0 / ill - 1.0 / all + 1.0 / others_ill - 1.0 / others).sqrt(),
        }
    });
    for (sites, estimate, std_error, tau_squared) in [
        (
            &slopes[..],
            -0.866_366_475_456_358_1,
            0.162_342_970_233_519_43,
            0.069_660_550_743_700_34,
        ),
        (
            &ages,
            54.222_201_709_079_57,
            2.399_449_320_134_076_7,
            22.669_401_356_695_14,
        ),
        (&odds, 0.047_977_025_752_599_6, 0.009_156_097_277_106_24, 0.0),
        (
            &trials,
            -0.714_532_342_190_543_2,
            0.179_781_516_187_039_2,
            0.313_243_258_490_668_3,
        ),
    ] {
        let found = pooled(sites, Model::Reml, 0.95).unwrap();
        // The likelihood is flat where it is largest: of its place, half of the digits are known.
        for (found, known, tolerance) in [
            (found.estimate, estimate, 1e-7),
            (found.std_error, std_error, 1e-6),
            (found.tau_squared, tau_squared, 1e-6),
        ] {
            assert!(
                (found - known).abs() <= tolerance * known.abs(),
                "{found} is not {known}"
            );
        }
    }
}
