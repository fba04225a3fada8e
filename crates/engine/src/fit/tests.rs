use std::sync::Arc;

use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};

use super::*;
use crate::example;

const COLLECTION: &str = "id = \"stays\"\ntitle = \"Stays\"\npersonal = true\nprivacy_unit = \"patient\"\n\
    [columns.patient]\ntype = \"text\"\nrole = \"identifier\"\n\
    [columns.age]\ntype = \"integer\"\nrole = [\"group\", \"filter\", \"measure\"]\nbins = [18, 40, 60]\nbounds = [18, 59]\n\
    [columns.ward]\ntype = \"text\"\nrole = [\"group\", \"filter\"]\nvalues = [\"heart\", \"lung\"]\n\
    [columns.died]\ntype = \"boolean\"\nrole = [\"group\"]\n\
    [columns.days]\ntype = \"number\"\nrole = \"measure\"\nbounds = [0, 365]\n";

fn collections() -> Collections {
    let rules = example::rules(&[("collections/stays.toml", COLLECTION)]);
    rules
        .collections
        .iter()
        .map(|(id, collection)| (id.clone(), Arc::clone(collection)))
        .collect()
}

fn text(formula: &str, rows: &str) -> String {
    format!(
        "FIT glm(family => 'binomial', formula => '{formula}', nodes => 'a, b', sum => 'plain', steps => '25', \
         fit => '00000000000000000000000000000000') OF {rows}"
    )
}

async fn refusal(formula: &str, rows: &str) -> Report {
    FitQuery::read(&text(formula, rows), &collections()).await.unwrap_err()
}

#[tokio::test]
async fn rows_of_a_fit_are_the_columns_that_its_model_needs_of_one_collection() {
    for (rows, problem, part) in [
        (
            "SELECT count(*) AS n FROM stays",
            Problem::SqlNotAllowed,
            "without aggregates",
        ),
        ("SELECT age FROM stays", Problem::SqlNotAllowed, "not the columns"),
        (
            "SELECT age, died, days FROM stays",
            Problem::SqlNotAllowed,
            "not the columns",
        ),
        ("SELECT age, died FROM elsewhere", Problem::SqlCollection, "elsewhere"),
        (
            "SELECT age, died, patient FROM stays",
            Problem::SqlNotAllowed,
            "not the columns",
        ),
        ("SELECT age, died FROM stays LIMIT 3", Problem::SqlNotAllowed, "LIMIT"),
        ("DROP TABLE stays", Problem::SqlNotAllowed, ""),
    ] {
        let report = refusal("died ~ age", rows).await;
        assert_eq!(report.problem, problem, "{rows}: {report}");
        assert!(report.message.contains(part), "{rows}: {report}");
    }
    let report = refusal("died ~ patient", "SELECT died, patient FROM stays").await;
    assert_eq!(report.problem, Problem::SqlColumn, "{report}");
}

#[tokio::test]
async fn a_statement_is_composed_with_what_the_model_needs_and_reads_back() {
    let collections = collections();
    let collection = collections.values().next().unwrap();
    let statement = Statement::parse(&text("died ~ age + ward", "SELECT 1")).unwrap();
    let query = FitQuery::compose(statement, collection, "ward = 'lung' AND age >= 40", &collections)
        .await
        .unwrap();
    let text = query.statement.to_string();
    assert!(
        text.ends_with("OF SELECT age AS age, died AS died, ward AS ward FROM stays WHERE ward = 'lung' AND age >= 40"),
        "{text}"
    );
    let columns: Vec<String> = query.columns().into_iter().collect();
    assert_eq!(columns, ["age", "died", "ward"]);
    assert_eq!(
        FitQuery::read(&text, &collections).await.unwrap().statement,
        query.statement
    );
}

#[test]
fn variables_are_what_the_collection_declares_and_the_nodes() {
    let collections = collections();
    let variables = variables(collections.values().next().unwrap(), &["a".to_owned(), "b".to_owned()]);
    let mut names: Vec<&str> = variables.iter().map(|variable| variable.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["age", "days", "died", "node", "ward"]);
    let of = |name: &str| variables.iter().find(|variable| variable.name == name).unwrap();
    assert_eq!(of("age").bounds, Some((18.0, 59.0)));
    assert_eq!(of("age").edges, [18.0, 40.0, 60.0]);
    assert_eq!((of("died").is_number, of("died").bounds), (true, Some((0.0, 1.0))));
    assert_eq!(
        (of("ward").is_number, of("ward").levels.as_slice()),
        (false, &["heart".to_owned(), "lung".to_owned()][..])
    );
    assert_eq!(of("node").levels, ["a", "b"]);
}

#[tokio::test]
async fn what_steps_take_beside_rows_is_taken_before_they_begin_or_they_do_not() {
    let rows = 10_000;
    let frames = [Arc::new(Frame {
        rows,
        ..Frame::default()
    })];
    let bytes = |call: &str| {
        let text = format!(
            "FIT {call}, nodes => 'a', sum => 'plain', steps => '25', fit => '00000000000000000000000000000000') OF SELECT 1"
        );
        let variables = variables(collections().values().next().unwrap(), &["a".to_owned()]);
        let model = Model::new(&Statement::parse(&text).unwrap(), &variables).unwrap();
        bytes_of_steps(&*model.start, &frames)
    };
    let matrix = rows * 2 * size_of::<f64>();
    let [cox, train] = [
        "cox(formula => 'Surv(days, died) ~ age + ward'",
        "train(formula => 'died ~ age + ward', loss => 'logistic', rounds => '5'",
    ]
    .map(bytes);
    assert!(cox > matrix && train > matrix, "{cox} and {train}");
    // A block at a time is enough.
    assert!(bytes("glm(family => 'binomial', formula => 'died ~ age + ward'") < 10_000);
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(cox));
    let room = || Room(MemoryConsumer::new("steps").register(&pool));
    let (first, second) = (room(), room());
    first.require(cox).unwrap();
    let refusal = second.require(train).unwrap_err();
    assert_eq!(refusal.problem, Problem::Resources);
    assert!(refusal.remedy.contains("fewer terms"), "{}", refusal.remedy);
    // What is less is there already; and it is given back with the fit.
    first.require(train.min(cox)).unwrap();
    drop(first);
    second.require(train).unwrap();
}
