//! What catalogues of others are told. Whether it is right RDF, an independent validator says: tests/clients/dcat_shacl.py.

use std::fs;

use super::{Run, Sandbox, datenraum, project};

fn export(sandbox: &Sandbox, statements: &str, words: &[&str]) -> Run {
    let file = sandbox.place().join("catalog.toml");
    fs::write(&file, statements).unwrap();
    let place = ["catalog", "export", "--describe", file.to_str().unwrap()];
    datenraum(place.iter().chain(words))
}

#[test]
fn what_is_missing_is_named_and_what_is_told_is_what_is_open() {
    let sandbox = Sandbox::up(&project().join("demo/oncology.toml"));
    let dir = sandbox.dir();
    let (person, node) = (["--sandbox", dir.to_str().unwrap()], dir.join("nodes/gbsg/node.toml"));
    let operator = ["--config", node.to_str().unwrap()];
    let statements = fs::read_to_string(project().join("demo/catalog.toml")).unwrap();

    datenraum(["catalog", "export", "--describe", "/nowhere.toml", person[0], person[1]])
        .fails_with("E_FILE_MISSING", "/nowhere.toml");
    let without = statements.replace("[collection.lung-cancer]", "[collection.other]");
    export(&sandbox, &without, &person).fails_with("E_FILE_KEY", "collection.lung-cancer.description: is not said");
    let with_count = statements.replace("trusted  = false", "trusted  = false\nrecords = 686");
    export(&sandbox, &with_count, &operator).fails_with("E_FILE_SYNTAX", "unknown field `records`");

    let all = export(&sandbox, &statements, &person).returns(0);
    assert!(all.err().contains("[collection.lung-cancer.quality]"), "{}", all.err());
    let all = all.out();
    for told in [
        "dataset/gbsg/breast-cancer",
        "dataset/ncctg-33/lung-cancer",
        "NON_PUBLIC",
        "column-age",
    ] {
        assert!(all.contains(told), "no {told} in {all}");
    }
    // Any digits can be among those of a time.
    let timeless: String = all.lines().filter(|line| !line.contains("xsd:dateTime")).collect();
    for secret in ["686", "2982", "patient_id", "numberOf"] {
        assert!(!timeless.contains(secret), "{secret} in {all}");
    }
    let one = export(&sandbox, &statements, &["lung-cancer", person[0], person[1]])
        .returns(0)
        .out();
    assert!(!one.contains("breast-cancer"), "{one}");
    let own = export(&sandbox, &statements, &operator).returns(0).out();
    assert!(
        own.contains("dataset/gbsg/breast-cancer") && !own.contains("ncctg"),
        "{own}"
    );
}
