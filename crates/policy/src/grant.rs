//! The run-time proof that one request may run now, and under which obligations.
//!
//! Only `decide` makes a [`Grant`], and it can be used once: it is not `Clone`, and the engine takes it by value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde::Deserialize;
use terms::{PolicyId, RuleId};
use trust::Digest;

use crate::collection::{Collection, RowFilter};
use crate::decide::Refusal;
use crate::disclosure::Disclosure;
use crate::duty::Duty;
use crate::models::ModelRules;
use crate::permit::{OptOut, Permit};
use crate::rule::{Permission, Policy};
use crate::transform::Transform;

/// What leaves a node: less first. Whoever may have one may have what is before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Release {
    /// Counts, sums and the like.
    Aggregates,
    /// Sums of products over rows, of which models are fitted.
    Models,
    /// Single rows.
    Rows,
}

impl Release {
    /// Less first.
    pub const ALL: [Release; 3] = [Release::Aggregates, Release::Models, Release::Rows];
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Release::Aggregates => "aggregates",
            Release::Models => "models",
            Release::Rows => "rows",
        })
    }
}

/// The fewest people that a released cell may describe. Always at least 2: a group of one is a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MinPeople(NonZeroU32);

/// A number that is too small to protect anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("min_people is {people}; it must be 2 or more")]
pub struct MinPeopleError {
    /// What was given.
    pub people: u32,
}

impl MinPeople {
    /// The number of people.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for MinPeople {
    type Error = MinPeopleError;

    fn try_from(people: u32) -> Result<Self, MinPeopleError> {
        match NonZeroU32::new(people) {
            Some(number) if number.get() >= 2 => Ok(Self(number)),
            _ => Err(MinPeopleError { people }),
        }
    }
}

impl fmt::Display for MinPeople {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How strictly a release is checked: the stricter, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// No disclosure checks; only where a collection holds no personal data.
    Open,
    /// For known, approved people: a cell describes at least this many people.
    Statistical {
        /// The fewest people of a cell.
        min_people: MinPeople,
    },
}

/// One request may run now, under these obligations.
///
/// It cannot be copied, and nothing outside this crate can make one:
///
/// ```compile_fail
/// fn twice(grant: policy::Grant) -> (policy::Grant, policy::Grant) {
///     (grant.clone(), grant)
/// }
/// ```
#[derive(Debug)]
pub struct Grant {
    policy: Arc<Policy>,
    permission: Arc<Permission>,
    permit: Option<Arc<Permit>>,
    release: Release,
    /// The strictest of the permission and of those of what is joined.
    disclosure: Disclosure,
    /// Likewise.
    models: Option<ModelRules>,
    joined: Vec<Grant>,
}

impl Grant {
    pub(crate) fn new(
        policy: &Arc<Policy>,
        permission: &Arc<Permission>,
        permit: Option<&Arc<Permit>>,
        release: Release,
    ) -> Self {
        Self {
            policy: Arc::clone(policy),
            permission: Arc::clone(permission),
            permit: permit.cloned(),
            release,
            disclosure: permission.disclosure.clone(),
            models: permission.models.clone().filter(|_| release >= Release::Models),
            joined: Vec::new(),
        }
    }

    /// The grant to join the rows of `other` to these: each under its own obligations, what leaves under the strictest.
    ///
    /// # Errors
    /// If both say different things about disclosure of which neither is stricter.
    pub(crate) fn joined_with(mut self, other: Grant) -> Result<Grant, Refusal> {
        let strictest = self.disclosure.strictest(&other.disclosure);
        self.disclosure = strictest.map_err(|key| Refusal::of_unlike(&self, &other, key))?;
        self.models = match (self.models, &other.models) {
            (Some(one), Some(another)) => Some(one.strictest(another)),
            (one, another) => one.or_else(|| another.clone()),
        };
        self.joined.push(other);
        Ok(self)
    }

    /// The grants for what is joined, in the order of the query: each with obligations of its own.
    pub fn joined(&self) -> &[Grant] {
        &self.joined
    }

    /// The policy that permits.
    pub fn policy(&self) -> &PolicyId {
        &self.policy.id
    }

    /// The version of the policy.
    pub fn version(&self) -> u64 {
        self.policy.version
    }

    /// The digest of the policy's file.
    pub fn policy_digest(&self) -> Digest {
        self.policy.digest
    }

    /// The permission that permits.
    pub fn rule(&self) -> &RuleId {
        &self.permission.id
    }

    /// The collection that may be queried.
    pub fn collection(&self) -> &Arc<Collection> {
        &self.policy.collection
    }

    /// The permit under which the request runs, if it names one.
    pub fn permit(&self) -> Option<&Arc<Permit>> {
        self.permit.as_ref()
    }

    /// Obligation: only these rows exist for the query.
    pub fn row_filter(&self) -> Option<&RowFilter> {
        self.permission.rows.as_ref().map(|rows| &rows.filter)
    }

    /// Obligation: the rows of people who have opted out do not exist for the query.
    pub fn opt_out(&self) -> &OptOut {
        self.permit.as_ref().map_or(&OptOut::AtQuery, |permit| &permit.opt_out)
    }

    /// Obligation: these duties are told with the answer and recorded, those of what is joined included.
    pub fn duties(&self) -> impl Iterator<Item = &Duty> {
        let all = std::iter::once(self).chain(&self.joined);
        all.flat_map(|grant| grant.policy.duties.iter().chain(&grant.permission.duties))
    }

    /// Obligation: the disclosure checks, those of what is joined included.
    pub fn disclosure(&self) -> &Disclosure {
        &self.disclosure
    }

    /// Obligation: what a fit must keep to, as what is joined says too. None where no models may leave, and in the tier
    /// *open*, where a fit must keep to nothing.
    pub fn models(&self) -> Option<&ModelRules> {
        self.models.as_ref()
    }

    /// How strict the disclosure checks are.
    pub fn tier(&self) -> Tier {
        self.disclosure.tier
    }

    /// Obligation: what may leave.
    pub fn release(&self) -> Release {
        self.release
    }

    /// Obligation: of these columns only this is there for the query, whatever it does with them.
    pub fn transforms(&self) -> &BTreeMap<String, Transform> {
        &self.permission.transforms
    }

    /// Obligation: no other columns may be used, anywhere in the query.
    pub fn columns(&self) -> &BTreeSet<String> {
        &self.permission.columns
    }
}
