//! The guards, each with the attack that it stops. The world of these tests is in `tests/world.rs`.

mod acceptance;
mod delegation;
mod parser;
mod rotation;
mod stops;
mod world;

use terms::{Problem, limit};

use super::*;
use crate::Digest;
use world::{Lives, World, after, files, noon, oncology};

const HOUR: i64 = 3600;

#[test]
fn an_older_timestamp_or_snapshot_is_refused_after_a_restart() {
    let world = World::new();
    world.publish_files(1, "a");
    world.publish(1, 2, 3);
    world.accept(0);
    world.publish(1, 2, 2);
    assert_eq!(world.refuse(0), Problem::PolicyRollback);
    world.publish(1, 1, 4);
    assert_eq!(world.refuse(0), Problem::PolicyRollback);
}

#[test]
fn an_interrupted_refresh_does_not_lose_the_floor() {
    let world = World::new();
    world.publish_files(1, "a");
    world.publish_files(5, "b");
    world.accept(0);
    // The broker publishes timestamp 6 and withholds snapshot 6 ...
    world.publish(1, 6, 6);
    let withheld = world.take("metadata/6.snapshot.json");
    assert_eq!(world.refuse(0), Problem::PolicyNone);
    // ... and shows it to the next process: it lists targets 1, and 5 was trusted.
    world.put("metadata/6.snapshot.json", withheld);
    assert_eq!(world.refuse(0), Problem::PolicyRollback);
    assert_eq!(world.last_good(0).unwrap().version, 5);
}

#[test]
fn expired_documents_are_refused_online_and_offline() {
    let world = World::new();
    world.publish_files(1, "a");
    assert_eq!(world.accept(0).expires, after(HOUR));
    assert!(world.last_good(HOUR).is_ok());
    assert_eq!(world.refuse(HOUR + 1), Problem::PolicyExpired);
    assert_eq!(world.last_good(HOUR + 1).unwrap_err(), Problem::PolicyExpired);
}

#[test]
fn an_expired_snapshot_targets_or_root_is_refused() {
    for (root, targets, snapshot) in [(10, 800, 800), (800, 10, 800), (800, 800, 10)] {
        let world = World::with_lives(Lives {
            root,
            targets,
            snapshot,
        });
        world.publish_files(1, "a");
        world.sign_timestamp(1, 1, 800 * HOUR);
        assert_eq!(world.accept(10 * HOUR).expires, after(10 * HOUR));
        assert_eq!(world.refuse(10 * HOUR + 1), Problem::PolicyExpired);
        assert_eq!(world.last_good(10 * HOUR + 1).unwrap_err(), Problem::PolicyExpired);
    }
}

#[test]
fn a_flipped_byte_in_a_file_is_refused_and_the_last_good_set_stays() {
    let world = World::new();
    world.publish_files(1, "a");
    let good = world.accept(0);
    world.publish_files(2, "b");
    world.flip(&target_path("policies/research.toml", &Digest::of(b"b")));
    assert_eq!(world.refuse(0), Problem::PolicySignature);
    assert_eq!(world.last_good(0).unwrap(), good);
}

#[test]
fn a_flipped_byte_in_any_metadata_document_is_refused() {
    for name in [
        "metadata/timestamp.json",
        "metadata/2.snapshot.json",
        "metadata/2.targets.json",
    ] {
        let world = World::new();
        world.publish_files(1, "a");
        let good = world.accept(0);
        world.publish_files(2, "b");
        world.flip(name);
        let problem = world.refuse(0);
        assert!(
            matches!(
                problem,
                Problem::PolicySignature | Problem::PolicyThreshold | Problem::PolicyInvalid
            ),
            "{name}: {problem}"
        );
        assert_eq!(world.last_good(0).unwrap(), good);
    }
}

#[test]
fn a_flipped_byte_in_a_cached_file_is_found_and_mended_by_a_refresh() {
    let world = World::new();
    world.publish_files(1, "a");
    let good = world.accept(0);
    let cached = world.folder("store").join("files").join(Digest::of(b"a").hex());
    std::fs::write(cached, b"x").unwrap();
    assert_eq!(world.last_good(0).unwrap_err(), Problem::PolicyNone);
    assert_eq!(world.accept(0), good);
    assert_eq!(world.last_good(0).unwrap(), good);
}

#[test]
fn a_store_that_is_cut_short_changed_or_gone_fails_closed() {
    let world = World::new();
    world.publish_files(2, "a");
    world.accept(0);
    let path = world.folder("store").join("trusted");
    let whole = std::fs::read(&path).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    for broken in [&whole[..whole.len() - 1], &whole[..60], b"", &changed] {
        std::fs::write(&path, broken).unwrap();
        assert_eq!(world.refuse(0), Problem::PolicyNone);
        assert_eq!(world.last_good(0).unwrap_err(), Problem::PolicyNone);
        assert_eq!(
            SpaceStore::open(&world.folder("store")).unwrap_err().problem,
            Problem::PolicyNone
        );
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(world.refuse(0), Problem::PolicyNone);
    assert_eq!(
        SpaceStore::open(&world.folder("nowhere")).unwrap_err().problem,
        Problem::PolicyNone
    );
}

#[test]
fn a_store_is_not_created_over_another_or_from_a_root_that_its_board_did_not_sign() {
    let world = World::new();
    let root = world.sign_root(1, &world.roles(), &[0, 1]);
    assert_eq!(
        SpaceStore::create(&world.folder("store"), &root).unwrap_err().problem,
        Problem::FolderNotEmpty
    );
    let unsigned = world.sign_root(1, &world.roles(), &[0]);
    assert_eq!(
        SpaceStore::create(&world.folder("other"), &unsigned)
            .unwrap_err()
            .problem,
        Problem::PolicyThreshold
    );
    assert_eq!(
        SpaceStore::create(&world.folder("other"), b"{}").unwrap_err().problem,
        Problem::PolicyInvalid
    );
}

#[test]
fn a_store_that_lost_its_record_is_not_started_afresh_by_opening_it() {
    let world = World::new();
    let root = world.sign_root(1, &world.roles(), &[0, 1]);
    let open = || SpaceStore::open_or_create(&world.folder("store"), &root);
    world.publish_files(2, "a");
    world.accept(0);
    assert_eq!(open().unwrap().root().unwrap(), root);
    std::fs::remove_file(world.folder("store").join("trusted")).unwrap();
    assert_eq!(open().unwrap_err().problem, Problem::PolicyNone);
    assert!(SpaceStore::open_or_create(&world.folder("first"), &root).is_ok());
    assert!(SpaceStore::open_or_create(&world.folder("first"), &root).is_ok());
}

#[test]
fn a_clock_that_is_set_back_is_refused_beyond_small_corrections() {
    let world = World::new();
    world.publish_files(1, "a");
    world.accept(1000);
    assert!(world.last_good(1000 - CLOCK_STEP_BACK_SECONDS_MAX).is_ok());
    assert_eq!(
        world.refuse(1000 - CLOCK_STEP_BACK_SECONDS_MAX - 1),
        Problem::PolicyExpired
    );
    // Time counts from the latest that was seen, also in a refresh that failed.
    assert_eq!(world.refuse(HOUR + 30), Problem::PolicyExpired);
    assert_eq!(world.last_good(HOUR - 1).unwrap_err(), Problem::PolicyExpired);
}

#[test]
fn a_source_that_fails_is_not_one_without_a_newer_root() {
    let world = World::new();
    world.publish_files(1, "a");
    let good = world.accept(0);
    world.break_off("metadata/2.root.json");
    assert_eq!(world.refuse(0), Problem::Unreachable);
    assert_eq!(world.last_good(0).unwrap(), good);
}

#[test]
fn a_source_without_documents_says_so() {
    let world = World::new();
    assert_eq!(world.refuse(0), Problem::PolicyNone);
    assert_eq!(world.last_good(0).unwrap_err(), Problem::PolicyNone);
}

#[test]
fn documents_above_their_limits_are_refused() {
    let world = World::new();
    world.publish_files(1, "a");
    world.put("metadata/timestamp.json", vec![b' '; TIMESTAMP_BYTES_MAX as usize + 1]);
    assert_eq!(world.refuse(0), Problem::PolicySignature);
    let large = [("space.toml".to_owned(), vec![0; limit::DOCUMENT_BYTES_MAX + 1])].into();
    assert!(matches!(
        Draft::targets(&oncology(), 1, noon(), &large, &[]),
        Err(DraftError::Size { .. })
    ));
    world.sign_edited_targets(2, |targets| {
        targets["targets"]["space.toml"]["length"] = (1_u64 << 40).into()
    });
    assert_eq!(world.refuse(0), Problem::PolicyInvalid);
}

#[test]
fn names_that_leave_their_folder_are_refused() {
    let names = [
        "", "/a", "a/", "a//b", "..", "a/../b", "./a", "a..b", "A", "a b", "ä", ".a", "a\\b", "a?b", "a%2e",
    ];
    for name in names
        .iter()
        .map(|name| (*name).to_owned())
        .chain(["a".repeat(DOCUMENT_NAME_BYTES_MAX + 1)])
    {
        let files = [(name.clone(), vec![])].into();
        assert_eq!(
            Draft::targets(&oncology(), 1, noon(), &files, &[]),
            Err(DraftError::Name { name: name.clone() })
        );
        let world = World::new();
        world.sign_edited_targets(1, |targets| {
            let entry = targets["targets"]["space.toml"].clone();
            targets["targets"][&name] = entry;
        });
        assert_eq!(world.refuse(0), Problem::PolicyInvalid, "{name}");
    }
}

#[test]
fn a_document_of_another_role_is_refused() {
    let world = World::new();
    world.publish_files(1, "a");
    let snapshot = world.get("metadata/1.snapshot.json");
    world.put("metadata/timestamp.json", snapshot.clone());
    assert_eq!(world.refuse(0), Problem::PolicyScope);
    let timestamp = world.sign_timestamp(1, 1, HOUR);
    assert!(matches!(
        Draft::timestamp(&oncology(), 2, noon(), &timestamp),
        Err(DraftError::Form { .. })
    ));
    assert!(Draft::timestamp(&oncology(), 2, noon(), &snapshot).is_ok());
}

#[test]
fn a_new_board_does_not_make_older_documents_acceptable() {
    let world = World::new();
    world.publish_files(1, "a");
    world.publish_files(2, "b");
    world.accept(0);
    let mut roles = world.roles();
    (roles.root.keys[2], roles.targets.keys[2]) = (world.key(3), world.key(3));
    world.sign_root(2, &roles, &[0, 1]);
    world.publish(1, 3, 3);
    assert_eq!(world.refuse(0), Problem::PolicyRollback);
    world.publish(2, 4, 4);
    assert_eq!(world.accept(0).version, 2);
}

#[test]
fn an_unchanged_space_is_fetched_without_its_files() {
    let world = World::new();
    world.publish_files(1, "a");
    let good = world.accept(0);
    world.publish(1, 2, 2);
    world.take(&target_path("policies/research.toml", &Digest::of(b"a")));
    assert_eq!(world.accept(1), good);
    assert_eq!(good.files, files("a"));
}

#[test]
fn evidence_is_what_somebody_signed_and_never_fills_the_disk() {
    let world = World::new();
    world.publish_files(1, "a");
    world.publish_files(2, "b");
    world.accept(0);
    world.flip("metadata/timestamp.json");
    world.refuse(0);
    assert_eq!(world.store().evidence(), [], "anybody could have made this");
    for online in 3..=20 {
        world.publish(1, online, online);
        assert_eq!(world.refuse(0), Problem::PolicyRollback);
    }
    let kept = world.store().evidence();
    assert_eq!(kept.len(), evidence::EVIDENCE_ONLINE_MAX);
    let first: Vec<u8> = world.get("metadata/3.snapshot.json");
    assert!(
        kept.iter()
            .any(|kept| kept.document.as_bytes() == first && kept.role == "snapshot")
    );
    world.sign_targets(2, &files("c"), &[0, 1]);
    world.publish(2, 21, 21);
    assert_eq!(world.refuse(0), Problem::PolicyEquivocation);
    assert_eq!(
        world.store().evidence().len(),
        kept.len() + 2,
        "the board's own has room of its own"
    );
    std::fs::write(world.folder("store").join("evidence").join("odd.json"), b"{}").unwrap();
    assert_eq!(world.store().evidence().len(), kept.len() + 2);
}

#[test]
fn what_is_signed_is_what_is_read() {
    let world = World::new();
    let (draft, signatures) = Draft::parse(&world.sign_targets(4, &files("a"), &[0, 1])).unwrap();
    assert_eq!(
        (draft.role(), draft.version(), draft.expires()),
        (TopRole::Targets, 4, after(800 * HOUR))
    );
    assert_eq!(
        draft,
        Draft::targets(&oncology(), 4, after(800 * HOUR), &files("a"), &[]).unwrap()
    );
    assert_eq!(
        draft.signers(&signatures, &world.roles().targets),
        [world.key(0), world.key(1)]
    );
    let other = Draft::targets(&oncology(), 5, after(800 * HOUR), &files("a"), &[]).unwrap();
    assert_eq!(other.signers(&signatures, &world.roles().targets), []);
    assert_ne!(other.digest(), draft.digest());
    assert_eq!(
        BoardRoles::read(&world.sign_root(1, &world.roles(), &[0, 1])),
        Ok(world.roles())
    );
}

#[test]
fn refreshing_can_move_between_threads() {
    fn require_send<T: Send>(_: &T) {}
    let world = World::new();
    let store = world.store();
    require_send(&refresh(&world, &store, noon()));
    require_send(&last_good(&store, noon()));
}

/// Whether what `sign` makes of a targets document counts as the signature of a board member with this key.
pub(crate) fn board_accepts(key: &crate::PublicKey, sign: &dyn Fn(&[u8]) -> Vec<u8>) -> bool {
    let draft = Draft::targets(&oncology(), 1, noon(), &files("a"), &[]).unwrap();
    let signature = DraftSignature {
        keyid: key.key_id(),
        sig: crate::digest::hex(&sign(draft.canonical())),
    };
    let board = RoleKeys {
        keys: vec![*key],
        threshold: 1,
    };
    draft.signers(&[signature], &board) == [*key]
}
