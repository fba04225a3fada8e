//! Values that were released before. The same people give the same answer, and nearly the same people the older one: two answers
//! never differ by fewer people than a cell must have. See `docs/disclosure.md`, section 4.
//!
//! What is kept are released values and sketches; who is in them cannot be read from either. The node writes them to its
//! ledger before an answer leaves. Next: `sketch.rs`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use terms::{CollectionId, limit};

use crate::cells::{Input, Total};
use crate::sketch::Sketch;

/// What is kept of the values of one input of one cell: all that its counts, sums, means and spreads are made of, so that none of
/// them is ever newer than another.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptValue {
    /// The collection and the columns, and whether it is about bins: `patients cost`.
    pub statistic: String,
    /// The smallest number of people under which it was released.
    pub people_min: u64,
    state: State,
    sketch: Sketch,
}

/// The numbers of an input. Of some only who was in them is kept, without columns: no value can be made of these.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) rows: i64,
    pub(crate) people: u64,
    /// Of two columns, the sum of products of their deviations.
    pub(crate) product: f64,
    /// Sum, mean and sum of squared deviations of each column.
    pub(crate) columns: Vec<(Total, f64, f64)>,
    /// Rows of each declared bin.
    pub(crate) bins: Vec<i64>,
}

impl From<&Input> for State {
    fn from(input: &Input) -> Self {
        let columns = input.columns.iter();
        Self {
            rows: input.rows,
            people: input.people,
            product: input.product,
            columns: columns.map(|one| (one.total, one.mean, one.squares)).collect(),
            bins: input.bins.iter().map(|(rows, _)| *rows).collect(),
        }
    }
}

/// What a value is of: columns of a collection, each as it is named, and `what` of them.
pub(crate) fn statistic(collection: &CollectionId, what: &str, columns: &[String]) -> String {
    format!("{collection} {what}{}", columns.join(" and "))
}

impl KeptValue {
    pub(crate) fn new(statistic: String, people_min: u64, state: State, sketch: Sketch) -> Self {
        Self {
            statistic,
            people_min,
            state,
            sketch,
        }
    }

    /// People who contribute.
    pub fn people(&self) -> u64 {
        self.state.people
    }

    /// A name for the people and what they contribute: the same for the same. Whoever has no key of sketches learns nothing from it.
    pub(crate) fn mark(&self) -> String {
        trust::Digest::of(self.sketch.as_bytes()).hex()
    }

    /// A sketch does not see one person in 256, so numbers of people and rows must be the same too.
    fn is_about_the_same(&self, other: &KeptValue) -> bool {
        let counts = |value: &KeptValue| (value.state.rows, value.state.people);
        counts(self) == counts(other) && self.sketch == other.sketch
    }

    /// Whether a value can be made of it wherever one can be made of the other.
    pub(crate) fn says_as_much_as(&self, other: &KeptValue) -> bool {
        self.state.columns.len() >= other.state.columns.len() && self.state.bins.len() >= other.state.bins.len()
    }

    /// The same input as it was when this was kept; none if it is of another shape.
    pub(crate) fn instead_of(&self, input: &Input) -> Option<Input> {
        let State {
            rows,
            people,
            product,
            columns,
            bins,
        } = &self.state;
        if columns.len() != input.columns.len() || bins.len() != input.bins.len() {
            return None;
        }
        let mut older = input.clone();
        (older.rows, older.people, older.product) = (*rows, *people, *product);
        for (moments, (total, mean, squares)) in older.columns.iter_mut().zip(columns) {
            (moments.total, moments.mean, moments.squares) = (*total, *mean, *squares);
        }
        for ((rows, _), kept) in older.bins.iter_mut().zip(bins) {
            *rows = *kept;
        }
        Some(older)
    }

    /// The sketch, and the numbers as text: floats as `f` and the 16 hex digits of their bits.
    pub fn parts(&self) -> (&[u8], String) {
        let State {
            rows,
            people,
            product,
            columns,
            bins,
        } = &self.state;
        let mut words = vec![
            rows.to_string(),
            people.to_string(),
            float(*product),
            columns.len().to_string(),
        ];
        for (total, mean, squares) in columns {
            words.push(match total {
                Total::Integer(sum) => sum.to_string(),
                Total::Number { .. } => float(total.as_f64()),
            });
            words.extend([float(*mean), float(*squares)]);
        }
        words.extend(bins.iter().map(ToString::to_string));
        (self.sketch.as_bytes(), words.join(" "))
    }

    /// Reads back what [`KeptValue::parts`] gave; none if it is damaged.
    pub fn from_parts(statistic: String, people_min: u64, sketch: &[u8], numbers: &str) -> Option<Self> {
        let mut words = numbers.split(' ');
        let (rows, people) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let product = read_float(words.next()?)?;
        let width: usize = words.next()?.parse().ok()?;
        let mut columns = Vec::new();
        for _ in 0..width {
            let total = match words.next()? {
                word if word.starts_with('f') => Total::Number {
                    sum: read_float(word)?,
                    lost: 0.0,
                },
                word => Total::Integer(word.parse().ok()?),
            };
            columns.push((total, read_float(words.next()?)?, read_float(words.next()?)?));
        }
        let bins = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        Some(Self {
            statistic,
            people_min,
            state: State {
                rows,
                people,
                product,
                columns,
                bins,
            },
            sketch: Sketch::from_bytes(sketch)?,
        })
    }
}

fn float(number: f64) -> String {
    format!("f{:016x}", number.to_bits())
}

fn read_float(word: &str) -> Option<f64> {
    let bits = u64::from_str_radix(word.strip_prefix('f')?, 16).ok()?;
    Some(f64::from_bits(bits))
}

/// The values that a node keeps, the oldest first.
#[derive(Debug, Default)]
pub struct KeptValues(Mutex<Shelf>);

/// What was released before of nearly the same people.
#[derive(Debug)]
pub(crate) enum Older {
    /// Nothing: the value is a new one.
    Nothing,
    /// This, and it leaves again.
    Kept(Box<Input>),
    /// Something of which no value can be made: none may leave.
    Unsaid,
}

/// There is no room for another value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Debug, Default)]
pub(crate) struct Shelf {
    by_statistic: HashMap<String, OfStatistic>,
    count: u64,
}

/// The values of one statistic.
#[derive(Debug, Default)]
struct OfStatistic {
    /// By the number of people; with the order in which they came.
    by_people: BTreeMap<u64, Vec<(u64, KeptValue)>>,
    /// The largest threshold of any of them.
    people_min: u64,
}

impl KeptValues {
    /// The values that were kept before, the oldest first.
    pub fn recall(values: impl IntoIterator<Item = KeptValue>) -> Self {
        let mut shelf = Shelf::default();
        values.into_iter().for_each(|value| shelf.put(value));
        Self(Mutex::new(shelf))
    }

    /// Nobody else compares or adds meanwhile: of two answers that come at the same time one is the older.
    pub(crate) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// What may leave in the place of an input: it as it was in the oldest value of the same statistic that too few people tell apart from
    /// this one, fewer than either was or is to be released under.
    pub(crate) fn older(&self, value: &KeptValue, input: &Input) -> Older {
        let near = self.near(value).filter(|(_, kept)| kept.people() >= value.people_min);
        let older = near.filter_map(|(order, kept)| Some((order, kept.instead_of(input)?)));
        match older.min_by_key(|(order, _)| **order) {
            Some((_, older)) => Older::Kept(Box::new(older)),
            None if self.near(value).any(|(_, kept)| !kept.is_about_the_same(value)) => Older::Unsaid,
            None => Older::Nothing,
        }
    }

    /// The values of the same statistic that too few people tell apart from this one, with the order in which they came.
    fn near<'a, 'v>(&'a self, value: &'v KeptValue) -> impl Iterator<Item = &'a (u64, KeptValue)> + use<'a, 'v> {
        let of_statistic = self.by_statistic.get(&value.statistic);
        let candidates = of_statistic.into_iter().flat_map(|of_statistic| {
            let close = value.people_min.max(of_statistic.people_min).saturating_sub(1);
            let people = value.people();
            let of_size = people.saturating_sub(close)..=people.saturating_add(close);
            of_statistic.by_people.range(of_size).flat_map(|(_, values)| values)
        });
        candidates.filter(|(_, kept)| {
            kept.sketch
                .is_nearer(&value.sketch, value.people_min.max(kept.people_min))
        })
    }

    /// Whether fewer people than either needs tell it from one of the same statistic, and it is none of them.
    pub(crate) fn differs_by_few(&self, value: &KeptValue) -> bool {
        self.is_near_another(value) && !self.holds(value)
    }

    /// Whether there is one of the same statistic about the very same, of which as much can be made.
    pub(crate) fn holds(&self, value: &KeptValue) -> bool {
        let mut near = self.near(value).map(|(_, kept)| kept);
        near.any(|kept| kept.is_about_the_same(value) && kept.says_as_much_as(value))
    }

    /// Whether fewer than either needs tell it from another one of the same statistic.
    pub(crate) fn is_near_another(&self, value: &KeptValue) -> bool {
        self.near(value).any(|(_, kept)| !kept.is_about_the_same(value))
    }

    /// Keeps values of one answer.
    pub(crate) fn add(&mut self, values: &[KeptValue]) -> Result<(), Full> {
        if self.count + values.len() as u64 > limit::KEPT_VALUES_MAX {
            return Err(Full);
        }
        values.iter().for_each(|value| self.put(value.clone()));
        Ok(())
    }

    fn put(&mut self, value: KeptValue) {
        let of_statistic = self.by_statistic.entry(value.statistic.clone()).or_default();
        of_statistic.people_min = of_statistic.people_min.max(value.people_min);
        let of_size = of_statistic.by_people.entry(value.people()).or_default();
        of_size.push((self.count, value));
        self.count += 1;
    }
}

#[cfg(test)]
mod tests;
