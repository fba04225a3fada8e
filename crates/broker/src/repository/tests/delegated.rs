//! What a registrar publishes beside the board, and what one member of the board stops.

use std::collections::BTreeMap;

use terms::Problem;
use trust::{DelegatedRole, Delegation, Draft, RoleKeys, SigningKey, Stop, Stopped};

use super::refused;
use crate::repository::Publication;
use crate::tests::world::{Files, HOUR, World, new_key, publication, space};

const MEMBERS: &str = "members.toml";

/// A board that leaves its members to a registrar; what each publishes, and the registrar's key.
struct Parts {
    world: World,
    registrar: SigningKey,
    board: Files,
    members: Files,
}

fn parts() -> Parts {
    let mut world = World::founded();
    let registrar = new_key();
    let keys = RoleKeys {
        keys: vec![registrar.public()],
        threshold: 1,
    };
    let role = DelegatedRole::Registrar;
    world.delegations = vec![Delegation { role, keys }];
    let (members, board) = world.files().into_iter().partition(|(name, _)| name == MEMBERS);
    Parts {
        world,
        registrar,
        board,
        members,
    }
}

impl Parts {
    fn members_document(&self, version: u64, files: &Files, key: &SigningKey) -> Vec<u8> {
        let expires = self.world.after(100 * HOUR);
        let draft = Draft::delegated(&space(), &DelegatedRole::Registrar, version, expires, files).unwrap();
        draft.assemble(vec![draft.sign(key)])
    }

    fn publication(&self, version: u64, document: Vec<u8>) -> Publication {
        let files: Files = self.board.clone().into_iter().chain(self.members.clone()).collect();
        Publication {
            delegated: [(DelegatedRole::Registrar, document)].into(),
            ..publication(self.world.targets(version, &self.board, 2), &files)
        }
    }

    fn publish(&self, publication: &Publication) -> Result<(), terms::Report> {
        let world = &self.world;
        world.repository.publish(&world.keys(), publication, world.now())
    }

    fn publish_members(&self, document: &[u8], files: &Files) -> Result<(), terms::Report> {
        let world = &self.world;
        let role = DelegatedRole::Registrar;
        world
            .repository
            .publish_delegated(&world.keys(), role, document, files, world.now())
    }
}

#[test]
fn what_clients_would_not_accept_of_a_registrar_is_not_published() {
    let parts = parts();
    let good = parts.members_document(1, &parts.members, &parts.registrar);
    assert_eq!(
        refused(parts.publish_members(&good, &parts.members)),
        Problem::PolicyNone
    );
    let stranger = parts.members_document(1, &parts.members, &new_key());
    assert_eq!(
        refused(parts.publish(&parts.publication(1, stranger))),
        Problem::PolicyThreshold
    );
    let boards = parts.world.targets(1, &parts.board, 2);
    assert_eq!(
        refused(parts.publish(&parts.publication(1, boards))),
        Problem::PolicyScope
    );
    let missing = publication(parts.world.targets(1, &parts.board, 2), &parts.board);
    assert!(
        parts.publish(&missing).is_err(),
        "nobody can work in a space without members"
    );
    parts.publish(&parts.publication(2, good)).unwrap();
    let older = parts.members_document(1, &Files::new(), &parts.registrar);
    assert!(parts.publish_members(&older, &Files::new()).is_err());
    let same_version = parts.world.files_of(&["gbsg"]);
    let members: Files = same_version.into_iter().filter(|(name, _)| name == MEMBERS).collect();
    let second = parts.members_document(1, &members, &parts.registrar);
    assert_eq!(
        refused(parts.publish_members(&second, &members)),
        Problem::PolicyEquivocation
    );
    let mut plain = World::published();
    plain.delegations.clear();
    let document = parts.members_document(1, &Files::new(), &parts.registrar);
    let role = DelegatedRole::Permits;
    let not_delegated = plain
        .repository
        .publish_delegated(&plain.keys(), role, &document, &Files::new(), plain.now());
    assert_eq!(refused(not_delegated), Problem::PolicyScope);
}

#[test]
fn a_document_that_one_key_signed_twice_is_not_published() {
    let world = World::founded();
    let document = world.targets(1, &world.files(), 2);
    let (draft, mut signatures) = Draft::parse(&document).unwrap();
    signatures.push(signatures[0].clone());
    let mut twice: serde_json::Value = serde_json::from_slice(&draft.assemble(Vec::new())).unwrap();
    twice["signatures"] = serde_json::to_value(signatures).unwrap();
    let publication = publication(twice.to_string().into_bytes(), &world.files());
    let published = world.repository.publish(&world.keys(), &publication, world.now());
    assert_eq!(refused(published), Problem::PolicyThreshold);
    world.publish(1, &world.files()).unwrap();
}

#[tokio::test]
async fn a_registrar_publishes_alone_and_the_board_publishes_around_it() {
    let parts = parts();
    let world = &parts.world;
    let document = parts.members_document(1, &parts.members, &parts.registrar);
    parts.publish(&parts.publication(1, document)).unwrap();
    let client = world.client("client");
    let documents = trust::refresh(&world.repository, &client, world.now()).await.unwrap();
    assert_eq!(documents.files, world.files());

    let fewer: Files = world
        .files_of(&["gbsg"])
        .into_iter()
        .filter(|(name, _)| name == MEMBERS)
        .collect();
    let document = parts.members_document(2, &fewer, &parts.registrar);
    parts.publish_members(&document, &fewer).unwrap();
    parts.publish_members(&document, &fewer).unwrap();
    let documents = trust::refresh(&world.repository, &client, world.now()).await.unwrap();
    assert_eq!((documents.version, &documents.files[MEMBERS]), (1, &fewer[MEMBERS]));

    parts
        .publish(&publication(world.targets(2, &parts.board, 2), &parts.board))
        .unwrap();
    let documents = trust::refresh(&world.repository, &client, world.now()).await.unwrap();
    assert_eq!((documents.version, &documents.files[MEMBERS]), (2, &fewer[MEMBERS]));
    assert!(world.repository.document("2.registrar.json").unwrap().is_some());
    assert_eq!(world.repository.document("1.permits.json"), Ok(None));
}

#[tokio::test]
async fn one_member_of_the_board_stops_and_a_stranger_does_not() {
    let world = World::published();
    let stop = |id: &str| {
        let stopped = Stopped::Policy(id.parse().unwrap());
        Stop::new(space(), stopped, "a consent form was wrong", world.now()).unwrap()
    };
    let publish = |envelope: &trust::Envelope| world.repository.publish_stop(envelope);
    let strangers = stop("beds-open").seal(&new_key()).unwrap();
    assert_eq!(refused(publish(&strangers)), Problem::PolicySignature);
    assert_eq!(world.repository.document("stops.json"), Ok(None));
    for key in &world.board[1..] {
        let envelope = stop("beds-open").seal(key).unwrap();
        let accepted = publish(&envelope).unwrap();
        assert_eq!(publish(&envelope).unwrap(), accepted);
    }
    let documents = trust::refresh(&world.repository, &world.client("client"), world.now())
        .await
        .unwrap();
    let signers: Vec<_> = documents.stops.iter().map(|stop| stop.signer).collect();
    assert_eq!(signers, [world.board[1].public(), world.board[2].public()]);
}

#[tokio::test]
async fn a_new_board_publishes_a_lower_version_than_the_one_whose_keys_were_abused() {
    let world = World::published();
    world.publish(u64::MAX, &world.files()).unwrap();
    assert_eq!(refused(world.publish(12, &world.files())), Problem::PolicyRollback);
    let client = world.client("client");
    trust::refresh(&world.repository, &client, world.now()).await.unwrap();

    let new: BTreeMap<usize, SigningKey> = (0..3).map(|n| (n, new_key())).collect();
    let (old_keys, keys) = (world.keys(), world.keys());
    let mut roles = crate::tests::world::roles(&world.board, old_keys.snapshot.public(), old_keys.timestamp.public());
    roles.root.keys = new.values().map(SigningKey::public).collect();
    roles.targets.keys = roles.root.keys.clone();
    let root = Draft::root(&space(), 2, world.after(HOUR), &roles).unwrap();
    let signers = world.board[..2].iter().chain(new.values());
    let root = root.assemble(signers.map(|key| root.sign(key)).collect());
    world.repository.add_root(&keys, &root, world.now()).unwrap();
    assert_eq!(refused(world.publish(12, &world.files())), Problem::PolicyThreshold);
    let targets = Draft::targets(&space(), 12, world.after(HOUR), &world.files(), &[]).unwrap();
    let targets = targets.assemble(new.values().map(|key| targets.sign(key)).collect());
    world
        .repository
        .publish(&keys, &publication(targets, &world.files()), world.now())
        .unwrap();
    let documents = trust::refresh(&world.repository, &client, world.now()).await.unwrap();
    assert_eq!((documents.version, documents.root_version), (12, 2));
}
