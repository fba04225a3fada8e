//! What can be said about a node's registers: opt-outs and consents.

use std::path::PathBuf;

use clap::Subcommand;
use terms::CollectionId;

#[derive(Debug, Subcommand)]
pub(crate) enum OptOutCommand {
    Add(OptOutChangeArgs),
    Withdraw(OptOutChangeArgs),
    List(RegisterArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConsentCommand {
    Import(ConsentImportArgs),
    Show(RegisterArgs),
}

/// Record that people opted out, or that they took it back; acts at the next query, also on a running node
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  datenraum node opt-out add --collection breast-cancer 4711
  datenraum node opt-out add --collection breast-cancer --file opted-out.txt --at 2026-11-01
  datenraum node opt-out withdraw --collection breast-cancer 4711

A key is what stands in the collection's column of the person. The register keeps both times.")]
pub(crate) struct OptOutChangeArgs {
    /// Keys of people
    #[arg(value_name = "KEY", required_unless_present = "file")]
    pub(crate) keys: Vec<String>,
    /// A file with one key a line, instead of keys here
    #[arg(long, value_name = "FILE", conflicts_with = "keys")]
    pub(crate) file: Option<PathBuf>,
    /// When they said so; now if it is left out
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    #[command(flatten)]
    pub(crate) register: RegisterArgs,
}

/// Show what a node's register says about a collection; to its operator only
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum node opt-out list --collection breast-cancer")]
pub(crate) struct RegisterArgs {
    /// The collection
    #[arg(long, value_name = "ID")]
    pub(crate) collection: CollectionId,
    /// The node's configuration
    #[arg(long, value_name = "FILE", default_value = "node.toml")]
    pub(crate) config: PathBuf,
}

/// Replace the consents of a collection by those in a file; acts at the next query, also on a running node
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum node consent import consents.csv --collection breast-cancer
  datenraum node consent import export/ --days-of Europe/Berlin --collection mii-diagnosis

With --days-of, FHIR Consent resources are read: Bulk Data (.ndjson), bundles (.json), or a folder of them; all that hold now must be
among them, because they replace what was kept. Otherwise the file is CSV with the header person,code,decision,valid_from,valid_until. A decision is permit or deny, and deny beats
permit. A code is that of a provision, such as the OID 2.16.840.1.113883.3.1937.777.24.5.3.8 of the German broad consent.")]
pub(crate) struct ConsentImportArgs {
    /// The file; with --days-of also a folder
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Read FHIR Consent resources; the days in them are those of this time zone's calendar
    #[arg(long, value_name = "ZONE")]
    pub(crate) days_of: Option<String>,
    #[command(flatten)]
    pub(crate) register: RegisterArgs,
}
