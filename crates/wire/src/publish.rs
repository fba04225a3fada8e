//! Publishing through the broker: what a board, a committee or a single board member signed.
//!
//! Nobody logs in: signatures decide, at the broker and at everybody who fetches. [`documents`], [`root`] and [`stop`]
//! are the client's end; [`Inbox`] puts together at the broker what came in pieces. It must never take more than a data
//! space may have.

use std::collections::BTreeMap;
use std::time::Duration;

use terms::{Problem, Report, SpaceId, limit};
use tonic::Status;
use trust::tuf::{DelegatedRole, SPACE_BYTES_MAX, TARGETS_BYTES_MAX};
use trust::{Digest, Envelope};

use crate::connect::Connection;
use crate::v1::governance_service_client::GovernanceServiceClient;
use crate::v1::{PublishDocumentsRequest, PublishRootRequest, PublishStopRequest};

/// Bytes of content in one message: small, so that a server never holds much of what it has not looked at.
pub const PIECE_BYTES_MAX: usize = 256 * 1024;

/// How long a publication may take in all, in seconds: the largest data space over a slow line.
pub const PUBLISH_SECONDS_MAX: u64 = 300;

/// The board's list of files.
const TARGETS: &str = "metadata/targets.json";

/// Where files of the space are.
const FILES: &str = "targets/";

/// A set of signed documents with all files that they list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// The board's list of files; none where a delegated role publishes alone.
    pub targets: Option<Vec<u8>>,
    /// The lists of delegated roles.
    pub delegated: BTreeMap<DelegatedRole, Vec<u8>>,
    /// The files by name: `policies/research.toml`.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Publication {
    /// All documents under the paths that they have on the wire, lists first.
    fn documents(&self) -> impl Iterator<Item = (String, &Vec<u8>)> {
        let targets = self.targets.iter().map(|document| (TARGETS.to_owned(), document));
        let delegated = self.delegated.iter();
        let delegated = delegated.map(|(role, document)| (format!("metadata/{}.json", role.as_str()), document));
        let files = self
            .files
            .iter()
            .map(|(name, content)| (format!("{FILES}{name}"), content));
        targets.chain(delegated).chain(files)
    }

    fn pieces(&self, space: &SpaceId) -> Vec<PublishDocumentsRequest> {
        let pieces = self.documents().flat_map(|(path, content)| {
            let piece = move |content: &[u8]| PublishDocumentsRequest {
                space: space.to_string(),
                path: path.clone(),
                content: content.to_vec(),
            };
            match content.is_empty() {
                true => vec![piece(&[])],
                false => content.chunks(PIECE_BYTES_MAX).map(piece).collect(),
            }
        });
        pieces.collect()
    }
}

/// Publishes a set of documents.
///
/// # Errors
/// What the broker found wrong with it; `Unreachable` if it does not answer.
pub async fn documents(connection: &Connection, space: &SpaceId, publication: &Publication) -> Result<(), Report> {
    let pieces = futures::stream::iter(publication.pieces(space));
    let mut client = GovernanceServiceClient::new(connection.grpc.clone());
    in_time(client.publish_documents(pieces)).await.map(|_| ())
}

/// Publishes the next root document.
///
/// # Errors
/// As [`documents`].
pub async fn root(connection: &Connection, space: &SpaceId, root: &[u8]) -> Result<(), Report> {
    let request = PublishRootRequest {
        space: space.to_string(),
        root: root.to_vec(),
    };
    let mut client = GovernanceServiceClient::new(connection.grpc.clone());
    in_time(client.publish_root(request)).await.map(|_| ())
}

/// Publishes a stop. Returns the digest by which the board names it when it lifts it.
///
/// # Errors
/// As [`documents`].
pub async fn stop(connection: &Connection, space: &SpaceId, envelope: &Envelope) -> Result<Digest, Report> {
    let request = PublishStopRequest {
        space: space.to_string(),
        envelope: envelope.to_bytes(),
    };
    let mut client = GovernanceServiceClient::new(connection.grpc.clone());
    in_time(client.publish_stop(request)).await?;
    // Of what was sent, not of what the broker says.
    Ok(envelope.digest())
}

pub(crate) async fn in_time<T>(call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, Report> {
    let answer = tokio::time::timeout(Duration::from_secs(PUBLISH_SECONDS_MAX), call).await;
    let late = |_| Problem::Unreachable.report(format!("the broker did not answer within {PUBLISH_SECONDS_MAX} s"));
    let answered = answer.map_err(late)?;
    Ok(answered
        .map_err(|status| crate::status::from_status(&status, "the broker").report)?
        .into_inner())
}

/// Whether a piece is of a file, and not of a list, which come before.
pub fn is_file(piece: &PublishDocumentsRequest) -> bool {
    piece.path.starts_with(FILES)
}

/// What came of a publication so far.
#[derive(Debug, Default)]
pub struct Inbox {
    publication: Publication,
    latest: Option<String>,
    bytes: u64,
}

impl Inbox {
    /// Takes one more piece.
    ///
    /// # Errors
    /// `Usage` if the piece is of no document of a data space, or of one that was complete; `PolicyInvalid` if there is
    /// more than a data space may have.
    pub fn take(&mut self, piece: PublishDocumentsRequest) -> Result<(), Report> {
        let PublishDocumentsRequest { path, content, .. } = piece;
        self.bytes += content.len() as u64;
        let bytes_max = SPACE_BYTES_MAX + 3 * TARGETS_BYTES_MAX;
        if self.bytes > bytes_max {
            return Err(too_much(format!("a publication may have {bytes_max} bytes")));
        }
        let is_new = self.latest.as_ref() != Some(&path);
        let (document, document_bytes_max) = self.publication.place(&path, is_new)?;
        document.extend_from_slice(&content);
        if document.len() as u64 > document_bytes_max {
            return Err(too_much(format!("{path} may have {document_bytes_max} bytes")));
        }
        if self.publication.files.len() > limit::DOCUMENTS_MAX {
            return Err(too_much(format!(
                "a data space may have {} files",
                limit::DOCUMENTS_MAX
            )));
        }
        self.latest = Some(path);
        Ok(())
    }

    /// What came so far, of which the last document may lack pieces.
    pub fn so_far(&self) -> &Publication {
        &self.publication
    }

    /// The whole of it.
    pub fn finish(self) -> Publication {
        self.publication
    }
}

impl Publication {
    /// Where a document goes, and the most bytes that it may have.
    fn place(&mut self, path: &str, is_new: bool) -> Result<(&mut Vec<u8>, u64), Report> {
        let unknown = || {
            let path: String = path.chars().take(80).collect();
            Problem::Usage.report(format!("{path:?} is no document that can be published, or came twice"))
        };
        let role = path
            .strip_prefix("metadata/")
            .and_then(|name| name.strip_suffix(".json"));
        let known = match (path, role) {
            (TARGETS, _) => self.targets.is_some(),
            (_, Some(role)) => {
                let role: DelegatedRole = role.parse().map_err(|_| unknown())?;
                self.delegated.contains_key(&role)
            }
            _ => self.files.contains_key(path.strip_prefix(FILES).ok_or_else(unknown)?),
        };
        // The pieces of one document follow each other.
        if known == is_new {
            return Err(unknown());
        }
        match (path, role) {
            (TARGETS, _) => Ok((self.targets.get_or_insert_default(), TARGETS_BYTES_MAX)),
            (_, Some(role)) => {
                let role = role.parse().map_err(|_| unknown())?;
                Ok((self.delegated.entry(role).or_default(), TARGETS_BYTES_MAX))
            }
            _ => {
                let name = path.strip_prefix(FILES).ok_or_else(unknown)?.to_owned();
                Ok((self.files.entry(name).or_default(), limit::DOCUMENT_BYTES_MAX as u64))
            }
        }
    }
}

fn too_much(what: String) -> Report {
    Problem::PolicyInvalid
        .report(what)
        .remedy("publish smaller or fewer documents")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(path: &str, bytes: usize) -> PublishDocumentsRequest {
        PublishDocumentsRequest {
            space: "oncology".to_owned(),
            path: path.to_owned(),
            content: vec![b' '; bytes],
        }
    }

    fn refused(pieces: &[(&str, usize)]) -> Problem {
        let mut inbox = Inbox::default();
        let taken = pieces
            .iter()
            .try_for_each(|(path, bytes)| inbox.take(piece(path, *bytes)));
        taken.unwrap_err().problem
    }

    #[test]
    fn what_is_no_document_comes_twice_or_is_too_large_is_refused() {
        for path in [
            "",
            "timestamp.json",
            "metadata/timestamp.json",
            "metadata/root.json",
            "/etc/passwd",
            "lock",
        ] {
            assert_eq!(refused(&[(path, 1)]), Problem::Usage, "{path}");
        }
        let (a, b) = ("targets/a.toml", "targets/b.toml");
        assert_eq!(refused(&[(a, 1), (b, 1), (a, 1)]), Problem::Usage);
        assert_eq!(refused(&[(TARGETS, 1), (a, 1), (TARGETS, 1)]), Problem::Usage);
        assert_eq!(
            refused(&[(a, limit::DOCUMENT_BYTES_MAX), (a, 1)]),
            Problem::PolicyInvalid
        );
        let targets = usize::try_from(TARGETS_BYTES_MAX).unwrap();
        assert_eq!(refused(&[(TARGETS, targets), (TARGETS, 1)]), Problem::PolicyInvalid);
        let names: Vec<String> = (0..=limit::DOCUMENTS_MAX)
            .map(|n| format!("targets/{n}.toml"))
            .collect();
        let many: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 0)).collect();
        assert_eq!(refused(&many), Problem::PolicyInvalid);
        let large: Vec<(&str, usize)> = many[..80]
            .iter()
            .map(|(name, _)| (*name, limit::DOCUMENT_BYTES_MAX))
            .collect();
        assert_eq!(refused(&large), Problem::PolicyInvalid);
    }

    #[test]
    fn what_is_sent_in_pieces_arrives_as_it_was() {
        let publication = Publication {
            targets: Some(vec![b't'; 3 * PIECE_BYTES_MAX + 7]),
            delegated: [(DelegatedRole::Permits, b"permits".to_vec())].into(),
            files: [
                ("space.toml".to_owned(), Vec::new()),
                ("policies/a.toml".to_owned(), vec![b'a'; PIECE_BYTES_MAX]),
            ]
            .into(),
        };
        let mut inbox = Inbox::default();
        for piece in publication.pieces(&"oncology".parse().unwrap()) {
            assert!(piece.content.len() <= PIECE_BYTES_MAX);
            inbox.take(piece).unwrap();
        }
        assert_eq!(inbox.finish(), publication);
    }
}
