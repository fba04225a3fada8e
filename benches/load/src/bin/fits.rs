//! How long a fit takes over the nodes of a sandbox that is up, once connections are open: a line of JSON.
//!
//!     target/release/fits --sandbox DIR --collection heart --formula "disease ~ age" --family binomial --times 20
//!
//! `benches/models.py` runs it beside statsmodels on the pooled rows.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a program for developers"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use federation::{Asker, FitQuestion, Profile};
use models::Fitted;
use terms::SystemClock;

/// Fits a model again and again.
#[derive(Parser)]
struct Args {
    /// The folder of the person who asks: `people/ada` of a sandbox.
    #[arg(long)]
    profile: PathBuf,
    #[arg(long)]
    collection: String,
    #[arg(long)]
    formula: String,
    #[arg(long, default_value = "gaussian")]
    family: String,
    #[arg(long, default_value_t = 20)]
    times: usize,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    let profile = Profile::load(&args.profile).unwrap();
    let asker = Asker::open(profile, Arc::new(SystemClock)).await.unwrap();
    let question = FitQuestion {
        collection: args.collection,
        analysis: "glm".to_owned(),
        options: BTreeMap::from([("formula".to_owned(), args.formula), ("family".to_owned(), args.family)]),
        condition: None,
        nodes: None,
        without_missing: false,
        steps: None,
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        permit: None,
    };
    let mut milliseconds = Vec::new();
    let mut last = None;
    // The first opens connections and reads what is then known.
    for _ in 0..=args.times {
        let began = Instant::now();
        let answer = asker.fit(&question).await.unwrap();
        milliseconds.push(began.elapsed().as_secs_f64() * 1e3);
        last = Some(answer.fitted.expect("a fit"));
    }
    let warm = &mut milliseconds[1..];
    warm.sort_by(f64::total_cmp);
    let Some(Fitted::Glm(fitted)) = last else {
        panic!("not a glm")
    };
    let terms: Vec<_> = fitted
        .terms
        .iter()
        .map(|term| (&term.term, term.estimate, term.std_error))
        .collect();
    let told = serde_json::json!({
        "ms_median": warm[warm.len() / 2],
        "ms_least": warm[0],
        "steps": fitted.steps,
        "n": fitted.n,
        "terms": terms,
    });
    println!("{told}");
}
