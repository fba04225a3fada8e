//! `broker.toml`: everything that an operator decides about a broker. Next: `config/check.rs`, which looks at what it names.

mod check;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use telemetry::MetricsConfig;
use terms::finding::Finding;
use terms::{Problem, Report, SpaceId};
use wire::BrokerLimits;

pub use crate::postgres::ConnectionString;

/// A broker's configuration. Paths are relative to the file's own folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The data space.
    pub space: SpaceId,
    /// Where to listen, `host:port`; port 0 takes any free one.
    pub listen: String,
    /// The broker's own private key (PKCS#8 PEM), by which clients recognise it.
    pub key: PathBuf,
    /// The folder of signed documents, if this is the only broker of the data space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<PathBuf>,
    /// The PostgreSQL that has them and the catalogue instead, for all brokers of the data space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<ConnectionString>,
    /// A file that holds the same, because there is a password in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_file: Option<PathBuf>,
    /// The private key that says which targets document is current.
    pub snapshot_key: PathBuf,
    /// The private key that says that it still is.
    pub timestamp_key: PathBuf,
    /// The data space's first root document, obtained from the board.
    pub root: PathBuf,
    /// Where the broker keeps what it has verified, and its catalogue unless that is in a store.
    pub data: PathBuf,
    /// Bounds of what the broker takes, where they are not the usual ones.
    #[serde(default, skip_serializing_if = "BrokerLimits::are_usual")]
    pub limits: BrokerLimits,
    /// Where its operator's monitoring reads; nowhere if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsConfig>,
}

/// Where a broker keeps documents and catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// In this folder and in files of its own.
    Alone(PathBuf),
    /// In a PostgreSQL, with the other brokers of the data space.
    Shared(ConnectionString),
}

impl Config {
    /// Reads a configuration file, checks its values and resolves its paths. What it names is looked at by [`Config::check`].
    ///
    /// # Errors
    /// [`Problem::FileMissing`] if it cannot be read, or one of the other `File` problems.
    pub fn load(path: &Path) -> Result<Config, Report> {
        let config = Self::read(path)?;
        config.keeping()?;
        Finding::none_in(&path.display().to_string(), &config.values())?;
        Ok(config)
    }

    fn read(path: &Path) -> Result<Config, Report> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path);
        let text =
            text.map_err(|error| Problem::FileMissing.report(format!("cannot read {name}: {}", error.kind())))?;
        let config: Config = terms::text::parse_toml(&name, &text)?;
        Ok(config.relative_to(path.parent().unwrap_or(Path::new(""))))
    }

    /// Where documents and catalogue are.
    ///
    /// # Errors
    /// [`Problem::FileValue`] unless the file says so exactly once, [`Problem::FileMissing`] if the file that it names cannot be read.
    pub fn keeping(&self) -> Result<Keeping, Report> {
        match (&self.repository, &self.store, &self.store_file) {
            (Some(folder), None, None) => Ok(Keeping::Alone(folder.clone())),
            (None, Some(store), None) => Ok(Keeping::Shared(store.clone())),
            (None, None, Some(file)) => Ok(Keeping::Shared(ConnectionString::read(file)?)),
            _ => Err(Problem::FileValue
                .report("a broker has exactly one of repository, store and store_file")
                .remedy(
                    "name a folder as repository, or a PostgreSQL as store that all brokers of the data space share",
                )),
        }
    }

    /// What is wrong with the values themselves.
    fn values(&self) -> Vec<Finding> {
        let metrics = self.metrics.as_ref().map(MetricsConfig::check);
        let wrong = metrics.and_then(Result::err);
        wrong
            .map(|report| Finding::of("metrics.listen", report))
            .into_iter()
            .collect()
    }

    fn relative_to(self, folder: &Path) -> Config {
        Config {
            key: folder.join(self.key),
            repository: self.repository.map(|path| folder.join(path)),
            store_file: self.store_file.map(|path| folder.join(path)),
            snapshot_key: folder.join(self.snapshot_key),
            timestamp_key: folder.join(self.timestamp_key),
            root: folder.join(self.root),
            data: folder.join(self.data),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
space = "oncology"
listen = "127.0.0.1:0"
key = "tls.pem"
repository = "repository"
snapshot_key = "/keys/snapshot.pem"
timestamp_key = "timestamp.pem"
root = "root.json"
data = "data"
"#;

    #[test]
    fn a_missing_file_and_an_unknown_key_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.toml");
        assert_eq!(Config::load(&path).unwrap_err().problem, Problem::FileMissing);
        std::fs::write(&path, format!("{TEXT}trust = \"everybody\"\n")).unwrap();
        assert_eq!(Config::load(&path).unwrap_err().problem, Problem::FileKey);
    }

    #[test]
    fn documents_are_in_one_place_and_how_to_get_there_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.toml");
        let load = |text: String| {
            std::fs::write(&path, text).unwrap();
            Config::load(&path)
        };
        let nowhere = TEXT.replace("repository = \"repository\"\n", "");
        let store = "store = \"postgres://broker:secret@db.example.org/space\"\n";
        for text in [nowhere.clone(), format!("{TEXT}{store}")] {
            assert_eq!(load(text).unwrap_err().problem, Problem::FileValue);
        }
        let missing = load(format!("{nowhere}store_file = \"store.txt\"\n"));
        assert_eq!(missing.unwrap_err().problem, Problem::FileMissing);
        let shared = load(format!("{nowhere}{store}")).unwrap();
        assert!(!format!("{shared:?}").contains("secret"), "{shared:?}");
        std::fs::write(
            folder.path().join("store.txt"),
            "postgres://broker:secret@db.example.org/space\n",
        )
        .unwrap();
        let named = load(format!("{nowhere}store_file = \"store.txt\"\n")).unwrap();
        assert_eq!(named.keeping(), shared.keeping());
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_under_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.toml");
        std::fs::write(folder.path().join("repository"), "a file").unwrap();
        let text = TEXT.replace("127.0.0.1:0", "127.0.0.1").replace("/keys/", "keys/");
        std::fs::write(&path, format!("{text}[metrics]\nlisten = \"[::]:9464\"\n")).unwrap();
        let findings = Config::check(&path);
        let keys: Vec<&str> = findings.iter().map(|finding| finding.key.as_str()).collect();
        let wrong = [
            "metrics.listen",
            "listen",
            "key",
            "snapshot_key",
            "timestamp_key",
            "repository",
            "root",
        ];
        assert_eq!(keys, wrong, "{findings:?}");
        std::fs::write(&path, format!("{TEXT}[limits]\nconnections = 0\n")).unwrap();
        let findings = Config::check(&path);
        assert!(
            findings.len() == 1 && findings[0].report.message.contains("`connections` is 0"),
            "{findings:?}"
        );
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.toml");
        std::fs::write(&path, TEXT).unwrap();
        let config = Config::load(&path).unwrap();
        assert_eq!(config.keeping(), Ok(Keeping::Alone(folder.path().join("repository"))));
        assert_eq!(config.snapshot_key, Path::new("/keys/snapshot.pem"));
    }
}
