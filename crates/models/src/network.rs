//! Small fully connected networks: a declared function of a row, with the derivatives of its loss.
//!
//! Without a hidden layer it is a linear or logistic regression. What a network is made of is a closed list: who asks for one names
//! sizes, an activation and a loss, and sends no code. Next: `training.rs`, which needs of the rows only sums of what is here.

use serde::Serialize;
use terms::{Problem, Report};

/// Most hidden layers.
const LAYERS_MAX: usize = 2;

/// Most units of a hidden layer.
const UNITS_MAX: usize = 64;

/// A network with one output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Network {
    hidden: Vec<usize>,
    activation: Activation,
    loss: Loss,
}

/// What a hidden unit makes of its sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Activation {
    /// The hyperbolic tangent.
    Tanh,
    /// The sum if it is above 0, else 0.
    Relu,
}

/// How far an output is from a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Loss {
    /// For a response of 0 or 1, whose log-odds the output is: −log of the probability of what is.
    Logistic,
    /// Half the squared difference.
    Squared,
}

/// Room for one row.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    /// What each layer gives on, the first being the inputs.
    values: Vec<Vec<f64>>,
    /// The derivatives of the loss to each.
    slopes: Vec<Vec<f64>>,
}

impl Network {
    /// A network with hidden layers of these sizes.
    ///
    /// # Errors
    /// `E_MODEL_FORMULA` if there are too many layers or units.
    pub fn new(hidden: Vec<usize>, activation: Activation, loss: Loss) -> Result<Self, Report> {
        if hidden.len() > LAYERS_MAX || !hidden.iter().all(|units| (1..=UNITS_MAX).contains(units)) {
            let message = format!("a network has at most {LAYERS_MAX} hidden layers of 1 to {UNITS_MAX} units");
            return Err(Problem::ModelFormula.report(message));
        }
        Ok(Self {
            hidden,
            activation,
            loss,
        })
    }

    /// Its loss.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// Whether its derivatives are those of a linear regression.
    pub(crate) fn is_linear(&self) -> bool {
        self.hidden.is_empty() && self.loss == Loss::Squared
    }

    /// How many units it has, with the output.
    pub(crate) fn units(&self) -> usize {
        self.hidden.iter().sum::<usize>() + 1
    }

    /// How many parameters it has over so many inputs.
    pub fn parameters(&self, inputs: usize) -> usize {
        self.layers(inputs).map(|(from, to)| to * (from + 1)).sum()
    }

    /// Sizes of what each layer takes and gives.
    fn layers(&self, inputs: usize) -> impl Iterator<Item = (usize, usize)> {
        let from = std::iter::once(inputs).chain(self.hidden.clone());
        from.zip(self.hidden.clone().into_iter().chain([1]))
    }

    /// Parameters to begin with: the same for the same seed, everywhere. Weights are spread as Glorot and Bengio (2010) say; what is added
    /// to a sum, and the output if there is no hidden layer, begin at 0.
    pub(crate) fn begin(&self, inputs: usize, seed: u64) -> Vec<f64> {
        let mut random = Random(seed);
        let mut parameters = Vec::with_capacity(self.parameters(inputs));
        for (from, to) in self.layers(inputs) {
            let far = if self.hidden.is_empty() {
                0.0
            } else {
                (6.0 / (from + to) as f64).sqrt()
            };
            for _ in 0..to {
                parameters.extend((0..from).map(|_| far * (2.0 * random.next() - 1.0)));
                parameters.push(0.0);
            }
        }
        parameters
    }

    pub(crate) fn room(&self, inputs: usize) -> Room {
        let sizes = std::iter::once(inputs).chain(self.layers(inputs).map(|(_, to)| to));
        let values: Vec<Vec<f64>> = sizes.map(|size| vec![0.0; size]).collect();
        Room {
            slopes: values.clone(),
            values,
        }
    }

    /// The output for a row.
    pub(crate) fn output(&self, parameters: &[f64], x: &[f64], room: &mut Room) -> f64 {
        room.values[0].copy_from_slice(x);
        let mut rest = parameters;
        let last = self.hidden.len();
        for layer in 0..=last {
            let (before, after) = room.values.split_at_mut(layer + 1);
            let (from, to) = (&before[layer], &mut after[0]);
            let (of_layer, others) = rest.split_at(to.len() * (from.len() + 1));
            rest = others;
            for (value, unit) in to.iter_mut().zip(of_layer.chunks_exact(from.len() + 1)) {
                let sum: f64 = unit.iter().zip(from).map(|(w, x)| w * x).sum::<f64>() + unit[from.len()];
                *value = if layer == last { sum } else { self.activation.of(sum) };
            }
        }
        room.values[last + 1][0]
    }

    /// The loss of a row; adds its derivatives to each parameter.
    pub(crate) fn add_slopes(&self, parameters: &[f64], x: &[f64], y: f64, room: &mut Room, into: &mut [f64]) -> f64 {
        let output = self.output(parameters, x, room);
        let (loss, slope) = self.loss.of(output, y);
        let last = self.hidden.len();
        room.slopes[last + 1][0] = slope;
        let mut end = parameters.len();
        for layer in (0..=last).rev() {
            let (before, after) = room.slopes.split_at_mut(layer + 1);
            let (from, to) = (&room.values[layer], &after[0]);
            let begin = end - to.len() * (from.len() + 1);
            before[layer].fill(0.0);
            let units = parameters[begin..end].chunks_exact(from.len() + 1);
            let sums = into[begin..end].chunks_exact_mut(from.len() + 1);
            for ((unit, sums), slope) in units.zip(sums).zip(to) {
                for (at, x) in from.iter().enumerate() {
                    sums[at] += slope * x;
                    before[layer][at] += slope * unit[at];
                }
                sums[from.len()] += slope;
            }
            if layer > 0 {
                for (slope, value) in before[layer].iter_mut().zip(from) {
                    *slope *= self.activation.slope_of(*value);
                }
            }
            end = begin;
        }
        loss
    }
}

impl Room {
    /// The derivatives of the loss to what comes into each unit, of the row that was looked at last.
    pub(crate) fn pulls(&self) -> Vec<f64> {
        self.slopes[1..].concat()
    }
}

impl Activation {
    fn of(self, sum: f64) -> f64 {
        match self {
            Activation::Tanh => sum.tanh(),
            Activation::Relu => sum.max(0.0),
        }
    }

    /// The derivative, from what was given on.
    fn slope_of(self, value: f64) -> f64 {
        match self {
            Activation::Tanh => 1.0 - value * value,
            Activation::Relu => f64::from(value > 0.0),
        }
    }
}

impl Loss {
    /// The loss, and its derivative to the output.
    fn of(self, output: f64, y: f64) -> (f64, f64) {
        match self {
            Loss::Logistic => {
                // log(1 + exp output) − y output, for large outputs too.
                let loss = output.max(0.0) + (-output.abs()).exp().ln_1p() - y * output;
                (loss, Loss::Logistic.mean(output) - y)
            }
            Loss::Squared => ((output - y) * (output - y) / 2.0, output - y),
        }
    }

    /// What an output says of the response: a probability, or a mean.
    pub(crate) fn mean(self, output: f64) -> f64 {
        match self {
            Loss::Logistic => 1.0 / (1.0 + (-output).exp()),
            Loss::Squared => output,
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): for starts that are the same everywhere, never for secrets.
struct Random(u64);

impl Random {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests;
