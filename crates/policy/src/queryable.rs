//! What a caller may ask at all: for catalogues, and for refusals that say what would be allowed.
//!
//! It must never be used to allow a request: it is what remains when each of purposes, releases and columns is looked at
//! alone, so a combination of them may still be refused. Only [`crate::decide()`] allows.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use terms::{CollectionId, Purpose, UtcTime};

use crate::collection::Collection;
use crate::decide::Caller;
use crate::grant::Release;
use crate::rule::{Prohibition, Who};
use crate::rules::Rules;

/// A collection, and what of it is open to a caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Queryable {
    /// The collection.
    pub collection: Arc<Collection>,
    /// For these purposes.
    pub purposes: BTreeSet<Purpose>,
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
    let prohibitions = || {
        rules
            .in_force(id, at)
            .flat_map(|policy| &policy.prohibitions)
            .filter(|rule| rule.names(who))
    };
    let mut open = Queryable {
        collection,
        purposes: BTreeSet::new(),
        releases: BTreeSet::new(),
        columns: BTreeSet::new(),
    };
    for permission in rules.in_force(id, at).flat_map(|policy| &policy.permissions) {
        if !who.is_meant_by(&permission.assignee) {
            continue;
        }
        let purposes = permission
            .purposes
            .iter()
            .filter(|purpose| !prohibitions().any(|it| closes_purpose(it, **purpose)));
        let purposes: BTreeSet<Purpose> = purposes.copied().collect();
        if purposes.is_empty() {
            continue;
        }
        open.purposes.extend(purposes);
        let releases = [Release::Aggregates, Release::Rows]
            .into_iter()
            .filter(|release| permission.covers_release(*release));
        open.releases
            .extend(releases.filter(|release| !prohibitions().any(|it| closes_release(it, *release))));
        let columns = permission
            .columns
            .iter()
            .filter(|name| !prohibitions().any(|it| closes_column(it, name)));
        open.columns.extend(columns.cloned());
    }
    (!open.purposes.is_empty() && !open.releases.is_empty()).then_some(open)
}

fn closes_purpose(rule: &Prohibition, purpose: Purpose) -> bool {
    rule.release.is_none() && rule.columns.is_none() && rule.has_purpose(purpose)
}

fn closes_release(rule: &Prohibition, release: Release) -> bool {
    rule.purposes.is_none() && rule.columns.is_none() && rule.has_release(release)
}

fn closes_column(rule: &Prohibition, name: &str) -> bool {
    let named = rule.columns.as_ref().is_some_and(|columns| columns.contains(name));
    rule.purposes.is_none() && rule.release.is_none() && named
}
