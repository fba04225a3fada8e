//! Looks at everything that `broker.toml` names, before a port is bound, and says all that is wrong at once.

use std::path::Path;

use terms::finding::Finding;
use wire::check::Findings;

use super::{Config, Keeping};

impl Config {
    /// Everything that is wrong with a configuration file and what it names; nothing if a broker can start with it.
    pub fn check(path: &Path) -> Vec<Finding> {
        let config = match Self::read(path) {
            Ok(config) => config,
            Err(report) => return vec![Finding::of("", report)],
        };
        let mut findings = Findings(config.values());
        findings.address("listen", &config.listen, true);
        findings.key("key", &config.key);
        findings.key("snapshot_key", &config.snapshot_key);
        findings.key("timestamp_key", &config.timestamp_key);
        if let Some(Keeping::Alone(folder)) = findings.note("repository", config.keeping()) {
            findings.folder("repository", &folder);
        }
        findings.root("root", &config.root, &config.space);
        findings.folder("data", &config.data);
        findings.0
    }
}
