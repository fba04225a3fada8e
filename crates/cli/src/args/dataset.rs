//! Words of `datenraum node dataset`.

use std::path::PathBuf;

/// Read the sources of datasets again, as they were added
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum node dataset refresh --config /etc/datenraum/node.toml
  datenraum node dataset refresh stays --config /etc/datenraum/node.toml

Reads each file, database or store again by the mapping with which it was added; meant for a timer. If a source fails, what was there
before is still answered from, the others are renewed, and node status says so until it succeeds. A node that runs offers the
new data at its next look (refresh_seconds).")]
pub(crate) struct DatasetRefreshArgs {
    /// The collections; all whose source is known if none is named
    #[arg(value_name = "COLLECTION")]
    pub(crate) collections: Vec<String>,
    /// The node's configuration
    #[arg(long, value_name = "FILE", default_value = "node.toml")]
    pub(crate) config: PathBuf,
}
