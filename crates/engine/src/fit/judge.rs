//! Whom the sums of a fit would tell of, looked at before the first of them leaves: `docs/disclosure.md`, section 6.
//!
//! What is told of a refusal names terms of the model, never a number of people, and never which level of a factor it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use models::Model;
use models::design::{DesignColumn, Need, Value};
use models::frame::{Column, Frame};
use models::model::Exposure;
use terms::{CollectionId, Problem, Report};

use super::overlap::{About, Roster};
use super::rows::Read;
use crate::disclose::Rules;
use crate::kept::KeptValues;
use crate::query::NODE_COLUMN;

/// Rows whose indicators are looked at together.
const BLOCK_ROWS: usize = 1_024;

/// Most groups that are told apart together, so that they can be counted.
const CELLS_MAX: usize = 1 << 20;

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
    /// The columns of numbers that can be summed, and whether they are whole.
    pub(super) measures: BTreeMap<String, bool>,
}

/// Something that tells people apart by a few values.
pub(super) struct Grouping {
    /// As it is called in a refusal.
    name: String,
    /// One for each value; each row has one of them, or is in the last one.
    pub(super) indicators: Vec<Value>,
    /// Whether a row may be in none of them.
    has_rest: bool,
    /// Whether it is the same for all rows of a node by its nature.
    is_node: bool,
    /// The need whose values it tells apart, and whether one by one.
    pub(super) of: (usize, bool),
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
        if self.refuses_overlaps && read.unknown.iter().any(|unknown| (1..k).contains(unknown)) {
            let message = "a column that is no measure is not known of too few people here: their number would be told";
            return Err(refuse(message, "leave it out, or take another column"));
        }
        let parts = Parts::of(read, model);
        self.require_groups(read, &parts)?;
        self.require_numbers(read, &parts)?;
        let is_of_few = |offset: &Value| [1.0, -1.0].iter().any(|sign| weighed(read, offset, *sign) < k as f64);
        if model.exposure.offsets.iter().any(is_of_few) {
            let message = "the offset gives nearly all weight to too few people here";
            return Err(refuse(message, "take its logarithm, or leave it out"));
        }
        let about = self.about(read, model, &parts)?;
        self.require_distance(&about, &kept.shelf())?;
        Ok(about)
    }

    /// Rows that were left out, unless they are of a few people.
    pub(super) fn tells_dropped(&self, read: &Read) -> Option<u64> {
        let is_small = (1..self.rules.people_min).contains(&read.dropped_people);
        (!is_small).then_some(read.dropped_rows)
    }

    fn require_groups(&self, read: &Read, parts: &Parts) -> Result<(), Report> {
        let k = self.rules.people_min;
        let small = |people: &[u64]| people.iter().any(|people| (1..k).contains(people));
        for (at, grouping) in parts.groupings.iter().enumerate() {
            let people = crossed(read, &parts.named(&[at].into()))?;
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
        let singles = (0..parts.groupings.len()).map(|at| BTreeSet::from([at]));
        let of_columns = parts.columns.iter().map(|column| column.groups.clone());
        let alone: BTreeSet<BTreeSet<usize>> = singles.chain(of_columns).collect();
        for groups in &alone {
            let Some(outcome) = parts.outcome.filter(|outcome| !groups.contains(outcome)) else {
                continue;
            };
            let with_outcome = parts.named(groups).into_iter().chain([&parts.groupings[outcome]]);
            let people = crossed(read, &with_outcome.collect::<Vec<_>>())?;
            let levels = people.chunks(parts.groupings[outcome].size());
            let is_told =
                |level: &[u64]| level.iter().any(|people| *people > 0) && level.iter().any(|people| *people < k);
            if levels.into_iter().any(is_told) {
                let message = format!(
                    "{} tells apart a group with too few people of one outcome here",
                    parts.names(groups)
                );
                return Err(refuse(&message, "leave it out, or join its levels"));
            }
        }
        let pairs = alone.iter().flat_map(|one| alone.iter().map(move |other| one | other));
        let pairs: BTreeSet<BTreeSet<usize>> = pairs.filter(|_| self.tells_pairs).collect();
        for groups in alone.union(&pairs).filter(|groups| groups.len() > 1) {
            if small(&crossed(read, &parts.named(groups))?) {
                let message = format!(
                    "{} together tell apart a group with too few people here",
                    parts.names(groups)
                );
                return Err(refuse(&message, "leave one of them out, or join levels"));
            }
        }
        Ok(())
    }

    /// What is asked of a sum over a column, is asked of it here too: over all people, and in each group of which a sum is told.
    fn require_numbers(&self, read: &Read, parts: &Parts) -> Result<(), Report> {
        let alone = parts
            .columns
            .iter()
            .map(|column| (column.groups.clone(), column.numbers.clone()));
        let pairs = parts.columns.iter().enumerate();
        let pairs = pairs.flat_map(|(at, one)| parts.columns[at + 1..].iter().map(move |other| (one, other)));
        let pairs = pairs.filter(|_| self.tells_pairs);
        let pairs = pairs.map(|(one, other)| (&one.groups | &other.groups, &one.numbers | &other.numbers));
        let of_all = (BTreeSet::new(), (0..parts.numbers.len()).collect());
        let mut told: BTreeMap<BTreeSet<usize>, BTreeSet<usize>> = BTreeMap::new();
        for (groups, numbers) in alone.chain(pairs).chain([of_all]) {
            told.entry(groups).or_default().extend(numbers);
        }
        for (groups, numbers) in &told {
            let place = match groups.is_empty() {
                true => String::new(),
                false => format!(" in a group that {} tells apart", parts.names(groups)),
            };
            let groupings = parts.named(groups);
            let combinations = combinations(&groupings)?;
            let cells: Vec<Vec<usize>> = read.frames.iter().map(|frame| cells(frame, &groupings)).collect();
            for number in numbers.iter().map(|at| &parts.numbers[*at]) {
                for totals in totals(read, &cells, combinations, &number.value, &self.rules) {
                    self.require_total(&totals, &number.name, &place)?;
                }
            }
        }
        Ok(())
    }

    fn require_total(&self, totals: &Totals, name: &str, place: &str) -> Result<(), Report> {
        if totals.people < self.rules.people_min {
            let message = format!("too few people here have another {name} than 0{place}");
            return Err(refuse(&message, "leave it out"));
        }
        if totals.values.is_none_or(|(low, high)| low == high) {
            let message = format!("{name} is the same for everybody{place} here: the sums would say so");
            return Err(refuse(&message, "leave it out, or ask other nodes"));
        }
        let Totals { all, largest, .. } = totals;
        let is_dominated = self
            .rules
            .dominance
            .is_some_and(|dominance| largest.iter().take(dominance.top as usize).sum::<f64>() > dominance.share * all);
        let is_near = self.rules.p_percent.is_some_and(|p| {
            let (largest, second) = (largest[0], largest.get(1).copied().unwrap_or_default());
            all - largest - second < f64::from(p) / 100.0 * largest
        });
        if is_dominated || is_near {
            let message = format!("a few people give most of {name}{place} here");
            return Err(refuse(&message, "leave it out, or take a function of it such as log"));
        }
        Ok(())
    }
}

pub(super) fn refuse(message: &str, remedy: &str) -> Report {
    Problem::ModelDisclosure.report(message).remedy(remedy)
}

/// The rows of one person after another.
pub(super) fn person_ranges(frame: &Frame) -> impl Iterator<Item = Range<usize>> + '_ {
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

/// What the sums of a model are made of.
pub(super) struct Parts {
    pub(super) groupings: Vec<Grouping>,
    /// Which of them is the outcome.
    pub(super) outcome: Option<usize>,
    pub(super) numbers: Vec<Number>,
    /// What is multiplied in sums.
    pub(super) columns: Vec<Product>,
}

/// A number of which the rows have many values, and what is made of it.
pub(super) struct Number {
    name: String,
    value: Value,
}

impl Number {
    /// The need that it is made of, and whether it is just that.
    pub(super) fn need(&self) -> (usize, bool) {
        (need_of(&self.value), matches!(self.value, Value::Number(_)))
    }
}

fn need_of(value: &Value) -> usize {
    match value {
        Value::Number(at) | Value::Log(at) | Value::Root(at) | Value::Power(at, _) => *at,
        Value::Within(at, ..) | Value::IsLevel(at, _) => *at,
    }
}

/// What one column multiplies.
#[derive(Default)]
pub(super) struct Product {
    pub(super) groups: BTreeSet<usize>,
    pub(super) numbers: BTreeSet<usize>,
}

impl Parts {
    pub(super) fn of(read: &Read, model: &Model) -> Self {
        let exposure = &model.exposure;
        let mut groupings = of_factors(model);
        let is_outcome = |value: &Value| exposure.outcome.as_ref() == Some(value);
        for column in &exposure.columns {
            for value in column.factors.iter().filter(|value| value.is_indicator()) {
                if !is_outcome(value) && !groupings.iter().any(|known| known.indicators.contains(value)) {
                    groupings.push(Grouping {
                        name: column.name.clone(),
                        indicators: vec![value.clone()],
                        has_rest: true,
                        is_node: false,
                        of: (need_of(value), false),
                    });
                }
            }
        }
        let mut of_needs = BTreeMap::new();
        let mut numbers = Vec::new();
        for (at, need) in model.needs[..exposure.summed].iter().enumerate() {
            let Need::Number(name) = need else { continue };
            let values = few_values(read, at, solvable(at, exposure));
            let is_binary = values
                .as_ref()
                .is_some_and(|values| values.iter().all(|value| [0.0, 1.0].contains(value)));
            if is_binary && is_outcome(&Value::Number(at)) {
                continue;
            }
            let Some(values) = values else {
                numbers.extend(made_of(at, name, exposure));
                continue;
            };
            of_needs.insert(at, groupings.len());
            let indicators = values.iter().map(|value| Value::Within(at, *value, value.next_up()));
            groupings.push(Grouping {
                name: name.clone(),
                indicators: indicators.collect(),
                has_rest: false,
                is_node: false,
                of: (at, true),
            });
        }
        let outcome = exposure.outcome.as_ref().map(|value| {
            groupings.push(Grouping {
                name: "the outcome".to_owned(),
                indicators: vec![value.clone()],
                has_rest: true,
                is_node: false,
                of: (need_of(value), matches!(value, Value::Number(_))),
            });
            groupings.len() - 1
        });
        let mut parts = Self {
            groupings,
            outcome,
            numbers,
            columns: Vec::new(),
        };
        parts.columns = exposure
            .columns
            .iter()
            .map(|column| parts.product(column, &of_needs))
            .collect();
        // A factor of all declared values has no rest, but one whose values another node has has.
        for grouping in &mut parts.groupings {
            grouping.has_rest =
                grouping.has_rest && (grouping.indicators.len() == 1 || rows_in_rest(read, grouping) > 0);
        }
        parts
    }

    fn product(&self, column: &DesignColumn, of_needs: &BTreeMap<usize, usize>) -> Product {
        let mut product = Product::default();
        for value in &column.factors {
            let grouping = self
                .groupings
                .iter()
                .position(|grouping| grouping.indicators.contains(value));
            let of_need = value.number().and_then(|need| of_needs.get(&need).copied());
            match grouping.or(of_need) {
                Some(grouping) => product.groups.extend([grouping]),
                None => product
                    .numbers
                    .extend(self.numbers.iter().position(|number| number.value == *value)),
            }
        }
        product
    }

    pub(super) fn named(&self, groups: &BTreeSet<usize>) -> Vec<&Grouping> {
        groups.iter().map(|at| &self.groupings[*at]).collect()
    }

    fn names(&self, groups: &BTreeSet<usize>) -> String {
        let names: Vec<&str> = groups.iter().map(|at| self.groupings[*at].name.as_str()).collect();
        names.join(" and ")
    }
}

/// What a model makes of a column of numbers, other than groups of its values.
fn made_of(at: usize, name: &str, exposure: &Exposure) -> Vec<Number> {
    let values = exposure.columns.iter().flat_map(|column| &column.factors);
    let mut values: Vec<&Value> = values.filter(|value| value.number() == Some(at)).collect();
    values.dedup();
    let as_it_is = Value::Number(at);
    if values.is_empty() {
        values.push(&as_it_is);
    }
    let mut made: Vec<Number> = Vec::new();
    for value in values.into_iter().filter(|value| !value.is_indicator()) {
        if made.iter().all(|known| known.value != *value) {
            let name = match value {
                Value::Log(_) => format!("log({name})"),
                Value::Root(_) => format!("sqrt({name})"),
                Value::Power(_, power) => format!("I({name}^{power})"),
                Value::Number(_) | Value::IsLevel(..) | Value::Within(..) => name.to_owned(),
            };
            made.push(Number {
                name,
                value: value.clone(),
            });
        }
    }
    made
}

/// Factors with all their values.
fn of_factors(model: &Model) -> Vec<Grouping> {
    let mut by_factor: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for level in &model.exposure.levels {
        by_factor.entry(&level.factor).or_default().push(&level.value);
    }
    let is_node = |value: &Value| match value {
        Value::IsLevel(at, _) => model.needs[*at].column() == NODE_COLUMN,
        _ => false,
    };
    let is_level = |value: &Value| matches!(value, Value::IsLevel(..));
    let grouping = |(factor, values): (&str, Vec<&Value>)| Grouping {
        name: factor.to_owned(),
        is_node: values.iter().any(|value| is_node(value)),
        of: (
            values.first().map_or(0, |value| need_of(value)),
            values.iter().all(|value| is_level(value)),
        ),
        indicators: values.into_iter().cloned().collect(),
        has_rest: true,
    };
    by_factor.into_iter().map(grouping).collect()
}

/// How many values of a number can be counted from its sums: those of its powers are so many equations, and counts are whole.
fn solvable(at: usize, exposure: &Exposure) -> usize {
    let of_columns = exposure.columns.iter().flat_map(|column| &column.factors);
    let power = |value: &Value| match value {
        Value::Power(need, power) if *need == at => usize::try_from(*power).unwrap_or(1),
        _ => 1,
    };
    2 * of_columns.map(power).max().unwrap_or(1) + 2
}

/// The values of a column of numbers, if there are so many at most.
fn few_values(read: &Read, at: usize, most: usize) -> Option<Vec<f64>> {
    let mut found: Vec<f64> = Vec::new();
    for frame in &read.frames {
        let Column::Numbers(values) = &frame.columns[at] else {
            continue;
        };
        for value in values {
            if !found.contains(value) {
                found.push(*value);
                if found.len() > most {
                    return None;
                }
            }
        }
    }
    Some(found)
}

/// Combinations of the values of groupings.
pub(super) fn combinations(groupings: &[&Grouping]) -> Result<usize, Report> {
    let mut sizes = groupings.iter().map(|grouping| grouping.size());
    let all = sizes.try_fold(1_usize, usize::checked_mul);
    all.filter(|all| *all <= CELLS_MAX).ok_or_else(|| {
        let message = "the terms tell apart more groups than a node looks at";
        refuse(message, "leave interactions or factors of many values out")
    })
}

/// In which combination of values each row is.
pub(super) fn cells(frame: &Frame, groupings: &[&Grouping]) -> Vec<usize> {
    let mut cells = vec![0; frame.rows];
    let mut room = vec![0.0; BLOCK_ROWS];
    for (block, cells) in cells.chunks_mut(BLOCK_ROWS).enumerate() {
        let room = &mut room[..cells.len()];
        for grouping in groupings {
            let mut values = [grouping.indicators.len(); BLOCK_ROWS];
            for (at, indicator) in grouping.indicators.iter().enumerate() {
                indicator.fill(frame, block * BLOCK_ROWS, room);
                for (value, is_one) in values.iter_mut().zip(room.iter()) {
                    if *is_one >= 0.5 {
                        *value = at;
                    }
                }
            }
            for (cell, value) in cells.iter_mut().zip(values) {
                *cell = *cell * grouping.size() + value;
            }
        }
    }
    cells
}

/// Distinct people for each combination of values.
fn crossed(read: &Read, groupings: &[&Grouping]) -> Result<Vec<u64>, Report> {
    let size = combinations(groupings)?;
    let mut people = vec![0; size];
    for frame in &read.frames {
        let mut last: Vec<Option<i64>> = vec![None; size];
        for (cell, person) in cells(frame, groupings).into_iter().zip(&frame.people) {
            if last[cell] != Some(*person) {
                last[cell] = Some(*person);
                people[cell] += 1;
            }
        }
    }
    Ok(people)
}

fn rows_in_rest(read: &Read, grouping: &Grouping) -> usize {
    let rest = grouping.indicators.len();
    let frames = read.frames.iter();
    frames
        .map(|frame| {
            cells(frame, &[grouping])
                .into_iter()
                .filter(|cell| *cell == rest)
                .count()
        })
        .sum()
}

/// How many people rows weighed by exp(±offset) are about, after Kish (1965): (Σw)² / Σw².
fn weighed(read: &Read, offset: &Value, sign: f64) -> f64 {
    let values = read.frames.iter().map(|frame| {
        let mut values = vec![0.0; frame.rows];
        offset.fill(frame, 0, &mut values);
        values.iter_mut().for_each(|value| *value *= sign);
        values
    });
    let values: Vec<Vec<f64>> = values.collect();
    let largest = values.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut all, mut squares) = (0.0, 0.0);
    for (frame, values) in read.frames.iter().zip(&values) {
        for rows in person_ranges(frame) {
            let weight: f64 = values[rows].iter().map(|value| (value - largest).exp()).sum();
            all += weight;
            squares += weight * weight;
        }
    }
    all * all / squares
}

/// What the people of one combination of values have together of a number.
#[derive(Clone, Debug, Default)]
struct Totals {
    /// With another total than 0.
    people: u64,
    /// Of the absolute totals of all.
    all: f64,
    /// The largest of them, the largest first.
    largest: Vec<f64>,
    /// The smallest and the largest value.
    values: Option<(f64, f64)>,
}

impl Totals {
    fn add(&mut self, total: f64, most: usize) {
        let total = total.abs();
        self.people += u64::from(total > 0.0);
        self.all += total;
        let at = self.largest.partition_point(|larger| *larger >= total);
        if at < most {
            self.largest.truncate(most - 1);
            self.largest.insert(at, total);
        }
    }
}

/// For each combination of values in which there is a row; `cells` says of each frame in which its rows are.
fn totals(read: &Read, cells: &[Vec<usize>], combinations: usize, number: &Value, rules: &Rules) -> Vec<Totals> {
    let most = rules.dominance.map_or(2, |dominance| dominance.top.max(2) as usize);
    let mut all = vec![Totals::default(); combinations];
    let mut own: Vec<(usize, f64)> = Vec::new();
    for (frame, cells) in read.frames.iter().zip(cells) {
        let mut values = vec![0.0; frame.rows];
        number.fill(frame, 0, &mut values);
        for rows in person_ranges(frame) {
            for row in rows {
                let (cell, value) = (cells[row], values[row]);
                let (low, high) = all[cell].values.unwrap_or((value, value));
                all[cell].values = Some((low.min(value), high.max(value)));
                match own.iter_mut().find(|(known, _)| *known == cell) {
                    Some((_, total)) => *total += value,
                    None => own.push((cell, value)),
                }
            }
            own.drain(..).for_each(|(cell, total)| all[cell].add(total, most));
        }
    }
    all.retain(|totals| totals.values.is_some());
    all
}

#[cfg(test)]
pub(super) mod tests;
