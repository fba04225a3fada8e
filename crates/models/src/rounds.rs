//! Analyses that go in steps: each node adds up numbers over its rows, all nodes' numbers are added, and from their sum follows what is
//! added up next.
//!
//! Where the next step goes follows from the sums alone, by the same lines at every node and at the data user: nobody chooses it. A node
//! must never take the place at which it adds up from whoever asks. Next: `glm.rs`.

use terms::{Problem, Report};

use crate::frame::Frame;

/// Numbers that are added over rows and over nodes.
pub type Sums = Vec<f64>;

/// An analysis that goes in steps.
pub trait Rounds {
    /// What is known between two steps.
    type State: Clone + std::fmt::Debug;
    /// What comes out.
    type Fitted;

    /// Whether a frame must hold all rows of a node, because what a row adds depends on the others.
    const NEEDS_WHOLE_NODE: bool = false;

    /// What is known before the first step: the same everywhere, whatever the data are.
    fn start(&self) -> Self::State;

    /// How many numbers this step adds up.
    fn width(&self, state: &Self::State) -> usize;

    /// No step adds up more numbers than this. None if that is not known: then sums cannot be masked, which are planned beforehand.
    fn width_max(&self) -> Option<usize> {
        None
    }

    /// Bytes that a step takes at most for a frame of so many rows, beside the frame and the sums. What does not grow with rows is not counted.
    fn bytes(&self, _rows: usize) -> usize {
        0
    }

    /// Adds up over the rows of a frame, into as many numbers as [`Rounds::width`] says.
    fn add(&self, state: &Self::State, frame: &Frame, into: &mut [f64]);

    /// How many groups of rows this step adds up apart that follow from where it is taken, so that nobody could look at them before.
    fn groups(&self, _state: &Self::State) -> usize {
        0
    }

    /// In which of these groups each row of a frame is.
    fn groups_of(&self, _state: &Self::State, _frame: &Frame) -> Vec<usize> {
        Vec::new()
    }

    /// In how many ways this step weighs rows by where it is taken: a few rows could have all the weight.
    fn pulls(&self, _state: &Self::State) -> usize {
        0
    }

    /// Calls for each row of a frame with how much it pulls, in as many numbers as [`Rounds::pulls`] says.
    fn each_pull(&self, _state: &Self::State, _frame: &Frame, _with: &mut dyn FnMut(&[f64])) {}

    /// What follows from the sums over all rows of all nodes.
    ///
    /// # Errors
    /// `E_MODEL_DATA`, `E_MODEL_SINGULAR`, `E_MODEL_SEPARATION` if there is no solution; each names the terms.
    fn next(&self, state: &Self::State, sums: &[f64]) -> Result<Next<Self::State, Self::Fitted>, Report>;
}

/// What follows from the sums of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Next<State, Fitted> {
    /// Another step.
    Step(State),
    /// The end.
    Done(Fitted),
}

/// Goes from the first step to the end, where the sums of each step are at hand.
///
/// # Errors
/// As `next`; `E_MODEL_STEPS` if so many steps are not enough.
pub fn to_the_end<State, Fitted>(
    mut state: State,
    steps: u32,
    next: impl Fn(&State) -> Result<Next<State, Fitted>, Report>,
) -> Result<Fitted, Report> {
    for _ in 0..steps {
        match next(&state)? {
            Next::Step(next) => state = next,
            Next::Done(fitted) => return Ok(fitted),
        }
    }
    Err(Problem::ModelSteps.report(format!("the model has not come to its end in {steps} steps")))
}
