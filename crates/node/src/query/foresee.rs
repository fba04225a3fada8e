//! Whether a query would be answered: decided like the query itself, and told together with what it would cost.
//!
//! It must never read data, charge, or say anything that documents and the asker's own quotas do not say. That somebody asked
//! whether is recorded, and counts neither as a query nor towards a lock-out: what documents say is no secret to search for.

use policy::{Asked, Disclosure, Grant, Zeros};
use terms::{CollectionId, QueryId, Report};
use tracing::{info, instrument};
use wire::dry_run::{AllowingRule, Checks, Cost, Dominance, Quota, Tier, Window, WouldAllow};
use wire::status::Ended;

use super::{Arrival, Desk, Refused, require_tellable};
use crate::ledger::{Opening, Permitted};

impl Desk {
    /// Says whether a query would be answered. What cannot be proved to come from a person is neither looked at nor recorded.
    #[instrument(skip_all, fields(member = %self.member, query_id))]
    pub(crate) async fn foresee(&self, arrival: Arrival<'_>, sql: &str) -> Result<WouldAllow, Ended> {
        self.require_open()?;
        let (current, now) = (self.governance.current()?, self.clock.now());
        let asker = self.asker(arrival, sql, &current, now)?;
        let query_id = trust::new_query_id()?;
        tracing::Span::current().record("query_id", query_id.as_str());
        let ended = |report: Report| Ended {
            report,
            query_id: Some(query_id.clone()),
        };
        let opening = Opening {
            // A name is that of an answer, which this is not.
            named: None,
            ..asker.opening(&query_id, sql)
        };
        let entry = self.ledger.open_entry(opening).map_err(ended)?;
        let asked = |collection: &CollectionId| self.ledger.asked(asker.asking(collection), now);
        let decided = match self.require_may_ask(&current, &asker.caller, now) {
            Ok(()) => self.decide_only(&current, &asker, sql, now, asked).await,
            Err(report) => Err(report.into()),
        };
        let would = decided.and_then(|(query, requests, grant)| {
            let permitted = Permitted::from(&grant);
            let can_run = require_tellable(&permitted)
                .and_then(|()| self.datasets_of(&grant).map(drop))
                .and_then(|()| engine::enforce::admit(&query, &grant).map(drop));
            can_run.map_err(|report| Refused::under(&grant, report))?;
            let would = would_allow(&query_id, &grant, requests.asked.asked);
            Ok((query, permitted, would))
        });
        match would {
            Ok((query, permitted, would)) => {
                let entry = entry.about(query.collection());
                entry.would_be_allowed(permitted).await.map_err(ended)?;
                info!(decision = "allow", "foreseen");
                Ok(would)
            }
            Err(Refused { report, decided_by }) => {
                entry.would_be_refused(&report, decided_by).await.map_err(ended)?;
                info!(decision = "refuse", problem = %report.problem, "foreseen");
                Err(ended(report))
            }
        }
    }
}

impl Refused {
    /// What a permission allows and the node refuses all the same.
    fn under(grant: &Grant, report: Report) -> Self {
        let decided_by = Some((grant.policy().clone(), grant.version(), Some(grant.rule().clone())));
        Self { report, decided_by }
    }
}

fn would_allow(query_id: &QueryId, grant: &Grant, asked: Asked) -> WouldAllow {
    let all = std::iter::once(grant).chain(grant.joined());
    WouldAllow {
        query_id: query_id.clone(),
        rules: all.map(allowing_rule).collect(),
        permit: grant.permit().map(|permit| permit.id.clone()),
        checks: checks(grant.disclosure()),
        duties: grant.duties().map(ToString::to_string).collect(),
        costs: costs(grant, asked),
    }
}

fn allowing_rule(grant: &Grant) -> AllowingRule {
    AllowingRule {
        collection: grant.collection().id.clone(),
        policy: grant.policy().clone(),
        version: grant.version(),
        rule: grant.rule().clone(),
    }
}

fn checks(disclosure: &Disclosure) -> Checks {
    let (tier, min_people) = match disclosure.tier {
        policy::Tier::Open => (Tier::Open, None),
        policy::Tier::Statistical { min_people } => (Tier::Statistical, Some(min_people.get())),
    };
    Checks {
        tier,
        min_people,
        dominance: disclosure.dominance.map(|rule| Dominance {
            top: rule.top,
            share: rule.share,
        }),
        p_percent: disclosure.p_percent,
        round_to: disclosure.round_to,
        zeros_protected: disclosure.zeros == Zeros::Protected,
    }
}

/// One query of each quota that is set. What is joined is not charged.
fn costs(grant: &Grant, asked: Asked) -> Vec<Cost> {
    let of_person = grant.disclosure().queries;
    let of_permit = grant.permit().map(|permit| permit.queries).unwrap_or_default();
    let all = [
        (Quota::Person, Window::Minute, of_person.per_minute, asked.minute),
        (Quota::Person, Window::Week, of_person.per_week, asked.week),
        (Quota::Permit, Window::Minute, of_permit.per_minute, asked.permit_minute),
        (Quota::Permit, Window::Week, of_permit.per_week, asked.permit_week),
    ];
    let cost = |(quota, window, limit, used): (Quota, Window, Option<u32>, u32)| {
        let limit = limit?;
        Some(Cost {
            quota,
            window,
            limit,
            used,
        })
    };
    all.into_iter().filter_map(cost).collect()
}

#[cfg(test)]
mod tests;
