//! What is never signed, and never published.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use super::{POLICY, World};

const THREE: [&str; 3] = ["ana", "bea", "carl"];

/// Starts `board sign`, lets something happen once everything was shown, then types what a person would.
fn sign_while(world: &World, key: &str, meanwhile: impl FnOnce(), typed: Option<&str>) -> (i32, String) {
    let mut command = world.command();
    command.args(["board", "sign", "--dir", "oncology", "--key", key]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut digest = String::new();
    // The digest is the last line before the table of changes; the question has no line of its own.
    while digest.is_empty() {
        let mut line = String::new();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "no digest was shown");
        if let Some((_, hex)) = line.split_once("digest  sha256:") {
            hex.trim().clone_into(&mut digest);
        }
    }
    let mut byte = [0];
    let mut shown = String::new();
    while !shown.ends_with("after sha256: ") {
        assert_eq!(out.read(&mut byte).unwrap(), 1, "no question: {shown}");
        shown.push(byte[0] as char);
    }
    meanwhile();
    let answer = typed.map_or_else(|| digest[..8].to_owned(), str::to_owned);
    writeln!(child.stdin.take().unwrap(), "{answer}").unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    (child.wait().unwrap().code().unwrap(), error)
}

fn signatures(world: &World) -> usize {
    fs::read_dir(world.path("oncology/draft/signatures")).map_or(0, Iterator::count)
}

#[test]
fn a_file_swapped_between_preview_and_signature_is_not_signed() {
    let world = World::founded(&THREE, 2);
    world.edit(&format!("oncology/{POLICY}"), "min_people = 10 ", "min_people = 12 ");
    world.draft("oncology");
    for swapped in [POLICY, "space.toml", "draft/targets.json", "signed/files/space.toml"] {
        let path = world.path("oncology").join(swapped);
        let before = fs::read(&path).unwrap();
        let swap = || {
            let mut bytes = before.clone();
            bytes.extend_from_slice(b"\n");
            // White space in a draft changes nothing that is signed, so the draft is swapped for one of another version.
            if swapped.ends_with(".json") {
                bytes = String::from_utf8(before.clone())
                    .unwrap()
                    .replace("\"version\":2", "\"version\":3")
                    .into_bytes();
            }
            fs::write(&path, bytes).unwrap();
        };
        let (code, error) = sign_while(&world, "ana.key", swap, None);
        if swapped.starts_with("signed/files") {
            // What the comparison was made with is not what is signed; it is refused at the next look.
            assert_eq!(code, 0, "{error}");
            world
                .run(["board", "diff", "--dir", "oncology"])
                .fails_with("E_POLICY_SIGNATURE", "space.toml");
            fs::remove_dir_all(world.path("oncology/draft/signatures")).unwrap();
        } else {
            assert_eq!(code, 6, "{swapped}: {error}");
            assert!(error.contains("E_CHANGED"), "{swapped}: {error}");
            assert_eq!(signatures(&world), 0);
        }
        fs::write(&path, before).unwrap();
    }
    // A file that nobody had seen.
    let extra = world.path("oncology/permits/extra.toml");
    let (code, error) = sign_while(&world, "ana.key", || fs::write(&extra, "id = \"extra\"").unwrap(), None);
    assert_eq!((code, signatures(&world)), (6, 0), "{error}");
    fs::remove_file(extra).unwrap();
    // And nothing is wrong if nothing happens.
    let (code, error) = sign_while(&world, "ana.key", || {}, None);
    assert_eq!((code, signatures(&world)), (0, 1), "{error}");
}

#[test]
fn who_does_not_type_the_digest_signs_nothing() {
    let world = World::founded(&THREE, 2);
    world.edit(&format!("oncology/{POLICY}"), "min_people = 10 ", "min_people = 12 ");
    world.draft("oncology");
    for typed in ["", "y", "yes", "00000000", "0"] {
        let (code, error) = sign_while(&world, "ana.key", || {}, Some(typed));
        assert_eq!((code, signatures(&world)), (2, 0), "{typed:?}: {error}");
    }
    // Nobody at the keyboard.
    world
        .run(["board", "sign", "--dir", "oncology", "--key", "ana.key"])
        .fails_with("E_USAGE", "nothing was signed");
    world
        .run(["board", "sign", "--dir", "oncology", "--key", "ana.key", "--yes"])
        .fails_with("E_USAGE", "digest");
}

#[test]
fn another_digest_than_the_one_that_was_named_is_not_signed() {
    let world = World::founded(&THREE, 2);
    world.edit(&format!("oncology/{POLICY}"), "min_people = 10 ", "min_people = 12 ");
    let draft = world.draft("oncology");
    let mut digest = draft["drafts"][0]["digest"].as_str().unwrap().to_owned();
    let last = if digest.ends_with('0') { "1" } else { "0" };
    digest.replace_range(digest.len() - 1.., last);
    let words = [
        "board", "sign", "--dir", "oncology", "--key", "ana.key", "--digest", &digest, "--yes",
    ];
    world.run(words).returns(6).fails_with("E_CHANGED", "digest");
    assert_eq!(signatures(&world), 0);
}

#[test]
fn files_that_are_not_those_of_the_draft_are_not_signed() {
    let world = World::founded(&THREE, 2);
    world.edit(&format!("oncology/{POLICY}"), "min_people = 10 ", "min_people = 12 ");
    world.draft("oncology");
    world.sign("oncology", "ana").returns(0);
    world.edit(&format!("oncology/{POLICY}"), "min_people = 12 ", "min_people = 2 ");
    world
        .run(["board", "matrix", "--write", "--dir", "oncology"])
        .returns(0);
    world.sign("oncology", "bea").returns(6).fails_with("E_CHANGED", POLICY);
    // Nor is the new text published under the old signatures.
    world.publish("oncology").returns(6);
    // Drafting anew drops the signature that was given for the other text.
    let anew = world
        .run(["board", "draft", "--anew", "--dir", "oncology", "--json"])
        .returns(0)
        .json();
    assert_eq!(
        anew["drafts"][0]["groups"][0]["signed"].as_array().unwrap().len(),
        0,
        "{anew}"
    );
}

#[test]
fn a_key_that_the_board_does_not_name_and_a_wrong_passphrase_sign_nothing() {
    let world = World::founded(&THREE, 2);
    world.make_key("zoe", "zoe.key");
    world.edit(&format!("oncology/{POLICY}"), "min_people = 10 ", "min_people = 12 ");
    world.draft("oncology");
    world
        .sign("oncology", "zoe")
        .returns(2)
        .fails_with("E_USAGE", "may not sign");
    fs::write(world.path("passphrase"), "another passphrase\n").unwrap();
    world
        .sign("oncology", "ana")
        .returns(2)
        .fails_with("E_KEY_PASSPHRASE", "ana.key");
    // Nobody to ask: without a terminal there is no key, least of all one that is not encrypted.
    let words = ["board", "key", "dora", "--out", "dora.key"];
    let mut alone = Command::new("setsid");
    alone
        .arg("--wait")
        .arg(env!("CARGO_BIN_EXE_datenraum"))
        .args(words)
        .current_dir(world.path("."));
    let asked = alone
        .env_remove("DATENRAUM_PASSPHRASE_FILE")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(error.contains("E_KEY_PASSPHRASE"), "{error}");
    fs::write(world.path("passphrase"), "short\n").unwrap();
    world.run(words).returns(2).fails_with("E_USAGE", "characters");
    assert!(!world.path("dora.key").exists() && !world.path("dora.pub").exists());
    assert_eq!(signatures(&world), 0);
}

#[test]
fn two_of_three_signatures_publish_nothing_and_the_old_version_stays() {
    let world = World::founded(&["ana", "bea", "carl", "dora", "emil"], 3);
    let before = fs::read(world.path("repository/metadata/timestamp.json")).unwrap();
    world.edit(&format!("oncology/{POLICY}"), "min_people = 10 ", "min_people = 12 ");
    world.draft("oncology");
    for name in ["ana", "emil"] {
        world.sign("oncology", name).returns(0);
        // Once more is harmless and does not count twice.
        world.sign("oncology", name).returns(0);
    }
    world
        .publish("oncology")
        .returns(6)
        .fails_with("E_POLICY_THRESHOLD", "bea, carl, dora");
    assert_eq!(
        fs::read(world.path("repository/metadata/timestamp.json")).unwrap(),
        before
    );
    assert!(!world.path("repository/metadata/2.targets.json").exists());
    assert!(!world.path("oncology/signed/2.targets.json").exists());
}

#[test]
fn a_signature_of_another_draft_counts_for_nothing() {
    let world = World::founded(&THREE, 2);
    world.copy_folder("oncology", "elsewhere");
    world.edit(
        "elsewhere/policies/breast-cancer-research.toml",
        "min_people = 10 ",
        "min_people = 2 ",
    );
    world.draft("elsewhere");
    world.sign("elsewhere", "bea").returns(0);
    world.edit(&format!("oncology/{POLICY}"), "min_people = 10 ", "min_people = 12 ");
    world.draft("oncology");
    world.sign("oncology", "ana").returns(0);
    world.bring_signatures("elsewhere", "oncology");
    world
        .publish("oncology")
        .returns(6)
        .fails_with("E_POLICY_THRESHOLD", "bea");
}

#[test]
fn what_is_no_file_of_the_space_and_what_nodes_refuse_is_not_signed() {
    let world = World::founded(&THREE, 2);
    let stray = world.path("oncology/notes.docx");
    fs::write(&stray, "?").unwrap();
    for command in ["check", "diff", "draft"] {
        world
            .run(["board", command, "--dir", "oncology"])
            .fails_with("E_USAGE", "notes.docx");
    }
    fs::remove_file(stray).unwrap();
    world.edit(&format!("oncology/{POLICY}"), "min_people = 10 ", "min_peple = 12 ");
    world
        .run(["board", "check", "--dir", "oncology"])
        .fails_with("E_FILE_KEY", "min_peple");
    world
        .run(["board", "sign", "--dir", "oncology", "--key", "ana.key"])
        .fails_with("E_FILE_KEY", "min_peple");
    world.edit(&format!("oncology/{POLICY}"), "min_peple = 12 ", "min_people = 12 ");
    // A table that is not the policy's would let a board sign what it has not read.
    world
        .run(["board", "check", "--dir", "oncology"])
        .returns(1)
        .fails_with("E_CASES", "matrix.txt");
    world
        .run(["board", "draft", "--dir", "oncology"])
        .returns(1)
        .fails_with("E_CASES", "matrix.txt");
    // A case that the policy no longer decides as it says.
    world.edit(&format!("oncology/{POLICY}"), "\"age\", \"menopause\"", "\"menopause\"");
    world
        .run(["board", "matrix", "--write", "--dir", "oncology"])
        .returns(0);
    world
        .run(["board", "check", "--dir", "oncology"])
        .returns(1)
        .fails_with("E_CASES", "cases.toml, line");
}

#[test]
fn signed_folders_that_somebody_changed_are_not_believed() {
    let world = World::founded(&THREE, 2);
    // Somebody else's board, in the place of ours.
    let other = World::founded(&["x", "y", "z"], 1);
    fs::copy(
        other.path("oncology/signed/1.root.json"),
        world.path("oncology/signed/2.root.json"),
    )
    .unwrap();
    world.run(["board", "check", "--dir", "oncology"]).returns(6);
    fs::remove_file(world.path("oncology/signed/2.root.json")).unwrap();
    fs::copy(
        other.path("oncology/signed/1.targets.json"),
        world.path("oncology/signed/1.targets.json"),
    )
    .unwrap();
    world
        .run(["board", "check", "--dir", "oncology"])
        .fails_with("E_POLICY_THRESHOLD", "1.targets.json");
}

#[test]
fn a_folder_of_another_board_with_the_same_name_and_ones_own_key_is_not_signed() {
    let world = World::founded(&THREE, 2);
    // Whoever carries the folder founds a space of the same name, with Ana and themselves, in which everything is wide
    // open already: the difference to what was signed last would be none.
    world.make_key("mallory", "mallory.key");
    super::copy(&world.path("oncology"), &world.path("other"));
    for gone in ["other/signed", "other/draft"] {
        let _ = fs::remove_dir_all(world.path(gone));
    }
    fs::remove_file(world.path("other/board.toml")).unwrap();
    world.edit(
        "other/policies/breast-cancer-research.toml",
        "min_people = 10 ",
        "min_people = 2 ",
    );
    let words = [
        "board", "init", "--dir", "other", "--space", "oncology", "--title", "T", "--member", "ana.pub",
    ];
    let more = [
        "--member",
        "mallory.pub",
        "--threshold",
        "1",
        "--snapshot-key",
        "snapshot.pub",
        "--timestamp-key",
        "timestamp.pub",
    ];
    world.run(words.into_iter().chain(more)).returns(0);
    world.draft("other");
    world.sign("other", "mallory").returns(0);
    let keys = [
        "--repository",
        "elsewhere",
        "--snapshot-key",
        "snapshot.key",
        "--timestamp-key",
        "timestamp.key",
    ];
    world
        .run(["board", "publish", "--dir", "other"].into_iter().chain(keys))
        .returns(0);
    world
        .run(["board", "renew", "--role", "targets", "--dir", "other"])
        .returns(0);
    let diff = world
        .run(["board", "diff", "--dir", "other", "--json"])
        .returns(0)
        .json();
    assert_eq!(
        diff.as_array().unwrap().len(),
        0,
        "nothing to be seen in the folder itself"
    );
    world
        .sign("other", "ana")
        .returns(6)
        .fails_with("E_POLICY_SCOPE", "founded by");
    assert!(!world.path("other/draft/signatures").exists(), "no signature");
}

#[test]
fn a_key_and_a_data_space_are_never_replaced() {
    let world = World::founded(&THREE, 2);
    world
        .run(["board", "key", "ana", "--out", "ana.key"])
        .fails_with("E_USAGE", "never replaced");
    let words = [
        "board", "init", "--dir", "oncology", "--space", "oncology", "--title", "T", "--member", "ana.pub",
    ];
    let more = [
        "--threshold",
        "1",
        "--snapshot-key",
        "snapshot.pub",
        "--timestamp-key",
        "timestamp.pub",
    ];
    world
        .run(words.into_iter().chain(more))
        .fails_with("E_FOLDER_NOT_EMPTY", "");
    // Nor founded with a threshold that nobody can reach, or with one person twice.
    let words = [
        "board", "init", "--dir", "new", "--space", "new", "--title", "T", "--member", "ana.pub",
    ];
    let keys = ["--snapshot-key", "snapshot.pub", "--timestamp-key", "timestamp.pub"];
    for more in [vec!["--threshold", "2"], vec!["--threshold", "0"]] {
        world
            .run(words.into_iter().chain(more).chain(keys))
            .fails_with("E_POLICY_THRESHOLD", "");
    }
    world
        .run(
            words
                .into_iter()
                .chain(["--member", "ana.pub", "--threshold", "2"])
                .chain(keys),
        )
        .fails_with("E_USAGE", "one key");
    assert!(!world.path("new").exists());
}
