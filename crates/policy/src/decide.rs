//! The decision: one request against the rules of a data space.
//!
//! It cannot fail and knows no clock, no network and no SQL; the request carries every fact. In order: who asks, for
//! which purpose, prohibitions, permissions. A prohibition beats every permission; of several permissions that
//! cover a request the strictest counts. What a refusal says is in `decide/refusal.rs`.

#[cfg(test)]
mod properties;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use terms::{CollectionId, MemberId, PermitId, PersonId, Purpose, RoleName, UtcTime};

use crate::grant::{Grant, Release};
use crate::rule::{Permission, Policy, Prohibition, Who};
use crate::rules::Rules;

pub use self::refusal::Refusal;

/// Who asks: what a verified credential says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The institution that vouches for the person.
    pub member: MemberId,
    /// The person.
    pub person: PersonId,
    /// In which roles the person acts. A role counts for a permission only if the roster gives it to the member too.
    pub roles: BTreeSet<RoleName>,
}

/// The facts of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRequest {
    /// Who asks.
    pub caller: Caller,
    /// What for.
    pub purpose: Option<Purpose>,
    /// Under which data permit.
    pub permit: Option<PermitId>,
    /// About which collection.
    pub collection: CollectionId,
    /// What is to leave.
    pub release: Release,
    /// Every column that the query uses anywhere, [`crate::NODE_COLUMN`] included.
    pub columns: BTreeSet<String>,
    /// When.
    pub at: UtcTime,
}

/// The answer to a request.
#[derive(Debug)]
pub enum Decision {
    /// It may run, under the grant's obligations.
    Allow(Grant),
    /// It may not.
    Refuse(Refusal),
}

impl Decision {
    /// The grant, or why there is none.
    ///
    /// # Errors
    /// The refusal.
    pub fn into_grant(self) -> Result<Grant, Refusal> {
        match self {
            Decision::Allow(grant) => Ok(grant),
            Decision::Refuse(refusal) => Err(refusal),
        }
    }
}

/// Decides a request. Pure and total: the same rules and request give the same decision.
pub fn decide(rules: &Rules, request: &AccessRequest) -> Decision {
    match weigh(rules, request) {
        Ok(grant) => Decision::Allow(grant),
        Err(refusal) => Decision::Refuse(refusal),
    }
}

fn weigh(rules: &Rules, request: &AccessRequest) -> Result<Grant, Refusal> {
    let Some(member) = rules.members.get(&request.caller.member) else {
        return Err(refusal::not_a_member(rules, request));
    };
    let who = Who {
        caller: &request.caller,
        member,
    };
    let Some(purpose) = request.purpose else {
        return Err(refusal::no_purpose(rules, request, &who));
    };
    if purpose.is_prohibited_use() {
        return Err(refusal::prohibited_use(rules, request, &who, purpose));
    }
    for policy in rules.in_force(&request.collection, request.at) {
        if let Some(prohibition) = policy
            .prohibitions
            .iter()
            .find(|rule| prohibits(rule, &who, purpose, request))
        {
            return Err(refusal::by_prohibition(policy, prohibition, request));
        }
    }
    let mut strictest: Option<(&Arc<Policy>, &Arc<Permission>)> = None;
    let mut nearest: Option<Nearest<'_>> = None;
    for policy in rules.of_collection(&request.collection) {
        for permission in &policy.permissions {
            let shortfall = Shortfall::of(policy, permission, &who, purpose, request);
            if shortfall != Shortfall::default() {
                if nearest.as_ref().is_none_or(|best| shortfall < best.shortfall) {
                    nearest = Some(Nearest {
                        policy,
                        permission,
                        shortfall,
                    });
                }
            } else if strictest.is_none_or(|(_, best)| permission.tier > best.tier) {
                strictest = Some((policy, permission));
            }
        }
    }
    match (strictest, nearest) {
        (Some((policy, permission)), _) => Ok(Grant::new(policy, permission, request.release)),
        (None, Some(nearest)) => Err(refusal::by_shortfall(rules, request, &who, purpose, &nearest)),
        (None, None) => Err(refusal::no_rule(rules, request)),
    }
}

/// Every matcher that is there must match.
fn prohibits(rule: &Prohibition, who: &Who<'_>, purpose: Purpose, request: &AccessRequest) -> bool {
    rule.names(who)
        && rule.has_purpose(purpose)
        && rule.has_release(request.release)
        && rule.has_any_column(&request.columns)
}

/// The permission that lacks least, for the refusal to explain itself by.
struct Nearest<'a> {
    policy: &'a Policy,
    permission: &'a Permission,
    shortfall: Shortfall,
}

/// In what a permission fails to cover a request; nothing set = it covers it. Ordered: what the caller can change least
/// comes first and weighs most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Shortfall {
    assignee: bool,
    time: bool,
    purpose: bool,
    release: bool,
    /// How many columns are not covered.
    columns: usize,
    permit: bool,
}

impl Shortfall {
    fn of(
        policy: &Policy,
        permission: &Permission,
        who: &Who<'_>,
        purpose: Purpose,
        request: &AccessRequest,
    ) -> Shortfall {
        Shortfall {
            assignee: !who.is_meant_by(&permission.assignee),
            time: !policy.is_in_force(request.at),
            purpose: !permission.purposes.contains(&purpose),
            release: !permission.covers_release(request.release),
            columns: request.columns.difference(&permission.columns).count(),
            // Permit documents are not read yet, so none can be known.
            permit: permission.permit_required,
        }
    }
}
