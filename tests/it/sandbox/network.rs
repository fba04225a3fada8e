//! Connections that go wrong between whoever asks, the broker and a node: the answer is the right one, or it is said by name who is missing.

use std::time::{Duration, Instant};

use faults::{Fault, Proxy};
use serde_json::json;

use super::apart::{Apart, Reach, Role};
use super::sound::{Before, kept_receipts};

const FAULTS: [Fault; 5] = [
    Fault::Late(Duration::from_millis(30)),
    Fault::Twice,
    Fault::Swapped,
    Fault::HalfClosed,
    Fault::Deaf,
];

/// After so many bytes of answers a connection goes wrong: in the handshake, at its end, in what is asked first, and in the answer.
const AFTER: [u64; 4] = [0, 400, 900, 2_000];

/// So long whoever asks waits for a node, in seconds.
const PATIENCE: &str = "3";

/// Asks while it goes wrong. Says whether there was an answer.
fn answered_right_or_named(apart: &Apart, fault: Fault, after: u64) -> bool {
    let since = Instant::now();
    let run = apart.ask(&["--timeout", PATIENCE]);
    let said = format!("{fault:?} after {after} bytes: {}{}", run.out(), run.err());
    assert!(since.elapsed() < Duration::from_secs(40), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    if run.code() == 0 {
        assert_eq!(run.json()["rows"], json!([[60]]), "{said}");
        return true;
    }
    // By its code, and by whom it is about.
    assert!(
        said.contains("E_") && (said.contains("clinic-a") || said.contains("broker")),
        "{said}"
    );
    false
}

fn sound(apart: &Apart, before: &Before) {
    let receipts = kept_receipts(apart.sandbox.dir().join("people/ada/cache/receipts"), &apart.config());
    before.still_sound(|| drop(apart.ask(&[]).returns(0)), receipts);
}

async fn whatever_goes_wrong(apart: &Apart, proxy: &Proxy, before: &Before, after: &[u64]) {
    let mut answers = Vec::new();
    for fault in FAULTS {
        for after in after {
            proxy.spoil_after(fault, *after);
            let answered = tokio::task::block_in_place(|| answered_right_or_named(apart, fault, *after));
            // Late is slow and not wrong.
            assert!(
                answered || !matches!(fault, Fault::Late(_)),
                "{fault:?} after {after} bytes"
            );
            answers.push(answered);
            proxy.pass();
            // Connections that were spoiled are not used on.
            proxy.cut();
        }
        tokio::task::block_in_place(|| apart.answered());
        tokio::task::block_in_place(|| sound(apart, before));
    }
    assert!(answers.contains(&true) && answers.contains(&false), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_on_the_way_to_a_node_the_answer_is_right_or_the_node_is_named() {
    let apart = Apart::of(Reach::Directly);
    let listens = apart.config().listen.unwrap();
    let proxy = Proxy::before(listens.parse().unwrap()).await.unwrap();
    let advertised = format!("listen = \"{listens}\"\nadvertise = \"{}\"", proxy.address());
    apart.change_node_file(&format!("listen = \"{listens}\""), &advertised);
    let (_broker, node) = (apart.start(Role::Broker), apart.start(Role::Node));
    apart.answered();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Before::of(node.id(), &apart.config());
    whatever_goes_wrong(&apart, &proxy, &before, &AFTER).await;
    assert!(proxy.connections() > FAULTS.len() * AFTER.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_between_a_node_and_its_broker_the_answer_is_right_or_the_node_is_named() {
    let apart = Apart::of(Reach::ByTunnel);
    let address = apart.broker_address();
    let proxy = Proxy::before(address.parse().unwrap()).await.unwrap();
    apart.change_node_file(&address, &proxy.address().to_string());
    let (_broker, node) = (apart.start(Role::Broker), apart.start(Role::Node));
    apart.answered();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Before::of(node.id(), &apart.config());
    whatever_goes_wrong(&apart, &proxy, &before, &[300, 2_000]).await;
}
