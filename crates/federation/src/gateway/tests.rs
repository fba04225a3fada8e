//! What the gateway refuses, without a server; `tests/it/sandbox/gateway.rs` has whole stories.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::Int64Array;
use arrow::record_batch::RecordBatch;
use futures::StreamExt as _;
use terms::{Problem, limit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::server::Connected as _;
use tonic::{Code, Request};

use super::connection::{Session, incoming};
use super::door::{AUTHORIZATION, Door};
use super::options::Wrong;
use super::told::{ResultSet, Told, enough};
use super::{Asked, Listener, Options, Token};
use crate::answer::{Answer, Coverage, Status};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn token(text: &str) -> (tempfile::TempDir, Token) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.token");
    trust::durable::replace(&path, text.as_bytes()).unwrap();
    let token = Token::of_file(&path).unwrap();
    (folder, token)
}

fn basic(both: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(both))
}

#[test]
fn whoever_has_not_the_token_exactly_once_is_not_let_in() {
    let (_folder, token) = token(&format!("{SECRET}\n"));
    let mut door = Door(token);
    let mut enter = |headers: &[&str]| {
        let mut request = Request::new(());
        for header in headers {
            request.metadata_mut().append(AUTHORIZATION, header.parse().unwrap());
        }
        door.call(request).map(drop).map_err(|status| status.code())
    };
    let right = format!("Bearer {SECRET}");
    let refused = [
        vec![],
        vec![String::new()],
        vec![SECRET.to_owned()],
        vec!["Bearer ".to_owned()],
        vec![format!("Bearer {SECRET}0")],
        vec![format!("Bearer {}", &SECRET[1..])],
        vec![format!("Bearer  {SECRET}")],
        vec![format!("Token {SECRET}")],
        vec![basic("ada:wrong")],
        vec![basic(SECRET)],
        vec![basic(&format!("{SECRET}:ada"))],
        vec![format!("Basic {SECRET}")],
        vec!["Basic".to_owned()],
        vec![right.clone(), right.clone()],
        vec![right.clone(), "Bearer other".to_owned()],
    ];
    for headers in refused {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        assert_eq!(enter(&headers), Err(Code::Unauthenticated), "{headers:?}");
    }
    for header in [
        right,
        format!("bearer {SECRET}"),
        basic(&format!("ada:{SECRET}")),
        basic(&format!(":{SECRET}")),
    ] {
        assert_eq!(enter(&[&header]), Ok(()), "{header}");
    }
}

#[test]
fn a_token_is_made_once_and_shown_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.token");
    let made = Token::of_file(&path).unwrap().as_bearer();
    assert_eq!(Token::of_file(&path).unwrap().as_bearer(), made);
    assert!(made.len() > 40, "{made}");
    let shown = format!("{:?}", Token::of_file(&path).unwrap());
    assert!(!shown.contains(&made["Bearer ".len()..]), "{shown}");
    let other = folder.path().join("other.token");
    assert_ne!(Token::of_file(&other).unwrap().as_bearer(), made);
}

#[cfg(unix)]
#[test]
fn a_token_that_others_can_read_or_that_is_none_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.token");
    Token::of_file(&path).unwrap();
    for mode in [0o604, 0o640, 0o660] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            Token::of_file(&path).unwrap_err().problem,
            Problem::FileValue,
            "{mode:o}"
        );
    }
    for text in [
        "",
        "short",
        "with a space in the middle of the token",
        "zwei\nZeilen, das ist kein Token für uns",
    ] {
        trust::durable::replace(&path, text.as_bytes()).unwrap();
        assert_eq!(
            Token::of_file(&path).unwrap_err().problem,
            Problem::FileValue,
            "{text:?}"
        );
    }
}

#[tokio::test]
async fn an_address_that_other_machines_reach_is_refused() {
    for address in [
        "0.0.0.0:0",
        "[::]:0",
        "192.0.2.1:0",
        "10.0.0.1:0",
        "[::ffff:127.0.0.1]:0",
        "localhost:0",
        "127.0.0.1",
        "",
    ] {
        let refused = Listener::bind(address).await.unwrap_err();
        assert_eq!(refused.problem, Problem::Usage, "{address}");
        assert!(refused.remedy.contains("127.0.0.1"), "{}", refused.remedy);
    }
    let bound = Listener::bind("127.0.0.1:0").await.unwrap().bound();
    assert!(bound.ip().is_loopback());
    let taken = Listener::bind(&bound.to_string()).await;
    drop(taken);
}

#[test]
fn an_option_that_is_not_known_or_cannot_be_is_refused() {
    let headers = |headers: &[(&'static str, &str)]| {
        let mut map = MetadataMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse::<MetadataValue<_>>().unwrap());
        }
        Options::of_headers(&map)
    };
    for wrong in [
        &[("datenraum-purpos", "ehds-53-1-e")][..],
        &[("datenraum-purpose", "research")],
        &[("datenraum-permit", "No Id")],
        &[("datenraum-minimum-nodes", "0")],
        &[("datenraum-minimum-nodes", "-1")],
        &[("datenraum-minimum-nodes", "half")],
        &[("datenraum-timeout-seconds", "0")],
        &[("datenraum-timeout-seconds", "3601")],
        &[("datenraum-timeout-seconds", "soon")],
        &[
            ("datenraum-purpose", "ehds-53-1-e"),
            ("datenraum-purpose", "ehds-53-1-e"),
        ],
    ] {
        assert_eq!(headers(wrong).unwrap_err().problem, Problem::Option, "{wrong:?}");
    }
    let of_call = headers(&[("datenraum-minimum-nodes", "3"), ("user-agent", "x")]).unwrap();
    let mut of_session = Options::default();
    of_session.set("minimum_nodes", "2").unwrap();
    of_session.set("timeout_seconds", "30").unwrap();
    of_session.set("purpose", "ehds-53-1-e").unwrap();
    assert_eq!(of_session.set("foo", "1"), Err(Wrong::Name));
    let both = of_call.or(&of_session);
    assert_eq!(both.value("minimum_nodes").as_deref(), Some("3"));
    assert_eq!(both.value("purpose").as_deref(), Some("ehds-53-1-e"));
    assert_eq!(both.value("timeout_seconds").as_deref(), Some("30"));
    of_session.set("purpose", "").unwrap();
    assert_eq!(of_session.value("purpose"), None);
}

fn coverage(node: &str, problem: Option<Problem>) -> Coverage {
    Coverage {
        node: node.parse().unwrap(),
        status: problem.map_or(Status::Answered, Status::of),
        suppressed_cells: 0,
        withheld: BTreeMap::new(),
        policy: None,
        data: Vec::new(),
        permit: None,
        duties: Vec::new(),
        problem,
        message: problem.map(|_| format!("what {node} says")),
        remedy: problem.map(|_| "what to do".to_owned()),
        query_id: None,
        receipts: Vec::new(),
    }
}

fn answer(problems: &[Option<Problem>]) -> Answer {
    let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap();
    let nodes = problems.iter().enumerate();
    Answer {
        query_id: "q1".parse().unwrap(),
        schema: batch.schema(),
        batches: vec![batch],
        intervals: Vec::new(),
        rows_open: false,
        coverage: nodes
            .map(|(at, problem)| coverage(&format!("n{at}"), *problem))
            .collect(),
        receipts: None,
    }
}

fn least(nodes: &str) -> Options {
    let mut options = Options::default();
    options.set("minimum_nodes", nodes).unwrap();
    options
}

#[test]
fn an_answer_without_some_nodes_is_refused_unless_as_many_as_are_enough_answered() {
    let (fine, gone, no) = (None, Some(Problem::Unreachable), Some(Problem::NoPermission));
    let partial = answer(&[fine, gone, no]);
    for options in [Options::default(), least("2"), least("3")] {
        let refused = enough(partial.took_part(), &options).unwrap_err();
        assert_eq!(refused.problem, Problem::Partial);
        for said in [
            "1 of 3",
            "n1 unreachable: what n1 says [E_UNREACHABLE]; what to do",
            "n2 refused: what n2 says [E_NO_PERMISSION]",
        ] {
            assert!(refused.message.contains(said), "{}", refused.message);
        }
    }
    assert_eq!(enough(partial.took_part(), &least("1")), Ok(()));
    assert_eq!(
        enough(answer(&[fine, fine]).took_part(), &least("3")),
        Ok(()),
        "nobody is missing"
    );
    // Whom nobody answered has no answer, however few are enough.
    for (problems, problem) in [
        (&[no, no][..], Problem::NoPermission),
        (&[gone, no], Problem::NoPermission),
        (&[gone, gone], Problem::Unreachable),
    ] {
        let refused = enough(answer(problems).took_part(), &least("1")).unwrap_err();
        assert_eq!(refused.problem, problem);
        assert!(
            refused.message.starts_with("none of 2 nodes answered"),
            "{}",
            refused.message
        );
    }
    assert!(enough(answer(&[]).took_part(), &Options::default()).is_err());
}

#[test]
fn a_long_list_of_missing_nodes_is_cut_and_says_where_all_of_it_is() {
    let many = vec![Some(Problem::Unreachable); 500];
    let refused = enough(answer(&many).took_part(), &Options::default()).unwrap_err();
    assert!(refused.message.len() < 2_000, "{}", refused.message.len());
    assert!(
        refused.message.ends_with("SELECT * FROM datenraum.coverage"),
        "{}",
        refused.message
    );
    let status = wire::status::to_status(&refused.into());
    assert!(status.message().len() + status.details().len() < 6_000);
}

#[test]
fn what_is_too_long_for_a_schema_is_read_as_a_table() {
    let few = ResultSet::of(answer(&[None]), &Told::of(&answer(&[None]))).unwrap();
    assert!(few.schema.metadata()["datenraum.coverage"].contains("\"n0\""));
    let many = answer(&vec![None; 10_000]);
    let many = ResultSet::of(answer(&[None]), &Told::of(&many)).unwrap();
    assert_eq!(many.schema.metadata().get("datenraum.coverage"), None);
    assert_eq!(
        many.schema.metadata()["datenraum.coverage.table"],
        "SELECT * FROM datenraum.coverage"
    );
}

#[test]
fn an_answer_that_does_not_fit_into_the_memory_left_is_refused_and_gives_back_what_it_took() {
    let set = || ResultSet::of(answer(&[None]), &Told::default()).unwrap();
    let room = Arc::new(Semaphore::new(1));
    let first = set().within(&room).unwrap();
    let refused = set().within(&room).unwrap_err();
    assert_eq!(refused.problem, Problem::Resources);
    drop(first);
    assert!(set().within(&room).is_ok());
}

fn asked() -> Asked {
    Asked::without_values("SELECT 1".to_owned())
}

#[test]
fn a_ticket_is_for_one_fetch_on_its_connection() {
    let (mine, other) = (Arc::new(Session::default()), Arc::new(Session::default()));
    let ticket = mine.keep(asked(), Options::default()).unwrap();
    for guess in [b"".as_slice(), b"r0", &[0xff; 25], &ticket.as_bytes()[1..]] {
        assert_eq!(mine.fetch(guess).unwrap_err().problem, Problem::Ticket);
        assert!(!mine.cancel(guess));
    }
    assert_eq!(other.fetch(ticket.as_bytes()).unwrap_err().problem, Problem::Ticket);
    assert!(!other.cancel(ticket.as_bytes()));
    let running = mine.fetch(ticket.as_bytes()).unwrap();
    assert_eq!(mine.fetch(ticket.as_bytes()).unwrap_err().problem, Problem::Ticket);
    assert!(mine.cancel(ticket.as_bytes()) && running.unwanted.is_cancelled());
    drop(running);
    assert!(
        !mine.cancel(ticket.as_bytes()),
        "it is forgotten once nobody fetches it"
    );
    let cancelled = mine.keep(asked(), Options::default()).unwrap();
    assert!(mine.cancel(cancelled.as_bytes()));
    assert_eq!(mine.fetch(cancelled.as_bytes()).unwrap_err().problem, Problem::Ticket);
}

#[test]
fn a_connection_keeps_so_many_questions_and_statements_and_no_more() {
    let session = Arc::new(Session::default());
    let tickets: Vec<String> = (0..limit::GATEWAY_TICKETS_MAX)
        .map(|_| session.keep(asked(), Options::default()).unwrap())
        .collect();
    let refused = session.keep(asked(), Options::default()).unwrap_err();
    assert_eq!(refused.problem, Problem::Resources);
    drop(session.fetch(tickets[0].as_bytes()).unwrap());
    session.keep(asked(), Options::default()).unwrap();

    let handles: Vec<String> = (0..limit::GATEWAY_PREPARED_MAX)
        .map(|_| session.prepare(asked()).unwrap())
        .collect();
    assert_eq!(session.prepare(asked()).unwrap_err().problem, Problem::Resources);
    let other = Session::default();
    assert_eq!(
        other.prepared(handles[0].as_bytes()).unwrap_err().problem,
        Problem::Ticket
    );
    session.close(handles[0].as_bytes());
    assert_eq!(
        session.prepared(handles[0].as_bytes()).unwrap_err().problem,
        Problem::Ticket
    );
    session.prepare(asked()).unwrap();
}

#[test]
fn what_was_asked_on_a_connection_ends_with_it() {
    let session = Arc::new(Session::default());
    let (one, two) = (
        session.keep(asked(), least("1")).unwrap(),
        session.keep(asked(), least("1")).unwrap(),
    );
    session.set(least("1"));
    let running = session.fetch(one.as_bytes()).unwrap();
    session.end();
    assert!(running.unwanted.is_cancelled());
    assert!(session.fetch(two.as_bytes()).is_err());
    assert_eq!(session.options(), Options::default());
}

#[tokio::test]
async fn a_connection_that_does_not_show_the_token_in_time_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut incoming = incoming(listener, Duration::from_millis(50));
    let mut client = TcpStream::connect(address).await.unwrap();
    let mut stranger = incoming.next().await.unwrap().unwrap();
    // Whatever it says.
    client.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let refused = stranger.read_exact(&mut [0; 100]).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::TimedOut);

    let _client = TcpStream::connect(address).await.unwrap();
    let mut known = incoming.next().await.unwrap().unwrap();
    known.connect_info().know();
    let silent = tokio::time::timeout(Duration::from_millis(200), known.read_u8()).await;
    assert!(silent.is_err(), "{silent:?}");
}
