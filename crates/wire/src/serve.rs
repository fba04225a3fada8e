//! The server's end of a connection: accept, shake hands within a time limit, hand over to gRPC.
//!
//! A slow or hostile peer costs one task and one slot, never the accept loop.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use rustls::ServerConfig;
use terms::limit;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::{Connected, Server};

use crate::polls::{self, Polls};
use crate::socket::Socket;

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
        .http2_keepalive_interval(Some(Duration::from_secs(limit::HELD_KEEP_ALIVE_SECONDS)))
        .http2_keepalive_timeout(Some(Duration::from_secs(limit::HELD_KEEP_ALIVE_ANSWER_SECONDS_MAX)))
        .tcp_nodelay(true)
}

/// Connections that completed a TLS handshake, as tonic's `serve_with_incoming` takes them.
#[derive(Debug)]
pub struct Incoming {
    accepted: mpsc::Receiver<io::Result<PeerStream>>,
    door: Door,
    accepting: Vec<tokio::task::JoinHandle<()>>,
}

impl Incoming {
    /// Accepts on `listener`, if there is one, until this value is dropped.
    pub fn new(listener: impl Into<Option<TcpListener>>, config: Arc<ServerConfig>) -> Self {
        let (sender, accepted) = mpsc::channel(ACCEPTED_WAITING_MAX);
        let door = Door {
            acceptor: TlsAcceptor::from(config),
            slots: Arc::new(Semaphore::new(limit::CONNECTIONS_MAX)),
            carried: Arc::new(Semaphore::new(limit::CARRIED_CONNECTIONS_MAX)),
            accepted: sender,
            polls: None,
        };
        let accepting = listener
            .into()
            .map(|listener| tokio::spawn(accept(listener, door.clone())));
        Self {
            accepted,
            door,
            accepting: accepting.into_iter().collect(),
        }
    }

    /// The same, for those too whose network lets nothing pass but short requests.
    pub fn with_polls(listener: TcpListener, config: &ServerConfig) -> Self {
        let (opened, sessions) = mpsc::channel(ACCEPTED_WAITING_MAX);
        let mut incoming = Self::new(None, crate::tls::also_by_requests(config));
        incoming.door.polls = Some(Polls::new(opened));
        let door = incoming.door();
        incoming.accepting = vec![
            tokio::spawn(accept(listener, door.clone())),
            tokio::spawn(admit_sessions(sessions, door)),
        ];
        incoming
    }

    /// By which connections come that no listener here accepts.
    pub fn door(&self) -> Door {
        self.door.clone()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.accepting.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Stream for Incoming {
    type Item = io::Result<PeerStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.accepted.poll_recv(cx)
    }
}

/// Where a connection becomes one of a server's: the handshake has a time limit, and there are so many slots.
#[derive(Clone)]
pub struct Door {
    acceptor: TlsAcceptor,
    slots: Arc<Semaphore>,
    /// Those who come through a broker take no place of those who come by themselves.
    carried: Arc<Semaphore>,
    accepted: mpsc::Sender<io::Result<PeerStream>>,
    /// Where those are heard who come by requests.
    polls: Option<Polls>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Door {
    /// Shakes hands and hands a carried connection over, or drops it. Without a free slot it is dropped at once.
    pub async fn admit(&self, socket: Socket) {
        if let Ok(slot) = Arc::clone(&self.carried).try_acquire_owned() {
            self.admit_to(slot, socket, None).await;
        }
    }

    /// `peer` is the other end of a connection that was accepted here.
    async fn admit_to(&self, slot: OwnedSemaphorePermit, socket: Socket, peer: Option<IpAddr>) {
        let shaken = tokio::time::timeout(
            Duration::from_secs(limit::HANDSHAKE_SECONDS_MAX),
            self.acceptor.accept(socket),
        );
        let Ok(Ok(tls)) = shaken.await else { return };
        if tls.get_ref().1.alpn_protocol() == Some(polls::ALPN) {
            // Not again inside of a session.
            if let (Some(polls), Some(peer)) = (&self.polls, peer) {
                polls.serve(tls, peer).await;
            }
            return;
        }
        if let Ok(stream) = PeerStream::new(tls, slot) {
            // The receiver is gone only when the server stops.
            let _ = self.accepted.send(Ok(stream)).await;
        }
    }
}

async fn accept(listener: TcpListener, door: Door) {
    loop {
        let Ok(slot) = Arc::clone(&door.slots).acquire_owned().await else {
            return;
        };
        let Ok((tcp, peer)) = listener.accept().await else {
            // Out of file descriptors, most likely: wait for some to be closed instead of spinning.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Small answers are not held back. A connection that does not take the wish is as good.
        let _ = tcp.set_nodelay(true);
        let door = door.clone();
        tokio::spawn(async move { door.admit_to(slot, Socket::Tcp(tcp), Some(peer.ip())).await });
    }
}

async fn admit_sessions(mut sessions: mpsc::Receiver<polls::Polled>, door: Door) {
    while let Some(session) = sessions.recv().await {
        let door = door.clone();
        tokio::spawn(async move { door.admit(Socket::Polled(Box::new(session))).await });
    }
}

/// Bytes with which every HTTP/2 connection begins.
const PREFACE_BYTES: usize = 24;

/// The time in which a peer must speak HTTP/2. Keep-alive begins after that: without it, a peer that says nothing would
/// hold its slot for ever.
#[derive(Debug)]
struct Opening {
    read: usize,
    until: Pin<Box<Sleep>>,
}

/// One accepted connection.
#[derive(Debug)]
pub struct PeerStream {
    tls: TlsStream<Socket>,
    info: PeerInfo,
    /// Until the peer has spoken.
    opening: Option<Opening>,
    _slot: OwnedSemaphorePermit,
}

impl PeerStream {
    fn new(tls: TlsStream<Socket>, slot: OwnedSemaphorePermit) -> Result<Self, rustls::Error> {
        let channel = crate::tls::channel_binding(tls.get_ref().1)?;
        let seconds = Duration::from_secs(limit::HANDSHAKE_SECONDS_MAX);
        Ok(Self {
            tls,
            info: PeerInfo { channel },
            opening: Some(Opening {
                read: 0,
                until: Box::pin(tokio::time::sleep(seconds)),
            }),
            _slot: slot,
        })
    }
}

impl Connected for PeerStream {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.info.clone()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let PeerStream { tls, opening, .. } = &mut *self;
        if let Some(opening) = opening
            && opening.until.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(tls).poll_read(cx, buf);
        if let Some(opening) = opening {
            opening.read += buf.filled().len() - before;
        }
        self.opening.take_if(|opening| opening.read >= PREFACE_BYTES);
        polled
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use trust::SigningKey;

    /// Both ends of a connection; the server's waits only a moment for the peer to speak.
    async fn connected() -> (PeerStream, tokio_rustls::client::TlsStream<TcpStream>) {
        let key = SigningKey::generate().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = crate::tls::server_config(&key, "gbsg").unwrap();
        let mut incoming = Incoming::new(listener, config);
        let connector = TlsConnector::from(crate::tls::client_config(&key.public()).unwrap());
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("gbsg").unwrap();
        let client = connector.connect(name, tcp).await.unwrap();
        let mut server = incoming.accepted.recv().await.unwrap().unwrap();
        server.opening.as_mut().unwrap().until = Box::pin(tokio::time::sleep(Duration::from_millis(50)));
        (server, client)
    }

    #[tokio::test]
    async fn a_peer_that_says_nothing_or_too_little_is_let_go() {
        for said in [0, PREFACE_BYTES - 1] {
            let (mut server, mut client) = connected().await;
            client.write_all(&vec![b'P'; said]).await.unwrap();
            let mut read = vec![0; PREFACE_BYTES];
            let refused = server.read_exact(&mut read).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        }
    }

    #[tokio::test]
    async fn a_peer_that_has_spoken_may_be_silent() {
        let (mut server, mut client) = connected().await;
        client.write_all(&[b'P'; PREFACE_BYTES]).await.unwrap();
        server.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
        let silent = tokio::time::timeout(Duration::from_millis(200), server.read_u8()).await;
        assert!(silent.is_err(), "{silent:?}");
    }
}
