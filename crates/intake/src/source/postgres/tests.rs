//! Against a PostgreSQL that the tests start.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use faults::Proxy;

use super::*;
use crate::example::{Files, conformed};
use crate::mapping::{ColumnMapping, SourceForm};
use crate::{Mapping, Opened};

/// The password of `faults`, and values that must not come back.
const PASSWORD: &str = "loopback-only";
const CANARY: &str = "Hs59vQw3";

struct Lab {
    server: faults::Postgres,
    database: String,
    files: Files,
}

impl Lab {
    fn start(sql: &str) -> Option<Self> {
        let server = faults::Postgres::start().unwrap()?;
        let database = server.database().unwrap();
        server.run(&database, sql).unwrap();
        let files = Files::of(&[("password", PASSWORD.as_bytes())]);
        let lab = Self {
            server,
            database,
            files,
        };
        lab.protect("password", 0o600);
        Some(lab)
    }

    fn protect(&self, name: &str, mode: u32) {
        fs::set_permissions(self.files.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn run(&self, sql: &str) {
        self.server.run(&self.database, sql).unwrap();
    }

    fn name(&self) -> &str {
        self.database.rsplit('/').next().unwrap()
    }

    /// A description of what is read, with what else is said.
    fn described(&self, what: &str, changed: &[(&str, &str)]) -> std::path::PathBuf {
        let port = self.server.port().to_string();
        let usual = [
            ("host", "\"127.0.0.1\""),
            ("port", &port),
            ("database", &format!("{:?}", self.name())),
            ("user", "\"datenraum\""),
            ("password_file", "\"password\""),
            ("silence_seconds_max", "2"),
        ];
        let mut text = format!("[postgres]\n{what}\n");
        for (name, value) in usual {
            let value = changed
                .iter()
                .find(|(other, _)| *other == name)
                .map_or(value, |(_, value)| value);
            if !value.is_empty() {
                writeln!(text, "{name} = {value}").unwrap();
            }
        }
        let others = changed
            .iter()
            .filter(|(name, _)| usual.iter().all(|(usual, _)| usual != name));
        others.for_each(|(name, value)| writeln!(text, "{name} = {value}").unwrap());
        let path = self.files.path("lab.toml");
        fs::write(&path, text).unwrap();
        path
    }
}

fn read(path: &Path, wanted: &[&str]) -> Result<Vec<RecordBatch>, Report> {
    let opened = Opened::open(path, &SourceForm::default())?;
    let wanted: Vec<usize> = wanted.iter().map(|name| opened.position(name).unwrap()).collect();
    opened.batches(&wanted)?.map(|piece| Ok(piece?.batch)).collect()
}

#[track_caller]
fn refused(result: Result<Vec<RecordBatch>, Report>, problem: Problem, says: &str) {
    let report = result.unwrap_err();
    assert_eq!(report.problem, problem, "{report}");
    assert!(report.message.contains(says), "no {says:?} in {report}");
    let all = format!("{report:?}");
    assert!(!all.contains(PASSWORD) && !all.contains(CANARY), "{all}");
}

#[test]
fn what_a_database_does_not_give_is_refused_by_its_reason_and_quotes_neither_password_nor_value() {
    let Some(lab) = Lab::start(&format!(
        "CREATE TABLE stays (patient_id text, scan bytea, tags int[], note jsonb, day date, number numeric);
         INSERT INTO stays VALUES ('{CANARY}', '\\x00', '{{1}}', '{{}}', 'infinity', 'NaN');
         CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'"
    )) else {
        return;
    };
    let table = "table = \"stays\"";
    let open = |what: &str, changed: &[(&str, &str)]| read(&lab.described(what, changed), &["patient_id"]);

    refused(
        open(table, &[("user", "\"nobody\"")]),
        Problem::SourceDenied,
        "does not let nobody in",
    );
    refused(
        open(table, &[("password_file", "")]),
        Problem::SourceDenied,
        "does not let datenraum in",
    );
    refused(
        open(table, &[("user", "\"reader\"")]),
        Problem::SourceDenied,
        "reader may not read stays",
    );
    refused(
        open(table, &[("database", "\"other\"")]),
        Problem::SourceMissing,
        "has no database other",
    );
    refused(
        open("table = \"Stays\"", &[]),
        Problem::SourceMissing,
        "nothing by that name",
    );
    refused(
        open("table = \"lab.stays\"", &[]),
        Problem::SourceMissing,
        "nothing by that name",
    );
    refused(
        open("query = \"SELECT nothing FROM stays\"", &[]),
        Problem::FileValue,
        "nothing",
    );
    refused(
        open("query = \"SELECT 1 AS patient_id; DROP TABLE stays\"", &[]),
        Problem::FileValue,
        "cannot be run",
    );
    refused(
        open(
            "query = \"SELECT 1 AS patient_id) AS source; DROP TABLE stays; --\"",
            &[],
        ),
        Problem::FileValue,
        "cannot be run",
    );
    refused(
        open("query = \"DELETE FROM stays RETURNING patient_id\"", &[]),
        Problem::FileValue,
        "cannot be run",
    );
    refused(
        open("query = \"SELECT 1 AS a, 2 AS a\"", &[]),
        Problem::DataSchema,
        "two columns",
    );
    refused(
        open("query = \"SELECT patient_id::int AS patient_id FROM stays\"", &[]),
        Problem::DataFormat,
        "SQLSTATE 22P02",
    );
    for (column, named) in [("scan", "bytea"), ("tags", "int4[]"), ("note", "jsonb")] {
        refused(read(&lab.described(table, &[]), &[column]), Problem::DataSchema, named);
    }
    refused(
        read(&lab.described(table, &[]), &["day"]),
        Problem::DataFormat,
        "row 1, column day: infinity",
    );
    refused(open("", &[]), Problem::FileValue, "neither a table nor a query");
    refused(
        open(table, &[("query", "\"SELECT 1\"")]),
        Problem::FileValue,
        "both a table and a query",
    );
    refused(open(table, &[("passwort", "\"x\"")]), Problem::FileKey, "passwort");
    refused(
        open(
            table,
            &[("password_file", ""), ("password_env", "\"DATENRAUM_NOT_SET\"")],
        ),
        Problem::FileMissing,
        "DATENRAUM_NOT_SET",
    );
    lab.protect("password", 0o644);
    refused(open(table, &[]), Problem::FileMissing, "every user of this machine");
    lab.protect("password", 0o600);

    // Whoever is elsewhere is called encrypted or not at all.
    refused(
        open(table, &[("ca_file", "\"password\"")]),
        Problem::SourceUnreachable,
        "no encrypted connection",
    );
    let elsewhere = Postgres::deserialize(
        toml::de::Deserializer::parse(
            "host = \"192.0.2.1\"\ndatabase = \"a\"\nuser = \"b\"\ntable = \"c\"\npassword_file = \"password\"",
        )
        .unwrap(),
    )
    .unwrap();
    let place = super::super::described::Place::of(&lab.files.path("lab.toml"));
    assert!(matches!(
        elsewhere.options(&place).unwrap().get_ssl_mode(),
        PgSslMode::VerifyFull
    ));

    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    refused(
        open(table, &[("port", &nobody)]),
        Problem::SourceUnreachable,
        "does not answer",
    );
}

#[test]
fn a_database_that_breaks_off_or_falls_silent_ends_in_a_problem_and_not_in_half_a_table() {
    let Some(lab) =
        Lab::start("CREATE TABLE stays AS SELECT n, repeat('x', 100) AS text FROM generate_series(1, 400000) AS n")
    else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = ([127, 0, 0, 1], lab.server.port()).into();
    let proxy = runtime.block_on(Proxy::before(server)).unwrap();
    let port = proxy.address().port().to_string();
    let table = lab.described("table = \"stays\"", &[("port", &port)]);

    proxy.hold();
    let begun = Instant::now();
    refused(read(&table, &["n"]), Problem::SourceUnreachable, "does not answer");
    assert!(begun.elapsed() < Duration::from_secs(10));
    for (cut, says) in [(true, "broke"), (false, "said nothing for 2 s")] {
        proxy.pass();
        let opened = Opened::open(&table, &SourceForm::default()).unwrap();
        let mut pieces = opened.batches(&[0, 1]).unwrap();
        let first = pieces.next().unwrap();
        match cut {
            true => proxy.cut_after(1_000_000),
            false => proxy.hold_after(1_000_000),
        }
        let pieces: Vec<_> = std::iter::once(first).chain(pieces).collect();
        let (last, before) = pieces.split_last().unwrap();
        assert!(before.iter().all(Result::is_ok));
        let last = last
            .as_ref()
            .map(|piece| vec![piece.batch.clone()])
            .map_err(Clone::clone);
        refused(last, Problem::SourceBroken, says);
    }

    // Whoever does not read to the end leaves nobody behind.
    proxy.pass();
    let mut pieces = Opened::open(&table, &SourceForm::default())
        .unwrap()
        .batches(&[1])
        .unwrap();
    assert_eq!(
        pieces.next().unwrap().unwrap().batch.num_rows(),
        crate::source::BATCH_ROWS
    );
    drop(pieces);
    let nobody = "SELECT 1 / CASE count(*) WHEN 0 THEN 1 ELSE 0 END FROM pg_stat_activity WHERE application_name = 'datenraum node'";
    let until = Instant::now() + Duration::from_secs(30);
    while lab.server.run(&lab.database, nobody).is_err() {
        assert!(Instant::now() < until, "the database still sends");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn rows_that_are_changed_meanwhile_are_read_as_they_were() {
    let Some(lab) = Lab::start("CREATE TABLE stays AS SELECT n FROM generate_series(1, 300000) AS n") else {
        return;
    };
    let mut pieces = Opened::open(&lab.described("table = \"stays\"", &[]), &SourceForm::default())
        .unwrap()
        .batches(&[0])
        .unwrap();
    let mut sum: i64 = pieces
        .next()
        .unwrap()
        .unwrap()
        .batch
        .column(0)
        .as_primitive::<Int64Type>()
        .values()
        .iter()
        .sum();
    lab.run("UPDATE stays SET n = -1; INSERT INTO stays VALUES (1000000)");
    for piece in pieces {
        sum += piece
            .unwrap()
            .batch
            .column(0)
            .as_primitive::<Int64Type>()
            .values()
            .iter()
            .sum::<i64>();
    }
    assert_eq!(sum, 300_000 * 300_001 / 2);
}

#[test]
fn every_type_comes_as_it_is_and_nothing_is_null_that_is_empty() {
    let Some(lab) = Lab::start(
        "CREATE TYPE sex AS ENUM ('female', 'male');
         CREATE DOMAIN weight AS numeric(8, 3);
         CREATE TABLE \"Kölner Stays\" (
           id uuid, code varchar(8), pad char(4), sex sex, small smallint, whole integer, large bigint, single real, double double precision,
           exact numeric, weight weight, yes boolean, day date, clock timestamp, instant timestamptz, \"not read\" bytea);
         INSERT INTO \"Kölner Stays\" VALUES
           ('00000000-0000-0000-0000-000000000001', E'a\\tb\"\\n\\\\N', 'ab', 'female', -1, 2, 9007199254740993, 0.5, 0.1,
            123456789012345678901234567890.5, 80.125, true, '2024-02-29', '2024-07-01 12:00:00.000001', '2024-07-01 12:00+02', '\\x00'),
           (NULL, '', NULL, NULL, NULL, NULL, NULL, 'NaN', '-Infinity', 'NaN', NULL, false, '1999-12-31', '1969-12-31 23:59:59', NULL, NULL),
           (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    ) else {
        return;
    };
    let columns = [
        "id", "code", "pad", "sex", "small", "whole", "large", "single", "double", "exact", "weight", "yes", "day",
        "clock", "instant",
    ];
    let socket = format!("{:?}", lab.server.socket_folder());
    let table = lab.described("table = \"Kölner Stays\"", &[("host", &socket)]);
    let batches = read(&table, &columns).unwrap();
    let [batch] = &batches[..] else { panic!("{batches:?}") };
    let texts = |name: &str| {
        let cells = batch.column_by_name(name).unwrap().as_string::<i32>().iter();
        cells.map(|cell| cell.map(str::to_owned)).collect::<Vec<_>>()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(texts("id"), [some("00000000-0000-0000-0000-000000000001"), None, None]);
    assert_eq!(texts("code"), [some("a\tb\"\n\\N"), some(""), None]);
    assert_eq!(texts("pad"), [some("ab"), None, None]);
    assert_eq!(texts("sex"), [some("female"), None, None]);
    assert_eq!(
        texts("exact"),
        [some("123456789012345678901234567890.5"), some("NaN"), None]
    );
    assert_eq!(texts("weight"), [some("80.125"), None, None]);
    let numbers = |name: &str| {
        batch
            .column_by_name(name)
            .unwrap()
            .as_primitive::<Int64Type>()
            .iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers("small"), [Some(-1), None, None]);
    assert_eq!(numbers("whole"), [Some(2), None, None]);
    assert_eq!(numbers("large"), [Some(9_007_199_254_740_993), None, None]);
    let double = batch.column_by_name("double").unwrap().as_primitive::<Float64Type>();
    assert_eq!(
        (double.value(0), double.value(1), double.is_null(2)),
        (0.1, f64::NEG_INFINITY, true)
    );
    let single = batch.column_by_name("single").unwrap().as_primitive::<Float64Type>();
    assert!(single.value(0) == 0.5 && single.value(1).is_nan());
    let yes = batch.column_by_name("yes").unwrap().as_boolean();
    assert_eq!(yes.iter().collect::<Vec<_>>(), [Some(true), Some(false), None]);
    let day = batch.column_by_name("day").unwrap().as_primitive::<Date32Type>();
    assert_eq!((day.value(0), day.value(1)), (19_782, 10_956));
    let clock = batch
        .column_by_name("clock")
        .unwrap()
        .as_primitive::<TimestampMicrosecondType>();
    assert_eq!((clock.value(0), clock.value(1)), (1_719_835_200_000_001, -1_000_000));
    let instant = batch
        .column_by_name("instant")
        .unwrap()
        .as_primitive::<TimestampMicrosecondType>();
    assert_eq!(instant.value(0), 1_719_828_000_000_000);

    // Rows without a column have a number.
    assert_eq!(read(&table, &[]).unwrap()[0].num_rows(), 3);
}

#[test]
fn a_table_conforms_by_a_mapping_whose_way_of_writing_is_not_that_of_numbers() {
    let Some(lab) = Lab::start(
        "CREATE SCHEMA lab; CREATE TABLE lab.stays (fall numeric(10), sex text, age numeric(3), hb numeric(5, 2), hb_text text, day date, smoker boolean);
         INSERT INTO lab.stays SELECT n, 'w', 50, 12.5, '12,5', '2024-12-31', true FROM generate_series(1, 3) AS n",
    ) else {
        return;
    };
    let mut mapping = Mapping::plain("stays".parse().unwrap());
    mapping.source.decimal = crate::cell::Decimal::Comma;
    let from = |name: &str| ColumnMapping {
        from: vec![name.to_owned()],
        ..ColumnMapping::default()
    };
    let sex = ColumnMapping {
        codes: [("w".to_owned(), "female".to_owned())].into(),
        ..ColumnMapping::default()
    };
    mapping.columns = [
        ("patient_id", from("fall")),
        ("haemoglobin", from("hb")),
        ("admitted_on", from("day")),
        ("sex", sex),
    ]
    .map(|(name, column)| (name.to_owned(), column))
    .into();
    for hb in ["hb", "hb_text"] {
        mapping.columns.insert("haemoglobin".to_owned(), from(hb));
        let (batches, _) = conformed(&lab.described("table = \"lab.stays\"", &[]), &mapping).unwrap();
        assert_eq!(batches[0]["patient_id"].as_string::<i32>().value(2), "3");
        assert_eq!(batches[0]["age"].as_primitive::<Int64Type>().value(0), 50);
        assert_eq!(
            batches[0]["haemoglobin"].as_primitive::<Float64Type>().value(0),
            12.5,
            "{hb}"
        );
    }
    let query = "query = '''\nSELECT fall, sex, age, hb AS hb_text, day, smoker FROM lab.stays WHERE fall > 1 -- not the first\n'''";
    let (batches, _) = conformed(&lab.described(query, &[]), &mapping).unwrap();
    assert_eq!(batches[0].num_rows(), 2);
    // A statement is no reading: what it would write is refused by the database.
    lab.run("CREATE FUNCTION lab.take() RETURNS int LANGUAGE sql AS 'DELETE FROM lab.stays; SELECT 1'");
    let taken = read(&lab.described("query = \"SELECT lab.take() AS n\"", &[]), &["n"]);
    refused(taken, Problem::SourceBroken, "SQLSTATE 25006");
}

#[test]
fn a_certificate_is_verified_with_the_name_of_the_server() {
    let Some(lab) = Lab::start("CREATE TABLE stays AS SELECT 1 AS n") else {
        return;
    };
    let certificate = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    let (own, key) = certificate("localhost");
    lab.server.encrypt(&own, &key).unwrap();
    fs::write(lab.files.path("own.pem"), &own).unwrap();
    fs::write(lab.files.path("other.pem"), certificate("localhost").0).unwrap();
    let open = |host: &str, ca: &str| {
        read(
            &lab.described("table = \"stays\"", &[("host", host), ("ca_file", ca)]),
            &["n"],
        )
    };
    refused(
        open("\"localhost\"", "\"other.pem\""),
        Problem::SourceUnreachable,
        "no encrypted connection",
    );
    refused(
        open("\"127.0.0.1\"", "\"own.pem\""),
        Problem::SourceUnreachable,
        "no encrypted connection",
    );
    refused(
        open("\"localhost\"", "\"absent.pem\""),
        Problem::FileMissing,
        "absent.pem",
    );
    assert_eq!(open("\"localhost\"", "\"own.pem\"").unwrap()[0].num_rows(), 1);
}
