//! A board of five, and a node that nobody restarts.

use super::{POLICY, World, names};

const FIVE: [&str; 5] = ["ana", "bea", "carl", "dora", "emil"];

/// Widens in one place: smaller groups. Narrows in another: nobody compares by menopause any more.
fn change(world: &World) {
    let policy = format!("oncology/{POLICY}");
    world.edit(&policy, "min_people = 10 ", "min_people = 5 ");
    world.edit(
        &policy,
        "\"age\", \"menopause\", \"tumour_size\", \"grade\", \"nodes\", \"hormone\", \"relapsed\"",
        "\"age\", \"grade\", \"relapsed\"",
    );
    world.edit(&policy, "version     = 1 ", "version     = 2 ");
}

#[test]
fn three_of_five_sign_in_any_order_on_three_machines_and_a_running_node_follows() {
    let world = World::founded(&FIVE, 3);
    let mut running = world.serve();
    let first = running.until_version(1);
    assert_eq!(first["documents"]["signers"].as_array().unwrap().len(), 3);

    change(&world);
    let drafted = world.draft("oncology");
    let digest = drafted["drafts"][0]["digest"].clone();
    let changes = world
        .run(["board", "diff", "--dir", "oncology", "--json"])
        .returns(0)
        .json();
    let changes = changes.as_array().unwrap();
    let is = |effect: &str, place: &str| {
        let mut found = changes.iter();
        found.any(|change| change["effect"] == effect && change["place"].as_str().unwrap().contains(place))
    };
    assert!(is("widens", "permission statistics"), "{changes:#?}");
    assert!(is("narrows", "permission care-in-working-hours"), "{changes:#?}");
    let german = world
        .run(["board", "diff", "--dir", "oncology", "--lang", "de"])
        .returns(0)
        .out();
    assert!(german.contains("erweitert") && german.contains("verengt"), "{german}");

    // Three machines, none of which sees the signatures of the others.
    let machines = [("ana", "machine-a"), ("dora", "machine-d"), ("emil", "machine-e")];
    for (_, machine) in machines {
        world.copy_folder("oncology", machine);
    }
    for (name, machine) in [machines[2], machines[0], machines[1]] {
        world.sign(machine, name).returns(0);
    }
    // Two have come back: not enough, and the node goes on as before.
    for machine in ["machine-d", "machine-a"] {
        world.bring_signatures(machine, "oncology");
    }
    running
        .publish("oncology")
        .returns(6)
        .fails_with("E_POLICY_THRESHOLD", "2 of 3 signed (ana, dora)");
    assert_eq!(running.status().unwrap()["documents"]["version"], 1);

    // One machine that has only its own signature publishes nothing either.
    running
        .publish("machine-e")
        .returns(6)
        .fails_with("E_POLICY_THRESHOLD", "1 of 3 signed (emil)");
    world.bring_signatures("machine-e", "oncology");
    running.publish("oncology").returns(0);
    let status = running.until_version(2);
    assert_eq!(status["documents"]["digest"], digest, "{status:#}");
    let signers = status["documents"]["signers"].as_array().unwrap();
    let mut keys: Vec<&str> = signers.iter().map(|signer| signer["key"].as_str().unwrap()).collect();
    let mut expected = ["ana", "dora", "emil"].map(|name| world.public_key(name));
    keys.sort_unstable();
    expected.sort();
    assert_eq!(keys, expected);

    // Published again, and from another machine: nothing new.
    running.publish("oncology").returns(0);
    assert_eq!(
        world
            .run(["board", "diff", "--dir", "oncology", "--json"])
            .returns(0)
            .json()
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn one_member_stops_a_policy_alone_and_only_the_board_together_lifts_it() {
    let world = World::founded(&FIVE, 3);
    let mut running = world.serve();
    running.until_version(1);
    let stop = |key: &str, more: &[&str]| {
        let words = [
            "board",
            "stop",
            "--dir",
            "oncology",
            "--policy",
            "breast-cancer-research",
            "--key",
            key,
        ];
        world.run(
            words
                .into_iter()
                .chain(["--reason", "a column was wrong"])
                .chain(more.iter().copied()),
        )
    };
    world.make_key("zoe", "zoe.key");
    stop("zoe.key", &[])
        .returns(6)
        .fails_with("E_POLICY_SIGNATURE", "not one of the board");

    // Without a line to the broker nothing is lost.
    let identity = world.public_key("broker");
    let nobody = super::free_address();
    stop("carl.key", &["--broker", &nobody, "--broker-identity", &identity]).returns(5);
    let broker = ["--broker", &running.address, "--broker-identity", &identity];
    let words = [
        "board",
        "stop",
        "--dir",
        "oncology",
        "--member",
        "city-hospital",
        "--key",
        "ana.key",
        "--reason",
        "audit",
    ];
    world.run(words.into_iter().chain(broker)).returns(0);
    let status = running.until("the stop", |status| status["stops"].as_array().unwrap().len() == 1);
    assert_eq!(status["stops"][0]["stopped"], "member city-hospital");
    assert_eq!(status["stops"][0]["signer"]["key"], world.public_key("ana"));
    assert_eq!(status["documents"]["version"], 1, "a stop is no new version");
    // The next publication takes the other one along, also while a draft waits for signatures.
    world.edit(&format!("oncology/{POLICY}"), "min_people = 10 ", "min_people = 12 ");
    world.draft("oncology");
    running.publish("oncology").returns(6);
    let status = running.until("both stops", |status| status["stops"].as_array().unwrap().len() == 2);
    let explained = [
        "board",
        "explain",
        "--dir",
        "oncology",
        "--as",
        "health-office/otto",
        "--purpose",
        "ehds-53-1-c",
    ];
    let explained =
        world.run(
            explained
                .into_iter()
                .chain(["--collection", "breast-cancer", "--columns", "age", "--json"]),
        );
    assert_eq!(explained.returns(4).json()["problem"], "E_STOPPED");

    // One member cannot lift it; three can.
    for stop in status["stops"].as_array().unwrap() {
        let digest = stop["digest"].as_str().unwrap();
        world
            .run(["board", "stop", "--dir", "oncology", "--lift", digest])
            .returns(0);
    }
    world.run(["board", "draft", "--anew", "--dir", "oncology"]).returns(0);
    world.sign("oncology", "ana").returns(0);
    running
        .publish("oncology")
        .returns(6)
        .fails_with("E_POLICY_THRESHOLD", "");
    assert_eq!(running.status().unwrap()["stops"].as_array().unwrap().len(), 2);
    for name in ["bea", "carl"] {
        world.sign("oncology", name).returns(0);
    }
    running.publish("oncology").returns(0);
    running.until("no stop", |status| status["stops"].as_array().unwrap().is_empty());
}

#[test]
fn whoever_publishes_can_be_interrupted_anywhere() {
    let world = World::founded(&FIVE, 3);
    world.edit(&format!("oncology/{POLICY}"), "min_people = 10 ", "min_people = 12 ");
    world.draft("oncology");
    for name in ["ana", "bea", "carl"] {
        world.sign("oncology", name).returns(0);
    }
    world.copy_folder("oncology", "before");
    world.publish("oncology").returns(0);

    // As if it had ended after any of the steps: before the repository has it, with and without the files written down.
    for (name, repository_is_old) in [
        ("draft-left", false),
        ("documents-only", false),
        ("repository-old", true),
    ] {
        world.copy_folder("oncology", name);
        world.copy_folder("before/draft", &format!("{name}/draft"));
        if name == "documents-only" {
            world.copy_folder("before/signed/files", &format!("{name}/signed/files"));
        }
        if repository_is_old {
            std::fs::remove_file(world.path("repository/metadata/2.targets.json")).unwrap();
            std::fs::remove_dir_all(world.path("repository")).unwrap();
        }
        world.publish(name).returns(0);
        assert!(world.drafts(name).is_empty());
        let check = world.run(["board", "check", "--dir", name, "--json"]).returns(0).json();
        assert_eq!(check["signed"][1]["version"], 2, "{check:#}");
        assert_eq!(check["changes"].as_array().unwrap().len(), 0);
    }
    let members = world
        .run(["board", "members", "show", "--dir", "oncology", "--json"])
        .returns(0)
        .json();
    assert_eq!(names(&members["groups"][0]["keys"]), FIVE);
}

#[test]
fn a_board_reads_in_german_where_its_system_speaks_german() {
    let world = World::founded(&FIVE, 3);
    let said = |lang: &str, more: &[&str]| {
        let mut command = world.command();
        command
            .env("LANG", lang)
            .args(["board", "check", "--dir", "oncology"])
            .args(more);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(said("de_DE.UTF-8", &[]).contains("unterschrieben: targets Version 1, gilt bis"));
    assert!(said("fr_FR.UTF-8", &[]).contains("signed: targets version 1, holds until"));
    assert!(said("de_DE.UTF-8", &["--lang", "en"]).contains("signed: targets version 1"));
}
