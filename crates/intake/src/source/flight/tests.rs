//! Against Flight SQL servers that the tests start: honest ones, and ones that lie.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, DictionaryArray, Int64Array, NullArray, RecordBatch, RecordBatchOptions,
    StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{SqlInfo, TicketStatementQuery};
use arrow_flight::{FlightData, FlightEndpoint, HandshakeResponse, Location};
use futures::{Stream, StreamExt as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::TcpIncoming;
use tonic::{Response, Streaming};

use super::*;
use crate::Opened;
use crate::example::{Files, conformed};
use crate::mapping::{Mapping, SourceForm};

/// A value and a secret that must not come back.
const CANARY: &str = "Hs59vQw3";
const PASSWORD: &str = "loopback-only";

type Sent<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a server does.
#[derive(Default)]
struct Script {
    info: FlightInfo,
    parts: Vec<Vec<Result<FlightData, Status>>>,
    /// In place of any answer.
    refusal: Option<Status>,
    /// Whether it exchanges a password for a token.
    is_exchanging: bool,
    /// Whether it falls silent where a part ends.
    is_silent: bool,
    /// What was asked, and with which authorization.
    asked: Vec<(String, Option<String>)>,
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<Script>>);

impl Server {
    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self, what: &str, metadata: &tonic::metadata::MetadataMap) -> Result<(), Status> {
        let authorization = metadata.get("authorization");
        let authorization = authorization.map(|text| text.to_str().unwrap().to_owned());
        let mut script = self.script();
        script.asked.push((what.to_owned(), authorization));
        script.refusal.clone().map_or(Ok(()), Err)
    }
}

#[tonic::async_trait]
impl FlightSqlService for Server {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Sent<HandshakeResponse>>, Status> {
        self.heard("handshake", request.metadata())?;
        if !self.script().is_exchanging {
            return Err(Status::unimplemented("no handshake"));
        }
        let mut response: Response<Sent<_>> = Response::new(Box::pin(futures::stream::empty()));
        let token = "Bearer given".parse().unwrap();
        response.metadata_mut().insert("authorization", token);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.heard(&query.query, request.metadata())?;
        Ok(Response::new(self.script().info.clone()))
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.heard("part", request.metadata())?;
        let script = self.script();
        let part = script.parts[usize::from(ticket.statement_handle[0])].clone();
        let part = futures::stream::iter(part);
        Ok(Response::new(match script.is_silent {
            true => Box::pin(part.chain(futures::stream::pending())),
            false => Box::pin(part),
        }))
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}

/// A running server, its description and what it does.
struct Lab {
    server: Server,
    port: u16,
    files: Files,
    runtime: tokio::runtime::Runtime,
}

impl Lab {
    /// One that answers with these batches, in as many parts.
    fn of(parts: &[Vec<RecordBatch>]) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = Server::default();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = FlightServiceServer::new(server.clone()).max_encoding_message_size(usize::MAX);
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpIncoming::from(listener)),
        );
        let files = Files::of(&[("password", PASSWORD.as_bytes()), ("token", b"shown\n")]);
        for name in ["password", "token"] {
            fs::set_permissions(files.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let lab = Self {
            server,
            port,
            files,
            runtime,
        };
        lab.answers(parts);
        lab
    }

    fn answers(&self, parts: &[Vec<RecordBatch>]) {
        let schema = parts[0][0].schema();
        let rows: usize = parts.iter().flatten().map(RecordBatch::num_rows).sum();
        let ticket = |part: u8| {
            let handle = vec![part].into();
            let ticket = TicketStatementQuery {
                statement_handle: handle,
            };
            FlightEndpoint::new().with_ticket(Ticket::new(ticket.as_any().encode_to_vec()))
        };
        let mut info = FlightInfo::new().try_with_schema(&schema).unwrap();
        info.total_records = rows as i64;
        info.endpoint = (0..parts.len() as u8).map(ticket).collect();
        let encoded = parts.iter().map(|part| encoded(part, IpcWriteOptions::default()));
        let mut script = self.server.script();
        script.parts = encoded.collect();
        script.info = info;
    }

    /// A description of what is read, with what else is said.
    fn described(&self, rest: &str) -> PathBuf {
        let mut text = "[flight]\n".to_owned();
        if !rest.contains("url") {
            writeln!(text, "url = \"grpc+tcp://127.0.0.1:{}\"", self.port).unwrap();
        }
        if !rest.contains("table") && !rest.contains("query") {
            text.push_str("table = \"lab.stays\"\n");
        }
        let path = self.files.path("lab.toml");
        fs::write(&path, format!("{text}silence_seconds_max = 2\n{rest}")).unwrap();
        path
    }

    fn read(&self, rest: &str, wanted: &[&str]) -> Result<Vec<RecordBatch>, Report> {
        read(&self.described(rest), wanted)
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.server.script()
    }
}

fn read(path: &Path, wanted: &[&str]) -> Result<Vec<RecordBatch>, Report> {
    let opened = Opened::open(path, &SourceForm::default())?;
    let wanted: Vec<usize> = wanted.iter().map(|name| opened.position(name).unwrap()).collect();
    opened.batches(&wanted)?.map(|piece| Ok(piece?.batch)).collect()
}

fn encoded(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<Result<FlightData, Status>> {
    let given: Vec<_> = batches.iter().cloned().map(Ok).collect();
    let encoder = FlightDataEncoderBuilder::new()
        .with_options(options)
        .with_max_flight_data_size(usize::MAX)
        .with_dictionary_handling(arrow_flight::encode::DictionaryHandling::Resend)
        .build(futures::stream::iter(given));
    let encoded = futures::executor::block_on_stream(encoder);
    encoded.map(|message| message.map_err(Status::from)).collect()
}

fn stays(ids: std::ops::Range<i64>) -> RecordBatch {
    let texts: StringArray = ids.clone().map(|id| Some(format!("p{id}"))).collect();
    let days: Int64Array = ids.map(|id| (id % 7 != 0).then_some(id)).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("patient_id", Arc::new(texts) as ArrayRef, true),
        ("days", Arc::new(days), true),
    ])
    .unwrap()
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
fn a_description_that_would_send_a_secret_in_the_open_or_says_two_things_is_refused() {
    let lab = Lab::of(&[vec![stays(0..1)]]);
    for (rest, says) in [
        ("url = \"http://10.0.0.1:31337\"", "url is not encrypted"),
        ("url = \"grpc+tcp://lab.example:31337\"", "url is not encrypted"),
        ("url = \"ftp://127.0.0.1\"", "url is not one such as"),
        ("url = \"https://ada:x@lab.example\"", "more than the address"),
        ("url = \"https://lab.example/path\"", "more than the address"),
        ("url = \"lab\"", "not a URL such as"),
        ("table = \"a\"\nquery = \"SELECT 1\"", "either a table or a query"),
        ("user = \"ada\"", "either user and password"),
        ("password_file = \"password\"", "either user and password"),
        (
            "user = \"ada\"\npassword_file = \"password\"\ntoken_file = \"token\"",
            "either user and password",
        ),
        (
            "token_file = \"token\"\ntoken_env = \"T\"",
            "both as a file and as a variable",
        ),
        ("silence_seconds_max = 0", "duplicate key"),
    ] {
        let report = lab.read(rest, &["days"]).unwrap_err();
        assert!(report.message.contains(says), "{says}: {report}");
    }
    fs::set_permissions(lab.files.path("token"), fs::Permissions::from_mode(0o604)).unwrap();
    refused(
        lab.read("token_file = \"token\"", &["days"]),
        Problem::FileMissing,
        "every user of this machine",
    );
    assert_eq!(lab.script().asked, []);
    let view = SourceForm {
        view: Some("diagnosis".to_owned()),
        ..SourceForm::default()
    };
    let report = Opened::open(&lab.described(""), &view).unwrap_err();
    assert_eq!(report.problem, Problem::FhirView);
}

#[test]
fn a_39_what_a_server_refuses_is_told_by_its_code_and_never_in_its_words() {
    let lab = Lab::of(&[vec![stays(0..1)]]);
    for (code, problem, says) in [
        (Code::Unauthenticated, Problem::SourceDenied, "does not let us in"),
        (Code::PermissionDenied, Problem::SourceDenied, "does not allow it"),
        (Code::NotFound, Problem::SourceMissing, "does not have"),
        (Code::InvalidArgument, Problem::FileValue, "(InvalidArgument)"),
        (Code::Unavailable, Problem::SourceUnreachable, "takes nobody now"),
        (Code::DataLoss, Problem::SourceBroken, "(DataLoss)"),
    ] {
        lab.script().refusal = Some(Status::new(code, format!("cast of {CANARY}")));
        refused(lab.read("", &["days"]), problem, says);
        let with = "user = \"ada\"\npassword_file = \"password\"";
        refused(lab.read(with, &["days"]), problem, says);
    }
    lab.script().refusal = None;
    // In the middle of a part.
    let broken = Err(Status::internal(format!("row {CANARY}")));
    lab.script().parts[0].push(broken);
    refused(
        lab.read("", &["patient_id", "days"]),
        Problem::SourceBroken,
        "did not go on (Internal)",
    );
    drop(lab.runtime);
    refused(
        read(&lab.files.path("lab.toml"), &["days"]),
        Problem::SourceUnreachable,
        "does not answer",
    );
}

#[test]
fn a_server_that_ends_early_falls_silent_or_sends_other_columns_is_not_read_half() {
    let lab = Lab::of(&[vec![stays(0..10)], vec![stays(10..20)]]);
    lab.script().parts[1].pop();
    refused(
        lab.read("", &["patient_id", "days"]),
        Problem::SourceBroken,
        "announced 20 rows and ended after 10",
    );
    lab.answers(&[vec![stays(0..10)]]);
    lab.script().is_silent = true;
    refused(
        lab.read("", &["patient_id", "days"]),
        Problem::SourceBroken,
        "said nothing for 2 s",
    );
    lab.script().is_silent = false;
    let swapped = stays(0..10).project(&[1, 0]).unwrap();
    lab.script().parts = vec![encoded(&[swapped], IpcWriteOptions::default())];
    refused(
        lab.read("", &["patient_id", "days"]),
        Problem::SourceBroken,
        "other columns than it said",
    );
    let twice = RecordBatch::try_from_iter([
        ("a", Arc::new(NullArray::new(1)) as ArrayRef),
        ("a", Arc::new(NullArray::new(1))),
    ]);
    lab.answers(&[vec![twice.unwrap()]]);
    refused(lab.read("", &["a"]), Problem::DataSchema, "two columns of the answer");
    lab.answers(&[vec![stays(0..1)]]);
    lab.script().info.endpoint[0].ticket = None;
    refused(
        lab.read("", &["patient_id", "days"]),
        Problem::SourceBroken,
        "in another form",
    );
    lab.script().info.schema = b"nonsense".to_vec().into();
    refused(lab.read("", &["days"]), Problem::SourceBroken, "in another form");
}

#[test]
fn messages_that_are_small_and_become_large_fill_no_memory() {
    let lab = Lab::of(&[vec![stays(0..1000)]]);
    // Compressed: 1.4 kB say that they are more, and are taken at their word by whoever decompresses.
    for compression in [
        arrow::ipc::CompressionType::LZ4_FRAME,
        arrow::ipc::CompressionType::ZSTD,
    ] {
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(compression))
            .unwrap();
        let messages = encoded(&[stays(0..1000)], options);
        if messages.iter().any(Result::is_err) {
            eprintln!("SKIPPED: this build of arrow-ipc cannot compress; one of the whole workspace can");
            continue;
        }
        lab.script().parts = vec![messages];
        refused(
            lab.read("", &["patient_id", "days"]),
            Problem::SourceBroken,
            "compressed batches",
        );
    }
    // One long text, named by each of many rows.
    let long = "x".repeat(RECORD_BYTES);
    let keys = std::iter::repeat_n(0_i32, 100_000);
    let shared = DictionaryArray::<Int32Type>::new(
        keys.collect::<Vec<_>>().into(),
        Arc::new(StringArray::from(vec![long.as_str()])),
    );
    let views: StringViewArray = std::iter::repeat_n(Some(long.as_str()), 3).collect();
    for column in [Arc::new(shared) as ArrayRef, Arc::new(views)] {
        let batch = RecordBatch::try_from_iter([("a", Arc::clone(&column))]).unwrap();
        let first = cut::cut(&batch).unwrap().next().unwrap();
        assert_eq!(first.num_rows(), column.len().min(4), "16 MiB of 4 MiB each");
        lab.answers(&[vec![batch]]);
        let rows: usize = lab.read("", &["a"]).unwrap().iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, column.len());
    }
    let longer = StringArray::from(vec!["x".repeat(RECORD_BYTES + 1)]);
    lab.answers(&[vec![
        RecordBatch::try_from_iter([("a", Arc::new(longer) as ArrayRef)]).unwrap(),
    ]]);
    refused(lab.read("", &["a"]), Problem::SourceBroken, "longer than one may be");
    // Rows of nothing.
    let nothing = RecordBatch::try_from_iter([("a", Arc::new(NullArray::new(1 << 40)) as ArrayRef)]);
    lab.answers(&[vec![nothing.unwrap()]]);
    refused(lab.read("", &["a"]), Problem::SourceBroken, "longer than one may be");
    // A message as such.
    let many = StringArray::from(vec!["x".repeat(1024 * 1024); 65]);
    lab.answers(&[vec![
        RecordBatch::try_from_iter([("a", Arc::new(many) as ArrayRef)]).unwrap(),
    ]]);
    refused(lab.read("", &["a"]), Problem::SourceBroken, "(OutOfRange)");
}

const RECORD_BYTES: usize = crate::source::RECORD_BYTES_MAX;

#[test]
fn a_server_is_called_encrypted_and_by_the_name_in_its_certificate() {
    let lab = Lab::of(&[vec![stays(0..3)]]);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = |key: &rcgen::KeyPair| {
        let of = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        of.self_signed(key).unwrap().pem()
    };
    let own = certificate(&key);
    fs::write(lab.files.path("own.pem"), &own).unwrap();
    fs::write(
        lab.files.path("other.pem"),
        certificate(&rcgen::KeyPair::generate().unwrap()),
    )
    .unwrap();
    let port = lab.runtime.block_on(encrypting(&own, &key, lab.port));
    let open = |host: &str, ca: &str| {
        let rest = format!("url = \"grpc+tls://{host}:{port}\"\ntoken_file = \"token\"\n{ca}");
        lab.read(&rest, &["patient_id", "days"])
    };
    for (host, ca) in [
        ("localhost", ""),
        ("localhost", "ca_file = \"other.pem\""),
        ("127.0.0.1", "ca_file = \"own.pem\""),
    ] {
        refused(open(host, ca), Problem::SourceUnreachable, "no encrypted connection");
    }
    refused(
        open("localhost", "ca_file = \"password\""),
        Problem::FileValue,
        "holds no certificates",
    );
    assert_eq!(lab.script().asked, [], "nobody was shown the token");
    assert_eq!(open("localhost", "ca_file = \"own.pem\"").unwrap(), [stays(0..3)]);
    let plain = format!("url = \"https://localhost:{}\"\nca_file = \"own.pem\"", lab.port);
    refused(
        lab.read(&plain, &["days"]),
        Problem::SourceUnreachable,
        "no encrypted connection",
    );
}

/// The port at which a server speaks TLS, before another that does not.
async fn encrypting(certificate: &str, key: &rcgen::KeyPair, port: u16) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let mut config = config.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.ok()?;
                let mut inner = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
                tokio::io::copy_bidirectional(&mut stream, &mut inner).await.ok()
            });
        }
    });
    at
}

#[test]
fn of_a_table_the_wanted_columns_are_asked_for_and_a_query_is_sent_as_it_is() {
    let lab = Lab::of(&[vec![stays(0..5000), stays(5000..9000)], vec![stays(9000..20_000)]]);
    let wanted = ["days", "patient_id", "days"];
    let batches = lab.read("", &wanted).unwrap();
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!((rows, batches[0].num_columns()), (20_000, 3));
    assert!(
        batches
            .iter()
            .all(|batch| batch.num_rows() <= crate::source::BATCH_ROWS)
    );
    let ids = batches.iter().flat_map(|batch| {
        batch
            .column(1)
            .as_string::<i32>()
            .iter()
            .map(|id| id.map(str::to_owned))
    });
    assert!(ids.eq((0..20_000).map(|id| Some(format!("p{id}")))));
    let first = batches[0].column(0).as_primitive::<Int64Type>();
    assert!(first.is_null(7) && first.value(8) == 8);
    let asked = std::mem::take(&mut lab.script().asked);
    let asked: Vec<&str> = asked.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(
        asked,
        [
            "SELECT * FROM \"lab\".\"stays\"",
            "SELECT \"patient_id\", \"days\" FROM \"lab\".\"stays\"",
            "part",
            "part"
        ]
    );
    // Where the schema comes with the rows only; and the servers that it names for them are not asked.
    lab.script().info.schema = Default::default();
    lab.script().info.total_records = -1;
    lab.script().info.endpoint[0].location = vec![Location {
        uri: "grpc+tcp://10.0.0.1:1".to_owned(),
    }];
    let batches = lab.read("query = \"SELECT 1 -- \\\"\"", &["days"]).unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
    assert!(
        lab.script()
            .asked
            .iter()
            .all(|(what, _)| what == "SELECT 1 -- \"" || what == "part")
    );
}

#[test]
fn a_token_is_shown_and_a_password_exchanged_where_a_server_does_that() {
    let lab = Lab::of(&[vec![stays(0..1)]]);
    let shown = |rest: &str| {
        lab.script().asked.clear();
        lab.read(rest, &["patient_id", "days"]).unwrap();
        let script = lab.script();
        let (what, authorization) = script.asked.last().unwrap();
        assert_eq!(what, "part");
        authorization.clone()
    };
    assert_eq!(shown(""), None);
    assert_eq!(shown("token_file = \"token\"").as_deref(), Some("Bearer shown"));
    let with_password = "user = \"ada\"\npassword_file = \"password\"";
    assert_eq!(shown(with_password).as_deref(), Some("Basic YWRhOmxvb3BiYWNrLW9ubHk="));
    lab.script().is_exchanging = true;
    assert_eq!(shown(with_password).as_deref(), Some("Bearer given"));
}

#[test]
fn what_is_typed_conforms_as_from_any_other_source() {
    let at = TimestampMicrosecondArray::from(vec![0]).with_timezone("+00:00");
    let sexes: DictionaryArray<Int32Type> = vec!["male"].into_iter().collect();
    let schema = [
        ("patient_id", Arc::new(Int64Array::from(vec![7])) as ArrayRef),
        ("sex", Arc::new(sexes)),
        ("age", Arc::new(arrow::array::Int32Array::from(vec![50]))),
        ("haemoglobin", Arc::new(arrow::array::Float32Array::from(vec![12.5]))),
        ("admitted_on", Arc::new(arrow::array::Date32Array::from(vec![19_000]))),
        ("smoker", Arc::new(arrow::array::BooleanArray::from(vec![true]))),
        ("seen", Arc::new(at)),
    ];
    let lab = Lab::of(&[vec![RecordBatch::try_from_iter(schema).unwrap()]]);
    let path = lab.described("query = \"SELECT 1\"");
    let (batches, misfits) = conformed(&path, &Mapping::plain("stays".parse().unwrap())).unwrap();
    assert!(misfits.by_column().is_empty());
    assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "7");
    assert_eq!(batches[0].column(1).as_string::<i32>().value(0), "male");
    let field = Field::new("scan", DataType::Binary, true);
    let none = RecordBatch::try_new_with_options(
        Arc::new(Schema::new(vec![field])),
        vec![arrow::array::new_null_array(&DataType::Binary, 1)],
        &RecordBatchOptions::new(),
    );
    lab.answers(&[vec![none.unwrap()]]);
    let mut mapping = Mapping::plain("stays".parse().unwrap());
    let names = ["patient_id", "sex", "age", "haemoglobin", "admitted_on", "smoker"];
    for name in names {
        let column = crate::mapping::ColumnMapping {
            from: vec!["scan".to_owned()],
            ..Default::default()
        };
        mapping.columns.insert(name.to_owned(), column);
    }
    let report = conformed(&path, &mapping).unwrap_err();
    assert!(
        report.message.contains("Binary where the collection expects"),
        "{report}"
    );
}
