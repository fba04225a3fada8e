//! `collections/*.toml` as it is written: the closed vocabulary, before anything is checked.
//!
//! Nothing outside `collection/parse.rs` uses these types.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::{SeqAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use terms::CollectionId;
use toml::Spanned;

use crate::collection::{Calendar, ColumnKind};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenCollection {
    pub(super) id: Spanned<CollectionId>,
    pub(super) title: Spanned<String>,
    pub(super) personal: bool,
    pub(super) privacy_unit: Option<Spanned<String>>,
    pub(super) rows_per_person_max: Option<Spanned<u32>>,
    pub(super) key: Option<Spanned<String>>,
    // The spans of the keys keep the order of the file.
    pub(super) columns: BTreeMap<Spanned<String>, WrittenColumn>,
    #[serde(default)]
    pub(super) filters: BTreeMap<Spanned<String>, WrittenFilter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenFilter {
    pub(super) sql: Option<String>,
    pub(super) consent: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenColumn {
    #[serde(rename = "type")]
    pub(super) kind: ColumnKind,
    #[serde(default, rename = "role")]
    pub(super) roles: WrittenRoles,
    pub(super) values: Option<Vec<WrittenValue>>,
    pub(super) bins: Option<WrittenBins>,
    pub(super) bounds: Option<[f64; 2]>,
    pub(super) unit: Option<String>,
    pub(super) code: Option<String>,
    pub(super) references: Option<CollectionId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WrittenRole {
    Identifier,
    Group,
    Filter,
    Measure,
}

/// One role, or a list of roles.
#[derive(Debug, Default)]
pub(super) struct WrittenRoles(pub(super) Vec<WrittenRole>);

/// Edges, or a calendar unit.
#[derive(Debug)]
pub(super) enum WrittenBins {
    Edges(Vec<f64>),
    Calendar(Calendar),
}

/// A declared value.
#[derive(Debug)]
pub(super) enum WrittenValue {
    Text(String),
    Integer(i64),
}

impl<'de> Deserialize<'de> for WrittenRoles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Roles;
        impl<'de> Visitor<'de> for Roles {
            type Value = WrittenRoles;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a role or a list of roles")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WrittenRoles, E> {
                Ok(WrittenRoles(vec![WrittenRole::deserialize(StrDeserializer::new(
                    text,
                ))?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<WrittenRoles, A::Error> {
                Ok(WrittenRoles(Vec::deserialize(SeqAccessDeserializer::new(items))?))
            }
        }
        deserializer.deserialize_any(Roles)
    }
}

impl<'de> Deserialize<'de> for WrittenBins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bins;
        impl<'de> Visitor<'de> for Bins {
            type Value = WrittenBins;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("ascending numbers, or one of day, week, month, quarter, year")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WrittenBins, E> {
                Ok(WrittenBins::Calendar(Calendar::deserialize(StrDeserializer::new(
                    text,
                ))?))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<WrittenBins, A::Error> {
                Ok(WrittenBins::Edges(Vec::deserialize(SeqAccessDeserializer::new(items))?))
            }
        }
        deserializer.deserialize_any(Bins)
    }
}

impl<'de> Deserialize<'de> for WrittenValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl Visitor<'_> for Value {
            type Value = WrittenValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an integer")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WrittenValue, E> {
                Ok(WrittenValue::Text(text.to_owned()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<WrittenValue, E> {
                Ok(WrittenValue::Integer(number))
            }
        }
        deserializer.deserialize_any(Value)
    }
}
