//! Masked sums: nodes add up a vector so that whoever carries their messages learns the sum and nothing else of any node.
//!
//! The protocol is that of Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning" (CCS 2017), with
//! double masking, against a client that lies. What it protects against whom, and what it does not, is in `docs/secure-sums.md`. This crate is messages
//! in and messages out: it opens no connection, reads no clock, and knows neither policies nor what is added.
//!
//! Reading order: [`plan`] (what a sum is about), [`message`] (the five messages), [`party`] (what a node does), [`view`] (what
//! everybody checks, with `verify` below it) and `combine` (how the sum comes out), [`following`] (sums over the same nodes after it),
//! [`series`] (all of it in rounds), [`fixed`] (numbers as integers), `derivation` (what each key is bound to); below these `primitive` and
//! `sharing`, where the cryptography is called.

mod combine;
mod derivation;
pub mod error;
pub mod fixed;
pub mod following;
pub mod message;
pub mod party;
pub mod plan;
mod primitive;
pub mod series;
mod sharing;
mod verify;
pub mod view;

pub use combine::Sum;
pub use error::{Stage, SumError};
pub use fixed::Scale;
pub use following::Following;
pub use message::{Keys, Masked, Message, Opening, Shares, Survivors};
pub use party::{AwaitsKeys, AwaitsMasked, AwaitsOpenings, AwaitsShares, AwaitsSurvivors, Party};
pub use plan::{Participant, Plan, PlanError, SumTerms};
pub use view::{Agreed, Delivered, Keyed, Shared};

#[cfg(test)]
mod tests;
