//! What a Cox regression says at its end.

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

use super::risk::Partial;
use super::{Cox, Known};
use crate::solve::{Cholesky, packed};
use crate::term::Term;

/// Where a regression ended, on the scale of the model matrix.
#[derive(Clone, Debug)]
pub(super) struct Solution {
    pub(super) coefficients: Vec<f64>,
    pub(super) information: Vec<f64>,
    pub(super) inverse: Vec<f64>,
    pub(super) log_likelihood: f64,
    pub(super) log_likelihood_null: f64,
    pub(super) score: f64,
}

/// One coefficient, and the ratio of hazards that it means.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HazardTerm {
    /// The logarithm of the hazard ratio, with its Wald test and interval.
    #[serde(flatten)]
    pub term: Term,
    /// exp of the estimate.
    pub hazard_ratio: f64,
    /// Its 95 % interval.
    pub hazard_ratio_low: f64,
    /// Its 95 % interval.
    pub hazard_ratio_high: f64,
}

/// A χ² test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Test {
    /// χ²
    pub chi2: f64,
    /// Degrees of freedom.
    pub df: u32,
    /// The probability of so much or more.
    pub p: f64,
}

/// Whether the hazards of a term stay in proportion over the time: the score test of x · g(t), as R's `cox.zph`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proportional {
    /// The term as it was written; `GLOBAL` for all together.
    pub term: String,
    /// Small p: they do not. None if there are too few events to say.
    #[serde(flatten)]
    pub test: Option<Test>,
}

/// A regression that was fitted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fitted {
    /// The coefficients, in the order of the formula.
    pub terms: Vec<HazardTerm>,
    /// Their covariances, by rows, from the inverse information.
    pub covariance: Vec<Vec<f64>>,
    /// Rows of all nodes in which all columns are known.
    pub n: u64,
    /// Events among them.
    pub events: u64,
    /// Log partial likelihood.
    pub log_likelihood: f64,
    /// The same where all coefficients are 0.
    pub log_likelihood_null: f64,
    /// Whether all coefficients are 0, by the likelihood ratio.
    pub likelihood_ratio: Test,
    /// The same after Wald.
    pub wald: Test,
    /// The same by the score: the log-rank test, if the model has one factor.
    pub score: Test,
    /// Whether hazards are in proportion, for each term and for all, if it was asked for.
    pub proportional: Option<Vec<Proportional>>,
    /// Steps of all nodes.
    pub steps: u32,
    /// Levels that no row of any node has; they have no coefficient.
    pub empty_levels: Vec<String>,
}

impl Test {
    fn new(chi2: f64, df: usize) -> Self {
        let distribution = ChiSquared::new(df as f64);
        Self {
            chi2,
            df: df as u32,
            p: distribution.map_or(f64::NAN, |distribution| distribution.sf(chi2)),
        }
    }
}

impl HazardTerm {
    fn new(term: String, estimate: f64, std_error: f64) -> Self {
        let normal = Normal::standard();
        let statistic = estimate / std_error;
        let far = normal.inverse_cdf(0.975) * std_error;
        let (ci_low, ci_high) = (estimate - far, estimate + far);
        Self {
            hazard_ratio: estimate.exp(),
            hazard_ratio_low: ci_low.exp(),
            hazard_ratio_high: ci_high.exp(),
            term: Term {
                term,
                estimate,
                std_error,
                statistic,
                p: 2.0 * normal.sf(statistic.abs()),
                ci_low,
                ci_high,
            },
        }
    }
}

impl Cox {
    pub(super) fn fitted(
        &self,
        known: &Known,
        solution: &Solution,
        proportional: Option<Vec<Proportional>>,
        steps: u32,
    ) -> Fitted {
        let columns = self.columns(known);
        let size = columns.len();
        let Solution {
            coefficients,
            information,
            inverse,
            log_likelihood,
            log_likelihood_null,
            score,
        } = solution;
        let covariance =
            |row: usize, column: usize| inverse[row * size + column] / (columns[row].scale * columns[column].scale);
        let terms = columns.iter().enumerate().map(|(at, column)| {
            let estimate = coefficients[at] / column.scale;
            HazardTerm::new(column.name.clone(), estimate, covariance(at, at).sqrt())
        });
        let rows_of = |row: usize| (0..size).map(|column| covariance(row, column)).collect();
        Fitted {
            terms: terms.collect(),
            covariance: (0..size).map(rows_of).collect(),
            n: known.rows as u64,
            events: known.events as u64,
            log_likelihood: *log_likelihood,
            log_likelihood_null: *log_likelihood_null,
            likelihood_ratio: Test::new(2.0 * (log_likelihood - log_likelihood_null), size),
            wald: Test::new(quadratic(information, coefficients), size),
            score: Test::new(*score, size),
            proportional,
            steps,
            empty_levels: self.survival.design.empty_levels(&known.has_rows),
        }
    }

    /// For each term, whether x · g(t) of its columns would have a coefficient beside x of all; then for all columns.
    pub(super) fn proportional(&self, known: &Known, partial: &Partial) -> Vec<Proportional> {
        let columns = self.columns(known);
        let of_term =
            |term: usize| -> Vec<usize> { (0..columns.len()).filter(|at| columns[*at].term == term).collect() };
        let terms = self.survival.terms.iter().enumerate();
        let terms = terms.map(|(at, term)| (term.clone(), of_term(at + 1)));
        let terms = terms.filter(|(_, of)| !of.is_empty());
        let all = ("GLOBAL".to_owned(), (0..columns.len()).collect());
        let tests = terms.chain([all]).map(|(term, of)| Proportional {
            term,
            test: partial.score_test(&of),
        });
        tests.collect()
    }
}

impl Partial {
    /// The score test of x · g(t) for these columns, beside x of all columns. None if they follow from those: there are too few events.
    fn score_test(&self, of: &[usize]) -> Option<Test> {
        let size = self.score.len();
        let of_packed =
            |triangle: &[f64], row: usize, column: usize| triangle[packed(row.min(column), row.max(column))];
        let mut information = self.information.clone();
        for (at, column) in of.iter().enumerate() {
            information.extend((0..size).map(|row| of_packed(&self.mixed, row, *column)));
            information.extend(
                of[..=at]
                    .iter()
                    .map(|row| of_packed(&self.information_g, *row, *column)),
            );
        }
        let of_g = of.iter().map(|column| self.score_g[*column]);
        let score: Vec<f64> = self.score.iter().copied().chain(of_g).collect();
        let solved = Cholesky::new(&information, score.len()).ok()?.solve(&score);
        let chi2: f64 = solved.iter().zip(&score).map(|(a, b)| a * b).sum();
        Some(Test::new(chi2, of.len()))
    }
}

/// xᵀ A x of a packed triangle.
fn quadratic(matrix: &[f64], x: &[f64]) -> f64 {
    let mut sum = 0.0;
    for column in 0..x.len() {
        for row in 0..=column {
            let times = if row == column { 1.0 } else { 2.0 };
            sum += times * matrix[packed(row, column)] * x[row] * x[column];
        }
    }
    sum
}
