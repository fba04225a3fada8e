//! The documents that the broker itself works under: it verifies them from its own repository as any client does.
//!
//! It must never believe its repository because it is its own: whoever can write there would else choose the members. While
//! it cannot be read, or has less than was there, the last good documents hold until they expire, with every stop that was
//! ever seen.
//! Next: `catalog.rs`, which asks whose key signs and what a caller may query.

use std::path::Path;
use std::sync::Arc;

use policy::{Rules, Stops};
use terms::{Clock, Problem, Report, SpaceId, UtcTime};
use tokio::sync::Mutex;
use trust::{Documents, SpaceStore, Verified};

use crate::repository::Repository;

/// How often the repository is read again at most, in seconds: what a burst of calls costs is one reading.
const LOOK_SECONDS: i64 = 5;

/// Who belongs to the data space, and what its policies say.
#[derive(Debug)]
pub(crate) struct Roster {
    space: SpaceId,
    repository: Repository,
    store: SpaceStore,
    clock: Arc<dyn Clock>,
    latest: Mutex<Option<Look>>,
}

/// One reading of the repository.
#[derive(Clone, Debug)]
struct Look {
    at: UtcTime,
    found: Result<Arc<Rules>, Report>,
    /// The latest that compiled, of this reading or an earlier one.
    known: Option<Known>,
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
            latest: Mutex::new(None),
        })
    }

    /// The rules in force, not older than a few seconds.
    ///
    /// # Errors
    /// Why the published documents do not verify or cannot be worked under.
    pub(crate) async fn rules(&self) -> Result<Arc<Rules>, Report> {
        let mut latest = self.latest.lock().await;
        let now = self.clock.now();
        if let Some(look) = latest.as_ref()
            && (0..LOOK_SECONDS).contains(&(now.as_second() - look.at.as_second()))
        {
            return look.found.clone();
        }
        // Not taken: who waits here may go before there is another.
        let mut known = latest.as_ref().and_then(|look| look.known.clone());
        let found = self.look(&mut known, now).await;
        if let Err(report) = &found {
            tracing::warn!(problem = %report.problem, message = report.message, "published documents not usable");
        }
        // The time after it: a look that took long is one for all who waited meanwhile.
        *latest = Some(Look {
            at: self.clock.now(),
            found: found.clone(),
            known,
        });
        found
    }

    /// Verifies the published documents, and compiles them with what was stopped meanwhile. If they do not compile, the
    /// rules before them hold, but what was stopped is stopped.
    async fn look(&self, known: &mut Option<Known>, now: UtcTime) -> Result<Arc<Rules>, Report> {
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
                Ok(rules)
            }
            (Err(report), Some(before)) if now < before.signed_until => {
                tracing::warn!(problem = %report.problem, message = report.message, "new documents do not compile");
                let stops = Stops::in_force(&documents.stops, &before.rules.space);
                Ok(Arc::new(Rules::clone(&before.rules).with_stops(stops)))
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
