//! Keys, signatures and what is signed: governance documents, credentials, proofs, receipts, checkpoints.
//!
//! This is the only crate that names a signature library. Whatever it has checked it hands out as
//! [`Verified`], and nothing else can make one. It must never know what a policy says, what SQL is, or how
//! bytes travel: documents come in through [`tuf::DocumentSource`], time comes in as an argument.
//!
//! Reading order: [`key`] (the one signature check), [`verified`], [`dsse`] and [`receipt`], [`token`]
//! (credentials of people and proofs for queries), [`merkle`] and [`checkpoint`] (the audit), and [`tuf`]
//! (a data space as a signed repository: draft, sign, refresh, go on offline).

pub mod checkpoint;
pub mod digest;
pub mod dsse;
pub mod durable;
mod json;
pub mod key;
pub mod merkle;
pub mod part;
pub mod receipt;
pub mod stop;
pub mod token;
pub mod tuf;
pub mod verified;

pub use checkpoint::{Checkpoint, CheckpointError, Cosigned, WITNESS_NAME};
pub use digest::{Digest, DigestError, Hasher};
pub use dsse::{Envelope, EnvelopeError};
pub use key::{
    KeyError, KeyFile, Passphrase, PublicKey, PublicKeyError, PublicKeyFile, Signature, SignatureInvalid, SigningKey,
};
pub use merkle::Frontier;
pub use part::PartOf;
pub use receipt::{DataVersion, JoinedPolicy, Receipt};
pub use stop::{AcceptedStop, Stop, StopList, Stopped};
pub use token::{Channel, Credential, Proof, ProofSeen, Received, Replay, TokenError};
pub use tuf::{
    BoardRoles, DelegatedDocuments, DelegatedRole, Delegation, DocumentSource, Documents, Draft, DraftError,
    DraftSignature, Evidence, RoleKeys, SourceError, SpaceStore, TufClient, last_good, refresh,
};
pub use verified::Verified;

/// Random bytes from the operating system.
///
/// # Errors
/// [`KeyError::Randomness`] if it gives none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|_| KeyError::Randomness)?;
    Ok(bytes)
}

/// A new query id: 96 random bits, so that it says nothing and is never guessed.
///
/// # Errors
/// [`terms::Problem::Internal`] if the operating system gives no randomness.
pub fn new_query_id() -> Result<terms::QueryId, terms::Report> {
    format!("q{}", random_hex()?)
        .parse()
        .map_err(|_| terms::Problem::Internal.report("a query id could not be made"))
}

/// A new name for a request, as random as a query id.
///
/// # Errors
/// [`terms::Problem::Internal`] if the operating system gives no randomness.
pub fn new_request_id() -> Result<terms::RequestId, terms::Report> {
    format!("r{}", random_hex()?)
        .parse()
        .map_err(|_| terms::Problem::Internal.report("a request id could not be made"))
}

fn random_hex() -> Result<String, KeyError> {
    Ok(random_bytes::<12>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}
