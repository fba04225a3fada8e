//! What waits for signatures: drafts, and the signatures that members have put beside them, in any order.

use std::collections::BTreeMap;

use serde::Serialize;
use terms::{Problem, Report};
use trust::{Draft, DraftSignature, PublicKey, RoleKeys};

use super::folder::{self, Folder};
use super::names::Names;
use super::paper::Paper;

/// Drafts and their signatures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    /// What is to be signed.
    pub(crate) drafts: BTreeMap<Paper, Draft>,
    signatures: BTreeMap<Paper, Vec<DraftSignature>>,
}

/// Who signed a draft, and who has not.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// What it is.
    pub(crate) paper: Paper,
    /// The draft.
    pub(crate) draft: Draft,
    /// Each group that has to sign.
    pub(crate) groups: Vec<Group>,
}

/// A group of which enough have to sign.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Which one.
    pub(crate) whose: Whose,
    /// How many must sign.
    pub(crate) threshold: usize,
    /// Who has.
    pub(crate) signed: Vec<PublicKey>,
    /// Who has not.
    pub(crate) missing: Vec<PublicKey>,
}

/// Which group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Whose {
    /// The board that a new root replaces.
    OldBoard,
    /// The board.
    Board,
    /// A committee.
    Committee,
}

impl Group {
    fn of(whose: Whose, keys: &RoleKeys, draft: &Draft, signatures: &[DraftSignature]) -> Self {
        let signed = draft.signers(signatures, keys);
        let missing = keys.keys.iter().filter(|key| !signed.contains(key)).copied().collect();
        Self {
            whose,
            threshold: usize::from(keys.threshold),
            signed,
            missing,
        }
    }

    /// How many more must sign.
    pub(crate) fn lacks(&self) -> usize {
        self.threshold.saturating_sub(self.signed.len())
    }
}

impl Standing {
    /// Whether enough have signed.
    pub(crate) fn is_complete(&self) -> bool {
        self.groups.iter().all(|group| group.lacks() == 0)
    }

    /// Whether a key may sign.
    pub(crate) fn names(&self, key: &PublicKey) -> bool {
        self.groups
            .iter()
            .any(|group| group.signed.contains(key) || group.missing.contains(key))
    }

    /// Whether a key has signed.
    pub(crate) fn has(&self, key: &PublicKey) -> bool {
        self.groups.iter().any(|group| group.signed.contains(key))
    }

    /// For machines.
    pub(crate) fn json(&self, names: &Names) -> serde_json::Value {
        let list = |keys: &[PublicKey]| -> Vec<_> {
            keys.iter()
                .map(|key| serde_json::json!({ "name": names.of(key), "key": key }))
                .collect()
        };
        let group = |group: &Group| {
            serde_json::json!({
                "who": group.whose, "threshold": group.threshold,
                "signed": list(&group.signed), "missing": list(&group.missing),
            })
        };
        serde_json::json!({
            "role": self.paper.name(), "version": self.draft.version(), "digest": self.draft.digest(),
            "expires": self.draft.expires(), "complete": self.is_complete(),
            "groups": self.groups.iter().map(group).collect::<Vec<_>>(),
        })
    }
}

impl Pending {
    /// Reads `draft/`.
    ///
    /// # Errors
    /// `PolicyInvalid` if something in it is neither a draft nor a signature, with its name.
    pub(crate) fn read(folder: &Folder) -> Result<Self, Report> {
        let mut pending = Self::default();
        for name in folder::names_in(&folder.draft())? {
            if name == "signatures" {
                continue;
            }
            let path = folder.draft().join(&name);
            let (draft, _) = Draft::parse(&folder::read_metadata(&path)?)?;
            let paper = Paper::of(&draft).filter(|paper| name == format!("{}.json", paper.name()));
            let paper = paper.ok_or_else(|| stray(&path.display().to_string()))?;
            pending.drafts.insert(paper, draft);
        }
        for name in folder::names_in(&folder.signatures())? {
            let path = folder.signatures().join(&name);
            let bytes = folder::read_metadata(&path)?;
            let signature: Option<DraftSignature> = serde_json::from_slice(&bytes).ok();
            let paper = Paper::ALL.into_iter().find(|paper| {
                let signature = signature.as_ref();
                signature.is_some_and(|signature| name == format!("{}.{}.json", paper.name(), signature.keyid))
            });
            match (paper, signature) {
                (Some(paper), Some(signature)) => pending.signatures.entry(paper).or_default().push(signature),
                _ => return Err(stray(&path.display().to_string())),
            }
        }
        Ok(pending)
    }

    /// The signatures of a draft, whether they hold or not.
    pub(crate) fn signatures(&self, paper: Paper) -> &[DraftSignature] {
        self.signatures.get(&paper).map_or(&[], Vec::as_slice)
    }

    /// Replaces a draft. Signatures of another one are not over this one, and are dropped.
    pub(crate) fn put(&mut self, paper: Paper, draft: Draft) {
        if self.drafts.get(&paper) != Some(&draft) {
            self.signatures.remove(&paper);
        }
        self.drafts.insert(paper, draft);
    }

    /// Adds a signature.
    pub(crate) fn add(&mut self, paper: Paper, signature: DraftSignature) {
        self.signatures.entry(paper).or_default().push(signature);
    }

    /// Who signed a draft, of the groups that must.
    pub(crate) fn standing(&self, paper: Paper, draft: &Draft, groups: &[(Whose, RoleKeys)]) -> Standing {
        let signatures = self.signatures(paper);
        let groups = groups
            .iter()
            .map(|(whose, keys)| Group::of(*whose, keys, draft, signatures));
        Standing {
            paper,
            draft: draft.clone(),
            groups: groups.collect(),
        }
    }

    /// Writes a draft; signatures of an earlier one go.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub(crate) fn write_draft(&self, folder: &Folder, paper: Paper) -> Result<(), Report> {
        let Some(draft) = self.drafts.get(&paper) else {
            return Ok(());
        };
        let before = folder::read_metadata(&folder.draft_file(paper)).ok();
        let before = before.and_then(|bytes| Some(Draft::parse(&bytes).ok()?.0));
        if before.as_ref() == Some(draft) {
            return Ok(());
        }
        remove_signatures(folder, paper)?;
        folder::write(&folder.draft_file(paper), &draft.assemble(Vec::new()))
    }
}

/// Takes a draft and its signatures away.
///
/// # Errors
/// If the folder cannot be written to.
pub(super) fn remove(folder: &Folder, paper: Paper) -> Result<(), Report> {
    folder::remove(&folder.draft_file(paper))?;
    remove_signatures(folder, paper)
}

/// Takes the folders of drafts away once nothing is in them.
pub(super) fn remove_if_empty(folder: &Folder) {
    for path in [folder.signatures(), folder.draft()] {
        // Something is in it, or it is gone already: both are right.
        let _ = std::fs::remove_dir(path);
    }
}

fn remove_signatures(folder: &Folder, paper: Paper) -> Result<(), Report> {
    for name in folder::names_in(&folder.signatures())? {
        if name.split_once('.').is_some_and(|(role, _)| role == paper.name()) {
            folder::remove(&folder.signatures().join(name))?;
        }
    }
    Ok(())
}

fn stray(path: &str) -> Report {
    Problem::PolicyInvalid
        .report(format!("{path} is neither a draft nor a signature of one"))
        .remedy("take it away, or copy the file again from the machine where it was made")
}
