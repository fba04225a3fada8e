use std::sync::Arc;

use engine::read::Collections;

use super::of;
use crate::local::Tables;
use crate::parameters::Parameters;
use crate::split;

fn collections() -> Collections {
    let stays = "id = \"stays\"\ntitle = \"Stays\"\npersonal = true\nprivacy_unit = \"p\"\n\
         [columns.p]\ntype = \"text\"\nrole = \"identifier\"\n\
         [columns.ward]\ntype = \"text\"\nrole = [\"group\", \"filter\"]\nvalues = [\"eye\", \"ear\"]\n\
         [columns.age]\ntype = \"integer\"\nunit = \"a\"\nrole = [\"group\", \"filter\", \"measure\"]\nbins = [0, 18, 50, 120]\nbounds = [0, 120]\n";
    let cases = "id = \"cases\"\ntitle = \"Cases\"\npersonal = false\n\
         [columns.week]\ntype = \"integer\"\nunit = \"wk\"\nrole = [\"group\", \"filter\"]\nvalues = [1, 2, 3]\n\
         [columns.ill]\ntype = \"integer\"\nunit = \"{cases}\"\nrole = [\"measure\"]\nbounds = [0, 9]\n";
    let files = [
        ("space.toml", "id = \"s\"\ntitle = \"s\"\n"),
        ("members.toml", ""),
        ("collections/stays.toml", stays),
        ("collections/cases.toml", cases),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    let rules = policy::Rules::compile_files(1, trust::Digest::of(b""), &files.into()).unwrap();
    rules.collections
}

/// Name, unit and whether it is a group, of each column.
async fn columns(sql: &str) -> Vec<(String, Option<String>, bool)> {
    let collections = Arc::new(collections());
    let split = split::split(
        sql,
        &Parameters::default(),
        &collections,
        &collections,
        &Tables::default(),
    )
    .await;
    let columns = of(&split.unwrap()).into_iter();
    columns
        .map(|column| (column.name, column.unit, column.is_group))
        .collect()
}

fn column(name: &str, unit: Option<&str>, is_group: bool) -> (String, Option<String>, bool) {
    (name.to_owned(), unit.map(str::to_owned), is_group)
}

#[tokio::test]
async fn of_what_is_computed_nothing_is_said() {
    assert_eq!(
        columns("SELECT ward, count(*) AS n, var_pop(age) AS v, avg(age) / 10 AS decades FROM stays GROUP BY ward")
            .await,
        [
            column("ward", None, true),
            column("n", None, false),
            column("v", None, false),
            column("decades", None, false),
        ]
    );
}

#[tokio::test]
async fn units_follow_columns_through_the_question() {
    assert_eq!(
        columns("SELECT bin(age) AS ages, avg(age) AS mean FROM stays GROUP BY bin(age) HAVING count(*) > 5 ORDER BY ages LIMIT 3").await,
        [column("ages", Some("a"), true), column("mean", Some("a"), false)]
    );
    assert_eq!(
        columns(
            "WITH t AS (SELECT ward, stddev(age) AS s FROM stays GROUP BY ward) SELECT t.s AS spread, t.ward FROM t"
        )
        .await,
        [column("spread", Some("a"), false), column("ward", None, true)]
    );
    assert_eq!(
        columns("SELECT week, max(ill) AS most, sum(ill) AS ill FROM cases GROUP BY week").await,
        [
            column("week", Some("wk"), true),
            column("most", Some("{cases}"), false),
            column("ill", Some("{cases}"), false),
        ]
    );
    assert_eq!(
        columns("SELECT a.ward, a.m, b.week FROM (SELECT ward, avg(age) AS m FROM stays GROUP BY ward) a CROSS JOIN (SELECT week FROM cases) b").await,
        [
            column("ward", None, true),
            column("m", Some("a"), false),
            column("week", Some("wk"), false),
        ]
    );
}
