//! One `policies/*.toml` to a checked policy.
//!
//! It must never let a key pass that nothing enforces: what is known and not enforced is refused by name.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;
use terms::{CollectionId, MemberId, PersonId, Purpose, Report, RuleId};
use toml::Spanned;
use toml::value::Datetime;
use trust::Digest;

use crate::collection::{Collection, NODE_COLUMN, list};
use crate::document::{
    WrittenAssignee, WrittenDisclosure, WrittenPermission, WrittenPermit, WrittenPolicy, WrittenProhibition,
    WrittenTier,
};
use crate::grant::{MinPeople, Release, Tier};
use crate::rule::{Assignee, Permission, Policy, Prohibition};
use crate::source::Source;

pub(super) fn policy(
    source: Source<'_>,
    digest: Digest,
    collections: &BTreeMap<CollectionId, Arc<Collection>>,
) -> Result<Policy, Report> {
    let written: WrittenPolicy = source.parse()?;
    source.require_named(&written.id)?;
    source.require_line(written.title.span(), "title", written.title.get_ref())?;
    refuse_unenforced(source, [("duty", written.duty.as_ref().map(Spanned::span))])?;
    if *written.version.get_ref() == 0 {
        return Err(source.invalid(written.version.span(), "version must be 1 or more"));
    }
    let valid_from = day(source, "valid_from", &written.valid_from)?;
    let valid_until = day(source, "valid_until", &written.valid_until)?;
    if valid_until < valid_from {
        return Err(source.invalid(written.valid_until.span(), "valid_until is before valid_from"));
    }
    let Some(collection) = collections.get(written.collection.get_ref()) else {
        let message = format!("collection {} is not in the data space", written.collection.get_ref());
        let remedy = format!("collections of the data space: {}", list(collections.keys()));
        return Err(source.invalid(written.collection.span(), message).remedy(remedy));
    };
    require_distinct(source, &written)?;
    let scope = Scope { source, collection };
    let permissions = written
        .permissions
        .into_iter()
        .map(|rule| scope.permission(rule).map(Arc::new));
    let mut permissions = permissions.collect::<Result<Vec<_>, _>>()?;
    permissions.sort_by(|a, b| a.id.cmp(&b.id));
    let prohibitions = written.prohibitions.into_iter().map(|rule| scope.prohibition(rule));
    let mut prohibitions = prohibitions.collect::<Result<Vec<_>, _>>()?;
    prohibitions.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Policy {
        id: written.id.into_inner(),
        version: written.version.into_inner(),
        title: written.title.into_inner(),
        digest,
        collection: Arc::clone(collection),
        valid_from,
        valid_until,
        permissions,
        prohibitions,
    })
}

fn refuse_unenforced<const N: usize>(
    source: Source<'_>,
    keys: [(&str, Option<Range<usize>>); N],
) -> Result<(), Report> {
    let first = keys.into_iter().find_map(|(key, span)| span.map(|span| (key, span)));
    first.map_or(Ok(()), |(key, span)| Err(source.unenforced(span, key)))
}

fn day(source: Source<'_>, key: &str, written: &Spanned<Datetime>) -> Result<Date, Report> {
    let invalid = || {
        source.invalid(
            written.span(),
            format!("{key} must be a day without a time, such as 2027-12-31"),
        )
    };
    let Datetime {
        date: Some(date),
        time: None,
        offset: None,
    } = written.get_ref()
    else {
        return Err(invalid());
    };
    let parts = (
        i16::try_from(date.year),
        i8::try_from(date.month),
        i8::try_from(date.day),
    );
    let (Ok(year), Ok(month), Ok(day)) = parts else {
        return Err(invalid());
    };
    Date::new(year, month, day).map_err(|_| invalid())
}

/// A refusal names its rule by id, so an id means one rule.
fn require_distinct(source: Source<'_>, written: &WrittenPolicy) -> Result<(), Report> {
    let permissions = written.permissions.iter().map(|rule| &rule.id);
    let prohibitions = written.prohibitions.iter().map(|rule| &rule.id);
    let mut seen = BTreeSet::new();
    for id in permissions.chain(prohibitions) {
        if !seen.insert(id.get_ref()) {
            return Err(source.invalid(id.span(), format!("rule {} is there twice", id.get_ref())));
        }
    }
    Ok(())
}

/// What a rule's names refer to.
struct Scope<'a> {
    source: Source<'a>,
    collection: &'a Collection,
}

impl Scope<'_> {
    fn permission(&self, written: WrittenPermission) -> Result<Permission, Report> {
        let id = written.id.get_ref();
        refuse_unenforced(self.source, [("duty", written.duty.as_ref().map(Spanned::span))])?;
        let tier = self.tier(id, &written.disclosure)?;
        let release = *written.release.get_ref();
        if release == Release::Rows && tier != Tier::Open {
            let message = format!("permission {id}: release \"rows\" is for tier \"open\" only");
            return Err(self.source.invalid(written.release.span(), message));
        }
        let row_filter = written
            .rows
            .as_ref()
            .map(|rows| self.row_filter(id, rows))
            .transpose()?;
        Ok(Permission {
            assignee: self.assignee(id, written.assignee)?,
            purposes: self.permitted_purposes(id, &written.purposes)?,
            permit_required: written.permit == WrittenPermit::Required,
            release,
            columns: self.permitted_columns(id, release, written.columns)?,
            row_filter,
            tier,
            id: written.id.into_inner(),
        })
    }

    fn tier(&self, id: &RuleId, written: &WrittenDisclosure) -> Result<Tier, Report> {
        let span = |key: &Option<Spanned<_>>| key.as_ref().map(Spanned::span);
        let unenforced = [
            ("dominance", span(&written.dominance)),
            ("p_percent", span(&written.p_percent)),
            ("round_to", span(&written.round_to)),
            ("queries", span(&written.queries)),
        ];
        refuse_unenforced(self.source, unenforced)?;
        match (written.tier.get_ref(), &written.min_people) {
            (WrittenTier::Differential, _) => {
                Err(self.source.unenforced(written.tier.span(), "tier = \"differential\""))
            }
            (WrittenTier::Open, _) if self.collection.personal => {
                let of = format!("collection {} says personal = true", self.collection.id);
                let message = format!("permission {id}: tier \"open\" is for data without people, and {of}");
                Err(self.source.invalid(written.tier.span(), message))
            }
            (WrittenTier::Open, Some(people)) => {
                let message = format!("permission {id}: tier \"open\" does not heed min_people");
                Err(self.source.invalid(people.span(), message))
            }
            (WrittenTier::Open, None) => Ok(Tier::Open),
            (WrittenTier::Statistical, None) => {
                let message = format!("permission {id}: tier \"statistical\" needs min_people");
                Err(self.source.invalid(written.tier.span(), message))
            }
            (WrittenTier::Statistical, Some(people)) => match MinPeople::try_from(*people.get_ref()) {
                Ok(min_people) => Ok(Tier::Statistical { min_people }),
                Err(error) => Err(self.source.invalid(people.span(), format!("permission {id}: {error}"))),
            },
        }
    }

    fn row_filter(&self, id: &RuleId, name: &Spanned<String>) -> Result<String, Report> {
        let filters = &self.collection.filters;
        filters
            .get(name.get_ref())
            .map(|filter| filter.sql.clone())
            .ok_or_else(|| {
                let message = format!(
                    "permission {id}: collection {} has no such row filter",
                    self.collection.id
                );
                self.source
                    .invalid(name.span(), message)
                    .remedy(format!("row filters: {}", list(filters.keys())))
            })
    }

    fn permitted_purposes(
        &self,
        id: &RuleId,
        written: &Spanned<Vec<Spanned<Purpose>>>,
    ) -> Result<BTreeSet<Purpose>, Report> {
        if written.get_ref().is_empty() {
            return Err(self
                .source
                .invalid(written.span(), format!("permission {id}: purposes is empty")));
        }
        let prohibited = written
            .get_ref()
            .iter()
            .find(|purpose| purpose.get_ref().is_prohibited_use());
        if let Some(purpose) = prohibited {
            let what = format!("{} ({})", purpose.get_ref(), purpose.get_ref().words());
            let message = format!("permission {id}: Art. 54 EHDS prohibits {what}, and no policy can permit it");
            return Err(self.source.invalid(purpose.span(), message));
        }
        Ok(written.get_ref().iter().map(|purpose| *purpose.get_ref()).collect())
    }

    fn permitted_columns(
        &self,
        id: &RuleId,
        release: Release,
        written: Vec<Spanned<String>>,
    ) -> Result<BTreeSet<String>, Report> {
        for name in &written {
            self.require_column("permission", id, name)?;
            let Some(column) = self.collection.column(name.get_ref()) else {
                continue;
            };
            let problem = if column.roles.identifier {
                "is an identifier and can be used nowhere in a query"
            } else if release == Release::Aggregates && !column.roles.any_query() {
                "has no role, so no query for aggregates can use it"
            } else {
                continue;
            };
            let message = format!("permission {id}: column {} {problem}", name.get_ref());
            return Err(self.source.invalid(name.span(), message));
        }
        Ok(written.into_iter().map(Spanned::into_inner).collect())
    }

    fn require_column(&self, what: &str, id: &RuleId, name: &Spanned<String>) -> Result<(), Report> {
        let known = || self.collection.columns.iter().map(|column| column.name.as_str());
        if name.get_ref() == NODE_COLUMN || known().any(|column| column == name.get_ref()) {
            return Ok(());
        }
        let shown: String = name.get_ref().chars().take(terms::id::ID_BYTES_MAX).collect();
        let message = format!("{what} {id}: collection {} has no column {shown:?}", self.collection.id);
        let remedy = match terms::text::nearest(name.get_ref(), known()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("columns: {}", list(known())),
        };
        Err(self.source.invalid(name.span(), message).remedy(remedy))
    }

    fn assignee(&self, id: &RuleId, written: Spanned<WrittenAssignee>) -> Result<Assignee, Report> {
        let span = written.span();
        let WrittenAssignee {
            roles,
            members,
            persons,
        } = written.into_inner();
        let counts = [
            roles.as_ref().map(Vec::len),
            members.as_ref().map(Vec::len),
            persons.as_ref().map(Vec::len),
        ];
        if counts.iter().all(Option::is_none) || counts.contains(&Some(0)) {
            let message = format!("rule {id}: assignee needs roles, members or persons, and none of them empty");
            return Err(self.source.invalid(span, message));
        }
        // Members and roles need not be in the roster: taking a member off the roster must stay possible at once,
        // without a change of policies.
        let persons = persons.map(|persons| persons.iter().map(|person| self.person(id, person)).collect());
        Ok(Assignee {
            roles: roles.map(BTreeSet::from_iter),
            members: members.map(BTreeSet::from_iter),
            persons: persons.transpose()?,
        })
    }

    fn person(&self, id: &RuleId, written: &Spanned<String>) -> Result<(MemberId, PersonId), Report> {
        let parts = written.get_ref().split_once('/');
        let parsed = parts.and_then(|(member, person)| Some((member.parse().ok()?, person.parse().ok()?)));
        parsed.ok_or_else(|| {
            let message =
                format!("rule {id}: a person is written \"member/person\", such as \"saarland-university/ada\"");
            self.source.invalid(written.span(), message)
        })
    }

    fn prohibition(&self, written: WrittenProhibition) -> Result<Prohibition, Report> {
        let id = written.id.get_ref();
        let WrittenProhibition {
            assignee,
            purposes,
            release,
            columns,
            ..
        } = &written;
        if assignee.is_none() && purposes.is_none() && release.is_none() && columns.is_none() {
            let message = format!("prohibition {id} says nothing: name assignee, purposes, release or columns");
            return Err(self.source.invalid(written.id.span(), message));
        }
        let empty_purposes = purposes
            .as_ref()
            .filter(|list| list.get_ref().is_empty())
            .map(Spanned::span);
        let empty_columns = columns
            .as_ref()
            .filter(|list| list.get_ref().is_empty())
            .map(Spanned::span);
        if let Some(span) = empty_purposes.or(empty_columns) {
            return Err(self
                .source
                .invalid(span, format!("prohibition {id}: an empty list prohibits nothing")));
        }
        for name in columns.iter().flat_map(Spanned::get_ref) {
            self.require_column("prohibition", id, name)?;
        }
        Ok(Prohibition {
            assignee: written
                .assignee
                .map(|assignee| self.assignee(id, assignee))
                .transpose()?,
            purposes: written
                .purposes
                .map(|purposes| purposes.into_inner().into_iter().collect()),
            release: written.release,
            columns: written
                .columns
                .map(|names| names.into_inner().into_iter().map(Spanned::into_inner).collect()),
            id: written.id.into_inner(),
        })
    }
}
