//! DataFusion at the node: datasets, reading a query, enforcing a grant, executing, releasing.
//!
//! This crate must never know who asks or decide whether they may: it takes a [`policy::Grant`] by value and does
//! exactly what it says. Only an [`EnforcedPlan`] can be executed, and only [`enforce()`] makes one. Nothing that
//! the engine says in an error may leave the node.
//!
//! Reading order: [`query`] (the shapes a query can have), [`read`] (SQL to those shapes), `domain` (roles, bins
//! and values), [`mod@enforce`] (our own plan), `scan` (the policy barrier) with `people` (whose rows exist) and `transform` (what
//! rows show), [`mod@execute`] with
//! [`workers`] (the threads that it has), `fold` (one person after the other), `cells` (what is known of each cell), `disclose` (what of it may leave: `docs/disclosure.md`), `numbers`, [`kept`] (what was
//! released before) with `sketch`, [`mod@release`] (what leaves), [`stream`] (long lists of rows), `memory` (how much of it), [`digest`] (what a receipt says of it),
//! [`fit`] (sums for models, in steps), [`dataset`] (how data gets in).

mod cells;
pub mod dataset;
pub mod digest;
mod disclose;
mod domain;
pub mod enforce;
#[cfg(test)]
mod example;
pub mod execute;
pub mod fit;
mod fold;
pub mod kept;
mod memory;
mod numbers;
mod people;
pub mod query;
pub mod read;
pub mod release;
mod scan;
mod secret;
mod session;
mod sketch;
pub mod stream;
mod transform;
pub mod workers;

pub use dataset::{Dataset, Datasets, Pending, Publication, Unhealthy};
pub use digest::digest_of;
pub use disclose::Reason;
pub use domain::quantile_edges;
pub use enforce::{EnforcedPlan, Holding, bin_labels, enforce};
pub use execute::{ExecuteError, Executed, execute};
pub use fit::{After, EnforcedFit, Fit, FitError, FitQuery, begin_fit, enforce_fit};
pub use kept::{KeptValue, KeptValues};
pub use numbers::{Number, interpolated};
pub use people::People;
pub use query::Query;
pub use release::{Leaving, Released, release};
pub use secret::NodeSecret;
pub use stream::{Next, RowStream};
