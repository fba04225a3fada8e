//! What the ledger keeps about one query, and the one form in which it is written.
//!
//! The bytes that [`AuditEntry::leaf`] gives are what is hashed and what is exported: compact JSON, members in the order
//! of the fields below; those that came in a later form of the ledger are there only where they say something, so that
//! older entries keep their bytes. They never hold a value from a dataset. Next: `chain.rs`, which checks them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use terms::{
    CollectionId, MemberId, PermitId, PersonId, PolicyId, Problem, Purpose, QueryId, RoleName, RuleId, UtcTime,
};
use trust::{Digest, JoinedPolicy, Receipt};

/// Longest leaf that is read back, in bytes: SQL of the accepted length with every byte escaped, a message, and a
/// credential's worth of roles.
pub(crate) const LEAF_BYTES_MAX: usize = 512 * 1024;

/// One query that ended, or whose rows begin to leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// Position in the log, from 0.
    pub index: u64,
    /// When the query ended.
    pub at: UtcTime,
    /// The query.
    pub query_id: QueryId,
    /// Who asked; none if no credential held.
    pub caller: Option<AuditCaller>,
    /// What for.
    pub purpose: Option<Purpose>,
    /// Under which data permit: if the query was allowed, the one that covers it, else the one that the request names.
    pub permit: Option<PermitId>,
    /// What was asked, cut to the longest SQL text that is parsed.
    pub sql: String,
    /// Digest of the whole query, as the caller's proof names it.
    pub query: Digest,
    /// How it ended, or that its rows begin to leave.
    pub outcome: Outcome,
    /// Whether this is the end of an answer that an earlier entry of the same query says to have begun.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ends_begun: bool,
    /// About which collection; none if the query was not read so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<CollectionId>,
    /// What decided; none if it did not come to a decision.
    pub policy: Option<AuditPolicy>,
    /// What else allowed the query, of each collection that it joins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<JoinedPolicy>,
    /// What the asker was told to do or leave with the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duties: Vec<String>,
    /// Why nothing was released.
    pub problem: Option<Problem>,
    /// The sentence that the caller was told.
    pub message: Option<String>,
    /// Rows that were released; of an aggregate these are its cells. Of an answer that had begun and did not come to its end, those
    /// that were handed out until then.
    pub rows: u64,
    /// Bytes of the released values as Arrow lays them out: values, offsets and masks of the arrays that left, without
    /// the framing that the wire puts around them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes: u64,
    /// Cells that were held back in what was released.
    pub blanked_values: u64,
    /// Digest of what was released.
    pub result: Option<Digest>,
    /// From asking to the end, in milliseconds.
    pub took_ms: u64,
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditCaller {
    /// The institution that vouches for the person.
    pub member: MemberId,
    /// The person.
    pub person: PersonId,
    /// In which roles the person acted.
    pub roles: BTreeSet<RoleName>,
}

/// The text that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditPolicy {
    /// The policy.
    pub id: PolicyId,
    /// Its version.
    pub version: u64,
    /// Digest of its text; none where a refusal was made without reading on.
    pub digest: Option<Digest>,
    /// The rule in it; none where no rule covered the request.
    pub rule: Option<RuleId>,
}

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Results left the node.
    Released,
    /// Rows begin to leave while others are read. A later entry of the same query says how that ended and how many they were;
    /// where there is none, as many as there were may have left.
    Begun,
    /// It was not allowed to run, or was not a query that a node runs.
    Refused,
    /// It was allowed and did not finish.
    Failed,
    /// Nobody waited for the end: the caller went away, or the node dropped it.
    Abandoned,
    /// It was released, as an earlier entry of the same query says, and access was revoked while the answer was on its
    /// way. Rows are those that were handed out until then.
    Revoked,
    /// Whether it would be allowed was asked and told, as the policy or the problem says. Nothing was read, and it counts nowhere.
    Foreseen,
}

impl AuditEntry {
    /// Whether a policy allowed the query to run: then it counts against the asker's quota, whatever became of it.
    pub(crate) fn was_allowed(&self) -> bool {
        // Only an allowed query was decided by a text that was read. A revocation, and the end of what had begun, are about one
        // that is counted; what was foreseen did not run.
        let counts_nothing = matches!(self.outcome, Outcome::Revoked | Outcome::Foreseen) || self.ends_begun;
        !counts_nothing && self.policy.as_ref().is_some_and(|policy| policy.digest.is_some())
    }

    /// In what this entry does not say what a receipt says, if in anything.
    pub(crate) fn unlike(&self, receipt: &Receipt) -> Option<&'static str> {
        let policy = self.policy.as_ref();
        let same = [
            ("query id", self.query_id == receipt.query_id),
            ("query digest", self.query == receipt.query),
            ("outcome", self.outcome == Outcome::Released),
            ("policy", policy.is_some_and(|policy| policy.id == receipt.policy)),
            (
                "policy version",
                policy.is_some_and(|policy| policy.version == receipt.policy_version),
            ),
            (
                "policy digest",
                policy.is_some_and(|policy| policy.digest == Some(receipt.policy_digest)),
            ),
            (
                "rule",
                policy.is_some_and(|policy| policy.rule.as_ref() == Some(&receipt.rule)),
            ),
            ("joined policies", self.joined == receipt.joined),
            ("permit", self.permit == receipt.permit),
            ("duties", self.duties == receipt.duties),
            ("rows", self.rows == receipt.rows),
            ("blanked values", self.blanked_values == receipt.blanked_values),
            ("result digest", self.result == Some(receipt.result)),
        ];
        same.into_iter().find(|(_, is_same)| !is_same).map(|(field, _)| field)
    }

    /// The bytes that stand for this entry in the log.
    ///
    /// # Errors
    /// Only if JSON cannot be written, which has no cause in these fields.
    pub(crate) fn leaf(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads a leaf. Another spelling of the same entry is not one: what was hashed has one meaning and one form.
    pub(crate) fn read(leaf: &[u8]) -> Option<AuditEntry> {
        if leaf.len() > LEAF_BYTES_MAX {
            return None;
        }
        let entry: AuditEntry = serde_json::from_slice(leaf).ok()?;
        (entry.leaf().ok()? == leaf).then_some(entry)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(truth: &bool) -> bool {
    !*truth
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl From<policy::Caller> for AuditCaller {
    fn from(caller: policy::Caller) -> Self {
        Self {
            member: caller.member,
            person: caller.person,
            roles: caller.roles,
        }
    }
}
