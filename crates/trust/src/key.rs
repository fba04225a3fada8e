//! Ed25519 keys, and the one signature check of the repository: [`PublicKey::verify`].
//!
//! A public key is never a weak one. A signing key never shows itself, not in `Debug` and not in an error.
//! Next: [`mod@file`] (keys on disk), then [`crate::dsse`] and [`crate::token`], which sign with these.

pub mod file;
mod passphrase;
mod public_file;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use zeroize::Zeroizing;

use crate::digest::{Digest, hex};
pub use file::{KeyError, KeyFile};
pub use passphrase::{PASSPHRASE_CHARS_MIN, Passphrase};
pub use public_file::PublicKeyFile;

/// What stands before the 32 bytes of a key in a DER SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// An Ed25519 public key: canonically encoded, on the curve, of the order that every honest key has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

/// Bytes or text that are not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Not `ed25519:` and the base64url text of 32 bytes, or not 32 bytes.
    #[error("not a public key: write \"ed25519:\" and 43 characters of base64url")]
    Form,
    /// The bytes are no point of the curve, or not its one encoding.
    #[error("the public key is not a point of the curve")]
    Point,
    /// A key for which anybody can make signatures.
    #[error("the public key is weak: anybody could sign for it")]
    Weak,
    /// An honest key with a point of small order added: implementations differ on what it signed.
    #[error("the public key is not of the order that a key has: others would judge its signatures differently")]
    Order,
}

/// A signature that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct SignatureInvalid;

/// An Ed25519 signature, not yet checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

/// Keys that were checked, by their bytes. Whether bytes are a key depends on nothing else, and to find out takes longer than to
/// check a signature.
static CHECKED: RwLock<BTreeMap<[u8; 32], PublicKey>> = RwLock::new(BTreeMap::new());

/// Most of them: the members of a large data space and some thousand people, in a megabyte.
const CHECKED_MAX: usize = 4_096;

impl PublicKey {
    /// The key with these bytes.
    ///
    /// # Errors
    /// If they are not 32, not a point in its one encoding, a weak key, or one of mixed order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| PublicKeyError::Form)?;
        let checked = CHECKED
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(bytes)
            .copied();
        if let Some(key) = checked {
            return Ok(key);
        }
        let key = Self::check(bytes)?;
        let mut checked = CHECKED.write().unwrap_or_else(PoisonError::into_inner);
        if checked.len() >= CHECKED_MAX {
            checked.clear();
        }
        checked.insert(*bytes, key);
        Ok(key)
    }

    fn check(bytes: &[u8; 32]) -> Result<Self, PublicKeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| PublicKeyError::Point)?;
        // A second encoding of one key would count as a second key towards a threshold.
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(PublicKeyError::Point);
        }
        if key.is_weak() {
            return Err(PublicKeyError::Weak);
        }
        // One private key has eight such variants, which would count as eight keys towards a threshold.
        if !key.to_edwards().is_torsion_free() {
            return Err(PublicKeyError::Order);
        }
        Ok(Self(key))
    }

    /// The key in a DER SubjectPublicKeyInfo, as certificates hold it.
    ///
    /// # Errors
    /// If it is not an Ed25519 key, or one that [`PublicKey::from_bytes`] refuses.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        Self::from_bytes(der.strip_prefix(&SPKI_PREFIX).ok_or(PublicKeyError::Form)?)
    }

    /// The key as a DER SubjectPublicKeyInfo.
    pub fn to_spki_der(&self) -> Vec<u8> {
        [&SPKI_PREFIX[..], self.bytes()].concat()
    }

    /// The 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The TUF key id: the hex SHA-256 of the canonical JSON of the key. DSSE envelopes use the same.
    pub fn key_id(&self) -> String {
        let public = hex(self.bytes());
        let json = format!(r#"{{"keytype":"ed25519","keyval":{{"public":"{public}"}},"scheme":"ed25519"}}"#);
        Digest::of(json.as_bytes()).hex()
    }

    /// Checks a signature. Every check of a signature of ours ends here.
    ///
    /// # Errors
    /// If the signature does not hold, strictly: no malleable form, no point of small order.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureInvalid> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(message, &signature).map_err(|_| SignatureInvalid)
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", URL_SAFE_NO_PAD.encode(self.bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let encoded = text.strip_prefix("ed25519:").ok_or(PublicKeyError::Form)?;
        Self::from_bytes(&URL_SAFE_NO_PAD.decode(encoded).map_err(|_| PublicKeyError::Form)?)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = PublicKeyError;

    fn try_from(text: String) -> Result<Self, PublicKeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.to_string()
    }
}

impl Signature {
    /// The signature with these bytes.
    ///
    /// # Errors
    /// If they are not 64.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureInvalid> {
        bytes.try_into().map(Self).map_err(|_| SignatureInvalid)
    }

    /// The 64 bytes.
    pub fn bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", hex(&self.0))
    }
}

/// An Ed25519 private key. Wiped from memory when dropped; not `Clone`, share it behind an `Arc`.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new key from the system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] if there is none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|_| KeyError::Randomness)?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The key as PKCS#8 version 1 DER, for the TLS library.
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        // RFC 8410, section 7: the one encoding, a fixed prefix and the seed.
        const PREFIX: [u8; 16] = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
        ];
        Zeroizing::new([&PREFIX[..], self.0.as_bytes()].concat())
    }

    /// Signs `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }

    #[cfg(test)]
    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    #[cfg(test)]
    pub(crate) fn from_seed(seed: &[u8]) -> Option<Self> {
        let seed: &[u8; 32] = seed.try_into().ok()?;
        Some(Self(ed25519_dalek::SigningKey::from_bytes(seed)))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(private, of {})", self.public())
    }
}

#[cfg(test)]
mod tests;
