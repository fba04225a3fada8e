//! Principal components from the covariances or correlations of all nodes' rows, as R's `prcomp`.
//!
//! | step | entries | what they are |
//! |---|---|---|
//! | 1 | 1, p | rows: a count; sums of the columns, of which a row adds at most 1 (columns are scaled by their declared bounds) |
//! | 2 | p (p + 1) / 2 | sums of products of what columns differ from their means, a packed triangle; a row adds at most 4 |
//!
//! The sign of a component is not in the data: here the largest loading, by its absolute value, is positive; the first of them if
//! there are several.

use nalgebra::{DMatrix, SymmetricEigen};
use serde::Serialize;
use terms::{Problem, Report};

use crate::frame::Frame;
use crate::points::{Measure, Measured, Moments, Points};
use crate::rounds::{Next, Rounds};

/// Loadings that differ by less than this are equally large for the rule of signs.
const EQUALLY_LARGE: f64 = 1e-9;

/// A principal component analysis.
#[derive(Clone, Debug)]
pub struct Pca {
    /// The variables.
    pub points: Points,
    /// What is decomposed.
    pub of: Of,
}

/// What is decomposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Of {
    /// The correlations: each variable divided by its standard deviation.
    #[default]
    Correlations,
    /// The covariances: variables in their units.
    Covariances,
}

/// What is known between two steps.
#[derive(Clone, Debug)]
pub struct State(Measure);

/// One component.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Component {
    /// The variance along it.
    pub eigenvalue: f64,
    /// Its share of the variance of all.
    pub explained: f64,
    /// How much of each variable is in it, in the order of the variables; squares sum to 1.
    pub loadings: Vec<f64>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fitted {
    /// The variables, as they were written.
    pub variables: Vec<String>,
    /// Their means.
    pub means: Vec<f64>,
    /// Their standard deviations.
    pub deviations: Vec<f64>,
    /// The components, the largest first.
    pub components: Vec<Component>,
    /// Rows of all nodes in which all variables are known.
    pub n: u64,
}

impl Rounds for Pca {
    type State = State;
    type Fitted = Fitted;

    fn start(&self) -> State {
        State(Measure::Means)
    }

    fn width(&self, state: &State) -> usize {
        state.0.width(&self.points)
    }

    fn add(&self, state: &State, frame: &Frame, into: &mut [f64]) {
        state.0.add(&self.points, frame, into);
    }

    fn next(&self, state: &State, sums: &[f64]) -> Result<Next<State, Fitted>, Report> {
        if sums.len() != self.width(state) {
            return Err(Problem::ModelProtocol.report("the sums of a step are not as many as they have to be"));
        }
        match state.0.next(&self.points, sums)? {
            Measured::Next(measure) => Ok(Next::Step(State(measure))),
            Measured::Done(moments) => Ok(Next::Done(self.fitted(&moments))),
        }
    }
}

impl Pca {
    fn fitted(&self, moments: &Moments) -> Fitted {
        let columns = &self.points.columns;
        let deviations = moments.deviations();
        let by = match self.of {
            Of::Correlations => deviations.clone(),
            Of::Covariances => columns.iter().map(|column| 1.0 / column.scale).collect(),
        };
        let components = eigen(&moments.matrix(&by));
        let total: f64 = components.iter().map(|(eigenvalue, _)| eigenvalue).sum();
        let in_units = |values: &[f64]| -> Vec<f64> {
            let values = values.iter().zip(columns);
            values.map(|(value, column)| value * column.scale).collect()
        };
        Fitted {
            variables: columns.iter().map(|column| column.name.clone()).collect(),
            means: in_units(&moments.means),
            deviations: in_units(&deviations),
            components: components
                .into_iter()
                .map(|(eigenvalue, loadings)| Component {
                    eigenvalue,
                    explained: eigenvalue / total,
                    loadings,
                })
                .collect(),
            n: moments.rows as u64,
        }
    }
}

/// The eigenvalues of a symmetric matrix of variances, the largest first, and their vectors by the rule of signs.
pub(crate) fn eigen(matrix: &[f64]) -> Vec<(f64, Vec<f64>)> {
    let size = matrix.len().isqrt();
    let found = SymmetricEigen::new(DMatrix::from_row_slice(size, size, matrix));
    let values = found.eigenvalues.iter().zip(found.eigenvectors.column_iter());
    let mut pairs: Vec<(f64, Vec<f64>)> = values
        .map(|(value, vector)| (value.max(0.0), signed(vector.iter().copied().collect())))
        .collect();
    pairs.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    pairs
}

fn signed(mut vector: Vec<f64>) -> Vec<f64> {
    let largest = vector.iter().map(|x| x.abs()).fold(0.0, f64::max);
    let first = vector.iter().find(|x| x.abs() > largest - EQUALLY_LARGE);
    if first.is_some_and(|first| *first < 0.0) {
        vector.iter_mut().for_each(|x| *x = -*x);
    }
    vector
}

#[cfg(test)]
mod tests;
