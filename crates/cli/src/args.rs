//! What can be said on the command line. Every command has a summary and an example.
//!
//! Only shapes live here; what a command does is in the file that is called like it.

pub(crate) mod analyses;
pub(crate) mod board;
pub(crate) mod dataset;
pub(crate) mod enrolment;
pub(crate) mod export;
pub(crate) mod fits;
pub(crate) mod learn;
pub(crate) mod person;
pub(crate) mod registers;
pub(crate) mod twin;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use terms::MemberId;

/// Federated health data space: data stay where they are, and only what a signed policy allows leaves.
#[derive(Debug, Parser)]
#[command(
    name = "datenraum",
    version,
    arg_required_else_help = true,
    after_help = "\
Try it:
  datenraum demo

Exit codes: 0 ok, 1 failed, 2 usage, 3 partial answer, 4 refused by policy, 5 unreachable, 6 verification failed"
)]
pub(crate) struct Args {
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How events are logged on standard error; which ones, DATENRAUM_LOG says, such as info
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORM",
        hide_default_value = true
    )]
    pub(crate) log: LogForm,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How events are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(DemoArgs),
    /// Run a whole data space on this machine from one file
    #[command(
        subcommand,
        after_help = "Example:\n  datenraum sandbox up demo/oncology.toml --dir /tmp/oncology"
    )]
    Sandbox(SandboxCommand),
    Query(QueryArgs),
    Describe(analyses::DescribeArgs),
    Glm(fits::GlmArgs),
    Cox(fits::CoxArgs),
    Pca(learn::PcaArgs),
    Kmeans(learn::KmeansArgs),
    Train(learn::TrainArgs),
    Crosstab(analyses::CrosstabArgs),
    Compare(analyses::CompareArgs),
    Correlate(analyses::CorrelateArgs),
    Rates(analyses::RatesArgs),
    Survival(analyses::SurvivalArgs),
    Meta(analyses::MetaArgs),
    /// See what there is to ask, of whom, and what for
    #[command(
        subcommand,
        after_help = "Example:\n  datenraum catalog datasets --sandbox /tmp/oncology"
    )]
    Catalog(CatalogCommand),
    /// Run a node, and look after its datasets
    #[command(
        subcommand,
        after_help = "Example:\n  datenraum node run --config /etc/datenraum/node.toml"
    )]
    Node(NodeCommand),
    /// Read, check, sign and publish what a data space allows, as its board
    #[command(
        subcommand,
        after_help = "Example:\n  datenraum board check --dir oncology --lang de"
    )]
    Board(board::BoardCommand),
    /// Make a person's key, and vouch for a person
    #[command(
        subcommand,
        after_help = "Example:\n  datenraum person vouch ada.pub --key member.key --member saarland-university --space oncology --roles university --out credential.jwt"
    )]
    Person(person::PersonCommand),
    /// Write and read data permits
    #[command(
        subcommand,
        after_help = "Example:\n  datenraum permit show hdab-2026-117 --dir oncology"
    )]
    Permit(board::PermitCommand),
    /// Run a broker
    #[command(
        subcommand,
        after_help = "Example:\n  datenraum broker run --config /etc/datenraum/broker.toml"
    )]
    Broker(BrokerCommand),
    /// Answer other programs: Python, R, BI tools
    #[command(
        subcommand,
        after_help = "Example:\n  datenraum gateway run --sandbox /tmp/oncology --purpose ehds-53-1-e"
    )]
    Gateway(GatewayCommand),
    /// See and verify what a node was asked and what left it
    #[command(subcommand, after_help = "Example:\n  datenraum audit show /tmp/oncology/nodes/gbsg")]
    Audit(AuditCommand),
    Doctor(DoctorArgs),
    Problems(ProblemsArgs),
}

/// Look at everything between this machine and an answer: configuration, keys, clock, disk, network, broker, documents
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum doctor /etc/datenraum/node.toml
  datenraum doctor --sandbox /tmp/oncology --json

Changes nothing, and works beside a running node. Returns 0 if nothing failed, otherwise the code of the first failure.")]
pub(crate) struct DoctorArgs {
    /// Configurations of nodes, brokers or people; if none is named, node.toml, broker.toml and person.toml of this folder
    #[arg(value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// Everybody in a sandbox
    #[arg(long, value_name = "DIR", env = "DATENRAUM_SANDBOX")]
    pub(crate) sandbox: Option<PathBuf>,
}

/// Show a whole data space with real data: put it up, ask, be refused
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum demo --keep --dir /tmp/demo")]
pub(crate) struct DemoArgs {
    /// Leave the sandbox up, to go on with it
    #[arg(long)]
    pub(crate) keep: bool,
    /// Where to put the sandbox; a temporary folder otherwise
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// Ask one question of all nodes of a data space
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum query --sandbox /tmp/oncology --purpose ehds-53-1-e \\
      \"SELECT grade, count(*) AS people, avg(age) FROM breast_cancer GROUP BY grade\"")]
pub(crate) struct QueryArgs {
    /// The question; collections are tables, hyphens in their names become underscores
    pub(crate) sql: String,
    /// What the question is for, ehds-53-1-a to ehds-53-1-f, such as ehds-53-1-e (scientific research)
    #[arg(long, value_name = "PURPOSE")]
    pub(crate) purpose: Option<String>,
    /// The data permit under which it is asked
    #[arg(long, value_name = "ID")]
    pub(crate) permit: Option<String>,
    /// A table of your own, CSV (UTF-8, with a header) or Parquet, that the question may join with; no node sees it
    #[arg(long, value_name = "NAME=FILE")]
    pub(crate) with: Vec<String>,
    /// How long nodes may take; who has not answered by then is named, and told to stop
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<federation::Timeout>,
    #[command(flatten)]
    pub(crate) asker: AskerArgs,
    /// Ask each node whether it would answer, by which rule and at what cost; no data is read and nothing charged
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How to write the answer; if nothing is said, as the ending of --output says, or as a table
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Write the answer to a file
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Draw the answer too, as FILE.svg or FILE.png
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// What to draw: of dates and numbers lines, of texts bars, unless this says otherwise
    #[arg(long, value_enum, requires = "plot")]
    pub(crate) plot_kind: Option<PlotKind>,
}

/// What an answer is drawn as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlotKind {
    /// Groups side by side
    Bar,
    /// Points and lines between them
    Line,
    /// Steps: the share that is left over time
    Survival,
}

/// Who looks or asks.
#[derive(Debug, clap::Args)]
pub(crate) struct AskerArgs {
    /// Who asks, where a sandbox has several people
    #[arg(long = "as", value_name = "PERSON")]
    pub(crate) as_person: Option<String>,
    /// The sandbox to ask
    #[arg(long, value_name = "DIR", env = "DATENRAUM_SANDBOX")]
    pub(crate) sandbox: Option<PathBuf>,
    /// The file that says who you are (person.toml), outside a sandbox
    #[arg(long, value_name = "FILE")]
    pub(crate) profile: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    Spaces(SpacesArgs),
    Datasets(DatasetsArgs),
    Show(ShowArgs),
    Who(CatalogWhoArgs),
    Export(export::ExportArgs),
}

/// The data space that you belong to
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum catalog spaces --sandbox /tmp/oncology")]
pub(crate) struct SpacesArgs {
    #[command(flatten)]
    pub(crate) asker: AskerArgs,
}

/// What is offered, by which nodes, and what you may ask it for
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  datenraum catalog datasets --sandbox /tmp/oncology
  datenraum catalog datasets hormone --sandbox /tmp/oncology")]
pub(crate) struct DatasetsArgs {
    /// Only what speaks of this: in a title, or in the name, the values or the code of a column
    #[arg(value_name = "WORD")]
    pub(crate) word: Option<String>,
    #[command(flatten)]
    pub(crate) asker: AskerArgs,
}

/// One collection: its columns, what they mean, their values and units
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum catalog show breast-cancer --sandbox /tmp/oncology")]
pub(crate) struct ShowArgs {
    /// The collection, by its id or its name in SQL
    #[arg(value_name = "COLLECTION")]
    pub(crate) collection: String,
    #[command(flatten)]
    pub(crate) asker: AskerArgs,
}

/// Who may query a collection, for which purposes, and what leaves
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum catalog who breast-cancer --sandbox /tmp/oncology --lang de")]
pub(crate) struct CatalogWhoArgs {
    /// The collection, by its id or its name in SQL
    #[arg(value_name = "COLLECTION")]
    pub(crate) collection: String,
    /// de or en; otherwise what LANG says
    #[arg(long, value_name = "LANG")]
    pub(crate) lang: Option<policy::Lang>,
    #[command(flatten)]
    pub(crate) asker: AskerArgs,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// Columns, rows, intervals and coverage
    Json,
    /// Comma-separated, with a header
    Csv,
    /// Apache Parquet
    Parquet,
    /// Arrow IPC file
    Arrow,
}

impl Format {
    /// What the ending of a file says.
    pub(crate) fn of_file(file: &Path) -> Option<Self> {
        let ending = file.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "json" => Some(Format::Json),
            "csv" => Some(Format::Csv),
            "parquet" => Some(Format::Parquet),
            "arrow" => Some(Format::Arrow),
            _ => None,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    Up(UpArgs),
    Down(DownArgs),
    Status(StatusArgs),
    Found(FoundArgs),
    /// Hosts a founded sandbox; `sandbox up` starts it
    #[command(hide = true)]
    Host(HostArgs),
}

/// Put up a data space: keys, signed policies, nodes with their data, people
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum sandbox up demo/oncology.toml --dir /tmp/oncology

Again with the same file: starts what is down, with data and ledgers as they were.")]
pub(crate) struct UpArgs {
    /// The file that describes the sandbox
    #[arg(value_name = "SPEC")]
    pub(crate) spec: PathBuf,
    /// The folder to keep it in; new, or that of a sandbox of the same file
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Stay in this terminal until Ctrl-C
    #[arg(long)]
    pub(crate) foreground: bool,
}

/// Make the folders of a data space whose broker and nodes are then started each for itself, in containers for instance
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum sandbox found deploy/compose/trial.toml --dir trial --broker broker:4443

Then: broker run --config trial/broker/broker.toml, node run --config trial/nodes/ID/node.toml for each node.
Again with the same file: renews the credentials of the people, which are valid for a day.")]
pub(crate) struct FoundArgs {
    /// The file that describes the sandbox
    #[arg(value_name = "SPEC")]
    pub(crate) spec: PathBuf,
    /// The folder to keep it in; new, or that of a sandbox of the same file
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Where nodes and people reach the broker; it listens on this port of all of its addresses
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) broker: String,
}

/// Take a sandbox, or one of its nodes, down
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum sandbox down /tmp/oncology
  datenraum sandbox down /tmp/oncology --node gbsg")]
pub(crate) struct DownArgs {
    /// The sandbox's folder
    #[arg(value_name = "DIR", env = "DATENRAUM_SANDBOX")]
    pub(crate) dir: PathBuf,
    /// Only this node; `sandbox up` brings it back
    #[arg(long, value_name = "ID")]
    pub(crate) node: Option<MemberId>,
}

/// Show a sandbox's nodes, what they offer, and which signed documents are in force
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum sandbox status /tmp/oncology --json")]
pub(crate) struct StatusArgs {
    /// The sandbox's folder
    #[arg(value_name = "DIR", env = "DATENRAUM_SANDBOX")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HostArgs {
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    Init(Box<enrolment::NodeInitArgs>),
    Run(NodeRunArgs),
    Status(NodeStatusArgs),
    Backup(NodeBackupArgs),
    /// Check data files and offer them
    #[command(
        subcommand,
        after_help = "Example:\n  datenraum node dataset list --config /etc/datenraum/node.toml"
    )]
    Dataset(DatasetCommand),
    /// Keep the register of people who opted out
    #[command(
        subcommand,
        after_help = "Example:\n  datenraum node opt-out add --collection breast-cancer 4711"
    )]
    OptOut(registers::OptOutCommand),
    /// Keep the consents of people
    #[command(
        subcommand,
        after_help = "Example:\n  datenraum node consent import consents.csv --collection breast-cancer"
    )]
    Consent(registers::ConsentCommand),
}

/// Run a node until it is told to stop
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum node run --config /etc/datenraum/node.toml")]
pub(crate) struct NodeRunArgs {
    /// The node's configuration
    #[arg(long, value_name = "FILE", default_value = "node.toml")]
    pub(crate) config: PathBuf,
    /// Only check the configuration and all that it names, say everything that is wrong, and end
    #[arg(long)]
    pub(crate) check: bool,
}

/// Show under which signed documents a node works, what is stopped, and what to look at
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum node status --config /etc/datenraum/node.toml

Reads what the node wrote down after its last look, whether it runs or not. Returns 6 if the documents have expired.
Names of board members are shown if their .pub files lie in the node's data folder under board/.")]
pub(crate) struct NodeStatusArgs {
    /// The node's configuration
    #[arg(long, value_name = "FILE", default_value = "node.toml")]
    pub(crate) config: PathBuf,
}

/// Copy what a node keeps, while it runs, and verify the copy of its ledger
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum node backup /backup/2026-11-28 --config /etc/datenraum/node.toml

The key is not copied. To restore: stop the node, put the folder data back, start it.")]
pub(crate) struct NodeBackupArgs {
    /// The folder to copy to; new
    #[arg(value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// The node's configuration
    #[arg(long, value_name = "FILE", default_value = "node.toml")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    Add(DatasetAddArgs),
    Refresh(dataset::DatasetRefreshArgs),
    List(DatasetListArgs),
    Synthesize(twin::SynthesizeArgs),
}

/// Check every value of a file against a collection and, if all fit, offer it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum node dataset add patients.csv --collection breast-cancer --config /etc/datenraum/node.toml

Where columns are named or written in another way, let a mapping be guessed, look at it, and use it:
  datenraum node dataset add export.csv --collection breast-cancer --guess mapping.toml
  datenraum node dataset add export.csv --collection breast-cancer --mapping mapping.toml --dry-run --report profile.html
  datenraum node dataset add export.csv --collection breast-cancer --mapping mapping.toml

FHIR, as Bulk Data or bundles, is read through a view:
  datenraum node dataset add export/ --view diagnosis --collection mii-diagnosis --dry-run

Works on the node's folder and the documents that the node verified last. A node that runs offers the data at its next look
(refresh_seconds).")]
pub(crate) struct DatasetAddArgs {
    /// CSV, Parquet, Arrow IPC, NDJSON or FHIR, plain or with .gz or .zst; a folder of such files; or a .toml that describes a database or store
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Read FHIR resources as the rows of this view: a ready-made one such as diagnosis, or the file of a ViewDefinition
    #[arg(long, value_name = "NAME")]
    pub(crate) view: Option<String>,
    /// The collection that the file conforms to
    #[arg(long, value_name = "ID")]
    pub(crate) collection: String,
    /// How the file's columns become the collection's
    #[arg(long, value_name = "FILE")]
    pub(crate) mapping: Option<PathBuf>,
    /// Look at the file and write a first mapping to this new file, to be read and changed; add nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mapping", "dry_run", "report"])]
    pub(crate) guess: Option<PathBuf>,
    /// Show what would be added and what does not fit; add nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: write the profile as a page for a browser, too
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    pub(crate) report: Option<PathBuf>,
    /// Let days be moved by other numbers than in the version before: whoever saw both knows more of the true ones
    #[arg(long, conflicts_with_all = ["guess", "dry_run"])]
    pub(crate) other_shifts: bool,
    /// The node's configuration
    #[arg(long, value_name = "FILE", default_value = "node.toml")]
    pub(crate) config: PathBuf,
}

/// List the datasets that a node offers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum node dataset list --config /tmp/oncology/nodes/gbsg/node.toml")]
pub(crate) struct DatasetListArgs {
    /// The node's configuration
    #[arg(long, value_name = "FILE", default_value = "node.toml")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BrokerCommand {
    Run(BrokerRunArgs),
    Status(BrokerStatusArgs),
}

/// Show who is reached through a broker, and what to look at
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum broker status --config /etc/datenraum/broker.toml

Reads what the broker wrote down, whether it runs or not. Returns 6 if the published documents have expired.")]
pub(crate) struct BrokerStatusArgs {
    /// The broker's configuration
    #[arg(long, value_name = "FILE", default_value = "broker.toml")]
    pub(crate) config: PathBuf,
}

/// Run a broker until it is told to stop
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum broker run --config /etc/datenraum/broker.toml")]
pub(crate) struct BrokerRunArgs {
    /// The broker's configuration
    #[arg(long, value_name = "FILE", default_value = "broker.toml")]
    pub(crate) config: PathBuf,
    /// Only check the configuration and all that it names, say everything that is wrong, and end
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    Run(GatewayRunArgs),
}

/// Answer Flight SQL clients on this machine until told to stop
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum gateway run --sandbox /tmp/oncology --purpose ehds-53-1-e

Whoever knows the token asks as you: it is made at the first start, in a file that only you can read. docs/data-users.md says how
programs connect.")]
pub(crate) struct GatewayRunArgs {
    /// What questions are for, unless a program says otherwise
    #[arg(long, value_name = "PURPOSE")]
    pub(crate) purpose: Option<String>,
    /// The data permit under which they are asked, unless a program says otherwise
    #[arg(long, value_name = "ID")]
    pub(crate) permit: Option<String>,
    /// How many nodes are enough where not all answer; without it a partial answer is an error
    #[arg(long, value_name = "N")]
    pub(crate) minimum_nodes: Option<std::num::NonZeroUsize>,
    /// How long nodes may take, unless a program says otherwise
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<federation::Timeout>,
    #[command(flatten)]
    pub(crate) asker: AskerArgs,
    /// Where to listen: a port of this machine; 0 for any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:32010")]
    pub(crate) listen: String,
    /// Where this machine's monitoring reads metrics, such as 127.0.0.1:9465; nowhere if nothing is said
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<std::net::SocketAddr>,
    /// The file with the token; gateway.token in your profile's data folder otherwise
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// End when standard input ends: for a program that starts a gateway of its own and must not leave it behind, however it ends itself
    #[arg(long)]
    pub(crate) until_input_ends: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    Verify(Box<AuditVerifyArgs>),
    Show(AuditShowArgs),
    Export(AuditExportArgs),
    HandOver(AuditHandOverArgs),
}

/// Check that an audit is whole: nothing changed, nothing taken out
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum audit verify /tmp/oncology/nodes/gbsg
  datenraum audit verify gbsg.audit --key ed25519:… --origin datenraum/oncology/gbsg --against gbsg.checkpoint
  datenraum audit verify /tmp/oncology/nodes/gbsg --receipt /tmp/oncology/people/ada/cache/receipts/q0f….json

A node's folder knows its key and origin. For an exported file, take the key from the roster that the board signed.")]
pub(crate) struct AuditVerifyArgs {
    /// A node's folder (with node.toml) or an exported file
    #[arg(value_name = "FOLDER_OR_FILE")]
    pub(crate) place: PathBuf,
    /// The key that must have signed, instead of the folder's own
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<trust::PublicKey>,
    /// The log's name, instead of the folder's own
    #[arg(long, value_name = "NAME")]
    pub(crate) origin: Option<String>,
    /// An older checkpoint that must be a beginning of this log
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// The key of the data space's broker, which must have cosigned the checkpoint in the folder or the one given with --against
    #[arg(long, value_name = "KEY")]
    pub(crate) witness: Option<trust::PublicKey>,
    /// The receipts of an answer, as a data user keeps them: those of this log's node must be in it; can be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Vec<PathBuf>,
    /// Write the checkpoint that was verified to a file, for --against later
    #[arg(long, value_name = "FILE")]
    pub(crate) keep: Option<PathBuf>,
}

impl AuditVerifyArgs {
    /// A node's folder, by its own key and origin.
    pub(crate) fn of(folder: PathBuf) -> Self {
        Self {
            place: folder,
            key: None,
            origin: None,
            against: None,
            witness: None,
            receipt: Vec::new(),
            keep: None,
        }
    }
}

/// List what was asked, under which policy, and what left
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum audit show /tmp/oncology/nodes/gbsg --json")]
pub(crate) struct AuditShowArgs {
    /// A node's folder (with node.toml)
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}

/// Write the audit to a file that a stranger can verify offline
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum audit export /tmp/oncology/nodes/gbsg -o gbsg.audit")]
pub(crate) struct AuditExportArgs {
    /// A node's folder (with node.toml)
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// Let a node's ledger go on under the new key of its institution: the node must be stopped
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  datenraum audit hand-over /etc/datenraum --from old.key --to new.key --keep gbsg.hand-over

Both keys sign the ledger's head as it is. What was asked, used up and released stays known. Before, export the audit: with the
old key that file verifies for ever, and so do the receipts of until then.")]
pub(crate) struct AuditHandOverArgs {
    /// A node's folder (with node.toml)
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// The file of the key that signed the ledger so far; the one that node.toml names, if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// The file of the key that signs from now on; the one that node.toml names, if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Write the checkpoint that both keys signed to a file, for audit verify --against later
    #[arg(long, value_name = "FILE")]
    pub(crate) keep: Option<PathBuf>,
}

/// List every problem, or explain one
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  datenraum problems E_SQL_DOMAIN")]
pub(crate) struct ProblemsArgs {
    /// The code that an error showed
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_file_says_its_form_or_nothing() {
        for (file, says) in [
            ("a.csv", Some(Format::Csv)),
            ("a.JSON", Some(Format::Json)),
            ("b/a.b.parquet", Some(Format::Parquet)),
            ("a.arrow", Some(Format::Arrow)),
            ("a.txt", None),
            ("csv", None),
        ] {
            assert!(Format::of_file(Path::new(file)) == says, "{file}");
        }
    }
}
