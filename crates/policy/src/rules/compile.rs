//! One `policies/*.toml` to a checked policy.
//!
//! It must never let a key pass that nothing enforces: what is known and not enforced is refused by name. What a
//! permission may show of a column is in `rules/compile/transforms.rs`, what fits of models must keep to in
//! `rules/compile/models.rs`.

mod models;
mod transforms;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use terms::{CollectionId, Report, RuleId};
use toml::Spanned;
use toml::value::Datetime;
use trust::Digest;

use crate::collection::{Collection, NODE_COLUMN, list};
use crate::disclosure::{DOMINANCE_TOP_MAX, Disclosure, Dominance};
use crate::document::{
    WrittenAssignee, WrittenDay, WrittenDisclosure, WrittenDominance, WrittenDuty, WrittenPermission, WrittenPermit,
    WrittenPolicy, WrittenProhibition, WrittenTier, WrittenWindow,
};
use crate::duty::Duty;
use crate::grant::{MinPeople, Release, Tier};
use crate::rule::{Assignee, Permission, PermissionLines, Policy, Prohibition, RowScope};
use crate::source::Source;
use crate::transform::Transform;
use crate::window::Window;

pub(super) fn policy(
    source: Source<'_>,
    digest: Digest,
    collections: &BTreeMap<CollectionId, Arc<Collection>>,
) -> Result<Policy, Report> {
    let written: WrittenPolicy = source.parse()?;
    source.require_named(&written.id)?;
    source.require_line(written.title.span(), "title", written.title.get_ref())?;
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
    let duties = duties(source, "the policy", written.duties)?;
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
        path: source.path().to_owned(),
        validity_line: source.line(written.valid_from.span()),
        digest,
        collection: Arc::clone(collection),
        valid_from,
        valid_until,
        duties,
        permissions,
        prohibitions,
    })
}

/// Most days that a duty may leave: ten years.
const DUTY_DAYS_MAX: u32 = 3_660;

fn duties(source: Source<'_>, whose: &str, written: Vec<Spanned<WrittenDuty>>) -> Result<Vec<Duty>, Report> {
    let mut duties = BTreeSet::new();
    for duty in written {
        let span = duty.span();
        let read = match duty.into_inner() {
            WrittenDuty::Delete { within_days } => Duty::Delete { within_days },
            WrittenDuty::PublishResults { within_days } => Duty::PublishResults { within_days },
            WrittenDuty::Attribute { text } => {
                source.require_line(span.clone(), &format!("{whose}: text of a duty"), &text)?;
                Duty::Attribute { text }
            }
        };
        if let Duty::Delete { within_days } | Duty::PublishResults { within_days } = read
            && !(1..=DUTY_DAYS_MAX).contains(&within_days)
        {
            let message = format!("{whose}: within_days must be from 1 to {DUTY_DAYS_MAX}");
            return Err(source.invalid(span, message));
        }
        if !duties.insert(read) {
            return Err(source.invalid(span, format!("{whose}: a duty is there twice")));
        }
    }
    Ok(duties.into_iter().collect())
}

fn windows(
    source: Source<'_>,
    whose: &str,
    written: Option<Spanned<Vec<Spanned<WrittenWindow>>>>,
) -> Result<Vec<Window>, Report> {
    let Some(written) = written else { return Ok(Vec::new()) };
    if written.get_ref().is_empty() {
        return Err(source.invalid(
            written.span(),
            format!("{whose}: when is empty; leave it out for any time"),
        ));
    }
    let window = |written: Spanned<WrittenWindow>| {
        let span = written.span();
        let WrittenWindow {
            days,
            from,
            until,
            zone,
        } = written.into_inner();
        let clock = |key: &str, written: Datetime| {
            clock_time(&written).ok_or_else(|| {
                let message = format!("{whose}: {key} must be a clock time to the minute, such as 08:00:00");
                source.invalid(span.clone(), message)
            })
        };
        let days = days.into_iter().map(weekday).collect();
        Window::new(days, clock("from", from)?, clock("until", until)?, zone.get_ref())
            .map_err(|error| source.invalid(zone.span(), format!("{whose}: {error}")))
    };
    written.into_inner().into_iter().map(window).collect()
}

fn clock_time(written: &Datetime) -> Option<jiff::civil::Time> {
    let Datetime {
        date: None,
        time: Some(_),
        offset: None,
    } = written
    else {
        return None;
    };
    let time: jiff::civil::Time = written.to_string().parse().ok()?;
    (time.second() == 0 && time.subsec_nanosecond() == 0).then_some(time)
}

fn weekday(written: WrittenDay) -> jiff::civil::Weekday {
    use jiff::civil::Weekday;
    match written {
        WrittenDay::Mon => Weekday::Monday,
        WrittenDay::Tue => Weekday::Tuesday,
        WrittenDay::Wed => Weekday::Wednesday,
        WrittenDay::Thu => Weekday::Thursday,
        WrittenDay::Fri => Weekday::Friday,
        WrittenDay::Sat => Weekday::Saturday,
        WrittenDay::Sun => Weekday::Sunday,
    }
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
        let whose = format!("permission {id}");
        let lines = self.lines(&written);
        let disclosure = self.disclosure(id, written.disclosure.get_ref())?;
        let release = *written.release.get_ref();
        let permit_required = *written.permit.get_ref() == WrittenPermit::Required;
        if disclosure.tier != Tier::Open && !permit_required {
            self.require_no_rows(id, &written.release)?;
        }
        let rows = written.rows.as_ref().map(|rows| self.row_scope(id, rows)).transpose()?;
        let columns = written.columns.into_inner();
        let transforms = self.transforms(id, release, &columns, written.transforms)?;
        let models = self.models(id, disclosure.tier, &written.release, written.models)?;
        Ok(Permission {
            lines,
            assignee: self.assignee(id, written.assignee)?,
            purposes: self.source.purposes(&whose, &written.purposes)?,
            permit_required,
            release,
            columns: self.permitted_columns(id, release, columns, &transforms)?,
            rows,
            transforms,
            windows: windows(self.source, &whose, written.when)?,
            disclosure,
            models,
            duties: duties(self.source, &whose, written.duties)?,
            id: written.id.into_inner(),
        })
    }

    /// Rows that are not open are for the holders of a data permit only.
    fn require_no_rows(&self, id: &RuleId, release: &Spanned<Release>) -> Result<(), Report> {
        if *release.get_ref() != Release::Rows {
            return Ok(());
        }
        let message =
            format!("permission {id}: release \"rows\" with tier \"statistical\" needs permit = \"required\"");
        let remedy = "require a data permit (EHDS Art. 68), or write release = \"aggregates\"";
        Err(self.source.invalid(release.span(), message).remedy(remedy))
    }

    fn lines(&self, written: &WrittenPermission) -> PermissionLines {
        let line = |span| self.source.line(span);
        PermissionLines {
            id: line(written.id.span()),
            assignee: line(written.assignee.span()),
            purposes: line(written.purposes.span()),
            permit: line(written.permit.span()),
            columns: line(written.columns.span()),
            models: line(written.models.as_ref().map_or(written.release.span(), Spanned::span)),
        }
    }

    fn disclosure(&self, id: &RuleId, written: &WrittenDisclosure) -> Result<Disclosure, Report> {
        let invalid = |span, message: &str| Err(self.source.invalid(span, format!("permission {id}: {message}")));
        let tier = self.tier(id, written)?;
        if let Some(dominance) = &written.dominance {
            let WrittenDominance { top, share } = *dominance.get_ref();
            if !((1..=DOMINANCE_TOP_MAX).contains(&top) && share > 0.0 && share < 1.0) {
                let message = format!("dominance needs top from 1 to {DOMINANCE_TOP_MAX} and share between 0 and 1");
                return invalid(dominance.span(), &message);
            }
        }
        for (key, number, largest) in [
            ("p_percent", &written.p_percent, 100),
            ("round_to", &written.round_to, 1_000_000),
        ] {
            if let Some(number) = number
                && !(1..=largest).contains(number.get_ref())
            {
                return invalid(number.span(), &format!("{key} must be from 1 to {largest}"));
            }
        }
        let checks = [
            ("dominance", written.dominance.as_ref().map(Spanned::span)),
            ("p_percent", written.p_percent.as_ref().map(Spanned::span)),
            ("round_to", written.round_to.as_ref().map(Spanned::span)),
            ("zeros", written.zeros.as_ref().map(Spanned::span)),
        ];
        if tier == Tier::Open
            && let Some((key, Some(span))) = checks.into_iter().find(|(_, span)| span.is_some())
        {
            return invalid(span, &format!("tier \"open\" does not heed {key}"));
        }
        let dominance = written.dominance.as_ref().map(Spanned::get_ref);
        Ok(Disclosure {
            tier,
            dominance: dominance.map(|&WrittenDominance { top, share }| Dominance { top, share }),
            p_percent: written.p_percent.as_ref().map(|percent| *percent.get_ref()),
            round_to: written.round_to.as_ref().map(|number| *number.get_ref()),
            zeros: written.zeros.as_ref().map(|zeros| *zeros.get_ref()).unwrap_or_default(),
            queries: self
                .source
                .quota(&format!("permission {id}"), written.queries.as_ref())?,
        })
    }

    fn tier(&self, id: &RuleId, written: &WrittenDisclosure) -> Result<Tier, Report> {
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

    fn row_scope(&self, id: &RuleId, name: &Spanned<String>) -> Result<RowScope, Report> {
        let filters = &self.collection.filters;
        filters
            .get(name.get_ref())
            .map(|filter| RowScope {
                name: name.get_ref().clone(),
                filter: filter.clone(),
            })
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

    fn permitted_columns(
        &self,
        id: &RuleId,
        release: Release,
        written: Vec<Spanned<String>>,
        transforms: &BTreeMap<String, Transform>,
    ) -> Result<BTreeSet<String>, Report> {
        for name in &written {
            self.require_column("permission", id, name)?;
            let Some(column) = self.collection.column(name.get_ref()) else {
                continue;
            };
            let is_pseudonym = transforms.get(name.get_ref()) == Some(&Transform::Pseudonym);
            let (problem, remedy) = if column.roles.identifier && !is_pseudonym {
                (
                    "is an identifier and can be used nowhere in a query",
                    "leave it out; rows can show it as a pseudonym, with transforms",
                )
            } else if release != Release::Rows && !column.roles.any_query() && !self.collection.is_joined_along(column)
            {
                (
                    "has no role, so no query for aggregates or models can use it",
                    "leave it out, or give it a role in the collection",
                )
            } else {
                continue;
            };
            let message = format!("permission {id}: column {} {problem}", name.get_ref());
            return Err(self.source.invalid(name.span(), message).remedy(remedy));
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
        let whose = format!("rule {id}");
        let persons = persons.map(|persons| {
            persons
                .iter()
                .map(|person| self.source.person(&whose, person))
                .collect()
        });
        Ok(Assignee {
            roles: roles.map(BTreeSet::from_iter),
            members: members.map(BTreeSet::from_iter),
            persons: persons.transpose()?,
        })
    }

    fn prohibition(&self, written: WrittenProhibition) -> Result<Prohibition, Report> {
        let id = written.id.get_ref();
        let WrittenProhibition {
            id: _,
            assignee,
            purposes,
            release,
            columns,
            when,
        } = &written;
        if assignee.is_none() && purposes.is_none() && release.is_none() && columns.is_none() && when.is_none() {
            let message = format!("prohibition {id} says nothing: name assignee, purposes, release, columns or when");
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
            line: self.source.line(written.id.span()),
            windows: windows(self.source, &format!("prohibition {id}"), written.when)?,
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
