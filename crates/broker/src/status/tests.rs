use std::sync::Arc;

use telemetry::Counter;
use wire::description::BROKER_AUDIENCE;

use super::*;
use crate::callers::Callers;
use crate::tests::world::{HOUR, World, space};

fn watch(world: &World) -> Watch {
    let root = std::fs::read(world.path("root.json")).unwrap();
    let clock: Arc<dyn Clock> = world.clock.clone();
    let (repository, folder) = (world.repository.clone(), world.path("governance"));
    let roster = Roster::open(space(), repository, &root, &folder, Arc::clone(&clock)).unwrap();
    let roster = Arc::new(roster);
    let relay = Relay::new(Arc::new(Callers::new(space(), Arc::clone(&roster), Arc::clone(&clock))));
    let key = trust::SigningKey::load(&world.path("tls.pem")).unwrap();
    let key_file = KeyFile::new(world.path("tls.pem"), &key, BROKER_AUDIENCE, Counter::default()).unwrap();
    std::fs::create_dir_all(world.path("data")).unwrap();
    Watch::new(
        world.config(),
        roster,
        relay,
        (Arc::new(key_file), Arc::new(world.key_ring())),
        clock,
    )
}

/// Whether the broker says that it takes work, once it has looked again.
async fn is_ready(world: &World, watch: &Watch) -> bool {
    world.clock.advance(6);
    watch.write(false).await;
    watch.is_ready()
}

/// A document that is there and cannot be read.
fn break_timestamp(world: &World) {
    let timestamp = world.path("repository/metadata/timestamp.json");
    let _ = std::fs::remove_file(&timestamp);
    std::fs::create_dir(timestamp).unwrap();
}

#[tokio::test]
async fn a_broker_that_cannot_read_documents_and_knows_none_takes_no_work() {
    let world = World::founded();
    let watch = watch(&world);
    assert!(is_ready(&world, &watch).await, "its board may publish first");
    break_timestamp(&world);
    assert!(!is_ready(&world, &watch).await);
}

#[tokio::test]
async fn a_broker_that_cannot_read_documents_any_more_takes_work_until_those_that_it_knows_expire() {
    let world = World::published();
    let watch = watch(&world);
    assert!(is_ready(&world, &watch).await);
    break_timestamp(&world);
    assert!(is_ready(&world, &watch).await);
    world.clock.advance(2 * HOUR);
    assert!(!is_ready(&world, &watch).await);
}
