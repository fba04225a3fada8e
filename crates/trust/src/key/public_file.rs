//! A public key with its owner's name, as a file that people send to each other.

use std::fmt;
use std::path::Path;

use terms::{PersonId, Problem, Report};

use crate::key::PublicKey;

/// Longest file of a public key, in bytes: two short lines and some comments.
const PUBLIC_KEY_FILE_BYTES_MAX: u64 = 4 * 1024;

/// What stands in a `.pub` file: whose key it is, and the key.
///
/// Nothing in it is proven. Whoever enrols the key compares it with its owner, over another way than the file came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeyFile {
    /// Whose key it is.
    pub name: PersonId,
    /// The key.
    pub key: PublicKey,
}

impl PublicKeyFile {
    /// Reads the text of such a file.
    ///
    /// # Errors
    /// [`Problem::FileSyntax`] if it is not TOML, [`Problem::FileKey`] if a key is missing or unknown,
    /// [`Problem::FileValue`] if the name is no name or the key is no key, or a weak one.
    pub fn parse(text: &str) -> Result<Self, Report> {
        let table: toml::Table = text
            .parse()
            .map_err(|_| Problem::FileSyntax.report("the file of the public key is not TOML"))?;
        if let Some(key) = table.keys().find(|key| !["name", "key"].contains(&key.as_str())) {
            let key: String = key.chars().take(64).collect();
            let message = format!("the file of the public key has {key:?}; it has a name and a key, nothing else");
            return Err(Problem::FileKey.report(message));
        }
        let name = text_of(&table, "name")?;
        let name: PersonId = name.parse().map_err(invalid)?;
        let key = text_of(&table, "key")?.parse().map_err(invalid)?;
        Ok(Self { name, key })
    }

    /// Reads such a file.
    ///
    /// # Errors
    /// [`Problem::FileMissing`] if it cannot be read; otherwise as [`PublicKeyFile::parse`], with the file's name.
    pub fn load(path: &Path) -> Result<Self, Report> {
        let unreadable = |error: std::io::Error| {
            let message = format!("cannot read the public key {}: {}", path.display(), error.kind());
            Problem::FileMissing.report(message)
        };
        if std::fs::metadata(path).map_err(unreadable)?.len() > PUBLIC_KEY_FILE_BYTES_MAX {
            let message = format!("{}: a public key is a far smaller file", path.display());
            return Err(Problem::FileValue.report(message));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text).map_err(|report| Report {
            message: format!("{}: {}", path.display(), report.message),
            ..report
        })
    }
}

fn text_of<'a>(table: &'a toml::Table, key: &str) -> Result<&'a str, Report> {
    let value = table.get(key);
    let value = value.ok_or_else(|| Problem::FileKey.report(format!("the file of the public key has no {key:?}")))?;
    value
        .as_str()
        .ok_or_else(|| Problem::FileValue.report(format!("{key:?} is not a text in quotes")))
}

fn invalid(error: impl fmt::Display) -> Report {
    Problem::FileValue.report(format!("the file of the public key is refused: {error}"))
}

/// The text of the file.
impl fmt::Display for PublicKeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name = \"{}\"\nkey = \"{}\"\n", self.name, self.key)
    }
}

#[cfg(test)]
mod tests;
