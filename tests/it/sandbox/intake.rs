//! A new operator's afternoon: what a German hospital exports, in an answer after five commands.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use super::{Sandbox, datenraum};

const SPEC: &str = include_str!("../../../examples/own/spec.toml");
const COLLECTION: &str = r#"
id           = "stays"
title        = "Hospital stays"
personal     = true
privacy_unit = "patient_id"

[columns.patient_id]
type = "text"
role = "identifier"

[columns.ward]
type   = "text"
role   = ["group", "filter"]
values = ["surgery", "medicine", "eye"]

[columns.days]
type   = "integer"
unit   = "d"
role   = ["measure"]
bounds = [0, 365]

[columns.haemoglobin]
type   = "number"
unit   = "mmol/L"
role   = ["measure"]
bounds = [0, 30]

[columns.admitted_on]
type   = "date"
role   = ["group"]
bins   = "year"
"#;
const POLICY: &str = include_str!("../../../examples/own/policies/stays-statistics.toml");
const HEADER: &str = "Patienten-ID;Station;Tage;Hb (g/dL);Aufnahmedatum\r\n";
const CODES: &str = "from,to\nChirurgie,surgery\nInnere,medicine\nAugen,eye\n";

/// Sixty stays in windows-1252: thirty in surgery, twenty-eight in medicine, two in the eye clinic; haemoglobin 12,5 and 14,5 g/dL.
fn export() -> Vec<u8> {
    let mut text = HEADER.to_owned();
    for row in 0..60 {
        let ward = if row < 30 {
            "Chirurgie"
        } else if row < 58 {
            "Innere"
        } else {
            "Augen"
        };
        let hb = if row % 2 == 0 { "12,5" } else { "14,5" };
        let days = if row == 7 {
            "k.A.".to_owned()
        } else {
            (row % 9).to_string()
        };
        let year = if row % 3 == 0 { 2023 } else { 2024 };
        let _ = write!(text, "Köln-{row};{ward};{days};{hb};3{}.12.{year}\r\n", row % 2);
    }
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

#[test]
fn a_german_export_is_in_an_answer_after_five_commands() {
    let policy = POLICY.replace("\"days\"]", "\"days\", \"haemoglobin\", \"admitted_on\"]");
    let plain = "patient_id,ward,days,haemoglobin,admitted_on\n";
    let files = [
        ("spec.toml", SPEC),
        ("collections/stays.toml", COLLECTION),
        ("policies/stays-statistics.toml", &policy),
        ("stays.csv", plain),
    ];
    let (sandbox, run) = Sandbox::of(&files);
    run.returns(0);
    let (place, node) = (sandbox.place().to_owned(), sandbox.dir().join("nodes/clinic-a"));
    let config = node.join("node.toml").to_str().unwrap().to_owned();
    sandbox.down().returns(0);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("refresh_seconds = 30", "refresh_seconds = 1")).unwrap();
    sandbox.up_again(&place.join("spec.toml")).returns(0);
    fs::write(place.join("export.csv"), export()).unwrap();
    fs::write(place.join("wards.csv"), CODES).unwrap();
    let [export, mapping, report] =
        ["export.csv", "mapping.toml", "profile.html"].map(|name| place.join(name).to_str().unwrap().to_owned());
    let add = |words: &[&str]| {
        let all = [
            "node",
            "dataset",
            "add",
            &export,
            "--collection",
            "stays",
            "--config",
            &config,
        ];
        datenraum(all.iter().chain(words).copied())
    };

    // As it is the file is refused, with a way on that is the first command.
    let refused = add(&[]);
    assert!(!refused.err().contains("Köln"), "{}", refused.err());
    refused.fails_with("E_DATA_SCHEMA", "begin with --guess");
    let guessed = add(&["--guess", &mapping]).returns(0).out();
    for guess in [
        "encoding = \"windows-1252\"",
        "decimal = \",\"",
        "date = \"%d.%m.%Y\"",
        "missing = [\"k.A.\"]",
        "from = \"Hb (g/dL)\"",
        "look at ward: 3 kinds of values",
    ] {
        assert!(guessed.contains(guess), "{guess}: {guessed}");
    }
    assert!(!guessed.contains("Köln") && !guessed.contains("Chirurgie"), "{guessed}");
    add(&["--guess", &mapping]).fails_with("E_FILE_MISSING", "not there yet");
    add(&["--mapping", &mapping, "--dry-run"]).fails_with("E_DATA_FORMAT", "row 2, column ward: another text");

    // The operator says what the wards are, and brings haemoglobin from g/dL to mmol/L.
    let text = fs::read_to_string(&mapping).unwrap();
    let text = text.replace("[columns.ward]\n", "[columns.ward]\ncodes_file = \"wards.csv\"\n");
    let text = text.replace("[columns.haemoglobin]\n", "[columns.haemoglobin]\ntimes = 0.6206\n");
    fs::write(&mapping, text).unwrap();
    let shown = add(&["--mapping", &mapping, "--dry-run", "--report", &report])
        .returns(0)
        .out();
    assert!(
        shown.contains("60 rows of 60 people") && shown.contains("1 of 3"),
        "{shown}"
    );
    let page = fs::read_to_string(&report).unwrap();
    assert!(page.contains("Hospital") || page.contains("Profile of stays"));
    assert!(!page.contains("Köln") && page.contains("too few people"), "{page}");
    let nobody = sandbox.ask("SELECT count(*) AS stays FROM stays")["rows"].to_string();
    assert!(!nobody.contains("60"), "{nobody}");

    add(&["--mapping", &mapping]).returns(0);
    // The node takes it up while it runs.
    let sql = "SELECT ward, count(*) AS stays, avg(haemoglobin) AS hb FROM stays GROUP BY ward ORDER BY ward";
    let begun = Instant::now();
    let answer = loop {
        let answer = sandbox.ask(sql)["rows"].to_string();
        if answer.contains("30") {
            break answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{answer}");
        std::thread::sleep(Duration::from_millis(300));
    };
    // 13,5 g/dL are 8.378 mmol/L.
    assert!(answer.contains("30") && answer.contains("8.378"), "{answer}");
}
