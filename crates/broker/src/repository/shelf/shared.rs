//! Documents in PostgreSQL, for several brokers. A turn is one transaction, begun by locking the row of the data space:
//! what was written is seen whole or not at all, also if the broker dies on the way.

use futures::FutureExt as _;
use sqlx::Row;
use terms::SpaceId;

use super::{Held, Shelf};
use crate::postgres::{Database, Lent, Work, work};
use crate::repository::RepositoryError;
use crate::repository::path::{self, DocumentPath};

const KNOW_SPACE: &str = "INSERT INTO space (id) VALUES ($1) ON CONFLICT DO NOTHING";
const LOCK_SPACE: &str = "SELECT id FROM space WHERE id = $1 FOR UPDATE";
const BEGIN: &str = "BEGIN";
const COMMIT: &str = "COMMIT";
const READ: &str = "SELECT content FROM document WHERE space = $1 AND path = $2";
const ROOTS: &str = "SELECT path FROM document WHERE space = $1 AND path LIKE '%.root.json'";
const WRITE: &str = "
    INSERT INTO document (space, path, content) VALUES ($1, $2, $3)
    ON CONFLICT (space, path) DO UPDATE SET content = excluded.content
";

/// The documents of one data space in a database.
#[derive(Debug)]
pub(in crate::repository) struct Shared {
    database: Database,
    space: SpaceId,
}

impl Shared {
    pub(in crate::repository) fn new(database: Database, space: SpaceId) -> Self {
        Self { database, space }
    }
}

impl Shelf for Shared {
    fn read(&self, path: &DocumentPath) -> Result<Option<Vec<u8>>, RepositoryError> {
        let (space, path) = (self.space.to_string(), path.to_string());
        Ok(self.database.ask_blocking(read(space, path))?)
    }

    fn newest_root_version(&self) -> Result<Option<u64>, RepositoryError> {
        Ok(newest(&self.database.ask_blocking(roots(self.space.to_string()))?))
    }

    fn lock(&self) -> Result<Box<dyn Held>, RepositoryError> {
        let (database, space) = (self.database.clone(), self.space.to_string());
        let locking = async move {
            let mut transaction = database.lend().await?;
            match transaction.within(begin(space)).await {
                Ok(()) => Ok(transaction),
                Err(error) => {
                    transaction.give_up();
                    Err(error)
                }
            }
        };
        Ok(Box::new(Locked {
            transaction: Some(self.database.wait_for(locking)?),
            database: self.database.clone(),
            space: self.space.to_string(),
        }))
    }
}

/// The transaction in which the row of the data space is locked. It ends with its connection unless it is finished.
struct Locked {
    /// None once it is lost or finished.
    transaction: Option<Lent>,
    database: Database,
    space: String,
}

impl Locked {
    /// Does `work` in the transaction. One that failed is over.
    fn within<T: Send + 'static>(&mut self, work: impl Work<T>) -> Result<T, RepositoryError> {
        let mut transaction = self.transaction.take().ok_or(sqlx::Error::PoolClosed)?;
        let working = async move {
            match transaction.within(work).await {
                Ok(done) => Ok((transaction, done)),
                Err(error) => {
                    transaction.give_up();
                    Err(error)
                }
            }
        };
        let (transaction, done) = self.database.wait_for(working)?;
        self.transaction = Some(transaction);
        Ok(done)
    }
}

impl Held for Locked {
    fn read(&mut self, path: &DocumentPath) -> Result<Option<Vec<u8>>, RepositoryError> {
        self.within(read(self.space.clone(), path.to_string()))
    }

    fn write(&mut self, path: &DocumentPath, bytes: &[u8]) -> Result<(), RepositoryError> {
        let (space, path, bytes) = (self.space.clone(), path.to_string(), bytes.to_owned());
        self.within(work(move |connection| {
            let writing = sqlx::query(WRITE).bind(space).bind(path).bind(bytes);
            async move { writing.execute(connection).await.map(drop) }.boxed()
        }))
    }

    fn newest_root_version(&mut self) -> Result<Option<u64>, RepositoryError> {
        Ok(newest(&self.within(roots(self.space.clone()))?))
    }

    fn finish(mut self: Box<Self>) -> Result<(), RepositoryError> {
        self.within(work(|connection| {
            async move { sqlx::raw_sql(COMMIT).execute(connection).await.map(drop) }.boxed()
        }))?;
        if let Some(finished) = self.transaction.take() {
            self.database.give_back(finished);
        }
        Ok(())
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if let Some(unfinished) = self.transaction.take() {
            self.database.give_up(unfinished);
        }
    }
}

/// Begins a transaction and locks the data space in it.
fn begin(space: String) -> impl Work<()> {
    work(move |connection| {
        async move {
            sqlx::query(KNOW_SPACE).bind(&space).execute(&mut *connection).await?;
            sqlx::raw_sql(BEGIN).execute(&mut *connection).await?;
            sqlx::query(LOCK_SPACE).bind(&space).fetch_one(connection).await?;
            Ok(())
        }
        .boxed()
    })
}

fn read(space: String, path: String) -> impl Work<Option<Vec<u8>>> {
    work(move |connection| {
        async move {
            let found = sqlx::query(READ)
                .bind(space)
                .bind(path)
                .fetch_optional(connection)
                .await?;
            found.map(|row| row.try_get(0)).transpose()
        }
        .boxed()
    })
}

fn roots(space: String) -> impl Work<Vec<String>> {
    work(move |connection| {
        let roots = sqlx::query_scalar::<_, String>(ROOTS).bind(space);
        roots.fetch_all(connection).boxed()
    })
}

fn newest(roots: &[String]) -> Option<u64> {
    roots.iter().filter_map(|name| path::root_version(name)).max()
}
