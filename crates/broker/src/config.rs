//! `broker.toml`: everything that an operator decides about a broker.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use terms::{Problem, Report, SpaceId};

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
    /// The folder of signed documents.
    pub repository: PathBuf,
    /// The private key that says which targets document is current.
    pub snapshot_key: PathBuf,
    /// The private key that says that it still is.
    pub timestamp_key: PathBuf,
    /// The data space's first root document, obtained from the board.
    pub root: PathBuf,
    /// Where the broker keeps its catalogue and what it has verified.
    pub data: PathBuf,
}

impl Config {
    /// Reads a configuration file and resolves its paths.
    ///
    /// # Errors
    /// [`Problem::FileMissing`] if it cannot be read, or one of the other `File` problems.
    pub fn load(path: &Path) -> Result<Config, Report> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path);
        let text =
            text.map_err(|error| Problem::FileMissing.report(format!("cannot read {name}: {}", error.kind())))?;
        let config: Config = terms::text::parse_toml(&name, &text)?;
        Ok(config.relative_to(path.parent().unwrap_or(Path::new(""))))
    }

    fn relative_to(self, folder: &Path) -> Config {
        Config {
            key: folder.join(self.key),
            repository: folder.join(self.repository),
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
    fn paths_are_relative_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.toml");
        std::fs::write(&path, TEXT).unwrap();
        let config = Config::load(&path).unwrap();
        assert_eq!(config.repository, folder.path().join("repository"));
        assert_eq!(config.snapshot_key, Path::new("/keys/snapshot.pem"));
    }
}
