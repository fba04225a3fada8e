//! Documents in PostgreSQL, for several brokers. A turn is one transaction, begun by locking the row of the data space:
//! what was written is seen whole or not at all, also if the broker dies on the way.

use sqlx::{PgPool, Postgres, Row, Transaction};
use terms::SpaceId;

use super::{Held, Shelf};
use crate::postgres::Database;
use crate::repository::RepositoryError;
use crate::repository::path::{self, DocumentPath};

const KNOW_SPACE: &str = "INSERT INTO space (id) VALUES ($1) ON CONFLICT DO NOTHING";
const LOCK_SPACE: &str = "SELECT id FROM space WHERE id = $1 FOR UPDATE";
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
        let reading = |pool: PgPool| async move {
            let found = sqlx::query(READ).bind(space).bind(path).fetch_optional(&pool).await?;
            found.map(|row| row.try_get(0)).transpose()
        };
        Ok(self.database.ask_blocking(reading)?)
    }

    fn lock(&self) -> Result<Box<dyn Held>, RepositoryError> {
        let space = self.space.to_string();
        let locking = |pool: PgPool| async move {
            sqlx::query(KNOW_SPACE).bind(&space).execute(&pool).await?;
            let mut transaction = pool.begin().await?;
            sqlx::query(LOCK_SPACE)
                .bind(&space)
                .fetch_one(&mut *transaction)
                .await?;
            Ok(transaction)
        };
        Ok(Box::new(Locked {
            transaction: Some(self.database.ask_blocking(locking)?),
            database: self.database.clone(),
            space: self.space.to_string(),
        }))
    }
}

/// The transaction in which the row of the data space is locked.
struct Locked {
    /// None once it is lost or finished.
    transaction: Option<Transaction<'static, Postgres>>,
    database: Database,
    space: String,
}

impl Locked {
    /// Does `work` in the transaction. One that failed is over.
    fn within<T: Send + 'static, F>(
        &mut self,
        work: impl FnOnce(Transaction<'static, Postgres>) -> F,
    ) -> Result<T, RepositoryError>
    where
        F: Future<Output = Result<(Transaction<'static, Postgres>, T), sqlx::Error>> + Send + 'static,
    {
        let transaction = self.transaction.take().ok_or(sqlx::Error::PoolClosed)?;
        let (transaction, done) = self.database.ask_blocking(|_| work(transaction))?;
        self.transaction = Some(transaction);
        Ok(done)
    }
}

impl Held for Locked {
    fn read(&mut self, path: &DocumentPath) -> Result<Option<Vec<u8>>, RepositoryError> {
        let (space, path) = (self.space.clone(), path.to_string());
        self.within(|mut transaction| async move {
            let reading = sqlx::query(READ).bind(space).bind(path);
            let found = reading.fetch_optional(&mut *transaction).await?;
            let content = found.map(|row| row.try_get(0)).transpose()?;
            Ok((transaction, content))
        })
    }

    fn write(&mut self, path: &DocumentPath, bytes: &[u8]) -> Result<(), RepositoryError> {
        let (space, path, bytes) = (self.space.clone(), path.to_string(), bytes.to_owned());
        self.within(|mut transaction| async move {
            let writing = sqlx::query(WRITE).bind(space).bind(path).bind(bytes);
            writing.execute(&mut *transaction).await?;
            Ok((transaction, ()))
        })
    }

    fn newest_root_version(&mut self) -> Result<Option<u64>, RepositoryError> {
        let space = self.space.clone();
        let names = self.within(|mut transaction| async move {
            let roots = sqlx::query_scalar::<_, String>(ROOTS).bind(space);
            let names = roots.fetch_all(&mut *transaction).await?;
            Ok((transaction, names))
        })?;
        Ok(names.iter().filter_map(|name| path::root_version(name)).max())
    }

    fn finish(mut self: Box<Self>) -> Result<(), RepositoryError> {
        let transaction = self.transaction.take().ok_or(sqlx::Error::PoolClosed)?;
        Ok(self.database.ask_blocking(|_| transaction.commit())?)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if let Some(unfinished) = self.transaction.take() {
            self.database.drop_there(unfinished);
        }
    }
}
