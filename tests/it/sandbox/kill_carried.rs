//! A node that is reached through tunnels, and its broker, killed in turn while people ask: what was answered is recorded, and both are
//! back soon, with the catalogue and the documents that they had.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use federation::{Asker, Profile, Question, Status};
use node::audit;
use terms::{Problem, SystemClock};

use super::apart::{Apart, Process, Reach, Role, SQL, STARTS_WITHIN, copy_folder, times};
use super::sound::{Before, kept_receipts};

/// So often the node is killed, unless `DATENRAUM_KILLS` says otherwise; the broker a quarter as often.
const KILLS: u64 = 20;

const PEOPLE: usize = 2;

#[derive(Default)]
struct Seen {
    answers: AtomicU64,
    over: AtomicBool,
    /// Why somebody was not answered last, and when.
    told: Mutex<Option<(Instant, String)>>,
}

impl Seen {
    fn note(&self, why: &impl std::fmt::Display) {
        *self.told.lock().unwrap() = Some((Instant::now(), why.to_string()));
    }
}

/// Asks on and on. Whatever goes wrong is that somebody is not there.
async fn go_on(folder: PathBuf, seen: Arc<Seen>) {
    let question = Question {
        sql: SQL.to_owned(),
        purpose: Some("ehds-53-1-e".parse().unwrap()),
        permit: None,
        tables: Default::default(),
        timeout: None,
    };
    let mut asker = None;
    while !seen.over.load(Ordering::Relaxed) {
        let opened = match asker.take() {
            Some(open) => Ok(open),
            None => {
                let profile = Profile::load(&folder.join("person.toml")).unwrap();
                Box::pin(Asker::open(profile, Arc::new(SystemClock))).await
            }
        };
        let open = match opened {
            Ok(open) => open,
            Err(report) => {
                seen.note(&report);
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        match Box::pin(open.ask(&question)).await {
            Ok(answer) if answer.coverage.iter().all(|node| node.status == Status::Answered) => {
                assert_eq!(answer.batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
                seen.answers.fetch_add(1, Ordering::Relaxed);
                asker = Some(open);
            }
            Ok(answer) => {
                seen.note(&format!("{:?}", answer.coverage[0].message));
                let why = answer.coverage[0].problem;
                assert!(
                    matches!(why, Some(Problem::Unreachable | Problem::ProofMismatch)),
                    "{:?}",
                    answer.coverage
                );
            }
            Err(report) => {
                seen.note(&report);
                assert_eq!(report.problem, Problem::Unreachable, "{report}");
            }
        }
    }
}

/// Waits until somebody is answered who was not before. Says how long that took.
async fn answered(apart: &Apart, seen: &Seen) -> Duration {
    // What is under way was asked before.
    let (before, since) = (seen.answers.load(Ordering::Relaxed), Instant::now());
    while seen.answers.load(Ordering::Relaxed) <= before {
        assert!(
            since.elapsed() < STARTS_WITHIN,
            "no answer for {:?}; told last: {:?}\nnode: {}\nbroker: {}",
            since.elapsed(),
            seen.told
                .lock()
                .unwrap()
                .as_ref()
                .map(|(at, why)| (at.elapsed(), why.clone())),
            apart.log(Role::Node),
            apart.log(Role::Broker)
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_42_a_node_behind_tunnels_and_its_broker_lose_nothing_when_they_are_killed() {
    let kills = times("DATENRAUM_KILLS", KILLS);
    let apart = Apart::of(Reach::ByTunnel);
    let people = apart.sandbox.dir().join("people");
    let folders = [(); PEOPLE].map(|()| people.clone());
    let folders: Vec<PathBuf> = folders
        .iter()
        .enumerate()
        .map(|(number, at)| at.join(format!("ada-{number}")))
        .collect();
    folders
        .iter()
        .for_each(|folder| copy_folder(&people.join("ada"), folder));
    let (mut broker, mut node) = (apart.start(Role::Broker), apart.start(Role::Node));
    apart.answered();
    let before = Before::of(node.id(), &apart.config());

    let (seen, begun) = (Arc::new(Seen::default()), Instant::now());
    let asking: Vec<_> = folders
        .iter()
        .map(|folder| tokio::spawn(go_on(folder.clone(), Arc::clone(&seen))))
        .collect();
    let mut slowest = [Duration::ZERO; 2];
    let again = async |role: Role, killed: Process| {
        drop(killed);
        (apart.start(role), answered(&apart, &seen).await)
    };
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(kill * 37 % 150)).await;
        let took;
        (node, took) = again(Role::Node, node).await;
        slowest[0] = slowest[0].max(took);
        if kill % 4 == 3 {
            tokio::time::sleep(Duration::from_millis(kill * 53 % 150)).await;
            let took;
            (broker, took) = again(Role::Broker, broker).await;
            slowest[1] = slowest[1].max(took);
        }
    }
    seen.over.store(true, Ordering::Relaxed);
    for asking in asking {
        asking.await.unwrap();
    }
    let config = apart.config();
    let receipts: Vec<_> = folders
        .iter()
        .flat_map(|folder| kept_receipts(folder.join("cache/receipts"), &config))
        .collect();
    let answers = seen.answers.load(Ordering::Relaxed);
    assert_eq!(receipts.len() as u64, answers);
    before.nothing_lost(receipts);
    // The broker has its catalogue and its documents: who comes for the first time finds the node.
    drop(node);
    std::fs::remove_dir_all(people.join("ada/cache")).unwrap();
    let node = apart.start(Role::Node);
    apart.answered();
    assert!(node.stop().success() && broker.stop().success());
    println!(
        "{kills} kills of the node and {} of the broker in {:.1} s: {answers} answers seen, {} entries, slowest to answer again {:.2} s \
         after a kill of the node and {:.2} s after one of the broker",
        kills / 4,
        begun.elapsed().as_secs_f64(),
        audit::entries(&config.ledger_file()).unwrap().len(),
        slowest[0].as_secs_f64(),
        slowest[1].as_secs_f64()
    );
}
