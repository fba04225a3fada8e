//! The numbers of a cell, and how they are rounded: `docs/disclosure.md`, section 3.

use policy::ColumnKind;

use crate::cells::{Input, Total};
use crate::disclose::correlation;
use crate::query::{Function, Pair, PairPart, Spread};

/// Significant decimal digits of a rounded number, less the one before the point.
const ROUNDED_DECIMALS: usize = 2;

/// A value of an aggregate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A count, or a sum of integers.
    Integer(i128),
    /// Anything else; finite.
    Float(f64),
}

impl Number {
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Number::Integer(number) => number as f64,
            Number::Float(number) => number,
        }
    }

    fn finite(number: f64) -> Option<Number> {
        number.is_finite().then_some(Number::Float(number))
    }
}

impl From<Total> for Number {
    fn from(total: Total) -> Self {
        match total {
            Total::Integer(sum) => Number::Integer(sum),
            Total::Number { .. } => Number::Float(total.as_f64()),
        }
    }
}

/// The value of an aggregate in a cell; none if nothing is known. `edges` are the declared ones of a quantile's column.
pub(crate) fn number(function: &Function, input: &Input, edges: &[f64]) -> Option<Number> {
    let rows = input.rows as f64;
    let any = input.rows > 0;
    match (function, input.columns.as_slice()) {
        (Function::CountRows | Function::Count(_), _) => Some(Number::Integer(input.rows.into())),
        (Function::CountPeople(_), _) => Some(Number::Integer(input.people.into())),
        (Function::Sum(_), [column]) => any.then(|| column.total.into()),
        (Function::Mean(_), [column]) if any => Number::finite(column.total.as_f64() / rows),
        (Function::Spread(spread, _), [column]) if any => Number::finite(match spread {
            Spread::VarPop => column.squares / rows,
            Spread::VarSamp => column.squares / (rows - 1.0),
            Spread::StddevPop => (column.squares / rows).sqrt(),
            Spread::StddevSamp => (column.squares / (rows - 1.0)).sqrt(),
        }),
        (Function::Pair(pair, ..), [_, _]) if any => Number::finite(match pair {
            Pair::CovarPop => input.product / rows,
            Pair::CovarSamp => input.product / (rows - 1.0),
            // What rounding adds to a straight line is no more than one.
            Pair::Corr => correlation(input).clamp(-1.0, 1.0),
        }),
        (Function::PairPart(PairPart::Rows, ..), _) => Some(Number::Integer(input.rows.into())),
        (Function::PairPart(part, ..), [first, second]) if any => Number::finite(match part {
            PairPart::Rows => rows,
            PairPart::MeanOfFirst => first.mean,
            PairPart::MeanOfSecond => second.mean,
            PairPart::SquaresOfFirst => first.squares,
            PairPart::SquaresOfSecond => second.squares,
            PairPart::Products => input.product,
        }),
        (Function::Quantile(share, _), _) => {
            let rows: Vec<i64> = input.bins.iter().map(|(rows, _)| *rows).collect();
            interpolated(*share, &rows, edges).and_then(|(value, _)| Number::finite(value))
        }
        _ => None,
    }
}

/// The quantile at this share of all rows, from the rows in each declared bin: within the bin that holds the row there, as if its rows
/// were spread evenly. The edges of that bin come with it. None if there are no rows.
pub fn interpolated(share: f64, rows: &[i64], edges: &[f64]) -> Option<(f64, [f64; 2])> {
    let wanted = share * rows.iter().sum::<i64>() as f64;
    let mut below = 0;
    for (rows, edge) in rows.iter().zip(edges.windows(2)) {
        if *rows > 0 && (below + rows) as f64 >= wanted {
            let [low, high] = *edge else { return None };
            let value = low + (high - low) * (wanted - below as f64) / *rows as f64;
            return Some((value, [low, high]));
        }
        below += rows;
    }
    None
}

/// A number as it leaves when counts are rounded to multiples of `to`. `rows` is the number of rows behind it.
pub(crate) fn rounded(function: &Function, number: Number, rows: i64, to: u32, kind: Option<ColumnKind>) -> Number {
    match (function, number) {
        (Function::CountRows | Function::Count(_) | Function::CountPeople(_), Number::Integer(count)) => {
            Number::Integer(to_multiple(count, to))
        }
        (Function::Sum(_), _) => {
            let mean = to_three_digits(number.as_f64() / rows as f64);
            let sum = mean * to_multiple(rows.into(), to) as f64;
            match kind {
                // Halves away from zero.
                Some(ColumnKind::Integer) => Number::Integer(sum.round() as i128),
                _ => Number::Float(sum),
            }
        }
        _ => Number::Float(to_three_digits(number.as_f64())),
    }
}

/// The nearest multiple; halves go up.
fn to_multiple(count: i128, of: u32) -> i128 {
    let of = i128::from(of);
    (2 * count + of).div_euclid(2 * of) * of
}

fn to_three_digits(number: f64) -> f64 {
    let text = format!("{number:.ROUNDED_DECIMALS$e}");
    // What was just written as a number reads as one.
    text.parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_become_the_nearest_multiple_and_halves_go_up() {
        let counts = [(12, 5, 10), (13, 5, 15), (5, 10, 10), (4, 10, 0), (7, 1, 7)];
        for (count, of, expected) in counts {
            assert_eq!(to_multiple(count, of), expected, "{count} to multiples of {of}");
        }
    }

    #[test]
    fn numbers_keep_three_digits_and_halves_go_to_even() {
        let numbers = [
            (54.894_5, 54.9),
            (1.125, 1.12),
            (1.135, 1.14),
            (-0.001_234_9, -0.001_23),
            (0.0, 0.0),
        ];
        for (number, expected) in numbers {
            assert_eq!(to_three_digits(number), expected, "{number}");
        }
    }

    #[test]
    fn a_rounded_sum_does_not_tell_the_count() {
        let sum = rounded(
            &Function::Sum("x".to_owned()),
            Number::Integer(660),
            12,
            5,
            Some(ColumnKind::Integer),
        );
        // Mean 55, ten rows.
        assert_eq!(sum, Number::Integer(550));
    }
}
