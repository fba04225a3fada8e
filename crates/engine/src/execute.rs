//! Runs an enforced plan within the limits, and nothing else.
//!
//! What the engine says when it fails quotes patients' values: it goes into the node's local log and no further.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use futures::StreamExt;
use terms::{Problem, Report, limit};
use tokio::task::JoinSet;

use crate::cells::{Cells, CellsError, Table};
use crate::enforce::{CellShape, EnforcedPlan, ShapeKind};
use crate::scan;
use crate::sketch;
use crate::stream::Unread;
use crate::workers;

/// What an enforced plan computed, before the checks on what may leave. Rows are not read yet.
#[derive(Debug)]
pub struct Executed {
    pub(crate) result: Computed,
    pub(crate) schema: SchemaRef,
}

#[derive(Debug)]
pub(crate) enum Computed {
    Rows(Unread),
    Cells(Table, Box<CellShape>),
}

/// Why a plan did not finish.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// A limit was reached.
    #[error("the query needs more than {what}")]
    Limit {
        /// The limit, with its unit.
        what: String,
    },
    /// There are more rows than one answer may have. Whoever is told has as many.
    #[error("the answer has more than {most} rows")]
    Rows {
        /// So many it may have.
        most: usize,
    },
    /// The plan would have read data past the barrier.
    #[error("a plan without the policy barrier")]
    Unguarded,
    /// A part of the work ended without a word.
    #[error("a part of the query stopped")]
    Stopped,
    /// The engine failed. The text may quote data: for the local log only.
    #[error("engine: {0}")]
    Engine(#[from] DataFusionError),
}

impl ExecuteError {
    /// What the asker is told.
    pub fn report(&self) -> Report {
        match self {
            ExecuteError::Limit { what } => Problem::Resources.report(format!("the query needs more than {what}")),
            ExecuteError::Rows { .. } => Problem::Resources
                .report(self.to_string())
                .remedy("ask for a part of the rows at a time"),
            ExecuteError::Engine(error) if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) => {
                Problem::Resources.report("the query needs more memory than one query may have")
            }
            ExecuteError::Unguarded | ExecuteError::Stopped | ExecuteError::Engine(_) => {
                Problem::Execution.report("the node could not finish the query")
            }
        }
    }
}

/// Runs the plan. Dropping the future stops it.
///
/// # Errors
/// [`ExecuteError`]; none of its texts may leave the node except through [`ExecuteError::report`].
pub async fn execute(enforced: EnforcedPlan) -> Result<Executed, ExecuteError> {
    let seconds = limit::QUERY_SECONDS_MAX;
    let run = tokio::time::timeout(Duration::from_secs(seconds), run(enforced));
    run.await.map_err(|_| ExecuteError::Limit {
        what: format!("{seconds} s"),
    })?
}

async fn run(enforced: EnforcedPlan) -> Result<Executed, ExecuteError> {
    let EnforcedPlan { plans, state, shape } = enforced;
    let context = Arc::new(TaskContext::from(&state));
    let mut parts = Vec::with_capacity(plans.len());
    for plan in plans {
        let physical = state.create_physical_plan(&plan).await?;
        if !scan::is_guarded(&physical) {
            return Err(ExecuteError::Unguarded);
        }
        parts.push(execute_stream(physical, Arc::clone(&context))?);
    }
    let result = match shape.kind {
        ShapeKind::Rows => Computed::Rows(Unread(parts)),
        ShapeKind::Cells(mut shape) => Computed::Cells(cells(parts, &mut shape).await?, shape),
    };
    Ok(Executed {
        result,
        schema: shape.schema,
    })
}

/// Takes in line after line, all parts at the same time; only cells stay. All of a person's lines are in one part.
async fn cells(parts: Vec<SendableRecordBatchStream>, shape: &mut CellShape) -> Result<Table, ExecuteError> {
    let layout = Arc::new(shape.layout.take().ok_or(ExecuteError::Unguarded)?);
    let slots = shape
        .checks
        .as_ref()
        .map(|checks| sketch::slots(checks.rules.people_min));
    // Aborts what still runs when it is dropped.
    let (mut running, workers) = (JoinSet::new(), workers::handle());
    for part in parts {
        let cells = Cells::new(Arc::clone(&layout), slots, shape.keeps_empty);
        running.spawn_on(cells_of(part, cells), &workers);
    }
    let mut all = Cells::new(layout, slots, shape.keeps_empty);
    while let Some(part) = running.join_next().await {
        all.merge(part.map_err(|_| ExecuteError::Stopped)??)?;
    }
    Ok(all.finish().map_err(DataFusionError::from)?)
}

async fn cells_of(mut part: SendableRecordBatchStream, mut cells: Cells) -> Result<Cells, ExecuteError> {
    while let Some(batch) = part.next().await {
        cells.add(&batch?)?;
        // Whoever is not waited for any more ends here.
        tokio::task::yield_now().await;
    }
    Ok(cells)
}

impl From<CellsError> for ExecuteError {
    fn from(error: CellsError) -> Self {
        match error {
            CellsError::TooMany => ExecuteError::Limit {
                what: format!("{} groups", limit::GROUPS_MAX),
            },
            CellsError::Arrow(error) => ExecuteError::Engine(error.into()),
        }
    }
}
