//! What has been signed: the chain of roots, the newest list of files of each role, and those files.
//!
//! A folder travels on sticks and through mail, so nothing in it is taken for signed because it lies in `signed/`: roots
//! follow each other by signatures from the first one on, and files are those that a signed list names. The first root
//! itself is what a board compares with its own copy: `board members show` prints its digest.

use std::collections::BTreeMap;

use policy::Stops;
use terms::{Problem, Report, SpaceId};
use trust::{
    AcceptedStop, BoardRoles, DelegatedRole, Delegation, Digest, Draft, DraftSignature, Envelope, RoleKeys, Stop,
};

use super::folder::{self, Files, Folder};
use super::paper::Paper;

/// A signed document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    /// What was signed.
    pub(crate) draft: Draft,
    /// By whom.
    pub(crate) signatures: Vec<DraftSignature>,
    /// As it is published.
    pub(crate) bytes: Vec<u8>,
}

/// Everything that was signed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Signed {
    /// The roots, from the first to the newest.
    pub(crate) roots: Vec<Document>,
    /// The newest list of files of the board and of each delegated role.
    lists: BTreeMap<Paper, Document>,
}

impl Document {
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, Report> {
        let (draft, signatures) = Draft::parse(&bytes)?;
        Ok(Self {
            draft,
            signatures,
            bytes,
        })
    }

    /// Whether enough of these keys signed it.
    pub(crate) fn is_signed_by(&self, keys: &RoleKeys) -> bool {
        is_enough(&self.draft, &self.signatures, keys)
    }
}

/// Whether enough of these keys signed a draft.
pub(super) fn is_enough(draft: &Draft, signatures: &[DraftSignature], keys: &RoleKeys) -> bool {
    draft.signers(signatures, keys).len() >= usize::from(keys.threshold)
}

impl Signed {
    /// Reads `signed/`.
    ///
    /// # Errors
    /// `PolicyThreshold` if a document is not signed by the board that the chain of roots names, `PolicyInvalid` if one
    /// is not what its name says.
    pub(crate) fn read(folder: &Folder) -> Result<Self, Report> {
        let mut newest: BTreeMap<Paper, u64> = BTreeMap::new();
        for name in folder::names_in(&folder.signed())? {
            let Some((paper, version)) = parse_name(&name) else {
                if ["files", "stops"].contains(&name.as_str()) {
                    continue;
                }
                let message = format!("{} is no signed document", folder.signed().join(name).display());
                return Err(Problem::Usage.report(message).remedy("take it away"));
            };
            let known = newest.entry(paper).or_default();
            *known = version.max(*known);
        }
        let mut signed = Self::default();
        for version in 1..=newest.remove(&Paper::Root).unwrap_or(0) {
            let root = read_document(folder, Paper::Root, version)?;
            signed.add_root(root)?;
        }
        for (paper, version) in newest {
            let document = read_document(folder, paper, version)?;
            signed.require_signed(paper, &document)?;
            signed.lists.insert(paper, document);
        }
        Ok(signed)
    }

    fn add_root(&mut self, root: Document) -> Result<(), Report> {
        let version = root.draft.version();
        let new = root.draft.board().ok_or_else(|| odd("a root names no board"))?;
        let old = self.roots.last();
        let follows = old.is_none_or(|old| {
            old.draft.space() == root.draft.space()
                && old.draft.board().is_some_and(|keys| root.is_signed_by(&keys.root))
        });
        if !follows || !root.is_signed_by(&new.root) {
            let message = format!("signed/{version}.root.json is not signed by the board before it and by its own");
            return Err(Problem::PolicyThreshold
                .report(message)
                .remedy("get the folder signed/ from another board member"));
        }
        self.roots.push(root);
        Ok(())
    }

    /// A list of files must have been signed by a board of this chain; a later board may have replaced its signers.
    fn require_signed(&self, paper: Paper, document: &Document) -> Result<(), Report> {
        let (name, version) = (paper.name(), document.draft.version());
        let space = self.space().ok_or_else(|| odd("there are signed files and no root"))?;
        if document.draft.space() != space {
            let message = format!(
                "signed/{version}.{name}.json is of the data space {}",
                document.draft.space()
            );
            return Err(Problem::PolicyScope.report(message));
        }
        let mut boards = self.roots.iter().filter_map(|root| root.draft.board());
        if paper != Paper::Targets || boards.any(|board| document.is_signed_by(&board.targets)) {
            return Ok(());
        }
        let message = format!("signed/{version}.{name}.json is not signed by enough of this board");
        Err(Problem::PolicyThreshold
            .report(message)
            .remedy("get the folder signed/ from another board member"))
    }

    /// The data space.
    pub(crate) fn space(&self) -> Option<&SpaceId> {
        self.roots.first().map(|root| root.draft.space())
    }

    /// The newest root.
    pub(crate) fn board(&self) -> Option<&BoardRoles> {
        self.roots.last().and_then(|root| root.draft.board())
    }

    /// The newest document of a kind.
    pub(crate) fn document(&self, paper: Paper) -> Option<&Document> {
        match paper {
            Paper::Root => self.roots.last(),
            paper => self.lists.get(&paper),
        }
    }

    /// To whom the board has delegated what.
    pub(crate) fn delegations(&self) -> Vec<Delegation> {
        let targets = self.lists.get(&Paper::Targets);
        targets.map_or_else(Vec::new, |targets| targets.draft.delegations())
    }

    /// The lists of files that count: that of the board, and those of delegated roles that enough signed.
    pub(crate) fn lists_in_force(&self) -> impl Iterator<Item = (Paper, &Document)> {
        let delegations = self.delegations();
        let counts = move |(paper, document): &(&Paper, &Document)| match paper {
            Paper::Delegated(role) => keys_of(&delegations, *role).is_some_and(|keys| document.is_signed_by(keys)),
            Paper::Root | Paper::Targets => true,
        };
        self.lists
            .iter()
            .filter(counts)
            .map(|(paper, document)| (*paper, document))
    }

    /// The files that were signed last. `None` if none were.
    ///
    /// # Errors
    /// `PolicySignature` if one is missing or is not the one that was signed.
    pub(crate) fn files(&self, folder: &Folder) -> Result<Option<Files>, Report> {
        if !self.lists.contains_key(&Paper::Targets) {
            return Ok(None);
        }
        let mut files = Files::new();
        for (_, document) in self.lists_in_force() {
            for (name, (_, digest)) in document.draft.files() {
                let path = folder.signed_files().join(&name);
                let bytes = folder::read_metadata(&path)
                    .ok()
                    .filter(|bytes| Digest::of(bytes) == digest);
                let bytes = bytes.ok_or_else(|| {
                    let message = format!("signed/files/{name} is missing, or not the file that was signed");
                    let remedy = "if publishing was interrupted, publish again; otherwise get the folder signed/ from \
                                  another board member";
                    Problem::PolicySignature.report(message).remedy(remedy)
                })?;
                files.insert(name, bytes);
            }
        }
        Ok(Some(files))
    }

    /// The stops that board members signed in this folder.
    ///
    /// # Errors
    /// If one is not a stop, or not signed by anybody of the board.
    pub(crate) fn stops(&self, folder: &Folder) -> Result<Vec<AcceptedStop>, Report> {
        let Some(space) = self.space() else {
            return Ok(Vec::new());
        };
        let boards = self.roots.iter().filter_map(|root| root.draft.board());
        let keys: Vec<_> = boards.flat_map(|board| board.targets.keys.iter().copied()).collect();
        let open = |name: &String| {
            let bytes = folder::read_metadata(&folder.stops().join(name))?;
            let envelope = Envelope::parse(&bytes);
            let envelope = envelope.map_err(|error| odd(&format!("signed/stops/{name}: {error}")))?;
            Stop::open(&envelope, &keys, space)
        };
        folder::names_in(&folder.stops())?.iter().map(open).collect()
    }
}

/// The keys of a delegated role.
pub(super) fn keys_of(delegations: &[Delegation], role: DelegatedRole) -> Option<&RoleKeys> {
    let found = delegations.iter().find(|delegation| delegation.role == role);
    found.map(|delegation| &delegation.keys)
}

/// Stops that the files do not lift.
pub(super) fn in_force(stops: &[AcceptedStop], rules: &policy::Rules) -> Stops {
    Stops::in_force(stops, &rules.space)
}

fn read_document(folder: &Folder, paper: Paper, version: u64) -> Result<Document, Report> {
    let path = folder.signed_file(paper, version);
    let document = Document::read(folder::read_metadata(&path)?)?;
    if Paper::of(&document.draft) == Some(paper) && document.draft.version() == version {
        return Ok(document);
    }
    Err(odd(&format!(
        "{} is not the document that its name says",
        path.display()
    )))
}

/// `3.targets.json`.
fn parse_name(name: &str) -> Option<(Paper, u64)> {
    let (version, rest) = name.split_once('.')?;
    let paper = Paper::ALL
        .into_iter()
        .find(|paper| rest.strip_suffix(".json") == Some(paper.name()))?;
    let version: u64 = version.parse().ok()?;
    (version > 0).then_some((paper, version))
}

fn odd(what: &str) -> Report {
    Problem::PolicyInvalid
        .report(what)
        .remedy("get the folder signed/ from another board member")
}
