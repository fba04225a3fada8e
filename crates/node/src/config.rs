//! `node.toml`: everything that an operator decides about a node. Next: `config/check.rs`, which looks at what it names.

mod check;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use telemetry::{MetricsConfig, TracesConfig};
use terms::finding::Finding;
use terms::{MemberId, Problem, Report, SpaceId};
use wire::{NodeLimits, PeerConfig};

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
    /// Bounds of what the node takes, where they are not the usual ones.
    #[serde(default, skip_serializing_if = "NodeLimits::are_usual")]
    pub limits: NodeLimits,
    /// Where its operator's monitoring reads; nowhere if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsConfig>,
    /// Where traces of queries go; nowhere if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<TracesConfig>,
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
    /// Reads a configuration file and checks its values. What it names is looked at by [`Config::check`].
    ///
    /// # Errors
    /// `FileMissing`, `FileSyntax`, `FileKey` or `FileValue`, naming file and line.
    pub fn load(path: &Path) -> Result<Self, Report> {
        let config = Self::read(path)?;
        Finding::none_in(&path.display().to_string(), &config.values())?;
        Ok(config)
    }

    fn read(path: &Path) -> Result<Self, Report> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| Problem::FileMissing.report(format!("{name}: {error}")))?;
        let mut config: Config = terms::text::parse_toml(&name, &text)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        config.broker = config.broker.relative_to(folder);
        let paths = [&mut config.key, &mut config.root, &mut config.data];
        for inside in paths.into_iter().chain(config.anchor.as_mut()) {
            *inside = folder.join(&*inside);
        }
        Ok(config)
    }

    /// What is wrong with the values themselves.
    fn values(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut wrong = |key: &str, report: Report| findings.push(Finding::of(key, report));
        if self.refresh_seconds == 0 || self.refresh_seconds > 60 {
            let message = "it must be from 1 to 60, because a revocation must act within 60 s";
            wrong("refresh_seconds", Problem::FileValue.report(message));
        }
        if self.listen.is_none() && self.tunnels == 0 {
            let report = Problem::FileValue.report("without listen and without tunnels nobody can reach the node");
            wrong("tunnels", report.remedy("say where to listen, or leave tunnels at 2"));
        }
        // The addresses may all lead to one broker, which would end the oldest tunnel for each one more.
        let most = terms::limit::TUNNELS_PER_MEMBER_MAX / self.broker.each().count();
        if usize::from(self.tunnels) > most {
            let message = format!(
                "it is {}, and may be {most} at each address of the broker",
                self.tunnels
            );
            let report = Problem::FileValue.report(message);
            wrong("tunnels", report.remedy("two at each address are enough"));
        }
        if let Some(Err(report)) = self.metrics.as_ref().map(MetricsConfig::check) {
            wrong("metrics.listen", report);
        }
        if let Some(Err(report)) = self.traces.as_ref().map(TracesConfig::check) {
            wrong("traces.endpoint", report);
        }
        findings
    }

    /// How many tunnels are held: at each address of the broker as many as it says.
    pub fn tunnels_wanted(&self) -> usize {
        usize::from(self.tunnels) * self.broker.each().count()
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

    /// The newest checkpoint that the broker cosigned, beside the anchor.
    pub fn cosigned_file(&self) -> PathBuf {
        self.anchor_file().with_file_name("ledger.cosigned")
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
mod tests;
