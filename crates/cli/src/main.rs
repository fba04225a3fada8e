//! The program `datenraum`: every role and every command.
//!
//! Commands hold no rules of their own: they read files, call the crates, and show what comes back. This crate must
//! never decide, verify or sign by itself, and never print an error except through [`fail`].
//!
//! Reading order: [`args`] (what can be said), [`fail`], [`show`] and [`log`] (what comes out), [`sandbox`] (a whole data space
//! on one machine), [`serve`] (a node, a broker or a gateway alone), [`enrolment`] (joining a data space), [`board`] and [`permit`], [`dataset`], [`audit`], [`query`], [`analyses`], [`waiting`] and
//! [`render`], [`plot`], [`catalog`], [`demo`], [`problems`].

mod analyses;
mod args;
mod audit;
mod backup;
mod board;
mod catalog;
mod dataset;
mod demo;
#[cfg(test)]
mod deploy_tests;
mod doctor;
mod dry_run;
mod enrolment;
mod fail;
mod log;
mod permit;
mod person;
mod plot;
mod problems;
mod query;
mod registers;
mod render;
mod sandbox;
mod serve;
mod show;
mod status;
mod synthesize;
mod waiting;

use clap::Parser as _;
use terms::{ExitCode, Problem, Report};

use crate::args::board::PermitCommand;
use crate::args::person::PersonCommand;
use crate::args::registers::{ConsentCommand, OptOutCommand};
use crate::args::{
    Args, AuditCommand, BrokerCommand, Command, DatasetCommand, GatewayCommand, NodeCommand, SandboxCommand,
};

/// Stack of the threads that plan queries, in bytes: an unoptimised build needs more than the usual two megabytes.
const STACK_BYTES: usize = 8 * 1024 * 1024;

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    log::start(args.log);
    let json = args.json;
    let ended = runtime().and_then(|runtime| runtime.block_on(run(args)));
    let code = ended.unwrap_or_else(|report| fail::tell(&report, json));
    std::process::ExitCode::from(code as u8)
}

async fn run(args: Args) -> Result<ExitCode, Report> {
    let json = args.json;
    match args.command {
        Command::Demo(args) => Box::pin(demo::run(args)).await,
        Command::Sandbox(SandboxCommand::Up(args)) => Box::pin(sandbox::up::run(args, json)).await,
        Command::Sandbox(SandboxCommand::Down(args)) => sandbox::up::down(args).await,
        Command::Sandbox(SandboxCommand::Status(args)) => sandbox::up::status(args, json).await,
        Command::Sandbox(SandboxCommand::Found(args)) => sandbox::up::found_only(args, json),
        Command::Sandbox(SandboxCommand::Host(args)) => Box::pin(sandbox::up::host(args)).await,
        Command::Query(args) => Box::pin(query::run(args, json)).await,
        Command::Describe(args) => Box::pin(analyses::describe(args, json)).await,
        Command::Glm(args) => Box::pin(analyses::glm(args, json)).await,
        Command::Cox(args) => Box::pin(analyses::cox(args, json)).await,
        Command::Pca(args) => Box::pin(analyses::pca(args, json)).await,
        Command::Kmeans(args) => Box::pin(analyses::kmeans(args, json)).await,
        Command::Train(args) => Box::pin(analyses::train(args, json)).await,
        Command::Crosstab(args) => Box::pin(analyses::crosstab(args, json)).await,
        Command::Compare(args) => Box::pin(analyses::compare(args, json)).await,
        Command::Correlate(args) => Box::pin(analyses::correlate(args, json)).await,
        Command::Rates(args) => Box::pin(analyses::rates(args, json)).await,
        Command::Survival(args) => Box::pin(analyses::survival(args, json)).await,
        Command::Meta(args) => Box::pin(analyses::meta(args, json)).await,
        Command::Catalog(command) => Box::pin(catalog::run(command, json)).await,
        Command::Node(NodeCommand::Init(args)) => Box::pin(enrolment::init(&args, json)).await,
        Command::Node(NodeCommand::Run(args)) => Box::pin(serve::node(args, json)).await,
        Command::Node(NodeCommand::Status(args)) => status::node(args, json),
        Command::Node(NodeCommand::Backup(args)) => backup::run(&args, json),
        Command::Node(NodeCommand::Dataset(DatasetCommand::Add(args))) => Box::pin(dataset::add(args, json)).await,
        Command::Node(NodeCommand::Dataset(DatasetCommand::Refresh(args))) => {
            Box::pin(dataset::refresh::refresh(args, json)).await
        }
        Command::Node(NodeCommand::Dataset(DatasetCommand::List(args))) => dataset::list(args, json),
        Command::Node(NodeCommand::Dataset(DatasetCommand::Synthesize(args))) => synthesize::run(args, json).await,
        Command::Node(NodeCommand::OptOut(OptOutCommand::Add(args))) => {
            registers::change(&args, registers::Change::OptOut, json)
        }
        Command::Node(NodeCommand::OptOut(OptOutCommand::Withdraw(args))) => {
            registers::change(&args, registers::Change::Withdraw, json)
        }
        Command::Node(NodeCommand::OptOut(OptOutCommand::List(args))) => registers::list(&args, json),
        Command::Node(NodeCommand::Consent(ConsentCommand::Import(args))) => registers::import(&args, json),
        Command::Node(NodeCommand::Consent(ConsentCommand::Show(args))) => registers::consents(&args, json),
        Command::Board(command) => Box::pin(board::run(command, json)).await,
        Command::Person(PersonCommand::Init(args)) => person::init(&args, json),
        Command::Person(PersonCommand::Vouch(args)) => person::vouch(&args, json),
        Command::Permit(PermitCommand::New(args)) => permit::new(*args, json),
        Command::Permit(PermitCommand::Show(args)) => permit::show(&args, json),
        Command::Broker(BrokerCommand::Run(args)) => Box::pin(serve::broker(args, json)).await,
        Command::Broker(BrokerCommand::Status(args)) => status::broker(&args, json),
        Command::Gateway(GatewayCommand::Run(args)) => Box::pin(serve::gateway(args, json)).await,
        Command::Audit(AuditCommand::Verify(args)) => audit::verify(*args, json),
        Command::Audit(AuditCommand::Show(args)) => audit::show(args, json),
        Command::Audit(AuditCommand::Export(args)) => audit::export(args),
        Command::Audit(AuditCommand::HandOver(args)) => audit::hand_over::run(args, json),
        Command::Doctor(args) => Box::pin(doctor::run(args, json)).await,
        Command::Problems(args) => problems::run(args, json),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build();
    runtime.map_err(|error| Problem::Internal.report(format!("the system gives no threads: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_has_a_summary_and_an_example() {
        let mut open = vec![Args::command()];
        while let Some(command) = open.pop() {
            let name = command.get_name().to_owned();
            if command.is_hide_set() || name == "help" {
                continue;
            }
            assert!(command.get_about().is_some(), "{name} has no summary");
            assert!(command.get_after_help().is_some(), "{name} has no example");
            open.extend(command.get_subcommands().cloned());
        }
        Args::command().debug_assert();
    }
}
