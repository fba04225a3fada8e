//! What a client sets for its questions: for the connection (session options), or with each call as headers, which count first.
//!
//! | session option | header | value |
//! |---|---|---|
//! | `purpose` | `datenraum-purpose` | what questions are for, such as `ehds-53-1-e` |
//! | `permit` | `datenraum-permit` | the data permit |
//! | `minimum_nodes` | `datenraum-minimum-nodes` | how many nodes are enough where not all answer |
//! | `timeout_seconds` | `datenraum-timeout-seconds` | how long nodes may take |

use std::num::NonZeroUsize;

use terms::{PermitId, Problem, Purpose, Report};
use tonic::metadata::MetadataMap;

use crate::fan_out::Timeout;

const HEADER_PREFIX: &str = "datenraum-";
const PURPOSE: &str = "purpose";
const PERMIT: &str = "permit";
const MINIMUM_NODES: &str = "minimum_nodes";
const TIMEOUT_SECONDS: &str = "timeout_seconds";

/// Every option, by the name that a session option has.
pub(super) const NAMES: [&str; 4] = [PURPOSE, PERMIT, MINIMUM_NODES, TIMEOUT_SECONDS];

/// What questions are asked for, and which answers are enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What they are for.
    pub purpose: Option<Purpose>,
    /// The data permit, where one is needed.
    pub permit: Option<PermitId>,
    /// How many nodes must have answered where not all did. Without it, all must.
    pub minimum_nodes: Option<NonZeroUsize>,
    /// How long nodes may take.
    pub timeout: Option<Timeout>,
}

/// Why an option is not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Name,
    Value(String),
}

impl Options {
    /// Sets an option from text; an empty one is unset.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Wrong> {
        let value = Some(value).filter(|value| !value.is_empty());
        match name {
            PURPOSE => self.purpose = parsed(value)?,
            PERMIT => self.permit = parsed(value)?,
            MINIMUM_NODES => self.minimum_nodes = parsed(value)?,
            TIMEOUT_SECONDS => self.timeout = parsed(value)?,
            _ => return Err(Wrong::Name),
        }
        Ok(())
    }

    /// An option as text, if it is set.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        match name {
            PURPOSE => self.purpose.map(|purpose| purpose.to_string()),
            PERMIT => self.permit.as_ref().map(PermitId::to_string),
            MINIMUM_NODES => self.minimum_nodes.map(|nodes| nodes.to_string()),
            TIMEOUT_SECONDS => self.timeout.map(|seconds| seconds.to_string()),
            _ => None,
        }
    }

    /// What the headers of a call set.
    ///
    /// # Errors
    /// `Option` for an unknown name or a value that an option cannot have: a misspelt option is not passed over.
    pub(super) fn of_headers(headers: &MetadataMap) -> Result<Self, Report> {
        let mut options = Self::default();
        for name in headers.keys() {
            let tonic::metadata::KeyRef::Ascii(key) = name else {
                continue;
            };
            let Some(name) = key.as_str().strip_prefix(HEADER_PREFIX) else {
                continue;
            };
            let mut values = headers.get_all(key).iter();
            let value = values
                .next()
                .filter(|_| values.next().is_none())
                .and_then(|value| value.to_str().ok());
            let set = match value {
                Some(value) => options.set(&name.replace('-', "_"), value),
                None => Err(Wrong::Value("it must be one line of text, once".to_owned())),
            };
            set.map_err(|wrong| match wrong {
                Wrong::Name => Problem::Option.report(format!("there is no option {HEADER_PREFIX}{name}")),
                Wrong::Value(why) => Problem::Option.report(format!("the option {HEADER_PREFIX}{name}: {why}")),
            })?;
        }
        Ok(options)
    }

    /// These options, and `other` where they say nothing.
    #[must_use]
    pub(super) fn or(self, other: &Self) -> Self {
        Self {
            purpose: self.purpose.or(other.purpose),
            permit: self.permit.or_else(|| other.permit.clone()),
            minimum_nodes: self.minimum_nodes.or(other.minimum_nodes),
            timeout: self.timeout.or(other.timeout),
        }
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(value: Option<&str>) -> Result<Option<T>, Wrong> {
    let value = value.map(str::parse).transpose();
    value.map_err(|error: T::Err| Wrong::Value(error.to_string()))
}
