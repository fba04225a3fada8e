//! What an institution has, in the columns of a collection: files are opened, read in batches of bounded size, and every cell is
//! brought into the type, unit and code that the collection declares.
//!
//! This crate must never change what it reads, and never repeat a value of it: what does not fit is told by row, column and class.
//!
//! Reading order: [`mapping`] (what the operator writes down), [`source`] (files as batches), [`cell`] (a text as a value), `unit` (a number in another unit),
//! `derived` (a column that is worked out from others), [`conform`] (a batch in the collection's columns), [`guess`] (a first mapping), [`profile`] (what the operator looks at).
//! [`twin`] makes tables of made-up people.

pub mod cell;
pub mod conform;
mod derived;
#[cfg(test)]
mod example;
pub mod guess;
pub mod mapping;
pub mod profile;
pub mod source;
pub mod twin;
mod unit;

pub use conform::{Conformed, Conforming, Misfits};
pub use mapping::Mapping;
pub use profile::Profile;
pub use source::resources::{ResourceFile, Resources};
pub use source::{Opened, Piece};
pub use twin::{Margins, Twin};
