//! Series of sums between nodes that are driven by hand.

use super::*;
use crate::tests::{member, signers};

const WIDTH: usize = 3;

struct Nodes {
    carrier: Carrier,
    hearing: Vec<Hearing>,
    /// What each says in the round that is on its way.
    said: Vec<Vec<u8>>,
}

fn start(nodes: usize) -> Nodes {
    start_of(nodes, nodes)
}

fn start_of(nodes: usize, nodes_min: usize) -> Nodes {
    let signers = signers(nodes);
    let roster = signers.iter().enumerate().map(|(place, key)| Participant {
        member: member(place),
        key: key.public(),
    });
    let plan = plan(Digest::of(b"a fit"), roster.collect(), nodes_min, WIDTH).unwrap();
    let started = signers
        .iter()
        .enumerate()
        .map(|(place, key)| Hearing::start(plan.clone(), member(place), key.clone()).unwrap());
    let (hearing, said) = started.unzip();
    Nodes {
        carrier: Carrier::start(plan),
        hearing,
        said,
    }
}

fn slices(said: &[Vec<u8>]) -> Vec<&[u8]> {
    said.iter().map(Vec::as_slice).collect()
}

/// What the carrier has, what each node has, and all that was said since.
type Sum = (Vec<f64>, Vec<(Ready, Vec<f64>)>, Vec<Vec<Vec<u8>>>);

impl Nodes {
    /// Until first numbers are wanted.
    fn first(self) -> (Carrier, Vec<Ready>) {
        let Self { carrier, hearing, said } = self;
        let (carrier, none) = carrier.hear(&slices(&said)).unwrap();
        assert_eq!(none, None);
        let heard = hearing.into_iter().map(|one| match one.hear(&slices(&said)).unwrap() {
            Heard::Say(hearing, said) => (*hearing, said),
            other => panic!("{other:?}"),
        });
        let (hearing, said): (Vec<Hearing>, Vec<Vec<u8>>) = heard.unzip();
        let (carrier, none) = carrier.hear(&slices(&said)).unwrap();
        assert_eq!(none, None);
        let heard = hearing.into_iter().map(|one| match one.hear(&slices(&said)).unwrap() {
            Heard::First(ready) => *ready,
            other => panic!("{other:?}"),
        });
        (carrier, heard.collect())
    }
}

fn add(ready: Vec<Ready>, numbers: &[Vec<f64>]) -> (Vec<Hearing>, Vec<Vec<u8>>) {
    let said = ready
        .into_iter()
        .zip(numbers)
        .map(|(one, numbers)| one.mask(numbers).unwrap());
    said.unzip()
}

/// One sum, from the numbers of each node.
fn sum(carrier: Carrier, ready: Vec<Ready>, numbers: &[Vec<f64>]) -> Result<(Carrier, Sum), SumError> {
    let (mut carrier, mut said_by_round) = (carrier, Vec::new());
    let (mut hearing, mut said) = add(ready, numbers);
    loop {
        said_by_round.push(said.clone());
        let (next, total) = carrier.hear(&slices(&said))?;
        carrier = next;
        let heard: Vec<Heard> = hearing
            .into_iter()
            .map(|one| one.hear(&slices(&said)))
            .collect::<Result<_, _>>()?;
        (hearing, said) = (Vec::new(), Vec::new());
        let mut sums = Vec::new();
        for one in heard {
            match one {
                Heard::Say(one, bytes) => {
                    hearing.push(*one);
                    said.push(bytes);
                }
                Heard::Sum(ready, sum) => sums.push((*ready, sum)),
                Heard::First(_) => panic!("first numbers in the middle"),
            }
        }
        if let Some(total) = total {
            assert!(hearing.is_empty());
            return Ok((carrier, (total, sums, said_by_round)));
        }
    }
}

#[test]
fn two_nodes_or_too_many_numbers_make_no_series() {
    let roster = |nodes: usize| -> Vec<Participant> {
        let keys = signers(nodes).into_iter().enumerate();
        keys.map(|(place, key)| Participant {
            member: member(place),
            key: key.public(),
        })
        .collect()
    };
    let request = Digest::of(b"a fit");
    assert_eq!(
        plan(request, roster(2), 0, WIDTH),
        Err(PlanError::FewNodes { nodes: 2, needed: 3 })
    );
    assert_eq!(
        plan(request, roster(3), 0, 300_000),
        Err(PlanError::Entries { entries: 600_000 })
    );
    assert_eq!(plan(request, roster(10), 10, WIDTH).unwrap().threshold(), 10);
    assert_eq!(plan(request, roster(10), 0, WIDTH).unwrap().threshold(), 7);
}

#[test]
fn a_node_that_is_left_out_or_falls_silent_ends_the_series() {
    for left_out in 0..4 {
        let Nodes {
            carrier,
            hearing,
            mut said,
        } = start(4);
        said.remove(left_out);
        let few = |error: SumError| matches!(error, SumError::TooFew { .. } | SumError::LeftOut { .. });
        assert!(few(carrier.hear(&slices(&said)).unwrap_err()));
        for one in hearing {
            assert!(few(one.hear(&slices(&said)).unwrap_err()));
        }
        let (carrier, ready) = start(4).first();
        let (hearing, mut said) = add(ready, &vec![vec![1.0]; 4]);
        said.remove(left_out);
        assert!(few(carrier.hear(&slices(&said)).unwrap_err()));
        for one in hearing {
            assert!(few(one.hear(&slices(&said)).unwrap_err()));
        }
    }
}

#[test]
fn a_message_of_another_series_has_no_place_in_this_one() {
    let (_, ready) = start(4).first();
    let (hearing, mut said) = add(ready, &vec![vec![1.0]; 4]);
    let (_, others) = start(4).first();
    let other = add(others, &vec![vec![2.0]; 4]).1;
    said[3].clone_from(&other[3]);
    for one in hearing {
        assert!(one.hear(&slices(&said)).is_err());
    }
}

fn carrier_scales(carrier: &Carrier) -> Vec<crate::Scale> {
    match &carrier.seen {
        Seen::Following(survived) => survived.scales().to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn sums_are_those_of_the_numbers_and_the_same_everywhere() {
    let numbers = |step: usize| -> Vec<Vec<f64>> {
        let number = |node: usize, at: usize| match at {
            0 => 1e12 / (node + step + 1) as f64,
            1 => -1e-13 * (node + 7 * step + 1) as f64 / 3.0,
            _ => (node + step) as f64 / 7.0 - 0.2,
        };
        (0..4)
            .map(|node| (0..WIDTH).map(|at| number(node, at)).collect())
            .collect()
    };
    let (mut carrier, mut ready) = start(4).first();
    for step in 0..3 {
        let numbers = numbers(step);
        let (next, (total, sums, said)) = sum(carrier, ready, &numbers).unwrap();
        carrier = next;
        assert_eq!(said.len(), if step == 0 { 3 } else { 1 }, "rounds of sum {step}");
        for at in 0..WIDTH {
            let plain: f64 = numbers.iter().map(|node| node[at]).sum();
            assert!(
                (total[at] / plain - 1.0).abs() < 1e-15,
                "{at}: {} is not {plain}",
                total[at]
            );
        }
        assert!(sums.iter().all(|(_, sum)| *sum == total));
        // Nothing that was said has the bits of a number, nor of one of its parts, nor of the integer that is masked.
        let scales = carrier_scales(&carrier);
        for of_node in &numbers {
            let entries = in_two(of_node, WIDTH);
            let integers = entries.iter().zip(&scales).enumerate();
            let integers =
                integers.map(|(at, (entry, scale))| scale.encode(*entry, at).unwrap().to_le_bytes().to_vec());
            let floats = of_node
                .iter()
                .chain(&entries)
                .map(|number| number.to_le_bytes().to_vec());
            for bits in integers.chain(floats).filter(|bits| bits.iter().any(|byte| *byte != 0)) {
                let is_said = |bytes: &Vec<u8>| bytes.windows(bits.len()).any(|window| window == bits);
                assert!(!said.iter().flatten().any(is_said));
            }
        }
        ready = sums.into_iter().map(|(ready, _)| ready).collect();
    }
}

#[test]
fn what_cannot_be_added_spoils_the_sum_and_names_nobody() {
    for bad in [f64::NAN, f64::INFINITY, -NUMBER_MAX * 2.0] {
        let mut numbers = vec![vec![1.0, 2.0]; 4];
        numbers[2][1] = bad;
        let (carrier, ready) = start(4).first();
        let error = sum(carrier, ready, &numbers).map(|_| ()).unwrap_err();
        assert!(matches!(error, SumError::Nonsense { .. }), "{error}");
        let (carrier, ready) = second(4);
        let error = sum(carrier, ready, &numbers).map(|_| ()).unwrap_err();
        assert!(matches!(error, SumError::Nonsense { .. }), "{error}");
    }
}

/// After the first sum.
fn second(nodes: usize) -> (Carrier, Vec<Ready>) {
    let (carrier, ready) = start(nodes).first();
    let (carrier, (_, sums, _)) = sum(carrier, ready, &vec![vec![1.0]; nodes]).unwrap();
    (carrier, sums.into_iter().map(|(ready, _)| ready).collect())
}

#[test]
fn who_computed_from_another_sum_is_in_none() {
    let (carrier, mut ready) = second(3);
    ready[1].me.basis = Digest::of(b"another");
    let (hearing, said) = add(ready, &vec![vec![1.0]; 3]);
    let noise = |error: SumError| matches!(error, SumError::Nonsense { .. });
    assert!(noise(carrier.hear(&slices(&said)).unwrap_err()));
    for one in hearing {
        assert!(noise(one.hear(&slices(&said)).unwrap_err()));
    }
}

#[test]
fn a_node_that_falls_silent_after_the_first_sum_ends_the_series() {
    let (carrier, ready) = second(4);
    let (hearing, mut said) = add(ready, &vec![vec![1.0]; 4]);
    said.remove(2);
    let few = |error: SumError| {
        matches!(
            error,
            SumError::TooFew {
                nodes: 3,
                needed: 4,
                ..
            }
        )
    };
    assert!(few(carrier.hear(&slices(&said)).unwrap_err()));
    for one in hearing {
        assert!(few(one.hear(&slices(&said)).unwrap_err()));
    }
}

/// Three sums of four nodes, of which three are enough; `gone` says nothing from a round on.
fn sums_without(gone: usize, from: Stage) -> Result<Vec<Vec<f64>>, SumError> {
    let Nodes {
        mut carrier,
        hearing,
        said,
    } = start_of(4, 0);
    let nodes = hearing.into_iter().zip(said).enumerate();
    let mut nodes: Vec<(usize, Hearing, Vec<u8>)> = nodes.map(|(place, (one, said))| (place, one, said)).collect();
    let mut sums = Vec::new();
    while sums.len() < 3 {
        let stage = carrier.stage();
        let all = nodes.len();
        nodes.retain(|(place, ..)| *place != gone || stage < from);
        let may_lack = carrier.may_lack(nodes.len());
        let said: Vec<Vec<u8>> = nodes.iter().map(|(_, _, said)| said.clone()).collect();
        let mut heard = Vec::new();
        for (place, one, _) in nodes {
            assert_eq!(
                (one.stage(), one.may_lack()),
                (stage, may_lack),
                "node {place} is where the carrier is"
            );
            heard.push(one.hear(&slices(&said)).map(|heard| (place, heard)));
        }
        let (next, total) = match carrier.hear(&slices(&said)) {
            Ok(next) => next,
            Err(error) => {
                assert!(!may_lack && said.len() < all);
                assert!(
                    heard.iter().all(|heard| heard.as_ref().err() == Some(&error)),
                    "{error}"
                );
                return Err(error);
            }
        };
        carrier = next;
        sums.extend(total);
        let spoken = heard.into_iter().map(|heard| {
            let (place, heard) = heard?;
            let (one, said) = match heard {
                Heard::Say(one, said) => (*one, said),
                Heard::First(ready) | Heard::Sum(ready, _) => ready.mask(&[place as f64 + 0.25])?,
            };
            Ok((place, one, said))
        });
        nodes = spoken.collect::<Result<_, SumError>>()?;
    }
    Ok(sums)
}

#[test]
fn who_falls_silent_before_it_is_signed_is_in_no_sum_and_who_does_later_ends_all() {
    for gone in 0..4 {
        let sum: f64 = (0..4)
            .filter(|place| *place != gone)
            .map(|place| place as f64 + 0.25)
            .sum();
        for from in [Stage::Keys, Stage::Shares, Stage::Masked] {
            assert_eq!(sums_without(gone, from), Ok(vec![vec![sum, 0.0, 0.0]; 3]), "{from}");
        }
        for from in [Stage::Survivors, Stage::Opening, Stage::Following] {
            let few = SumError::TooFew {
                stage: from,
                nodes: 3,
                needed: 4,
                missing: Vec::new(),
            };
            assert_eq!(sums_without(gone, from), Err(few));
        }
    }
}

/// Each list of survivors has all its signatures or opens nothing, so that whoever opens knows that all on it have signed.
#[test]
fn one_signature_fewer_than_survivors_opens_nothing_though_it_is_as_many_as_the_threshold() {
    let Nodes {
        mut hearing, mut said, ..
    } = start_of(4, 0);
    for _ in 0..3 {
        let all = slices(&said);
        let heard = hearing.into_iter().map(|one| match one.hear(&all).unwrap() {
            Heard::Say(one, said) => (*one, said),
            Heard::First(ready) => ready.mask(&[1.0]).unwrap(),
            Heard::Sum(..) => panic!("a sum before anybody has signed"),
        });
        let next: (Vec<Hearing>, Vec<Vec<u8>>) = heard.unzip();
        (hearing, said) = next;
    }
    for one in hearing {
        assert_eq!(one.stage(), Stage::Survivors);
        let error = one.hear(&slices(&said)[..3]).unwrap_err();
        assert!(
            matches!(
                error,
                SumError::TooFew {
                    nodes: 3,
                    needed: 4,
                    ..
                }
            ),
            "{error}"
        );
    }
}
