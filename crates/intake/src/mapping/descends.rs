//! Whether a code is a concept or descends from one, by a table of ancestors such as OMOP's `concept_ancestor`.
//!
//! It becomes a column of true and false when data are read in: questions about it are like those about any other such column, and nothing
//! is looked up when they are asked. The table is the operator's own, of the vocabulary by which the codes were made.

use std::collections::BTreeSet;
use std::path::PathBuf;

use arrow::array::AsArray as _;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int64Type};
use serde::{Deserialize, Serialize};
use terms::{Problem, Report};

use super::SourceForm;
use crate::Opened;

/// The columns of a table of ancestors, as OMOP names them.
const COLUMNS: [&str; 2] = ["ancestor_concept_id", "descendant_concept_id"];

/// Concepts, and where their descendants are written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescendsFrom {
    /// The concepts.
    pub concepts: BTreeSet<i64>,
    /// The table of ancestors, beside the mapping.
    pub ancestors: PathBuf,
}

/// The concepts and all that descend from them.
#[derive(Debug)]
pub(crate) struct Descendants(BTreeSet<i64>);

impl DescendsFrom {
    /// Reads the descendants of the concepts.
    ///
    /// # Errors
    /// If the table cannot be read, or has nothing of a concept: then it is of another vocabulary, or the concept is misspelt.
    pub(crate) fn look_up(&self) -> Result<Descendants, Report> {
        let path = &self.ancestors;
        let wrong = |what: &str| Problem::FileValue.report(format!("{}: {what}", path.display()));
        let opened = Opened::open(path, &SourceForm::default())?;
        let [Some(ancestor), Some(descendant)] = COLUMNS.map(|name| opened.position_in_any_case(name)) else {
            let remedy = "name OMOP's table concept_ancestor, or one with columns that are called so";
            return Err(wrong(&format!("it has no columns {}", COLUMNS.join(" and "))).remedy(remedy));
        };
        let (mut found, mut held) = (BTreeSet::new(), self.concepts.clone());
        for piece in opened.batches(&[ancestor, descendant])? {
            let batch = piece?.batch;
            let ids = |at: usize| {
                let strict = CastOptions {
                    safe: false,
                    ..CastOptions::default()
                };
                let ids = cast_with_options(batch.column(at), &DataType::Int64, &strict);
                ids.map(|ids| ids.as_primitive::<Int64Type>().clone())
                    .map_err(|_| wrong("a concept in it is no whole number"))
            };
            let (ancestors, descendants) = (ids(0)?, ids(1)?);
            for (ancestor, descendant) in ancestors.iter().zip(&descendants) {
                let (Some(ancestor), Some(descendant)) = (ancestor, descendant) else {
                    return Err(wrong("a row of it lacks a concept"));
                };
                if self.concepts.contains(&ancestor) {
                    found.insert(ancestor);
                    held.insert(descendant);
                }
            }
        }
        if let Some(unknown) = self.concepts.difference(&found).next() {
            let remedy = "look the concept up in the vocabulary, or take a table of ancestors that has it";
            return Err(wrong(&format!("it has nothing that descends from the concept {unknown}")).remedy(remedy));
        }
        Ok(Descendants(held))
    }
}

impl Descendants {
    /// Whether a code is one of them; nothing if it is no concept.
    pub(crate) fn holds(&self, code: &str) -> Option<bool> {
        Some(self.0.contains(&code.parse().ok()?))
    }
}

#[cfg(test)]
mod tests;
