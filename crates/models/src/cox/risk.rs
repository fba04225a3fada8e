//! Risk sets: what the rows of a node add to a log partial likelihood, to its score and to its information.

use super::{Ties, With};
use crate::design::DesignColumn;
use crate::frame::Frame;
use crate::solve::{packed, packed_len};
use crate::survival::Survival;

/// A log partial likelihood and its derivatives; the last three for x · g(t), if they are asked for.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) log: f64,
    pub(super) score: Vec<f64>,
    pub(super) information: Vec<f64>,
    /// The score of x · g(t).
    pub(super) score_g: Vec<f64>,
    /// The information of x with x · g(t).
    pub(super) mixed: Vec<f64>,
    /// The information of x · g(t).
    pub(super) information_g: Vec<f64>,
}

impl Partial {
    pub(super) fn new(size: usize) -> Self {
        Self {
            log: 0.0,
            score: vec![0.0; size],
            information: vec![0.0; packed_len(size)],
            score_g: vec![0.0; size],
            mixed: vec![0.0; packed_len(size)],
            information_g: vec![0.0; packed_len(size)],
        }
    }

    pub(super) fn flat(self, with: With) -> Vec<f64> {
        let mut flat = vec![self.log];
        flat.extend(self.score);
        flat.extend(self.information);
        if with == With::XAndXTimesG {
            flat.extend(self.score_g);
            flat.extend(self.mixed);
            flat.extend(self.information_g);
        }
        flat
    }

    pub(super) fn of_flat(size: usize, with: With, flat: &[f64]) -> Self {
        let mut rest = flat;
        let mut take = |count: usize| {
            let (taken, left) = rest.split_at(count);
            rest = left;
            taken.to_vec()
        };
        let (log, score, information) = (take(1)[0], take(size), take(packed_len(size)));
        if with == With::X {
            return Self {
                log,
                score,
                information,
                ..Self::new(size)
            };
        }
        Self {
            log,
            score,
            information,
            score_g: take(size),
            mixed: take(packed_len(size)),
            information_g: take(packed_len(size)),
        }
    }

    /// What it has of the events alone.
    pub(super) fn flat_head(self, with: With) -> Vec<f64> {
        let mut flat = vec![self.log];
        flat.extend(self.score);
        if with == With::XAndXTimesG {
            flat.extend(self.score_g);
        }
        flat
    }

    /// The same back, and what comes after it.
    pub(super) fn of_head(size: usize, with: With, flat: &[f64]) -> (Self, &[f64]) {
        let (score, rest) = flat[1..].split_at(size);
        let (score_g, rest) = match with {
            With::X => (vec![0.0; size], rest),
            With::XAndXTimesG => (rest[..size].to_vec(), &rest[size..]),
        };
        let partial = Self {
            log: flat[0],
            score: score.to_vec(),
            score_g,
            ..Self::new(size)
        };
        (partial, rest)
    }

    /// What an event has of itself.
    fn event(&mut self, predictor: f64, x: &[f64], g: Option<f64>) {
        self.log += predictor;
        for (sum, x) in self.score.iter_mut().zip(x) {
            *sum += x;
        }
        for (sum, x) in self.score_g.iter_mut().zip(x) {
            *sum += x * g.unwrap_or(0.0);
        }
    }

    /// What the events of one time have of those under risk with them: of each, the mean of x and its variance, weighted with exp η.
    /// With `tied`, the sums over the events, each next event finds a share less of them under risk (Efron).
    pub(super) fn at_one_time(&mut self, under_risk: &[f64], tied: &[f64], events: usize, g: Option<f64>) {
        if events == 0 {
            return;
        }
        let size = self.score.len();
        let tied_sum = tied.first().copied().unwrap_or(0.0);
        // Sums over the events of 1/s, f/s, 1/s², f/s², f²/s², with s what is under risk and f the share that is not any more.
        let [mut one, mut share, mut ones, mut mixed, mut shares] = [0.0; 5];
        for event in 0..events {
            let f = event as f64 / events as f64;
            let sum = under_risk[0] - f * tied_sum;
            self.log -= sum.ln();
            let inverse = sum.recip();
            one += inverse;
            share += f * inverse;
            ones += inverse * inverse;
            mixed += f * inverse * inverse;
            shares += f * f * inverse * inverse;
        }
        let (first, second) = under_risk[1..].split_at(size);
        let nothing = vec![0.0; under_risk.len()];
        let tied = if tied.is_empty() { &nothing } else { tied };
        let (tied_first, tied_second) = tied[1..].split_at(size);
        for column in 0..size {
            let expected = one * first[column] - share * tied_first[column];
            self.score[column] -= expected;
            if let Some(g) = g {
                self.score_g[column] -= g * expected;
            }
            for row in 0..=column {
                let at = packed(row, column);
                let squares = one * second[at] - share * tied_second[at];
                let crossed = first[row] * tied_first[column] + tied_first[row] * first[column];
                let products =
                    ones * first[row] * first[column] - mixed * crossed + shares * tied_first[row] * tied_first[column];
                let variance = squares - products;
                self.information[at] += variance;
                if let Some(g) = g {
                    self.mixed[at] += g * variance;
                    self.information_g[at] += g * g * variance;
                }
            }
        }
    }
}

/// The rows of a node at given coefficients.
pub(super) struct Rows {
    size: usize,
    /// By rows, less the means.
    matrix: Vec<f64>,
    predictor: Vec<f64>,
    time: Vec<f64>,
    is_event: Vec<bool>,
    stratum: Vec<usize>,
}

impl Rows {
    /// Bytes that it takes to read so many rows and to go through them in order: the matrix, and five vectors and a half.
    pub(super) fn bytes(rows: usize, size: usize) -> usize {
        rows * (size + 6) * size_of::<f64>()
    }

    pub(super) fn read(
        survival: &Survival,
        columns: &[&DesignColumn],
        means: &[f64],
        coefficients: &[f64],
        frame: &Frame,
    ) -> Self {
        let (rows, size) = (frame.rows, columns.len());
        let (mut values, mut room) = (vec![0.0; rows], vec![0.0; rows]);
        let mut predictor = vec![0.0; rows];
        for offset in &survival.design.offsets {
            offset.fill(frame, 0, &mut values);
            for (sum, offset) in predictor.iter_mut().zip(&values) {
                *sum += offset;
            }
        }
        let mut matrix = vec![0.0; rows * size];
        for (at, column) in columns.iter().enumerate() {
            column.fill(frame, 0, &mut values, &mut room);
            for (row, x) in values.iter().enumerate() {
                let x = x - means[at];
                matrix[row * size + at] = x;
                predictor[row] += x * coefficients[at];
            }
        }
        survival.design.response.fill(frame, 0, &mut values);
        let is_event = values.iter().map(|value| *value > 0.5).collect();
        survival.time.fill(frame, 0, &mut values);
        Self {
            size,
            matrix,
            predictor,
            time: values,
            is_event,
            stratum: survival.strata_of(frame),
        }
    }

    /// The whole of it, with these rows as strata of their own.
    pub(super) fn add_strata(&self, ties: Ties, g: impl Fn(f64) -> Option<f64>, into: &mut Partial) {
        let mut order: Vec<usize> = (0..self.time.len()).collect();
        let last_first = |a: &usize, b: &usize| {
            let by_stratum = self.stratum[*a].cmp(&self.stratum[*b]);
            by_stratum.then(self.time[*b].total_cmp(&self.time[*a]))
        };
        order.sort_unstable_by(last_first);
        let width = 1 + self.size + packed_len(self.size);
        for stratum in order.chunk_by(|a, b| self.stratum[*a] == self.stratum[*b]) {
            let (mut under_risk, mut tied) = (vec![0.0; width], vec![0.0; width]);
            for together in stratum.chunk_by(|a, b| self.time[*a] == self.time[*b]) {
                let g = g(self.time[together[0]]);
                let mut events = 0;
                for row in together {
                    self.add_row(*row, &mut under_risk);
                    if self.is_event[*row] {
                        events += 1;
                        self.add_row(*row, &mut tied);
                        into.event(self.predictor[*row], self.x(*row), g);
                    }
                }
                let of_tied: &[f64] = if ties == Ties::Efron { &tied } else { &[] };
                into.at_one_time(&under_risk, of_tied, events, g);
                if events > 0 {
                    tied.fill(0.0);
                }
            }
        }
    }

    /// What the events have of themselves.
    pub(super) fn add_events(&self, g: impl Fn(f64) -> Option<f64>, into: &mut Partial) {
        for row in (0..self.time.len()).filter(|row| self.is_event[*row]) {
            into.event(self.predictor[row], self.x(row), g(self.time[row]));
        }
    }

    /// Sums over the rows that end in each cell, then over the events in each.
    pub(super) fn add_cells(&self, ties: Ties, cells: usize, cell: impl Fn(usize, f64) -> usize, into: &mut [f64]) {
        let width = 1 + self.size + packed_len(self.size);
        for row in 0..self.time.len() {
            let cell = cell(self.stratum[row], self.time[row]);
            self.add_row(row, &mut into[cell * width..][..width]);
            if ties == Ties::Efron && self.is_event[row] {
                self.add_row(row, &mut into[(cells + cell) * width..][..width]);
            }
        }
    }

    fn x(&self, row: usize) -> &[f64] {
        &self.matrix[row * self.size..][..self.size]
    }

    /// exp η, exp η · x, exp η · x xᵀ.
    fn add_row(&self, row: usize, into: &mut [f64]) {
        let x = self.x(row);
        let weight = self.predictor[row].exp();
        let (first, second) = into[1..].split_at_mut(self.size);
        let mut triangle = second.iter_mut();
        for column in 0..self.size {
            let weighted = weight * x[column];
            first[column] += weighted;
            for (left, sum) in x[..=column].iter().zip(&mut triangle) {
                *sum += left * weighted;
            }
        }
        into[0] += weight;
    }
}
