//! The decision: one request against the rules of a data space.
//!
//! It cannot fail and knows no clock, no network and no SQL; the request carries every fact. In order: who asks and
//! whether they are stopped, for which purpose, prohibitions, the permit that the request names, permissions. A
//! prohibition beats every permission, and each permission stands alone: one more never allows less, one less never
//! allows more. What "less" is, `decide/demands.rs` says; what a refusal says, `decide/refusal.rs`.

mod demands;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod reference;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::Date;
use terms::{CollectionId, MemberId, PermitId, PersonId, Purpose, RoleName, UtcTime};

pub(crate) use self::demands::demands;
use crate::disclosure::Quota;
use crate::grant::{Grant, Release};
use crate::permit::{Permit, PermitGap, PermitUse};
use crate::rule::{Permission, Policy, Prohibition, Who, utc_day};
use crate::rules::Rules;

pub use self::refusal::Refusal;
pub(crate) use self::refusal::of as refusal_of;

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
    /// How often was asked already.
    pub asked: Asked,
    /// When.
    pub at: UtcTime,
}

/// Queries that this node has answered already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// To the person about the collection, in the last 60 seconds.
    pub minute: u32,
    /// To the person about the collection, in the last seven days.
    pub week: u32,
    /// Under the permit that the request names, to all its persons together and about any collection, in the last 60
    /// seconds; 0 if it names none.
    pub permit_minute: u32,
    /// The same in the last seven days.
    pub permit_week: u32,
}

impl Asked {
    /// Whether the person has asked as often as a permission lets one person ask.
    pub(crate) fn exhausts(self, quota: Quota) -> bool {
        is_reached(quota, self.minute, self.week)
    }

    /// Whether all persons together have asked as often as a permit lets them.
    pub(crate) fn exhausts_permit(self, quota: Quota) -> bool {
        is_reached(quota, self.permit_minute, self.permit_week)
    }
}

fn is_reached(quota: Quota, minute: u32, week: u32) -> bool {
    quota.per_minute.is_some_and(|most| minute >= most) || quota.per_week.is_some_and(|most| week >= most)
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
        Err(reason) => Decision::Refuse(refusal::of(rules, request, &reason)),
    }
}

/// Decides a request together with those about the collections that it joins: each on its own, and all must be allowed.
/// What leaves is checked by the strictest of their disclosure tables.
pub fn decide_joined(rules: &Rules, request: &AccessRequest, joined: &[AccessRequest]) -> Decision {
    let mut grant = match decide(rules, request) {
        Decision::Allow(grant) => grant,
        refused @ Decision::Refuse(_) => return refused,
    };
    for request in joined {
        let other = match decide(rules, request) {
            Decision::Allow(other) => other,
            refused @ Decision::Refuse(_) => return refused,
        };
        if let Some(permit) = linkage_denied(&grant, &other) {
            return Decision::Refuse(refusal::no_linkage(permit));
        }
        grant = match grant.joined_with(other) {
            Ok(grant) => grant,
            Err(refusal) => return Decision::Refuse(refusal),
        };
    }
    Decision::Allow(grant)
}

/// The permit under which people would be linked, if it says that they may not be.
fn linkage_denied<'a>(grant: &'a Grant, other: &Grant) -> Option<&'a Arc<Permit>> {
    let links = other.collection().personal;
    grant.permit().filter(|permit| links && !permit.linkage)
}

/// Why a request may not run: what `decide/refusal.rs` and the reading aids put into words.
pub(crate) enum Reason<'a> {
    NotAMember,
    /// The member or the person is stopped.
    Stopped,
    NoPurpose(Who<'a>),
    /// Art. 54 prohibits the purpose.
    ProhibitedUse(Who<'a>, Purpose),
    Prohibited(&'a Policy, &'a Prohibition),
    PermitStopped(&'a PermitId),
    PermitUnknown(&'a PermitId),
    PermitGap(&'a Permit, PermitGap),
    PermitExhausted(&'a Permit),
    /// Art. 53(2) reserves the purpose to public bodies.
    Reserved(Who<'a>, Purpose),
    /// No permission covers the request; this one lacks least.
    Short(Who<'a>, Purpose, Nearest<'a>),
    NoRule,
}

/// The decision before it is put into words.
pub(crate) fn weigh<'a>(rules: &'a Rules, request: &'a AccessRequest) -> Result<Grant, Reason<'a>> {
    let Some(member) = rules.members.get(&request.caller.member) else {
        return Err(Reason::NotAMember);
    };
    let who = Who {
        caller: &request.caller,
        member,
    };
    if rules.stops.names(&request.caller) {
        return Err(Reason::Stopped);
    }
    let Some(purpose) = request.purpose else {
        return Err(Reason::NoPurpose(who));
    };
    if purpose.is_prohibited_use() {
        return Err(Reason::ProhibitedUse(who, purpose));
    }
    let day = utc_day(request.at);
    let prohibition = rules
        .prohibitions_for(&request.collection, purpose, &who)
        .find(|(policy, rule)| policy.is_in_force_on(day) && prohibits(rule, &who, purpose, request.release, request));
    if let Some((policy, rule)) = prohibition {
        return Err(Reason::Prohibited(policy, rule));
    }
    let permit = permit(rules, request, purpose)?;
    // Art. 53(2): it is the holder who acts for the body, not everybody who may use the permit.
    let acts_for_public_body =
        permit.is_some_and(|permit| permit.acts_for.is_some() && permit.holder == request.caller.member);
    if purpose.is_reserved_to_public_bodies() && !acts_for_public_body && !rules.is_public(member) {
        return Err(Reason::Reserved(who, purpose));
    }
    let prohibits_rows = || {
        rules
            .prohibitions_for(&request.collection, purpose, &who)
            .any(|(policy, rule)| policy.is_in_force_on(day) && prohibits(rule, &who, purpose, Release::Rows, request))
    };
    let facts = Facts {
        rules,
        who,
        purpose,
        rows_are_prohibited: request.release == Release::Models && prohibits_rows(),
        has_permit: permit.is_some(),
        day,
        request,
    };
    let Some((policy, permission)) = facts.least_demanding() else {
        return Err(match facts.nearest() {
            Some(nearest) => Reason::Short(who, purpose, nearest),
            None => Reason::NoRule,
        });
    };
    Ok(Grant::new(policy, permission, permit, request.release))
}

/// The permit that the request names, once it covers the request.
fn permit<'a>(
    rules: &'a Rules,
    request: &'a AccessRequest,
    purpose: Purpose,
) -> Result<Option<&'a Arc<Permit>>, Reason<'a>> {
    let Some(id) = &request.permit else {
        return Ok(None);
    };
    if rules.stops.permits.contains(id) {
        return Err(Reason::PermitStopped(id));
    }
    let Some(permit) = rules.permit(id, request.at) else {
        return Err(Reason::PermitUnknown(id));
    };
    let asked = PermitUse {
        member: &request.caller.member,
        person: &request.caller.person,
        purpose,
        collection: &request.collection,
        release: request.release,
        columns: &request.columns,
        at: request.at,
        has_holder: rules.has_holder(permit),
    };
    if let Some(gap) = permit.gap(&asked) {
        return Err(Reason::PermitGap(permit, gap));
    }
    if request.asked.exhausts_permit(permit.queries) {
        return Err(Reason::PermitExhausted(permit));
    }
    Ok(Some(permit))
}

/// What permissions are held against.
struct Facts<'a> {
    rules: &'a Rules,
    who: Who<'a>,
    purpose: Purpose,
    /// Whether the request names a permit, which then covers it.
    has_permit: bool,
    /// Of models: whether a prohibition would meet the same request for rows.
    rows_are_prohibited: bool,
    /// The day of the request, UTC.
    day: Date,
    request: &'a AccessRequest,
}

impl<'a> Facts<'a> {
    /// Of the permissions that cover the request, the one that demands least, so that one more never takes anything
    /// away. Of equal ones the first by id.
    fn least_demanding(&self) -> Option<(&'a Arc<Policy>, &'a Arc<Permission>)> {
        self.rules
            .permissions_for(&self.request.collection, self.purpose, &self.who)
            .filter(|(policy, permission)| self.shortfall(policy, permission) == Shortfall::default())
            .min_by_key(|(policy, permission)| demands(policy, permission, self.request.release, &self.request.columns))
    }

    /// The permission that lacks least.
    fn nearest(&self) -> Option<Nearest<'a>> {
        let lacking = self.permissions().map(|(policy, permission)| Nearest {
            policy,
            permission,
            shortfall: self.shortfall(policy, permission),
        });
        lacking.min_by_key(|nearest| nearest.shortfall)
    }

    /// The permissions on the collection by id, in force or not.
    fn permissions(&self) -> impl Iterator<Item = (&'a Arc<Policy>, &'a Arc<Permission>)> {
        let policies = self.rules.of_collection(&self.request.collection).iter();
        policies.flat_map(|policy| policy.permissions.iter().map(move |permission| (policy, permission)))
    }

    fn shortfall(&self, policy: &Policy, permission: &Permission) -> Shortfall {
        let request = self.request;
        Shortfall {
            assignee: !self.who.is_meant_by(&permission.assignee),
            stopped: self.rules.stops.policies.contains(&policy.id),
            time: !policy.is_in_force_on(self.day),
            purpose: !permission.purposes.contains(&self.purpose),
            release: !permission.covers_release(request.release)
                || self.rows_are_prohibited && permission.models_come_with_rows(),
            columns: request.columns.difference(&permission.columns).count(),
            permit: permission.permit_required && !self.has_permit,
            window: !permission.is_open_at(request.at),
            quota: request.asked.exhausts(permission.disclosure.queries),
        }
    }
}

/// Every matcher that is there must match.
fn prohibits(rule: &Prohibition, who: &Who<'_>, purpose: Purpose, release: Release, request: &AccessRequest) -> bool {
    rule.names(who)
        && rule.has_purpose(purpose)
        && rule.has_release(release)
        && rule.has_any_column(&request.columns)
        && rule.holds_at(request.at)
}

/// The permission that lacks least, for the refusal to explain itself by.
pub(crate) struct Nearest<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) permission: &'a Permission,
    pub(crate) shortfall: Shortfall,
}

/// In what a permission fails to cover a request; nothing set = it covers it. Ordered: what the caller can change least
/// comes first and weighs most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shortfall {
    pub(crate) assignee: bool,
    /// The policy is stopped.
    pub(crate) stopped: bool,
    /// The policy is not in force.
    pub(crate) time: bool,
    pub(crate) purpose: bool,
    pub(crate) release: bool,
    /// How many columns are not covered.
    pub(crate) columns: usize,
    pub(crate) permit: bool,
    /// Outside its recurring time windows.
    pub(crate) window: bool,
    pub(crate) quota: bool,
}
