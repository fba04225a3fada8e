//! The acceptance list's cases of thresholds, versions and scope, each under its number. Those of roots: `rotation`.

use serde_json::{Value, json};
use terms::Problem;

use super::world::{Lives, World, after, files, noon, oncology, sign_value};
use crate::tuf::*;

const HOUR: i64 = 3600;

#[test]
fn a_01_below_threshold_signatures_change_nothing_until_the_last_one_comes() {
    let world = World::of_five();
    world.publish_files(7, "a");
    world.accept(0);
    let strangers = [20, 21, 22];
    for signers in [&[][..], &[0], &[0, 4], &[0, 4, 20, 21, 22], &strangers] {
        world.sign_targets(8, &files("b"), signers);
        world.publish(8, 8, 8);
        assert_eq!(world.refuse(0), Problem::PolicyThreshold, "{signers:?}");
        assert_eq!(world.last_good(0).unwrap().version, 7);
    }
    world.sign_targets(8, &files("b"), &[0, 4, 2]);
    let documents = world.accept(0);
    assert_eq!(
        (documents.version, documents.signers),
        (8, vec![world.key(0), world.key(2), world.key(4)])
    );
}

#[test]
fn a_02_one_key_counts_once_however_it_is_repeated() {
    let world = World::new();
    let document = |signatures: Value| {
        let mut document: Value = serde_json::from_slice(&world.sign_targets(1, &files("a"), &[0])).unwrap();
        document["signatures"] = signatures;
        document.to_string().into_bytes()
    };
    let one: Value = serde_json::from_slice(&world.sign_targets(1, &files("a"), &[0])).unwrap();
    let sig = one["signatures"][0]["sig"].as_str().unwrap().to_owned();
    let entry = |key: usize, sig: &str| json!({ "keyid": world.key(key).key_id(), "sig": sig });
    let repeated = vec![entry(0, &sig); 3];
    let under_three_ids = vec![entry(0, &sig), entry(1, &sig), entry(2, &sig)];
    let in_variants = vec![
        entry(0, &sig),
        entry(0, &sig.to_uppercase()),
        entry(0, &format!("{sig} ")),
    ];
    let as_nobody = vec![
        entry(0, &sig),
        json!({ "keyid": "", "sig": sig }),
        json!({ "keyid": "00", "sig": sig }),
    ];
    for signatures in [repeated, under_three_ids, in_variants, as_nobody] {
        world.put("metadata/1.targets.json", document(json!(signatures)));
        world.publish(1, 1, 1);
        assert_eq!(world.refuse(0), Problem::PolicyThreshold, "{signatures:?}");
    }
}

#[test]
fn a_02_a_root_with_one_public_key_twice_is_refused() {
    let world = World::new();
    let mut roles = world.roles();
    roles.targets.keys = vec![world.key(0), world.key(0)];
    let error = Draft::root(&oncology(), 2, after(1000 * HOUR), &roles).unwrap_err();
    assert_eq!(error, DraftError::Roles(RolesError::RepeatedKey { role: "targets" }));
    let root = world.root_with_alias(2);
    assert_eq!(BoardRoles::read(&root), Err(RolesError::RepeatedKey { role: "root" }));
    let refused = SpaceStore::create(&world.folder("alias"), &root).unwrap_err();
    assert_eq!(refused.problem, Problem::PolicyThreshold);
    world.put("metadata/2.root.json", root);
    world.publish_files(1, "a");
    assert_eq!(world.refuse(0), Problem::PolicyThreshold);
}

#[test]
fn a_03_silly_thresholds_are_refused_also_when_they_are_signed() {
    let world = World::new();
    world.publish_files(1, "a");
    world.accept(0);
    let plain = world.sign_root(2, &world.roles(), &[]);
    let silly = [
        json!(0),
        json!(-1),
        json!(4),
        json!(1.5),
        json!(10_000),
        json!(1e30),
        json!("2"),
        Value::Null,
    ];
    for role in ["root", "targets", "snapshot", "timestamp"] {
        for threshold in &silly {
            let root = world.sign_edited(&plain, |root| root["roles"][role]["threshold"] = threshold.clone());
            refuse_root(&world, root, &format!("{role} {threshold}"));
        }
        let missing = world.sign_edited(&plain, |root| {
            root["roles"][role].as_object_mut().unwrap().remove("threshold");
        });
        refuse_root(&world, missing, role);
        let nobody = world.sign_edited(&plain, |root| root["roles"][role]["keyids"] = json!([]));
        refuse_root(&world, nobody, role);
    }
    for threshold in [0, 4] {
        let mut roles = world.roles();
        roles.root.threshold = threshold;
        let refused = Draft::root(&oncology(), 1, noon(), &roles);
        assert!(matches!(refused, Err(DraftError::Roles(RolesError::Threshold { .. }))));
    }
    let mut roles = world.roles();
    roles.targets.keys = (0..=ROLE_KEYS_MAX).map(|n| World::signing_key(n).public()).collect();
    let refused = Draft::root(&oncology(), 1, noon(), &roles);
    assert!(matches!(refused, Err(DraftError::Roles(RolesError::TooMany { .. }))));
}

fn refuse_root(world: &World, root: Vec<u8>, case: &str) {
    assert!(BoardRoles::read(&root).is_err(), "{case}");
    assert!(SpaceStore::create(&world.folder("silly"), &root).is_err(), "{case}");
    world.put("metadata/2.root.json", root);
    let problem = world.refuse(0);
    assert!(
        matches!(problem, Problem::PolicyThreshold | Problem::PolicyInvalid),
        "{case}: {problem}"
    );
}

#[test]
fn a_04_older_documents_are_refused_after_a_restart_and_kept_as_evidence() {
    let world = World::new();
    for version in 7..=9 {
        world.publish_files(version, &version.to_string());
    }
    world.accept(0);
    for (older, online) in [(8, 10), (7, 11)] {
        world.publish(older, online, online);
        assert_eq!(world.refuse(0), Problem::PolicyRollback);
        assert_eq!(world.last_good(0).unwrap().version, 9);
    }
    world.put("metadata/10.targets.json", world.get("metadata/9.targets.json"));
    world.publish(10, 12, 12);
    assert_eq!(world.refuse(0), Problem::PolicyRollback);
    assert_eq!(world.last_good(0).unwrap().version, 9);
    let evidence = world.store().evidence();
    assert_eq!(evidence.len(), 3);
    assert!(
        evidence
            .iter()
            .all(|kept| kept.problem == Problem::PolicyRollback && kept.at == noon())
    );
    let under_a_false_name = world.get("metadata/9.targets.json");
    assert!(
        evidence
            .iter()
            .any(|kept| kept.document.as_bytes() == under_a_false_name)
    );
}

#[test]
fn a_05_two_documents_of_one_version_are_an_equivocation_and_both_are_kept() {
    let world = World::new();
    world.publish_files(9, "a");
    let first = world.accept(0);
    let trusted = world.get("metadata/9.targets.json");
    let other = world.sign_targets(9, &files("b"), &[0, 1]);
    world.publish(9, 10, 10);
    assert_eq!(world.refuse(0), Problem::PolicyEquivocation);
    assert_eq!(world.refuse(0), Problem::PolicyEquivocation);
    assert_eq!(world.last_good(0).unwrap(), first);
    let kept: Vec<Vec<u8>> = world
        .store()
        .evidence()
        .into_iter()
        .map(|kept| kept.document.into_bytes())
        .collect();
    assert!(kept.contains(&trusted) && kept.contains(&other) && kept.len() == 2);
}

#[test]
fn a_05_two_timestamps_or_snapshots_of_one_version_are_an_equivocation() {
    let world = World::new();
    world.publish_files(9, "a");
    let first = world.accept(0);
    world.sign_timestamp(9, 9, 2 * HOUR);
    assert_eq!(world.refuse(0), Problem::PolicyEquivocation);
    world.sign_targets(10, &files("b"), &[0, 1]);
    world.publish(10, 9, 10);
    assert_eq!(world.refuse(0), Problem::PolicyEquivocation);
    assert_eq!(world.last_good(0).unwrap(), first);
    let more_signatures = world.sign_targets(9, &files("a"), &[0, 1, 2]);
    assert_ne!(world.store().evidence(), []);
    world.put("metadata/9.targets.json", more_signatures);
    world.publish(9, 10, 11);
    assert_eq!(
        world.accept(0).signers.len(),
        3,
        "the same document with one more signature is the same document"
    );
}

#[test]
fn a_06_a_frozen_document_expires_and_a_new_one_heals_without_a_restart() {
    let world = World::with_lives(Lives {
        root: 1000,
        targets: 48,
        snapshot: 100,
    });
    world.publish_files(9, "a");
    for hour in [0, 24, 48] {
        // The broker keeps saying that nothing has changed.
        world.sign_timestamp(10 + hour, 9, (i64::try_from(hour).unwrap() + 1) * HOUR);
        assert_eq!(world.accept(i64::try_from(hour).unwrap() * HOUR).version, 9);
    }
    world.sign_timestamp(90, 9, 60 * HOUR);
    assert_eq!(world.refuse(48 * HOUR + 1), Problem::PolicyExpired);
    assert_eq!(world.last_good(48 * HOUR + 1).unwrap_err(), Problem::PolicyExpired);
    let draft = Draft::targets(&oncology(), 10, after(90 * HOUR), &files("a"), &[]).unwrap();
    let signatures = [0, 1].map(|n| draft.sign(&World::signing_key(n)));
    world.put("metadata/10.targets.json", draft.assemble(signatures.into()));
    world.publish(10, 10, 91);
    world.sign_timestamp(91, 10, 60 * HOUR);
    assert_eq!(world.accept(48 * HOUR + 1).version, 10);
}

#[test]
fn a_07_a_document_of_another_space_with_the_same_keys_is_refused() {
    let world = World::new();
    world.publish_files(1, "a");
    let good = world.accept(0);
    world.publish_files(2, "b");
    let names = ["2.targets.json", "2.snapshot.json", "timestamp.json"];
    for name in names.map(metadata_path) {
        let ours = world.get(&name);
        let mut document: Value = serde_json::from_slice(&ours).unwrap();
        document["signed"]["space"] = json!("cardiology");
        world.put(&name, sign_value(&document["signed"], &[0, 1, 9]));
        assert_eq!(world.refuse(0), Problem::PolicyScope, "{name}");
        document["signed"].as_object_mut().unwrap().remove("space");
        world.put(&name, sign_value(&document["signed"], &[0, 1, 9]));
        assert_eq!(world.refuse(0), Problem::PolicyInvalid, "{name}");
        world.put(&name, ours);
    }
    let root = world.sign_root(2, &world.roles(), &[]);
    let root = world.sign_edited(&root, |root| root["space"] = json!("cardiology"));
    world.put("metadata/2.root.json", root);
    assert_eq!(world.refuse(0), Problem::PolicyScope);
    assert_eq!(world.last_good(0).unwrap(), good);
    world.take("metadata/2.root.json");
    assert_eq!(world.accept(0).version, 2);
}
