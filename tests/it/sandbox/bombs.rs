//! Questions that are allowed and cost more than a node gives, and many that nobody waits for: the node goes on.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use node::audit;
use node::ledger::Outcome;

use super::kill::Process;
use super::raw::{Person, ticket};
use super::sound::Before;
use super::{Sandbox, datenraum};

const SPEC: &str = r#"
space       = "town"
board       = { members = 3, threshold = 2 }
collections = ["collections/meters.toml"]
policies    = ["policies/meters-open.toml"]

[[node]]
id       = "works"
roles    = ["municipality"]
datasets = [{ collection = "meters", path = "meters.csv" }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]
"#;

const COLLECTION: &str = r#"
id = "meters"
title = "Meters"
personal = false
[columns.meter]
type = "integer"
role = ["group"]
[columns.reading]
type = "integer"
role = ["measure"]
"#;

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
release = "aggregates"
columns = ["meter", "reading"]
disclosure = { tier = "open" }
"#;

/// More groups than a node counts.
const METERS: usize = 200_000;

const BOMB: &str = "SELECT meter, sum(reading) AS n FROM meters GROUP BY meter";
const SMALL: &str = "SELECT count(*) AS n FROM meters";

/// Most memory that the node may have at its peak, in kilobytes: a query's pool and what the program needs itself.
const PEAK_KILOBYTES_MAX: u64 = 1_500_000;

/// A node in a process of its own, with more meters than it counts.
struct Works {
    sandbox: Sandbox,
    process: Process,
    config: PathBuf,
}

impl Works {
    async fn new() -> Self {
        let mut data = "meter,reading\n".to_owned();
        for meter in 0..METERS {
            let _ = writeln!(data, "{meter},{}", meter % 100);
        }
        let (sandbox, run) = Sandbox::of(&[
            ("spec.toml", SPEC),
            ("collections/meters.toml", COLLECTION),
            ("policies/meters-open.toml", POLICY),
            ("meters.csv", &data),
        ]);
        run.returns(0);
        let dir = sandbox.dir();
        datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", "works"]).returns(0);
        let config = dir.join("nodes/works/node.toml");
        let process = Process::start(&config);
        let address = node::Config::load(&config).unwrap().listen.unwrap();
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(&address).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the node does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self {
            sandbox,
            process,
            config,
        }
    }

    fn before(&self) -> Before {
        Before::of(self.process.id(), &node::Config::load(&self.config).unwrap())
    }

    async fn ada(&self) -> Person {
        Person::of(&self.sandbox, "ada", "works").await
    }

    /// How many queries ended in this way.
    fn ended(&self, outcome: Outcome) -> usize {
        let config = node::Config::load(&self.config).unwrap();
        let entries = audit::entries(&config.ledger_file()).unwrap();
        entries.iter().filter(|entry| entry.outcome == outcome).count()
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(Path::new("/proc").join(self.process.id().to_string()).join(file)).unwrap()
    }

    fn peak_kilobytes(&self) -> u64 {
        let status = self.proc("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Processor time so far, user and system, in hundredths of a second as Linux counts it.
    fn ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_28_questions_beyond_the_limits_end_and_small_ones_beside_them_are_answered() {
    let works = Works::new().await;
    let before = works.before();
    let ada = works.ada().await;
    let bombs = futures::future::join_all((0..12).map(|_| ada.ask(BOMB, None)));
    let small = async {
        let mut answered = 0;
        for _ in 0..12 {
            let seen = ada.ask(SMALL, None).await;
            assert!(seen.refused.is_none(), "{:?}", seen.refused);
            answered += 1;
        }
        answered
    };
    let (bombs, answered) = futures::join!(bombs, small);
    assert_eq!(answered, 12);
    for seen in bombs {
        let refused = seen.refused.expect("more groups than the limit");
        assert!(
            refused.message().contains("the node could not finish the query"),
            "{refused:?}"
        );
    }
    assert_eq!(works.ended(Outcome::Failed), 12);
    let peak = works.peak_kilobytes();
    assert!(peak < PEAK_KILOBYTES_MAX, "{peak} kB");
    before.nothing_lost(Vec::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_29_a_hundred_questions_that_nobody_waits_for_leave_the_node_idle() {
    let works = Works::new().await;
    let idle = works.before();
    // Ten connections: HTTP/2 gives up one that is reset too often in a row.
    let connections = futures::future::join_all((0..10).map(|_| works.ada())).await;
    let ask_and_leave = |at: usize| {
        let ada = &connections[at % connections.len()];
        async move {
            let mut flight = ada.flight();
            let call = flight.do_get(ada.request(ticket(BOMB), BOMB, None));
            let patience = Duration::from_millis(40 + at as u64 % 60);
            tokio::time::timeout(patience, call).await.is_err()
        }
    };
    let left = futures::future::join_all((0..100).map(ask_and_leave)).await;
    let left = left.into_iter().filter(|left| *left).count();
    assert!(left > 50, "only {left} left before they were answered");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = works.ticks();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let busy = works.ticks() - before;
    assert!(busy < 30, "{busy} hundredths of a second in one second");
    let seen = works.ada().await.ask(SMALL, None).await;
    assert!(seen.refused.is_none(), "{:?}", seen.refused);
    assert!(works.ended(Outcome::Abandoned) > 0, "none is recorded as given up");
    drop(connections);
    idle.nothing_lost(Vec::new());
}
