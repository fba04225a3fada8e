//! Findings about permits: what no permission covers, who is not on the roster, and dates.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use terms::{CollectionId, MemberId};

use super::{Found, Severity};
use crate::collection::{NODE_COLUMN, list};
use crate::decide::Caller;
use crate::permit::Permit;
use crate::rule::{Permission, Who, utc_day};

impl Found<'_> {
    pub(super) fn permits(&mut self) {
        let rules = self.rules;
        for permit in rules.permits.values() {
            let place = format!("permits/{}.toml", permit.id);
            if self.is_over(permit, &place) {
                continue;
            }
            self.people(permit, &place);
            for (collection, columns) in &permit.columns {
                self.dataset(permit, collection, columns, &place);
            }
        }
    }

    /// What is withdrawn or has expired needs no other finding.
    fn is_over(&mut self, permit: &Permit, place: &str) -> bool {
        if permit.withdrawn.is_some_and(|at| at <= self.at) {
            let (de, en) = ("die Datengenehmigung ist zurückgezogen", "the data permit is withdrawn");
            self.add(Severity::Hint, place, de, en);
            return true;
        }
        if permit.valid_until <= self.at {
            let (de, en) = ("die Datengenehmigung ist abgelaufen", "the data permit has expired");
            self.add(Severity::Hint, place, de, en);
            return true;
        }
        // It holds before that time.
        let last = utc_day(permit.valid_until - SignedDuration::from_secs(1));
        if self.ends_soon(last) {
            self.add(
                Severity::Warning,
                place,
                format!("die Datengenehmigung endet am {last}"),
                format!("the data permit ends on {last}"),
            );
        }
        false
    }

    fn people(&mut self, permit: &Permit, place: &str) {
        let named = permit.persons.iter().map(|(member, _)| member);
        let named: BTreeSet<&MemberId> = named.chain([&permit.holder]).collect();
        let rules = self.rules;
        let unknown: Vec<&MemberId> = named
            .into_iter()
            .filter(|id| !rules.members.contains_key(*id))
            .collect();
        if !unknown.is_empty() {
            let unknown = list(unknown);
            self.add(
                Severity::Warning,
                place,
                format!(
                    "Inhaber oder Personen gehören zu Einrichtungen, die nicht in der Mitgliederliste stehen: {unknown}"
                ),
                format!("holder or persons are of institutions that are not on the roster: {unknown}"),
            );
        }
    }

    fn dataset(&mut self, permit: &Permit, collection: &CollectionId, columns: &BTreeSet<String>, place: &str) {
        let policies = self.rules.of_collection(collection);
        let permissions: Vec<&Arc<Permission>> = policies.iter().flat_map(|policy| &policy.permissions).collect();
        if permissions.is_empty() {
            return self.add(
                Severity::Warning,
                place,
                format!("sie nennt {collection}, wofür es keine Erlaubnis gibt: das öffnet nichts"),
                format!("it names {collection}, for which there is no permission: that opens nothing"),
            );
        }
        let open = |name: &&String| *name == NODE_COLUMN || permissions.iter().any(|rule| rule.columns.contains(*name));
        let closed: Vec<&String> = columns.iter().filter(|name| !open(name)).collect();
        if !closed.is_empty() {
            let closed = list(closed);
            self.add(
                Severity::Warning,
                place,
                format!("keine Erlaubnis bei {collection} nennt diese Spalten: {closed}"),
                format!("no permission on {collection} names these columns: {closed}"),
            );
        }
        let purposes = permit.purposes.iter();
        let idle: Vec<_> = purposes
            .filter(|purpose| !permissions.iter().any(|rule| rule.purposes.contains(purpose)))
            .collect();
        if !idle.is_empty() {
            let idle = list(idle);
            self.add(
                Severity::Warning,
                place,
                format!("keine Erlaubnis bei {collection} ist für diese Zwecke: {idle}"),
                format!("no permission on {collection} is for these purposes: {idle}"),
            );
        }
        self.persons(permit, collection, &permissions, place);
    }

    /// Persons whom no permission of the collection could mean, whatever roles their institution lets them act in.
    fn persons(&mut self, permit: &Permit, collection: &CollectionId, permissions: &[&Arc<Permission>], place: &str) {
        let rules = self.rules;
        let unmeant = permit.persons.iter().filter(|(id, person)| {
            // Of institutions that are not on the roster there is a finding already.
            rules.members.get(id).is_some_and(|member| {
                let caller = Caller {
                    member: id.clone(),
                    person: person.clone(),
                    roles: member.roles.clone(),
                };
                let who = Who {
                    caller: &caller,
                    member,
                };
                !permissions.iter().any(|rule| who.is_meant_by(&rule.assignee))
            })
        });
        let unmeant: Vec<String> = unmeant.map(|(member, person)| format!("{member}/{person}")).collect();
        if !unmeant.is_empty() {
            let unmeant = list(unmeant);
            self.add(
                Severity::Warning,
                place,
                format!("keine Erlaubnis bei {collection} ist für diese Personen: {unmeant}"),
                format!("no permission on {collection} is for these persons: {unmeant}"),
            );
        }
    }
}
