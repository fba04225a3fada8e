//! What a permission demands of a request that it covers, so that of several the one that demands least can be taken.
//!
//! The order is total, and agrees with every comparison that has an answer: whoever asks for more people in a cell, for a
//! row filter, shows less of a column that is asked for, binds a fit more, wants one more duty or a shorter time demands more. Where one permission is laxer in one respect
//! and another in another, the respect that is named first in [`Demands`] decides; nothing is ever mixed from two.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::disclosure::{Disclosure, Dominance, Zeros};
use crate::duty::Duty;
use crate::grant::{Release, Tier};
use crate::models::{ModelRules, Overlaps, Sum};
use crate::rule::{Permission, Policy};

/// Least first. Of each, nothing demands less than something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Demands {
    tier: Tier,
    row_filter: bool,
    transforms: Transformed,
    models: Option<OfFits>,
    dominance: Option<(u32, Reverse<u64>)>,
    p_percent: Option<u32>,
    round_to: Option<u32>,
    zeros: Zeros,
    delete: Option<Reverse<u32>>,
    publish: Option<Reverse<u32>>,
    attributions: usize,
}

/// What is demanded of fits: whose sums are seen, nodes, the bits of parameters for each person, steps, overlaps.
type OfFits = (Sum, u32, Reverse<u64>, Reverse<u32>, Overlaps);

/// What is taken from the columns that are asked for: from how many of them, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Transformed {
    columns: usize,
    strictness: u32,
}

/// What a permission demands of a request of this release and of these columns.
pub(crate) fn demands(
    policy: &Policy,
    permission: &Permission,
    release: Release,
    columns: &BTreeSet<String>,
) -> Demands {
    let Disclosure {
        tier,
        dominance,
        p_percent,
        round_to,
        zeros,
        // How often one may ask is no matter of what an answer looks like; an exhausted quota does not cover.
        queries: _,
    } = &permission.disclosure;
    // A share lies between 0 and 1, and the bits of positive numbers are in their order.
    let strict = |&Dominance { top, share }: &Dominance| (top, Reverse(share.to_bits()));
    let mut demands = Demands {
        tier: *tier,
        row_filter: permission.rows.is_some(),
        transforms: transformed(permission, columns),
        models: permission
            .models
            .as_ref()
            .filter(|_| release == Release::Models)
            .map(of_fits),
        dominance: dominance.as_ref().map(strict),
        p_percent: *p_percent,
        round_to: *round_to,
        zeros: *zeros,
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

/// What fits must keep to matters to fits only.
fn of_fits(models: &ModelRules) -> OfFits {
    let ModelRules {
        sum,
        nodes_min,
        parameters_share,
        reason: _,
        steps_max,
        overlaps,
    } = models;
    // As of dominance: a share is positive.
    let share = Reverse(parameters_share.to_bits());
    (*sum, *nodes_min, share, Reverse(*steps_max), *overlaps)
}

/// Columns that are not asked for do not matter: a permission that shows less of them takes nothing from the request.
fn transformed(permission: &Permission, columns: &BTreeSet<String>) -> Transformed {
    let asked = permission.transforms.iter().filter(|(name, _)| columns.contains(*name));
    asked.fold(Transformed::default(), |sum, (_, transform)| Transformed {
        columns: sum.columns + 1,
        strictness: sum.strictness.saturating_add(transform.strictness()),
    })
}
