//! Many nodes, of which one was killed, one says nothing and one refuses: the others' answer comes in time, and the three are named.
//!
//! So many nodes as `DATENRAUM_NODES` says; 181 is the size of the alliance that asked for this.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use federation::{Answer, Asker, Parameters, Profile, Question, Status, Step};
use terms::{ExitCode, MemberId, Problem, SystemClock, limit};

use super::kill::Process;
use super::{Sandbox, datenraum};

const NODES: usize = 40;

/// So long nodes have: enough for all of them on a slow machine, and less than is waited for a connection.
const SECONDS: u64 = limit::CONNECT_SECONDS_MAX - 1;

const KILLED: &str = "clinic-001";
const SILENT: &str = "clinic-002";
const REFUSING: &str = "clinic-003";

const COLLECTION: &str = r#"
id = "beds"
title = "Beds"
personal = false
[columns.ward]
type = "text"
role = ["group"]
[columns.beds]
type = "integer"
role = ["measure"]
"#;

const POLICY: &str = r#"
id = "beds-open"
version = 1
title = "Beds are no secret"
collection = "beds"
valid_from = 2026-01-01
valid_until = 2099-12-31
[[permission]]
id = "universities"
assignee = { roles = ["university"] }
purposes = ["ehds-53-1-e"]
permit = "none"
release = "aggregates"
columns = ["node", "ward", "beds"]
disclosure = { tier = "open", queries = { per_week = 3 } }
"#;

const SQL: &str = "SELECT ward, sum(beds) AS beds, count(*) AS n FROM beds GROUP BY ward ORDER BY ward";

fn nodes() -> usize {
    let told = std::env::var("DATENRAUM_NODES").ok();
    told.map_or(NODES, |nodes| nodes.parse().unwrap())
}

fn spec(nodes: usize) -> String {
    let mut spec = "space = \"alliance\"\nboard = { members = 3, threshold = 2 }\ncollections = [\"collections/beds.toml\"]\n\
                    policies = [\"policies/beds-open.toml\"]\n[[person]]\nid = \"ada\"\nmember = \"university\"\nroles = [\"university\"]\n"
        .to_owned();
    for node in 0..nodes {
        spec.push_str(&format!(
            "[[node]]\nid = \"clinic-{node:03}\"\nroles = [\"hospital\"]\ndatasets = [{{ collection = \"beds\", path = \"beds.csv\" }}]\n"
        ));
    }
    spec
}

fn question(sql: &str, seconds: u64) -> Question {
    Question {
        sql: sql.to_owned(),
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        permit: None,
        tables: federation::Tables::default(),
        timeout: Some(seconds.to_string().parse().unwrap()),
    }
}

/// The answer, when it came, and when each node was known to have ended.
async fn ask(asker: &Asker, question: &Question) -> (Answer, Duration, BTreeMap<MemberId, Duration>) {
    let (began, ended) = (Instant::now(), Mutex::new(BTreeMap::new()));
    let watch = |node: &MemberId, step: Step<'_>| {
        if let Step::Ended(..) = step {
            ended.lock().unwrap().insert(node.clone(), began.elapsed());
        }
    };
    let answer = Box::pin(asker.ask_watched(question, &Parameters::default(), &watch)).await;
    (answer.unwrap(), began.elapsed(), ended.into_inner().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_killed_one_silent_and_one_refusing_of_many_are_named_and_delay_nobody() {
    let nodes = nodes();
    let began = Instant::now();
    let (sandbox, run) = Sandbox::of(&[
        ("spec.toml", &spec(nodes)),
        ("collections/beds.toml", COLLECTION),
        ("policies/beds-open.toml", POLICY),
        ("beds.csv", "ward,beds\nmedicine,10\nsurgery,7\n"),
    ]);
    run.returns(0);
    println!("{nodes} nodes are up after {:?}", began.elapsed());
    let silent = sandbox.behind_a_proxy(&[SILENT]).await.remove(0);
    let dir = sandbox.dir();
    datenraum(["sandbox", "down", dir.to_str().unwrap(), "--node", KILLED]).returns(0);
    let killed = Process::start(&dir.join("nodes").join(KILLED).join("node.toml"));
    let profile = Profile::load(&dir.join("people/ada/person.toml")).unwrap();
    let asker = Box::pin(Asker::open(profile, Arc::new(SystemClock))).await.unwrap();
    let config = node::Config::load(&dir.join("nodes").join(KILLED).join("node.toml")).unwrap();
    let started = Instant::now();
    while tokio::net::TcpStream::connect(config.listen.as_deref().unwrap())
        .await
        .is_err()
    {
        assert!(started.elapsed() < Duration::from_secs(20), "the node does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (all, took, _) = ask(&asker, &question(SQL, 60)).await;
    println!("all of them, connections included: {took:?}");
    assert_eq!(all.took_part().answered(), nodes, "{:?}", all.took_part().absent());
    // One of them has been asked as often as its policy allows.
    let of_one = SQL.replace("FROM beds", &format!("FROM beds WHERE node = '{REFUSING}'"));
    for _ in 0..2 {
        let (one, ..) = ask(&asker, &question(&of_one, 60)).await;
        assert_eq!(one.took_part().answered(), 1, "{:?}", one.took_part().absent());
    }

    silent.hold();
    drop(killed);
    let (answer, took, ended) = ask(&asker, &question(SQL, SECONDS)).await;
    let mut absent = answer.coverage.iter().filter(|node| node.status != Status::Answered);
    let mut next = || {
        absent
            .next()
            .map(|node| (node.node.as_str(), node.status, node.problem))
    };
    assert_eq!(next(), Some((KILLED, Status::Unreachable, Some(Problem::Unreachable))));
    assert_eq!(next(), Some((SILENT, Status::Late, Some(Problem::Late))));
    assert_eq!(next(), Some((REFUSING, Status::Refused, Some(Problem::Quota))));
    assert_eq!(next(), None);
    assert_eq!(
        (answer.took_part().answered(), answer.took_part().exit_code()),
        (nodes - 3, ExitCode::Partial)
    );
    let others = ended.iter().filter(|(node, _)| node.as_str() != SILENT);
    let others = others.map(|(_, ended)| *ended).max().unwrap();
    println!("warm: all but one are known after {others:?}, the answer is there after {took:?} of {SECONDS} s");
    assert!(others < Duration::from_secs(SECONDS), "{others:?}");
    assert!(took < Duration::from_secs(SECONDS + 2), "{took:?}");

    // The same, cold, as a person sees it.
    let began = Instant::now();
    let timeout = SECONDS.to_string();
    let run = sandbox.query(SQL, &["--purpose", "ehds-53-1-e", "--timeout", &timeout]);
    println!("cold, as a command: {:?} of {SECONDS} s", began.elapsed());
    let run = run.returns(3);
    let told = run.out();
    assert!(
        told.contains(&format!("{} of {nodes} nodes answered", nodes - 3)),
        "{told}"
    );
    for why in [
        format!("{KILLED} unreachable: {KILLED} does not answer"),
        format!("{SILENT} late: {SILENT} did not answer within {SECONDS} s [E_LATE]"),
        format!("{REFUSING} refused: "),
    ] {
        assert!(told.contains(&why), "no {why:?} in {told}");
    }
    // Nobody looks at a terminal: nothing was shown while it ran.
    assert!(!run.err().contains("waiting for"), "{}", run.err());
}
