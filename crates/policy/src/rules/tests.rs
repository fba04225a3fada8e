mod disclosure;
mod duties;
mod lookalikes;
mod models;
mod rows;
mod transforms;
mod windows;

use terms::Problem;
use terms::limit::{DOCUMENT_BYTES_MAX, DOCUMENTS_MAX};

use crate::example::{Files, POLICY};

const PATH: &str = "policies/breast-cancer-research.toml";
const OPEN: &str = "policies/beds-open.toml";

fn line_of(piece: &str) -> usize {
    POLICY[..POLICY.find(piece).unwrap()].matches('\n').count() + 1
}

#[track_caller]
fn is_invalid(from: &str, to: &str, at: &str, says: &str) {
    let report = Files::new().edit(PATH, from, to).compile().unwrap_err();
    assert_eq!(report.message, format!("{PATH}, line {}: {says}", line_of(at)));
    assert_eq!(report.problem, Problem::PolicyInvalid);
}

#[test]
fn what_is_known_and_not_enforced_is_refused_by_name() {
    let says = "this version does not enforce `tier = \"differential\"` and would therefore not run the policy";
    is_invalid("\"statistical\"", "\"differential\"", "tier", says);
}

#[test]
fn an_unknown_key_names_line_and_nearest_key() {
    let cases = [
        ("min_people", "min_peple", "min_people"),
        ("valid_until", "valid_till", "valid_until"),
        ("assignee", "asignee", "assignee"),
        ("[[prohibition]]", "[[prohibitions]]", "prohibition"),
        ("roles =", "role =", "roles"),
    ];
    for (from, to, near) in cases {
        let report = Files::new().edit(PATH, from, to).compile().unwrap_err();
        assert_eq!(report.problem, Problem::FileKey, "{report}");
        assert!(
            report
                .message
                .starts_with(&format!("{PATH}, line {}: unknown field", line_of(from))),
            "{report}"
        );
        assert_eq!(report.remedy, format!("did you mean `{near}`?"));
    }
}

#[test]
fn a_value_outside_the_vocabulary_is_refused() {
    let cases = [
        ("\"aggregates\"", "\"agregates\"", "did you mean `aggregates`?"),
        ("\"none\"", "\"maybe\"", "remove it, or use one of those listed"),
        ("\"statistical\"", "\"statistics\"", "did you mean `statistical`?"),
    ];
    for (from, to, remedy) in cases {
        let report = Files::new().edit(PATH, from, to).compile().unwrap_err();
        assert_eq!(
            (report.problem, report.remedy.as_str()),
            (Problem::FileValue, remedy),
            "{report}"
        );
        assert!(
            report.message.starts_with(&format!("{PATH}, line {}: ", line_of(from))),
            "{report}"
        );
    }
    let report = Files::new()
        .edit(PATH, "ehds-53-1-c", "ehds-53-1-z")
        .compile()
        .unwrap_err();
    assert_eq!(report.problem, Problem::FileValue);
    assert!(report.message.contains("unknown purpose \"ehds-53-1-z\""), "{report}");
}

#[test]
fn nothing_that_widens_may_be_left_out() {
    let lines = [
        "assignee",
        "purposes",
        "permit ",
        "release",
        "columns",
        "tier",
        "valid_from",
        "valid_until",
        "version",
    ];
    for key in lines {
        let line = POLICY.lines().find(|line| line.starts_with(key)).unwrap();
        let report = Files::new().edit(PATH, &format!("{line}\n"), "").compile().unwrap_err();
        assert_eq!(report.problem, Problem::FileKey, "{report}");
        assert!(
            report.message.contains(&format!("missing field `{}`", key.trim())),
            "{report}"
        );
    }
}

#[test]
fn what_a_policy_names_exists() {
    is_invalid(
        "\"breast-cancer\"",
        "\"lung\"",
        "collection",
        "collection lung is not in the data space",
    );
    let says = "permission statistics: collection breast-cancer has no column \"stage\"";
    is_invalid("\"grade\"", "\"stage\"", "columns", says);
    is_invalid(
        "research_consent",
        "consent",
        "rows ",
        "permission statistics: collection breast-cancer has no such row filter",
    );
    let says = "prohibition no-insurance: collection breast-cancer has no column \"gradee\"";
    is_invalid(
        "purposes = [\"ehds-54-b\"]",
        "columns = [\"gradee\"]",
        "purposes = ",
        says,
    );
    let report = Files::new()
        .edit(PATH, "\"grade\"", "\"gradee\"")
        .compile()
        .unwrap_err();
    assert_eq!(report.remedy, "did you mean grade?");
    let report = Files::new()
        .edit(PATH, "research_consent", "consent")
        .compile()
        .unwrap_err();
    assert_eq!(report.remedy, "row filters: research_consent");
}

#[test]
fn identifiers_and_columns_without_a_role_cannot_be_permitted() {
    let says = "permission statistics: column patient_id is an identifier and can be used nowhere in a query";
    is_invalid("\"grade\"", "\"patient_id\"", "columns", says);
    let says = "permission statistics: column note has no role, so no query for aggregates or models can use it";
    is_invalid("\"grade\"", "\"note\"", "columns", says);
    let beds = "collections/beds.toml";
    let files = Files::new().edit(beds, "role = \"measure\"", "role = \"identifier\"");
    let report = files.compile().unwrap_err();
    assert!(
        report
            .message
            .contains("permission everybody: column beds is an identifier"),
        "{report}"
    );
    assert!(
        Files::new().edit(beds, "role = \"measure\"", "").compile().is_ok(),
        "rows may show a column without a role"
    );
}

#[test]
fn people_are_never_open() {
    let says = "permission statistics: tier \"open\" is for data without people, and collection breast-cancer says \
                personal = true";
    is_invalid("\"statistical\"", "\"open\"", "tier", says);
    let statistical = "{ tier = \"statistical\", min_people = 3 }";
    let files = Files::new().edit(OPEN, "{ tier = \"open\" }", statistical);
    assert!(
        files.edit(OPEN, "\"rows\"", "\"aggregates\"").compile().is_ok(),
        "statistical without people is fine"
    );
}

#[test]
fn a_cell_describes_two_people_or_more() {
    for people in ["0", "1"] {
        let says = format!("permission statistics: min_people is {people}; it must be 2 or more");
        is_invalid(
            "min_people = 10",
            &format!("min_people = {people}"),
            "min_people",
            &says,
        );
    }
    is_invalid(
        "min_people = 10",
        "",
        "tier",
        "permission statistics: tier \"statistical\" needs min_people",
    );
    let report = Files::new()
        .edit(PATH, "min_people = 10", "min_people = -5")
        .compile()
        .unwrap_err();
    assert_eq!(report.problem, Problem::FileValue);
    let open = Files::new().edit(OPEN, "\"open\" }", "\"open\", min_people = 5 }");
    let report = open.compile().unwrap_err();
    assert_eq!(
        report.message,
        format!("{OPEN}, line 16: permission everybody: tier \"open\" does not heed min_people")
    );
}

#[test]
fn no_policy_permits_what_article_54_prohibits() {
    let says = "permission statistics: Art. 54 EHDS prohibits ehds-54-b (insurance, credit and job offers), and no \
                policy can permit it";
    is_invalid("\"ehds-53-1-c\"", "\"ehds-54-b\"", "purposes  =", says);
    is_invalid(
        "[\"ehds-53-1-c\", \"ehds-53-1-e\"]",
        "[]",
        "purposes  =",
        "permission statistics: purposes is empty",
    );
}

#[test]
fn rules_mean_one_thing_and_someone() {
    is_invalid(
        "\"no-insurance\"",
        "\"statistics\"",
        "id       =",
        "rule statistics is there twice",
    );
    let says = "rule statistics: assignee needs roles, members or persons, and none of them empty";
    let roles = "{ roles = [\"university\", \"public-health-office\"] }";
    for to in ["{}", "{ roles = [] }", "{ roles = [\"university\"], persons = [] }"] {
        is_invalid(roles, to, "assignee", says);
    }
    let says = "rule statistics: a person is written \"member/person\", such as \"saarland-university/ada\"";
    for person in ["ada", "a/b/c", "saarland-university/", "/ada", "A/b"] {
        is_invalid(roles, &format!("{{ persons = [\"{person}\"] }}"), "assignee", says);
    }
}

#[test]
fn a_prohibition_that_says_nothing_is_refused() {
    let purposes = "purposes = [\"ehds-54-b\"]\n";
    let says = "prohibition no-insurance says nothing: name assignee, purposes, release, columns or when";
    is_invalid(purposes, "", "id       =", says);
    let says = "prohibition no-insurance: an empty list prohibits nothing";
    is_invalid(purposes, "purposes = []\n", "purposes =", says);
    is_invalid(purposes, "columns = []\n", "purposes =", says);
    let says = "rule no-insurance: assignee needs roles, members or persons, and none of them empty";
    is_invalid(purposes, "assignee = {}\n", "purposes =", says);
}

#[test]
fn a_policy_is_for_whole_days_in_order() {
    let says = "valid_from must be a day without a time, such as 2027-12-31";
    is_invalid("2026-01-01", "2026-01-01T00:00:00Z", "valid_from", says);
    is_invalid("2026-01-01", "12:00:00", "valid_from", says);
    is_invalid(
        "2026-01-01",
        "2028-01-01",
        "valid_until",
        "valid_until is before valid_from",
    );
    is_invalid("version     = 3", "version = 0", "version", "version must be 1 or more");
    let report = Files::new()
        .edit(PATH, "2026-01-01", "2026-02-30")
        .compile()
        .unwrap_err();
    assert!(
        report
            .message
            .starts_with(&format!("{PATH}, line {}", line_of("valid_from"))),
        "{report}"
    );
}

#[test]
fn two_files_cannot_carry_one_id() {
    let report = Files::new().put("policies/copy.toml", POLICY).compile().unwrap_err();
    let says = "policies/copy.toml, line 2: id \"breast-cancer-research\" does not match the file name";
    assert_eq!(
        (report.problem, report.message.as_str()),
        (Problem::PolicyInvalid, says)
    );
}

#[test]
fn other_files_are_refused_and_reading_aids_ignored() {
    let unknown = [
        "policies/sub/x.toml",
        "policies/x.txt",
        "policies/.toml",
        "policies/sub/x.cases.toml",
        "collections/x.cases.toml",
        "readme.md",
        "space.toml.bak",
        "Space.toml",
        "",
        "/space.toml",
        "collections/x.TOML",
        "permits/x.matrix.txt",
        "permits/sub/x.toml",
    ];
    for path in unknown {
        let report = Files::new().put(path, "").compile().unwrap_err();
        assert_eq!(report.problem, Problem::PolicyInvalid);
        assert_eq!(report.message, format!("{path}: a data space has no such file"));
    }
    let aids = Files::new()
        .put("policies/x.cases.toml", "= not toml")
        .put("policies/x.matrix.txt", "\u{1}");
    assert!(aids.compile().is_ok());
}

#[test]
fn a_data_space_needs_its_space_and_its_roster() {
    for path in ["space.toml", "members.toml"] {
        let report = Files::new().without(path).compile().unwrap_err();
        assert_eq!(
            (report.problem, report.message),
            (Problem::FileMissing, format!("the data space has no {path}"))
        );
    }
}

#[test]
fn size_and_encoding_are_checked_before_parsing() {
    let long = "#".repeat(DOCUMENT_BYTES_MAX + 1);
    let report = Files::new().put(PATH, &long).compile().unwrap_err();
    assert_eq!(report.problem, Problem::PolicyInvalid);
    assert!(
        report.message.starts_with(&format!("{PATH}: has 1048577 bytes")),
        "{report}"
    );
    let mut files = Files::new();
    files.0.insert(PATH.to_owned(), vec![0xff]);
    assert_eq!(files.compile().unwrap_err().problem, Problem::FileSyntax);
    let deep = format!("{POLICY}\nx = {}", "[".repeat(100_000));
    assert!(Files::new().put(PATH, &deep).compile().is_err());
    let mut files = Files::new();
    files
        .0
        .extend((0..DOCUMENTS_MAX).map(|n| (format!("policies/{n}.matrix.txt"), Vec::new())));
    assert_eq!(files.compile().unwrap_err().problem, Problem::PolicyInvalid);
}

#[test]
fn rules_list_their_policies() {
    let rules = Files::new().rules();
    let listed: Vec<_> = rules
        .policies()
        .map(|it| format!("{} {} {} {}", it.id, it.version, it.collection, it.valid_until))
        .collect();
    assert_eq!(
        listed,
        [
            "beds-open 1 beds 2026-12-31",
            "breast-cancer-research 3 breast-cancer 2027-12-31"
        ]
    );
    assert_eq!(rules.version, 7);
}
