//! The server's end of a connection: accept, shake hands within a time limit, hand over to gRPC.
//!
//! A slow or hostile peer costs one task and one slot, never the accept loop.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use rustls::ServerConfig;
use terms::limit;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::{Connected, Server};

/// Accepted connections that wait for gRPC to take them.
const ACCEPTED_WAITING_MAX: usize = 64;

/// What a handler knows of the connection on which a request came.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// The value to which proofs on this connection must be bound.
    pub channel: trust::Channel,
}

/// A gRPC server with this project's limits set.
pub fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(limit::STREAMS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(limit::HEADER_LIST_BYTES_MAX)
        // Also for a request whose body never ends. A client waits no longer either.
        .timeout(Duration::from_secs(limit::NODE_ANSWER_SECONDS_MAX))
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .tcp_nodelay(true)
}

/// Connections that completed a TLS handshake, as tonic's `serve_with_incoming` takes them.
#[derive(Debug)]
pub struct Incoming {
    accepted: mpsc::Receiver<io::Result<PeerStream>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Incoming {
    /// Accepts on `listener` until this value is dropped.
    pub fn new(listener: TcpListener, config: Arc<ServerConfig>) -> Self {
        let (sender, accepted) = mpsc::channel(ACCEPTED_WAITING_MAX);
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(config), sender));
        Self { accepted, accepting }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Stream for Incoming {
    type Item = io::Result<PeerStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.accepted.poll_recv(cx)
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, accepted: mpsc::Sender<io::Result<PeerStream>>) {
    let slots = Arc::new(Semaphore::new(limit::CONNECTIONS_MAX));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let Ok((tcp, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: wait for some to be closed instead of spinning.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
        tokio::spawn(async move {
            let shaken = tokio::time::timeout(
                Duration::from_secs(limit::HANDSHAKE_SECONDS_MAX),
                handshake(tcp, acceptor, slot),
            );
            if let Ok(Ok(stream)) = shaken.await {
                // The receiver is gone only when the server stops.
                let _ = accepted.send(Ok(stream)).await;
            }
        });
    }
}

async fn handshake(tcp: TcpStream, acceptor: TlsAcceptor, slot: OwnedSemaphorePermit) -> io::Result<PeerStream> {
    tcp.set_nodelay(true)?;
    let tls = acceptor.accept(tcp).await?;
    let channel = crate::tls::channel_binding(tls.get_ref().1).map_err(io::Error::other)?;
    Ok(PeerStream {
        tls,
        info: PeerInfo { channel },
        _slot: slot,
    })
}

/// One accepted connection.
#[derive(Debug)]
pub struct PeerStream {
    tls: TlsStream<TcpStream>,
    info: PeerInfo,
    _slot: OwnedSemaphorePermit,
}

impl Connected for PeerStream {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.info.clone()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
