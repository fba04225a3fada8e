//! What is signed: the four metadata documents of TUF, as canonical bytes that wait for signatures.
//!
//! A board passes a draft around as a file, each member adds a signature, and [`Draft::assemble`] joins them.
//! Nothing here checks a threshold; clients do, in `refresh.rs`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};
use sigstore_tuf::canonical_json::to_canonical_bytes;
use terms::{Problem, Report, UtcTime, limit};

use crate::digest::{Digest, hex, unhex};
use crate::key::{PublicKey, Signature, SigningKey};
use crate::tuf::roles::{BoardRoles, RoleKeys, RolesError};
use crate::tuf::{SPACE_BYTES_MAX, TARGETS_BYTES_MAX, is_document_name};

/// The version of the TUF specification that documents follow.
const SPEC_VERSION: &str = "1.0.31";

/// A top-level role of TUF, and the document that it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopRole {
    /// Who signs.
    Root,
    /// The files of the space.
    Targets,
    /// Which targets document is current.
    Snapshot,
    /// Which snapshot is current, and still is.
    Timestamp,
}

/// A document without signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    role: TopRole,
    version: u64,
    expires: UtcTime,
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

/// Why a document cannot be drafted or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// Versions start at 1.
    #[error("version 0 is not a version: the first is 1")]
    Version,
    /// The roles could not be trusted.
    #[error(transparent)]
    Roles(#[from] RolesError),
    /// A file name that could leave its folder or not be a URL.
    #[error("{name:?} cannot be the name of a document: use a-z, 0-9, '.', '_', '-' and '/' between parts")]
    Name {
        /// The name.
        name: String,
    },
    /// A file is larger than is accepted.
    #[error("the document {name} has {bytes} bytes; up to {bytes_max} are accepted", bytes_max = limit::DOCUMENT_BYTES_MAX)]
    Size {
        /// The file.
        name: String,
        /// Its size.
        bytes: usize,
    },
    /// More files, or more bytes in all, than one space may have.
    #[error(
        "a data space may have {} documents with {SPACE_BYTES_MAX} bytes in all",
        limit::DOCUMENTS_MAX
    )]
    Total,
    /// Not a metadata document.
    #[error("the text is not a metadata document of TUF 1.0")]
    Form,
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

impl Draft {
    /// Who signs what. Each version must be signed by the roles of the version before and by its own.
    ///
    /// # Errors
    /// If a role has a key twice or an impossible threshold.
    pub fn root(version: u64, expires: UtcTime, roles: &BoardRoles) -> Result<Self, DraftError> {
        roles.check()?;
        let role = |role: TopRole| {
            let RoleKeys { keys, threshold } = roles.of(role);
            let ids: Vec<String> = keys.iter().map(PublicKey::key_id).collect();
            (
                role.as_str().to_owned(),
                json!({ "keyids": ids, "threshold": threshold }),
            )
        };
        let all_keys = TopRole::ALL.iter().flat_map(|role| &roles.of(*role).keys);
        let keys: serde_json::Map<String, Value> = all_keys.map(|key| (key.key_id(), key_object(key))).collect();
        let named: serde_json::Map<String, Value> = TopRole::ALL.into_iter().map(role).collect();
        let body = json!({ "consistent_snapshot": true, "keys": keys, "roles": named });
        Self::new(TopRole::Root, version, expires, body)
    }

    /// The files of the space, by name.
    ///
    /// # Errors
    /// If a name or a size is not accepted.
    pub fn targets(version: u64, expires: UtcTime, files: &BTreeMap<String, Vec<u8>>) -> Result<Self, DraftError> {
        let bytes_total: usize = files.values().map(Vec::len).sum();
        if files.len() > limit::DOCUMENTS_MAX || bytes_total as u64 > SPACE_BYTES_MAX {
            return Err(DraftError::Total);
        }
        let mut targets = serde_json::Map::new();
        for (name, bytes) in files {
            if !is_document_name(name) {
                return Err(DraftError::Name { name: name.clone() });
            }
            if bytes.len() > limit::DOCUMENT_BYTES_MAX {
                return Err(DraftError::Size {
                    name: name.clone(),
                    bytes: bytes.len(),
                });
            }
            targets.insert(name.clone(), file_object(bytes));
        }
        Self::new(TopRole::Targets, version, expires, json!({ "targets": targets }))
    }

    /// Which version of the targets document is current.
    ///
    /// # Errors
    /// If a version is 0.
    pub fn snapshot(version: u64, expires: UtcTime, targets_version: u64) -> Result<Self, DraftError> {
        if targets_version == 0 {
            return Err(DraftError::Version);
        }
        let meta = json!({ "targets.json": { "version": targets_version } });
        Self::new(TopRole::Snapshot, version, expires, json!({ "meta": meta }))
    }

    /// Which snapshot document is current, by its signed bytes.
    ///
    /// # Errors
    /// If the bytes are not a snapshot document.
    pub fn timestamp(version: u64, expires: UtcTime, snapshot: &[u8]) -> Result<Self, DraftError> {
        let (pinned, _) = Self::parse(snapshot)?;
        if pinned.role != TopRole::Snapshot {
            return Err(DraftError::Form);
        }
        let mut entry = file_object(snapshot);
        entry["version"] = json!(pinned.version);
        Self::new(
            TopRole::Timestamp,
            version,
            expires,
            json!({ "meta": { "snapshot.json": entry } }),
        )
    }

    /// Reads a document, signed or not, without checking its signatures.
    ///
    /// # Errors
    /// If it is not a metadata document of the four roles.
    pub fn parse(document: &[u8]) -> Result<(Self, Vec<DraftSignature>), DraftError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Signed {
            signed: Value,
            signatures: Vec<DraftSignature>,
        }
        if document.len() as u64 > TARGETS_BYTES_MAX {
            return Err(DraftError::Form);
        }
        let Signed { signed, signatures } = serde_json::from_slice(document).map_err(|_| DraftError::Form)?;
        let text = |field: &str| signed.get(field).and_then(Value::as_str).ok_or(DraftError::Form);
        let kind = text("_type")?;
        let role = TopRole::ALL
            .into_iter()
            .find(|role| role.as_str() == kind)
            .ok_or(DraftError::Form)?;
        let expires = text("expires")?.parse().map_err(|_| DraftError::Form)?;
        let version = signed.get("version").and_then(Value::as_u64).ok_or(DraftError::Form)?;
        let canonical = to_canonical_bytes(&signed).map_err(|_| DraftError::Form)?;
        Ok((
            Self {
                role,
                version,
                expires,
                signed,
                canonical,
            },
            signatures,
        ))
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

    /// Which role must sign.
    pub fn role(&self) -> TopRole {
        self.role
    }

    /// The version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Until when the document is valid.
    pub fn expires(&self) -> UtcTime {
        self.expires
    }

    fn new(role: TopRole, version: u64, expires: UtcTime, mut body: Value) -> Result<Self, DraftError> {
        if version == 0 {
            return Err(DraftError::Version);
        }
        // TUF 4.2.1: whole seconds.
        let expires = UtcTime::from_second(expires.as_second()).map_err(|_| DraftError::Form)?;
        body["_type"] = json!(role.as_str());
        body["spec_version"] = json!(SPEC_VERSION);
        body["version"] = json!(version);
        body["expires"] = json!(expires.to_string());
        let canonical = to_canonical_bytes(&body).map_err(|_| DraftError::Form)?;
        Ok(Self {
            role,
            version,
            expires,
            signed: body,
            canonical,
        })
    }
}

impl From<DraftError> for Report {
    fn from(error: DraftError) -> Report {
        let text = error.to_string();
        match error {
            DraftError::Roles(error) => error.into(),
            DraftError::Version | DraftError::Name { .. } => Problem::FileValue.report(text),
            DraftError::Size { .. } | DraftError::Total => Problem::PolicyInvalid.report(text),
            DraftError::Form => Problem::PolicyScope
                .report(text)
                .remedy("name the file that the board drafted"),
        }
    }
}

fn key_object(key: &PublicKey) -> Value {
    json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": hex(key.bytes()) } })
}

fn file_object(bytes: &[u8]) -> Value {
    json!({ "length": bytes.len(), "hashes": { "sha256": Digest::of(bytes).hex() } })
}
