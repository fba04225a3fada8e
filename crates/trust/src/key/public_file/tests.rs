use super::*;
use crate::SigningKey;

const ANA: &str = "name = \"ana\"\nkey = \"ed25519:gTl3DqjAzdh8ZWKo9XsmDjChiBpWjbfvl9Vm2sfqJcw\"\n";

fn refusal(text: &str) -> Problem {
    PublicKeyFile::parse(text).unwrap_err().problem
}

#[test]
fn a_13_a_weak_key_is_not_enrolled_from_a_file() {
    let weak = ANA.replace("gTl3DqjAzdh8ZWKo9XsmDjChiBpWjbfvl9Vm2sfqJcw", &"A".repeat(43));
    assert_eq!(refusal(&weak), Problem::FileValue);
}

#[test]
fn what_is_not_exactly_a_name_and_a_key_is_refused() {
    for (text, problem) in [
        ("", Problem::FileKey),
        ("name = \"ana\"", Problem::FileKey),
        (&ANA.replace("name", "owner"), Problem::FileKey),
        (&format!("{ANA}role = \"root\"\n"), Problem::FileKey),
        (&ANA.replace("\"ana\"", "\"../ana\""), Problem::FileValue),
        (&ANA.replace("\"ana\"", "7"), Problem::FileValue),
        (&ANA.replace("ed25519:", ""), Problem::FileValue),
        (&ANA.replace("Jcw\"", "Jcx\""), Problem::FileValue),
        (&format!("{ANA}{ANA}"), Problem::FileSyntax),
        ("-----BEGIN PRIVATE KEY-----", Problem::FileSyntax),
    ] {
        assert_eq!(refusal(text), problem, "{text}");
    }
}

#[test]
fn a_file_that_is_missing_or_large_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ana.pub");
    assert_eq!(PublicKeyFile::load(&path).unwrap_err().problem, Problem::FileMissing);
    std::fs::write(&path, "#".repeat(5 * 1024)).unwrap();
    let report = PublicKeyFile::load(&path).unwrap_err();
    assert!(report.problem == Problem::FileValue && report.message.contains("ana.pub"));
}

#[test]
fn a_public_key_file_is_read_as_it_was_written() {
    let file = PublicKeyFile {
        name: "ana".parse().unwrap(),
        key: SigningKey::generate().unwrap().public(),
    };
    assert_eq!(PublicKeyFile::parse(&file.to_string()), Ok(file.clone()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ana.pub");
    std::fs::write(&path, format!("# Ana, cardiology\n{file}")).unwrap();
    assert_eq!(PublicKeyFile::load(&path), Ok(file));
}
