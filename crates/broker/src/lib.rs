//! The post office of a data space: it serves the governance documents that a board signed and the catalogue of
//! what nodes offer.
//!
//! This crate must never see data or decide what may be asked of a node. Nobody has to trust it: documents and
//! descriptions are signed by others, and whoever reads them verifies them. It can delay them until they expire,
//! nothing else. Its two online keys say which documents are current, never what they say.
//!
//! Reading order: [`repository`] (the signed documents, how it is published and kept fresh),
//! `governance` (how documents are served), `online` (the two online keys), `roster` (which of them the broker itself works under),
//! `callers` (who calls), `catalog` (who offers what, and who may know), `enrol` (who asks to become a member), `relay` (connections
//! to nodes that take none from outside), `witness` (members' audits, cosigned), `postgres` (what several brokers share),
//! [`serve`](mod@serve) (how a broker runs), [`status`] (what it tells its operator), [`config`].

mod callers;
mod catalog;
pub mod config;
mod durable;
mod enrol;
mod governance;
mod online;
mod postgres;
mod relay;
pub mod repository;
mod roster;
pub mod serve;
pub mod status;
#[cfg(test)]
mod tests;
mod witness;

pub use config::{Config, ConnectionString};
pub use repository::{OnlineKeys, Publication, Renewal, Repository};
pub use serve::serve;

use terms::{Problem, Report, SpaceId};
use tonic::Status;

/// Refuses a request for any data space but this broker's, in the same words whether it exists elsewhere or not.
fn require_space(asked: &str, here: &SpaceId) -> Result<(), Report> {
    if asked == here.as_str() {
        return Ok(());
    }
    let remedy = "check the data space and the broker's address in your configuration";
    Err(Problem::PolicyScope
        .report("this broker has no such data space")
        .remedy(remedy))
}

/// A report as what ends a call.
fn refused(report: Report) -> Status {
    tracing::info!(problem = %report.problem, "refused");
    wire::status::to_status(&report.into())
}
