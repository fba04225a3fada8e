//! The gateway as a client sees it that breaks the rules: it has no token, another's ticket, too many questions, or wants an answer
//! of some nodes as if all had answered. What works is tried by other implementations in `tests/clients`.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any,
    CommandGetTables, CommandPreparedStatementQuery, CommandStatementQuery, CommandStatementUpdate, ProstMessageExt,
    TicketStatementQuery,
};
use arrow_flight::{Action, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use federation::gateway::{Listener, Options, Token};
use federation::{Answer, Asker, Gateway, Profile, Question};
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use terms::{Problem, Report, SystemClock, limit};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Sandbox, datenraum, project};

const PEOPLE: &str = "SELECT count(*) AS people FROM breast_cancer";
const LUNG: &str = "SELECT count(*) AS people FROM lung_cancer";
const OWN: &str = "SELECT 1 AS one";

/// A gateway in front of a sandbox, both of which end with it.
struct World {
    sandbox: Sandbox,
    address: String,
    token: String,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), Report>>,
}

async fn world() -> World {
    let sandbox = Sandbox::up(&project().join("tests/clients/gateway.toml"));
    let profile = Profile::load(&sandbox.dir().join("people/ada/person.toml")).unwrap();
    let asker = Box::pin(Asker::open(profile, Arc::new(SystemClock))).await.unwrap();
    let options = Options {
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        ..Options::default()
    };
    let path = sandbox.place().join("gateway.token");
    let token = Token::of_file(&path).unwrap();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.bound().to_string(), CancellationToken::new());
    let serving = Gateway::new(asker, options).serve(listener, token, stop.clone());
    World {
        token: std::fs::read_to_string(path).unwrap().trim().to_owned(),
        serving: tokio::spawn(serving),
        sandbox,
        address,
        stop,
    }
}

impl World {
    async fn connect(&self) -> Client {
        Client::of(&self.address, &format!("Bearer {}", self.token)).await
    }

    /// Takes a node down, so that it does not answer.
    fn down(&self, node: &str) {
        let dir = self.sandbox.dir();
        datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", node]).returns(0);
    }

    /// Puts something in its place that takes connections and says nothing.
    fn silent(&self, node: &str) -> TcpListener {
        self.down(node);
        let config = self.sandbox.dir().join("nodes").join(node).join("node.toml");
        TcpListener::bind(node::Config::load(&config).unwrap().listen.unwrap()).unwrap()
    }
}

/// One connection.
#[derive(Clone)]
pub(super) struct Client {
    flight: FlightServiceClient<Channel>,
    bearer: String,
}

/// How something ended: its first message, if any.
async fn first<T>(answer: Result<Response<Streaming<T>>, Status>) -> Result<Option<T>, Status> {
    answer?.into_inner().next().await.transpose()
}

impl Client {
    pub(super) async fn of(address: &str, bearer: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Self {
            flight: FlightServiceClient::new(endpoint.connect().await.unwrap()),
            bearer: bearer.to_owned(),
        }
    }

    fn request<T>(&self, message: T, headers: &[(&'static str, &str)]) -> Request<T> {
        let mut request = Request::new(message);
        let bearer = Some(("authorization", self.bearer.as_str())).filter(|(_, bearer)| !bearer.is_empty());
        for (name, value) in bearer.iter().chain(headers) {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        request
    }

    async fn info(&self, command: Any, headers: &[(&'static str, &str)]) -> Result<Option<Ticket>, Status> {
        let descriptor = FlightDescriptor::new_cmd(command.encode_to_vec());
        let info = self
            .flight
            .clone()
            .get_flight_info(self.request(descriptor, headers))
            .await?;
        Ok(info
            .into_inner()
            .endpoint
            .into_iter()
            .find_map(|endpoint| endpoint.ticket))
    }

    pub(super) async fn ticket(&self, sql: &str, headers: &[(&'static str, &str)]) -> Result<Ticket, Status> {
        let command = CommandStatementQuery {
            query: sql.to_owned(),
            transaction_id: None,
        };
        Ok(self.info(command.as_any(), headers).await?.unwrap())
    }

    pub(super) async fn get(&self, ticket: Ticket) -> Result<(), Status> {
        let messages = self
            .flight
            .clone()
            .do_get(self.request(ticket, &[]))
            .await?
            .into_inner();
        messages.try_for_each(|_| async { Ok(()) }).await
    }

    pub(super) async fn ask(&self, sql: &str, headers: &[(&'static str, &str)]) -> Result<(), Status> {
        self.get(self.ticket(sql, headers).await?).await
    }

    pub(super) async fn act(&self, name: &str, body: Vec<u8>) -> Result<Option<arrow_flight::Result>, Status> {
        let action = Action::new(name, body);
        first(self.flight.clone().do_action(self.request(action, &[])).await).await
    }

    async fn prepare(&self, sql: &str) -> Vec<u8> {
        let create = ActionCreatePreparedStatementRequest {
            query: sql.to_owned(),
            transaction_id: None,
        };
        let result = self
            .act("CreatePreparedStatement", create.as_any().encode_to_vec())
            .await
            .unwrap();
        let result: ActionCreatePreparedStatementResult =
            Any::decode(result.unwrap().body).unwrap().unpack().unwrap().unwrap();
        result.prepared_statement_handle.to_vec()
    }

    /// Binds what is in these messages to a prepared statement.
    async fn bind(&self, handle: &[u8], mut messages: Vec<FlightData>) -> Result<(), Status> {
        let command = CommandPreparedStatementQuery {
            prepared_statement_handle: handle.to_vec().into(),
        };
        messages[0].flight_descriptor = Some(FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
        first(
            self.flight
                .clone()
                .do_put(self.request(stream::iter(messages), &[]))
                .await,
        )
        .await
        .map(drop)
    }
}

fn says(ended: Result<(), Status>, problem: Problem) {
    let status = ended.expect_err(problem.code());
    let ended = wire::status::from_status(&status, "the gateway");
    assert_eq!(ended.report.problem, problem, "{status:?}");
    assert!(!ended.report.remedy.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_called_without_the_token_is_refused() {
    let world = world().await;
    let right = world.connect().await;
    let ticket = right.ticket(OWN, &[]).await.unwrap();
    let (_, own_token) = right.bearer.split_once(' ').unwrap();
    for bearer in [
        String::new(),
        "Bearer wrong".to_owned(),
        format!("Token {own_token}"),
        own_token.to_owned(),
    ] {
        let stranger = Client {
            bearer,
            ..right.clone()
        };
        let mut flight = stranger.flight.clone();
        let descriptor = || FlightDescriptor::new_cmd(CommandGetTables::default().as_any().encode_to_vec());
        let data = || stream::iter([FlightData::default()]);
        let ends: Vec<Result<(), Status>> = vec![
            stranger.ask(OWN, &[]).await,
            stranger.get(ticket.clone()).await,
            stranger.info(CommandGetTables::default().as_any(), &[]).await.map(drop),
            stranger.act("SetSessionOptions", Vec::new()).await.map(drop),
            stranger.act("CreatePreparedStatement", Vec::new()).await.map(drop),
            first(
                flight
                    .handshake(stranger.request(stream::iter([HandshakeRequest::default()]), &[]))
                    .await,
            )
            .await
            .map(drop),
            first(flight.list_flights(stranger.request(Criteria::default(), &[])).await)
                .await
                .map(drop),
            first(flight.list_actions(stranger.request(Empty {}, &[])).await)
                .await
                .map(drop),
            flight.get_schema(stranger.request(descriptor(), &[])).await.map(drop),
            flight
                .poll_flight_info(stranger.request(descriptor(), &[]))
                .await
                .map(drop),
            first(flight.do_put(stranger.request(data(), &[])).await)
                .await
                .map(drop),
            first(flight.do_exchange(stranger.request(data(), &[])).await)
                .await
                .map(drop),
        ];
        for (number, end) in ends.into_iter().enumerate() {
            let status = end.expect_err("a call without the token");
            assert_eq!(status.code(), Code::Unauthenticated, "call {number}: {status:?}");
        }
    }
    right.get(ticket).await.unwrap();
    world.stop.cancel();
    tokio::time::timeout(Duration::from_secs(8), world.serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_statements_and_values_that_are_not_right_are_refused_and_the_gateway_goes_on() {
    let world = world().await;
    let (mine, other) = (world.connect().await, world.connect().await);
    // Another connection's ticket, a used one, and ones that were never given out.
    let ticket = mine.ticket(OWN, &[]).await.unwrap();
    says(other.get(ticket.clone()).await, Problem::Ticket);
    mine.get(ticket.clone()).await.unwrap();
    says(mine.get(ticket).await, Problem::Ticket);
    let made_up = TicketStatementQuery {
        statement_handle: b"SELECT 1".to_vec().into(),
    };
    says(
        mine.get(Ticket::new(made_up.as_any().encode_to_vec())).await,
        Problem::Ticket,
    );
    for bytes in [vec![], b"SELECT 1".to_vec(), vec![0xff; 100]] {
        assert!(mine.get(Ticket::new(bytes)).await.is_err());
    }
    // The same with prepared statements.
    let handle = mine
        .prepare("SELECT count(*) AS n FROM measles_weekly WHERE year = ?")
        .await;
    let asks = |handle: &[u8]| {
        let prepared_statement_handle = handle.to_vec().into();
        CommandPreparedStatementQuery {
            prepared_statement_handle,
        }
        .as_any()
    };
    says(other.info(asks(&handle), &[]).await.map(drop), Problem::Ticket);
    let ticket = mine.info(asks(&handle), &[]).await.unwrap().unwrap();
    says(mine.get(ticket).await, Problem::Parameters);
    let years = |years: Vec<i64>| async {
        let column: ArrayRef = Arc::new(Int64Array::from(years));
        let batch = RecordBatch::try_from_iter([("year", column)]).unwrap();
        let messages = FlightDataEncoderBuilder::new().build(stream::iter([Ok(batch)]));
        messages.try_collect::<Vec<FlightData>>().await.unwrap()
    };
    says(
        mine.bind(&handle, years(vec![2001, 2002]).await).await,
        Problem::Parameters,
    );
    says(other.bind(&handle, years(vec![2001]).await).await, Problem::Ticket);
    let mut garbled = years(vec![2001]).await;
    garbled[1].data_body = vec![1, 2, 3].into();
    says(mine.bind(&handle, garbled).await, Problem::Parameters);
    mine.bind(&handle, years(vec![2001]).await).await.unwrap();
    let ticket = mine.info(asks(&handle), &[]).await.unwrap().unwrap();
    mine.get(ticket).await.unwrap();
    // What is not there is refused.
    let update = CommandStatementUpdate::default().as_any();
    let mut messages = years(vec![2001]).await;
    messages[0].flight_descriptor = Some(FlightDescriptor::new_cmd(update.encode_to_vec()));
    let put = mine
        .flight
        .clone()
        .do_put(mine.request(stream::iter(messages), &[]))
        .await;
    assert_eq!(first(put).await.unwrap_err().code(), Code::Unimplemented);
    let begin = ActionBeginTransactionRequest::default().as_any().encode_to_vec();
    assert_eq!(
        mine.act("BeginTransaction", begin).await.unwrap_err().code(),
        Code::Unimplemented
    );
    says(mine.act("Shutdown", Vec::new()).await.map(drop), Problem::SqlNotAllowed);
    says(
        mine.act("CancelFlightInfo", Vec::new()).await.map(drop),
        Problem::SqlNotAllowed,
    );
    says(
        mine.ask("COPY measles_weekly TO '/tmp/x'", &[]).await,
        Problem::SqlNotAllowed,
    );
    says(
        mine.ask("SELECT * FROM datenraum.coverage, measles_weekly", &[]).await,
        Problem::SqlCollection,
    );
    says(
        mine.ask(PEOPLE, &[("datenraum-purpose", "ehds-54-b")]).await,
        Problem::Prohibited,
    );
    mine.ask(PEOPLE, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_are_told_and_there_is_nothing_to_poll_for() {
    let world = world().await;
    let client = world.connect().await;
    let mut flight = client.flight.clone();
    let handle = client.prepare(OWN).await;
    let statement = |sql: &str| CommandStatementQuery {
        query: sql.to_owned(),
        transaction_id: None,
    };
    let prepared = |handle: &[u8]| CommandPreparedStatementQuery {
        prepared_statement_handle: handle.to_vec().into(),
    };
    let descriptor = |command: Any| FlightDescriptor::new_cmd(command.encode_to_vec());
    for (command, problem) in [
        (
            statement("SELECT count(*) FROM nowhere").as_any(),
            Problem::SqlCollection,
        ),
        (
            statement("COPY lung_cancer TO '/tmp/x'").as_any(),
            Problem::SqlNotAllowed,
        ),
        (prepared(b"never given out").as_any(), Problem::Ticket),
    ] {
        let told = flight
            .get_schema(client.request(descriptor(command.clone()), &[]))
            .await;
        says(told.map(drop), problem);
        let polled = flight.poll_flight_info(client.request(descriptor(command), &[])).await;
        says(polled.map(drop), problem);
    }
    let garbled = FlightDescriptor::new_cmd(vec![0xff; 9]);
    assert!(flight.get_schema(client.request(garbled.clone(), &[])).await.is_err());
    assert!(flight.poll_flight_info(client.request(garbled, &[])).await.is_err());
    // More often than questions can wait: none is kept.
    let sql = "SELECT sex, count(*) AS people FROM lung_cancer GROUP BY sex";
    for _ in 0..=limit::GATEWAY_TICKETS_MAX {
        let command = statement(sql).as_any();
        let told = flight
            .get_schema(client.request(descriptor(command), &[]))
            .await
            .unwrap();
        let schema = Schema::try_from(&told.into_inner()).unwrap();
        let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
        assert_eq!(names, ["sex", "people"]);
    }
    for (command, column) in [
        (prepared(&handle).as_any(), "one"),
        (CommandGetTables::default().as_any(), "catalog_name"),
    ] {
        let told = flight
            .get_schema(client.request(descriptor(command), &[]))
            .await
            .unwrap();
        assert_eq!(Schema::try_from(&told.into_inner()).unwrap().field(0).name(), column);
    }
    let poll = client.request(descriptor(statement(sql).as_any()), &[]);
    let polled = flight.poll_flight_info(poll).await.unwrap().into_inner();
    assert!(polled.flight_descriptor.is_none(), "{polled:?}");
    let ticket = polled.info.unwrap().endpoint.remove(0).ticket.unwrap();
    client.get(ticket).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_answer_is_refused_and_questions_that_nobody_waits_for_are_dropped() {
    let world = world().await;
    world.down("rotterdam");
    let client = world.connect().await;
    says(client.ask(PEOPLE, &[]).await, Problem::Partial);
    says(
        client.ask(PEOPLE, &[("datenraum-minimum-nodes", "2")]).await,
        Problem::Partial,
    );
    client.ask(PEOPLE, &[("datenraum-minimum-nodes", "1")]).await.unwrap();

    let _silent = world.silent("ncctg-12");
    for round in 0..2 {
        // As many questions as may be asked at the same time, on connections of their own.
        let mut asking = Vec::new();
        for _ in 0..limit::GATEWAY_QUESTIONS_MAX {
            let client = world.connect().await;
            let ticket = client.ticket(LUNG, &[]).await.unwrap();
            asking.push(tokio::spawn(async move { client.get(ticket).await }));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(
            asking.iter().all(|asking| !asking.is_finished()),
            "round {round}: nobody has answered"
        );
        says(client.ask(PEOPLE, &[]).await, Problem::Resources);
        client.ask(OWN, &[]).await.unwrap();
        // With the call, or the whole connection, the question is gone.
        asking.iter().for_each(JoinHandle::abort);
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.ask(PEOPLE, &[("datenraum-minimum-nodes", "1")]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_anew_asks_with_the_credential_of_now_or_not_at_all() {
    let sandbox = Sandbox::up(&project().join("tests/clients/gateway.toml"));
    let folder = sandbox.dir().join("people/ada");
    let profile = Profile::load(&folder.join("person.toml")).unwrap();
    let asker = Box::pin(Asker::open(profile, Arc::new(SystemClock))).await.unwrap();
    let question = Question {
        sql: PEOPLE.to_owned(),
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        permit: None,
        tables: federation::Tables::default(),
        timeout: None,
    };
    let answers = |answer: Result<Answer, Report>| answer.unwrap().took_part().answered();
    assert_eq!(answers(Box::pin(asker.ask(&question)).await), 2);
    let renewed = Box::pin(asker.renewed()).await.unwrap();
    assert_eq!(answers(Box::pin(renewed.ask(&question)).await), 2);
    std::fs::write(folder.join("credential.jwt"), "none").unwrap();
    let refused = Box::pin(renewed.renewed()).await.unwrap_err();
    assert_eq!(refused.problem, Problem::TokenMalformed);
}

#[test]
fn a_gateway_that_other_machines_could_reach_does_not_start() {
    let place = tempfile::tempdir().unwrap();
    let run = datenraum([
        "gateway",
        "run",
        "--listen",
        "0.0.0.0:0",
        "--sandbox",
        place.path().to_str().unwrap(),
    ]);
    run.returns(2)
        .fails_with("E_USAGE", "other machines can reach 0.0.0.0:0");
}

#[test]
fn a_gateway_that_is_told_so_ends_with_its_input() {
    let sandbox = Sandbox::up(&project().join("tests/clients/gateway.toml"));
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_datenraum"))
        .args([
            "gateway",
            "run",
            "--listen",
            "127.0.0.1:0",
            "--until-input-ends",
            "--json",
        ])
        .args(["--sandbox".as_ref(), sandbox.dir().as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(gateway.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("endpoint"), "{line}");
    assert!(gateway.try_wait().unwrap().is_none(), "it ends while its input goes on");
    drop(gateway.stdin.take());
    let until = Instant::now() + Duration::from_secs(30);
    while gateway.try_wait().unwrap().is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = gateway.try_wait().unwrap();
    gateway.kill().unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
}
