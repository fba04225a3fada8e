//! Who must sign: the keys and the threshold of each of the four roles.
//!
//! A key counts once per role. TUF counts key ids, which are opaque, so one key under two ids would count
//! twice: here the keys themselves must differ, in what we sign and in every root that we trust.
//! Next: `draft.rs`.

use std::collections::BTreeSet;

use sigstore_tuf::{Metadata, Root};
use terms::{Problem, Report};

use crate::digest::unhex;
use crate::key::PublicKey;
use crate::tuf::draft::TopRole;

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
        role: TopRole,
    },
    /// Nobody needs to sign, or more than there are.
    #[error("the role {role} needs {threshold} signatures of {keys} keys")]
    Threshold {
        /// The role.
        role: TopRole,
        /// Signatures that it asks for.
        threshold: usize,
        /// Keys that it has.
        keys: usize,
    },
    /// A key that is not Ed25519 in its one form, or that the document does not hold.
    #[error("the role {role} names a key that is missing or not an Ed25519 key")]
    Key {
        /// The role.
        role: TopRole,
    },
    /// Not a root document, or one with other roles than the four.
    #[error("the document is not a root with the roles root, targets, snapshot and timestamp")]
    Form,
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
        let root = Metadata::<Root>::from_slice(root_document)
            .map_err(|_| RolesError::Form)?
            .into_signed();
        if root.roles.len() != TopRole::ALL.len() || !root.consistent_snapshot {
            return Err(RolesError::Form);
        }
        let roles = Self {
            root: role_keys(&root, TopRole::Root)?,
            targets: role_keys(&root, TopRole::Targets)?,
            snapshot: role_keys(&root, TopRole::Snapshot)?,
            timestamp: role_keys(&root, TopRole::Timestamp)?,
        };
        roles.check()?;
        Ok(roles)
    }

    /// Checks that every threshold can be reached and only by as many keys.
    ///
    /// # Errors
    /// If a role has a key twice or an impossible threshold.
    pub fn check(&self) -> Result<(), RolesError> {
        for role in TopRole::ALL {
            let RoleKeys { keys, threshold } = self.of(role);
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
        }
        Ok(())
    }

    /// Whether somebody else, or another number of them, says which documents are current.
    pub(crate) fn online_differs(&self, other: &Self) -> bool {
        let set = |role: &RoleKeys| (role.keys.iter().copied().collect::<BTreeSet<_>>(), role.threshold);
        set(&self.snapshot) != set(&other.snapshot) || set(&self.timestamp) != set(&other.timestamp)
    }
}

impl From<RolesError> for Report {
    fn from(error: RolesError) -> Report {
        let problem = match error {
            RolesError::RepeatedKey { .. } | RolesError::Threshold { .. } => Problem::PolicyThreshold,
            RolesError::Key { .. } => Problem::PolicyInvalid,
            RolesError::Form => Problem::PolicyScope,
        };
        problem
            .report(error.to_string())
            .remedy("have the board sign a root with one distinct key per member")
    }
}

fn role_keys(root: &Root, role: TopRole) -> Result<RoleKeys, RolesError> {
    let named = root.role(role.as_str()).ok_or(RolesError::Form)?;
    let key = |id: &String| {
        let key = root
            .keys
            .get(id)
            .filter(|key| key.keytype == "ed25519" && key.scheme == "ed25519");
        let bytes = key.and_then(|key| unhex::<32>(&key.keyval.public));
        bytes
            .and_then(|bytes| PublicKey::from_bytes(&bytes).ok())
            .ok_or(RolesError::Key { role })
    };
    let keys = named.keyids.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let unreachable = RolesError::Threshold {
        role,
        threshold: named.threshold,
        keys: keys.len(),
    };
    let threshold = u16::try_from(named.threshold).map_err(|_| unreachable)?;
    Ok(RoleKeys { keys, threshold })
}
