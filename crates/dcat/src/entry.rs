//! What verified documents and a node's signed description say of one data set.

use std::sync::Arc;

use jiff::tz::TimeZone;
use policy::{Queryable, Rules};
use terms::{MemberId, PolicyId, UtcTime};

/// One data set: one node's data of one collection.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The institution whose node offers it.
    pub member: MemberId,
    /// What people call the institution.
    pub member_title: String,
    /// The collection, and what of it may be asked. Nothing else of the collection is told.
    pub open: Arc<Queryable>,
    /// The policies under which it is asked: those in force that nobody has stopped.
    pub policies: Vec<PolicyNamed>,
    /// When the data last changed.
    pub updated: UtcTime,
    /// Whether they are of real people.
    pub origin: Origin,
}

/// A policy by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyNamed {
    /// Its identifier.
    pub id: PolicyId,
    /// Its version.
    pub version: u64,
}

/// Where the rows of a data set come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// What an institution has.
    Real,
    /// Made up, from the collection's public definition.
    Synthetic,
}

impl Entry {
    /// The entry for a data set of `member` as it is at a time, if the roster knows the member.
    pub fn new(
        rules: &Rules,
        at: UtcTime,
        member: &MemberId,
        open: &Arc<Queryable>,
        updated: UtcTime,
        origin: Origin,
    ) -> Option<Self> {
        let today = at.to_zoned(TimeZone::UTC).date();
        let of_collection = rules.policies().filter(|policy| {
            policy.collection == open.collection.id
                && (policy.valid_from..=policy.valid_until).contains(&today)
                && !rules.stops.policies.contains(&policy.id)
        });
        Some(Self {
            member: member.clone(),
            member_title: rules.members.get(member)?.title.clone(),
            open: Arc::clone(open),
            policies: of_collection
                .map(|policy| PolicyNamed {
                    id: policy.id,
                    version: policy.version,
                })
                .collect(),
            updated,
            origin,
        })
    }
}
