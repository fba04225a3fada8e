//! What a permission demands of a request that it covers, so that of several the one that demands least can be taken.
//!
//! The order is total, and agrees with every comparison that has an answer: whoever asks for more people in a cell,
//! for a row filter, for one more duty or for a shorter time demands more. Where one permission is laxer in one respect
//! and another in another, the respect that is named first in [`Demands`] decides; nothing is ever mixed from two.

use std::cmp::Reverse;

use crate::disclosure::{Disclosure, Dominance};
use crate::duty::Duty;
use crate::grant::Tier;
use crate::rule::{Permission, Policy};

/// Least first. Of each, nothing demands less than something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Demands {
    tier: Tier,
    row_filter: bool,
    dominance: Option<(u32, Reverse<u64>)>,
    p_percent: Option<u32>,
    round_to: Option<u32>,
    delete: Option<Reverse<u32>>,
    publish: Option<Reverse<u32>>,
    attributions: usize,
}

pub(crate) fn demands(policy: &Policy, permission: &Permission) -> Demands {
    let Disclosure {
        tier,
        dominance,
        p_percent,
        round_to,
        // How often one may ask is no matter of what an answer looks like; an exhausted quota does not cover.
        queries: _,
    } = &permission.disclosure;
    // A share lies between 0 and 1, and the bits of positive numbers are in their order.
    let strict = |&Dominance { top, share }: &Dominance| (top, Reverse(share.to_bits()));
    let mut demands = Demands {
        tier: *tier,
        row_filter: permission.rows.is_some(),
        dominance: dominance.as_ref().map(strict),
        p_percent: *p_percent,
        round_to: *round_to,
        delete: None,
        publish: None,
        attributions: 0,
    };
    for duty in policy.duties.iter().chain(&permission.duties) {
        match duty {
            Duty::Delete { within_days } => demands.delete = demands.delete.max(Some(Reverse(*within_days))),
            Duty::PublishResults { within_days } => demands.publish = demands.publish.max(Some(Reverse(*within_days))),
            Duty::Attribute { .. } => demands.attributions += 1,
        }
    }
    demands
}
