//! Descriptions in the PostgreSQL that brokers share: one row per member.

use futures::FutureExt as _;
use terms::{Report, SpaceId};

use super::Description;
use crate::postgres::{self, Database};

const KEEP: &str = "
    INSERT INTO description (space, member, envelope, issued) VALUES ($1, $2, $3, $4)
    ON CONFLICT (space, member) DO UPDATE SET envelope = excluded.envelope, issued = excluded.issued
    WHERE excluded.issued >= description.issued
";

const ALL: &str = "SELECT envelope FROM description WHERE space = $1 ORDER BY member";

/// Keeps a description, unless a later one is kept; says whether it did.
pub(super) async fn keep(database: &Database, description: Description) -> Result<bool, Report> {
    let keeping = postgres::work(move |connection| {
        let Description {
            space,
            member,
            sealed,
            issued,
        } = description;
        let keeping = sqlx::query(KEEP).bind(space).bind(member).bind(sealed).bind(issued);
        async move { Ok(keeping.execute(connection).await?.rows_affected() == 1) }.boxed()
    });
    database.ask(keeping).await.map_err(|error| postgres::lost(&error))
}

/// All sealed descriptions of a data space, by member.
pub(super) async fn all(database: &Database, space: SpaceId) -> Result<Vec<Vec<u8>>, Report> {
    let reading = postgres::work(move |connection| {
        let all = sqlx::query_scalar::<_, Vec<u8>>(ALL).bind(space.to_string());
        all.fetch_all(connection).boxed()
    });
    database.ask(reading).await.map_err(|error| postgres::lost(&error))
}
