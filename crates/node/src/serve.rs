//! How a node runs: open everything, listen, keep documents current, announce itself, stop when told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use engine::Datasets;
use terms::{Clock, Problem, Report, limit};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use trust::{PublicKey, Replay, SigningKey, SpaceStore};
use wire::description::{self, NodeDescription, OfferedDataset};
use wire::v1::PublishDescriptionRequest;
use wire::v1::catalog_service_client::CatalogServiceClient;
use wire::v1::fit_service_server::FitServiceServer;
use wire::{BrokerSource, Connection, CountCalls, Incoming, KeyFile, Signals};

use crate::config::Config;
use crate::fit::Fits;
use crate::flight::Face;
use crate::governance::Governance;
use crate::ledger::Ledger;
use crate::metrics::NodeMetrics;
use crate::query::Desk;
use crate::registers::Registers;
use crate::status::{NodeStatus, Operation};
use crate::tunnel::{self, Tunnels};
use crate::turns::Turns;
use crate::witness::Witnessed;

/// How often the folder of stops is looked at, at the least: with the time that a look at the broker may take, a stop acts within 60 s.
const STOP_FILES_EVERY: Duration = Duration::from_secs(15);

/// How soon a broker that does not answer is called again, and how soon at the most.
const CALL_AGAIN: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);

/// How long connections may take to end once nothing runs any more.
const LEAVE: Duration = Duration::from_secs(2);

/// A node that is open and can serve.
#[derive(Debug)]
pub struct Node {
    config: Config,
    desk: Arc<Desk>,
    announced: watch::Sender<bool>,
    open_tunnels: Tunnels,
    key_file: KeyFile,
    clock_ahead: Mutex<Option<i64>>,
    witnessed: Witnessed,
}

impl Node {
    /// Opens key, documents, datasets and ledger. Fetches documents from the broker if it answers.
    ///
    /// # Errors
    /// What is missing or does not verify; without verified documents a node does not start.
    pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Self, Report> {
        let key = Arc::new(SigningKey::load(&config.key)?);
        let store = open_store(&config)?;
        let source = broker_source(&config).await.ok();
        let source = source.as_ref().map(|source| source as &dyn trust::DocumentSource);
        let governance = Governance::start(&config.space, store, &config.data, source, Arc::clone(&clock)).await?;
        check_membership(&governance, &config, &key)?;
        let clock: Arc<dyn Clock> = Arc::new(governance.clock());
        let ledger = Ledger::open(
            config.ledger_place(),
            &config.audit_origin(),
            Arc::clone(&key),
            Arc::clone(&clock),
        )?;
        let (limits, metrics) = (config.limits.clone(), NodeMetrics::default());
        let key_file = KeyFile::new(
            config.key.clone(),
            &key,
            config.member.as_str(),
            metrics.bad_keys.clone(),
        )?;
        let desk = Desk {
            space: config.space.clone(),
            member: config.member.clone(),
            key,
            governance,
            datasets: open_datasets(&config)?,
            registers: Arc::new(Registers::open(&config.registers_file())?),
            ledger,
            replay: Replay::new(),
            turns: Turns::default(),
            clock,
            reading: Semaphore::new(limits.readings_at_once as usize),
            running: Semaphore::new(limits.queries_at_once as usize),
            streaming: Arc::new(Semaphore::new(limits.row_streams_at_once as usize)),
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
            limits,
            metrics,
        };
        let (desk, open_tunnels) = (Arc::new(desk), Tunnels::default());
        desk.metrics.watch(&desk, open_tunnels.subscribe());
        Ok(Self {
            config,
            desk,
            announced: watch::Sender::new(false),
            open_tunnels,
            key_file,
            clock_ahead: Mutex::default(),
            witnessed: Witnessed::default(),
        })
    }

    /// Waits until the node can be found and reached: the broker has taken its description, and a node that listens nowhere has a tunnel.
    pub fn reachable(&self) -> impl Future<Output = ()> + Send + 'static {
        let (mut announced, mut open_tunnels) = (self.announced.subscribe(), self.open_tunnels.subscribe());
        let tunnels_min = usize::from(self.config.listen.is_none());
        async move {
            // A node that is gone never becomes reachable.
            let found = announced.wait_for(|announced| *announced).await.is_ok();
            let reached = open_tunnels.wait_for(|open| open.len() >= tunnels_min).await.is_ok();
            if !(found && reached) {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Serves on `listener`, if the node listens, and through its tunnels until it is told to stop: then nothing new is taken up, and
    /// what runs has `drain_seconds`. Tasks that it starts end with it.
    ///
    /// # Errors
    /// If a listener cannot be set up, or the server ends by itself; `E_AUDIT_UNAVAILABLE` once the ledger cannot record.
    pub async fn serve(self, listener: Option<TcpListener>, signals: impl Into<Signals>) -> Result<(), Report> {
        let signals = signals.into();
        let (desk, limits, stop) = (&self.desk, &self.desk.limits, &signals.stop);
        let bound = listener.as_ref().map(TcpListener::local_addr).transpose();
        let bound = bound.map_err(|error| Problem::PortTaken.report(error.to_string()))?;
        let metrics = Arc::clone(&desk.metrics.all);
        let metrics_listener = match &self.config.metrics {
            Some(config) => Some(config.listen().await?),
            None => None,
        };
        let service = FlightServiceServer::new(Face(Arc::clone(desk)))
            .max_decoding_message_size(limits.message_bytes as usize)
            .max_encoding_message_size(limit::ANSWER_MESSAGE_BYTES_MAX);
        let fits = FitServiceServer::new(Fits(Arc::clone(desk)))
            .max_decoding_message_size(limit::FIT_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(limit::FIT_MESSAGE_BYTES_MAX);
        let (healthy, health) = wire::health::health();
        info!(member = %self.config.member, ?bound, "node serves");
        let incoming = Incoming::limited(listener, self.key_file.identity(), limits, metrics.connections.clone());
        let tunnels = tunnel::keep(&self.config, desk, incoming.door(), &self.open_tunnels, stop);
        let drained = CancellationToken::new();
        let serving = wire::serve::limited(limits)
            .layer(CountCalls(metrics.calls.clone()))
            .add_service(health)
            .add_service(service)
            .add_service(fits)
            .serve_with_incoming_shutdown(incoming, drained.clone().cancelled_owned());
        self.tell_status();
        let ready = || desk.unready().is_none();
        let may_become = |key: &PublicKey| self.may_become(key);
        let ended = tokio::select! {
            served = serving => served.map_err(|error| Problem::Internal.report(format!("the server ended: {error}"))),
            () = self.drain(stop, &drained) => Ok(()),
            () = self.upkeep(bound, stop) => Ok(()),
            () = tunnels => Ok(()),
            () = self.witnessed.keep_asking(&self.config, &desk.ledger, stop) => Ok(()),
            () = self.keep_looking_at_stop_files() => Ok(()),
            () = self.key_file.keep_looking(&signals, &may_become) => Ok(()),
            () = healthy.keep(ready, stop.clone()) => Ok(()),
            () = Arc::clone(&metrics).serve(metrics_listener) => Ok(()),
            why = self.ledger_failed() => Err(why),
        };
        // What is still on its way ends here, and is recorded.
        desk.stopping.cancel();
        desk.ledger.close().await;
        self.tell_status();
        ended
    }

    /// A ledger that cannot record is left to whoever starts the node again. Those who ask are told so first.
    async fn ledger_failed(&self) -> Report {
        let why = self.desk.ledger.failed().await;
        tokio::time::sleep(LEAVE).await;
        why
    }

    /// Once told to stop, lets what runs end, ends what does not in time, and says that all is `drained`.
    async fn drain(&self, stop: &CancellationToken, drained: &CancellationToken) {
        stop.cancelled().await;
        let desk = &self.desk;
        desk.draining.cancel();
        self.tell_status();
        let seconds = Duration::from_secs(desk.limits.drain_seconds.into());
        if tokio::time::timeout(seconds, desk.metrics.all.calls.idle())
            .await
            .is_err()
        {
            warn!(?seconds, "queries that still run are ended");
        }
        desk.stopping.cancel();
        drained.cancel();
        tokio::time::sleep(LEAVE).await;
    }

    /// What a node signs, its receipts and its ledger, is signed with the key with which it was started, to the end.
    fn may_become(&self, key: &PublicKey) -> Result<(), Report> {
        let current = self.desk.governance.latest();
        let named = current.rules.members.get(&self.config.member);
        let who = match named.is_some_and(|member| member.key == *key) {
            true => "which the roster names",
            false => "which the roster does not name",
        };
        let file = self.config.key.display();
        let message =
            format!("{file} holds another key, {who}; the node goes on with the one with which it was started");
        let remedy = "put the old key back; a node's ledger is signed with one key: see docs/operators.md, Keys";
        Err(Problem::PeerKey.report(message).remedy(remedy))
    }

    /// Stops that came as files act soon, whatever the broker does.
    async fn keep_looking_at_stop_files(&self) {
        let every = Duration::from_secs(self.config.refresh_seconds).min(STOP_FILES_EVERY);
        loop {
            tokio::time::sleep(every).await;
            self.desk.governance.look_at_stop_files().await;
        }
    }

    /// Keeps documents current and the broker informed. Ends with `stop`, after which the server drains.
    async fn upkeep(&self, bound: Option<SocketAddr>, stop: &CancellationToken) {
        let every = Duration::from_secs(self.config.refresh_seconds);
        // On a connection that was renewed the node announces itself again: the broker may be another, or have lost what it knew.
        let (mut broker, mut announced_on) = (None, None);
        while !stop.is_cancelled() {
            if broker.is_none() {
                broker = told(self.config.broker.connect("broker").await);
            }
            // A broker that does not take the description may have documents all the same.
            if let Some(connection) = &broker {
                self.announce_on(connection, &mut announced_on, bound).await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(every) => {}
                connection = self.call_again(), if broker.is_none() => {
                    self.announce_on(&connection, &mut announced_on, bound).await;
                    broker = Some(connection);
                }
            }
            if self.take_up_datasets() {
                announced_on = None;
            }
            // Stops that came as files act without a broker too.
            let source = broker
                .as_ref()
                .map(|connection: &Connection| BrokerSource::new(connection.clone(), self.config.space.clone()));
            let source = source.as_ref().map(|source| source as &dyn trust::DocumentSource);
            if let Err(report) = self.desk.governance.refresh(source).await {
                warn!(problem = %report.problem, message = report.message, "governance documents not renewed");
                if report.problem == Problem::Unreachable {
                    broker = None;
                }
            }
            if let Some(broker) = &broker {
                // The broker's clock is ahead by as much as this one is behind.
                let clock = self.desk.governance.clock();
                let ahead = wire::health::clock_ahead(broker, clock.machine()).await;
                *self.clock_ahead.lock().unwrap_or_else(PoisonError::into_inner) = ahead.map(|broker| -broker);
            }
            self.tell_status();
        }
        std::future::pending::<()>().await;
    }

    /// Answers from what was added since, and says whether there was anything. What cannot be read stays as it was.
    fn take_up_datasets(&self) -> bool {
        let looked = self.desk.datasets.look_again();
        looked.unwrap_or_else(|report| {
            warn!(problem = %report.problem, message = report.message, "a dataset that was added is not used");
            false
        })
    }

    /// The broker, as soon as it answers.
    async fn call_again(&self) -> Connection {
        let mut pause = *CALL_AGAIN.start();
        loop {
            tokio::time::sleep(pause).await;
            if let Ok(connection) = self.config.broker.connect("broker").await {
                return connection;
            }
            pause = (2 * pause).min(*CALL_AGAIN.end());
        }
    }

    /// Announces the node, unless it has announced itself on this connection.
    async fn announce_on(
        &self,
        connection: &Connection,
        announced_on: &mut Option<trust::Channel>,
        bound: Option<SocketAddr>,
    ) {
        let binding = connection.binding().ok();
        if *announced_on != binding && told(self.announce(connection, bound).await).is_some() {
            *announced_on = binding;
        }
    }

    /// Writes down how the node is. A disk that does not take it stops nothing: the ledger says when it is full.
    fn tell_status(&self) {
        let mut status = NodeStatus::of(&self.config, &self.desk.governance, &self.desk.datasets);
        status.operation = Some(self.operation());
        if let Err(report) = status.write(&self.config) {
            warn!(problem = %report.problem, message = report.message, "the node's status is not told");
        }
    }

    fn operation(&self) -> Operation {
        Operation {
            unready: self.desk.unready(),
            tunnels_wanted: self.config.tunnels_wanted(),
            tunnels: self.open_tunnels.borrow().clone(),
            limits: self.config.limits.changed(),
            key_file: self.key_file.problem(),
            disk_free_bytes: wire::check::disk_free_bytes(&self.config.data).ok(),
            witness: Some(self.witnessed.status()),
            clock_ahead_seconds: *self.clock_ahead.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    async fn announce(&self, connection: &Connection, bound: Option<SocketAddr>) -> Result<(), Report> {
        let datasets = self.desk.datasets.all();
        let offered = |d: &Arc<engine::Dataset>| OfferedDataset {
            collection: d.collection().clone(),
            updated: d.updated(),
            synthetic: d.is_synthetic(),
            days_moved: d.has_days_moved(),
        };
        let description = NodeDescription {
            space: self.config.space.clone(),
            member: self.config.member.clone(),
            address: bound.map(|bound| self.config.advertise.clone().unwrap_or_else(|| bound.to_string())),
            relayed: self.config.tunnels > 0,
            datasets: datasets.iter().map(offered).collect(),
            issued: self.desk.clock.now(),
        };
        let envelope = description::seal(&description, &self.desk.key)?;
        let request = PublishDescriptionRequest {
            space: self.config.space.to_string(),
            envelope,
        };
        let mut catalog = CatalogServiceClient::new(connection.grpc.clone());
        let seconds = limit::CATALOG_SECONDS_MAX;
        let published = tokio::time::timeout(Duration::from_secs(seconds), catalog.publish_description(request)).await;
        let late = |_| Problem::Unreachable.report(format!("the broker did not answer within {seconds} s"));
        published
            .map_err(late)?
            .map_err(|status| wire::status::from_status(&status, "the broker").report)?;
        self.announced.send_replace(true);
        Ok(())
    }
}

/// The outcome, if there is one; what was wrong goes into the log.
fn told<T>(outcome: Result<T, Report>) -> Option<T> {
    outcome
        .inspect_err(|report| {
            warn!(problem = %report.problem, message = report.message, "not announced at the broker");
        })
        .ok()
}

/// Listens on the configured address.
///
/// # Errors
/// `PortTaken`.
pub async fn listen(address: &str) -> Result<TcpListener, Report> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| Problem::PortTaken.report(format!("cannot listen on {address}: {error}")))
}

/// The store of verified documents; at the first start a new one, with the root that the operator pinned.
/// The datasets; one that cannot be answered from holds up no other.
fn open_datasets(config: &Config) -> Result<Datasets, Report> {
    let datasets = Datasets::open(&config.datasets_folder())?;
    for unhealthy in datasets.unhealthy() {
        let (problem, collection) = (&unhealthy.problem, &unhealthy.collection);
        warn!(%collection, served = unhealthy.is_served, problem = %problem.problem, message = problem.message, "a dataset is unhealthy");
    }
    Ok(datasets)
}

fn open_store(config: &Config) -> Result<SpaceStore, Report> {
    let root = std::fs::read(&config.root);
    let root = root.map_err(|error| Problem::FileMissing.report(format!("{}: {error}", config.root.display())))?;
    SpaceStore::open_or_create(&config.governance_folder(), &root)
}

async fn broker_source(config: &Config) -> Result<BrokerSource, Report> {
    let connection = config.broker.connect("broker").await?;
    Ok(BrokerSource::new(connection, config.space.clone()))
}

/// The roster must name this node with the key that it holds, or nobody could talk to it.
fn check_membership(governance: &Governance, config: &Config, key: &SigningKey) -> Result<(), Report> {
    let current = governance.current()?;
    let space = &current.rules.space.id;
    if *space != config.space {
        return Err(Problem::PolicyScope.report(format!("the documents are those of {space}, not of {}", config.space)));
    }
    match current.rules.members.get(&config.member) {
        Some(member) if member.key == key.public() => Ok(()),
        Some(_) => Err(Problem::PeerKey
            .report(format!("the roster names another key for {}", config.member))
            .remedy("ask the board to sign a roster with this node's key, or install the right key")),
        None => Err(Problem::TokenIssuer.report(format!("{} is not a member of {space}", config.member))),
    }
}
