//! Bytes that nobody honest serves: changed, cut, of another kind, or made to hurt whoever reads them.

use std::time::{Duration, Instant};

use serde_json::Value;
use terms::Problem;

use super::world::{World, files, noon, oncology};
use crate::tuf::*;
use crate::{Checkpoint, Stop, Stopped};

/// How long a document may take to be refused. What takes time is to read what is small enough.
const REFUSED_WITHIN: Duration = Duration::from_millis(100);

/// Positions at which a document is changed: enough to meet each field of it.
const POSITIONS: usize = 150;

fn positions(bytes: &[u8]) -> impl Iterator<Item = usize> {
    (0..bytes.len()).step_by((bytes.len() / POSITIONS).max(1))
}

#[test]
fn a_11_a_flipped_bit_or_a_cut_anywhere_is_refused_and_nothing_changes() {
    let world = World::new();
    world.publish_files(1, "a");
    let good = world.accept(0);
    world.publish_files(2, "b");
    let whole = world.get("metadata/2.targets.json");
    for place in positions(&whole) {
        let mut flipped = whole.clone();
        flipped[place] ^= 1 << (place % 8);
        // A signature's own bytes may be those of the third member, who is not needed.
        world.put("metadata/2.targets.json", flipped);
        assert_ne!(
            world.refresh(0).map(|documents| documents.version).unwrap_or(1),
            2,
            "byte {place}"
        );
        world.put("metadata/2.targets.json", whole[..place].to_vec());
        assert_ne!(
            world.refresh(0).map(|documents| documents.version).unwrap_or(1),
            2,
            "cut at {place}"
        );
    }
    assert_eq!(world.last_good(0).unwrap(), good);
    world.put("metadata/2.targets.json", whole);
    assert_eq!(world.accept(0).version, 2);
}

#[test]
fn a_11_a_stop_is_no_policy_and_a_checkpoint_is_no_root() {
    let world = World::new();
    world.publish_files(1, "a");
    let good = world.accept(0);
    world.publish_files(2, "b");
    let stopped = Stopped::Policy("research".parse().unwrap());
    let stop = Stop::new(oncology(), stopped, "wrong", noon()).unwrap();
    let stop = stop.seal(&World::signing_key(0)).unwrap().to_bytes();
    let checkpoint = Checkpoint {
        origin: "gbsg".to_owned(),
        size: 42,
        root: [7; 32],
    };
    let checkpoint = checkpoint.sign("gbsg", &World::signing_key(0)).unwrap().into_bytes();
    let root = world.get("metadata/1.root.json");
    for name in [
        "metadata/2.root.json",
        "metadata/timestamp.json",
        "metadata/2.snapshot.json",
        "metadata/2.targets.json",
    ] {
        let ours = world.try_get(name);
        for (document, problem) in [
            (stop.clone(), Problem::PolicyInvalid),
            (checkpoint.clone(), Problem::PolicyInvalid),
            (world.get("metadata/1.targets.json"), Problem::PolicyScope),
            (root.clone(), Problem::PolicyScope),
        ] {
            world.put(name, document.clone());
            let refused = world.refuse(0);
            let older = Problem::PolicyRollback;
            assert!(
                refused == problem || refused == older,
                "{name}: {refused}, not {problem}"
            );
        }
        match ours {
            Some(ours) => world.put(name, ours),
            None => drop(world.take(name)),
        }
    }
    assert_eq!(world.last_good(0).unwrap(), good);
    assert_eq!(world.accept(0).version, 2);
}

#[test]
fn a_12_documents_made_to_hurt_their_reader_are_refused_fast_and_change_nothing() {
    let world = World::new();
    world.publish_files(1, "a");
    let good = world.accept(0);
    world.publish_files(2, "b");
    for name in [
        "metadata/timestamp.json",
        "metadata/2.snapshot.json",
        "metadata/2.targets.json",
    ] {
        let ours = world.get(name);
        for (case, document) in hostile(&ours) {
            let begin = Instant::now();
            assert!(Draft::parse(&document).is_err(), "{case}");
            let took = begin.elapsed();
            assert!(took < REFUSED_WITHIN, "{case}: {took:?}");
            world.put(name, document);
            let problem = world.refuse(0);
            let expected = [Problem::PolicyInvalid, Problem::PolicySignature];
            assert!(expected.contains(&problem), "{name}, {case}: {problem}");
        }
        world.put(name, ours);
    }
    assert_eq!(world.last_good(0).unwrap(), good);
    assert_eq!(world.accept(0).version, 2);
}

/// What can be made of a document that verified.
fn hostile(ours: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let text = std::str::from_utf8(ours).unwrap();
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} in {text}");
        text.replacen(from, to, 1).into_bytes()
    };
    let signed = r#""signed":{"#;
    let deep = format!(r#""signed":{{"deep":{}1{},"#, "[".repeat(10_000), "]".repeat(10_000));
    let large = format!(r#""signed":{{"large":"{}","#, "a".repeat(100 * 1024 * 1024));
    vec![
        ("a key twice", replaced(signed, r#""signed":{"_type":"root","#)),
        ("a body twice", replaced(r#"{"sign"#, r#"{"signed":{},"sign"#)),
        ("an unknown field", replaced(signed, r#""signed":{"critical":true,"#)),
        ("an unknown field outside", replaced(r#"{"sign"#, r#"{"more":1,"sign"#)),
        ("bytes behind", [ours, b" x"].concat()),
        ("two documents", [ours, ours].concat()),
        ("a byte order mark", [b"\xef\xbb\xbf", ours].concat()),
        ("not a number", replaced(signed, r#""signed":{"x":NaN,"#)),
        ("too large a number", replaced(signed, r#""signed":{"x":1e400,"#)),
        ("not UTF-8", [&ours[..ours.len() - 2], b"\xff\xfe}}"].concat()),
        ("a null character", replaced(signed, r#""signed":{"x":"\u0000","#)),
        ("a raw null", [ours, b"\0"].concat()),
        ("deep nesting", replaced(signed, &deep)),
        ("a hundred megabytes", replaced(signed, &large)),
        ("nothing", Vec::new()),
    ]
}

#[test]
fn a_12_a_file_name_cannot_be_used_to_repeat_a_file() {
    let world = World::new();
    let plain = world.sign_targets(1, &files("a"), &[0, 1]);
    let text = String::from_utf8(plain).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let entry = value["signed"]["targets"]["space.toml"].to_string();
    let twice = text.replacen(r#""targets":{"#, &format!(r#""targets":{{"space.toml":{entry},"#), 1);
    assert_ne!(twice, text);
    world.put("metadata/1.targets.json", twice.into_bytes());
    world.publish(1, 1, 1);
    assert_eq!(world.refuse(0), Problem::PolicyInvalid);
}
