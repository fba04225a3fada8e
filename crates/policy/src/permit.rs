//! A data permit or an approved data request: `permits/*.toml`, signed by the board or by its access committee.
//!
//! A permit never gives more than a policy's permission does; it says for which project, by which persons and over which
//! columns a permission may be used (Regulation (EU) 2025/327, Art. 68 and 69). A request that names a permit must be
//! covered by it in every respect. Next: `decide.rs`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use terms::{CollectionId, MemberId, PermitId, PersonId, Purpose, Report, SpaceId, UtcTime};
use toml::Spanned;
use toml::value::Datetime;

use crate::collection::NODE_COLUMN;
use crate::disclosure::Quota;
use crate::document::WrittenQuota;
use crate::grant::Release;
use crate::rule::utc_day;
use crate::source::Source;

/// A data permit (Art. 68) or an approved data request (Art. 69).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    /// Its identifier; the file's name.
    pub id: PermitId,
    /// What people call the project.
    pub title: String,
    /// Which of the two it is.
    pub kind: PermitKind,
    /// The health data access body, or whoever decided.
    pub issuer: String,
    /// When it was issued.
    pub issued: UtcTime,
    /// The institution that it was issued to.
    pub holder: MemberId,
    /// The persons who may use it.
    pub persons: BTreeSet<(MemberId, PersonId)>,
    /// The public body for which the holder acts, where one is named: Art. 53(2).
    pub acts_for: Option<String>,
    /// For these purposes only.
    pub purposes: BTreeSet<Purpose>,
    /// These columns of these collections only.
    pub columns: BTreeMap<CollectionId, BTreeSet<String>>,
    /// From this time.
    pub valid_from: UtcTime,
    /// Before this time. A file that names a day means its end.
    pub valid_until: UtcTime,
    /// From this time on it is withdrawn.
    pub withdrawn: Option<UtcTime>,
    /// How often all its persons together may ask under it, about all its collections.
    pub queries: Quota,
    /// Whether the holder may link people across datasets.
    pub linkage: bool,
    /// Which state of the opt-out registers holds for it.
    pub opt_out: OptOut,
}

/// Which of the two legal acts a permit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PermitKind {
    /// Art. 68: rows, in a secure processing environment, and statistics.
    DataPermit,
    /// Art. 69: statistics only.
    DataRequest,
}

impl PermitKind {
    /// As files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            PermitKind::DataPermit => "data-permit",
            PermitKind::DataRequest => "data-request",
        }
    }
}

/// Which opt-outs hold for a request (Art. 71).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptOut {
    /// Those that hold when the query is run.
    AtQuery,
    /// Those that held when the permit was issued: data processed under a permit before an opt-out stay in (Art. 71(3)).
    AsOf(UtcTime),
    /// None: national law excepts this use (Art. 71(4)), for the reason that the permit gives.
    Exempt {
        /// The law and why it applies.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPermitDocument {
    id: Spanned<PermitId>,
    space: Spanned<SpaceId>,
    title: Spanned<String>,
    kind: PermitKind,
    issuer: Spanned<String>,
    issued: Spanned<Datetime>,
    holder: MemberId,
    persons: Spanned<Vec<Spanned<String>>>,
    acts_for: Option<Spanned<String>>,
    purposes: Spanned<Vec<Spanned<Purpose>>>,
    valid_from: Spanned<Datetime>,
    valid_until: Spanned<Datetime>,
    withdrawn: Option<Spanned<Datetime>>,
    queries: Option<Spanned<WrittenQuota>>,
    #[serde(default)]
    linkage: bool,
    opt_out: Spanned<WrittenOptOut>,
    opt_out_reason: Option<Spanned<String>>,
    #[serde(default, rename = "dataset")]
    datasets: Vec<WrittenDataset>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenOptOut {
    AtQuery,
    AtIssue,
    Exempt,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDataset {
    collection: Spanned<CollectionId>,
    columns: Spanned<Vec<Spanned<String>>>,
}

/// Parses `permits/*.toml`.
pub(crate) fn parse(source: Source<'_>, space: &SpaceId) -> Result<Permit, Report> {
    let written: WrittenPermitDocument = source.parse()?;
    source.require_named(&written.id)?;
    if written.space.get_ref() != space {
        let message = format!(
            "the permit is for the data space {}, not for {space}",
            written.space.get_ref()
        );
        return Err(source.out_of_scope(written.space.span(), message));
    }
    for (key, text) in [("title", &written.title), ("issuer", &written.issuer)] {
        source.require_line(text.span(), key, text.get_ref())?;
    }
    if let Some(text) = &written.acts_for {
        source.require_line(text.span(), "acts_for", text.get_ref())?;
    }
    let issued = source.instant("issued", &written.issued)?;
    let (valid_from, valid_until) = (
        source.instant("valid_from", &written.valid_from)?,
        source.end("valid_until", &written.valid_until)?,
    );
    if valid_until <= valid_from {
        return Err(source.invalid(written.valid_until.span(), "valid_until is not after valid_from"));
    }
    if utc_day(valid_from) < utc_day(issued) {
        return Err(source.invalid(written.valid_from.span(), "valid_from is before the day of issue"));
    }
    let withdrawn = written.withdrawn.as_ref();
    let withdrawn = withdrawn.map(|at| source.instant("withdrawn", at)).transpose()?;
    let opt_out = opt_out(source, written.opt_out, written.opt_out_reason, issued)?;
    Ok(Permit {
        persons: persons(source, &written.persons)?,
        purposes: source.purposes("the permit", &written.purposes)?,
        columns: datasets(source, written.id.span(), written.datasets)?,
        queries: source.quota("the permit", written.queries.as_ref())?,
        id: written.id.into_inner(),
        title: written.title.into_inner(),
        kind: written.kind,
        issuer: written.issuer.into_inner(),
        issued,
        holder: written.holder,
        acts_for: written.acts_for.map(Spanned::into_inner),
        valid_from,
        valid_until,
        withdrawn,
        linkage: written.linkage,
        opt_out,
    })
}

fn opt_out(
    source: Source<'_>,
    written: Spanned<WrittenOptOut>,
    reason: Option<Spanned<String>>,
    issued: UtcTime,
) -> Result<OptOut, Report> {
    match (written.get_ref(), reason) {
        (WrittenOptOut::AtQuery, None) => Ok(OptOut::AtQuery),
        (WrittenOptOut::AtIssue, None) => Ok(OptOut::AsOf(issued)),
        (WrittenOptOut::Exempt, Some(reason)) => {
            source.require_line(reason.span(), "opt_out_reason", reason.get_ref())?;
            Ok(OptOut::Exempt {
                reason: reason.into_inner(),
            })
        }
        (WrittenOptOut::Exempt, None) => {
            let message =
                "opt_out = \"exempt\" needs opt_out_reason: the national law under Art. 71(4) and why it applies";
            Err(source.invalid(written.span(), message))
        }
        (WrittenOptOut::AtQuery | WrittenOptOut::AtIssue, Some(reason)) => {
            Err(source.invalid(reason.span(), "opt_out_reason is for opt_out = \"exempt\""))
        }
    }
}

fn persons(
    source: Source<'_>,
    written: &Spanned<Vec<Spanned<String>>>,
) -> Result<BTreeSet<(MemberId, PersonId)>, Report> {
    if written.get_ref().is_empty() {
        return Err(source.invalid(written.span(), "persons is empty: name who may use the permit"));
    }
    let persons = written.get_ref().iter();
    persons.map(|person| source.person("the permit", person)).collect()
}

fn datasets(
    source: Source<'_>,
    head: std::ops::Range<usize>,
    written: Vec<WrittenDataset>,
) -> Result<BTreeMap<CollectionId, BTreeSet<String>>, Report> {
    if written.is_empty() {
        return Err(source.invalid(head, "the permit has no [[dataset]]: name collections and columns"));
    }
    let mut all = BTreeMap::new();
    for WrittenDataset { collection, columns } in written {
        let id = collection.get_ref();
        // A collection or column that is gone, or has become an identifier, opens nothing: no policy permits it. A
        // committee's permit must not hold back what the board signs.
        let names = columns.into_inner().into_iter().map(Spanned::into_inner).collect();
        if all.insert(id.clone(), names).is_some() {
            return Err(source.invalid(collection.span(), format!("collection {id} is there twice")));
        }
    }
    Ok(all)
}

/// In what a permit fails to cover a request; none if it covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PermitGap {
    /// The caller is not one of its persons.
    Person,
    /// Its holder is stopped or has left the data space.
    Holder,
    /// It does not hold yet.
    NotYet,
    /// It has expired.
    Expired,
    /// It was withdrawn.
    Withdrawn,
    /// It is for other purposes.
    Purpose,
    /// It is about other collections.
    Collection,
    /// It allows statistics only.
    Release,
    /// It does not name every column.
    Columns,
}

/// What a permit is held against.
pub(crate) struct PermitUse<'a> {
    pub(crate) member: &'a MemberId,
    pub(crate) person: &'a PersonId,
    pub(crate) purpose: Purpose,
    pub(crate) collection: &'a CollectionId,
    pub(crate) release: Release,
    pub(crate) columns: &'a BTreeSet<String>,
    pub(crate) at: UtcTime,
    /// Whether its holder is a member that is not stopped.
    pub(crate) has_holder: bool,
}

impl Permit {
    pub(crate) fn gap(&self, asked: &PermitUse<'_>) -> Option<PermitGap> {
        let names_person = self
            .persons
            .iter()
            .any(|(member, person)| member == asked.member && person == asked.person);
        if !names_person {
            return Some(PermitGap::Person);
        }
        if !asked.has_holder {
            return Some(PermitGap::Holder);
        }
        if self.withdrawn.is_some_and(|withdrawn| withdrawn <= asked.at) {
            return Some(PermitGap::Withdrawn);
        }
        if asked.at < self.valid_from {
            return Some(PermitGap::NotYet);
        }
        if self.valid_until <= asked.at {
            return Some(PermitGap::Expired);
        }
        if !self.purposes.contains(&asked.purpose) {
            return Some(PermitGap::Purpose);
        }
        let Some(columns) = self.columns.get(asked.collection) else {
            return Some(PermitGap::Collection);
        };
        if self.kind == PermitKind::DataRequest && asked.release > Release::Aggregates {
            return Some(PermitGap::Release);
        }
        // Which institution answered is the policy's to allow; a permit is about data of people.
        let covered = |name: &String| name == NODE_COLUMN || columns.contains(name);
        (!asked.columns.iter().all(covered)).then_some(PermitGap::Columns)
    }
}
