//! The model that a statement asks for, at the place to which its steps have come. Next: `model/learn.rs`, those without coefficients of a
//! formula.

mod learn;

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use terms::{Problem, Report};

use crate::cox::{self, Baseline, Cox, Ties, Transform};
use crate::design::{Design, DesignColumn, LevelOf, Need, Value, Variable};
use crate::family::{Family, Link};
use crate::formula::{Formula, Response};
use crate::frame::Frame;
use crate::glm::{self, Glm};
use crate::kmeans;
use crate::pca;
use crate::rounds::{Next, Rounds};
use crate::statement::Statement;
use crate::survival::Survival;
use crate::training::Trained;

/// A model between two steps.
pub trait Step: fmt::Debug + Send + Sync {
    /// How many numbers this step adds up.
    fn width(&self) -> usize;

    /// No step adds up more, if that is known: [`Rounds::width_max`].
    fn width_max(&self) -> Option<usize>;

    /// Whether all rows of a node have to be in one frame.
    fn needs_whole_node(&self) -> bool {
        false
    }

    /// As [`Rounds::bytes`].
    fn bytes(&self, _rows: usize) -> usize {
        0
    }

    /// Adds up over the rows of a frame.
    fn add(&self, frame: &Frame, into: &mut [f64]);

    /// As [`Rounds::groups`].
    fn groups(&self) -> usize {
        0
    }

    /// As [`Rounds::groups_of`].
    fn groups_of(&self, _frame: &Frame) -> Vec<usize> {
        Vec::new()
    }

    /// As [`Rounds::pulls`].
    fn pulls(&self) -> usize {
        0
    }

    /// As [`Rounds::each_pull`].
    fn each_pull(&self, _frame: &Frame, _with: &mut dyn FnMut(&[f64])) {}

    /// What follows from the sums over all rows of all nodes.
    ///
    /// # Errors
    /// As [`Rounds::next`].
    fn next(&self, sums: &[f64]) -> Result<Next<Arc<dyn Step>, Fitted>, Report>;
}

/// A model that a statement asks for.
#[derive(Clone, Debug)]
pub struct Model {
    /// What is read of each row.
    pub needs: Vec<Need>,
    /// What its sums tell of groups of people.
    pub exposure: Exposure,
    /// Before the first step.
    pub start: Arc<dyn Step>,
}

/// What the sums of a model tell of groups of people: for the checks on what may leave.
#[derive(Clone, Debug, Default)]
pub struct Exposure {
    /// Parameters that are estimated.
    pub parameters: usize,
    /// So many of the model's needs go into sums.
    pub summed: usize,
    /// All levels of all factors.
    pub levels: Vec<LevelOf>,
    /// What is multiplied in its sums: the columns of the model matrix, offsets, weight and response.
    pub columns: Vec<DesignColumn>,
    /// Offsets by whose exponential rows are weighed.
    pub offsets: Vec<Value>,
    /// Which of the model's needs is the weight of a row, if it has one.
    pub weight: Option<usize>,
    /// What is 0 or 1 for each person: the outcome, or whether the event came.
    pub outcome: Option<Value>,
    /// How it can be seen of whom they tell.
    pub tells: Tells,
}

impl Exposure {
    fn of_glm(design: &Design, family: Family) -> Self {
        let mut exposure = Self::of_design(design, family == Family::Binomial);
        if family == Family::Gaussian {
            exposure.offsets.clear();
        }
        exposure
    }

    /// Of a model whose sums are those of a formula.
    fn of_design(design: &Design, has_outcome: bool) -> Self {
        let has_outcome = has_outcome || design.response.is_indicator();
        Self {
            parameters: design.columns.len(),
            summed: design.summed,
            levels: design.levels.clone(),
            columns: design.summed_columns(),
            offsets: design.offsets.clone(),
            weight: design.weight.as_ref().and_then(Value::number),
            outcome: has_outcome.then(|| design.response.clone()),
            tells: Tells::Products,
        }
    }
}

/// How it can be seen of whom the sums of a model tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tells {
    /// Sums over all rows, in each step over the same: it can be seen before the first step.
    #[default]
    Products,
    /// Sums over groups of rows that follow from where a step is taken: it can be seen in each step ([`Step::groups`]).
    Groups,
    /// A function of the rows of which nobody can say whom it tells of.
    Opaque,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Fitted {
    /// A generalised linear model.
    Glm(glm::Fitted),
    /// A Cox regression.
    Cox(cox::Fitted),
    /// Principal components.
    Pca(pca::Fitted),
    /// Clusters.
    KMeans(kmeans::Fitted),
    /// Generalised linear models along a path of penalties.
    Penalised(glm::penalised::Fitted),
    /// A network.
    Trained(Trained),
}

impl Model {
    /// The model that a statement asks for, over the columns of a collection.
    ///
    /// # Errors
    /// `E_MODEL_FORMULA` and `E_SQL_COLUMN`, which say what cannot be and what can.
    pub fn new(statement: &Statement, variables: &[Variable]) -> Result<Self, Report> {
        match statement.analysis.as_str() {
            "glm" => glm(statement, variables),
            "cox" => cox(statement, variables),
            "pca" => learn::pca(statement, variables),
            "kmeans" => learn::kmeans(statement, variables),
            "penalised" => learn::penalised(statement, variables),
            "train" => learn::train(statement, variables),
            other => {
                let report = Problem::ModelFormula.report(format!("there is no analysis {other}"));
                Err(report.remedy("there are glm, penalised, cox, pca, kmeans and train"))
            }
        }
    }
}

fn glm(statement: &Statement, variables: &[Variable]) -> Result<Model, Report> {
    statement.require_known(&["formula", "family", "link", "theta", "weights", "complete"])?;
    let formula = formula(statement)?;
    if !formula.strata.is_empty() {
        return Err(Problem::ModelFormula.report("a glm has no strata: use the column as a factor"));
    }
    let theta = statement.option("theta").map(str::parse::<f64>).transpose();
    let theta = theta.map_err(|_| Problem::ModelFormula.report("theta is not a number"))?;
    let family = Family::named(statement.option("family").unwrap_or("gaussian"), theta)?;
    let link = statement.option("link").map(str::parse::<Link>).transpose()?;
    let design = Design::new(&formula, statement.option("weights"), &statement.complete(), variables)?;
    if let Response::One(response) = &formula.response
        && let Some(variable) = variables.iter().find(|variable| variable.name == response.column)
    {
        family.require_response(variable, design.response.is_indicator())?;
    }
    let exposure = Exposure::of_glm(&design, family);
    Ok(Model {
        needs: design.needs.clone(),
        exposure,
        start: start(Glm::new(family, link, design)?, Fitted::Glm),
    })
}

fn cox(statement: &Statement, variables: &[Variable]) -> Result<Model, Report> {
    statement.require_known(&["formula", "ties", "baseline", "check", "complete"])?;
    let survival = Survival::new(&formula(statement)?, &statement.complete(), variables)?;
    let ties = chosen(statement, "ties", &[("efron", Ties::Efron), ("breslow", Ties::Breslow)])?;
    let baselines = [("node", Baseline::OfEachNode), ("shared", Baseline::Shared)];
    let baseline = chosen(statement, "baseline", &baselines)?.unwrap_or_default();
    let checks = [
        ("identity", Transform::Identity),
        ("log", Transform::Log),
        ("km", Transform::Km),
    ];
    let check = chosen(statement, "check", &checks)?;
    let cox = Cox::new(survival, ties.unwrap_or_default(), baseline, check)?;
    let (survival, design) = (cox.survival(), &cox.survival().design);
    let tells_times = baseline == Baseline::Shared || check == Some(Transform::Km);
    let bins = if tells_times { survival.bins() } else { Vec::new() };
    let strata = survival.classes();
    let mut exposure = Exposure::of_design(design, true);
    // With a shared baseline all is summed for each bin of each stratum apart, over all who end there and over those with an event.
    let first = |levels: &[LevelOf]| levels.first().map(|level| level.value.clone());
    let mut apart: Vec<Value> = strata.iter().filter_map(|levels| first(levels)).collect();
    match baseline {
        Baseline::OfEachNode => {
            let strata = (!apart.is_empty()).then(|| DesignColumn::of("strata", apart));
            exposure.columns.extend(strata);
        }
        Baseline::Shared => {
            apart.extend(first(&bins).into_iter().chain([design.response.clone()]));
            let columns = exposure.columns.iter_mut();
            columns.for_each(|column| column.factors.extend(apart.iter().cloned()));
            exposure.columns.push(DesignColumn::of("the time", apart));
        }
    }
    exposure.levels.extend(strata.into_iter().flatten().chain(bins));
    Ok(Model {
        needs: design.needs.clone(),
        exposure,
        start: start(cox, Fitted::Cox),
    })
}

fn formula(statement: &Statement) -> Result<Formula, Report> {
    let text = statement.option("formula").ok_or_else(|| {
        let report = Problem::ModelFormula.report(format!("{} needs a formula", statement.analysis));
        report.remedy("for instance formula => 'relapsed ~ age'")
    })?;
    Formula::parse(text)
}

/// What an option chooses among a few.
fn chosen<T: Copy>(statement: &Statement, name: &str, all: &[(&str, T)]) -> Result<Option<T>, Report> {
    let Some(said) = statement.option(name) else {
        return Ok(None);
    };
    let found = all.iter().find(|(known, _)| *known == said);
    let (_, found) = found.ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|(known, _)| *known).collect();
        let report = Problem::ModelFormula.report(format!("{name} cannot be {said}"));
        report.remedy(format!("it is one of {}", known.join(", ")))
    })?;
    Ok(Some(*found))
}

/// An analysis before its first step.
fn start<R>(rounds: R, fitted: fn(R::Fitted) -> Fitted) -> Arc<dyn Step>
where
    R: Rounds + fmt::Debug + Send + Sync + 'static,
    R::State: Send + Sync + 'static,
    R::Fitted: 'static,
{
    let state = rounds.start();
    let rounds = Arc::new(rounds);
    Arc::new(At { rounds, state, fitted })
}

/// An analysis at a place.
struct At<R: Rounds> {
    rounds: Arc<R>,
    state: R::State,
    fitted: fn(R::Fitted) -> Fitted,
}

impl<R> Step for At<R>
where
    R: Rounds + fmt::Debug + Send + Sync + 'static,
    R::State: Send + Sync + 'static,
    R::Fitted: 'static,
{
    fn width(&self) -> usize {
        self.rounds.width(&self.state)
    }

    fn width_max(&self) -> Option<usize> {
        self.rounds.width_max()
    }

    fn needs_whole_node(&self) -> bool {
        R::NEEDS_WHOLE_NODE
    }

    fn bytes(&self, rows: usize) -> usize {
        self.rounds.bytes(rows)
    }

    fn add(&self, frame: &Frame, into: &mut [f64]) {
        self.rounds.add(&self.state, frame, into);
    }

    fn groups(&self) -> usize {
        self.rounds.groups(&self.state)
    }

    fn groups_of(&self, frame: &Frame) -> Vec<usize> {
        self.rounds.groups_of(&self.state, frame)
    }

    fn pulls(&self) -> usize {
        self.rounds.pulls(&self.state)
    }

    fn each_pull(&self, frame: &Frame, with: &mut dyn FnMut(&[f64])) {
        self.rounds.each_pull(&self.state, frame, with);
    }

    fn next(&self, sums: &[f64]) -> Result<Next<Arc<dyn Step>, Fitted>, Report> {
        Ok(match self.rounds.next(&self.state, sums)? {
            Next::Done(fitted) => Next::Done((self.fitted)(fitted)),
            Next::Step(state) => Next::Step(Arc::new(Self {
                rounds: Arc::clone(&self.rounds),
                state,
                fitted: self.fitted,
            })),
        })
    }
}

impl<R: Rounds + fmt::Debug> fmt::Debug for At<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("At")
            .field("rounds", &self.rounds)
            .finish_non_exhaustive()
    }
}
