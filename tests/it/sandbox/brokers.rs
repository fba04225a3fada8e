//! Two brokers on one PostgreSQL that the test starts: one dies while people ask, a database is lost or is an old one. Without
//! PostgreSQL on this machine it says so and tries nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use faults::Postgres;
use federation::{Asker, Profile, Question, Status, Tables};
use terms::{MemberId, Problem, Report, SpaceId, SystemClock, UtcTime};
use trust::{DocumentSource, Draft, SigningKey, Stop, Stopped};
use wire::publish::{self, Publication};
use wire::{BrokerSource, Connection, PeerConfig};

use super::Sandbox;

const COLLECTION: &str = r#"
id = "beds"
title = "Beds"
personal = false

[columns.district]
type = "text"
role = ["group", "filter"]

[columns.beds]
type = "integer"
role = "measure"
"#;

const POLICY: &str = r#"
id = "beds-open"
version = 1
title = "Beds are no secret"
collection = "beds"
valid_from = 2026-01-01
valid_until = 2099-12-31

[[permission]]
id = "universities"
assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit = "none"
release = "aggregates"
columns = ["district", "beds"]
disclosure = { tier = "open" }
"#;

const SPEC: &str = r#"
space       = "town"
board       = { members = 3, threshold = 2 }
collections = ["collections/beds.toml"]
policies    = ["policies/beds-open.toml"]

[[node]]
id       = "clinic-a"
roles    = ["hospital"]
reach    = "broker"
datasets = [{ collection = "beds", path = "beds.csv" }]

[[node]]
id       = "clinic-b"
roles    = ["hospital"]
reach    = "broker"
datasets = [{ collection = "beds", path = "beds.csv" }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]

[[person]]
id     = "bob"
member = "institute"
roles  = ["university"]
"#;

const NODES: [&str; 2] = ["clinic-a", "clinic-b"];
const PEOPLE: [&str; 2] = ["ada", "bob"];

/// How long nodes may take to be reached through a broker that is there again, on a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// A program that is killed when the test lets go of it.
struct Process(Child);

impl Drop for Process {
    /// SIGKILL.
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A data space with two brokers.
struct Town {
    sandbox: Sandbox,
    // In the order in which they end.
    nodes: Vec<Process>,
    brokers: [Option<Process>; 2],
    postgres: Postgres,
}

impl Town {
    /// None, aloud, without PostgreSQL.
    fn founded(spec: &str) -> Option<Self> {
        let postgres = Postgres::start().unwrap()?;
        let (sandbox, run) = Sandbox::of(&[
            ("spec.toml", spec),
            ("collections/beds.toml", COLLECTION),
            ("policies/beds-open.toml", POLICY),
            ("beds.csv", "district,beds\nnorth,3\nsouth,4\n"),
        ]);
        run.returns(0);
        sandbox.down().returns(0);
        // The sandbox had a repository of its own. One that begins in the same second would give its first timestamp the same number, and the
        // nodes would rightly take no other document of that number.
        std::thread::sleep(Duration::from_secs(1));
        let town = Self {
            sandbox,
            nodes: Vec::new(),
            brokers: [None, None],
            postgres,
        };
        town.configure();
        Some(town)
    }

    /// Both brokers on one database, everybody else with both addresses.
    fn configure(&self) {
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = ports.map(|port| port.local_addr().unwrap().to_string());
        self.use_database(&self.postgres.database().unwrap());
        let text = self.read("broker/broker.toml");
        for (broker, address) in ["a", "b"].iter().zip(&addresses) {
            let text = set(&text, "repository", "store_file = \"store.txt\"");
            let text = set(&text, "listen", &format!("listen = \"{address}\""));
            let text = set(&text, "data", &format!("data = \"data-{broker}\""));
            self.write(&format!("broker/{broker}.toml"), &text);
        }
        let [a, b] = addresses;
        let nodes = NODES.map(|node| format!("nodes/{node}/node.toml"));
        for file in nodes
            .into_iter()
            .chain(PEOPLE.map(|person| format!("people/{person}/person.toml")))
        {
            if !self.sandbox.dir().join(&file).exists() {
                continue;
            }
            let text = set(&self.read(&file), "address", &format!("address = [\"{a}\", \"{b}\"]"));
            self.write(&file, &text.replace("refresh_seconds = 30", "refresh_seconds = 1"));
        }
    }

    fn use_database(&self, url: &str) {
        self.write("broker/store.txt", url);
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.sandbox.dir().join(file)).unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.sandbox.dir().join(file), text).unwrap();
    }

    fn start(&self, role: &str, file: &str) -> Process {
        let log = self.sandbox.place().join("programs.log");
        let log = File::options().create(true).append(true).open(log).unwrap();
        let program = Command::new(env!("CARGO_BIN_EXE_datenraum"))
            .args([role, "run", "--config"])
            .arg(self.sandbox.dir().join(file))
            .env("DATENRAUM_LOG", "info")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Process(program.unwrap())
    }

    fn start_broker(&mut self, number: usize) {
        self.brokers[number] = Some(self.start("broker", ["broker/a.toml", "broker/b.toml"][number]));
    }

    fn kill_broker(&mut self, number: usize) {
        self.brokers[number] = None;
    }

    fn start_nodes(&mut self) {
        let nodes = NODES.map(|node| format!("nodes/{node}/node.toml"));
        let there = nodes.iter().filter(|file| self.sandbox.dir().join(file).exists());
        self.nodes = there.map(|file| self.start("node", file)).collect();
    }

    /// One of the two addresses.
    fn broker(&self, number: usize) -> PeerConfig {
        let config = node::Config::load(&self.sandbox.dir().join("nodes/clinic-a/node.toml")).unwrap();
        config.broker.each().nth(number).unwrap()
    }

    /// A connection to one broker, once it is there.
    async fn connect(&self, number: usize) -> Connection {
        let begun = Instant::now();
        loop {
            match self.broker(number).connect("broker").await {
                Ok(connection) => return connection,
                Err(report) => assert!(begun.elapsed() < BACK_WITHIN, "{report}\n{}", self.log()),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.sandbox.place().join("programs.log")).unwrap()
    }

    fn board(&self, number: u8) -> SigningKey {
        SigningKey::load(&self.sandbox.dir().join(format!("board/member-{number}.key"))).unwrap()
    }

    /// The files of the space as a later version of the board's list.
    fn version(&self, version: u64) -> Publication {
        let names = [
            "space.toml",
            "members.toml",
            "collections/beds.toml",
            "policies/beds-open.toml",
        ];
        let file = |name: &str| (name.to_owned(), self.read(&format!("space/{name}")).into_bytes());
        let files: BTreeMap<String, Vec<u8>> = names.map(file).into();
        let expires = UtcTime::from_second(UtcTime::now().as_second() + 3_600 * 24).unwrap();
        let draft = Draft::targets(&space(), version, expires, &files, &[]).unwrap();
        let signatures = [1, 2].map(|number| draft.sign(&self.board(number)));
        Publication {
            targets: Some(draft.assemble(signatures.into())),
            delegated: BTreeMap::new(),
            files,
        }
    }

    fn profile(&self, person: &str) -> Profile {
        Profile::load(&self.sandbox.dir().join("people").join(person).join("person.toml")).unwrap()
    }

    /// Asks through one broker alone, until every node answers.
    async fn answered_through(&self, number: usize) {
        let mut profile = self.profile("ada");
        profile.broker = self.broker(number);
        let begun = Instant::now();
        loop {
            match ask_anew(profile.clone()).await {
                Ok(()) => return,
                Err(why) => assert!(begun.elapsed() < BACK_WITHIN, "{why}\n{}", self.log()),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn space() -> SpaceId {
    "town".parse().unwrap()
}

/// Replaces the line with this key.
fn set(text: &str, key: &str, line: &str) -> String {
    let is_it = |old: &&str| old.starts_with(&format!("{key} = "));
    assert_eq!(text.lines().filter(is_it).count(), 1, "{text}");
    let lines = text.lines().map(|old| if is_it(&old) { line } else { old });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn question() -> Question {
    Question {
        sql: "SELECT district, sum(beds) AS beds FROM beds GROUP BY district".to_owned(),
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        permit: None,
        tables: Tables::default(),
        timeout: None,
    }
}

/// Asks, and says what was not answered.
async fn ask(asker: &Asker) -> Result<(), String> {
    let answer = asker.ask(&question()).await.map_err(|report| report.to_string())?;
    let missing = answer.coverage.iter().find(|node| node.status != Status::Answered);
    missing.map_or(Ok(()), |node| Err(format!("{node:?}")))
}

async fn ask_anew(profile: Profile) -> Result<(), String> {
    let asker = Asker::open(profile, Arc::new(SystemClock)).await;
    ask(&asker.map_err(|report| report.to_string())?).await
}

/// What people who ask all the time have seen.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    failed: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Seen {
    async fn go_on(self: Arc<Self>, asker: Asker) {
        while !self.over.load(Ordering::Relaxed) {
            match ask(&asker).await {
                Ok(()) => drop(self.answered.fetch_add(1, Ordering::Relaxed)),
                Err(why) => self.failed.lock().unwrap().push(why),
            }
        }
    }

    /// Waits until so many more were answered.
    async fn answers(&self, more: u64) {
        let (before, begun) = (self.answered.load(Ordering::Relaxed), Instant::now());
        while self.answered.load(Ordering::Relaxed) < before + more {
            let failed = self.failed.lock().unwrap().clone();
            assert!(begun.elapsed() < BACK_WITHIN, "nobody is answered: {failed:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_brokers_one_is_killed_and_then_the_other_and_no_question_fails() {
    let Some(mut town) = Town::founded(SPEC) else { return };
    town.start_broker(0);
    town.start_broker(1);
    let through_a = town.connect(0).await;
    publish::documents(&through_a, &space(), &town.version(2))
        .await
        .unwrap();
    town.start_nodes();
    for number in [0, 1] {
        town.answered_through(number).await;
    }

    let seen = Arc::new(Seen::default());
    let mut people = Vec::new();
    for person in PEOPLE {
        let asker = Asker::open(town.profile(person), Arc::new(SystemClock)).await.unwrap();
        people.push(tokio::spawn(Arc::clone(&seen).go_on(asker)));
    }
    for killed in [0, 1, 0] {
        seen.answers(10).await;
        town.kill_broker(killed);
        seen.answers(10).await;
        ask_anew(town.profile("ada")).await.unwrap();
        town.start_broker(killed);
        town.answered_through(killed).await;
    }
    seen.over.store(true, Ordering::Relaxed);
    for person in people {
        person.await.unwrap();
    }
    let failed = seen.failed.lock().unwrap().clone();
    println!(
        "{} answered, {} not",
        seen.answered.load(Ordering::Relaxed),
        failed.len()
    );
    assert!(failed.is_empty(), "{failed:?}\n{}", town.log());

    // What is published through one is had from both, as the same bytes.
    let through_b = town.connect(1).await;
    publish::documents(&through_b, &space(), &town.version(3))
        .await
        .unwrap();
    let through_a = town.connect(0).await;
    let [a, b] = [through_a, through_b].map(|connection| BrokerSource::new(connection, space()));
    for name in ["metadata/3.targets.json", "metadata/timestamp.json"] {
        let had = a.fetch(name, 1 << 20).await.unwrap();
        assert!(had.is_some(), "{name}");
        assert_eq!(had, b.fetch(name, 1 << 20).await.unwrap(), "{name}");
    }
}

/// Whether somebody is answered, or why not, by a node that looked at the broker meanwhile.
async fn outcome(town: &Town, person: &str) -> Result<(), Problem> {
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = |report: Report| report.problem;
    let asker = Asker::open(town.profile(person), Arc::new(SystemClock))
        .await
        .map_err(asked)?;
    let answer = asker.ask(&question()).await.map_err(asked)?;
    let refused = answer.coverage.iter().find_map(|node| node.problem);
    refused.map_or(Ok(()), Err)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_46_a_broker_that_is_gone_or_has_lost_everything_or_is_an_old_one_makes_nobody_forget_and_widens_nothing() {
    let spec = SPEC.replace("reach    = \"broker\"\n", "");
    let Some(mut town) = Town::founded(&spec) else { return };
    let (now, old, empty) = (
        town.postgres.database().unwrap(),
        town.postgres.database().unwrap(),
        town.postgres.database().unwrap(),
    );
    // The old one has the first version, and nothing was stopped.
    town.use_database(&old);
    town.start_broker(0);
    let connection = town.connect(0).await;
    publish::documents(&connection, &space(), &town.version(2))
        .await
        .unwrap();
    town.kill_broker(0);

    town.use_database(&now);
    town.start_broker(0);
    let connection = town.connect(0).await;
    publish::documents(&connection, &space(), &town.version(3))
        .await
        .unwrap();
    town.start_nodes();
    town.answered_through(0).await;
    assert_eq!(outcome(&town, "bob").await, Ok(()));
    let bob: MemberId = "institute".parse().unwrap();
    let stop = Stop::new(space(), Stopped::Member(bob), "left the data space", UtcTime::now()).unwrap();
    let connection = town.connect(0).await;
    publish::stop(&connection, &space(), &stop.seal(&town.board(1)).unwrap())
        .await
        .unwrap();
    assert_eq!(outcome(&town, "bob").await, Err(Problem::Stopped));

    let still = async |town: &Town, when: &str| {
        assert_eq!(outcome(town, "ada").await, Ok(()), "{when}\n{}", town.log());
        assert_eq!(outcome(town, "bob").await, Err(Problem::Stopped), "{when}");
    };
    town.kill_broker(0);
    still(&town, "the broker is gone").await;
    for (database, when) in [
        (&now, "it is back"),
        (&empty, "it lost everything"),
        (&old, "it is an old one"),
    ] {
        town.use_database(database);
        town.start_broker(0);
        drop(town.connect(0).await);
        still(&town, when).await;
        town.kill_broker(0);
    }
    // A node that starts beside the old one knows all that it knew.
    town.start_broker(0);
    drop(town.connect(0).await);
    town.nodes.clear();
    town.start_nodes();
    tokio::time::sleep(Duration::from_secs(3)).await;
    still(&town, "the nodes have started again").await;
}
