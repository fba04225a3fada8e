//! Made-up people: where a data space is of them alone, where it is of both, and that it is said wherever they appear. And versions of
//! data: that an answer names its own, and that one that differs by too few people waits.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Run, Sandbox, datenraum, project};

const SPEC: &str = r#"
space       = "clinic"
board       = { members = 3, threshold = 2 }
collections = ["collections/stays.toml"]
policies    = ["policies/stays-statistics.toml"]

[[node]]
id       = "clinic-a"
roles    = ["hospital"]
datasets = [{ collection = "stays", synthetic = { people = 300, seed = 1 } }]

[[node]]
id       = "clinic-b"
roles    = ["hospital"]
datasets = [{ collection = "stays", OTHER }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]
"#;
const SYNTHETIC: &str = "synthetic = { people = 200, seed = 2 }";
const REAL: &str = "path = \"stays.csv\"";
const SQL: &str = "SELECT ward, count(*) AS stays FROM stays GROUP BY ward ORDER BY ward";

/// Forty stays of as many people, twenty in each of two wards.
fn stays(people: impl Iterator<Item = u32>) -> String {
    let lines: String = people
        .map(|person| format!("p{person},{},3\n", ["surgery", "medicine"][person as usize % 2]))
        .collect();
    format!("patient_id,ward,days\n{lines}")
}

fn with(other: &str) -> (Sandbox, Run) {
    let own = |path: &str| fs::read_to_string(project().join("examples/own").join(path)).unwrap();
    let (collection, policy) = (own("collections/stays.toml"), own("policies/stays-statistics.toml"));
    let policy = policy.replace("[\"ward\"", "[\"node\", \"ward\"");
    let (spec, rows) = (SPEC.replace("OTHER", other), stays(0..40));
    Sandbox::of(&[
        ("spec.toml", &spec),
        ("collections/stays.toml", &collection),
        ("policies/stays-statistics.toml", &policy),
        ("stays.csv", &rows),
    ])
}

fn dataset(words: &[&str], config: &Path) -> Run {
    let all = ["node", "dataset"].iter().chain(words);
    datenraum(all.chain(&["--config", config.to_str().unwrap()]))
}

fn counts(answer: &Value) -> u64 {
    answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[1].as_u64().unwrap())
        .sum()
}

#[test]
fn real_and_made_up_people_are_never_in_one_answer() {
    let (sandbox, run) = with(REAL);
    run.returns(0);
    let asked = ["--purpose", "ehds-53-1-e", "--format", "json"];
    let mixed = sandbox.query(SQL, &asked);
    assert!(mixed.out().is_empty(), "{}", mixed.out());
    mixed.fails_with(
        "E_MIXED",
        "the data of clinic-a are made up, and those of clinic-b are of real people",
    );
    let one = |node: &str| {
        sandbox
            .query(&SQL.replace("GROUP", &format!("WHERE node = '{node}' GROUP")), &asked)
            .returns(0)
            .json()
    };
    assert_eq!(counts(&one("clinic-b")), 40);
    assert!(one("clinic-b")["coverage"][0]["data"][0]["synthetic"].is_null());
    assert_eq!(one("clinic-a")["coverage"][0]["data"][0]["synthetic"], true);
    let shown = datenraum(["catalog", "show", "stays", "--sandbox", sandbox.dir().to_str().unwrap()])
        .returns(0)
        .out();
    assert!(
        shown.contains("clinic-a (synthetic), renewed") && shown.contains("clinic-b, renewed"),
        "{shown}"
    );
}

#[test]
fn a_data_space_of_made_up_people_alone_answers_and_says_so_everywhere() {
    let (sandbox, run) = with(SYNTHETIC);
    run.returns(0);
    let dir = sandbox.dir();
    let answer = sandbox.ask(SQL);
    assert!(counts(&answer) > 500, "{answer}");
    for node in answer["coverage"].as_array().unwrap() {
        assert_eq!(node["data"][0]["synthetic"], true, "{node}");
        assert_eq!(node["data"][0]["version"], 1, "{node}");
    }
    let told = sandbox.query(SQL, &["--purpose", "ehds-53-1-e"]).returns(0).out();
    assert!(told.contains("SYNTHETIC: all of it is of made-up people"), "{told}");
    assert!(told.contains("clinic-a, clinic-b"), "{told}");
    let chart = sandbox.place().join("stays.svg");
    sandbox
        .query(SQL, &["--purpose", "ehds-53-1-e", "--plot", chart.to_str().unwrap()])
        .returns(0);
    assert!(fs::read_to_string(chart).unwrap().contains("SYNTHETIC"));
    let catalog = |words: &[&str]| {
        datenraum(
            ["catalog"]
                .iter()
                .chain(words)
                .chain(&["--sandbox", dir.to_str().unwrap()]),
        )
        .returns(0)
        .out()
    };
    assert!(catalog(&["datasets"]).contains("(synthetic)"));
    let status = datenraum(["sandbox", "status", dir.to_str().unwrap()]).returns(0).out();
    assert!(status.contains("made up"), "{status}");
    let statements = fs::read_to_string(project().join("demo/catalog.toml")).unwrap();
    let file = sandbox.place().join("catalog.toml");
    fs::write(
        &file,
        statements.replace("[collection.lung-cancer]", "[collection.stays]"),
    )
    .unwrap();
    let exported = catalog(&["export", "--describe", file.to_str().unwrap()]);
    assert!(
        exported.contains("dataset-type/SYNTHETIC_DATA> ;\n\tdct:accessRights"),
        "{exported}"
    );
    assert!(!exported.contains("PERSONAL_DATA"), "{exported}");
}

#[test]
fn a_twin_is_made_of_the_definition_alone_and_published_like_any_file() {
    let (sandbox, run) = with(REAL);
    run.returns(0);
    let config = sandbox.dir().join("nodes/clinic-b/node.toml");
    let out = sandbox.place().join("twin.csv").to_str().unwrap().to_owned();
    let make = ["synthesize", "--collection", "stays", "--people", "50", "--out", &out];
    dataset(&["synthesize", "--collection", "stay", "--out", &out], &config)
        .fails_with("E_SQL_COLLECTION", "did you mean stays?");
    dataset(&make, &config).returns(0);
    dataset(&make, &config).fails_with("E_FILE_MISSING", "not there yet");
    let about = fs::read_to_string(format!("{out}.about.json")).unwrap();
    let about: Value = serde_json::from_str(&about).unwrap();
    assert_eq!(
        (&about["synthetic"], &about["margins"]),
        (&true.into(), &serde_json::json!([]))
    );
    let made = fs::read_to_string(&out).unwrap();
    assert!(
        made.lines()
            .skip(1)
            .all(|line| line.starts_with("synthetic-") && line.ends_with(",true")),
        "{made}"
    );
    let added = dataset(&["add", &out, "--collection", "stays"], &config)
        .returns(0)
        .out();
    assert!(added.contains("this is version 2, made-up people"), "{added}");
    let listed = dataset(&["list"], &config).returns(0).out();
    assert!(listed.contains("made up"), "{listed}");
}

#[test]
fn a_twin_with_margins_has_the_shares_that_were_released_and_no_others() {
    let (sandbox, run) = with(REAL);
    run.returns(0);
    let config = sandbox.dir().join("nodes/clinic-b/node.toml");
    let path = |name: &str| sandbox.place().join(name).to_str().unwrap().to_owned();
    // Of 200 real stays, 8 are in eye.
    let wards = (0..200).map(|person| match person {
        0..150 => "surgery",
        150..192 => "medicine",
        _ => "eye",
    });
    let rows: String = (0..)
        .zip(wards)
        .map(|(person, ward)| format!("q{person},{ward},{}\n", person % 9))
        .collect();
    fs::write(path("real.csv"), format!("patient_id,ward,days\n{rows}")).unwrap();
    dataset(&["add", &path("real.csv"), "--collection", "stays"], &config).returns(0);
    let restarted = || {
        sandbox.down().returns(0);
        sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
    };
    restarted();
    let saved = |sql: &str, name: &str| {
        sandbox
            .query(sql, &["--purpose", "ehds-53-1-e", "--output", &path(name)])
            .returns(0);
        path(name)
    };
    let of = |condition: &str| SQL.replace("GROUP", &format!("WHERE node = 'clinic-b'{condition} GROUP"));
    // Eye is not asked for: it is as where it has too few people.
    let big = of(" AND ward IN ('surgery', 'medicine')");
    let files = ["ward.json", "ward.csv", "ward.arrow", "ward.parquet"].map(|name| saved(&big, name));
    let all_stays = saved("SELECT count(*) AS n FROM stays WHERE node = 'clinic-b'", "all.json");
    let make = |more: &[&str], out: &str| {
        let words = [
            "synthesize",
            "--collection",
            "stays",
            "--people",
            "3000",
            "--seed",
            "4",
            "--out",
        ];
        dataset(&[&words[..], &[out], more].concat(), &config)
    };
    make(&["--margins", &path("real.csv")], &path("refused.csv")).fails_with("E_MARGINS", "tells people");
    assert!(!Path::new(&path("refused.csv")).exists());
    let twins = files.clone().map(|file| {
        let out = format!("{file}.twin.csv");
        let told = make(&["--margins", &file], &out).returns(0).out();
        assert!(
            told.contains("what is not listed does not come: eye, missing"),
            "{told}"
        );
        fs::read_to_string(out).unwrap()
    });
    assert!(twins.iter().all(|twin| *twin == twins[0]));
    let about = fs::read_to_string(format!("{}.twin.csv.about.json", files[0])).unwrap();
    let about: Value = serde_json::from_str(&about).unwrap();
    let margin = &about["margins"][0];
    assert_eq!(
        (&margin["file"], &margin["released"]),
        (&"ward.json".into(), &192.into())
    );
    assert!(
        about["how"].as_str().unwrap().contains("nobody whom a row is about"),
        "{about}"
    );
    dataset(
        &["add", &format!("{}.twin.csv", files[0]), "--collection", "stays"],
        &config,
    )
    .returns(0);
    restarted();
    let answer = sandbox.ask(&of(""));
    assert_eq!(answer["coverage"][0]["data"][0]["synthetic"], true, "{answer}");
    let count = |ward: &str| {
        let rows = answer["rows"].as_array().unwrap().iter();
        rows.filter(|row| row[0] == ward)
            .map(|row| row[1].as_f64().unwrap())
            .sum::<f64>()
    };
    let all = counts(&answer) as f64;
    let (share, found) = (150.0 / 192.0, count("surgery") / all);
    let allowed = 5.0 * (share * (1.0 - share) / all).sqrt();
    // An even share, and that of all real stays, are outside.
    assert!(
        (found - share).abs() <= allowed && allowed < share - 0.75,
        "{found} and {share} ± {allowed}"
    );
    assert_eq!(count("eye"), 0.0, "{answer}");
    // With the number of all stays, what is left of it is spread evenly over what is not listed: half the real share of eye.
    let out = path("third.csv");
    let told = make(&["--margins", &files[0], "--margins", &all_stays], &out)
        .returns(0)
        .out();
    assert!(
        told.contains("8 rows are spread evenly over what is not listed: eye, missing"),
        "{told}"
    );
    let twin = fs::read_to_string(out).unwrap();
    let all = twin.lines().count() as f64 - 1.0;
    let found = twin.lines().filter(|line| line.contains(",eye,")).count() as f64 / all;
    let allowed = 5.0 * (0.02_f64 * 0.98 / all).sqrt();
    assert!(
        (found - 0.02).abs() <= allowed && allowed < 0.04 - 0.02,
        "{found} ± {allowed}"
    );
    // What a twin answers makes no other.
    let again = saved(&of(""), "again.json");
    make(&["--margins", &again], &path("again.csv")).fails_with("E_MARGINS", "made up themselves");
}

#[test]
fn an_answer_names_its_version_and_one_that_differs_by_too_few_people_waits() {
    let (sandbox, run) = with(REAL);
    run.returns(0);
    let config = sandbox.dir().join("nodes/clinic-b/node.toml");
    let sql = SQL.replace("GROUP", "WHERE node = 'clinic-b' GROUP");
    let first = sandbox.ask(&sql);
    let data = &first["coverage"][0]["data"][0];
    assert_eq!(
        (&data["collection"], &data["version"]),
        (&"stays".into(), &1.into()),
        "{data}"
    );
    let add = |people: Vec<u32>| {
        let file = sandbox.place().join("next.csv");
        fs::write(&file, stays(people.into_iter())).unwrap();
        dataset(&["add", file.to_str().unwrap(), "--collection", "stays"], &config)
            .returns(0)
            .out()
    };
    let file = sandbox.place().join("foreseen.csv");
    fs::write(&file, stays(1..40)).unwrap();
    let foresee = |more: &[&str]| {
        let words = ["add", file.to_str().unwrap(), "--collection", "stays", "--dry-run"];
        dataset(&[&words, more].concat(), &config).returns(0)
    };
    let foreseen = foresee(&[]).out();
    assert!(
        foreseen.contains("it would be, and wait: 1 person differs from the version in force, and 3 must"),
        "{foreseen}"
    );
    assert_eq!(foresee(&["--json"]).json()["pending"]["people_that_differ"], 1);
    let waits = add((1..40).collect());
    assert!(
        waits.contains("and waits: 1 person differs from the version in force, and 3 must"),
        "{waits}"
    );
    let listed = dataset(&["list"], &config).returns(0).out();
    assert!(
        listed.contains("a newer version of stays waits: 1 person differs"),
        "{listed}"
    );
    let taken = add((1..46).collect());
    assert!(taken.contains("this is version 2"), "{taken}");
    let listed = dataset(&["list", "--json"], &config).returns(0).json();
    assert_eq!(
        (&listed[0]["data"]["version"], &listed[0]["pending"]),
        (&2.into(), &Value::Null)
    );
    let place = sandbox.place().join("spec.toml");
    sandbox.down().returns(0);
    sandbox.up_again(&place).returns(0);
    let second = sandbox.ask(&sql);
    let now = &second["coverage"][0]["data"][0];
    assert_eq!(now["version"], 2, "{second}");
    assert_ne!(now["digest"], data["digest"]);
}
