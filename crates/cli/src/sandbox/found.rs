//! From a specification to a folder with everything in it: keys, signed documents, configurations, checked data.
//!
//! All keys of all parties are made here and lie in one folder, which is what makes it a sandbox. Everything is built
//! beside the folder and put in place at the end: it is there whole or not at all. Next: `host.rs`, which runs it.

mod data;
mod keys;
mod site;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use policy::Rules;
use serde::Serialize;
use terms::{Clock, MemberId, Problem, Report, RoleName, UtcTime, limit};
use trust::{BoardRoles, Credential, Draft, PublicKey, RoleKeys, SigningKey};
use wire::PeerConfig;

use self::keys::Keys;
use self::site::Site;
use super::layout::{Layout, Record, make_folder, write_config, write_private};
use super::progress::Progress;
use super::spec::{Reach, Spec};

/// How long what the board of a sandbox signs is valid, in seconds. Nobody renews it.
const SIGNED_SECONDS: i64 = 365 * 24 * 3600;

/// Any free port; the host writes down the one that it got.
const ANY_PORT: &str = "127.0.0.1:0";

/// Where the parties of a sandbox are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Where the broker listens.
    broker_listens: String,
    /// Where it is reached.
    broker: String,
    /// Where a node listens that is reached directly.
    nodes_listen: String,
}

impl Places {
    /// All on this machine, on ports that are chosen when it is put up.
    pub(crate) fn this_machine() -> Self {
        let any = || ANY_PORT.to_owned();
        Self {
            broker_listens: any(),
            broker: any(),
            nodes_listen: any(),
        }
    }

    /// Each on a machine of its own; the broker is reached at `broker`, `host:port`.
    ///
    /// # Errors
    /// `Usage` if that is no host with a port.
    pub(crate) fn apart(broker: &str) -> Result<Self, Report> {
        let port = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let port = port
            .and_then(|(_, port)| port.parse::<u16>().ok())
            .filter(|port| *port != 0);
        let port = port.ok_or_else(|| {
            let message = format!("--broker {broker}: not a host with a port");
            Problem::Usage.report(message).remedy("write it like broker:4443")
        })?;
        Ok(Self {
            broker_listens: format!("0.0.0.0:{port}"),
            broker: broker.to_owned(),
            nodes_listen: format!("0.0.0.0:{port}"),
        })
    }
}

/// Founds the sandbox of `spec` in `folder`, which must be new or empty.
///
/// # Errors
/// `FolderNotEmpty`; a `File` or `Policy` problem of a governance file; a `Data` problem, with the node and the file.
/// Then nothing is left behind.
pub(crate) fn found(
    spec: &Spec,
    folder: &Path,
    places: &Places,
    clock: &dyn Clock,
    progress: Progress,
) -> Result<(), Report> {
    let site = Site::clear(folder)?;
    let layout = Layout::new(site.folder());
    let now = clock.now();
    let step = progress.begin("making keys");
    let keys = Keys::make(spec, &layout)?;
    step.done(format!("made keys for {}", parties(spec)));
    let step = progress.begin("signing");
    let signed = Signed::draft_and_sign(spec, &keys, now)?;
    signed.publish(&layout, keys.online, now)?;
    write_files(&layout, &signed.files)?;
    let board = spec.board;
    step.done(format!(
        "had {} of {} board members sign {} files",
        board.threshold,
        board.members,
        signed.files.len()
    ));
    let step = progress.begin("checking data");
    let count = data::add_all(spec, &layout, &signed.rules, clock, &step)?;
    step.done(format!("checked and added {}", counted(count, "dataset", "datasets")));
    configure(spec, &layout, places, keys.broker, &signed.root)?;
    let record = Record::of(spec);
    write_config(&layout.record_file(), "What this sandbox was founded from.", &record)?;
    renew_credentials(&layout, &record, now)?;
    site.finish(folder)
}

/// Issues a new credential to every person. The old ones stay valid until they expire.
///
/// # Errors
/// If a key is missing.
pub(crate) fn renew_credentials(layout: &Layout, record: &Record, now: UtcTime) -> Result<(), Report> {
    for person in &record.person {
        let not_before = whole_seconds(now, 0);
        let credential = Credential {
            space: record.space.clone(),
            member: person.member.clone(),
            person: person.id.clone(),
            roles: person.roles.clone(),
            key: SigningKey::load(&layout.person(&person.id).join("person.key"))?.public(),
            not_before,
            expires: whole_seconds(not_before, limit::CREDENTIAL_SECONDS_MAX),
        };
        let text = credential.issue(&SigningKey::load(&layout.member_key(&person.member))?)?;
        write_private(
            &layout.person(&person.id).join("credential.jwt"),
            format!("{text}\n").as_bytes(),
        )?;
    }
    Ok(())
}

/// What the board signed.
struct Signed {
    root: Vec<u8>,
    targets: Vec<u8>,
    files: BTreeMap<String, Vec<u8>>,
    rules: Rules,
}

impl Signed {
    /// Compiles first: what nodes would refuse is refused before anybody signs.
    fn draft_and_sign(spec: &Spec, keys: &Keys, now: UtcTime) -> Result<Self, Report> {
        let expires = whole_seconds(now, SIGNED_SECONDS);
        let files = documents(spec, keys)?;
        let draft = Draft::targets(&spec.space, 1, expires, &files, &[])?;
        let rules = Rules::compile_files(draft.version(), draft.digest(), &files);
        let rules = rules.map_err(|report| on_this_machine(report, &spec.origins))?;
        let root = Draft::root(&spec.space, 1, expires, &roles(spec, keys))?;
        let signers = || keys.board.iter().take(usize::from(spec.board.threshold));
        let targets = draft.assemble(signers().map(|key| draft.sign(key)).collect());
        let root = root.assemble(signers().map(|key| root.sign(key)).collect());
        Ok(Self {
            root,
            targets,
            files,
            rules,
        })
    }

    fn publish(&self, layout: &Layout, keys: broker::OnlineKeys, now: UtcTime) -> Result<(), Report> {
        let repository = broker::Repository::found(&layout.broker().join("repository"), &self.root)?;
        let publication = broker::Publication {
            targets: self.targets.clone(),
            delegated: BTreeMap::new(),
            files: self.files.clone(),
        };
        repository.publish(&keys, &publication, now)
    }
}

/// Calls a file as the person who wrote it knows it, not as the data space does.
fn on_this_machine(report: Report, origins: &BTreeMap<String, PathBuf>) -> Report {
    let begins = |(name, path): (&String, &PathBuf)| {
        let rest = report.message.strip_prefix(name.as_str())?;
        Some(format!("{}{rest}", path.display()))
    };
    match origins.iter().find_map(begins) {
        Some(message) => Report { message, ..report },
        None => report,
    }
}

fn roles(spec: &Spec, keys: &Keys) -> BoardRoles {
    let board = || RoleKeys {
        keys: keys.board.iter().map(SigningKey::public).collect(),
        threshold: spec.board.threshold,
    };
    let alone = |key: &SigningKey| RoleKeys {
        keys: vec![key.public()],
        threshold: 1,
    };
    let (snapshot, timestamp) = (alone(&keys.online.snapshot), alone(&keys.online.timestamp));
    BoardRoles {
        root: board(),
        targets: board(),
        snapshot,
        timestamp,
    }
}

#[derive(Serialize)]
struct SpaceFile<'a> {
    id: &'a str,
    title: &'a str,
}

#[derive(Serialize)]
struct Roster<'a> {
    member: Vec<RosterRow<'a>>,
}

#[derive(Serialize)]
struct RosterRow<'a> {
    id: &'a MemberId,
    title: &'a str,
    roles: Vec<&'a RoleName>,
    key: PublicKey,
}

/// All files of the data space, those that the specification names and those that say who belongs.
fn documents(spec: &Spec, keys: &Keys) -> Result<BTreeMap<String, Vec<u8>>, Report> {
    let nodes = spec.nodes.iter().map(|node| (&node.id, &node.member));
    let rows = nodes.chain(&spec.members).map(|(id, member)| {
        let key = keys.of_member(id)?.public();
        Ok(RosterRow {
            id,
            title: &member.title,
            roles: member.roles.iter().collect(),
            key,
        })
    });
    let roster = Roster {
        member: rows.collect::<Result<_, Report>>()?,
    };
    let space = SpaceFile {
        id: spec.space.as_str(),
        title: &spec.title,
    };
    let mut files = spec.files.clone();
    files.insert("space.toml".to_owned(), document(&space)?);
    files.insert("members.toml".to_owned(), document(&roster)?);
    Ok(files)
}

fn document(value: &impl Serialize) -> Result<Vec<u8>, Report> {
    let text = toml::to_string(value).map_err(|error| Problem::Internal.report(error.to_string()))?;
    Ok(text.into_bytes())
}

/// The signed files once more, for people to read.
fn write_files(layout: &Layout, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Report> {
    for (name, bytes) in files {
        let path = layout.space().join(name);
        make_folder(path.parent().unwrap_or(&path))?;
        write_private(&path, bytes)?;
    }
    Ok(())
}

/// A sandbox goes down within seconds, whatever somebody is still reading, and all of it comes from one address.
fn on_one_machine<Limits: TryFrom<BTreeMap<String, i64>> + Default>() -> Limits {
    let limits = [
        ("drain_seconds", 2),
        ("connections_per_address", limit::CONNECTIONS_MAX as i64),
    ];
    Limits::try_from(limits.map(|(name, value)| (name.to_owned(), value)).into()).unwrap_or_default()
}

/// One configuration for each party, each with its own copy of the pinned root, as if they lived far apart.
fn configure(spec: &Spec, layout: &Layout, places: &Places, broker_key: PublicKey, root: &[u8]) -> Result<(), Report> {
    let broker = PeerConfig::direct(places.broker.clone(), broker_key);
    let config = broker::Config {
        space: spec.space.clone(),
        listen: places.broker_listens.clone(),
        key: PathBuf::from("broker.key"),
        repository: Some(PathBuf::from("repository")),
        store: None,
        store_file: None,
        snapshot_key: PathBuf::from("snapshot.key"),
        timestamp_key: PathBuf::from("timestamp.key"),
        root: PathBuf::from("root.json"),
        data: PathBuf::from("data"),
        limits: on_one_machine(),
        metrics: None,
    };
    write_private(&layout.broker().join("root.json"), root)?;
    write_config(&layout.broker_config(), "The broker of a sandbox.", &config)?;
    for node in &spec.nodes {
        let config = node::Config {
            space: spec.space.clone(),
            member: node.id.clone(),
            listen: (node.reach == Reach::Direct).then(|| places.nodes_listen.clone()),
            advertise: None,
            key: PathBuf::from("node.key"),
            root: PathBuf::from("root.json"),
            anchor: None,
            data: PathBuf::from("data"),
            tunnels: node.reach.tunnels(),
            refresh_seconds: 30,
            limits: on_one_machine(),
            metrics: None,
            traces: None,
            broker: broker.clone(),
        };
        write_private(&layout.node(&node.id).join("root.json"), root)?;
        write_config(&layout.node_config(&node.id), "A node of a sandbox.", &config)?;
    }
    for person in &spec.people {
        let config = federation::Profile {
            space: spec.space.clone(),
            member: person.member.clone(),
            person: person.id.clone(),
            key: PathBuf::from("person.key"),
            credential: PathBuf::from("credential.jwt"),
            root: PathBuf::from("root.json"),
            data: PathBuf::from("cache"),
            broker: broker.clone(),
        };
        write_private(&layout.person(&person.id).join("root.json"), root)?;
        write_config(&layout.person_config(&person.id), "A person of a sandbox.", &config)?;
    }
    Ok(())
}

fn parties(spec: &Spec) -> String {
    let nodes = counted(spec.nodes.len(), "node", "nodes");
    let board = counted(usize::from(spec.board.members), "board member", "board members");
    let people = counted(spec.people.len(), "person", "people");
    format!("{nodes}, {board} and {people}")
}

/// A number and its noun.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {many}")
    }
}

/// The second in which `time` lies, or so many after it: what a credential can say.
pub(crate) fn whole_seconds(time: UtcTime, later: i64) -> UtcTime {
    UtcTime::from_second(time.as_second().saturating_add(later)).unwrap_or(UtcTime::MAX)
}
