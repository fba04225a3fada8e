//! `board publish`: what enough have signed goes to the broker, and only that.
//!
//! In this order: stops; then the signed documents are put together and written to `signed/`, roots are published, then
//! the lists with their files; only then the drafts go. Wherever it is interrupted, publishing again goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use terms::{Clock as _, ExitCode, Problem, Report, SpaceId, SystemClock};
use trust::{DelegatedRole, Digest, DocumentSource as _, Draft, Envelope};

use super::desk::Desk;
use super::folder::{self, Files, Folder};
use super::names::Names;
use super::paper::Paper;
use super::pending::Standing;
use super::signed::{Document, Signed};
use super::{pending, words};
use crate::args::board::{PublishArgs, PublishTo};
use crate::show;

/// Where documents are published.
pub(super) enum Press {
    /// A repository on this machine.
    Repository {
        folder: PathBuf,
        keys: Option<Box<broker::OnlineKeys>>,
    },
    /// A broker elsewhere.
    Broker {
        connection: wire::Connection,
        space: SpaceId,
    },
}

/// Publishes what was signed.
///
/// # Errors
/// `PolicyThreshold` with who is missing: then nothing was published. What the broker refuses; `Unreachable`.
pub(super) async fn run(args: &PublishArgs, json: bool) -> Result<ExitCode, Report> {
    let desk = Desk::open(&args.place)?;
    let press = Press::open(&args.to, &desk.space()?).await?;
    let press = press.ok_or_else(|| {
        let remedy = "name --broker and --broker-identity; or, on the broker's machine, --repository, --snapshot-key and \
                      --timestamp-key";
        Problem::Usage.report("where to publish was not said").remedy(remedy)
    })?;
    // Before anything can be refused: a stop waits for nobody.
    press.publish_stops(&desk).await?;
    let complete = complete(&desk)?;
    let signed = put_together(&desk, &complete)?;
    press.publish_all(&desk.folder, &signed, &complete).await?;
    for standing in &complete {
        pending::remove(&desk.folder, standing.paper)?;
    }
    pending::remove_if_empty(&desk.folder);
    forget_unused_names(&desk)?;
    let lang = args.place.lang();
    if json {
        show::json(&Desk::read(desk.folder)?.signed_json())?;
        return Ok(ExitCode::Ok);
    }
    for (name, version) in versions(&signed) {
        show::text(lang.pick(
            format!("veröffentlicht: {name} Version {version}"),
            format!("published: {name} version {version}"),
        ))?;
    }
    Ok(ExitCode::Ok)
}

/// The drafts that enough have signed. The board's own must all be; a committee's may wait, if anything else is ready.
fn complete(desk: &Desk) -> Result<Vec<Standing>, Report> {
    let standings = desk.standings()?;
    let is_board = |standing: &&Standing| !matches!(standing.paper, Paper::Delegated(_));
    let board_drafts = standings.iter().filter(is_board).count();
    let mut complete = Vec::new();
    for standing in standings {
        if standing.is_complete() {
            desk.require_current(standing.paper, &standing.draft)?;
            complete.push(standing);
        } else if board_drafts == 0 || is_board(&&standing) {
            return Err(incomplete(desk, &standing));
        }
    }
    let board = desk.board()?;
    let drafted = complete.iter().any(|standing| standing.paper == Paper::Targets);
    let holds = desk
        .signed
        .document(Paper::Targets)
        .is_some_and(|signed| signed.is_signed_by(&board.targets));
    if drafted || holds {
        return Ok(complete);
    }
    Err(Problem::PolicyThreshold
        .report("the files are not signed by enough of the board, so nothing was published")
        .remedy("have the members sign: datenraum board sign"))
}

fn incomplete(desk: &Desk, standing: &Standing) -> Report {
    let said = words::standing(desk, standing, policy::Lang::En);
    Problem::PolicyThreshold.report(format!("{said}; nothing was published"))
}

/// Joins drafts and signatures, and writes them down as signed.
fn put_together(desk: &Desk, complete: &[Standing]) -> Result<Signed, Report> {
    let mut fresh = BTreeMap::new();
    for standing in complete {
        let groups: Vec<_> = standing
            .groups
            .iter()
            .flat_map(|group| &group.signed)
            .map(trust::PublicKey::key_id)
            .collect();
        let signatures = desk.pending.signatures(standing.paper).iter();
        let signatures = signatures
            .filter(|signature| groups.contains(&signature.keyid))
            .cloned()
            .collect();
        fresh.insert(standing.paper, standing.draft.assemble(signatures));
    }
    let files = signed_files(desk, complete)?;
    for standing in complete {
        let path = desk.folder.signed_file(standing.paper, standing.draft.version());
        folder::write(&path, &fresh[&standing.paper])?;
        remove_older(desk, standing)?;
    }
    folder::replace_folder(&desk.folder.signed_files(), &files)?;
    Signed::read(&desk.folder)
}

/// The files of all lists that will be in force: the present ones of new lists, those that were signed of the others.
fn signed_files(desk: &Desk, complete: &[Standing]) -> Result<Files, Report> {
    let is_new = |paper: Paper| complete.iter().find(|standing| standing.paper == paper);
    let mut files = Files::new();
    for paper in Paper::ALL {
        let list = match (is_new(paper), desk.signed.document(paper)) {
            (Some(standing), _) => standing.draft.files(),
            (None, Some(document)) => document.draft.files(),
            (None, None) => continue,
        };
        for (name, (_, digest)) in list {
            let before = || folder::read_metadata(&desk.folder.signed_files().join(&name)).ok();
            let bytes = desk
                .files
                .get(&name)
                .cloned()
                .filter(|bytes| Digest::of(bytes) == digest);
            let bytes = bytes.or_else(before).filter(|bytes| Digest::of(bytes) == digest);
            match (bytes, paper) {
                (Some(bytes), _) => {
                    files.insert(name, bytes);
                }
                // What a committee signed and this folder does not have goes on where it is published.
                (None, Paper::Delegated(_)) => {}
                (None, _) => {
                    let message =
                        format!("{name} is not the file that was signed, and signed/files has no copy of that");
                    return Err(Problem::Changed
                        .report(message)
                        .remedy("get the folder signed/ from another board member"));
                }
            }
        }
    }
    Ok(files)
}

/// All roots stay, since nodes follow them one by one; of lists the newest.
fn remove_older(desk: &Desk, standing: &Standing) -> Result<(), Report> {
    if standing.paper == Paper::Root {
        return Ok(());
    }
    match desk.signed.document(standing.paper) {
        Some(older) if older.draft.version() < standing.draft.version() => {
            folder::remove(&desk.folder.signed_file(standing.paper, older.draft.version()))
        }
        _ => Ok(()),
    }
}

fn forget_unused_names(desk: &Desk) -> Result<(), Report> {
    let now = Desk::read(desk.folder.clone())?;
    let mut names: Names = now.names.clone();
    names.keep_only(&now.keys_in_use());
    names.write(&now.folder)
}

fn versions(signed: &Signed) -> Vec<(&'static str, u64)> {
    let of = |paper: Paper| Some((paper.name(), signed.document(paper)?.draft.version()));
    Paper::ALL.into_iter().filter_map(of).collect()
}

impl Press {
    /// Where the command line says; none if it says nothing.
    ///
    /// # Errors
    /// If a key cannot be read, or the broker does not answer or is another.
    pub(super) async fn open(to: &PublishTo, space: &SpaceId) -> Result<Option<Self>, Report> {
        if let (Some(address), Some(identity)) = (&to.broker, &to.broker_identity) {
            let broker = wire::PeerConfig {
                address: address.clone(),
                key: *identity,
                proxy: None,
            };
            let connection = broker.connect(wire::description::BROKER_AUDIENCE).await?;
            let space = space.clone();
            return Ok(Some(Press::Broker { connection, space }));
        }
        let Some(folder) = to.repository.clone() else {
            return Ok(None);
        };
        let keys = match (&to.snapshot_key, &to.timestamp_key) {
            (Some(snapshot), Some(timestamp)) => Some(Box::new(broker::OnlineKeys::load(snapshot, timestamp)?)),
            _ => None,
        };
        Ok(Some(Press::Repository { folder, keys }))
    }

    async fn publish_all(&self, folder: &Folder, signed: &Signed, complete: &[Standing]) -> Result<(), Report> {
        for root in &signed.roots {
            self.publish_root(root).await?;
        }
        let only_committees = !complete.is_empty()
            && complete
                .iter()
                .all(|standing| matches!(standing.paper, Paper::Delegated(_)));
        let fresh: Vec<Paper> = complete.iter().map(|standing| standing.paper).collect();
        let files = signed.files(folder)?.unwrap_or_default();
        let mut delegated = BTreeMap::new();
        for (paper, document) in signed.lists_in_force() {
            let Paper::Delegated(role) = paper else { continue };
            // A committee publishes by itself: what it published since then must not be held against the board.
            if fresh.contains(&paper) || !only_committees && !self.has_newer(role, &document.draft).await? {
                delegated.insert(role, document.clone());
            }
        }
        if only_committees {
            for (role, document) in &delegated {
                self.publish_delegated(*role, document, &files).await?;
            }
        } else if let Some(targets) = signed.document(Paper::Targets) {
            self.publish_lists(targets, &delegated, &files).await?;
        }
        Ok(())
    }

    /// Publishes the stops that were signed here and not lifted. Those of former board members nobody takes any more.
    async fn publish_stops(&self, desk: &Desk) -> Result<(), Report> {
        let lifted = desk.rules().map(|rules| rules.space.lifted).unwrap_or_default();
        let Some(board) = desk.signed.board() else {
            return Ok(());
        };
        for stop in desk.stops()? {
            if !lifted.contains(&stop.digest) && board.targets.keys.contains(&stop.signer) {
                self.publish_stop(&stop.envelope).await?;
            }
        }
        Ok(())
    }

    async fn publish_root(&self, root: &Document) -> Result<(), Report> {
        let version = root.draft.version();
        match self.fetch(&format!("{version}.root.json")).await? {
            Some(published) if Draft::parse(&published)?.0.digest() == root.draft.digest() => return Ok(()),
            Some(_) => {
                let message = format!("the broker has another root of version {version}");
                return Err(Problem::PolicyEquivocation.report(message));
            }
            None => {}
        }
        match self {
            Press::Repository { folder, .. } if version == 1 => {
                broker::Repository::found(folder, &root.bytes).map(|_| ())
            }
            Press::Repository { folder, .. } => {
                broker::Repository::open(folder)?.add_root(self.keys()?, &root.bytes, SystemClock.now())
            }
            Press::Broker { connection, space } => wire::publish::root(connection, space, &root.bytes).await,
        }
    }

    async fn publish_lists(
        &self,
        targets: &Document,
        delegated: &BTreeMap<DelegatedRole, Document>,
        files: &Files,
    ) -> Result<(), Report> {
        let listed = delegated
            .values()
            .chain([targets])
            .flat_map(|document| document.draft.files().into_keys());
        let files = chosen(listed, files);
        let lists = delegated.iter().map(|(role, document)| (*role, document.bytes.clone()));
        match self {
            Press::Repository { folder, .. } => {
                let publication = broker::Publication {
                    targets: targets.bytes.clone(),
                    delegated: lists.collect(),
                    files,
                };
                broker::Repository::open(folder)?.publish(self.keys()?, &publication, SystemClock.now())
            }
            Press::Broker { connection, space } => {
                let publication = wire::publish::Publication {
                    targets: Some(targets.bytes.clone()),
                    delegated: lists.collect(),
                    files,
                };
                wire::publish::documents(connection, space, &publication).await
            }
        }
    }

    async fn publish_delegated(&self, role: DelegatedRole, document: &Document, files: &Files) -> Result<(), Report> {
        let files = chosen(document.draft.files().into_keys(), files);
        match self {
            Press::Repository { folder, .. } => broker::Repository::open(folder)?.publish_delegated(
                self.keys()?,
                role,
                &document.bytes,
                &files,
                SystemClock.now(),
            ),
            Press::Broker { connection, space } => {
                let publication = wire::publish::Publication {
                    targets: None,
                    delegated: [(role, document.bytes.clone())].into(),
                    files,
                };
                wire::publish::documents(connection, space, &publication).await
            }
        }
    }

    /// Publishes a stop. It needs none of the broker's keys.
    ///
    /// # Errors
    /// Why it is refused; `Unreachable`.
    pub(super) async fn publish_stop(&self, envelope: &Envelope) -> Result<(), Report> {
        match self {
            Press::Repository { folder, .. } => broker::Repository::open(folder)?.publish_stop(envelope).map(|_| ()),
            Press::Broker { connection, space } => wire::publish::stop(connection, space, envelope).await.map(|_| ()),
        }
    }

    /// Whether the broker has a later list of a delegated role.
    async fn has_newer(&self, role: DelegatedRole, draft: &Draft) -> Result<bool, Report> {
        let next = format!("{}.{role}.json", draft.version().saturating_add(1));
        Ok(self.fetch(&next).await?.is_some())
    }

    /// A published metadata document; none if there is none, or no repository yet.
    async fn fetch(&self, name: &str) -> Result<Option<Vec<u8>>, Report> {
        match self {
            Press::Repository { folder, .. } => match broker::Repository::open(folder) {
                Ok(repository) => repository.document(name),
                Err(_) if is_free(folder) => Ok(None),
                Err(report) => Err(report),
            },
            Press::Broker { connection, space } => {
                let source = wire::BrokerSource::new(connection.clone(), space.clone());
                let fetched = source
                    .fetch(&format!("metadata/{name}"), trust::tuf::TARGETS_BYTES_MAX)
                    .await;
                fetched.map_err(|error| Problem::Unreachable.report(error.to_string()))
            }
        }
    }

    fn keys(&self) -> Result<&broker::OnlineKeys, Report> {
        match self {
            Press::Repository { keys: Some(keys), .. } => Ok(keys),
            _ => Err(Problem::Usage
                .report("a repository is published to with the broker's two keys")
                .remedy("name them with --snapshot-key and --timestamp-key")),
        }
    }
}

/// Whether a repository can be founded there.
fn is_free(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

fn chosen(names: impl Iterator<Item = String>, files: &Files) -> Files {
    let found = names.filter_map(|name| Some((name.clone(), files.get(&name)?.clone())));
    found.collect()
}

impl Desk {
    /// What was signed, for machines.
    pub(super) fn signed_json(&self) -> serde_json::Value {
        let of = |paper: Paper| {
            let document = self.signed.document(paper)?;
            let draft = &document.draft;
            Some(serde_json::json!({
                "role": paper.name(), "version": draft.version(), "digest": draft.digest(), "expires": draft.expires(),
            }))
        };
        Paper::ALL.into_iter().filter_map(of).collect()
    }
}
