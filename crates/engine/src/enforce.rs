//! Our own plan for a query under a grant. Nothing of the asker's plan is kept: what runs is built here, from
//! typed parts, over the policy scan.
//!
//! In the statistical tier rows are first aggregated per person, then per cell, so that every cell knows how many
//! distinct people are in it and how many of them contribute to each aggregate. `release.rs` acts on those.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::execution::session_state::SessionState;
use datafusion::functions::expr_fn::date_trunc;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::utils::{conjunction, disjunction};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, ident, lit, when};
use policy::{Calendar, Collection, Column, ColumnKind, Domain, Grant, RowFilter, Tier};
use terms::{Problem, Report};

use crate::dataset::Dataset;
use crate::domain;
use crate::people::People;
use crate::query::{
    Aggregate, Comparison, Condition, GroupKey, NODE_COLUMN, OutputSource, Query, ReleaseQuery, RowQuery, Value,
};
use crate::scan::PolicyScan;
use crate::session;

/// The person, in the inner aggregate only.
const PERSON: &str = "__person";
/// Rows in a cell.
pub(crate) const ROWS: &str = "__rows";
/// Distinct people in a cell.
pub(crate) const PEOPLE: &str = "__people";

/// A plan that does exactly what a grant allows. Only [`enforce()`] makes one, only [`crate::execute()`] takes one.
#[derive(Debug)]
pub struct EnforcedPlan {
    pub(crate) plan: LogicalPlan,
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
    Cells {
        tier: Tier,
        /// Group columns of the plan, which are also the order of the answer.
        group_columns: Vec<String>,
        /// Whether the query groups at all, be it by `node` alone: then a cell without rows does not exist.
        is_grouped: bool,
        outputs: Vec<CellOutput>,
    },
}

/// Where one column of the answer comes from.
#[derive(Debug)]
pub(crate) enum CellOutput {
    Group(String),
    /// The index of a bin, and the labels of all bins.
    Bin(String, Vec<String>),
    /// The institution's name, the same in every row.
    Node,
    CountRows,
    Count(MeasureColumns),
    Sum(MeasureColumns),
    Mean(MeasureColumns),
}

/// The names of a measure's columns in the plan.
#[derive(Clone, Debug)]
pub(crate) struct MeasureColumns {
    /// Rows with a value.
    pub(crate) known: String,
    /// Distinct people with a value.
    pub(crate) people: String,
    /// Sum of the values.
    pub(crate) sum: String,
}

impl MeasureColumns {
    fn of(column: &str) -> Self {
        let name = |what: &str| format!("__{what}_{column}");
        Self {
            known: name("known"),
            people: name("people"),
            sum: name("sum"),
        }
    }
}

/// One dataset, as a node holds it for one query.
#[derive(Clone, Copy, Debug)]
pub struct Holding<'a> {
    /// The data.
    pub dataset: &'a Dataset,
    /// Whose rows exist under the grant.
    pub people: &'a People,
    /// The institution: the value of the virtual column.
    pub node: &'a str,
}

/// Builds the plan that `grant` allows for `query` on what the node holds.
///
/// # Errors
/// `SqlRole`, `SqlDomain`, `SqlLimit` or `SqlNotAllowed` if the query uses columns for what the collection does
/// not declare; `Internal` if grant, query and dataset are not about the same, which cannot happen in `answer`.
pub fn enforce(query: &Query, grant: Grant, holding: Holding<'_>) -> Result<EnforcedPlan, Report> {
    let collection = Arc::clone(grant.collection());
    let asked = query.columns();
    let is_covered = *query.collection() == collection.id
        && *holding.dataset.collection() == collection.id
        && query.release() == grant.release()
        && asked.iter().all(|column| grant.columns().contains(column));
    if !is_covered {
        return Err(Problem::Internal.report("the grant does not cover the query"));
    }
    domain::check(query, &collection)?;
    let built = match query {
        Query::Release(query) => cells(query, &grant, &collection, holding),
        Query::Rows(query) => rows(query, &grant, &collection, holding),
    };
    built.map_err(|error| match error {
        BuildError::Refused(report) => report,
        BuildError::Engine(error) => Problem::Internal.report(format!("no plan: {}", error.strip_backtrace())),
    })
}

/// The columns of a query's answer, without planning it.
///
/// # Errors
/// `SqlColumn` if the collection has no such column.
pub fn answer_schema(query: &Query, collection: &Collection) -> Result<SchemaRef, Report> {
    let fields: Result<Vec<Field>, Report> = match query {
        Query::Rows(query) => query
            .columns
            .iter()
            .map(|(column, name)| row_field(column, name, collection))
            .collect(),
        Query::Release(query) => query
            .outputs
            .iter()
            .map(|output| {
                let data_type = match output.source {
                    OutputSource::Group(at) => group_type(&query.groups[at], collection)?,
                    OutputSource::Aggregate(at) => aggregate_type(&query.aggregates[at], collection)?,
                };
                Ok(Field::new(&output.name, data_type, true))
            })
            .collect(),
    };
    Ok(Arc::new(Schema::new(fields?)))
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
    })
}

fn aggregate_type(aggregate: &Aggregate, collection: &Collection) -> Result<DataType, Report> {
    Ok(match aggregate {
        Aggregate::CountRows | Aggregate::Count(_) => DataType::Int64,
        Aggregate::Mean(_) => DataType::Float64,
        Aggregate::Sum(column) => session::arrow_type(column_kind(column, collection)?),
    })
}

enum BuildError {
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

/// The rows that conditions select, above the barrier.
fn selected(
    conditions: &[Condition],
    grant: &Grant,
    collection: &Collection,
    holding: Holding<'_>,
) -> Result<LogicalPlanBuilder, BuildError> {
    let visible = |column: &&Column| !column.roles.identifier || Some(&column.name) == collection.privacy_unit.as_ref();
    let fields: Vec<Field> = collection.columns.iter().filter(visible).map(session::field).collect();
    let scan = PolicyScan {
        stored: holding.dataset.table()?,
        visible: Arc::new(Schema::new(fields)),
        row_filter: conjunction(hidden(grant, collection, holding)?),
    };
    let plan = LogicalPlanBuilder::scan(collection.sql_name(), provider_as_source(Arc::new(scan)), None)?;
    match conjunction(
        conditions
            .iter()
            .map(|condition| condition_expr(condition, holding.node)),
    ) {
        Some(predicate) => Ok(plan.filter(predicate)?),
        None => Ok(plan),
    }
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
    if !matches!(grant.tier(), Tier::Open) {
        return Err(Problem::Internal.report("rows leave in the open tier only").into());
    }
    let plan = selected(&query.conditions, grant, collection, holding)?;
    let list = query
        .columns
        .iter()
        .map(|(column, name)| column_expr(column, holding.node).alias(name));
    let plan = plan.project(list)?.build()?;
    let schema = answer_schema(&Query::Rows(query.clone()), collection)?;
    Ok(EnforcedPlan {
        plan,
        state: session::for_running()?,
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
    let selected = selected(&query.conditions, grant, collection, holding)?;
    let groups = plan_groups(query, collection)?;
    let group_columns: Vec<String> = groups.iter().map(|(name, _)| name.clone()).collect();
    let measures = Measures::of(query, collection);
    let plan = match grant.tier() {
        Tier::Open => {
            let aggregates = std::iter::once(count(lit(1)).alias(ROWS)).chain(measures.per_row());
            selected.aggregate(groups.into_iter().map(|group| group.1), aggregates)?
        }
        Tier::Statistical { .. } => {
            let person = collection.privacy_unit.as_deref();
            let person = person.ok_or_else(|| Problem::PolicyInvalid.report("the collection has no privacy unit"))?;
            let keys = groups
                .into_iter()
                .map(|group| group.1)
                .chain([ident(person).alias(PERSON)]);
            let inner = std::iter::once(count(lit(1)).alias(ROWS)).chain(measures.per_row());
            let outer = [count(lit(1)).alias(PEOPLE), sum(ident(ROWS)).alias(ROWS)];
            selected.aggregate(keys, inner)?.aggregate(
                group_columns.iter().map(ident),
                outer.into_iter().chain(measures.per_person()),
            )?
        }
    };
    let outputs = query
        .outputs
        .iter()
        .map(|output| cell_output(output.source, query, collection))
        .collect::<Result<_, BuildError>>()?;
    let schema = answer_schema(&Query::Release(query.clone()), collection)?;
    let kind = ShapeKind::Cells {
        tier: grant.tier(),
        group_columns,
        is_grouped: !query.groups.is_empty(),
        outputs,
    };
    Ok(EnforcedPlan {
        plan: plan.build()?,
        state: session::for_running()?,
        shape: Shape { schema, kind },
    })
}

fn group_name(at: usize) -> String {
    format!("__g{at}")
}

/// Name and expression of each group but `node`, which is the same for all rows of an answer.
fn plan_groups(query: &ReleaseQuery, collection: &Collection) -> Result<Vec<(String, Expr)>, BuildError> {
    let planned = query
        .groups
        .iter()
        .enumerate()
        .filter(|(_, group)| group.column() != NODE_COLUMN);
    planned
        .map(|(at, group)| {
            let expr = match group {
                GroupKey::Column(column) => ident(column),
                GroupKey::Bin(column) => bin_expr(column, collection)?,
                GroupKey::Calendar(unit, column) => calendar_expr(*unit, column, column_kind(column, collection)?),
            };
            Ok((group_name(at), expr.alias(group_name(at))))
        })
        .collect()
}

fn cell_output(source: OutputSource, query: &ReleaseQuery, collection: &Collection) -> Result<CellOutput, BuildError> {
    Ok(match source {
        OutputSource::Group(at) => match &query.groups[at] {
            group if group.column() == NODE_COLUMN => CellOutput::Node,
            GroupKey::Bin(column) => CellOutput::Bin(group_name(at), bin_labels(edges(column, collection)?)),
            GroupKey::Column(_) | GroupKey::Calendar(..) => CellOutput::Group(group_name(at)),
        },
        OutputSource::Aggregate(at) => match &query.aggregates[at] {
            Aggregate::CountRows => CellOutput::CountRows,
            // Every row has a node.
            Aggregate::Count(column) if column == NODE_COLUMN => CellOutput::CountRows,
            Aggregate::Count(column) => CellOutput::Count(MeasureColumns::of(column)),
            Aggregate::Sum(column) => CellOutput::Sum(MeasureColumns::of(column)),
            Aggregate::Mean(column) => CellOutput::Mean(MeasureColumns::of(column)),
        },
    })
}

/// The columns that are aggregated, each once.
struct Measures<'a>(Vec<(&'a str, Option<ColumnKind>)>);

impl<'a> Measures<'a> {
    fn of(query: &'a ReleaseQuery, collection: &Collection) -> Self {
        let mut names: Vec<&str> = query.aggregates.iter().filter_map(Aggregate::column).collect();
        names.sort_unstable();
        names.dedup();
        let summed = |name: &str| {
            let kind = collection.column(name).map(|column| column.kind);
            kind.filter(|kind| matches!(kind, ColumnKind::Integer | ColumnKind::Number))
        };
        Self(
            names
                .into_iter()
                .filter(|name| *name != NODE_COLUMN)
                .map(|name| (name, summed(name)))
                .collect(),
        )
    }

    /// Known rows and sum of each measure over rows.
    fn per_row(&self) -> impl Iterator<Item = Expr> {
        self.0.iter().flat_map(|(name, summed)| {
            let columns = MeasureColumns::of(name);
            let known = count(ident(*name)).alias(columns.known);
            let total = summed.map(|kind| {
                let value = match kind {
                    // Sums of 64-bit integers wrap around silently; decimals of 38 digits hold any of them.
                    ColumnKind::Integer => cast(ident(*name), DataType::Decimal128(19, 0)),
                    _ => ident(*name),
                };
                sum(value).alias(columns.sum)
            });
            [Some(known), total].into_iter().flatten()
        })
    }

    /// The same over people, with how many people contribute.
    fn per_person(&self) -> impl Iterator<Item = Expr> {
        self.0.iter().flat_map(|(name, summed)| {
            let columns = MeasureColumns::of(name);
            let contributes = ident(&columns.known).gt(lit(0_i64));
            let people = count(Expr::Case(datafusion::logical_expr::expr::Case::new(
                None,
                vec![(Box::new(contributes), Box::new(lit(1_i64)))],
                None,
            )));
            let total = summed.map(|_| sum(ident(&columns.sum)).alias(&columns.sum));
            let known = sum(ident(&columns.known)).alias(&columns.known);
            [Some(people.alias(columns.people)), Some(known), total]
                .into_iter()
                .flatten()
        })
    }
}

fn edges<'a>(column: &str, collection: &'a Collection) -> Result<&'a [f64], BuildError> {
    match collection.column(column).and_then(|column| column.domain.as_ref()) {
        Some(Domain::Bins(edges)) => Ok(edges),
        _ => Err(Problem::SqlDomain
            .report(format!("the column {column} has no bins"))
            .into()),
    }
}

/// The index of the declared bin that holds the number, so that cells sort as the bins do; NULL stays NULL.
fn bin_expr(column: &str, collection: &Collection) -> Result<Expr, BuildError> {
    let mut case = when(ident(column).is_null(), lit(ScalarValue::Int64(None)));
    for (index, above) in (0_i64..).zip(&edges(column, collection)?[1..]) {
        case = case.when(ident(column).lt(lit(*above)), lit(index));
    }
    Ok(case.otherwise(lit(ScalarValue::Int64(None)))?)
}

/// `[40, 50)`: from 40, below 50.
fn bin_labels(edges: &[f64]) -> Vec<String> {
    edges
        .windows(2)
        .map(|pair| format!("[{}, {})", pair[0], pair[1]))
        .collect()
}

fn calendar_expr(unit: Calendar, column: &str, kind: ColumnKind) -> Expr {
    let at = cast(ident(column), DataType::Timestamp(TimeUnit::Microsecond, None));
    let start = date_trunc(lit(unit.to_string()), at);
    cast(start, session::arrow_type(kind))
}

fn column_expr(column: &str, node: &str) -> Expr {
    if column == NODE_COLUMN {
        lit(node)
    } else {
        ident(column)
    }
}

fn condition_expr(condition: &Condition, node: &str) -> Expr {
    let all = |parts: &[Condition]| -> Vec<Expr> { parts.iter().map(|part| condition_expr(part, node)).collect() };
    match condition {
        Condition::Compare(column, comparison, value) => {
            let (left, right) = (column_expr(column, node), value_expr(value));
            match comparison {
                Comparison::Equal => left.eq(right),
                Comparison::NotEqual => left.not_eq(right),
                Comparison::Less => left.lt(right),
                Comparison::LessOrEqual => left.lt_eq(right),
                Comparison::Greater => left.gt(right),
                Comparison::GreaterOrEqual => left.gt_eq(right),
            }
        }
        Condition::OneOf {
            column,
            values,
            negated,
        } => column_expr(column, node).in_list(values.iter().map(value_expr).collect(), *negated),
        Condition::IsNull { column, negated: false } => column_expr(column, node).is_null(),
        Condition::IsNull { column, negated: true } => column_expr(column, node).is_not_null(),
        Condition::Not(inner) => Expr::Not(Box::new(condition_expr(inner, node))),
        Condition::And(parts) => conjunction(all(parts)).unwrap_or_else(|| lit(true)),
        Condition::Or(parts) => disjunction(all(parts)).unwrap_or_else(|| lit(false)),
    }
}

fn value_expr(value: &Value) -> Expr {
    match value {
        Value::Text(text) => lit(text.as_str()),
        Value::Integer(number) => lit(*number),
        Value::Number(number) => lit(*number),
        Value::Boolean(truth) => lit(*truth),
        Value::Date(days) => lit(ScalarValue::Date32(Some(*days))),
        Value::Timestamp(micros) => lit(ScalarValue::TimestampMicrosecond(Some(*micros), None)),
    }
}
