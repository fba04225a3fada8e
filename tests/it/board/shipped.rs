//! The signed example that the repository ships is `policies/oncology`, and its signatures hold.

use std::fs;

use crate::sandbox::{datenraum, project};

#[test]
fn the_signed_example_is_whole_and_says_what_the_worked_example_says() {
    let (worked, signed) = (
        project().join("policies/oncology"),
        project().join("policies/signed/oncology"),
    );
    for kind in ["collections", "policies"] {
        for entry in fs::read_dir(worked.join(kind)).unwrap() {
            let name = entry.unwrap().file_name();
            let read = |folder: &std::path::Path| fs::read(folder.join(kind).join(&name)).unwrap();
            let of_both = read(&worked) == read(&signed) && read(&worked) == read(&signed.join("signed/files"));
            assert!(of_both, "{name:?} changed: run policies/signed/sign.sh");
        }
    }
    let place = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-r".as_ref(), signed.as_os_str(), place.path().as_os_str()])
        .status();
    assert!(copied.unwrap().success());
    let copy = place.path().join("oncology");
    let check = || datenraum(["board", "check", "--json", "--dir", copy.to_str().unwrap()]);
    check().returns(0);
    let root = copy.join("signed/1.root.json");
    let text = fs::read_to_string(&root).unwrap();
    fs::write(&root, text.replace("\"threshold\":2", "\"threshold\":1")).unwrap();
    check().returns(6);
}
