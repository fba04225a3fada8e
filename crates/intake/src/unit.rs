//! What a number in one unit is in another: UCUM, and what German laboratories write in its place.
//!
//! Nothing is converted that needs to be known of the substance, but by the molar mass that the mapping states: UCUM itself takes a mole
//! for a number, and would make moles of cells.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use octofhir_ucum::AdvancedConversionContext;

/// Longest unit.
const UNIT_CHARS_MAX: usize = 64;

/// Units of one column that are remembered. Others are looked up again.
const REMEMBERED_MAX: usize = 1_000;

/// What laboratories write, and what it is in UCUM. Their G is a thousand million, and UCUM's is a gauss.
const SYNONYMS: [(&str, &str); 41] = [
    ("Tsd/ul", "10*3/uL"),
    ("Tsd./ul", "10*3/uL"),
    ("Tsd/uL", "10*3/uL"),
    ("T/ul", "10*3/uL"),
    ("K/ul", "10*3/uL"),
    ("K/uL", "10*3/uL"),
    ("/nl", "10*9/L"),
    ("/nL", "10*9/L"),
    ("G/l", "10*9/L"),
    ("G/L", "10*9/L"),
    ("Gpt/l", "10*9/L"),
    ("Gpt/L", "10*9/L"),
    ("10^9/l", "10*9/L"),
    ("10^9/L", "10*9/L"),
    ("Mio/ul", "10*6/uL"),
    ("Mio./ul", "10*6/uL"),
    ("Mio/uL", "10*6/uL"),
    ("/pl", "10*12/L"),
    ("/pL", "10*12/L"),
    ("T/l", "10*12/L"),
    ("T/L", "10*12/L"),
    ("Tpt/l", "10*12/L"),
    ("Tpt/L", "10*12/L"),
    ("10^12/l", "10*12/L"),
    ("10^12/L", "10*12/L"),
    ("IE/l", "[IU]/L"),
    ("IE/ml", "[IU]/mL"),
    ("IU/l", "[IU]/L"),
    ("IU/ml", "[IU]/mL"),
    ("mmHg", "mm[Hg]"),
    ("mm Hg", "mm[Hg]"),
    ("°C", "Cel"),
    ("°F", "[degF]"),
    ("Grad Celsius", "Cel"),
    ("Sek", "s"),
    ("sec", "s"),
    ("Std", "h"),
    ("Tage", "d"),
    ("Wochen", "wk"),
    ("Jahre", "a"),
    ("ml/min/1,73m2", "mL/min/{1.73_m2}"),
];

/// A number in another unit: multiplied, then moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Conversion {
    times: f64,
    plus: f64,
}

impl Conversion {
    /// From one unit to another; none where one is no unit, or they are not of the same kind. `molar_mass` is in g/mol.
    pub(crate) fn between(from: &str, to: &str, molar_mass: Option<f64>) -> Option<Self> {
        let (from, to) = (ucum(from)?, ucum(to)?);
        match (amount(&from), amount(&to), molar_mass) {
            (one, other, _) if one == other => linear(&from, &to),
            (None, Some("mol"), Some(mass)) => linear(&format!("({from})/g.mol"), &to)?.scaled(1.0 / mass),
            (Some("mol"), None, Some(mass)) => linear(&format!("({from})/mol.g"), &to)?.scaled(mass),
            _ => None,
        }
    }

    pub(crate) fn of(self, number: f64) -> f64 {
        number * self.times + self.plus
    }

    fn scaled(self, by: f64) -> Option<Self> {
        (self.plus == 0.0).then_some(Self {
            times: self.times * by,
            plus: 0.0,
        })
    }
}

/// Whether a text is a unit.
pub(crate) fn is_unit(text: &str) -> bool {
    ucum(text).is_some_and(|unit| octofhir_ucum::validate(&unit).is_ok())
}

/// Whether two texts are the same unit.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    Conversion::between(one, other, None) == Some(Conversion { times: 1.0, plus: 0.0 })
}

/// Conversions of one column's units, found once each.
#[derive(Debug)]
pub(crate) struct Conversions {
    to: String,
    molar_mass: Option<f64>,
    known: Mutex<HashMap<String, Option<Conversion>>>,
}

impl Conversions {
    pub(crate) fn new(to: &str, molar_mass: Option<f64>) -> Self {
        Self {
            to: to.to_owned(),
            molar_mass,
            known: Mutex::default(),
        }
    }

    pub(crate) fn from(&self, unit: &str) -> Option<Conversion> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(unit) {
            return *found;
        }
        let found = Conversion::between(unit, &self.to, self.molar_mass);
        if known.len() < REMEMBERED_MAX {
            known.insert(unit.to_owned(), found);
        }
        found
    }
}

fn linear(from: &str, to: &str) -> Option<Conversion> {
    let context = AdvancedConversionContext::default();
    let found = octofhir_ucum::convert_with_context(1.0, from, to, &context).ok()?;
    let times = found.factor?.to_f64();
    let plus = found.offset.map_or(0.0, octofhir_ucum::Number::to_f64);
    (times.is_finite() && times != 0.0 && plus.is_finite()).then_some(Conversion { times, plus })
}

/// As UCUM writes it.
fn ucum(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > UNIT_CHARS_MAX {
        return None;
    }
    let plain: String = text
        .chars()
        .map(|c| match c {
            'µ' | 'μ' => 'u',
            '²' => '2',
            '³' => '3',
            c => c,
        })
        .collect();
    let synonym = SYNONYMS.iter().find(|(written, _)| *written == plain);
    Some(synonym.map_or(plain, |(_, unit)| (*unit).to_owned()))
}

/// What a unit counts, where UCUM takes it for a number.
fn amount(unit: &str) -> Option<&'static str> {
    ["mol", "eq", "osm"].into_iter().find(|amount| unit.contains(amount))
}

#[cfg(test)]
mod tests;
