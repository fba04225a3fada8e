//! DSSE v1: a JSON payload with its type, signed by one key.
//!
//! The signature covers type and payload together, so a document of one kind cannot pass for another.
//! Next: [`crate::receipt`], the first payload.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::key::{PublicKey, Signature, SigningKey};
use crate::verified::Verified;

/// Largest payload that is opened, in bytes: the largest signed document.
const PAYLOAD_BYTES_MAX: usize = terms::limit::DOCUMENT_BYTES_MAX;

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
    /// Too large, not base64, or not exactly one signature.
    #[error("the envelope does not have the form of one signed payload")]
    Form,
    /// The signature is not of the expected key over this type and payload.
    #[error("the envelope has no valid signature of {key}")]
    Signature {
        /// The key that should have signed.
        key: String,
    },
    /// Signed, but the payload lacks a field, has an unknown one, or goes on after its end.
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
        if self.payload.len() > PAYLOAD_BYTES_MAX.div_ceil(3) * 4 {
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
        serde_json::from_slice(&payload)
            .map(Verified::new)
            .map_err(|_| EnvelopeError::Body)
    }
}

/// DSSE v1, PAE: lengths before contents, so that no two pairs of type and payload give the same bytes.
fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "application/vnd.datenraum.test+json";

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Note {
        rows: u64,
    }

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_seed(&[byte; 32]).unwrap()
    }

    fn sealed() -> Envelope {
        Envelope::seal(KIND, &Note { rows: 3 }, &key(1)).unwrap()
    }

    /// A validly signed envelope around any bytes.
    fn sealed_bytes(payload: &[u8]) -> Envelope {
        let sig = STANDARD.encode(key(1).sign(&pre_authentication(KIND, payload)).bytes());
        Envelope {
            payload: STANDARD.encode(payload),
            signatures: vec![signature(sig)],
            ..sealed()
        }
    }

    fn signature(sig: String) -> EnvelopeSignature {
        EnvelopeSignature {
            keyid: key(1).public().key_id(),
            sig,
        }
    }

    fn refusal(envelope: &Envelope) -> EnvelopeError {
        envelope.open::<Note>(KIND, &key(1).public()).unwrap_err()
    }

    #[test]
    fn another_type_is_refused_even_if_the_envelope_claims_this_one() {
        let other = Envelope::seal("application/other", &Note { rows: 3 }, &key(1)).unwrap();
        assert_eq!(
            refusal(&other),
            EnvelopeError::Type {
                expected: KIND.to_owned()
            }
        );
        let claimed = Envelope {
            payload_type: KIND.to_owned(),
            ..other
        };
        assert_eq!(
            refusal(&claimed),
            EnvelopeError::Signature {
                key: key(1).public().to_string()
            }
        );
    }

    #[test]
    fn another_key_is_refused_whatever_the_key_id_says() {
        let mut forged = Envelope::seal(KIND, &Note { rows: 3 }, &key(2)).unwrap();
        forged.signatures[0].keyid = key(1).public().key_id();
        assert_eq!(
            refusal(&forged),
            EnvelopeError::Signature {
                key: key(1).public().to_string()
            }
        );
    }

    #[test]
    fn a_changed_payload_is_refused() {
        let changed = Envelope {
            payload: STANDARD.encode(br#"{"rows":4}"#),
            ..sealed()
        };
        assert_eq!(
            refusal(&changed),
            EnvelopeError::Signature {
                key: key(1).public().to_string()
            }
        );
    }

    #[test]
    fn unknown_fields_and_trailing_bytes_are_refused() {
        for payload in [
            &br#"{"rows":3,"x":1}"#[..],
            br#"{"rows":3}{"rows":4}"#,
            br#"{"rows":3,"rows":4}"#,
            b"{}",
        ] {
            assert_eq!(refusal(&sealed_bytes(payload)), EnvelopeError::Body);
        }
        let text = serde_json::to_string(&sealed()).unwrap();
        assert!(serde_json::from_str::<Envelope>(&text.replacen('{', r#"{"x":1,"#, 1)).is_err());
    }

    #[test]
    fn no_signature_two_signatures_and_short_signatures_are_refused() {
        let one = sealed().signatures[0].clone();
        for signatures in [vec![], vec![one.clone(), one], vec![signature("AAAA".to_owned())]] {
            assert_eq!(refusal(&Envelope { signatures, ..sealed() }), EnvelopeError::Form);
        }
    }

    #[test]
    fn the_signed_bytes_are_those_of_the_specification() {
        let bytes = pre_authentication("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn a_sealed_body_is_opened_with_the_names_of_dsse() {
        let text = serde_json::to_value(sealed()).unwrap();
        assert_eq!(text["payloadType"], KIND);
        let opened: Envelope = serde_json::from_value(text).unwrap();
        assert_eq!(
            opened.open::<Note>(KIND, &key(1).public()).unwrap().into_inner(),
            Note { rows: 3 }
        );
    }
}
