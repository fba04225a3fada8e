//! What a node says when it is asked whether it would answer a query: by which rules, under which checks, at what cost.
//!
//! [`WouldAllow::encode`] and [`WouldAllow::parse`] are the two ends. It must never say anything that depends on data. A
//! refusal is the call's status, as of a query: [`crate::status`].

use prost::Message;
use serde::Serialize;
use terms::{CollectionId, PermitId, PolicyId, QueryId, RuleId};

use crate::status::plain;
use crate::v1;

/// The name of the Flight action.
pub const ACTION: &str = "datenraum.v1.DryRun";

/// Largest answer that is taken from a node, in bytes: the most duties that a receipt tells, with room for names.
pub const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// A query would be allowed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WouldAllow {
    /// Under this id the node's audit says who asked whether.
    pub query_id: QueryId,
    /// What allows it: of the collection asked, then of each that is joined.
    pub rules: Vec<AllowingRule>,
    /// The data permit that covers it.
    pub permit: Option<PermitId>,
    /// What the answer would be held against.
    pub checks: Checks,
    /// What whoever has the answer would be asked to do or leave.
    pub duties: Vec<String>,
    /// What the query would cost; nothing where no quota is set.
    pub costs: Vec<Cost>,
}

/// A rule that allows the use of one collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AllowingRule {
    /// The collection.
    pub collection: CollectionId,
    /// The policy.
    pub policy: PolicyId,
    /// Its version.
    pub version: u64,
    /// The permission in it.
    pub rule: RuleId,
}

/// What an answer would be held against.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checks {
    /// How strictly.
    pub tier: Tier,
    /// The fewest people of a cell; none in the open tier.
    pub min_people: Option<u32>,
    /// A cell is withheld if so many give more than this share of it.
    pub dominance: Option<Dominance>,
    /// A cell is withheld if somebody could estimate another's value to within so many percent.
    pub p_percent: Option<u32>,
    /// Numbers are rounded to multiples of this.
    pub round_to: Option<u32>,
    /// Empty cells are withheld like small ones.
    pub zeros_protected: bool,
}

/// How strictly results are controlled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Not at all.
    Open,
    /// A cell is about enough people.
    Statistical,
}

/// (n,k) dominance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Dominance {
    /// So many largest contributors
    pub top: u32,
    /// may give at most this share.
    pub share: f64,
}

/// One query of so many within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Whose quota.
    pub quota: Quota,
    /// Within which time.
    pub window: Window,
    /// So many are allowed,
    pub limit: u32,
    /// and so many were used before.
    pub used: u32,
}

/// Whose queries are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Quota {
    /// The asker's, about this collection.
    Person,
    /// Those of everybody whom the permit names.
    Permit,
}

/// The time within which queries are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// 60 seconds.
    Minute,
    /// Seven days.
    Week,
}

impl WouldAllow {
    /// The message.
    pub fn encode(self) -> Vec<u8> {
        let rules = self.rules.into_iter().map(AllowingRule::into_message);
        let costs = self.costs.into_iter().map(Cost::into_message);
        let message = v1::DryRunResponse {
            query_id: self.query_id.to_string(),
            rules: rules.collect(),
            permit: self.permit.map(|permit| permit.to_string()),
            checks: Some(self.checks.into_message()),
            duties: self.duties,
            costs: costs.collect(),
        };
        message.encode_to_vec()
    }

    /// Reads a message of a node that is not believed. `None` unless it says everything, and nothing that cannot be. What it says in
    /// words is plain text.
    pub fn parse(message: &[u8]) -> Option<Self> {
        if message.len() > RESPONSE_BYTES_MAX {
            return None;
        }
        let message = v1::DryRunResponse::decode(message).ok()?;
        let rules: Vec<AllowingRule> = message
            .rules
            .into_iter()
            .map(AllowingRule::parse)
            .collect::<Option<_>>()?;
        if rules.is_empty() {
            return None;
        }
        Some(Self {
            query_id: message.query_id.parse().ok()?,
            rules,
            permit: message.permit.map(|permit| permit.parse()).transpose().ok()?,
            checks: Checks::parse(message.checks?)?,
            duties: message.duties.iter().map(|duty| plain(duty)).collect(),
            costs: message.costs.into_iter().map(Cost::parse).collect::<Option<_>>()?,
        })
    }
}

impl AllowingRule {
    fn into_message(self) -> v1::AllowingRule {
        v1::AllowingRule {
            collection: self.collection.to_string(),
            policy: self.policy.to_string(),
            version: self.version,
            rule: self.rule.to_string(),
        }
    }

    fn parse(message: v1::AllowingRule) -> Option<Self> {
        Some(Self {
            collection: message.collection.parse().ok()?,
            policy: message.policy.parse().ok()?,
            version: message.version,
            rule: message.rule.parse().ok()?,
        })
    }
}

impl Checks {
    fn into_message(self) -> v1::Checks {
        let tier = match self.tier {
            Tier::Open => v1::Tier::Open,
            Tier::Statistical => v1::Tier::Statistical,
        };
        v1::Checks {
            tier: tier.into(),
            min_people: self.min_people,
            dominance: self
                .dominance
                .map(|Dominance { top, share }| v1::Dominance { top, share }),
            p_percent: self.p_percent,
            round_to: self.round_to,
            zeros_protected: self.zeros_protected,
        }
    }

    fn parse(message: v1::Checks) -> Option<Self> {
        let tier = match message.tier() {
            v1::Tier::Open => Tier::Open,
            v1::Tier::Statistical => Tier::Statistical,
            v1::Tier::Unspecified => return None,
        };
        let dominance = message
            .dominance
            .map(|v1::Dominance { top, share }| Dominance { top, share });
        let holds = match tier {
            Tier::Open => message.min_people.is_none(),
            // A group of one is a person.
            Tier::Statistical => message.min_people.is_some_and(|people| people >= 2),
        };
        let can_be = holds
            && dominance.is_none_or(|Dominance { top, share }| top > 0 && share > 0.0 && share < 1.0)
            && message.p_percent != Some(0)
            && message.round_to != Some(0);
        can_be.then_some(Self {
            tier,
            min_people: message.min_people,
            dominance,
            p_percent: message.p_percent,
            round_to: message.round_to,
            zeros_protected: message.zeros_protected,
        })
    }
}

impl Cost {
    fn into_message(self) -> v1::Cost {
        let quota = match self.quota {
            Quota::Person => v1::Quota::Person,
            Quota::Permit => v1::Quota::Permit,
        };
        let window = match self.window {
            Window::Minute => v1::Window::Minute,
            Window::Week => v1::Window::Week,
        };
        v1::Cost {
            quota: quota.into(),
            window: window.into(),
            limit: self.limit,
            used: self.used,
        }
    }

    fn parse(message: v1::Cost) -> Option<Self> {
        let quota = match message.quota() {
            v1::Quota::Person => Quota::Person,
            v1::Quota::Permit => Quota::Permit,
            v1::Quota::Unspecified => return None,
        };
        let window = match message.window() {
            v1::Window::Minute => Window::Minute,
            v1::Window::Week => Window::Week,
            v1::Window::Unspecified => return None,
        };
        let (limit, used) = (message.limit, message.used);
        // What is used up is refused.
        (used < limit).then_some(Self {
            quota,
            window,
            limit,
            used,
        })
    }
}

#[cfg(test)]
mod tests;
