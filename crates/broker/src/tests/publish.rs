//! Publishing over the wire: without a login, by signatures alone, and stops that reach everybody.

use std::collections::BTreeMap;

use terms::{Problem, Report, SpaceId};
use trust::{Digest, Draft, Envelope, SigningKey, Stop, Stopped};
use wire::publish::{self, Publication};
use wire::v1::PublishDocumentsRequest;
use wire::v1::governance_service_client::GovernanceServiceClient;

use super::world::{Files, World, new_key, roles, space};
use super::{SPACE, discover_as, fetch, refused, report};

fn set(targets: Vec<u8>, files: &Files) -> Publication {
    Publication {
        targets: Some(targets),
        delegated: BTreeMap::new(),
        files: files.clone(),
    }
}

fn stop(world: &World, stopped: Stopped, key: &SigningKey) -> Envelope {
    let stop = Stop::new(space(), stopped, "the data were used for insurance", world.now()).unwrap();
    stop.seal(key).unwrap()
}

fn member(id: &str) -> Stopped {
    Stopped::Member(id.parse().unwrap())
}

/// The board lifts what is named.
fn lifting(world: &World, lifted: &[Digest]) -> Files {
    let mut files = world.files();
    let lifted: Vec<String> = lifted.iter().map(|digest| format!("\"{digest}\"")).collect();
    let text = format!(
        "id = \"oncology\"\ntitle = \"Oncology\"\nlifted = [{}]\n",
        lifted.join(", ")
    );
    files.insert("space.toml".to_owned(), text.into_bytes());
    files
}

#[tokio::test]
async fn a_01_what_too_few_of_the_board_signed_is_not_published_whoever_sends_it() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let files = world.files_of(&["gbsg"]);
    let strangers = {
        let draft = Draft::targets(&space(), 2, world.after(1000), &files, &[]).unwrap();
        let keys = [new_key(), new_key(), new_key()];
        draft.assemble(
            keys.iter()
                .chain(&world.board[..1])
                .map(|key| draft.sign(key))
                .collect(),
        )
    };
    for targets in [world.targets(2, &files, 0), world.targets(2, &files, 1), strangers] {
        let published = publish::documents(&connection, &space(), &set(targets, &files)).await;
        assert_eq!(refused(published), Problem::PolicyThreshold);
    }
    assert_eq!(fetch(&connection, SPACE, "2.targets.json").await, Ok(None));
    let whole = set(world.targets(2, &files, 2), &files);
    publish::documents(&connection, &space(), &whole).await.unwrap();
    // Again is nothing new.
    publish::documents(&connection, &space(), &whole).await.unwrap();
    let source = wire::BrokerSource::new(broker.connect().await, space());
    let documents = trust::refresh(&source, &world.client("client"), world.now())
        .await
        .unwrap();
    assert_eq!((documents.version, &documents.files), (2, &files));
}

#[tokio::test]
async fn a_publication_of_another_space_without_a_list_or_with_a_missing_file_is_refused() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let files = world.files_of(&["gbsg"]);
    let whole = set(world.targets(2, &files, 2), &files);
    let elsewhere: SpaceId = "cardiology".parse().unwrap();
    assert_eq!(
        refused(publish::documents(&connection, &elsewhere, &whole).await),
        Problem::PolicyScope
    );
    let nothing = Publication::default();
    assert_eq!(
        refused(publish::documents(&connection, &space(), &nothing).await),
        Problem::Usage
    );
    let mut missing = whole.clone();
    missing.files.remove("policies/beds-open.toml");
    assert_eq!(
        refused(publish::documents(&connection, &space(), &missing).await),
        Problem::PolicySignature
    );
    let mut changed = whole;
    changed.files.insert(
        "space.toml".to_owned(),
        b"id = \"oncology\"\ntitle = \"Mine\"\n".to_vec(),
    );
    assert_eq!(
        refused(publish::documents(&connection, &space(), &changed).await),
        Problem::PolicySignature
    );
}

#[tokio::test]
async fn a_piece_that_is_too_large_does_not_get_in() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let piece = PublishDocumentsRequest {
        space: SPACE.to_owned(),
        path: "metadata/targets.json".to_owned(),
        content: vec![b' '; 2 * publish::PIECE_BYTES_MAX],
    };
    let sent = GovernanceServiceClient::new(connection.grpc.clone())
        .publish_documents(futures::stream::iter([piece]))
        .await;
    let refusal: Report = report(&sent.unwrap_err());
    assert!(matches!(refusal.problem, Problem::Usage | Problem::Answer), "{refusal}");
    fetch(&connection, SPACE, "timestamp.json").await.unwrap().unwrap();
}

#[tokio::test]
async fn strangers_who_publish_nonsense_are_soon_not_looked_at_and_stops_get_through_all_the_same() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let mut last = Problem::Internal;
    for _ in 0..30 {
        let nonsense = set(b"{}".to_vec(), &Files::new());
        last = refused(publish::documents(&connection, &space(), &nonsense).await);
    }
    assert_eq!(last, Problem::Resources);
    assert_eq!(
        refused(publish::root(&connection, &space(), b"{}").await),
        Problem::Resources
    );
    let stop = stop(&world, member("gbsg"), &world.board[0]);
    publish::stop(&connection, &space(), &stop).await.unwrap();
}

#[tokio::test]
async fn a_08_a_root_over_the_wire_needs_the_boards_of_both_roots() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let keys = world.keys();
    let new_board = [new_key(), new_key(), new_key()];
    let new_roles = roles(&new_board, keys.snapshot.public(), keys.timestamp.public());
    let draft = Draft::root(&space(), 2, world.after(1000), &new_roles).unwrap();
    let signed = |signers: &[&SigningKey]| draft.assemble(signers.iter().map(|key| draft.sign(key)).collect());
    let old: Vec<&SigningKey> = world.board[..2].iter().collect();
    let new: Vec<&SigningKey> = new_board[..2].iter().collect();
    for signers in [&old, &new] {
        let published = publish::root(&connection, &space(), &signed(signers)).await;
        assert_eq!(refused(published), Problem::PolicyThreshold);
    }
    let both: Vec<&SigningKey> = old.into_iter().chain(new).collect();
    publish::root(&connection, &space(), &signed(&both)).await.unwrap();
    assert!(fetch(&connection, SPACE, "2.root.json").await.unwrap().is_some());
}

#[tokio::test]
async fn a_stop_is_taken_from_one_member_of_the_board_and_from_nobody_else() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let foreign = stop(&world, member("gbsg"), &new_key());
    assert_eq!(
        refused(publish::stop(&connection, &space(), &foreign).await),
        Problem::PolicySignature
    );
    let elsewhere = Stop::new("cardiology".parse().unwrap(), member("gbsg"), "why", world.now()).unwrap();
    let elsewhere = elsewhere.seal(&world.board[0]).unwrap();
    assert_eq!(
        refused(publish::stop(&connection, &space(), &elsewhere).await),
        Problem::PolicyScope
    );
    let description = Envelope::parse(&world.described("gbsg", "beds")).unwrap();
    assert!(publish::stop(&connection, &space(), &description).await.is_err());
    assert_eq!(fetch(&connection, SPACE, "stops.json").await, Ok(None));

    let envelope = stop(&world, member("gbsg"), &world.board[2]);
    let digest = publish::stop(&connection, &space(), &envelope).await.unwrap();
    assert_eq!(digest, envelope.digest());
    let source = wire::BrokerSource::new(broker.connect().await, space());
    let documents = trust::refresh(&source, &world.client("client"), world.now())
        .await
        .unwrap();
    assert_eq!(documents.stops.len(), 1);
}

#[tokio::test]
async fn a_stopped_member_is_neither_discovered_nor_heard_and_a_stopped_person_discovers_nothing() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let offering = world.described("gbsg", "beds");
    super::publish(&connection, SPACE, offering.clone()).await.unwrap();
    let of_member = stop(&world, member("gbsg"), &world.board[1]);
    publish::stop(&connection, &space(), &of_member).await.unwrap();
    world.clock.advance(6);
    let university = || discover_as(&world, &connection, "saarland-university", "university");
    assert_eq!(university().await, Ok(Vec::new()));
    world.clock.advance(1);
    let again = world.described("gbsg", "beds");
    assert_eq!(
        refused(super::publish(&connection, SPACE, again).await),
        Problem::Stopped
    );

    let person = Stopped::Person("saarland-university".parse().unwrap(), "ada".parse().unwrap());
    let of_person = stop(&world, person, &world.board[0]);
    publish::stop(&connection, &space(), &of_person).await.unwrap();
    world.clock.advance(6);
    assert_eq!(refused(university().await), Problem::Stopped);

    // One member of the board cannot lift what one has stopped; the board together can.
    let files = lifting(&world, &[of_member.digest(), of_person.digest()]);
    let alone = set(world.targets(2, &files, 1), &files);
    assert_eq!(
        refused(publish::documents(&connection, &space(), &alone).await),
        Problem::PolicyThreshold
    );
    let together = set(world.targets(2, &files, 2), &files);
    publish::documents(&connection, &space(), &together).await.unwrap();
    world.clock.advance(6);
    assert_eq!(university().await, Ok(vec![offering]));
}

#[tokio::test]
async fn a_stop_outlives_a_restart_of_the_broker_and_a_list_that_was_taken_away() {
    let world = World::published();
    let broker = world.start().await;
    let stop = stop(&world, member("saarland-university"), &world.board[0]);
    publish::stop(&broker.connect().await, &space(), &stop).await.unwrap();
    world.clock.advance(6);
    let connection = broker.connect().await;
    let asked = discover_as(&world, &connection, "saarland-university", "university").await;
    assert_eq!(refused(asked), Problem::Stopped);
    broker.stop().await.unwrap();
    for file in ["stops.json", "metadata/stops.json"] {
        let _ = std::fs::remove_file(world.path("repository").join(file));
    }
    let broker = world.start().await;
    let connection = broker.connect().await;
    assert_eq!(fetch(&connection, SPACE, "stops.json").await, Ok(None));
    let asked = discover_as(&world, &connection, "saarland-university", "university").await;
    assert_eq!(refused(asked), Problem::Stopped);
}

#[tokio::test]
async fn documents_that_cannot_be_read_for_a_while_let_the_last_good_ones_hold_and_stops_act() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    discover_as(&world, &connection, "archive", "archive").await.unwrap();
    let timestamp = world.path("repository/metadata/timestamp.json");
    let whole = std::fs::read(&timestamp).unwrap();
    std::fs::write(&timestamp, b"{}").unwrap();
    for _ in 0..2 {
        world.clock.advance(6);
        discover_as(&world, &connection, "archive", "archive").await.unwrap();
    }
    let of_member = stop(&world, member("archive"), &world.board[0]);
    publish::stop(&connection, &space(), &of_member).await.unwrap();
    world.clock.advance(6);
    let stopped = discover_as(&world, &connection, "archive", "archive").await;
    assert_eq!(refused(stopped), Problem::Stopped);
    discover_as(&world, &connection, "saarland-university", "university")
        .await
        .unwrap();
    // What the board signed next is taken up as soon as it can be read.
    std::fs::write(&timestamp, whole).unwrap();
    world.publish(2, &world.files_of(&["gbsg"])).unwrap();
    world.clock.advance(6);
    let left = discover_as(&world, &connection, "saarland-university", "university").await;
    assert_eq!(refused(left), Problem::TokenIssuer);
}

/// Where a stranger's publication stops: the broker has what was sent, and waits for more.
struct Stalling(tokio::task::JoinHandle<()>);

impl Stalling {
    async fn after(connection: &wire::Connection, pieces: Vec<PublishDocumentsRequest>) -> Self {
        use futures::StreamExt as _;
        let mut client = GovernanceServiceClient::new(connection.grpc.clone());
        let task = tokio::spawn(async move {
            let silent = futures::stream::iter(pieces).chain(futures::stream::pending());
            let _ = client.publish_documents(silent).await;
        });
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        Self(task)
    }
}

impl Drop for Stalling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn piece(path: &str, content: Vec<u8>) -> PublishDocumentsRequest {
    let space = SPACE.to_owned();
    let path = path.to_owned();
    PublishDocumentsRequest { space, path, content }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_begin_publications_hold_no_place_not_with_what_is_published_already_either() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let files = world.files_of(&["gbsg"]);
    let published = fetch(&connection, SPACE, "1.targets.json").await.unwrap().unwrap();
    let file = || piece("targets/space.toml", b"id".to_vec());
    for pieces in [
        vec![piece("metadata/targets.json", b"{".to_vec())],
        vec![piece("metadata/targets.json", published), file()],
        vec![piece("metadata/targets.json", world.targets(2, &files, 1)), file()],
    ] {
        let _stalling = Stalling::after(&broker.connect().await, pieces).await;
        let version = fetch(&connection, SPACE, "2.targets.json")
            .await
            .unwrap()
            .map_or(2, |_| 3);
        let whole = set(world.targets(version, &files, 2), &files);
        publish::documents(&connection, &space(), &whole).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_of_the_board_signed_is_refused_while_others_write_and_waits_for_no_turn() {
    let world = World::published();
    let broker = world.start().await;
    let connection = broker.connect().await;
    let writing = std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(world.path("repository/lock"))
        .unwrap();
    writing.lock().unwrap();
    let nobody = stop(&world, member("gbsg"), &new_key());
    let unsigned = set(world.targets(2, &world.files(), 1), &world.files());
    let soon = std::time::Duration::from_secs(5);
    for _ in 0..50 {
        let refusal = tokio::time::timeout(soon, publish::stop(&connection, &space(), &nobody)).await;
        assert_eq!(refused(refusal.expect("it waits")), Problem::PolicySignature);
    }
    let refusal = tokio::time::timeout(soon, publish::documents(&connection, &space(), &unsigned)).await;
    assert_eq!(refused(refusal.expect("it waits")), Problem::PolicyThreshold);
    let refusal = tokio::time::timeout(soon, publish::root(&connection, &space(), b"{}")).await;
    assert!(refusal.expect("it waits").is_err());
    // What is signed waits, and comes through.
    let signed = stop(&world, member("gbsg"), &world.board[0]);
    let (of_board, to) = (signed.clone(), broker.connect().await);
    let waiting = tokio::spawn(async move { publish::stop(&to, &space(), &of_board).await });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    writing.unlock().unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), signed.digest());
}
