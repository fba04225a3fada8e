use super::{CaseOutcome, run_cases, shipped};
use crate::example::Files;
use terms::{Problem, Report};

const PATH: &str = "policies/breast-cancer-research.cases.toml";

const CASE: &str = r#"
[[case]]
name    = "a university counts by age for research"
as      = "saarland-university/ada"
roles   = ["university"]
purpose = "ehds-53-1-e"
columns = ["age"]
expect  = "allow"
rule    = "statistics"
"#;

fn outcomes(cases: &str) -> Result<Vec<CaseOutcome>, Report> {
    let files = Files::new().put(PATH, cases);
    run_cases(&files.rules(), &files.0)
}

fn failure(from: &str, to: &str) -> String {
    assert!(CASE.contains(from), "{from}");
    outcomes(&CASE.replacen(from, to, 1)).unwrap().remove(0).failed.unwrap()
}

fn is_invalid(from: &str, to: &str, problem: Problem, says: &str) {
    assert!(CASE.contains(from), "{from}");
    let report = outcomes(&CASE.replacen(from, to, 1)).unwrap_err();
    assert_eq!(report.problem, problem, "{report}");
    assert!(report.message.contains(says), "{report}");
}

#[test]
fn a_wrong_expectation_is_reported_with_what_was_decided_instead() {
    let says = "expected: refused by statistics; decided: allowed by statistics of breast-cancer-research";
    assert_eq!(failure("\"allow\"", "\"refuse\""), says);
    let says = "expected: allowed by counts; decided: allowed by statistics of breast-cancer-research";
    assert_eq!(failure("\"statistics\"", "\"counts\""), says);
    let says = "expected: allowed by statistics; decided: refused by statistics of breast-cancer-research \
                (E_NO_PERMISSION): permission statistics of breast-cancer-research version 3 does not cover column meno";
    assert_eq!(failure("[\"age\"]", "[\"age\", \"meno\"]"), says);
    let says = "expected: allowed by statistics; decided: refused (E_PROHIBITED): ";
    assert!(failure("ehds-53-1-e", "ehds-54-b").starts_with(says));
}

#[test]
fn the_right_refusal_for_the_wrong_reason_is_a_wrong_expectation() {
    let edit = |text: &str| {
        text.replacen("[\"age\"]", "[\"meno\"]", 1)
            .replacen("\"allow\"", "\"refuse\"", 1)
    };
    let held = outcomes(&edit(CASE)).unwrap().remove(0);
    assert_eq!(held.failed, None);
    let wrong = outcomes(&format!("{}problem = \"E_PROHIBITED\"\n", edit(CASE)))
        .unwrap()
        .remove(0);
    assert!(
        wrong
            .failed
            .unwrap()
            .starts_with("expected: refused by statistics (E_PROHIBITED); decided: refused")
    );
    assert!(
        wrong
            .failed_de
            .unwrap()
            .starts_with("erwartet: abgelehnt durch statistics (E_PROHIBITED); entschieden: abgelehnt")
    );
}

#[test]
fn a_case_that_is_not_understood_is_an_error_with_file_line_and_nearest_key() {
    let report = outcomes(&CASE.replace("purpose =", "purposes =")).unwrap_err();
    assert_eq!(
        (report.problem, report.remedy.as_str()),
        (Problem::FileKey, "did you mean `purpose`?")
    );
    assert!(
        report
            .message
            .starts_with(&format!("{PATH}, line 6: unknown field `purposes`")),
        "{report}"
    );
    is_invalid("\"allow\"", "\"allowed\"", Problem::FileValue, "line 8");
    is_invalid("saarland-university/ada", "ada", Problem::PolicyInvalid, "line 4");
    is_invalid(
        "rule    = \"statistics\"",
        "problem = \"E_PROHIBITED\"",
        Problem::PolicyInvalid,
        "is for expect",
    );
    is_invalid(
        "\"allow\"\nrule    = \"statistics\"",
        "\"refuse\"\nproblem = \"E_NO\"",
        Problem::PolicyInvalid,
        "line 9",
    );
    let noon = "\nat = 2026-06-01T10:00:00";
    is_invalid("\nexpect", &format!("{noon}\nexpect"), Problem::PolicyInvalid, "offset");
}

#[test]
fn cases_of_a_policy_that_is_not_there_are_an_error() {
    let files = Files::new().put("policies/another.cases.toml", CASE);
    let report = run_cases(&files.rules(), &files.0).unwrap_err();
    assert_eq!(report.problem, Problem::PolicyInvalid);
    assert!(report.message.starts_with("policies/another.cases.toml: "), "{report}");
}

#[test]
fn a_case_asks_at_noon_of_the_first_day_unless_it_says_when_and_how_often_it_was_asked() {
    let outcome = outcomes(CASE).unwrap().remove(0);
    let expected = CaseOutcome {
        path: PATH.to_owned(),
        line: 3,
        name: "a university counts by age for research".to_owned(),
        failed: None,
        failed_de: None,
    };
    assert_eq!(outcome, expected);
    let before = outcomes(&format!("{CASE}at = 2025-12-31T23:59:59Z\n"))
        .unwrap()
        .remove(0);
    assert!(before.failed.unwrap().contains("is in force from 2026-01-01"));
    let quota = "min_people = 10\nqueries = { per_week = 5 }";
    let files = Files::new()
        .edit("policies/breast-cancer-research.toml", "min_people = 10", quota)
        .put(PATH, &format!("{CASE}asked = {{ week = 5 }}\n"));
    let exhausted = run_cases(&files.rules(), &files.0).unwrap().remove(0);
    assert!(exhausted.failed.unwrap().contains("E_QUOTA"));
}

#[test]
fn every_policy_of_the_repository_decides_as_its_cases_say() {
    for space in shipped::all() {
        let rules = space.rules();
        let outcomes =
            run_cases(&rules, &space.files).unwrap_or_else(|report| panic!("{}: {report}", space.folder.display()));
        for outcome in &outcomes {
            let place = format!("{}/{}, line {}", space.folder.display(), outcome.path, outcome.line);
            assert_eq!(outcome.failed, None, "{place}: {}", outcome.name);
        }
        for policy in rules.policies() {
            let path = super::cases_path(&policy.id);
            let has_cases = outcomes.iter().any(|outcome| outcome.path == path);
            assert!(has_cases, "{}/{path} has no cases", space.folder.display());
        }
    }
}

#[test]
fn a_case_says_how_often_was_asked_under_a_permit() {
    let case = |permit_week: u32| {
        format!("{CASE}permit = \"p-1\"\nat = 2026-11-21\nasked = {{ permit_week = {permit_week} }}\n")
    };
    let held = |permit_week: u32| {
        let files = Files::new()
            .with_permit(&[("opt_out", "queries = { per_week = 5 }\nopt_out")])
            .put(PATH, &case(permit_week));
        run_cases(&files.rules(), &files.0).unwrap().remove(0).failed
    };
    assert!(held(5).unwrap().contains("E_QUOTA"));
    assert_eq!(held(4), None);
}
