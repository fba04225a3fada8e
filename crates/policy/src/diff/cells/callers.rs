//! One caller of each kind that rules tell apart.

use std::collections::BTreeSet;

use terms::{MemberId, PersonId, RoleName};

use super::Side;
use crate::rule::{Assignee, Policy};

/// Somebody who asks, as far as rules can tell.
#[derive(Clone, Debug)]
pub(in crate::diff) struct Caller<'a> {
    /// Of one that no rule names if there is none.
    member: Option<&'a MemberId>,
    /// One whom no rule names if there is none.
    person: Option<&'a PersonId>,
    before: Acting<'a>,
    after: Acting<'a>,
}

/// In which roles somebody asks.
#[derive(Clone, Debug, Default)]
struct Acting<'a> {
    /// In which permissions see them: given by credential and roster.
    as_both_say: BTreeSet<&'a RoleName>,
    /// In which prohibitions see them: given by either.
    as_either_says: BTreeSet<&'a RoleName>,
}

impl<'a> Acting<'a> {
    fn new(credential: &BTreeSet<&'a RoleName>, roster: &BTreeSet<&'a RoleName>) -> Self {
        Self {
            as_both_say: credential & roster,
            as_either_says: credential | roster,
        }
    }
}

/// The rules of one side that mean a caller, by the numbers of policy and rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Meant {
    pub(super) permissions: BTreeSet<(usize, usize)>,
    pub(super) prohibitions: BTreeSet<(usize, usize)>,
}

/// Callers who are the same on both sides.
pub(in crate::diff) fn callers<'a>(before: &Side<'a>, after: &Side<'a>) -> Vec<Caller<'a>> {
    let named = Named::by(before.policies.iter().chain(&after.policies).copied());
    let acting: Vec<Acting<'a>> = named.acting();
    let people = named.people();
    let each = people.iter().flat_map(|(member, person)| {
        acting.iter().map(|acting| Caller {
            member: *member,
            person: *person,
            before: acting.clone(),
            after: acting.clone(),
        })
    });
    each.collect()
}

/// Callers of one institution to which the roster gives other roles than before.
pub(in crate::diff) fn callers_of<'a>(
    side: &Side<'a>,
    member: &'a MemberId,
    roles_before: &'a BTreeSet<RoleName>,
    roles_after: &'a BTreeSet<RoleName>,
) -> Vec<Caller<'a>> {
    let named = Named::by(side.policies.iter().copied());
    let (roles_before, roles_after) = (roles_before.iter().collect(), roles_after.iter().collect());
    let people = named
        .persons
        .iter()
        .filter(|(of, _)| *of == member)
        .map(|(_, person)| Some(*person));
    let people: Vec<Option<&PersonId>> = people.chain([None]).collect();
    let credentials = named.pairs();
    let each = people.iter().flat_map(|person| {
        credentials.iter().map(|credential| Caller {
            member: Some(member),
            person: *person,
            before: Acting::new(credential, &roles_before),
            after: Acting::new(credential, &roles_after),
        })
    });
    each.collect()
}

/// The rules of both sides that mean each caller. Callers whom the same rules mean are one.
pub(super) fn distinct(before: &Side<'_>, after: &Side<'_>, callers: &[Caller<'_>]) -> BTreeSet<(Meant, Meant)> {
    let both = callers.iter().map(|caller| {
        let before = before.mean(caller, &caller.before);
        (before, after.mean(caller, &caller.after))
    });
    both.collect()
}

impl Side<'_> {
    fn mean(&self, caller: &Caller<'_>, acting: &Acting<'_>) -> Meant {
        let mut meant = Meant::default();
        for (number, policy) in self.policies.iter().enumerate() {
            let permissions = policy.permissions.iter().enumerate();
            let permissions = permissions.filter(|(_, rule)| caller.is_meant(&rule.assignee, &acting.as_both_say));
            meant.permissions.extend(permissions.map(|(rule, _)| (number, rule)));
            let prohibitions = policy.prohibitions.iter().enumerate().filter(|(_, rule)| {
                let whom = rule.assignee.as_ref();
                whom.is_none_or(|whom| caller.is_meant(whom, &acting.as_either_says))
            });
            meant.prohibitions.extend(prohibitions.map(|(rule, _)| (number, rule)));
        }
        meant
    }
}

impl Caller<'_> {
    /// As `rule.rs` has it for callers with names.
    fn is_meant(&self, assignee: &Assignee, roles: &BTreeSet<&RoleName>) -> bool {
        let person = |person: &(MemberId, PersonId)| Some(&person.0) == self.member && Some(&person.1) == self.person;
        assignee
            .roles
            .as_ref()
            .is_none_or(|named| named.iter().any(|role| roles.contains(role)))
            && assignee
                .members
                .as_ref()
                .is_none_or(|named| named.iter().any(|member| Some(member) == self.member))
            && assignee.persons.as_ref().is_none_or(|named| named.iter().any(person))
    }
}

/// Whom rules name.
#[derive(Default)]
struct Named<'a> {
    roles: BTreeSet<&'a RoleName>,
    members: BTreeSet<&'a MemberId>,
    persons: BTreeSet<(&'a MemberId, &'a PersonId)>,
}

impl<'a> Named<'a> {
    fn by(policies: impl Iterator<Item = &'a Policy>) -> Self {
        let mut named = Self::default();
        for policy in policies {
            let permissions = policy.permissions.iter().map(|rule| &rule.assignee);
            let prohibitions = policy.prohibitions.iter().filter_map(|rule| rule.assignee.as_ref());
            for whom in permissions.chain(prohibitions) {
                named.roles.extend(whom.roles.iter().flatten());
                named.members.extend(whom.members.iter().flatten());
                let persons = whom.persons.iter().flatten();
                named.persons.extend(persons.map(|(member, person)| (member, person)));
            }
        }
        named
    }

    /// Everybody who is named, somebody else of each institution, and somebody else altogether.
    fn people(&self) -> Vec<(Option<&'a MemberId>, Option<&'a PersonId>)> {
        let persons = self
            .persons
            .iter()
            .map(|(member, person)| (Some(*member), Some(*person)));
        let members: BTreeSet<&MemberId> = self
            .members
            .iter()
            .copied()
            .chain(self.persons.iter().map(|of| of.0))
            .collect();
        let members = members.into_iter().map(|member| (Some(member), None));
        persons.chain(members).chain([(None, None)]).collect()
    }

    /// No role, each role, and each two. More tell nothing: one role lets a permission answer now, and another let one
    /// answer then or a prohibition refuse.
    fn pairs(&self) -> BTreeSet<BTreeSet<&'a RoleName>> {
        let two = self
            .roles
            .iter()
            .flat_map(|one| self.roles.iter().map(|other| BTreeSet::from([*one, *other])));
        two.chain([BTreeSet::new()]).collect()
    }

    /// Those roles given by credential and roster, or all but one of them, which only one of the two gives.
    fn acting(&self) -> Vec<Acting<'a>> {
        let mut all = Vec::new();
        for roles in self.pairs() {
            all.push(Acting::new(&roles, &roles));
            for role in &roles {
                let others = roles.iter().copied().filter(|other| other != role).collect();
                all.push(Acting::new(&roles, &others));
            }
        }
        all
    }
}
