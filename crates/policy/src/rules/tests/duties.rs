//! Duties: three actions, each within its limits and there once.

use terms::Problem;

use super::{PATH, is_invalid};
use crate::Duty;
use crate::example::Files;

fn of_policy(duty: &str) -> String {
    format!("[[duty]]\n{duty}\n\n[[prohibition]]")
}

#[test]
fn a_duty_outside_the_vocabulary_is_refused() {
    let cases = [
        ("action = \"erase\"", Problem::FileValue),
        ("action = \"delete\"", Problem::FileKey),
        ("within_days = 3", Problem::FileKey),
        ("action = \"delete\"\nwithin_days = -1", Problem::FileValue),
        ("action = \"delete\"\nwithin_days = 3\nwhy = \"so\"", Problem::FileKey),
        ("action = \"attribute\"\ntext = 3", Problem::FileValue),
    ];
    for (duty, problem) in cases {
        let files = Files::new().edit(PATH, "[[prohibition]]", &of_policy(duty));
        let report = files.compile().unwrap_err();
        assert_eq!(report.problem, problem, "{duty}: {report}");
        assert!(report.message.starts_with(&format!("{PATH}, line ")), "{report}");
    }
}

#[test]
fn a_duty_outside_its_limits_is_refused() {
    for days in [0, 3_661] {
        for action in ["delete", "publish-results"] {
            let duty = of_policy(&format!("action = \"{action}\"\nwithin_days = {days}"));
            let says = "the policy: within_days must be from 1 to 3660";
            is_invalid("[[prohibition]]", &duty, "[[prohibition]]", says);
        }
    }
    for text in ["", " ", "a\\nb", "a\\u202eb", &"a".repeat(201)] {
        let duty = of_policy(&format!("action = \"attribute\"\ntext = \"{text}\""));
        let says = "the policy: text of a duty must be 1 to 200 characters on one line";
        is_invalid("[[prohibition]]", &duty, "[[prohibition]]", says);
    }
    let rule = "[[permission.duty]]\naction = \"delete\"\nwithin_days = 0\n[permission.disclosure]";
    let says = "permission statistics: within_days must be from 1 to 3660";
    is_invalid("[permission.disclosure]", rule, "[permission.disclosure]", says);
}

#[test]
fn a_duty_is_there_once() {
    let twice = of_policy("action = \"delete\"\nwithin_days = 30\n[[duty]]\naction = \"delete\"\nwithin_days = 30");
    let report = Files::new()
        .edit(PATH, "[[prohibition]]", &twice)
        .compile()
        .unwrap_err();
    assert!(
        report.message.ends_with("the policy: a duty is there twice"),
        "{report}"
    );
}

#[test]
fn duties_read_as_they_are_written() {
    let all = of_policy(
        "action = \"publish-results\"\nwithin_days = 540\n[[duty]]\naction = \"delete\"\nwithin_days = 30\n[[duty]]\n\
         action = \"attribute\"\ntext = \"gbsg\"",
    );
    let rules = Files::new().edit(PATH, "[[prohibition]]", &all).rules();
    let policy = &rules.of_collection(&"breast-cancer".parse().unwrap())[0];
    let expected = [
        Duty::Delete { within_days: 30 },
        Duty::Attribute {
            text: "gbsg".to_owned(),
        },
        Duty::PublishResults { within_days: 540 },
    ];
    assert_eq!(policy.duties, expected);
}
