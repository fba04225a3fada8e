//! The first step: how many rows and events there are, where the columns lie, and, if bins are needed, what ends in each.

use terms::{Problem, Report};

use super::{Baseline, Cox, Phase, Place, Transform};
use crate::design::DesignColumn;
use crate::frame::Frame;
use crate::solve::packed;

/// A column counts as constant if what it varies among those under risk is less than this share of its mean square.
const VARIES_MIN: f64 = 1e-11;

/// Most rows that are believed; work at the one who adds grows with the events.
const ROWS_MAX: f64 = 1e9;

/// What the first step has found.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) rows: f64,
    pub(super) events: f64,
    /// Which levels have rows.
    pub(super) has_rows: Vec<bool>,
    /// Means and mean squares of the columns that are in the model.
    pub(super) means: Vec<f64>,
    pub(super) squares: Vec<f64>,
    /// Events of each cell; empty unless the baseline is shared.
    pub(super) events_of: Vec<usize>,
    /// g of each bin; empty unless it is Kaplan and Meier's.
    pub(super) km: Vec<f64>,
    /// Mean of g over the events.
    pub(super) mean_g: f64,
}

impl Cox {
    pub(super) fn add_counts(&self, frame: &Frame, into: &mut [f64]) {
        let design = &self.survival.design;
        let (mut values, mut room) = (vec![0.0; frame.rows], vec![0.0; frame.rows]);
        let mut times = vec![0.0; frame.rows];
        self.survival.time.fill(frame, 0, &mut times);
        let mut events = vec![0.0; frame.rows];
        design.response.fill(frame, 0, &mut events);
        let is_event = |row: usize| events[row] > 0.5;

        let (head, rest) = into.split_at_mut(3);
        head[0] += frame.rows as f64;
        for (_, time) in times.iter().enumerate().filter(|(row, _)| is_event(*row)) {
            head[1] += 1.0;
            head[2] += self.raw_g(*time);
        }
        let (levels, rest) = rest.split_at_mut(design.levels.len());
        for (level, sum) in design.levels.iter().zip(levels) {
            level.value.fill(frame, 0, &mut values);
            *sum += values.iter().sum::<f64>();
        }
        let (sums, rest) = rest.split_at_mut(design.columns.len());
        let (squares, cells) = rest.split_at_mut(design.columns.len());
        for ((column, sum), square) in design.columns.iter().zip(sums).zip(squares) {
            column.fill(frame, 0, &mut values, &mut room);
            *sum += values.iter().sum::<f64>();
            *square += values.iter().map(|x| x * x).sum::<f64>();
        }
        if self.cells() == 0 {
            return;
        }
        let strata = match self.baseline {
            Baseline::Shared => self.survival.strata_of(frame),
            Baseline::OfEachNode => vec![0; frame.rows],
        };
        for (row, time) in times.iter().enumerate() {
            let cell = strata[row] * self.bins() + self.survival.bin_of(*time);
            cells[cell] += 1.0;
            cells[self.cells() + cell] += f64::from(is_event(row));
        }
    }

    pub(super) fn after_counts(&self, sums: &[f64]) -> Result<Phase, Report> {
        let design = &self.survival.design;
        let (head, rest) = sums.split_at(3);
        let (levels, rest) = rest.split_at(design.levels.len());
        let (of_x, rest) = rest.split_at(design.columns.len());
        let (of_squares, cells) = rest.split_at(design.columns.len());
        let (rows, events) = (head[0].round(), head[1].round());
        let has_rows: Vec<bool> = levels.iter().map(|rows| *rows > 0.5).collect();
        let is_in = |column: &DesignColumn| column.of_levels.iter().all(|level| has_rows[*level]);
        let mean = |sums: &[f64]| -> Vec<f64> {
            let columns = design.columns.iter().zip(sums).filter(|(column, _)| is_in(column));
            columns.map(|(_, sum)| sum / rows).collect()
        };
        let (means, squares) = (mean(of_x), mean(of_squares));
        let size = means.len();
        if !(rows <= ROWS_MAX && events <= rows && cells.iter().all(|count| *count <= ROWS_MAX)) {
            return Err(Problem::ModelProtocol.report("the counts of rows and events are not possible"));
        }
        if rows < size as f64 + 1.0 {
            let message = format!("the model has {size} terms and only {rows} rows in which all its columns are known");
            return Err(Problem::ModelData.report(message));
        }
        if size == 0 {
            return Err(Problem::ModelData.report("no level of the model's terms has rows, beside those of reference"));
        }
        if events < 1.0 {
            return Err(Problem::ModelData.report("in no row the event comes"));
        }
        let (of_rows, of_events) = cells.split_at(self.cells());
        let km = match self.check {
            Some(Transform::Km) => self.kaplan_meier(of_rows, of_events),
            _ => Vec::new(),
        };
        let mean_g = if km.is_empty() {
            head[2] / events
        } else {
            let of_events = of_events.iter().enumerate();
            let sum: f64 = of_events.map(|(cell, events)| events * km[cell % self.bins()]).sum();
            sum / events
        };
        let known = Known {
            rows,
            events,
            has_rows,
            means,
            squares,
            events_of: match self.baseline {
                Baseline::Shared => of_events.iter().map(|events| events.round() as usize).collect(),
                Baseline::OfEachNode => Vec::new(),
            },
            km,
            mean_g,
        };
        let place = Place {
            coefficients: vec![0.0; size],
            before: None,
            null: None,
            halvings: 0,
        };
        Ok(Phase::Place(known, place))
    }

    /// 1 less the survival just before each bin, over all strata.
    fn kaplan_meier(&self, rows: &[f64], events: &[f64]) -> Vec<f64> {
        let bins = self.bins();
        let of = |counts: &[f64], bin: usize| -> f64 { counts.iter().skip(bin).step_by(bins).sum() };
        let mut under_risk: f64 = rows.iter().sum();
        let mut survival = 1.0;
        let before = (0..bins).map(|bin| {
            let before = survival;
            if under_risk > 0.5 {
                survival *= 1.0 - of(events, bin) / under_risk;
            }
            under_risk -= of(rows, bin);
            1.0 - before
        });
        before.collect()
    }
}

impl Known {
    /// Every column must differ between people who are under risk together.
    pub(super) fn require_varied(&self, columns: &[&DesignColumn], information: &[f64]) -> Result<(), Report> {
        let is_constant = |at: &usize| {
            let varies = information[packed(*at, *at)] / self.events;
            varies.is_nan() || varies <= VARIES_MIN * self.squares[*at]
        };
        let Some(at) = (0..columns.len()).find(is_constant) else {
            return Ok(());
        };
        let name = &columns[at].name;
        let message =
            format!("{name} is the same for all who are under risk together, so that nothing tells of its hazard");
        Err(Problem::ModelSingular
            .report(message)
            .remedy(format!("leave out {name}")))
    }
}
