//! Ridge, lasso and elastic net (Zou and Hastie 2005): a generalised linear model whose coefficients are drawn to 0, along a path of
//! penalties, as R's `glmnet` states it.
//!
//! What is least at each λ is −(log-likelihood) / n + λ Σ (α |s β| + (1 − α) / 2 · (s β)²), with s a column's standard deviation over n
//! and the constant without a penalty; for Gaussian responses the first part is the sum of squares over 2 n. Each step adds up what a
//! step of `glm.rs` adds up; the one who adds finds the least of the quadratic approximation by coordinate descent (Friedman, Hastie
//! and Tibshirani 2010). There are no standard errors: coefficients so drawn have none that would be worth the name.
//!
//! | step | entries | what they are |
//! |---|---|---|
//! | 1 | 1, levels | rows, rows of each level: counts |
//! | 2 | 1, 1, 1 | rows: a count; sum of weights; of weighted responses |
//! | | p, p | sums of x and x², weighted; a row adds at most its weight |
//! | 3 and on | | as the steps of `glm.rs`: rows, XᵀWX, score, deviance and sums for the log-likelihood |

use serde::Serialize;
use terms::{Problem, Report};

use super::{At, BLOCK_ROWS, Block, Glm, HALVINGS_MAX};
use crate::design::{Design, DesignColumn};
use crate::family::Family;
use crate::frame::Frame;
use crate::rounds::{Next, Rounds};
use crate::solve::{packed, packed_len};

/// As [`super::DECREMENT_MAX`].
const DECREMENT_MAX: f64 = 1e-14;

/// Coordinate descent ends when no coefficient moves the quadratic approximation by more than this.
const DESCENT_MIN: f64 = 1e-22;

/// Most sweeps over the coefficients.
const SWEEPS_MAX: usize = 100_000;

/// Most penalties of a path.
const PENALTIES_MAX: usize = 100;

/// A column counts as constant if its variance is less than this share of its mean square.
const VARIES_MIN: f64 = 1e-11;

/// A penalised model.
#[derive(Clone, Debug)]
pub struct Penalised {
    glm: Glm,
    mixing: f64,
    lambdas: Vec<f64>,
}

/// What is known between two steps.
#[derive(Clone, Debug)]
pub struct State {
    steps: u32,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Levels,
    Moments(Vec<bool>),
    Path(Known, Along),
}

#[derive(Clone, Debug)]
struct Known {
    has_rows: Vec<bool>,
    rows: f64,
    weights: f64,
    /// Of the columns; the constant, which comes first, has a deviation of 0 and so no penalty.
    means: Vec<f64>,
    deviations: Vec<f64>,
}

/// How far the path is gone.
#[derive(Clone, Debug)]
struct Along {
    coefficients: Vec<f64>,
    /// Where they were, and what was to be least there.
    before: Option<(Vec<f64>, f64)>,
    halvings: u32,
    points: Vec<Point>,
}

/// One coefficient.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Coefficient {
    /// As in [`super::Term`].
    pub term: String,
    /// In the units of its column; exactly 0 where the penalty leaves the term out.
    pub estimate: f64,
}

/// The model at one penalty.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The penalty.
    pub lambda: f64,
    /// The coefficients, in the order of the formula.
    pub terms: Vec<Coefficient>,
    /// Terms other than the constant whose coefficient is not 0.
    pub nonzero: usize,
    /// Deviance, without the penalty.
    pub deviance: f64,
}

/// A path that was fitted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fitted {
    /// 0 is ridge, 1 is lasso.
    pub mixing: f64,
    /// From the largest penalty to the smallest.
    pub path: Vec<Point>,
    /// Rows of all nodes.
    pub n: u64,
    /// Steps of all nodes.
    pub steps: u32,
    /// Levels that no row of any node has; they have no coefficient.
    pub empty_levels: Vec<String>,
}

impl Penalised {
    /// A model of this family along these penalties; `mixing` is α.
    ///
    /// # Errors
    /// `E_MODEL_FORMULA` for another family than Gaussian, binomial and Poisson, without a constant, for an α that is not from 0 to 1 and
    /// for penalties that are not above 0.
    pub fn new(family: Family, design: Design, mixing: f64, mut lambdas: Vec<f64>) -> Result<Self, Report> {
        let wrong = |message: &str| Err(Problem::ModelFormula.report(message));
        if !matches!(family, Family::Gaussian | Family::Binomial | Family::Poisson) {
            return wrong("there is a penalised model for the families gaussian, binomial and poisson only");
        }
        if !design.columns.first().is_some_and(|column| column.factors.is_empty()) {
            return wrong("a penalised model needs its constant");
        }
        if !(0.0..=1.0).contains(&mixing) {
            return wrong("what mixes the penalties must be from 0 (ridge) to 1 (lasso)");
        }
        if lambdas.is_empty() || lambdas.len() > PENALTIES_MAX || !lambdas.iter().all(|l| l.is_finite() && *l > 0.0) {
            return wrong(&format!("there must be 1 to {PENALTIES_MAX} penalties, all above 0"));
        }
        lambdas.sort_by(|a, b| b.total_cmp(a));
        lambdas.dedup();
        Ok(Self {
            glm: Glm::new(family, None, design)?,
            mixing,
            lambdas,
        })
    }

    /// What the model matrix has.
    pub fn design(&self) -> &Design {
        &self.glm.design
    }

    fn columns<'a>(&'a self, has_rows: &'a [bool]) -> Vec<&'a DesignColumn> {
        self.glm.design.columns_of(has_rows).collect()
    }
}

impl Rounds for Penalised {
    type State = State;
    type Fitted = Fitted;

    fn start(&self) -> State {
        State {
            steps: 0,
            phase: Phase::Levels,
        }
    }

    fn width(&self, state: &State) -> usize {
        match &state.phase {
            Phase::Levels => 1 + self.glm.design.levels.len(),
            Phase::Moments(has_rows) => 3 + 2 * self.columns(has_rows).len(),
            Phase::Path(known, _) => Glm::width_of_products(known.means.len()),
        }
    }

    fn width_max(&self) -> Option<usize> {
        let of_moments = 3 + 2 * self.glm.design.columns.len();
        self.glm.width_max().map(|width| width.max(of_moments))
    }

    fn add(&self, state: &State, frame: &Frame, into: &mut [f64]) {
        match &state.phase {
            Phase::Levels => self.glm.add_levels(frame, into),
            Phase::Moments(has_rows) => self.add_moments(has_rows, frame, into),
            Phase::Path(known, along) => {
                let at = At::Coefficients(&along.coefficients);
                self.glm.add_products(&known.has_rows, at, frame, into);
            }
        }
    }

    fn pulls(&self, state: &State) -> usize {
        match &state.phase {
            Phase::Levels | Phase::Moments(_) => 0,
            Phase::Path(..) => self.glm.pulls(),
        }
    }

    fn each_pull(&self, state: &State, frame: &Frame, with: &mut dyn FnMut(&[f64])) {
        if let Phase::Path(known, along) = &state.phase {
            let at = At::Coefficients(&along.coefficients);
            self.glm.each_pull_at(&known.has_rows, at, frame, with);
        }
    }

    fn next(&self, state: &State, sums: &[f64]) -> Result<Next<State, Fitted>, Report> {
        if sums.len() != self.width(state) {
            return Err(Problem::ModelProtocol.report("the sums of a step are not as many as they have to be"));
        }
        let steps = state.steps + 1;
        let phase = match &state.phase {
            Phase::Levels => Phase::Moments(sums[1..].iter().map(|rows| *rows > 0.5).collect()),
            Phase::Moments(has_rows) => self.after_moments(has_rows, sums)?,
            Phase::Path(known, along) => {
                let along = self.after_step(known, along, sums)?;
                if along.points.len() == self.lambdas.len() {
                    return Ok(Next::Done(Fitted {
                        mixing: self.mixing,
                        path: along.points,
                        n: known.rows as u64,
                        steps,
                        empty_levels: self.glm.design.empty_levels(&known.has_rows),
                    }));
                }
                Phase::Path(known.clone(), along)
            }
        };
        Ok(Next::Step(State { steps, phase }))
    }
}

impl Penalised {
    fn add_moments(&self, has_rows: &[bool], frame: &Frame, into: &mut [f64]) {
        let columns = self.columns(has_rows);
        let mut block = Block::new(columns.len());
        let (head, sums) = into.split_at_mut(3);
        for from in (0..frame.rows).step_by(BLOCK_ROWS) {
            let rows = BLOCK_ROWS.min(frame.rows - from);
            block.read(&self.glm.design, &columns, frame, from, rows);
            let weights = &block.weight[..rows];
            for (y, weight) in block.response.iter().zip(weights) {
                head[0] += 1.0;
                head[1] += weight;
                head[2] += weight * y;
            }
            for (column, sums) in block.matrix.chunks_exact(BLOCK_ROWS).zip(sums.chunks_exact_mut(2)) {
                for (x, weight) in column.iter().zip(weights) {
                    sums[0] += weight * x;
                    sums[1] += weight * x * x;
                }
            }
        }
    }

    fn after_moments(&self, has_rows: &[bool], sums: &[f64]) -> Result<Phase, Report> {
        let columns = self.columns(has_rows);
        let (rows, weights, responses) = (sums[0].round(), sums[1], sums[2]);
        if rows < 2.0 {
            return Err(Problem::ModelData.report(format!("there are only {rows} rows in which all columns are known")));
        }
        if let Some(what) = self.glm.family.is_constant(responses, weights) {
            return Err(Problem::ModelData.report(format!("the response is {what} in every row")));
        }
        let of_columns = sums[3..].chunks_exact(2);
        let means: Vec<f64> = of_columns.clone().map(|sums| sums[0] / weights).collect();
        let variances = of_columns.zip(&means).map(|(sums, mean)| {
            let (square, of_mean) = (sums[1] / weights, mean * mean);
            if square - of_mean > VARIES_MIN * square {
                square - of_mean
            } else {
                0.0
            }
        });
        let deviations: Vec<f64> = variances.map(f64::sqrt).collect();
        if let Some(at) = (1..columns.len()).find(|at| deviations[*at] == 0.0) {
            let name = &columns[at].name;
            return Err(Problem::ModelSingular
                .report(format!("{name} is the same in every row"))
                .remedy(format!("leave out {name}")));
        }
        let mut coefficients = vec![0.0; columns.len()];
        coefficients[0] = self.glm.link.of_mean(responses / weights);
        let known = Known {
            has_rows: has_rows.to_vec(),
            rows,
            weights,
            means,
            deviations,
        };
        let along = Along {
            coefficients,
            before: None,
            halvings: 0,
            points: Vec::new(),
        };
        Ok(Phase::Path(known, along))
    }

    /// Goes on from the sums at a place: to the next place, and on along the path for as long as the place is where a penalty ends.
    fn after_step(&self, known: &Known, along: &Along, sums: &[f64]) -> Result<Along, Report> {
        let columns = self.columns(&known.has_rows);
        let (vector, tail) = Glm::place_of_products(columns.len());
        let deviance = sums[tail];
        let least = |lambda: f64| deviance / 2.0 + known.penalty(self.mixing, lambda, &along.coefficients);
        let lambda = self.lambdas[along.points.len()];
        let is_better = along
            .before
            .as_ref()
            .is_none_or(|(_, before)| least(lambda) <= before + 1e-8 * (before.abs() + 0.1));
        if !(deviance.is_finite() && is_better) {
            return along.halved();
        }
        let quadratic = Quadratic::new(&sums[1..vector], &sums[vector..tail], &known.means);
        // A Gaussian response has a scale of its own.
        let scale = match self.glm.family {
            Family::Gaussian => (deviance / known.weights).max(f64::MIN_POSITIVE),
            _ => 1.0,
        };
        let mut points = along.points.clone();
        while let Some(lambda) = self.lambdas.get(points.len()) {
            let to = quadratic.least(known, self.mixing, *lambda, &along.coefficients, scale)?;
            if quadratic.decrement(&along.coefficients, &to) > DECREMENT_MAX * scale {
                return Ok(Along {
                    before: Some((along.coefficients.clone(), least(*lambda))),
                    coefficients: to,
                    halvings: 0,
                    points,
                });
            }
            points.push(point(*lambda, &columns, &to, deviance));
        }
        Ok(Along {
            points,
            ..along.clone()
        })
    }
}

fn point(lambda: f64, columns: &[&DesignColumn], coefficients: &[f64], deviance: f64) -> Point {
    let terms = columns
        .iter()
        .zip(coefficients)
        .map(|(column, coefficient)| Coefficient {
            term: column.name.clone(),
            estimate: coefficient / column.scale,
        });
    Point {
        lambda,
        terms: terms.collect(),
        nonzero: coefficients[1..].iter().filter(|b| **b != 0.0).count(),
        deviance,
    }
}

impl Along {
    /// Half the way back to the place before.
    fn halved(&self) -> Result<Self, Report> {
        let Some((before, _)) = self.before.as_ref().filter(|_| self.halvings < HALVINGS_MAX) else {
            return Err(Problem::ModelSteps.report("the deviance and its penalty do not fall any more"));
        };
        let halfway = self.coefficients.iter().zip(before);
        Ok(Self {
            coefficients: halfway.map(|(b, a)| f64::midpoint(*a, *b)).collect(),
            halvings: self.halvings + 1,
            ..self.clone()
        })
    }
}

impl Known {
    /// How a penalty weighs on a coefficient: its absolute value, and half its square.
    fn weights_of(&self, mixing: f64, lambda: f64, at: usize) -> (f64, f64) {
        let (all, deviation) = (self.weights * lambda, self.deviations[at]);
        (all * mixing * deviation, all * (1.0 - mixing) * deviation * deviation)
    }

    fn penalty(&self, mixing: f64, lambda: f64, coefficients: &[f64]) -> f64 {
        let of = coefficients.iter().enumerate().map(|(at, b)| {
            let (absolute, square) = self.weights_of(mixing, lambda, at);
            absolute * b.abs() + square * b * b / 2.0
        });
        of.sum()
    }
}

/// The log-likelihood near a place, with each column less its mean, so that they hang together with the constant as little as can be.
struct Quadratic {
    size: usize,
    /// By rows.
    curvature: Vec<f64>,
    slope: Vec<f64>,
    means: Vec<f64>,
}

impl Quadratic {
    fn new(products: &[f64], score: &[f64], means: &[f64]) -> Self {
        let size = score.len();
        debug_assert_eq!(products.len(), packed_len(size));
        // The constant stays as it is.
        let means: Vec<f64> = (0..size).map(|at| if at == 0 { 0.0 } else { means[at] }).collect();
        let h = |row: usize, column: usize| products[packed(row.min(column), row.max(column))];
        let curvature = (0..size * size).map(|at| {
            let (row, column) = (at / size, at % size);
            h(row, column) - means[row] * h(0, column) - means[column] * h(row, 0)
                + means[row] * means[column] * h(0, 0)
        });
        Self {
            size,
            curvature: curvature.collect(),
            slope: score.iter().zip(&means).map(|(u, mean)| u - mean * score[0]).collect(),
            means,
        }
    }

    /// The coefficients at which it is least together with the penalty.
    fn least(&self, known: &Known, mixing: f64, lambda: f64, from: &[f64], scale: f64) -> Result<Vec<f64>, Report> {
        let mut b = self.centred(from);
        let mut slope = self.slope.clone();
        for _ in 0..SWEEPS_MAX {
            let mut moved: f64 = 0.0;
            for at in 0..self.size {
                let row = &self.curvature[at * self.size..][..self.size];
                let (absolute, square) = known.weights_of(mixing, lambda, at);
                let pulled = slope[at] + row[at] * b[at];
                let shrunk = (pulled.abs() - absolute).max(0.0).copysign(pulled);
                let to = if shrunk == 0.0 {
                    0.0
                } else {
                    shrunk / (row[at] + square)
                };
                let by = to - b[at];
                if by != 0.0 {
                    b[at] = to;
                    slope.iter_mut().zip(row).for_each(|(slope, h)| *slope -= h * by);
                    moved = moved.max(by * by * row[at]);
                }
            }
            if moved <= DESCENT_MIN * scale {
                return Ok(self.uncentred(b));
            }
        }
        let message = "the columns are so nearly combinations of each other that the coefficients do not come to rest";
        Err(Problem::ModelSteps
            .report(message)
            .remedy("leave out a term, or take larger penalties"))
    }

    /// How much the way from one place to another is, in the curvature.
    fn decrement(&self, from: &[f64], to: &[f64]) -> f64 {
        let (from, to) = (self.centred(from), self.centred(to));
        let by: Vec<f64> = to.iter().zip(from).map(|(to, from)| to - from).collect();
        let rows = self.curvature.chunks_exact(self.size).zip(&by);
        rows.map(|(row, by_row)| by_row * row.iter().zip(&by).map(|(h, by)| h * by).sum::<f64>())
            .sum()
    }

    fn centred(&self, coefficients: &[f64]) -> Vec<f64> {
        let mut b = coefficients.to_vec();
        b[0] += self.of_means(coefficients);
        b
    }

    fn uncentred(&self, mut b: Vec<f64>) -> Vec<f64> {
        b[0] -= self.of_means(&b);
        b
    }

    fn of_means(&self, coefficients: &[f64]) -> f64 {
        coefficients.iter().zip(&self.means).map(|(b, mean)| b * mean).sum()
    }
}

#[cfg(test)]
mod tests;
