//! The models table: where models are permitted, and only there.

use terms::Problem;

use super::{OPEN, PATH};
use crate::example::{Files, ROWS_PATH, with_rows};
use crate::{ModelRules, Overlaps, Sum};

/// Models instead of aggregates, with this text for a table.
fn with_models(table: &str) -> Files {
    let files = Files::new().edit(PATH, "\"aggregates\"", "\"models\"");
    files.edit(PATH, "min_people = 10\n", &format!("min_people = 10\n{table}"))
}

fn with_keys(keys: &str) -> Files {
    with_models(&format!("[permission.models]\n{keys}"))
}

/// The rules of the first permission of the policy.
fn read(files: &Files) -> ModelRules {
    let rules = files.rules();
    let policy = rules.policy(&"breast-cancer-research".parse().unwrap()).unwrap();
    policy.permissions[0].models.clone().unwrap()
}

#[track_caller]
fn is_refused(files: &Files, path: &str, line: &str, says: &str, remedy: &str) {
    let text = std::str::from_utf8(&files.0[path]).unwrap();
    let at = text.lines().position(|one| one.starts_with(line)).unwrap() + 1;
    let report = files.compile().unwrap_err();
    assert_eq!(report.message, format!("{path}, line {at}: permission {says}"));
    assert_eq!(report.problem, Problem::PolicyInvalid);
    let remedy = if remedy.is_empty() {
        Problem::PolicyInvalid.next_step()
    } else {
        remedy
    };
    assert_eq!(report.remedy, remedy);
}

#[test]
fn models_of_people_need_the_table() {
    is_refused(
        &with_models(""),
        PATH,
        "release",
        "statistics: release \"models\" with tier \"statistical\" needs a table [permission.models]",
        "add [permission.models] with sum = \"masked\" or sum = \"plain\"",
    );
}

#[test]
fn statistics_take_no_table() {
    let files = Files::new().edit(
        PATH,
        "min_people = 10\n",
        "min_people = 10\n[permission.models]\nsum = \"plain\"\n",
    );
    is_refused(
        &files,
        PATH,
        "[permission.models]",
        "statistics: models is not for release = \"aggregates\", which permits no models",
        "take [permission.models] away, or write release = \"models\"",
    );
}

#[test]
fn where_nobody_is_protected_there_is_no_table() {
    for release in ["models", "rows"] {
        let open = Files::new().edit(OPEN, "\"rows\"", &format!("\"{release}\""));
        let policy = open.rules().policy(&"beds-open".parse().unwrap()).unwrap().clone();
        assert_eq!(policy.permissions[0].models, None);
        let open = open.edit(OPEN, "\"open\" }", "\"open\" }\nmodels = { sum = \"plain\" }");
        is_refused(
            &open,
            OPEN,
            "models",
            "everybody: tier \"open\" does not heed models: there is nobody to protect",
            "take [permission.models] away; the release alone permits models",
        );
    }
}

#[test]
fn whoever_may_have_rows_may_add_them_up_unless_the_table_says_otherwise() {
    let rules = |files: &Files| {
        let rules = files.rules();
        let policy = rules.policy(&"breast-cancer-rows".parse().unwrap()).unwrap().clone();
        policy.permissions[0].models.clone().unwrap()
    };
    let of_rows = rules(&with_rows(""));
    assert_eq!(
        of_rows,
        ModelRules {
            sum: Sum::Plain,
            nodes_min: 1,
            parameters_share: 0.33,
            reason: None,
            steps_max: 25,
            overlaps: Overlaps::Allow,
        }
    );
    let table = "[permission.models]\nsum = \"masked\"\n";
    assert_eq!(rules(&with_rows(table)).sum, Sum::Masked);
    is_refused(
        &with_rows("[permission.models]\nsum = \"plain\"\nsteps = 0"),
        ROWS_PATH,
        "steps",
        "rows: models: steps must be from 1 to 100",
        "",
    );
}

#[test]
fn what_the_table_leaves_out_is_strict() {
    assert_eq!(
        read(&with_keys("sum = \"masked\"\n")),
        ModelRules {
            sum: Sum::Masked,
            nodes_min: 3,
            parameters_share: 0.1,
            reason: None,
            steps_max: 25,
            overlaps: Overlaps::Refuse,
        }
    );
    let all =
        "sum = \"plain\"\nmin_nodes = 2\nparameters = 0.33\nreason = \"a pilot\"\nsteps = 100\noverlaps = \"allow\"\n";
    assert_eq!(
        read(&with_keys(all)),
        ModelRules {
            sum: Sum::Plain,
            nodes_min: 2,
            parameters_share: 0.33,
            reason: Some("a pilot".to_owned()),
            steps_max: 100,
            overlaps: Overlaps::Allow,
        }
    );
}

#[test]
fn each_key_has_its_limits() {
    let cases = [
        ("min_nodes = 0", "min_nodes must be from 1 to 1000"),
        ("min_nodes = 1001", "min_nodes must be from 1 to 1000"),
        ("steps = 0", "steps must be from 1 to 100"),
        ("steps = 101", "steps must be from 1 to 100"),
        ("parameters = 0.0", "parameters must be more than 0 and at most 0.33"),
        ("parameters = -0.1", "parameters must be more than 0 and at most 0.33"),
        ("parameters = 0.34", "parameters must be more than 0 and at most 0.33"),
        ("parameters = nan", "parameters must be more than 0 and at most 0.33"),
        ("parameters = inf", "parameters must be more than 0 and at most 0.33"),
    ];
    for (key, says) in cases {
        let files = with_keys(&format!("sum = \"plain\"\n{key}\n"));
        is_refused(&files, PATH, key, &format!("statistics: models: {says}"), "");
    }
}

#[test]
fn masked_sums_are_of_three_nodes_or_more() {
    for nodes in [1, 2] {
        is_refused(
            &with_keys(&format!("sum = \"masked\"\nmin_nodes = {nodes}\n")),
            PATH,
            "min_nodes",
            "statistics: models: sum = \"masked\" needs min_nodes = 3 or more: of two nodes each would know the other's sums",
            "write min_nodes = 3, or leave it out",
        );
    }
    assert_eq!(read(&with_keys("sum = \"masked\"\nmin_nodes = 3\n")).nodes_min, 3);
}

#[test]
fn many_parameters_have_a_reason_and_few_have_none() {
    is_refused(
        &with_keys("sum = \"plain\"\nparameters = 0.11\n"),
        PATH,
        "parameters",
        "statistics: models: parameters above 0.1 need a reason",
        "add reason = \"...\" that says to the board why, or write at most 0.1",
    );
    for parameters in ["", "parameters = 0.1\n"] {
        is_refused(
            &with_keys(&format!("sum = \"plain\"\n{parameters}reason = \"why\"\n")),
            PATH,
            "reason",
            "statistics: models: reason is for parameters above 0.1",
            "take reason away",
        );
    }
    let of = |reason: &str| with_keys(&format!("sum = \"plain\"\nparameters = 0.2\nreason = {reason:?}\n"));
    for reason in ["", "  ", &"a".repeat(301), "two\nlines"] {
        let says = "statistics: models: reason must be 1 to 300 characters on one line";
        is_refused(&of(reason), PATH, "reason", says, "");
    }
    assert!(of(&"a".repeat(300)).compile().is_ok());
}

#[test]
fn an_unknown_key_or_word_names_the_nearest() {
    let cases = [
        ("sum = \"plain\"\nmin_node = 3\n", Problem::FileKey, "min_nodes"),
        ("sum = \"mask\"\n", Problem::FileValue, "masked"),
        (
            "sum = \"plain\"\noverlaps = \"refused\"\n",
            Problem::FileValue,
            "refuse",
        ),
    ];
    for (keys, problem, near) in cases {
        let report = with_keys(keys).compile().unwrap_err();
        assert_eq!(
            (report.problem, report.remedy),
            (problem, format!("did you mean `{near}`?"))
        );
    }
    let report = with_keys("steps = 3\n").compile().unwrap_err();
    assert_eq!(report.problem, Problem::FileKey);
    assert!(report.message.contains("missing field `sum`"), "{report}");
}

#[test]
fn a_column_that_no_question_can_use_is_in_no_model_and_nothing_is_shown_in_part() {
    let keys = "[permission.models]\nsum = \"plain\"\n";
    let note = with_models(keys).edit(PATH, "\"grade\"]", "\"note\"]");
    is_refused(
        &note,
        PATH,
        "columns",
        "statistics: column note has no role, so no query for aggregates or models can use it",
        "leave it out, or give it a role in the collection",
    );
    let report = with_models(keys)
        .edit(PATH, "rows      =", "transforms = { age = \"bins\" }\nrows      =")
        .compile()
        .unwrap_err();
    assert!(
        report.message.contains("transforms is for release = \"rows\" only"),
        "{report}"
    );
}
