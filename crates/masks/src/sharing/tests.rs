use super::*;

fn secret() -> Secret {
    Secret::new(std::array::from_fn(|place| place as u8))
}

fn held(shares: &[Secret], seats: &[u8]) -> Vec<(Seat, Secret)> {
    seats
        .iter()
        .map(|seat| (Seat(*seat), shares[usize::from(*seat)].clone()))
        .collect()
}

#[test]
fn fewer_shares_than_the_threshold_or_a_changed_one_give_another_secret() {
    let shares = split(&secret(), 3, 5).unwrap();
    assert_ne!(join(&held(&shares, &[0, 1])).unwrap(), secret());
    let mut changed = held(&shares, &[0, 1, 2]);
    changed[1].1[7] ^= 1;
    assert_ne!(join(&changed).unwrap(), secret());
    // The share of one seat given out as that of another.
    changed = held(&shares, &[0, 1, 2]);
    changed[2].0 = Seat(3);
    assert_ne!(join(&changed).unwrap(), secret());
}

#[test]
fn one_share_twice_no_share_and_thresholds_that_share_nothing_are_refused() {
    let shares = split(&secret(), 3, 5).unwrap();
    assert_eq!(join(&held(&shares, &[0, 1, 1])), Err(Refused));
    assert_eq!(join(&[]), Err(Refused));
    assert_eq!(split(&secret(), 1, 5), Err(Refused));
    assert_eq!(split(&secret(), 6, 5), Err(Refused));
}

#[test]
fn any_three_of_five_give_the_secret_back() {
    let shares = split(&secret(), 3, 5).unwrap();
    for seats in [[0, 1, 2], [4, 2, 0], [1, 3, 4], [2, 3, 4]] {
        assert_eq!(join(&held(&shares, &seats)).unwrap(), secret());
    }
}

#[test]
fn the_largest_roster_can_share() {
    let nodes = terms::limit::MASKED_SUM_NODES_MAX;
    let shares = split(&secret(), 67, nodes).unwrap();
    let seats: Vec<u8> = (33..100).collect();
    assert_eq!(join(&held(&shares, &seats)).unwrap(), secret());
}

/// Each share of a secret that is shared twice is new: no byte of a share is fixed or missing.
#[test]
fn shares_of_one_secret_are_random() {
    let mut seen = [[false; 256]; KEY_BYTES];
    for _ in 0..4_000 {
        let shares = split(&secret(), 2, 3).unwrap();
        seen.iter_mut()
            .zip(shares[1].iter())
            .for_each(|(seen, byte)| seen[usize::from(*byte)] = true);
    }
    // A byte value is missed with a chance of (255/256)^4000, under two in ten million; that four of 8192 are, nobody will see.
    let missed = seen.iter().flatten().filter(|seen| !**seen).count();
    assert!(missed < 4, "{missed}");
}

/// Shares that other arithmetic made: `known_answers.py`, with polynomials of degree two over GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
#[test]
fn shares_made_by_others_give_their_secret() {
    let share = |hex: &str| {
        Secret::new(std::array::from_fn(|at| {
            u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()
        }))
    };
    let shares = [
        (
            Seat(0),
            share("cbee1104277a5da08386a95c7f123518fbde417497aacdd03336190c2fc2e588"),
        ),
        (
            Seat(3),
            share("38fb6688957a9324117e17203d1216558447af77dedd58db5af49de9f403b19e"),
        ),
        (
            Seat(99),
            share("bd34c93addc93fbd5f1e0a6a8db7157e65ec3f697d0cabeeff16029c7be3d0ea"),
        ),
    ];
    assert_eq!(join(&shares).unwrap(), secret());
}
