//! What a question to many nodes costs: our nodes with all their checks against bare arrow-flight servers over the same TLS, asked
//! in turn by one process.
//!
//!     cargo build --workspace --release --bin datenraum
//!     cargo bench --workspace --bench federation -- [NODES …]       default: 20 and 181 nodes; 1000 needs 20,000 open files
//!
//! All nodes run in one process of their own (a sandbox), with ledgers, once on the disk and once in memory (/dev/shm), where waiting for
//! the disk costs nothing. The bare servers, one for each node, run in another: no credential, no policy, no receipt, no ledger;
//! GetFlightInfo, then DoGet, planned and run by DataFusion over the same rows in memory. Prints Markdown tables. Data are
//! generated and removed at the end.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a program for developers"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt, SqlInfo, TicketStatementQuery};
use arrow_flight::{FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::prelude::{CsvReadOptions, ParquetReadOptions, SessionConfig, SessionContext};
use federation::{Asker, Profile, Question, Status as NodeStatus, Tables};
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use terms::SystemClock;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};
use trust::{PublicKey, SigningKey};
use wire::{Connection, Incoming};

/// Rows of each node, in part (a), (b) and (d).
const ROWS: u64 = 200;
/// Rows of each node in part (c).
const ROWS_TO_MERGE: u64 = 250_000;
/// Questions that are timed on open connections, and how many are asked before somebody else's turn.
const RUNS: usize = 100;
const TURN: usize = 5;
/// Time for one side of a comparison with many nodes.
const TIME_MAX: Duration = Duration::from_secs(12);
/// New programs that ask their first question.
const COLD_RUNS: usize = 5;
/// Most nodes whose ledgers are on one disk: each waits for it by itself.
const NODES_ON_DISK_MAX: usize = 200;

/// How this program is started to be a bare server, and to be a client of which the memory is measured.
const SERVE_BARE: &str = "--serve-bare";
const ASK_ALONE: &str = "--ask-alone";

const TINY: &str = "SELECT sex, count(*) AS stays, avg(days) AS days FROM admissions GROUP BY sex";
/// What nodes are asked for it.
const TINY_PART: &str =
    "SELECT sex AS g0, count(*) AS a0, count(days) AS a1, sum(days) AS a2 FROM admissions GROUP BY sex";
const TEN: &str = "SELECT sex, bin(age) AS ages, count(*) AS stays, count(cost) AS costs, avg(days) AS a, sum(days) AS b, \
                   stddev(days) AS c, var_pop(days) AS d, avg(cost) AS e, sum(cost) AS f, stddev(cost) AS g, \
                   var_samp(cost) AS h FROM admissions GROUP BY sex, bin(age)";
/// The same over pooled rows. `bin` is no function of DataFusion; the bins are those of the collection.
const TEN_POOLED: &str = "SELECT sex, CASE WHEN age < 20 THEN 0 WHEN age < 40 THEN 20 WHEN age < 60 THEN 40 WHEN age < 80 THEN 60 \
                          ELSE 80 END AS ages, count(*) AS stays, count(cost) AS costs, avg(days) AS a, sum(days) AS b, \
                          stddev(days) AS c, var_pop(days) AS d, avg(cost) AS e, sum(cost) AS f, stddev(cost) AS g, \
                          var_samp(cost) AS h FROM admissions GROUP BY 1, 2";
const MANY_CELLS: &str =
    "SELECT sex, district, count(*) AS stays, avg(cost) AS cost FROM admissions GROUP BY sex, district";

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
role = ["group", "filter"]
values = [DISTRICTS]
[columns.age]
type = "integer"
role = ["group", "filter", "measure"]
bins = [0, 20, 40, 60, 80, 120]
bounds = [0, 119]
[columns.days]
type = "integer"
role = "measure"
bounds = [0, 60]
[columns.cost]
type = "number"
role = "measure"
bounds = [0, 100000]
"#;
const DISTRICTS: u64 = 500;
const POLICY: &str = r#"
id = "research"
version = 1
title = "Research"
collection = "admissions"
valid_from = 2026-01-01
valid_until = 2099-12-31
[[permission]]
id = "statistics"
assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit = "none"
release = "aggregates"
columns = ["sex", "district", "age", "days", "cost"]
[permission.disclosure]
tier = "statistical"
min_people = 3
"#;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    let after = |word: &str| words.iter().position(|given| given == word).map(|at| &words[at + 1..]);
    if let Some(words) = after(SERVE_BARE) {
        return serve_bare(words[0].parse().unwrap(), &words[1]).await;
    }
    if let Some(words) = after(ASK_ALONE) {
        return ask_alone(Path::new(&words[0])).await;
    }
    let nodes: Vec<usize> = words
        .iter()
        .filter_map(|word| word.replace('_', "").parse().ok())
        .collect();
    let nodes = if nodes.is_empty() { vec![20, 181] } else { nodes };
    println!("load before: {}", fs::read_to_string("/proc/loadavg").unwrap().trim());
    fan_out(&nodes).await;
    ten_statistics().await;
    merging().await;
    println!("\nload after: {}", fs::read_to_string("/proc/loadavg").unwrap().trim());
}

/// (a) and (d): a tiny question to many nodes.
async fn fan_out(nodes: &[usize]) {
    println!(
        "\n| nodes | ledgers | p50 | p99 | bare p50 | p99 | ratio of p50 | CPU a node (client + node) | bare CPU a node | ratio of CPU |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut cold = String::new();
    for count in nodes {
        for ledgers in [Ledgers::OnDisk, Ledgers::InMemory] {
            if matches!(ledgers, Ledgers::OnDisk) && *count > NODES_ON_DISK_MAX {
                continue;
            }
            let space = Space::up(*count, ROWS, ledgers);
            let bare = BareServers::start(*count, &space.rows_of(0)).await;
            let first = space.ask_alone();
            let others: Vec<Alone> = (0..COLD_RUNS).map(|_| space.ask_alone()).collect();
            let asker = space.asker().await;
            let [ours, theirs] = compare(&space, &bare, &asker, TINY).await;
            println!(
                "| {count} | {ledgers:?} | {} | {} | {} | {} | {:.2} | {} | {} | {:.2} |",
                ms(ours.quantile(0.5)),
                ms(ours.quantile(0.99)),
                ms(theirs.quantile(0.5)),
                ms(theirs.quantile(0.99)),
                ours.quantile(0.5).as_secs_f64() / theirs.quantile(0.5).as_secs_f64(),
                ours.told_cpu(),
                theirs.told_cpu(),
                ours.cpu_a_node() / theirs.cpu_a_node(),
            );
            writeln!(
                cold,
                "| {count} | {ledgers:?} | {} | {} | {} MB |",
                ms(first.took),
                ms(median(others.iter().map(|alone| alone.took).collect())),
                others.iter().map(|alone| alone.peak_megabytes).max().unwrap(),
            )
            .unwrap();
        }
    }
    println!("\n| nodes | ledgers | first question to new nodes | a new client's first question | its peak memory |");
    println!("|---|---|---|---|---|\n{cold}");
}

/// (b): four nodes, ten statistics over two keys.
async fn ten_statistics() {
    println!("\n| four nodes, ten statistics over two keys | p50 | p99 |");
    println!("|---|---|---|");
    for ledgers in [Ledgers::OnDisk, Ledgers::InMemory] {
        let space = Space::up(4, ROWS, ledgers);
        let asker = space.asker().await;
        let mut times = Times::of(4);
        for _ in 0..2 * RUNS {
            times.all.push(timed(ask(&asker, TEN, 4)).await);
        }
        println!(
            "| ledgers {ledgers:?} | {} | {} |",
            ms(times.quantile(0.5)),
            ms(times.quantile(0.99))
        );
    }
}

/// (c): what is asked of four nodes and merged, against one DataFusion over all rows.
async fn merging() {
    let space = Space::up(4, ROWS_TO_MERGE, Ledgers::OnDisk);
    let pooled = SessionContext::new();
    let folder = space.folder.path().join("rows");
    let options = CsvReadOptions::new();
    let rows = pooled.read_csv(folder.to_str().unwrap(), options).await.unwrap();
    let file = space.folder.path().join("pooled.parquet");
    rows.write_parquet(file.to_str().unwrap(), Default::default(), None)
        .await
        .unwrap();
    let options = ParquetReadOptions::default();
    pooled
        .register_parquet("admissions", file.to_str().unwrap(), options)
        .await
        .unwrap();
    let asker = space.asker().await;
    println!(
        "\n| four nodes of {ROWS_TO_MERGE} rows, merged | p50 | client's CPU | DataFusion over all rows | ratio |"
    );
    println!("|---|---|---|---|---|");
    for (name, question, same) in [
        ("ten statistics, 10 cells", TEN, TEN_POOLED),
        ("two statistics, 1,000 cells", MANY_CELLS, MANY_CELLS),
    ] {
        let (mut ours, mut theirs) = (Times::of(4), Times::of(4));
        ask(&asker, question, 4).await;
        for _ in 0..RUNS / TURN {
            let before = cpu("self");
            ours.all.push(timed(ask(&asker, question, 4)).await);
            ours.client += cpu("self") - before;
            theirs
                .all
                .push(timed(async { pooled.sql(same).await.unwrap().collect().await.unwrap() }).await);
        }
        let (all, pooled) = (ours.quantile(0.5), theirs.quantile(0.5));
        println!(
            "| {name} | {} | {} | {} | {:.2} |",
            ms(all),
            ms(ours.client / u32::try_from(ours.all.len()).unwrap()),
            ms(pooled),
            all.as_secs_f64() / pooled.as_secs_f64()
        );
    }
}

/// Both sides in turn, on open connections.
async fn compare(space: &Space, bare: &BareServers, asker: &Asker, sql: &str) -> [Times; 2] {
    let (mut ours, mut theirs) = (Times::of(space.nodes), Times::of(space.nodes));
    let began = Instant::now();
    // Once beforehand: connections open.
    ask(asker, sql, space.nodes).await;
    bare.ask().await;
    while ours.all.len() < RUNS && began.elapsed() < 2 * TIME_MAX {
        let before = [cpu("self"), space.host.cpu()];
        for _ in 0..TURN {
            ours.all.push(timed(ask(asker, sql, space.nodes)).await);
        }
        let between = [cpu("self"), bare.process.cpu()];
        for _ in 0..TURN {
            theirs.all.push(timed(bare.ask()).await);
        }
        ours.client += between[0] - before[0];
        ours.servers += space.host.cpu() - before[1];
        theirs.client += cpu("self") - between[0];
        theirs.servers += bare.process.cpu() - between[1];
    }
    [ours, theirs]
}

/// What was measured of one side.
struct Times {
    nodes: usize,
    all: Vec<Duration>,
    client: Duration,
    servers: Duration,
}

impl Times {
    fn of(nodes: usize) -> Self {
        Self {
            nodes,
            all: Vec::new(),
            client: Duration::ZERO,
            servers: Duration::ZERO,
        }
    }

    fn quantile(&self, part: f64) -> Duration {
        let mut all = self.all.clone();
        all.sort_unstable();
        all[((all.len() as f64 * part) as usize).min(all.len() - 1)]
    }

    /// In milliseconds.
    fn cpu_a_node(&self) -> f64 {
        self.client_cpu_a_node() + self.a_node(self.servers)
    }

    fn client_cpu_a_node(&self) -> f64 {
        self.a_node(self.client)
    }

    fn told_cpu(&self) -> String {
        let (all, client) = (self.cpu_a_node(), self.client_cpu_a_node());
        format!("{all:.2} ms ({client:.2} + {:.2})", all - client)
    }

    fn a_node(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e3 / (self.all.len() * self.nodes) as f64
    }
}

async fn timed<T>(work: impl Future<Output = T>) -> Duration {
    let began = Instant::now();
    work.await;
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// The processor time of a process, all its threads taken together. The kernel tells it in hundredths of a second.
fn cpu(process: &str) -> Duration {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Asks, and holds that all nodes have answered.
async fn ask(asker: &Asker, sql: &str, nodes: usize) {
    let question = Question {
        sql: sql.to_owned(),
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        permit: None,
        tables: Tables::default(),
        timeout: None,
    };
    let answer = asker.ask(&question).await.unwrap();
    let answered = answer
        .coverage
        .iter()
        .filter(|node| node.status == NodeStatus::Answered);
    assert_eq!(
        answered.count(),
        nodes,
        "{:?}",
        answer.coverage.iter().find(|node| node.message.is_some())
    );
    assert!(answer.receipts.unwrap().problem.is_none());
}

/// Where ledgers, and what the client keeps, are written.
#[derive(Clone, Copy, Debug)]
enum Ledgers {
    OnDisk,
    InMemory,
}

/// A process that ends with its owner.
struct Process(Child);

impl Process {
    fn cpu(&self) -> Duration {
        cpu(&self.0.id().to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A sandbox of many nodes in one process, and a person who may ask.
struct Space {
    nodes: usize,
    host: Process,
    folder: tempfile::TempDir,
}

impl Space {
    fn up(nodes: usize, rows: u64, ledgers: Ledgers) -> Self {
        let folder = match ledgers {
            Ledgers::OnDisk => tempfile::tempdir_in(program().parent().unwrap()).unwrap(),
            Ledgers::InMemory => tempfile::tempdir_in("/dev/shm").unwrap(),
        };
        let place = folder.path();
        let districts: Vec<String> = (0..DISTRICTS).map(|district| district.to_string()).collect();
        for (name, text) in [
            ("spec.toml", &spec(nodes)),
            (
                "collections/admissions.toml",
                &COLLECTION.replace("DISTRICTS", &districts.join(", ")),
            ),
            ("policies/research.toml", &POLICY.to_owned()),
        ] {
            let path = place.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir(place.join("rows")).unwrap();
        (0..nodes).for_each(|node| generate(&place.join(format!("rows/{node}.csv")), rows, node as u64));
        let mut host = Command::new(program())
            .args(["sandbox", "up", "--foreground"])
            .arg(place.join("spec.toml"))
            .arg("--dir")
            .arg(place.join("sandbox"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(host.stdout.take().unwrap()).lines();
        assert!(
            said.any(|line| line.unwrap().contains("is up")),
            "the sandbox does not start"
        );
        Self {
            nodes,
            host: Process(host),
            folder,
        }
    }

    fn rows_of(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("rows/{node}.csv"))
    }

    fn person(&self) -> PathBuf {
        self.folder.path().join("sandbox/people/ada/person.toml")
    }

    async fn asker(&self) -> Asker {
        asker(&self.person()).await
    }

    /// A new program opens the space and asks one question.
    fn ask_alone(&self) -> Alone {
        let output = Command::new(std::env::current_exe().unwrap())
            .arg(ASK_ALONE)
            .arg(self.person())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<u64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
        let [microseconds, nodes, peak_megabytes] =
            <[u64; 3]>::try_from(numbers).expect("time, nodes and memory of a client that has answered");
        assert_eq!(nodes, self.nodes as u64);
        Alone {
            took: Duration::from_micros(microseconds),
            peak_megabytes,
        }
    }
}

/// What a new program says of its first question.
struct Alone {
    took: Duration,
    peak_megabytes: u64,
}

async fn asker(person: &Path) -> Asker {
    Asker::open(Profile::load(person).unwrap(), Arc::new(SystemClock))
        .await
        .unwrap()
}

/// Documents, catalogue, connections and one answer; then time, nodes and the peak of memory.
async fn ask_alone(person: &Path) {
    let began = Instant::now();
    let asker = asker(person).await;
    let question = Question {
        sql: TINY.to_owned(),
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        permit: None,
        tables: Tables::default(),
        timeout: None,
    };
    let answer = asker.ask(&question).await.unwrap();
    let took = began.elapsed();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    let answered = answer
        .coverage
        .iter()
        .filter(|node| node.status == NodeStatus::Answered);
    println!("{} {} {}", took.as_micros(), answered.count(), peak / 1024);
}

fn spec(nodes: usize) -> String {
    let mut text =
        "space = \"bench\"\nboard = { members = 3, threshold = 2 }\ncollections = [\"collections/admissions.toml\"]\n\
                    policies = [\"policies/research.toml\"]\n\
                    [[person]]\nid = \"ada\"\nmember = \"university\"\nroles = [\"university\"]\n"
            .to_owned();
    for node in 0..nodes {
        let dataset = format!("{{ collection = \"admissions\", path = \"rows/{node}.csv\" }}");
        writeln!(
            text,
            "[[node]]\nid = \"clinic-{node}\"\nroles = [\"hospital\"]\ndatasets = [{dataset}]"
        )
        .unwrap();
    }
    text
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

/// Servers without any protection but TLS, in one process of their own.
struct BareServers {
    connections: Vec<Connection>,
    process: Process,
}

impl BareServers {
    async fn start(count: usize, rows: &Path) -> Self {
        let process = Command::new(std::env::current_exe().unwrap())
            .args([SERVE_BARE, &count.to_string(), rows.to_str().unwrap()])
            .stdout(Stdio::piped())
            .spawn();
        let mut process = Process(process.unwrap());
        let lines = BufReader::new(process.0.stdout.take().unwrap()).lines().take(count);
        let servers: Vec<(String, PublicKey)> = lines
            .map(|line| {
                let line = line.unwrap();
                let (address, key) = line.trim().split_once(' ').unwrap();
                (address.to_owned(), key.parse().unwrap())
            })
            .collect();
        let connecting = servers.iter().map(|(address, key)| wire::connect(address, "bare", key));
        let connections = join_all(connecting).await.into_iter().map(Result::unwrap).collect();
        Self { connections, process }
    }

    /// Asks all of them and adds up what they say.
    async fn ask(&self) {
        let stays: i64 = join_all(self.connections.iter().map(ask_bare)).await.into_iter().sum();
        assert_eq!(stays, (self.connections.len() as u64 * ROWS).cast_signed());
    }
}

async fn ask_bare(connection: &Connection) -> i64 {
    let mut client = FlightSqlServiceClient::new(connection.grpc.clone());
    let info = client.execute(TINY_PART.to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let batches: Vec<RecordBatch> = client.do_get(ticket).await.unwrap().try_collect().await.unwrap();
    let stays = |batch: &RecordBatch| batch.column(1).as_primitive::<Int64Type>().values().iter().sum::<i64>();
    batches.iter().map(stays).sum()
}

#[derive(Clone)]
struct Bare(SessionContext);

async fn serve_bare(count: usize, rows: &str) {
    let config = SessionConfig::new().with_target_partitions(1);
    let context = SessionContext::new_with_config(config);
    let table = context
        .read_csv(rows, CsvReadOptions::new())
        .await
        .unwrap()
        .cache()
        .await
        .unwrap();
    context.register_table("admissions", table.into_view()).unwrap();
    let mut serving = Vec::new();
    for _ in 0..count {
        let key = SigningKey::generate().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = wire::tls::server_config(&key, "bare").unwrap();
        println!("{} {}", listener.local_addr().unwrap(), key.public());
        let service = FlightServiceServer::new(Bare(context.clone()));
        serving.push(
            wire::serve::server()
                .add_service(service)
                .serve_with_incoming(Incoming::new(listener, tls)),
        );
    }
    std::io::stdout().flush().unwrap();
    join_all(serving.into_iter().map(tokio::spawn)).await;
}

fn failed(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

#[tonic::async_trait]
impl FlightSqlService for Bare {
    type FlightService = Bare;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let planned = self.0.sql(&query.query).await.map_err(failed)?;
        let handle = query.query.into_bytes().into();
        let ticket = TicketStatementQuery {
            statement_handle: handle,
        }
        .as_any()
        .encode_to_vec();
        let info = FlightInfo::new()
            .try_with_schema(planned.schema().as_arrow())
            .map_err(failed)?
            .with_descriptor(request.into_inner())
            .with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(ticket)));
        Ok(Response::new(info))
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        _: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let sql = std::str::from_utf8(&ticket.statement_handle).map_err(failed)?;
        let batches = self
            .0
            .sql(sql)
            .await
            .map_err(failed)?
            .execute_stream()
            .await
            .map_err(failed)?;
        let data: Pin<Box<dyn futures::Stream<Item = Result<FlightData, Status>> + Send>> =
            FlightDataEncoderBuilder::new()
                .with_schema(batches.schema())
                .build(batches.map_err(|error| FlightError::from_external_error(Box::new(error))))
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
fn generate(path: &Path, rows: u64, node: u64) {
    let (mut chance, people) = (Chance(node), (rows / 3).max(1));
    let mut text = "patient_id,sex,district,age,days,cost\n".to_owned();
    for _ in 0..rows {
        let person = chance.below(people);
        let sex = if person % 2 == 0 { "female" } else { "male" };
        let [district, age, days] = [chance.below(DISTRICTS), chance.below(100), chance.below(30)];
        let cost = chance.below(400_000) as f64 / 4.0;
        writeln!(text, "n{node}p{person},{sex},{district},{age},{days},{cost}").unwrap();
    }
    fs::write(path, text).unwrap();
}
