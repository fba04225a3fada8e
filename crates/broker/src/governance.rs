//! How governance documents are served: by path, to anybody, as they are.
//!
//! It must never tell an error as absence: a client takes absence for "there is no newer root". Which paths exist at
//! all says `repository.rs`.

use terms::{Problem, Report, SpaceId};
use tonic::{Request, Response, Status};
use wire::status::to_status;
use wire::v1::governance_service_server::GovernanceService;
use wire::v1::{FetchDocumentRequest, FetchDocumentResponse};

use crate::repository::Repository;

/// The governance documents of one data space.
#[derive(Debug)]
pub(crate) struct Governance {
    pub(crate) space: SpaceId,
    pub(crate) repository: Repository,
}

impl Governance {
    async fn fetch(&self, request: FetchDocumentRequest) -> Result<Option<Vec<u8>>, Report> {
        crate::require_space(&request.space, &self.space)?;
        let repository = self.repository.clone();
        let reading = tokio::task::spawn_blocking(move || repository.document(&request.path));
        reading
            .await
            .map_err(|_| Problem::Internal.report("reading a document stopped"))?
    }
}

#[tonic::async_trait]
impl GovernanceService for Governance {
    async fn fetch_document(
        &self,
        request: Request<FetchDocumentRequest>,
    ) -> Result<Response<FetchDocumentResponse>, Status> {
        let fetched = self.fetch(request.into_inner()).await;
        let content = fetched.map_err(|report| to_status(&report.into()))?;
        Ok(Response::new(FetchDocumentResponse { content }))
    }
}
