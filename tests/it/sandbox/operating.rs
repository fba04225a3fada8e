//! How a node is operated: what its operator's monitoring reads, what it does when it is told to stop, and when its key file changes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow_flight::FlightDescriptor;
use axum::Router;
use axum::body::Bytes;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use trust::SigningKey;

use super::raw::{Person, ticket};
use super::{Sandbox, datenraum};

/// In a text of the data that is released, in one that a question names, and the person who asks.
const RELEASED: &str = "Vb27tRw4";
const NAMED: &str = "Kq93mZx1";
const PERSON: &str = "hx58-mira";

const SPEC: &str = r#"
space       = "library"
board       = { members = 3, threshold = 2 }
collections = ["collections/pages.toml"]
policies    = ["policies/pages.toml"]

[[node]]
id       = "archive"
roles    = ["library"]
datasets = [{ collection = "pages", path = "pages.csv" }]

[[person]]
id     = "hx58-mira"
member = "university"
roles  = ["university"]
"#;

const COLLECTION: &str = "id = \"pages\"\ntitle = \"Pages\"\npersonal = false\n\n[columns.shelf]\ntype = \"text\"\n\
     role = [\"group\", \"filter\"]\n\n[columns.number]\ntype = \"integer\"\nrole = \"measure\"\n";

const POLICY: &str = "id = \"pages\"\nversion = 1\ntitle = \"Pages are no secret\"\ncollection = \"pages\"\nvalid_from = 2026-01-01\n\
     valid_until = 2099-12-31\n\n[[permission]]\nid = \"universities\"\nassignee = { roles = [\"university\"] }\n\
     purposes = [\"ehds-53-1-e\"]\npermit = \"none\"\nrelease = \"rows\"\ncolumns = [\"shelf\", \"number\"]\n\
     disclosure = { tier = \"open\" }\n";

const ROWS: usize = 60_000;
const ALL_ROWS: &str = "SELECT shelf, number FROM pages";

/// So long a node may take to do what it is told.
const DOES_WITHIN: Duration = Duration::from_secs(30);

/// A data space with one node, which is down.
fn space() -> (Sandbox, PathBuf) {
    let rows = (0..ROWS).map(|row| format!("{RELEASED}{row:0>400},{row}\n"));
    let pages: String = std::iter::once("shelf,number\n".to_owned()).chain(rows).collect();
    let (sandbox, run) = Sandbox::of(&[
        ("spec.toml", SPEC),
        ("collections/pages.toml", COLLECTION),
        ("policies/pages.toml", POLICY),
        ("pages.csv", &pages),
    ]);
    run.returns(0);
    datenraum(["sandbox", "down", sandbox.dir().to_str().unwrap(), "--node", "archive"]).returns(0);
    let file = sandbox.dir().join("nodes/archive/node.toml");
    change(&file, "refresh_seconds = 30", "refresh_seconds = 1");
    (sandbox, file)
}

fn change(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "no {from} in {text}");
    std::fs::write(file, text.replace(from, to)).unwrap();
}

fn add(file: &Path, lines: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, format!("{text}\n{lines}\n")).unwrap();
}

/// The node in a process of its own.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it and waits until it takes connections.
    async fn start(file: &Path) -> Self {
        let log = file.with_file_name("node.log");
        let child = Command::new(env!("CARGO_BIN_EXE_datenraum"))
            .args(["node", "run", "--log", "json", "--config"])
            .arg(file)
            .env("DATENRAUM_LOG", "info")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn();
        let process = Self {
            child: child.unwrap(),
            log,
        };
        let listens = node::Config::load(file).unwrap().listen.unwrap();
        let since = Instant::now();
        while TcpStream::connect(&listens).await.is_err() {
            assert!(since.elapsed() < DOES_WITHIN, "{}", process.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        process
    }

    fn tell(&self, signal: &str) {
        let told = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(told.unwrap().success());
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// What it returns, within the time that it has.
    async fn returns(&mut self) -> i32 {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(since.elapsed() < DOES_WITHIN, "it does not end: {}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn free_port() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn scraped(address: std::net::SocketAddr) -> String {
    // A node listens for questions first.
    let begun = std::time::Instant::now();
    let mut tcp = loop {
        match TcpStream::connect(address).await {
            Ok(tcp) => break tcp,
            Err(error) => assert!(begun.elapsed().as_secs() < 20, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    tcp.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut page = String::new();
    tcp.read_to_string(&mut page).await.unwrap();
    page
}

/// The value of a line of the page, 0 if there is none.
fn value(page: &str, line: &str) -> f64 {
    let lines = page
        .lines()
        .filter_map(|of| of.strip_prefix(line)?.trim().parse::<f64>().ok());
    lines.sum()
}

fn status(file: &Path) -> Value {
    let run = datenraum(["node", "status", "--json", "--config", file.to_str().unwrap()]);
    run.returns(0).json()
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < DOES_WITHIN, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Keeps every byte that a node sends to who collects traces.
async fn collector() -> (std::net::SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let (listener, kept) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::default());
    let (address, keep) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<u8>>>::clone(&kept));
    let answers = move |body: Bytes| {
        keep.lock().unwrap().extend_from_slice(&body);
        async { [("content-type", "application/grpc"), ("grpc-status", "0")] }
    };
    let routes = tonic::service::Routes::from(Router::new().fallback(answers));
    let incoming = futures::stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(tcp, _)| tcp);
        Some((accepted, listener))
    });
    let serving = tonic::transport::Server::builder().add_routes(routes);
    tokio::spawn(async move { serving.serve_with_incoming(incoming).await.unwrap() });
    (address, kept)
}

fn holds(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_each_class_of_what_is_refused_moves_a_metric_and_metrics_traces_and_log_hold_no_canary() {
    let (sandbox, file) = space();
    let (metrics, (traces, sent)) = (free_port().await, collector().await);
    let tables = format!("[metrics]\nlisten = \"{metrics}\"\n[traces]\nendpoint = \"http://{traces}\"");
    add(&file, &tables);
    let mut process = Process::start(&file).await;
    let before = scraped(metrics).await;
    let person = Person::of(&sandbox, PERSON, "archive").await;
    let listens = node::Config::load(&file).unwrap().listen.unwrap();

    let few = format!("SELECT shelf, number FROM pages WHERE shelf = '{NAMED}'");
    for sql in [ALL_ROWS, "SELECT count(*) AS n FROM pages", &few] {
        let seen = person.ask(sql, None).await;
        assert!(seen.refused.is_none(), "{:?}", seen.refused);
    }
    let grouped = format!("SELECT shelf, count(*) AS {NAMED} FROM pages WHERE shelf = '{NAMED}' GROUP BY shelf");
    person.ask(&grouped, None).await;
    person.ask(&format!("SELECT {NAMED} FROM pages"), None).await;
    person.ask(&format!("DROP TABLE {NAMED}"), None).await;
    person.ask_whether(&format!("SELECT {NAMED} FROM pages"), None).await;
    let mut flight = person.flight();
    let bare = flight.do_get(ticket(&few)).await.unwrap_err();
    assert_eq!(bare.code(), tonic::Code::Unauthenticated);
    let mut forged = person.request(ticket(&few), &few, None);
    forged
        .metadata_mut()
        .insert("authorization", format!("Bearer {NAMED}").parse().unwrap());
    assert!(flight.do_get(forged).await.is_err());
    let replayed = person.request(ticket(ALL_ROWS), &few, None);
    assert!(flight.do_get(replayed).await.is_err());
    assert!(
        flight
            .get_schema(Request::new(FlightDescriptor::new_cmd(NAMED)))
            .await
            .is_err()
    );
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], b""] {
        let mut tcp = TcpStream::connect(&listens).await.unwrap();
        tcp.write_all(garbage).await.unwrap();
        tcp.shutdown().await.unwrap();
        // Until it is ended.
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    }

    let after = scraped(metrics).await;
    for moved in [
        "datenraum_calls_total{method=\"DoGet\",outcome=\"ok\"}",
        "datenraum_calls_total{method=\"DoGet\",outcome=\"E_SQL_COLUMN\"}",
        "datenraum_calls_total{method=\"DoGet\",outcome=\"E_SQL_NOT_ALLOWED\"}",
        "datenraum_calls_total{method=\"DoGet\",outcome=\"E_TOKEN_MALFORMED\"}",
        "datenraum_calls_total{method=\"DoGet\",outcome=\"E_PROOF_MISMATCH\"}",
        "datenraum_calls_total{method=\"DoAction\",outcome=\"E_SQL_COLUMN\"}",
        "datenraum_calls_total{method=\"Flight\",outcome=\"unimplemented\"}",
        "datenraum_connections_refused_total{reason=\"handshake\"}",
        "datenraum_connections_refused_total{reason=\"left\"}",
        "datenraum_call_seconds_count{method=\"DoGet\"}",
        "datenraum_ledger_commit_seconds_count",
        "datenraum_ledger_entries",
        "datenraum_bytes_released_total",
        "datenraum_rows_released_total",
    ] {
        assert!(
            value(&after, moved) > value(&before, moved),
            "{moved} did not move:\n{after}"
        );
    }
    for (line, is) in [
        ("datenraum_ready", 1.0),
        ("datenraum_ledger_failed", 0.0),
        ("datenraum_queries_running", 0.0),
    ] {
        assert!((value(&after, line) - is).abs() < 0.5, "{line}:\n{after}");
    }
    assert!(
        value(&after, "datenraum_process_memory_bytes") > 1e6 && value(&after, "datenraum_process_descriptors") > 5.0
    );
    let rows = value(&after, "datenraum_rows_released_total");
    assert!(
        (rows - ROWS as f64).abs() < 0.5,
        "{rows} rows are told, of which one is too many"
    );
    assert!(value(&after, "datenraum_documents_expire_seconds") > 1.7e9);

    process.tell("-TERM");
    assert_eq!(process.returns().await, 0, "{}", process.said());
    let (sent, said) = (sent.lock().unwrap().clone(), process.said());
    for step in [
        "query",
        "caller",
        "wait",
        "parse",
        "decide",
        "enforce",
        "execute",
        "release",
        "record",
        "answered",
        "E_SQL_COLUMN",
    ] {
        assert!(
            holds(&sent, step),
            "no {step} in the traces of {} bytes: {said}",
            sent.len()
        );
    }
    assert!(
        said.lines().count() > 3 && said.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{said}"
    );
    let person_alone = "mira";
    for canary in [RELEASED, NAMED, PERSON, person_alone] {
        assert!(!after.contains(canary), "{canary} in the metrics");
        assert!(!holds(&sent, canary), "{canary} in the traces");
        assert!(!said.contains(canary), "{canary} in the log: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_stop_sends_what_it_began_takes_nothing_new_and_ends_with_0() {
    let (sandbox, file) = space();
    change(&file, "drain_seconds = 2", "drain_seconds = 20");
    let mut process = Process::start(&file).await;
    let person = Person::of(&sandbox, PERSON, "archive").await;
    let config = node::Config::load(&file).unwrap();
    let key = SigningKey::load(&config.key).unwrap().public();
    let connection = wire::connect(&config.listen.unwrap(), "archive", &key).await.unwrap();
    let mut health = HealthClient::new(connection.grpc);
    let mut healthy = async || {
        let said = health.check(HealthCheckRequest::default()).await.unwrap();
        said.into_inner().status()
    };
    assert_eq!(healthy().await, ServingStatus::Serving);

    let answer = person
        .flight()
        .do_get(person.request(ticket(ALL_ROWS), ALL_ROWS, None))
        .await;
    let mut messages = answer.unwrap().into_inner();
    let first = messages.message().await.unwrap().unwrap();
    process.tell("-TERM");
    until("it is stopping", || !status(&file)["operation"]["unready"].is_null()).await;
    assert_eq!(healthy().await, ServingStatus::NotServing);
    let refused = person.ask(ALL_ROWS, None).await.refused.unwrap();
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    assert!(
        refused.message().contains("is stopping") && refused.message().contains("in a minute"),
        "{refused:?}"
    );

    let (mut bytes, mut receipts) = (first.data_body.len(), 0);
    while let Some(message) = messages.message().await.unwrap() {
        bytes += message.data_body.len();
        receipts += usize::from(!message.app_metadata.is_empty());
    }
    assert!(
        bytes > ROWS * 400 && receipts == 1,
        "{bytes} bytes, {receipts} receipts"
    );
    assert_eq!(process.returns().await, 0, "{}", process.said());
    let folder = file.parent().unwrap().to_str().unwrap();
    let shown = datenraum(["audit", "show", folder]).returns(0).out();
    assert!(shown.contains(&format!("released {ROWS} rows")), "{shown}");
    datenraum(["audit", "verify", folder]).returns(0);

    // Who is told twice does not wait for anybody.
    let mut process = Process::start(&file).await;
    let person = Person::of(&sandbox, PERSON, "archive").await;
    let answer = person
        .flight()
        .do_get(person.request(ticket(ALL_ROWS), ALL_ROWS, None))
        .await;
    let _unread = answer.unwrap().into_inner();
    process.tell("-TERM");
    until("it is stopping", || !status(&file)["operation"]["unready"].is_null()).await;
    let since = Instant::now();
    process.tell("-INT");
    assert_eq!(process.returns().await, 1);
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_stop_under_load_loses_no_answer() {
    let (sandbox, file) = space();
    let mut process = Process::start(&file).await;
    let (answered, told) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut asking = Vec::new();
    for _ in 0..4 {
        let person = Person::of(&sandbox, PERSON, "archive").await;
        let (answered, told) = (Arc::clone(&answered), Arc::clone(&told));
        asking.push(tokio::spawn(async move {
            loop {
                match person.ask("SELECT count(*) AS n FROM pages", None).await.refused {
                    None => answered.fetch_add(1, Ordering::Relaxed),
                    Some(status) if told.load(Ordering::Relaxed) => return status,
                    Some(status) => panic!("{status:?}"),
                };
            }
        }));
    }
    until("a hundred answers", || answered.load(Ordering::Relaxed) >= 100).await;
    told.store(true, Ordering::Relaxed);
    process.tell("-TERM");
    for ended in futures::future::join_all(asking).await {
        let status = ended.unwrap();
        let told = wire::status::from_status(&status, "archive").report;
        assert_eq!(told.problem, terms::Problem::Unreachable, "{status:?}");
    }
    assert_eq!(process.returns().await, 0, "{}", process.said());
    let config = node::Config::load(&file).unwrap();
    let entries = node::audit::entries(&config.ledger_file()).unwrap();
    let released = entries
        .iter()
        .filter(|entry| entry.outcome == node::ledger::Outcome::Released)
        .count();
    assert_eq!(released as u64, answered.load(Ordering::Relaxed));
    datenraum(["audit", "verify", file.parent().unwrap().to_str().unwrap()]).returns(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_20_a_key_file_that_is_exchanged_under_load_fails_no_query_and_what_cannot_be_used_is_told() {
    let (sandbox, file) = space();
    let metrics = free_port().await;
    add(&file, &format!("[metrics]\nlisten = \"{metrics}\""));
    let process = Process::start(&file).await;
    let (over, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut people = Vec::new();
    for _ in 0..4 {
        people.push(Person::of(&sandbox, PERSON, "archive").await);
    }
    let key_file = file.with_file_name("node.key");
    let whole = std::fs::read(&key_file).unwrap();
    let rosters = SigningKey::load(&key_file).unwrap().public();
    let listens = node::Config::load(&file).unwrap().listen.unwrap();
    let asking = people.iter().map(|person| async {
        while !over.load(Ordering::Relaxed) {
            let seen = person.ask("SELECT count(*) AS n FROM pages", None).await;
            assert!(seen.refused.is_none(), "{:?}", seen.refused);
            answers.fetch_add(1, Ordering::Relaxed);
            // Who comes anew meets the key that the roster names.
            wire::connect(&listens, "archive", &rosters).await.unwrap();
        }
    });
    let other = tempfile::tempdir().unwrap();
    SigningKey::generate()
        .unwrap()
        .save_new(&other.path().join("other.key"))
        .unwrap();
    let another = std::fs::read(other.path().join("other.key")).unwrap();
    let exchanging = async {
        let problem = |file: &Path| {
            let run = datenraum(["node", "status", "--json", "--config", file.to_str().unwrap()]);
            match run.code() {
                // Until the node has looked, a key that did not sign the audit looks like an audit that was forged.
                6 => Value::String("not looked at yet".to_owned()),
                _ => run.returns(0).json()["operation"]["key_file"]["problem"].clone(),
            }
        };
        let half = &whole[..whole.len() / 2];
        for (bytes, is) in [
            (&whole[..], Value::Null),
            (half, "E_FILE_VALUE".into()),
            (&whole, Value::Null),
            (&another, "E_PEER_KEY".into()),
            (&whole, Value::Null),
        ] {
            let seen = answers.load(Ordering::Relaxed);
            tokio::fs::write(&key_file, bytes).await.unwrap();
            process.tell("-HUP");
            let (since, file) = (Instant::now(), file.clone());
            loop {
                let file = file.clone();
                let told = tokio::task::spawn_blocking(move || problem(&file)).await.unwrap();
                if told == is && answers.load(Ordering::Relaxed) > seen + 20 {
                    break;
                }
                assert!(
                    since.elapsed() < DOES_WITHIN,
                    "told {told}, not {is}: {}",
                    process.said()
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(futures::future::join_all(asking), exchanging);
    assert!(value(&scraped(metrics).await, "datenraum_key_file_refused_total") >= 2.0);
    assert!(process.said().contains("the key file is not used") && process.said().contains("was read again"));
}

#[test]
fn a_configuration_is_checked_whole_before_anything_starts_and_a_broker_tells_how_it_is() {
    let (sandbox, file) = space();
    let check = |file: &Path, more: &[&str]| {
        let words = ["node", "run", "--config", file.to_str().unwrap()];
        datenraum(words.iter().chain(more))
    };
    let said = check(&file, &["--check"]).returns(0).out();
    assert!(said.contains("in order"), "{said}");
    change(&file, "refresh_seconds = 1", "refresh_seconds = 99");
    change(&file, "root = \"root.json\"", "root = \"roots.json\"");
    for more in [&["--check"][..], &[]] {
        let run = check(&file, more);
        assert!(
            run.err().contains("root: ") && run.err().contains("refresh_seconds: "),
            "{}",
            run.err()
        );
        run.returns(2).fails_with("E_FILE_VALUE", "from 1 to 60");
    }
    let found = check(&file, &["--check", "--json"]).returns(2).json();
    assert_eq!(found["findings"].as_array().unwrap().len(), 2, "{found}");

    let broker = sandbox.dir().join("broker/broker.toml");
    let broker = broker.to_str().unwrap();
    let told = datenraum(["broker", "status", "--json", "--config", broker])
        .returns(0)
        .json();
    assert_eq!(
        (&told["space"], &told["expired"]),
        (&"library".into(), &false.into()),
        "{told}"
    );
    let text = datenraum(["broker", "status", "--config", broker]).returns(0).out();
    assert!(
        text.contains("of library") && text.contains("drain_seconds = 2") && text.contains("MiB free"),
        "{text}"
    );
    change(Path::new(broker), "drain_seconds = 2", "drain_second = 2");
    datenraum(["broker", "run", "--check", "--config", broker]).fails_with("E_FILE_KEY", "drain_second");
}
