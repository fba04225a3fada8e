//! The broker as a witness of members' audits: it cosigns a node's checkpoint, if the log that it saw before is the beginning of that one.
//!
//! It must never cosign two logs of one member of which neither is the beginning of the other, and never answer before it has written
//! down what it cosigns. It sees sizes and roots, never an entry. Nothing that it refuses stops a node. C2SP tlog-witness.
//! Next: `witness/store.rs`, what it remembers; the node's side is the node crate's `witness.rs`.

mod store;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use telemetry::Counter;
use terms::{Clock, MemberId, Problem, Report, SpaceId};
use tonic::{Request, Response, Status};
use trust::merkle::{Frontier, Hash, require_consistent};
use trust::{Checkpoint, SigningKey, Verified, WITNESS_NAME};
use wire::v1::add_checkpoint_response::Outcome;
use wire::v1::witness_service_server::WitnessService;
use wire::v1::{AddCheckpointRequest, AddCheckpointResponse};

use crate::callers::key_of;
use crate::refused;
use crate::roster::Roster;
pub(crate) use store::Store;
use store::{Evidence, Known, Reason};

/// Largest request, in bytes: a note, and a proof for the longest log that can be.
pub(crate) const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// Most hashes in a proof: two for each level of the tallest tree.
const PROOF_HASHES_MAX: usize = 128;

/// Cosigns the checkpoints of one data space.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) space: SpaceId,
    pub(crate) roster: Arc<Roster>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Store,
    /// The broker's key, and the file where it may be exchanged while the broker runs.
    pub(crate) key: SigningKey,
    pub(crate) key_file: PathBuf,
    /// Checkpoints that were refused because they contradict one that was cosigned.
    pub(crate) contradictions: Counter,
}

impl Witness {
    async fn add(&self, request: AddCheckpointRequest) -> Result<Outcome, Report> {
        crate::require_space(&request.space, &self.space)?;
        let proof = read_proof(&request.proof)?;
        let (member, checkpoint) = self.open(&request.checkpoint).await?;
        let known = self.store.known(&self.space, &member).await?;
        let (size, root) = known
            .as_ref()
            .map_or((0, Frontier::default().root()), |known| (known.size, known.root));
        // An older checkpoint may come from anybody who kept it, and shows nothing.
        if checkpoint.size < size || request.old_size != size {
            return Ok(Outcome::KnownSize(size));
        }
        if let Err(error) = require_consistent((size, &root), (checkpoint.size, &checkpoint.root), &proof) {
            let reason = if checkpoint.size == size {
                Reason::Contradicts
            } else {
                Reason::Unproven
            };
            self.tell(&member, &request.checkpoint, known, reason).await?;
            let message = format!("the audit of {member} is not the one that the broker cosigned before: {error}");
            return Err(Problem::AuditBroken.report(message));
        }
        let new = Known {
            size: checkpoint.size,
            root: checkpoint.root,
            note: request.checkpoint,
        };
        if !self.store.replace(&self.space, &member, known, new).await? {
            // Another call or another broker was faster: whoever asks looks again.
            let now_known = self.store.known(&self.space, &member).await?;
            return Ok(Outcome::KnownSize(now_known.map_or(0, |known| known.size)));
        }
        let line = checkpoint.cosign(
            WITNESS_NAME,
            self.current_key().as_ref().unwrap_or(&self.key),
            self.clock.now(),
        );
        Ok(Outcome::Cosignature(line?))
    }

    /// Whose log it is, once that member's key is found to have signed.
    async fn open(&self, note: &str) -> Result<(MemberId, Verified<Checkpoint>), Report> {
        let rules = self.roster.rules().await?;
        let origin = Checkpoint::claimed_origin(note).unwrap_or_default();
        let member = origin.strip_prefix(&format!("datenraum/{}/", self.space));
        let member: Option<MemberId> = member.and_then(|member| member.parse().ok());
        let known = member.and_then(|member| key_of(&rules, &member).map(|key| (member, key)));
        let (member, key) = known.ok_or_else(|| {
            Problem::TokenIssuer.report("the checkpoint is not of the audit of a member of this data space")
        })?;
        let checkpoint = Checkpoint::verify(note, origin, &key)?;
        Ok((member, checkpoint))
    }

    /// Keeps a checkpoint that is not cosigned, and says so.
    async fn tell(&self, member: &MemberId, note: &str, known: Option<Known>, reason: Reason) -> Result<(), Report> {
        self.contradictions.inc();
        tracing::error!(%member, reason = reason.name(), "the audit of a node is not the one that was cosigned; its checkpoint is kept as evidence");
        let evidence = Evidence {
            space: self.space.to_string(),
            member: member.to_string(),
            note: note.to_owned(),
            known: known.map(|known| known.note).unwrap_or_default(),
            reason,
            at: self.clock.now().as_second(),
        };
        self.store.keep(evidence).await
    }

    /// The key in the file as it is now: nodes are told a new one when it is exchanged.
    fn current_key(&self) -> Option<SigningKey> {
        SigningKey::load(&self.key_file).ok()
    }
}

fn read_proof(proof: &[Vec<u8>]) -> Result<Vec<Hash>, Report> {
    let hashes: Option<Vec<Hash>> = proof.iter().map(|hash| hash.as_slice().try_into().ok()).collect();
    let hashes = hashes.filter(|hashes| hashes.len() <= PROOF_HASHES_MAX);
    hashes.ok_or_else(|| Problem::Answer.report("the proof of consistency is not a list of hashes"))
}

#[tonic::async_trait]
impl WitnessService for Witness {
    async fn add_checkpoint(
        &self,
        request: Request<AddCheckpointRequest>,
    ) -> Result<Response<AddCheckpointResponse>, Status> {
        let outcome = Some(self.add(request.into_inner()).await.map_err(refused)?);
        Ok(Response::new(AddCheckpointResponse { outcome }))
    }
}
