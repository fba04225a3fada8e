//! The process that runs a sandbox: one broker and all nodes, each with its own listener, keys, ledger and stop signal.
//!
//! They are the broker and the nodes of a real data space and know nothing of each other's being here. Ports are chosen
//! at the first start and written into everybody's configuration, so that they stay. Next: `control.rs`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::Datasets;
use futures::future::join_all;
use node::Node;
use serde::Serialize;
use serde::de::DeserializeOwned;
use terms::{Clock, MemberId, Problem, Report};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use trust::SpaceStore;
use wire::Addresses;

use super::control::{Control, DatasetStatus, DocumentsStatus, NodeState, NodeStatus, Order, Status};
use super::found::renew_credentials;
use super::layout::{Layout, Lock, Record, read_config, write_config};

/// Where to listen if the port of last time was taken meanwhile.
const ANY_PORT: &str = "127.0.0.1:0";

/// Where a node is that listens nowhere.
const THROUGH_BROKER: &str = "through the broker";

/// How long a node may take to announce itself at the broker.
const ANNOUNCE_TIME_MAX: Duration = Duration::from_secs(30);

/// How often people's credentials are renewed: well before they expire.
const CREDENTIALS_EVERY: Duration = Duration::from_secs(12 * 3600);

/// A sandbox that is up.
#[derive(Debug)]
pub(crate) struct Host {
    layout: Layout,
    record: Record,
    clock: Arc<dyn Clock>,
    broker: Running,
    nodes: BTreeMap<MemberId, Slot>,
    told_down: CancellationToken,
    control: Mutex<Option<(CancellationToken, JoinHandle<()>)>>,
    _lock: Lock,
}

/// Something that serves until its stop signal.
#[derive(Debug)]
struct Running {
    address: String,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    ended: CancellationToken,
}

/// The place of one node.
#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    /// Held while the node is started or stopped.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Stopped,
    Starting,
    Up(Arc<Running>),
    Failed(Report),
}

impl Host {
    /// Puts a founded sandbox up: takes the folder, renews credentials, starts the broker, then all nodes together.
    /// Returns when every node has announced itself.
    ///
    /// # Errors
    /// `SandboxUp` if it is up already, or the first thing that did not start; then nothing runs any more.
    pub(crate) async fn start(layout: Layout, clock: Arc<dyn Clock>) -> Result<Arc<Self>, Report> {
        let record = Record::load(&layout)?;
        let lock = Lock::hold(&layout)?;
        renew_credentials(&layout, &record, clock.now())?;
        let broker = start_broker(&layout, &record, &clock).await?;
        let nodes = record.nodes.iter().map(|id| (id.clone(), Slot::default())).collect();
        let (told_down, control) = (CancellationToken::new(), Mutex::default());
        let host = Arc::new(Self {
            layout,
            record,
            clock,
            broker,
            nodes,
            told_down,
            control,
            _lock: lock,
        });
        let started = match host.listen_to_orders().await {
            Ok(()) => host.start_nodes().await,
            Err(report) => Err(report),
        };
        match started {
            Ok(()) => Ok(host),
            Err(report) => {
                host.stop().await;
                Err(report)
            }
        }
    }

    /// Waits until somebody says `down`, the broker ends by itself, or `told` is done.
    ///
    /// # Errors
    /// If the broker ended by itself.
    pub(crate) async fn until_told(&self, told: impl Future<Output = ()>) -> Result<(), Report> {
        let renewing = async {
            loop {
                tokio::time::sleep(CREDENTIALS_EVERY).await;
                if let Err(report) = renew_credentials(&self.layout, &self.record, self.clock.now()) {
                    error!(problem = %report.problem, message = report.message, "credentials not renewed");
                }
            }
        };
        tokio::select! {
            () = told => Ok(()),
            () = self.told_down.cancelled() => Ok(()),
            () = self.broker.ended.cancelled() => Err(Problem::Internal.report("the broker ended by itself")),
            () = renewing => Ok(()),
        }
    }

    /// Stops nodes, broker and control, in this order, and waits for each.
    pub(crate) async fn stop(&self) {
        join_all(self.nodes.values().map(Slot::stop)).await;
        self.broker.stop().await;
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, task)) = control {
            stop.cancel();
            // A task that panicked has said so already.
            let _ = task.await;
        }
        // A file that is left behind leads nowhere; the next start replaces it.
        let _ = std::fs::remove_file(self.layout.control_file());
    }

    /// How everything is.
    pub(crate) async fn status(&self) -> Status {
        let ready = self.nodes.values().all(|slot| !matches!(*slot.lock(), State::Starting));
        // Somebody who waits asks often, and needs to know no more than that.
        let documents = if ready { self.documents().await } else { None };
        let status = |id: &MemberId| Some(self.node_status(id, self.nodes.get(id)?, ready));
        Status {
            space: self.record.space.clone(),
            folder: self.layout.folder().to_owned(),
            ready,
            broker: self.broker.address.clone(),
            documents,
            nodes: self.record.nodes.iter().filter_map(status).collect(),
            people: self.record.person.iter().map(|person| person.id.clone()).collect(),
        }
    }

    async fn listen_to_orders(self: &Arc<Self>) -> Result<(), Report> {
        let control = Control::open(&self.layout).await?;
        let (stop, host) = (CancellationToken::new(), Arc::downgrade(self));
        let obey = move |order: Order| {
            let host = host.upgrade();
            async move {
                match host {
                    Some(host) => Box::pin(host.obey(order)).await,
                    None => Err(Problem::SandboxDown.report("the sandbox is going down")),
                }
            }
        };
        let task = tokio::spawn(control.serve(obey, stop.clone()));
        *self.control.lock().unwrap_or_else(PoisonError::into_inner) = Some((stop, task));
        Ok(())
    }

    async fn obey(&self, order: Order) -> Result<Status, Report> {
        match order {
            Order::Status => {}
            Order::StopNode { node } => self.slot(&node)?.stop().await,
            Order::StartNode { node } => self.start_node(&node).await?,
            Order::Down => self.told_down.cancel(),
        }
        Ok(self.status().await)
    }

    async fn start_nodes(&self) -> Result<(), Report> {
        // All of them before the first is waited for, so that nobody takes "none is starting" for "all are up".
        self.nodes.values().for_each(|slot| *slot.lock() = State::Starting);
        let started = join_all(self.nodes.keys().map(|id| self.start_node(id))).await;
        started.into_iter().collect()
    }

    async fn start_node(&self, id: &MemberId) -> Result<(), Report> {
        let slot = self.slot(id)?;
        let _turn = slot.turn.lock().await;
        if slot.running().is_some() {
            return Ok(());
        }
        *slot.lock() = State::Starting;
        let (started, state) = match Box::pin(self.run_node(id)).await {
            Ok(running) => (Ok(()), State::Up(running)),
            Err(report) => (Err(report.clone()), State::Failed(report)),
        };
        *slot.lock() = state;
        started
    }

    async fn run_node(&self, id: &MemberId) -> Result<Arc<Running>, Report> {
        let file = self.layout.node_config(id);
        let mut written: node::Config = read_config(&file)?;
        let (listener, address) = match &written.listen {
            Some(configured) => listen(configured)
                .await
                .map(|(listener, address)| (Some(listener), Some(address)))?,
            None => (None, None),
        };
        let broker = Addresses::from(self.broker.address.clone());
        if written.listen != address || written.broker.address != broker {
            written.listen.clone_from(&address);
            written.broker.address = broker;
            write_config(&file, "A node of a sandbox.", &written)?;
        }
        let node = Box::pin(Node::open(node::Config::load(&file)?, Arc::clone(&self.clock))).await?;
        let reachable = node.reachable();
        let stop = CancellationToken::new();
        let running = Arc::new(Running::start(
            id.to_string(),
            address.unwrap_or_else(|| THROUGH_BROKER.to_owned()),
            stop.clone(),
            node.serve(listener, stop),
        ));
        if tokio::time::timeout(ANNOUNCE_TIME_MAX, reachable).await.is_ok() {
            return Ok(running);
        }
        running.stop().await;
        let report = Problem::Unreachable.report(format!("the node {id} could not announce itself at the broker"));
        Err(report.remedy(format!("see {}", self.layout.log_file().display())))
    }

    fn slot(&self, id: &MemberId) -> Result<&Slot, Report> {
        self.nodes.get(id).ok_or_else(|| {
            let near = terms::text::nearest(id.as_str(), self.nodes.keys().map(MemberId::as_str));
            let report = Problem::Usage.report(format!("the sandbox has no node {id}"));
            match near {
                Some(near) => report.remedy(format!("did you mean {near}?")),
                None => report.remedy("datenraum sandbox status DIR lists its nodes"),
            }
        })
    }

    fn node_status(&self, id: &MemberId, slot: &Slot, with_data: bool) -> NodeStatus {
        let (state, address, problem) = match &*slot.lock() {
            State::Stopped => (NodeState::Stopped, None, None),
            State::Starting => (NodeState::Starting, None, None),
            State::Failed(report) => (NodeState::Failed, None, Some(report.clone())),
            State::Up(running) if running.ended.is_cancelled() => (NodeState::Failed, None, None),
            State::Up(running) => (NodeState::Up, Some(running.address.clone()), None),
        };
        let folder = with_data.then(|| self.layout.node(id).join("data").join("datasets"));
        let datasets = folder.and_then(|folder| Datasets::open(&folder).ok());
        let datasets = datasets.map(|datasets| datasets.all()).unwrap_or_default();
        let described = |d: &Arc<engine::Dataset>| DatasetStatus {
            collection: d.collection().clone(),
            rows: d.rows(),
            synthetic: d.is_synthetic(),
        };
        NodeStatus {
            node: id.clone(),
            state,
            address,
            datasets: datasets.iter().map(described).collect(),
            problem,
        }
    }

    /// The documents as a running node holds them, verified once more.
    async fn documents(&self) -> Option<DocumentsStatus> {
        let (id, _) = self.nodes.iter().find(|(_, slot)| slot.running().is_some())?;
        let config = node::Config::load(&self.layout.node_config(id)).ok()?;
        let store = SpaceStore::open(&config.governance_folder()).ok()?;
        let documents = trust::last_good(&store, self.clock.now()).await.ok()?;
        Some(DocumentsStatus {
            version: documents.version,
            digest: documents.digest,
            signers: documents.signers.len(),
            threshold: self.record.board.threshold,
            board_members: self.record.board.members,
            expires: documents.expires,
        })
    }
}

impl Running {
    /// Lets `serving` run until it ends; it is to end with `stop`.
    fn start(
        name: String,
        address: String,
        stop: CancellationToken,
        serving: impl Future<Output = Result<(), Report>> + Send + 'static,
    ) -> Self {
        let ended = CancellationToken::new();
        let on_end = ended.clone().drop_guard();
        let task = tokio::spawn(async move {
            if let Err(report) = Box::pin(serving).await {
                error!(name, problem = %report.problem, message = report.message, "ended");
            }
            drop(on_end);
        });
        Self {
            address,
            stop,
            task: Mutex::new(Some(task)),
            ended,
        }
    }

    async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // A task that panicked has said so already.
            let _ = task.await;
        }
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> Option<Arc<Running>> {
        match &*self.lock() {
            State::Up(running) if !running.ended.is_cancelled() => Some(Arc::clone(running)),
            State::Stopped | State::Starting | State::Up(_) | State::Failed(_) => None,
        }
    }

    async fn stop(&self) {
        let _turn = self.turn.lock().await;
        let before = std::mem::take(&mut *self.lock());
        if let State::Up(running) = before {
            running.stop().await;
        }
    }
}

async fn start_broker(layout: &Layout, record: &Record, clock: &Arc<dyn Clock>) -> Result<Running, Report> {
    let file = layout.broker_config();
    let mut written: broker::Config = read_config(&file)?;
    let (listener, address) = listen(&written.listen).await?;
    if written.listen != address {
        written.listen.clone_from(&address);
        write_config(&file, "The broker of a sandbox.", &written)?;
    }
    for person in &record.person {
        let file = layout.person_config(&person.id);
        readdress::<federation::Profile>(
            &file,
            "A person of a sandbox.",
            |profile| &mut profile.broker.address,
            address.clone().into(),
        )?;
    }
    let stop = CancellationToken::new();
    let serving = broker::serve(broker::Config::load(&file)?, listener, Arc::clone(clock), stop.clone());
    Ok(Running::start("broker".to_owned(), address, stop, serving))
}

/// Writes an address into a configuration, if another one is there.
fn readdress<T: Serialize + DeserializeOwned>(
    file: &Path,
    about: &str,
    place: impl Fn(&mut T) -> &mut Addresses,
    address: Addresses,
) -> Result<(), Report> {
    let mut config: T = read_config(file)?;
    let written = place(&mut config);
    if *written == address {
        return Ok(());
    }
    *written = address;
    write_config(file, about, &config)
}

/// Listens where the configuration says, or on any port if that one was taken while the sandbox was down.
async fn listen(configured: &str) -> Result<(TcpListener, String), Report> {
    let listener = match node::serve::listen(configured).await {
        Err(report) if report.problem == Problem::PortTaken && configured != ANY_PORT => {
            warn!(configured, "the port of last time is taken, another one is used");
            node::serve::listen(ANY_PORT).await?
        }
        listener => listener?,
    };
    let address = listener
        .local_addr()
        .map_err(|error| Problem::PortTaken.report(error.to_string()))?;
    Ok((listener, address.to_string()))
}
