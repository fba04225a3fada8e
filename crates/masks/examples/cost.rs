//! What a masked sum costs one node, beside adding the plain numbers. Everything runs on one thread, without a network.
//!
//! ```sh
//! cargo run --release -p masks --example cost
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement for whoever reads the code"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use masks::{Keyed, Message, Participant, Party, Plan, SumTerms};
use trust::{Digest, SigningKey};

/// Times that each sum is made; the least is shown.
const ROUNDS: usize = 5;

/// What one node does, summed over its steps, what combining takes anybody, and the bytes that one node sends and gets.
struct Cost {
    node: Duration,
    combine: Duration,
    sent: usize,
    got: usize,
}

fn main() {
    println!("nodes entries | one node   combining | plain sum of all | ratio | sent kB  got kB");
    for nodes in [4, 20] {
        for entries in [100, 1_000, 10_000] {
            show(nodes, entries);
        }
    }
}

fn show(nodes: usize, entries: usize) {
    let keys: Vec<Arc<SigningKey>> = (0..nodes).map(|_| Arc::new(SigningKey::generate().unwrap())).collect();
    let values: Vec<Vec<f64>> = (0..nodes).map(|node| vec![node as f64 + 0.25; entries]).collect();
    let costs: Vec<Cost> = (0..ROUNDS).map(|round| sum(&keys, &values, round as u32)).collect();
    let node = costs.iter().map(|cost| cost.node).min().unwrap_or_default();
    let combine = costs.iter().map(|cost| cost.combine).min().unwrap_or_default();
    let plain = (0..ROUNDS).map(|_| plain(&values)).min().unwrap_or_default();
    let ratio = (node + combine).as_secs_f64() / plain.as_secs_f64();
    let (sent, got) = (costs[0].sent as f64 / 1e3, costs[0].got as f64 / 1e3);
    println!(
        "{nodes:5} {entries:7} | {node:9.2?} {combine:11.2?} | {plain:16.2?} | {ratio:5.0} | {sent:7.1} {got:7.1}"
    );
}

fn plain(values: &[Vec<f64>]) -> Duration {
    let begin = Instant::now();
    let mut total = vec![0.0; values[0].len()];
    for vector in values {
        total.iter_mut().zip(vector).for_each(|(total, value)| *total += value);
    }
    std::hint::black_box(&total);
    begin.elapsed()
}

fn sum(keys: &[Arc<SigningKey>], values: &[Vec<f64>], number: u32) -> Cost {
    let member = |place: usize| format!("node-{place:02}").parse().unwrap();
    let roster = keys.iter().enumerate();
    let roster = roster
        .map(|(place, key)| Participant {
            member: member(place),
            key: key.public(),
        })
        .collect();
    let (request, bounds) = (Digest::of(&number.to_le_bytes()), vec![1e6; values[0].len()]);
    let plan = Arc::new(
        Plan::new(SumTerms {
            request,
            roster,
            min_nodes: 3,
            bounds,
        })
        .unwrap(),
    );
    let start =
        |(place, key): (usize, &Arc<SigningKey>)| Party::start(plan.clone(), &member(place), key.clone()).unwrap();
    let (parties, keys, first) = each(keys.iter().enumerate(), start);
    let (parties, shares, second) = each(parties.into_iter(), |party| party.share(keys.clone()).unwrap());
    let mask = |(party, values): (Party<_>, &Vec<f64>)| Party::mask(party, shares.clone(), values).unwrap();
    let (parties, masked, third) = each(parties.into_iter().zip(values), mask);
    let (parties, survivors, fourth) = each(parties.into_iter(), |party| party.attest(masked.clone()).unwrap());
    let (_, openings, fifth) = each(parties.into_iter(), |party| party.open(survivors.clone()).unwrap());
    let shared = Keyed::new(plan, keys.clone()).unwrap().shared(shares.clone()).unwrap();
    let agreed = shared
        .delivered(masked.clone())
        .unwrap()
        .agreed(survivors.clone())
        .unwrap();
    let begin = Instant::now();
    let sum = agreed.combine(openings.clone()).unwrap();
    let combine = begin.elapsed();
    assert_eq!(sum.values[0], values.iter().map(|vector| vector[0]).sum::<f64>());
    let sizes = [
        bytes(&keys),
        bytes(&shares),
        bytes(&masked),
        bytes(&survivors),
        bytes(&openings),
    ];
    let got: usize = sizes.iter().sum();
    Cost {
        node: first + second + third + fourth + fifth,
        combine,
        sent: got / values.len(),
        got,
    }
}

/// Lets every node take a step. What it took the average node is the third.
fn each<P, T, B>(parties: impl Iterator<Item = P>, step: impl Fn(P) -> (T, B)) -> (Vec<T>, Vec<B>, Duration) {
    let begin = Instant::now();
    let (next, messages): (Vec<T>, Vec<B>) = parties.map(step).unzip();
    let nodes = next.len() as u32;
    (next, messages, begin.elapsed() / nodes)
}

fn bytes<B: masks::message::Body>(messages: &[Message<B>]) -> usize {
    messages.iter().map(|message| message.bytes().len()).sum()
}
