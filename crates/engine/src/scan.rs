//! The policy barrier: a scan through which nothing of the asker's query is pushed.
//!
//! A row filter in a view is no barrier in DataFusion: the optimizer merges it with the asker's predicate and may
//! run theirs first, so that a cast error prints a hidden patient's value. Here the row filter is planned apart,
//! below a physical node of ours that offers nothing to the optimizer: no filter, limit or projection goes
//! through it from above, and no statistics come up.

#[cfg(test)]
mod tests;
mod unique;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::provider_as_source;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};

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
        let mut plan = LogicalPlanBuilder::scan("stored", provider_as_source(Arc::clone(&self.stored)), None)?;
        if let Some(filter) = &self.row_filter {
            plan = plan.filter(filter.clone())?;
        }
        let all: Vec<usize> = (0..self.visible.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let key = self.key.as_ref().map(|key| {
            let at = self.visible.index_of(key)?;
            let place = wanted.iter().position(|wanted| *wanted == at);
            place.map_or_else(|| internal_err!("a join without its key"), Ok)
        });
        let shown = wanted.iter().map(|at| self.shown[*at].clone());
        let plan = plan.project(shown)?.build()?;
        let physical = state.create_physical_plan(&plan).await?;
        Ok(Arc::new(Barrier {
            below: physical,
            key: key.transpose()?,
        }))
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
            Ok([below]) => Ok(Arc::new(Barrier { below, key: self.key })),
            Err(_) => internal_err!("the policy barrier has one child"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.below.execute(partition, Arc::clone(&context))?;
        match self.key {
            Some(key) => unique::guarded(rows, key, &context),
            None => Ok(rows),
        }
    }
}
