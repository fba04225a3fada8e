//! Fits whose sums are masked: the model of plain sums, and nothing of one node for whoever carries the messages and lies as they like.

use std::collections::BTreeMap;

use futures::channel::mpsc;
use serde_json::Value;
use terms::{Problem, Report};
use tonic::Streaming;
use wire::v1::fit_reply::What as Reply;
use wire::v1::fit_request::What as Asking;
use wire::v1::fit_service_client::FitServiceClient;
use wire::v1::{FitGo, FitOpening, FitPart, FitReply, FitRequest, FitStep};

use super::models::{glm, made_up, space};
use super::raw::Person;
use super::{Run, Sandbox, datenraum};

const PLAIN: &str = "tier = \"statistical\"\nmin_people = 10\n[permission.models]\nsum = \"plain\"\nmin_nodes = 3\n";
pub(super) const MASKED: &str =
    "tier = \"statistical\"\nmin_people = 10\n[permission.models]\nsum = \"masked\"\nmin_nodes = 3\n";

pub(super) const NODES: [&str; 4] = ["a", "b", "c", "d"];
pub(super) const ALL: &str = "a, b, c, d";

pub(super) fn four(disclosure: &str) -> Sandbox {
    let people = |at: usize| made_up(at * 200..at * 200 + 150 + 10 * at, |_, _| {});
    let nodes: Vec<_> = NODES.iter().enumerate().map(|(at, node)| (*node, people(at))).collect();
    space(disclosure, &nodes)
}

fn cox(sandbox: &Sandbox, formula: &str, more: &[&str]) -> Run {
    let dir = sandbox.dir();
    let words = [
        "cox",
        "--sandbox",
        dir.to_str().unwrap(),
        "--collection",
        "heart",
        "--formula",
        formula,
    ];
    datenraum(words.iter().chain(&["--purpose", "ehds-53-1-e"]).chain(more))
}

/// Each term's estimate and standard error.
pub(super) fn estimates(fit: &Value) -> BTreeMap<String, (f64, f64)> {
    let terms = fit["terms"].as_array().unwrap().iter();
    let number = |term: &Value, name: &str| term[name].as_f64().unwrap();
    let of_term = |term: &Value| (number(term, "estimate"), number(term, "std_error"));
    terms
        .map(|term| (term["term"].as_str().unwrap().to_owned(), of_term(term)))
        .collect()
}

/// A fit in the hands of somebody with a client of their own.
pub(super) struct Talk {
    say: mpsc::Sender<FitRequest>,
    replies: Streaming<FitReply>,
    node: &'static str,
    _person: Person,
}

impl Talk {
    pub(super) async fn open(sandbox: &Sandbox, node: &'static str, text: &str) -> Result<Self, Report> {
        let person = Person::of(sandbox, "ada", node).await;
        let (say, coming) = mpsc::channel(8);
        let mut client = FitServiceClient::new(person.grpc()).max_decoding_message_size(16 << 20);
        let request = person.request(coming, text, None);
        let mut early = say.clone();
        let opening = Asking::Opening(FitOpening { text: text.to_owned() });
        early.try_send(FitRequest { what: Some(opening) }).unwrap();
        let replies = client.fit(request).await;
        let replies = replies.map_err(|status| wire::status::from_status(&status, node).report)?;
        let mut talk = Self {
            say,
            replies: replies.into_inner(),
            node,
            _person: person,
        };
        match talk.next().await? {
            Reply::Begun(begun) => assert!(begun.dropped.is_none() || text.contains("'plain'")),
            other => panic!("{other:?}"),
        }
        Ok(talk)
    }

    pub(super) async fn next(&mut self) -> Result<Reply, Report> {
        let message = self.replies.message().await;
        let message = message.map_err(|status| wire::status::from_status(&status, self.node).report)?;
        Ok(message.unwrap().what.unwrap())
    }

    pub(super) async fn part(&mut self) -> Result<FitPart, Report> {
        match self.next().await? {
            Reply::Part(part) => Ok(part),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn tell(&mut self, what: Asking) {
        self.say.try_send(FitRequest { what: Some(what) }).unwrap();
    }
}

pub(super) fn statement(sum: &str, nodes: &str, name: char) -> String {
    let name = name.to_string().repeat(32);
    format!(
        "FIT glm(family => 'binomial', formula => 'disease ~ age', nodes => '{nodes}', sum => '{sum}', steps => '25', fit => '{name}') \
         OF SELECT age, disease FROM heart"
    )
}

/// A fit that is open at all nodes and has been let go.
pub(super) async fn begun(sandbox: &Sandbox, text: &str) -> Vec<Talk> {
    let mut talks = Vec::new();
    for node in NODES {
        let mut talk = Talk::open(sandbox, node, text).await.unwrap();
        talk.tell(Asking::Go(FitGo {}));
        talks.push(talk);
    }
    talks
}

pub(super) async fn parts(talks: &mut [Talk]) -> Vec<FitPart> {
    let mut parts = Vec::new();
    for talk in talks {
        parts.push(talk.part().await.unwrap());
    }
    parts
}

/// Everything that an honest client sees of a fit.
async fn transcript(sandbox: &Sandbox, text: &str, step_of: fn(usize) -> u32) -> Vec<Vec<FitPart>> {
    let mut talks = begun(sandbox, text).await;
    let mut rounds: Vec<Vec<FitPart>> = Vec::new();
    loop {
        let mut parts = Vec::new();
        for talk in &mut talks {
            match talk.next().await.unwrap() {
                Reply::Part(part) => parts.push(part),
                Reply::Receipt(_) => {}
                other => panic!("{other:?}"),
            }
        }
        if parts.is_empty() {
            return rounds;
        }
        assert_eq!(parts.len(), NODES.len(), "some nodes ended and others did not");
        let step = step_of(rounds.len());
        talks.iter_mut().for_each(|talk| {
            talk.tell(Asking::Step(FitStep {
                step,
                parts: parts.clone(),
            }));
        });
        rounds.push(parts);
    }
}

fn step_of_masked(round: usize) -> u32 {
    round.saturating_sub(4) as u32
}

#[test]
fn masked_sums_give_the_model_that_plain_ones_give() {
    let (plain, masked) = (four(PLAIN), four(MASKED));
    let logit = |sandbox: &Sandbox| {
        glm(
            sandbox,
            "disease ~ age + thalach",
            &["--family", "binomial", "--format", "json"],
        )
    };
    let line = |sandbox: &Sandbox| {
        glm(
            sandbox,
            "thalach ~ age + disease",
            &["--family", "gaussian", "--format", "json"],
        )
    };
    let hazard = |sandbox: &Sandbox| cox(sandbox, "Surv(thalach, disease) ~ age + exang", &["--format", "json"]);
    for fit in [&logit as &dyn Fn(&Sandbox) -> Run, &line, &hazard] {
        let (plain, masked) = (fit(&plain).returns(0).json(), fit(&masked).returns(0).json());
        assert_eq!(plain["n"], 660);
        assert_eq!(plain["n"], masked["n"]);
        let (plain, masked_estimates) = (estimates(&plain), estimates(&masked));
        assert_eq!(
            plain.keys().collect::<Vec<_>>(),
            masked_estimates.keys().collect::<Vec<_>>()
        );
        for (term, (estimate, error)) in &plain {
            let (other, other_error) = masked_estimates[term];
            assert!((estimate - other).abs() < 1e-9, "{term}: {estimate} is not {other}");
            assert!(
                (error - other_error).abs() < 1e-9,
                "{term}: {error} is not {other_error}"
            );
        }
        // How many rows one node left out is of that node alone.
        assert!(masked["dropped"].is_null(), "{masked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_sums_and_two_nodes_are_refused_where_sums_are_masked() {
    let sandbox = four(MASKED);
    let run = glm(&sandbox, "disease ~ age", &["--family", "binomial", "--nodes", "a,b"]);
    run.returns(4).fails_with("E_MODEL_DISCLOSURE", "over 3 nodes at least");
    let of_some: &[&str] = &["--where", "node <> 'd' OR age < 60"];
    for (formula, condition) in [("disease ~ age + C(node)", &[][..]), ("disease ~ age", of_some)] {
        let run = glm(&sandbox, formula, &[&["--family", "binomial"], condition].concat());
        run.fails_with("E_MODEL_DISCLOSURE", "node tells nodes apart");
    }
    let refused = Talk::open(&sandbox, "a", &statement("plain", ALL, '1')).await;
    let refused = refused.err().unwrap();
    assert_eq!(refused.problem, Problem::ModelDisclosure);
    assert!(
        refused.message.contains("only the sums of all nodes together"),
        "{}",
        refused.message
    );
    let refused = Talk::open(&sandbox, "a", &statement("masked", "a, b", '2')).await;
    assert_eq!(refused.err().unwrap().problem, Problem::SumNodes);
    // Where the policy asks for nothing, two nodes have no masked sums either.
    let open = four("tier = \"open\"\n");
    let refused = Talk::open(&open, "a", &statement("masked", "a, b", '2')).await;
    assert_eq!(refused.err().unwrap().problem, Problem::SumNodes);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_client_sees_is_of_one_node() {
    let (plain, masked) = (four(PLAIN), four(MASKED));
    let seen_plain = transcript(&plain, &statement("plain", ALL, 'a'), |round| round as u32).await;
    let seen = transcript(&masked, &statement("masked", ALL, 'a'), step_of_masked).await;
    assert_eq!(seen.len(), 4 + seen_plain.len());
    let numbers = |part: &FitPart| -> Vec<f64> {
        let (numbers, rest) = part.content.as_chunks();
        assert!(rest.is_empty());
        numbers.iter().map(|number| f64::from_le_bytes(*number)).collect()
    };
    // As they are, and as the integers that are masked: for numbers up to 2^80 of four nodes, 13 binary digits behind the point.
    let mut tell_tales: BTreeMap<[u8; 8], f64> = BTreeMap::new();
    for number in seen_plain
        .iter()
        .flatten()
        .flat_map(numbers)
        .filter(|number| number.abs() > 1.5)
    {
        tell_tales.insert(number.to_le_bytes(), number);
        tell_tales.insert(((number * 8192.0).round() as i64).to_le_bytes(), number);
    }
    assert!(tell_tales.len() > 40);
    for part in seen.iter().flatten() {
        for window in part.content.windows(8) {
            assert!(
                !tell_tales.contains_key(window),
                "{} said {:?}",
                part.node,
                tell_tales.get(window)
            );
        }
    }
}

pub(super) fn step(step: u32, parts: &[FitPart]) -> Asking {
    Asking::Step(FitStep {
        step,
        parts: parts.to_vec(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_a_node_out_gets_no_further() {
    let sandbox = four(MASKED);
    // In each round of the first sum.
    for (round, name) in ('0'..='4').enumerate() {
        let mut talks = begun(&sandbox, &statement("masked", ALL, name)).await;
        for _ in 0..round {
            let said = parts(&mut talks).await;
            talks.iter_mut().for_each(|talk| talk.tell(step(0, &said)));
        }
        let said = parts(&mut talks).await;
        let twice = [&said[..3], &said[2..3]].concat();
        for (talk, shown) in talks.iter_mut().zip([&said[..3], &said[1..], &twice[..]]) {
            talk.tell(step(0, shown));
            let refused = talk.next().await.unwrap_err();
            assert_eq!(
                refused.problem,
                Problem::ModelProtocol,
                "round {round}: {}",
                refused.message
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_shows_nodes_different_things_gets_no_sum() {
    let sandbox = four(MASKED);
    let text = statement("masked", ALL, 'e');
    let mut talks = begun(&sandbox, &text).await;
    // The same node once more, with other secrets, for the same fit: all of it is signed by the node.
    let mut again = Talk::open(&sandbox, "d", &text).await.unwrap();
    again.tell(Asking::Go(FitGo {}));
    let keys = parts(&mut talks).await;
    let mut other = keys.clone();
    other[3] = again.part().await.unwrap();
    for talk in &mut talks[..2] {
        talk.tell(step(0, &keys));
    }
    talks[2].tell(step(0, &other));
    talks[3].tell(step(0, &keys));
    let shares = parts(&mut talks).await;
    talks.iter_mut().for_each(|talk| talk.tell(step(0, &shares)));
    for talk in &mut talks {
        // Nobody sends masked numbers.
        let refused = talk.next().await.unwrap_err();
        assert_eq!(refused.problem, Problem::SumBroken, "{}", refused.message);
    }
    // A node's masked numbers of one fit are none of another, and another survivor's signature neither.
    let mut talks = begun(&sandbox, &statement("masked", ALL, 'f')).await;
    for _ in 0..2 {
        let said = parts(&mut talks).await;
        talks.iter_mut().for_each(|talk| talk.tell(step(0, &said)));
    }
    let masked = parts(&mut talks).await;
    talks.iter_mut().for_each(|talk| talk.tell(step(0, &masked)));
    let mut survivors = parts(&mut talks).await;
    survivors[3].content.clone_from(&masked[3].content);
    survivors[3].signature.clone_from(&masked[3].signature);
    for talk in &mut talks[..3] {
        talk.tell(step(0, &survivors));
        let refused = talk.next().await.unwrap_err();
        assert_eq!(refused.problem, Problem::ModelProtocol, "{}", refused.message);
    }
}

#[test]
fn one_node_fewer_is_refused_after_a_fit_and_after_a_restart() {
    let sandbox = four(MASKED);
    let binomial = ["--family", "binomial"];
    glm(&sandbox, "disease ~ age", &binomial).returns(0);
    glm(&sandbox, "disease ~ age", &binomial).returns(0);
    let fewer = |formula: &str| {
        let run = glm(&sandbox, formula, &["--family", "binomial", "--nodes", "a,b,c"]);
        run.returns(4).fails_with("E_MODEL_DISCLOSURE", "nearly the same nodes");
    };
    fewer("disease ~ age");
    // Other words for it, and more columns of the same people, make no other fit.
    fewer("disease ~ 1 + age");
    fewer("disease ~ age + thalach");
    let dir = sandbox.dir();
    for node in ["a", "b", "c", "d"] {
        datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", node]).returns(0);
    }
    sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
    fewer("disease ~ age");
    // A node that is gone is not left out of what it was in.
    datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", "d"]).returns(0);
    let run = glm(
        &sandbox,
        "disease ~ age",
        &["--family", "binomial", "--without-missing"],
    );
    run.returns(4).fails_with("E_MODEL_DISCLOSURE", "nearly the same nodes");
}
