//! Which cell a row is in: key values become numbers, and combinations of them cells, numbered as they first come.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, UInt32Array};
use datafusion::arrow::compute::{cast, concat, take};
use datafusion::arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::arrow::error::ArrowError;
use terms::limit;

use crate::cells::CellsError;

/// The cells seen so far, by their keys.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Of each key.
    values: Vec<Values>,
    /// Of each key but the first: its value together with those before.
    pairs: Vec<Numbers<u64>>,
    /// Of each key, its value in each cell, in pieces.
    seen: Vec<Vec<ArrayRef>>,
    cells: u32,
}

impl Keys {
    /// Of so many keys. Without any there is one cell.
    pub(crate) fn new(keys: usize) -> Self {
        Self {
            values: (0..keys).map(|_| Values::default()).collect(),
            pairs: (1..keys).map(|_| Numbers::default()).collect(),
            seen: vec![Vec::new(); keys],
            cells: u32::from(keys == 0),
        }
    }

    /// The cell of each of `rows` rows.
    pub(crate) fn cells_of(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>, CellsError> {
        let Some((first, others)) = keys.split_first() else {
            return Ok(vec![0; rows]);
        };
        let mut cells = self.values[0].numbers_of(first)?;
        for ((key, values), pairs) in others.iter().zip(&mut self.values[1..]).zip(&mut self.pairs) {
            let numbers = values.numbers_of(key)?;
            for (cell, number) in cells.iter_mut().zip(numbers) {
                let pair = u64::from(*cell) << 32 | u64::from(number);
                *cell = pairs.of(&pair, slot_of_word(pair));
            }
        }
        self.keep_new(keys, &cells)?;
        Ok(cells)
    }

    /// How many cells there are.
    pub(crate) fn len(&self) -> usize {
        self.cells as usize
    }

    /// The keys of all cells, in the order of their numbers; none if no row came.
    pub(crate) fn columns(&self) -> Result<Vec<ArrayRef>, ArrowError> {
        if self.cells == 0 {
            return Ok(Vec::new());
        }
        let whole = |pieces: &Vec<ArrayRef>| {
            let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
            concat(&pieces)
        };
        self.seen.iter().map(whole).collect()
    }

    /// New cells have the numbers that follow, in the order of the rows that they come with.
    fn keep_new(&mut self, keys: &[ArrayRef], cells: &[u32]) -> Result<(), CellsError> {
        let mut new = Vec::new();
        for (row, cell) in (0_u32..).zip(cells) {
            if *cell == self.cells {
                new.push(row);
                self.cells += 1;
            }
        }
        if self.len() > limit::GROUPS_MAX {
            return Err(CellsError::TooMany);
        }
        if !new.is_empty() {
            let new = UInt32Array::from(new);
            for (pieces, key) in self.seen.iter_mut().zip(keys) {
                pieces.push(own(&take(key, &new, None)?)?);
            }
        }
        Ok(())
    }
}

/// Views hold on to all that was read with them.
fn own(key: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match key.data_type() {
        DataType::Utf8View => cast(key, &DataType::Utf8),
        _ => Ok(Arc::clone(key)),
    }
}

/// The distinct values of one key.
#[derive(Debug, Default)]
struct Values {
    /// Those of more than [`SHORT_MAX`] bytes.
    texts: Numbers<String>,
    /// Everything else as 64 bits, and the numbers of long texts.
    words: Numbers<u64>,
}

impl Values {
    fn numbers_of(&mut self, key: &ArrayRef) -> Result<Vec<u32>, ArrowError> {
        match key.data_type() {
            DataType::Utf8 => {
                let texts = key.as_string::<i32>().iter();
                Ok(texts.map(|text| self.text(text)).collect())
            }
            DataType::Utf8View => {
                let texts = key.as_string_view().iter();
                Ok(texts.map(|text| self.text(text)).collect())
            }
            DataType::Boolean => {
                let words = key.as_boolean().iter().map(|truth| truth.map(u64::from));
                Ok(words.map(|word| self.word(word)).collect())
            }
            DataType::Int64 => Ok(self.words_of::<Int64Type>(key, i64::cast_unsigned)),
            DataType::Float64 => Ok(self.words_of::<Float64Type>(key, f64::to_bits)),
            DataType::Date32 => Ok(self.words_of::<Date32Type>(key, |day| u64::from(day.cast_unsigned()))),
            DataType::Timestamp(TimeUnit::Microsecond, None) => {
                Ok(self.words_of::<TimestampMicrosecondType>(key, i64::cast_unsigned))
            }
            other => Err(ArrowError::SchemaError(format!("a key of the type {other}"))),
        }
    }

    fn words_of<T: ArrowPrimitiveType>(&mut self, key: &ArrayRef, word: impl Fn(T::Native) -> u64) -> Vec<u32> {
        let key = key.as_primitive::<T>();
        match key.null_count() {
            0 => key.values().iter().map(|value| self.word(Some(word(*value)))).collect(),
            _ => key.iter().map(|value| self.word(value.map(&word))).collect(),
        }
    }

    fn text(&mut self, text: Option<&str>) -> u32 {
        let word = text.map(|text| short(text.as_bytes()).unwrap_or_else(|| self.long(text)));
        self.word(word)
    }

    /// A word that no short text has.
    fn long(&mut self, text: &str) -> u64 {
        LONG | u64::from(self.texts.of(text, slot_of_text(text)))
    }

    fn word(&mut self, word: Option<u64>) -> u32 {
        match word {
            Some(word) => self.words.of(&word, slot_of_word(word)),
            None => self.words.of_null(),
        }
    }
}

/// Most bytes of a text that is a word by itself: one byte is its length.
const SHORT_MAX: usize = 7;

/// The length of a long text's word, as no short one has.
const LONG: u64 = 0xFF << 56;

/// The bytes and the length of a short text.
fn short(text: &[u8]) -> Option<u64> {
    let four = |from: usize| {
        text.get(from..from + 4)?
            .try_into()
            .ok()
            .map(u32::from_le_bytes)
            .map(u64::from)
    };
    let length = text.len();
    let bytes = match length {
        0 => 0,
        // The first, the middle and the last of three at most are all.
        1..=3 => u64::from(text[0]) << 16 | u64::from(text[length / 2]) << 8 | u64::from(text[length - 1]),
        // Four, and what is left of the last four without those.
        4..=SHORT_MAX => four(0)? << 24 | four(length - 4)? >> (8 * (8 - length)),
        _ => return None,
    };
    Some((length as u64) << 56 | bytes)
}

/// Values that were met lately, by a slot that is quickly found.
const SLOTS: usize = 512;

/// The number of an empty slot.
const NONE: u32 = u32::MAX;

/// Numbers distinct values from 0. NULL is a value.
#[derive(Debug)]
struct Numbers<T> {
    by_value: HashMap<T, u32>,
    null: Option<u32>,
    /// The value before: a person's rows often have the same.
    last: (T, u32),
    lately: Vec<(T, u32)>,
}

impl<T: Default + Clone> Default for Numbers<T> {
    fn default() -> Self {
        Self {
            by_value: HashMap::new(),
            null: None,
            last: (T::default(), NONE),
            lately: vec![(T::default(), NONE); SLOTS],
        }
    }
}

impl<T: Eq + Hash> Numbers<T> {
    fn of_null(&mut self) -> u32 {
        let next = self.next();
        *self.null.get_or_insert(next)
    }

    fn of<Q>(&mut self, value: &Q, slot: usize) -> u32
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = T> + ?Sized,
    {
        let (last, number) = &self.last;
        if last.borrow() == value && *number != NONE {
            return *number;
        }
        let number = match &self.lately[slot % SLOTS] {
            (lately, number) if lately.borrow() == value && *number != NONE => *number,
            _ => {
                let number = self.look_up(value);
                self.lately[slot % SLOTS] = (value.to_owned(), number);
                number
            }
        };
        self.last = (value.to_owned(), number);
        number
    }

    fn look_up<Q>(&mut self, value: &Q) -> u32
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = T> + ?Sized,
    {
        let next = self.next();
        match self.by_value.get(value) {
            Some(number) => *number,
            None => *self.by_value.entry(value.to_owned()).or_insert(next),
        }
    }

    /// There are fewer than 2^32: one batch more than there may be cells.
    fn next(&self) -> u32 {
        let known = self.by_value.len() + usize::from(self.null.is_some());
        u32::try_from(known).unwrap_or(NONE)
    }
}

/// Fibonacci hashing (Knuth).
fn slot_of_word(word: u64) -> usize {
    (word.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 55) as usize
}

/// By the length and a few bytes: values of a key are few, and differ early or late.
fn slot_of_text(text: &str) -> usize {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or_default() as usize;
    let last = bytes.len().wrapping_sub(1);
    bytes.len() ^ byte(0) << 2 ^ byte(last) << 5 ^ byte(bytes.len() / 2) << 1
}
