//! A table or query of a PostgreSQL, read once from front to back: in one read-only transaction that sees one moment, as binary
//! `COPY`, of the columns that are wanted and no others.
//!
//! Types are those of the database's catalogue; one whose values a collection cannot hold is refused by its name. What the
//! database says of an error can quote data and is never repeated, but for errors of the operator's own query, before any row is read.
//! Next: `postgres/rows.rs`.

mod rows;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use futures::StreamExt as _;
use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode, PgTypeInfo, PgTypeKind};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Executor as _, SqlSafeStr as _, Statement as _,
    TypeInfo as _,
};
use terms::{Problem, Report};
use tokio::time::timeout;

use super::ahead::{self, Sender, apart};
use super::described::{Place, Secret};
use super::{PLAIN, Pieces};

/// How long it may take to be let in.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(15);

/// How long the database may say nothing, unless the description says otherwise.
const SILENCE_SECONDS_MAX: u32 = 300;

/// Every row is of one moment, nothing can be written, nobody waits for ever for us or we for them, and no notice, which could quote
/// data, reaches a log. Of the session's own settings none is relied on: the connection may be one of a pooler's.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '4h'; SET LOCAL lock_timeout = '30s'; \
                     SET LOCAL idle_in_transaction_session_timeout = '10min'; SET LOCAL client_min_messages = 'error'";

/// How to reach a database, and what is read there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Postgres {
    /// Its name or address; or the folder of its Unix socket.
    host: String,
    #[serde(default = "usual_port")]
    port: u16,
    database: String,
    user: String,
    /// A file with the password and nothing else.
    password_file: Option<PathBuf>,
    /// The variable of the environment with the password.
    password_env: Option<String>,
    /// A table or view, by its name as the catalogue has it: `stays` or `lab.stays`.
    table: Option<String>,
    /// What is selected, in place of a whole table.
    query: Option<String>,
    /// Who signed the server's certificate, beside the public authorities.
    ca_file: Option<PathBuf>,
    #[serde(default)]
    tls: Tls,
    #[serde(default = "usual_silence")]
    silence_seconds_max: u32,
}

/// Whether what is sent can be read on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tls {
    /// Encrypted, and the server's certificate is for its name. To this machine itself: not encrypted.
    #[default]
    Verify,
    /// Not encrypted, wherever the server is.
    Off,
}

fn usual_port() -> u16 {
    5432
}

fn usual_silence() -> u32 {
    SILENCE_SECONDS_MAX
}

impl Postgres {
    /// What the form alone does not check.
    pub(super) fn require_valid(&self, file: &str) -> Result<(), Report> {
        let wrong = |what: &str| Err(Problem::FileValue.report(format!("{file}: {what}")));
        match (&self.table, &self.query) {
            (Some(_), Some(_)) => return wrong("it names both a table and a query"),
            (None, None) => return wrong("it names neither a table nor a query"),
            _ => {}
        }
        if self.password_file.is_some() && self.password_env.is_some() {
            return wrong("it names both password_file and password_env");
        }
        if self.silence_seconds_max == 0 {
            return wrong("silence_seconds_max must be at least 1");
        }
        Ok(())
    }

    fn is_on_this_machine(&self) -> bool {
        let is_loopback = |ip: std::net::IpAddr| ip.is_loopback();
        self.host.starts_with('/') || self.host == "localhost" || self.host.parse().is_ok_and(is_loopback)
    }

    fn options(&self, place: &Place) -> Result<PgConnectOptions, Report> {
        let password = Secret::from(place, self.password_file.as_deref(), self.password_env.as_deref())?;
        let mode = match (self.tls, self.is_on_this_machine()) {
            (Tls::Verify, false) => PgSslMode::VerifyFull,
            // A certificate that is named is asked for.
            (Tls::Verify, true) if self.ca_file.is_some() => PgSslMode::VerifyFull,
            _ => PgSslMode::Disable,
        };
        let options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .database(&self.database)
            .username(&self.user)
            .password(password.as_ref().map_or("", Secret::expose))
            .ssl_mode(mode)
            .application_name("datenraum node")
            .disable_statement_logging();
        let Some(file) = self.ca_file.as_ref().map(|file| place.find(file)) else {
            return Ok(options);
        };
        std::fs::metadata(&file).map_err(|error| super::unreadable(&file, &error))?;
        Ok(options.ssl_root_cert(file))
    }

    fn relation(&self) -> String {
        match (&self.table, &self.query) {
            (Some(table), _) => table.split('.').map(quoted).collect::<Vec<_>>().join("."),
            // On a line of its own: the query may end in a comment.
            (None, query) => format!("({}\n) AS source", query.as_deref().unwrap_or_default()),
        }
    }

    fn server(&self) -> String {
        format!("PostgreSQL at {}:{}", self.host, self.port)
    }

    fn silence_max(&self) -> Duration {
        Duration::from_secs(self.silence_seconds_max.into())
    }
}

/// A table or query whose columns are known.
#[derive(Clone, Debug)]
pub(super) struct Table {
    postgres: Postgres,
    place: Place,
    columns: Arc<[Result<Kind, String>]>,
    pub(super) schema: SchemaRef,
}

/// As what a column is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// A number of any length, as text: nothing of it is lost.
    Numeric,
    Integer,
    Number,
    Boolean,
    Date,
    Timestamp,
    Instant,
}

impl Table {
    /// Connects, and asks for the columns.
    pub(super) fn open(postgres: Postgres, place: Place) -> Result<Self, Report> {
        let asked = (postgres.clone(), place.clone());
        let columns = apart(move || async move { columns_of(&asked.0, &asked.1).await })??;
        let fields = columns
            .iter()
            .map(|(name, kind)| field(name, kind.as_ref().ok().copied()));
        Ok(Self {
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            columns: columns.into_iter().map(|(_, kind)| kind).collect(),
            postgres,
            place,
        })
    }

    /// The wanted columns, in that order.
    pub(super) fn pieces(&self, wanted: &[usize]) -> Result<Pieces, Report> {
        let schema = self.schema.project(wanted).map_err(|error| super::malformed(&error))?;
        let mut kinds = Vec::new();
        for (column, field) in wanted.iter().zip(schema.fields()) {
            kinds.push(
                self.columns[*column]
                    .clone()
                    .map_err(|name| unusable(field.name(), &name))?,
            );
        }
        let selected = schema.fields().iter().zip(&kinds);
        let selected = selected.map(|(field, kind)| format!("{}::{}", quoted(field.name()), kind.sql()));
        let selected = selected.collect::<Vec<_>>().join(", ");
        let sql = format!(
            "COPY (SELECT {selected} FROM {}) TO STDOUT (FORMAT binary)",
            self.postgres.relation()
        );
        let (postgres, place) = (self.postgres.clone(), self.place.clone());
        let schema = Arc::new(schema);
        let name = self.postgres.table.as_deref().unwrap_or("the query").into();
        ahead::pieces(name, |sender| async move {
            copy(&postgres, &place, sql, rows::Rows::new(schema, &kinds), &sender).await
        })
    }
}

/// Reads to the end, as fast as the batches are taken.
async fn copy(
    postgres: &Postgres,
    place: &Place,
    sql: String,
    mut rows: rows::Rows,
    sender: &Sender,
) -> Result<(), Report> {
    let failed = |error: sqlx::Error| broken_off(postgres, &error);
    let mut connection = begin(postgres, place).await?;
    let silent = || broken_off(postgres, &silence());
    let began = timeout(postgres.silence_max(), connection.copy_out_raw(&sql)).await;
    let mut copied = began.map_err(|_| silent())?.map_err(failed)?;
    loop {
        let chunk = timeout(postgres.silence_max(), copied.next())
            .await
            .map_err(|_| silent())?;
        let Some(chunk) = chunk.transpose().map_err(failed)? else {
            break;
        };
        let full = rows.take(&chunk)?;
        if let Some(batch) = full
            && !sender.takes(batch)
        {
            return Ok(());
        }
    }
    drop(copied);
    if let Some(batch) = rows.finish()? {
        sender.takes(batch);
    }
    Ok(())
}

/// Connects, and begins the one transaction of the connection.
async fn begin(postgres: &Postgres, place: &Place) -> Result<PgConnection, Report> {
    let options = postgres.options(place)?;
    let beginning = async {
        let mut connection = PgConnection::connect_with(&options).await?;
        connection.execute(sqlx::raw_sql(BEGIN)).await?;
        Ok(connection)
    };
    let begun = timeout(CONNECT_TIME_MAX.min(postgres.silence_max()), beginning).await;
    begun
        .unwrap_or_else(|_| Err(silence()))
        .map_err(|error| not_reached(postgres, &error))
}

/// The names of the columns, and as what they are asked for, or the type that cannot be.
async fn columns_of(postgres: &Postgres, place: &Place) -> Result<Vec<(String, Result<Kind, String>)>, Report> {
    let mut connection = begin(postgres, place).await?;
    let sql = format!("SELECT * FROM {}", postgres.relation());
    let prepared = timeout(
        postgres.silence_max(),
        connection.prepare(AssertSqlSafe(sql).into_sql_str()),
    )
    .await;
    let prepared = prepared.unwrap_or_else(|_| Err(silence()));
    let prepared = prepared.map_err(|error| not_described(postgres, &error))?;
    let named = prepared
        .columns()
        .iter()
        .map(|column| (column.name().to_owned(), Kind::of(column.type_info())));
    let named: Vec<_> = named.collect();
    for (place, (name, _)) in named.iter().enumerate() {
        if named[..place].iter().any(|(before, _)| before == name) {
            let message = format!("two columns of the query have the name {name}");
            return Err(Problem::DataSchema
                .report(message)
                .remedy("give one of them another name with AS"));
        }
    }
    Ok(named)
}

impl Kind {
    fn of(found: &PgTypeInfo) -> Result<Self, String> {
        match found.kind() {
            PgTypeKind::Domain(base) => return Self::of(base),
            PgTypeKind::Enum(_) => return Ok(Self::Text),
            PgTypeKind::Simple => {}
            _ => return Err(found.name().to_lowercase()),
        }
        let named = found.name().to_lowercase();
        Ok(match named.as_str() {
            "text" | "varchar" | "char" | "name" | "uuid" | "citext" | "\"char\"" => Self::Text,
            "int2" | "int4" | "int8" => Self::Integer,
            "float4" | "float8" => Self::Number,
            "numeric" => Self::Numeric,
            "bool" => Self::Boolean,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::Instant,
            _ => return Err(named),
        })
    }

    /// What the database makes of it, whatever it became since the columns were asked for.
    fn sql(self) -> &'static str {
        match self {
            Self::Text | Self::Numeric => "text",
            Self::Integer => "int8",
            Self::Number => "float8",
            Self::Boolean => "bool",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Instant => "timestamptz",
        }
    }

    fn arrow(self) -> DataType {
        match self {
            Self::Text | Self::Numeric => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        }
    }
}

fn field(name: &str, kind: Option<Kind>) -> Field {
    let field = Field::new(name, kind.map_or(DataType::Binary, Kind::arrow), true);
    match kind {
        Some(Kind::Numeric) => field.with_metadata([(PLAIN.to_owned(), String::new())].into()),
        _ => field,
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn silence() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

fn code(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(|error| error.code());
    code.map(std::borrow::Cow::into_owned).unwrap_or_default()
}

/// Why nobody was let in.
fn not_reached(postgres: &Postgres, error: &sqlx::Error) -> Report {
    let server = postgres.server();
    let code = code(error);
    match (error, code.get(..2).unwrap_or_default()) {
        (_, "28") => Problem::SourceDenied
            .report(format!("{server} does not let {} in", postgres.user))
            .remedy("check user and password in the description of the source, and the server's pg_hba.conf"),
        (_, "3D") => Problem::SourceMissing
            .report(format!("{server} has no database {}", postgres.database))
            .remedy("check database in the description of the source"),
        (_, "42") => Problem::SourceDenied
            .report(format!(
                "{server} does not let {} use {}",
                postgres.user, postgres.database
            ))
            .remedy("have the right to connect granted"),
        (sqlx::Error::Tls(error), _) => unencrypted(&server, error.to_string()),
        (sqlx::Error::Io(error), _) if error.kind() == std::io::ErrorKind::InvalidData => {
            unencrypted(&server, error.to_string())
        }
        (sqlx::Error::Io(error), _) => {
            Problem::SourceUnreachable.report(format!("{server} does not answer: {}", error.kind()))
        }
        (sqlx::Error::Configuration(_), _) => {
            Problem::FileValue.report(format!("{server} cannot be called as the description says"))
        }
        _ if code.is_empty() => {
            Problem::SourceUnreachable.report(format!("{server} does not answer as PostgreSQL does"))
        }
        _ => Problem::SourceUnreachable.report(format!("{server} takes nobody now (SQLSTATE {code})")),
    }
}

/// The words are those of the TLS library: they are about certificates.
fn unencrypted(server: &str, why: String) -> Report {
    Problem::SourceUnreachable
        .report(format!("no encrypted connection to {server}: {why}"))
        .remedy("name the authority that signed its certificate as ca_file; or say tls = \"off\" if nobody can listen on the way")
}

/// Why the columns cannot be told. No row was read yet, so the database's words are about the operator's.
fn not_described(postgres: &Postgres, error: &sqlx::Error) -> Report {
    let what = postgres.table.as_deref().unwrap_or("the query");
    let said = || {
        error
            .as_database_error()
            .map_or_else(String::new, |error| error.message().to_owned())
    };
    match code(error).as_str() {
        "42501" => denied(postgres, what),
        "42P01" | "3F000" => Problem::SourceMissing
            .report(format!("{} has nothing by that name: {}", postgres.server(), said()))
            .remedy("name it as the database lists it, with its schema: lab.stays"),
        code if code.starts_with("42") => Problem::FileValue
            .report(format!("the query cannot be run: {}", said()))
            .remedy("try it with psql, as one statement without a semicolon"),
        _ => broken_off(postgres, error),
    }
}

fn denied(postgres: &Postgres, what: &str) -> Report {
    Problem::SourceDenied
        .report(format!(
            "{} may not read {what} at {}",
            postgres.user,
            postgres.server()
        ))
        .remedy(format!(
            "have it granted: GRANT SELECT ON … TO {}",
            quoted(&postgres.user)
        ))
}

/// Why it did not go on. The database's words can quote data.
fn broken_off(postgres: &Postgres, error: &sqlx::Error) -> Report {
    let server = postgres.server();
    let code = code(error);
    let again = "add it again; what was there before is still answered from";
    match (error, code.as_str()) {
        (_, "42501") => denied(postgres, postgres.table.as_deref().unwrap_or("the query")),
        (_, "42P01" | "42703") => {
            Problem::SourceMissing.report(format!("a table or column was taken away from {server} meanwhile"))
        }
        (_, "55P03") => Problem::SourceBroken
            .report(format!("{server}: somebody else holds a lock on the table"))
            .remedy("try again when it is free"),
        (_, "57014") => Problem::SourceBroken
            .report(format!(
                "{server} stopped the query: it took too long, or somebody cancelled it"
            ))
            .remedy("select less with query, or at a quieter time"),
        (_, code) if code.starts_with("22") => Problem::DataFormat
            .report(format!(
                "a value at {server} cannot be had as the query asks (SQLSTATE {code})"
            ))
            .remedy("look for it with psql; the database's own words are not repeated because they quote it"),
        (sqlx::Error::Io(error), _) if error.kind() == std::io::ErrorKind::TimedOut => {
            let message = format!("{server} said nothing for {} s", postgres.silence_seconds_max);
            Problem::SourceBroken.report(message).remedy(again)
        }
        _ if code.is_empty() => Problem::SourceBroken
            .report(format!("the connection to {server} broke"))
            .remedy(again),
        _ => Problem::SourceBroken
            .report(format!("{server} did not go on (SQLSTATE {code})"))
            .remedy(again),
    }
}

fn unusable(name: &str, of_type: &str) -> Report {
    Problem::DataSchema
        .report(format!(
            "column {name} is of PostgreSQL's type {of_type}, of which no value of a collection is made"
        ))
        .remedy("select what you need of it with query, as text, number or time")
}

#[cfg(test)]
mod tests;
