//! Fits at a node: a statement over one collection, its rows in memory, what they add to each step.
//!
//! The statement's rows are a list of columns of one collection and conditions, as any row query; they never leave. What leaves is what
//! [`models`] adds up over them, step by step, and only after `fit/judge.rs` has looked at whom it tells of. Where the next step is taken
//! follows from the sums of all nodes, here as at the data user: [`Fit::advance`]. Next: `fit/rows.rs`, how rows come into memory.

mod groups;
mod judge;
mod overlap;
mod rows;
mod weights;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, ident};
use models::design::{Need, Variable};
use models::frame::Frame;
use models::model::Tells;
use models::rounds::Next;
use models::statement::Missing;
use models::{Model, Statement, Step};
use policy::{Collection, ColumnKind, Domain, Grant, ModelRules, Overlaps, Release, Sum, Tier};
use terms::{CollectionId, Problem, Report, limit};
use tokio::task::JoinSet;

use crate::dataset::ORDER;
use crate::disclose::Rules;
use crate::domain;
use crate::enforce::cells::{About, condition_groups};
use crate::enforce::expr::{all_of, column_expr};
use crate::enforce::{BuildError, Holding, Part, scan};
use crate::execute::ExecuteError;
use crate::kept::{KeptValue, KeptValues};
use crate::query::{Condition, NODE_COLUMN, Query, RowQuery};
use crate::read::{self, Collections};
use crate::session::{self, Planning};
use crate::transform;
use crate::workers;

/// A statement that was read: what to fit, over which rows.
#[derive(Clone, Debug)]
pub struct FitQuery {
    /// What was asked.
    pub statement: Statement,
    rows: RowQuery,
    model: Model,
}

impl FitQuery {
    /// Reads a statement over `collections`.
    ///
    /// # Errors
    /// As [`read::read`] for its rows; `E_MODEL_FORMULA` and `E_SQL_COLUMN` for its model; `E_SQL_NOT_ALLOWED` if the rows are not those
    /// of one collection, or not the columns that the model needs.
    pub async fn read(text: &str, collections: &Collections) -> Result<Self, Report> {
        read::check_size(text)?;
        let statement = Statement::parse(text)?;
        let rows = read_rows(&statement.rows, collections).await?;
        let collection = collections.get(&rows.collection);
        let collection = collection.ok_or_else(|| Problem::SqlCollection.report("there is no such collection"))?;
        let model = Model::new(&statement, &variables(collection, &statement.nodes))?;
        let named: BTreeSet<&str> = rows.columns.iter().map(|(column, _)| column.as_str()).collect();
        let needed: BTreeSet<&str> = model.needs.iter().map(Need::column).collect();
        if named != needed {
            let needed = needed.into_iter().collect::<Vec<_>>().join(", ");
            let report = Problem::SqlNotAllowed.report("the rows of the fit are not the columns that its model needs");
            return Err(report.remedy(format!("SELECT {needed}")));
        }
        let read = Self { statement, rows, model };
        read.require_maskable().map(|()| read)
    }

    /// The same model over the same rows, with masked sums or plain ones, in so many steps at most. With plain ones nobody may be missing.
    ///
    /// # Errors
    /// `E_MODEL_FORMULA` or `E_MODEL_DISCLOSURE` if it cannot be fitted from masked sums.
    pub fn with(mut self, masked: bool, missing: Missing, steps: u32) -> Result<Self, Report> {
        (self.statement.masked, self.statement.steps) = (masked, steps);
        self.statement.missing = if masked { missing } else { Missing::Refused };
        self.require_maskable().map(|()| self)
    }

    /// Masked sums are planned before the first step; and in no sum over all nodes may one of them be told apart.
    fn require_maskable(&self) -> Result<(), Report> {
        if self.statement.masked && self.width_max().is_none() {
            let message = format!("{} has no masked sums", self.statement.analysis);
            return Err(Problem::ModelFormula.report(message));
        }
        if self.statement.masked && self.columns().contains(NODE_COLUMN) {
            let message = "the column node tells nodes apart, and only the sums of all nodes together may be seen here";
            return Err(Problem::ModelDisclosure
                .report(message)
                .remedy("leave node out of terms and conditions"));
        }
        Ok(())
    }

    /// The text that nodes are asked for a model over rows of a collection: with the columns that the model needs, under `conditions`.
    ///
    /// # Errors
    /// As [`FitQuery::read`].
    pub async fn compose(
        mut statement: Statement,
        collection: &Collection,
        conditions: &str,
        collections: &Collections,
    ) -> Result<Self, Report> {
        let model = Model::new(&statement, &variables(collection, &statement.nodes))?;
        let columns: BTreeSet<&str> = model.needs.iter().map(Need::column).collect();
        let columns = columns.into_iter().collect::<Vec<_>>().join(", ");
        let conditions = match conditions.trim() {
            "" => String::new(),
            conditions => format!(" WHERE {conditions}"),
        };
        let rows = format!("SELECT {columns} FROM {}{conditions}", collection.sql_name());
        let rows = read_rows(&rows, collections).await?;
        statement.rows = rows.to_string();
        let text = statement.to_string();
        read::check_size(&text)?;
        let statement = Statement::parse(&text)?;
        let composed = Self { statement, rows, model };
        composed.require_maskable().map(|()| composed)
    }

    /// The collection that the rows are of.
    pub fn collection(&self) -> &CollectionId {
        &self.rows.collection
    }

    /// Every column that it touches, in whatever way.
    pub fn columns(&self) -> BTreeSet<String> {
        Query::Rows(self.rows.clone()).columns()
    }

    /// No step adds up more numbers, if that is known.
    pub fn width_max(&self) -> Option<usize> {
        self.model.start.width_max()
    }

    /// So many of its nodes stay to the end, by the statement.
    pub fn nodes_min(&self) -> usize {
        match self.statement.missing {
            Missing::Refused => self.statement.nodes.len(),
            Missing::Allowed => 0,
        }
    }

    /// The model before its first step.
    pub fn start(&self) -> Arc<dyn Step> {
        Arc::clone(&self.model.start)
    }
}

async fn read_rows(sql: &str, collections: &Collections) -> Result<RowQuery, Report> {
    match read::read(sql, collections).await? {
        Query::Rows(rows) => Ok(rows),
        Query::Release(_) => {
            let message = "the rows of a fit are SELECT columns FROM one collection, without aggregates";
            Err(Problem::SqlNotAllowed.report(message))
        }
    }
}

/// What a collection declares of the columns that a model may name, and the virtual column with the nodes that take part.
pub fn variables(collection: &Collection, nodes: &[String]) -> Vec<Variable> {
    let usable = collection
        .columns
        .iter()
        .filter(|column| !column.roles.identifier && column.roles.any_query());
    let variable = |column: &policy::Column| {
        let edges = match &column.domain {
            Some(Domain::Bins(edges)) => edges.clone(),
            _ => Vec::new(),
        };
        let levels = match (&column.domain, column.kind) {
            (Some(Domain::Texts(texts)), _) => texts.clone(),
            (Some(Domain::Integers(numbers)), _) => numbers.iter().map(ToString::to_string).collect(),
            (None, ColumnKind::Boolean) => vec!["false".to_owned(), "true".to_owned()],
            _ => Vec::new(),
        };
        let of_integers = match &column.domain {
            Some(Domain::Integers(numbers)) => {
                let (low, high) = (numbers.iter().min(), numbers.iter().max());
                low.zip(high).map(|(low, high)| (*low as f64, *high as f64))
            }
            _ => None,
        };
        let of_kind = (column.kind == ColumnKind::Boolean).then_some((0.0, 1.0));
        let of_edges = edges.first().zip(edges.last()).map(|(low, high)| (*low, *high));
        let of_bounds = column.bounds.map(|[low, high]| (low, high));
        Variable {
            name: column.name.clone(),
            is_number: matches!(
                column.kind,
                ColumnKind::Integer | ColumnKind::Number | ColumnKind::Boolean
            ),
            bounds: of_bounds.or(of_kind).or(of_integers).or(of_edges),
            levels,
            edges,
        }
    };
    let node = Variable {
        name: NODE_COLUMN.to_owned(),
        is_number: false,
        bounds: None,
        levels: nodes.to_vec(),
        edges: Vec::new(),
    };
    usable.map(variable).chain([node]).collect()
}

/// A fit that a grant allows. Only [`enforce_fit`] makes one.
#[derive(Debug)]
pub struct EnforcedFit {
    plans: Vec<LogicalPlan>,
    state: SessionState,
    model: Model,
    layout: Layout,
    judge: Option<judge::Judge>,
    /// Whether nothing may be told that is of this node alone.
    masked: bool,
}

/// The columns of the plan: what the model needs, whether each condition group is passed, and whose row it is.
#[derive(Clone, Debug)]
struct Layout {
    needs: Vec<Need>,
    groups: usize,
    /// The needs of which it is a yes or no about each person that they are known.
    guarded: Vec<usize>,
    is_personal: bool,
    weight: Option<Weighed>,
}

/// The column by which rows are weighed.
#[derive(Clone, Copy, Debug)]
struct Weighed {
    /// Its place among the needs.
    need: usize,
    /// Whether its declared bounds let somebody have no weight.
    may_be_zero: bool,
}

/// Builds the plan that `grant` allows for a fit on what the node holds.
///
/// # Errors
/// `E_SQL_ROLE`, `E_SQL_DOMAIN` or `E_SQL_LIMIT` if it uses columns for what the collection does not declare; `E_MODEL_DISCLOSURE` if it
/// is not over enough nodes, takes too many steps or shows sums that the policy has masked; `E_INTERNAL` if grant, fit and dataset are
/// not about the same.
pub fn enforce_fit(fit: &FitQuery, grant: &Grant, holding: Holding<'_>) -> Result<EnforcedFit, Report> {
    let collection = grant.collection();
    let columns = fit.columns();
    let is_covered = *fit.collection() == collection.id
        && *fit.collection() == *holding.dataset.collection()
        && grant.release() == Release::Models
        && columns.iter().all(|column| grant.columns().contains(column));
    if !is_covered {
        return Err(Problem::Internal.report("the grant does not cover the fit"));
    }
    admit_fit(fit, grant)?;
    let built = build(fit, grant, collection, holding);
    built.map_err(|error| match error {
        BuildError::Refused(report) => report,
        BuildError::Engine(error) => Problem::Internal.report(format!("no plan: {}", error.strip_backtrace())),
    })
}

/// All of [`enforce_fit`] that can be said without data.
///
/// # Errors
/// As [`enforce_fit`].
pub fn admit_fit(fit: &FitQuery, grant: &Grant) -> Result<(), Report> {
    let collection = grant.collection();
    transform::require_untouched(&fit.columns(), grant)?;
    for need in &fit.model.needs {
        domain::check_need(need, collection)?;
    }
    domain::check(&Query::Rows(fit.rows.clone()), collection)?;
    if grant.tier() != Tier::Open {
        require_seen(fit, collection)?;
    }
    match grant.models() {
        Some(rules) => require_within(&fit.statement, rules),
        None => Ok(()),
    }
}

/// Refuses sums of which a node could not see whom they tell of.
fn require_seen(fit: &FitQuery, collection: &Collection) -> Result<(), Report> {
    let refuse = |message: &str, remedy: &str| Err(Problem::ModelDisclosure.report(message).remedy(remedy));
    match fit.model.exposure.tells {
        Tells::Products => Ok(()),
        Tells::Groups if collection.personal && collection.rows_per_person_max != Some(1) => refuse(
            "a person can have several rows here, so rows in a cluster are not people",
            "ask a collection with one row for each person",
        ),
        Tells::Groups => Ok(()),
        Tells::Opaque if fit.statement.masked => Ok(()),
        Tells::Opaque => refuse(
            "what a node would send is a function of its rows of which nobody can see whom it tells of",
            "train by sums of gradients, with the activation tanh, or where only the sums of all nodes are seen",
        ),
    }
}

/// The rules of a policy that need no data.
fn require_within(statement: &Statement, rules: &ModelRules) -> Result<(), Report> {
    let refuse = |message: String, remedy: String| Err(Problem::ModelDisclosure.report(message).remedy(remedy));
    let nodes = statement.nodes.len();
    if nodes < rules.nodes_min as usize {
        let remedy = format!("ask {} nodes or more", rules.nodes_min);
        return refuse(
            format!(
                "a fit here is over {} nodes at least, and this is over {nodes}",
                rules.nodes_min
            ),
            remedy,
        );
    }
    if statement.steps > rules.steps_max {
        let remedy = format!("ask for {} steps or fewer", rules.steps_max);
        return refuse(format!("a fit here takes {} steps at most", rules.steps_max), remedy);
    }
    if rules.sum == Sum::Masked && !statement.masked {
        let remedy = "ask for masked sums: sum => 'masked'".to_owned();
        return refuse(
            "only the sums of all nodes together may be seen here".to_owned(),
            remedy,
        );
    }
    Ok(())
}

fn build(
    fit: &FitQuery,
    grant: &Grant,
    collection: &Collection,
    holding: Holding<'_>,
) -> Result<EnforcedFit, BuildError> {
    let is_personal = collection.personal;
    let (about, everywhere, groups) = if is_personal {
        let (everywhere, groups) = condition_groups(&fit.rows.conditions);
        (About::People, everywhere, groups.into_values().collect())
    } else {
        let all: Vec<&Condition> = fit.rows.conditions.iter().collect();
        (About::Things, all, Vec::new())
    };
    let groups: Vec<Vec<&Condition>> = groups;
    let mut plans = Vec::new();
    for part in Part::all(holding.dataset, about) {
        let mut plan = scan(grant, holding, part, None)?;
        if let Some(condition) = all_of(everywhere.iter().copied(), holding.node) {
            plan = plan.filter(condition)?;
        }
        let needs = fit.model.needs.iter().enumerate();
        let needs = needs.map(|(at, need)| column_expr(need.column(), holding.node).alias(format!("need_{at}")));
        let passes = groups.iter().enumerate();
        let passes = passes
            .filter_map(|(at, group)| Some(all_of(group.iter().copied(), holding.node)?.alias(format!("passes_{at}"))));
        let order = is_personal.then(|| ident(ORDER));
        plans.push(plan.project(needs.chain(passes).chain(order))?.build()?);
    }
    let judge = match grant.tier() {
        Tier::Open => None,
        Tier::Statistical { .. } => {
            let Some(rules) = grant.models() else {
                return Err(Problem::Internal.report("the grant has no rules for models").into());
            };
            Some(judge::Judge {
                rules: Rules::of(grant, collection),
                parameters_share: rules.parameters_share,
                refuses_overlaps: rules.overlaps == Overlaps::Refuse,
                tells_pairs: !fit.statement.masked,
                roster: fit.statement.masked.then(|| overlap::Roster {
                    nodes: fit.statement.nodes.iter().cloned().collect(),
                    nodes_min: rules.nodes_min.into(),
                }),
                collection: collection.id.clone(),
                measures: measures(collection),
            })
        }
    };
    Ok(EnforcedFit {
        plans,
        state: session::for_running(Planning::OfAList)?,
        layout: Layout {
            needs: fit.model.needs.clone(),
            groups: groups.len(),
            guarded: guarded(&fit.model.needs, collection),
            is_personal,
            weight: weighed(fit, collection),
        },
        model: fit.model.clone(),
        judge,
        masked: fit.statement.masked,
    })
}

/// The columns of numbers that can be summed, and whether they are whole.
fn measures(collection: &Collection) -> BTreeMap<String, bool> {
    let measures = collection.columns.iter().filter(|column| column.roles.measure);
    let number = |column: &policy::Column| match column.kind {
        ColumnKind::Integer => Some((column.name.clone(), true)),
        ColumnKind::Number => Some((column.name.clone(), false)),
        _ => None,
    };
    measures.filter_map(number).collect()
}

/// As `count(x)` has it: that the value of a measure is missing is not protected.
fn guarded(needs: &[Need], collection: &Collection) -> Vec<usize> {
    let is_guarded = |need: &Need| {
        collection
            .column(need.column())
            .is_some_and(|column| !column.roles.measure)
    };
    let needs = needs.iter().enumerate();
    needs.filter(|(_, need)| is_guarded(need)).map(|(at, _)| at).collect()
}

fn weighed(fit: &FitQuery, collection: &Collection) -> Option<Weighed> {
    let need = fit.model.exposure.weight?;
    let name = fit.model.needs[need].column();
    let variables = variables(collection, &[]);
    let bounds = variables.iter().find(|variable| variable.name == name)?.bounds;
    let may_be_zero = bounds.is_none_or(|(low, _)| low <= 0.0);
    Some(Weighed { need, may_be_zero })
}

/// A fit whose rows are in memory, and of which sums may leave.
#[derive(Debug)]
pub struct Fit {
    step: Arc<dyn Step>,
    frames: Vec<Arc<Frame>>,
    /// Rows left out because a column is not known; none if that is so of too few people to be told, or sums are masked.
    dropped: Option<u64>,
    /// None where nothing has to be protected.
    judge: Option<judge::Judge>,
    /// The groups of rows that its steps told apart.
    told: groups::Told,
    /// Of whom its steps must not have nearly all; none where nothing has to be protected or only the sum of all nodes is seen.
    weighing: Option<Arc<weights::Weighing>>,
    /// Whom it is about.
    about: overlap::About,
    /// What steps take beside rows.
    room: Room,
    /// Given back when the fit ends.
    _memory: Vec<MemoryReservation>,
}

/// Bytes that it takes to look at whom a row tells of: in which group it is, and its value of a number.
const JUDGED_ROW_BYTES: usize = size_of::<usize>() + size_of::<f64>();

/// Memory beside that of the rows, taken before it is used.
#[derive(Debug)]
struct Room(MemoryReservation);

impl Room {
    /// # Errors
    /// `E_RESOURCES` if there is not so much.
    fn require(&self, bytes: usize) -> Result<(), Report> {
        let bytes = bytes.max(self.0.size());
        self.0.try_resize(bytes).map_err(|_| {
            let report = Problem::Resources.report("the model needs more memory here than one query may have");
            report.remedy("take fewer terms, or a condition that fewer rows fulfil")
        })
    }
}

/// Bytes that the steps of a model take beside rows, over all frames at the same time.
fn bytes_of_steps(start: &dyn Step, frames: &[Arc<Frame>]) -> usize {
    let width = start.width_max().unwrap_or_else(|| start.width());
    let of_sums = (frames.len() + 1) * width * size_of::<f64>();
    of_sums + frames.iter().map(|frame| start.bytes(frame.rows)).sum::<usize>()
}

/// Reads the rows of a fit and looks at whom its sums would tell of. `kept` is what the node released before.
///
/// # Errors
/// [`FitError::Refused`] with what may not leave; [`FitError::Failed`] if the rows could not be read.
pub async fn begin_fit(enforced: EnforcedFit, kept: &KeptValues) -> Result<Fit, FitError> {
    let EnforcedFit {
        plans,
        state,
        model,
        layout,
        judge,
        masked,
    } = enforced;
    let weight = layout.weight;
    let room = MemoryConsumer::new("steps").register(&state.runtime_env().memory_pool);
    let seconds = limit::QUERY_SECONDS_MAX;
    let reading = rows::read(plans, state, Arc::new(layout), model.start.needs_whole_node());
    let read = tokio::time::timeout(std::time::Duration::from_secs(seconds), reading).await;
    let read = read.map_err(|_| ExecuteError::Limit {
        what: format!("{seconds} s"),
    })??;
    let (dropped, about) = match &judge {
        None => (Some(read.dropped_rows), overlap::About::default()),
        Some(judge) => {
            let rows: usize = read.frames.iter().map(|frame| frame.rows).sum();
            room.try_resize(rows * JUDGED_ROW_BYTES).map_err(ExecuteError::from)?;
            let about = judge.admit(&read, &model, kept).map_err(FitError::Refused)?;
            weights::admit_left_out(&read, weight, &judge.rules).map_err(FitError::Refused)?;
            (judge.tells_dropped(&read), about)
        }
    };
    if read.has_negative_weight {
        let report = Problem::ModelData.report("the weight is below 0 in a row here");
        return Err(FitError::Refused(report.remedy("use another column as the weight")));
    }
    let room = Room(room);
    let bytes = bytes_of_steps(&*model.start, &read.frames);
    room.require(bytes).map_err(FitError::Refused)?;
    let seen = judge.as_ref().filter(|judge| judge.tells_pairs);
    let weighing = seen.map(|_| Arc::new(weights::Weighing::of(&read, &model)));
    Ok(Fit {
        step: model.start,
        frames: read.frames,
        dropped: dropped.filter(|_| !masked),
        judge,
        told: groups::Told::default(),
        weighing,
        about,
        room,
        _memory: read.memory,
    })
}

/// Why a fit does not begin.
#[derive(Debug)]
pub enum FitError {
    /// What would leave may not.
    Refused(Report),
    /// Something failed; for the local log only.
    Failed(ExecuteError),
}

impl From<ExecuteError> for FitError {
    fn from(error: ExecuteError) -> Self {
        FitError::Failed(error)
    }
}

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Another step.
    Step,
    /// Nothing.
    End,
}

impl Fit {
    /// Rows left out because a column is not known, if that may be told.
    pub fn dropped(&self) -> Option<u64> {
        self.dropped
    }

    /// The threshold that was applied, if any.
    pub fn min_people(&self) -> Option<policy::MinPeople> {
        self.judge.as_ref().and_then(|judge| judge.rules.min_people())
    }

    /// Enters the fit, with those who are in its sums, among the fits with which later ones are compared, and gives back what is new of it: the
    /// node keeps that before it says anything by which a sum can be known.
    ///
    /// # Errors
    /// `E_MODEL_DISCLOSURE` if it differs by too few people, or nodes, from a fit that was entered before, or too few nodes are left; `E_RESOURCES`
    /// if no more can be kept.
    pub fn enter<'n>(&self, nodes: impl Iterator<Item = &'n str>, kept: &KeptValues) -> Result<Vec<KeptValue>, Report> {
        let Some(judge) = &self.judge else {
            return Ok(Vec::new());
        };
        judge.enter(&self.about, nodes, kept)
    }

    /// What this node's rows add to the step, on all processors.
    ///
    /// # Errors
    /// [`ExecuteError::Stopped`] if a part of the work ended without a word.
    pub async fn sums(&self) -> Result<Vec<f64>, ExecuteError> {
        let width = self.step.width();
        let mut running = JoinSet::new();
        for (at, frame) in self.frames.iter().enumerate() {
            let (step, frame) = (Arc::clone(&self.step), Arc::clone(frame));
            let add = async move {
                let mut sums = vec![0.0; width];
                step.add(&frame, &mut sums);
                (at, sums)
            };
            running.spawn_on(add, &workers::handle());
        }
        let mut parts = vec![Vec::new(); self.frames.len()];
        while let Some(part) = running.join_next().await {
            let (at, sums) = part.map_err(|_| ExecuteError::Stopped)?;
            parts[at] = sums;
        }
        let mut all = vec![0.0; width];
        for part in parts {
            all.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
        Ok(all)
    }

    /// Goes on from the sums of all nodes, on the threads of queries.
    ///
    /// # Errors
    /// As [`Step::next`]; `E_MODEL_DISCLOSURE` if the next step would tell apart too few people, or have nearly all its weight on them.
    pub async fn advance(&mut self, sums: Vec<f64>) -> Result<After, Report> {
        let step = Arc::clone(&self.step);
        let Next::Step(step) = on_workers(move || step.next(&sums)).await? else {
            return Ok(After::End);
        };
        if let Some(judge) = &self.judge {
            let (mut told, rules) = (std::mem::take(&mut self.told), judge.rules.clone());
            let (next, frames) = (Arc::clone(&step), self.frames.clone());
            let admit = move || told.admit(&*next, &frames, &rules).map(|()| told);
            self.told = on_workers(admit).await?;
            if let Some(weighing) = &self.weighing {
                self.room.require(weighing.bytes(&*step) * (self.frames.len() + 1))?;
                weighing.admit(&step, &self.frames, &judge.rules).await?;
            }
        }
        self.step = step;
        Ok(After::Step)
    }

    /// How many numbers this step adds up.
    pub fn width(&self) -> usize {
        self.step.width()
    }
}

async fn on_workers<T: Send + 'static>(work: impl FnOnce() -> Result<T, Report> + Send + 'static) -> Result<T, Report> {
    let done = workers::run(async move { work() }).await;
    done.unwrap_or_else(|| Err(ExecuteError::Stopped.report()))
}

#[cfg(test)]
mod tests;
