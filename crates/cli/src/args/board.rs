//! What can be said about a board's work and about permits.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use policy::Lang;
use terms::{CollectionId, MemberId, PermitId, PersonId, PolicyId, Purpose, RoleName, SpaceId};
use trust::{DelegatedRole, Digest, PublicKey, Stopped};

use super::enrolment::EnrolArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum BoardCommand {
    Key(KeyArgs),
    Init(Box<InitArgs>),
    Check(CheckArgs),
    Diff(DiffArgs),
    Matrix(MatrixArgs),
    Explain(Box<ExplainArgs>),
    Export(ExportArgs),
    Draft(DraftArgs),
    Sign(SignArgs),
    Publish(Box<PublishArgs>),
    /// Draft a change of who is on the board
    #[command(
        subcommand,
        after_help = "Example:\n  datenraum board members replace bea bea-2027.pub --dir oncology"
    )]
    Members(MembersCommand),
    Enrol(Box<EnrolArgs>),
    Delegate(DelegateArgs),
    Renew(RenewArgs),
    Stop(Box<StopArgs>),
}

/// Where the files are, and the language of what is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct SpaceArgs {
    /// The folder of the data space's files
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// de or en; otherwise what LANG says
    #[arg(long, value_name = "LANG")]
    pub(crate) lang: Option<Lang>,
}

impl SpaceArgs {
    /// The language to speak: what was asked for, what the system speaks, or English.
    pub(crate) fn lang(&self) -> Lang {
        lang(self.lang)
    }
}

/// What was asked for, what the system speaks, or English.
pub(crate) fn lang(asked_for: Option<Lang>) -> Lang {
    let system = || std::env::var("LANG").ok().filter(|lang| lang.starts_with("de"));
    asked_for.or_else(|| system().map(|_| Lang::De)).unwrap_or_default()
}

/// A private key and the passphrase that opens it.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyFileArgs {
    /// Your private key, as `board key` made it
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// A file with the passphrase, instead of typing it
    #[arg(long, value_name = "FILE", env = "DATENRAUM_PASSPHRASE_FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// Make your own key, on your own machine: a private file for you alone, and NAME.pub for the others
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum board key ana --out ana.key
  datenraum board key snapshot --out snapshot.key --machine

Asks twice for a passphrase. Whoever has file and passphrase can sign as you; without both, so can you no more.")]
pub(crate) struct KeyArgs {
    /// Your name among the board: small letters, digits and hyphens
    #[arg(value_name = "NAME")]
    pub(crate) name: PersonId,
    /// The private key's file; NAME.pub is written beside it
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// A file with the passphrase, instead of typing it
    #[arg(long, value_name = "FILE", env = "DATENRAUM_PASSPHRASE_FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// A broker's or a node's key: not encrypted, because nobody is there to type when it starts
    #[arg(long)]
    pub(crate) machine: bool,
}

/// Found a data space: its folder, and the draft of the document that says who signs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum board init --dir oncology --space oncology --title \"Oncology registers\" \\
      --member ana.pub --member bea.pub --member carl.pub --threshold 2 \\
      --snapshot-key ed25519:… --timestamp-key ed25519:…

The broker's operator makes the last two keys and sends their public halves: texts, or files like those of members.")]
pub(crate) struct InitArgs {
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    /// The data space's name in files; it never changes
    #[arg(long, value_name = "ID")]
    pub(crate) space: SpaceId,
    /// The name that people see
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: String,
    /// The public keys of the board members
    #[arg(long = "member", value_name = "FILE.pub", required = true)]
    pub(crate) members: Vec<PathBuf>,
    /// How many of them must sign
    #[arg(long, value_name = "K")]
    pub(crate) threshold: u16,
    /// The broker's public key that says which documents are current
    #[arg(long, value_name = "KEY|FILE.pub")]
    pub(crate) snapshot_key: String,
    /// The broker's public key that says that they still are
    #[arg(long, value_name = "KEY|FILE.pub")]
    pub(crate) timestamp_key: String,
    /// For how many days the document holds that says who signs
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub(crate) valid_days: u32,
}

/// Check the files as a node would, run their cases, and say what widens and who has signed
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum board check --dir oncology --lang de")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    /// As of this time, instead of now
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

/// Say what the present files allow that the signed ones do not, and the other way round
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum board diff --dir oncology --lang de")]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    /// Compare with the files in another folder, instead of those that were signed last
    #[arg(long, value_name = "DIR")]
    pub(crate) against: Option<PathBuf>,
    /// As of this time, instead of now
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

/// Show a policy as a table: who gets what, for which purpose
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  datenraum board matrix breast-cancer-research --dir oncology --lang de
  datenraum board matrix --write --dir oncology")]
pub(crate) struct MatrixArgs {
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    /// One policy; all of them otherwise
    #[arg(value_name = "POLICY")]
    pub(crate) policy: Option<PolicyId>,
    /// Write policies/ID.matrix.txt, which is signed with the policy and compared by `board check`
    #[arg(long)]
    pub(crate) write: bool,
}

/// Say whether somebody may ask something, and which words in which line decide
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum board explain --dir oncology --as saarland-university/ada --purpose ehds-53-1-e \\
      --collection breast-cancer --columns age,grade

Returns 4 if it would be refused.")]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    /// Who asks
    #[arg(long = "as", value_name = "MEMBER/PERSON", value_parser = person)]
    pub(crate) caller: (MemberId, PersonId),
    /// In which roles; otherwise all that the roster gives to the member
    #[arg(long, value_name = "ROLE,…", value_delimiter = ',')]
    pub(crate) roles: Vec<RoleName>,
    /// What for
    #[arg(long, value_name = "PURPOSE")]
    pub(crate) purpose: Option<Purpose>,
    /// About which collection
    #[arg(long, value_name = "ID")]
    pub(crate) collection: CollectionId,
    /// The columns that the question uses; without any it only counts
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Asks for rows, not for statistics
    #[arg(long, conflicts_with = "models")]
    pub(crate) rows: bool,
    /// Asks for the sums of a model, not for statistics
    #[arg(long)]
    pub(crate) models: bool,
    /// Under which data permit
    #[arg(long, value_name = "ID")]
    pub(crate) permit: Option<PermitId>,
    /// When; now otherwise
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

/// Write policies in ODRL 2.2, for those who read policies of many data spaces
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  datenraum board export breast-cancer-research --odrl --dir oncology
  datenraum board export --odrl --out odrl --dir oncology

What is signed and enforced is the TOML file.")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    /// The form: ODRL as JSON-LD
    #[arg(long, required = true)]
    odrl: bool,
    /// One policy; all of them otherwise
    #[arg(value_name = "POLICY")]
    pub(crate) policy: Option<PolicyId>,
    /// Write POLICY.jsonld into this folder, instead of showing it
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// Write down what is to be signed, without signing it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum board draft --dir oncology

Copy the folder to every member's machine afterwards. `board sign` drafts by itself what is not drafted yet.")]
pub(crate) struct DraftArgs {
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    /// Whose list of files; that of the board otherwise
    #[arg(long, value_enum)]
    pub(crate) role: Option<FileRole>,
    /// For how many days what is signed holds
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub(crate) valid_days: u32,
    /// Drop the draft that there is, with its signatures: everybody signs again
    #[arg(long)]
    pub(crate) anew: bool,
}

/// Read what is to be signed, and sign it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  datenraum board sign --dir oncology --key ana.key
  datenraum board sign --dir oncology --key ana.key --digest sha256:… --yes

Writes draft/signatures/ROLE.KEYID.json. Copy that file to whoever publishes; the order does not matter.")]
pub(crate) struct SignArgs {
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    #[command(flatten)]
    pub(crate) key: KeyFileArgs,
    /// Sign only what has this digest; once for each document
    #[arg(long, value_name = "sha256:…")]
    pub(crate) digest: Vec<Digest>,
    /// Do not ask; needs --digest
    #[arg(long)]
    pub(crate) yes: bool,
    /// Sign only this; everything that waits for your key otherwise
    #[arg(long, value_enum)]
    pub(crate) role: Option<SignedRole>,
    /// For how many days what is signed holds, where it is drafted now
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub(crate) valid_days: u32,
}

/// Who signs files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileRole {
    /// The board
    Targets,
    /// The access committee
    Permits,
    /// The registrar
    Registrar,
}

/// Whose document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SignedRole {
    /// Who is on the board
    Root,
    /// The files of the board
    Targets,
    /// The permits of the access committee
    Permits,
    /// The members of the registrar
    Registrar,
}

/// Publish what enough of the board have signed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  datenraum board publish --dir oncology --broker broker.example.org:7410 --broker-identity ed25519:…
  datenraum board publish --dir oncology --repository /var/lib/datenraum/broker/repository \\
      --snapshot-key snapshot.key --timestamp-key timestamp.key

The second is for the operator of the broker, and for the first time. Doing it again is harmless.")]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    #[command(flatten)]
    pub(crate) to: PublishTo,
}

/// Where to publish.
#[derive(Debug, clap::Args)]
pub(crate) struct PublishTo {
    /// The repository's folder, on the broker's own machine
    #[arg(long, value_name = "DIR", conflicts_with = "broker")]
    pub(crate) repository: Option<PathBuf>,
    /// The broker's private key that says which documents are current; with --repository
    #[arg(long, value_name = "FILE", requires = "repository")]
    pub(crate) snapshot_key: Option<PathBuf>,
    /// The broker's private key that says that they still are; with --repository
    #[arg(long, value_name = "FILE", requires = "repository")]
    pub(crate) timestamp_key: Option<PathBuf>,
    /// The broker's address, host:port; several of the same broker with a comma between them
    #[arg(long, value_name = "HOST:PORT", requires = "broker_identity", value_parser = addresses)]
    pub(crate) broker: Option<wire::Addresses>,
    /// The key by which the broker is recognised
    #[arg(long, value_name = "KEY", requires = "broker")]
    pub(crate) broker_identity: Option<PublicKey>,
}

pub(super) fn addresses(text: &str) -> Result<wire::Addresses, wire::connect::AddressesError> {
    let addresses: Vec<String> = text.split(',').map(|address| address.trim().to_owned()).collect();
    addresses.try_into()
}

#[derive(Debug, Subcommand)]
pub(crate) enum MembersCommand {
    Add(MembersAddArgs),
    Remove(MembersRemoveArgs),
    Replace(MembersReplaceArgs),
    Show(MembersShowArgs),
}

/// What every change of the board takes.
#[derive(Debug, clap::Args)]
pub(crate) struct MembersChange {
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    /// How many must sign from then on; as many as before otherwise
    #[arg(long, value_name = "K")]
    pub(crate) threshold: Option<u16>,
    /// For how many days the new documents hold
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub(crate) valid_days: u32,
}

/// Draft that somebody joins the board
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum board members add dora.pub --threshold 3 --dir oncology

Then as many of the old board as had to sign before sign, and as many of the new board as have to from now on.")]
pub(crate) struct MembersAddArgs {
    /// The new member's public key
    #[arg(value_name = "FILE.pub")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) change: MembersChange,
}

/// Draft that somebody leaves the board
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum board members remove carl --threshold 2 --dir oncology")]
pub(crate) struct MembersRemoveArgs {
    /// Who leaves
    #[arg(value_name = "NAME")]
    pub(crate) name: PersonId,
    #[command(flatten)]
    pub(crate) change: MembersChange,
}

/// Draft that somebody gets a new key: the old one is lost, stolen or old
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum board members replace bea bea-2027.pub --dir oncology

The old key is not needed: the others sign, and the new key may.")]
pub(crate) struct MembersReplaceArgs {
    /// Whose key
    #[arg(value_name = "NAME")]
    pub(crate) name: PersonId,
    /// The new public key
    #[arg(value_name = "FILE.pub")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) change: MembersChange,
}

/// Show who is on the board and in its committees
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum board members show --dir oncology")]
pub(crate) struct MembersShowArgs {
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
}

/// Draft that an access committee signs the permits, or a registrar the list of members
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  datenraum board delegate permits --member kim.pub --member lou.pub --threshold 2 --dir oncology
  datenraum board delegate permits --revoke --dir oncology

The committee named here replaces an earlier one.")]
pub(crate) struct DelegateArgs {
    /// permits or registrar
    #[arg(value_name = "ROLE")]
    pub(crate) role: DelegatedRole,
    /// The public keys of those who sign
    #[arg(long = "member", value_name = "FILE.pub", required_unless_present = "revoke")]
    pub(crate) members: Vec<PathBuf>,
    /// How many of them must sign
    #[arg(long, value_name = "K", required_unless_present = "revoke")]
    pub(crate) threshold: Option<u16>,
    /// The board signs these files itself again
    #[arg(long, conflicts_with_all = ["members", "threshold"])]
    pub(crate) revoke: bool,
    /// For how many days the board's list of files holds
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub(crate) valid_days: u32,
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
}

/// Draft the same documents again, before they expire
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum board renew --dir oncology")]
pub(crate) struct RenewArgs {
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    /// Only this; who is on the board and the board's files otherwise
    #[arg(long, value_enum)]
    pub(crate) role: Option<SignedRole>,
    /// For how many days the new documents hold
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub(crate) valid_days: u32,
}

/// Stop a policy, a permit, a member or a person at once, alone; or prepare to lift a stop, together
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("what").required(true).args(["policy", "permit", "member", "person", "lift"]),
    after_help = "\
Examples:
  datenraum board stop --policy breast-cancer-research --reason \"columns were wrong\" --key ana.key --dir oncology \\
      --broker broker.example.org:7410 --broker-identity ed25519:…
  datenraum board stop --lift sha256:… --dir oncology

A stop only takes away, so one signature is enough. --lift notes it in space.toml, which the board signs as any change."
)]
pub(crate) struct StopArgs {
    /// Everything that this policy permits
    #[arg(long, value_name = "ID")]
    policy: Option<PolicyId>,
    /// Everything under this permit
    #[arg(long, value_name = "ID")]
    permit: Option<PermitId>,
    /// Everything that the people of this institution ask
    #[arg(long, value_name = "ID")]
    member: Option<MemberId>,
    /// Everything that this person asks
    #[arg(long, value_name = "MEMBER/PERSON", value_parser = person)]
    person: Option<(MemberId, PersonId)>,
    /// Take back the stop with this digest
    #[arg(long, value_name = "sha256:…", conflicts_with_all = ["reason", "key", "out", "repository", "broker"])]
    pub(crate) lift: Option<Digest>,
    /// Why, in one line for those whom it concerns
    #[arg(long, value_name = "TEXT", required_unless_present = "lift")]
    pub(crate) reason: Option<String>,
    /// Your private key
    #[arg(long, value_name = "FILE", required_unless_present = "lift")]
    pub(crate) key: Option<PathBuf>,
    /// A file with the passphrase, instead of typing it
    #[arg(long, value_name = "FILE", env = "DATENRAUM_PASSPHRASE_FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Write the stop to a file as well, to be published elsewhere or handed to an operator
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    #[command(flatten)]
    pub(crate) to: PublishTo,
}

impl StopArgs {
    /// What is to be stopped; none where a stop is lifted.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        let policy = self.policy.clone().map(Stopped::Policy);
        let permit = self.permit.clone().map(Stopped::Permit);
        let member = self.member.clone().map(Stopped::Member);
        let person = self.person.clone();
        let person = person.map(|(member, person)| Stopped::Person(member, person));
        policy.or(permit).or(member).or(person)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum PermitCommand {
    New(Box<PermitNewArgs>),
    Show(PermitShowArgs),
}

/// Write a permit's file, to be signed like every file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum permit new --dir oncology --id hdab-2026-117 --title \"Relapse after hormone therapy\" \\
      --kind data-request --issuer \"Health data access body\" --holder saarland-university \\
      --person saarland-university/ada --purpose ehds-53-1-e \\
      --dataset breast-cancer:age,grade,relapsed --until 2027-11-30")]
pub(crate) struct PermitNewArgs {
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    /// The permit's number in files
    #[arg(long, value_name = "ID")]
    pub(crate) id: PermitId,
    /// What the project is called
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: String,
    /// data-permit: rows, models and statistics (EHDS Art. 68); data-request: statistics only (Art. 69)
    #[arg(long, value_enum)]
    pub(crate) kind: WrittenKind,
    /// Who decided
    #[arg(long, value_name = "TEXT")]
    pub(crate) issuer: String,
    /// The day of the decision; today otherwise
    #[arg(long, value_name = "DAY")]
    pub(crate) issued: Option<String>,
    /// The institution that it is issued to
    #[arg(long, value_name = "MEMBER")]
    pub(crate) holder: MemberId,
    /// Who may use it
    #[arg(long = "person", value_name = "MEMBER/PERSON", value_parser = person, required = true)]
    pub(crate) persons: Vec<(MemberId, PersonId)>,
    /// The public body for which the holder acts
    #[arg(long, value_name = "TEXT")]
    pub(crate) acts_for: Option<String>,
    /// For which purposes
    #[arg(long = "purpose", value_name = "PURPOSE", required = true)]
    pub(crate) purposes: Vec<Purpose>,
    /// Which columns of which collection
    #[arg(long = "dataset", value_name = "COLLECTION:COLUMN,…", value_parser = dataset, required = true)]
    pub(crate) datasets: Vec<(CollectionId, Vec<String>)>,
    /// The first day; the day of the decision otherwise
    #[arg(long, value_name = "DAY")]
    pub(crate) from: Option<String>,
    /// The last day
    #[arg(long, value_name = "DAY")]
    pub(crate) until: String,
    /// How often all its persons together may ask in a minute
    #[arg(long, value_name = "N")]
    pub(crate) per_minute: Option<u32>,
    /// How often all its persons together may ask in seven days
    #[arg(long, value_name = "N")]
    pub(crate) per_week: Option<u32>,
    /// People may be linked across datasets
    #[arg(long)]
    pub(crate) linkage: bool,
    /// Which opt-outs count: those at the time of the query, those at the time of the decision, or none
    #[arg(long, value_enum, default_value_t = WrittenOptOut::AtQuery)]
    pub(crate) opt_out: WrittenOptOut,
    /// The national law for --opt-out exempt, and why it applies
    #[arg(long, value_name = "TEXT")]
    pub(crate) opt_out_reason: Option<String>,
}

/// The two kinds of permits, as files write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WrittenKind {
    /// Art. 68
    DataPermit,
    /// Art. 69
    DataRequest,
}

/// Which opt-outs count, as files write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WrittenOptOut {
    /// Those at the time of the query
    AtQuery,
    /// Those at the time of the decision
    AtIssue,
    /// None
    Exempt,
}

/// Say what a permit allows, to whom, and whether it holds now
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum permit show hdab-2026-117 --dir oncology --lang de")]
pub(crate) struct PermitShowArgs {
    /// The permit
    #[arg(value_name = "ID")]
    pub(crate) id: PermitId,
    #[command(flatten)]
    pub(crate) place: SpaceArgs,
    /// As of this time, instead of now
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

fn person(text: &str) -> Result<(MemberId, PersonId), String> {
    let (member, person) = text
        .split_once('/')
        .ok_or("write MEMBER/PERSON, such as saarland-university/ada")?;
    let member = member.parse().map_err(|error| format!("{error}"))?;
    Ok((member, person.parse().map_err(|error| format!("{error}"))?))
}

fn dataset(text: &str) -> Result<(CollectionId, Vec<String>), String> {
    let (collection, columns) = text.split_once(':').ok_or("write COLLECTION:COLUMN,COLUMN")?;
    let collection = collection.parse().map_err(|error| format!("{error}"))?;
    Ok((collection, columns.split(',').map(str::to_owned).collect()))
}
