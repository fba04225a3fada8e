//! The barrier against a predicate that fails on rows that the row filter hides.

use std::sync::Arc;

use datafusion::arrow::array::{BooleanArray, Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::stats::Precision;
use datafusion::datasource::MemTable;
use datafusion::datasource::provider_as_source;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{collect, displayable};

use super::*;
use crate::session;

/// One person who agreed and one who refused, whose age and code no question can bear.
fn stored() -> Arc<dyn TableProvider> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("age", DataType::Int64, true),
        Field::new("code", DataType::Utf8, true),
        Field::new("consent", DataType::Boolean, true),
    ]));
    let columns: Vec<Arc<dyn datafusion::arrow::array::Array>> = vec![
        Arc::new(Int64Array::from(vec![30, 999])),
        Arc::new(StringArray::from(vec!["7", "HIDDEN"])),
        Arc::new(BooleanArray::from(vec![true, false])),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    Arc::new(MemTable::try_new(schema, vec![vec![batch]]).unwrap())
}

fn policy_scan() -> LogicalPlanBuilder {
    let visible = stored().schema().project(&[0, 1]).unwrap();
    let scan = PolicyScan {
        stored: stored(),
        shown: vec![ident("age"), ident("code")],
        visible: Arc::new(visible),
        row_filter: Some(ident("consent")),
        key: None,
        part: None,
    };
    LogicalPlanBuilder::scan("patients", provider_as_source(Arc::new(scan)), None).unwrap()
}

fn view_without_a_barrier() -> LogicalPlanBuilder {
    let scan = LogicalPlanBuilder::scan("patients", provider_as_source(stored()), None).unwrap();
    scan.filter(ident("consent")).unwrap()
}

/// Fails for the one who refused.
fn divides_by_the_hidden_age() -> Expr {
    (lit(1_i64) / (ident("age") - lit(999_i64))).lt_eq(lit(0_i64))
}

fn casts_the_hidden_code() -> Expr {
    cast(ident("code"), DataType::Int64).gt(lit(0_i64))
}

async fn physical(plan: LogicalPlan) -> Arc<dyn ExecutionPlan> {
    session::for_running(session::Planning::OfAnything)
        .unwrap()
        .create_physical_plan(&plan)
        .await
        .unwrap()
}

async fn rows(plan: LogicalPlan) -> Result<usize> {
    let state = session::for_running(session::Planning::OfAnything).unwrap();
    let physical = state.create_physical_plan(&plan).await?;
    let batches = collect(physical, Arc::new(TaskContext::from(&state))).await?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}

#[tokio::test]
async fn a_predicate_never_meets_a_hidden_row() {
    for oracle in [divides_by_the_hidden_age(), casts_the_hidden_code()] {
        let plan = policy_scan().filter(oracle).unwrap().build().unwrap();
        assert_eq!(rows(plan).await.unwrap(), 1);
    }
}

/// Shows that the test above can fail: a row filter in a view is no barrier.
#[tokio::test]
async fn without_the_barrier_the_same_predicate_meets_the_hidden_row() {
    for oracle in [divides_by_the_hidden_age(), casts_the_hidden_code()] {
        let plan = view_without_a_barrier().filter(oracle).unwrap().build().unwrap();
        assert!(rows(plan).await.is_err());
    }
}

#[tokio::test]
async fn filters_limits_and_projections_stay_above_the_barrier() {
    let plan = policy_scan().filter(ident("age").lt(lit(51_i64))).unwrap();
    let plan = plan.project([(ident("age") + lit(12_i64)).alias("x")]).unwrap();
    let plan = physical(plan.limit(0, Some(17)).unwrap().build().unwrap()).await;
    let shown = displayable(plan.as_ref()).indent(false).to_string();
    let (above, below) = shown.split_once("PolicyBarrier").unwrap();
    assert!(
        above.contains("51") && above.contains("12") && above.contains("17"),
        "{shown}"
    );
    assert!(below.contains("consent"), "{shown}");
    assert!(
        !below.contains("51") && !below.contains("12") && !below.contains("17"),
        "{shown}"
    );
}

#[tokio::test]
async fn nothing_is_answered_from_statistics() {
    let plan = policy_scan().aggregate(Vec::<Expr>::new(), [count(lit(1))]).unwrap();
    let plan = physical(plan.build().unwrap()).await;
    assert!(is_guarded(&plan));
    let shown = displayable(plan.as_ref()).indent(false).to_string();
    assert!(
        shown.contains("AggregateExec") && shown.contains("PolicyBarrier"),
        "{shown}"
    );
    let barrier = Barrier {
        part: None,
        below: physical(view_without_a_barrier().build().unwrap()).await,
        key: None,
    };
    let statistics = StatisticsContext::new()
        .compute(&barrier, &StatisticsArgs::new())
        .unwrap();
    assert_eq!(statistics.num_rows, Precision::Absent);
}

#[tokio::test]
async fn a_plan_that_reads_past_the_barrier_is_noticed() {
    let past = physical(view_without_a_barrier().build().unwrap()).await;
    assert!(!is_guarded(&past));
    let both = policy_scan().project([ident("age")]).unwrap();
    let other = view_without_a_barrier().project([ident("age")]).unwrap();
    let both = both.union(other.build().unwrap()).unwrap();
    assert!(!is_guarded(&physical(both.build().unwrap()).await));
}

/// What a query reads of these keys.
async fn read_keys(keys: Vec<Option<&str>>) -> Result<usize> {
    let field = Field::new("key", DataType::Utf8, true);
    let schema = Arc::new(Schema::new(vec![field]));
    // In two batches: what was seen in the first counts in the second.
    let batches = keys.chunks(2).map(|keys| {
        let column = Arc::new(StringArray::from(keys.to_vec()));
        RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap()
    });
    let scan = PolicyScan {
        stored: Arc::new(MemTable::try_new(Arc::clone(&schema), vec![batches.collect()]).unwrap()),
        shown: vec![datafusion::logical_expr::ident("key")],
        visible: schema,
        row_filter: None,
        key: Some("key".to_owned()),
        part: None,
    };
    let plan = LogicalPlanBuilder::scan("t", provider_as_source(Arc::new(scan)), None)?.build()?;
    let physical = physical(plan).await;
    let context = Arc::new(TaskContext::default());
    let batches = datafusion::physical_plan::collect(physical, context).await?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}

#[tokio::test]
async fn a_key_that_comes_up_twice_ends_the_query() {
    assert!(
        read_keys(vec![Some("a"), Some("b"), Some("c"), Some("a")])
            .await
            .is_err()
    );
    assert!(read_keys(vec![Some("a"), Some("a")]).await.is_err());
    assert!(read_keys(vec![Some("a"), None]).await.is_err());
    assert_eq!(read_keys(vec![Some("a"), Some("b"), Some("c")]).await.unwrap(), 3);
}

/// Rows of five people, of whom the second and the third are a part; in this order or with the first two exchanged.
async fn part_of_five(in_order: bool) -> Result<Vec<i64>> {
    let orders = if in_order {
        [1, 2, 2, 3, 4, 5]
    } else {
        [2, 1, 2, 3, 4, 5]
    };
    let schema = Arc::new(Schema::new(vec![Field::new(ORDER, DataType::Int64, false)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from(orders.to_vec()))])?;
    let scan = PolicyScan {
        stored: Arc::new(MemTable::try_new(Arc::clone(&schema), vec![vec![batch]])?),
        shown: vec![ident(ORDER)],
        visible: schema,
        row_filter: None,
        part: Some(2..=3),
        key: None,
    };
    let plan = LogicalPlanBuilder::scan("patients", provider_as_source(Arc::new(scan)), None)?;
    let state = session::for_running(session::Planning::OfAnything)?;
    let physical = state.create_physical_plan(&plan.build()?).await?;
    let batches = collect(physical, Arc::new(TaskContext::from(&state))).await?;
    let orders = batches
        .iter()
        .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
    Ok(orders.collect())
}

#[tokio::test]
async fn a_part_has_the_rows_of_its_people_and_needs_their_order() {
    assert!(part_of_five(false).await.is_err());
    assert_eq!(part_of_five(true).await.unwrap(), [2, 2, 3]);
}
