//! A soak: several people ask several nodes all kinds of questions through tunnels for a stated time, every answer is held against the
//! known right one, and it is written down over time what that costs.
//!
//!     cargo build --workspace --release --bin datenraum --bin load
//!     target/release/load --minutes 20 --svg docs/soak.svg
//!
//! Broker and nodes are processes of their own, run by the program beside this one, with ledgers on disk; nodes listen nowhere. This
//! process is all the people. Data are generated; everything is on loopback and is removed at the end, unless `--dir` says where it is to
//! stay.
//!
//! Exit code 0: every answer was right, nothing failed that should not, and memory and descriptors were flat. 1: an answer was wrong or
//! missing, or a process ended. 2: everything was right, but something grew.
//!
//! Reading order: [`space`] (the data space and its processes), [`questions`] (what is asked and what is right), [`people`] (who asks),
//! [`watch`] (what it costs over time), [`verdict`] (whether that is flat), [`curve`] (the same drawn).
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a program for developers"
)]

mod curve;
mod people;
mod questions;
mod space;
mod verdict;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use crate::people::Tally;
use crate::questions::Questions;
use crate::space::Space;

/// Asks a data space of its own for a while and checks every answer.
#[derive(Parser)]
struct Args {
    /// How long it is asked, in minutes.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// How often a line is printed, in seconds.
    #[arg(long, default_value_t = 5)]
    every: u64,
    /// How many nodes there are.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    nodes: u16,
    /// How many people ask at the same time; one more asks for what is forbidden.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    people: u16,
    /// How long a person thinks after each answer, in milliseconds.
    #[arg(long, default_value_t = 50)]
    pause: u64,
    /// Rows at each node.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(10_000..=5_000_000))]
    rows: u32,
    /// The folder for the data space; if none is named, one that is removed at the end.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// A file for the curve.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// The program to try; if none is named, the one beside this one.
    #[arg(long)]
    program: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let temporary = tempfile::tempdir().unwrap();
    let folder = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let space = Space::start(&folder, &args).await;
    println!("{}", space.words());
    let questions = Arc::new(Questions::about(&space.data));
    let tally = Arc::new(Tally::default());
    let asking = people::ask(&space, &questions, &tally, Duration::from_millis(args.pause)).await;
    let seconds = Duration::from_secs_f64(args.minutes * 60.0);
    let samples = watch::watch(&space, &tally, seconds, Duration::from_secs(args.every.max(1))).await;
    asking.end().await;

    let whole = tally.whole();
    println!("\n{}", whole.table());
    let verdict = verdict::of(&samples);
    println!("{}", verdict.table());
    if let Some(file) = &args.svg {
        std::fs::write(file, curve::svg(&samples)).unwrap();
        println!("the curve is in {}", file.display());
    }
    println!("{}", curve::text(&samples));
    let alive = space.all_alive();
    let right = whole.is_right() && alive;
    println!(
        "verdict: {}, {}",
        match (right, alive) {
            (true, _) => "every answer was right",
            (false, true) => "NOT every answer was right",
            (false, false) => "A PROCESS ENDED",
        },
        verdict.words()
    );
    match (right, verdict.is_flat()) {
        (false, _) => ExitCode::from(1),
        (true, false) => ExitCode::from(2),
        (true, true) => ExitCode::SUCCESS,
    }
}
