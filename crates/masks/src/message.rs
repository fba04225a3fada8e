//! The five messages of a masked sum: their bytes, and the signature that each carries.
//!
//! ```text
//! version 1 | kind 1 | digest of the plan 32 | context 32 | seat 1 | body | signature 64
//! ```
//!
//! The context is a digest of all messages of the steps before, as the sender was shown them: who was shown other ones signs another
//! context. A message has one encoding; whatever else is refused before memory is taken for it. What is read here is not checked yet:
//! [`crate::view`] does that, against the roster.

use std::fmt;

use terms::limit::{MASKED_SUM_ENTRIES_MAX, MASKED_SUM_NODES_MAX};
use trust::dsse::{sign_payload, verify_payload};
use trust::{Digest, PublicKey, Signature, SigningKey};

use crate::error::{Stage, SumError};
use crate::plan::Seat;
use crate::primitive::{KEY_BYTES, TAG_BYTES};

/// What is signed is a payload of this type: nothing else that a node signs passes for one.
pub const MESSAGE_TYPE: &str = "application/vnd.datenraum.masked-sum.v1";

const VERSION: u8 = 1;
const DIGEST_BYTES: usize = 32;
const HEAD_BYTES: usize = 2 + 2 * DIGEST_BYTES + 1;
const SIGNATURE_BYTES: usize = 64;

/// Bytes of the two shares that one node deals to another, sealed.
pub(crate) const SEALED_BYTES: usize = 2 * KEY_BYTES + TAG_BYTES;

/// A message whose form was checked, and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct Message<B> {
    pub(crate) plan: Digest,
    pub(crate) context: Digest,
    pub(crate) seat: Seat,
    pub(crate) body: B,
    /// Of all its bytes.
    pub(crate) digest: Digest,
    signature: Signature,
    bytes: Vec<u8>,
}

impl<B: Body> Message<B> {
    /// Reads a message.
    ///
    /// # Errors
    /// [`SumError::Form`] if the bytes are not one of this kind, to the last byte.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SumError> {
        Self::read(bytes).ok_or(SumError::Form { stage: B::STAGE })
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (signed, signature) = bytes.split_last_chunk::<SIGNATURE_BYTES>()?;
        let mut reader = Reader(signed);
        if reader.byte()? != VERSION || reader.byte()? != B::STAGE.kind() {
            return None;
        }
        let (plan, context, seat) = (reader.digest()?, reader.digest()?, reader.seat()?);
        let body = B::read(&mut reader)?;
        let signature = Signature::from_bytes(signature).ok()?;
        let (digest, bytes) = (Digest::of(bytes), bytes.to_vec());
        reader.0.is_empty().then_some(Self {
            plan,
            context,
            seat,
            body,
            digest,
            signature,
            bytes,
        })
    }

    pub(crate) fn sign(plan: &Digest, context: &Digest, seat: Seat, body: B, key: &SigningKey) -> Self {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + SIGNATURE_BYTES);
        bytes.extend([VERSION, B::STAGE.kind()]);
        bytes.extend(plan.bytes());
        bytes.extend(context.bytes());
        bytes.push(seat.0);
        body.write(&mut bytes);
        let signature = sign_payload(MESSAGE_TYPE, &bytes, key);
        bytes.extend(signature.bytes());
        let digest = Digest::of(&bytes);
        Self {
            plan: *plan,
            context: *context,
            seat,
            body,
            digest,
            signature,
            bytes,
        }
    }

    /// The bytes that travel. Reading them gives the message again.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> bool {
        let signed = &self.bytes[..self.bytes.len() - SIGNATURE_BYTES];
        verify_payload(MESSAGE_TYPE, signed, &self.signature, key).is_ok()
    }
}

impl<B: Body> fmt::Debug for Message<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Message({} of seat {}, {} bytes)",
            B::STAGE,
            self.seat.0,
            self.bytes.len()
        )
    }
}

/// What a message of one kind says. Only this crate has kinds.
pub trait Body: sealed::Form {
    /// When it is sent.
    const STAGE: Stage;
}

mod sealed {
    use super::Reader;

    pub trait Form: Sized {
        fn read(reader: &mut Reader<'_>) -> Option<Self>;
        fn write(&self, bytes: &mut Vec<u8>);
    }
}

use sealed::Form;

/// A node's keys for this sum, which were made for it and are used for nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// X25519: with it the others agree on masks.
    pub(crate) mask_key: [u8; KEY_BYTES],
    /// X25519: to it the others seal shares.
    pub(crate) box_key: [u8; KEY_BYTES],
    /// The digest of the seed of the mask that is this node's alone.
    pub(crate) seed_digest: Digest,
}

impl Body for Keys {
    const STAGE: Stage = Stage::Keys;
}

impl Form for Keys {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (mask_key, box_key, seed_digest) = (*reader.chunk()?, *reader.chunk()?, reader.digest()?);
        Some(Self {
            mask_key,
            box_key,
            seed_digest,
        })
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.mask_key);
        bytes.extend(self.box_key);
        bytes.extend(self.seed_digest.bytes());
    }
}

/// A node's two secrets in shares: one of each for every node whose keys it was shown, itself too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares(pub(crate) Vec<Dealt>);

/// What is dealt to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dealt {
    pub(crate) to: Seat,
    pub(crate) key_share: Digest,
    pub(crate) seed_share: Digest,
    pub(crate) sealed: [u8; SEALED_BYTES],
}

impl Body for Shares {
    const STAGE: Stage = Stage::Shares;
}

impl Form for Shares {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader
            .rows(
                |reader, to| {
                    let (key_share, seed_share, sealed) = (reader.digest()?, reader.digest()?, *reader.chunk()?);
                    Some(Dealt {
                        to,
                        key_share,
                        seed_share,
                        sealed,
                    })
                },
                |dealt| dealt.to,
            )
            .map(Self)
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.0.len() as u8);
        for dealt in &self.0 {
            bytes.push(dealt.to.0);
            bytes.extend(dealt.key_share.bytes());
            bytes.extend(dealt.seed_share.bytes());
            bytes.extend(dealt.sealed);
        }
    }
}

/// A node's numbers, each plus its masks, modulo 2^128.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masked {
    pub(crate) entries: Vec<u128>,
}

impl Body for Masked {
    const STAGE: Stage = Stage::Masked;
}

impl Form for Masked {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let count = u32::from_le_bytes(*reader.chunk()?) as usize;
        let (numbers, rest) = reader.0.as_chunks::<16>();
        if count > MASKED_SUM_ENTRIES_MAX || numbers.len() != count || !rest.is_empty() {
            return None;
        }
        reader.0 = rest;
        let entries = numbers.iter().map(|bytes| u128::from_le_bytes(*bytes)).collect();
        Some(Self { entries })
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.reserve(4 + self.entries.len() * 16 + SIGNATURE_BYTES);
        bytes.extend((self.entries.len() as u32).to_le_bytes());
        bytes.extend(self.entries.iter().flat_map(|entry| entry.to_le_bytes()));
    }
}

/// Whose masked numbers a node was shown, and their digests. A node signs one such list in a sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivors(pub(crate) Vec<(Seat, Digest)>);

impl Body for Survivors {
    const STAGE: Stage = Stage::Survivors;
}

impl Form for Survivors {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader
            .rows(|reader, seat| Some((seat, reader.digest()?)), |row| row.0)
            .map(Self)
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.0.len() as u8);
        for (seat, digest) in &self.0 {
            bytes.push(seat.0);
            bytes.extend(digest.bytes());
        }
    }
}

/// One share for each node that dealt: of its seed if it is among the survivors, else of its mask key. Never of both.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening(pub(crate) Vec<(Seat, [u8; KEY_BYTES])>);

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opening({} shares)", self.0.len())
    }
}

impl Body for Opening {
    const STAGE: Stage = Stage::Opening;
}

impl Form for Opening {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader
            .rows(|reader, seat| Some((seat, *reader.chunk()?)), |row| row.0)
            .map(Self)
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.0.len() as u8);
        for (seat, share) in &self.0 {
            bytes.push(seat.0);
            bytes.extend(share);
        }
    }
}

/// What is left to be read.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn chunk<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(chunk)
    }

    fn byte(&mut self) -> Option<u8> {
        self.chunk::<1>().map(|[byte]| *byte)
    }

    fn seat(&mut self) -> Option<Seat> {
        self.byte()
            .filter(|seat| usize::from(*seat) < MASKED_SUM_NODES_MAX)
            .map(Seat)
    }

    fn digest(&mut self) -> Option<Digest> {
        self.chunk().map(|bytes| Digest::from_bytes(*bytes))
    }

    /// A count and as many rows, each after its seat, by rising seats.
    fn rows<T>(&mut self, row: impl Fn(&mut Self, Seat) -> Option<T>, seat_of: impl Fn(&T) -> Seat) -> Option<Vec<T>> {
        let count = usize::from(self.byte()?);
        if count > MASKED_SUM_NODES_MAX {
            return None;
        }
        let mut rows = Vec::with_capacity(count);
        for _ in 0..count {
            let seat = self.seat()?;
            rows.push(row(self, seat)?);
        }
        rows.is_sorted_by(|a, b| seat_of(a) < seat_of(b)).then_some(rows)
    }
}

#[cfg(test)]
mod tests;
