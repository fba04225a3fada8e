//! `board.toml`: whose key is which. For people to read; which keys count is what the signed root says.

use serde::{Deserialize, Serialize};
use terms::{PersonId, Problem, Report};
use trust::{PublicKey, PublicKeyFile, RoleKeys};

use super::folder::{self, Folder};

/// What stands at the top of the file.
const HEAD: &str = "\
# Whose key is which, for people to read. Which keys count is what the signed root says, not this file.
# Written by `datenraum board`. Compare each key with its owner, over another way than the file came.
";

/// Names of keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Vec<Entry>);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: PersonId,
    key: PublicKey,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    key: Vec<Entry>,
}

impl Names {
    /// The names in the folder; none if there is no file.
    ///
    /// # Errors
    /// A `File` problem.
    pub(crate) fn read(folder: &Folder) -> Result<Self, Report> {
        let path = folder.file("board.toml");
        if !path.exists() {
            return Ok(Self::default());
        }
        let shown = path.display().to_string();
        let bytes = folder::read_metadata(&path)?;
        let text = String::from_utf8(bytes).map_err(|_| Problem::FileSyntax.report(format!("{shown} is not text")))?;
        let written: Written = terms::text::parse_toml(&shown, &text)?;
        let mut names = Self::default();
        for entry in written.key {
            names.add(&PublicKeyFile {
                name: entry.name,
                key: entry.key,
            })?;
        }
        Ok(names)
    }

    /// Writes the names.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&self, folder: &Folder) -> Result<(), Report> {
        let written = Written { key: self.0.clone() };
        let text = toml::to_string(&written).map_err(|error| Problem::Internal.report(error.to_string()))?;
        folder::write(&folder.file("board.toml"), format!("{HEAD}\n{text}").as_bytes())
    }

    /// Adds a name. A key has one name.
    ///
    /// # Errors
    /// `Usage` if the key has another name already.
    pub(crate) fn add(&mut self, file: &PublicKeyFile) -> Result<(), Report> {
        let PublicKeyFile { name, key } = file.clone();
        match self.0.iter().find(|entry| entry.key == key) {
            Some(entry) if entry.name == name => Ok(()),
            Some(entry) => {
                let message = format!("the key {key} of {name} is that of {} already", entry.name);
                Err(Problem::Usage
                    .report(message)
                    .remedy("each person makes a key of their own: datenraum board key"))
            }
            None => {
                self.0.push(Entry { name, key });
                Ok(())
            }
        }
    }

    /// Drops the names of keys that are used no more.
    pub(crate) fn keep_only(&mut self, used: &[PublicKey]) {
        self.0.retain(|entry| used.contains(&entry.key));
    }

    /// The name of a key.
    pub(crate) fn of(&self, key: &PublicKey) -> Option<&PersonId> {
        self.0.iter().find(|entry| entry.key == *key).map(|entry| &entry.name)
    }

    /// The keys of a role that have this name.
    pub(crate) fn keys_of(&self, name: &PersonId, role: &RoleKeys) -> Vec<PublicKey> {
        let called = self.0.iter().filter(|entry| entry.name == *name).map(|entry| entry.key);
        called.filter(|key| role.keys.contains(key)).collect()
    }

    /// The name of a key, or the key.
    pub(crate) fn call(&self, key: &PublicKey) -> String {
        self.of(key).map_or_else(|| key.to_string(), PersonId::to_string)
    }

    /// Several keys by name, in the order of the names.
    pub(crate) fn list(&self, keys: &[PublicKey]) -> String {
        let mut names: Vec<String> = keys.iter().map(|key| self.call(key)).collect();
        names.sort();
        names.join(", ")
    }
}
