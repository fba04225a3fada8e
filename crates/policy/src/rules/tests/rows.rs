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
    assert!(listed("patient_id = \"pseudonym\"").compile().is_ok());
}
