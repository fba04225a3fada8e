//! The disclosure table of a permission: how strictly what leaves is checked, and how often one may ask.
//!
//! The whole table is read, compared and shown to boards. What a node of this version cannot enforce is refused where
//! rules are compiled for a node: [`Disclosure::unenforced`].

use crate::grant::Tier;

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
    /// How often one person may ask.
    pub queries: Quota,
}

/// (n,k) dominance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dominance {
    /// So many largest contributors; at least 1.
    pub top: u32,
    /// may together give at most this share of a cell: more than 0, less than 1.
    pub share: f64,
}

/// Most queries that are answered to one person about one collection at one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// In 60 seconds.
    pub per_minute: Option<u32>,
    /// In seven days.
    pub per_week: Option<u32>,
}

impl Disclosure {
    /// The first key of the table that this version does not enforce.
    pub fn unenforced(&self) -> Option<&'static str> {
        let Disclosure {
            tier: _,
            dominance,
            p_percent,
            round_to,
            queries: _,
        } = self;
        if dominance.is_some() {
            return Some("dominance");
        }
        if p_percent.is_some() {
            return Some("p_percent");
        }
        round_to.is_some().then_some("round_to")
    }
}
