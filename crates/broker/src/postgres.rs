//! A PostgreSQL that several brokers share.
//!
//! It must never tell the text by which it connects, which can hold a password. What waits for it waits for seconds at the
//! most, also if it takes connections and says nothing: [`Lent`] is the one way to a statement. A connection that was lost is
//! made anew by the next call.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool, Postgres};
use terms::{Problem, Report};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Most connections of one broker: calls beyond them take turns.
const CONNECTIONS_MAX: u32 = 8;

/// How long a call waits for a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// How long one statement may take, and how long a broker that does nothing may hold the lock of a data space.
const STATEMENT_TIME_MAX: &str = "10s";

/// How long is waited for the answer to what is done at once: longer than PostgreSQL itself lets one statement take, so that it
/// speaks first if it can.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(12);

/// How long it may take to bring the tables up to date, with those who start together taking turns.
const OPEN_TIME_MAX: Duration = Duration::from_secs(30);

/// How to connect: `postgres://user:password@host/database`, with what else libpq's URLs say.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectionString(String);

impl From<String> for ConnectionString {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl ConnectionString {
    /// Reads it from a file, of which it is the only line.
    ///
    /// # Errors
    /// [`Problem::FileMissing`] if it cannot be read.
    pub fn read(file: &Path) -> Result<Self, Report> {
        let unreadable = |error: std::io::Error| {
            let message = format!("cannot read {}: {}", file.display(), error.kind());
            Problem::FileMissing.report(message)
        };
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        Ok(Self(text.trim().to_owned()))
    }

    fn options(&self) -> Result<PgConnectOptions, Report> {
        let malformed = || {
            Problem::FileValue
                .report("the store of the broker is not a URL of PostgreSQL")
                .remedy("write it as postgres://user@host/database; a password can be in a file that store_file names")
        };
        if !self.0.starts_with("postgres://") && !self.0.starts_with("postgresql://") {
            return Err(malformed());
        }
        let options = PgConnectOptions::from_str(&self.0).map_err(|_| malformed())?;
        Ok(options
            .application_name("datenraum broker")
            .options([
                ("statement_timeout", STATEMENT_TIME_MAX),
                ("idle_in_transaction_session_timeout", STATEMENT_TIME_MAX),
            ])
            .disable_statement_logging())
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionString(…)")
    }
}

/// The database, with its tables as this program knows them.
#[derive(Clone)]
pub(crate) struct Database {
    pool: PgPool,
    runtime: Arc<Runtime>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

/// A thread on which the connections live. The work on documents waits where it may wait for disks, which is nowhere in
/// async code; so it is never the thread that the connections need to go on.
struct Runtime {
    handle: Handle,
    _running: oneshot::Sender<()>,
}

impl Runtime {
    fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("postgres".to_owned()).spawn(move || {
            // That the sender is gone is what is waited for.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self {
            handle,
            _running: running,
        })
    }
}

impl Database {
    /// Connects, and brings the tables up to date; brokers that start together take turns at it.
    ///
    /// # Errors
    /// [`Problem::Unreachable`] if it does not answer or lets nobody in, [`Problem::FileValue`] if the text is none.
    pub(crate) async fn open(text: &ConnectionString) -> Result<Self, Report> {
        let options = text.options()?;
        let place = format!("{}:{}", options.get_host(), options.get_port());
        let runtime = Runtime::start().map_err(|error| Problem::Internal.report(error.to_string()))?;
        let opening = async move {
            let pool = PgPoolOptions::new()
                .max_connections(CONNECTIONS_MAX)
                .acquire_timeout(CONNECT_TIME_MAX)
                .connect_with(options)
                .await?;
            sqlx::migrate!("./migrations").run(&pool).await?;
            Ok::<_, sqlx::Error>(pool)
        };
        let opening = runtime.handle.spawn(in_time(OPEN_TIME_MAX, opening));
        let opened = opening.await.unwrap_or(Err(sqlx::Error::WorkerCrashed));
        let pool = opened.map_err(|error| cannot_start(&place, &error))?;
        let runtime = Arc::new(runtime);
        Ok(Self { pool, runtime })
    }

    /// Does `work` for code that waits for it asleep.
    pub(crate) async fn ask<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T, sqlx::Error> {
        let database = self.clone();
        let asked = self
            .runtime
            .handle
            .spawn(async move { database.lend().await?.within(work).await });
        asked.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    /// Does `work` for code that may block.
    pub(crate) fn ask_blocking<T: Send + 'static>(&self, work: impl Work<T>) -> Result<T, sqlx::Error> {
        let database = self.clone();
        self.wait_for(async move { database.lend().await?.within(work).await })
    }

    /// Does what is made of [`Lent`] on the thread of the connections, for code that may block.
    pub(crate) fn wait_for<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    ) -> Result<T, sqlx::Error> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.runtime.handle.spawn(async move {
            // Whoever asked may be gone.
            let _ = answer.send(work.await);
        });
        answered.recv().unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    /// A connection, on the thread of the connections.
    pub(crate) async fn lend(&self) -> Result<Lent, sqlx::Error> {
        Ok(Lent(Some(self.pool.acquire().await?)))
    }

    /// Gives a connection back from anywhere.
    pub(crate) fn give_back(&self, lent: Lent) {
        self.runtime.handle.spawn(async move { drop(lent) });
    }

    /// Gives up a connection from anywhere.
    pub(crate) fn give_up(&self, lent: Lent) {
        self.runtime.handle.spawn(async move { lent.give_up() });
    }
}

/// What is done on a connection at once.
pub(crate) trait Work<T>:
    for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static
{
}

impl<T, F> Work<T> for F where
    F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static
{
}

/// `work` as what is done on any connection: without this the compiler takes a closure for what is done on one.
pub(crate) fn work<T, F>(work: F) -> F
where
    F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
{
    work
}

/// A connection of the pool, for one who uses it. Nothing waits on it without an end; one that PostgreSQL left without an answer
/// is closed, and its place in the pool is free. It is dropped on the thread of the connections only.
#[derive(Debug)]
pub(crate) struct Lent(Option<PoolConnection<Postgres>>);

impl Lent {
    /// Does `work`.
    pub(crate) async fn within<T>(&mut self, work: impl Work<T>) -> Result<T, sqlx::Error> {
        let connection = self.0.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        let done = in_time(ANSWER_TIME_MAX, work(connection)).await;
        if is_silence(&done) {
            // Not back to the pool, which would wait for an answer without an end.
            drop(self.0.take().map(PoolConnection::detach));
        }
        done
    }

    /// Ends the connection, and with it a transaction that is not to be kept.
    pub(crate) fn give_up(mut self) {
        if let Some(mut connection) = self.0.take() {
            connection.close_on_drop();
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(mut connection) = self.0.take() {
            // The pool asks each connection whether it is in order before it takes it back, and by itself waits for that
            // without an end.
            tokio::spawn(tokio::time::timeout(CONNECT_TIME_MAX, async move {
                connection.return_to_pool().await;
            }));
        }
    }
}

/// The end of the wait for somebody who says nothing.
async fn in_time<T>(time_max: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let silent = |_| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "PostgreSQL gives no answer"));
    tokio::time::timeout(time_max, work).await.map_err(silent)?
}

fn is_silence<T>(done: &Result<T, sqlx::Error>) -> bool {
    matches!(done, Err(sqlx::Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut)
}

/// What a call is told when the database does not do its part.
pub(crate) fn lost(error: &sqlx::Error) -> Report {
    tracing::error!(%error, "the broker's database failed");
    Problem::Unreachable
        .report("the broker's database does not answer")
        .remedy("try again in a minute; if it stays so, ask the broker's operator, who finds the reason in its log")
}

fn cannot_start(place: &str, error: &sqlx::Error) -> Report {
    Problem::Unreachable
        .report(format!("PostgreSQL at {place} cannot be used: {error}"))
        .remedy("check store in broker.toml, that PostgreSQL runs there, and that its user may create tables in the database")
}

#[cfg(test)]
pub(crate) mod tests;
