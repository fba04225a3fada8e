//! What an export must say, and that nothing of it is skipped on the way back.

mod generated;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use terms::Problem;
use trust::Digest;

use super::{export, import, parse};
use crate::Rules;
use crate::example::{BEDS_POLICY, Files, POLICY};
use crate::rule::{Permission, Policy, Prohibition};

/// Whatever a file may say about data without people, and a prohibition that names one thing only.
const OPEN: &str = r#"
id          = "beds-open"
version     = 9
title       = 'Beds "at night" \ # no = secret'
collection  = "beds"
valid_from  = 2026-01-01
valid_until = 9999-12-31

[[permission]]
id         = "nobody"
assignee   = { members = ["gbsg"] }
purposes   = ["ehds-53-1-f"]
permit     = "none"
release    = "rows"
columns    = []
disclosure = { tier = "open", queries = { per_week = 1 } }

[[prohibition]]
id      = "columns"
columns = ["node"]

[[prohibition]]
id   = "nights"
when = [{ days = ["mon", "sun"], from = 22:00:00, until = 06:00:00, zone = "UTC" }]

[[prohibition]]
id      = "rows"
release = "rows"
"#;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/odrl.md")
}

/// The first block of a language on the page.
fn block<'a>(page: &'a str, language: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```\n").unwrap().0
}

/// The example of the page: a policy that uses every key that rules about people can have.
fn example() -> String {
    block(&std::fs::read_to_string(page()).unwrap(), "toml").to_owned()
}

fn read(files: &Files) -> Rules {
    let rules = Rules::compile_files(7, Digest::of(b"targets"), &files.0);
    rules.unwrap_or_else(|report| panic!("{report}: {}", report.remedy))
}

/// A data space whose policy of this id has this text.
fn space(id: &str, text: &str) -> Rules {
    read(&Files::new().put(&format!("policies/{id}.toml"), text))
}

fn exported(text: &str) -> Value {
    let head = text.lines().find(|line| line.starts_with("id")).unwrap();
    let id = head.split('"').nth(1).unwrap();
    export(&space(id, text), &id.parse().unwrap()).unwrap()
}

/// All that a compiled policy says but the lines and the digest of its file.
fn says(policy: &Policy) -> String {
    let Policy {
        id,
        version,
        title,
        path,
        validity_line: _,
        digest: _,
        collection,
        valid_from,
        valid_until,
        duties,
        permissions,
        prohibitions,
    } = policy;
    let permissions: Vec<String> = permissions.iter().map(|rule| permits(rule)).collect();
    let prohibitions: Vec<String> = prohibitions.iter().map(prohibits).collect();
    format!(
        "{id} {version} {title:?} {path} {collection:?} {valid_from} {valid_until} {duties:?} {permissions:?} {prohibitions:?}"
    )
}

fn permits(permission: &Permission) -> String {
    let Permission {
        id,
        lines: _,
        assignee,
        purposes,
        permit_required,
        release,
        columns,
        rows,
        transforms,
        windows,
        disclosure,
        models,
        duties,
    } = permission;
    format!(
        "{id} {assignee:?} {purposes:?} {permit_required} {release} {columns:?} {rows:?} {transforms:?} {windows:?} {disclosure:?} \
         {models:?} {duties:?}"
    )
}

fn prohibits(prohibition: &Prohibition) -> String {
    let Prohibition {
        id,
        line: _,
        assignee,
        purposes,
        release,
        columns,
        windows,
    } = prohibition;
    format!("{id} {assignee:?} {purposes:?} {release:?} {columns:?} {windows:?}")
}

/// Compile, export, to bytes, from bytes, import, compile: every policy of the data space says the same again.
fn require_round_trip(files: &Files) {
    let rules = read(files);
    assert!(rules.policies().next().is_some());
    for summary in rules.policies() {
        let bytes = serde_json::to_vec(&export(&rules, &summary.id).unwrap()).unwrap();
        let text = import(&parse(&bytes).unwrap()).unwrap_or_else(|report| panic!("{report}"));
        let path = format!("policies/{}.toml", summary.id);
        let again = read(&files.clone().put(&path, &text));
        let (before, after) = (rules.policy(&summary.id).unwrap(), again.policy(&summary.id).unwrap());
        assert_eq!(says(before), says(after), "{text}");
    }
}

fn refused(odrl: &Value) -> terms::Report {
    match import(odrl) {
        Ok(text) => panic!("it was read as {text}"),
        Err(report) => report,
    }
}

#[test]
fn a_policy_that_is_not_there_has_no_export() {
    assert_eq!(export(&Files::new().rules(), &"other".parse().unwrap()), None);
}

#[test]
fn an_unknown_purpose_is_refused_by_its_path() {
    let mut odrl = exported(POLICY);
    odrl["permission"][0]["constraint"][0]["rightOperand"]["@list"][0]["@id"] = json!("dr:ehds-53-1-g");
    let report = refused(&odrl);
    assert_eq!(report.problem, Problem::FileValue);
    let path = "$.permission[0].constraint[0].rightOperand.@list[0]";
    assert!(report.message.starts_with(path), "{report}");
    assert!(report.message.contains("unknown purpose"), "{report}");
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    let text = serde_json::to_string(&exported(POLICY)).unwrap();
    let twice = text.replacen("\"uid\":", "\"uid\":\"urn:other\",\"uid\":", 1);
    let report = parse(twice.as_bytes()).unwrap_err();
    assert_eq!(report.problem, Problem::FileKey);
    assert!(report.message.contains("member \"uid\" is there twice"), "{report}");
}

#[test]
fn a_second_id_under_another_name_is_refused() {
    let mut odrl = exported(POLICY);
    odrl["@id"] = odrl["uid"].clone();
    let report = refused(&odrl);
    assert_eq!(report.problem, Problem::FileKey);
    assert!(report.message.starts_with("$.@id is nothing"), "{report}");
}

#[test]
fn a_second_transform_of_a_column_is_refused() {
    let mut odrl = exported(&example());
    let how = &mut odrl["permission"][0]["action"][0]["refinement"];
    let first = how
        .as_array()
        .unwrap()
        .iter()
        .position(|one| one["leftOperand"] == "dr:transform");
    let first = first.unwrap();
    let mut second = how[first].clone();
    second["rightOperand"]["dr:shownAs"]["@id"] = json!("dr:null");
    how.as_array_mut().unwrap().insert(first + 1, second);
    let report = refused(&odrl);
    let path = "$.permission[0].action[0].refinement";
    assert!(report.message.starts_with(path), "{report}");
}

#[test]
fn a_column_cannot_end_its_own_name_and_go_on_as_a_key() {
    let mut odrl = exported(&example());
    let text = odrl.to_string().replace("\"age\"", "\"age\\n'''\\\"\\\"\\\" = 1, x\"");
    odrl = parse(text.as_bytes()).unwrap();
    let text = import(&odrl).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let rule = table["permission"].as_array().unwrap()[0].as_table().unwrap();
    let transforms = rule["transforms"].as_table().unwrap();
    assert!(transforms.contains_key("age\n'''\"\"\" = 1, x"), "{text}");
}

#[test]
fn two_rules_of_one_id_are_refused() {
    let mut odrl = exported(POLICY);
    let rule = odrl["permission"][0].clone();
    odrl["permission"].as_array_mut().unwrap().push(rule);
    let report = refused(&odrl);
    assert!(report.message.starts_with("$.permission[1].uid"), "{report}");
}

#[test]
fn a_rule_about_another_data_space_is_refused() {
    for path in ["uid", "assigner", "dr:collection"] {
        let mut odrl = exported(POLICY);
        odrl[path] = json!(odrl[path].as_str().unwrap().replacen(":oncology:", ":neurology:", 1));
        assert_eq!(refused(&odrl).problem, Problem::FileValue, "{path}");
    }
    let mut odrl = exported(POLICY);
    odrl["permission"][0]["assignee"]["source"] = json!("urn:datenraum:space:neurology:people");
    let report = refused(&odrl);
    assert!(
        report.message.starts_with("$.permission[0].assignee.source"),
        "{report}"
    );
}

#[test]
fn a_context_that_gives_a_word_another_meaning_is_refused() {
    let mut odrl = exported(POLICY);
    odrl["@context"]["prohibit"] = json!("odrl:perm");
    assert!(
        refused(&odrl).message.starts_with("$.@context.prohibit"),
        "{}",
        refused(&odrl)
    );
    odrl["@context"] = json!("http://www.w3.org/ns/odrl.jsonld");
    assert!(refused(&odrl).message.starts_with("$.@context"), "{}", refused(&odrl));
}

#[test]
fn what_is_not_an_object_is_refused() {
    for odrl in [json!(null), json!([]), json!("policy"), json!(1.5), json!({})] {
        assert!(refused(&odrl).message.starts_with('$'), "{odrl}");
    }
    for bytes in ["", "{", "{}{}", "\u{0}", "{\"a\":1e999}"] {
        assert_eq!(
            parse(bytes.as_bytes()).unwrap_err().problem,
            Problem::FileSyntax,
            "{bytes:?}"
        );
    }
    assert_eq!(parse(b"\xff").unwrap_err().problem, Problem::FileSyntax);
}

#[test]
fn ten_thousand_levels_are_refused_before_anything_follows_them() {
    let text = "[".repeat(10_000) + &"]".repeat(10_000);
    assert!(parse(text.as_bytes()).is_err());
    let mut deep = json!(0);
    for _ in 0..10_000 {
        deep = Value::Array(vec![deep]);
    }
    let mut odrl = exported(POLICY);
    odrl["title"] = deep;
    let report = refused(&odrl);
    assert_eq!(report.problem, Problem::FileValue);
    assert!(report.message.contains("nested"), "{report}");
    // Freeing it would follow its nesting.
    std::mem::forget(odrl);
}

#[test]
fn what_is_larger_than_any_policy_is_refused() {
    let large = vec![b' '; 40 * 1024 * 1024];
    assert!(parse(&large).unwrap_err().message.contains("bytes"));
    let mut odrl = exported(POLICY);
    odrl["dct:title"] = json!("a".repeat(40 * 1024 * 1024));
    assert!(refused(&odrl).message.contains("bytes"));
}

#[test]
fn a_message_shows_no_more_than_a_line_of_what_is_there() {
    let mut odrl = exported(POLICY);
    odrl["x\n\u{1b}[2J".repeat(1_000)] = json!(1);
    let report = refused(&odrl);
    assert!(
        report.message.len() < 1_000 && !report.message.contains(['\n', '\u{1b}']),
        "{report}"
    );
}

/// Calls `change` with every value inside `odrl`, and `check` with what came of it and the path of the value.
fn change_each(odrl: &Value, change: impl Fn(&mut Value) -> bool, mut check: impl FnMut(&Value, &str)) -> usize {
    let mut open = vec![String::new()];
    let mut changes = 0;
    while let Some(pointer) = open.pop() {
        let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
        match odrl.pointer(&pointer).unwrap() {
            Value::Object(members) => open.extend(members.keys().map(|name| format!("{pointer}/{}", escaped(name)))),
            Value::Array(items) => open.extend((0..items.len()).map(|at| format!("{pointer}/{at}"))),
            _ => {}
        }
        let mut changed = odrl.clone();
        if change(changed.pointer_mut(&pointer).unwrap()) {
            changes += 1;
            check(&changed, &pointer);
        }
    }
    changes
}

/// It is refused, or it is just what the policy that was read says.
fn require_understood(changed: &Value, pointer: &str) {
    if let Ok(text) = import(changed) {
        let id = changed["uid"].as_str().unwrap().split(':').nth(5).unwrap();
        let files = Files::new().put(&format!("policies/{id}.toml"), &text);
        if let Ok(rules) = Rules::compile_files(1, Digest::of(b""), &files.0) {
            let again = export(&rules, &id.parse().unwrap()).unwrap();
            assert_eq!(again, *changed, "{pointer}");
        }
    }
}

#[test]
fn an_unknown_member_anywhere_is_refused_by_its_path() {
    for text in [example().as_str(), OPEN] {
        let add = |value: &mut Value| match value {
            Value::Object(members) => members.insert("extra".to_owned(), json!(1)).is_none(),
            _ => false,
        };
        let changes = change_each(&exported(text), add, |changed, pointer| {
            let report = refused(changed);
            assert_eq!(report.problem, Problem::FileKey, "{pointer}: {report}");
            assert!(report.message.contains(".extra is nothing that"), "{pointer}: {report}");
        });
        assert!(changes > 50, "{changes}");
    }
}

#[test]
fn one_more_item_in_any_list_is_refused() {
    for text in [example().as_str(), OPEN] {
        let add = |value: &mut Value| match value {
            Value::Array(items) => {
                items.push(
                    json!({ "type": "Constraint", "leftOperand": "recipient", "operator": "eq", "rightOperand": 1 }),
                );
                true
            }
            _ => false,
        };
        let changes = change_each(&exported(text), add, |changed, pointer| {
            let report = refused(changed);
            assert!(report.message.starts_with('$'), "{pointer}: {report}");
        });
        assert!(changes > 20, "{changes}");
    }
}

#[test]
fn leaving_out_any_one_thing_is_refused_or_understood() {
    for text in [example().as_str(), OPEN] {
        for nth in 0..20 {
            let drop = |value: &mut Value| match value {
                Value::Object(members) => {
                    let name = members.keys().nth(nth).cloned();
                    name.is_some_and(|name| members.remove(&name).is_some())
                }
                Value::Array(items) if nth < items.len() => {
                    items.remove(nth);
                    true
                }
                _ => false,
            };
            change_each(&exported(text), drop, require_understood);
        }
    }
}

#[test]
fn another_value_in_any_place_is_refused_or_understood() {
    let others = [
        json!("other"),
        json!(2),
        json!(-1),
        json!(true),
        json!(null),
        json!([]),
        json!({ "@id": "dr:rows" }),
    ];
    for text in [example().as_str(), OPEN] {
        for other in &others {
            let replace = |value: &mut Value| std::mem::replace(value, other.clone()) != *other;
            change_each(&exported(text), replace, require_understood);
        }
    }
}

#[test]
fn what_is_imported_is_exported_as_it_was() {
    for text in [POLICY, BEDS_POLICY, OPEN, &example()] {
        let odrl = exported(text);
        assert_eq!(exported(&import(&odrl).unwrap()), odrl);
    }
}

#[test]
fn the_examples_say_the_same_after_export_and_import() {
    require_round_trip(&Files::new());
    require_round_trip(&Files::new().put("policies/beds-open.toml", OPEN));
    require_round_trip(&Files::new().put("policies/breast-cancer-research.toml", &example()));
}

#[test]
fn a_policy_without_rules_says_the_same_after_export_and_import() {
    let (head, _) = POLICY.split_once("[[permission]]").unwrap();
    let duties = "[[duty]]\naction = \"delete\"\nwithin_days = 30\n";
    require_round_trip(&Files::new().put("policies/breast-cancer-research.toml", head));
    require_round_trip(&Files::new().put("policies/breast-cancer-research.toml", &format!("{head}{duties}")));
}

#[test]
fn every_policy_in_the_repository_says_the_same_after_export_and_import() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seen = 0;
    for spaces in ["policies", "examples"] {
        for entry in std::fs::read_dir(repository.join(spaces)).unwrap() {
            let folder = entry.unwrap().path();
            if folder.join("policies").is_dir() {
                seen += 1;
                require_round_trip(&shipped(&folder));
            }
        }
    }
    assert!(seen >= 2, "{seen}");
}

fn shipped(folder: &Path) -> Files {
    let mut files = Files(
        Files::new()
            .0
            .into_iter()
            .filter(|(path, _)| !path.contains('/'))
            .collect(),
    );
    for path in ["space.toml", "members.toml"] {
        if let Ok(text) = std::fs::read_to_string(folder.join(path)) {
            files = files.put(path, &text);
        }
    }
    for kind in ["collections", "policies"] {
        for entry in std::fs::read_dir(folder.join(kind)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{kind}/{}", entry.file_name().to_str().unwrap());
            files = files.put(&name, &std::fs::read_to_string(entry.path()).unwrap());
        }
    }
    files
}

#[test]
fn the_example_in_docs_is_what_is_exported() {
    let page_text = std::fs::read_to_string(page()).unwrap();
    let json = block(&page_text, "json");
    let odrl = exported(&example());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let written = serde_json::to_string_pretty(&odrl).unwrap() + "\n";
        std::fs::write(page(), page_text.replace(json, &written)).unwrap();
        return;
    }
    let shown: Value = serde_json::from_str(json).unwrap();
    assert_eq!(
        shown, odrl,
        "docs/odrl.md is stale: run UPDATE_DOCS=1 cargo test -p policy"
    );
}

/// Every word of the profile in a text.
fn words(text: &str) -> BTreeSet<&str> {
    let word = |rest: &'_ str| {
        rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .unwrap_or(rest.len())
    };
    let found = text
        .match_indices("dr:")
        .map(|(at, _)| &text[at..at + 3 + word(&text[at + 3..])]);
    found.filter(|word| *word != "dr:").collect()
}

#[test]
fn the_page_explains_every_word_of_the_profile_and_no_other() {
    let page = std::fs::read_to_string(page()).unwrap();
    let purposes: Vec<String> = terms::Purpose::all().map(|purpose| format!("dr:{purpose}")).collect();
    let exports = [exported(&example()), exported(OPEN)].map(|odrl| odrl.to_string());
    let mut used: BTreeSet<&str> = exports.iter().flat_map(|text| words(text)).collect();
    used.extend(purposes.iter().map(String::as_str));
    let prose: String = page.split("```").step_by(2).collect();
    assert_eq!(words(&prose), used);
}
