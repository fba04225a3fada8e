//! What a member's own machine remembers: for which board a key has signed, in a file beside the key.
//!
//! Everything else that `board sign` looks at comes in a folder that others had in their hands. A folder whose documents
//! are all well signed by somebody else's board would show a change as none. Next: `sign.rs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use terms::{Problem, Report, SpaceId};
use trust::Digest;

use super::desk::Desk;
use super::folder;
use super::paper::Paper;

/// What stands at the top of the file.
const HEAD: &str =
    "# For which boards the key beside this file has signed: data space, and digest of its first root.\n\n";

/// The boards for which a key has signed.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pins {
    #[serde(default)]
    founded_by: BTreeMap<SpaceId, Digest>,
}

/// The first root of a data space, and whether it was published.
pub(super) struct Founding {
    space: SpaceId,
    root: Digest,
    is_signed: bool,
}

impl Founding {
    /// That of the folder.
    ///
    /// # Errors
    /// `PolicyNone` if nobody founded it.
    pub(super) fn of(desk: &Desk) -> Result<Self, Report> {
        let signed = desk.signed.roots.first().map(|root| root.draft.digest());
        let drafted = desk.pending.drafts.get(&Paper::Root).map(trust::Draft::digest);
        Ok(Self {
            space: desk.space()?,
            root: signed
                .or(drafted)
                .ok_or_else(|| Problem::PolicyNone.report("the folder has no board yet"))?,
            is_signed: signed.is_some(),
        })
    }
}

impl Pins {
    /// What is remembered of a key.
    ///
    /// # Errors
    /// A `File` problem if the file is there and is not one of these.
    pub(super) fn of_key(key: &Path) -> Result<Self, Report> {
        let path = beside(key);
        if !path.exists() {
            return Ok(Self::default());
        }
        let shown = path.display().to_string();
        let bytes = folder::read_metadata(&path)?;
        let text = String::from_utf8(bytes).map_err(|_| Problem::FileSyntax.report(format!("{shown} is not text")))?;
        terms::text::parse_toml(&shown, &text)
    }

    /// Refuses a board other than the one for which the key has signed. Before the first root is signed there may be
    /// several drafts of it, each of which shows the whole board.
    ///
    /// # Errors
    /// `PolicyScope`.
    pub(super) fn require_same(&self, founding: &Founding, key: &Path) -> Result<(), Report> {
        let Founding { space, root, .. } = founding;
        match self.founded_by.get(space) {
            Some(known) if known != root && founding.is_signed => {
                let message = format!(
                    "this key signed for the board of {space} that was founded by {known}; the folder is that of a board \
                     founded by {root}"
                );
                let remedy = format!(
                    "get the folder from another member; only if the data space was founded anew, remove {}",
                    beside(key).display()
                );
                Err(Problem::PolicyScope.report(message).remedy(remedy))
            }
            _ => Ok(()),
        }
    }

    /// Remembers for which board the key has signed.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn remember(mut self, founding: &Founding, key: &Path) -> Result<(), Report> {
        if self.founded_by.insert(founding.space.clone(), founding.root) == Some(founding.root) {
            return Ok(());
        }
        let text = toml::to_string(&self).map_err(|error| Problem::Internal.report(error.to_string()))?;
        folder::write(&beside(key), format!("{HEAD}{text}").as_bytes())
    }
}

/// `ana.key.board`.
fn beside(key: &Path) -> PathBuf {
    let mut name = key.file_name().unwrap_or_default().to_os_string();
    name.push(".board");
    key.with_file_name(name)
}
