use super::*;

const DEMO: &str = include_str!("../../../../demo/catalog.toml");

fn refused(from: &str, to: &str) -> String {
    assert!(DEMO.contains(from), "{from}");
    let report = Statements::parse(&DEMO.replacen(from, to, 1)).unwrap_err();
    assert_eq!(report.problem, Problem::FileSyntax);
    report.message
}

#[test]
fn how_many_people_there_are_has_no_place() {
    for key in [
        "number_of_records",
        "number_of_unique_individuals",
        "temporal",
        "min_typical_age",
    ] {
        let message = refused("themes      = [", &format!("{key} = 3\nthemes = ["));
        assert!(message.contains("unknown field") && message.contains(key), "{message}");
    }
}

#[test]
fn what_is_no_address_no_text_and_not_on_a_list_is_refused_with_its_line() {
    for (from, to, says) in [
        (
            "https://oncology.example/access",
            "oncology.example",
            "begins with https://",
        ),
        (
            "https://oncology.example/catalog",
            "https://oncology.example/#c",
            "without # and ?",
        ),
        (
            "https://oncology.example/access",
            "https://oncology.example/a b",
            "begins with https://",
        ),
        ("contact@access-body.example", "access-body", "data@hospital.example"),
        ("contact@access-body.example", "a@b@c.example", "data@hospital.example"),
        (
            "[\"RQSH\"]",
            "[\"COHORT\"]",
            "a category of Art. 51 EHDS is expected: EHRS",
        ),
        ("[\"CANCER_DISEASE\"]", "[\"CANCER\"]", "a health theme is expected"),
        ("[\"A9-2-j\"]", "[\"A9-2-z\"]", "A9-2-j"),
        (
            "{ en = \"Takes part in the demonstration.\", de",
            "{ fr = \"\", de",
            "unknown field `fr`",
        ),
        ("\"Takes part in the demonstration.\"", "\" \"", "none that is empty"),
        ("accuracy        =", "beauty =", "unknown variant `beauty`"),
    ] {
        let message = refused(from, to);
        assert!(message.contains(says) && message.contains("line"), "{message}");
    }
}
