//! What protection costs rows on their way: a node's row stream against bare arrow-flight servers over the same TLS, read to its
//! end by the same client; what the way through a broker costs against the direct one; and the node's peak memory while answers of
//! several sizes leave.
//!
//!     cargo build --workspace --release --bin datenraum
//!     cargo bench --workspace --bench rows -- [ROWS …]       default: 1, 4 and 16 million rows
//!
//! The node runs in a process of its own, with its ledger, under a signed policy and a permit. The bare servers do too: one holds
//! all batches in memory, one reads them by DataFusion from the node's snapshot. All are asked in turn. Prints medians and ratios as
//! a Markdown table. Data are generated and removed at the end.
//!
//! Also prints the processor time that a gigabyte costs client, node and broker, direct and through the broker: where all of them
//! share so many processors, that bounds what the way through the broker can reach of the direct one.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a program for developers"
)]

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{ProstMessageExt, SqlInfo, TicketStatementQuery};
use arrow_flight::{FlightData, Ticket};
use datafusion::arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::{Stream, StreamExt, TryStreamExt};
use prost::Message;
use terms::{UtcTime, limit};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};
use trust::{Digest, Proof, PublicKey, SigningKey};
use wire::{Connection, Incoming};

const SQL: &str = "SELECT sex, district, age, admitted_on, days, cost FROM admissions";
const RUNS: usize = 9;
/// Calls of which the median is taken.
const CALLS: usize = 500;
const BATCH_ROWS: usize = 65_536;
/// How a bare server is asked for.
const SERVE_BARE: &str = "--serve-bare";

const SPEC: &str = r#"
space = "bench"
board = { members = 3, threshold = 2 }
collections = ["collections/admissions.toml"]
policies = ["policies/rows.toml"]
permits = ["permits/study.toml"]
[[node]]
id = "clinic"
roles = ["hospital"]
datasets = [{ collection = "admissions", path = "admissions.parquet" }]
[[person]]
id = "ada"
member = "university"
roles = ["university"]
"#;
const COLLECTION: &str = r#"
id = "admissions"
title = "Admissions"
personal = true
privacy_unit = "patient_id"
[columns.patient_id]
type = "text"
role = "identifier"
[columns.sex]
type = "text"
role = ["group", "filter"]
values = ["female", "male"]
[columns.district]
type = "integer"
role = "measure"
bounds = [0, 99]
[columns.age]
type = "integer"
role = "measure"
bounds = [0, 119]
[columns.admitted_on]
type = "date"
role = ["group", "filter"]
bins = "month"
[columns.days]
type = "integer"
role = "measure"
bounds = [0, 60]
[columns.cost]
type = "number"
role = "measure"
bounds = [0, 100000]
"#;
const POLICY: &str = r#"
id = "rows"
version = 1
title = "Rows for studies"
collection = "admissions"
valid_from = 2026-01-01
valid_until = 2099-12-31
[[permission]]
id = "rows"
assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit = "required"
release = "rows"
columns = ["sex", "district", "age", "admitted_on", "days", "cost"]
disclosure = { tier = "statistical", min_people = 3 }
"#;
const PERMIT: &str = r#"
id = "study"
space = "bench"
title = "A study"
kind = "data-permit"
issuer = "Health data access body"
issued = 2026-01-02
holder = "university"
persons = ["university/ada"]
purposes = ["ehds-53-1-e"]
valid_from = 2026-01-02
valid_until = 2099-01-01
opt_out = "at-query"
[[dataset]]
collection = "admissions"
columns = ["sex", "district", "age", "admitted_on", "days", "cost"]
"#;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let Some(at) = words.iter().position(|word| word == SERVE_BARE) {
        return serve_bare(&words[at + 1], &words[at + 2]).await;
    }
    let rows: Vec<u64> = words
        .iter()
        .filter_map(|word| word.replace('_', "").parse().ok())
        .collect();
    let rows = if rows.is_empty() {
        vec![1_000_000, 4_000_000, 16_000_000]
    } else {
        rows
    };
    println!(
        "| rows | bytes | node | bare, from memory | ratio | bare, from the snapshot | ratio | node through the broker | of direct | node's peak memory |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for rows in rows {
        compare(rows).await;
    }
}

async fn compare(rows: u64) {
    let clinic = Clinic::new(rows).await;
    let snapshot = clinic.snapshot();
    let (memory, stored) = (
        Bare::start("memory", &snapshot).await,
        Bare::start("snapshot", &snapshot).await,
    );
    let (mut node, mut relayed) = (Vec::new(), Vec::new());
    let (mut from_memory, mut from_snapshot) = (Vec::new(), Vec::new());
    let (mut bytes, mut peak) = (0, 0);
    let mut costs = [[0.0; 3]; 2];
    for _ in 0..RUNS {
        let began = clinic.process.reset_peak();
        let before = clinic.processor_seconds();
        let drained = drained(&clinic.connection, clinic.request(&clinic.connection)).await;
        peak = peak.max(clinic.process.peak_megabytes());
        assert!(began <= peak && drained.rows == rows);
        bytes = drained.bytes;
        node.push(drained.took);
        let between = clinic.processor_seconds();
        let drained = self::drained(&clinic.relayed, clinic.request(&clinic.relayed)).await;
        assert_eq!(drained.rows, rows);
        relayed.push(drained.took);
        let after = clinic.processor_seconds();
        for (cost, (from, to)) in costs.iter_mut().zip([(before, between), (between, after)]) {
            for (of, (from, to)) in cost.iter_mut().zip(from.into_iter().zip(to)) {
                *of += to - from;
            }
        }
        for (bare, took) in [(&memory, &mut from_memory), (&stored, &mut from_snapshot)] {
            let drained = self::drained(&bare.connection, Request::new(ticket())).await;
            assert_eq!(drained.rows, rows);
            took.push(drained.took);
        }
    }
    let (node, relayed) = (median(node), median(relayed));
    let (from_memory, from_snapshot) = (median(from_memory), median(from_snapshot));
    let speed = |took: Duration| bytes as f64 / took.as_secs_f64() / 1e6;
    let ratio = |took: Duration| speed(node) / speed(took);
    println!(
        "| {rows} | {:.0} MB | {:.0} MB/s | {:.0} MB/s | {:.2} | {:.0} MB/s | {:.2} | {:.0} MB/s | {:.2} | {peak} MB |",
        bytes as f64 / 1e6,
        speed(node),
        speed(from_memory),
        ratio(from_memory),
        speed(from_snapshot),
        ratio(from_snapshot),
        speed(relayed),
        speed(relayed) / speed(node),
    );
    let gigabytes = bytes as f64 * RUNS as f64 / 1e9;
    let [direct, through] = costs.map(|cost| cost.map(|seconds| seconds / gigabytes));
    let processors = std::thread::available_parallelism().unwrap().get() as f64;
    let most = processors / through.iter().sum::<f64>() * 1e3;
    for (way, [client, node, broker]) in [("Direct", direct), ("Through the broker", through)] {
        println!("\n{way}, processor time a GB: client {client:.2} s, node {node:.2} s, broker {broker:.2} s.");
    }
    println!(
        "{processors} processors, all of them busy with it, carry {most:.0} MB/s through the broker: {:.2} of direct.",
        most / speed(node)
    );
    let (direct, through) = (round_trip(&clinic.connection).await, round_trip(&clinic.relayed).await);
    println!(
        "\nOne call and its answer, p50: {:.3} ms, through the broker {:.3} ms.\n",
        direct.as_secs_f64() * 1e3,
        through.as_secs_f64() * 1e3,
    );
}

/// How long the smallest call takes that a node answers to anybody.
async fn round_trip(connection: &Connection) -> Duration {
    let mut flight = FlightServiceClient::new(connection.grpc.clone());
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let began = Instant::now();
        let actions = flight.list_actions(arrow_flight::Empty {}).await.unwrap().into_inner();
        let named: Vec<_> = actions.try_collect().await.unwrap();
        assert!(!named.is_empty());
        times.push(began.elapsed());
    }
    median(times)
}

struct Drained {
    took: Duration,
    rows: u64,
    bytes: u64,
}

/// Reads an answer to its end, from asking to the last message.
async fn drained(connection: &Connection, request: Request<Ticket>) -> Drained {
    let began = Instant::now();
    let mut flight =
        FlightServiceClient::new(connection.grpc.clone()).max_decoding_message_size(limit::ANSWER_MESSAGE_BYTES_MAX);
    let messages = flight.do_get(request).await.unwrap().into_inner();
    let mut batches =
        FlightRecordBatchStream::new_from_flight_data(messages.map_err(|status| FlightError::Tonic(Box::new(status))));
    let (mut rows, mut bytes) = (0, 0);
    while let Some(batch) = batches.next().await {
        let batch = batch.unwrap();
        rows += batch.num_rows() as u64;
        bytes += engine::release::bytes_of(&batch);
    }
    let took = began.elapsed();
    Drained { took, rows, bytes }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ticket() -> Ticket {
    let handle = wire::v1::QueryTicket { sql: SQL.to_owned() };
    let statement = TicketStatementQuery {
        statement_handle: handle.encode_to_vec().into(),
    };
    Ticket::new(statement.as_any().encode_to_vec())
}

/// What a process has had of the processors so far, by its number.
fn processor_seconds(process: &str) -> f64 {
    /// Linux counts so.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    // The 14th and 15th field of proc_pid_stat(5), of which two are the number and the name.
    let ticks = after_name.split_ascii_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS_PER_SECOND
}

/// A process that ends with its owner.
struct Process(Child);

impl Process {
    /// Lets the kernel measure the peak anew. Gives back the memory of now.
    fn reset_peak(&self) -> u64 {
        std::fs::write(format!("/proc/{}/clear_refs", self.0.id()), "5").unwrap();
        self.megabytes("VmRSS:")
    }

    fn peak_megabytes(&self) -> u64 {
        self.megabytes("VmHWM:")
    }

    fn processor_seconds(&self) -> f64 {
        processor_seconds(&self.0.id().to_string())
    }

    fn megabytes(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A node of a sandbox, in a process of its own, and a person with a permit.
struct Clinic {
    place: tempfile::TempDir,
    process: Process,
    broker: Process,
    connection: Connection,
    /// The same node, through the broker.
    relayed: Connection,
    credential: String,
    key: SigningKey,
}

impl Clinic {
    async fn new(rows: u64) -> Self {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("spec.toml", SPEC),
            ("collections/admissions.toml", COLLECTION),
            ("policies/rows.toml", POLICY),
            ("permits/study.toml", PERMIT),
        ] {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let source = place.path().join("admissions.parquet");
        generate(&source, rows);
        let dir = place.path().join("sandbox");
        run(&[
            "sandbox",
            "up",
            place.path().join("spec.toml").to_str().unwrap(),
            "--dir",
            dir.to_str().unwrap(),
        ]);
        run(&["sandbox", "down", dir.to_str().unwrap()]);
        std::fs::remove_file(source).unwrap();
        let config = dir.join("nodes/clinic/node.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.replace("tunnels = 0", "tunnels = 2")).unwrap();
        let start = |role: &str, config: &Path| {
            let process = Command::new(program())
                .args([role, "run", "--config", config.to_str().unwrap()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            Process(process.unwrap())
        };
        let broker = start("broker", &dir.join("broker/broker.toml"));
        let process = start("node", &config);
        let node = SigningKey::load(&of_config(&config, "key")).unwrap().public();
        let address = of_config(&config, "listen");
        let person = dir.join("people/ada");
        let profile = federation::Profile::load(&person.join("person.toml")).unwrap();
        let connection = connect(address.to_str().unwrap(), &node).await;
        let road = Arc::new(ThroughBroker {
            broker: profile.broker.connect("broker").await.unwrap(),
            person: wire::Person {
                space: profile.space.clone(),
                key: Arc::new(SigningKey::load(&profile.key).unwrap()),
                credential: std::fs::read_to_string(&profile.credential).unwrap().trim().to_owned(),
                clock: Arc::new(terms::SystemClock),
            },
        });
        let relayed = until_there(|| wire::connect_by(road.clone(), "clinic", &node)).await;
        Self {
            process,
            broker,
            connection,
            relayed,
            credential: road.person.credential.clone(),
            key: SigningKey::load(&profile.key).unwrap(),
            place,
        }
    }

    /// Of client, node and broker.
    fn processor_seconds(&self) -> [f64; 3] {
        let client = processor_seconds("self");
        [
            client,
            self.process.processor_seconds(),
            self.broker.processor_seconds(),
        ]
    }

    fn snapshot(&self) -> PathBuf {
        let folder = self.place.path().join("sandbox/nodes/clinic/data/datasets/admissions");
        let files = std::fs::read_dir(folder).unwrap();
        let mut files = files.map(|entry| entry.unwrap().path());
        files
            .find(|path| path.extension().is_some_and(|ending| ending == "parquet"))
            .unwrap()
    }

    /// The question with a proof for a connection.
    fn request(&self, connection: &Connection) -> Request<Ticket> {
        let proof = Proof {
            node: "clinic".to_owned(),
            query: Digest::of(SQL.as_bytes()),
            purpose: Some("ehds-53-1-e".parse().unwrap()),
            permit: Some("study".parse().unwrap()),
            request: None,
            channel: connection.binding().unwrap(),
        };
        let proof = proof.issue(&self.key, UtcTime::now()).unwrap();
        let mut request = Request::new(ticket());
        let tokens = wire::header::Tokens {
            credential: &self.credential,
            proof: &proof,
            request: None,
        };
        wire::header::attach(request.metadata_mut(), tokens).unwrap();
        request
    }
}

/// The value of a line of a node's configuration; paths are beside it.
fn of_config(config: &Path, name: &str) -> PathBuf {
    let text = std::fs::read_to_string(config).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let value = line.trim_start_matches([' ', '=']).trim_matches('"');
    match name {
        "key" => config.parent().unwrap().join(value),
        _ => PathBuf::from(value),
    }
}

fn program() -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let program = deps.parent().and_then(Path::parent).unwrap().join("datenraum");
    assert!(
        program.is_file(),
        "build it first: cargo build --workspace --release --bin datenraum"
    );
    program
}

fn run(words: &[&str]) {
    let output = Command::new(program()).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn connect(address: &str, key: &PublicKey) -> Connection {
    until_there(|| wire::connect(address, "clinic", key)).await
}

async fn until_there<E: std::fmt::Display, Connecting>(connect: impl Fn() -> Connecting) -> Connection
where
    Connecting: Future<Output = Result<Connection, E>>,
{
    let since = Instant::now();
    loop {
        match connect().await {
            Ok(connection) => return connection,
            Err(why) => assert!(since.elapsed() < Duration::from_secs(30), "{why}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The road to the node that a broker carries.
#[derive(Debug)]
struct ThroughBroker {
    broker: Connection,
    person: wire::Person,
}

#[tonic::async_trait]
impl wire::Dialer for ThroughBroker {
    async fn dial(&self) -> std::io::Result<wire::Socket> {
        let carried = self.person.reach(&self.broker, &"clinic".parse().unwrap()).await;
        carried
            .map(|carried| wire::Socket::Carried(Box::new(carried)))
            .map_err(std::io::Error::other)
    }
}

/// A server without any protection but TLS, in a process of its own.
struct Bare {
    connection: Connection,
    _process: Process,
}

impl Bare {
    async fn start(from: &str, snapshot: &Path) -> Self {
        let process = Command::new(std::env::current_exe().unwrap())
            .args([SERVE_BARE, from, snapshot.to_str().unwrap()])
            .stdout(Stdio::piped())
            .spawn();
        let mut process = Process(process.unwrap());
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let (address, key) = line.trim().split_once(' ').unwrap();
        Self {
            connection: connect(address, &key.parse().unwrap()).await,
            _process: process,
        }
    }
}

/// What a bare server sends.
struct Sends {
    context: SessionContext,
    schema: Arc<Schema>,
    /// All of it, or nothing where it is read from the snapshot.
    batches: Option<Vec<RecordBatch>>,
}

async fn serve_bare(from: &str, snapshot: &str) {
    // The same batches: of plain texts, in the order of the file.
    let config = SessionConfig::new().with_target_partitions(1);
    let config = config.set_bool("datafusion.execution.parquet.schema_force_view_types", false);
    let context = SessionContext::new_with_config(config);
    let options = ParquetReadOptions::default();
    context.register_parquet("admissions", snapshot, options).await.unwrap();
    let stream = read(&context).await;
    let schema = stream.schema();
    let batches = match from {
        "memory" => Some(stream.try_collect().await.unwrap()),
        _ => None,
    };
    let sends = Sends {
        context,
        schema,
        batches,
    };
    let key = SigningKey::generate().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = wire::tls::server_config(&key, "clinic").unwrap();
    println!("{} {}", listener.local_addr().unwrap(), key.public());
    let service = FlightServiceServer::new(sends).max_encoding_message_size(limit::ANSWER_MESSAGE_BYTES_MAX);
    let serving = wire::serve::server().add_service(service);
    serving.serve_with_incoming(Incoming::new(listener, tls)).await.unwrap();
}

async fn read(context: &SessionContext) -> SendableRecordBatchStream {
    context.sql(SQL).await.unwrap().execute_stream().await.unwrap()
}

#[tonic::async_trait]
impl FlightSqlService for Sends {
    type FlightService = Sends;

    async fn do_get_statement(
        &self,
        _: TicketStatementQuery,
        _: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let batches = match &self.batches {
            Some(batches) => futures::stream::iter(batches.clone()).map(Ok).boxed(),
            None => read(&self.context)
                .await
                .map_err(|error| FlightError::from_external_error(Box::new(error)))
                .boxed(),
        };
        let data: Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>> = FlightDataEncoderBuilder::new()
            .with_schema(Arc::clone(&self.schema))
            .build(batches)
            .map_err(Status::from)
            .boxed();
        Ok(Response::new(data))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

/// A generator of numbers that repeats (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % most
    }
}

/// Admissions in no order, of people who come three times on average.
fn generate(path: &Path, rows: u64) {
    let schema = Arc::new(Schema::new(vec![
        Field::new("patient_id", DataType::Utf8, false),
        Field::new("sex", DataType::Utf8, false),
        Field::new("district", DataType::Int64, false),
        Field::new("age", DataType::Int64, false),
        Field::new("admitted_on", DataType::Date32, false),
        Field::new("days", DataType::Int64, false),
        Field::new("cost", DataType::Float64, false),
    ]));
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), Arc::clone(&schema), None).unwrap();
    let (mut chance, people, mut left) = (Chance(1), (rows / 3).max(1), rows);
    while left > 0 {
        let batch = usize::try_from(left).unwrap_or(BATCH_ROWS).min(BATCH_ROWS);
        let people: Vec<u64> = (0..batch).map(|_| chance.below(people)).collect();
        let mut below = |most: u64| -> Vec<i64> { (0..batch).map(|_| chance.below(most).cast_signed()).collect() };
        let (district, age, day, days, cost) = (below(100), below(100), below(700), below(30), below(400_000));
        let sex = people
            .iter()
            .map(|person| if person % 2 == 0 { "female" } else { "male" });
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(
                people.iter().map(|person| format!("P{person:09}")),
            )),
            Arc::new(StringArray::from_iter_values(sex)),
            Arc::new(Int64Array::from(district)),
            Arc::new(Int64Array::from(age)),
            Arc::new(Date32Array::from_iter_values(
                day.into_iter().map(|day| 20_000 + day as i32),
            )),
            Arc::new(Int64Array::from(days)),
            Arc::new(Float64Array::from_iter_values(
                cost.into_iter().map(|cost| cost as f64 / 4.0),
            )),
        ];
        writer
            .write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap())
            .unwrap();
        left -= batch as u64;
    }
    writer.close().unwrap();
}
