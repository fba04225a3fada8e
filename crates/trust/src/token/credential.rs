//! The credential: an institution says who a person is, in which roles, and with which key they sign.
//!
//! It grants nothing by itself; the roster decides whether the institution may speak, the policy what the roles
//! may do. Next: `proof.rs`.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use terms::{MemberId, PersonId, Report, RoleName, SpaceId, UtcTime, limit};

use crate::key::{PublicKey, SigningKey};
use crate::token::TokenError;
use crate::token::jwt::Kind;
use crate::verified::Verified;

const CREDENTIAL: Kind = Kind {
    word: "credential",
    typ: "datenraum-credential+jwt",
    seconds_max: limit::CREDENTIAL_SECONDS_MAX,
};

/// Who a person is, in the words of the institution that vouches for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The data space in which it is valid: `aud`.
    pub space: SpaceId,
    /// The institution that vouches: `iss`.
    pub member: MemberId,
    /// The person: `sub`.
    pub person: PersonId,
    /// What the institution says the person acts as.
    pub roles: BTreeSet<RoleName>,
    /// The key with which the person signs proofs: `cnf`.
    pub key: PublicKey,
    /// From when it is valid, in whole seconds.
    pub not_before: UtcTime,
    /// Until when it is valid, in whole seconds.
    pub expires: UtcTime,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: MemberId,
    sub: PersonId,
    aud: SpaceId,
    iat: i64,
    nbf: i64,
    exp: i64,
    roles: BTreeSet<RoleName>,
    cnf: Confirmation,
}

/// RFC 7800: the key that the bearer must prove to hold.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    jwk: OctetKeyPair,
}

/// RFC 8037.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OctetKeyPair {
    kty: String,
    crv: String,
    x: String,
}

impl Credential {
    /// Signs the credential with the institution's key.
    ///
    /// # Errors
    /// [`TokenError::Lifetime`] if it would be valid longer than [`limit::CREDENTIAL_SECONDS_MAX`], or not at all.
    pub fn issue(self, key: &SigningKey) -> Result<String, TokenError> {
        CREDENTIAL.require_lifetime(self.not_before, self.expires)?;
        let claims = Claims {
            iss: self.member,
            sub: self.person,
            aud: self.space,
            iat: self.not_before.as_second(),
            nbf: self.not_before.as_second(),
            exp: self.expires.as_second(),
            roles: self.roles,
            cnf: Confirmation {
                jwk: OctetKeyPair::of(&self.key),
            },
        };
        CREDENTIAL.issue(&claims, key)
    }

    /// Checks a credential. `issuer_key` is the roster: the key of each institution that is a member.
    ///
    /// # Errors
    /// `TokenMalformed`, `TokenIssuer`, `TokenSignature`, `TokenAudience` or `TokenExpired`; see [`TokenError`].
    pub fn verify(
        text: &str,
        space: &SpaceId,
        issuer_key: impl Fn(&MemberId) -> Option<PublicKey>,
        now: UtcTime,
    ) -> Result<Verified<Credential>, Report> {
        let issuer = CREDENTIAL.peek::<Claims>(text)?.iss;
        let key = issuer_key(&issuer).ok_or_else(|| TokenError::Issuer {
            issuer: issuer.to_string(),
        })?;
        let claims: Claims = CREDENTIAL.verify(text, &key, issuer.as_str(), space.as_str())?;
        let credential = claims.into_credential()?;
        CREDENTIAL.require_time(credential.not_before, credential.expires, now)?;
        Ok(Verified::new(credential))
    }

    /// Checks again that the credential is valid: a connection may outlive it.
    pub(super) fn require_valid(&self, now: UtcTime) -> Result<(), TokenError> {
        CREDENTIAL.require_time(self.not_before, self.expires, now)
    }
}

impl Claims {
    fn into_credential(self) -> Result<Credential, TokenError> {
        Ok(Credential {
            key: self.cnf.jwk.key()?,
            not_before: CREDENTIAL.time(self.nbf)?,
            expires: CREDENTIAL.time(self.exp)?,
            space: self.aud,
            member: self.iss,
            person: self.sub,
            roles: self.roles,
        })
    }
}

impl OctetKeyPair {
    fn of(key: &PublicKey) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: URL_SAFE_NO_PAD.encode(key.bytes()),
        }
    }

    fn key(&self) -> Result<PublicKey, TokenError> {
        if self.kty != "OKP" || self.crv != "Ed25519" {
            return Err(CREDENTIAL.malformed());
        }
        let bytes = URL_SAFE_NO_PAD.decode(&self.x).map_err(|_| CREDENTIAL.malformed())?;
        PublicKey::from_bytes(&bytes).map_err(|_| CREDENTIAL.malformed())
    }
}
