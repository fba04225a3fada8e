use terms::Problem;

use crate::example::{Files, MEMBERS};

const PATH: &str = "members.toml";

#[test]
fn an_institution_is_there_once_with_a_key_of_its_own() {
    let report = Files::new()
        .edit(PATH, "id = \"gbsg\"", "id = \"health-office\"")
        .compile()
        .unwrap_err();
    assert_eq!(
        report.message,
        "members.toml, line 15: member health-office is there twice"
    );
    let first = MEMBERS.lines().find(|line| line.starts_with("key")).unwrap();
    let second = MEMBERS.lines().filter(|line| line.starts_with("key")).nth(1).unwrap();
    let report = Files::new().edit(PATH, second, first).compile().unwrap_err();
    assert_eq!(
        report.message,
        "members.toml, line 12: member saarland-university has the same key as member gbsg"
    );
    assert_eq!(report.problem, Problem::PolicyInvalid);
}

#[test]
fn keys_ids_and_titles_are_checked_with_their_line() {
    let cases = [
        ("ed25519:11qY", "ed25519:", Problem::FileValue, "members.toml, line 6: "),
        (
            "\"gbsg\"",
            "\"GBSG\"",
            Problem::FileValue,
            "members.toml, line 3: member \"GBSG\" is not an identifier",
        ),
        (
            "[\"hospital\"]",
            "[\"a hospital\"]",
            Problem::FileValue,
            "members.toml, line 5: role",
        ),
        (
            "Breast cancer",
            "a\\u001b[2Jb",
            Problem::PolicyInvalid,
            "members.toml, line 4: title must be",
        ),
        (
            "roles = [\"hospital\"]\n",
            "",
            Problem::FileKey,
            "members.toml, line 2: missing field `roles`",
        ),
        (
            "roles =",
            "rolls =",
            Problem::FileKey,
            "members.toml, line 5: unknown field `rolls`",
        ),
    ];
    for (from, to, problem, says) in cases {
        let report = Files::new().edit(PATH, from, to).compile().unwrap_err();
        assert_eq!(report.problem, problem, "{report}");
        assert!(report.message.starts_with(says), "{report}");
    }
}

#[test]
fn a_space_has_an_id_and_a_title() {
    let report = Files::new().edit("space.toml", "title", "titel").compile().unwrap_err();
    assert_eq!(
        (report.problem, report.remedy.as_str()),
        (Problem::FileKey, "did you mean `title`?")
    );
    let report = Files::new()
        .edit("space.toml", "Oncology of the region", "")
        .compile()
        .unwrap_err();
    assert_eq!(
        report.message,
        "space.toml, line 2: title must be 1 to 200 characters on one line"
    );
    let rules = Files::new().rules();
    assert_eq!(
        (rules.space.id.as_str(), rules.space.title.as_str()),
        ("oncology", "Oncology of the region")
    );
}
