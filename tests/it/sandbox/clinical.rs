//! What the tests of clinical data have in common: data spaces of a few nodes, policies, and data that are not part of the project.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Sandbox, project};

/// A file or folder of `../shared/data`; without it, it is said that a test is skipped.
pub(super) fn shared(name: &str) -> Option<PathBuf> {
    let path = project().join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    // Not by `eprintln`, which the test harness hides when a test passes.
    let skipped = format!("\nSKIPPED: {} is not there\n", path.display());
    std::io::stderr().write_all(skipped.as_bytes()).unwrap();
    None
}

/// A policy for aggregates of these columns and of nodes, for scientific research by universities.
pub(super) fn policy(collection: &str, columns: &[&str], disclosure: &str) -> String {
    let columns: Vec<String> = columns
        .iter()
        .chain(&["node"])
        .map(|name| format!("{name:?}"))
        .collect();
    format!(
        "id = \"{collection}-policy\"\nversion = 1\ntitle = \"{collection}\"\ncollection = \"{collection}\"\n\
         valid_from = 2026-01-01\nvalid_until = 2099-12-31\n[[permission]]\nid = \"statistics\"\n\
         assignee = {{ roles = [\"university\"] }}\npurposes = [\"ehds-53-1-e\"]\npermit = \"none\"\nrelease = \"aggregates\"\n\
         columns = [{}]\n[permission.disclosure]\n{disclosure}\n",
        columns.join(", ")
    )
}

/// A data space of nodes that are called `node-0` and so on.
pub(super) struct Nodes<'a> {
    /// The id, the text and the policy of each collection.
    pub(super) collections: &'a [(&'a str, &'a str, &'a str)],
    pub(super) nodes: usize,
}

impl Nodes<'_> {
    /// Put up, and taking up new data each second.
    pub(super) fn without_data(&self) -> Sandbox {
        let sandbox = self.with_data(|_, _| Vec::new());
        sandbox.down().returns(0);
        for node in 0..self.nodes {
            let file = sandbox.dir().join(format!("nodes/node-{node}/node.toml"));
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, text.replace("refresh_seconds = 30", "refresh_seconds = 1")).unwrap();
        }
        sandbox.up_again(&sandbox.place().join("spec.toml")).returns(0);
        sandbox
    }

    /// Put up with the data sets that `write` says, after it wrote their files: tables as a specification has them under `datasets`.
    pub(super) fn with_data(&self, mut write: impl FnMut(&Path, usize) -> Vec<String>) -> Sandbox {
        let mut files: Vec<(String, &str)> = Vec::new();
        for (id, collection, policy) in self.collections {
            files.push((format!("collections/{id}.toml"), collection));
            files.push((format!("policies/{id}-policy.toml"), policy));
        }
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let sandbox = Sandbox::laid_out(&files);
        let named = |kind: &str, ending: &str| {
            let paths = self
                .collections
                .iter()
                .map(|(id, ..)| format!("\"{kind}/{id}{ending}.toml\""));
            paths.collect::<Vec<_>>().join(", ")
        };
        let mut spec = format!(
            "space = \"clinic\"\nboard = {{ members = 3, threshold = 2 }}\ncollections = [{}]\npolicies = [{}]\n\
             [[person]]\nid = \"ada\"\nmember = \"university\"\nroles = [\"university\"]\n",
            named("collections", ""),
            named("policies", "-policy")
        );
        for node in 0..self.nodes {
            let datasets = write(sandbox.place(), node).join(", ");
            let _ = write!(
                spec,
                "[[node]]\nid = \"node-{node}\"\nroles = [\"hospital\"]\ndatasets = [{datasets}]\n"
            );
        }
        let path = sandbox.place().join("spec.toml");
        fs::write(&path, spec).unwrap();
        sandbox.up_again(&path).returns(0);
        sandbox
    }
}

/// The answer, when so many nodes have taken up their data and answered.
pub(super) fn answer_of(sandbox: &Sandbox, sql: &str, nodes: usize) -> Value {
    let begun = Instant::now();
    loop {
        let run = sandbox.query(sql, &["--purpose", "ehds-53-1-e", "--format", "json"]);
        if run.code() == 0 && run.json()["coverage"].as_array().unwrap().len() == nodes {
            return run.json();
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{}{}", run.out(), run.err());
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// An answer of two columns as a map.
pub(super) fn pairs(answer: &Value) -> BTreeMap<String, u64> {
    let rows = answer["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        let key = row[0].as_str().map_or_else(|| row[0].to_string(), str::to_owned);
        (key, row[1].as_u64().unwrap())
    })
    .collect()
}
