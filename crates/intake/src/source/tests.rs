use std::io::Write as _;

use arrow::array::AsArray as _;

use super::*;
use crate::example::Files;

fn read(path: &Path, form: &SourceForm) -> Result<Vec<Vec<Option<String>>>, Report> {
    let opened = Opened::open(path, form)?;
    let wanted: Vec<usize> = (0..opened.schema().fields().len()).collect();
    let mut rows = Vec::new();
    for piece in opened.batches(&wanted)? {
        let batch = piece?.batch;
        for row in 0..batch.num_rows() {
            let cell = |column: &arrow::array::ArrayRef| {
                let text = arrow::compute::cast(column, &DataType::Utf8).unwrap();
                let text = text.as_string::<i32>();
                arrow::array::Array::is_valid(text, row).then(|| text.value(row).to_owned())
            };
            rows.push(batch.columns().iter().map(cell).collect());
        }
    }
    Ok(rows)
}

#[track_caller]
fn refused(bytes: &[u8], name: &str, says: &str) {
    let files = Files::of(&[(name, bytes)]);
    let report = read(&files.path(name), &SourceForm::default()).unwrap_err();
    assert!(report.message.contains(says), "{report}");
    assert!(
        !report.to_string().contains("SECRET") && !report.remedy.contains("SECRET"),
        "{report}"
    );
}

#[test]
fn what_is_no_table_is_refused_by_its_place_and_not_quoted() {
    refused(b"", "a.csv", "is empty");
    refused(b"a,b\n1,SECRET,3\n", "a.csv", "row 2: 3 fields, and the header has 2");
    refused(b"a,b\n1,2\n3\n", "a.csv", "row 3: 1 fields, and the header has 2");
    refused(b"a,a\n1,2\n", "a.csv", "two columns of the file have the same name");
    refused(
        b"a,b\n1,2\nx,M\xfcnchen SECRET\n",
        "a.csv",
        "is not UTF-8 text, row 3, column b",
    );
    refused(b"PAR1 SECRET", "a.parquet", "is not a Parquet file");
    refused(b"SECRET", "a.arrow", "is not an Arrow IPC file");
    refused(
        b"{\"a\": 1}\n{\"a\": \"SECRET\"",
        "a.ndjson",
        "cannot be read as a table",
    );
    refused(b"SECRET", "a.docx", "does not end as a data file does");
    refused(b"\x1f\x8b\x08\x00SECRET", "a.csv.gz", "compress");
}

#[test]
fn a_quote_that_is_never_closed_is_found_in_bounded_memory() {
    let mut text = b"a,b\n".to_vec();
    (0..50_000).for_each(|row| text.extend_from_slice(format!("{row},fine\n").as_bytes()));
    text.extend_from_slice(b"50000,\"SECRET\n");
    (0..600_000).for_each(|row| text.extend_from_slice(format!("{row},fine\n").as_bytes()));
    assert!(text.len() > 6 * 1024 * 1024);
    refused(&text, "a.csv", "line 50002: a row of more than 4 MiB");
    let all_in_one = [b"a\n", vec![b','; 20_000].as_slice()].concat();
    refused(&all_in_one, "a.csv", "10000 fields begins there");
}

#[test]
fn what_becomes_far_too_long_is_refused_before_it_fills_anything() {
    let zeros = vec![b'0'; 1 << 20];
    let mut bomb = zstd::Encoder::new(Vec::new(), 3).unwrap();
    bomb.write_all(b"a\n").unwrap();
    (0..64).for_each(|_| (0..1024).for_each(|_| bomb.write_all(b"1234567890123\n").unwrap()));
    (0..256).for_each(|_| bomb.write_all(&zeros[..1024]).unwrap());
    let packed = bomb.finish().unwrap();
    // Of lines: within what any file may become.
    let files = Files::of(&[("a.csv.zst", &packed)]);
    assert!(read(&files.path("a.csv.zst"), &SourceForm::default()).is_ok());

    let mut bomb = zstd::Encoder::new(Vec::new(), 3).unwrap();
    bomb.write_all(b"a\n").unwrap();
    let lines = b"1\n".repeat(1 << 19);
    (0..64).for_each(|_| bomb.write_all(&lines).unwrap());
    refused(&bomb.finish().unwrap(), "a.csv.zst", "2000 times longer");
    let mut cut = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    (0..100_000).for_each(|row| writeln!(cut, "{row}").unwrap());
    let whole = cut.finish().unwrap();
    refused(&whole[..whole.len() / 2], "a.csv.gz", "ends in the middle");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let files = Files::of(&[("a.csv", b"a\n1\n")]);
    let opened = Opened::open(&files.path("a.csv"), &SourceForm::default()).unwrap();
    std::fs::write(files.path("a.csv"), "a\n1\n2\n").unwrap();
    let last = opened.batches(&[0]).unwrap().last().unwrap();
    assert!(last.unwrap_err().message.contains("was changed while it was read"));
}

#[test]
fn files_of_a_folder_are_one_table_if_their_columns_are_the_same() {
    let files = Files::of(&[
        ("t/2.csv", b"a,b\n3,4\n"),
        ("t/1.csv", b"a,b\n1,2\n"),
        ("t/readme.md", b"not data"),
        ("u/1.csv", b"a,b\n1,2\n"),
        ("u/2.csv", b"b,a\n1,2\n"),
        ("v/x.md", b""),
    ]);
    let rows = read(&files.path("t"), &SourceForm::default()).unwrap();
    assert_eq!(
        rows,
        [["1", "2"], ["3", "4"]].map(|row| row.map(|cell| Some(cell.to_owned())).to_vec())
    );
    let opened = Opened::open(&files.path("t"), &SourceForm::default()).unwrap();
    let pieces: Vec<Piece> = opened.batches(&[1]).unwrap().map(Result::unwrap).collect();
    assert_eq!((pieces[1].file.as_deref(), pieces[1].first_row), (Some("2.csv"), 2));
    assert!(
        Opened::open(&files.path("u"), &SourceForm::default())
            .unwrap_err()
            .message
            .contains("2.csv has other columns than 1.csv")
    );
    assert!(Opened::open(&files.path("v"), &SourceForm::default()).is_err());
}

#[test]
fn texts_are_read_in_their_encoding_whatever_the_delimiter_and_the_end_of_lines() {
    let expected = [["Köln", "1,5"], ["Gießen; \"Lahn\"", ""]];
    let expected: Vec<Vec<Option<String>>> = expected
        .map(|row| {
            row.map(|cell| Some(cell.to_owned()).filter(|cell| !cell.is_empty()))
                .to_vec()
        })
        .to_vec();
    let text = "Ort;Wert\r\nKöln;1,5\r\n\"Gießen; \"\"Lahn\"\"\";\r\n";
    let latin = encoding_rs::WINDOWS_1252.encode(text).0;
    let utf16: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let named = SourceForm {
        encoding: Some("iso-8859-1".to_owned()),
        ..SourceForm::default()
    };
    let marked = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
    for (bytes, form) in [
        (text.as_bytes(), &SourceForm::default()),
        (&latin, &named),
        (&utf16, &SourceForm::default()),
        (&marked, &named),
    ] {
        let files = Files::of(&[("a.csv", bytes)]);
        assert_eq!(read(&files.path("a.csv"), form).unwrap(), expected);
    }
    let files = Files::of(&[
        ("a.csv", &latin),
        ("b.tsv", b"a\tb\n1\t2\n"),
        ("c.csv", text.as_bytes()),
    ]);
    assert_eq!(encoding_of(&files.path("a.csv")).unwrap(), Some("windows-1252"));
    assert_eq!(encoding_of(&files.path("c.csv")).unwrap(), None);
    assert_eq!(
        read(&files.path("b.tsv"), &SourceForm::default()).unwrap(),
        [[Some("1".to_owned()), Some("2".to_owned())].to_vec()]
    );
}

#[test]
fn wanted_columns_come_in_the_wanted_order_from_every_format() {
    let ndjson = b"{\"a\": 1, \"b\": \"x\", \"c\": true}\n{\"a\": 2, \"b\": null, \"c\": false}\n";
    let files = Files::of(&[("a.ndjson", ndjson), ("a.csv", b"a,b,c\n1,x,true\n2,,false\n")]);
    let json = Opened::open(&files.path("a.ndjson"), &SourceForm::default()).unwrap();
    let all: Vec<usize> = (0..3).collect();
    let batch = json.batches(&all).unwrap().next().unwrap().unwrap().batch;
    let mut parquet =
        parquet::arrow::ArrowWriter::try_new(File::create(files.path("a.parquet")).unwrap(), batch.schema(), None)
            .unwrap();
    parquet.write(&batch).unwrap();
    parquet.close().unwrap();
    let mut ipc =
        arrow::ipc::writer::FileWriter::try_new(File::create(files.path("a.arrow")).unwrap(), &batch.schema()).unwrap();
    ipc.write(&batch).unwrap();
    ipc.finish().unwrap();
    for name in ["a.csv", "a.ndjson", "a.parquet", "a.arrow"] {
        let opened = Opened::open(&files.path(name), &SourceForm::default()).unwrap();
        let wanted = ["c", "a", "c"].map(|name| opened.position(name).unwrap());
        let batch = opened.batches(&wanted).unwrap().next().unwrap().unwrap().batch;
        let texts: Vec<String> = batch
            .columns()
            .iter()
            .map(|column| {
                let text = arrow::compute::cast(column, &DataType::Utf8).unwrap();
                text.as_string::<i32>().iter().flatten().collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(texts, ["true false", "1 2", "true false"], "{name}");
    }
}

#[test]
fn a_view_over_a_table_is_refused_before_anybody_is_called() {
    let view = SourceForm {
        view: Some("diagnosis".to_owned()),
        ..SourceForm::default()
    };
    for description in [
        // At ports where nobody listens: whoever called would be told so.
        "[postgres]\nhost = \"127.0.0.1\"\nport = 1\ndatabase = \"d\"\nuser = \"u\"\ntable = \"t\"\n",
        "[flight]\nurl = \"http://127.0.0.1:1\"\ntable = \"t\"\n",
    ] {
        let files = Files::of(&[("lab.toml", description.as_bytes())]);
        let report = Opened::open(&files.path("lab.toml"), &view).unwrap_err();
        assert_eq!(report.problem, Problem::FhirView, "{report}");
        assert!(report.message.contains("the source is a table"), "{report}");
        let called = Opened::open(&files.path("lab.toml"), &SourceForm::default()).unwrap_err();
        assert_eq!(called.problem, Problem::SourceUnreachable);
    }
}

#[test]
fn how_far_a_source_is_read_is_told_in_bytes_as_they_lie_there() {
    let rows: String = (0..60_000).map(|row| format!("{row},some text\n")).collect();
    let text = format!("n,text\n{rows}");
    let packed = zstd::encode_all(text.as_bytes(), 3).unwrap();
    let files = Files::of(&[("a.csv", text.as_bytes()), ("b.csv.zst", &packed)]);
    let opened = Opened::open(&files.path("."), &SourceForm::default()).unwrap();
    let all = (text.len() + packed.len()) as u64;
    for _ in 0..2 {
        let mut pieces = opened.batches(&[0]).unwrap();
        assert_eq!(opened.bytes_read(), Some((0, all)));
        pieces.next().unwrap().unwrap();
        let (read, _) = opened.bytes_read().unwrap();
        assert!(read > 0 && read < all / 2, "{read} of {all}");
        assert!(pieces.all(|piece| piece.is_ok()));
        // Whether something is compressed is seen by its beginning, which is read twice.
        let (read, _) = opened.bytes_read().unwrap();
        assert!((all..all + 16).contains(&read), "{read} of {all}");
    }
}
