//! Groups of rows that follow from where a step is taken, such as clusters: nobody can look at them before the first step, so they are
//! looked at before each.
//!
//! Only where nobody has a second row, so that rows are people: `fit.rs` refuses others.

use std::sync::Arc;

use models::Step;
use models::frame::Frame;
use terms::{Problem, Report};

use crate::disclose::Rules;
use crate::sketch::{self, Contribution, PersonHash, Sketch};

/// Who was in the groups of the steps before.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<Group>);

/// Who is in a group.
#[derive(Clone, Debug)]
struct Group {
    people: u64,
    /// The exclusive or of all their hashes: a sketch alone does not show each single person.
    all: i64,
    sketch: Sketch,
}

impl Group {
    fn add(&mut self, person: i64) {
        self.people += 1;
        self.all ^= person;
        let once = Contribution::default().with_rows(1);
        self.sketch.add(PersonHash::from_order(person), once);
    }

    /// Whether others are in it, and fewer than that.
    fn differs_by_few(&self, other: &Group, few: u64) -> bool {
        self.all != other.all && self.sketch.is_nearer(&other.sketch, few)
    }
}

impl Told {
    /// Lets a step be taken: no group of it is of a few people, and none differs by a few from a group of a step before, because their
    /// difference would tell of those few.
    ///
    /// # Errors
    /// `E_MODEL_DISCLOSURE`.
    pub(super) fn admit(&mut self, step: &dyn Step, frames: &[Arc<Frame>], rules: &Rules) -> Result<(), Report> {
        if step.groups() == 0 {
            return Ok(());
        }
        let k = rules.people_min;
        let empty = Group {
            people: 0,
            all: 0,
            sketch: Sketch::new(sketch::slots(k)),
        };
        let mut groups = vec![empty; step.groups()];
        for frame in frames {
            for (group, person) in step.groups_of(frame).into_iter().zip(&frame.people) {
                groups[group].add(*person);
            }
        }
        let is_small = |people: u64| (1..k).contains(&people) || (people == 0 && rules.guards_zeros);
        if groups.iter().any(|group| is_small(group.people)) {
            return Err(refuse(
                "a step of the model tells apart a group with too few people here",
            ));
        }
        let mut pairs = groups
            .iter()
            .flat_map(|one| self.0.iter().map(move |other| (one, other)));
        if pairs.any(|(one, other)| one.differs_by_few(other, k)) {
            return Err(refuse(
                "between two steps of the model too few people change their group here",
            ));
        }
        self.0.extend(groups);
        Ok(())
    }
}

fn refuse(message: &str) -> Report {
    let report = Problem::ModelDisclosure.report(message);
    report.remedy("take fewer clusters or other columns, or end earlier with a larger tolerance")
}
