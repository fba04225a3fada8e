//! Where descriptions are kept: in a file of the broker's own, or in the PostgreSQL that brokers share.
//!
//! It must never replace a description by an older one: an old one could lead people to an address that somebody else
//! has by now. The TLS key would still stop them there.

mod file;
mod shared;
#[cfg(test)]
mod tests;

use std::path::Path;

use terms::{Problem, Report, SpaceId};
use trust::Verified;
use wire::NodeDescription;

use crate::postgres::Database;
use file::File;

/// The latest sealed description of each member.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    File(File),
    Shared(Database),
}

/// A row of the store.
struct Description {
    space: String,
    member: String,
    sealed: Vec<u8>,
    /// Nanoseconds since 1970, UTC.
    issued: i64,
}

impl Store {
    /// The store in an SQLite file, which is made if there is none.
    pub(crate) fn in_file(path: &Path) -> Result<Self, Report> {
        File::open(path).map(Self::File)
    }

    /// Keeps a description whose signature held, in place of an earlier one of the same member.
    pub(crate) async fn keep(&self, opened: Verified<NodeDescription>, sealed: Vec<u8>) -> Result<(), Report> {
        let dateless = |_| Problem::Answer.report("the description is dated outside of what can be kept");
        let description = Description {
            space: opened.space.to_string(),
            member: opened.member.to_string(),
            sealed,
            issued: i64::try_from(opened.issued.as_nanosecond()).map_err(dateless)?,
        };
        let is_kept = match self {
            Self::File(file) => file.keep(description).await?,
            Self::Shared(database) => shared::keep(database, description).await?,
        };
        if is_kept {
            return Ok(());
        }
        let message = format!("a later description of {} is kept already", opened.member);
        Err(Problem::Answer
            .report(message)
            .remedy("check the clock of the node's machine"))
    }

    /// All sealed descriptions of a data space, by member.
    pub(crate) async fn all(&self, space: SpaceId) -> Result<Vec<Vec<u8>>, Report> {
        match self {
            Self::File(file) => file.all(space).await,
            Self::Shared(database) => shared::all(database, space).await,
        }
    }
}
