//! The words that every other crate shares: identifiers, purposes, problem codes, limits, the clock,
//! and the one way in which a TOML file becomes a checked type.
//!
//! This crate must never do I/O, never wait, and never know what a signature, a policy or SQL is.
//!
//! Reading order: [`problem`] (what a person is told when something does not work), [`id`],
//! [`purpose`], [`text`] (TOML with line numbers and nearest keys), [`finding`] (what is wrong with a file), [`limit`], [`clock`].

pub mod clock;
pub mod finding;
pub mod id;
pub mod limit;
pub mod problem;
pub mod purpose;
pub mod text;

pub use clock::{Clock, SystemClock, UtcTime};
pub use id::{
    CollectionId, IdError, MemberId, PermitId, PersonId, PolicyId, QueryId, RequestId, RequestIdError, RoleName,
    RuleId, SpaceId,
};
pub use problem::{Audience, ExitCode, Problem, Report};
pub use purpose::{Purpose, PurposeError};
