//! Models over real nodes: what independent tools find over pooled rows, and what a node does not let out.
//!
//! The oracles are not part of the project: without them those tests say that they are skipped. What is made up here runs always.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use super::clinical::shared;
use super::{Run, Sandbox, datenraum};

/// One person a row.
const COLLECTION: &str = r#"id = "heart"
title = "Heart disease"
personal = true
privacy_unit = "person"
rows_per_person_max = 1
[columns.person]
type = "text"
role = "identifier"
[columns.age]
type = "integer"
role = ["group", "filter", "measure"]
bins = [20, 40, 50, 60, 80]
bounds = [20, 80]
[columns.sex]
type = "integer"
role = ["group", "filter", "measure"]
values = [0, 1]
bounds = [0, 1]
[columns.cp]
type = "integer"
role = ["group", "filter"]
values = [1, 2, 3, 4]
[columns.thalach]
type = "integer"
role = ["measure"]
bounds = [50, 210]
[columns.exang]
type = "integer"
role = ["group", "measure"]
values = [0, 1]
bounds = [0, 1]
[columns.oldpeak]
type = "number"
role = ["measure"]
bounds = [-3, 7]
[columns.disease]
type = "integer"
role = ["group", "filter", "measure"]
values = [0, 1]
bounds = [0, 1]
"#;

const POLICY: &str = r#"id = "heart-research"
version = 1
title = "Research on hearts"
collection = "heart"
valid_from = 2026-01-01
valid_until = 2099-12-31
[[permission]]
id = "models"
assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit = "none"
release = "models"
columns = ["age", "sex", "cp", "thalach", "exang", "oldpeak", "disease", "node"]
[permission.disclosure]
"#;

/// Data about nobody: no checks, so that every oracle can be said.
const OPEN: &str = "tier = \"open\"\n";

pub(super) const STATISTICAL: &str =
    "tier = \"statistical\"\nmin_people = 10\n[permission.models]\nsum = \"plain\"\nmin_nodes = 2\n";

/// A data space whose nodes have these rows.
pub(super) fn space(disclosure: &str, nodes: &[(&str, String)]) -> Sandbox {
    let is_open = disclosure == OPEN;
    let collection = match is_open {
        true => COLLECTION.replace(
            "personal = true\nprivacy_unit = \"person\"\nrows_per_person_max = 1",
            "personal = false",
        ),
        false => COLLECTION.to_owned(),
    };
    let policy = format!("{POLICY}{disclosure}");
    let mut spec = "space = \"hearts\"\nboard = { members = 3, threshold = 2 }\ncollections = [\"heart.toml\"]\n\
                    policies = [\"heart-research.toml\"]\n[[person]]\nid = \"ada\"\nmember = \"university\"\nroles = [\"university\"]\n"
        .to_owned();
    for (node, _) in nodes {
        let _ = write!(
            spec,
            "[[node]]\nid = \"{node}\"\nroles = [\"hospital\"]\n\
             datasets = [{{ collection = \"heart\", path = \"{node}.csv\" }}]\n"
        );
    }
    let tables: Vec<(String, &str)> = nodes
        .iter()
        .map(|(node, table)| (format!("{node}.csv"), table.as_str()))
        .collect();
    let mut files = vec![
        ("spec.toml", spec.as_str()),
        ("heart.toml", collection.as_str()),
        ("heart-research.toml", policy.as_str()),
    ];
    files.extend(tables.iter().map(|(file, table)| (file.as_str(), *table)));
    let (sandbox, run) = Sandbox::of(&files);
    run.returns(0);
    sandbox
}

const HEADER: &str = "person,age,sex,cp,thalach,exang,oldpeak,disease\n";

/// The four hospitals of the UCI heart disease data.
fn hospitals() -> Option<Vec<(&'static str, String)>> {
    let text = fs::read_to_string(shared("clinical/uci_heart_4hospitals.csv")?).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let at = |name: &str| names.iter().position(|known| *known == name).unwrap();
    let places = ["age", "sex", "cp", "thalach", "exang", "oldpeak", "disease"].map(at);
    let known = [
        ("Budapest", "budapest"),
        ("Cleveland", "cleveland"),
        ("LongBeachVA", "long-beach"),
        ("Zurich-Basel", "zurich"),
    ];
    let mut tables = known.map(|(_, node)| (node, HEADER.to_owned()));
    for (row, line) in lines.enumerate() {
        let hospital = known
            .iter()
            .position(|(name, _)| *name == line[at("hospital")])
            .unwrap();
        // Whole numbers are written with a point and a nought.
        let cells = places.map(|place| line[place].strip_suffix(".0").unwrap_or(line[place]));
        let _ = writeln!(tables[hospital].1, "p{row},{}", cells.join(","));
    }
    Some(tables.to_vec())
}

/// Rows of people who are made up: age and outcome hang together, and the other columns are spread.
pub(super) fn made_up(people: std::ops::Range<usize>, change: impl Fn(usize, &mut [String; 7])) -> String {
    let mut table = HEADER.to_owned();
    for person in people {
        let spread = |of: usize, step: usize| (person * step + person / 7) % of;
        let age = 30 + spread(45, 17);
        let disease = usize::from(spread(100, 37) < age);
        let mut cells = [
            age.to_string(),
            (spread(10, 3) % 2).to_string(),
            (1 + spread(4, 5)).to_string(),
            (100 + spread(80, 29)).to_string(),
            (spread(9, 2) % 2).to_string(),
            format!("{:.1}", spread(50, 13) as f64 / 10.0),
            disease.to_string(),
        ];
        change(person, &mut cells);
        let _ = writeln!(table, "p{person},{}", cells.join(","));
    }
    table
}

fn glm(sandbox: &Sandbox, formula: &str, more: &[&str]) -> Run {
    let dir = sandbox.dir();
    let words = [
        "glm",
        "--sandbox",
        dir.to_str().unwrap(),
        "--collection",
        "heart",
        "--formula",
        formula,
    ];
    datenraum(words.iter().chain(&["--purpose", "ehds-53-1-e"]).chain(more))
}

fn estimates(fit: &Value) -> BTreeMap<String, (f64, f64)> {
    let terms = fit["terms"].as_array().unwrap().iter();
    terms
        .map(|term| {
            let number = |name: &str| term[name].as_f64().unwrap();
            (
                term["term"].as_str().unwrap().to_owned(),
                (number("estimate"), number("std_error")),
            )
        })
        .collect()
}

fn require_oracle(fit: &Value, model: &Value) {
    let result = &model["result"];
    let numbers = |key: &str| -> Vec<f64> {
        result[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect()
    };
    let terms = fit["terms"].as_array().unwrap();
    let (coefficients, errors) = (numbers("coef"), numbers("se"));
    assert_eq!(terms.len(), coefficients.len());
    for ((term, coefficient), error) in terms.iter().zip(coefficients).zip(errors) {
        let (estimate, std_error) = (term["estimate"].as_f64().unwrap(), term["std_error"].as_f64().unwrap());
        assert!((estimate - coefficient).abs() < 1e-8, "{term} is not {coefficient}");
        assert!(
            (std_error / error - 1.0).abs() < 1e-6,
            "{term}: standard error is not {error}"
        );
    }
    assert_eq!(fit["n"].as_u64(), model["rows_used"].as_u64());
}

#[test]
fn four_hospitals_fit_what_r_fits_over_their_pooled_rows() {
    let Some(hospitals) = hospitals() else { return };
    let oracle = fs::read_to_string(shared("oracles/regression.json").unwrap()).unwrap();
    let oracle: Value = serde_json::from_str(&oracle).unwrap();
    let sandbox = space(OPEN, &hospitals);
    let logit = "disease ~ age + sex + C(cp) + thalach + exang + oldpeak";
    for (id, formula, family) in [
        ("heart_logit", logit.to_owned(), "binomial"),
        ("heart_logit_hospital", format!("{logit} + C(node)"), "binomial"),
        (
            "heart_ols_thalach",
            "thalach ~ age + sex + C(node)".to_owned(),
            "gaussian",
        ),
    ] {
        let run = glm(&sandbox, &formula, &["--family", family, "--format", "json"]);
        run.returns(0);
        let fit = run.json();
        let model = oracle["models"]
            .as_array()
            .unwrap()
            .iter()
            .find(|model| model["id"] == id)
            .unwrap();
        require_oracle(&fit, model);
        let answered = fit["coverage"].as_array().unwrap();
        assert!(
            answered.len() == 4 && answered.iter().all(|node| node["status"] == "answered"),
            "{fit}"
        );
        let dropped = model["rows_in"].as_u64().unwrap() - model["rows_used"].as_u64().unwrap();
        assert_eq!(fit["dropped"].as_u64(), Some(dropped));
    }
}

#[test]
fn a_node_does_not_send_what_tells_of_a_few_people() {
    let plain = |_: usize, _: &mut [String; 7]| {};
    let few_women = |person: usize, cells: &mut [String; 7]| cells[1] = usize::from(person % 50 != 0).to_string();
    let one_pays = |person: usize, cells: &mut [String; 7]| {
        cells[5] = if person % 200 < 5 { "6.5" } else { "0" }.to_owned();
    };
    let nodes = [
        ("a", made_up(0..200, plain)),
        ("b", made_up(200..400, few_women)),
        ("c", made_up(400..600, one_pays)),
        ("tiny", made_up(600..603, plain)),
    ];
    let sandbox = space(STATISTICAL, &nodes);
    let binomial = ["--family", "binomial"];
    // Three people: nobody has an answer, because not all take part, unless that was asked for.
    let run = glm(&sandbox, "disease ~ age", &binomial);
    run.returns(4);
    assert!(
        run.err().contains("tiny") && run.err().contains("E_MODEL_DISCLOSURE"),
        "{}",
        run.err()
    );
    let run = glm(
        &sandbox,
        "disease ~ age",
        &[&binomial[..], &["--without-missing", "--format", "json"]].concat(),
    );
    run.returns(3);
    assert_eq!(run.json()["n"], 600);
    let refused = |formula: &str, nodes: &str, more: &[&str], what: &str| {
        let run = glm(&sandbox, formula, &[&["--nodes", nodes], &binomial[..], more].concat());
        assert_eq!(run.code(), 4, "{formula}: {}{}", run.out(), run.err());
        assert!(run.err().contains(what), "{formula}: {}", run.err());
        assert!(
            !run.err().chars().any(|c| c == '7') || what.contains('7'),
            "{}",
            run.err()
        );
    };
    refused(
        "disease ~ age + sex",
        "a,b",
        &[],
        "sex tells apart a group with too few people",
    );
    refused("disease ~ age + oldpeak", "a,c", &[], "oldpeak");
    refused("disease ~ age", "a", &[], "over 2 nodes at least");
    refused("disease ~ age", "a,b", &["--steps", "26"], "25 steps at most");
    refused("disease ~ age + C(cp):C(sex)", "a,b", &[], "too few people");
    refused(
        "disease ~ age",
        "a,b",
        &["--where", "age >= 20 AND cp <> 1"],
        "nearly the same people",
    );
}
