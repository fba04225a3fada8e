//! A client of any TUF 1.0 repository: any roles, any keys that the library knows, any graph of delegations.
//!
//! It is the data space's own client without what a data space demands beyond TUF, and runs the same code: the same
//! session, the same floors, the same store. The public conformance suite of TUF is run against it. Next:
//! `refresh/session.rs`.

use std::path::Path;
use std::sync::Arc;

use serde::de::IgnoredAny;
use sigstore_tuf::{Repository, TargetFile, TrustedMetadataSet, Updater};
use terms::{Problem, Report, UtcTime};

use crate::digest::Digest;
use crate::durable;
use crate::json::strict;
use crate::tuf::profile::Profile;
use crate::tuf::refresh::staging::Staging;
use crate::tuf::refresh::{RefreshError, session};
use crate::tuf::source::{DocumentSource, with_repository};
use crate::tuf::store::{Record, StoreError, Vault};

/// A client of one TUF repository. Its folder holds the store of verified documents, and, for people and other tools
/// to read, the newest trusted document of each role as `<role>.json`.
#[derive(Clone, Debug)]
pub struct TufClient {
    vault: Vault,
}

/// Targets that were downloaded, and why there are not more of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloads {
    /// Name and content, each verified.
    pub targets: Vec<(String, Vec<u8>)>,
    /// What was refused, if anything was.
    pub refused: Option<Report>,
}

impl TufClient {
    /// A new client in `folder`, which is created. `root` is trusted because whoever gives it says so.
    ///
    /// # Errors
    /// If there is a client in the folder already, the root is not signed by its own keys, or nothing can be written.
    pub fn init(folder: &Path, root: &[u8]) -> Result<Self, Report> {
        let bytes_max = usize::try_from(Profile::Any.limits().root_max_length).unwrap_or(usize::MAX);
        let invalid = |what: String| Problem::PolicyInvalid.report(format!("the root document: {what}"));
        strict::<IgnoredAny>(root, bytes_max).map_err(|error| invalid(error.to_string()))?;
        TrustedMetadataSet::from_root(root).map_err(RefreshError::from)?;
        let client = Self {
            vault: Vault::create(folder, root, Profile::Any)?,
        };
        client.show(&client.vault.read()?)?;
        Ok(client)
    }

    /// The client in `folder`.
    ///
    /// # Errors
    /// If there is none, or what it has stored is damaged.
    pub fn open(folder: &Path) -> Result<Self, Report> {
        let vault = Vault::open(folder)?;
        match vault.read()?.space {
            None => Ok(Self { vault }),
            Some(_) => Err(StoreError::OtherKind.into()),
        }
    }

    /// Brings the trusted documents up to date with the source.
    ///
    /// # Errors
    /// As [`fn@crate::refresh`]. Documents that verified before another was refused are kept all the same.
    pub async fn refresh(&self, source: &dyn DocumentSource, now: UtcTime) -> Result<(), Report> {
        let downloads = self.download(source, &[], now).await?;
        downloads.refused.map_or(Ok(()), Err)
    }

    /// Brings the trusted documents up to date, then finds and downloads targets in this order, each verified. The
    /// first that is refused is the last that is looked for.
    ///
    /// # Errors
    /// If the client's folder cannot be used. What is refused is in the result, with [`Problem::PolicyNone`] if no
    /// trusted role lists a target, and otherwise as in [`fn@crate::refresh`].
    pub async fn download(
        &self,
        source: &dyn DocumentSource,
        names: &[String],
        now: UtcTime,
    ) -> Result<Downloads, Report> {
        let (record, now) = self.vault.note_time(now)?;
        let staging = Arc::new(Staging::new(self.vault.clone(), record)?);
        let inspect = |path: &str, bytes: &[u8]| staging.inspect(path, bytes);
        let mut targets = Vec::new();
        let (session, found) = (&staging, &mut targets);
        let done = with_repository(source, inspect, move |repository| {
            run(repository, session, names, found, now)
        })
        .await;
        self.show(&self.vault.read()?)?;
        let refused = done.err().map(Report::from);
        Ok(Downloads { targets, refused })
    }

    /// Writes out what is trusted, for people to read. It is never read again.
    fn show(&self, record: &Record) -> Result<(), StoreError> {
        let mut shown: Vec<(&str, &String)> = Vec::new();
        shown.extend(record.roots.last().map(|root| ("root", root)));
        shown.extend(record.set.iter().map(|(role, document)| (role.as_str(), document)));
        for (role, document) in shown {
            let path = self.vault.folder().join(format!("{role}.json"));
            if std::fs::read(&path).is_ok_and(|bytes| bytes == document.as_bytes()) {
                continue;
            }
            durable::replace(&path, document.as_bytes())?;
        }
        Ok(())
    }
}

async fn run(
    repository: Box<dyn Repository>,
    staging: &Arc<Staging>,
    names: &[String],
    targets: &mut Vec<(String, Vec<u8>)>,
    now: UtcTime,
) -> Result<(), RefreshError> {
    // TUF 5.4.5, 5.5.7: a document that verified is stored even if the next one is refused. Nothing is lost by it here,
    // because what was ever trusted is remembered beside the documents.
    let session = session::run(repository, staging, now).await;
    let committed = session::commit_verified(staging);
    let mut updater = session?;
    committed?;
    for name in names {
        let found = updater.get_target_info(name, now).await;
        session::commit_verified(staging)?;
        let target = found?.ok_or_else(|| sigstore_tuf::Error::TargetNotFound(name.clone()))?;
        targets.push((name.clone(), fetch(&updater, staging, &target, name).await?));
    }
    Ok(())
}

/// From the cache if it is there.
async fn fetch(updater: &Updater, staging: &Staging, target: &TargetFile, name: &str) -> Result<Vec<u8>, RefreshError> {
    let digest = target.hashes.get("sha256").and_then(|hex| Digest::from_hex(hex).ok());
    let cached = digest.and_then(|digest| staging.vault().file(&digest));
    if let Some(cached) = cached.filter(|bytes| bytes.len() as u64 == target.length && target.hashes.len() == 1) {
        return Ok(cached);
    }
    let bytes = updater.download_target(target, name).await?;
    staging.vault().keep_file(&bytes)?;
    Ok(bytes)
}
