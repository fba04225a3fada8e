//! Whether memory and descriptors are flat: the straight line through the second half of the time (least squares) may rise over that half
//! by no more than a small share of the mean, or by what a process may breathe.

use std::fmt::Write as _;

use crate::watch::{Costs, Sample};

/// Samples of the second half below which nothing can be said.
const SAMPLES_MIN: usize = 5;

/// What the line may rise over the second half: this share of the mean, or so much, whichever is more.
const RISE_SHARE_MAX: f64 = 0.05;
const MEMORY_RISE_MAX: f64 = 4e6;
const DESCRIPTORS_RISE_MAX: f64 = 3.0;

/// What became of every process.
pub(crate) struct Verdict {
    lines: Vec<Line>,
    enough: bool,
}

struct Line {
    process: String,
    memory: Course,
    descriptors: Course,
}

/// One figure over time.
struct Course {
    first: f64,
    last: f64,
    mean: f64,
    rise: f64,
    rise_max: f64,
}

impl Course {
    /// Of `(seconds, figure)` in order.
    fn of(points: &[(f64, f64)], rise_max: f64) -> Self {
        let n = points.len().max(1) as f64;
        let mean_of = |what: fn(&(f64, f64)) -> f64| points.iter().map(what).sum::<f64>() / n;
        let (middle, mean) = (mean_of(|point| point.0), mean_of(|point| point.1));
        let (mut product, mut squares) = (0.0, 0.0);
        for (at, figure) in points {
            product += (at - middle) * (figure - mean);
            squares += (at - middle).powi(2);
        }
        let slope = if squares > 0.0 { product / squares } else { 0.0 };
        let ends = points
            .first()
            .zip(points.last())
            .map_or(((0.0, 0.0), (0.0, 0.0)), |(first, last)| (*first, *last));
        Self {
            first: ends.0.1,
            last: ends.1.1,
            mean,
            rise: slope * (ends.1.0 - ends.0.0),
            rise_max: rise_max.max(mean * RISE_SHARE_MAX),
        }
    }

    fn is_flat(&self) -> bool {
        self.rise <= self.rise_max
    }
}

/// Of the second half of the samples.
pub(crate) fn of(samples: &[Sample]) -> Verdict {
    let half = &samples[samples.len() / 2..];
    let processes = samples.first().map_or(0, |sample| sample.processes.len());
    let course = |process: usize, what: fn(&Costs) -> u64, rise_max| {
        let points: Vec<(f64, f64)> = half
            .iter()
            .map(|sample| (sample.at.as_secs_f64(), what(&sample.processes[process]) as f64))
            .collect();
        Course::of(&points, rise_max)
    };
    let lines = (0..processes).map(|process| Line {
        process: samples[0].processes[process].name.clone(),
        memory: course(process, |costs| costs.resident_bytes, MEMORY_RISE_MAX),
        descriptors: course(process, |costs| costs.descriptors, DESCRIPTORS_RISE_MAX),
    });
    Verdict {
        lines: lines.collect(),
        enough: half.len() >= SAMPLES_MIN,
    }
}

impl Verdict {
    pub(crate) fn is_flat(&self) -> bool {
        self.enough
            && self
                .lines
                .iter()
                .all(|line| line.memory.is_flat() && line.descriptors.is_flat())
    }

    pub(crate) fn words(&self) -> &'static str {
        match (self.enough, self.is_flat()) {
            (false, _) => "too short to say whether memory and descriptors are flat",
            (true, true) => "memory and descriptors are flat over the second half",
            (true, false) => "memory or descriptors GROW over the second half",
        }
    }

    /// A line for each process.
    pub(crate) fn table(&self) -> String {
        let mut table = "second half of the time: first → last (mean); rise of the line, of at most\n\n\
                         | process | memory in MB | rise | descriptors | rise |\n|---|---|---|---|---|\n"
            .to_owned();
        for Line {
            process,
            memory,
            descriptors,
        } in &self.lines
        {
            let shown = |course: &Course, unit: f64| {
                format!(
                    "{:.1} → {:.1} ({:.1}) | {:+.1} of {:.1}{}",
                    course.first / unit,
                    course.last / unit,
                    course.mean / unit,
                    course.rise / unit,
                    course.rise_max / unit,
                    if course.is_flat() { "" } else { " GROWS" }
                )
            };
            writeln!(
                table,
                "| {process} | {} | {} |",
                shown(memory, 1e6),
                shown(descriptors, 1.0)
            )
            .unwrap();
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(figure: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..100).map(|at| (f64::from(at), figure(f64::from(at)))).collect()
    }

    #[test]
    fn what_grows_is_not_flat_and_what_breathes_is() {
        let leaks = Course::of(&points(|at| 100e6 + at * 1e5), MEMORY_RISE_MAX);
        assert!(!leaks.is_flat(), "{}", leaks.rise);
        let breathes = Course::of(&points(|at| 100e6 + (at % 10.0) * 1e6), MEMORY_RISE_MAX);
        assert!(breathes.is_flat(), "{}", breathes.rise);
        let leaks = Course::of(&points(|at| 20.0 + at / 20.0), DESCRIPTORS_RISE_MAX);
        assert!(!leaks.is_flat(), "{}", leaks.rise);
        assert!(Course::of(&points(|_| 20.0), DESCRIPTORS_RISE_MAX).is_flat());
    }
}
