//! The disclosure table of a permission: how strictly what leaves is checked, and how often one may ask.
//!
//! The whole table is read, compared, shown to boards and enforced by nodes. Next: `rules/compile.rs`, which checks it.

use serde::Deserialize;

use crate::grant::Tier;

/// Largest `top` of a dominance rule. Statistical offices use 1 to 3, and a node holds so many totals of every cell.
pub const DOMINANCE_TOP_MAX: u32 = 10;

/// The disclosure table of a permission.
#[derive(Clone, Debug, PartialEq)]
pub struct Disclosure {
    /// The tier, with the fewest people of a cell.
    pub tier: Tier,
    /// (n,k) dominance: a cell is withheld if its largest contributors give too much of it.
    pub dominance: Option<Dominance>,
    /// p % rule: a cell is withheld if somebody in it could estimate another's value to within this many percent.
    pub p_percent: Option<u32>,
    /// Released numbers are rounded to multiples of this.
    pub round_to: Option<u32>,
    /// Whether it may be told that nobody is in a cell.
    pub zeros: Zeros,
    /// How often one person may ask.
    pub queries: Quota,
}

impl Disclosure {
    /// What protects as much as both of two tables whose rows are put together. The tier *open* adds nothing.
    ///
    /// # Errors
    /// The key about which they say different things of which neither protects more.
    pub(crate) fn strictest(&self, other: &Disclosure) -> Result<Disclosure, &'static str> {
        if other.tier == Tier::Open {
            return Ok(self.clone());
        }
        Ok(Disclosure {
            tier: self.tier.max(other.tier),
            dominance: one_of(self.dominance, other.dominance).ok_or("dominance")?,
            p_percent: self.p_percent.max(other.p_percent),
            round_to: one_of(self.round_to, other.round_to).ok_or("round_to")?,
            zeros: self.zeros.max(other.zeros),
            // A query that joins is charged once.
            queries: self.queries,
        })
    }
}

/// Both, where they are the same or one of them is not there.
fn one_of<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<Option<T>> {
    match (one, other) {
        (Some(one), Some(other)) => (one == other).then_some(Some(one)),
        (one, other) => Some(one.or(other)),
    }
}

/// (n,k) dominance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dominance {
    /// So many largest contributors; at least 1, at most 10.
    pub top: u32,
    /// may together give at most this share of a cell: more than 0, less than 1.
    pub share: f64,
}

/// What becomes of cells in which nobody is: what protects more is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zeros {
    /// That nobody is in a cell may be inferred.
    #[default]
    Open,
    /// That nobody is in a cell is itself withheld: empty cells are treated like those that are too small.
    Protected,
}

/// Most queries that are answered at one node: of a permission, to one person about one collection; of a permit, to all
/// its persons together about all collections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// In 60 seconds.
    pub per_minute: Option<u32>,
    /// In seven days.
    pub per_week: Option<u32>,
}
