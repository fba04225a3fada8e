//! A table or query of a Flight SQL server, read once from front to back: what is asked is one query, and its answer comes from the server
//! that was described and from no other that it names.
//!
//! A server is believed in nothing that could fill memory: messages, values and rows are bounded, and compressed batches, which say of
//! themselves how long they become, are refused. Its own words can quote data and are never repeated. Next: `flight/batches.rs`, and `flight/told.rs`:
//! what a gateway of a data space says of an answer.

mod batches;
mod told;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _};
use arrow_flight::{FlightDescriptor, FlightInfo, HandshakeRequest, Ticket};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use serde::Deserialize;
use terms::{Problem, Report};
use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use url::Url;
use zeroize::Zeroizing;

use self::batches::Batches;
use super::ahead::{self, Sender, apart};
use super::described::{Place, Secret, is_of_this_machine};
use super::https::{self, Unanswered};
use super::{Pieces, ROWS_FREE, ascending, cut, names, types};

/// How long it may take to be let in.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(15);

/// How long reading may take in all, as of a database: somebody who sends a row a minute is never silent.
const READING_TIME_MAX: Duration = Duration::from_secs(4 * 60 * 60);

/// Longest message, in bytes. Many servers send batches of a few MiB, and none that is meant for others more.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Longest headers of an answer, in bytes.
const HEADER_BYTES_MAX: u32 = 64 * 1024;

/// Most parts of an answer.
const PARTS_MAX: usize = 10_000;

/// How to reach a server, and what is read there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flight {
    /// `https://flight.hospital.example:31337`.
    #[serde(deserialize_with = "url_of_text")]
    url: Url,
    user: Option<String>,
    /// A file with the password and nothing else.
    password_file: Option<PathBuf>,
    /// The variable of the environment with the password.
    password_env: Option<String>,
    /// A file with a token, in place of user and password.
    token_file: Option<PathBuf>,
    /// The variable of the environment with the token.
    token_env: Option<String>,
    /// A table or view: `stays` or `lab.stays`.
    table: Option<String>,
    /// What is selected, in place of a whole table; sent as it is.
    query: Option<String>,
    /// Who signed the server's certificate, beside the public authorities.
    ca_file: Option<PathBuf>,
    #[serde(default = "usual_silence")]
    silence_seconds_max: u32,
}

/// As Flight's own clients write it, too.
fn url_of_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    let text = match text.split_once("://") {
        Some(("grpc+tls", rest)) => format!("https://{rest}"),
        Some(("grpc+tcp" | "grpc", rest)) => format!("http://{rest}"),
        _ => text,
    };
    Url::parse(&text).map_err(|_| serde::de::Error::custom("not a URL such as https://flight.hospital.example:31337"))
}

fn usual_silence() -> u32 {
    300
}

impl Flight {
    /// What the form alone does not check.
    pub(super) fn require_valid(&self, file: &str) -> Result<(), Report> {
        let wrong = |what: &str| Err(Problem::FileValue.report(format!("{file}: {what}")));
        if self.table.is_some() == self.query.is_some() {
            return wrong("it names either a table or a query");
        }
        match self.url.scheme() {
            "https" => {}
            "http" if is_of_this_machine(&self.url) => {}
            "http" => return wrong("url is not encrypted, and not of this machine: write https"),
            _ => return wrong("url is not one such as https://flight.hospital.example:31337"),
        }
        let is_bare = self.url.username().is_empty() && self.url.password().is_none();
        if !is_bare || self.url.path() != "/" || self.url.query().is_some() || self.url.fragment().is_some() {
            return wrong("url has more than the address of the server; secrets stand in files or variables");
        }
        let [password, token] = [
            (&self.password_file, &self.password_env),
            (&self.token_file, &self.token_env),
        ];
        if [password, token]
            .iter()
            .any(|(file, variable)| file.is_some() && variable.is_some())
        {
            return wrong("it names a secret both as a file and as a variable");
        }
        let [has_password, has_token] = [password, token].map(|(file, variable)| file.is_some() || variable.is_some());
        if self.user.is_some() != has_password || (has_password && has_token) {
            return wrong("it names either user and password, or a token, or neither");
        }
        if self.silence_seconds_max == 0 {
            return wrong("silence_seconds_max must be at least 1");
        }
        Ok(())
    }

    fn server(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        format!("the Flight SQL server at {host}:{}", self.port())
    }

    fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(443)
    }

    fn silence_max(&self) -> Duration {
        Duration::from_secs(self.silence_seconds_max.into())
    }

    /// What is asked: of a table, these columns; a query, as it is.
    fn sql(&self, columns: Option<&Schema>) -> String {
        match (&self.table, &self.query, columns) {
            (Some(table), _, columns) => {
                let table = table.split('.').map(quoted).collect::<Vec<_>>().join(".");
                let columns = columns.map(|columns| columns.fields().iter().map(|field| quoted(field.name())));
                let columns = columns.map_or_else(|| "*".to_owned(), |columns| columns.collect::<Vec<_>>().join(", "));
                format!("SELECT {columns} FROM {table}")
            }
            (None, query, _) => query.clone().unwrap_or_default(),
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table or query whose columns are known.
#[derive(Clone, Debug)]
pub(super) struct Table {
    flight: Flight,
    place: Place,
    pub(super) schema: SchemaRef,
}

impl Table {
    /// Connects, and asks for the columns.
    pub(super) fn open(flight: Flight, place: Place) -> Result<Self, Report> {
        let asked = (flight.clone(), place.clone());
        let schema = apart(move || async move { schema_of(&asked.0, &asked.1).await })??;
        let table = Self {
            schema: Arc::new(schema),
            flight,
            place,
        };
        table.require_names_apart()?;
        Ok(table)
    }

    fn require_names_apart(&self) -> Result<(), Report> {
        let names = names(&self.schema);
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                let message = format!("two columns of the answer have the name {name}");
                return Err(Problem::DataSchema
                    .report(message)
                    .remedy("give one of them another name with AS, in query"));
            }
        }
        Ok(())
    }

    /// The wanted columns, in that order.
    pub(super) fn pieces(&self, wanted: &[usize]) -> Result<Pieces, Report> {
        let narrowed = |columns: &[usize]| self.schema.project(columns).map_err(|error| super::malformed(&error));
        let asked = ascending(wanted);
        // What a query selects is for whoever wrote it.
        let (answered, places) = match (&self.flight.table, asked.is_empty()) {
            (Some(_), false) => {
                let place = |column: &usize| asked.binary_search(column).unwrap_or_default();
                (Arc::new(narrowed(&asked)?), wanted.iter().map(place).collect())
            }
            _ => (Arc::clone(&self.schema), wanted.to_vec()),
        };
        let name = self.flight.table.as_deref().unwrap_or("the query").into();
        let (flight, place) = (self.flight.clone(), self.place.clone());
        ahead::pieces(name, |sender| async move {
            let reading = read(&flight, &place, &answered, &places, &sender);
            timeout(READING_TIME_MAX, reading)
                .await
                .unwrap_or_else(|_| Err(endless(&flight)))
        })
    }
}

/// The columns, as the server says them beforehand, or as they begin to come.
async fn schema_of(flight: &Flight, place: &Place) -> Result<Schema, Report> {
    let mut client = Client::connect(flight, place).await?;
    let info = client.ask(flight.sql(None)).await?;
    if !info.schema.is_empty() {
        return Schema::try_from(info).map_err(|_| strange(flight));
    }
    for ticket in tickets(flight, info)? {
        let mut batches = client.part(ticket).await?;
        // It comes before the first batch, if there is one.
        timeout(flight.silence_max(), batches.next())
            .await
            .map_err(|_| silent(flight))?
            .map_err(|error| broken_off(flight, &error))?;
        if let Some(schema) = batches.schema() {
            return Ok(schema.as_ref().clone());
        }
    }
    Err(strange(flight))
}

/// Reads to the end, as fast as the batches are taken.
async fn read(
    flight: &Flight,
    place: &Place,
    expected: &SchemaRef,
    places: &[usize],
    sender: &Sender,
) -> Result<(), Report> {
    let mut client = Client::connect(flight, place).await?;
    let info = client.ask(flight.sql(Some(expected))).await?;
    let announced = u64::try_from(info.total_records).unwrap_or_default();
    let mut rows = 0;
    for ticket in tickets(flight, info)? {
        let mut batches = client.part(ticket).await?;
        loop {
            let batch = timeout(flight.silence_max(), batches.next()).await;
            let batch = batch.map_err(|_| silent(flight))?;
            let Some(batch) = batch.map_err(|error| broken_off(flight, &error))? else {
                break;
            };
            let found = batch.schema();
            told::require_plain(&found)?;
            if names(&found) != names(expected) || types(&found) != types(expected) {
                return Err(
                    Problem::SourceBroken.report(format!("{} sends other columns than it said", flight.server()))
                );
            }
            rows += batch.num_rows() as u64;
            let batch = batch.project(places).map_err(|error| super::malformed(&error))?;
            let pieces = cut::cut(&batch).filter(|_| batch.num_rows() <= ROWS_FREE);
            let pieces = pieces.ok_or_else(|| {
                Problem::SourceBroken.report("the server sends a value or a batch that is longer than one may be")
            })?;
            for piece in pieces {
                if !sender.takes(piece) {
                    return Ok(());
                }
            }
        }
    }
    if rows < announced {
        let message = format!("{} announced {announced} rows and ended after {rows}", flight.server());
        return Err(Problem::SourceBroken.report(message));
    }
    Ok(())
}

/// A ticket is redeemed where it was given: another server that is named has not been described, and gets no secret.
fn tickets(flight: &Flight, info: FlightInfo) -> Result<Vec<Ticket>, Report> {
    let parts = info.endpoint.len();
    let tickets: Option<Vec<Ticket>> = info.endpoint.into_iter().map(|part| part.ticket).collect();
    tickets.filter(|_| parts <= PARTS_MAX).ok_or_else(|| strange(flight))
}

/// A connection, with what lets us in.
struct Client<'a> {
    flight: &'a Flight,
    grpc: FlightServiceClient<Channel>,
    authorization: Option<MetadataValue<Ascii>>,
}

impl<'a> Client<'a> {
    async fn connect(flight: &'a Flight, place: &Place) -> Result<Self, Report> {
        let entering = async {
            let mut client = Self {
                flight,
                grpc: channel(flight, place).await?,
                authorization: None,
            };
            client.enter(place).await?;
            Ok(client)
        };
        timeout(CONNECT_TIME_MAX.min(flight.silence_max()), entering)
            .await
            .unwrap_or_else(|_| Err(unreachable(flight, "nothing came in time")))
    }

    /// Shows a token; or user and password, which some servers exchange for a token and others take with each call.
    async fn enter(&mut self, place: &Place) -> Result<(), Report> {
        let Flight {
            user,
            password_file,
            password_env,
            token_file,
            token_env,
            ..
        } = self.flight;
        if let Some(token) = Secret::from(place, token_file.as_deref(), token_env.as_deref())? {
            self.authorization = Some(header(format!("Bearer {}", token.expose()))?);
            return Ok(());
        }
        let password = Secret::from(place, password_file.as_deref(), password_env.as_deref())?;
        let Some((user, password)) = user.as_ref().zip(password) else {
            return Ok(());
        };
        let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
        self.authorization = Some(header(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())))?);
        let hello = self.request(futures::stream::iter([HandshakeRequest::default()]));
        match self.grpc.handshake(hello).await {
            Ok(answer) => {
                let given = answer.metadata().get("authorization");
                if let Some(token) = given.filter(|given| given.as_bytes().starts_with(b"Bearer ")) {
                    self.authorization = Some(token.clone());
                }
                Ok(())
            }
            Err(status) if status.code() == Code::Unimplemented => Ok(()),
            Err(status) => Err(refused(self.flight, &status)),
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request
    }

    /// Where the answer to a query is.
    async fn ask(&mut self, sql: String) -> Result<FlightInfo, Report> {
        let query = CommandStatementQuery {
            query: sql,
            transaction_id: None,
        };
        let request = self.request(FlightDescriptor::new_cmd(query.as_any().encode_to_vec()));
        let info = timeout(self.flight.silence_max(), self.grpc.get_flight_info(request)).await;
        let info = info.map_err(|_| silent(self.flight))?;
        Ok(info.map_err(|status| refused(self.flight, &status))?.into_inner())
    }

    async fn part(&mut self, ticket: Ticket) -> Result<Batches, Report> {
        let request = self.request(ticket);
        let part = timeout(self.flight.silence_max(), self.grpc.do_get(request)).await;
        let part = part.map_err(|_| silent(self.flight))?;
        let part = part.map_err(|status| broken_off(self.flight, &status.into()))?;
        Ok(Batches::new(part.into_inner()))
    }
}

fn header(text: String) -> Result<MetadataValue<Ascii>, Report> {
    let text = Zeroizing::new(text);
    let invalid = |_| Problem::FileValue.report("the secret of the source holds a character that no header can hold");
    let mut value: MetadataValue<Ascii> = text.parse().map_err(invalid)?;
    value.set_sensitive(true);
    Ok(value)
}

async fn channel(flight: &Flight, place: &Place) -> Result<FlightServiceClient<Channel>, Report> {
    let ca_file = flight.ca_file.as_ref().map(|file| place.find(file));
    let tls = match flight.url.scheme() {
        "https" => {
            let mut tls = https::trusting(ca_file.as_deref())?;
            tls.alpn_protocols = vec![b"h2".to_vec()];
            Some(Arc::new(tls))
        }
        _ => None,
    };
    let host = flight.url.host_str().unwrap_or_default();
    let stream = https::reach(&https::bare(host), flight.port(), tls).await;
    let stream = stream.map_err(|error| match error {
        Unanswered::Untrusted(why) => Problem::SourceUnreachable
            .report(format!("no encrypted connection to {}: {why}", flight.server()))
            .remedy("name the authority that signed its certificate as ca_file; TLS 1.2 and 1.3 are spoken"),
        Unanswered::Silent | Unanswered::Slow => unreachable(flight, "nothing came in time"),
        Unanswered::Broken(why) => unreachable(flight, &why),
    })?;
    let invalid = || Problem::FileValue.report("url makes no address of a server");
    let asked_for = flight.url.as_str().parse().map_err(|_| invalid())?;
    // Who is called is known already; the scheme of this address is for a TLS that is not tonic's.
    let endpoint = Endpoint::from_static("http://source.invalid")
        .origin(asked_for)
        .http2_max_header_list_size(HEADER_BYTES_MAX);
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream = once.take().ok_or(std::io::ErrorKind::NotConnected);
        async move { stream.map_err(std::io::Error::from) }
    });
    let channel = endpoint.connect_with_connector(connector).await;
    let channel = channel.map_err(|_| unreachable(flight, "it does not speak HTTP/2"))?;
    Ok(FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
}

fn unreachable(flight: &Flight, why: &str) -> Report {
    Problem::SourceUnreachable.report(format!("{} does not answer: {why}", flight.server()))
}

fn silent(flight: &Flight) -> Report {
    let message = format!("{} said nothing for {} s", flight.server(), flight.silence_seconds_max);
    Problem::SourceBroken.report(message)
}

fn endless(flight: &Flight) -> Report {
    let message = format!("{} did not end in four hours", flight.server());
    Problem::SourceBroken.report(message).remedy("select less with query")
}

fn strange(flight: &Flight) -> Report {
    Problem::SourceBroken.report(format!("{} answers in another form than Flight SQL's", flight.server()))
}

/// Why a query is not answered. Of what the server says only the code is taken: it may have read rows already.
fn refused(flight: &Flight, status: &Status) -> Report {
    let (server, code) = (flight.server(), status.code());
    match code {
        Code::Unauthenticated => Problem::SourceDenied
            .report(format!("{server} does not let us in"))
            .remedy("check user and password, or the token, in the description of the source"),
        Code::PermissionDenied => Problem::SourceDenied
            .report(format!("{server} does not allow it"))
            .remedy("have the right to read it granted"),
        Code::NotFound => Problem::SourceMissing.report(format!("{server} does not have what is asked for")),
        Code::Unavailable => Problem::SourceUnreachable.report(format!("{server} takes nobody now")),
        Code::InvalidArgument | Code::Unimplemented | Code::Internal | Code::FailedPrecondition => Problem::FileValue
            .report(format!("{server} does not answer the query ({code:?})"))
            .remedy("check table or query with another client; the server's own words are not repeated because they can quote data"),
        _ => Problem::SourceBroken.report(format!("{server} did not go on ({code:?})")),
    }
}

/// Why it did not go on.
fn broken_off(flight: &Flight, error: &FlightError) -> Report {
    match error {
        FlightError::NotYetImplemented(_) => Problem::SourceBroken
            .report(format!("{} sends compressed batches", flight.server()))
            .remedy("have it send them as they are: nobody knows what they become"),
        FlightError::Tonic(status) => match status.code() {
            Code::OutOfRange => Problem::SourceBroken
                .report(format!("{} did not go on (OutOfRange)", flight.server()))
                .remedy(format!(
                    "have it send smaller batches: a message may have {MESSAGE_BYTES_MAX} bytes"
                )),
            Code::Unauthenticated | Code::PermissionDenied | Code::NotFound => refused(flight, status),
            code => Problem::SourceBroken.report(format!("{} did not go on ({code:?})", flight.server())),
        },
        _ => strange(flight),
    }
}

#[cfg(test)]
mod tests;
