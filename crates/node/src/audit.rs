//! The audit: reading a node's ledger as somebody who does not trust it.
//!
//! [`verify`] recomputes a ledger file, also while its node runs; [`export`] writes it as lines of JSON that
//! [`verify_export`] checks anywhere, with nothing but the node's public key. Nothing here writes a ledger or mends one.
//!
//! A log can be cut off together with its checkpoint: then an older one verifies. Only a checkpoint that somebody kept
//! shows it, and both checks take one. Next: `ledger/chain.rs`, what is checked.

use std::io::{self, BufRead, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use terms::{MemberId, Problem, Report, SpaceId, UtcTime};
use trust::{Digest, PublicKey, Receipt, Verified};

use crate::ledger::AuditEntry;
use crate::ledger::anchor;
use crate::ledger::chain::{Chain, ChainError, Signer};
use crate::ledger::record::LEAF_BYTES_MAX;
use crate::ledger::store::{self, StoreError};

/// What a log that verifies is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditSummary {
    /// Entries in the log.
    pub entries: u64,
    /// Root of the Merkle tree over them.
    pub root: Digest,
    /// When the first recorded query ended.
    pub first_at: Option<UtcTime>,
    /// When the last recorded query ended.
    pub last_at: Option<UtcTime>,
    /// Entries that say that rows begin to leave, of which no later entry says how that ended: they still leave, or the node stopped
    /// meanwhile. As many rows as there were may have left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unended: Vec<u64>,
    /// The signed note that says so. Keep it: a later audit can be compared with it.
    pub checkpoint: String,
}

/// What a log is compared with, beside its own checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// Checkpoints that somebody kept from before: each must be a beginning of the log. The anchor is one.
    pub checkpoints: Vec<String>,
    /// Receipts that somebody kept: each must say what its entry says.
    pub receipts: Vec<Verified<Receipt>>,
}

/// The last line of an export.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LastLine {
    checkpoint: String,
}

/// How the last line begins. No entry begins so.
const LAST_LINE: &[u8] = b"{\"checkpoint\":";

/// Why an audit could not be read or written as a file of lines.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("the export cannot be read: {0}")]
    Read(io::ErrorKind),
    #[error("the export cannot be written: {0}")]
    Write(io::ErrorKind),
    #[error("the export goes on after its checkpoint")]
    MoreAfterCheckpoint,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl From<ExportError> for Report {
    fn from(error: ExportError) -> Report {
        let text = error.to_string();
        match error {
            ExportError::Read(_) => Problem::FileMissing.report(text),
            ExportError::Write(_) => Problem::FileMissing
                .report(text)
                .remedy("check the disk and the file's folder"),
            ExportError::MoreAfterCheckpoint => Problem::AuditBroken.report(text),
            ExportError::Store(error) => error.into(),
            ExportError::Chain(error) => error.into(),
        }
    }
}

/// Recomputes a ledger file and compares it with its signed checkpoint, and with what somebody kept. Reads one state of the file; its node may go on writing.
///
/// # Errors
/// `E_AUDIT_BROKEN` names the first entry that is wrong, or which checkpoint does not hold; `E_FILE_*` if the file is
/// not a ledger.
pub fn verify(ledger_file: &Path, origin: &str, key: &PublicKey, compared: &Compared) -> Result<AuditSummary, Report> {
    let signer = Signer { origin, key };
    let mut connection = store::open_to_read(ledger_file)?;
    let (chain, note) = store::read(&mut connection, start(signer, compared)?, |_| ())?;
    Ok(finish(&chain, note, signer)?)
}

/// How many entries the log has and the root over them, as its checkpoint says. Only the signature is checked: whether
/// the entries are those takes [`verify`].
///
/// # Errors
/// `E_AUDIT_BROKEN` if the checkpoint is not of this log and key; `E_FILE_*` if the file is not a ledger.
pub fn head(ledger_file: &Path, origin: &str, key: &PublicKey) -> Result<(u64, Digest), Report> {
    let mut connection = store::open_to_read(ledger_file)?;
    let snapshot = connection.transaction().map_err(StoreError::from)?;
    let checkpoint = Signer { origin, key }.checkpoint(&store::stored_note(&snapshot)?)?;
    Ok((checkpoint.size, Digest::from_bytes(checkpoint.root)))
}

/// All entries, in order. Every leaf is checked, its place in the tree is not: that takes [`verify`].
///
/// # Errors
/// As [`verify`], without the checkpoint's.
pub fn entries(ledger_file: &Path) -> Result<Vec<AuditEntry>, Report> {
    let mut connection = store::open_to_read(ledger_file)?;
    let mut entries = Vec::new();
    store::read(&mut connection, Chain::default(), |entry| entries.push(entry))?;
    Ok(entries)
}

/// Writes the log as it is, right or wrong: each leaf a line of JSON, in order, and the checkpoint as the last line.
///
/// # Errors
/// If the file is not a ledger or `out` cannot be written.
pub fn export(ledger_file: &Path, out: &mut impl Write) -> Result<(), Report> {
    Ok(write_lines(ledger_file, out)?)
}

/// Checks an export as [`verify`] checks a ledger. Needs nothing but the key.
///
/// # Errors
/// As [`verify`].
pub fn verify_export(
    mut reader: impl BufRead,
    origin: &str,
    key: &PublicKey,
    compared: &Compared,
) -> Result<AuditSummary, Report> {
    let signer = Signer { origin, key };
    let (chain, note) = read_lines(&mut reader, start(signer, compared)?)?;
    Ok(finish(&chain, note, signer)?)
}

/// The checkpoint in the anchor of a ledger, unverified; none if there is no such file.
///
/// # Errors
/// `E_AUDIT_UNAVAILABLE` if it cannot be read.
pub fn anchor(file: &Path) -> Result<Option<String>, Report> {
    Ok(anchor::read(file)?)
}

fn start(signer: Signer<'_>, compared: &Compared) -> Result<Chain, ChainError> {
    let known = compared.checkpoints.iter().map(|note| signer.checkpoint(note));
    let chain = Chain::against(known.collect::<Result<Vec<_>, _>>()?);
    let receipts: Vec<Receipt> = compared.receipts.iter().cloned().map(Verified::into_inner).collect();
    match receipts
        .iter()
        .find(|receipt| origin(&receipt.space, &receipt.node) != signer.origin)
    {
        Some(Receipt { query_id, .. }) => Err(ChainError::OtherReceipt {
            query_id: query_id.clone(),
        }),
        None => Ok(chain.with_receipts(receipts)),
    }
}

/// The name of a node's log in its checkpoints.
pub fn origin(space: &SpaceId, member: &MemberId) -> String {
    format!("datenraum/{space}/{member}")
}

fn finish(chain: &Chain, checkpoint: String, signer: Signer<'_>) -> Result<AuditSummary, ChainError> {
    let root = Digest::from_bytes(chain.end(&checkpoint, signer)?);
    let (first_at, last_at) = (chain.first_at, chain.last_at);
    Ok(AuditSummary {
        entries: chain.next_index(),
        root,
        first_at,
        last_at,
        unended: chain.unended(),
        checkpoint,
    })
}

fn write_lines(ledger_file: &Path, out: &mut impl Write) -> Result<(), ExportError> {
    let unwritable = |error: io::Error| ExportError::Write(error.kind());
    let mut connection = store::open_to_read(ledger_file)?;
    let snapshot = connection.transaction().map_err(StoreError::from)?;
    store::for_each_leaf(&snapshot, |_, leaf, _| {
        out.write_all(leaf)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(unwritable)
    })?;
    let last = LastLine {
        checkpoint: store::stored_note(&snapshot)?,
    };
    let last = serde_json::to_string(&last).map_err(StoreError::from)?;
    writeln!(out, "{last}").and_then(|()| out.flush()).map_err(unwritable)
}

fn read_lines(reader: &mut impl BufRead, mut chain: Chain) -> Result<(Chain, String), ExportError> {
    let mut line = Vec::new();
    while read_line(reader, &mut line)? {
        if line.starts_with(LAST_LINE) {
            let last: LastLine = serde_json::from_slice(&line).map_err(|_| ChainError::NoCheckpoint)?;
            return match read_line(reader, &mut line)? {
                true => Err(ExportError::MoreAfterCheckpoint),
                false => Ok((chain, last.checkpoint)),
            };
        }
        chain.push(&line)?;
    }
    Err(ChainError::NoCheckpoint.into())
}

/// The next line without its end, or false. A longer line than a leaf can be comes in part, and is not a leaf.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, ExportError> {
    line.clear();
    let mut limited = reader.take(LEAF_BYTES_MAX as u64 + 2);
    let read = limited
        .read_until(b'\n', line)
        .map_err(|error| ExportError::Read(error.kind()))?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(read > 0)
}

#[cfg(test)]
mod tests;
