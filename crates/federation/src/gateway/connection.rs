//! One client: a connection, with what it set, prepared and asked. All of it ends with the connection.
//!
//! What is kept is found by a random name and on this connection only. Each of these has a limit.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use terms::{Problem, Report, limit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use super::Asked;
use super::options::Options;
use super::told::Told;

/// What a gateway knows of one connection.
#[derive(Debug, Default)]
pub(super) struct Session {
    state: Mutex<State>,
    is_known: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    options: Options,
    prepared: BTreeMap<String, Asked>,
    waiting: BTreeMap<String, Waiting>,
    running: BTreeMap<String, CancellationToken>,
    last: Arc<Told>,
}

/// A question whose answer has not been fetched: nobody was asked yet.
#[derive(Debug)]
struct Waiting {
    asked: Asked,
    options: Options,
    since: Instant,
}

impl Waiting {
    fn is_expired(&self) -> bool {
        self.since.elapsed() >= Duration::from_secs(limit::GATEWAY_TICKET_SECONDS_MAX)
    }
}

/// A question whose answer is being fetched.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) asked: Asked,
    pub(super) options: Options,
    /// Cancelled when the client no longer wants the answer.
    pub(super) unwanted: CancellationToken,
    pub(super) done: Done,
}

/// Forgets a question once its answer is delivered or given up.
#[derive(Debug)]
pub(super) struct Done(Arc<Session>, String);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.state().running.remove(&self.1);
    }
}

impl Session {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a call on the connection had the token.
    pub(super) fn know(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// What the client set.
    pub(super) fn options(&self) -> Options {
        self.state().options.clone()
    }

    pub(super) fn set(&self, options: Options) {
        self.state().options = options;
    }

    /// Who took part in the last answer.
    pub(super) fn last(&self) -> Arc<Told> {
        Arc::clone(&self.state().last)
    }

    pub(super) fn tell(&self, told: Told) -> Arc<Told> {
        let told = Arc::new(told);
        self.state().last = Arc::clone(&told);
        told
    }

    /// Keeps a prepared statement, and names it.
    pub(super) fn prepare(&self, asked: Asked) -> Result<String, Report> {
        let mut state = self.state();
        if state.prepared.len() >= limit::GATEWAY_PREPARED_MAX {
            let most = limit::GATEWAY_PREPARED_MAX;
            return Err(too_many(
                format!("{most} statements are prepared on this connection"),
                "close some",
            ));
        }
        let handle = name()?;
        state.prepared.insert(handle.clone(), asked);
        Ok(handle)
    }

    /// A prepared statement with the values that were bound last.
    pub(super) fn prepared(&self, handle: &[u8]) -> Result<Asked, Report> {
        self.with_prepared(handle, |asked| asked.clone())
    }

    pub(super) fn with_prepared<T>(&self, handle: &[u8], with: impl FnOnce(&mut Asked) -> T) -> Result<T, Report> {
        let mut state = self.state();
        let found = std::str::from_utf8(handle)
            .ok()
            .and_then(|handle| state.prepared.get_mut(handle));
        found
            .map(with)
            .ok_or_else(|| Problem::Ticket.report("the prepared statement is not one of this connection"))
    }

    /// Closes a prepared statement; one that is closed already is closed.
    pub(super) fn close(&self, handle: &[u8]) {
        if let Ok(handle) = std::str::from_utf8(handle) {
            self.state().prepared.remove(handle);
        }
    }

    /// Keeps a question until its answer is fetched, and names it.
    pub(super) fn keep(&self, asked: Asked, options: Options) -> Result<String, Report> {
        let mut state = self.state();
        state.waiting.retain(|_, waiting| !waiting.is_expired());
        if state.waiting.len() >= limit::GATEWAY_TICKETS_MAX {
            let most = limit::GATEWAY_TICKETS_MAX;
            let message = format!("{most} questions wait on this connection");
            return Err(too_many(message, "fetch or cancel their answers"));
        }
        let (ticket, since) = (name()?, Instant::now());
        let waiting = Waiting { asked, options, since };
        state.waiting.insert(ticket.clone(), waiting);
        Ok(ticket)
    }

    /// Takes a question to ask it, once.
    pub(super) fn fetch(self: &Arc<Self>, ticket: &[u8]) -> Result<Running, Report> {
        let unknown = || {
            let message = "the ticket is not one of this connection, or it was used or has expired";
            Problem::Ticket.report(message)
        };
        let ticket = std::str::from_utf8(ticket).map_err(|_| unknown())?;
        let mut state = self.state();
        let waiting = state.waiting.remove(ticket).filter(|waiting| !waiting.is_expired());
        let Waiting { asked, options, .. } = waiting.ok_or_else(unknown)?;
        let unwanted = CancellationToken::new();
        state.running.insert(ticket.to_owned(), unwanted.clone());
        let done = Done(Arc::clone(self), ticket.to_owned());
        Ok(Running {
            asked,
            options,
            unwanted,
            done,
        })
    }

    /// Drops a question that waits or runs, or its answer. Whether there was one.
    pub(super) fn cancel(&self, ticket: &[u8]) -> bool {
        let Ok(ticket) = std::str::from_utf8(ticket) else {
            return false;
        };
        let mut state = self.state();
        let unwanted = state.running.get(ticket);
        unwanted.inspect(|unwanted| unwanted.cancel()).is_some() | state.waiting.remove(ticket).is_some()
    }

    /// Forgets everything, as a new connection.
    pub(super) fn end(&self) {
        let ended = std::mem::take(&mut *self.state());
        ended.running.values().for_each(CancellationToken::cancel);
    }
}

/// A name that cannot be guessed.
fn name() -> Result<String, Report> {
    Ok(trust::new_request_id()?.as_str().to_owned())
}

fn too_many(message: String, remedy: &str) -> Report {
    Problem::Resources.report(message).remedy(remedy)
}

/// Accepts connections, no more than the limit at a time; further ones wait. One on which no call with the token comes within
/// `patience` is closed, so that nobody else can hold them all.
pub(super) fn incoming(listener: TcpListener, patience: Duration) -> BoxStream<'static, io::Result<Guest>> {
    let slots = Arc::new(Semaphore::new(limit::GATEWAY_CONNECTIONS_MAX));
    stream::unfold((listener, slots), move |(listener, slots)| {
        async move {
            let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
            let tcp = loop {
                match listener.accept().await {
                    Ok((tcp, _)) if tcp.set_nodelay(true).is_ok() => break tcp,
                    Ok(_) => {}
                    // Out of file descriptors, most likely: wait for some to be closed instead of spinning.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            };
            let guest = Guest {
                tcp,
                session: Arc::default(),
                until: Box::pin(tokio::time::sleep(patience)),
                _slot: slot,
            };
            Some((Ok(guest), (listener, slots)))
        }
        .boxed()
    })
    .boxed()
}

/// One accepted connection.
#[derive(Debug)]
pub(super) struct Guest {
    tcp: TcpStream,
    session: Arc<Session>,
    /// When it is closed, if the client is not known by then.
    until: Pin<Box<Sleep>>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.session.end();
    }
}

impl Connected for Guest {
    type ConnectInfo = Arc<Session>;

    fn connect_info(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Guest {
            tcp, session, until, ..
        } = &mut *self;
        if !session.is_known.load(Ordering::Relaxed) && until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
