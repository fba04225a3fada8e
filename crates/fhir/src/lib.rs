//! FHIR R4 as tables: resources from Bulk Data NDJSON and bundles, through the views of SQL on FHIR v2, into Arrow record batches.
//!
//! This crate must never know DataFusion, a policy or the network; what it leaves out it names by place and key, never by a value.
//!
//! ```
//! let view = fhir::View::compile(r#"{"resource": "Patient", "select": [{"column": [
//!     {"name": "person", "path": "getResourceKey()", "type": "id"},
//!     {"name": "born", "path": "birthDate.lowBoundary()", "type": "date"}]}]}"#)?;
//! let ndjson = r#"{"resourceType": "Patient", "id": "p1", "birthDate": "1970-06"}"#;
//! let mut batches = view.read(ndjson.as_bytes(), |skipped| eprintln!("{skipped}"));
//! assert_eq!(batches.next().expect("one batch")?.num_rows(), 1);
//! assert_eq!(batches.counts().skipped, 0);
//! # Ok::<(), terms::Report>(())
//! ```
//!
//! Reading order: [`view`] (what a view is), [`read`] (a file to batches), `rows` (a resource to rows), `path` (what a path yields),
//! [`skipped`] (what was left out), [`consent`] (who consented to what), [`kds`] (ready-made views).

mod columns;
pub mod consent;
mod json;
pub mod kds;
mod moment;
mod path;
pub mod read;
mod reference;
mod rows;
pub mod skipped;
mod source;
#[cfg(test)]
mod tests;
pub mod view;

pub use read::Batches;
pub use skipped::{Counts, Skipped, Wrong};
pub use source::unpacked;
pub use view::View;
