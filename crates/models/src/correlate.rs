//! What a correlation coefficient says: its test and its interval.

use serde::Serialize;

use crate::distribution::{normal_quantile, t_two_sided};

/// A Pearson correlation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Correlation {
    /// The coefficient.
    pub r: f64,
    /// Rows in which both columns are known.
    pub n: f64,
    /// The statistic r √((n−2)/(1−r²)).
    pub t: f64,
    /// Its two-sided p-value, with n − 2 degrees of freedom (R's `cor.test`).
    pub p: f64,
    /// The ends of the confidence interval, by Fisher's transformation (1915); none with fewer than four rows.
    pub ci: Option<[f64; 2]>,
}

/// Tests a correlation of `n` rows. None with fewer than three rows, or if it is none.
pub fn correlation(r: f64, n: f64, confidence: f64) -> Option<Correlation> {
    if n < 3.0 || r.is_nan() {
        return None;
    }
    let r = r.clamp(-1.0, 1.0);
    let df = n - 2.0;
    let t = r * (df / (1.0 - r * r)).sqrt();
    let p = if t.is_infinite() { 0.0 } else { t_two_sided(t, df)? };
    let reach = normal_quantile(0.5 + confidence / 2.0) / (n - 3.0).sqrt();
    let ci = (n > 3.0 && r.abs() < 1.0).then(|| [-reach, reach].map(|reach| (r.atanh() + reach).tanh()));
    Some(Correlation { r, n, t, p, ci })
}

#[cfg(test)]
mod tests;
