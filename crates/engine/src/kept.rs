//! Values that were released before. The same people give the same answer, and nearly the same people the older one: two answers
//! never differ by fewer people than a cell must have. See `docs/disclosure.md`, section 4.
//!
//! What is kept are released values and sketches; who is in them cannot be read from either. The node writes them to its
//! ledger before an answer leaves. Next: `sketch.rs`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use terms::limit;

use crate::numbers::Number;
use crate::sketch::Sketch;

/// A value as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptValue {
    /// The collection and the statistic: `patients sum(cost)`.
    pub statistic: String,
    /// People who contribute.
    pub people: u64,
    /// Rows behind it.
    pub rows: i64,
    /// The value before rounding.
    pub number: Number,
    pub(crate) sketch: Sketch,
}

impl KeptValue {
    /// The sketch, and the number as text: an integer, or the bits of a float in 16 hex digits after `f`.
    pub fn parts(&self) -> (&[u8], String) {
        let number = match self.number {
            Number::Integer(number) => number.to_string(),
            Number::Float(number) => format!("f{:016x}", number.to_bits()),
        };
        (self.sketch.as_bytes(), number)
    }

    /// Reads back what [`KeptValue::parts`] gave; none if it is damaged.
    pub fn from_parts(statistic: String, people: u64, rows: i64, sketch: &[u8], number: &str) -> Option<Self> {
        let number = match number.strip_prefix('f') {
            Some(bits) => Number::Float(f64::from_bits(u64::from_str_radix(bits, 16).ok()?)),
            None => Number::Integer(number.parse().ok()?),
        };
        let sketch = Sketch::from_bytes(sketch)?;
        Some(Self {
            statistic,
            people,
            rows,
            number,
            sketch,
        })
    }
}

/// The values that a node keeps, the oldest first.
#[derive(Debug, Default)]
pub struct KeptValues(Mutex<Shelf>);

/// There is no room for another value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// By statistic and number of people; with the order in which they came.
    values: HashMap<String, BTreeMap<u64, Vec<(u64, KeptValue)>>>,
    count: u64,
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
    /// The oldest value of the same statistic that fewer than `people_min` people tell apart from this one.
    pub(crate) fn nearest(&self, value: &KeptValue, people_min: u64) -> Option<&KeptValue> {
        let close = people_min.saturating_sub(1);
        let of_size = value.people.saturating_sub(close)..=value.people.saturating_add(close);
        let of_statistic = self.values.get(&value.statistic)?;
        let candidates = of_statistic.range(of_size).flat_map(|(_, values)| values);
        candidates
            .filter(|(_, kept)| kept.sketch.distance(&value.sketch) < people_min)
            .min_by_key(|(order, _)| *order)
            .map(|(_, kept)| kept)
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
        let of_statistic = self.values.entry(value.statistic.clone()).or_default();
        of_statistic.entry(value.people).or_default().push((self.count, value));
        self.count += 1;
    }
}
