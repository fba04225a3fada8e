//! The node's own secret, from which the keys of its sketches and pseudonyms follow. It lies beside the datasets and never leaves
//! the node. Without it, people are not recognised from one snapshot to the next.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
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
    /// Reads the secret, or makes one if there is none.
    ///
    /// # Errors
    /// `FileMissing` if the file cannot be read or written; `FileValue` if it does not hold a secret.
    pub(crate) fn open(file: &Path) -> Result<Self, Report> {
        let unusable = |error: io::Error| Problem::FileMissing.report(format!("{}: {error}", file.display()));
        match File::open(file) {
            Ok(mut opened) => {
                let mut bytes = Zeroizing::new(Vec::with_capacity(32));
                opened.read_to_end(&mut bytes).map_err(unusable)?;
                let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| {
                    Problem::FileValue
                        .report(format!("{} does not hold the node's secret", file.display()))
                        .remedy("put it back from a backup; or remove it and add all data files again")
                })?;
                Ok(bytes.into())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut bytes = [0; 32];
                getrandom::fill(&mut bytes)
                    .map_err(|_| Problem::Internal.report("the machine gives no random numbers"))?;
                let mut options = OpenOptions::new();
                options.write(true).create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let mut made = options.open(file).map_err(unusable)?;
                made.write_all(&bytes)
                    .and_then(|()| made.sync_all())
                    .map_err(unusable)?;
                Ok(bytes.into())
            }
            Err(error) => Err(unusable(error)),
        }
    }

    /// The key of sketches: the same for as long as the node keeps its secret.
    pub(crate) fn sketch_key(&self) -> SketchKey {
        let key = Digest::keyed(&self.0, b"sketch");
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&key.bytes()[..16]);
        SketchKey::from(bytes)
    }

    /// The key of pseudonyms under one permit, or of those of data without people: others cannot be matched with them.
    pub(crate) fn pseudonym_key(&self, permit: Option<&PermitId>, collection: &CollectionId) -> Zeroizing<[u8; 32]> {
        let permit = permit.map_or("", PermitId::as_str);
        let purpose = format!("pseudonym\0{permit}\0{collection}");
        Zeroizing::new(*Digest::keyed(&self.0, purpose.as_bytes()).bytes())
    }
}
