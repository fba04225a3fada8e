//! Publication of what a board signed, and renewal of what the broker signs.
//!
//! The new timestamp comes last: before it is in place nobody is told of the new set, after it everybody is. What
//! nobody would accept is refused here, so that a mistake of the board's tools does not stop a data space.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use policy::Rules;
use terms::limit::CLOCK_LEEWAY_SECONDS;
use terms::{Report, SpaceId, UtcTime};
use trust::tuf::TopRole;
use trust::{BoardRoles, DelegatedRole, Draft, DraftSignature, RoleKeys, SigningKey};

use super::current::{Announced as _, Current};
use super::offer::{Offer, Published as _};
use super::path::DocumentPath;
use super::shelf::{Glance, Reading, Turn};
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

    /// Whether they are the same keys.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let both = |keys: &Self| (keys.snapshot.public(), keys.timestamp.public());
        both(self) == both(other)
    }

    /// Refuses keys for which the board has not said that each can sign alone.
    pub(crate) fn require_named(&self, roles: &BoardRoles) -> Result<(), RepositoryError> {
        for (role, key) in [
            (TopRole::Snapshot, &self.snapshot),
            (TopRole::Timestamp, &self.timestamp),
        ] {
            let named = roles.of(role);
            if named.threshold != 1 || !named.keys.contains(&key.public()) {
                return Err(RepositoryError::OnlineKey { role: role.as_str() });
            }
        }
        Ok(())
    }
}

/// What a board publishes at once.
#[derive(Clone, Debug, Default)]
pub struct Publication {
    /// The board's signed targets document.
    pub targets: Vec<u8>,
    /// Signed documents of delegated roles. A role that has none here keeps the one that is published.
    pub delegated: BTreeMap<DelegatedRole, Vec<u8>>,
    /// All files that these documents list.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// The signed lists of a publication, without the files that are on them.
#[derive(Clone, Debug)]
pub(crate) enum Lists {
    /// The board's, and those of delegated roles that come with it.
    Set {
        targets: Vec<u8>,
        delegated: BTreeMap<DelegatedRole, Vec<u8>>,
    },
    /// That of one delegated role alone.
    Delegated(DelegatedRole, Vec<u8>),
}

impl Repository {
    /// Publishes what the board signed, and what delegated roles signed with it.
    ///
    /// Publishing the published set again does nothing.
    ///
    /// # Errors
    /// The `Policy…` problems if clients would not accept the set or nobody could work under it; a `File` problem
    /// names file and line.
    pub fn publish(&self, keys: &OnlineKeys, publication: &Publication, now: UtcTime) -> Result<(), Report> {
        let mut turn = self.turn()?;
        turn.publish(keys, publication, now)?;
        Ok(turn.finish()?)
    }

    /// Publishes what a delegated role signed, beside the board's published documents.
    ///
    /// # Errors
    /// As [`Repository::publish`]; [`terms::Problem::PolicyNone`] if the board has not published anything yet.
    pub fn publish_delegated(
        &self,
        keys: &OnlineKeys,
        role: DelegatedRole,
        document: &[u8],
        files: &BTreeMap<String, Vec<u8>>,
        now: UtcTime,
    ) -> Result<(), Report> {
        let mut turn = self.turn()?;
        let published = turn.published_by_the_board()?;
        let mut all_files = turn.published_files(&published.draft)?;
        all_files.extend(files.iter().map(|(name, content)| (name.clone(), content.clone())));
        let publication = Publication {
            targets: published.bytes,
            delegated: [(role, document.to_owned())].into(),
            files: all_files,
        };
        turn.publish(keys, &publication, now)?;
        Ok(turn.finish()?)
    }

    /// Adds the next root document, by which a board changes keys, and signs the rest anew with the keys it names.
    ///
    /// # Errors
    /// [`terms::Problem::PolicyThreshold`] unless the boards of both roots signed, [`terms::Problem::PolicyRollback`]
    /// unless it is the very next version.
    pub fn add_root(&self, keys: &OnlineKeys, root: &[u8], now: UtcTime) -> Result<(), Report> {
        let mut turn = self.turn()?;
        let (draft, new) = next_root(&mut turn, root, now)?;
        keys.require_named(&new)?;
        turn.write(&DocumentPath::Root(draft.version()), root)?;
        if let Some(current) = turn.current()? {
            turn.announce(keys, Some(&current), (draft.space(), &current.versions), now)?;
        }
        Ok(turn.finish()?)
    }

    /// Whether lists say anything that is not published, once their signatures hold. It takes no turn: whoever has one looks again.
    ///
    /// # Errors
    /// As [`Repository::publish`], of what does not need the files.
    pub(crate) fn is_news(&self, lists: &Lists, now: UtcTime) -> Result<bool, Report> {
        let mut glance = Glance(self.shelf.as_ref());
        let (_, root) = glance.newest_root()?;
        let root = parse_as(TopRole::Root, "the root", &root)?.0;
        let publication = match lists {
            Lists::Set { targets, delegated } => Publication {
                targets: targets.clone(),
                delegated: delegated.clone(),
                files: BTreeMap::new(),
            },
            Lists::Delegated(role, document) => Publication {
                targets: glance.published_by_the_board()?.bytes,
                delegated: [(*role, document.clone())].into(),
                files: BTreeMap::new(),
            },
        };
        let offer = Offer::read(&publication, &root, now)?;
        let announced = glance.current()?.map(|current| current.versions).unwrap_or_default();
        for document in offer.documents() {
            if glance.is_new(&announced, document, &offer.keys_of(document, &root)?)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses what is not the next root. It takes no turn: whoever has one looks again.
    ///
    /// # Errors
    /// As [`Repository::add_root`].
    pub(crate) fn require_next_root(&self, root: &[u8], now: UtcTime) -> Result<BoardRoles, Report> {
        let (_, roles) = next_root(&mut Glance(self.shelf.as_ref()), root, now)?;
        Ok(roles)
    }

    /// Who signs now.
    pub(crate) fn newest_roles(&self) -> Result<BoardRoles, RepositoryError> {
        let (_, root) = Glance(self.shelf.as_ref()).newest_root()?;
        Ok(BoardRoles::read(&root)?)
    }

    /// Signs the snapshot and the timestamp anew where less than half of their life is left.
    ///
    /// # Errors
    /// [`terms::Problem::PolicyThreshold`] if the root names other keys; [`terms::Problem::PolicyNone`] if the disk
    /// fails.
    pub fn renew(&self, keys: &OnlineKeys, now: UtcTime) -> Result<Renewal, Report> {
        let mut turn = self.turn()?;
        let renewal = turn.renew(keys, now)?;
        turn.finish()?;
        Ok(renewal)
    }
}

impl Turn {
    fn publish(&mut self, keys: &OnlineKeys, publication: &Publication, now: UtcTime) -> Result<(), Report> {
        let root = self.signing_root(keys)?;
        let offer = Offer::read(publication, &root, now)?;
        let files = self.files_in_force(&offer, publication, now)?;
        Rules::compile_files(offer.board.draft.version(), offer.board.draft.digest(), &files)?;
        let current = self.current()?;
        let mut versions = current
            .as_ref()
            .map_or_else(BTreeMap::new, |current| current.versions.clone());
        let mut new = Vec::new();
        for document in offer.documents() {
            if self.is_new(&versions, document, &offer.keys_of(document, &root)?)? {
                new.push(document);
            }
            versions.insert(document.draft.role_name().to_owned(), document.draft.version());
        }
        if new.is_empty() {
            return Ok(());
        }
        self.write_files(&publication.files)?;
        for document in new {
            self.write(&document.path(), &document.bytes)?;
        }
        self.announce(keys, current.as_ref(), (root.space(), &versions), now)?;
        Ok(())
    }

    fn renew(&mut self, keys: &OnlineKeys, now: UtcTime) -> Result<Renewal, RepositoryError> {
        let root = self.signing_root(keys)?;
        let Some(current) = self.current()? else {
            return Ok(Renewal::NothingPublished);
        };
        if is_due(&current.snapshot, SNAPSHOT_SECONDS, now) {
            self.announce(keys, Some(&current), (root.space(), &current.versions), now)?;
            return Ok(Renewal::SnapshotAndTimestamp);
        }
        if is_due(&current.timestamp, TIMESTAMP_SECONDS, now) {
            self.stamp(keys, Some(&current), (root.space(), &current.snapshot_bytes), now)?;
            return Ok(Renewal::Timestamp);
        }
        Ok(Renewal::StillFresh)
    }

    /// A new snapshot that lists these versions, and a new timestamp that names the snapshot.
    fn announce(
        &mut self,
        keys: &OnlineKeys,
        current: Option<&Current>,
        (space, versions): (&SpaceId, &BTreeMap<String, u64>),
        now: UtcTime,
    ) -> Result<(), RepositoryError> {
        let version = next_version(current.map(|current| &current.snapshot), now);
        let draft = Draft::snapshot(space, version, after(now, SNAPSHOT_SECONDS), versions)?;
        let snapshot = draft.assemble(vec![draft.sign(&keys.snapshot)]);
        self.write(&DocumentPath::Snapshot(version), &snapshot)?;
        self.stamp(keys, current, (space, &snapshot), now)
    }

    fn stamp(
        &mut self,
        keys: &OnlineKeys,
        current: Option<&Current>,
        (space, snapshot): (&SpaceId, &[u8]),
        now: UtcTime,
    ) -> Result<(), RepositoryError> {
        let version = next_version(current.map(|current| &current.timestamp), now);
        let draft = Draft::timestamp(space, version, after(now, TIMESTAMP_SECONDS), snapshot)?;
        self.write(
            &DocumentPath::Timestamp,
            &draft.assemble(vec![draft.sign(&keys.timestamp)]),
        )
    }

    /// The newest root, once it names our keys.
    fn signing_root(&mut self, keys: &OnlineKeys) -> Result<Draft, RepositoryError> {
        let (_, bytes) = self.newest_root()?;
        keys.require_named(&BoardRoles::read(&bytes)?)?;
        Ok(parse_as(TopRole::Root, "the root", &bytes)?.0)
    }
}

/// A root that may follow the one that is there: the next version, signed by both boards (TUF 5.3.4 and 5.3.5).
fn next_root(of: &mut impl Reading, root: &[u8], now: UtcTime) -> Result<(Draft, BoardRoles), RepositoryError> {
    let (draft, signatures) = parse_as(TopRole::Root, "the root", root)?;
    let (current, newest) = of.newest_root()?;
    let (old, new) = (BoardRoles::read(&newest)?, BoardRoles::read(root)?);
    require_same_space(&draft, &parse_as(TopRole::Root, "the root", &newest)?.0)?;
    if draft.version() != current.saturating_add(1) {
        let offered = draft.version();
        return Err(RepositoryError::Version {
            role: TopRole::Root.as_str(),
            offered,
            current,
        });
    }
    require_threshold(&draft, &signatures, &old.root)?;
    require_threshold(&draft, &signatures, &new.root)?;
    require_unexpired(&draft, now)?;
    Ok((draft, new))
}

/// Refuses a document that too few distinct keys of the role signed.
pub(super) fn require_threshold(
    draft: &Draft,
    signatures: &[DraftSignature],
    keys: &RoleKeys,
) -> Result<(), RepositoryError> {
    let role = draft.role_name();
    let signers: BTreeSet<&str> = signatures.iter().map(|signature| signature.keyid.as_str()).collect();
    // Clients refuse a document that a key signed twice, whoever else signed it.
    if signers.len() != signatures.len() {
        return Err(RepositoryError::Repeated { role });
    }
    let threshold = keys.threshold;
    let valid = draft.signers(signatures, keys).len();
    if valid >= usize::from(threshold) {
        return Ok(());
    }
    Err(RepositoryError::Threshold { role, valid, threshold })
}

pub(super) fn require_unexpired(draft: &Draft, now: UtcTime) -> Result<(), RepositoryError> {
    if draft.expires() > now {
        return Ok(());
    }
    Err(RepositoryError::Expired {
        role: draft.role_name(),
        expires: draft.expires(),
    })
}

pub(super) fn require_same_space(draft: &Draft, root: &Draft) -> Result<(), RepositoryError> {
    if draft.space() == root.space() {
        return Ok(());
    }
    Err(RepositoryError::Space {
        role: draft.role_name(),
        offered: draft.space().clone(),
    })
}

/// Whether less than half of its life is left; or more than its whole life, as then it was signed when the clock was wrong, and
/// would be a way to hold back what is newer for longer than anybody expects.
fn is_due(document: &Draft, seconds: i64, now: UtcTime) -> bool {
    let left = document.expires().as_second() - now.as_second();
    left < seconds / 2 || left > seconds + CLOCK_LEEWAY_SECONDS
}

/// A version that follows what is published, and also what was published before a backup was restored or a database lost:
/// clients that saw that would else refuse everything that the broker signs.
fn next_version(current: Option<&Draft>, now: UtcTime) -> u64 {
    let follows = current.map_or(0, Draft::version).saturating_add(1);
    follows.max(u64::try_from(now.as_second()).unwrap_or(0))
}

fn after(now: UtcTime, seconds: i64) -> UtcTime {
    UtcTime::from_second(now.as_second().saturating_add(seconds)).unwrap_or(UtcTime::MAX)
}
