//! `node.toml`: everything that an operator decides about a node.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use terms::{MemberId, Problem, Report, SpaceId};
use wire::PeerConfig;

use crate::ledger::LedgerPlace;

/// How often governance documents are fetched unless the file says otherwise, in seconds.
const REFRESH_SECONDS: u64 = 30;

/// A node's configuration. Paths are relative to the file's own folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The data space.
    pub space: SpaceId,
    /// The institution that runs the node.
    pub member: MemberId,
    /// Where to listen, `host:port`; port 0 takes any free one. A node that is reached through the broker alone listens nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// The address that others are told, if it is not the one listened on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// The institution's private key (PKCS#8 PEM).
    pub key: PathBuf,
    /// The data space's first root document, obtained from the board.
    pub root: PathBuf,
    /// Where the node keeps datasets, ledger and verified documents.
    pub data: PathBuf,
    /// Where the newest checkpoint of the ledger is kept once more; best on another disk. If nothing is said, beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<PathBuf>,
    /// How many connections to the broker, at each of its addresses, are held open, over which the node is reached without taking one from outside.
    #[serde(default = "tunnels")]
    pub tunnels: u16,
    /// How often governance documents are fetched, in seconds. Bounds how long a revocation takes.
    #[serde(default = "refresh_seconds")]
    pub refresh_seconds: u64,
    /// The broker.
    pub broker: PeerConfig,
}

/// Two, so that one can be lost.
const TUNNELS: u16 = 2;

fn tunnels() -> u16 {
    TUNNELS
}

fn refresh_seconds() -> u64 {
    REFRESH_SECONDS
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// `FileMissing`, `FileSyntax`, `FileKey` or `FileValue`, naming file and line.
    pub fn load(path: &Path) -> Result<Self, Report> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| Problem::FileMissing.report(format!("{name}: {error}")))?;
        let mut config: Config = terms::text::parse_toml(&name, &text)?;
        if config.refresh_seconds == 0 || config.refresh_seconds > 60 {
            let message =
                format!("{name}: refresh_seconds must be from 1 to 60, because a revocation must act within 60 s");
            return Err(Problem::FileValue.report(message));
        }
        if config.listen.is_none() && config.tunnels == 0 {
            let message = format!("{name}: without listen and without tunnels nobody can reach the node");
            return Err(Problem::FileValue
                .report(message)
                .remedy("say where to listen, or leave tunnels at 2"));
        }
        if usize::from(config.tunnels) > terms::limit::TUNNELS_PER_MEMBER_MAX {
            let most = terms::limit::TUNNELS_PER_MEMBER_MAX;
            let message = format!("{name}: tunnels is {}, and a broker takes {most}", config.tunnels);
            return Err(Problem::FileValue.report(message));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        config.broker = config.broker.relative_to(folder);
        let paths = [&mut config.key, &mut config.root, &mut config.data];
        for inside in paths.into_iter().chain(config.anchor.as_mut()) {
            *inside = folder.join(&*inside);
        }
        Ok(config)
    }

    /// The folder of the datasets.
    pub fn datasets_folder(&self) -> PathBuf {
        self.data.join("datasets")
    }

    /// The folder of the verified governance documents.
    pub fn governance_folder(&self) -> PathBuf {
        self.data.join("governance")
    }

    /// The ledger's file.
    pub fn ledger_file(&self) -> PathBuf {
        self.data.join("ledger.sqlite")
    }

    /// The file of the ledger's anchor.
    pub fn anchor_file(&self) -> PathBuf {
        let beside = || self.data.join("ledger.anchor");
        self.anchor.clone().unwrap_or_else(beside)
    }

    /// The ledger with its anchor.
    pub fn ledger_place(&self) -> LedgerPlace {
        LedgerPlace {
            file: self.ledger_file(),
            anchor: self.anchor_file(),
        }
    }

    /// The file of opt-outs and consents.
    pub fn registers_file(&self) -> PathBuf {
        self.data.join("registers.sqlite")
    }

    /// The name of the node's audit log in its checkpoints.
    pub fn audit_origin(&self) -> String {
        crate::audit::origin(&self.space, &self.member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(more: &str) -> Result<Config, Report> {
        let folder = tempfile::tempdir().unwrap();
        let key = trust::SigningKey::generate().unwrap().public();
        let text = format!(
            "space = \"oncology\"\nmember = \"gbsg\"\nkey = \"node.key\"\nroot = \"root.json\"\ndata = \"data\"\n{more}\n\
             [broker]\naddress = \"127.0.0.1:1\"\nkey = \"{key}\"\n[broker.proxy]\naddress = \"127.0.0.1:2\"\ncredentials = \"proxy.txt\"\n"
        );
        let path = folder.path().join("node.toml");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(&path)?;
        let proxy = config.broker.proxy.as_ref().unwrap();
        assert_eq!(proxy.credentials.as_ref().unwrap(), &folder.path().join("proxy.txt"));
        Ok(config)
    }

    #[test]
    fn a_node_that_nobody_could_reach_or_with_more_tunnels_than_a_broker_takes_is_refused() {
        let unreachable = loaded("tunnels = 0").unwrap_err();
        assert_eq!(unreachable.problem, Problem::FileValue);
        assert!(unreachable.message.contains("nobody can reach") && unreachable.remedy.contains("tunnels at 2"));
        let many = loaded("tunnels = 9").unwrap_err();
        assert_eq!(many.problem, Problem::FileValue);
        assert!(many.message.contains("a broker takes 8"), "{many:?}");
        let alone = loaded("").unwrap();
        assert_eq!((alone.listen, alone.tunnels), (None, TUNNELS));
        assert_eq!(loaded("listen = \"127.0.0.1:0\"\ntunnels = 0").unwrap().tunnels, 0);
    }
}
