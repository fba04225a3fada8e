//! The server's end of a connection: accept, shake hands within a time limit, hand over to gRPC.
//!
//! A slow or hostile peer costs one task and one slot, never the accept loop. Next: `limits.rs` (how many, how long, how much),
//! `serve/places.rs` (of whom).

pub mod places;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use rustls::ServerConfig;
use telemetry::{Connections, Refused};
use terms::limit;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::{Connected, Server};

pub(crate) use self::places::Origin;
use self::places::{AddressPlace, Addresses, Revolving};
use crate::limits::{Limits, NodeLimits};
use crate::polls::{self, Polls};
use crate::socket::Socket;
use crate::tls::Identity;

/// Accepted connections that wait for gRPC to take them.
const ACCEPTED_WAITING_MAX: usize = 64;

/// What a handler knows of the connection on which a request came.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// The value to which proofs on this connection must be bound.
    pub channel: trust::Channel,
    /// From where it came, as it is counted: of IPv6 the network. None if a broker carried it.
    pub address: Option<std::net::IpAddr>,
}

/// A gRPC server with the usual limits of a node.
pub fn server() -> Server {
    limited(&NodeLimits::default())
}

/// A gRPC server with all limits set.
pub fn limited(limits: &Limits) -> Server {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let server = Server::builder()
        .max_concurrent_streams(limits.streams_per_connection)
        .http2_max_header_list_size(limits.header_list_bytes)
        .max_frame_size(limits.frame_bytes)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .http2_max_pending_accept_reset_streams(Some(limits.pending_reset_streams as usize))
        .http2_max_local_error_reset_streams(Some(limits.local_error_reset_streams as usize))
        // Also for a request whose body never ends. A client waits no longer either.
        .timeout(seconds(limits.request_seconds))
        .http2_keepalive_interval(Some(seconds(limits.keep_alive_seconds)))
        .http2_keepalive_timeout(Some(seconds(limits.keep_alive_answer_seconds)));
    match limits.connection_age_seconds {
        0 => server,
        age => server.max_connection_age(seconds(age)),
    }
}

/// Connections that completed a TLS handshake, as tonic's `serve_with_incoming` takes them.
#[derive(Debug)]
pub struct Incoming {
    accepted: mpsc::Receiver<io::Result<PeerStream>>,
    door: Door,
    accepting: Vec<tokio::task::JoinHandle<()>>,
}

impl Incoming {
    /// Accepts on `listener`, if there is one, until this value is dropped, within the usual limits of a node.
    pub fn new(listener: impl Into<Option<TcpListener>>, config: Arc<ServerConfig>) -> Self {
        let limits = NodeLimits::default();
        Self::limited(listener, Identity::new(config), &limits, Connections::default())
    }

    /// The same, as whoever `identity` says at each handshake and within `limits`; counts in `connections`.
    pub fn limited(
        listener: impl Into<Option<TcpListener>>,
        identity: Identity,
        limits: &Limits,
        connections: Connections,
    ) -> Self {
        let (door, accepted) = Door::new(identity, limits, connections);
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
    pub fn with_polls(listener: TcpListener, identity: Identity, limits: &Limits, connections: Connections) -> Self {
        let (opened, sessions) = mpsc::channel(ACCEPTED_WAITING_MAX);
        let taking = (Polls::new(opened), sessions);
        Self::with_sessions(listener, identity, limits, connections, taking)
    }

    /// The same with these sessions, which come as they are opened.
    pub(crate) fn with_sessions(
        listener: TcpListener,
        identity: Identity,
        limits: &Limits,
        connections: Connections,
        (polls, opened): (Polls, mpsc::Receiver<polls::Polled>),
    ) -> Self {
        let (mut door, accepted) = Door::new(identity, limits, connections);
        // A session that is open is carried, and no server that takes them is reached through another broker.
        door.carried = Way::new(limit::POLL_SESSIONS_MAX as u32, limits);
        let inside = door.clone();
        door.polls = Some(polls);
        let accepting = vec![
            tokio::spawn(accept(listener, door.clone())),
            tokio::spawn(admit_sessions(opened, inside)),
        ];
        Self {
            accepted,
            door,
            accepting,
        }
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
    identity: Identity,
    patience: Duration,
    /// Those who come by themselves.
    came: Way,
    /// Those who come through a broker take no place of the others.
    carried: Way,
    addresses: Addresses,
    connections: Connections,
    accepted: mpsc::Sender<io::Result<PeerStream>>,
    /// Where those are heard who come by requests.
    polls: Option<Polls>,
}

/// How many come one way.
#[derive(Clone)]
struct Way {
    slots: Arc<Semaphore>,
    handshakes: Revolving,
}

impl Way {
    fn new(slots: u32, limits: &Limits) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(slots as usize)),
            handshakes: Revolving::new(limits.handshakes_at_once),
        }
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Door {
    fn new(
        identity: Identity,
        limits: &Limits,
        connections: Connections,
    ) -> (Self, mpsc::Receiver<io::Result<PeerStream>>) {
        let (sender, accepted) = mpsc::channel(ACCEPTED_WAITING_MAX);
        let door = Self {
            identity,
            patience: Duration::from_secs(limits.handshake_seconds.into()),
            came: Way::new(limits.connections, limits),
            carried: Way::new(limits.carried_connections, limits),
            addresses: Addresses::new(limits.connections_per_address),
            connections,
            accepted: sender,
            polls: None,
        };
        (door, accepted)
    }

    /// Shakes hands and hands a carried connection over, or drops it. Without a free slot it is dropped at once.
    pub async fn admit(&self, socket: Socket) {
        match Arc::clone(&self.carried.slots).try_acquire_owned() {
            Ok(slot) => {
                let held = Held::new(slot, None, &self.connections);
                self.admit_to(held, &self.carried, socket, None).await;
            }
            Err(_) => self.connections.refuse(Refused::Full),
        }
    }

    /// `peer` is the other end of a connection that was accepted here. Nobody else may come by requests: not again inside of a session.
    async fn admit_to(&self, held: Held, way: &Way, socket: Socket, peer: Option<Origin>) {
        let by_requests = self.polls.as_ref().zip(peer);
        let identity = match by_requests {
            Some(_) => crate::tls::also_by_requests(&self.identity.current()),
            None => self.identity.current(),
        };
        let tls = match self.shake_hands(way, identity, socket).await {
            Ok(tls) => tls,
            Err(why) => return self.connections.refuse(why),
        };
        if tls.get_ref().1.alpn_protocol() == Some(polls::ALPN) {
            if let Some((polls, peer)) = by_requests {
                polls.serve(tls, peer).await;
            }
            return;
        }
        match PeerStream::new(tls, held, self.patience) {
            // The receiver is gone only when the server stops.
            Ok(stream) => drop(self.accepted.send(Ok(stream)).await),
            Err(why) => self.connections.refuse(why),
        }
    }

    async fn shake_hands(
        &self,
        way: &Way,
        identity: Arc<ServerConfig>,
        socket: Socket,
    ) -> Result<TlsStream<Socket>, Refused> {
        let turn = way.handshakes.begin();
        tokio::select! {
            tls = TlsAcceptor::from(identity).accept(socket) => tls.map_err(|error| refused_for(&error)),
            () = tokio::time::sleep(self.patience) => Err(Refused::Late),
            () = turn.displaced() => Err(Refused::Displaced),
        }
    }
}

fn refused_for(error: &io::Error) -> Refused {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Refused::Left,
        _ => Refused::Handshake,
    }
}

async fn accept(listener: TcpListener, door: Door) {
    loop {
        let Ok((tcp, peer)) = listener.accept().await else {
            // Out of file descriptors, most likely: wait for some to be closed instead of spinning.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let peer = Origin::from(peer.ip());
        let Some(address) = door.addresses.place(peer) else {
            door.connections.refuse(Refused::Address);
            continue;
        };
        // Whoever is let go at once can try elsewhere, or again.
        let Ok(slot) = Arc::clone(&door.came.slots).try_acquire_owned() else {
            door.connections.refuse(Refused::Full);
            continue;
        };
        // Small answers are not held back. A connection that does not take the wish is as good.
        let _ = tcp.set_nodelay(true);
        let held = Held::new(slot, Some(address), &door.connections);
        let door = door.clone();
        tokio::spawn(async move { door.admit_to(held, &door.came, Socket::Tcp(tcp), Some(peer)).await });
    }
}

async fn admit_sessions(mut sessions: mpsc::Receiver<polls::Polled>, door: Door) {
    while let Some(session) = sessions.recv().await {
        let door = door.clone();
        tokio::spawn(async move { door.admit(Socket::Polled(Box::new(session))).await });
    }
}

/// The places that a connection takes for as long as it is open.
#[derive(Debug)]
struct Held {
    _slot: OwnedSemaphorePermit,
    _address: Option<AddressPlace>,
    connections: Connections,
}

impl Held {
    fn new(slot: OwnedSemaphorePermit, address: Option<AddressPlace>, connections: &Connections) -> Self {
        connections.open.inc();
        Self {
            _slot: slot,
            _address: address,
            connections: connections.clone(),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.connections.open.dec();
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
    /// Whether the other end has said that it ends.
    peer_left: bool,
    held: Held,
}

impl Drop for PeerStream {
    fn drop(&mut self) {
        self.held.connections.end(self.peer_left);
    }
}

impl PeerStream {
    fn new(tls: TlsStream<Socket>, held: Held, patience: Duration) -> Result<Self, Refused> {
        let channel = crate::tls::channel_binding(tls.get_ref().1).map_err(|_| Refused::Handshake)?;
        let address = tls.get_ref().0.address().map(|address| Origin::from(address).address());
        Ok(Self {
            tls,
            info: PeerInfo { channel, address },
            opening: Some(Opening {
                read: 0,
                until: Box::pin(tokio::time::sleep(patience)),
            }),
            peer_left: false,
            held,
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
        let PeerStream {
            tls,
            opening,
            peer_left,
            held,
            ..
        } = &mut *self;
        if let Some(opening) = opening
            && opening.until.as_mut().poll(cx).is_ready()
        {
            held.connections.refuse(Refused::Silent);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(tls).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        *peer_left |= polled.is_ready() && read == 0 && buf.remaining() > 0;
        if let Some(opening) = opening {
            opening.read += read;
        }
        self.opening.take_if(|opening| opening.read >= PREFACE_BYTES);
        polled
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    /// A frame of HTTP/2 and its head become TLS records together.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
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
    use std::collections::BTreeMap;

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
    async fn one_connection_too_many_is_let_go_at_once_and_counted_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let key = SigningKey::generate().unwrap();
        let identity = Identity::new(crate::tls::server_config(&key, "gbsg").unwrap());
        let limits = NodeLimits::try_from([("connections".to_owned(), 1)].into_iter().collect::<BTreeMap<_, _>>());
        let metrics = telemetry::Metrics::default();
        let _incoming = Incoming::limited(listener, identity, &limits.unwrap(), metrics.connections.clone());
        let full = || metrics.text().contains("connections_refused_total{reason=\"full\"} 1");
        let held = TcpStream::connect(address).await.unwrap();
        while metrics.connections.open.get() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!full(), "nobody was let go");
        let mut other = TcpStream::connect(address).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(5), other.read_u8()).await;
        assert!(ended.unwrap().is_err());
        assert!(full(), "{}", metrics.text());
        drop(held);
    }

    #[tokio::test]
    async fn a_peer_that_has_spoken_may_be_silent() {
        let (mut server, mut client) = connected().await;
        client.write_all(&[b'P'; PREFACE_BYTES]).await.unwrap();
        server.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
        assert_eq!(
            server.connect_info().address,
            Some(std::net::Ipv4Addr::LOCALHOST.into())
        );
        let silent = tokio::time::timeout(Duration::from_millis(200), server.read_u8()).await;
        assert!(silent.is_err(), "{silent:?}");
    }
}
