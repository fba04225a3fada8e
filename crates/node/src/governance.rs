//! Under which documents the node works: fetched, verified, compiled, swapped in whole.
//!
//! New documents replace old ones only when all of them verify and compile. Until then, and while the broker is
//! away, the last good ones hold, until they expire.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use policy::Rules;
use terms::{Clock, Problem, Report, UtcTime};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use trust::{DocumentSource, Documents, SpaceStore, Verified};

/// The rules in force and until when.
#[derive(Debug)]
pub struct Current {
    /// The compiled documents.
    pub rules: Rules,
    expires: UtcTime,
}

impl Current {
    fn compile(documents: &Verified<Documents>) -> Result<Self, Report> {
        Ok(Self {
            rules: Rules::compile(documents)?,
            expires: documents.expires,
        })
    }
}

/// Keeps the rules current.
#[derive(Debug)]
pub struct Governance {
    current: ArcSwap<Current>,
    store: SpaceStore,
    clock: Arc<dyn Clock>,
}

impl Governance {
    /// Fetches and verifies the documents, or falls back to the last good ones.
    ///
    /// # Errors
    /// What is wrong with the offered documents, if there are no good ones to fall back to: a node without rules
    /// does not start.
    pub async fn start(
        store: SpaceStore,
        source: Option<&dyn DocumentSource>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Report> {
        let offered = match source {
            Some(source) => refreshed(&store, source, clock.now()).await,
            None => Err(Problem::Unreachable.report("the broker does not answer")),
        };
        let current = match offered {
            Ok(current) => current,
            Err(refused) => {
                warn!(problem = %refused.problem, "offered documents not taken, trying the last good ones");
                let kept = trust::last_good(&store, clock.now())
                    .await
                    .and_then(|kept| Current::compile(&kept));
                kept.map_err(|kept| {
                    if kept.problem == Problem::PolicyNone {
                        refused
                    } else {
                        kept
                    }
                })?
            }
        };
        Ok(Self {
            current: ArcSwap::from_pointee(current),
            store,
            clock,
        })
    }

    /// The rules in force.
    ///
    /// # Errors
    /// `PolicyExpired` if the documents have expired and no newer ones came.
    pub fn current(&self) -> Result<Arc<Current>, Report> {
        let current = self.current.load_full();
        if self.clock.now() >= current.expires {
            let message = format!("the governance documents expired at {:.0}", current.expires);
            return Err(Problem::PolicyExpired.report(message));
        }
        Ok(current)
    }

    /// Fetches once more; keeps what holds if what is offered does not.
    ///
    /// # Errors
    /// Why the offered documents were not taken.
    pub async fn refresh(&self, source: &dyn DocumentSource) -> Result<(), Report> {
        let offered = refreshed(&self.store, source, self.clock.now()).await?;
        if offered.rules.version != self.current.load().rules.version {
            info!(version = offered.rules.version, digest = %offered.rules.digest, "new governance documents in force");
        }
        self.current.store(Arc::new(offered));
        Ok(())
    }

    /// Fetches every `every` until `stop`.
    pub async fn keep_current(&self, source: &dyn DocumentSource, every: Duration, stop: &CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            if let Err(report) = self.refresh(source).await {
                warn!(problem = %report.problem, message = report.message, "governance documents not renewed");
            }
        }
    }
}

async fn refreshed(store: &SpaceStore, source: &dyn DocumentSource, now: UtcTime) -> Result<Current, Report> {
    Current::compile(&trust::refresh(source, store, now).await?)
}
