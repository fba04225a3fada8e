//! Training of a small network in rounds, by sums of gradients or as federated averaging (McMahan et al. 2017).
//!
//! With [`Method::Gradient`] all nodes' gradients are added, and the result is that of the pooled rows. With [`Method::Averaging`] each
//! node goes some steps of its own from the common parameters over all its rows, and the mean of where nodes come to is the next
//! place, weighted with their rows: fewer rounds, but the result depends on which rows are at which node.
//!
//! Inputs (and a response of squared loss) are brought to mean 0 and standard deviation 1. All rows of a node go into each step, so that
//! nothing is drawn by lot; the start follows from a seed.
//!
//! | step | entries | what they are |
//! |---|---|---|
//! | 1 | 1, levels | rows, rows of each level: counts |
//! | | 1, 1 | sums of the response and of its square |
//! | | p, p | sums of x and of x² for each column of the design, scaled by its bounds: a row adds at most 1 |
//! | 2 and on | 1 | rows: a count |
//! | | 1 | the loss of the common parameters, summed over the rows |
//! | | parameters | `Gradient`: sums over the rows of the derivatives of the loss. `Averaging`: rows times the parameters to which this node came, each at most 1,000 |

use serde::Serialize;
use terms::{Problem, Report};

use crate::design::{Design, DesignColumn};
use crate::frame::Frame;
use crate::network::{Loss, Network};
use crate::rounds::{Next, Rounds};

/// The largest absolute value of a parameter.
const PARAMETER_MAX: f64 = 1_000.0;

/// Most rounds.
const ROUNDS_MAX: u32 = 10_000;

/// Most steps of a node between two rounds.
const LOCAL_STEPS_MAX: u32 = 100;

/// A column counts as constant if its variance is less than this share of its mean square.
const VARIES_MIN: f64 = 1e-11;

/// A network that is to be trained.
#[derive(Clone, Debug)]
pub struct Training {
    design: Design,
    network: Network,
    method: Method,
    rounds: u32,
    seed: u64,
}

/// How parameters move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Against the gradient of the mean loss of all rows, `rate` times as far, and on with `momentum` times the move before.
    Gradient {
        /// Above 0.
        rate: f64,
        /// From 0 to less than 1.
        momentum: f64,
    },
    /// At each node so many steps against the gradient of its own mean loss; then the mean of all nodes' parameters.
    Averaging {
        /// Above 0.
        rate: f64,
        /// Steps of each node.
        local_steps: u32,
    },
}

/// What is known between two steps.
#[derive(Clone, Debug)]
pub struct State(Phase);

#[derive(Clone, Debug)]
enum Phase {
    Moments,
    Round(Known, Place),
}

#[derive(Clone, Debug)]
struct Known {
    rows: f64,
    has_rows: Vec<bool>,
    means: Vec<f64>,
    deviations: Vec<f64>,
    /// Mean and deviation of the response; 0 and 1 unless its loss is squared.
    response: (f64, f64),
}

#[derive(Clone, Debug)]
struct Place {
    parameters: Vec<f64>,
    moved: Vec<f64>,
    losses: Vec<f64>,
}

/// A network that was trained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trained {
    /// What it is made of.
    pub network: Network,
    /// Its parameters, layer by layer, unit by unit: a weight for each input, and what is added.
    pub parameters: Vec<f64>,
    /// Its inputs.
    pub inputs: Vec<Input>,
    /// What stands before the response: it is (output · deviation + mean) for squared loss.
    pub response: (f64, f64),
    /// The mean loss at the beginning of each round.
    pub losses: Vec<f64>,
    /// Rows of all nodes.
    pub n: u64,
    /// Levels that no row of any node has; they are no inputs.
    pub empty_levels: Vec<String>,
}

/// An input of a network: (x − mean) / deviation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Input {
    /// As it is called in a model matrix.
    pub name: String,
    /// Its mean over all rows.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
}

impl Training {
    /// A training over the columns of a design; its constant, if it has one, is left out, because a network has its own.
    ///
    /// # Errors
    /// `E_MODEL_FORMULA` for rates and numbers of steps that make no sense, for weights and offsets, and without an input.
    pub fn new(design: Design, network: Network, method: Method, rounds: u32, seed: u64) -> Result<Self, Report> {
        let wrong = |message: &str| Err(Problem::ModelFormula.report(message));
        let mut design = design;
        design.columns.retain(|column| !column.factors.is_empty());
        if design.columns.is_empty() {
            return wrong("a network needs an input");
        }
        if design.weight.is_some() || !design.offsets.is_empty() {
            return wrong("a network takes neither weights nor offsets");
        }
        let is_rate = |rate: f64| rate > 0.0 && rate.is_finite();
        let is_possible = match method {
            Method::Gradient { rate, momentum } => is_rate(rate) && (0.0..1.0).contains(&momentum),
            Method::Averaging { rate, local_steps } => is_rate(rate) && (1..=LOCAL_STEPS_MAX).contains(&local_steps),
        };
        if !is_possible {
            return wrong(&format!(
                "a rate is above 0, a momentum from 0 to less than 1, and a node takes 1 to {LOCAL_STEPS_MAX} steps of its own"
            ));
        }
        if !(1..=ROUNDS_MAX).contains(&rounds) {
            return wrong(&format!("there are 1 to {ROUNDS_MAX} rounds"));
        }
        Ok(Self {
            design,
            network,
            method,
            rounds,
            seed,
        })
    }

    /// What is read of each row.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// Parameters, if all levels have rows.
    pub fn parameters(&self) -> usize {
        self.network.parameters(self.design.columns.len())
    }
}

impl Rounds for Training {
    type State = State;
    type Fitted = Trained;

    /// A node's own steps go over all its rows.
    const NEEDS_WHOLE_NODE: bool = true;

    fn start(&self) -> State {
        State(Phase::Moments)
    }

    fn width(&self, state: &State) -> usize {
        match &state.0 {
            Phase::Moments => 3 + self.design.levels.len() + 2 * self.design.columns.len(),
            Phase::Round(_, place) => 2 + place.parameters.len(),
        }
    }

    fn width_max(&self) -> Option<usize> {
        let of_moments = 3 + self.design.levels.len() + 2 * self.design.columns.len();
        Some(of_moments.max(2 + self.parameters()))
    }

    fn bytes(&self, rows: usize) -> usize {
        Rows::bytes(rows, self.design.columns.len())
    }

    fn add(&self, state: &State, frame: &Frame, into: &mut [f64]) {
        match &state.0 {
            Phase::Moments => self.add_moments(frame, into),
            Phase::Round(known, place) => self.add_round(known, &place.parameters, frame, into),
        }
    }

    /// One for each unit. Without hidden units and with squared loss they are no more than products.
    fn pulls(&self, state: &State) -> usize {
        match state.0 {
            Phase::Round(..) if !self.network.is_linear() => self.network.units(),
            Phase::Moments | Phase::Round(..) => 0,
        }
    }

    /// The derivative of the loss to what comes into each unit.
    fn each_pull(&self, state: &State, frame: &Frame, with: &mut dyn FnMut(&[f64])) {
        let Phase::Round(known, place) = &state.0 else { return };
        let rows = Rows::read(&self.design, known, frame);
        let (mut room, mut slopes) = (self.network.room(rows.size), vec![0.0; place.parameters.len()]);
        for (x, y) in rows.inputs.chunks_exact(rows.size).zip(&rows.responses) {
            self.network
                .add_slopes(&place.parameters, x, *y, &mut room, &mut slopes);
            with(&room.pulls());
        }
    }

    fn next(&self, state: &State, sums: &[f64]) -> Result<Next<State, Trained>, Report> {
        if sums.len() != self.width(state) {
            return Err(Problem::ModelProtocol.report("the sums of a step are not as many as they have to be"));
        }
        let (known, place) = match &state.0 {
            Phase::Moments => self.after_moments(sums)?,
            Phase::Round(known, place) => (known.clone(), self.moved(place, sums)?),
        };
        if place.losses.len() == self.rounds as usize {
            return Ok(Next::Done(self.trained(&known, place)));
        }
        Ok(Next::Step(State(Phase::Round(known, place))))
    }
}

impl Training {
    fn add_moments(&self, frame: &Frame, into: &mut [f64]) {
        let (mut values, mut room) = (vec![0.0; frame.rows], vec![0.0; frame.rows]);
        let square = |values: &[f64]| -> f64 { values.iter().map(|x| x * x).sum() };
        self.design.response.fill(frame, 0, &mut values);
        let (head, rest) = into.split_at_mut(3);
        head[0] += frame.rows as f64;
        head[1] += values.iter().sum::<f64>();
        head[2] += square(&values);
        let (levels, sums) = rest.split_at_mut(self.design.levels.len());
        for (level, sum) in self.design.levels.iter().zip(levels) {
            level.value.fill(frame, 0, &mut values);
            *sum += values.iter().sum::<f64>();
        }
        for (column, sums) in self.design.columns.iter().zip(sums.chunks_exact_mut(2)) {
            column.fill(frame, 0, &mut values, &mut room);
            sums[0] += values.iter().sum::<f64>();
            sums[1] += square(&values);
        }
    }

    fn after_moments(&self, sums: &[f64]) -> Result<(Known, Place), Report> {
        let (head, rest) = sums.split_at(3);
        let (levels, sums) = rest.split_at(self.design.levels.len());
        let rows = head[0].round();
        if rows < 2.0 {
            return Err(Problem::ModelData.report(format!("there are only {rows} rows in which all columns are known")));
        }
        let has_rows: Vec<bool> = levels.iter().map(|rows| *rows > 0.5).collect();
        let moments = |sum: f64, square: f64| {
            let (mean, square) = (sum / rows, square / rows);
            let variance = square - mean * mean;
            (variance > VARIES_MIN * square).then(|| (mean, variance.sqrt()))
        };
        let (mut means, mut deviations) = (Vec::new(), Vec::new());
        for (column, sums) in self.design.columns.iter().zip(sums.chunks_exact(2)) {
            if !column.of_levels.iter().all(|level| has_rows[*level]) {
                continue;
            }
            let Some((mean, deviation)) = moments(sums[0], sums[1]) else {
                let name = &column.name;
                return Err(Problem::ModelSingular
                    .report(format!("{name} is the same in every row"))
                    .remedy(format!("leave out {name}")));
            };
            means.push(mean);
            deviations.push(deviation);
        }
        let Some(of_response) = moments(head[1], head[2]) else {
            return Err(Problem::ModelData.report("the response is the same in every row"));
        };
        let inputs = means.len();
        let known = Known {
            rows,
            has_rows,
            means,
            deviations,
            response: match self.network.loss() {
                Loss::Logistic => (0.0, 1.0),
                Loss::Squared => of_response,
            },
        };
        let parameters = self.network.begin(inputs, self.seed);
        let place = Place {
            moved: vec![0.0; parameters.len()],
            parameters,
            losses: Vec::new(),
        };
        Ok((known, place))
    }

    fn add_round(&self, known: &Known, parameters: &[f64], frame: &Frame, into: &mut [f64]) {
        let rows = Rows::read(&self.design, known, frame);
        let mut slopes = vec![0.0; parameters.len()];
        into[0] += frame.rows as f64;
        into[1] += rows.add_slopes(&self.network, parameters, &mut slopes);
        let own = match self.method {
            Method::Gradient { .. } => slopes,
            Method::Averaging { rate, local_steps } => {
                let mut own = parameters.to_vec();
                for step in 0..local_steps {
                    if step > 0 {
                        slopes.fill(0.0);
                        rows.add_slopes(&self.network, &own, &mut slopes);
                    }
                    for (own, slope) in own.iter_mut().zip(&slopes) {
                        let by = rate * slope / (frame.rows as f64).max(1.0);
                        *own = (*own - by).clamp(-PARAMETER_MAX, PARAMETER_MAX);
                    }
                }
                own.iter().map(|own| own * frame.rows as f64).collect()
            }
        };
        for (sum, own) in into[2..].iter_mut().zip(own) {
            *sum += own;
        }
    }

    fn moved(&self, place: &Place, sums: &[f64]) -> Result<Place, Report> {
        let (rows, loss) = (sums[0].round(), sums[1]);
        if rows < 1.0 {
            return Err(Problem::ModelData.report("no rows are left"));
        }
        let mean = |at: usize| sums[2 + at] / rows;
        let moved = (0..place.parameters.len()).map(|at| match self.method {
            Method::Gradient { rate, momentum } => momentum * place.moved[at] - rate * mean(at),
            Method::Averaging { .. } => mean(at) - place.parameters[at],
        });
        let moved: Vec<f64> = moved.collect();
        let parameters = place.parameters.iter().zip(&moved);
        let parameters: Vec<f64> = parameters.map(|(parameter, by)| parameter + by).collect();
        if !loss.is_finite() || !parameters.iter().all(|parameter| parameter.abs() < PARAMETER_MAX) {
            return Err(Problem::ModelSteps
                .report("the parameters go beyond all bounds")
                .remedy("take a smaller rate"));
        }
        Ok(Place {
            parameters,
            moved,
            losses: [place.losses.as_slice(), &[loss / rows]].concat(),
        })
    }

    fn trained(&self, known: &Known, place: Place) -> Trained {
        let columns = self.design.columns_of(&known.has_rows).enumerate();
        Trained {
            network: self.network.clone(),
            parameters: place.parameters,
            inputs: columns
                .map(|(at, column)| Input {
                    name: column.name.clone(),
                    mean: known.means[at] * column.scale,
                    deviation: known.deviations[at] * column.scale,
                })
                .collect(),
            response: known.response,
            losses: place.losses,
            n: known.rows as u64,
            empty_levels: self.design.empty_levels(&known.has_rows),
        }
    }
}

impl Trained {
    /// The probability, or the mean, that the network gives for a row with these inputs, in their units. None if they are not as many
    /// as it has.
    pub fn predict(&self, x: &[f64]) -> Option<f64> {
        if x.len() != self.inputs.len() {
            return None;
        }
        let z = x.iter().zip(&self.inputs).map(|(x, of)| (x - of.mean) / of.deviation);
        let z: Vec<f64> = z.collect();
        let output = self
            .network
            .output(&self.parameters, &z, &mut self.network.room(z.len()));
        let (mean, deviation) = self.response;
        Some(self.network.loss().mean(output) * deviation + mean)
    }
}

/// The rows of a node as a network takes them.
struct Rows {
    size: usize,
    /// By rows.
    inputs: Vec<f64>,
    responses: Vec<f64>,
}

impl Rows {
    /// Bytes that it takes to read so many rows: inputs, responses, and room for a column.
    fn bytes(rows: usize, size: usize) -> usize {
        rows * (size + 3) * size_of::<f64>()
    }

    fn read(design: &Design, known: &Known, frame: &Frame) -> Self {
        let columns: Vec<&DesignColumn> = design.columns_of(&known.has_rows).collect();
        let (rows, size) = (frame.rows, columns.len());
        let (mut values, mut room) = (vec![0.0; rows], vec![0.0; rows]);
        let mut inputs = vec![0.0; rows * size];
        for (at, column) in columns.iter().enumerate() {
            column.fill(frame, 0, &mut values, &mut room);
            for (row, x) in values.iter().enumerate() {
                inputs[row * size + at] = (x - known.means[at]) / known.deviations[at];
            }
        }
        design.response.fill(frame, 0, &mut values);
        let (mean, deviation) = known.response;
        values.iter_mut().for_each(|y| *y = (*y - mean) / deviation);
        Self {
            size,
            inputs,
            responses: values,
        }
    }

    /// The sum of the losses; adds the derivatives.
    fn add_slopes(&self, network: &Network, parameters: &[f64], into: &mut [f64]) -> f64 {
        let mut room = network.room(self.size);
        let rows = self.inputs.chunks_exact(self.size).zip(&self.responses);
        rows.map(|(x, y)| network.add_slopes(parameters, x, *y, &mut room, into))
            .sum()
    }
}

#[cfg(test)]
mod tests;
