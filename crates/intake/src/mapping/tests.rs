use super::*;
use crate::example::{Files, stays};

#[track_caller]
fn refused(text: &str, problem: Problem, says: &str) {
    let files = Files::of(&[
        ("m.toml", text.as_bytes()),
        ("twice.csv", b"from,to\nw,female\nw,male\n"),
        ("none.csv", b"a,b\nw,female\n"),
    ]);
    let report = Mapping::load(&files.path("m.toml"), &stays()).unwrap_err();
    assert_eq!(report.problem, problem, "{report}");
    assert!(
        format!("{report} {}", report.remedy).contains(says),
        "{report} {}",
        report.remedy
    );
}

#[test]
fn a_mapping_with_a_mistake_names_it() {
    let stays = |rest: &str| format!("collection = \"stays\"\n{rest}");
    refused(
        "collection = \"beds\"",
        Problem::FileValue,
        "is a mapping to beds, not to stays",
    );
    refused(&stays("colums = {}"), Problem::FileKey, "did you mean `columns`?");
    refused(
        &stays("[columns.haemoglobn]\nfrom = \"Hb\""),
        Problem::FileKey,
        "did you mean haemoglobin?",
    );
    refused(
        &stays("[columns.age]\nform = \"Alter\""),
        Problem::FileKey,
        "did you mean `from`?",
    );
    refused(
        &stays("[source]\nencoding = \"utf-9\""),
        Problem::FileValue,
        "is no encoding",
    );
    refused(
        &stays("[source]\ndate = \"%Q\""),
        Problem::FileValue,
        "is no way to write dates",
    );
    refused(
        &stays("[source]\ntime_zone = \"Berlin\""),
        Problem::FileValue,
        "is no time zone",
    );
    refused(
        &stays("[source]\ndecimal = \";\""),
        Problem::FileValue,
        "unknown variant",
    );
    refused(
        &stays("[columns.age]\ntimes = 2.0"),
        Problem::FileValue,
        "times and plus are for numbers",
    );
    refused(
        &stays("[columns.haemoglobin]\ntimes = 0.0"),
        Problem::FileValue,
        "times not zero",
    );
    let unit = |rest: &str| stays(&format!("[columns.haemoglobin]\n{rest}"));
    for (rest, says) in [
        ("unit = \"Stück\"", "is no unit"),
        ("unit = \"mmol/L\"", "cannot be converted to g/dL"),
        ("unit = \"kg\"\nmolar_mass = 16114", "cannot be converted to g/dL"),
        ("unit = \"g/L\"\nunit_column = \"Einheit\"", "both unit and unit_column"),
        ("unit = \"g/L\"\ntimes = 2.0", "times or plus beside a unit"),
        ("unit = \"mmol/L\"\nmolar_mass = 0.0", "more than zero"),
        ("molar_mass = 16114", "has neither"),
    ] {
        refused(&unit(rest), Problem::FileValue, says);
    }
    refused(
        &stays("[columns.age]\nunit = \"a\""),
        Problem::FileValue,
        "units are for numbers",
    );
    refused(
        &stays("[columns.haemoglobin]\nplus = inf"),
        Problem::FileValue,
        "must be finite",
    );
    refused(
        &stays("[columns.age]\nfrom = [\"a\", \"b\"]"),
        Problem::FileValue,
        "several columns make a text",
    );
    refused(
        &stays("[columns.sex]\nfrom = \"a\"\nvalue = \"male\""),
        Problem::FileValue,
        "both from and value",
    );
    refused(
        &stays("[columns.sex]\ndecimal = \",\""),
        Problem::FileValue,
        "decimal is for numbers",
    );
    refused(
        &stays("[columns.sex]\ndate = \"%Y\""),
        Problem::FileValue,
        "date is for days",
    );
    refused(
        &stays("[columns.sex]\ncodes_file = \"twice.csv\""),
        Problem::FileValue,
        "twice, with two partners",
    );
    refused(
        &stays("[columns.sex]\ncodes_file = \"none.csv\""),
        Problem::FileValue,
        "no columns from and to",
    );
    refused(
        &stays("[columns.sex]\ncodes_file = \"gone.csv\""),
        Problem::FileMissing,
        "gone.csv",
    );
}

#[test]
fn what_is_written_is_read_again() {
    let text = "collection = \"stays\"\n\n[source]\nencoding = \"windows-1252\"\ndecimal = \",\"\n\n[columns.age]\nfrom = \"Alter\"\nmisfits = \"missing\"\n";
    let files = Files::of(&[("m.toml", text.as_bytes())]);
    let mapping = Mapping::load(&files.path("m.toml"), &stays()).unwrap();
    assert_eq!(mapping.to_toml(), text);
    let files = Files::of(&[("m.toml", mapping.to_toml().as_bytes())]);
    assert_eq!(Mapping::load(&files.path("m.toml"), &stays()).unwrap(), mapping);
}
