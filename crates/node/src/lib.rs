//! The data holder's server: Flight SQL in front, the straight line of a query, governance, ledger and audit.
//!
//! This crate must never let a byte of data leave that is not in the ledger, and never run a query under documents
//! that it has not verified itself. It trusts neither the broker nor the asker's plan.
//!
//! Reading order: [`query`] (the story of one request), `flight` (how it arrives), [`governance`] (under which
//! documents), [`ledger`] (what is recorded), [`audit`] (how it is checked), [`serve`] (how a node runs), [`config`].

pub mod audit;
pub mod config;
mod flight;
pub mod governance;
pub mod ledger;
pub mod query;
pub mod serve;

pub use config::Config;
pub use serve::Node;
