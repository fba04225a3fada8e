//! What it costs while it goes on: throughput and times, memory and descriptors of every process, the size of the ledgers.

use std::time::{Duration, Instant};

use crate::people::{Tally, milliseconds, percentile};
use crate::space::Space;

/// How it was at one moment, and since the moment before.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Since the beginning.
    pub(crate) at: Duration,
    /// Answers a second since the last sample.
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Broker, nodes and client, in this order.
    pub(crate) processes: Vec<Costs>,
    pub(crate) ledger_bytes: u64,
}

/// What one process holds.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    pub(crate) name: String,
    pub(crate) resident_bytes: u64,
    pub(crate) descriptors: u64,
}

impl Costs {
    fn of(name: &str, process: &str) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
        let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
        Self {
            name: name.to_owned(),
            resident_bytes: kilobytes.unwrap_or(0) * 1024,
            descriptors: descriptors as u64,
        }
    }
}

/// Prints a line every so often until the time is over.
pub(crate) async fn watch(space: &Space, tally: &Tally, whole: Duration, every: Duration) -> Vec<Sample> {
    println!(
        "\n| s | answers/s | p50 | p95 | p99 | wrong or missing | memory of broker, nodes, client in MB | descriptors | ledgers |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let (began, mut samples, mut last) = (Instant::now(), Vec::new(), Instant::now());
    while began.elapsed() < whole {
        tokio::time::sleep(every.min(whole.saturating_sub(began.elapsed()))).await;
        let lately = tally.lately();
        let sample = Sample {
            at: began.elapsed(),
            per_second: lately.times.len() as f64 / last.elapsed().as_secs_f64(),
            p50: percentile(&lately.times, 0.5),
            p99: percentile(&lately.times, 0.99),
            processes: costs(space),
            ledger_bytes: space.ledger_bytes(),
        };
        last = Instant::now();
        let of_all = |what: fn(&Costs) -> u64| -> String {
            let all: Vec<String> = sample.processes.iter().map(|costs| what(costs).to_string()).collect();
            all.join(" ")
        };
        let errors: Vec<String> = lately
            .errors
            .iter()
            .map(|(code, times)| format!("{times} {code}"))
            .collect();
        println!(
            "| {:.0} | {:.1} | {} | {} | {} | {} | {} | {} | {:.1} MB |",
            sample.at.as_secs_f64(),
            sample.per_second,
            milliseconds(sample.p50),
            milliseconds(percentile(&lately.times, 0.95)),
            milliseconds(sample.p99),
            if errors.is_empty() {
                "0".to_owned()
            } else {
                errors.join(", ")
            },
            of_all(|costs| costs.resident_bytes >> 20),
            of_all(|costs| costs.descriptors),
            sample.ledger_bytes as f64 / 1e6
        );
        samples.push(sample);
    }
    samples
}

fn costs(space: &Space) -> Vec<Costs> {
    let nodes = space.nodes.iter();
    let others = std::iter::once(&space.broker).chain(nodes);
    let others = others.map(|process| Costs::of(&process.name, &process.id().to_string()));
    others.chain([Costs::of("client", "self")]).collect()
}
