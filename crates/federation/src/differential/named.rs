//! Differences that were found, each as a case of its own; and what cannot be asked, with what can.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::common::ScalarValue;

use super::compare;
use super::nodes::Nodes;
use super::oracles;
use super::queries::{Question, Sameness};
use super::reference::Reference;
use super::tables::Tables;

type Row = Vec<(&'static str, ScalarValue)>;

fn integers(column: &'static str, values: &[i64]) -> Vec<Row> {
    values
        .iter()
        .map(|value| vec![(column, ScalarValue::from(*value))])
        .collect()
}

fn numbers(column: &'static str, values: &[f64]) -> Vec<Row> {
    values
        .iter()
        .map(|value| vec![(column, ScalarValue::from(*value))])
        .collect()
}

/// Asks both; the first error says what is different.
async fn same(by_node: Vec<Vec<Row>>, sql: &str, columns: &[Sameness]) {
    let tables = Tables::of_visits(by_node);
    let question = Question {
        sql: sql.to_owned(),
        columns: columns.to_vec(),
        ordered: false,
    };
    let given = Nodes::hold(&tables).ask(sql).await;
    let expected = Reference::of(&tables).answer(sql).await;
    compare::same(&question, given, expected).unwrap_or_else(|difference| panic!("{sql}\n{difference}"));
}

/// What the refusal says, and what to do.
async fn refused(sql: &str) -> String {
    let nodes = Nodes::hold(&Tables::of_visits(vec![integers("age", &[40]), Vec::new()]));
    match nodes.ask(sql).await {
        Err(report) => format!("{}; {}", report.message, report.remedy),
        Ok(finished) => panic!("{sql} was answered: {:?}", finished.batches),
    }
}

const MAX: i64 = i64::MAX;

#[tokio::test]
async fn a_pooled_sum_that_does_not_fit_is_no_number() {
    let by_node = || vec![integers("huge", &[MAX, 1]), integers("huge", &[MAX])];
    same(by_node(), "SELECT sum(huge) FROM visits", &[Sameness::Exact]).await;
    let nodes = Nodes::hold(&Tables::of_visits(by_node()));
    let report = nodes.ask("SELECT sum(huge) FROM visits").await.unwrap_err();
    assert!(report.message.contains("does not fit 64 bits"), "{report}");
}

/// 2026-11-27: the node failed, because it made the mean from a sum of 64 bits.
#[tokio::test]
async fn a_mean_of_large_integers_is_told_although_their_sum_does_not_fit() {
    let by_node = vec![integers("huge", &[MAX, MAX - 7]), integers("huge", &[MAX - 1, -5])];
    same(
        by_node,
        "SELECT avg(huge), count(huge) FROM visits",
        &[Sameness::Mean, Sameness::Exact],
    )
    .await;
}

/// 2026-11-27: the same.
#[tokio::test]
async fn a_pooled_sum_may_fit_where_a_node_s_does_not() {
    let by_node = vec![integers("huge", &[MAX, MAX]), integers("huge", &[-MAX, -MAX, 3])];
    same(by_node, "SELECT sum(huge) FROM visits", &[Sameness::Exact]).await;
}

/// 2026-11-27: nobody's covariance was -0.
#[tokio::test]
async fn a_covariance_of_nobody_is_not_known() {
    let by_node = vec![integers("small", &[1, 2, 3]), Vec::new()];
    let sql =
        "SELECT node, covar_samp(small, cost), covar_pop(small, cost), corr(small, cost) FROM visits GROUP BY node";
    let all = [
        Sameness::Exact,
        Sameness::Pair(1.0),
        Sameness::Pair(1.0),
        Sameness::Pair(1.0),
    ];
    same(by_node.clone(), sql, &all).await;
    same(
        by_node,
        &sql.replace("node, ", "").replace(" GROUP BY node", ""),
        &all[1..],
    )
    .await;
}

/// 2026-11-27: DataFusion's variance at the node lost six digits, and its products of deviations more.
#[tokio::test]
async fn what_is_far_from_zero_has_a_variance_to_ten_digits() {
    let far = |x: f64| {
        let row = |y: f64| {
            vec![
                ("far", ScalarValue::from(1e6 + x + y)),
                ("cost", ScalarValue::from(1e6 - y * x)),
            ]
        };
        [0.125, 0.5, 1.75, 3.0].map(row).to_vec()
    };
    let sql = "SELECT var_samp(far), stddev_pop(far), covar_pop(far, cost), corr(far, cost) FROM visits";
    let all = [
        Sameness::Spread,
        Sameness::Spread,
        Sameness::Pair(1.0),
        Sameness::Pair(1.0),
    ];
    same(vec![far(0.25), far(1.5), far(2.0), Vec::new()], sql, &all).await;
}

/// 2026-11-27: as floats the means of the nodes are the same.
#[tokio::test]
async fn integers_that_floats_cannot_tell_apart_have_their_variance() {
    let by_node = vec![
        integers("code", &[4_000_000_000_000_000]),
        integers("code", &[4_000_000_000_000_001]),
    ];
    same(
        by_node,
        "SELECT var_pop(code), stddev(code) FROM visits",
        &[Sameness::Spread, Sameness::Spread],
    )
    .await;
}

/// 2026-11-27: the variance of a tenth, again and again, was not 0, and its correlation was.
#[tokio::test]
async fn equal_numbers_have_no_variance_and_no_correlation() {
    let by_node = vec![numbers("cost", &[0.1; 3]), numbers("cost", &[0.1; 7])];
    let sql = "SELECT var_pop(cost), stddev(cost), corr(cost, cost) FROM visits";
    same(by_node, sql, &[Sameness::Spread, Sameness::Spread, Sameness::Pair(1.0)]).await;
}

/// 2026-11-27: the sum was no number, because what rounding lost of infinity is none.
#[tokio::test]
async fn a_sum_beyond_the_largest_number_is_infinite_and_its_mean_is_not_known() {
    let by_node = vec![numbers("cost", &[1e308, 1e308]), numbers("cost", &[1.0])];
    same(by_node.clone(), "SELECT sum(cost) FROM visits", &[Sameness::Mean]).await;
    let nodes = Nodes::hold(&Tables::of_visits(by_node));
    let finished = nodes.ask("SELECT avg(cost), stddev(cost) FROM visits").await.unwrap();
    let row = &finished.batches[0];
    assert!(row.columns().iter().all(|column| column.is_null(0)), "{row:?}");
}

#[tokio::test]
async fn parts_of_a_regression_are_pooled() {
    let both = |x: i64| {
        vec![
            ("small", ScalarValue::from(x)),
            ("cost", ScalarValue::from(x as f64 * 0.3 + 1.0)),
        ]
    };
    let by_node = vec![vec![both(1), both(7)], integers("small", &[5]), vec![both(4)]];
    let sql = "SELECT regr_count(cost, small), regr_avgx(cost, small), regr_avgy(cost, small), regr_sxx(cost, small), \
               regr_syy(cost, small), regr_sxy(cost, small), regr_sxy(cost, small) / regr_sxx(cost, small) FROM visits";
    let all = [
        vec![Sameness::Exact],
        vec![Sameness::Mean; 2],
        vec![Sameness::Spread; 4],
    ]
    .concat();
    same(by_node, sql, &all).await;
}

#[tokio::test]
async fn quantiles_of_all_nodes_are_interpolated_from_their_bins_together() {
    let quantiles = "median(age), approx_percentile_cont(age, 0.25), approx_percentile_cont(age, 0.999), median(score)";
    let sql = format!("SELECT {quantiles}, median(age) FILTER (WHERE level > 0) FROM visits");
    let all = [Sameness::Mean; 5];
    let ages = |ages: &[i64]| integers("age", ages);
    // One node only, nodes without rows, nothing known, all in one bin, and the row at the share the last of its bin.
    for by_node in [
        vec![ages(&[3, 50, 51, 119])],
        vec![Vec::new(), ages(&[3, 50]), Vec::new()],
        vec![integers("level", &[1, 2]), integers("level", &[0])],
        vec![Vec::new(), Vec::new()],
        vec![ages(&[41, 42]), ages(&[43; 5])],
        vec![ages(&[1, 2]), ages(&[20, 119])],
    ] {
        same(by_node, &sql, &all).await;
    }
    let by_bin = "SELECT bin(age), median(age), count(*) FROM visits GROUP BY bin(age)";
    let by_node = vec![ages(&[1, 2]), ages(&[20, 119, 20]), integers("level", &[1])];
    same(by_node, by_bin, &[Sameness::Exact, Sameness::Mean, Sameness::Exact]).await;
}

#[tokio::test]
async fn a_quantile_has_the_bin_that_it_is_in_beside_it_and_decides_on_rows_like_a_number() {
    let by_node = vec![integers("age", &[3, 50]), integers("age", &[51, 44, 70])];
    let nodes = Nodes::hold(&Tables::of_visits(by_node));
    let sql =
        "SELECT median(age) AS middle, median(age) / 2 AS half, count(*) AS n FROM visits HAVING median(age) > 40";
    let finished = nodes.ask(sql).await.unwrap();
    let [open] = finished.intervals.as_slice() else {
        panic!("{:?}", finished.intervals)
    };
    assert_eq!((open.column.as_str(), open.row), ("middle", 0));
    assert_eq!((open.low, open.high, open.nodes.len()), (Some(40.0), Some(65.0), 0));
    assert!(!finished.rows_open);
    let by_node = nodes
        .ask("SELECT node, median(age) AS middle FROM visits GROUP BY node ORDER BY node")
        .await;
    let bins: Vec<_> = by_node
        .unwrap()
        .intervals
        .iter()
        .map(|open| (open.low, open.high))
        .collect();
    assert_eq!(bins, [(Some(0.0), Some(18.0)), (Some(40.0), Some(65.0))]);
}

#[tokio::test]
async fn of_people_each_node_answers_for_itself_what_cannot_be_pooled() {
    let sites = Arc::new(StringArray::from(vec!["a", "a", "b"])) as ArrayRef;
    let numbers = Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef;
    let rows = oracles::of(vec![
        ("site".to_owned(), sites),
        ("x".to_owned(), Arc::clone(&numbers)),
        ("y".to_owned(), numbers),
    ]);
    let (nodes, table) = oracles::split("t", &oracles::of_people(&rows), "site");
    let nodes = Nodes::hold(&Tables {
        nodes,
        all: vec![table],
    });
    for (sql, says) in [
        (
            "SELECT count(DISTINCT the_person) FROM t",
            "nobody knows who is at several nodes",
        ),
        ("SELECT corr(x, y) FROM t", "x cannot be filtered by"),
        ("SELECT regr_sxy(x, y) FROM t", "x cannot be filtered by"),
        (
            "SELECT node, regr_sxy(x, y) FROM t GROUP BY node",
            "x cannot be filtered by",
        ),
    ] {
        let report = nodes.ask(sql).await.unwrap_err();
        assert!(
            report.message.contains(says) && !report.remedy.is_empty(),
            "{sql}: {report}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_what_can() {
    for (sql, says) in [
        (
            "SELECT median(small) FROM visits",
            "interpolated from declared bins, and small has none",
        ),
        ("SELECT median(ward) FROM visits", "columns that can be"),
        (
            "SELECT median(empty) FROM visits",
            "empty cannot be grouped by; add node to SELECT and GROUP BY",
        ),
        ("SELECT age, count(*) FROM visits GROUP BY age", "GROUP BY bin(age)"),
        (
            "SELECT bin(level), count(*) FROM visits GROUP BY bin(level)",
            "GROUP BY level",
        ),
        ("SELECT count(*) FROM visits GROUP BY gradde", "did you mean grade?"),
        ("SELECT count(*) FROM vists", "did you mean visits?"),
        ("SELECT sum(wrad) FROM visits", "did you mean ward?"),
        ("SELECT sum(ward) FROM visits", "columns that can be summed or averaged"),
        ("SELECT 1", "name one of: beds, visits"),
    ] {
        let told = refused(sql).await;
        assert!(told.contains(says), "{sql}: {told}");
    }
}
