//! The documents that the broker itself works under: it verifies them from its own repository as any client does.
//!
//! It must never believe its repository because it is its own: whoever can write there would else choose the members. While
//! it cannot be read, or has less than was there, the last good documents hold until they expire, with every stop that was
//! ever seen. Nobody waits long for a reading: who comes while one is under way has what the one before it found, unless that
//! has expired.
//! Next: `catalog.rs`, which asks whose key signs and what a caller may query.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::{Rules, Stops};
use terms::{Clock, Problem, Report, SpaceId, UtcTime};
use tokio::sync::OwnedMutexGuard;
use trust::{Documents, SpaceStore, Verified};

use crate::repository::Repository;

/// How often the repository is read again at most, in seconds: what a burst of calls costs is one reading.
const LOOK_SECONDS: i64 = 5;

/// How long whoever begins a reading waits for what it finds.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who belongs to the data space, and what its policies say.
#[derive(Debug)]
pub(crate) struct Roster {
    space: SpaceId,
    repository: Repository,
    store: SpaceStore,
    clock: Arc<dyn Clock>,
    latest: Mutex<Option<Look>>,
    /// Held by the one look that is under way.
    looking: Arc<tokio::sync::Mutex<()>>,
}

/// One reading of the repository.
#[derive(Clone, Debug)]
struct Look {
    at: UtcTime,
    found: Result<InForce, Report>,
    /// The latest that compiled, of this reading or an earlier one.
    known: Option<Known>,
}

/// Rules to work under, and until when.
#[derive(Clone, Debug)]
struct InForce {
    rules: Arc<Rules>,
    expires: UtcTime,
}

/// Rules that were compiled, and until when the board signed them.
#[derive(Clone, Debug)]
struct Known {
    rules: Arc<Rules>,
    signed_until: UtcTime,
}

impl Roster {
    /// The roster of `space`, verified from the pinned root document. What was verified is remembered in `folder`.
    pub(crate) fn open(
        space: SpaceId,
        repository: Repository,
        root: &[u8],
        folder: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Report> {
        let store = SpaceStore::open_or_create(folder, root)?;
        Ok(Self {
            space,
            repository,
            store,
            clock,
            latest: Mutex::default(),
            looking: Arc::default(),
        })
    }

    /// The rules in force, not older than a few seconds and than it takes to look.
    ///
    /// # Errors
    /// Why the published documents do not verify or cannot be worked under.
    pub(crate) async fn rules(self: &Arc<Self>) -> Result<Arc<Rules>, Report> {
        let known = self.latest().as_ref().map(|look| look.is_fresh(self.clock.now()));
        match (known, Arc::clone(&self.looking).try_lock_owned()) {
            (Some(true), _) => {}
            // It goes on without us.
            (Some(false), Ok(turn)) => drop(tokio::time::timeout(PATIENCE, self.begin_look(turn)).await),
            (Some(false), Err(_)) => {}
            (None, Ok(turn)) => drop(self.begin_look(turn).await),
            (None, Err(_)) => drop(self.looking.lock().await),
        }
        let stopped = || Problem::Internal.report("the look at the published documents stopped");
        let latest = self.latest();
        latest.as_ref().ok_or_else(stopped)?.rules(self.clock.now())
    }

    /// Looks, on a task of its own: whoever waits for it may go. It ends by itself, as what it reads has time limits.
    fn begin_look(self: &Arc<Self>, turn: OwnedMutexGuard<()>) -> tokio::task::JoinHandle<()> {
        let roster = Arc::clone(self);
        tokio::spawn(async move {
            let now = roster.clock.now();
            let mut known = roster.latest().as_ref().and_then(|look| look.known.clone());
            let found = roster.look(&mut known, now).await;
            if let Err(report) = &found {
                tracing::warn!(problem = %report.problem, message = report.message, "published documents not usable");
            }
            // The time after it: a look that took long is one for all who came meanwhile.
            let at = roster.clock.now();
            *roster.latest() = Some(Look { at, found, known });
            drop(turn);
        })
    }

    fn latest(&self) -> MutexGuard<'_, Option<Look>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Verifies the published documents, and compiles them with what was stopped meanwhile. If they do not compile, the
    /// rules before them hold, but what was stopped is stopped.
    async fn look(&self, known: &mut Option<Known>, now: UtcTime) -> Result<InForce, Report> {
        let documents = self.documents(now).await?;
        if documents.space != self.space {
            let message = format!("the published documents are of the data space {}", documents.space);
            return Err(Problem::PolicyScope.report(message));
        }
        match (Rules::compile(&documents), &*known) {
            (Ok(rules), before) => {
                if before.as_ref().is_none_or(|before| before.rules.digest != rules.digest) {
                    tracing::info!(version = rules.version, digest = %rules.digest, "new governance documents in force");
                }
                let rules = Arc::new(rules);
                *known = Some(Known {
                    rules: Arc::clone(&rules),
                    signed_until: documents.signed_until,
                });
                let expires = documents.expires;
                Ok(InForce { rules, expires })
            }
            (Err(report), Some(before)) if now < before.signed_until => {
                tracing::warn!(problem = %report.problem, message = report.message, "new documents do not compile");
                let stops = Stops::in_force(&documents.stops, &before.rules.space);
                Ok(InForce {
                    rules: Arc::new(Rules::clone(&before.rules).with_stops(stops)),
                    expires: documents.expires.min(before.signed_until),
                })
            }
            (Err(report), _) => Err(report),
        }
    }

    /// What is published, or else what was the last time that it was in order.
    async fn documents(&self, now: UtcTime) -> Result<Verified<Documents>, Report> {
        let report = match trust::refresh(&self.repository, &self.store, now).await {
            Err(report) => report,
            published => return published,
        };
        // What is published is told as the reason: the rest follows from it.
        let Ok(kept) = trust::last_good(&self.store, now).await else {
            return Err(report);
        };
        tracing::warn!(problem = %report.problem, message = report.message, "the last good documents hold");
        Ok(kept)
    }
}

impl Look {
    fn is_fresh(&self, now: UtcTime) -> bool {
        (0..LOOK_SECONDS).contains(&(now.as_second() - self.at.as_second()))
    }

    /// What it found, while that may be worked under.
    fn rules(&self, now: UtcTime) -> Result<Arc<Rules>, Report> {
        let InForce { rules, expires } = self.found.as_ref().map_err(Report::clone)?;
        if now < *expires {
            return Ok(Arc::clone(rules));
        }
        Err(Problem::PolicyExpired.report(format!("the published documents expired at {expires}")))
    }
}

#[cfg(test)]
mod tests;
