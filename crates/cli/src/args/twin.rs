//! What can be said to make a table of made-up people.

use std::path::PathBuf;

/// Make a table of made-up people with the columns and domains of a collection
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum node dataset synthesize --collection breast-cancer --people 500 --seed 7 --out twin.csv --config /etc/datenraum/node.toml
  datenraum node dataset add twin.csv --collection breast-cancer --config /etc/datenraum/node.toml

  datenraum query --sandbox /tmp/oncology --purpose ehds-53-1-e --format json --output grade.json \\
    \"SELECT grade, count(*) AS n FROM breast_cancer GROUP BY grade\"
  datenraum node dataset synthesize --collection breast-cancer --margins grade.json --out twin.csv --config /etc/datenraum/node.toml

It is made from the collection's public definition and the seed: each column is drawn for itself, evenly over its domain. With --margins,
columns are distributed as answers say that were released; nothing else is read of real data. FILE.about.json says from which. Every row says that it is made up, in the column datenraum_synthetic, and so does whatever is made of it: the catalogue,
answers, receipts.")]
pub(crate) struct SynthesizeArgs {
    /// The collection
    #[arg(long, value_name = "ID")]
    pub(crate) collection: String,
    /// How many people; rows, where the collection is not about people
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) people: u32,
    /// The same seed makes the same table
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// A column beside those of the collection, with one value for all rows: what its row filters read
    #[arg(long = "also", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) also: Vec<(String, String)>,
    /// Distribute columns as this answer says, which was released: of a query that groups by one or two columns and counts (repeatable)
    #[arg(long, value_name = "FILE")]
    pub(crate) margins: Vec<PathBuf>,
    /// Where to write it, as CSV; new
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// The node's configuration
    #[arg(long, value_name = "FILE", default_value = "node.toml")]
    pub(crate) config: PathBuf,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is expected, such as consent_research=true".to_owned()),
    }
}
