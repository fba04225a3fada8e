//! What a caller may ask at all: for catalogues, and for refusals that say what would be allowed.
//!
//! It must never be used to allow a request: it is what remains when each of purposes, releases and columns is looked at
//! alone, so a combination of them may still be refused. Only [`crate::decide()`] allows.

#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use terms::{CollectionId, Purpose, UtcTime};

use crate::collection::Collection;
use crate::decide::Caller;
use crate::grant::Release;
use crate::permit::Permit;
use crate::roster::Member;
use crate::rule::{Prohibition, Who};
use crate::rules::Rules;

/// A collection, and what of it is open to a caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Queryable {
    /// The collection.
    pub collection: Arc<Collection>,
    /// For these purposes.
    pub purposes: BTreeSet<Purpose>,
    /// Those of them for which every permission needs a data permit.
    pub permit_needed_for: BTreeSet<Purpose>,
    /// What may leave.
    pub releases: BTreeSet<Release>,
    /// These columns, [`crate::NODE_COLUMN`] included where it is permitted.
    pub columns: BTreeSet<String>,
}

/// The collections that a caller may query at this time, by id. Permissions that need a data permit are among them.
pub fn queryable(rules: &Rules, caller: &Caller, at: UtcTime) -> Vec<Queryable> {
    let Some(member) = rules.members.get(&caller.member) else {
        return Vec::new();
    };
    if rules.stops.names(caller) {
        return Vec::new();
    }
    let who = Who { caller, member };
    rules
        .collections
        .keys()
        .filter_map(|id| open_to(rules, &who, id, at))
        .collect()
}

/// What of one collection is open to a caller, if anything.
pub(crate) fn open_to(rules: &Rules, who: &Who<'_>, id: &CollectionId, at: UtcTime) -> Option<Queryable> {
    let collection = Arc::clone(rules.collections.get(id)?);
    let closed = Closed::by(rules, who, id, at);
    let mut open = Queryable {
        collection,
        purposes: BTreeSet::new(),
        permit_needed_for: BTreeSet::new(),
        releases: BTreeSet::new(),
        columns: BTreeSet::new(),
    };
    let mut free = BTreeSet::new();
    // A permit may say that its holder acts for a public body.
    let acts_for_public_body = |permit: &Arc<Permit>| {
        let caller = who.caller;
        let mut persons = permit.persons.iter();
        permit.acts_for.is_some()
            && permit.holder == caller.member
            && persons.any(|(m, p)| *m == caller.member && *p == caller.person)
    };
    let is_public = rules.is_public(who.member) || rules.permits.values().any(acts_for_public_body);
    let running = rules
        .in_force(id, at)
        .filter(|policy| !rules.stops.policies.contains(&policy.id));
    for permission in running.flat_map(|policy| &policy.permissions) {
        if !who.is_meant_by(&permission.assignee) {
            continue;
        }
        let purposes = permission
            .purposes
            .iter()
            .filter(|purpose| is_public || !purpose.is_reserved_to_public_bodies())
            .filter(|purpose| !closed.purposes.contains(purpose));
        let purposes: BTreeSet<Purpose> = purposes.copied().collect();
        if purposes.is_empty() {
            continue;
        }
        if !permission.permit_required {
            free.extend(&purposes);
        }
        open.purposes.extend(purposes);
        let releases = Release::ALL
            .into_iter()
            .filter(|release| permission.covers_release(*release))
            .filter(|release| {
                let with_rows = *release == Release::Models && permission.models_come_with_rows();
                !(with_rows && closed.releases.contains(&Release::Rows))
            });
        open.releases
            .extend(releases.filter(|release| !closed.releases.contains(release)));
        let columns = permission.columns.iter();
        open.columns
            .extend(columns.filter(|name| !closed.columns.contains(name)).cloned());
    }
    open.permit_needed_for = open.purposes.difference(&free).copied().collect();
    (!open.purposes.is_empty() && !open.releases.is_empty()).then_some(open)
}

/// What prohibitions close for somebody entirely: gathered once, as there may be many of them.
#[derive(Default)]
struct Closed<'a> {
    purposes: BTreeSet<Purpose>,
    releases: BTreeSet<Release>,
    columns: BTreeSet<&'a String>,
}

impl<'a> Closed<'a> {
    fn by(rules: &'a Rules, who: &Who<'_>, id: &CollectionId, at: UtcTime) -> Self {
        let mut closed = Closed::default();
        let prohibitions = rules.in_force(id, at).flat_map(|policy| &policy.prohibitions);
        // What holds at some hours of the week only does not close anything for good.
        for rule in prohibitions.filter(|rule| rule.windows.is_empty() && rule.names(who)) {
            let Prohibition {
                purposes,
                release,
                columns,
                ..
            } = rule;
            if release.is_none() && columns.is_none() {
                closed
                    .purposes
                    .extend(Purpose::all().filter(|purpose| rule.has_purpose(*purpose)));
            }
            if purposes.is_none() && columns.is_none() {
                let all = Release::ALL.into_iter();
                closed.releases.extend(all.filter(|release| rule.has_release(*release)));
            }
            if purposes.is_none() && release.is_none() {
                closed.columns.extend(columns.iter().flatten());
            }
        }
        closed
    }
}

/// Stands for a person whom no policy and no permit names.
const NOBODY_NAMED: &str = "whoever-a-member-vouches-for";

/// The collections that somebody may query at this time, by id, and what of them: whoever a member of the roster vouches for, in all
/// its roles. What only single people may do is not in it.
pub fn open_to_members(rules: &Rules, at: UtcTime) -> Vec<Queryable> {
    let mut open: BTreeMap<CollectionId, Queryable> = BTreeMap::new();
    let anybody = |member: &Member| {
        Some(Caller {
            member: member.id.clone(),
            person: NOBODY_NAMED.parse().ok()?,
            roles: member.roles.clone(),
        })
    };
    for caller in rules.members.values().filter_map(anybody) {
        for of_one in queryable(rules, &caller, at) {
            match open.entry(of_one.collection.id.clone()) {
                Entry::Vacant(place) => drop(place.insert(of_one)),
                Entry::Occupied(mut known) => known.get_mut().join(of_one),
            }
        }
    }
    open.into_values().collect()
}

impl Queryable {
    /// Adds what is open to somebody else. A permit is needed for what both need it for.
    fn join(&mut self, other: Queryable) {
        let free = |one: &Queryable| {
            one.purposes
                .difference(&one.permit_needed_for)
                .copied()
                .collect::<BTreeSet<_>>()
        };
        let free = &free(self) | &free(&other);
        self.purposes.extend(other.purposes);
        self.permit_needed_for = &self.purposes - &free;
        self.releases.extend(other.releases);
        self.columns.extend(other.columns);
    }
}
