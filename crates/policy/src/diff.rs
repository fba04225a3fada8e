//! What becomes possible, or no longer, when one set of rules replaces another: for the people who are to sign it.
//!
//! Whatever a request can have is compared, not how files are written: `diff/cells.rs` asks, for one caller of each kind that
//! the rules tell apart, which requests are answered under one set and not under the other, or under lesser
//! obligations. What it finds is put into the words of the rule that brought it (`diff/policies.rs`, `diff/permission.rs`).
//! Roster, collections and permits have files of their own. It must never call a change narrow because it cannot tell:
//! what cannot be compared widens, and says so.
//!
//! Compared are the rules, and not for how long the signatures under them hold: those are renewed all the time. Both sets
//! should be under the same [`Stops`](crate::Stops), so that stops differ only if the board lifts some.

mod cells;
mod collections;
mod eased;
#[cfg(test)]
mod generated;
mod permission;
mod permits;
mod policies;
mod roster;
#[cfg(test)]
mod soundness;
#[cfg(test)]
mod tests;
mod times;

use std::fmt;

use serde::Serialize;
use terms::UtcTime;

use crate::lang::Lang;
use crate::rules::Rules;

pub(crate) use self::eased::{keeps_models, keeps_transforms};

/// One difference between two sets of rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it does to what is possible.
    pub effect: Effect,
    /// File and rule, such as `policies/x.toml, permission statistics`.
    pub place: String,
    /// What becomes possible, or no longer, in German.
    pub de: String,
    /// The same in English.
    pub en: String,
}

/// What a change does to what is possible: what a board must look at comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Something becomes possible that was not, or it cannot be told.
    Widens,
    /// Something is no longer possible, and nothing becomes possible.
    Narrows,
    /// Neither.
    Neutral,
}

impl Effect {
    /// The effect in one word.
    pub fn words(self, lang: Lang) -> &'static str {
        match self {
            Effect::Widens => lang.pick("erweitert", "widens"),
            Effect::Narrows => lang.pick("verengt", "narrows"),
            Effect::Neutral => "neutral",
        }
    }

    /// Whatever gains something widens, whatever it loses beside that.
    fn of(gains: bool, loses: bool) -> Effect {
        match (gains, loses) {
            (true, _) => Effect::Widens,
            (false, true) => Effect::Narrows,
            (false, false) => Effect::Neutral,
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words(Lang::En))
    }
}

impl Change {
    /// What becomes possible, or no longer.
    pub fn sentence(&self, lang: Lang) -> &str {
        lang.pick(&self.de, &self.en)
    }
}

/// Whether any of the changes makes something possible that was not.
pub fn widens(changes: &[Change]) -> bool {
    changes.iter().any(|change| change.effect == Effect::Widens)
}

/// Every difference that matters from `at` on, with what widens first and then by place.
///
/// Whenever a request is answered under `after` that `before` refuses, or under lesser obligations, at least one change
/// is [`Effect::Widens`].
pub fn diff(before: &Rules, after: &Rules, at: UtcTime) -> Vec<Change> {
    let mut changes = Changes(Vec::new());
    roster::compare(before, after, at, &mut changes);
    collections::compare(before, after, &mut changes);
    policies::compare(before, after, at, &mut changes);
    permits::compare(before, after, at, &mut changes);
    let Changes(mut changes) = changes;
    changes.sort_by(|a, b| (a.effect, &a.place, &a.en).cmp(&(b.effect, &b.place, &b.en)));
    changes.dedup();
    changes
}

/// The changes that have been found.
struct Changes(Vec<Change>);

impl Changes {
    /// Adds one, whose sentence is said in each language.
    fn add(&mut self, effect: Effect, place: impl fmt::Display, say: impl Fn(Lang) -> String) {
        self.0.push(Change {
            effect,
            place: place.to_string(),
            de: say(Lang::De),
            en: say(Lang::En),
        });
    }

    /// Adds one that gains something, loses something, or neither.
    fn weigh(&mut self, gains: bool, loses: bool, place: impl fmt::Display, say: impl Fn(Lang) -> String) {
        self.add(Effect::of(gains, loses), place, say);
    }
}

/// What is in one of two sets only: what came, and what went.
fn moved<'a, T: Ord>(
    before: &'a std::collections::BTreeSet<T>,
    after: &'a std::collections::BTreeSet<T>,
) -> (Vec<&'a T>, Vec<&'a T>) {
    (after.difference(before).collect(), before.difference(after).collect())
}
