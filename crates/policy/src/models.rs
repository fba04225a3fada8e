//! The models table of a permission: which sums over rows a node may give for a fit, and how many.
//!
//! A model (a regression and the like) is fitted from sums of products over rows. They say more than a cell of counts and less
//! than rows, so they have rules of their own. Next: `rules/compile/models.rs`, which checks them.

use serde::Deserialize;

/// Most nodes that a fit may be required to have.
pub(crate) const MODEL_NODES_MAX: u32 = 1_000;

/// Most steps that a fit may be allowed.
pub(crate) const MODEL_STEPS_MAX: u32 = 100;

/// So many parameters for each person need no reason.
pub(crate) const PARAMETERS_SHARE_PLAIN: f64 = 0.1;

/// Most parameters for each person, whatever the reason.
pub(crate) const PARAMETERS_SHARE_MAX: f64 = 0.33;

/// Fewest nodes among which no node's sums can be told from the sums of all: of two, each knows the other's.
pub(crate) const MASKED_NODES_MIN: u32 = 3;

/// What a fit must keep to.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRules {
    /// Whose sums whoever asks may see.
    pub sum: Sum,
    /// A fit is over at least so many nodes: 1 to 1000, and with masked sums at least 3.
    pub nodes_min: u32,
    /// At most so many parameters for each person: more than 0, at most 0.33.
    pub parameters_share: f64,
    /// Why there may be more than 0.1, in the board's words.
    pub reason: Option<String>,
    /// A fit may take so many steps: 1 to 100.
    pub steps_max: u32,
    /// What becomes of a fit whose people differ too little from those of an earlier one.
    pub overlaps: Overlaps,
}

impl ModelRules {
    pub(crate) const NODES_MIN: u32 = 3;
    pub(crate) const STEPS_MAX: u32 = 25;

    /// What holds where a permission releases rows and says nothing about models: whoever may have the rows can add them up.
    pub(crate) const OF_ROWS: ModelRules = ModelRules {
        sum: Sum::Plain,
        nodes_min: 1,
        parameters_share: PARAMETERS_SHARE_MAX,
        reason: None,
        steps_max: Self::STEPS_MAX,
        overlaps: Overlaps::Allow,
    };

    /// Whether these are [`Self::OF_ROWS`]. No table says the same: so large a share needs a reason there.
    pub(crate) fn come_with_rows(&self) -> bool {
        *self == Self::OF_ROWS
    }

    /// Whether every fit that keeps to these keeps to the others too.
    pub(crate) fn is_within(&self, others: &ModelRules) -> bool {
        self.sum >= others.sum
            && self.nodes_min >= others.nodes_min
            && self.parameters_share <= others.parameters_share
            && self.steps_max <= others.steps_max
            && self.overlaps >= others.overlaps
    }

    /// What protects as much as both.
    pub(crate) fn strictest(&self, other: &ModelRules) -> ModelRules {
        let smaller = if other.parameters_share < self.parameters_share {
            other
        } else {
            self
        };
        ModelRules {
            sum: self.sum.max(other.sum),
            nodes_min: self.nodes_min.max(other.nodes_min),
            parameters_share: smaller.parameters_share,
            reason: smaller.reason.clone(),
            steps_max: self.steps_max.min(other.steps_max),
            overlaps: self.overlaps.max(other.overlaps),
        }
    }
}

/// Whose sums whoever asks may see: what protects more is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sum {
    /// Each node's.
    Plain,
    /// Only those of all nodes together: each node's are masked, and the masks cancel in the sum.
    Masked,
}

/// What becomes of a fit whose people differ from those of an earlier one by at least one and fewer than `min_people`: the
/// difference of their sums would be about those few. What protects more is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlaps {
    /// It is answered.
    Allow,
    /// It is refused.
    Refuse,
}
