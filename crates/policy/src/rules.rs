//! All documents of a data space, checked together and indexed by collection.
//!
//! Either every file is understood to the last key, or there are no new rules and the old ones stay. `rules/compile.rs`
//! turns one policy file into a policy; `decide.rs` is where rules are applied.

mod compile;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use terms::limit::DOCUMENTS_MAX;
use terms::{CollectionId, MemberId, PolicyId, Problem, Report, UtcTime};
use trust::{Digest, Documents, Verified};

use crate::collection::{self, Collection};
use crate::roster::{self, Member, Space};
use crate::rule::Policy;
use crate::source::Source;

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
    /// The policies of each collection, by id.
    policies: BTreeMap<CollectionId, Vec<Arc<Policy>>>,
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
        Self::compile_files(documents.version, documents.digest, &documents.files)
    }

    /// Compiles files that need not be signed yet: for a board's tools and for tests.
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
        let mut policy_files = Vec::new();
        for (path, bytes) in files {
            match Place::of(path)? {
                Place::Space => space = Some(roster::parse_space(Source::read(path, bytes)?)?),
                Place::Members => members = Some(roster::parse_members(Source::read(path, bytes)?)?),
                Place::Collection => {
                    let collection = collection::parse(Source::read(path, bytes)?)?;
                    collections.insert(collection.id.clone(), Arc::new(collection));
                }
                Place::Policy => policy_files.push((Source::read(path, bytes)?, Digest::of(bytes))),
                Place::ReadingAid => {}
            }
        }
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
        let space = space.ok_or_else(|| missing("space.toml"))?;
        let members = members.ok_or_else(|| missing("members.toml"))?;
        Ok(Rules {
            space,
            version,
            digest,
            members,
            collections,
            policies,
        })
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

    /// The policies of a collection by id, in force or not.
    pub(crate) fn of_collection(&self, collection: &CollectionId) -> &[Arc<Policy>] {
        self.policies.get(collection).map_or(&[], Vec::as_slice)
    }

    /// The policies of a collection that are in force, by id.
    pub(crate) fn in_force(&self, collection: &CollectionId, at: UtcTime) -> impl Iterator<Item = &Arc<Policy>> {
        self.of_collection(collection)
            .iter()
            .filter(move |policy| policy.is_in_force(at))
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
            Some(("permits", _)) => {
                let message = "this version does not read permits and would therefore not heed them";
                let message = format!("{}: {message}", path.escape_debug());
                Err(Problem::PolicyInvalid
                    .report(message)
                    .remedy("take the file out of the data space"))
            }
            Some(_) | None => {
                let remedy = "a data space has space.toml, members.toml, collections/ID.toml and policies/ID.toml";
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
