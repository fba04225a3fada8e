//! Cox regression as sums in steps: Newton's method on the log partial likelihood (Cox 1972; ties after Efron 1977 or Breslow 1974).
//!
//! By default the rows of each node are a stratum of their own ([`Baseline::OfEachNode`]): a node then adds up its part of the log
//! partial likelihood, of the score and of the information, and no risk set and no time leaves it. Where all nodes are to share one
//! baseline ([`Baseline::Shared`]), times count by the declared bins of their column, and what is added are sums over the rows that
//! end in each bin; times of one bin are ties. Where each time is a bin, the result is that of the pooled rows.
//!
//! Steps, with p columns, p² for the p (p + 1) / 2 of a packed triangle, c cells (strata × bins), x less its mean, and η = xᵀβ + offset:
//!
//! | step | entries | what they are |
//! |---|---|---|
//! | 1 | 1, 1 | rows, events: counts |
//! | | 1 | sum of g(t) over the events (see [`Transform`]); 0 if nothing is checked, or for `Km` |
//! | | levels | rows of each level of each factor: counts |
//! | | p, p | sums of x and of x² over the rows, for each column of the design, with or without rows |
//! | | c, c | `Shared`: rows and events that end in each cell: counts. `OfEachNode` with `Km`: the same for each bin. Else none |
//! | 2 to the last but one, `OfEachNode` | 1, p, p² | log partial likelihood, score, information of this node |
//! | the same, `Shared` | 1, p | sums of η and of x over the events |
//! | | c × (1, p, p²) | sums of exp η, exp η · x, exp η · x xᵀ over the rows that end in a cell |
//! | | c × (1, p, p²) | the same over the events in a cell; only with `Efron` |
//! | the last, if hazards are checked | as before and p, p², p² | `OfEachNode`: the score and both blocks of the information for x · g(t) |
//! | | as before and p | `Shared`: sum of x · g(t) over the events, after the sum of x |
//!
//! A row adds to the cells of `Shared` at most exp(Σ |β| max |x − mean|) times the product of the bounds of its x. A cell with few rows
//! tells of their x: who lets a node answer must bound the counts of step 1, or add up under masks.
//!
//! Next: `cox/counts.rs`, the first step; `cox/risk.rs`, the sums of the others; `cox/result.rs`, what is said at the end.

mod counts;
mod result;
mod risk;

use terms::{Problem, Report};

use self::counts::Known;
use self::result::Solution;
use self::risk::{Partial, Rows};
use crate::design::DesignColumn;
use crate::frame::Frame;
use crate::glm::singular;
use crate::rounds::{Next, Rounds};
use crate::solve::{Cholesky, packed_len};
use crate::survival::Survival;

pub use self::result::{Fitted, HazardTerm, Proportional, Test};

/// Steps are done when no direction of the coefficients moves by more than this share of its standard error, squared.
const DECREMENT_MAX: f64 = 1e-14;

/// A coefficient whose standard error has grown by more than this since all coefficients were 0 has no bounds: where it does, the risk
/// sets still differ a millionth as much as they did in what the coefficient is about.
const ERRORS_GROWN: f64 = 1_000.0;

/// Where one has, those are named that have grown by more than this: they go together, some a little ahead.
const ERRORS_GROWN_TOO: f64 = 30.0;

/// A step is halved so often at most.
const HALVINGS_MAX: u32 = 12;

/// Most strata.
const STRATA_MAX: usize = 1 << 20;

/// Most numbers that a step with a shared baseline adds up, for those who end and again for those with an event.
const NUMBERS_MAX: usize = 500_000;

/// Cox regression.
#[derive(Clone, Debug)]
pub struct Cox {
    survival: Survival,
    ties: Ties,
    baseline: Baseline,
    check: Option<Transform>,
}

/// How events at one time count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ties {
    /// As if they had come one after the other, in the mean over all orders; R's default.
    #[default]
    Efron,
    /// Each with all others of its time still under risk.
    Breslow,
}

/// Whose hazards are in proportion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Baseline {
    /// The people of one node: each node is a stratum.
    #[default]
    OfEachNode,
    /// The people of all nodes, at the declared bins of the time.
    Shared,
}

/// The g(t) with which hazards are checked to be in proportion, as R's `cox.zph` has it. With [`Baseline::Shared`] t is the middle
/// of its bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// t; needs no bins.
    Identity,
    /// log t; needs no bins, and a time whose declared bounds are above 0.
    Log,
    /// 1 less Kaplan and Meier's survival just before the declared bin of t, over all rows of all nodes; R's default.
    Km,
}

/// What is known between two steps.
#[derive(Clone, Debug)]
pub struct State {
    steps: u32,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Counts,
    Place(Known, Place),
    Check(Known, Solution),
}

/// Where coefficients are.
#[derive(Clone, Debug)]
struct Place {
    coefficients: Vec<f64>,
    /// Where they were, and the log partial likelihood there.
    before: Option<(Vec<f64>, f64)>,
    /// What was found where all are 0; not known there.
    null: Option<Null>,
    halvings: u32,
}

/// What was found where all coefficients are 0.
#[derive(Clone, Debug)]
struct Null {
    log_likelihood: f64,
    score: f64,
    errors: Vec<f64>,
}

impl Cox {
    /// A regression of this formula.
    ///
    /// # Errors
    /// `E_MODEL_FORMULA` if bins of the time are needed and not declared, or the logarithm of a time that may be 0.
    pub fn new(survival: Survival, ties: Ties, baseline: Baseline, check: Option<Transform>) -> Result<Self, Report> {
        let cox = Self {
            survival,
            ties,
            baseline,
            check,
        };
        let time = cox.survival.design.needs.first().map_or("time", |need| need.column());
        if cox.cells() == 0 && (baseline == Baseline::Shared || check == Some(Transform::Km)) {
            let message = format!("{time} has no declared bins, and this model needs them");
            return Err(Problem::ModelFormula
                .report(message)
                .remedy("take a baseline for each node, and identity for the check of the hazards"));
        }
        let strata = cox.survival.strata_len().unwrap_or(usize::MAX);
        let columns = cox.survival.design.columns.len();
        let numbers = strata
            .saturating_mul(cox.bins().max(1))
            .saturating_mul(1 + packed_len(1 + columns));
        if strata > STRATA_MAX || (baseline == Baseline::Shared && numbers > NUMBERS_MAX) {
            return Err(Problem::ModelFormula
                .report("the strata, bins and terms are more together than can be added up")
                .remedy("leave strata or terms out"));
        }
        let low = cox.survival.time_bounds.map_or(f64::NEG_INFINITY, |(low, _)| low);
        if check == Some(Transform::Log) && cox.clock(low) <= 0.0 {
            let message = format!("{time} may be 0, which has no logarithm");
            return Err(Problem::ModelFormula
                .report(message)
                .remedy("check the hazards with identity"));
        }
        Ok(cox)
    }

    /// What is explained, and by what.
    pub fn survival(&self) -> &Survival {
        &self.survival
    }

    /// Bins into which times are put: those between edges, the one before the first and the one after the last. 0 if there are no edges.
    fn bins(&self) -> usize {
        match self.survival.edges.len() {
            0 => 0,
            edges => edges + 1,
        }
    }

    fn strata(&self) -> usize {
        self.survival.strata_len().unwrap_or_default()
    }

    /// For how many cells rows and events are counted.
    fn cells(&self) -> usize {
        match (self.baseline, self.check) {
            (Baseline::Shared, _) => self.bins() * self.strata(),
            (Baseline::OfEachNode, Some(Transform::Km)) => self.bins(),
            (Baseline::OfEachNode, _) => 0,
        }
    }

    /// The time as the model sees it: with a shared baseline, the middle of its bin.
    fn clock(&self, time: f64) -> f64 {
        match self.baseline {
            Baseline::OfEachNode => time,
            Baseline::Shared => self.middle(self.survival.bin_of(time)),
        }
    }

    /// The middle of a bin; the first and the last are taken to be as wide as their neighbours.
    fn middle(&self, bin: usize) -> f64 {
        let edges = &self.survival.edges;
        let last = edges.len() - 1;
        match bin {
            _ if last == 0 => edges[0] + bin as f64 - 0.5,
            0 => edges[0] - (edges[1] - edges[0]) / 2.0,
            _ if bin > last => edges[last] + (edges[last] - edges[last - 1]) / 2.0,
            _ => f64::midpoint(edges[bin - 1], edges[bin]),
        }
    }

    /// g(t), where it needs no rows.
    fn raw_g(&self, time: f64) -> f64 {
        match self.check {
            Some(Transform::Identity) => self.clock(time),
            Some(Transform::Log) => self.clock(time).ln(),
            Some(Transform::Km) | None => 0.0,
        }
    }

    /// g(t), less its mean over the events.
    fn g(&self, known: &Known, time: f64) -> f64 {
        let bin = || self.survival.bin_of(time);
        known.km.get(bin()).copied().unwrap_or_else(|| self.raw_g(time)) - known.mean_g
    }

    fn columns<'a>(&'a self, known: &'a Known) -> Vec<&'a DesignColumn> {
        self.survival.design.columns_of(&known.has_rows).collect()
    }
}

/// Whether x · g(t) is added up beside x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum With {
    X,
    XAndXTimesG,
}

impl Rounds for Cox {
    type State = State;
    type Fitted = Fitted;

    /// Who is under risk together is told by all rows of a node.
    const NEEDS_WHOLE_NODE: bool = true;

    fn start(&self) -> State {
        State {
            steps: 0,
            phase: Phase::Counts,
        }
    }

    fn width(&self, state: &State) -> usize {
        match &state.phase {
            Phase::Counts => self.width_of_counts(),
            Phase::Place(known, _) => self.width_of_step(known.means.len(), With::X),
            Phase::Check(known, _) => self.width_of_step(known.means.len(), With::XAndXTimesG),
        }
    }

    fn width_max(&self) -> Option<usize> {
        let with = self.check.map_or(With::X, |_| With::XAndXTimesG);
        let of_step = self.width_of_step(self.survival.design.columns.len(), with);
        Some(of_step.max(self.width_of_counts()))
    }

    fn bytes(&self, rows: usize) -> usize {
        Rows::bytes(rows, self.survival.design.columns.len())
    }

    fn add(&self, state: &State, frame: &Frame, into: &mut [f64]) {
        match &state.phase {
            Phase::Counts => self.add_counts(frame, into),
            Phase::Place(known, place) => self.add_step(known, &place.coefficients, With::X, frame, into),
            Phase::Check(known, solution) => {
                self.add_step(known, &solution.coefficients, With::XAndXTimesG, frame, into);
            }
        }
    }

    fn next(&self, state: &State, sums: &[f64]) -> Result<Next<State, Fitted>, Report> {
        if sums.len() != self.width(state) {
            return Err(Problem::ModelProtocol.report("the sums of a step are not as many as they have to be"));
        }
        let steps = state.steps + 1;
        match &state.phase {
            Phase::Counts => {
                let phase = self.after_counts(sums)?;
                Ok(Next::Step(State { steps, phase }))
            }
            Phase::Place(known, place) => match self.after_place(known, place, sums)? {
                Moved::To(place) => {
                    let phase = Phase::Place(known.clone(), place);
                    Ok(Next::Step(State { steps, phase }))
                }
                Moved::Arrived(solution) if self.check.is_some() => {
                    let phase = Phase::Check(known.clone(), solution);
                    Ok(Next::Step(State { steps, phase }))
                }
                Moved::Arrived(solution) => Ok(Next::Done(self.fitted(known, &solution, None, steps))),
            },
            Phase::Check(known, solution) => {
                let partial = self.partial(known, With::XAndXTimesG, sums);
                let check = self.proportional(known, &partial);
                Ok(Next::Done(self.fitted(known, solution, Some(check), steps)))
            }
        }
    }
}

/// What follows from the sums at a place.
enum Moved {
    To(Place),
    Arrived(Solution),
}

impl Cox {
    fn width_of_step(&self, size: usize, with: With) -> usize {
        let (head, packed) = (1 + size, packed_len(size));
        let more = usize::from(with == With::XAndXTimesG);
        match self.baseline {
            Baseline::OfEachNode => head + packed + more * (size + 2 * packed),
            Baseline::Shared => head + more * size + self.blocks() * self.cells() * (head + packed),
        }
    }

    /// Over the rows that end in a cell, and over its events.
    fn blocks(&self) -> usize {
        match self.ties {
            Ties::Efron => 2,
            Ties::Breslow => 1,
        }
    }

    fn add_step(&self, known: &Known, coefficients: &[f64], with: With, frame: &Frame, into: &mut [f64]) {
        let rows = Rows::read(&self.survival, &self.columns(known), &known.means, coefficients, frame);
        let g = |time: f64| match with {
            With::X => None,
            With::XAndXTimesG => Some(self.g(known, time)),
        };
        let mut partial = Partial::new(known.means.len());
        match self.baseline {
            Baseline::OfEachNode => {
                rows.add_strata(self.ties, g, &mut partial);
                for (into, sum) in into.iter_mut().zip(partial.flat(with)) {
                    *into += sum;
                }
            }
            Baseline::Shared => {
                rows.add_events(g, &mut partial);
                let head = partial.flat_head(with);
                let (into, cells) = into.split_at_mut(head.len());
                for (into, sum) in into.iter_mut().zip(head) {
                    *into += sum;
                }
                let cell = |stratum: usize, time: f64| stratum * self.bins() + self.survival.bin_of(time);
                rows.add_cells(self.ties, self.cells(), cell, cells);
            }
        }
    }

    /// The log partial likelihood with its derivatives, from the sums of a step.
    fn partial(&self, known: &Known, with: With, sums: &[f64]) -> Partial {
        let size = known.means.len();
        if self.baseline == Baseline::OfEachNode {
            return Partial::of_flat(size, with, sums);
        }
        let (mut partial, cells) = Partial::of_head(size, with, sums);
        let width = 1 + size + packed_len(size);
        let block = |block: usize, cell: usize| &cells[(block * self.cells() + cell) * width..][..width];
        for stratum in 0..self.strata() {
            let mut under_risk = vec![0.0; width];
            for bin in (0..self.bins()).rev() {
                let cell = stratum * self.bins() + bin;
                for (sum, ended) in under_risk.iter_mut().zip(block(0, cell)) {
                    *sum += ended;
                }
                let tied = match self.ties {
                    Ties::Efron => block(1, cell),
                    Ties::Breslow => &[],
                };
                let g = match with {
                    With::X => None,
                    With::XAndXTimesG => Some(self.g(known, self.middle(bin))),
                };
                partial.at_one_time(&under_risk, tied, known.events_of[cell], g);
            }
        }
        partial
    }

    fn after_place(&self, known: &Known, place: &Place, sums: &[f64]) -> Result<Moved, Report> {
        let partial = self.partial(known, With::X, sums);
        let size = known.means.len();
        let is_better = place
            .before
            .as_ref()
            .is_none_or(|(_, before)| partial.log >= before - 1e-8 * (before.abs() + 0.1));
        if !(partial.log.is_finite() && is_better) {
            return place.halved().map(Moved::To);
        }
        let columns = self.columns(known);
        let information = match &place.null {
            None => {
                known.require_varied(&columns, &partial.information)?;
                Cholesky::new(&partial.information, size).map_err(|at| singular(&columns, at))?
            }
            // It had full rank where all coefficients were 0.
            Some(_) => Cholesky::new(&partial.information, size).map_err(|at| unbounded(&[&columns[at].name]))?,
        };
        let inverse = information.inverse();
        let errors: Vec<f64> = (0..size).map(|at| inverse[at * size + at].sqrt()).collect();
        let moved = information.solve(&partial.score);
        let decrement: f64 = moved.iter().zip(&partial.score).map(|(d, u)| d * u).sum();
        let null = place.null.clone().unwrap_or_else(|| Null {
            log_likelihood: partial.log,
            score: decrement,
            errors: errors.clone(),
        });
        let has_grown = |at: usize, by: f64| errors[at] > by * null.errors[at];
        if (0..size).any(|at| has_grown(at, ERRORS_GROWN)) {
            let lost = (0..size).filter(|at| has_grown(*at, ERRORS_GROWN_TOO));
            let lost: Vec<&str> = lost.map(|at| columns[at].name.as_str()).collect();
            return Err(unbounded(&lost));
        }
        let coefficients: Vec<f64> = place.coefficients.iter().zip(&moved).map(|(b, d)| b + d).collect();
        if decrement <= DECREMENT_MAX {
            return Ok(Moved::Arrived(Solution {
                coefficients,
                information: partial.information,
                inverse,
                log_likelihood: partial.log,
                log_likelihood_null: null.log_likelihood,
                score: null.score,
            }));
        }
        Ok(Moved::To(Place {
            before: Some((place.coefficients.clone(), partial.log)),
            coefficients,
            null: Some(null),
            halvings: 0,
        }))
    }
}

impl Place {
    /// Half the way back to the place before.
    fn halved(&self) -> Result<Self, Report> {
        let Some((before, _)) = &self.before else {
            let message = "the log partial likelihood is not finite where all coefficients are 0";
            return Err(Problem::ModelSteps.report(message).remedy("leave out the offset"));
        };
        if self.halvings == HALVINGS_MAX {
            let message = "the log partial likelihood does not rise any more, and the coefficients still move";
            return Err(Problem::ModelSteps.report(message));
        }
        let halfway = self.coefficients.iter().zip(before);
        Ok(Self {
            coefficients: halfway.map(|(b, a)| f64::midpoint(*a, *b)).collect(),
            halvings: self.halvings + 1,
            ..self.clone()
        })
    }
}

/// A monotone likelihood.
fn unbounded(names: &[&str]) -> Report {
    let names = names.join(", ");
    let message = format!(
        "of those whom {names} tells apart, some have no event while the others are under risk: the hazard ratio has no bounds"
    );
    Problem::ModelSeparation.report(message)
}

#[cfg(test)]
mod tests;
