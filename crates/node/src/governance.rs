//! Under which documents the node works: fetched, verified, compiled, swapped in whole.
//!
//! New documents replace old ones only when all of them verify and compile. Until then, and while the broker is
//! away, the last good ones hold, until they expire; also across a restart. What a board member has stopped acts at
//! the next look in any case: a stop does not wait for documents that are in order. It must never forget one.
//!
//! Reading order: here, `governance/kept.rs` (what holds if the newest documents do not compile),
//! `governance/stop_files.rs` (stops that an operator got by another way than the broker), `governance/read.rs` (what was read
//! under a set of documents and goes with it).

mod kept;
mod read;
mod stop_files;
#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use policy::{Rules, Stops};
use terms::clock::Forward;
use terms::{Clock, Problem, Report, SpaceId, UtcTime};
use tracing::{info, warn};
use trust::tuf::{DelegatedDocuments, Evidence};
use trust::{AcceptedStop, Digest, DocumentSource, Documents, PublicKey, SpaceStore, Verified};

use self::kept::Kept;
use self::read::Read;
pub use self::stop_files::StopFile;
use crate::reserve::Reserve;

/// How long one look at the broker of a running node may take, in seconds: a broker that answers drop by drop must not
/// keep it from the stops that came as files. What was fetched is kept, so the next look goes on from there.
const LOOK_SECONDS_MAX: u64 = 30;

/// The rules in force and until when.
#[derive(Debug)]
pub struct Current {
    /// The compiled documents.
    pub rules: Arc<Rules>,
    /// Where they come from.
    pub set: DocumentSet,
    /// Stops in force, with who signed them.
    pub stops: Vec<AcceptedStop>,
    expires: UtcTime,
    /// What was read under these rules.
    pub(crate) read: Arc<Read>,
}

/// What is known of a set of documents, without its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentSet {
    /// Version of the root document.
    pub root_version: u64,
    /// Version of the board's list of files.
    pub version: u64,
    /// Digest of it, as board members saw it when they signed.
    pub digest: Digest,
    /// Whose signatures on it hold.
    pub signers: Vec<PublicKey>,
    /// Everybody who may sign it.
    pub board: Vec<PublicKey>,
    /// What the board has delegated.
    pub delegated: Vec<DelegatedDocuments>,
    /// Until when the board signed it.
    pub signed_until: UtcTime,
}

impl DocumentSet {
    fn of(documents: &Documents) -> Self {
        Self {
            root_version: documents.root_version,
            version: documents.version,
            digest: documents.digest,
            signers: documents.signers.clone(),
            board: documents.board.clone(),
            delegated: documents.delegated.clone(),
            signed_until: documents.signed_until,
        }
    }
}

impl Current {
    fn compile(documents: &Verified<Documents>) -> Result<Self, Report> {
        let rules = Rules::compile(documents)?;
        Ok(Self {
            stops: in_force(&documents.stops, &rules),
            rules: Arc::new(rules),
            set: DocumentSet::of(documents),
            expires: documents.expires,
            read: Arc::default(),
        })
    }

    /// The same rules for as long as these documents hold, if they are what these documents compile to.
    fn renewed(&self, documents: &Verified<Documents>) -> Option<Self> {
        let is_same = self.set == DocumentSet::of(documents) && self.stops == in_force(&documents.stops, &self.rules);
        is_same.then(|| Self {
            rules: Arc::clone(&self.rules),
            set: self.set.clone(),
            stops: self.stops.clone(),
            expires: documents.expires,
            read: Arc::clone(&self.read),
        })
    }

    /// The same rules, while documents that do not compile are the newest: what they stop is stopped, and as long as
    /// they are fresh nothing is held back by the broker. The board's own term ends in any case.
    fn held_beside(&self, newest: &Documents) -> Self {
        let stops = Stops::in_force(&newest.stops, &self.rules.space);
        Self {
            rules: Arc::new(Rules::clone(&self.rules).with_stops(stops)),
            set: self.set.clone(),
            stops: in_force(&newest.stops, &self.rules),
            expires: newest.expires.min(self.set.signed_until),
            read: Arc::default(),
        }
    }

    /// Until when queries are answered under these rules.
    pub fn expires(&self) -> UtcTime {
        self.expires
    }
}

/// The stops that the board has not lifted.
fn in_force(stops: &[AcceptedStop], rules: &Rules) -> Vec<AcceptedStop> {
    let lifted = &rules.space.lifted;
    stops
        .iter()
        .filter(|stop| !lifted.contains(&stop.digest))
        .cloned()
        .collect()
}

/// What the last look at the documents came to.
#[derive(Clone, Debug, Default)]
pub struct LastLook {
    /// When it was.
    pub at: Option<UtcTime>,
    /// When the broker last had documents that verify.
    pub refreshed_at: Option<UtcTime>,
    /// Why the documents that are offered are not those in force, or could not be had.
    pub problem: Option<Report>,
    /// The set that verifies and does not compile, if that is the problem.
    pub unusable: Option<(u64, Digest)>,
    /// The files in the folder of stops.
    pub stop_files: Vec<StopFile>,
}

/// Keeps the rules current.
#[derive(Debug)]
pub struct Governance {
    current: ArcSwap<Current>,
    last_look: Mutex<LastLook>,
    /// Held while somebody looks: what was seen last holds.
    looking: tokio::sync::Mutex<()>,
    documents: Place,
    /// By which documents and everything that is decided under them expire. How late it is, a look asks the machine: one that was set
    /// back is told.
    clock: Forward,
}

/// Where documents and stops are, and of which data space they must be.
#[derive(Debug)]
struct Place {
    space: SpaceId,
    store: SpaceStore,
    kept: Kept,
    reserve: Reserve,
    stops: std::path::PathBuf,
}

impl Governance {
    /// Fetches and verifies the documents, or falls back to the last good ones. `data` is the node's folder.
    ///
    /// # Errors
    /// What is wrong with the offered documents, if there are no good ones to fall back to: a node without rules
    /// does not start.
    pub async fn start(
        space: &SpaceId,
        store: SpaceStore,
        data: &Path,
        source: Option<&dyn DocumentSource>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Report> {
        let documents = Place {
            space: space.clone(),
            kept: Kept::new(data.join("governance"), data.join("in-force")),
            reserve: Reserve::of(data),
            stops: data.join("stops"),
            store,
        };
        let (current, look) = documents.look(source, None, clock.now()).await;
        let latest = documents.store.latest_seen()?.unwrap_or(clock.now());
        let current = match (current, &look.problem) {
            (Some(current), _) => current,
            (None, Some(problem)) => return Err(problem.clone()),
            (None, None) => return Err(Problem::PolicyNone.report("there are no governance documents")),
        };
        Ok(Self {
            current: ArcSwap::from_pointee(current),
            last_look: Mutex::new(look),
            looking: tokio::sync::Mutex::default(),
            documents,
            clock: Forward::from(clock, latest),
        })
    }

    /// The time, which never goes back.
    pub fn clock(&self) -> Forward {
        self.clock.clone()
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
        // Nothing new is believed while the clock is behind, no stop either: then nobody may be answered under what was before.
        let behind = self.clock.now().as_second() - self.clock.machine().now().as_second();
        if behind > trust::tuf::CLOCK_STEP_BACK_SECONDS_MAX {
            let message = format!("the machine's clock was set back by {behind} s, so that it is not known what holds");
            let report = Problem::PolicyExpired.report(message);
            return Err(report.remedy("set this machine's clock"));
        }
        Ok(current)
    }

    /// The rules that were in force last, expired or not: to show, never to decide by.
    pub fn latest(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// What the last look came to.
    pub fn last_look(&self) -> LastLook {
        self.last_look.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is kept of documents that were refused although somebody signed them.
    pub fn evidence(&self) -> Vec<Evidence> {
        self.documents.store.evidence()
    }

    /// Looks once more, at the broker if it can be reached; keeps what holds if what is offered does not.
    ///
    /// # Errors
    /// Why the offered documents were not taken.
    pub async fn refresh(&self, source: Option<&dyn DocumentSource>) -> Result<(), Report> {
        let _looking = self.looking.lock().await;
        let before = self.current.load_full();
        let refreshed_at = self.last_look().refreshed_at;
        let (current, mut look) = self
            .documents
            .look(source, Some(&before), self.clock.machine().now())
            .await;
        look.refreshed_at = look.refreshed_at.or(refreshed_at);
        let problem = look.problem.clone();
        *self.last_look.lock().unwrap_or_else(PoisonError::into_inner) = look;
        if let Some(current) = current {
            tell_changes(&before, &current);
            self.current.store(Arc::new(current));
        }
        problem.map_or(Ok(()), Err)
    }

    /// Looks at stops that came as files, and nowhere else: they do not wait for a broker that is slow.
    pub async fn look_at_stop_files(&self) {
        let _looking = self.looking.lock().await;
        let before = self.current.load_full();
        let (current, _) = self
            .documents
            .look(None, Some(&before), self.clock.machine().now())
            .await;
        if let Some(current) = current.filter(|current| current.stops != before.stops) {
            tell_changes(&before, &current);
            self.current.store(Arc::new(current));
        }
    }
}

impl Place {
    /// Looks, with room on the disk for what it finds.
    async fn look(
        &self,
        source: Option<&dyn DocumentSource>,
        before: Option<&Current>,
        now: UtcTime,
    ) -> (Option<Current>, LastLook) {
        self.reserve.make_room();
        let found = self.look_at_all(source, before, now).await;
        self.reserve.take_up();
        found
    }

    /// Looks at stops that came as files, then at the broker; says what is to hold now, if that can be said.
    async fn look_at_all(
        &self,
        source: Option<&dyn DocumentSource>,
        before: Option<&Current>,
        now: UtcTime,
    ) -> (Option<Current>, LastLook) {
        let mut look = LastLook {
            at: Some(now),
            stop_files: stop_files::accept_all(&self.stops, &self.store),
            ..LastLook::default()
        };
        let offered = match self.fetch(source, before.is_some(), now).await {
            Ok(documents) => {
                look.refreshed_at = Some(now);
                Ok(documents)
            }
            Err(problem) => {
                // Stops that were remembered meanwhile are in the last good set too.
                let kept = trust::last_good(&self.store, now).await;
                // What the broker did is told first, unless there is no more to say than that nothing is stored.
                look.problem = Some(match &kept {
                    Err(kept) if before.is_none() && kept.problem != Problem::PolicyNone => kept.clone(),
                    _ => problem,
                });
                kept
            }
        };
        let Ok(documents) = offered else {
            return (None, look);
        };
        if documents.space != self.space {
            let message = format!("the documents are those of {}, not of {}", documents.space, self.space);
            look.problem = Some(Problem::PolicyScope.report(message));
            return (None, look);
        }
        let renewed = before.and_then(|before| before.renewed(&documents));
        match renewed.map_or_else(|| Current::compile(&documents), Ok) {
            Ok(current) => {
                self.kept.keep(&documents, now);
                (Some(current), look)
            }
            Err(problem) => {
                look.unusable = Some((documents.version, documents.digest));
                look.problem = Some(problem);
                let held = match before {
                    Some(before) => Some(before.held_beside(&documents)),
                    None => self
                        .kept
                        .last(&self.space)
                        .await
                        .map(|kept| kept.held_beside(&documents)),
                };
                (held, look)
            }
        }
    }

    async fn fetch(
        &self,
        source: Option<&dyn DocumentSource>,
        is_running: bool,
        now: UtcTime,
    ) -> Result<Verified<Documents>, Report> {
        let Some(source) = source else {
            return Err(Problem::Unreachable.report("the broker does not answer"));
        };
        let looking = trust::refresh(source, &self.store, now);
        if !is_running {
            return looking.await;
        }
        let looked = tokio::time::timeout(Duration::from_secs(LOOK_SECONDS_MAX), looking).await;
        looked.unwrap_or_else(|_| {
            let message = format!("the broker did not give the documents within {LOOK_SECONDS_MAX} s");
            Err(Problem::Unreachable.report(message))
        })
    }
}

fn tell_changes(before: &Current, now: &Current) {
    if before.set.digest != now.set.digest || before.set.delegated != now.set.delegated {
        info!(version = now.set.version, digest = %now.set.digest, "new governance documents in force");
    }
    for stop in now.stops.iter().filter(|stop| !before.stops.contains(stop)) {
        warn!(stopped = %stop.stop.stopped, reason = stop.stop.reason, "stopped by a board member");
    }
    for stop in before.stops.iter().filter(|stop| !now.stops.contains(stop)) {
        info!(stopped = %stop.stop.stopped, "a stop was lifted by the board");
    }
}
