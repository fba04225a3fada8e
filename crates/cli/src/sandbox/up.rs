//! `sandbox up`, `down` and `status`, and the hidden command behind `up` that hosts the sandbox.

mod background;
mod question;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use terms::{Clock as _, ExitCode, Problem, Report, SystemClock};
use tokio_util::sync::CancellationToken;

use super::control::{self, NodeState, NodeStatus, Order, Status};
use super::found::{Places, counted, found, renew_credentials};
use super::host::Host;
use super::layout::{Layout, Lock, Record};
use super::progress::Progress;
use super::spec::Spec;
use crate::args::{DownArgs, FoundArgs, HostArgs, StatusArgs, UpArgs};
use crate::{serve, show};

/// How long the hosting process may take to end once it was told to.
const DOWN_TIME_MAX: Duration = Duration::from_secs(60);

/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Founds a sandbox if need be, and puts it up.
///
/// # Errors
/// What is wrong with the specification, what does not start, or `SandboxUp`.
pub(crate) async fn run(args: UpArgs, json: bool) -> Result<ExitCode, Report> {
    let progress = Progress::to_stderr(json);
    let spec = Spec::load(&args.spec)?;
    let layout = Layout::new(absolute(&args.dir)?);
    if let Found::Up = Found::look(&layout, &spec)? {
        let status = bring_back(&layout, &args.dir).await?;
        greet(&layout, &args.dir, &status, json)?;
        return Ok(ExitCode::Ok);
    }
    if !args.foreground {
        let status = put_up(&spec, &layout, progress).await?;
        greet(&layout, &args.dir, &status, json)?;
        return Ok(ExitCode::Ok);
    }
    found_if_new(&spec, &layout, progress)?;
    let stop = serve::stop_when_told()?;
    let step = progress.begin("starting the broker and the nodes");
    let host = Box::pin(Host::start(layout.clone(), Arc::new(SystemClock))).await?;
    step.done(started(&spec));
    greet(&layout, &args.dir, &host.status().await, json)?;
    stay(&host, &stop).await
}

/// Founds a sandbox if need be, and has a process of its own host it.
///
/// # Errors
/// As [`run`].
pub(crate) async fn put_up(spec: &Spec, layout: &Layout, progress: Progress) -> Result<Status, Report> {
    found_if_new(spec, layout, progress)?;
    let step = progress.begin("starting the broker and the nodes");
    let status = background::start(layout, &step).await?;
    step.done(started(spec));
    Ok(status)
}

fn found_if_new(spec: &Spec, layout: &Layout, progress: Progress) -> Result<(), Report> {
    match Found::look(layout, spec)? {
        Found::Nothing => tokio::task::block_in_place(|| {
            found(spec, layout.folder(), &Places::this_machine(), &SystemClock, progress)
        }),
        Found::Down | Found::Up => Ok(()),
    }
}

/// Founds a sandbox whose broker and nodes somebody else starts; of one that is there, it renews the credentials.
///
/// # Errors
/// What is wrong with the specification; `SandboxUp` if a process hosts it.
pub(crate) fn found_only(args: FoundArgs, json: bool) -> Result<ExitCode, Report> {
    let progress = Progress::to_stderr(json);
    let spec = Spec::load(&args.spec)?;
    let layout = Layout::new(absolute(&args.dir)?);
    match Found::look(&layout, &spec)? {
        Found::Up => {
            let message = format!("the sandbox in {} is up, and renews them itself", args.dir.display());
            return Err(Problem::SandboxUp.report(message));
        }
        Found::Down => renew_credentials(&layout, &Record::load(&layout)?, SystemClock.now())?,
        Found::Nothing => {
            let places = Places::apart(&args.broker)?;
            found(&spec, layout.folder(), &places, &SystemClock, progress)?;
        }
    }
    Ok(ExitCode::Ok)
}

fn started(spec: &Spec) -> String {
    format!("started the broker and {}", counted(spec.nodes.len(), "node", "nodes"))
}

/// Hosts a founded sandbox until it is told to stop.
///
/// # Errors
/// What does not start; the process that waits for this one reads it from the log.
pub(crate) async fn host(args: HostArgs) -> Result<ExitCode, Report> {
    let stop = serve::stop_when_told()?;
    let host = Box::pin(Host::start(Layout::new(args.dir), Arc::new(SystemClock))).await?;
    stay(&host, &stop).await
}

async fn stay(host: &Host, stop: &CancellationToken) -> Result<ExitCode, Report> {
    let told = host.until_told(stop.cancelled()).await;
    host.stop().await;
    told.map(|()| ExitCode::Ok)
}

/// Takes a sandbox down, or one node of it.
///
/// # Errors
/// `SandboxDown` if it is not up; `Usage` for an unknown node.
pub(crate) async fn down(args: DownArgs) -> Result<ExitCode, Report> {
    let layout = Layout::new(absolute(&args.dir)?);
    require_up(&layout)?;
    if let Some(node) = args.node {
        control::tell(&layout, Order::StopNode { node: node.clone() }).await?;
        show::text(format!("{node} is down; its sandbox goes on without it"))?;
        return Ok(ExitCode::Ok);
    }
    take_down(&layout).await?;
    show::text(format!(
        "the sandbox in {} is down; data and ledgers stay",
        args.dir.display()
    ))?;
    Ok(ExitCode::Ok)
}

/// Tells a sandbox to go down and waits until it is.
///
/// # Errors
/// `SandboxDown` if it is not up, `Unreachable` if it does not end.
pub(crate) async fn take_down(layout: &Layout) -> Result<(), Report> {
    control::tell(layout, Order::Down).await?;
    let began = Instant::now();
    while Lock::is_held(layout)? {
        if began.elapsed() > DOWN_TIME_MAX {
            let message = format!(
                "the sandbox in {} was told to go down and does not",
                layout.folder().display()
            );
            return Err(Problem::Unreachable.report(message));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Shows how a sandbox is.
///
/// # Errors
/// `SandboxDown` if it is not up.
pub(crate) async fn status(args: StatusArgs, json: bool) -> Result<ExitCode, Report> {
    let layout = Layout::new(absolute(&args.dir)?);
    require_up(&layout)?;
    let status = control::tell(&layout, Order::Status).await?;
    if json {
        show::json(&status)?;
    } else {
        print(&status)?;
    }
    Ok(ExitCode::Ok)
}

/// What there is where a sandbox is wanted.
enum Found {
    Nothing,
    Down,
    Up,
}

impl Found {
    fn look(layout: &Layout, spec: &Spec) -> Result<Self, Report> {
        if !layout.record_file().is_file() {
            return Ok(Self::Nothing);
        }
        if Record::load(layout)?.fingerprint != spec.fingerprint {
            let message = format!("{} holds a sandbox of another specification", layout.folder().display());
            let remedy = "name a new folder, or take that sandbox down and remove its folder";
            return Err(Problem::FolderNotEmpty.report(message).remedy(remedy));
        }
        Ok(if Lock::is_held(layout)? { Self::Up } else { Self::Down })
    }
}

/// Starts the nodes of a running sandbox that are not running.
async fn bring_back(layout: &Layout, typed: &Path) -> Result<Status, Report> {
    let mut status = control::tell(layout, Order::Status).await?;
    let is_down = |node: &&NodeStatus| matches!(node.state, NodeState::Stopped | NodeState::Failed);
    let down: Vec<_> = status
        .nodes
        .iter()
        .filter(is_down)
        .map(|node| node.node.clone())
        .collect();
    if down.is_empty() {
        let report = Problem::SandboxUp.report(format!("the sandbox in {} is up", typed.display()));
        return Err(report.remedy(format!(
            "use it, or take it down: datenraum sandbox down {}",
            quoted(typed)
        )));
    }
    for node in down {
        status = control::tell(layout, Order::StartNode { node }).await?;
    }
    Ok(status)
}

fn require_up(layout: &Layout) -> Result<(), Report> {
    let record = Record::load(layout)?;
    if Lock::is_held(layout)? {
        return Ok(());
    }
    let message = format!(
        "the sandbox of {} in {} is down",
        record.space,
        layout.folder().display()
    );
    let remedy = format!(
        "put it up: datenraum sandbox up SPEC.toml --dir {}",
        quoted(layout.folder())
    );
    Err(Problem::SandboxDown.report(message).remedy(remedy))
}

fn greet(layout: &Layout, typed: &Path, status: &Status, json: bool) -> Result<(), Report> {
    if json {
        return show::json(status);
    }
    let dir = quoted(typed);
    let ask = match question::first(layout, SystemClock.now())? {
        Some(question) => format!("datenraum query --sandbox {dir} {question}"),
        None => "no person of this sandbox may ask anything: see [[person]] and the policies".to_owned(),
    };
    show::text(format!(
        "\nThe data space {} is up in {dir}.\n\n  ask    {ask}\n  look   datenraum sandbox status {dir}\n  \
         stop   datenraum sandbox down {dir}",
        status.space
    ))
}

fn print(status: &Status) -> Result<(), Report> {
    let up = status.nodes.iter().filter(|node| node.state == NodeState::Up).count();
    show::text(format!(
        "{}: {up} of {} up",
        status.space,
        counted(status.nodes.len(), "node", "nodes")
    ))?;
    if let Some(documents) = &status.documents {
        let (signers, members) = (documents.signers, documents.board_members);
        show::text(format!(
            "documents: version {}, {}\nsigned by {signers} of {members} board members; {} must sign",
            documents.version, documents.digest, documents.threshold
        ))?;
    }
    let mut table = show::table(["node", "state", "address", "datasets"]);
    for node in &status.nodes {
        let datasets: Vec<_> = node
            .datasets
            .iter()
            .map(|d| {
                format!(
                    "{} ({} rows{})",
                    d.collection,
                    d.rows,
                    if d.synthetic { ", made up" } else { "" }
                )
            })
            .collect();
        let address = node.address.clone().unwrap_or_default();
        table.add_row([node.node.to_string(), state(node), address, datasets.join(", ")]);
    }
    show::text(table)
}

fn state(node: &NodeStatus) -> String {
    let word = match node.state {
        NodeState::Stopped => "stopped",
        NodeState::Starting => "starting",
        NodeState::Up => "up",
        NodeState::Failed => "failed",
    };
    node.problem
        .as_ref()
        .map_or_else(|| word.to_owned(), |report| format!("{word}: {report}"))
}

fn absolute(dir: &Path) -> Result<std::path::PathBuf, Report> {
    std::path::absolute(dir).map_err(|error| Problem::Usage.report(format!("{}: {error}", dir.display())))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_the_shell() {
        assert_eq!(quoted(Path::new("/tmp/on-1_a")), "/tmp/on-1_a");
        assert_eq!(quoted(Path::new("/tmp/it's mine")), r"'/tmp/it'\''s mine'");
    }
}
