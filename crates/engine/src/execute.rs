//! Runs an enforced plan within the limits, and nothing else.
//!
//! What the engine says when it fails quotes patients' values: it goes into the node's local log and no further.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use futures::StreamExt;
use terms::{Problem, Report, limit};
use tokio::task::JoinSet;

use crate::cells::{Cells, CellsError, Table};
use crate::enforce::{CellShape, EnforcedPlan, ShapeKind};
use crate::fold::Fold;
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
    /// The rows did not come person by person.
    #[error("the snapshot is not in its order")]
    Unordered,
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
            ExecuteError::Unguarded | ExecuteError::Unordered | ExecuteError::Stopped | ExecuteError::Engine(_) => {
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
    let run = tokio::time::timeout(Duration::from_secs(seconds), Box::pin(run(enforced)));
    run.await.map_err(|_| ExecuteError::Limit {
        what: format!("{seconds} s"),
    })?
}

async fn run(enforced: EnforcedPlan) -> Result<Executed, ExecuteError> {
    let EnforcedPlan { plans, state, shape } = enforced;
    let state = Arc::new(state);
    let result = match shape.kind {
        ShapeKind::Rows => {
            let mut parts = Vec::with_capacity(plans.len());
            for plan in &plans {
                parts.push(start(plan, &state).await?);
            }
            Computed::Rows(Unread(parts))
        }
        ShapeKind::Cells(mut shape) => Computed::Cells(cells(plans, &state, &mut shape).await?, shape),
    };
    Ok(Executed {
        result,
        schema: shape.schema,
    })
}

/// Nothing is read that does not come through the barrier.
pub(crate) async fn start(plan: &LogicalPlan, state: &SessionState) -> Result<SendableRecordBatchStream, ExecuteError> {
    let physical = state.create_physical_plan(plan).await?;
    if !scan::is_guarded(&physical) {
        return Err(ExecuteError::Unguarded);
    }
    Ok(execute_stream(physical, Arc::new(TaskContext::from(state)))?)
}

/// Takes in row after row, all parts at the same time, the first of them here; only cells stay. All of a person's rows are in one part.
async fn cells(
    parts: Vec<LogicalPlan>,
    state: &Arc<SessionState>,
    shape: &mut CellShape,
) -> Result<Table, ExecuteError> {
    let layout = Arc::new(shape.layout.take().ok_or(ExecuteError::Unguarded)?);
    let slots = shape
        .checks
        .as_ref()
        .map(|checks| sketch::slots(checks.rules.people_min));
    // Aborts what still runs when it is dropped.
    let (mut running, workers) = (JoinSet::new(), workers::handle());
    let new_fold = || Fold::new(Arc::clone(&layout), slots);
    let mut parts = parts.into_iter();
    let first = parts.next();
    for part in parts {
        running.spawn_on(cells_of(part, Arc::clone(state), new_fold()), &workers);
    }
    let mut all = new_fold().finish();
    if let Some(first) = first {
        all.merge(cells_of(first, Arc::clone(state), new_fold()).await?)?;
    }
    while let Some(part) = running.join_next().await {
        all.merge(part.map_err(|_| ExecuteError::Stopped)??)?;
    }
    all.spread(&layout.spread).map_err(DataFusionError::from)?;
    Ok(all.table(shape.keeps_empty).map_err(DataFusionError::from)?)
}

async fn cells_of(part: LogicalPlan, state: Arc<SessionState>, mut fold: Fold) -> Result<Cells, ExecuteError> {
    let mut batches = start(&part, &state).await?;
    let memory = MemoryConsumer::new("cells").register(&state.runtime_env().memory_pool);
    while let Some(batch) = batches.next().await {
        fold.add(&batch?)?;
        memory.try_resize(fold.bytes())?;
        // Whoever is not waited for any more ends here.
        tokio::task::yield_now().await;
    }
    Ok(fold.finish())
}

impl From<CellsError> for ExecuteError {
    fn from(error: CellsError) -> Self {
        match error {
            CellsError::TooMany => ExecuteError::Limit {
                what: format!("{} groups", limit::GROUPS_MAX),
            },
            CellsError::Unordered => ExecuteError::Unordered,
            CellsError::Arrow(error) => ExecuteError::Engine(error.into()),
        }
    }
}
