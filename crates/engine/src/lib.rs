//! DataFusion at the node: datasets, reading a query, enforcing a grant, executing, releasing.
//!
//! This crate must never know who asks or decide whether they may: it takes a [`policy::Grant`] by value and does
//! exactly what it says. Only an [`EnforcedPlan`] can be executed, and only [`enforce()`] makes one. Nothing that
//! the engine says in an error may leave the node.
//!
//! Reading order: [`query`] (the shapes a query can have), [`read`] (SQL to those shapes), `domain` (roles, bins
//! and values), [`mod@enforce`] (our own plan), `scan` (the policy barrier) with `people` (whose rows exist) and `transform` (what
//! rows show), [`mod@execute`] with
//! `cells` (what is known of each cell) and `comoment` (how its second moments are made), `disclose` (what of it may leave: `docs/disclosure.md`), `numbers`, [`kept`] (what was
//! released before) with `sketch`, [`mod@release`] (what leaves), [`dataset`] (how data gets in).

mod cells;
mod comoment;
pub mod dataset;
mod disclose;
mod domain;
pub mod enforce;
pub mod execute;
pub mod kept;
mod numbers;
mod people;
pub mod query;
pub mod read;
pub mod release;
mod scan;
mod secret;
mod session;
mod sketch;
mod transform;

pub use dataset::{Dataset, Datasets};
pub use disclose::Reason;
pub use enforce::{EnforcedPlan, Holding, enforce};
pub use execute::{ExecuteError, Executed, execute};
pub use kept::{KeptValue, KeptValues};
pub use numbers::Number;
pub use people::People;
pub use query::Query;
pub use release::{Released, release};
pub use secret::NodeSecret;
