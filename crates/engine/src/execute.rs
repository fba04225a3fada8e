//! Runs an enforced plan within the limits, and nothing else.
//!
//! What the engine says when it fails quotes patients' values: it goes into the node's local log and no further.

use std::time::Duration;

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use std::sync::Arc;
use terms::{Problem, Report, limit};

use crate::enforce::{EnforcedPlan, Shape, ShapeKind};
use crate::scan;

/// What an enforced plan computed, before the checks on what may leave.
#[derive(Debug)]
pub struct Executed {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) shape: Shape,
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
    /// The plan would have read data past the barrier.
    #[error("a plan without the policy barrier")]
    Unguarded,
    /// The engine failed. The text may quote data: for the local log only.
    #[error("engine: {0}")]
    Engine(#[from] DataFusionError),
}

impl ExecuteError {
    /// What the asker is told.
    pub fn report(&self) -> Report {
        match self {
            ExecuteError::Limit { what } => Problem::Resources.report(format!("the query needs more than {what}")),
            ExecuteError::Engine(error) if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) => {
                Problem::Resources.report("the query needs more memory than one query may have")
            }
            ExecuteError::Unguarded | ExecuteError::Engine(_) => {
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
    let EnforcedPlan { plan, state, shape } = enforced;
    let physical = state.create_physical_plan(&plan).await?;
    if !scan::is_guarded(&physical) {
        return Err(ExecuteError::Unguarded);
    }
    let rows_max = match shape.kind {
        ShapeKind::Rows => limit::ROWS_MAX,
        ShapeKind::Cells { .. } => limit::GROUPS_MAX,
    };
    let mut stream = execute_stream(physical, Arc::new(TaskContext::from(&state)))?;
    let (mut batches, mut rows) = (Vec::new(), 0);
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        rows += batch.num_rows();
        if rows > rows_max {
            return Err(ExecuteError::Limit {
                what: format!("{rows_max} rows"),
            });
        }
        batches.push(batch);
    }
    Ok(Executed { batches, shape })
}
