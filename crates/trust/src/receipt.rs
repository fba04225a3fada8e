//! What a node signs about each release: who released what to which query, under which policy.
//!
//! The client checks and keeps receipts; an auditor compares them with the node's audit. A receipt holds
//! digests and counts, never a value. Next: [`crate::merkle`], where `audit_index` points.

use std::fmt;

use serde::{Deserialize, Serialize};
use terms::{
    CollectionId, MemberId, PermitId, PolicyId, Problem, QueryId, Report, RequestId, RuleId, SpaceId, UtcTime,
};

use crate::digest::Digest;
use crate::dsse::{Envelope, EnvelopeError};
use crate::key::{PublicKey, SigningKey};
use crate::verified::Verified;

/// The DSSE payload type of receipts.
pub const RECEIPT_TYPE: &str = "application/vnd.datenraum.receipt.v1+json";

/// What allowed the rows of a collection to be joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinedPolicy {
    /// The collection.
    pub collection: CollectionId,
    /// The policy on it.
    pub policy: PolicyId,
    /// Its version.
    pub version: u64,
    /// The digest of its text.
    pub digest: Digest,
    /// The permission in it.
    pub rule: RuleId,
}

impl fmt::Display for JoinedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            collection,
            policy,
            version,
            rule,
            digest: _,
        } = self;
        write!(f, "{collection} under {policy} version {version}, rule {rule}")
    }
}

/// Which data a release is from: a node numbers what it publishes of a collection, and a number is never used for other data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataVersion {
    /// The collection.
    pub collection: CollectionId,
    /// From 1 on.
    pub version: u64,
    /// Of the node's snapshot. It has keyed hashes of people in it, so nobody can try out what the data are.
    pub digest: Digest,
    /// Whether they are made up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub synthetic: bool,
}

impl fmt::Display for DataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let synthetic = if self.synthetic { ", synthetic" } else { "" };
        write!(f, "{} version {}{synthetic}", self.collection, self.version)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// One release, as the node that released it describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The query at this node.
    pub query_id: QueryId,
    /// What the asker called the request, where they did: so an answer to another request, of whomever, is not taken for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// The node that released.
    pub node: MemberId,
    /// The data space.
    pub space: SpaceId,
    /// Digest of the query that was asked, the same that the person's proof names.
    pub query: Digest,
    /// The policy that allowed it.
    pub policy: PolicyId,
    /// Its version.
    pub policy_version: u64,
    /// Digest of the document set that the policy came from.
    pub policy_digest: Digest,
    /// The data permit under which it was released, once the request was covered by it.
    pub permit: Option<PermitId>,
    /// The permission that allowed it.
    pub rule: RuleId,
    /// What else allowed it, of each collection that was joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<JoinedPolicy>,
    /// The data of the collection asked, and of each that was joined. A node that is older than this says nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataVersion>,
    /// The smallest number of people that a released cell may describe, where there is one.
    pub min_people: Option<u32>,
    /// What the policy asks of whoever receives the answer. Nobody can say later that they were not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duties: Vec<String>,
    /// Rows that were released.
    pub rows: u64,
    /// Values in released cells that were blanked. Whole cells that were withheld are not counted: their number would
    /// say whether somebody is in them.
    pub blanked_values: u64,
    /// Values that are those of an earlier answer about nearly the same people, in place of newer ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kept_values: u64,
    /// Counts were rounded to multiples of this, and other numbers to three digits, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_to: Option<u32>,
    /// Digest of the released bytes.
    pub result: Digest,
    /// Index of the release in the node's audit, from 0.
    pub audit_index: u64,
    /// When it was released.
    pub at: UtcTime,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Receipt {
    /// Signs the receipt with the node's key.
    ///
    /// # Errors
    /// [`EnvelopeError::Unwritable`], which no receipt causes.
    pub fn seal(&self, key: &SigningKey) -> Result<Envelope, EnvelopeError> {
        Envelope::seal(RECEIPT_TYPE, self, key)
    }

    /// Checks a receipt against the key that the roster names for the node.
    ///
    /// # Errors
    /// [`Problem::Answer`] if it is not a receipt that this key signed.
    pub fn open(envelope: &Envelope, key: &PublicKey) -> Result<Verified<Receipt>, Report> {
        let opened = envelope.open(RECEIPT_TYPE, key);
        opened.map_err(|error| Problem::Answer.report(format!("the receipt does not verify: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> Receipt {
        Receipt {
            query_id: "q-1".parse().unwrap(),
            request: None,
            node: "gbsg".parse().unwrap(),
            space: "oncology".parse().unwrap(),
            query: Digest::of(b"query"),
            policy: "breast-cancer-research".parse().unwrap(),
            policy_version: 3,
            policy_digest: Digest::of(b"policy"),
            permit: None,
            rule: "statistics".parse().unwrap(),
            joined: Vec::new(),
            data: vec![data()],
            min_people: Some(10),
            duties: vec!["delete within 30 days".to_owned()],
            rows: 12,
            blanked_values: 1,
            kept_values: 2,
            round_to: Some(5),
            result: Digest::of(b"result"),
            audit_index: 7,
            at: "2026-11-21T12:00:00Z".parse().unwrap(),
        }
    }

    fn data() -> DataVersion {
        DataVersion {
            collection: "breast-cancer".parse().unwrap(),
            version: 4,
            digest: Digest::of(b"snapshot"),
            synthetic: true,
        }
    }

    #[test]
    fn a_receipt_of_a_node_that_says_nothing_of_its_data_is_read() {
        let old = Receipt {
            data: Vec::new(),
            ..receipt()
        };
        let text = serde_json::to_string(&old).unwrap();
        assert!(!text.contains("\"data\""), "{text}");
        assert_eq!(serde_json::from_str::<Receipt>(&text).unwrap(), old);
        assert_eq!(data().to_string(), "breast-cancer version 4, synthetic");
    }

    #[test]
    fn a_receipt_of_another_node_is_refused() {
        let key = SigningKey::generate().unwrap();
        let envelope = receipt().seal(&SigningKey::generate().unwrap()).unwrap();
        assert_eq!(
            Receipt::open(&envelope, &key.public()).unwrap_err().problem,
            Problem::Answer
        );
    }

    #[test]
    fn a_receipt_is_read_as_it_was_signed() {
        let key = SigningKey::generate().unwrap();
        let opened = Receipt::open(&receipt().seal(&key).unwrap(), &key.public()).unwrap();
        assert_eq!(opened.into_inner(), receipt());
    }
}
