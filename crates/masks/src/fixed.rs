//! Numbers as integers modulo 2^128, so that adding them is exact and masks cancel to the last bit.
//!
//! Each entry of a vector has a bound, stated when the sum is planned, and from it a scale: how many binary digits behind the point are
//! kept. The scale leaves room for the sum of all nodes and 32 bits more. The room makes a sum that was spoilt visible: integers that
//! did not come about by adding numbers within their bounds lie outside the sum's bound, but for one in four thousand million.

use crate::error::SumError;

/// Bits between the largest sum and where integers of 128 bits with a sign would wrap.
const ROOM_BITS: i32 = 32;

/// Most digits behind the point; with more, the smallest numbers of an `f64` could not be scaled.
const FRACTION_BITS_MAX: i32 = 1_000;

/// Largest bound of an entry: sums of such numbers are still finite as `f64`.
pub const BOUND_MAX: f64 = 1e280;

/// How an entry becomes an integer: it is multiplied by two to the `fraction_bits` and rounded to the nearest, ties to even.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    fraction_bits: i32,
    bound: f64,
}

impl Scale {
    /// The finest scale at which the sum of `nodes` numbers of at most `bound`, in absolute terms, has its room. `None` if the bound
    /// is negative, not a number, or larger than [`BOUND_MAX`].
    pub fn for_bound(bound: f64, nodes: usize) -> Option<Self> {
        if !(0.0..=BOUND_MAX).contains(&bound) {
            return None;
        }
        let nodes = i32::try_from(nodes.next_power_of_two().trailing_zeros()).ok()?;
        let fraction_bits = (127 - ROOM_BITS - exponent_above(bound) - nodes).min(FRACTION_BITS_MAX);
        Some(Self { fraction_bits, bound })
    }

    /// Binary digits behind the point; negative where the bound is so large that digits before it are dropped.
    pub fn fraction_bits(self) -> i32 {
        self.fraction_bits
    }

    /// The integer of `value`, the entry at `index`.
    pub(crate) fn encode(self, value: f64, index: usize) -> Result<u128, SumError> {
        if !value.is_finite() {
            return Err(SumError::NotFinite { index });
        }
        if value.abs() > self.bound {
            return Err(SumError::Bound { index });
        }
        // Exact but for the rounding that is asked for: a power of two changes no digit, and the product is within 2^95.
        let scaled = (value * 2_f64.powi(self.fraction_bits)).round_ties_even();
        Ok((scaled as i128).cast_unsigned())
    }

    /// What a sum over `nodes` of such integers is as a number, the entry at `index`.
    pub(crate) fn decode(self, sum: u128, nodes: usize, index: usize) -> Result<f64, SumError> {
        let sum = sum.cast_signed();
        let one_at_most = self.encode(self.bound, index)?;
        let most = one_at_most.saturating_mul(nodes as u128);
        if sum.unsigned_abs() > most {
            return Err(SumError::Nonsense { index });
        }
        Ok(sum as f64 * 2_f64.powi(-self.fraction_bits))
    }
}

/// The least exponent of two whose power is not below `bound`, which is not negative.
fn exponent_above(bound: f64) -> i32 {
    const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    let bits = bound.to_bits();
    let exponent = i32::try_from(bits >> MANTISSA_BITS).unwrap_or(0) - (f64::MAX_EXP - 1);
    let is_power = bits.trailing_zeros() >= MANTISSA_BITS;
    if is_power { exponent } else { exponent + 1 }
}

#[cfg(test)]
mod tests;
