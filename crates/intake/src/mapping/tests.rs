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
fn a_step_that_makes_another_type_or_goes_with_no_other_is_refused() {
    let stays = |rest: &str| format!("collection = \"stays\"\n{rest}");
    for (text, says) in [
        ("[source]\nleft_out_max = 1.5", "left_out_max is a share"),
        ("[source]\nleft_out_max = nan", "left_out_max is a share"),
        ("[columns.age]\nags = { digits = 5 }", "ags makes text"),
        (
            "[columns.sex]\nags = { digits = 5, leves = 1 }",
            "unknown field `leves`",
        ),
        ("[columns.sex]\npart = \"year\"", "part makes integer"),
        ("[columns.age]\npart = \"week\"", "unknown variant"),
        (
            "[columns.sex]\nags = { digits = 5 }\ncodes = { a = \"b\" }",
            "not with value or codes",
        ),
    ] {
        let files = Files::of(&[("m.toml", stays(text).as_bytes())]);
        let report = Mapping::load(&files.path("m.toml"), &crate::example::stays()).unwrap_err();
        let told = format!("{report} {}", report.remedy);
        assert!(told.contains(says), "{text}: {told}");
    }
    let ancestors: &[u8] = b"ancestor_concept_id,descendant_concept_id\n1,2\n";
    let text = stays("[columns.age]\ndescends_from = { concepts = [1], ancestors = \"a.csv\" }");
    let files = Files::of(&[("m.toml", text.as_bytes()), ("a.csv", ancestors)]);
    let report = Mapping::load(&files.path("m.toml"), &crate::example::stays()).unwrap_err();
    assert!(report.message.contains("descends_from makes boolean"), "{report}");
}

#[test]
fn a_view_that_is_a_file_lies_beside_the_mapping() {
    let load = |view: &str| {
        let text = format!("collection = \"stays\"\n[source]\nview = \"{view}\"\n");
        let files = Files::of(&[("m.toml", text.as_bytes())]);
        let mapping = Mapping::load(&files.path("m.toml"), &stays()).unwrap();
        (mapping.source.view.unwrap(), files.path("views/a.json"))
    };
    assert_eq!(load("diagnosis").0, "diagnosis");
    let (view, beside) = load("views/a.json");
    assert_eq!(Path::new(&view), beside);
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

#[test]
fn a_file_of_codes_that_cannot_be_read_refuses_the_mapping_and_quotes_nothing_of_it() {
    let load = |bytes: Option<&[u8]>| {
        let text = "collection = \"stays\"\n[columns.sex]\ncodes_file = \"codes.csv\"\n";
        let files = Files::of(&[("m.toml", text.as_bytes())]);
        match bytes {
            Some(bytes) => std::fs::write(files.path("codes.csv"), bytes).unwrap(),
            None => std::fs::create_dir(files.path("codes.csv")).unwrap(),
        }
        let report = Mapping::load(&files.path("m.toml"), &stays()).unwrap_err();
        assert!(!format!("{report:?}").contains("SECRET"), "{report:?}");
        report
    };
    for (bytes, problem, says) in [
        (None, Problem::DataSchema, "no file that ends as a data file does"),
        (Some(&b""[..]), Problem::DataSchema, "is empty"),
        (
            Some(b"from,to\nSECRET,M\xfcnchen\n"),
            Problem::DataSchema,
            "is not UTF-8 text, row 2",
        ),
        (
            Some(b"from,to\n\"SECRET,female\n"),
            Problem::DataSchema,
            "cannot be read",
        ),
        (Some(b"\x1f\x8b\x08\x00SECRET"), Problem::DataSchema, "compress"),
        (Some(b"from,to\nSECRET\n"), Problem::DataSchema, "row 2: 1 fields"),
        (
            Some(b"from,to\nSECRET,\n"),
            Problem::FileValue,
            "a code without a partner",
        ),
    ] {
        let report = load(bytes);
        assert_eq!(report.problem, problem, "{report}");
        assert!(report.message.contains(says), "no {says:?} in {report}");
    }
}
