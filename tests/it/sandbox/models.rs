//! Models over real nodes: what independent tools find over pooled rows, and what a node does not let out.
//!
//! The oracles are not part of the project: without them those tests say that they are skipped. What is made up here runs always.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use super::clinical::shared;
use super::oracles::{near, oracle};
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
[columns.trestbps]
type = "integer"
role = ["measure"]
bounds = [0, 250]
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
columns = ["age", "sex", "cp", "thalach", "exang", "oldpeak", "trestbps", "disease", "node"]
[permission.disclosure]
"#;

/// Data about nobody: no checks, so that every oracle can be said.
pub(super) const OPEN: &str = "tier = \"open\"\n";

pub(super) const STATISTICAL: &str =
    "tier = \"statistical\"\nmin_people = 10\n[permission.models]\nsum = \"plain\"\nmin_nodes = 2\n";

/// A data space of people who may have two rows each.
pub(super) fn space_of_several_rows(nodes: &[(&str, String)]) -> Sandbox {
    let collection = COLLECTION.replace("rows_per_person_max = 1", "rows_per_person_max = 2");
    space_of("heart", &collection, POLICY, STATISTICAL, nodes)
}

/// A data space whose nodes have these rows.
pub(super) fn space(disclosure: &str, nodes: &[(&str, String)]) -> Sandbox {
    space_of("heart", COLLECTION, POLICY, disclosure, nodes)
}

/// A data space of one collection; in the tier open it is about nobody.
fn space_of(id: &str, collection: &str, policy: &str, disclosure: &str, nodes: &[(&str, String)]) -> Sandbox {
    let personal = "personal = true\nprivacy_unit = \"person\"\nrows_per_person_max = 1";
    let collection = match disclosure {
        OPEN => collection.replace(personal, "personal = false"),
        _ => collection.to_owned(),
    };
    let policy = format!("{policy}{disclosure}");
    let mut spec = format!(
        "space = \"{id}-space\"\nboard = {{ members = 3, threshold = 2 }}\ncollections = [\"{id}.toml\"]\n\
         policies = [\"{id}-research.toml\"]\n[[person]]\nid = \"ada\"\nmember = \"university\"\nroles = [\"university\"]\n"
    );
    for (node, _) in nodes {
        let _ = write!(
            spec,
            "[[node]]\nid = \"{node}\"\nroles = [\"hospital\"]\n\
             datasets = [{{ collection = \"{id}\", path = \"{node}.csv\" }}]\n"
        );
    }
    let mut files = vec![
        ("spec.toml".to_owned(), spec),
        (format!("{id}.toml"), collection),
        (format!("{id}-research.toml"), policy),
    ];
    files.extend(nodes.iter().map(|(node, table)| (format!("{node}.csv"), table.clone())));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let (sandbox, run) = Sandbox::of(&files);
    run.returns(0);
    sandbox
}

const HEADER: &str = "person,age,sex,cp,thalach,exang,oldpeak,disease,trestbps\n";

/// The four hospitals of the UCI heart disease data.
pub(super) fn hospitals() -> Option<Vec<(&'static str, String)>> {
    let text = fs::read_to_string(shared("clinical/uci_heart_4hospitals.csv")?).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let at = |name: &str| names.iter().position(|known| *known == name).unwrap();
    let places = ["age", "sex", "cp", "thalach", "exang", "oldpeak", "disease", "trestbps"].map(at);
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
pub(super) fn made_up(people: std::ops::Range<usize>, change: impl Fn(usize, &mut [String; 8])) -> String {
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
            (110 + spread(50, 23)).to_string(),
        ];
        change(person, &mut cells);
        let _ = writeln!(table, "p{person},{}", cells.join(","));
    }
    table
}

pub(super) fn glm(sandbox: &Sandbox, formula: &str, more: &[&str]) -> Run {
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
    let oracle = oracle("regression");
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
        assert_eq!(run.code(), 0, "{}", run.err());
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
fn models_of_each_hospital_are_put_together_as_statsmodels_does() {
    let Some(hospitals) = hospitals() else { return };
    let sandbox = space(OPEN, &hospitals);
    let known = &oracle("tests_meta")["results"];
    for (id, formula, family) in [
        ("heart_meta_logodds_age", "disease ~ age", "binomial"),
        ("heart_meta_thalach_age_slope", "thalach ~ age + disease", "gaussian"),
    ] {
        let known = &known[id];
        let mut words = vec!["meta".to_owned(), "--term".to_owned(), "age".to_owned()];
        for (node, _) in &hospitals {
            let words_of_one = ["--nodes", node, "--family", family, "--format", "json"];
            let file = sandbox.place().join(format!("{id}-{node}.json"));
            fs::write(&file, glm(&sandbox, formula, &words_of_one).returns(0).out()).unwrap();
            words.extend(["--estimates".to_owned(), file.to_str().unwrap().to_owned()]);
        }
        words.extend(["--format".to_owned(), "json".to_owned()]);
        let meta = datenraum(&words).returns(0).json();
        for (at, site) in meta["rows"].as_array().unwrap().iter().enumerate() {
            near(&site["estimate"], &known["estimate"][at], 1e-8);
            near(&site["std_error"], &known["se"][at], 1e-6);
        }
        for (at, model) in ["fixed", "dersimonian_laird"].into_iter().enumerate() {
            near(&meta["terms"][at]["estimate"], &known[model]["estimate"], 1e-7);
            near(&meta["terms"][at]["std_error"], &known[model]["se"], 1e-6);
        }
        for (of, of_statsmodels) in [("q", "cochran_q"), ("df", "df"), ("p_q", "p_q"), ("i_squared", "i2")] {
            near(&meta[of], &known[of_statsmodels], 1e-6);
        }
        near(&meta["tau_squared_dl"], &known["dersimonian_laird"]["tau2"], 1e-5);
    }
    // At one hospital no woman is well: there is no estimate, and the others have theirs.
    for (node, _) in &hospitals {
        let run = glm(&sandbox, "disease ~ sex", &["--nodes", node, "--family", "binomial"]);
        match *node {
            "zurich" => run.fails_with("E_MODEL_SEPARATION", "sex tells apart"),
            _ => drop(run.returns(0)),
        }
    }
}

#[test]
fn a_node_does_not_send_what_tells_of_a_few_people() {
    let plain = |_: usize, _: &mut [String; 8]| {};
    let few_women =
        |person: usize, cells: &mut [String; 8]| cells[1] = usize::from(!person.is_multiple_of(50)).to_string();
    let one_pays = |person: usize, cells: &mut [String; 8]| {
        cells[5] = if person % 200 < 5 { "6.5" } else { "0" }.to_owned();
    };
    let three_unknown = |person: usize, cells: &mut [String; 8]| {
        if person % 200 < 3 {
            cells[5].clear();
        }
    };
    let nodes = [
        ("a", made_up(0..200, plain)),
        ("b", made_up(200..400, few_women)),
        ("c", made_up(400..600, one_pays)),
        ("d", made_up(1000..1200, three_unknown)),
        ("e", made_up(1200..1400, three_unknown)),
        ("tiny", made_up(600..603, plain)),
    ];
    let sandbox = space(STATISTICAL, &nodes);
    let binomial = ["--family", "binomial"];
    // Three people: nobody has an answer, because not all take part, unless that was asked for.
    let run = glm(&sandbox, "disease ~ age", &binomial);
    assert_eq!(run.code(), 4, "{}", run.err());
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
    assert_eq!(run.code(), 3, "{}", run.err());
    assert_eq!(run.json()["n"], 1000);
    let refused = |formula: &str, nodes: &str, more: &[&str], what: &str| {
        let run = glm(&sandbox, formula, &[&["--nodes", nodes], &binomial[..], more].concat());
        assert_eq!(run.code(), 4, "{formula}: {}{}", run.out(), run.err());
        assert!(run.err().contains(what), "{formula}: {}", run.err());
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
        &["--where", "sex = 1"],
        "leave out too few people",
    );
    // Of three people oldpeak is not known: with it and without it would tell of these three.
    refused(
        "disease ~ age + thalach + oldpeak",
        "a,d",
        &[],
        "nearly the same people",
    );
    let complete = ["--nodes", "d,e", "--complete-cases", "oldpeak"];
    assert_eq!(glm(&sandbox, "thalach ~ sex", &complete).code(), 0);
    assert_eq!(glm(&sandbox, "thalach ~ sex + oldpeak", &["--nodes", "d,e"]).code(), 0);
}

#[test]
fn a_fit_and_an_answer_never_differ_by_a_few_people() {
    let three_unknown = |person: usize, cells: &mut [String; 8]| {
        if person % 200 < 3 {
            cells[5].clear();
        }
    };
    let people = |at: usize| made_up(at * 200..at * 200 + 200, three_unknown);
    let nodes = ["a", "b", "c", "d"].iter().enumerate();
    let nodes: Vec<_> = nodes.map(|(at, node)| (*node, people(at))).collect();
    let sandbox = space(STATISTICAL, &nodes);
    let sums = |nodes: &str, by: &str| {
        let sql = format!("SELECT count(age), sum(age) FROM heart WHERE node IN ({nodes}){by}");
        sandbox.ask(&sql)
    };
    let people = |answer: &Value| -> i64 {
        let rows = answer["rows"].as_array().unwrap();
        rows.iter().map(|row| row[0].as_i64().unwrap()).sum()
    };
    // An answer first: a model without three of its people would tell of these.
    assert_eq!(people(&sums("'a', 'b'", "")), 400);
    let run = glm(&sandbox, "thalach ~ age + oldpeak", &["--nodes", "a,b"]).returns(4);
    run.fails_with("E_MODEL_DISCLOSURE", "answer with age");
    glm(&sandbox, "thalach ~ age", &["--nodes", "a,b"]).returns(0);
    // A model first: the answer is about the people of the model.
    let more = ["--nodes", "c,d", "--format", "json"];
    let fitted = glm(&sandbox, "thalach ~ age + oldpeak + C(cp)", &more).returns(0);
    assert_eq!(fitted.json()["n"], 2 * 197);
    for by in ["", " GROUP BY cp"] {
        assert_eq!(people(&sums("'c', 'd'", by)), 2 * 197, "{by}");
    }
}

#[test]
fn a_node_does_not_send_sums_in_which_a_few_people_have_nearly_all_weight() {
    // Whoever is 52 or older is ill, but for some of the few who are nearly that age.
    let told = |person: usize, cells: &mut [String; 8]| {
        let is_near = person.is_multiple_of(50);
        let near = 51 + person / 50 % 2;
        let age: usize = match cells[0].parse().unwrap() {
            _ if is_near => near,
            age @ 45..52 => age - 10,
            age @ 52..59 => age + 10,
            age => age,
        };
        cells[0] = age.to_string();
        cells[6] = usize::from((age >= 52) != (is_near && person % 200 < 100)).to_string();
    };
    let without_error = |_: usize, cells: &mut [String; 8]| {
        cells[6] = usize::from(cells[0].parse::<usize>().unwrap() >= 52).to_string();
    };
    let nodes =
        |change: fn(usize, &mut [String; 8])| [("a", made_up(0..200, change)), ("b", made_up(200..400, change))];
    let binomial = ["--family", "binomial"];
    let refused = |run: Run| {
        assert_eq!(run.code(), 4, "{}{}", run.out(), run.err());
        assert!(run.err().contains("weight on too few people"), "{}", run.err());
    };
    let sandbox = space(STATISTICAL, &nodes(told));
    refused(glm(&sandbox, "disease ~ age", &binomial));
    let path = ["--family", "binomial", "--penalty", "ridge", "--lambdas", "0.000000001"];
    refused(glm(&sandbox, "disease ~ age", &path));
    // Where everything may be seen, it is fitted; and without a solution that is what is said.
    glm(&space(OPEN, &nodes(told)), "disease ~ age", &binomial).returns(0);
    glm(&space(OPEN, &nodes(without_error)), "disease ~ age", &binomial).fails_with("E_MODEL_SEPARATION", "age");
}

#[test]
fn rows_of_weight_0_are_none() {
    let weigh = |person: usize, cells: &mut [String; 8]| {
        cells[7] = if cells[1] == "0" {
            "0".to_owned()
        } else {
            (1 + person % 3).to_string()
        };
    };
    let few = |person: usize, cells: &mut [String; 8]| {
        cells[7] = if person.is_multiple_of(50) {
            "0"
        } else {
            cells[7].as_str()
        }
        .to_owned();
    };
    let nodes = [
        ("a", made_up(0..200, weigh)),
        ("b", made_up(200..400, weigh)),
        ("few", made_up(400..600, few)),
    ];
    let weighed = |nodes: &'static str| ["--weights", "trestbps", "--nodes", nodes, "--format", "json"];
    let sandbox = space(STATISTICAL, &nodes);
    let run = glm(&sandbox, "thalach ~ age", &weighed("a,few"));
    assert_eq!(run.code(), 4, "{}{}", run.out(), run.err());
    assert!(
        run.err().contains("the weight leaves out too few people"),
        "{}",
        run.err()
    );
    let with_zeros = glm(&sandbox, "thalach ~ age", &weighed("a,b")).returns(0).json();
    // The same as of those alone who have one.
    let sandbox = space(OPEN, &nodes);
    let without = [&weighed("a,b")[..], &["--where", "sex = 1"]].concat();
    let without = glm(&sandbox, "thalach ~ age", &without).returns(0).json();
    for name in ["n", "df_residual", "deviance", "aic", "dropped"] {
        let (with_zeros, without) = (with_zeros[name].as_f64().unwrap(), without[name].as_f64().unwrap());
        assert!(
            (with_zeros - without).abs() <= 1e-9 * without.abs(),
            "{name}: {with_zeros} {without}"
        );
    }
    assert!(
        without["n"].as_u64().is_some_and(|n| (100..300).contains(&n)),
        "{without}"
    );
}

#[test]
fn what_is_wrong_with_a_model_is_said_before_a_node_is_asked() {
    let plain = |_: usize, _: &mut [String; 8]| {};
    let sandbox = space(
        STATISTICAL,
        &[("a", made_up(0..200, plain)), ("b", made_up(200..400, plain))],
    );
    for (formula, more, code, what) in [
        ("disease ~ agee", &[][..], 2, "the nearest is age"),
        ("disease ~ age +", &[], 2, "^"),
        ("disease ~ person", &[], 2, "no column person"),
        ("disease ~ age", &["--family", "weibull"], 2, "negative-binomial"),
        ("age ~ sex", &["--family", "binomial"], 2, "true or false"),
        ("age ~ sex", &["--family", "negative-binomial"], 2, "theta"),
        ("disease ~ age", &["--nodes", "a,c"], 5, "c offers no heart"),
        ("disease ~ age", &["--where", "age >= 33"], 4, "age"),
        ("disease ~ age", &["--purpose", "ehds-53-1-a"], 4, "ehds-53-1-e"),
    ] {
        let dir = sandbox.dir();
        let mut words = vec![
            "glm",
            "--sandbox",
            dir.to_str().unwrap(),
            "--collection",
            "heart",
            "--formula",
            formula,
        ];
        if !more.contains(&"--purpose") {
            words.extend(["--purpose", "ehds-53-1-e"]);
        }
        let run = datenraum(words.iter().chain(more));
        assert_eq!(run.code(), code, "{formula} {more:?}: {}{}", run.out(), run.err());
        assert!(run.err().contains(what), "{formula} {more:?}: {}", run.err());
    }
    let run = datenraum([
        "glm",
        "--sandbox",
        sandbox.dir().to_str().unwrap(),
        "--collection",
        "hart",
        "--formula",
        "a ~ b",
    ]);
    assert!(run.code() == 2 && run.err().contains("heart"), "{}", run.err());
}

#[test]
fn coefficients_and_hazard_ratios_are_drawn_with_their_intervals() {
    let plain = |_: usize, _: &mut [String; 8]| {};
    let sandbox = space(
        STATISTICAL,
        &[("a", made_up(0..200, plain)), ("b", made_up(200..400, plain))],
    );
    let file = |name: &str| sandbox.place().join(name).to_str().unwrap().to_owned();
    let plot = |name: &str| ["--plot".to_owned(), file(name)];
    let words = |more: &[String]| [&["--family".to_owned(), "binomial".to_owned()], more].concat();
    let glm = |more: &[String]| {
        let words = words(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        glm(&sandbox, "disease ~ age + sex", &words)
    };
    glm(&plot("forest.pdf")).fails_with("E_CHART", "neither an SVG nor a PNG");
    glm(&plot("forest.png")).fails_with("E_CHART", "as SVG only");
    let lasso = ["--penalty", "lasso", "--lambdas", "0.1"].map(str::to_owned);
    let run = glm(&[&lasso[..], &plot("path.svg")].concat());
    assert!(
        run.code() == 2 && run.err().contains("cannot be used with"),
        "{}",
        run.err()
    );
    let dir = sandbox.dir();
    let audit = datenraum(["audit", "show", "--json", dir.join("nodes/a").to_str().unwrap()]);
    assert!(!audit.returns(0).out().contains("FIT glm"), "nobody was asked");

    let run = glm(&plot("forest.svg")).returns(0);
    assert!(run.err().contains("forest.svg"), "{}", run.err());
    let drawn = fs::read_to_string(file("forest.svg")).unwrap();
    for words in [
        "heart: disease ~ age + sex",
        "coefficient with 95% interval",
        "2 of 2 nodes answered",
        "heart-research",
    ] {
        assert!(drawn.contains(words), "no {words} in {drawn}");
    }
    assert!(!drawn.contains("(Intercept)"), "{drawn}");
    let formula = [
        "--formula",
        "Surv(age, disease) ~ sex + oldpeak",
        "--plot",
        &file("hazards.svg"),
    ];
    let about = ["--collection", "heart", "--purpose", "ehds-53-1-e", "--format", "json"];
    let cox = ["cox", "--sandbox", dir.to_str().unwrap()];
    let fit = datenraum(cox.iter().chain(&about).chain(&formula)).returns(0).json();
    let drawn = fs::read_to_string(file("hazards.svg")).unwrap();
    assert!(drawn.contains("hazard ratio with 95% interval"), "{drawn}");
    // What is drawn is what is told.
    let ratio = fit["terms"][1]["hazard_ratio"].as_f64().unwrap();
    assert!(drawn.contains(&format!("{ratio:.4}")), "{ratio} in {drawn}");
}

/// Time to death of people with AIDS: one row a person.
const SURVIVAL: &str = "id = \"aids\"\ntitle = \"AIDS\"\npersonal = true\nprivacy_unit = \"person\"\nrows_per_person_max = 1\n\
    [columns.person]\ntype = \"text\"\nrole = \"identifier\"\n\
    [columns.age]\ntype = \"integer\"\nrole = [\"measure\"]\nbounds = [0, 100]\n\
    [columns.sex]\ntype = \"text\"\nrole = [\"group\"]\nvalues = [\"F\", \"M\"]\n\
    [columns.days]\ntype = \"integer\"\nrole = [\"measure\"]\nbounds = [0, 3000]\n\
    [columns.died]\ntype = \"boolean\"\nrole = [\"group\"]\n";

#[test]
fn four_states_fit_the_cox_regression_of_r_with_each_as_a_stratum() {
    let Some(file) = shared("clinical/aids2_4states.csv") else {
        return;
    };
    let oracle = oracle("regression");
    let model = |id: &str| {
        oracle["models"]
            .as_array()
            .unwrap()
            .iter()
            .find(|model| model["id"] == id)
            .unwrap()
            .clone()
    };
    let text = fs::read_to_string(file).unwrap();
    let mut lines = text
        .lines()
        .map(|line| line.split(',').map(|cell| cell.trim_matches('"')).collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let at = |name: &str| names.iter().position(|known| *known == name).unwrap();
    let mut tables: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    for (row, line) in lines.enumerate() {
        let day = |name: &str| line[at(name)].parse::<i64>().unwrap();
        let node = format!("state-{}", line[at("state")].to_lowercase());
        let table = tables
            .entry(node)
            .or_insert_with(|| "person,age,sex,days,died\n".to_owned());
        let (days, died) = (day("death") - day("diag"), line[at("status")] == "D");
        let _ = writeln!(table, "p{row},{},{},{days},{died}", line[at("age")], line[at("sex")]);
    }
    let nodes: Vec<(&str, String)> = tables
        .iter()
        .map(|(node, table)| (node.as_str(), table.clone()))
        .collect();
    let policy = POLICY.replace("heart", "aids").replace(
        "\"age\", \"sex\", \"cp\", \"thalach\", \"exang\", \"oldpeak\", \"trestbps\", \"disease\", \"node\"",
        "\"age\", \"sex\", \"days\", \"died\", \"node\"",
    );
    let sandbox = space_of("aids", SURVIVAL, &policy, OPEN, &nodes);
    let dir = sandbox.dir();
    for ties in ["efron", "breslow"] {
        let formula = "Surv(days, died) ~ age + sex == \"M\"";
        let words = [
            "cox",
            "--sandbox",
            dir.to_str().unwrap(),
            "--collection",
            "aids",
            "--formula",
            formula,
        ];
        let more = ["--ties", ties, "--purpose", "ehds-53-1-e", "--format", "json"];
        let run = datenraum(words.iter().chain(&more));
        assert_eq!(run.code(), 0, "{}", run.err());
        let (fit, model) = (run.json(), model("aids_cox_strata_state"));
        let expected = &model["result"][ties];
        for (at, term) in fit["terms"].as_array().unwrap().iter().enumerate() {
            let of = |key: &str| expected[key][at].as_f64().unwrap();
            let (estimate, std_error) = (term["estimate"].as_f64().unwrap(), term["std_error"].as_f64().unwrap());
            assert!((estimate - of("coef")).abs() < 1e-8, "{ties} {term} for {}", of("coef"));
            assert!(
                (std_error / of("se") - 1.0).abs() < 1e-6,
                "{ties} {term} for {}",
                of("se")
            );
            assert!((term["hazard_ratio"].as_f64().unwrap().ln() - estimate).abs() < 1e-12);
        }
        assert_eq!((fit["n"].as_u64(), fit["events"].as_u64()), (Some(2843), Some(1761)));
    }
}
