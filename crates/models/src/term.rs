//! One line of a table of results, as R and statsmodels print them.

use serde::Serialize;

/// An estimate with what is known of its error.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Term {
    /// What is estimated.
    pub term: String,
    /// The estimate.
    pub estimate: f64,
    /// Its standard error, on the same scale.
    pub std_error: f64,
    /// The estimate by its standard error.
    pub statistic: f64,
    /// The two-sided p-value of the statistic.
    pub p: f64,
    /// The lower end of the confidence interval.
    pub ci_low: f64,
    /// The upper end of the confidence interval.
    pub ci_high: f64,
}
