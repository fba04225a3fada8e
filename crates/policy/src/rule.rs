//! A policy as it is held after loading: every name resolved, nothing left to check.
//!
//! Only `rules/compile.rs` makes these from text; `decide.rs`, `queryable.rs` and the reading aids read them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use terms::{MemberId, PersonId, PolicyId, Purpose, RoleName, RuleId, UtcTime};
use trust::Digest;

use crate::collection::{Collection, list};
use crate::decide::Caller;
use crate::disclosure::Disclosure;
use crate::duty::Duty;
use crate::grant::Release;
use crate::models::ModelRules;
use crate::roster::Member;
use crate::transform::Transform;
use crate::window::Window;

#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) id: PolicyId,
    pub(crate) version: u64,
    pub(crate) title: String,
    /// Where its file lies in the data space.
    pub(crate) path: String,
    /// The line of `valid_from`, from 1; for readers.
    pub(crate) validity_line: usize,
    /// Of the bytes of its file.
    pub(crate) digest: Digest,
    pub(crate) collection: Arc<Collection>,
    /// First and last day, UTC, both inclusive.
    pub(crate) valid_from: Date,
    pub(crate) valid_until: Date,
    /// Of every permission.
    pub(crate) duties: Vec<Duty>,
    /// By id, so that their order in the file means nothing.
    pub(crate) permissions: Vec<Arc<Permission>>,
    pub(crate) prohibitions: Vec<Prohibition>,
}

impl Policy {
    pub(crate) fn is_in_force(&self, at: UtcTime) -> bool {
        self.is_in_force_on(utc_day(at))
    }

    pub(crate) fn is_in_force_on(&self, day: Date) -> bool {
        self.valid_from <= day && day <= self.valid_until
    }
}

/// The calendar day of a point in time, UTC.
pub(crate) fn utc_day(at: UtcTime) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

#[derive(Debug)]
pub(crate) struct Permission {
    pub(crate) id: RuleId,
    pub(crate) lines: PermissionLines,
    pub(crate) assignee: Assignee,
    pub(crate) purposes: BTreeSet<Purpose>,
    pub(crate) permit_required: bool,
    pub(crate) release: Release,
    pub(crate) columns: BTreeSet<String>,
    pub(crate) rows: Option<RowScope>,
    /// What is shown instead of the values of some of the columns; only for a release of rows.
    pub(crate) transforms: BTreeMap<String, Transform>,
    /// In any of these; always if there are none.
    pub(crate) windows: Vec<Window>,
    pub(crate) disclosure: Disclosure,
    /// What fits must keep to; none where no models may leave, or nobody is protected.
    pub(crate) models: Option<ModelRules>,
    /// Its own; those of the policy come before them.
    pub(crate) duties: Vec<Duty>,
}

/// In which line of the policy's file each key of a permission stands, from 1; for readers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PermissionLines {
    pub(crate) id: usize,
    pub(crate) assignee: usize,
    pub(crate) purposes: usize,
    pub(crate) permit: usize,
    pub(crate) columns: usize,
    /// Where there is no such table, that of the release.
    pub(crate) models: usize,
}

/// A row filter of the collection, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowScope {
    pub(crate) name: String,
    pub(crate) filter: crate::collection::RowFilter,
}

impl Permission {
    /// Whoever may have single rows may have models of them, and whoever may have models statistics.
    pub(crate) fn covers_release(&self, asked: Release) -> bool {
        asked <= self.release
    }

    /// Whether models are permitted only because rows are, and not by rules of their own: whoever may not have the rows
    /// may not have such models either.
    pub(crate) fn models_come_with_rows(&self) -> bool {
        self.release == Release::Rows && self.models.as_ref().is_none_or(ModelRules::come_with_rows)
    }

    pub(crate) fn is_open_at(&self, at: UtcTime) -> bool {
        self.windows.is_empty() || self.windows.iter().any(|window| window.contains(at))
    }
}

/// A matcher that is absent matches everything; at least one is there.
#[derive(Debug)]
pub(crate) struct Prohibition {
    pub(crate) id: RuleId,
    /// The line of its id, from 1; for readers.
    pub(crate) line: usize,
    pub(crate) assignee: Option<Assignee>,
    pub(crate) purposes: Option<BTreeSet<Purpose>>,
    pub(crate) release: Option<Release>,
    /// Matches a request that uses any of them.
    pub(crate) columns: Option<BTreeSet<String>>,
    /// In any of these; always if there are none.
    pub(crate) windows: Vec<Window>,
}

impl Prohibition {
    pub(crate) fn names(&self, who: &Who<'_>) -> bool {
        self.assignee
            .as_ref()
            .is_none_or(|assignee| who.may_be_meant_by(assignee))
    }

    pub(crate) fn has_purpose(&self, purpose: Purpose) -> bool {
        self.purposes
            .as_ref()
            .is_none_or(|purposes| purposes.contains(&purpose))
    }

    pub(crate) fn has_release(&self, release: Release) -> bool {
        self.release.is_none_or(|named| named == release)
    }

    pub(crate) fn has_any_column(&self, asked: &BTreeSet<String>) -> bool {
        self.columns.as_ref().is_none_or(|columns| !columns.is_disjoint(asked))
    }

    pub(crate) fn holds_at(&self, at: UtcTime) -> bool {
        self.windows.is_empty() || self.windows.iter().any(|window| window.contains(at))
    }
}

/// Whom a rule is for. Every key that is there must match; at least one is there, and none is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignee {
    pub(crate) roles: Option<BTreeSet<RoleName>>,
    pub(crate) members: Option<BTreeSet<MemberId>>,
    pub(crate) persons: Option<BTreeSet<(MemberId, PersonId)>>,
}

impl Assignee {
    fn matches(&self, who: &Who<'_>, acts_as: impl Fn(&RoleName) -> bool) -> bool {
        let caller = who.caller;
        self.roles.as_ref().is_none_or(|roles| roles.iter().any(acts_as))
            && self
                .members
                .as_ref()
                .is_none_or(|members| members.contains(&caller.member))
            && self.persons.as_ref().is_none_or(|persons| {
                persons
                    .iter()
                    .any(|(member, person)| *member == caller.member && *person == caller.person)
            })
    }
}

impl fmt::Display for Assignee {
    // Persons are counted, not named: the sentence is for others too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles = self.roles.as_ref().map(|roles| format!("role {}", list(roles)));
        let members = self.members.as_ref().map(|members| format!("member {}", list(members)));
        let persons = self
            .persons
            .as_ref()
            .map(|persons| format!("{} named person(s)", persons.len()));
        let parts: Vec<String> = [roles, members, persons].into_iter().flatten().collect();
        f.write_str(&parts.join(" and "))
    }
}

/// A caller beside what the roster says about their institution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) member: &'a Member,
}

impl Who<'_> {
    /// Whether the caller acts in the role and the roster gives it to their institution: an institution vouches for
    /// its people, and cannot give them a role that it does not have itself.
    pub(crate) fn acts_as(&self, role: &RoleName) -> bool {
        self.caller.roles.contains(role) && self.member.roles.contains(role)
    }

    /// For permissions: only roles that both the credential and the roster give.
    pub(crate) fn is_meant_by(&self, assignee: &Assignee) -> bool {
        assignee.matches(self, |role| self.acts_as(role))
    }

    /// For prohibitions: a role that either gives. Leaving a role out of a credential escapes nothing.
    pub(crate) fn may_be_meant_by(&self, assignee: &Assignee) -> bool {
        assignee.matches(self, |role| {
            self.caller.roles.contains(role) || self.member.roles.contains(role)
        })
    }
}
