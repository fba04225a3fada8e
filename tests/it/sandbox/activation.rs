//! A node or a broker that is killed at any step of putting documents in force: afterwards it works under the old ones or the new ones,
//! never under none, under some of each, or under older ones.
//!
//! The steps are system calls: every sync and every rename is one, and `strace` kills the program as it begins the one that is told.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use node::status::NodeStatus;

use super::apart::{Apart, Reach, Role, STARTS_WITHIN, copy_folder, strace_is_there};
use super::sound::Before;

/// The number of people that a group must have, before and after.
const BEFORE: &str = "min_people = 3";
const AFTER: &str = "min_people = 100";

const STEPS: &str = "trace=fsync,fdatasync,rename,renameat,renameat2,unlink,mkdir";

fn killed_at(step: u64) -> [String; 4] {
    let inject = format!("inject=fsync,fdatasync,rename,renameat,renameat2,unlink,mkdir:signal=KILL:when={step}");
    ["-e".to_owned(), STEPS.to_owned(), "-e".to_owned(), inject]
}

/// A data space whose broker has the second version, and whose node has the first.
struct Between {
    apart: Apart,
    /// What the node had before.
    old: PathBuf,
    /// The node's file without its broker.
    alone: PathBuf,
}

impl Between {
    async fn versions() -> Self {
        let apart = Apart::of(Reach::Directly);
        let data = apart.config().data;
        let old = apart.sandbox.place().join("old");
        let broker = apart.start(Role::Broker);
        let node = apart.start(Role::Node);
        apart.answered();
        assert!(node.stop().success());
        copy_folder(&data, &old);
        publish(&apart, 2, AFTER).await;
        drop(broker);
        let file = apart.file(Role::Node);
        let alone = file.with_file_name("alone.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&alone, text.replace(&apart.broker_address(), "127.0.0.1:1")).unwrap();
        Self { apart, old, alone }
    }

    fn restore(&self) {
        let data = self.apart.config().data;
        fs::remove_dir_all(&data).unwrap();
        copy_folder(&self.old, &data);
    }

    /// Starts the node without its broker: what it has is what it works under. Says which version that is.
    async fn found(&self, step: u64) -> u64 {
        let node = self.apart.start_under(Role::Node, &self.alone, &[]);
        let person = self.apart.person().await;
        let config = self.apart.config();
        let version = NodeStatus::read(&config).unwrap().documents.version;
        let seen = person.ask(super::apart::SQL, None).await;
        assert!(seen.refused.is_none(), "step {step}: {:?}", seen.refused);
        // Sixty people: shown under the first version, fewer than are needed under the second.
        let shows = seen.bytes.windows(8).any(|bytes| bytes == 60_i64.to_le_bytes());
        assert_eq!(
            shows,
            version == 1,
            "step {step}: the rules are not those of version {version}"
        );
        Before::of(node.id(), &config).nothing_lost(Vec::new());
        version
    }
}

async fn publish(apart: &Apart, version: u64, to: &str) {
    apart.listens(&apart.broker_address()).await;
    let connection = apart.config().broker.connect("broker").await.unwrap();
    let next = apart.next_version(version, 2, BEFORE, to);
    wire::publish::documents(&connection, &apart.config().space, &next)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_43_a_node_that_is_killed_at_any_step_of_putting_documents_in_force_has_the_old_or_the_new_ones() {
    if !strace_is_there() {
        return;
    }
    let between = Between::versions().await;
    let apart = &between.apart;
    let _broker = apart.start(Role::Broker);
    apart.listens(&apart.broker_address()).await;
    let (mut step, mut found) = (1, Vec::new());
    loop {
        between.restore();
        let strace = killed_at(step);
        let words: Vec<&str> = strace.iter().map(String::as_str).collect();
        let mut node = apart.start_under(Role::Node, &apart.file(Role::Node), &words);
        let listen = apart.config().listen.unwrap();
        let ended = loop {
            if let Some(ended) = node.ended_within(Duration::from_millis(50)) {
                break Some(ended);
            }
            // It got so far that it serves: all steps were tried.
            if tokio::net::TcpStream::connect(&listen).await.is_ok() {
                break None;
            }
        };
        drop(node);
        let Some(ended) = ended else { break };
        assert_eq!(
            ended.signal(),
            Some(9),
            "step {step}: {ended}: {}",
            apart.log(Role::Node)
        );
        found.push(between.found(step).await);
        step += 1;
    }
    println!("killed at {} steps, found: {found:?}", found.len());
    assert!(
        found.len() >= 5 && found.contains(&1) && found.contains(&2),
        "{found:?}"
    );
    assert!(found.is_sorted(), "a later step left older documents: {found:?}");
    let log = apart.log(Role::Node);
    assert!(!log.contains("panicked"), "{log}");
}

/// How often all steps are gone through until one on either side was met.
const ROUNDS_MAX: u32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_43_a_broker_that_is_killed_at_any_step_of_publishing_has_the_old_or_the_new_documents() {
    if !strace_is_there() {
        return;
    }
    let apart = Apart::of(Reach::Directly);
    let (folder, old) = (
        apart.sandbox.dir().join("broker"),
        apart.sandbox.place().join("old-broker"),
    );
    let data = (apart.config().data, apart.sandbox.place().join("old-data"));
    copy_folder(&folder, &old);
    copy_folder(&data.0, &data.1);
    let (mut step, mut rounds, mut found) = (1, 1, Vec::new());
    loop {
        for (place, kept) in [(&folder, &old), (&data.0, &data.1)] {
            fs::remove_dir_all(place).unwrap();
            copy_folder(kept, place);
        }
        let strace = killed_at(step);
        let words: Vec<&str> = strace.iter().map(String::as_str).collect();
        let mut broker = apart.start(Role::Broker);
        apart.listens(&apart.broker_address()).await;
        // What it says of itself is written at first and every ten seconds, in steps that are not meant here.
        until_there(&folder.join("data/status.json")).await;
        // From now on: each thread counts its own steps, and publishing is the work of one.
        let mut strace = broker.trace(&words);
        let next = apart.next_version(2, 2, BEFORE, AFTER);
        let published = async {
            let connection = apart.config().broker.connect("broker").await?;
            wire::publish::documents(&connection, &apart.config().space, &next).await
        };
        let published = published.await.is_ok();
        let ended = broker.ended_within(Duration::from_millis(300));
        drop(broker);
        strace.wait().unwrap();
        if ended.is_none() {
            assert!(published, "step {step}: {}", apart.log(Role::Broker));
            assert_eq!(found_at(&apart).await, 2);
            // Between the last step that matters and the answer there is one more, which a thread that did other things before may count
            // already: then nobody was killed there.
            if found.contains(&2) || rounds == ROUNDS_MAX {
                break;
            }
            (step, rounds) = (1, rounds + 1);
            continue;
        }
        // A publication that was acknowledged is there.
        let version = found_at(&apart).await;
        assert!(!published || version == 2, "step {step}");
        found.push(version);
        step += 1;
    }
    println!("killed at {} steps, found: {found:?}", found.len());
    assert!(
        found.len() >= 4 && found.contains(&1) && found.contains(&2),
        "{found:?}"
    );
}

async fn until_there(file: &Path) {
    let since = Instant::now();
    while !file.exists() {
        assert!(since.elapsed() < STARTS_WITHIN, "no {}", file.display());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Which version a node gets from the broker as it was left.
async fn found_at(apart: &Apart) -> u64 {
    let _broker = apart.start(Role::Broker);
    apart.listens(&apart.broker_address()).await;
    let node = apart.start(Role::Node);
    let _person = apart.person().await;
    let status = NodeStatus::read(&apart.config()).unwrap();
    assert!(status.problem.is_none() && status.evidence.is_empty(), "{status:?}");
    assert!(node.stop().success());
    status.documents.version
}
