//! What a policy asks of whoever receives an answer.
//!
//! A node cannot enforce these: what happens to an answer afterwards happens elsewhere. It tells them with every
//! answer, signs them in the receipt and records them in its audit, so that nobody can say they were not told.

use std::fmt;

/// A duty of the data user, attached to an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// Delete the answer and what was derived from it per person, within so many days of receiving it.
    Delete {
        /// Days from the answer; at least 1.
        within_days: u32,
    },
    /// Name the source in these words wherever results are shown.
    Attribute {
        /// The words, on one line.
        text: String,
    },
    /// Make the results public, within so many days of the answer. EHDS Art. 61(4) sets 18 months.
    PublishResults {
        /// Days from the answer; at least 1.
        within_days: u32,
    },
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duty::Delete { within_days } => write!(f, "delete within {within_days} days"),
            Duty::Attribute { text } => write!(f, "name the source: {text}"),
            Duty::PublishResults { within_days } => write!(f, "publish the results within {within_days} days"),
        }
    }
}
