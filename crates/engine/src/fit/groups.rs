//! Groups of rows that follow from where a step is taken, such as clusters: nobody can look at them before the first step, so they are
//! looked at before each.
//!
//! Only where nobody has a second row, so that rows are people: `fit.rs` refuses others.

use std::collections::HashMap;
use std::sync::Arc;

use models::Step;
use models::frame::Frame;
use terms::{Problem, Report};

use crate::disclose::Rules;

/// Who was told apart from whom in the steps before: of each frame, a number for each row, the same for those who were together in all.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<Vec<u32>>);

impl Told {
    /// Lets a step be taken: no group of it is of a few people, and neither are those who were in the same groups in all steps, because
    /// sums of groups of several steps would tell of those few.
    ///
    /// # Errors
    /// `E_MODEL_DISCLOSURE`.
    pub(super) fn admit(&mut self, step: &dyn Step, frames: &[Arc<Frame>], rules: &Rules) -> Result<(), Report> {
        if step.groups() == 0 {
            return Ok(());
        }
        let k = rules.people_min;
        if self.0.is_empty() {
            self.0 = frames.iter().map(|frame| vec![0; frame.rows]).collect();
        }
        let mut people = vec![0; step.groups()];
        let mut together: HashMap<(u32, usize), (u32, u64)> = HashMap::new();
        for (frame, before) in frames.iter().zip(&mut self.0) {
            for (group, before) in step.groups_of(frame).into_iter().zip(before) {
                people[group] += 1;
                let next = together.len() as u32;
                let (name, count) = together.entry((*before, group)).or_insert((next, 0));
                *count += 1;
                *before = *name;
            }
        }
        if people
            .iter()
            .any(|people| (1..k).contains(people) || (*people == 0 && rules.guards_zeros))
        {
            return Err(refuse(
                "a step of the model tells apart a group with too few people here",
            ));
        }
        if together.values().any(|(_, people)| *people < k) {
            return Err(refuse(
                "between the steps of the model too few people change their group here",
            ));
        }
        Ok(())
    }
}

fn refuse(message: &str) -> Report {
    let report = Problem::ModelDisclosure.report(message);
    report.remedy("take fewer clusters or other columns, or end earlier with a larger tolerance")
}

#[cfg(test)]
mod tests;
