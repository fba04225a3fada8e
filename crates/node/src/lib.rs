//! The data holder's server: Flight SQL in front, the straight line of a query, governance, ledger and audit.
//!
//! This crate must never let a byte of data leave that is not in the ledger, and never run a query under documents
//! that it has not verified itself. It trusts neither the broker nor the asker's plan.
//!
//! Reading order: [`query`] (the story of one request), `flight` (how it arrives), `delivery` (how its answer leaves), `turns`
//! and `again` (what is asked twice under one name is answered once),
//! [`governance`] (under which documents), [`registers`] (who opted out or consented), [`ledger`] (what is recorded),
//! [`audit`] (how it is checked), [`serve`] (how a node runs), `reserve` (room for when the disk is full), `tunnel` (how it is
//! reached through the broker), [`witness`] (what the broker cosigns), [`status`] and `metrics` (what it tells its operator),
//! [`backup`], [`config`].

mod again;
pub mod audit;
pub mod backup;
pub mod config;
mod delivery;
mod durable;
#[cfg(test)]
mod example;
mod fit;
mod flight;
pub mod governance;
pub mod ledger;
mod metrics;
pub mod query;
pub mod registers;
mod reserve;
pub mod serve;
pub mod status;
mod tunnel;
mod turns;
pub mod witness;

pub use config::Config;
pub use registers::Registers;
pub use serve::Node;
