//! Whether the pooled answer is that of one DataFusion over all rows in one table.
//!
//! Random tables, split at random over nodes, and random questions: what a node does runs without a network (`nodes.rs`: read, decide,
//! enforce, execute, release), pooling and the rest of the query as in [`crate::ask`]. Next: `tables.rs` and `queries.rs` (what is
//! asked), `reference.rs` (the one table), `compare.rs` (what counts as the same).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests say what they expect by failing"
)]

mod compare;
mod named;
mod nodes;
mod oracles;
mod pairs;
mod people;
mod quantiles;
mod queries;
mod random;
mod reference;
mod tables;

use std::fmt::Write as _;

use nodes::Nodes;
use random::Random;
use reference::Reference;
use tables::Tables;

/// Queries that are asked if `DATENRAUM_DIFFERENTIAL` does not say how many: about a minute on two processors. All of 2,000
/// were the same.
const QUERIES: u64 = 500;

/// Queries that are asked of one set of tables.
const QUERIES_A_TABLE: u64 = 40;

/// Where the numbers of cases begin; `DATENRAUM_DIFFERENTIAL_FROM` repeats from another.
const FROM: u64 = 0;

fn from_environment(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(otherwise, |text| text.parse().expect("a number of cases"))
}

/// Case n asks query n of the tables n / [`QUERIES_A_TABLE`]: each can be asked again alone.
#[tokio::test(flavor = "multi_thread")]
async fn random_questions_have_the_answer_of_one_table() {
    let first = from_environment("DATENRAUM_DIFFERENTIAL_FROM", FROM);
    let until = first + from_environment("DATENRAUM_DIFFERENTIAL", QUERIES);
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let sets = (first / QUERIES_A_TABLE)..until.div_ceil(QUERIES_A_TABLE);
    let worker = |worker: u64| {
        let sets = sets.clone().filter(move |set| set % processors == worker);
        tokio::spawn(async move {
            let mut wrong = Vec::new();
            for set in sets {
                let cases = (set * QUERIES_A_TABLE).max(first)..((set + 1) * QUERIES_A_TABLE).min(until);
                wrong.extend(differences(set, cases).await);
            }
            wrong
        })
    };
    let workers: Vec<_> = (0..processors).map(worker).collect();
    let mut all = String::new();
    for worker in workers {
        for (case, sql, difference) in worker.await.unwrap() {
            let _ = writeln!(
                all,
                "\ncase {case} (DATENRAUM_DIFFERENTIAL_FROM={case} DATENRAUM_DIFFERENTIAL=1)\n  {sql}\n  {difference}"
            );
        }
    }
    assert!(all.is_empty(), "{all}");
}

async fn differences(set: u64, cases: std::ops::Range<u64>) -> Vec<(u64, String, String)> {
    let tables = Tables::random(&mut Random::of(set));
    let nodes = Nodes::hold(&tables);
    let reference = Reference::of(&tables);
    let mut wrong = Vec::new();
    for case in cases {
        let question = queries::question(&mut Random::of(case.wrapping_add(1 << 40)), &tables);
        let expected = reference.answer(&question.sql).await;
        let given = nodes.ask(&question.sql).await;
        if let Err(difference) = compare::same(&question, given, expected) {
            wrong.push((case, question.sql, difference));
        }
    }
    wrong
}
