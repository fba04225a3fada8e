//! The file that describes a sandbox: read, checked against itself and against the files that it names.
//!
//! What a collection or a policy says is `policy`'s to check; what a data file holds is `engine`'s. Next: `found.rs`.

mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use intake::{Mapping, Twin};
use serde::{Deserialize, Serialize};
use terms::{CollectionId, MemberId, PermitId, PersonId, PolicyId, Problem, Report, RoleName, SpaceId};
use toml::Spanned;
use trust::Digest;

use self::place::Place;

/// Most board members of a sandbox: one thread makes their keys.
const BOARD_MEMBERS_MAX: u16 = 100;

/// Most nodes of a sandbox: one process hosts them all.
const NODES_MAX: usize = 1_000;

/// A sandbox as it was asked for, consistent, with every file that it names known to be there.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// The data space.
    pub(crate) space: SpaceId,
    /// What people call it.
    pub(crate) title: String,
    /// How many sign.
    pub(crate) board: Board,
    /// The collections in the order of the file.
    pub(crate) collections: Vec<CollectionId>,
    /// Collections, policies and permits by their name in the data space.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Where they are on this machine.
    pub(crate) origins: BTreeMap<String, PathBuf>,
    /// The nodes in the order of the file.
    pub(crate) nodes: Vec<Node>,
    /// The people in the order of the file.
    pub(crate) people: Vec<Person>,
    /// The institutions that run no node.
    pub(crate) members: BTreeMap<MemberId, Member>,
    /// Of everything above: two files with one fingerprint ask for the same sandbox.
    pub(crate) fingerprint: Digest,
}

/// The board: so many members, of whom so many must sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Board {
    /// All members.
    pub(crate) members: u16,
    /// How many of them must sign.
    pub(crate) threshold: u16,
}

/// An institution that runs a node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its identifier.
    pub(crate) id: MemberId,
    /// What people call it, and what it is.
    pub(crate) member: Member,
    /// How its node is reached.
    pub(crate) reach: Reach,
    /// What its node offers.
    pub(crate) datasets: Vec<Dataset>,
}

/// How a node is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reach {
    /// It listens on a port of its own.
    #[default]
    Direct,
    /// It listens nowhere, and is reached through the broker.
    Broker,
}

impl Reach {
    /// How many tunnels it holds.
    pub(crate) fn tunnels(self) -> u16 {
        match self {
            Reach::Direct => 0,
            Reach::Broker => 2,
        }
    }
}

/// A data file of a node.
#[derive(Clone, Debug)]
pub(crate) struct Dataset {
    /// What it conforms to.
    pub(crate) collection: CollectionId,
    /// Where its rows are from.
    pub(crate) rows: Rows,
    /// How its columns become the collection's, if they are not named and written alike.
    pub(crate) mapping: Option<PathBuf>,
}

/// Where the rows of a data set are from.
#[derive(Clone, Debug)]
pub(crate) enum Rows {
    /// A file or folder.
    File(PathBuf),
    /// Nowhere: they are made up.
    MadeUp(Twin),
}

impl Dataset {
    /// Its mapping into the collection.
    ///
    /// # Errors
    /// A `File` problem that names file and line.
    pub(crate) fn mapping(&self, collection: &policy::Collection) -> Result<Mapping, Report> {
        match &self.mapping {
            Some(file) => Mapping::load(file, collection),
            None => Ok(Mapping::plain(collection.id.clone())),
        }
    }
}

/// What the roster says of an institution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// What people call it.
    pub(crate) title: String,
    /// What it is to the data space.
    pub(crate) roles: BTreeSet<RoleName>,
}

/// A person who may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    /// Their identifier, unique in the sandbox.
    pub(crate) id: PersonId,
    /// The institution that vouches for them.
    pub(crate) member: MemberId,
    /// As what it vouches for them.
    pub(crate) roles: BTreeSet<RoleName>,
}

impl Spec {
    /// Reads and checks the file at `path`, and reads the collections and policies that it names.
    ///
    /// # Errors
    /// A `File` problem that names file and line of the first thing that is not right.
    pub(crate) fn load(path: &Path) -> Result<Self, Report> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| Problem::FileMissing.report(format!("{name}: {error}")))?;
        let written: Written = terms::text::parse_toml(&name, &text)?;
        let place = Place {
            name: &name,
            text: &text,
            folder: path.parent().unwrap_or(Path::new("")),
        };
        written.check(&place)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    space: SpaceId,
    title: Option<String>,
    board: Spanned<Board>,
    collections: Vec<Spanned<PathBuf>>,
    policies: Vec<Spanned<PathBuf>>,
    #[serde(default)]
    permits: Vec<Spanned<PathBuf>>,
    #[serde(default)]
    node: Vec<WrittenNode>,
    #[serde(default)]
    person: Vec<WrittenPerson>,
    #[serde(default)]
    member: Vec<WrittenMember>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenNode {
    id: Spanned<MemberId>,
    title: Option<String>,
    roles: BTreeSet<RoleName>,
    #[serde(default)]
    reach: Reach,
    #[serde(default)]
    datasets: Vec<WrittenDataset>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDataset {
    collection: Spanned<CollectionId>,
    path: Option<Spanned<PathBuf>>,
    synthetic: Option<Twin>,
    mapping: Option<Spanned<PathBuf>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPerson {
    id: Spanned<PersonId>,
    member: Spanned<MemberId>,
    roles: BTreeSet<RoleName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMember {
    id: Spanned<MemberId>,
    title: Option<String>,
    #[serde(default)]
    roles: BTreeSet<RoleName>,
}

impl Written {
    fn check(self, place: &Place<'_>) -> Result<Spec, Report> {
        let board = check_board(&self.board, place)?;
        if self.node.is_empty() {
            return Err(Problem::FileKey.report(format!("{}: a sandbox needs at least one [[node]]", place.name)));
        }
        if self.node.len() > NODES_MAX {
            let message = format!(
                "{}: a sandbox can have {NODES_MAX} nodes, not {}",
                place.name,
                self.node.len()
            );
            return Err(Problem::FileValue.report(message));
        }
        let (mut files, mut origins, mut collections) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for document in place.read_all::<CollectionId>(&self.collections, "collections")? {
            collections.push(document.id);
            origins.insert(document.name.clone(), document.origin);
            files.insert(document.name, document.bytes);
        }
        let policies = place.read_all::<PolicyId>(&self.policies, "policies")?.into_iter();
        let policies = policies.map(|document| (document.name, document.origin, document.bytes));
        let permits = place.read_all::<PermitId>(&self.permits, "permits")?.into_iter();
        let permits = permits.map(|document| (document.name, document.origin, document.bytes));
        for (name, origin, bytes) in policies.chain(permits) {
            origins.insert(name.clone(), origin);
            files.insert(name, bytes);
        }
        let nodes = check_nodes(self.node, &collections, place)?;
        let people = check_people(self.person, &nodes, place)?;
        let members = check_members(self.member, &nodes, &people, place)?;
        let fingerprint = fingerprint(place.text, &files);
        let title = self.title.unwrap_or_else(|| self.space.to_string());
        Ok(Spec {
            space: self.space,
            title,
            board,
            collections,
            files,
            origins,
            nodes,
            people,
            members,
            fingerprint,
        })
    }
}

fn check_board(board: &Spanned<Board>, place: &Place<'_>) -> Result<Board, Report> {
    let Board { members, threshold } = *board.get_ref();
    if members == 0 || members > BOARD_MEMBERS_MAX {
        return Err(place.wrong(
            board.span(),
            format!("a board has 1 to {BOARD_MEMBERS_MAX} members, not {members}"),
        ));
    }
    if threshold == 0 || threshold > members {
        let message = format!("{threshold} signatures of {members} board members cannot be required");
        return Err(place
            .wrong(board.span(), message)
            .remedy(format!("set threshold from 1 to {members}")));
    }
    Ok(Board { members, threshold })
}

fn check_nodes(written: Vec<WrittenNode>, known: &[CollectionId], place: &Place<'_>) -> Result<Vec<Node>, Report> {
    let mut ids = BTreeSet::new();
    let mut nodes = Vec::new();
    for WrittenNode {
        id,
        title,
        roles,
        reach,
        datasets,
    } in written
    {
        let (span, id) = (id.span(), id.into_inner());
        if !ids.insert(id.clone()) {
            return Err(place.wrong(span, format!("two nodes are called {id}")));
        }
        let datasets = check_datasets(&id, datasets, known, place)?;
        let title = title.unwrap_or_else(|| id.to_string());
        nodes.push(Node {
            id,
            member: Member { title, roles },
            reach,
            datasets,
        });
    }
    Ok(nodes)
}

fn check_datasets(
    node: &MemberId,
    written: Vec<WrittenDataset>,
    known: &[CollectionId],
    place: &Place<'_>,
) -> Result<Vec<Dataset>, Report> {
    let mut seen = BTreeSet::new();
    let mut datasets = Vec::new();
    for WrittenDataset {
        collection,
        path,
        synthetic,
        mapping,
    } in written
    {
        let (span, id) = (collection.span(), collection.into_inner());
        if !known.contains(&id) {
            let report = place.wrong(
                span,
                format!("node {node} offers {id}, which is not one of the collections"),
            );
            let near = terms::text::nearest(id.as_str(), known.iter().map(CollectionId::as_str));
            return Err(match near {
                Some(near) => report.remedy(format!("did you mean \"{near}\"?")),
                None => report.remedy("add its file to `collections`"),
            });
        }
        if !seen.insert(id.clone()) {
            return Err(place.wrong(
                span,
                format!("node {node} offers {id} twice; a node has one dataset of a collection"),
            ));
        }
        let rows = match (path, synthetic) {
            (Some(path), None) => match place.folder.join(path.get_ref()) {
                file if file.exists() => Rows::File(file),
                file => return Err(place.missing(path.span(), &file)),
            },
            (None, Some(twin)) => Rows::MadeUp(twin),
            (Some(_), Some(_)) | (None, None) => {
                let message = format!(
                    "node {node}, {id}: either path or synthetic is expected, such as synthetic = {{ people = 200 }}"
                );
                return Err(place.wrong(span, message));
            }
        };
        let mapping = mapping.map(|mapping| match place.folder.join(mapping.get_ref()) {
            file if file.is_file() => Ok(file),
            file => Err(place.missing(mapping.span(), &file)),
        });
        datasets.push(Dataset {
            collection: id,
            rows,
            mapping: mapping.transpose()?,
        });
    }
    Ok(datasets)
}

fn check_people(written: Vec<WrittenPerson>, nodes: &[Node], place: &Place<'_>) -> Result<Vec<Person>, Report> {
    let mut people: Vec<Person> = Vec::new();
    for WrittenPerson { id, member, roles } in written {
        if people.iter().any(|other| other.id == *id.get_ref()) {
            return Err(place.wrong(id.span(), format!("two people are called {}", id.get_ref())));
        }
        if nodes.iter().any(|node| node.id == *member.get_ref()) {
            let message = format!("the member {} of {} is a node", member.get_ref(), id.get_ref());
            let remedy = "name an institution without a node; in a sandbox it is made when it is named";
            return Err(place.wrong(member.span(), message).remedy(remedy));
        }
        people.push(Person {
            id: id.into_inner(),
            member: member.into_inner(),
            roles,
        });
    }
    Ok(people)
}

/// Institutions without a node: those that are listed, and those that somebody belongs to. An institution has the roles
/// that it is listed with and those of its people.
fn check_members(
    written: Vec<WrittenMember>,
    nodes: &[Node],
    people: &[Person],
    place: &Place<'_>,
) -> Result<BTreeMap<MemberId, Member>, Report> {
    let mut members: BTreeMap<MemberId, Member> = BTreeMap::new();
    for WrittenMember { id, title, roles } in written {
        let (span, id) = (id.span(), id.into_inner());
        if nodes.iter().any(|node| node.id == id) {
            let report = place.wrong(span, format!("{id} is a node, and so a member already"));
            return Err(report.remedy("remove the [[member]]"));
        }
        let title = title.unwrap_or_else(|| id.to_string());
        if members.insert(id.clone(), Member { title, roles }).is_some() {
            return Err(place.wrong(span, format!("two members are called {id}")));
        }
    }
    for person in people {
        let unlisted = || Member {
            title: person.member.to_string(),
            roles: BTreeSet::new(),
        };
        let member = members.entry(person.member.clone()).or_insert_with(unlisted);
        member.roles.extend(person.roles.iter().cloned());
    }
    Ok(members)
}

/// Of the text and of the files that it names, not of where they are.
fn fingerprint(text: &str, files: &BTreeMap<String, Vec<u8>>) -> Digest {
    let mut parts = Digest::of(text.as_bytes()).to_string();
    for (name, bytes) in files {
        parts.push_str(&format!("\n{name} {}", Digest::of(bytes)));
    }
    Digest::of(parts.as_bytes())
}

#[cfg(test)]
mod tests;
