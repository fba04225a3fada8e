//! The ready-made views, over the test data of the MII and over Synthea's, against counts that a plain walk of the same files in Python gave.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{read, shared};
use crate::kds::{VIEWS, view};
use crate::{Counts, View, unpacked};

#[test]
fn every_view_compiles_and_says_whose_rows_they_are() {
    for (name, _) in VIEWS {
        let view = view(name).unwrap().unwrap_or_else(|report| panic!("{name}: {report}"));
        let first = view.schema().field(0).name().clone();
        let has_person = view.schema().column_with_name("person").is_some();
        assert!(has_person || name == "medication", "{name}: {first}");
    }
    assert!(view("observation").is_none());
}

/// The view's rows over all bundles, of which nothing may be left out.
fn over_bundles(name: &str) -> Option<(Vec<Value>, Counts)> {
    let folder = shared("fhir/mii_kds_bundles")?;
    let view = view(name).unwrap().unwrap();
    let (mut all, mut counts) = (Vec::new(), Counts::default());
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let (rows, count, skipped) = read(&view, &std::fs::read(&file).unwrap());
        assert!(skipped.is_empty(), "{name}: {}: {}", file.display(), skipped[0]);
        all.extend(rows);
        counts.read += count.read;
        counts.other += count.other;
        counts.unmet += count.unmet;
    }
    Some((all, counts))
}

fn oracle() -> Option<Value> {
    let text = std::fs::read_to_string(shared("oracles/fhir.json")?).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

fn counted(rows: &[Value], column: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts
            .entry(row[column].as_str().unwrap_or("null").to_owned())
            .or_default() += 1;
    }
    counts
}

fn map(json: &Value) -> BTreeMap<String, u64> {
    serde_json::from_value(json.clone()).unwrap()
}

#[test]
fn people_of_the_mii_bundles_are_those_of_the_oracle() {
    let (Some(oracle), Some((rows, counts))) = (oracle(), over_bundles("person")) else {
        return;
    };
    let oracle = &oracle["mii_kds_bundles"];
    assert_eq!(json!(counts.read), oracle["by_type"]["Patient"]);
    assert_eq!(json!(counts.read + counts.other), oracle["resources"]);
    assert_eq!(counted(&rows, "gender"), map(&oracle["patients_by_gender"]));
    let person = |row: &Value| {
        (
            row["person"].clone(),
            row["gender"].clone(),
            row["birth_date"].clone(),
            row["deceased"].clone(),
        )
    };
    let mut found: Vec<String> = rows.iter().map(|row| format!("{:?}", person(row))).collect();
    // One of them says the year of birth only.
    let born = |date: &Value| {
        if date == "1962" {
            json!("1962-01-01")
        } else {
            date.clone()
        }
    };
    let expected = oracle["patients"].as_array().unwrap().iter();
    let expected = expected.map(|one| {
        format!(
            "{:?}",
            (&one["id"], &one["gender"], born(&one["birthDate"]), &one["deceased"])
        )
    });
    let mut expected: Vec<String> = expected.collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let partial: Vec<&Value> = rows
        .iter()
        .filter(|row| row["birth_date"] != row["birth_date_latest"])
        .collect();
    assert_eq!(
        (partial.len(), &partial[0]["birth_date_latest"]),
        (1, &json!("1962-12-31"))
    );
}

#[test]
fn encounters_and_diagnoses_of_the_mii_bundles_are_those_of_the_oracle() {
    let (Some(oracle), Some((encounters, _))) = (oracle(), over_bundles("encounter")) else {
        return;
    };
    let oracle = &oracle["mii_kds_bundles"];
    assert_eq!(counted(&encounters, "class"), map(&oracle["encounters_by_class"]));
    let providers = counted(&encounters, "provider");
    let named = map(&oracle["encounters_by_service_provider"]);
    assert_eq!(providers["null"], named["null"]);
    assert_eq!(
        providers["mii-exa-test-data-organization-charite"],
        named["Organization/mii-exa-test-data-organization-charite"]
    );

    let (diagnoses, counts) = over_bundles("diagnosis").unwrap();
    assert_eq!(json!(counts.read + counts.unmet), oracle["by_type"]["Condition"]);
    let codes = counted(&diagnoses, "icd");
    let icd = |one: &&Value| one["system"] == "http://fhir.de/CodeSystem/bfarm/icd-10-gm";
    for top in oracle["condition_codings_top15"].as_array().unwrap().iter().filter(icd) {
        assert_eq!(json!(codes[top["code"].as_str().unwrap()]), top["n"], "{top}");
    }
    assert!(diagnoses.iter().all(|row| row["person"].is_string()));
    let cross = diagnoses
        .iter()
        .find(|row| row["icd_marker"] == "†")
        .expect("one with a cross");
    assert_eq!(
        (&cross["icd"], &cross["side"], &cross["certainty"]),
        (&json!("B05.3"), &json!("B"), &json!("G"))
    );
}

#[test]
fn values_of_the_mii_bundles_are_those_of_the_oracle() {
    let Some(oracle) = oracle() else { return };
    // The view of a value, without the conditions of the laboratory: that is what the oracle counted.
    let all = View::compile(
        r#"{"resource": "Observation", "where": [{"path": "value.ofType(Quantity).value.exists()"}], "select": [{"column": [
            {"name": "code", "path": "code.coding.first().code", "type": "code"},
            {"name": "value", "path": "value.ofType(Quantity).value", "type": "decimal"}]}]}"#,
    );
    let all = all.unwrap();
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for file in std::fs::read_dir(shared("fhir/mii_kds_bundles").unwrap()).unwrap() {
        for row in read(&all, &std::fs::read(file.unwrap().path()).unwrap()).0 {
            values
                .entry(row["code"].as_str().unwrap_or_default().to_owned())
                .or_default()
                .push(row["value"].as_f64().unwrap());
        }
    }
    for top in oracle["mii_kds_bundles"]["observation_quantity_by_first_coding_top10"]
        .as_array()
        .unwrap()
    {
        let found = &values[top["code"].as_str().unwrap()];
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        assert_eq!(json!(found.len()), top["n"], "{top}");
        assert!(
            (mean - top["mean"].as_f64().unwrap()).abs() < 1e-9 * mean.abs(),
            "{top}"
        );
        assert_eq!(found.iter().copied().reduce(f64::min), top["min"].as_f64(), "{top}");
        assert_eq!(found.iter().copied().reduce(f64::max), top["max"].as_f64(), "{top}");
    }
}

/// Counted by a walk in Python over the same files.
#[test]
fn the_other_modules_of_the_mii_bundles_have_their_rows() {
    let Some((procedures, counts)) = over_bundles("procedure") else {
        return;
    };
    assert_eq!((procedures.len(), counts.read), (32, 49));
    assert!(procedures.iter().all(|row| row["ops"].as_str().unwrap().contains('-')));
    let (laboratory, counts) = over_bundles("laboratory").unwrap();
    assert_eq!(counts.read + counts.unmet, 243);
    assert_eq!((counts.read, laboratory.len()), (82, 73));
    // One statement and one administration were entered in error.
    for (name, read, unmet) in [
        ("medication", 28, 0),
        ("medication-statement", 31, 1),
        ("medication-request", 34, 0),
        ("medication-administration", 23, 1),
    ] {
        let (rows, counts) = over_bundles(name).unwrap();
        assert_eq!(
            (rows.len() as u64, counts.read, counts.unmet),
            (read, read, unmet),
            "{name}"
        );
        let has_substance = rows
            .iter()
            .filter(|row| row["atc"].is_string() || row["medication"].is_string())
            .count();
        assert!(has_substance * 10 > rows.len() * 8, "{name}: {has_substance}");
    }
    let (consents, _) = over_bundles("consent").unwrap();
    assert_eq!(consents.len(), 57);
    assert_eq!(counted(&consents, "code")["2.16.840.1.113883.3.1937.777.24.5.3.8"], 10);
}

#[test]
fn bulk_data_of_synthea_is_read_as_it_is_compressed() {
    let (Some(oracle), Some(folder)) = (oracle(), shared("fhir/synthea_bulk_10patients")) else {
        return;
    };
    let oracle = &oracle["synthea_bulk_10patients"];
    let over = |view: &View, file: &str| {
        let file = std::fs::File::open(folder.join(file)).unwrap();
        let mut batches = view.read(unpacked(file).unwrap(), |skipped| panic!("{skipped}"));
        let rows: Vec<Value> = batches
            .by_ref()
            .flat_map(|batch| super::rows_of(&batch.unwrap()))
            .collect();
        (rows, batches.counts())
    };
    let encounters = over(&view("encounter").unwrap().unwrap(), "Encounter.ndjson.gz").0;
    assert_eq!(counted(&encounters, "class"), map(&oracle["encounters_by_class"]));
    let people = over(&view("person").unwrap().unwrap(), "Patient.ndjson.gz").0;
    assert_eq!(counted(&people, "gender"), map(&oracle["patients_by_gender"]));
    let codes = View::compile(
        r#"{"resource": "Condition", "select": [{"forEach": "code.coding", "column": [{"name": "code", "path": "code", "type": "code"}]}]}"#,
    );
    let (rows, counts) = over(&codes.unwrap(), "Condition.ndjson.gz");
    assert_eq!(json!(counts.read), oracle["by_type"]["Condition"]);
    let codes = counted(&rows, "code");
    for top in oracle["condition_codings_top15"].as_array().unwrap() {
        assert_eq!(json!(codes[top["code"].as_str().unwrap()]), top["n"]);
    }
}
