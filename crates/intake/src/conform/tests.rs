use arrow::array::Array as _;
use arrow::datatypes::Date32Type;

use crate::example::{Files, conformed, stays};

use super::*;

const HEADER: &str = "patient_id,sex,age,haemoglobin,admitted_on,smoker\n";

#[track_caller]
fn refused(line: &str, mapping: &str, says: &str) {
    let text = format!("{HEADER}p1,female,30,12.5,2024-12-31,true\n{line}\n");
    let files = Files::of(&[
        ("a.csv", text.as_bytes()),
        ("m.toml", format!("collection = \"stays\"\n{mapping}").as_bytes()),
    ]);
    let mapping = Mapping::load(&files.path("m.toml"), &stays()).unwrap();
    let report = conformed(&files.path("a.csv"), &mapping).unwrap_err();
    assert!(report.message.contains(says), "{report}");
    assert!(!format!("{report:?}").contains("SECRET"), "{report:?}");
}

#[test]
fn a_value_that_does_not_fit_is_told_by_row_column_and_class() {
    refused(
        ",female,30,12.5,2024-12-31,true",
        "",
        "row 3, column patient_id: nothing",
    );
    refused(
        "p2,SECRET,30,12.5,2024-12-31,true",
        "",
        "row 3, column sex: another text than those listed",
    );
    refused(
        "p2,male,SECRET,12.5,2024-12-31,true",
        "",
        "row 3, column age: text where the collection expects integer from 0 and below 120",
    );
    refused(
        "p2,male,120,12.5,2024-12-31,true",
        "",
        "row 3, column age: a number outside the range",
    );
    refused(
        "p2,male,30,\"12,5\",2024-12-31,true",
        "",
        "column haemoglobin: a number with a decimal comma",
    );
    refused(
        "p2,male,30,NaN,2024-12-31,true",
        "",
        "column haemoglobin: NaN or infinity",
    );
    refused(
        "p2,male,30,12,31.12.2024,true",
        "",
        "column admitted_on: a date that is not written like 2026-12-31",
    );
    refused("p2,male,30,12,2024-12-31,SECRET", "", "column smoker: text");
    refused(
        "p2,w,30,12,2024-12-31,true",
        "[columns.sex]\ncodes = { m = \"male\" }",
        "row 2, column sex: a code that the mapping does not have",
    );
    // Of two the first in the file is told, not the first in the alphabet.
    refused(
        "p2,male,30,99,2024-12-31,true\n,male,30,12,2024-12-31,true",
        "[columns.haemoglobin]\nmisfits = \"refuse\"",
        "row 3, column haemoglobin",
    );
    // A person who is not named cannot count as missing.
    refused(
        ",male,30,12,2024-12-31,true",
        "[columns.patient_id]\nmisfits = \"missing\"",
        "column patient_id: nothing",
    );
}

#[test]
fn german_files_conform_by_a_mapping() {
    let text = "Fall;Haus;Geschlecht;Alter;Hb (mmol/L);Aufnahme;Raucher\n\
                4711;K;w;30;\"7,5\";31.12.2024;ja\n4712;K;m;k.A.;8;01.01.1970;nein\n4713;K;x;200;1.000,5;02.01.1970;\n";
    let mapping = "collection = \"stays\"\n[source]\nencoding = \"windows-1252\"\ndecimal = \",\"\ndate = \"%d.%m.%Y\"\nmissing = [\"k.A.\"]\n\
                   [columns.patient_id]\nfrom = [\"Haus\", \"Fall\"]\n[columns.sex]\nfrom = \"Geschlecht\"\nmisfits = \"missing\"\n\
                   codes = { w = \"female\", m = \"male\" }\n[columns.age]\nfrom = \"Alter\"\nmisfits = \"missing\"\n\
                   [columns.haemoglobin]\nfrom = \"Hb (mmol/L)\"\ntimes = 1.611\nmisfits = \"missing\"\n\
                   [columns.admitted_on]\nfrom = \"Aufnahme\"\n[columns.smoker]\nfrom = \"Raucher\"\n";
    let files = Files::of(&[("a.csv", text.as_bytes()), ("m.toml", mapping.as_bytes())]);
    let mapping = Mapping::load(&files.path("m.toml"), &stays()).unwrap();
    let (batches, misfits) = conformed(&files.path("a.csv"), &mapping).unwrap();
    let batch = &batches[0];
    let texts = |at: usize| {
        batch
            .column(at)
            .as_string::<i32>()
            .iter()
            .map(|cell| cell.map(str::to_owned))
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(0), ["K/4711", "K/4712", "K/4713"].map(|key| Some(key.to_owned())));
    assert_eq!(texts(1), [Some("female".to_owned()), Some("male".to_owned()), None]);
    let ages: Vec<Option<i64>> = batch.column(2).as_primitive::<Int64Type>().iter().collect();
    assert_eq!(ages, [Some(30), None, None]);
    let haemoglobin: Vec<Option<f64>> = batch.column(3).as_primitive::<Float64Type>().iter().collect();
    assert_eq!(haemoglobin, [Some(7.5 * 1.611), Some(8.0 * 1.611), None]);
    let days: Vec<Option<i32>> = batch.column(4).as_primitive::<Date32Type>().iter().collect();
    assert_eq!(days, [Some(20_088), Some(0), Some(1)]);
    assert_eq!(batch.column(5).null_count(), 1);
    let counts: Vec<(&str, &str, u64)> = misfits
        .by_column()
        .iter()
        .flat_map(|(column, classes)| {
            classes
                .iter()
                .map(move |(class, misfit)| (column.as_str(), *class, misfit.count))
        })
        .collect();
    assert_eq!(
        counts,
        [
            ("age", "a number outside the range", 1),
            ("haemoglobin", "a number outside the range", 1),
            ("sex", "a code that the mapping does not have", 1)
        ]
    );
}

#[test]
fn a_column_that_is_not_there_is_told_with_what_is_near_and_rows_are_not_taken_for_headers() {
    let files = Files::of(&[
        ("a.csv", b"patient_id,sex,Age,AGE,haemoglobin,admitted_on,smoker\n"),
        ("b.csv", b"SECRET-1,female,30\nSECRET-2,male,31\n"),
    ]);
    let plain = Mapping::plain("stays".parse().unwrap());
    let report = conformed(&files.path("a.csv"), &plain).unwrap_err();
    assert!(report.remedy.contains("is it the file's column Age?"), "{report:?}");
    let report = conformed(&files.path("b.csv"), &plain).unwrap_err();
    assert!(
        report.remedy.contains("first line must hold the names") && !format!("{report:?}").contains("SECRET"),
        "{report:?}"
    );
}

#[test]
fn minus_zero_is_zero_and_a_constant_stands_in_every_row() {
    let files = Files::of(&[(
        "a.csv",
        b"patient_id,age,haemoglobin,admitted_on,smoker\np1,30,-0.0,2024-12-31,1\n",
    )]);
    let mut mapping = Mapping::plain("stays".parse().unwrap());
    let sex = ColumnMapping {
        value: Some("male".to_owned()),
        ..ColumnMapping::default()
    };
    mapping.columns.insert("sex".to_owned(), sex);
    let (batches, _) = conformed(&files.path("a.csv"), &mapping).unwrap();
    assert_eq!(batches[0].column(1).as_string::<i32>().value(0), "male");
    let zero = batches[0].column(3).as_primitive::<Float64Type>().value(0);
    assert_eq!(zero.to_bits(), 0.0_f64.to_bits());
}

#[test]
fn concepts_years_and_columns_in_capitals_conform_whatever_their_type() {
    let ancestors: &[u8] = b"ancestor_concept_id,descendant_concept_id\n10,11\n";
    let text = "collection = \"stays\"\n[columns.smoker]\nfrom = \"concept\"\ndescends_from = { concepts = [10], ancestors = \"a.csv\" }\n\
        [columns.age]\nfrom = \"born\"\npart = \"year\"\nmisfits = \"missing\"\n";
    let files = Files::of(&[("m.toml", text.as_bytes()), ("a.csv", ancestors)]);
    let mapping = Mapping::load(&files.path("m.toml"), &stays()).unwrap();
    let csv = "PATIENT_ID,Sex,CONCEPT,BORN,HAEMOGLOBIN,admitted_on\np1,male,11,0070-01-01,,\np2,male,10,x,,\np3,male,12,,,\np4,male,,,,\n";
    let as_csv = Files::of(&[("a.csv", csv.as_bytes())]);
    // The same with types, as databases export them.
    let types = arrow::datatypes::Schema::new(vec![
        arrow::datatypes::Field::new("PATIENT_ID", arrow::datatypes::DataType::Int64, true),
        arrow::datatypes::Field::new("SEX", arrow::datatypes::DataType::Utf8, true),
        arrow::datatypes::Field::new("CONCEPT", arrow::datatypes::DataType::Int32, true),
        arrow::datatypes::Field::new("BORN", arrow::datatypes::DataType::Date32, true),
        arrow::datatypes::Field::new("HAEMOGLOBIN", arrow::datatypes::DataType::Float64, true),
        arrow::datatypes::Field::new("ADMITTED_ON", arrow::datatypes::DataType::Date32, true),
    ]);
    let columns: Vec<arrow::array::ArrayRef> = vec![
        std::sync::Arc::new(arrow::array::Int64Array::from(vec![1, 2, 3, 4])),
        std::sync::Arc::new(arrow::array::StringArray::from(vec!["male"; 4])),
        std::sync::Arc::new(arrow::array::Int32Array::from(vec![Some(11), Some(10), Some(12), None])),
        // 0070-01-01 and three that are missing.
        std::sync::Arc::new(arrow::array::Date32Array::from(vec![Some(-693_960), None, None, None])),
        std::sync::Arc::new(arrow::array::Float64Array::from(vec![None, None, None, None])),
        std::sync::Arc::new(arrow::array::Date32Array::from(vec![None, None, None, None])),
    ];
    let typed = tempfile::tempdir().unwrap();
    let parquet = typed.path().join("a.parquet");
    let batch = arrow::array::RecordBatch::try_new(std::sync::Arc::new(types), columns).unwrap();
    let file = std::fs::File::create(&parquet).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    for file in [as_csv.path("a.csv"), parquet] {
        let (batches, _) = conformed(&file, &mapping).unwrap();
        let smoker: Vec<Option<bool>> = batches[0]
            .column_by_name("smoker")
            .unwrap()
            .as_boolean()
            .iter()
            .collect();
        assert_eq!(
            smoker,
            [Some(true), Some(true), Some(false), None],
            "{}",
            file.display()
        );
        let age = batches[0].column_by_name("age").unwrap();
        assert_eq!(age.as_primitive::<Int64Type>().value(0), 70, "{}", file.display());
        assert_eq!(age.null_count(), 3);
    }
}

/// What becomes of the haemoglobin of rows, each a number and a unit.
fn in_units(rows: &str, mapping: &str) -> Result<(Vec<Option<f64>>, Misfits), Report> {
    let lines = rows.lines().enumerate();
    let lines = lines
        .map(|(row, line)| format!("p{row},male,30,{line},2024-12-31,1\n"))
        .collect::<String>();
    let files = Files::of(&[
        (
            "a.csv",
            format!("patient_id,sex,age,haemoglobin,Einheit,admitted_on,smoker\n{lines}").as_bytes(),
        ),
        (
            "m.toml",
            format!("collection = \"stays\"\n[columns.haemoglobin]\n{mapping}").as_bytes(),
        ),
    ]);
    let mapping = Mapping::load(&files.path("m.toml"), &stays())?;
    let (batches, misfits) = conformed(&files.path("a.csv"), &mapping)?;
    let column = batches[0].column(3).as_primitive::<Float64Type>().iter().collect();
    Ok((column, misfits))
}

#[test]
fn a_number_whose_unit_is_not_known_is_no_number() {
    let refused = |rows: &str, says: &str| {
        let report = in_units(rows, "unit_column = \"Einheit\"").unwrap_err();
        assert!(report.message.contains(says), "{report}");
        assert!(!format!("{report:?}").contains("SECRET"), "{report:?}");
    };
    refused(
        "12.5,g/dL\n12.5,\n",
        "row 3, column haemoglobin: a number without a unit",
    );
    refused(
        "12.5,SECRET\n",
        "row 2, column haemoglobin: a number in a unit that is not known",
    );
    refused(
        "12.5,mmol/L\n",
        "a number in a unit that is not known or of another kind",
    );
    refused("400,g/L\n", "row 2, column haemoglobin: a number outside the range");
    let report = in_units("12.5,g/dL\n", "unit_column = \"Unit\"").unwrap_err();
    assert_eq!(report.problem, Problem::DataSchema);
    assert!(report.message.contains("no column Unit"), "{report}");
}

#[test]
fn every_number_comes_in_the_collections_unit() {
    let mixed = "125,g/L\n12.5,g/dl\n12.5,\n,\n,g/L\n1,SECRET\n2,SECRET\n8,mmol/L\n";
    let each = "unit_column = \"Einheit\"\nmolar_mass = 16114\nmisfits = \"missing\"";
    let (numbers, misfits) = in_units(mixed, each).unwrap();
    assert_eq!(numbers[..7], [Some(12.5), Some(12.5), None, None, None, None, None]);
    let amount = numbers[7].unwrap();
    assert!((amount - 12.8912).abs() < 1e-9, "{amount}");
    let counted: Vec<_> = misfits.by_column()["haemoglobin"]
        .iter()
        .map(|(class, misfit)| (*class, misfit.count))
        .collect();
    assert_eq!(counted, [(NO_CONVERSION, 2), (NO_UNIT, 1)]);
    let (numbers, _) = in_units("125,\n-0,\n", "unit = \"g/l\"").unwrap();
    assert_eq!(numbers, [Some(12.5), Some(0.0)]);
    assert!(numbers[1].unwrap().is_sign_positive());
}

#[test]
fn times_of_a_typed_source_are_by_the_clock_that_the_mapping_names() {
    let mut column = stays().columns.remove(4);
    column.kind = ColumnKind::Timestamp;
    let noon = 1_719_835_200_000_000;
    // 02:30 was there twice on 2024-10-27, and never on 2024-03-31.
    let times = TimestampMicrosecondArray::from(vec![
        Some(noon),
        None,
        Some(1_729_996_200_000_000),
        Some(1_711_852_200_000_000),
    ]);
    let conformed = |zone: Option<&str>, times: TimestampMicrosecondArray| {
        let times =
            RecordBatch::try_from_iter_with_nullable([("admitted_on", Arc::new(times) as ArrayRef, true)]).unwrap();
        let mut mapping = Mapping::plain("stays".parse().unwrap());
        mapping.source.time_zone = zone.map(str::to_owned);
        let rule = Rule {
            written: mapping.written(None).unwrap(),
            column: column.clone(),
            mapping: ColumnMapping::default(),
            missing: BTreeSet::new(),
            sources: vec![0],
            is_needed: false,
            is_shifted: false,
            units: Units::Same,
            derived: None,
            descendants: None,
            keys: None,
        };
        let mut misfits = Misfits::default();
        let piece = Piece {
            batch: times,
            first_row: 1,
            file: None,
            resources: Resources::default(),
        };
        let column = rule.conform(&piece, None, &mut misfits).unwrap();
        let column: Vec<_> = column.as_primitive::<TimestampMicrosecondType>().iter().collect();
        (
            column,
            misfits
                .by_column
                .values()
                .flat_map(|classes| classes.values().map(|misfit| misfit.count))
                .sum::<u64>(),
        )
    };
    let two_hours = 7_200_000_000;
    assert_eq!(
        conformed(Some("Europe/Berlin"), times.clone()),
        (vec![Some(noon - two_hours), None, None, None], 2)
    );
    assert_eq!(conformed(None, times.clone()).0[0], Some(noon));
    assert_eq!(
        conformed(Some("Europe/Berlin"), times.with_timezone("+00:00")).0[0],
        Some(noon)
    );
}
