use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use policy::Calendar;

use super::*;
use crate::Twin;
use crate::example::{Files, stays};

fn seasons() -> Collection {
    let mut collection = stays();
    collection.columns[4].domain = Some(Domain::Calendar(Calendar::Month));
    collection.columns[0].roles.identifier = true;
    collection
}

fn read(files: &[(&str, &str)]) -> Result<Margins, Report> {
    let bytes: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let folder = Files::of(&bytes);
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.path(name)).collect();
    Margins::read(&paths, &seasons())
}

/// The cells of some columns of a twin, row by row.
fn twin(margins: &Margins, people: u32, seed: u64, columns: &[&str]) -> Vec<Vec<String>> {
    let also = BTreeMap::new();
    let mut out = Vec::new();
    let twin = Twin { people, seed, also };
    twin.write(&seasons(), margins, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let mut lines = text
        .lines()
        .map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let places: Vec<usize> = columns
        .iter()
        .map(|column| header.iter().position(|name| name == column).unwrap())
        .collect();
    lines
        .map(|line| places.iter().map(|at| line[*at].clone()).collect())
        .collect()
}

/// How many rows have a share of a value that is further from the expected one than chance allows, in one of some millions of tables.
#[track_caller]
fn agrees(rows: &[Vec<String>], is: impl Fn(&[String]) -> bool, share: f64, even: f64) {
    let (all, found) = (rows.len() as f64, rows.iter().filter(|row| is(row)).count() as f64);
    let allowed = 5.0 * (share * (1.0 - share) / all).sqrt();
    assert!(
        (found / all - share).abs() <= allowed,
        "{} and not {share} ± {allowed}",
        found / all
    );
    assert!((even - share).abs() > 2.0 * allowed, "an even share would do as well");
}

#[test]
fn what_is_no_margin_of_the_collection_is_refused_and_says_why() {
    for (name, text, says) in [
        (
            "a.csv",
            "sex,n\nfemale,10\nother,3\n",
            "row 2: no value of sex that the collection declares",
        ),
        ("a.csv", "sex,n\nfemale,-10\n", "row 1: a negative count"),
        ("a.csv", "sex,n\nfemale,10.5\n", "row 1: no count"),
        ("a.csv", "sex,n\nfemale,many\n", "row 1: no count"),
        ("a.csv", "sex\nfemale\n", "no count"),
        ("a.csv", "sexes,n\nfemale,10\n", "sexes, n are no columns of stays"),
        ("a.csv", "sex,n,m\nfemale,10,10\n", "n, m are no columns of stays"),
        ("a.csv", "patient_id,n\np1,10\n", "patient_id tells people"),
        (
            "a.csv",
            "haemoglobin,n\n12.5,10\n",
            "haemoglobin has no declared values",
        ),
        ("a.csv", "age,n\n\"[0, 50)\",10\n", "row 1: no value of age"),
        ("a.csv", "age,n\n44,10\n", "row 1: no value of age"),
        (
            "a.csv",
            "admitted_on,n\n2024-05-02,10\n",
            "row 1: no value of admitted_on",
        ),
        (
            "a.csv",
            "sex,smoker,age,n\nfemale,true,\"[0, 40)\",10\n",
            "more than two columns",
        ),
        ("a.csv", "sex,n\n", "no count was released"),
        ("a.csv", "sex,n\nfemale,\nmale,0\n", "no count was released"),
        ("a.csv", "sex,n\nfemale,10,3\n", "row 2: 3 fields"),
        ("a.csv", "sex,n\nfemale,18446744073709551615\nmale,1\n", "too large"),
        ("a.json", "[1]", "no answer as datenraum query --format json writes it"),
        (
            "a.json",
            r#"{"columns": [{"name": "sex"}], "rows": [["female", 3]]}"#,
            "longer or shorter than the header",
        ),
        (
            "a.json",
            r#"{"columns": [{"name": "sex"}, {"name": "n"}], "rows": [["female", 3]], "coverage": [{"data": [{"collection": "other"}]}]}"#,
            "an answer about other, not stays",
        ),
        (
            "a.json",
            r#"{"columns": [{"name": "sex"}, {"name": "n"}], "rows": [["female", 3]], "coverage": [{"data": [{"collection": "stays", "synthetic": true}]}]}"#,
            "made up themselves",
        ),
        ("a.txt", "sex,n\nfemale,10\n", "does not end as a data file does"),
    ] {
        let report = read(&[(name, text)]).unwrap_err();
        assert_eq!(report.problem, Problem::Margins, "{report}");
        assert!(
            report.message.starts_with(name) && report.message.contains(says),
            "{report}: {says}"
        );
        assert!(!report.remedy.is_empty());
    }
    let near = read(&[("a.csv", "sexes,n\nfemale,10\n")]).unwrap_err();
    assert!(near.remedy.starts_with("did you mean sex?"), "{}", near.remedy);
    let sex = "sex,n\nfemale,10\n";
    let twice = read(&[("a.csv", sex), ("b.csv", "sex,smoker,n\nfemale,true,3\n")]).unwrap_err();
    assert!(twice.message.contains("b.csv: a second file about sex"), "{twice}");
    let totals = read(&[("a.csv", "n\n10\n"), ("b.csv", "n\n10\n")]).unwrap_err();
    assert!(
        totals.message.contains("b.csv: a second number of all rows"),
        "{totals}"
    );
    let missing = Margins::read(&["nowhere.csv".into()], &seasons()).unwrap_err();
    assert_eq!(missing.problem, Problem::FileMissing);
}

#[test]
fn columns_have_the_shares_that_were_released_added_up_over_nodes() {
    let sex = "sex,node,\"count(*)\"\nfemale,a,500\nmale,a,150\nfemale,b,300\n,b,50\n";
    let age = "bin(stays.age),n\n\"[0, 40)\",10\n\"[40, 60)\",20\n\"[60, 120)\",170\n";
    let days = "\"date_trunc(Utf8(\"\"month\"\"),stays.admitted_on)\",n\n2024-02-01T00:00:00,900\n2024-03-01,100\n";
    let margins = read(&[("sex.csv", sex), ("age.csv", age), ("days.csv", days)]).unwrap();
    let rows = twin(&margins, 8_000, 1, &["sex", "age", "admitted_on"]);
    for (value, share) in [("female", 0.8), ("male", 0.15), ("", 0.05)] {
        agrees(&rows, |row| row[0] == value, share, 1.0 / 3.0);
    }
    let between = |row: &[String], low, high| row[1].parse().is_ok_and(|age: u32| (low..high).contains(&age));
    for (low, high, share) in [(0, 40, 0.05), (40, 60, 0.1), (60, 120, 0.85)] {
        agrees(&rows, |row| between(row, low, high), share, 1.0 / 3.0);
    }
    agrees(&rows, |row| row[2].starts_with("2024-02-"), 0.9, 0.5);
    agrees(&rows, |row| row[2].starts_with("2024-03-"), 0.1, 0.5);
    assert!(rows.iter().any(|row| row[2] == "2024-02-29") && rows.iter().any(|row| row[2] == "2024-03-31"));
    // Each column for itself.
    let of_both = 0.8 * 0.05;
    agrees(
        &rows,
        |row| row[0] == "female" && between(row, 0, 40),
        of_both,
        1.0 / 9.0,
    );
    // The seed makes the same table.
    assert_eq!(
        twin(&margins, 50, 3, &["sex", "age"]),
        twin(&margins, 50, 3, &["sex", "age"])
    );
    assert_ne!(
        twin(&margins, 50, 3, &["sex", "age"]),
        twin(&margins, 50, 4, &["sex", "age"])
    );
    let origin = &margins.origins()[0];
    assert_eq!((origin.file.as_str(), origin.released), ("sex.csv", 1_000));
    let digest: String = Sha256::digest(sex).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&origin.sha256, origin.unlisted_values), (&digest, 0));
}

#[test]
fn two_keys_are_drawn_together() {
    let joint = "smoker,sex,n\ntrue,female,700\nfalse,male,200\nfalse,female,100\n";
    let margins = read(&[("both.csv", joint)]).unwrap();
    let rows = twin(&margins, 8_000, 1, &["sex", "smoker"]);
    for (sex, smoker, share) in [
        ("female", "true", 0.7),
        ("male", "false", 0.2),
        ("female", "false", 0.1),
    ] {
        agrees(&rows, |row| row[0] == sex && row[1] == smoker, share, 1.0 / 3.0);
    }
    assert!(!rows.iter().any(|row| row[0] == "male" && row[1] == "true"));
    assert_eq!(margins.origins()[0].unlisted_values, 9 - 3);
    assert!(margins.origins()[0].unlisted.contains(&"true × male".to_owned()));
}

#[test]
fn what_was_withheld_has_no_share_but_an_even_part_of_what_is_left_where_the_number_of_all_rows_was_released() {
    // Of 1,000 rows, 30 are of the middle age and 70 of the oldest; neither left.
    let ages = "age,n\n\"[0, 40)\",900\n\"[40, 60)\",\n";
    let margins = read(&[("age.csv", ages)]).unwrap();
    let rows = twin(&margins, 4_000, 1, &["age"]);
    assert!(rows.iter().all(|row| row[0].parse().is_ok_and(|age: u32| age < 40)));
    let origin = &margins.origins()[0];
    assert_eq!((origin.unlisted_values, origin.spread), (3, None));
    assert_eq!(origin.unlisted, ["40 to 59", "60 to 119", "missing"]);

    let margins = read(&[("age.csv", ages), ("all.csv", "n\n1000\n")]).unwrap();
    let rows = twin(&margins, 8_000, 1, &["age"]);
    let between = |row: &[String], low, high| row[0].parse().is_ok_and(|age: u32| (low..high).contains(&age));
    agrees(&rows, |row| between(row, 0, 40), 0.9, 1.0 / 4.0);
    for is in [|age: u32| (40..60).contains(&age), |age| age >= 60] {
        agrees(&rows, |row| row[0].parse().is_ok_and(is), 0.1 / 3.0, 0.07);
        agrees(&rows, |row| row[0].parse().is_ok_and(is), 0.1 / 3.0, 1.0 / 4.0);
    }
    agrees(&rows, |row| row[0].is_empty(), 0.1 / 3.0, 1.0 / 4.0);
    let told: Vec<_> = margins
        .origins()
        .iter()
        .map(|origin| (origin.released, origin.spread))
        .collect();
    assert_eq!(told, [(1_000, None), (900, Some(100))]);
    // Rounding can make the parts more than the whole.
    let more = read(&[("age.csv", ages), ("all.csv", "n\n800\n")]).unwrap();
    assert!(twin(&more, 500, 1, &["age"]).iter().all(|row| !row[0].is_empty()));
}

#[test]
fn an_answer_is_the_same_in_each_format_that_a_query_is_written_in() {
    let files = Files::of(&[("a.csv", b"sex,n\nfemale,30\n,10\n")]);
    let json = r#"{"query_id": "q", "columns": [{"name": "sex", "type": "Utf8"}, {"name": "n", "type": "Int64"}],
        "rows": [["female", 30], [null, 10]], "intervals": [{"row": 0, "column": "n", "low": 30.0, "high": null, "nodes": ["b"]}],
        "coverage": [{"node": "a", "data": [{"collection": "stays", "version": 1}]}, {"node": "b"}]}"#;
    std::fs::write(files.path("a.json"), json).unwrap();
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("female"), None]));
    let counts: ArrayRef = Arc::new(Int64Array::from(vec![30, 10]));
    let batch = RecordBatch::try_from_iter([("sex", texts), ("n", counts)]).unwrap();
    let new = |name: &str| File::create(files.path(name)).unwrap();
    let mut parquet = parquet::arrow::ArrowWriter::try_new(new("a.parquet"), batch.schema(), None).unwrap();
    parquet.write(&batch).unwrap();
    parquet.close().unwrap();
    let mut arrow = arrow::ipc::writer::FileWriter::try_new(new("a.arrow"), &batch.schema()).unwrap();
    arrow.write(&batch).unwrap();
    arrow.finish().unwrap();
    let tables = ["a.csv", "a.json", "a.parquet", "a.arrow"].map(|name| {
        let margins = Margins::read(&[files.path(name)], &seasons()).unwrap();
        assert_eq!(margins.origins()[0].incomplete, usize::from(name == "a.json"));
        twin(&margins, 300, 5, &["sex", "age"])
    });
    assert!(tables.iter().all(|table| *table == tables[0]));
    agrees(&tables[0], |row| row[0] == "female", 0.75, 1.0 / 3.0);
}
