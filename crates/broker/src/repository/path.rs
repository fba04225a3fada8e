//! Which documents can be asked for at all: a closed list of shapes, checked before a path touches the disk.
//!
//! It must never let a part through that is `..`, hidden, absolute or outside `a-z`, `0-9`, `.`, `_` and `-`.

use std::fmt;
use std::path::{Path, PathBuf};

use terms::limit;
use trust::stop::STOPS_BYTES_MAX;
use trust::tuf::{ROOT_BYTES_MAX, SNAPSHOT_BYTES_MAX, STOPS_PATH, TARGETS_BYTES_MAX, TIMESTAMP_BYTES_MAX};
use trust::{DelegatedRole, Digest, tuf};

/// Where the metadata documents are.
pub(super) const METADATA_FOLDER: &str = "metadata";

/// Longest path, in bytes: the longest name of a document with its digest.
const PATH_BYTES_MAX: usize = 256;

/// The path of a document that may exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DocumentPath {
    Timestamp,
    Root(u64),
    Snapshot(u64),
    Targets(u64),
    /// What a delegated role signed.
    Delegated(u64, DelegatedRole),
    /// The stops of board members.
    Stops,
    /// A file of the space, `targets/...` with its digest.
    File(String),
}

impl DocumentPath {
    /// The path, if it is of a known shape.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > PATH_BYTES_MAX {
            return None;
        }
        if text == "timestamp.json" {
            return Some(Self::Timestamp);
        }
        if text == STOPS_PATH {
            return Some(Self::Stops);
        }
        if text.starts_with("targets/") {
            return is_file(text).then(|| Self::File(text.to_owned()));
        }
        let (version, rest) = text.split_once('.')?;
        let version = parse_version(version)?;
        match rest {
            "root.json" => Some(Self::Root(version)),
            "snapshot.json" => Some(Self::Snapshot(version)),
            "targets.json" => Some(Self::Targets(version)),
            _ => {
                let role = rest.strip_suffix(".json")?.parse().ok()?;
                Some(Self::Delegated(version, role))
            }
        }
    }

    /// The targets document of the board, or of a delegated role.
    pub(super) fn targets(role: Option<DelegatedRole>, version: u64) -> Self {
        match role {
            None => Self::Targets(version),
            Some(role) => Self::Delegated(version, role),
        }
    }

    /// The path of a file of the space with this content.
    pub(super) fn file(name: &str, content: &[u8]) -> Option<Self> {
        Self::parse(&tuf::target_path(name, &Digest::of(content)))
    }

    pub(super) fn under(&self, repository: &Path) -> PathBuf {
        match self {
            Self::File(path) => repository.join(path),
            metadata => repository.join(METADATA_FOLDER).join(metadata.to_string()),
        }
    }

    /// The most that any client reads.
    pub(super) fn bytes_max(&self) -> u64 {
        match self {
            Self::Timestamp => TIMESTAMP_BYTES_MAX,
            Self::Root(_) => ROOT_BYTES_MAX,
            Self::Snapshot(_) => SNAPSHOT_BYTES_MAX,
            Self::Targets(_) | Self::Delegated(..) => TARGETS_BYTES_MAX,
            Self::Stops => STOPS_BYTES_MAX as u64,
            Self::File(_) => limit::DOCUMENT_BYTES_MAX as u64,
        }
    }
}

impl fmt::Display for DocumentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timestamp => f.write_str("timestamp.json"),
            Self::Root(version) => write!(f, "{version}.root.json"),
            Self::Snapshot(version) => write!(f, "{version}.snapshot.json"),
            Self::Targets(version) => write!(f, "{version}.targets.json"),
            Self::Delegated(version, role) => write!(f, "{version}.{role}.json"),
            Self::Stops => f.write_str(STOPS_PATH),
            Self::File(path) => f.write_str(path),
        }
    }
}

/// The version of a root document by its file name.
pub(super) fn root_version(name: &str) -> Option<u64> {
    match DocumentPath::parse(name)? {
        DocumentPath::Root(version) => Some(version),
        _ => None,
    }
}

/// A version in its one form: no sign, no leading zero.
fn parse_version(text: &str) -> Option<u64> {
    let one_form = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if one_form { text.parse().ok() } else { None }
}

/// `targets/`, folders, then 64 hex digits, a dot and the file's name.
fn is_file(path: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    let part_ok = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed);
    let last = path.rsplit('/').next().unwrap_or_default();
    let digest_ok = last
        .split_once('.')
        .is_some_and(|(digest, _)| Digest::from_hex(digest).is_ok());
    path.split('/').all(part_ok) && !path.contains("..") && digest_ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_elsewhere_are_not_paths_of_documents() {
        let hex = Digest::of(b"").hex();
        let paths = [
            String::new(),
            "..".to_owned(),
            "../metadata/timestamp.json".to_owned(),
            "/etc/passwd".to_owned(),
            "metadata/timestamp.json".to_owned(),
            "timestamp.json/".to_owned(),
            "lock".to_owned(),
            "root.json".to_owned(),
            "0.root.json".to_owned(),
            "01.root.json".to_owned(),
            "+1.root.json".to_owned(),
            "99999999999999999999999.root.json".to_owned(),
            "1.timestamp.json".to_owned(),
            "1.committee.json".to_owned(),
            "permits.json".to_owned(),
            "1.stops.json".to_owned(),
            "targets/".to_owned(),
            "targets/space.toml".to_owned(),
            format!("targets/../{hex}.space.toml"),
            format!("targets/policies/..{hex}.a.toml"),
            format!("targets/./{hex}.space.toml"),
            format!("targets//{hex}.space.toml"),
            format!("targets/.ssh/{hex}.space.toml"),
            format!("targets\\{hex}.space.toml"),
            format!("targets/a\\b/{hex}.space.toml"),
            format!("targets/a\0/{hex}.space.toml"),
            format!("targets/{hex}"),
            format!("targets/{}.space.toml", hex.to_uppercase()),
            format!("targets/{hex}.{}", "a".repeat(PATH_BYTES_MAX)),
        ];
        for path in paths {
            assert_eq!(DocumentPath::parse(&path), None, "{path:?}");
        }
    }

    #[test]
    fn documents_have_paths_that_read_back_as_themselves() {
        let file = DocumentPath::file("policies/research.toml", b"x").unwrap();
        for path in [
            DocumentPath::Timestamp,
            DocumentPath::Root(3),
            DocumentPath::Targets(u64::MAX),
            DocumentPath::Delegated(2, DelegatedRole::Permits),
            DocumentPath::Stops,
            file,
        ] {
            assert_eq!(DocumentPath::parse(&path.to_string()), Some(path));
        }
    }
}
