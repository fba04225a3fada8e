//! What a document of a data space says, once it has the one form that it may have.
//!
//! What is drafted is read back through here before anybody signs, so nobody signs what clients refuse.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use terms::{SpaceId, UtcTime, limit};

use super::DraftError;
use super::form::{
    DelegationsForm, FileForm, HashesForm, KeyForm, PinForm, RoleForm, RootForm, SnapshotForm, TargetsForm,
    TimestampForm, VersionForm,
};
use crate::digest::{Digest, unhex};
use crate::key::PublicKey;
use crate::tuf::delegation::{DelegatedRole, Delegation};
use crate::tuf::roles::{BoardRoles, RoleKeys, RolesError, TopRole};
use crate::tuf::{SPACE_BYTES_MAX, is_document_name};

/// Longest explanation of what is wrong with a document, in characters: it may quote the document.
const WHAT_CHARS_MAX: usize = 200;

/// What every document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) space: SpaceId,
    pub(super) role: TopRole,
    pub(super) delegated: Option<DelegatedRole>,
    pub(super) version: u64,
    pub(super) expires: UtcTime,
}

/// What the four kinds of documents say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Root(BoardRoles),
    Targets {
        files: BTreeMap<String, (u64, Digest)>,
        delegations: Vec<Delegation>,
    },
    Snapshot(BTreeMap<String, u64>),
    Timestamp(Pin),
}

/// Which snapshot a timestamp names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) version: u64,
    pub(super) digest: Digest,
}

/// Reads what is signed, whoever signed it.
pub(super) fn read(signed: &Value) -> Result<(Head, Content), DraftError> {
    let kind = signed.get("_type").and_then(Value::as_str);
    let role = TopRole::ALL.into_iter().find(|role| Some(role.as_str()) == kind);
    let read = match role {
        Some(TopRole::Root) => read_root(form(signed)?)?,
        Some(TopRole::Targets) => read_targets(form(signed)?)?,
        Some(TopRole::Snapshot) => read_snapshot(form(signed)?)?,
        Some(TopRole::Timestamp) => read_timestamp(form(signed)?)?,
        None => return Err(odd("its \"_type\" is none of root, targets, snapshot and timestamp")),
    };
    if read.0.version == 0 {
        return Err(DraftError::Version);
    }
    Ok(read)
}

pub(super) fn odd(what: impl ToString) -> DraftError {
    let what = what.to_string().chars().take(WHAT_CHARS_MAX).collect();
    DraftError::Form { what }
}

fn form<T: DeserializeOwned>(signed: &Value) -> Result<T, DraftError> {
    T::deserialize(signed).map_err(odd)
}

fn read_root(form: RootForm) -> Result<(Head, Content), DraftError> {
    if !form.consistent_snapshot {
        return Err(odd("a data space needs consistent snapshots"));
    }
    let keys = |role: &RoleForm, name| role_keys(&form.keys, &role.keyids, role.threshold, name);
    let roles = BoardRoles {
        root: keys(&form.roles.root, "root")?,
        targets: keys(&form.roles.targets, "targets")?,
        snapshot: keys(&form.roles.snapshot, "snapshot")?,
        timestamp: keys(&form.roles.timestamp, "timestamp")?,
    };
    let head = head(
        TopRole::Root,
        form.space,
        form.version,
        &form.spec_version,
        &form.expires,
    )?;
    Ok((head, Content::Root(roles)))
}

fn read_targets(form: TargetsForm) -> Result<(Head, Content), DraftError> {
    let files = files(&form.targets)?;
    if let Some(role) = form.role
        && let Some(name) = files.keys().find(|name| !role.may_sign(name))
    {
        return Err(DraftError::Path {
            role,
            name: name.clone(),
        });
    }
    if form.role.is_some() && form.delegations.is_some() {
        return Err(odd("a delegated role delegates again"));
    }
    let delegations = form.delegations.map_or(Ok(Vec::new()), |form| delegations(&form))?;
    let mut head = head(
        TopRole::Targets,
        form.space,
        form.version,
        &form.spec_version,
        &form.expires,
    )?;
    head.delegated = form.role;
    Ok((head, Content::Targets { files, delegations }))
}

fn read_snapshot(form: SnapshotForm) -> Result<(Head, Content), DraftError> {
    let mut versions = BTreeMap::new();
    for (name, VersionForm { version }) in form.meta {
        let role = name.strip_suffix(".json").filter(|role| is_listed_role(role));
        let role = role.ok_or_else(|| odd(format!("a snapshot does not list {name:?}")))?;
        if version == 0 {
            return Err(DraftError::Version);
        }
        versions.insert(role.to_owned(), version);
    }
    if !versions.contains_key(TopRole::Targets.as_str()) {
        return Err(odd("the snapshot does not list targets.json"));
    }
    let head = head(
        TopRole::Snapshot,
        form.space,
        form.version,
        &form.spec_version,
        &form.expires,
    )?;
    Ok((head, Content::Snapshot(versions)))
}

fn read_timestamp(form: TimestampForm) -> Result<(Head, Content), DraftError> {
    let PinForm { version, hashes, .. } = form.meta.snapshot;
    if version == 0 {
        return Err(DraftError::Version);
    }
    let digest = digest(&hashes)?;
    let head = head(
        TopRole::Timestamp,
        form.space,
        form.version,
        &form.spec_version,
        &form.expires,
    )?;
    Ok((head, Content::Timestamp(Pin { version, digest })))
}

fn head(role: TopRole, space: SpaceId, version: u64, spec: &str, expires: &str) -> Result<Head, DraftError> {
    if !spec.starts_with("1.") {
        return Err(odd("it follows another version of TUF than 1"));
    }
    // TUF 4.2.1: whole seconds, in one form.
    let read: UtcTime = expires.parse().map_err(|_| odd("its expiry is not a time"))?;
    let whole = UtcTime::from_second(read.as_second()).map_err(odd)?;
    if whole.to_string() != expires {
        return Err(odd("its expiry is not written as 2027-01-31T00:00:00Z"));
    }
    Ok(Head {
        space,
        role,
        delegated: None,
        version,
        expires: whole,
    })
}

fn files(listed: &BTreeMap<String, FileForm>) -> Result<BTreeMap<String, (u64, Digest)>, DraftError> {
    let mut files = BTreeMap::new();
    let mut bytes_total = 0_u64;
    for (name, FileForm { length, hashes }) in listed {
        if !is_document_name(name) {
            return Err(DraftError::Name {
                name: name.chars().take(WHAT_CHARS_MAX).collect(),
            });
        }
        if *length > limit::DOCUMENT_BYTES_MAX as u64 {
            return Err(DraftError::Size {
                name: name.clone(),
                bytes: *length,
            });
        }
        bytes_total = bytes_total.saturating_add(*length);
        files.insert(name.clone(), (*length, digest(hashes)?));
    }
    if files.len() > limit::DOCUMENTS_MAX || bytes_total > SPACE_BYTES_MAX {
        return Err(DraftError::Total);
    }
    Ok(files)
}

fn delegations(form: &DelegationsForm) -> Result<Vec<Delegation>, DraftError> {
    let mut delegations: Vec<Delegation> = Vec::new();
    for named in &form.roles {
        let role: DelegatedRole = named.name.parse().map_err(odd)?;
        if !named.terminating || named.paths != role.paths() {
            return Err(odd(format!(
                "the role {role} must be terminating and sign {}, nothing else",
                role.paths().join(" ")
            )));
        }
        if delegations.iter().any(|known| known.role == role) {
            return Err(odd(format!("the role {role} is delegated twice")));
        }
        let keys = role_keys(&form.keys, &named.keyids, named.threshold, role.as_str())?;
        delegations.push(Delegation { role, keys });
    }
    Ok(delegations)
}

fn role_keys(
    keys: &BTreeMap<String, KeyForm>,
    ids: &[String],
    threshold: u64,
    role: &'static str,
) -> Result<RoleKeys, RolesError> {
    let key = |id: &String| keys.get(id).and_then(public_key).ok_or(RolesError::Key { role });
    let found = ids.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let unreachable = RolesError::Threshold {
        role,
        threshold: usize::try_from(threshold).unwrap_or(usize::MAX),
        keys: found.len(),
    };
    let threshold = u16::try_from(threshold).map_err(|_| unreachable)?;
    let named = RoleKeys { keys: found, threshold };
    named.check(role)?;
    // Under an id of somebody's choice, a key could pass for two.
    if named.keys.iter().zip(ids).any(|(key, id)| key.key_id() != *id) {
        return Err(RolesError::Key { role });
    }
    Ok(named)
}

fn public_key(form: &KeyForm) -> Option<PublicKey> {
    let bytes = unhex::<32>(&form.keyval.public).filter(|_| form.keytype == "ed25519" && form.scheme == "ed25519")?;
    PublicKey::from_bytes(&bytes).ok()
}

fn digest(hashes: &HashesForm) -> Result<Digest, DraftError> {
    Digest::from_hex(&hashes.sha256).map_err(|_| odd("a SHA-256 digest is not 64 hex digits"))
}

fn is_listed_role(role: &str) -> bool {
    role == TopRole::Targets.as_str() || role.parse::<DelegatedRole>().is_ok()
}
