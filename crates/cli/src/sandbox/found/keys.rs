//! The keys of all parties of a sandbox. Throw-away keys: whoever has the folder has the data space.

use std::collections::BTreeMap;
use std::path::Path;

use broker::OnlineKeys;
use terms::{MemberId, Problem, Report};
use trust::{PublicKey, SigningKey};

use crate::sandbox::layout::{Layout, make_folder, write_private};
use crate::sandbox::spec::Spec;

const WARNING: &str = "\
These are throw-away keys of a sandbox. All of them lie on one machine, so a signature by them shows nothing.
Never use them for anything else. In a real data space each board member keeps their own key, offline.
";

/// All keys that founding needs. Those of people are read again when their credentials are issued.
pub(super) struct Keys {
    pub(super) board: Vec<SigningKey>,
    pub(super) online: OnlineKeys,
    pub(super) broker: PublicKey,
    members: BTreeMap<MemberId, SigningKey>,
}

impl Keys {
    /// Makes every key and writes it to where its owner keeps it.
    pub(super) fn make(spec: &Spec, layout: &Layout) -> Result<Self, Report> {
        let mut board = Vec::new();
        for number in 1..=spec.board.members {
            board.push(new_key(&layout.board().join(format!("member-{number}.key")))?);
        }
        write_private(&layout.board().join("README.txt"), WARNING.as_bytes())?;
        let mut members = BTreeMap::new();
        for node in &spec.nodes {
            members.insert(node.id.clone(), new_key(&layout.node(&node.id).join("node.key"))?);
        }
        for id in spec.members.keys() {
            members.insert(id.clone(), new_key(&layout.member_key(id))?);
        }
        for person in &spec.people {
            new_key(&layout.person(&person.id).join("person.key"))?;
        }
        let broker = layout.broker();
        let online = OnlineKeys {
            snapshot: new_key(&broker.join("snapshot.key"))?,
            timestamp: new_key(&broker.join("timestamp.key"))?,
        };
        Ok(Self {
            board,
            online,
            broker: new_key(&broker.join("broker.key"))?.public(),
            members,
        })
    }

    pub(super) fn of_member(&self, id: &MemberId) -> Result<&SigningKey, Report> {
        self.members
            .get(id)
            .ok_or_else(|| Problem::Internal.report(format!("the member {id} has no key")))
    }
}

fn new_key(path: &Path) -> Result<SigningKey, Report> {
    make_folder(path.parent().unwrap_or(path))?;
    let key = SigningKey::generate()?;
    key.save_new(path)?;
    Ok(key)
}
