//! What can be said about a person's key and credential.

use std::path::PathBuf;

use clap::Subcommand;
use terms::{MemberId, PersonId, RoleName, SpaceId};
use trust::PublicKey;

#[derive(Debug, Subcommand)]
pub(crate) enum PersonCommand {
    Init(InitArgs),
    Vouch(VouchArgs),
}

/// Make your own key, on your own machine, and the file that says who you are
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum person init ada --member saarland-university --space oncology --root root.json \\
      --broker broker.example.org:4443 --broker-key ed25519:... --dir ~/.config/datenraum

Send the file ada.pub to your institution, which vouches for you: datenraum person vouch. Put its credential beside it as credential.jwt.")]
pub(crate) struct InitArgs {
    /// Your name in the data space: small letters, digits and hyphens
    #[arg(value_name = "NAME")]
    pub(crate) person: PersonId,
    /// The institution that vouches for you
    #[arg(long, value_name = "ID")]
    pub(crate) member: MemberId,
    /// The data space
    #[arg(long, value_name = "ID")]
    pub(crate) space: SpaceId,
    /// The data space's first root document, from the board
    #[arg(long, value_name = "FILE")]
    pub(crate) root: PathBuf,
    /// Where the broker is
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) broker: String,
    /// The key that the broker must hold
    #[arg(long, value_name = "KEY")]
    pub(crate) broker_key: PublicKey,
    /// The folder to write to; new
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// Vouch for a person, as their institution: who they are and what they act as, for some hours
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum person vouch ada.pub --key member.key --member saarland-university --space oncology \\
      --roles university --out credential.jwt

The person needs a new one before it ends: let a timer write it to where the person reads it.")]
pub(crate) struct VouchArgs {
    /// The person's public key, as `person init` made it; compare the key by telephone
    #[arg(value_name = "FILE")]
    pub(crate) person: PathBuf,
    /// The institution's private key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The institution
    #[arg(long, value_name = "ID")]
    pub(crate) member: MemberId,
    /// The data space
    #[arg(long, value_name = "ID")]
    pub(crate) space: SpaceId,
    /// What the person acts as; several are separated by commas
    #[arg(long, value_name = "ROLES", value_delimiter = ',', required = true)]
    pub(crate) roles: Vec<RoleName>,
    /// How long it is valid, at most a day
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u8).range(1..=24))]
    pub(crate) hours: u8,
    /// Where to write it; an earlier credential there is replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}
