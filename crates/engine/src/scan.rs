//! The policy barrier: a scan through which nothing of the asker's query is pushed.
//!
//! A row filter in a view is no barrier in DataFusion: the optimizer merges it with the asker's predicate and may
//! run theirs first, so that a cast error prints a hidden patient's value. Here the row filter is planned apart,
//! below a physical node of ours that offers nothing to the optimizer: no filter, limit or projection goes
//! through it from above, and no statistics come up. What is below needs no optimizer: it is filter and projection over
//! the columns that they need.

#[cfg(test)]
mod tests;
mod unique;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Int64Type, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableType, ident, lit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::filter_pushdown::{ChildFilterPushdownResult, ChildPushdownResult, FilterPushdownPhase};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;

use crate::dataset::ORDER;

/// A dataset as the policy shows it: the rows that the row filter lets through, with what it shows of their columns.
#[derive(Debug)]
pub(crate) struct PolicyScan {
    /// The stored data.
    pub(crate) stored: Arc<dyn TableProvider>,
    /// What our own plan may use.
    pub(crate) visible: SchemaRef,
    /// For each visible column, what is shown of it; over the stored columns.
    pub(crate) shown: Vec<Expr>,
    /// Which rows it may use; over all stored columns.
    pub(crate) row_filter: Option<Expr>,
    /// The visible column of which each value may come once, if something is joined to it.
    pub(crate) key: Option<String>,
    /// Of data about people, those whose rows these are, by their order; none for everybody.
    pub(crate) part: Option<RangeInclusive<i64>>,
}

impl PolicyScan {
    /// Which of the stored columns the expressions need.
    fn needed<'a>(&self, expressions: impl Iterator<Item = &'a Expr>) -> Result<Vec<usize>> {
        let stored = self.stored.schema();
        let names: BTreeSet<&str> = expressions
            .flat_map(|expression| expression.column_refs())
            .map(|column| column.name.as_str())
            .collect();
        let position = |name: &str| Ok(stored.index_of(name)?);
        names.into_iter().map(position).collect()
    }

    /// The condition for whole groups of rows; each row that is read is looked at again.
    fn part_condition(&self) -> Option<Expr> {
        let part = self.part.as_ref()?;
        Some(ident(ORDER).between(lit(*part.start()), lit(*part.end())))
    }
}

#[async_trait]
impl TableProvider for PolicyScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.visible)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.visible.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let key = self.key.as_ref().map(|key| {
            let at = self.visible.index_of(key)?;
            let place = wanted.iter().position(|wanted| *wanted == at);
            place.map_or_else(|| internal_err!("a join without its key"), Ok)
        });
        let shown = || wanted.iter().map(|at| &self.shown[*at]);
        let part = self.part_condition();
        let needed = self.needed(shown().chain(&self.row_filter).chain(&part))?;
        let mut below = self.stored.scan(state, Some(&needed), &[], None).await?;
        let schema = DFSchema::try_from(below.schema())?;
        let physical = |expression: &Expr| state.create_physical_expr(expression.clone(), &schema);
        let conditions = [&self.row_filter, &part].into_iter().flatten().map(physical);
        below = pruned(below, conditions.collect::<Result<_>>()?, state.config_options())?;
        // Where the order does not come up, nothing above can be cut by it.
        let is_cut = wanted.iter().any(|at| self.visible.field(*at).name() == ORDER);
        for filter in self.row_filter.iter().chain(part.iter().filter(|_| !is_cut)) {
            below = Arc::new(FilterExec::try_new(physical(filter)?, below)?);
        }
        let columns = wanted.iter().zip(shown());
        let columns = columns.map(|(at, shown)| Ok((physical(shown)?, self.visible.field(*at).name().clone())));
        let below = Arc::new(ProjectionExec::try_new(columns.collect::<Result<Vec<_>>>()?, below)?);
        let part = self
            .part
            .clone()
            .filter(|_| is_cut)
            .map(|orders| Part::of(orders, &below.schema()));
        Ok(Arc::new(Barrier {
            part: part.transpose()?,
            key: key.transpose()?,
            below,
        }))
    }
}

/// The same without groups of rows of which the conditions can be true for none.
fn pruned(
    plan: Arc<dyn ExecutionPlan>,
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    config: &ConfigOptions,
) -> Result<Arc<dyn ExecutionPlan>> {
    let offered = ChildPushdownResult {
        parent_filters: conditions
            .into_iter()
            .map(|filter| ChildFilterPushdownResult {
                filter,
                child_results: Vec::new(),
            })
            .collect(),
        self_filters: Vec::new(),
    };
    let taken = plan.handle_child_pushdown_result(FilterPushdownPhase::Pre, offered, config)?;
    Ok(taken.updated_node.unwrap_or(plan))
}

/// Some of the people: those whose order is in a range.
#[derive(Clone, Debug)]
struct Part {
    orders: RangeInclusive<i64>,
    /// The column with the order.
    column: usize,
}

impl Part {
    fn of(orders: RangeInclusive<i64>, schema: &Schema) -> Result<Self> {
        let column = schema.index_of(ORDER)?;
        Ok(Self { orders, column })
    }

    /// The rows of these people. Others are read with them where a part begins and ends.
    fn cut(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let orders = batch.column(self.column).as_primitive_opt::<Int64Type>();
        let orders = orders.filter(|orders| orders.null_count() == 0 && orders.values().is_sorted());
        let Some(orders) = orders else {
            return internal_err!("the snapshot is not in its order");
        };
        let from = orders.values().partition_point(|order| order < self.orders.start());
        let to = orders.values().partition_point(|order| order <= self.orders.end());
        Ok(batch.slice(from, to.saturating_sub(from)))
    }
}

/// Whether all data that a plan reads comes through a barrier.
pub(crate) fn is_guarded(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.downcast_ref::<Barrier>().is_some() {
        return true;
    }
    let children = plan.children();
    if children.is_empty() {
        return plan.downcast_ref::<EmptyExec>().is_some() || plan.downcast_ref::<PlaceholderRowExec>().is_some();
    }
    children.into_iter().all(is_guarded)
}

/// Passes batches up and nothing down. Every method that would let the optimizer through keeps its default,
/// which is "no".
#[derive(Debug)]
struct Barrier {
    below: Arc<dyn ExecutionPlan>,
    part: Option<Part>,
    /// The column of which no value comes up twice.
    key: Option<usize>,
}

impl DisplayAs for Barrier {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PolicyBarrier")
    }
}

impl ExecutionPlan for Barrier {
    fn name(&self) -> &str {
        "PolicyBarrier"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.below.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.below]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([below]) => Ok(Arc::new(Barrier {
                below,
                part: self.part.clone(),
                key: self.key,
            })),
            Err(_) => internal_err!("the policy barrier has one child"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut batches = self.below.execute(partition, Arc::clone(&context))?;
        if let Some(part) = self.part.clone() {
            let schema = batches.schema();
            let cut = batches.map(move |batch| part.cut(&batch?));
            batches = Box::pin(RecordBatchStreamAdapter::new(schema, cut));
        }
        match self.key {
            Some(key) => unique::guarded(batches, key, &context),
            None => Ok(batches),
        }
    }
}
