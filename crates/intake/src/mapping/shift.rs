//! Days of people, moved: all of one person's by the same number of days, which follows from the person's key and a secret, and is another
//! one for each person. What is between two days of a person stays what it was.
//!
//! It is done when data are read in, so nothing that is answered has seen the true days. The same secret moves the same people by the same
//! numbers, in every collection and version. By how many is told nowhere.

use std::collections::BTreeSet;
use std::path::PathBuf;

use hmac::{Hmac, KeyInit as _, Mac as _};
use policy::{Collection, Column, ColumnKind};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use terms::{Problem, Report};

use super::Mapping;
use crate::derived;
use crate::source::Secret;

/// Shortest secret, in bytes of its text: 32 hexadecimal digits are 128 bits.
const SECRET_BYTES_MIN: usize = 32;

/// The most days that may be named.
const DAYS_MAX: u16 = 3650;

/// What a hash is for, so that the same secret says nothing elsewhere.
const PURPOSE: &[u8] = b"datenraum shift of days 1\0";
const PURPOSE_MARK: &[u8] = b"datenraum mark of a shift 1\0";

/// How days are moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftDays {
    /// The collection's column that tells people apart.
    pub key: String,
    /// The file of the secret, beside the mapping.
    pub secret: PathBuf,
    /// By how many days at most, earlier or later.
    pub max: u16,
    /// Columns that are left as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unshifted: Vec<String>,
}

/// By how many days each person's are moved.
#[derive(Debug)]
pub(crate) struct Shifts {
    secret: Secret,
    max: u16,
}

impl ShiftDays {
    /// Whether a column is made of days and is not left as it is. A constant one would tell by how much, if it moved.
    pub(crate) fn moves(&self, column: &Column, mapping: &Mapping) -> bool {
        let of_column = mapping.column(&column.name);
        let is_of_days = matches!(column.kind, ColumnKind::Date | ColumnKind::Timestamp)
            || of_column.derived.is_some()
            || of_column.part.is_some();
        is_of_days && of_column.value.is_none() && !self.unshifted.contains(&column.name)
    }

    /// The source's columns whose days are moved, in small letters.
    pub(crate) fn sources(&self, mapping: &Mapping, collection: &Collection) -> Result<BTreeSet<String>, String> {
        let mut sources = BTreeSet::new();
        for column in collection.columns.iter().filter(|column| self.moves(column, mapping)) {
            let of_column = mapping.column(&column.name);
            let named = match (&of_column.derived, &of_column.from[..]) {
                (Some(text), _) => derived::columns_of_days(text)?,
                (None, []) => vec![column.name.clone()],
                (None, from) => from.to_vec(),
            };
            sources.extend(named.iter().map(|name| name.to_ascii_lowercase()));
        }
        Ok(sources)
    }

    /// Refuses what would leave a person's days in one column where they were, and move them in another.
    pub(super) fn require_fits(&self, mapping: &Mapping, collection: &Collection) -> Result<(), String> {
        match &collection.privacy_unit {
            Some(unit) if *unit == self.key => {}
            Some(unit) => return Err(format!("shift_days: key is {unit}, the column that tells people apart")),
            None => return Err("shift_days is for collections about people".to_owned()),
        }
        if !(1..=DAYS_MAX).contains(&self.max) {
            return Err(format!("shift_days: max is a number of days from 1 to {DAYS_MAX}"));
        }
        let strange = |name: &&String| **name == self.key || collection.column(name).is_none();
        if let Some(name) = self.unshifted.iter().find(strange) {
            return Err(format!("shift_days: {name} in unshifted is no column with days"));
        }
        let moved = self.sources(mapping, collection)?;
        if !collection.columns.iter().any(|column| self.moves(column, mapping)) {
            return Err("shift_days: there is no column whose days it could move".to_owned());
        }
        for column in collection.columns.iter().filter(|column| !self.moves(column, mapping)) {
            let of_column = mapping.column(&column.name);
            let named = match &of_column.from[..] {
                [] => std::slice::from_ref(&column.name),
                from => from,
            };
            let is_shown = named.iter().any(|name| moved.contains(&name.to_ascii_lowercase()));
            if is_shown && of_column.value.is_none() && !self.unshifted.contains(&column.name) {
                return Err(format!(
                    "shift_days: {} would show days as they are that are moved in another column; leave it out, or name it in unshifted",
                    column.name
                ));
            }
        }
        Ok(())
    }

    /// Reads the secret.
    ///
    /// # Errors
    /// `FileMissing` if it cannot be read or others can read it; `FileValue` if it is too short to be one.
    pub(crate) fn look_up(&self) -> Result<Shifts, Report> {
        let secret = Secret::of_file(&self.secret)?;
        if secret.expose().len() < SECRET_BYTES_MIN {
            let message = format!(
                "{} is shorter than {SECRET_BYTES_MIN} characters",
                self.secret.display()
            );
            return Err(Problem::FileValue
                .report(message)
                .remedy("make one that nobody can guess: head -c 32 /dev/urandom | base64 > shift.secret"));
        }
        Ok(Shifts { secret, max: self.max })
    }
}

impl Shifts {
    /// By how many days those of a person are moved: never by none.
    pub(crate) fn of(&self, person: &str) -> i32 {
        let hash = self.hash(PURPOSE, person.as_bytes());
        let number = hash
            .iter()
            .take(16)
            .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        let (max, choice) = (i32::from(self.max), number % (2 * u128::from(self.max)));
        let choice = i32::try_from(choice).unwrap_or_default();
        if choice < max { choice - max } else { choice - max + 1 }
    }

    /// The same for as long as everybody's days are moved by the same numbers.
    pub(crate) fn mark(&self) -> [u8; 32] {
        self.hash(PURPOSE_MARK, &[])
    }

    fn hash(&self, purpose: &[u8], of: &[u8]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut hash = Hmac::<Sha256>::new_from_slice(self.secret.expose().as_bytes()).expect("a key");
        hash.update(purpose);
        hash.update(&self.max.to_be_bytes());
        hash.update(of);
        hash.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests;
