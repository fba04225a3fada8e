//! A data space of one clinic, for tests.

use std::collections::BTreeMap;

use policy::Rules;
use trust::Digest;

/// The rules of a space with these further files, by path: collections and policies.
pub(crate) fn rules(files: &[(&str, &str)]) -> Rules {
    let key = trust::SigningKey::generate().unwrap().public();
    let members =
        format!("[[member]]\nid = \"clinic\"\ntitle = \"Clinic\"\nroles = [\"university\"]\nkey = \"{key}\"\n");
    let all = [
        ("space.toml", "id = \"s\"\ntitle = \"s\"\n"),
        ("members.toml", members.as_str()),
    ];
    let all = all.iter().chain(files);
    let all: BTreeMap<String, Vec<u8>> = all
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect();
    Rules::compile_files(1, Digest::of(b"test"), &all).unwrap()
}
