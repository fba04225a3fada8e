//! The limits that need a collection wider than those of the enforcement cases.

use std::fmt::Write as _;

use super::*;
use crate::example;
use crate::read::Collections;

/// A collection with as many text columns as a test needs, `c0`, `c1` …, and a number with as many declared bins.
fn wide(columns: usize, bins: usize) -> Collections {
    let edges: Vec<String> = (0..=bins).map(|edge| edge.to_string()).collect();
    let mut collection = format!(
        "id = \"wide\"\ntitle = \"Wide\"\npersonal = true\nprivacy_unit = \"person\"\n\
         [columns.person]\ntype = \"text\"\nrole = \"identifier\"\n\
         [columns.x]\ntype = \"number\"\nrole = [\"measure\"]\nbins = [{}]\nbounds = [0, {bins}]\n",
        edges.join(", "),
    );
    for at in 0..columns {
        let _ = write!(
            collection,
            "[columns.c{at}]\ntype = \"text\"\nrole = [\"filter\"]\nvalues = [\"a\", \"b\"]\n"
        );
    }
    example::rules(&[("collections/wide.toml", &collection)]).collections
}

async fn checked(sql: &str, collections: &Collections) -> Result<(), Report> {
    let query = crate::read::read(sql, collections).await.unwrap();
    check(&query, collections.values().next().unwrap())
}

#[tokio::test]
async fn a_query_has_conditions_on_few_columns() {
    let collections = wide(FILTERED_COLUMNS_MAX + 1, 2);
    let on = |columns: usize| {
        let conditions: Vec<String> = (0..columns).map(|at| format!("c{at} = 'a'")).collect();
        format!("SELECT count(*) FROM wide WHERE {}", conditions.join(" AND "))
    };
    checked(&on(FILTERED_COLUMNS_MAX), &collections).await.unwrap();
    let refused = checked(&on(FILTERED_COLUMNS_MAX + 1), &collections).await.unwrap_err();
    assert_eq!(refused.problem, Problem::SqlLimit);
    assert!(refused.message.contains("more than 16 columns"), "{}", refused.message);
}

#[tokio::test]
async fn quantiles_are_of_columns_with_few_bins() {
    let sql = "SELECT median(x) FROM wide";
    checked(sql, &wide(0, QUANTILE_BINS_MAX)).await.unwrap();
    let refused = checked(sql, &wide(0, QUANTILE_BINS_MAX + 1)).await.unwrap_err();
    assert_eq!(refused.problem, Problem::SqlDomain);
    assert!(refused.remedy.contains("avg and stddev"), "{}", refused.remedy);
}
