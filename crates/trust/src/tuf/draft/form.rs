//! What may stand in each document of a data space, and nothing else.
//!
//! TUF lets anybody add fields. A data space does not: a field that one program reads and another skips is how
//! two of them come to enforce different texts. Next: `read`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use terms::SpaceId;

use crate::digest::{Digest, hex};
use crate::key::PublicKey;
use crate::tuf::delegation::{DelegatedRole, Delegation};
use crate::tuf::roles::RoleKeys;

/// The version of the TUF specification that documents follow.
pub(super) const SPEC_VERSION: &str = "1.0.31";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RootForm {
    #[serde(rename = "_type")]
    pub(super) kind: String,
    pub(super) spec_version: String,
    pub(super) space: SpaceId,
    pub(super) version: u64,
    pub(super) expires: String,
    pub(super) consistent_snapshot: bool,
    pub(super) keys: BTreeMap<String, KeyForm>,
    pub(super) roles: TopRolesForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetsForm {
    #[serde(rename = "_type")]
    pub(super) kind: String,
    pub(super) spec_version: String,
    pub(super) space: SpaceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<DelegatedRole>,
    pub(super) version: u64,
    pub(super) expires: String,
    pub(super) targets: BTreeMap<String, FileForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delegations: Option<DelegationsForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotForm {
    #[serde(rename = "_type")]
    pub(super) kind: String,
    pub(super) spec_version: String,
    pub(super) space: SpaceId,
    pub(super) version: u64,
    pub(super) expires: String,
    pub(super) meta: BTreeMap<String, VersionForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimestampForm {
    #[serde(rename = "_type")]
    pub(super) kind: String,
    pub(super) spec_version: String,
    pub(super) space: SpaceId,
    pub(super) version: u64,
    pub(super) expires: String,
    pub(super) meta: SnapshotPinForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyForm {
    pub(super) keytype: String,
    pub(super) scheme: String,
    pub(super) keyval: KeyValueForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyValueForm {
    pub(super) public: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopRolesForm {
    pub(super) root: RoleForm,
    pub(super) targets: RoleForm,
    pub(super) snapshot: RoleForm,
    pub(super) timestamp: RoleForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleForm {
    pub(super) keyids: Vec<String>,
    pub(super) threshold: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileForm {
    pub(super) length: u64,
    pub(super) hashes: HashesForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HashesForm {
    pub(super) sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionForm {
    pub(super) version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotPinForm {
    #[serde(rename = "snapshot.json")]
    pub(super) snapshot: PinForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinForm {
    pub(super) version: u64,
    pub(super) length: u64,
    pub(super) hashes: HashesForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DelegationsForm {
    pub(super) keys: BTreeMap<String, KeyForm>,
    pub(super) roles: Vec<DelegationForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DelegationForm {
    pub(super) name: String,
    pub(super) keyids: Vec<String>,
    pub(super) threshold: u64,
    pub(super) terminating: bool,
    pub(super) paths: Vec<String>,
}

/// The keys of some roles by their ids.
pub(super) fn key_forms<'a>(keys: impl IntoIterator<Item = &'a PublicKey>) -> BTreeMap<String, KeyForm> {
    let form = |key: &PublicKey| KeyForm {
        keytype: "ed25519".to_owned(),
        scheme: "ed25519".to_owned(),
        keyval: KeyValueForm {
            public: hex(key.bytes()),
        },
    };
    keys.into_iter().map(|key| (key.key_id(), form(key))).collect()
}

impl From<&RoleKeys> for RoleForm {
    fn from(role: &RoleKeys) -> Self {
        Self {
            keyids: role.keys.iter().map(PublicKey::key_id).collect(),
            threshold: role.threshold.into(),
        }
    }
}

impl From<&[u8]> for FileForm {
    fn from(bytes: &[u8]) -> Self {
        Self {
            length: bytes.len() as u64,
            hashes: HashesForm {
                sha256: Digest::of(bytes).hex(),
            },
        }
    }
}

/// `None` if nothing is delegated: a document without delegations says nothing about them.
pub(super) fn delegations_form(delegations: &[Delegation]) -> Option<DelegationsForm> {
    let role = |Delegation { role, keys }: &Delegation| {
        let RoleForm { keyids, threshold } = keys.into();
        DelegationForm {
            name: role.as_str().to_owned(),
            keyids,
            threshold,
            terminating: true,
            paths: role.paths().iter().map(|path| (*path).to_owned()).collect(),
        }
    };
    let all_keys = delegations.iter().flat_map(|delegation| &delegation.keys.keys);
    (!delegations.is_empty()).then(|| DelegationsForm {
        keys: key_forms(all_keys),
        roles: delegations.iter().map(role).collect(),
    })
}
