//! The proof: a person asks this query, for this purpose, at this node, on this connection, now.
//!
//! It is signed with the key that the credential names, lives for [`limit::PROOF_SECONDS`] and serves once;
//! the node remembers the ids it has seen for that long.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use terms::{PermitId, Purpose, Report, RequestId, UtcTime, limit};

use crate::digest::Digest;
use crate::key::{PublicKey, SigningKey};
use crate::token::jwt::Kind;
use crate::token::{Channel, Credential, TokenError};
use crate::verified::Verified;

const PROOF: Kind = Kind {
    word: "proof",
    typ: "datenraum-proof+jwt",
    seconds_max: limit::PROOF_SECONDS,
};

/// What a person asks, before they sign it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The node that is asked: `aud`.
    pub node: String,
    /// Digest of the query.
    pub query: Digest,
    /// What it is asked for.
    pub purpose: Option<Purpose>,
    /// The data permit under which it is asked.
    pub permit: Option<PermitId>,
    /// The name of the request, if it is to be answered once however often it is asked.
    pub request: Option<RequestId>,
    /// The connection on which it is asked.
    pub channel: Channel,
}

/// Where a proof came and what came with it: all of it must be what the proof was made for.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The node that it came to.
    pub node: &'a str,
    /// Digest of the query.
    pub query: Digest,
    /// The name of the request.
    pub request: Option<&'a RequestId>,
    /// The connection.
    pub channel: &'a Channel,
}

/// What a node learns from a proof that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofSeen {
    /// What the query is asked for.
    pub purpose: Option<Purpose>,
    /// The data permit under which it is asked.
    pub permit: Option<PermitId>,
    /// The name of the request.
    pub request: Option<RequestId>,
    /// Random; a node accepts each once.
    pub id: [u8; 16],
    /// When it was made, in whole seconds.
    pub issued: UtcTime,
    /// Until when it is valid, in whole seconds; remember the id for [`limit::CLOCK_LEEWAY_SECONDS`] more.
    pub expires: UtcTime,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: PublicKey,
    aud: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    query: Digest,
    channel: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purpose: Option<Purpose>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    permit: Option<PermitId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<RequestId>,
}

impl Proof {
    /// Signs the proof with the person's key.
    ///
    /// # Errors
    /// [`TokenError::Unavailable`] if the system gives no randomness.
    pub fn issue(&self, key: &SigningKey, now: UtcTime) -> Result<String, TokenError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| TokenError::Unavailable { kind: PROOF.word })?;
        let issued = now.as_second();
        let claims = Claims {
            iss: key.public(),
            aud: self.node.clone(),
            iat: issued,
            nbf: issued,
            exp: issued + limit::PROOF_SECONDS,
            jti: URL_SAFE_NO_PAD.encode(id),
            query: self.query,
            channel: URL_SAFE_NO_PAD.encode(self.channel.0),
            purpose: self.purpose,
            permit: self.permit.clone(),
            request: self.request.clone(),
        };
        PROOF.issue(&claims, key)
    }

    /// Checks a proof against the credential of the person and what it came with. The caller must still refuse an id that
    /// it has seen.
    ///
    /// # Errors
    /// `TokenMalformed`, `TokenSignature`, `TokenAudience`, `TokenExpired` (of proof or credential) or
    /// `ProofMismatch` (query, request id or connection).
    pub fn verify(
        text: &str,
        credential: &Verified<Credential>,
        received: Received<'_>,
        now: UtcTime,
    ) -> Result<Verified<ProofSeen>, Report> {
        let signer = credential.key;
        let claims: Claims = PROOF.verify(text, &signer, &signer.to_string(), received.node)?;
        let seen = claims.seen()?;
        PROOF.require_time(seen.issued, seen.expires, now)?;
        credential.require_valid(now)?;
        let mismatch = |what| Err(TokenError::Mismatch { what }.into());
        if claims.query != received.query {
            return mismatch("query");
        }
        if claims.request.as_ref() != received.request {
            return mismatch("request id");
        }
        if claims.channel != URL_SAFE_NO_PAD.encode(received.channel.0) {
            return mismatch("connection");
        }
        Ok(Verified::new(seen))
    }
}

impl Claims {
    fn seen(&self) -> Result<ProofSeen, TokenError> {
        let id = URL_SAFE_NO_PAD.decode(&self.jti).map_err(|_| PROOF.malformed())?;
        Ok(ProofSeen {
            purpose: self.purpose,
            permit: self.permit.clone(),
            request: self.request.clone(),
            id: id.try_into().map_err(|_| PROOF.malformed())?,
            issued: PROOF.time(self.nbf)?,
            expires: PROOF.time(self.exp)?,
        })
    }
}
