//! The rest of the query, on pooled tables, and where open values end up in it.
//!
//! A value that only passes through (chosen, renamed, sorted, filtered, limited) keeps its interval. If it is
//! computed with, what it can be is not known, and every number of the answer is marked so.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{Expr, Limit, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use terms::{MemberId, Report};

use crate::answer::Interval;
use crate::combine::PooledTable;
use crate::split::{Split, fill, leaf_of, leaf_table, unfinished, unqualified};

/// Numbers the rows of a pooled table, to find them again in the answer.
const CELL: &str = "__cell";

/// The result of the whole query.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) intervals: Vec<Interval>,
}

/// Runs the rest of the query over the pooled tables.
pub(crate) async fn finish(split: Split, tables: &[PooledTable]) -> Result<Finished, Report> {
    run(split, tables).await.map_err(|error| unfinished(&error))
}

async fn run(split: Split, tables: &[PooledTable]) -> Result<Finished, DataFusionError> {
    let schema = Arc::clone(split.rest.schema().inner());
    if let [table] = tables
        && !table.open.is_empty()
        && let Some(traced) = trace(&split.rest, table)?
    {
        let batches = collect(traced.plan).await?;
        return traced_result(schema, &batches, table, &traced.origins);
    }
    let names = tables.iter().enumerate().map(|(at, table)| {
        let memory = MemTable::try_new(table.batch.schema(), vec![vec![table.batch.clone()]])?;
        Ok((leaf_table(at), Arc::new(memory)))
    });
    let plan = fill(split.rest, &names.collect::<Result<BTreeMap<_, _>, DataFusionError>>()?)?;
    let batches = collect(plan).await?;
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    let intervals = unknown(&schema, &batches, tables);
    Ok(Finished {
        schema,
        batches,
        intervals,
    })
}

async fn collect(plan: LogicalPlan) -> Result<Vec<RecordBatch>, DataFusionError> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    context.execute_logical_plan(plan).await?.collect().await
}

/// A plan that carries the cell number along, and where each of its columns comes from.
struct Traced {
    plan: LogicalPlan,
    /// For each column, the column of the pooled table that it is.
    origins: Vec<Option<usize>>,
}

/// The same plan with the cell number as its last column, or `None` if it computes with values.
fn trace(plan: &LogicalPlan, table: &PooledTable) -> Result<Option<Traced>, DataFusionError> {
    let below = |input: &LogicalPlan| trace(input, table);
    Ok(match plan {
        LogicalPlan::TableScan(scan) if leaf_of(scan).is_some() => Some(numbered(scan.table_name.table(), table)?),
        LogicalPlan::Projection(projection) => match below(&projection.input)? {
            Some(traced) => project(&projection.expr, &projection.input, traced)?,
            None => None,
        },
        LogicalPlan::Filter(filter) => match below(&filter.input)? {
            Some(Traced { plan, origins }) => {
                let plan = LogicalPlanBuilder::from(plan)
                    .filter(filter.predicate.clone())?
                    .build()?;
                Some(Traced { plan, origins })
            }
            None => None,
        },
        LogicalPlan::Sort(sort) => match below(&sort.input)? {
            Some(Traced { plan, origins }) => {
                let plan = LogicalPlanBuilder::from(plan)
                    .sort_with_limit(sort.expr.clone(), sort.fetch)?
                    .build()?;
                Some(Traced { plan, origins })
            }
            None => None,
        },
        LogicalPlan::Limit(limit) => below(&limit.input)?.map(|Traced { plan, origins }| {
            let plan = LogicalPlan::Limit(Limit {
                input: Arc::new(plan),
                ..limit.clone()
            });
            Traced { plan, origins }
        }),
        LogicalPlan::SubqueryAlias(alias) => match below(&alias.input)? {
            Some(Traced { plan, origins }) => {
                let plan = LogicalPlanBuilder::from(plan).alias(alias.alias.clone())?.build()?;
                Some(Traced { plan, origins })
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
        origins: (0..table.batch.num_columns()).map(Some).collect(),
    })
}

fn project(list: &[Expr], input: &LogicalPlan, traced: Traced) -> Result<Option<Traced>, DataFusionError> {
    let mut origins = Vec::with_capacity(list.len());
    for expr in list {
        let mut bare = expr;
        while let Expr::Alias(alias) = bare {
            bare = &alias.expr;
        }
        match bare {
            Expr::Column(column) => origins.push(traced.origins[input.schema().index_of_column(column)?]),
            other if other.column_refs().is_empty() => origins.push(None),
            _ => return Ok(None),
        }
    }
    let list = list.iter().cloned().chain([unqualified(CELL)]);
    let plan = LogicalPlanBuilder::from(traced.plan).project(list)?.build()?;
    Ok(Some(Traced { plan, origins }))
}

fn traced_result(
    schema: SchemaRef,
    batches: &[RecordBatch],
    table: &PooledTable,
    origins: &[Option<usize>],
) -> Result<Finished, DataFusionError> {
    let kept: Vec<usize> = (0..origins.len()).collect();
    let (mut intervals, mut answer, mut row) = (Vec::new(), Vec::new(), 0);
    for batch in batches {
        for cell in batch.column(origins.len()).as_primitive::<UInt64Type>().values() {
            for open in table.open.iter().filter(|open| open.row as u64 == *cell) {
                let columns = origins
                    .iter()
                    .enumerate()
                    .filter(|(_, origin)| **origin == Some(open.column));
                intervals.extend(columns.map(|(at, _)| Interval {
                    row,
                    column: schema.field(at).name().clone(),
                    low: open.low,
                    high: open.high,
                    nodes: open.nodes.clone(),
                }));
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
    })
}

/// Marks every number of the answer as open, without bounds.
fn unknown(schema: &SchemaRef, batches: &[RecordBatch], tables: &[PooledTable]) -> Vec<Interval> {
    if tables.iter().all(|table| table.open.is_empty()) {
        return Vec::new();
    }
    let suppressing = tables
        .iter()
        .flat_map(|table| table.suppressed.iter().filter(|(_, cells)| **cells > 0));
    let mut nodes: Vec<MemberId> = suppressing.map(|(node, _)| node.clone()).collect();
    nodes.sort();
    nodes.dedup();
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let numbers = schema.fields().iter().filter(|field| field.data_type().is_numeric());
    let names: Vec<&String> = numbers.map(|field| field.name()).collect();
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
