//! What every token of ours must look like, around the one signature check of `key.rs`.
//!
//! We read header and claims strictly first. Then the token library compares audience and issuer, and calls our verifier;
//! it never chooses an algorithm or a key, and its clock is not used. Next: `credential.rs` and `proof.rs`.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, Result as JwtResult};
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use terms::{UtcTime, limit};

use crate::json::strict;
use crate::key::{PublicKey, Signature, SigningKey};
use crate::token::TokenError;

/// One kind of token. The header's `typ` keeps one kind from passing for another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// The word in messages.
    pub(crate) word: &'static str,
    /// The header's `typ`.
    pub(crate) typ: &'static str,
    /// Longest lifetime, in seconds.
    pub(crate) seconds_max: i64,
}

impl Kind {
    pub(crate) fn malformed(self) -> TokenError {
        TokenError::Malformed { kind: self.word }
    }

    /// Signs `claims`: the compact form of RFC 7515.
    pub(crate) fn issue<T: Serialize>(self, claims: &T, key: &SigningKey) -> Result<String, TokenError> {
        let header = Header {
            typ: Some(self.typ.to_owned()),
            ..Header::new(Algorithm::EdDSA)
        };
        let message = format!("{}.{}", self.encode(&header)?, self.encode(claims)?);
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).bytes());
        let text = format!("{message}.{signature}");
        if text.len() > limit::TOKEN_BYTES_MAX {
            Err(self.malformed())
        } else {
            Ok(text)
        }
    }

    fn encode<T: Serialize>(self, part: &T) -> Result<String, TokenError> {
        let json = serde_json::to_vec(part).map_err(|_| self.malformed())?;
        Ok(URL_SAFE_NO_PAD.encode(json))
    }

    /// The claims, unchecked: for finding out whose key has to be asked. The form is checked in full, strictly.
    pub(crate) fn peek<T: DeserializeOwned>(self, text: &str) -> Result<T, TokenError> {
        if text.len() > limit::TOKEN_BYTES_MAX {
            return Err(self.malformed());
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [header, claims, _signature] = parts[..] else {
            return Err(self.malformed());
        };
        let header: Header = self.part(header)?;
        // A key that the token brings along (jwk, jku, x5u, x5c), a critical extension or any other member is
        // refused with the whole header; a key id is a hint that nobody reads.
        let ours = Header {
            typ: Some(self.typ.to_owned()),
            ..Header::new(Algorithm::EdDSA)
        };
        if (Header { kid: None, ..header }) != ours {
            return Err(self.malformed());
        }
        self.part(claims)
    }

    /// One part of a token. The library would let the last of two equal members win.
    fn part<T: DeserializeOwned>(self, encoded: &str) -> Result<T, TokenError> {
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| self.malformed())?;
        strict(&bytes, limit::TOKEN_BYTES_MAX).map_err(|_| self.malformed())
    }

    /// The claims, once `key` signed them for `audience`. Times are for the caller to check.
    pub(crate) fn verify<T: DeserializeOwned>(
        self,
        text: &str,
        key: &PublicKey,
        issuer: &str,
        audience: &str,
    ) -> Result<T, TokenError> {
        self.require_library()?;
        self.peek::<T>(text)?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_required_spec_claims(&["exp", "nbf", "iss", "aud"]);
        rules.set_audience(&[audience]);
        rules.set_issuer(&[issuer]);
        // The library reads the machine's clock; `require_time` checks against the time that was given.
        (rules.validate_exp, rules.validate_nbf) = (false, false);
        let decoded = jsonwebtoken::decode(text, &DecodingKey::from_ed_der(key.bytes()), &rules);
        match decoded {
            Ok(token) => Ok(token.claims),
            Err(error) => Err(match error.into_kind() {
                ErrorKind::InvalidAudience => TokenError::Audience {
                    kind: self.word,
                    here: audience.to_owned(),
                },
                ErrorKind::InvalidSignature | ErrorKind::InvalidIssuer => TokenError::Signature {
                    kind: self.word,
                    signer: issuer.to_owned(),
                },
                _ => self.malformed(),
            }),
        }
    }

    /// Checks validity at `now`, with the leeway between machines, and that it does not last too long.
    pub(crate) fn require_time(self, from: UtcTime, until: UtcTime, now: UtcTime) -> Result<(), TokenError> {
        self.require_lifetime(from, until)?;
        let at = now.as_second();
        let early = at + limit::CLOCK_LEEWAY_SECONDS < from.as_second();
        let late = at - limit::CLOCK_LEEWAY_SECONDS > until.as_second();
        if !early && !late {
            return Ok(());
        }
        let (from, until, now) = (from.to_string(), until.to_string(), now.to_string());
        Err(TokenError::Time {
            kind: self.word,
            from,
            until,
            now,
        })
    }

    pub(crate) fn require_lifetime(self, from: UtcTime, until: UtcTime) -> Result<(), TokenError> {
        let seconds = until.as_second() - from.as_second();
        if seconds > 0 && seconds <= self.seconds_max {
            return Ok(());
        }
        Err(TokenError::Lifetime {
            kind: self.word,
            seconds,
            seconds_max: self.seconds_max,
        })
    }

    /// A claim in seconds as a time.
    pub(crate) fn time(self, seconds: i64) -> Result<UtcTime, TokenError> {
        UtcTime::from_second(seconds).map_err(|_| self.malformed())
    }

    /// The library knows one provider per process. If somebody else set theirs first, no token is trusted.
    fn require_library(self) -> Result<(), TokenError> {
        static OURS: OnceLock<bool> = OnceLock::new();
        let ours = *OURS.get_or_init(|| PROVIDER.install_default().is_ok());
        if ours {
            Ok(())
        } else {
            Err(TokenError::Unavailable { kind: self.word })
        }
    }
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory,
    verifier_factory,
    key_utils: KeyUtils::new_unimplemented(),
};

/// The library signs nothing.
fn signer_factory(_: &Algorithm, _: &EncodingKey) -> JwtResult<Box<dyn JwtSigner>> {
    Err(Error::from(ErrorKind::UnsupportedAlgorithm))
}

fn verifier_factory(algorithm: &Algorithm, key: &DecodingKey) -> JwtResult<Box<dyn JwtVerifier>> {
    match (algorithm, PublicKey::from_bytes(key.try_get_as_bytes()?)) {
        (Algorithm::EdDSA, Ok(key)) => Ok(Box::new(OurVerifier(key))),
        (Algorithm::EdDSA, Err(_)) => Err(Error::from(ErrorKind::InvalidEddsaKey)),
        _ => Err(Error::from(ErrorKind::UnsupportedAlgorithm)),
    }
}

struct OurVerifier(PublicKey);

impl Verifier<Vec<u8>> for OurVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let signature = Signature::from_bytes(signature).map_err(|_| SignatureError::new())?;
        self.0.verify(message, &signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for OurVerifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

/// What a token's verifier says to any message, for vectors whose messages are no tokens.
#[cfg(test)]
pub(crate) fn verdict_on(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let verifier = verifier_factory(&Algorithm::EdDSA, &DecodingKey::from_ed_der(key));
    verifier.is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
}
