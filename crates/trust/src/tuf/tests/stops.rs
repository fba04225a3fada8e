//! Stops: one member of the board is enough, and nobody but the board takes one back.

use futures::executor::block_on;
use terms::Problem;

use super::world::{World, after, noon, oncology};
use crate::tuf::*;
use crate::{Envelope, Stop, StopList, Stopped};

const HOUR: i64 = 3600;

fn stop(policy: &str) -> Stop {
    let stopped = Stopped::Policy(policy.parse().unwrap());
    Stop::new(oncology(), stopped, "a consent form was wrong", noon()).unwrap()
}

fn signed(policy: &str, signer: usize) -> Envelope {
    stop(policy).seal(&World::signing_key(signer)).unwrap()
}

fn serve(world: &World, stops: Vec<Envelope>) {
    world.put(STOPS_PATH, StopList { stops, ignored: 0 }.to_bytes().unwrap());
}

fn stopped(documents: &Documents) -> Vec<String> {
    documents
        .stops
        .iter()
        .map(|accepted| accepted.stop.stopped.to_string())
        .collect()
}

#[test]
fn a_stop_of_somebody_else_or_for_another_space_is_ignored() {
    let world = World::new();
    world.publish_files(1, "a");
    let mut elsewhere = stop("research");
    elsewhere.space = "cardiology".parse().unwrap();
    let elsewhere = elsewhere.seal(&World::signing_key(0)).unwrap();
    serve(
        &world,
        vec![signed("research", 9), signed("research", 20), elsewhere.clone()],
    );
    let documents = world.accept(0);
    assert_eq!((stopped(&documents).len(), documents.ignored_stops), (0, 3));
    assert_eq!(
        world.store().accept_stop(&elsewhere).unwrap_err().problem,
        Problem::PolicyScope
    );
    let refused = world.store().accept_stop(&signed("research", 9)).unwrap_err();
    assert_eq!(refused.problem, Problem::PolicySignature);
    world.put(STOPS_PATH, b"garbage".to_vec());
    assert_eq!(world.accept(0).ignored_stops, 1);
    world.break_off(STOPS_PATH);
    assert_eq!(world.accept(0).ignored_stops, 0);
}

#[test]
fn a_stop_stays_when_the_broker_forgets_it_and_its_signer_leaves() {
    let world = World::new();
    world.publish_files(1, "a");
    serve(&world, vec![signed("research", 2)]);
    assert_eq!(stopped(&world.accept(0)), ["policy research"]);
    world.take(STOPS_PATH);
    assert_eq!(stopped(&world.accept(0)), ["policy research"]);
    serve(&world, vec![]);
    let mut roles = world.roles();
    (roles.root.keys[2], roles.targets.keys[2]) = (world.key(3), world.key(3));
    world.sign_root(2, &roles, &[0, 1]);
    assert_eq!(stopped(&world.accept(0)), ["policy research"]);
    assert_eq!(stopped(&world.last_good(0).unwrap()), ["policy research"]);
    serve(&world, vec![signed("research", 2), signed("beds", 2)]);
    let documents = world.accept(0);
    assert_eq!(
        (stopped(&documents).len(), documents.ignored_stops),
        (1, 1),
        "one that left stops nothing new"
    );
}

#[test]
fn a_stop_is_remembered_even_if_everything_else_is_refused() {
    let world = World::new();
    world.publish_files(1, "a");
    world.accept(0);
    world.flip("metadata/timestamp.json");
    serve(&world, vec![signed("research", 0)]);
    world.refresh(0).unwrap_err();
    assert_eq!(stopped(&world.last_good(0).unwrap()), ["policy research"]);
    let late = world.refuse(2 * HOUR);
    assert_ne!(late, Problem::PolicyNone);
}

#[test]
fn a_stop_that_comes_again_counts_once() {
    let world = World::new();
    world.publish_files(1, "a");
    world.accept(0);
    serve(
        &world,
        vec![signed("research", 0), signed("research", 0), signed("research", 1)],
    );
    for _ in 0..2 {
        assert_eq!(world.accept(0).stops.len(), 2, "one for each who signed");
    }
}

#[test]
fn a_stop_that_comes_as_a_file_counts_from_then_on() {
    let world = World::new();
    world.publish_files(1, "a");
    world.accept(0);
    let accepted = world.store().accept_stop(&signed("research", 1)).unwrap();
    assert_eq!((accepted.signer, accepted.stop), (world.key(1), stop("research")));
    assert_eq!(
        world.last_good(0).unwrap().stops,
        [world.store().accept_stop(&signed("research", 1)).unwrap()]
    );
    let documents = block_on(refresh(&world, &world.store(), after(1))).unwrap();
    assert_eq!(stopped(&documents), ["policy research"]);
}
