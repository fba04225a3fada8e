//! Publication of what a board signed, and renewal of what the broker signs.
//!
//! The new timestamp comes last: before it is in place nobody is told of the new set, after it everybody is. What
//! nobody would accept is refused here, so that a mistake of the board's tools does not stop a data space.

use std::collections::BTreeMap;
use std::path::Path;

use policy::Rules;
use terms::{Report, UtcTime};
use trust::tuf::TopRole;
use trust::{BoardRoles, Digest, Draft, DraftSignature, SigningKey};

use super::current::{Current, listed_files};
use super::path::DocumentPath;
use super::{Repository, RepositoryError, parse_as};

/// How long a timestamp is valid, in seconds: as long as a broker can hold back a new policy unnoticed.
pub const TIMESTAMP_SECONDS: i64 = 3600;

/// How long a snapshot is valid, in seconds. The timestamp, which pins it, is what bounds a delay.
pub const SNAPSHOT_SECONDS: i64 = 7 * 24 * 3600;

/// The two keys that are online: they say which documents are current, never what is in them.
#[derive(Debug)]
pub struct OnlineKeys {
    /// Says which targets document is current.
    pub snapshot: SigningKey,
    /// Says that it still is.
    pub timestamp: SigningKey,
}

/// What a renewal did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The board has not published anything yet.
    NothingPublished,
    /// More than half of every lifetime is left.
    StillFresh,
    /// A new timestamp.
    Timestamp,
    /// A new snapshot and a new timestamp.
    SnapshotAndTimestamp,
}

impl OnlineKeys {
    /// Reads both keys.
    ///
    /// # Errors
    /// If a file cannot be read, or is not a private key that its owner alone can read.
    pub fn load(snapshot: &Path, timestamp: &Path) -> Result<Self, Report> {
        Ok(Self {
            snapshot: SigningKey::load(snapshot)?,
            timestamp: SigningKey::load(timestamp)?,
        })
    }

    /// Refuses keys for which the board has not said that each can sign alone.
    fn require_named(&self, roles: &BoardRoles) -> Result<(), RepositoryError> {
        for (role, key) in [
            (TopRole::Snapshot, &self.snapshot),
            (TopRole::Timestamp, &self.timestamp),
        ] {
            let named = roles.of(role);
            if named.threshold != 1 || !named.keys.contains(&key.public()) {
                return Err(RepositoryError::OnlineKey { role });
            }
        }
        Ok(())
    }
}

impl Repository {
    /// Publishes a targets document that the board signed, with all files that it lists.
    ///
    /// Publishing the published set again does nothing.
    ///
    /// # Errors
    /// The `Policy…` problems if clients would not accept the set or nobody could work under it; a `File` problem
    /// names file and line.
    pub fn publish(
        &self,
        keys: &OnlineKeys,
        targets: &[u8],
        files: &BTreeMap<String, Vec<u8>>,
        now: UtcTime,
    ) -> Result<(), Report> {
        let (draft, signatures) = parse_as(TopRole::Targets, "the document", targets)?;
        let _lock = self.lock()?;
        let roles = self.signing_roles(keys)?;
        require_threshold(&draft, &signatures, &roles, TopRole::Targets)?;
        require_unexpired(&draft, now)?;
        require_listed(targets, files)?;
        Rules::compile_files(draft.version(), Digest::of(targets), files)?;
        let current = self.current()?;
        if let Some(current) = &current
            && self.is_published(current, draft.version(), targets)?
        {
            return Ok(());
        }
        for (name, content) in files {
            let unnameable = || RepositoryError::Files {
                name: name.clone(),
                what: "has a name that is not allowed",
            };
            self.write(&DocumentPath::file(name, content).ok_or_else(unnameable)?, content)?;
        }
        self.write(&DocumentPath::Targets(draft.version()), targets)?;
        self.announce(keys, current.as_ref(), draft.version(), now)?;
        Ok(())
    }

    /// Adds the next root document, by which a board changes keys, and signs the rest anew with the keys it names.
    ///
    /// # Errors
    /// [`terms::Problem::PolicyThreshold`] unless the boards of both roots signed, [`terms::Problem::PolicyRollback`]
    /// unless it is the very next version.
    pub fn add_root(&self, keys: &OnlineKeys, root: &[u8], now: UtcTime) -> Result<(), Report> {
        let (draft, signatures) = parse_as(TopRole::Root, "the root", root)?;
        let _lock = self.lock()?;
        let (current, newest) = self.newest_root()?;
        let (old, new) = (read_roles(&newest)?, read_roles(root)?);
        // TUF 5.3.4 and 5.3.5: the next version, signed by both.
        if draft.version() != current.saturating_add(1) {
            let offered = draft.version();
            return Err(RepositoryError::Version {
                role: TopRole::Root,
                offered,
                current,
            }
            .into());
        }
        require_threshold(&draft, &signatures, &old, TopRole::Root)?;
        require_threshold(&draft, &signatures, &new, TopRole::Root)?;
        require_unexpired(&draft, now)?;
        keys.require_named(&new)?;
        self.write(&DocumentPath::Root(draft.version()), root)?;
        if let Some(current) = self.current()? {
            self.announce(keys, Some(&current), current.targets_version, now)?;
        }
        Ok(())
    }

    /// Signs the snapshot and the timestamp anew where less than half of their life is left.
    ///
    /// # Errors
    /// [`terms::Problem::PolicyThreshold`] if the root names other keys; [`terms::Problem::PolicyNone`] if the disk
    /// fails.
    pub fn renew(&self, keys: &OnlineKeys, now: UtcTime) -> Result<Renewal, Report> {
        let _lock = self.lock()?;
        self.signing_roles(keys)?;
        let Some(current) = self.current()? else {
            return Ok(Renewal::NothingPublished);
        };
        if is_due(&current.snapshot, SNAPSHOT_SECONDS, now) {
            self.announce(keys, Some(&current), current.targets_version, now)?;
            return Ok(Renewal::SnapshotAndTimestamp);
        }
        if is_due(&current.timestamp, TIMESTAMP_SECONDS, now) {
            self.stamp(keys, Some(&current), &current.snapshot_bytes, now)?;
            return Ok(Renewal::Timestamp);
        }
        Ok(Renewal::StillFresh)
    }

    /// A new snapshot that names the targets document, and a new timestamp that names the snapshot.
    fn announce(
        &self,
        keys: &OnlineKeys,
        current: Option<&Current>,
        targets_version: u64,
        now: UtcTime,
    ) -> Result<(), RepositoryError> {
        let version = current
            .map_or(0, |current| current.snapshot.version())
            .saturating_add(1);
        let draft = Draft::snapshot(version, after(now, SNAPSHOT_SECONDS), targets_version)?;
        let snapshot = draft.assemble(vec![draft.sign(&keys.snapshot)]);
        self.write(&DocumentPath::Snapshot(version), &snapshot)?;
        self.stamp(keys, current, &snapshot, now)
    }

    fn stamp(
        &self,
        keys: &OnlineKeys,
        current: Option<&Current>,
        snapshot: &[u8],
        now: UtcTime,
    ) -> Result<(), RepositoryError> {
        let version = current
            .map_or(0, |current| current.timestamp.version())
            .saturating_add(1);
        let draft = Draft::timestamp(version, after(now, TIMESTAMP_SECONDS), snapshot)?;
        self.write(
            &DocumentPath::Timestamp,
            &draft.assemble(vec![draft.sign(&keys.timestamp)]),
        )
    }

    /// The roles of the newest root, once it names our keys.
    fn signing_roles(&self, keys: &OnlineKeys) -> Result<BoardRoles, RepositoryError> {
        let (_, root) = self.newest_root()?;
        let roles = read_roles(&root)?;
        keys.require_named(&roles)?;
        Ok(roles)
    }

    /// Whether this very targets document is announced already. An older one, or another of this version, is refused.
    fn is_published(&self, current: &Current, version: u64, targets: &[u8]) -> Result<bool, RepositoryError> {
        let role = TopRole::Targets;
        if version < current.targets_version {
            return Err(RepositoryError::Version {
                role,
                offered: version,
                current: current.targets_version,
            });
        }
        if version > current.targets_version {
            return Ok(false);
        }
        match self.read(&DocumentPath::Targets(version))? {
            Some(published) if published == targets => Ok(true),
            _ => Err(RepositoryError::Equivocation { role, version }),
        }
    }
}

/// Refuses a document that too few distinct keys of the role signed.
pub(super) fn require_threshold(
    draft: &Draft,
    signatures: &[DraftSignature],
    roles: &BoardRoles,
    role: TopRole,
) -> Result<(), RepositoryError> {
    let threshold = roles.of(role).threshold;
    let valid = draft.signers(signatures, roles.of(role)).len();
    if valid >= usize::from(threshold) {
        return Ok(());
    }
    Err(RepositoryError::Threshold { role, valid, threshold })
}

fn require_unexpired(draft: &Draft, now: UtcTime) -> Result<(), RepositoryError> {
    if draft.expires() > now {
        return Ok(());
    }
    Err(RepositoryError::Expired {
        role: draft.role(),
        expires: draft.expires(),
    })
}

/// Refuses files that are not exactly those that the board's list names.
fn require_listed(targets: &[u8], files: &BTreeMap<String, Vec<u8>>) -> Result<(), RepositoryError> {
    let listed = listed_files(targets)?;
    let refuse = |name: &String, what| {
        Err(RepositoryError::Files {
            name: name.clone(),
            what,
        })
    };
    if let Some(name) = listed.keys().find(|name| !files.contains_key(*name)) {
        return refuse(name, "is on the board's list and was not given");
    }
    for (name, content) in files {
        let Some(entry) = listed.get(name) else {
            return refuse(name, "is not on the board's list");
        };
        if entry.length != content.len() as u64 || entry.sha256() != Some(&Digest::of(content).hex()) {
            return refuse(name, "is not the one that the board signed");
        }
    }
    Ok(())
}

fn read_roles(root: &[u8]) -> Result<BoardRoles, RepositoryError> {
    Ok(BoardRoles::read(root)?)
}

fn is_due(document: &Draft, seconds: i64, now: UtcTime) -> bool {
    document.expires().as_second() - now.as_second() < seconds / 2
}

fn after(now: UtcTime, seconds: i64) -> UtcTime {
    UtcTime::from_second(now.as_second().saturating_add(seconds)).unwrap_or(UtcTime::MAX)
}
