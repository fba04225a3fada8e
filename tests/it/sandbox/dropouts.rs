//! Fits with masked sums of which a node falls silent: before anybody signed who is in them they can go on without it, after that never.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::channel::mpsc;
use futures::{SinkExt, Stream};
use masks::series::{Heard, Hearing, Ready, plan};
use masks::{Participant, Stage};
use models::design::Variable;
use models::statement::Missing;
use models::{Model, Statement};
use serde_json::Value;
use terms::Problem;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, Streaming};
use trust::{Digest, PartOf, SigningKey};
use wire::v1::fit_reply::What as Reply;
use wire::v1::fit_request::What as Asking;
use wire::v1::fit_service_server::{FitService, FitServiceServer};
use wire::v1::{FitBegun, FitPart, FitReply, FitRequest};

use super::masked::{ALL, MASKED, NODES, begun, estimates, four, parts, statement, step};
use super::models::glm;
use super::{Run, Sandbox, datenraum};

/// What becomes of node d.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It says nothing in this round, nor later.
    Silent(Stage),
    /// It has a number that is none, in the first sum or the next.
    NoNumber { step: u32 },
}

/// Node d in the hands of somebody who keeps to the rounds, has nothing to add, and falls silent.
#[derive(Clone)]
struct Fading {
    key: Arc<SigningKey>,
    roster: Vec<Participant>,
    fate: Arc<Mutex<Fate>>,
}

type Replies = Pin<Box<dyn Stream<Item = Result<FitReply, Status>> + Send>>;

#[tonic::async_trait]
impl FitService for Fading {
    type FitStream = Replies;

    async fn fit(&self, request: Request<Streaming<FitRequest>>) -> Result<Response<Replies>, Status> {
        let (say, replies) = mpsc::channel(8);
        let fate = *self.fate.lock().unwrap();
        tokio::spawn(self.clone().speak(fate, request.into_inner(), say));
        Ok(Response::new(Box::pin(replies)))
    }
}

/// Most numbers of a step of `disease ~ age`.
fn width(statement: &Statement) -> usize {
    let number = |name: &str, bounds, levels: &[&str]| Variable {
        name: name.to_owned(),
        is_number: true,
        bounds: Some(bounds),
        levels: levels.iter().map(|level| (*level).to_owned()).collect(),
        edges: Vec::new(),
    };
    let variables = [
        number("age", (20.0, 80.0), &[]),
        number("disease", (0.0, 1.0), &["0", "1"]),
    ];
    Model::new(statement, &variables).unwrap().start.width_max().unwrap()
}

impl Fading {
    async fn speak(
        self,
        fate: Fate,
        mut asked: Streaming<FitRequest>,
        mut say: mpsc::Sender<Result<FitReply, Status>>,
    ) -> Option<()> {
        let Asking::Opening(opening) = asked.message().await.ok()??.what? else {
            return None;
        };
        let begun = Reply::Begun(FitBegun {
            query_id: "q".to_owned(),
            dropped: None,
        });
        say.send(Ok(FitReply { what: Some(begun) })).await.ok()?;
        let read = Statement::parse(&opening.text).unwrap();
        let (digest, nodes_min) = (
            Digest::of(opening.text.as_bytes()),
            match read.missing {
                Missing::Refused => read.nodes.len(),
                Missing::Allowed => 0,
            },
        );
        let takes_part = |one: &&Participant| read.nodes.iter().any(|node| *node == one.member.as_str());
        let roster = self.roster.iter().filter(takes_part).cloned().collect();
        let plan = plan(digest, roster, nodes_min, width(&read)).unwrap();
        let member = "d".parse().unwrap();
        let (mut hearing, mut content) = Hearing::start(plan, member, Arc::clone(&self.key)).unwrap();
        let Asking::Go(_) = asked.message().await.ok()??.what? else {
            return None;
        };
        let (mut step, member) = (0, "d".parse().unwrap());
        loop {
            let stage = hearing.stage();
            if matches!(fate, Fate::Silent(from) if stage >= from) {
                return None;
            }
            let part = PartOf {
                statement: digest,
                step,
                kind: stage.kind(),
                member: &member,
            };
            let signature = part.sign(&content, &self.key).to_vec();
            let node = "d".to_owned();
            let part = Reply::Part(FitPart {
                node,
                content,
                signature,
            });
            say.send(Ok(FitReply { what: Some(part) })).await.ok()?;
            let Asking::Step(said) = asked.message().await.ok()??.what? else {
                return None;
            };
            let said: Vec<&[u8]> = said.parts.iter().map(|part| part.content.as_slice()).collect();
            (hearing, content) = match hearing.hear(&said).ok()? {
                Heard::Say(hearing, said) => (*hearing, said),
                Heard::First(ready) => add(*ready, step, fate),
                Heard::Sum(ready, _) => {
                    step += 1;
                    add(*ready, step, fate)
                }
            };
        }
    }
}

fn add(ready: Ready, step: u32, fate: Fate) -> (Hearing, Vec<u8>) {
    match fate {
        Fate::NoNumber { step: at } if at == step => ready.mask(&[f64::NAN]).unwrap(),
        _ => ready.mask(&[]).unwrap(),
    }
}

/// Three nodes as they should be, and d.
async fn fading() -> (Sandbox, Arc<Mutex<Fate>>) {
    let sandbox = four(MASKED);
    let dir = sandbox.dir();
    datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", "d"]).returns(0);
    let config = |node: &str| node::Config::load(&dir.join("nodes").join(node).join("node.toml")).unwrap();
    let key = |node: &str| SigningKey::load(&config(node).key).unwrap();
    let participant = |node: &&str| Participant {
        member: node.parse().unwrap(),
        key: key(node).public(),
    };
    let fate = Arc::new(Mutex::new(Fate::Silent(Stage::Keys)));
    let node = Fading {
        key: Arc::new(key("d")),
        roster: NODES.iter().map(participant).collect(),
        fate: Arc::clone(&fate),
    };
    let listener = TcpListener::bind(config("d").listen.as_deref().unwrap()).await.unwrap();
    let tls = wire::tls::server_config(&node.key, "d").unwrap();
    tokio::spawn(
        wire::serve::server()
            .add_service(FitServiceServer::new(node))
            .serve_with_incoming(wire::Incoming::new(listener, tls)),
    );
    (sandbox, fate)
}

fn fit(sandbox: &Sandbox, condition: &str, more: &[&str]) -> Run {
    let words = ["--family", "binomial", "--format", "json", "--where", condition];
    glm(sandbox, "disease ~ age", &[&words, more].concat())
}

/// The node, its status and what it says.
fn coverage(fit: &Value) -> Vec<(String, String)> {
    let nodes = fit["coverage"].as_array().unwrap().iter();
    let text = |node: &Value, name: &str| node[name].as_str().unwrap().to_owned();
    nodes.map(|node| (text(node, "node"), text(node, "status"))).collect()
}

const WITHOUT: &[&str] = &["--without-missing"];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_falls_silent_ends_a_fit_that_may_lack_nobody() {
    let (sandbox, fate) = fading().await;
    for stage in [Stage::Keys, Stage::Shares, Stage::Masked] {
        *fate.lock().unwrap() = Fate::Silent(stage);
        let run = fit(&sandbox, "sex = 0", &[]).returns(1);
        run.fails_with("E_ANSWER", "the fit at d cannot be used");
    }
    // Nobody had signed who is in the sums: the same people can be asked of others.
    fit(&sandbox, "sex = 0", &["--nodes", "a,b,c"]).returns(0);
    for stage in [Stage::Survivors, Stage::Opening, Stage::Following] {
        *fate.lock().unwrap() = Fate::Silent(stage);
        let run = fit(&sandbox, "sex = 1", &[]).returns(1);
        run.fails_with("E_ANSWER", "is not begun again without a node");
    }
    // They had: whether a sum was known, none of them can tell.
    let run = fit(&sandbox, "sex = 1", &["--nodes", "a,b,c"]);
    run.returns(4).fails_with("E_MODEL_DISCLOSURE", "nearly the same nodes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fit_that_may_goes_on_without_a_node_until_it_is_signed_who_is_in_it() {
    let (sandbox, fate) = fading().await;
    for (stage, condition) in [
        (Stage::Keys, "sex = 0"),
        (Stage::Shares, "sex = 1"),
        (Stage::Masked, "age >= 50"),
    ] {
        *fate.lock().unwrap() = Fate::Silent(stage);
        let without = fit(&sandbox, condition, WITHOUT).returns(3).json();
        let there = |node: &str| (node.to_owned(), "answered".to_owned());
        let gone = ("d".to_owned(), "failed".to_owned());
        assert_eq!(
            coverage(&without),
            [there("a"), there("b"), there("c"), gone],
            "{stage}"
        );
        // One statement, in which d is named: the fit did not begin again.
        let questions = without["questions"].as_array().unwrap();
        assert_eq!(questions.len(), 1, "{without}");
        let question = questions[0].as_str().unwrap();
        assert!(question.contains("nodes => 'a, b, c, d'") && question.contains("missing => 'allowed'"));
        let of_three = fit(&sandbox, condition, &["--nodes", "a,b,c"]).returns(0).json();
        assert_eq!(without["n"], of_three["n"]);
        let of_three = estimates(&of_three);
        for (term, (estimate, error)) in estimates(&without) {
            let (other, other_error) = of_three[&term];
            assert!(
                (estimate - other).abs() < 1e-9 && (error - other_error).abs() < 1e-9,
                "{term}"
            );
        }
        // Who is back cannot be asked of the same people any more.
        *fate.lock().unwrap() = Fate::Silent(Stage::Following);
        let run = fit(&sandbox, condition, WITHOUT);
        run.fails_with("E_MODEL_DISCLOSURE", "nearly the same nodes");
    }
    for stage in [Stage::Survivors, Stage::Opening, Stage::Following] {
        *fate.lock().unwrap() = Fate::Silent(stage);
        let run = fit(&sandbox, "age < 50", WITHOUT).returns(1);
        let error = run.err();
        assert!(error.contains("the fit at d cannot be used"), "{error}");
        run.fails_with("E_ANSWER", "is not begun again without a node");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_number_that_is_none_ends_the_fit_and_names_nobody() {
    let (sandbox, fate) = fading().await;
    for step in [0, 1, 2] {
        *fate.lock().unwrap() = Fate::NoNumber { step };
        for more in [&[][..], WITHOUT] {
            let run = fit(&sandbox, "age >= 20", more).returns(1);
            run.fails_with("E_SUM_BOUND", "some node had a number that cannot be added");
        }
    }
}

/// The statement of a fit in which nodes may be missing.
fn allowing(name: char) -> String {
    let text = statement("masked", ALL, name);
    let allowing = text.replacen(" steps =>", " missing => 'allowed', steps =>", 1);
    assert_ne!(allowing, text);
    allowing
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lists_of_survivors_are_opened_by_nobody() {
    let sandbox = four(MASKED);
    let mut talks = begun(&sandbox, &allowing('1')).await;
    for _ in 0..2 {
        let said = parts(&mut talks).await;
        talks.iter_mut().for_each(|talk| talk.tell(step(0, &said)));
    }
    let masked = parts(&mut talks).await;
    // Node a is told that d is gone; the others, that all delivered.
    talks[0].tell(step(0, &masked[..3]));
    talks[1..].iter_mut().for_each(|talk| talk.tell(step(0, &masked)));
    let signed = parts(&mut talks).await;
    talks[0].tell(step(0, &signed[..3]));
    talks[1..].iter_mut().for_each(|talk| talk.tell(step(0, &signed)));
    for talk in &mut talks {
        let refused = talk.next().await.unwrap_err();
        assert_eq!(refused.problem, Problem::SumBroken, "{}", refused.message);
        assert!(
            refused.message.contains("another list of survivors"),
            "{}",
            refused.message
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_of_some_survivors_open_nothing_and_a_node_that_was_left_out_is_not_let_in_again() {
    let sandbox = four(MASKED);
    let mut talks = begun(&sandbox, &allowing('1')).await;
    let keys = parts(&mut talks).await;
    talks.iter_mut().for_each(|talk| talk.tell(step(0, &keys)));
    let shares = parts(&mut talks).await;
    // Node d is said to be gone.
    talks[..3].iter_mut().for_each(|talk| talk.tell(step(0, &shares[..3])));
    talks[3].tell(step(0, &shares));
    let masked = parts(&mut talks).await;
    talks[0].tell(step(0, &masked));
    let refused = talks[0].next().await.unwrap_err();
    assert_eq!(refused.problem, Problem::ModelProtocol, "{}", refused.message);
    talks[1..3].iter_mut().for_each(|talk| talk.tell(step(0, &masked[..3])));
    let signed = parts(&mut talks[1..3]).await;
    for talk in &mut talks[1..3] {
        talk.tell(step(0, &signed));
        let refused = talk.next().await.unwrap_err();
        assert_eq!(refused.problem, Problem::ModelProtocol, "{}", refused.message);
    }
}

/// The client goes away when all have signed. None of them knows whether a sum was opened; so the same people are not summed over one node fewer,
/// in a fit that goes on beside it or in one after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_signed_for_is_kept_before_a_sum_can_be_known_and_over_a_restart() {
    let sandbox = four(MASKED);
    let (mut first, mut second) = (
        begun(&sandbox, &allowing('1')).await,
        begun(&sandbox, &allowing('2')).await,
    );
    for _ in 0..3 {
        let said = parts(&mut first).await;
        first.iter_mut().for_each(|talk| talk.tell(step(0, &said)));
    }
    let signed = parts(&mut first).await;
    assert_eq!(signed.len(), 4);
    for _ in 0..2 {
        let said = parts(&mut second).await;
        second.iter_mut().for_each(|talk| talk.tell(step(0, &said)));
    }
    let masked = parts(&mut second).await;
    for talk in &mut second[..3] {
        talk.tell(step(0, &masked[..3]));
        let refused = talk.next().await.unwrap_err();
        assert_eq!(refused.problem, Problem::ModelDisclosure, "{}", refused.message);
        assert!(refused.message.contains("nearly the same nodes"), "{}", refused.message);
    }
    drop((first, second));
    let dir = sandbox.dir();
    for node in NODES {
        datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", node]).returns(0);
    }
    sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
    let run = glm(&sandbox, "disease ~ age", &["--family", "binomial", "--nodes", "a,b,c"]);
    run.returns(4).fails_with("E_MODEL_DISCLOSURE", "nearly the same nodes");
    // Over the same nodes it can be asked again.
    glm(&sandbox, "disease ~ age", &["--family", "binomial"]).returns(0);
}
