//! Who has answered so far, while a question is asked: on the error stream, and only where a person sees it on a terminal.
//!
//! Who refused or failed is named at once. All of it is gone when the answer is there, which says it again and in full.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use federation::{Status, Step};
use indicatif::{ProgressBar, ProgressStyle};
use terms::{MemberId, Problem};

/// Most nodes that are named in one line.
const NAMED_MAX: usize = 5;

/// What a terminal shows while a question is asked; nothing elsewhere.
#[derive(Debug)]
pub(crate) struct Waiting(Option<Shown>);

#[derive(Debug)]
struct Shown {
    bar: ProgressBar,
    seen: Mutex<Seen>,
}

/// What has become of the nodes that are asked.
#[derive(Debug, Default)]
struct Seen {
    waiting: BTreeSet<MemberId>,
    answered: usize,
    absent: BTreeMap<Status, Vec<(MemberId, Option<Problem>)>>,
}

impl Waiting {
    /// For the error stream of this process.
    pub(crate) fn on_terminal(silent: bool) -> Self {
        let is_seen = !silent && std::io::stderr().is_terminal();
        Self(is_seen.then(|| {
            let style = ProgressStyle::with_template("  {spinner} {elapsed:>4}  {msg}");
            let bar = ProgressBar::new_spinner().with_message("looking whom to ask");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(100));
            let seen = Mutex::default();
            Shown { bar, seen }
        }))
    }

    /// Shows what happens at a node.
    pub(crate) fn note(&self, node: &MemberId, step: Step<'_>) {
        let Some(Shown { bar, seen }) = &self.0 else { return };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.note(node, step);
        bar.set_message(seen.text());
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(Shown { bar, .. }) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Seen {
    fn note(&mut self, node: &MemberId, step: Step<'_>) {
        match step {
            Step::Concerned => drop(self.waiting.insert(node.clone())),
            Step::Connecting | Step::Asked => {}
            Step::Ended(status, why) => {
                self.waiting.remove(node);
                match status {
                    Status::Answered => self.answered += 1,
                    absent => {
                        let problem = why.map(|report| report.problem);
                        self.absent.entry(absent).or_default().push((node.clone(), problem));
                    }
                }
            }
        }
    }

    /// `178 of 181 nodes answered; waiting for: ukaachen`, and those who will not answer.
    fn text(&self) -> String {
        let absent: usize = self.absent.values().map(Vec::len).sum();
        let asked = self.answered + absent + self.waiting.len();
        let mut text = format!("{} of {asked} nodes answered", self.answered);
        if !self.waiting.is_empty() {
            let names = self.waiting.iter().map(MemberId::to_string);
            text.push_str(&format!("; waiting for: {}", few(names.collect())));
        }
        for (status, nodes) in &self.absent {
            let named = nodes.iter().map(|(node, problem)| match problem {
                Some(problem) => format!("{node} [{problem}]"),
                None => node.to_string(),
            });
            text.push_str(&format!("\n          {}: {}", status.word(), few(named.collect())));
        }
        text
    }
}

/// The first few of them, and how many more there are.
fn few(names: Vec<String>) -> String {
    match names.len().checked_sub(NAMED_MAX) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..NAMED_MAX].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_refused_or_failed_is_named_while_others_are_waited_for() {
        let mut seen = Seen::default();
        let nodes: Vec<MemberId> = (0..9).map(|at| format!("node-{at}").parse().unwrap()).collect();
        for node in &nodes {
            seen.note(node, Step::Concerned);
        }
        assert_eq!(
            seen.text(),
            "0 of 9 nodes answered; waiting for: node-0, node-1, node-2, node-3, node-4 and 4 more"
        );
        seen.note(&nodes[3], Step::Connecting);
        seen.note(&nodes[3], Step::Asked);
        let refused = Problem::NoPermission.report("no");
        seen.note(&nodes[3], Step::Ended(Status::Refused, Some(&refused)));
        for node in &nodes[4..8] {
            seen.note(node, Step::Ended(Status::Answered, None));
        }
        let late = Problem::Late.report("late");
        seen.note(&nodes[0], Step::Ended(Status::Late, Some(&late)));
        assert_eq!(
            seen.text(),
            "4 of 9 nodes answered; waiting for: node-1, node-2, node-8\n          refused: node-3 [E_NO_PERMISSION]\n          \
             late: node-0 [E_LATE]"
        );
        seen.note(&nodes[1], Step::Ended(Status::Answered, None));
        seen.note(&nodes[2], Step::Ended(Status::Answered, None));
        seen.note(&nodes[8], Step::Ended(Status::Answered, None));
        assert!(seen.text().starts_with("7 of 9 nodes answered\n"), "{}", seen.text());
    }
}
