//! Statistics and models that are made of sums: what each node adds up, and what the sums of all nodes say.
//!
//! Every analysis here needs of a node nothing but sums over its rows, so that the result is that of the pooled rows. This crate is
//! arithmetic only: it reads no file, knows no network and no policy, and names neither DataFusion nor Arrow. Nodes and data users run
//! the same lines of it.
//!
//! Reading order: [`formula`] (what is explained, and by what), [`design`] (the columns of the model matrix), [`frame`] (the rows of a node),
//! [`rounds`] (steps made of sums), [`glm`] with [`family`]; [`glm::penalised`]; [`survival`] and [`cox`]; [`points`]
//! with [`pca`] and [`kmeans`]; [`network`] and [`training`].

pub mod cox;
pub mod design;
#[cfg(test)]
mod example;
pub mod family;
pub mod formula;
pub mod frame;
pub mod glm;
pub mod kmeans;
pub mod network;
pub mod pca;
pub mod points;
#[cfg(test)]
mod properties;
pub mod rounds;
mod solve;
pub mod survival;
pub mod training;
