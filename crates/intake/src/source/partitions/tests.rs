use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, Int64Array};
use parquet::arrow::ArrowWriter;

use super::*;
use crate::example::{Files, conformed};
use crate::mapping::{Mapping, SourceForm};
use crate::{Opened, mapping};

fn read(path: &Path, wanted: &[&str]) -> Result<Vec<Vec<Option<String>>>, Report> {
    let opened = Opened::open(path, &SourceForm::default())?;
    let wanted: Vec<usize> = wanted.iter().map(|name| opened.position(name).unwrap()).collect();
    let mut rows = Vec::new();
    for piece in opened.batches(&wanted)? {
        let batch = piece?.batch;
        assert_eq!(batch.num_columns(), wanted.len());
        for row in 0..batch.num_rows() {
            let cell = |column: &ArrayRef| {
                let text = arrow::compute::cast(column, &DataType::Utf8).unwrap();
                let text = text.as_string::<i32>();
                text.is_valid(row).then(|| text.value(row).to_owned())
            };
            rows.push(batch.columns().iter().map(cell).collect());
        }
    }
    Ok(rows)
}

#[test]
fn what_is_said_twice_or_by_some_files_only_is_refused() {
    let refused = |files: &[(&str, &[u8])], says: &str| {
        let files = Files::of(files);
        let report = read(&files.path("."), &[]).unwrap_err();
        assert_eq!(report.problem, Problem::DataSchema);
        assert!(report.message.contains(says), "{report}");
    };
    let csv: &[u8] = b"id,n\na,1\n";
    refused(
        &[("ID=1/a.csv", csv)],
        "ID is named by a folder, and is a column of the files",
    );
    refused(&[("year=1/Year=2/a.csv", csv)], "the column \"Year\" twice");
    refused(&[("=1/a.csv", csv)], "twice, or none");
    refused(&[("y=%FF/a.csv", csv)], "is not UTF-8");
    refused(
        &[("year=1/a.csv", csv), ("b.csv", csv)],
        "year=1/a.csv has other columns than b.csv",
    );
    refused(
        &[("year=1/month=2/a.csv", csv), ("year=1/a.csv", csv)],
        "has other columns than",
    );
}

#[test]
fn folders_are_columns_of_the_files_below_them_in_any_format() {
    let parquet = |n: i64| {
        let batch = RecordBatch::try_from_iter([
            ("id", Arc::new(StringArray::from(vec!["a", "b"])) as ArrayRef),
            ("n", Arc::new(Int64Array::from(vec![n, n + 1]))),
        ]);
        let batch = batch.unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    };
    let some = |cells: &[&str]| cells.iter().map(|cell| Some((*cell).to_owned())).collect::<Vec<_>>();
    let csv: &[u8] = b"id,n\na,1\nb,2\n";
    let json: &[u8] = b"{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":2}\n";
    for (name, bytes) in [
        ("a.parquet", parquet(1)),
        ("a.csv", csv.to_vec()),
        ("a.ndjson", json.to_vec()),
    ] {
        let at = |folder: &str| format!("{folder}/{name}");
        let files = Files::of(&[
            (&at("year=2023/ward=eye%2Fear"), &bytes),
            (&at(&format!("year=2024/ward={MISSING}")), &bytes),
        ]);
        let rows = read(&files.path("."), &["ward", "n", "year", "n"]).unwrap();
        assert_eq!(rows[0], some(&["eye/ear", "1", "2023", "1"]), "{name}");
        assert_eq!(rows[1], some(&["eye/ear", "2", "2023", "2"]));
        assert_eq!(
            rows[3][..],
            [
                None,
                Some("2".to_owned()),
                Some("2024".to_owned()),
                Some("2".to_owned())
            ]
        );
        // Also where nothing of the files is wanted, as many rows as they have.
        let years = read(&files.path("."), &["year"]).unwrap();
        assert_eq!(
            years,
            [some(&["2023"]), some(&["2023"]), some(&["2024"]), some(&["2024"])]
        );
        // What is named itself says nothing.
        let opened = Opened::open(&files.path("year=2023"), &SourceForm::default()).unwrap();
        assert_eq!((opened.position("year"), opened.position("ward")), (None, Some(2)));
        let file = files.path(&at("year=2023/ward=eye%2Fear"));
        assert_eq!(
            Opened::open(&file, &SourceForm::default()).unwrap().position("ward"),
            None
        );
    }
}

#[test]
fn what_folders_say_conforms_as_programs_write_it_and_can_be_derived_from() {
    let csv: &[u8] = "patient_id,haemoglobin,smoker\np1,\"12,5\",ja\n".as_bytes();
    let files = Files::of(&[("sex=female/admitted_on=2024-01-31/age=1,5/a.csv", csv)]);
    let mut mapping = Mapping::plain("stays".parse().unwrap());
    mapping.source.decimal = crate::cell::Decimal::Comma;
    mapping.source.date = Some("%d.%m.%Y".to_owned());
    let derived = mapping::ColumnMapping {
        derived: Some("IF(sex = 'female', 50, 60)".to_owned()),
        ..Default::default()
    };
    mapping.columns.insert("age".to_owned(), derived);
    let (batches, _) = conformed(&files.path("."), &mapping).unwrap();
    assert_eq!(batches[0].column(1).as_string::<i32>().value(0), "female");
    assert_eq!(
        batches[0]
            .column(2)
            .as_primitive::<arrow::datatypes::Int64Type>()
            .value(0),
        50
    );
    assert_eq!(
        batches[0]
            .column(4)
            .as_primitive::<arrow::datatypes::Date32Type>()
            .value(0),
        19_753
    );
}
