//! The files of the two online keys, looked at while the broker runs, as `wire::KeyFile` looks at that of its own.
//!
//! The root says whose signatures count, so a pair is used once the root names it, and the one before it until then: an operator can
//! exchange the files before the board signs or after it, without a restart.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use telemetry::Counter;
use terms::Report;
use trust::BoardRoles;
use wire::Signals;

use crate::repository::OnlineKeys;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Pairs that are kept: the files are exchanged one after the other, so that there can be one of the old and the new.
const PAIRS_MAX: usize = 4;

/// The pairs of online keys that this broker has.
#[derive(Debug)]
pub(crate) struct KeyRing {
    snapshot: PathBuf,
    timestamp: PathBuf,
    refused: Counter,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    /// The newest first; never none.
    pairs: Vec<Arc<OnlineKeys>>,
    problem: Option<Report>,
}

impl KeyRing {
    /// The pair that is in the files now. Looks that find what cannot be used are counted in `refused`.
    ///
    /// # Errors
    /// If a file cannot be read, or is not a private key that its owner alone can read.
    pub(crate) fn load(snapshot: PathBuf, timestamp: PathBuf, refused: Counter) -> Result<Self, Report> {
        let pairs = vec![Arc::new(OnlineKeys::load(&snapshot, &timestamp)?)];
        Ok(Self {
            snapshot,
            timestamp,
            refused,
            held: Mutex::new(Held { pairs, problem: None }),
        })
    }

    /// The newest pair that a root with these roles names. If it names none, the newest: signing with it says why not.
    pub(crate) fn named_by(&self, roles: &BoardRoles) -> Arc<OnlineKeys> {
        let held = self.held();
        let named = held.pairs.iter().find(|pair| pair.require_named(roles).is_ok());
        Arc::clone(named.unwrap_or(&held.pairs[0]))
    }

    /// Why the files cannot be used as they are, if they cannot.
    pub(crate) fn problem(&self) -> Option<Report> {
        self.held().problem.clone()
    }

    /// Looks now and then, and when told to; for ever.
    pub(crate) async fn keep_looking(&self, signals: &Signals) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = signals.reload.notified() => {}
            }
            self.look();
        }
    }

    /// Looks once.
    pub(crate) fn look(&self) {
        let found = OnlineKeys::load(&self.snapshot, &self.timestamp);
        let mut held = self.held();
        match found {
            Ok(pair) => {
                held.problem = None;
                if !held.pairs[0].is_same(&pair) {
                    tracing::warn!("the files of the online keys were read again");
                    held.pairs.insert(0, Arc::new(pair));
                    held.pairs.truncate(PAIRS_MAX);
                }
            }
            Err(report) => {
                self.refused.inc();
                let report = report.remedy(
                    "the keys before are still used: put back the files, whole and readable for this account only",
                );
                if held.problem.as_ref() != Some(&report) {
                    tracing::error!(problem = %report.problem, message = report.message, "the online keys are not used");
                }
                held.problem = Some(report);
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
