//! What a person finds in the catalogue of the demonstration's data space.

use super::{Run, Sandbox, datenraum, project};

fn catalog(sandbox: &Sandbox, words: &[&str]) -> Run {
    let dir = sandbox.dir();
    let place = ["--sandbox", dir.to_str().unwrap()];
    datenraum(["catalog"].iter().chain(words).chain(&place))
}

#[test]
fn collections_are_found_by_a_word_with_what_is_open_and_what_is_not() {
    let sandbox = Sandbox::up(&project().join("demo/oncology.toml"));
    catalog(&sandbox, &["show", "breast-cancers"])
        .returns(2)
        .fails_with("E_SQL_COLLECTION", "no collection breast-cancers");

    let all = catalog(&sandbox, &["datasets", "--json"]).returns(0).json();
    let ids: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["collection"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["breast-cancer", "lung-cancer"]);
    let found = catalog(&sandbox, &["datasets", "LOINC.org", "--json"])
        .returns(0)
        .json();
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["collection"], "lung-cancer");
    let nothing = catalog(&sandbox, &["datasets", "weather"]).returns(0).out();
    assert!(nothing.contains("no collection speaks of \"weather\""), "{nothing}");

    // By its name in SQL too.
    let shown = catalog(&sandbox, &["show", "breast_cancer", "--json"])
        .returns(0)
        .json();
    assert_eq!(shown["collection"], "breast-cancer");
    assert!(
        shown["datasets"].as_array().unwrap().len() >= 2,
        "{}",
        shown["datasets"]
    );
    let column = |name: &str| {
        let columns = shown["columns"].as_array().unwrap().iter();
        columns
            .into_iter()
            .find(|column| column["name"] == name)
            .unwrap()
            .clone()
    };
    let age = column("age");
    assert_eq!(
        (&age["type"], &age["unit"], &age["open_to_you"]),
        (&"integer".into(), &"a".into(), &true.into())
    );
    assert!(
        age["domain"].as_str().unwrap().starts_with("bin edges "),
        "{}",
        age["domain"]
    );
    assert_eq!(column("grade")["code"], "http://snomed.info/sct|371469007");
    let person = column("patient_id");
    assert_eq!(
        (&person["roles"][0], &person["open_to_you"]),
        (&"identifier".into(), &false.into())
    );
}

#[test]
fn the_example_that_is_shown_can_be_asked_and_the_table_of_who_may_is_the_boards() {
    let sandbox = Sandbox::up(&project().join("demo/oncology.toml"));
    let shown = catalog(&sandbox, &["show", "breast-cancer"]).returns(0).out();
    let example = shown.lines().find(|line| line.starts_with("datenraum query")).unwrap();
    let sql = example.split('"').nth(1).unwrap();
    let purpose = example.split_whitespace().nth(3).unwrap();
    let answer = sandbox
        .query(sql, &["--purpose", purpose, "--format", "json"])
        .returns(0)
        .json();
    assert!(!answer["rows"].as_array().unwrap().is_empty(), "{sql}");

    let board = datenraum(
        ["board", "matrix", "lung-cancer-research", "--lang", "de", "--dir"]
            .iter()
            .map(Into::into)
            .chain([project().join("policies/oncology").into_os_string()]),
    );
    let board = board.returns(0).out();
    let who = catalog(&sandbox, &["who", "lung-cancer", "--lang", "de"])
        .returns(0)
        .out();
    let who_gets_what = |page: &str| page[page.find("WER BEKOMMT WAS").unwrap()..].trim().to_owned();
    assert_eq!(who_gets_what(&who), who_gets_what(&board));
    let spaces = catalog(&sandbox, &["spaces", "--json"]).returns(0).json();
    assert_eq!(
        (&spaces[0]["collections"], &spaces[0]["open_to_you"]),
        (&2.into(), &2.into())
    );
}

#[test]
fn a_collection_that_no_policy_opens_is_shown_as_closed_and_says_whom_to_ask() {
    let mut files = super::receipts::FILES.to_vec();
    let spec = files[0].1.replace(
        "[\"collections/stays.toml\"]",
        "[\"collections/stays.toml\", \"collections/rooms.toml\"]",
    );
    files[0].1 = &spec;
    let rooms =
        "id = \"rooms\"\ntitle = \"Rooms\"\npersonal = false\n[columns.beds]\ntype = \"integer\"\nrole = \"measure\"\n";
    files.push(("collections/rooms.toml", rooms));
    let (sandbox, run) = Sandbox::of(&files);
    run.returns(0);
    catalog(&sandbox, &["who", "rooms"])
        .returns(4)
        .fails_with("E_NO_PERMISSION", "no policy opens rooms to anybody");
    let shown = catalog(&sandbox, &["show", "rooms"]).returns(0).out();
    assert!(shown.contains("not open to you"), "{shown}");
    assert!(!shown.contains("datenraum query"), "{shown}");
}
