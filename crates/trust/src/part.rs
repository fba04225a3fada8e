//! A member's part of a step of a fit: bytes under the member's signature, bound to the fit, the step and the member.
//!
//! What the bytes are, others know. A part of one fit, one step or one member is none of another.

use terms::MemberId;

use crate::digest::Digest;
use crate::key::{PublicKey, Signature, SignatureInvalid, SigningKey};

/// What is signed begins with this, and with the version of the form.
const DOMAIN: &[u8] = b"datenraum.v1.FitPart\n";

/// The kind of a part that is a node's plain sums. Those of masked sums have the numbers of their messages, from 1.
pub const SUMS: u8 = 0;

/// What a part belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartOf<'a> {
    /// The digest of the statement.
    pub statement: Digest,
    /// The step, from 0.
    pub step: u32,
    /// What kind of message it is within the step.
    pub kind: u8,
    /// Who signs.
    pub member: &'a MemberId,
}

impl PartOf<'_> {
    /// The signature under a part.
    pub fn sign(&self, content: &[u8], key: &SigningKey) -> [u8; 64] {
        *key.sign(&self.message(content)).bytes()
    }

    /// Checks the signature under a part.
    ///
    /// # Errors
    /// If it is not the member's signature under this part of this step of this fit.
    pub fn verify(&self, content: &[u8], signature: &[u8], key: &PublicKey) -> Result<(), SignatureInvalid> {
        key.verify(&self.message(content), &Signature::from_bytes(signature)?)
    }

    /// All lengths are fixed but for the member's name, which comes with its own.
    fn message(&self, content: &[u8]) -> Vec<u8> {
        let name = self.member.as_str().as_bytes();
        let mut message = DOMAIN.to_vec();
        message.extend_from_slice(self.statement.bytes());
        message.extend_from_slice(&self.step.to_be_bytes());
        message.push(self.kind);
        message.extend_from_slice(&(name.len() as u64).to_be_bytes());
        message.extend_from_slice(name);
        message.extend_from_slice(Digest::of(content).bytes());
        message
    }
}

#[cfg(test)]
mod tests;
