//! Weights of rows that follow from where a step is taken: a few rows could have nearly all that goes into its sums, over all people or in
//! a group of which they tell. Nobody can look at them before the first step, so they are looked at before each.
//!
//! The groups are those that `judge.rs` counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use models::design::Value;
use models::frame::Frame;
use models::{Model, Step};
use terms::{Problem, Report};
use tokio::task::JoinSet;

use super::Weighed;
use super::judge::Parts;
use super::rows::Read;
use crate::disclose::Rules;
use crate::execute::ExecuteError;
use crate::workers;

/// Rows of which the groups are looked up together.
const BLOCK_ROWS: usize = 512;

/// The groups of people of whom the sums of a model tell apart.
#[derive(Debug)]
pub(super) struct Weighing {
    /// The values of each grouping; a row is in one of them, or in none.
    groupings: Vec<Vec<Value>>,
    /// Groupings that together tell groups apart, and how many groups come before theirs.
    sets: Vec<(Vec<usize>, usize)>,
    groups: usize,
}

/// What the people of one group weigh in a sum.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    people: u64,
    all: f64,
    squares: f64,
    /// Of the person whose rows come.
    own: f64,
    person: Option<i64>,
}

/// Whoever has no weight is left out: sums with the weights and without them differ by them.
///
/// # Errors
/// `E_MODEL_DISCLOSURE`.
pub(super) fn admit_left_out(read: &Read, weight: Option<Weighed>, rules: &Rules) -> Result<(), Report> {
    let Some(Weighed { may_be_zero, .. }) = weight else {
        return Ok(());
    };
    let is_zero_told = rules.guards_zeros && may_be_zero && read.weightless == 0;
    if is_zero_told || (1..rules.people_min).contains(&read.weightless) {
        let message = "the weight leaves out too few people: with it and without it would tell of those few";
        return Err(Problem::ModelDisclosure
            .report(message)
            .remedy("leave it out, or use another column"));
    }
    Ok(())
}

impl Weighing {
    /// All that two columns of the model together tell apart, as XᵀWX does.
    pub(super) fn of(read: &Read, model: &Model) -> Self {
        let parts = Parts::of(read, model);
        let is_of_weights = |groups: &BTreeSet<usize>| parts.outcome.is_none_or(|outcome| !groups.contains(&outcome));
        let singles = (0..parts.groupings.len()).map(|at| BTreeSet::from([at]));
        let of_columns = parts.columns.iter().map(|column| column.groups.clone());
        let all = [BTreeSet::new()].into_iter().chain(singles).chain(of_columns);
        let alone: BTreeSet<BTreeSet<usize>> = all.filter(is_of_weights).collect();
        let together: BTreeSet<BTreeSet<usize>> = alone
            .iter()
            .flat_map(|one| alone.iter().map(move |other| one | other))
            .collect();
        let groupings = parts.groupings.into_iter().map(|grouping| grouping.indicators);
        let groupings: Vec<Vec<Value>> = groupings.collect();
        let mut groups = 0;
        let set = |together: BTreeSet<usize>| {
            let before = groups;
            groups += together.iter().map(|at| groupings[*at].len() + 1).product::<usize>();
            (together.into_iter().collect(), before)
        };
        let sets = together.into_iter().map(set).collect();
        Self {
            groupings,
            sets,
            groups,
        }
    }

    /// Bytes that it takes to look at a step, for each frame.
    pub(super) fn bytes(&self, step: &dyn Step) -> usize {
        self.groups * step.pulls() * size_of::<Weight>()
    }

    /// Lets a step be taken in whose sums no few people have nearly all the weight: the people of each group, counted after Kish (1965) as
    /// (Σ|x|)² / Σx², are as many as a group must have, or at least half of those who are there.
    ///
    /// # Errors
    /// `E_MODEL_DISCLOSURE`.
    pub(super) async fn admit(
        self: &Arc<Self>,
        step: &Arc<dyn Step>,
        frames: &[Arc<Frame>],
        rules: &Rules,
    ) -> Result<(), Report> {
        if step.pulls() == 0 {
            return Ok(());
        }
        let mut running = JoinSet::new();
        for frame in frames {
            let (weighing, step, frame) = (Arc::clone(self), Arc::clone(step), Arc::clone(frame));
            running.spawn_on(async move { weighing.of_frame(&*step, &frame) }, &workers::handle());
        }
        let mut all = vec![Weight::default(); self.groups * step.pulls()];
        while let Some(of_frame) = running.join_next().await {
            let of_frame = of_frame.map_err(|_| ExecuteError::Stopped.report())?;
            all.iter_mut().zip(of_frame).for_each(|(all, more)| all.add(&more));
        }
        if all.iter().all(|weight| weight.is_of_many(rules.people_min)) {
            return Ok(());
        }
        let message = "a step of the model has nearly all its weight on too few people here";
        let remedy = "leave out the weights, or a term that tells outcomes apart nearly without error; \
                      of a network take a smaller rate, fewer hidden units or fewer rounds";
        Err(Problem::ModelDisclosure.report(message).remedy(remedy))
    }

    fn of_frame(&self, step: &dyn Step, frame: &Frame) -> Vec<Weight> {
        let pulls = step.pulls();
        let mut all = vec![Weight::default(); self.groups * pulls];
        let mut values = vec![[0; BLOCK_ROWS]; self.groupings.len()];
        let mut row = 0;
        step.each_pull(frame, &mut |of_row| {
            if row % BLOCK_ROWS == 0 {
                self.look_up(frame, row, &mut values);
            }
            for (set, before) in &self.sets {
                let in_set =
                    |group: usize, at: &usize| group * (self.groupings[*at].len() + 1) + values[*at][row % BLOCK_ROWS];
                let group = before + set.iter().fold(0, in_set);
                for (weight, pull) in all[group * pulls..].iter_mut().zip(of_row) {
                    weight.add_row(frame.people.get(row).copied(), pull.abs());
                }
            }
            row += 1;
        });
        all.iter_mut().for_each(Weight::close);
        all
    }

    /// The value of each grouping in some rows.
    fn look_up(&self, frame: &Frame, from: usize, values: &mut [[usize; BLOCK_ROWS]]) {
        let rows = BLOCK_ROWS.min(frame.rows - from);
        let mut room = [0.0; BLOCK_ROWS];
        for (grouping, values) in self.groupings.iter().zip(values) {
            values.fill(grouping.len());
            for (at, value) in grouping.iter().enumerate() {
                value.fill(frame, from, &mut room[..rows]);
                for (value, is_one) in values.iter_mut().zip(&room[..rows]) {
                    if *is_one >= 0.5 {
                        *value = at;
                    }
                }
            }
        }
    }
}

impl Weight {
    /// All rows of a person stand together.
    fn add_row(&mut self, person: Option<i64>, pull: f64) {
        if self.person != person {
            self.close();
            self.person = person;
            self.people += 1;
        }
        self.own += pull;
    }

    fn close(&mut self) {
        self.all += self.own;
        self.squares += self.own * self.own;
        self.own = 0.0;
    }

    /// Others' people.
    fn add(&mut self, other: &Self) {
        self.people += other.people;
        self.all += other.all;
        self.squares += other.squares;
    }

    /// Of a sum that is 0 or no number, nobody has anything.
    fn is_of_many(&self, people_min: u64) -> bool {
        let enough = (people_min as f64).min(self.people as f64 / 2.0);
        let is_none = self.all == 0.0 || !self.all.is_finite();
        is_none || (self.squares.is_normal() && self.all >= (enough * self.squares).sqrt())
    }
}

#[cfg(test)]
mod tests;
