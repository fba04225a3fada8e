//! `policies/*.toml` as it is written: the closed vocabulary of ODRL words, before anything is checked.
//!
//! Keys that are part of the vocabulary but that this version cannot enforce are parsed, so that `rules/compile.rs` can
//! refuse them by name instead of calling them spelling mistakes.

use serde::Deserialize;
use serde::de::IgnoredAny;
use terms::{CollectionId, MemberId, PolicyId, Purpose, RoleName, RuleId};
use toml::Spanned;
use toml::value::Datetime;

use crate::grant::Release;

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
    pub(crate) duty: Option<Spanned<IgnoredAny>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenPermission {
    pub(crate) id: Spanned<RuleId>,
    pub(crate) assignee: Spanned<WrittenAssignee>,
    pub(crate) purposes: Spanned<Vec<Spanned<Purpose>>>,
    pub(crate) permit: WrittenPermit,
    pub(crate) release: Spanned<Release>,
    pub(crate) columns: Vec<Spanned<String>>,
    pub(crate) rows: Option<Spanned<String>>,
    pub(crate) disclosure: WrittenDisclosure,
    pub(crate) duty: Option<Spanned<IgnoredAny>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenProhibition {
    pub(crate) id: Spanned<RuleId>,
    pub(crate) assignee: Option<Spanned<WrittenAssignee>>,
    pub(crate) purposes: Option<Spanned<Vec<Purpose>>>,
    pub(crate) release: Option<Release>,
    pub(crate) columns: Option<Spanned<Vec<Spanned<String>>>>,
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
    pub(crate) dominance: Option<Spanned<IgnoredAny>>,
    pub(crate) p_percent: Option<Spanned<IgnoredAny>>,
    pub(crate) round_to: Option<Spanned<IgnoredAny>>,
    pub(crate) queries: Option<Spanned<IgnoredAny>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WrittenTier {
    Open,
    Statistical,
    Differential,
}
