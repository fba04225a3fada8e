//! What a masked sum, and one that follows it, cost one node, beside adding the plain numbers. Everything runs on one thread, without a network.
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

use masks::series::{self, Heard, Hearing, Ready};
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
    println!("nodes entries | one node   combining | following | plain sum of all | sent kB  got kB | following");
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
    let (sent, got) = (costs[0].sent as f64 / 1e3, costs[0].got as f64 / 1e3);
    let following = (0..ROUNDS).map(|_| following(&keys, &values)).min().unwrap_or_default();
    let got_following = (nodes * entries * 16) as f64 / 1e3;
    println!(
        "{nodes:5} {entries:7} | {node:9.2?} {combine:11.2?} | {following:9.2?} | {plain:16.2?} | {sent:7.1} {got:7.1} | {got_following:7.1}"
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

/// What a sum takes one node that follows a first one: masking its numbers, and adding up what all said. Each number is two entries there.
fn following(keys: &[Arc<SigningKey>], values: &[Vec<f64>]) -> Duration {
    let member = |place: usize| format!("node-{place:02}").parse().unwrap();
    let participant = |(place, key): (usize, &Arc<SigningKey>)| Participant {
        member: member(place),
        key: key.public(),
    };
    let (roster, width) = (keys.iter().enumerate().map(participant).collect(), values[0].len() / 2);
    let plan = series::plan(Digest::of(b"a request"), roster, 0, width).unwrap();
    let start =
        |(place, key): (usize, &Arc<SigningKey>)| Hearing::start(plan.clone(), member(place), key.clone()).unwrap();
    let (mut hearing, mut said): (Vec<Hearing>, Vec<Vec<u8>>) = keys.iter().enumerate().map(start).unzip();
    loop {
        let all: Vec<&[u8]> = said.iter().map(Vec::as_slice).collect();
        let heard: Vec<Heard> = hearing.into_iter().map(|one| one.hear(&all).unwrap()).collect();
        let mut ready = Vec::new();
        let mut next = (Vec::new(), Vec::new());
        for (one, values) in heard.into_iter().zip(values) {
            let (one, bytes) = match one {
                Heard::Say(one, bytes) => (*one, bytes),
                Heard::First(ready) => ready.mask(&values[..width]).unwrap(),
                Heard::Sum(one, _) => {
                    ready.push(*one);
                    continue;
                }
            };
            next.0.push(one);
            next.1.push(bytes);
        }
        (hearing, said) = next;
        if !ready.is_empty() {
            let mask = |(one, values): (Ready, &Vec<f64>)| one.mask(&values[..width]).unwrap();
            let (hearing, said, masking) = each(ready.into_iter().zip(values), mask);
            let all: Vec<&[u8]> = said.iter().map(Vec::as_slice).collect();
            let (_, _, adding) = each(hearing.into_iter(), |one: Hearing| (one.hear(&all).unwrap(), ()));
            return masking + adding;
        }
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
