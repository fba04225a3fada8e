#![allow(clippy::unwrap_used, reason = "tests say what they expect by failing")]

use std::fs;

use super::*;

fn refused(file: &str, content: &[u8]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    fs::write(&path, content).unwrap();
    Tables::default().add("mine", &path).unwrap_err()
}

fn kinds(csv: &str) -> Vec<DataType> {
    let rows = of_csv(csv).unwrap();
    rows.columns().iter().map(|column| column.data_type().clone()).collect()
}

#[test]
fn a_file_that_is_no_table_is_refused_by_name() {
    for (file, content, says) in [
        ("x.txt", &b"a\n1\n"[..], "does not end in .csv or .parquet"),
        ("x.csv", b"", "it has no columns"),
        ("x.csv", b"a,a\n1,2\n", "two columns called \"a\""),
        ("x.csv", b"a,b\n1,2\n3\n", "line"),
        ("x.csv", b"a\n\xff\n", "not UTF-8"),
        ("x.parquet", b"no parquet", "arquet"),
    ] {
        let report = refused(file, content);
        assert_eq!(report.problem, Problem::OwnFile, "{report}");
        assert!(
            report.message.contains(says) && report.message.contains(file),
            "{report}"
        );
    }
    let missing = Tables::default().add("mine", Path::new("/nowhere/x.csv")).unwrap_err();
    assert_eq!(missing.problem, Problem::FileMissing);
}

#[test]
fn a_name_is_one_that_needs_no_quotes_and_is_used_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    fs::write(&path, "a\n1\n").unwrap();
    for name in ["", "1x", "Districts", "a b", "__leaf_0", "x;y"] {
        assert_eq!(
            Tables::default().add(name, &path).unwrap_err().problem,
            Problem::Usage,
            "{name}"
        );
    }
    let mut tables = Tables::default();
    tables.add("mine", &path).unwrap();
    assert!(tables.add("mine", &path).unwrap_err().message.contains("two tables"));
}

#[test]
fn codes_with_leading_zeros_stay_text() {
    assert_eq!(kinds("ags,n\n03401,1\n9363,2\n"), [DataType::Utf8, DataType::Int64]);
    assert_eq!(
        kinds("a;b\n0.5;2020-01-31\n-3e2;\n"),
        [DataType::Float64, DataType::Date32]
    );
    assert_eq!(
        kinds("a,b,c\ntrue,,NaN\nfalse,,1\n"),
        [DataType::Boolean, DataType::Utf8, DataType::Utf8]
    );
    assert_eq!(
        kinds("a,b\n99999999999999999999,2020-02-31\n"),
        [DataType::Float64, DataType::Utf8]
    );
    assert_eq!(kinds("a\n"), [DataType::Utf8]);
}
