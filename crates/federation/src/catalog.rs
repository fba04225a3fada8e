//! The catalogue as the asker knows it: who offers what, and where.
//!
//! A broker must not hide a node that it showed before, show it as it was long ago, or show it twice. So what it shows
//! is joined with what was kept, and of each node the latest description that verifies counts once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use policy::Rules;
use terms::{CollectionId, MemberId, Problem, Report};
use trust::Verified;
use wire::description::{self, NodeDescription, OfferedDataset};
use wire::{Connection, Person};

use crate::node::Peer;
use crate::profile::Profile;
use crate::split::{self, Leaf};

/// Where the last catalogue is kept, for when the broker is away. Descriptions are signed.
const CATALOG_FILE: &str = "catalog.json";

/// A node and what it offers.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) peer: Peer,
    /// What it says of its data of each collection.
    collections: BTreeMap<CollectionId, OfferedDataset>,
}

impl Offer {
    /// What the node says of its data of a collection; nothing if it has none.
    pub(crate) fn offered(&self, collection: &CollectionId) -> Option<&OfferedDataset> {
        self.collections.get(collection)
    }

    /// Whether the node is asked this part of a question. Whoever has the collection asked and not what is joined is asked too: it
    /// says that itself, so that it is not missing without a word.
    pub(crate) fn is_asked(&self, leaf: &Leaf) -> bool {
        self.collections.contains_key(&leaf.collection.id) && split::concerns(leaf, self.peer.member.as_str())
    }
}

/// The nodes of the space that are known to offer something, in the order of their names.
///
/// # Errors
/// If the broker cannot be asked and no catalogue is kept, or the broker refuses.
pub(crate) async fn offers(
    broker: &Result<Connection, Report>,
    profile: &Profile,
    who: &Person,
    rules: &Rules,
) -> Result<Vec<Offer>, Report> {
    let shown = match broker {
        Ok(broker) => who.discover(broker).await,
        Err(unreachable) => Err(unreachable.clone()),
    };
    let kept = kept_catalog(profile);
    let envelopes = match shown {
        Err(report) if report.problem == Problem::Unreachable => kept?,
        shown => {
            // Most were kept as they are shown: each is verified once.
            let all: BTreeSet<Vec<u8>> = shown?.into_iter().chain(kept.unwrap_or_default()).collect();
            all.into_iter().collect()
        }
    };
    let described = latest(&envelopes, rules);
    keep_catalog(profile, described.values().map(|(_, envelope)| *envelope));
    Ok(peers(&described, rules))
}

fn keep_catalog<'a>(profile: &Profile, envelopes: impl Iterator<Item = &'a [u8]>) {
    let texts: Vec<_> = envelopes.map(String::from_utf8_lossy).collect();
    // Whole or not at all: another question may be reading it.
    let draft = profile.data.join(format!("{CATALOG_FILE}.{}", std::process::id()));
    let written = serde_json::to_vec(&texts).map(|text| {
        fs::write(&draft, text)?;
        fs::rename(&draft, profile.data.join(CATALOG_FILE))
    });
    // Only a convenience: without it the catalogue is asked for again.
    drop(written);
}

fn kept_catalog(profile: &Profile) -> Result<Vec<Vec<u8>>, Report> {
    let unreachable = || Problem::Unreachable.report("the broker does not answer and no catalogue is kept");
    let text = fs::read(profile.data.join(CATALOG_FILE)).map_err(|_| unreachable())?;
    let texts: Vec<String> = serde_json::from_slice(&text).map_err(|_| unreachable())?;
    Ok(texts.into_iter().map(String::into_bytes).collect())
}

type Described<'a> = BTreeMap<MemberId, (Verified<NodeDescription>, &'a [u8])>;

/// The latest description of each node that verifies with the keys of the roster. Others do not exist for the asker,
/// and a node that is described twice is still one node.
fn latest<'a>(envelopes: &'a [Vec<u8>], rules: &Rules) -> Described<'a> {
    let key_of = |member: &MemberId| rules.members.get(member).map(|member| member.key);
    let mut described = Described::new();
    for envelope in envelopes {
        let Ok(description) = description::open(envelope, key_of) else {
            continue;
        };
        let known = described.get(&description.member);
        let is_later = known.is_none_or(|(known, _)| known.issued < description.issued);
        if description.space == rules.space.id && is_later {
            described.insert(description.member.clone(), (description, envelope.as_slice()));
        }
    }
    described
}

/// Where each node is and what it offers, in the order of their names.
fn peers(described: &Described<'_>, rules: &Rules) -> Vec<Offer> {
    let offer = |(description, _): &(Verified<NodeDescription>, &[u8])| {
        let peer = Peer {
            member: description.member.clone(),
            address: description.address.clone(),
            relayed: description.relayed,
            key: rules.members.get(&description.member)?.key,
        };
        let collections = description
            .datasets
            .iter()
            .map(|dataset| (dataset.collection.clone(), dataset.clone()))
            .collect();
        Some(Offer { peer, collections })
    };
    described.values().filter_map(offer).collect()
}

#[cfg(test)]
mod tests {
    use trust::{Digest, SigningKey};

    use super::*;

    fn rules(key: &SigningKey) -> Rules {
        let members = format!(
            "[[member]]\nid = \"gbsg\"\ntitle = \"GBSG\"\nroles = [\"hospital\"]\nkey = \"{}\"\n",
            key.public()
        );
        let files = [
            ("space.toml", "id = \"oncology\"\ntitle = \"Oncology\"\n"),
            ("members.toml", members.as_str()),
        ];
        let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        Rules::compile_files(1, Digest::of(b""), &files.into()).unwrap()
    }

    fn described(space: &str, address: &str, issued: &str, key: &SigningKey) -> Vec<u8> {
        let description = NodeDescription {
            space: space.parse().unwrap(),
            member: "gbsg".parse().unwrap(),
            address: Some(address.to_owned()),
            relayed: false,
            datasets: Vec::new(),
            issued: issued.parse().unwrap(),
        };
        description::seal(&description, key).unwrap()
    }

    #[test]
    fn a_node_that_a_broker_shows_twice_or_as_it_was_is_asked_once_and_where_it_is() {
        let key = SigningKey::generate().unwrap();
        let rules = rules(&key);
        let old = described("oncology", "127.0.0.1:1", "2026-11-20T12:00:00Z", &key);
        let new = described("oncology", "127.0.0.1:2", "2026-11-21T12:00:00Z", &key);
        for shown in [
            vec![new.clone(), new.clone()],
            vec![old.clone(), new.clone()],
            vec![new.clone(), old.clone()],
        ] {
            let offers = peers(&latest(&shown, &rules), &rules);
            let addresses: Vec<_> = offers.iter().map(|offer| offer.peer.address.as_deref()).collect();
            assert_eq!(addresses, [Some("127.0.0.1:2")]);
        }
    }

    #[test]
    fn a_description_of_another_space_or_key_is_no_node() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let rules = rules(&key);
        let foreign = described("cardiology", "127.0.0.1:1", "2026-11-21T12:00:00Z", &key);
        let forged = described("oncology", "127.0.0.1:1", "2026-11-21T12:00:00Z", &other);
        assert!(latest(&[foreign, forged, b"{}".to_vec()], &rules).is_empty());
    }
}
