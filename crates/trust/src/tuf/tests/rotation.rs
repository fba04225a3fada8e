//! The acceptance list's cases of changed keys and of recovery, each under its number.

use serde_json::json;
use terms::Problem;

use super::world::{Lives, World, after, files, oncology};
use crate::tuf::*;

const HOUR: i64 = 3600;

/// 2^63 - 1: what most languages take for the highest version.
const HUGE: u64 = i64::MAX as u64;

#[test]
fn a_08_a_new_root_needs_the_old_board_and_the_new_one_and_is_kept_even_if_the_refresh_fails() {
    let world = World::new();
    world.publish_files(1, "a");
    world.accept(0);
    let mut roles = world.roles();
    roles.root.keys = vec![world.key(3), world.key(4), world.key(5)];
    for signers in [&[0, 1][..], &[3, 4], &[0, 3, 4], &[0, 1, 3]] {
        world.sign_root(2, &roles, signers);
        assert_eq!(world.refuse(0), Problem::PolicyThreshold, "{signers:?}");
    }
    let root = world.sign_root(2, &roles, &[0, 1, 3, 4]);
    world.break_off("metadata/timestamp.json");
    assert_eq!(world.refuse(0), Problem::Unreachable);
    assert_eq!(world.store().root().unwrap(), root);
    world.take("metadata/2.root.json");
    world.publish(1, 1, 1);
    assert_eq!(world.accept(0).root_version, 2);
}

#[test]
fn a_08_a_root_that_skips_a_version_is_refused() {
    let world = World::new();
    world.publish_files(1, "a");
    let skipped = world.sign_root(3, &world.roles(), &[0, 1]);
    assert_eq!(world.accept(0).root_version, 1);
    world.put("metadata/2.root.json", skipped);
    assert_eq!(world.refuse(0), Problem::PolicyInvalid);
    let older = world.get("metadata/1.root.json");
    world.put("metadata/2.root.json", older);
    assert_eq!(world.refuse(0), Problem::PolicyRollback);
    assert_eq!(world.last_good(0).unwrap().root_version, 1);
}

#[test]
fn a_08_expired_roots_are_walked_through_and_not_stopped_at() {
    let world = World::with_lives(Lives {
        root: 2,
        targets: 800,
        snapshot: 100,
    });
    world.publish_files(1, "a");
    world.accept(0);
    world.sign_root(2, &world.roles(), &[0, 1]);
    world.sign_timestamp(2, 1, 20 * HOUR);
    assert_eq!(world.refuse(10 * HOUR), Problem::PolicyExpired);
    let fresh = Draft::root(&oncology(), 3, after(100 * HOUR), &world.roles()).unwrap();
    let signatures = [0, 1].map(|n| fresh.sign(&World::signing_key(n)));
    world.put("metadata/3.root.json", fresh.assemble(signatures.into()));
    assert_eq!(world.accept(10 * HOUR).root_version, 3);
}

#[test]
fn a_08_two_thousand_rotations_are_followed_in_bounded_steps_and_to_a_bounded_end() {
    let world = World::new();
    world.publish_files(1, "a");
    for version in 2..=2_001 {
        world.sign_root(version, &world.roles(), &[0, 1]);
    }
    let version = || Draft::parse(&world.store().root().unwrap()).unwrap().0.version();
    let mut last = 1;
    let end = loop {
        let refused = world.refresh(0).unwrap_err();
        assert_eq!(refused.problem, Problem::PolicyNone);
        if version() == last {
            break refused;
        }
        assert!(version() <= last + u64::from(ROOT_ROTATIONS_MAX), "{}", version());
        last = version();
    };
    assert_eq!(last, ROOTS_MAX as u64);
    assert!(end.message.contains(&ROOTS_MAX.to_string()), "{}", end.message);
}

#[test]
fn a_09_a_removed_member_no_longer_counts_whatever_a_document_claims() {
    let world = World::of_five();
    world.publish_files(9, "a");
    world.accept(0);
    // Signed while the fifth was still a member.
    world.sign_targets(10, &files("b"), &[0, 1, 4]);
    let mut roles = world.roles();
    (roles.root.keys, roles.targets.keys) = (roles.root.keys[..4].to_vec(), roles.targets.keys[..4].to_vec());
    world.sign_root(2, &roles, &[0, 1, 2]);
    world.publish(10, 10, 10);
    assert_eq!(world.refuse(0), Problem::PolicyThreshold);
    world.sign_edited_targets(10, |targets| targets["signed_at"] = json!("2026-11-20T12:00:00Z"));
    assert_eq!(world.refuse(0), Problem::PolicyInvalid);
    world.sign_targets(10, &files("b"), &[0, 1, 2]);
    assert_eq!(world.accept(0).version, 10);
}

#[test]
fn a_10_versions_of_the_broker_start_anew_only_when_the_board_exchanges_the_online_keys() {
    for huge in [HUGE, u64::MAX] {
        let world = World::new();
        world.publish_files(1, "a");
        world.publish(1, huge, huge);
        world.accept(0);
        world.publish(1, 2, 2);
        assert_eq!(world.refuse(0), Problem::PolicyRollback);
        let mut roles = world.roles();
        (roles.snapshot.keys, roles.timestamp.keys) = (vec![world.key(13)], vec![world.key(13)]);
        world.sign_root(2, &roles, &[0, 1]);
        world.online_key(13);
        world.publish(1, 2, 2);
        assert_eq!(world.accept(0).version, 1);
        world.online_key(9);
        world.publish(1, huge, huge);
        assert_eq!(
            world.refuse(0),
            Problem::PolicyThreshold,
            "nothing of the old keys comes back"
        );
    }
}

#[test]
fn a_10_a_new_board_recovers_from_a_huge_version_and_nothing_of_the_old_one_comes_back() {
    let world = World::new();
    world.publish_files(11, "a");
    world.accept(0);
    world.sign_targets(HUGE, &files("abused"), &[0, 1]);
    world.publish(HUGE, 12, 12);
    assert_eq!(world.accept(0).version, HUGE);
    world.sign_targets(12, &files("b"), &[0, 1]);
    world.publish(12, 13, 13);
    assert_eq!(world.refuse(0), Problem::PolicyRollback);
    // Two of three exchanged: one old key and one old signature are not enough for the threshold any more.
    let mut roles = world.roles();
    roles.root.keys = vec![world.key(0), world.key(3), world.key(4)];
    roles.targets.keys = roles.root.keys.clone();
    world.sign_root(2, &roles, &[0, 1, 3, 4]);
    world.sign_targets(12, &files("b"), &[3, 4]);
    world.publish(12, 14, 14);
    let documents = world.accept(0);
    assert_eq!((documents.version, documents.files), (12, files("b")));
    assert_eq!(world.newcomer().unwrap().version, 12);
    for (old, online) in [(HUGE, 15), (11, 16)] {
        world.publish(old, online, online);
        let problem = world.refuse(0);
        assert!(
            matches!(problem, Problem::PolicyThreshold | Problem::PolicyRollback),
            "{problem}"
        );
        assert_eq!(world.last_good(0).unwrap().version, 12);
    }
}
