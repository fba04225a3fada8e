//! The sandbox's process behind the terminal: this program once more, in a process group of its own.
//!
//! It says by its control port that it is ready, and by the last line of its log why it ended.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use terms::{Problem, Report};

use super::LOOK_EVERY;
use crate::fail::Failure;
use crate::sandbox::control::{self, NodeState, Order, Status};
use crate::sandbox::layout::{Layout, io_report};
use crate::sandbox::progress::Step;

/// How long a sandbox may take to start.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// How much of the log is shown if its process ended without saying why, in lines.
const LOG_LINES_SHOWN: usize = 5;

/// Starts the process and waits until every node answers.
///
/// # Errors
/// Why it ended, or that it took too long; then it runs no more.
pub(super) async fn start(layout: &Layout, step: &Step) -> Result<Status, Report> {
    // The lock is free: what is there is of a process that ended without tidying up.
    let _ = std::fs::remove_file(layout.control_file());
    let log_begins = std::fs::metadata(layout.log_file()).map_or(0, |about| about.len());
    let mut child = spawn(layout)?;
    let began = Instant::now();
    loop {
        if let Ok(Some(_)) = child.try_wait() {
            return Err(last_words(&layout.log_file(), log_begins));
        }
        if let Ok(status) = control::tell(layout, Order::Status).await {
            let up = status.nodes.iter().filter(|node| node.state == NodeState::Up).count();
            if up == status.nodes.len() {
                return Ok(status);
            }
            step.now(format!(
                "starting the broker and the nodes ({up} of {})",
                status.nodes.len()
            ));
        }
        if began.elapsed() > START_TIME_MAX {
            // It ended just now, or it ends by this.
            let _ = child.kill();
            let message = format!("the sandbox did not start within {} s", START_TIME_MAX.as_secs());
            let remedy = format!("see {}", layout.log_file().display());
            return Err(Problem::Unreachable.report(message).remedy(remedy));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn spawn(layout: &Layout) -> Result<Child, Report> {
    let log = layout.log_file();
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log)
        .map_err(|error| io_report(&log, &error))?;
    let second = file.try_clone().map_err(|error| io_report(&log, &error))?;
    let failed =
        |error: std::io::Error| Problem::Internal.report(format!("this program cannot be started again: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.args(["--json", "sandbox", "host"]).arg(layout.folder());
    command.stdin(Stdio::null()).stdout(file).stderr(second);
    // Ctrl-C in this terminal is not meant for it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().map_err(failed)
}

/// Why the process ended: the failure that it printed, or its last lines.
fn last_words(log: &Path, begins: u64) -> Report {
    let text = std::fs::read(log).unwrap_or_default();
    let begins = usize::try_from(begins).unwrap_or(usize::MAX).min(text.len());
    let text = String::from_utf8_lossy(&text[begins..]);
    let failure = text
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str::<Failure>(line).ok());
    if let Some(failure) = failure {
        return failure.error;
    }
    let lines: Vec<_> = text.lines().rev().take(LOG_LINES_SHOWN).collect();
    let said = lines.into_iter().rev().collect::<Vec<_>>().join(" | ");
    let report = Problem::Internal.report(format!("the sandbox's process ended while it started: {said}"));
    report.remedy(format!("see {}", log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failure_of_this_start_is_told_and_not_that_of_an_earlier_one() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("sandbox.log");
        let failure = |message: &str| {
            serde_json::to_string(&Failure {
                error: Problem::PortTaken.report(message),
            })
            .unwrap()
        };
        let old = format!("{}\n", failure("old"));
        std::fs::write(&log, format!("{old}WARN something\n{}\n", failure("new"))).unwrap();
        assert_eq!(last_words(&log, old.len() as u64).message, "new");
        std::fs::write(&log, format!("{old}thread main panicked\n")).unwrap();
        let report = last_words(&log, old.len() as u64);
        assert_eq!(report.problem, Problem::Internal);
        assert!(
            report.message.contains("panicked") && !report.message.contains("old"),
            "{report}"
        );
    }
}
