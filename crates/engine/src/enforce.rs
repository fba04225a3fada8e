//! Our own plan for a query under a grant. Nothing of the asker's plan is kept: what runs is built here, from
//! typed parts, over the policy scan.
//!
//! Next: `enforce/cells.rs`, the plan of a release query; `fold.rs`, `disclose.rs` and `release.rs` act on what it gives.

pub(crate) mod cells;
pub(crate) mod expr;
mod join;

use std::ops::RangeInclusive;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::datasource::provider_as_source;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ident};
use policy::{Collection, Column, ColumnKind, Domain, Grant, Release, RowFilter, Tier};
use terms::{CollectionId, Problem, Report};

use self::cells::{About, Layout};
use self::expr::{all_of, column_expr};
use crate::dataset::{Dataset, ORDER};
use crate::disclose::{KeyFacts, Rules};
use crate::domain;
use crate::kept;
use crate::people::People;
use crate::query::{
    self, Case, Function, GroupKey, NODE_COLUMN, OutputSource, PairPart, Query, ReleaseQuery, RowQuery, Value,
};
use crate::scan::PolicyScan;
use crate::secret::NodeSecret;
use crate::session::{self, Planning};
use crate::transform;
use crate::workers;

/// The type of sums of integers that may not fit 64 bits: of one node they must not fail, because those of all may fit.
const WIDE_SUM: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);

/// The last column of an answer about people: what of its row is withheld, and why.
pub const WITHHELD_COLUMN: &str = "withheld";

/// A plan that does exactly what a grant allows. Only [`enforce()`] makes one, only [`crate::execute()`] takes one.
#[derive(Debug)]
pub struct EnforcedPlan {
    /// One for each part of the data; together they are about all of it, each about other people.
    pub(crate) plans: Vec<LogicalPlan>,
    pub(crate) state: SessionState,
    pub(crate) shape: Shape,
}

impl EnforcedPlan {
    /// The columns of the answer.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shape.schema)
    }
}

/// How the columns of the plan become the columns of the answer.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) schema: SchemaRef,
    pub(crate) kind: ShapeKind,
}

#[derive(Debug)]
pub(crate) enum ShapeKind {
    Rows,
    Cells(Box<CellShape>),
}

/// What becomes of the rows of a release query's plan.
#[derive(Debug)]
pub(crate) struct CellShape {
    /// None once the rows are being read.
    pub(crate) layout: Option<Layout>,
    /// None in the open tier.
    pub(crate) checks: Option<Checks>,
    /// Whether there is a cell also if there are no rows: of data without people, asked without keys.
    pub(crate) keeps_empty: bool,
    pub(crate) outputs: Vec<CellOutput>,
    pub(crate) aggregates: Vec<CellAggregate>,
}

/// What a table of cells about people is held against.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) rules: Rules,
    pub(crate) keys: Vec<KeyFacts>,
    /// Of each condition group, whether it leaves out any declared value.
    pub(crate) excludes: Vec<bool>,
    pub(crate) round_to: Option<u32>,
}

/// One aggregate, resolved.
#[derive(Debug)]
pub(crate) struct CellAggregate {
    pub(crate) function: Function,
    pub(crate) input: usize,
    /// The declared edges of a quantile's column.
    pub(crate) edges: Vec<f64>,
    pub(crate) kind: Option<ColumnKind>,
    /// The collection and the columns, and whether it is about bins: what values that follow from each other have in common.
    pub(crate) statistic: String,
}

impl CellAggregate {
    /// Whether it is made of counts in bins.
    pub(crate) fn is_of_bins(&self) -> bool {
        matches!(self.function, Function::Quantile(..))
    }
}

/// Where one column of the answer comes from.
#[derive(Debug)]
pub(crate) enum CellOutput {
    /// The number of a key.
    Key(usize),
    /// The number of a key that is the index of a bin, and the labels of all bins.
    Bin(usize, Vec<String>),
    /// The institution's name, the same in every row.
    Node,
    /// The number of an aggregate.
    Aggregate(usize),
}

/// One dataset, as a node holds it for one query.
#[derive(Clone, Copy, Debug)]
pub struct Holding<'a> {
    /// The data.
    pub dataset: &'a Dataset,
    /// Whose rows exist under the grant.
    pub people: &'a People,
    /// What is joined, in the order of the query; whose rows exist there, the grants for them say.
    pub joined: &'a [Holding<'a>],
    /// The institution: the value of the virtual column.
    pub node: &'a str,
    /// By which the node recognises people whom it has counted before, and gives them pseudonyms.
    pub secret: &'a NodeSecret,
}

/// Builds the plan that `grant` allows for `query` on what the node holds.
///
/// # Errors
/// `SqlRole`, `SqlDomain`, `SqlLimit` or `SqlNotAllowed` if the query uses columns for what the collection does
/// not declare; `Internal` if grant, query and dataset are not about the same, which cannot happen in `answer`.
pub fn enforce(query: &Query, grant: Grant, holding: Holding<'_>) -> Result<EnforcedPlan, Report> {
    require_covered(query, &grant, holding)?;
    let collection = admit(query, &grant)?;
    let built = match query {
        Query::Release(query) => cells(query, &grant, &collection, holding),
        Query::Rows(query) => rows(query, &grant, &collection, holding),
    };
    built.map_err(|error| match error {
        BuildError::Refused(report) => report,
        BuildError::Engine(error) => Problem::Internal.report(format!("no plan: {}", error.strip_backtrace())),
    })
}

/// The collection that a query sees under its grant, if the query uses columns only for what both allow: all of [`enforce()`] that can
/// be said without data.
///
/// # Errors
/// As [`enforce()`].
pub fn admit(query: &Query, grant: &Grant) -> Result<Arc<Collection>, Report> {
    let joined = query.joins().iter().zip(grant.joined());
    let joined = joined.map(|(join, grant)| (query.joined_columns(join), grant));
    for (columns, grant) in std::iter::once((query.columns(), grant)).chain(joined) {
        transform::require_untouched(&columns, grant)?;
    }
    let collection = seen(query, grant)?;
    domain::check(query, &collection)?;
    Ok(collection)
}

/// The collection that a query sees under its grant.
fn seen(query: &Query, grant: &Grant) -> Result<Arc<Collection>, Report> {
    let joined = grant.joined().iter().map(Grant::collection);
    let find = |id: &CollectionId| joined.clone().find(|joined| joined.id == *id).cloned();
    query::seen(grant.collection(), query.joins(), find)
        .ok_or_else(|| Problem::Internal.report("the grant does not cover the joins"))
}

/// The columns of the answer that `grant` allows, without planning it.
///
/// # Errors
/// As [`answer_schema`], or `Internal` if grant and query are not about the same.
pub fn granted_schema(query: &Query, grant: &Grant) -> Result<SchemaRef, Report> {
    answer_schema(query, &*seen(query, grant)?)
}

/// Grant, query and data are about the same, and so are those of each collection that is joined.
fn require_covered(query: &Query, grant: &Grant, holding: Holding<'_>) -> Result<(), Report> {
    let (joins, grants, held) = (query.joins(), grant.joined(), holding.joined);
    if joins.len() != grants.len() || joins.len() != held.len() {
        return Err(Problem::Internal.report("the grant does not cover the joins"));
    }
    let asked = std::iter::once((query.collection(), query.columns(), grant, holding));
    let joined = joins.iter().zip(grants).zip(held);
    let joined = joined.map(|((join, grant), held)| (&join.collection, query.joined_columns(join), grant, *held));
    for (id, columns, grant, holding) in asked.chain(joined) {
        let is_covered = *id == grant.collection().id
            && *id == *holding.dataset.collection()
            && query.release() == grant.release()
            && columns.iter().all(|column| grant.columns().contains(column));
        if !is_covered {
            return Err(Problem::Internal.report("the grant does not cover the query"));
        }
    }
    Ok(())
}

/// The columns of a query's answer, without planning it. What is about people has [`WITHHELD_COLUMN`] at its end. The
/// collection is that which the query sees: [`query::seen`].
///
/// # Errors
/// `SqlColumn` if the collection has no such column.
pub fn answer_schema(query: &Query, collection: &Collection) -> Result<SchemaRef, Report> {
    let mut fields: Vec<Field> = match query {
        Query::Rows(query) => query
            .columns
            .iter()
            .map(|(column, name)| row_field(column, name, collection))
            .collect::<Result<_, Report>>()?,
        Query::Release(query) => query
            .outputs
            .iter()
            .map(|output| {
                let data_type = match output.source {
                    OutputSource::Group(at) => group_type(&query.groups[at], collection)?,
                    OutputSource::Aggregate(at) => function_type(&query.aggregates[at].function, collection)?,
                };
                Ok(Field::new(&output.name, data_type, true))
            })
            .collect::<Result<_, Report>>()?,
    };
    if collection.personal && matches!(query, Query::Release(_)) {
        fields.push(Field::new(WITHHELD_COLUMN, DataType::Utf8, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn column_kind(name: &str, collection: &Collection) -> Result<ColumnKind, Report> {
    if name == NODE_COLUMN {
        return Ok(ColumnKind::Text);
    }
    let column = collection.column(name);
    column
        .map(|column| column.kind)
        .ok_or_else(|| Problem::SqlColumn.report(format!("there is no column {name}")))
}

fn row_field(column: &str, name: &str, collection: &Collection) -> Result<Field, Report> {
    Ok(Field::new(
        name,
        session::arrow_type(column_kind(column, collection)?),
        true,
    ))
}

fn group_type(group: &GroupKey, collection: &Collection) -> Result<DataType, Report> {
    Ok(match group {
        GroupKey::Bin(_) => DataType::Utf8,
        GroupKey::Column(column) | GroupKey::Calendar(_, column) => {
            session::arrow_type(column_kind(column, collection)?)
        }
        GroupKey::Case(Case { arms, .. }) => match arms.first() {
            Some((_, Value::Integer(_))) => DataType::Int64,
            _ => DataType::Utf8,
        },
    })
}

fn function_type(function: &Function, collection: &Collection) -> Result<DataType, Report> {
    Ok(match function {
        Function::CountRows
        | Function::Count(_)
        | Function::CountPeople(_)
        | Function::PairPart(PairPart::Rows, ..) => DataType::Int64,
        Function::Sum(column) => match column_kind(column, collection)? {
            ColumnKind::Integer if !cells::is_narrow(column, collection) => WIDE_SUM,
            kind => session::arrow_type(kind),
        },
        Function::Mean(_)
        | Function::Spread(..)
        | Function::Pair(..)
        | Function::PairPart(..)
        | Function::Quantile(..) => DataType::Float64,
    })
}

pub(crate) enum BuildError {
    Refused(Report),
    Engine(DataFusionError),
}

impl From<DataFusionError> for BuildError {
    fn from(error: DataFusionError) -> Self {
        BuildError::Engine(error)
    }
}

impl From<Report> for BuildError {
    fn from(report: Report) -> Self {
        BuildError::Refused(report)
    }
}

/// Fewest rows that are worth a part of their own.
const PART_ROWS_MIN: u64 = 100_000;

/// Most parts of one query: others ask too.
const PARTS_MAX: usize = 8;

/// Some of the people, by the order in which a snapshot holds them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    at: usize,
    of: usize,
}

impl Part {
    const WHOLE: Part = Part { at: 0, of: 1 };

    /// As many parts as there are processors and rows for.
    pub(crate) fn all(dataset: &Dataset, about: About) -> impl Iterator<Item = Part> {
        let processors = workers::processors().min(PARTS_MAX);
        let filled = usize::try_from(dataset.rows() / PART_ROWS_MIN).unwrap_or(usize::MAX);
        let of = match about {
            About::People => processors.min(filled).max(1),
            About::Things => 1,
        };
        (0..of).map(move |at| Part { at, of })
    }

    /// Hashes are spread evenly over all numbers. None for the whole.
    fn orders(self) -> Option<RangeInclusive<i64>> {
        if self.of == 1 {
            return None;
        }
        let width = u64::MAX / self.of as u64;
        let first = |at: usize| i64::MIN.wrapping_add_unsigned(width * at as u64);
        let is_last = self.at + 1 == self.of;
        let last = if is_last { i64::MAX } else { first(self.at + 1) - 1 };
        Some(first(self.at)..=last)
    }
}

/// The rows of one collection that exist, above the barrier. If `key` names a column, no two rows have the same value of it.
pub(crate) fn scan(
    grant: &Grant,
    holding: Holding<'_>,
    part: Part,
    key: Option<&str>,
) -> Result<LogicalPlanBuilder, BuildError> {
    let collection = grant.collection();
    let visible = || {
        collection
            .columns
            .iter()
            .filter(|column| transform::is_shown(column, collection))
    };
    let mut shown = visible()
        .map(|column| transform::shown(column, grant, holding.secret))
        .collect::<Result<Vec<Expr>, BuildError>>()?;
    let stored = holding.dataset.table(grant.release());
    let field = |column: &Column| Ok(stored.schema().field_with_name(&column.name)?.clone());
    let mut fields = visible().map(field).collect::<Result<Vec<Field>, DataFusionError>>()?;
    if collection.personal {
        shown.push(ident(ORDER));
        fields.push(Field::new(ORDER, DataType::Int64, false));
    }
    let conditions = hidden(grant, collection, holding)?;
    let scan = PolicyScan {
        stored,
        shown,
        visible: Arc::new(Schema::new(fields)),
        row_filter: conjunction(conditions),
        key: key.map(str::to_owned),
        part: part.orders(),
    };
    Ok(LogicalPlanBuilder::scan(
        collection.sql_name(),
        provider_as_source(Arc::new(scan)),
        None,
    )?)
}

/// Which rows exist at all: the row filter, the opt-outs, the consents. Together, so that none can be forgotten.
fn hidden(grant: &Grant, collection: &Collection, holding: Holding<'_>) -> Result<Vec<Expr>, BuildError> {
    let person = collection.privacy_unit.as_deref();
    let mut conditions = Vec::new();
    match grant.row_filter() {
        Some(RowFilter::Sql(sql)) => conditions.push(holding.dataset.row_filter(sql)?),
        Some(RowFilter::Consent(_)) if !holding.people.needs_consent() => {
            return Err(Problem::Internal
                .report("the consents that the grant asks for are not at hand")
                .into());
        }
        Some(RowFilter::Consent(_)) | None => {}
    }
    conditions.extend(person.and_then(|person| holding.people.condition(person)));
    Ok(conditions)
}

fn rows(
    query: &RowQuery,
    grant: &Grant,
    collection: &Collection,
    holding: Holding<'_>,
) -> Result<EnforcedPlan, BuildError> {
    let is_open = grant.tier() == Tier::Open;
    let is_permitted = grant.release() == Release::Rows && grant.permit().is_some();
    if !is_open && !is_permitted {
        let message = "rows about people leave under a data permit only";
        return Err(Problem::Internal.report(message).into());
    }
    let mut plan = scan(grant, holding, Part::WHOLE, None)?;
    if let Some(predicate) = all_of(&query.conditions, holding.node) {
        plan = plan.filter(predicate)?;
    }
    let list = query
        .columns
        .iter()
        .map(|(column, name)| column_expr(column, holding.node).alias(name));
    let plan = plan.project(list)?.build()?;
    let schema = answer_schema(&Query::Rows(query.clone()), collection)?;
    Ok(EnforcedPlan {
        plans: vec![plan],
        state: session::for_running(Planning::OfAnything)?,
        shape: Shape {
            schema,
            kind: ShapeKind::Rows,
        },
    })
}

fn cells(
    query: &ReleaseQuery,
    grant: &Grant,
    collection: &Collection,
    holding: Holding<'_>,
) -> Result<EnforcedPlan, BuildError> {
    let query = &join::with_matches(query);
    let (inputs, of_aggregate) = cells::inputs(query, collection);
    let (about, checks) = match grant.tier() {
        Tier::Open => (About::Things, None),
        Tier::Statistical { .. } => {
            if collection.privacy_unit.is_none() {
                return Err(Problem::PolicyInvalid
                    .report("the collection has no privacy unit")
                    .into());
            }
            (About::People, Some(checks(query, grant, collection)))
        }
    };
    let planning = match query.joins.as_slice() {
        [] => Planning::OfAList,
        _ => Planning::OfAnything,
    };
    let (mut plans, mut layout) = (Vec::new(), None);
    for part in Part::all(holding.dataset, about) {
        let scan = join::scan(query, grant, holding, part)?;
        let (plan, of_part) = cells::plan(scan, query, &inputs, collection, about, holding.node)?;
        plans.push(plan);
        layout = Some(of_part);
    }
    let aggregates = query.aggregates.iter().zip(of_aggregate);
    let aggregates = aggregates.map(|(aggregate, input)| {
        let of_input = inputs[input].valued();
        cell_aggregate(
            &aggregate.function,
            input,
            statistic(query, &aggregate.function, of_input),
            collection,
        )
    });
    let shape = CellShape {
        layout,
        keeps_empty: checks.is_none() && query.groups.is_empty(),
        checks,
        outputs: outputs(query, collection)?,
        aggregates: aggregates.collect(),
    };
    Ok(EnforcedPlan {
        plans,
        state: session::for_running(planning)?,
        shape: Shape {
            schema: answer_schema(&Query::Release(query.clone()), collection)?,
            kind: ShapeKind::Cells(Box::new(shape)),
        },
    })
}

fn checks(query: &ReleaseQuery, grant: &Grant, collection: &Collection) -> Checks {
    let columns = cells::key_columns(query);
    let keys = query.groups.iter().filter(|key| key.column() != NODE_COLUMN);
    let (_, groups) = cells::condition_groups(&query.conditions);
    let excludes = groups.iter();
    Checks {
        rules: Rules::of(grant, collection),
        keys: keys
            .map(|key| KeyFacts {
                possible: domain::possible(key, &query.conditions, collection),
                shares_column: columns.get(key.column()).is_some_and(|times| *times > 1),
            })
            .collect(),
        excludes: excludes
            .map(|(column, conditions)| domain::excludes(column, conditions, collection))
            .collect(),
        round_to: grant.disclosure().round_to,
    }
}

fn cell_aggregate(function: &Function, input: usize, statistic: String, collection: &Collection) -> CellAggregate {
    let column = function.columns().first().and_then(|name| collection.column(name));
    let edges = match (function, column.and_then(|column| column.domain.as_ref())) {
        (Function::Quantile(..), Some(Domain::Bins(edges))) => edges.clone(),
        _ => Vec::new(),
    };
    CellAggregate {
        function: function.clone(),
        input,
        edges,
        kind: column.map(|column| column.kind),
        statistic,
    }
}

/// `count(node)` is `count(*)`: what counts is the input. A column of the collection asked is the same with joins and without;
/// one that is joined is another along each column.
fn statistic(query: &ReleaseQuery, function: &Function, of_input: &[String]) -> String {
    let what = match function {
        Function::Quantile(..) => "bins of ",
        _ => "",
    };
    let named = of_input.iter().map(|name| match query.join_of(name) {
        Some(join) => format!("{name} along {}", join.column),
        None => name.clone(),
    });
    kept::statistic(&query.collection, what, &named.collect::<Vec<_>>())
}

/// Keys are numbered without `node`, which the plan does not have.
fn outputs(query: &ReleaseQuery, collection: &Collection) -> Result<Vec<CellOutput>, BuildError> {
    let key_of = |group: usize| {
        let before = &query.groups[..group];
        before.iter().filter(|key| key.column() != NODE_COLUMN).count()
    };
    let output = |source: OutputSource| {
        Ok(match source {
            OutputSource::Aggregate(at) => CellOutput::Aggregate(at),
            OutputSource::Group(at) => match &query.groups[at] {
                key if key.column() == NODE_COLUMN => CellOutput::Node,
                GroupKey::Bin(column) => CellOutput::Bin(key_of(at), bin_labels(expr::edges(column, collection)?)),
                GroupKey::Column(_) | GroupKey::Calendar(..) | GroupKey::Case(_) => CellOutput::Key(key_of(at)),
            },
        })
    };
    query.outputs.iter().map(|one| output(one.source)).collect()
}

/// `[40, 50)`: from 40, below 50. What `bin(column)` says of each declared bin, the lowest first.
pub fn bin_labels(edges: &[f64]) -> Vec<String> {
    edges
        .windows(2)
        .map(|pair| format!("[{}, {})", pair[0], pair[1]))
        .collect()
}

#[cfg(test)]
mod tests;
