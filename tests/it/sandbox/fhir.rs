//! FHIR at nodes: resources through views into data sets, consents into the register, and federated questions about them.
//!
//! What is made up here runs always. The test data of the MII and Synthea's are not part of the project: without them the test says so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::clinical::{self, Nodes, answer_of, pairs, shared};
use super::{Sandbox, datenraum};

const CONSENT: &str = "2.16.840.1.113883.3.1937.777.24.5.3.8";

const PERSONAL: &str = r#"
id           = "mii-diagnosis"
title        = "Diagnoses of the MII core data set"
personal     = true
privacy_unit = "person"

[columns.person]
type = "text"
role = "identifier"

[columns.icd]
type   = "text"
role   = ["group", "filter"]
values = ["E11.9", "I10.90", "J45.9"]

[columns.onset_date]
type = "date"
role = ["group", "filter"]
bins = "year"

[filters.broad_consent]
consent = ["2.16.840.1.113883.3.1937.777.24.5.3.8"]
"#;

/// One diagnosis each of `people`: with J45.9 every fourth, I10.90 every other of the rest.
fn conditions(clinic: &str, people: usize) -> String {
    let mut lines = String::new();
    for n in 0..people {
        let icd = match n % 4 {
            0 => "J45.9",
            1 => "I10.90",
            _ => "E11.9",
        };
        let condition = json!({"resourceType": "Condition", "id": format!("c{n}"), "subject": {"reference": format!("Patient/{clinic}-{n}")},
            "code": {"coding": [{"system": "http://fhir.de/CodeSystem/bfarm/icd-10-gm", "code": icd}]}, "onsetDateTime": "2024-05"});
        let _ = writeln!(lines, "{condition}");
    }
    lines
}

fn consents(clinic: &str, people: usize, kind: &str) -> String {
    let mut lines = String::new();
    for n in 0..people {
        let consent = json!({"resourceType": "Consent", "id": format!("k{n}"), "status": "active", "dateTime": "2024-02-01",
            "patient": {"reference": format!("Patient/{clinic}-{n}")}, "provision": {"type": "deny", "provision": [{"type": kind,
            "period": {"start": "2024-02-23", "end": "2054-01-31"},
            "code": [{"coding": [{"system": "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3", "code": CONSENT}]}]}]}});
        let _ = writeln!(lines, "{consent}");
    }
    lines
}

#[test]
fn diagnoses_of_three_hospitals_are_asked_by_consent() {
    let policy = clinical::policy(
        "mii-diagnosis",
        &["icd", "onset_date"],
        "tier = \"statistical\"\nmin_people = 3",
    )
    .replace(
        "[permission.disclosure]",
        "rows = \"broad_consent\"\n[permission.disclosure]",
    );
    let nodes = Nodes {
        collections: &[("mii-diagnosis", PERSONAL, &policy)],
        nodes: 3,
    };
    let sandbox = nodes.without_data();
    let place = sandbox.place().to_owned();
    let config = |node: usize| sandbox.dir().join(format!("nodes/node-{node}/node.toml"));
    for node in 0..3 {
        fs::create_dir(place.join(format!("in-{node}"))).unwrap();
        fs::write(
            place.join(format!("in-{node}/Condition.ndjson")),
            conditions(&format!("n{node}"), 40),
        )
        .unwrap();
    }
    let add = |node: usize, words: &[&str]| {
        let (file, config) = (place.join(format!("in-{node}")), config(node));
        let all = [
            "node",
            "dataset",
            "add",
            file.to_str().unwrap(),
            "--collection",
            "mii-diagnosis",
            "--config",
            config.to_str().unwrap(),
        ];
        datenraum(all.iter().chain(words).copied())
    };

    // Without a view it is no table of these columns; a torn bundle, one date too many without a day, and another view are refused.
    add(0, &[]).fails_with("E_DATA_SCHEMA", "--view");
    add(0, &["--view", "diagnose"]).fails_with("E_FHIR_VIEW", "did you mean diagnosis?");
    add(0, &["--view", "encounter"]).fails_with("E_DATA_SCHEMA", "icd");
    fs::write(
        place.join("in-0/Bundle.json"),
        "{\"resourceType\": \"Bundle\", \"type\": \"collection\", \"entry\": [",
    )
    .unwrap();
    add(0, &["--view", "diagnosis"]).fails_with("E_FHIR_FILE", "Bundle.json");
    fs::remove_file(place.join("in-0/Bundle.json")).unwrap();
    let good = fs::read_to_string(place.join("in-0/Condition.ndjson")).unwrap();
    fs::write(
        place.join("in-0/Condition.ndjson"),
        format!("{good}{{\"resourceType\": \"Condition\"\n"),
    )
    .unwrap();
    let refused = add(0, &["--view", "diagnosis"]);
    assert!(
        refused.err().contains("line 41 of Condition.ndjson: is not JSON"),
        "{}",
        refused.err()
    );
    refused.fails_with("E_FHIR_RESOURCE", "left_out_max");

    // One in forty may be left out, says the operator.
    let mapping = place.join("diagnosis.toml");
    fs::write(
        &mapping,
        "collection = \"mii-diagnosis\"\n[source]\nview = \"diagnosis\"\nleft_out_max = 0.03\n",
    )
    .unwrap();
    let report = place.join("profile.html");
    let words = [
        "--mapping",
        mapping.to_str().unwrap(),
        "--dry-run",
        "--report",
        report.to_str().unwrap(),
    ];
    let shown = add(0, &words).returns(0).out();
    assert!(
        shown.contains("40 rows of 40 people") && shown.contains("40 resources read, 1 left out"),
        "{shown}"
    );
    let page = fs::read_to_string(&report).unwrap();
    assert!(
        page.contains("line 41 of Condition.ndjson: is not JSON") && !page.contains("n0-"),
        "{page}"
    );
    let added = add(0, &["--mapping", mapping.to_str().unwrap()]).returns(0).out();
    assert!(added.contains("left out: line 41"), "{added}");
    for node in 1..3 {
        add(node, &["--view", "diagnosis"]).returns(0);
    }

    // Nobody consented yet; then thirty at each node, of whom ten at the first take it back.
    let sql = "SELECT icd, count(*) AS n FROM mii_diagnosis GROUP BY icd ORDER BY icd";
    let nobody = answer_of(&sandbox, "SELECT count(onset_date) AS n FROM mii_diagnosis", 3);
    assert_eq!(nobody["rows"], json!([[0]]));
    let import = |node: usize, zone: &str| {
        let (file, config) = (place.join(format!("consents-{node}")), config(node));
        let words = [
            "node",
            "consent",
            "import",
            file.to_str().unwrap(),
            "--collection",
            "mii-diagnosis",
            "--config",
            config.to_str().unwrap(),
        ];
        datenraum(words.iter().copied().chain(["--days-of", zone]))
    };
    for node in 0..3 {
        let folder = place.join(format!("consents-{node}"));
        fs::create_dir(&folder).unwrap();
        fs::write(
            folder.join("Consent.ndjson"),
            consents(&format!("n{node}"), 30, "permit"),
        )
        .unwrap();
    }
    import(0, "Berlin").fails_with("E_FILE_VALUE", "time zone");
    let withdrawn = place.join("consents-0/withdrawn.ndjson");
    fs::write(
        &withdrawn,
        consents("n0", 10, "deny").replace("Patient/n0-3", "Group/n0-3"),
    )
    .unwrap();
    import(0, "Europe/Berlin").fails_with("E_FHIR_FILE", "withdrawn.ndjson");
    fs::write(&withdrawn, consents("n0", 10, "deny")).unwrap();
    for node in 0..3 {
        let told = import(node, "Europe/Berlin").returns(0).out();
        let kept = if node == 0 { "40 provisions" } else { "30 provisions" };
        assert!(told.contains(kept), "{told}");
    }
    // Of those with a number below 30 and, at the first node, from 10 on: 20, 30 and 30.
    let rows = sandbox.ask(sql)["rows"].clone();
    assert_eq!(
        rows,
        json!([["E11.9", 10 + 14 + 14], ["I10.90", 5 + 8 + 8], ["J45.9", 5 + 8 + 8]])
    );
}

/// A collection of test data that are about nobody, of all columns that are asked for.
fn about_nobody(id: &str, columns: &[(&str, &str, &str)]) -> String {
    let mut text = format!("id = \"{id}\"\ntitle = \"{id} of test data, about nobody\"\npersonal = false\n");
    for (name, kind, role) in columns {
        let _ = write!(text, "[columns.{name}]\ntype = \"{kind}\"\nrole = [{role}]\n");
    }
    text
}

const GROUP: &str = "\"group\", \"filter\"";
const MEASURE: &str = "\"measure\", \"filter\"";

/// All quantities, also those that are no laboratory's: what the oracle counted.
const QUANTITIES: &str = r#"{"resource": "Observation", "where": [{"path": "value.ofType(Quantity).value.exists()"}], "select": [{"column": [
    {"name": "code", "path": "code.coding.first().code", "type": "code"},
    {"name": "quantity", "path": "value.ofType(Quantity).value", "type": "decimal"}]}]}"#;

const CODES: &str = r#"{"resource": "Condition", "select": [{"forEach": "code.coding", "column": [
    {"name": "system", "path": "system", "type": "uri"}, {"name": "code", "path": "code", "type": "code"}]}]}"#;

const ENCOUNTERS: &str = r#"{"resource": "Encounter", "select": [{"column": [
    {"name": "class", "path": "class.code", "type": "code"}]}]}"#;

/// Puts up nodes of four collections, each from the files that were dealt to it, and asks what the oracle knows.
fn dealt(oracle: &Value, deal: &dyn Fn(&Path, usize), nodes: usize) {
    let collections = [
        about_nobody("people", &[("gender", "text", GROUP)]),
        about_nobody("encounters", &[("class", "text", GROUP)]),
        about_nobody("codes", &[("system", "text", GROUP), ("code", "text", GROUP)]),
        about_nobody(
            "quantities",
            &[("code", "text", GROUP), ("quantity", "number", MEASURE)],
        ),
    ];
    let open = |id: &str, columns: &[&str]| clinical::policy(id, columns, "tier = \"open\"");
    let policies = [
        open("people", &["gender"]),
        open("encounters", &["class"]),
        open("codes", &["system", "code"]),
        open("quantities", &["code", "quantity"]),
    ];
    let named = ["people", "encounters", "codes", "quantities"];
    let documents: Vec<(&str, &str, &str)> = (0..4)
        .map(|at| (named[at], collections[at].as_str(), policies[at].as_str()))
        .collect();
    let nodes = Nodes {
        collections: &documents,
        nodes,
    };
    let sandbox: Sandbox = nodes.with_data(|place, node| {
        let folder = place.join(format!("in-{node}"));
        fs::create_dir(&folder).unwrap();
        deal(&folder, node);
        for (name, view) in [("codes", CODES), ("quantities", QUANTITIES), ("encounters", ENCOUNTERS)] {
            fs::write(place.join(format!("{name}.json")), view).unwrap();
            let mapping = format!("collection = \"{name}\"\n[source]\nview = \"{name}.json\"\n");
            fs::write(place.join(format!("{name}.toml")), mapping).unwrap();
        }
        fs::write(
            place.join("people.toml"),
            "collection = \"people\"\n[source]\nview = \"person\"\n",
        )
        .unwrap();
        let datasets = named
            .iter()
            .map(|name| format!("{{ collection = \"{name}\", path = \"in-{node}\", mapping = \"{name}.toml\" }}"));
        datasets.collect()
    });
    let counted = |sql: &str| -> BTreeMap<String, u64> { pairs(&sandbox.ask(sql)) };
    let map = |json: &Value| -> BTreeMap<String, u64> { serde_json::from_value(json.clone()).unwrap() };
    let genders = counted("SELECT gender, count(*) AS n FROM people GROUP BY gender");
    assert_eq!(genders, map(&oracle["patients_by_gender"]));
    let classes = counted("SELECT class, count(*) AS n FROM encounters GROUP BY class");
    assert_eq!(classes, map(&oracle["encounters_by_class"]));
    let codes = counted(
        "SELECT concat(system, '|', code) AS code, n FROM (SELECT system, code, count(*) AS n FROM codes GROUP BY system, code) AS c",
    );
    for top in oracle["condition_codings_top15"].as_array().unwrap() {
        let code = format!("{}|{}", top["system"].as_str().unwrap(), top["code"].as_str().unwrap());
        assert_eq!(json!(codes[&code]), top["n"], "{code}");
    }
    let means = sandbox.ask("SELECT code, count(quantity) AS n, avg(quantity) AS mean FROM quantities GROUP BY code");
    for top in oracle["observation_quantity_by_first_coding_top10"].as_array().unwrap() {
        let row = means["rows"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row[0] == top["code"])
            .unwrap();
        assert_eq!(row[1], top["n"], "{top}");
        let (found, expected) = (row[2].as_f64().unwrap(), top["mean"].as_f64().unwrap());
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{top}: {found}");
    }
}

#[test]
fn test_data_of_the_mii_dealt_to_three_and_five_nodes_have_the_oracles_numbers() {
    let (Some(oracle), Some(bundles)) = (shared("oracles/fhir.json"), shared("fhir/mii_kds_bundles")) else {
        return;
    };
    let oracle: Value = serde_json::from_str(&fs::read_to_string(oracle).unwrap()).unwrap();
    let mut files: Vec<_> = fs::read_dir(bundles)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    for nodes in [3, 5] {
        let deal = |folder: &Path, node: usize| {
            for file in files.iter().skip(node).step_by(nodes) {
                fs::copy(file, folder.join(file.file_name().unwrap())).unwrap();
            }
        };
        dealt(&oracle["mii_kds_bundles"], &deal, nodes);
    }
}

#[test]
fn bulk_data_of_synthea_dealt_to_three_nodes_have_the_oracles_numbers() {
    let (Some(oracle), Some(bulk)) = (shared("oracles/fhir.json"), shared("fhir/synthea_bulk_10patients")) else {
        return;
    };
    let oracle: Value = serde_json::from_str(&fs::read_to_string(oracle).unwrap()).unwrap();
    let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for name in ["Patient", "Encounter", "Condition"] {
        let mut text = String::new();
        let file = fs::File::open(bulk.join(format!("{name}.ndjson.gz"))).unwrap();
        std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(file), &mut text).unwrap();
        lines.insert(name, text.lines().map(str::to_owned).collect());
    }
    // Dealt by lines, and packed again: at one node one way, at the others another.
    let deal = |folder: &Path, node: usize| {
        for (name, lines) in &lines {
            let dealt: String = lines
                .iter()
                .skip(node)
                .step_by(3)
                .map(|line| format!("{line}\n"))
                .collect();
            let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut file, dealt.as_bytes()).unwrap();
            match node {
                0 => fs::write(folder.join(format!("{name}.ndjson")), dealt).unwrap(),
                _ => fs::write(folder.join(format!("{name}.ndjson.gz")), file.finish().unwrap()).unwrap(),
            }
        }
    };
    dealt(&oracle["synthea_bulk_10patients"], &deal, 3);
}
