//! What is offered for publication, beside what is published: who must have signed it, and which files it brings.
//!
//! The board's document says who may sign for a delegated role. A role whose published document no longer counts, by
//! the board's new word or because it expired, is left out, as clients leave it out.

use std::collections::BTreeMap;

use terms::UtcTime;
use trust::tuf::TopRole;
use trust::{DelegatedRole, Digest, Draft, DraftSignature, RoleKeys};

use super::current::Announced;
use super::path::DocumentPath;
use super::publish::{Publication, require_same_space, require_threshold, require_unexpired};
use super::shelf::{Reading, Turn};
use super::{RepositoryError, parse_as};

/// A signed targets document, of the board or of a delegated role.
pub(super) struct Document {
    pub(super) draft: Draft,
    signatures: Vec<DraftSignature>,
    pub(super) bytes: Vec<u8>,
}

/// The documents of one publication. Each was signed by enough keys of its role and has not expired.
pub(super) struct Offer {
    pub(super) board: Document,
    delegated: Vec<Document>,
}

impl Document {
    fn read(bytes: &[u8]) -> Result<Self, RepositoryError> {
        let (draft, signatures) = parse_as(TopRole::Targets, "the document", bytes)?;
        let bytes = bytes.to_owned();
        Ok(Self {
            draft,
            signatures,
            bytes,
        })
    }

    pub(super) fn path(&self) -> DocumentPath {
        DocumentPath::targets(self.draft.delegated_role(), self.draft.version())
    }

    fn require(&self, root: &Draft, keys: &RoleKeys, now: UtcTime) -> Result<(), RepositoryError> {
        require_same_space(&self.draft, root)?;
        require_threshold(&self.draft, &self.signatures, keys)?;
        require_unexpired(&self.draft, now)
    }
}

impl Offer {
    pub(super) fn read(publication: &Publication, root: &Draft, now: UtcTime) -> Result<Self, RepositoryError> {
        let board = Document::read(&publication.targets)?;
        require_role(&board.draft, None)?;
        let roles = root.board().ok_or(RepositoryError::Missing)?;
        board.require(root, &roles.targets, now)?;
        let mut delegated = Vec::new();
        for (role, bytes) in &publication.delegated {
            let document = Document::read(bytes)?;
            require_role(&document.draft, Some(*role))?;
            document.require(root, &delegated_keys(&board.draft, *role)?, now)?;
            delegated.push(document);
        }
        Ok(Self { board, delegated })
    }

    /// Who must sign one of its documents.
    pub(super) fn keys_of(&self, document: &Document, root: &Draft) -> Result<RoleKeys, RepositoryError> {
        match document.draft.delegated_role() {
            Some(role) => delegated_keys(&self.board.draft, role),
            None => Ok(root.board().ok_or(RepositoryError::Missing)?.targets.clone()),
        }
    }

    pub(super) fn documents(&self) -> impl Iterator<Item = &Document> {
        std::iter::once(&self.board).chain(&self.delegated)
    }
}

pub(super) trait Published: Announced {
    /// The published document of the board or of a delegated role.
    fn published(&mut self, role: Option<DelegatedRole>) -> Result<Option<Document>, RepositoryError> {
        let Some(current) = self.current()? else {
            return Ok(None);
        };
        let name = role.map_or(TopRole::Targets.as_str(), DelegatedRole::as_str);
        let Some(version) = current.versions.get(name) else {
            return Ok(None);
        };
        let bytes = self.read(&DocumentPath::targets(role, *version))?;
        bytes.map(|bytes| Document::read(&bytes)).transpose()
    }

    /// The board's published document.
    fn published_by_the_board(&mut self) -> Result<Document, RepositoryError> {
        self.published(None)?.ok_or(RepositoryError::NothingPublished)
    }

    /// The files that a published document lists.
    fn published_files(&mut self, draft: &Draft) -> Result<BTreeMap<String, Vec<u8>>, RepositoryError> {
        let mut files = BTreeMap::new();
        for (name, (_, digest)) in draft.files() {
            let path = DocumentPath::parse(&trust::tuf::target_path(&name, &digest));
            let content = path.map(|path| self.read(&path)).transpose()?.flatten();
            let content = content.filter(|content| Digest::of(content) == digest);
            let what = "is on a published list and not in the repository";
            files.insert(name.clone(), content.ok_or(RepositoryError::Files { name, what })?);
        }
        Ok(files)
    }

    /// All files that clients will have: those that are offered, which must be exactly those that are listed, and those
    /// of delegated roles that go on.
    fn files_in_force(
        &mut self,
        offer: &Offer,
        publication: &Publication,
        now: UtcTime,
    ) -> Result<BTreeMap<String, Vec<u8>>, RepositoryError> {
        require_listed(offer, &publication.files)?;
        let mut files = publication.files.clone();
        for delegation in offer.board.draft.delegations() {
            if publication.delegated.contains_key(&delegation.role) {
                continue;
            }
            if let Some(document) = self.published(Some(delegation.role))?
                && require_threshold(&document.draft, &document.signatures, &delegation.keys).is_ok()
                && require_unexpired(&document.draft, now).is_ok()
            {
                files.extend(self.published_files(&document.draft)?);
            }
        }
        Ok(files)
    }

    /// Whether the document is not the announced one, or has more of the signatures that it needs. An older one, or
    /// another of the same version, is refused.
    fn is_new(
        &mut self,
        announced: &BTreeMap<String, u64>,
        offered: &Document,
        keys: &RoleKeys,
    ) -> Result<bool, RepositoryError> {
        let (role, version) = (offered.draft.role_name(), offered.draft.version());
        let Some(&current) = announced.get(role) else {
            return Ok(true);
        };
        let published = self.published(offered.draft.delegated_role())?;
        let signers = |document: &Document| document.draft.signers(&document.signatures, keys).len();
        if let (None, Some(published)) = (offered.draft.delegated_role(), &published)
            && signers(published) < usize::from(keys.threshold)
        {
            // What an earlier board signed binds nobody any more: clients start the count anew with the new board.
            return Ok(true);
        }
        match version.cmp(&current) {
            std::cmp::Ordering::Greater => Ok(true),
            std::cmp::Ordering::Less => Err(RepositoryError::Version {
                role,
                offered: version,
                current,
            }),
            std::cmp::Ordering::Equal => match published {
                // Anybody may send the same document with fewer signatures or other spaces: that says nothing new.
                Some(published) if published.draft.digest() == offered.draft.digest() => {
                    Ok(signers(offered) > signers(&published))
                }
                _ => Err(RepositoryError::Equivocation { role, version }),
            },
        }
    }
}

impl<R: Reading> Published for R {}

impl Turn {
    pub(super) fn write_files(&mut self, files: &BTreeMap<String, Vec<u8>>) -> Result<(), RepositoryError> {
        for (name, content) in files {
            let unnameable = || RepositoryError::Files {
                name: name.clone(),
                what: "has a name that is not allowed",
            };
            self.write(&DocumentPath::file(name, content).ok_or_else(unnameable)?, content)?;
        }
        Ok(())
    }
}

fn require_role(draft: &Draft, expected: Option<DelegatedRole>) -> Result<(), RepositoryError> {
    if draft.delegated_role() == expected {
        return Ok(());
    }
    Err(RepositoryError::OtherRole {
        offered: draft.role_name(),
        expected: expected.map_or(TopRole::Targets.as_str(), DelegatedRole::as_str),
    })
}

fn delegated_keys(board: &Draft, role: DelegatedRole) -> Result<RoleKeys, RepositoryError> {
    let found = board
        .delegations()
        .into_iter()
        .find(|delegation| delegation.role == role);
    let keys = found.map(|delegation| delegation.keys);
    keys.ok_or(RepositoryError::NotDelegated { role: role.as_str() })
}

/// Refuses files that are not exactly those that the offered documents list.
fn require_listed(offer: &Offer, files: &BTreeMap<String, Vec<u8>>) -> Result<(), RepositoryError> {
    let listed: BTreeMap<_, _> = offer.documents().flat_map(|document| document.draft.files()).collect();
    let refuse = |name: &String, what| {
        Err(RepositoryError::Files {
            name: name.clone(),
            what,
        })
    };
    if let Some(name) = listed.keys().find(|name| !files.contains_key(*name)) {
        return refuse(name, "is on the signed list and was not given");
    }
    for (name, content) in files {
        let Some((length, digest)) = listed.get(name) else {
            return refuse(name, "is not on the signed list");
        };
        if *length != content.len() as u64 || *digest != Digest::of(content) {
            return refuse(name, "is not the one that was signed");
        }
    }
    Ok(())
}
