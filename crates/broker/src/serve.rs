//! How a broker runs: everything is checked before the first call is taken, and every task ends before this returns.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use telemetry::{Counter, Metrics};
use terms::{Clock, Problem, Report, UtcTime};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::SigningKey;
use wire::description::{BROKER_AUDIENCE, DESCRIPTION_BYTES_MAX};
use wire::enrolment::ENROLMENT_BYTES_MAX;
use wire::publish::PIECE_BYTES_MAX;
use wire::v1::catalog_service_server::CatalogServiceServer;
use wire::v1::enrolment_service_server::EnrolmentServiceServer;
use wire::v1::governance_service_server::GovernanceServiceServer;
use wire::v1::witness_service_server::WitnessServiceServer;
use wire::{CountCalls, Incoming, KeyFile, Signals};

use crate::callers::Callers;
use crate::catalog::{Catalog, Store};
use crate::config::{Config, Keeping};
use crate::enrol::{self, Enrolments};
use crate::governance::Governance;
use crate::online::KeyRing;
use crate::postgres::Database;
use crate::relay::{Relay, Served};
use crate::repository::{Renewal, Repository};
use crate::roster::Roster;
use crate::status::Watch;
use crate::witness::{self, Witness};

/// How often the broker looks whether a document is due for renewal.
const RENEWAL_EVERY: Duration = Duration::from_secs(60);

/// How long connections may take to end once nothing is carried any more.
const LEAVE: Duration = Duration::from_secs(2);

/// Largest request to the catalogue, in bytes: a sealed description and its frame.
const REQUEST_BYTES_MAX: usize = DESCRIPTION_BYTES_MAX + 1024;

/// Largest request about an enrolment, in bytes: a sealed one and its frame.
const ENROL_BYTES_MAX: usize = ENROLMENT_BYTES_MAX + 1024;

/// Largest message with a document, in bytes: a piece of one, or a whole root, and its frame.
const PUBLISH_BYTES_MAX: usize = PIECE_BYTES_MAX + 1024;

/// Serves on `listener` until it is told to stop: then nobody new is connected, and what is carried has `drain_seconds`. A broker may be
/// started before its board has published anything.
///
/// # Errors
/// If a key, the repository or the data folder cannot be used, or the published documents are of another data space.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    clock: Arc<dyn Clock>,
    signals: impl Into<Signals>,
) -> Result<(), Report> {
    let signals = signals.into();
    let (stop, limits, metrics) = (
        signals.stop.clone(),
        config.limits.clone(),
        Arc::new(Metrics::default()),
    );
    let key = SigningKey::load(&config.key)?;
    let bad_keys = metrics.register(
        "key_file_refused",
        "Looks at a key file that cannot be used",
        Counter::default(),
    );
    let key_file = Arc::new(KeyFile::new(config.key.clone(), &key, BROKER_AUDIENCE, bad_keys)?);
    let bad_online_keys = metrics.register(
        "online_keys_refused",
        "Looks at the files of the online keys that cannot be used",
        Counter::default(),
    );
    let (snapshot_key, timestamp_key) = (config.snapshot_key.clone(), config.timestamp_key.clone());
    let keys = Arc::new(KeyRing::load(snapshot_key, timestamp_key, bad_online_keys)?);
    let root = read(&config.root)?;
    let created = std::fs::create_dir_all(&config.data);
    created.map_err(|error| unusable(&config.data, &error))?;
    let (repository, store, witnessed) = open_stores(&config, &root).await?;
    // What expired while the broker was down is renewed before anybody asks.
    let renewed = renew(&repository, &keys, clock.now()).await?;
    let governance_folder = config.data.join("governance");
    let roster = Roster::open(
        config.space.clone(),
        repository.clone(),
        &root,
        &governance_folder,
        Arc::clone(&clock),
    );
    let roster = Arc::new(roster?);
    if renewed != Renewal::NothingPublished {
        require_own_space(roster.rules().await)?;
    }
    let requests = enrol::Store::in_file(&config.data.join("enrolment.sqlite"))?;
    let enrolments = Enrolments::new(config.space.clone(), Arc::clone(&roster), Arc::clone(&clock), requests);
    let metrics_listener = match &config.metrics {
        Some(metrics) => Some(metrics.listen().await?),
        None => None,
    };
    let callers = Arc::new(Callers::new(
        config.space.clone(),
        Arc::clone(&roster),
        Arc::clone(&clock),
    ));
    let catalog = Catalog::new(Arc::clone(&callers), store);
    let relay = Relay::new(callers);
    let watching = tokio::spawn(relay.clone().watch(stop.clone()));
    let governance = Governance::new(
        config.space.clone(),
        repository.clone(),
        Arc::clone(&keys),
        Arc::clone(&clock),
    );
    let witness = Witness {
        space: config.space.clone(),
        roster: Arc::clone(&roster),
        clock: Arc::clone(&clock),
        store: witnessed.clone(),
        key,
        key_file: config.key.clone(),
        contradictions: metrics.register(
            "witness_contradictions",
            "Checkpoints of audits that do not go on from the one that was cosigned",
            Counter::default(),
        ),
    };
    let files = (Arc::clone(&key_file), Arc::clone(&keys));
    let watch = Watch::new(config, roster, relay.clone(), files, Arc::clone(&clock));
    let watch = watch.with_witness(witnessed);
    let watch = Arc::new(watch);
    watch.measured(&metrics);

    let renewing = tokio::spawn(keep_fresh(
        repository,
        Arc::clone(&keys),
        clock,
        RENEWAL_EVERY,
        stop.clone(),
    ));
    let (healthy, health) = wire::health::health();
    let drained = CancellationToken::new();
    let incoming = Incoming::with_polls(listener, key_file.identity(), &limits, metrics.connections.clone());
    let serving = wire::serve::limited(&limits)
        .layer(CountCalls(metrics.calls.clone()))
        .add_service(health)
        .add_service(GovernanceServiceServer::new(governance).max_decoding_message_size(PUBLISH_BYTES_MAX))
        .add_service(CatalogServiceServer::new(catalog).max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(EnrolmentServiceServer::new(enrolments).max_decoding_message_size(ENROL_BYTES_MAX))
        .add_service(WitnessServiceServer::new(witness).max_decoding_message_size(witness::REQUEST_BYTES_MAX))
        .add_service(Served::new(relay.clone()))
        .serve_with_incoming_shutdown(incoming, drained.clone().cancelled_owned());
    let draining = async {
        stop.cancelled().await;
        relay.close();
        let seconds = Duration::from_secs(limits.drain_seconds.into());
        if tokio::time::timeout(seconds, metrics.calls.idle()).await.is_err() {
            tracing::warn!(?seconds, "what is still carried is ended");
        }
        relay.end_calls();
        drained.cancel();
        tokio::time::sleep(LEAVE).await;
    };
    let served = tokio::select! {
        served = serving => served.map_err(|_| Problem::Internal.report("the broker cannot serve any more")),
        () = draining => Ok(()),
        () = watch.keep_writing() => Ok(()),
        // Who the broker is, its operator decides: nobody but whom they told the key goes on.
        () = key_file.keep_looking(&signals, &|_| Ok(())) => Ok(()),
        () = keys.keep_looking(&signals) => Ok(()),
        () = healthy.keep(|| watch.is_ready(), stop.clone()) => Ok(()),
        () = Arc::clone(&metrics).serve(metrics_listener) => Ok(()),
    };
    stop.cancel();
    for task in [renewing, watching] {
        let ended_early = |_| Problem::Internal.report("a task of the broker ended early");
        // What a store that is silent keeps was not finished, and is done by the next broker.
        match tokio::time::timeout(LEAVE, task).await {
            Ok(ended) => ended.map_err(ended_early)?,
            Err(_) => tracing::warn!("a task of the broker is not waited for any more"),
        }
    }
    watch.write(true).await;
    served
}

/// Signs anew what is due, until `stop`. A failure is tried again the next time.
pub(crate) async fn keep_fresh(
    repository: Repository,
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    every: Duration,
    stop: CancellationToken,
) {
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        match renew(&repository, &keys, clock.now()).await {
            Ok(Renewal::StillFresh | Renewal::NothingPublished) => {}
            Ok(renewal) => tracing::info!(?renewal, "documents renewed"),
            Err(report) => {
                tracing::error!(problem = %report.problem, message = report.message, "documents not renewed");
            }
        }
    }
}

async fn renew(repository: &Repository, keys: &Arc<KeyRing>, now: UtcTime) -> Result<Renewal, Report> {
    let (repository, keys) = (repository.clone(), Arc::clone(keys));
    let renewing = tokio::task::spawn_blocking(move || {
        let keys = keys.named_by(&repository.newest_roles()?);
        repository.renew(&keys, now)
    });
    let stopped = |_| Problem::Internal.report("the renewal of documents stopped");
    renewing.await.map_err(stopped)?
}

/// Documents, catalogue and what is witnessed, where the configuration says. `root` is the data space's first.
async fn open_stores(config: &Config, root: &[u8]) -> Result<(Repository, Store, witness::Store), Report> {
    match config.keeping()? {
        Keeping::Alone(folder) => {
            let catalog = Store::in_file(&config.data.join("catalog.sqlite"))?;
            let witnessed = witness::Store::in_file(&config.data.join("witness.sqlite"))?;
            Ok((Repository::open(&folder)?, catalog, witnessed))
        }
        Keeping::Shared(text) => {
            let database = Database::open(&text).await?;
            let witnessed = witness::Store::Shared(database.clone());
            let (catalog, space, root) = (database.clone(), config.space.clone(), root.to_owned());
            let opening = tokio::task::spawn_blocking(move || Repository::shared(database, &space, &root));
            let stopped = |_| Problem::Internal.report("the work on the repository stopped");
            Ok((opening.await.map_err(stopped)??, Store::Shared(catalog), witnessed))
        }
    }
}

/// Published documents may have expired while nobody looked, and the board must be able to publish new ones. Those of
/// another data space are a mistake in the configuration.
fn require_own_space<T>(rules: Result<T, Report>) -> Result<(), Report> {
    match rules {
        Err(report) if report.problem == Problem::PolicyScope => Err(report),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Report> {
    std::fs::read(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &std::io::Error) -> Report {
    Problem::FileMissing.report(format!("cannot use {}: {}", path.display(), error.kind()))
}
