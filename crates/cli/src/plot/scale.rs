//! From numbers to places: the range of an axis, its round numbers, and their texts.

use plotters::coord::ranged1d::Ranged as _;
use plotters::coord::types::RangedCoordf64;

use super::figure::{Form, Open, Panel};

/// How often the largest value goes into what a range may reach beyond the values.
const BEYOND: f64 = 3.0;

/// Decades of a logarithmic scale below which its round numbers are those of a straight one.
const DECADES_FEW: f64 = 1.2;

/// Decades above which they are powers of ten.
const DECADES_MANY: f64 = 3.0;

/// A scale between two numbers.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    /// What is as long on the scale as the number is large.
    length: fn(f64) -> f64,
    /// Round numbers on it, with their texts.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Scale {
    /// A scale from `low` to `high` with about `ticks` round numbers.
    pub(super) fn new(low: f64, high: f64, ticks: usize) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        let points = RangedCoordf64::from(low..high).key_points(ticks);
        let apart = points
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .fold(f64::INFINITY, f64::min);
        let label = |point: f64| (point, tick(point, apart));
        Self {
            low,
            high,
            length: |number| number,
            ticks: points.into_iter().map(label).collect(),
        }
    }

    /// A logarithmic scale from `low` to `high`, both above 0, with about `ticks` round numbers.
    pub(super) fn logarithmic(low: f64, high: f64, ticks: usize) -> Self {
        let straight = Self::new(low, high, ticks);
        let decades = (straight.high / low).log10();
        let round = |firsts: &[f64], step: usize| {
            let (from, until) = (low.log10().floor() as i32, straight.high.log10().ceil() as i32);
            let powers = (from..=until).step_by(step).map(|power| 10_f64.powi(power));
            let points = powers.flat_map(|power| firsts.iter().map(move |first| first * power));
            let points = points.filter(|point| (low..=straight.high).contains(point));
            points.map(|point| (point, tick(point, point))).collect()
        };
        Self {
            length: f64::ln,
            ticks: match decades {
                few if few < DECADES_FEW => straight.ticks,
                some if some <= DECADES_MANY => round(&[1.0, 2.0, 5.0], 1),
                many => round(&[1.0], (many / ticks as f64).ceil() as usize),
            },
            ..straight
        }
    }

    /// That of a panel's y axis.
    pub(super) fn of_panel(panel: &Panel) -> Self {
        if panel.form == Form::Steps {
            return Self::new(0.0, 1.0, 7);
        }
        let marks = || panel.series.iter().flat_map(|series| &series.marks);
        let shown = || marks().filter(|mark| mark.value.is_some());
        let bounds = shown()
            .filter_map(|mark| mark.open.as_ref())
            .filter(|open| !open.is_unbounded());
        let values: Vec<f64> = shown().filter_map(|mark| mark.value).collect();
        let (least, most) = ends(&values);
        if least > most {
            return Self::new(0.0, 1.0, 7);
        }
        // A range that is far longer than what is in it would make all values look alike: it goes on beyond the axis.
        let far = BEYOND * most.abs().max(least.abs());
        let bounds: Vec<&Open> = bounds.collect();
        let sides = bounds.iter().flat_map(|open| [open.low, open.high]).flatten();
        let near: Vec<f64> = sides.filter(|side| (least - far..=most + far).contains(side)).collect();
        let is_beyond = |side: Option<f64>| side.is_none_or(|side| !near.contains(&side));
        let open_above = bounds.iter().any(|open| is_beyond(open.high));
        let open_below = bounds.iter().any(|open| is_beyond(open.low));
        let (least, most) = ends(&[values, near].concat());
        // Lengths of bars are compared, so they begin at 0; lines do where that leaves them room.
        let from_zero = panel.form == Form::Bars || least >= 0.0 && least < most / 2.0;
        let (mut low, mut high) = if from_zero {
            (least.min(0.0), most.max(0.0))
        } else {
            (least, most)
        };
        let span = if high > low { high - low } else { high.abs().max(1.0) };
        // Room for what has no known end, and for numbers above bars.
        high += span * if open_above { 0.2 } else { 0.08 };
        if open_below || low < 0.0 || !from_zero {
            low -= span * if open_below { 0.15 } else { 0.08 };
        }
        Self::new(low, high, 7)
    }

    /// How far along the scale a number is: 0 at its beginning, 1 at its end.
    pub(super) fn share(&self, number: f64) -> f64 {
        let of = self.length;
        (of(number) - of(self.low)) / (of(self.high) - of(self.low))
    }

    pub(super) fn low(&self) -> f64 {
        self.low
    }

    pub(super) fn high(&self) -> f64 {
        self.high
    }
}

/// The least and the most.
fn ends(numbers: &[f64]) -> (f64, f64) {
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (least, most)
}

/// A number of an axis whose numbers are `apart`.
fn tick(number: f64, apart: f64) -> String {
    if number.abs() >= 1e9 || apart < 1e-6 {
        return format!("{number:e}");
    }
    let decimals = (-apart.log10()).ceil().clamp(0.0, 6.0) as usize;
    let text = format!("{number:.decimals$}");
    if text
        .trim_start_matches('-')
        .chars()
        .all(|digit| matches!(digit, '0' | '.'))
    {
        return "0".to_owned();
    }
    text
}
