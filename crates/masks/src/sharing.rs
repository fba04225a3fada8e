//! Shamir's secret sharing: a secret of 32 bytes in shares of 32 bytes, of which any `threshold` give it back and fewer say nothing.
//!
//! Over GF(2^8), byte by byte, by `vsss-rs`; this is the only file that names it. A share is a point of its holder, whose seat in the roster
//! is the coordinate, so it does not travel. A share says nothing about its own correctness: dealers publish digests of shares and of
//! secrets, and [`crate::view`] compares.

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use vsss_rs::Gf256;
use zeroize::{Zeroize as _, Zeroizing};

use crate::plan::Seat;
use crate::primitive::{KEY_BYTES, Refused, Secret};

/// The shares of `secret` for the seats of a roster of `nodes`, in their order.
///
/// # Panics
/// If the operating system has no randomness to give; a node has asked it for some just before.
pub(crate) fn split(secret: &Secret, threshold: usize, nodes: usize) -> Result<Vec<Secret>, Refused> {
    let points = Gf256::split_bytes(threshold, nodes, secret.as_slice(), UnwrapErr(SysRng)).map_err(|_| Refused)?;
    points
        .into_iter()
        .zip(1..)
        .map(|(point, x)| share_of(point, x))
        .collect()
}

/// The value of a point whose coordinate is `x`.
fn share_of(mut point: Vec<u8>, x: u8) -> Result<Secret, Refused> {
    let share = match point.as_slice() {
        [at, value @ ..] if *at == x => value.try_into().map(Zeroizing::new).map_err(|_| Refused),
        _ => Err(Refused),
    };
    point.zeroize();
    share
}

/// The secret on whose polynomial these shares are. With fewer than the threshold, or wrong ones, it is some other secret.
pub(crate) fn join(shares: &[(Seat, Secret)]) -> Result<Secret, Refused> {
    let points: Vec<Vec<u8>> = shares
        .iter()
        .map(|(seat, share)| [&[seat.coordinate()], share.as_slice()].concat())
        .collect();
    let points = Zeroizing::new(points);
    let secret = Zeroizing::new(Gf256::combine_bytes(points.as_slice()).map_err(|_| Refused)?);
    let secret: [u8; KEY_BYTES] = secret.as_slice().try_into().map_err(|_| Refused)?;
    Ok(Zeroizing::new(secret))
}

#[cfg(test)]
mod tests;
