//! How the process that hosts a sandbox is told things: one line of JSON in, one line of JSON out, on a loopback port.
//!
//! Whoever can read `sandbox.json` may give orders; that is the owner of the folder, who has all keys anyway. It must
//! never be reachable from another machine.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use terms::{CollectionId, MemberId, PersonId, Problem, Report, SpaceId, UtcTime};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use trust::Digest;

use super::layout::{Layout, write_private};

/// Longest order, in bytes. A token and an id fit with room to spare.
const ORDER_BYTES_MAX: u64 = 4 * 1024;

/// Longest answer, in bytes: the status of the largest sandbox.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// How long somebody who connected may take to say something.
const ORDER_TIME_MAX: Duration = Duration::from_secs(5);

/// How long an order may take to be carried out: a node waits for its open queries.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// Orders that are looked at together.
const ORDERS_AT_ONCE_MAX: usize = 8;

/// What the host can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Order {
    /// Say how you are.
    Status,
    /// Stop one node.
    StopNode {
        /// The node.
        node: MemberId,
    },
    /// Start one node that is not running.
    StartNode {
        /// The node.
        node: MemberId,
    },
    /// Stop everything and end.
    Down,
}

/// How a sandbox is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Status {
    /// The data space.
    pub(crate) space: SpaceId,
    /// The sandbox's folder.
    pub(crate) folder: PathBuf,
    /// Whether every node has been started.
    pub(crate) ready: bool,
    /// Where the broker listens.
    pub(crate) broker: String,
    /// Under which documents the nodes work; none while no node does.
    pub(crate) documents: Option<DocumentsStatus>,
    /// The nodes in the order of the specification.
    pub(crate) nodes: Vec<NodeStatus>,
    /// Who may ask.
    pub(crate) people: Vec<PersonId>,
}

/// The signed documents that a node verified last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DocumentsStatus {
    /// Version of the set.
    pub(crate) version: u64,
    /// Digest of the set.
    pub(crate) digest: Digest,
    /// How many board members signed it.
    pub(crate) signers: usize,
    /// How many had to.
    pub(crate) threshold: u16,
    /// How many board members there are.
    pub(crate) board_members: u16,
    /// Until when it may be used, unless the broker renews it.
    pub(crate) expires: UtcTime,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeStatus {
    /// The node.
    pub(crate) node: MemberId,
    /// What it does.
    pub(crate) state: NodeState,
    /// Where it listens.
    pub(crate) address: Option<String>,
    /// What it offers.
    pub(crate) datasets: Vec<DatasetStatus>,
    /// Why it does not run.
    pub(crate) problem: Option<Report>,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NodeState {
    /// It was stopped, or never started.
    Stopped,
    /// It is being started.
    Starting,
    /// It answers.
    Up,
    /// It could not be started, or ended by itself.
    Failed,
}

/// One dataset, as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatasetStatus {
    /// What it conforms to.
    pub(crate) collection: CollectionId,
    /// Its rows. In a sandbox the operator is the asker; a real node tells nobody.
    pub(crate) rows: u64,
    /// Whether they are made up.
    #[serde(default)]
    pub(crate) synthetic: bool,
}

/// Where the host listens, in `sandbox.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reach {
    port: u16,
    token: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    token: String,
    order: Order,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Response {
    Status(Box<Status>),
    Error(Report),
}

/// The host's end, not yet listened to.
#[derive(Debug)]
pub(crate) struct Control {
    listener: TcpListener,
    token: String,
}

impl Control {
    /// Listens, and writes down where.
    ///
    /// # Errors
    /// If no port is free or the file cannot be written.
    pub(crate) async fn open(layout: &Layout) -> Result<Self, Report> {
        let control = Self::listen().await?;
        let port = control
            .listener
            .local_addr()
            .map_err(|error| Problem::PortTaken.report(error.to_string()))?
            .port();
        let reach = Reach {
            port,
            token: control.token.clone(),
        };
        let text = serde_json::to_vec(&reach).map_err(|error| Problem::Internal.report(error.to_string()))?;
        write_private(&layout.control_file(), &text)?;
        Ok(control)
    }

    async fn listen() -> Result<Self, Report> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.map_err(|error| Problem::PortTaken.report(format!("no free port: {error}")))?;
        let token = trust::random_bytes::<32>()?
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self { listener, token })
    }

    /// Carries out orders with `obey` until `stop`; those that have begun are finished.
    pub(crate) async fn serve<F, T>(self, obey: F, stop: CancellationToken)
    where
        F: Fn(Order) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Result<Status, Report>> + Send + 'static,
    {
        let token = Arc::new(Digest::of(self.token.as_bytes()));
        let slots = Arc::new(Semaphore::new(ORDERS_AT_ONCE_MAX));
        let mut running = JoinSet::new();
        loop {
            while running.try_join_next().is_some() {}
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                break;
            };
            let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await else {
                break;
            };
            let Ok((stream, _)) = accepted else { continue };
            let (obey, token) = (obey.clone(), Arc::clone(&token));
            running.spawn(async move {
                // Somebody who went away needs no answer.
                let _ = attend(stream, &token, obey).await;
                drop(slot);
            });
        }
        while running.join_next().await.is_some() {}
    }
}

async fn attend<F, T>(mut stream: TcpStream, token: &Digest, obey: F) -> std::io::Result<()>
where
    F: Fn(Order) -> T,
    T: Future<Output = Result<Status, Report>>,
{
    let (reader, mut writer) = stream.split();
    let read = tokio::time::timeout(ORDER_TIME_MAX, read_line(reader, ORDER_BYTES_MAX)).await;
    let Ok(Ok(line)) = read else { return Ok(()) };
    let response = match understand(&line, token) {
        Ok(order) => obey(order)
            .await
            .map_or_else(Response::Error, |status| Response::Status(Box::new(status))),
        Err(report) => Response::Error(report),
    };
    let mut text = serde_json::to_vec(&response)?;
    text.push(b'\n');
    writer.write_all(&text).await?;
    writer.shutdown().await
}

fn understand(line: &[u8], token: &Digest) -> Result<Order, Report> {
    let request: Result<Request, _> = serde_json::from_slice(line);
    let request = request.map_err(|_| Problem::Usage.report("the order is not one that a sandbox knows"))?;
    // Digests are compared, so that the time it takes says nothing of the token.
    if Digest::of(request.token.as_bytes()) != *token {
        return Err(Problem::TokenSignature.report("the order does not carry the sandbox's token"));
    }
    Ok(request.order)
}

/// Gives an order to the process that hosts the sandbox.
///
/// # Errors
/// `SandboxDown` if none answers, or what it answers.
pub(crate) async fn tell(layout: &Layout, order: Order) -> Result<Status, Report> {
    let down = || Problem::SandboxDown.report(format!("no sandbox is up in {}", layout.folder().display()));
    let reach: Reach = match std::fs::read(layout.control_file()) {
        Ok(text) => serde_json::from_slice(&text).map_err(|_| down())?,
        Err(_) => return Err(down()),
    };
    let request = Request {
        token: reach.token,
        order,
    };
    let answer = tokio::time::timeout(ANSWER_TIME_MAX, exchange(reach.port, &request)).await;
    match answer {
        Ok(Ok(Response::Status(status))) => Ok(*status),
        Ok(Ok(Response::Error(report))) => Err(report),
        Ok(Err(_)) => Err(down()),
        Err(_) => Err(Problem::Unreachable.report("the sandbox takes too long to answer")),
    }
}

async fn exchange(port: u16, request: &Request) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let line = read_line(&mut stream, ANSWER_BYTES_MAX).await?;
    Ok(serde_json::from_slice(&line)?)
}

async fn read_line(reader: impl AsyncRead + Unpin, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(reader.take(bytes_max))
        .read_until(b'\n', &mut line)
        .await?;
    Ok(line)
}

#[cfg(test)]
mod tests;
