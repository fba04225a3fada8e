//! The client's end of a connection: TCP, TLS pinned to one key, gRPC. Next: `heard.rs`, when the other end last said something.

mod heard;

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

use self::heard::{Heard, Hearing};

/// How long the other end may take to answer when it is made to say something, until the connection is given up: a machine can be
/// that busy.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(30);

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
    heard: Heard,
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

/// Connects to `address` (`host:port`) and goes on only if `expected` is the key at the other end.
///
/// # Errors
/// [`Problem::PeerKey`] if another key answers, [`Problem::Unreachable`] for everything else.
pub async fn connect(address: &str, name: &str, expected: &PublicKey) -> Result<Connection, Report> {
    let config = crate::tls::client_config(expected).map_err(|e| Problem::Internal.report(e.to_string()))?;
    let (binding, heard) = (Arc::new(Mutex::new(None)), Heard::now());
    let dial = Dial {
        address: address.to_owned(),
        name: name.to_owned(),
        config,
        binding: Arc::clone(&binding),
        heard: heard.clone(),
    };
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| Problem::Unreachable.report(format!("{address:?} is not an address of the form host:port")))?
        .connect_timeout(Duration::from_secs(limit::CONNECT_SECONDS_MAX))
        .http2_keep_alive_interval(Duration::from_secs(limit::KEEP_ALIVE_SECONDS))
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    let connector = tower::service_fn(move |_: Uri| {
        let dial = dial.clone();
        async move { dial.dial().await }
    });
    match endpoint.connect_with_connector(connector).await {
        Ok(grpc) => Ok(Connection { grpc, binding, heard }),
        Err(error) if caused_by_other_key(&error) => Err(Problem::PeerKey.report(format!(
            "{name} at {address} does not hold the key that the roster names"
        ))),
        Err(_) => Err(Problem::Unreachable.report(format!("{name} does not answer at {address}"))),
    }
}

#[derive(Clone)]
struct Dial {
    address: String,
    name: String,
    config: Arc<ClientConfig>,
    binding: Arc<Mutex<Option<trust::Channel>>>,
    heard: Heard,
}

impl Dial {
    async fn dial(self) -> io::Result<TokioIo<Hearing<tokio_rustls::client::TlsStream<TcpStream>>>> {
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(self.name).map_err(io::Error::other)?;
        let tls = TlsConnector::from(self.config).connect(name, tcp).await?;
        let binding = crate::tls::channel_binding(tls.get_ref().1).map_err(io::Error::other)?;
        *self.binding.lock().unwrap_or_else(PoisonError::into_inner) = Some(binding);
        Ok(TokioIo::new(Hearing::new(tls, self.heard)))
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
