//! What a board delegates: what is wrong with it stays with it.

use std::collections::BTreeMap;

use serde_json::json;
use terms::{Problem, UtcTime};

use super::world::{World, after, files, oncology, sign_value};
use crate::tuf::*;

const HOUR: i64 = 3600;
const COMMITTEE: [usize; 3] = [20, 21, 22];
const REGISTRAR: [usize; 1] = [30];

fn permits(text: &str) -> BTreeMap<String, Vec<u8>> {
    [("permits/p-1.toml".to_owned(), text.into())].into()
}

fn members(text: &str) -> BTreeMap<String, Vec<u8>> {
    [("members.toml".to_owned(), text.into())].into()
}

/// A board that has delegated both roles, with version 1 of everything published.
fn delegating() -> World {
    let world = World::new();
    world.delegate(DelegatedRole::Permits, &COMMITTEE, 2);
    world.delegate(DelegatedRole::Registrar, &REGISTRAR, 1);
    world.sign_delegated(DelegatedRole::Permits, 1, (&permits("a"), 50), &[20, 22]);
    world.sign_delegated(DelegatedRole::Registrar, 1, (&members("a"), 60), &[30]);
    world.publish_files(1, "a");
    world
}

fn problem(documents: &Documents, role: DelegatedRole) -> Option<Problem> {
    let delegated = documents
        .delegated
        .iter()
        .find(|delegated| delegated.role == role)
        .unwrap();
    assert_eq!(delegated.problem.is_some(), delegated.files.is_empty());
    delegated.problem.as_ref().map(|report| report.problem)
}

/// The committee's document does not count, and everything else does.
fn refuse_permits(world: &World, seconds: i64) -> Problem {
    let documents = world.accept(seconds);
    assert!(!documents.files.keys().any(|name| name.starts_with("permits/")));
    assert!(documents.files.contains_key("members.toml") && documents.files.contains_key("policies/research.toml"));
    problem(&documents, DelegatedRole::Permits).unwrap()
}

#[test]
fn too_few_of_a_committee_count_for_nothing_and_stop_nobody_else() {
    let world = delegating();
    world.accept(0);
    for signers in [&[][..], &[20], &[20, 0, 1], &[30]] {
        world.sign_delegated(DelegatedRole::Permits, 2, (&permits("b"), 50), signers);
        world.publish_files(2, "b");
        assert_eq!(refuse_permits(&world, 0), Problem::PolicyThreshold, "{signers:?}");
    }
    assert_eq!(
        world.store().evidence().len(),
        2,
        "those that one of the committee signed"
    );
    world.sign_delegated(DelegatedRole::Permits, 2, (&permits("b"), 50), &[20, 21]);
    let documents = world.accept(0);
    assert_eq!(problem(&documents, DelegatedRole::Permits), None);
    assert_eq!(documents.files["permits/p-1.toml"], b"b");
}

#[test]
fn an_expired_document_of_a_committee_ends_its_permits_and_nothing_else() {
    let world = delegating();
    world.sign_timestamp(2, 1, 70 * HOUR);
    let documents = world.accept(0);
    assert_eq!(documents.expires, after(60 * HOUR), "a registrar's expiry ends the set");
    world.accept(50 * HOUR);
    assert_eq!(refuse_permits(&world, 50 * HOUR + 1), Problem::PolicyExpired);
    let offline = world.last_good(55 * HOUR).unwrap();
    assert!(!offline.files.contains_key("permits/p-1.toml") && offline.expires == documents.expires);
    let late = world.accept(60 * HOUR + 1);
    assert_eq!(problem(&late, DelegatedRole::Registrar), Some(Problem::PolicyExpired));
    assert!(!late.files.contains_key("members.toml"));
}

#[test]
fn a_committee_without_a_document_has_no_permits() {
    let world = delegating();
    world.take("metadata/1.permits.json");
    assert_eq!(refuse_permits(&world, 0), Problem::PolicyNone);
    world.break_off("metadata/1.permits.json");
    assert_eq!(
        world.refuse(0),
        Problem::Unreachable,
        "a source that fails says nothing about the committee"
    );
}

#[test]
fn a_committee_signs_permits_and_nothing_else() {
    let world = delegating();
    let refused = Draft::delegated(&oncology(), &DelegatedRole::Permits, 1, after(HOUR), &members("a"));
    assert!(matches!(
        refused,
        Err(DraftError::Path {
            role: DelegatedRole::Permits,
            ..
        })
    ));
    let mut document: serde_json::Value = serde_json::from_slice(&world.get("metadata/1.permits.json")).unwrap();
    let entry = document["signed"]["targets"]["permits/p-1.toml"].clone();
    for name in [
        "members.toml",
        "policies/research.toml",
        "permits/a/b.toml",
        "permits/a.json",
        "permits/.toml",
    ] {
        document["signed"]["targets"] = json!({ (name): entry });
        world.put("metadata/1.permits.json", sign_value(&document["signed"], &COMMITTEE));
        let problem = refuse_permits(&world, 0);
        assert!(
            matches!(problem, Problem::PolicyScope | Problem::PolicyInvalid),
            "{name}: {problem}"
        );
    }
}

#[test]
fn a_07_a_document_of_one_role_does_not_stand_in_for_that_of_another() {
    let world = World::new();
    world.delegate(DelegatedRole::Permits, &REGISTRAR, 1);
    world.delegate(DelegatedRole::Registrar, &REGISTRAR, 1);
    world.sign_delegated(DelegatedRole::Registrar, 1, (&members("a"), 60), &[30]);
    world.list(DelegatedRole::Permits, 1);
    world.publish_files(1, "a");
    world.put("metadata/1.permits.json", world.get("metadata/1.registrar.json"));
    assert_eq!(refuse_permits(&world, 0), Problem::PolicyScope);
    world.put("metadata/1.permits.json", world.get("metadata/1.targets.json"));
    assert_eq!(refuse_permits(&world, 0), Problem::PolicyScope);
    world.sign_delegated(DelegatedRole::Permits, 1, (&permits("a"), 60), &[30]);
    let mut document: serde_json::Value = serde_json::from_slice(&world.get("metadata/1.permits.json")).unwrap();
    document["signed"]["space"] = json!("cardiology");
    world.put("metadata/1.permits.json", sign_value(&document["signed"], &REGISTRAR));
    assert_eq!(refuse_permits(&world, 0), Problem::PolicyScope);
    world.put("metadata/1.targets.json", world.get("metadata/1.registrar.json"));
    assert_eq!(world.newcomer().unwrap_err().problem, Problem::PolicyScope);
}

#[test]
fn an_older_or_a_second_document_of_a_committee_is_refused_after_a_restart() {
    let world = delegating();
    world.sign_delegated(DelegatedRole::Permits, 2, (&permits("b"), 50), &[20, 21]);
    world.publish_files(2, "a");
    world.accept(0);
    world.sign_delegated(DelegatedRole::Permits, 2, (&permits("c"), 50), &[20, 21]);
    world.publish_files(3, "a");
    assert_eq!(refuse_permits(&world, 0), Problem::PolicyEquivocation);
    world.sign_delegated(DelegatedRole::Permits, 1, (&permits("a"), 50), &[20, 21]);
    world.publish_files(4, "a");
    assert_eq!(
        world.refuse(0),
        Problem::PolicyRollback,
        "a snapshot lists nothing older than the last one did"
    );
    world.put("metadata/3.permits.json", world.get("metadata/1.permits.json"));
    world.list(DelegatedRole::Permits, 3);
    world.publish_files(5, "a");
    assert_eq!(refuse_permits(&world, 0), Problem::PolicyRollback);
    assert_ne!(world.store().evidence(), []);
}

#[test]
fn delegations_of_other_roles_or_paths_are_refused_and_not_skipped() {
    let world = delegating();
    let document: serde_json::Value = serde_json::from_slice(&world.get("metadata/1.targets.json")).unwrap();
    type Edit = fn(&mut serde_json::Value);
    let edits: [(&str, Edit); 6] = [
        ("another name", |role| role["name"] = json!("policies")),
        ("other paths", |role| role["paths"] = json!(["*"])),
        ("hash prefixes", |role| role["path_hash_prefixes"] = json!(["00"])),
        ("not terminating", |role| role["terminating"] = json!(false)),
        ("no threshold", |role| role["threshold"] = json!(0)),
        ("a key twice", |role| role["keyids"][1] = role["keyids"][0].clone()),
    ];
    for (case, edit) in edits {
        let mut signed = document["signed"].clone();
        edit(&mut signed["delegations"]["roles"][0]);
        world.put("metadata/1.targets.json", sign_value(&signed, &[0, 1]));
        let problem = world.refuse(0);
        assert!(
            matches!(problem, Problem::PolicyInvalid | Problem::PolicyThreshold),
            "{case}: {problem}"
        );
    }
    let mut twice = document["signed"].clone();
    twice["delegations"]["roles"][1] = twice["delegations"]["roles"][0].clone();
    world.put("metadata/1.targets.json", sign_value(&twice, &[0, 1]));
    assert_eq!(world.refuse(0), Problem::PolicyInvalid);
    let further = sign_value(
        &{
            let mut permits: serde_json::Value = serde_json::from_slice(&world.get("metadata/1.permits.json")).unwrap();
            permits["signed"]["delegations"] = document["signed"]["delegations"].clone();
            permits["signed"].clone()
        },
        &COMMITTEE,
    );
    world.put("metadata/1.targets.json", sign_value(&document["signed"], &[0, 1]));
    world.put("metadata/1.permits.json", further);
    assert_eq!(refuse_permits(&world, 0), Problem::PolicyInvalid);
}

#[test]
fn what_the_board_lists_itself_is_the_boards() {
    let world = delegating();
    let keys = RoleKeys {
        keys: vec![world.key(30)],
        threshold: 1,
    };
    let delegation = Delegation {
        role: DelegatedRole::Registrar,
        keys,
    };
    let refused = Draft::targets(&oncology(), 2, after(HOUR), &members("a"), &[delegation]);
    assert!(matches!(refused, Err(DraftError::Delegated { .. })));
    world.sign_edited_targets(1, |targets| {
        targets["targets"]["members.toml"] = targets["targets"]["space.toml"].clone();
    });
    let bytes = world.get(&target_path("space.toml", &crate::Digest::of(b"space")));
    world.put(&target_path("members.toml", &crate::Digest::of(b"space")), bytes);
    let documents = world.accept(0);
    assert_eq!(documents.files["members.toml"], b"space");
    assert_eq!(problem(&documents, DelegatedRole::Registrar), Some(Problem::PolicyNone));
}

#[test]
fn a_board_ends_a_delegation_and_signs_the_files_itself() {
    let world = delegating();
    world.accept(0);
    world.undelegate();
    world.sign_targets(2, &members("b"), &[0, 1]);
    world.publish(2, 2, 2);
    let documents = world.accept(0);
    assert_eq!((documents.files, documents.delegated), (members("b"), Vec::new()));
    assert_eq!(world.last_good(0).unwrap().files, members("b"));
}

#[test]
fn a_10_a_huge_version_of_a_committee_is_passed_when_board_and_online_keys_are_exchanged() {
    let world = delegating();
    world.sign_delegated(DelegatedRole::Permits, u64::MAX, (&permits("abused"), 50), &[20, 21]);
    world.publish_files(2, "a");
    assert_eq!(world.accept(0).files["permits/p-1.toml"], b"abused");
    let mut roles = world.roles();
    (roles.snapshot.keys, roles.timestamp.keys) = (vec![world.key(13)], vec![world.key(13)]);
    roles.root.keys = vec![world.key(0), world.key(3), world.key(4)];
    roles.targets.keys = roles.root.keys.clone();
    world.sign_root(2, &roles, &[0, 1, 3, 4]);
    world.online_key(13);
    world.delegate(DelegatedRole::Permits, &[23, 24], 2);
    world.sign_delegated(DelegatedRole::Permits, 12, (&permits("b"), 50), &[23, 24]);
    world.sign_targets(3, &files("a"), &[3, 4]);
    world.publish(3, 3, 3);
    assert_eq!(world.accept(0).files["permits/p-1.toml"], b"b");
    world.list(DelegatedRole::Permits, u64::MAX);
    world.sign_targets(4, &files("a"), &[3, 4]);
    world.publish(4, 4, 4);
    assert_eq!(
        refuse_permits(&world, 0),
        Problem::PolicyThreshold,
        "nothing of the old committee comes back"
    );
}

#[test]
fn a_04_new_keys_of_the_broker_bring_back_no_older_document_of_board_or_committee() {
    let world = delegating();
    world.sign_delegated(DelegatedRole::Permits, 2, (&permits("b"), 50), &[20, 21]);
    world.publish_files(2, "b");
    assert_eq!(world.accept(0).files["permits/p-1.toml"], b"b");
    let mut roles = world.roles();
    (roles.snapshot.keys, roles.timestamp.keys) = (vec![world.key(13)], vec![world.key(13)]);
    world.sign_root(2, &roles, &[0, 1]);
    world.online_key(13);
    world.publish(1, 3, 3);
    assert_eq!(world.refuse(0), Problem::PolicyRollback, "the board's own");
    world.list(DelegatedRole::Permits, 1);
    world.publish(2, 4, 4);
    assert_eq!(refuse_permits(&world, 0), Problem::PolicyRollback, "the committee's");
    world.list(DelegatedRole::Permits, 2);
    world.publish(2, 5, 5);
    assert_eq!(world.accept(0).files["permits/p-1.toml"], b"b");
}

#[test]
fn delegated_files_join_those_of_the_board_online_and_offline() {
    let world = delegating();
    let documents = world.accept(0);
    let expected: BTreeMap<_, _> = [files("a"), permits("a"), members("a")].into_iter().flatten().collect();
    assert_eq!(documents.files, expected);
    let [registrar, committee] = documents.delegated.as_slice() else {
        panic!("two roles are delegated");
    };
    assert_eq!((committee.version, committee.expires), (1, after(50 * HOUR)));
    assert_eq!(committee.signers, [world.key(20), world.key(22)]);
    assert_eq!(
        (committee.files.as_slice(), &committee.problem),
        (&["permits/p-1.toml".to_owned()][..], &None)
    );
    assert_eq!(registrar.files, ["members.toml"]);
    assert_eq!(documents.board, world.roles().targets.keys);
    assert_eq!(world.last_good(0).unwrap(), documents);
    assert!(documents.expires < UtcTime::MAX);
}
