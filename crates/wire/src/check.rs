//! What a configuration names, looked at before anything is started: addresses, keys, folders, the root document. Nothing here
//! is changed, but for a file that is made in a folder and removed again.

use std::io;
use std::path::{Path, PathBuf};

use terms::finding::Finding;
use terms::{Problem, Report, SpaceId};
use trust::{PublicKey, SigningKey};

use crate::connect::PeerConfig;

/// What was found so far.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Notes what is wrong with a key of the file, and gives back what is not.
    pub fn note<T, E: Into<Report>>(&mut self, key: &str, outcome: Result<T, E>) -> Option<T> {
        let noted = |error: E| self.0.push(Finding::of(key, error.into()));
        outcome.map_err(noted).ok()
    }

    /// `host:port`, where port 0 is any free one if somebody listens.
    pub fn address(&mut self, key: &str, address: &str, is_listened_on: bool) {
        let (host, port) = address.rsplit_once(':').unwrap_or_default();
        let is_one = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0 || is_listened_on);
        if !is_one {
            let report = Problem::FileValue.report(format!("{address:?} is not an address of the form host:port"));
            self.0.push(Finding::of(key, report));
        }
    }

    /// A private key of this machine.
    pub fn key(&mut self, key: &str, file: &Path) -> Option<PublicKey> {
        let loaded = self.note(key, SigningKey::load(file))?;
        Some(loaded.public())
    }

    /// The first root document of a data space, signed by its own board.
    pub fn root(&mut self, key: &str, file: &Path, space: &SpaceId) {
        let read = std::fs::read(file).map_err(|error| io_report(file, &error));
        let Some(root) = self.note(key, read) else { return };
        let Some(of) = self.note(key, trust::tuf::check_root(&root)) else {
            return;
        };
        if of != *space {
            let message = format!("{} is the root document of {of}, not of {space}", file.display());
            self.0.push(Finding::of(key, Problem::PolicyScope.report(message)));
        }
    }

    /// A folder in which files can be made; if it is not there yet, one in which it can be.
    pub fn folder(&mut self, key: &str, folder: &Path) {
        let unusable = |error: io::Error| {
            let remedy = "give it to the account that the program runs under, and let nobody else write there";
            let report = Problem::FileMissing.report(format!("cannot write to {}: {}", folder.display(), error.kind()));
            report.remedy(remedy)
        };
        self.note(key, is_writable(folder).map_err(unusable));
    }

    /// Another server, and the way there.
    pub fn peer(&mut self, key: &str, peer: &PeerConfig) {
        for address in peer.address.iter() {
            self.address(&format!("{key}.address"), address, false);
        }
        if let Some(proxy) = &peer.proxy {
            self.address(&format!("{key}.proxy.address"), &proxy.address, false);
            self.note(&format!("{key}.proxy.credentials"), proxy.credentials_line());
        }
    }
}

/// Bytes that the disk under `folder` has left for others than its administrator.
///
/// # Errors
/// What the system says.
#[cfg(unix)]
pub fn disk_free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Not known here, and taken for endless: what does not fit is refused when it is written.
#[cfg(not(unix))]
pub fn disk_free_bytes(_folder: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}

fn is_writable(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|above| above.exists());
    let there = there
        .filter(|above| !above.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let probe: PathBuf = there.join(format!(".datenraum-check-{}", std::process::id()));
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe);
    made.map(drop)?;
    std::fs::remove_file(&probe)
}

fn io_report(file: &Path, error: &io::Error) -> Report {
    Problem::FileMissing.report(format!("{}: {}", file.display(), error.kind()))
}
