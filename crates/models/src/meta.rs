//! Meta-analysis: one estimate of several, each with its standard error; fixed effect, and random effects in two ways.

use serde::Serialize;

use crate::distribution::{chi_squared_above, normal_quantile, normal_two_sided};

/// What one site estimates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its standard error.
    pub std_error: f64,
}

/// How estimates are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// All sites estimate the same number.
    Fixed,
    /// Sites differ, by DerSimonian and Laird's estimate of their variance (1986).
    DerSimonianLaird,
    /// Sites differ, by restricted maximum likelihood (as R's `metafor::rma`).
    Reml,
}

/// One estimate of several.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pooled {
    /// How it was made.
    pub model: Model,
    /// The estimate.
    pub estimate: f64,
    /// Its standard error.
    pub std_error: f64,
    /// The estimate by its standard error.
    pub z: f64,
    /// The two-sided p-value.
    pub p: f64,
    /// The ends of its confidence interval, by the normal distribution.
    pub ci: [f64; 2],
    /// The variance between sites; 0 of a fixed effect.
    pub tau_squared: f64,
    /// The share of each site in the estimate.
    pub weights: Vec<f64>,
}

/// How much sites differ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Heterogeneity {
    /// Cochran's Q.
    pub q: f64,
    /// Its degrees of freedom.
    pub df: f64,
    /// Its p-value.
    pub p: f64,
    /// The share of Q beyond chance, from 0 to 1 (Higgins and Thompson 2002).
    pub i_squared: f64,
}

/// Puts estimates together. None with fewer than two, or if a standard error is not a positive number.
pub fn pooled(sites: &[Estimate], model: Model, confidence: f64) -> Option<Pooled> {
    if sites.len() < 2 || sites.iter().any(|site| !is_usable(site)) {
        return None;
    }
    let tau_squared = match model {
        Model::Fixed => 0.0,
        Model::DerSimonianLaird => dersimonian_laird(sites),
        Model::Reml => reml(sites),
    };
    let Weighted { sum, mean, weights } = weighted(sites, tau_squared);
    let std_error = (1.0 / sum).sqrt();
    let reach = normal_quantile(0.5 + confidence / 2.0) * std_error;
    Some(Pooled {
        model,
        estimate: mean,
        std_error,
        z: mean / std_error,
        p: normal_two_sided(mean / std_error),
        ci: [mean - reach, mean + reach],
        tau_squared,
        weights: weights.iter().map(|weight| weight / sum).collect(),
    })
}

fn is_usable(site: &Estimate) -> bool {
    site.value.is_finite() && site.std_error.is_finite() && site.std_error > 0.0
}

/// Cochran's Q and what follows from it. None as for [`pooled`].
pub fn heterogeneity(sites: &[Estimate]) -> Option<Heterogeneity> {
    if sites.len() < 2 || sites.iter().any(|site| !is_usable(site)) {
        return None;
    }
    let (q, df) = (cochran(sites), sites.len() as f64 - 1.0);
    Some(Heterogeneity {
        q,
        df,
        p: chi_squared_above(q, df)?,
        i_squared: if q > 0.0 { ((q - df) / q).max(0.0) } else { 0.0 },
    })
}

struct Weighted {
    sum: f64,
    mean: f64,
    weights: Vec<f64>,
}

/// The average, each site weighted by its precision when sites have this variance.
fn weighted(sites: &[Estimate], tau_squared: f64) -> Weighted {
    let weights: Vec<f64> = sites
        .iter()
        .map(|site| 1.0 / (site.std_error.powi(2) + tau_squared))
        .collect();
    let sum: f64 = weights.iter().sum();
    let mean = weights
        .iter()
        .zip(sites)
        .map(|(weight, site)| weight * site.value)
        .sum::<f64>()
        / sum;
    Weighted { sum, mean, weights }
}

fn cochran(sites: &[Estimate]) -> f64 {
    let Weighted { mean, weights, .. } = weighted(sites, 0.0);
    weights
        .iter()
        .zip(sites)
        .map(|(weight, site)| weight * (site.value - mean).powi(2))
        .sum()
}

fn dersimonian_laird(sites: &[Estimate]) -> f64 {
    let Weighted { sum, weights, .. } = weighted(sites, 0.0);
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    let df = sites.len() as f64 - 1.0;
    ((cochran(sites) - df) / (sum - squares / sum)).max(0.0)
}

/// Where the restricted likelihood is largest: where its slope is zero, or at 0 if it falls from there.
fn reml(sites: &[Estimate]) -> f64 {
    if slope(sites, 0.0) <= 0.0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, sites.iter().map(|site| site.std_error.powi(2)).sum::<f64>());
    while slope(sites, high) > 0.0 {
        (low, high) = (high, high * 2.0);
    }
    // Halving ends when no number is between.
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return middle;
        }
        match slope(sites, middle) > 0.0 {
            true => low = middle,
            false => high = middle,
        }
    }
}

/// Twice the slope of the restricted log-likelihood (Viechtbauer 2005, equation 11).
fn slope(sites: &[Estimate], tau_squared: f64) -> f64 {
    let Weighted { sum, mean, weights } = weighted(sites, tau_squared);
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    let off = weights
        .iter()
        .zip(sites)
        .map(|(weight, site)| (weight * (site.value - mean)).powi(2));
    off.sum::<f64>() - sum + squares / sum
}

#[cfg(test)]
mod tests;
