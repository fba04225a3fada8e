//! The rest of the query, on pooled tables, and where open values end up in it.
//!
//! A value that only passes through (chosen, renamed, sorted, filtered, limited) keeps its interval. If it is
//! computed with, what it can be is not known, and the result is marked so; where rows are taken together, every
//! number of the answer is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DataFusionError, JoinType};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr, Limit, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use terms::{MemberId, Report};

use crate::answer::Interval;
use crate::combine::{OpenValue, PooledTable};
use crate::split::{Leaf, Pooled, Split, fill, leaf_of, leaf_table, unfinished, unqualified};

/// Numbers the rows of a pooled table, to find them again in the answer.
const CELL: &str = "__cell";

/// The result of the whole query.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) intervals: Vec<Interval>,
    /// Whether open values decided which rows are in it.
    pub(crate) rows_open: bool,
}

/// Runs the rest of the query over the pooled tables.
pub(crate) async fn finish(split: Split, tables: &[PooledTable]) -> Result<Finished, Report> {
    run(split, tables).await.map_err(|error| unfinished(&error))
}

async fn run(split: Split, tables: &[PooledTable]) -> Result<Finished, DataFusionError> {
    let schema = Arc::clone(split.rest.schema().inner());
    let has_groups = |leaf: &Leaf| matches!(leaf.pooled, Pooled::Cells { groups, .. } if groups > 0);
    let mut leaves = split.leaves.iter().zip(tables);
    let can_lack_cells = leaves.any(|(leaf, table)| has_groups(leaf) && !table.withheld.is_empty());
    let lacks_cells = can_lack_cells && combines_rows(&split.rest)?;
    if let [table] = tables
        && !table.open.is_empty()
        && let Some(traced) = trace(&split.rest, table)?
    {
        let batches = collect(traced.plan).await?;
        let mut finished = traced_result(schema, &batches, table, &traced.origins)?;
        finished.rows_open = traced.chosen;
        return Ok(finished);
    }
    let names = tables.iter().enumerate().map(|(at, table)| {
        let memory = MemTable::try_new(table.batch.schema(), vec![vec![table.batch.clone()]])?;
        Ok((leaf_table(at), Arc::new(memory)))
    });
    let is_open = lacks_cells || tables.iter().any(|table| table.open.iter().any(OpenValue::lacks));
    let rows_open = is_open && chooses_rows(&split.rest)?;
    let plan = fill(split.rest, &names.collect::<Result<BTreeMap<_, _>, DataFusionError>>()?)?;
    let batches = collect(plan).await?;
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    let intervals = if is_open {
        unknown(&schema, &batches, tables)
    } else {
        Vec::new()
    };
    Ok(Finished {
        schema,
        batches,
        intervals,
        rows_open,
    })
}

async fn collect(plan: LogicalPlan) -> Result<Vec<RecordBatch>, DataFusionError> {
    // A plan has its tables with it: nothing is registered, so one state serves all questions.
    static STATE: LazyLock<SessionState> = LazyLock::new(|| {
        let config = SessionConfig::new().with_target_partitions(1);
        SessionStateBuilder::new()
            .with_config(config)
            .with_default_features()
            .build()
    });
    let context = SessionContext::new_with_state(STATE.clone());
    context.execute_logical_plan(plan).await?.collect().await
}

/// A plan that carries the cell number along, and where each of its columns comes from.
struct Traced {
    plan: LogicalPlan,
    origins: Vec<Origin>,
    /// Whether the order depends on open values.
    ordered: bool,
    /// Whether it depends on open values which rows are there.
    chosen: bool,
}

impl Traced {
    /// Whether `expr`, over `input`, depends on a value that is open in some row.
    fn is_open(&self, expr: &Expr, input: &LogicalPlan, table: &PooledTable) -> Result<bool, DataFusionError> {
        for column in expr.column_refs() {
            let origin = &self.origins[input.schema().index_of_column(column)?];
            if table.open.iter().any(|open| open.lacks() && origin.has(open.column)) {
                return Ok(true);
            }
        }
        asks_a_subquery(expr)
    }
}

/// What a column of the answer is made of, row by row.
#[derive(Clone)]
enum Origin {
    /// A column of the pooled table as it is.
    Same(usize),
    /// Computed from columns of the pooled table, or from none.
    Computed(BTreeSet<usize>),
}

impl Origin {
    fn has(&self, column: usize) -> bool {
        match self {
            Origin::Same(same) => *same == column,
            Origin::Computed(from) => from.contains(&column),
        }
    }
}

/// The same plan with the cell number as its last column, or `None` if it takes rows together.
fn trace(plan: &LogicalPlan, table: &PooledTable) -> Result<Option<Traced>, DataFusionError> {
    let below = |input: &LogicalPlan| trace(input, table);
    Ok(match plan {
        LogicalPlan::TableScan(scan) if leaf_of(scan).is_some() => Some(numbered(scan.table_name.table(), table)?),
        LogicalPlan::Projection(projection) => match below(&projection.input)? {
            Some(traced) => project(&projection.expr, &projection.input, traced)?,
            None => None,
        },
        LogicalPlan::Filter(filter) => match below(&filter.input)? {
            Some(traced) => {
                let chosen = traced.chosen || traced.is_open(&filter.predicate, &filter.input, table)?;
                let plan = LogicalPlanBuilder::from(traced.plan)
                    .filter(filter.predicate.clone())?
                    .build()?;
                Some(Traced { plan, chosen, ..traced })
            }
            None => None,
        },
        LogicalPlan::Sort(sort) => match below(&sort.input)? {
            Some(traced) => {
                let mut ordered = traced.ordered;
                for key in &sort.expr {
                    ordered |= traced.is_open(&key.expr, &sort.input, table)?;
                }
                let plan = LogicalPlanBuilder::from(traced.plan)
                    .sort_with_limit(sort.expr.clone(), sort.fetch)?
                    .build()?;
                let chosen = traced.chosen || ordered && sort.fetch.is_some();
                Some(Traced {
                    plan,
                    ordered,
                    chosen,
                    ..traced
                })
            }
            None => None,
        },
        LogicalPlan::Limit(limit) => below(&limit.input)?.map(|traced| {
            let plan = LogicalPlan::Limit(Limit {
                input: Arc::new(traced.plan),
                ..limit.clone()
            });
            let chosen = traced.chosen || traced.ordered;
            Traced { plan, chosen, ..traced }
        }),
        LogicalPlan::SubqueryAlias(alias) => match below(&alias.input)? {
            Some(traced) => {
                let plan = LogicalPlanBuilder::from(traced.plan)
                    .alias(alias.alias.clone())?
                    .build()?;
                Some(Traced { plan, ..traced })
            }
            None => None,
        },
        _ => None,
    })
}

fn numbered(name: &str, table: &PooledTable) -> Result<Traced, DataFusionError> {
    let cell = Arc::new(Field::new(CELL, DataType::UInt64, false));
    let fields: Vec<_> = table.batch.schema().fields().iter().cloned().chain([cell]).collect();
    let numbers = Arc::new(UInt64Array::from_iter_values(0..table.batch.num_rows() as u64));
    let columns = table.batch.columns().iter().cloned().chain([numbers as _]).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let memory = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
    let plan = LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(memory)), None)?.build()?;
    Ok(Traced {
        plan,
        origins: (0..table.batch.num_columns()).map(Origin::Same).collect(),
        ordered: false,
        chosen: false,
    })
}

fn project(list: &[Expr], input: &LogicalPlan, traced: Traced) -> Result<Option<Traced>, DataFusionError> {
    let mut origins = Vec::with_capacity(list.len());
    for expr in list {
        let mut bare = expr;
        while let Expr::Alias(alias) = bare {
            bare = &alias.expr;
        }
        if asks_a_subquery(bare)? {
            return Ok(None);
        }
        let mut columns = bare.column_refs().into_iter();
        let origin =
            |column: &Column| Ok::<_, DataFusionError>(&traced.origins[input.schema().index_of_column(column)?]);
        origins.push(match bare {
            Expr::Column(column) => origin(column)?.clone(),
            _ => Origin::Computed(columns.try_fold(BTreeSet::new(), |mut all, column| {
                match origin(column)? {
                    Origin::Same(same) => drop(all.insert(*same)),
                    Origin::Computed(from) => all.extend(from),
                }
                Ok::<_, DataFusionError>(all)
            })?),
        });
    }
    let list = list.iter().cloned().chain([unqualified(CELL)]);
    let plan = LogicalPlanBuilder::from(traced.plan).project(list)?.build()?;
    Ok(Some(Traced {
        plan,
        origins,
        ordered: traced.ordered,
        chosen: traced.chosen,
    }))
}

/// Whether not all rows of the pooled tables go into the answer, or not each once.
fn chooses_rows(rest: &LogicalPlan) -> Result<bool, DataFusionError> {
    rest.exists(|plan| {
        let keeps_all = matches!(
            plan,
            LogicalPlan::TableScan(_)
                | LogicalPlan::Projection(_)
                | LogicalPlan::Aggregate(_)
                | LogicalPlan::Window(_)
                | LogicalPlan::Sort(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::Union(_)
                | LogicalPlan::EmptyRelation(_)
        );
        Ok(!keeps_all)
    })
}

fn asks_a_subquery(expr: &Expr) -> Result<bool, DataFusionError> {
    expr.exists(|part| {
        let is_subquery = matches!(
            part,
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
        );
        Ok(is_subquery)
    })
}

fn traced_result(
    schema: SchemaRef,
    batches: &[RecordBatch],
    table: &PooledTable,
    origins: &[Origin],
) -> Result<Finished, DataFusionError> {
    let kept: Vec<usize> = (0..origins.len()).collect();
    let (mut intervals, mut answer, mut row) = (Vec::new(), Vec::new(), 0);
    for batch in batches {
        for cell in batch.column(origins.len()).as_primitive::<UInt64Type>().values() {
            let open = open_in(table, *cell);
            for (at, origin) in origins.iter().enumerate() {
                let from: Vec<&OpenValue> = open.iter().filter(|open| origin.has(open.column)).collect();
                let Some(first) = from.first() else { continue };
                let (low, high) = match origin {
                    Origin::Same(_) => (first.low, first.high),
                    Origin::Computed(_) if from.iter().any(|open| open.lacks()) => (None, None),
                    Origin::Computed(_) => continue,
                };
                let nodes: BTreeSet<&MemberId> = from.iter().flat_map(|open| &open.nodes).collect();
                intervals.push(Interval {
                    row,
                    column: schema.field(at).name().clone(),
                    low,
                    high,
                    nodes: nodes.into_iter().cloned().collect(),
                });
            }
            row += 1;
        }
        answer.push(batch.project(&kept)?);
    }
    let schema = answer.first().map_or(schema, RecordBatch::schema);
    Ok(Finished {
        schema,
        batches: answer,
        intervals,
        rows_open: false,
    })
}

/// The open values of one cell. They are noted in the order of cells.
fn open_in(table: &PooledTable, cell: u64) -> &[OpenValue] {
    let from = table.open.partition_point(|open| (open.row as u64) < cell);
    let until = table.open.partition_point(|open| (open.row as u64) <= cell);
    &table.open[from..until]
}

/// Whether rows of a pooled table are taken together, or one row depends on whether another is there: then a cell that
/// no node released can be missing from every number of the answer.
fn combines_rows(rest: &LogicalPlan) -> Result<bool, DataFusionError> {
    let mut combines = false;
    rest.apply_with_subqueries(|plan| {
        combines |= match plan {
            LogicalPlan::TableScan(_)
            | LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::Union(_) => false,
            LogicalPlan::Join(join) => join.join_type != JoinType::Inner,
            _ => true,
        };
        plan.apply_expressions(|expr| {
            // What one number of a subquery is made of is looked at when the walk comes there.
            combines |= expr.exists(|part| Ok(matches!(part, Expr::Exists(_) | Expr::InSubquery(_))))?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(combines)
}

/// Marks every number and every yes or no of the answer as open, without bounds.
fn unknown(schema: &SchemaRef, batches: &[RecordBatch], tables: &[PooledTable]) -> Vec<Interval> {
    // Every node under a threshold: it may have left out cells of which nobody knows that they are there.
    let nodes: BTreeSet<&MemberId> = tables.iter().flat_map(|table| table.withheld.keys()).collect();
    let nodes: Vec<MemberId> = nodes.into_iter().cloned().collect();
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let is_open = |data_type: &DataType| data_type.is_numeric() || *data_type == DataType::Boolean;
    let open = schema.fields().iter().filter(|field| is_open(field.data_type()));
    let names: Vec<&String> = open.map(|field| field.name()).collect();
    let of_row = |row| {
        let nodes = &nodes;
        names.iter().map(move |column| Interval {
            row,
            column: (*column).clone(),
            low: None,
            high: None,
            nodes: nodes.clone(),
        })
    };
    (0..rows).flat_map(of_row).collect()
}
