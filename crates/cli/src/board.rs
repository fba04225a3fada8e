//! `datenraum board`: how a governance board reads, checks, signs and publishes, offline, files in and files out.
//!
//! Commands hold no rules: `policy` says what files mean, `trust` what a signature is, the broker what is accepted.
//! Reading order: `folder` (what lies where), `paper` and `names`, `signed` and `pending` (what was signed, what waits),
//! `desk` (all of it, and whether a draft is what the files give), `examine`, `check` and `read` (what a board looks at),
//! `export` (the same for others), `sign` (and `pin`, what a member's machine remembers), `publish`, `init` and
//! `members` (who signs), `enrol` (who joins), `stop`, `words` (how it is said).

mod check;
mod desk;
mod enrol;
mod examine;
mod export;
pub(crate) mod folder;
mod init;
mod key;
mod members;
mod names;
mod paper;
mod passphrase;
mod pending;
mod pin;
mod publish;
mod read;
mod sign;
mod signed;
mod stop;
mod words;

use terms::{ExitCode, Report};

use crate::args::board::BoardCommand;
pub(crate) use desk::Desk;
pub(crate) use folder::write;
pub(crate) use read::time;

/// Runs one of the commands.
///
/// # Errors
/// Theirs.
pub(crate) async fn run(command: BoardCommand, json: bool) -> Result<ExitCode, Report> {
    match command {
        BoardCommand::Key(args) => key::run(&args, json),
        BoardCommand::Init(args) => init::run(&args, json),
        BoardCommand::Check(args) => check::run(&args, json),
        BoardCommand::Diff(args) => read::diff_files(&args, json),
        BoardCommand::Matrix(args) => read::tables(&args, json),
        BoardCommand::Explain(args) => read::explain_one(*args, json),
        BoardCommand::Export(args) => export::run(&args, json),
        BoardCommand::Draft(args) => sign::draft(&args, json),
        BoardCommand::Sign(args) => sign::run(&args, json),
        BoardCommand::Publish(args) => publish::run(&args, json).await,
        BoardCommand::Members(command) => members::run(command, json),
        BoardCommand::Enrol(args) => enrol::run(&args, json).await,
        BoardCommand::Delegate(args) => members::delegate(&args, json),
        BoardCommand::Renew(args) => sign::renew(&args, json),
        BoardCommand::Stop(args) => stop::run(*args, json).await,
    }
}
