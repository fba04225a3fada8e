//! One client: a connection, with what it set, prepared and has not fetched. All of it ends with the connection.
//!
//! What is kept is found by a random name and on this connection only. Each of these has a limit.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use terms::{Problem, Report, limit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::server::Connected;

use super::Asked;
use super::options::Options;
use super::told::{ResultSet, Told};

/// What a gateway knows of one connection.
#[derive(Debug, Default)]
pub(super) struct Session(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    options: Options,
    prepared: BTreeMap<String, Asked>,
    kept: BTreeMap<String, Kept>,
    fetched: BTreeMap<String, CancellationToken>,
    last: Arc<Told>,
}

/// An answer that waits to be fetched.
#[derive(Debug)]
struct Kept {
    answer: ResultSet,
    _expiry: AbortOnDropHandle<()>,
}

/// An answer on its way to the client.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) answer: ResultSet,
    /// Cancelled when the client no longer wants it.
    pub(super) unwanted: CancellationToken,
    _done: Done,
}

/// Forgets an answer once it is delivered or given up.
#[derive(Debug)]
struct Done(Arc<Session>, String);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.state().fetched.remove(&self.1);
    }
}

impl Session {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Refuses a question whose answer would not be kept.
    pub(super) fn has_room(&self) -> Result<(), Report> {
        let most = limit::GATEWAY_ANSWERS_MAX;
        match self.state().kept.len() < most {
            true => Ok(()),
            false => Err(too_many(
                format!("{most} answers wait on this connection"),
                "fetch or cancel some",
            )),
        }
    }

    /// Keeps an answer for one fetch, and names it.
    pub(super) fn keep(self: &Arc<Self>, answer: ResultSet) -> Result<String, Report> {
        // Questions may have been asked at the same time.
        self.has_room()?;
        let ticket = name()?;
        let (session, named) = (Arc::downgrade(self), ticket.clone());
        let expiry = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(limit::GATEWAY_ANSWER_SECONDS_MAX)).await;
            let unfetched = session
                .upgrade()
                .and_then(|session| session.state().kept.remove(&named));
            drop(unfetched);
        });
        let _expiry = AbortOnDropHandle::new(expiry);
        self.state().kept.insert(ticket.clone(), Kept { answer, _expiry });
        Ok(ticket)
    }

    /// Takes an answer to deliver it, once.
    pub(super) fn fetch(self: &Arc<Self>, ticket: &[u8]) -> Result<Fetched, Report> {
        let unknown =
            || Problem::Ticket.report("the ticket is not one of this connection, or it was used or has expired");
        let ticket = std::str::from_utf8(ticket).map_err(|_| unknown())?;
        let mut state = self.state();
        let Kept { answer, .. } = state.kept.remove(ticket).ok_or_else(unknown)?;
        let unwanted = CancellationToken::new();
        state.fetched.insert(ticket.to_owned(), unwanted.clone());
        let _done = Done(Arc::clone(self), ticket.to_owned());
        Ok(Fetched {
            answer,
            unwanted,
            _done,
        })
    }

    /// Drops an answer that waits or is on its way. Whether there was one.
    pub(super) fn cancel(&self, ticket: &[u8]) -> bool {
        let Ok(ticket) = std::str::from_utf8(ticket) else {
            return false;
        };
        let mut state = self.state();
        let unwanted = state.fetched.get(ticket);
        unwanted.inspect(|unwanted| unwanted.cancel()).is_some() | state.kept.remove(ticket).is_some()
    }

    /// Forgets everything, as a new connection.
    pub(super) fn end(&self) {
        let ended = std::mem::take(&mut *self.state());
        ended.fetched.values().for_each(CancellationToken::cancel);
    }
}

/// A name that cannot be guessed.
fn name() -> Result<String, Report> {
    Ok(trust::new_request_id()?.as_str().to_owned())
}

fn too_many(message: String, remedy: &str) -> Report {
    Problem::Resources.report(message).remedy(remedy)
}

/// Accepts connections, no more than the limit at a time; further ones wait.
pub(super) fn incoming(listener: TcpListener) -> BoxStream<'static, io::Result<Guest>> {
    let slots = Arc::new(Semaphore::new(limit::GATEWAY_CONNECTIONS_MAX));
    stream::unfold((listener, slots), |(listener, slots)| {
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
        Pin::new(&mut self.tcp).poll_read(cx, buf)
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
