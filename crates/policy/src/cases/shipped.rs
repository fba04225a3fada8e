//! The data spaces that the repository ships, as the tests of reading aids see them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trust::Digest;

use crate::Rules;

/// The institutions that the cases of the shipped policies speak of. A real roster is made when a space is set up.
const MEMBERS: &str = r#"
[[member]]
id    = "city-hospital"
title = "City hospital"
roles = ["hospital"]
key   = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

[[member]]
id    = "saarland-university"
title = "Saarland University"
roles = ["university"]
key   = "ed25519:PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"

[[member]]
id    = "health-office"
title = "Public health office"
roles = ["public-health-office", "public-body"]
key   = "ed25519:_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU"
"#;

/// One data space in a folder of the repository.
pub(crate) struct Shipped {
    pub(crate) folder: PathBuf,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Shipped {
    pub(crate) fn rules(&self) -> Rules {
        let rules = Rules::compile_files(1, Digest::of(b""), &self.files);
        rules.unwrap_or_else(|report| panic!("{}: {report}: {}", self.folder.display(), report.remedy))
    }
}

/// Every folder below `policies` and `examples` that has policies.
pub(crate) fn all() -> Vec<Shipped> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for parent in ["policies", "examples"] {
        for entry in std::fs::read_dir(repository.join(parent)).unwrap() {
            let folder = entry.unwrap().path();
            if folder.join("policies").is_dir() {
                let files = documents(&folder);
                found.push(Shipped { folder, files });
            }
        }
    }
    assert!(!found.is_empty());
    found
}

fn documents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let made = [
        ("space.toml", "id = \"shipped\"\ntitle = \"Shipped\"\n"),
        ("members.toml", MEMBERS),
    ];
    let mut files: BTreeMap<_, _> = made.map(|(path, text)| (path.to_owned(), text.into())).into();
    if let Ok(space) = std::fs::read(folder.join("space.toml")) {
        files.insert("space.toml".to_owned(), space);
    }
    for kind in ["collections", "policies"] {
        for entry in std::fs::read_dir(folder.join(kind)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{kind}/{}", entry.file_name().to_str().unwrap());
            files.insert(path, std::fs::read(entry.path()).unwrap());
        }
    }
    files
}
