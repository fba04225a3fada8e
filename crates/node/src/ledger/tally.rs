//! How often each person has asked about each collection, and all together under each permit: what quotas are held
//! against.
//!
//! It counts queries that a policy allowed, whatever became of them, and it is rebuilt from the ledger when a node
//! starts. It never counts too few: a bucket of queries is forgotten when the last of them is out of the window. It
//! must never grow without bound; when it is full it refuses instead of forgetting. Used by `ledger.rs` only.

use std::collections::{BTreeMap, VecDeque};

use policy::{Asked, Caller};
use terms::{CollectionId, MemberId, PermitId, PersonId, Problem, Report, UtcTime};

use crate::ledger::record::AuditEntry;

const MINUTE_SECONDS: i64 = 60;

const WEEK_SECONDS: i64 = 7 * 24 * 3600;

/// Most buckets in all: about sixteen megabytes. One person who asks in every minute of a week fills ten thousand.
const BUCKETS_MAX: usize = 1_000_000;

/// Who asks about what: the quotas that a query counts against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    /// The asker.
    pub(crate) caller: &'a Caller,
    /// What it is about.
    pub(crate) collection: &'a CollectionId,
    /// Under which permit.
    pub(crate) permit: Option<&'a PermitId>,
}

/// Whose queries are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    /// One person's about one collection.
    Person(MemberId, PersonId, CollectionId),
    /// Everybody's under one permit, whatever they are about.
    Permit(PermitId),
}

impl Asking<'_> {
    fn person(self) -> Whose {
        let Caller { member, person, .. } = self.caller;
        Whose::Person(member.clone(), person.clone(), self.collection.clone())
    }

    fn under_permit(self) -> Option<Whose> {
        self.permit.cloned().map(Whose::Permit)
    }
}

/// Queries that were allowed in one second or one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    /// The second of the latest of them.
    last: i64,
    queries: u32,
}

/// Buckets of one length, the oldest first, as far back as a window reaches.
#[derive(Debug)]
struct Window {
    buckets: VecDeque<Bucket>,
    bucket_seconds: i64,
    seconds: i64,
}

impl Window {
    fn new(bucket_seconds: i64, seconds: i64) -> Self {
        Self {
            buckets: VecDeque::new(),
            bucket_seconds,
            seconds,
        }
    }

    fn add(&mut self, at: i64, now: i64) {
        self.forget(now);
        let bucket = |second: i64| second.div_euclid(self.bucket_seconds);
        // Not always at the end: a clock is set back now and then.
        let after = self.buckets.partition_point(|one| bucket(one.last) < bucket(at));
        match self.buckets.get_mut(after) {
            Some(one) if one.last.div_euclid(self.bucket_seconds) == at.div_euclid(self.bucket_seconds) => {
                *one = Bucket {
                    last: one.last.max(at),
                    queries: one.queries.saturating_add(1),
                };
            }
            _ => self.buckets.insert(after, Bucket { last: at, queries: 1 }),
        }
    }

    fn forget(&mut self, now: i64) {
        while self
            .buckets
            .front()
            .is_some_and(|oldest| oldest.last <= now - self.seconds)
        {
            self.buckets.pop_front();
        }
    }

    /// What lies in the future, after the clock was set back, counts too.
    fn queries(&self, now: i64) -> u32 {
        let within = self
            .buckets
            .iter()
            .rev()
            .take_while(|one| one.last > now - self.seconds);
        within.fold(0, |sum, one| sum.saturating_add(one.queries))
    }
}

/// What was allowed.
#[derive(Debug)]
struct Count {
    minute: Window,
    week: Window,
}

impl Default for Count {
    fn default() -> Self {
        Self {
            minute: Window::new(1, MINUTE_SECONDS),
            week: Window::new(MINUTE_SECONDS, WEEK_SECONDS),
        }
    }
}

impl Count {
    fn add(&mut self, at: i64, now: i64) {
        self.minute.add(at, now);
        self.week.add(at, now);
    }

    fn buckets(&self) -> usize {
        self.minute.buckets.len() + self.week.buckets.len()
    }
}

/// The counts of a node.
#[derive(Debug)]
pub(crate) struct Tally {
    counts: BTreeMap<Whose, Count>,
    buckets: usize,
    buckets_max: usize,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: BTreeMap::new(),
            buckets: 0,
            buckets_max: BUCKETS_MAX,
        }
    }
}

impl Tally {
    /// Counts a recorded query, if it is one that counts and ended within a week before `now`.
    pub(crate) fn recall(&mut self, entry: &AuditEntry, now: UtcTime) {
        let (Some(caller), Some(collection)) = (&entry.caller, &entry.collection) else {
            return;
        };
        // When it ended: somewhat later than it was allowed, so it is not forgotten too early.
        let at = entry.at.as_second();
        if !entry.was_allowed() || at <= now.as_second() - WEEK_SECONDS {
            return;
        }
        let whose = Whose::Person(caller.member.clone(), caller.person.clone(), collection.clone());
        self.add(whose, at, now.as_second());
        if let Some(permit) = &entry.permit {
            self.add(Whose::Permit(permit.clone()), at, now.as_second());
        }
    }

    /// Lets `decide` see how often was asked, and counts one more if it says that the query may run.
    ///
    /// # Errors
    /// `E_RESOURCES` if too many people asked within a week to remember one more.
    pub(crate) fn charge<T>(
        &mut self,
        asking: Asking<'_>,
        now: UtcTime,
        decide: impl FnOnce(Asked) -> (T, Charge),
    ) -> Result<T, Report> {
        let (decided, charge) = decide(self.asked(asking, now));
        if charge == Charge::Free {
            return Ok(decided);
        }
        let now = now.as_second();
        if self.buckets >= self.buckets_max {
            self.forget(now);
        }
        if self.buckets >= self.buckets_max {
            return Err(full());
        }
        self.add(asking.person(), now, now);
        if let Some(permit) = asking.under_permit() {
            self.add(permit, now, now);
        }
        Ok(decided)
    }

    /// What `charge` would let its `decide` see.
    pub(crate) fn asked(&self, asking: Asking<'_>, now: UtcTime) -> Asked {
        let now = now.as_second();
        let queries = |whose: Whose| {
            let count = self.counts.get(&whose);
            count.map_or((0, 0), |count| (count.minute.queries(now), count.week.queries(now)))
        };
        let (minute, week) = queries(asking.person());
        let (permit_minute, permit_week) = asking.under_permit().map_or((0, 0), queries);
        Asked {
            minute,
            week,
            permit_minute,
            permit_week,
        }
    }

    fn add(&mut self, whose: Whose, at: i64, now: i64) {
        let count = self.counts.entry(whose).or_default();
        let before = count.buckets();
        count.add(at, now);
        self.buckets = (self.buckets + count.buckets()).saturating_sub(before);
    }

    /// Lets go of what is older than a week, of everybody.
    fn forget(&mut self, now: i64) {
        for count in self.counts.values_mut() {
            count.minute.forget(now);
            count.week.forget(now);
        }
        self.counts.retain(|_, count| count.buckets() > 0);
        self.buckets = self.counts.values().map(Count::buckets).sum();
    }
}

/// Whether a decision costs the asker one query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    /// The query may run.
    One,
    /// It may not.
    Free,
}

fn full() -> Report {
    Problem::Resources
        .report("more people have asked this node within a week than it can count")
        .remedy("ask the node's operator to say how many people ask; try again later")
}

#[cfg(test)]
mod tests;
