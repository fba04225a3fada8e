use super::*;

fn near(found: f64, known: f64) {
    assert!(
        (found - known).abs() <= 1e-10 * known.abs().max(1.0),
        "{found} is not {known}"
    );
}

fn moments(numbers: &[f64]) -> Moments {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Moments { n, mean, variance }
}

#[test]
fn one_number_and_numbers_that_do_not_vary_make_no_test() {
    let (one, same, some) = (moments(&[1.0]), moments(&[2.0, 2.0]), moments(&[1.0, 3.0]));
    assert_eq!(welch(&one, &some, 0.95), None);
    assert_eq!(student(&some, &one, 0.95), None);
    assert_eq!(welch(&same, &same, 0.95), None);
    assert_eq!(anova(&[some]), None);
    assert_eq!(anova(&[same, same]), None);
    assert_eq!(mann_whitney(&[[3.0, 4.0]]), None);
    assert_eq!(mann_whitney(&[[3.0, 0.0], [1.0, 0.0]]), None);
    assert_eq!(kruskal_wallis(&[vec![3.0, 4.0]]), None);
    assert_eq!(kruskal_wallis(&[]), None);
}

/// R's data `sleep`, with `scipy.stats.ttest_ind`; the analysis of variance of two groups has the square of t.
#[test]
fn the_sleep_data_have_the_tests_that_r_computes() {
    let a = moments(&[0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]);
    let b = moments(&[1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]);
    let test = welch(&a, &b, 0.95).unwrap();
    near(test.t, -1.860_813_467_486_853);
    near(test.df, 17.776_473_516_178_488);
    near(test.p, 0.079_394_140_187_358_3);
    near(test.ci[0], -3.365_483_230_711_710_4);
    near(test.ci[1], 0.205_483_230_711_711_37);
    let test = student(&a, &b, 0.95).unwrap();
    near(test.p, 0.079_186_714_215_938_22);
    let anova = anova(&[a, b]).unwrap();
    near(anova.f, test.t.powi(2));
    near(anova.p, test.p);
}

/// Against every pair, one by one.
#[test]
fn u_counts_pairs_and_lies_within_its_error_of_the_exact_one() {
    let (a, b) = ([1.0, 4.0, 4.5, 8.0, 9.0], [2.0, 3.0, 4.2, 7.0]);
    let exact: f64 = a.iter().flat_map(|x| b.iter().map(move |y| f64::from(x > y))).sum();
    let bin = |numbers: &[f64], low: f64| numbers.iter().filter(|x| (low..low + 3.0).contains(*x)).count() as f64;
    let bins: Vec<[f64; 2]> = [0.0, 3.0, 6.0, 9.0]
        .iter()
        .map(|low| [bin(&a, *low), bin(&b, *low)])
        .collect();
    let test = mann_whitney(&bins).unwrap();
    assert!((test.u - exact).abs() <= test.u_error, "{test:?} {exact}");
    assert!(test.u_error > 0.0);
    let singly: Vec<[f64; 2]> = {
        let mut all: Vec<(f64, [f64; 2])> = a
            .iter()
            .map(|x| (*x, [1.0, 0.0]))
            .chain(b.iter().map(|x| (*x, [0.0, 1.0])))
            .collect();
        all.sort_by(|x, y| x.0.total_cmp(&y.0));
        all.into_iter().map(|(_, bin)| bin).collect()
    };
    let test = mann_whitney(&singly).unwrap();
    assert_eq!((test.u, test.u_error), (exact, 0.0));
}

/// With two groups H is the square of z without the correction for continuity.
#[test]
fn two_groups_have_the_same_ranks_in_both_tests() {
    let bins = [[3.0, 1.0], [2.0, 2.0], [1.0, 4.0]];
    let several = kruskal_wallis(&bins.map(Vec::from)).unwrap();
    let two = mann_whitney(&bins).unwrap();
    let [na, nb] = [6.0, 7.0];
    let uncorrected = (two.u - na * nb / 2.0).abs() / ((two.u - na * nb / 2.0).abs() - 0.5) * two.z;
    near(several.h, uncorrected.powi(2));
}
