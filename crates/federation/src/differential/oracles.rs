//! Real data of several centres, each centre a node, against what R, pandas and DuckDB computed on the data put together.
//!
//! The data are not part of the project (`../shared/data`, or what `DATENRAUM_SHARED_DATA` names). Without them each test says so and
//! passes.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::Value;

use super::nodes::Nodes;
use super::tables::{OPEN, PERSON, Table, Tables, policy};
use crate::answer::Interval;
use crate::finish::Finished;
use crate::local::Tables as Own;

const STATISTICAL: &str = "{ tier = \"statistical\", min_people = 5 }";

/// The folder of the data, or none, told aloud.
fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("DATENRAUM_SHARED_DATA").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    if folder.join("oracles/descriptive.json").exists() {
        return Some(folder);
    }
    // Not by `eprintln`, which the test harness hides when a test passes.
    let skipped = format!(
        "\nSKIPPED: the data of several centres are not here ({} is missing)\n",
        folder.display()
    );
    std::io::stderr().write_all(skipped.as_bytes()).unwrap();
    None
}

fn oracle(name: &str) -> Option<Value> {
    let text = std::fs::read_to_string(shared()?.join(format!("oracles/{name}.json"))).unwrap();
    // What pandas cannot say it writes as NaN, which is no JSON.
    Some(serde_json::from_str(&text.replace(": NaN", ": null")).unwrap())
}

/// A file as a table: names as collections can have them, kinds that there are.
fn file(path: &str) -> RecordBatch {
    let mut own = Own::default();
    own.add("t", &shared().unwrap().join(path)).unwrap();
    let rows = own.iter().next().unwrap().1.clone();
    let schema = rows.schema();
    let fields = schema.fields().iter().zip(rows.columns());
    let mut names = BTreeSet::new();
    let columns = fields.enumerate().map(|(at, (field, column))| {
        let kind = match field.data_type() {
            kind if kind.is_integer() => DataType::Int64,
            kind if kind.is_numeric() => DataType::Float64,
            DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, None),
            kind @ (DataType::Date32 | DataType::Boolean) => kind.clone(),
            _ => DataType::Utf8,
        };
        let mut name = sql_name(field.name());
        if !names.insert(name.clone()) {
            name = format!("{name}_{at}");
        }
        (name, cast(column, &kind).unwrap())
    });
    of(columns.collect())
}

pub(super) fn of(columns: Vec<(String, ArrayRef)>) -> RecordBatch {
    let field = |(name, column): &(String, ArrayRef)| Field::new(name, column.data_type().clone(), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(
        Arc::new(schema),
        columns.into_iter().map(|(_, column)| column).collect(),
    )
    .unwrap()
}

fn sql_name(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    let plain: String = name.chars().map(plain).collect();
    // No name begins with a digit.
    match plain.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("c_{plain}"),
        false => plain,
    }
}

/// Each row with a person of its own.
pub(super) fn of_people(rows: &RecordBatch) -> RecordBatch {
    let people: StringArray = (0..rows.num_rows()).map(|row| Some(format!("p{row}"))).collect();
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns());
    let mut columns: Vec<_> = columns
        .map(|(field, column)| (field.name().clone(), Arc::clone(column)))
        .collect();
    columns.push((PERSON.to_owned(), Arc::new(people)));
    of(columns)
}

fn texts(column: &ArrayRef) -> Vec<String> {
    let formatter = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default()).unwrap();
    (0..column.len()).map(|row| formatter.value(row).to_string()).collect()
}

/// One node for each value of a column. About people if there is a column of theirs: then groups have their values declared.
pub(super) fn split(name: &str, rows: &RecordBatch, by: &str) -> (Vec<String>, Table) {
    let site = texts(rows.column_by_name(by).unwrap());
    let sites: BTreeSet<&String> = site.iter().collect();
    let of_site = |wanted: &&String| {
        let here: BooleanArray = site.iter().map(|site| Some(site == *wanted)).collect();
        filter_record_batch(rows, &here).unwrap()
    };
    let by_node = sites.iter().map(of_site).collect();
    let schema = rows.schema();
    let personal = schema.field_with_name(PERSON).is_ok();
    let mut collection = format!("id = {name:?}\ntitle = {name:?}\npersonal = {personal}\n");
    if personal {
        collection += &format!("privacy_unit = {PERSON:?}\n");
    }
    for (field, column) in schema.fields().iter().zip(rows.columns()) {
        collection += &format!("[columns.{}]\n{}", field.name(), declared(field, column, personal));
    }
    let (disclosure, releases): (_, &[&str]) = match personal {
        true => (STATISTICAL, &["aggregates"]),
        false => (OPEN, &["aggregates", "rows"]),
    };
    let table = Table {
        name: name.to_owned(),
        collection,
        policy: policy(name, &schema, disclosure, releases),
        schema: Arc::clone(&schema),
        by_node,
    };
    let node = |site: &&String| match sql_name(site).trim_matches('_').replace('_', "-") {
        unknown if unknown.is_empty() => "c-unknown".to_owned(),
        known => format!("c-{known}"),
    };
    (sites.iter().map(node).collect(), table)
}

/// How a collection declares a column.
fn declared(field: &Field, column: &ArrayRef, personal: bool) -> String {
    let numbers = || cast(column, &DataType::Float64).unwrap();
    match field.data_type() {
        _ if field.name() == PERSON => "type = \"text\"\nrole = \"identifier\"\n".to_owned(),
        kind @ (DataType::Int64 | DataType::Float64) => {
            let kind = if *kind == DataType::Int64 { "integer" } else { "number" };
            if !personal {
                return format!("type = \"{kind}\"\nrole = [\"group\", \"filter\", \"measure\"]\n");
            }
            let low = arrow::compute::min(numbers().as_primitive::<Float64Type>()).unwrap_or(0.0);
            let high = arrow::compute::max(numbers().as_primitive::<Float64Type>()).unwrap_or(0.0);
            format!(
                "type = \"{kind}\"\nrole = \"measure\"\nbounds = [{low:?}, {:?}]\n",
                high + 1.0
            )
        }
        DataType::Boolean => "type = \"boolean\"\nrole = [\"group\", \"filter\"]\n".to_owned(),
        DataType::Date32 => "type = \"date\"\nrole = [\"group\", \"filter\"]\n".to_owned(),
        DataType::Timestamp(..) => "type = \"timestamp\"\nrole = [\"group\", \"filter\"]\n".to_owned(),
        _ if personal => {
            let known: BTreeSet<&str> = column.as_string::<i32>().iter().flatten().collect();
            format!("type = \"text\"\nrole = [\"group\", \"filter\"]\nvalues = {known:?}\n")
                .replace('{', "[")
                .replace('}', "]")
        }
        _ => "type = \"text\"\nrole = [\"group\", \"filter\"]\n".to_owned(),
    }
}

/// The rows of an answer as the oracles write them.
fn rows(finished: &Finished) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for batch in &finished.batches {
        let columns: Vec<Vec<Value>> = batch.columns().iter().map(values).collect();
        rows.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect::<Vec<_>>()),
        );
    }
    rows
}

fn values(column: &ArrayRef) -> Vec<Value> {
    if column.data_type().is_numeric() {
        let numbers = cast(column, &DataType::Float64).unwrap();
        return numbers.as_primitive::<Float64Type>().iter().map(Value::from).collect();
    }
    let value = |(row, text)| {
        if column.is_null(row) {
            Value::Null
        } else {
            Value::String(text)
        }
    };
    texts(column).into_iter().enumerate().map(value).collect()
}

fn is_near(a: &Value, b: &Value, share: f64) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b || (a - b).abs() <= share * a.abs().max(b.abs()),
        _ => a == b,
    }
}

/// What pandas says of each column: count, sum, mean, variance, deviation.
const STATISTICS: [(&str, &str, f64); 5] = [
    ("count", "count", 0.0),
    ("sum", "sum", 1e-12),
    ("mean", "avg", 1e-12),
    ("var", "var_samp", 1e-10),
    ("sd", "stddev", 1e-10),
];

fn statistics_of(column: &str) -> String {
    let calls = STATISTICS.map(|(_, function, _)| format!("{function}({column})"));
    calls.join(", ")
}

/// The tables that a task of several centres is about, with the column of the centre.
fn of_centres(oracle: &Value) -> Vec<(&str, &str, &Value)> {
    let wanted = [
        "lung.csv",
        "breast_2institutions.csv",
        "indo_rct_4sites.csv",
        "aids2_4states.csv",
    ];
    let tables = oracle["tables"].as_array().unwrap().iter();
    let tables = tables.map(|table| (table["dataset"].as_str().unwrap(), table["site_column"].as_str(), table));
    let tables = tables.filter(|(name, ..)| wanted.iter().any(|wanted| name.ends_with(wanted)));
    let tables: Vec<_> = tables.map(|(name, site, table)| (name, site.unwrap(), table)).collect();
    assert_eq!(tables.len(), wanted.len());
    tables
}

#[tokio::test(flavor = "multi_thread")]
async fn open_tables_of_several_centres_have_the_statistics_that_pandas_computed() {
    let Some(oracle) = oracle("descriptive") else { return };
    for (path, site, expected) in of_centres(&oracle) {
        let (nodes, table) = split("t", &file(path), &sql_name(site));
        let nodes = Nodes::hold(&Tables {
            nodes,
            all: vec![table],
        });
        for (column, expected) in expected["numeric"].as_object().unwrap() {
            let sql = format!("SELECT {} FROM t", statistics_of(&sql_name(column)));
            let answer = rows(&nodes.ask(&sql).await.unwrap());
            for ((name, _, share), given) in STATISTICS.iter().zip(&answer[0]) {
                let expected = &expected["pooled"][*name];
                assert!(
                    is_near(given, expected, *share),
                    "{path} {column} {name}: {given} and {expected}"
                );
            }
            let by_site = expected["by_site"].as_object().unwrap();
            let site = sql_name(site);
            let sql = format!(
                "SELECT {site}, {} FROM t GROUP BY {site}",
                statistics_of(&sql_name(column))
            );
            for row in rows(&nodes.ask(&sql).await.unwrap()) {
                let name = row[0]
                    .as_f64()
                    .map_or_else(|| row[0].as_str().map(str::to_owned), |n| Some(format!("{n:?}")));
                let Some(expected) = name.as_ref().and_then(|name| by_site.get(name)) else {
                    assert!(row[0].is_null(), "{path}: {:?} is no centre", row[0]);
                    continue;
                };
                // Of nobody pandas has a sum, which is 0.
                let known = STATISTICS
                    .iter()
                    .zip(&row[1..])
                    .filter(|_| row[1].as_f64() != Some(0.0));
                for ((name, _, share), given) in known {
                    let expected = &expected[*name];
                    assert!(
                        is_near(given, expected, *share),
                        "{path} {column} {name}: {row:?} and {expected}"
                    );
                }
            }
        }
        for (column, expected) in expected["categorical"].as_object().unwrap() {
            let column = sql_name(column);
            let sql = format!("SELECT {column}, count(*) FROM t WHERE {column} IS NOT NULL GROUP BY {column}");
            let answer = rows(&nodes.ask(&sql).await.unwrap());
            let expected = expected["pooled"].as_object().unwrap();
            let known = expected.keys().filter(|name| *name != "nan").count();
            assert_eq!(answer.len(), known, "{path} {column}");
            for row in answer {
                let names = match (row[0].as_f64(), row[0].as_str()) {
                    (Some(number), _) => [number.to_string(), format!("{number:?}")],
                    (None, text) => [text.unwrap_or_default().to_owned(), String::new()],
                };
                let expected = names.iter().find_map(|name| expected.get(name)).unwrap_or(&Value::Null);
                assert!(is_near(&row[1], expected, 0.0), "{path} {column}: {row:?}");
            }
        }
    }
}

/// Equal, or an interval is told that holds what is true.
fn is_told(given: &Value, truth: &Value, share: f64, open: Option<&Interval>) -> bool {
    match open {
        None => is_near(given, truth, share),
        Some(open) => {
            let truth = truth.as_f64();
            let above = open.low.is_none_or(|low| truth.is_some_and(|truth| truth >= low));
            let below = open.high.is_none_or(|high| truth.is_some_and(|truth| truth <= high));
            above && below
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_of_people_at_several_centres_is_true_or_its_interval_is() {
    let Some(oracle) = oracle("descriptive") else { return };
    let (mut exact, mut open_values) = (0, 0);
    for (path, site, expected) in of_centres(&oracle) {
        let (nodes, table) = split("t", &of_people(&file(path)), &sql_name(site));
        let nodes = Nodes::hold(&Tables {
            nodes,
            all: vec![table],
        });
        for (column, expected) in expected["numeric"].as_object().unwrap() {
            let sql = format!("SELECT {} FROM t", statistics_of(&sql_name(column)));
            let finished = nodes.ask(&sql).await.unwrap();
            let answer = rows(&finished);
            let schema = &finished.schema;
            for (at, ((name, _, share), given)) in STATISTICS.iter().zip(&answer[0]).enumerate() {
                let truth = &expected["pooled"][*name];
                let mut open = finished.intervals.iter();
                let open = open.find(|open| open.row == 0 && open.column == *schema.field(at).name());
                assert!(
                    is_told(given, truth, *share, open),
                    "{path} {column} {name}: {given}, {open:?}, and {truth}"
                );
                match open {
                    Some(_) => open_values += 1,
                    None => exact += 1,
                }
            }
        }
    }
    assert!(exact > 0 && open_values > 0, "{exact} exact, {open_values} open");
}

/// Questions by the names that the oracle has for them.
type Questions = [(&'static str, &'static str)];

/// Asks each question, with the tables of the asker's own, and compares with what DuckDB answered.
async fn same_as_duckdb(nodes: &Nodes, own: &Own, oracle: &Value, questions: &Questions) {
    for (name, sql) in questions {
        let finished = nodes.ask_with(sql, own).await;
        let finished = finished.unwrap_or_else(|report| panic!("{name}: {report}; {}", report.remedy));
        let (schema, answer) = (&finished.schema, rows(&finished));
        let expected = oracle["queries"][*name]["rows"].as_array().unwrap();
        assert_eq!(answer.len(), expected.len(), "{name}");
        let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
        for (given, expected) in answer.iter().zip(expected) {
            let expected: Vec<&Value> = names.iter().map(|name| &expected[name.as_str()]).collect();
            let same = |(given, expected): (&Value, &&Value)| match (given.as_str(), expected.as_str()) {
                // DuckDB's days are written with their midnight.
                (Some(given), Some(expected)) => {
                    expected.starts_with(given) || given.starts_with(expected.trim_end_matches(".000"))
                }
                // The oracle has twelve decimals.
                _ => is_near(given, expected, 1e-8),
            };
            assert!(
                given.iter().zip(&expected).all(same),
                "{name}: {given:?} and {expected:?}"
            );
        }
    }
}

fn own(tables: &[(&str, &str)]) -> Own {
    let mut own = Own::default();
    for (name, path) in tables {
        own.add(name, &shared().unwrap().join(path)).unwrap();
    }
    own
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_of_germany_have_the_answers_that_duckdb_gave() {
    let Some(oracle) = oracle("german_sql") else { return };
    let files = [
        ("covid", "german/covid_district_day.parquet"),
        ("icu", "german/icu_district_day.parquet"),
        ("cases", "german/rki_covid_caselines_2020-03-21.csv"),
    ];
    for (name, path) in files {
        let (nodes, table) = split(name, &file(path), "region");
        let nodes = Nodes::hold(&Tables {
            nodes,
            all: vec![table],
        });
        let own = own(&[
            ("districts", "german/districts.csv"),
            ("gisd", "german/gisd_district_year.csv"),
            ("inhabitants", "german/population_district_agegroup_2020.csv"),
        ]);
        let questions: &Questions = match name {
            "covid" => &COVID,
            "icu" => &ICU,
            _ => &CASES,
        };
        same_as_duckdb(&nodes, &own, &oracle, questions).await;
    }
}

const COVID: [(&str, &str); 5] = [
    (
        "region_totals",
        "SELECT region, count(*) AS districts, sum(cases) AS cases, sum(deaths) AS deaths FROM \
         (SELECT region, ags, sum(cases_new) AS cases, sum(deaths_new) AS deaths FROM covid GROUP BY region, ags) t GROUP BY region ORDER BY region",
    ),
    (
        "weekly_cases_per_100k",
        "SELECT c.region, c.monday, c.cases, r.people AS population, c.cases * 100000.0 / r.people AS per_100k FROM \
         (SELECT region, date_trunc('week', date) AS monday, sum(cases_new) AS cases FROM covid \
          WHERE date BETWEEN DATE '2020-03-02' AND DATE '2021-06-27' GROUP BY region, date_trunc('week', date)) c \
         JOIN (SELECT region, sum(population) AS people FROM districts GROUP BY region) r ON c.region = r.region ORDER BY 1, 2",
    ),
    (
        "first_wave_first_case_date",
        "SELECT region, ags, min(date) FILTER (WHERE cases_cum > 0) AS first_case FROM covid \
         WHERE ags IN ('05370', '05334', '10041', '03241', '14612', '05913') GROUP BY region, ags ORDER BY ags",
    ),
    (
        "cases_winter_by_deprivation_quintile",
        "SELECT g.gisd_5, count(*) AS districts, sum(w.cases) AS cases, sum(w.deaths) AS deaths, sum(p.people) AS population, \
         sum(w.cases) * 100000.0 / sum(p.people) AS per_100k FROM \
         (SELECT ags, sum(cases_new) AS cases, sum(deaths_new) AS deaths FROM covid \
          WHERE date BETWEEN DATE '2020-10-01' AND DATE '2021-02-28' GROUP BY ags) w \
         JOIN gisd g ON g.ags = w.ags AND g.year = 2020 \
         JOIN (SELECT ags, sum(population) AS people FROM inhabitants GROUP BY ags) p ON p.ags = w.ags GROUP BY g.gisd_5 ORDER BY 1",
    ),
    (
        "ags_cases_correlation_with_gisd",
        "SELECT corr(w.cases * 1.0 / p.people, g.gisd_score) AS pearson, covar_samp(w.cases * 1.0 / p.people, g.gisd_score) AS cov, \
         regr_slope(w.cases * 1.0 / p.people, g.gisd_score) AS slope FROM \
         (SELECT ags, sum(cases_new) AS cases FROM covid WHERE date BETWEEN DATE '2020-10-01' AND DATE '2021-02-28' GROUP BY ags) w \
         JOIN gisd g ON g.ags = w.ags AND g.year = 2020 \
         JOIN (SELECT ags, sum(population) AS people FROM inhabitants GROUP BY ags) p ON p.ags = w.ags",
    ),
];

const ICU: [(&str, &str); 1] = [(
    "peak_icu_covid_by_region",
    "WITH t AS (SELECT region, date, sum(icu_covid) AS covid, sum(icu_beds) AS beds, sum(icu_beds_occupied) AS occupied FROM icu GROUP BY region, date) \
     SELECT p.region, p.peak AS peak_covid, min(t.date) AS first_peak_date, p.occupancy AS mean_daily_occupancy FROM t JOIN \
     (SELECT region, max(covid) AS peak, avg(occupied * 1.0 / beds) AS occupancy FROM t GROUP BY region) p \
     ON t.region = p.region AND t.covid = p.peak GROUP BY p.region, p.peak, p.occupancy ORDER BY 1",
)];

const CASES: [(&str, &str); 2] = [
    (
        "caselines_small_cells",
        "SELECT region, age_group, sex, sum(cases) AS cases FROM cases WHERE region IS NOT NULL GROUP BY region, age_group, sex ORDER BY 1, 2, 3",
    ),
    (
        "caselines_cells_below_5",
        "SELECT count(*) AS total_cells, count(*) FILTER (WHERE n < 5) AS cells_below_5 FROM \
         (SELECT ags, age_group, sex, sum(cases) AS n FROM cases WHERE region IS NOT NULL GROUP BY ags, age_group, sex) t",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn districts_and_registries_have_the_answers_that_duckdb_gave() {
    let Some(oracle) = oracle("sql") else { return };
    let own = own(&[
        ("flu_districts", "german/flu_bybw_districts.csv"),
        ("measles_districts", "german/measles_weserems_districts.csv"),
    ]);
    let files: [(&str, &str, &str, &Questions); 6] = [
        ("flu", "german/flu_bybw_2001_2008.csv", "year", &FLU),
        ("measles", "german/measles_weserems_2001_2002.csv", "district", &MEASLES),
        ("ed", "german/rki_emergency_departments.csv", "state", &EMERGENCY),
        ("tcga", "clinical/tcga_brca_6regions.csv", "region", &TCGA),
        (
            "hosp",
            "german/rki_covid_hospitalisation_state_age_day.parquet",
            "bundesland_id",
            &HOSPITALISATION,
        ),
        (
            "vac",
            "german/rki_covid_vaccination_state_day.parquet",
            "bundeslandid_impfort",
            &VACCINATION,
        ),
    ];
    for (name, path, by, questions) in files {
        let (nodes, table) = split(name, &file(path), by);
        let nodes = Nodes::hold(&Tables {
            nodes,
            all: vec![table],
        });
        same_as_duckdb(&nodes, &own, &oracle, questions).await;
    }
}

const FLU: [(&str, &str); 2] = [
    (
        "flu_by_year_state",
        "SELECT left(CAST(district AS VARCHAR), 2) AS state2, year, sum(cases) AS cases FROM \
         (SELECT district, year, sum(cases) AS cases FROM flu GROUP BY district, year) t GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    (
        "flu_top10_districts_rate",
        "SELECT CAST(f.district AS VARCHAR) AS district, d.name, f.cases, f.cases * 100000.0 / d.\"X31_12_05\" AS per_100k FROM \
         (SELECT district, sum(cases) AS cases FROM flu GROUP BY district) f JOIN flu_districts d ON f.district = d.district \
         ORDER BY 4 DESC LIMIT 10",
    ),
];

const MEASLES: [(&str, &str); 1] = [(
    "measles_by_district",
    "SELECT m.district, d.\"GEN\" AS name, m.cases, d.\"POPULATION\" AS population FROM \
     (SELECT district, sum(cases) AS cases FROM measles GROUP BY district) m JOIN measles_districts d ON m.district = d.district ORDER BY 1",
)];

const EMERGENCY: [(&str, &str); 1] = [(
    "eds_by_state_level",
    "SELECT state, level_of_care, count(*) AS n FROM ed GROUP BY state, level_of_care ORDER BY 1, 2",
)];

const TCGA: [(&str, &str); 1] = [(
    "tcga_region_stage_cells",
    "SELECT region, sum(tumor_stage_stage_iiic) AS iiic, sum(tumor_stage_stage_iiia) AS iiia, count(*) AS n FROM tcga GROUP BY region ORDER BY 1",
)];

const HOSPITALISATION: [(&str, &str); 1] = [(
    "hospitalisation_age_peaks",
    "WITH t AS (SELECT bundesland, altersgruppe, datum, sum(c_7t_hospitalisierung_faelle) AS n FROM hosp \
      WHERE bundesland_id IN ('03', '05', '10', '14', '16') GROUP BY bundesland, altersgruppe, datum) \
     SELECT p.bundesland AS \"Bundesland\", p.altersgruppe AS \"Altersgruppe\", p.peak, max(t.datum) AS peak_date_last FROM t JOIN \
     (SELECT bundesland, altersgruppe, max(n) AS peak FROM t GROUP BY bundesland, altersgruppe) p \
     ON t.bundesland = p.bundesland AND t.altersgruppe = p.altersgruppe AND t.n = p.peak \
     GROUP BY p.bundesland, p.altersgruppe, p.peak ORDER BY 1, 2",
)];

const VACCINATION: [(&str, &str); 1] = [(
    "vaccinations_by_state_series",
    "SELECT bundeslandid_impfort AS \"BundeslandId_Impfort\", impfserie AS \"Impfserie\", sum(anzahl) AS doses FROM vac \
     WHERE bundeslandid_impfort IN ('03', '05', '10', '14', '16') GROUP BY bundeslandid_impfort, impfserie ORDER BY 1, 2",
)];
