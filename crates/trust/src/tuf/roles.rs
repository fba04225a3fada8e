//! Who must sign: the keys and the threshold of each role.
//!
//! A key counts once per role. TUF counts key ids, which are opaque, so one key under two ids would count
//! twice: here the keys themselves must differ, in what we sign and in every root that we trust.
//! Next: `draft.rs`.

use std::collections::BTreeSet;
use std::fmt;

use terms::{Problem, Report};

use crate::key::PublicKey;
use crate::tuf::draft::{Draft, DraftError};

/// Most keys that one role may have: a large board. It also bounds what checking one document costs.
pub const ROLE_KEYS_MAX: usize = 100;

/// A top-level role of TUF, and the document that it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopRole {
    /// Who signs.
    Root,
    /// The files of the space.
    Targets,
    /// Which targets documents are current.
    Snapshot,
    /// Which snapshot is current, and still is.
    Timestamp,
}

/// The keys of one role and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleKeys {
    /// The keys, each once.
    pub keys: Vec<PublicKey>,
    /// How many of them must sign; at least 1.
    pub threshold: u16,
}

/// The four roles of a data space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardRoles {
    /// The board: says who signs. Keys offline.
    pub root: RoleKeys,
    /// The board: signs the files of the space. Keys offline.
    pub targets: RoleKeys,
    /// The broker: says which set of documents is current.
    pub snapshot: RoleKeys,
    /// The broker: says that it still is.
    pub timestamp: RoleKeys,
}

/// Why roles cannot be trusted to mean what they say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RolesError {
    /// One person could reach the threshold alone.
    #[error("the role {role} names one public key more than once")]
    RepeatedKey {
        /// The role.
        role: &'static str,
    },
    /// Nobody needs to sign, or more than there are.
    #[error("the role {role} needs {threshold} signatures of {keys} keys")]
    Threshold {
        /// The role.
        role: &'static str,
        /// Signatures that it asks for.
        threshold: usize,
        /// Keys that it has.
        keys: usize,
    },
    /// More keys than any board has.
    #[error("the role {role} has {keys} keys; up to {ROLE_KEYS_MAX} are accepted")]
    TooMany {
        /// The role.
        role: &'static str,
        /// Keys that it has.
        keys: usize,
    },
    /// A key that is not Ed25519 in its one form, that stands under another id than its own, or that is missing.
    #[error("the role {role} names a key that is missing, under another id than its own, or not an Ed25519 key")]
    Key {
        /// The role.
        role: &'static str,
    },
    /// Not a root document.
    #[error("the document is not a root with the roles root, targets, snapshot and timestamp: {what}")]
    Form {
        /// What it is instead.
        what: String,
    },
}

impl TopRole {
    /// All four.
    pub const ALL: [TopRole; 4] = [TopRole::Root, TopRole::Targets, TopRole::Snapshot, TopRole::Timestamp];

    /// The name in TUF documents.
    pub fn as_str(self) -> &'static str {
        match self {
            TopRole::Root => "root",
            TopRole::Targets => "targets",
            TopRole::Snapshot => "snapshot",
            TopRole::Timestamp => "timestamp",
        }
    }
}

impl fmt::Display for TopRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl RoleKeys {
    /// Checks that the threshold can be reached and only by as many keys.
    ///
    /// # Errors
    /// If there is a key twice, none, too many, or an impossible threshold.
    pub fn check(&self, role: &'static str) -> Result<(), RolesError> {
        let Self { keys, threshold } = self;
        if keys.len() > ROLE_KEYS_MAX {
            return Err(RolesError::TooMany { role, keys: keys.len() });
        }
        if keys.iter().collect::<BTreeSet<_>>().len() != keys.len() {
            return Err(RolesError::RepeatedKey { role });
        }
        if *threshold == 0 || usize::from(*threshold) > keys.len() {
            return Err(RolesError::Threshold {
                role,
                threshold: usize::from(*threshold),
                keys: keys.len(),
            });
        }
        Ok(())
    }
}

impl BoardRoles {
    /// The keys of one role.
    pub fn of(&self, role: TopRole) -> &RoleKeys {
        match role {
            TopRole::Root => &self.root,
            TopRole::Targets => &self.targets,
            TopRole::Snapshot => &self.snapshot,
            TopRole::Timestamp => &self.timestamp,
        }
    }

    /// The roles in a root document. Its signatures are not checked here.
    ///
    /// # Errors
    /// If a role has a key twice, an impossible threshold or a key that is not Ed25519.
    pub fn read(root_document: &[u8]) -> Result<Self, RolesError> {
        let form = |what: String| RolesError::Form { what };
        match Draft::parse(root_document) {
            Ok((draft, _)) => match draft.board() {
                Some(roles) => Ok(roles.clone()),
                None => Err(form(format!("it is a {} document", draft.role()))),
            },
            Err(DraftError::Roles(error)) => Err(error),
            Err(error) => Err(form(error.to_string())),
        }
    }

    /// Checks that every threshold can be reached and only by as many keys.
    ///
    /// # Errors
    /// If a role has a key twice or an impossible threshold.
    pub fn check(&self) -> Result<(), RolesError> {
        TopRole::ALL
            .into_iter()
            .try_for_each(|role| self.of(role).check(role.as_str()))
    }
}

impl From<RolesError> for Report {
    fn from(error: RolesError) -> Report {
        let problem = match error {
            RolesError::RepeatedKey { .. } | RolesError::Threshold { .. } => Problem::PolicyThreshold,
            RolesError::Key { .. } | RolesError::TooMany { .. } | RolesError::Form { .. } => Problem::PolicyInvalid,
        };
        problem
            .report(error.to_string())
            .remedy("have the board sign a root with one distinct key per member")
    }
}
