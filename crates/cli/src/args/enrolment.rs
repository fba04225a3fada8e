//! What can be said to join a data space, and to admit somebody.

use std::path::PathBuf;

use terms::{MemberId, RoleName, SpaceId};
use trust::PublicKey;

use super::board::{SpaceArgs, addresses};

/// Make an institution's key and configuration on its own machine, and ask to join a data space
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum node init --space oncology --member city-hospital --title \"City Hospital\" --root root.json \\
      --broker broker.example.org:4443 --broker-key ed25519:... --dir /etc/datenraum
  datenraum node init --again --title \"City Hospital\" --dir /etc/datenraum

Read the code that it prints to the board by telephone. It grants nothing by itself, and ends after seven days.")]
pub(crate) struct NodeInitArgs {
    /// The data space
    #[arg(long, value_name = "ID", required_unless_present = "again")]
    pub(crate) space: Option<SpaceId>,
    /// The institution's name in the data space: small letters, digits and hyphens
    #[arg(long, value_name = "ID", required_unless_present = "again")]
    pub(crate) member: Option<MemberId>,
    /// What people call the institution; its name in the data space otherwise
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// The data space's first root document, from the board
    #[arg(long, value_name = "FILE", required_unless_present = "again")]
    pub(crate) root: Option<PathBuf>,
    /// The broker's address, host:port; several of the same broker with a comma between them
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "again", value_parser = addresses)]
    pub(crate) broker: Option<wire::Addresses>,
    /// The key that the broker must hold
    #[arg(long, value_name = "KEY", required_unless_present = "again")]
    pub(crate) broker_key: Option<PublicKey>,
    /// Only ask once more, with the key and the configuration that are there; the code before ends
    #[arg(long, conflicts_with_all = ["space", "member", "root", "broker", "broker_key"])]
    pub(crate) again: bool,
    /// The folder of key and configuration
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// Write an institution that asks to join into members.toml, by the code that it read to you; then check, sign and publish
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum board enrol 7Q2M-0XKD-94TZ-HB3E --roles hospital --dir oncology \\
      --broker broker.example.org:4443 --broker-identity ed25519:...

Let the institution read you the code by telephone, on a number that you know: who asks, no program can tell.")]
pub(crate) struct EnrolArgs {
    /// The code that the institution read to you; small letters, missing hyphens, O for 0 and I or L for 1 are no matter
    #[arg(value_name = "CODE")]
    pub(crate) code: wire::Code,
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    /// What the institution is to the data space; several are separated by commas
    #[arg(long, value_name = "ROLES", value_delimiter = ',', required = true)]
    pub(crate) roles: Vec<RoleName>,
    /// The broker's address, host:port; several of the same broker with a comma between them
    #[arg(long, value_name = "HOST:PORT", value_parser = addresses)]
    pub(crate) broker: wire::Addresses,
    /// The key by which the broker is recognised
    #[arg(long, value_name = "KEY", alias = "broker-key")]
    pub(crate) broker_identity: PublicKey,
}
