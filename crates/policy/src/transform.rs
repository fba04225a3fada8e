//! What becomes of a column's values before anything of a query touches them: the transforms of a permission of rows.
//!
//! Transforms act at the node below everything the asker does, so that conditions see what rows show. Next:
//! `rules/compile.rs`, which says what each of them needs.

#[cfg(test)]
mod tests;

use serde::Deserialize;

use crate::collection::Calendar;

/// Longest prefix, in characters: a hash in hexadecimal, longer than any code of a classification.
pub(crate) const PREFIX_CHARS_MAX: u32 = 64;

/// What a permission shows instead of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transform {
    /// The lower edge of the declared bin that the value falls into.
    Bins,
    /// The first instant or day of the period that the value falls into, UTC.
    Truncate(Calendar),
    /// So many characters (Unicode scalar values) from the start of a text: 1 to 64.
    Prefix(u32),
    /// Nothing: the value is always null.
    Mask,
    /// A keyed pseudonym, 32 hexadecimal characters for a text and a whole number from 0 for a whole number: equal for equal
    /// values, and another one under each permit.
    Pseudonym,
}

impl Transform {
    /// Whether whoever sees this of a value learns nothing that `other` does not show too. Of two that cannot be compared,
    /// neither.
    pub(crate) fn is_within(self, other: Transform) -> bool {
        match (self, other) {
            (Transform::Mask, _) => true,
            (Transform::Truncate(coarse), Transform::Truncate(fine)) => coarse.is_union_of(fine),
            (Transform::Prefix(short), Transform::Prefix(long)) => short <= long,
            (one, other) => one == other,
        }
    }

    /// How much it takes from a column, as a number that grows wherever [`Transform::is_within`] compares.
    pub(crate) fn strictness(self) -> u32 {
        match self {
            Transform::Bins | Transform::Pseudonym => 1,
            Transform::Truncate(Calendar::Day) => 1,
            Transform::Truncate(Calendar::Week) => 2,
            Transform::Truncate(Calendar::Month) => 3,
            Transform::Truncate(Calendar::Quarter) => 4,
            Transform::Truncate(Calendar::Year) => 5,
            Transform::Prefix(characters) => PREFIX_CHARS_MAX.saturating_sub(characters) + 1,
            Transform::Mask => PREFIX_CHARS_MAX + 1,
        }
    }
}
