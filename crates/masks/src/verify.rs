//! The checks that every message passes, whatever it says: of this sum, signed by who sent it, after the same messages; one of each node,
//! and enough of them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use trust::Digest;

use crate::error::{Stage, SumError};
use crate::message::{Body, Keys, Message};
use crate::plan::{Plan, Seat};
use crate::primitive::{KEY_BYTES, KeyPair, Refused, Secret};

pub(crate) fn digests<B: Body>(messages: &[Message<B>]) -> Vec<(Seat, Digest)> {
    let mut digests: Vec<_> = messages.iter().map(|message| (message.seat, message.digest)).collect();
    digests.sort();
    digests
}

impl Plan {
    /// Whether this can be among the keys of the sum.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, message: &Message<Keys>) -> Result<(), SumError> {
        self.verify(message, self.digest())?;
        let Keys { mask_key, box_key, .. } = &message.body;
        if [mask_key, box_key].into_iter().any(is_weak) {
            let member = self.member(message.seat);
            return Err(SumError::WeakKey { member });
        }
        Ok(())
    }

    /// Whether a member of the roster signed this for this sum, after the messages of which `context` is the digest.
    pub(crate) fn verify<B: Body>(&self, message: &Message<B>, context: &Digest) -> Result<(), SumError> {
        let stage = B::STAGE;
        if message.plan != *self.digest() {
            return Err(SumError::OtherSum { stage });
        }
        let signer = self.participant(message.seat).ok_or(SumError::Nobody { stage })?;
        let member = || signer.member.clone();
        if !message.is_signed_by(&signer.key) {
            return Err(SumError::Signature {
                member: member(),
                stage,
            });
        }
        if message.context != *context {
            return Err(SumError::OtherView {
                member: member(),
                stage,
            });
        }
        Ok(())
    }

    /// Checks messages, of which there are no more than nodes: nobody makes a node check thousands of signatures.
    pub(crate) fn check_each<B: Body>(
        &self,
        messages: &[Message<B>],
        check: impl Fn(&Message<B>) -> Result<(), SumError>,
    ) -> Result<(), SumError> {
        if messages.len() > self.roster().len() {
            return Err(SumError::TooMany { stage: B::STAGE });
        }
        messages.iter().try_for_each(check)
    }

    /// Whether the sender took part in the step before.
    pub(crate) fn require_among<B: Body>(&self, message: &Message<B>, is_among: bool) -> Result<(), SumError> {
        let unexpected = || SumError::Unexpected {
            member: self.member(message.seat),
            stage: B::STAGE,
        };
        is_among.then_some(()).ok_or_else(unexpected)
    }

    /// Checked messages by seat, and the context of the next step: one of each node, and enough of them.
    pub(crate) fn gather<B: Body>(
        &self,
        messages: Vec<Message<B>>,
        context: &Digest,
        expected: impl Iterator<Item = Seat>,
    ) -> Result<(BTreeMap<Seat, B>, Digest), SumError> {
        let stage = B::STAGE;
        let context = next_context(stage, context, &digests(&messages));
        let mut bodies = BTreeMap::new();
        for message in messages {
            if bodies.insert(message.seat, message.body).is_some() {
                let member = self.member(message.seat);
                return Err(SumError::Twice { member, stage });
            }
        }
        let (nodes, needed) = (bodies.len(), self.threshold());
        if nodes < needed {
            let missing = expected.filter(|seat| !bodies.contains_key(seat));
            let missing = missing.map(|seat| self.member(seat)).collect();
            return Err(SumError::TooFew {
                stage,
                nodes,
                needed,
                missing,
            });
        }
        Ok((bodies, context))
    }
}

/// Whether everybody would derive the same with it: a point of small order, for any private key.
fn is_weak(key: &[u8; KEY_BYTES]) -> bool {
    static PROBE: LazyLock<Result<KeyPair, Refused>> = LazyLock::new(|| KeyPair::of(&Secret::new([1; KEY_BYTES])));
    !PROBE.as_ref().is_ok_and(|probe| probe.agree(key, b"probe").is_ok())
}

/// The digest of everything up to here.
fn next_context(stage: Stage, before: &Digest, messages: &[(Seat, Digest)]) -> Digest {
    let mut hasher = Digest::hasher();
    hasher.update(b"datenraum masked sum v1: after ");
    hasher.update(&[stage as u8, messages.len() as u8]);
    hasher.update(before.bytes());
    for (seat, digest) in messages {
        hasher.update(&[seat.0]);
        hasher.update(digest.bytes());
    }
    hasher.finish()
}
