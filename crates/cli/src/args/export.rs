//! What can be said to write a catalogue down for others.

use std::path::PathBuf;

use clap::ValueEnum;

use super::AskerArgs;

/// Write the data sets that you may ask, or those of your node, as DCAT-AP and HealthDCAT-AP
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  datenraum catalog export --describe demo/catalog.toml --sandbox /tmp/oncology > oncology.ttl
  datenraum catalog export --describe catalog.toml --config /etc/datenraum/node.toml --format jsonld

The file of --describe says what only people can say: who publishes, who grants access, what the data are about. demo/catalog.toml is one
to begin with; what is missing in yours is named, all of it at once. How many people or rows there are is never written.")]
pub(crate) struct ExportArgs {
    /// The TOML file with what only people can say of the data
    #[arg(long, value_name = "FILE")]
    pub(crate) describe: PathBuf,
    /// Only data sets of this collection
    #[arg(value_name = "COLLECTION")]
    pub(crate) collection: Option<terms::CollectionId>,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "turtle")]
    pub(crate) format: RdfFormat,
    /// As the operator of this node: its own data sets, with what is open to any member of the data space
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) asker: AskerArgs,
}

/// How RDF is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RdfFormat {
    /// Turtle
    Turtle,
    /// JSON-LD
    Jsonld,
}
