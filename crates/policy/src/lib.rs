//! From the files that a board signed to one decision: may this caller run this request now, and under which
//! obligations?
//!
//! This crate must never read SQL, do I/O, or look at a clock. Files come in as bytes, the time as an argument, and
//! a request as facts. Whatever a file says that this version does not know or cannot enforce is refused when the
//! file is loaded, naming file, line and key; nothing is skipped. Without a permission the answer is no.
//!
//! Reading order: [`Rules`] (`rules.rs`: all files of a data space, checked and indexed), `document.rs` (a policy as it
//! is written) and `rule.rs` (as it is held), [`Collection`] (`collection.rs`), [`Space`] and [`Member`]
//! (`roster.rs`), then [`decide()`] (`decide.rs`), whose sentences are in `decide/refusal.rs` and whose yes is a [`Grant`]
//! (`grant.rs`). [`queryable()`] says what a caller may ask at all.

mod collection;
mod decide;
mod document;
#[cfg(test)]
mod example;
mod grant;
mod queryable;
mod roster;
mod rule;
mod rules;
mod source;

pub use collection::{Calendar, Collection, Column, ColumnKind, ColumnRoles, Domain, NODE_COLUMN, RowFilter};
pub use decide::{AccessRequest, Caller, Decision, Refusal, decide};
pub use grant::{Grant, MinPeople, MinPeopleError, Release, Tier};
pub use queryable::{Queryable, queryable};
pub use roster::{Member, Space};
pub use rules::{PolicySummary, Rules};
