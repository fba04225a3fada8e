//! All documents of a data space, checked together and indexed by collection.
//!
//! Either every file is understood to the last key, or there are no new rules and the old ones stay. `rules/compile.rs`
//! turns one policy file into a policy; `decide.rs` is where rules are applied.

mod compile;
mod index;
mod lookalike;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use terms::limit::DOCUMENTS_MAX;
use terms::{CollectionId, MemberId, PermitId, PolicyId, Problem, Purpose, Report, UtcTime};
use trust::tuf::DelegatedRole;
use trust::{Digest, Documents, Verified};

use self::index::Index;
use crate::collection::{self, Collection};
use crate::grant::{MinPeople, Tier};
use crate::permit::{self, Permit};
use crate::roster::{self, Member, Space};
use crate::rule::{Permission, Policy, Prohibition, Who, utc_day};
use crate::source::Source;
use crate::stops::Stops;

/// What a data space says, ready to decide.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The data space.
    pub space: Space,
    /// The version of the set of documents.
    pub version: u64,
    /// The digest of the set of documents.
    pub digest: Digest,
    /// The institutions.
    pub members: BTreeMap<MemberId, Member>,
    /// The collections.
    pub collections: BTreeMap<CollectionId, Arc<Collection>>,
    /// The permits.
    pub permits: BTreeMap<PermitId, Arc<Permit>>,
    /// What single board members have stopped.
    pub stops: Stops,
    /// When the documents of the access committee expire, if permits are its to sign: no permit holds from then on.
    permits_until: Option<UtcTime>,
    /// The policies of each collection, by id.
    policies: BTreeMap<CollectionId, Vec<Arc<Policy>>>,
    /// Of the policies of each collection.
    indexes: BTreeMap<CollectionId, Arc<Index>>,
}

/// One policy, for lists and status pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySummary {
    /// Its identifier.
    pub id: PolicyId,
    /// Its version.
    pub version: u64,
    /// What people call it.
    pub title: String,
    /// The collection that it is about.
    pub collection: CollectionId,
    /// Its first day, UTC.
    pub valid_from: Date,
    /// Its last day, UTC.
    pub valid_until: Date,
    /// The digest of its file, as receipts name it.
    pub digest: Digest,
}

impl Rules {
    /// Compiles the documents that a board signed.
    ///
    /// # Errors
    /// [`Problem::PolicyInvalid`] or one of the `File` problems, naming file and line of the first thing that is
    /// not understood or cannot be enforced.
    pub fn compile(documents: &Verified<Documents>) -> Result<Rules, Report> {
        let mut rules = Self::compile_files(documents.version, documents.digest, &documents.files)?;
        if rules.space.id != documents.space {
            let message = format!(
                "space.toml is that of {}, and the board signed for {}",
                rules.space.id, documents.space
            );
            return Err(Problem::PolicyScope.report(message));
        }
        let committee = documents
            .delegated
            .iter()
            .find(|set| set.role == DelegatedRole::Permits);
        rules.permits_until = committee.map(|set| set.expires);
        rules.stops = Stops::in_force(&documents.stops, &rules.space);
        Ok(rules)
    }

    /// Compiles files that need not be signed yet: for a board's tools and for tests. Nothing is stopped.
    ///
    /// # Errors
    /// As [`Rules::compile`].
    pub fn compile_files(version: u64, digest: Digest, files: &BTreeMap<String, Vec<u8>>) -> Result<Rules, Report> {
        if files.len() > DOCUMENTS_MAX {
            let message = format!("the data space has {} files; it may have {DOCUMENTS_MAX}", files.len());
            return Err(Problem::PolicyInvalid.report(message));
        }
        let (mut space, mut members) = (None, None);
        let mut collections = BTreeMap::new();
        let (mut policy_files, mut permit_files) = (Vec::new(), Vec::new());
        for (path, bytes) in files {
            match Place::of(path)? {
                Place::Space => space = Some(roster::parse_space(Source::read(path, bytes)?)?),
                Place::Members => members = Some(roster::parse_members(Source::read(path, bytes)?)?),
                Place::Collection => {
                    let collection = collection::parse(Source::read(path, bytes)?)?;
                    collections.insert(collection.id.clone(), Arc::new(collection));
                }
                Place::Policy => policy_files.push((Source::read(path, bytes)?, Digest::of(bytes))),
                Place::Permit => permit_files.push(Source::read(path, bytes)?),
                Place::ReadingAid => {}
            }
        }
        collection::require_keys(&collections)?;
        let space = space.ok_or_else(|| missing("space.toml"))?;
        let members = members.ok_or_else(|| missing("members.toml"))?;
        let mut policies: BTreeMap<CollectionId, Vec<Arc<Policy>>> = BTreeMap::new();
        for (source, digest) in policy_files {
            let policy = compile::policy(source, digest, &collections)?;
            policies
                .entry(policy.collection.id.clone())
                .or_default()
                .push(Arc::new(policy));
        }
        policies
            .values_mut()
            .for_each(|of_one| of_one.sort_by(|a, b| a.id.cmp(&b.id)));
        let mut permits = BTreeMap::new();
        for source in permit_files {
            let permit = permit::parse(source, &space.id)?;
            permits.insert(permit.id.clone(), Arc::new(permit));
        }
        let rules = Rules {
            space,
            version,
            digest,
            members,
            collections,
            permits,
            stops: Stops::default(),
            permits_until: None,
            indexes: policies
                .iter()
                .map(|(id, policies)| (id.clone(), Arc::new(Index::of(policies))))
                .collect(),
            policies,
        };
        lookalike::refuse(&rules)?;
        Ok(rules)
    }

    /// The same rules while `stops` hold.
    #[must_use]
    pub fn with_stops(mut self, stops: Stops) -> Rules {
        self.stops = stops;
        self
    }

    /// What these rules say about one collection while another roster and other permits hold and nothing is stopped: for
    /// reading aids, which ask what would be decided for whom.
    pub(crate) fn supposing(
        &self,
        collection: &CollectionId,
        members: BTreeMap<MemberId, Member>,
        permits: BTreeMap<PermitId, Arc<Permit>>,
    ) -> Rules {
        let policies = self.policies.get(collection).cloned().unwrap_or_default();
        let known = self.collections.get(collection).cloned();
        Rules {
            space: self.space.clone(),
            version: self.version,
            digest: self.digest,
            members,
            collections: known.map(|known| (collection.clone(), known)).into_iter().collect(),
            permits,
            stops: Stops::default(),
            permits_until: None,
            indexes: self
                .indexes
                .get(collection)
                .map(|index| (collection.clone(), Arc::clone(index)))
                .into_iter()
                .collect(),
            policies: [(collection.clone(), policies)].into(),
        }
    }

    /// The policy of this id.
    pub(crate) fn policy(&self, id: &PolicyId) -> Option<&Arc<Policy>> {
        self.policies.values().flatten().find(|policy| policy.id == *id)
    }

    /// The same rules while the access committee's documents hold until `until`.
    #[cfg(test)]
    pub(crate) fn set_permits_until(&mut self, until: UtcTime) {
        self.permits_until = Some(until);
    }

    /// Whether Art. 53(2) EHDS opens the reserved purposes to a member: it is a public body, or acts for one that is
    /// not stopped.
    pub(crate) fn is_public(&self, member: &Member) -> bool {
        let stands = |body: &MemberId| {
            !self.stops.members.contains(body) && self.members.get(body).is_some_and(Member::is_public_body)
        };
        member.is_public_body() || member.acts_for.iter().any(stands)
    }

    /// Whether the institution that a permit was issued to is still one of the data space.
    pub(crate) fn has_holder(&self, permit: &Permit) -> bool {
        self.members.contains_key(&permit.holder) && !self.stops.members.contains(&permit.holder)
    }

    /// The permit of this id, unless the committee's documents have expired.
    pub(crate) fn permit(&self, id: &PermitId, at: UtcTime) -> Option<&Arc<Permit>> {
        let lapsed = self.permits_until.is_some_and(|until| until <= at);
        self.permits.get(id).filter(|_| !lapsed)
    }

    /// All policies, in force or not, by collection and id.
    pub fn policies(&self) -> impl Iterator<Item = PolicySummary> {
        self.policies.values().flatten().map(|policy| PolicySummary {
            id: policy.id.clone(),
            version: policy.version,
            title: policy.title.clone(),
            collection: policy.collection.id.clone(),
            valid_from: policy.valid_from,
            valid_until: policy.valid_until,
            digest: policy.digest,
        })
    }

    /// Whether any permission on a collection lists a column, in force or not.
    pub fn lists_column(&self, collection: &CollectionId, column: &str) -> bool {
        let mut permissions = self
            .of_collection(collection)
            .iter()
            .flat_map(|policy| &policy.permissions);
        permissions.any(|permission| permission.columns.contains(column))
    }

    /// The strictest minimum of people that a permission on a collection asks for, in force or not; none if none protects anybody.
    pub fn min_people_max(&self, collection: &CollectionId) -> Option<MinPeople> {
        let permissions = self
            .of_collection(collection)
            .iter()
            .flat_map(|policy| &policy.permissions);
        let minimum = |tier| match tier {
            Tier::Open => None,
            Tier::Statistical { min_people } => Some(min_people),
        };
        permissions
            .filter_map(|permission| minimum(permission.disclosure.tier))
            .max()
    }

    /// The policies of a collection by id, in force or not.
    pub(crate) fn of_collection(&self, collection: &CollectionId) -> &[Arc<Policy>] {
        self.policies.get(collection).map_or(&[], Vec::as_slice)
    }

    /// The permissions on a collection that may be meant for somebody with this purpose, by id, in force or not.
    pub(crate) fn permissions_for(
        &self,
        collection: &CollectionId,
        purpose: Purpose,
        who: &Who<'_>,
    ) -> impl Iterator<Item = (&Arc<Policy>, &Arc<Permission>)> {
        let policies = self.of_collection(collection);
        let index = self.indexes.get(collection);
        let places = index.map_or_else(Vec::new, |index| index.permissions(purpose, who));
        places.into_iter().filter_map(|(policy, rule)| {
            let policy = policies.get(policy)?;
            Some((policy, policy.permissions.get(rule)?))
        })
    }

    /// The prohibitions on a collection that may be about somebody with this purpose, by id, in force or not.
    pub(crate) fn prohibitions_for(
        &self,
        collection: &CollectionId,
        purpose: Purpose,
        who: &Who<'_>,
    ) -> impl Iterator<Item = (&Arc<Policy>, &Prohibition)> {
        let policies = self.of_collection(collection);
        let index = self.indexes.get(collection);
        let places = index.map_or_else(Vec::new, |index| index.prohibitions(purpose, who));
        places.into_iter().filter_map(|(policy, rule)| {
            let policy = policies.get(policy)?;
            Some((policy, policy.prohibitions.get(rule)?))
        })
    }

    /// The policies of a collection that are in force, by id.
    pub(crate) fn in_force(&self, collection: &CollectionId, at: UtcTime) -> impl Iterator<Item = &Arc<Policy>> {
        let day = utc_day(at);
        self.of_collection(collection)
            .iter()
            .filter(move |policy| policy.is_in_force_on(day))
    }
}

fn missing(path: &str) -> Report {
    Problem::FileMissing.report(format!("the data space has no {path}"))
}

/// What a file is for, by where it lies.
enum Place {
    Space,
    Members,
    Collection,
    Policy,
    Permit,
    /// Cases and matrices are for the board's eyes; they decide nothing.
    ReadingAid,
}

impl Place {
    fn of(path: &str) -> Result<Place, Report> {
        match path.split_once('/') {
            None if path == "space.toml" => Ok(Place::Space),
            None if path == "members.toml" => Ok(Place::Members),
            Some(("collections", name)) if is_document(name) => Ok(Place::Collection),
            Some(("policies", name)) if is_reading_aid(name) => Ok(Place::ReadingAid),
            Some(("policies", name)) if is_document(name) => Ok(Place::Policy),
            Some(("permits", name)) if is_document(name) => Ok(Place::Permit),
            Some(_) | None => {
                let remedy = "a data space has space.toml, members.toml, collections/ID.toml, policies/ID.toml and permits/ID.toml";
                let message = format!("{}: a data space has no such file", path.escape_debug());
                Err(Problem::PolicyInvalid.report(message).remedy(remedy))
            }
        }
    }
}

/// `ID.toml`; that the id is the document's own is checked when the file is parsed.
fn is_document(name: &str) -> bool {
    // Every kind of id has the same shape.
    name.strip_suffix(".toml")
        .is_some_and(|stem| stem.parse::<PolicyId>().is_ok())
}

fn is_reading_aid(name: &str) -> bool {
    !name.contains('/') && (name.ends_with(".cases.toml") || name.ends_with(".matrix.txt"))
}
