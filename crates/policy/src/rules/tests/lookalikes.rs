//! Names that people take for each other, and text that is not what it shows.

use terms::{Problem, Report};

use super::{OPEN, PATH};
use crate::example::{BEDS_POLICY, Files, PERMIT, POLICY};

#[track_caller]
fn looks_the_same(report: &Report, what: &str) {
    assert_eq!(report.problem, Problem::PolicyInvalid);
    assert!(
        report.message.contains(what) && report.message.ends_with("look the same"),
        "{report}"
    );
}

#[test]
fn a_02_two_names_that_look_the_same_are_refused() {
    let beds = |id: &str| {
        let text = BEDS_POLICY.replace("\"beds-open\"", &format!("\"{id}\""));
        Files::new().put(&format!("policies/{id}.toml"), &text)
    };
    let policies = |one: &str, other: &str| {
        let text = BEDS_POLICY.replace("\"beds-open\"", &format!("\"{other}\""));
        beds(one).put(&format!("policies/{other}.toml"), &text).compile()
    };
    looks_the_same(
        &policies("ward-1", "ward-l").unwrap_err(),
        "policies: the policies \"ward-1\" and \"ward-l\"",
    );
    looks_the_same(
        &policies("modern", "modem").unwrap_err(),
        "policies: the policies \"modem\" and \"modern\"",
    );
    assert!(policies("ward-1", "ward-2").is_ok());
}

#[test]
fn members_permits_rules_columns_and_values_are_held_to_it_too() {
    let member = Files::new().edit("members.toml", "\"gbsg\"", "\"saarland-universlty\"");
    let member = member.edit("members.toml", "\"health-office\"", "\"saarland-univers1ty\"");
    looks_the_same(&member.compile().unwrap_err(), "members.toml: the members");
    let permits = Files::new().put("permits/p-1.toml", PERMIT);
    let permits = permits.put("permits/p-l.toml", &PERMIT.replace("\"p-1\"", "\"p-l\""));
    looks_the_same(&permits.compile().unwrap_err(), "permits: the permits");
    let rule = "[[prohibition]]\nid = \"statlstlcs\"\nrelease = \"rows\"\n[[prohibition]]";
    let rules = Files::new().edit(PATH, "[[prohibition]]", rule);
    let rules = rules.edit(PATH, "\"no-insurance\"", "\"stat1stlcs\"");
    looks_the_same(
        &rules.compile().unwrap_err(),
        "policies/breast-cancer-research.toml: the rules",
    );
    let columns = Files::new().edit(
        "collections/beds.toml",
        "[columns.beds]",
        "[columns.distrlct]\ntype = \"text\"\n[columns.distr1ct]\ntype = \"text\"\n[columns.beds]",
    );
    looks_the_same(&columns.compile().unwrap_err(), "collections/beds.toml: the columns");
    let values = Files::new().edit(
        "collections/breast-cancer.toml",
        "[\"1\", \"2\", \"3\"]",
        "[\"a\", \"\u{430}\"]",
    );
    looks_the_same(
        &values.compile().unwrap_err(),
        "values of column grade \"a\" and \"\\u{430}\"",
    );
}

#[test]
fn a_title_in_foreign_letters_cannot_pass_for_another_member() {
    // The Cyrillic small a.
    let title = "S\u{430}arland University";
    let files = Files::new().edit("members.toml", "Breast cancer study group", title);
    let report = files.compile().unwrap_err();
    looks_the_same(
        &report,
        "titles of members \"S\\u{430}arland University\" and \"Saarland University\"",
    );
    let greek = Files::new().edit("members.toml", "Breast cancer study group", "Ομάδα μελέτης");
    assert!(greek.compile().is_ok(), "other scripts are welcome");
}

#[test]
fn letters_of_other_scripts_are_in_no_identifier() {
    let files = Files::new().edit("members.toml", "\"gbsg\"", "\"gb\u{455}g\"");
    assert_eq!(files.compile().unwrap_err().problem, Problem::FileValue);
}

#[test]
fn text_that_hides_or_turns_around_is_refused_in_titles() {
    for escape in [
        "\\u202e",
        "\\u200b",
        "\\u2066",
        "\\u00ad",
        "\\u3164",
        "\\ufe0f",
        "\\U000e0041",
        "\\u0000",
        "\\u007f",
    ] {
        let files = Files::new().edit(PATH, "Research and", &format!("Research{escape} and"));
        let report = files.compile().unwrap_err();
        assert_eq!(
            report.message,
            format!("{PATH}, line 4: title must be 1 to 200 characters on one line"),
            "{escape}"
        );
    }
    let umlauts = Files::new().edit(
        PATH,
        "Research and",
        "Forschung für Ärzte, \u{201e}Krebs\u{201c} \u{2013}",
    );
    assert!(umlauts.compile().is_ok());
}

#[test]
fn text_that_hides_or_turns_around_is_refused_wherever_it_stands() {
    let says = |path: &str, line: usize, code: &str| {
        format!("{path}, line {line}: has the character {code}, which hides or reorders text")
    };
    let comment = Files::new().put(PATH, &format!("{POLICY}\n# harmless \u{202e} sselmrah\n"));
    let line = POLICY.matches('\n').count() + 2;
    assert_eq!(comment.compile().unwrap_err().message, says(PATH, line, "U+202E"));
    let collection = "collections/breast-cancer.toml";
    let sql = Files::new().edit(collection, "consent_research", "consent_research \u{2066}OR true");
    assert!(
        sql.compile()
            .unwrap_err()
            .message
            .ends_with("has the character U+2066, which hides or reorders text")
    );
    let bom = Files::new().put(OPEN, &format!("\u{feff}{BEDS_POLICY}"));
    assert_eq!(bom.compile().unwrap_err().message, says(OPEN, 1, "U+FEFF"));
    let nul = Files::new().put(OPEN, &format!("{BEDS_POLICY}\0"));
    assert_eq!(nul.compile().unwrap_err().problem, Problem::PolicyInvalid);
    let windows = Files::new().put(OPEN, &BEDS_POLICY.replace('\n', "\r\n"));
    assert!(windows.compile().is_ok());
}
