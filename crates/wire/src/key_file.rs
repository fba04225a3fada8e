//! The file of a server's key, looked at while the server runs: what can be used is used for the connections that come from then on,
//! what cannot be used changes nothing but what the operator is told.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use telemetry::Counter;
use terms::{Problem, Report};
use trust::{PublicKey, SigningKey};

use crate::signals::Signals;
use crate::tls::{Identity, server_config};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Whether a server may become the holder of another key while it runs.
pub type MayBecome<'a> = &'a (dyn Fn(&PublicKey) -> Result<(), Report> + Send + Sync);

/// A key file that is looked at.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    /// What the certificate is made out to. Nobody reads it.
    name: String,
    identity: Identity,
    refused: Counter,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    key: PublicKey,
    changed: Option<SystemTime>,
    problem: Option<Report>,
}

impl KeyFile {
    /// A server shakes hands as who holds `key`, which is in the file at `path`. Looks that find what cannot be used are counted in
    /// `refused`.
    ///
    /// # Errors
    /// If no certificate can be made from the key.
    pub fn new(path: PathBuf, key: &SigningKey, name: &str, refused: Counter) -> Result<Self, Report> {
        let seen = Seen {
            key: key.public(),
            changed: changed(&path),
            problem: None,
        };
        Ok(Self {
            identity: Identity::new(certified(key, name)?),
            name: name.to_owned(),
            path,
            refused,
            seen: Mutex::new(seen),
        })
    }

    /// As whom the server shakes hands.
    pub fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// Why the file cannot be used as it is, if it cannot.
    pub fn problem(&self) -> Option<Report> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).problem.clone()
    }

    /// Looks now and then, and when told to; for ever.
    pub async fn keep_looking(&self, signals: &Signals, may_become: MayBecome<'_>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = signals.reload.notified() => {}
            }
            self.look(may_become);
        }
    }

    /// Looks once.
    pub fn look(&self, may_become: MayBecome<'_>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match self.take_up(&mut seen, may_become) {
            Ok(()) => seen.problem = None,
            Err(report) => {
                self.refused.inc();
                if seen.problem.as_ref() != Some(&report) {
                    tracing::error!(problem = %report.problem, message = report.message, "the key file is not used");
                }
                seen.problem = Some(report);
            }
        }
    }

    fn take_up(&self, seen: &mut Seen, may_become: MayBecome<'_>) -> Result<(), Report> {
        let changed = changed(&self.path);
        let key = SigningKey::load(&self.path).map_err(Report::from);
        let key = key.map_err(|report| {
            report.remedy("the old key is still used: put back the file, whole and readable for this account only")
        })?;
        let is_same = key.public() == seen.key;
        if is_same && changed == seen.changed {
            return Ok(());
        }
        if !is_same {
            may_become(&key.public())?;
        }
        self.identity.exchange(certified(&key, &self.name)?);
        (seen.key, seen.changed) = (key.public(), changed);
        tracing::warn!(file = %self.path.display(), key = %seen.key, "the key file was read again");
        Ok(())
    }
}

fn certified(key: &SigningKey, name: &str) -> Result<std::sync::Arc<rustls::ServerConfig>, Report> {
    server_config(key, name).map_err(|error| Problem::FileValue.report(error.to_string()))
}

fn changed(path: &std::path::Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|about| about.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, KeyFile, Counter) {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::generate().unwrap();
        let path = folder.path().join("a.key");
        key.save_new(&path).unwrap();
        let refused = Counter::default();
        (
            folder,
            KeyFile::new(path, &key, "broker", refused.clone()).unwrap(),
            refused,
        )
    }

    fn replace(file: &KeyFile, key: &SigningKey) {
        std::fs::remove_file(&file.path).unwrap();
        key.save_new(&file.path).unwrap();
    }

    #[test]
    fn a_20_what_cannot_be_used_changes_nothing_and_is_told_once_and_counted() {
        let (_folder, file, refused) = file();
        let before = file.identity.current();
        let whole = std::fs::read(&file.path).unwrap();
        for bad in [&whole[..whole.len() / 2], b"", b"-----BEGIN CERTIFICATE-----"] {
            std::fs::write(&file.path, bad).unwrap();
            file.look(&|_| Ok(()));
            let problem = file.problem().unwrap();
            assert!(
                problem.message.contains("a.key") && problem.remedy.contains("the old key is still used"),
                "{problem:?}"
            );
        }
        std::fs::remove_file(&file.path).unwrap();
        file.look(&|_| Ok(()));
        assert!(file.problem().unwrap().message.contains("a.key"));
        assert!(std::sync::Arc::ptr_eq(&before, &file.identity.current()));
        assert_eq!(refused.get(), 4);
    }

    #[test]
    fn a_20_another_key_is_taken_up_if_it_may_be_and_only_then() {
        let (_folder, file, refused) = file();
        let before = file.identity.current();
        let other = SigningKey::generate().unwrap();
        replace(&file, &other);
        file.look(&|_| Err(Problem::PeerKey.report("no")));
        assert_eq!(file.problem().unwrap().problem, Problem::PeerKey);
        assert!(std::sync::Arc::ptr_eq(&before, &file.identity.current()));
        file.look(&|key| {
            if *key == other.public() {
                Ok(())
            } else {
                Err(Problem::PeerKey.report("no"))
            }
        });
        assert_eq!((file.problem(), refused.get()), (None, 1));
        assert!(!std::sync::Arc::ptr_eq(&before, &file.identity.current()));
        let taken_up = file.identity.current();
        file.look(&|_| Err(Problem::PeerKey.report("no")));
        assert!(file.problem().is_none() && std::sync::Arc::ptr_eq(&taken_up, &file.identity.current()));
    }
}
