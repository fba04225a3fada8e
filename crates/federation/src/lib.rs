//! The data user's side: one SQL question to all nodes, one pooled answer, with who answered and who did not.
//!
//! This crate must never present a subset as the whole, never merge what did not verify, and never compute an
//! average of averages. It sees released values only.
//!
//! Reading order: [`ask`] (the story of one question; [`ask::dry_run`]: whether nodes would answer it), `catalog` (whom to ask), `split`
//! (which parts go to nodes), [`fan_out`] (all nodes at once, within a time), `road` (how a node is reached),
//! `node` (its answer), `combine` (pooling) with `moments` (variances and correlations) and `quantile`, `interval` (what suppression leaves open), `finish` (the
//! rest of the query), `local` (the asker's own tables), [`analyses`] (statistics that are made of a question or two), `receipts` (what is kept), [`answer`] (what is returned), [`profile`] (who asks),
//! `listing` (what a person finds in the catalogue), `expected` (what can be said of an answer's columns). [`gateway`] is the same for other programs, [`parameters`] what they put in place of
//! `?`.

pub mod analyses;
pub mod answer;
pub mod ask;
mod catalog;
mod combine;
#[cfg(test)]
mod differential;
mod expected;
pub mod fan_out;
mod finish;
pub mod fit;
pub mod gateway;
mod interval;
mod listing;
mod local;
mod moments;
mod node;
pub mod parameters;
pub mod profile;
mod quantile;
mod receipts;
mod road;
mod split;

pub use answer::{Answer, Coverage, Interval, Receipts, Status, TookPart};
pub use ask::dry_run::{DryRun, DryRunPart, Foreseen, Would};
pub use ask::{Asker, Question};
pub use expected::Expected;
pub use fan_out::{Step, Timeout};
pub use fit::{FitAnswer, FitQuestion};
pub use gateway::Gateway;
pub use listing::{ColumnListing, DatasetListing, Listing, SpaceListing};
pub use local::Tables;
pub use parameters::Parameters;
pub use profile::Profile;
pub use split::Description;
pub use wire::dry_run::{AllowingRule, Checks, Cost, Quota, Tier, Window, WouldAllow};
