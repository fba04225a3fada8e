//! Identifiers. One shape for all of them, so that none can smuggle a path, a quote or a look-alike.
//!
//! Shape: 1 to 64 characters, `a`–`z`, `0`–`9` and single inner hyphens, starting with a letter or a digit.

use std::fmt;
use std::str::FromStr;

use crate::problem::{Problem, Report};

/// Longest identifier, in bytes: fits a DNS label and a file name with room for an ending.
pub const ID_BYTES_MAX: usize = 64;

/// Text that is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} {text:?} is not an identifier: use 1 to 64 of a-z, 0-9 and single hyphens inside, such as \"breast-cancer\""
)]
pub struct IdError {
    /// What the identifier was to name.
    pub kind: &'static str,
    /// The text, cut to the longest identifier.
    pub text: String,
}

fn check(kind: &'static str, text: &str) -> Result<(), IdError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edges_ok = !text.starts_with('-') && !text.ends_with('-') && !text.contains("--");
    if !text.is_empty() && text.len() <= ID_BYTES_MAX && text.bytes().all(allowed) && edges_ok {
        return Ok(());
    }
    Err(IdError {
        kind,
        text: text.chars().take(ID_BYTES_MAX).collect(),
    })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                check($kind, &text)?;
                Ok(Self(text))
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// A data space.
    SpaceId = "data space";
    /// An institution, and the node that it runs.
    MemberId = "member";
    /// A natural person, unique within the institution that vouches for them.
    PersonId = "person";
    /// A harmonised schema that many nodes' datasets conform to.
    CollectionId = "collection";
    /// A usage policy that a board signed.
    PolicyId = "policy";
    /// A permission or prohibition inside a policy.
    RuleId = "rule";
    /// A data permit (EHDS Art. 68) or an approved data request (Art. 69).
    PermitId = "permit";
    /// What an institution is to a data space: `hospital`, `university`, `public-health-office`.
    RoleName = "role";
    /// One query at one node; random, so that it says nothing.
    QueryId = "query";
}

/// The name that an asker gives to one request, so that to ask again is not to ask twice. Only its asker reads it: 1 to
/// 64 of `A`–`Z`, `a`–`z`, `0`–`9`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(String);

/// Text that is not a request id. It is not quoted: whoever sent it knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request id is not 1 to 64 of A-Z, a-z, 0-9, _ and -")]
pub struct RequestIdError;

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RequestId {
    type Error = RequestIdError;
    fn try_from(text: String) -> Result<Self, RequestIdError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let is_id = !text.is_empty() && text.len() <= ID_BYTES_MAX && text.bytes().all(allowed);
        is_id.then_some(Self(text)).ok_or(RequestIdError)
    }
}

impl FromStr for RequestId {
    type Err = RequestIdError;
    fn from_str(text: &str) -> Result<Self, RequestIdError> {
        text.to_owned().try_into()
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> String {
        id.0
    }
}

impl From<RequestIdError> for Report {
    fn from(error: RequestIdError) -> Report {
        Problem::RequestId.report(error.to_string())
    }
}

impl CollectionId {
    /// The name in SQL: hyphens become underscores.
    pub fn sql_name(&self) -> String {
        self.0.replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_quotes_case_and_lookalikes_are_not_identifiers() {
        for text in [
            "",
            "-a",
            "a-",
            "a--b",
            "A",
            "../x",
            "a b",
            "a'b",
            "\u{0430}da",
            "a_b",
            &"a".repeat(65),
        ] {
            assert!(MemberId::from_str(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_request_id_is_short_plain_text() {
        for text in ["", "a b", "a.b", "a\n", "\u{e4}", &"a".repeat(65)] {
            assert_eq!(text.parse::<RequestId>(), Err(RequestIdError), "{text:?}");
        }
        for text in ["A-b_9", "-", &"a".repeat(64)] {
            assert_eq!(text.parse::<RequestId>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn hyphens_become_underscores_in_sql() {
        let id: CollectionId = "breast-cancer".parse().unwrap();
        assert_eq!(id.sql_name(), "breast_cancer");
    }
}
