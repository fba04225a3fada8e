//! Fits that do not come to their end: a node that goes in the middle, a permission that does, whoever asked and says nothing more, and
//! too many at once.

use std::fs;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures::channel::mpsc;
use futures::{SinkExt, Stream, StreamExt};
use serde_json::Value;
use terms::{Problem, UtcTime};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, Streaming};
use trust::{Digest, PartOf, SigningKey, Stop, Stopped, part};
use wire::publish;
use wire::v1::fit_reply::What as Reply;
use wire::v1::fit_request::What as Asking;
use wire::v1::fit_service_server::{FitService, FitServiceServer};
use wire::v1::{FitBegun, FitGo, FitPart, FitReply, FitRequest, FitStep};

use super::masked::{Talk, statement};
use super::models::{STATISTICAL, glm, made_up, space};
use super::{Sandbox, datenraum};

const NODES: [&str; 4] = ["a", "b", "c", "d"];
const ALL: &str = "a, b, c, d";

fn four() -> Sandbox {
    let people = |at: usize| made_up(at * 200..at * 200 + 150 + 10 * at, |_, _| {});
    let nodes: Vec<_> = NODES.iter().enumerate().map(|(at, node)| (*node, people(at))).collect();
    space(STATISTICAL, &nodes)
}

/// Changes what is configured of a node, and puts it up again.
fn configured(sandbox: &Sandbox, node: &str, change: impl Fn(&str) -> String) {
    datenraum(["sandbox", "down", sandbox.dir().to_str().unwrap(), "--node", node]).returns(0);
    let file = sandbox.dir().join("nodes").join(node).join("node.toml");
    let text = fs::read_to_string(&file).unwrap();
    let changed = change(&text);
    assert_ne!(changed, text);
    fs::write(&file, changed).unwrap();
    sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
}

fn audit(sandbox: &Sandbox, node: &str) -> String {
    let folder = sandbox.dir().join("nodes").join(node);
    datenraum(["audit", "verify", folder.to_str().unwrap()]).returns(0);
    datenraum(["audit", "show", folder.to_str().unwrap()]).returns(0).out()
}

/// A node that takes part in a fit and its first step, and then goes.
struct Leaves {
    node: &'static str,
    key: SigningKey,
    rows: f64,
}

type Replies = Pin<Box<dyn Stream<Item = Result<FitReply, Status>> + Send>>;

#[tonic::async_trait]
impl FitService for Leaves {
    type FitStream = Replies;

    async fn fit(&self, request: Request<Streaming<FitRequest>>) -> Result<Response<Replies>, Status> {
        let mut said = request.into_inner();
        let Some(Asking::Opening(opening)) = said.message().await?.unwrap().what else {
            panic!("it does not begin with the statement");
        };
        // Rows, weights and their logarithms, what the likelihood has of the responses, responses, offsets.
        let sums = [self.rows, self.rows, 0.0, 0.0, self.rows / 2.0, 0.0];
        let content = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect::<Vec<u8>>();
        let of = PartOf {
            statement: Digest::of(opening.text.as_bytes()),
            step: 0,
            kind: part::SUMS,
            member: &self.node.parse().unwrap(),
        };
        let part = FitPart {
            node: self.node.to_owned(),
            signature: of.sign(&content, &self.key).to_vec(),
            content,
        };
        let begun = FitBegun {
            query_id: "q-1".to_owned(),
            dropped: Some(0),
        };
        let (mut says, replies) = mpsc::channel(2);
        let reply = |what| Ok(FitReply { what: Some(what) });
        tokio::spawn(async move {
            says.send(reply(Reply::Begun(begun))).await.unwrap();
            let go = said.message().await.unwrap().unwrap().what;
            assert!(matches!(go, Some(Asking::Go(_))), "{go:?}");
            says.send(reply(Reply::Part(part))).await.unwrap();
            let step = said.message().await.unwrap().unwrap().what;
            assert!(matches!(step, Some(Asking::Step(_))), "{step:?}");
            let gone = Status::unavailable("the machine is switched off");
            says.send(Err(gone)).await.unwrap();
        });
        Ok(Response::new(replies.boxed()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_in_the_middle_ends_the_fit_or_is_left_out_from_the_start() {
    let sandbox = four();
    datenraum(["sandbox", "down", sandbox.dir().to_str().unwrap(), "--node", "d"]).returns(0);
    let config = node::Config::load(&sandbox.dir().join("nodes/d/node.toml")).unwrap();
    let key = SigningKey::load(&config.key).unwrap();
    let listener = TcpListener::bind(config.listen.as_deref().unwrap()).await.unwrap();
    let tls = wire::tls::server_config(&key, "d").unwrap();
    let leaves = FitServiceServer::new(Leaves {
        node: "d",
        key,
        rows: 180.0,
    });
    tokio::spawn(
        wire::serve::server()
            .add_service(leaves)
            .serve_with_incoming(wire::Incoming::new(listener, tls)),
    );
    let binomial = ["--family", "binomial", "--format", "json"];
    let run = glm(&sandbox, "disease ~ age", &binomial);
    assert_eq!(run.code(), 5, "{}{}", run.out(), run.err());
    assert!(run.err().contains("without_missing"), "{}", run.err());
    let run = glm(
        &sandbox,
        "disease ~ age",
        &[&binomial[..], &["--without-missing"]].concat(),
    )
    .returns(3);
    let fit = run.json();
    assert_eq!(fit["n"], 150 + 160 + 170);
    let statuses: Vec<&Value> = fit["coverage"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| &node["status"])
        .collect();
    assert_eq!(statuses[..3], ["answered"; 3], "{fit}");
    assert_ne!(statuses[3], "answered", "{fit}");
    // The model of those who stayed, from the start: not one step with the node and others without it.
    let of_three = glm(
        &sandbox,
        "disease ~ age",
        &[&binomial[..], &["--nodes", "a,b,c"]].concat(),
    )
    .returns(0);
    assert_eq!(of_three.json()["terms"], fit["terms"]);
    // Twice it was begun and not ended, and twice it was.
    let audit = audit(&sandbox, "a");
    assert_eq!(
        audit.matches("abandoned by who asked after the sums of").count(),
        2,
        "{audit}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_in_the_middle_of_a_fit_gives_no_more_sums() {
    let sandbox = four();
    for node in ["a", "b"] {
        configured(&sandbox, node, |text| {
            text.replace("refresh_seconds = 30", "refresh_seconds = 1")
        });
    }
    let text = statement("plain", "a, b", '1');
    let mut talks = Vec::new();
    for node in ["a", "b"] {
        let mut talk = Talk::open(&sandbox, node, &text).await.unwrap();
        talk.tell(Asking::Go(FitGo {}));
        talks.push(talk);
    }
    let mut parts = Vec::new();
    for talk in &mut talks {
        parts.push(talk.part().await.unwrap());
    }
    let config = node::Config::load(&sandbox.dir().join("nodes/a/node.toml")).unwrap();
    let board = SigningKey::load(&sandbox.dir().join("board/member-2.key")).unwrap();
    let space = "heart-space".parse().unwrap();
    let person = Stopped::Person("university".parse().unwrap(), "ada".parse().unwrap());
    let stop = Stop::new(space, person, "a laptop was stolen", UtcTime::now()).unwrap();
    let broker = config.broker.connect("broker").await.unwrap();
    let space = "heart-space".parse().unwrap();
    publish::stop(&broker, &space, &stop.seal(&board).unwrap())
        .await
        .unwrap();
    let begun = Instant::now();
    while status(&sandbox, "a")["stops"].as_array().is_none_or(Vec::is_empty) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", status(&sandbox, "a"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    talks[0].tell(Asking::Step(FitStep { step: 0, parts }));
    let refused = talks[0].next().await.unwrap_err();
    assert_eq!(refused.problem, Problem::Revoked, "{}", refused.message);
    let refused = Talk::open(&sandbox, "a", &statement("plain", "a, b", '2')).await;
    assert_eq!(refused.err().unwrap().problem, Problem::Stopped);
    let audit = audit(&sandbox, "a");
    assert!(audit.contains("revoked after the sums of 1 step"), "{audit}");
}

fn status(sandbox: &Sandbox, node: &str) -> Value {
    let config = sandbox.dir().join("nodes").join(node).join("node.toml");
    let words = ["node", "status", "--json", "--config", config.to_str().unwrap()];
    datenraum(words).returns(0).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn fits_have_so_many_places_and_whoever_says_nothing_loses_theirs() {
    let sandbox = four();
    configured(&sandbox, "a", |text| {
        text.replace(
            "[limits]\n",
            "[limits]\nrow_streams_at_once = 2\nfit_step_seconds = 3\n",
        )
    });
    let first = Talk::open(&sandbox, "a", &statement("plain", ALL, '1')).await.unwrap();
    let mut silent = Talk::open(&sandbox, "a", &statement("plain", ALL, '2')).await.unwrap();
    let begun = Instant::now();
    let refused = Talk::open(&sandbox, "a", &statement("plain", ALL, '3')).await;
    let refused = refused.err().unwrap();
    assert_eq!(refused.problem, Problem::Resources, "{}", refused.message);
    assert!(!refused.remedy.is_empty());
    // Whoever leaves makes room at once.
    drop(first);
    let again = loop {
        match Talk::open(&sandbox, "a", &statement("plain", ALL, '4')).await {
            Ok(talk) => break talk,
            Err(refused) => assert_eq!(refused.problem, Problem::Resources, "{}", refused.message),
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the place is not free");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    // Whoever says nothing does so after a while, long before the minute that nodes wait unless they are told otherwise.
    let late = silent.next().await.unwrap_err();
    assert_eq!(late.problem, Problem::ModelProtocol);
    assert!(late.message.contains("did not come in time"), "{}", late.message);
    let waited = begun.elapsed().as_secs_f64();
    assert!((2.0..40.0).contains(&waited), "{waited} s");
    drop(again);
    let audit = audit(&sandbox, "a");
    for ended in [
        "failed [E_RESOURCES]",
        "abandoned by who asked",
        "failed [E_MODEL_PROTOCOL]",
    ] {
        assert!(audit.contains(ended), "{audit}");
    }
}
