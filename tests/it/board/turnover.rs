//! Keys that are rotated, members who leave, keys that are lost: the same commands, and a running node that follows.

use super::{POLICY, World, names};

const FIVE: [&str; 5] = ["ana", "bea", "carl", "dora", "emil"];

fn board(world: &World) -> Vec<String> {
    let shown = world
        .run(["board", "members", "show", "--dir", "oncology", "--json"])
        .returns(0)
        .json();
    names(&shown["groups"][0]["keys"])
}

#[test]
fn a_rotated_key_a_member_who_leaves_and_a_lost_key_are_a_new_root_each() {
    let world = World::founded(&FIVE, 3);
    let mut running = world.serve();
    running.until_version(1);
    let root = |status: &serde_json::Value, version: u64| status["documents"]["root_version"] == version;

    // Ana rotates her key. Her old one may sign that, since it is not lost.
    std::fs::create_dir(world.path("ana-2027")).unwrap();
    world.make_key("ana", "ana-2027/ana.key");
    world
        .run([
            "board",
            "members",
            "replace",
            "ana",
            "ana-2027/ana.pub",
            "--dir",
            "oncology",
        ])
        .returns(0);
    // Three of the old board, and three of the new one: her old key counts for the old board only.
    for key in ["ana.key", "bea.key", "carl.key"] {
        world.sign_with("oncology", key).returns(0);
    }
    running
        .publish("oncology")
        .returns(6)
        .fails_with("E_POLICY_THRESHOLD", "2 of 3 signed (bea, carl)");
    world.sign_with("oncology", "ana-2027/ana.key").returns(0);
    running.publish("oncology").returns(0);
    running.until("the rotated key", |status| root(status, 2));
    assert_eq!(board(&world), FIVE);

    // Emil leaves. His signature counts for the old board, if he gives it; here he does not.
    world
        .run(["board", "members", "remove", "zoe", "--dir", "oncology"])
        .fails_with("E_USAGE", "zoe");
    world
        .run(["board", "members", "remove", "emil", "--dir", "oncology"])
        .returns(0);
    for key in ["bea.key", "carl.key", "dora.key"] {
        world.sign_with("oncology", key).returns(0);
    }
    running.publish("oncology").returns(0);
    running.until("the board of four", |status| root(status, 3));
    assert_eq!(board(&world), ["ana", "bea", "carl", "dora"]);
    world.edit(&format!("oncology/{POLICY}"), "min_people = 10 ", "min_people = 12 ");
    world.draft("oncology");
    world
        .sign("oncology", "emil")
        .returns(2)
        .fails_with("E_USAGE", "may not sign");

    // Bea has lost hers, and the change of the policy waits. The other three are enough.
    std::fs::remove_file(world.path("bea.key")).unwrap();
    std::fs::create_dir(world.path("bea-2027")).unwrap();
    world.make_key("bea", "bea-2027/bea.key");
    world
        .run([
            "board",
            "members",
            "replace",
            "bea",
            "bea-2027/bea.pub",
            "--dir",
            "oncology",
        ])
        .returns(0);
    for key in ["ana-2027/ana.key", "carl.key", "dora.key"] {
        world.sign_with("oncology", key).returns(0);
    }
    running.publish("oncology").returns(0);
    let status = running.until("the replaced key", |status| root(status, 4));
    assert_eq!(board(&world), ["ana", "bea", "carl", "dora"]);
    assert_eq!(
        running.until_version(status["documents"]["version"].as_u64().unwrap())["problem"],
        serde_json::Value::Null
    );
    // The new key signs.
    world.edit(&format!("oncology/{POLICY}"), "min_people = 12 ", "min_people = 13 ");
    let version = status["documents"]["version"].as_u64().unwrap() + 1;
    world.draft("oncology");
    for key in ["bea-2027/bea.key", "carl.key", "dora.key"] {
        world.sign_with("oncology", key).returns(0);
    }
    running.publish("oncology").returns(0);
    running.until_version(version);
}

#[test]
fn one_person_is_not_on_a_board_twice() {
    let world = World::founded(&FIVE, 3);
    world
        .run(["board", "members", "add", "ana.pub", "--dir", "oncology"])
        .fails_with("E_USAGE", "ana");
    // The same key under another name.
    let text = std::fs::read_to_string(world.path("ana.pub")).unwrap();
    std::fs::write(world.path("zoe.pub"), text.replace("\"ana\"", "\"zoe\"")).unwrap();
    world
        .run(["board", "members", "add", "zoe.pub", "--dir", "oncology"])
        .fails_with("E_USAGE", "that of ana already");
    world
        .run(["board", "members", "replace", "bea", "ana.pub", "--dir", "oncology"])
        .fails_with("E_USAGE", "key of ana");
    world
        .run([
            "board",
            "members",
            "remove",
            "bea",
            "--threshold",
            "5",
            "--dir",
            "oncology",
        ])
        .fails_with("E_POLICY_THRESHOLD", "5 signatures of 4 keys");
    assert!(world.drafts("oncology").is_empty());
}

#[test]
fn what_expires_is_signed_again_without_a_change() {
    let world = World::founded(&FIVE, 3);
    let renewed = world
        .run(["board", "renew", "--valid-days", "500", "--dir", "oncology", "--json"])
        .returns(0)
        .json();
    let roles: Vec<_> = renewed["drafts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|draft| draft["role"].clone())
        .collect();
    assert_eq!(roles, ["root", "targets"]);
    for name in ["emil", "dora", "carl"] {
        world.sign("oncology", name).returns(0);
    }
    world.publish("oncology").returns(0);
    let check = world
        .run(["board", "check", "--dir", "oncology", "--json"])
        .returns(0)
        .json();
    for document in check["signed"].as_array().unwrap() {
        assert_eq!(document["version"], 2, "{check:#}");
    }
}

#[test]
fn an_institution_with_a_new_key_goes_on_with_its_ledger() {
    let world = World::founded(&["ana", "bea", "carl"], 2);
    let mut running = world.serve();
    running.until_version(1);
    world
        .run(["board", "key", "new", "--out", "new.key", "--machine"])
        .returns(0);
    let [old, new] = ["city-hospital", "new"].map(|name| world.public_key(name));
    world.edit("oncology/members.toml", &old, &new);
    world.draft("oncology");
    for name in ["ana", "bea"] {
        world.sign("oncology", name).returns(0);
    }
    running.publish("oncology").returns(0);
    running.until_version(2);

    let hand_over = ["audit", "hand-over", ".", "--to", "new.key", "--keep", "hand-over.note"];
    world
        .run(hand_over)
        .returns(1)
        .fails_with("E_AUDIT_UNAVAILABLE", "in use");
    running.stop_node();
    world
        .run(["audit", "hand-over", "."])
        .returns(2)
        .fails_with("E_USAGE", "this key already");
    world.edit("node.toml", "city-hospital.key", "new.key");
    world
        .run(["node", "run", "--config", "node.toml"])
        .returns(6)
        .fails_with("E_AUDIT_BROKEN", "hand-over");
    world
        .run(["audit", "hand-over", ".", "--from", "snapshot.key"])
        .fails_with("E_AUDIT_BROKEN", "signature");
    world.edit("node.toml", "new.key", "city-hospital.key");
    // What the broker cosigned cannot be laid aside: the proof is there all the same, and the next try ends it.
    let key_id = old.parse::<trust::PublicKey>().unwrap().key_id();
    let aside = world.path(&format!("node-data/ledger.cosigned.{}", &key_id[..8]));
    std::fs::create_dir_all(aside.join("in the way")).unwrap();
    std::fs::write(world.path("node-data/ledger.cosigned"), "a note").unwrap();
    world
        .run(hand_over)
        .fails_with("E_FILE_MISSING", "the ledger is handed over; move this file away");
    assert!(world.path("hand-over.note").is_file());
    std::fs::remove_dir_all(&aside).unwrap();
    world.run(hand_over).returns(0);
    assert_eq!(std::fs::read(&aside).unwrap(), b"a note");
    world.edit("node.toml", "city-hospital.key", "new.key");
    running.node = world.spawn("node");
    running.until("the new key", |status| status["operation"]["witness"]["at"].is_string());
    for key in [&old, &new] {
        let verify = ["audit", "verify", ".", "--against", "hand-over.note", "--key", key];
        world.run(verify).returns(0);
    }
}
