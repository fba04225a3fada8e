//! Tokens: the credential by which an institution vouches for a person, and the proof with which that person
//! asks one query. Both are JWTs signed with EdDSA; what is accepted is narrower than the JWT standards allow.
//!
//! Checking a proof does not say whether it was used before: whoever accepts one asks [`Replay`] too.
//! Next: [`mod@credential`], [`mod@proof`], [`mod@replay`], and `token/jwt.rs` for what a token must look like.

pub mod credential;
mod jwt;
pub mod proof;
pub mod replay;

use std::fmt;

use terms::{Problem, Report};

use crate::digest::Digest;

pub use credential::Credential;
#[cfg(test)]
pub(crate) use jwt::verdict_on;
pub use proof::{Proof, ProofSeen, Received};
pub use replay::Replay;

/// The value that binds a proof to one TLS connection: RFC 9266, `tls-exporter`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Channel([u8; 32]);

impl Channel {
    /// The value that both ends of a connection exported.
    pub fn new(exported: [u8; 32]) -> Self {
        Self(exported)
    }

    /// By which a connection can be named without giving its value away.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel(redacted)")
    }
}

/// Why a token could not be issued or is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Too long, not a JWT, not exactly our header, or a claim missing, unknown or of the wrong form.
    #[error("the {kind} does not have the expected form")]
    Malformed {
        /// What the token was to be.
        kind: &'static str,
    },
    /// The signature is not of the key that it needs.
    #[error("the {kind} has no valid signature of {signer}")]
    Signature {
        /// What the token was to be.
        kind: &'static str,
        /// Who should have signed.
        signer: String,
    },
    /// The issuer is not a member.
    #[error("the credential comes from {issuer}, which is not a member of the data space")]
    Issuer {
        /// The institution that the credential names.
        issuer: String,
    },
    /// For somebody else.
    #[error("the {kind} is not meant for {here}")]
    Audience {
        /// What the token was to be.
        kind: &'static str,
        /// Who was asked to accept it.
        here: String,
    },
    /// Not valid yet, or no more.
    #[error("the {kind} is valid from {from} to {until}, and it is {now}")]
    Time {
        /// What the token was to be.
        kind: &'static str,
        /// From when it is valid.
        from: String,
        /// Until when it is valid.
        until: String,
        /// What time it was taken to be.
        now: String,
    },
    /// Valid for longer than is accepted, or for no time at all.
    #[error("the {kind} is valid for {seconds} s; up to {seconds_max} s are accepted")]
    Lifetime {
        /// What the token was to be.
        kind: &'static str,
        /// How long it would be valid.
        seconds: i64,
        /// How long it may be valid.
        seconds_max: i64,
    },
    /// The proof was made for something else.
    #[error("the proof was made for another {what}")]
    Mismatch {
        /// What does not match: query, request id, connection.
        what: &'static str,
    },
    /// The system gave no randomness, or the token library is not ours in this process.
    #[error("the {kind} cannot be issued or checked in this process")]
    Unavailable {
        /// What the token was to be.
        kind: &'static str,
    },
}

impl From<TokenError> for Report {
    fn from(error: TokenError) -> Report {
        let problem = match &error {
            TokenError::Malformed { .. } => Problem::TokenMalformed,
            TokenError::Signature { .. } => Problem::TokenSignature,
            TokenError::Issuer { .. } => Problem::TokenIssuer,
            TokenError::Audience { .. } => Problem::TokenAudience,
            TokenError::Time { .. } | TokenError::Lifetime { .. } => Problem::TokenExpired,
            TokenError::Mismatch { .. } => Problem::ProofMismatch,
            TokenError::Unavailable { .. } => Problem::Internal,
        };
        problem.report(error.to_string())
    }
}

#[cfg(test)]
mod tests;
