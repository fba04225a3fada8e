//! What a board may hand to somebody else: its permits to an access committee, its members to a registrar.
//!
//! Each is a role of its own, with keys and a threshold of its own, one level deep. There are no others: a
//! delegation that is not one of these two is refused, so that nobody has to ask what it would have meant.
//! Next: `draft.rs`, which writes them down.

use std::fmt;
use std::str::FromStr;

use crate::tuf::roles::RoleKeys;

/// A role that a board may delegate to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DelegatedRole {
    /// An access committee, which issues data permits.
    Permits,
    /// A registrar, who keeps the list of members.
    Registrar,
}

/// A role, and who signs for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// The role.
    pub role: DelegatedRole,
    /// Its keys and how many of them must sign.
    pub keys: RoleKeys,
}

/// Text that is not the name of a role that can be delegated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a board can delegate \"permits\" and \"registrar\", nothing else")]
pub struct NotDelegable;

impl DelegatedRole {
    /// Both. A registrar comes first: without members no permit can be read.
    pub const ALL: [DelegatedRole; 2] = [DelegatedRole::Registrar, DelegatedRole::Permits];

    /// The name in TUF documents.
    pub fn as_str(self) -> &'static str {
        match self {
            DelegatedRole::Permits => "permits",
            DelegatedRole::Registrar => "registrar",
        }
    }

    /// The files that the role may sign, as TUF writes patterns: `*` does not cross `/`.
    pub fn paths(self) -> &'static [&'static str] {
        match self {
            DelegatedRole::Permits => &["permits/*.toml"],
            DelegatedRole::Registrar => &["members.toml"],
        }
    }

    /// Whether the role may sign the file `name`.
    pub fn may_sign(self, name: &str) -> bool {
        match self {
            DelegatedRole::Permits => name
                .strip_prefix("permits/")
                .and_then(|name| name.strip_suffix(".toml"))
                .is_some_and(|stem| !stem.is_empty() && !stem.contains('/')),
            DelegatedRole::Registrar => name == "members.toml",
        }
    }

    /// A path that leads a look-up to the role and is the name of no document.
    pub(crate) fn probe(self) -> &'static str {
        match self {
            DelegatedRole::Permits => "permits/?.toml",
            DelegatedRole::Registrar => "members.toml",
        }
    }
}

impl fmt::Display for DelegatedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DelegatedRole {
    type Err = NotDelegable;

    fn from_str(text: &str) -> Result<Self, NotDelegable> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(NotDelegable)
    }
}
