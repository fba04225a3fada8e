//! What `sandbox up` says while it works, on the error stream: a spinner on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(100);

/// Who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// A person at a terminal.
    Terminal,
    /// A file, or another program.
    Plain,
    /// Nobody.
    Silent,
}

/// One step that has begun.
#[derive(Debug)]
pub(crate) struct Step {
    listener: Progress,
    began: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// For the error stream of this process.
    pub(crate) fn to_stderr(silent: bool) -> Self {
        match (silent, std::io::stderr().is_terminal()) {
            (true, _) => Self::Silent,
            (false, true) => Self::Terminal,
            (false, false) => Self::Plain,
        }
    }

    /// Begins a step: `doing` is what is being done.
    pub(crate) fn begin(self, doing: impl Into<String>) -> Step {
        let bar = (self == Self::Terminal).then(|| {
            let style = ProgressStyle::with_template("  {spinner} {msg} … {elapsed}");
            let bar = ProgressBar::new_spinner().with_message(doing.into());
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(TURN);
            bar
        });
        Step {
            listener: self,
            began: Instant::now(),
            bar,
        }
    }
}

impl Step {
    /// Says how far it is.
    pub(crate) fn now(&self, doing: impl Into<String>) {
        if let Some(bar) = &self.bar {
            bar.set_message(doing.into());
        }
    }

    /// Ends the step: `what` has been done.
    pub(crate) fn done(self, what: impl std::fmt::Display) {
        let seconds = self.began.elapsed().as_secs_f64();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let mark = match self.listener {
            Progress::Terminal => "  ✓ ",
            Progress::Plain => "",
            Progress::Silent => return,
        };
        // Nobody listens any more: no reason to stop working.
        let _ = writeln!(std::io::stderr().lock(), "{mark}{what} ({seconds:.1} s)");
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
