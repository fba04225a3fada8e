//! How a broker runs: everything is checked before the first call is taken, and every task ends before this returns.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use terms::{Clock, Problem, Report, limit};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trust::SigningKey;
use wire::Incoming;
use wire::description::{BROKER_AUDIENCE, DESCRIPTION_BYTES_MAX};
use wire::publish::PIECE_BYTES_MAX;
use wire::relay::RELAY_MESSAGE_BYTES_MAX;
use wire::v1::catalog_service_server::CatalogServiceServer;
use wire::v1::governance_service_server::GovernanceServiceServer;
use wire::v1::relay_service_server::RelayServiceServer;

use crate::callers::Callers;
use crate::catalog::{Catalog, Store};
use crate::config::Config;
use crate::governance::Governance;
use crate::relay::Relay;
use crate::repository::{OnlineKeys, Renewal, Repository};
use crate::roster::Roster;

/// How often the broker looks whether a document is due for renewal.
const RENEWAL_EVERY: Duration = Duration::from_secs(60);

/// How long calls may go on after the stop signal.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// Largest request to the catalogue, in bytes: a sealed description and its frame.
const REQUEST_BYTES_MAX: usize = DESCRIPTION_BYTES_MAX + 1024;

/// Largest message with a document, in bytes: a piece of one, or a whole root, and its frame.
const PUBLISH_BYTES_MAX: usize = PIECE_BYTES_MAX + 1024;

/// Serves on `listener` until `stop`. A broker may be started before its board has published anything.
///
/// # Errors
/// If a key, the repository or the data folder cannot be used, or the published documents are of another data space.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Result<(), Report> {
    let key = SigningKey::load(&config.key)?;
    let tls = wire::tls::server_config(&key, BROKER_AUDIENCE);
    let tls = tls.map_err(|error| Problem::FileValue.report(error.to_string()))?;
    let keys = Arc::new(OnlineKeys::load(&config.snapshot_key, &config.timestamp_key)?);
    let repository = Repository::open(&config.repository)?;
    // What expired while the broker was down is renewed before anybody asks.
    let renewed = repository.renew(&keys, clock.now())?;
    let roster = open_roster(&config, &repository, Arc::clone(&clock))?;
    if renewed != Renewal::NothingPublished {
        require_own_space(roster.rules().await)?;
    }
    let store = Store::open(&config.data.join("catalog.sqlite"))?;
    let callers = Arc::new(Callers::new(config.space.clone(), roster, Arc::clone(&clock)));
    let catalog = Catalog::new(Arc::clone(&callers), store);
    let relay = Relay::new(callers);
    let watching = tokio::spawn(relay.clone().watch(stop.clone()));
    let governance = Governance::new(config.space, repository.clone(), Arc::clone(&keys), Arc::clone(&clock));

    let renewing = tokio::spawn(keep_fresh(repository, keys, clock, RENEWAL_EVERY, stop.clone()));
    let serving = wire::serve::server()
        .max_concurrent_streams(limit::RELAY_STREAMS_PER_CONNECTION_MAX)
        .initial_stream_window_size(limit::RELAY_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limit::RELAY_CONNECTION_WINDOW_BYTES)
        .add_service(GovernanceServiceServer::new(governance).max_decoding_message_size(PUBLISH_BYTES_MAX))
        .add_service(CatalogServiceServer::new(catalog).max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(RelayServiceServer::new(relay).max_decoding_message_size(RELAY_MESSAGE_BYTES_MAX))
        .serve_with_incoming_shutdown(Incoming::with_polls(listener, &tls), stop.clone().cancelled_owned());
    let served = tokio::select! {
        served = serving => served.map_err(|_| Problem::Internal.report("the broker cannot serve any more")),
        () = waited_out(&stop) => Ok(()),
    };
    stop.cancel();
    for task in [renewing, watching] {
        let ended_early = |_| Problem::Internal.report("a task of the broker ended early");
        task.await.map_err(ended_early)?;
    }
    served
}

/// Signs anew what is due, until `stop`. A failure is tried again the next time.
pub(crate) async fn keep_fresh(
    repository: Repository,
    keys: Arc<OnlineKeys>,
    clock: Arc<dyn Clock>,
    every: Duration,
    stop: CancellationToken,
) {
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        let (repository, keys, now) = (repository.clone(), Arc::clone(&keys), clock.now());
        let renewing = tokio::task::spawn_blocking(move || repository.renew(&keys, now));
        match renewing.await {
            Ok(Ok(Renewal::StillFresh | Renewal::NothingPublished)) => {}
            Ok(Ok(renewal)) => tracing::info!(?renewal, "documents renewed"),
            Ok(Err(report)) => {
                tracing::error!(problem = %report.problem, message = report.message, "documents not renewed");
            }
            Err(_) => tracing::error!("the renewal of documents stopped"),
        }
    }
}

async fn waited_out(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_WAIT).await;
}

fn open_roster(config: &Config, repository: &Repository, clock: Arc<dyn Clock>) -> Result<Arc<Roster>, Report> {
    let root = read(&config.root)?;
    let created = std::fs::create_dir_all(&config.data);
    created.map_err(|error| unusable(&config.data, &error))?;
    let folder = config.data.join("governance");
    let roster = Roster::open(config.space.clone(), repository.clone(), &root, &folder, clock)?;
    Ok(Arc::new(roster))
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
