//! What was left out and why. It names places, types and keys of resources, and never a value of theirs.

use std::fmt;
use std::sync::Arc;

use terms::{Problem, Report};

use crate::json::JsonError;
use crate::reference::{is_id, is_type};

/// One thing that was left out of what a view yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The line of the file on which it begins, from 1.
    pub line: u64,
    /// The number of the bundle's entry, from 0, if it stands in a bundle.
    pub entry: Option<usize>,
    /// Its type and key, such as `Condition/c-17`, as far as it has them.
    pub resource: Option<String>,
    /// Why it was left out.
    pub reason: Wrong,
}

/// Why a resource was left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// A line is not UTF-8.
    #[error("is not UTF-8 text")]
    NotText,
    /// A line is too long to be held in memory.
    #[error("is longer than {most} bytes")]
    TooLong {
        /// How long one may be.
        most: usize,
    },
    /// It is not JSON.
    #[error("is not JSON: it {what} at byte {at}")]
    NotJson {
        /// What is wrong.
        what: &'static str,
        /// At which byte of the line.
        at: usize,
    },
    /// It is JSON and no resource.
    #[error("is no resource: it lacks resourceType")]
    NotAResource,
    /// It is a bundle whose entries are not resources as they are now.
    #[error("is a bundle that {what}")]
    Bundle {
        /// Why.
        what: &'static str,
    },
    /// A column cannot hold what its path yields.
    #[error("the column {column} {what}")]
    Column {
        /// The column's name.
        column: Arc<str>,
        /// What is wrong.
        what: &'static str,
    },
    /// A condition of the view, or what it goes over, cannot be evaluated.
    #[error("the path {path} {what}")]
    Path {
        /// The path.
        path: Arc<str>,
        /// What is wrong.
        what: &'static str,
    },
    /// It would become too many rows.
    #[error("multiplies beyond {most} bytes of rows")]
    TooManyRows {
        /// How many bytes they may be.
        most: usize,
    },
    /// A consent says something that cannot be kept as it is meant.
    #[error("is a consent that {what}")]
    Consent {
        /// What it says.
        what: &'static str,
    },
}

impl Wrong {
    pub(crate) fn column(column: &Arc<str>, what: &'static str) -> Self {
        let column = Arc::clone(column);
        Self::Column { column, what }
    }

    pub(crate) fn path(path: &Arc<str>, what: &'static str) -> Self {
        let path = Arc::clone(path);
        Self::Path { path, what }
    }
}

impl From<JsonError> for Wrong {
    fn from(JsonError { what, at }: JsonError) -> Self {
        Self::NotJson { what, at }
    }
}

impl Skipped {
    /// The type and key of a resource, if they are what such may be: nothing else of a file gets into a message.
    pub(crate) fn name(kind: &str, id: Option<&str>) -> Option<String> {
        let kind = Some(kind).filter(|kind| is_type(kind))?;
        Some(match id.filter(|id| is_id(id)) {
            Some(id) => format!("{kind}/{id}"),
            None => kind.to_owned(),
        })
    }

    /// The resource's type, without its key.
    pub fn kind(&self) -> Option<&str> {
        let resource = self.resource.as_deref()?;
        Some(resource.split_once('/').map_or(resource, |(kind, _)| kind))
    }

    /// The same as a problem for the operator.
    pub fn report(&self) -> Report {
        let problem = match self.reason {
            Wrong::NotText | Wrong::TooLong { .. } | Wrong::NotJson { .. } => Problem::FhirFile,
            _ => Problem::FhirResource,
        };
        problem.report(self.to_string())
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        self.entry.map_or(Ok(()), |entry| write!(f, ", entry {entry}"))?;
        self.resource
            .as_ref()
            .map_or(Ok(()), |resource| write!(f, ", {resource}"))?;
        write!(f, ": {}", self.reason)
    }
}

/// What became of the resources of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Resources that became rows, or none because they have none of what the view goes over.
    pub read: u64,
    /// Rows.
    pub rows: u64,
    /// Resources of other types, which the view is not about.
    pub other: u64,
    /// Resources that do not meet the view's conditions.
    pub unmet: u64,
    /// Resources and lines that were left out because something is wrong with them. Each was told.
    pub skipped: u64,
}
