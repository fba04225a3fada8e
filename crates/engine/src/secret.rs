//! The node's own secret, from which the keys of its sketches and pseudonyms follow. It lies beside the datasets and never leaves
//! the node. Without it, people are not recognised from one snapshot to the next.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use terms::{CollectionId, PermitId, Problem, Report};
use trust::Digest;
use zeroize::Zeroizing;

use crate::sketch::SketchKey;

/// 32 random bytes that one node keeps.
#[derive(Clone)]
pub struct NodeSecret(Zeroizing<[u8; 32]>);

impl From<[u8; 32]> for NodeSecret {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl std::fmt::Debug for NodeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeSecret")
    }
}

impl NodeSecret {
    /// Reads the secret, or makes one if there is none. Of several that make one at the same time, all get the same.
    ///
    /// # Errors
    /// `FileMissing` if the file cannot be read or written; `FileValue` if it does not hold a secret.
    pub(crate) fn open(file: &Path) -> Result<Self, Report> {
        let unusable = |error: io::Error| Problem::FileMissing.report(format!("{}: {error}", file.display()));
        if !file.try_exists().map_err(unusable)? {
            make(file)?;
        }
        let bytes = Zeroizing::new(fs::read(file).map_err(unusable)?);
        let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| {
            Problem::FileValue
                .report(format!("{} does not hold the node's secret", file.display()))
                .remedy("put it back from a backup; or remove it and add all data files again")
        })?;
        Ok(bytes.into())
    }

    /// The key of sketches: the same for as long as the node keeps its secret.
    pub(crate) fn sketch_key(&self) -> SketchKey {
        let key = Digest::keyed(&self.0, b"sketch");
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&key.bytes()[..16]);
        SketchKey::from(bytes)
    }

    /// What stands for how days are moved, without telling anything of it.
    pub(crate) fn shift_mark(&self, mark: &[u8; 32]) -> Digest {
        Digest::keyed(&self.0, &[b"shift\0", &mark[..]].concat())
    }

    /// The key of pseudonyms under one permit, or of those of data without people: others cannot be matched with them.
    pub(crate) fn pseudonym_key(&self, permit: Option<&PermitId>, collection: &CollectionId) -> Zeroizing<[u8; 32]> {
        let permit = permit.map_or("", PermitId::as_str);
        let purpose = format!("pseudonym\0{permit}\0{collection}");
        Zeroizing::new(*Digest::keyed(&self.0, purpose.as_bytes()).bytes())
    }
}

/// Makes a secret under a name of its own, whole and on disk, and then gives it the name: whoever was first stays.
fn make(file: &Path) -> Result<(), Report> {
    let no_chance = |_| Problem::Internal.report("the machine gives no random numbers");
    let mut bytes = Zeroizing::new([0; 32]);
    let mut name = [0; 8];
    getrandom::fill(&mut bytes[..]).map_err(no_chance)?;
    getrandom::fill(&mut name).map_err(no_chance)?;
    let draft = file.with_extension(format!("{:016x}", u64::from_le_bytes(name)));
    let written = write_private(&draft, &bytes[..]).and_then(|()| match fs::hard_link(&draft, file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    });
    // It has its name now, or is not needed.
    let _ = fs::remove_file(&draft);
    written.map_err(|error| Problem::FileMissing.report(format!("{}: {error}", file.display())))
}

fn write_private(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut made = options.open(file)?;
    made.write_all(bytes)?;
    made.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_makes_it_at_the_same_time_gets_the_same() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("node.secret");
        let keys = std::thread::scope(|scope| {
            let opening: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| NodeSecret::open(&file).unwrap()))
                .collect();
            opening
                .into_iter()
                .map(|one| *one.join().unwrap().0)
                .collect::<Vec<_>>()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(
            fs::read_dir(place.path()).unwrap().count(),
            1,
            "a draft was left behind"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_is_no_secret_is_refused_and_stays() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("node.secret");
        fs::write(&file, "short").unwrap();
        assert_eq!(NodeSecret::open(&file).unwrap_err().problem, Problem::FileValue);
        assert_eq!(fs::read(&file).unwrap(), b"short");
    }
}
