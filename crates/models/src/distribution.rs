//! Tails and quantiles of the distributions that tests compare with. `statrs` computes them; here are the questions that tests ask.

use statrs::distribution::{ChiSquared, ContinuousCDF, FisherSnedecor, Gamma, Normal, StudentsT};

/// The share of a normal distribution that is farther from its middle than `z`, on both sides.
pub fn normal_two_sided(z: f64) -> f64 {
    2.0 * Normal::standard().sf(z.abs())
}

/// The number below which a share of a normal distribution lies.
pub fn normal_quantile(share: f64) -> f64 {
    Normal::standard().inverse_cdf(share)
}

/// The share of Student's t distribution that is farther from its middle than `t`; none if `df` is not positive.
pub fn t_two_sided(t: f64, df: f64) -> Option<f64> {
    Some(2.0 * StudentsT::new(0.0, 1.0, df).ok()?.sf(t.abs()))
}

/// The number below which a share of Student's t distribution lies; none if `df` is not positive.
pub fn t_quantile(share: f64, df: f64) -> Option<f64> {
    Some(StudentsT::new(0.0, 1.0, df).ok()?.inverse_cdf(share))
}

/// The share of a chi-squared distribution above `x`; none if `df` is not positive.
pub fn chi_squared_above(x: f64, df: f64) -> Option<f64> {
    Some(ChiSquared::new(df).ok()?.sf(x))
}

/// The share of Fisher's F distribution above `f`; none if a number of degrees of freedom is not positive.
pub fn f_above(f: f64, df_between: f64, df_within: f64) -> Option<f64> {
    Some(FisherSnedecor::new(df_between, df_within).ok()?.sf(f))
}

/// The number below which a share of a gamma distribution of this shape and scale 1 lies; none if the shape is not positive.
pub fn gamma_quantile(share: f64, shape: f64) -> Option<f64> {
    Some(Gamma::new(shape, 1.0).ok()?.inverse_cdf(share))
}

#[cfg(test)]
mod tests;
