//! What a node says of itself, signed by its institution: where it is and what it offers.
//!
//! A description travels sealed and is opened in one place, [`open`], by the broker and again by everybody who
//! reads the catalogue. It must never say how many rows there are.

use serde::{Deserialize, Serialize};
use terms::{CollectionId, MemberId, Problem, Report, SpaceId, UtcTime};
use trust::{PublicKey, SigningKey, Verified};

use crate::statement::Kind;

/// DSSE payload type of a [`NodeDescription`].
const PAYLOAD_TYPE: &str = "application/vnd.datenraum.node-description.v1+json";

/// Largest sealed description, in bytes: a node with a hundred datasets. A catalogue is one message of many of them.
pub const DESCRIPTION_BYTES_MAX: usize = 16 * 1024;

const DESCRIPTION: Kind = Kind {
    payload_type: PAYLOAD_TYPE,
    name: "node's description",
    bytes_max: DESCRIPTION_BYTES_MAX,
};

/// The name for which the broker's certificate is made, and the audience of proofs that are meant for it.
pub const BROKER_AUDIENCE: &str = "broker";

/// What stands for the query in a proof that accompanies a `Discover` call: its digest.
pub const DISCOVER_QUERY: &[u8] = b"discover";

/// A node and its datasets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeDescription {
    /// The data space.
    pub space: SpaceId,
    /// The institution; its key in the roster signs this description and the node's TLS.
    pub member: MemberId,
    /// Where the node listens, `host:port`, if it takes connections from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether it is also reached through the broker.
    #[serde(default)]
    pub relayed: bool,
    /// What it offers.
    pub datasets: Vec<OfferedDataset>,
    /// When this was said. A broker keeps the latest only.
    pub issued: UtcTime,
}

/// One dataset that conforms to a collection. Deliberately without row counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferedDataset {
    /// The harmonised schema.
    pub collection: CollectionId,
    /// When the data last changed.
    pub updated: UtcTime,
    /// Whether they are made up. Whoever is too old to know it does not see the node, rather than take them for real.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub synthetic: bool,
    /// Whether days of people are moved in them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub days_moved: bool,
}

/// Signs a description with the institution's key.
///
/// # Errors
/// [`Problem::DataSchema`] if it is larger than a broker takes.
pub fn seal(description: &NodeDescription, key: &SigningKey) -> Result<Vec<u8>, Report> {
    DESCRIPTION.seal(description, key)?.ok_or_else(|| {
        let message = format!("the node's description has more than {DESCRIPTION_BYTES_MAX} bytes");
        Problem::DataSchema.report(message).remedy("offer fewer datasets")
    })
}

/// Opens a sealed description with the key that the roster names for the institution that it claims to be of.
/// Space and time are for the caller to check.
///
/// # Errors
/// [`Problem::Answer`] if it is too large, not of a member, not signed by that member, or not a description.
pub fn open(
    sealed: &[u8],
    member_key: impl Fn(&MemberId) -> Option<PublicKey>,
) -> Result<Verified<NodeDescription>, Report> {
    DESCRIPTION.open(sealed, member_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> NodeDescription {
        NodeDescription {
            space: "oncology".parse().unwrap(),
            member: "gbsg".parse().unwrap(),
            address: Some("127.0.0.1:1".to_owned()),
            relayed: false,
            datasets: Vec::new(),
            issued: "2026-11-21T12:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_strangers_seal_and_a_stranger_are_refused() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let sealed = seal(&description(), &other).unwrap();
        assert_eq!(
            open(&sealed, |_| Some(key.public())).unwrap_err().problem,
            Problem::Answer
        );
        let sealed = seal(&description(), &key).unwrap();
        assert_eq!(open(&sealed, |_| None).unwrap_err().problem, Problem::Answer);
        assert_eq!(*open(&sealed, |_| Some(key.public())).unwrap(), description());
    }

    #[test]
    fn what_is_too_large_or_not_an_envelope_is_refused() {
        let key = SigningKey::generate().unwrap();
        let large = NodeDescription {
            address: Some("a".repeat(DESCRIPTION_BYTES_MAX)),
            ..description()
        };
        assert!(seal(&large, &key).is_err());
        for sealed in [
            &b""[..],
            b"{}",
            b"{\"payload\":\"e30=\"}",
            &vec![b' '; DESCRIPTION_BYTES_MAX + 1],
        ] {
            assert!(open(sealed, |_| Some(key.public())).is_err());
        }
    }
}
