use trust::{Draft, SigningKey};

use super::*;
use crate::Renewal;
use crate::tests::world::{HOUR, World, new_key, roles, space};

fn ring(world: &World) -> (KeyRing, Counter) {
    let refused = Counter::default();
    let ring = KeyRing::load(world.path("snapshot.pem"), world.path("timestamp.pem"), refused.clone());
    (ring.unwrap(), refused)
}

fn replace(world: &World, name: &str, key: &SigningKey) {
    std::fs::remove_file(world.path(name)).unwrap();
    key.save_new(&world.path(name)).unwrap();
}

/// The renewal that the broker would do now.
fn renew(world: &World, ring: &KeyRing) -> Result<Renewal, Report> {
    world.clock.advance(2 * HOUR / 3);
    let keys = ring.named_by(&world.repository.newest_roles().unwrap());
    world.repository.renew(&keys, world.now())
}

#[test]
fn a_20_files_that_cannot_be_used_change_nothing_and_are_told_and_counted() {
    let world = World::published();
    let (ring, refused) = ring(&world);
    std::fs::write(world.path("snapshot.pem"), b"-----BEGIN").unwrap();
    ring.look();
    assert!(ring.problem().unwrap().remedy.contains("still used"));
    std::fs::remove_file(world.path("timestamp.pem")).unwrap();
    ring.look();
    assert_eq!(refused.get(), 2);
    assert_eq!(renew(&world, &ring), Ok(Renewal::Timestamp));
}

#[test]
fn a_20_exchanged_files_sign_once_the_root_names_them_and_not_before() {
    let world = World::published();
    let (ring, _) = ring(&world);
    let (snapshot, timestamp) = (new_key(), new_key());
    replace(&world, "snapshot.pem", &snapshot);
    ring.look();
    replace(&world, "timestamp.pem", &timestamp);
    ring.look();
    assert_eq!((ring.problem(), renew(&world, &ring)), (None, Ok(Renewal::Timestamp)));

    let new = roles(&world.board, snapshot.public(), timestamp.public());
    let draft = Draft::root(&space(), 2, world.after(100 * HOUR), &new).unwrap();
    let root = draft.assemble(world.board[..2].iter().map(|key| draft.sign(key)).collect());
    let keys = ring.named_by(&new);
    world.repository.add_root(&keys, &root, world.now()).unwrap();
    assert_eq!(renew(&world, &ring), Ok(Renewal::Timestamp));
    let after = ring.named_by(&world.repository.newest_roles().unwrap());
    assert_eq!(after.timestamp.public(), timestamp.public());
}
