//! A data space for the tests of this crate: a board of two of three, three institutions, a person, a broker.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use terms::{Clock, Report, SpaceId, UtcTime};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use trust::{BoardRoles, Credential, Delegation, Digest, Draft, Proof, PublicKey, RoleKeys, SigningKey, SpaceStore};
use wire::description::{BROKER_AUDIENCE, DISCOVER_QUERY};
use wire::{Connection, NodeDescription, OfferedDataset};

use crate::postgres::tests::{database, open};
use crate::{Config, ConnectionString, OnlineKeys, Publication, Repository};

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

const COLLECTION: &str = r#"
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

const POLICY: &str = r#"
id          = "beds-open"
version     = 1
title       = "Beds are no secret among universities"
collection  = "beds"
valid_from  = 2026-01-01
valid_until = 2026-12-31

[[permission]]
id         = "universities"
assignee   = { roles = ["university"] }
purposes   = ["ehds-53-1-e"]
permit     = "none"
release    = "rows"
columns    = ["district", "beds"]
disclosure = { tier = "open" }
"#;

/// A clock that tests set.
#[derive(Debug)]
pub(crate) struct TestClock(Mutex<UtcTime>);

impl Clock for TestClock {
    fn now(&self) -> UtcTime {
        *self.0.lock().unwrap()
    }
}

impl TestClock {
    pub(crate) fn advance(&self, seconds: i64) {
        let mut now = self.0.lock().unwrap();
        *now = UtcTime::from_second(now.as_second() + seconds).unwrap();
    }
}

pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) board: [SigningKey; 3],
    /// The key of each institution.
    pub(crate) members: BTreeMap<&'static str, SigningKey>,
    pub(crate) person: SigningKey,
    pub(crate) tls: PublicKey,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) repository: Repository,
    /// What the board's next documents delegate.
    pub(crate) delegations: Vec<Delegation>,
    /// Where documents and descriptions are, if not in the world's own folder.
    store: Option<ConnectionString>,
}

impl World {
    /// A data space with nothing published yet.
    pub(crate) fn founded() -> Self {
        Self::founded_in(None)
    }

    /// The same, once with each kind of store. Without PostgreSQL on this machine there is one kind.
    pub(crate) fn founded_everywhere() -> Vec<Self> {
        let store = database();
        std::iter::once(None)
            .chain(store.map(Some))
            .map(Self::founded_in)
            .collect()
    }

    /// A data space with version 1 published, once with each kind of store.
    pub(crate) fn published_everywhere() -> Vec<Self> {
        let worlds = Self::founded_everywhere();
        worlds
            .iter()
            .for_each(|world| world.publish(1, &world.files()).unwrap());
        worlds
    }

    /// A data space with version 1 published, in PostgreSQL; none if this machine has none.
    pub(crate) fn published_in_postgres() -> Option<Self> {
        let world = Self::founded_in(Some(database()?));
        world.publish(1, &world.files()).unwrap();
        Some(world)
    }

    /// The same in this database.
    pub(crate) fn published_in(store: String) -> Self {
        let world = Self::founded_in(Some(store.into()));
        world.publish(1, &world.files()).unwrap();
        world
    }

    fn founded_in(store: Option<ConnectionString>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [tls, snapshot, timestamp] = ["tls", "snapshot", "timestamp"].map(|name| {
            let key = new_key();
            key.save_new(&folder.path().join(format!("{name}.pem"))).unwrap();
            key.public()
        });
        let clock = Arc::new(TestClock(Mutex::new("2026-11-21T12:00:00Z".parse().unwrap())));
        let board = [new_key(), new_key(), new_key()];
        let roles = roles(&board, snapshot, timestamp);
        let draft = Draft::root(&space(), 1, after(&clock, YEAR), &roles).unwrap();
        let root = draft.assemble(board[..2].iter().map(|key| draft.sign(key)).collect());
        std::fs::write(folder.path().join("root.json"), &root).unwrap();
        let repository = match &store {
            None => Repository::found(&folder.path().join("repository"), &root).unwrap(),
            Some(store) => Repository::shared(open(store), &space(), &root).unwrap(),
        };
        let members = ["gbsg", "saarland-university", "archive"]
            .map(|id| (id, new_key()))
            .into();
        Self {
            folder,
            board,
            members,
            person: new_key(),
            tls,
            clock,
            repository,
            delegations: Vec::new(),
            store,
        }
    }

    /// A data space with version 1 published.
    pub(crate) fn published() -> Self {
        let world = Self::founded();
        world.publish(1, &world.files()).unwrap();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn now(&self) -> UtcTime {
        self.clock.now()
    }

    pub(crate) fn after(&self, seconds: i64) -> UtcTime {
        after(&self.clock, seconds)
    }

    pub(crate) fn keys(&self) -> OnlineKeys {
        OnlineKeys::load(&self.path("snapshot.pem"), &self.path("timestamp.pem")).unwrap()
    }

    pub(crate) fn key_ring(&self) -> crate::online::KeyRing {
        let files = (self.path("snapshot.pem"), self.path("timestamp.pem"));
        crate::online::KeyRing::load(files.0, files.1, telemetry::Counter::default()).unwrap()
    }

    pub(crate) fn files(&self) -> Files {
        self.files_of(&["gbsg", "saarland-university", "archive"])
    }

    /// The files of the space with these members.
    pub(crate) fn files_of(&self, members: &[&str]) -> Files {
        let roles = BTreeMap::from([
            ("gbsg", "hospital"),
            ("saarland-university", "university"),
            ("archive", "archive"),
        ]);
        let member = |id: &&str| {
            let (role, key) = (roles[id], self.members[id].public());
            format!("[[member]]\nid = \"{id}\"\ntitle = \"{id}\"\nroles = [\"{role}\"]\nkey = \"{key}\"\n")
        };
        let members: String = members.iter().map(member).collect();
        let files = [
            ("space.toml", "id = \"oncology\"\ntitle = \"Oncology\"\n"),
            ("members.toml", &members),
            ("collections/beds.toml", COLLECTION),
            ("policies/beds-open.toml", POLICY),
        ];
        files
            .map(|(name, text)| (name.to_owned(), text.as_bytes().to_owned()))
            .into()
    }

    /// A targets document with the signatures of this many board members.
    pub(crate) fn targets(&self, version: u64, files: &Files, signers: usize) -> Vec<u8> {
        let draft = Draft::targets(&space(), version, self.after(YEAR), files, &self.delegations).unwrap();
        draft.assemble(self.board[..signers].iter().map(|key| draft.sign(key)).collect())
    }

    pub(crate) fn publish(&self, version: u64, files: &Files) -> Result<(), Report> {
        let publication = publication(self.targets(version, files, 2), files);
        self.repository.publish(&self.keys(), &publication, self.now())
    }

    /// The documents as another broker has them.
    pub(crate) fn other_repository(&self) -> Repository {
        let root = std::fs::read(self.path("root.json")).unwrap();
        Repository::shared(open(self.store.as_ref().unwrap()), &space(), &root).unwrap()
    }

    /// What a broker remembers of audits.
    pub(crate) fn witnessed(&self) -> crate::witness::Store {
        match &self.store {
            None => crate::witness::Store::in_file(&self.path("data").join("witness.sqlite")).unwrap(),
            Some(store) => crate::witness::Store::Shared(open(store)),
        }
    }

    /// Goes on with an empty database.
    pub(crate) fn forget_everything(&mut self) {
        self.store = database();
    }

    /// A new client's memory, with the first root pinned.
    pub(crate) fn client(&self, name: &str) -> SpaceStore {
        SpaceStore::create(&self.path(name), &std::fs::read(self.path("root.json")).unwrap()).unwrap()
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            space: "oncology".parse().unwrap(),
            listen: "127.0.0.1:0".to_owned(),
            key: self.path("tls.pem"),
            repository: self.store.is_none().then(|| self.path("repository")),
            store: self.store.clone(),
            store_file: None,
            snapshot_key: self.path("snapshot.pem"),
            timestamp_key: self.path("timestamp.pem"),
            root: self.path("root.json"),
            data: self.path("data"),
            limits: [("drain_seconds".to_owned(), 1)]
                .into_iter()
                .collect::<BTreeMap<_, _>>()
                .try_into()
                .unwrap(),
            metrics: None,
        }
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_as(self.config()).await
    }

    /// Another broker with the same keys and store and a folder of its own.
    pub(crate) async fn start_beside(&self) -> Running {
        self.start_as(Config {
            data: self.path("data-beside"),
            ..self.config()
        })
        .await
    }

    async fn start_as(&self, config: Config) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        let task = tokio::spawn(crate::serve(config, listener, self.clock.clone(), stop.clone()));
        Running {
            address,
            key: self.tls,
            stop,
            task,
        }
    }

    /// What `member` says of its node, signed with its own key.
    pub(crate) fn described(&self, member: &str, collection: &str) -> Vec<u8> {
        wire::description::seal(&self.description(member, collection), &self.members[member]).unwrap()
    }

    pub(crate) fn description(&self, member: &str, collection: &str) -> NodeDescription {
        let offered = OfferedDataset {
            collection: collection.parse().unwrap(),
            updated: self.now(),
            synthetic: false,
            days_moved: false,
        };
        NodeDescription {
            space: "oncology".parse().unwrap(),
            member: member.parse().unwrap(),
            address: Some("127.0.0.1:4711".to_owned()),
            relayed: false,
            datasets: vec![offered],
            issued: self.now(),
        }
    }

    /// The person's credential from `member`, acting as `role`.
    pub(crate) fn credential(&self, member: &str, role: &str) -> String {
        let credential = Credential {
            space: "oncology".parse().unwrap(),
            member: member.parse().unwrap(),
            person: "ada".parse().unwrap(),
            roles: [role.parse().unwrap()].into(),
            key: self.person.public(),
            not_before: self.now(),
            expires: self.after(HOUR),
        };
        credential.issue(&self.members[member]).unwrap()
    }

    /// The person's proof for a discovery on this connection.
    pub(crate) fn proof(&self, connection: &Connection) -> String {
        self.proof_for(BROKER_AUDIENCE, connection)
    }

    pub(crate) fn proof_for(&self, node: &str, connection: &Connection) -> String {
        let proof = Proof {
            node: node.to_owned(),
            query: Digest::of(DISCOVER_QUERY),
            purpose: None,
            permit: None,
            request: None,
            channel: connection.binding().unwrap(),
        };
        proof.issue(&self.person, self.now()).unwrap()
    }
}

/// A broker that serves.
pub(crate) struct Running {
    pub(crate) address: String,
    key: PublicKey,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), Report>>,
}

impl Running {
    pub(crate) async fn connect(&self) -> Connection {
        wire::connect(&self.address, BROKER_AUDIENCE, &self.key).await.unwrap()
    }

    pub(crate) async fn stop(self) -> Result<(), Report> {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

/// The two tokens as headers.
pub(crate) fn headers(credential: &str, proof: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    let tokens = wire::header::Tokens {
        credential,
        proof,
        request: None,
    };
    wire::header::attach(&mut metadata, tokens).unwrap();
    metadata
}

/// What the board alone publishes.
pub(crate) fn publication(targets: Vec<u8>, files: &Files) -> Publication {
    Publication {
        targets,
        delegated: BTreeMap::new(),
        files: files.clone(),
    }
}

pub(crate) fn space() -> SpaceId {
    "oncology".parse().unwrap()
}

pub(crate) fn new_key() -> SigningKey {
    SigningKey::generate().unwrap()
}

pub(crate) fn roles(board: &[SigningKey; 3], snapshot: PublicKey, timestamp: PublicKey) -> BoardRoles {
    let board = RoleKeys {
        keys: board.iter().map(SigningKey::public).collect(),
        threshold: 2,
    };
    let alone = |key| RoleKeys {
        keys: vec![key],
        threshold: 1,
    };
    BoardRoles {
        root: board.clone(),
        targets: board,
        snapshot: alone(snapshot),
        timestamp: alone(timestamp),
    }
}

fn after(clock: &TestClock, seconds: i64) -> UtcTime {
    UtcTime::from_second(clock.now().as_second() + seconds).unwrap()
}
