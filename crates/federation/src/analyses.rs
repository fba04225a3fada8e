//! Statistics that are made of what nodes answer to a question or two: the arithmetic is in `models`, the questions are here.
//!
//! A cell that nodes did not release is never taken as empty: it is open, and what would need it says so ([`Cells::exact`]).
//! Numbers of two questions are put together only if the same nodes answered both.
//!
//! Reading order: [`Study`] (one analysis, its questions and who took part), [`Key`] (what rows are grouped by), [`Cells`] (what came
//! back); then an analysis, such as [`describe`], and what is told of it ([`results`]).

mod cells;
pub mod compare;
pub mod correlate;
pub mod crosstab;
pub mod describe;
mod key;
pub mod meta;
pub mod rates;
pub mod results;
pub mod sites;
mod study;
pub mod survival;

pub use cells::{Cell, Cells, Number};
pub use key::Key;
pub use results::{Results, Row, Sheet, Value};
pub(crate) use study::collection_of;
pub use study::{About, Evidence, Study};

/// How sure intervals are.
pub const CONFIDENCE: f64 = 0.95;
