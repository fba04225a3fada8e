//! The cryptography that masks are made of: X25519, HKDF-SHA-256 and ChaCha20-Poly1305, each from `aws-lc-rs`, which our TLS uses too.
//!
//! This is the only file that names that library. Each key is derived for one use and one pair of nodes in one sum and used once, which is
//! why nonces are zero. Next: [`crate::party`], which uses these.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of a key, of a seed and of a share of either.
pub(crate) const KEY_BYTES: usize = 32;

/// Bytes by which a sealed text is longer than the text.
pub(crate) const TAG_BYTES: usize = 16;

/// The salt of every derivation here: nothing else derives these keys.
const SALT: &[u8] = b"datenraum masked sum v1";

/// What somebody who holds it must keep to themselves. Wiped when dropped.
pub(crate) type Secret = Zeroizing<[u8; KEY_BYTES]>;

/// The library refused a key or a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// An X25519 key. The library wipes the private part when it is dropped.
pub(crate) struct KeyPair {
    private: PrivateKey,
    pub(crate) public: [u8; KEY_BYTES],
}

impl KeyPair {
    /// The pair of a private key: any 32 random bytes.
    pub(crate) fn of(private: &Secret) -> Result<Self, Refused> {
        let private = PrivateKey::from_private_key(&X25519, private.as_slice()).map_err(|_| Refused)?;
        let public = private.compute_public_key().map_err(|_| Refused)?;
        let public = public.as_ref().try_into().map_err(|_| Refused)?;
        Ok(Self { private, public })
    }

    /// A key that only the holders of the two private keys can derive, for the use that `info` names.
    ///
    /// # Errors
    /// If the public key is a point of small order, with which everybody would derive the same.
    pub(crate) fn agree(&self, public: &[u8; KEY_BYTES], info: &[u8]) -> Result<Secret, Refused> {
        let public = UnparsedPublicKey::new(&X25519, public);
        agree(&self.private, public, Refused, |shared| derive(shared, info))
    }
}

/// A key from a secret, for the use that `info` names (HKDF, RFC 5869).
pub(crate) fn derive(secret: &[u8], info: &[u8]) -> Result<Secret, Refused> {
    let mut key = Secret::default();
    let prk = Salt::new(HKDF_SHA256, SALT).extract(secret);
    let info = [info];
    let okm = prk.expand(&info, KeyBytes).map_err(|_| Refused)?;
    okm.fill(key.as_mut_slice()).map_err(|_| Refused)?;
    Ok(key)
}

/// Encrypts `text` under a key that is used for nothing else.
pub(crate) fn seal(key: &Secret, about: &[u8], text: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut sealed = text.to_vec();
    let done = cipher(key)?.seal_in_place_append_tag(nonce(), Aad::from(about), &mut sealed);
    if done.is_err() {
        sealed.zeroize();
        return Err(Refused);
    }
    Ok(sealed)
}

/// Decrypts what [`seal`] made under the same key about the same.
pub(crate) fn open(key: &Secret, about: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let mut text = Zeroizing::new(sealed.to_vec());
    let length = cipher(key)?
        .open_in_place(nonce(), Aad::from(about), &mut text)
        .map_err(|_| Refused)?
        .len();
    text.truncate(length);
    Ok(text)
}

/// Numbers that look random to whoever lacks the key: the ChaCha20 keystream (RFC 8439) from block 1, 16 bytes each, low ones first.
pub(crate) fn mask(key: &Secret, entries: usize) -> Result<Mask, Refused> {
    // The library has no bare keystream: it is what zeros are encrypted to. The tag, of which nobody has use, is dropped.
    let mut bytes = Zeroizing::new(vec![0; entries * 16]);
    let _tag = cipher(key)?
        .seal_in_place_separate_tag(nonce(), Aad::empty(), &mut bytes)
        .map_err(|_| Refused)?;
    Ok(Mask(bytes))
}

/// A mask: one number for each entry. Wiped when dropped.
pub(crate) struct Mask(Zeroizing<Vec<u8>>);

impl Mask {
    /// Adds the mask to `entries`, modulo 2^128.
    pub(crate) fn add_to(&self, entries: &mut [u128]) {
        let masks = self.0.as_chunks::<16>().0;
        for (entry, mask) in entries.iter_mut().zip(masks) {
            *entry = entry.wrapping_add(u128::from_le_bytes(*mask));
        }
    }

    /// Takes the mask off `entries`, modulo 2^128.
    pub(crate) fn take_from(&self, entries: &mut [u128]) {
        let masks = self.0.as_chunks::<16>().0;
        for (entry, mask) in entries.iter_mut().zip(masks) {
            *entry = entry.wrapping_sub(u128::from_le_bytes(*mask));
        }
    }
}

fn cipher(key: &Secret) -> Result<LessSafeKey, Refused> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_slice()).map_err(|_| Refused)?;
    Ok(LessSafeKey::new(key))
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

struct KeyBytes;

impl KeyType for KeyBytes {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

#[cfg(test)]
mod tests;
