//! The check of a log: leaf by leaf into a Merkle tree, and the tree against signed checkpoints.
//!
//! The same check runs when a node starts, for `audit verify`, and for a stranger with an exported file; so it knows
//! nothing of SQLite. It never mends anything. Next: `store.rs` and [`crate::audit`], which feed it.

use std::collections::BTreeMap;

use terms::{Problem, QueryId, Report, UtcTime};
use trust::merkle::{Hash, leaf_hash};
use trust::{Checkpoint, CheckpointError, Frontier, PublicKey, Receipt, Verified};

use crate::ledger::record::{AuditEntry, Outcome};

/// Why a log does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChainError {
    #[error("entry {index} is missing, or its number was changed")]
    Missing { index: u64 },
    #[error("entry {index} was changed: it does not have the hash that was stored with it")]
    Changed { index: u64 },
    #[error("entry {index} is not an audit entry in its one form")]
    Form { index: u64 },
    #[error("entry {index} says that it is entry {says}: entries were moved or taken out")]
    Moved { index: u64, says: u64 },
    #[error(
        "entry {index} does not go with those before it: an answer that begins has one beginning, and then one end"
    )]
    Begun { index: u64 },
    #[error("the log ends before entry {index}, but its checkpoint signs {signed} entries: the end was cut off")]
    Cut { index: u64, signed: u64 },
    #[error("the log goes on with entry {index}, which its checkpoint does not sign")]
    Unsigned { index: u64 },
    #[error(
        "the log's {entries} entries are not those that its checkpoint signs: at least one was exchanged, entry {from} or \
         one after it"
    )]
    Exchanged { entries: u64, from: u64 },
    #[error("the log has no checkpoint")]
    NoCheckpoint,
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    #[error("the checkpoint belongs to the log {origin:?}")]
    OtherLog { origin: String },
    #[error(
        "the log ends before entry {entries}, but the checkpoint it is compared with signs {known} entries: the end was \
         cut off, or it is an older log"
    )]
    ShorterThanKnown { entries: u64, known: u64 },
    #[error("the log's first {known} entries are not those of the checkpoint it is compared with: it was rewritten")]
    UnlikeKnown { known: u64 },
    #[error("the receipt of query {query_id} does not have the {field} of entry {index}, which it names")]
    UnlikeReceipt {
        query_id: QueryId,
        field: &'static str,
        index: u64,
    },
    #[error("the log ends before entry {index}, which the receipt of query {query_id} names: the end was cut off")]
    ShorterThanReceipt { query_id: QueryId, index: u64 },
    #[error("the receipt of query {query_id} is of another log")]
    OtherReceipt { query_id: QueryId },
}

impl From<ChainError> for Report {
    fn from(error: ChainError) -> Report {
        let report = Problem::AuditBroken.report(format!("the audit does not verify: {error}"));
        if error.is_another_key() {
            return report.remedy(OTHER_KEY_REMEDY);
        }
        report
    }
}

/// What to do about a log that another key signed.
pub(crate) const OTHER_KEY_REMEDY: &str = "find out whose key signed it; if the institution has a new key, stop the node and hand the ledger \
                                           over: datenraum audit hand-over FOLDER --from OLD_KEY_FILE";

impl ChainError {
    /// Whether all that is known to be wrong is that the key did not sign.
    pub(crate) fn is_another_key(&self) -> bool {
        matches!(self, ChainError::Checkpoint(CheckpointError::Signature { .. }))
    }
}

/// Who signs a log: its origin, which is the name of the key too, and the key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signer<'a> {
    pub(crate) origin: &'a str,
    pub(crate) key: &'a PublicKey,
}

impl Signer<'_> {
    /// The checkpoint in a signed note of this log.
    pub(crate) fn checkpoint(&self, note: &str) -> Result<Verified<Checkpoint>, ChainError> {
        let checkpoint = Checkpoint::verify(note, self.origin, self.key)?;
        if checkpoint.origin != self.origin {
            return Err(ChainError::OtherLog {
                origin: checkpoint.into_inner().origin,
            });
        }
        Ok(checkpoint)
    }
}

/// A log as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) frontier: Frontier,
    pub(crate) first_at: Option<UtcTime>,
    pub(crate) last_at: Option<UtcTime>,
    /// The entries of answers that have begun and have no end so far.
    begun: BTreeMap<QueryId, u64>,
    /// Checkpoints that somebody kept from before, to compare with.
    known: Vec<Checkpoint>,
    /// Receipts that somebody kept, to compare with.
    receipts: Vec<Receipt>,
}

impl Chain {
    /// An empty log that will be compared with checkpoints kept elsewhere.
    pub(crate) fn against(known: impl IntoIterator<Item = Verified<Checkpoint>>) -> Self {
        Self {
            known: known.into_iter().map(Verified::into_inner).collect(),
            ..Self::default()
        }
    }

    /// The same log, which will be compared with receipts too.
    pub(crate) fn with_receipts(self, receipts: Vec<Receipt>) -> Self {
        Self { receipts, ..self }
    }

    /// The number that the next entry must have.
    pub(crate) fn next_index(&self) -> u64 {
        self.frontier.size()
    }

    /// The next entry, as a store keeps it: with the hash that it was given then.
    pub(crate) fn push_stored(&mut self, leaf: &[u8], stored: &[u8]) -> Result<AuditEntry, ChainError> {
        if leaf_hash(leaf) != stored {
            return Err(ChainError::Changed {
                index: self.next_index(),
            });
        }
        self.push(leaf)
    }

    /// The next entry.
    pub(crate) fn push(&mut self, leaf: &[u8]) -> Result<AuditEntry, ChainError> {
        let index = self.next_index();
        let entry = AuditEntry::read(leaf).ok_or(ChainError::Form { index })?;
        if entry.index != index {
            return Err(ChainError::Moved {
                index,
                says: entry.index,
            });
        }
        self.compare_with_known()?;
        self.compare_with_receipts(&entry)?;
        self.begin_or_end(&entry)?;
        self.frontier.append(leaf_hash(leaf));
        self.first_at.get_or_insert(entry.at);
        self.last_at = Some(entry.at);
        Ok(entry)
    }

    /// The end of the log, with the checkpoint that it ends with. Gives back the root.
    pub(crate) fn end(&self, note: &str, signer: Signer<'_>) -> Result<Hash, ChainError> {
        let (signed, entries) = (signer.checkpoint(note)?, self.frontier.size());
        if entries < signed.size {
            return Err(ChainError::Cut {
                index: entries,
                signed: signed.size,
            });
        }
        if entries > signed.size {
            return Err(ChainError::Unsigned { index: signed.size });
        }
        self.compare_with_known()?;
        let root = self.frontier.root();
        if root != signed.root {
            let from = self.as_known();
            return Err(ChainError::Exchanged { entries, from });
        }
        match self.known.iter().map(|known| known.size).max() {
            Some(known) if known > entries => return Err(ChainError::ShorterThanKnown { entries, known }),
            Some(_) | None => {}
        }
        match self.receipts.iter().find(|receipt| receipt.audit_index >= entries) {
            Some(receipt) => Err(ChainError::ShorterThanReceipt {
                query_id: receipt.query_id.clone(),
                index: receipt.audit_index,
            }),
            None => Ok(root),
        }
    }

    /// The entries of answers that begin and do not end in this log, the first first.
    pub(crate) fn unended(&self) -> Vec<u64> {
        let mut unended: Vec<u64> = self.begun.values().copied().collect();
        unended.sort_unstable();
        unended
    }

    fn begin_or_end(&mut self, entry: &AuditEntry) -> Result<(), ChainError> {
        let goes_with = match (entry.outcome, entry.ends_begun) {
            (Outcome::Begun, true) => false,
            (Outcome::Begun, false) => self.begun.insert(entry.query_id.clone(), entry.index).is_none(),
            (_, true) => self.begun.remove(&entry.query_id).is_some(),
            (_, false) => true,
        };
        let index = entry.index;
        goes_with.then_some(()).ok_or(ChainError::Begun { index })
    }

    fn compare_with_receipts(&self, entry: &AuditEntry) -> Result<(), ChainError> {
        let mut named = self
            .receipts
            .iter()
            .filter(|receipt| receipt.audit_index == entry.index);
        let unlike = named.find_map(|receipt| entry.unlike(receipt).map(|field| (receipt, field)));
        unlike.map_or(Ok(()), |(receipt, field)| {
            Err(ChainError::UnlikeReceipt {
                query_id: receipt.query_id.clone(),
                field,
                index: entry.index,
            })
        })
    }

    /// Compares where the log is as long as a known checkpoint.
    fn compare_with_known(&self) -> Result<(), ChainError> {
        let (size, mut known) = (self.frontier.size(), self.known.iter());
        match known.find(|known| known.size == size && known.root != self.frontier.root()) {
            Some(known) => Err(ChainError::UnlikeKnown { known: known.size }),
            None => Ok(()),
        }
    }

    /// How many entries are those of known checkpoints, because each was compared where the log was as long.
    fn as_known(&self) -> u64 {
        let sizes = self.known.iter().map(|known| known.size);
        sizes.filter(|size| *size <= self.frontier.size()).max().unwrap_or(0)
    }
}
