use arrow::array::{Array as _, TimestampSecondArray};
use arrow::compute::cast as shown_as;

use super::*;
use crate::cell::Decimal;
use crate::example::{Files, conformed};
use crate::mapping::Mapping;

/// Two rows: one with values, one in which all is missing.
fn batch() -> RecordBatch {
    let columns: [(&str, ArrayRef); 10] = [
        ("kg", Arc::new(Float64Array::from(vec![Some(81.0), None]))),
        ("cm", Arc::new(Int64Array::from(vec![Some(180), None]))),
        ("name", Arc::new(StringArray::from(vec![Some(" Äpfel "), Some("k.A.")]))),
        ("code", Arc::new(StringArray::from(vec![Some("E11"), Some(" ")]))),
        ("score", Arc::new(StringArray::from(vec![Some("1.234,5"), None]))),
        ("smoker", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        // 1960-02-29 and 2024-02-28.
        ("born", Arc::new(Date32Array::from(vec![Some(-3594), None]))),
        ("seen", Arc::new(Date32Array::from(vec![Some(19_781), None]))),
        ("died", Arc::new(StringArray::from(vec![Some("31.12.2024"), None]))),
        // 2024-06-30 23:30 by a clock.
        (
            "at",
            Arc::new(TimestampSecondArray::from(vec![Some(1_719_790_200), None])),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn derived(text: &str, kind: ColumnKind) -> Result<Derived, String> {
    let batch = batch();
    let schema = batch.schema();
    let found: Vec<_> = columns(text)?
        .iter()
        .map(|name| schema.index_of(name).map(|at| (at, schema.field(at))))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let written = Written {
        decimal: Decimal::Comma,
        date: Some("%d.%m.%Y".to_owned()),
        zone: Some(jiff::tz::TimeZone::get("Europe/Berlin").unwrap()),
    };
    Derived::bind(text, &found, kind, &written, &BTreeSet::from(["k.A.".to_owned()]))
}

/// Both rows as texts, and why one has no value.
fn made(text: &str, kind: ColumnKind, shift: Option<i32>) -> (Vec<Option<String>>, Option<&'static str>) {
    let mut why = None;
    let shifts = shift.map(|shift| [Some(shift); 2]);
    let column = derived(text, kind).unwrap_or_else(|what| panic!("{text}: {what}"));
    let column = column
        .column(&batch(), shifts.as_ref().map(|shifts| &shifts[..]), |_, what| {
            why = Some(what)
        })
        .unwrap();
    let column = shown_as(&column, &DataType::Utf8).unwrap();
    let column = column.as_string::<i32>();
    let cells = (0..column.len()).map(|row| column.is_valid(row).then(|| column.value(row).to_owned()));
    (cells.collect(), why)
}

#[track_caller]
fn makes(text: &str, kind: ColumnKind, first: Option<&str>, second: Option<&str>) {
    let expected = [first, second].map(|cell| cell.map(str::to_owned)).to_vec();
    assert_eq!(made(text, kind, None), (expected, None), "{text}");
}

#[track_caller]
fn refused(text: &str, kind: ColumnKind, says: &str) {
    let what = derived(text, kind).map(drop).unwrap_err();
    assert!(what.contains(says), "{text}: no {says:?} in {what}");
}

#[test]
fn what_is_not_listed_is_refused_with_its_place_and_what_there_is() {
    for text in [
        "code LIKE 'E%'",
        "kg % 2",
        "code || 'x'",
        "(SELECT 1)",
        "EXISTS (SELECT 1)",
        "kg IN (SELECT 1)",
        "count(*)",
        "sum(kg)",
        "sum(kg) OVER ()",
        "coalesce(DISTINCT kg, 1)",
        "lower(code) FILTER (WHERE true)",
        "pg_read_file('/etc/passwd')",
        "lab.lower(code)",
        "\"lower\"(code)",
        "stays.kg",
        "random()",
        "now()",
        "current_date",
        "year(born, seen)",
        "coalesce()",
        "TRY_CAST(code AS integer)",
        "CAST(code AS bigint)",
        "CAST(code AS integer[])",
        "EXTRACT(year FROM born)",
        "INTERVAL '1' day",
        "TIMESTAMP '2024-01-01'",
        "DATE '31.12.2024'",
        "DATE '2024-02-30'",
        "substring(code from 1 for 1)",
        "trim(both 'x' from code)",
        "ceil(kg)",
        "floor(kg to day)",
        "kg IS DISTINCT FROM 1",
        "smoker IS TRUE",
        "kg = ANY (ARRAY[1])",
        "ARRAY[1]",
        "(kg, cm)",
        "E'a'",
        "X'00'",
        "$1",
        "kg ~ 'a'",
        "kg & 1",
        "@kg",
        "kg +",
        "kg; DROP TABLE x",
        "kg, cm",
        "",
    ] {
        let what = columns(text).unwrap_err();
        assert!(
            what.starts_with("derived") && what.contains("a derived column can use"),
            "{text}: {what}"
        );
    }
    let what = columns("kg +\n  (code LIKE 'E%')").unwrap_err();
    assert!(
        what.starts_with("derived, line 2, at 4: code LIKE 'E%' is nothing"),
        "{what}"
    );
}

#[test]
fn what_is_long_or_deep_is_refused_before_it_costs_anything() {
    let long = format!("concat({}'')", "code,".repeat(1000));
    refused(&long, ColumnKind::Text, "longer than 4096 bytes");
    refused(&"(".repeat(2000), ColumnKind::Text, "cannot be read");
    refused(
        &format!("cm{}", "+1".repeat(1000)),
        ColumnKind::Integer,
        "nested too deeply",
    );
    refused(
        &format!("{}smoker", "NOT ".repeat(500)),
        ColumnKind::Boolean,
        "cannot be read",
    );
    // What it makes, too.
    let doubled = (0..12).fold("name".to_owned(), |text, _| format!("concat({text}, {text})"));
    refused(&doubled, ColumnKind::Text, "longer than 4096");
    let (rows, why) = made("concat(code, 'x')", ColumnKind::Text, None);
    assert_eq!((rows[0].as_deref(), why), (Some("E11x"), None));
}

#[test]
fn types_that_do_not_go_together_are_refused_before_the_first_row() {
    for (text, kind, says) in [
        (
            "code + 1",
            ColumnKind::Number,
            "takes numbers, and not text; columns of text become numbers",
        ),
        ("kg AND smoker", ColumnKind::Boolean, "takes boolean, and not number"),
        (
            "kg = code",
            ColumnKind::Boolean,
            "a comparison takes number beside number, and not text",
        ),
        ("seen > '2024-01-01'", ColumnKind::Boolean, "and not text"),
        ("seen = at", ColumnKind::Boolean, "and not timestamp"),
        ("cm IN ('a')", ColumnKind::Boolean, "a comparison takes"),
        (
            "CASE WHEN kg THEN 1 END",
            ColumnKind::Integer,
            "a condition takes boolean",
        ),
        (
            "CASE WHEN smoker THEN 1 ELSE 'a' END",
            ColumnKind::Integer,
            "the results of CASE or IF",
        ),
        (
            "coalesce(born, code)",
            ColumnKind::Date,
            "COALESCE takes date beside date, and not text",
        ),
        ("year(code)", ColumnKind::Integer, "YEAR takes date"),
        (
            "years_between(born, at)",
            ColumnKind::Integer,
            "YEARS_BETWEEN takes date",
        ),
        ("concat(code, cm)", ColumnKind::Text, "takes text, and not integer"),
        (
            "CAST(kg AS integer)",
            ColumnKind::Integer,
            "CAST takes what can be read as that",
        ),
        ("CAST(kg AS text)", ColumnKind::Text, "CAST takes"),
        ("CAST(smoker AS integer)", ColumnKind::Integer, "CAST takes"),
        (
            "CAST('2024-01-01' AS date)",
            ColumnKind::Date,
            "a day is read from texts of columns",
        ),
        (
            "CAST(coalesce(died, '01.01.2024') AS date)",
            ColumnKind::Date,
            "a day is read from texts of columns",
        ),
        (
            "kg",
            ColumnKind::Integer,
            "derived makes number, and the collection expects integer",
        ),
        ("born", ColumnKind::Text, "derived makes date"),
        ("absent", ColumnKind::Text, "absent"),
    ] {
        refused(text, kind, says);
    }
}

#[test]
fn what_has_no_value_does_not_fit_and_says_why_without_it() {
    for (text, kind, why) in [
        ("kg / (cm - 180)", ColumnKind::Number, "a division by zero"),
        (
            "cm * 9223372036854775807",
            ColumnKind::Integer,
            "a number that is too large",
        ),
        (
            "cm + 9223372036854775807",
            ColumnKind::Integer,
            "a number that is too large",
        ),
        (
            "-cm - 9223372036854775807",
            ColumnKind::Integer,
            "a number that is too large",
        ),
        ("kg * 1e308 * 10", ColumnKind::Number, "a number that is too large"),
        ("round(kg * 1e300)", ColumnKind::Integer, "a number that is too large"),
        ("CAST(code AS number)", ColumnKind::Number, "text"),
        (
            "CAST(score AS integer)",
            ColumnKind::Integer,
            "a number with a decimal comma (a decimal point is expected)",
        ),
        ("CAST(code AS boolean)", ColumnKind::Boolean, "text"),
        ("CAST(code AS date)", ColumnKind::Date, "text"),
        (
            "born + 9223372036854775807",
            ColumnKind::Date,
            "a day that is too far away",
        ),
        (
            "year(born + 2000000000)",
            ColumnKind::Integer,
            "a day that is too far away",
        ),
    ] {
        assert_eq!(made(text, kind, None), (vec![None, None], Some(why)), "{text}");
    }
}

#[test]
fn numbers_texts_and_truth_are_those_of_sql() {
    use ColumnKind::{Boolean, Integer, Number, Text};
    makes("kg / ((cm / 100) * (cm / 100))", Number, Some("25.0"), None);
    makes("7 / 2", Number, Some("3.5"), Some("3.5"));
    makes("round(kg / 2)", Integer, Some("41"), None);
    makes("floor(-kg / 2)", Integer, Some("-41"), None);
    makes("cm - 1 - 1", Integer, Some("178"), None);
    makes("2 + 3 * cm", Number, Some("542.0"), None);
    makes("CAST(score AS number) + 0.5", Number, Some("1235.0"), None);
    makes("lower(trim(name))", Text, Some("äpfel"), None);
    makes(
        "concat(upper(code), '/', CAST(cm AS text))",
        Text,
        Some("E11/180"),
        None,
    );
    makes("name", Text, Some("Äpfel"), None);
    makes("code IN ('E10', 'E11')", Boolean, Some("true"), None);
    makes("code NOT IN ('E10', null)", Boolean, None, None);
    makes("kg BETWEEN 80 AND 81", Boolean, Some("true"), None);
    makes("kg NOT BETWEEN 80 AND 81", Boolean, Some("false"), None);
    makes("kg IS NULL", Boolean, Some("false"), Some("true"));
    makes("kg IS NOT NULL AND cm > 0", Boolean, Some("true"), Some("false"));
    // One that is missing decides nothing.
    makes("smoker OR true", Boolean, Some("true"), Some("true"));
    makes("smoker AND false", Boolean, Some("false"), Some("false"));
    makes("NOT smoker", Boolean, Some("false"), None);
    makes("smoker OR kg > 100", Boolean, Some("true"), None);
    makes(
        "CASE WHEN cm >= 190 THEN 'tall' WHEN cm >= 170 THEN 'middle' ELSE 'unknown' END",
        Text,
        Some("middle"),
        Some("unknown"),
    );
    makes(
        "CASE code WHEN 'E11' THEN 2 WHEN 'E10' THEN 1 END",
        Integer,
        Some("2"),
        None,
    );
    makes("IF(smoker, 1, 0)", Integer, Some("1"), Some("0"));
    makes("coalesce(kg, cm, -1)", Number, Some("81.0"), Some("-1.0"));
    // What is not taken is not worked out.
    makes(
        "CASE WHEN cm = 180 THEN 0.0 ELSE kg / (cm - 180) END",
        Number,
        Some("0.0"),
        None,
    );
    makes("cm = 180 OR kg / (cm - 180) > 1", Boolean, Some("true"), None);
    makes("null", Text, None, None);
}

#[test]
fn days_are_counted_as_people_count_them() {
    use ColumnKind::{Boolean, Date, Integer, Timestamp};
    // 29 February is over on 1 March.
    makes("years_between(born, seen)", Integer, Some("63"), None);
    makes("years_between(born, seen + 1)", Integer, Some("64"), None);
    makes("years_between(born, DATE '2023-02-28')", Integer, Some("62"), None);
    makes("years_between(born, DATE '2023-03-01')", Integer, Some("63"), None);
    makes("years_between(seen, born)", Integer, Some("-64"), None);
    makes("year(seen)", Integer, Some("2024"), None);
    makes("CAST(died AS date) - seen", Integer, Some("307"), None);
    makes("seen - 28", Date, Some("2024-01-31"), None);
    makes("seen < DATE '2024-02-29' AND seen >= born", Boolean, Some("true"), None);
    // By the clock it was still June.
    makes("CAST(at AS date)", Date, Some("2024-06-30"), None);
    makes("at", Timestamp, Some("2024-06-30T21:30:00"), None);
    makes(
        "coalesce(CAST(died AS date), DATE '2025-01-01')",
        Date,
        Some("2024-12-31"),
        Some("2025-01-01"),
    );
}

#[test]
fn days_of_a_person_move_together_and_constant_ones_stay() {
    use ColumnKind::{Boolean, Date, Integer, Timestamp};
    let shifted = |text: &str, kind: ColumnKind| {
        let (rows, why) = made(text, kind, Some(-60));
        assert_eq!(why, None, "{text}");
        rows
    };
    let one = |text: &str, kind: ColumnKind| shifted(text, kind)[0].clone().unwrap();
    assert_eq!(one("seen", Date), "2023-12-30");
    assert_eq!(one("at", Timestamp), "2024-05-01T21:30:00");
    assert_eq!(one("CAST(at AS date)", Date), "2024-05-01");
    assert_eq!(one("CAST(died AS date) + 1", Date), "2024-11-02");
    assert_eq!(
        one("year(seen)", Integer),
        "2023",
        "the true year would tell of the shift"
    );
    // What is between two days of a person is what it was, to the day.
    assert_eq!(one("years_between(born, seen)", Integer), "63");
    assert_eq!(one("years_between(born, seen + 1)", Integer), "64");
    assert_eq!(one("CAST(died AS date) - seen", Integer), "307");
    assert_eq!(one("seen > born", Boolean), "true");
    // A constant day would tell by how much, if it moved; beside it days are where they are shown.
    assert_eq!(
        shifted("DATE '2025-01-01'", Date),
        vec![Some("2025-01-01".to_owned()); 2]
    );
    assert_eq!(
        shifted("coalesce(seen, DATE '2025-01-01')", Date)[1].as_deref(),
        Some("2025-01-01")
    );
    assert_eq!(one("seen >= DATE '2024-01-01'", Boolean), "false");
    assert_eq!(one("seen IN (DATE '2023-12-30')", Boolean), "true");
    assert_eq!(one("DATE '2024-01-01' - seen", Integer), "2");
    // Days since an epoch are the person's.
    assert_eq!(one("DATE '2024-01-01' + cm", Date), "2024-04-30");
}

#[test]
fn a_mapping_derives_columns_and_lets_rows_without_a_value_count_as_missing() {
    let load = |rest: &str| {
        let text = format!("collection = \"stays\"\n[source]\ndate = \"%d.%m.%Y\"\n{rest}");
        let files = Files::of(&[("m.toml", text.as_bytes())]);
        Mapping::load(&files.path("m.toml"), &crate::example::stays())
    };
    for (rest, says) in [
        (
            "[columns.age]\nderived = \"a LIKE 'x'\"",
            "column age: derived, line 1, at 1: a LIKE 'x' is nothing",
        ),
        (
            "[columns.age]\nderived = \"a\"\nfrom = \"b\"",
            "derived goes with decimal, date and misfits",
        ),
        (
            "[columns.sex]\nderived = \"a\"\ncodes = { w = \"female\" }",
            "derived goes with",
        ),
        (
            "[columns.haemoglobin]\nderived = \"1.0\"\nunit = \"g/dL\"",
            "derived goes with",
        ),
    ] {
        let report = load(rest).unwrap_err();
        assert!(report.message.contains(says), "{says}: {report}");
    }
    let rest = "[columns.patient_id]\nderived = \"concat(house, '-', no)\"\n[columns.sex]\nderived = \"CASE WHEN g IN ('w', 'f') THEN 'female' WHEN g = 'm' THEN 'male' END\"\n\
        [columns.age]\nderived = \"years_between(CAST(born AS date), CAST(\\\"Aufnahme am\\\" AS date))\"\nmisfits = \"missing\"\n\
        [columns.haemoglobin]\nderived = \"CAST(hb AS number) / 10\"\ndecimal = \",\"\n[columns.admitted_on]\nfrom = \"Aufnahme am\"\n[columns.smoker]\nderived = \"py > '0'\"\n";
    let csv =
        "house,no,g,born,Aufnahme am,hb,PY\nA,1,w,01.03.1980,29.02.2024,\"145,5\",12\nA,2,x,01.03.2030,29.02.2024,,\n";
    let files = Files::of(&[("a.csv", csv.as_bytes())]);
    let (batches, misfits) = conformed(&files.path("a.csv"), &load(rest).unwrap()).unwrap();
    let texts = |at: usize| {
        let column = shown_as(batches[0].column(at), &DataType::Utf8).unwrap();
        let column = column.as_string::<i32>().clone();
        column.iter().map(|cell| cell.map(str::to_owned)).collect::<Vec<_>>()
    };
    let two = |one: &str, other: Option<&str>| vec![Some(one.to_owned()), other.map(str::to_owned)];
    assert_eq!(texts(0), two("A-1", Some("A-2")));
    assert_eq!(texts(1), two("female", None));
    // Born later than seen: below the bounds of the collection.
    assert_eq!(texts(2), two("43", None));
    assert_eq!(texts(3), two("14.55", None));
    assert_eq!(texts(5), two("true", None));
    assert_eq!(misfits.by_column()["age"]["a number outside the range"].count, 1);
    let strict = load(&rest.replace("misfits = \"missing\"\n", "")).unwrap();
    let report = conformed(&files.path("a.csv"), &strict).unwrap_err();
    assert!(report.message.contains("row 3, column age"), "{report}");
    let absent = load(&rest.replace("py >", "pack_years >")).unwrap();
    let report = conformed(&files.path("a.csv"), &absent).unwrap_err();
    assert!(
        report
            .message
            .contains("no column pack_years, from which the mapping makes smoker"),
        "{report}"
    );
}
