//! Whom the sums of a fit would tell of, looked at before the first of them leaves: `docs/disclosure.md`, section 6.
//!
//! What is told of a refusal names terms of the model, never a number of people, and never which level of a factor it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use models::Model;
use models::design::{Need, Value};
use models::frame::{Column, Frame};
use terms::{CollectionId, Problem, Report};

use super::rows::Read;
use crate::disclose::Rules;
use crate::kept::{KeptValue, KeptValues, Shelf};
use crate::query::NODE_COLUMN;
use crate::sketch::{self, Contribution, PersonHash, Sketch, SketchKey};

/// Rows whose indicators are looked at together.
const BLOCK_ROWS: usize = 1_024;

/// What a fit about people is held against.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) rules: Rules,
    pub(super) parameters_share: f64,
    pub(super) refuses_overlaps: bool,
    /// Whether this node's sums can be seen on their own: then they tell how many people have two levels together.
    pub(super) tells_pairs: bool,
    /// Who is asked to add up, where only the sum over all of them may be seen.
    pub(super) roster: Option<Roster>,
    pub(super) collection: CollectionId,
}

/// The nodes of a fit with masked sums. Two such sums over the same people here, one over fewer nodes, differ by what those nodes add.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) nodes: BTreeSet<String>,
    /// Only so many together may be told apart from the rest.
    pub(super) nodes_min: u64,
}

/// Whom a fit is about: with these later fits are compared.
#[derive(Debug, Default)]
pub(super) struct About {
    /// For each column.
    people: Vec<KeptValue>,
}

impl Roster {
    /// Those who are left of it.
    ///
    /// # Errors
    /// `E_MODEL_DISCLOSURE` if they are too few.
    fn left<'n>(&self, nodes: impl Iterator<Item = &'n str>) -> Result<Self, Report> {
        let (nodes, nodes_min) = (nodes.map(str::to_owned).collect::<BTreeSet<_>>(), self.nodes_min);
        if (nodes.len() as u64) < nodes_min {
            let message = format!(
                "a fit here is over {nodes_min} nodes at least, and {} are left",
                nodes.len()
            );
            return Err(refuse(&message, "ask again when more nodes answer"));
        }
        Ok(Self { nodes, nodes_min })
    }

    /// What is kept of it: for each column and all people of whom it was summed, as `people` has them, which nodes were in the sum.
    fn kept(&self, people: &KeptValue) -> KeptValue {
        // Who the nodes are is no secret.
        let key = SketchKey::from([0; 16]);
        let mut sketch = Sketch::new(sketch::slots(self.nodes_min));
        for node in &self.nodes {
            sketch.add(key.person(node.as_bytes()), Contribution::default());
        }
        let names: Vec<&str> = self.nodes.iter().map(String::as_str).collect();
        let all = key.person(names.join(" ").as_bytes()).as_order();
        let statistic = format!("nodes over {} in {}", people.mark(), people.statistic);
        KeptValue::of_fit(statistic, self.nodes_min, all, self.nodes.len() as u64, sketch)
    }
}

impl About {
    /// Over which nodes these people are summed, where only the sum over all may be seen.
    fn nodes(&self, roster: Option<&Roster>) -> Vec<KeptValue> {
        let of = |roster: &Roster| self.people.iter().map(|people| roster.kept(people)).collect();
        roster.map(of).unwrap_or_default()
    }
}

/// Something that tells people apart by a few values.
struct Grouping {
    /// As it is called in a refusal.
    name: String,
    /// One for each value; each row has one of them, or is in the last one.
    indicators: Vec<Value>,
    /// Whether a row may be in none of them.
    has_rest: bool,
    /// Whether it is the same for all rows of a node by its nature.
    is_node: bool,
}

impl Grouping {
    fn size(&self) -> usize {
        self.indicators.len() + usize::from(self.has_rest)
    }
}

impl Judge {
    /// Whom the fit is about, if its sums may leave.
    pub(super) fn admit(&self, read: &Read, model: &Model, kept: &KeptValues) -> Result<About, Report> {
        let people: u64 = read.frames.iter().map(|frame| people_of(frame)).sum();
        let k = self.rules.people_min;
        if people < k {
            return Err(refuse(
                "there are too few people here for this model",
                "take fewer conditions or terms",
            ));
        }
        if (model.exposure.parameters as f64) > self.parameters_share * people as f64 {
            let message = format!(
                "the model has more parameters than {} for each person here",
                self.parameters_share
            );
            return Err(refuse(&message, "take fewer terms"));
        }
        let protects_zeros = self.rules.guards_zeros;
        if read
            .failing
            .iter()
            .any(|failing| (1..k).contains(failing) || (protects_zeros && *failing == 0))
        {
            let message = "the conditions leave out too few people: with them and without them would tell of those few";
            return Err(refuse(
                message,
                "leave a condition out, or choose one that more people do not fulfil",
            ));
        }
        let (groupings, numbers) = groupings(read, model);
        self.require_groups(read, model, &groupings)?;
        self.require_numbers(read, model, &numbers)?;
        let about = self.about(read, model, people);
        let nodes = about.nodes(self.roster.as_ref());
        self.require_distance(&about, &nodes, &kept.shelf())?;
        Ok(about)
    }

    /// Rows that were left out, unless they are of a few people.
    pub(super) fn tells_dropped(&self, read: &Read) -> Option<u64> {
        let is_small = (1..self.rules.people_min).contains(&read.dropped_people);
        (!is_small).then_some(read.dropped_rows)
    }

    fn require_groups(&self, read: &Read, model: &Model, groupings: &[Grouping]) -> Result<(), Report> {
        let k = self.rules.people_min;
        let outcome = model.exposure.outcome.as_ref().map(|value| Grouping {
            name: "the outcome".to_owned(),
            indicators: vec![value.clone()],
            has_rest: true,
            is_node: false,
        });
        let small = |people: &[u64]| people.iter().any(|people| (1..k).contains(people));
        for grouping in groupings.iter().chain(&outcome) {
            let people = crossed(read, &[grouping]);
            let is_zero_told = self.rules.guards_zeros && people.contains(&0) && !grouping.is_node;
            if small(&people) || is_zero_told {
                let message = format!("{} tells apart a group with too few people here", grouping.name);
                return Err(refuse(&message, "leave it out, or join its levels"));
            }
            if people.iter().filter(|people| **people > 0).count() < 2 && !grouping.is_node {
                let message = format!(
                    "{} is the same for everybody here: the sums would say so",
                    grouping.name
                );
                return Err(refuse(&message, "leave it out, or ask other nodes"));
            }
        }
        if let Some(outcome) = &outcome {
            for grouping in groupings {
                let people = crossed(read, &[grouping, outcome]);
                let levels = people.chunks(outcome.size());
                let is_told =
                    |level: &[u64]| level.iter().any(|people| *people > 0) && level.iter().any(|people| *people < k);
                if levels.into_iter().any(is_told) {
                    let message = format!(
                        "{} tells apart a group with too few people of one outcome here",
                        grouping.name
                    );
                    return Err(refuse(&message, "leave it out, or join its levels"));
                }
            }
        }
        let pairs = groupings.iter().enumerate();
        let pairs = pairs.flat_map(|(at, one)| groupings[at + 1..].iter().map(move |other| (one, other)));
        for (one, other) in pairs.filter(|_| self.tells_pairs) {
            if small(&crossed(read, &[one, other])) {
                let message = format!(
                    "{} and {} together tell apart a group with too few people here",
                    one.name, other.name
                );
                return Err(refuse(&message, "leave one of them out, or join levels"));
            }
        }
        Ok(())
    }

    /// What is asked of a sum over a column, is asked of it here too.
    fn require_numbers(&self, read: &Read, model: &Model, numbers: &[usize]) -> Result<(), Report> {
        for at in numbers {
            let name = model.needs[*at].column();
            let mut totals: Vec<f64> = Vec::new();
            for frame in &read.frames {
                let Column::Numbers(values) = &frame.columns[*at] else {
                    continue;
                };
                let of_people = person_ranges(frame).map(|rows| values[rows].iter().sum::<f64>().abs());
                totals.extend(of_people.filter(|total| *total > 0.0));
            }
            if (totals.len() as u64) < self.rules.people_min {
                let message = format!("too few people here have another {name} than 0");
                return Err(refuse(&message, "leave it out"));
            }
            totals.sort_by(|a, b| b.total_cmp(a));
            let all: f64 = totals.iter().sum();
            let is_dominated = self.rules.dominance.is_some_and(|dominance| {
                totals.iter().take(dominance.top as usize).sum::<f64>() > dominance.share * all
            });
            let is_near = self.rules.p_percent.is_some_and(|p| {
                let (largest, second) = (totals[0], totals.get(1).copied().unwrap_or_default());
                all - largest - second < f64::from(p) / 100.0 * largest
            });
            if is_dominated || is_near {
                let message = format!("a few people give most of {name} here");
                return Err(refuse(&message, "leave it out, or take a function of it such as log"));
            }
        }
        Ok(())
    }

    /// Whom the fit is about, for each column: two fits never differ by fewer people than a cell must have, about any column that they share.
    fn about(&self, read: &Read, model: &Model, people: u64) -> About {
        let slots = sketch::slots(self.rules.people_min);
        let rows: i64 = read.frames.iter().map(|frame| frame.rows as i64).sum();
        let mut about = About::default();
        for (at, need) in model.needs[..model.exposure.summed].iter().enumerate() {
            let mut sketch = Sketch::new(slots);
            for frame in &read.frames {
                for range in person_ranges(frame) {
                    let person = PersonHash::from_order(frame.people[range.start]);
                    sketch.add(person, contribution(&frame.columns[at], range));
                }
            }
            let statistic = format!("{} model of {}", self.collection, need.column());
            let value = KeptValue::of_fit(statistic, self.rules.people_min, rows, people, sketch);
            if !about.people.contains(&value) {
                about.people.push(value);
            }
        }
        about
    }

    /// Refuses people of whom earlier fits tell too few apart, and nodes likewise.
    fn require_distance(&self, about: &About, nodes: &[KeptValue], shelf: &Shelf) -> Result<(), Report> {
        if nodes.iter().any(|nodes| shelf.is_near_another(nodes)) {
            let message = "an earlier fit was over nearly the same nodes: both together would tell of a few nodes";
            let remedy = "ask the same nodes as that fit; until the data change, only fits over these, or with enough other nodes, are answered";
            return Err(refuse(message, remedy));
        }
        let near = about.people.iter().find(|value| shelf.differs_by_few(value));
        let Some(near) = near.filter(|_| self.refuses_overlaps) else {
            return Ok(());
        };
        let column = near.statistic.rsplit(' ').next().unwrap_or_default();
        let message =
            format!("an earlier fit with {column} was about nearly the same people: both together would tell of a few");
        let remedy = "choose columns and conditions so that the same people are in both, or so that more differ: \
                      --complete-cases takes only those of whom further columns are known";
        Err(refuse(&message, remedy))
    }

    /// Keeps whom a fit is about, and the nodes over which it goes. From here on later fits are held against it.
    pub(super) fn enter<'n>(
        &self,
        about: &About,
        nodes: impl Iterator<Item = &'n str>,
        kept: &KeptValues,
    ) -> Result<Vec<KeptValue>, Report> {
        let roster = self.roster.as_ref().map(|roster| roster.left(nodes)).transpose()?;
        let nodes = about.nodes(roster.as_ref());
        let mut shelf = kept.shelf();
        self.require_distance(about, &nodes, &shelf)?;
        let people = about.people.iter().filter(|people| !shelf.holds(people));
        let nodes = nodes.iter().filter(|nodes| !shelf.holds(nodes));
        let new: Vec<KeptValue> = people.chain(nodes).cloned().collect();
        let full = Problem::Resources.report("the node cannot keep any more of what it has released");
        shelf.add(&new).map_err(|_| full)?;
        Ok(new)
    }
}

fn refuse(message: &str, remedy: &str) -> Report {
    Problem::ModelDisclosure.report(message).remedy(remedy)
}

fn contribution(column: &Column, rows: Range<usize>) -> Contribution {
    let count = Contribution::default().with_rows(rows.len() as i64);
    match column {
        Column::Numbers(numbers) => count.with_number(numbers[rows].iter().sum()),
        Column::Codes(codes) => codes[rows]
            .iter()
            .fold(count, |all, code| all.with_rows(i64::from(*code))),
    }
}

/// The rows of one person after another.
fn person_ranges(frame: &Frame) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    frame.people.chunk_by(|one, other| one == other).map(move |rows| {
        let range = at..at + rows.len();
        at = range.end;
        range
    })
}

fn people_of(frame: &Frame) -> u64 {
    person_ranges(frame).count() as u64
}

/// What tells people apart by a few values, and the places of the needs that are numbers of many.
fn groupings(read: &Read, model: &Model) -> (Vec<Grouping>, Vec<usize>) {
    let exposure = &model.exposure;
    let mut by_factor: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for level in &exposure.levels {
        by_factor.entry(&level.factor).or_default().push(&level.value);
    }
    let is_node = |value: &Value| match value {
        Value::IsLevel(at, _) => model.needs[*at].column() == NODE_COLUMN,
        _ => false,
    };
    let mut groupings: Vec<Grouping> = by_factor
        .into_iter()
        .map(|(factor, values)| Grouping {
            name: factor.to_owned(),
            is_node: values.iter().any(|value| is_node(value)),
            indicators: values.into_iter().cloned().collect(),
            has_rest: true,
        })
        .collect();
    let of_levels: Vec<&Value> = exposure.levels.iter().map(|level| &level.value).collect();
    for column in &exposure.columns {
        for value in column
            .factors
            .iter()
            .filter(|value| value.is_indicator() && !of_levels.contains(value))
        {
            if !groupings
                .iter()
                .any(|known| known.indicators.as_slice() == std::slice::from_ref(value))
            {
                groupings.push(Grouping {
                    name: column.name.clone(),
                    indicators: vec![value.clone()],
                    has_rest: true,
                    is_node: false,
                });
            }
        }
    }
    let mut numbers = Vec::new();
    for (at, need) in model.needs[..exposure.summed].iter().enumerate() {
        let Need::Number(name) = need else { continue };
        // The outcome is looked at apart.
        if matches!(&exposure.outcome, Some(Value::Number(outcome) | Value::Within(outcome, ..)) if *outcome == at) {
            continue;
        }
        match few_values(read, at) {
            Some(values) => groupings.push(Grouping {
                name: name.clone(),
                indicators: values
                    .iter()
                    .map(|value| Value::Within(at, *value, value.next_up()))
                    .collect(),
                has_rest: false,
                is_node: false,
            }),
            None => numbers.push(at),
        }
    }
    // A factor of all declared values has no rest, but one whose values another node has has.
    for grouping in &mut groupings {
        let people = crossed(read, &[grouping]);
        grouping.has_rest = grouping.has_rest && (grouping.indicators.len() == 1 || people.last() != Some(&0));
    }
    (groupings, numbers)
}

/// The values of a column of numbers, if there are two at most.
fn few_values(read: &Read, at: usize) -> Option<Vec<f64>> {
    let mut found: Vec<f64> = Vec::new();
    for frame in &read.frames {
        let Column::Numbers(values) = &frame.columns[at] else {
            continue;
        };
        for value in values {
            if !found.contains(value) {
                found.push(*value);
                if found.len() > 2 {
                    return None;
                }
            }
        }
    }
    Some(found)
}

/// Distinct people for each combination of values.
fn crossed(read: &Read, groupings: &[&Grouping]) -> Vec<u64> {
    let cells: usize = groupings.iter().map(|grouping| grouping.size()).product();
    let mut people = vec![0; cells];
    for frame in &read.frames {
        let mut last: Vec<Option<i64>> = vec![None; cells];
        let mut room = vec![0.0; BLOCK_ROWS];
        for from in (0..frame.rows).step_by(BLOCK_ROWS) {
            let rows = BLOCK_ROWS.min(frame.rows - from);
            let mut cell = vec![0; rows];
            for grouping in groupings {
                let mut value = vec![grouping.indicators.len(); rows];
                for (at, indicator) in grouping.indicators.iter().enumerate() {
                    indicator.fill(frame, from, &mut room[..rows]);
                    for (value, is_one) in value.iter_mut().zip(&room) {
                        if *is_one >= 0.5 {
                            *value = at;
                        }
                    }
                }
                for (cell, value) in cell.iter_mut().zip(value) {
                    *cell = *cell * grouping.size() + value;
                }
            }
            for (row, cell) in cell.into_iter().enumerate() {
                let person = frame.people[from + row];
                if last[cell] != Some(person) {
                    last[cell] = Some(person);
                    people[cell] += 1;
                }
            }
        }
    }
    people
}

#[cfg(test)]
mod tests;
