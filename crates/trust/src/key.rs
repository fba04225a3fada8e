//! Ed25519 keys, and the one signature check of the repository: [`PublicKey::verify`].
//!
//! A public key is never a weak one. A signing key never shows itself, not in `Debug` and not in an error.
//! Next: [`crate::dsse`] and [`crate::token`], which sign with these.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use terms::{Problem, Report};
use zeroize::Zeroizing;

use crate::digest::{Digest, hex};
use crate::durable;

/// What stands before the 32 bytes of a key in a DER SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Longest key file, in bytes. A PKCS#8 PEM of this kind of key has some 120.
const KEY_FILE_BYTES_MAX: u64 = 4 * 1024;

/// An Ed25519 public key: canonically encoded, on the curve, not of small order.
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
}

/// A signature that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct SignatureInvalid;

/// An Ed25519 signature, not yet checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl PublicKey {
    /// The key with these bytes.
    ///
    /// # Errors
    /// If they are not 32, not a point in its one encoding, or a weak key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| PublicKeyError::Form)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| PublicKeyError::Point)?;
        // A second encoding of one key would count as a second key towards a threshold.
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(PublicKeyError::Point);
        }
        if key.is_weak() {
            return Err(PublicKeyError::Weak);
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

/// Why a key could not be made, read or saved.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The system gave no randomness.
    #[error("the system gave no randomness for a new key")]
    Randomness,
    /// The file is not there or cannot be read.
    #[error("cannot read the key file {}: {kind}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// The file cannot be written. An existing key is never replaced.
    #[error("cannot create the key file {}: {kind}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// The file is not a PKCS#8 PEM with an Ed25519 key.
    #[error("the key file {} is not a PKCS#8 PEM file with an Ed25519 key", path.display())]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// Every user of the machine can read the file.
    #[error("the key file {} can be read by every user of this machine", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The key could not be encoded.
    #[error("the key cannot be encoded")]
    Encode,
}

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

    /// Reads a key from a PKCS#8 PEM file.
    ///
    /// # Errors
    /// If the file cannot be read, is not such a file, or is readable by everybody.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |error: io::Error| KeyError::Read {
            path: path.to_owned(),
            kind: error.kind(),
        };
        let about = std::fs::metadata(path).map_err(unreadable)?;
        if exposed(&about) {
            return Err(KeyError::Exposed { path: path.to_owned() });
        }
        if about.len() > KEY_FILE_BYTES_MAX {
            return Err(KeyError::Form { path: path.to_owned() });
        }
        let pem = Zeroizing::new(std::fs::read_to_string(path).map_err(unreadable)?);
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(&pem);
        key.map(Self).map_err(|_| KeyError::Form { path: path.to_owned() })
    }

    /// Writes the key to a new PKCS#8 PEM file that only its owner can read.
    ///
    /// # Errors
    /// If the file exists already or cannot be written.
    pub fn save_new(&self, path: &Path) -> Result<(), KeyError> {
        let pem = self
            .pkcs8()
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|_| KeyError::Encode)?;
        let failed = |error: io::Error| KeyError::Write {
            path: path.to_owned(),
            kind: error.kind(),
        };
        durable::create_private(path, pem.as_bytes()).map_err(failed)
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

    /// The seed, for the signer behind [`crate::token`].
    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(crate) fn from_seed(seed: &[u8]) -> Option<Self> {
        let seed: &[u8; 32] = seed.try_into().ok()?;
        Some(Self(ed25519_dalek::SigningKey::from_bytes(seed)))
    }

    /// Without the public half: version 1, which every tool reads.
    fn pkcs8(&self) -> KeypairBytes {
        KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(private, of {})", self.public())
    }
}

impl From<KeyError> for Report {
    fn from(error: KeyError) -> Report {
        let text = error.to_string();
        match error {
            KeyError::Randomness | KeyError::Encode => Problem::Internal.report(text),
            KeyError::Read { .. } => Problem::FileMissing.report(text),
            KeyError::Write { .. } => Problem::FileMissing
                .report(text)
                .remedy("name a new file in a folder you own"),
            KeyError::Form { .. } => Problem::FileValue
                .report(text)
                .remedy("name the right file, or make a new key"),
            KeyError::Exposed { path } => Problem::FileValue
                .report(text)
                .remedy(format!("chmod 600 {}", path.display())),
        }
    }
}

#[cfg(unix)]
fn exposed(about: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o007 != 0
}

#[cfg(not(unix))]
fn exposed(_about: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests;
