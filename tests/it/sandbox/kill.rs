//! A node that is killed without warning while people ask: what they were answered is recorded, and nothing is regained.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arrow_flight::Ticket;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use futures::{StreamExt as _, TryStreamExt};
use node::audit::{self, Compared};
use node::ledger::{AuditEntry, Outcome};
use prost::Message;
use terms::{Problem, QueryId, Report, RequestId, UtcTime};
use tonic::Request;
use trust::{Digest, Envelope, Proof, PublicKey, Receipt, SigningKey, Verified};
use wire::Connection;

use super::raw::{Person, ticket};
use super::{Sandbox, datenraum};

/// So often the node is killed, unless `DATENRAUM_KILLS` says otherwise.
const KILLS: u64 = 20;

/// So long a node may take to answer again after it was started.
const RESTARTS_WITHIN: Duration = Duration::from_secs(10);

/// How many people ask at the same time, by how many connections each.
const PEOPLE: [&str; 2] = ["ada", "bob"];
const CONNECTIONS: usize = 2;

/// How often one person may ask about wards: fewer than they try.
const WARDS_PER_WEEK: usize = 25;

const SPEC: &str = r#"
space       = "town"
board       = { members = 3, threshold = 2 }
collections = ["collections/beds.toml", "collections/wards.toml"]
policies    = ["policies/beds-open.toml", "policies/wards-open.toml"]

[[node]]
id       = "clinic"
roles    = ["hospital"]
datasets = [{ collection = "beds", path = "beds.csv" }, { collection = "wards", path = "beds.csv" }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]

[[person]]
id     = "bob"
member = "university"
roles  = ["university"]
"#;

fn collection(id: &str) -> String {
    format!(
        "id = \"{id}\"\ntitle = \"{id}\"\npersonal = false\n\n[columns.district]\ntype = \"text\"\nrole = [\"group\", \"filter\"]\n\n\
         [columns.beds]\ntype = \"integer\"\nrole = \"measure\"\n"
    )
}

fn policy(collection: &str, per_week: usize) -> String {
    format!(
        "id = \"{collection}-open\"\nversion = 1\ntitle = \"{collection} are no secret\"\ncollection = \"{collection}\"\n\
         valid_from = 2026-01-01\nvalid_until = 2099-12-31\n\n[[permission]]\nid = \"universities\"\n\
         assignee = {{ roles = [\"university\"] }}\npurposes = [\"ehds-53-1-e\"]\npermit = \"none\"\nrelease = \"aggregates\"\n\
         columns = [\"district\", \"beds\"]\ndisclosure = {{ tier = \"open\", queries = {{ per_week = {per_week} }} }}\n"
    )
}

fn beds() -> String {
    let rows = (0..500).map(|row| format!("d{},{row}\n", row % 7));
    std::iter::once("district,beds\n".to_owned()).chain(rows).collect()
}

/// Numbers that look random and are the same for the same seed (xorshift64).
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let told = std::env::var("DATENRAUM_SEED").ok().and_then(|seed| seed.parse().ok());
        let of_now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        Self(told.unwrap_or_else(of_now) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// The sandbox's node, in a process of its own that can be killed.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn start(config: &Path) -> Self {
        let node = Command::new(env!("CARGO_BIN_EXE_datenraum"))
            .args(["node", "run", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(node.unwrap())
    }
}

impl Drop for Process {
    /// SIGKILL.
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What clients have seen.
#[derive(Default)]
struct Seen {
    answers: AtomicU64,
    receipts: Mutex<BTreeMap<(&'static str, RequestId), Verified<Receipt>>>,
    told_again: AtomicU64,
    used_up: AtomicBool,
    over: AtomicBool,
}

/// Somebody who asks again and again.
struct Client {
    person: &'static str,
    address: String,
    node: PublicKey,
    key: SigningKey,
    credential: String,
    connection: Option<Connection>,
}

impl Client {
    fn of(sandbox: &Sandbox, person: &'static str) -> Self {
        let config = node::Config::load(&sandbox.dir().join("nodes/clinic/node.toml")).unwrap();
        let folder = sandbox.dir().join("people").join(person);
        Self {
            person,
            address: config.listen.unwrap(),
            node: SigningKey::load(&config.key).unwrap().public(),
            key: SigningKey::load(&folder.join("person.key")).unwrap(),
            credential: std::fs::read_to_string(folder.join("credential.jwt"))
                .unwrap()
                .trim()
                .to_owned(),
            connection: None,
        }
    }

    /// Asks about beds and wards in turn, each question under a name of its own until it is answered or refused.
    async fn go_on(mut self, seen: Arc<Seen>) {
        for number in 0.. {
            let about = ["beds", "wards"][number % 2];
            let sql = format!("SELECT district, sum(beds) AS beds FROM {about} GROUP BY district");
            let request = trust::new_request_id().unwrap();
            let since = UtcTime::now();
            let mut tries = 0_u32;
            loop {
                if seen.over.load(Ordering::Relaxed) {
                    return;
                }
                tries += 1;
                let asked_at = UtcTime::now();
                match self.ask(&sql, &request).await {
                    Ok(receipt) => {
                        if tries > 1 && receipt.at >= since && receipt.at < asked_at {
                            seen.told_again.fetch_add(1, Ordering::Relaxed);
                        }
                        let name = (self.person, request.clone());
                        seen.receipts.lock().unwrap().insert(name, receipt);
                        seen.answers.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                    Err(report) if report.problem == Problem::Quota && about == "wards" => {
                        seen.used_up.store(true, Ordering::Relaxed);
                        break;
                    }
                    Err(report) => {
                        let lost = [Problem::Unreachable, Problem::ProofMismatch];
                        assert!(lost.contains(&report.problem), "{report}");
                        self.connection = None;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        }
    }

    /// Asks one question, and checks the answer against its receipt.
    async fn ask(&mut self, sql: &str, request: &RequestId) -> Result<Verified<Receipt>, Report> {
        if self.connection.is_none() {
            self.connection = Some(wire::connect(&self.address, "clinic", &self.node).await?);
        }
        let connection = self.connection.clone().unwrap();
        let proof = Proof {
            node: "clinic".to_owned(),
            query: Digest::of(sql.as_bytes()),
            purpose: Some("ehds-53-1-e".parse().unwrap()),
            permit: None,
            request: Some(request.clone()),
            channel: connection.binding()?,
        };
        let proof = proof.issue(&self.key, UtcTime::now()).unwrap();
        let tokens = wire::header::Tokens {
            credential: &self.credential,
            proof: &proof,
            request: Some(request.as_str()),
        };
        let ticket = TicketStatementQuery {
            statement_handle: wire::v1::QueryTicket { sql: sql.to_owned() }.encode_to_vec().into(),
        };
        let mut call = Request::new(Ticket::new(ticket.as_any().encode_to_vec()));
        wire::header::attach(call.metadata_mut(), tokens).unwrap();
        let told = |status: &tonic::Status| wire::status::from_status(status, "clinic").report;
        let mut flight = FlightServiceClient::new(connection.grpc.clone());
        let response = flight.do_get(call).await.map_err(|status| told(&status))?;
        let envelope = Envelope::parse(&wire::header::receipt(response.metadata()).unwrap()).unwrap();
        let receipt = Receipt::open(&envelope, &self.node).unwrap();
        let messages = response
            .into_inner()
            .map_err(|status| FlightError::Tonic(Box::new(status)));
        let mut stream = FlightRecordBatchStream::new_from_flight_data(messages);
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            // Cut off on the way: not an answer that was seen.
            batches.push(batch.map_err(|_| Problem::Unreachable.report("the answer was cut off"))?);
        }
        let Some(schema) = stream.schema() else {
            return Err(Problem::Unreachable.report("the answer was cut off"));
        };
        if batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>() < receipt.rows {
            return Err(Problem::Unreachable.report("the answer was cut off"));
        }
        assert_eq!(receipt.result, engine::digest_of(schema, &batches));
        Ok(receipt)
    }
}

/// Waits until somebody is answered. Says how long that took.
async fn answered(seen: &Seen) -> Duration {
    let (before, since) = (seen.answers.load(Ordering::Relaxed), Instant::now());
    while seen.answers.load(Ordering::Relaxed) == before {
        assert!(since.elapsed() < RESTARTS_WITHIN, "the node does not answer again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    since.elapsed()
}

/// The audit as its node's operator and whoever has these receipts verify it.
fn verified(config: &node::Config, checkpoints: Vec<String>, seen: &Seen) -> Vec<AuditEntry> {
    let compared = Compared {
        checkpoints,
        receipts: seen.receipts.lock().unwrap().values().cloned().collect(),
    };
    let key = SigningKey::load(&config.key).unwrap().public();
    audit::verify(&config.ledger_file(), &config.audit_origin(), &key, &compared).unwrap();
    audit::entries(&config.ledger_file()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_42_whatever_was_answered_before_a_kill_is_recorded_after_it_and_no_quota_is_regained() {
    let kills = std::env::var("DATENRAUM_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut random = Random::seeded();
    println!("DATENRAUM_SEED={}", random.0);
    let (sandbox, run) = Sandbox::of(&[
        ("spec.toml", SPEC),
        ("collections/beds.toml", &collection("beds")),
        ("collections/wards.toml", &collection("wards")),
        ("policies/beds-open.toml", &policy("beds", 1_000_000)),
        ("policies/wards-open.toml", &policy("wards", WARDS_PER_WEEK)),
        ("beds.csv", &beds()),
    ]);
    run.returns(0);
    let dir = sandbox.dir();
    datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", "clinic"]).returns(0);
    let file = dir.join("nodes/clinic/node.toml");
    let config = node::Config::load(&file).unwrap();

    let (begun, seen) = (Instant::now(), Arc::new(Seen::default()));
    let clients = PEOPLE.iter().flat_map(|person| [*person; CONNECTIONS]);
    let clients: Vec<_> = clients
        .map(|person| tokio::spawn(Client::of(&sandbox, person).go_on(Arc::clone(&seen))))
        .collect();
    let (mut anchors, mut slowest) = (Vec::new(), Duration::ZERO);
    for _ in 0..kills {
        let process = Process::start(&file);
        slowest = slowest.max(answered(&seen).await);
        tokio::time::sleep(Duration::from_micros(random.below(150_000))).await;
        drop(process);
        anchors.extend(audit::anchor(&config.anchor_file()).unwrap());
    }
    let process = Process::start(&file);
    slowest = slowest.max(answered(&seen).await);
    // On a machine that is busy with other things, few answers lie between two kills.
    let since = Instant::now();
    while !seen.used_up.load(Ordering::Relaxed) && since.elapsed() < RESTARTS_WITHIN {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    seen.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    drop(process);

    let entries = verified(&config, anchors, &seen);
    let receipts = seen.receipts.lock().unwrap();
    let queries: BTreeSet<&QueryId> = receipts.values().map(|receipt| &receipt.query_id).collect();
    assert_eq!(queries.len(), receipts.len(), "two requests have one receipt");
    let allowed_wards = |person: &str| {
        let asked = entries.iter().filter(|entry| {
            let is_theirs = entry
                .caller
                .as_ref()
                .is_some_and(|caller| caller.person.as_str() == person);
            let is_allowed = entry.policy.as_ref().is_some_and(|policy| policy.digest.is_some());
            is_theirs && is_allowed && entry.collection.as_ref().is_some_and(|id| id.as_str() == "wards")
        });
        asked.count()
    };
    for person in PEOPLE {
        assert!(
            allowed_wards(person) <= WARDS_PER_WEEK,
            "{person} regained a part of the quota"
        );
    }
    let released = entries
        .iter()
        .filter(|entry| entry.outcome == Outcome::Released)
        .count();
    assert!(released >= receipts.len());
    assert!(
        seen.used_up.load(Ordering::Relaxed) || kills < 10,
        "the quota was never reached"
    );
    println!(
        "{kills} kills in {:.1} s: {} answers seen, {released} recorded as released, {} entries, {} told again after a kill, \
         slowest restart {:.2} s",
        begun.elapsed().as_secs_f64(),
        receipts.len(),
        entries.len(),
        seen.told_again.load(Ordering::Relaxed),
        slowest.as_secs_f64()
    );
}

const PAGES: usize = 60_000;

/// A node whose rows are too many to leave at once.
fn library() -> Sandbox {
    let spec = SPEC
        .replace(
            "\"collections/beds.toml\", \"collections/wards.toml\"",
            "\"collections/pages.toml\"",
        )
        .replace(
            "\"policies/beds-open.toml\", \"policies/wards-open.toml\"",
            "\"policies/pages-open.toml\"",
        )
        .replace(
            "{ collection = \"beds\", path = \"beds.csv\" }, { collection = \"wards\", path = \"beds.csv\" }",
            "{ collection = \"pages\", path = \"pages.csv\" }",
        );
    let policy = policy("pages", 1_000).replace("release = \"aggregates\"", "release = \"rows\"");
    let rows = (0..PAGES).map(|row| format!("{row:0>400},{row}\n"));
    let pages: String = std::iter::once("district,beds\n".to_owned()).chain(rows).collect();
    let (sandbox, run) = Sandbox::of(&[
        ("spec.toml", &spec),
        ("collections/pages.toml", &collection("pages")),
        ("policies/pages-open.toml", &policy),
        ("pages.csv", &pages),
    ]);
    run.returns(0);
    sandbox
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_while_rows_leave_has_recorded_that_they_began_to_and_says_that_all_may_have_left() {
    const ROWS: &str = "SELECT district, beds FROM pages";
    let sandbox = library();
    let node = sandbox.dir().join("nodes/clinic");
    let node = node.to_str().unwrap();
    // First to its end, as our own client reads it.
    let whole = sandbox.query(ROWS, &["--as", "ada", "--purpose", "ehds-53-1-e", "--format", "csv"]);
    assert_eq!(whole.returns(0).out().lines().count(), PAGES + 1);
    let receipts = sandbox.dir().join("people/ada/cache/receipts");
    let receipt = std::fs::read_dir(receipts).unwrap().next().unwrap().unwrap().path();
    let shown = datenraum(["audit", "show", node]).returns(0).out();
    assert!(shown.contains("rows begin to leave; #1 says how many did"), "{shown}");
    assert!(shown.contains(&format!("released {PAGES} rows")), "{shown}");
    let verified = datenraum(["audit", "verify", node, "--receipt", receipt.to_str().unwrap()])
        .returns(0)
        .out();
    assert!(verified.contains("is that of entry 1"), "{verified}");

    datenraum(["sandbox", "down", sandbox.dir().to_str().unwrap(), "--node", "clinic"]).returns(0);
    let file = sandbox.dir().join("nodes/clinic/node.toml");
    let process = Process::start(&file);
    let config = node::Config::load(&file).unwrap();
    let since = Instant::now();
    while tokio::net::TcpStream::connect(config.listen.as_deref().unwrap())
        .await
        .is_err()
    {
        assert!(since.elapsed() < RESTARTS_WITHIN, "the node does not answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let person = Person::of(&sandbox, "ada", "clinic").await;
    let answer = person
        .flight()
        .do_get(person.request(ticket(ROWS), ROWS, None))
        .await
        .unwrap();
    assert!(wire::header::receipt(answer.metadata()).is_none());
    let messages = answer
        .into_inner()
        .map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut stream = FlightRecordBatchStream::new_from_flight_data(messages);
    assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
    drop(process);
    let mut ended_well = true;
    while let Some(batch) = stream.next().await {
        ended_well &= batch.is_ok();
    }
    assert!(!ended_well, "the whole answer came from a node that was killed");

    let shown = datenraum(["audit", "show", node]).returns(0).out();
    assert!(shown.contains("as many as there were may have left"), "{shown}");
    let verified = datenraum(["audit", "verify", node]).returns(0).out();
    assert!(
        verified.contains("entry 2 says that rows or sums begin to leave"),
        "{verified}"
    );
    // It starts again on that ledger.
    let process = Process::start(&file);
    let since = Instant::now();
    while tokio::net::TcpStream::connect(config.listen.as_deref().unwrap())
        .await
        .is_err()
    {
        assert!(since.elapsed() < RESTARTS_WITHIN, "the node does not start again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(process);
}
