//! Private keys on disk: PKCS#8 PEM files that only their owner can read, and that are never replaced.
//!
//! A machine's key is not encrypted, since nobody is there to type a passphrase when it starts. A person's key is: a
//! copied file must not be a stolen signature. Next: [`crate::key`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use pkcs8::der::pem::{LineEnding, PemLabel as _};
use pkcs8::pkcs5::{pbes2, scrypt};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SecretDocument};
use terms::{Problem, Report};
use zeroize::Zeroizing;

use crate::durable;
use crate::key::{PASSPHRASE_CHARS_MIN, Passphrase, SigningKey};

/// Longest key file, in bytes. A PKCS#8 PEM of this kind of key has some 120, an encrypted one some 350.
const KEY_FILE_BYTES_MAX: u64 = 4 * 1024;

/// How dear it is to try a passphrase: scrypt with N = 2^14, r = 8, p = 5, some 16 MiB and a tenth of a second.
/// OWASP's Password Storage Cheat Sheet counts it as equal to its first choice, which asks for more memory than
/// `openssl` grants to scrypt.
const SCRYPT: (u8, u32, u32) = (14, 8, 5);

/// Dearest file that is opened, as N times r times p: sixteen times what ours cost.
const SCRYPT_WORK_MAX: u64 = 16 << 20;

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
    /// The file is encrypted in a way that is not ours.
    #[error("the key file {} is not encrypted with scrypt and AES, or far too dearly", path.display())]
    Cipher {
        /// The file.
        path: PathBuf,
    },
    /// Every user of the machine can read the file.
    #[error("the key file {} can be read by every user of this machine", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file is encrypted, and no passphrase came with it.
    #[error("the key file {} is encrypted, and no passphrase was given", path.display())]
    PassphraseMissing {
        /// The file.
        path: PathBuf,
    },
    /// Not the passphrase of this file; or the file was changed, which looks the same.
    #[error("the passphrase does not open the key file {}", path.display())]
    PassphraseWrong {
        /// The file.
        path: PathBuf,
    },
    /// Too short for a key that is made now.
    #[error("a passphrase has at least {PASSPHRASE_CHARS_MIN} characters")]
    PassphraseShort,
    /// The key could not be encoded.
    #[error("the key cannot be encoded")]
    Encode,
}

/// A key file that was read, and not yet opened.
pub struct KeyFile {
    path: PathBuf,
    label: Label,
    document: SecretDocument,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Plain,
    Encrypted,
}

impl KeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    /// If it cannot be read, is no PKCS#8 PEM file, or is readable by everybody.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let pem = read_private(path)?;
        let form = || KeyError::Form { path: path.to_owned() };
        let (label, document) = SecretDocument::from_pem(&pem).map_err(|_| form())?;
        let label = match label {
            PrivateKeyInfoRef::PEM_LABEL => Label::Plain,
            EncryptedPrivateKeyInfoRef::PEM_LABEL => Label::Encrypted,
            _ => return Err(form()),
        };
        let path = path.to_owned();
        Ok(Self { path, label, document })
    }

    /// Whether the key in the file needs a passphrase.
    ///
    /// # Errors
    /// As [`KeyFile::read`].
    pub fn is_encrypted(path: &Path) -> Result<bool, KeyError> {
        Ok(Self::read(path)?.label == Label::Encrypted)
    }

    /// The key in the file. A passphrase for a file that needs none is not used.
    ///
    /// # Errors
    /// If the passphrase is missing or wrong, or there is no Ed25519 key in the file.
    pub fn open(&self, passphrase: Option<&Passphrase>) -> Result<SigningKey, KeyError> {
        let path = || self.path.clone();
        if self.label == Label::Plain {
            return key_in(&self.document).ok_or_else(|| KeyError::Form { path: path() });
        }
        let encrypted = EncryptedPrivateKeyInfoRef::try_from(self.document.as_bytes());
        let encrypted = encrypted.map_err(|_| KeyError::Form { path: path() })?;
        if !is_ours(&encrypted) {
            return Err(KeyError::Cipher { path: path() });
        }
        let passphrase = passphrase.ok_or_else(|| KeyError::PassphraseMissing { path: path() })?;
        // With a wrong passphrase the padding is mostly wrong, and now and then only what it pads.
        let decrypted = encrypted.decrypt(passphrase.as_bytes()).ok();
        let key = decrypted.and_then(|document| key_in(&document));
        key.ok_or_else(|| KeyError::PassphraseWrong { path: path() })
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({})", self.path.display())
    }
}

impl SigningKey {
    /// Reads a key from a PKCS#8 PEM file that is not encrypted.
    ///
    /// # Errors
    /// If the file cannot be read, is not such a file, is encrypted, or is readable by everybody.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::load_with(path, None)
    }

    /// Reads a key from a PKCS#8 PEM file, with the passphrase if it is encrypted.
    ///
    /// # Errors
    /// As [`SigningKey::load`], and if the passphrase is missing or wrong.
    pub fn load_with(path: &Path, passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        KeyFile::read(path)?.open(passphrase)
    }

    /// Writes the key to a new PKCS#8 PEM file that only its owner can read.
    ///
    /// # Errors
    /// If the file exists already or cannot be written.
    pub fn save_new(&self, path: &Path) -> Result<(), KeyError> {
        let document = SecretDocument::try_from(self.to_pkcs8_der().as_slice()).map_err(|_| KeyError::Encode)?;
        save(path, &document, PrivateKeyInfoRef::PEM_LABEL)
    }

    /// Writes the key, encrypted, to a new PKCS#8 PEM file that only its owner can read.
    ///
    /// # Errors
    /// If the passphrase is too short, or the file exists already or cannot be written.
    pub fn save_encrypted(&self, path: &Path, passphrase: &Passphrase) -> Result<(), KeyError> {
        if passphrase.is_short() {
            return Err(KeyError::PassphraseShort);
        }
        let der = self.to_pkcs8_der();
        let key = PrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_| KeyError::Encode)?;
        let encrypted = key.encrypt_with_params(cipher()?, passphrase.as_bytes());
        let document = encrypted.map_err(|_| KeyError::Encode)?;
        save(path, &document, EncryptedPrivateKeyInfoRef::PEM_LABEL)
    }
}

/// PBES2 with scrypt and AES-256-CBC, under a new salt.
fn cipher() -> Result<pbes2::Parameters, KeyError> {
    let salt: [u8; 16] = crate::random_bytes()?;
    let start: [u8; 16] = crate::random_bytes()?;
    let (log_n, r, p) = SCRYPT;
    let cost = scrypt::Params::new(log_n, r, p).map_err(|_| KeyError::Encode)?;
    pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, start).map_err(|_| KeyError::Encode)
}

/// Whether scrypt guards the file, and at a price that a file may ask for.
fn is_ours(encrypted: &EncryptedPrivateKeyInfoRef<'_>) -> bool {
    let scheme = encrypted.encryption_algorithm.pbes2();
    scheme.and_then(|scheme| scheme.kdf.scrypt()).is_some_and(|cost| {
        let lanes = u64::from(cost.block_size) * u64::from(cost.parallelization);
        cost.cost_parameter.saturating_mul(lanes) <= SCRYPT_WORK_MAX
    })
}

fn key_in(document: &SecretDocument) -> Option<SigningKey> {
    let key = ed25519_dalek::SigningKey::from_pkcs8_der(document.as_bytes());
    key.ok().map(SigningKey)
}

fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyError> {
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
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(unreadable)
}

fn save(path: &Path, document: &SecretDocument, label: &'static str) -> Result<(), KeyError> {
    let pem = document.to_pem(label, LineEnding::LF).map_err(|_| KeyError::Encode)?;
    let failed = |error: io::Error| KeyError::Write {
        path: path.to_owned(),
        kind: error.kind(),
    };
    durable::create_private(path, pem.as_bytes()).map_err(failed)
}

#[cfg(unix)]
fn exposed(about: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o007 != 0
}

#[cfg(not(unix))]
fn exposed(_about: &std::fs::Metadata) -> bool {
    false
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
            KeyError::Cipher { .. } => Problem::FileValue
                .report(text)
                .remedy("make a new key; this file was not made by datenraum"),
            KeyError::Exposed { path } => Problem::FileValue
                .report(text)
                .remedy(format!("chmod 600 {}", path.display())),
            KeyError::PassphraseMissing { .. } | KeyError::PassphraseWrong { .. } => {
                Problem::KeyPassphrase.report(text)
            }
            KeyError::PassphraseShort => Problem::Usage
                .report(text)
                .remedy("choose a longer one; four or five unrelated words are easy to keep in mind"),
        }
    }
}

#[cfg(test)]
mod tests;
