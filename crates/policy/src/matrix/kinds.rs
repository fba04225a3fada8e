//! Kinds of callers: those whom the rules of a collection tell apart. Next: `matrix/reach.rs`, which asks for each.

use std::collections::BTreeSet;

use terms::{MemberId, PersonId, RoleName};

use crate::rule::Assignee;

/// A kind of caller: somebody of whom the rules can say only this.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    /// In these roles.
    pub(crate) roles: BTreeSet<RoleName>,
    /// Of this institution; of one that no rule names if there is none.
    pub(crate) member: Option<MemberId>,
    /// This person; one whom no rule names if there is none.
    pub(crate) person: Option<PersonId>,
    /// Whether the institution is a public body, or acts for one.
    pub(crate) public: bool,
}

impl Kind {
    /// Somebody who is of both kinds, if there can be such a person.
    pub(crate) fn and(&self, other: &Kind) -> Option<Kind> {
        fn either<T: Clone + PartialEq>(one: Option<&T>, other: Option<&T>) -> Option<Option<T>> {
            match (one, other) {
                (Some(one), Some(other)) if one != other => None,
                (one, other) => Some(one.or(other).cloned()),
            }
        }
        Some(Kind {
            roles: self.roles.union(&other.roles).cloned().collect(),
            member: either(self.member.as_ref(), other.member.as_ref())?,
            person: either(self.person.as_ref(), other.person.as_ref())?,
            public: self.public || other.public,
        })
    }

    fn of(&self, member: &MemberId, person: Option<&PersonId>) -> Kind {
        Kind {
            member: Some(member.clone()),
            person: person.cloned(),
            ..self.clone()
        }
    }
}

/// Those whom an assignee means, each as one kind.
pub(crate) fn kinds(assignee: &Assignee) -> Vec<Kind> {
    let each = |roles: Option<&BTreeSet<RoleName>>| match roles {
        Some(roles) => roles.iter().map(|role| [role.clone()].into()).collect(),
        None => vec![BTreeSet::new()],
    };
    let mut all = Vec::new();
    for roles in each(assignee.roles.as_ref()) {
        let kind = Kind {
            roles,
            ..Kind::default()
        };
        let of_members: Vec<Kind> = match &assignee.members {
            Some(members) => members.iter().map(|member| kind.of(member, None)).collect(),
            None => vec![kind],
        };
        for kind in of_members {
            match &assignee.persons {
                Some(persons) => all.extend(persons.iter().filter_map(|(member, person)| {
                    let here = kind.member.as_ref().is_none_or(|only| only == member);
                    here.then(|| kind.of(member, Some(person)))
                })),
                None => all.push(kind),
            }
        }
    }
    all
}
