//! How long a decision takes, how long verifying and compiling a data space takes, and how much memory its rules need.
//!
//! `cargo bench -p policy` prints each figure, and the ratio to the smallest data space where there is one. A decision
//! is to take a microsecond or two, whatever else the data space holds.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that only measures")]

#[path = "decide/signed.rs"]
mod signed;
#[path = "decide/space.rs"]
mod space;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use policy::{AccessRequest, Decision, Rules, decide};
use trust::Digest;

use crate::signed::Signed;
use crate::space::{COLLECTIONS, Spread, files, request};

/// How long each figure is measured at least.
const SECONDS: Duration = Duration::from_millis(500);

/// Documents of the space that is verified and compiled.
const DOCUMENTS: usize = 1_000;

/// The sizes of a space, in policies.
const POLICIES: [usize; 3] = [1, 100, 10_000];

const SPREADS: [(&str, Spread); 3] = [
    ("spread over collections", Spread::Collections),
    ("on one collection, each for another institution", Spread::Assignees),
    (
        "on one collection and for one role, one for the purpose",
        Spread::Purposes,
    ),
];

/// With the number of a spread and of policies it says only how much memory the rules take: in a process of their own,
/// as memory that was freed before would be used again unseen.
fn main() {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    match numbers[..] {
        [spread, policies] => println!("{}", memory_of_rules(policies, SPREADS[spread].1)),
        [documents] => println!("{}", memory_of_documents(documents)),
        _ => measure(),
    }
}

fn measure() {
    println!("{:<72} {:>9} {:>6} {:>10}", "decide", "ns", "ratio", "memory KiB");
    for (number, (what, spread)) in SPREADS.into_iter().enumerate() {
        let mut smallest = None;
        for policies in POLICIES {
            let rules = Rules::compile_files(1, Digest::of(b"bench"), &files(policies, spread)).unwrap();
            let nanoseconds = time(&rules, &request(), true);
            let ratio = nanoseconds / *smallest.get_or_insert(nanoseconds);
            let memory = in_own_process(&[number, policies]);
            println!(
                "{:<72} {nanoseconds:>9.0} {ratio:>6.2} {memory:>10}",
                format!("allow, policies: {policies}, {what}")
            );
            let other = AccessRequest {
                purpose: Some("ehds-53-1-f".parse().unwrap()),
                ..request()
            };
            println!(
                "{:<72} {:>9.0}",
                "refuse and say what is nearest",
                time(&rules, &other, false)
            );
        }
    }
    let signed = Signed::new(&files_of_space(DOCUMENTS));
    let start = Instant::now();
    let documents = signed.verify();
    let verified = start.elapsed();
    let rules = Rules::compile(&documents).unwrap();
    let compiled = start.elapsed() - verified;
    let memory = in_own_process(&[DOCUMENTS]);
    println!(
        "\na space of {} documents, {} of them policies",
        documents.files.len(),
        rules.policies().count()
    );
    println!("verify and store durably: {verified:.1?}; compile: {compiled:.1?}; memory of both: {memory} KiB");
}

fn files_of_space(documents: usize) -> BTreeMap<String, Vec<u8>> {
    files(documents - COLLECTIONS - 2, Spread::Collections)
}

fn memory_of_rules(policies: usize, spread: Spread) -> u64 {
    let files = files(policies, spread);
    let before = resident_kib();
    let rules = Rules::compile_files(1, Digest::of(b"bench"), &files).unwrap();
    let after = resident_kib();
    black_box(rules);
    after.saturating_sub(before)
}

fn memory_of_documents(documents: usize) -> u64 {
    let signed = Signed::new(&files_of_space(documents));
    let before = resident_kib();
    let documents = signed.verify();
    let rules = Rules::compile(&documents).unwrap();
    let after = resident_kib();
    black_box((documents, rules));
    after.saturating_sub(before)
}

fn in_own_process(numbers: &[usize]) -> String {
    let program = std::env::current_exe().unwrap();
    let numbers = numbers.iter().map(ToString::to_string);
    let output = Command::new(program).args(numbers).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Nanoseconds of one decision, after making sure that it is the one meant.
fn time(rules: &Rules, request: &AccessRequest, allowed: bool) -> f64 {
    assert_eq!(matches!(decide(rules, request), Decision::Allow(_)), allowed);
    let start = Instant::now();
    let mut decisions = 0_u32;
    while start.elapsed() < SECONDS {
        for _ in 0..16 {
            black_box(decide(black_box(rules), black_box(request)));
        }
        decisions += 16;
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(decisions)
}

/// What the process holds in memory now; nothing where the system does not say.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
