//! Who was refused too often: whoever tries out what a node lets through is let try only so often.
//!
//! The rule is one window: while [`LOCKOUT_REFUSALS_MAX`] refusals of a person lie within the last
//! [`LOCKOUT_WINDOW_SECONDS`], nothing that they ask is read. It is over when the oldest of them leaves the window, and
//! not prolonged by asking meanwhile. Counted is what a policy, a role or a domain refused; not what could not be read,
//! not a used-up quota, not a stop, and not the lock-out itself. It is rebuilt from the ledger when a node starts, and it
//! must never grow without bound: when it is full, it refuses whom it does not know. Used by `ledger.rs` only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use policy::Caller;
use terms::limit::{LOCKOUT_REFUSALS_MAX, LOCKOUT_WINDOW_SECONDS};
use terms::{ExitCode, MemberId, PersonId, Problem, Report, UtcTime};

use crate::ledger::record::{AuditEntry, Outcome};

/// Most people whose refusals are remembered: some forty megabytes, if each of them is locked out.
const PEOPLE_MAX: usize = 100_000;

type Person = (MemberId, PersonId);

/// The refusals of a node's last hour.
#[derive(Debug)]
pub(super) struct Refusals {
    people_max: usize,
    /// The seconds of each person's latest refusals, the oldest first, no more of them than lock out.
    people: Mutex<BTreeMap<Person, VecDeque<i64>>>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            people_max: PEOPLE_MAX,
            people: Mutex::default(),
        }
    }
}

impl Refusals {
    /// Remembers how a query ended, if it is a refusal that counts.
    pub(super) fn note(&self, entry: &AuditEntry, now: UtcTime) {
        let Some(caller) = &entry.caller else { return };
        let at = entry.at.as_second();
        if !counts(entry) || at <= window_start(now) {
            return;
        }
        let person = (caller.member.clone(), caller.person.clone());
        let mut people = self.lock();
        if !people.contains_key(&person) && self.is_full(&mut people, now) {
            return;
        }
        let refusals = people.entry(person).or_default();
        // Not always at the end: a clock is set back now and then.
        refusals.insert(refusals.partition_point(|one| *one <= at), at);
        if refusals.len() > LOCKOUT_REFUSALS_MAX {
            refusals.pop_front();
        }
    }

    /// Refuses whoever was refused too often, and says until when.
    pub(super) fn require_room(&self, caller: &Caller, now: UtcTime) -> Result<(), Report> {
        let mut people = self.lock();
        let person = (caller.member.clone(), caller.person.clone());
        let Some(refusals) = people.get(&person) else {
            return match self.is_full(&mut people, now) {
                true => Err(full()),
                false => Ok(()),
            };
        };
        match refusals.front() {
            Some(oldest) if refusals.len() == LOCKOUT_REFUSALS_MAX && *oldest > window_start(now) => {
                Err(locked_out(oldest + LOCKOUT_WINDOW_SECONDS))
            }
            _ => Ok(()),
        }
    }

    /// Whether nobody more can be remembered, also after the past is forgotten.
    fn is_full(&self, people: &mut BTreeMap<Person, VecDeque<i64>>, now: UtcTime) -> bool {
        if people.len() >= self.people_max {
            people.retain(|_, refusals| refusals.back().is_some_and(|latest| *latest > window_start(now)));
        }
        people.len() >= self.people_max
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Person, VecDeque<i64>>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn counts(entry: &AuditEntry) -> bool {
    let tells_nothing = [Problem::Quota, Problem::Stopped, Problem::LockedOut];
    let is_refusal = |problem: Problem| problem.exit_code() == ExitCode::Refused && !tells_nothing.contains(&problem);
    entry.outcome == Outcome::Refused && entry.problem.is_some_and(is_refusal)
}

fn window_start(now: UtcTime) -> i64 {
    now.as_second() - LOCKOUT_WINDOW_SECONDS
}

fn locked_out(until: i64) -> Report {
    let until = UtcTime::from_second(until).unwrap_or(UtcTime::MAX);
    let minutes = LOCKOUT_WINDOW_SECONDS / 60;
    Problem::LockedOut.report(format!(
        "{LOCKOUT_REFUSALS_MAX} queries of this person were refused here within {minutes} minutes; \
         what they ask is read again from {until} on"
    ))
}

fn full() -> Report {
    Problem::Resources
        .report("more people were refused here within an hour than can be remembered")
        .remedy("try again later; ask the node's operator who asks so much")
}

#[cfg(test)]
mod tests;
