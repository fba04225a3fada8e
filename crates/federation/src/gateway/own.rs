//! Questions that no node is asked: about the last answer of the connection, and those that name no table (`SELECT 1`, by which
//! programs see whether a connection is alive).
//!
//! `datenraum.coverage` and `datenraum.intervals` are about the last question of this connection that nodes were asked, answered or
//! not; before the first they are empty. Asking them changes nothing. They cannot be joined with collections.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::MemorySchemaProvider;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::resolve::resolve_table_references;
use engine::read::{self, Collections};
use terms::{Problem, Report};

use super::told::{ResultSet, Told};
use crate::parameters::{self, Parameters};
use crate::split::{self, CATALOG, Description, SCHEMA, unfinished};

/// The schema of these tables.
pub(super) const OWN_SCHEMA: &str = "datenraum";
/// Who took part in the last answer.
pub(super) const COVERAGE: &str = "coverage";
/// What its open values can be.
pub(super) const INTERVALS: &str = "intervals";

/// A planned question of this kind.
pub(super) struct Own {
    plan: LogicalPlan,
    context: SessionContext,
}

/// Plans `sql`, if it is such a question.
pub(super) async fn plan(sql: &str, last: &Arc<Told>) -> Result<Option<Own>, Report> {
    read::check_size(sql)?;
    let (sql, last) = (sql.to_owned(), Arc::clone(last));
    read::on_deep_stack(move || {
        let mut parsed = read::parse(&sql, &Collections::new())?;
        let (tables, _) = resolve_table_references(&parsed, true).map_err(|error| unfinished(&error))?;
        if !tables.iter().all(is_own) {
            return Ok(None);
        }
        parameters::number(&mut parsed)?;
        let context = context(&last)?;
        let state = context.state();
        let plan = futures::executor::block_on(state.statement_to_plan(parsed));
        let plan = plan.map_err(|error| unplanned(&error))?;
        split::only_queries(&plan)?;
        Ok(Some(Own { plan, context }))
    })
    .await
}

fn unplanned(error: &DataFusionError) -> Report {
    let report = read::planning_report(error, &Collections::new());
    match report.problem {
        Problem::SqlCollection => report.remedy(format!(
            "there are {OWN_SCHEMA}.{COVERAGE} and {OWN_SCHEMA}.{INTERVALS}; they are asked without collections"
        )),
        _ => report,
    }
}

fn is_own(table: &TableReference) -> bool {
    table.schema() == Some(OWN_SCHEMA)
}

fn context(last: &Told) -> Result<SessionContext, Report> {
    let config = SessionConfig::new().with_target_partitions(1);
    let context = SessionContext::new_with_config(config.with_default_catalog_and_schema(CATALOG, SCHEMA));
    let registered = |schema: &str, name: &str, batch: arrow::record_batch::RecordBatch| {
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
        context.register_table(TableReference::partial(schema, name), Arc::new(table))?;
        Ok::<(), DataFusionError>(())
    };
    let (coverage, intervals) = (last.coverage()?, last.intervals()?);
    let catalog = context.catalog(CATALOG);
    let made = catalog.map(|catalog| catalog.register_schema(OWN_SCHEMA, Arc::new(MemorySchemaProvider::new())));
    made.transpose()
        .and_then(|_| registered(OWN_SCHEMA, COVERAGE, coverage))
        .and_then(|()| registered(OWN_SCHEMA, INTERVALS, intervals))
        .map_err(|error| unfinished(&error))?;
    Ok(context)
}

impl Own {
    pub(super) fn describe(&self) -> Result<Description, Report> {
        Ok(Description {
            schema: Arc::clone(self.plan.schema().inner()),
            parameters: parameters::of(&self.plan)?,
        })
    }

    pub(super) async fn run(self, parameters: &Parameters) -> Result<ResultSet, Report> {
        let plan = parameters.bind(self.plan)?;
        let planned: SchemaRef = Arc::clone(plan.schema().inner());
        let collected = async { self.context.execute_logical_plan(plan).await?.collect().await };
        let batches = collected.await.map_err(|error: DataFusionError| unfinished(&error))?;
        ResultSet::new(&planned, batches, HashMap::new())
    }
}
