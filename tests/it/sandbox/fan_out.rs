//! What goes wrong between an asker and nodes: one does not answer in time, connections break or die without a word, and whoever asked goes
//! away. What became of it at the node is looked up in its ledger.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::sql::{ActionCancelQueryRequest, ProstMessageExt as _};
use arrow_flight::{CancelFlightInfoRequest, FlightEndpoint, FlightInfo, Ticket};
use faults::Proxy;
use federation::gateway::{Listener, Options, Token};
use federation::{Answer, Asker, Coverage, Gateway, Profile, Question, Status};
use node::audit;
use node::ledger::{AuditEntry, Outcome};
use prost::Message as _;
use terms::{ExitCode, Problem, SystemClock};
use tokio_util::sync::CancellationToken;

use super::gateway::Client;
use super::{Sandbox, datenraum};

const SPEC: &str = r#"
space       = "town"
board       = { members = 3, threshold = 2 }
collections = ["collections/meters.toml"]
policies    = ["policies/meters-open.toml"]

[[node]]
id       = "mill"
roles    = ["municipality"]
datasets = [{ collection = "meters", path = "few.csv" }]

[[node]]
id       = "works"
roles    = ["municipality"]
datasets = [{ collection = "meters", path = "many.csv" }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]
"#;

const COLLECTION: &str = r#"
id = "meters"
title = "Meters"
personal = false
[columns.street]
type = "text"
role = ["group"]
[columns.reading]
type = "integer"
role = ["measure"]
"#;

/// It may be asked as often as `PER_WEEK` says.
const POLICY: &str = r#"
id = "meters-open"
version = 1
title = "Meters are no secret"
collection = "meters"
valid_from = 2026-01-01
valid_until = 2099-12-31
[[permission]]
id = "universities"
assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit = "none"
release = "rows"
columns = ["node", "street", "reading"]
disclosure = { tier = "open", queries = { per_week = 20 } }
"#;

const PER_WEEK: usize = 20;

/// Rows of more bytes than a node reads to their end before the first leaves.
const MANY: usize = 150_000;
const FEW: usize = 3;

const CELLS: &str = "SELECT street, count(*) AS n FROM meters GROUP BY street";
const ROWS: &str = "SELECT street, reading FROM meters";

/// So many bytes of rows are an answer of which the beginning has arrived.
const SOME_BYTES: u64 = 500_000;

fn meters(rows: usize) -> String {
    let row = |row: usize| format!("a long street with the number {:04},{row}\n", row % 7);
    std::iter::once("street,reading\n".to_owned())
        .chain((0..rows).map(row))
        .collect()
}

/// Two nodes, one of them behind a proxy.
struct Town {
    sandbox: Sandbox,
    proxy: Proxy,
}

impl Town {
    async fn new() -> Self {
        let (sandbox, run) = Sandbox::of(&[
            ("spec.toml", SPEC),
            ("collections/meters.toml", COLLECTION),
            ("policies/meters-open.toml", POLICY),
            ("many.csv", &meters(MANY)),
            ("few.csv", &meters(FEW)),
        ]);
        run.returns(0);
        let proxy = sandbox.behind_a_proxy(&["works"]).await.remove(0);
        Self { sandbox, proxy }
    }

    async fn asker(&self) -> Asker {
        let profile = Profile::load(&self.sandbox.dir().join("people/ada/person.toml")).unwrap();
        Box::pin(Asker::open(profile, Arc::new(SystemClock))).await.unwrap()
    }

    /// What the ledger of the node behind the proxy says.
    fn entries(&self) -> Vec<AuditEntry> {
        let config = node::Config::load(&self.sandbox.dir().join("nodes/works/node.toml")).unwrap();
        audit::entries(&config.ledger_file()).unwrap()
    }

    fn outcomes(&self) -> Vec<Outcome> {
        self.entries().iter().map(|entry| entry.outcome).collect()
    }

    /// Waits until the ledger says so: sooner than a dead connection would be noticed.
    async fn comes_to(&self, outcomes: &[Outcome]) {
        let began = Instant::now();
        while self.outcomes() != outcomes {
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", self.entries());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn question(sql: &str, timeout: Option<&str>) -> Question {
    Question {
        sql: sql.to_owned(),
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        permit: None,
        tables: federation::Tables::default(),
        timeout: timeout.map(|seconds| seconds.parse().unwrap()),
    }
}

async fn ask(asker: &Asker, sql: &str, timeout: Option<&str>) -> Answer {
    Box::pin(asker.ask(&question(sql, timeout))).await.unwrap()
}

fn of<'a>(answer: &'a Answer, node: &str) -> &'a Coverage {
    let mut nodes = answer.coverage.iter();
    nodes.find(|coverage| coverage.node.as_str() == node).unwrap()
}

fn rows(answer: &Answer) -> usize {
    answer.batches.iter().map(|batch| batch.num_rows()).sum()
}

/// Every node answered, and nothing is there twice.
fn is_whole(answer: &Answer, what: &str) {
    for node in &answer.coverage {
        assert_eq!(node.status, Status::Answered, "{what}: {:?}", node.message);
    }
    let counts = answer.batches.iter().map(|batch| {
        let counts = batch.column_by_name("n").unwrap();
        arrow::compute::sum(arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(
            counts,
        ))
        .unwrap()
    });
    assert_eq!(counts.sum::<i64>(), (MANY + FEW) as i64, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_late_is_named_in_time_and_told_to_stop() {
    let town = Town::new().await;
    let asker = town.asker().await;
    is_whole(&ask(&asker, CELLS, None).await, "before");
    // Rows that leave while they are read: the node is in the middle of its answer when the time is over.
    town.proxy.hold_after(SOME_BYTES);
    let began = Instant::now();
    let answer = ask(&asker, ROWS, Some("3")).await;
    let took = began.elapsed();
    assert!(
        Duration::from_secs(3) <= took && took < Duration::from_secs(10),
        "{took:?}"
    );
    let works = of(&answer, "works");
    assert_eq!((works.status, works.problem), (Status::Late, Some(Problem::Late)));
    assert_eq!(works.message.as_deref(), Some("works did not answer within 3 s"));
    assert!(works.remedy.as_deref().unwrap().contains("--timeout"));
    assert_eq!(of(&answer, "mill").status, Status::Answered);
    assert_eq!(
        (rows(&answer), answer.took_part().exit_code()),
        (FEW, ExitCode::Partial)
    );
    town.comes_to(&[Outcome::Released, Outcome::Begun, Outcome::Abandoned])
        .await;

    // A node that is never heard of, and nobody else: as if nobody could be reached.
    town.proxy.hold();
    let sql = format!("{CELLS} HAVING count(*) > 0").replace("FROM meters", "FROM meters WHERE node = 'works'");
    let answer = ask(&asker, &sql, Some("1")).await;
    assert_eq!(of(&answer, "works").status, Status::Late);
    assert_eq!(answer.took_part().exit_code(), ExitCode::Unreachable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dies_without_a_word_is_doubled_and_the_node_answers_once() {
    let town = Town::new().await;
    let asker = town.asker().await;
    is_whole(&ask(&asker, CELLS, None).await, "before");
    let opened = town.proxy.connections();
    // The request never comes to the node, or the answer never comes back.
    for (what, lose) in [
        ("the request is lost", Proxy::strand as fn(&Proxy)),
        ("the answer is lost", |proxy| proxy.hold_after(0)),
    ] {
        lose(&town.proxy);
        let began = Instant::now();
        is_whole(&ask(&asker, CELLS, None).await, what);
        let took = began.elapsed();
        assert!(
            Duration::from_secs(4) <= took && took < Duration::from_secs(20),
            "{what}: {took:?}"
        );
    }
    assert_eq!(town.proxy.connections(), opened + 2);
    // What is late is waited for, also where the node could not tell it again.
    town.proxy.hold_after(SOME_BYTES);
    let sooner = async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        town.proxy.pass();
    };
    let (answer, ()) = futures::join!(ask(&asker, ROWS, None), sooner);
    assert_eq!(rows(&answer), MANY + FEW, "{:?}", answer.coverage);
    let released = Outcome::Released;
    let (begun, refused) = (Outcome::Begun, Outcome::Refused);
    town.comes_to(&[released, released, released, begun, refused, released])
        .await;
    assert_eq!(town.entries()[4].problem, Some(Problem::RequestId));
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_a_connection_breaks_the_node_answers_once_and_charges_once() {
    let town = Town::new().await;
    let asker = town.asker().await;
    is_whole(&ask(&asker, CELLS, None).await, "before");
    let opened = town.proxy.connections();
    // At once, within the headers, within the cells, and after all of it.
    let bytes = (0..PER_WEEK as u64 - 1).map(|step| step * 300);
    for bytes in bytes {
        town.proxy.cut_after(bytes);
        is_whole(&ask(&asker, CELLS, None).await, &format!("after {bytes} bytes"));
    }
    let lost = town.proxy.connections() - opened;
    println!("{lost} of {} connections were lost", PER_WEEK - 1);
    assert!(lost >= 5, "{lost}");
    let entries = town.entries();
    assert_eq!(town.outcomes(), vec![Outcome::Released; PER_WEEK], "{entries:?}");
    // All of the week's queries are spent, and no more than those.
    town.proxy.pass();
    let answer = ask(&asker, CELLS, None).await;
    assert_eq!(of(&answer, "works").problem, Some(Problem::Quota));
    assert_eq!(answer.took_part().exit_code(), ExitCode::Refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_lost_on_their_way_are_no_refusal() {
    let town = Town::new().await;
    let asker = town.asker().await;
    is_whole(&ask(&asker, CELLS, None).await, "before");
    town.proxy.cut_after(SOME_BYTES);
    let answer = ask(&asker, ROWS, None).await;
    let works = of(&answer, "works");
    assert_eq!(works.status, Status::Unreachable, "{:?}", works.message);
    let message = works.message.as_deref().unwrap();
    assert!(message.starts_with("the connection to works was lost"), "{message}");
    let query_id = works.query_id.as_ref().unwrap().as_str();
    assert!(message.contains("recorded as query"), "{message}");
    assert!(town.entries().iter().any(|entry| entry.query_id.as_str() == query_id));
    assert_eq!(
        (rows(&answer), answer.took_part().exit_code()),
        (FEW, ExitCode::Partial)
    );
    let allowed = town
        .entries()
        .into_iter()
        .filter(|entry| entry.outcome == Outcome::Begun);
    assert_eq!(allowed.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_presses_ctrl_c_ends_the_question_at_the_nodes() {
    let town = Town::new().await;
    let dir = town.sandbox.dir();
    let mut asking = Command::new(env!("CARGO_BIN_EXE_datenraum"))
        .args([
            "query",
            "--sandbox",
            dir.to_str().unwrap(),
            ROWS,
            "--purpose",
            "ehds-53-1-e",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while town.proxy.connections() == 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody asks");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    town.proxy.hold_after(SOME_BYTES);
    town.comes_to(&[Outcome::Begun]).await;
    let interrupt = Command::new("kill").args(["-INT", &asking.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    assert!(!asking.wait().unwrap().success());
    town.comes_to(&[Outcome::Begun, Outcome::Abandoned]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_cancels_or_leaves_the_gateway_ends_the_question_at_the_nodes() {
    let town = Town::new().await;
    let options = Options {
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        ..Options::default()
    };
    let file = town.sandbox.place().join("gateway.token");
    let token = Token::of_file(&file).unwrap();
    let bearer = format!("Bearer {}", std::fs::read_to_string(&file).unwrap().trim());
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.bound().to_string(), CancellationToken::new());
    let serving = tokio::spawn(Gateway::new(town.asker().await, options).serve(listener, token, stop.clone()));
    let mut recorded = Vec::new();
    for leave in ["CancelQuery", "CancelFlightInfo", "the call", "the connection"] {
        let client = Client::of(&address, &bearer).await;
        client.ask(CELLS, &[]).await.unwrap();
        town.proxy.hold_after(SOME_BYTES);
        let ticket = client.ticket(ROWS, &[]).await.unwrap();
        let (fetches, fetched) = (client.clone(), ticket.clone());
        let asking = tokio::spawn(async move { fetches.get(fetched).await });
        recorded.extend([Outcome::Released, Outcome::Begun]);
        town.comes_to(&recorded).await;
        match leave {
            "the call" => asking.abort(),
            // With the last of its calls.
            "the connection" => {
                asking.abort();
                drop(client);
            }
            action => {
                client.act(action, cancels(action, ticket)).await.unwrap();
                let ended = tokio::time::timeout(Duration::from_secs(10), asking).await;
                assert_eq!(ended.unwrap().unwrap().unwrap_err().code(), tonic::Code::Cancelled);
            }
        }
        recorded.push(Outcome::Abandoned);
        town.comes_to(&recorded).await;
        town.proxy.cut();
    }
    // Who sets a time is told of the late in it.
    let client = Client::of(&address, &bearer).await;
    town.proxy.hold();
    let late = client
        .ask(CELLS, &[("datenraum-timeout-seconds", "1")])
        .await
        .unwrap_err();
    let report = wire::status::from_status(&late, "the gateway").report;
    assert_eq!(report.problem, Problem::Partial, "{report}");
    assert!(
        report
            .message
            .contains("works late: works did not answer within 1 s [E_LATE]"),
        "{report}"
    );
    stop.cancel();
    serving.await.unwrap().unwrap();
}

fn cancels(action: &str, ticket: Ticket) -> Vec<u8> {
    let info = FlightInfo::new().with_endpoint(FlightEndpoint::new().with_ticket(ticket));
    match action {
        "CancelQuery" => {
            let info = info.encode_to_vec().into();
            ActionCancelQueryRequest { info }.as_any().encode_to_vec()
        }
        _ => CancelFlightInfoRequest { info: Some(info) }.encode_to_vec(),
    }
}

#[test]
fn a_time_that_there_is_not_is_refused() {
    for seconds in ["0", "-1", "3601", "soon", "1.5"] {
        let timeout = format!("--timeout={seconds}");
        let run = datenraum(["query", "SELECT 1", &timeout]).returns(2);
        assert!(
            run.err().contains("whole number of seconds from 1 to 3600"),
            "{}",
            run.err()
        );
    }
}
