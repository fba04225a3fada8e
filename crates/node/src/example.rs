//! A data space for the tests of this crate: a board of two of three, a broker that serves whatever a test puts on its
//! shelf, a node with data, and a person who asks it. No network, and a clock that tests set.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use engine::Datasets;
use terms::{Clock, Report, SpaceId, UtcTime, limit};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use trust::tuf::{metadata_path, target_path};
use trust::{
    BoardRoles, Channel, Credential, Digest, DocumentSource, Draft, Envelope, Proof, Replay, RoleKeys, SigningKey,
    SourceError, SpaceStore, Stop, Stopped,
};
use wire::dry_run::WouldAllow;
use wire::header::Tokens;
use wire::status::Ended;

use crate::config::Config;
use crate::governance::Governance;
use crate::ledger::Ledger;
use crate::query::{Answer, Answered, Arrival, Desk, RowAnswer};
use crate::registers::Registers;
use crate::turns::Turns;

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) const MINUTE: i64 = 60;
pub(crate) const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

/// More than two batches of an answer have.
pub(crate) const ROWS: usize = 20_000;

pub(crate) const COLLECTION: &str = r#"
id       = "beds"
title    = "Beds by district"
personal = false

[columns.district]
type = "text"
role = ["group", "filter"]

[columns.beds]
type = "integer"
role = "measure"
"#;

pub(crate) const POLICY: &str = r#"
id          = "beds-open"
version     = 1
title       = "Beds are no secret among universities"
collection  = "beds"
valid_from  = 2026-01-01
valid_until = 2026-12-31

[[permission]]
id       = "universities"
assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit   = "none"
release  = "rows"
columns  = ["district", "beds"]

[permission.disclosure]
tier    = "open"
queries = { per_minute = 5, per_week = 6 }

[[permission.duty]]
action      = "delete"
within_days = 30
"#;

pub(crate) const PERMIT: &str = r#"
id          = "study-7"
space       = "oncology"
title       = "Beds and distance"
kind        = "data-permit"
issuer      = "Health data access body"
issued      = 2026-11-01
holder      = "university"
persons     = ["university/ada"]
purposes    = ["ehds-53-1-e"]
valid_from  = 2026-11-01
valid_until = 2026-11-30
opt_out     = "at-query"

[[dataset]]
collection = "beds"
columns    = ["district", "beds"]
"#;

/// A clock that tests set.
#[derive(Debug)]
pub(crate) struct TestClock(Mutex<UtcTime>);

impl Clock for TestClock {
    fn now(&self) -> UtcTime {
        *self.0.lock().unwrap()
    }
}

pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) board: [SigningKey; 3],
    online: SigningKey,
    node: Arc<SigningKey>,
    university: SigningKey,
    person: SigningKey,
    pub(crate) clock: Arc<TestClock>,
    /// What the broker serves by path; `None` breaks off.
    pub(crate) shelf: Mutex<BTreeMap<String, Option<Vec<u8>>>>,
    /// Versions of snapshots and timestamps.
    announced: Mutex<u64>,
}

#[tonic::async_trait]
impl DocumentSource for World {
    async fn fetch(&self, path: &str, _bytes_max: u64) -> Result<Option<Vec<u8>>, SourceError> {
        match self.shelf.lock().unwrap().get(path) {
            None => Ok(None),
            Some(Some(bytes)) => Ok(Some(bytes.clone())),
            Some(None) => Err(SourceError::Unreachable {
                reason: "connection reset".to_owned(),
            }),
        }
    }
}

pub(crate) fn space() -> SpaceId {
    "oncology".parse().unwrap()
}

impl World {
    /// With version 1 published.
    pub(crate) fn new() -> Self {
        let key = || SigningKey::generate().unwrap();
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            board: [key(), key(), key()],
            online: key(),
            node: Arc::new(key()),
            university: key(),
            person: key(),
            clock: Arc::new(TestClock(Mutex::new("2026-11-21T12:00:00Z".parse().unwrap()))),
            shelf: Mutex::default(),
            announced: Mutex::default(),
        };
        let board = RoleKeys {
            keys: world.board.iter().map(SigningKey::public).collect(),
            threshold: 2,
        };
        let online = RoleKeys {
            keys: vec![world.online.public()],
            threshold: 1,
        };
        let roles = BoardRoles {
            root: board.clone(),
            targets: board,
            snapshot: online.clone(),
            timestamp: online,
        };
        let draft = Draft::root(&space(), 1, world.after(2 * YEAR), &roles).unwrap();
        let root = draft.assemble(world.board[..2].iter().map(|key| draft.sign(key)).collect());
        std::fs::write(world.path("root.json"), &root).unwrap();
        world.put("metadata/1.root.json", root);
        world.publish(1, &world.files());
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn now(&self) -> UtcTime {
        self.clock.now()
    }

    pub(crate) fn after(&self, seconds: i64) -> UtcTime {
        UtcTime::from_second(self.now().as_second() + seconds).unwrap()
    }

    pub(crate) fn advance(&self, seconds: i64) {
        let later = self.after(seconds);
        *self.clock.0.lock().unwrap() = later;
    }

    pub(crate) fn put(&self, path: &str, document: Vec<u8>) {
        self.shelf.lock().unwrap().insert(path.to_owned(), Some(document));
    }

    /// The broker does not answer any more.
    pub(crate) fn break_off(&self) {
        self.shelf
            .lock()
            .unwrap()
            .values_mut()
            .for_each(|document| *document = None);
    }

    /// Files with the university as a member.
    pub(crate) fn files(&self) -> Files {
        self.files_of(&["gbsg", "university"])
    }

    pub(crate) fn files_of(&self, members: &[&str]) -> Files {
        let member = |id: &&str| {
            let (role, key) = match *id {
                "university" => ("university", self.university.public()),
                _ => ("hospital", self.node.public()),
            };
            format!("[[member]]\nid = \"{id}\"\ntitle = \"{id}\"\nroles = [\"{role}\"]\nkey = \"{key}\"\n")
        };
        let members: String = members.iter().map(member).collect();
        let files = [
            ("space.toml", "id = \"oncology\"\ntitle = \"Oncology\"\n"),
            ("members.toml", &members),
            ("collections/beds.toml", COLLECTION),
            ("policies/beds-open.toml", POLICY),
            ("permits/study-7.toml", PERMIT),
        ];
        files
            .map(|(name, text)| (name.to_owned(), text.as_bytes().to_owned()))
            .into()
    }

    /// The files with one of them changed.
    pub(crate) fn files_with(&self, name: &str, text: &str) -> Files {
        let mut files = self.files();
        files.insert(name.to_owned(), text.as_bytes().to_vec());
        files
    }

    /// Puts a set on the shelf, signed by two of three.
    pub(crate) fn publish(&self, version: u64, files: &Files) {
        self.publish_for(version, files, YEAR);
    }

    /// The same, signed for so many seconds.
    pub(crate) fn publish_for(&self, version: u64, files: &Files, seconds: i64) {
        let draft = Draft::targets(&space(), version, self.after(seconds), files, &[]).unwrap();
        let targets = draft.assemble(self.board[..2].iter().map(|key| draft.sign(key)).collect());
        self.put(&metadata_path(&format!("{version}.targets.json")), targets);
        for (name, content) in files {
            self.put(&target_path(name, &Digest::of(content)), content.clone());
        }
        self.announce(version);
    }

    /// A new snapshot and a new timestamp, which is valid for an hour.
    pub(crate) fn announce(&self, targets_version: u64) {
        let mut announced = self.announced.lock().unwrap();
        *announced += 1;
        let versions = [("targets".to_owned(), targets_version)].into();
        let draft = Draft::snapshot(&space(), *announced, self.after(YEAR), &versions).unwrap();
        let snapshot = draft.assemble(vec![draft.sign(&self.online)]);
        let draft = Draft::timestamp(&space(), *announced, self.after(HOUR), &snapshot).unwrap();
        self.put(&metadata_path(&format!("{announced}.snapshot.json")), snapshot);
        let timestamp = draft.assemble(vec![draft.sign(&self.online)]);
        self.put(&metadata_path("timestamp.json"), timestamp);
    }

    pub(crate) fn stop(&self, stopped: Stopped, signer: &SigningKey) -> Envelope {
        let stop = Stop::new(space(), stopped, "used for insurance", self.now()).unwrap();
        stop.seal(signer).unwrap()
    }

    /// The broker serves these stops.
    pub(crate) fn serve_stops(&self, stops: &[Envelope]) {
        let list = trust::StopList {
            stops: stops.to_vec(),
            ignored: 0,
        };
        self.put(trust::tuf::STOPS_PATH, list.to_bytes().unwrap());
    }

    pub(crate) fn lifting(&self, lifted: &[Digest]) -> Files {
        let lifted: Vec<String> = lifted.iter().map(|digest| format!("\"{digest}\"")).collect();
        let text = format!(
            "id = \"oncology\"\ntitle = \"Oncology\"\nlifted = [{}]\n",
            lifted.join(", ")
        );
        self.files_with("space.toml", &text)
    }

    pub(crate) fn node_key(&self) -> &SigningKey {
        &self.node
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            space: space(),
            member: "gbsg".parse().unwrap(),
            listen: Some("127.0.0.1:0".to_owned()),
            tunnels: 0,
            advertise: None,
            key: self.path("node.key"),
            root: self.path("root.json"),
            anchor: None,
            data: self.path("data"),
            refresh_seconds: 30,
            limits: wire::NodeLimits::default(),
            metrics: None,
            traces: None,
            broker: wire::PeerConfig::direct("127.0.0.1:1".to_owned(), self.online.public()),
        }
    }

    pub(crate) fn store(&self) -> SpaceStore {
        let root = std::fs::read(self.path("root.json")).unwrap();
        SpaceStore::open_or_create(&self.config().governance_folder(), &root).unwrap()
    }

    /// Starts, or starts again, without a broker if it does not answer.
    pub(crate) async fn govern(&self) -> Result<Governance, Report> {
        let config = self.config();
        let clock: Arc<dyn Clock> = self.clock.clone();
        Governance::start(&space(), self.store(), &config.data, Some(self), clock).await
    }

    /// The node, with data.
    pub(crate) async fn desk(&self) -> Arc<Desk> {
        let config = self.config();
        let governance = self.govern().await.unwrap();
        let datasets = Datasets::open(&config.datasets_folder()).unwrap();
        if datasets.all().is_empty() {
            let mut table = String::from("district,beds\n");
            (0..ROWS).for_each(|row| table.push_str(&format!("d{},{row}\n", row % 400)));
            std::fs::write(self.path("beds.csv"), table).unwrap();
            let collection = governance.latest().rules.collections[&"beds".parse().unwrap()].clone();
            datasets.add(&self.path("beds.csv"), &collection, self.now()).unwrap();
        }
        let clock: Arc<dyn Clock> = Arc::new(governance.clock());
        let key = Arc::clone(&self.node);
        let ledger = Ledger::open(
            config.ledger_place(),
            &config.audit_origin(),
            Arc::clone(&key),
            clock.clone(),
        );
        Arc::new(Desk {
            space: config.space.clone(),
            member: config.member.clone(),
            key,
            governance,
            datasets,
            registers: Arc::new(Registers::open(&config.registers_file()).unwrap()),
            ledger: ledger.unwrap(),
            replay: Replay::new(),
            turns: Turns::default(),
            clock,
            reading: Semaphore::new(limit::READING_AT_ONCE_MAX),
            running: Semaphore::new(limit::QUERIES_AT_ONCE_MAX),
            streaming: Arc::new(Semaphore::new(limit::ROW_STREAMS_AT_ONCE_MAX)),
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
            limits: wire::NodeLimits::default(),
            metrics: crate::metrics::NodeMetrics::default(),
        })
    }

    /// Asks as Ada of the university.
    pub(crate) async fn ask(&self, desk: &Arc<Desk>, sql: &str, permit: Option<&str>) -> Result<Answer, Ended> {
        let sent = Sent {
            permit,
            ..Sent::of(sql)
        };
        self.send(desk, sent).await
    }

    /// Asks as somebody of the university for what is not long.
    pub(crate) async fn send(&self, desk: &Arc<Desk>, sent: Sent<'_>) -> Result<Answer, Ended> {
        match self.send_any(desk, sent).await? {
            Answered::Whole(answer) => Ok(*answer),
            Answered::Rows(_) => panic!("the answer is long"),
        }
    }

    /// Asks as somebody of the university for rows that leave while they are read.
    pub(crate) async fn send_long(&self, desk: &Arc<Desk>, sent: Sent<'_>) -> Result<RowAnswer, Ended> {
        match self.send_any(desk, sent).await? {
            Answered::Rows(answer) => Ok(*answer),
            Answered::Whole(_) => panic!("the answer is not long"),
        }
    }

    /// Asks as somebody of the university.
    pub(crate) async fn send_any(&self, desk: &Arc<Desk>, sent: Sent<'_>) -> Result<Answered, Ended> {
        let credential = self.credential(sent.person);
        self.send_with(desk, sent, &credential).await
    }

    /// Asks as somebody of the university whether it would be answered.
    pub(crate) async fn send_whether(&self, desk: &Arc<Desk>, sent: Sent<'_>) -> Result<WouldAllow, Ended> {
        let credential = self.credential(sent.person);
        let (proof, channel) = self.proof(&sent);
        let arrival = arrival(&credential, &proof, sent.request, &channel);
        Box::pin(desk.foresee(arrival, sent.sql)).await
    }

    /// What the university says of a person, for an hour.
    pub(crate) fn credential(&self, person: &str) -> String {
        let credential = Credential {
            space: space(),
            member: "university".parse().unwrap(),
            person: person.parse().unwrap(),
            roles: ["university".parse().unwrap()].into(),
            key: self.person.public(),
            not_before: self.now(),
            expires: self.after(HOUR),
        };
        credential.issue(&self.university).unwrap()
    }

    /// Asks with a credential.
    pub(crate) async fn send_with(
        &self,
        desk: &Arc<Desk>,
        sent: Sent<'_>,
        credential: &str,
    ) -> Result<Answered, Ended> {
        let (proof, channel) = self.proof(&sent);
        let arrival = arrival(credential, &proof, sent.request, &channel);
        Box::pin(desk.answer(arrival, sent.sql)).await
    }

    fn proof(&self, sent: &Sent<'_>) -> (String, Channel) {
        let channel = Channel::new([7; 32]);
        let proof = Proof {
            node: "gbsg".to_owned(),
            query: Digest::of(sent.sql.as_bytes()),
            purpose: Some(sent.purpose.parse().unwrap()),
            permit: sent.permit.map(|id| id.parse().unwrap()),
            request: sent.request.and_then(|id| id.parse().ok()),
            channel,
        };
        (proof.issue(&self.person, self.now()).unwrap(), channel)
    }
}

fn arrival<'a>(credential: &'a str, proof: &'a str, request: Option<&'a str>, channel: &'a Channel) -> Arrival<'a> {
    let tokens = Tokens {
        credential,
        proof,
        request,
    };
    Arrival { tokens, channel }
}

/// A question for all rows with so many columns that they leave while they are read: the first batch is too much to wait for more.
pub(crate) fn long() -> String {
    let columns: Vec<String> = (0..100).map(|number| format!("beds AS b{number}")).collect();
    format!("SELECT {} FROM beds", columns.join(", "))
}

/// What somebody sends.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub(crate) person: &'a str,
    pub(crate) sql: &'a str,
    pub(crate) purpose: &'a str,
    pub(crate) permit: Option<&'a str>,
    pub(crate) request: Option<&'a str>,
}

impl<'a> Sent<'a> {
    /// A question of Ada, for research.
    pub(crate) fn of(sql: &'a str) -> Self {
        Self {
            person: "ada",
            sql,
            purpose: "ehds-53-1-e",
            permit: None,
            request: None,
        }
    }
}
