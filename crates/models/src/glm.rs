//! Generalised linear models by iteratively reweighted least squares, of which each step adds up XᵀWX and the score over the rows of all
//! nodes (McCullagh and Nelder, *Generalized Linear Models*, 2nd ed. 1989, 2.5).
//!
//! Weights and deviance are those of R's `glm.fit`, but not its start, in which weights are a function of the responses. Three kinds of
//! steps: rows for each level of each factor, and sums of the responses; the first weights, where everybody has the mean of the responses;
//! then from coefficients to coefficients until they move by less than a ten-millionth of their standard errors.
//! Next: `family.rs`, what a row adds.

pub mod penalised;

use serde::Serialize;
use terms::{Problem, Report};

use crate::design::{Design, DesignColumn};
use crate::distribution;
use crate::family::{Family, Link, Totals};
use crate::frame::Frame;
use crate::rounds::{Next, Rounds};
use crate::solve::{Cholesky, packed, packed_len};
use crate::term::Term;

/// Rows that are looked at together: their model matrix fits a processor's cache.
const BLOCK_ROWS: usize = 512;

/// Steps are done when no direction of the coefficients moves by more than this share of its standard error, squared.
const DECREMENT_MAX: f64 = 1e-14;

/// A coefficient whose standard error has grown by more than this since the first weights has no bounds: the weights of the rows that
/// tell of it have fallen to a millionth, and the data do not say where that ends.
const ERRORS_GROWN: f64 = 1_000.0;

/// Where one has, those are named that have grown by more than this: they go together, some a little ahead.
const ERRORS_GROWN_TOO: f64 = 30.0;

/// A step is halved so often at most.
const HALVINGS_MAX: u32 = 12;

/// A generalised linear model.
#[derive(Clone, Debug)]
pub struct Glm {
    /// The distribution of the response.
    pub family: Family,
    /// How its mean hangs together with the linear predictor.
    pub link: Link,
    /// What the model matrix has.
    pub design: Design,
}

/// What is known between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    phase: Phase,
    /// Steps that were taken.
    steps: u32,
    /// Which levels have rows; known after the first step.
    has_rows: Vec<bool>,
    /// Sums that do not depend on coefficients.
    fixed: Fixed,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Levels,
    /// The linear predictor at the mean of the responses, beside the offsets.
    Weights(f64),
    Coefficients(Place),
}

/// Where a step is taken.
#[derive(Clone, Copy, Debug)]
enum At<'a> {
    /// Everybody has this linear predictor, beside the offsets.
    Level(f64),
    /// These are the coefficients.
    Coefficients(&'a [f64]),
}

/// Where coefficients are, and how well the place before did.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    coefficients: Vec<f64>,
    /// Standard errors, but for the dispersion, with the weights of the first step.
    first_errors: Vec<f64>,
    before: Option<(Vec<f64>, f64)>,
    halvings: u32,
}

/// Sums over rows that stay the same from step to step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Fixed {
    rows: f64,
    /// Sum of the weights.
    weights: f64,
    /// Sum of the logarithms of weights.
    log_weights: f64,
    /// What the log-likelihood has of the responses alone.
    of_responses: f64,
}

/// A model that was fitted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fitted {
    /// The coefficients in the order of the formula; z, or t with the residual degrees of freedom where the dispersion is estimated; Wald
    /// intervals of 95 %.
    pub terms: Vec<Term>,
    /// Their covariances, by rows.
    pub covariance: Vec<Vec<f64>>,
    /// Rows of all nodes; those in which a column is not known are not among them.
    pub n: u64,
    /// Residual degrees of freedom.
    pub df_residual: u64,
    /// Residual deviance.
    pub deviance: f64,
    /// Pearson's χ² over the residual degrees of freedom where it is estimated, else 1.
    pub dispersion: f64,
    /// Log-likelihood, as R's `logLik` of a `glm`.
    pub log_likelihood: Option<f64>,
    /// Akaike's criterion, as R's `AIC` of a `glm`.
    pub aic: Option<f64>,
    /// Steps of all nodes.
    pub steps: u32,
    /// Levels that no row of any node has; they have no coefficient.
    pub empty_levels: Vec<String>,
}

impl Glm {
    /// A model of this family; the link is the family's own if none is given.
    ///
    /// # Errors
    /// `E_MODEL_FORMULA` if the family has no such link.
    pub fn new(family: Family, link: Option<Link>, design: Design) -> Result<Self, Report> {
        let link = link.unwrap_or(family.own_link());
        family.require_link(link)?;
        Ok(Self { family, link, design })
    }

    fn columns<'a>(&'a self, has_rows: &'a [bool]) -> Vec<&'a DesignColumn> {
        self.design.columns_of(has_rows).collect()
    }

    /// Sums before the packed triangle, the triangle, the vector, and those after it.
    fn place_of_products(size: usize) -> (usize, usize) {
        (1 + packed_len(size), 1 + packed_len(size) + size)
    }

    fn width_of_products(size: usize) -> usize {
        1 + packed_len(size) + size + TAIL
    }
}

/// Values after the vector in a step's sums.
const TAIL: usize = 4;

/// Values after the levels in the sums of the first step: those of the responses alone, and of the offsets.
const OF_RESPONSES: usize = 5;

impl Rounds for Glm {
    type State = State;
    type Fitted = Fitted;

    fn start(&self) -> State {
        State {
            phase: Phase::Levels,
            steps: 0,
            has_rows: Vec::new(),
            fixed: Fixed::default(),
        }
    }

    fn width(&self, state: &State) -> usize {
        match state.phase {
            Phase::Levels => self.width_of_levels(),
            Phase::Weights(_) | Phase::Coefficients(_) => Self::width_of_products(self.columns(&state.has_rows).len()),
        }
    }

    fn width_max(&self) -> Option<usize> {
        Some(Self::width_of_products(self.design.columns.len()).max(self.width_of_levels()))
    }

    fn add(&self, state: &State, frame: &Frame, into: &mut [f64]) {
        match state.at() {
            None => self.add_first(frame, into),
            Some(at) => self.add_products(&state.has_rows, at, frame, into),
        }
    }

    fn pulls(&self, state: &State) -> usize {
        match state.phase {
            Phase::Levels => 0,
            Phase::Weights(_) => self.pulls(),
            // Weights that do not depend on where a step is taken were looked at before the first.
            Phase::Coefficients(_) => self.pulls() * usize::from(self.family != Family::Gaussian),
        }
    }

    fn each_pull(&self, state: &State, frame: &Frame, with: &mut dyn FnMut(&[f64])) {
        if let Some(at) = state.at() {
            self.each_pull_at(&state.has_rows, at, frame, with);
        }
    }

    fn next(&self, state: &State, sums: &[f64]) -> Result<Next<State, Fitted>, Report> {
        if sums.len() != self.width(state) {
            return Err(Problem::ModelProtocol.report("the sums of a step are not as many as they have to be"));
        }
        let steps = state.steps + 1;
        match &state.phase {
            Phase::Levels => self.after_levels(steps, sums).map(Next::Step),
            Phase::Weights(level) => self.after_weights(state, *level, steps, sums).map(Next::Step),
            Phase::Coefficients(place) => self.after_coefficients(state, place, steps, sums),
        }
    }
}

impl State {
    /// Where the step is taken, but for the first.
    fn at(&self) -> Option<At<'_>> {
        match &self.phase {
            Phase::Levels => None,
            Phase::Weights(level) => Some(At::Level(*level)),
            Phase::Coefficients(place) => Some(At::Coefficients(&place.coefficients)),
        }
    }
}

impl Glm {
    fn width_of_levels(&self) -> usize {
        1 + self.design.levels.len() + OF_RESPONSES
    }

    fn add_levels(&self, frame: &Frame, into: &mut [f64]) {
        let mut room = [0.0; BLOCK_ROWS];
        into[0] += frame.rows as f64;
        for (level, sum) in self.design.levels.iter().zip(&mut into[1..]) {
            for from in (0..frame.rows).step_by(BLOCK_ROWS) {
                let room = &mut room[..BLOCK_ROWS.min(frame.rows - from)];
                level.value.fill(frame, from, room);
                *sum += room.iter().sum::<f64>();
            }
        }
    }

    fn add_first(&self, frame: &Frame, into: &mut [f64]) {
        let (levels, sums) = into.split_at_mut(1 + self.design.levels.len());
        self.add_levels(frame, levels);
        let mut block = Block::new(0);
        for from in (0..frame.rows).step_by(BLOCK_ROWS) {
            let rows = BLOCK_ROWS.min(frame.rows - from);
            block.read(&self.design, &[], frame, from, rows);
            for row in 0..rows {
                let (y, prior) = (block.response[row], block.weight[row]);
                let of_responses = [
                    prior,
                    self.family.of_weight(y, prior),
                    self.family.of_response(y, prior),
                    prior * y,
                ];
                let added = of_responses.into_iter().chain([prior * block.offset[row]]);
                sums.iter_mut().zip(added).for_each(|(sum, value)| *sum += value);
            }
        }
        if self.family == Family::Binomial {
            // Whether rows have another response than a binomial, and not how many.
            sums[1] = sums[1].min(1.0);
        }
    }

    fn after_levels(&self, steps: u32, sums: &[f64]) -> Result<State, Report> {
        let (levels, of_responses) = sums.split_at(1 + self.design.levels.len());
        let has_rows: Vec<bool> = levels[1..].iter().map(|rows| *rows > 0.5).collect();
        let size = self.columns(&has_rows).len();
        let rows = sums[0];
        if rows < size as f64 + 1.0 {
            let message = format!("the model has {size} terms and only {rows} rows in which all its columns are known");
            return Err(Problem::ModelData.report(message));
        }
        let [weights, log_weights, of_both, responses] = rest(of_responses);
        self.family.require_successes(log_weights)?;
        if let Some(what) = self.family.is_constant(responses, weights) {
            return Err(Problem::ModelData.report(format!("the response is {what} in every row")));
        }
        let offset = of_responses[TAIL] / weights;
        Ok(State {
            phase: Phase::Weights(self.link.of_mean(responses / weights) - offset),
            steps,
            has_rows,
            fixed: Fixed {
                rows,
                weights,
                log_weights,
                of_responses: of_both,
            },
        })
    }

    /// Calls for some rows at a time with what they add at a place, before the model matrix.
    fn each_block(&self, has_rows: &[bool], at: At<'_>, frame: &Frame, mut with: impl FnMut(&mut Block, usize)) {
        let columns = self.columns(has_rows);
        let mut block = Block::new(columns.len());
        for from in (0..frame.rows).step_by(BLOCK_ROWS) {
            let rows = BLOCK_ROWS.min(frame.rows - from);
            block.read(&self.design, &columns, frame, from, rows);
            block.predict(at, rows);
            for row in 0..rows {
                let (y, prior) = (block.response[row], block.weight[row]);
                let added = self.family.at(self.link, y, prior, block.predictor[row]);
                block.weights[row] = added.weight;
                block.residuals[row] = added.weighted_residual;
                block.rest[row] = added.rest;
            }
            with(&mut block, rows);
        }
    }

    fn add_products(&self, has_rows: &[bool], at: At<'_>, frame: &Frame, into: &mut [f64]) {
        let (vector, tail) = Self::place_of_products(self.columns(has_rows).len());
        self.each_block(has_rows, at, frame, |block, rows| {
            into[0] += rows as f64;
            for rest in &block.rest[..rows] {
                into[tail..].iter_mut().zip(rest).for_each(|(sum, value)| *sum += value);
            }
            if let At::Level(level) = at {
                add_times(&mut block.residuals[..rows], &block.weights, level);
            }
            block.multiply(rows, &mut into[1..vector]);
            block.project(rows, &mut into[vector..tail]);
        });
    }

    /// By how many numbers a row weighs in a step. That a response of its own is large is no matter of where a step is taken; but among
    /// responses of 0 and 1 a few that the model does not expect have all that is left.
    fn pulls(&self) -> usize {
        match self.family {
            Family::Gaussian => usize::from(self.design.weight.is_some()),
            Family::Binomial => 2,
            Family::Poisson | Family::Gamma | Family::NegativeBinomial(_) => 1,
        }
    }

    /// The weight in XᵀWX, and of responses of 0 and 1 the residual too.
    fn each_pull_at(&self, has_rows: &[bool], at: At<'_>, frame: &Frame, with: &mut dyn FnMut(&[f64])) {
        let pulls = self.pulls();
        self.each_block(has_rows, at, frame, |block, rows| {
            for (weight, residual) in block.weights[..rows].iter().zip(&block.residuals) {
                with(&[*weight, *residual][..pulls]);
            }
        });
    }

    /// From the first weights. Where there is a constant, the place that they are of is held against the next.
    fn after_weights(&self, state: &State, level: f64, steps: u32, sums: &[f64]) -> Result<State, Report> {
        let columns = self.columns(&state.has_rows);
        let (vector, tail) = Self::place_of_products(columns.len());
        let information = decomposed(&sums[1..vector], &columns)?;
        let constant = columns.first().filter(|column| column.factors.is_empty());
        let before = constant.map(|_| {
            let rest = vec![0.0; columns.len() - 1];
            ([vec![level], rest].concat(), sums[tail])
        });
        Ok(State {
            phase: Phase::Coefficients(Place {
                coefficients: information.solve(&sums[vector..tail]),
                first_errors: errors(&information.inverse()),
                before,
                halvings: 0,
            }),
            steps,
            ..state.clone()
        })
    }

    fn after_coefficients(
        &self,
        state: &State,
        place: &Place,
        steps: u32,
        sums: &[f64],
    ) -> Result<Next<State, Fitted>, Report> {
        let columns = self.columns(&state.has_rows);
        let (vector, tail) = Self::place_of_products(columns.len());
        let [deviance, pearson, one, two] = rest(&sums[tail..]);
        let step_to = |place: Place| {
            Next::Step(State {
                phase: Phase::Coefficients(place),
                steps,
                ..state.clone()
            })
        };
        let is_better = place
            .before
            .as_ref()
            .is_none_or(|(_, before)| deviance <= before + 1e-8 * (before.abs() + 0.1));
        if !(deviance.is_finite() && is_better) {
            return self.halved(place).map(step_to);
        }
        let information = match Cholesky::new(&sums[1..vector], columns.len()) {
            Ok(information) => information,
            // It had full rank when the weights came from the responses.
            Err(at) if self.family.can_be_separated() => return Err(separated(&columns, &[at])),
            Err(at) => return Err(singular(&columns, at)),
        };
        let moved = information.solve(&sums[vector..tail]);
        let decrement: f64 = moved.iter().zip(&sums[vector..tail]).map(|(d, u)| d * u).sum();
        let freedom = state.fixed.rows - columns.len() as f64;
        let dispersion = if self.family.estimates_dispersion() {
            pearson / freedom
        } else {
            1.0
        };
        let coefficients: Vec<f64> = place.coefficients.iter().zip(&moved).map(|(b, d)| b + d).collect();
        if self.family.can_be_separated() {
            let errors = errors(&information.inverse());
            let has_grown = |at: usize, by: f64| errors[at] > by * place.first_errors[at];
            if (0..columns.len()).any(|at| has_grown(at, ERRORS_GROWN)) {
                let lost = (0..columns.len()).filter(|at| has_grown(*at, ERRORS_GROWN_TOO));
                return Err(separated(&columns, &lost.collect::<Vec<_>>()));
            }
        }
        // A fit without residuals has no scale to measure steps with.
        let is_done =
            decrement <= DECREMENT_MAX * dispersion.max(f64::MIN_POSITIVE) || deviance <= 1e-20 * state.fixed.weights;
        if !is_done {
            return Ok(step_to(Place {
                before: Some((place.coefficients.clone(), deviance)),
                coefficients,
                first_errors: place.first_errors.clone(),
                halvings: 0,
            }));
        }
        let log_likelihood = self.family.log_likelihood(&Totals {
            rows: state.fixed.rows,
            weights: state.fixed.weights,
            log_weights: state.fixed.log_weights,
            of_responses: state.fixed.of_responses,
            deviance,
            rest: [one, two],
        });
        Ok(Next::Done(self.fitted(
            state,
            &columns,
            Solution {
                coefficients,
                inverse: information.inverse(),
                deviance,
                dispersion,
                freedom,
                log_likelihood,
                steps,
            },
        )))
    }

    /// Half the way back to the place before.
    fn halved(&self, place: &Place) -> Result<Place, Report> {
        let Some((before, deviance)) = &place.before else {
            let message = "the first step gives no finite deviance";
            return Err(Problem::ModelSteps
                .report(message)
                .remedy("use another link, or fewer terms"));
        };
        if place.halvings == HALVINGS_MAX {
            return Err(
                Problem::ModelSteps.report("the deviance does not fall any more, and the coefficients still move")
            );
        }
        let halfway = place.coefficients.iter().zip(before).map(|(b, a)| (a + b) / 2.0);
        Ok(Place {
            coefficients: halfway.collect(),
            first_errors: place.first_errors.clone(),
            before: Some((before.clone(), *deviance)),
            halvings: place.halvings + 1,
        })
    }

    fn fitted(&self, state: &State, columns: &[&DesignColumn], solution: Solution) -> Fitted {
        let size = columns.len();
        let Solution {
            coefficients,
            inverse,
            deviance,
            dispersion,
            freedom,
            log_likelihood,
            steps,
        } = solution;
        let covariance = |row: usize, column: usize| {
            dispersion * inverse[row * size + column] / (columns[row].scale * columns[column].scale)
        };
        let quantile = self.two_sided(freedom);
        let terms = columns.iter().enumerate().map(|(at, column)| {
            let estimate = coefficients[at] / column.scale;
            let std_error = covariance(at, at).sqrt();
            let statistic = estimate / std_error;
            Term {
                term: column.name.clone(),
                estimate,
                std_error,
                statistic,
                p: self.p_value(statistic, freedom),
                ci_low: estimate - quantile * std_error,
                ci_high: estimate + quantile * std_error,
            }
        });
        let parameters = size as f64 + f64::from(self.family.counts_dispersion());
        Fitted {
            terms: terms.collect(),
            covariance: (0..size)
                .map(|row| (0..size).map(|column| covariance(row, column)).collect())
                .collect(),
            n: state.fixed.rows as u64,
            df_residual: freedom as u64,
            deviance,
            dispersion,
            log_likelihood,
            aic: log_likelihood.map(|log_likelihood| 2.0 * parameters - 2.0 * log_likelihood),
            steps,
            empty_levels: self.design.empty_levels(&state.has_rows),
        }
    }

    /// How far from the middle 95 % lie, in standard errors.
    fn two_sided(&self, freedom: f64) -> f64 {
        let students = self
            .family
            .estimates_dispersion()
            .then(|| distribution::t_quantile(0.975, freedom));
        students
            .flatten()
            .unwrap_or_else(|| distribution::normal_quantile(0.975))
    }

    /// Where the dispersion is estimated, Student's, as R does.
    fn p_value(&self, statistic: f64, freedom: f64) -> f64 {
        let students = self
            .family
            .estimates_dispersion()
            .then(|| distribution::t_two_sided(statistic, freedom));
        students
            .flatten()
            .unwrap_or_else(|| distribution::normal_two_sided(statistic))
    }
}

/// What a fit ends with, on the scale of the model matrix.
struct Solution {
    coefficients: Vec<f64>,
    inverse: Vec<f64>,
    deviance: f64,
    dispersion: f64,
    freedom: f64,
    log_likelihood: Option<f64>,
    steps: u32,
}

fn rest(tail: &[f64]) -> [f64; TAIL] {
    [tail[0], tail[1], tail[2], tail[3]]
}

fn decomposed(products: &[f64], columns: &[&DesignColumn]) -> Result<Cholesky, Report> {
    Cholesky::new(products, columns.len()).map_err(|at| singular(columns, at))
}

/// What to say of a column that follows from those before it.
pub(crate) fn singular(columns: &[&DesignColumn], at: usize) -> Report {
    let name = &columns[at].name;
    let message = match at {
        0 => format!("{name} is 0 in every row"),
        _ => {
            let before = columns[..at].iter().map(|column| column.name.as_str());
            let before = before.collect::<Vec<_>>().join(", ");
            format!("{name} follows from {before}: it is constant, or a combination of them")
        }
    };
    Problem::ModelSingular
        .report(message)
        .remedy(format!("leave out {name}"))
}

/// The roots of the diagonal of a matrix.
fn errors(matrix: &[f64]) -> Vec<f64> {
    let size = matrix.len().isqrt();
    (0..size).map(|at| matrix[at * size + at].sqrt()).collect()
}

/// What to say of terms that grow without bounds. The constant goes along with them, and is named only if it is alone.
fn separated(columns: &[&DesignColumn], lost: &[usize]) -> Report {
    let names =
        |lost: &mut dyn Iterator<Item = usize>| -> Vec<&str> { lost.map(|at| columns[at].name.as_str()).collect() };
    let is_constant = |at: &usize| columns[*at].factors.is_empty();
    let mut named = names(&mut lost.iter().copied().filter(|at| !is_constant(at)));
    if named.is_empty() {
        named = names(&mut lost.iter().copied());
    }
    let named = named.join(", ");
    let message =
        format!("the outcome is the same for everybody that {named} tells apart: the estimates have no bounds");
    Problem::ModelSeparation.report(message)
}

/// The model matrix of a few rows, column by column, and what goes with it.
struct Block {
    size: usize,
    matrix: Vec<f64>,
    weighted: Vec<f64>,
    room: Vec<f64>,
    response: Vec<f64>,
    weight: Vec<f64>,
    offset: Vec<f64>,
    predictor: Vec<f64>,
    weights: Vec<f64>,
    residuals: Vec<f64>,
    /// As [`crate::family::Added`].
    rest: Vec<[f64; TAIL]>,
}

impl Block {
    fn new(size: usize) -> Self {
        let column = || vec![0.0; BLOCK_ROWS];
        Self {
            size,
            matrix: vec![0.0; BLOCK_ROWS * size],
            weighted: column(),
            room: column(),
            response: column(),
            weight: vec![1.0; BLOCK_ROWS],
            offset: column(),
            predictor: column(),
            weights: column(),
            residuals: column(),
            rest: vec![[0.0; TAIL]; BLOCK_ROWS],
        }
    }

    fn read(&mut self, design: &Design, columns: &[&DesignColumn], frame: &Frame, from: usize, rows: usize) {
        let room = &mut self.room[..rows];
        for (at, column) in columns.iter().enumerate() {
            let into = &mut self.matrix[at * BLOCK_ROWS..][..rows];
            column.fill(frame, from, into, room);
        }
        design.response.fill(frame, from, &mut self.response[..rows]);
        if let Some(weight) = &design.weight {
            weight.fill(frame, from, &mut self.weight[..rows]);
        }
        self.offset[..rows].fill(0.0);
        for offset in &design.offsets {
            offset.fill(frame, from, room);
            add_times(&mut self.offset[..rows], room, 1.0);
        }
    }

    fn predict(&mut self, at: At<'_>, rows: usize) {
        let predictor = &mut self.predictor[..rows];
        predictor.copy_from_slice(&self.offset[..rows]);
        match at {
            At::Level(level) => predictor.iter_mut().for_each(|predictor| *predictor += level),
            At::Coefficients(coefficients) => {
                for (column, coefficient) in self.matrix.chunks_exact(BLOCK_ROWS).zip(coefficients) {
                    add_times(predictor, &column[..rows], *coefficient);
                }
            }
        }
    }

    /// XᵀWX, its packed upper triangle.
    fn multiply(&mut self, rows: usize, into: &mut [f64]) {
        for column in 0..self.size {
            let right = &self.matrix[column * BLOCK_ROWS..][..rows];
            let weighted = &mut self.weighted[..rows];
            for ((weighted, x), w) in weighted.iter_mut().zip(right).zip(&self.weights) {
                *weighted = x * w;
            }
            for row in 0..=column {
                let left = &self.matrix[row * BLOCK_ROWS..][..rows];
                into[packed(row, column)] += dot(left, weighted);
            }
        }
    }

    /// Xᵀ times the weighted residuals.
    fn project(&self, rows: usize, into: &mut [f64]) {
        for (at, sum) in into.iter_mut().enumerate() {
            *sum += dot(&self.matrix[at * BLOCK_ROWS..][..rows], &self.residuals[..rows]);
        }
    }
}

fn add_times(into: &mut [f64], from: &[f64], times: f64) {
    for (value, x) in into.iter_mut().zip(from) {
        *value += x * times;
    }
}

/// Eight sums at a time, so that they can be added side by side.
fn dot(one: &[f64], two: &[f64]) -> f64 {
    const LANES: usize = 8;
    let (ones, twos) = (one.chunks_exact(LANES), two.chunks_exact(LANES));
    let tail: f64 = ones.remainder().iter().zip(twos.remainder()).map(|(a, b)| a * b).sum();
    let mut lanes = [0.0; LANES];
    for (a, b) in ones.zip(twos) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f64>() + tail
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod more_tests;
