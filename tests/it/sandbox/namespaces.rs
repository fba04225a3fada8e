//! Machines that can only dial out, as networks of their own on this one: a node and a data user who both reach the broker and not each
//! other. Needs the rights to make networks (`ip netns`); without them it says so and tries nothing.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Run, Sandbox};

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
id       = "clinic"
roles    = ["hospital"]
reach    = "broker"
datasets = [{ collection = "beds", path = "beds.csv" }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]
"#;

/// A text that is in the question and in the answer, and in no document.
const CANARY: &str = "CANARYDISTRICT";

/// How long both ends of a dead connection may take to notice, with a second for the clock.
const NOTICED_WITHIN: Duration = Duration::from_secs(31);

/// How long a node may take to be reached again.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// A program that is ended when the test is.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Networks that are taken away when the test ends.
struct Networks(String);

impl Drop for Networks {
    fn drop(&mut self) {
        for network in ["b", "n", "c"] {
            // One that was never made is not there.
            let _ = ip(&format!("netns del {}{network}", self.0));
        }
    }
}

/// Broker, node and data user, each in a network of its own.
struct Apart {
    sandbox: Sandbox,
    // In the order in which they end.
    _node: Process,
    broker: Process,
    networks: Networks,
}

fn ip(words: &str) -> bool {
    let ran = Command::new("ip").args(words.split(' ')).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success())
}

impl Apart {
    /// None, aloud, where networks cannot be made.
    fn new(test: &str) -> Option<Self> {
        let networks = Networks(format!("dz{}{test}", std::process::id()));
        let name = &networks.0;
        if !ip(&format!("netns add {name}b")) {
            // Also where the output of tests that pass is not shown.
            let skipped = b"\nSKIPPED: networks cannot be made here (ip netns, as root)\n";
            std::io::stderr().write_all(skipped).unwrap();
            return None;
        }
        for (end, subnet) in [("n", 1), ("c", 2)] {
            assert!(ip(&format!("netns add {name}{end}")));
            assert!(ip(&format!(
                "link add b{end} netns {name}b type veth peer name e0 netns {name}{end}"
            )));
            assert!(ip(&format!("-n {name}b addr add 10.77.{subnet}.1/30 dev b{end}")));
            assert!(ip(&format!("-n {name}{end} addr add 10.77.{subnet}.2/30 dev e0")));
            assert!(ip(&format!("-n {name}b link set b{end} up")) && ip(&format!("-n {name}{end} link set e0 up")));
        }
        let (sandbox, run) = Sandbox::of(&[
            ("spec.toml", SPEC),
            ("collections/beds.toml", COLLECTION),
            ("policies/beds-open.toml", POLICY),
            ("beds.csv", &format!("district,beds\n{CANARY},3\nelsewhere,4\n")),
        ]);
        run.returns(0);
        sandbox.down().returns(0);
        for (file, key, value) in [
            ("broker/broker.toml", "listen", "0.0.0.0:4443"),
            ("nodes/clinic/node.toml", "address", "10.77.1.1:4443"),
            ("people/ada/person.toml", "address", "10.77.2.1:4443"),
        ] {
            set(sandbox.dir().join(file), key, value);
        }
        let start = |network: &str, role: &str, file: &str| {
            let log = File::create(sandbox.place().join(format!("{role}.log"))).unwrap();
            let program = program(&networks, network)
                .args([role, "run", "--config"])
                .arg(sandbox.dir().join(file))
                .env("DATENRAUM_LOG", "info")
                .stdout(Stdio::null())
                .stderr(log)
                .spawn();
            Process(program.unwrap())
        };
        let broker = start("b", "broker", "broker/broker.toml");
        let node = start("n", "node", "nodes/clinic/node.toml");
        Some(Self {
            sandbox,
            _node: node,
            broker,
            networks,
        })
    }

    fn ask(&self, sql: &str) -> Run {
        let asked = program(&self.networks, "c")
            .args(["query", "--purpose", "ehds-53-1-e", "--timeout", "10", "--sandbox"])
            .arg(self.sandbox.dir())
            .arg(sql)
            .output();
        Run(asked.unwrap())
    }

    /// Asks until there is an answer.
    fn answer(&self, sql: &str, within: Duration) -> Run {
        let begun = Instant::now();
        loop {
            let asked = self.ask(sql);
            if asked.code() == 0 {
                return asked;
            }
            assert!(
                begun.elapsed() < within,
                "{}{}{}",
                asked.err(),
                self.log("node"),
                self.log("broker")
            );
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn log(&self, role: &str) -> String {
        fs::read_to_string(self.sandbox.place().join(format!("{role}.log"))).unwrap()
    }

    fn link(&self, state: &str) {
        assert!(ip(&format!("-n {}b link set bn {state}", self.networks.0)));
    }
}

fn program(networks: &Networks, network: &str) -> Command {
    let mut program = Command::new("ip");
    program.args(["netns", "exec", &format!("{}{network}", networks.0)]);
    program.arg(env!("CARGO_BIN_EXE_datenraum"));
    program
}

/// Changes one line of a configuration.
fn set(file: PathBuf, key: &str, value: &str) {
    let text = fs::read_to_string(&file).unwrap();
    let is_it = |line: &&str| line.starts_with(&format!("{key} = "));
    assert_eq!(text.lines().filter(is_it).count(), 1, "{text}");
    let lines = text.lines().map(|line| match is_it(&line) {
        true => format!("{key} = \"{value}\"\n"),
        false => format!("{line}\n"),
    });
    fs::write(file, lines.collect::<String>()).unwrap();
}

/// How often each text is in a process's memory, and how much of that could be read.
fn in_memory(process: u32, texts: &[&str]) -> (Vec<usize>, usize) {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let (mut found, mut all) = (vec![0; texts.len()], 0);
    for line in maps.lines().filter(|line| !line.contains("[v")) {
        let (place, rest) = line.split_once(' ').unwrap();
        let (low, high) = place.split_once('-').unwrap();
        let [low, high] = [low, high].map(|at| u64::from_str_radix(at, 16).unwrap());
        let mut bytes = Vec::new();
        let is_read = rest.starts_with('r')
            && memory.seek(SeekFrom::Start(low)).is_ok()
            && (&mut memory).take(high - low).read_to_end(&mut bytes).is_ok();
        if is_read {
            all += bytes.len();
            for (text, count) in texts.iter().zip(&mut found) {
                *count += memchr::memmem::find_iter(&bytes, text).count();
            }
        }
    }
    (found, all)
}

#[test]
fn nodes_that_can_only_dial_out_are_asked_through_a_broker_that_learns_nothing() {
    let Some(apart) = Apart::new("a") else { return };
    assert!(
        !ip(&format!("-n {}c route get 10.77.1.2", apart.networks.0)),
        "the node can be reached directly"
    );
    let sql = format!("SELECT district, sum(beds) AS beds FROM beds WHERE district = '{CANARY}' GROUP BY district");
    let answer = apart.answer(&sql, BACK_WITHIN);
    assert!(answer.out().contains(CANARY), "{}", answer.out());
    // The names of what the board signed are there, so that what is not found was looked for where it could be.
    let (found, all) = in_memory(apart.broker.0.id(), &["beds-open", CANARY, "sum(beds)"]);
    assert!(all > 1_000_000 && found[0] > 0, "{found:?} in {all} bytes");
    assert_eq!(found[1..], [0, 0]);
}

#[test]
fn a_48_a_connection_that_dies_without_a_word_is_noticed_by_both_ends_and_comes_back() {
    let Some(apart) = Apart::new("h") else { return };
    let sql = "SELECT sum(beds) AS beds FROM beds";
    apart.answer(sql, BACK_WITHIN);
    apart.link("down");
    let begun = Instant::now();
    let noticed = || {
        let lost = apart.log("node").matches("a tunnel to the broker ended").count();
        (lost, apart.log("broker").contains("tunnels=0"))
    };
    while noticed() != (2, true) {
        assert!(
            begun.elapsed() < NOTICED_WITHIN,
            "{}{}",
            apart.log("node"),
            apart.log("broker")
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    // Whoever asks meanwhile is told soon.
    apart.ask(sql).returns(5);
    apart.link("up");
    apart.answer(sql, BACK_WITHIN);
}
