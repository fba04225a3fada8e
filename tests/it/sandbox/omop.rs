//! OMOP at nodes: the shipped collections, from tables of CDM 5.3 in capitals (Parquet) and of 5.4 in small letters (CSV).
//!
//! What is made up here runs always. GiBleed is not part of the project: without it the test says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::clinical::{self, Nodes, pairs, shared};
use super::{Sandbox, datenraum, project};

/// The tables about people, and what of each may be asked.
const TABLES: [(&str, &[&str]); 7] = [
    ("person", &["gender_concept_id", "year_of_birth", "race_concept_id"]),
    ("visit-occurrence", &["visit_concept_id", "visit_start_date"]),
    (
        "condition-occurrence",
        &[
            "condition_concept_id",
            "under_4274025",
            "condition_start_date",
            "condition_start_year",
        ],
    ),
    (
        "drug-exposure",
        &[
            "drug_concept_id",
            "under_1118084_1124300",
            "drug_exposure_start_date",
            "days_supply",
        ],
    ),
    (
        "measurement",
        &[
            "measurement_concept_id",
            "unit_concept_id",
            "value_as_number",
            "measurement_date",
        ],
    ),
    ("observation", &["observation_concept_id", "observation_date"]),
    ("death", &["death_date"]),
];

const MAPPED: [&str; 4] = ["condition-occurrence", "drug-exposure", "measurement", "observation"];

const CONCEPT: [&str; 7] = [
    "concept_id",
    "concept_name",
    "domain_id",
    "vocabulary_id",
    "concept_class_id",
    "standard_concept",
    "concept_code",
];

/// Nodes with the shipped collections, the data of which `write` writes: it gives back the table's file, if the node has it.
fn nodes(nodes: usize, without: &[&str], mut write: impl FnMut(&Path, usize, &str) -> Option<String>) -> Sandbox {
    let shipped = project().join("policies/omop");
    let read = |name: &str| fs::read_to_string(shipped.join(format!("collections/omop-{name}.toml"))).unwrap();
    let statistical = "tier = \"statistical\"\nmin_people = 3";
    let mut documents: Vec<(String, String, String)> = Vec::new();
    for (table, columns) in TABLES.iter().filter(|(table, _)| !without.contains(table)) {
        let id = format!("omop-{table}");
        documents.push((id.clone(), read(table), clinical::policy(&id, columns, statistical)));
    }
    let open = clinical::policy("omop-concept", &CONCEPT, "tier = \"open\"");
    documents.push(("omop-concept".to_owned(), read("concept"), open));
    let documents: Vec<(&str, &str, &str)> = documents
        .iter()
        .map(|(id, text, policy)| (id.as_str(), text.as_str(), policy.as_str()))
        .collect();
    let space = Nodes {
        collections: &documents,
        nodes,
    };
    space.with_data(|place, node| {
        for table in MAPPED {
            let name = format!("{table}.toml");
            fs::copy(shipped.join("mappings").join(&name), place.join(&name)).unwrap();
        }
        // Before the mappings are read.
        write(place, node, "concept_ancestor");
        let mut datasets = Vec::new();
        for (id, ..) in &documents {
            let table = id.trim_start_matches("omop-");
            let Some(file) = write(place, node, &table.replace('-', "_")) else {
                continue;
            };
            let mapping = match MAPPED.contains(&table) {
                true => format!(", mapping = \"{table}.toml\""),
                false => String::new(),
            };
            datasets.push(format!("{{ collection = \"{id}\", path = \"{file}\"{mapping} }}"));
        }
        datasets
    })
}

/// Twelve people a node: all with a visit and gastrointestinal bleeding in 2010, half of them on celecoxib and with a concept that the
/// collection does not list, four dead.
fn made_up(table: &str, node: usize) -> Option<String> {
    let people = (0..12).map(|n| (n, 100 * node + n));
    let rows: Vec<String> = match table {
        "concept_ancestor" => vec![
            "ancestor_concept_id,descendant_concept_id".into(),
            "4274025,192671".into(),
            "1118084,1118084".into(),
            "1124300,44923712".into(),
        ],
        "person" => {
            let rows = people.map(|(n, id)| format!("{id},{},{},8527", if n % 2 == 0 { 8507 } else { 8532 }, 1950 + n));
            ["person_id,gender_concept_id,year_of_birth,race_concept_id".to_owned()]
                .into_iter()
                .chain(rows)
                .collect()
        }
        "visit_occurrence" => {
            let rows = people.map(|(_, id)| format!("{id},9201,2010-03-01,0"));
            ["person_id,visit_concept_id,visit_start_date,admitted_from_concept_id".to_owned()]
                .into_iter()
                .chain(rows)
                .collect()
        }
        "condition_occurrence" => {
            let rows = people.flat_map(|(n, id)| {
                let unlisted = (n % 2 == 0).then(|| format!("{id},999999999,2011-01-01"));
                [format!("{id},192671,2010-03-01")].into_iter().chain(unlisted)
            });
            ["person_id,condition_concept_id,condition_start_date".to_owned()]
                .into_iter()
                .chain(rows)
                .collect()
        }
        "drug_exposure" => {
            let rows = people.map(|(n, id)| {
                let drug = if n % 2 == 0 { 1_118_084 } else { 1_127_433 };
                format!("{id},{drug},2010-04-01,{}", 28 + n)
            });
            ["person_id,drug_concept_id,drug_exposure_start_date,days_supply".to_owned()]
                .into_iter()
                .chain(rows)
                .collect()
        }
        "measurement" => {
            let rows = people.map(|(n, id)| format!("{id},3000963,8713,{}.5,2010-05-01", 10 + n % 3));
            ["person_id,measurement_concept_id,unit_concept_id,value_as_number,measurement_date".to_owned()]
                .into_iter()
                .chain(rows)
                .collect()
        }
        "observation" => {
            let rows = people.map(|(_, id)| format!("{id},0,2010-05-01"));
            ["person_id,observation_concept_id,observation_date".to_owned()]
                .into_iter()
                .chain(rows)
                .collect()
        }
        "death" => {
            let rows = people.take(4).map(|(_, id)| format!("{id},2020-05-01"));
            ["person_id,death_date".to_owned()].into_iter().chain(rows).collect()
        }
        "concept" if node == 0 => vec![
            "concept_id,concept_name,domain_id,vocabulary_id,concept_class_id,standard_concept,concept_code".into(),
            "192671,Gastrointestinal hemorrhage,Condition,SNOMED,Clinical Finding,S,74474003".into(),
        ],
        _ => return None,
    };
    Some(rows.join("\n") + "\n")
}

#[test]
fn tables_of_cdm_5_4_are_answered_by_the_shipped_collections() {
    let sandbox = nodes(3, &[], |place, node, table| {
        let name = match table {
            // The mapping names it so.
            "concept_ancestor" => "concept_ancestor.parquet".to_owned(),
            _ => format!("{table}-{node}.csv"),
        };
        let text = made_up(table, node)?;
        match table {
            "concept_ancestor" => csv_as_parquet(&text, &place.join(&name)),
            _ => fs::write(place.join(&name), text).unwrap(),
        }
        Some(name)
    });
    let ask = |sql: &str| sandbox.ask(sql)["rows"].clone();
    assert_eq!(
        ask("SELECT gender_concept_id AS g, count(*) AS n FROM omop_person GROUP BY gender_concept_id ORDER BY g"),
        json!([[8507, 18], [8532, 18]])
    );
    assert_eq!(
        ask("SELECT count(*) AS n FROM omop_visit_occurrence WHERE visit_concept_id = 9201"),
        json!([[36]])
    );
    assert_eq!(ask("SELECT count(*) AS n FROM omop_death"), json!([[12]]));
    assert_eq!(
        ask("SELECT avg(value_as_number) AS v FROM omop_measurement WHERE unit_concept_id = 8713"),
        json!([[11.5]])
    );
    assert_eq!(ask("SELECT count(*) AS n FROM omop_observation"), json!([[36]]));
    // A concept that is not listed counts as missing, and is under nothing.
    let conditions = ask(
        "SELECT under_4274025 AS u, count(condition_concept_id) AS n, count(*) AS m FROM omop_condition_occurrence GROUP BY under_4274025 ORDER BY u",
    );
    assert_eq!(conditions, json!([[false, 0, 18], [true, 36, 36]]));
    let drugs = ask("SELECT count(*) AS n, sum(days_supply) AS d FROM omop_drug_exposure WHERE under_1118084_1124300");
    assert_eq!(drugs, json!([[18, 594]]));
    // Names are joined with what was released.
    let named = ask(
        "SELECT c.concept_name, r.n FROM (SELECT condition_concept_id AS id, count(*) AS n FROM omop_condition_occurrence GROUP BY condition_concept_id) AS r JOIN (SELECT concept_id, concept_name, count(*) AS k FROM omop_concept GROUP BY concept_id, concept_name) AS c ON c.concept_id = r.id",
    );
    assert_eq!(named, json!([["Gastrointestinal hemorrhage", 36]]));

    // A concept that the board does not list cannot be asked for, and a database is not opened.
    sandbox
        .query(
            "SELECT count(*) AS n FROM omop_condition_occurrence WHERE condition_concept_id = 999999999",
            &["--purpose", "ehds-53-1-e"],
        )
        .fails_with("E_SQL_DOMAIN", "condition_concept_id");
    fs::write(sandbox.place().join("cdm.duckdb"), "DUCK").unwrap();
    let (file, config) = (
        sandbox.place().join("cdm.duckdb"),
        sandbox.dir().join("nodes/node-0/node.toml"),
    );
    let words = [
        "node",
        "dataset",
        "add",
        file.to_str().unwrap(),
        "--collection",
        "omop-person",
        "--config",
        config.to_str().unwrap(),
    ];
    datenraum(words).fails_with("E_DATA_SCHEMA", "EXPORT DATABASE 'folder' (FORMAT parquet)");
}

/// CSV of whole numbers as Parquet.
fn csv_as_parquet(text: &str, target: &Path) {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<Vec<i64>> = lines
        .map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect())
        .collect();
    let columns = names.iter().enumerate().map(|(at, name)| {
        let values = rows.iter().map(|row| row[at]);
        (
            *name,
            std::sync::Arc::new(arrow::array::Int64Array::from_iter_values(values)) as arrow::array::ArrayRef,
        )
    });
    let batch = arrow::array::RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(target).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// The rows of the people who are dealt to a node.
fn deal(source: &Path, target: &Path, node: usize, nodes: usize) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(source).unwrap()).unwrap();
    let schema = reader.schema().clone();
    let mut writer = ArrowWriter::try_new(File::create(target).unwrap(), schema, None).unwrap();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let people = cast(batch.column_by_name("PERSON_ID").unwrap(), &DataType::Int64).unwrap();
        let people = people.as_primitive::<Int64Type>();
        let theirs: BooleanArray = people
            .iter()
            .map(|person| person.map(|person| person as usize % nodes == node))
            .collect();
        writer.write(&filter_record_batch(&batch, &theirs).unwrap()).unwrap();
    }
    writer.close().unwrap();
}

fn gibleed(count: usize) -> Option<Sandbox> {
    let folder = shared("omop/gibleed_5.3")?;
    // Nobody's death is in it.
    Some(nodes(count, &["death"], |place, node, table| {
        let source = folder.join(format!("{table}.parquet"));
        match table {
            "concept_ancestor" => {
                fs::copy(source, place.join("concept_ancestor.parquet")).unwrap();
                None
            }
            "concept" if node > 0 => None,
            "concept" => Some(source.to_str().unwrap().to_owned()),
            _ => {
                let name = format!("{table}-{node}.parquet");
                deal(&source, &place.join(&name), node, count);
                Some(name)
            }
        }
    }))
}

/// Rows and people by key, each node's people added: nobody is at two.
fn rows_and_people(sandbox: &Sandbox, key: &str, collection: &str) -> BTreeMap<u64, (u64, u64)> {
    let sql = format!(
        "SELECT node, {key}, count(*) AS n, count(DISTINCT person_id) AS persons FROM {collection} GROUP BY node, {key}"
    );
    let mut found = BTreeMap::new();
    for row in sandbox.ask(&sql)["rows"].as_array().unwrap() {
        let sums: &mut (u64, u64) = found.entry(row[1].as_u64().unwrap()).or_default();
        sums.0 += row[2].as_u64().unwrap();
        sums.1 += row[3].as_u64().unwrap();
    }
    found
}

fn people(sandbox: &Sandbox, collection: &str, condition: &str) -> u64 {
    let sql =
        format!("SELECT node, count(DISTINCT person_id) AS persons FROM {collection} WHERE {condition} GROUP BY node");
    pairs(&sandbox.ask(&sql)).values().sum()
}

#[test]
fn gibleed_dealt_to_three_and_five_nodes_has_the_oracles_numbers() {
    let Some(oracle) = shared("oracles/omop.json") else {
        return;
    };
    let oracle: Value = serde_json::from_str(&fs::read_to_string(oracle).unwrap()).unwrap();
    for count in [3, 5] {
        let Some(sandbox) = gibleed(count) else { return };
        let rows = |name: &str| oracle["queries"][name]["rows"].as_array().unwrap().clone();
        for table in [
            "person",
            "visit_occurrence",
            "condition_occurrence",
            "drug_exposure",
            "measurement",
            "observation",
        ] {
            let all = sandbox.ask(&format!("SELECT count(*) AS n FROM omop_{table}"));
            assert_eq!(all["rows"][0][0], oracle["row_counts"][table], "{table}");
        }

        // Cells of fewer than three people at a node are missing, and say so: the pooled number lies in the interval.
        let decades = sandbox.ask("SELECT gender_concept_id AS g, bin(year_of_birth) AS decade, count(*) AS n FROM omop_person GROUP BY gender_concept_id, bin(year_of_birth)");
        let mut exact = 0;
        for expected in rows("persons_by_gender_birthdecade") {
            let decade = expected["birth_decade"].as_u64().unwrap();
            let label = format!("[{decade}, {})", decade + 10);
            let at = decades["rows"]
                .as_array()
                .unwrap()
                .iter()
                .position(|row| row[0] == expected["GENDER_CONCEPT_ID"] && row[1] == label.as_str());
            // Withheld at all nodes.
            let Some(at) = at else { continue };
            let interval = decades["intervals"]
                .as_array()
                .unwrap()
                .iter()
                .find(|one| one["row"] == at && one["column"] == "n");
            let (given, truth) = (&decades["rows"][at][2], expected["n"].as_f64().unwrap());
            match interval {
                None => {
                    exact += 1;
                    assert_eq!(*given, expected["n"], "{expected}");
                }
                Some(interval) => {
                    let high = interval["high"].as_f64().unwrap_or(f64::INFINITY);
                    assert!(
                        interval["low"].as_f64().unwrap() <= truth && truth <= high,
                        "{expected}: {interval}"
                    );
                }
            }
        }
        assert!(exact >= 10, "{exact}: {decades}");

        for (name, collection, key) in [
            ("top20_conditions", "omop_condition_occurrence", "condition_concept_id"),
            ("top20_drugs", "omop_drug_exposure", "drug_concept_id"),
        ] {
            let found = rows_and_people(&sandbox, key, collection);
            for expected in rows(name) {
                let id = expected[key.to_uppercase()].as_u64().unwrap();
                let (n, persons) = (&expected["n"], &expected["persons"]);
                assert_eq!(
                    (json!(found[&id].0), json!(found[&id].1)),
                    (n.clone(), persons.clone()),
                    "{expected}"
                );
            }
        }

        let bled = people(&sandbox, "omop_condition_occurrence", "condition_concept_id = 192671");
        assert_eq!(json!(bled), rows("gi_bleed_persons")[0]["persons"]);
        // All who took what descends from celecoxib or diclofenac, whichever they took first.
        let exposed: u64 = rows("first_nsaid_then_gi_bleed")
            .iter()
            .map(|row| row["exposed"].as_u64().unwrap())
            .sum();
        assert_eq!(people(&sandbox, "omop_drug_exposure", "under_1118084_1124300"), exposed);
        // Every condition of GiBleed is a disease.
        let diseases = sandbox.ask("SELECT count(*) AS n FROM omop_condition_occurrence WHERE under_4274025");
        assert_eq!(diseases["rows"][0][0], oracle["row_counts"]["condition_occurrence"]);

        // Nobody bled twice, so each bleeding is the first. The age is a difference of two columns of two collections.
        let mut sql =
            String::from("SELECT count(*) AS n, avg(c.condition_start_year) - avg(p.year_of_birth) AS mean, ");
        let _ = write!(
            sql,
            "sqrt(var_samp(c.condition_start_year) + var_samp(p.year_of_birth) - 2 * covar_samp(c.condition_start_year, p.year_of_birth)) AS sd \
             FROM omop_condition_occurrence c JOIN omop_person p ON c.person_id = p.person_id WHERE c.condition_concept_id = 192671"
        );
        let (age, expected) = (sandbox.ask(&sql), &rows("age_at_first_gi_bleed")[0]);
        assert_eq!(age["rows"][0][0], expected["n"]);
        for (at, name) in [(1, "mean"), (2, "sd")] {
            let (found, truth) = (age["rows"][0][at].as_f64().unwrap(), expected[name].as_f64().unwrap());
            assert!((found - truth).abs() < 1e-9 * truth, "{name}: {found}, and not {truth}");
        }
    }
}

/// A cohort as an operator makes it in a database: for each person the first of two drugs, and whether bleeding came on that day or later.
const COHORT: &str = r#"
id                  = "first-nsaid"
title               = "First celecoxib or diclofenac, and gastrointestinal bleeding after it"
personal            = true
privacy_unit        = "person_id"
rows_per_person_max = 1

[columns.person_id]
type = "integer"
role = "identifier"

[columns.drug_concept_id]
type   = "integer"
role   = ["group", "filter"]
values = [1118084, 1124300]

[columns.bled_after]
type = "boolean"
role = ["group", "filter"]
"#;

/// Person, concept and day of each row of a table of GiBleed.
fn events(table: &str, concept: &str, day: &str) -> Option<Vec<(i64, i64, i32)>> {
    let file = File::open(shared(&format!("omop/gibleed_5.3/{table}.parquet"))?).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut events = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let of = |name: &str| batch.column_by_name(name).unwrap();
        let (people, concepts) = (
            of("PERSON_ID").as_primitive::<Int64Type>(),
            of(concept).as_primitive::<Int64Type>(),
        );
        let days = of(day).as_primitive::<Date32Type>();
        events.extend((0..batch.num_rows()).map(|row| (people.value(row), concepts.value(row), days.value(row))));
    }
    Some(events)
}

#[test]
fn a_cohort_that_is_made_before_has_the_order_of_events_that_no_question_has() {
    let (Some(oracle), Some(drugs), Some(conditions)) = (
        shared("oracles/omop.json"),
        events("drug_exposure", "DRUG_CONCEPT_ID", "DRUG_EXPOSURE_START_DATE"),
        events("condition_occurrence", "CONDITION_CONCEPT_ID", "CONDITION_START_DATE"),
    ) else {
        return;
    };
    let mut first: BTreeMap<i64, (i32, i64)> = BTreeMap::new();
    for (person, drug, day) in drugs
        .into_iter()
        .filter(|(_, drug, _)| [1_118_084, 1_124_300].contains(drug))
    {
        let earliest = first.entry(person).or_insert((day, drug));
        *earliest = (*earliest).min((day, drug));
    }
    let bled: Vec<_> = conditions
        .into_iter()
        .filter(|(_, concept, _)| *concept == 192_671)
        .collect();
    let policy = clinical::policy(
        "first-nsaid",
        &["drug_concept_id", "bled_after"],
        "tier = \"statistical\"\nmin_people = 3",
    );
    let space = Nodes {
        collections: &[("first-nsaid", COHORT, &policy)],
        nodes: 3,
    };
    let sandbox = space.with_data(|place, node| {
        let mut text = "person_id,drug_concept_id,bled_after\n".to_owned();
        for (person, (day, drug)) in first.iter().filter(|(person, _)| **person as usize % 3 == node) {
            let after = bled.iter().any(|(who, _, when)| who == person && when >= day);
            let _ = writeln!(text, "{person},{drug},{after}");
        }
        fs::write(place.join(format!("{node}.csv")), text).unwrap();
        vec![format!("{{ collection = \"first-nsaid\", path = \"{node}.csv\" }}")]
    });
    let answer = sandbox.ask(
        "SELECT drug_concept_id, count(*) AS exposed, count(*) FILTER (WHERE bled_after) AS bleed_after FROM first_nsaid \
         GROUP BY drug_concept_id ORDER BY drug_concept_id",
    );
    let oracle: Value = serde_json::from_str(&fs::read_to_string(oracle).unwrap()).unwrap();
    let rows = oracle["queries"]["first_nsaid_then_gi_bleed"]["rows"]
        .as_array()
        .unwrap()
        .iter();
    let expected: Value = rows
        .map(|row| json!([row["drug"], row["exposed"], row["bleed_after"]]))
        .collect();
    assert_eq!(answer["rows"], expected);
}

/// One row for each person who bled, with the age in single years, so that its median can be asked for.
const FIRST_BLEEDING: &str = r#"
id                  = "first-bleeding"
title               = "Age at the first gastrointestinal bleeding"
personal            = true
privacy_unit        = "person_id"
rows_per_person_max = 1

[columns.person_id]
type = "integer"
role = "identifier"

[columns.age]
type   = "integer"
unit   = "a"
role   = ["group", "filter", "measure"]
bins   = [BINS]
bounds = [0, 119]
"#;

/// The years of birth of GiBleed.
fn born() -> Option<BTreeMap<i64, i64>> {
    let file = File::open(shared("omop/gibleed_5.3/person.parquet")?).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut born = BTreeMap::new();
    for batch in reader {
        let batch = batch.unwrap();
        let of = |name: &str| {
            let column = batch.column_by_name(name).unwrap();
            let numbers = cast(column, &DataType::Int64).unwrap();
            numbers.as_primitive::<Int64Type>().values().to_vec()
        };
        born.extend(of("PERSON_ID").into_iter().zip(of("YEAR_OF_BIRTH")));
    }
    Some(born)
}

#[test]
fn the_median_age_at_the_first_bleeding_is_the_oracles_by_a_derived_column() {
    let (Some(oracle), Some(born), Some(conditions)) = (
        shared("oracles/omop.json"),
        born(),
        events("condition_occurrence", "CONDITION_CONCEPT_ID", "CONDITION_START_DATE"),
    ) else {
        return;
    };
    let mut first: BTreeMap<i64, i32> = BTreeMap::new();
    for (person, _, day) in conditions.into_iter().filter(|(_, concept, _)| *concept == 192_671) {
        let earliest = first.entry(person).or_insert(day);
        *earliest = (*earliest).min(day);
    }
    let bins: Vec<String> = (0..=120).map(|age| age.to_string()).collect();
    let collection = FIRST_BLEEDING.replace("BINS", &bins.join(", "));
    let policy = clinical::policy("first-bleeding", &["age"], "tier = \"statistical\"\nmin_people = 3");
    let space = Nodes {
        collections: &[("first-bleeding", &collection, &policy)],
        nodes: 3,
    };
    let sandbox = space.with_data(|place, node| {
        let mut text = "person_id,bled_on,year_of_birth\n".to_owned();
        for (person, day) in first.iter().filter(|(person, _)| **person as usize % 3 == node) {
            let day = arrow::temporal_conversions::date32_to_datetime(*day).unwrap().date();
            let _ = writeln!(text, "{person},{day},{}", born[person]);
        }
        fs::write(place.join(format!("{node}.csv")), text).unwrap();
        let mapping = "collection = \"first-bleeding\"\n[columns.age]\n\
            derived = \"year(CAST(bled_on AS date)) - CAST(year_of_birth AS integer)\"\n";
        fs::write(place.join("first.toml"), mapping).unwrap();
        vec![format!(
            "{{ collection = \"first-bleeding\", path = \"{node}.csv\", mapping = \"first.toml\" }}"
        )]
    });
    let oracle: Value = serde_json::from_str(&fs::read_to_string(oracle).unwrap()).unwrap();
    let expected = &oracle["queries"]["age_at_first_gi_bleed"]["rows"][0];
    let all = sandbox.ask("SELECT count(*) AS n, avg(age) AS mean FROM first_bleeding");
    assert_eq!(all["rows"][0][0], expected["n"]);
    let (mean, truth) = (all["rows"][0][1].as_f64().unwrap(), expected["mean"].as_f64().unwrap());
    assert!((mean - truth).abs() < 1e-9 * truth, "{mean}, and not {truth}");
    let answer = sandbox.ask("SELECT median(age) AS middle FROM first_bleeding");
    let (middle, truth) = (
        answer["rows"][0][0].as_f64().unwrap(),
        expected["median"].as_f64().unwrap(),
    );
    // Within its bin of one year it is interpolated.
    assert!((middle - truth).abs() < 1.0, "{answer}");
    let interval = &answer["intervals"][0];
    let [low, high] = ["low", "high"].map(|end| interval[end].as_f64().unwrap());
    assert!(low <= truth && truth < high && high - low <= 4.0, "{answer}");
}
