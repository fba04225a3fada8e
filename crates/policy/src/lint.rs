//! What a board may not have meant: rules that do nothing, names that nobody has, ranges too fine to fill, dates.
//!
//! A finding changes no decision, and files with findings are loaded like others; what cannot be enforced is refused
//! before (`rules/compile.rs`). Findings about rules are here, about columns in `lint/columns.rs`, about permits in
//! `lint/permits.rs`, about the files beside policies in `lint/aids.rs`.

mod aids;
mod columns;
mod permits;
mod rules;
#[cfg(test)]
mod tests;

use jiff::civil::Date;
use serde::Serialize;
use terms::UtcTime;

use crate::lang::Lang;
use crate::rule::utc_day;
use crate::rules::Rules;

pub use self::aids::lint_files;

/// Days before an end at which a board is told of it.
const DAYS_AHEAD: i32 = 30;

/// How much a finding matters: less first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Hint,
    /// Probably not meant.
    Warning,
    /// The policy does nothing as it is.
    Error,
}

impl Severity {
    /// In one word.
    pub fn words(self, lang: Lang) -> &'static str {
        match self {
            Severity::Hint => lang.pick("Hinweis", "hint"),
            Severity::Warning => lang.pick("Warnung", "warning"),
            Severity::Error => lang.pick("Fehler", "error"),
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// How much it matters.
    pub severity: Severity,
    /// The file, with the line where it is known.
    pub place: String,
    /// What was found, in German.
    pub de: String,
    /// What was found, in English.
    pub en: String,
}

impl Lint {
    /// Place and finding in one line.
    pub fn sentence(&self, lang: Lang) -> String {
        format!("{}: {}", self.place, lang.pick(&self.de, &self.en))
    }
}

/// Looks through the rules of a data space as they are at a time. In the order of the files.
pub fn lint(rules: &Rules, at: UtcTime) -> Vec<Lint> {
    let mut found = Found {
        rules,
        at,
        lints: Vec::new(),
    };
    found.collections();
    found.policies();
    found.permits();
    found.lints
}

/// What was found so far.
struct Found<'a> {
    rules: &'a Rules,
    at: UtcTime,
    lints: Vec<Lint>,
}

impl Found<'_> {
    fn add(&mut self, severity: Severity, place: impl Into<String>, de: impl Into<String>, en: impl Into<String>) {
        self.lints.push(Lint {
            severity,
            place: place.into(),
            de: de.into(),
            en: en.into(),
        });
    }

    fn today(&self) -> Date {
        utc_day(self.at)
    }

    /// Whether a last day lies within the days of which a board is told.
    fn ends_soon(&self, last: Date) -> bool {
        let days = self.today().until(last).map(|span| span.get_days());
        days.is_ok_and(|days| (0..=DAYS_AHEAD).contains(&days))
    }
}
