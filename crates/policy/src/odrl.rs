//! A policy as ODRL 2.2 in JSON-LD, and back: for catalogues, contract tools and other data spaces.
//!
//! [`export`] says everything that the policy's file says, in ODRL's words where it has them and in those of a profile
//! where it has none; `docs/odrl.md` is the profile. [`import`] reads exactly what [`export`] writes and refuses all else:
//! what it does not know it cannot have understood. Neither decides anything: boards sign TOML, nodes work under it.
//!
//! Order: `vocabulary.rs` (names), `write.rs` (to JSON), `json.rs` (bytes to JSON, with limits), `read.rs` (from JSON),
//! `same.rs` (nothing else was there), `text.rs` (to TOML).

mod json;
mod read;
mod same;
#[cfg(test)]
mod tests;
mod text;
mod vocabulary;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::Value;
use terms::{CollectionId, PolicyId, Purpose, Report, RuleId, SpaceId};

use crate::disclosure::Disclosure;
use crate::duty::Duty;
use crate::grant::Release;
use crate::models::ModelRules;
use crate::rule::{Assignee, Permission, Policy, Prohibition};
use crate::rules::Rules;
use crate::transform::Transform;
use crate::window::Window;

pub use self::json::parse;

/// The policy as an ODRL 2.2 offer in JSON-LD; none if the rules have no policy of this id.
///
/// The document needs nothing else to be read: its context is inside.
pub fn export(rules: &Rules, policy: &PolicyId) -> Option<Value> {
    let policy = rules.policy(policy)?;
    Some(write::offer(&Offer::of(&rules.space.id, policy)))
}

/// The text of `policies/ID.toml` that says what an exported policy says. Its id is the policy's.
///
/// # Errors
/// [`terms::Problem::FileKey`] for a member that is unknown, missing or there twice and
/// [`terms::Problem::FileValue`] for a value that an export does not have there, with the JSON path of the first one.
/// That the text fits a data space's collections is checked when it is compiled.
pub fn import(odrl: &Value) -> Result<String, Report> {
    json::require_within_limits(odrl)?;
    let offer = read::offer(odrl)?;
    same::require(&write::offer(&offer), odrl)?;
    Ok(text::policy(&offer))
}

/// What a policy says: the compiled policy without what only its file has (lines, digest) and without what its
/// collection says.
#[derive(Clone, Debug, PartialEq)]
struct Offer {
    space: SpaceId,
    id: PolicyId,
    version: u64,
    title: String,
    collection: CollectionId,
    valid_from: Date,
    valid_until: Date,
    duties: Vec<Duty>,
    permissions: Vec<OfferedPermission>,
    prohibitions: Vec<OfferedProhibition>,
}

#[derive(Clone, Debug, PartialEq)]
struct OfferedPermission {
    id: RuleId,
    assignee: Assignee,
    purposes: BTreeSet<Purpose>,
    permit_required: bool,
    release: Release,
    columns: BTreeSet<String>,
    /// The name of the row filter; what it means stands in the collection.
    rows: Option<String>,
    transforms: BTreeMap<String, Transform>,
    windows: Vec<Window>,
    disclosure: Disclosure,
    /// As the table says; none if there is none.
    models: Option<ModelRules>,
    duties: Vec<Duty>,
}

#[derive(Clone, Debug, PartialEq)]
struct OfferedProhibition {
    id: RuleId,
    assignee: Option<Assignee>,
    purposes: Option<BTreeSet<Purpose>>,
    release: Option<Release>,
    columns: Option<BTreeSet<String>>,
    windows: Vec<Window>,
}

// Each of these names every field, so that a new one cannot be left out of an export unseen.

impl Offer {
    fn of(space: &SpaceId, policy: &Policy) -> Self {
        let Policy {
            id,
            version,
            title,
            path: _,
            validity_line: _,
            digest: _,
            collection,
            valid_from,
            valid_until,
            duties,
            permissions,
            prohibitions,
        } = policy;
        Self {
            space: space.clone(),
            id: id.clone(),
            version: *version,
            title: title.clone(),
            collection: collection.id.clone(),
            valid_from: *valid_from,
            valid_until: *valid_until,
            duties: duties.clone(),
            permissions: permissions.iter().map(|rule| OfferedPermission::of(rule)).collect(),
            prohibitions: prohibitions.iter().map(OfferedProhibition::of).collect(),
        }
    }
}

impl OfferedPermission {
    fn of(permission: &Permission) -> Self {
        let Permission {
            id,
            lines: _,
            assignee,
            purposes,
            permit_required,
            release,
            columns,
            rows,
            transforms,
            windows,
            disclosure,
            models,
            duties,
        } = permission;
        Self {
            id: id.clone(),
            assignee: assignee.clone(),
            purposes: purposes.clone(),
            permit_required: *permit_required,
            release: *release,
            columns: columns.clone(),
            rows: rows.as_ref().map(|rows| rows.name.clone()),
            transforms: transforms.clone(),
            windows: windows.clone(),
            disclosure: disclosure.clone(),
            models: models.clone().filter(|models| !models.come_with_rows()),
            duties: duties.clone(),
        }
    }
}

impl OfferedProhibition {
    fn of(prohibition: &Prohibition) -> Self {
        let Prohibition {
            id,
            line: _,
            assignee,
            purposes,
            release,
            columns,
            windows,
        } = prohibition;
        Self {
            id: id.clone(),
            assignee: assignee.clone(),
            purposes: purposes.clone(),
            release: *release,
            columns: columns.clone(),
            windows: windows.clone(),
        }
    }
}
