use std::time::Duration;

use terms::Problem;
use tokio_util::sync::CancellationToken;
use trust::SigningKey;

use super::*;
use crate::tests::world::{HOUR, World, new_key, publication, roles, space};

fn refused<T: std::fmt::Debug>(result: Result<T, Report>) -> Problem {
    result.unwrap_err().problem
}

mod delegated;

#[test]
fn a_path_that_leads_elsewhere_is_refused_and_an_unknown_document_is_absent() {
    for world in World::published_everywhere() {
        for path in [
            "../root.json",
            "../../tls.pem",
            "lock",
            "/etc/passwd",
            "metadata/timestamp.json",
            "targets/../lock",
        ] {
            assert_eq!(refused(world.repository.document(path)), Problem::Usage, "{path}");
        }
        assert_eq!(world.repository.document("2.root.json"), Ok(None));
        let nobodys = trust::tuf::target_path("space.toml", &trust::Digest::of(b"nobody's"));
        assert_eq!(world.repository.document(&nobodys), Ok(None));
        assert!(world.repository.document("timestamp.json").unwrap().is_some());
    }
}

#[test]
fn a_document_that_no_client_would_read_is_an_error_and_not_absent() {
    let world = World::published();
    std::fs::write(world.path("repository/metadata/timestamp.json"), vec![b' '; 20_000]).unwrap();
    assert_eq!(
        refused(world.repository.document("timestamp.json")),
        Problem::PolicyInvalid
    );
}

#[test]
fn a_repository_is_founded_in_an_empty_folder_on_a_root_that_its_board_signed() {
    let world = World::founded();
    let root = std::fs::read(world.path("root.json")).unwrap();
    assert_eq!(
        refused(Repository::found(&world.path("repository"), &root)),
        Problem::FolderNotEmpty
    );
    let (draft, mut signatures) = Draft::parse(&root).unwrap();
    signatures.truncate(1);
    let half = draft.assemble(signatures);
    assert_eq!(
        refused(Repository::found(&world.path("half"), &half)),
        Problem::PolicyThreshold
    );
    assert_eq!(refused(Repository::open(&world.path("half"))), Problem::PolicyNone);
}

#[test]
fn what_clients_would_not_accept_is_not_published() {
    for world in World::published_everywhere() {
        let (files, keys, now) = (world.files(), world.keys(), world.now());
        let before = world.repository.document("timestamp.json");
        let publish = |targets: &[u8], files: &_| {
            let publication = publication(targets.to_vec(), files);
            refused(world.repository.publish(&keys, &publication, now))
        };

        assert_eq!(publish(&world.targets(2, &files, 1), &files), Problem::PolicyThreshold);
        assert_eq!(publish(b"{}", &files), Problem::PolicyInvalid);
        assert_eq!(
            publish(&before.clone().unwrap().unwrap(), &files),
            Problem::PolicyInvalid
        );
        let targets = world.targets(2, &files, 2);
        let mut changed = files.clone();
        changed.insert("space.toml".to_owned(), b"id = \"other\"\ntitle = \"Other\"\n".to_vec());
        assert_eq!(publish(&targets, &changed), Problem::PolicySignature);
        let mut fewer = files.clone();
        fewer.remove("policies/beds-open.toml");
        assert_eq!(publish(&targets, &fewer), Problem::PolicySignature);
        assert_eq!(publish(&world.targets(2, &fewer, 2), &files), Problem::PolicySignature);
        assert_eq!(
            publish(&world.targets(1, &fewer, 2), &fewer),
            Problem::PolicyEquivocation
        );
        assert_eq!(world.repository.document("timestamp.json"), before);
    }
}

#[test]
fn what_nobody_could_work_under_is_not_published() {
    for world in World::published_everywhere() {
        let mut files = world.files();
        let policy = files.get_mut("policies/beds-open.toml").unwrap();
        policy.extend_from_slice(b"watermark = true\n");
        assert_eq!(refused(world.publish(2, &files)), Problem::FileKey);
    }
}

#[test]
fn an_older_set_and_an_expired_one_are_not_published() {
    for world in World::founded_everywhere() {
        world.publish(3, &world.files()).unwrap();
        assert_eq!(refused(world.publish(2, &world.files())), Problem::PolicyRollback);
        let publication = publication(world.targets(4, &world.files(), 2), &world.files());
        let late = world.after(400 * 24 * HOUR);
        let expired = world.repository.publish(&world.keys(), &publication, late);
        assert_eq!(refused(expired), Problem::PolicyExpired);
    }
}

#[test]
fn keys_that_the_root_does_not_name_sign_nothing() {
    for world in World::published_everywhere() {
        let swapped = OnlineKeys {
            snapshot: world.keys().timestamp,
            timestamp: world.keys().snapshot,
        };
        let publication = publication(world.targets(2, &world.files(), 2), &world.files());
        let published = world.repository.publish(&swapped, &publication, world.now());
        assert_eq!(refused(published), Problem::PolicyThreshold);
        assert_eq!(
            refused(world.repository.renew(&swapped, world.now())),
            Problem::PolicyThreshold
        );
    }
}

#[test]
fn publishing_the_published_set_again_changes_nothing() {
    for world in World::published_everywhere() {
        let before = world.repository.document("timestamp.json");
        world.publish(1, &world.files()).unwrap();
        assert_eq!(world.repository.document("timestamp.json"), before);
    }
}

#[tokio::test]
async fn documents_are_renewed_at_half_life_and_clients_go_on() {
    for world in World::founded_everywhere() {
        let (keys, client) = (world.keys(), world.client("client"));
        assert_eq!(
            world.repository.renew(&keys, world.now()),
            Ok(Renewal::NothingPublished)
        );
        world.publish(1, &world.files()).unwrap();
        trust::refresh(&world.repository, &client, world.now()).await.unwrap();
        let steps = [
            (20 * 60, Renewal::StillFresh),
            (20 * 60, Renewal::Timestamp),
            (4 * 24 * HOUR, Renewal::SnapshotAndTimestamp),
            (60, Renewal::StillFresh),
        ];
        for (seconds, renewal) in steps {
            world.clock.advance(seconds);
            assert_eq!(
                world.repository.renew(&keys, world.now()),
                Ok(renewal),
                "after {seconds} s more"
            );
            let documents = trust::refresh(&world.repository, &client, world.now()).await.unwrap();
            assert_eq!(documents.version, 1);
        }
        world.clock.advance(2 * HOUR);
        let stale = trust::refresh(&world.repository, &client, world.now()).await;
        assert_eq!(refused(stale), Problem::PolicyExpired);
    }
}

#[tokio::test]
async fn a_running_broker_renews_when_forty_minutes_have_gone() {
    let world = World::published();
    let before = world.repository.document("timestamp.json").unwrap();
    let stop = CancellationToken::new();
    let every = Duration::from_millis(5);
    let (repository, clock) = (world.repository.clone(), world.clock.clone());
    let loop_task = tokio::spawn(crate::serve::keep_fresh(
        repository,
        std::sync::Arc::new(world.key_ring()),
        clock,
        every,
        stop.clone(),
    ));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.repository.document("timestamp.json").unwrap(), before);
    world.clock.advance(40 * 60);
    let changed = async {
        while world.repository.document("timestamp.json").unwrap() == before {
            tokio::time::sleep(every).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), changed)
        .await
        .expect("the timestamp was not renewed");
    stop.cancel();
    loop_task.await.unwrap();
}

#[tokio::test]
async fn a_new_root_needs_both_boards_and_clients_follow_it() {
    for world in World::published_everywhere() {
        let client = world.client("client");
        trust::refresh(&world.repository, &client, world.now()).await.unwrap();
        let new = OnlineKeys {
            snapshot: new_key(),
            timestamp: new_key(),
        };
        let board = roles(&world.board, new.snapshot.public(), new.timestamp.public());
        let signed = |version, signers: &[&SigningKey]| {
            let draft = Draft::root(&space(), version, world.after(HOUR), &board).unwrap();
            draft.assemble(signers.iter().map(|key| draft.sign(key)).collect())
        };
        let [ana, ben, _] = &world.board;
        let add = |root: &[u8]| world.repository.add_root(&new, root, world.now());
        assert_eq!(refused(add(&signed(3, &[ana, ben]))), Problem::PolicyRollback);
        assert_eq!(refused(add(&signed(2, &[ana, ana]))), Problem::PolicyThreshold);
        assert_eq!(refused(add(&signed(2, &[ana, &new_key()]))), Problem::PolicyThreshold);
        let unnamed = world
            .repository
            .add_root(&world.keys(), &signed(2, &[ana, ben]), world.now());
        assert_eq!(refused(unnamed), Problem::PolicyThreshold);

        add(&signed(2, &[ana, ben])).unwrap();
        assert_eq!(
            refused(world.repository.renew(&world.keys(), world.now())),
            Problem::PolicyThreshold
        );
        assert_eq!(
            trust::refresh(&world.repository, &client, world.now())
                .await
                .unwrap()
                .version,
            1
        );
    }
}

#[test]
fn the_published_list_with_fewer_signatures_or_other_spaces_changes_nothing_and_with_more_it_is_taken() {
    for world in World::founded_everywhere() {
        let files = world.files();
        let offer = |signers| world.targets(1, &files, signers);
        let publish = |targets| {
            let publication = publication(targets, &files);
            world
                .repository
                .publish(&world.keys(), &publication, world.now())
                .unwrap();
            world.repository.document("1.targets.json").unwrap().unwrap()
        };
        let two = publish(offer(2));
        let spaced = [two.as_slice(), b"\n"].concat();
        assert_eq!(publish(spaced), two, "anybody could send it");
        let three = publish(offer(3));
        assert_ne!(three, two);
        assert_eq!(publish(two), three, "a signature is not taken away");
    }
}

#[test]
fn brokers_that_publish_at_the_same_time_never_have_two_documents_of_one_version() {
    let Some(world) = World::published_in_postgres() else {
        return;
    };
    let sets = [world.files_of(&["gbsg"]), world.files_of(&["gbsg", "archive"])];
    for version in 2..6 {
        let race = |files: &crate::tests::world::Files| {
            let publication = publication(world.targets(version, files, 2), files);
            let repository = world.other_repository();
            repository.publish(&world.keys(), &publication, world.now())
        };
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let racing = sets.each_ref().map(|files| scope.spawn(|| race(files)));
            racing.into_iter().map(|racing| racing.join().unwrap()).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 1), "version {version}");
        assert_eq!(refused(lost.into_iter().next().unwrap()), Problem::PolicyEquivocation);
    }
}

#[test]
fn of_brokers_that_renew_at_the_same_time_one_signs_and_versions_only_rise() {
    let Some(world) = World::published_in_postgres() else {
        return;
    };
    let version = || {
        let timestamp = world.repository.document("timestamp.json").unwrap().unwrap();
        Draft::parse(&timestamp).unwrap().0.version()
    };
    let mut before = version();
    for _ in 0..4 {
        world.clock.advance(40 * 60);
        let renewals: Vec<_> = std::thread::scope(|scope| {
            let renew = || world.other_repository().renew(&world.keys(), world.now()).unwrap();
            let renewing: Vec<_> = (0..4).map(|_| scope.spawn(renew)).collect();
            renewing.into_iter().map(|renewing| renewing.join().unwrap()).collect()
        });
        let signed = renewals
            .iter()
            .filter(|renewal| **renewal == Renewal::Timestamp)
            .count();
        assert_eq!(signed, 1, "{renewals:?}");
        assert!(version() > before);
        before = version();
    }
}

#[test]
fn what_was_written_in_a_turn_that_did_not_end_is_not_there() {
    let Some(world) = World::published_in_postgres() else {
        return;
    };
    let before = world.repository.document("timestamp.json").unwrap();
    let mut turn = world.other_repository().turn().unwrap();
    turn.write(&DocumentPath::Timestamp, b"{}").unwrap();
    turn.write(&DocumentPath::Snapshot(7), b"{}").unwrap();
    assert_eq!(world.repository.document("timestamp.json").unwrap(), before);
    drop(turn);
    // The next turn does not wait for ever.
    world.publish(2, &world.files()).unwrap();
    assert_eq!(world.repository.document("7.snapshot.json").unwrap(), None);
}

#[tokio::test]
async fn clients_follow_a_broker_that_lost_its_documents_once_the_board_publishes_again_and_never_back() {
    let world = World::founded();
    let client = world.client("client");
    let [first, second] = [1, 2].map(|version| publication(world.targets(version, &world.files(), 2), &world.files()));
    world.repository.publish(&world.keys(), &second, world.now()).unwrap();
    world.clock.advance(40 * 60);
    world.repository.renew(&world.keys(), world.now()).unwrap();
    trust::refresh(&world.repository, &client, world.now()).await.unwrap();

    let root = std::fs::read(world.path("root.json")).unwrap();
    let lost = Repository::found(&world.path("anew"), &root).unwrap();
    assert!(trust::refresh(&lost, &client, world.now()).await.is_err());
    world.clock.advance(1);
    lost.publish(&world.keys(), &first, world.now()).unwrap();
    assert_eq!(
        refused(trust::refresh(&lost, &client, world.now()).await),
        Problem::PolicyRollback
    );
    world.clock.advance(1);
    lost.publish(&world.keys(), &second, world.now()).unwrap();
    let documents = trust::refresh(&lost, &client, world.now()).await.unwrap();
    assert_eq!(documents.version, 2);
}

#[test]
fn what_was_signed_while_the_clock_was_wrong_is_signed_anew_and_not_held_for_longer() {
    let world = World::published();
    let now = world.now();
    let ahead = world.after(30 * 24 * HOUR);
    world.repository.renew(&world.keys(), ahead).unwrap();
    let timestamp = || {
        let bytes = world.repository.document("timestamp.json").unwrap().unwrap();
        parse_as(TopRole::Timestamp, "timestamp.json", &bytes).unwrap().0
    };
    let wrong = timestamp();
    assert_eq!(
        world.repository.renew(&world.keys(), now).unwrap(),
        Renewal::SnapshotAndTimestamp
    );
    assert!(timestamp().version() > wrong.version());
    assert_eq!(timestamp().expires().as_second(), now.as_second() + TIMESTAMP_SECONDS);
    assert_eq!(world.repository.renew(&world.keys(), now).unwrap(), Renewal::StillFresh);
}
