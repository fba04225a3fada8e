//! Every block of commands in the board's guide, in order, as a board would type them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Running, World, copy, names};
use crate::sandbox::project;

/// Stands in for the hands of a member: it reads the digest that is shown, and types its beginning.
const HANDS: &str = r#"#!/bin/sh
if [ "${1-} ${2-}" = "board sign" ]; then
    typed=$("$DATENRAUM" "$@" </dev/null 2>/dev/null | sed -n 's/^  digest  sha256:\(........\).*/\1/p')
    printf '%s\n' "$typed" | "$DATENRAUM" "$@"
else
    exec "$DATENRAUM" "$@"
fi
"#;

fn blocks() -> Vec<String> {
    let guide = fs::read_to_string(project().join("docs/boards.md")).unwrap();
    let blocks = guide
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

fn type_in(world: &World, block: &str, running: Option<&Running<'_>>) -> String {
    let path = format!("{}:{}", world.path("hands").display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell
        .args(["-eu", "-c", block])
        .current_dir(world.path("."))
        .stdin(Stdio::null());
    shell
        .env("PATH", path)
        .env("DATENRAUM", env!("CARGO_BIN_EXE_datenraum"))
        .env("LANG", "C");
    shell.env("DATENRAUM_PASSPHRASE_FILE", world.path("passphrase"));
    if let Some(running) = running {
        shell
            .env("BROKER", &running.address)
            .env("BROKER_KEY", world.public_key("broker"));
    }
    let output = shell.output().unwrap();
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{block}\n{out}\n{error}");
    out.into_owned()
}

#[test]
fn every_command_of_the_guide_does_what_the_guide_says() {
    let world = World {
        place: tempfile::tempdir().unwrap(),
    };
    fs::write(world.path("passphrase"), super::PASSPHRASE).unwrap();
    copy(&project().join("policies"), &world.path("policies"));
    fs::create_dir(world.path("hands")).unwrap();
    fs::write(world.path("hands/datenraum"), HANDS).unwrap();
    fs::set_permissions(world.path("hands/datenraum"), fs::Permissions::from_mode(0o755)).unwrap();

    let mut running: Option<Running<'_>> = None;
    let mut told = String::new();
    for block in blocks() {
        told.push_str(&type_in(&world, &block, running.as_ref()));
        if block.contains("--repository repository") {
            running = Some(world.serve());
        }
        if let Some(running) = running.as_mut().filter(|_| block.contains("publish")) {
            follows(&world, running);
        }
        if let Some(running) = running.as_mut().filter(|_| block.contains("board stop --policy")) {
            let status = running.until("the stop", |status| status["stops"].as_array().unwrap().len() == 1);
            assert_eq!(status["stops"][0]["stopped"], "policy breast-cancer-research");
        }
    }
    for word in ["widens", "narrows", "erweitert", "verengt", "founded by", "Inhaber"] {
        assert!(told.contains(word), "the guide never shows {word:?}: {told}");
    }
    let status = running.as_ref().unwrap().status().unwrap();
    assert_eq!(status["stops"], Value::Array(Vec::new()), "lifted");
    assert_eq!(status["documents"]["permits"], 1);
    assert_eq!(status["problem"], Value::Null);
    let members = world
        .run(["board", "members", "show", "--dir", "oncology", "--json"])
        .returns(0)
        .json();
    assert_eq!(names(&members["groups"][0]["keys"]), ["ana", "bea", "carl", "dora"]);
    assert_eq!(names(&members["groups"][1]["keys"]), ["kim", "lou"]);
    assert!(world.drafts("oncology").is_empty());
}

/// The node works under what the folder calls signed.
fn follows(world: &World, running: &mut Running<'_>) {
    let check = world
        .run(["board", "check", "--dir", "oncology", "--json"])
        .returns(0)
        .json();
    let version = |role: &str| {
        let mut signed = check["signed"].as_array().unwrap().iter();
        signed.find(|document| document["role"] == role).unwrap()["version"].clone()
    };
    let (root, targets) = (version("root"), version("targets"));
    running.until("what was published", |status| {
        status["documents"]["root_version"] == root && status["documents"]["version"] == targets
    });
}
