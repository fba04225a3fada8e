//! Which rule after is which rule before: by name, or else by saying the same.

use super::Banning;
use crate::diff::eased::Permitting;
use crate::rule::{Permission, Policy, Prohibition};

/// Things that are in both sets, in the first only, and in the second only.
pub(super) struct Matched<T> {
    pub(super) both: Vec<(T, T)>,
    pub(super) gone: Vec<T>,
    pub(super) new: Vec<T>,
}

impl<T: Copy> Matched<T> {
    fn nothing(before: &[T], after: &[T]) -> Self {
        Self {
            both: Vec::new(),
            gone: before.to_vec(),
            new: after.to_vec(),
        }
    }

    /// Matches what is left and alike.
    fn by(mut self, alike: impl Fn(T, T) -> bool) -> Self {
        let mut gone = Vec::new();
        for before in self.gone {
            match self.new.iter().position(|after| alike(before, *after)) {
                Some(at) => self.both.push((before, self.new.remove(at))),
                None => gone.push(before),
            }
        }
        self.gone = gone;
        self
    }
}

pub(super) fn policies<'a>(before: &[&'a Policy], after: &[&'a Policy]) -> Matched<&'a Policy> {
    Matched::nothing(before, after)
        .by(|before, after| before.id == after.id)
        .by(same_policy)
}

pub(super) fn permissions<'a>(
    policies: &Matched<&'a Policy>,
    before: &[&'a Policy],
    after: &[&'a Policy],
) -> Matched<Permitting<'a>> {
    let of = |policies: &[&'a Policy]| -> Vec<Permitting<'a>> {
        let of_one = |policy: &&'a Policy| {
            let policy = *policy;
            policy
                .permissions
                .iter()
                .map(move |permission| Permitting { policy, permission })
        };
        policies.iter().flat_map(of_one).collect()
    };
    Matched::nothing(&of(before), &of(after))
        .by(|before, after| {
            before.permission.id == after.permission.id && is_one(policies, before.policy, after.policy)
        })
        .by(|before, after| same_permission(before.permission, after.permission))
}

pub(super) fn prohibitions<'a>(
    policies: &Matched<&'a Policy>,
    before: &[&'a Policy],
    after: &[&'a Policy],
) -> Matched<Banning<'a>> {
    let of = |policies: &[&'a Policy]| -> Vec<Banning<'a>> {
        let of_one = |policy: &&'a Policy| {
            let policy = *policy;
            policy.prohibitions.iter().map(move |rule| Banning { policy, rule })
        };
        policies.iter().flat_map(of_one).collect()
    };
    Matched::nothing(&of(before), &of(after))
        .by(|before, after| before.rule.id == after.rule.id && is_one(policies, before.policy, after.policy))
        .by(|before, after| same_prohibition(before.rule, after.rule))
}

/// Whether a policy after is a policy before.
pub(super) fn is_one(policies: &Matched<&Policy>, before: &Policy, after: &Policy) -> bool {
    policies.both.iter().any(|(b, a)| b.id == before.id && a.id == after.id)
}

/// Whether every rule of one is one of the other, in the order of ids, which are the same.
fn same_policy(before: &Policy, after: &Policy) -> bool {
    let permissions = before.permissions.iter().zip(&after.permissions);
    let prohibitions = before.prohibitions.iter().zip(&after.prohibitions);
    before.permissions.len() == after.permissions.len()
        && before.prohibitions.len() == after.prohibitions.len()
        && permissions
            .into_iter()
            .all(|(b, a)| b.id == a.id && same_permission(b, a))
        && prohibitions
            .into_iter()
            .all(|(b, a)| b.id == a.id && same_prohibition(b, a))
}

fn same_permission(before: &Permission, after: &Permission) -> bool {
    let filter = |rule: &Permission| rule.rows.as_ref().map(|rows| rows.filter.clone());
    before.assignee == after.assignee
        && before.purposes == after.purposes
        && before.permit_required == after.permit_required
        && before.release == after.release
        && before.columns == after.columns
        && filter(before) == filter(after)
        && before.transforms == after.transforms
        && before.windows == after.windows
        && before.disclosure == after.disclosure
        && before.duties == after.duties
}

pub(super) fn same_prohibition(before: &Prohibition, after: &Prohibition) -> bool {
    before.assignee == after.assignee
        && before.purposes == after.purposes
        && before.release == after.release
        && before.columns == after.columns
        && before.windows == after.windows
}
