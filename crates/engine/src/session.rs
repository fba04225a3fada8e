//! DataFusion sessions that can do little: one for reading SQL, one for running a plan that we built.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, exec_err};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::functions::datetime;
use datafusion::functions_aggregate::{average, count, sum};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TableType, Volatility,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use policy::{Collection, Column, ColumnKind};
use terms::{CollectionId, limit};

use crate::query::NODE_COLUMN;

/// The collections that a query may name.
pub type Collections = BTreeMap<CollectionId, Arc<Collection>>;

/// A session that can plan what a node runs, and no more: four functions, no files, no catalogue, no settings.
pub(crate) fn for_reading(collections: &Collections) -> Result<SessionContext> {
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_scalar_functions(vec![bin_function(), datetime::date_trunc()])
        .with_aggregate_functions(vec![count::count_udaf(), sum::sum_udaf(), average::avg_udaf()])
        .with_window_functions(vec![])
        .with_higher_order_functions(vec![])
        .with_table_function_list(vec![])
        .with_file_formats(vec![])
        .build();
    let context = SessionContext::new_with_state(state);
    register(&context, collections)?;
    Ok(context)
}

/// Makes the collections known to a session for planning. They hold no rows.
///
/// # Errors
/// If two collections have the same name in SQL.
pub fn register(context: &SessionContext, collections: &Collections) -> Result<()> {
    for collection in collections.values() {
        context.register_table(collection.id.sql_name(), Arc::new(SchemaOnly(query_schema(collection))))?;
    }
    Ok(())
}

/// The function `bin(column)`, which plans but never runs: nodes replace it by the declared bins.
pub fn bin_function() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Bin {
        signature: Signature::any(1, Volatility::Immutable),
    }))
}

/// A session that executes one plan within the limits. Nothing is spilled to disk.
pub(crate) fn for_running() -> Result<SessionState> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_limit(limit::QUERY_MEMORY_BYTES_MAX, 1.0)
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()?;
    // One partition: sums of floating-point numbers are then the same each time.
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_information_schema(false);
    Ok(SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .build())
}

/// The columns of a collection that SQL can name: no identifiers, and the virtual column `node`.
pub fn query_schema(collection: &Collection) -> SchemaRef {
    let named = collection
        .columns
        .iter()
        .filter(|column| !column.roles.identifier)
        .map(field);
    let node = Field::new(NODE_COLUMN, DataType::Utf8, false);
    Arc::new(Schema::new(named.chain([node]).collect::<Vec<_>>()))
}

/// How a column is stored and planned.
pub(crate) fn field(column: &Column) -> Field {
    Field::new(&column.name, arrow_type(column.kind), true)
}

/// The Arrow type of a kind of column.
pub(crate) fn arrow_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Integer => DataType::Int64,
        ColumnKind::Number => DataType::Float64,
        ColumnKind::Boolean => DataType::Boolean,
        ColumnKind::Date => DataType::Date32,
        ColumnKind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

/// A table with columns and no way to get at rows.
#[derive(Debug)]
struct SchemaOnly(SchemaRef);

#[async_trait]
impl TableProvider for SchemaOnly {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        exec_err!("a collection is read at nodes only")
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bin {
    signature: Signature,
}

impl ScalarUDFImpl for Bin {
    fn name(&self) -> &str {
        "bin"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("bin() is replaced by the declared bins before anything runs")
    }
}
