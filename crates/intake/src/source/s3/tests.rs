//! Against moto and SeaweedFS, which the tests start.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{AsArray as _, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use faults::Proxy;
use faults::store::{ACCESS_KEY, BUCKET, SECRET_KEY, Store};

use super::*;
use crate::Opened;
use crate::example::Files;
use crate::mapping::SourceForm;

/// Something that must not come back.
const CANARY: &str = "Hs59vQw3";

fn keys() -> Files {
    let files = Files::of(&[
        ("access", ACCESS_KEY.as_bytes()),
        ("secret", SECRET_KEY.as_bytes()),
        ("wrong", b"wrong-secret"),
    ]);
    for name in ["access", "secret", "wrong"] {
        fs::set_permissions(files.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    files
}

/// A description of what is read at a port.
fn described(files: &Files, port: u16, what: &str, changed: &[(&str, &str)]) -> PathBuf {
    let usual = [
        ("endpoint", format!("\"http://127.0.0.1:{port}\"")),
        ("bucket", format!("{BUCKET:?}")),
        ("access_key_file", "\"access\"".to_owned()),
        ("secret_key_file", "\"secret\"".to_owned()),
        ("silence_seconds_max", "10".to_owned()),
    ];
    let mut text = format!("[s3]\n{what}\n");
    for (name, value) in &usual {
        let value = changed
            .iter()
            .find(|(other, _)| other == name)
            .map_or(value.as_str(), |(_, value)| value);
        if !value.is_empty() {
            text.push_str(&format!("{name} = {value}\n"));
        }
    }
    for (name, value) in changed
        .iter()
        .filter(|(name, _)| usual.iter().all(|(usual, _)| usual != name))
    {
        text.push_str(&format!("{name} = {value}\n"));
    }
    let path = files.path("store.toml");
    fs::write(&path, text).unwrap();
    path
}

fn read(path: &std::path::Path) -> Result<Vec<RecordBatch>, Report> {
    let opened = Opened::open(path, &SourceForm::default())?;
    let wanted: Vec<usize> = (0..opened.schema().fields().len()).collect();
    opened.batches(&wanted)?.map(|piece| Ok(piece?.batch)).collect()
}

#[track_caller]
fn refused(result: Result<Vec<RecordBatch>, Report>, problem: Problem, says: &str) {
    let report = result.unwrap_err();
    assert_eq!(report.problem, problem, "{report}");
    assert!(report.message.contains(says), "no {says:?} in {report}");
    let all = format!("{report:?}");
    assert!(
        !all.contains(SECRET_KEY) && !all.contains(ACCESS_KEY) && !all.contains(CANARY),
        "{all}"
    );
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn table() -> RecordBatch {
    let numbers = Int64Array::from_iter_values(0..1_000);
    let texts = StringArray::from_iter_values((0..1_000).map(|number| format!("text {number}")));
    RecordBatch::try_from_iter([("n", Arc::new(numbers) as _), ("text", Arc::new(texts) as _)]).unwrap()
}

fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn ipc(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow::ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn csv(rows: usize) -> Vec<u8> {
    let mut text = b"n,text\n".to_vec();
    (0..rows).for_each(|row| writeln!(text, "{row},text {row}").unwrap());
    text
}

fn everything_is_read(store: &Store) {
    let files = keys();
    let batch = table();
    let zipped = zstd::encode_all(&csv(1_000)[..], 3).unwrap();
    let mut ndjson = Vec::new();
    (0..1_000).for_each(|row| writeln!(ndjson, "{{\"n\": {row}, \"text\": \"text {row}\"}}").unwrap());
    store
        .put(&[
            ("2026/Köln + Bonn/a b.csv", &csv(1_000)),
            ("2026/Köln + Bonn/ö%20.csv.zst", &zipped),
            ("2026/Köln + Bonn/_SUCCESS", b""),
            ("2026/Köln + Bonn/read me.txt", CANARY.as_bytes()),
            ("parquet/year=2025/a.parquet", &parquet(&batch)),
            ("parquet/year=2026/b.parquet", &parquet(&batch)),
            ("arrow/a.arrow", &ipc(&batch)),
            ("json/a.ndjson", &ndjson),
            ("other/a.csv", b"m\n1\n"),
            ("other/b.csv", b"n\n1\n"),
            ("broken/a.parquet", CANARY.as_bytes()),
        ])
        .unwrap();
    let open = |what: &str| read(&described(&files, store.port(), what, &[]));
    for (prefix, expected) in [
        ("2026/Köln + Bonn/", 2_000),
        ("2026/", 2_000),
        ("parquet/", 2_000),
        ("arrow/", 1_000),
        ("json/", 1_000),
    ] {
        let batches = open(&format!("prefix = \"{prefix}\"")).unwrap();
        assert_eq!(rows(&batches), expected, "{prefix}");
    }
    for key in ["2026/Köln + Bonn/ö%20.csv.zst", "parquet/year=2025/a.parquet"] {
        assert_eq!(rows(&open(&format!("key = \"{key}\"")).unwrap()), 1_000, "{key}");
    }
    let sum: i64 = open("key = \"parquet/year=2025/a.parquet\"").unwrap()[0]["n"]
        .as_primitive::<Int64Type>()
        .values()
        .iter()
        .sum();
    assert_eq!(sum, 999 * 500);
    // What folders say, below a prefix only: a key names one object and no more.
    let years = open("prefix = \"parquet/\"").unwrap();
    let years = years
        .iter()
        .map(|batch| batch["year"].as_string::<i32>().value(0).to_owned());
    assert_eq!(years.collect::<Vec<_>>(), ["2025", "2026"]);
    let one = open("key = \"parquet/year=2025/a.parquet\"").unwrap();
    assert!(one[0].column_by_name("year").is_none());

    refused(open("prefix = \"nothing/\""), Problem::SourceMissing, "no object there");
    refused(
        open("key = \"nothing.csv\""),
        Problem::SourceMissing,
        "does not have it (NoSuchKey)",
    );
    refused(
        open("prefix = \"other/\""),
        Problem::DataSchema,
        "b.csv has other columns than a.csv",
    );
    refused(open("prefix = \"broken/\""), Problem::DataSchema, "not a Parquet file");
    let nowhere = read(&described(
        &files,
        store.port(),
        "prefix = \"a\"",
        &[("bucket", "\"nobodys\"")],
    ));
    refused(nowhere, Problem::SourceMissing, "NoSuchBucket");
}

#[test]
fn objects_of_moto_are_read_also_if_they_are_more_than_a_page() {
    let Some(store) = Store::moto().unwrap() else { return };
    everything_is_read(&store);
    let names: Vec<String> = (0..1_005).map(|number| format!("many/{number}.csv")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"n\n1\n".as_slice())).collect();
    store.put(&many).unwrap();
    let files = keys();
    assert_eq!(
        rows(&read(&described(&files, store.port(), "prefix = \"many/\"", &[])).unwrap()),
        1_005
    );
}

#[test]
fn objects_of_seaweedfs_are_read_by_who_has_the_keys() {
    let Some(store) = Store::seaweedfs(None).unwrap() else {
        return;
    };
    everything_is_read(&store);
    let files = keys();
    let open = |changed: &[(&str, &str)]| read(&described(&files, store.port(), "prefix = \"parquet/\"", changed));
    refused(
        open(&[("secret_key_file", "\"wrong\"")]),
        Problem::SourceDenied,
        "SignatureDoesNotMatch",
    );
    refused(
        open(&[("access_key_file", "\"wrong\"")]),
        Problem::SourceDenied,
        "InvalidAccessKeyId",
    );
    refused(
        open(&[("access_key_file", ""), ("secret_key_file", "")]),
        Problem::SourceDenied,
        "does not allow it",
    );
    refused(
        open(&[("secret_key_file", "")]),
        Problem::FileValue,
        "and not the other",
    );
    refused(
        open(&[("endpoint", "\"http://s3.example\"")]),
        Problem::FileValue,
        "not encrypted",
    );
    refused(
        open(&[("endpoint", "\"http://a:b@127.0.0.1\"")]),
        Problem::FileValue,
        "more than the address",
    );
    refused(open(&[("endpoint", "\"s3\"")]), Problem::FileValue, "");
    refused(
        open(&[("key", "\"a.csv\"")]),
        Problem::FileValue,
        "either a prefix or a key",
    );
    fs::set_permissions(files.path("secret"), fs::Permissions::from_mode(0o604)).unwrap();
    refused(open(&[]), Problem::FileMissing, "every user of this machine");
}

#[test]
fn a_store_that_breaks_off_or_falls_silent_and_an_object_that_is_replaced_end_in_a_problem() {
    let Some(store) = Store::moto().unwrap() else { return };
    let files = keys();
    let (one, other) = (csv(700_000), csv(700_001));
    assert!(one.len() as u64 > 2 * RANGE_BYTES);
    store.put(&[("a.csv", &one)]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = runtime
        .block_on(Proxy::before(([127, 0, 0, 1], store.port()).into()))
        .unwrap();
    let path = described(
        &files,
        proxy.address().port(),
        "key = \"a.csv\"",
        &[("silence_seconds_max", "2")],
    );
    let last_of = |pieces: crate::source::Pieces| {
        let pieces: Vec<_> = pieces.collect();
        let (last, before) = pieces.split_last().unwrap();
        assert!(before.iter().all(Result::is_ok) && !before.is_empty());
        last.as_ref()
            .map(|piece| vec![piece.batch.clone()])
            .map_err(Clone::clone)
    };
    let begin = || {
        let mut pieces = Opened::open(&path, &SourceForm::default())
            .unwrap()
            .batches(&[0])
            .unwrap();
        pieces.next().unwrap().unwrap();
        pieces
    };

    // A connection that breaks is made anew; who is read meanwhile does not notice.
    let pieces = begin();
    proxy.cut_after(1_000_000);
    let after: usize = pieces.map(|piece| piece.unwrap().batch.num_rows()).sum();
    assert_eq!(after + crate::source::BATCH_ROWS, 700_000);

    let pieces = begin();
    proxy.hold();
    let begun = Instant::now();
    refused(last_of(pieces), Problem::SourceUnreachable, "does not answer");
    assert!(begun.elapsed() < Duration::from_secs(15));
    refused(read(&path), Problem::SourceUnreachable, "does not answer");
    proxy.pass();

    let pieces = begin();
    store.put(&[("a.csv", &other)]).unwrap();
    refused(last_of(pieces), Problem::SourceBroken, "was replaced while it was read");
    drop(proxy);
    drop(store);
    refused(read(&path), Problem::SourceUnreachable, "does not answer");
}

#[test]
fn a_store_is_called_encrypted_and_by_the_name_in_its_certificate() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = |key: &rcgen::KeyPair| {
        let names = vec!["localhost".to_owned()];
        rcgen::CertificateParams::new(names)
            .unwrap()
            .self_signed(key)
            .unwrap()
            .pem()
    };
    let own = certificate(&key);
    let Some(store) = Store::seaweedfs(Some((&own, &key.serialize_pem()))).unwrap() else {
        return;
    };
    let files = keys();
    fs::write(files.path("own.pem"), &own).unwrap();
    fs::write(
        files.path("other.pem"),
        certificate(&rcgen::KeyPair::generate().unwrap()),
    )
    .unwrap();
    let open = |host: &str, ca: &[(&str, &str)]| {
        let endpoint = format!("\"https://{host}:{}\"", store.port());
        let changed: Vec<(&str, &str)> = [("endpoint", endpoint.as_str())]
            .into_iter()
            .chain(ca.iter().copied())
            .collect();
        read(&described(&files, 0, "prefix = \"nothing/\"", &changed))
    };
    refused(
        open("localhost", &[]),
        Problem::SourceUnreachable,
        "no encrypted connection",
    );
    refused(
        open("localhost", &[("ca_file", "\"other.pem\"")]),
        Problem::SourceUnreachable,
        "no encrypted connection",
    );
    refused(
        open("127.0.0.1", &[("ca_file", "\"own.pem\"")]),
        Problem::SourceUnreachable,
        "no encrypted connection",
    );
    refused(
        open("localhost", &[("ca_file", "\"secret\"")]),
        Problem::FileValue,
        "holds no certificates",
    );
    refused(
        open("localhost", &[("ca_file", "\"absent.pem\"")]),
        Problem::FileMissing,
        "absent.pem",
    );
    // Let in, with nothing there.
    refused(
        open("localhost", &[("ca_file", "\"own.pem\"")]),
        Problem::SourceMissing,
        "",
    );
}

/// A store that says what it is told to, to everybody.
fn saying(page: impl Fn(usize) -> String + Send + 'static) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut asked = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = std::io::BufReader::new(stream.try_clone().unwrap());
            loop {
                let mut line = String::new();
                match std::io::BufRead::read_line(&mut lines, &mut line) {
                    Ok(0) | Err(_) => break,
                    Ok(_) if line != "\r\n" => continue,
                    Ok(_) => {}
                }
                asked += 1;
                let body = page(asked);
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    port
}

#[test]
fn a_store_that_lists_without_end_or_writes_on_the_terminal_is_refused() {
    let files = keys();
    let list = |page: Box<dyn Fn(usize) -> String + Send>| {
        let path = described(&files, saying(page), "prefix = \"\"", &[]);
        read(&path)
    };
    let page = |inner: &str| {
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix></Prefix><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType>{inner}</ListBucketResult>"
        )
    };
    let endless = move |asked: usize| {
        page(&format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>t{asked}</NextContinuationToken>"
        ))
    };
    let strange = "lists objects in another form";
    refused(list(Box::new(endless)), Problem::SourceBroken, strange);
    let object = |key: &str| {
        page(&format!(
            "<IsTruncated>false</IsTruncated><Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"e\"</ETag><Size>4</Size><StorageClass>STANDARD</StorageClass></Contents>"
        ))
    };
    let terminal = object("%1B[2J.csv");
    refused(
        list(Box::new(move |_| terminal.clone())),
        Problem::SourceBroken,
        strange,
    );
    // The same with a name that is one: listed, and then not given.
    let plain = object("a.csv");
    refused(
        list(Box::new(move |_| plain.clone())),
        Problem::SourceBroken,
        "does not give the ranges",
    );
    let bomb = format!(
        "<!DOCTYPE x [<!ENTITY a \"{}\"><!ENTITY b \"{}\">]>{}",
        "x".repeat(1000),
        "&a;".repeat(1000),
        object("&b;.csv")
    );
    refused(list(Box::new(move |_| bomb.clone())), Problem::SourceBroken, strange);
}
