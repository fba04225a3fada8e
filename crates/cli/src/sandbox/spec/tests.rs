//! A sandbox file that asks for something impossible is refused by name and line.

use std::path::PathBuf;

use super::*;

const GOOD: &str = r#"space = "oncology"
board = { members = 3, threshold = 2 }
collections = ["collections/breast-cancer.toml"]
policies = ["policies/research.toml"]

[[node]]
id = "gbsg"
roles = ["hospital"]
datasets = [{ collection = "breast-cancer", path = "gbsg.csv" }]

[[person]]
id = "ada"
member = "university"
roles = ["university"]

[[person]]
id = "bo"
member = "university"
roles = ["registry"]
"#;

fn load(text: &str) -> Result<Spec, Report> {
    let folder = tempfile::tempdir().unwrap();
    for file in ["collections/breast-cancer.toml", "policies/research.toml", "gbsg.csv"] {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }
    let path = folder.path().join("spec.toml");
    std::fs::write(&path, text).unwrap();
    Spec::load(&path)
}

fn refusal(from: &str, to: &str) -> Report {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "{from} is not in the sample");
    load(&text).unwrap_err()
}

#[track_caller]
fn assert_refused(from: &str, to: &str, problem: Problem, words: &str) {
    let report = refusal(from, to);
    assert_eq!(report.problem, problem, "{report}");
    assert!(report.message.contains(words), "{report}");
    assert!(!report.message.contains('\n'), "{report}");
}

#[test]
fn an_unknown_key_names_the_line_and_the_nearest_key() {
    let report = refusal("datasets =", "dataset =");
    assert_eq!(report.problem, Problem::FileKey);
    assert!(
        report.message.contains("spec.toml, line 9: unknown field `dataset`"),
        "{report}"
    );
    assert_eq!(report.remedy, "did you mean `datasets`?");
    let report = refusal("threshold", "treshold");
    assert!(report.message.contains("line 2"), "{report}");
    assert_eq!(report.remedy, "did you mean `threshold`?");
}

#[test]
fn a_wrong_type_and_a_wrong_id_name_the_line() {
    assert_refused("threshold = 2", "threshold = \"two\"", Problem::FileValue, "line 2");
    assert_refused("\"gbsg\"", "\"GBSG\"", Problem::FileValue, "line 7");
    assert_refused("space = \"oncology\"\n", "", Problem::FileKey, "missing field `space`");
}

#[test]
fn a_board_that_cannot_sign_is_refused() {
    assert_refused(
        "threshold = 2",
        "threshold = 4",
        Problem::FileValue,
        "4 signatures of 3 board members",
    );
    assert_refused("threshold = 2", "threshold = 0", Problem::FileValue, "line 2");
    assert_refused("members = 3", "members = 0", Problem::FileValue, "1 to 100 members");
}

#[test]
fn files_that_are_not_there_are_named() {
    assert_refused(
        "\"gbsg.csv\"",
        "\"other.csv\"",
        Problem::FileMissing,
        "line 9: there is no file",
    );
    assert_refused(
        "policies/research.toml",
        "policies/other.toml",
        Problem::FileMissing,
        "policies/other.toml",
    );
    assert_refused(
        "collections/breast-cancer.toml",
        "collections/Breast.toml",
        Problem::FileValue,
        "line 3",
    );
    assert_eq!(
        Spec::load(&PathBuf::from("/nowhere/spec.toml")).unwrap_err().problem,
        Problem::FileMissing
    );
}

#[test]
fn what_is_there_twice_is_refused() {
    let node = "[[node]]\nid = \"gbsg\"\nroles = []\n\n[[person]]";
    assert_refused(
        "[[person]]",
        node,
        Problem::FileValue,
        "line 12: two nodes are called gbsg",
    );
    assert_refused(
        "id = \"bo\"",
        "id = \"ada\"",
        Problem::FileValue,
        "two people are called ada",
    );
    let members = "[[member]]\nid = \"a\"\n[[member]]\nid = \"a\"\n[[person]]";
    assert_refused("[[person]]", members, Problem::FileValue, "two members are called a");
    let sets = "{ collection = \"breast-cancer\", path = \"gbsg.csv\" }";
    assert_refused(
        sets,
        &format!("{sets}, {sets}"),
        Problem::FileValue,
        "offers breast-cancer twice",
    );
    assert_refused(
        "[\"policies/research.toml\"]",
        "[\"policies/research.toml\", \"policies/research.toml\"]",
        Problem::FileValue,
        "two files research.toml",
    );
}

#[test]
fn a_dataset_of_an_unknown_collection_names_the_nearest_one() {
    let report = refusal("collection = \"breast-cancer\"", "collection = \"brest-cancer\"");
    assert_eq!(report.remedy, "did you mean \"breast-cancer\"?");
    assert!(report.message.contains("node gbsg offers brest-cancer"), "{report}");
}

#[test]
fn a_node_is_needed_and_is_no_place_for_people() {
    assert_refused(
        "member = \"university\"",
        "member = \"gbsg\"",
        Problem::FileValue,
        "the member gbsg of ada is a node",
    );
    let member = "[[member]]\nid = \"gbsg\"\n[[person]]";
    assert_refused("[[person]]", member, Problem::FileValue, "gbsg is a node");
    let (head, _) = GOOD.split_once("[[node]]").unwrap();
    assert!(load(head).unwrap_err().message.contains("at least one [[node]]"));
}

#[test]
fn an_institution_has_the_roles_of_all_its_people() {
    let spec = load(GOOD).unwrap();
    let university = spec.members.get(&"university".parse().unwrap()).unwrap();
    let roles: Vec<_> = university.roles.iter().map(RoleName::as_str).collect();
    assert_eq!(roles, ["registry", "university"]);
    assert_eq!(
        spec.files.keys().collect::<Vec<_>>(),
        ["collections/breast-cancer.toml", "policies/research.toml"]
    );
}

#[test]
fn another_text_is_another_sandbox_and_another_place_is_not() {
    let print = |text: &str| load(text).unwrap().fingerprint;
    assert_eq!(print(GOOD), print(GOOD));
    assert_ne!(print(GOOD), print(&GOOD.replace("threshold = 2", "threshold = 3")));
}

#[test]
fn the_files_that_are_shipped_are_specifications() {
    for file in ["demo/oncology.toml", "examples/open/measles.toml"] {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(file);
        let spec = Spec::load(&path).unwrap();
        assert!(!spec.nodes.is_empty() && spec.people.len() == 1, "{file}");
    }
}
