//! District keys: the Amtlicher Gemeindeschlüssel (AGS) of the German statistical offices, two digits for a Land, five for a Kreis, eight for
//! a Gemeinde, each the beginning of the next.
//!
//! Programs drop the leading zero, tables come at different levels, and Kreise are merged. Here a key becomes the one of one level at one
//! date, or it does not fit. A Kreis that was split has no one successor and does not fit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow::array::AsArray as _;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use terms::{Problem, Report};

use super::SourceForm;
use crate::Opened;

/// The columns of a file of changes.
const COLUMNS: [&str; 3] = ["from", "to", "valid_from"];

/// How many Länder there are: keys begin with 01 to this.
const LAENDER: u8 = 16;

/// At which level and of which date keys are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ags {
    /// 2 for Länder, 5 for Kreise, 8 for Gemeinden. Finer keys are cut, coarser ones do not fit.
    pub digits: usize,
    /// The changes of keys, beside the mapping: CSV with the columns `from`, `to` and `valid_from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<PathBuf>,
    /// The date whose keys are wanted: changes up to it are made, later ones are not. All, if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

/// Keys of one level and date.
#[derive(Debug)]
pub(crate) struct Keys {
    digits: usize,
    /// What replaces a key; nothing, if several do.
    successors: BTreeMap<String, Option<String>>,
}

impl Ags {
    /// Checks what is said, and reads the changes.
    ///
    /// # Errors
    /// `FileValue` for a level or a date that is none, or a file of changes that is none, has a key that is none, or changes a key in a circle.
    pub(crate) fn look_up(&self) -> Result<Keys, Report> {
        let wrong = |what: String| Problem::FileValue.report(what);
        if !matches!(self.digits, 2 | 5 | 8) {
            let message = format!("a district key has 2, 5 or 8 digits, and not {}", self.digits);
            return Err(wrong(message).remedy("say digits = 2 for Länder, 5 for Kreise or 8 for Gemeinden"));
        }
        let as_of = self.as_of.as_deref().map(str::parse::<Date>).transpose();
        let as_of = as_of.map_err(|_| wrong("as_of is no day".to_owned()).remedy("write it like 2021-07-01"))?;
        let successors = match (&self.changes, as_of) {
            (Some(file), as_of) => successors(file, self.digits, as_of)?,
            (None, Some(_)) => {
                return Err(wrong("as_of needs changes".to_owned()).remedy("name the file of changes of keys"));
            }
            (None, None) => BTreeMap::new(),
        };
        let keys = Keys {
            digits: self.digits,
            successors,
        };
        match keys.successors.keys().find(|key| keys.is_in_a_circle(key)) {
            Some(key) => Err(wrong(format!("{key} is replaced by itself in the end"))),
            None => Ok(keys),
        }
    }
}

impl Keys {
    /// The key in full, of the wanted level and date; nothing if it is none.
    pub(crate) fn key(&self, written: &str) -> Option<String> {
        let full = in_full(written)?;
        let key = full.get(..self.digits)?;
        self.current(key).map(str::to_owned)
    }

    /// What a key has become; nothing if it was split. There are no circles: [`Ags::look_up`].
    fn current<'a>(&'a self, mut key: &'a str) -> Option<&'a str> {
        while let Some(next) = self.successors.get(key) {
            key = next.as_deref()?;
        }
        Some(key)
    }

    fn is_in_a_circle(&self, key: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut key = Some(key);
        while let Some(at) = key {
            if !seen.insert(at) {
                return true;
            }
            key = self.successors.get(at).and_then(Option::as_deref);
        }
        false
    }
}

/// A key with its leading zero; one of twelve digits (ARS) without the four of the association of Gemeinden.
fn in_full(written: &str) -> Option<String> {
    if !written.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let full = match written.len() {
        1 | 4 | 7 | 11 => format!("0{written}"),
        2 | 5 | 8 | 12 => written.to_owned(),
        _ => return None,
    };
    let land: u8 = full.get(..2)?.parse().ok()?;
    if !(1..=LAENDER).contains(&land) {
        return None;
    }
    Some(match full.len() {
        12 => format!("{}{}", full.get(..5)?, full.get(9..)?),
        _ => full,
    })
}

/// What replaces each key up to a date.
fn successors(path: &Path, digits: usize, as_of: Option<Date>) -> Result<BTreeMap<String, Option<String>>, Report> {
    let wrong = |what: String| {
        let report = Problem::FileValue.report(format!("{}: {what}", path.display()));
        report.remedy(
            "write a CSV file whose first line is from,to,valid_from, with keys in full and days like 2021-07-01",
        )
    };
    let opened = Opened::open(path, &SourceForm::default())?;
    let [Some(from), Some(to), Some(valid_from)] = COLUMNS.map(|name| opened.position(name)) else {
        return Err(wrong(format!("it has no columns {}", COLUMNS.join(", "))));
    };
    let mut successors = BTreeMap::<String, Option<String>>::new();
    for piece in opened.batches(&[from, to, valid_from])? {
        let piece = piece?;
        for row in 0..piece.batch.num_rows() {
            let cell = |at: usize| piece.batch.column(at).as_string::<i32>().value(row).trim().to_owned();
            let [from, to, valid_from] = [cell(0), cell(1), cell(2)];
            let line = piece.first_row + row as u64;
            let is_key = |key: &str| key.len() == digits && in_full(key).is_some_and(|full| full == key);
            if !is_key(&from) || !is_key(&to) || from == to {
                return Err(wrong(format!(
                    "line {line} has no change from one key of {digits} digits to another"
                )));
            }
            let valid_from: Date = valid_from
                .parse()
                .map_err(|_| wrong(format!("line {line} has a day that is none")))?;
            if as_of.is_some_and(|as_of| valid_from > as_of) {
                continue;
            }
            // A second successor is a split: then there is none that all rows could go to.
            let is_same = successors.get(&from).is_none_or(|before| before.as_ref() == Some(&to));
            successors.insert(from, is_same.then_some(to));
        }
    }
    Ok(successors)
}

#[cfg(test)]
mod tests;
