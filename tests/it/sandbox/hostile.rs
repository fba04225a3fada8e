//! A node that lies, in every way that comes to mind: its answer is left out by name, and the other's numbers stand.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{SqlInfo, TicketStatementQuery};
use arrow_flight::{Action, FlightData, Ticket};
use federation::{Answer, Asker, DryRun, Profile, Question, Status as NodeStatus, Would};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use prost::Message;
use terms::{Problem, SystemClock, UtcTime};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};
use trust::{Digest, Receipt, SigningKey};
use wire::dry_run::{AllowingRule, Checks, Tier, WouldAllow};
use wire::status::{Ended, to_status};

use super::{Sandbox, datenraum};

const SPEC: &str = r#"
space       = "clinics"
board       = { members = 3, threshold = 2 }
collections = ["collections/stays.toml"]
policies    = ["policies/stays-statistics.toml"]

[[node]]
id       = "clinic-a"
roles    = ["hospital"]
datasets = [{ collection = "stays", path = "stays.csv" }]

[[node]]
id       = "clinic-b"
roles    = ["hospital"]
datasets = [{ collection = "stays", path = "stays.csv" }]

[[person]]
id     = "ada"
member = "university"
roles  = ["university"]
"#;

const SQL: &str = "SELECT ward, count(*) AS n FROM stays GROUP BY ward ORDER BY ward";

/// What a node sends, in the hands of whoever lies.
struct Told {
    batches: Vec<RecordBatch>,
    receipt: Receipt,
    key: Arc<SigningKey>,
    /// What goes over the wire in place of the batches.
    messages: Option<Vec<FlightData>>,
    /// What goes in the place of a receipt.
    header: Option<Vec<u8>>,
    has_header: bool,
}

type Lie = fn(&mut Told);

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn numbers(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, columns.into_iter().map(|(_, column)| column).collect()).unwrap()
}

/// Ten people in each of two wards, all numbers told.
fn cells(wards: &[Option<&str>], counts: ArrayRef) -> RecordBatch {
    let withheld = new_null_array(&DataType::Utf8, wards.len());
    table(vec![("g0", text(wards)), ("a0", counts), ("withheld", withheld)])
}

const WARDS: [Option<&str>; 2] = [Some("medicine"), Some("surgery")];

impl Told {
    fn the_truth(key: Arc<SigningKey>, sql: &str, request: Option<&str>) -> Self {
        let receipt = Receipt {
            query_id: trust::new_query_id().unwrap(),
            request: request.map(|request| request.parse().unwrap()),
            node: "clinic-b".parse().unwrap(),
            space: "clinics".parse().unwrap(),
            query: Digest::of(sql.as_bytes()),
            policy: "stays-statistics".parse().unwrap(),
            policy_version: 1,
            policy_digest: Digest::of(b"policy"),
            permit: None,
            rule: "statistics".parse().unwrap(),
            joined: Vec::new(),
            data: Vec::new(),
            min_people: Some(3),
            duties: Vec::new(),
            rows: 0,
            blanked_values: 0,
            kept_values: 0,
            round_to: None,
            result: Digest::of(b""),
            audit_index: 7,
            at: UtcTime::now(),
        };
        let mut told = Self {
            batches: Vec::new(),
            receipt,
            key,
            messages: None,
            header: None,
            has_header: true,
        };
        told.say(cells(&WARDS, numbers(&[Some(10), Some(10)])));
        told
    }

    /// Says something, with a receipt that fits.
    fn say(&mut self, batch: RecordBatch) {
        self.receipt.rows = batch.num_rows() as u64;
        self.receipt.result = engine::digest_of(&batch.schema(), std::slice::from_ref(&batch));
        self.batches = vec![batch];
    }

    /// What honest nodes put on the wire.
    async fn encoded(&self) -> Vec<FlightData> {
        let batches: Vec<Result<RecordBatch, FlightError>> = self.batches.iter().cloned().map(Ok).collect();
        let encoded = FlightDataEncoderBuilder::new().build(stream::iter(batches));
        encoded.try_collect().await.unwrap()
    }
}

/// By what it says and what must be said of it.
fn lies() -> Vec<(&'static str, Lie)> {
    vec![
        ("one column more", |told| {
            let withheld = new_null_array(&DataType::Utf8, 2);
            let counts = numbers(&[Some(10), Some(10)]);
            told.say(table(vec![
                ("g0", text(&WARDS)),
                ("a0", counts),
                ("name", text(&[Some("x"), None])),
                ("withheld", withheld),
            ]));
        }),
        ("a column less", |told| {
            told.say(table(vec![
                ("g0", text(&WARDS)),
                ("a0", numbers(&[Some(10), Some(10)])),
            ]))
        }),
        ("a count that is not a number", |told| {
            told.say(cells(&WARDS, Arc::new(Float64Array::from(vec![f64::NAN, 10.0]))));
        }),
        ("a count that is a text", |told| {
            told.say(cells(&WARDS, text(&[Some("10"), Some("10")])));
        }),
        ("wards that are numbers", |told| {
            let counts = numbers(&[Some(10), Some(10)]);
            let withheld = new_null_array(&DataType::Utf8, 2);
            told.say(table(vec![
                ("g0", numbers(&[Some(1), Some(2)])),
                ("a0", counts),
                ("withheld", withheld),
            ]));
        }),
        ("a cell twice", |told| {
            told.say(cells(
                &[Some("surgery"), Some("surgery")],
                numbers(&[Some(10), Some(10)]),
            ));
        }),
        ("the cell of no ward twice", |told| {
            told.say(cells(&[None, None], numbers(&[Some(10), Some(10)])))
        }),
        ("a count below nothing", |told| {
            told.say(cells(&WARDS, numbers(&[Some(10), Some(-20)])))
        }),
        ("a count of fewer than the policy says", |told| {
            told.say(cells(&WARDS, numbers(&[Some(10), Some(2)])))
        }),
        ("a number that is missing without a reason", |told| {
            told.say(cells(&WARDS, numbers(&[Some(10), None])))
        }),
        ("a reason for a number that is there", |told| {
            let reasons = text(&[None, Some("a0: few-people")]);
            told.say(table(vec![
                ("g0", text(&WARDS)),
                ("a0", numbers(&[Some(10), Some(10)])),
                ("withheld", reasons),
            ]));
        }),
        ("a reason that there is not", |told| {
            let reasons = text(&[None, Some("a0: because")]);
            told.say(table(vec![
                ("g0", text(&WARDS)),
                ("a0", numbers(&[Some(10), None])),
                ("withheld", reasons),
            ]));
        }),
        ("more rows than a node releases", |told| {
            let rows = 200_000;
            let names: Vec<String> = (0..rows).map(|row| row.to_string()).collect();
            let wards: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
            told.say(cells(&wards, numbers(&vec![Some(10); rows])));
        }),
        ("the beginning of an answer", |told| {
            told.batches[0] = told.batches[0].slice(0, 1)
        }),
        ("an answer and the same again", |told| {
            told.batches.push(told.batches[0].clone())
        }),
        ("nothing at all", |told| told.messages = Some(Vec::new())),
        ("no receipt", |told| told.has_header = false),
        ("something else for a receipt", |told| {
            told.header = Some(b"{\"payload\": 1}".to_vec())
        }),
        ("a receipt of 10 kB", |told| told.header = Some(vec![b'x'; 10_000])),
        ("a receipt that somebody else signed", |told| {
            told.key = Arc::new(SigningKey::generate().unwrap())
        }),
        ("a receipt for another node", |told| {
            told.receipt.node = "clinic-a".parse().unwrap()
        }),
        ("a receipt for another data space", |told| {
            told.receipt.space = "other".parse().unwrap()
        }),
        ("a receipt for another question", |told| {
            told.receipt.query = Digest::of(b"SELECT 1")
        }),
        ("a receipt for another request", |told| {
            told.receipt.request = Some("another".parse().unwrap())
        }),
        ("a receipt for no request", |told| told.receipt.request = None),
        ("a receipt under another permit", |told| {
            told.receipt.permit = Some("study".parse().unwrap())
        }),
        ("a receipt for more rows", |told| told.receipt.rows += 1),
        ("a receipt for other numbers", |told| {
            told.receipt.result = Digest::of(b"other")
        }),
    ]
}

/// What is changed in the bytes of an honest answer.
fn garbled(messages: &mut Vec<FlightData>, how: usize) {
    let last = messages.len() - 1;
    let cut = |bytes: &prost::bytes::Bytes, at: usize| bytes.slice(0..at.min(bytes.len()));
    let filled = |bytes: &prost::bytes::Bytes, with: u8| vec![with; bytes.len()].into();
    match how {
        0 => messages[last].data_body = cut(&messages[last].data_body, 8),
        1 => messages[last].data_header = cut(&messages[last].data_header, 16),
        2 => messages[last].data_header = filled(&messages[last].data_header, 0xff),
        3 => messages[last].data_body = filled(&messages[last].data_body, 0xff),
        4 => messages[0].data_header = filled(&messages[0].data_header, 0x00),
        5 => messages.swap(0, last),
        _ => drop(messages.remove(0)),
    }
}

const GARBLED: usize = 7;

/// One message about what a node would do.
type Said = Result<Vec<u8>, Ended>;

/// A node with the right key that says what it is told to say.
#[derive(Clone)]
struct Liar {
    key: Arc<SigningKey>,
    lie: Arc<Mutex<Option<Lie>>>,
    garbled: Arc<Mutex<Option<usize>>>,
    /// What it says when it is asked whether it would answer.
    whether: Arc<Mutex<Vec<Said>>>,
}

#[tonic::async_trait]
impl FlightSqlService for Liar {
    type FlightService = Liar;

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let named = wire::v1::QueryTicket::decode(ticket.statement_handle).unwrap();
        let tokens = wire::header::read(request.metadata()).unwrap();
        let mut told = Told::the_truth(Arc::clone(&self.key), &named.sql, tokens.request);
        if let Some(lie) = *self.lie.lock().unwrap() {
            lie(&mut told);
        }
        let mut messages = match told.messages.take() {
            Some(messages) => messages,
            None => told.encoded().await,
        };
        if let Some(how) = *self.garbled.lock().unwrap() {
            garbled(&mut messages, how);
        }
        let data: Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>> =
            stream::iter(messages).map(Ok).boxed();
        let mut response = Response::new(data);
        if told.has_header {
            let envelope = told.receipt.seal(&told.key).unwrap();
            let header = told.header.unwrap_or_else(|| serde_json::to_vec(&envelope).unwrap());
            wire::header::attach_receipt(response.metadata_mut(), &header);
        }
        Ok(response)
    }

    async fn do_action_fallback(
        &self,
        _: Request<Action>,
    ) -> Result<Response<<Self as FlightService>::DoActionStream>, Status> {
        let said = self.whether.lock().unwrap().clone().into_iter();
        let said = said.map(|said| said.map(arrow_flight::Result::new).map_err(|ended| to_status(&ended)));
        Ok(Response::new(stream::iter(said.collect::<Vec<_>>()).boxed()))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

/// Two clinics, of which the second is a liar.
struct Clinics {
    asker: Asker,
    liar: Liar,
    /// Up for as long as they are asked.
    _sandbox: Sandbox,
}

impl Clinics {
    async fn new() -> Self {
        let rows = (1..=20).map(|person| format!("p{person},{},{person}\n", ["surgery", "medicine"][person % 2]));
        let data = format!("patient_id,ward,days\n{}", rows.collect::<String>());
        let (sandbox, run) = Sandbox::of(&[
            ("spec.toml", SPEC),
            (
                "collections/stays.toml",
                include_str!("../../../examples/own/collections/stays.toml"),
            ),
            (
                "policies/stays-statistics.toml",
                include_str!("../../../examples/own/policies/stays-statistics.toml"),
            ),
            ("stays.csv", &data),
        ]);
        run.returns(0);
        let dir = sandbox.dir();
        datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", "clinic-b"]).returns(0);
        let config = node::Config::load(&dir.join("nodes/clinic-b/node.toml")).unwrap();
        let liar = Liar {
            key: Arc::new(SigningKey::load(&config.key).unwrap()),
            lie: Arc::default(),
            garbled: Arc::default(),
            whether: Arc::default(),
        };
        let listener = TcpListener::bind(config.listen.as_deref().unwrap()).await.unwrap();
        let tls = wire::tls::server_config(&liar.key, "clinic-b").unwrap();
        let service = FlightServiceServer::new(liar.clone());
        tokio::spawn(
            wire::serve::server()
                .add_service(service)
                .serve_with_incoming(wire::Incoming::new(listener, tls)),
        );
        let profile = Profile::load(&dir.join("people/ada/person.toml")).unwrap();
        let asker = Box::pin(Asker::open(profile, Arc::new(SystemClock))).await.unwrap();
        Self {
            asker,
            liar,
            _sandbox: sandbox,
        }
    }

    async fn ask(&self) -> Answer {
        Box::pin(self.asker.ask(&question())).await.unwrap()
    }

    async fn ask_whether(&self, said: Vec<Said>) -> DryRun {
        *self.liar.whether.lock().unwrap() = said;
        Box::pin(self.asker.dry_run(&question())).await.unwrap()
    }

    /// Asks, and asserts that the honest clinic's numbers stand alone.
    async fn leaves_out(&self, name: &str) {
        let answer = self.ask().await;
        let [honest, liar] = answer.coverage.as_slice() else {
            panic!("{name}: {:?}", answer.coverage);
        };
        assert_eq!(honest.status, NodeStatus::Answered, "{name}: {:?}", honest.message);
        assert_eq!(liar.status, NodeStatus::Failed, "{name}: {:?}", liar.message);
        assert_eq!(liar.problem, Some(Problem::Answer), "{name}: {:?}", liar.message);
        assert!(liar.receipts.is_empty(), "{name}");
        assert_eq!(counts(&answer), [10, 10], "{name}");
        assert_eq!(answer.took_part().exit_code(), terms::ExitCode::Partial, "{name}");
    }
}

fn question() -> Question {
    Question {
        sql: SQL.to_owned(),
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        permit: None,
        tables: federation::Tables::default(),
        timeout: None,
    }
}

fn counts(answer: &Answer) -> Vec<i64> {
    let column = |batch: &RecordBatch| {
        batch
            .column(1)
            .as_any()
            .downcast_ref::<Int64Array>()
            .unwrap()
            .values()
            .to_vec()
    };
    answer.batches.iter().flat_map(column).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_36_a_node_that_lies_is_left_out_by_name_and_the_others_numbers_stand() {
    let clinics = Clinics::new().await;
    let answer = clinics.ask().await;
    assert_eq!(counts(&answer), [20, 20], "{:?}", answer.coverage);
    for (name, lie) in lies() {
        *clinics.liar.lie.lock().unwrap() = Some(lie);
        clinics.leaves_out(name).await;
    }
    *clinics.liar.lie.lock().unwrap() = None;
    for how in 0..GARBLED {
        *clinics.liar.garbled.lock().unwrap() = Some(how);
        clinics.leaves_out(&format!("bytes garbled in way {how}")).await;
    }
    *clinics.liar.garbled.lock().unwrap() = None;
    assert_eq!(counts(&clinics.ask().await), [20, 20]);
}

fn would_allow(collection: &str, permit: Option<&str>) -> Vec<u8> {
    let would = WouldAllow {
        query_id: "q1".parse().unwrap(),
        rules: vec![AllowingRule {
            collection: collection.parse().unwrap(),
            policy: "stays-statistics".parse().unwrap(),
            version: 1,
            rule: "statistics".parse().unwrap(),
        }],
        permit: permit.map(|permit| permit.parse().unwrap()),
        checks: Checks {
            tier: Tier::Statistical,
            min_people: Some(3),
            dominance: None,
            p_percent: None,
            round_to: None,
            zeros_protected: false,
        },
        duties: Vec::new(),
        costs: Vec::new(),
    };
    would.encode()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lies_about_what_it_would_do_is_named_and_the_other_is_heard() {
    let clinics = Clinics::new().await;
    let truth = || Ok(would_allow("stays", None));
    let lies = [
        ("it says nothing", vec![]),
        ("it says it twice", vec![truth(), truth()]),
        ("it goes on and on", vec![truth(); 1_000]),
        ("noise", vec![Ok(vec![0xff; 64])]),
        ("too much", vec![Ok(vec![0; 1 << 20])]),
        ("of another collection", vec![Ok(would_allow("wards", None))]),
        (
            "under a permit that nobody named",
            vec![Ok(would_allow("stays", Some("study-7")))],
        ),
    ];
    for (name, lie) in lies {
        let run = clinics.ask_whether(lie).await;
        let [honest, liar] = run.parts[0].nodes.as_slice() else {
            panic!("{name}: {run:?}");
        };
        assert!(matches!(honest.would, Would::Allowed(_)), "{name}: {honest:?}");
        assert!(matches!(liar.would, Would::Failed(_)), "{name}: {liar:?}");
        assert_eq!(run.exit_code(), terms::ExitCode::Partial, "{name}");
    }
    let ended = Ended {
        report: Problem::Quota.report("used\u{1b}[2Jup"),
        query_id: None,
    };
    let run = clinics.ask_whether(vec![Err(ended)]).await;
    let Would::Refused(ended) = &run.parts[0].nodes[1].would else {
        panic!("{run:?}");
    };
    assert_eq!(ended.report.message, "used [2Jup");
    let run = clinics.ask_whether(vec![truth()]).await;
    assert_eq!(run.exit_code(), terms::ExitCode::Ok);
}
