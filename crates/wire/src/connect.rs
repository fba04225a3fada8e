//! The client's end of a connection: TCP, TLS pinned to one key, gRPC. Next: `heard.rs`, when the other end last said
//! something; `addresses.rs` and `first.rs`, one server at several addresses.

mod addresses;
mod first;
mod heard;

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use terms::{Problem, Report, limit};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use trust::PublicKey;

pub use self::addresses::{Addresses, AddressesError};
pub use self::first::first_of;
use self::heard::{Heard, Hearing};
use crate::polls::ByPolls;
use crate::proxy::ProxyConfig;
use crate::socket::Socket;

/// How often the other end of a connection is made to say something while a call is open, how long it may take to, until the
/// connection is given up, and how much it may say unread.
#[derive(Clone, Copy, Debug)]
struct Pace {
    every: Duration,
    within: Duration,
    /// Bytes that may be on their way unread: of one stream, and of all.
    windows: Option<(u32, u32)>,
    /// Longest frame that the other end may send, in bytes.
    frame: u32,
}

/// While somebody waits for an answer. A machine can be busy for a while.
const WAITED_FOR: Pace = Pace {
    every: Duration::from_secs(limit::KEEP_ALIVE_SECONDS),
    within: Duration::from_secs(30),
    windows: None,
    frame: limit::ANSWER_FRAME_BYTES,
};

/// On a connection that is held open.
const HELD: Pace = Pace {
    every: Duration::from_secs(limit::HELD_KEEP_ALIVE_SECONDS),
    within: Duration::from_secs(limit::HELD_KEEP_ALIVE_ANSWER_SECONDS_MAX),
    windows: Some((limit::RELAY_STREAM_WINDOW_BYTES, limit::RELAY_CONNECTION_WINDOW_BYTES)),
    frame: limit::RELAY_FRAME_BYTES,
};

/// How long a connection may take before polls are tried beside it.
const OTHER_ROAD_AFTER: Duration = Duration::from_secs(4);

/// A server in somebody's configuration: where it is and the key that it must hold. At several addresses it is one party, with one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// `host:port`, or a list of these.
    pub address: Addresses,
    /// Whoever answers there must prove to hold this key.
    pub key: PublicKey,
    /// The proxy through which it is reached, if the network lets nothing else out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyConfig>,
}

impl PeerConfig {
    /// A server that is reached without a proxy.
    pub fn direct(address: String, key: PublicKey) -> Self {
        Self {
            address: address.into(),
            key,
            proxy: None,
        }
    }

    /// The same server at each of its addresses alone.
    pub fn each(&self) -> impl Iterator<Item = PeerConfig> {
        self.address.iter().map(|address| PeerConfig {
            address: address.to_owned().into(),
            ..self.clone()
        })
    }

    /// The same with paths relative to the configuration's own folder.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        if let Some(proxy) = &mut self.proxy {
            proxy.credentials = proxy.credentials.take().map(|file| folder.join(file));
        }
        self
    }

    /// Connects for as long as it may be, and goes on only if the server holds the key. It is called `name` in messages. Of several
    /// addresses the one that answers first is used, also when the connection is renewed. Where streams do not get through, polls are
    /// tried.
    ///
    /// # Errors
    /// [`Problem::PeerKey`] if another key answers, what is wrong with the proxy's credentials, or [`Problem::Unreachable`].
    pub async fn connect(&self, name: &str) -> Result<Connection, Report> {
        let mut streams = std::pin::pin!(self.connect_on(Road::Streams, name));
        let polls = std::pin::pin!(self.connect_on(Road::Polls, name));
        let (first, polls) = match timeout(OTHER_ROAD_AFTER, &mut streams).await {
            Ok(first) => (first, polls),
            Err(_) => match select(streams, polls).await {
                Either::Left((first, polls)) => (first, polls),
                Either::Right((Err(_), streams)) => return streams.await,
                Either::Right((connected, _)) => return connected,
            },
        };
        match first {
            Err(refused) if refused.problem == Problem::Unreachable => polls.await.map_err(|_| refused),
            ended => ended,
        }
    }

    /// The same on one road only.
    ///
    /// # Errors
    /// As [`PeerConfig::connect`].
    pub async fn connect_on(&self, road: Road, name: &str) -> Result<Connection, Report> {
        let place = match &self.proxy {
            None => self.address.to_string(),
            Some(proxy) => format!("{} through the proxy {}", self.address, proxy.address),
        };
        let told = |error: ConnectError| error.report(name, &place);
        let dialers: Result<Vec<_>, Report> = self.address.iter().map(|address| self.dialer(address)).collect();
        let dialers = match road {
            Road::Streams => dialers?,
            Road::Polls => by_polls(dialers?, name, &self.key).map_err(told)?,
        };
        let connected = connect_at(HELD, dialers, name, &self.key).await.map_err(told)?;
        Ok(Connection { road, ..connected })
    }

    fn dialer(&self, address: &str) -> Result<Arc<dyn Dialer>, Report> {
        Ok(match &self.proxy {
            None => Arc::new(Direct(address.to_owned())),
            Some(proxy) => Arc::new(proxy.dialer(address)?),
        })
    }
}

/// How bytes come to a broker and from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Road {
    /// A connection that stays.
    #[default]
    Streams,
    /// Short requests, where the network lets no connection live.
    Polls,
}

impl std::fmt::Display for Road {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Road::Streams => "streams",
            Road::Polls => "polls",
        })
    }
}

/// A gRPC channel to a server that proved to hold the expected key.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Calls go through this.
    pub grpc: Channel,
    binding: Arc<Mutex<Option<trust::Channel>>>,
    heard: Heard,
    road: Road,
}

impl Connection {
    /// How its bytes come and go.
    pub fn road(&self) -> Road {
        self.road
    }

    /// The value to which proofs on this connection must be bound. It changes when the channel reconnects.
    ///
    /// # Errors
    /// [`Problem::Unreachable`] if no handshake was completed yet.
    pub fn binding(&self) -> Result<trust::Channel, Report> {
        let held = self.binding.lock().unwrap_or_else(PoisonError::into_inner);
        held.ok_or_else(|| Problem::Unreachable.report("the connection is not open"))
    }

    /// Waits until the other end has said nothing for `patience`, from now on. While a call is open, one that is there says something
    /// every [`limit::KEEP_ALIVE_SECONDS`]: one that does not is most likely gone, without a word.
    pub async fn falls_silent(&self, patience: Duration) {
        let now = tokio::time::Instant::now();
        let quiet_until = || self.heard.last().max(now) + patience;
        while quiet_until() > tokio::time::Instant::now() {
            tokio::time::sleep_until(quiet_until()).await;
        }
    }
}

/// How the bytes of a connection come about. Asked again when a connection is renewed.
#[async_trait::async_trait]
pub trait Dialer: std::fmt::Debug + Send + Sync {
    /// Bytes to whoever is to be reached, who has proved nothing yet.
    async fn dial(&self) -> io::Result<Socket>;
}

/// Connects to `address` (`host:port`) and goes on only if `expected` is the key at the other end.
///
/// # Errors
/// [`Problem::PeerKey`] if another key answers, [`Problem::Unreachable`] for everything else.
pub async fn connect(address: &str, name: &str, expected: &PublicKey) -> Result<Connection, Report> {
    let dialer = Arc::new(Direct(address.to_owned()));
    let outcome = connect_by(dialer, name, expected).await;
    outcome.map_err(|error| error.report(name, address))
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// TLS cannot be set up here.
    #[error("TLS cannot be set up: {0}")]
    Configuration(String),
    /// Whoever answers does not hold the expected key.
    #[error("another key answers")]
    OtherKey,
    /// The proxy on the way wants credentials, or others.
    #[error("the proxy wants credentials")]
    ProxyCredentials,
    /// The proxy on the way does not connect there.
    #[error("the proxy does not connect there")]
    ProxyRefused,
    /// A broker on the way does not lead there, and says why.
    #[error("{0}")]
    Refused(Report),
    /// Nobody answers, or not in time. A broker on the way may say why not.
    #[error("nobody answers")]
    NoAnswer(Option<String>),
}

impl ConnectError {
    /// What it means for whoever wanted to reach `name` at `place`.
    pub fn report(&self, name: &str, place: &str) -> Report {
        match self {
            ConnectError::Configuration(what) => Problem::Internal.report(what.clone()),
            ConnectError::OtherKey => {
                let message = format!("{name} at {place} does not hold the key that the roster names");
                Problem::PeerKey.report(message)
            }
            ConnectError::ProxyCredentials => Problem::Unreachable
                .report(format!("{name} is not reached at {place}: the proxy wants credentials"))
                .remedy("put the line user:password into a file, and name it as credentials under proxy"),
            ConnectError::ProxyRefused => Problem::Unreachable
                .report(format!(
                    "{name} is not reached at {place}: the proxy does not connect there"
                ))
                .remedy("ask whoever runs the proxy to allow CONNECT to this address"),
            ConnectError::Refused(report) => report.clone(),
            ConnectError::NoAnswer(None) => Problem::Unreachable.report(format!("{name} does not answer at {place}")),
            ConnectError::NoAnswer(Some(why)) => {
                Problem::Unreachable.report(format!("{name} does not answer at {place}: {why}"))
            }
        }
    }
}

/// Connects by way of `dialer` and goes on only if `expected` is the key at the other end.
///
/// # Errors
/// Why there is no connection.
pub async fn connect_by(dialer: Arc<dyn Dialer>, name: &str, expected: &PublicKey) -> Result<Connection, ConnectError> {
    connect_at(WAITED_FOR, vec![dialer], name, expected).await
}

async fn connect_at(
    pace: Pace,
    dialers: Vec<Arc<dyn Dialer>>,
    name: &str,
    expected: &PublicKey,
) -> Result<Connection, ConnectError> {
    let config = crate::tls::client_config(expected).map_err(|e| ConnectError::Configuration(e.to_string()))?;
    let server_name = ServerName::try_from(name.to_owned());
    let (binding, heard) = (Arc::new(Mutex::new(None)), Heard::now());
    let dial = Dial {
        dialers: dialers.into(),
        name: server_name.map_err(|e| ConnectError::Configuration(e.to_string()))?,
        config,
        binding: Arc::clone(&binding),
        heard: heard.clone(),
    };
    // Where it is, the dialer knows; HTTP/2 needs a name all the same.
    let endpoint = Endpoint::from_static("http://node.invalid")
        .connect_timeout(Duration::from_secs(limit::CONNECT_SECONDS_MAX))
        .initial_stream_window_size(pace.windows.map(|(stream, _)| stream))
        .initial_connection_window_size(pace.windows.map(|(_, all)| all))
        .max_frame_size(pace.frame)
        .http2_keep_alive_interval(pace.every)
        .keep_alive_timeout(pace.within);
    let connector = tower::service_fn(move |_: Uri| {
        let dial = dial.clone();
        async move { dial.dial().await }
    });
    match endpoint.connect_with_connector(connector).await {
        Ok(grpc) => Ok(Connection {
            grpc,
            binding,
            heard,
            road: Road::Streams,
        }),
        Err(error) => Err(ConnectError::of(&error)),
    }
}

/// The same ways by short requests.
fn by_polls(
    roads: Vec<Arc<dyn Dialer>>,
    name: &str,
    expected: &PublicKey,
) -> Result<Vec<Arc<dyn Dialer>>, ConnectError> {
    let tls = crate::tls::client_config(expected).map_err(|e| ConnectError::Configuration(e.to_string()))?;
    let name = ServerName::try_from(name.to_owned()).map_err(|e| ConnectError::Configuration(e.to_string()))?;
    let tls = crate::tls::by_requests(&tls);
    let by_polls = roads.into_iter().map(|road| -> Arc<dyn Dialer> {
        let (name, tls) = (name.clone(), Arc::clone(&tls));
        Arc::new(ByPolls { road, name, tls })
    });
    Ok(by_polls.collect())
}

/// `host:port` on the network.
#[derive(Debug)]
struct Direct(String);

#[async_trait::async_trait]
impl Dialer for Direct {
    async fn dial(&self) -> io::Result<Socket> {
        let tcp = TcpStream::connect(&self.0).await?;
        tcp.set_nodelay(true)?;
        Ok(Socket::Tcp(tcp))
    }
}

#[derive(Clone)]
struct Dial {
    dialers: Arc<[Arc<dyn Dialer>]>,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    binding: Arc<Mutex<Option<trust::Channel>>>,
    heard: Heard,
}

impl Dial {
    async fn dial(self) -> io::Result<TokioIo<Hearing<tokio_rustls::client::TlsStream<Socket>>>> {
        let ways: Vec<_> = self
            .dialers
            .iter()
            .map(|dialer| self.shake_hands(dialer.as_ref()))
            .collect();
        let nobody = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let says_more = |error: &io::Error| !matches!(ConnectError::of(error), ConnectError::NoAnswer(_));
        let tls = first_of(ways, nobody, says_more).await?;
        let binding = crate::tls::channel_binding(tls.get_ref().1).map_err(io::Error::other)?;
        *self.binding.lock().unwrap_or_else(PoisonError::into_inner) = Some(binding);
        Ok(TokioIo::new(Hearing::new(tls, self.heard)))
    }

    async fn shake_hands(&self, dialer: &dyn Dialer) -> io::Result<tokio_rustls::client::TlsStream<Socket>> {
        let socket = dialer.dial().await?;
        TlsConnector::from(Arc::clone(&self.config))
            .connect(self.name.clone(), socket)
            .await
    }
}

impl ConnectError {
    /// Why a connection did not come about: the first cause that says more than that it did not.
    fn of(error: &(dyn Error + 'static)) -> Self {
        let (mut cause, mut why) = (Some(error), None);
        while let Some(error) = cause {
            if error
                .downcast_ref::<rustls::Error>()
                .is_some_and(crate::tls::says_other_key)
            {
                return ConnectError::OtherKey;
            }
            match error.downcast_ref::<Report>() {
                Some(report) if report.problem != Problem::Unreachable => return ConnectError::Refused(report.clone()),
                Some(report) => why = Some(report.message.clone()),
                None => {}
            }
            // What the proxy said has a type that is not public.
            match error.to_string().as_str() {
                "tunnel error: proxy authorization required" => return ConnectError::ProxyCredentials,
                "tunnel error: unsuccessful" => return ConnectError::ProxyRefused,
                _ => {}
            }
            cause = match error.downcast_ref::<io::Error>() {
                // `io::Error::source` skips the error that it wraps.
                Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
                None => error.source(),
            };
        }
        ConnectError::NoAnswer(why)
    }
}

#[cfg(test)]
mod tests;
