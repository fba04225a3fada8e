//! `policies/*.toml` as it is written: the closed vocabulary of ODRL words, before anything is checked.
//!
//! Next: `rules/compile.rs`, which checks it, and `permit.rs`, which has a document of its own.

use std::collections::BTreeMap;

use serde::Deserialize;
use terms::{CollectionId, MemberId, PolicyId, Purpose, RoleName, RuleId};
use toml::Spanned;
use toml::value::Datetime;

use crate::disclosure::Zeros;
use crate::grant::Release;
use crate::models::{Overlaps, Sum};
use crate::transform::Transform;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenPolicy {
    pub(crate) id: Spanned<PolicyId>,
    pub(crate) version: Spanned<u64>,
    pub(crate) title: Spanned<String>,
    pub(crate) collection: Spanned<CollectionId>,
    pub(crate) valid_from: Spanned<Datetime>,
    pub(crate) valid_until: Spanned<Datetime>,
    #[serde(default, rename = "permission")]
    pub(crate) permissions: Vec<WrittenPermission>,
    #[serde(default, rename = "prohibition")]
    pub(crate) prohibitions: Vec<WrittenProhibition>,
    #[serde(default, rename = "duty")]
    pub(crate) duties: Vec<Spanned<WrittenDuty>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenPermission {
    pub(crate) id: Spanned<RuleId>,
    pub(crate) assignee: Spanned<WrittenAssignee>,
    pub(crate) purposes: Spanned<Vec<Spanned<Purpose>>>,
    pub(crate) permit: Spanned<WrittenPermit>,
    pub(crate) release: Spanned<Release>,
    pub(crate) columns: Spanned<Vec<Spanned<String>>>,
    pub(crate) rows: Option<Spanned<String>>,
    pub(crate) transforms: Option<Spanned<WrittenTransforms>>,
    pub(crate) when: Option<Spanned<Vec<Spanned<WrittenWindow>>>>,
    pub(crate) disclosure: Spanned<WrittenDisclosure>,
    pub(crate) models: Option<Spanned<WrittenModels>>,
    #[serde(default, rename = "duty")]
    pub(crate) duties: Vec<Spanned<WrittenDuty>>,
}

/// By column.
pub(crate) type WrittenTransforms = BTreeMap<Spanned<String>, Spanned<Transform>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenProhibition {
    pub(crate) id: Spanned<RuleId>,
    pub(crate) assignee: Option<Spanned<WrittenAssignee>>,
    pub(crate) purposes: Option<Spanned<Vec<Purpose>>>,
    pub(crate) release: Option<Release>,
    pub(crate) columns: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) when: Option<Spanned<Vec<Spanned<WrittenWindow>>>>,
}

/// A recurring time window, in the clock time of a zone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenWindow {
    pub(crate) days: Vec<WrittenDay>,
    pub(crate) from: Datetime,
    pub(crate) until: Datetime,
    pub(crate) zone: Spanned<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WrittenDay {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// What whoever receives an answer must do.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum WrittenDuty {
    Delete { within_days: u32 },
    Attribute { text: String },
    PublishResults { within_days: u32 },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenAssignee {
    pub(crate) roles: Option<Vec<RoleName>>,
    pub(crate) members: Option<Vec<MemberId>>,
    pub(crate) persons: Option<Vec<Spanned<String>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WrittenPermit {
    Required,
    None,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenDisclosure {
    pub(crate) tier: Spanned<WrittenTier>,
    pub(crate) min_people: Option<Spanned<u32>>,
    pub(crate) dominance: Option<Spanned<WrittenDominance>>,
    pub(crate) p_percent: Option<Spanned<u32>>,
    pub(crate) round_to: Option<Spanned<u32>>,
    pub(crate) zeros: Option<Spanned<Zeros>>,
    pub(crate) queries: Option<Spanned<WrittenQuota>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenDominance {
    pub(crate) top: u32,
    pub(crate) share: f64,
}

/// What a fit of a model must keep to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenModels {
    pub(crate) sum: Spanned<Sum>,
    pub(crate) min_nodes: Option<Spanned<u32>>,
    pub(crate) parameters: Option<Spanned<f64>>,
    pub(crate) reason: Option<Spanned<String>>,
    pub(crate) steps: Option<Spanned<u32>>,
    pub(crate) overlaps: Option<Spanned<Overlaps>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenQuota {
    pub(crate) per_minute: Option<u32>,
    pub(crate) per_week: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WrittenTier {
    Open,
    Statistical,
    Differential,
}
