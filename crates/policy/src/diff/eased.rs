//! Whether an answer under one permission is bound by lesser obligations than under another.

use std::collections::{BTreeMap, BTreeSet};

use crate::collection::RowFilter;
use crate::disclosure::Dominance;
use crate::duty::Duty;
use crate::grant::Release;
use crate::lang::Lang;
use crate::models::ModelRules;
use crate::rule::{Permission, Policy};
use crate::transform::Transform;

/// An obligation that can become less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Obligation {
    Tier,
    Rows,
    Transforms,
    Models,
    Dominance,
    PPercent,
    RoundTo,
    Zeros,
    Duties,
}

impl Obligation {
    pub(super) fn words(self, lang: Lang) -> &'static str {
        match self {
            Obligation::Tier => lang.pick("kleinere Gruppen", "smaller groups"),
            Obligation::Rows => lang.pick("andere Zeilen", "other rows"),
            Obligation::Transforms => lang.pick("mehr von den Werten", "more of the values"),
            Obligation::Models => lang.pick("Modelle unter schwächeren Regeln", "models under weaker rules"),
            Obligation::Dominance => lang.pick("schwächere Dominanzregel", "a weaker dominance rule"),
            Obligation::PPercent => lang.pick("schwächere p-%-Regel", "a weaker p % rule"),
            Obligation::RoundTo => lang.pick("andere Rundung", "other rounding"),
            Obligation::Zeros => lang.pick("leere Zellen sind zu erkennen", "empty cells can be told"),
            Obligation::Duties => lang.pick("weniger oder andere Pflichten", "fewer or other duties"),
        }
    }
}

/// A permission with the policy that it stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permitting<'a> {
    pub(super) policy: &'a Policy,
    pub(super) permission: &'a Permission,
}

impl<'a> Permitting<'a> {
    /// Those of the policy and its own.
    pub(super) fn duties(self) -> impl Iterator<Item = &'a Duty> {
        self.policy.duties.iter().chain(&self.permission.duties)
    }
}

/// The obligations of an answer of this release about these columns of which `after` asks less than `before`, or of which that cannot be
/// told.
pub(super) fn eased(
    before: Permitting<'_>,
    after: Permitting<'_>,
    release: Release,
    columns: &BTreeSet<String>,
) -> BTreeSet<Obligation> {
    let (b, a) = (&before.permission.disclosure, &after.permission.disclosure);
    let filter = |rule: Permitting<'_>| rule.permission.rows.as_ref().map(|rows| rows.filter.clone());
    let checks = [
        (Obligation::Tier, b.tier <= a.tier),
        (
            Obligation::Rows,
            keeps_filter(filter(before).as_ref(), filter(after).as_ref()),
        ),
        (
            Obligation::Transforms,
            keeps_transforms(&before.permission.transforms, &after.permission.transforms, columns),
        ),
        (
            Obligation::Models,
            release != Release::Models
                || keeps_models(before.permission.models.as_ref(), after.permission.models.as_ref()),
        ),
        (Obligation::Dominance, keeps_dominance(b.dominance, a.dominance)),
        (Obligation::PPercent, b.p_percent <= a.p_percent),
        (Obligation::RoundTo, keeps_rounding(b.round_to, a.round_to)),
        (Obligation::Zeros, b.zeros <= a.zeros),
        (
            Obligation::Duties,
            before.duties().all(|duty| is_kept(duty, after.duties())),
        ),
    ];
    let lesser = checks.into_iter().filter(|(_, kept)| !kept);
    lesser.map(|(obligation, _)| obligation).collect()
}

/// Whether `after` leaves no row that `before` hides. SQL is not read: other SQL could leave any.
pub(super) fn keeps_filter(before: Option<&RowFilter>, after: Option<&RowFilter>) -> bool {
    match (before, after) {
        (None, _) => true,
        (Some(RowFilter::Consent(before)), Some(RowFilter::Consent(after))) => before.is_subset(after),
        (Some(before), Some(after)) => before == after,
        (Some(_), None) => false,
    }
}

/// Whether `after` shows nothing of these columns that `before` does not show.
pub(crate) fn keeps_transforms(
    before: &BTreeMap<String, Transform>,
    after: &BTreeMap<String, Transform>,
    columns: &BTreeSet<String>,
) -> bool {
    let asked = columns.iter().filter_map(|name| before.get_key_value(name));
    asked
        .into_iter()
        .all(|(name, then)| keeps_transform(Some(*then), after.get(name).copied()))
}

/// Whether `after` shows nothing of a column that `before` does not show.
pub(super) fn keeps_transform(before: Option<Transform>, after: Option<Transform>) -> bool {
    match (before, after) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(before), Some(after)) => after.is_within(before),
    }
}

/// Whether every fit that keeps to `after` keeps to `before`.
pub(crate) fn keeps_models(before: Option<&ModelRules>, after: Option<&ModelRules>) -> bool {
    match (before, after) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(before), Some(after)) => after.is_within(before),
    }
}

pub(super) fn keeps_dominance(before: Option<Dominance>, after: Option<Dominance>) -> bool {
    match (before, after) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(before), Some(after)) => before.top <= after.top && after.share <= before.share,
    }
}

/// Multiples of 15 say something that multiples of 10 do not.
pub(super) fn keeps_rounding(before: Option<u32>, after: Option<u32>) -> bool {
    match (before, after) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(before), Some(after)) => after.checked_rem(before) == Some(0),
    }
}

/// Whether a duty is among others, or one that asks for more.
pub(super) fn is_kept<'a>(duty: &Duty, mut among: impl Iterator<Item = &'a Duty>) -> bool {
    among.any(|other| match (duty, other) {
        (Duty::Delete { within_days: before }, Duty::Delete { within_days: after })
        | (Duty::PublishResults { within_days: before }, Duty::PublishResults { within_days: after }) => {
            after <= before
        }
        (Duty::Attribute { text: before }, Duty::Attribute { text: after }) => before == after,
        _ => false,
    })
}
