//! Looks at everything that `node.toml` names, before a port is bound, and says all that is wrong at once.

use std::path::Path;

use policy::Rules;
use terms::finding::Finding;
use terms::{Problem, Report, UtcTime};
use trust::{PublicKey, SpaceStore};
use wire::check::Findings;

use super::Config;

impl Config {
    /// Everything that is wrong with a configuration file and what it names; nothing if a node can start with it.
    pub async fn check(path: &Path, now: UtcTime) -> Vec<Finding> {
        let config = match Self::read(path) {
            Ok(config) => config,
            Err(report) => return vec![Finding::of("", report)],
        };
        let mut findings = Findings(config.values());
        if let Some(listen) = &config.listen {
            findings.address("listen", listen, true);
        }
        if let Some(advertise) = &config.advertise {
            findings.address("advertise", advertise, false);
        }
        if let Some(key) = findings.key("key", &config.key) {
            findings.note("key", config.require_rosters_key(&key, now).await);
        }
        findings.root("root", &config.root, &config.space);
        findings.folder("data", &config.data);
        if let Some(folder) = config.anchor.as_deref().and_then(Path::parent) {
            findings.folder("anchor", folder);
        }
        findings.peer("broker", &config.broker);
        findings.0
    }

    /// If documents were verified before, the roster that they hold must name this key.
    pub(super) async fn require_rosters_key(&self, key: &PublicKey, now: UtcTime) -> Result<(), Report> {
        let Ok(store) = SpaceStore::open(&self.governance_folder()) else {
            return Ok(());
        };
        let documents = trust::last_good(&store, now).await.ok();
        let rules = documents.and_then(|documents| Rules::compile(&documents).ok());
        let member = rules.as_ref().and_then(|rules| rules.members.get(&self.member));
        if member.is_none_or(|member| member.key == *key) {
            return Ok(());
        }
        let message = format!(
            "the roster names another key for {} than that of {}",
            self.member,
            self.key.display()
        );
        let remedy = "install the key that the roster names, or ask the board to sign a roster with this one";
        Err(Problem::PeerKey.report(message).remedy(remedy))
    }
}
