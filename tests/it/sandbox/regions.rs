//! Five regions of German district tables, each at a node of its own, against totals computed with DuckDB.
//!
//! The data are not part of the project. Without them the test says so and passes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::{Sandbox, project};

const REGIONS: [&str; 5] = ["saarland", "ruhr", "hannover", "sachsen_thueringen", "heinsberg_aachen"];

const COLLECTION: &str = r#"
id       = "covid-district-day"
title    = "COVID-19 cases and deaths by district and day"
personal = false

[columns.ags]
type = "text"
role = ["group", "filter"]

[columns.region]
type = "text"
role = ["group", "filter"]

[columns.date]
type = "date"
role = ["group", "filter"]

[columns.cases_new]
type = "integer"
role = ["measure"]

[columns.deaths_new]
type = "integer"
role = ["measure"]
"#;

const POLICY: &str = r#"
id          = "open-district-tables"
version     = 1
title       = "District tables are open"
collection  = "covid-district-day"
valid_from  = 2020-01-01
valid_until = 2099-12-31

[[permission]]
id       = "sums"
assignee = { roles = ["public-health-office"] }
purposes = ["ehds-53-1-a", "ehds-53-1-e"]
permit   = "none"
release  = "aggregates"
columns  = ["ags", "region", "date", "cases_new", "deaths_new", "node"]

[permission.disclosure]
tier = "open"
"#;

#[test]
fn five_regions_have_the_totals_that_duckdb_computed() {
    let shared = project().join("../shared/data");
    let data = shared.join("german/covid_district_day.parquet");
    if !data.exists() {
        // Not by `eprintln`, which the test harness hides when a test passes.
        let skipped = format!(
            "\nSKIPPED: the district tables are not here ({} is missing)\n",
            data.display()
        );
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    }
    let place = tempfile::tempdir().unwrap();
    split_by_region(&data, place.path());
    let spec = write_space(place.path());
    let sandbox = Sandbox::up(&spec);
    let sql = "SELECT region, sum(cases_new) AS cases, sum(deaths_new) AS deaths FROM covid_district_day GROUP BY region ORDER BY region";
    let answer = sandbox.ask(sql);
    let expected = expected(&shared.join("oracles/german_sql.json"));
    assert_eq!(expected.len(), REGIONS.len());
    let given: BTreeMap<String, (f64, f64)> = answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row[0].as_str().unwrap().to_owned(),
                (row[1].as_f64().unwrap(), row[2].as_f64().unwrap()),
            )
        })
        .collect();
    assert_eq!(given, expected);
    let total = sandbox.ask("SELECT count(*) AS days, sum(cases_new) FROM covid_district_day WHERE date BETWEEN DATE '2020-03-02' AND DATE '2021-06-27' AND node <> 'ruhr'");
    assert_eq!(
        total["coverage"].as_array().unwrap().len(),
        4,
        "a node that the condition rules out is not asked"
    );
}

fn expected(oracle: &Path) -> BTreeMap<String, (f64, f64)> {
    let oracle: Value = serde_json::from_slice(&std::fs::read(oracle).unwrap()).unwrap();
    let rows = oracle["queries"]["region_totals"]["rows"].as_array().unwrap();
    let rows = rows.iter().map(|row| {
        let totals = (row["cases"].as_f64().unwrap(), row["deaths"].as_f64().unwrap());
        (row["region"].as_str().unwrap().to_owned(), totals)
    });
    rows.filter(|(region, _)| REGIONS.contains(&region.as_str())).collect()
}

fn split_by_region(data: &Path, place: &Path) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(data).unwrap()).unwrap();
    let schema = Arc::clone(reader.schema());
    let mut writers: Vec<_> = REGIONS
        .iter()
        .map(|region| {
            let file = File::create(place.join(format!("{region}.parquet"))).unwrap();
            (*region, ArrowWriter::try_new(file, Arc::clone(&schema), None).unwrap())
        })
        .collect();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let regions = arrow::compute::cast(
            batch.column_by_name("region").unwrap(),
            &arrow::datatypes::DataType::Utf8,
        );
        let regions = regions.unwrap();
        for (region, writer) in &mut writers {
            let here: BooleanArray = regions
                .as_string::<i32>()
                .iter()
                .map(|r| Some(r == Some(*region)))
                .collect();
            writer.write(&filter_record_batch(&batch, &here).unwrap()).unwrap();
        }
    }
    for (_, writer) in writers {
        writer.close().unwrap();
    }
}

fn write_space(place: &Path) -> std::path::PathBuf {
    std::fs::create_dir_all(place.join("collections")).unwrap();
    std::fs::create_dir_all(place.join("policies")).unwrap();
    std::fs::write(place.join("collections/covid-district-day.toml"), COLLECTION).unwrap();
    std::fs::write(place.join("policies/open-district-tables.toml"), POLICY).unwrap();
    let mut spec = String::from(
        "space = \"regions\"\nboard = { members = 3, threshold = 2 }\n\
         collections = [\"collections/covid-district-day.toml\"]\npolicies = [\"policies/open-district-tables.toml\"]\n",
    );
    for region in REGIONS {
        let id = region.replace('_', "-");
        spec.push_str(&format!(
            "\n[[node]]\nid = \"{id}\"\nroles = [\"public-health-office\"]\n\
             datasets = [{{ collection = \"covid-district-day\", path = \"{region}.parquet\" }}]\n"
        ));
    }
    spec.push_str(
        "\n[[person]]\nid = \"eva\"\nmember = \"health-office\"\nroles = [\"public-health-office\", \"public-body\"]\n",
    );
    let path = place.join("spec.toml");
    std::fs::write(&path, spec).unwrap();
    path
}
