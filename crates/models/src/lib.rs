//! Statistics and models that are made of sums: what each node adds up, and what the sums of all nodes say.
//!
//! Every analysis here needs of a node nothing but sums over its rows, so that the result is that of the pooled rows. This crate is
//! arithmetic only: it reads no file, knows no network and no policy, and names neither DataFusion nor Arrow. Nodes and data users run
//! the same lines of it.

pub mod compare;
pub mod correlate;
pub mod crosstab;
pub mod distribution;
pub mod life_table;
pub mod meta;
pub mod rates;
mod term;

pub use term::Term;
