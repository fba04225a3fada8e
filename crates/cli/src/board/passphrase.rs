//! How a passphrase is asked for: from the terminal, never shown; or from a file, for machines.

use std::path::Path;

use terms::{Problem, Report};
use trust::{KeyFile, Passphrase, SigningKey};

use super::folder::unusable;

/// Largest file with a passphrase, in bytes.
const PASSPHRASE_BYTES_MAX: u64 = 4 * 1024;

/// Opens a private key, asking for the passphrase if it needs one.
///
/// # Errors
/// If the file is no key, or the passphrase is missing or not the right one.
pub(super) fn open_key(path: &Path, file: Option<&Path>) -> Result<SigningKey, Report> {
    let key_file = KeyFile::read(path)?;
    if !KeyFile::is_encrypted(path)? {
        return Ok(key_file.open(None)?);
    }
    let passphrase = match file {
        Some(file) => read(file)?,
        None => ask(&format!("passphrase of {}: ", path.display()))?,
    };
    Ok(key_file.open(Some(&passphrase))?)
}

/// The passphrase of a new key, typed twice.
///
/// # Errors
/// `Usage` if the two differ, `KeyPassphrase` if nobody can be asked.
pub(super) fn for_new_key(file: Option<&Path>) -> Result<Passphrase, Report> {
    if let Some(file) = file {
        return read(file);
    }
    let first = ask("a passphrase for the new key: ")?;
    if first.is_short() {
        return Err(trust::KeyError::PassphraseShort.into());
    }
    if ask("the same passphrase again: ")? == first {
        return Ok(first);
    }
    Err(Problem::Usage
        .report("the two passphrases are not the same, so no key was made")
        .remedy("try again"))
}

fn ask(prompt: &str) -> Result<Passphrase, Report> {
    let typed = rpassword::prompt_password(prompt);
    typed
        .map(Passphrase::new)
        .map_err(|_| Problem::KeyPassphrase.report("there is no terminal to ask for the passphrase at"))
}

fn read(path: &Path) -> Result<Passphrase, Report> {
    let about = std::fs::metadata(path).map_err(|error| unusable(path, &error))?;
    if about.len() > PASSPHRASE_BYTES_MAX {
        return Err(Problem::FileValue.report(format!("{}: a passphrase is far shorter", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unusable(path, &error))?;
    Ok(Passphrase::new(text))
}
