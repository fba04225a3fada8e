//! An access committee signs permits by itself, and nothing else.

use super::{POLICY, World};

const THREE: [&str; 3] = ["ana", "bea", "carl"];

/// A data space whose board has delegated its permits to two of three.
fn delegated() -> World {
    let world = World::founded(&THREE, 2);
    for name in ["kim", "lou", "max"] {
        world.make_key(name, &format!("{name}.key"));
    }
    let members = ["kim.pub", "lou.pub", "max.pub"]
        .into_iter()
        .flat_map(|file| ["--member", file]);
    let words = ["board", "delegate", "permits", "--threshold", "2", "--dir", "oncology"];
    world.run(words.into_iter().chain(members)).returns(0);
    for name in ["ana", "bea"] {
        world.sign("oncology", name).returns(0);
    }
    world.publish("oncology").returns(0);
    world
}

fn permit<'a>(dir: &'a str, id: &'a str, holder: &'a str) -> Vec<&'a str> {
    let words = [
        "permit",
        "new",
        "--dir",
        dir,
        "--id",
        id,
        "--title",
        "Relapse after hormone therapy",
        "--kind",
        "data-request",
        "--issuer",
        "Health data access body",
        "--holder",
        holder,
        "--person",
        "saarland-university/ada",
        "--purpose",
        "ehds-53-1-e",
        "--dataset",
        "breast-cancer:age,grade,relapsed",
        "--until",
        "2027-11-30",
    ];
    words.to_vec()
}

#[test]
fn a_committee_signs_permits_and_not_policies_and_a_board_member_signs_no_permits() {
    let world = delegated();
    world
        .run(permit("oncology", "hdab-117", "saarland-university"))
        .returns(0);
    world
        .run(permit("oncology", "hdab-117", "saarland-university"))
        .fails_with("E_FOLDER_NOT_EMPTY", "hdab-117");
    let draft = |role: &str| world.run(["board", "draft", "--role", role, "--dir", "oncology"]);
    draft("registrar")
        .returns(6)
        .fails_with("E_POLICY_SCOPE", "not delegated");
    draft("permits").returns(0);
    world.sign("oncology", "ana").returns(2).fails_with("E_USAGE", "");
    world.sign("oncology", "kim").returns(0);
    // One of two is not enough, whatever the board says.
    world
        .publish("oncology")
        .returns(6)
        .fails_with("E_POLICY_THRESHOLD", "permits version 1");
    // A committee member cannot change a policy.
    world.edit(&format!("oncology/{POLICY}"), "min_people = 10 ", "min_people = 2 ");
    world
        .run(["board", "matrix", "--write", "--dir", "oncology"])
        .returns(0);
    let words = [
        "board", "sign", "--dir", "oncology", "--key", "lou.key", "--role", "targets",
    ];
    world.run(words).returns(2).fails_with("E_USAGE", "may not sign");
}

#[test]
fn a_permit_of_the_committee_reaches_a_running_node_and_is_withdrawn_again() {
    let world = delegated();
    let mut running = world.serve();
    running.until_version(2);
    // The committee works in a folder of its own.
    world.copy_folder("oncology", "committee");
    world
        .run(permit("committee", "hdab-117", "saarland-university"))
        .returns(0);
    world
        .run(["board", "draft", "--role", "permits", "--dir", "committee"])
        .returns(0);
    for name in ["lou", "max"] {
        world.sign("committee", name).returns(0);
    }
    running.publish("committee").returns(0);
    let status = running.until("the permit", |status| status["documents"]["permits"] == 1);
    assert_eq!(status["documents"]["version"], 2, "the board signed nothing");
    assert_eq!(status["documents"]["delegated"][0]["role"], "permits");

    // The board changes a policy meanwhile; what the committee published goes on.
    world.edit(&format!("oncology/{POLICY}"), "min_people = 10 ", "min_people = 12 ");
    world.draft("oncology");
    for name in ["bea", "carl"] {
        world.sign("oncology", name).returns(0);
    }
    running.publish("oncology").returns(0);
    assert_eq!(running.until_version(3)["documents"]["permits"], 1);

    let shown = world
        .run(["permit", "show", "hdab-117", "--dir", "committee", "--json"])
        .returns(0)
        .json();
    assert_eq!(shown["uses"][0]["explanation"]["allowed"], true, "{shown:#}");
    let german = world
        .run(["permit", "show", "hdab-117", "--dir", "committee", "--lang", "de"])
        .returns(0)
        .out();
    assert!(german.contains("Inhaber"), "{german}");

    // Withdrawn: the file says so, the committee signs again.
    let file = "committee/permits/hdab-117.toml";
    world.edit(file, "valid_until", "withdrawn   = 2026-01-01\nvalid_until");
    let shown = world
        .run(["permit", "show", "hdab-117", "--dir", "committee", "--json"])
        .returns(0)
        .json();
    assert_eq!(
        shown["uses"][0]["explanation"]["problem"], "E_PERMIT_INVALID",
        "{shown:#}"
    );
    let check = world
        .run(["board", "diff", "--dir", "committee", "--json"])
        .returns(0)
        .json();
    assert!(
        check
            .as_array()
            .unwrap()
            .iter()
            .any(|change| change["effect"] == "narrows"),
        "{check:#}"
    );
    world
        .run(["board", "draft", "--role", "permits", "--dir", "committee"])
        .returns(0);
    for name in ["kim", "max"] {
        world.sign("committee", name).returns(0);
    }
    running.publish("committee").returns(0);
    running.until("the withdrawal", |status| {
        status["documents"]["delegated"][0]["version"] == 2
    });

    // The board takes the permits back.
    world
        .run(["board", "delegate", "permits", "--revoke", "--dir", "oncology"])
        .returns(0);
    for name in ["ana", "carl"] {
        world.sign("oncology", name).returns(0);
    }
    running.publish("oncology").returns(0);
    let status = running.until_version(4);
    assert_eq!(status["documents"]["permits"], 0, "{status:#}");
}

#[test]
fn a_permit_that_nodes_would_refuse_is_not_written() {
    let world = World::founded(&THREE, 2);
    let mut words = permit("oncology", "hdab-117", "saarland-university");
    let dataset = words
        .iter()
        .position(|word| word.starts_with("breast-cancer:"))
        .unwrap();
    words[dataset] = "breast-cancer:patient_id";
    world.run(words).fails_with("E_", "patient_id");
    let mut words = permit("oncology", "hdab-117", "saarland-university");
    let until = words.len() - 1;
    words[until] = "2020-01-01";
    world.run(words).fails_with("E_", "valid_until");
    assert!(!world.path("oncology/permits/hdab-117.toml").exists());
}

#[test]
fn a_registrar_admits_institutions_and_the_board_signs_the_rest() {
    let world = World::founded(&THREE, 2);
    world.make_key("rita", "rita.key");
    let words = [
        "board",
        "delegate",
        "registrar",
        "--threshold",
        "1",
        "--member",
        "rita.pub",
        "--dir",
        "oncology",
    ];
    world.run(words).returns(0);
    for name in ["ana", "bea"] {
        world.sign("oncology", name).returns(0);
    }
    // The board has handed the list of members over: without the registrar's there is none, and nobody could work.
    world
        .publish("oncology")
        .returns(2)
        .fails_with("E_FILE_MISSING", "members.toml");
    world
        .run(["board", "draft", "--role", "registrar", "--dir", "oncology"])
        .returns(0);
    world.sign("oncology", "rita").returns(0);
    world.publish("oncology").returns(0);

    world
        .run(["board", "key", "new-hospital", "--out", "new-hospital.key", "--machine"])
        .returns(0);
    let key = world.public_key("new-hospital");
    let member =
        format!("[[member]]\nid = \"new-hospital\"\ntitle = \"New\"\nroles = [\"hospital\"]\nkey = \"{key}\"\n");
    let roster = std::fs::read_to_string(world.path("oncology/members.toml")).unwrap();
    std::fs::write(world.path("oncology/members.toml"), roster + &member).unwrap();
    let diff = world
        .run(["board", "diff", "--dir", "oncology", "--json"])
        .returns(0)
        .json();
    assert!(diff.to_string().contains("new-hospital"), "{diff:#}");
    // Nothing of it is the board's to sign.
    world
        .run(["board", "sign", "--dir", "oncology", "--key", "ana.key"])
        .fails_with("E_USAGE", "nothing");
    world
        .run(["board", "draft", "--role", "registrar", "--dir", "oncology"])
        .returns(0);
    world.sign("oncology", "rita").returns(0);
    world.publish("oncology").returns(0);
    let check = world
        .run(["board", "check", "--dir", "oncology", "--json"])
        .returns(0)
        .json();
    assert_eq!(check["changes"].as_array().unwrap().len(), 0, "{check:#}");
}
