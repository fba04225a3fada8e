//! What a broker needs for many tunnels, and how soon they are back after it was killed; what node and broker need when nobody asks, and
//! how soon they are up.
//!
//! Run: `cargo build --workspace --release --bin datenraum`, then `cargo bench --workspace --bench tunnels [-- NODES]`. Each node holds two
//! tunnels. The broker is a process of its own; the nodes are in this one, real ones with ledgers and TLS.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program that measures, and stops if it cannot"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use node::{Config, Node};
use terms::SystemClock;
use tokio_util::sync::CancellationToken;

/// How long all tunnels may take to come, and to come back.
const PATIENCE: Duration = Duration::from_secs(120);

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(target, PathBuf::from);
    target.join("release/datenraum")
}

fn run(words: &[&str]) -> Killed {
    let mut command = Command::new(program());
    command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
    Killed(command.spawn().unwrap())
}

/// Resident memory of a process, in kB.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Founds a data space of so many nodes that listen nowhere.
fn found(place: &Path, nodes: usize) -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap();
    let mut spec = format!(
        "space = \"many\"\nboard = {{ members = 1, threshold = 1 }}\ncollections = [{:?}]\npolicies = [{:?}]\n",
        project.join("examples/own/collections/stays.toml"),
        project.join("examples/own/policies/stays-statistics.toml")
    );
    std::fs::write(place.join("stays.csv"), "patient_id,ward,days\np1,surgery,3\n").unwrap();
    for number in 0..nodes {
        let datasets = "[{ collection = \"stays\", path = \"stays.csv\" }]";
        write!(
            spec,
            "\n[[node]]\nid = \"clinic-{number:04}\"\nroles = [\"hospital\"]\nreach = \"broker\"\ndatasets = {datasets}\n"
        )
        .unwrap();
    }
    let file = place.join("spec.toml");
    std::fs::write(&file, spec).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let dir = place.join("space");
    let made = Command::new(program())
        .args([
            "sandbox",
            "found",
            file.to_str().unwrap(),
            "--dir",
            dir.to_str().unwrap(),
        ])
        .args(["--broker", &format!("127.0.0.1:{port}")])
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let broker = dir.join("broker/broker.toml");
    let text = std::fs::read_to_string(&broker)
        .unwrap()
        .replace("0.0.0.0", "127.0.0.1");
    std::fs::write(broker, text).unwrap();
    dir
}

/// Tunnels that the broker's metrics count.
fn tunnels(metrics: &str) -> Option<usize> {
    use std::io::{Read as _, Write as _};
    let mut tcp = std::net::TcpStream::connect(metrics).ok()?;
    tcp.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .ok()?;
    let mut page = String::new();
    tcp.read_to_string(&mut page).ok()?;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("datenraum_tunnels_open "))?;
    line.trim().parse::<f64>().ok().map(|count| count as usize)
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} took longer than {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    began.elapsed()
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let nodes: usize = words.first().map_or(250, |word| word.parse().unwrap());
    let place = tempfile::tempdir().unwrap();
    let dir = found(place.path(), nodes);
    let broker_config = dir.join("broker/broker.toml");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let metrics = port.to_string();
    let text = std::fs::read_to_string(&broker_config).unwrap();
    std::fs::write(&broker_config, format!("{text}\n[metrics]\nlisten = \"{metrics}\"\n")).unwrap();
    let start = || run(&["broker", "run", "--config", broker_config.to_str().unwrap()]);

    let broker = start();
    let up = until("the broker's start", || tunnels(&metrics).is_some()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = memory(broker.0.id());
    println!(
        "broker: up after {} ms, {:.1} MB without tunnels",
        up.as_millis(),
        idle as f64 / 1024.0
    );

    let one = dir.join("nodes/clinic-0000/node.toml");
    let alone = run(&["node", "run", "--config", one.to_str().unwrap()]);
    let up = until("the node's start", || tunnels(&metrics) == Some(2)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!(
        "node: up with two tunnels after {} ms, {:.1} MB idle",
        up.as_millis(),
        memory(alone.0.id()) as f64 / 1024.0
    );
    drop(alone);
    until("the end of its tunnels", || tunnels(&metrics) == Some(0)).await;

    let before = memory(broker.0.id());
    let stop = CancellationToken::new();
    let mut serving = tokio::task::JoinSet::new();
    for number in 0..nodes {
        let file = dir.join(format!("nodes/clinic-{number:04}/node.toml"));
        let node = Box::pin(Node::open(Config::load(&file).unwrap(), Arc::new(SystemClock)))
            .await
            .unwrap();
        let stop = stop.clone();
        serving.spawn(async move { Box::pin(node.serve(None, stop)).await });
    }
    let wanted = 2 * nodes;
    until("the tunnels", || tunnels(&metrics) == Some(wanted)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let with = memory(broker.0.id());
    println!(
        "{wanted} tunnels: broker {:.1} MB, {:.1} kB a tunnel",
        with as f64 / 1024.0,
        with.saturating_sub(before) as f64 / wanted as f64
    );
    drop(broker);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let broker = start();
    let back = until("their return", || tunnels(&metrics) == Some(wanted)).await;
    println!(
        "all {wanted} back {:.1} s after the broker's start; it was away for 5 s",
        back.as_secs_f64()
    );
    stop.cancel();
    while serving.join_next().await.is_some() {}
    drop(broker);
}
