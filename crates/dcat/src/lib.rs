//! What a catalogue may tell of data sets, as DCAT-AP 3 and HealthDCAT-AP in RDF.
//!
//! An [`Entry`] is what signed documents and a node's signed description say. [`Statements`] is what only people can say: who
//! publishes, who grants access, what the data are about. From both, [`describe`] makes triples, or says all that is missing, and
//! [`write()`] writes them. This crate must never know how many rows or people there are, from when to when they are, or any value of them:
//! it is given nothing of the data, and has no place to put it.
//!
//! Reading order: `entry`, `statements`, `describe` with `describe/variables` (the CSVW table) and `describe/quality` (Art. 78 EHDS),
//! `vocabulary` (whose words these are), `write`.

mod describe;
mod entry;
mod statements;
mod triples;
mod vocabulary;
mod write;

#[cfg(test)]
mod tests;

pub use describe::{Export, describe};
pub use entry::{Entry, Origin, PolicyNamed};
pub use statements::{Dimension, Statements};
pub use write::{Format, write};
