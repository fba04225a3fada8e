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
fn a_member_acts_only_for_public_bodies_of_the_roster() {
    let acts_for = |body: &str| {
        let university = "roles = [\"university\"]\n";
        let acting = format!("{university}acts_for = [\"{body}\"]\n");
        Files::new().edit(PATH, university, &acting).compile()
    };
    for body in ["elsewhere", "gbsg", "saarland-university"] {
        let report = acts_for(body).unwrap_err();
        assert_eq!(
            report.message,
            format!(
                "members.toml, line 12: member saarland-university acts for {body}, which is no public body of the roster"
            )
        );
        assert_eq!(report.problem, Problem::PolicyInvalid);
    }
    assert_eq!(acts_for("Health Office").unwrap_err().problem, Problem::FileValue);
    let rules = acts_for("health-office").unwrap();
    let public = |id: &str| rules.is_public(&rules.members[&id.parse().unwrap()]);
    assert_eq!(
        [public("saarland-university"), public("health-office"), public("gbsg")],
        [true, true, false]
    );
}

#[test]
fn nobody_acts_for_somebody_who_acts_for_a_public_body() {
    let files = Files::new()
        .edit(
            PATH,
            "roles = [\"university\"]",
            "roles = [\"university\"]\nacts_for = [\"health-office\"]",
        )
        .edit(
            PATH,
            "roles = [\"hospital\"]",
            "roles = [\"hospital\"]\nacts_for = [\"saarland-university\"]",
        );
    assert_eq!(files.compile().unwrap_err().problem, Problem::PolicyInvalid);
}

#[test]
fn what_the_board_has_lifted_is_named_by_digest() {
    let lifted = |value: &str| Files::new().edit("space.toml", "title", &format!("lifted = [\"{value}\"]\ntitle"));
    let report = lifted("sha256:12").compile().unwrap_err();
    assert_eq!(report.problem, Problem::FileValue, "{report}");
    let digest = trust::Digest::of(b"a stop");
    assert!(lifted(&digest.to_string()).rules().space.lifted.contains(&digest));
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
