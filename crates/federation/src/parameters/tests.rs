use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use engine::read::Collections;
use terms::{Problem, Report};

use super::Parameters;
use crate::local::Tables;
use crate::split;

fn collections() -> Collections {
    let toml = "id = \"stays\"\ntitle = \"Stays\"\npersonal = true\nprivacy_unit = \"p\"\n\
         [columns.p]\ntype = \"text\"\nrole = \"identifier\"\n\
         [columns.ward]\ntype = \"text\"\nrole = [\"group\", \"filter\"]\nvalues = [\"eye\", \"O'Hara\"]\n\
         [columns.age]\ntype = \"integer\"\nrole = [\"group\", \"filter\"]\nbins = [0, 18, 50, 120]\n\
         [columns.day]\ntype = \"date\"\nrole = [\"group\", \"filter\"]\nbins = \"month\"\n\
         [columns.cost]\ntype = \"number\"\nrole = [\"measure\"]\nbounds = [0, 9]\n";
    let files = [
        ("space.toml", "id = \"s\"\ntitle = \"s\"\n"),
        ("members.toml", ""),
        ("collections/stays.toml", toml),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    let rules = policy::Rules::compile_files(1, trust::Digest::of(b""), &files.into()).unwrap();
    rules.collections
}

fn values(columns: Vec<ArrayRef>) -> Parameters {
    let named = columns
        .into_iter()
        .enumerate()
        .map(|(at, column)| (format!("v{at}"), column));
    Parameters::of_row(&RecordBatch::try_from_iter(named).unwrap()).unwrap()
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn integer(value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

/// What nodes are asked.
async fn asked(sql: &str, parameters: Parameters) -> Result<String, Report> {
    let collections = collections();
    let split = split::split(sql, &parameters, &collections, &collections, &Tables::default()).await?;
    Ok(split.leaves[0].asked.to_string())
}

const ONE: &str = "SELECT count(*) FROM stays WHERE ward = ?";

#[tokio::test]
async fn values_that_are_not_those_that_the_question_needs_are_refused() {
    for (sql, parameters) in [
        (ONE, Parameters::default()),
        (ONE, values(vec![text("eye"), text("eye")])),
        ("SELECT count(*) FROM stays", values(vec![text("eye")])),
        ("SELECT count(*) FROM stays WHERE ward = $2", values(vec![text("eye")])),
        (
            "SELECT count(*) FROM stays WHERE ward = $ward",
            values(vec![text("eye")]),
        ),
        (
            "SELECT count(*) FROM stays WHERE ward = ? AND age >= $1",
            values(vec![text("eye")]),
        ),
    ] {
        assert_eq!(
            asked(sql, parameters).await.unwrap_err().problem,
            Problem::Parameters,
            "{sql}"
        );
    }
    let two_rows = RecordBatch::try_from_iter([("v", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
    assert_eq!(Parameters::of_row(&two_rows).unwrap_err().problem, Problem::Parameters);
    let none = two_rows.slice(0, 0);
    assert_eq!(Parameters::of_row(&none).unwrap_err().problem, Problem::Parameters);
}

#[tokio::test]
async fn a_value_is_held_to_its_column_like_a_constant_in_the_text() {
    let fraction: ArrayRef = Arc::new(Float64Array::from(vec![18.5]));
    for (condition, parameter, constant) in [
        (
            "ward = ",
            text("eye' OR ward = 'O''Hara"),
            "'eye'' OR ward = ''O''''Hara'",
        ),
        ("ward = ", integer(1), "1"),
        ("age >= ", text("old"), "'old'"),
        ("age >= ", fraction, "18.5"),
        ("p = ", text("4711"), "'4711'"),
    ] {
        let sql = |value: &str| format!("SELECT count(*) FROM stays WHERE {condition}{value}");
        let with_value = asked(&sql("?"), values(vec![parameter])).await;
        let written = asked(&sql(constant), Parameters::default()).await;
        assert_eq!(with_value, written, "{condition}{constant}");
    }
}

#[tokio::test]
async fn nodes_are_asked_what_they_would_be_asked_with_constants() {
    let written = asked(
        "SELECT count(*) FROM stays WHERE ward = 'O''Hara'",
        Parameters::default(),
    )
    .await;
    assert_eq!(asked(ONE, values(vec![text("O'Hara")])).await, written);
    let day: ArrayRef = Arc::new(Date32Array::from(vec![20_089]));
    let written =
        "SELECT sum(cost) FILTER (WHERE age >= 50) FROM stays WHERE day >= DATE '2025-01-01' AND ward = 'eye'";
    let written = asked(written, Parameters::default()).await;
    let question = "SELECT sum(cost) FILTER (WHERE age >= $3) FROM stays WHERE day >= $1 AND ward = $2";
    assert_eq!(
        asked(question, values(vec![day, text("eye"), integer(50)])).await,
        written
    );
}

#[tokio::test]
async fn question_marks_are_numbered_as_they_stand_in_the_text() {
    // In the tree the list of columns comes before WITH and after FROM in one version or another: the text decides.
    let question = "WITH past AS (SELECT age, ward FROM stays WHERE ward = ?)\n\
         SELECT count(*) FILTER (WHERE age < ?), count(*) + ? FROM past WHERE age >= ? LIMIT ?";
    let given = vec![text("eye"), integer(50), integer(7), integer(18), integer(3)];
    let written = "WITH past AS (SELECT age, ward FROM stays WHERE ward = 'eye') \
         SELECT count(*) FILTER (WHERE age < 50), count(*) + 7 FROM past WHERE age >= 18 LIMIT 3";
    let written = asked(written, Parameters::default()).await;
    assert!(written.is_ok(), "{written:?}");
    assert_eq!(asked(question, values(given)).await, written);
}

#[tokio::test]
async fn parameters_are_described_by_what_they_are_compared_with() {
    let collections = collections();
    let sql = "SELECT ward, count(*) AS n FROM stays WHERE age >= ? AND day < ? GROUP BY ward HAVING count(*) > ?";
    let described = split::describe(sql, &collections, &collections).await.unwrap();
    let kinds: Vec<_> = described
        .parameters
        .fields()
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    assert_eq!(kinds, [DataType::Int64, DataType::Date32, DataType::Int64]);
    let names: Vec<_> = described
        .schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    assert_eq!(names, ["ward", "n"]);
}
