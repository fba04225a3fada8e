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
//! (`grant.rs`). [`queryable()`] says what a caller may ask at all. What a board reads before it signs is in `matrix.rs`,
//! `explain.rs`, `lint.rs` and `cases.rs`, in the two languages of `lang.rs`.

mod cases;
mod collection;
mod decide;
mod diff;
mod disclosure;
mod document;
mod duty;
#[cfg(test)]
mod example;
mod explain;
mod grant;
mod lang;
mod lint;
mod matrix;
mod models;
pub mod odrl;
mod permit;
mod queryable;
mod roster;
mod rule;
mod rules;
mod source;
mod stops;
mod transform;
mod window;

pub use cases::{CaseOutcome, cases_path, run_cases};
pub use collection::{Calendar, Collection, Column, ColumnKind, ColumnRoles, Domain, NODE_COLUMN, RowFilter};
pub use decide::{AccessRequest, Asked, Caller, Decision, Refusal, decide, decide_joined};
pub use diff::{Change, Effect, diff, widens};
pub use disclosure::{DOMINANCE_TOP_MAX, Disclosure, Dominance, Quota, Zeros};
pub use duty::Duty;
pub use explain::{Explanation, Words, explain};
pub use grant::{Grant, MinPeople, MinPeopleError, Release, Tier};
pub use lang::{Lang, LangError};
pub use lint::{Lint, Severity, lint, lint_files};
pub use matrix::{matrix, matrix_path};
pub use models::{ModelRules, Overlaps, Sum};
pub use permit::{OptOut, Permit, PermitKind};
pub use queryable::{Queryable, open_to_members, queryable};
pub use roster::{Member, PUBLIC_BODY, Space};
pub use rules::{PolicySummary, Rules};
pub use stops::Stops;
pub use transform::Transform;
pub use window::{Window, WindowError};
