//! What is signed: the metadata documents of TUF, as canonical bytes that wait for signatures.
//!
//! A board passes a draft around as a file, each member adds a signature, and [`Draft::assemble`] joins them. Every
//! document names its data space, a delegated one its role as well, inside what is signed: so none can stand in for
//! another. Nothing here checks a threshold; clients do, in `refresh.rs`. Next: `form` (what may
//! stand in a document) and `read` (what it says).

mod error;
mod form;
mod read;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use sigstore_tuf::canonical_json::to_canonical_bytes;
use terms::{SpaceId, UtcTime};

use crate::digest::{Digest, hex, unhex};
use crate::json::strict;
use crate::key::{PublicKey, Signature, SigningKey};
use crate::tuf::TARGETS_BYTES_MAX;
use crate::tuf::delegation::{DelegatedRole, Delegation};
use crate::tuf::roles::{BoardRoles, RoleKeys, TopRole};
pub use error::DraftError;
use read::{Content, Head, odd};

/// A document without signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    head: Head,
    content: Content,
    signed: Value,
    canonical: Vec<u8>,
}

/// One signature over a draft, ready to be sent to whoever assembles it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftSignature {
    /// The TUF key id of the signer.
    pub keyid: String,
    /// The signature in hex.
    pub sig: String,
}

impl Draft {
    /// Who signs what. Each version must be signed by the roles of the version before and by its own.
    ///
    /// # Errors
    /// If a role has a key twice or an impossible threshold.
    pub fn root(space: &SpaceId, version: u64, expires: UtcTime, roles: &BoardRoles) -> Result<Self, DraftError> {
        roles.check()?;
        let all_keys = TopRole::ALL.iter().flat_map(|role| &roles.of(*role).keys);
        Self::new(&form::RootForm {
            kind: TopRole::Root.to_string(),
            spec_version: form::SPEC_VERSION.to_owned(),
            space: space.clone(),
            version,
            expires: whole_seconds(expires)?,
            consistent_snapshot: true,
            keys: form::key_forms(all_keys),
            roles: form::TopRolesForm {
                root: (&roles.root).into(),
                targets: (&roles.targets).into(),
                snapshot: (&roles.snapshot).into(),
                timestamp: (&roles.timestamp).into(),
            },
        })
    }

    /// The files of the space that the board signs itself, by name, and what it leaves to others.
    ///
    /// # Errors
    /// If a name or a size is not accepted, a file is delegated, or the keys of a delegation are not right.
    pub fn targets(
        space: &SpaceId,
        version: u64,
        expires: UtcTime,
        files: &BTreeMap<String, Vec<u8>>,
        delegations: &[Delegation],
    ) -> Result<Self, DraftError> {
        for Delegation { role, keys } in delegations {
            keys.check(role.as_str())?;
            if let Some(name) = files.keys().find(|name| role.may_sign(name)) {
                let (role, name) = (*role, name.clone());
                return Err(DraftError::Delegated { role, name });
            }
        }
        Self::list(space, None, (version, expires), files, delegations)
    }

    /// The files that a delegated role signs, by name.
    ///
    /// # Errors
    /// If a file is not the role's to sign, or a name or a size is not accepted.
    pub fn delegated(
        space: &SpaceId,
        role: &DelegatedRole,
        version: u64,
        expires: UtcTime,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, DraftError> {
        Self::list(space, Some(*role), (version, expires), files, &[])
    }

    /// Which version of each targets document is current, by the role's name: `targets`, `permits`, `registrar`.
    ///
    /// # Errors
    /// If a version is 0, `targets` is missing, or a role is none of the three.
    pub fn snapshot(
        space: &SpaceId,
        version: u64,
        expires: UtcTime,
        versions: &BTreeMap<String, u64>,
    ) -> Result<Self, DraftError> {
        let entry =
            |(role, version): (&String, &u64)| (format!("{role}.json"), form::VersionForm { version: *version });
        Self::new(&form::SnapshotForm {
            kind: TopRole::Snapshot.to_string(),
            spec_version: form::SPEC_VERSION.to_owned(),
            space: space.clone(),
            version,
            expires: whole_seconds(expires)?,
            meta: versions.iter().map(entry).collect(),
        })
    }

    /// Which snapshot document is current, by its signed bytes.
    ///
    /// # Errors
    /// If the bytes are not a snapshot document of this space.
    pub fn timestamp(space: &SpaceId, version: u64, expires: UtcTime, snapshot: &[u8]) -> Result<Self, DraftError> {
        let (pinned, _) = Self::parse(snapshot)?;
        if pinned.role() != TopRole::Snapshot || pinned.space() != space {
            return Err(odd("a timestamp names a snapshot of its own data space"));
        }
        let form::FileForm { length, hashes } = snapshot.into();
        let version_pinned = pinned.version();
        Self::new(&form::TimestampForm {
            kind: TopRole::Timestamp.to_string(),
            spec_version: form::SPEC_VERSION.to_owned(),
            space: space.clone(),
            version,
            expires: whole_seconds(expires)?,
            meta: form::SnapshotPinForm {
                snapshot: form::PinForm {
                    version: version_pinned,
                    length,
                    hashes,
                },
            },
        })
    }

    /// Reads a document, signed or not, without checking its signatures.
    ///
    /// # Errors
    /// If it is not strict JSON, has a field that no document of a data space has, or lacks one.
    pub fn parse(document: &[u8]) -> Result<(Self, Vec<DraftSignature>), DraftError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Signed {
            signed: Value,
            signatures: Vec<DraftSignature>,
        }
        let bytes_max = usize::try_from(TARGETS_BYTES_MAX).unwrap_or(usize::MAX);
        let Signed { signed, signatures } = strict(document, bytes_max).map_err(odd)?;
        Ok((Self::read(signed)?, signatures))
    }

    /// Signs the draft. What the signer should look at first is [`Draft::digest`] and the files themselves.
    pub fn sign(&self, key: &SigningKey) -> DraftSignature {
        DraftSignature {
            keyid: key.public().key_id(),
            sig: hex(key.sign(&self.canonical).bytes()),
        }
    }

    /// The keys of `role` whose signatures hold, each once.
    pub fn signers(&self, signatures: &[DraftSignature], role: &RoleKeys) -> Vec<PublicKey> {
        let holds = |key: &&PublicKey| {
            let id = key.key_id();
            let mut of_key = signatures.iter().filter(|signature| signature.keyid == id);
            of_key.any(
                |signature| match unhex::<64>(&signature.sig).map(|bytes| Signature::from_bytes(&bytes)) {
                    Some(Ok(signature)) => key.verify(&self.canonical, &signature).is_ok(),
                    _ => false,
                },
            )
        };
        role.keys.iter().filter(holds).copied().collect()
    }

    /// The signed document. One signature per key is kept, the first.
    pub fn assemble(&self, signatures: Vec<DraftSignature>) -> Vec<u8> {
        let mut by_key = BTreeMap::new();
        for DraftSignature { keyid, sig } in signatures {
            by_key.entry(keyid).or_insert(sig);
        }
        let signatures: Vec<Value> = by_key
            .into_iter()
            .map(|(keyid, sig)| json!({ "keyid": keyid, "sig": sig }))
            .collect();
        json!({ "signed": self.signed, "signatures": signatures })
            .to_string()
            .into_bytes()
    }

    /// Digest of the bytes that are signed.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical)
    }

    /// The data space that the document belongs to.
    pub fn space(&self) -> &SpaceId {
        &self.head.space
    }

    /// Which kind of document it is. One of a delegated role is a targets document.
    pub fn role(&self) -> TopRole {
        self.head.role
    }

    /// The delegated role whose document it is.
    pub fn delegated_role(&self) -> Option<DelegatedRole> {
        self.head.delegated
    }

    /// The name of the role whose document it is, among all roles.
    pub fn role_name(&self) -> &'static str {
        self.head
            .delegated
            .map_or(self.head.role.as_str(), DelegatedRole::as_str)
    }

    /// The version.
    pub fn version(&self) -> u64 {
        self.head.version
    }

    /// Until when the document is valid.
    pub fn expires(&self) -> UtcTime {
        self.head.expires
    }

    /// The files that a targets document lists, each with its length in bytes and its digest.
    pub fn files(&self) -> BTreeMap<String, (u64, Digest)> {
        match &self.content {
            Content::Targets { files, .. } => files.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// What a targets document leaves to others.
    pub fn delegations(&self) -> Vec<Delegation> {
        match &self.content {
            Content::Targets { delegations, .. } => delegations.clone(),
            _ => Vec::new(),
        }
    }

    /// Who signs what, in a root document.
    pub fn board(&self) -> Option<&BoardRoles> {
        match &self.content {
            Content::Root(roles) => Some(roles),
            _ => None,
        }
    }

    /// The versions of targets documents that a snapshot lists, by role.
    pub fn listed_versions(&self) -> BTreeMap<String, u64> {
        match &self.content {
            Content::Snapshot(versions) => versions.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// Version and digest of the snapshot document that a timestamp names.
    pub fn named_snapshot(&self) -> Option<(u64, Digest)> {
        match &self.content {
            Content::Timestamp(pin) => Some((pin.version, pin.digest)),
            _ => None,
        }
    }

    /// The bytes that are signed.
    #[cfg(test)]
    pub(crate) fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    fn list(
        space: &SpaceId,
        role: Option<DelegatedRole>,
        (version, expires): (u64, UtcTime),
        files: &BTreeMap<String, Vec<u8>>,
        delegations: &[Delegation],
    ) -> Result<Self, DraftError> {
        let listed = files
            .iter()
            .map(|(name, bytes)| (name.clone(), bytes.as_slice().into()));
        Self::new(&form::TargetsForm {
            kind: TopRole::Targets.to_string(),
            spec_version: form::SPEC_VERSION.to_owned(),
            space: space.clone(),
            role,
            version,
            expires: whole_seconds(expires)?,
            targets: listed.collect(),
            delegations: form::delegations_form(delegations),
        })
    }

    /// What is drafted is read like what is served: nobody signs what clients would refuse.
    fn new(form: &impl Serialize) -> Result<Self, DraftError> {
        Self::read(serde_json::to_value(form).map_err(odd)?)
    }

    fn read(signed: Value) -> Result<Self, DraftError> {
        let (head, content) = read::read(&signed)?;
        let canonical = to_canonical_bytes(&signed).map_err(odd)?;
        Ok(Self {
            head,
            content,
            signed,
            canonical,
        })
    }
}

/// TUF 4.2.1: whole seconds.
fn whole_seconds(time: UtcTime) -> Result<String, DraftError> {
    Ok(UtcTime::from_second(time.as_second()).map_err(odd)?.to_string())
}
