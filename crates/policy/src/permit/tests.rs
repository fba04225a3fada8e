use terms::Problem;

use crate::example::{Files, PERMIT};
use crate::{OptOut, Permit, PermitKind, Quota};

const PATH: &str = "permits/p-1.toml";

fn line_of(piece: &str) -> usize {
    PERMIT[..PERMIT.find(piece).unwrap()].matches('\n').count() + 1
}

#[track_caller]
fn is_invalid(from: &str, to: &str, at: &str, says: &str) {
    let report = Files::new().with_permit(&[(from, to)]).compile().unwrap_err();
    assert_eq!(report.message, format!("{PATH}, line {}: {says}", line_of(at)));
    assert_eq!(report.problem, Problem::PolicyInvalid);
}

fn read(edits: &[(&str, &str)]) -> Permit {
    let rules = Files::new().with_permit(edits).rules();
    (*rules.permits[&"p-1".parse().unwrap()]).clone()
}

#[test]
fn a_07_a_permit_of_another_data_space_is_refused() {
    let report = Files::new()
        .with_permit(&[("\"oncology\"", "\"cardiology\"")])
        .compile()
        .unwrap_err();
    assert_eq!(
        (report.problem, report.message),
        (
            Problem::PolicyScope,
            format!("{PATH}, line 3: the permit is for the data space cardiology, not for oncology")
        )
    );
}

#[test]
fn a_permit_says_who_what_and_how_long() {
    for line in PERMIT.lines().filter(|line| line.contains('=')) {
        let report = Files::new().with_permit(&[(line, "")]).compile().unwrap_err();
        let key = line.split(' ').next().unwrap();
        assert_eq!(report.problem, Problem::FileKey, "{report}");
        assert!(report.message.contains(&format!("missing field `{key}`")), "{report}");
    }
    let nothing = PERMIT.split("[[dataset]]").next().unwrap();
    let report = Files::new().put(PATH, nothing).compile().unwrap_err();
    assert_eq!(
        report.message,
        format!("{PATH}, line 2: the permit has no [[dataset]]: name collections and columns")
    );
}

#[test]
fn keys_and_values_outside_the_vocabulary_are_refused() {
    let cases = [
        ("issuer ", "isuer ", Problem::FileKey),
        ("[[dataset]]", "[[datasets]]", Problem::FileKey),
        ("\"data-permit\"", "\"permit\"", Problem::FileValue),
        ("\"at-query\"", "\"never\"", Problem::FileValue),
        ("ehds-53-1-e", "ehds-53-1-z", Problem::FileValue),
        ("opt_out", "linkage = \"yes\"\nopt_out", Problem::FileValue),
        ("opt_out", "rows = true\nopt_out", Problem::FileKey),
        ("opt_out", "queries = { per_day = 1 }\nopt_out", Problem::FileKey),
        (
            "\"saarland-university\"\n",
            "\"Saarland University\"\n",
            Problem::FileValue,
        ),
    ];
    for (from, to, problem) in cases {
        let report = Files::new().with_permit(&[(from, to)]).compile().unwrap_err();
        assert_eq!(report.problem, problem, "{to}: {report}");
        assert!(report.message.starts_with(&format!("{PATH}, line ")), "{report}");
    }
}

#[test]
fn persons_purposes_and_quotas_say_something() {
    let says = "persons is empty: name who may use the permit";
    is_invalid("[\"saarland-university/ada\"]", "[]", "persons", says);
    let says = "the permit: a person is written \"member/person\", such as \"saarland-university/ada\"";
    is_invalid("saarland-university/ada", "ada", "persons", says);
    is_invalid("[\"ehds-53-1-e\"]", "[]", "purposes", "the permit: purposes is empty");
    let says =
        "the permit: Art. 54 EHDS prohibits ehds-54-a (decisions to a person's detriment), and no policy can permit it";
    is_invalid("ehds-53-1-e", "ehds-54-a", "purposes", says);
    let says = "the permit: queries needs per_minute or per_week, 1 or more";
    is_invalid("opt_out", "queries = { per_week = 0 }\nopt_out", "opt_out", says);
    for (key, from) in [
        ("title", "\"Age at diagnosis\""),
        ("issuer", "\"Health data access body\""),
    ] {
        is_invalid(
            from,
            "\"a\\u202eb\"",
            key,
            &format!("{key} must be 1 to 200 characters on one line"),
        );
    }
    let says = "acts_for must be 1 to 200 characters on one line";
    is_invalid("opt_out", "acts_for = \" \"\nopt_out", "opt_out", says);
}

#[test]
fn the_times_of_a_permit_are_in_order() {
    let late = "valid_until = 2026-12-31";
    let says = "valid_until is not after valid_from";
    is_invalid(late, "valid_until = 2026-02-28", "valid_until", says);
    is_invalid(late, "valid_until = 2026-03-01T00:00:00Z", "valid_until", says);
    let says = "valid_from is before the day of issue";
    is_invalid("2026-02-01", "2026-03-02", "valid_from", says);
    let says = "issued must be a day, or a time with an offset such as 2026-11-01T09:00:00Z";
    for time in ["2026-02-01T09:00:00", "09:00:00"] {
        is_invalid("2026-02-01", time, "issued", says);
    }
    is_invalid(
        late,
        "valid_until = 9999-12-30",
        "valid_until",
        "valid_until is too late",
    );
    let day = read(&[("valid_until = 2026-12-31", "valid_until = 2026-03-01")]);
    assert_eq!(
        day.valid_until.to_string(),
        "2026-03-02T00:00:00Z",
        "a day is meant to its end"
    );
    let same_day = read(&[("2026-02-01", "2026-03-01T15:30:00+01:00")]);
    assert_eq!(same_day.issued.to_string(), "2026-03-01T14:30:00Z");
}

#[test]
fn an_exception_from_opt_outs_gives_its_reason() {
    let says = "opt_out = \"exempt\" needs opt_out_reason: the national law under Art. 71(4) and why it applies";
    is_invalid("\"at-query\"", "\"exempt\"", "opt_out", says);
    let says = "opt_out_reason must be 1 to 200 characters on one line";
    let report = Files::new()
        .with_permit(&[("\"at-query\"", "\"exempt\"\nopt_out_reason = \"\"")])
        .compile()
        .unwrap_err();
    assert_eq!(
        report.message,
        format!("{PATH}, line {}: {says}", line_of("opt_out") + 1)
    );
    for other in ["at-query", "at-issue"] {
        let edit = [("\"at-query\"", &*format!("\"{other}\"\nopt_out_reason = \"law\""))];
        let report = Files::new().with_permit(&edit).compile().unwrap_err();
        assert!(
            report.message.ends_with("opt_out_reason is for opt_out = \"exempt\""),
            "{report}"
        );
    }
}

#[test]
fn datasets_name_each_collection_once() {
    let again = "\n[[dataset]]\ncollection = \"breast-cancer\"\ncolumns = []\n";
    let report = Files::new()
        .put(PATH, &format!("{PERMIT}{again}"))
        .compile()
        .unwrap_err();
    assert!(
        report.message.ends_with("collection breast-cancer is there twice"),
        "{report}"
    );
    let permit = read(&[("\"breast-cancer\"", "\"lung\""), ("\"grade\"", "\"stage\"")]);
    assert!(
        permit.columns.contains_key(&"lung".parse().unwrap()),
        "a collection that is gone opens nothing and stops nobody"
    );
    // A column that became an identifier: no permission can name it, so the permit opens nothing either.
    read(&[("\"grade\"", "\"patient_id\"")]);
}

#[test]
fn a_permit_is_named_by_its_id() {
    let report = Files::new().put("permits/other.toml", PERMIT).compile().unwrap_err();
    assert_eq!(
        report.message,
        "permits/other.toml, line 2: id \"p-1\" does not match the file name"
    );
}

#[test]
fn a_permit_keeps_what_its_file_says() {
    let permit = read(&[(
        "opt_out",
        "withdrawn = 2026-05-01T10:00:00+02:00\nlinkage = true\nacts_for = \"Ministry\"\nqueries = { per_week = 7 }\nopt_out",
    )]);
    assert_eq!(
        (
            permit.title.as_str(),
            permit.issuer.as_str(),
            permit.holder.as_str(),
            permit.kind
        ),
        (
            "Age at diagnosis",
            "Health data access body",
            "saarland-university",
            PermitKind::DataPermit
        )
    );
    assert_eq!(permit.withdrawn.unwrap().to_string(), "2026-05-01T08:00:00Z");
    assert_eq!((permit.linkage, permit.acts_for.as_deref()), (true, Some("Ministry")));
    let quota = Quota {
        per_minute: None,
        per_week: Some(7),
    };
    assert_eq!((permit.queries, permit.opt_out), (quota, OptOut::AtQuery));
    assert!(!read(&[]).linkage);
}
