//! `broker.toml`: everything that an operator decides about a broker.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use terms::{Problem, Report, SpaceId};

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
        let config = config.relative_to(path.parent().unwrap_or(Path::new("")));
        config.keeping()?;
        Ok(config)
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
    fn paths_are_relative_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.toml");
        std::fs::write(&path, TEXT).unwrap();
        let config = Config::load(&path).unwrap();
        assert_eq!(config.keeping(), Ok(Keeping::Alone(folder.path().join("repository"))));
        assert_eq!(config.snapshot_key, Path::new("/keys/snapshot.pem"));
    }
}
