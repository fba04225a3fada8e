//! Rows: of people only under a data permit, and who somebody is only as a pseudonym.

use super::{OPEN, is_invalid};
use crate::example::{Files, with_rows};

#[test]
fn rows_about_people_need_a_permit() {
    let says = "permission statistics: release \"rows\" with tier \"statistical\" needs permit = \"required\"";
    is_invalid("\"aggregates\"", "\"rows\"", "release", says);
    // Of other data too, where a board asks for the checks of statistics.
    let rows = Files::new().edit(OPEN, "\"open\" }", "\"statistical\", min_people = 3 }");
    let report = rows.compile().unwrap_err();
    assert_eq!(
        report.message,
        format!(
            "{OPEN}, line 14: permission everybody: release \"rows\" with tier \"statistical\" needs permit = \"required\""
        )
    );
    assert_eq!(
        report.remedy,
        "require a data permit (EHDS Art. 68), or write release = \"aggregates\""
    );
    assert!(rows.edit(OPEN, "\"none\"", "\"required\"").compile().is_ok());
    assert!(with_rows("").compile().is_ok());
}

#[test]
fn rows_show_an_identifier_as_a_pseudonym_only() {
    let listed =
        |transforms: &str| with_rows(transforms).edit(crate::example::ROWS_PATH, "\"age\"", "\"patient_id\", \"age\"");
    for transforms in [
        "",
        "patient_id = \"mask\"",
        "patient_id = { prefix = 2 }",
        "age = \"bins\"",
    ] {
        let report = listed(transforms).compile().unwrap_err();
        assert!(
            report
                .message
                .ends_with("permission rows: column patient_id is an identifier and can be used nowhere in a query"),
            "{transforms}: {report}"
        );
        assert_eq!(
            report.remedy,
            "leave it out; rows can show it as a pseudonym, with transforms"
        );
    }
    let rules = listed("patient_id = \"pseudonym\"").rules();
    let lists = |collection: &str, column: &str| rules.lists_column(&collection.parse().unwrap(), column);
    assert!(lists("breast-cancer", "patient_id") && !lists("beds", "patient_id") && !lists("breast-cancer", "meno"));
}

#[test]
fn what_the_template_shows_of_rows_and_of_more_protection_compiles_without_its_signs() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/template");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let path = "policies/example-research.toml";
    let is_key = |line: &str| {
        let name = line.split([' ', '=']).next().unwrap_or_default();
        let word = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        line.starts_with('[') || word && line.contains(" = ")
    };
    let bare = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if is_key(rest) => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    let text: String = read(path).lines().map(bare).collect();
    let collection = "collections/example-registry.toml";
    let files = Files::new().put(collection, &read(collection)).put(path, &text);
    let rules = files.rules();
    let policy = rules.policy(&"example-research".parse().unwrap()).unwrap();
    let rows = policy
        .permissions
        .iter()
        .find(|rule| rule.id.as_str() == "rows")
        .unwrap();
    assert_eq!(rows.transforms.len(), 2);
    let mut others = policy.permissions.iter();
    let models = others.find(|rule| rule.id.as_str() == "models").unwrap();
    assert_eq!(models.models.as_ref().unwrap().sum, crate::Sum::Masked);
    let statistics = policy
        .permissions
        .iter()
        .find(|rule| rule.id.as_str() == "statistics")
        .unwrap();
    assert_eq!(statistics.disclosure.zeros, crate::Zeros::Protected);
    assert_eq!(statistics.disclosure.round_to, Some(5));
}
