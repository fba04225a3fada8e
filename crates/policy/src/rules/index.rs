//! Where to look for the rules that can be about a request, so that one decision takes the same time however many
//! policies there are for others.
//!
//! It only leaves out rules that cannot match; whether one does match is for `decide.rs` to say.

use std::collections::BTreeMap;
use std::sync::Arc;

use terms::{MemberId, PersonId, Purpose, RoleName};

use crate::rule::{Assignee, Policy, Who};

/// A rule: the place of its policy among those of the collection, and its own in the policy.
pub(super) type Place = (usize, usize);

/// The rules of one collection by purpose.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    permissions: BTreeMap<Purpose, ByWhom>,
    prohibitions: BTreeMap<Purpose, ByWhom>,
}

impl Index {
    pub(super) fn of(policies: &[Arc<Policy>]) -> Index {
        let mut index = Index::default();
        for (at, policy) in policies.iter().enumerate() {
            for (rule, permission) in policy.permissions.iter().enumerate() {
                for purpose in &permission.purposes {
                    let by_whom = index.permissions.entry(*purpose).or_default();
                    by_whom.insert(Some(&permission.assignee), (at, rule));
                }
            }
            for (rule, prohibition) in policy.prohibitions.iter().enumerate() {
                for purpose in Purpose::all().filter(|purpose| prohibition.has_purpose(*purpose)) {
                    let by_whom = index.prohibitions.entry(purpose).or_default();
                    by_whom.insert(prohibition.assignee.as_ref(), (at, rule));
                }
            }
        }
        index
    }

    /// Permissions that may be meant for somebody with this purpose, by id.
    pub(super) fn permissions(&self, purpose: Purpose, who: &Who<'_>) -> Vec<Place> {
        let roles = who.caller.roles.iter();
        self.permissions
            .get(&purpose)
            .map_or_else(Vec::new, |by_whom| by_whom.look_up(who, roles))
    }

    /// Prohibitions that may be about somebody with this purpose, by id.
    pub(super) fn prohibitions(&self, purpose: Purpose, who: &Who<'_>) -> Vec<Place> {
        // A role that either the credential or the roster gives: as `Who::may_be_meant_by` has it.
        let roles = who.caller.roles.iter().chain(&who.member.roles);
        self.prohibitions
            .get(&purpose)
            .map_or_else(Vec::new, |by_whom| by_whom.look_up(who, roles))
    }
}

/// Rules by whom they name. As every key of an assignee must match, one of them is enough to find it.
#[derive(Clone, Debug, Default)]
struct ByWhom {
    anybody: Vec<Place>,
    roles: BTreeMap<RoleName, Vec<Place>>,
    members: BTreeMap<MemberId, Vec<Place>>,
    persons: BTreeMap<PersonId, Vec<Place>>,
}

impl ByWhom {
    fn insert(&mut self, assignee: Option<&Assignee>, place: Place) {
        let Some(Assignee {
            roles,
            members,
            persons,
        }) = assignee
        else {
            return self.anybody.push(place);
        };
        if let Some(persons) = persons {
            for (_, person) in persons {
                self.persons.entry(person.clone()).or_default().push(place);
            }
        } else if let Some(members) = members {
            for member in members {
                self.members.entry(member.clone()).or_default().push(place);
            }
        } else if let Some(roles) = roles {
            for role in roles {
                self.roles.entry(role.clone()).or_default().push(place);
            }
        } else {
            self.anybody.push(place);
        }
    }

    fn look_up<'a>(&self, who: &Who<'_>, roles: impl Iterator<Item = &'a RoleName>) -> Vec<Place> {
        let mut found = self.anybody.clone();
        found.extend(self.persons.get(&who.caller.person).into_iter().flatten());
        found.extend(self.members.get(&who.caller.member).into_iter().flatten());
        found.extend(roles.filter_map(|role| self.roles.get(role)).flatten());
        found.sort_unstable();
        found.dedup();
        found
    }
}
