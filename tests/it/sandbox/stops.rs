//! Revocation in a whole data space: by one board member's stop and by the board's removal of an institution, while an
//! answer streams, before a ticket is used, and across restarts with what the broker served before.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, CommandStatementQuery, ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightInfo, Ticket};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use serde_json::Value;
use terms::{MemberId, Problem, Report, SpaceId, UtcTime};
use tonic::{Request, Status};
use trust::{Digest, Draft, Proof, SigningKey, Stop, Stopped};
use wire::Connection;
use wire::publish::{self, Publication};

use super::{Sandbox, datenraum};

const SPEC: &str = r#"
space       = "archive"
board       = { members = 3, threshold = 2 }
collections = ["collections/pages.toml"]
policies    = ["policies/pages-open.toml"]

[[node]]
id       = "library"
roles    = ["library"]
datasets = [{ collection = "pages", path = "pages.csv" }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]

[[person]]
id     = "bob"
member = "institute"
roles  = ["university"]
"#;

const COLLECTION: &str = r#"
id       = "pages"
title    = "Pages of newspapers"
personal = false

[columns.number]
type = "integer"
role = "measure"

[columns.text]
type = "text"
role = "filter"
"#;

const POLICY: &str = r#"
id          = "pages-open"
version     = 1
title       = "Old newspapers may be read by universities"
collection  = "pages"
valid_from  = 2026-01-01
valid_until = 2099-12-31

[[permission]]
id         = "universities"
assignee   = { roles = ["university"] }
purposes   = ["ehds-53-1-e"]
permit     = "none"
release    = "rows"
columns    = ["number", "text"]
disclosure = { tier = "open" }

[[permission.duty]]
action = "attribute"
text   = "Library of the Old Newspapers"
"#;

const SQL: &str = "SELECT number, text FROM pages";

/// So many pages that what has not been read cannot lie ready in some buffer.
const ROWS: usize = 60_000;

/// How long a revocation may take to act, by the promise; nodes of this test look every second.
const ACTS_WITHIN: Duration = Duration::from_secs(60);

fn pages() -> String {
    let mut table = String::from("number,text\n");
    for row in 0..ROWS {
        table.push_str(&format!("{row},{row:0>400}\n"));
    }
    table
}

/// A data space whose nodes look for new documents every second.
fn space() -> Sandbox {
    let (sandbox, run) = Sandbox::of(&[
        ("spec.toml", SPEC),
        ("collections/pages.toml", COLLECTION),
        ("policies/pages-open.toml", POLICY),
        ("pages.csv", &pages()),
    ]);
    run.returns(0);
    sandbox.down().returns(0);
    let config = sandbox.dir().join("nodes/library/node.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("refresh_seconds = 30", "refresh_seconds = 1")).unwrap();
    up(&sandbox);
    sandbox
}

fn up(sandbox: &Sandbox) {
    sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
}

fn space_id() -> SpaceId {
    "archive".parse().unwrap()
}

fn board(sandbox: &Sandbox, number: u8) -> SigningKey {
    SigningKey::load(&sandbox.dir().join(format!("board/member-{number}.key"))).unwrap()
}

fn node_config(sandbox: &Sandbox) -> node::Config {
    node::Config::load(&sandbox.dir().join("nodes/library/node.toml")).unwrap()
}

async fn broker(sandbox: &Sandbox) -> Connection {
    node_config(sandbox).broker.connect("broker").await.unwrap()
}

fn node_status(sandbox: &Sandbox) -> Value {
    let config = sandbox.dir().join("nodes/library/node.toml");
    datenraum(["node", "status", "--json", "--config", config.to_str().unwrap()])
        .returns(0)
        .json()
}

/// Waits until the node's status is as asked, and not longer than a revocation may take.
fn until(sandbox: &Sandbox, what: &str, is_so: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    while !is_so(&node_status(sandbox)) {
        assert!(
            begun.elapsed() < ACTS_WITHIN,
            "{what} does not act: {}",
            node_status(sandbox)
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The published files, as the next version of the board's list, signed by so many.
fn next_version(
    sandbox: &Sandbox,
    version: u64,
    signers: u8,
    change: impl Fn(&mut BTreeMap<String, Vec<u8>>),
) -> Publication {
    let mut files = BTreeMap::new();
    for name in [
        "space.toml",
        "members.toml",
        "collections/pages.toml",
        "policies/pages-open.toml",
    ] {
        files.insert(
            name.to_owned(),
            std::fs::read(sandbox.dir().join("space").join(name)).unwrap(),
        );
    }
    change(&mut files);
    let expires = UtcTime::from_second(UtcTime::now().as_second() + 3_600 * 24).unwrap();
    let draft = Draft::targets(&space_id(), version, expires, &files, &[]).unwrap();
    let signatures = (1..=signers)
        .map(|number| draft.sign(&board(sandbox, number)))
        .collect();
    Publication {
        targets: Some(draft.assemble(signatures)),
        delegated: BTreeMap::new(),
        files,
    }
}

fn without_institute(files: &mut BTreeMap<String, Vec<u8>>) {
    let roster = String::from_utf8(files["members.toml"].clone()).unwrap();
    let kept: Vec<&str> = roster
        .split("[[member]]")
        .filter(|member| !member.contains("\"institute\""))
        .collect();
    assert!(kept.len() < roster.split("[[member]]").count());
    files.insert("members.toml".to_owned(), kept.join("[[member]]").into_bytes());
}

/// Somebody with a Flight SQL client of their own.
struct Client {
    connection: Connection,
    credential: String,
    key: SigningKey,
    node: MemberId,
}

impl Client {
    async fn of(sandbox: &Sandbox, person: &str) -> Self {
        let folder = sandbox.dir().join("people").join(person);
        let config = node_config(sandbox);
        let key = SigningKey::load(&config.key).unwrap().public();
        let connection = wire::connect(config.listen.as_deref().unwrap(), config.member.as_str(), &key)
            .await
            .unwrap();
        Self {
            connection,
            credential: std::fs::read_to_string(folder.join("credential.jwt"))
                .unwrap()
                .trim()
                .to_owned(),
            key: SigningKey::load(&folder.join("person.key")).unwrap(),
            node: config.member,
        }
    }

    fn flight(&self) -> FlightServiceClient<tonic::transport::Channel> {
        FlightServiceClient::new(self.connection.grpc.clone()).max_decoding_message_size(16 << 20)
    }

    /// A request with this person's proof for it.
    fn request<T>(&self, message: T) -> Request<T> {
        let proof = Proof {
            node: self.node.to_string(),
            query: Digest::of(SQL.as_bytes()),
            purpose: Some("ehds-53-1-e".parse().unwrap()),
            permit: None,
            request: None,
            channel: self.connection.binding().unwrap(),
        };
        let proof = proof.issue(&self.key, UtcTime::now()).unwrap();
        let mut request = Request::new(message);
        let tokens = wire::header::Tokens {
            credential: &self.credential,
            proof: &proof,
            request: None,
        };
        wire::header::attach(request.metadata_mut(), tokens).unwrap();
        request
    }

    async fn info(&self) -> Result<FlightInfo, Report> {
        let command = CommandStatementQuery {
            query: SQL.to_owned(),
            transaction_id: None,
        };
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let answer = self.flight().get_flight_info(self.request(descriptor)).await;
        answer.map(tonic::Response::into_inner).map_err(|status| told(&status))
    }

    async fn get(&self, ticket: Ticket) -> Result<FlightRecordBatchStream, Report> {
        let answer = self
            .flight()
            .do_get(self.request(ticket))
            .await
            .map_err(|status| told(&status))?;
        let messages = answer
            .into_inner()
            .map_err(|status| FlightError::Tonic(Box::new(status)));
        Ok(FlightRecordBatchStream::new_from_flight_data(messages))
    }

    async fn ask(&self) -> Result<FlightRecordBatchStream, Report> {
        self.get(ticket()).await
    }

    /// What refuses a new query.
    async fn refused(&self) -> Problem {
        match self.ask().await {
            Ok(_) => panic!("the query is answered"),
            Err(report) => report.problem,
        }
    }
}

fn ticket() -> Ticket {
    let handle = wire::v1::QueryTicket { sql: SQL.to_owned() }.encode_to_vec().into();
    let statement = TicketStatementQuery {
        statement_handle: handle,
    };
    Ticket::new(statement.as_any().encode_to_vec())
}

fn told(status: &Status) -> Report {
    wire::status::from_status(status, "library").report
}

/// Reads the first batch and leaves the rest.
async fn begin(client: &Client) -> FlightRecordBatchStream {
    let mut stream = client.ask().await.unwrap();
    assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
    stream
}

/// Reads on: some rows lie in buffers, then the stream ends as revoked.
async fn is_revoked(mut stream: FlightRecordBatchStream) {
    let mut rows = 0;
    let report = loop {
        match stream.next().await {
            Some(Ok(batch)) => rows += batch.num_rows(),
            Some(Err(FlightError::Tonic(status))) => break told(&status),
            Some(Err(error)) => panic!("{error}"),
            None => panic!("the stream went on to its end"),
        }
    };
    assert_eq!(report.problem, Problem::Revoked, "{report}");
    assert!(rows < ROWS / 2, "{rows} of {ROWS} rows came after the revocation");
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_14_who_is_stopped_or_removed_is_refused_everywhere_and_stays_so() {
    let sandbox = space();
    let repository = sandbox.dir().join("broker/repository");
    let before = sandbox.place().join("repository-before");
    copy_folder(&repository, &before);
    let (ada, bob) = (Client::of(&sandbox, "ada").await, Client::of(&sandbox, "bob").await);
    let (idle_ada, idle_bob) = (Client::of(&sandbox, "ada").await, Client::of(&sandbox, "bob").await);

    // There are no prepared statements that could outlive anything.
    let prepare = ActionCreatePreparedStatementRequest {
        query: SQL.to_owned(),
        transaction_id: None,
    };
    let action = Action::new("CreatePreparedStatement", prepare.as_any().encode_to_vec());
    let prepared = ada.flight().do_action(ada.request(action)).await;
    assert_eq!(
        prepared.err().map(|status| status.code()),
        Some(tonic::Code::Unimplemented)
    );

    let (adas, bobs) = (begin(&ada).await, begin(&bob).await);
    let adas_ticket = ada.info().await.unwrap().endpoint[0].ticket.clone().unwrap();
    let bobs_ticket = bob.info().await.unwrap().endpoint[0].ticket.clone().unwrap();

    // One member of the board stops Ada; two of three remove Bob's institution; one alone cannot.
    let person = Stopped::Person("university".parse().unwrap(), "ada".parse().unwrap());
    let stop = Stop::new(space_id(), person, "a laptop was stolen", UtcTime::now()).unwrap();
    let stop = stop.seal(&board(&sandbox, 3)).unwrap();
    let connection = broker(&sandbox).await;
    let alone = next_version(&sandbox, 2, 1, without_institute);
    let refused = publish::documents(&connection, &space_id(), &alone).await.unwrap_err();
    assert_eq!(refused.problem, Problem::PolicyThreshold);
    publish::stop(&connection, &space_id(), &stop).await.unwrap();
    let together = next_version(&sandbox, 2, 2, without_institute);
    publish::documents(&connection, &space_id(), &together).await.unwrap();
    until(&sandbox, "the stop", |status| {
        status["stops"][0]["stopped"] == "person university/ada" && status["documents"]["version"] == 2
    });

    is_revoked(adas).await;
    is_revoked(bobs).await;
    assert_eq!(ada.get(adas_ticket).await.err().unwrap().problem, Problem::Stopped);
    assert_eq!(bob.get(bobs_ticket).await.err().unwrap().problem, Problem::TokenIssuer);
    for client in [&ada, &idle_ada] {
        assert_eq!(client.refused().await, Problem::Stopped);
        assert_eq!(client.info().await.err().unwrap().problem, Problem::Stopped);
    }
    for client in [&bob, &idle_bob] {
        assert_eq!(client.refused().await, Problem::TokenIssuer);
    }
    drop((ada, bob, idle_ada, idle_bob, connection));
    let question = |person| {
        sandbox.query(
            "SELECT sum(number) AS n FROM pages",
            &["--purpose", "ehds-53-1-e", "--as", person],
        )
    };
    question("ada").returns(4).fails_with("E_STOPPED", "the board");
    question("bob").returns(6).fails_with("E_TOKEN_ISSUER", "not a member");

    // Node and broker start again, and the broker has what it had before: neither forgets.
    sandbox.down().returns(0);
    std::fs::remove_dir_all(&repository).unwrap();
    copy_folder(&before, &repository);
    // The broker itself refuses to work under its own older documents, so people cannot discover; nodes go on.
    up(&sandbox);
    until(&sandbox, "the rollback", |status| {
        status["problem"]["problem"] == "E_POLICY_ROLLBACK" && status["documents"]["version"] == 2
    });
    let (ada, bob) = (Client::of(&sandbox, "ada").await, Client::of(&sandbox, "bob").await);
    assert_eq!(ada.refused().await, Problem::Stopped);
    assert_eq!(bob.refused().await, Problem::TokenIssuer);
    assert!(!node_status(&sandbox)["evidence"].as_array().unwrap().is_empty());
    let config = sandbox.dir().join("nodes/library/node.toml");
    let shown = datenraum(["node", "status", "--config", config.to_str().unwrap()])
        .returns(0)
        .out();
    for says in [
        "version 2",
        "person university/ada: a laptop was stolen",
        "E_POLICY_ROLLBACK",
        "warning",
    ] {
        assert!(shown.contains(says), "no {says:?} in: {shown}");
    }
    sandbox.down().returns(0);

    let folder = sandbox.dir().join("nodes/library");
    datenraum(["audit", "verify", folder.to_str().unwrap()]).returns(0);
    let audit = datenraum(["audit", "show", folder.to_str().unwrap()]).returns(0).out();
    assert_eq!(audit.matches("revoked after").count(), 2, "{audit}");
}

const PERMIT: &str = r#"
id          = "study-7"
space       = "archive"
title       = "Newspapers and elections"
kind        = "data-permit"
issuer      = "Health data access body"
issued      = 2026-01-01
holder      = "university"
persons     = ["university/ada"]
purposes    = ["ehds-53-1-e"]
valid_from  = 2026-01-01
valid_until = 2099-12-31
opt_out     = "at-query"

[[dataset]]
collection = "pages"
columns    = ["number", "text"]
"#;

const COUNT: &str = "SELECT count(*) AS pages FROM pages";

fn ask(sandbox: &Sandbox, person: &str, permit: Option<&str>) -> super::Run {
    let named = permit.map(|id| ["--permit", id]);
    let words = ["--purpose", "ehds-53-1-e", "--format", "json", "--as", person];
    let words: Vec<&str> = words.into_iter().chain(named.into_iter().flatten()).collect();
    sandbox.query(COUNT, &words)
}

/// The documents with the permit as `permit` says, needed by a policy that lets each person ask three times a week.
fn permitting(sandbox: &Sandbox, version: u64, permit: &str) -> Publication {
    next_version(sandbox, version, 2, |files| {
        let policy = POLICY.replace("\"none\"", "\"required\"");
        let policy = policy.replace("\"open\" }", "\"open\", queries = { per_week = 3 } }");
        files.insert("policies/pages-open.toml".to_owned(), policy.into_bytes());
        files.insert("permits/study-7.toml".to_owned(), permit.as_bytes().to_vec());
    })
}

async fn publish_set(sandbox: &Sandbox, version: u64, set: Publication) {
    publish::documents(&broker(sandbox).await, &space_id(), &set)
        .await
        .unwrap();
    until(sandbox, "the new version", |status| {
        status["documents"]["version"] == version
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_carries_each_query_and_a_quota_outlives_a_restart() {
    let sandbox = space();
    publish_set(&sandbox, 2, permitting(&sandbox, 2, PERMIT)).await;
    ask(&sandbox, "ada", None)
        .returns(4)
        .fails_with("E_PERMIT_REQUIRED", "permit");
    ask(&sandbox, "ada", Some("study-8"))
        .returns(4)
        .fails_with("E_PERMIT_UNKNOWN", "study-8");
    ask(&sandbox, "bob", Some("study-7"))
        .returns(4)
        .fails_with("E_PERMIT_INVALID", "does not name this person");

    let answer = ask(&sandbox, "ada", Some("study-7")).returns(0).json();
    assert_eq!(answer["rows"], serde_json::json!([[ROWS]]));
    let coverage = &answer["coverage"][0];
    assert_eq!(coverage["permit"], "study-7");
    assert_eq!(
        coverage["duties"],
        serde_json::json!(["name the source: Library of the Old Newspapers"])
    );
    let words = ["--purpose", "ehds-53-1-e", "--as", "ada", "--permit", "study-7"];
    let table = sandbox.query(COUNT, &words).returns(0).out();
    assert_eq!(table.matches("your duty: name the source").count(), 1, "{table}");

    let withdrawn = format!("withdrawn = 2026-02-01\n{PERMIT}");
    publish_set(&sandbox, 3, permitting(&sandbox, 3, &withdrawn)).await;
    ask(&sandbox, "ada", Some("study-7"))
        .returns(4)
        .fails_with("E_PERMIT_INVALID", "withdrawn");
    publish_set(&sandbox, 4, permitting(&sandbox, 4, PERMIT)).await;

    ask(&sandbox, "ada", Some("study-7")).returns(0);
    ask(&sandbox, "ada", Some("study-7"))
        .returns(4)
        .fails_with("E_QUOTA", "3 times in seven days");
    sandbox.down().returns(0);
    up(&sandbox);
    ask(&sandbox, "ada", Some("study-7"))
        .returns(4)
        .fails_with("E_QUOTA", "3 times in seven days");

    // What a node that is down wrote last can be read, and its documents expire all the same.
    sandbox.down().returns(0);
    let file = sandbox.dir().join("nodes/library/data/status.json");
    let mut status: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    status["documents"]["expires"] = "2026-01-01T00:00:00Z".into();
    std::fs::write(&file, status.to_string()).unwrap();
    let config = sandbox.dir().join("nodes/library/node.toml");
    let told = datenraum(["node", "status", "--config", config.to_str().unwrap()]).returns(6);
    assert!(told.out().contains("expired at 2026-01-01"), "{}", told.out());
}

#[tokio::test(flavor = "multi_thread")]
async fn any_one_board_member_stops_a_policy_or_a_node_and_only_the_threshold_lifts_it() {
    let sandbox = space();
    ask(&sandbox, "ada", None).returns(0);
    let mut lifted = Vec::new();
    let lifting = |lifted: &[String], version: u64, signers: u8| {
        next_version(&sandbox, version, signers, |files| {
            let space = String::from_utf8(files["space.toml"].clone()).unwrap();
            files.insert(
                "space.toml".to_owned(),
                format!("lifted = {lifted:?}\n{space}").into_bytes(),
            );
        })
    };
    let stops = [
        (Stopped::Policy("pages-open".parse().unwrap()), 1_u8),
        (Stopped::Member("library".parse().unwrap()), 3),
    ];
    for ((stopped, number), version) in stops.into_iter().zip(2..) {
        let connection = broker(&sandbox).await;
        let stop = Stop::new(space_id(), stopped, "a page was forged", UtcTime::now()).unwrap();
        let stranger = stop.seal(&SigningKey::generate().unwrap()).unwrap();
        let refused = publish::stop(&connection, &space_id(), &stranger).await.unwrap_err();
        assert_eq!(refused.problem, Problem::PolicySignature);
        let stop = stop.seal(&board(&sandbox, number)).unwrap();
        publish::stop(&connection, &space_id(), &stop).await.unwrap();
        until(&sandbox, "the stop", |status| {
            status["stops"].as_array().is_some_and(|stops| stops.len() == 1)
        });
        ask(&sandbox, "ada", None)
            .returns(4)
            .fails_with("E_STOPPED", "a member of the board has stopped");

        lifted.push(stop.digest().to_string());
        let alone = publish::documents(&connection, &space_id(), &lifting(&lifted, version, 1)).await;
        assert_eq!(alone.unwrap_err().problem, Problem::PolicyThreshold);
        publish_set(&sandbox, version, lifting(&lifted, version, 2)).await;
        until(&sandbox, "the lifting", |status| {
            status["stops"].as_array().is_some_and(Vec::is_empty)
        });
        // The broker looks every few seconds.
        let begun = Instant::now();
        while ask(&sandbox, "ada", None).code() != 0 {
            assert!(begun.elapsed() < ACTS_WITHIN, "the lifting does not act");
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}
