//! A data space whose broker and node are processes of their own: they can be killed, paused, traced and measured one by one.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use terms::UtcTime;
use trust::{Draft, SigningKey};
use wire::publish::Publication;

use super::raw::Person;
use super::{Run, Sandbox, datenraum};

const SPEC: &str = include_str!("../../../examples/own/spec.toml");
const COLLECTION: &str = include_str!("../../../examples/own/collections/stays.toml");
const POLICY: &str = include_str!("../../../examples/own/policies/stays-statistics.toml");

pub(crate) const NODE: &str = "clinic-a";
pub(crate) const SQL: &str = "SELECT count(*) AS n FROM stays";

/// So long a program may take from its start until it answers.
pub(crate) const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// A data space that is laid out, with fixed ports, and runs nowhere until its programs are started.
pub(crate) struct Apart {
    pub(crate) sandbox: Sandbox,
}

/// What can be started.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Broker,
    Node,
}

/// How the node is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Directly,
    ByTunnel,
}

impl Apart {
    pub(crate) fn of(reach: Reach) -> Self {
        let rows = (1..=60).map(|person| format!("p{person},{},{person}\n", ["surgery", "medicine"][person % 2]));
        let data = format!("patient_id,ward,days\n{}", rows.collect::<String>());
        let spec = match reach {
            Reach::Directly => SPEC.to_owned(),
            Reach::ByTunnel => SPEC.replace("[[node]]", "[[node]]\nreach = \"broker\""),
        };
        let (sandbox, run) = Sandbox::of(&[
            ("spec.toml", &spec),
            ("collections/stays.toml", COLLECTION),
            ("policies/stays-statistics.toml", POLICY),
            ("stays.csv", &data),
        ]);
        run.returns(0);
        sandbox.down().returns(0);
        let apart = Self { sandbox };
        apart.change_node_file("refresh_seconds = 30", "refresh_seconds = 1");
        apart
    }

    pub(crate) fn change_node_file(&self, from: &str, to: &str) {
        let file = self.file(Role::Node);
        let text = fs::read_to_string(&file).unwrap();
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        fs::write(file, changed).unwrap();
    }

    pub(crate) fn file(&self, role: Role) -> PathBuf {
        self.sandbox.dir().join(match role {
            Role::Broker => "broker/broker.toml".to_owned(),
            Role::Node => format!("nodes/{NODE}/node.toml"),
        })
    }

    pub(crate) fn config(&self) -> node::Config {
        node::Config::load(&self.file(Role::Node)).unwrap()
    }

    /// What the programs of a role had to say so far.
    pub(crate) fn log(&self, role: Role) -> String {
        fs::read_to_string(self.log_file(role)).unwrap_or_default()
    }

    fn log_file(&self, role: Role) -> PathBuf {
        self.sandbox.place().join(format!("{role:?}.log"))
    }

    pub(crate) fn start(&self, role: Role) -> Process {
        self.start_under(role, &self.file(role), &[])
    }

    /// Starts it under `strace` with these words more, if there are any.
    pub(crate) fn start_under(&self, role: Role, file: &Path, strace: &[&str]) -> Process {
        let word = match role {
            Role::Broker => "broker",
            Role::Node => "node",
        };
        let program = env!("CARGO_BIN_EXE_datenraum");
        let mut command = match strace {
            [] => Command::new(program),
            words => {
                let mut command = Command::new("strace");
                // The program is our child, and strace a child of nobody: its end is the program's.
                command
                    .args(["-D", "-f", "-qqq", "-o", "/dev/null"])
                    .args(words)
                    .arg(program);
                command
            }
        };
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_file(role))
            .unwrap();
        let child = command
            .args([word, "run", "--config"])
            .arg(file)
            .env("TOKIO_WORKER_THREADS", "2")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Process(child.unwrap())
    }

    /// Asks by the program, as its only person, with more words.
    pub(crate) fn ask(&self, more: &[&str]) -> Run {
        let profile = self.sandbox.dir().join("people/ada/person.toml");
        let words = [
            "query",
            "--profile",
            profile.to_str().unwrap(),
            SQL,
            "--purpose",
            "ehds-53-1-e",
            "--format",
            "json",
        ];
        datenraum(words.iter().chain(more))
    }

    /// Waits until the program is answered.
    pub(crate) fn answered(&self) -> Duration {
        let since = Instant::now();
        loop {
            let run = self.ask(&["--timeout", "5"]);
            if run.code() == 0 {
                return since.elapsed();
            }
            assert!(
                since.elapsed() < STARTS_WITHIN,
                "no answer: {}\n{}",
                run.err(),
                self.log(Role::Node)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A person on a connection of their own to the node, once it listens.
    pub(crate) async fn person(&self) -> Person {
        self.listens(&self.config().listen.unwrap()).await;
        Person::of(&self.sandbox, "ada", NODE).await
    }

    pub(crate) async fn listens(&self, address: &str) {
        let since = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert!(
                since.elapsed() < STARTS_WITHIN,
                "nobody listens at {address}: {}",
                self.log(Role::Node)
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The address at which the broker listens.
    pub(crate) fn broker_address(&self) -> String {
        self.config().broker.address.to_string()
    }

    /// The published files with something changed, as the next version of the board's list, signed by so many.
    pub(crate) fn next_version(&self, version: u64, signers: u8, from: &str, to: &str) -> Publication {
        let names = [
            "space.toml",
            "members.toml",
            "collections/stays.toml",
            "policies/stays-statistics.toml",
        ];
        let read = |name: &str| fs::read_to_string(self.sandbox.dir().join("space").join(name)).unwrap();
        let files = names
            .map(|name| (name.to_owned(), read(name).replace(from, to).into_bytes()))
            .into();
        let expires = UtcTime::from_second(UtcTime::now().as_second() + 3_600 * 24).unwrap();
        let space = self.config().space;
        let draft = Draft::targets(&space, version, expires, &files, &[]).unwrap();
        let key = |number| SigningKey::load(&self.sandbox.dir().join(format!("board/member-{number}.key"))).unwrap();
        Publication {
            targets: Some(draft.assemble((1..=signers).map(|number| draft.sign(&key(number))).collect())),
            delegated: Default::default(),
            files,
        }
    }
}

/// A program of the data space.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it did within so long.
    pub(crate) fn ended_within(&mut self, most: Duration) -> Option<ExitStatus> {
        let since = Instant::now();
        while since.elapsed() < most {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// Traces it from now on, with these words more. What traces ends with the program, or when it is interrupted.
    pub(crate) fn trace(&self, words: &[&str]) -> Child {
        let id = self.id().to_string();
        let strace = Command::new("strace")
            .args(["-f", "-qqq", "-o", "/dev/null", "-p", &id])
            .args(words)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let since = Instant::now();
        let is_traced = || {
            let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap().flatten();
            // One that was killed at once is traced by nobody any more.
            let traced = |status: String| status.contains("State:\tZ") || !status.contains("TracerPid:\t0\n");
            tasks
                .map(|task| fs::read_to_string(task.path().join("status")).unwrap_or_default())
                .all(traced)
        };
        while !is_traced() {
            assert!(since.elapsed() < STARTS_WITHIN, "strace does not take hold");
            std::thread::sleep(Duration::from_millis(10));
        }
        strace
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Ends it as an operator does, and waits.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended_within(Duration::from_secs(20)).expect("it does not stop")
    }
}

impl Drop for Process {
    /// SIGKILL, if it runs still.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether `strace` can trace here; says aloud if not.
pub(crate) fn strace_is_there() -> bool {
    let traced = Command::new("strace")
        .args(["-D", "-qqq", "-o", "/dev/null", "true"])
        .status();
    let works = traced.is_ok_and(|status| status.success());
    if !works {
        skipped("strace is missing or may not trace here (scripts/setup.sh installs it)");
    }
    works
}

/// Says that a test is skipped, also where the output of tests that pass is not shown.
pub(crate) fn skipped(why: &str) {
    std::io::stderr()
        .write_all(format!("\nSKIPPED: {why}\n").as_bytes())
        .unwrap();
}

/// How often something is done, unless the environment says otherwise.
pub(crate) fn times(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |told| told.parse().unwrap())
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}
