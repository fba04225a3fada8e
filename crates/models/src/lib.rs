//! Statistics and models that are made of sums: what each node adds up, and what the sums of all nodes say.
//!
//! Every analysis here needs of a node nothing but sums over its rows, so that the result is that of the pooled rows. This crate is
//! arithmetic only: it reads no file, knows no network and no policy, and names neither DataFusion nor Arrow. Nodes and data users run
//! the same lines of it.
//!
//! Reading order: what follows from answers to queries: [`compare`], [`correlate`], [`crosstab`], [`rates`], [`life_table`], [`meta`], over
//! [`distribution`]. What needs sums of its own, in steps: [`formula`] (what is explained, and by what), [`design`] (the columns of the model
//! matrix), [`frame`] (the rows of a node), [`rounds`] (steps made of sums), [`glm`] with [`family`] and [`glm::penalised`], [`survival`] and
//! [`cox`], [`points`] with [`pca`] and [`kmeans`], [`network`] and [`training`]; [`statement`] (what nodes are asked) and [`model`] (what
//! is made of it).

pub mod compare;
pub mod correlate;
pub mod cox;
pub mod crosstab;
pub mod design;
pub mod distribution;
#[cfg(test)]
mod example;
pub mod family;
pub mod formula;
pub mod frame;
pub mod glm;
pub mod kmeans;
pub mod life_table;
pub mod meta;
pub mod model;
pub mod network;
pub mod pca;
pub mod points;
#[cfg(test)]
mod properties;
pub mod rates;
pub mod rounds;
mod solve;
pub mod statement;
pub mod survival;
mod term;
pub mod training;

pub use model::{Fitted, Model, Step};
pub use statement::{Call, Statement};
pub use term::Term;
