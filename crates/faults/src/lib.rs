//! What goes wrong on the way between two programs, for tests: a TCP proxy that holds answers back, breaks connections, or lets them die
//! without a word.
//!
//! It is reached from this machine only, takes a bounded number of connections, and ends when it is dropped, or by itself after a while.
//! It must never be part of what is shipped.

#[cfg(unix)]
mod postgres;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

#[cfg(unix)]
pub use postgres::Postgres;

/// So long a proxy lives at most: longer than any test.
const LIFE_MAX: Duration = Duration::from_secs(600);

/// Most connections that one proxy takes in its life.
const CONNECTIONS_MAX: usize = 1_000;

/// Most bytes that are moved at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// A proxy in front of a server. At first it lets everything pass.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    carried: Arc<Mutex<Carried>>,
    _accepting: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Carried {
    connections: Vec<Connection>,
    /// Whether answers on connections to come are held.
    holds: bool,
}

/// One connection that was taken: what becomes of it, and how many bytes of answers went through.
#[derive(Clone, Debug)]
struct Connection {
    fate: watch::Sender<Fate>,
    answered: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    /// Answers stay here once so many bytes of them have gone.
    Hold(u64),
    /// It breaks once so many bytes of answers have gone.
    Cut(u64),
    /// Nothing moves on it, in either direction, and nobody is told.
    Strand,
}

impl Proxy {
    /// A proxy on a free port of this machine, in front of `server`.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn before(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let carried = Arc::new(Mutex::default());
        let accepting = tokio::spawn(accept(listener, server, Arc::clone(&carried)));
        Ok(Self {
            address,
            carried,
            _accepting: AbortOnDropHandle::new(accepting),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has taken so far.
    pub fn connections(&self) -> usize {
        self.carried().connections.len()
    }

    /// Lets everything pass, on connections that are open and on later ones. What was cut stays cut.
    pub fn pass(&self) {
        self.carried().holds = false;
        self.decide(|_| Fate::Pass);
    }

    /// Holds what the server answers, on connections that are open and on later ones. Requests pass.
    pub fn hold(&self) {
        self.carried().holds = true;
        self.hold_after(0);
    }

    /// Holds what the server answers on connections that are open, after so many more bytes.
    pub fn hold_after(&self, bytes: u64) {
        self.decide(|answered| Fate::Hold(answered + bytes));
    }

    /// Breaks the connections that are open.
    pub fn cut(&self) {
        self.cut_after(0);
    }

    /// Breaks each connection that is open, after so many more bytes of answers on it.
    pub fn cut_after(&self, bytes: u64) {
        self.decide(|answered| Fate::Cut(answered + bytes));
    }

    /// Lets the connections that are open die without a word: nothing moves on them any more, and none is closed.
    pub fn strand(&self) {
        self.decide(|_| Fate::Strand);
    }

    fn decide(&self, fate: impl Fn(u64) -> Fate) {
        for connection in &self.carried().connections {
            let answered = connection.answered.load(Ordering::SeqCst);
            connection.fate.send_replace(fate(answered));
        }
    }

    fn carried(&self) -> MutexGuard<'_, Carried> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, carried: Arc<Mutex<Carried>>) {
    let mut carrying = JoinSet::new();
    let accepting = async {
        for _ in 0..CONNECTIONS_MAX {
            let Ok((client, _)) = listener.accept().await else {
                return;
            };
            let (connection, fate) = {
                let mut carried = carried.lock().unwrap_or_else(PoisonError::into_inner);
                let first = if carried.holds { Fate::Hold(0) } else { Fate::Pass };
                let (sender, fate) = watch::channel(first);
                let connection = Connection {
                    fate: sender,
                    answered: Arc::default(),
                };
                carried.connections.push(connection.clone());
                (connection, fate)
            };
            carrying.spawn(carry(client, server, connection.answered, fate));
        }
        std::future::pending().await
    };
    // Dropped with what is carried when it has lived long enough.
    let _ = tokio::time::timeout(LIFE_MAX, accepting).await;
}

/// Moves bytes both ways until one end closes or the connection is cut. Both ends are closed then.
async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    answered: Arc<AtomicU64>,
    fate: watch::Receiver<Fate>,
) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let ask = |fate: Fate| match fate {
        Fate::Pass | Fate::Hold(_) | Fate::Cut(_) => Some(CHUNK_BYTES),
        Fate::Strand => None,
    };
    let left = |most: u64| usize::try_from(most.saturating_sub(answered.load(Ordering::SeqCst))).unwrap_or(CHUNK_BYTES);
    let answer = |fate: Fate| match fate {
        Fate::Pass => Some(CHUNK_BYTES),
        Fate::Hold(most) => Some(left(most)).filter(|left| *left > 0),
        Fate::Cut(most) => Some(left(most)),
        Fate::Strand => None,
    };
    let asked = AtomicU64::new(0);
    tokio::select! {
        ended = move_bytes(from_client, to_server, fate.clone(), ask, &asked) => ended,
        ended = move_bytes(from_server, to_client, fate, answer, &answered) => ended,
    }
}

/// Moves bytes one way. `may` says how many may go next: none at all for now, or never again if it is 0.
async fn move_bytes(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut fate: watch::Receiver<Fate>,
    may: impl Fn(Fate) -> Option<usize>,
    moved: &AtomicU64,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let now = *fate.borrow_and_update();
        let most = match may(now) {
            Some(0) => return Ok(()),
            Some(most) => most.min(CHUNK_BYTES),
            None => match fate.changed().await {
                Ok(()) => continue,
                Err(_) => return Ok(()),
            },
        };
        let read = tokio::select! {
            read = from.read(&mut chunk[..most]) => read?,
            changed = fate.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return Ok(()),
            },
        };
        if read == 0 {
            return Ok(());
        }
        to.write_all(&chunk[..read]).await?;
        moved.fetch_add(read as u64, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says everything again.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn says(client: &mut TcpStream, text: &str) -> io::Result<String> {
        client.write_all(text.as_bytes()).await?;
        let mut read = vec![0; text.len()];
        let answered = tokio::time::timeout(Duration::from_millis(300), client.read_exact(&mut read)).await;
        answered.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(String::from_utf8(read).unwrap())
    }

    fn kind(said: io::Result<String>) -> io::ErrorKind {
        said.unwrap_err().kind()
    }

    #[tokio::test]
    async fn answers_are_held_until_they_may_pass() {
        let proxy = Proxy::before(echo().await).await.unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut client, "one").await.unwrap(), "one");
        proxy.hold_after(2);
        assert_eq!(kind(says(&mut client, "two").await), io::ErrorKind::TimedOut);
        proxy.hold();
        let mut later = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(kind(says(&mut later, "abc").await), io::ErrorKind::TimedOut);
        proxy.pass();
        // What was held comes now: the rest of "two", and all of "abc".
        assert_eq!(says(&mut client, "x").await.unwrap(), "o");
        assert_eq!(says(&mut later, "def").await.unwrap(), "abc");
        assert_eq!(proxy.connections(), 2);
    }

    #[tokio::test]
    async fn connections_that_are_open_break_or_die_and_later_ones_pass() {
        let proxy = Proxy::before(echo().await).await.unwrap();
        let mut cut = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut cut, "one").await.unwrap(), "one");
        proxy.cut_after(4);
        assert_eq!(says(&mut cut, "two").await.unwrap(), "two");
        let broken = kind(says(&mut cut, "three").await);
        assert!(
            matches!(broken, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset),
            "{broken}"
        );
        let mut dead = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut dead, "one").await.unwrap(), "one");
        proxy.strand();
        assert_eq!(kind(says(&mut dead, "two").await), io::ErrorKind::TimedOut);
        let mut later = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut later, "one").await.unwrap(), "one");
    }

    #[tokio::test]
    async fn with_the_proxy_its_connections_end() {
        let proxy = Proxy::before(echo().await).await.unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut client, "one").await.unwrap(), "one");
        drop(proxy);
        assert_ne!(kind(says(&mut client, "two").await), io::ErrorKind::TimedOut);
    }
}
