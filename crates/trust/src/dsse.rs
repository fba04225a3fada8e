//! DSSE v1: a JSON payload with its type, signed by one key.
//!
//! The signature covers type and payload together, so a document of one kind cannot pass for another.
//! Next: [`crate::receipt`] and [`crate::stop`], two payloads, and `json.rs`, through which all of it is read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::json::strict;
use crate::key::{PublicKey, Signature, SignatureInvalid, SigningKey};
use crate::verified::Verified;

/// Largest payload that is opened, in bytes: the largest signed document.
const PAYLOAD_BYTES_MAX: usize = terms::limit::DOCUMENT_BYTES_MAX;

/// Longest base64 text of such a payload, in bytes.
const PAYLOAD_TEXT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX.div_ceil(3) * 4;

/// Largest envelope that is read, in bytes: such a payload, its type and one signature.
const ENVELOPE_BYTES_MAX: usize = PAYLOAD_TEXT_BYTES_MAX + 4 * 1024;

/// A signed payload, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    keyid: String,
    sig: String,
}

/// Why an envelope could not be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The body has no JSON form.
    #[error("the body cannot be written as JSON")]
    Unwritable,
    /// The payload is of another kind.
    #[error("the payload is not of the type {expected}")]
    Type {
        /// The type that was asked for.
        expected: String,
    },
    /// Too large, not strict JSON, not base64, or not exactly one signature.
    #[error("the envelope does not have the form of one signed payload")]
    Form,
    /// The signature is not of the expected key over this type and payload.
    #[error("the envelope has no valid signature of {key}")]
    Signature {
        /// The key that should have signed.
        key: String,
    },
    /// Signed, but the payload lacks a field, has one that is unknown or comes twice, or goes on after its end.
    #[error("the payload is not of the form that its type promises")]
    Body,
}

impl Envelope {
    /// Signs the JSON form of `body`.
    ///
    /// # Errors
    /// [`EnvelopeError::Unwritable`] if it has none.
    pub fn seal<T: Serialize>(payload_type: &str, body: &T, key: &SigningKey) -> Result<Self, EnvelopeError> {
        let payload = serde_json::to_vec(body).map_err(|_| EnvelopeError::Unwritable)?;
        let signature = key.sign(&pre_authentication(payload_type, &payload));
        let sig = STANDARD.encode(signature.bytes());
        Ok(Self {
            payload_type: payload_type.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: vec![EnvelopeSignature {
                keyid: key.public().key_id(),
                sig,
            }],
        })
    }

    /// Reads an envelope. Its signature is not checked yet.
    ///
    /// # Errors
    /// [`EnvelopeError::Form`] if it is too large or not strictly the JSON of an envelope.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        strict(bytes, ENVELOPE_BYTES_MAX).map_err(|_| EnvelopeError::Form)
    }

    /// The JSON of the envelope, always the same for the same envelope.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Texts in a fixed order: this cannot fail, and an empty document would be refused by every reader.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The digest of [`Envelope::to_bytes`].
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Whether the key id, a claim that nobody has checked, is that of `key`.
    pub fn names_signer(&self, key: &PublicKey) -> bool {
        matches!(self.signatures.as_slice(), [one] if one.keyid == key.key_id())
    }

    /// Checks type and signature, then reads the payload. `T` should deny unknown fields.
    ///
    /// The key id in the envelope is a hint and is not read; `key` alone decides.
    ///
    /// # Errors
    /// See [`EnvelopeError`]; nothing of the payload is read before the signature holds.
    pub fn open<T: DeserializeOwned>(&self, payload_type: &str, key: &PublicKey) -> Result<Verified<T>, EnvelopeError> {
        if self.payload_type != payload_type {
            return Err(EnvelopeError::Type {
                expected: payload_type.to_owned(),
            });
        }
        if self.payload.len() > PAYLOAD_TEXT_BYTES_MAX {
            return Err(EnvelopeError::Form);
        }
        let [signature] = self.signatures.as_slice() else {
            return Err(EnvelopeError::Form);
        };
        let payload = STANDARD.decode(&self.payload).map_err(|_| EnvelopeError::Form)?;
        let signature = STANDARD.decode(&signature.sig).map_err(|_| EnvelopeError::Form)?;
        let signature = Signature::from_bytes(&signature).map_err(|_| EnvelopeError::Form)?;
        key.verify(&pre_authentication(payload_type, &payload), &signature)
            .map_err(|_| EnvelopeError::Signature { key: key.to_string() })?;
        strict(&payload, PAYLOAD_BYTES_MAX)
            .map(Verified::new)
            .map_err(|_| EnvelopeError::Body)
    }
}

/// Signs bytes that travel beside their signature instead of in an envelope, as a payload of this type.
pub fn sign_payload(payload_type: &str, payload: &[u8], key: &SigningKey) -> Signature {
    key.sign(&pre_authentication(payload_type, payload))
}

/// Checks a signature of [`sign_payload`].
///
/// # Errors
/// If `key` did not sign this payload as one of this type.
pub fn verify_payload(
    payload_type: &str,
    payload: &[u8],
    signature: &Signature,
    key: &PublicKey,
) -> Result<(), SignatureInvalid> {
    key.verify(&pre_authentication(payload_type, payload), signature)
}

/// DSSE v1, PAE: lengths before contents, so that no two pairs of type and payload give the same bytes.
fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// An envelope around any bytes, with any bytes as its signature.
#[cfg(test)]
pub(crate) fn sealed_with(payload_type: &str, payload: &[u8], sign: &dyn Fn(&[u8]) -> Vec<u8>) -> Envelope {
    Envelope {
        payload_type: payload_type.to_owned(),
        payload: STANDARD.encode(payload),
        signatures: vec![EnvelopeSignature {
            keyid: String::new(),
            sig: STANDARD.encode(sign(&pre_authentication(payload_type, payload))),
        }],
    }
}

#[cfg(test)]
mod tests;
