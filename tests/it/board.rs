//! A governance board at work, through the program as its members use it: found, change, sign, publish, stop.
//!
//! Each member has a key file; all of them lie in one place here, and all have one passphrase. Folders are copied to stand
//! for machines. `running` starts a broker and a node, which nobody restarts.

mod committee;
mod enrolment;
mod guide;
mod refused;
mod running;
mod shipped;
mod turnover;

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::sandbox::{Run, project};

/// The passphrase of every key here.
const PASSPHRASE: &str = "a board of five, one passphrase\n";

/// The institutions of the worked example, which its cases name.
const INSTITUTIONS: [(&str, &str); 3] = [
    ("city-hospital", "\"hospital\""),
    ("saarland-university", "\"university\""),
    ("health-office", "\"public-health-office\", \"public-body\""),
];

/// How long a node may take until it works under what was published, in seconds: the promise to boards.
const TAKES_EFFECT_SECONDS_MAX: u64 = 60;

const POLICY: &str = "policies/breast-cancer-research.toml";

/// A place with key files and one or more copies of the folder of a data space.
struct World {
    place: TempDir,
}

impl World {
    /// Keys for everybody, and nothing founded.
    fn with_keys(members: &[&str]) -> Self {
        let world = Self {
            place: tempfile::tempdir().unwrap(),
        };
        fs::write(world.path("passphrase"), PASSPHRASE).unwrap();
        for name in members {
            world.make_key(name, &format!("{name}.key"));
        }
        for name in ["snapshot", "timestamp", "broker"]
            .into_iter()
            .chain(INSTITUTIONS.map(|(id, _)| id))
        {
            let file = format!("{name}.key");
            world
                .run(["board", "key", name, "--out", &file, "--machine"])
                .returns(0);
        }
        world
    }

    /// A data space with the policies of the worked example, drafted and not signed, in the folder `oncology`.
    fn of(members: &[&str], threshold: u16) -> Self {
        let world = Self::with_keys(members);
        copy(&project().join("policies/oncology"), &world.path("oncology"));
        let members: Vec<String> = members.iter().map(|name| format!("{name}.pub")).collect();
        let mut words: Vec<String> = [
            "board", "init", "--dir", "oncology", "--space", "oncology", "--title", "Oncology",
        ]
        .map(str::to_owned)
        .to_vec();
        members
            .into_iter()
            .for_each(|file| words.extend(["--member".to_owned(), file]));
        let keys = ["--snapshot-key", "snapshot.pub", "--timestamp-key", "timestamp.pub"];
        words.extend(keys.map(str::to_owned));
        words.extend(["--threshold".to_owned(), threshold.to_string()]);
        world.run(words).returns(0);
        world.enrol("oncology/members.toml");
        world
    }

    /// As [`World::of`], signed by the first members, and published to the folder `repository`.
    fn founded(members: &[&str], threshold: u16) -> Self {
        let world = Self::of(members, threshold);
        world.draft("oncology");
        for name in members.iter().take(usize::from(threshold)) {
            world.sign("oncology", name).returns(0);
        }
        world.publish("oncology").returns(0);
        world
    }

    fn enrol(&self, roster: &str) {
        let mut text = String::new();
        for (id, roles) in INSTITUTIONS {
            let key = self.public_key(id);
            text.push_str(&format!(
                "[[member]]\nid = \"{id}\"\ntitle = \"{id}\"\nroles = [{roles}]\nkey = \"{key}\"\n\n"
            ));
        }
        fs::write(self.path(roster), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_datenraum"));
        command
            .current_dir(self.place.path())
            .env("LANG", "C")
            .env("DATENRAUM_LOG", "error");
        command.env("DATENRAUM_PASSPHRASE_FILE", self.path("passphrase"));
        command
    }

    /// Runs the program in the place, with nobody at the keyboard.
    fn run<I: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = I>) -> Run {
        Run(self.command().args(words).stdin(Stdio::null()).output().unwrap())
    }

    /// Starts a broker or a node.
    fn spawn(&self, role: &str) -> Child {
        let config = format!("{role}.toml");
        let mut command = self.command();
        command.args([role, "run", "--config", &config]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    }

    fn make_key(&self, name: &str, file: &str) {
        self.run(["board", "key", name, "--out", file]).returns(0);
    }

    fn public_key(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix("key = "))
            .unwrap()
            .trim_matches('"')
            .to_owned()
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "{from} is not in {file}");
        fs::write(self.path(file), text.replacen(from, to, 1)).unwrap();
    }

    /// Writes the tables of changed policies, and what is to be signed.
    fn draft(&self, dir: &str) -> Value {
        self.run(["board", "matrix", "--write", "--dir", dir]).returns(0);
        self.run(["board", "draft", "--dir", dir, "--json"]).returns(0).json()
    }

    /// What waits for signatures.
    fn drafts(&self, dir: &str) -> Vec<Value> {
        let check = self.run(["board", "check", "--dir", dir, "--json"]).json();
        check["drafts"].as_array().unwrap().clone()
    }

    /// Signs everything that is drafted, by its digests.
    fn sign(&self, dir: &str, name: &str) -> Run {
        self.sign_with(dir, &format!("{name}.key"))
    }

    fn sign_with(&self, dir: &str, key: &str) -> Run {
        let drafts = self.drafts(dir);
        let digests = drafts
            .iter()
            .flat_map(|draft| ["--digest", draft["digest"].as_str().unwrap()]);
        self.run(
            ["board", "sign", "--dir", dir, "--key", key, "--yes"]
                .into_iter()
                .chain(digests),
        )
    }

    fn publish(&self, dir: &str) -> Run {
        let keys = ["--snapshot-key", "snapshot.key", "--timestamp-key", "timestamp.key"];
        self.run(
            ["board", "publish", "--dir", dir, "--repository", "repository"]
                .into_iter()
                .chain(keys),
        )
    }

    fn copy_folder(&self, from: &str, to: &str) {
        copy(&self.path(from), &self.path(to));
    }

    /// Copies what one machine signed to another, as a stick would.
    fn bring_signatures(&self, from: &str, to: &str) {
        let place = "draft/signatures";
        copy(&self.path(from).join(place), &self.path(to).join(place));
    }

    /// Starts a broker and the node of the hospital on what is published.
    fn serve(&self) -> Running<'_> {
        Running::start(self)
    }
}

/// A broker and a node that nobody restarts. They end with this.
struct Running<'a> {
    world: &'a World,
    broker: Child,
    node: Child,
    address: String,
}

impl<'a> Running<'a> {
    fn start(world: &'a World) -> Self {
        let address = free_address();
        let config = format!(
            "space = \"oncology\"\nlisten = \"{address}\"\nkey = \"broker.key\"\nrepository = \"repository\"\n\
             snapshot_key = \"snapshot.key\"\ntimestamp_key = \"timestamp.key\"\nroot = \"oncology/signed/1.root.json\"\n\
             data = \"broker-data\"\n"
        );
        fs::write(world.path("broker.toml"), config).unwrap();
        let broker = world.public_key("broker");
        let config = format!(
            "space = \"oncology\"\nmember = \"city-hospital\"\nlisten = \"127.0.0.1:0\"\nkey = \"city-hospital.key\"\n\
             root = \"oncology/signed/1.root.json\"\ndata = \"node-data\"\nrefresh_seconds = 1\n\
             broker = {{ address = \"{address}\", key = \"{broker}\" }}\n"
        );
        fs::write(world.path("node.toml"), config).unwrap();
        let broker = world.spawn("broker");
        wait_until(&address);
        let node = world.spawn("node");
        Self {
            world,
            broker,
            node,
            address,
        }
    }

    fn stop_node(&mut self) {
        self.node.kill().unwrap();
        self.node.wait().unwrap();
    }

    fn status(&self) -> Option<Value> {
        let run = self.world.run(["node", "status", "--config", "node.toml", "--json"]);
        serde_json::from_str(&run.out()).ok()
    }

    /// Waits until the node's status is as it should be.
    fn until(&mut self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(TAKES_EFFECT_SECONDS_MAX);
        let mut last = None;
        while Instant::now() < deadline {
            assert!(self.node.try_wait().unwrap().is_none(), "the node ended");
            last = self.status();
            match &last {
                Some(status) if holds(status) => return last.unwrap(),
                _ => std::thread::sleep(Duration::from_millis(200)),
            }
        }
        panic!("{what} did not come within {TAKES_EFFECT_SECONDS_MAX} s: {last:#?}");
    }

    /// Waits until the node works under a version of the files.
    fn until_version(&mut self, version: u64) -> Value {
        self.until(&format!("version {version}"), |status| {
            status["documents"]["version"] == version
        })
    }

    /// Publishes through the broker, as a board far away does.
    fn publish(&self, dir: &str) -> Run {
        let identity = self.world.public_key("broker");
        let to = ["--broker", &self.address, "--broker-identity", &identity];
        self.world.run(["board", "publish", "--dir", dir].into_iter().chain(to))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        for child in [&mut self.node, &mut self.broker] {
            // Ended already: then there is nothing to end.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

fn wait_until(address: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "nobody listens at {address}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn names(keys: &Value) -> Vec<String> {
    let mut names: Vec<String> = keys
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["name"].as_str().unwrap_or("nobody").to_owned())
        .collect();
    names.sort();
    names
}
