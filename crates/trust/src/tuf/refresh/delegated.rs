//! The documents of delegated roles. What is wrong with one of them stays with it: a committee that lets its document
//! expire loses its permits, and stops nobody else.

use std::collections::BTreeMap;
use std::sync::Arc;

use sigstore_tuf::Updater;
use terms::{Report, UtcTime};

use crate::digest::Digest;
use crate::key::PublicKey;
use crate::tuf::delegation::{DelegatedRole, Delegation};
use crate::tuf::draft::Draft;
use crate::tuf::evidence;
use crate::tuf::refresh::staging::Staging;
use crate::tuf::refresh::{RefreshError, files, floors};
use crate::tuf::store::Floors;

/// What a delegated role signed, or why it counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegatedDocuments {
    /// The role.
    pub role: DelegatedRole,
    /// Version of its document; 0 if there is a problem.
    pub version: u64,
    /// Digest of what is signed in its document; of nothing if there is a problem.
    pub digest: Digest,
    /// Until when its files may be used; a time long past if there is a problem.
    pub expires: UtcTime,
    /// Its keys whose signatures on the document hold.
    pub signers: Vec<PublicKey>,
    /// The names of its files.
    pub files: Vec<String>,
    /// Why it has no files, if there is a reason.
    pub problem: Option<Report>,
}

/// Adds the files of all delegated roles to those of the board.
///
/// # Errors
/// Only if the source does not answer or the store fails: then nothing can be said of a role.
pub(super) async fn add(
    board: &Draft,
    board_files: &mut BTreeMap<String, Vec<u8>>,
    updater: &mut Updater,
    staging: &Arc<Staging>,
    now: UtcTime,
) -> Result<Vec<DelegatedDocuments>, RefreshError> {
    let delegations = board.delegations();
    let mut delegated = Vec::new();
    for role in DelegatedRole::ALL {
        let Some(delegation) = delegations.iter().find(|delegation| delegation.role == role) else {
            continue;
        };
        match load(delegation, board_files, updater, staging, now).await {
            Ok(documents) => delegated.push(documents),
            Err(error) if error.is_silence() || matches!(error, RefreshError::Store(_)) => return Err(error),
            Err(error) => {
                evidence::keep(staging, &error, &delegations, now);
                staging.drop_document(role.as_str());
                delegated.push(unusable(role, error.report()));
            }
        }
    }
    Ok(delegated)
}

async fn load(
    Delegation { role, keys }: &Delegation,
    board_files: &mut BTreeMap<String, Vec<u8>>,
    updater: &mut Updater,
    staging: &Staging,
    now: UtcTime,
) -> Result<DelegatedDocuments, RefreshError> {
    let without = |what| RefreshError::Delegated {
        role: role.to_string(),
        what,
    };
    // TUF 5.6.7: the first that lists a file decides, and the board is asked first.
    if board_files.contains_key(role.probe()) {
        return Err(without("is delegated what the board signs itself"));
    }
    updater.get_target_info(role.probe(), now).await?;
    let document = staging
        .document(role.as_str())
        .ok_or_else(|| without("has not published a document"))?;
    let offered = Floors::from([(role.to_string(), floors::floor(&document)?)]);
    floors::require_no_rollback(&staging.floors(), &offered)?;
    floors::require_no_equivocation(&staging.floors(), &offered)?;
    let (draft, signatures) = Draft::parse(document.as_bytes())?;
    let signers = RefreshError::require_threshold(role.as_str(), &draft, &signatures, keys)?;
    let files = files::add(board_files, &draft, updater, staging.vault()).await?;
    Ok(DelegatedDocuments {
        role: *role,
        version: draft.version(),
        digest: draft.digest(),
        expires: draft.expires(),
        signers,
        files,
        problem: None,
    })
}

fn unusable(role: DelegatedRole, problem: Report) -> DelegatedDocuments {
    DelegatedDocuments {
        role,
        version: 0,
        digest: Digest::of(b""),
        expires: UtcTime::MIN,
        signers: Vec::new(),
        files: Vec::new(),
        problem: Some(problem),
    }
}
