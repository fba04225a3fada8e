//! Which requests one set of rules answers that another refuses, or under which lesser obligations.
//!
//! Not every request can be looked at, but one of each kind that the rules tell apart can: who asks only matters by the rules
//! that mean them, when only by the rules that hold then (`diff/times.rs`), with which columns only by the permissions
//! that have them all and by what they show of them (`diff/cells/columns.rs`). A permission that covers a request is
//! chosen as [`crate::decide()`] chooses it. Whether a purpose is reserved, a permit covers the request and a caller is
//! stopped is the same on both sides here: roster, permits and stops are compared elsewhere. Next: `diff/policies.rs`,
//! which puts it into words.

mod callers;
mod columns;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use terms::{PolicyId, Purpose, RuleId};

use self::callers::Meant;
use self::columns::column_sets;
use super::eased::{Obligation, Permitting, eased};
use super::times;
use crate::decide::{Asked, demands};
use crate::grant::Release;
use crate::rule::{Permission, Policy, Prohibition};
use crate::window::Window;

pub(super) use self::callers::{Caller, callers, callers_of};

/// A rule by policy and id.
pub(super) type Name = (PolicyId, RuleId);

/// The policies of a collection, and those of them that are stopped.
#[derive(Clone, Debug)]
pub(super) struct Side<'a> {
    pub(super) policies: Vec<&'a Policy>,
    pub(super) stopped: BTreeSet<PolicyId>,
}

/// What one side answers that the other does not, by the rule that makes it so.
#[derive(Debug, Default)]
pub(super) struct Gains {
    /// Permissions of the later side under which something is answered that no earlier permission covers.
    pub(super) permitted: BTreeSet<Name>,
    /// Prohibitions of the earlier side that no longer prevent something, with a permission that now answers it.
    pub(super) lifted: BTreeMap<Name, Name>,
    /// Permissions of the later side under which something is answered with lesser obligations, with the permission under
    /// which it was answered.
    pub(super) eased: BTreeMap<Name, (BTreeSet<Obligation>, Name)>,
    /// There is too much to compare.
    pub(super) unproven: bool,
}

impl Gains {
    pub(super) fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.lifted.is_empty() && self.eased.is_empty() && !self.unproven
    }

    /// What callers gain where `before` is replaced by `after`, from a day on.
    pub(super) fn of(before: &Side<'_>, after: &Side<'_>, callers: &[Caller<'_>], from: Date) -> Gains {
        let mut gains = Gains::default();
        let days = days(before, after, from);
        let mut seen = BTreeSet::new();
        for (meant_before, meant_after) in callers::distinct(before, after, callers) {
            for purpose in Purpose::all().filter(|purpose| !purpose.is_prohibited_use()) {
                for release in Release::ALL {
                    for day in &days {
                        let asked = Kind {
                            purpose,
                            release,
                            day: *day,
                        };
                        let (b, a) = (before.rules(&meant_before, &asked), after.rules(&meant_after, &asked));
                        if !a.permissions.is_empty() && seen.insert((b.names(), a.names())) {
                            compare(&b, &a, &mut gains);
                        }
                    }
                }
            }
        }
        gains
    }
}

/// A kind of request.
struct Kind {
    purpose: Purpose,
    release: Release,
    day: Date,
}

/// One day of each span in which the same policies are in force.
fn days(before: &Side<'_>, after: &Side<'_>, from: Date) -> BTreeSet<Date> {
    let policies = before.policies.iter().chain(&after.policies);
    let changes = policies.flat_map(|policy| [Some(policy.valid_from), policy.valid_until.tomorrow().ok()]);
    changes.flatten().filter(|day| *day > from).chain([from]).collect()
}

impl<'a> Side<'a> {
    /// The rules that are about a kind of request, at some time of the day.
    fn rules(&self, meant: &Meant, asked: &Kind) -> Rules<'a> {
        let in_force = self
            .policies
            .iter()
            .enumerate()
            .filter(|(_, policy)| policy.is_in_force_on(asked.day));
        let mut rules = Rules::about(asked.release);
        for (number, policy) in in_force {
            let bans = policy.prohibitions.iter().enumerate();
            let bans = bans
                .filter(|(rule, ban)| meant.prohibitions.contains(&(number, *rule)) && ban.has_purpose(asked.purpose))
                .map(|(_, ban)| (*policy, ban));
            let (of_release, others): (Vec<_>, Vec<_>) = bans.partition(|(_, ban)| ban.has_release(asked.release));
            rules.prohibitions.extend(of_release);
            let of_rows = others
                .into_iter()
                .filter(|(_, ban)| asked.release == Release::Models && ban.has_release(Release::Rows));
            rules.of_rows.extend(of_rows);
            if self.stopped.contains(&policy.id) {
                continue;
            }
            let permissions = policy.permissions.iter().enumerate();
            let permissions = permissions.filter(|(rule, permission)| {
                meant.permissions.contains(&(number, *rule))
                    && permission.purposes.contains(&asked.purpose)
                    && permission.covers_release(asked.release)
            });
            rules
                .permissions
                .extend(permissions.map(|(_, permission)| Permitting { policy, permission }));
        }
        rules
    }
}

/// The rules of one side that are about a kind of request.
struct Rules<'a> {
    release: Release,
    permissions: Vec<Permitting<'a>>,
    prohibitions: Vec<(&'a Policy, &'a Prohibition)>,
    /// Of requests for models: prohibitions of rows, which take the models away that come with rows.
    of_rows: Vec<(&'a Policy, &'a Prohibition)>,
}

impl<'a> Rules<'a> {
    fn about(release: Release) -> Self {
        Self {
            release,
            permissions: Vec::new(),
            prohibitions: Vec::new(),
            of_rows: Vec::new(),
        }
    }

    fn names(&self) -> (Release, [Vec<Name>; 3]) {
        let permissions = self.permissions.iter().map(|rule| rule.name());
        let [prohibitions, of_rows] = [&self.prohibitions, &self.of_rows].map(|rules| {
            let names = rules.iter().map(|(policy, rule)| (policy.id.clone(), rule.id.clone()));
            names.collect()
        });
        (self.release, [permissions.collect(), prohibitions, of_rows])
    }

    fn windows(&self) -> impl Iterator<Item = &'a [Window]> {
        let permissions = self.permissions.iter().map(|rule| rule.permission.windows.as_slice());
        let prohibitions = self.prohibitions.iter().chain(&self.of_rows);
        permissions.chain(prohibitions.map(|(_, rule)| rule.windows.as_slice()))
    }

    fn len(&self) -> usize {
        self.permissions.len() + self.prohibitions.len() + self.of_rows.len()
    }

    /// Those that are open; `open` is in the order of [`Rules::windows`].
    fn open(&self, open: &[bool]) -> Rules<'a> {
        fn kept<T: Copy>(rules: &[T], open: &[bool]) -> Vec<T> {
            let open = rules.iter().zip(open).filter(|(_, open)| **open);
            open.map(|(rule, _)| *rule).collect()
        }
        let (permissions, prohibitions) = open.split_at(self.permissions.len());
        let (prohibitions, of_rows) = prohibitions.split_at(self.prohibitions.len());
        Rules {
            release: self.release,
            permissions: kept(&self.permissions, permissions),
            prohibitions: kept(&self.prohibitions, prohibitions),
            of_rows: kept(&self.of_rows, of_rows),
        }
    }

    /// The prohibitions that a request of these columns meets.
    fn hit(&self, columns: &BTreeSet<String>) -> impl Iterator<Item = Name> {
        hit(&self.prohibitions, columns)
    }

    /// Columns that no request may use; none if every request is prohibited.
    fn closed(&self) -> Option<BTreeSet<&'a String>> {
        let columns = self.prohibitions.iter().map(|(_, rule)| rule.columns.as_ref());
        Some(columns.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// The permission under which a request is answered that no prohibition meets.
    fn chosen(&self, columns: &BTreeSet<String>, has_permit: bool, asked: Asked) -> Option<Permitting<'a>> {
        let rows_are_prohibited = hit(&self.of_rows, columns).next().is_some();
        let covers = |permission: &Permission| {
            columns.is_subset(&permission.columns)
                && !(rows_are_prohibited && permission.models_come_with_rows())
                && (has_permit || !permission.permit_required)
                && !asked.exhausts(permission.disclosure.queries)
        };
        let covering = self.permissions.iter().filter(|rule| covers(rule.permission));
        covering
            .min_by_key(|rule| demands(rule.policy, rule.permission, self.release, columns))
            .copied()
    }
}

/// Those of the prohibitions that a request of these columns meets.
fn hit(among: &[(&Policy, &Prohibition)], columns: &BTreeSet<String>) -> impl Iterator<Item = Name> {
    let hit = among.iter().filter(|(_, rule)| rule.has_any_column(columns));
    hit.map(|(policy, rule)| (policy.id.clone(), rule.id.clone()))
}

impl Permitting<'_> {
    pub(super) fn name(&self) -> Name {
        (self.policy.id.clone(), self.permission.id.clone())
    }
}

/// Looks at every time, set of columns, permit and number of queries that the rules tell apart.
fn compare(before: &Rules<'_>, after: &Rules<'_>, gains: &mut Gains) {
    let windows: Vec<&[Window]> = before.windows().chain(after.windows()).collect();
    let Some(times) = times::combinations(&windows) else {
        gains.unproven = true;
        return;
    };
    for open in times {
        let (open_before, open_after) = open.split_at(before.len());
        compare_at(&before.open(open_before), &after.open(open_after), gains);
    }
}

fn compare_at(before: &Rules<'_>, after: &Rules<'_>, gains: &mut Gains) {
    let Some(closed) = after.closed() else { return };
    let Some(sets) = column_sets(before, after, &closed) else {
        gains.unproven = true;
        return;
    };
    let asked = asked(before, after);
    for columns in &sets {
        for has_permit in [false, true] {
            for asked in &asked {
                if let Some(now) = after.chosen(columns, has_permit, *asked) {
                    note(before, columns, before.chosen(columns, has_permit, *asked), now, gains);
                }
            }
        }
    }
}

/// Notes down what is gained by a request that was answered, or not, under `then` and is answered under `now`.
fn note(
    before: &Rules<'_>,
    columns: &BTreeSet<String>,
    then: Option<Permitting<'_>>,
    now: Permitting<'_>,
    gains: &mut Gains,
) {
    let Some(then) = then else {
        let mut of_rows = hit(&before.of_rows, columns).peekable();
        match now.permission.models_come_with_rows() && of_rows.peek().is_some() {
            true => gains.lifted.extend(of_rows.map(|rule| (rule, now.name()))),
            false => drop(gains.permitted.insert(now.name())),
        }
        return;
    };
    let mut hit = before.hit(columns).peekable();
    if hit.peek().is_some() {
        gains.lifted.extend(hit.map(|rule| (rule, now.name())));
        return;
    }
    let lesser = eased(then, now, before.release, columns);
    if !lesser.is_empty() {
        let of_now = gains
            .eased
            .entry(now.name())
            .or_insert_with(|| (BTreeSet::new(), then.name()));
        of_now.0.extend(lesser);
    }
}

/// How often a caller may have asked already, as far as quotas tell it apart.
fn asked(before: &Rules<'_>, after: &Rules<'_>) -> Vec<Asked> {
    let quotas = || {
        before
            .permissions
            .iter()
            .chain(&after.permissions)
            .map(|rule| rule.permission.disclosure.queries)
    };
    let minutes: BTreeSet<u32> = quotas().filter_map(|quota| quota.per_minute).chain([0]).collect();
    let weeks: BTreeSet<u32> = quotas().filter_map(|quota| quota.per_week).chain([0]).collect();
    let pairs = minutes
        .iter()
        .flat_map(|minute| weeks.iter().map(move |week| (*minute, *week)));
    let asked = pairs.map(|(minute, week)| Asked {
        minute,
        week,
        ..Asked::default()
    });
    asked.collect()
}
