//! An institution that joins: its code, the board's roster, and the node that is reached afterwards.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{Run, TAKES_EFFECT_SECONDS_MAX, World};

/// A node that ends with this.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // Ended already: then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn init(world: &World, broker: &str, dir: &str) -> Run {
    let identity = world.public_key("broker");
    let words = [
        "node",
        "init",
        "--space",
        "oncology",
        "--member",
        "clinic",
        "--title",
        "The Clinic",
    ];
    let more = ["--root", "oncology/signed/1.root.json", "--dir", dir];
    let broker = ["--broker", broker, "--broker-key", &identity];
    world.run(words.into_iter().chain(more).chain(broker))
}

fn enrol(world: &World, broker: &str, code: &str, dir: &str) -> Run {
    let identity = world.public_key("broker");
    let words = ["board", "enrol", code, "--roles", "hospital", "--dir", dir];
    world.run(
        words
            .into_iter()
            .chain(["--broker", broker, "--broker-identity", &identity]),
    )
}

fn again(world: &World, more: &[&str]) -> Run {
    let words = ["node", "init", "--again", "--title", "The Clinic", "--dir", "clinic"];
    world.run(words.iter().chain(more))
}

#[test]
fn a_21_a_node_asks_by_code_and_is_reached_when_the_board_has_signed() {
    let world = World::founded(&["ana", "bea", "carl"], 2);
    let nobody = super::free_address();
    init(&world, &nobody, "clinic")
        .returns(5)
        .fails_with("E_UNREACHABLE", "--again");
    init(&world, &nobody, "clinic")
        .returns(2)
        .fails_with("E_USAGE", "nothing is replaced");
    #[cfg(unix)]
    for (name, mode) in [
        ("", 0o700),
        ("node.key", 0o600),
        ("node.toml", 0o600),
        ("root.json", 0o600),
    ] {
        use std::os::unix::fs::PermissionsExt as _;
        let about = std::fs::metadata(world.path("clinic").join(name)).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, mode, "{name}");
    }

    let running = world.serve();
    world.edit("clinic/node.toml", &nobody, &running.address);
    let asked = again(&world, &["--json"]).returns(0).json();
    let (code, key) = (asked["code"].as_str().unwrap(), &asked["key"]);
    let roster = std::fs::read_to_string(world.path("oncology/members.toml")).unwrap();
    let wrong = if code.starts_with('0') { "1" } else { "0" }.to_owned() + &code[1..];
    enrol(&world, &running.address, &wrong, "oncology")
        .returns(2)
        .fails_with("E_USAGE", "no open request");
    enrol(&world, &running.address, "7Q2M", "oncology").returns(2);
    assert_eq!(
        std::fs::read_to_string(world.path("oncology/members.toml")).unwrap(),
        roster
    );

    // As people write it down.
    let written = code.replace('-', "").replace('0', "o").to_lowercase();
    world.copy_folder("oncology", "elsewhere");
    let enrolled = enrol(&world, &running.address, &written, "oncology").returns(0).out();
    let key = key.as_str().unwrap();
    assert!(enrolled.contains(key) && enrolled.contains("The Clinic"), "{enrolled}");
    let with = std::fs::read_to_string(world.path("oncology/members.toml")).unwrap();
    assert!(with.starts_with(roster.trim_end()) && with.contains(key), "{with}");
    enrol(&world, &running.address, code, "oncology")
        .returns(6)
        .fails_with("E_POLICY_INVALID", "clinic");
    // Nobody is a member by a code.
    let status = world
        .run(["broker", "status", "--config", "broker.toml", "--json"])
        .returns(0)
        .json();
    assert!(status["tunnels"]["clinic"].is_null(), "{status}");

    world.draft("oncology");
    for name in ["ana", "carl"] {
        world.sign("oncology", name).returns(0);
    }
    running.publish("oncology").returns(0);
    let mut command = world.command();
    command
        .args(["node", "run", "--config", "clinic/node.toml"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let _node = Node(command.spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(TAKES_EFFECT_SECONDS_MAX);
    loop {
        let status = world
            .run(["broker", "status", "--config", "broker.toml", "--json"])
            .json();
        if status["tunnels"]["clinic"].as_u64().is_some_and(|tunnels| tunnels > 0) {
            break;
        }
        assert!(Instant::now() < deadline, "{status:#}");
        std::thread::sleep(Duration::from_millis(500));
    }

    // The code is used up, wherever it is tried.
    enrol(&world, &running.address, code, "elsewhere")
        .returns(2)
        .fails_with("E_USAGE", "no open request");
    again(&world, &[])
        .returns(2)
        .fails_with("E_USAGE", "the roster names clinic");
}
