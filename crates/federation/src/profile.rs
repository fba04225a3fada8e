//! `person.toml`: who asks, with which key and credential, in which data space.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use terms::{MemberId, PersonId, Problem, Report, SpaceId};
use wire::PeerConfig;

/// A person in a data space. Paths are relative to the file's own folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The data space.
    pub space: SpaceId,
    /// The institution that vouches for the person.
    pub member: MemberId,
    /// The person.
    pub person: PersonId,
    /// The person's private key (PKCS#8 PEM).
    pub key: PathBuf,
    /// The institution's credential for the person, as it was issued.
    pub credential: PathBuf,
    /// The data space's first root document, obtained from the board.
    pub root: PathBuf,
    /// Where verified governance documents and receipts are kept.
    pub data: PathBuf,
    /// The broker.
    pub broker: PeerConfig,
}

impl Profile {
    /// Reads and checks a profile.
    ///
    /// # Errors
    /// `FileMissing`, `FileSyntax`, `FileKey` or `FileValue`, naming file and line.
    pub fn load(path: &Path) -> Result<Self, Report> {
        let name = path.display().to_string();
        let mut profile: Profile = terms::text::parse_toml(&name, &read(path)?)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        profile.broker = profile.broker.relative_to(folder);
        for inside in [
            &mut profile.key,
            &mut profile.credential,
            &mut profile.root,
            &mut profile.data,
        ] {
            *inside = folder.join(&*inside);
        }
        Ok(profile)
    }

    pub(crate) fn credential_text(&self) -> Result<String, Report> {
        let text = read(&self.credential).map_err(|report| {
            report.remedy("ask your institution for a credential (datenraum person vouch), and put it there")
        })?;
        Ok(text.trim().to_owned())
    }

    pub(crate) fn root_document(&self) -> Result<Vec<u8>, Report> {
        Ok(read(&self.root)?.into_bytes())
    }
}

fn read(path: &Path) -> Result<String, Report> {
    std::fs::read_to_string(path).map_err(|error| Problem::FileMissing.report(format!("{}: {error}", path.display())))
}
