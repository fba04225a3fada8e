//! What goes wrong on the way between two programs, for tests: a TCP proxy that holds answers back, breaks connections, lets them die
//! without a word, or carries what it should not and not what it should.
//!
//! It is reached from this machine only, takes a bounded number of connections, and ends when it is dropped, or by itself after a while.
//! It must never be part of what is shipped.

#[cfg(unix)]
mod postgres;
#[cfg(unix)]
pub mod store;

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
    /// What becomes of connections to come.
    later: Fate,
}

/// What a connection does to what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Each piece of an answer comes so much later.
    Late(Duration),
    /// Each piece of an answer comes twice.
    Twice,
    /// The halves of each piece of an answer change places.
    Swapped,
    /// The answer ends, and the way there stays open.
    HalfClosed,
    /// Requests do not arrive any more, and nobody is told. Answers do.
    Deaf,
}

/// One connection that was taken: what becomes of it, and how many bytes of answers went through.
#[derive(Clone, Debug)]
struct Connection {
    fate: watch::Sender<Fate>,
    answered: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Pass,
    /// Answers stay here once so many bytes of them have gone.
    Hold(u64),
    /// It breaks once so many bytes of answers have gone.
    Cut(u64),
    /// Nothing moves on it, in either direction, and nobody is told.
    Strand,
    /// What is wrong with it once so many bytes of answers have gone.
    Spoil(Fault, u64),
}

/// What one direction of a connection does next.
enum Next {
    /// Moves so many bytes at most.
    Move(usize),
    /// Moves so many at most, each piece with a fault.
    Spoil(Fault, usize),
    /// Waits until something else is decided.
    Wait,
    /// Breaks the connection.
    End,
}

impl Fate {
    /// What requests do after so many bytes of answers.
    fn of_requests(self, answered: u64) -> Next {
        match self {
            Fate::Strand => Next::Wait,
            Fate::Spoil(Fault::Deaf, after) if answered >= after => Next::Wait,
            _ => Next::Move(CHUNK_BYTES),
        }
    }

    /// What answers do after so many bytes of them.
    fn of_answers(self, answered: u64) -> Next {
        let left = |most: u64| {
            usize::try_from(most.saturating_sub(answered))
                .unwrap_or(CHUNK_BYTES)
                .min(CHUNK_BYTES)
        };
        match self {
            Fate::Pass | Fate::Spoil(Fault::Deaf, _) => Next::Move(CHUNK_BYTES),
            Fate::Strand => Next::Wait,
            Fate::Hold(most) if left(most) == 0 => Next::Wait,
            Fate::Cut(most) if left(most) == 0 => Next::End,
            Fate::Hold(most) | Fate::Cut(most) => Next::Move(left(most)),
            Fate::Spoil(fault, after) if left(after) == 0 => Next::Spoil(fault, CHUNK_BYTES),
            Fate::Spoil(_, after) => Next::Move(left(after)),
        }
    }
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
        self.carried().later = Fate::Pass;
        self.decide(|_| Fate::Pass);
    }

    /// Holds what the server answers, on connections that are open and on later ones. Requests pass.
    pub fn hold(&self) {
        self.carried().later = Fate::Hold(0);
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

    /// Lets connections that are open, and later ones, go wrong after so many more bytes of answers on each.
    pub fn spoil_after(&self, fault: Fault, bytes: u64) {
        self.carried().later = Fate::Spoil(fault, bytes);
        self.decide(|answered| Fate::Spoil(fault, answered + bytes));
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
                let (sender, fate) = watch::channel(carried.later);
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
    let requests = |fate: Fate| fate.of_requests(answered.load(Ordering::SeqCst));
    let answers = |fate: Fate| fate.of_answers(answered.load(Ordering::SeqCst));
    let asked = AtomicU64::new(0);
    tokio::select! {
        ended = move_bytes(from_client, to_server, fate.clone(), requests, &asked) => ended,
        ended = move_bytes(from_server, to_client, fate, answers, &answered) => ended,
    }
}

/// Moves bytes one way, as `next` says, until it ends.
async fn move_bytes(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut fate: watch::Receiver<Fate>,
    next: impl Fn(Fate) -> Next,
    moved: &AtomicU64,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let now = *fate.borrow_and_update();
        let (fault, most) = match next(now) {
            Next::Move(most) => (None, most),
            Next::Spoil(Fault::HalfClosed, _) => {
                to.shutdown().await?;
                std::future::pending().await
            }
            Next::Spoil(fault, most) => (Some(fault), most),
            Next::End => return Ok(()),
            Next::Wait => match fate.changed().await {
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
        // Decided while it was read.
        while matches!(next(*fate.borrow_and_update()), Next::Wait) {
            if fate.changed().await.is_err() {
                return Ok(());
            }
        }
        match fault {
            Some(Fault::Late(delay)) => tokio::time::sleep(delay).await,
            Some(Fault::Twice) => to.write_all(&chunk[..read]).await?,
            Some(Fault::Swapped) => chunk[..read].rotate_left(read / 2),
            Some(Fault::HalfClosed | Fault::Deaf) | None => {}
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
    async fn what_is_spoiled_comes_late_twice_or_mixed_up_or_ends_on_one_side_only() {
        let proxy = Proxy::before(echo().await).await.unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut client, "good").await.unwrap(), "good");
        proxy.spoil_after(Fault::Twice, 0);
        assert_eq!(says(&mut client, "ab").await.unwrap(), "ab");
        proxy.spoil_after(Fault::Swapped, 0);
        assert_eq!(says(&mut client, "cd").await.unwrap(), "ab");
        tokio::time::sleep(Duration::from_millis(100)).await;
        proxy.spoil_after(Fault::Late(Duration::from_millis(500)), 0);
        assert_eq!(says(&mut client, "ef").await.unwrap(), "dc");
        assert_eq!(kind(says(&mut client, "gh").await), io::ErrorKind::TimedOut);

        let mut half = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.spoil_after(Fault::HalfClosed, 0);
        assert_eq!(kind(says(&mut half, "ab").await), io::ErrorKind::UnexpectedEof);
        assert!(half.write_all(b"more").await.is_ok());

        proxy.spoil_after(Fault::Deaf, 2);
        let mut later = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut later, "ab").await.unwrap(), "ab");
        assert_eq!(kind(says(&mut later, "cd").await), io::ErrorKind::TimedOut);
        proxy.pass();
        assert_eq!(says(&mut later, "ef").await.unwrap(), "cd");
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
