//! Governance documents as the broker serves them: a [`DocumentSource`] for nodes and for the data user's side.
//!
//! Nothing that comes through here is believed; `trust::refresh` verifies it. An error must never be told as
//! absence, or a broker that fails could hide a newer root. The other end is the broker's governance service.

use std::time::Duration;

use terms::SpaceId;
use tonic::Code;
use trust::{DocumentSource, SourceError};

use crate::connect::Connection;
use crate::status::from_status;
use crate::v1::FetchDocumentRequest;
use crate::v1::governance_service_client::GovernanceServiceClient;

/// How long one document may take, in seconds: the largest has two mebibytes.
const DOCUMENT_SECONDS_MAX: u64 = 30;

/// A document that could not be had so soon is asked for once more. What takes longer has taken long enough.
const AGAIN_WITHIN: Duration = Duration::from_secs(2);

/// What a message has around the document, in bytes: two field keys and a length, with room to spare.
const FRAME_BYTES_MAX: u64 = 64;

/// The folder of metadata documents in a repository. On the wire they go by their bare name.
const METADATA_FOLDER: &str = "metadata/";

/// The governance documents of one data space at one broker.
#[derive(Clone, Debug)]
pub struct BrokerSource {
    connection: Connection,
    space: SpaceId,
}

impl BrokerSource {
    /// The documents of `space`, through `connection`.
    pub fn new(connection: Connection, space: SpaceId) -> Self {
        Self { connection, space }
    }
}

#[async_trait::async_trait]
impl DocumentSource for BrokerSource {
    /// Once more if the connection was lost: of several brokers another may answer.
    async fn fetch(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let began = tokio::time::Instant::now();
        match self.fetch_once(path, bytes_max).await {
            Err(SourceError::Unreachable { .. }) if began.elapsed() < AGAIN_WITHIN => {
                self.fetch_once(path, bytes_max).await
            }
            outcome => outcome,
        }
    }
}

impl BrokerSource {
    async fn fetch_once(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let too_large = || SourceError::TooLarge {
            path: path.to_owned(),
            bytes_max,
        };
        let message_bytes_max = usize::try_from(bytes_max.saturating_add(FRAME_BYTES_MAX)).unwrap_or(usize::MAX);
        // gRPC announces a message's length before its bytes, so an oversized document is never read.
        let mut client =
            GovernanceServiceClient::new(self.connection.grpc.clone()).max_decoding_message_size(message_bytes_max);
        let path_on_wire = path.strip_prefix(METADATA_FOLDER).unwrap_or(path).to_owned();
        let request = FetchDocumentRequest {
            space: self.space.to_string(),
            path: path_on_wire,
        };
        let answer = tokio::time::timeout(
            Duration::from_secs(DOCUMENT_SECONDS_MAX),
            client.fetch_document(request),
        );
        let content = match answer.await {
            Ok(Ok(response)) => response.into_inner().content,
            Ok(Err(status)) if status.code() == Code::OutOfRange => return Err(too_large()),
            Ok(Err(status)) => {
                return Err(SourceError::Unreachable {
                    reason: from_status(&status, "the broker").report.message,
                });
            }
            Err(_) => {
                return Err(SourceError::Unreachable {
                    reason: "the broker takes too long".to_owned(),
                });
            }
        };
        match content {
            Some(bytes) if bytes.len() as u64 > bytes_max => Err(too_large()),
            content => Ok(content),
        }
    }
}
