//! The client's end of a connection: TCP, TLS pinned to one key, gRPC.

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use terms::{Problem, Report, limit};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use trust::PublicKey;

use crate::socket::Socket;

/// A server in somebody's configuration: where it is and the key that it must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// `host:port`.
    pub address: String,
    /// Whoever answers there must prove to hold this key.
    pub key: PublicKey,
}

/// A gRPC channel to a server that proved to hold the expected key.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Calls go through this.
    pub grpc: Channel,
    binding: Arc<Mutex<Option<trust::Channel>>>,
}

impl Connection {
    /// The value to which proofs on this connection must be bound. It changes when the channel reconnects.
    ///
    /// # Errors
    /// [`Problem::Unreachable`] if no handshake was completed yet.
    pub fn binding(&self) -> Result<trust::Channel, Report> {
        let held = self.binding.lock().unwrap_or_else(PoisonError::into_inner);
        held.ok_or_else(|| Problem::Unreachable.report("the connection is not open"))
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
    outcome.map_err(|error| match error {
        ConnectError::Configuration(what) => Problem::Internal.report(what),
        ConnectError::OtherKey => {
            let message = format!("{name} at {address} does not hold the key that the roster names");
            Problem::PeerKey.report(message)
        }
        ConnectError::NoAnswer => Problem::Unreachable.report(format!("{name} does not answer at {address}")),
    })
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
    /// Nobody answers, or not in time.
    #[error("nobody answers")]
    NoAnswer,
}

/// Connects by way of `dialer` and goes on only if `expected` is the key at the other end.
///
/// # Errors
/// Why there is no connection.
pub async fn connect_by(dialer: Arc<dyn Dialer>, name: &str, expected: &PublicKey) -> Result<Connection, ConnectError> {
    let config = crate::tls::client_config(expected).map_err(|e| ConnectError::Configuration(e.to_string()))?;
    let server_name = ServerName::try_from(name.to_owned());
    let binding = Arc::new(Mutex::new(None));
    let dial = Dial {
        dialer,
        name: server_name.map_err(|e| ConnectError::Configuration(e.to_string()))?,
        config,
        binding: Arc::clone(&binding),
    };
    // Where it is, the dialer knows; HTTP/2 needs a name all the same.
    let endpoint = Endpoint::from_static("http://node.invalid")
        .connect_timeout(Duration::from_secs(limit::CONNECT_SECONDS_MAX))
        .initial_stream_window_size(limit::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limit::CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(Duration::from_secs(limit::KEEP_ALIVE_SECONDS))
        .keep_alive_timeout(Duration::from_secs(limit::KEEP_ALIVE_ANSWER_SECONDS_MAX));
    let connector = tower::service_fn(move |_: Uri| {
        let dial = dial.clone();
        async move { dial.dial().await }
    });
    match endpoint.connect_with_connector(connector).await {
        Ok(grpc) => Ok(Connection { grpc, binding }),
        Err(error) if caused_by_other_key(&error) => Err(ConnectError::OtherKey),
        Err(_) => Err(ConnectError::NoAnswer),
    }
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
    dialer: Arc<dyn Dialer>,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    binding: Arc<Mutex<Option<trust::Channel>>>,
}

impl Dial {
    async fn dial(self) -> io::Result<TokioIo<tokio_rustls::client::TlsStream<Socket>>> {
        let socket = self.dialer.dial().await?;
        let tls = TlsConnector::from(self.config).connect(self.name, socket).await?;
        let binding = crate::tls::channel_binding(tls.get_ref().1).map_err(io::Error::other)?;
        *self.binding.lock().unwrap_or_else(PoisonError::into_inner) = Some(binding);
        Ok(TokioIo::new(tls))
    }
}

fn caused_by_other_key(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<rustls::Error>()
            .is_some_and(crate::tls::says_other_key)
        {
            return true;
        }
        cause = match error.downcast_ref::<io::Error>() {
            // `io::Error::source` skips the error that it wraps.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests;
