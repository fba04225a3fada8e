//! DataFusion sessions that can do little: one for reading SQL, one for running a plan that we built.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, exec_err, internal_err};
use datafusion::execution::cache::cache_manager::{CacheManager, CacheManagerConfig};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::functions::datetime;
use datafusion::functions_aggregate::{
    approx_median, approx_percentile_cont, average, correlation, count, covariance, median, regr, stddev, sum, variance,
};
use datafusion::logical_expr::expr::AggregateFunctionParams;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TableType, Volatility,
};
use datafusion::optimizer::OptimizerRule;
use datafusion::optimizer::common_subexpr_eliminate::CommonSubexprEliminate;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use policy::{Collection, Column};
use terms::CollectionId;

use crate::memory;
use crate::query::NODE_COLUMN;
use crate::transform;

/// The collections that a query may name.
pub type Collections = BTreeMap<CollectionId, Arc<Collection>>;

/// The aggregates that a node runs, and why each may be: all of them are totals over many people or follow from such
/// totals, and the release checks know how far one person can move them. Not here is what returns a value of one person
/// (min, max, first_value, array_agg, string_agg, mode) and what packs values (bit_xor, bit_or). Of `regr_*` there are the sums
/// of which statistics of two columns are made; `domain.rs` keeps them from data about people.
fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![
        // Totals.
        count::count_udaf(),
        sum::sum_udaf(),
        average::avg_udaf(),
        people_function(),
        // Second moments: under a minimum of degrees of freedom.
        variance::var_pop_udaf(),
        variance::var_samp_udaf(),
        stddev::stddev_pop_udaf(),
        stddev::stddev_udaf(),
        covariance::covar_pop_udaf(),
        covariance::covar_samp_udaf(),
        correlation::corr_udaf(),
        regr::regr_count_udaf(),
        regr::regr_avgx_udaf(),
        regr::regr_avgy_udaf(),
        regr::regr_sxx_udaf(),
        regr::regr_syy_udaf(),
        regr::regr_sxy_udaf(),
        // Interpolated from counts in declared bins; DataFusion's own never run.
        approx_percentile_cont::approx_percentile_cont_udaf(),
        approx_median::approx_median_udaf(),
        median::median_udaf(),
    ]
}

/// A session that can plan what a node runs, and no more: no files, no catalogue, no settings, and of functions only
/// [`aggregates`], `bin` (the declared ranges of a number) and `date_trunc` (the declared ranges of a date).
pub(crate) fn for_reading(collections: &Collections) -> Result<SessionContext> {
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_scalar_functions(vec![bin_function(), datetime::date_trunc()])
        .with_aggregate_functions(aggregates())
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

/// The aggregate `count_people('person')`, as which `count(DISTINCT person)` is planned: so the column of the person need not
/// be one that queries can name. It plans but never runs.
pub fn people_function() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(CountPeople {
        signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
    }))
}

/// What the engine does to a plan of ours before it runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planning {
    /// Expressions are made simpler, and columns that nothing needs are left out. There is no more to do for a list over one barrier,
    /// and to look for it takes longer than to run a small query.
    OfAList,
    /// Everything that it knows.
    OfAnything,
}

/// A session that executes one plan within the limits. It knows no function by name, and nothing is spilled to disk.
pub(crate) fn for_running(planning: Planning) -> Result<SessionState> {
    // Where in a snapshot what is: read once, whoever asks.
    static SNAPSHOTS: LazyLock<Result<Arc<CacheManager>>> =
        LazyLock::new(|| CacheManager::try_new(&CacheManagerConfig::default()));
    let snapshots = SNAPSHOTS.as_ref().map_err(|error| error.to_string());
    let snapshots = snapshots.or_else(|error| internal_err!("{error}"))?;
    let cache = CacheManagerConfig::default().with_file_metadata_cache(Some(snapshots.get_file_metadata_cache()));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_limit(memory::bytes_max(), 1.0)
        .with_cache_manager(cache)
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()?;
    // One partition: rows come as they are stored. What runs at the same time are the parts of a query.
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_collect_statistics(false)
        .with_information_schema(false);
    let state = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime);
    let state = match planning {
        Planning::OfAList => state
            .with_optimizer_rules(rules_of_a_list())
            .with_physical_optimizer_rules(vec![]),
        Planning::OfAnything => state,
    };
    Ok(state.build())
}

fn rules_of_a_list() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    vec![
        Arc::new(SimplifyExpressions::new()),
        Arc::new(CommonSubexprEliminate::new()),
        Arc::new(OptimizeProjections::new()),
    ]
}

/// A row filter of a policy, over stored columns. It may use all functions of the engine.
pub(crate) fn row_filter(sql: &str, schema: &DFSchema) -> Result<Expr> {
    static STATE: LazyLock<SessionState> = LazyLock::new(|| SessionStateBuilder::new().with_default_features().build());
    STATE.create_logical_expr(sql, schema)
}

/// The columns of a collection that SQL can name: no identifiers, but for the person, whom only a list of rows may show and
/// `read.rs` refuses elsewhere; and the virtual column `node`.
pub fn query_schema(collection: &Collection) -> SchemaRef {
    let named = collection
        .columns
        .iter()
        .filter(|column| transform::is_shown(column, collection))
        .map(field);
    let node = Field::new(NODE_COLUMN, DataType::Utf8, false);
    Arc::new(Schema::new(named.chain([node]).collect::<Vec<_>>()))
}

/// How a column is stored and planned.
pub(crate) fn field(column: &Column) -> Field {
    Field::new(&column.name, arrow_type(column.kind), true)
}

/// The Arrow type of a kind of column.
pub(crate) use intake::conform::arrow_type;

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

/// The name of [`people_function`].
pub(crate) const COUNT_PEOPLE: &str = "count_people";

#[derive(Debug, PartialEq, Eq, Hash)]
struct CountPeople {
    signature: Signature,
}

impl AggregateUDFImpl for CountPeople {
    fn name(&self) -> &str {
        COUNT_PEOPLE
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        exec_err!("people are counted at nodes only")
    }

    /// As it was asked for.
    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        let person = match params.args.as_slice() {
            [Expr::Literal(person, _)] => person.try_as_str().flatten().unwrap_or_default(),
            _ => "",
        };
        let filter = params.filter.as_ref();
        let filter = filter.map_or_else(String::new, |filter| {
            format!(" FILTER (WHERE {})", filter.schema_name())
        });
        Ok(format!("count(DISTINCT {person}){filter}"))
    }
}
